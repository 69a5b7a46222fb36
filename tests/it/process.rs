//! The operator as a program: killed at any moment, asked to stop in the middle of a call, and run as in a pod.

use std::ffi::OsStr;
use std::fs::File;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use k8s_openapi::api::coordination::v1::Lease;
use kube::config::Kubeconfig;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::process::{Child, Command};
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::{Effect, Entry, Fault, Operation, Random};

use crate::cluster::HANG;
use crate::world::{World, connection, logs, store};

/// A running `tradewind run`.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it in the world's namespace, with the world's short times.
    pub(crate) fn start(world: &World, more: &[&str]) -> Self {
        let more = more.iter().map(|&arg| arg.to_owned());
        Self::run(world.sandbox.operator_kubeconfig(), arguments(world).into_iter().chain(more))
    }

    /// Starts it with these arguments and rights, and a port of its own.
    pub(crate) fn run(kubeconfig: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_tradewind")).args(args).env("KUBECONFIG", kubeconfig))
    }

    fn spawn(command: &mut Command) -> Self {
        let log = logs().join(format!("operator-{}.log", uuid::Uuid::new_v4().simple()));
        let file = File::create(&log).expect("a log file");
        let child = command
            .env("TRADEWIND_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .expect("the operator");
        Self { child, log }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// What it takes of memory.
    pub(crate) fn memory(&self) -> Memory {
        Memory(Path::new("/proc").join(self.child.id().expect("a running process").to_string()))
    }

    /// `kill -9`.
    async fn kill(mut self) {
        self.child.kill().await.expect("a process to kill");
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("a running process").to_string();
        assert!(Command::new("kill").args([name, &pid]).status().await.expect("kill").success());
    }

    /// Waits until it has logged this.
    pub(crate) async fn until_logged(&self, what: &str) {
        let logged = async {
            while !self.log().contains(what) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(HANG, logged).await.unwrap_or_else(|_| panic!("no {what}: {}", self.log()));
    }

    /// SIGTERM, and then the end; what it logged.
    pub(crate) async fn terminate(mut self) -> String {
        self.signal("-TERM").await;
        let end = tokio::time::timeout(HANG, self.child.wait()).await.expect("an end").expect("an exit status");
        let log = self.log();
        assert!(end.success(), "{end}: {log}");
        log
    }

    /// The address that the log names as `listen`, as text or as JSON.
    pub(crate) async fn address(&self) -> String {
        let found = async {
            loop {
                let log = self.log();
                let after = log.split_once("listen=").or_else(|| log.split_once("\"listen\":\""));
                let address = after.and_then(|(_, rest)| rest.split([' ', '"', '\n']).next());
                if let Some(address) = address {
                    return address.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(HANG, found).await.expect("a line with the address")
    }
}

/// What runs it in the world's namespace, with the world's short times.
fn arguments(world: &World) -> Vec<String> {
    let timing = world.settings.timing;
    let origin = world.endpoint.trim_end_matches("/versioned");
    let times = [("call-timeout", timing.call), ("permit-life", timing.permit), ("list-lag", timing.lag)];
    let times = times.map(|(name, time)| format!("--{name}={}s", time.as_secs()));
    let place = [format!("--allow-endpoint={origin}"), format!("--namespace={}", world.sandbox.namespace())];
    ["run".to_owned(), "--poll=1s".to_owned()].into_iter().chain(place).chain(times).collect()
}

/// What a pod has of its service account, where the program looks for it: `token`, `ca.crt` and `namespace` in a folder.
struct ServiceAccount {
    folder: PathBuf,
    token: String,
    server: Uri,
}

/// Puts a folder where a pod has its service account, and runs a program there. In a mount namespace of its own, so that nobody else sees it,
/// and in a user namespace, so that nobody has to be root for it.
const AS_IN_A_POD: &str = r#"
set -e
account=/var/run/secrets/kubernetes.io/serviceaccount
mount -t tmpfs tmpfs "$(realpath /var/run)"
mkdir -p "$account"
mount --bind "$1" "$account"
shift
exec "$@"
"#;

impl ServiceAccount {
    /// That of the operator of a world.
    fn of(world: &World) -> Self {
        let kubeconfig = Kubeconfig::read_from(world.sandbox.operator_kubeconfig()).expect("a kubeconfig");
        let cluster = kubeconfig.clusters[0].cluster.as_ref().expect("a cluster");
        let user = kubeconfig.auth_infos[0].auth_info.as_ref().expect("a user");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it/pods").join(world.sandbox.namespace());
        std::fs::create_dir_all(&folder).expect("a folder");
        let ca = match (&cluster.certificate_authority, &cluster.certificate_authority_data) {
            (Some(file), _) => std::fs::read(file).expect("a certificate"),
            (None, data) => BASE64_STANDARD.decode(data.as_ref().expect("a certificate")).expect("base64"),
        };
        std::fs::write(folder.join("ca.crt"), ca).expect("a file");
        std::fs::write(folder.join("namespace"), world.sandbox.namespace()).expect("a file");
        let token = user.token.as_ref().expect("a token").expose_secret().to_owned();
        let server = cluster.server.as_ref().expect("a server").parse().expect("an address");
        Self { folder, token, server }
    }

    /// Puts a token in the place of the one that is there, as the kubelet does: in one step.
    fn put(&self, token: &str) {
        let next = self.folder.join("next");
        std::fs::write(&next, token).expect("a file");
        std::fs::rename(next, self.folder.join("token")).expect("a file in its place");
    }

    /// What runs the program as in a pod: with nothing of this environment.
    fn command(&self) -> Command {
        let host = self.server.host().expect("a host").to_owned();
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", AS_IN_A_POD, "sh"]).arg(&self.folder);
        command.env_clear().env("PATH", std::env::var_os("PATH").expect("where programs are"));
        command.env("HOME", "/nonexistent").env("KUBERNETES_SERVICE_HOST", host);
        command.env("KUBERNETES_SERVICE_PORT", self.server.port_u16().unwrap_or(443).to_string());
        command
    }

    /// Ends the test here where this machine lets nobody make such a place.
    async fn must_be_possible(&self) {
        let tried = self.command().arg("true").output().await;
        let tried = tried.expect("unshare, of util-linux, which makes a mount namespace to run the program in");
        assert!(
            tried.status.success(),
            "this machine makes no user namespace with mounts of its own, so nothing can be run as in a pod: {}\
             (Ubuntu allows it with `sysctl --write kernel.apparmor_restrict_unprivileged_userns=0`, a container where it may mount)",
            String::from_utf8_lossy(&tried.stderr)
        );
    }
}

/// The memory of a process, as Linux counts it, in KiB.
pub(crate) struct Memory(PathBuf);

impl Memory {
    /// What is resident now.
    pub(crate) fn now(&self) -> u64 {
        self.field("VmRSS:")
    }

    /// The most that ever was, since [`Memory::forget_peak`].
    pub(crate) fn peak(&self) -> u64 {
        self.field("VmHWM:")
    }

    /// Lets the peak begin anew.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(self.0.join("clear_refs"), "5").expect("a process of our own");
    }

    fn field(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(self.0.join("status")).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field that Linux tells");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

/// How long after its first request to the provider each process is killed: spread over a pass and its calls, the same in
/// every run.
fn moments() -> impl Iterator<Item = Duration> {
    let mut random = Random::seeded(1);
    iter::repeat_with(move || Duration::from_millis(random.number() % 900))
}

#[tokio::test]
async fn killed_again_and_again_it_makes_each_record_once() {
    const OBJECTS: usize = 40;
    const KILLS: usize = 10;
    let world = World::quiet("kills").await;
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&World::store_login()).await;
    let all: Vec<_> = (0..OBJECTS).map(|n| connection(&format!("c{n}"), &store(&format!("kills-{n}")), "")).collect();
    world.sandbox.apply(&all.join("---\n")).await;
    // A slow provider, so that most kills meet a call under way.
    let slow = Effect::SlowAfter { delay: Duration::from_millis(300) };
    world.simulator.push_fault(Fault::on(Operation::Create, slow).forever());
    let mut met = 0;
    for moment in moments().take(KILLS) {
        let asked = world.simulator.stats().requests;
        let program = Program::start(&world, &[]);
        // Not before it has begun anything; then at a moment of its own.
        world.provider_until("it asks the provider", |s| s.stats().requests > asked).await;
        tokio::time::sleep(moment).await;
        program.kill().await;
        let creates = |entry: &Entry| entry.operation == Operation::Create && entry.ended_at.is_none();
        met += usize::from(world.simulator.journal().iter().any(creates));
    }
    assert!(met > 0, "no kill has met a create under way");
    let program = Program::start(&world, &[]);
    world.all_settled(OBJECTS).await;
    program.terminate().await;
    let stats = world.simulator.stats();
    assert_eq!(world.live().len(), OBJECTS);
    assert!(stats.duplicates.is_empty(), "{:?}", stats.duplicates);
    assert_eq!((stats.creates, stats.deletes), (OBJECTS, 0), "nothing was made twice, not even for a while");
}

#[tokio::test]
async fn asked_to_stop_it_records_the_call_under_way() {
    let world = World::quiet("stop").await;
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&World::store_login()).await;
    let slow = Effect::SlowAfter { delay: Duration::from_millis(1500) };
    world.simulator.push_fault(Fault::on(Operation::Create, slow));
    let program = Program::start(&world, &[]);
    world.sandbox.apply(&connection("acme", &store("stop"), "")).await;
    let under_way = async {
        while world.simulator.stats().creates == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(HANG, under_way).await.expect("a create");
    let log = program.terminate().await;
    let object = world.sandbox.get::<Connection>("acme").await.expect("an object");
    let id = object.status.and_then(|s| s.external_id);
    assert_eq!(id.map(|id| vec![id]), Some(world.live()), "{log}");
}

#[tokio::test]
async fn asked_to_stop_twice_it_waits_for_nothing() {
    let world = World::quiet("stop-twice").await;
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&World::store_login()).await;
    let endless = Effect::SlowAfter { delay: Duration::from_hours(1) };
    world.simulator.push_fault(Fault::on(Operation::Create, endless));
    let usual = arguments(&world).into_iter().filter(|argument| !argument.starts_with("--call-timeout"));
    let patient = ["--call-timeout=1h", "--shutdown-grace=1h"].map(str::to_owned);
    let mut program = Program::run(world.sandbox.operator_kubeconfig(), usual.chain(patient));
    world.sandbox.apply(&connection("acme", &store("stop-twice"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    program.signal("-TERM").await;
    program.until_logged("stopping: calls under way come to their end").await;
    assert_eq!(program.ended(), None);
    program.signal("-INT").await;
    let end = tokio::time::timeout(HANG, program.child.wait()).await.expect("an end").expect("an exit status");
    assert_eq!(end.code(), Some(1), "{}", program.log());
}

#[tokio::test]
async fn two_with_leases_of_their_own_both_lead() {
    let world = World::quiet("leases").await;
    let namespace = world.sandbox.namespace();
    let start =
        |name| Program::start(&world, &["--leader-elect", "--lease-namespace", namespace, "--lease-name", name]);
    let leads = async |program: &Program| {
        let metrics = format!("http://{}/metrics", program.address().await);
        while !world.get(&metrics).await.contains("\ntradewind_leader 1\n") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // By itself it may have the one that is called tradewind.
    let rules = json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update"]}]);
    let rbac = "rbac.authorization.k8s.io";
    for mut object in [
        json!({"kind": "Role", "rules": rules}),
        json!({
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "leases"},
            "subjects": [{"kind": "ServiceAccount", "name": "tradewind", "namespace": namespace}],
        }),
    ] {
        object["apiVersion"] = json!(format!("{rbac}/v1"));
        object["metadata"] = json!({"name": "leases"});
        world.sandbox.apply(&object.to_string()).await;
    }
    let (one, other) = (start("tradewind-one"), start("tradewind-other"));
    let both = async { tokio::join!(leads(&one), leads(&other)) };
    tokio::time::timeout(HANG, both).await.expect("nobody waits for the other");
    for name in ["tradewind-one", "tradewind-other"] {
        let lease = world.sandbox.api::<Lease>().get(name).await.expect("a Lease");
        let holder = lease.spec.and_then(|spec| spec.holder_identity);
        assert!(holder.is_some_and(|holder| holder.starts_with("tradewind-")), "{name}");
    }
    one.terminate().await;
    other.terminate().await;
}

#[tokio::test]
async fn of_two_one_leads_and_the_other_takes_over() {
    let world = World::quiet("lease").await;
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&World::store_login()).await;
    let lease = ["--leader-elect", "--lease-namespace", world.sandbox.namespace()];
    let first = Program::start(&world, &lease);
    let of =
        async |program: &Program, path: &str| world.get(&format!("http://{}{path}", program.address().await)).await;
    let leads = async |program: &Program| of(program, "/metrics").await.contains("\ntradewind_leader 1\n");
    let until_leads = async |program: &Program| {
        while !leads(program).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let until_ready = async |program: &Program| {
        while !of(program, "/readyz").await.starts_with("[+]") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(HANG, until_leads(&first)).await.expect("somebody leads");
    let second = Program::start(&world, &lease);
    world.sandbox.apply(&connection("one", &store("lease-one"), "")).await;
    world.settled("one").await;
    tokio::time::timeout(HANG, until_ready(&second)).await.expect("a rollout must not wait for it to lead");
    assert!(leads(&first).await && !leads(&second).await);

    first.terminate().await;
    tokio::time::timeout(HANG, until_leads(&second)).await.expect("the other one takes over");
    tokio::time::timeout(HANG, until_ready(&second)).await.expect("it watches");
    world.sandbox.apply(&connection("two", &store("lease-two"), "")).await;
    world.settled("two").await;
    second.terminate().await;
    assert_eq!(world.simulator.stats().creates, 2);
}

#[tokio::test]
async fn one_that_leads_is_ready_only_when_it_watches() {
    let world = World::quiet("lease-ready").await;
    let program = Program::start(&world, &["--leader-elect", "--lease-namespace", world.sandbox.namespace()]);
    let address = program.address().await;
    let of = async |path: &str| world.get(&format!("http://{address}{path}")).await;
    let watches = async {
        while !of("/readyz").await.starts_with("[+]") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(HANG, watches).await.expect("it is ready");
    assert!(of("/metrics").await.contains("\ntradewind_leader 1\n"), "nobody else leads: it is no standby");
    program.terminate().await;
}

/// No kubeconfig and no home: its cluster is the one whose service account it finds.
#[tokio::test]
async fn in_a_pod_it_speaks_to_the_cluster_of_its_service_account() {
    let world = World::quiet("pod").await;
    let account = ServiceAccount::of(&world);
    account.must_be_possible().await;
    account.put(&account.token);
    let program = Program::spawn(account.command().arg(env!("CARGO_BIN_EXE_tradewind")).args(arguments(&world)));
    world.furnish().await;
    world.sandbox.apply(&connection("acme", &store("pod"), "")).await;
    world.settled("acme").await;
    // The namespace of the pod is the one that people in it mean.
    let status = account.command().arg(env!("CARGO_BIN_EXE_tradewind")).arg("status").output().await.expect("status");
    let said = String::from_utf8(status.stdout).expect("text");
    assert!(status.status.success() && said.contains("acme"), "{said}{}", String::from_utf8_lossy(&status.stderr));
    program.terminate().await;
}

/// The kubelet puts a new token into the file before the old one expires.
#[tokio::test]
async fn in_a_pod_it_reads_its_token_again() {
    let world = World::quiet("token").await;
    let account = ServiceAccount::of(&world);
    account.must_be_possible().await;
    account.put("expired");
    let mut program = Program::spawn(account.command().arg(env!("CARGO_BIN_EXE_tradewind")).args(arguments(&world)));
    let logs = async |program: &Program, line: &str| {
        while !program.log().contains(line) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(HANG, logs(&program, "Unauthorized")).await.expect("a refusal");
    let metrics = world.get(&format!("http://{}/metrics", program.address().await)).await;
    assert!(metrics.contains("tradewind_watch_failures_total{kind=\"Connection\"}"), "{metrics}");
    account.put(&account.token);
    tokio::time::timeout(HANG, logs(&program, "watching")).await.expect("all lists, with the new token");
    assert_eq!(program.ended(), None, "{}", program.log());
    program.terminate().await;
}
