//! How the engine reaches the world outside of its process: the API server, the providers, and what time it is.
//!
//! The operator reaches the real one; deterministic tests hand in another. It must never know what is asked over it.

use super::{RunError, clock::Clock};
use crate::provider::Wire;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::Body as HttpBody;
use jiff::Timestamp;
use kube::{
    Client,
    client::{Body, ClientBuilder},
};
use std::time::Duration;
use tower::{BoxError, Service, ServiceBuilder, timeout::TimeoutLayer, util::MapResponseLayer};

/// The API server's answers begin within this time, or the request has failed.
const API_TIMEOUT: Duration = Duration::from_secs(15);

/// See the module.
pub struct Reach {
    pub(super) client: Client,
    pub(super) clock: Clock,
    /// Every provider; the network where absent.
    pub(super) wire: Option<Wire>,
}

impl Reach {
    /// The real world. The client retries nothing: a retried write can meet its own first attempt as a conflict.
    ///
    /// # Errors
    /// Where no client can be built.
    pub fn real(mut config: kube::Config) -> Result<Self, RunError> {
        let agent = concat!("tradewind/", env!("CARGO_PKG_VERSION"));
        config.headers.push((header::USER_AGENT, HeaderValue::from_static(agent)));
        config.connect_timeout = Some(Duration::from_secs(5));
        config.default_retry = false;
        let clock = Clock::default();
        let builder = ClientBuilder::try_from(config).map_err(|e| RunError::Client(Box::new(e)))?;
        let client = builder.with_layer(&listening(&clock)).with_layer(&TimeoutLayer::new(API_TIMEOUT)).build();
        Ok(Self { client, clock, wire: None })
    }

    /// Another world: an API server as a service, and its wall time. `wire`: providers as a service too.
    pub fn simulated<S, B>(
        api_server: S,
        wire: Option<Wire>,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let clock = Clock::new(now);
        let timeout = TimeoutLayer::new(API_TIMEOUT);
        let service = ServiceBuilder::new().layer(listening(&clock)).layer(timeout).service(api_server);
        Self { client: Client::new(service, "default"), clock, wire }
    }
}

/// Takes note of what time it is at the API server.
fn listening<B>(clock: &Clock) -> MapResponseLayer<impl Fn(Response<B>) -> Response<B> + Clone + use<B>> {
    let clock = clock.clone();
    MapResponseLayer::new(move |answer| {
        clock.heard(&answer);
        answer
    })
}
