//! The child processes of one control plane.
//!
//! It owns their start, their end and the file that remembers them. It must never leave one behind: not when a start fails half-way,
//! not when the owner is killed.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::Doing;
use crate::process::Process;
use crate::{Error, Lifetime, Result};

/// Children that run. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Running {
    dir: PathBuf,
    guardian: Option<Guardian>,
    children: Vec<(Process, Child)>,
}

impl Running {
    /// Nothing runs yet in this folder.
    pub(crate) fn new(dir: &Path, lifetime: Lifetime) -> Result<Self> {
        let guardian = match lifetime {
            Lifetime::Owner => Some(Guardian::start()?),
            Lifetime::Detached => None,
        };
        Ok(Self { dir: dir.to_owned(), guardian, children: Vec::new() })
    }

    /// Starts a program with its output in `logs/<name>.log`.
    pub(crate) fn spawn(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let log = log_path(&self.dir, name);
        let out = File::create(&log).doing("creating", &log)?;
        let err = out.try_clone().doing("opening", &log)?;
        // Its own process group: Ctrl-C in a terminal is for the owner, which then ends the children at once. Left to themselves they
        // would take a minute over it.
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0).spawn();
        let child = child.doing("starting", Path::new(command.get_program()))?;
        let pid = child.id();
        let process = Process::new(name, pid).doing("looking for the start time of", Path::new(name));
        // Told first, and kept even if something below fails: from here on there is a process to end.
        let told = self.guardian.as_mut().map_or(Ok(()), |guardian| guardian.watch(pid));
        match process {
            Ok(process) => self.children.push((process, child)),
            Err(error) => {
                end(child);
                return Err(error);
            }
        }
        told?;
        write_state(&self.dir, self.children.iter().map(|(process, _)| process))
    }

    /// The first child that has ended on its own, and how.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.children.iter_mut().find_map(|(process, child)| {
            let status = child.try_wait().ok()??;
            Some(format!("{} ended by itself: {status}", process.name))
        })
    }

    /// Lets the children outlive this value and this process.
    pub(crate) fn detach(mut self) {
        self.children.clear();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.children.is_empty() {
            return;
        }
        // The guardian goes first: it would otherwise end ids that may be another's by then.
        self.guardian = None;
        for (_, child) in &mut self.children {
            let _ = child.kill();
        }
        for (_, child) in self.children.drain(..) {
            end(child);
        }
        forget(&self.dir);
    }
}

/// Ends a child and takes its exit status, without which it would stay in the process table.
fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// A small shell that ends the children when the owner is gone, whatever ended it.
///
/// It reads process ids from a pipe whose other end only the owner holds; the kernel closes that when the owner ends, `kill -9`
/// included. `PR_SET_PDEATHSIG` is not used because it follows the *thread* that started the child, and under `#[tokio::test]` that
/// thread ends with the first test of many. It works for any binaries, also those of `KUBEBUILDER_ASSETS`.
#[derive(Debug)]
struct Guardian(Child);

impl Guardian {
    const SCRIPT: &str = r#"pids=; while read -r pid; do pids="$pids $pid"; done; [ -z "$pids" ] || kill -KILL $pids"#;

    fn start() -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", Self::SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Its own process group, or what ends the owner's group would end the guardian with it.
        command.process_group(0).spawn().map(Self).doing("starting", Path::new("sh"))
    }

    fn watch(&mut self, pid: u32) -> Result<()> {
        let pipe = self.0.stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe);
        pipe.map_err(std::io::Error::from)
            .and_then(|pipe| writeln!(pipe, "{pid}"))
            .doing("writing to the guardian of", Path::new("the control plane"))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // Kill before the pipe closes: closing it is the signal to end the children.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a component's output goes.
pub(crate) fn log_path(dir: &Path, name: &str) -> PathBuf {
    dir.join("logs").join(name).with_extension("log")
}

/// The processes that were started in this folder, running or not.
pub(crate) fn read_state(dir: &Path) -> Result<Vec<Process>> {
    let path = state_path(dir);
    match std::fs::read(&path) {
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|source| Error::Json { what: path.display().to_string(), source })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).doing("reading", &path),
    }
}

fn write_state<'a>(dir: &Path, processes: impl Iterator<Item = &'a Process>) -> Result<()> {
    let path = state_path(dir);
    let all: Vec<_> = processes.collect();
    let text = serde_json::to_vec_pretty(&all);
    let text = text.map_err(|source| Error::Json { what: path.display().to_string(), source })?;
    std::fs::write(&path, text).doing("writing", &path)
}

/// Throws away what only running processes need: the list of them and etcd's data. Logs, audit log and kubeconfig are kept to be read.
pub(crate) fn forget(dir: &Path) {
    let _ = std::fs::remove_file(state_path(dir));
    let _ = std::fs::remove_dir_all(dir.join("etcd"));
}

fn state_path(dir: &Path) -> PathBuf {
    dir.join("processes.json")
}
