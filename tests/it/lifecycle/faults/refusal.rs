//! A create that the provider refused for certain: nothing was made, and the next one comes when it can help.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::json;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::{Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{STORE_CANARY, World, connection, id_of, message, secret, status_of, store, told};

#[rstest]
#[case::told_when(Some(2))]
#[case::not_told_when(None)]
#[tokio::test]
async fn a_provider_that_asks_to_slow_down_is_left_alone_for_a_while(#[case] retry_after: Option<u64>) {
    let world = World::new("limited").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status: 429, retry_after }));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let limited = world.until("acme", "Ready", "False", "RateLimited").await;
    assert!(message(&limited, "Ready").contains("asks to slow down"), "{}", message(&limited, "Ready"));
    assert!(limited.says("Reconciling", "True", "ProgressingWithRetry") && limited.condition("Stalled").is_none());
    assert_eq!(limited.kstatus(), Kstatus::InProgress);
    let ready = ready_without_a_stop(&world).await;
    assert_eq!(world.asked(Operation::Create), 2);
    world.ends_with(&[&id_of(&ready)], 1, 0);

    // The whole account waits, not only the object that met the limit.
    let journal = world.simulator.journal();
    let met = journal.iter().find(|entry| entry.status == Some(429)).expect("the refusal");
    let next = journal.iter().find(|entry| entry.seq > met.seq).expect("a request after it");
    let pause = next.started_at.duration_since(met.ended_at.expect("an answer"));
    let asked_for = i64::try_from(retry_after.unwrap_or(10)).expect("seconds");
    assert!(pause.as_secs() >= asked_for, "the next request came {pause:#} after the refusal: {next:?}");
}

/// What comes by itself is never a person's turn, at no moment on the way.
async fn ready_without_a_stop(world: &World) -> Connection {
    let on_its_way = |c: &Connection| {
        assert!(
            c.condition("Stalled").is_none() && c.kstatus() != Kstatus::Failed,
            "nobody can do anything: {}",
            told(c)
        );
        c.says("Ready", "True", "Succeeded")
    };
    world.sandbox.wait_for::<Connection>("acme", HANG, on_its_way).await
}

/// 404 is an endpoint that is not there, or not yet: nothing was made, and nobody here can help it.
#[tokio::test]
async fn a_create_that_finds_no_endpoint_is_sent_again_by_itself() {
    let world = World::new("no-endpoint").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status: 404, retry_after: None }));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let waiting = world.until("acme", "Ready", "False", "ProviderUnavailable").await;
    assert!(message(&waiting, "Ready").contains("Trying again"), "{}", message(&waiting, "Ready"));
    let ready = ready_without_a_stop(&world).await;
    assert_eq!(world.asked(Operation::Create), 2);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

#[rstest]
#[case::as_a_bad_request(400)]
#[case::as_unauthorized(401)]
#[tokio::test]
async fn refused_credentials_of_a_store_are_sent_again_once_they_are_corrected(#[case] status: u16) {
    let world = World::new("refused").await;
    let refuse = Fault::on(Operation::Create, Effect::RefuseCredentials { status });
    world.simulator.push_fault(refuse.store(store("acme")).forever());
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let refused = world.until("acme", "Ready", "False", "CredentialsRejected").await;
    let text = message(&refused, "Ready");
    assert!(text.contains("store's credentials") && text.contains("Correct the Secret"), "{text}");
    assert!(refused.says("CredentialsValid", "False", "CredentialsRejected"));
    assert!(refused.says("Stalled", "True", "CredentialsRejected") && refused.condition("Reconciling").is_none());
    assert_eq!(refused.kstatus(), Kstatus::Failed);
    world.ends_with(&[], 0, 0);

    // A pass in which nothing has changed sends nothing. That it took place is shown by what comes after it.
    world.change("acme", &json!({"metadata": {"labels": {"touched": "yes"}}})).await;
    world.sandbox.apply(&connection("other", &store("other"), "")).await;
    let other = id_of(&world.settled("other").await);
    assert_eq!(world.asked(Operation::Create), 2, "one for each of the two");
    // The login is not to blame.
    assert!(world.account_until("Ready", "True", "Succeeded").await.condition("Stalled").is_none());

    world.simulator.clear_faults();
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", &format!("{STORE_CANARY}-2"))])).await;
    world.request("acme").await;
    let ready = world.settled("acme").await;
    assert!(ready.says("CredentialsValid", "True", "Succeeded"));
    assert_eq!(world.asked(Operation::Create), 3);
    world.ends_with(&[&other, &id_of(&ready)], 2, 0);
}

#[rstest]
#[case::by_the_platform(450)]
#[case::as_invalid(400)]
#[case::as_unprocessable(422)]
#[tokio::test]
async fn a_refused_declaration_is_sent_again_once_it_is_changed(#[case] status: u16) {
    let world = World::new("rejected").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status, retry_after: None }));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let rejected = world.until("acme", "Ready", "False", "ProviderRejected").await;
    let text = message(&rejected, "Ready");
    assert!(text.contains("refused the request") && text.contains("Check spec and Secret"), "{text}");
    assert!(rejected.says("Stalled", "True", "ProviderRejected") && rejected.condition("Reconciling").is_none());
    assert_eq!(rejected.kstatus(), Kstatus::Failed);

    world.change("acme", &json!({"metadata": {"labels": {"touched": "yes"}}})).await;
    world.sandbox.apply(&connection("other", &store("other"), "")).await;
    let other = id_of(&world.settled("other").await);
    assert_eq!(world.asked(Operation::Create), 2, "one for each of the two");

    world.change("acme", &json!({"spec": {"rutter": {"scope": "orders"}}})).await;
    let ready = world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 3);
    world.ends_with(&[&other, &id_of(&ready)], 2, 0);
}

/// Nothing of what the provider said gets out: not its words, not its request ids.
#[tokio::test]
async fn a_refusal_is_told_in_words_that_stay_the_same() {
    let world = World::new("words").await;
    let refuse = Effect::Refuse { status: 450, retry_after: None };
    world.simulator.push_fault(Fault::on(Operation::Create, refuse).forever());
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let first = world.until("acme", "Ready", "False", "ProviderRejected").await;
    // A person who asks for it gets a new attempt.
    world.request("acme").await;
    world.until_asked(Operation::Create, 2).await;
    let again = world.until("acme", "Ready", "False", "ProviderRejected").await;
    let words = |c: &Connection| -> BTreeMap<String, String> {
        status_of(c).conditions.into_iter().map(|c| (c.type_, c.message)).collect()
    };
    assert_eq!(words(&first), words(&again));
    assert!(!message(&again, "Ready").contains("the platform refused"), "{}", message(&again, "Ready"));
    let since = |c: &Connection| c.condition("Ready").map(|c| c.last_transition_time.clone());
    assert_eq!(since(&first), since(&again), "the status of the condition has not changed");

    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 0, 0);
}
