//! A create whose outcome nobody told: it is waited for, looked for, and never sent on a guess.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt;
use rstest::rstest;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::{Clock, Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, connection, id_of, message, status_of, store, told};

/// A connection once it says that nobody knows what became of its create; nothing else may be said before that is found out.
async fn unanswered(world: &World, name: &str) -> Connection {
    let waits = |c: &Connection| c.says("Ready", "False", "Creating") && message(c, "Ready").contains("not known");
    let waiting = world.sandbox.wait_for::<Connection>(name, HANG, waits).await;
    assert!(message(&waiting, "Ready").contains("Waiting"), "{}", message(&waiting, "Ready"));
    assert!(
        waiting.says("Reconciling", "True", "Creating") && waiting.condition("Stalled").is_none(),
        "{}",
        told(&waiting)
    );
    assert_eq!(waiting.kstatus(), Kstatus::InProgress);
    assert_eq!(status_of(&waiting).external_id, None, "nobody knows it yet");
    waiting
}

#[rstest]
#[case::lost_answer(Effect::LostAnswer)]
#[case::broken_in_the_body(Effect::CutAnswer)]
#[case::internal_error(Effect::StatusAfterApply { status: 500 })]
#[case::bad_gateway(Effect::StatusAfterApply { status: 502 })]
#[case::unavailable(Effect::StatusAfterApply { status: 503 })]
#[case::redirect(Effect::StatusAfterApply { status: 302 })]
#[case::garbage(Effect::GarbageBody)]
#[case::empty(Effect::EmptyBody)]
#[case::without_id(Effect::WithoutId)]
#[case::without_token(Effect::NullField { field: "access_token".to_owned() })]
#[case::over_a_mebibyte(Effect::HugeBody { bytes: 2 << 20 })]
#[case::answer_too_late(Effect::SlowAfter { delay: Duration::from_secs(4) })]
#[case::applied_too_late(Effect::SlowBefore { delay: Duration::from_millis(3500) })]
#[case::applied_after_the_connection_closed(Effect::LateApply { delay: Duration::from_millis(1500) })]
#[tokio::test]
async fn what_an_unanswered_create_made_is_found_again(#[case] effect: Effect) {
    let world = World::new("unanswered").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    unanswered(&world, "acme").await;
    let ready = world.settled("acme").await;
    let id = id_of(&ready);
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(id.as_str()));
    assert_eq!(world.asked(Operation::Create), 1, "it was found, not made again");
    world.ends_with(&[&id], 1, 0);

    // It is the object's own in every sense: it goes with it.
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

#[rstest]
#[case::internal_error(500)]
#[case::unavailable(503)]
#[case::time_out(408)]
#[case::too_early(425)]
#[case::undocumented(418)]
#[tokio::test]
async fn what_an_unanswered_create_did_not_make_is_made_after_the_grace(#[case] status: u16) {
    let world = World::new("not-applied").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status, retry_after: None }));
    made_at_the_second_attempt(&world).await;
}

#[tokio::test]
async fn an_idempotency_key_that_does_not_match_is_followed_by_a_new_one() {
    let world = World::new("mismatch").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::IdempotencyMismatch));
    made_at_the_second_attempt(&world).await;
}

/// 452 tells of the platform's limit and not whether the request was applied.
#[tokio::test]
async fn a_limit_of_the_platform_leaves_a_create_open() {
    let world = World::new("platform-limit").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status: 452, retry_after: Some(1) }));
    made_at_the_second_attempt(&world).await;
}

async fn made_at_the_second_attempt(world: &World) {
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    unanswered(world, "acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
    let ready = world.settled("acme").await;
    assert_eq!(status_of(&ready).creation.map(|c| c.settled_attempt), Some(2));
    assert_eq!(keys(world).len(), 2, "two attempts with a key each");
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

/// The idempotency keys of all creates.
fn keys(world: &World) -> BTreeSet<String> {
    let journal = world.simulator.journal();
    let creates: Vec<_> = journal.iter().filter(|entry| entry.operation == Operation::Create).collect();
    let keys: BTreeSet<_> = creates.iter().filter_map(|entry| entry.idempotency_key.clone()).collect();
    assert_eq!(keys.len(), creates.len(), "every create has a key of its own: {creates:?}");
    keys
}

#[rstest]
#[case::fields(Effect::UnknownFields)]
#[case::values(Effect::UnknownValues)]
#[case::depth(Effect::DeepBody { depth: 100_000 })]
#[tokio::test]
async fn what_no_client_knows_yet_does_not_hold_a_create_up(#[case] effect: Effect) {
    let world = World::new("future").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let ready = world.settled("acme").await;
    assert_eq!(status_of(&ready).creation.map(|c| c.settled_attempt), Some(1));
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

/// More than one thing at a time: the answer is lost, and lists do not show the record at once.
#[rstest]
#[case::answered(None)]
#[case::unanswered(Some(Effect::LostAnswer))]
#[tokio::test]
async fn a_list_that_lags_hides_a_new_record_from_nobody(#[case] effect: Option<Effect>) {
    let world = World::new("lag").await;
    world.simulator.configure(|settings| settings.list_lag = Duration::from_millis(800));
    if let Some(effect) = effect {
        world.simulator.push_fault(Fault::on(Operation::Create, effect));
    }
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let ready = world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

/// Both ways to find out are closed: the answer was lost, and what store the record is of cannot be read.
#[tokio::test]
async fn a_record_that_may_be_ours_is_neither_taken_nor_made_twice() {
    let world = World::new("doubtful").await;
    let unreadable = Fault::on(Operation::ReadDetail, Effect::Refuse { status: 401, retry_after: None });
    world.simulator.push_fault(unreadable.forever());
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let halted = world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let made = world.live();
    assert_eq!(status_of(&halted).creation.map(|c| c.candidates), Some(made.clone()));
    let text = message(&halted, "Ready");
    assert!(text.contains(&made[0]) && text.contains("tradewind resolve --adopt ID"), "{text}");
    assert_eq!((halted.kstatus(), halted.finalizers().len()), (Kstatus::Failed, 1));

    world.simulator.clear_faults();
    let ready = world.settled("acme").await;
    assert_eq!(id_of(&ready), made[0], "it can be read again: nobody has to be asked");
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&made[0]], 1, 0);
}

/// All comparisons are within the provider's own time, however far that is from ours.
#[rstest]
#[case::behind("2026-01-05T10:00:00Z")]
#[case::ahead("2036-01-05T10:00:00Z")]
#[tokio::test]
async fn a_provider_whose_clock_is_far_from_ours_is_understood(#[case] epoch: &str) {
    let clock = Clock::starting_at(epoch.parse().expect("a time"));
    let mut world = World::under("skew", clock, World::setup()).await;
    world.furnish().await;
    world.start().await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer).store(store("lost")));
    for name in ["lost", "acme"] {
        world.sandbox.apply(&connection(name, &store(name), "")).await;
    }
    let (lost, acme) = (world.settled("lost").await, world.settled("acme").await);
    let mut ids = [id_of(&lost), id_of(&acme)];
    ids.sort();
    let mut live = world.live();
    live.sort();
    assert_eq!((live.as_slice(), world.asked(Operation::Create)), (ids.as_slice(), 2));
    assert!(world.simulator.stats().duplicates.is_empty());
}

/// What cannot be told from a list proves no absence, and is nobody else's either: a person is asked.
#[rstest]
#[case::of_what_platform(Effect::UnknownValues)]
#[case::since_when(Effect::NullField { field: "created_at".to_owned() })]
#[tokio::test]
async fn a_record_of_which_too_little_is_told_is_neither_taken_nor_made_twice(#[case] effect: Effect) {
    let world = World::new("half-told").await;
    for operation in [Operation::List, Operation::ReadDetail] {
        world.simulator.push_fault(Fault::on(operation, effect.clone()).forever());
    }
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let over = |c: &Connection| {
        c.condition("Ready").is_some_and(|ready| ready.reason != "Creating" && ready.reason != "Progressing")
    };
    let halted = world.sandbox.wait_for::<Connection>("acme", HANG, over).await;
    assert!(halted.says("Ready", "False", "CreateOutcomeUnknown"), "{}", told(&halted));
    let made = world.live();
    assert_eq!(status_of(&halted).creation.map(|c| c.candidates), Some(made.clone()));

    world.simulator.clear_faults();
    assert_eq!(id_of(&world.settled("acme").await), made[0], "all is told again: nobody has to be asked");
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&made[0]], 1, 0);
}

/// What goes wrong for one store is nobody else's trouble.
#[tokio::test]
async fn an_unanswered_create_holds_no_other_object_up() {
    let world = World::new("others").await;
    let slow = Effect::SlowBefore { delay: Duration::from_secs(2) };
    world.simulator.push_fault(Fault::on(Operation::Create, slow.clone()).and(Effect::LostAnswer).store(store("slow")));
    world.sandbox.apply(&connection("slow", &store("slow"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    let names: Vec<String> = (0..5).map(|n| format!("other-{n}")).collect();
    for name in &names {
        world.sandbox.apply(&connection(name, &store(name), "")).await;
    }
    let mut live = Vec::new();
    for name in &names {
        live.push(id_of(&world.settled(name).await));
    }
    live.push(id_of(&world.settled("slow").await));
    live.sort();
    let mut found = world.live();
    found.sort();
    assert_eq!(found, live);
    assert_eq!(world.asked(Operation::Create), 6);
    assert!(world.simulator.stats().duplicates.is_empty());
}
