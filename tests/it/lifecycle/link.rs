//! Connections of Rutter that a merchant connects in the browser.

use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::Operation;

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::lifecycle::expect::assert_stalled;
use crate::world::{World, id_of, status_of, told};

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
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let page = client.get(url).send().await.expect("a page");
        assert!(page.text().await.expect("text").contains("id=\"connect\""));
        let form = [("platform", platform), ("store", store), ("answer", "connect")];
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
