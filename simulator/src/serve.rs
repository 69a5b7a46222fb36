//! The simulator on a real socket.
//!
//! Owns connections. hyper is driven by hand and not by `axum::serve`, because a lost answer must leave no byte behind:
//! hyper closes a connection silently when its *service* fails, and an axum service cannot.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt;

use crate::service::{Broken, Unsendable};
use crate::simulator::Simulator;

/// How long a stopping server waits for the requests that it has begun.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server that cannot accept waits before it tries again.
const BREATH: Duration = Duration::from_millis(50);

impl Simulator {
    /// Serves the provider APIs on a free loopback port until the task is aborted.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub async fn serve(&self) -> io::Result<(SocketAddr, JoinHandle<()>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok((address, tokio::spawn(serve(listener, self.router(), std::future::pending()))))
    }
}

/// Serves a router until `stop` is done, then lets the requests that have begun come to their end.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    let graceful = GracefulShutdown::new();
    // Dropped with this future, so that aborting the server also closes its connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, router.clone(), graceful.watcher()));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: at once it would fail again.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    if tokio::time::timeout(PATIENCE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running when the server stopped");
    }
}

async fn converse(stream: TcpStream, router: Router, watcher: hyper_util::server::graceful::Watcher) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { sendable(answer.await.unwrap_or_else(|never: Infallible| match never {})) }
    });
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection broke");
    }
}

fn sendable(response: Response) -> Result<Response, Broken> {
    if response.extensions().get::<Unsendable>().is_some() { Err(Broken::Lost) } else { Ok(response) }
}
