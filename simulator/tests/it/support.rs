//! A simulator with a clock in hand, and requests to it.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;
use tradewind_simulator::{Broken, ManualClock, Setup, Simulator};
use uuid::Uuid;

/// `test-client-id:test-client-secret`
pub(crate) const LOGIN: &str = "Basic dGVzdC1jbGllbnQtaWQ6dGVzdC1jbGllbnQtc2VjcmV0";
pub(crate) const STORE: &str = "store-abc123.mybigcommerce.com";
pub(crate) const CREATE: &str = "/versioned/connections/create";
pub(crate) const LIST: &str = "/versioned/connections";

/// A simulator and the clock that it lives by.
pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) simulator: Simulator,
}

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse()?);
        let simulator = Simulator::new(clock.clock(), Setup::default());
        Ok(Self { clock, simulator })
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Answer, Broken> {
        self.simulator.in_process().oneshot(request).await.map(Answer)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        Ok(self.send(get(path)?).await?)
    }

    pub(crate) async fn create(&self, body: &Value) -> Result<Answer> {
        Ok(self.send(create(body)?).await?)
    }

    /// Creates a connection for the usual store.
    pub(crate) async fn connect(&self) -> Result<Connected> {
        Connected::from(&self.create(&credentials(STORE)).await?)
    }
}

/// What a create answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Connected {
    pub(crate) id: Uuid,
    pub(crate) token: Uuid,
}

impl Connected {
    pub(crate) fn from(answer: &Answer) -> Result<Self> {
        let text = |pointer| answer.text(pointer)?.parse().context("a UUID");
        Ok(Self { id: text("/connection/id")?, token: text("/connection/access_token")? })
    }

    pub(crate) fn detail(&self) -> String {
        format!("{LIST}/access_token?access_token={}", self.token)
    }

    pub(crate) fn status(&self) -> String {
        format!("{LIST}/status?access_token={}", self.token)
    }

    pub(crate) fn path(&self) -> String {
        format!("{LIST}/{}", self.id)
    }
}

/// A whole answer.
pub(crate) struct Answer(pub(crate) Response<Bytes>);

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(self.0.body()).context("the body is JSON")
    }

    pub(crate) fn at(&self, pointer: &str) -> Result<Value> {
        self.json()?.pointer(pointer).cloned().with_context(|| format!("{pointer} in the body"))
    }

    pub(crate) fn text(&self, pointer: &str) -> Result<String> {
        Ok(self.at(pointer)?.as_str().context("a string")?.to_owned())
    }

    /// The ids in a list.
    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let rows = self.at("/connections")?;
        let rows = rows.as_array().context("an array")?;
        Ok(rows.iter().filter_map(|row| Some(row.get("id")?.as_str()?.to_owned())).collect())
    }
}

/// Credentials that `BigCommerce` needs.
pub(crate) fn credentials(store_url: &str) -> Value {
    json!({"platform": "BIG_COMMERCE", "store_url": store_url, "oauth_access_token": "test-store-token"})
}

pub(crate) fn get(path: &str) -> Result<Request<Bytes>> {
    request(Method::GET, path, Bytes::new())
}

pub(crate) fn delete(path: &str) -> Result<Request<Bytes>> {
    request(Method::DELETE, path, Bytes::new())
}

pub(crate) fn create(body: &Value) -> Result<Request<Bytes>> {
    request(Method::POST, CREATE, Bytes::from(body.to_string()))
}

/// A request with everything that the provider asks of one.
pub(crate) fn request(method: Method, path: &str, body: Bytes) -> Result<Request<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", LOGIN)
        .header("x-rutter-version", "2024-08-31")
        .header("content-type", "application/json")
        .body(body)
        .context("a request")
}

/// The same request with another value of a header, or without it.
pub(crate) fn with_header(
    mut request: Request<Bytes>,
    name: &'static str,
    value: Option<&str>,
) -> Result<Request<Bytes>> {
    let name = HeaderName::from_static(name);
    match value {
        Some(value) => request.headers_mut().insert(name, HeaderValue::from_str(value)?),
        None => request.headers_mut().remove(name),
    };
    Ok(request)
}
