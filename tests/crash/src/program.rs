//! One operator as a process: started, killed and started again, stopped and continued.
//!
//! Owns the process that it started, by its id. It must never signal any other, and never leaves one behind.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex as Lock, PoisonError};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How to start it.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Whose rights it has, and where the API server is.
    pub kubeconfig: PathBuf,
    /// Where it says what it does.
    pub log: PathBuf,
}

/// See the module.
#[derive(Debug)]
pub struct Program {
    recipe: Recipe,
    child: Mutex<Option<Child>>,
    kills: Lock<Kills>,
}

/// The kills so far.
#[derive(Clone, Debug, Default)]
pub struct Kills {
    /// When each of them was over: the old process gone, and the new one begun.
    pub at: Vec<Instant>,
    /// What went wrong with them: it had ended before, or could not be started again.
    pub trouble: Option<String>,
}

impl Program {
    /// It does not run yet.
    #[must_use]
    pub fn new(recipe: Recipe) -> Self {
        Self { recipe, child: Mutex::new(None), kills: Lock::default() }
    }

    /// Starts it.
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub async fn start(&self) -> Result<()> {
        let mut child = self.child.lock().await;
        if child.is_some() {
            bail!("it runs already");
        }
        *child = Some(self.spawn()?);
        Ok(())
    }

    /// `kill -9`, and another process in its place. What goes wrong is told by [`Program::kills`].
    pub async fn strike(&self) {
        let mut child = self.child.lock().await;
        // Ended already: nothing to kill, and nothing to start.
        let Some(old) = child.as_mut() else { return };
        let result = kill(old).await.and_then(|()| self.spawn());
        let now = Instant::now();
        let mut kills = self.kills.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(new) => {
                *child = Some(new);
                kills.at.push(now);
            }
            Err(error) => {
                kills.trouble.get_or_insert_with(|| format!("{error:#}; see {}", self.recipe.log.display()));
            }
        }
    }

    /// `kill -9`, and none in its place.
    ///
    /// # Errors
    /// It had ended by itself.
    pub async fn end(&self) -> Result<()> {
        let child = self.child.lock().await.take();
        let Some(mut child) = child else { return Ok(()) };
        kill(&mut child).await.with_context(|| format!("see {}", self.recipe.log.display()))
    }

    /// SIGSTOP: it does nothing any more, and its clock goes on.
    ///
    /// # Errors
    /// It does not run.
    pub async fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP).await
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It does not run.
    pub async fn go_on(&self) -> Result<()> {
        self.signal(Signal::CONT).await
    }

    /// The kills so far.
    #[must_use]
    pub fn kills(&self) -> Kills {
        self.kills.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where it says what it does.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.recipe.log
    }

    async fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.lock().await;
        let id = child.as_ref().and_then(Child::id).context("it does not run")?;
        let pid = Pid::from_raw(id.try_into()?).context("an id of a process")?;
        rustix::process::kill_process(pid, signal).context("a signal")
    }

    fn spawn(&self) -> Result<Child> {
        let Recipe { program, args, kubeconfig, log } = &self.recipe;
        let log = OpenOptions::new().create(true).append(true).open(log).context("a log")?;
        let child = Command::new(program)
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        child.with_context(|| format!("starting {}", program.display()))
    }
}

/// Kills a process that must still be there, and waits until it is gone.
async fn kill(child: &mut Child) -> Result<()> {
    if let Some(status) = child.try_wait()? {
        bail!("the operator ended by itself: {status}");
    }
    child.kill().await.context("killing the operator")
}
