//! The simulator as an HTTP service in process.
//!
//! Owns how a reply becomes an HTTP response whose body can break. It must never decide anything about the content.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Frame, SizeHint};
use tower::{Service, ServiceExt};

use crate::outcome::{Delivery, Reply};
use crate::simulator::Simulator;
use crate::state::is_page;

/// No request of these APIs comes near this size.
const BODY_LIMIT: usize = 1024 * 1024;

/// Marks a response of which not even the head may be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsendable;

/// An answer that did not arrive whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The connection closed without a byte.
    Lost,
    /// The connection broke in the middle of the body.
    Cut,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lost => "the connection closed without an answer",
            Self::Cut => "the connection broke in the middle of the answer",
        })
    }
}

impl std::error::Error for Broken {}

impl Simulator {
    /// The provider APIs as an axum router.
    ///
    /// A router cannot fail, so a lost answer is here a response whose body breaks before its first byte. Use
    /// [`in_process`](Self::in_process) for an `Err`, or [`serve`](Self::serve) for a real connection.
    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    /// The provider APIs as a tower service over whole bodies.
    #[must_use]
    pub fn in_process(&self) -> InProcess {
        InProcess(self.router())
    }
}

/// Answers a request to a provider, or a person with a browser.
pub(crate) async fn answer(State(simulator): State<Simulator>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) if is_page(head.uri.path()) => {
            simulator.visit(&Request::from_parts(head, body.to_bytes())).map(Body::from)
        }
        Ok(body) => deliver(simulator.exchange(Request::from_parts(head, body.to_bytes())).await),
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}

fn deliver(reply: Reply) -> Response {
    let (head, body) = reply.response.into_parts();
    match reply.delivery {
        Delivery::Whole => Response::from_parts(head, Body::from(body)),
        Delivery::Cut => Response::from_parts(head, Body::new(Breaking::halfway(&body))),
        Delivery::Lost => {
            let mut response = Response::new(Body::new(Breaking::at_once()));
            response.extensions_mut().insert(Unsendable);
            response
        }
    }
}

/// A body that announces its whole length and breaks before the end.
#[derive(Debug)]
struct Breaking {
    length: u64,
    sent: Option<Bytes>,
    flushed: bool,
    breaks: Broken,
}

impl Breaking {
    fn halfway(body: &Bytes) -> Self {
        let half = body.slice(..body.len() / 2);
        // One more byte than there is, so that an empty body breaks too.
        Self { length: body.len() as u64 + 1, sent: Some(half), flushed: false, breaks: Broken::Cut }
    }

    fn at_once() -> Self {
        Self { length: 1, sent: None, flushed: true, breaks: Broken::Lost }
    }
}

impl hyper::body::Body for Breaking {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(half) = self.sent.take().filter(|half| !half.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        if !self.flushed {
            // hyper throws away what it has not flushed when a body fails, and it flushes when a body is not ready.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(self.breaks)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

/// The provider APIs as a tower service over whole bodies, for tests without sockets.
#[derive(Clone, Debug)]
pub struct InProcess(Router);

impl Service<Request<Bytes>> for InProcess {
    type Response = http::Response<Bytes>;
    type Error = Broken;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let answer = self.0.clone().oneshot(request.map(Body::from));
        Box::pin(async move {
            let (head, body) = answer.await.unwrap_or_else(|never: Infallible| match never {}).into_parts();
            if head.extensions.get::<Unsendable>().is_some() {
                return Err(Broken::Lost);
            }
            let body = body.collect().await.map_err(|_| Broken::Cut)?;
            Ok(http::Response::from_parts(head, body.to_bytes()))
        })
    }
}
