//! Refreshes: at most one call for each record, entity and token.

use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance, RefreshPhase};
use tradewind_simulator::{Effect, Fault, Operation};

use super::instances::{instance, status_of as instance_status};
use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::world::{World, connection, status_of, store};

impl World {
    /// Asks for a refresh of an instance, with this token.
    pub(super) async fn refresh_instance(&self, name: &str, token: &str) {
        self.edit_instance(name, &json!({"metadata": {"annotations": {keys::REFRESH: token}}})).await;
    }
}

/// The phases of products and orders.
fn phases(status: tradewind::api::v1alpha1::ManagedStatus) -> [Option<RefreshPhase>; 2] {
    let refresh = status.refresh.unwrap_or_default();
    [refresh.products, refresh.orders].map(|state| state.map(|s| s.state))
}

#[tokio::test]
async fn a_history_that_is_declared_is_loaded_once_the_connection_works() {
    let world = World::new("refresh-history").await;
    let sync = "  sync:\n    products: {startDate: \"2025-01-01\"}\n    orders: {startDate: \"2024-06-30\"}\n";
    world.sandbox.apply(&connection("acme", &store("refresh-history"), sync)).await;
    let object = world.settled("acme").await;
    assert_eq!(phases(status_of(&object)), [Some(RefreshPhase::Accepted); 2]);
    let record = &world.simulator.connections()[0];
    let loads: Vec<_> = record.backfills.iter().map(|(entity, day)| (entity.as_str(), day.to_string())).collect();
    assert_eq!(loads, [("product", "2025-01-01".to_owned()), ("order", "2024-06-30".to_owned())]);
    world.reconciled("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 2);
}

#[tokio::test]
async fn a_token_asks_for_each_entity_once_and_one_call_serves_both_without_a_first_day() {
    let world = World::new("refresh-token").await;
    world.sandbox.apply(&connection("acme", &store("refresh-token"), "")).await;
    world.settled("acme").await;
    world.annotate("acme", keys::REFRESH, Some("monday")).await;
    let asked = |c: &Connection| phases(status_of(c)) == [Some(RefreshPhase::Accepted); 2];
    world.sandbox.wait_for::<Connection>("acme", HANG, asked).await;
    world.reconciled("acme").await;
    assert_eq!(world.simulator.connections()[0].incremental_syncs, 1);
    world.annotate("acme", keys::REFRESH, Some("orders@tuesday")).await;
    let one = |c: &Connection| {
        let refresh = status_of(c).refresh.unwrap_or_default();
        let token = |s: Option<tradewind::api::v1alpha1::RefreshState>| s.map(|s| s.token).unwrap_or_default();
        (token(refresh.products).as_str(), token(refresh.orders).as_str()) == ("monday", "tuesday")
    };
    world.sandbox.wait_for::<Connection>("acme", HANG, one).await;
    world.reconciled("acme").await;
    assert_eq!(world.simulator.connections()[0].incremental_syncs, 2);
    assert_eq!(world.events("acme", "RefreshUnsupported").await, 0);
}

#[tokio::test]
async fn a_lost_answer_leaves_a_refresh_unknown_and_it_is_not_asked_for_again() {
    let world = World::with_sku("refresh-lost").await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.instance_until("acme", "Ready", "True", "Succeeded").await;
    world.simulator.push_fault(Fault::on(Operation::Refresh, Effect::LostAnswer));
    world.refresh_instance("acme", "monday").await;
    let told = |i: &IntegrationInstance| {
        phases(instance_status(i)) == [Some(RefreshPhase::Unknown), Some(RefreshPhase::Accepted)]
    };
    let object = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, told).await;
    assert!(object.says("Ready", "True", "Succeeded"));
    assert!(object.says("InitialRefreshComplete", "Unknown", "RefreshOutcomeUnknown"), "{:#?}", object.observed());
    world.looked_at::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 2, "once for each");
    world.refresh_instance("acme", "products@tuesday").await;
    let again = |i: &IntegrationInstance| phases(instance_status(i)) == [Some(RefreshPhase::Accepted); 2];
    world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, again).await;
    assert_eq!(world.asked(Operation::Refresh), 3);
}
