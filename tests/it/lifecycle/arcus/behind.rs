//! What others do to a connector behind the operator's back, and what becomes of it.

use rstest::rstest;
use serde_json::json;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::Operation;
use tradewind_simulator::arcus::{Act, Connector};

use super::{SECRET, SHOP, connector};
use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::lifecycle::expect::{assert_healed, assert_stalled};
use crate::world::{World, message, status_of, told};

#[rstest]
#[case::name(json!({"display_name": "Theirs"}), "spec.arcus.displayName")]
#[case::mode(json!({"mode": "live"}), "spec.arcus.mode")]
#[case::off(json!({"is_active": false}), "spec.arcus.active")]
#[case::configuration(json!({"config": {"format": "png"}}), "spec.arcus.config")]
#[case::address(json!({"ship_from_zip": "1"}), "spec.arcus.shipFrom.zip")]
#[tokio::test]
async fn what_somebody_changed_is_put_back_and_said(#[case] change: serde_json::Value, #[case] path: &str) {
    let world = World::with_arcus("arcus-drift").await;
    let settings = "    displayName: Labels\n    config: {format: pdf}\n    shipFrom: {zip: \"89501\"}\n";
    world.sandbox.apply(&connector("acme", "shippo", settings, "")).await;
    world.enters_credentials().await;
    world.somebody(Connector::Shippo, Act::Change { fields: change.as_object().expect("an object").clone() });
    world.request("acme").await;
    let put_back =
        |c: &Connection| status_of(c).last_action.is_some_and(|a| a.cause == "Updated" && a.fields == [path]);
    world.sandbox.wait_for::<Connection>("acme", HANG, put_back).await;
    world.reconciled("acme").await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    let record = world.at_arcus(Connector::Shippo);
    assert_eq!(record.changes.len(), 1, "{:#?}", record.changes);
    assert_eq!(record.changes[0].changed.len(), 1, "{:#?}", record.changes);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
}

#[tokio::test]
async fn credentials_that_are_taken_away_are_waited_for_and_nothing_is_deleted() {
    let world = World::with_labels("arcus-removed").await;
    world.somebody(Connector::Shippo, Act::RemoveCredentials);
    world.request("acme").await;
    let waiting = world.until("acme", "Ready", "False", "AuthorizationRequired").await;
    assert!(message(&waiting, "Ready").contains("Enter the credentials in Arcus"), "{}", told(&waiting));
    assert!(waiting.says("Authorized", "False", "AuthorizationRequired"), "{}", told(&waiting));
    assert!(waiting.condition("Stalled").is_none() && waiting.condition("Reconciling").is_none(), "{}", told(&waiting));
    assert_eq!((waiting.kstatus(), status_of(&waiting).has_credentials), (Kstatus::InProgress, Some(false)));
    world.rests::<Connection>("acme").await;
    // What is asked for meanwhile is carried out all the same.
    world.change("acme", &json!({"spec": {"arcus": {"displayName": "Parcels"}}})).await;
    world
        .provider_until("its name", |s| s.connector(Connector::Shippo).is_some_and(|r| r.display_name == "Parcels"))
        .await;
    assert_healed(&world.enters_credentials().await);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
}

/// A merchant who takes the authorization back: nothing to enter here, and no link from us.
#[tokio::test]
async fn an_authorization_that_is_taken_back_is_said() {
    let world = World::with_arcus("arcus-taken-back").await;
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    world.reconciled("acme").await;
    world.somebody(Connector::Shopify, Act::Approve);
    world.until("acme", "Ready", "True", "Succeeded").await;
    world.somebody(Connector::Shopify, Act::RemoveCredentials);
    world.request("acme").await;
    let waiting = world.until("acme", "Ready", "False", "AuthorizationRequired").await;
    assert!(message(&waiting, "Ready").contains("Arcus' own pages"), "{}", told(&waiting));
    world.rests::<Connection>("acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
    world.somebody(Connector::Shopify, Act::EnterCredentials);
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
}

#[tokio::test]
async fn an_error_of_a_synchronization_is_shown_and_gone_again() {
    let world = World::with_labels("arcus-sync").await;
    let error = "The shop answers 402".to_owned();
    world.somebody(Connector::Shippo, Act::SetSyncError { error: Some(error.clone()) });
    world.request("acme").await;
    let shown = |c: &Connection| status_of(c).sync_error.as_deref() == Some(error.as_str());
    let seen = world.sandbox.wait_for::<Connection>("acme", HANG, shown).await;
    assert_eq!(status_of(&seen).sync_status.as_deref(), Some("Failed"));
    assert!(seen.says("Ready", "True", "Succeeded"), "a free text is shown and nothing hangs on it: {}", told(&seen));
    world.somebody(Connector::Shippo, Act::SetSyncError { error: None });
    world.request("acme").await;
    world.sandbox.wait_for::<Connection>("acme", HANG, |c| status_of(c).sync_error.is_none()).await;
}

/// `active: false` is a change of its own: a create takes no word of it.
#[tokio::test]
async fn what_shall_be_off_from_the_start_is_made_and_switched_off() {
    let world = World::with_arcus("arcus-off").await;
    world.sandbox.apply(&connector("acme", "shippo", "    active: false\n", "")).await;
    world.provider_until("it is off", |s| s.connector(Connector::Shippo).is_some_and(|r| !r.is_active)).await;
    world.reconciled("acme").await;
    let journal = world.simulator.journal();
    let writes: Vec<_> = journal.iter().filter(|e| e.method != "GET").map(|e| (&*e.method, &*e.body_fields)).collect();
    assert_eq!(writes, [("POST", &["mode".to_owned()][..]), ("PATCH", &["is_active".to_owned()][..])]);
    world.rests::<Connection>("acme").await;
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 1, 1);
}

/// A deleted connector may be hidden, or shown as switched off: nobody can tell that from the row alone.
#[rstest]
#[case::hidden(false)]
#[case::shown_as_switched_off(true)]
#[tokio::test]
async fn a_connector_that_somebody_deleted_is_asked_about_or_made_anew(#[case] shown: bool) {
    let world = World::with_labels("arcus-loss").await;
    world.simulator.configure_arcus(|s| s.deleted_rows_shown = shown);
    world.somebody(Connector::Shippo, Act::Delete);
    world.request("acme").await;
    let halted = world.until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_stalled(&halted, "ExternalNotFound", &["shippo", "onExternalLoss: Recreate"]);
    world.rests::<Connection>("acme").await;
    world.arcus_ends_with(&[], 1, 1);
    world.change("acme", &json!({"spec": {"onExternalLoss": "Recreate"}})).await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    world.arcus_ends_with(&[Connector::Shippo], 2, 1);
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 2, 2);
}

#[tokio::test]
async fn what_somebody_deleted_goes_with_its_object() {
    let world = World::with_labels("arcus-gone").await;
    world.somebody(Connector::Shippo, Act::Delete);
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 1, 1);
}

/// What may be null is so where somebody has cleared it.
#[tokio::test]
async fn what_somebody_cleared_is_put_back() {
    let world = World::with_arcus("arcus-cleared").await;
    world.simulator.configure_arcus(|s| s.null_clears = true);
    world.sandbox.apply(&connector("acme", "shippo", "    shipFrom: {zip: \"89501\"}\n", "")).await;
    world.enters_credentials().await;
    let fields = serde_json::Map::from_iter([("ship_from_zip".to_owned(), json!(null))]);
    world.somebody(Connector::Shippo, Act::Change { fields });
    world.request("acme").await;
    let put_back = |c: &Connection| status_of(c).last_action.is_some_and(|a| a.fields == ["spec.arcus.shipFrom.zip"]);
    world.sandbox.wait_for::<Connection>("acme", HANG, put_back).await;
    world.reconciled("acme").await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    assert_eq!(world.at_arcus(Connector::Shippo).changes.len(), 1);
}
