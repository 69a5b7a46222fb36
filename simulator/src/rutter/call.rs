//! One request that passed the checks that all endpoints share.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Account, Refusal, Version};

/// An authenticated request.
pub(super) struct Call<'a> {
    pub(super) now: Timestamp,
    pub(super) account: Account,
    pub(super) version: Version,
    pub(super) request: &'a Request<Bytes>,
}

impl Call<'_> {
    /// The query, which may hold each of these names once and no other: a client that invents parameters should learn
    /// it here. (Whether Rutter refuses unknown ones is not said.)
    pub(super) fn query(&self, known: &[&str]) -> Result<BTreeMap<String, String>, Refusal> {
        let mut found = BTreeMap::new();
        let query = self.request.uri().query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&name.as_ref()) {
                return Err(Refusal::invalid(&format!("unknown query parameter {name}")));
            }
            if found.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Refusal::invalid(&format!("query parameter {name} is given twice")));
            }
        }
        Ok(found)
    }

    /// The body, which must be a JSON object, sent as such.
    pub(super) fn json_object(&self) -> Result<Map<String, Value>, Refusal> {
        let content_type = self.request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
        if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
            return Err(Refusal::invalid("the content type of the body must be application/json"));
        }
        match serde_json::from_slice(self.request.body()) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) => Err(Refusal::invalid("the body must be a JSON object")),
            Err(_) => Err(Refusal::invalid("the body is not valid JSON")),
        }
    }
}
