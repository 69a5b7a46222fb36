//! A world of one test: a namespace on the real API server, a simulated provider on a real socket, and the operator
//! between them, with the operator's own rights.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, ManagedStatus, ManagementPolicy, ProviderAccount};
use tradewind::domain::decide::Resolution;
use tradewind::domain::intent::{Stored, Timing};
use tradewind::engine::{self, Reach};
use tradewind::provider::AllowList;
use tradewind::serve::Readiness;
use tradewind::settings::Settings;
use tradewind::telemetry::{self, LogFormat, Metrics};
use tradewind_simulator::rutter::Deed;
use tradewind_simulator::{Clock, Operation, Setup, Simulator, arcus, rutter, sku_io};
use uuid::Uuid;

use crate::cluster::{HANG, Sandbox};
use crate::conditions::Observed;

/// Short times, so that a test sees a whole life in seconds. They are the settings' own, nothing is mocked.
pub(crate) const TIMING: Timing =
    Timing { permit: Duration::from_secs(2), call: Duration::from_secs(3), lag: Duration::from_secs(1) };

/// What stands in the Secrets of tests, in place of real credentials; looked for everywhere else.
pub(crate) const LOGIN_CANARY: &str = "test-canary-login-7f3a";
/// The same login as a key of Arcus.
pub(crate) const ARCUS_KEY: &str = "ark_test_ent_acme_test-canary-login-7f3a";
/// The same login as a token of SKU.io.
pub(crate) const SKU_TOKEN: &str = "1|test-canary-login-7f3a";
/// The same for the store's own token.
pub(crate) const STORE_CANARY: &str = "test-canary-store-91bc";

/// The public part of the login.
pub(crate) const CLIENT_ID: &str = "test-client-id";

/// See the module.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) simulator: Simulator,
    /// Base URL of the simulated provider.
    pub(crate) endpoint: String,
    pub(crate) settings: Settings,
    /// Whose rights the operator has, where not those of the sandbox's own service account.
    pub(crate) kubeconfig: Option<PathBuf>,
    operator: Option<Operator>,
    /// Of all its operators, one after the other.
    pub(crate) metrics: Metrics,
    /// The provider's port, which nobody else gets while it is down.
    kept: TcpSocket,
    server: JoinHandle<()>,
}

/// A socket at this address, which others of ours may share. Not even a listener that a child process holds on to, between
/// its fork and its exec, is in the way of another one.
fn port(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("an option of sockets");
    socket.bind(address).expect("a port");
    socket
}

fn serve(simulator: &Simulator, address: SocketAddr) -> JoinHandle<()> {
    let listener = port(address).listen(1024).expect("a listener");
    tokio::spawn(tradewind_simulator::serve(listener, simulator.router(), std::future::pending()))
}

/// A running operator.
struct Operator {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), engine::RunError>>,
}

impl World {
    /// A namespace and a provider; the operator does not run yet.
    pub(crate) async fn quiet(name: &str) -> Self {
        Self::with(name, Self::setup()).await
    }

    /// What the provider starts with: one login, and times that pass quickly.
    pub(crate) fn setup() -> Setup {
        let setup = Setup {
            rutter: rutter::Settings {
                initial_sync: Duration::from_millis(300),
                history: Duration::from_millis(300),
                sync_period: Duration::from_millis(500),
                ..rutter::Settings::default()
            },
            accounts: vec![rutter::Account {
                client_id: CLIENT_ID.to_owned(),
                client_secret: LOGIN_CANARY.to_owned(),
                ..rutter::Account::default()
            }],
            sku_io: sku_io::Settings {
                cleanup: Duration::from_secs(1),
                sync_period: Duration::from_millis(500),
                job_pending: Duration::from_millis(200),
                job_running: Duration::from_millis(300),
                ..sku_io::Settings::default()
            },
            sku_accounts: vec![sku_io::Account { token: SKU_TOKEN.to_owned(), ..sku_io::Account::default() }],
            arcus: arcus::Settings {
                test_rate: None,
                live_rate: None,
                sync_period: Duration::from_millis(500),
                ..arcus::Settings::default()
            },
            arcus_accounts: vec![arcus::Account { key: ARCUS_KEY.to_owned(), ..arcus::Account::default() }],
            ..Setup::default()
        };
        let seed = u64::from_le_bytes(Uuid::new_v4().as_bytes()[..8].try_into().expect("eight bytes"));
        Setup { seed, ..setup }
    }

    /// A namespace and a provider of another making.
    pub(crate) async fn with(name: &str, setup: Setup) -> Self {
        Self::under(name, Clock::real(), setup).await
    }

    /// A namespace and a provider of another making, which lives by this clock.
    pub(crate) async fn under(name: &str, clock: Clock, setup: Setup) -> Self {
        Self::on(Sandbox::new(name).await, clock, setup)
    }

    /// A provider of another making, for this namespace.
    pub(crate) fn on(sandbox: Sandbox, clock: Clock, setup: Setup) -> Self {
        Self::at(sandbox, Simulator::new(clock, setup))
    }

    /// This namespace, and a provider that others may use too.
    pub(crate) fn at(sandbox: Sandbox, simulator: Simulator) -> Self {
        keep_logs();
        let kept = port(([127, 0, 0, 1], 0).into());
        let address = kept.local_addr().expect("an address");
        let server = serve(&simulator, address);
        let origin = format!("http://{address}");
        let settings = Settings {
            namespace: Some(sandbox.namespace().to_owned()),
            allow: AllowList::new(std::slice::from_ref(&origin)).expect("an endpoint"),
            ca_bundle: None,
            concurrency: 16,
            listen: ([127, 0, 0, 1], 0).into(),
            watch_secrets: false,
            lease: None,
            identity: "tradewind-test".to_owned(),
            timing: TIMING,
            poll: Duration::from_millis(300),
            probe_interval: Duration::from_mins(10),
            shutdown_grace: Duration::from_secs(10),
        };
        let endpoint = format!("{origin}/versioned");
        Self {
            sandbox,
            simulator,
            endpoint,
            settings,
            kubeconfig: None,
            operator: None,
            metrics: Metrics::new(),
            kept,
            server,
        }
    }

    /// A namespace, a provider, an account with its login, a Secret for stores, and a running operator.
    pub(crate) async fn new(name: &str) -> Self {
        let mut world = Self::quiet(name).await;
        world.furnish().await;
        world.start().await;
        world
    }

    /// Makes the account with its login, and the Secret that stores share.
    pub(crate) async fn furnish(&self) {
        self.sandbox.apply(&self.account()).await;
        self.sandbox.apply(&Self::store_login()).await;
    }

    /// The manifest of the Secret that stores share.
    pub(crate) fn store_login() -> String {
        secret("store-login", &[("oauth_access_token", STORE_CANARY)])
    }

    /// The manifests of the account `rutter` and its login.
    pub(crate) fn account(&self) -> String {
        self.account_with("adoption: Allowed")
    }

    /// The same with one more line of spec.
    pub(crate) fn account_with(&self, more: &str) -> String {
        let login = secret("rutter-api", &[("client_id", CLIENT_ID), ("client_secret", LOGIN_CANARY)]);
        format!(
            "{login}---
apiVersion: tradewind.dev/v1alpha1
kind: ProviderAccount
metadata: {{name: rutter}}
spec:
  provider: Rutter
  endpoint: {}
  credentialsSecretRef: {{name: rutter-api}}
  {more}
",
            self.endpoint
        )
    }

    /// Starts the operator and waits until it watches.
    pub(crate) async fn start(&mut self) {
        let reach = self.sandbox.reach(self.kubeconfig.as_deref()).await;
        self.start_over(reach);
    }

    /// The same, with a way to the API server of the test's own.
    pub(crate) fn start_over(&mut self, reach: Reach) {
        assert!(self.operator.is_none(), "one operator at a time");
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = stopped.map(drop).boxed().shared();
        let task = tokio::spawn(engine::run(
            reach,
            self.settings.clone(),
            self.metrics.clone(),
            Readiness::default().gate("watches"),
            stopped,
        ));
        self.operator = Some(Operator { stop, task });
    }

    /// Asks the operator to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) {
        let Operator { stop, task } = self.operator.take().expect("a running operator");
        drop(stop);
        let ended = tokio::time::timeout(HANG, task).await.expect("an end").expect("no panic");
        ended.expect("a clean end");
    }

    /// Ends the operator between two of its steps, as a crash would.
    pub(crate) async fn crash(&mut self) {
        let Operator { stop, task } = self.operator.take().expect("a running operator");
        task.abort();
        let _ = task.await;
        drop(stop);
    }

    /// A connection once a condition says this, of its present generation.
    pub(crate) async fn until(&self, name: &str, kind: &str, status: &str, reason: &str) -> Connection {
        self.sandbox.wait_for::<Connection>(name, HANG, |c| c.says(kind, status, reason)).await
    }

    /// A connection once it is ready and its history is loaded: nothing more changes by itself then.
    pub(crate) async fn settled(&self, name: &str) -> Connection {
        let done = |c: &Connection| {
            c.says("Ready", "True", "Succeeded") && c.says("InitialRefreshComplete", "True", "Succeeded")
        };
        self.sandbox.wait_for::<Connection>(name, HANG, done).await
    }

    /// Asks for a pass over a connection, and waits until one has answered: it knew all that was there when it was asked for.
    pub(crate) async fn reconciled(&self, name: &str) -> Connection {
        let token = self.request(name).await;
        let answered = |c: &Connection| status_of(c).last_handled_reconcile_at.as_deref() == Some(&token);
        self.sandbox.wait_for(name, HANG, answered).await
    }

    /// Asks for a pass over a connection; the token is what status says once one has answered.
    pub(crate) async fn request(&self, name: &str) -> String {
        let token = Uuid::new_v4().to_string();
        self.annotate(name, keys::RECONCILE, Some(&token)).await;
        token
    }

    /// Takes the status of a connection away, as an administrator can.
    pub(crate) async fn wipe_status(&self, name: &str) {
        let wipe = Patch::Merge(json!({"status": null}));
        self.sandbox.api::<Connection>().patch_status(name, &PatchParams::default(), &wipe).await.expect("a status");
    }

    /// Sets an annotation of a connection, or takes it off.
    pub(crate) async fn annotate(&self, name: &str, key: &str, value: Option<&str>) {
        self.change(name, &json!({"metadata": {"annotations": {key: value}}})).await;
    }

    /// Gives a person's answer to what a connection asks.
    pub(crate) async fn resolve(&self, asking: &Connection, resolution: &Resolution) {
        self.annotate(&asking.name_any(), keys::RESOLVE, Some(&answer(asking, resolution))).await;
    }

    /// Changes a connection by a merge patch, as an editor would.
    pub(crate) async fn change(&self, name: &str, patch: &Value) -> Connection {
        let api = self.sandbox.api::<Connection>();
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("a connection to change")
    }

    /// Waits until this is true of the provider.
    pub(crate) async fn provider_until(&self, what: &str, holds: impl Fn(&Simulator) -> bool) {
        let search = async {
            while !holds(&self.simulator) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(HANG, search).await;
        found.unwrap_or_else(|late| panic!("the provider never came to this: {what}: {late}"));
    }

    /// Waits until so many requests of a kind have reached the provider, answered or not.
    pub(crate) async fn until_asked(&self, operation: Operation, times: usize) {
        let asked = |s: &Simulator| s.stats().by_operation.get(&operation).is_some_and(|count| *count >= times);
        self.provider_until(&format!("{times} times {operation:?}"), asked).await;
    }

    /// How many requests of a kind have reached the provider.
    pub(crate) fn asked(&self, operation: Operation) -> usize {
        self.simulator.stats().by_operation.get(&operation).copied().unwrap_or_default()
    }

    /// A stranger connects a store in the same organization; the id of the record.
    pub(crate) fn stranger(&self, store: &str) -> String {
        let (platform, store_url) = ("BIG_COMMERCE".to_owned(), store.to_owned());
        let record = self.simulator.act(&Deed::Connect { client_id: None, platform, store_url });
        record.expect("a store to connect").id.to_string()
    }

    /// Does something to a record behind the operator's back.
    pub(crate) fn deed(&self, id: &str, deed: impl FnOnce(Uuid) -> Deed) {
        let id = id.parse().expect("an id of the provider");
        self.simulator.act(&deed(id)).expect("a live record");
    }

    /// What must be true of the provider at the end of a test: these records are live and no others, no more was ever made through
    /// the API or deleted than that took, and no store has two.
    pub(crate) fn ends_with(&self, live: &[&str], made: usize, deleted: usize) {
        let stats = self.simulator.stats();
        assert_eq!(self.live(), live, "the records that are live");
        assert_eq!((stats.creates, stats.deletes), (made, deleted), "the records that were made and deleted");
        assert!(stats.duplicates.is_empty(), "two records of one store: {:?}", stats.duplicates);
    }

    /// Nobody reaches the provider any more: connections are refused.
    pub(crate) async fn take_provider_down(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// The provider is there again, with all that it knew.
    pub(crate) fn bring_provider_up(&mut self) {
        self.server = serve(&self.simulator, self.kept.local_addr().expect("an address"));
    }

    /// An account once a condition says this, of its present generation.
    pub(crate) async fn account_until(&self, kind: &str, status: &str, reason: &str) -> ProviderAccount {
        self.sandbox.wait_for::<ProviderAccount>("rutter", HANG, |a| a.says(kind, status, reason)).await
    }

    /// The records that are live at the provider, as ids.
    pub(crate) fn live(&self) -> Vec<String> {
        let all = self.simulator.connections();
        all.iter().filter(|r| r.deleted_at.is_none()).map(|r| r.id.to_string()).collect()
    }

    /// What a web server on this machine answers.
    pub(crate) async fn get(&self, url: &str) -> String {
        let answer = reqwest::Client::builder().no_proxy().build().expect("a client").get(url).send().await;
        answer.expect("an answer").text().await.expect("text")
    }

    /// How often people were told this about an object: the events with this reason, each as often as it was counted.
    pub(crate) async fn events(&self, name: &str, reason: &str) -> i32 {
        let all = self.events_of(name, reason).await;
        all.iter().map(|event| event.series.as_ref().map_or(1, |series| series.count)).sum()
    }

    /// The events about an object with this reason.
    pub(crate) async fn events_of(&self, name: &str, reason: &str) -> Vec<Event> {
        let mut all = self.sandbox.api::<Event>().list(&ListParams::default()).await.expect("the events").items;
        all.retain(|event| {
            let regarding = event.regarding.as_ref().and_then(|object| object.name.as_deref());
            regarding == Some(name) && event.reason.as_deref() == Some(reason)
        });
        all
    }

    /// A Secret's value as text.
    pub(crate) async fn secret_value(&self, name: &str, key: &str) -> Option<String> {
        let secret = self.sandbox.get::<Secret>(name).await?;
        let value = secret.data?.remove(key)?;
        Some(String::from_utf8(value.0).expect("text"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
        if let Some(operator) = self.operator.take() {
            operator.task.abort();
        }
    }
}

/// What the operators of all tests log goes into a file, where `make test` looks for credentials afterwards.
fn keep_logs() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let file = logs().join(format!("operators-{}.log", std::process::id()));
        let file = std::fs::File::create(file).expect("a log file");
        telemetry::init_logs_to("info,tradewind=debug", LogFormat::Text, std::sync::Mutex::new(file), false)
            .expect("a filter");
    });
}

/// Where the logs of the tests are.
pub(crate) fn logs() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it/logs");
    std::fs::create_dir_all(&dir).expect("a folder");
    dir
}

/// The manifest of a Secret.
pub(crate) fn secret(name: &str, data: &[(&str, &str)]) -> String {
    let data: serde_json::Map<_, _> = data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {}\n", Value::Object(data))
}

/// The host of a store that no other test uses.
pub(crate) fn store(name: &str) -> String {
    format!("store-{name}.mybigcommerce.com")
}

/// The manifest of a connection in the account `rutter`. `more`: further lines of its spec, by two spaces.
pub(crate) fn connection(name: &str, store: &str, more: &str) -> String {
    format!(
        "apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {{name: {name}}}
spec:
  provider: Rutter
  accountRef: {{name: rutter}}
  platform: BIG_COMMERCE
  rutter:
    credentialsSecretRef: {{name: store-login}}
    parameters: {{store_url: {store}}}
  connectionSecretRef: {{name: {name}-connection}}
{more}"
    )
}

/// A person's answer to what an object asks of them, as `tradewind resolve` writes it.
pub(crate) fn answer(connection: &Connection, answer: &Resolution) -> String {
    answer.write(&Stored {
        uid: &connection.uid().expect("a UID"),
        annotation: connection.annotations().get(keys::CREATE_INTENT).map(String::as_str),
        status: &status_of(connection),
        observe_only: connection.spec.management_policy == ManagementPolicy::ObserveOnly,
    })
}

/// The status of an object; the default where it has none.
pub(crate) fn status_of(connection: &Connection) -> ManagedStatus {
    connection.status.clone().unwrap_or_default()
}

/// What a condition says in words.
pub(crate) fn message(object: &impl Observed, kind: &str) -> String {
    object.condition(kind).map(|condition| condition.message.clone()).unwrap_or_default()
}

/// All that an object says, one line a condition: for the message of a failing test.
pub(crate) fn told(connection: &Connection) -> String {
    let line = |c: &Condition| format!("\n  {}={}/{}: {}", c.type_, c.status, c.reason, c.message);
    let (conditions, observed) = connection.observed().unwrap_or_default();
    let generation = connection.metadata.generation.unwrap_or_default();
    let lines: String = conditions.iter().map(line).collect();
    format!("{}, generation {observed} of {generation}:{lines}", connection.name_any())
}

/// The id that an object records.
pub(crate) fn id_of(connection: &Connection) -> String {
    let id = status_of(connection).external_id;
    id.unwrap_or_else(|| panic!("{} has no id", connection.name_any()))
}
