//! A deleted object, at any moment; and one that comes back under its name.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::{Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{CLIENT_ID, World, connection, id_of, message, secret, status_of, store, told};

const RETAIN: &str = "  deletionPolicy: Retain\n";

#[tokio::test]
async fn an_object_that_has_not_started_goes_without_a_word_to_the_provider() {
    let mut world = World::new("early-delete").await;
    world.account_until("Ready", "True", "Succeeded").await;
    world.take_provider_down().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until("acme", "Ready", "False", "ProviderUnavailable").await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.bring_provider_up();
    world.ends_with(&[], 0, 0);
}

/// What became of the attempt is found out first; then what it made goes.
#[rstest]
#[case::applied(Effect::LostAnswer, 1)]
#[case::not_applied(Effect::Refuse { status: 500, retry_after: None }, 0)]
#[case::applied_late(Effect::SlowBefore { delay: Duration::from_millis(3500) }, 1)]
#[tokio::test]
async fn an_object_with_an_unanswered_create_goes_and_leaves_nothing(#[case] effect: Effect, #[case] made: usize) {
    let world = World::new("open-delete").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let open = |c: &Connection| message(c, "Ready").contains("not known");
    world.sandbox.wait_for::<Connection>("acme", HANG, open).await;
    world.sandbox.delete::<Connection>("acme").await;
    let waiting = world.until("acme", "Ready", "False", "Deleting").await;
    assert!(message(&waiting, "Ready").contains("Waiting"), "{}", message(&waiting, "Ready"));
    assert!(
        waiting.says("Reconciling", "True", "Deleting") && waiting.condition("Stalled").is_none(),
        "{}",
        told(&waiting)
    );
    assert_eq!(waiting.kstatus(), Kstatus::Terminating);
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[], made, made);
}

#[tokio::test]
async fn an_object_that_is_deleted_while_its_create_is_under_way_leaves_nothing() {
    let world = World::new("busy-delete").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::SlowBefore { delay: Duration::from_secs(1) }));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.provider_until("all requests have ended", |s| s.stats().in_flight == 0).await;
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[], 1, 1);
}

/// Nobody else knows of the record by then.
#[tokio::test]
async fn a_create_whose_object_somebody_has_torn_away_says_which_record_it_leaves() {
    let mut world = World::new("torn").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::SlowBefore { delay: Duration::from_secs(2) }));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    world.sandbox.delete::<Connection>("acme").await;
    world.change("acme", &json!({"metadata": {"finalizers": null}})).await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.provider_until("all requests have ended", |s| s.stats().in_flight == 0).await;
    // What is under way comes to its end.
    world.stop().await;
    let [id] = world.live().try_into().expect("one record");
    let told = world.events_of("acme", "CreateOutcomeUnknown").await;
    let note = told.first().and_then(|event| event.note.as_deref()).unwrap_or_default();
    assert!(note.contains(&id) && note.contains("stays at the provider, unowned"), "{told:?}");
    world.ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_retained_record_stays_and_the_object_goes_without_a_look_at_the_provider() {
    let mut world = World::new("retain").await;
    world.sandbox.apply(&connection("acme", &store("acme"), RETAIN)).await;
    let id = id_of(&world.settled("acme").await);
    world.take_provider_down().await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.bring_provider_up();
    assert_eq!(world.asked(Operation::Delete), 0);
    world.ends_with(&[&id], 1, 0);
}

/// Neither operator would find it otherwise: lists do not show yet what was just made.
#[rstest]
#[case::by_the_same_operator(false)]
#[case::by_another_one_that_knows_nothing_of_it(true)]
#[tokio::test]
async fn a_record_that_stays_is_found_by_who_declares_it_again_at_once(#[case] crashes: bool) {
    let mut world = World::new("left").await;
    world.simulator.configure(|settings| settings.list_lag = Duration::from_secs(4));
    world.sandbox.apply(&connection("acme", &store("acme"), RETAIN)).await;
    let recorded = |c: &Connection| status_of(c).external_id.is_some();
    let id = id_of(&world.sandbox.wait_for::<Connection>("acme", HANG, recorded).await);
    world.sandbox.delete::<Connection>("acme").await;
    let waiting = world.until("acme", "Ready", "False", "Deleting").await;
    assert!(message(&waiting, "Ready").contains("may not show"), "{}", told(&waiting));
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    if crashes {
        world.crash().await;
        world.start().await;
    }
    world.sandbox.apply(&connection("acme", &store("acme"), RETAIN)).await;
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert!(message(&halted, "Ready").contains(&id), "{}", told(&halted));
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

/// No account is needed to wait, and none to say why.
#[tokio::test]
async fn a_record_that_stays_is_waited_for_also_where_the_login_is_refused() {
    let mut world = World::new("left-alone").await;
    world.sandbox.apply(&connection("acme", &store("acme"), RETAIN)).await;
    let id = id_of(&world.settled("acme").await);
    world.crash().await;
    let wrong = [("client_id", CLIENT_ID), ("client_secret", "test-canary-wrong")];
    world.sandbox.apply(&secret("rutter-api", &wrong)).await;
    world.sandbox.delete::<Connection>("acme").await;
    world.start().await;
    let waiting = world.until("acme", "Ready", "False", "Deleting").await;
    assert!(message(&waiting, "Ready").contains("may not show"), "{}", told(&waiting));
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.account_until("Ready", "False", "CredentialsRejected").await;
    world.ends_with(&[&id], 1, 0);
}

/// Lists show neither what was just made nor hide what was just deleted.
#[rstest]
#[case::by_the_same_operator(false)]
#[case::by_another_one_that_knows_nothing_of_it(true)]
#[tokio::test]
async fn an_object_that_comes_back_under_its_name_gets_a_record_of_its_own(#[case] crashes: bool) {
    let mut world = World::new("again").await;
    world.simulator.configure(|settings| {
        settings.list_lag = Duration::from_millis(800);
        settings.deleted_rows_linger = true;
    });
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let first = id_of(&world.settled("acme").await);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    if crashes {
        world.crash().await;
        world.start().await;
    }
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let second = id_of(&world.settled("acme").await);
    assert_ne!(second, first);
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(second.as_str()));
    assert_eq!(world.asked(Operation::Create), 2);
    world.ends_with(&[&second], 2, 1);
}

/// An object is not there before its namesake is gone, also for whoever does not wait for that.
#[tokio::test]
async fn a_manifest_that_is_applied_while_its_object_goes_is_applied_again_after_it() {
    let world = World::new("impatient").await;
    let manifest = connection("acme", &store("acme"), "");
    world.sandbox.apply(&manifest).await;
    world.settled("acme").await;
    world.simulator.push_fault(Fault::on(Operation::Delete, Effect::SlowBefore { delay: Duration::from_secs(1) }));
    world.sandbox.delete::<Connection>("acme").await;
    world.until_asked(Operation::Delete, 1).await;
    world.sandbox.apply(&manifest).await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.sandbox.apply(&manifest).await;
    let id = id_of(&world.settled("acme").await);
    world.ends_with(&[&id], 2, 1);
}
