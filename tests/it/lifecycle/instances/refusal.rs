//! What SKU.io says no to, verb by verb, documented or not: what people see, and that it heals.

use rstest::rstest;
use serde_json::json;
use tradewind::api::v1alpha1::IntegrationInstance;
use tradewind_simulator::{Effect, Fault, Operation};

use super::{id_of, instance, message};
use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::World;

async fn ready(name: &str) -> (World, String) {
    let world = World::with_sku(name).await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    (world, id)
}

fn refuse(world: &World, operation: Operation, status: u16) {
    world.simulator.push_fault(Fault::on(operation, Effect::Refuse { status, retry_after: None }).forever());
}

/// Refused for certain: nothing was made.
#[rstest]
#[case::bad_request(400, "ProviderRejected", "SKU.io refused the request", true)]
#[case::invalid(422, "ProviderRejected", "SKU.io refused the request", true)]
#[case::unauthorized(401, "DependencyNotReady", "SKU.io refused the login", true)]
#[case::forbidden(403, "CredentialsRejected", "the scope integrations:write", true)]
#[case::no_endpoint(404, "ProviderUnavailable", "does not know what was asked for", false)]
#[case::locked(409, "ProviderRejected", "reports a conflict", false)]
#[tokio::test]
async fn a_refused_create_makes_nothing_and_says_why(
    #[case] status: u16,
    #[case] reason: &str,
    #[case] says: &str,
    #[case] stalls: bool,
) {
    let world = World::with_sku("sku-refused").await;
    refuse(&world, Operation::Create, status);
    world.sandbox.apply(&instance("acme", "")).await;
    let told = world.instance_until("acme", "Ready", "False", reason).await;
    assert!(message(&told, "Ready").contains(says), "{:#?}", told.observed());
    let expected = if stalls { Kstatus::Failed } else { Kstatus::InProgress };
    assert_eq!(told.kstatus(), expected, "{:#?}", told.observed());
    assert!(world.live_at_sku().is_empty());
    world.simulator.clear_faults();
    world.looked_at::<IntegrationInstance>("acme").await;
    let id = id_of(&world.well("acme").await);
    world.sku_ends_with(&[&id], 1, 0);
}

/// What was ready stays so through a failure that may pass, and no longer where a person must act. In the end the change is there.
#[rstest]
#[case::bad_request(400, "ProviderRejected", "SKU.io refused the request", true)]
#[case::unauthorized(401, "DependencyNotReady", "SKU.io refused the login", true)]
#[case::forbidden(403, "CredentialsRejected", "the scope integrations:write", true)]
#[case::invalid(422, "ProviderRejected", "SKU.io refused the request", true)]
#[case::undocumented(418, "ProviderRejected", "SKU.io refused the request", true)]
#[case::not_there(404, "ProviderUnavailable", "does not know what was asked for", false)]
#[case::gone(410, "ProviderUnavailable", "does not know what was asked for", false)]
#[case::locked(409, "ProviderRejected", "reports a conflict", false)]
#[case::limited(429, "RateLimited", "asks to slow down", false)]
#[case::internal_error(500, "ProviderUnavailable", "cannot be reached or failed", false)]
#[case::time_out(408, "ProviderUnavailable", "did not answer in time", false)]
#[case::redirect(302, "ProviderUnavailable", "cannot be read", false)]
#[tokio::test]
async fn a_refused_change_is_said_and_not_lost(
    #[case] status: u16,
    #[case] reason: &str,
    #[case] says: &str,
    #[case] stalls: bool,
) {
    let (world, id) = ready("sku-unchanged").await;
    refuse(&world, Operation::Update, status);
    world.edit_instance("acme", &json!({"spec": {"settings": {"storeId": 2}}})).await;
    let kind = if stalls { "Ready" } else { "Synced" };
    let told = world.instance_until("acme", kind, "False", reason).await;
    assert!(message(&told, kind).contains(says), "{:#?}", told.observed());
    assert_eq!(told.condition("Stalled").is_some(), stalls, "{:#?}", told.observed());
    assert_eq!(told.says("Ready", "True", "Succeeded"), !stalls, "{:#?}", told.observed());
    assert_eq!(id_of(&told), id);
    world.simulator.clear_faults();
    world.looked_at::<IntegrationInstance>("acme").await;
    world.well("acme").await;
    let record = world.at_sku("acme");
    assert_eq!((record.changes.len(), &record.integration_settings["store_id"]), (1, &json!(2)));
    world.sku_ends_with(&[&id], 1, 0);
}

#[rstest]
#[case::internal_error(500, "Deleting", "Trying again")]
#[case::limited(429, "Deleting", "Waiting")]
#[case::locked(409, "Deleting", "Trying again")]
#[case::redirect(302, "Deleting", "Trying again")]
#[case::unauthorized(401, "DeletionBlocked", "SKU.io refused the login")]
#[case::forbidden(403, "DeletionBlocked", "the scope integrations:write")]
#[case::bad_request(400, "DeletionBlocked", "refused the request")]
#[case::undocumented(418, "DeletionBlocked", "refused the request")]
#[tokio::test]
async fn an_object_stays_as_long_as_its_record_cannot_be_deleted(
    #[case] status: u16,
    #[case] reason: &str,
    #[case] words: &str,
) {
    let (world, id) = ready("sku-stays").await;
    refuse(&world, Operation::Delete, status);
    world.sandbox.delete::<IntegrationInstance>("acme").await;
    let staying = world.instance_until("acme", "Ready", "False", reason).await;
    assert!(message(&staying, "Ready").contains(words), "{:#?}", staying.observed());
    assert_eq!(world.live_at_sku(), [id]);
    world.simulator.clear_faults();
    world.sandbox.wait_gone::<IntegrationInstance>("acme", HANG).await;
    world.sku_ends_with(&[], 1, 1);
}

#[rstest]
#[case::not_found(404)]
#[case::gone(410)]
#[tokio::test]
async fn a_delete_of_what_is_gone_is_done(#[case] status: u16) {
    let (world, _) = ready("sku-gone").await;
    refuse(&world, Operation::Delete, status);
    world.goes("acme").await;
    assert_eq!(world.asked(Operation::Delete), 1);
}

/// What cannot be read is neither gone nor changed; what was ready stays so for a while.
#[rstest]
#[case::unauthorized(401, "DependencyNotReady", true)]
#[case::forbidden(403, "CredentialsRejected", true)]
#[case::undocumented(418, "ProviderUnavailable", false)]
#[case::internal_error(500, "ProviderUnavailable", false)]
#[case::redirect(302, "ProviderUnavailable", false)]
#[case::limited(429, "RateLimited", false)]
#[tokio::test]
async fn a_refused_read_concludes_nothing(#[case] status: u16, #[case] reason: &str, #[case] stalls: bool) {
    let (world, id) = ready("sku-unread").await;
    for operation in [Operation::List, Operation::ReadDetail] {
        refuse(&world, operation, status);
    }
    world.edit_instance("acme", &json!({"metadata": {"annotations": {tradewind::api::keys::RECONCILE: "now"}}})).await;
    let kind = if stalls { "Ready" } else { "Synced" };
    let told = world.instance_until("acme", kind, "False", reason).await;
    assert_eq!((id_of(&told), told.condition("Stalled").is_some()), (id.clone(), stalls), "{:#?}", told.observed());
    world.simulator.clear_faults();
    world.looked_at::<IntegrationInstance>("acme").await;
    world.well("acme").await;
    assert_eq!((world.asked(Operation::Update), world.asked(Operation::Create)), (0, 1));
    world.sku_ends_with(&[&id], 1, 0);
}

#[rstest]
#[case::unauthorized(401)]
#[case::not_found(404)]
#[case::undocumented(451)]
#[case::internal_error(503)]
#[tokio::test]
async fn a_refused_search_creates_nothing(#[case] status: u16) {
    let world = World::with_sku("sku-unsearched").await;
    refuse(&world, Operation::List, status);
    world.sandbox.apply(&instance("acme", "")).await;
    let told = |i: &IntegrationInstance| i.condition("Ready").is_some_and(|c| c.status == "False");
    world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, told).await;
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::Create), 0);
    world.simulator.clear_faults();
    world.looked_at::<IntegrationInstance>("acme").await;
    let id = id_of(&world.well("acme").await);
    world.sku_ends_with(&[&id], 1, 0);
}
