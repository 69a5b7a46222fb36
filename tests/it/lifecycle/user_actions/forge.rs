//! The operator's own annotation in the hands of an editor: it can hold the editor's own object up, and nothing more.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::decide::Resolution;
use tradewind::domain::ids::ExternalId;
use tradewind_simulator::{Effect, Fault, ManualClock, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, answer, connection, id_of, message, status_of, store, told};

/// The annotation of an object, with these fields changed.
fn forged(connection: &Connection, changes: &Value) -> String {
    let text = connection.annotations().get(keys::CREATE_INTENT).expect("an intent");
    let mut intent: Value = serde_json::from_str(text).expect("an intent");
    for (field, value) in changes.as_object().expect("fields") {
        intent[field] = value.clone();
    }
    intent.to_string()
}

async fn forge(world: &World, text: Option<&str>) {
    world.annotate("acme", keys::CREATE_INTENT, text).await;
}

/// An object that has not started, suspended until its annotation is forged. What the intent says is taken from another object's.
async fn unstarted(world: &World, changes: Value) -> String {
    world.sandbox.apply(&connection("model", &store("model"), "")).await;
    let made = |c: &Connection| status_of(c).external_id.is_some();
    let model = world.sandbox.wait_for::<Connection>("model", HANG, made).await;
    world.sandbox.apply(&connection("acme", &store("acme"), "  suspend: true\n")).await;
    let acme = world.until("acme", "Synced", "Unknown", "Suspended").await;
    let mut changes = changes;
    changes["uid"] = json!(acme.uid());
    forge(world, Some(&forged(&model, &changes))).await;
    world.change("acme", &json!({"spec": {"suspend": false}})).await;
    id_of(&model)
}

#[rstest]
#[case::no_json("garbage")]
#[case::empty("")]
#[case::of_another_shape("{}")]
#[case::of_another_type(r#"{"uid": 7, "attempt": "one"}"#)]
#[tokio::test]
async fn an_object_with_an_annotation_that_is_no_intent_makes_nothing(#[case] text: &str) {
    let world = World::new("garbage").await;
    let manifest = connection("acme", &store("acme"), "");
    let metadata = json!({"name": "acme", "annotations": {keys::CREATE_INTENT: text}});
    world.sandbox.apply(&manifest.replace("metadata: {name: acme}", &format!("metadata: {metadata}"))).await;
    world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let halted = world.reconciled("acme").await;
    assert!(halted.says("Stalled", "True", "CreateOutcomeUnknown"), "{}", told(&halted));
    assert!(message(&halted, "Ready").contains("tradewind resolve --create-anew"), "{}", message(&halted, "Ready"));
    assert_eq!((halted.kstatus(), world.asked(Operation::Create)), (Kstatus::Failed, 0));

    world.resolve(&halted, &Resolution::CreateAnew).await;
    let id = id_of(&world.settled("acme").await);
    world.ends_with(&[&id], 1, 0);
}

#[rstest]
#[case::no_json(None)]
#[case::no_number_that_another_can_follow(Some(json!({"attempt": i64::MAX})))]
#[tokio::test]
async fn an_annotation_that_is_spoiled_when_ready_halts_until_it_is_gone(#[case] changes: Option<Value>) {
    let world = World::new("spoiled").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let ready = world.settled("acme").await;
    let id = id_of(&ready);
    let text = changes.map_or_else(|| "garbage".to_owned(), |changes| forged(&ready, &changes));
    forge(&world, Some(&text)).await;
    let halted = world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    assert_eq!(status_of(&halted).creation.map(|c| c.candidates), Some(vec![id.clone()]));
    assert!(message(&halted, "Ready").contains(&id), "{}", message(&halted, "Ready"));
    forge(&world, None).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

#[rstest]
#[case::spoiled(Some("garbage"))]
#[case::removed(None)]
#[tokio::test]
async fn an_open_attempt_survives_whatever_its_annotation_comes_to(#[case] text: Option<&str>) {
    let world = World::new("open-spoiled").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let open = |c: &Connection| message(c, "Ready").contains("not known");
    world.sandbox.wait_for::<Connection>("acme", HANG, open).await;
    forge(&world, text).await;
    if text.is_some() {
        world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
        forge(&world, None).await;
    }
    let id = id_of(&world.settled("acme").await);
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

/// The intent of another object, as a copied manifest has it.
#[tokio::test]
async fn an_intent_of_another_object_halts_until_a_person_answers() {
    let world = World::new("foreign-intent").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let ready = world.settled("acme").await;
    let id = id_of(&ready);
    forge(&world, Some(&forged(&ready, &json!({"uid": "00000000-0000-4000-8000-000000000000"})))).await;
    let halted = world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    assert_eq!(status_of(&halted).creation.map(|c| c.candidates), Some(vec![id.clone()]));
    let adopt = answer(&halted, &Resolution::Adopt(ExternalId::new(&id)));
    world.annotate("acme", keys::RESOLVE, Some(&adopt)).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

/// An attempt that was never made: it is waited for and looked for like any other, and nothing comes of it.
#[rstest]
#[case::the_next_one(json!({"attempt": 2, "nonce": "forged"}))]
#[case::a_late_one(json!({"attempt": 4711, "nonce": "forged"}))]
#[case::one_of_another_store(json!({"attempt": 2, "nonce": "forged", "key": "BIG_COMMERCE/store-x.mybigcommerce.com"}))]
#[case::one_of_another_time(json!({"attempt": 2, "nonce": "forged", "at": "2036-01-05T10:00:00Z"}))]
#[tokio::test]
async fn a_forged_attempt_of_a_ready_object_makes_no_second_record(#[case] changes: Value) {
    let world = World::new("forged").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let ready = world.settled("acme").await;
    let id = id_of(&ready);
    forge(&world, Some(&forged(&ready, &changes))).await;
    let settled =
        |c: &Connection| status_of(c).creation.is_some_and(|c| json!(c.settled_attempt) == changes["attempt"]);
    world.sandbox.wait_for::<Connection>("acme", HANG, settled).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

#[rstest]
#[case::the_first_one(1)]
#[case::a_late_one(4711)]
#[tokio::test]
async fn a_forged_attempt_of_an_object_that_has_not_started_makes_one_record(#[case] attempt: i64) {
    let world = World::new("forged-first").await;
    let key = format!("BIG_COMMERCE/{}", store("acme"));
    let model = unstarted(&world, json!({"attempt": attempt, "nonce": "forged", "key": key})).await;
    let id = id_of(&world.settled("acme").await);
    assert_eq!(world.asked(Operation::Create), 2);
    world.ends_with(&[&model, &id], 2, 0);
}

/// Attempts are counted from one, and past the last number none can follow: a person settles what cannot be carried on.
#[rstest]
#[case::none(0)]
#[case::less_than_none(-1)]
#[case::the_last_of_all(i64::MAX)]
#[tokio::test]
async fn an_attempt_with_a_number_that_none_can_have_is_no_intent(#[case] attempt: i64) {
    let world = World::new("no-number").await;
    let model = unstarted(&world, json!({"attempt": attempt, "nonce": "forged"})).await;
    let halted = world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    assert_eq!(world.asked(Operation::Create), 1, "of the other object");
    world.resolve(&halted, &Resolution::CreateAnew).await;
    let id = id_of(&world.settled("acme").await);
    world.ends_with(&[&model, &id], 2, 0);
}

/// The dream of a thief: an intent with the key and the time of a record that somebody else made, so that its token comes home.
#[tokio::test]
async fn a_forged_attempt_takes_nobody_elses_record() {
    let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse().expect("a time"));
    let mut world = World::under("thief", clock.clock(), World::setup()).await;
    let stranger = world.stranger(&store("victim"));
    clock.advance(Duration::from_mins(1));
    world.furnish().await;
    world.start().await;
    let key = format!("BIG_COMMERCE/{}", store("victim"));
    let changes = json!({"attempt": 1, "nonce": "forged", "key": key, "at": "2026-01-05T10:00:00Z"});
    let model = unstarted(&world, changes).await;
    let recorded = |c: &Connection| status_of(c).external_id.is_some();
    let id = id_of(&world.sandbox.wait_for::<Connection>("acme", HANG, recorded).await);
    let handed_out = world.secret_value("acme-connection", "connection_id").await;
    assert_eq!(handed_out.as_deref(), Some(id.as_str()));
    assert_eq!(world.asked(Operation::Create), 2);
    world.ends_with(&[&stranger, &model, &id], 2, 0);
}

/// The same of a record that came after the object, so that no date speaks against it: an attempt that status does not know was never
/// sent, and no record is its work.
#[rstest]
#[case::of_a_nonce_of_its_own(json!({"nonce": "forged"}))]
#[case::of_the_nonce_of_an_attempt_that_was_sent(json!({}))]
#[tokio::test]
async fn a_forged_attempt_takes_no_record_that_came_after_the_object(#[case] changes: Value) {
    let world = World::new("late-thief").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let ready = world.settled("acme").await;
    let id = id_of(&ready);
    let victim = store("victim");
    let stranger = world.stranger(&victim);
    let mut changes = changes;
    changes["attempt"] = json!(2);
    changes["key"] = json!(format!("BIG_COMMERCE/{victim}"));
    changes["at"] = json!(Timestamp::from_second(Timestamp::now().as_second()).expect("a time"));
    forge(&world, Some(&forged(&ready, &changes))).await;
    let settled = |c: &Connection| status_of(c).creation.is_some_and(|c| c.settled_attempt == 2);
    let refused = world.sandbox.wait_for::<Connection>("acme", HANG, settled).await;
    assert!(refused.says("Ready", "False", "AlreadyExists"), "{}", told(&refused));
    assert_eq!(id_of(&world.settled("acme").await), id);
    assert_eq!(world.secret_value("acme-connection", "connection_id").await, Some(id.clone()));
    world.ends_with(&[&id, &stranger], 1, 0);
}
