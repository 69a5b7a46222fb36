//! What people ask for: to pause, to look now, to refresh.

use rstest::rstest;
use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind::api::v1alpha1::RefreshPhase;
use tradewind_cluster::Mark;
use tradewind_simulator::rutter::Deed;
use tradewind_simulator::{Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, connection, id_of, message, status_of, store, told};

const SUSPENDED: &str = "  suspend: true\n";

async fn suspend(world: &World, suspend: bool) {
    world.change("acme", &json!({"spec": {"suspend": suspend}})).await;
}

#[tokio::test]
async fn a_suspended_object_is_not_created_before_it_is_resumed() {
    let world = World::new("suspended").await;
    world.sandbox.apply(&connection("acme", &store("acme"), SUSPENDED)).await;
    let paused = world.until("acme", "Synced", "Unknown", "Suspended").await;
    assert!(paused.condition("Ready").is_some_and(|ready| ready.status == "Unknown"), "{}", told(&paused));
    assert_eq!(paused.kstatus(), Kstatus::InProgress);
    assert_eq!(world.asked(Operation::Create), 0);
    suspend(&world, false).await;
    let id = id_of(&world.settled("acme").await);
    world.ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_suspended_object_stays_ready_and_is_left_as_it_is() {
    let world = World::new("suspend").await;
    let more = "  replacementPolicy: Recreate\n  onExternalLoss: Recreate\n";
    world.sandbox.apply(&connection("acme", &store("acme"), more)).await;
    let old = id_of(&world.settled("acme").await);
    let edit = json!({"suspend": true, "rutter": {"parameters": {"store_url": store("second")}}});
    world.change("acme", &json!({"spec": edit})).await;
    let paused = world.until("acme", "Synced", "Unknown", "Suspended").await;
    assert!(paused.says("Ready", "True", "Succeeded"), "{}", told(&paused));
    assert!(paused.condition("Reconciling").is_none() && paused.condition("Stalled").is_none(), "{}", told(&paused));
    assert_eq!(paused.kstatus(), Kstatus::Current);
    world.ends_with(&[&old], 1, 0);

    world.deed(&old, |connection| Deed::Delete { connection });
    assert!(world.reconciled("acme").await.says("Synced", "Unknown", "Suspended"));
    world.ends_with(&[], 1, 1);
    suspend(&world, false).await;
    let moved = |c: &Connection| c.says("Synced", "True", "Succeeded") && c.says("Ready", "True", "Succeeded");
    let new = id_of(&world.sandbox.wait_for::<Connection>("acme", HANG, moved).await);
    world.ends_with(&[&new], 2, 1);
}

/// An attempt that is open stays open; nothing is sent, and nothing is lost.
#[tokio::test]
async fn an_object_that_is_suspended_with_an_open_attempt_finds_its_record_when_resumed() {
    let world = World::new("open-suspend").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let open = |c: &Connection| message(c, "Ready").contains("not known");
    world.sandbox.wait_for::<Connection>("acme", HANG, open).await;
    suspend(&world, true).await;
    world.until("acme", "Synced", "Unknown", "Suspended").await;
    suspend(&world, false).await;
    let id = id_of(&world.settled("acme").await);
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_suspended_object_can_be_deleted() {
    let world = World::new("suspend-delete").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    suspend(&world, true).await;
    world.until("acme", "Synced", "Unknown", "Suspended").await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

/// The pass that answers the asking may come to nothing: whoever asks for another attempt gets one all the same.
#[tokio::test]
async fn another_attempt_that_is_asked_for_comes_although_the_look_before_it_fails() {
    let world = World::new("ask-again").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status: 400, retry_after: None }));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until("acme", "Ready", "False", "ProviderRejected").await;
    world.simulator.push_fault(Fault::on(Operation::List, Effect::Refuse { status: 500, retry_after: None }));
    world.reconciled("acme").await;
    let id = id_of(&world.settled("acme").await);
    assert_eq!(world.asked(Operation::Create), 2);
    world.ends_with(&[&id], 1, 0);
}

/// The operator wrote the object that often since then, and its Secret not at all. The line of an answer may follow the answer.
async fn costs(world: &World, since: Mark, wanted: usize) {
    let count = |name: &str| world.sandbox.audit_writes(since).get(name).map_or(0, Vec::len);
    world.provider_until("the lines of all writes", |_| count("connections/acme") >= wanted).await;
    assert_eq!((count("connections/acme"), count("secrets/acme-connection")), (wanted, 0));
}

#[rstest]
#[case::ours(keys::RECONCILE)]
#[case::of_flux(keys::RECONCILE_FLUX)]
#[tokio::test]
async fn a_request_to_reconcile_is_answered_with_one_write(#[case] key: &str) {
    let world = World::new("request").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    let lists = world.asked(Operation::List);
    let since = world.sandbox.mark();
    let tokens = ["2031-01-01T00:00:00Z", "2031-01-02T00:00:00Z", "2031-01-03T00:00:00Z"];
    for token in tokens {
        world.annotate("acme", key, Some(token)).await;
        let echoed = |c: &Connection| status_of(c).last_handled_reconcile_at.as_deref() == Some(token);
        let answered = world.sandbox.wait_for::<Connection>("acme", HANG, echoed).await;
        assert!(answered.says("Ready", "True", "Succeeded"), "{}", told(&answered));
    }
    // After the last answer: what a pass after each of those before has to write is there by then.
    costs(&world, since, tokens.len()).await;
    assert!(world.asked(Operation::List) >= lists + tokens.len(), "each was answered from a new look");
    world.ends_with(&[&id], 1, 0);
}

/// A status holds 256 characters of it.
#[rstest]
#[case::ours(keys::RECONCILE)]
#[case::of_flux(keys::RECONCILE_FLUX)]
#[tokio::test]
async fn a_request_of_any_length_is_answered(#[case] key: &str) {
    let world = World::new("request-long").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    let since = world.sandbox.mark();
    let tokens = ["once", "again", "and again"];
    for token in tokens {
        let (long, kept) =
            (format!("{token}{}", "-".repeat(5000)), format!("{token}{}", "-".repeat(256 - token.len())));
        world.annotate("acme", key, Some(&long)).await;
        let echoed = |c: &Connection| status_of(c).last_handled_reconcile_at.as_deref() == Some(&kept);
        world.sandbox.wait_for::<Connection>("acme", HANG, echoed).await;
    }
    costs(&world, since, tokens.len()).await;
    world.ends_with(&[&id], 1, 0);
}

/// The command line stamps in UTC, Flux by the clock on the wall.
#[tokio::test]
async fn the_later_request_counts_whoever_made_it() {
    let world = World::new("request-zones").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    let requests = [
        (keys::RECONCILE_FLUX, "2031-01-05T10:00:00+02:00"),
        (keys::RECONCILE, "2031-01-05T09:00:00Z"),
        (keys::RECONCILE_FLUX, "1925370001"),
    ];
    for (key, token) in requests {
        world.annotate("acme", key, Some(token)).await;
        let echoed = |c: &Connection| status_of(c).last_handled_reconcile_at.as_deref() == Some(token);
        world.sandbox.wait_for::<Connection>("acme", HANG, echoed).await;
    }
}

#[tokio::test]
async fn a_request_to_refresh_is_answered_once_and_changes_no_record() {
    let world = World::new("refresh").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    let since = world.sandbox.mark();
    world.annotate("acme", keys::REFRESH, Some("monday")).await;
    let accepted = |token: &'static str| {
        move |c: &Connection| {
            let refresh = status_of(c).refresh.unwrap_or_default();
            let both = [refresh.products, refresh.orders];
            both.iter().flatten().filter(|s| s.token == token && s.state == RefreshPhase::Accepted).count() == 2
        }
    };
    let answered = world.sandbox.wait_for::<Connection>("acme", HANG, accepted("monday")).await;
    assert!(answered.says("Ready", "True", "Succeeded"), "{}", told(&answered));
    world.reconciled("acme").await;
    // What is about to be asked for, what came of it, and the answer to the request to reconcile.
    costs(&world, since, 3).await;
    assert_eq!(world.asked(Operation::Refresh), 1);

    // Another token is another question.
    world.annotate("acme", keys::REFRESH, Some("tuesday")).await;
    world.sandbox.wait_for::<Connection>("acme", HANG, accepted("tuesday")).await;
    assert_eq!(world.asked(Operation::Refresh), 2);
    let asked: Vec<_> = world.simulator.stats().by_operation.into_keys().collect();
    assert!(!asked.contains(&Operation::Update) && !asked.contains(&Operation::Unknown), "{asked:?}");
    world.ends_with(&[&id], 1, 0);
}

/// The first load begins by itself: a token that came with the object asks for nothing more.
#[tokio::test]
async fn a_request_to_refresh_that_came_with_the_object_is_handled_by_its_creation() {
    let world = World::new("refresh-early").await;
    let metadata = json!({"name": "acme", "annotations": {keys::REFRESH: "monday"}});
    let manifest = connection("acme", &store("acme"), "");
    world.sandbox.apply(&manifest.replace("metadata: {name: acme}", &format!("metadata: {metadata}"))).await;
    let ready = world.settled("acme").await;
    let refresh = status_of(&ready).refresh.and_then(|r| r.products).expect("an answer");
    assert_eq!((refresh.token.as_str(), refresh.state), ("monday", RefreshPhase::Handled));
    world.reconciled("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 0);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

/// Every look takes several requests: one that is begun must come to its end, however few there are.
#[tokio::test]
async fn a_request_is_answered_within_a_small_budget() {
    let mut world = World::quiet("frugal").await;
    world.sandbox.apply(&world.account_with("limits: {requestsPerMinute: 120, maxInFlight: 1}")).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    for _ in 0..2 {
        assert!(world.reconciled("acme").await.says("Ready", "True", "Succeeded"));
    }
    world.ends_with(&[&id], 1, 0);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}
