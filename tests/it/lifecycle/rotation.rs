//! New credentials that nobody asks to have looked at: of a store and of an account's login, where Secrets are watched, and
//! where objects and accounts look by themselves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use http::{Method, Request, header};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::client::Body;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use rstest::rstest;
use serde_json::json;
use tower::service_fn;
use tradewind::api::v1alpha1::{ClusterProviderAccount, Connection, IntegrationInstance, ProviderAccount};
use tradewind::engine::{self, Reach};
use tradewind::serve::Readiness;
use tradewind::telemetry::Metrics;
use tradewind_simulator::{Clock, Entry, Operation, Setup, rutter, sku_io};

use super::expect::{assert_healed, assert_stalled};
use super::instances::instance;
use super::tenancy::{rules, sharing, team, until};
use crate::cluster::{HANG, Sandbox};
use crate::conditions::Observed;
use crate::world::{LOGIN_CANARY, SKU_TOKEN, World, connection, secret, store};

/// The login that accounts of Rutter begin with.
const USUAL: (&str, &str) = ("test-client-id", LOGIN_CANARY);
/// The same login with its next secret, which works too.
const NEXT: (&str, &str) = (USUAL.0, "test-canary-next-6e11");
/// The same login with a secret that does not work.
const WRONG: (&str, &str) = (USUAL.0, "test-canary-wrong");
/// A login that there is not.
const NOBODY: (&str, &str) = ("test-nobody-id", "test-canary-wrong");
/// Another token of the same tenant, by its public part and as a whole.
const NEXT_TOKEN: (u64, &str) = (2, "2|test-canary-next-6e11");
/// A token that does not work.
const WRONG_TOKEN: &str = "1|test-canary-wrong";
/// Another token of the store.
const NEXT_OF_STORE: &str = "test-canary-store-91bc-2";

/// Far longer than any test lasts.
const SELDOM: Duration = Duration::from_hours(1);
/// The right that the chart gives with `watchSecrets: true`.
const FOLLOW: [&str; 2] = ["list", "watch"];

/// What the provider starts with: the logins above that work.
fn setup() -> Setup {
    let mut setup = World::setup();
    let next = rutter::Account { client_secret: NEXT.1.to_owned(), ..setup.accounts[0].clone() };
    setup.accounts.push(next);
    let next = sku_io::Account { token: NEXT_TOKEN.1.to_owned(), ..setup.sku_accounts[0].clone() };
    setup.sku_accounts.push(next);
    setup
}

/// A world whose operator watches Secrets, and looks at accounts by itself too seldom for any test to see it. It does not run yet.
async fn watching(name: &str) -> World {
    let mut world = World::with(name, setup()).await;
    let rule = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": FOLLOW});
    world.sandbox.allow_everywhere(json!([rule])).await;
    world.settings.watch_secrets = true;
    world.settings.probe_interval = SELDOM;
    world
}

/// The account's Secret holds this login from now on.
async fn log_in_as(world: &World, (id, key): (&str, &str)) {
    world.sandbox.apply(&secret("rutter-api", &[("client_id", id), ("client_secret", key)])).await;
}

/// The same for SKU.io.
async fn log_in_with(world: &World, token: &str) {
    world.sandbox.apply(&secret("sku-api", &[("token", token)])).await;
}

/// The Secret of the store holds another token from now on.
async fn renew(world: &World) {
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", NEXT_OF_STORE)])).await;
}

/// Waits until people were told this about an account.
async fn until_told(world: &World, account: &str, reason: &str) {
    let told = async {
        while world.events(account, reason).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(HANG, told).await.unwrap_or_else(|late| panic!("{account}, {reason}: {late}"));
}

/// The account `sku` once a condition says this.
async fn sku_until(world: &World, kind: &str, status: &str, reason: &str) -> ProviderAccount {
    world.sandbox.wait_for::<ProviderAccount>("sku", HANG, |a| a.says(kind, status, reason)).await
}

/// The new token of the store has come to its record, by one change of nothing else, and the store takes it.
async fn assert_renewed(world: &World) {
    world.instance_until("acme", "CredentialsValid", "True", "RotatedAndVerified").await;
    let record = world.at_sku("acme");
    let sent: Vec<_> = record.changes.iter().map(|change| change.sent.clone()).collect();
    assert_eq!((record.token_version, sent), (2, vec![vec!["connection_settings.access_token".to_owned()]]));
}

/// Nothing but probes carried a login that the provider refused, and what came of objects meanwhile was done.
fn assert_refused_alone(journal: &[Entry], probe: Operation) {
    let (refused, other): (Vec<_>, Vec<_>) = journal.iter().partition(|entry| entry.status == Some(401));
    assert!(!refused.is_empty(), "the login was never tried: {journal:#?}");
    assert!(refused.iter().all(|entry| entry.operation == probe), "{refused:#?}");
    let done = |operation: Operation| {
        other.iter().any(|entry| entry.operation == operation && entry.status.is_some_and(|s| (200..300).contains(&s)))
    };
    for operation in [Operation::Create, Operation::List, Operation::Delete] {
        assert!(done(operation), "{operation:?}: {other:#?}");
    }
}

/// Not a word to the object, and no look of its own within any time that a test lasts: `0s` is never.
#[rstest]
#[case::seldom("1h")]
#[case::never("0s")]
#[tokio::test]
async fn a_watched_secret_of_a_store_brings_its_new_token_to_the_record(#[case] interval: &str) {
    let mut world = watching("rotate-store").await;
    world.furnish_sku("").await;
    world.start().await;
    world.sandbox.apply(&instance("acme", &format!("  interval: {interval}\n"))).await;
    world.well("acme").await;
    // A whole life of another object later, nothing is under way at this one.
    world.touched("acme").await;
    renew(&world).await;
    assert_renewed(&world).await;
}

#[tokio::test]
async fn a_watched_login_is_proven_and_everything_goes_on_with_it() {
    let mut world = watching("rotate-login").await;
    world.furnish_sku("").await;
    world.start().await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    world.touched("acme").await;
    let since = world.simulator.journal().len();
    log_in_with(&world, NEXT_TOKEN.1).await;
    until_told(&world, "sku", "RotatedAndVerified").await;
    let probes = world.simulator.journal().split_off(since);
    assert!(probes.iter().any(|entry| entry.operation == Operation::Me), "it was asked who it is: {probes:#?}");

    // The token of before is worth nothing any more, and nobody misses it.
    world.simulator.change_token(1, |account| account.revoked = true).expect("a token");
    let since = world.simulator.journal().len();
    world.sandbox.apply(&instance("later", "")).await;
    world.well("later").await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.well("acme").await;
    let refused: Vec<_> =
        world.simulator.journal().split_off(since).into_iter().filter(|e| e.status == Some(401)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    assert_eq!(world.events("sku", "RotatedAndVerified").await, 1);
}

/// The account is of no namespace, its login of one, and the objects of another.
#[tokio::test]
async fn a_watched_login_of_a_shared_account_is_proven_wherever_its_secret_is() {
    let sandbox = Sandbox::alone("rotate-shared").await;
    let mut rights = rules();
    let rule = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": FOLLOW});
    rights.as_array_mut().expect("rules").push(rule);
    sandbox.allow_everywhere(rights).await;
    let mut world = World::on(sandbox, Clock::real(), setup());
    (world.settings.namespace, world.settings.watch_secrets) = (None, true);
    world.settings.probe_interval = SELDOM;
    log_in_as(&world, USUAL).await;
    let account = json!({
        "apiVersion": "tradewind.dev/v1alpha1", "kind": "ClusterProviderAccount", "metadata": {"name": "rutter"},
        "spec": {
            "provider": "Rutter", "endpoint": world.endpoint, "allowedNamespaces": {"selector": {}},
            "credentialsSecretRef": {"name": "rutter-api", "namespace": world.sandbox.namespace()},
        }
    });
    world.sandbox.apply(&account.to_string()).await;
    world.start().await;
    let ours = team(&world, "ours").await;
    for name in ["acme", "other"] {
        ours.apply(&sharing(name, &store(name), "")).await;
        until(&ours, name, "True", "Succeeded").await;
    }

    log_in_as(&world, WRONG).await;
    let rejected = shared_until(&world, "CredentialsValid", "False", "RotationRejected").await;
    assert!(rejected.says("Ready", "True", "Succeeded"), "{:#?}", rejected.observed());
    log_in_as(&world, NEXT).await;
    assert_healed(&shared_until(&world, "CredentialsValid", "True", "Succeeded").await);
    ours.apply(&sharing("later", &store("later"), "")).await;
    until(&ours, "later", "True", "Succeeded").await;
}

/// The shared account once a condition says this.
async fn shared_until(world: &World, kind: &str, status: &str, reason: &str) -> ClusterProviderAccount {
    let api: Api<ClusterProviderAccount> = Api::all(world.sandbox.client().clone());
    let says = |a: Option<&ClusterProviderAccount>| a.is_some_and(|a| a.says(kind, status, reason));
    let found = tokio::time::timeout(HANG, await_condition(api, "rutter", says)).await;
    found.unwrap_or_else(|late| panic!("{kind}, {reason}: {late}")).expect("a watch").expect("an account")
}

#[tokio::test]
async fn without_a_watch_a_new_secret_follows_at_the_next_interval_of_the_object_or_the_account() {
    let mut world = World::with("rotate-interval", setup()).await;
    world.settings.probe_interval = Duration::from_secs(2);
    world.furnish_sku("").await;
    world.start().await;
    world.sandbox.apply(&instance("acme", "  interval: 2s\n")).await;
    world.well("acme").await;
    renew(&world).await;
    assert_renewed(&world).await;

    log_in_with(&world, NEXT_TOKEN.1).await;
    until_told(&world, "sku", "RotatedAndVerified").await;
    world.simulator.change_token(1, |account| account.revoked = true).expect("a token");
    world.sandbox.apply(&instance("later", "")).await;
    world.well("later").await;
}

#[tokio::test]
async fn a_new_secret_that_does_not_work_is_carried_by_nothing_but_the_probe() {
    let mut world = watching("rotate-wrong").await;
    world.furnish().await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    let since = world.simulator.journal().len();
    log_in_as(&world, WRONG).await;
    let account = world.account_until("CredentialsValid", "False", "RotationRejected").await;
    assert!(account.says("Ready", "True", "Succeeded"), "{:#?}", account.observed());
    world.sandbox.apply(&connection("later", &store("later"), "")).await;
    world.settled("later").await;
    assert_healed(&world.looked_at::<Connection>("acme").await);
    world.sandbox.delete::<Connection>("later").await;
    world.sandbox.wait_gone::<Connection>("later", HANG).await;
    // Rutter has nothing to ask who is calling: a list tells.
    assert_refused_alone(&world.simulator.journal().split_off(since), Operation::List);

    log_in_as(&world, NEXT).await;
    assert_healed(&world.account_until("CredentialsValid", "True", "Succeeded").await);
}

/// The same where a probe is a request of its own.
#[tokio::test]
async fn a_new_token_that_does_not_work_is_carried_by_nothing_but_the_probe() {
    let mut world = watching("rotate-wrong-token").await;
    world.furnish_sku("").await;
    world.start().await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    let since = world.simulator.journal().len();
    log_in_with(&world, WRONG_TOKEN).await;
    let account = sku_until(&world, "CredentialsValid", "False", "RotationRejected").await;
    assert!(account.says("Ready", "True", "Succeeded"), "{:#?}", account.observed());
    world.sandbox.apply(&instance("later", "")).await;
    world.well("later").await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.well("acme").await;
    world.goes("later").await;
    assert_refused_alone(&world.simulator.journal().split_off(since), Operation::Me);

    log_in_with(&world, SKU_TOKEN).await;
    assert_healed(&sku_until(&world, "CredentialsValid", "True", "Succeeded").await);
}

/// Another login may be another account: the one of before is not used in its place.
#[tokio::test]
async fn another_login_that_does_not_work_is_said_at_the_account_and_carried_by_nothing_but_the_probe() {
    let mut world = watching("rotate-nobody").await;
    world.furnish().await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    let since = world.simulator.journal().len();
    log_in_as(&world, NOBODY).await;
    let account = world.account_until("Ready", "False", "CredentialsRejected").await;
    assert_stalled(&account, "CredentialsRejected", &["Rutter refused the login", "Correct the Secret"]);
    assert!(account.says("CredentialsValid", "False", "CredentialsRejected"), "{:#?}", account.observed());
    world.until("acme", "Ready", "False", "DependencyNotReady").await;
    world.rests::<Connection>("acme").await;
    let journal = world.simulator.journal().split_off(since);
    let refused: Vec<_> = journal.iter().filter(|entry| entry.status == Some(401)).collect();
    assert!(!refused.is_empty() && refused.iter().all(|entry| entry.operation == Operation::List), "{refused:#?}");

    log_in_as(&world, USUAL).await;
    assert_healed(&world.account_until("CredentialsValid", "True", "Succeeded").await);
    assert_healed(&world.settled("acme").await);
}

/// A list or a watch of Secrets, and in which form the answer is wanted.
#[derive(Clone, Debug)]
struct Asked {
    is_watch: bool,
    accept: String,
}

impl Asked {
    /// `None` for any other request.
    fn read(request: &Request<Body>) -> Option<Self> {
        let uri = request.uri();
        if request.method() != Method::GET || !uri.path().ends_with("/secrets") {
            return None;
        }
        let is_watch = uri.query().is_some_and(|query| query.split('&').any(|part| part == "watch=true"));
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Some(Self { is_watch, accept: accept.to_owned() })
    }
}

/// A way to an API server that keeps what is asked of Secrets.
#[derive(Clone, Default)]
struct Tap(Arc<Mutex<Vec<Asked>>>);

impl Tap {
    fn client(&self, server: &Client) -> Client {
        let (all, server) = (Arc::clone(&self.0), server.clone());
        let way = service_fn(move |request: Request<Body>| {
            if let Some(asked) = Asked::read(&request) {
                all.lock().expect("a list").push(asked);
            }
            let server = server.clone();
            async move { server.send(request).await }
        });
        Client::new(way, "default")
    }

    fn reach(&self, server: &Client) -> Reach {
        let client = self.client(server);
        let way = service_fn(move |request: Request<Body>| {
            let client = client.clone();
            async move { client.send(request).await }
        });
        Reach::simulated(way, None, Timestamp::now)
    }

    fn asked(&self) -> Vec<Asked> {
        self.0.lock().expect("a list").clone()
    }

    /// What asks for more than metadata.
    fn whole(&self) -> Vec<Asked> {
        let mut all = self.asked();
        all.retain(|asked| !asked.accept.contains("as=PartialObjectMetadata"));
        all
    }

    async fn until_watched(&self, times: usize) {
        let search = async {
            while self.asked().iter().filter(|asked| asked.is_watch).count() < times {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(HANG, search).await.unwrap_or_else(|late| panic!("{late}: {:#?}", self.asked()));
    }
}

/// Whoever may list Secrets may read them all: the operator never has more of them than their names and versions, but for
/// those that it needs.
#[rstest]
#[case::of_one_namespace(false, 3)]
#[case::of_the_whole_cluster(true, 4)]
#[tokio::test]
async fn lists_and_watches_of_secrets_ask_for_metadata_alone(#[case] everywhere: bool, #[case] kinds: usize) {
    let mut world = World::on(Sandbox::unchecked("metadata"), Clock::real(), World::setup());
    world.settings.watch_secrets = true;
    if everywhere {
        world.settings.namespace = None;
    }
    world.furnish().await;
    let (tap, server, never) = (Tap::default(), world.sandbox.client(), std::future::pending::<()>().boxed().shared());
    let operator = tokio::spawn(engine::run(
        tap.reach(server),
        world.settings.clone(),
        Metrics::new(),
        Readiness::default().gate("watches"),
        never,
    ));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    // One for each kind of objects and of accounts, each of which begins with a list.
    tap.until_watched(kinds).await;
    let lists = tap.asked().iter().filter(|asked| !asked.is_watch).count();
    assert!(lists >= kinds, "{:#?}", tap.asked());
    assert!(tap.whole().is_empty(), "{:#?}", tap.whole());
    operator.abort();

    // What asks for all of them is seen.
    let secrets: Api<Secret> = Api::namespaced(tap.client(server), world.sandbox.namespace());
    secrets.list(&ListParams::default()).await.expect("the Secrets");
    assert_eq!(tap.whole().len(), 1, "{:#?}", tap.whole());
}
