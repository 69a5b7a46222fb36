//! New credentials that nobody asks to have looked at: of a store and of an account's login, where Secrets are watched, and
//! where objects and accounts look by themselves.

use std::collections::BTreeSet;
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
use tokio::task::JoinHandle;
use tower::service_fn;
use tradewind::api::v1alpha1::{ClusterProviderAccount, Connection, IntegrationInstance, Provider, ProviderAccount};
use tradewind::engine::{self, Reach};
use tradewind::serve::Readiness;
use tradewind::telemetry::Metrics;
use tradewind_simulator::arcus::{self, Act, Connector};
use tradewind_simulator::{Clock, Effect, Entry, Fault, Operation, Setup, rutter, sku_io};

use super::arcus::connector;
use super::expect::{assert_healed, assert_stalled};
use super::instances::instance;
use super::tenancy::{rules, sharing, team, until};
use crate::cluster::{HANG, Sandbox};
use crate::conditions::Observed;
use crate::world::{LOGIN_CANARY, World, connection, id_of, secret, store};

/// The public part of the login at Rutter.
const CLIENT_ID: &str = "test-client-id";
/// What is secret of the login that accounts begin with.
const USUAL: &str = LOGIN_CANARY;
/// The same of the next one, which works too.
const NEXT: &str = "test-canary-next-6e11";
/// The same of one that does not work.
const WRONG: &str = "test-canary-wrong";
/// Another token of the store.
const NEXT_OF_STORE: &str = "test-canary-store-91bc-2";

/// Far longer than any test lasts: what is seen within one was not seen by an interval.
const SELDOM: Duration = Duration::from_hours(1);
const _: () = assert!(SELDOM.as_secs() > 10 * HANG.as_secs());
/// The right that the chart gives with `watchSecrets: true`.
const FOLLOW: [&str; 2] = ["list", "watch"];

/// What the providers start with: the logins above that work.
fn setup() -> Setup {
    let mut setup = World::setup();
    let next = rutter::Account { client_secret: NEXT.to_owned(), ..setup.accounts[0].clone() };
    setup.accounts.push(next);
    let next = sku_io::Account { token: token(NEXT), ..setup.sku_accounts[0].clone() };
    setup.sku_accounts.push(next);
    let next = arcus::Account { name: "next".to_owned(), key: api_key(NEXT), ..setup.arcus_accounts[0].clone() };
    setup.arcus_accounts.push(next);
    setup
}

/// A token of one tenant of SKU.io, which counts them.
fn token(secret: &str) -> String {
    format!("{}|{secret}", if secret == NEXT { 2 } else { 1 })
}

/// A key of one entity of Arcus.
fn api_key(secret: &str) -> String {
    format!("ark_test_ent_acme_{secret}")
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

/// The name of the account of a provider.
fn account_of(at: Provider) -> &'static str {
    match at {
        Provider::Rutter => "rutter",
        Provider::SkuIo => "sku",
        Provider::Arcus => "arcus",
    }
}

/// The Secret of the account holds this login from now on.
async fn log_in(world: &World, at: Provider, key: &str) {
    let login = match at {
        Provider::Rutter => secret("rutter-api", &[("client_id", CLIENT_ID), ("client_secret", key)]),
        Provider::SkuIo => secret("sku-api", &[("token", &token(key))]),
        Provider::Arcus => secret("arcus-api", &[("api_key", &api_key(key))]),
    };
    world.sandbox.apply(&login).await;
}

/// The login that accounts begin with is worth nothing any more.
fn revoke(world: &World, at: Provider) {
    match at {
        Provider::Rutter => panic!("the simulated Rutter revokes no logins"),
        Provider::SkuIo => world.simulator.change_token(1, |token| token.revoked = true).expect("a token"),
        Provider::Arcus => world.simulator.change_key("test", |key| key.revoked = true).expect("a key"),
    }
}

/// The account once a condition says this.
async fn account_until(world: &World, at: Provider, kind: &str, status: &str, reason: &str) -> ProviderAccount {
    world.sandbox.wait_for::<ProviderAccount>(account_of(at), HANG, |a| a.says(kind, status, reason)).await
}

/// Makes an object, and waits until it is as declared.
async fn make(world: &World, at: Provider, name: &str) {
    match at {
        Provider::Rutter => {
            world.sandbox.apply(&connection(name, &store(name), "")).await;
            world.settled(name).await;
        }
        Provider::SkuIo => {
            world.sandbox.apply(&instance(name, "")).await;
            world.well(name).await;
        }
        Provider::Arcus => {
            // An entity has one of each type.
            let kind = if name == "acme" { Connector::Shippo } else { Connector::Ups };
            world.sandbox.apply(&connector(name, kind.name(), "", "")).await;
            world.until(name, "Ready", "False", "AuthorizationRequired").await;
            world.somebody(kind, Act::EnterCredentials);
            world.until(name, "Ready", "True", "Succeeded").await;
        }
    }
}

/// Looks at an object that is as declared, and is so after that.
async fn look(world: &World, at: Provider, name: &str) {
    match at {
        Provider::Rutter | Provider::Arcus => assert_healed(&world.looked_at::<Connection>(name).await),
        Provider::SkuIo => {
            world.looked_at::<IntegrationInstance>(name).await;
            world.well(name).await;
        }
    }
}

/// Deletes an object, and waits until it is gone.
async fn leave(world: &World, at: Provider, name: &str) {
    match at {
        Provider::Rutter | Provider::Arcus => world.leaves(name).await,
        Provider::SkuIo => world.goes(name).await,
    }
}

/// Starts an operator by this way to the API server, which ends with the test; and what it measures.
fn operate(world: &World, reach: Reach) -> (JoinHandle<Result<(), engine::RunError>>, Metrics) {
    let (metrics, never) = (Metrics::new(), std::future::pending::<()>().boxed().shared());
    let watches = Readiness::default().gate("watches");
    (tokio::spawn(engine::run(reach, world.settings.clone(), metrics.clone(), watches, never)), metrics)
}

/// A world whose operator watches Secrets, with an account in use and an object `acme` at which nothing is under way; and what the
/// operator measures.
async fn at_rest(name: &str, at: Provider) -> (World, Metrics) {
    let world = watching(name).await;
    match at {
        Provider::Rutter => world.furnish().await,
        Provider::SkuIo => world.furnish_sku("").await,
        Provider::Arcus => world.sandbox.apply(&world.arcus_account("arcus", &api_key(USUAL))).await,
    }
    let (_, metrics) = operate(&world, world.sandbox.reach(None).await);
    make(&world, at, "acme").await;
    look(&world, at, "acme").await;
    (world, metrics)
}

/// How often a new secret was tried with this verdict.
fn tried(metrics: &Metrics, at: Provider, verdict: &str) -> usize {
    let series = format!("tradewind_account_rotations_total{{provider=\"{at}\",verdict=\"{verdict}\"}} ");
    let text = metrics.text();
    text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or_default()
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

/// The new token of the store has come to its record, by one change of nothing else, and the store takes it.
async fn assert_renewed(world: &World) {
    world.instance_until("acme", "CredentialsValid", "True", "RotatedAndVerified").await;
    let record = world.at_sku("acme");
    let sent: Vec<_> = record.changes.iter().map(|change| change.sent.clone()).collect();
    assert_eq!((record.token_version, sent), (2, vec![vec!["connection_settings.access_token".to_owned()]]));
}

/// Whether the provider refused the login.
fn is_refused(entry: &Entry) -> bool {
    entry.status == Some(401)
}

/// The request that proves a login: where nothing asks who is calling, a list tells.
fn probe(at: Provider) -> Operation {
    match at {
        Provider::Rutter | Provider::Arcus => Operation::List,
        Provider::SkuIo => Operation::Me,
    }
}

/// Nothing but probes carried a login that the provider refused, and what came of objects meanwhile was done.
fn assert_refused_alone(journal: &[Entry], at: Provider) {
    let (refused, other): (Vec<_>, Vec<_>) = journal.iter().partition(|entry| is_refused(entry));
    assert!(!refused.is_empty(), "the login was never tried: {journal:#?}");
    assert!(refused.iter().all(|entry| entry.operation == probe(at)), "{refused:#?}");
    let done = |operation: Operation| {
        other.iter().any(|entry| entry.operation == operation && entry.status.is_some_and(|s| (200..300).contains(&s)))
    };
    // A connector of Arcus is looked for by itself.
    let read = if at == Provider::Arcus { Operation::ReadDetail } else { Operation::List };
    for operation in [Operation::Create, read, Operation::Delete] {
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

#[rstest]
#[case::of_sku_io(Provider::SkuIo)]
#[case::of_arcus(Provider::Arcus)]
#[tokio::test]
async fn a_watched_login_is_proven_and_everything_goes_on_with_it(#[case] at: Provider) {
    let (world, metrics) = at_rest("rotate-login", at).await;
    let since = world.simulator.journal().len();
    log_in(&world, at, NEXT).await;
    until_told(&world, account_of(at), "RotatedAndVerified").await;
    let asked = world.simulator.journal().split_off(since);
    assert!(asked.iter().any(|entry| entry.operation == probe(at)), "it was asked who it is: {asked:#?}");
    assert!(asked.iter().all(|entry| entry.method == "GET"), "nothing was written: {asked:#?}");

    // The login of before is worth nothing any more, and nobody misses it.
    revoke(&world, at);
    let since = world.simulator.journal().len();
    make(&world, at, "later").await;
    look(&world, at, "acme").await;
    let mut refused = world.simulator.journal().split_off(since);
    refused.retain(is_refused);
    assert!(refused.is_empty(), "{refused:#?}");
    assert_eq!(world.events(account_of(at), "RotatedAndVerified").await, 1);
    assert_eq!((tried(&metrics, at, "taken_over"), tried(&metrics, at, "rejected")), (1, 0), "{}", metrics.text());
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
    world.sandbox.apply(&world.shared_account(&json!({"allowedNamespaces": {"selector": {}}}))).await;
    world.start().await;
    let ours = team(&world, "ours").await;
    for name in ["acme", "other"] {
        ours.apply(&sharing(name, &store(name), "")).await;
        until(&ours, name, "True", "Succeeded").await;
    }

    log_in(&world, Provider::Rutter, WRONG).await;
    let rejected = shared_until(&world, "CredentialsValid", "False", "RotationRejected").await;
    assert!(rejected.says("Ready", "True", "Succeeded"), "{:#?}", rejected.observed());
    log_in(&world, Provider::Rutter, NEXT).await;
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

    log_in(&world, Provider::SkuIo, NEXT).await;
    until_told(&world, "sku", "RotatedAndVerified").await;
    revoke(&world, Provider::SkuIo);
    make(&world, Provider::SkuIo, "later").await;
}

/// `right`: the login that is put in its place.
#[rstest]
#[case::of_rutter(Provider::Rutter, NEXT)]
#[case::of_sku_io(Provider::SkuIo, USUAL)]
#[case::of_arcus(Provider::Arcus, NEXT)]
#[tokio::test]
async fn a_new_secret_that_does_not_work_is_carried_by_nothing_but_the_probe(
    #[case] at: Provider,
    #[case] right: &str,
) {
    let (world, metrics) = at_rest("rotate-wrong", at).await;
    let since = world.simulator.journal().len();
    log_in(&world, at, WRONG).await;
    let account = account_until(&world, at, "CredentialsValid", "False", "RotationRejected").await;
    assert!(account.says("Ready", "True", "Succeeded"), "{:#?}", account.observed());
    make(&world, at, "later").await;
    look(&world, at, "acme").await;
    leave(&world, at, "later").await;
    assert_refused_alone(&world.simulator.journal().split_off(since), at);

    log_in(&world, at, right).await;
    assert_healed(&account_until(&world, at, "CredentialsValid", "True", "Succeeded").await);
    let refused = world.simulator.journal().iter().filter(|entry| is_refused(entry)).count();
    assert_eq!(tried(&metrics, at, "rejected"), refused, "{}", metrics.text());
    assert_eq!(tried(&metrics, at, "taken_over"), usize::from(right == NEXT), "{}", metrics.text());
}

/// What a store refuses says nothing of the login, and a mistyped one is not taken for it.
#[tokio::test]
async fn a_new_secret_that_does_not_work_is_not_used_because_a_store_refuses_its_own() {
    let mut world = World::with("rotate-store", setup()).await;
    world.settings.probe_interval = SELDOM;
    world.furnish().await;
    world.start().await;
    for name in ["acme", "other"] {
        make(&world, Provider::Rutter, name).await;
    }
    let refused = Effect::Refuse { status: 401, retry_after: None };
    let id = id_of(&world.sandbox.get::<Connection>("acme").await.expect("the object"));
    let of_acme = Fault::on(Operation::ReadStatus, refused).connection(id.parse().expect("an id"));
    world.simulator.push_fault(of_acme.forever());
    log_in(&world, Provider::Rutter, WRONG).await;
    let since = world.simulator.journal().len();
    let acme = world.looked_at::<Connection>("acme").await;
    assert!(acme.says("Ready", "False", "CredentialsRejected"), "{:#?}", acme.observed());
    assert_healed(&world.looked_at::<Connection>("other").await);
    let account = world.looked_at::<ProviderAccount>("rutter").await;
    assert!(account.says("CredentialsValid", "False", "RotationRejected"), "{:#?}", account.observed());
    assert!(account.says("Ready", "True", "Succeeded"), "{:#?}", account.observed());
    assert_healed(&world.looked_at::<Connection>("other").await);
    let refused = world.simulator.journal().split_off(since).into_iter().filter(|entry| entry.status == Some(401));
    let refused: BTreeSet<Operation> = refused.map(|entry| entry.operation).collect();
    assert_eq!(refused, BTreeSet::from([Operation::List, Operation::ReadStatus]), "the probe, and the store of acme");
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
    world.sandbox.apply(&secret("rutter-api", &[("client_id", "test-nobody-id"), ("client_secret", WRONG)])).await;
    let account = world.account_until("Ready", "False", "CredentialsRejected").await;
    assert_stalled(&account, "CredentialsRejected", &["Rutter refused the login", "Correct the Secret"]);
    assert!(account.says("CredentialsValid", "False", "CredentialsRejected"), "{:#?}", account.observed());
    world.until("acme", "Ready", "False", "DependencyNotReady").await;
    world.rests::<Connection>("acme").await;
    let journal = world.simulator.journal().split_off(since);
    let refused: Vec<_> = journal.iter().filter(|entry| is_refused(entry)).collect();
    assert!(!refused.is_empty() && refused.iter().all(|entry| entry.operation == Operation::List), "{refused:#?}");

    log_in(&world, Provider::Rutter, USUAL).await;
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

    async fn until_watched(&self) {
        let search = async {
            while !self.asked().iter().any(|asked| asked.is_watch) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(HANG, search).await.unwrap_or_else(|late| panic!("{late}: {:#?}", self.asked()));
    }
}

/// Whoever may list Secrets may read them all: the operator never has more of them than their names and versions, but for
/// those that it needs. And it asks once, whoever names them.
#[rstest]
#[case::of_one_namespace(false)]
#[case::of_the_whole_cluster(true)]
#[tokio::test]
async fn one_list_and_one_watch_of_secrets_ask_for_metadata_alone(#[case] everywhere: bool) {
    let mut world = World::on(Sandbox::unchecked("metadata"), Clock::real(), World::setup());
    world.settings.watch_secrets = true;
    if everywhere {
        world.settings.namespace = None;
    }
    world.furnish().await;
    let (tap, server) = (Tap::default(), world.sandbox.client());
    let (operator, _) = operate(&world, tap.reach(server));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    tap.until_watched().await;
    let watches: Vec<_> = tap.asked().iter().map(|asked| asked.is_watch).collect();
    assert_eq!(watches, [false, true], "a list, and a watch from there on: {:#?}", tap.asked());
    assert!(tap.whole().is_empty(), "{:#?}", tap.whole());
    operator.abort();

    // What asks for all of them is seen.
    let secrets: Api<Secret> = Api::namespaced(tap.client(server), world.sandbox.namespace());
    secrets.list(&ListParams::default()).await.expect("the Secrets");
    assert_eq!(tap.whole().len(), 1, "{:#?}", tap.whole());
}
