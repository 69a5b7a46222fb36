//! Go programs from source: each built once and kept.
//!
//! It owns how a build is made and the folders of builds. It must never leave half a build where a whole one is looked for, and it is
//! never silent: a first build takes minutes.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};
use tokio::process::Command;

use crate::error::Doing;
use crate::{Error, Result};

/// How often a person who waits hears that something is still going on.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// What is built, and from what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// What people call it.
    pub(crate) what: &'static str,
    /// The package: `.`, or `tool` for the one that the module names as its tool.
    pub(crate) package: &'static str,
    /// The file that is built.
    pub(crate) program: &'static str,
    /// By which names it is called: links tell one program which one of several to be.
    pub(crate) names: &'static [&'static str],
    /// The module whose required version counts as the version of the whole, and is told to the program by these flags.
    pub(crate) version_of: &'static str,
    pub(crate) flags: fn(version: &str) -> String,
    /// What else there is to do for those who cannot build it.
    pub(crate) otherwise: &'static str,
}

/// One state of the sources, and where its build belongs.
#[derive(Debug)]
pub(crate) struct Build {
    recipe: Recipe,
    module: PathBuf,
    cache: PathBuf,
    key: String,
    version: String,
}

impl Build {
    /// Reads the sources. No Go is needed for that, so a build that is there can be used where there is no Go.
    pub(crate) fn of(recipe: Recipe, module: &Path, cache: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = module.join(name);
            std::fs::read(&path).doing("reading", &path)
        };
        let (go_mod, go_sum) = (read("go.mod")?, read("go.sum")?);
        // The sources of a tool are all in its go.sum.
        let main = if recipe.package == "." { read("main.go")? } else { Vec::new() };
        let version = requirement(&String::from_utf8_lossy(&go_mod), recipe.version_of);
        let flags = (recipe.flags)(&version);
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let mut hash = Context::new(&SHA256);
        for part in [&*go_mod, &go_sum, &main, os.as_bytes(), arch.as_bytes(), flags.as_bytes()] {
            // The lengths keep the boundaries apart.
            hash.update(&part.len().to_le_bytes());
            hash.update(part);
        }
        // Half of it is far more than enough to tell one's own builds apart, and makes a name that people can read out.
        let key = hash.finish().as_ref().iter().take(8).fold(0_u64, |key, byte| key << 8 | u64::from(*byte));
        Ok(Self { recipe, module: module.to_owned(), cache: cache.to_owned(), key: format!("{key:016x}"), version })
    }

    /// The folder of the build, if it was made before.
    pub(crate) fn cached(&self) -> Option<PathBuf> {
        let folder = self.folder();
        self.recipe.names.iter().all(|name| folder.join(name).is_file()).then_some(folder)
    }

    /// The folder of the build: that of an earlier one, or of one that is made now.
    pub(crate) async fn get(&self, go: &OsStr) -> Result<PathBuf> {
        match self.cached() {
            Some(folder) => Ok(folder),
            None => self.run(go).await,
        }
    }

    /// Builds, unless another process just did.
    async fn run(&self, go: &OsStr) -> Result<PathBuf> {
        self.check_go(go).await?;
        std::fs::create_dir_all(&self.cache).doing("creating", &self.cache)?;
        let _lock = self.lock().await?;
        if let Some(folder) = self.cached() {
            return Ok(folder);
        }
        let Recipe { what, program, names, .. } = self.recipe;
        say(&format!("building {what} ({}) from source: minutes, once", self.version));
        let start = Instant::now();
        let new = self.cache.join(format!("{}.new", self.key));
        let _ = std::fs::remove_dir_all(&new);
        std::fs::create_dir_all(&new).doing("creating", &new)?;
        self.compile(go, &new.join(program)).await?;
        for name in names.iter().filter(|name| **name != program) {
            std::os::unix::fs::symlink(program, new.join(name)).doing("linking", &new.join(name))?;
        }
        // The last step, and all or nothing: whoever sees the folder sees a whole build.
        let folder = self.folder();
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::rename(&new, &folder).doing("renaming", &new)?;
        say(&format!("built in {} s: {}", start.elapsed().as_secs(), folder.display()));
        Ok(folder)
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
            Ok(output) => {
                Err(self.no_go(format!("this one cannot: {}", String::from_utf8_lossy(&output.stderr).trim())))
            }
            Err(error) => Err(self.no_go(format!(
                "`{}` cannot be run ({error}); install the version in {} or a newer one",
                go.display(),
                self.module.join("go.mod").display()
            ))),
        }
    }

    fn no_go(&self, why: String) -> Error {
        Error::NoGo { what: self.recipe.what, why, otherwise: self.recipe.otherwise }
    }

    /// One build at a time: two at once would take twice as long for the same result.
    async fn lock(&self) -> Result<File> {
        let path = self.cache.join("lock");
        let file = File::create(&path).doing("creating", &path)?;
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(format!("waiting for another process that builds {}", self.recipe.what));
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
            .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &(self.recipe.flags)(&self.version), "-o"])
            .arg(program)
            .arg(self.recipe.package)
            .current_dir(&self.module)
            // No C compiler is needed, and a workspace above must not change the versions.
            .envs([("CGO_ENABLED", "0"), ("GOWORK", "off")])
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .kill_on_drop(true);
        let mut child = command.spawn().doing("starting", Path::new(go))?;
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(format!("still building {}", self.recipe.what));
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
        let Recipe { what, otherwise, .. } = self.recipe;
        Err(Error::GoBuild { what, dir: self.module.clone(), log, tail, otherwise })
    }
}

/// The version of a module that a go.mod requires.
fn requirement(go_mod: &str, module: &str) -> String {
    let required = |line: &str| {
        let (name, version) = line.trim().split_once(' ')?;
        (name == module).then(|| version.split_whitespace().next().unwrap_or_default().to_owned())
    };
    go_mod.lines().find_map(required).unwrap_or_else(|| "v0.0.0".to_owned())
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
    what: String,
    next: Duration,
}

impl Heartbeat {
    fn new(what: String) -> Self {
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
