//! What SKU.io says instead of what was asked for.
//!
//! SKU.io's page on errors: `{message}`, with `required_scope` on 403 and with `errors` by dotted field on 422. The
//! texts are those of its framework, Laravel, where no page shows one; clients should not read them.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::view::json_response;
use crate::state::insert;

/// What is wrong with a body: texts by dotted field.
pub(super) type Errors = BTreeMap<String, Vec<String>>;

/// An answer that is not a success.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Value,
    retry_after: Option<u64>,
    allow: Option<&'static str>,
    html: bool,
}

impl Refusal {
    fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, retry_after: None, allow: None, html: false }
    }

    fn saying(status: StatusCode, message: &str) -> Self {
        Self::new(status, json!({"message": message}))
    }

    /// The answer on the wire.
    pub(super) fn into_response(self) -> Response<Bytes> {
        if self.html {
            return login_page();
        }
        let mut response = json_response(self.status, &self.body);
        if let Some(seconds) = self.retry_after {
            insert(response.headers_mut(), RETRY_AFTER, &seconds.to_string());
        }
        if let Some(methods) = self.allow {
            insert(response.headers_mut(), ALLOW, methods);
        }
        response
    }

    /// What a fault says.
    pub(super) fn upstream(status: u16, retry_after: Option<u64>) -> Self {
        let refusal = match status {
            401 => Self::unauthenticated(),
            403 => Self::missing_scope("integrations:write"),
            404 => Self::no_such_record(),
            409 => Self::locked(),
            422 => Self::new(StatusCode::UNPROCESSABLE_ENTITY, json!({"message": INVALID, "errors": {}})),
            429 => Self::rate_limited(None),
            _ => {
                let message = if status < 500 { "The request was refused." } else { "Server Error" };
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Self::saying(status, message)
            }
        };
        Self { retry_after, ..refusal }
    }

    /// What a client gets that does not ask for JSON.
    pub(super) fn not_json() -> Self {
        Self { html: true, ..Self::saying(StatusCode::FOUND, "") }
    }

    pub(super) fn unauthenticated() -> Self {
        Self::saying(StatusCode::UNAUTHORIZED, "Unauthenticated.")
    }

    pub(super) fn missing_scope(scope: &str) -> Self {
        let message = "Token is missing the required scope";
        Self::new(StatusCode::FORBIDDEN, json!({"message": message, "required_scope": scope}))
    }

    pub(super) fn rate_limited(retry_after: Option<u64>) -> Self {
        Self { retry_after, ..Self::saying(StatusCode::TOO_MANY_REQUESTS, "Too Many Attempts.") }
    }

    pub(super) fn no_such_path() -> Self {
        Self::saying(StatusCode::NOT_FOUND, "The route could not be found.")
    }

    pub(super) fn wrong_verb(method: &Method, allow: &'static str) -> Self {
        let message = format!("The {method} method is not supported for this route. Supported methods: {allow}.");
        Self { allow: Some(allow), ..Self::saying(StatusCode::METHOD_NOT_ALLOWED, &message) }
    }

    pub(super) fn no_such_record() -> Self {
        Self::saying(StatusCode::NOT_FOUND, "No query results.")
    }

    /// 409 is "locked or wrong state".
    pub(super) fn locked() -> Self {
        Self::saying(StatusCode::CONFLICT, "The integration instance is locked.")
    }

    pub(super) fn idempotency_mismatch() -> Self {
        Self::saying(StatusCode::CONFLICT, "The idempotency key was used with another request.")
    }

    pub(super) fn no_object() -> Self {
        Self::saying(StatusCode::BAD_REQUEST, "The body is not a JSON object.")
    }

    pub(super) fn invalid(errors: &Errors) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, json!({"message": INVALID, "errors": errors}))
    }

    /// The shop did not accept its access token.
    pub(super) fn bad_credentials(status: StatusCode, field: &str) -> Self {
        let message = "The access token was not accepted.";
        if status == StatusCode::UNPROCESSABLE_ENTITY {
            Self::invalid(&Errors::from([(field.to_owned(), vec![message.to_owned()])]))
        } else {
            Self::saying(status, message)
        }
    }
}

const INVALID: &str = "The given data was invalid.";

fn login_page() -> Response<Bytes> {
    let mut response =
        Response::new(Bytes::from_static(b"<!DOCTYPE html><html><title>Redirecting to /login</title></html>"));
    *response.status_mut() = StatusCode::FOUND;
    insert(response.headers_mut(), LOCATION, "/login");
    insert(response.headers_mut(), CONTENT_TYPE, "text/html; charset=utf-8");
    response
}
