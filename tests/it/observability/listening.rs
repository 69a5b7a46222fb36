//! Where the probes are answered if nobody says where: on every address of either family, for a pod may have but one of them.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::{Args, FromArgMatches};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tradewind::serve::{Readiness, serve};
use tradewind::settings::{RunArgs, Settings};
use tradewind::telemetry::Metrics;

/// What the program makes of no arguments at all.
fn settings() -> Settings {
    // Whatever is set where the tests run.
    let command = RunArgs::augment_args(clap::Command::new("run")).mut_args(|arg| arg.env(None));
    let matches = command.try_get_matches_from(["run"]).expect("no arguments");
    RunArgs::from_arg_matches(&matches).expect("arguments").settings().expect("settings")
}

async fn livez(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// On another port than the default one, which somebody else may have here.
#[tokio::test]
async fn without_an_address_both_families_are_answered() {
    let listen = settings().listen;
    assert_eq!(listen.port(), 8080);
    let listener = TcpListener::bind((listen.ip(), 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serving = serve(listener, Metrics::new(), Readiness::default(), std::future::pending());
    let serving = tokio::spawn(serving);
    let mut families: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into()];
    match std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => families.push(Ipv6Addr::LOCALHOST.into()),
        Err(error) if [ErrorKind::AddrNotAvailable, ErrorKind::Unsupported].contains(&error.kind()) => {
            eprintln!("[::1] is not asked: this machine has no IPv6 ({error})");
        }
        // EAFNOSUPPORT has no kind of its own.
        Err(error) if error.raw_os_error() == Some(97) => eprintln!("[::1] is not asked: no IPv6 here ({error})"),
        Err(error) => panic!("[::1]: {error}"),
    }
    for address in families {
        let answer = livez((address, port).into()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok"), "{address}: {answer}");
    }
    serving.abort();
}
