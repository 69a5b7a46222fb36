//! `tradewind run` as a process: its probes, its signals, its end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rstest::rstest;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use super::PROGRAM;
use crate::cluster::{HANG, Sandbox};

/// A cluster that nobody runs: port 1 refuses.
pub(super) const NOWHERE: &str = "
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: nobody, user: {}}]
";

/// A running operator.
pub(super) struct Operator {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    address: String,
}

impl Operator {
    /// Starts one, and waits until it says where it listens.
    async fn start(kubeconfig: &Path, args: &[&str]) -> Self {
        Self::start_with(kubeconfig, args, &[]).await
    }

    /// The same with something in its environment.
    pub(super) async fn start_with(kubeconfig: &Path, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.env_clear().envs(environment.iter().copied()).args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--kubeconfig",
        ]);
        command.arg(kubeconfig).args(args).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the program");
        let log = BufReader::new(child.stderr.take().expect("its log")).lines();
        let mut operator = Self { child, log, address: String::new() };
        operator.address = operator.until("listen").await;
        operator
    }

    /// Reads the log until a line has a field of this name, and returns the field.
    async fn until(&mut self, field: &str) -> String {
        let search = async {
            while let Some(line) = self.log.next_line().await.expect("a log") {
                let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                if let Some(found) = line["fields"][field].as_str() {
                    return found.to_owned();
                }
            }
            panic!("the log ended without {field}");
        };
        timeout(HANG, search).await.unwrap_or_else(|late| panic!("{field}: {late}"))
    }

    /// The answer to a GET, head and body.
    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    /// Asks until the answer is this.
    pub(super) async fn wait_for(&self, path: &str, wanted: &str) {
        let search = async {
            let mut often = tokio::time::interval(Duration::from_millis(50));
            while !self.get(path).await.contains(wanted) {
                often.tick().await;
            }
        };
        timeout(HANG, search).await.unwrap_or_else(|late| panic!("{path}: {late}"));
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().expect("a running program").to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
        assert!(sent.success());
    }

    async fn code(mut self) -> Option<i32> {
        // What it still logs must not block it.
        let rest = async { while let Ok(Some(_)) = self.log.next_line().await {} };
        let (status, ()) = timeout(HANG, async { tokio::join!(self.child.wait(), rest) }).await.expect("an end");
        status.expect("its end").code()
    }
}

fn nowhere(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.yaml", std::process::id()));
    std::fs::write(&file, NOWHERE).expect("a kubeconfig");
    file
}

#[tokio::test]
async fn an_operator_answers_probes_and_ends_when_it_is_told_to() {
    let sandbox = Sandbox::new("cli-run").await;
    let operator = Operator::start(sandbox.operator_kubeconfig(), &["--namespace", sandbox.namespace()]).await;
    assert!(operator.get("/livez").await.ends_with("\r\n\r\nok"));
    operator.wait_for("/readyz", "readyz check passed").await;
    let metrics = operator.get("/metrics").await;
    assert!(
        metrics.contains("content-type: application/openmetrics-text") && metrics.ends_with("# EOF\n"),
        "{metrics}"
    );
    operator.signal("TERM");
    assert_eq!(operator.code().await, Some(0));
}

#[tokio::test]
async fn a_request_is_answered_by_a_running_operator() {
    let sandbox = Sandbox::new("cli-run").await;
    let operator = Operator::start(sandbox.operator_kubeconfig(), &["--namespace", sandbox.namespace()]).await;
    sandbox.apply(super::STORE).await;
    let ran = super::run_in(&sandbox, &["reconcile", "acme"]).await;
    // Its account is missing, which only a person can change.
    assert_eq!(ran.code, Some(4), "{}", ran.err);
    assert!(ran.out.starts_with("connection/acme: Ready is False, DependencyNotReady: "), "{}", ran.out);
    operator.signal("TERM");
    assert_eq!(operator.code().await, Some(0));
}

/// It has nothing under way, and ends when it is told to.
#[rstest]
#[case::alone("run", &[])]
#[case::with_a_lease("run-lease", &["--leader-elect"])]
#[tokio::test]
async fn without_an_api_server_it_lives_and_is_not_ready(#[case] name: &str, #[case] more: &[&str]) {
    let kubeconfig = nowhere(name);
    let mut operator = Operator::start(&kubeconfig, &[&["--shutdown-grace", "1h"], more].concat()).await;
    assert!(operator.get("/livez").await.ends_with("\r\n\r\nok"));
    let ready = operator.get("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("[-]"), "{ready}");
    operator.signal("INT");
    assert_eq!(operator.until("signal").await, "SIGINT");
    assert_eq!(operator.code().await, Some(0));
    std::fs::remove_file(kubeconfig).expect("no kubeconfig");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let kubeconfig = nowhere("taken");
    let ran = super::run(&["run", "--listen", &address, "--kubeconfig", kubeconfig.to_str().expect("a path")]);
    std::fs::remove_file(kubeconfig).expect("no kubeconfig");
    assert_eq!(ran.code, Some(1));
    let says = format!("Error: cannot listen on {address}. Choose another address with --listen: ");
    assert!(ran.err.starts_with(&says) && ran.err.lines().count() == 1, "{}", ran.err);
}
