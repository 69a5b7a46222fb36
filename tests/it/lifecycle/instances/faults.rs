//! What may go wrong between us and SKU.io: one instance comes of it all the same, and it is recorded.

use std::time::Duration;

use kube::ResourceExt;
use rstest::rstest;
use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::IntegrationInstance;
use tradewind_simulator::sku_io::{Cleaning, Deed, Entity, Envelope, Settings, Starter};
use tradewind_simulator::{Effect, Fault, Operation};

use super::{id_of, instance, message, status_of};
use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, secret};

/// Every create has started both loads by itself: nobody may ask for them again.
fn assert_loaded_once(world: &World, name: &str) {
    let record = world.at_sku(name);
    for entity in [Entity::Products, Entity::Orders] {
        assert_eq!((record.refreshed(entity, Starter::Create), record.refreshed(entity, Starter::Request)), (1, 0));
    }
    assert_eq!(world.asked(Operation::Refresh), 0);
}

/// The object once it says that nobody knows what became of its create.
async fn unanswered(world: &World, name: &str) {
    let waits =
        |i: &IntegrationInstance| i.says("Ready", "False", "Creating") && message(i, "Ready").contains("not known");
    let waiting = world.sandbox.wait_for::<IntegrationInstance>(name, HANG, waits).await;
    assert_eq!((waiting.kstatus(), status_of(&waiting).external_id), (Kstatus::InProgress, None));
}

#[rstest]
#[case::lost_answer(Effect::LostAnswer)]
#[case::broken_in_the_body(Effect::CutAnswer)]
#[case::internal_error(Effect::StatusAfterApply { status: 500 })]
#[case::bad_gateway(Effect::StatusAfterApply { status: 502 })]
#[case::redirect(Effect::StatusAfterApply { status: 302 })]
#[case::teapot(Effect::StatusAfterApply { status: 418 })]
#[case::garbage(Effect::GarbageBody)]
#[case::empty(Effect::EmptyBody)]
#[case::without_id(Effect::WithoutId)]
#[case::null_id(Effect::NullField { field: "id".to_owned() })]
#[case::answer_too_late(Effect::SlowAfter { delay: Duration::from_secs(4) })]
#[case::applied_too_late(Effect::SlowBefore { delay: Duration::from_millis(3500) })]
#[case::applied_after_the_connection_closed(Effect::LateApply { delay: Duration::from_millis(1500) })]
#[tokio::test]
async fn what_an_unanswered_create_made_is_found_by_its_name(#[case] effect: Effect) {
    let world = World::with_sku("sku-unanswered").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&instance("acme", "")).await;
    unanswered(&world, "acme").await;
    let id = id_of(&world.well("acme").await);
    assert_eq!(world.asked(Operation::Create), 1, "it was found, not made again");
    world.sku_ends_with(&[&id], 1, 0);
    world.rests::<IntegrationInstance>("acme").await;
    assert_loaded_once(&world, "acme");
    world.goes("acme").await;
    world.sku_ends_with(&[], 1, 1);
}

/// A create that goes on failing is sent ever more rarely, and says why.
#[tokio::test]
async fn a_create_that_goes_on_failing_says_so_and_is_sent_ever_more_rarely() {
    let world = World::with_sku("sku-failing").await;
    let fails = Effect::Refuse { status: 500, retry_after: None };
    world.simulator.push_fault(Fault::on(Operation::Create, fails).times(3));
    world.sandbox.apply(&instance("acme", "")).await;
    let says = |i: &IntegrationInstance| {
        i.says("Ready", "False", "ProviderUnavailable") && message(i, "Ready").contains("no known outcome")
    };
    let object = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, says).await;
    assert!(world.asked(Operation::Create) > 1, "once is soon tried again");
    assert_eq!((object.kstatus(), status_of(&object).external_id), (Kstatus::InProgress, None));
    let id = id_of(&world.well("acme").await);
    assert_eq!(world.asked(Operation::Create), 4);
    world.sku_ends_with(&[&id], 1, 0);
    world.rests::<IntegrationInstance>("acme").await;
}

/// What was made is recorded as it was made: the token of today's Secret is its own, and nothing is pushed.
#[rstest]
#[case::in_lists_too(true)]
#[case::without_settings_in_lists(false)]
#[tokio::test]
async fn what_was_found_again_is_not_changed(#[case] settings_in_lists: bool) {
    let world = World::with_sku("sku-found").await;
    world.simulator.configure_sku_io(|s| s.settings_in_lists = settings_in_lists);
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&instance("acme", "    salesNominalCodeId: 7\n  automaticSync: true\n")).await;
    let id = id_of(&world.well("acme").await);
    world.rests::<IntegrationInstance>("acme").await;
    let changes = world.at_sku("acme").changes;
    assert!(changes.iter().all(|c| c.sent == ["connection_settings.access_token"]), "{changes:#?}");
    assert!(world.at_sku("acme").side_effects().is_empty());
    world.sku_ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_secret_that_changes_while_a_create_is_open_is_pushed_in_the_end() {
    let world = World::with_sku("sku-secret-open").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&instance("acme", "")).await;
    unanswered(&world, "acme").await;
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", "test-canary-store-91bc-2")])).await;
    world.well("acme").await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.provider_until("the new token", |s| s.instances()[0].token_version == 2).await;
    assert_eq!(world.asked(Operation::Create), 1);
}

#[rstest]
#[case::internal_error(500)]
#[case::unavailable(503)]
#[case::time_out(408)]
#[case::too_early(425)]
#[case::payment(402)]
#[case::verb(405)]
#[case::gone(410)]
#[case::undocumented(499)]
#[case::redirect(307)]
#[tokio::test]
async fn what_an_unanswered_create_did_not_make_is_made_after_the_grace(#[case] status: u16) {
    let world = World::with_sku("sku-not-applied").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status, retry_after: None }));
    world.sandbox.apply(&instance("acme", "")).await;
    unanswered(&world, "acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
    let ready = world.well("acme").await;
    assert_eq!(status_of(&ready).creation.map(|c| c.settled_attempt), Some(2));
    assert_loaded_once(&world, "acme");
    world.sku_ends_with(&[&id_of(&ready)], 1, 0);
}

#[rstest]
#[case::answered(None, true)]
#[case::unanswered(Some(Effect::LostAnswer), true)]
#[case::without_times(None, false)]
#[tokio::test]
async fn a_list_that_lags_hides_a_new_record_from_nobody(#[case] effect: Option<Effect>, #[case] timestamps: bool) {
    let world = World::with_sku("sku-lag").await;
    let lag = Duration::from_millis(800);
    world.simulator.configure_sku_io(|s| (s.list_lag, s.timestamps) = (lag, timestamps));
    if let Some(effect) = effect {
        world.simulator.push_fault(Fault::on(Operation::Create, effect));
    }
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    assert_eq!(world.asked(Operation::Create), 1);
    world.sku_ends_with(&[&id], 1, 0);
}

/// It bears the name, and nobody can tell when it was made: neither taken nor made twice.
#[tokio::test]
async fn a_record_that_tells_no_date_is_asked_about() {
    let world = World::with_sku("sku-undated").await;
    world.simulator.configure_sku_io(|s| s.timestamps = false);
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&instance("acme", "")).await;
    let halted = world.instance_until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let live = world.live_at_sku();
    assert!(message(&halted, "Ready").contains(&live[0]), "{:#?}", halted.observed());
    assert_eq!(status_of(&halted).creation.map(|c| c.candidates), Some(live.clone()));
    world.rests::<IntegrationInstance>("acme").await;
    world.simulator.configure_sku_io(|s| s.timestamps = true);
    world.looked_at::<IntegrationInstance>("acme").await;
    assert_eq!(id_of(&world.well("acme").await), live[0]);
    world.sku_ends_with(&[&live[0]], 1, 0);
}

/// A colleague made one of that name before the create arrived, and the answer to it was lost.
#[tokio::test]
async fn a_stranger_that_was_first_is_not_taken_for_ours() {
    let world = World::with_sku("sku-first").await;
    let slow = Effect::SlowBefore { delay: Duration::from_secs(1) };
    world.simulator.push_fault(Fault::on(Operation::Create, slow));
    world.sandbox.apply(&instance("acme", "")).await;
    world.until_asked(Operation::Create, 1).await;
    let stranger =
        world.at_sku_somebody(&Deed::Make { tenant_id: None, name: "acme".into(), store_hash: "other00".into() });
    let halted = world.instance_until("acme", "Ready", "False", "AlreadyExists").await;
    assert!(message(&halted, "Ready").contains(&stranger.id.to_string()), "{:#?}", halted.observed());
    assert_eq!(status_of(&halted).external_id, None);
    world.goes("acme").await;
    world.sku_ends_with(&[&stranger.id.to_string()], 0, 0);
}

/// What can be seen of a create on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    IntentStored,
    CallArrived,
    IdRecorded,
}

#[rstest]
#[case::after_the_intent(Moment::IntentStored, 0)]
#[case::while_the_call_is_under_way(Moment::CallArrived, 1000)]
#[case::when_the_call_was_applied(Moment::CallArrived, 0)]
#[case::after_the_id(Moment::IdRecorded, 0)]
#[tokio::test]
async fn a_crash_at_any_moment_of_a_create_leaves_one_record(#[case] moment: Moment, #[case] millis: u64) {
    let mut world = World::with_sku("sku-crash").await;
    let delay = Duration::from_millis(millis);
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::SlowBefore { delay }));
    world.sandbox.apply(&instance("acme", "")).await;
    let comes = async |holds: fn(&IntegrationInstance) -> bool| {
        world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, holds).await;
    };
    match moment {
        Moment::IntentStored => comes(|i| i.annotations().contains_key(keys::CREATE_INTENT)).await,
        Moment::CallArrived => world.until_asked(Operation::Create, 1).await,
        Moment::IdRecorded => comes(|i| status_of(i).external_id.is_some()).await,
    }
    world.crash().await;
    world.start().await;
    let id = id_of(&world.well("acme").await);
    assert_eq!(world.asked(Operation::Create), 1, "what was sent is not sent again");
    world.looked_at::<IntegrationInstance>("acme").await;
    assert_loaded_once(&world, "acme");
    world.goes("acme").await;
    world.sku_ends_with(&[], 1, 1);
    assert!(!id.is_empty());
}

/// The change is applied, and nobody hears of it: what is as declared is not sent again.
#[rstest]
#[case::lost_answer(Effect::LostAnswer, 1)]
#[case::internal_error(Effect::StatusAfterApply { status: 500 }, 1)]
#[case::garbage(Effect::GarbageBody, 1)]
#[case::not_applied(Effect::Refuse { status: 503, retry_after: None }, 2)]
#[case::applied_later(Effect::LateApply { delay: Duration::from_millis(500) }, 2)]
#[tokio::test]
async fn an_unanswered_change_is_looked_for_first(#[case] effect: Effect, #[case] at_most: usize) {
    let world = World::with_sku("sku-unchanged").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    world.simulator.push_fault(Fault::on(Operation::Update, effect));
    world.edit_instance("acme", &json!({"spec": {"settings": {"startDate": "2026-01-02"}}})).await;
    world.provider_until("the change", |s| !s.instances()[0].changes.is_empty()).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.well("acme").await;
    let asked = world.asked(Operation::Update);
    assert!(asked <= at_most, "{asked} changes: {:#?}", world.at_sku("acme").changes);
    assert_eq!(world.at_sku("acme").integration_settings["start_date"], "2026-01-02");
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::Update), asked);
    world.sku_ends_with(&[&id], 1, 0);
}

#[rstest]
#[case::lost_answer(Effect::LostAnswer)]
#[case::internal_error(Effect::StatusAfterApply { status: 500 })]
#[case::gateway(Effect::StatusAfterApply { status: 502 })]
#[case::garbage(Effect::GarbageBody)]
#[tokio::test]
async fn an_unanswered_delete_is_sent_again_and_meets_a_record_that_is_gone(#[case] effect: Effect) {
    let world = World::with_sku("sku-undeleted").await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    world.simulator.push_fault(Fault::on(Operation::Delete, effect));
    world.goes("acme").await;
    assert_eq!(world.asked(Operation::Delete), 2);
    world.sku_ends_with(&[], 1, 1);
}

/// In the older envelope a failure may come as a success.
#[tokio::test]
async fn a_success_that_says_failure_is_none() {
    let world = World::with_sku("sku-failure").await;
    world.simulator.configure_sku_io(|s| (s.old_statuses, s.envelope) = (true, Envelope::Status));
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Unsuccessful));
    world.sandbox.apply(&instance("acme", "")).await;
    unanswered(&world, "acme").await;
    let id = id_of(&world.well("acme").await);
    assert_eq!(world.asked(Operation::Create), 1);
    world.simulator.push_fault(Fault::on(Operation::Refresh, Effect::Unsuccessful));
    world.refresh_instance("acme", "products@monday").await;
    let unknown = |i: &IntegrationInstance| i.says("InitialRefreshComplete", "Unknown", "RefreshOutcomeUnknown");
    world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, unknown).await;
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 1);
    world.sku_ends_with(&[&id], 1, 0);
    world.simulator.push_fault(Fault::on(Operation::Delete, Effect::Unsuccessful));
    world.goes("acme").await;
    assert_eq!(world.asked(Operation::Delete), 2);
    world.sku_ends_with(&[], 1, 1);
}

#[rstest]
#[case::old_answer(Settings { old_statuses: true, ..World::setup().sku_io })]
#[case::still_listed(Settings {
    cleaning: Cleaning::Listed, cleanup: Duration::from_mins(5), ..World::setup().sku_io
})]
#[tokio::test]
async fn an_acknowledged_delete_ends_it(#[case] settings: Settings) {
    let world = World::with_sku("sku-acknowledged").await;
    world.simulator.configure_sku_io(|s| *s = settings);
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    world.goes("acme").await;
    assert_eq!(world.asked(Operation::Delete), 1);
    world.sku_ends_with(&[], 1, 1);
}

#[tokio::test]
async fn a_limit_closes_the_gate_for_as_long_as_it_says() {
    let world = World::with_sku("sku-limited").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status: 429, retry_after: Some(3) }));
    world.sandbox.apply(&instance("acme", "")).await;
    let limited = world.instance_until("acme", "Ready", "False", "RateLimited").await;
    assert!(limited.condition("Stalled").is_none() && limited.kstatus() == Kstatus::InProgress);
    let id = id_of(&world.well("acme").await);
    assert_eq!(world.asked(Operation::Create), 2);
    world.sku_ends_with(&[&id], 1, 0);
    let journal = world.simulator.journal();
    let met = journal.iter().find(|entry| entry.status == Some(429)).expect("the refusal");
    let next = journal.iter().find(|entry| entry.seq > met.seq).expect("a request after it");
    let pause = next.started_at.duration_since(met.ended_at.expect("an answer"));
    assert!(pause.as_secs() >= 3, "the next request came {pause:#} after the refusal: {next:?}");
}

/// The operator ends while a change is under way, or right after it: what is as declared then is not sent again.
#[rstest]
#[case::before_it_is_applied(Effect::SlowBefore { delay: Duration::from_secs(1) }, 2)]
#[case::while_the_answer_is_held_back(Effect::SlowAfter { delay: Duration::from_secs(2) }, 1)]
#[tokio::test]
async fn a_crash_during_a_change_leaves_what_is_declared(#[case] effect: Effect, #[case] at_most: usize) {
    let mut world = World::with_sku("sku-crash-change").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    world.simulator.push_fault(Fault::on(Operation::Update, effect));
    world.edit_instance("acme", &json!({"spec": {"settings": {"startDate": "2026-01-02"}}})).await;
    world.until_asked(Operation::Update, 1).await;
    world.crash().await;
    world.start().await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.provider_until("all requests have ended", |s| s.stats().in_flight == 0).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.well("acme").await;
    let asked = world.asked(Operation::Update);
    assert!(asked <= at_most, "{asked} changes: {:#?}", world.at_sku("acme").changes);
    assert_eq!(world.at_sku("acme").side_effects().len(), 1);
    world.sku_ends_with(&[&id], 1, 0);
}

#[rstest]
#[case::before_it_is_applied(Effect::SlowBefore { delay: Duration::from_millis(500) })]
#[case::while_the_answer_is_held_back(Effect::SlowAfter { delay: Duration::from_secs(1) })]
#[tokio::test]
async fn a_crash_during_a_delete_leaves_nothing(#[case] effect: Effect) {
    let mut world = World::with_sku("sku-crash-delete").await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    world.simulator.push_fault(Fault::on(Operation::Delete, effect));
    world.sandbox.delete::<IntegrationInstance>("acme").await;
    world.until_asked(Operation::Delete, 1).await;
    world.crash().await;
    world.start().await;
    world.sandbox.wait_gone::<IntegrationInstance>("acme", HANG).await;
    world.provider_until("all requests have ended", |s| s.stats().in_flight == 0).await;
    world.sku_ends_with(&[], 1, 1);
}

/// The old one is deleted, and its name is still being cleaned up, when the operator ends.
#[tokio::test]
async fn a_crash_during_a_replacement_leaves_the_new_record() {
    let mut world = World::with_sku("sku-crash-replace").await;
    world.simulator.configure_sku_io(|s| s.cleanup = Duration::from_secs(4));
    world.sandbox.apply(&instance("acme", "  replacementPolicy: Recreate\n")).await;
    let old = id_of(&world.well("acme").await);
    world.edit_instance("acme", &json!({"spec": {"integrationId": 6}})).await;
    world.until_asked(Operation::Delete, 1).await;
    world.crash().await;
    world.start().await;
    let replaced = |i: &IntegrationInstance| {
        i.says("Ready", "True", "Succeeded") && status_of(i).external_id.is_some_and(|new| new != old)
    };
    let new = id_of(&world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, replaced).await);
    assert_loaded_once(&world, "acme");
    world.sku_ends_with(&[&new], 2, 1);
}

/// A name is taken whatever its letters' size: the stranger's is shown, though it is written otherwise.
#[tokio::test]
async fn a_name_that_is_taken_in_other_letters_makes_nothing_and_adopts_nothing() {
    let world = World::with_sku("sku-letters").await;
    let make = Deed::Make { tenant_id: None, name: "ACME".into(), store_hash: "other00".into() };
    let stranger = world.at_sku_somebody(&make).id.to_string();
    let more = "  adoptionPolicy: Override\n  deletionPolicy: Delete\n";
    world.sandbox.apply(&instance("acme", more)).await;
    let waits = |i: &IntegrationInstance| message(i, "Ready").contains("the name acme");
    let waiting = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, waits).await;
    assert_eq!((waiting.kstatus(), status_of(&waiting).external_id), (Kstatus::InProgress, None));
    world.goes("acme").await;
    world.sku_ends_with(&[&stranger], 0, 0);
}
