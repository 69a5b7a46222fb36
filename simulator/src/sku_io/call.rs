//! One request that passed the checks that all endpoints share.

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Account, Refusal};

/// An authenticated request.
pub(super) struct Call<'a> {
    pub(super) now: Timestamp,
    pub(super) account: Account,
    pub(super) request: &'a Request<Bytes>,
}

impl Call<'_> {
    /// The body, which must be a JSON object, sent as such. (Laravel takes other bodies for empty ones; a client should
    /// learn here that it was not understood.)
    pub(super) fn json_object(&self) -> Result<Map<String, Value>, Refusal> {
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

    /// The address that was asked for, without the query.
    pub(super) fn url(&self) -> String {
        let host = self.request.headers().get(HOST).and_then(|value| value.to_str().ok());
        let origin = host.map(|host| format!("http://{host}")).unwrap_or_default();
        format!("{origin}{}", self.request.uri().path())
    }
}

/// Whether the client asks for JSON; `*/*` does not. As Laravel sees it, by the first type that is named.
pub(super) fn wants_json(request: &Request<Bytes>) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let first = accept.and_then(|value| value.split(',').next()).unwrap_or_default();
    first.contains("/json") || first.contains("+json")
}
