//! What Arcus says no to, verb by verb, documented or not: what people see, and that it heals.

use rstest::rstest;
use serde_json::json;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::arcus::{Act, Connector};
use tradewind_simulator::{Effect, Fault, Operation};

use super::connector;
use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::lifecycle::expect::{assert_healed, assert_stalled};
use crate::world::{World, message, status_of, told};

fn refuse(world: &World, operation: Operation, status: u16) {
    world.simulator.push_fault(Fault::on(operation, Effect::Refuse { status, retry_after: None }).forever());
}

/// Refused for certain: nothing was made.
#[rstest]
#[case::bad_request(400, "ProviderRejected", "Arcus refused the request", true)]
#[case::invalid(422, "ProviderRejected", "Arcus refused the request (validation_error)", true)]
#[case::unauthorized(401, "DependencyNotReady", "Arcus refused the login", true)]
#[case::forbidden(403, "CredentialsRejected", "the scope integrations:write", true)]
#[case::no_endpoint(404, "ProviderUnavailable", "does not know what was asked for", false)]
#[case::conflict(409, "ProviderRejected", "reports a conflict", false)]
#[case::limited(429, "RateLimited", "asks to slow down", false)]
#[tokio::test]
async fn a_refused_create_makes_nothing_and_says_why(
    #[case] status: u16,
    #[case] reason: &str,
    #[case] says: &str,
    #[case] stalls: bool,
) {
    let world = World::with_arcus("arcus-refused").await;
    refuse(&world, Operation::Create, status);
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    let seen = world.until("acme", "Ready", "False", reason).await;
    assert!(message(&seen, "Ready").contains(says), "{}", told(&seen));
    let expected = if stalls { Kstatus::Failed } else { Kstatus::InProgress };
    assert_eq!(seen.kstatus(), expected, "{}", told(&seen));
    assert!(world.simulator.connectors().is_empty());
    world.simulator.clear_faults();
    world.request("acme").await;
    assert_healed(&world.enters_credentials().await);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
}

/// The provider names the field, and so do we, in the words of the declaration.
#[tokio::test]
async fn a_refused_field_is_named_and_corrected() {
    let world = World::with_arcus("arcus-field").await;
    world.sandbox.apply(&connector("acme", "plaid", "    bankAccountId: no-uuid\n", "")).await;
    let halted = world.until("acme", "Ready", "False", "ProviderRejected").await;
    assert_stalled(&halted, "ProviderRejected", &["Arcus refused spec.arcus.bankAccountId", "Correct what is written"]);
    let good = json!({"spec": {"arcus": {"bankAccountId": "0b8a2f6e-3f0c-4f57-9a3c-0f2d4f5b6a71"}}});
    world.change("acme", &good).await;
    world.until("acme", "Ready", "False", "AuthorizationRequired").await;
    world.arcus_ends_with(&[Connector::Plaid], 1, 0);
}

/// What was ready stays so through a failure that may pass, and no longer where a person must act. In the end the change
/// is there.
#[rstest]
#[case::bad_request(400, "ProviderRejected", "Arcus refused the request", true)]
#[case::unauthorized(401, "DependencyNotReady", "Arcus refused the login", true)]
#[case::forbidden(403, "CredentialsRejected", "the scope integrations:write", true)]
#[case::invalid(422, "ProviderRejected", "Arcus refused the request", true)]
#[case::undocumented(418, "ProviderRejected", "Arcus refused the request", true)]
#[case::gone(410, "ProviderUnavailable", "does not know what was asked for", false)]
#[case::conflict(409, "ProviderRejected", "reports a conflict", false)]
#[case::limited(429, "RateLimited", "asks to slow down", false)]
#[case::internal_error(500, "ProviderUnavailable", "cannot be reached or failed", false)]
#[case::not_implemented(501, "ProviderUnavailable", "cannot be reached or failed", false)]
#[case::time_out(408, "ProviderUnavailable", "did not answer in time", false)]
#[case::redirect(302, "ProviderUnavailable", "cannot be read", false)]
#[tokio::test]
async fn a_refused_change_is_said_and_not_lost(
    #[case] status: u16,
    #[case] reason: &str,
    #[case] says: &str,
    #[case] stalls: bool,
) {
    let world = World::with_labels("arcus-unchanged").await;
    refuse(&world, Operation::Update, status);
    world.change("acme", &json!({"spec": {"arcus": {"displayName": "Parcels"}}})).await;
    let kind = if stalls { "Ready" } else { "Synced" };
    let seen = world.until("acme", kind, "False", reason).await;
    assert!(message(&seen, kind).contains(says), "{}", told(&seen));
    assert_eq!(seen.condition("Stalled").is_some(), stalls, "{}", told(&seen));
    assert_eq!(world.at_arcus(Connector::Shippo).display_name, "shippo");
    world.simulator.clear_faults();
    world.request("acme").await;
    world
        .provider_until("its name", |s| s.connector(Connector::Shippo).is_some_and(|r| r.display_name == "Parcels"))
        .await;
    world.reconciled("acme").await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
}

/// The provider says yes and the answer is lost, or cannot be read: the next look sees that it is done.
#[rstest]
#[case::lost(Effect::LostAnswer)]
#[case::cut(Effect::CutAnswer)]
#[case::garbage(Effect::GarbageBody)]
#[case::error_after_all(Effect::StatusAfterApply { status: 500 })]
#[case::empty(Effect::EmptyBody)]
#[case::another_type(Effect::UnknownValues)]
#[tokio::test]
async fn a_change_whose_answer_is_lost_is_made_once(#[case] effect: Effect) {
    let world = World::with_labels("arcus-change-lost").await;
    world.simulator.push_fault(Fault::on(Operation::Update, effect));
    world.change("acme", &json!({"spec": {"arcus": {"displayName": "Parcels"}}})).await;
    world.until_asked(Operation::Update, 1).await;
    world.reconciled("acme").await;
    assert_healed(&world.until("acme", "Synced", "True", "Succeeded").await);
    assert_eq!(world.at_arcus(Connector::Shippo).changes.len(), 1);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
}

/// An object does not go before its connector does, and says what it waits for.
#[rstest]
#[case::bad_request(400, "DeletionBlocked", "Arcus refused the request")]
#[case::unauthorized(401, "DeletionBlocked", "Arcus refused the login")]
#[case::forbidden(403, "DeletionBlocked", "the scope integrations:write")]
#[case::conflict(409, "Deleting", "reports a conflict")]
#[case::limited(429, "Deleting", "asks to slow down")]
#[case::internal_error(503, "Deleting", "cannot be reached or failed")]
#[case::time_out(408, "Deleting", "did not answer in time")]
#[case::redirect(302, "Deleting", "cannot be read")]
#[tokio::test]
async fn a_refused_deletion_keeps_the_object(#[case] status: u16, #[case] reason: &str, #[case] says: &str) {
    let world = World::with_labels("arcus-undeleted").await;
    refuse(&world, Operation::Delete, status);
    world.sandbox.delete::<Connection>("acme").await;
    let held = world.until("acme", "Ready", "False", reason).await;
    assert!(message(&held, "Ready").contains(says), "{}", told(&held));
    assert_eq!(held.condition("Stalled").is_some(), reason == "DeletionBlocked", "{}", told(&held));
    assert_eq!(held.kstatus(), Kstatus::Terminating);
    assert!(!world.at_arcus(Connector::Shippo).deleted);
    world.simulator.clear_faults();
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.arcus_ends_with(&[], 1, 1);
}

#[tokio::test]
async fn a_connector_in_use_is_waited_for() {
    let world = World::with_labels("arcus-in-use").await;
    world.somebody(Connector::Shippo, Act::SetInUse { references: vec!["order-1".to_owned()] });
    world.sandbox.delete::<Connection>("acme").await;
    let held = world.until("acme", "Ready", "False", "Deleting").await;
    assert!(message(&held, "Ready").contains("resource_in_use"), "{}", told(&held));
    world.somebody(Connector::Shippo, Act::SetInUse { references: vec![] });
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.arcus_ends_with(&[], 1, 1);
}

/// Deleted, whatever came back: with a body, without one, twice, or by somebody else.
#[rstest]
#[case::with_a_body(None)]
#[case::lost(Some(Effect::LostAnswer))]
#[case::cut(Some(Effect::CutAnswer))]
#[case::garbage(Some(Effect::GarbageBody))]
#[case::empty(Some(Effect::EmptyBody))]
#[case::error_after_all(Some(Effect::StatusAfterApply { status: 500 }))]
#[case::gone_after_all(Some(Effect::StatusAfterApply { status: 410 }))]
#[tokio::test]
async fn a_deletion_ends_once_the_connector_is_gone(#[case] effect: Option<Effect>) {
    let world = World::with_labels("arcus-deleted").await;
    world.simulator.configure_arcus(|s| s.delete_without_body = effect.is_none());
    if let Some(effect) = effect {
        world.simulator.push_fault(Fault::on(Operation::Delete, effect));
    }
    world.sandbox.delete::<Connection>("acme").await;
    world.until_asked(Operation::Delete, 1).await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.arcus_ends_with(&[], 1, 1);
}

/// What cannot be read is neither changed nor lost.
#[rstest]
#[case::bad_request(400, "ProviderRejected", true)]
#[case::unauthorized(401, "DependencyNotReady", true)]
#[case::forbidden(403, "CredentialsRejected", true)]
#[case::undocumented(418, "ProviderUnavailable", false)]
#[case::limited(429, "RateLimited", false)]
#[case::internal_error(500, "ProviderUnavailable", false)]
#[case::not_implemented(501, "ProviderUnavailable", false)]
#[case::redirect(302, "ProviderUnavailable", false)]
#[tokio::test]
async fn a_connector_that_cannot_be_read_is_left_as_it_is(
    #[case] status: u16,
    #[case] reason: &str,
    #[case] stalls: bool,
) {
    let world = World::with_labels("arcus-unread").await;
    refuse(&world, Operation::ReadDetail, status);
    world.change("acme", &json!({"spec": {"arcus": {"displayName": "Parcels"}}})).await;
    let kind = if stalls { "Ready" } else { "Synced" };
    let seen = world.until("acme", kind, "False", reason).await;
    assert_eq!(seen.condition("Stalled").is_some(), stalls, "{}", told(&seen));
    assert_eq!(status_of(&seen).external_id.as_deref(), Some("shippo"));
    assert_eq!((world.asked(Operation::Update), world.asked(Operation::Create)), (0, 1));
    world.simulator.clear_faults();
    world.request("acme").await;
    world
        .provider_until("its name", |s| s.connector(Connector::Shippo).is_some_and(|r| r.display_name == "Parcels"))
        .await;
    world.reconciled("acme").await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
}

#[rstest]
#[case::garbage(Effect::GarbageBody)]
#[case::empty(Effect::EmptyBody)]
#[case::another_type(Effect::UnknownValues)]
#[case::no_type(Effect::NullField { field: "connector_type".to_owned() })]
#[case::nothing_in_it(Effect::NullField { field: "data".to_owned() })]
#[case::error(Effect::Refuse { status: 503, retry_after: None })]
#[tokio::test]
async fn nothing_is_made_while_nobody_can_look(#[case] effect: Effect) {
    let world = World::with_arcus("arcus-blind").await;
    world.simulator.push_fault(Fault::on(Operation::ReadDetail, effect).forever());
    // What stands there is a stranger's.
    world.somebody(Connector::Shippo, Act::Make { fields: serde_json::Map::new() });
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    world.until("acme", "Ready", "False", "ProviderUnavailable").await;
    world.nothing_was_sent();
    world.simulator.clear_faults();
    world.request("acme").await;
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert_stalled(&halted, "AlreadyExists", &["shippo", "adoptionPolicy: Match"]);
    world.nothing_was_sent();
}
