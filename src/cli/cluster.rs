//! The cluster that a command speaks to, and what it reads and writes there: with the caller's own rights.

use super::{
    names::{Kind, ManagedKind},
    proxy,
    refusal::{BadInput, is_missing, plain},
};
use crate::api::v1alpha1::{ClusterProviderAccount, Connection, IntegrationInstance, ProviderAccount};
use anyhow::anyhow;
use kube::{
    Api, Client, Config, Resource,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt::Debug, path::PathBuf, time::Duration};

/// Field manager of everything that a person writes with this program; the operator's is another one.
const FIELD_MANAGER: &str = "tradewind-cli";

/// Nobody waits longer for an answer; a watch may stay silent all the same.
const ANSWER: Duration = Duration::from_secs(15);

/// Which cluster.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ClusterArgs {
    /// The kubeconfig file; otherwise $KUBECONFIG, ~/.kube/config, or the service account of the pod
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    kubeconfig: Option<PathBuf>,
    /// The context in it
    #[arg(long, help_heading = "Cluster")]
    context: Option<String>,
}

impl ClusterArgs {
    /// The configuration that kubectl would take. `environment`: what counts of it for the way to the cluster.
    pub(super) async fn config(&self, environment: &proxy::Environment) -> anyhow::Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let read = match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let proxy = read.as_ref().ok().and_then(|kubeconfig| proxy::named(kubeconfig, self.context.as_deref()));
        let found = match read {
            Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
            Err(error) => Err(error),
        };
        let mut config = match found {
            Ok(config) => config,
            Err(error) => match proxy::refusal(&error, proxy.is_some()) {
                Some(refusal) => return Err(refusal.into()),
                None => return self.of_pod(&error),
            },
        };
        config.proxy_url = proxy::to(&config.cluster_url, proxy.as_deref(), environment)?;
        Ok(config)
    }

    /// The configuration of the service account, where no kubeconfig was asked for. A pod speaks to its cluster directly.
    fn of_pod(&self, error: &KubeconfigError) -> anyhow::Result<Config> {
        let what = format!("there is no cluster to speak to ({error}). Name one with --kubeconfig or --context");
        if self.kubeconfig.is_some() || self.context.is_some() {
            return Err(BadInput::new(what).into());
        }
        Config::incluster().map_err(|_| anyhow!(what))
    }
}

/// Which namespace of which cluster.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ScopeArgs {
    /// The namespace; that of the kubeconfig's context where absent
    #[arg(short, long, help_heading = "Cluster")]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// A namespace that can be spoken to.
pub(super) struct Scope {
    client: Client,
    namespace: String,
    /// What people type to call this program.
    program: String,
}

/// A kind that people name.
pub(super) trait Typed: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static {
    /// The kind, as people type it and read it.
    const TYPED: Kind;

    /// The objects of the kind in a namespace, or in the cluster where it is no kind of namespaces.
    fn api(scope: &Scope) -> Api<Self>;
}

impl Typed for Connection {
    const TYPED: Kind = Kind::Managed(ManagedKind::Connection);

    fn api(scope: &Scope) -> Api<Self> {
        Api::namespaced(scope.client.clone(), &scope.namespace)
    }
}

impl Typed for IntegrationInstance {
    const TYPED: Kind = Kind::Managed(ManagedKind::IntegrationInstance);

    fn api(scope: &Scope) -> Api<Self> {
        Api::namespaced(scope.client.clone(), &scope.namespace)
    }
}

impl Typed for ProviderAccount {
    const TYPED: Kind = Kind::ProviderAccount;

    fn api(scope: &Scope) -> Api<Self> {
        Api::namespaced(scope.client.clone(), &scope.namespace)
    }
}

impl Typed for ClusterProviderAccount {
    const TYPED: Kind = Kind::ClusterProviderAccount;

    fn api(scope: &Scope) -> Api<Self> {
        Api::all(scope.client.clone())
    }
}

impl ScopeArgs {
    /// Builds the client. Nothing is sent yet.
    pub(super) async fn open(&self, program: &str) -> anyhow::Result<Scope> {
        let mut config = self.cluster.config(&proxy::Environment::read()).await?;
        config.connect_timeout = Some(ANSWER / 3);
        // A write that was answered with an error may have been applied all the same: a second one would hide that.
        config.default_retry = false;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = ClientBuilder::try_from(config).map_err(|error| plain(error, program))?;
        let client = client.with_layer(&tower::timeout::TimeoutLayer::new(ANSWER)).build();
        Ok(Scope { client, namespace, program: program.to_owned() })
    }
}

impl Scope {
    /// The namespace.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The namespace of objects of a kind, where they are in one.
    pub(super) fn namespace_of(&self, kind: Kind) -> Option<&str> {
        (!kind.is_shared()).then_some(self.namespace.as_str())
    }

    /// The client.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The objects of a kind in the namespace.
    pub(super) fn api<K: Typed>(&self) -> Api<K> {
        K::api(self)
    }

    /// An object that must be there.
    pub(super) async fn get<K: Typed>(&self, name: &str) -> anyhow::Result<K> {
        self.api::<K>().get(name).await.map_err(|error| self.explain(error, K::TYPED, name))
    }

    /// An object that must be there, as it is stored, be it readable or not.
    pub(super) async fn stored<K: Typed>(&self, name: &str) -> anyhow::Result<DynamicObject> {
        self.all_stored::<K>().get(name).await.map_err(|error| self.explain(error, K::TYPED, name))
    }

    /// Lays a merge patch over an object, without reading what it then is.
    pub(super) async fn patch_stored<K: Typed>(&self, name: &str, body: &Value) -> anyhow::Result<()> {
        let patched = self.all_stored::<K>().patch(name, &patch_params(), &Patch::Merge(body)).await;
        patched.map(drop).map_err(|error| self.explain(error, K::TYPED, name))
    }

    fn all_stored<K: Typed>(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::erase::<K>(&()))
    }

    /// A failed request, in plain words.
    pub(super) fn plain(&self, error: kube::Error) -> anyhow::Error {
        plain(error, &self.program)
    }

    /// A failed request about one object, in plain words.
    pub(super) fn explain(&self, error: kube::Error, kind: Kind, name: &str) -> anyhow::Error {
        if is_missing(&error) { self.missing(kind, name) } else { self.plain(error) }
    }

    /// What to say of an object that is not there.
    pub(super) fn missing(&self, kind: Kind, name: &str) -> anyhow::Error {
        let (program, what) = (&self.program, kind.as_str());
        let Some(namespace) = self.namespace_of(kind) else {
            return anyhow!("there is no {what} {name}. `{program} status -A` lists those there are");
        };
        anyhow!(
            "there is no {what} {name} in namespace {namespace}. `{program} status -n {namespace}` lists those there are"
        )
    }

    /// Lays a merge patch over an object.
    pub(super) async fn patch<K: Typed>(&self, name: &str, body: &Value) -> anyhow::Result<K> {
        let patched = self.api::<K>().patch(name, &patch_params(), &Patch::Merge(body)).await;
        patched.map_err(|error| self.explain(error, K::TYPED, name))
    }
}

fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
