//! An object that is restored under a new UID, or copied: nobody can tell whose the record is, so a person says it.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::decide::Resolution;
use tradewind::domain::ids::ExternalId;
use tradewind_simulator::rutter::Deed;
use tradewind_simulator::{Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, answer, connection, id_of, message, status_of, store, told};

/// What a backup kept beside the declaration.
#[derive(Clone, Copy, Debug)]
struct Kept {
    annotations: bool,
    status: bool,
}

const ALL: Kept = Kept { annotations: true, status: true };

/// A world in which an object was ready, and then restored from a backup while no operator ran. Its id, and the object as it was.
async fn restored(name: &str, kept: Kept) -> (World, String) {
    let mut world = World::new(name).await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let backup = world.settled("acme").await;
    world.stop().await;
    restore(&world, &backup, kept).await;
    world.start().await;
    (world, id_of(&backup))
}

/// Takes an object away without its record, and brings it back as the backup has it.
async fn restore(world: &World, backup: &Connection, kept: Kept) {
    world.change("acme", &json!({"metadata": {"finalizers": null}})).await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    bring_back(world, backup, "acme", kept).await;
    let back = world.sandbox.get::<Connection>("acme").await.expect("the object");
    assert_ne!(back.uid(), backup.uid());
}

async fn bring_back(world: &World, backup: &Connection, name: &str, kept: Kept) {
    let api = world.sandbox.api::<Connection>();
    let mut object = Connection::new(name, backup.spec.clone());
    if kept.annotations {
        object.metadata.annotations = Some(backup.annotations().clone());
        object.metadata.finalizers = Some(backup.finalizers().to_vec());
    }
    api.create(&PostParams::default(), &object).await.expect("a restored object");
    if kept.status {
        let status = Patch::Merge(json!({"status": backup.status}));
        api.patch_status(name, &PatchParams::default(), &status).await.expect("a restored status");
    }
}

/// The object asks a person, and names the record; a further pass changes nothing about that.
async fn asks(world: &World, id: &str) -> Connection {
    world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let halted = world.reconciled("acme").await;
    assert!(halted.says("Ready", "False", "CreateOutcomeUnknown"), "{}", told(&halted));
    assert!(halted.says("Stalled", "True", "CreateOutcomeUnknown") && halted.condition("Reconciling").is_none());
    assert_eq!(status_of(&halted).creation.map(|c| c.candidates), Some(vec![id.to_owned()]));
    let text = message(&halted, "Ready");
    assert!(text.contains(id) && text.contains("tradewind resolve --adopt ID"), "{text}");
    assert_eq!(halted.kstatus(), Kstatus::Failed);
    assert_eq!((world.asked(Operation::Create), world.asked(Operation::Delete)), (1, 0));
    halted
}

#[rstest]
#[case::with_all(ALL)]
#[case::without_status(Kept { annotations: true, status: false })]
#[case::without_annotations(Kept { annotations: false, status: true })]
#[tokio::test]
async fn a_restored_object_takes_its_record_when_a_person_says_so(#[case] kept: Kept) {
    let (world, id) = restored("restore", kept).await;
    let asking = asks(&world, &id).await;
    world.resolve(&asking, &Resolution::Adopt(ExternalId::new(&id))).await;
    let ready = world.settled("acme").await;
    assert_eq!(id_of(&ready), id);
    assert_eq!(ready.finalizers(), [keys::CONNECTION_FINALIZER]);
    assert!(!ready.annotations().contains_key(keys::RESOLVE), "the answer is carried out");
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(id.as_str()));
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
    if kept.status {
        // What it was made with was in the backup: the provider does not show it.
        world.change("acme", &json!({"spec": {"rutter": {"scope": "another"}}})).await;
        world.until("acme", "Ready", "False", "ReplacementRequired").await;
    }

    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

/// The backup is older than the answer: not even the attempt's own operator knew what it made.
#[tokio::test]
async fn an_object_that_is_restored_with_an_open_attempt_asks_too() {
    let mut world = World::new("open-restore").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let open = |c: &Connection| message(c, "Ready").contains("not known");
    let backup = world.sandbox.wait_for::<Connection>("acme", HANG, open).await;
    world.stop().await;
    restore(&world, &backup, ALL).await;
    world.start().await;
    let id = world.live().remove(0);
    let asking = asks(&world, &id).await;
    world.resolve(&asking, &Resolution::Adopt(ExternalId::new(&id))).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    world.ends_with(&[&id], 1, 0);
}

/// Also then no store gets two records.
#[tokio::test]
async fn a_restored_object_starts_anew_when_a_person_says_so() {
    let (world, old) = restored("anew", ALL).await;
    world.simulator.configure(|settings| settings.initial_sync = Duration::from_mins(10));
    let asking = asks(&world, &old).await;
    world.resolve(&asking, &Resolution::CreateAnew).await;
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert!(message(&halted, "Ready").contains(&old), "{}", message(&halted, "Ready"));
    assert_eq!(status_of(&halted).external_id, None);
    world.ends_with(&[&old], 1, 0);

    world.deed(&old, |connection| Deed::Delete { connection });
    world.request("acme").await;
    // What was said of the first one's data says nothing of this one's.
    let loads = |c: &Connection| c.says("InitialRefreshComplete", "False", "InitialRefreshRunning");
    let new = id_of(&world.sandbox.wait_for::<Connection>("acme", HANG, loads).await);
    assert_ne!(new, old);
    world.ends_with(&[&new], 2, 1);
}

#[rstest]
#[case::and_its_record_with_it(true)]
#[case::and_its_record_stays(false)]
#[tokio::test]
async fn a_restored_object_that_is_deleted_asks_whether_the_record_goes_too(#[case] adopts: bool) {
    let (world, id) = restored("restore-delete", ALL).await;
    asks(&world, &id).await;
    world.sandbox.delete::<Connection>("acme").await;
    let asking = world.until("acme", "Ready", "False", "DeletionBlocked").await;
    let text = message(&asking, "Ready");
    assert!(text.contains(&id) && text.contains("tradewind abandon"), "{text}");
    assert_eq!((asking.kstatus(), world.asked(Operation::Delete)), (Kstatus::Terminating, 0));
    let resolution = if adopts { Resolution::Adopt(ExternalId::new(&id)) } else { Resolution::CreateAnew };
    world.resolve(&asking, &resolution).await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    if adopts { world.ends_with(&[], 1, 1) } else { world.ends_with(&[&id], 1, 0) }
}

/// The answer is written down before it is taken off. An operator that ends between the two has carried it out.
#[tokio::test]
async fn an_answer_is_not_lost_where_the_operator_ends_halfway() {
    let (mut world, id) = restored("restore-halfway", ALL).await;
    let asking = asks(&world, &id).await;
    let since = world.sandbox.mark();
    world.resolve(&asking, &Resolution::Adopt(ExternalId::new(&id))).await;
    let ready = world.settled("acme").await;
    let mut writes = world.sandbox.audit_writes(since).remove("connections/acme").expect("writes");
    writes.sort_by_key(|write| write.time);
    let parts: Vec<_> = writes.iter().take(2).map(|write| write.subresource.as_str()).collect();
    assert_eq!(parts, ["status", ""]);

    // As it would be: all but the annotations.
    world.stop().await;
    let before = asking.annotations().clone();
    world.change("acme", &json!({"metadata": {"annotations": before}})).await;
    world.sandbox.delete::<Connection>("acme").await;
    world.start().await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert_eq!(id_of(&ready), id);
    world.ends_with(&[], 1, 1);
}

/// An answer belongs to one question of one object.
#[rstest]
#[case::to_another_object("00000000-0000-4000-8000-000000000000/n create-anew")]
#[case::that_is_none("create-anew please")]
#[tokio::test]
async fn an_answer_to_another_question_counts_for_nothing(#[case] text: &str) {
    let (world, id) = restored("answer", ALL).await;
    asks(&world, &id).await;
    world.annotate("acme", keys::RESOLVE, Some(text)).await;
    let asking = asks(&world, &id).await;

    // One that fits, but names a record that is not there.
    let missing = Resolution::Adopt(ExternalId::new("00000000-0000-4000-8000-00000000dead"));
    world.resolve(&asking, &missing).await;
    let wrong = world.until("acme", "Ready", "False", "ExternalNotFound").await;
    let text = message(&wrong, "Ready");
    assert!(text.contains("00000000dead") && text.contains("tradewind resolve --adopt"), "{text}");
    assert_eq!(
        status_of(&wrong).creation.expect("a creation").candidates,
        std::slice::from_ref(&id),
        "what else there is stays named"
    );
    world.resolve(&asking, &Resolution::Adopt(ExternalId::new(&id))).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    world.ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn an_answer_takes_no_record_where_the_account_forbids_it() {
    let (world, id) = restored("forbidden", ALL).await;
    let asking = asks(&world, &id).await;
    world.sandbox.apply(&world.account_with("adoption: Forbidden")).await;
    world.resolve(&asking, &Resolution::Adopt(ExternalId::new(&id))).await;
    let halted = world.until("acme", "Ready", "False", "AdoptionForbidden").await;
    assert!(message(&halted, "Ready").contains("adoption: Allowed"), "{}", message(&halted, "Ready"));
    world.sandbox.apply(&world.account_with("adoption: Allowed")).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    world.ends_with(&[&id], 1, 0);
}

/// Re-created from its manifest alone, after somebody had taken the finalizer off: the record is nobody's.
#[tokio::test]
async fn a_record_that_an_object_left_behind_is_in_the_way_of_the_next_one() {
    let (world, id) = restored("orphan", Kept { annotations: false, status: false }).await;
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert!(message(&halted, "Ready").contains(&id), "{}", message(&halted, "Ready"));
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

/// `kubectl get -o yaml`, another name, `kubectl create`: the copy speaks of the original's attempt.
#[rstest]
#[case::with_its_status(true)]
#[case::without_its_status(false)]
#[tokio::test]
async fn a_copied_object_touches_nothing_of_the_originals(#[case] status: bool) {
    let world = World::new("copy").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let original = world.settled("acme").await;
    let id = id_of(&original);
    bring_back(&world, &original, "copy", Kept { annotations: true, status }).await;
    world.until("copy", "Ready", "False", "CreateOutcomeUnknown").await;
    let asking = world.reconciled("copy").await;
    let adopt = answer(&asking, &Resolution::Adopt(ExternalId::new(&id)));
    world.annotate("copy", keys::RESOLVE, Some(&adopt)).await;
    let halted = world.until("copy", "Ready", "False", "ExternalIdConflict").await;
    assert!(message(&halted, "Ready").contains(&id), "{}", message(&halted, "Ready"));

    world.resolve(&halted, &Resolution::CreateAnew).await;
    world.until("copy", "Ready", "False", "ExternalIdConflict").await;
    world.sandbox.delete::<Connection>("copy").await;
    world.sandbox.wait_gone::<Connection>("copy", HANG).await;
    let original = world.reconciled("acme").await;
    assert!(original.says("Ready", "True", "Succeeded"), "{}", told(&original));
    assert_eq!((id_of(&original), world.asked(Operation::Create)), (id.clone(), 1));
    world.ends_with(&[&id], 1, 0);
}
