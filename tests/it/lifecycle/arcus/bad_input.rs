//! What people get wrong with a connector: a clear condition each, nothing lost, and nobody else's touched.

use k8s_openapi::api::core::v1::Secret;
use rstest::rstest;
use serde_json::{Map, json};
use tradewind::api::v1alpha1::{Connection, ProviderAccount};
use tradewind_simulator::Operation;
use tradewind_simulator::arcus::{Account, Act, Connector, Deed};
use uuid::Uuid;

use super::{SECRET, SHOP, connector};
use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::lifecycle::expect::{assert_healed, assert_stalled, changed};
use crate::world::{ARCUS_KEY, World, secret, status_of};

const LIVE_KEY: &str = "ark_live_ent_acme_test-canary-login-7f3a";
const OTHER_KEY: &str = "ark_test_ent_other_test-canary-login-7f3a";
const OTHER_ENTITY: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_00e2);

/// A world that knows these keys too: a live one of the same entity, and one of another entity.
async fn with_keys(name: &str, key: &str) -> World {
    let mut setup = World::setup();
    let account = |name: &str, key: &str| Account { name: name.to_owned(), key: key.to_owned(), ..Account::default() };
    setup.arcus_accounts.push(account("live", LIVE_KEY));
    setup.arcus_accounts.push(Account { entity_id: OTHER_ENTITY, ..account("other", OTHER_KEY) });
    let mut world = World::with(name, setup).await;
    world.sandbox.apply(&world.arcus_account("arcus", key)).await;
    world.start().await;
    world
}

#[rstest]
#[case::a_live_key_for_test_data(LIVE_KEY, "Sandbox", "Live", "live key")]
#[case::a_test_key_for_live_data(ARCUS_KEY, "Live", "Sandbox", "test key")]
#[tokio::test]
async fn a_key_of_the_other_environment_is_refused_before_any_write(
    #[case] key: &str,
    #[case] mode: &str,
    #[case] right: &str,
    #[case] says: &str,
) {
    let world = with_keys("arcus-environment", key).await;
    let manifest = |mode: &str| connector("acme", "shippo", "", "").replace("mode: Sandbox", &format!("mode: {mode}"));
    world.sandbox.apply(&manifest(mode)).await;
    let halted = world.until("acme", "Ready", "False", "EnvironmentMismatch").await;
    assert_stalled(&halted, "EnvironmentMismatch", &["spec.arcus.mode", says]);
    world.rests::<Connection>("acme").await;
    world.nothing_was_sent();
    world.sandbox.apply(&manifest(right)).await;
    assert_healed(&world.enters_credentials().await);
    // The other way round: the change is not sent, and the connector is as it was.
    world.sandbox.apply(&manifest(mode)).await;
    let halted = world.until("acme", "Ready", "False", "EnvironmentMismatch").await;
    assert_stalled(&halted, "EnvironmentMismatch", &["spec.arcus.mode", says]);
    assert_eq!(world.asked(Operation::Update), 0);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 1, 1);
}

#[rstest]
#[case::unknown_type("telegraph", "", "", "UnsupportedPlatform", &["Arcus has no connector of type telegraph", "stripe"])]
#[case::no_shop("shopify", "", SECRET, "InvalidSpec", &["spec.arcus.shop is missing", "acme.myshopify.com"])]
#[case::own_domain("shopify", "    shop: shop.example.com\n", SECRET, "InvalidSpec", &["spec.arcus.shop"])]
#[case::no_secret("shopify", SHOP, "", "InvalidSpec", &["spec.connectionSecretRef is missing"])]
#[case::shop_of_another_type("shippo", SHOP, "", "InvalidSpec", &["spec.arcus.shop is no field of shippo"])]
#[case::seller_of_another_type("shippo", "    sellerId: s\n", "", "InvalidSpec", &["spec.arcus.sellerId", "amazon, ebay"])]
#[case::account_of_another_type("shippo", "    bankAccountId: b\n", "", "InvalidSpec", &["spec.arcus.bankAccountId", "plaid"])]
#[case::key_deep_in_arrays("shippo", "    config: {a: [{b: [{Api-Key: test-canary}]}]}\n", "", "InvalidSpec", &["spec.arcus.config.a[0].b[0].Api-Key"])]
#[case::secret_at_the_top("shippo", "    config: {secret: test-canary}\n", "", "InvalidSpec", &["spec.arcus.config.secret"])]
#[case::token_as_an_object("shippo", "    config: {x: {accessToken: {v: test-canary}}}\n", "", "InvalidSpec", &["spec.arcus.config.x.accessToken"])]
#[tokio::test]
async fn what_cannot_be_is_said_and_not_sent(
    #[case] kind: &str,
    #[case] settings: &str,
    #[case] more: &str,
    #[case] reason: &str,
    #[case] says: &[&str],
) {
    let world = World::with_arcus("arcus-bad").await;
    let mut manifest = connector("acme", kind, settings, more);
    if more.contains("accountRef") {
        manifest = manifest.replacen("  accountRef: {name: arcus}\n", "", 1);
    }
    world.sandbox.apply(&manifest).await;
    let halted = world.until("acme", "Ready", "False", reason).await;
    assert_stalled(&halted, reason, says);
    world.rests::<Connection>("acme").await;
    world.nothing_was_sent();
    world.leaves("acme").await;
}

/// The Secret where the link would go is somebody's: no link is asked for before there is a place for it.
#[tokio::test]
async fn a_secret_that_is_somebody_elses_is_never_written() {
    let world = World::with_arcus("arcus-taken").await;
    world.sandbox.apply(&secret("acme-link", &[("link_url", "test-theirs")])).await;
    let before = world.sandbox.get::<Secret>("acme-link").await;
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    let halted = world.until("acme", "Ready", "False", "ConnectionSecretConflict").await;
    assert_stalled(&halted, "ConnectionSecretConflict", &["Secret acme-link", "Name another one"]);
    world.rests::<Connection>("acme").await;
    world.nothing_was_sent();
    assert_eq!(world.sandbox.get::<Secret>("acme-link").await, before);
    world.sandbox.delete::<Secret>("acme-link").await;
    world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    world.sandbox.wait_for::<Secret>("acme-link", HANG, |_| true).await;
    assert_eq!(world.asked(Operation::Create), 1);
}

/// Somebody puts a Secret of their own in the place of the one with the link.
#[tokio::test]
async fn a_secret_that_somebody_put_in_the_place_of_the_link_stays_theirs() {
    let world = World::with_arcus("arcus-replaced").await;
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    world.sandbox.wait_for::<Secret>("acme-link", HANG, |_| true).await;
    world.reconciled("acme").await;
    world.sandbox.delete::<Secret>("acme-link").await;
    world.sandbox.apply(&secret("acme-link", &[("link_url", "test-theirs")])).await;
    let before = world.sandbox.get::<Secret>("acme-link").await;
    let halted = world.until("acme", "Ready", "False", "ConnectionSecretConflict").await;
    assert_stalled(&halted, "ConnectionSecretConflict", &["Secret acme-link"]);
    assert!(halted.says("Authorized", "False", "ConnectionSecretConflict"), "{:#?}", halted.status);
    world.rests::<Connection>("acme").await;
    assert_eq!(world.sandbox.get::<Secret>("acme-link").await, before);
    // The first link may still be used, and what comes of it is the object's.
    world.somebody(Connector::Shopify, Act::Approve);
    world.request("acme").await;
    let came = |c: &Connection| status_of(c).external_id.as_deref() == Some("shopify");
    world.sandbox.wait_for::<Connection>("acme", HANG, came).await;
    assert_eq!(world.asked(Operation::Create), 1);
}

/// The account comes to log in to another entity, which has a connector of the same type, or none at all.
#[rstest]
#[case::that_has_one(true)]
#[case::that_has_none(false)]
#[tokio::test]
async fn a_key_of_another_entity_touches_nothing_of_either(#[case] theirs: bool) {
    let world = with_keys("arcus-entity", ARCUS_KEY).await;
    for (name, kind) in [("acme", "shippo"), ("goes", "ups")] {
        world.sandbox.apply(&connector(name, kind, "", "")).await;
    }
    world.enters_credentials().await;
    world.until("goes", "Ready", "False", "AuthorizationRequired").await;
    let since = world.simulator.stats().requests;
    if theirs {
        for connector in [Connector::Shippo, Connector::Ups] {
            let deed = Deed { entity_id: Some(OTHER_ENTITY), connector, act: Act::Make { fields: Map::new() } };
            world.simulator.act_arcus(&deed).expect("a deed");
        }
    }
    world.sandbox.apply(&secret("arcus-api", &[("api_key", OTHER_KEY)])).await;
    let account = world.looked_at::<ProviderAccount>("arcus").await;
    assert_healed(&account);
    world.request("acme").await;
    let halted = world.until("acme", "Ready", "False", "AccountMismatch").await;
    assert_stalled(&halted, "AccountMismatch", &["another account", "old login back"]);
    assert_eq!(status_of(&halted).external_id.as_deref(), Some("shippo"));
    world.rests::<Connection>("acme").await;
    world.change("acme", &json!({"spec": {"arcus": {"displayName": "Parcels"}}})).await;
    world.sandbox.delete::<Connection>("goes").await;
    let held = world.until("goes", "Ready", "False", "AccountMismatch").await;
    assert!(held.says("Stalled", "True", "AccountMismatch") && held.kstatus() == Kstatus::Terminating, "{held:#?}");
    world.reconciled("acme").await;
    let journal = world.simulator.journal();
    let wrote: Vec<_> = journal.iter().skip(since).filter(|entry| entry.method != "GET").collect();
    assert!(wrote.is_empty(), "{wrote:#?}");

    world.sandbox.apply(&secret("arcus-api", &[("api_key", ARCUS_KEY)])).await;
    world.looked_at::<ProviderAccount>("arcus").await;
    world.request("acme").await;
    world.sandbox.wait_gone::<Connection>("goes", HANG).await;
    world
        .provider_until("its name", |s| s.connector(Connector::Shippo).is_some_and(|r| r.display_name == "Parcels"))
        .await;
    let records = world.simulator.connectors();
    let others = records.iter().filter(|r| r.entity_id == OTHER_ENTITY);
    assert!(others.clone().all(|r| !r.deleted && r.changes.is_empty()), "{records:#?}");
    assert_eq!(others.count(), if theirs { 2 } else { 0 });
}

/// What is no key of Arcus, and one that lets nobody in.
#[rstest]
#[case::of_another_provider("sk_test_canary-login-7f3a", "SecretKeyMissing", &["api_key", "looks like"])]
#[case::of_nobody("ark_test_ent_acme_test-canary-nobody", "CredentialsRejected", &["Correct the api_key"])]
#[tokio::test]
async fn a_bad_key_is_said_of_the_account_and_of_what_uses_it(
    #[case] key: &str,
    #[case] reason: &str,
    #[case] says: &[&str],
) {
    let world = with_keys("arcus-key", key).await;
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    let account = world.sandbox.wait_for::<ProviderAccount>("arcus", HANG, |a| a.says("Ready", "False", reason)).await;
    assert_stalled(&account, reason, says);
    world.until("acme", "Ready", "False", "DependencyNotReady").await;
    world.nothing_was_sent();
    world.sandbox.apply(&secret("arcus-api", &[("api_key", ARCUS_KEY)])).await;
    world.looked_at::<ProviderAccount>("arcus").await;
    world.request("acme").await;
    assert_healed(&world.enters_credentials().await);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
}

/// A key that works no more, or not for this: what is there stays, and works again when the key does.
#[rstest]
#[case::revoked("Arcus refused the login")]
#[case::lacks_a_scope("the scope integrations:read")]
#[case::not_from_here("(ip_not_allowlisted)")]
#[tokio::test]
async fn a_key_that_works_no_more_is_said_and_nothing_is_lost(#[case] says: &str) {
    let world = World::with_labels("arcus-no-key").await;
    let change = |works: bool| {
        let change = |account: &mut Account| match says {
            text if text.contains("login") => account.revoked = !works,
            text if text.contains("scope") => {
                account.scopes =
                    Account::default().scopes.into_iter().filter(|s| works || !s.ends_with("read")).collect();
            }
            _ => account.address_refused = !works,
        };
        world.simulator.change_key("test", change).expect("a key");
    };
    change(false);
    let account = world.looked_at::<ProviderAccount>("arcus").await;
    assert_stalled(&account, "CredentialsRejected", &[says]);
    world.request("acme").await;
    let waits = |c: &Connection| c.condition("Ready").is_some_and(|r| r.status == "False" && r.message.contains(says));
    let seen = world.sandbox.wait_for::<Connection>("acme", HANG, waits).await;
    assert_eq!(status_of(&seen).external_id.as_deref(), Some("shippo"));
    change(true);
    assert_healed(&world.looked_at::<ProviderAccount>("arcus").await);
    world.request("acme").await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
}

/// A version of the API that there is not.
#[tokio::test]
async fn an_unknown_version_is_said_of_the_account() {
    let world = World::with_arcus("arcus-version").await;
    let account = world.arcus_account("arcus", ARCUS_KEY);
    world.sandbox.apply(&changed(&account, &json!({"arcus": {"version": "2031-01-01"}}))).await;
    let refused = |a: &ProviderAccount| a.says("Ready", "False", "ProviderRejected");
    let halted = world.sandbox.wait_for::<ProviderAccount>("arcus", HANG, refused).await;
    assert_stalled(&halted, "ProviderRejected", &["Arcus refused the request"]);
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    world.until("acme", "Ready", "False", "DependencyNotReady").await;
    world.nothing_was_sent();
    world.sandbox.apply(&account).await;
    assert_healed(&world.enters_credentials().await);
}
