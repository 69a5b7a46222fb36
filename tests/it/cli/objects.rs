//! `tradewind reconcile`, `suspend` and `resume`: what they write, and how they end.

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance, ProviderAccount};

use super::{ACCOUNT, INSTANCE, STORE, condition, run_in, store};
use crate::cluster::{HANG, Sandbox};

#[tokio::test]
async fn a_request_is_written_under_a_name_of_its_own() {
    let sandbox = Sandbox::new("cli-reconcile").await;
    sandbox.apply(&format!("{ACCOUNT}---{STORE}")).await;
    let request = run_in(&sandbox, &["reconcile", "acme", "--no-wait", "-o", "json"]).await;
    assert_eq!((request.code, request.err.as_str()), (Some(0), ""));
    let object: Connection = sandbox.get("acme").await.expect("the store");
    assert_eq!(
        Some(request.json()["requestedAt"].as_str().expect("a stamp")),
        object.annotations().get(keys::RECONCILE).map(String::as_str)
    );
    let manager = |field: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| field.manager.clone();
    let managers: Vec<_> = object.managed_fields().iter().filter_map(manager).collect();
    assert!(managers.contains(&"tradewind-cli".to_owned()), "the operator's writes are not ours: {managers:?}");

    let account = run_in(&sandbox, &["reconcile", "pacct/rutter", "--no-wait"]).await;
    assert_eq!(account.out, "provideraccount/rutter: asked the operator to look\n", "{}", account.err);
    let object: ProviderAccount = sandbox.get("rutter").await.expect("the account");
    assert!(object.annotations().contains_key(keys::RECONCILE));

    sandbox.apply(INSTANCE).await;
    let instance = run_in(&sandbox, &["reconcile", "ii/acme", "--no-wait"]).await;
    assert_eq!(instance.out, "integrationinstance/acme: asked the operator to look\n", "{}", instance.err);
    let object: IntegrationInstance = sandbox.get("acme").await.expect("the instance");
    assert!(object.annotations().contains_key(keys::RECONCILE));
}

/// Answers a request as the operator would.
async fn echo(sandbox: &Sandbox, conditions: serde_json::Value) {
    echo_after(sandbox, None, conditions).await;
}

/// The same of a request that comes after one with this stamp.
async fn echo_after(sandbox: &Sandbox, before: Option<&str>, conditions: serde_json::Value) {
    let asked = |object: &Connection| {
        let stamp = object.annotations().get(keys::RECONCILE).map(String::as_str);
        stamp.is_some() && stamp != before
    };
    let object: Connection = sandbox.wait_for("acme", HANG, asked).await;
    let status = json!({"status": {
        "observedGeneration": object.metadata.generation, "conditions": conditions,
        "lastHandledReconcileAt": object.annotations()[keys::RECONCILE],
    }});
    let api = sandbox.api::<Connection>();
    api.patch_status("acme", &PatchParams::default(), &Patch::Merge(&status)).await.expect("a status");
}

#[tokio::test]
async fn it_waits_until_the_operator_has_looked() {
    let sandbox = Sandbox::new("cli-reconcile").await;
    sandbox.apply(STORE).await;
    let ready = json!([condition("Ready", "True", "Succeeded", "The connection works")]);
    let (ran, ()) = tokio::join!(run_in(&sandbox, &["reconcile", "acme"]), echo(&sandbox, ready));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.out, "connection/acme: Ready is True, Succeeded: The connection works\n");
    assert_eq!(ran.err, "connection/acme: waiting for the operator to look\n");
}

/// The request for a look of somebody whose clock is ahead, or who wrote a date.
const FUTURE: &str = "2999-01-01T00:00:00Z";

#[tokio::test]
async fn a_later_request_that_was_answered_is_not_taken_for_ours() {
    let sandbox = Sandbox::new("cli-reconcile").await;
    sandbox.apply(STORE).await;
    let ready = json!([condition("Ready", "True", "Succeeded", "The connection works")]);
    super::forge(&sandbox, json!({"lastHandledReconcileAt": FUTURE, "conditions": ready})).await;
    let annotated = Patch::Merge(json!({"metadata": {"annotations": {keys::RECONCILE_FLUX: FUTURE}}}));
    sandbox.api::<Connection>().patch("acme", &PatchParams::default(), &annotated).await.expect("a request");
    let nobody = run_in(&sandbox, &["reconcile", "acme", "--timeout", "1s"]).await;
    assert_eq!(nobody.code, Some(1), "nobody has looked: {}", nobody.out);
    let operator = echo_after(&sandbox, Some("2999-01-01T00:00:01Z"), ready);
    let (ran, ()) = tokio::join!(run_in(&sandbox, &["reconcile", "acme", "-o", "json"]), operator);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.json()["requestedAt"], "2999-01-01T00:00:02Z", "after the last one, which was ours");
}

#[tokio::test]
async fn a_deletion_that_comes_to_its_end_is_a_look() {
    let sandbox = Sandbox::new("cli-reconcile").await;
    sandbox.apply(STORE).await;
    sandbox.delete::<Connection>("acme").await;
    let goes = async || {
        let asked = |object: &Connection| object.annotations().contains_key(keys::RECONCILE);
        sandbox.wait_for("acme", HANG, asked).await;
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        sandbox.api::<Connection>().patch("acme", &PatchParams::default(), &free).await.expect("its end");
    };
    let (ran, ()) = tokio::join!(run_in(&sandbox, &["reconcile", "acme"]), goes());
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "connection/acme: it is gone: its deletion came to its end\n"),
        "{}",
        ran.err
    );

    sandbox.apply(STORE).await;
    sandbox.delete::<Connection>("acme").await;
    let (ran, ()) = tokio::join!(run_in(&sandbox, &["reconcile", "acme", "-o", "json"]), goes());
    assert_eq!((ran.code, &ran.json()["gone"], ran.json().get("object")), (Some(0), &json!(true), None), "{}", ran.err);

    // What nobody deleted yet is missing when it is gone.
    sandbox.apply(STORE).await;
    let deleted = async {
        let asked = |object: &Connection| object.annotations().contains_key(keys::RECONCILE);
        sandbox.wait_for("acme", HANG, asked).await;
        sandbox.delete::<Connection>("acme").await;
        goes().await;
    };
    let (ran, ()) = tokio::join!(run_in(&sandbox, &["reconcile", "acme"]), deleted);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(ran.err.contains("Error: there is no Connection acme in"), "{}", ran.err);
}

#[tokio::test]
async fn what_works_and_concerns_a_person_is_told_of() {
    let sandbox = Sandbox::new("cli-reconcile").await;
    sandbox.apply(STORE).await;
    let conditions = json!([
        condition("Ready", "True", "Succeeded", "The connection works"),
        condition("CredentialsValid", "False", "SecretNotFound", "There is no Secret acme"),
    ]);
    let (ran, ()) = tokio::join!(run_in(&sandbox, &["reconcile", "acme"]), echo(&sandbox, conditions));
    let told = "connection/acme: Ready is True, Succeeded: The connection works\n\
                connection/acme: CredentialsValid is False, SecretNotFound: There is no Secret acme\n";
    assert_eq!((ran.code, ran.out.as_str()), (Some(4), told), "{}", ran.err);
}

#[tokio::test]
async fn what_works_and_is_held_is_told_by_what_holds_it() {
    let sandbox = Sandbox::new("cli-reconcile").await;
    sandbox.apply(STORE).await;
    let conditions = json!([
        condition("Ready", "True", "Succeeded", "The connection works"),
        condition("Synced", "False", "DeletionHeld", "It goes on in a later window"),
    ]);
    let (ran, ()) = tokio::join!(run_in(&sandbox, &["reconcile", "acme"]), echo(&sandbox, conditions));
    let told = "connection/acme: Ready is True, Succeeded: The connection works\n\
                connection/acme: Synced is False, DeletionHeld: It goes on in a later window\n";
    assert_eq!((ran.code, ran.out.as_str()), (Some(4), told), "{}", ran.err);
}

#[tokio::test]
async fn what_waits_for_a_person_is_blocked() {
    let sandbox = Sandbox::new("cli-reconcile").await;
    sandbox.apply(STORE).await;
    let halted = json!([
        condition("Ready", "False", "AlreadyExists", "r-1 exists"),
        condition("Stalled", "True", "AlreadyExists", "r-1 exists"),
    ]);
    let (ran, ()) = tokio::join!(run_in(&sandbox, &["reconcile", "acme", "-o", "json"]), echo(&sandbox, halted));
    assert_eq!((ran.code, ran.err.as_str()), (Some(4), ""));
    assert_eq!(ran.json()["object"]["waitsFor"], "person");
}

#[tokio::test]
async fn an_operator_that_does_not_look_is_not_waited_for_forever() {
    let sandbox = Sandbox::new("cli-reconcile").await;
    sandbox.apply(STORE).await;
    let ran = run_in(&sandbox, &["reconcile", "acme", "--timeout", "1s"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("Error: the operator has not looked at connection/acme within 1s. Is it running"),
        "{}",
        ran.err
    );
    let ran = run_in(&sandbox, &["reconcile", "nobody"]).await;
    assert!(ran.code == Some(1) && ran.err.starts_with("Error: there is no Connection nobody in"), "{}", ran.err);
}

/// Nobody looks at a suspended object, so that nobody is told that it works.
#[tokio::test]
async fn a_suspended_object_is_not_looked_at_unless_it_goes() {
    let sandbox = Sandbox::new("cli-suspend").await;
    let works = json!({"conditions": [condition("Ready", "True", "Succeeded", "It works")]});
    store(&sandbox, works.clone()).await;
    run_in(&sandbox, &["suspend", "acme"]).await;
    super::forge(&sandbox, works).await;
    let resume = super::ready_to_run(&format!("tradewind resume acme -n {}", sandbox.namespace())).await;
    for wait in [&[][..], &["--no-wait"]] {
        let ran = run_in(&sandbox, &[&["reconcile", "acme"], wait].concat()).await;
        let says = "Error: connection acme is suspended: nothing is asked of the provider. Resume it first: ";
        assert_eq!((ran.code, ran.out.as_str(), ran.err), (Some(4), "", format!("{says}{resume}\n")));
    }
    let object: Connection = sandbox.get("acme").await.expect("the store");
    assert!(!object.annotations().contains_key(keys::RECONCILE), "nothing is written");
    // A question that a person has to answer is looked into all the same.
    super::asking(&sandbox, "CreateOutcomeUnknown").await;
    run_in(&sandbox, &["suspend", "acme"]).await;
    super::asking(&sandbox, "CreateOutcomeUnknown").await;
    assert_eq!(run_in(&sandbox, &["reconcile", "acme", "--no-wait"]).await.code, Some(0));
    sandbox.delete::<Connection>("acme").await;
    super::forge(&sandbox, json!({"conditions": []})).await;
    let leaving = run_in(&sandbox, &["reconcile", "acme", "--no-wait"]).await;
    assert_eq!((leaving.code, leaving.err.as_str()), (Some(0), ""), "a deletion goes on");
}

/// What the help of `suspend` says of manifests.
#[tokio::test]
async fn a_manifest_that_says_otherwise_needs_force() {
    let sandbox = Sandbox::new("cli-suspend").await;
    sandbox.apply(STORE).await;
    run_in(&sandbox, &["suspend", "acme"]).await;
    let manifest = STORE.replace("spec:", "spec:\n  suspend: false");
    let mut manifest = crate::cluster::documents(&manifest).remove(0);
    manifest.metadata.namespace = Some(sandbox.namespace().to_owned());
    let api = sandbox.dynamic_api(&manifest).await;
    let apply = async |params: PatchParams| api.patch("acme", &params, &Patch::Apply(&manifest)).await;
    let conflict = apply(PatchParams::apply("it")).await.expect_err("a conflict").to_string();
    assert!(conflict.contains("tradewind-cli") && conflict.contains(".spec.suspend"), "{conflict}");
    apply(PatchParams::apply("it").force()).await.expect("the manifest's word");
    assert!(!sandbox.get::<Connection>("acme").await.expect("the store").spec.suspend);
}

#[tokio::test]
async fn a_connection_is_suspended_and_resumed_once() {
    let sandbox = Sandbox::new("cli-suspend").await;
    store(&sandbox, json!({"conditions": [condition("Ready", "True", "Succeeded", "It works")]})).await;
    let suspended = async || sandbox.get::<Connection>("acme").await.expect("the store").spec.suspend;
    let ran = run_in(&sandbox, &["suspend", "acme"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("connection/acme: suspended: nothing is written at the provider"), "{}", ran.out);
    assert!(suspended().await);
    let again = run_in(&sandbox, &["suspend", "acme"]).await;
    assert_eq!((again.code, again.out.as_str()), (Some(0), "connection/acme: is suspended already\n"));
    let ran = run_in(&sandbox, &["resume", "acme", "-o", "json"]).await;
    assert_eq!((ran.code, &ran.json()["changed"], &ran.json()["suspend"]), (Some(0), &json!(true), &json!(false)));
    assert!(!suspended().await);
    let missing = run_in(&sandbox, &["resume", "nobody"]).await;
    assert!(
        missing.code == Some(1) && missing.err.starts_with("Error: there is no Connection nobody"),
        "{}",
        missing.err
    );
}

#[tokio::test]
async fn of_two_objects_with_one_name_the_named_kind_is_meant() {
    let sandbox = Sandbox::new("cli-suspend").await;
    sandbox.apply(&format!("{STORE}---{INSTANCE}")).await;
    let suspended = async || {
        let connection: Connection = sandbox.get("acme").await.expect("the store");
        let instance: IntegrationInstance = sandbox.get("acme").await.expect("the instance");
        (connection.spec.suspend, instance.spec.suspend)
    };
    let ran = run_in(&sandbox, &["suspend", "ii/acme"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!("suspend-instance", ran.out);
    assert_eq!(suspended().await, (false, true));
    let ran = run_in(&sandbox, &["suspend", "acme", "-o", "json"]).await;
    assert_eq!((ran.code, &ran.json()["kind"]), (Some(0), &json!("Connection")));
    assert_eq!(suspended().await, (true, true));
    let ran = run_in(&sandbox, &["resume", "integrationinstance/acme", "-o", "json"]).await;
    assert_eq!((ran.code, &ran.json()["kind"]), (Some(0), &json!("IntegrationInstance")));
    assert_eq!(suspended().await, (true, false));
    let missing = run_in(&sandbox, &["resume", "ii/nobody"]).await;
    assert!(missing.err.starts_with("Error: there is no IntegrationInstance nobody in"), "{}", missing.err);
}
