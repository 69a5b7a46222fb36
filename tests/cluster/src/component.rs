//! The command lines of the three servers.
//!
//! It owns every flag. It must never listen on anything but loopback, and it leaves alone what tests rely on being as in a real
//! cluster: RBAC, admission, the watch cache, priority and fairness.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use crate::error::Doing;
use crate::material::Material;
use crate::{Programs, Result};

/// The controllers that run. Deployments and the like have none: there is no kubelet to bring their pods up anyway.
const CONTROLLERS: [&str; 6] = [
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
];

/// Ports that were free a moment ago.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    etcd: u16,
    pub(crate) apiserver: u16,
}

impl Ports {
    /// Both are held while the second is picked, so they differ.
    pub(crate) fn pick() -> Result<Self> {
        let bind =
            || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing("looking for a free port on", Path::new("127.0.0.1"));
        let port =
            |listener: &TcpListener| listener.local_addr().doing("reading the address of", Path::new("a free port"));
        let (etcd, apiserver) = (bind()?, bind()?);
        Ok(Self { etcd: port(&etcd)?.port(), apiserver: port(&apiserver)?.port() })
    }

    /// The URL that etcd serves.
    pub(crate) fn etcd(self) -> String {
        format!("http://127.0.0.1:{}", self.etcd)
    }
}

/// etcd for one run: what it stores is thrown away, so it does not wait for the disk.
pub(crate) fn etcd(programs: &Programs, files: &Material, ports: Ports) -> Command {
    let client = ports.etcd();
    let mut command = Command::new(programs.path("etcd"));
    command.arg(path_flag("data-dir", &files.etcd())).args([
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]);
    command
}

/// The API server, with RBAC and an audit log.
pub(crate) fn apiserver(programs: &Programs, files: &Material, ports: Ports) -> Command {
    let mut command = Command::new(programs.path("kube-apiserver"));
    command
        .args([format!("--etcd-servers={}", ports.etcd()), format!("--secure-port={}", ports.apiserver)])
        .args([
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            // Nothing reaches the API server through its Service here, and a loopback address is refused as an endpoint.
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            // Test suites are bursts: a 429 from the in-flight limit would be noise (those that tests want, they make themselves).
            "--max-requests-inflight=3000",
            "--max-mutating-requests-inflight=1000",
            "--audit-log-format=json",
            // The line is in the file before the next request of the same test can be.
            "--audit-log-mode=blocking",
            "--profiling=false",
        ])
        .arg(path_flag("tls-cert-file", &files.certificate()))
        .arg(path_flag("tls-private-key-file", &files.key()))
        .arg(path_flag("token-auth-file", &files.tokens()))
        .arg(path_flag("service-account-key-file", &files.service_account_public_key()))
        .arg(path_flag("service-account-signing-key-file", &files.service_account_key()))
        .arg(path_flag("audit-policy-file", &files.audit_policy()))
        .arg(path_flag("audit-log-path", &files.audit_log()));
    command
}

/// The controllers, quick enough for tests that wait for them.
pub(crate) fn controller_manager(programs: &Programs, files: &Material) -> Command {
    let mut command = Command::new(programs.path("kube-controller-manager"));
    command
        .arg(format!("--controllers={}", CONTROLLERS.join(",")))
        .args([
            "--leader-elect=false",
            // No serving at all: one port less that could be taken.
            "--secure-port=0",
            "--namespace-sync-period=2s",
            "--concurrent-namespace-syncs=20",
            "--kube-api-qps=300",
            "--kube-api-burst=600",
            "--profiling=false",
        ])
        .arg(path_flag("kubeconfig", &files.controllers_kubeconfig()))
        .arg(path_flag("service-account-private-key-file", &files.service_account_key()))
        .arg(path_flag("root-ca-file", &files.ca()));
    command
}

/// `--name=path`; the path need not be text.
fn path_flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(path);
    flag
}
