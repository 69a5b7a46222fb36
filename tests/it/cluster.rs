//! The control plane that the tests of this binary share, and a [`Sandbox`] in it for each test.
//!
//! It owns the one control plane of the process and what is installed in it: our CRDs, before anything else. It must never hand out
//! the administrator's rights as the operator's: the operator's service account may do what `config/rbac/role.yaml` says, no more.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::api::{DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config, Resource, ResourceExt, discovery};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;
use tradewind::engine::Reach;
use tradewind_cluster::{AuditLog, Cluster, Error, Event, Mark};

use crate::manifests;
use crate::memory::{self, Memory};

/// How long anything may take before a test counts as hung. Generous on purpose: no test passes or fails by the speed of a machine.
pub(crate) const HANG: Duration = Duration::from_mins(2);

/// The operator's service account in every sandbox.
const OPERATOR: &str = "tradewind";

/// The least that the operator needs.
const ROLE: &str = include_str!("../../config/rbac/role.yaml");

/// How many test runs can be under way at the same time on one machine.
const SLOTS: u32 = 8;

/// The error is kept too: one clear failure a test, and not one attempt of minutes a test.
static CONTROL_PLANE: OnceCell<Result<Arc<Cluster>, String>> = OnceCell::const_new();

/// The control plane, started by whoever asks first. It outlives the runtime of that test, and ends with the process.
pub(crate) async fn control_plane() -> &'static Arc<Cluster> {
    let started = CONTROL_PLANE
        .get_or_init(async || start_with_crds("cluster").await.map(Arc::new).map_err(|error| format!("{error:#}")))
        .await;
    started.as_ref().unwrap_or_else(|why| panic!("there is no control plane to test against: {why}"))
}

/// A control plane of one test, for what would take something away from all others. It ends with the last sandbox in it.
pub(crate) async fn control_plane_of_its_own() -> Arc<Cluster> {
    private(start_with_crds("private").await)
}

/// The same without our CRDs, for what installs them.
pub(crate) async fn control_plane_without_crds() -> Arc<Cluster> {
    private(start("private").await)
}

fn private(started: anyhow::Result<Cluster>) -> Arc<Cluster> {
    let cluster = started.unwrap_or_else(|why| panic!("no control plane of its own: {why:#}"));
    assert!(cluster.audit_log().is_ok(), "this test takes CRDs away: unset TRADEWIND_KUBECONFIG to run it");
    Arc::new(cluster)
}

async fn start_with_crds(name: &str) -> anyhow::Result<Cluster> {
    let cluster = start(name).await?;
    // First thing, since the garbage collector looks for new kinds only every half a minute.
    install_crds(&cluster).await.context("installing the CRDs")?;
    Ok(cluster)
}

async fn start(name: &str) -> anyhow::Result<Cluster> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it");
    let mut slot = 0;
    loop {
        // Another run of these tests keeps its own; a folder is used again when the run that had it is over.
        match Cluster::start(&root.join(format!("{name}-{slot}"))).await {
            Err(Error::Busy(_) | Error::AlreadyRunning(_)) if slot < SLOTS => slot += 1,
            other => return Ok(other?),
        }
    }
}

/// What the types say now, which another test compares with the files in `crds/`.
pub(crate) async fn install_crds(cluster: &Cluster) -> anyhow::Result<()> {
    let dir = cluster.dir().join("crds");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    for crd in manifests::crds() {
        std::fs::write(dir.join(&crd.file), crd.text())?;
    }
    for verb in [["apply", "--server-side"].as_slice(), &["wait", "--for=condition=Established", "--timeout=60s"]] {
        let output = cluster.kubectl().args(verb).arg("--filename").arg(&dir).stdin(Stdio::null()).output().await?;
        ensure!(output.status.success(), "kubectl {verb:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A kind in a namespace that tests read as its Rust type.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + 'static
{
}

/// What a run of kubectl said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Whether it ended well.
    pub(crate) ok: bool,
    /// Its output.
    pub(crate) out: String,
    /// Its errors and, with the prefix `Warning:`, the API server's warnings.
    pub(crate) err: String,
}

/// Writes of the operator to `tradewind.dev` objects and Secrets, by object: `connections/acme`, `secrets/acme-connection`.
pub(crate) type Writes = BTreeMap<String, Vec<Event>>;

/// A namespace of one test, with the operator's service account in it.
///
/// # Guarantees
/// * Nobody else uses the namespace, in this run or in another one on the same cluster.
/// * The operator's rights are those of `config/rbac/role.yaml` in this namespace, and none elsewhere.
///
/// # Caveats
/// * The client belongs to the runtime of the test that made the sandbox.
/// * Namespaces are not deleted: they end with the control plane. On a cluster of `TRADEWIND_KUBECONFIG` they carry the label
///   `tradewind.dev/test`.
/// * Of the API server in memory there is one for each sandbox, without rights, CEL and kubectl: a test that needs
///   one of these is in a module `real`, which a run with that one leaves out.
pub(crate) struct Sandbox {
    server: Server,
    namespace: String,
    client: Client,
}

/// The API server of a sandbox.
enum Server {
    Real { cluster: Arc<Cluster>, operator_kubeconfig: PathBuf },
    Memory(Memory),
}

impl Sandbox {
    /// Makes a namespace whose name begins with `name`, and the operator's service account.
    pub(crate) async fn new(name: &str) -> Self {
        if memory::is_meant() { Self::in_memory(name) } else { Self::on(Arc::clone(control_plane().await), name).await }
    }

    /// The same on an API server of its own: for an operator that looks after all there is on it.
    pub(crate) async fn alone(name: &str) -> Self {
        if memory::is_meant() { Self::in_memory(name) } else { Self::on(control_plane_of_its_own().await, name).await }
    }

    /// The same on the API server in memory, whichever this run is meant for: it takes whatever it is given.
    pub(crate) fn unchecked(name: &str) -> Self {
        let sandbox = Self::in_memory(name);
        if let Server::Memory(memory) = &sandbox.server {
            memory.trust();
        }
        sandbox
    }

    /// From now on watches show a change this late; a real server cannot be told so.
    pub(crate) fn lag(&self, lag: Duration) {
        if let Server::Memory(memory) = &self.server {
            memory.lag(lag);
        }
    }

    /// Another namespace on the same API server.
    pub(crate) async fn beside(&self, name: &str) -> Self {
        match &self.server {
            Server::Real { cluster, .. } => Self::on(Arc::clone(cluster), name).await,
            Server::Memory(memory) => {
                let namespace = unique(name);
                Self { server: Server::Memory(memory.with(&namespace)), client: memory.client(), namespace }
            }
        }
    }

    fn in_memory(name: &str) -> Self {
        one_tls_provider();
        let namespace = unique(name);
        let memory = Memory::new(&namespace, &Path::new(env!("CARGO_TARGET_TMPDIR")).join("it/memory"));
        Self { client: memory.client(), server: Server::Memory(memory), namespace }
    }

    /// Lets the operator of this namespace look after all others too, with these rules.
    pub(crate) async fn allow_everywhere(&self, rules: Value) {
        if matches!(self.server, Server::Memory(_)) {
            return;
        }
        let role: ClusterRole =
            serde_json::from_value(json!({"metadata": {"name": self.namespace}, "rules": rules})).expect("a role");
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": self.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.namespace},
            "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": self.namespace}],
        }))
        .expect("a binding");
        Api::all(self.client.clone()).create(&PostParams::default(), &role).await.expect("a new role");
        Api::all(self.client.clone()).create(&PostParams::default(), &binding).await.expect("a new binding");
    }

    /// Sets a label of the namespace, or takes it off.
    pub(crate) async fn label(&self, key: &str, value: Option<&str>) {
        let patch = Patch::Merge(json!({"metadata": {"labels": {key: value}}}));
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.patch(&self.namespace, &PatchParams::default(), &patch).await.expect("a namespace to label");
    }

    /// The same on another control plane.
    pub(crate) async fn on(cluster: Arc<Cluster>, name: &str) -> Self {
        let client = client_of(cluster.kubeconfig()).await;
        let namespace = unique(name);
        let labels = BTreeMap::from([("tradewind.dev/test".to_owned(), name.to_owned())]);
        let mut object = Namespace::default();
        object.metadata.name = Some(namespace.clone());
        object.metadata.labels = Some(labels);
        Api::all(client.clone()).create(&PostParams::default(), &object).await.expect("a new namespace");
        allow_operator(&client, &namespace).await.expect("the operator's service account");
        let operator_kubeconfig =
            cluster.service_account_kubeconfig(&namespace, OPERATOR).await.expect("a token for the operator");
        Self { server: Server::Real { cluster, operator_kubeconfig }, namespace, client }
    }

    /// The namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The control plane that the namespace is on.
    pub(crate) fn cluster(&self) -> &Cluster {
        self.real().0
    }

    fn real(&self) -> (&Cluster, &Path) {
        match &self.server {
            Server::Real { cluster, operator_kubeconfig } => (cluster, operator_kubeconfig),
            Server::Memory(_) => panic!("this test needs the real API server: it belongs into a module `real`"),
        }
    }

    /// What was asked of the API server.
    pub(crate) fn audit_log(&self) -> &AuditLog {
        match &self.server {
            Server::Real { cluster, .. } => cluster.audit_log().expect("an audit log"),
            Server::Memory(memory) => memory.audit_log(),
        }
    }

    /// The way of the operator to the API server, with the operator's rights. `kubeconfig`: of somebody else's rights.
    pub(crate) async fn reach(&self, kubeconfig: Option<&Path>) -> Reach {
        match &self.server {
            Server::Memory(memory) if kubeconfig.is_none() => {
                Reach::simulated(memory.for_operator(self.operator()), None, Timestamp::now)
            }
            Server::Real { .. } | Server::Memory(_) => {
                let kubeconfig = Kubeconfig::read_from(kubeconfig.unwrap_or_else(|| self.operator_kubeconfig()));
                let options = KubeConfigOptions::default();
                let config = Config::from_custom_kubeconfig(kubeconfig.expect("a kubeconfig"), &options).await;
                Reach::real(nearby(config.expect("a config"))).expect("a client")
            }
        }
    }

    /// As whom the operator is known.
    fn operator(&self) -> String {
        format!("system:serviceaccount:{}:{OPERATOR}", self.namespace)
    }

    /// A client that may do everything.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A kubeconfig that acts as the operator.
    pub(crate) fn operator_kubeconfig(&self) -> &Path {
        self.real().1
    }

    /// A client that acts as the operator.
    pub(crate) async fn operator_client(&self) -> Client {
        client_of(self.operator_kubeconfig()).await
    }

    /// The objects of a kind in this namespace, for the administrator.
    pub(crate) fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies every document of `yaml` to this namespace, whatever namespace it names.
    pub(crate) async fn apply(&self, yaml: &str) {
        if let Err(error) = self.try_apply(yaml).await {
            panic!("{error}\n--- while applying\n{yaml}");
        }
    }

    /// Applies documents that may be refused; those before the refused one are applied.
    pub(crate) async fn try_apply(&self, yaml: &str) -> kube::Result<()> {
        for mut object in documents(yaml) {
            let api = self.dynamic_api(&object).await;
            object.metadata.namespace = api.namespace().map(str::to_owned);
            let params = PatchParams::apply("it").force().validation_strict();
            api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await?;
        }
        Ok(())
    }

    /// The objects of a manifest's kind in this namespace, or in the cluster where it is no kind of namespaces.
    pub(crate) async fn dynamic_api(&self, object: &DynamicObject) -> Api<DynamicObject> {
        let types = object.types.as_ref().expect("a document with apiVersion and kind");
        let kind = GroupVersionKind::try_from(types).expect("a document with a valid apiVersion");
        let found = discovery::pinned_kind(&self.client, &kind).await;
        let (resource, capabilities) = found.expect("a kind that the cluster knows");
        match capabilities.scope {
            discovery::Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            discovery::Scope::Namespaced => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
        }
    }

    /// Reads an object that may not be there.
    pub(crate) async fn get<K: Kind>(&self, name: &str) -> Option<K> {
        self.api::<K>().get_opt(name).await.expect("an answer of the API server")
    }

    /// `kubectl replace` with the manifest as somebody has it in a file, without our metadata. Who is told that the object was
    /// modified meanwhile, as by the operator that is at work on it, does it again.
    pub(crate) async fn replace(&self, yaml: &str) {
        for mut object in documents(yaml) {
            let api = self.dynamic_api(&object).await;
            let name = object.name_any();
            loop {
                object.metadata.resource_version =
                    api.get(&name).await.expect("an object to replace").resource_version();
                match api.replace(&name, &PostParams::default(), &object).await {
                    Err(kube::Error::Api(status)) if status.is_conflict() => {}
                    replaced => break drop(replaced.expect("an object that can be replaced")),
                }
            }
        }
    }

    /// Takes one right of the operator's role away. Returns once the authorizer, which follows by a watch of its own, has seen it.
    pub(crate) async fn deny(&self, verb: &str, resource: &str) {
        let mut rules = Vec::new();
        for rule in role().rules.unwrap_or_default() {
            for of_rule in rule.resources.iter().flatten() {
                let mut one = rule.clone();
                one.resources = Some(vec![of_rule.clone()]);
                one.verbs.retain(|of_one| of_rule != resource || of_one != verb);
                rules.extend(Some(one).filter(|one| !one.verbs.is_empty()));
            }
        }
        self.set_rules(rules, verb, resource, false).await;
    }

    /// Gives the operator back all that its role says. `verb` and `resource`: of what was taken away.
    pub(crate) async fn allow(&self, verb: &str, resource: &str) {
        self.set_rules(role().rules.unwrap_or_default(), verb, resource, true).await;
    }

    async fn set_rules(&self, rules: Vec<PolicyRule>, verb: &str, resource: &str, allowed: bool) {
        let patch = Patch::Merge(json!({"rules": rules}));
        self.api::<Role>().patch(OPERATOR, &PatchParams::default(), &patch).await.expect("a role to change");
        let (kind, part) = resource.split_once('/').unwrap_or((resource, ""));
        let (user, part) = (format!("--as={}", self.operator()), format!("--subresource={part}"));
        let question = ["auth", "can-i", verb, kind, &part, &user];
        let followed = async { while self.kubectl(&question).await.ok != allowed {} };
        tokio::time::timeout(HANG, followed).await.expect("an authorizer that follows");
    }

    /// Asks for the deletion of an object that is there. Finalizers may keep it: see [`Sandbox::wait_gone`].
    pub(crate) async fn delete<K: Kind>(&self, name: &str) {
        self.api::<K>().delete(name, &DeleteParams::default()).await.expect("an object to delete");
    }

    /// Waits until an object is there and as it should be, and returns it as it was at that moment.
    pub(crate) async fn wait_for<K: Kind>(&self, name: &str, deadline: Duration, holds: impl Fn(&K) -> bool) -> K {
        self.watch_until(name, deadline, |object: Option<K>| object.filter(&holds)).await
    }

    /// Waits until there is no such object.
    pub(crate) async fn wait_gone<K: Kind>(&self, name: &str, deadline: Duration) {
        self.watch_until(name, deadline, |object: Option<K>| object.is_none().then_some(())).await;
    }

    /// Shows every version of an object to `decide` until that returns something.
    async fn watch_until<K: Kind, T>(
        &self,
        name: &str,
        deadline: Duration,
        decide: impl Fn(Option<K>) -> Option<T>,
    ) -> T {
        let mut last = None;
        let search = async {
            let mut versions = pin!(watcher::watch_object(self.api::<K>(), name).default_backoff());
            while let Some(version) = versions.next().await {
                // The stream opens a broken watch anew by itself.
                let Ok(version) = version else { continue };
                last.clone_from(&version);
                if let Some(found) = decide(version) {
                    return found;
                }
            }
            panic!("the watch of {name} ended");
        };
        match tokio::time::timeout(deadline, search).await {
            Ok(found) => found,
            Err(late) => panic!("{} {name}: {late} ({deadline:?}). Last seen:\n{}", K::kind(&()), show(last)),
        }
    }

    /// Where the audit log ends now, for [`Sandbox::audit_writes`].
    pub(crate) fn mark(&self) -> Mark {
        self.audit_log().mark().expect("an audit log")
    }

    /// What the operator of this sandbox wrote since, or tried to: the answer's code is in the event.
    pub(crate) fn audit_writes(&self, since: Mark) -> Writes {
        let (operator, events) = (self.operator(), self.audit_log().since(since).expect("an audit log"));
        let mut writes = Writes::new();
        for event in events.filter(|event| event.user == operator && event.is_write()) {
            if event.api_group == tradewind::api::GROUP || event.is_about("", "secrets") {
                writes.entry(format!("{}/{}", event.resource, event.name)).or_default().push(event);
            }
        }
        writes
    }

    /// Runs kubectl as the administrator in this namespace.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Said {
        self.kubectl_with(args, "").await
    }

    /// Runs kubectl with something to read, for `--filename=-`.
    pub(crate) async fn kubectl_with(&self, args: &[&str], input: &str) -> Said {
        let mut command = self.cluster().kubectl();
        command.arg("--namespace").arg(&self.namespace).args(args);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = piped.expect("kubectl");
        let mut stdin = child.stdin.take().expect("its standard input");
        // One that does not read it may be gone already; what it says is what counts.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.expect("the end of kubectl");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A name that no other sandbox has.
fn unique(name: &str) -> String {
    format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8])
}

/// The documents of a YAML text.
pub(crate) fn documents(yaml: &str) -> Vec<DynamicObject> {
    let documents: Vec<Value> = serde_yaml::from_multiple(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    documents.into_iter().map(|document| serde_json::from_value(document).expect("a Kubernetes object")).collect()
}

/// As in the program, for everything. The second one to ask gets an error, which says only that.
fn one_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The control plane runs on this machine, whatever proxy leads out of it.
fn nearby(mut config: Config) -> Config {
    config.proxy_url = None;
    config
}

async fn client_of(kubeconfig: &Path) -> Client {
    one_tls_provider();
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = nearby(config.expect("a kubeconfig that kube can use"));
    // A test sees every refusal as it came.
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}

/// Gives a namespace the operator's service account, with the rules of the file.
async fn allow_operator(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let created = PostParams::default();
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": OPERATOR}}))?;
    Api::namespaced(client.clone(), namespace).create(&created, &account).await?;
    let role = role();
    Api::namespaced(client.clone(), namespace).create(&created, &role).await?;
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": OPERATOR},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role.name_any()},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": namespace}],
    }))?;
    Api::namespaced(client.clone(), namespace).create(&created, &binding).await?;
    Ok(())
}

fn role() -> Role {
    serde_yaml::from_str(ROLE).expect("config/rbac/role.yaml is a Role")
}

/// An object as a person wants to read it. Secrets in tests hold canaries, which must not be in any output: their data is left out.
fn show<K: Kind>(object: Option<K>) -> String {
    let Some(mut object) = object else { return "nothing: there was no such object".to_owned() };
    object.meta_mut().managed_fields = None;
    let mut value = serde_json::to_value(&object).expect("an object that can be written");
    if K::kind(&()) == "Secret" {
        value.as_object_mut().expect("an object").remove("data");
    }
    serde_yaml::to_string(&value).expect("an object that can be written as YAML")
}

mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};

    use super::*;

    const TWO: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: one, namespace: elsewhere}
---
apiVersion: v1
kind: Secret
metadata: {name: two}
stringData: {key: value}
";

    #[tokio::test]
    async fn a_sandbox_is_a_namespace_of_its_own() {
        let (mine, other) = (Sandbox::new("fixture").await, Sandbox::new("fixture").await);
        mine.apply(TWO).await;
        assert!(mine.get::<ConfigMap>("one").await.is_some(), "the namespace of the document does not count");
        assert!(other.get::<ConfigMap>("one").await.is_none());
        assert_ne!(mine.namespace(), other.namespace());
        let listed = mine.kubectl(&["get", "configmap,secret", "--output=name"]).await;
        assert!(
            listed.ok && listed.out.contains("configmap/one\n") && listed.out.contains("secret/two\n"),
            "{listed:?}"
        );
        mine.delete::<ConfigMap>("one").await;
        mine.wait_gone::<ConfigMap>("one", HANG).await;
        let refused = mine.try_apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: one}, date: {}}").await;
        assert!(refused.is_err(), "a misspelled field is no silent loss");
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_version_that_was_waited_for() {
        let sandbox = Sandbox::new("fixture").await;
        let with =
            |value: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}, data: {{k: {value}}}}}");
        let is = |object: &ConfigMap, value: &str| object.data.as_ref().is_some_and(|data| data["k"] == value);
        let changes = async {
            sandbox.apply(&with("first")).await;
            sandbox.apply(&with("second")).await;
        };
        let wait = sandbox.wait_for::<ConfigMap>("a", HANG, |object| is(object, "second"));
        let ((), seen) = tokio::join!(changes, wait);
        assert!(is(&seen, "second"));
    }

    #[tokio::test]
    #[should_panic(expected = "Last seen:\nnothing: there was no such object")]
    async fn a_wait_that_ends_in_nothing_says_what_was_there() {
        let sandbox = Sandbox::new("fixture").await;
        sandbox.wait_for::<ConfigMap>("none", Duration::from_secs(1), |_| true).await;
    }

    #[tokio::test]
    async fn the_operator_may_do_what_its_role_says_and_is_counted() {
        let sandbox = Sandbox::new("fixture").await;
        sandbox.apply(TWO).await;
        let since = sandbox.mark();
        let secrets: Api<Secret> = Api::namespaced(sandbox.operator_client().await, sandbox.namespace());
        let patch = json!({"metadata": {"labels": {"a": "b"}}});
        secrets.get("two").await.expect("get is allowed");
        secrets.patch("two", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patch is allowed");
        let mut three: Secret = documents(TWO)[1].clone().try_parse().expect("a Secret");
        secrets.create(&PostParams::default(), &three).await.expect_err("it is there");
        three.metadata.name = Some("three".to_owned());
        secrets.create(&PostParams::default(), &three).await.expect("create is allowed");
        let forbidden = [
            secrets.list(&kube::api::ListParams::default()).await.map(|_| ()),
            secrets.delete("two", &DeleteParams::default()).await.map(|_| ()),
        ];
        assert!(
            forbidden.iter().all(|answer| matches!(answer, Err(kube::Error::Api(s)) if s.is_forbidden())),
            "{forbidden:?}"
        );
        // Somebody else's write of the same object is not counted.
        sandbox.delete::<Secret>("two").await;

        let writes = sandbox.audit_writes(since);
        let told =
            |object: &str| -> Vec<_> { writes[object].iter().map(|event| (event.verb.as_str(), event.code)).collect() };
        assert_eq!(told("secrets/two"), [("patch", 200), ("create", 409), ("delete", 403)]);
        assert_eq!(told("secrets/three"), [("create", 201)]);
        assert_eq!(writes.len(), 2, "{writes:?}");
        assert!(sandbox.operator_kubeconfig().is_file());
        assert_eq!(sandbox.client().default_namespace(), "default");
    }
}
