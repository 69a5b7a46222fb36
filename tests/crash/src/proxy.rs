//! A reverse proxy before the API server or the provider of one operator.
//!
//! Owns the way of a request and of its answer, and does at each write what the tap says. Reads are passed on as they come, so
//! that watches stay open. It must never change a request or an answer, listens on loopback only, and a write that has arrived in
//! whole is carried on even if the operator is killed meanwhile: a network does not take anything back.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::BodyExt;
use kube::Config;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::program::Program;
use crate::tap::{Held, Order, Side, Tap, Write};

/// No request comes near this size.
const LIMIT: usize = 16 << 20;

/// Who answers.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// The API server, over TLS; who asks is in the request.
    ApiServer {
        /// The client that trusts it.
        client: Client,
        /// Its address.
        origin: Uri,
    },
    /// The simulated providers.
    Providers(Router),
}

impl Upstream {
    /// The API server of a cluster.
    ///
    /// # Errors
    /// Its certificate cannot be read.
    pub fn api_server(config: &Config) -> Result<Self> {
        let roots = config.root_cert.iter().flatten().map(|der| reqwest::Certificate::from_der(der));
        let roots = roots.collect::<Result<Vec<_>, _>>().context("the certificate of the API server")?;
        let client = Client::builder().tls_certs_only(roots).http1_only().no_proxy().no_gzip().build()?;
        Ok(Self::ApiServer { client, origin: config.cluster_url.clone() })
    }
}

/// When a connection was accepted.
#[derive(Clone, Copy, Debug)]
struct Accepted(Instant);

impl Connected<IncomingStream<'_, TcpListener>> for Accepted {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Self(Instant::now())
    }
}

struct Proxy {
    upstream: Upstream,
    tap: Arc<Tap>,
    program: Arc<Program>,
}

/// A port for a proxy.
///
/// # Errors
/// There is none.
pub async fn listen() -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("a port")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until it is aborted.
#[must_use]
pub fn serve(listener: TcpListener, upstream: Upstream, tap: Arc<Tap>, program: Arc<Program>) -> JoinHandle<()> {
    let proxy = Arc::new(Proxy { upstream, tap, program });
    let router = Router::new().fallback(answer).with_state(proxy);
    tokio::spawn(async move {
        // It ends with the test, and not before: `serve` knows no errors of its own.
        let _ = axum::serve(listener, router.into_make_service_with_connect_info::<Accepted>()).await;
    })
}

async fn answer(
    State(proxy): State<Arc<Proxy>>,
    ConnectInfo(Accepted(since)): ConnectInfo<Accepted>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LIMIT).await else { return lost() };
    let request = Request::from_parts(head, body);
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return proxy.upstream.forward(request).await.unwrap_or_else(|_| lost());
    }
    // A task of its own: it goes on when the connection of a killed operator is gone.
    tokio::spawn(async move { proxy.write(request, since).await }).await.unwrap_or_else(|_| lost())
}

impl Proxy {
    async fn write(&self, request: Request<Bytes>, since: Instant) -> Response {
        let path = request.uri().path().to_owned();
        let write = Write { method: request.method().clone(), path, body: request.body().clone(), since };
        match self.tap.order(&write) {
            Order::Pass => self.upstream.whole(request).await,
            Order::Kill(side) => {
                if side == Side::After {
                    let _ = self.upstream.whole(request).await;
                }
                self.program.strike().await;
                lost()
            }
            Order::Hold(Held { side, caught, release }) => {
                let answer = if side == Side::After { Some(self.upstream.whole(request.clone()).await) } else { None };
                let _ = caught.send(());
                let _ = release.await;
                match answer {
                    Some(answer) => answer,
                    None => self.upstream.whole(request).await,
                }
            }
        }
    }
}

impl Upstream {
    /// The whole answer.
    async fn whole(&self, request: Request<Bytes>) -> Response {
        let Ok(answer) = self.forward(request).await else { return lost() };
        let (head, body) = answer.into_parts();
        match body.collect().await {
            Ok(body) => Response::from_parts(head, Body::from(body.to_bytes())),
            Err(_) => lost(),
        }
    }

    async fn forward(&self, request: Request<Bytes>) -> Result<Response> {
        match self {
            Self::Providers(router) => Ok(router.clone().oneshot(request.map(Body::from)).await?),
            Self::ApiServer { client, origin } => {
                let (mut head, body) = request.into_parts();
                let mut parts = origin.clone().into_parts();
                parts.path_and_query = head.uri.into_parts().path_and_query;
                head.uri = Uri::from_parts(parts)?;
                of_this_connection(&mut head.headers);
                let request = reqwest::Request::try_from(Request::from_parts(head, body))?;
                let answer = http::Response::<reqwest::Body>::from(client.execute(request).await?);
                let (mut head, body) = answer.into_parts();
                of_this_connection(&mut head.headers);
                Ok(Response::from_parts(head, Body::new(body)))
            }
        }
    }
}

/// Takes off what is said about the connection only.
fn of_this_connection(headers: &mut HeaderMap) {
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

/// What nobody reads, or what says that nobody answered.
fn lost() -> Response {
    StatusCode::BAD_GATEWAY.into_response()
}
