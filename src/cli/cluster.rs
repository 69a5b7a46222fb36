//! The cluster that a command speaks to, and what it reads and writes there: with the caller's own rights.

use super::{
    caller::Caller,
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
use std::{
    ffi::OsString,
    fmt::Debug,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

/// Field manager of everything that a person writes with this program; the operator's is another one.
const FIELD_MANAGER: &str = "tradewind-cli";

/// Nobody waits longer for an answer; a watch may stay silent all the same.
const ANSWER: Duration = Duration::from_secs(15);

/// Which cluster.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ClusterArgs {
    /// The kubeconfig file; otherwise $KUBECONFIG, ~/.kube/config, or the service account of the pod
    // No path to clap, which takes no empty one.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath, help_heading = "Cluster")]
    kubeconfig: Option<OsString>,
    /// The context in it
    #[arg(long, help_heading = "Cluster")]
    context: Option<String>,
}

impl ClusterArgs {
    /// An empty name is none, as it is to kubectl: it is what becomes of a variable that is not set.
    fn context(&self) -> Option<&String> {
        self.context.as_ref().filter(|name| !name.is_empty())
    }

    fn kubeconfig(&self) -> Option<&Path> {
        self.kubeconfig.as_deref().filter(|file| !file.is_empty()).map(Path::new)
    }

    /// The configuration that kubectl would take. `environment`: what counts of it for the way to the cluster.
    pub(super) async fn config(&self, environment: &proxy::Environment) -> anyhow::Result<Config> {
        let options = KubeConfigOptions { context: self.context().cloned(), ..KubeConfigOptions::default() };
        let read = match self.kubeconfig() {
            Some(file) => Kubeconfig::read_from(file).map(Some),
            None => found(),
        };
        let Some(kubeconfig) = read.map_err(|error| unusable(&error))? else { return self.of_pod() };
        let proxy = proxy::named(&kubeconfig, self.context().map(String::as_str));
        let refusal = |error| proxy::refusal(&error, proxy.is_some()).unwrap_or_else(|| unusable(&error));
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(refusal)?;
        config.proxy_url = proxy::to(&config.cluster_url, proxy.as_deref(), environment)?;
        Ok(config)
    }

    /// The configuration of the service account, where there is no kubeconfig. A pod speaks to its cluster directly.
    fn of_pod(&self) -> anyhow::Result<Config> {
        let what = nowhere("there is no kubeconfig");
        if self.context().is_some() {
            return Err(BadInput::new(what).into());
        }
        Config::incluster().map_err(|_| anyhow!(what))
    }

    /// How this cluster is named again.
    fn caller(&self, program: &str) -> Caller {
        let kubeconfig = self.kubeconfig().map(|file| ("--kubeconfig", file.display().to_string()));
        let context = self.context().map(|name| ("--context", name.clone()));
        Caller::new(program, &kubeconfig.into_iter().chain(context).collect::<Vec<_>>())
    }
}

/// The kubeconfig that nobody named by a flag; `None` where there is none. One that is there, or that `$KUBECONFIG` names,
/// is meant: where it cannot be used, the pod's own cluster is another one.
fn found() -> Result<Option<Kubeconfig>, KubeconfigError> {
    let named = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let named: Vec<PathBuf> = std::env::split_paths(&named).filter(|file| !file.as_os_str().is_empty()).collect();
    // Of several those that are there, as kubectl has it; where none is, the first one is missed.
    let there: Vec<&PathBuf> = named.iter().filter(|file| file.try_exists().unwrap_or(true)).collect();
    let meant = if there.is_empty() { named.first().into_iter().collect() } else { there };
    if !meant.is_empty() {
        let merge = |all: Kubeconfig, file: &PathBuf| all.merge(Kubeconfig::read_from(file)?);
        return meant.into_iter().try_fold(Kubeconfig::default(), merge).map(Some);
    }
    match Kubeconfig::read() {
        Err(KubeconfigError::FindPath) => Ok(None),
        Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// A kubeconfig that names no cluster. What cannot be parsed is not repeated: there may be a credential in it.
fn unusable(error: &KubeconfigError) -> BadInput {
    let why = if let KubeconfigError::Parse(error) = error {
        let line = error.location().map(|location| format!(" in line {}", location.line())).unwrap_or_default();
        format!("the kubeconfig cannot be read{line}")
    } else {
        error.to_string()
    };
    BadInput::new(nowhere(&why))
}

fn nowhere(why: &str) -> String {
    format!("there is no cluster to speak to ({why}). Name one with --kubeconfig or --context")
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
    caller: Caller,
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
        let caller = self.cluster.caller(program);
        let namespace = self.namespace_in(&config);
        let client = ClientBuilder::try_from(config).map_err(|error| plain(error, &caller))?;
        let client = client.with_layer(&tower::timeout::TimeoutLayer::new(ANSWER)).build();
        Ok(Scope { client, namespace, caller })
    }

    /// An empty name is none here, too.
    fn namespace_in(&self, config: &Config) -> String {
        let named = self.namespace.iter().chain([&config.default_namespace]).find(|name| !name.is_empty());
        named.map_or("default", String::as_str).to_owned()
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

    /// What people type to run something again in the cluster.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
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
        self.objects(K::TYPED, false)
    }

    /// The objects of a kind as they are stored, be they readable or not; `everywhere`: in all namespaces.
    pub(super) fn objects(&self, kind: Kind, everywhere: bool) -> Api<DynamicObject> {
        let resource = match kind {
            Kind::Managed(ManagedKind::Connection) => ApiResource::erase::<Connection>(&()),
            Kind::Managed(ManagedKind::IntegrationInstance) => ApiResource::erase::<IntegrationInstance>(&()),
            Kind::ProviderAccount => ApiResource::erase::<ProviderAccount>(&()),
            Kind::ClusterProviderAccount => ApiResource::erase::<ClusterProviderAccount>(&()),
        };
        match self.namespace_of(kind).filter(|_| !everywhere) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// A failed request, in plain words.
    pub(super) fn plain(&self, error: kube::Error) -> anyhow::Error {
        plain(error, &self.caller)
    }

    /// A failed request about one object, in plain words.
    pub(super) fn explain(&self, error: kube::Error, kind: Kind, name: &str) -> anyhow::Error {
        if is_missing(&error) { self.missing(kind, name) } else { self.plain(error) }
    }

    /// What to say of an object that is not there.
    pub(super) fn missing(&self, kind: Kind, name: &str) -> anyhow::Error {
        let what = kind.as_str();
        let (place, all) = match self.namespace_of(kind) {
            Some(namespace) => (format!(" in namespace {namespace}"), format!("status -n {namespace}")),
            None => (String::new(), "status -A".to_owned()),
        };
        anyhow!("there is no {what} {name}{place}. `{}` lists those there are", self.caller.command(&all))
    }

    /// Lays a merge patch over an object.
    pub(super) async fn patch<K: Typed>(&self, name: &str, body: &Value) -> anyhow::Result<K> {
        let patched = self.api::<K>().patch(name, &patch_params(), &Patch::Merge(body)).await;
        patched.map_err(|error| self.explain(error, K::TYPED, name))
    }
}

/// A field that the CRD does not have is refused: it would be dropped without a word.
fn patch_params() -> PatchParams {
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    params.validation_strict()
}
