//! Faults as a real HTTP client sees them, over loopback.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use reqwest::{Client, RequestBuilder};
use tokio::task::JoinHandle;
use tradewind_simulator::{Effect, Fault, ManualClock, Operation, Setup, Simulator};

use crate::support::{CREATE, STORE, credentials};

const DELAY: Duration = Duration::from_secs(7);

pub(crate) fn client() -> Result<Client> {
    // Only the first test to come here installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder().no_proxy().retry(reqwest::retry::never()).timeout(Duration::from_secs(10)).build()?)
}

/// A server whose clock only moves when told to, so that no test here depends on how fast the machine is.
struct Server {
    clock: ManualClock,
    simulator: Simulator,
    address: SocketAddr,
    task: JoinHandle<()>,
    client: Client,
}

impl Server {
    async fn start() -> Result<Self> {
        let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse()?);
        let simulator = Simulator::new(clock.clock(), Setup::default());
        let (address, task) = simulator.serve().await?;
        Ok(Self { clock, simulator, address, task, client: client()? })
    }

    fn create(&self) -> RequestBuilder {
        let url = format!("http://{}{CREATE}", self.address);
        let request = self.client.post(url).basic_auth("test-client-id", Some("test-client-secret"));
        request.header("x-rutter-version", "2024-08-31").json(&credentials(STORE))
    }

    fn push(&self, effect: Effect) {
        self.simulator.push_fault(Fault::on(Operation::Create, effect));
    }

    fn creates(&self) -> usize {
        self.simulator.stats().creates
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_no_byte() -> Result<()> {
    let server = Server::start().await?;
    // Also on a connection that has carried an answer before.
    for creates in [2, 4] {
        assert_eq!(server.create().send().await?.status(), 200);
        server.push(Effect::LostAnswer);
        let error = server.create().send().await.err();
        assert!(error.is_some_and(|error| error.is_request() && !error.is_connect() && !error.is_timeout()));
        assert_eq!(server.creates(), creates);
    }
    Ok(())
}

#[tokio::test]
async fn a_cut_answer_has_a_head_and_half_a_body() -> Result<()> {
    let server = Server::start().await?;
    server.push(Effect::CutAnswer);
    let mut response = server.create().send().await?;
    assert_eq!(response.status(), 200);
    let first = response.chunk().await?.map(|chunk| chunk.len());
    assert!(first.is_some_and(|length| length > 20), "{first:?}");
    assert!(response.chunk().await.is_err());
    assert_eq!(server.creates(), 1);

    server.push(Effect::CutAnswer);
    let error = server.create().send().await?.json::<serde_json::Value>().await.err();
    assert!(error.is_some_and(|error| !error.is_timeout()));
    // An empty body can break as well.
    server.simulator.push_fault(Fault::on(Operation::Create, Effect::EmptyBody).and(Effect::CutAnswer));
    assert!(server.create().send().await?.bytes().await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_slow_provider_outlasts_its_client() -> Result<()> {
    let server = Server::start().await?;
    for (effect, applied_meanwhile) in
        [(Effect::SlowBefore { delay: DELAY }, 0), (Effect::SlowAfter { delay: DELAY }, 2)]
    {
        server.push(effect);
        let patience = async {
            until(|| server.simulator.stats().in_flight == 1).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            anyhow::Ok(())
        };
        tokio::select! {
            answer = server.create().send() => anyhow::bail!("an answer came: {answer:?}"),
            given_up = patience => given_up?,
        }
        assert_eq!(server.creates(), applied_meanwhile);
        server.clock.advance(DELAY);
        until(|| server.simulator.stats().in_flight == 0).await?;
    }
    assert_eq!(server.creates(), 2);
    Ok(())
}

#[tokio::test]
async fn a_closed_connection_does_not_end_the_work() -> Result<()> {
    let server = Server::start().await?;
    server.push(Effect::LateApply { delay: DELAY });
    let error = server.create().send().await.err();
    assert!(error.is_some_and(|error| error.is_request() && !error.is_connect()));
    assert_eq!(server.creates(), 0);
    until(|| server.simulator.stats().in_flight == 1).await?;
    server.clock.advance(DELAY);
    until(|| server.creates() == 1).await
}

#[tokio::test]
async fn statuses_and_bodies_arrive_as_they_are() -> Result<()> {
    let server = Server::start().await?;
    server.push(Effect::Refuse { status: 429, retry_after: Some(3) });
    let response = server.create().send().await?;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers().get("retry-after").map(http::HeaderValue::as_bytes), Some(b"3".as_slice()));

    server.push(Effect::StatusAfterApply { status: 500 });
    assert_eq!(server.create().send().await?.status(), 500);

    let bytes = 9 * 1024 * 1024;
    server.push(Effect::HugeBody { bytes });
    assert!(server.create().send().await?.bytes().await?.len() > bytes);

    server.push(Effect::EmptyBody);
    let response = server.create().send().await?;
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await?.is_empty());

    server.push(Effect::GarbageBody);
    assert!(server.create().send().await?.json::<serde_json::Value>().await.is_err());
    assert_eq!(server.creates(), 4);
    Ok(())
}

#[tokio::test]
async fn the_provider_counts_what_is_in_flight() -> Result<()> {
    let server = Server::start().await?;
    server.simulator.push_fault(Fault::on_any(Effect::SlowAfter { delay: DELAY }).forever());
    let everybody = futures::future::join_all((0..5).map(|_| server.create().send()));
    let last_arrival = async {
        until(|| server.creates() == 5).await?;
        server.clock.advance(DELAY);
        anyhow::Ok(())
    };
    let (answers, arrived) = tokio::join!(everybody, last_arrival);
    arrived?;
    assert!(answers.into_iter().all(|answer| answer.is_ok_and(|answer| answer.status() == 200)));
    let stats = server.simulator.stats();
    assert_eq!((stats.requests, stats.in_flight, stats.max_in_flight), (5, 0, 5));
    assert_eq!(server.simulator.journal().iter().map(|entry| entry.in_flight).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    Ok(())
}

#[tokio::test]
async fn an_aborted_server_refuses_connections() -> Result<()> {
    let server = Server::start().await?;
    assert_eq!(server.create().send().await?.status(), 200);
    server.task.abort();
    until(|| server.task.is_finished()).await?;
    assert!(server.create().send().await.is_err());
    Ok(())
}

/// Waits for something that another task is about to do.
async fn until(done: impl Fn() -> bool) -> Result<()> {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    Ok(tokio::time::timeout(Duration::from_secs(10), wait).await?)
}
