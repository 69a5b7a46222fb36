//! An edited declaration: a new key, new credentials.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use rstest::rstest;
use serde_json::json;
use tradewind::api::v1alpha1::{Connection, ProviderAccount};
use tradewind_simulator::rutter::Deed;
use tradewind_simulator::{Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{STORE_CANARY, World, connection, id_of, message, secret, status_of, store, told};

const RECREATE: &str = "  replacementPolicy: Recreate\n";

/// Declares another store.
async fn move_to(world: &World, name: &str) -> Connection {
    world.change("acme", &json!({"spec": {"rutter": {"parameters": {"store_url": store(name)}}}})).await
}

/// The store that a record is of.
fn store_of(world: &World, id: &str) -> Option<String> {
    let all = world.simulator.connections();
    all.into_iter().find(|record| record.id.to_string() == id).expect("a record").store
}

#[tokio::test]
async fn a_key_that_is_edited_before_the_create_is_the_one_that_counts() {
    let mut world = World::new("early-edit").await;
    world.account_until("Ready", "True", "Succeeded").await;
    world.take_provider_down().await;
    world.sandbox.apply(&connection("acme", &store("first"), "")).await;
    world.until("acme", "Ready", "False", "ProviderUnavailable").await;
    move_to(&world, "second").await;
    world.until("acme", "Ready", "False", "ProviderUnavailable").await;
    world.bring_provider_up();
    let id = id_of(&world.settled("acme").await);
    assert_eq!(store_of(&world, &id), Some(store("second")));
    world.ends_with(&[&id], 1, 0);
}

/// An open attempt is found by the key that it was made with, and only then is the edit looked at.
#[rstest]
#[case::unanswered(Effect::LostAnswer)]
#[case::under_way(Effect::SlowBefore { delay: Duration::from_secs(1) })]
#[tokio::test]
async fn a_key_that_is_edited_while_a_create_is_open_asks_for_a_person(#[case] effect: Effect) {
    let world = World::new("open-edit").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&connection("acme", &store("first"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    move_to(&world, "second").await;
    let halted = world.until("acme", "Ready", "False", "ReplacementRequired").await;
    let id = id_of(&halted);
    assert_eq!(store_of(&world, &id), Some(store("first")));
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(id.as_str()));
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);

    move_to(&world, "first").await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    world.ends_with(&[&id], 1, 0);
}

#[rstest]
#[case::unanswered(Effect::LostAnswer)]
#[case::under_way(Effect::SlowBefore { delay: Duration::from_secs(1) })]
#[tokio::test]
async fn a_key_that_is_edited_while_a_create_is_open_brings_a_new_record_where_that_is_allowed(#[case] effect: Effect) {
    let world = World::new("open-edit").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&connection("acme", &store("first"), RECREATE)).await;
    world.until_asked(Operation::Create, 1).await;
    move_to(&world, "second").await;
    let id = id_of(&world.settled("acme").await);
    assert_eq!(store_of(&world, &id), Some(store("second")));
    assert_eq!(world.asked(Operation::Create), 2);
    world.ends_with(&[&id], 2, 1);
}

#[tokio::test]
async fn an_open_attempt_that_made_nothing_makes_the_edited_declaration() {
    let world = World::new("open-edit").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status: 500, retry_after: None }));
    world.sandbox.apply(&connection("acme", &store("first"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    move_to(&world, "second").await;
    let id = id_of(&world.settled("acme").await);
    assert_eq!(store_of(&world, &id), Some(store("second")));
    world.ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_key_that_is_edited_when_ready_asks_for_a_person_until_it_is_changed_back() {
    let world = World::new("edit").await;
    world.sandbox.apply(&connection("acme", &store("first"), "")).await;
    let id = id_of(&world.settled("acme").await);
    move_to(&world, "second").await;
    let halted = world.until("acme", "Ready", "False", "ReplacementRequired").await;
    let text = message(&halted, "Ready");
    assert!(text.contains("store_url") && text.contains("replacementPolicy: Recreate"), "{text}");
    assert!(text.contains("Change it back") && text.contains("delete and re-create"), "{text}");
    assert!(
        halted.says("Stalled", "True", "ReplacementRequired") && halted.says("Synced", "False", "ReplacementRequired")
    );
    assert_eq!(status_of(&halted).drifted_fields, ["spec.rutter.parameters.store_url"]);
    assert_eq!(halted.kstatus(), Kstatus::Failed);

    move_to(&world, "first").await;
    let healed = world.settled("acme").await;
    assert!(
        healed.says("Synced", "True", "Succeeded") && status_of(&healed).drifted_fields.is_empty(),
        "{}",
        told(&healed)
    );
    assert_eq!((world.asked(Operation::Create), world.asked(Operation::Delete)), (1, 0));
    world.ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_key_that_is_edited_when_ready_brings_a_new_record_where_that_is_allowed() {
    let world = World::new("edit").await;
    world.sandbox.apply(&connection("acme", &store("first"), "")).await;
    let old = id_of(&world.settled("acme").await);
    move_to(&world, "second").await;
    world.until("acme", "Ready", "False", "ReplacementRequired").await;
    world.change("acme", &json!({"spec": {"replacementPolicy": "Recreate"}})).await;
    let ready = world.settled("acme").await;
    let new = id_of(&ready);
    assert_ne!(new, old);
    assert_eq!(store_of(&world, &new), Some(store("second")));
    assert_eq!(status_of(&ready).store_domain, Some(store("second")));
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(new.as_str()));
    world.ends_with(&[&new], 2, 1);
}

/// Every declared field counts, one that was not there at first too.
#[rstest]
#[case::added("", json!("orders"))]
#[case::changed("orders", json!("products"))]
#[case::removed("orders", json!(null))]
#[tokio::test]
async fn a_scope_that_is_edited_when_ready_asks_for_a_person(#[case] before: &str, #[case] after: serde_json::Value) {
    let world = World::new("scope").await;
    let scope = if before.is_empty() { String::new() } else { format!("    scope: {before}\n") };
    let manifest = connection("acme", &store("acme"), "");
    let manifest = manifest.replace("  connectionSecretRef", &format!("{scope}  connectionSecretRef"));
    world.sandbox.apply(&manifest).await;
    let id = id_of(&world.settled("acme").await);
    world.change("acme", &json!({"spec": {"rutter": {"scope": after}}})).await;
    let looked = world.reconciled("acme").await;
    assert!(looked.says("Ready", "False", "ReplacementRequired"), "{}", told(&looked));
    assert_eq!(status_of(&looked).drifted_fields, ["spec.rutter.scope"]);
    world.ends_with(&[&id], 1, 0);
}

/// Rutter shows no scope: what the record was made with is known from the attempt, also where its answer was lost.
#[tokio::test]
async fn a_scope_that_is_edited_after_a_lost_answer_asks_for_a_person_too() {
    let world = World::new("scope-lost").await;
    let with = |scope: &str| {
        let scope = format!("    scope: {scope}\n  connectionSecretRef");
        connection("acme", &store("acme"), "").replace("  connectionSecretRef", &scope)
    };
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&with("first")).await;
    world.until_asked(Operation::Create, 1).await;
    let id = id_of(&world.settled("acme").await);
    world.sandbox.apply(&with("second")).await;
    let looked = world.until("acme", "Ready", "False", "ReplacementRequired").await;
    assert_eq!(status_of(&looked).drifted_fields, ["spec.rutter.scope"]);
    world.sandbox.apply(&with("first")).await;
    world.settled("acme").await;
    world.ends_with(&[&id], 1, 0);
}

/// The edit comes while the create is open: what was sent counts, not what is declared by the time that the record is found.
#[tokio::test]
async fn a_scope_that_is_edited_while_the_answer_is_lost_is_not_taken_for_the_records() {
    let world = World::new("scope-open").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    world.change("acme", &json!({"spec": {"rutter": {"scope": "second"}}})).await;
    world.until("acme", "Ready", "False", "ReplacementRequired").await;
    assert_eq!(world.asked(Operation::Create), 1);
}

/// A record is not given up before it is certain that the next one could be made.
#[tokio::test]
async fn a_record_is_not_replaced_while_the_new_one_lacks_its_credentials() {
    let world = World::new("no-secret").await;
    world.sandbox.apply(&connection("acme", &store("first"), RECREATE)).await;
    let old = id_of(&world.settled("acme").await);
    let edit = json!({"credentialsSecretRef": {"name": "later"}, "parameters": {"store_url": store("second")}});
    world.change("acme", &json!({"spec": {"rutter": edit}})).await;
    let waiting = world.until("acme", "Ready", "False", "SecretNotFound").await;
    assert!(message(&waiting, "Ready").contains("Secret later does not exist"), "{}", message(&waiting, "Ready"));
    assert_eq!((id_of(&waiting), world.asked(Operation::Delete)), (old.clone(), 0));
    world.ends_with(&[&old], 1, 0);

    world.sandbox.apply(&secret("later", &[("oauth_access_token", &format!("{STORE_CANARY}-3"))])).await;
    world.request("acme").await;
    let new = id_of(&world.settled("acme").await);
    assert_eq!(store_of(&world, &new), Some(store("second")));
    world.ends_with(&[&new], 2, 1);
}

/// The same where nothing new is made any more.
#[tokio::test]
async fn a_record_is_not_replaced_while_its_account_is_being_deleted() {
    let world = World::new("no-account").await;
    world.sandbox.apply(&connection("acme", &store("first"), RECREATE)).await;
    let old = id_of(&world.settled("acme").await);
    world.sandbox.delete::<ProviderAccount>("rutter").await;
    world.account_until("Ready", "False", "DeletionHeld").await;
    move_to(&world, "second").await;
    let waiting = world.until("acme", "Ready", "False", "DependencyNotReady").await;
    assert!(message(&waiting, "Ready").contains("is being deleted"), "{}", message(&waiting, "Ready"));
    assert_eq!((id_of(&waiting), world.asked(Operation::Delete)), (old.clone(), 0));
    world.ends_with(&[&old], 1, 0);
}

/// And where the declaration names a record, which a new one would not be.
#[tokio::test]
async fn a_record_that_is_named_by_its_id_is_not_replaced() {
    let world = World::new("named-recreate").await;
    let id = world.stranger(&store("first"));
    let named = format!("  adoptionPolicy: Match\n  deletionPolicy: Retain\n  externalRef: {{id: {id}}}\n{RECREATE}");
    world.sandbox.apply(&connection("acme", &store("first"), &named)).await;
    world.settled("acme").await;
    move_to(&world, "second").await;
    let halted = world.until("acme", "Ready", "False", "ReplacementRequired").await;
    let said = message(&halted, "Ready");
    assert!(said.contains("externalRef names") && said.contains("declare it anew"), "{said}");
    assert_eq!((id_of(&halted), world.asked(Operation::Delete)), (id.clone(), 0));
    move_to(&world, "first").await;
    world.settled("acme").await;
    world.ends_with(&[&id], 0, 0);
}

#[tokio::test]
async fn a_record_is_not_given_up_while_a_strangers_stands_where_the_new_one_is_to_be() {
    let world = World::new("no-room").await;
    world.sandbox.apply(&connection("acme", &store("first"), RECREATE)).await;
    let old = id_of(&world.settled("acme").await);
    let stranger = world.stranger(&store("second"));
    move_to(&world, "second").await;
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert!(message(&halted, "Ready").contains(&stranger), "{}", message(&halted, "Ready"));
    assert_eq!((id_of(&halted), world.asked(Operation::Delete)), (old.clone(), 0));

    world.deed(&stranger, |connection| Deed::Delete { connection });
    world.request("acme").await;
    let new = id_of(&world.settled("acme").await);
    assert_ne!(new, old);
    assert_eq!(store_of(&world, &new), Some(store("second")));
}

/// Rutter takes no new credentials: that is said, and the record works on.
#[tokio::test]
async fn a_secret_that_changes_later_is_said_not_to_reach_the_record() {
    let world = World::new("late-secret").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    renew(&world).await;
    world.request("acme").await;
    let told = world.until("acme", "CredentialsValid", "False", "ReplacementRequired").await;
    let said = message(&told, "CredentialsValid");
    assert!(said.contains("Secret store-login was changed") && said.contains("delete this object"), "{said}");
    let well = told.says("Ready", "True", "Succeeded") && told.says("Synced", "True", "Succeeded");
    assert!(well, "{:#?}", told.observed());
    world.reconciled("acme").await;
    world.ends_with(&[&id], 1, 0);

    // Nobody needs the Secret any more.
    world.sandbox.delete::<Secret>("store-login").await;
    world.request("acme").await;
    world.until("acme", "CredentialsValid", "True", "Succeeded").await;
}

#[tokio::test]
async fn the_credentials_count_that_are_there_when_the_create_is_sent() {
    let mut world = World::new("early-secret").await;
    world.account_until("Ready", "True", "Succeeded").await;
    world.take_provider_down().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until("acme", "Ready", "False", "ProviderUnavailable").await;
    let version = renew(&world).await;
    world.bring_provider_up();
    let ready = world.settled("acme").await;
    assert_eq!(status_of(&ready).applied_credentials.map(|applied| applied.resource_version), version);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

#[rstest]
#[case::unanswered(Effect::LostAnswer)]
#[case::under_way(Effect::SlowBefore { delay: Duration::from_secs(1) })]
#[tokio::test]
async fn credentials_that_are_edited_while_a_create_is_open_make_nothing_twice(#[case] effect: Effect) {
    let world = World::new("open-secret").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    renew(&world).await;
    let ready = world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

#[tokio::test]
async fn credentials_that_are_edited_or_deleted_when_ready_disturb_nothing() {
    let world = World::new("secret").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    renew(&world).await;
    assert!(world.reconciled("acme").await.says("Ready", "True", "Succeeded"));
    world.sandbox.delete::<Secret>("store-login").await;
    assert!(world.reconciled("acme").await.says("Ready", "True", "Succeeded"));
    world.ends_with(&[&id], 1, 0);

    // The store's credentials are not needed to clean up.
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

/// New credentials of the store; the version of the Secret that holds them.
async fn renew(world: &World) -> Option<String> {
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", &format!("{STORE_CANARY}-2"))])).await;
    world.sandbox.get::<Secret>("store-login").await.expect("the Secret").resource_version()
}

/// What came of the attempt is somebody else's business from then on: the record is only looked at.
#[tokio::test]
async fn an_object_that_is_to_observe_while_its_attempt_is_open_says_what_it_sees_and_rests() {
    let world = World::new("observe-open").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.sandbox.wait_for::<Connection>("acme", HANG, |c| message(c, "Ready").contains("not known")).await;
    world.change("acme", &json!({"spec": {"managementPolicy": "ObserveOnly"}})).await;
    world.until("acme", "Ready", "True", "Succeeded").await;
    let seen = world.rests::<Connection>("acme").await;
    assert_eq!((status_of(&seen).observed_only, world.live()), (true, vec![id_of(&seen)]));
    world.ends_with(&[&id_of(&seen)], 1, 0);

    world.change("acme", &json!({"spec": {"managementPolicy": "Full"}})).await;
    let own = world.sandbox.wait_for::<Connection>("acme", HANG, |c| !status_of(c).observed_only).await;
    assert_eq!(id_of(&own), id_of(&seen), "it is its own attempt's");
    world.ends_with(&[&id_of(&own)], 1, 0);
}
