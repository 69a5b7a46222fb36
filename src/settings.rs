//! Arguments as typed, and what they mean. A leaf: the rest of the program sees [`Settings`], never the environment.

use crate::{
    domain::{intent::Timing, schedule, text},
    provider::{AllowList, BadEndpoint},
    telemetry::LogFormat,
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

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
    /// Address of /livez, /readyz and /metrics; where absent `[::]:8080`, or `0.0.0.0:8080` without IPv6
    #[arg(long, env = "TRADEWIND_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Wake up on changes of Secrets; needs list and watch on Secrets (metadata only is asked for)
    #[arg(long, env = "TRADEWIND_WATCH_SECRETS")]
    pub watch_secrets: bool,
    /// Lead only while holding the Lease; for more than one replica
    #[arg(long, env = "TRADEWIND_LEADER_ELECT")]
    pub leader_elect: bool,
    /// Namespace of the Lease
    #[arg(long, env = "TRADEWIND_LEASE_NAMESPACE", default_value = "tradewind-system")]
    pub lease_namespace: String,
    /// Name of the Lease; another one for each operator that works beside the others, on other namespaces
    #[arg(long, env = "TRADEWIND_LEASE_NAME", default_value = "tradewind")]
    pub lease_name: String,
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
    /// The Lease, if one is to be held.
    pub lease: Option<Lease>,
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

/// The Lease that one process at a time holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The namespace that it is in.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The longest name that events take for the process that writes them.
const MAX_IDENTITY: usize = 128;

/// An argument that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadSetting {
    /// `--namespace`.
    #[error(
        "--namespace (TRADEWIND_NAMESPACE) is {0:?}, which is no name of a namespace: small letters, digits and '-', at most \
         63 characters. Leave it out to watch all namespaces"
    )]
    Namespace(String),
    /// `--lease-namespace`.
    #[error(
        "--lease-namespace (TRADEWIND_LEASE_NAMESPACE) is {0:?}, which is no name of a namespace: small letters, digits and \
         '-', at most 63 characters. Leave it out for tradewind-system"
    )]
    LeaseNamespace(String),
    /// `--lease-name`.
    #[error(
        "--lease-name (TRADEWIND_LEASE_NAME) is {0:?}, which is no name of a Lease: small letters, digits, '-' and '.', at \
         most 253 characters. Leave it out for tradewind"
    )]
    LeaseName(String),
    /// `--identity`.
    #[error(
        "--identity (TRADEWIND_IDENTITY) is {0:?}, which names no process: 1 to {MAX_IDENTITY} characters without blanks, \
         other ones for each replica. Leave it out for a name that is made up at every start"
    )]
    Identity(String),
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
    /// One with which a pass would never have to end.
    #[error("--{0} must be no more than 1h")]
    Long(&'static str),
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
        let bounded = [
            ("call-timeout", self.call_timeout),
            ("permit-life", self.permit_life),
            ("list-lag", self.list_lag),
            ("poll", self.poll),
            ("shutdown-grace", self.shutdown_grace),
        ];
        if let Some((name, _)) = bounded.iter().find(|(_, duration)| *duration > Duration::from_hours(1)) {
            return Err(BadSetting::Long(name));
        }
        self.check_names()?;
        Ok(Settings {
            allow: AllowList::new(&self.allow_endpoints)?,
            ca_bundle: self.ca_bundle.map(bundle).transpose()?,
            namespace: self.namespace,
            concurrency: self.concurrency,
            listen: self.listen.unwrap_or_else(|| everywhere(has_ipv6)),
            watch_secrets: self.watch_secrets,
            lease: self.leader_elect.then_some(Lease { namespace: self.lease_namespace, name: self.lease_name }),
            identity: self.identity.unwrap_or_else(|| format!("tradewind-{}", uuid::Uuid::new_v4().simple())),
            timing: Timing { permit: self.permit_life, call: self.call_timeout, lag: self.list_lag },
            poll: self.poll,
            probe_interval: self.probe_interval,
            shutdown_grace: self.shutdown_grace,
        })
    }

    /// A variable that is set to nothing is a value all the same: as a namespace it would ask for paths that do not exist, and
    /// as a name it would be that of every replica.
    fn check_names(&self) -> Result<(), BadSetting> {
        let Self { namespace, identity, lease_namespace, lease_name, .. } = self;
        if let Some(name) = namespace.as_ref().filter(|name| !text::is_namespace(name)) {
            return Err(BadSetting::Namespace(name.clone()));
        }
        if !text::is_namespace(lease_namespace) {
            return Err(BadSetting::LeaseNamespace(lease_namespace.clone()));
        }
        if !text::is_name(lease_name) {
            return Err(BadSetting::LeaseName(lease_name.clone()));
        }
        let is_identity =
            |name: &&String| (1..=MAX_IDENTITY).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        match identity.as_ref().filter(|name| !is_identity(name)) {
            Some(name) => Err(BadSetting::Identity(name.clone())),
            None => Ok(()),
        }
    }
}

/// The port where nobody names another one.
const PORT: u16 = 8080;

/// Every address of this machine, of either family: the kubelet asks by the address that a pod has first, and a pod may have no other. A
/// machine whose IPv6 is off has no `[::]` to listen on.
fn everywhere(has_ipv6: impl FnOnce() -> bool) -> SocketAddr {
    if has_ipv6() { (Ipv6Addr::UNSPECIFIED, PORT).into() } else { (Ipv4Addr::UNSPECIFIED, PORT).into() }
}

/// Asked of a port that nobody else can have: a port that is taken is no sign of it.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};
    use rstest::rstest;

    fn settings(args: &[&str]) -> Result<Settings, BadSetting> {
        // Whatever is set where the tests run.
        let command = RunArgs::augment_args(clap::Command::new("run")).mut_args(|arg| arg.env(None));
        let matches = command.try_get_matches_from([&["run"], args].concat()).expect("arguments");
        RunArgs::from_arg_matches(&matches).expect("arguments").settings()
    }

    #[rstest]
    #[case::one(&["--leader-elect"], Some(("tradewind-system", "tradewind")))]
    #[case::another(
        &["--leader-elect", "--lease-namespace", "shop", "--lease-name", "tradewind-shop.eu"],
        Some(("shop", "tradewind-shop.eu"))
    )]
    #[case::none(&["--lease-name", "other"], None)]
    fn the_lease_is_the_one_that_is_named(#[case] args: &[&str], #[case] expected: Option<(&str, &str)>) {
        let lease = settings(args).expect("settings").lease;
        assert_eq!(lease.as_ref().map(|lease| (lease.namespace.as_str(), lease.name.as_str())), expected);
    }

    #[test]
    fn without_ipv6_it_listens_on_ipv4() {
        assert_eq!(everywhere(|| true).to_string(), "[::]:8080");
        assert_eq!(everywhere(|| false).to_string(), "0.0.0.0:8080");
        assert_eq!(settings(&[]).expect("settings").listen, everywhere(has_ipv6));
    }

    #[rstest]
    #[case::ipv4("0.0.0.0:8080")]
    #[case::ipv6("[::]:9090")]
    #[case::loopback("127.0.0.1:0")]
    fn an_address_that_is_named_is_taken_as_it_is(#[case] address: &str) {
        let listen = settings(&["--listen", address]).expect("settings").listen;
        assert_eq!(listen.to_string(), address);
    }

    #[rstest]
    #[case::no_namespace("--namespace=", "Leave it out to watch all namespaces")]
    #[case::a_namespace_with_a_dot("--namespace=shop.eu", "no name of a namespace")]
    #[case::a_namespace_that_is_a_path("--namespace=shop/../x", "no name of a namespace")]
    #[case::no_lease_namespace("--lease-namespace=", "Leave it out for tradewind-system")]
    #[case::no_lease("--lease-name=", "Leave it out for tradewind")]
    #[case::a_lease_in_capitals("--lease-name=Tradewind", "no name of a Lease")]
    #[case::nobody("--identity=", "Leave it out for a name that is made up")]
    #[case::a_blank("--identity=pod 1", "names no process")]
    #[case::a_line("--identity=pod\n", "names no process")]
    fn a_name_that_is_none_is_refused(#[case] arg: &str, #[case] says: &str) {
        let error = settings(&[arg]).expect_err("a refusal").to_string();
        assert!(error.starts_with(arg.split('=').next().expect("a name")) && error.contains(says), "{error}");
    }

    #[test]
    fn an_identity_is_no_longer_than_events_take() {
        let named = |length: usize| settings(&[&format!("--identity={}", "a".repeat(length))]);
        assert_eq!(named(MAX_IDENTITY).expect("settings").identity.len(), MAX_IDENTITY);
        assert!(named(MAX_IDENTITY + 1).is_err());
        assert!(settings(&[]).expect("settings").identity.starts_with("tradewind-"));
    }
}
