//! `tradewind refresh`: it asks where there is something to ask for, once, and says what became of that.

use kube::api::{Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance};

use super::{Ran, condition, instance, ready_to_run, run_in, store};
use crate::cluster::{HANG, Kind, Sandbox};

/// The status of an object with a record.
fn works() -> Value {
    json!({"conditions": [condition("Ready", "True", "Succeeded", "It works")], "externalId": "42"})
}

fn asked<K: Resource>(object: &K) -> Option<String> {
    object.meta().annotations.as_ref()?.get(keys::REFRESH).cloned()
}

/// Waits for a request that is not `before`, and answers it as the operator would.
async fn answer<K: Kind>(sandbox: &Sandbox, before: Option<String>, states: &[(&str, &str)]) -> String {
    let is_new = |object: &K| asked(object).is_some() && asked(object) != before;
    let object: K = sandbox.wait_for("acme", HANG, is_new).await;
    let value = asked(&object).expect("a request");
    let token = value.rsplit('@').next().expect("a token");
    let state = |state: &str| json!({"token": token, "state": state, "at": "2025-01-01T00:00:00Z"});
    let refresh: serde_json::Map<_, _> = states.iter().map(|(name, told)| ((*name).to_owned(), state(told))).collect();
    let patch = Patch::Merge(json!({"status": {"refresh": refresh}}));
    sandbox.api::<K>().patch_status("acme", &PatchParams::default(), &patch).await.expect("a status");
    value
}

/// A run, and the operator's answer to it.
async fn answered(sandbox: &Sandbox, args: &[&str], states: &[(&str, &str)]) -> (Ran, String) {
    let before = asked(&sandbox.get::<Connection>("acme").await.expect("the store"));
    let args = [&["refresh", "acme"], args].concat();
    tokio::join!(run_in(sandbox, &args), answer::<Connection>(sandbox, before, states))
}

#[tokio::test]
async fn what_became_of_it_is_told_and_is_how_it_ends() {
    let sandbox = Sandbox::new("cli-refresh").await;
    store(&sandbox, works()).await;
    let mut told = String::new();
    for (products, orders, code) in [
        ("Accepted", "Completed", 0),
        ("Handled", "Handled", 0),
        ("Accepted", "Failed", 1),
        ("Unknown", "Accepted", 4),
        ("Unknown", "Failed", 1),
        ("Unsupported", "Unsupported", 1),
    ] {
        let (ran, _) = answered(&sandbox, &[], &[("products", products), ("orders", orders)]).await;
        assert_eq!(ran.code, Some(code), "{products} {orders}: {ran:?}");
        assert_eq!(ran.err, "connection/acme: waiting until the provider was asked\n");
        told.extend([format!("# ends with {code}\n"), ran.out]);
    }
    insta::assert_snapshot!("refresh-outcomes", told);
}

#[tokio::test]
async fn one_entity_is_asked_for_and_waited_for_alone() {
    let sandbox = Sandbox::new("cli-refresh").await;
    store(&sandbox, works()).await;
    // The orders failed, of the same token even: nobody asked for them.
    let states = [("products", "Accepted"), ("orders", "Failed")];
    let (ran, value) = answered(&sandbox, &["--products", "-o", "json"], &states).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let token = ran.json()["token"].as_str().expect("a token").to_owned();
    assert_eq!(value, format!("products@{token}"));
    let products = json!({"products": {"token": token, "state": "Accepted", "at": "2025-01-01T00:00:00Z"}});
    assert_eq!((&ran.json()["kind"], &ran.json()["refresh"]), (&json!("Connection"), &products));
    let (ran, value) = answered(&sandbox, &["--orders"], &[("orders", "Accepted")]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "connection/acme: orders Accepted: the provider took it\n"));
    assert!(value.starts_with("orders@"), "{value}");
}

#[tokio::test]
async fn it_waits_while_the_request_is_under_way() {
    let sandbox = Sandbox::new("cli-refresh").await;
    instance(&sandbox, works()).await;
    let both = |state| [("products", state), ("orders", state)];
    let operator = async {
        answer::<IntegrationInstance>(&sandbox, None, &both("Due")).await;
        answer::<IntegrationInstance>(&sandbox, None, &both("Requested")).await;
        answer::<IntegrationInstance>(&sandbox, None, &both("Accepted")).await;
    };
    let (ran, ()) = tokio::join!(run_in(&sandbox, &["refresh", "ii/acme"]), operator);
    let line = |entity| format!("integrationinstance/acme: {entity} Accepted: the provider took it\n");
    assert_eq!((ran.code, ran.out), (Some(0), line("products") + &line("orders")), "{}", ran.err);
}

#[tokio::test]
async fn where_there_is_nothing_to_ask_for_nothing_is_written() {
    let sandbox = Sandbox::new("cli-refresh").await;
    let refused = async |says: &str| {
        let ran = run_in(&sandbox, &["refresh", "acme"]).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{}", ran.err);
        assert!(ran.err.starts_with(&format!("Error: connection acme {says}")), "{}", ran.err);
        assert_eq!(asked(&sandbox.get::<Connection>("acme").await.expect("the store")), None);
        ran.err
    };
    let spec = async |change: Value| {
        let patch = Patch::Merge(json!({"spec": change}));
        sandbox.api::<Connection>().patch("acme", &PatchParams::default(), &patch).await.expect("a change");
    };
    store(&sandbox, json!({})).await;
    refused("has no record at the provider yet: there is nothing to refresh.").await;
    super::forge(&sandbox, works()).await;
    spec(json!({"suspend": true})).await;
    let resume = ready_to_run(&format!("tradewind resume acme -n {}", sandbox.namespace())).await;
    let refusal = refused("is suspended: nothing is asked of the provider.").await;
    assert!(refusal.ends_with(&format!("Resume it first: {resume}\n")), "{refusal}");
    spec(json!({"suspend": false, "managementPolicy": "ObserveOnly"})).await;
    refused("is only observed (managementPolicy: ObserveOnly)").await;
    spec(json!({"managementPolicy": "Full"})).await;
    sandbox.delete::<Connection>("acme").await;
    refused("is being deleted: nothing is refreshed any more").await;
    let missing = run_in(&sandbox, &["refresh", "ii/acme"]).await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.starts_with("Error: there is no IntegrationInstance acme in"), "{}", missing.err);
}

/// Nobody waits for what will not happen: a person is told at once what has to be done.
#[tokio::test]
async fn what_waits_for_a_person_is_said_at_once() {
    let sandbox = Sandbox::new("cli-refresh").await;
    let stuck = |kind: &str, reason: &str| {
        let conditions = [condition("Ready", "False", reason, "Put it right"), condition(kind, "True", reason, "")];
        json!({"conditions": conditions, "externalId": "42"})
    };
    store(&sandbox, stuck("Stalled", "ReplacementRequired")).await;
    let ran = run_in(&sandbox, &["refresh", "acme"]).await;
    let says = "Error: connection acme waits for a person, and nothing is refreshed before that is done: \
                ReplacementRequired: Put it right\n";
    assert_eq!((ran.code, ran.err.as_str()), (Some(4), says));
    assert_eq!(asked(&sandbox.get::<Connection>("acme").await.expect("the store")), None, "nothing is written");
    super::forge(&sandbox, stuck("Reconciling", "SecretNotFound")).await;
    assert_eq!(run_in(&sandbox, &["refresh", "acme"]).await.code, Some(4));

    // The operator comes upon it only once it was asked.
    super::forge(&sandbox, works()).await;
    let operator = async {
        sandbox.wait_for("acme", HANG, |object: &Connection| asked(object).is_some()).await;
        super::forge(&sandbox, stuck("Stalled", "Disabled")).await;
    };
    let (ran, ()) = tokio::join!(run_in(&sandbox, &["refresh", "acme"]), operator);
    assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{}", ran.err);
    assert!(ran.err.contains("Disabled: Put it right. The request stands until then"), "{}", ran.err);
}

/// What failed before is what a person asks for once more; what else concerns a person is in nobody's way.
#[tokio::test]
async fn what_works_is_refreshed_whatever_else_concerns_a_person() {
    let sandbox = Sandbox::new("cli-refresh").await;
    for (kind, reason) in [("InitialRefreshComplete", "InitialRefreshFailed"), ("CredentialsValid", "SecretNotFound")] {
        let conditions = [condition("Ready", "True", "Succeeded", "It works"), condition(kind, "False", reason, "")];
        store(&sandbox, json!({"conditions": conditions, "externalId": "42"})).await;
        let (ran, _) = answered(&sandbox, &["--products"], &[("products", "Accepted")]).await;
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (Some(0), "connection/acme: products Accepted: the provider took it\n")
        );
    }
}

#[tokio::test]
async fn nobody_has_to_wait_and_nobody_waits_forever() {
    let sandbox = Sandbox::new("cli-refresh").await;
    let object = store(&sandbox, works()).await;
    let ran = run_in(&sandbox, &["refresh", "acme", "--no-wait", "-o", "json"]).await;
    let first = asked(&sandbox.get::<Connection>(&object.name_any()).await.expect("the store"));
    assert_eq!((ran.code, ran.json()["token"].as_str()), (Some(0), first.as_deref()), "{}", ran.err);
    assert_eq!(ran.json().get("refresh"), None);
    let ran = run_in(&sandbox, &["refresh", "acme", "--no-wait"]).await;
    assert!(ran.out.starts_with("connection/acme: asked the operator for a refresh (token 2"), "{}", ran.out);
    let late = run_in(&sandbox, &["refresh", "acme", "--timeout", "1s"]).await;
    assert_eq!((late.code, late.out.as_str()), (Some(1), ""));
    let says = "Error: the operator has not asked the provider to refresh connection/acme within 1s. Is it running";
    assert!(late.err.contains(says), "{}", late.err);
    let last = asked(&sandbox.get::<Connection>("acme").await.expect("the store"));
    assert!(last > first, "each run is a request of its own");
}

#[tokio::test]
async fn a_later_request_takes_the_place_of_one_that_nobody_saw() {
    let sandbox = Sandbox::new("cli-refresh").await;
    store(&sandbox, works()).await;
    let later = async {
        let object = sandbox.wait_for("acme", HANG, |object: &Connection| asked(object).is_some()).await;
        let patch = Patch::Merge(json!({"metadata": {"annotations": {keys::REFRESH: "orders@later"}}}));
        sandbox.api::<Connection>().patch("acme", &PatchParams::default(), &patch).await.expect("a request");
        asked(&object).expect("a token")
    };
    let (ran, token) = tokio::join!(run_in(&sandbox, &["refresh", "acme"]), later);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains(&format!("another request took the place of this one (token {token})")), "{}", ran.err);
}
