//! One request that passed the checks that all endpoints share.

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::account::Account;
use super::connector::Mode;
use super::refusal::Refusal;

/// An authenticated request.
pub(super) struct Call<'a> {
    pub(super) now: Timestamp,
    pub(super) account: Account,
    /// That of the key.
    pub(super) mode: Mode,
    pub(super) request: &'a Request<Bytes>,
}

impl Call<'_> {
    /// The body: a JSON object, sent as such, or nothing, because no field of it is required.
    pub(super) fn fields(&self) -> Result<Map<String, Value>, Refusal> {
        if self.request.body().trim_ascii().is_empty() {
            return Ok(Map::new());
        }
        let content_type = self.request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
        if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
            return Err(Refusal::no_object());
        }
        match serde_json::from_slice(self.request.body()) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) | Err(_) => Err(Refusal::no_object()),
        }
    }

    /// No query is documented for the endpoints of one connector.
    pub(super) fn check_no_query(&self) -> Result<(), Refusal> {
        let query = self.request.uri().query().unwrap_or_default();
        match url::form_urlencoded::parse(query.as_bytes()).next() {
            Some((name, _)) => Err(Refusal::malformed(&name, "There is no such parameter.")),
            None => Ok(()),
        }
    }
}

/// Holds a request to the versions that there are. Without the header it is the version at which the key was made.
pub(super) fn check_version(request: &Request<Bytes>, versions: &[String]) -> Result<(), Refusal> {
    let Some(asked) = request.headers().get("arcus-version") else { return Ok(()) };
    if versions.iter().any(|version| asked.as_bytes() == version.as_bytes()) {
        Ok(())
    } else {
        Err(Refusal::malformed("Arcus-Version", "There is no such version."))
    }
}
