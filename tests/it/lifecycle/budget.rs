//! What a life costs: writes to the API server from its audit log, calls to the provider from its journal.

use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use tradewind::api::v1alpha1::{Connection, ProviderAccount};
use tradewind_cluster::Mark;
use tradewind_simulator::rutter::{Deed, Trouble};
use tradewind_simulator::{Entry, Operation};

use crate::cluster::{HANG, Writes};
use crate::conditions::Observed;
use crate::world::{World, connection, id_of, store};

/// The writes on objects whose names begin so, one line each, for the message of a failing test.
fn lines(writes: &Writes, prefixes: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for (object, events) in writes {
        if prefixes.iter().any(|p| object.starts_with(p)) {
            lines.extend(events.iter().map(|e| format!("{} {object} {} {}", e.verb, e.subresource, e.code)));
        }
    }
    lines
}

/// The writes on `acme` and its Secret since, with the answer to the question whether that was all: what a pass after the one
/// that was seen has to write is there by then.
async fn counted_at_rest(world: &World, since: Mark, least: usize) -> Vec<String> {
    world.reconciled("acme").await;
    counted(world, since, least + 1).await
}

/// The writes on `acme` and its Secret since, once there are as many lines as there must be: what somebody has seen is not
/// answered yet, and only then has its line.
async fn counted(world: &World, since: Mark, least: usize) -> Vec<String> {
    let seen = || lines(&world.sandbox.audit_writes(since), &["connections/acme", "secrets/acme"]);
    world.provider_until("the lines of all writes", |_| seen().len() >= least).await;
    seen()
}

fn count(journal: &[Entry], operation: Operation) -> usize {
    journal.iter().filter(|entry| entry.operation == operation).count()
}

#[tokio::test]
async fn a_life_costs_the_writes_of_the_protocol_and_no_more() {
    let world = World::new("budget").await;
    // The first connection of an account also makes the account held; what is counted is a life in a running account.
    world.sandbox.apply(&connection("first", &store("budget-first"), "")).await;
    world.settled("first").await;

    let since = world.sandbox.mark();
    world.sandbox.apply(&connection("acme", &store("budget"), "")).await;
    let made = |c: &Connection| c.status.as_ref().is_some_and(|s| s.external_id.is_some());
    let object = world.sandbox.wait_for::<Connection>("acme", HANG, made).await;
    let id: uuid::Uuid = id_of(&object).parse().expect("an id");
    world.settled("acme").await;
    let writes = counted_at_rest(&world, since, 5).await;
    // Metadata, intent in status, connection Secret, outcome; then ready, then the history; and the answer.
    assert!((6..=7).contains(&writes.len()), "{writes:#?}");
    assert_eq!(writes.iter().filter(|w| w.contains("secrets/")).count(), 1, "{writes:#?}");
    assert!(writes.iter().all(|w| w.ends_with("200") || w.ends_with("201")), "{writes:#?}");

    let since = world.sandbox.mark();
    world.simulator.act(&Deed::Upset { connection: id, trouble: Trouble::NeedsUpdate }).expect("a deed");
    world.ask("acme").await;
    world.until("acme", "Ready", "False", "ReauthorizationRequired").await;
    world.answered("acme").await;
    let writes = counted_at_rest(&world, since, 1).await;
    assert_eq!(writes.len(), 2, "one more is the answer: a transition at the provider is one write: {writes:#?}");

    let since = world.sandbox.mark();
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    let writes = counted(&world, since, 1).await;
    assert_eq!(writes.len(), 1, "{writes:#?}");
    assert_eq!(world.simulator.stats().deletes, 1);
}

#[tokio::test]
async fn an_adoption_costs_two_writes_and_the_secret() {
    let world = World::new("budget").await;
    world.sandbox.apply(&connection("first", &store("adopt-first"), "")).await;
    world.settled("first").await;
    let stranger = Deed::Connect { client_id: None, platform: "BIG_COMMERCE".into(), store_url: store("adopt") };
    let record = world.simulator.act(&stranger).expect("a stranger's record");
    // What happens at the provider in between would be news, and worth a write of its own.
    world.provider_until("a history", |s| s.connections().iter().all(|c| c.history_completed)).await;
    let since = world.sandbox.mark();
    world
        .sandbox
        .apply(&connection("acme", &store("adopt"), "  adoptionPolicy: Match\n  deletionPolicy: Retain\n"))
        .await;
    let adopted = |c: &Connection| c.status.as_ref().is_some_and(|s| s.external_id.is_some());
    let object = world.sandbox.wait_for::<Connection>("acme", HANG, adopted).await;
    assert_eq!(id_of(&object), record.id.to_string());
    world.settled("acme").await;
    let writes = counted_at_rest(&world, since, 3).await;
    // Metadata, connection Secret, outcome; as declared, and ready, where they are news; and the answer.
    assert!((4..=6).contains(&writes.len()), "{writes:#?}");
    assert_eq!(writes.iter().filter(|w| w.contains("secrets/")).count(), 1, "{writes:#?}");
    assert_eq!(world.simulator.stats().creates, 1, "only the first one was made");
}

/// 200 objects for three minutes: what a steady state costs must be seen over several checks of each.
#[tokio::test]
async fn a_steady_state_writes_nothing_while_the_provider_keeps_syncing() {
    const OBJECTS: usize = 200;
    const STEADY: Duration = Duration::from_mins(3);
    const INTERVAL: Duration = Duration::from_secs(30);
    let mut world = World::quiet("steady").await;
    // A call that this machine is too busy for would be a failure, and a failure is worth a write.
    world.settings.timing.call = Duration::from_secs(20);
    world.simulator.configure(|settings| settings.sync_period = Duration::from_secs(1));
    world.sandbox.apply(&world.account_with("limits: {requestsPerMinute: 2400, maxInFlight: 8}")).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    for n in 0..OBJECTS {
        let more = format!("  interval: {}s\n", INTERVAL.as_secs());
        world.sandbox.apply(&connection(&format!("c{n}"), &store(&format!("steady-{n}")), &more)).await;
    }
    world.all_settled(OBJECTS).await;
    // What was due with the last transition is written by now, or it will be counted.
    world.ask("c0").await;
    world.answered("c0").await;

    let (since, calls) = (world.sandbox.mark(), world.simulator.journal().len());
    let begun = Instant::now();
    while begun.elapsed() < STEADY {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let writes = lines(&world.sandbox.audit_writes(since), &[""]);
    assert!(writes.is_empty(), "{} writes in a steady state: {writes:#?}", writes.len());
    let journal = world.simulator.journal().split_off(calls);
    let rounds = usize::try_from(begun.elapsed().as_secs() / INTERVAL.as_secs()).expect("a count") + 1;
    let lists = count(&journal, Operation::List);
    assert!(lists >= rounds / 2, "{lists} lists in {rounds} rounds: it does not look");
    // An account has five lists (all, and four that hint at trouble), each read at most once in half an interval.
    assert!(lists <= rounds * 2 * 5, "{lists} lists in {rounds} rounds: not one an object, but one an account");
    assert_eq!(count(&journal, Operation::Create) + count(&journal, Operation::Delete), 0);
    let others = journal.len() - lists;
    assert!(others <= OBJECTS / 10, "{others} calls that are no lists");
    // Who is asked answers: it was quiet because there was nothing to say.
    world.ask("c0").await;
    world.answered("c0").await;
}

fn busiest_minute(journal: &[Entry]) -> usize {
    let minute = jiff::SignedDuration::from_mins(1);
    let within = |from: &Entry| {
        journal
            .iter()
            .filter(|e| e.started_at >= from.started_at && e.started_at.duration_since(from.started_at) < minute)
            .count()
    };
    journal.iter().step_by(50).map(within).max().unwrap_or_default()
}

impl World {
    /// Asks for a reconcile of a connection, with a value of its own.
    pub(crate) async fn ask(&self, name: &str) {
        let value = jiff::Timestamp::now().to_string();
        let patch = json!({"metadata": {"annotations": {"tradewind.dev/reconcile-requested-at": value}}});
        let api = self.sandbox.api::<Connection>();
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.expect("an annotation");
    }

    /// Waits until the last value that asked for a reconcile is echoed.
    pub(crate) async fn answered(&self, name: &str) {
        let key = "tradewind.dev/reconcile-requested-at";
        let done = |c: &Connection| {
            let asked = c.metadata.annotations.as_ref().and_then(|a| a.get(key));
            asked.is_some() && asked == c.status.as_ref().and_then(|s| s.last_handled_reconcile_at.as_ref())
        };
        self.sandbox.wait_for::<Connection>(name, HANG, done).await;
    }

    /// Waits until so many connections are ready with their history loaded.
    pub(crate) async fn all_settled(&self, count: usize) {
        let begun = Instant::now();
        let api = self.sandbox.api::<Connection>();
        loop {
            let list = api.list(&ListParams::default()).await.expect("a list");
            let done = list.iter().filter(|c| c.says("InitialRefreshComplete", "True", "Succeeded")).count();
            if done == count {
                return;
            }
            // A crowd takes its time on a busy machine; what hangs is named.
            let late = list.iter().find(|c| !c.says("InitialRefreshComplete", "True", "Succeeded"));
            assert!(begun.elapsed() < HANG * 4, "{done} of {count}; one of the others: {:#?}", late.map(|c| &c.status));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// A crowd is a matter of a real API server's pace.
mod real {
    use super::*;

    #[tokio::test]
    async fn five_hundred_at_once_are_five_hundred_records_within_the_budget() {
        const OBJECTS: usize = 500;
        const IN_FLIGHT: usize = 4;
        /// Rutter grants 500 in ten seconds. Ten seconds of ours are at most what was under way, the burst (each as much as may be
        /// in flight) and the refill: less than that, so that nobody is refused.
        const PER_MINUTE: usize = 2900;
        let mut world = World::quiet("crowd").await;
        // A permit that expires while a crowded API server stores the attempt costs another attempt.
        (world.settings.timing.permit, world.settings.timing.call) = (Duration::from_secs(30), Duration::from_secs(20));
        let limits = format!("limits: {{requestsPerMinute: {PER_MINUTE}, maxInFlight: {IN_FLIGHT}}}");
        world.sandbox.apply(&world.account_with(&limits)).await;
        world.sandbox.apply(&World::store_login()).await;
        let all: Vec<String> =
            (0..OBJECTS).map(|n| connection(&format!("c{n}"), &store(&format!("crowd-{n}")), "")).collect();
        world.sandbox.apply(&all.join("---\n")).await;
        let since = world.sandbox.mark();
        world.start().await;
        world.all_settled(OBJECTS).await;

        let stats = world.simulator.stats();
        assert_eq!(world.live().len(), OBJECTS);
        assert_eq!(stats.creates, OBJECTS, "one create each");
        assert!(stats.duplicates.is_empty(), "{:?}", stats.duplicates);
        assert!(stats.max_in_flight <= IN_FLIGHT, "{} calls at a time", stats.max_in_flight);
        let journal = world.simulator.journal();
        let posts = count(&journal, Operation::Create);
        assert_eq!(posts, OBJECTS, "one POST each");
        let worst = busiest_minute(&journal);
        assert!(worst <= PER_MINUTE, "{worst} calls in a minute");
        let refused = journal.iter().filter(|entry| entry.status == Some(429)).count();
        assert_eq!(refused, 0, "the provider's own limit was met");
        let writes = world.sandbox.audit_writes(since);
        let dear: Vec<_> = writes.iter().filter(|(o, w)| o.starts_with("connections/") && w.len() > 5).collect();
        assert!(dear.is_empty(), "more than intent, mirror, outcome, ready, history: {dear:?}");
    }
}

/// Not each object that goes is news of its account.
#[tokio::test]
async fn many_that_go_at_once_cost_their_account_few_writes() {
    const OBJECTS: usize = 60;
    let world = World::new("budget-leave").await;
    let names: Vec<String> = (0..OBJECTS).map(|n| format!("acme-{n}")).collect();
    for name in &names {
        world.sandbox.apply(&connection(name, &store(name), "")).await;
    }
    for name in &names {
        world.settled(name).await;
    }
    world.sandbox.delete::<ProviderAccount>("rutter").await;
    world.account_until("Ready", "False", "DeletionHeld").await;
    let since = world.sandbox.mark();
    join_all(names.iter().map(|name| world.sandbox.delete::<Connection>(name))).await;
    world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
    let writes = world.sandbox.audit_writes(since);
    let own = lines(&writes, &["provideraccounts/rutter"]);
    // Of the last ones each may be news; the number of all of them is none.
    assert!(own.len() < OBJECTS / 3, "{own:#?}");
    world.ends_with(&[], OBJECTS, OBJECTS);
}
