//! The control plane from source: one program, built once and kept.
//!
//! It owns the build's recipe and the folder of builds. It must never leave half a build where a whole one is looked for, and it is
//! never silent: the first build takes minutes.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};
use tokio::process::Command;

use crate::error::Doing;
use crate::find::{PROGRAMS, Programs};
use crate::{Error, Result};

/// How often a person who waits hears that something is still going on.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// The name of the program that is all of [`PROGRAMS`]: links by their names tell it which one to be.
const PROGRAM: &str = "controlplane";

/// One state of the sources, and where its build belongs.
#[derive(Debug)]
pub(crate) struct Build {
    module: PathBuf,
    cache: PathBuf,
    key: String,
    kubernetes: String,
}

impl Build {
    /// Reads the sources. No Go is needed for that, so a build that is there can be used where there is no Go.
    pub(crate) fn of(module: &Path, cache: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = module.join(name);
            std::fs::read(&path).doing("reading", &path)
        };
        let sources = [read("go.mod")?, read("go.sum")?, read("main.go")?];
        let kubernetes = requirement(&String::from_utf8_lossy(sources.first().map_or(&[], Vec::as_slice)));
        let mut hash = Context::new(&SHA256);
        for part in
            sources.iter().map(Vec::as_slice).chain([std::env::consts::OS, std::env::consts::ARCH].map(str::as_bytes))
        {
            // The lengths keep the boundaries apart.
            hash.update(&part.len().to_le_bytes());
            hash.update(part);
        }
        hash.update(linker_flags(&kubernetes).as_bytes());
        // Half of it is far more than enough to tell one's own builds apart, and makes a name that people can read out.
        let key = hash.finish().as_ref().iter().take(8).fold(0_u64, |key, byte| key << 8 | u64::from(*byte));
        Ok(Self { module: module.to_owned(), cache: cache.to_owned(), key: format!("{key:016x}"), kubernetes })
    }

    /// The build, if it was made before.
    pub(crate) fn cached(&self) -> Option<Programs> {
        Programs::in_dir(&self.folder()).ok()
    }

    /// Builds, unless another process just did.
    pub(crate) async fn run(&self, go: &OsStr) -> Result<Programs> {
        self.check_go(go).await?;
        std::fs::create_dir_all(&self.cache).doing("creating", &self.cache)?;
        let _lock = self.lock().await?;
        if let Some(programs) = self.cached() {
            return Ok(programs);
        }
        say(&format!("building the control plane (Kubernetes {}) from source: several minutes, once", self.kubernetes));
        let start = Instant::now();
        let new = self.cache.join(format!("{}.new", self.key));
        let _ = std::fs::remove_dir_all(&new);
        std::fs::create_dir_all(&new).doing("creating", &new)?;
        self.compile(go, &new.join(PROGRAM)).await?;
        for name in PROGRAMS {
            std::os::unix::fs::symlink(PROGRAM, new.join(name)).doing("linking", &new.join(name))?;
        }
        // The last step, and all or nothing: whoever sees the folder sees a whole build.
        let folder = self.folder();
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::rename(&new, &folder).doing("renaming", &new)?;
        say(&format!("built in {} s: {}", start.elapsed().as_secs(), folder.display()));
        Programs::in_dir(&folder).map_err(|missing| Error::IncompleteAssets { dir: folder, missing })
    }

    /// Where the build is, or will be.
    pub(crate) fn folder(&self) -> PathBuf {
        self.cache.join(&self.key)
    }

    /// Asks the module's own `go` line through the Go command, which may also fetch a newer toolchain where it is allowed to.
    async fn check_go(&self, go: &OsStr) -> Result<()> {
        let output =
            Command::new(go).args(["env", "GOVERSION"]).env("GOWORK", "off").current_dir(&self.module).output().await;
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(Error::NoGo(format!(
                "it is built with Go, and this one cannot: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ))),
            Err(error) => Err(Error::NoGo(format!(
                "it is built with Go, and `{}` cannot be run ({error}); install the version in {} or a newer one",
                go.display(),
                self.module.join("go.mod").display()
            ))),
        }
    }

    /// One build at a time: two at once would take twice as long for the same result.
    async fn lock(&self) -> Result<File> {
        let path = self.cache.join("lock");
        let file = File::create(&path).doing("creating", &path)?;
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new("waiting for another process that builds the control plane");
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => heartbeat.beat(start),
                Err(TryLockError::Error(error)) => return Err(error).doing("locking", &path),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn compile(&self, go: &OsStr, program: &Path) -> Result<()> {
        let log = self.cache.join("build.log");
        let out = File::create(&log).doing("creating", &log)?;
        let err = out.try_clone().doing("opening", &log)?;
        let mut command = Command::new(go);
        command
            .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &linker_flags(&self.kubernetes), "-o"])
            .arg(program)
            .arg(".")
            .current_dir(&self.module)
            // No C compiler is needed, and a workspace above must not change the versions.
            .envs([("CGO_ENABLED", "0"), ("GOWORK", "off")])
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .kill_on_drop(true);
        let mut child = command.spawn().doing("starting", Path::new(go))?;
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new("still building the control plane");
        let status = loop {
            match tokio::time::timeout(Duration::from_secs(1), child.wait()).await {
                Ok(status) => break status.doing("waiting for", Path::new(go))?,
                Err(_) => heartbeat.beat(start),
            }
        };
        if status.success() {
            return Ok(());
        }
        let tail = tail(&log, 30);
        Err(Error::GoBuild { dir: self.module.clone(), log, tail })
    }
}

/// The version of Kubernetes that a go.mod requires.
fn requirement(go_mod: &str) -> String {
    let version = go_mod.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    version.unwrap_or("v0.0.0").trim().to_owned()
}

/// Tells the program its version, which Go cannot: without it kubectl and helm fail to parse what the API server says it is.
fn linker_flags(kubernetes: &str) -> String {
    let mut numbers = kubernetes.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let facts = [
        ("gitVersion", kubernetes),
        ("gitMajor", major),
        ("gitMinor", minor),
        ("gitCommit", ""),
        ("gitTreeState", "archive"),
    ];
    let packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
    let told = packages.iter().flat_map(|package| facts.map(|(name, value)| format!("-X {package}.{name}={value}")));
    ["-s", "-w"].map(str::to_owned).into_iter().chain(told).collect::<Vec<_>>().join(" ")
}

/// The last lines of a file, for an error message; whatever cannot be read is left out.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all.iter().skip(all.len().saturating_sub(lines)).copied().collect::<Vec<_>>().join("\n")
}

/// A line now and then.
struct Heartbeat {
    what: &'static str,
    next: Duration,
}

impl Heartbeat {
    fn new(what: &'static str) -> Self {
        Self { what, next: HEARTBEAT }
    }

    fn beat(&mut self, start: Instant) {
        if start.elapsed() >= self.next {
            say(&format!("{} ({} s)", self.what, start.elapsed().as_secs()));
            self.next += HEARTBEAT;
        }
    }
}

/// Speaks to the person who waits. Not `eprintln!`: a test's harness would keep that to itself until the test is over.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "tradewind-cluster: {line}");
}
