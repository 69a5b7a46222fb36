//! The command line as people and scripts meet it: the program itself, its words and its exit codes.
//!
//! It owns the running of the program in tests. The program never sees the environment of the test run.

mod abandon;
mod answers;
mod authorize;
mod between;
mod completions;
mod foreign_text;
mod objects;
mod process;
mod proxy;
mod refresh;
mod status;
mod validate;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tradewind::api::v1alpha1::{Connection, IntegrationInstance};

use crate::cluster::{Kind, Sandbox, control_plane};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tradewind");

/// What it can do, in the order of its help.
const VERBS: [&str; 12] = [
    "run",
    "crds",
    "validate",
    "status",
    "reconcile",
    "refresh",
    "authorize",
    "suspend",
    "resume",
    "resolve",
    "abandon",
    "completions",
];

/// A folder of programs that is looked into first: ours, by both of its names. It goes with its owner.
pub(crate) struct Programs(PathBuf);

impl Programs {
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let programs = Self(folder);
        for name in ["tradewind", "kubectl-tradewind"] {
            programs.link(PROGRAM.as_ref(), name);
        }
        programs
    }

    /// Another program, by this name.
    pub(crate) fn link(&self, program: &OsStr, name: &str) {
        std::os::unix::fs::symlink(program, self.0.join(name)).expect("a link");
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// What `PATH` is with them.
    pub(crate) fn path(&self) -> String {
        format!("{}:{}", self.0.display(), std::env::var("PATH").expect("a PATH"))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How a run of the program ended.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Its output as the JSON document that it must be.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs the program with something on its standard input.
pub(crate) fn run_with(args: &[&str], input: &str) -> Ran {
    let mut command = assert_cmd::Command::new(PROGRAM);
    let output = command.env_clear().args(args).write_stdin(input).output();
    output.expect("a run of the program").into()
}

fn run(args: &[&str]) -> Ran {
    run_with(args, "")
}

/// Runs the program as the administrator, in the namespace of a sandbox.
pub(crate) async fn run_in(sandbox: &Sandbox, args: &[&str]) -> Ran {
    let kubeconfig = control_plane().await.kubeconfig().to_str().expect("a path");
    let args = [args, &["--kubeconfig", kubeconfig, "--namespace", sandbox.namespace()]].concat();
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let run = move || run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.expect("the end of the program")
}

/// A command as the program says it to who ran it by [`run_in`].
async fn ready_to_run(command: &str) -> String {
    format!("{command} --kubeconfig {}", control_plane().await.kubeconfig().display())
}

const ACCOUNT: &str = "
apiVersion: tradewind.dev/v1alpha1
kind: ProviderAccount
metadata: {name: rutter}
spec:
  provider: Rutter
  credentialsSecretRef: {name: rutter-api}
";

const STORE: &str = "
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: acme, finalizers: [tradewind.dev/connection]}
spec:
  provider: Rutter
  accountRef: {name: rutter}
  platform: BIG_COMMERCE
  rutter:
    credentialsSecretRef: {name: acme-bigcommerce}
    parameters: {store_url: store-a.mybigcommerce.com}
  connectionSecretRef: {name: acme-connection}
";

/// It has the name of the store: what is meant is a matter of the kind alone.
const INSTANCE: &str = "
apiVersion: tradewind.dev/v1alpha1
kind: IntegrationInstance
metadata: {name: acme, finalizers: [tradewind.dev/integration-instance]}
spec:
  provider: SkuIo
  accountRef: {name: sku}
  platform: big-commerce
  name: acme-outdoor-bc
  integrationId: 5
  accessTokenSecretRef: {name: acme-bigcommerce, key: oauth_access_token}
  settings: {storeHash: lhv58otl0w, startDate: '2025-01-01', storeId: 1, autoLinkProducts: true, autoCreateProducts: false}
";

/// A connector that a merchant authorizes.
const CONNECTOR: &str = "
apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: acme, finalizers: [tradewind.dev/connection]}
spec:
  provider: Arcus
  accountRef: {name: arcus}
  platform: shopify
  arcus: {mode: Live, shop: acme.myshopify.com}
  connectionSecretRef: {name: acme-connection}
";

/// A condition of long ago.
fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2025-01-01T00:00:00Z"})
}

/// What the operator would have stored of an attempt.
fn intent(uid: &str, attempt: i64) -> Value {
    json!({
        "uid": uid, "attempt": attempt, "nonce": format!("nonce-{attempt}"), "at": "2025-01-01T00:00:00Z",
        "key": "BIG_COMMERCE/store-a.mybigcommerce.com", "account": "org-1"
    })
}

/// Applies the store and forges what the operator would have said of it, of its present generation.
async fn store(sandbox: &Sandbox, status: Value) -> Connection {
    sandbox.apply(STORE).await;
    forge(sandbox, status).await
}

/// Applies the instance and forges its status as [`store`] does.
async fn instance(sandbox: &Sandbox, status: Value) -> IntegrationInstance {
    sandbox.apply(INSTANCE).await;
    forge_of(sandbox, status).await
}

/// Forges a status of the store's present generation.
async fn forge(sandbox: &Sandbox, status: Value) -> Connection {
    forge_of(sandbox, status).await
}

/// The same of an object of any kind.
async fn forge_of<K: Kind>(sandbox: &Sandbox, mut status: Value) -> K {
    let stored: K = sandbox.get("acme").await.expect("the object");
    status["observedGeneration"] = json!(stored.meta().generation);
    let patch = Patch::Merge(json!({"status": status}));
    sandbox.api::<K>().patch_status("acme", &PatchParams::default(), &patch).await.expect("a status")
}

/// A status that asks a person whose record it is, as it stands after a create that was never answered.
async fn asking(sandbox: &Sandbox, reason: &str) -> Connection {
    let uid = store(sandbox, json!({})).await.metadata.uid.expect("a UID");
    forge(sandbox, question(&uid, reason, &["r-1", "r-2"])).await
}

/// The same of the instance.
async fn instance_asking(sandbox: &Sandbox, reason: &str) -> IntegrationInstance {
    let uid = instance(sandbox, json!({})).await.metadata.uid.expect("a UID");
    forge_of(sandbox, question(&uid, reason, &["41", "42"])).await
}

fn question(uid: &str, reason: &str, candidates: &[&str]) -> Value {
    json!({
        "conditions": [
            condition("Ready", "False", reason, "Nobody can tell"),
            condition("Stalled", "True", reason, "Nobody can tell"),
        ],
        "creation": {"intent": intent(uid, 1), "settledAttempt": 0, "candidates": candidates},
    })
}

#[test]
fn help_is_as_it_was() {
    for verb in [""].iter().chain(&VERBS).copied() {
        let args: Vec<_> = [verb, "--help"].into_iter().filter(|arg| !arg.is_empty()).collect();
        let ran = run(&args);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{verb}");
        insta::assert_snapshot!(format!("help-{}", if verb.is_empty() { "all" } else { verb }), ran.out);
    }
}

#[test]
fn as_a_plugin_it_is_called_by_the_name_of_kubectl() {
    let programs = Programs::new("plugin");
    let plugin = programs.folder().join("kubectl-tradewind");
    let output = std::process::Command::new(plugin).env_clear().args(["resolve", "--help"]).output();
    let ran = Ran::from(output.expect("a run"));
    assert!(ran.out.contains("Usage: kubectl tradewind resolve [OPTIONS]"), "{}", ran.out);
}

#[test]
fn wrong_arguments_are_invalid_input() {
    for args in [
        &[][..],
        &["sell"],
        &["status", "secret/acme"],
        &["suspend"],
        &["suspend", "pacct/rutter"],
        &["resolve", "acme"],
        &["resolve", "acme", "--adopt", "a/b"],
        &["resolve", "acme", "--adopt", "r-1", "--create-anew"],
        &["reconcile", "acme", "--timeout", "soon"],
        &["reconcile", "acme", "--no-wait", "--timeout", "5m"],
        &["refresh", "acme", "--no-wait", "--timeout", "5m"],
        &["refresh", "pacct/rutter"],
        &["refresh", "acme", "--products", "--orders"],
        &["authorize"],
        &["authorize", "ii/acme"],
        &["authorize", "pacct/arcus"],
        &["authorize", "acme", "--timeout", "5s"],
        &["run", "--concurrency", "0"],
        &["run", "--call-timeout", "0s"],
        &["run", "--call-timeout", "9000000000000000000s"],
        &["run", "--log", "=="],
        &["run", "--namespace", ""],
        &["run", "--namespace", "shop.eu"],
        &["run", "--identity", ""],
        &["run", "--lease-namespace", ""],
        &["run", "--lease-name", "Tradewind"],
        &["run", "--allow-endpoint", "example.com"],
        &["run", "--ca-bundle", "/nowhere"],
        &["run", "--ca-bundle", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")],
        &["status", "--kubeconfig", "/nowhere"],
    ] {
        let ran = run(args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{args:?}: {}", ran.err);
        assert!(!ran.err.contains("BadInput") && !ran.err.contains("Error {"), "{}", ran.err);
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_taken_for_a_name() {
    for (name, says) in [
        ("TRADEWIND_NAMESPACE", "Error: --namespace (TRADEWIND_NAMESPACE) is \"\", which is no name of a namespace"),
        ("TRADEWIND_IDENTITY", "Error: --identity (TRADEWIND_IDENTITY) is \"\", which names no process"),
        ("TRADEWIND_LEASE_NAME", "Error: --lease-name (TRADEWIND_LEASE_NAME) is \"\", which is no name of a Lease"),
    ] {
        let output = std::process::Command::new(PROGRAM).env_clear().env(name, "").arg("run").output();
        let ran = Ran::from(output.expect("a run"));
        assert_eq!((ran.code, ran.err.lines().count()), (Some(3), 1), "{}", ran.err);
        assert!(ran.err.starts_with(says) && ran.err.contains("Leave it out"), "{}", ran.err);
    }
}

#[tokio::test]
async fn what_a_plugin_says_to_run_is_what_runs() {
    let sandbox = Sandbox::new("cli-plugin").await;
    let programs = Programs::new("plugin-words");
    let kubeconfig = control_plane().await.kubeconfig();
    for (name, list) in
        [("acme", format!("status -n {}", sandbox.namespace())), ("cpacct/none", "status -A".to_owned())]
    {
        for verb in ["status", "reconcile"] {
            let mut command = tokio::process::Command::new(programs.folder().join("kubectl-tradewind"));
            command.env_clear().args([verb, name, "--namespace", sandbox.namespace(), "--kubeconfig"]).arg(kubeconfig);
            let ran = Ran::from(command.output().await.expect("a run"));
            assert_eq!(ran.code, Some(1), "{}", ran.err);
            let command = ready_to_run(&format!("kubectl tradewind {list}")).await;
            assert!(ran.err.contains(&format!(". `{command}` lists those there are")), "{}", ran.err);
        }
    }
}

#[test]
fn without_a_cluster_it_says_how_to_name_one() {
    let ran = run(&["status"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.starts_with("Error: there is no cluster to speak to (") && ran.err.lines().count() == 1,
        "{}",
        ran.err
    );
    assert!(ran.err.contains("--kubeconfig"), "{}", ran.err);
    // As to kubectl, an empty name is none.
    for empty in ["--context", "--kubeconfig"] {
        let named = run(&["status", empty, ""]);
        assert_eq!((named.code, named.err.as_str()), (ran.code, ran.err.as_str()), "{empty}");
    }
}

/// Whoever names a cluster means that one: in a pod there is another, which is taken only where none is named.
#[test]
fn a_kubeconfig_that_cannot_be_used_is_refused_and_not_repeated() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("home-{}", std::process::id()));
    let file = folder.join(".kube/config");
    std::fs::create_dir_all(folder.join(".kube")).expect("a folder");
    let status = |name: &str, value: &Path| {
        let output = std::process::Command::new(PROGRAM).env_clear().env(name, value).arg("status").output();
        Ran::from(output.expect("a run"))
    };
    let none = status("HOME", &folder);
    // Of a list the ones that are there count.
    std::fs::write(&file, process::NOWHERE).expect("a kubeconfig");
    let list = std::env::join_paths([folder.join("none"), file.clone()]).expect("a list");
    let one_of_two = status("KUBECONFIG", Path::new(&list));
    let mut refused = vec![(status("KUBECONFIG", &folder.join("none")), "failed to read kubeconfig")];
    for (text, says) in [
        ("token: 'test-canary\n", "the kubeconfig cannot be read in line"),
        ("users: test-canary\n", "the kubeconfig cannot be read in line"),
        (&process::NOWHERE.replace("current-context: nowhere", "current-context: gone"), "current context: gone"),
        ("apiVersion: v1\nkind: Config\n", "failed to determine current context"),
    ] {
        std::fs::write(&file, text).expect("a kubeconfig");
        refused.extend([(status("KUBECONFIG", &file), says), (status("HOME", &folder), says)]);
    }
    std::fs::remove_dir_all(&folder).expect("no folder");
    let begin = "Error: there is no cluster to speak to (";
    assert!(one_of_two.code == Some(1) && !one_of_two.err.starts_with(begin), "it was asked: {}", one_of_two.err);
    assert_eq!((none.code, none.err.starts_with(begin)), (Some(1), true), "{}", none.err);
    for (ran, says) in refused {
        assert_eq!((ran.code, ran.err.lines().count()), (Some(3), 1), "{}", ran.err);
        assert!(ran.err.starts_with(begin) && ran.err.contains(says) && !ran.err.contains("canary"), "{}", ran.err);
    }
}

#[test]
fn a_cluster_that_is_not_there_is_named_in_plain_words() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kubeconfig = folder.join(format!("nowhere-{}.yaml", std::process::id()));
    std::fs::write(&kubeconfig, process::NOWHERE).expect("a kubeconfig");
    let ran = run(&["status", "--kubeconfig", kubeconfig.to_str().expect("a path")]);
    std::fs::remove_file(&kubeconfig).expect("no kubeconfig");
    assert_eq!((ran.code, ran.err.lines().count()), (Some(1), 1), "{}", ran.err);
    assert!(ran.err.starts_with("Error: the API server cannot be reached ("), "{}", ran.err);
}

#[test]
fn crds_are_the_files() {
    let crds = crate::manifests::crds();
    let ran = run(&["crds"]);
    assert_eq!(ran.code, Some(0));
    let files: Vec<_> = crds.iter().map(crate::manifests::Generated::text).collect();
    // Not assert_eq: thousands of lines twice help nobody.
    assert!(ran.out == files.join("---\n"), "`tradewind crds` prints something else than the files in crds/");
    let list = run(&["crds", "--output=json"]).json();
    assert_eq!(list["kind"], "List");
    let items: Vec<_> = crds.into_iter().map(|crd| crd.manifest).collect();
    assert!(list["items"] == Value::Array(items), "the List holds something else");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = std::process::Command::new(PROGRAM).env_clear().arg("crds").stdout(writer).output();
    let ran = Ran::from(output.expect("a run"));
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}
