//! The simulated Arcus from outside.

mod consent;
mod contract;
mod faults;
mod life;
mod lists;
mod writing;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use tradewind_simulator::arcus::Settings;

use crate::support::{Answer, Bench};

pub(crate) const ALL: &str = "/v1/integrations";
pub(crate) const SHIPPO: &str = "/v1/integrations/shippo";
pub(crate) const SHOPIFY: &str = "/v1/integrations/shopify";
pub(crate) const KEY: &str = "ark_test_ent_simulator_not-a-secret";
pub(crate) const ENTITY: &str = "00000000-0000-4000-8000-0000000000e1";
/// Where the client of these tests believes to be.
pub(crate) const HOST: &str = "127.0.0.1:4010";

/// A request with everything that the provider asks of one.
pub(crate) fn asking(method: Method, path: &str, body: &Value) -> Result<Request<Bytes>> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", HOST)
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(body)
        .context("a request")
}

/// Somebody in a browser.
pub(crate) fn browsing(method: Method, path: &str, form: &str) -> Result<Request<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", HOST)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::copy_from_slice(form.as_bytes()))
        .context("a request")
}

/// The same with an idempotency key.
pub(crate) fn under(mut request: Request<Bytes>, key: &str) -> Result<Request<Bytes>> {
    request.headers_mut().insert("idempotency-key", key.parse()?);
    Ok(request)
}

impl Bench {
    /// Without a rate limit, because the clock stands still while a test talks.
    pub(crate) fn arcus() -> Result<Self> {
        Self::arcus_with(|_| {})
    }

    pub(crate) fn arcus_with(change: impl FnOnce(&mut Settings)) -> Result<Self> {
        let bench = Self::new()?;
        bench.simulator.configure_arcus(|settings| {
            settings.test_rate = None;
            settings.live_rate = None;
            change(settings);
        });
        Ok(bench)
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Result<Answer> {
        Ok(self.send(asking(method, path, &body)?).await?)
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.call(Method::POST, path, body).await
    }

    pub(crate) async fn see(&self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn remove(&self, path: &str) -> Result<Answer> {
        self.call(Method::DELETE, path, Value::Null).await
    }

    pub(crate) async fn browse(&self, method: Method, path: &str, form: &str) -> Result<(u16, String)> {
        let answer = self.send(browsing(method, path, form)?).await?;
        assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        Ok((answer.status().as_u16(), String::from_utf8(answer.0.body().to_vec())?))
    }
}

/// What an error says: status, code, type and param.
pub(crate) fn error(answer: &Answer) -> Result<(u16, String, String, Option<String>)> {
    let body = answer.json()?;
    assert_eq!(body.get("error"), body.get("code"), "{body}");
    assert!(answer.text("/request_id")?.starts_with("req_"));
    assert!(!answer.text("/hint")?.is_empty());
    let param = body.get("param").and_then(Value::as_str).map(ToOwned::to_owned);
    Ok((answer.status().as_u16(), answer.text("/code")?, answer.text("/type")?, param))
}

/// The param that a 422 complains of.
pub(crate) fn complaint(answer: &Answer) -> Result<String> {
    let (status, code, kind, param) = error(answer)?;
    assert_eq!((status, code.as_str(), kind.as_str()), (422, "validation_error", "validation_error"));
    param.context("a param")
}

pub(crate) fn warehouse() -> Value {
    json!({
        "mode": "sandbox",
        "display_name": "Warehouse labels",
        "config": {"label_format": "PDF"},
        "ship_from_name": "Acme DC",
        "ship_from_address1": "1 Dock Rd",
        "ship_from_city": "Reno",
        "ship_from_state": "NV",
        "ship_from_zip": "89501",
    })
}
