//! The way to a provider: over TLS, by certificates that somebody must vouch for, and through the proxy of the environment.
//!
//! It owns a server of TLS before the simulator, which never knows what is said over it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rstest::rstest;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio_rustls::TlsAcceptor;

use crate::conditions::Observed;
use crate::proxy::Proxy;
use crate::world::{World, connection, id_of, logs, store};

/// A name that only a proxy can make something of.
const NAME: &str = "provider.tradewind.test";
/// Where an environment names proxies. The operator must hear of no other one than the test's.
const PROXIES: [&str; 8] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];

/// Who vouches for certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "tradewind-test-provider-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// What a server of the provider's names shows and proves itself with.
    fn vouch(&self) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["127.0.0.1", NAME].map(str::to_owned)).expect("names");
        params.distinguished_name.push(DnType::CommonName, "tradewind-test-provider");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder().with_no_client_auth();
        config.with_single_cert(vec![certificate.der().clone()], key).expect("a certificate and its key")
    }
}

/// Its certificate in a file, as `--ca-bundle` wants it. The file goes with its owner.
struct Bundle(PathBuf);

impl Bundle {
    fn of(authority: &Authority) -> Self {
        let name = format!("ca-{}.pem", uuid::Uuid::new_v4().simple());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&file, authority.0.pem()).expect("a file with a certificate");
        Self(file)
    }

    fn argument(&self) -> String {
        format!("--ca-bundle={}", self.0.display())
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A server of TLS: what it is told, it hands on to the provider.
struct Front {
    address: SocketAddr,
    called: Arc<AtomicUsize>,
}

impl Front {
    async fn before(provider: SocketAddr, authority: &Authority) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(authority.vouch()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let called = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&called);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Who does not believe the certificate hangs up.
                    let Ok(mut client) = acceptor.accept(stream).await else { return };
                    let mut server = TcpStream::connect(provider).await.expect("the provider");
                    // However it ends, it ends.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, called }
    }

    /// How many connections there were, whatever came of them.
    fn called(&self) -> usize {
        self.called.load(Ordering::SeqCst)
    }
}

/// A world whose provider speaks TLS alone. `host`: how accounts call it.
async fn over_tls(name: &str, host: &str, authority: &Authority) -> (World, Front) {
    let mut world = World::quiet(name).await;
    let plain = world.endpoint.trim_start_matches("http://").trim_end_matches("/versioned");
    let front = Front::before(plain.parse().expect("an address"), authority).await;
    world.endpoint = format!("https://{host}:{}/versioned", front.address.port());
    world.furnish().await;
    (world, front)
}

/// `tradewind run` in the world's namespace, with this much more on its command line and in its environment.
fn operator(world: &World, more: &[String], environment: &[(&str, &str)]) -> Child {
    let log = logs().join(format!("operator-{}.log", uuid::Uuid::new_v4().simple()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tradewind"));
    for name in PROXIES {
        command.env_remove(name);
    }
    command
        .envs(environment.iter().copied())
        .args(["run", "--listen=127.0.0.1:0", "--poll=1s", "--call-timeout=8s", "--permit-life=5s", "--list-lag=1s"])
        .args(["--namespace", world.sandbox.namespace()])
        .args(["--allow-endpoint", world.endpoint.trim_end_matches("/versioned")])
        .arg("--kubeconfig")
        .arg(world.sandbox.operator_kubeconfig())
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log).expect("a log file"))
        .kill_on_drop(true)
        .spawn()
        .expect("the operator")
}

#[rstest]
#[case::nobody(false)]
#[case::somebody_else(true)]
#[tokio::test]
async fn a_provider_is_spoken_to_only_where_somebody_vouches_for_its_certificate(#[case] is_anybody_named: bool) {
    let (authority, other) = (Authority::new(), Bundle::of(&Authority::new()));
    let (world, front) = over_tls("tls", "127.0.0.1", &authority).await;
    let others: Vec<String> = is_anybody_named.then(|| other.argument()).into_iter().collect();
    let mut stranger = operator(&world, &others, &[]);
    let account = world.account_until("Ready", "False", "ProviderUnavailable").await;
    let message = &account.condition("Ready").expect("it is there").message;
    assert!(message.contains("Rutter cannot be reached"), "{message}");
    assert!(front.called() > 0, "nobody came as far as the certificate");
    assert_eq!(world.simulator.stats().requests, 0, "nothing was said over it");
    stranger.kill().await.expect("a process to kill");

    let bundle = Bundle::of(&authority);
    let mut known = operator(&world, &[bundle.argument()], &[]);
    world.sandbox.apply(&connection("acme", &store("tls"), "")).await;
    let id = id_of(&world.settled("acme").await);
    world.account_until("Ready", "True", "Succeeded").await;
    known.kill().await.expect("a process to kill");
    world.ends_with(&[&id], 1, 0);
}

/// And nothing but the provider: the API server is not called through it.
#[tokio::test]
async fn a_provider_is_called_through_the_proxy_of_the_environment() {
    let authority = Authority::new();
    let (bundle, (world, front)) = (Bundle::of(&authority), over_tls("proxied", NAME, &authority).await);
    let proxy = Proxy::before(front.address).await;
    let mut child = operator(&world, &[bundle.argument()], &[("HTTPS_PROXY", &proxy.url("http"))]);
    world.sandbox.apply(&connection("acme", &store("proxied"), "")).await;
    let id = id_of(&world.settled("acme").await);
    child.kill().await.expect("a process to kill");
    let (asked, wanted) = (proxy.asked(), format!("{NAME}:{}", front.address.port()));
    assert!(!asked.is_empty() && asked.iter().all(|host| *host == wanted), "{asked:?}");
    world.ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_provider_that_no_proxy_names_is_called_without_it() {
    let authority = Authority::new();
    let (bundle, (world, front)) = (Bundle::of(&authority), over_tls("direct", "127.0.0.1", &authority).await);
    // Not even this machine is an exception that goes without saying.
    let proxy = Proxy::before(front.address).await;
    let mut child = operator(&world, &[bundle.argument()], &[("HTTPS_PROXY", &proxy.url("http"))]);
    world.account_until("Ready", "True", "Succeeded").await;
    child.kill().await.expect("a process to kill");
    let (asked, wanted) = (proxy.asked(), front.address.to_string());
    assert!(!asked.is_empty() && asked.iter().all(|host| *host == wanted), "{asked:?}");

    let proxy = Proxy::before(front.address).await;
    let environment = [("HTTPS_PROXY", proxy.url("http")), ("NO_PROXY", "localhost,127.0.0.1".to_owned())];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut child = operator(&world, &[bundle.argument()], &environment);
    world.sandbox.apply(&connection("acme", &store("direct"), "")).await;
    let id = id_of(&world.settled("acme").await);
    child.kill().await.expect("a process to kill");
    assert_eq!(proxy.asked(), Vec::<String>::new());
    world.ends_with(&[&id], 1, 0);
}
