//! What Rutter says instead of what was asked for.
//!
//! The body and the codes of connection errors: Rutter's Errors page. It lists the HTTP statuses too, but not which
//! code comes with which, nor the codes for bad requests beyond the beginning `MISSI…`; those are inferred.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use serde::Serialize;

use super::Gone;
use super::view::json;
use crate::state::insert;

const CONNECTION: &str = "CONNECTION_ERROR";
const REQUEST: &str = "API_REQUEST_ERROR";
const SERVER: &str = "API_ERROR";

/// An answer that is not a success.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Body,
    retry_after: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct Body {
    error_type: &'static str,
    error_code: String,
    error_message: String,
}

impl Refusal {
    fn new(status: StatusCode, error_type: &'static str, code: &str, message: &str) -> Self {
        let body = Body { error_type, error_code: code.to_owned(), error_message: message.to_owned() };
        Self { status, body, retry_after: None }
    }

    /// The answer on the wire.
    pub(super) fn into_response(self) -> Response<Bytes> {
        let mut response = json(&self.body);
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after {
            insert(response.headers_mut(), RETRY_AFTER, &seconds.to_string());
        }
        response
    }

    /// What a fault says: the status, with the code that belongs to it.
    pub(super) fn upstream(status: u16, retry_after: Option<u64>) -> Self {
        let (error_type, code, message) = match status {
            401 => return Self { retry_after, ..Self::bad_login() },
            429 => return Self { retry_after, ..Self::rate_limited() },
            450 => (CONNECTION, "PLATFORM_ERROR", "the platform refused the request"),
            452 => (CONNECTION, "PLATFORM_RATE_LIMITED", "the platform limits the rate of requests"),
            400..500 => (REQUEST, "INVALID_REQUEST", "the request was refused"),
            _ => (SERVER, "INTERNAL_SERVER_ERROR", "something went wrong"),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { retry_after, ..Self::new(status, error_type, code, message) }
    }

    pub(super) fn bad_login() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, CONNECTION, "INVALID_CREDENTIALS", "Invalid client id or secret.")
    }

    pub(super) fn bad_access_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, CONNECTION, "INVALID_CREDENTIALS", "Invalid access token.")
    }

    /// The platform did not accept the credentials of a new connection.
    pub(super) fn bad_credentials(status: StatusCode) -> Self {
        Self::new(status, CONNECTION, "INVALID_CREDENTIALS", "The platform did not accept the credentials.")
    }

    /// A state of the connection in which this cannot be done. The codes are documented, the status is inferred.
    pub(super) fn unfit(code: &str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, CONNECTION, code, message)
    }

    pub(super) fn missing(what: &str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, REQUEST, &format!("MISSING_{what}"), message)
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, REQUEST, "INVALID_REQUEST", message)
    }

    pub(super) fn rate_limited() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, REQUEST, "RATE_LIMITED", "Too many requests.")
    }

    pub(super) fn no_such_endpoint() -> Self {
        Self::new(StatusCode::NOT_FOUND, REQUEST, "NOT_FOUND", "There is no such endpoint.")
    }

    /// 410 since January 2024, "rolled out gradually": 404 may still come.
    pub(super) fn no_such_connection(gone: Gone) -> Self {
        let status = match gone {
            Gone::NotFound => StatusCode::NOT_FOUND,
            Gone::Gone => StatusCode::GONE,
        };
        Self::new(status, REQUEST, "NOT_FOUND", "There is no such connection.")
    }

    pub(super) fn idempotency_mismatch() -> Self {
        let message = "The idempotency key was used with another request.";
        Self::new(StatusCode::CONFLICT, REQUEST, "IDEMPOTENCY_KEY_MISMATCH", message)
    }
}
