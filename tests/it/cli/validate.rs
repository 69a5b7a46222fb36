//! `tradewind validate` says offline what the API server and the operator would say.

use std::path::Path;

use http::Request;
use serde_json::{Value, json};

use super::{Ran, run, run_with};
use crate::cluster::{Sandbox, documents};
use crate::manifests::cases::{self, Check};

/// Checks manifests in one run, and returns what was found in each.
fn findings(objects: &[Value]) -> Vec<Vec<String>> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let ran = run_with(&["validate", "--filename=-", "--output=json"], &list.to_string());
    let documents = ran.json()["documents"].as_array().cloned().expect("documents");
    assert_eq!(documents.len(), objects.len());
    let text = |finding: &Value| {
        format!("{}: {}", finding["path"].as_str().expect("a path"), finding["message"].as_str().expect("a message"))
    };
    let of = |document: &Value| document["findings"].as_array().expect("findings").iter().map(text).collect();
    documents.iter().map(of).collect()
}

#[test]
fn the_rules_for_new_objects_refuse_and_pass_as_the_api_server_does() {
    let (mut messages, mut bad, mut good) = (vec![], vec![], vec![]);
    for case in cases::all() {
        let Check::OnCreate { refused, passes } = &case.check else { continue };
        bad.push(cases::overlaid(&case.object, refused));
        good.push(cases::overlaid(&case.object, passes));
        messages.push(case.message);
    }
    assert!(messages.len() > 15, "the cases are found");
    for ((message, object), found) in messages.iter().zip(&bad).zip(findings(&bad)) {
        assert!(found.iter().any(|finding| finding.contains(message)), "wanted `{message}`, found {found:?}: {object}");
    }
    for (object, found) in good.iter().zip(findings(&good)) {
        // What this version does not serve, and what else a create needs, is another matter.
        let other =
            ["(UnsupportedPlatform)", "SKU.io needs it to create an instance", "spec.arcus.shop is missing: write"];
        let broken: Vec<_> =
            found.iter().filter(|finding| !other.iter().any(|other| finding.contains(other))).collect();
        assert!(broken.is_empty(), "{broken:?}: {object}");
    }
}

#[test]
fn the_schema_refuses_the_fields_that_the_api_server_refuses() {
    let cases = cases::schema();
    let objects: Vec<_> = cases.iter().map(|(object, change)| cases::overlaid(object, &change.patch)).collect();
    for ((_, change), found) in cases.iter().zip(findings(&objects)) {
        // The server's words begin with the path; some name only its end.
        let path = change.says.split([':', ' ']).next().expect("a path");
        let named = |finding: &String| finding.split(": ").next().is_some_and(|ours| ours.ends_with(path));
        let bound = change.says.starts_with("should be") && found.len() == 1;
        assert!(bound || found.iter().any(named), "{}: found {found:?}", change.says);
    }
}

#[test]
fn the_examples_are_good() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let ran = run(&["validate", "-R", "-f", examples]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
}

#[test]
fn a_good_file_is_good() {
    let ran = run_with(&["validate", "-f", "-"], &format!("{}---{}", super::ACCOUNT, super::STORE));
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "2 valid, 0 invalid\n", ""));
}

#[test]
fn a_good_instance_is_good_also_with_settings_that_it_unsets() {
    let with = |settings: &str| super::INSTANCE.replace("{storeHash", &format!("{{{settings}, storeHash"));
    let good = with(
        "salesNominalCodeId: null, proformaMarketplaceCostPercentage: 2.5, proformaPaymentCostPercentage: null, \
         batchPeriodSalesOrderFulfillments: null, batchPeriodCustomerReturns: daily",
    );
    let ran = run_with(&["validate", "-f", "-"], &good);
    // What this version does not serve is another matter.
    assert!(ran.out.starts_with("1 valid") || ran.out.contains("(UnsupportedPlatform)"), "{}", ran.out);
    let bad = with(
        "salesNominalCodeId: 0, proformaMarketplaceCostPercentage: 100.5, proformaPaymentCostPercentage: few, \
         batchPeriodSalesOrderFulfillments: weekly, cogsNominalCodeId: 1.5",
    );
    let ran = run_with(&["validate", "-f", "-"], &bad);
    assert_eq!(ran.code, Some(3));
    insta::assert_snapshot!("validate-bad-instance", ran.out);
}

const BAD: &str = "
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata:
  name: Acme
  labels: {tier: 1}
spec:
  provider: Ruter
  plattform: BIG_COMMERCE
  accountRef: {}
---
apiVersion: v1
kind: Secret
metadata: {name: of-others}
---
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: no-credentials}
spec: {provider: Rutter, platform: BIG_COMMERCE, accountRef: {name: rutter}, rutter: {}}
---
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: wrong-host}
spec:
  provider: Rutter
  platform: BIG_COMMERCE
  accountRef: {name: rutter}
  rutter: {credentialsSecretRef: {name: s}, parameters: {store_url: shop.example.com}}
---
apiVersion: tradewind.dev/v1alpha1
kind: ProviderAccount
metadata: {name: elsewhere}
spec: {provider: Rutter, credentialsSecretRef: {name: s}, endpoint: \"https://proxy.example.com/versioned\"}
---
apiVersion: tradewind.dev/v2
kind: Connection
metadata: {name: of-tomorrow}
---
apiVersion: tradewind.dev/v1alpha1
kind: Conection
metadata: {name: misspelled}
";

#[test]
fn a_bad_file_says_what_to_write_where() {
    let ran = run_with(&["validate", "-f", "-"], BAD);
    assert_eq!((ran.code, ran.err.as_str()), (Some(3), ""));
    insta::assert_snapshot!("validate-bad", ran.out);
    let json = run_with(&["validate", "-f", "-", "-o", "json"], BAD);
    assert_eq!(
        (json.code, json.json()["invalid"].clone(), json.json()["other"].clone()),
        (Some(3), json!(6), json!(1))
    );
    let allowed = run_with(&["validate", "-f", "-", "--allow-endpoint=https://proxy.example.com"], BAD);
    assert!(!allowed.out.contains("elsewhere"), "{}", allowed.out);
}

#[test]
fn nothing_to_check_is_no_success() {
    let others = run_with(&["validate", "-f", "-"], "{apiVersion: v1, kind: Secret}");
    assert_eq!((others.code, others.err.as_str()), (Some(3), "Error: -: no document of tradewind.dev/v1alpha1\n"));
    let missing = run(&["validate", "-f", "/nowhere/a.yaml"]);
    assert_eq!(missing.code, Some(3));
    assert!(missing.err.starts_with("Error: /nowhere/a.yaml: "), "{}", missing.err);
}

#[test]
fn a_secret_in_a_broken_file_is_not_repeated() {
    let broken = "{apiVersion: v1, kind: Secret, stringData: {token: test-canary-0d1f}}\n---\na: 'test-canary-0d1f\n";
    let in_the_open = super::STORE.replace("store_url:", "oauth_access_token: test-canary-0d1f, store_url:");
    let wrong_place =
        super::STORE.replace("scope:", "").replace("platform: BIG_COMMERCE", "platform: 'test-canary-0d1f!'");
    for text in [broken, &in_the_open, &wrong_place] {
        for output in ["text", "json"] {
            let Ran { code, out, err } = run_with(&["validate", "-f", "-", "-o", output], text);
            assert_eq!(code, Some(3), "{out}");
            assert!(!out.contains("canary") && !err.contains("canary"), "{out}{err}");
        }
    }
}

#[test]
fn a_folder_is_its_manifests() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("validate-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("deeper")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    write("b.yaml", super::STORE);
    write("a.json", &json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection"}).to_string());
    write("notes.txt", "a: 'b");
    write("deeper/c.yml", super::ACCOUNT);
    let name = folder.to_str().expect("a path");
    let flat = run(&["validate", "-f", name]);
    let deep = run(&["validate", "-f", name, "-R"]);
    std::fs::remove_dir_all(&folder).expect("no folder");
    assert_eq!(
        flat.out.replace(name, "F"),
        "F/a.json:1: Connection/?: metadata.name: is missing\nF/a.json:1: Connection/?: spec: is missing\n1 valid, 1 invalid\n"
    );
    assert!(deep.out.ends_with("2 valid, 1 invalid\n"), "{}", deep.out);
}

/// What the API server stores of an object that is sent as kubectl sends it, or its refusal.
async fn stored(sandbox: &Sandbox, object: &Value) -> kube::Result<Value> {
    let plural = format!("{}s", object["kind"].as_str().expect("a kind").to_lowercase());
    let (version, namespace) = (object["apiVersion"].as_str().expect("a version"), sandbox.namespace());
    let url = format!("/apis/{version}/namespaces/{namespace}/{plural}?dryRun=All&fieldValidation=Strict");
    let request = Request::post(url).header("content-type", "application/json").body(object.to_string().into_bytes());
    sandbox.client().request(request.expect("a request")).await
}

/// A manifest of the tests above with something laid over it.
fn with(manifest: &str, change: &Value) -> Value {
    let object = serde_json::to_value(documents(manifest).remove(0)).expect("JSON");
    cases::overlaid(&object, change)
}

#[tokio::test]
async fn a_null_is_judged_as_the_api_server_stores_it() {
    let sandbox = Sandbox::new("cli-validate-null").await;
    let connector = |arcus: Value| {
        let mut object = with(super::CONNECTOR, &json!({}));
        let fields = arcus.as_object().expect("fields").clone();
        object["spec"]["arcus"].as_object_mut().expect("an object").extend(fields);
        object
    };
    let mut parameters = with(super::STORE, &json!({}));
    parameters["spec"]["rutter"]["parameters"]["other"] = json!(null);
    let mut settings = with(super::INSTANCE, &json!({}));
    settings["spec"]["settings"]["salesNominalCodeId"] = json!(null);
    let mut annotated = with(super::STORE, &json!({}));
    annotated["metadata"]["annotations"] = json!({"example.com/note": null});
    let free = json!({"region": null, "deep": {"a": null, "b": [null, {"c": null}]}});
    let cases = [
        (connector(json!({"displayName": null})), "/spec/arcus/displayName", None),
        (connector(json!({"config": free})), "/spec/arcus/config", Some(free.clone())),
        (connector(json!({"config": {"apiKey": null}})), "/spec/arcus/config/apiKey", Some(json!(null))),
        (parameters, "/spec/rutter/parameters/other", None),
        (settings, "/spec/settings/salesNominalCodeId", Some(json!(null))),
        (annotated, "/metadata/annotations/example.com~1note", Some(json!(""))),
    ];
    for (object, place, kept) in cases {
        let stored = stored(&sandbox, &object).await.unwrap_or_else(|error| panic!("{error}: {object}"));
        assert_eq!(stored.pointer(place), kept.as_ref(), "{object}");
        let found = findings(&[object.clone(), stored]);
        assert_eq!(found[0], found[1], "{object}");
        assert_eq!(found[0].is_empty(), !place.ends_with("apiKey"), "{found:?}: {object}");
    }
    let unknown = connector(json!({"nickname": null}));
    let refusal = stored(&sandbox, &unknown).await.expect_err("a refusal").to_string();
    assert!(refusal.contains("unknown field \"spec.arcus.nickname\""), "{refusal}");
    assert_eq!(findings(&[unknown])[0], ["spec.arcus.nickname: is no field that exists: is it misspelled?"]);
}

/// Connections of Arcus, and others that a merchant authorizes, each wrong in one way that no schema sees.
const BAD_CONNECTORS: &str = "
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: credentials}
spec:
  provider: Arcus
  platform: shippo
  accountRef: {name: arcus}
  arcus: {mode: Live, config: {carriers: [{region: eu, access-Token: test-canary-0d1f}]}}
---
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: unknown-type}
spec: {provider: Arcus, platform: telegraph, accountRef: {name: arcus}, arcus: {mode: Live}}
---
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: own-domain}
spec:
  provider: Arcus
  platform: shopify
  accountRef: {name: arcus}
  arcus: {mode: Live, shop: shop.example.com}
  connectionSecretRef: {name: s}
---
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: no-place-for-a-link}
spec:
  provider: Arcus
  platform: shopify
  accountRef: {name: arcus}
  arcus: {mode: Live, shop: acme.myshopify.com}
---
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: field-of-another-type}
spec: {provider: Arcus, platform: shippo, accountRef: {name: arcus}, arcus: {mode: Live, sellerId: s-1}}
---
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: another-id}
spec:
  provider: Arcus
  platform: shippo
  accountRef: {name: arcus}
  arcus: {mode: Live}
  adoptionPolicy: Match
  deletionPolicy: Retain
  externalRef: {id: stripe}
---
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: no-place-for-rutters-link}
spec:
  provider: Rutter
  accountRef: {name: rutter}
  rutter: {authorization: Link}
  deletionPolicy: Delete
---
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: scope-by-link}
spec:
  provider: Rutter
  accountRef: {name: rutter}
  rutter: {authorization: Link, scope: orders}
  deletionPolicy: Delete
  connectionSecretRef: {name: s}
---
apiVersion: tradewind.dev/v1alpha1
kind: ProviderAccount
metadata: {name: elsewhere}
spec: {provider: Arcus, credentialsSecretRef: {name: s}, endpoint: \"https://arcus.example.com/v1\"}
---
apiVersion: tradewind.dev/v1alpha1
kind: ProviderAccount
metadata: {name: no-version}
spec: {provider: Arcus, credentialsSecretRef: {name: s}, arcus: {version: latest}}
";

#[test]
fn a_bad_connector_says_what_to_write_and_repeats_no_credential() {
    let ran = run_with(&["validate", "-f", "-"], BAD_CONNECTORS);
    assert_eq!((ran.code, ran.err.as_str()), (Some(3), ""));
    assert!(!ran.out.contains("canary"), "{}", ran.out);
    insta::assert_snapshot!("validate-bad-connectors", ran.out);
    let allowed = run_with(&["validate", "-f", "-", "--allow-endpoint=https://arcus.example.com"], BAD_CONNECTORS);
    assert!(!allowed.out.contains("elsewhere"), "{}", allowed.out);
}

#[test]
fn good_connectors_are_good() {
    let account = super::ACCOUNT.replace("rutter", "arcus").replace("Rutter", "Arcus");
    let of_type = |platform: &str, settings: &str| {
        let platform = format!("platform: {platform}");
        let settings = format!("arcus: {{mode: Sandbox{settings}}}");
        super::CONNECTOR
            .replace("platform: shopify", &platform)
            .replace("arcus: {mode: Live, shop: acme.myshopify.com}", &settings)
    };
    let manifests = [
        account,
        super::CONNECTOR.to_owned(),
        of_type("shippo", ", active: false, config: {label: {format: pdf}}, shipFrom: {city: Bonn}"),
        of_type("amazon", ", sellerId: s-1"),
        of_type("plaid", ", bankAccountId: b-1"),
        // A shop is asked for only where the connector has to be made.
        of_type("shopify", "").replace("spec:", "spec:\n  adoptionPolicy: Match\n  deletionPolicy: Retain"),
    ];
    let ran = run_with(&["validate", "-f", "-"], &manifests.join("---"));
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "6 valid, 0 invalid\n", ""));
}

/// What a create needs is asked of what is to be created.
#[test]
fn a_new_object_that_the_operator_would_refuse_is_refused() {
    let start = |day: &str| {
        let sync = json!({"orders": {"startDate": day}});
        with(super::STORE, &json!({"spec": {"sync": sync}}))
    };
    let instance = |change: Value| with(super::INSTANCE, &json!({"spec": change}));
    let untyped = |change: &Value| cases::overlaid(&instance(json!({"integrationId": null})), &json!({"spec": change}));
    let shopify = |change: Value| {
        let object = with(super::CONNECTOR, &json!({"spec": {"arcus": {"shop": null}}}));
        cases::overlaid(&object, &json!({"spec": change}))
    };
    let observed = json!({"managementPolicy": "ObserveOnly"});
    let adopted = json!({"adoptionPolicy": "Match", "deletionPolicy": "Retain"});
    let cases = [
        (start("2999-01-01"), Some("startDate lies in the future")),
        (start("2001-01-01"), Some("startDate lies more than 5 years back")),
        (instance(json!({"settings": null})), Some("is missing: SKU.io needs it to create an instance")),
        (untyped(&json!({})), Some("spec.integrationId is missing")),
        (untyped(&adopted), None),
        (untyped(&observed), None),
        (untyped(&json!({"suspend": true})), None),
        (shopify(json!({})), Some("spec.arcus.shop is missing")),
        (shopify(json!({"arcus": {"mode": "Sandbox"}})), Some("spec.arcus.shop is missing")),
        (shopify(adopted), None),
        (shopify(observed), None),
    ];
    let objects: Vec<_> = cases.iter().map(|(object, _)| object.clone()).collect();
    for ((object, expected), found) in cases.iter().zip(findings(&objects)) {
        let fits = match expected {
            Some(says) => found.len() == 1 && found[0].contains(says) && found[0].ends_with("(InvalidSpec)"),
            None => found.is_empty(),
        };
        assert!(fits, "wanted {expected:?}, found {found:?}: {object}");
    }
}

#[tokio::test]
async fn metadata_is_judged_as_by_the_api_server() {
    let sandbox = Sandbox::new("cli-validate-metadata").await;
    for (change, says) in [
        (json!({"lables": {"tier": "a"}}), Some("unknown field \"metadata.lables\"")),
        (json!({"labels": {"tier": "a b"}}), Some("metadata.labels")),
        (json!({"labels": {"a b": ""}}), Some("metadata.labels")),
        (json!({"annotations": {"a/b/c": ""}}), Some("metadata.annotations")),
        (json!({"name": null, "generateName": "Bad_"}), Some("generateName")),
        (json!({"name": 123}), Some("metadata.name")),
        (json!({"name": null, "generateName": "acme-"}), None),
        (json!({"labels": {"app.kubernetes.io/Name": "A_b.c", "tier": ""}, "annotations": {"Note": "a b"}}), None),
    ] {
        let object = with(super::STORE, &json!({"metadata": change}));
        let stored = stored(&sandbox, &object).await;
        let found = findings(std::slice::from_ref(&object)).remove(0);
        match says {
            Some(says) => {
                let refusal = stored.expect_err("a refusal").to_string();
                assert!(refusal.contains(says) || change["name"] == 123, "{refusal}");
                assert_eq!(found.len(), 1, "{found:?}: {object}");
            }
            None => assert_eq!((stored.is_ok(), found), (true, vec![]), "{object}"),
        }
    }
}

/// What nobody can tell the kind of is refused by kubectl, also beside what is good.
#[test]
fn an_object_without_a_kind_is_not_passed_over() {
    let good = super::STORE;
    for (text, says) in [
        ("kind: Connection\nmetadata: {name: a}", "-:14: Connection/a: apiVersion: is missing\n"),
        ("apiversion: v1\nkind: Secret\nmetadata: {name: a}", "-:14: Secret/a: apiVersion: is missing\n"),
        ("apiVersion: v1\nmetadata: {name: a}", "-:14: ?/a: kind: is missing\n"),
    ] {
        let ran = run_with(&["validate", "-f", "-"], &format!("{good}---\n{text}\n"));
        assert_eq!((ran.code, ran.out.as_str()), (Some(3), format!("{says}1 valid, 1 invalid\n").as_str()), "{text}");
    }
    // Values and the like lie beside manifests, and are meant for nobody's cluster.
    let values = run_with(&["validate", "-f", "-"], &format!("{good}---\nreplicas: 1\n---\napiVersion: v2\n"));
    assert_eq!((values.code, values.out.as_str()), (Some(0), "1 valid, 0 invalid, 2 of other kinds\n"));
    let list = json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": "ConnectionList", "items": [
        with(super::STORE, &json!({})), {"metadata": {"name": "b"}, "spec": {}},
    ]});
    let ran = run_with(&["validate", "-f", "-"], &list.to_string());
    assert!(ran.out.contains("-:1: Connection/b: spec.provider: is missing"), "{}", ran.out);
    assert!(ran.out.ends_with("1 valid, 1 invalid\n"), "{}", ran.out);
}
