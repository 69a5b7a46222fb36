//! Platforms by their differences: a store with a path, two sets of credentials, and accounts that nothing tells apart.
//!
//! What every platform asks for is a table of `domain::rules`; here one of each kind lives.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use rstest::rstest;
use serde_json::json;
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::decide::Resolution;
use tradewind::domain::ids::ExternalId;
use tradewind_simulator::rutter::Deed;
use tradewind_simulator::{Effect, Fault, Operation};

use super::expect::one_has_it;
use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::world::{STORE_CANARY, World, id_of, message, secret, status_of, store, told};

/// The manifest of a connection to a platform, with parameters in flow style.
fn declared(name: &str, platform: &str, parameters: &str, credentials: &str, more: &str) -> String {
    format!(
        "apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {{name: {name}}}
spec:
  provider: Rutter
  accountRef: {{name: rutter}}
  platform: {platform}
  rutter:
    credentialsSecretRef: {{name: {credentials}}}
    parameters: {{{parameters}}}
  connectionSecretRef: {{name: {name}-connection}}
{more}"
    )
}

const BASIC: [(&str, &str); 2] = [("basic_username", "test"), ("basic_password", STORE_CANARY)];

fn woo(name: &str, store_url: &str) -> String {
    declared(name, "WOO_COMMERCE", &format!("store_url: {store_url}"), "woo", "")
}

fn stripe(name: &str, more: &str) -> String {
    // The Secret that all stores share holds the one key that Stripe asks for.
    declared(name, "STRIPE", "account_id: test-account", "store-login", more)
}

/// The object asks a person and names these records; a further pass changes nothing about that, and makes nothing.
async fn asks(world: &World, name: &str, candidates: &[String], creates: usize) -> Connection {
    world.until(name, "Ready", "False", "CreateOutcomeUnknown").await;
    let asking = world.reconciled(name).await;
    assert!(asking.says("Stalled", "True", "CreateOutcomeUnknown"), "{:#?}", asking.status);
    assert_eq!(status_of(&asking).creation.map(|c| c.candidates), Some(candidates.to_vec()));
    let text = message(&asking, "Ready");
    assert!(text.contains("tradewind resolve") && candidates.iter().all(|id| text.contains(id)), "{text}");
    assert_eq!(world.asked(Operation::Create), creates, "nothing is sent on a guess");
    asking
}

#[tokio::test]
async fn a_store_of_the_merchants_own_lives_below_its_path() {
    let world = World::new("woo").await;
    world.sandbox.apply(&secret("woo", &BASIC)).await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&woo("acme", "https://Example.com/Shop/")).await;
    let ready = world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 1, "what the lost answer was about was found by its address");
    assert_eq!(status_of(&ready).store_domain.as_deref(), Some("example.com/shop"));
    assert_eq!(status_of(&ready).creation.and_then(|c| c.key).as_deref(), Some("WOO_COMMERCE/example.com/shop"));

    // The same address in another spelling is the same store, another path of the host is not.
    world.sandbox.apply(&woo("again", "example.com/shop")).await;
    world.sandbox.apply(&woo("outlet", "example.com/outlet")).await;
    world.until("again", "Ready", "False", "ExternalIdConflict").await;
    let outlet = world.settled("outlet").await;
    let applied = status_of(&outlet).applied_fields;
    let applied: Vec<_> = applied.iter().map(|f| (f.path.as_str(), f.value.as_str())).collect();
    assert_eq!(
        applied,
        [("spec.platform", "WOO_COMMERCE"), ("spec.rutter.parameters.store_url", "example.com/outlet")]
    );
    world.ends_with(&[&id_of(&ready), &id_of(&outlet)], 2, 0);

    // Another address is another store: the record is not changed in place.
    world.change("outlet", &json!({"spec": {"rutter": {"parameters": {"store_url": "example.com/sale"}}}})).await;
    let halted = world.until("outlet", "Ready", "False", "ReplacementRequired").await;
    assert!(message(&halted, "Ready").contains("store_url"), "{}", message(&halted, "Ready"));
    world.ends_with(&[&id_of(&ready), &id_of(&outlet)], 2, 0);
}

#[tokio::test]
async fn a_private_shopify_app_is_told_from_a_public_one_by_the_keys_of_its_secret() {
    let world = World::new("shopify").await;
    let public = ["oauth_client_id", "oauth_client_secret", "oauth_access_token"].map(|key| (key, STORE_CANARY));
    world.sandbox.apply(&secret("shopify", &[&BASIC[..], &public].concat())).await;
    let store_url = "store_url: acme.myshopify.com";
    world.sandbox.apply(&declared("acme", "SHOPIFY", store_url, "shopify", "")).await;
    let halted = world.until("acme", "Ready", "False", "InvalidSpec").await;
    let text = message(&halted, "Ready");
    assert!(text.contains("remove oauth_client_id, oauth_client_secret and oauth_access_token"), "{text}");
    assert!(!text.contains(STORE_CANARY), "a credential in a condition");
    assert_eq!(world.asked(Operation::Create), 0);

    world.sandbox.delete::<Secret>("shopify").await;
    world.sandbox.wait_gone::<Secret>("shopify", HANG).await;
    world.sandbox.apply(&secret("shopify", &BASIC)).await;
    world.request("acme").await;
    let ready = world.settled("acme").await;
    assert_eq!(status_of(&ready).platform.as_deref(), Some("SHOPIFY"));
    assert_eq!(status_of(&ready).store_domain.as_deref(), Some("acme.myshopify.com"));
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

#[tokio::test]
async fn an_old_version_of_the_account_is_named_where_a_platform_came_later() {
    let mut world = World::quiet("version").await;
    world.sandbox.apply(&world.account_with("rutter: {version: \"2023-02-07\"}")).await;
    let app = ["oauth_client_id", "oauth_client_secret", "oauth_refresh_token"].map(|key| (key, STORE_CANARY));
    world.sandbox.apply(&secret("xero", &app)).await;
    world.start().await;
    world.sandbox.apply(&declared("acme", "XERO", "tenant_id: test, user_id: test", "xero", "")).await;
    let halted = world.until("acme", "Ready", "False", "UnsupportedPlatform").await;
    assert!(message(&halted, "Ready").contains("since version 2023-03-14"), "{}", message(&halted, "Ready"));
    assert_eq!(world.asked(Operation::Create), 0);

    world.sandbox.apply(&world.account_with("rutter: {version: \"2024-08-31\"}")).await;
    world.sandbox.wait_for::<Connection>("acme", HANG, |c| c.says("Ready", "True", "Succeeded")).await;
    assert_eq!(world.asked(Operation::Create), 1);
}

#[tokio::test]
async fn what_nothing_tells_apart_is_never_created_twice_by_itself_and_a_person_names_the_record() {
    let world = World::new("stripe").await;
    world.sandbox.apply(&stripe("first", "")).await;
    let first = id_of(&world.settled("first").await);
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&stripe("acme", "  sync:\n    orders: {startDate: \"2025-01-01\"}\n")).await;
    world.until_asked(Operation::Create, 2).await;
    // Made at the same time, and none of them can be it: one has its object, one is of another platform.
    world.sandbox.apply(&stripe("other", "")).await;
    let stranger = world.stranger(&store("stripe"));
    let other = id_of(&world.settled("other").await);
    let made: Vec<String> = world.live().into_iter().filter(|id| ![&first, &other, &stranger].contains(&id)).collect();
    assert_eq!(made.len(), 1);
    let asking = asks(&world, "acme", &made, 3).await;

    world.resolve(&asking, &Resolution::Adopt(ExternalId::new(&made[0]))).await;
    let ready = world.settled("acme").await;
    assert_eq!(id_of(&ready), made[0]);
    // It is its own: the load that belongs to its creation is asked for, once.
    world.until_asked(Operation::Refresh, 1).await;
    world.reconciled("acme").await;
    assert_eq!(world.asked(Operation::Refresh), 1);
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(made[0].as_str()));
    assert_eq!((world.asked(Operation::Create), world.live().len()), (3, 4));
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert!(!world.live().contains(&made[0]), "it went with its object");
}

/// Two people answer with the same record, each for another object. Nothing of it comes into the hands of the one that does not get it.
#[tokio::test]
async fn of_two_objects_that_are_answered_with_one_record_at_the_same_moment_exactly_one_takes_it() {
    const PAIRS: usize = 6;
    let world = World::new("answered-twice").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer).forever());
    let names: Vec<String> = (0..2 * PAIRS).map(|n| format!("store-{n}")).collect();
    join_all(names.iter().map(|name| async { world.sandbox.apply(&stripe(name, "")).await })).await;
    world.until_asked(Operation::Create, 2 * PAIRS).await;
    let asking = names.iter().map(|name| world.until(name, "Ready", "False", "CreateOutcomeUnknown"));
    let asking = join_all(asking).await;
    let made = world.live();
    let answers = asking.chunks(2).zip(&made).flat_map(|(pair, id)| pair.iter().map(move |object| (object, id)));
    let answers: Vec<_> = answers.map(|(object, id)| (object, Resolution::Adopt(ExternalId::new(id)))).collect();
    world.sandbox.lag(Duration::from_secs(3));
    join_all(answers.iter().map(|(object, answer)| world.resolve(object, answer))).await;
    for (pair, id) in names.chunks(2).zip(&made) {
        assert_eq!(id_of(&one_has_it(&world, pair).await), *id);
    }
    assert_eq!((world.asked(Operation::Create), world.live().len()), (2 * PAIRS, 2 * PAIRS));
}

/// They have no key by which the second one would see the first.
#[tokio::test]
async fn of_two_objects_that_name_one_record_that_nothing_tells_apart_exactly_one_takes_it() {
    const PAIRS: usize = 3;
    let world = World::new("stripe-twice").await;
    for pair in 0..PAIRS {
        let left = format!("left-{pair}");
        world.sandbox.apply(&stripe(&left, "  deletionPolicy: Retain\n")).await;
        world.settled(&left).await;
        world.sandbox.delete::<Connection>(&left).await;
        world.sandbox.wait_gone::<Connection>(&left, HANG).await;
    }
    let left = world.live();
    let twins: Vec<[String; 2]> = (0..PAIRS).map(|pair| ["a", "b"].map(|name| format!("pair-{pair}-{name}"))).collect();
    let manifests = twins.iter().zip(&left).flat_map(|(pair, id)| {
        let policy = format!("  adoptionPolicy: Match\n  deletionPolicy: Retain\n  externalRef: {{id: {id}}}\n");
        pair.each_ref().map(|name| stripe(name, &policy))
    });
    let manifests: Vec<String> = manifests.collect();
    world.sandbox.lag(Duration::from_secs(3));
    join_all(manifests.iter().map(|manifest| world.sandbox.apply(manifest))).await;
    for (pair, id) in twins.iter().zip(&left) {
        assert_eq!(id_of(&one_has_it(&world, pair).await), *id);
    }
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    world.ends_with(&left, PAIRS, 0);
}

/// Who is asked may look first. What was only looked at until then is the object's from then on.
#[rstest]
#[case::and_stays(false)]
#[case::and_goes_with_it(true)]
#[tokio::test]
async fn a_record_that_a_person_has_looked_at_and_then_named_is_the_objects(#[case] goes: bool) {
    let world = World::new("looked-at").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&stripe("acme", "")).await;
    world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let made = world.live();
    let look = json!({"managementPolicy": "ObserveOnly", "externalRef": {"id": made[0]}});
    world.change("acme", &json!({"spec": look})).await;
    world.sandbox.wait_for::<Connection>("acme", HANG, |c| status_of(c).observed_only).await;
    let own = json!({"managementPolicy": "Full", "adoptionPolicy": "Match", "deletionPolicy": "Delete"});
    world.change("acme", &json!({"spec": own})).await;
    world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let asking = asks(&world, "acme", &made, 1).await;
    world.resolve(&asking, &Resolution::Adopt(ExternalId::new(&made[0]))).await;
    let ready = world.settled("acme").await;
    assert_eq!((id_of(&ready), status_of(&ready).observed_only), (made[0].clone(), false));
    world.ends_with(&[&made[0]], 1, 0);
    if goes {
        world.sandbox.delete::<Connection>("acme").await;
        world.sandbox.wait_gone::<Connection>("acme", HANG).await;
        world.ends_with(&[], 1, 1);
    }
}

/// By a clock that is off, the record that a create is answered with was made before it: the next create would make another one.
#[tokio::test]
async fn what_nothing_tells_apart_is_not_made_again_where_the_answered_record_seems_to_be_older() {
    let world = World::new("stripe-old").await;
    let by = Duration::from_mins(1);
    for operation in [Operation::List, Operation::ReadDetail] {
        world.simulator.push_fault(Fault::on(operation, Effect::Backdate { by }).forever());
    }
    world.sandbox.apply(&stripe("acme", "")).await;
    world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let made = world.live();
    assert_eq!(made.len(), 1);
    let asking = asks(&world, "acme", &made, 1).await;
    // A mistyped answer does not make it forget the only one that it can be.
    world.resolve(&asking, &Resolution::Adopt(ExternalId::new("00000000-0000-4000-8000-00000000dead"))).await;
    let missing = world.until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_eq!(status_of(&missing).creation.map(|c| c.candidates), Some(made.clone()));
    world.resolve(&asking, &Resolution::Adopt(ExternalId::new(&made[0]))).await;
    assert_eq!(id_of(&world.settled("acme").await), made[0]);
    world.ends_with(&[&made[0]], 1, 0);
}

/// A create is answered, and nothing that can be read tells when its record was made: no look would show it.
#[tokio::test]
async fn what_nothing_tells_apart_is_named_where_nobody_can_tell_when_it_was_made() {
    let world = World::new("stripe-undated").await;
    for operation in [Operation::List, Operation::ReadDetail] {
        let undated = Effect::NullField { field: "created_at".to_owned() };
        world.simulator.push_fault(Fault::on(operation, undated).forever());
    }
    world.sandbox.apply(&stripe("acme", "")).await;
    world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let made = world.live();
    assert_eq!(made.len(), 1);
    let asking = asks(&world, "acme", &made, 1).await;
    world.simulator.clear_faults();
    world.resolve(&asking, &Resolution::Adopt(ExternalId::new(&made[0]))).await;
    assert_eq!(id_of(&world.settled("acme").await), made[0]);
    world.ends_with(&[&made[0]], 1, 0);
}

#[tokio::test]
async fn what_nothing_tells_apart_is_created_anew_when_a_person_says_so() {
    let world = World::new("anew").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status: 503, retry_after: None }));
    world.sandbox.apply(&stripe("acme", "")).await;
    // Nothing was made, but nobody can know: an absence proves nothing where nothing tells what to look for.
    let asking = asks(&world, "acme", &[], 1).await;
    world.resolve(&asking, &Resolution::CreateAnew).await;
    let ready = world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 2);
    world.ends_with(&[&id_of(&ready)], 1, 0);
    assert_eq!(status_of(&ready).creation.and_then(|c| c.key), None);
}

#[tokio::test]
async fn an_unanswered_create_blocks_the_deletion_where_nothing_tells_records_apart() {
    let world = World::new("blocked").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&stripe("acme", "")).await;
    world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    world.sandbox.delete::<Connection>("acme").await;
    let asking = world.until("acme", "Ready", "False", "DeletionBlocked").await;
    let made = world.live();
    assert!(message(&asking, "Ready").contains(&made[0]), "{}", message(&asking, "Ready"));
    world.resolve(&asking, &Resolution::Adopt(ExternalId::new(&made[0]))).await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

#[tokio::test]
async fn two_objects_with_one_secret_are_two_records_where_nothing_tells_accounts_apart() {
    let world = World::new("twins").await;
    world.sandbox.apply(&format!("{}---\n{}", stripe("a", ""), stripe("b", ""))).await;
    let (a, b) = (id_of(&world.settled("a").await), id_of(&world.settled("b").await));
    assert_ne!(a, b);
    let mut live = world.live();
    live.sort();
    let mut both = [a, b];
    both.sort();
    assert_eq!((live.as_slice(), world.asked(Operation::Create)), (both.as_slice(), 2));
    // A record that is not this object's own is found by its id alone.
    world.sandbox.apply(&stripe("seen", "  adoptionPolicy: Match\n  deletionPolicy: Retain\n")).await;
    let halted = world.until("seen", "Ready", "False", "InvalidSpec").await;
    assert!(message(&halted, "Ready").contains("spec.externalRef.id"), "{}", message(&halted, "Ready"));
    assert_eq!(world.asked(Operation::Create), 2);
}

/// A manifest instead of all metadata, and no status: nothing of the object itself tells what was made for it.
async fn forgets(world: &mut World) -> String {
    let manifest = stripe("acme", "");
    world.sandbox.apply(&manifest).await;
    let id = id_of(&world.settled("acme").await);
    world.stop().await;
    world.sandbox.replace(&manifest).await;
    world.wipe_status("acme").await;
    id
}

/// Neither the object nor a Secret tells of it yet: the call that is under way does.
#[tokio::test]
async fn an_object_that_forgets_all_while_its_create_is_under_way_is_told_the_answer() {
    let world = World::new("forgets").await;
    let slow = Effect::SlowAfter { delay: Duration::from_secs(1) };
    world.simulator.push_fault(Fault::on(Operation::Create, slow));
    let manifest = stripe("acme", "");
    world.sandbox.apply(&manifest).await;
    world.provider_until("the record is there", |s| s.stats().creates == 1).await;
    world.sandbox.replace(&manifest).await;
    world.wipe_status("acme").await;
    let id = id_of(&world.settled("acme").await);
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_record_of_which_only_the_secret_tells_is_not_made_again() {
    let mut world = World::new("forgotten").await;
    let id = forgets(&mut world).await;
    world.start().await;
    let halted = world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    assert!(halted.says("Stalled", "True", "CreateOutcomeUnknown"), "{}", told(&halted));
    assert!(message(&halted, "Ready").contains(&format!("names {id}")), "{}", told(&halted));
    assert_eq!(world.asked(Operation::Create), 1);
    let back = json!({"adoptionPolicy": "Match", "deletionPolicy": "Delete", "externalRef": {"id": id}});
    world.change("acme", &json!({"spec": back})).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    world.ends_with(&[&id], 1, 0);
}

/// Somebody has deleted it meanwhile: what the Secret says is no reason to wait for anybody.
#[tokio::test]
async fn a_record_of_which_only_the_secret_tells_is_made_again_where_it_is_gone() {
    let mut world = World::new("forgotten-gone").await;
    let id = forgets(&mut world).await;
    world.simulator.act(&Deed::Delete { connection: id.parse().expect("an id") }).expect("a deed");
    world.start().await;
    let ready = world.settled("acme").await;
    assert_ne!(id_of(&ready), id);
    assert_eq!(world.asked(Operation::Create), 2);
    world.ends_with(&[&id_of(&ready)], 2, 1);
}

/// Whoever made it was stopped a moment ago: a list without it says nothing yet.
#[tokio::test]
async fn a_record_of_which_only_the_secret_tells_is_waited_for_while_lists_may_lag() {
    let mut world = World::new("forgotten-lag").await;
    let id = forgets(&mut world).await;
    world.simulator.configure(|settings| settings.list_lag = Duration::from_hours(1));
    // Nothing below happens because the wait is over.
    world.settings.timing.lag = HANG * 2;
    world.start().await;
    let waits = |c: &Connection| message(c, "Ready").contains(&format!("names {id}, which does not show"));
    world.sandbox.wait_for("acme", HANG, waits).await;
    world.simulator.configure(|settings| settings.list_lag = Duration::ZERO);
    world.request("acme").await;
    world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    world.ends_with(&[&id], 1, 0);
}
