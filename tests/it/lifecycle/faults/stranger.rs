//! A record that somebody else made for the same store, in the ways in which it can be taken for one's own.

use std::time::Duration;

use rstest::rstest;
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::decide::Resolution;
use tradewind::domain::ids::ExternalId;
use tradewind_simulator::rutter::{Deed, Origin};
use tradewind_simulator::{Effect, Fault, ManualClock, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, answer, connection, id_of, message, status_of, store, told};

/// A world whose provider de-duplicates: it answers a create with what is there already. A stranger connected the store long ago, by
/// a clock far from ours: only comparisons within the provider's own time may count.
async fn before_us(name: &str) -> (World, String) {
    let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse().expect("a time"));
    let world = World::under(name, clock.clock(), World::setup()).await;
    world.simulator.configure(|settings| settings.deduplicates = true);
    let stranger = world.stranger(&store("acme"));
    clock.advance(Duration::from_secs(30));
    world.furnish().await;
    (world, stranger)
}

/// The provider answers with the stranger's record, once. That the object rests then is shown by what comes after it.
async fn answered_once(world: &World) {
    world.until("acme", "Ready", "False", "AlreadyExists").await;
    world.sandbox.apply(&connection("other", &store("other"), "")).await;
    world.sandbox.wait_for::<Connection>("other", HANG, |c| status_of(c).external_id.is_some()).await;
    assert_eq!(world.asked(Operation::Create), 2, "one for each of the two");
    world.sandbox.delete::<Connection>("other").await;
    world.sandbox.wait_gone::<Connection>("other", HANG).await;
}

/// The object says whose record is in its way, hands out nothing of it, and leaves it alone when it goes.
async fn left_alone(world: &World, stranger: &str, others: usize) {
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    let text = message(&halted, "Ready");
    assert!(text.contains(stranger) && text.contains("adoptionPolicy: Match"), "{text}");
    assert!(
        halted.says("Stalled", "True", "AlreadyExists") && halted.condition("Reconciling").is_none(),
        "{}",
        told(&halted)
    );
    assert_eq!((halted.kstatus(), status_of(&halted).external_id), (Kstatus::Failed, None));
    assert_eq!(world.secret_value("acme-connection", "access_token").await, None);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[stranger], others, others);
}

#[tokio::test]
async fn a_strangers_record_of_the_same_store_is_in_the_way_and_left_alone() {
    let world = World::new("stranger").await;
    let stranger = world.stranger(&store("acme"));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    left_alone(&world, &stranger, 0).await;
    assert_eq!(world.asked(Operation::Create), 0);
}

/// The look before the create shows nothing, since lists lag.
#[tokio::test]
async fn an_answered_record_that_is_older_than_the_attempt_is_a_strangers() {
    let (mut world, stranger) = before_us("twin").await;
    world.simulator.configure(|settings| settings.list_lag = Duration::from_hours(1));
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    answered_once(&world).await;
    left_alone(&world, &stranger, 1).await;
}

/// The list shows it, but nobody can tell what store it is of before the provider answers with it.
#[tokio::test]
async fn an_answered_record_that_was_listed_before_the_call_is_a_strangers() {
    let (mut world, stranger) = before_us("listed").await;
    let unreadable = Fault::on(Operation::ReadDetail, Effect::Refuse { status: 401, retry_after: None });
    world.simulator.push_fault(unreadable.connection(stranger.parse().expect("an id")).forever());
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    answered_once(&world).await;
    left_alone(&world, &stranger, 1).await;
}

/// The record that a person names may be of anything.
#[rstest]
#[case::of_another_platform("SHOPIFY", "acme.myshopify.com")]
#[case::of_another_store("BIG_COMMERCE", "store-another.mybigcommerce.com")]
#[tokio::test]
async fn a_named_record_that_is_something_else_is_not_adopted(#[case] platform: &str, #[case] store_url: &str) {
    let world = World::new("something-else").await;
    let (platform, store_url) = (platform.to_owned(), store_url.to_owned());
    let record = world.simulator.act(&Deed::Connect { client_id: None, platform, store_url }).expect("a record");
    let id = record.id.to_string();
    let more = format!("  adoptionPolicy: Override\n  deletionPolicy: Delete\n  externalRef: {{id: {id}}}\n");
    world.sandbox.apply(&connection("acme", &store("acme"), &more)).await;
    let halted = world.until("acme", "Ready", "False", "NotMatch").await;
    assert!(message(&halted, "Ready").contains(&id), "{}", told(&halted));
    assert_eq!(world.secret_value("acme-connection", "access_token").await, None);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[&id], 0, 0);
}

/// Another object names the record while the answer to the create is under way, and has it first.
#[tokio::test]
async fn a_record_that_another_object_has_taken_before_its_create_is_answered_stays_with_that_one() {
    let mut world = World::quiet("outrun").await;
    world.furnish().await;
    world.settings.timing.call = HANG;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::SlowAfter { delay: Duration::from_secs(8) }));
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.provider_until("a create is under way", |s| s.stats().creates == 1).await;
    let made = world.live();
    let [id] = made.as_slice() else { panic!("one record: {made:?}") };
    let named = format!("  adoptionPolicy: Match\n  deletionPolicy: Delete\n  externalRef: {{id: {id}}}\n");
    world.sandbox.apply(&connection("other", &store("acme"), &named)).await;
    world.settled("other").await;
    let unanswered = world.sandbox.get::<Connection>("acme").await.expect("an object");
    assert!(unanswered.says("Ready", "False", "Creating"), "the answer came too early: {}", told(&unanswered));

    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert!(message(&halted, "Ready").contains(id), "{}", told(&halted));
    assert_eq!(status_of(&halted).external_id, None);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert_eq!(id_of(&world.looked_at::<Connection>("other").await), *id);
    world.ends_with(&[id], 1, 0);
}

/// A stranger connects the store while a create is unanswered: two records that may both be the object's. A person says which.
#[rstest]
#[case::of_the_two_ours(Origin::Api)]
#[case::of_the_two_the_strangers(Origin::Stranger)]
#[tokio::test]
async fn of_two_records_that_may_be_ours_a_person_says_which(#[case] chosen: Origin) {
    let world = World::new("two").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    let stranger = world.stranger(&store("acme"));
    let halted = world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let mut candidates = status_of(&halted).creation.map(|c| c.candidates).unwrap_or_default();
    candidates.sort();
    let mut both = world.live();
    both.sort();
    assert_eq!(candidates, both);
    assert!(
        both.contains(&stranger) && both.iter().all(|id| message(&halted, "Ready").contains(id)),
        "{}",
        told(&halted)
    );
    assert_eq!((world.asked(Operation::Create), world.asked(Operation::Delete)), (1, 0));

    let of_origin = |origin| world.simulator.connections().into_iter().find(|r| r.origin == origin);
    let id = of_origin(chosen).expect("a record").id.to_string();
    let adopt = answer(&halted, &Resolution::Adopt(ExternalId::new(&id)));
    world.annotate("acme", keys::RESOLVE, Some(&adopt)).await;
    assert_eq!(id_of(&world.settled("acme").await), id);

    // What was chosen goes with the object; the other one was nobody's of ours.
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    both.retain(|other| *other != id);
    world.ends_with(&[&both[0]], 1, 1);
}
