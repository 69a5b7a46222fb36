//! The way to the API server where there is a proxy: which one is taken, and by whom.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;

use super::process::Operator;
use super::{PROGRAM, Ran};
use crate::cluster::{Sandbox, control_plane};
use crate::proxy::Proxy;

/// A proxy that nobody runs: port 1 refuses.
const NOBODY: &str = "http://127.0.0.1:1";

/// A name that only a proxy can make something of.
const NAME: &str = "api.tradewind.test";

/// A kubeconfig that names the API server and a proxy to it otherwise. It goes with its owner.
struct Named {
    file: PathBuf,
    server: SocketAddr,
}

impl Named {
    /// `host`: how the server is called; what its certificate says stays the same.
    fn new(kubeconfig: &Path, name: &str, host: Option<&str>, proxy: Option<String>) -> Self {
        let mut config = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let cluster = config.clusters[0].cluster.as_mut().expect("a cluster");
        let url: http::Uri = cluster.server.as_deref().expect("a server").parse().expect("a URL");
        let (certified, port) = (url.host().expect("a host"), url.port_u16().expect("a port"));
        let server = format!("{certified}:{port}").parse().expect("an address");
        if let Some(host) = host {
            cluster.server = Some(format!("https://{host}:{port}"));
            cluster.tls_server_name = Some(certified.to_owned());
        }
        cluster.proxy_url = proxy;
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.yaml", std::process::id()));
        std::fs::write(&file, serde_yaml::to_string(&config).expect("YAML")).expect("a kubeconfig");
        Self { file, server }
    }

    /// Runs `tradewind status -A` with it.
    async fn status(&self, environment: &[(&str, &str)]) -> Ran {
        let mut command = assert_cmd::Command::new(PROGRAM);
        command.env_clear().envs(environment.iter().copied()).args(["status", "-A", "--kubeconfig"]).arg(&self.file);
        let run = move || command.output().expect("a run of the program");
        tokio::task::spawn_blocking(run).await.expect("the end of the program").into()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

#[tokio::test]
async fn this_machine_is_reached_without_the_proxy_of_the_environment() {
    let kubeconfig = Named::new(control_plane().await.kubeconfig(), "proxy-here", None, None);
    for name in ["HTTPS_PROXY", "https_proxy"] {
        let ran = kubeconfig.status(&[(name, NOBODY)]).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{name}");
    }
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_asked_except_for_what_is_excepted() {
    let admin = control_plane().await.kubeconfig();
    let far = Named::new(admin, "proxy-far", Some(NAME), None);
    let proxy = Proxy::before(far.server).await;
    let url = proxy.url("http");
    let ran = far.status(&[("HTTPS_PROXY", &url)]).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let asked = proxy.asked();
    let wanted = format!("{NAME}:{}", far.server.port());
    assert!(!asked.is_empty() && asked.iter().all(|host| *host == wanted), "{asked:?}");

    // Not this machine by its name, and yet there without a proxy.
    let near = Named::new(admin, "proxy-near", Some("0.0.0.0"), None);
    let direct = near.status(&[("HTTPS_PROXY", NOBODY), ("NO_PROXY", "localhost, 0.0.0.0")]).await;
    assert_eq!((direct.code, direct.err.as_str()), (Some(0), ""));
    let ran = near.status(&[("HTTPS_PROXY", NOBODY)]).await;
    assert_eq!((ran.code, ran.err.lines().count()), (Some(1), 1), "{}", ran.err);
    assert!(ran.err.starts_with("Error: the API server cannot be reached (") && ran.err.contains("HTTPS_PROXY"));
    assert_eq!(proxy.asked(), asked);
}

#[tokio::test]
async fn a_proxy_that_the_kubeconfig_names_is_asked_whatever_the_environment_says() {
    let admin = control_plane().await.kubeconfig();
    let server = Named::new(admin, "proxy-server", None, None).server;
    for scheme in ["http", "socks5"] {
        let proxy = Proxy::before(server).await;
        let kubeconfig = Named::new(admin, &format!("proxy-named-{scheme}"), Some(NAME), Some(proxy.url(scheme)));
        let ran = kubeconfig.status(&[("HTTPS_PROXY", NOBODY), ("NO_PROXY", "*")]).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{scheme}");
        assert!(proxy.asked().contains(&format!("{NAME}:{}", server.port())), "{:?}", proxy.asked());
    }
}

#[tokio::test]
async fn the_operator_takes_a_proxy_to_the_api_server_from_its_kubeconfig_alone() {
    let sandbox = Sandbox::new("cli-proxy").await;
    let namespace = ["--namespace", sandbox.namespace()];
    let near = Named::new(sandbox.operator_kubeconfig(), "proxy-run", Some("0.0.0.0"), None);
    let operator = Operator::start_with(&near.file, &namespace, &[("HTTPS_PROXY", NOBODY)]).await;
    operator.wait_for("/readyz", "readyz check passed").await;

    let proxy = Proxy::before(near.server).await;
    let named = Named::new(sandbox.operator_kubeconfig(), "proxy-run-named", Some(NAME), Some(proxy.url("http")));
    let operator = Operator::start_with(&named.file, &namespace, &[]).await;
    operator.wait_for("/readyz", "readyz check passed").await;
    assert!(!proxy.asked().is_empty());
}

#[tokio::test]
async fn what_is_no_proxy_is_said_and_not_repeated() {
    let admin = control_plane().await.kubeconfig();
    let far = Named::new(admin, "proxy-bad", Some(NAME), None);
    let named = Named::new(admin, "proxy-bad-named", None, Some("ftp://test-user:test-password@127.0.0.1".to_owned()));
    let proxy = ("HTTPS_PROXY", "http://127.0.0.1:1");
    for (ran, says) in [
        (far.status(&[("HTTPS_PROXY", "ftp://test-user:test-password@127.0.0.1")]).await, "HTTPS_PROXY is no proxy"),
        (far.status(&[("HTTPS_PROXY", "http://test-user:test password@127.0.0.1")]).await, "HTTPS_PROXY is no proxy"),
        (far.status(&[proxy, ("NO_PROXY", "localhost,")]).await, "NO_PROXY cannot be read"),
        (named.status(&[]).await, "the proxy-url of the cluster in your kubeconfig is no proxy"),
    ] {
        assert_eq!((ran.code, ran.err.lines().count()), (Some(3), 1), "{}", ran.err);
        assert!(ran.err.starts_with(&format!("Error: {says}")) && !ran.err.contains("test"), "{}", ran.err);
    }
}
