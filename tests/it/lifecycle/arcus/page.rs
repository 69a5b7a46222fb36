//! The page on which a merchant consents, as a browser shows and submits it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use rstest::rstest;
use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::arcus::{Act, Connector, LinkStatus};
use tradewind_simulator::{Effect, Fault, Operation, Simulator};

use super::{SECRET, SHOP, connector};
use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::lifecycle::expect::assert_healed;
use crate::world::{TIMING, World, message, status_of, told};

impl World {
    /// A connector of a shop that waits for its merchant, whose links work this long; the link.
    pub(in crate::lifecycle) async fn awaits_merchant(name: &str, lifetime: Duration) -> (Self, String) {
        let world = Self::with_arcus(name).await;
        world.simulator.configure_arcus(|s| s.link_lifetime = lifetime);
        world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
        world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
        let url = world.link_of(1).await;
        (world, url)
    }

    /// The link of this attempt, once it stands in the Secret.
    pub(in crate::lifecycle) async fn link_of(&self, attempt: i64) -> String {
        let of = |c: &Connection| status_of(c).authorization.is_some_and(|a| a.attempt == attempt);
        self.sandbox.wait_for::<Connection>("acme", HANG, of).await;
        let search =
            async { while self.secret_value("acme-link", "link_attempt").await != Some(attempt.to_string()) {} };
        tokio::time::timeout(HANG, search).await.expect("the link of the attempt");
        self.secret_value("acme-link", "link_url").await.expect("a link")
    }

    /// The page behind a link: its status, and its HTML.
    async fn opens(&self, url: &str) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = client.get(url).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    /// Somebody presses a button of the page: what its form sends, to the page's own address.
    async fn presses(&self, url: &str, button: &str) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let post = client.post(url).header("content-type", "application/x-www-form-urlencoded");
        let answer = post.body(format!("answer={button}")).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }
}

const LONG: Duration = Duration::from_mins(10);
/// Longer than the grace, so that the link is there to be seen, and over soon.
const SHORT: Duration = Duration::from_secs(9);

#[tokio::test]
async fn a_merchant_who_approves_connects_the_shop() {
    let (world, url) = World::awaits_merchant("page-approve", LONG).await;
    let (status, page) = world.opens(&url).await;
    assert_eq!(status, 200);
    for part in ["id=\"approve\"", "id=\"cancel\"", "acme.myshopify.com"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    // Looking is not consenting.
    assert!(world.reconciled("acme").await.says("Authorized", "False", "AuthorizationRequired"));
    assert!(world.simulator.connectors().is_empty());
    let (status, page) = world.presses(&url, "approve").await;
    assert!(status == 200 && page.contains("id=\"done\""), "{page}");
    let ready = world.until("acme", "Ready", "True", "Succeeded").await;
    assert_healed(&ready);
    assert_eq!(status_of(&ready).authorization, None);
    // A link works once.
    assert_eq!(world.presses(&url, "approve").await.0, 410);
    assert_eq!(world.asked(Operation::Create), 1);
    world.arcus_ends_with(&[Connector::Shopify], 1, 0);
}

/// Refused consent, and a link that was ended by somebody else: the merchant may think again, with the next link.
#[rstest]
#[case::presses_cancel(LinkStatus::Refused)]
#[case::comes_too_late(LinkStatus::Expired)]
#[tokio::test]
async fn a_merchant_who_does_not_consent_gets_another_link(#[case] end: LinkStatus) {
    let (world, url) = World::awaits_merchant("page-cancel", SHORT).await;
    assert_eq!(world.opens(&url).await.0, 200);
    if end == LinkStatus::Refused {
        let (status, page) = world.presses(&url, "cancel").await;
        assert!(status == 200 && page.contains("Nothing was connected"), "{page}");
    } else {
        // While the page is open.
        world.somebody(Connector::Shopify, Act::ExpireLinks);
    }
    let (status, page) = world.presses(&url, "approve").await;
    assert!(status == 410 && page.contains("id=\"expired\""), "{page}");
    let waiting = world.reconciled("acme").await;
    assert!(waiting.says("Authorized", "False", "AuthorizationRequired"), "{}", told(&waiting));
    assert!(waiting.condition("Stalled").is_none(), "{}", told(&waiting));
    world.simulator.configure_arcus(|s| s.link_lifetime = LONG);
    let again = world.link_of(2).await;
    assert_ne!(again, url);
    let ends: Vec<_> = world.simulator.arcus_links().iter().map(|link| link.status).collect();
    assert_eq!(ends, [end, LinkStatus::Live]);
    assert_eq!(world.presses(&again, "approve").await.0, 200);
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    assert_eq!(world.asked(Operation::Create), 2);
    world.arcus_ends_with(&[Connector::Shopify], 1, 0);
}

/// The link outlives the object: what comes of it in its time goes too, and what comes too late does not come to be.
#[rstest]
#[case::in_time(true)]
#[case::too_late(false)]
#[tokio::test]
async fn a_merchant_who_consents_after_the_object_was_deleted_leaves_nothing(#[case] in_time: bool) {
    let (world, url) = World::awaits_merchant("page-leave", SHORT).await;
    world.sandbox.delete::<Connection>("acme").await;
    let leaving = |c: &Connection| c.condition("Ready").is_some_and(|r| r.reason == "Deleting");
    let held = world.sandbox.wait_for::<Connection>("acme", HANG, leaving).await;
    assert!(held.says("Reconciling", "True", "Deleting"), "{}", told(&held));
    if in_time {
        assert_eq!(world.presses(&url, "approve").await.0, 200);
    }
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert_eq!(world.presses(&url, "approve").await.0, 410);
    let made = usize::from(in_time);
    world.arcus_ends_with(&[], made, made);
}

/// What shall stay is not waited for.
#[tokio::test]
async fn an_object_whose_connector_shall_stay_goes_at_once_and_the_merchant_may_consent() {
    let world = World::with_arcus("page-retain").await;
    world.sandbox.apply(&connector("acme", "shopify", SHOP, &format!("{SECRET}  deletionPolicy: Retain\n"))).await;
    world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    let url = world.link_of(1).await;
    world.leaves("acme").await;
    assert_eq!(world.presses(&url, "approve").await.0, 200);
    world.arcus_ends_with(&[Connector::Shopify], 1, 0);
    assert_eq!(world.asked(Operation::Delete), 0);
}

/// The merchant consents while nobody watches, and the link has long expired when somebody does again.
#[tokio::test]
async fn a_consent_that_nobody_saw_in_its_time_is_the_objects() {
    let (mut world, url) = World::awaits_merchant("page-unseen", SHORT).await;
    world.crash().await;
    assert_eq!(world.presses(&url, "approve").await.0, 200);
    // Its synchronizations move the date of its last change past the link's expiry, and past all slack.
    let late = Duration::from_secs(16);
    let moved = |s: &Simulator| {
        let record = s.connector(Connector::Shopify).expect("it was made");
        record.last_sync_at.is_some_and(|at| at.duration_since(record.created_at) > late.try_into().expect("a span"))
    };
    world.provider_until("a synchronization long after the link", moved).await;
    world.start().await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    assert_eq!(world.asked(Operation::Create), 1);
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 1, 1);
}

/// The merchant has kept the first link, of which the Secret knows nothing any more.
#[tokio::test]
async fn a_link_that_was_handed_over_before_it_was_lost_still_works() {
    let (world, first) = World::awaits_merchant("page-first", LONG).await;
    world.sandbox.delete::<Secret>("acme-link").await;
    let second = world.link_of(2).await;
    assert_ne!(first, second);
    assert_eq!(world.presses(&first, "approve").await.0, 200);
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    assert_eq!(world.presses(&second, "approve").await.0, 410, "void with the other one");
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 1, 1);
}

/// The first link is lost, and the call for the second one is refused: what comes of the first is the object's all the same. Whoever
/// knows of no account yet, or of none that works, knows of the link.
#[rstest]
#[case::refused_as_it_is(422, false)]
#[case::with_the_login(401, true)]
#[tokio::test]
async fn a_deletion_waits_for_the_link_of_an_attempt_that_none_could_replace(
    #[case] status: u16,
    #[case] login_is_gone: bool,
) {
    let (mut world, first) = World::awaits_merchant("page-former", Duration::from_mins(1)).await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status, retry_after: None }).forever());
    world.sandbox.delete::<Secret>("acme-link").await;
    world.until_asked(Operation::Create, 2).await;
    let refused = |c: &Connection| status_of(c).creation.is_some_and(|creation| creation.refused.is_some());
    world.sandbox.wait_for::<Connection>("acme", HANG, refused).await;
    world.crash().await;
    if login_is_gone {
        world.simulator.push_fault(Fault::on(Operation::List, Effect::Refuse { status, retry_after: None }).forever());
    }
    world.sandbox.delete::<Connection>("acme").await;
    world.start().await;
    let leaving = |c: &Connection| message(c, "Ready").contains("Nobody is to follow");
    world.sandbox.wait_for::<Connection>("acme", HANG, leaving).await;
    assert_eq!(world.presses(&first, "approve").await.0, 200);
    world.simulator.clear_faults();
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.arcus_ends_with(&[], 1, 1);
}

/// Another Secret for the link is another link: what stands in the first one is left there.
#[tokio::test]
async fn another_place_for_the_link_gets_a_link_of_its_own() {
    let (world, first) = World::awaits_merchant("page-place", LONG).await;
    world.change("acme", &json!({"spec": {"connectionSecretRef": {"name": "other-link"}}})).await;
    world.sandbox.wait_for::<Secret>("other-link", HANG, |_| true).await;
    let second = world.secret_value("other-link", "link_url").await.expect("a link");
    assert_ne!(first, second);
    assert_eq!(world.presses(&second, "approve").await.0, 200);
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    world.arcus_ends_with(&[Connector::Shopify], 1, 0);
}

/// Suspended, with a link in somebody's hands: nothing new is asked for, and what came of it is found later.
#[rstest]
#[case::in_the_links_time(LONG)]
#[case::after_it(SHORT)]
#[tokio::test]
async fn a_consent_while_the_object_is_suspended_is_found_when_it_is_resumed(#[case] lifetime: Duration) {
    let (world, url) = World::awaits_merchant("page-suspend", lifetime).await;
    world.change("acme", &json!({"spec": {"suspend": true}})).await;
    world.until("acme", "Synced", "Unknown", "Suspended").await;
    assert_eq!(world.presses(&url, "approve").await.0, 200);
    let over = |s: &Simulator| s.connectors()[0].last_sync_at > s.arcus_links().first().map(|link| link.expires_at);
    if lifetime == SHORT {
        world.provider_until("a synchronization after the link", over).await;
    }
    assert!(world.reconciled("acme").await.says("Synced", "Unknown", "Suspended"));
    world.change("acme", &json!({"spec": {"suspend": false}})).await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    assert_eq!(world.asked(Operation::Create), 1);
    world.arcus_ends_with(&[Connector::Shopify], 1, 0);
}

/// `kubectl replace` wipes finalizer and annotation while the merchant has the link.
#[tokio::test]
async fn a_replaced_object_still_waits_for_the_same_link() {
    let (world, url) = World::awaits_merchant("page-replace", LONG).await;
    world.sandbox.replace(&connector("acme", "shopify", SHOP, SECRET)).await;
    let bound = |c: &Connection| !c.finalizers().is_empty() && c.annotations().contains_key(keys::CREATE_INTENT);
    world.sandbox.wait_for::<Connection>("acme", HANG, bound).await;
    assert_eq!(world.link_of(1).await, url);
    assert_eq!(world.presses(&url, "approve").await.0, 200);
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 1, 1);
}

/// A link that has ended when it arrives: each attempt ends with it, and the next one comes no sooner than its grace.
#[tokio::test]
async fn links_that_have_ended_when_they_arrive_are_no_loop() {
    let world = World::with_arcus("page-ended").await;
    world.simulator.configure_arcus(|s| s.link_lifetime = Duration::ZERO);
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    world.provider_until("three links", |s| s.arcus_links().len() == 3).await;
    let issued: Vec<_> = world.simulator.arcus_links().iter().map(|link| link.issued_at).collect();
    // The grace begins when an attempt is stored; its call may reach the provider as late as its permit allows.
    let pause = TIMING.grace().saturating_sub(TIMING.permit).try_into().expect("a span");
    for pair in issued.windows(2) {
        assert!(pair[1].duration_since(pair[0]) >= pause, "{issued:?}");
    }
    world.simulator.configure_arcus(|s| s.link_lifetime = LONG);
    world.provider_until("one that works", |s| s.arcus_links().iter().any(|l| l.status == LinkStatus::Live)).await;
    let attempt = i64::try_from(world.asked(Operation::Create)).expect("a few");
    let url = world.link_of(attempt).await;
    assert_eq!(world.presses(&url, "approve").await.0, 200);
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    world.arcus_ends_with(&[Connector::Shopify], 1, 0);
}
