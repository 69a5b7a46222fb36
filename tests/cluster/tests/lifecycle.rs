//! A control plane starts, works like a real one, and leaves nothing behind, however its owner ends.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tradewind_cluster::{Cluster, Event, Status, status};

/// The programs that must all run, and all end.
const SERVERS: [&str; 3] = ["etcd", "kube-apiserver", "kube-controller-manager"];

const OWNED: &str = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "namespace": "shop", "ownerReferences":
    [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "UID"}]}}"#;

#[tokio::test]
async fn controllers_rbac_and_audit_log_work() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let cluster = Cluster::start(dir.path()).await?;
    let audit = cluster.audit_log()?.clone();
    let mark = audit.mark()?;

    kubectl(&cluster, &["create", "namespace", "shop"]).await?;
    kubectl(&cluster, &["--namespace=shop", "create", "configmap", "owner"]).await?;
    let uid =
        kubectl(&cluster, &["--namespace=shop", "get", "configmap", "owner", "--output=jsonpath={.metadata.uid}"])
            .await?;
    let manifest = dir.path().join("owned.json");
    std::fs::write(&manifest, OWNED.replace("UID", &uid))?;
    kubectl(&cluster, &["create", "--filename", manifest.to_str().context("a temporary folder with an odd name")?])
        .await?;
    let mine =
        |event: &Event| event.user == "tradewind-test-admin" && event.is_write() && event.is_about("", "configmaps");
    let writes: Vec<_> = audit.since(mark)?.filter(mine).collect();
    assert_eq!(writes.iter().map(|event| (event.verb.as_str(), event.code)).collect::<Vec<_>>(), [("create", 201); 2]);
    assert!(writes.iter().all(|event| event.user_agent.starts_with("kubectl/v1.") && event.namespace == "shop"));

    kubectl(&cluster, &["--namespace=shop", "delete", "configmap", "owner"]).await?;
    eventually("the owned object to be collected", async || {
        let found = kubectl(&cluster, &["--namespace=shop", "get", "configmap", "owned", "--ignore-not-found"]).await;
        found.is_ok_and(|text| text.is_empty())
    })
    .await?;

    service_account(&cluster).await?;
    kubectl(&cluster, &["delete", "namespace", "shop", "--timeout=60s"]).await?;

    let before = processes(cluster.dir())?;
    cluster.stop();
    assert!(before.values().all(|pid| !is_alive(*pid)), "stopping waits for the end of {before:?}");
    assert_eq!(status(dir.path())?, Status::Stopped);
    Ok(())
}

/// A service account is itself, and may not do what nobody allowed.
async fn service_account(cluster: &Cluster) -> Result<()> {
    kubectl(cluster, &["--namespace=shop", "create", "serviceaccount", "robot"]).await?;
    let kubeconfig = cluster.service_account_kubeconfig("shop", "robot").await?;
    let as_robot = |args: &[&str]| cluster.kubectl().env("KUBECONFIG", &kubeconfig).args(args).output();
    let who = as_robot(&["auth", "whoami", "--output=jsonpath={.status.userInfo.username}"]).await?;
    assert_eq!(String::from_utf8_lossy(&who.stdout), "system:serviceaccount:shop:robot");
    let mark = cluster.audit_log()?.mark()?;
    assert!(!as_robot(&["--namespace=shop", "get", "secrets"]).await?.status.success());
    let robots = |event: &Event| event.user == "system:serviceaccount:shop:robot" && event.resource == "secrets";
    let codes: Vec<_> = cluster.audit_log()?.since(mark)?.filter(robots).map(|event| event.code).collect();
    assert_eq!(codes, [403]);
    Ok(())
}

#[tokio::test]
async fn nothing_survives_an_owner_that_is_killed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut owner = command(dir.path(), "run").stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(owner.stdout.take().context("its output")?).lines();
    while !lines.next_line().await?.context("it ended before it was ready")?.starts_with("it ends with") {}
    let before = processes(dir.path())?;
    assert!(before.values().all(|pid| is_alive(*pid)), "{before:?}");
    // SIGKILL: the owner has no chance to clean up.
    owner.kill().await?;
    eventually("the servers to end with their owner", async || before.values().all(|pid| !is_alive(*pid))).await
}

#[tokio::test]
async fn up_lasts_until_down() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let run = async |verb: &str| -> Result<String> { text(command(dir.path(), verb).output().await?) };
    let outcome = async {
        assert!(run("up").await?.contains("export KUBECONFIG="));
        let before = processes(dir.path())?;
        assert!(before.values().all(|pid| is_alive(*pid)), "the command that started them is over: {before:?}");
        assert!(run("up").await?.contains("is running already"));
        assert_eq!(processes(dir.path())?, before, "the second up changed nothing");
        assert!(run("kubectl").await?.contains("kubectl controls the Kubernetes cluster manager"));
        Ok::<_, anyhow::Error>(before)
    }
    .await;
    // Before looking at the outcome: nothing else would end them.
    let down = run("down").await?;
    let before = outcome?;
    assert_eq!(down.trim(), "ended etcd, kube-apiserver, kube-controller-manager");
    assert!(before.values().all(|pid| !is_alive(*pid)));
    assert!(run("down").await?.contains("no control plane is running"));
    Ok(())
}

/// `tradewind-cluster`, which must start its own control plane even if whoever runs the tests has one.
fn command(dir: &Path, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tradewind-cluster"));
    command.env_remove("TRADEWIND_KUBECONFIG").arg("--dir").arg(dir).arg(verb).stdin(Stdio::null());
    command
}

async fn kubectl(cluster: &Cluster, args: &[&str]) -> Result<String> {
    text(cluster.kubectl().args(args).output().await?)
}

fn text(output: Output) -> Result<String> {
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The servers' process ids, by name.
fn processes(dir: &Path) -> Result<BTreeMap<String, u32>> {
    #[derive(Deserialize)]
    struct Process {
        name: String,
        pid: u32,
    }
    let all: Vec<Process> = serde_json::from_slice(&std::fs::read(dir.join("processes.json"))?)?;
    let all: BTreeMap<_, _> = all.into_iter().map(|process| (process.name, process.pid)).collect();
    ensure!(all.keys().eq(SERVERS), "{all:?}");
    Ok(all)
}

/// Whether a process runs; one that only waits to be counted as dead by its parent does not.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) -> Result<()> {
    let start = Instant::now();
    while !check().await {
        ensure!(start.elapsed() < Duration::from_mins(1), "waited a minute for {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
