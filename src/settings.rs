//! Arguments as typed, and what they mean. A leaf: the rest of the program sees [`Settings`], never the environment.

use crate::{
    domain::{intent::Timing, schedule},
    provider::{AllowList, BadEndpoint},
    telemetry::LogFormat,
};
use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

/// The arguments of `tradewind run`; each can be given as an environment variable too.
#[derive(clap::Args, Debug, Clone)]
pub struct RunArgs {
    /// Watch only this namespace; the whole cluster where absent
    #[arg(long, env = "TRADEWIND_NAMESPACE")]
    pub namespace: Option<String>,
    /// Allow accounts to name this endpoint, such as `https://proxy.example.com`; repeatable
    #[arg(long = "allow-endpoint", env = "TRADEWIND_ALLOW_ENDPOINT", value_delimiter = ',')]
    pub allow_endpoints: Vec<String>,
    /// More CA certificates (PEM) for calls to providers, beside those of the system
    #[arg(long, env = "TRADEWIND_CA_BUNDLE")]
    pub ca_bundle: Option<PathBuf>,
    /// Objects worked on at the same time
    #[arg(long, env = "TRADEWIND_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, env = "TRADEWIND_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Wake up on changes of Secrets; needs list and watch on Secrets (metadata only is asked for)
    #[arg(long, env = "TRADEWIND_WATCH_SECRETS")]
    pub watch_secrets: bool,
    /// Lead only while holding the Lease; for more than one replica
    #[arg(long, env = "TRADEWIND_LEADER_ELECT")]
    pub leader_elect: bool,
    /// Namespace of the Lease
    #[arg(long, env = "TRADEWIND_LEASE_NAMESPACE", default_value = "tradewind-system")]
    pub lease_namespace: String,
    /// Name of this process in the Lease and in events; unique for each replica
    #[arg(long, env = "TRADEWIND_IDENTITY")]
    pub identity: Option<String>,
    /// A call to a provider ends after this long
    #[arg(long, env = "TRADEWIND_CALL_TIMEOUT", default_value = "20s", value_parser = schedule::parse)]
    pub call_timeout: Duration,
    /// A create is sent at most this long after it was announced in the object
    #[arg(long, env = "TRADEWIND_PERMIT_LIFE", default_value = "30s", value_parser = schedule::parse)]
    pub permit_life: Duration,
    /// Lists of providers show a new record at most this late
    #[arg(long, env = "TRADEWIND_LIST_LAG", default_value = "25s", value_parser = schedule::parse)]
    pub list_lag: Duration,
    /// What is under way at a provider is looked at this often
    #[arg(long, env = "TRADEWIND_POLL", default_value = "15s", value_parser = schedule::parse)]
    pub poll: Duration,
    /// Accounts are probed this often
    #[arg(long, env = "TRADEWIND_PROBE_INTERVAL", default_value = "10m", value_parser = schedule::parse)]
    pub probe_interval: Duration,
    /// On a stop signal, calls under way may take this long to end and be recorded
    #[arg(long, env = "TRADEWIND_SHUTDOWN_GRACE", default_value = "25s", value_parser = schedule::parse)]
    pub shutdown_grace: Duration,
    /// What to log, as a tracing filter
    #[arg(long, env = "TRADEWIND_LOG", default_value = "info,kube_runtime=warn")]
    pub log: String,
    /// How to log
    #[arg(long, env = "TRADEWIND_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// What the arguments mean.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace to watch; all where absent.
    pub namespace: Option<String>,
    /// The endpoints that accounts may name.
    pub allow: AllowList,
    /// More CA certificates.
    pub ca_bundle: Option<Vec<u8>>,
    /// Objects worked on at the same time.
    pub concurrency: u16,
    /// Address of the probes and metrics.
    pub listen: SocketAddr,
    /// Wake up on changes of Secrets.
    pub watch_secrets: bool,
    /// The namespace of the Lease, if one is to be held.
    pub lease: Option<String>,
    /// Name of this process.
    pub identity: String,
    /// The protocol's times.
    pub timing: Timing,
    /// How often something under way is looked at.
    pub poll: Duration,
    /// How often accounts are probed.
    pub probe_interval: Duration,
    /// How long calls under way may take after a stop signal.
    pub shutdown_grace: Duration,
}

/// An argument that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadSetting {
    /// `--allow-endpoint`.
    #[error("--allow-endpoint: {0}")]
    Endpoint(#[from] BadEndpoint),
    /// `--ca-bundle`.
    #[error("--ca-bundle {path}: {source}", path = path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// A duration that would switch the protocol off.
    #[error("--{0} must be more than 0s")]
    Zero(&'static str),
}

impl RunArgs {
    /// Checks the arguments and reads the files they name.
    ///
    /// # Errors
    /// The first argument that cannot be used.
    pub fn settings(self) -> Result<Settings, BadSetting> {
        let positive = [
            ("call-timeout", self.call_timeout),
            ("permit-life", self.permit_life),
            ("poll", self.poll),
            ("probe-interval", self.probe_interval),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, d)| d.is_zero()) {
            return Err(BadSetting::Zero(name));
        }
        Ok(Settings {
            allow: AllowList::new(&self.allow_endpoints)?,
            ca_bundle: self.ca_bundle.map(bundle).transpose()?,
            namespace: self.namespace,
            concurrency: self.concurrency,
            listen: self.listen,
            watch_secrets: self.watch_secrets,
            lease: self.leader_elect.then_some(self.lease_namespace),
            identity: self.identity.unwrap_or_else(|| format!("tradewind-{}", uuid::Uuid::new_v4().simple())),
            timing: Timing { permit: self.permit_life, call: self.call_timeout, lag: self.list_lag },
            poll: self.poll,
            probe_interval: self.probe_interval,
            shutdown_grace: self.shutdown_grace,
        })
    }
}

/// The certificates in a file. One without any would be passed over in silence, and every call would fail for another reason.
fn bundle(path: PathBuf) -> Result<Vec<u8>, BadSetting> {
    let read = std::fs::read(&path).and_then(|pem| {
        let holds_one = String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----");
        holds_one
            .then_some(pem)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it holds no certificate (PEM)"))
    });
    read.map_err(|source| BadSetting::CaBundle { path, source })
}
