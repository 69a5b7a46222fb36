//! What can go wrong, in words that say what to do about it.
//!
//! It owns every message of the crate. It must never hold a token or a key: errors end up in CI logs.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no control plane, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `TRADEWIND_KUBECONFIG` names no file.
    #[error("TRADEWIND_KUBECONFIG is set to {0}, but there is no such file")]
    NoKubeconfig(PathBuf),

    /// `KUBEBUILDER_ASSETS` lacks programs.
    #[error(
        "KUBEBUILDER_ASSETS is set to {dir}, which lacks {missing}; all of etcd, kube-apiserver, kube-controller-manager and kubectl \
         must be there (setup-envtest does not ship kube-controller-manager: put one of the same version beside the others, or unset \
         the variable to have the control plane built from source)",
        dir = dir.display(), missing = missing.join(", "))]
    IncompleteAssets {
        /// The folder that was named.
        dir: PathBuf,
        /// The programs that are not in it.
        missing: Vec<&'static str>,
    },

    /// Nothing was found and it cannot be built either.
    #[error("{what} is not built yet: that takes Go, and {why}{otherwise}")]
    NoGo {
        /// What is missing.
        what: &'static str,
        /// Why it cannot be built.
        why: String,
        /// What else there is to do.
        otherwise: &'static str,
    },

    /// The build failed.
    #[error("building {what} failed (`go build` in {dir}); the end of {log}:\n{tail}{otherwise}",
        dir = dir.display(), log = log.display())]
    GoBuild {
        /// What was built.
        what: &'static str,
        /// The Go module.
        dir: PathBuf,
        /// The whole output.
        log: PathBuf,
        /// Its end.
        tail: String,
        /// What else there is to do.
        otherwise: &'static str,
    },

    /// Another control plane uses the folder.
    #[error(
        "a control plane is running in {0} already; stop it with `tradewind-cluster down --dir {0}` or use another folder"
    )]
    AlreadyRunning(String),

    /// Somebody else is starting one in the same folder right now.
    #[error("another process is starting a control plane in {0} right now")]
    Busy(PathBuf),

    /// A component ended or never became ready.
    #[error("{what} (after {}s); the ends of the logs:\n{logs}", waited.as_secs())]
    NotReady {
        /// What was waited for, or which program ended.
        what: String,
        /// For how long.
        waited: Duration,
        /// The last lines of each component's log.
        logs: String,
    },

    /// The cluster is somebody else's: it has no audit log for us.
    #[error(
        "there is no audit log: TRADEWIND_KUBECONFIG points at a cluster that was not started here; unset it for tests that count requests"
    )]
    NoAuditLog,

    /// A line of the audit log is not an event.
    #[error("line at byte {at} of {path} is not an audit event: {source}", path = path.display())]
    AuditLine {
        /// The log.
        path: PathBuf,
        /// Where the line begins.
        at: u64,
        /// Why.
        source: serde_json::Error,
    },

    /// kubectl said no.
    #[error("`kubectl {args}` failed: {stderr}")]
    Kubectl {
        /// What it was asked.
        args: String,
        /// What it said.
        stderr: String,
    },

    /// A file or process could not be dealt with.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path or the program.
        doing: String,
        /// Why it failed.
        source: std::io::Error,
    },

    /// A key or certificate could not be made.
    #[error("making test certificates: {0}")]
    Certificates(#[from] rcgen::Error),

    /// A file of ours, or an answer of kubectl, is not the JSON it should be.
    #[error("{what} is not the JSON it should be: {source}")]
    Json {
        /// Which file or answer.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Says what was being done when a system call failed.
pub(crate) trait Doing<T> {
    /// `doing` reads like "reading".
    fn doing(self, doing: &str, what: &Path) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: &str, what: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { doing: format!("{doing} {}", what.display()), source: source.into() })
    }
}
