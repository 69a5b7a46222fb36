//! The plain life of an instance, and what it costs.

use std::time::{Duration, Instant};

use serde_json::json;
use tradewind::api::v1alpha1::{IntegrationInstance, RefreshPhase};
use tradewind_cluster::Mark;
use tradewind_simulator::sku_io::{Entity, Presence, Starter};
use tradewind_simulator::{Effect, Fault, Operation};

use super::{instance, status_of};
use crate::cluster::{HANG, Writes};
use crate::conditions::{Kstatus, Observed};
use crate::world::World;

/// The writes on an instance, one line each.
fn writes(writes: &Writes, name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (object, events) in writes {
        if object.starts_with(&format!("integrationinstances/{name}")) || object.starts_with("secrets/") {
            lines.extend(events.iter().map(|e| format!("{} {object} {} {}", e.verb, e.subresource, e.code)));
        }
    }
    lines
}

/// The writes on an instance once there are so many: the audit log comes a moment after the answers.
async fn so_many_writes(world: &World, since: Mark, name: &str, count: usize) -> Vec<String> {
    let seen = || writes(&world.sandbox.audit_writes(since), name);
    world.provider_until("so many writes", |_| seen().len() >= count).await;
    seen()
}

#[tokio::test]
async fn a_life_costs_three_writes_to_create_one_to_change_two_to_refresh_and_one_to_delete() {
    let world = World::with_sku("sku-life").await;
    world.sandbox.apply(&instance("first", "")).await;
    world.instance_until("first", "Ready", "True", "Succeeded").await;

    let since = world.sandbox.mark();
    world.sandbox.apply(&instance("acme", "  automaticSync: true\n")).await;
    let made = world.instance_until("acme", "Ready", "True", "Succeeded").await;
    let rested = world.looked_at::<IntegrationInstance>("acme").await;
    let seen = so_many_writes(&world, since, "acme", 4).await;
    // The answer to the question whether it rests is the fourth.
    assert_eq!(seen.len(), 4, "{seen:#?}");
    let record = world.at_sku("acme");
    let status = status_of(&made);
    assert_eq!(status.external_id, Some(record.id.to_string()));
    assert_eq!(status.account.as_deref(), Some("tenant-1"));
    assert!(made.says("InitialRefreshComplete", "Unknown", "InitialRefreshRunning"), "{:#?}", made.observed());
    assert_eq!((rested.kstatus(), record.is_automatic_sync_enabled), (Kstatus::Current, true));
    // The create has started both loads: recorded, and never asked for again.
    let refresh = status.refresh.expect("both loads");
    assert_eq!(refresh.products.map(|s| (s.token, s.state)), Some(("initial".into(), RefreshPhase::Accepted)));
    assert_eq!(world.asked(Operation::Refresh), 0);
    assert_eq!(record.refreshed(Entity::Products, Starter::Create), 1);

    let since = world.sandbox.mark();
    world.edit_instance("acme", &json!({"spec": {"settings": {"autoCreateProducts": true}}})).await;
    let updated = |i: &IntegrationInstance| {
        i.says("Synced", "True", "Succeeded") && status_of(i).last_action.is_some_and(|a| a.cause == "Updated")
    };
    let updated = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, updated).await;
    assert_eq!(status_of(&updated).last_action.expect("an action").fields, ["spec.settings.autoCreateProducts"]);
    world.provider_until("the change is there", |s| s.stats().by_operation.contains_key(&Operation::Update)).await;
    let record = world.at_sku("acme");
    assert_eq!(record.changes.last().expect("a change").sent, ["integration_settings.auto_create_products"]);
    assert!(record.side_effects().is_empty(), "{:?}", record.side_effects());
    world.looked_at::<IntegrationInstance>("acme").await;
    let seen = so_many_writes(&world, since, "acme", 2).await;
    // The second is the answer to the question whether that was all.
    assert_eq!(seen.len(), 2, "{seen:#?}");

    let since = world.sandbox.mark();
    world.refresh_instance("acme", "monday").await;
    let asked = |i: &IntegrationInstance| {
        let refresh = status_of(i).refresh.unwrap_or_default();
        [refresh.products, refresh.orders]
            .iter()
            .flatten()
            .all(|s| s.token == "monday" && s.state == RefreshPhase::Accepted)
    };
    world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, asked).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    let seen = so_many_writes(&world, since, "acme", 3).await;
    assert_eq!(seen.len(), 3, "{seen:#?}");
    let record = world.at_sku("acme");
    assert_eq!(record.refreshed(Entity::Products, Starter::Request), 1);
    assert_eq!(record.refreshed(Entity::Orders, Starter::Request), 1);

    let since = world.sandbox.mark();
    world.sandbox.delete::<IntegrationInstance>("acme").await;
    world.sandbox.wait_gone::<IntegrationInstance>("acme", HANG).await;
    let seen = so_many_writes(&world, since, "acme", 1).await;
    assert_eq!(seen.len(), 1, "{seen:#?}");
    let all = world.simulator.instances();
    let live: Vec<_> = all.iter().filter(|r| r.presence == Presence::Live).map(|r| r.name.as_str()).collect();
    assert_eq!(live, ["first"]);
    assert!(world.simulator.stats().duplicates.is_empty());
}

#[tokio::test]
async fn a_steady_state_writes_nothing_while_the_provider_keeps_moving() {
    const OBJECTS: usize = 20;
    let mut world = World::quiet("sku-steady").await;
    world.settings.timing.call = Duration::from_secs(10);
    world.furnish_sku("").await;
    world.start().await;
    for n in 0..OBJECTS {
        world.sandbox.apply(&instance(&format!("i{n}"), "  interval: 5s\n")).await;
    }
    for n in 0..OBJECTS {
        world.instance_until(&format!("i{n}"), "Ready", "True", "Succeeded").await;
    }
    // The first look after a create is one at the record itself, as long as no list is newer: a few rounds, and one is.
    let lists = world.asked(Operation::List);
    world.until_asked(Operation::List, lists + 4).await;
    let (since, calls) = (world.sandbox.mark(), world.simulator.journal().len());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let seen = writes(&world.sandbox.audit_writes(since), "");
    assert!(seen.is_empty(), "{} writes in a steady state: {seen:#?}", seen.len());
    let journal = world.simulator.journal().split_off(calls);
    let count = |operation| journal.iter().filter(|e| e.operation == operation).count();
    let rounds = usize::try_from(begun.elapsed().as_secs() / 5).expect("a count") + 1;
    assert!(count(Operation::List) >= rounds / 2, "it looks at all");
    // One list for all of them, not a read for each.
    assert!(count(Operation::List) <= rounds * 2, "{} lists in {rounds} rounds", count(Operation::List));
    assert_eq!(count(Operation::ReadDetail), 0);
    assert_eq!(count(Operation::Update) + count(Operation::Refresh), 0);
    world.looked_at::<IntegrationInstance>("i0").await;
}

#[tokio::test]
async fn a_list_that_is_read_while_a_create_is_under_way_is_no_proof_against_it() {
    let mut world = World::quiet("sku-meanwhile").await;
    world.settings.timing.call = Duration::from_secs(10);
    world.furnish_sku("").await;
    world.start().await;
    world.sandbox.apply(&instance("first", "  interval: 1s\n")).await;
    world.instance_until("first", "Ready", "True", "Succeeded").await;
    // Applied at once and answered late: the first one's checks read the list in between.
    let slow = Effect::SlowAfter { delay: Duration::from_millis(2500) };
    world.simulator.push_fault(Fault::on(Operation::Create, slow));
    let lists = world.asked(Operation::List);
    world.sandbox.apply(&instance("acme", "")).await;
    let made = world.instance_until("acme", "Ready", "True", "Succeeded").await;
    assert!(world.asked(Operation::List) > lists + 1, "the list was read meanwhile");
    assert_eq!(status_of(&made).external_id, Some(world.at_sku("acme").id.to_string()));
    assert_eq!(world.simulator.stats().creates, 2);
}
