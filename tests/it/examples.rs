//! The examples, folder by folder: applied as they are, they come to the state that their READMEs promise.
//!
//! Two things are put in that no file can know: the simulated provider's endpoint, and the ids of records that existed before the
//! operator does. `demo/run.sh` does the same.

use std::path::{Path, PathBuf};

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance, ManagedStatus, RefreshPhase};
use tradewind_simulator::sku_io::{self, Deed, Entity, Presence, Starter};
use tradewind_simulator::{Operation, arcus, rutter};

use crate::cluster::{HANG, Kind, documents};
use crate::conditions::{Kstatus, Observed};
use crate::world::World;

/// Every folder of `examples/`; each has a test below.
const FOLDERS: [&str; 12] = [
    "adoption",
    "arcus",
    "arcus-shopify",
    "bigcommerce",
    "bigcommerce-recreate",
    "link",
    "observe-only",
    "refresh",
    "shared-secret",
    "shopify-private",
    "sku-io",
    "woocommerce",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// The names in a folder, in order.
fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name().into_string();
    let mut names: Vec<String> = entries.map(|entry| name(entry).expect("a name in UTF-8")).collect();
    names.sort();
    names
}

/// The manifests of an example, as they are.
fn manifests(name: &str) -> Vec<Value> {
    let path = folder(name);
    let files = names(&path).into_iter().filter(|file| Path::new(file).extension().is_some_and(|e| e == "yaml"));
    let text = |file: String| std::fs::read_to_string(path.join(file)).expect("a manifest");
    let objects = files.flat_map(|file| documents(&text(file)));
    objects.map(|object| serde_json::to_value(object).expect("JSON")).collect()
}

/// A namespace with a running operator, and providers that take the logins of the examples.
pub(crate) async fn shop(name: &str) -> World {
    let mut setup = World::setup();
    setup.accounts = vec![rutter::Account {
        client_id: "test-client-id".to_owned(),
        client_secret: "test-client-secret".to_owned(),
        ..rutter::Account::default()
    }];
    setup.sku_accounts =
        vec![sku_io::Account { token: "1|test-sku-io-token".to_owned(), ..sku_io::Account::default() }];
    setup.arcus_accounts =
        vec![arcus::Account { key: "ark_test_ent_simulator_not-a-secret".to_owned(), ..arcus::Account::default() }];
    let mut world = World::with(name, setup).await;
    world.start().await;
    world
}

impl World {
    /// Lets a manifest speak to the simulated provider, where it is that of an account.
    pub(crate) fn direct(&self, object: &mut Value) {
        if object["kind"] == "ProviderAccount" {
            let root = self.endpoint.trim_end_matches("/versioned");
            object["spec"]["endpoint"] = match object["spec"]["provider"].as_str() {
                Some("Rutter") => json!(self.endpoint),
                Some("Arcus") => json!(format!("{root}/v1")),
                _ => json!(root),
            };
        }
    }

    /// Applies an example. `ids`: records that exist already, by the name of the object that names one.
    async fn example(&self, name: &str, ids: &[(&str, &str)]) {
        for mut object in manifests(name) {
            self.direct(&mut object);
            if let Some((_, id)) = ids.iter().find(|(named, _)| object["metadata"]["name"] == *named) {
                object["spec"]["externalRef"] = json!({"id": id});
            }
            self.sandbox.apply(&object.to_string()).await;
        }
    }

    /// An instance that works.
    async fn works(&self, name: &str) -> ManagedStatus {
        let works =
            |i: &IntegrationInstance| i.says("Ready", "True", "Succeeded") && i.says("Synced", "True", "Succeeded");
        let instance = self.sandbox.wait_for::<IntegrationInstance>(name, HANG, works).await;
        instance.status.expect("a status")
    }

    /// A merchant opens a link, fills its page in, and presses a button.
    async fn follow(&self, link: &str, fields: &[(&str, &str)]) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let page = client.get(link).send().await.expect("a page").text().await.expect("text");
        let (_, button) = fields.last().expect("a button");
        assert!(page.contains(&format!("id=\"{button}\"")), "{page}");
        let form = fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let sent = client.post(link).header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = sent.send().await.expect("an answer");
        assert!(answer.text().await.expect("text").contains("id=\"done\""));
    }

    /// The connections that are live at the provider: who made them, and their stores.
    fn stores(&self) -> Vec<(rutter::Origin, String)> {
        let live = self.simulator.connections().into_iter().filter(|r| r.deleted_at.is_none());
        live.map(|r| (r.origin, r.store.unwrap_or_default())).collect()
    }

    /// The instances that are live at the provider, by name.
    fn channels(&self) -> Vec<sku_io::Record> {
        let mut live = self.simulator.instances();
        live.retain(|r| r.presence == Presence::Live);
        live
    }

    /// Deletes an object and waits until it is gone.
    async fn drop_it<K: Kind>(&self, name: &str) {
        self.sandbox.delete::<K>(name).await;
        self.sandbox.wait_gone::<K>(name, HANG).await;
    }
}

fn setting(record: &sku_io::Record, name: &str) -> Value {
    record.integration_settings.get(name).cloned().unwrap_or_default()
}

fn phases(status: &ManagedStatus) -> Vec<(String, RefreshPhase)> {
    let refresh = status.refresh.clone().unwrap_or_default();
    [refresh.products, refresh.orders].into_iter().flatten().map(|s| (s.token, s.state)).collect()
}

#[test]
fn every_folder_has_a_few_lines_that_say_what_it_is_and_a_test_here() {
    assert_eq!(names(&folder("")), FOLDERS);
    let (tests, page) = (include_str!("examples.rs"), include_str!("../../README.md"));
    for name in FOLDERS {
        let readme = std::fs::read_to_string(folder(name).join("README.md")).expect("a README.md");
        assert!(readme.starts_with("# ") && readme.lines().count() <= 24, "{name}: a title and a few lines");
        let command = format!(" -n shop -f examples/{name}/\n");
        assert!(readme.contains(&command), "{name}: the command that applies it");
        assert!(tests.contains(&format!(".example(\"{name}\", ")), "{name}: no test applies it");
        assert!(page.contains(&format!("](examples/{name})")), "{name}: not in README.md");
        assert!(!manifests(name).is_empty(), "{name}: manifests");
    }
}

#[tokio::test]
async fn a_bigcommerce_store_is_connected_and_its_token_handed_out() {
    let world = shop("example-bigcommerce").await;
    world.example("bigcommerce", &[]).await;
    world.settled("acme-outdoor").await;
    let record = world.simulator.connections().remove(0);
    assert_eq!(world.stores(), [(rutter::Origin::Api, "store-acme1.mybigcommerce.com".to_owned())]);
    let token = world.secret_value("acme-outdoor-connection", "access_token").await;
    assert_eq!(token, Some(record.access_token.to_string()));
    world.drop_it::<Connection>("acme-outdoor").await;
    assert_eq!(world.stores(), []);
}

#[tokio::test]
async fn a_woocommerce_store_is_connected_with_its_path() {
    let world = shop("example-woocommerce").await;
    world.example("bigcommerce", &[]).await;
    world.example("woocommerce", &[]).await;
    world.settled("acme-crafts").await;
    world.settled("acme-outdoor").await;
    let mut stores: Vec<String> = world.stores().into_iter().map(|(_, store)| store).collect();
    stores.sort();
    assert_eq!(stores, ["store-acme1.mybigcommerce.com", "www.example.com/shop"]);
}

#[tokio::test]
async fn a_shopify_store_is_connected_by_a_private_app() {
    let world = shop("example-shopify").await;
    world.example("bigcommerce", &[]).await;
    world.example("shopify-private", &[]).await;
    let object = world.settled("acme-prints").await;
    assert_eq!(object.status.expect("a status").store_domain.as_deref(), Some("acme-prints.myshopify.com"));
    world.settled("acme-outdoor").await;
    assert_eq!(world.simulator.stats().creates, 2);
}

#[tokio::test]
async fn a_connection_comes_back_that_was_lost() {
    let world = shop("example-recreate").await;
    world.example("bigcommerce", &[]).await;
    world.example("bigcommerce-recreate", &[]).await;
    let before = crate::world::id_of(&world.settled("acme-garden").await);
    world.deed(&before, |connection| rutter::Deed::Delete { connection });
    world.request("acme-garden").await;
    let back = |c: &Connection| {
        let id = c.status.as_ref().and_then(|s| s.external_id.as_ref());
        c.says("Ready", "True", "Succeeded") && id.is_some_and(|id| *id != before)
    };
    let after = world.sandbox.wait_for::<Connection>("acme-garden", HANG, back).await;
    let record = world.simulator.connections().pop().expect("a record");
    assert_eq!(after.status.and_then(|s| s.external_id), Some(record.id.to_string()));
    let token = world.secret_value("acme-garden-connection", "access_token").await;
    assert_eq!(token, Some(record.access_token.to_string()), "the Secret has the new token");
}

#[tokio::test]
async fn a_connection_that_is_only_observed_is_never_touched() {
    let world = shop("example-observe").await;
    let id = world.stranger("store-acme3.mybigcommerce.com");
    world.example("bigcommerce", &[]).await;
    world.example("observe-only", &[]).await;
    let object = world.settled("acme-outlet").await;
    assert_eq!(object.status.and_then(|s| s.external_id), Some(id.clone()));
    world.drop_it::<Connection>("acme-outlet").await;
    assert!(world.live().contains(&id));
    assert_eq!(world.simulator.stats().deletes, 0);
}

#[tokio::test]
async fn a_store_is_a_sales_channel_of_sku_io() {
    let world = shop("example-sku-io").await;
    world.example("sku-io", &[]).await;
    let status = world.works("acme-camping").await;
    let [record] = &*world.channels() else { panic!("{:#?}", world.channels()) };
    assert_eq!(status.external_id, Some(record.id.to_string()));
    assert_eq!((record.name.as_str(), record.store_hash.as_str()), ("acme-camping-bc", "acme6"));
    assert_eq!(setting(record, "batch_period_sales_order_fulfillments"), json!("daily"));
    // The create starts both loads: no other is asked for.
    assert_eq!(record.refreshed(Entity::Orders, Starter::Create), 1);
    assert_eq!(world.asked(Operation::Refresh), 0);
    world.drop_it::<IntegrationInstance>("acme-camping").await;
    assert_eq!(world.channels(), []);
}

#[tokio::test]
async fn one_secret_serves_both_and_a_new_token_reaches_the_one_that_takes_it() {
    let world = shop("example-shared").await;
    world.example("bigcommerce", &[]).await;
    world.example("sku-io", &[]).await;
    world.example("shared-secret", &[]).await;
    world.settled("acme-kitchen").await;
    world.works("acme-kitchen").await;
    world.works("acme-camping").await;
    world.settled("acme-outdoor").await;
    assert!(world.simulator.stats().duplicates.is_empty());
    assert_eq!(world.simulator.stats().creates, 4);
    let secret = manifests("shared-secret").into_iter().find(|object| object["kind"] == "Secret");
    let mut secret = secret.expect("the one Secret");
    secret["stringData"]["oauth_access_token"] = json!("test-store-token-2");
    world.sandbox.apply(&secret.to_string()).await;
    let asked = json!({"metadata": {"annotations": {keys::RECONCILE: "now"}}});
    let api = world.sandbox.api::<IntegrationInstance>();
    api.patch("acme-kitchen", &PatchParams::default(), &Patch::Merge(&asked)).await.expect("an instance");
    let is_new = |r: &sku_io::Record| r.name == "acme-kitchen-bc" && r.token_version == 2;
    world.provider_until("the new token is there", |s| s.instances().iter().any(is_new)).await;
    assert_eq!(world.reconciled("acme-kitchen").await.kstatus(), Kstatus::Current);
}

#[tokio::test]
async fn what_exists_is_taken_over_by_name_and_by_id() {
    let world = shop("example-adoption").await;
    let make = |name: &str, store_hash: &str| {
        let (name, store_hash) = (name.to_owned(), store_hash.to_owned());
        let made = world.simulator.act_sku(&Deed::Make { tenant_id: None, name, store_hash });
        made.expect("an instance").id.to_string()
    };
    let (books, music) = (make("acme-books-bc", "acme8"), make("Acme Music", "acme9"));
    world.example("sku-io", &[]).await;
    world.example("adoption", &[("acme-music", &music)]).await;
    let found = world.works("acme-books").await;
    assert_eq!(found.external_id, Some(books));
    assert_eq!(phases(&found), [], "nothing is loaded again");
    assert_eq!(world.works("acme-music").await.external_id, Some(music));
    world.provider_until("the name is put right", |s| s.instances().iter().any(|r| r.name == "acme-music-bc")).await;
    world.works("acme-camping").await;
    let of = |name: &str| world.channels().into_iter().find(|r| r.name == name).expect("an instance");
    assert_eq!(of("acme-books-bc").changes, [], "it was taken as it is");
    let sent: Vec<_> = of("acme-music-bc").changes.into_iter().map(|change| change.sent).collect();
    assert_eq!(sent, [["connection_settings.access_token", "integration_settings.auto_link_products", "name"]]);
    world.drop_it::<IntegrationInstance>("acme-books").await;
    world.drop_it::<IntegrationInstance>("acme-music").await;
    let stats = world.simulator.stats();
    assert_eq!((stats.creates, stats.deletes), (1, 0), "only acme-camping was made, and nothing deleted");
}

#[tokio::test]
async fn a_history_is_loaded_from_a_day_on_and_again_on_request() {
    let world = shop("example-refresh").await;
    world.example("bigcommerce", &[]).await;
    world.example("refresh", &[]).await;
    let accepted = |c: &Connection, tokens: [&str; 2]| {
        let wanted = tokens.map(|token| (token.to_owned(), RefreshPhase::Accepted));
        c.status.as_ref().is_some_and(|status| phases(status) == wanted)
    };
    let first = world.settled("acme-toys").await;
    assert!(accepted(&first, ["first", "first"]), "{:#?}", first.status);
    world.annotate("acme-toys", keys::REFRESH, Some("orders@monday")).await;
    world.sandbox.wait_for::<Connection>("acme-toys", HANG, |c| accepted(c, ["first", "monday"])).await;
    let again = world.reconciled("acme-toys").await;
    assert!(again.says("InitialRefreshComplete", "True", "Succeeded"), "{:#?}", again.observed());
    let toys =
        world.simulator.connections().into_iter().find(|r| r.store.as_deref().is_some_and(|s| s.contains("acme9")));
    let loads = toys.expect("the store's connection").backfills;
    let loads: Vec<_> = loads.iter().map(|(entity, day)| (entity.as_str(), day.to_string())).collect();
    let orders = || ("order", "2025-07-01".to_owned());
    assert_eq!(loads, [("product", "2025-01-01".to_owned()), orders(), orders()]);
}

#[tokio::test]
async fn a_connector_of_arcus_works_as_soon_as_its_credentials_were_entered_there() {
    let world = shop("example-arcus").await;
    world.example("arcus", &[]).await;
    let waiting = world.until("acme-labels", "Ready", "False", "AuthorizationRequired").await;
    assert_eq!(waiting.kstatus(), Kstatus::InProgress);
    let shippo = arcus::Connector::Shippo;
    world.simulator.act_arcus(&arcus::Act::EnterCredentials.on(shippo)).expect("a connector");
    world.until("acme-labels", "Ready", "True", "Succeeded").await;
    let changed = json!({"config": {"label_format": "zpl", "insurance": true}, "ship_from_city": "Sparks"});
    let fields = changed.as_object().expect("an object").clone();
    world.simulator.act_arcus(&arcus::Act::Change { fields }.on(shippo)).expect("a connector");
    world.request("acme-labels").await;
    let config = json!({"label_format": "pdf", "insurance": true});
    let is_back = |r: arcus::Record| json!(r.config) == config && r.details["ship_from_city"] == "Reno";
    world.provider_until("what is declared is put back", |s| s.connector(shippo).is_some_and(is_back)).await;
    world.drop_it::<Connection>("acme-labels").await;
    assert!(world.simulator.connector(shippo).expect("a row").deleted);
}

#[tokio::test]
async fn a_shopify_store_in_arcus_is_authorized_by_its_merchant() {
    let world = shop("example-arcus-shopify").await;
    world.example("arcus", &[]).await;
    world.example("arcus-shopify", &[]).await;
    world.until("acme-boutique", "Authorized", "False", "AuthorizationRequired").await;
    world.reconciled("acme-boutique").await;
    let link = world.secret_value("acme-boutique-connection", "link_url").await.expect("a link");
    world.follow(&link, &[("answer", "approve")]).await;
    let ready = world.until("acme-boutique", "Ready", "True", "Succeeded").await;
    assert!(ready.says("Authorized", "True", "Succeeded"), "{:#?}", ready.observed());
    let row = world.simulator.connector(arcus::Connector::Shopify).expect("a connector");
    assert_eq!((row.shop.as_deref(), row.tally.creates), (Some("acme-boutique.myshopify.com"), 1));
}

#[tokio::test]
async fn a_merchant_connects_a_store_with_rutter_link() {
    let world = shop("example-link").await;
    world.example("bigcommerce", &[]).await;
    world.example("link", &[]).await;
    world.until("acme-market", "Ready", "False", "AuthorizationRequired").await;
    world.reconciled("acme-market").await;
    let link = world.secret_value("acme-market-connection", "link_url").await.expect("a link");
    let store = "acme-market.myshopify.com";
    world.follow(&link, &[("platform", "SHOPIFY"), ("store", store), ("answer", "connect")]).await;
    let ready = world.settled("acme-market").await;
    let status = ready.status.clone().expect("a status");
    assert_eq!((status.platform.as_deref(), status.store_domain.as_deref()), (Some("SHOPIFY"), Some(store)));
    assert!(ready.says("Authorized", "True", "Succeeded"), "{:#?}", ready.observed());
    world.settled("acme-outdoor").await;
}
