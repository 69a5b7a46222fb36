//! A control plane's life: start, wait until it is ready, end.
//!
//! It owns the folder of a control plane and everything in it that it made. It must never remove anything else there, and it never
//! starts a second control plane in a folder where one runs.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::build::tail;
use crate::component::{self, Ports};
use crate::error::Doing;
use crate::find::{SERVERS, target_dir};
use crate::material::Material;
use crate::process::Process;
use crate::running::{Running, forget, log_path, read_state};
use crate::{AuditLog, Error, Found, Programs, Result, Search, kubeconfig};

/// How often to start anew when another program was quicker to take a port.
const ATTEMPTS: u32 = 3;

/// How long a killed process may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// What ends the control plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// It ends with the [`Cluster`] value or with this process, whichever is first; also when the process is killed.
    #[default]
    Owner,
    /// It runs until [`down`].
    Detached,
}

/// How to start.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What ends it.
    pub lifetime: Lifetime,
    /// How long it may take to be ready once its programs are there.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        // Seconds on an idle machine; the rest is for one that compiles something on every core.
        Self { lifetime: Lifetime::default(), deadline: Duration::from_mins(3) }
    }
}

impl Options {
    /// These options with another lifetime.
    #[must_use]
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        Self { lifetime, ..self }
    }
}

/// A control plane that is ready: the API server answers, and namespaces get their service accounts.
///
/// RBAC is on and every request is in the audit log. These controllers run: namespace, garbage collector, service account, service
/// account token, root CA publisher, cluster role aggregation.
///
/// # Guarantees
/// * Dropping it ends its processes, at once and with everything that was stored, unless it is [`Lifetime::Detached`].
/// * It can be kept in a static for all the tests of a process, across their runtimes. Statics are not dropped; the end of the process
///   ends it then.
///
/// # Caveats
/// * With `TRADEWIND_KUBECONFIG` it is a cluster that was not started here: it is not ended here either, and has no audit log.
/// * A namespace takes five seconds to be deleted, and the garbage collector up to forty seconds to notice a new kind of object; both
///   are constants of Kubernetes.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    audit_log: Option<AuditLog>,
    etcd: Option<String>,
    running: Option<Running>,
}

impl Cluster {
    /// Starts a control plane that keeps its files in `dir` and ends with its owner.
    ///
    /// The programs are looked for as [`Search::from_env`] says, and built if need be: that takes minutes, once.
    ///
    /// # Errors
    /// There are no programs, one runs in `dir` already, or it was not ready in time; the error holds the ends of the logs.
    pub async fn start(dir: &Path) -> Result<Self> {
        Self::start_with(dir, Options::default()).await
    }

    /// Starts a control plane.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_with(dir: &Path, options: Options) -> Result<Self> {
        let found = Search::from_env().find().await?;
        let dir = std::path::absolute(dir).doing("resolving", dir)?;
        std::fs::create_dir_all(&dir).doing("creating", &dir)?;
        match found {
            Found::Existing { kubeconfig, kubectl } => {
                let kubeconfig = std::path::absolute(&kubeconfig).doing("resolving", &kubeconfig)?;
                Ok(Self { dir, kubeconfig, kubectl, audit_log: None, etcd: None, running: None })
            }
            Found::Programs(programs) => Self::start_programs(dir, &programs, options).await,
        }
    }

    async fn start_programs(dir: PathBuf, programs: &Programs, options: Options) -> Result<Self> {
        let _lock = lock(&dir)?;
        clear(&dir).await?;
        link_kubectl(&dir, programs)?;
        for _ in 1..ATTEMPTS {
            match Self::attempt(&dir, programs, options).await {
                // The ports were free when they were picked, but nothing reserves them until the servers listen.
                Err(Error::NotReady { logs, .. }) if logs.contains("address already in use") => {}
                other => return other,
            }
        }
        Self::attempt(&dir, programs, options).await
    }

    async fn attempt(dir: &Path, programs: &Programs, options: Options) -> Result<Self> {
        let files = Material::in_dir(dir);
        for folder in ["pki", "logs"] {
            let path = dir.join(folder);
            std::fs::create_dir_all(&path).doing("creating", &path)?;
        }
        let ports = Ports::pick()?;
        files.write(ports.apiserver)?;
        let mut cluster = Self {
            dir: dir.to_owned(),
            kubeconfig: files.kubeconfig(),
            kubectl: programs.path("kubectl"),
            audit_log: Some(AuditLog::at(&files.audit_log())),
            etcd: Some(ports.etcd()),
            running: None,
        };
        let start = Instant::now();
        let mut running = Running::new(dir, options.lifetime)?;
        running.spawn("etcd", &mut component::etcd(programs, &files, ports))?;
        running.spawn("kube-apiserver", &mut component::apiserver(programs, &files, ports))?;
        cluster.until(&["get", "--raw", "/readyz"], &mut running, start, options.deadline).await?;
        // Only now: it gives up if there is no API server for ten seconds.
        running.spawn("kube-controller-manager", &mut component::controller_manager(programs, &files))?;
        // The account is made by a controller, so its presence says that they run; without it no pod can be created.
        let account = ["get", "serviceaccount", "default", "--namespace", "default"];
        cluster.until(&account, &mut running, start, options.deadline).await?;
        match options.lifetime {
            Lifetime::Owner => cluster.running = Some(running),
            Lifetime::Detached => running.detach(),
        }
        Ok(cluster)
    }

    /// Asks kubectl again and again until it says yes.
    async fn until(&self, args: &[&str], running: &mut Running, start: Instant, deadline: Duration) -> Result<()> {
        loop {
            let mut kubectl = self.kubectl();
            let output = kubectl.args(args).arg("--request-timeout=5s").stdin(Stdio::null()).output().await;
            if output.doing("running", &self.kubectl)?.status.success() {
                return Ok(());
            }
            let ended = running.ended();
            if ended.is_some() || start.elapsed() > deadline {
                let what = ended.unwrap_or_else(|| format!("`kubectl {}` did not succeed in time", args.join(" ")));
                return Err(Error::NotReady { what, waited: start.elapsed(), logs: log_ends(&self.dir) });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The folder with everything the control plane wrote.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A kubeconfig that may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubectl that speaks to this cluster as its administrator; arguments are the caller's.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.env("KUBECONFIG", &self.kubeconfig);
        // What kubectl remembers about an API server it remembers by port, and the next cluster may get the same one.
        command.env("KUBECACHEDIR", self.dir.join("kubectl-cache"));
        command.kill_on_drop(true);
        command
    }

    /// What was asked of the API server.
    ///
    /// # Errors
    /// The cluster was not started here.
    pub fn audit_log(&self) -> Result<&AuditLog> {
        self.audit_log.as_ref().ok_or(Error::NoAuditLog)
    }

    /// The URL of what the API server stores everything in; `None` where it was not started here.
    #[must_use]
    pub fn etcd(&self) -> Option<&str> {
        self.etcd.as_deref()
    }

    /// Writes a kubeconfig that acts as a service account for a day, and returns where it is.
    ///
    /// # Errors
    /// There is no such account, or the file cannot be written.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        kubeconfig::for_service_account(|| self.kubectl(), &self.dir, namespace, name).await
    }

    /// A component that has ended although nobody asked it to, and how it ended.
    pub fn ended(&mut self) -> Option<String> {
        self.running.as_mut()?.ended()
    }

    /// Ends it. The same as dropping it, for those who like to see it.
    pub fn stop(self) {}
}

/// Where `tradewind-cluster` keeps its control plane unless told otherwise.
#[must_use]
pub fn default_dir() -> PathBuf {
    target_dir().join("cluster")
}

/// What runs of a folder's control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing runs.
    Stopped,
    /// All of it runs.
    Running,
    /// Some of it runs; these programs do not.
    Broken(Vec<String>),
}

/// Looks at the processes that were started in a folder.
///
/// # Errors
/// The list of them cannot be read.
pub fn status(dir: &Path) -> Result<Status> {
    let processes = read_state(dir)?;
    let (alive, gone): (Vec<_>, Vec<_>) = processes.into_iter().partition(Process::is_alive);
    let complete = SERVERS.iter().all(|name| alive.iter().any(|process| process.name == *name));
    Ok(match (alive.is_empty(), complete) {
        (true, _) => Status::Stopped,
        (false, true) => Status::Running,
        (false, false) => Status::Broken(gone.into_iter().map(|process| process.name).collect()),
    })
}

/// Ends the control plane of a folder, whoever started it, and returns the names of the processes that were ended.
///
/// # Errors
/// A process could not be ended.
pub async fn down(dir: &Path) -> Result<Vec<String>> {
    let alive: Vec<_> = read_state(dir)?.into_iter().filter(Process::is_alive).collect();
    for process in &alive {
        process.kill().doing("ending", Path::new(&process.name))?;
    }
    for process in &alive {
        if !process.gone_within(KILL_LIMIT).await {
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            return Err(late).doing("waiting for the end of", Path::new(&process.name));
        }
    }
    forget(dir);
    Ok(alive.into_iter().map(|process| process.name).collect())
}

/// Held while a control plane is being started, so that two do not clear each other's files away.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = File::create(&path).doing("creating", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(error).doing("locking", &path),
    }
}

/// Removes what an earlier control plane left, also one that a power cut ended half-way. Only names of ours.
async fn clear(dir: &Path) -> Result<()> {
    if status(dir)? == Status::Running {
        return Err(Error::AlreadyRunning(dir.display().to_string()));
    }
    down(dir).await?;
    let files = Material::in_dir(dir);
    for path in [files.kubeconfig(), files.audit_log()] {
        remove(std::fs::remove_file(&path), &path)?;
    }
    for folder in ["pki", "logs", "kubeconfigs", "kubectl-cache"] {
        let path = dir.join(folder);
        remove(std::fs::remove_dir_all(&path), &path)?;
    }
    Ok(())
}

fn remove(result: std::io::Result<()>, path: &Path) -> Result<()> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).doing("removing", path),
        _ => Ok(()),
    }
}

/// `bin/kubectl`, a path that stays the same for people and scripts.
fn link_kubectl(dir: &Path, programs: &Programs) -> Result<()> {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).doing("creating", &bin)?;
    let link = bin.join("kubectl");
    remove(std::fs::remove_file(&link), &link)?;
    std::os::unix::fs::symlink(programs.path("kubectl"), &link).doing("linking", &link)
}

/// The last lines of every component's log.
fn log_ends(dir: &Path) -> String {
    let ends = SERVERS.iter().map(|name| (name, tail(&log_path(dir, name), 20))).filter(|(_, end)| !end.is_empty());
    ends.map(|(name, end)| format!("--- {name}\n{end}")).collect::<Vec<_>>().join("\n")
}
