//! The control plane that all lives share: our kinds in it, and for each life a namespace with the operator's service account.
//!
//! Owns the control plane. It must never hand out the administrator's rights as the operator's: those are what
//! `config/rbac/role.yaml` says, in one namespace.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt, discovery};
use serde_json::json;
use tradewind::api::crd;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance, ProviderAccount};
use tradewind_cluster::Cluster;

use crate::proxy::Upstream;

/// The least that the operator needs.
const ROLE: &str = include_str!("../../../config/rbac/role.yaml");
/// The operator's service account.
const OPERATOR: &str = "tradewind";
/// How long the kinds may take to be served.
const SERVED: Duration = Duration::from_mins(1);

/// See the module.
pub struct Plane {
    dir: PathBuf,
    /// The administrator.
    pub client: Client,
    /// How a proxy reaches the API server.
    pub api_server: Upstream,
    _cluster: Cluster,
}

/// A namespace, and what its operator logs in with.
pub struct Ground {
    /// Its name.
    pub namespace: String,
    token: String,
    dir: PathBuf,
}

impl Plane {
    /// Starts the control plane with its files below `dir`.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(dir: &Path) -> Result<Self> {
        let cluster = Cluster::start(&dir.join("cluster")).await?;
        let files = dir.join("lives");
        // Of a run before this one.
        let _ = std::fs::remove_dir_all(&files);
        std::fs::create_dir_all(&files)?;
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        // It runs on this machine.
        (config.default_retry, config.proxy_url) = (false, None);
        let api_server = Upstream::api_server(&config)?;
        let client = Client::try_from(config)?;
        install(&client).await?;
        Ok(Self { dir: files, client, api_server, _cluster: cluster })
    }

    /// A namespace that nobody has used.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn ground(&self, name: &str) -> Result<Ground> {
        let namespace = format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let created = PostParams::default();
        let object: Namespace = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
        Api::all(self.client.clone()).create(&created, &object).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &namespace);
        accounts.create(&created, &serde_json::from_value(json!({"metadata": {"name": OPERATOR}}))?).await?;
        let role: Role = serde_yaml::from_str(ROLE)?;
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": OPERATOR},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role.name_any()},
            "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": namespace}],
        }))?;
        Api::namespaced(self.client.clone(), &namespace).create(&created, &role).await?;
        Api::namespaced(self.client.clone(), &namespace).create(&created, &binding).await?;
        let request: TokenRequest =
            serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 86_400}}))?;
        let token = accounts.create_token_request(OPERATOR, &created, &request).await?;
        let token = token.status.and_then(|status| status.token).context("a token")?;
        Ok(Ground { namespace, token, dir: self.dir.clone() })
    }
}

impl Ground {
    /// A kubeconfig of the operator whose API server is this proxy.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn kubeconfig(&self, proxy: SocketAddr) -> Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "crash",
            "clusters": [{"name": "crash", "cluster": {"server": format!("http://{proxy}")}}],
            "users": [{"name": "crash", "user": {"token": self.token}}],
            "contexts": [{"name": "crash", "context": {"cluster": "crash", "user": "crash"}}],
        });
        let path = self.file(&format!("{}.kubeconfig", proxy.port()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(config.to_string().as_bytes())?;
        Ok(path)
    }

    /// A file of this life.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{}-{name}", self.namespace))
    }
}

/// Applies an object as a user does.
///
/// # Errors
/// The API server refuses it.
pub async fn apply(client: &Client, namespace: &str, object: serde_json::Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.as_ref().context("an object with apiVersion and kind")?;
    let (kind, _) = discovery::pinned_kind(client, &types.try_into()?).await?;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    api.patch(&object.name_any(), &PatchParams::apply("user").force().validation_strict(), &Patch::Apply(&object))
        .await?;
    Ok(())
}

async fn install(client: &Client) -> Result<()> {
    let crds: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        Api::all(client.clone());
    for crd in crd::all()? {
        let name = crd.manifest.pointer("/metadata/name").and_then(|name| name.as_str()).context("a name")?;
        crds.patch(name, &PatchParams::apply("crash").force(), &Patch::Apply(&crd.manifest)).await?;
    }
    let found = async {
        let list = ListParams::default();
        while Api::<Connection>::default_namespaced(client.clone()).list(&list).await.is_err()
            || Api::<IntegrationInstance>::default_namespaced(client.clone()).list(&list).await.is_err()
            || Api::<ProviderAccount>::default_namespaced(client.clone()).list(&list).await.is_err()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(SERVED, found).await.context("the kinds are not served")
}
