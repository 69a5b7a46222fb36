//! A delete that goes wrong: the object stays as long as its record may, and both are gone in the end.

use rstest::rstest;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::rutter::{Deed, Gone};
use tradewind_simulator::{Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, connection, id_of, message, store, told};

/// A world with one connection that is ready, and its id. A list has shown it: a 404 to its deletion is believed from then on.
async fn ready(name: &str) -> (World, String) {
    let world = World::new(name).await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    let id = id_of(&world.reconciled("acme").await);
    (world, id)
}

#[rstest]
#[case::lost_answer(Effect::LostAnswer)]
#[case::broken_answer(Effect::CutAnswer)]
#[case::internal_error(Effect::StatusAfterApply { status: 500 })]
#[case::gateway(Effect::StatusAfterApply { status: 502 })]
#[case::garbage(Effect::GarbageBody)]
#[case::empty(Effect::EmptyBody)]
#[case::says_no(Effect::Unsuccessful)]
#[case::says_nothing(Effect::NullField { field: "success".to_owned() })]
#[case::too_large(Effect::HugeBody { bytes: 2 << 20 })]
#[tokio::test]
async fn an_unanswered_delete_is_sent_again_and_meets_a_record_that_is_gone(#[case] effect: Effect) {
    let (world, _) = ready("undeleted").await;
    world.simulator.push_fault(Fault::on(Operation::Delete, effect));
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    let deletes: Vec<_> = world.simulator.journal().into_iter().filter(|e| e.operation == Operation::Delete).collect();
    assert_eq!(deletes.len(), 2, "{deletes:#?}");
    world.ends_with(&[], 1, 1);
}

#[rstest]
#[case::internal_error(500, None, "Deleting", "Trying again")]
#[case::limited(429, Some(1), "Deleting", "Waiting")]
#[case::limited_by_the_platform(452, Some(1), "Deleting", "Waiting")]
#[case::conflict(409, None, "Deleting", "Trying again")]
#[case::unauthorized(401, None, "DeletionBlocked", "Correct the Secret")]
#[case::forbidden(403, None, "DeletionBlocked", "Grant the right")]
#[case::refused_by_the_platform(450, None, "DeletionBlocked", "refused the request")]
#[tokio::test]
async fn an_object_stays_as_long_as_its_record_cannot_be_deleted(
    #[case] status: u16,
    #[case] retry_after: Option<u64>,
    #[case] reason: &str,
    #[case] words: &str,
) {
    let (world, id) = ready("stays").await;
    world.simulator.push_fault(Fault::on(Operation::Delete, Effect::Refuse { status, retry_after }).forever());
    world.sandbox.delete::<Connection>("acme").await;
    let staying = world.until("acme", "Ready", "False", reason).await;
    assert!(message(&staying, "Ready").contains(words), "{}", message(&staying, "Ready"));
    let (stalled, reconciling) = (staying.condition("Stalled").is_some(), staying.condition("Reconciling").is_some());
    assert_eq!((stalled, reconciling), (reason == "DeletionBlocked", reason == "Deleting"), "{}", told(&staying));
    assert_eq!(staying.kstatus(), Kstatus::Terminating);
    assert_eq!(world.live(), [id]);
    world.simulator.clear_faults();
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

#[tokio::test]
async fn an_object_stays_as_long_as_nobody_reaches_the_provider() {
    let (mut world, id) = ready("stays").await;
    world.take_provider_down().await;
    world.sandbox.delete::<Connection>("acme").await;
    let staying = world.until("acme", "Ready", "False", "Deleting").await;
    assert!(staying.says("Reconciling", "True", "Deleting"), "{}", told(&staying));
    assert_eq!(world.live(), [id]);
    world.bring_provider_up();
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

#[rstest]
#[case::as_not_found(Gone::NotFound)]
#[case::as_gone(Gone::Gone)]
#[tokio::test]
async fn a_record_that_is_gone_already_is_deleted(#[case] gone: Gone) {
    let (world, id) = ready("gone").await;
    world.simulator.configure(|settings| settings.gone = gone);
    world.deed(&id, |connection| Deed::Delete { connection });
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert_eq!(world.asked(Operation::Delete), 1);
    world.ends_with(&[], 1, 1);
}
