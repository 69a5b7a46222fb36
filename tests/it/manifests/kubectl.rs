//! What people see who apply the CRDs and an object: warnings, columns, selectors, the status before the operator has looked.

use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tradewind::api::v1alpha1::{Connection, IntegrationInstance, ProviderAccount};

use super::{crds, folder};
use crate::cluster::{Sandbox, documents};
use crate::conditions::{Kstatus, Observed};

const STORE: &str = "
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: acme}
spec:
  provider: Rutter
  accountRef: {name: rutter}
  platform: BIG_COMMERCE
  rutter:
    credentialsSecretRef: {name: acme-bigcommerce}
    parameters: {store_url: store-a.mybigcommerce.com}
";

const ACCOUNT: &str = "
apiVersion: tradewind.dev/v1alpha1
kind: ProviderAccount
metadata: {name: rutter}
spec:
  provider: Rutter
  credentialsSecretRef: {name: rutter-api}
";

const INSTANCE: &str = "
apiVersion: tradewind.dev/v1alpha1
kind: IntegrationInstance
metadata: {name: acme}
spec:
  provider: SkuIo
  accountRef: {name: sku}
  platform: big-commerce
  name: acme-outdoor
  accessTokenSecretRef: {name: acme-bigcommerce, key: oauth_access_token}
";

#[tokio::test]
async fn kubectl_reads_the_files_as_they_are_meant() {
    let sandbox = Sandbox::new("files").await;
    for crd in crds() {
        let args = ["create", "--dry-run=client", "--validate=false", "--output=json", "--filename=-"];
        let said = sandbox.kubectl_with(&args, &crd.text()).await;
        let mut read: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}: {}", crd.file, said.err));
        // The only thing that kubectl adds.
        read["metadata"].as_object_mut().expect("metadata").remove("namespace");
        assert!(read == crd.manifest, "kubectl reads crds/{} otherwise than it was written", crd.file);
    }
}

#[tokio::test]
async fn the_crds_apply_without_a_warning() {
    let sandbox = Sandbox::new("warnings").await;
    for crd in crds() {
        // Under another group they are new to the server, which is when it warns; and a dry run leaves nothing behind.
        let text = crd.text().replace(tradewind::api::GROUP, "warnings.example.com");
        for mode in [&["apply"][..], &["apply", "--server-side"]] {
            let args = [mode, &["--dry-run=server", "--filename=-"]].concat();
            let said = sandbox.kubectl_with(&args, &text).await;
            assert!(said.ok && said.err.is_empty(), "{mode:?} of {}: {}", crd.file, said.err);
        }
    }
    let folder = folder();
    let args = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--force-conflicts",
        "--filename",
        folder.to_str().expect("a path"),
    ];
    let said = sandbox.kubectl(&args).await;
    assert!(said.ok && said.err.is_empty(), "the files in crds/ over those that are installed: {}", said.err);
}

#[tokio::test]
async fn good_objects_apply_without_a_warning() {
    let sandbox = Sandbox::new("warnings").await;
    let all = format!("{STORE}---{ACCOUNT}---{INSTANCE}");
    for mode in [&["apply"][..], &["apply", "--server-side", "--force-conflicts"]] {
        let args = [mode, &["--validate=strict", "--filename=-"]].concat();
        let said = sandbox.kubectl_with(&args, &all).await;
        assert!(said.ok && said.err.is_empty(), "{mode:?}: {}", said.err);
    }
    let unknown = STORE.replace("platform:", "plattform:");
    let said = sandbox.kubectl_with(&["apply", "--filename=-"], &unknown).await;
    assert!(!said.ok && said.err.contains("unknown field \"spec.plattform\""), "{}", said.err);
}

#[tokio::test]
async fn before_the_operator_has_looked_everybody_waits() {
    let sandbox = Sandbox::new("status").await;
    // Nobody can claim to be ready, not even in the manifest.
    let forged = "status: {observedGeneration: 1, conditions: [{type: Ready, status: 'True', reason: Succeeded, message: '', \
                  lastTransitionTime: '2025-01-01T00:00:00Z'}]}\n";
    for (kind, yaml) in [("connection", STORE), ("integrationinstance", INSTANCE), ("provideraccount", ACCOUNT)] {
        let said = sandbox.kubectl_with(&["create", "--filename=-"], &format!("{yaml}{forged}")).await;
        assert!(said.ok, "{}", said.err);
        let wait = ["wait", "--for=condition=Ready", "--timeout=1s", kind, "--all"];
        assert!(!sandbox.kubectl(&wait).await.ok, "a new {kind} is not ready");
    }
    waits(&sandbox.get::<Connection>("acme").await.expect("the store"));
    waits(&sandbox.get::<IntegrationInstance>("acme").await.expect("the instance"));
    waits(&sandbox.get::<ProviderAccount>("rutter").await.expect("the account"));
}

fn waits(object: &impl Observed) {
    let (conditions, observed) = object.observed().expect("a status from the first moment on");
    assert_eq!(observed, -1, "{conditions:?}");
    assert_eq!(conditions.len(), 1, "{conditions:?}");
    let ready = object.condition("Ready").expect("a condition");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("Unknown", "Progressing"));
    assert_eq!(ready.message, "Waiting for the operator");
    assert_eq!(object.kstatus(), Kstatus::InProgress);
    assert!(!object.says("Ready", "Unknown", "Progressing"), "it is not of the present generation");
}

#[tokio::test]
async fn kstatus_follows_the_conditions() {
    let sandbox = Sandbox::new("kstatus").await;
    sandbox.apply(STORE).await;
    let api = sandbox.api::<Connection>();
    let condition = |kind: &str, status: &str| {
        let since = "2025-01-01T00:00:00Z";
        json!({"type": kind, "status": status, "reason": "Test", "message": "", "lastTransitionTime": since})
    };
    let expected = [
        (vec![condition("Ready", "True")], Kstatus::Current),
        (vec![condition("Ready", "False")], Kstatus::InProgress),
        (vec![condition("Ready", "False"), condition("Reconciling", "True")], Kstatus::InProgress),
        (vec![condition("Ready", "False"), condition("Stalled", "True")], Kstatus::Failed),
    ];
    for (conditions, verdict) in expected {
        let status = json!({"status": {"observedGeneration": 1, "conditions": conditions}});
        let object = api.patch_status("acme", &PatchParams::default(), &Patch::Merge(&status)).await.expect("a status");
        assert_eq!(object.kstatus(), verdict, "{conditions:?}");
    }
    let suspend = json!({"spec": {"suspend": true}, "metadata": {"finalizers": ["example.com/test"]}});
    let object = api.patch("acme", &PatchParams::default(), &Patch::Merge(&suspend)).await.expect("an object");
    assert_eq!(object.kstatus(), Kstatus::InProgress, "the conditions speak of the generation before");
    sandbox.delete::<Connection>("acme").await;
    let object = sandbox.get::<Connection>("acme").await.expect("kept by its finalizer");
    assert_eq!(object.kstatus(), Kstatus::Terminating);
}

#[tokio::test]
async fn columns_are_as_people_know_them() {
    let sandbox = Sandbox::new("columns").await;
    sandbox.apply(&format!("{STORE}---{ACCOUNT}---{INSTANCE}")).await;
    let header = async |args: &[&str]| -> String {
        let said = sandbox.kubectl(args).await;
        assert!(said.ok, "{}", said.err);
        said.out.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(header(&["get", "conn"]).await, "NAME PROVIDER PLATFORM READY STATUS EXTERNAL-ID LAST-SYNC AGE");
    let wide = header(&["get", "conn", "--output=wide"]).await;
    assert!(wide.ends_with("LAST-SYNC AGE SYNCED CREDENTIALS REFRESH DELETION SUSPENDED MESSAGE"), "{wide}");
    assert_eq!(header(&["get", "pacct"]).await, "NAME PROVIDER READY STATUS AGE");
    assert_eq!(header(&["get", "ii"]).await, "NAME PLATFORM READY STATUS EXTERNAL-ID REFRESH AGE");
    let wide = header(&["get", "ii", "--output=wide"]).await;
    assert!(wide.ends_with("REFRESH AGE SYNCED CREDENTIALS DELETION SUSPENDED MESSAGE"), "{wide}");
    let row = sandbox.kubectl(&["get", "ii", "acme", "--no-headers"]).await.out;
    assert!(row.split_whitespace().take(4).eq(["acme", "big-commerce", "Unknown", "Progressing"]), "{row}");
    let row = sandbox.kubectl(&["get", "conn", "acme", "--no-headers"]).await.out;
    assert!(row.split_whitespace().take(5).eq(["acme", "Rutter", "BIG_COMMERCE", "Unknown", "Progressing"]), "{row}");
    let category = sandbox.kubectl(&["get", "tradewind", "--output=name"]).await.out;
    let all = [
        "connection.tradewind.dev/acme",
        "integrationinstance.tradewind.dev/acme",
        "provideraccount.tradewind.dev/rutter",
    ];
    // Shared accounts are no namespace's: another test's may be there.
    let ours = category.lines().filter(|name| !name.starts_with("clusterprovideraccount."));
    assert_eq!(ours.collect::<Vec<_>>(), all);
    let all = sandbox.kubectl(&["get", "all", "--output=name"]).await.out;
    assert!(!all.contains("tradewind"), "`kubectl delete all --all` must not delete stores: {all}");
}

#[tokio::test]
async fn objects_are_found_by_field() {
    let sandbox = Sandbox::new("selectors").await;
    sandbox.apply(STORE).await;
    sandbox.apply(&STORE.replace("name: acme}", "name: other}").replace("{name: rutter}", "{name: second}")).await;
    let found = async |selector: &str| -> Vec<String> {
        let list = sandbox.api::<Connection>().list(&ListParams::default().fields(selector)).await.expect("a list");
        list.iter().map(ResourceExt::name_any).collect()
    };
    assert_eq!(found("spec.provider=Rutter,spec.platform=BIG_COMMERCE,spec.accountRef.name=second").await, ["other"]);
    assert_eq!(found("spec.provider=Rutter,spec.accountRef.name!=second").await, ["acme"]);
    assert_eq!(found("spec.platform=SHOPIFY").await, [""; 0]);
    sandbox.apply(INSTANCE).await;
    let instances = async |selector: &str| {
        let params = ListParams::default().fields(selector);
        sandbox.api::<IntegrationInstance>().list(&params).await.expect("a list").items.len()
    };
    assert_eq!(instances("spec.provider=SkuIo,spec.platform=big-commerce,spec.accountRef.name=sku").await, 1);
    assert_eq!(instances("spec.accountRef.name=other").await, 0);
}

#[tokio::test]
async fn an_external_ref_is_free_until_it_is_set() {
    let sandbox = Sandbox::new("rules").await;
    sandbox.apply(&format!("{STORE}  managementPolicy: ObserveOnly\n")).await;
    let api = sandbox.api::<Connection>();
    let set = async |id: &str| {
        let patch = json!({"spec": {"externalRef": {"id": id}}});
        api.patch("acme", &PatchParams::default(), &Patch::Merge(&patch)).await
    };
    set("r-1").await.expect("the first time");
    let again = set("r-2").await.expect_err("the second time");
    assert!(again.to_string().contains("externalRef is immutable once set"), "{again}");
}

#[tokio::test]
async fn a_null_is_the_same_as_nothing() {
    let sandbox = Sandbox::new("nulls").await;
    let yaml = format!("{STORE}  deletionPolicy: null\n  adoptionPolicy: null\n  externalRef: null\n");
    let object = documents(&yaml).remove(0);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let stored =
        sandbox.dynamic_api(&object).await.create(&params, &object).await.expect("kubectl edit leaves nulls behind");
    assert_eq!(stored.data["spec"]["adoptionPolicy"], "Fail", "the default");
    assert!(stored.data["spec"].get("deletionPolicy").is_none(), "{stored:?}");
}

/// The settings that `null` unsets, with a value of theirs.
const UNSETTABLE: [(&str, &str); 9] = [
    ("salesNominalCodeId", "7"),
    ("cogsNominalCodeId", "7"),
    ("shippingRevenueNominalCodeId", "7"),
    ("shippingRefundNominalCodeId", "7"),
    ("salesReturnsAllowancesNominalCodeId", "7"),
    ("proformaMarketplaceCostPercentage", "2.5"),
    ("proformaPaymentCostPercentage", "0"),
    ("batchPeriodSalesOrderFulfillments", "daily"),
    ("batchPeriodCustomerReturns", "monthly"),
];

/// The instance with these settings.
fn with_settings(settings: &Value) -> Value {
    let mut object = serde_json::to_value(documents(INSTANCE).remove(0)).expect("JSON");
    object["spec"]["settings"] = settings.clone();
    object
}

/// The settings as they are stored.
async fn stored_settings(sandbox: &Sandbox) -> Value {
    let object = documents(INSTANCE).remove(0);
    let stored = sandbox.dynamic_api(&object).await.get("acme").await.expect("the instance");
    stored.data["spec"]["settings"].clone()
}

#[tokio::test]
async fn a_null_that_unsets_a_setting_is_kept_by_create_and_by_server_side_apply() {
    let sandbox = Sandbox::new("null-kept").await;
    let nulls: Value =
        UNSETTABLE.iter().map(|(name, _)| ((*name).to_owned(), Value::Null)).collect::<serde_json::Map<_, _>>().into();
    let text = with_settings(&nulls).to_string();
    for mode in [&["create"][..], &["apply", "--server-side"]] {
        let said = sandbox.kubectl_with(&[mode, &["--validate=strict", "--filename=-"]].concat(), &text).await;
        assert!(said.ok && said.err.is_empty(), "{mode:?}: {}", said.err);
        assert_eq!(stored_settings(&sandbox).await, nulls, "{mode:?}");
        sandbox.delete::<IntegrationInstance>("acme").await;
    }
    // As the operator reads it: null is something else than nothing.
    sandbox.apply(&text).await;
    let read = sandbox.get::<IntegrationInstance>("acme").await.expect("the instance").spec.settings;
    assert_eq!(serde_json::to_value(read).expect("JSON"), nulls);
}

/// Why the field's description tells people to apply on the server's side.
#[tokio::test]
async fn a_null_never_arrives_by_client_side_apply() {
    let sandbox = Sandbox::new("null-client").await;
    for settings in [json!({"salesNominalCodeId": null}), json!({"salesNominalCodeId": 7})] {
        let said = sandbox.kubectl_with(&["apply", "--filename=-"], &with_settings(&settings).to_string()).await;
        assert!(said.ok, "{}", said.err);
    }
    let text = with_settings(&json!({"salesNominalCodeId": null})).to_string();
    assert!(sandbox.kubectl_with(&["apply", "--filename=-"], &text).await.ok);
    assert_eq!(stored_settings(&sandbox).await, json!({}));
}

#[tokio::test]
async fn a_value_becomes_null_and_nothing_by_server_side_apply() {
    let sandbox = Sandbox::new("null-ssa").await;
    for (name, value) in UNSETTABLE {
        let value: Value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        for settings in [json!({name: value}), json!({name: null}), json!({name: value}), json!({})] {
            sandbox.apply(&with_settings(&settings).to_string()).await;
            assert_eq!(stored_settings(&sandbox).await, settings, "{name}");
        }
    }
}

#[tokio::test]
async fn a_null_where_nothing_can_be_unset_is_the_same_as_nothing() {
    let sandbox = Sandbox::new("null-dropped").await;
    let all = [
        "storeHash",
        "startDate",
        "storeId",
        "autoLinkProducts",
        "autoCreateProducts",
        "syncSalesOrderInvoicesToAccounting",
        "syncSalesCreditToAccounting",
    ];
    let nulls: Value =
        all.iter().map(|name| ((*name).to_owned(), Value::Null)).collect::<serde_json::Map<_, _>>().into();
    let mut object = with_settings(&nulls);
    for name in ["integrationId", "automaticSync", "deletionPolicy", "externalRef", "replacementPolicy"] {
        object["spec"][name] = Value::Null;
    }
    let params = PostParams::default();
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let api = sandbox.dynamic_api(&object).await;
    let stored = api.create(&params, &object).await.expect("kubectl edit leaves nulls behind");
    let spec = stored.data["spec"].as_object().expect("a spec");
    assert_eq!(spec["settings"], json!({}), "{spec:?}");
    assert!(["integrationId", "automaticSync", "externalRef"].iter().all(|name| !spec.contains_key(*name)), "{spec:?}");

    // Server-side apply would own them, and is refused instead.
    let refused = sandbox.try_apply(&with_settings(&nulls).to_string()).await.expect_err("a refusal").to_string();
    assert!(refused.contains("spec.settings.storeId in body must be of type integer"), "{refused}");
}
