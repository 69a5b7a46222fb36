//! What Arcus says instead of what was asked for.
//!
//! Arcus' pages on errors: `{error, code, type, hint, param, required, request_id}`, of which `error` and `code` are
//! always there and equal. The types with their statuses are documented, and the codes that are not marked below.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::account::WRITE;
use super::connector::Connector;
use super::view::json_response;
use crate::state::insert;

const VALIDATION: &str = "validation_error";
const PERMISSION: &str = "permission_error";
const NOT_FOUND: &str = "not_found";
const CONFLICT: &str = "conflict";

/// An answer that is not a success.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// All but the request id.
    body: Value,
    retry_after: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, code: &'static str, hint: &str) -> Self {
        let body = json!({"error": code, "code": code, "type": kind, "hint": hint});
        Self { status, body, retry_after: None }
    }

    /// `param`, `required`, `references` or the like.
    fn about(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The answer on the wire.
    pub(super) fn into_response(self, request_id: &str) -> Response<Bytes> {
        let Self { status, body, retry_after } = self.about("request_id", request_id);
        let mut response = json_response(status, &body);
        if let Some(seconds) = retry_after {
            insert(response.headers_mut(), RETRY_AFTER, &seconds.to_string());
        }
        response
    }

    /// What a fault says: the status, with the code that belongs to it.
    pub(super) fn upstream(status: u16, retry_after: Option<u64>) -> Self {
        let refusal = match status {
            401 => Self::wrong_key(),
            403 => Self::insufficient_scope(WRITE),
            404 => Self::nothing_there(),
            409 => Self::new(StatusCode::CONFLICT, CONFLICT, CONFLICT, "The request was refused."),
            429 => Self::rate_limited(None),
            501 => Self::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", "not_implemented", "Not there yet."),
            _ => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                if status.is_server_error() {
                    Self::new(status, "internal", "internal_error", "Something went wrong.")
                } else {
                    Self::new(status, VALIDATION, VALIDATION, "The request was refused.")
                }
            }
        };
        Self { retry_after, ..refusal }
    }

    pub(super) fn missing_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, PERMISSION, "missing_api_key", "Send an API key as a bearer token.")
    }

    /// The code is inferred.
    pub(super) fn wrong_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, PERMISSION, "invalid_api_key", "There is no such API key.")
    }

    /// The code is inferred.
    pub(super) fn expired_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, PERMISSION, "expired_api_key", "The API key has expired.")
    }

    pub(super) fn address_refused() -> Self {
        Self::new(StatusCode::FORBIDDEN, PERMISSION, "ip_not_allowlisted", "The API key is not for this address.")
    }

    pub(super) fn insufficient_scope(required: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, PERMISSION, "insufficient_scope", "The API key lacks a scope.")
            .about("required", required)
    }

    pub(super) fn rate_limited(retry_after: Option<u64>) -> Self {
        let hint = "Wait as long as Retry-After says.";
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit", "rate_limit_exceeded", hint);
        Self { retry_after, ..refusal }
    }

    /// Also for a path that is there for other verbs: the documented statuses do not have 405.
    pub(super) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, NOT_FOUND, NOT_FOUND, "There is no such endpoint.")
    }

    pub(super) fn nothing_there() -> Self {
        Self::new(StatusCode::NOT_FOUND, NOT_FOUND, NOT_FOUND, "There is no such connector.")
    }

    /// That it is 422 and not 404 is inferred: the reference lists the values of this parameter.
    pub(super) fn no_such_connector() -> Self {
        Self::invalid("connector_type", "It is none of the connectors.")
    }

    /// A header or a query that cannot be understood.
    pub(super) fn malformed(param: &str, hint: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, VALIDATION, VALIDATION, hint).about("param", param)
    }

    /// A body that cannot be understood.
    pub(super) fn no_object() -> Self {
        Self::new(StatusCode::BAD_REQUEST, VALIDATION, VALIDATION, "The body must be a JSON object, sent as such.")
    }

    /// A body that says what it must not. The hint must not hold a value of it.
    pub(super) fn invalid(param: &str, hint: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, VALIDATION, VALIDATION, hint).about("param", param)
    }

    pub(super) fn idempotency_mismatch() -> Self {
        let hint = "The key was used with another request.";
        Self::new(StatusCode::CONFLICT, CONFLICT, "idempotency_key_mismatch", hint)
    }

    /// That a duplicate is 409 is documented, the code is inferred.
    pub(super) fn duplicate(connector: Connector) -> Self {
        let hint = format!("This entity has an active {} connector.", connector.name());
        Self::new(StatusCode::CONFLICT, CONFLICT, "duplicate_record", &hint)
    }

    pub(super) fn in_use(references: Vec<String>) -> Self {
        Self::new(StatusCode::CONFLICT, CONFLICT, "resource_in_use", "Others refer to this connector.")
            .about("references", references)
    }
}
