//! `tradewind-cluster`: a real Kubernetes control plane on this machine, by hand.
//!
//! It owns the words that people read. Everything else is the library's.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command: it speaks to people")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tradewind_cluster::{Cluster, Found, Lifetime, Options, Search, Status, Tool, default_dir, down, status};

/// A real Kubernetes control plane (etcd, kube-apiserver, kube-controller-manager) on this machine, for tests and demos.
///
/// Its programs come from `KUBEBUILDER_ASSETS` if that is set, or are built from source with Go, once.
/// With `TRADEWIND_KUBECONFIG` nothing is started: that cluster is used.
#[derive(Parser)]
#[command(name = "tradewind-cluster", version)]
struct Args {
    /// Where the control plane keeps its files [default: target/cluster of this repository].
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start it in the background; nothing happens if it runs already.
    Up,
    /// End it and throw away what it stored.
    Down,
    /// Start it, and end it on Ctrl-C.
    Run,
    /// Run kubectl as its administrator.
    Kubectl {
        /// kubectl's arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Find or build the programs, and print the folder they are in.
    Path,
    /// Find or build a tool, and print where it is.
    Tool {
        /// Which one.
        tool: Tool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match obey(args.verb, &args.dir.unwrap_or_else(default_dir)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn obey(verb: Verb, dir: &Path) -> Result<()> {
    match verb {
        Verb::Up => up(dir).await,
        Verb::Down => {
            match down(dir).await?.as_slice() {
                [] => println!("no control plane is running in {}", dir.display()),
                ended => println!("ended {}", ended.join(", ")),
            }
            Ok(())
        }
        Verb::Run => run(dir).await,
        Verb::Kubectl { args } => kubectl(dir, &args),
        Verb::Path => path().await,
        Verb::Tool { tool } => {
            println!("{}", tool.path().await?.display());
            Ok(())
        }
    }
}

async fn up(dir: &Path) -> Result<()> {
    if status(dir)? == Status::Running {
        println!("the control plane is running already");
        next_steps(&dir.join("kubeconfig"), &dir.join("bin/kubectl"));
        return Ok(());
    }
    let cluster = Cluster::start_with(dir, Options::default().lifetime(Lifetime::Detached)).await?;
    announce(&cluster);
    Ok(())
}

async fn run(dir: &Path) -> Result<()> {
    // Before the start: a signal meanwhile must not leave anything behind either.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let work = async {
        let mut cluster = Cluster::start(dir).await?;
        announce(&cluster);
        println!("it ends with Ctrl-C");
        loop {
            if let Some(how) = cluster.ended() {
                bail!("{how}; see {}", cluster.dir().join("logs").display());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        ended = work => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

fn announce(cluster: &Cluster) {
    if cluster.audit_log().is_err() {
        println!("TRADEWIND_KUBECONFIG is set: nothing was started, that cluster is used");
        next_steps(cluster.kubeconfig(), Path::new("kubectl"));
        return;
    }
    println!("the control plane is ready; its logs and audit log are in {}", cluster.dir().display());
    next_steps(cluster.kubeconfig(), &cluster.dir().join("bin/kubectl"));
}

fn next_steps(kubeconfig: &Path, kubectl: &Path) {
    println!("  export KUBECONFIG={}", kubeconfig.display());
    println!("  {} get namespaces", kubectl.display());
}

/// Becomes kubectl, so that its exit code and its terminal are the caller's.
fn kubectl(dir: &Path, args: &[String]) -> Result<()> {
    if status(dir)? == Status::Stopped {
        bail!("no control plane is running in {}; start it with `tradewind-cluster up`", dir.display());
    }
    let mut command = std::process::Command::new(dir.join("bin/kubectl"));
    command.args(args).env("KUBECONFIG", dir.join("kubeconfig")).env("KUBECACHEDIR", dir.join("kubectl-cache"));
    Err(command.exec()).context("running kubectl")
}

async fn path() -> Result<()> {
    let search = Search { kubeconfig: None, ..Search::from_env() };
    match search.find().await? {
        Found::Programs(programs) => println!("{}", programs.dir().display()),
        Found::Existing { .. } => bail!("no programs, only a kubeconfig"),
    }
    Ok(())
}
