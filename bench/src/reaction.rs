//! How long it takes an idle operator to make its first call to the provider for a new object.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::FutureExt;
use jiff::Timestamp;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt, discovery};
use tokio::sync::oneshot;
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::intent::Timing;
use tradewind::provider::AllowList;
use tradewind::serve::Readiness;
use tradewind::settings::Settings;
use tradewind::telemetry::Metrics;
use tradewind::{api, engine};
use tradewind_cluster::Cluster;
use tradewind_simulator::{Clock, Operation, Setup, Simulator};

/// Where the objects live.
const NAMESPACE: &str = "default";
/// How long anything may take before the measurement is given up.
const HANG: Duration = Duration::from_mins(1);

/// The delays of all objects, shortest first.
pub(crate) struct Figures {
    first_call: Vec<Duration>,
    create: Vec<Duration>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "reaction of an idle operator to {} new objects, one at a time (ms)", self.first_call.len())?;
        writeln!(f, "{:<44} {:>7} {:>7} {:>7}", "from the creation of the object to", "min", "median", "max")?;
        for (what, all) in
            [("the first call to the provider", &self.first_call), ("the create at the provider", &self.create)]
        {
            let at = |index: usize| all.get(index).map_or(0.0, |d| d.as_secs_f64() * 1000.0);
            let last = all.len().saturating_sub(1);
            writeln!(f, "{what:<44} {:>7.1} {:>7.1} {:>7.1}", at(0), at(last / 2), at(last))?;
        }
        Ok(())
    }
}

/// Creates so many objects, each when the one before it is done.
pub(crate) async fn measure(objects: usize) -> Result<Figures> {
    let cluster = Cluster::start(Path::new("target/bench/cluster")).await?;
    let simulator = Simulator::new(Clock::real(), Setup::default());
    let (address, server) = simulator.serve().await?;
    let origin = format!("http://{address}");
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config.clone())?;
    install(&client).await?;
    apply(&client, &account(&origin)).await?;

    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = stopped.map(drop).boxed().shared();
    let settings = settings(&origin)?;
    let operator = tokio::spawn(engine::run(
        engine::Reach::real(config)?,
        settings,
        Metrics::new(),
        Readiness::default().gate("watches"),
        stopped,
    ));
    // The first object of an account also makes the account held: it is not counted.
    apply(&client, &connection("warm")).await?;
    until_recorded(&client, "warm").await?;

    let mut figures = Figures { first_call: vec![], create: vec![] };
    for n in 0..objects {
        let calls = simulator.journal().len();
        let begun = Timestamp::now();
        apply(&client, &connection(&format!("c{n}"))).await?;
        until_recorded(&client, &format!("c{n}")).await?;
        let journal = simulator.journal().split_off(calls);
        let since = |wanted: fn(Operation) -> bool| {
            let entry = journal.iter().find(|e| wanted(e.operation) && e.started_at >= begun)?;
            Duration::try_from(entry.started_at.duration_since(begun)).ok()
        };
        figures.first_call.push(since(|_| true).context("a call")?);
        figures.create.push(since(|o| o == Operation::Create).context("a create")?);
    }
    figures.first_call.sort();
    figures.create.sort();
    drop(stop);
    operator.await??;
    server.abort();
    Ok(figures)
}

fn settings(origin: &str) -> Result<Settings> {
    Ok(Settings {
        namespace: Some(NAMESPACE.to_owned()),
        allow: AllowList::new(&[origin.to_owned()])?,
        ca_bundle: None,
        concurrency: 16,
        listen: ([127, 0, 0, 1], 0).into(),
        watch_secrets: false,
        lease: None,
        identity: "tradewind-bench".to_owned(),
        timing: Timing { permit: Duration::from_secs(30), call: Duration::from_secs(20), lag: Duration::from_secs(25) },
        poll: Duration::from_secs(15),
        probe_interval: Duration::from_mins(10),
        shutdown_grace: Duration::from_secs(25),
    })
}

async fn install(client: &Client) -> Result<()> {
    for crd in api::crd::all()? {
        apply(client, &serde_json::to_string(&crd.manifest)?).await?;
    }
    let found = async {
        while Api::<Connection>::namespaced(client.clone(), NAMESPACE).list(&ListParams::default()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(HANG, found).await.context("the kinds are not served")
}

async fn apply(client: &Client, yaml: &str) -> Result<()> {
    for object in serde_yaml::from_multiple::<DynamicObject>(yaml)? {
        let types = object.types.as_ref().context("a document with apiVersion and kind")?;
        let (kind, _) = discovery::pinned_kind(client, &types.try_into()?).await?;
        let api: Api<DynamicObject> = if types.kind == "CustomResourceDefinition" {
            Api::all_with(client.clone(), &kind)
        } else {
            Api::namespaced_with(client.clone(), NAMESPACE, &kind)
        };
        let name = object.name_any();
        api.patch(&name, &PatchParams::apply("bench").force(), &Patch::Apply(&object)).await?;
    }
    Ok(())
}

async fn until_recorded(client: &Client, name: &str) -> Result<()> {
    let api: Api<Connection> = Api::namespaced(client.clone(), NAMESPACE);
    let recorded = kube::runtime::wait::await_condition(api.clone(), name, |c: Option<&Connection>| {
        c.and_then(|c| c.status.as_ref()).is_some_and(|s| s.external_id.is_some())
    });
    match tokio::time::timeout(HANG, recorded).await {
        Ok(object) => ensure!(object?.is_some(), "{name} vanished"),
        Err(_) => bail!("{name} was not made in time: {}", serde_json::to_string_pretty(&api.get(name).await?.status)?),
    }
    Ok(())
}

fn account(origin: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: rutter-api}}
stringData: {{client_id: test-client-id, client_secret: test-client-secret}}
---
apiVersion: v1
kind: Secret
metadata: {{name: store-login}}
stringData: {{oauth_access_token: test-store-token}}
---
apiVersion: tradewind.dev/v1alpha1
kind: ProviderAccount
metadata: {{name: rutter}}
spec:
  provider: Rutter
  endpoint: {origin}/versioned
  credentialsSecretRef: {{name: rutter-api}}
"
    )
}

fn connection(name: &str) -> String {
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
    parameters: {{store_url: store-{name}.mybigcommerce.com}}
"
    )
}
