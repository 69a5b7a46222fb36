//! `tradewind resolve`: an answer only to a question, bound to the object and the attempt that it is about.

use kube::ResourceExt;
use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance};

use super::{asking, condition, forge, instance_asking, ready_to_run, run_in, store};
use crate::cluster::Sandbox;

async fn answer(sandbox: &Sandbox) -> Option<String> {
    sandbox.get::<Connection>("acme").await.expect("the store").annotations().get(keys::RESOLVE).cloned()
}

#[tokio::test]
async fn an_answer_names_the_object_and_the_attempt() {
    let sandbox = Sandbox::new("cli-resolve").await;
    let uid = asking(&sandbox, "CreateOutcomeUnknown").await.uid().expect("a UID");
    let ran = run_in(&sandbox, &["resolve", "acme", "--adopt", "r-1"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("connection/acme: answered: record r-1 is its own."), "{}", ran.out);
    assert_eq!(answer(&sandbox).await, Some(format!("{uid}/nonce-1 adopt r-1")));

    let again = run_in(&sandbox, &["resolve", "acme", "--adopt", "r-1", "-o", "json"]).await;
    assert_eq!((again.code, &again.json()["changed"]), (Some(0), &json!(false)));
    let other = run_in(&sandbox, &["resolve", "acme", "--adopt", "r-9"]).await;
    assert!(other.out.contains("It is not among the candidates that the operator found: r-1, r-2."), "{}", other.out);
    let anew = run_in(&sandbox, &["resolve", "acme", "--create-anew"]).await;
    assert_eq!(anew.code, Some(0), "{}", anew.err);
    assert_eq!(answer(&sandbox).await, Some(format!("{uid}/nonce-1 create-anew")), "the last answer counts");
}

#[tokio::test]
async fn an_answer_that_could_not_be_carried_out_can_be_replaced() {
    let sandbox = Sandbox::new("cli-resolve").await;
    let object = asking(&sandbox, "CreateOutcomeUnknown").await;
    run_in(&sandbox, &["resolve", "acme", "--adopt", "r-9"]).await;
    let creation = serde_json::to_value(object.status.expect("a status").creation).expect("JSON");
    let missing = condition("Ready", "False", "ExternalNotFound", "No such record");
    forge(
        &sandbox,
        json!({"conditions": [missing, condition("Stalled", "True", "ExternalNotFound", "")], "creation": creation}),
    )
    .await;
    let ran = run_in(&sandbox, &["resolve", "acme", "--adopt", "r-1"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[tokio::test]
async fn a_deletion_can_be_answered_too() {
    let sandbox = Sandbox::new("cli-resolve").await;
    asking(&sandbox, "DeletionBlocked").await;
    sandbox.delete::<Connection>("acme").await;
    let ran = run_in(&sandbox, &["resolve", "acme", "--create-anew"]).await;
    assert!(ran.out.contains("The operator lets the object go and deletes nothing."), "{}{}", ran.out, ran.err);
}

#[tokio::test]
async fn without_a_question_there_is_no_answer() {
    let sandbox = Sandbox::new("cli-resolve").await;
    let refused = async |says: &str| {
        let ran = run_in(&sandbox, &["resolve", "acme", "--adopt", "r-1"]).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
        assert!(ran.err.contains(says) && ran.err.lines().count() == 1, "{}", ran.err);
        assert_eq!(answer(&sandbox).await, None);
    };
    store(&sandbox, json!({"conditions": [condition("Ready", "False", "Creating", "Working")]})).await;
    refused("no create is open. It says Creating: Working").await;
    asking(&sandbox, "Creating").await;
    refused("asks for no answer yet: the operator is still looking").await;
    let broken = condition("Ready", "False", "DeletionBlocked", "The login was refused");
    forge(&sandbox, json!({"conditions": [broken], "externalId": "r-1", "creation": {"settledAttempt": 1}})).await;
    refused("its record is known to be r-1. It says DeletionBlocked: The login was refused").await;
}

#[tokio::test]
async fn an_instance_is_answered_by_the_name_of_its_kind() {
    let sandbox = Sandbox::new("cli-resolve").await;
    let uid = instance_asking(&sandbox, "CreateOutcomeUnknown").await.uid().expect("a UID");
    let ran = run_in(&sandbox, &["resolve", "ii/acme", "--adopt", "41"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let status = format!("tradewind status integrationinstance/acme -n {}", sandbox.namespace());
    let follow = format!("Follow it with: {}\n", ready_to_run(&status).await);
    assert!(
        ran.out.starts_with("integrationinstance/acme: answered: record 41") && ran.out.ends_with(&follow),
        "{}",
        ran.out
    );
    let object: IntegrationInstance = sandbox.get("acme").await.expect("the instance");
    assert_eq!(object.annotations().get(keys::RESOLVE), Some(&format!("{uid}/nonce-1 adopt 41")));
    for other in ["042", "42.0", "0", "i-42"] {
        let ran = run_in(&sandbox, &["resolve", "ii/acme", "--adopt", other]).await;
        let says = format!("Error: {other} is no id of SKU.io: write the number as SKU.io shows it, such as 42\n");
        assert_eq!((ran.code, ran.out.as_str(), ran.err), (Some(3), "", says));
    }
    let object: IntegrationInstance = sandbox.get("acme").await.expect("the instance");
    assert_eq!(object.annotations().get(keys::RESOLVE), Some(&format!("{uid}/nonce-1 adopt 41")), "the answer stays");
    super::instance(&sandbox, json!({"conditions": [condition("Ready", "False", "Creating", "Working")]})).await;
    let creation = json!({"creation": {"intent": null, "settledAttempt": 0}, "externalId": "41"});
    super::forge_of::<IntegrationInstance>(&sandbox, creation).await;
    let ran = run_in(&sandbox, &["resolve", "ii/acme", "--create-anew"]).await;
    assert!(
        ran.err.starts_with("Error: integrationinstance acme asks for no answer: its record is known to be 41."),
        "{}",
        ran.err
    );
}
