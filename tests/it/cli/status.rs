//! `tradewind status`: the overview, one object, and the verdict for scripts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, ResourceExt};
use serde_json::json;
use tradewind::api::v1alpha1::IntegrationInstance;

use super::between::Between;
use super::{
    ACCOUNT, asking, condition, forge, forge_of, instance, instance_asking, intent, ready_to_run, run_in, store,
};
use crate::cluster::{HANG, Sandbox, control_plane};

#[tokio::test]
async fn the_overview_says_who_has_to_act() {
    let sandbox = Sandbox::new("cli-status").await;
    let empty = run_in(&sandbox, &["status"]).await;
    assert_eq!(
        empty.out,
        format!("No accounts, connections or integration instances in namespace {}\n", sandbox.namespace())
    );
    sandbox.apply(ACCOUNT).await;
    sandbox.apply(&super::STORE.replace("name: acme,", "name: other,")).await;
    asking(&sandbox, "CreateOutcomeUnknown").await;
    let ran = run_in(&sandbox, &["status"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!("status-overview", ran.out);

    let items = run_in(&sandbox, &["status", "-o", "json"]).await.json()["items"].clone();
    let told =
        |name: &str| items.as_array().expect("items").iter().find(|item| item["name"] == name).cloned().expect("it");
    assert_eq!(told("acme")["waitsFor"], "person");
    assert_eq!(told("acme")["creation"]["candidates"], json!(["r-1", "r-2"]));
    assert_eq!(told("other")["waitsFor"], "operator");
    assert_eq!(told("rutter")["kind"], "ProviderAccount");

    let kubeconfig = control_plane().await.kubeconfig().to_str().expect("a path");
    let all = super::run(&["status", "-A", "--kubeconfig", kubeconfig]);
    let line = all.out.lines().find(|line| line.contains(sandbox.namespace()) && line.contains("acme")).expect("a row");
    let head = all.out.lines().any(|line| line.starts_with("NAMESPACE"));
    assert!(head && line.contains("BIG_COMMERCE"), "{}", all.out);
}

#[tokio::test]
async fn shared_accounts_are_told_beside_those_of_namespaces() {
    let sandbox = Sandbox::new("cli-shared").await;
    let name = sandbox.namespace();
    sandbox
        .apply(
            &ACCOUNT
                .replace("kind: ProviderAccount", "kind: ClusterProviderAccount")
                .replace("name: rutter}", &format!("name: {name}}}"))
                .replace("{name: rutter-api}", "{name: rutter-api, namespace: logins}"),
        )
        .await;
    let ran = run_in(&sandbox, &["status", &format!("cpacct/{name}"), "-o", "json"]).await;
    assert_eq!((ran.code, ran.json()["kind"].as_str()), (Some(0), Some("ClusterProviderAccount")), "{ran:?}");
    let missing = run_in(&sandbox, &["status", "cpacct/none"]).await;
    assert!(missing.code == Some(1) && missing.err.contains("there is no ClusterProviderAccount none"), "{missing:?}");
    let all = run_in(&sandbox, &["status", "-A"]).await.out;
    assert!(all.contains("SHARED ACCOUNT") && all.lines().any(|line| line.starts_with(name)), "{all}");
    assert!(!run_in(&sandbox, &["status"]).await.out.contains("SHARED"), "a namespace has none");
    assert_eq!(ran.json().get("namespace"), None, "it is in none");
    let one = run_in(&sandbox, &["status", &format!("cpacct/{name}")]).await.out;
    assert_eq!(one.lines().next(), Some(format!("ClusterProviderAccount {name}").as_str()), "{one}");

    let asked = run_in(&sandbox, &["reconcile", &format!("cpacct/{name}"), "--no-wait", "-o", "json"]).await;
    assert_eq!((asked.code, asked.err.as_str()), (Some(0), ""));
    assert_eq!((&asked.json()["name"], asked.json().get("namespace")), (&json!(name), None));
    let waited = run_in(&sandbox, &["reconcile", &format!("cpacct/{name}"), "--timeout", "1s"]).await;
    assert!(
        waited.code == Some(1) && waited.err.contains("does it watch all namespaces? The request"),
        "{}",
        waited.err
    );
}

/// Gives the operator's service account the right to list these kinds in all namespaces, until [`withdraw`].
async fn may_list(sandbox: &Sandbox, resources: &[&str]) {
    let name = sandbox.namespace();
    let created = PostParams::default();
    let role: ClusterRole = serde_json::from_value(json!({
        "metadata": {"name": name},
        "rules": [{"apiGroups": ["tradewind.dev"], "resources": resources, "verbs": ["list"]}],
    }))
    .expect("a role");
    Api::all(sandbox.client().clone()).create(&created, &role).await.expect("a role");
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "tradewind", "namespace": name}],
    }))
    .expect("a binding");
    Api::all(sandbox.client().clone()).create(&created, &binding).await.expect("a binding");
}

async fn withdraw(sandbox: &Sandbox) {
    let (name, delete) = (sandbox.namespace(), DeleteParams::default());
    Api::<ClusterRoleBinding>::all(sandbox.client().clone()).delete(name, &delete).await.expect("no binding");
    Api::<ClusterRole>::all(sandbox.client().clone()).delete(name, &delete).await.expect("no role");
}

#[tokio::test]
async fn who_may_not_list_shared_accounts_sees_all_else() {
    let sandbox = Sandbox::new("cli-shared").await;
    sandbox.apply(ACCOUNT).await;
    may_list(&sandbox, &["provideraccounts", "connections", "integrationinstances"]).await;
    let kubeconfig = sandbox.operator_kubeconfig().to_str().expect("a path");
    let run = |more: &[&str]| super::run(&[&["status", "-A", "--kubeconfig", kubeconfig], more].concat());
    // The authorizer follows by a watch of its own.
    let followed = async {
        loop {
            let ran = run(&[]);
            if ran.code == Some(0) {
                break ran;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ran = tokio::time::timeout(HANG, followed).await.expect("a right");
    let json = run(&["-o", "json"]);
    let verdict = run(&["--exit-code"]);
    withdraw(&sandbox).await;
    assert_eq!(verdict.code, Some(1), "nobody knows what the shared accounts wait for: {}", verdict.out);
    for warned in [&ran.err, &json.err] {
        assert!(warned.starts_with("Warning: shared accounts are left out: you may not do this: "), "{warned}");
        assert!(warned.lines().count() == 1 && warned.contains("Ask whoever runs the cluster"), "{warned}");
    }
    assert!(
        ran.out.lines().any(|line| line.starts_with(sandbox.namespace()) && line.contains("rutter")),
        "{}",
        ran.out
    );
    assert!(json.code == Some(0) && json.json()["items"].as_array().is_some_and(|items| !items.is_empty()));
}

/// An output without what differs from run to run.
fn timeless(sandbox: &Sandbox, out: &str) -> String {
    let days = regex::Regex::new(r"\b[0-9]+d\b").expect("a pattern");
    days.replace_all(&out.replace(sandbox.namespace(), "NAMESPACE"), "000d").into_owned()
}

#[tokio::test]
async fn instances_have_a_table_of_their_own() {
    let sandbox = Sandbox::new("cli-status").await;
    instance_asking(&sandbox, "CreateOutcomeUnknown").await;
    let alone = run_in(&sandbox, &["status"]).await;
    assert!(alone.out.starts_with("INSTANCE ") && !alone.out.contains("CONNECTION "), "{}", alone.out);
    store(&sandbox, json!({"conditions": [condition("Ready", "True", "Succeeded", "It works")], "externalId": "r-1"}))
        .await;
    let ran = run_in(&sandbox, &["status"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!("status-overview-instances", ran.out);
    assert_eq!(run_in(&sandbox, &["status", "--exit-code"]).await.code, Some(4));
    let kinds = async |name: &str| run_in(&sandbox, &["status", name, "-o", "json"]).await.json()["kind"].clone();
    assert_eq!(kinds("acme").await, "Connection", "a bare name is a Connection's");
    assert_eq!(kinds("ii/acme").await, "IntegrationInstance");
}

#[tokio::test]
async fn one_instance_is_told_whole() {
    let sandbox = Sandbox::new("cli-status").await;
    let uid = instance(&sandbox, json!({})).await.uid().expect("a UID");
    let mut creation = intent(&uid, 1);
    creation["key"] = json!("acme-outdoor-bc");
    let refresh = json!({
        "products": {"token": "initial", "state": "Accepted", "at": "2025-01-01T00:00:00Z"},
        "orders": {"token": "2025-01-02", "state": "Failed", "at": "2025-01-01T00:00:00Z", "job": "77"},
    });
    forge_of::<IntegrationInstance>(
        &sandbox,
        json!({
            "conditions": [condition("Ready", "True", "Succeeded", "The instance works")],
            "externalId": "42", "account": "acme", "creation": {"intent": creation, "settledAttempt": 1},
            "refresh": refresh, "lastAction": {"cause": "Created", "at": "2025-01-01T00:00:00Z"},
        }),
    )
    .await;
    let ran = run_in(&sandbox, &["status", "integrationinstance/acme"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!("status-instance", timeless(&sandbox, &ran.out));
    let view = run_in(&sandbox, &["status", "ii/acme", "-o", "json"]).await.json();
    assert_eq!((&view["kind"], &view["refresh"]), (&json!("IntegrationInstance"), &refresh));
}

#[tokio::test]
async fn one_object_is_told_whole() {
    let sandbox = Sandbox::new("cli-status").await;
    let uid = store(&sandbox, json!({})).await.uid().expect("a UID");
    forge(
        &sandbox,
        json!({
            "conditions": [
                condition("Ready", "True", "Succeeded", "The connection works"),
                condition("Synced", "False", "DriftDetected", "The record differs in spec.rutter.scope. Correcting it"),
                condition("Reconciling", "True", "Updating", "The record differs in spec.rutter.scope. Correcting it"),
            ],
            "externalId": "r-1", "account": "org-1", "platform": "BIG_COMMERCE", "storeName": "Acme Outdoor",
            "storeDomain": "acme.example.com", "driftedFields": ["spec.rutter.scope"],
            "creation": {"intent": intent(&uid, 3), "settledAttempt": 3, "key": "BIG_COMMERCE/store-a.mybigcommerce.com"},
            "lastAction": {"cause": "Created", "at": "2025-01-01T00:00:00Z"}, "lastSyncTime": "2025-01-01T00:00:00Z",
        }),
    )
    .await;
    let ran = run_in(&sandbox, &["status", "acme"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!("status-one", timeless(&sandbox, &ran.out));
    let view = run_in(&sandbox, &["status", "conn/acme", "-o", "json"]).await.json();
    assert_eq!(
        (&view["externalId"], &view["creation"]["state"], &view["waitsFor"]),
        (&json!("r-1"), &json!("Done"), &json!("operator"))
    );
}

#[tokio::test]
async fn what_a_person_can_run_is_printed_ready_to_be_run() {
    let sandbox = Sandbox::new("cli-status").await;
    asking(&sandbox, "CreateOutcomeUnknown").await;
    let namespace = sandbox.namespace();
    let view = run_in(&sandbox, &["status", "acme", "-o", "json"]).await.json();
    let mut answers = Vec::new();
    for answer in ["--adopt r-1", "--adopt r-2", "--create-anew"] {
        answers.push(ready_to_run(&format!("tradewind resolve acme -n {namespace} {answer}")).await);
    }
    assert_eq!(view["commands"], json!(answers));
    instance_asking(&sandbox, "CreateOutcomeUnknown").await;
    let instance = run_in(&sandbox, &["status", "ii/acme", "-o", "json"]).await.json();
    assert_eq!(
        instance["commands"][0],
        json!(ready_to_run(&format!("tradewind resolve integrationinstance/acme -n {namespace} --adopt 41")).await)
    );
    let text = run_in(&sandbox, &["status", "acme"]).await.out;
    assert!(text.contains("Run one of:") && text.contains(&format!("  {}\n", answers[1])), "{text}");

    let kubeconfig = Named::new(sandbox.operator_kubeconfig(), "shop's", None);
    let ran =
        super::run(&["status", "acme", "-n", namespace, "--kubeconfig", kubeconfig.file(), "--context", "shop's"]);
    let flags = format!(r"--kubeconfig {} --context 'shop'\''s'", kubeconfig.file());
    let command = format!("  tradewind resolve acme -n {namespace} --create-anew {flags}\n");
    assert!(ran.out.contains(&command), "{ran:?}");
}

#[tokio::test]
async fn a_script_sees_whether_anything_is_left_to_do() {
    let sandbox = Sandbox::new("cli-status").await;
    let code = async || run_in(&sandbox, &["status", "--exit-code"]).await.code;
    assert_eq!(code().await, Some(0), "nothing is there");
    sandbox.apply(super::STORE).await;
    assert_eq!(code().await, Some(2), "the operator has not looked yet");
    store(&sandbox, json!({"conditions": [condition("Ready", "True", "Succeeded", "It works")]})).await;
    assert_eq!(code().await, Some(0));
    asking(&sandbox, "CreateOutcomeUnknown").await;
    assert_eq!(code().await, Some(4));
    assert_eq!(run_in(&sandbox, &["status"]).await.code, Some(0), "only if asked for");
}

#[tokio::test]
async fn a_missing_object_and_a_missing_right_are_told_in_plain_words() {
    let sandbox = Sandbox::new("cli-status").await;
    let ran = run_in(&sandbox, &["status", "pacct/nobody"]).await;
    let namespace = sandbox.namespace();
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.err,
        format!(
            "Error: there is no ProviderAccount nobody in namespace {namespace}. `{}` lists those there are\n",
            ready_to_run(&format!("tradewind status -n {namespace}")).await
        )
    );
    let kubeconfig = sandbox.operator_kubeconfig().to_str().expect("a path");
    let ran = super::run(&["status", "-n", "default", "--kubeconfig", kubeconfig]);
    assert_eq!((ran.code, ran.err.lines().count()), (Some(1), 1), "{}", ran.err);
    assert!(
        ran.err.starts_with("Error: you may not do this: ") && ran.err.contains("Ask whoever runs the cluster"),
        "{}",
        ran.err
    );
}

/// A kubeconfig with a context of its own. It goes with its owner.
struct Named(PathBuf);

impl Named {
    /// `namespace`: that of the context.
    fn new(kubeconfig: &Path, context: &str, namespace: Option<&str>) -> Self {
        let mut config = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let mut named = config.contexts[0].clone();
        context.clone_into(&mut named.name);
        named.context.as_mut().expect("a context").namespace = namespace.map(str::to_owned);
        config.contexts.push(named);
        let name = format!("named-{}-{}.yaml", uuid::Uuid::new_v4(), std::process::id());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&file, serde_yaml::to_string(&config).expect("YAML")).expect("a kubeconfig");
        Self(file)
    }

    fn file(&self) -> &str {
        self.0.to_str().expect("a path")
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn the_namespace_is_that_of_the_context() {
    let sandbox = Sandbox::new("cli-status").await;
    let none =
        |namespace: &str| format!("No accounts, connections or integration instances in namespace {namespace}\n");
    let named = Named::new(sandbox.operator_kubeconfig(), "shop", Some(sandbox.namespace()));
    for empty in [&[][..], &["-n", ""]] {
        let ran = super::run(&[&["status", "--kubeconfig", named.file(), "--context", "shop"], empty].concat());
        assert_eq!(ran.out, none(sandbox.namespace()), "{}", ran.err);
    }
    let wrong = super::run(&["status", "--kubeconfig", named.file(), "--context", "nowhere"]);
    assert_eq!(wrong.code, Some(3));
    assert!(
        wrong.err.starts_with("Error: there is no cluster to speak to (") && wrong.err.contains("nowhere"),
        "{}",
        wrong.err
    );
    for namespace in [None, Some("")] {
        let named = Named::new(control_plane().await.kubeconfig(), "shop", namespace);
        let ran = super::run(&["status", "--kubeconfig", named.file(), "--context", "shop", "-n", ""]);
        assert_eq!((ran.out, ran.code), (none("default"), Some(0)), "{}", ran.err);
    }
}

#[tokio::test]
async fn where_shared_accounts_are_not_installed_there_are_none() {
    let sandbox = Sandbox::new("cli-status").await;
    sandbox.apply(ACCOUNT).await;
    // What an API server answers of a kind that it does not know is a page.
    let unknown = (StatusCode::NOT_FOUND, "404 page not found\n");
    let between =
        Between::new(&sandbox, move |path| path.contains("/clusterprovideraccounts").then_some(unknown)).await;
    let ran = between.run(&["status", "-A"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.lines().any(|line| line.starts_with(sandbox.namespace())), "{}", ran.out);
    let nothing = Between::new(&sandbox, move |_| Some(unknown)).await.run(&["status", "-A"]).await;
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.err.starts_with("Error: this cluster does not know the kinds of Tradewind."), "{}", nothing.err);
}

/// Of what works, a person may have to put something right all the same.
#[tokio::test]
async fn what_works_and_concerns_a_person_is_not_done() {
    let sandbox = Sandbox::new("cli-status").await;
    let works = |concern| json!({"conditions": [condition("Ready", "True", "Succeeded", "It works"), concern]});
    let code = async || run_in(&sandbox, &["status", "--exit-code"]).await.code;
    store(&sandbox, works(condition("InitialRefreshComplete", "False", "InitialRefreshRunning", "It loads"))).await;
    assert_eq!(code().await, Some(0));
    store(&sandbox, works(condition("InitialRefreshComplete", "False", "InitialRefreshFailed", "Look at the events")))
        .await;
    assert_eq!(code().await, Some(4));
    store(&sandbox, works(condition("CredentialsValid", "False", "SecretNotFound", "There is no Secret acme"))).await;
    assert_eq!(code().await, Some(4));
    let told = run_in(&sandbox, &["status"]).await.out;
    assert!(told.ends_with("Waiting for a person: 1 of 1\n  connection/acme\n    There is no Secret acme\n"), "{told}");
    let told = run_in(&sandbox, &["status", "acme"]).await.out;
    assert!(told.contains("Waits for:  a person\n            There is no Secret acme\n"), "{told}");
}

/// A record works while the account's guard holds back the one that is to take its place: every command says what waits.
#[tokio::test]
async fn a_replacement_that_is_held_is_told_by_what_holds_it() {
    let sandbox = Sandbox::new("cli-held").await;
    let held = "This one goes on in a later window";
    let conditions = json!([
        condition("Ready", "True", "Succeeded", "It works"),
        condition("Synced", "False", "DeletionHeld", held)
    ]);
    let object = store(&sandbox, json!({"conditions": conditions, "externalId": "r-1"})).await;
    let (namespace, uid) = (sandbox.namespace(), object.uid().expect("a UID"));
    let all = run_in(&sandbox, &["status"]).await.out;
    assert!(all.ends_with(&format!("Waiting for a person: 1 of 1\n  connection/acme\n    {held}\n")), "{all}");
    let one = run_in(&sandbox, &["status", "acme"]).await.out;
    assert!(one.contains(&format!("Waits for:   a person\n             {held}\n")), "{one}");
    let allow =
        format!("kubectl annotate connection acme -n {namespace} --overwrite tradewind.dev/allow-deletion={uid}");
    let commands = run_in(&sandbox, &["status", "acme", "-o", "json"]).await.json()["commands"].clone();
    assert_eq!(commands, json!([ready_to_run(&allow).await]));
    let refresh = run_in(&sandbox, &["refresh", "acme"]).await;
    let says = format!(
        "Error: connection acme works, but its record is to be replaced, and nothing is refreshed before that is done: \
         DeletionHeld: {held}\n"
    );
    assert_eq!((refresh.code, refresh.err), (Some(4), says));

    // The same of an object that is being deleted.
    sandbox.delete::<tradewind::api::v1alpha1::Connection>("acme").await;
    let conditions =
        json!([condition("Ready", "False", "DeletionHeld", held), condition("Stalled", "True", "DeletionHeld", held)]);
    forge(&sandbox, json!({"conditions": conditions, "externalId": "r-1"})).await;
    let commands = run_in(&sandbox, &["status", "acme", "-o", "json"]).await.json()["commands"].clone();
    let abandon = ready_to_run(&format!("tradewind abandon acme -n {namespace} --force")).await;
    assert_eq!(commands, json!([ready_to_run(&allow).await, abandon]));
}

#[tokio::test]
async fn what_is_only_observed_is_left_when_the_object_goes() {
    let sandbox = Sandbox::new("cli-observed").await;
    sandbox.apply(&super::STORE.replace("spec:", "spec:\n  managementPolicy: ObserveOnly")).await;
    let view = run_in(&sandbox, &["status", "acme", "-o", "json"]).await.json();
    assert_eq!(
        (&view["managementPolicy"], &view["deletionPolicy"]),
        (&json!("ObserveOnly"), &json!("Delete")),
        "as it is declared"
    );
    let text = run_in(&sandbox, &["status", "acme"]).await.out;
    assert!(text.contains("leaves the record at the provider, which is only observed\n"), "{text}");
}
