//! `tradewind abandon`: it says what stays behind, and lets go only of what would not go otherwise.

use serde_json::json;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance};

use super::{Ran, asking, condition, forge, instance_asking, run_in, store};
use crate::cluster::{HANG, Sandbox};

async fn abandon(sandbox: &Sandbox, args: &[&str]) -> Ran {
    run_in(sandbox, &[&["abandon", "acme"], args].concat()).await
}

async fn is_there(sandbox: &Sandbox) -> bool {
    sandbox.get::<Connection>("acme").await.is_some()
}

#[tokio::test]
async fn a_blocked_deletion_is_let_go_once_people_know_what_stays() {
    let sandbox = Sandbox::new("cli-abandon").await;
    let object = asking(&sandbox, "DeletionBlocked").await;
    sandbox.delete::<Connection>("acme").await;
    // The deletion is a generation of its own, of which the operator has to say that it is blocked.
    forge(&sandbox, serde_json::to_value(object.status).expect("JSON")).await;

    let dry = abandon(&sandbox, &[]).await;
    assert_eq!((dry.code, dry.err.as_str()), (Some(2), ""));
    insta::assert_snapshot!("abandon-would", dry.out.replace(sandbox.namespace(), "NAMESPACE"));
    let json = abandon(&sandbox, &["-o", "json"]).await;
    assert_eq!(json.code, Some(2));
    assert_eq!(
        (&json.json()["candidates"], &json.json()["openAttempt"]["attempt"], &json.json()["abandoned"]),
        (&json!(["r-1", "r-2"]), &json!(1), &json!(false))
    );
    assert!(is_there(&sandbox).await);

    let done = abandon(&sandbox, &["--yes"]).await;
    assert_eq!(done.code, Some(0), "{}", done.err);
    insta::assert_snapshot!("abandon-done", done.out.replace(sandbox.namespace(), "NAMESPACE"));
    sandbox.wait_gone::<Connection>("acme", HANG).await;
}

#[tokio::test]
async fn what_is_not_being_deleted_is_not_abandoned() {
    let sandbox = Sandbox::new("cli-abandon").await;
    asking(&sandbox, "CreateOutcomeUnknown").await;
    for args in [&["--yes"][..], &["--yes", "--force"]] {
        let ran = abandon(&sandbox, args).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
        assert!(
            ran.err.starts_with("Error: connection acme is not being deleted. Delete it first: kubectl delete"),
            "{}",
            ran.err
        );
    }
    assert!(is_there(&sandbox).await);
}

#[tokio::test]
async fn a_deletion_that_is_under_way_is_waited_for_unless_forced() {
    let sandbox = Sandbox::new("cli-abandon").await;
    store(&sandbox, json!({"externalId": "r-1", "account": "org-1", "creation": {"settledAttempt": 1}})).await;
    sandbox.delete::<Connection>("acme").await;
    let deleting = json!([
        condition("Ready", "False", "Deleting", "Waiting"),
        condition("Reconciling", "True", "Deleting", "Waiting")
    ]);
    forge(&sandbox, json!({"conditions": deleting, "externalId": "r-1"})).await;
    let ran = abandon(&sandbox, &["--yes"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains(
            "is not blocked (Deleting: Waiting). Wait for the operator, or, if none runs any more, add --force"
        ),
        "{}",
        ran.err
    );
    assert!(is_there(&sandbox).await);
    let ran = abandon(&sandbox, &["--yes", "--force"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("  - record r-1, which the object's status names\n"), "{}", ran.out);
    sandbox.wait_gone::<Connection>("acme", HANG).await;
}

#[tokio::test]
async fn finalizers_of_others_stay() {
    let sandbox = Sandbox::new("cli-abandon").await;
    sandbox
        .apply(&super::STORE.replace("[tradewind.dev/connection]", "[example.com/audit, tradewind.dev/connection]"))
        .await;
    sandbox.delete::<Connection>("acme").await;
    let ran = abandon(&sandbox, &["--yes", "--force"]).await;
    assert!(
        ran.out.contains("The object stays until these finalizers are removed: example.com/audit."),
        "{}{}",
        ran.out,
        ran.err
    );
    let object: Connection = sandbox.get("acme").await.expect("the store");
    assert_eq!(object.metadata.finalizers, Some(vec!["example.com/audit".to_owned()]));
    let again = abandon(&sandbox, &["--yes", "--force"]).await;
    assert_eq!(
        (again.code, again.out.as_str()),
        (Some(0), "connection/acme is not held by Tradewind: there is nothing to do\n")
    );
}

#[tokio::test]
async fn an_instance_is_let_go_by_its_own_finalizer() {
    let sandbox = Sandbox::new("cli-abandon").await;
    let object = instance_asking(&sandbox, "DeletionBlocked").await;
    let abandon = async |args: &[&str]| run_in(&sandbox, &[&["abandon", "ii/acme"], args].concat()).await;
    let refused = abandon(&["--yes"]).await;
    assert!(
        refused.err.contains("is not being deleted. Delete it first: kubectl delete integrationinstance acme"),
        "{}",
        refused.err
    );
    sandbox.delete::<IntegrationInstance>("acme").await;
    let blocked = serde_json::to_value(object.status).expect("JSON");
    super::forge_of::<IntegrationInstance>(&sandbox, blocked).await;
    let dry = abandon(&["-o", "json"]).await;
    assert_eq!((dry.code, &dry.json()["kind"]), (Some(2), &json!("IntegrationInstance")));
    assert_eq!(dry.json().get("connectionSecret"), None, "an instance has none");
    let done = abandon(&["--yes"]).await;
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.starts_with("integrationinstance/acme in namespace"), "{}", done.out);
    sandbox.wait_gone::<IntegrationInstance>("acme", HANG).await;
}
