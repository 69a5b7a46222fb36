//! What cannot be read proves nothing: nothing is made, given up or deleted because of it.

use std::time::Duration;

use rstest::rstest;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::{Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, connection, id_of, message, store, told};

/// More than the largest list that is read.
const HUGE: usize = 9 << 20;

const fn refuse(status: u16) -> Effect {
    Effect::Refuse { status, retry_after: None }
}

/// An object that never was ready says that it cannot be looked for, and goes on by itself.
fn says_why(waiting: &Connection, reason: &str) {
    let text = message(waiting, "Ready");
    assert!(text.contains("Trying again") || text.contains("Waiting") || text.contains("Correct the"), "{text}");
    assert!(waiting.says("Ready", "False", reason), "{}", told(waiting));
    assert_eq!(waiting.condition("Reconciling").is_some(), waiting.condition("Stalled").is_none(), "{}", told(waiting));
}

#[rstest]
#[case::internal_error(refuse(500), "ProviderUnavailable")]
#[case::unavailable(refuse(503), "ProviderUnavailable")]
#[case::limited(Effect::Refuse { status: 429, retry_after: Some(1) }, "RateLimited")]
#[case::no_answer(Effect::LostAnswer, "ProviderUnavailable")]
#[case::broken_answer(Effect::CutAnswer, "ProviderUnavailable")]
#[case::garbage(Effect::GarbageBody, "ProviderUnavailable")]
#[case::empty(Effect::EmptyBody, "ProviderUnavailable")]
#[case::too_large(Effect::HugeBody { bytes: HUGE }, "ProviderUnavailable")]
#[case::too_slow(Effect::SlowAfter { delay: Duration::from_secs(4) }, "ProviderUnavailable")]
#[case::unauthorized(refuse(401), "DependencyNotReady")]
#[case::not_found(refuse(404), "ProviderUnavailable")]
#[tokio::test]
async fn nothing_is_made_before_the_account_can_be_listed(#[case] effect: Effect, #[case] reason: &str) {
    let world = World::new("unlisted").await;
    world.account_until("Ready", "True", "Succeeded").await;
    world.simulator.push_fault(Fault::on(Operation::List, effect).forever());
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    says_why(&world.until("acme", "Ready", "False", reason).await, reason);
    assert_eq!(world.asked(Operation::Create), 0);
    world.simulator.clear_faults();
    let ready = world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

#[tokio::test]
async fn nothing_is_made_while_nobody_reaches_the_provider() {
    let mut world = World::new("down").await;
    world.account_until("Ready", "True", "Succeeded").await;
    world.take_provider_down().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let waiting = world.until("acme", "Ready", "False", "ProviderUnavailable").await;
    says_why(&waiting, "ProviderUnavailable");
    assert_eq!(waiting.kstatus(), Kstatus::InProgress);
    world.bring_provider_up();
    let ready = world.settled("acme").await;
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

/// What differs between an outage and the end of the world: an object that was ready stays so for a while.
#[rstest]
#[case::list_fails(Operation::List, refuse(500), "ProviderUnavailable")]
#[case::list_is_limited(Operation::List, Effect::Refuse { status: 429, retry_after: Some(1) }, "RateLimited")]
#[case::list_is_garbage(Operation::List, Effect::GarbageBody, "ProviderUnavailable")]
#[case::list_is_empty(Operation::List, Effect::EmptyBody, "ProviderUnavailable")]
#[case::list_is_too_large(Operation::List, Effect::HugeBody { bytes: HUGE }, "ProviderUnavailable")]
#[case::list_is_lost(Operation::List, Effect::LostAnswer, "ProviderUnavailable")]
#[case::status_fails(Operation::ReadStatus, refuse(502), "ProviderUnavailable")]
#[case::status_is_limited(Operation::ReadStatus, Effect::Refuse { status: 429, retry_after: Some(1) }, "RateLimited")]
#[case::status_is_garbage(Operation::ReadStatus, Effect::GarbageBody, "ProviderUnavailable")]
#[case::status_is_too_large(Operation::ReadStatus, Effect::HugeBody { bytes: 2 << 20 }, "ProviderUnavailable")]
#[case::status_is_cut(Operation::ReadStatus, Effect::CutAnswer, "ProviderUnavailable")]
#[tokio::test]
async fn a_passing_failure_leaves_ready_as_it_was_and_a_lasting_one_does_not(
    #[case] operation: Operation,
    #[case] effect: Effect,
    #[case] reason: &str,
) {
    let world = World::new("outage").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    let before = world.asked(operation);
    world.simulator.push_fault(Fault::on(operation, effect).forever());
    still_ready(&world.reconciled("acme").await, reason);
    let failing = not_ready_any_more(&world).await;
    assert!(failing.says("Ready", "False", reason), "{}", told(&failing));
    assert!(world.asked(operation) >= before + 2, "not at the first failure");
    world.simulator.clear_faults();
    heals(&world, &id).await;
}

#[tokio::test]
async fn an_outage_of_the_provider_makes_and_deletes_nothing() {
    let mut world = World::new("outage").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    world.take_provider_down().await;
    still_ready(&world.reconciled("acme").await, "ProviderUnavailable");
    assert!(not_ready_any_more(&world).await.says("Ready", "False", "ProviderUnavailable"));
    world.bring_provider_up();
    heals(&world, &id).await;
}

/// The first failure: the record cannot be compared, and that is all that is known.
fn still_ready(failing: &Connection, reason: &str) {
    assert!(failing.says("Ready", "True", "Succeeded"), "{}", told(failing));
    assert!(failing.says("Synced", "False", reason), "{}", told(failing));
    assert!(failing.condition("Reconciling").is_none() && failing.condition("Stalled").is_none(), "{}", told(failing));
    assert_eq!(failing.kstatus(), Kstatus::Current);
}

/// After so many failures in a row, whoever asked for the passes.
async fn not_ready_any_more(world: &World) -> Connection {
    for _ in 0..8 {
        let failing = world.reconciled("acme").await;
        if failing.condition("Ready").is_none_or(|ready| ready.status != "True") {
            assert!(failing.says("Reconciling", "True", "ProgressingWithRetry"), "{}", told(&failing));
            assert!(message(&failing, "Ready").contains(". "), "it says what comes next: {}", told(&failing));
            assert_eq!(failing.kstatus(), Kstatus::InProgress);
            return failing;
        }
    }
    panic!("eight failures in a row, and still ready");
}

async fn heals(world: &World, id: &str) {
    let healed = world.settled("acme").await;
    assert!(
        healed.says("Synced", "True", "Succeeded") && healed.condition("Reconciling").is_none(),
        "{}",
        told(&healed)
    );
    assert_eq!(id_of(&healed), id);
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[id], 1, 0);
}

/// A token that is not accepted is no record that is gone.
#[tokio::test]
async fn a_refused_token_is_never_taken_for_a_record_that_is_gone() {
    let world = World::new("token").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "  onExternalLoss: Recreate\n")).await;
    let id = id_of(&world.settled("acme").await);
    world.simulator.push_fault(Fault::on(Operation::ReadStatus, refuse(401)).forever());
    let refused = world.reconciled("acme").await;
    assert!(refused.says("Ready", "False", "CredentialsRejected"), "{}", told(&refused));
    assert_eq!((id_of(&refused), refused.kstatus()), (id.clone(), Kstatus::Failed));
    world.simulator.clear_faults();
    heals(&world, &id).await;
}

/// Of a record whose store cannot be read it is known that it is not the object's own: nothing was started yet.
#[rstest]
#[case::refused(refuse(401))]
#[case::disabled(refuse(403))]
#[case::not_found(refuse(404))]
#[case::gone(refuse(410))]
#[tokio::test]
async fn a_strangers_record_that_nobody_may_read_holds_nobody_up(#[case] effect: Effect) {
    let world = World::new("unreadable").await;
    let stranger = world.stranger(&store("other"));
    let id = stranger.parse().expect("an id");
    world.simulator.push_fault(Fault::on(Operation::ReadDetail, effect).connection(id).forever());
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let ready = world.settled("acme").await;
    world.ends_with(&[&stranger, &id_of(&ready)], 1, 0);
}

#[rstest]
#[case::fails(refuse(500))]
#[case::limited(Effect::Refuse { status: 429, retry_after: Some(1) })]
#[case::garbage(Effect::GarbageBody)]
#[case::too_large(Effect::HugeBody { bytes: 2 << 20 })]
#[case::cut(Effect::CutAnswer)]
#[case::refused_without_a_word(refuse(400))]
#[tokio::test]
async fn nothing_is_made_while_another_record_may_be_of_the_same_store(#[case] effect: Effect) {
    let world = World::new("unread").await;
    let stranger = world.stranger(&store("acme"));
    world.simulator.push_fault(Fault::on(Operation::ReadDetail, effect).forever());
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let waits = |c: &Connection| {
        let reason = c.condition("Ready").map(|ready| ready.reason.clone()).unwrap_or_default();
        reason == "ProviderUnavailable" || reason == "RateLimited"
    };
    let waiting = world.sandbox.wait_for::<Connection>("acme", HANG, waits).await;
    assert_eq!((waiting.kstatus(), world.asked(Operation::Create)), (Kstatus::InProgress, 0));
    world.simulator.clear_faults();
    world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert_eq!(world.asked(Operation::Create), 0);
    world.ends_with(&[&stranger], 0, 0);
}

/// Whose record the answered one is, is read after the answer. Once that failed, only the look after the grace can tell.
#[rstest]
#[case::detail_alone(false)]
#[case::detail_and_list(true)]
#[tokio::test]
async fn an_answered_record_that_cannot_be_read_at_once_is_recorded_all_the_same(#[case] list_too: bool) {
    let world = World::new("unread-own").await;
    let slow = Effect::SlowBefore { delay: Duration::from_millis(500) };
    world.simulator.push_fault(Fault::on(Operation::Create, slow));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    world.simulator.push_fault(Fault::on(Operation::ReadDetail, refuse(500)));
    if list_too {
        world.simulator.push_fault(Fault::on(Operation::List, refuse(500)).forever());
        let open = |c: &Connection| message(c, "Ready").contains("not known");
        world.sandbox.wait_for::<Connection>("acme", HANG, open).await;
        world.simulator.clear_faults();
    }
    let ready = world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

/// Rutter adds fields and values without a new version: they must not make a record look like another one.
#[rstest]
#[case::fields(Effect::UnknownFields)]
#[case::values(Effect::UnknownValues)]
#[case::depth(Effect::DeepBody { depth: 100_000 })]
#[tokio::test]
async fn what_no_client_knows_yet_changes_nothing_about_a_record(#[case] effect: Effect) {
    let world = World::new("future").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "  replacementPolicy: Recreate\n")).await;
    let id = id_of(&world.settled("acme").await);
    for operation in [Operation::List, Operation::ReadDetail, Operation::ReadStatus] {
        world.simulator.push_fault(Fault::on(operation, effect.clone()).forever());
    }
    let read = world.reconciled("acme").await;
    assert!(read.says("Ready", "True", "Succeeded") && read.says("Synced", "True", "Succeeded"), "{}", told(&read));
    assert_eq!(id_of(&read), id);
    world.ends_with(&[&id], 1, 0);
}
