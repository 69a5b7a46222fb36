//! A store that a merchant has to authorize: links, their expiry, and what is deleted meanwhile.

use std::time::Duration;

use kube::ResourceExt;
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::decide::Resolution;
use tradewind::domain::ids::ExternalId;
use tradewind_simulator::arcus::{Act, Connector};
use tradewind_simulator::{ManualClock, Operation};

use super::{SECRET, SHOP, assert_writes, connector};
use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::lifecycle::expect::assert_stalled;
use crate::world::{ARCUS_KEY, World, answer, message, status_of, told};

async fn link(world: &World) -> Option<String> {
    world.secret_value("acme-link", "link_url").await
}

#[tokio::test]
async fn a_link_is_handed_out_with_four_writes_and_is_nowhere_but_in_its_secret() {
    let world = World::with_arcus("arcus-link").await;
    world.sandbox.apply(&connector("first", "ups", "", "")).await;
    world.until("first", "Ready", "False", "AuthorizationRequired").await;
    let since = world.sandbox.mark();
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    let waiting = world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    assert!(waiting.says("Ready", "False", "AuthorizationRequired"), "{}", told(&waiting));
    assert_eq!(waiting.kstatus(), Kstatus::InProgress);
    let waiting = world.reconciled("acme").await;
    // Metadata, attempt, expiry, Secret; and the answer to the question.
    assert_writes(&world, since, "acme", 5).await;
    let url = link(&world).await.expect("a link");
    let object = serde_json::to_string(&waiting).expect("JSON");
    assert!(!object.contains("state=") && !object.contains(&url), "{object}");

    let since = world.sandbox.mark();
    world.simulator.act_arcus(&Act::Approve.on(Connector::Shopify)).expect("a deed");
    let ready = world.until("acme", "Ready", "True", "Succeeded").await;
    assert!(ready.says("Authorized", "True", "Succeeded"), "{}", told(&ready));
    assert_eq!(status_of(&ready).external_id.as_deref(), Some("shopify"));
    assert_eq!(status_of(&ready).authorization, None);
    world.reconciled("acme").await;
    // It works; and the answer to the question.
    assert_writes(&world, since, "acme", 2).await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert!(world.at_arcus(Connector::Shopify).deleted);
}

#[tokio::test]
async fn a_link_that_nobody_used_is_followed_by_a_new_one_at_the_same_cost() {
    let world = World::with_arcus("arcus-expiry").await;
    world.simulator.configure_arcus(|s| s.link_lifetime = Duration::from_secs(9));
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    world.provider_until("a link", |s| s.arcus_links().len() == 1).await;
    world.reconciled("acme").await;
    let (since, first) = (world.sandbox.mark(), link(&world).await);
    world.simulator.configure_arcus(|s| s.link_lifetime = Duration::from_mins(10));
    world.provider_until("another link", |s| s.arcus_links().len() == 2).await;
    let again = |c: &Connection| status_of(c).authorization.is_some_and(|a| a.attempt == 2);
    world.sandbox.wait_for::<Connection>("acme", HANG, again).await;
    world.reconciled("acme").await;
    assert_writes(&world, since, "acme", 5).await;
    assert_ne!(link(&world).await, first);
    assert_eq!(world.asked(Operation::Create), 2);
    world.simulator.act_arcus(&Act::Approve.on(Connector::Shopify)).expect("a deed");
    world.until("acme", "Ready", "True", "Succeeded").await;
    assert_eq!(world.at_arcus(Connector::Shopify).tally.creates, 1);
}

/// Whoever names a record is not asked for another one.
#[tokio::test]
async fn a_link_that_nobody_used_is_not_followed_by_another_where_a_record_is_named() {
    let world = World::with_arcus("arcus-named").await;
    world.simulator.configure_arcus(|s| s.link_lifetime = Duration::from_secs(9));
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    let named = format!("{SECRET}  adoptionPolicy: Match\n  deletionPolicy: Retain\n  externalRef: {{id: shopify}}\n");
    world.sandbox.apply(&connector("acme", "shopify", SHOP, &named)).await;
    world.until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_eq!(world.asked(Operation::Create), 1);
}

#[tokio::test]
async fn a_deletion_waits_for_a_live_link_and_deletes_what_came_of_it() {
    let world = World::with_arcus("arcus-leave").await;
    world.simulator.configure_arcus(|s| s.link_lifetime = Duration::from_secs(12));
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    world.reconciled("acme").await;
    world.sandbox.delete::<Connection>("acme").await;
    let leaving = |c: &Connection| c.condition("Ready").is_some_and(|r| r.reason == "Deleting");
    let held = world.sandbox.wait_for::<Connection>("acme", HANG, leaving).await;
    assert!(held.metadata.deletion_timestamp.is_some() && !held.finalizers().is_empty());
    // Whoever reads the condition that asked for the hand-over is told not to.
    assert!(held.says("Authorized", "False", "Deleting"), "{}", told(&held));
    for kind in ["Ready", "Authorized", "Reconciling"] {
        let text = message(&held, kind);
        assert!(text.contains("status.authorization.expiresAt") && text.contains("Nobody is to follow"), "{text}");
        assert!(!text.contains("hand over"), "{text}");
    }
    world.simulator.act_arcus(&Act::Approve.on(Connector::Shopify)).expect("a deed");
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert!(world.at_arcus(Connector::Shopify).deleted, "what the merchant authorized is gone with its object");
}

#[tokio::test]
async fn a_deletion_whose_link_nobody_used_leaves_nothing() {
    let world = World::with_arcus("arcus-unused").await;
    world.simulator.configure_arcus(|s| s.link_lifetime = Duration::from_secs(9));
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    world.reconciled("acme").await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert!(world.simulator.connector(Connector::Shopify).is_none());
    assert_eq!(world.asked(Operation::Delete), 0);
}

#[tokio::test]
async fn a_secret_with_the_link_that_is_deleted_brings_a_new_link() {
    let world = World::with_arcus("arcus-lost").await;
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    world.reconciled("acme").await;
    world.sandbox.delete::<k8s_openapi::api::core::v1::Secret>("acme-link").await;
    world.provider_until("another link", |s| s.arcus_links().len() == 2).await;
    let again = |c: &Connection| status_of(c).authorization.is_some_and(|a| a.attempt == 2);
    world.sandbox.wait_for::<Connection>("acme", HANG, again).await;
    world.reconciled("acme").await;
    assert!(link(&world).await.is_some());
}

/// A merchant consents when they like. Where the status was lost, nobody knows whether that was by our link: not even a
/// deletion may take for granted that the connector is somebody else's.
#[tokio::test]
async fn a_late_consent_whose_link_is_forgotten_is_left_to_a_person() {
    let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse().expect("a time"));
    let mut world = World::under("arcus-forgotten", clock.clock(), World::setup()).await;
    world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
    world.start().await;
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    world.provider_until("a link", |s| s.arcus_links().len() == 1).await;
    world.reconciled("acme").await;
    world.crash().await;
    // By the provider's own clock, after any call of the attempt can have ended, and before its link has.
    clock.advance(Duration::from_mins(1));
    world.somebody(Connector::Shopify, Act::Approve);
    world.wipe_status("acme").await;
    world.start().await;
    let halted = world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    assert_stalled(&halted, "CreateOutcomeUnknown", &["shopify", "tradewind resolve"]);
    world.sandbox.delete::<Connection>("acme").await;
    let blocked = world.until("acme", "Ready", "False", "DeletionBlocked").await;
    assert!(message(&blocked, "Ready").contains("shopify"), "{}", told(&blocked));
    assert_eq!((world.asked(Operation::Create), world.asked(Operation::Delete)), (1, 0));
    let adopt = answer(&blocked, &Resolution::Adopt(ExternalId::new("shopify")));
    world.annotate("acme", keys::RESOLVE, Some(&adopt)).await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.arcus_ends_with(&[], 1, 1);
}
