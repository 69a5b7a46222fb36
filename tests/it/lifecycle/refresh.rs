//! Refreshes: at most one call for each record, entity and token.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance, ManagedStatus, RefreshPhase};
use tradewind::domain::decide::Resolution;
use tradewind::domain::ids::ExternalId;
use tradewind::domain::intent::Stored;
use tradewind_simulator::sku_io::{Deed, Entity, JobStatus, Starter};
use tradewind_simulator::{Effect, Fault, ManualClock, Operation};

use super::instances::{id_of, instance, message, status_of as instance_status};
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
fn phases(status: ManagedStatus) -> [Option<RefreshPhase>; 2] {
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

/// A manifest that says one is applied again, and so is what a person asked for in between.
#[tokio::test]
async fn a_token_that_is_set_back_asks_for_nothing() {
    let world = World::new("refresh-back").await;
    world.sandbox.apply(&connection("acme", &store("refresh-back"), "")).await;
    world.settled("acme").await;
    for (times, token) in [(1, "first"), (2, "second"), (2, "first"), (2, "second"), (3, "third")] {
        world.annotate("acme", keys::REFRESH, Some(token)).await;
        world.reconciled("acme").await;
        world.provider_until("a refresh", |s| s.connections()[0].incremental_syncs == times).await;
        world.reconciled("acme").await;
        assert_eq!(world.simulator.connections()[0].incremental_syncs, times, "{token}");
    }
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

const BOTH: [Option<RefreshPhase>; 2] = [Some(RefreshPhase::Accepted); 2];

/// A world with one instance that is ready.
async fn ready(name: &str) -> World {
    let world = World::with_sku(name).await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    world
}

/// The instance once products and orders have come so far.
async fn until(world: &World, products: RefreshPhase, orders: RefreshPhase) -> IntegrationInstance {
    let told = |i: &IntegrationInstance| phases(instance_status(i)) == [Some(products), Some(orders)];
    world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, told).await
}

/// The instance once products and orders were taken for this token.
async fn until_taken(world: &World, token: &str) -> IntegrationInstance {
    let told = |i: &IntegrationInstance| {
        let refresh = instance_status(i).refresh.unwrap_or_default();
        let all = [refresh.products, refresh.orders];
        all.iter().flatten().filter(|s| s.token == token && s.state == RefreshPhase::Accepted).count() == 2
    };
    world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, told).await
}

/// The refreshes that were asked for and taken: products and orders.
fn taken(world: &World) -> [usize; 2] {
    let record = world.at_sku("acme");
    [Entity::Products, Entity::Orders].map(|entity| record.refreshed(entity, Starter::Request))
}

/// Nobody asks twice for what may have been asked for; a new token asks again.
#[rstest]
#[case::while_the_call_is_under_way(Effect::SlowBefore { delay: Duration::from_secs(2) })]
#[case::while_the_answer_is_held_back(Effect::SlowAfter { delay: Duration::from_secs(2) })]
#[tokio::test]
async fn a_crash_between_the_mark_and_the_answer_leaves_a_refresh_unknown(#[case] effect: Effect) {
    let mut world = ready("refresh-crash").await;
    world.simulator.push_fault(Fault::on(Operation::Refresh, effect));
    world.refresh_instance("acme", "monday").await;
    world.until_asked(Operation::Refresh, 1).await;
    world.crash().await;
    let marked = world.sandbox.get::<IntegrationInstance>("acme").await.expect("the object");
    assert_eq!(phases(instance_status(&marked)), [Some(RefreshPhase::Requested); 2], "the mark comes before the call");
    world.start().await;
    let object = until(&world, RefreshPhase::Unknown, RefreshPhase::Unknown).await;
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    assert!(object.says("InitialRefreshComplete", "Unknown", "RefreshOutcomeUnknown"), "{:#?}", object.observed());
    assert!(message(&object, "InitialRefreshComplete").contains("tradewind refresh"));
    world.rests::<IntegrationInstance>("acme").await;
    world.crash().await;
    world.start().await;
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 1);
    assert_eq!(world.events("acme", "RefreshOutcomeUnknown").await, 2, "one for each of the two");

    world.refresh_instance("acme", "tuesday").await;
    until_taken(&world, "tuesday").await;
    world.looked_at::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 3);
}

/// A crash before the mark, or after the end, is none of a refresh.
#[tokio::test]
async fn a_crash_after_the_end_asks_for_nothing() {
    let mut world = ready("refresh-end").await;
    world.refresh_instance("acme", "monday").await;
    until_taken(&world, "monday").await;
    world.crash().await;
    world.start().await;
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!((world.asked(Operation::Refresh), taken(&world)), (2, [1, 1]));
}

#[rstest]
#[case::bad_request(400, RefreshPhase::Failed, "ProviderRejected")]
#[case::invalid(422, RefreshPhase::Failed, "ProviderRejected")]
#[case::forbidden(403, RefreshPhase::Failed, "CredentialsRejected")]
#[case::internal_error(500, RefreshPhase::Unknown, "RefreshOutcomeUnknown")]
#[case::time_out(408, RefreshPhase::Unknown, "RefreshOutcomeUnknown")]
#[case::redirect(302, RefreshPhase::Unknown, "RefreshOutcomeUnknown")]
#[case::undocumented(418, RefreshPhase::Unknown, "RefreshOutcomeUnknown")]
#[tokio::test]
async fn a_refused_refresh_is_said_and_not_asked_for_again(
    #[case] status: u16,
    #[case] phase: RefreshPhase,
    #[case] reason: &str,
) {
    let world = ready("refresh-refused").await;
    world.simulator.push_fault(Fault::on(Operation::Refresh, Effect::Refuse { status, retry_after: None }));
    world.refresh_instance("acme", "monday").await;
    let object = until(&world, phase, RefreshPhase::Accepted).await;
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    let (status, told) =
        if phase == RefreshPhase::Failed { ("False", "InitialRefreshFailed") } else { ("Unknown", reason) };
    assert!(object.says("InitialRefreshComplete", status, told), "{:#?}", object.observed());
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!((world.asked(Operation::Refresh), world.events("acme", reason).await), (2, 1));
    world.refresh_instance("acme", "products@tuesday").await;
    until(&world, RefreshPhase::Accepted, RefreshPhase::Accepted).await;
    assert_eq!((world.asked(Operation::Refresh), taken(&world)), (3, [1, 1]));
}

/// Refused for now: it is asked for again by itself, and taken once.
#[rstest]
#[case::limited(429, Some(2))]
#[case::limited_without_a_time(429, None)]
#[case::locked(409, None)]
#[tokio::test]
async fn a_refresh_that_comes_too_early_is_asked_for_later(#[case] status: u16, #[case] retry_after: Option<u64>) {
    let world = ready("refresh-later").await;
    world.simulator.push_fault(Fault::on(Operation::Refresh, Effect::Refuse { status, retry_after }));
    world.refresh_instance("acme", "monday").await;
    let put_off = |i: &IntegrationInstance| message(i, "InitialRefreshComplete").contains("has not taken the request");
    world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, put_off).await;
    let object = until_taken(&world, "monday").await;
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(taken(&world), [1, 1]);
    let tokens = instance_status(&object).refresh.unwrap_or_default();
    assert_eq!(
        [tokens.products, tokens.orders].map(|s| s.map(|s| s.token)),
        [Some("monday".into()), Some("monday".into())]
    );
}

/// Who is put off again and again hears of it, and asks ever more rarely.
#[tokio::test]
async fn a_refresh_that_is_put_off_again_says_so() {
    let world = ready("refresh-again").await;
    let locked = Effect::Refuse { status: 409, retry_after: None };
    world.simulator.push_fault(Fault::on(Operation::Refresh, locked).times(4));
    world.refresh_instance("acme", "monday").await;
    world.until_asked(Operation::Refresh, 4).await;
    let waits = |i: &IntegrationInstance| {
        let refresh = instance_status(i).refresh.unwrap_or_default();
        let at = |s: Option<tradewind::api::v1alpha1::RefreshState>| s.filter(|s| s.state == RefreshPhase::Due);
        at(refresh.products).zip(at(refresh.orders)).is_some()
    };
    let object = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, waits).await;
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    let text = message(&object, "InitialRefreshComplete");
    assert!(text.contains("asked by itself"), "{text}");
    world.looked_at::<IntegrationInstance>("acme").await;
    assert_eq!(world.events("acme", "ProviderRejected").await, 2, "one for each of the two");
}

#[tokio::test]
async fn jobs_are_followed_to_their_end() {
    let world = World::with_sku("refresh-jobs").await;
    world.simulator.configure_sku_io(|s| s.tracked_jobs = true);
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    world.refresh_instance("acme", "monday").await;
    let running = |i: &IntegrationInstance| i.says("InitialRefreshComplete", "False", "InitialRefreshRunning");
    let object = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, running).await;
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    let object = until(&world, RefreshPhase::Completed, RefreshPhase::Completed).await;
    assert!(object.says("InitialRefreshComplete", "True", "Succeeded"), "{:#?}", object.observed());
    assert_eq!(taken(&world), [1, 1]);
    let jobs = world.asked(Operation::ReadJob);
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::ReadJob), jobs, "what has ended is not asked for");

    // What is complete stays so, whatever is loaded once more.
    world.simulator.configure_sku_io(|s| s.job_running = Duration::from_hours(1));
    world.refresh_instance("acme", "products@tuesday").await;
    let again = until(&world, RefreshPhase::Accepted, RefreshPhase::Completed).await;
    assert!(again.says("InitialRefreshComplete", "True", "Succeeded"), "{:#?}", again.observed());
    let job = world.simulator.sku_jobs().pop().expect("a job").id;
    world.at_sku_somebody(&Deed::SetJob { job, status: JobStatus::Cancelled });
    let failed = until(&world, RefreshPhase::Failed, RefreshPhase::Completed).await;
    assert!(failed.says("InitialRefreshComplete", "True", "Succeeded"), "{:#?}", failed.observed());
}

#[tokio::test]
async fn a_job_that_fails_is_said() {
    let world = World::with_sku("refresh-job-fails").await;
    world.simulator.configure_sku_io(|s| (s.tracked_jobs, s.job_pending) = (true, Duration::from_hours(1)));
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    world.refresh_instance("acme", "monday").await;
    until_taken(&world, "monday").await;
    for job in world.simulator.sku_jobs().into_iter().rev().take(2) {
        let status = if job.entity == Entity::Orders { JobStatus::Failed } else { JobStatus::Completed };
        world.at_sku_somebody(&Deed::SetJob { job: job.id, status });
    }
    let object = until(&world, RefreshPhase::Completed, RefreshPhase::Failed).await;
    assert!(object.says("InitialRefreshComplete", "False", "InitialRefreshFailed"), "{:#?}", object.observed());
    assert!(object.says("Ready", "True", "Succeeded"));
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(taken(&world), [1, 1]);
}

/// That a refresh was taken is certain; that nobody may see its job is no fault of the record.
#[rstest]
#[case::cleared_away(404)]
#[case::gone(410)]
#[case::forbidden(403)]
#[tokio::test]
async fn a_job_that_cannot_be_seen_is_let_go(#[case] status: u16) {
    let world = World::with_sku("refresh-job-lost").await;
    world.simulator.configure_sku_io(|s| (s.tracked_jobs, s.job_pending) = (true, Duration::from_hours(1)));
    world.simulator.push_fault(Fault::on(Operation::ReadJob, Effect::Refuse { status, retry_after: None }).forever());
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    world.refresh_instance("acme", "monday").await;
    let let_go = |i: &IntegrationInstance| {
        let refresh = instance_status(i).refresh.unwrap_or_default();
        [refresh.products, refresh.orders].iter().flatten().filter(|s| s.token == "monday" && s.job.is_none()).count()
            == 2
    };
    world.until_asked(Operation::ReadJob, 2).await;
    let object = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, let_go).await;
    assert_eq!(phases(instance_status(&object)), BOTH);
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    assert!(object.says("InitialRefreshComplete", "Unknown", "InitialRefreshRunning"), "{:#?}", object.observed());
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!((world.asked(Operation::ReadJob), taken(&world)), (2, [1, 1]));
}

/// The manifest of an instance with a token in it.
fn with_token(token: &str, more: &str) -> String {
    instance("acme", more)
        .replace("{name: acme}", &format!("{{name: acme, annotations: {{{}: {token}}}}}", keys::REFRESH))
}

#[tokio::test]
async fn a_token_that_is_there_at_the_creation_asks_for_nothing_more() {
    let world = World::with_sku("refresh-early").await;
    world.sandbox.apply(&with_token("monday", "")).await;
    let object = world.well("acme").await;
    assert_eq!(phases(instance_status(&object)), BOTH);
    let refresh = instance_status(&object).refresh.unwrap_or_default();
    assert_eq!(refresh.products.map(|s| s.token).as_deref(), Some("monday"));
    world.rests::<IntegrationInstance>("acme").await;
    // Applied once more, it is the same object.
    world.sandbox.apply(&with_token("monday", "")).await;
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 0);
    world.sandbox.apply(&with_token("tuesday", "")).await;
    world.until_asked(Operation::Refresh, 2).await;
    until_taken(&world, "tuesday").await;
    assert_eq!(taken(&world), [1, 1]);
}

#[tokio::test]
async fn a_token_that_is_there_at_the_adoption_is_handled() {
    let world = World::with_sku("refresh-adopted").await;
    let make = Deed::Make { tenant_id: None, name: "acme".into(), store_hash: "acme0000".into() };
    world.at_sku_somebody(&make);
    let more = "  adoptionPolicy: Override\n  deletionPolicy: Delete\n";
    world.sandbox.apply(&with_token("monday", more)).await;
    world.well("acme").await;
    until(&world, RefreshPhase::Handled, RefreshPhase::Handled).await;
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 0);
    world.refresh_instance("acme", "orders@tuesday").await;
    until(&world, RefreshPhase::Handled, RefreshPhase::Accepted).await;
    assert_eq!(taken(&world), [0, 1]);
}

/// A backup came back, with its status or without: hours of loading are not run again.
#[rstest]
#[case::with_its_status(true)]
#[case::without(false)]
#[tokio::test]
async fn a_restored_object_loads_nothing_again(#[case] keeps_status: bool) {
    let mut world = World::with_sku("refresh-restored").await;
    world.sandbox.apply(&with_token("monday", "")).await;
    let backup = world.well("acme").await;
    let id = id_of(&backup);
    world.stop().await;
    world.edit_instance("acme", &json!({"metadata": {"finalizers": null}})).await;
    world.goes("acme").await;
    let api = world.sandbox.api::<IntegrationInstance>();
    let mut object = IntegrationInstance::new("acme", backup.spec.clone());
    object.metadata.annotations = Some(backup.annotations().clone());
    api.create(&PostParams::default(), &object).await.expect("a restored object");
    if keeps_status {
        let status = Patch::Merge(json!({"status": backup.status}));
        api.patch_status("acme", &PatchParams::default(), &status).await.expect("a restored status");
    }
    world.start().await;
    let asking = world.instance_until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let answer = Resolution::Adopt(ExternalId::new(&id)).write(&Stored {
        uid: &asking.uid().expect("a UID"),
        annotation: asking.annotations().get(keys::CREATE_INTENT).map(String::as_str),
        status: &instance_status(&asking),
        observe_only: false,
    });
    world.edit_instance("acme", &json!({"metadata": {"annotations": {keys::RESOLVE: answer}}})).await;
    assert_eq!(id_of(&world.well("acme").await), id);
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!((world.asked(Operation::Refresh), world.asked(Operation::Create)), (0, 1));
    world.refresh_instance("acme", "tuesday").await;
    until_taken(&world, "tuesday").await;
    assert_eq!(taken(&world), [1, 1]);
}

#[tokio::test]
async fn another_first_day_loads_nothing_by_itself() {
    let world = ready("refresh-day").await;
    world.edit_instance("acme", &json!({"spec": {"settings": {"startDate": "2025-01-01"}}})).await;
    world.until_asked(Operation::Update, 1).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&World::store_login()).await;
    world.sandbox.apply(&connection("store", &store("refresh-day"), "")).await;
    world.settled("store").await;
    world.change("store", &json!({"spec": {"sync": {"orders": {"startDate": "2025-01-01"}}}})).await;
    world.reconciled("store").await;
    world.rests::<Connection>("store").await;
    assert_eq!(world.asked(Operation::Refresh), 0);
    // It counts once somebody asks.
    let since = world.sandbox.mark();
    world.annotate("store", keys::REFRESH, Some("monday")).await;
    let asked = |c: &Connection| phases(status_of(c)) == BOTH;
    world.sandbox.wait_for::<Connection>("store", HANG, asked).await;
    let writes = || world.sandbox.audit_writes(since).remove("connections/store").unwrap_or_default();
    world.provider_until("the audit log shows both writes", |_| writes().len() >= 2).await;
    assert_eq!(writes().len(), 2, "{:#?}", writes());
    let record = &world.simulator.connections()[0];
    assert_eq!((record.backfills.len(), record.incremental_syncs), (1, 1));
}

/// A connection with a history that is declared.
const HISTORY: &str = "  sync:\n    orders: {startDate: \"2025-01-01\"}\n";

#[rstest]
#[case::refused(Some(400), RefreshPhase::Failed, "False", "InitialRefreshFailed")]
#[case::unknown(Some(500), RefreshPhase::Unknown, "Unknown", "RefreshOutcomeUnknown")]
#[case::declined(None, RefreshPhase::Failed, "False", "InitialRefreshFailed")]
#[tokio::test]
async fn a_first_load_that_comes_to_nothing_is_said_and_asked_for_by_a_new_token(
    #[case] status: Option<u16>,
    #[case] phase: RefreshPhase,
    #[case] complete: &str,
    #[case] reason: &str,
) {
    let world = World::new("refresh-first").await;
    match status {
        Some(status) => {
            world.simulator.push_fault(Fault::on(Operation::Refresh, Effect::Refuse { status, retry_after: None }));
        }
        None => world.simulator.configure(|s| s.declines_refreshes = true),
    }
    world.sandbox.apply(&connection("acme", &store("refresh-first"), HISTORY)).await;
    let told = |c: &Connection| {
        phases(status_of(c)) == [None, Some(phase)] && c.says("InitialRefreshComplete", complete, reason)
    };
    let object = world.sandbox.wait_for::<Connection>("acme", HANG, told).await;
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    world.rests::<Connection>("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 1);
    let event = if phase == RefreshPhase::Failed { "ProviderRejected" } else { "RefreshOutcomeUnknown" };
    assert_eq!(world.events("acme", event).await, 1);
    world.simulator.configure(|s| s.declines_refreshes = false);
    world.annotate("acme", keys::REFRESH, Some("orders@monday")).await;
    world.settled("acme").await;
    assert_eq!((world.asked(Operation::Refresh), world.simulator.connections()[0].backfills.len()), (2, 1));
}

/// What is complete stays so.
#[tokio::test]
async fn a_later_load_that_is_declined_leaves_the_first_one_complete() {
    let world = World::new("refresh-declined").await;
    world.sandbox.apply(&connection("acme", &store("refresh-declined"), "")).await;
    world.settled("acme").await;
    world.simulator.configure(|s| s.declines_refreshes = true);
    world.annotate("acme", keys::REFRESH, Some("monday")).await;
    let told = |c: &Connection| phases(status_of(c)) == [Some(RefreshPhase::Failed); 2];
    let object = world.sandbox.wait_for::<Connection>("acme", HANG, told).await;
    assert!(object.says("InitialRefreshComplete", "True", "Succeeded") && object.says("Ready", "True", "Succeeded"));
    world.rests::<Connection>("acme").await;
    assert_eq!((world.asked(Operation::Refresh), world.simulator.connections()[0].incremental_syncs), (1, 0));
}

/// The store is not ready any more when the call arrives: it is asked again, and it loads once.
#[tokio::test]
async fn a_load_that_comes_before_the_store_is_ready_comes_again() {
    let world = World::new("refresh-not-ready").await;
    world.sandbox.apply(&connection("acme", &store("refresh-not-ready"), "")).await;
    world.settled("acme").await;
    world.simulator.configure(|s| s.initial_sync = Duration::from_hours(1));
    world.annotate("acme", keys::REFRESH, Some("monday")).await;
    let waits = |c: &Connection| {
        phases(status_of(c)) == [Some(RefreshPhase::Due); 2] || c.says("Ready", "False", "InitialRefreshRunning")
    };
    world.sandbox.wait_for::<Connection>("acme", HANG, waits).await;
    assert_eq!(world.simulator.connections()[0].incremental_syncs, 0);
    world.simulator.configure(|s| s.initial_sync = Duration::from_millis(300));
    let asked = |c: &Connection| phases(status_of(c)) == BOTH;
    world.sandbox.wait_for::<Connection>("acme", HANG, asked).await;
    world.rests::<Connection>("acme").await;
    assert_eq!(world.simulator.connections()[0].incremental_syncs, 1);
}

/// Five years back when it was declared, and more when the store is ready at last.
#[tokio::test]
async fn a_history_that_has_become_too_old_is_not_asked_for() {
    let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse().expect("a time"));
    let mut world = World::under("refresh-old", clock.clock(), World::setup()).await;
    world.simulator.configure(|s| s.initial_sync = Duration::from_hours(40));
    world.furnish().await;
    world.start().await;
    let history = HISTORY.replace("2025-01-01", "2021-01-05");
    world.sandbox.apply(&connection("acme", &store("refresh-old"), &history)).await;
    world.until("acme", "Ready", "False", "InitialRefreshRunning").await;
    clock.advance(Duration::from_hours(48));
    let told = |c: &Connection| phases(status_of(c)) == [None, Some(RefreshPhase::Failed)];
    let object = world.sandbox.wait_for::<Connection>("acme", HANG, told).await;
    assert!(object.says("InitialRefreshComplete", "False", "InitialRefreshFailed"), "{:#?}", object.observed());
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    world.rests::<Connection>("acme").await;
    assert_eq!((world.asked(Operation::Refresh), world.events("acme", "InvalidSpec").await), (0, 1));
}
