//! What the operator knows of an object is wiped: metadata by `kubectl replace`, status by an administrator.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::{Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::world::{World, connection, id_of, message, status_of, store, told};

fn is_bound(connection: &Connection) -> bool {
    let finalizer = connection.finalizers().iter().any(|finalizer| finalizer == keys::CONNECTION_FINALIZER);
    finalizer && connection.annotations().contains_key(keys::CREATE_INTENT)
}

#[tokio::test]
async fn a_wiped_finalizer_is_put_back_when_ready() {
    let world = World::new("replace").await;
    let manifest = connection("acme", &store("acme"), "");
    world.sandbox.apply(&manifest).await;
    let before = world.settled("acme").await;
    world.sandbox.replace(&manifest).await;
    let after = world.sandbox.wait_for::<Connection>("acme", HANG, is_bound).await;
    assert_eq!(after.annotations().get(keys::CREATE_INTENT), before.annotations().get(keys::CREATE_INTENT));
    assert_eq!(id_of(&world.reconciled("acme").await), id_of(&before));
    world.ends_with(&[&id_of(&before)], 1, 0);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

#[rstest]
#[case::unanswered(Effect::LostAnswer)]
#[case::under_way(Effect::SlowBefore { delay: Duration::from_secs(1) })]
#[case::not_applied(Effect::Refuse { status: 500, retry_after: None })]
#[tokio::test]
async fn an_open_attempt_survives_a_wiped_annotation(#[case] effect: Effect) {
    let world = World::new("open-replace").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    let manifest = connection("acme", &store("acme"), "");
    world.sandbox.apply(&manifest).await;
    world.until_asked(Operation::Create, 1).await;
    world.sandbox.replace(&manifest).await;
    let ready = world.settled("acme").await;
    assert!(is_bound(&ready), "{}", told(&ready));
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

/// Both at once: the declaration is another one, and the attempt is the old one.
#[tokio::test]
async fn an_open_attempt_survives_a_replacement_by_another_store() {
    let world = World::new("open-replace").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("first"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    world.sandbox.replace(&connection("acme", &store("second"), "")).await;
    let halted = world.until("acme", "Ready", "False", "ReplacementRequired").await;
    world.ends_with(&[&id_of(&halted)], 1, 0);
}

#[rstest]
#[case::removed(Patch::Merge(json!({"status": null})))]
#[case::emptied(Patch::Json::<Value>(serde_json::from_value(json!([{"op": "replace", "path": "/status", "value": {}}])).expect("a patch")))]
#[tokio::test]
async fn a_wiped_status_is_found_out_again_when_ready(#[case] wipe: Patch<Value>) {
    let world = World::new("wipe").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    let api = world.sandbox.api::<Connection>();
    let wiped = api.patch_status("acme", &PatchParams::default(), &wipe).await.expect("a status to wipe");
    assert_eq!(status_of(&wiped).external_id, None);
    let ready = world.settled("acme").await;
    assert_eq!(id_of(&ready), id, "the record that its attempt made");
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

/// Nobody can tell any more whether they have been asked for: a person may ask for them once more.
#[tokio::test]
async fn a_wiped_status_asks_for_no_load_again() {
    let world = World::new("wipe-loads").await;
    let history = "  sync:\n    orders: {startDate: \"2025-01-01\"}\n";
    world.sandbox.apply(&connection("acme", &store("acme"), history)).await;
    let id = id_of(&world.settled("acme").await);
    world.wipe_status("acme").await;
    let ready = world.until("acme", "InitialRefreshComplete", "Unknown", "RefreshOutcomeUnknown").await;
    assert_eq!(id_of(&ready), id);
    assert!(world.rests::<Connection>("acme").await.says("Ready", "True", "Succeeded"));
    assert_eq!(world.asked(Operation::Refresh), 1);
    world.annotate("acme", keys::REFRESH, Some("orders@monday")).await;
    world.settled("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 2);
    world.ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_wiped_status_loses_no_open_attempt() {
    let world = World::new("open-wipe").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let open = |c: &Connection| message(c, "Ready").contains("not known");
    world.sandbox.wait_for::<Connection>("acme", HANG, open).await;
    world.wipe_status("acme").await;
    let ready = world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

/// Nothing is left that says whose the record is: it is a stranger's as far as anybody can tell.
#[tokio::test]
async fn a_record_of_which_all_is_forgotten_is_in_the_way_until_a_person_adopts_it() {
    let mut world = World::new("amnesia").await;
    let manifest = connection("acme", &store("acme"), "");
    world.sandbox.apply(&manifest).await;
    let id = id_of(&world.settled("acme").await);
    world.stop().await;
    world.sandbox.replace(&manifest).await;
    world.wipe_status("acme").await;
    world.start().await;
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert!(message(&halted, "Ready").contains(&id), "{}", message(&halted, "Ready"));
    assert!(!is_bound(&halted), "it has nothing to clean up");
    world.change("acme", &json!({"spec": {"adoptionPolicy": "Match", "deletionPolicy": "Delete"}})).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}
