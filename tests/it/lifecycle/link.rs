//! Connections of Rutter that a merchant connects in the browser.

use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use rstest::rstest;
use serde_json::json;
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::decide::Resolution;
use tradewind::domain::ids::ExternalId;
use tradewind::engine;
use tradewind::serve::Readiness;
use tradewind::telemetry::Metrics;
use tradewind_simulator::rutter::{Deed, DisabledReason, Trouble};
use tradewind_simulator::{Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::lifecycle::arcus::connector;
use crate::lifecycle::expect::{assert_healed, assert_stalled};
use crate::world::{ARCUS_KEY, World, connection, id_of, logs, message, status_of, store, told};

/// The manifest of a connection that a merchant connects.
fn linked(name: &str, platform: Option<&str>) -> String {
    let platform = platform.map(|p| format!("  platform: {p}\n")).unwrap_or_default();
    format!(
        "apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {{name: {name}}}
spec:
  provider: Rutter
  accountRef: {{name: rutter}}
{platform}  rutter: {{authorization: Link}}
  connectionSecretRef: {{name: {name}-connection}}
  deletionPolicy: Delete
"
    )
}

impl World {
    /// A merchant opens the page behind the link, chooses, and presses the button; the status of the answer.
    async fn connect(&self, url: &str, platform: &str, store: &str) -> u16 {
        assert!(self.get(url).await.contains("id=\"connect\""));
        self.press(url, "connect", platform, store).await
    }

    /// What the form of the page sends, to the page's own address; the status of the answer.
    async fn press(&self, url: &str, button: &str, platform: &str, store: &str) -> u16 {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let form = [("platform", platform), ("store", store), ("answer", button)];
        let body = form.map(|(k, v)| format!("{k}={v}")).join("&");
        let sent = client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body).send().await;
        sent.expect("an answer").status().as_u16()
    }
}

#[tokio::test]
async fn a_merchant_connects_a_store_with_the_link_and_it_works() {
    let world = World::new("link").await;
    world.sandbox.apply(&linked("acme", None)).await;
    let waiting = world.until("acme", "Ready", "False", "AuthorizationRequired").await;
    assert!(waiting.says("Authorized", "False", "AuthorizationRequired"), "{}", told(&waiting));
    assert!(waiting.condition("Stalled").is_none() && waiting.condition("Reconciling").is_none());
    assert_eq!((waiting.kstatus(), status_of(&waiting).platform), (Kstatus::InProgress, None));
    let id = id_of(&waiting);
    let url = world.secret_value("acme-connection", "link_url").await.expect("a link");
    assert!(!serde_json::to_string(&waiting).expect("JSON").contains(&url));
    assert_eq!(world.connect(&url, "BIG_COMMERCE", "store-linked.mybigcommerce.com").await, 200);
    let ready = world.settled("acme").await;
    assert!(ready.says("Authorized", "True", "Succeeded"), "{}", told(&ready));
    assert_eq!((id_of(&ready), status_of(&ready).platform.as_deref()), (id.clone(), Some("BIG_COMMERCE")));
    world.ends_with(&[&id], 1, 0);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

#[tokio::test]
async fn a_merchant_who_connects_another_platform_is_told_of() {
    let world = World::new("link-other").await;
    world.sandbox.apply(&linked("acme", Some("SHOPIFY"))).await;
    world.until("acme", "Ready", "False", "AuthorizationRequired").await;
    let url = world.secret_value("acme-connection", "link_url").await.expect("a link");
    assert_eq!(world.connect(&url, "BIG_COMMERCE", "store-other.mybigcommerce.com").await, 200);
    let halted = world.until("acme", "Ready", "False", "UnsupportedPlatform").await;
    assert_stalled(&halted, "UnsupportedPlatform", &["BIG_COMMERCE", "spec.platform says SHOPIFY"]);
    world.rests::<Connection>("acme").await;
    assert_eq!(world.asked(Operation::Delete), 0, "nothing is lost");
}

/// A connection `acme` that waits for its merchant: its id, and the link.
pub(super) async fn awaits_merchant(world: &World) -> (String, String) {
    world.sandbox.apply(&linked("acme", None)).await;
    let waiting = world.until("acme", "Ready", "False", "AuthorizationRequired").await;
    let url = world.secret_value("acme-connection", "link_url").await.expect("a link");
    (id_of(&waiting), url)
}

/// The same once its merchant has connected a store.
async fn connected(world: &World) -> (String, String) {
    let (id, url) = awaits_merchant(world).await;
    assert_eq!(world.connect(&url, "BIG_COMMERCE", "store-linked.mybigcommerce.com").await, 200);
    assert_healed(&world.settled("acme").await);
    (id, url)
}

/// At any time: what the merchant gave is taken back, and given again at the link, without anybody touching the object.
#[rstest]
#[case::revoked(Trouble::NeedsUpdate)]
#[case::disabled_for_it(Trouble::Disabled { reason: DisabledReason::NeedsReauth })]
#[tokio::test]
async fn what_a_merchant_takes_back_stalls_and_heals_at_the_link(#[case] trouble: Trouble) {
    let world = World::new("link-again").await;
    let (id, _) = connected(&world).await;
    for _ in 0..2 {
        world.deed(&id, |connection| Deed::Upset { connection, trouble });
        // The link that counts now comes back into the Secret, whatever became of the one before.
        world.sandbox.delete::<Secret>("acme-connection").await;
        world.request("acme").await;
        let halted = world.until("acme", "Ready", "False", "ReauthorizationRequired").await;
        assert_stalled(&halted, "ReauthorizationRequired", &["link_url", "connection Secret"]);
        assert!(halted.says("Authorized", "False", "ReauthorizationRequired"), "{}", told(&halted));
        assert_eq!(status_of(&halted).external_id.as_deref(), Some(id.as_str()));
        world.rests::<Connection>("acme").await;
        let url = world.secret_value("acme-connection", "link_url").await.expect("the link");
        assert!(url.ends_with(&id) && !message(&halted, "Ready").contains(&url));
        assert_eq!(world.connect(&url, "BIG_COMMERCE", "store-linked.mybigcommerce.com").await, 200);
        let healed = world.until("acme", "Ready", "True", "Succeeded").await;
        assert_healed(&healed);
        assert_eq!(healed.metadata.generation, Some(1), "nobody edited it");
    }
    world.ends_with(&[&id], 1, 0);
}

/// Who comes to the page and goes, or comes too late, leaves all as it was.
#[tokio::test]
async fn a_merchant_who_gives_up_or_comes_too_late_changes_nothing() {
    let world = World::new("link-cancel").await;
    let (id, url) = awaits_merchant(&world).await;
    let store = "store-linked.mybigcommerce.com";
    assert_eq!(world.press(&url, "cancel", "", "").await, 200);
    assert_eq!(world.press(&url, "connect", "BIG_COMMERCE", "nonsense").await, 422);
    world.simulator.configure(|s| s.link_lifetime = Some(Duration::ZERO));
    assert_eq!(world.press(&url, "connect", "BIG_COMMERCE", store).await, 410);
    let waiting = world.rests::<Connection>("acme").await;
    assert!(waiting.says("Ready", "False", "AuthorizationRequired"), "{}", told(&waiting));
    assert_eq!(world.asked(Operation::Create), 1);
    world.simulator.configure(|s| s.link_lifetime = None);
    assert_eq!(world.connect(&url, "BIG_COMMERCE", store).await, 200);
    assert_healed(&world.settled("acme").await);
    world.ends_with(&[&id], 1, 0);
}

/// Nobody can tell by any key which record is of whom: a person says so.
#[rstest]
#[case::it_is_ours(true)]
#[case::it_is_not(false)]
#[tokio::test]
async fn of_an_unanswered_link_a_person_says_whose_it_is(#[case] ours: bool) {
    let world = World::new("link-lost").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&linked("acme", None)).await;
    let halted = world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let made = world.live();
    assert_eq!((made.len(), status_of(&halted).creation.map(|c| c.candidates)), (1, Some(made.clone())));
    assert_stalled(&halted, "CreateOutcomeUnknown", &[&made[0], "tradewind resolve --adopt ID"]);
    world.rests::<Connection>("acme").await;
    assert_eq!(world.secret_value("acme-connection", "link_url").await, None);
    assert_eq!(world.asked(Operation::Create), 1);

    let resolution = if ours { Resolution::Adopt(ExternalId::new(&made[0])) } else { Resolution::CreateAnew };
    world.resolve(&halted, &resolution).await;
    let waiting = world.until("acme", "Ready", "False", "AuthorizationRequired").await;
    let id = id_of(&waiting);
    assert_eq!(id == made[0], ours);
    world.reconciled("acme").await;
    let url = world.secret_value("acme-connection", "link_url").await.expect("a link");
    assert_eq!(world.connect(&url, "BIG_COMMERCE", "store-linked.mybigcommerce.com").await, 200);
    assert_healed(&world.settled("acme").await);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    // What was said to be nobody's of ours is left alone.
    if ours { world.ends_with(&[], 1, 1) } else { world.ends_with(&[&made[0]], 2, 1) }
}

/// Of what a merchant does there may be several at once: each is a candidate.
#[tokio::test]
async fn a_deletion_of_an_unanswered_link_asks_too() {
    let world = World::new("link-lost-delete").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&linked("acme", None)).await;
    world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    let made = world.live();
    world.sandbox.delete::<Connection>("acme").await;
    let held = world.until("acme", "Ready", "False", "DeletionBlocked").await;
    assert!(message(&held, "Ready").contains(&made[0]), "{}", told(&held));
    assert_eq!(held.kstatus(), Kstatus::Terminating);
    let adopt = Resolution::Adopt(ExternalId::new(&made[0]));
    world.resolve(&held, &adopt).await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

#[rstest]
#[case::before_the_merchant_came("Delete", false)]
#[case::after_the_merchant_came("Delete", true)]
#[case::kept_before("Retain", false)]
#[case::kept_after("Retain", true)]
#[tokio::test]
async fn a_deletion_takes_the_record_with_it_whether_or_not_the_merchant_came(
    #[case] policy: &str,
    #[case] came: bool,
) {
    let world = World::new("link-delete").await;
    let (id, url) = if came { connected(&world).await } else { awaits_merchant(&world).await };
    world.change("acme", &json!({"spec": {"deletionPolicy": policy}})).await;
    world.reconciled("acme").await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    if policy == "Retain" {
        world.ends_with(&[&id], 1, 0);
    } else {
        world.ends_with(&[], 1, 1);
        // A merchant who comes now finds nothing.
        assert_eq!(world.press(&url, "connect", "BIG_COMMERCE", "store-linked.mybigcommerce.com").await, 404);
    }
}

#[rstest]
#[case::before_the_merchant_came(false)]
#[case::after_the_merchant_came(true)]
#[tokio::test]
async fn a_secret_with_the_link_that_is_deleted_is_written_again(#[case] came: bool) {
    let world = World::new("link-secret").await;
    let (id, url) = if came { connected(&world).await } else { awaits_merchant(&world).await };
    world.sandbox.delete::<Secret>("acme-connection").await;
    world.request("acme").await;
    world.sandbox.wait_for::<Secret>("acme-connection", HANG, |_| true).await;
    assert_eq!(world.secret_value("acme-connection", "link_url").await, Some(url));
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_ref(), Some(&id));
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

/// A link that is out is of no store that anybody knows. Once its merchant has come, whoever declares that store finds it.
#[tokio::test]
async fn a_store_that_came_by_a_link_is_found_by_whoever_declares_it_later() {
    let world = World::new("link-found").await;
    let (id, url) = awaits_merchant(&world).await;
    world.change("acme", &json!({"spec": {"deletionPolicy": "Retain"}})).await;
    world.reconciled("acme").await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    // It looks for its own store, and meets one that is told of nothing yet.
    world.sandbox.apply(&connection("first", &store("first"), "")).await;
    let first = id_of(&world.settled("first").await);
    assert_eq!(world.connect(&url, "BIG_COMMERCE", &store("linked")).await, 200);
    let adopts = "  adoptionPolicy: Match\n  deletionPolicy: Retain\n";
    world.sandbox.apply(&connection("second", &store("linked"), adopts)).await;
    assert_eq!(id_of(&world.until("second", "Ready", "True", "Succeeded").await), id);
    world.ends_with(&[&id, &first], 2, 0);
}

/// Somebody deletes the record while its merchant is awaited: nothing is made anew, since nobody could authorize it.
#[tokio::test]
async fn a_record_that_is_gone_before_its_merchant_came_is_asked_about() {
    let world = World::new("link-gone").await;
    let (id, _) = awaits_merchant(&world).await;
    world.deed(&id, |connection| Deed::Delete { connection });
    world.request("acme").await;
    let halted = world.until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_stalled(&halted, "ExternalNotFound", &[&id, "Delete and re-create this object"]);
    world.rests::<Connection>("acme").await;
    world.ends_with(&[], 1, 1);
}

/// The Secret comes first and the id second: an operator that ends in between asks whose the record is, and takes no other.
#[tokio::test]
async fn a_crash_once_the_link_is_written_loses_neither_record_nor_link() {
    let mut world = World::new("link-crash").await;
    world.sandbox.apply(&linked("acme", None)).await;
    world.sandbox.wait_for::<Secret>("acme-connection", HANG, |_| true).await;
    world.crash().await;
    world.start().await;
    let over = |c: &Connection| {
        c.says("Ready", "False", "AuthorizationRequired") || c.says("Ready", "False", "CreateOutcomeUnknown")
    };
    let seen = world.sandbox.wait_for::<Connection>("acme", HANG, over).await;
    let made = world.live();
    assert_eq!(made.len(), 1);
    if seen.says("Ready", "False", "CreateOutcomeUnknown") {
        let adopt = Resolution::Adopt(ExternalId::new(&made[0]));
        world.resolve(&seen, &adopt).await;
    }
    assert_eq!(id_of(&world.until("acme", "Ready", "False", "AuthorizationRequired").await), made[0]);
    let url = world.secret_value("acme-connection", "link_url").await.expect("a link");
    assert_eq!(world.connect(&url, "BIG_COMMERCE", "store-linked.mybigcommerce.com").await, 200);
    assert_healed(&world.settled("acme").await);
    world.ends_with(&[&made[0]], 1, 0);
}

/// A link is the permission to use it: it stands in its Secret, and in nothing that is said.
#[tokio::test]
async fn a_link_is_in_no_status_event_log_or_metric() {
    let world = World::quiet("link-canary").await;
    world.furnish().await;
    world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
    let (metrics, never) = (Metrics::new(), std::future::pending::<()>().boxed().shared());
    let operator = tokio::spawn(engine::run(
        world.sandbox.reach(None).await,
        world.settings.clone(),
        metrics.clone(),
        Readiness::default().gate("watches"),
        never,
    ));

    // Every way in which a link comes to be, is lost and comes back.
    let (id, url) = awaits_merchant(&world).await;
    world.simulator.configure_arcus(|s| s.link_lifetime = Duration::from_secs(9));
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::CutAnswer));
    let more = "  connectionSecretRef: {name: shop-link}\n";
    world.sandbox.apply(&connector("shop", "shopify", "    shop: acme.myshopify.com\n", more)).await;
    world.provider_until("three links", |s| s.arcus_links().len() == 3).await;
    world.reconciled("shop").await;
    world.deed(&id, |connection| Deed::Upset { connection, trouble: Trouble::NeedsUpdate });
    world.request("acme").await;
    world.until("acme", "Ready", "False", "ReauthorizationRequired").await;

    let list = ListParams::default();
    let objects = world.sandbox.api::<Connection>().list(&list).await.expect("objects");
    let events = world.sandbox.api::<Event>().list(&list).await.expect("events");
    let log = logs().join(format!("operators-{}.log", std::process::id()));
    let said = [
        ("objects", serde_json::to_string(&objects).expect("JSON")),
        ("events", serde_json::to_string(&events).expect("JSON")),
        ("the log", std::fs::read_to_string(log).expect("a log")),
        ("metrics", metrics.text()),
    ];
    operator.abort();
    let states = world.simulator.arcus_links().into_iter().map(|link| link.path);
    let states: Vec<String> = states.filter_map(|path| path.split_once("state=").map(|(_, s)| s.to_owned())).collect();
    assert_eq!(states.len(), 3);
    let page = url.rsplit_once(&id).expect("the id is in the link").0.to_owned();
    for secret in states.into_iter().chain([url, page]) {
        for (place, text) in &said {
            assert!(text.len() > 100 && !text.contains(&secret), "a link is in {place}");
        }
    }
}
