//! The simulated SKU.io from outside.

mod contract;
mod faults;
mod life;
mod lists;
mod writing;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Map, Value, json};

use crate::support::{Answer, Bench};

pub(crate) const ALL: &str = "/api/big-commerce";
/// What must not be seen anywhere.
pub(crate) const STORE_TOKEN: &str = "test-store-token-0c41";

/// A request with everything that the provider asks of one.
pub(crate) fn asking(method: Method, path: &str, body: &Value) -> Result<Request<Bytes>> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer 1|test-sku-io-token")
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .body(body)
        .context("a request")
}

/// A create with all that is required.
pub(crate) fn instance(name: &str, store_hash: &str) -> Value {
    json!({
        "name": name,
        "integration_id": 5,
        "connection_settings": {"access_token": STORE_TOKEN},
        "integration_settings": {
            "store_hash": store_hash,
            "start_date": "2026-01-01",
            "store_id": 1,
            "auto_link_products": true,
            "auto_create_products": false,
        },
    })
}

/// The same with another value in one place; null is a value.
pub(crate) fn with(mut body: Value, pointer: &str, value: Value) -> Result<Value> {
    let (group, name) = group(&mut body, pointer)?;
    group.insert(name.to_owned(), value);
    Ok(body)
}

/// The same without one field.
pub(crate) fn without(mut body: Value, pointer: &str) -> Result<Value> {
    let (group, name) = group(&mut body, pointer)?;
    group.remove(name).context("a field to remove")?;
    Ok(body)
}

fn group<'a, 'b>(body: &'a mut Value, pointer: &'b str) -> Result<(&'a mut Map<String, Value>, &'b str)> {
    let (group, name) = pointer.rsplit_once('/').context("a pointer")?;
    Ok((body.pointer_mut(group).and_then(Value::as_object_mut).context("an object")?, name))
}

impl Bench {
    pub(crate) async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        Ok(self.send(asking(method, path, body)?).await?)
    }

    pub(crate) async fn look(&self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, &Value::Null).await
    }

    /// Creates an instance; its id.
    pub(crate) async fn make(&self, name: &str, store_hash: &str) -> Result<u64> {
        let answer = self.ask(Method::POST, ALL, &instance(name, store_hash)).await?;
        anyhow::ensure!(answer.status() == 201, "{:?}", answer.0);
        answer.at("/data/id")?.as_u64().context("an id")
    }

    pub(crate) async fn patch(&self, id: u64, body: &Value) -> Result<Answer> {
        self.ask(Method::PATCH, &format!("{ALL}/{id}"), body).await
    }

    pub(crate) async fn drop(&self, id: u64) -> Result<u16> {
        Ok(self.ask(Method::DELETE, &format!("{ALL}/{id}"), &Value::Null).await?.status().as_u16())
    }

    /// The names in a list.
    pub(crate) async fn names(&self, query: &str) -> Result<Vec<String>> {
        let rows = self.look(&format!("{ALL}{query}")).await?.at("/data")?;
        let rows = rows.as_array().context("an array")?;
        Ok(rows.iter().filter_map(|row| Some(row.get("name")?.as_str()?.to_owned())).collect())
    }
}

/// The dotted fields that a 422 complains of.
pub(crate) fn complaints(answer: &Answer) -> Result<Vec<String>> {
    assert_eq!(answer.status(), 422, "{:?}", answer.0);
    assert!(!answer.text("/message")?.is_empty());
    let errors: Map<String, Value> = serde_json::from_value(answer.at("/errors")?)?;
    for texts in errors.values() {
        assert!(texts.as_array().is_some_and(|texts| texts.iter().all(Value::is_string)), "{texts}");
    }
    Ok(errors.into_iter().map(|(name, _)| name).collect())
}
