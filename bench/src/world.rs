//! What the benchmarks run on: a control plane, a simulated provider, the operator, and objects to apply.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures::FutureExt;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt, discovery};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::intent::Timing;
use tradewind::provider::AllowList;
use tradewind::serve::Readiness;
use tradewind::settings::Settings;
use tradewind::telemetry::Metrics;
use tradewind::{api, engine};
use tradewind_cluster::Cluster;
use tradewind_simulator::{Clock, Setup, Simulator};

/// How long anything may take before a measurement is given up.
pub(crate) const HANG: Duration = Duration::from_mins(1);

/// See the module.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) simulator: Simulator,
    /// Where the provider is.
    pub(crate) origin: String,
    config: Config,
    server: JoinHandle<()>,
    _cluster: Cluster,
}

/// A running operator.
pub(crate) struct Operator {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), engine::RunError>>,
}

impl World {
    /// A new control plane that knows our kinds, and a provider; nothing runs between them yet.
    pub(crate) async fn new() -> Result<Self> {
        let cluster = Cluster::start(Path::new("target/bench/cluster")).await?;
        let simulator = Simulator::new(Clock::real(), Setup::default());
        let (address, server) = simulator.serve().await?;
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        // It runs on this machine.
        config.proxy_url = None;
        let client = Client::try_from(config.clone())?;
        let origin = format!("http://{address}");
        let world = Self { client, simulator, origin, config, server, _cluster: cluster };
        for crd in api::crd::all()? {
            world.apply("", &serde_json::to_string(&crd.manifest)?).await?;
        }
        let found = async {
            while Api::<Connection>::all(world.client.clone()).list(&ListParams::default()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(HANG, found).await.context("the kinds are not served")?;
        Ok(world)
    }

    /// An operator of this namespace, or of the whole cluster.
    pub(crate) fn operator(&self, namespace: Option<&str>) -> Result<Operator> {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(engine::run(
            engine::Reach::real(self.config.clone())?,
            settings(namespace, &self.origin)?,
            Metrics::new(),
            Readiness::default().gate("watches"),
            stopped.map(drop).boxed().shared(),
        ));
        Ok(Operator { stop, task })
    }

    /// Applies documents: what is of a namespace goes into this one.
    pub(crate) async fn apply(&self, namespace: &str, yaml: &str) -> Result<()> {
        for object in serde_yaml::from_multiple::<DynamicObject>(yaml)? {
            let types = object.types.as_ref().context("a document with apiVersion and kind")?;
            let (kind, capabilities) = discovery::pinned_kind(&self.client, &types.try_into()?).await?;
            let api: Api<DynamicObject> = match capabilities.scope {
                discovery::Scope::Cluster => Api::all_with(self.client.clone(), &kind),
                discovery::Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, &kind),
            };
            let name = object.name_any();
            api.patch(&name, &PatchParams::apply("bench").force(), &Patch::Apply(&object)).await?;
        }
        Ok(())
    }

    /// Ends the provider; the control plane ends with what is dropped.
    pub(crate) fn end(self) {
        self.server.abort();
    }
}

impl Operator {
    /// Ends it.
    pub(crate) async fn end(self) -> Result<()> {
        self.stop.send(()).map_err(|()| anyhow!("the operator has ended by itself"))?;
        Ok(self.task.await??)
    }
}

fn settings(namespace: Option<&str>, origin: &str) -> Result<Settings> {
    Ok(Settings {
        namespace: namespace.map(str::to_owned),
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
