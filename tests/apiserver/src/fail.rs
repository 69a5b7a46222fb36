//! Refusals, as the API server words them.

use http::StatusCode;
use serde_json::{Value, json};

use crate::kinds::Kind;

/// A refusal: a code, the reason that clients branch on, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub code: StatusCode,
    /// `reason` of the `Status`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Failure {
    fn new(code: StatusCode, reason: &'static str, message: String) -> Self {
        Self { code, reason, message }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("{what} not found"))
    }

    pub(crate) fn already_exists(what: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "AlreadyExists", format!("{what} already exists"))
    }

    pub(crate) fn conflict(what: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {what}: the object has been modified; please apply your changes to the \
             latest version and try again"
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message.into())
    }

    /// The refusal of an object, with all that is wrong with it.
    pub(crate) fn invalid_object(kind: &Kind, name: &str, faults: &[String]) -> Self {
        let group = if kind.group.is_empty() { String::new() } else { format!(".{}", kind.group) };
        let faults = match faults {
            [fault] => fault.clone(),
            faults => format!("[{}]", faults.join(", ")),
        };
        Self::invalid(format!("{}{group} {name:?} is invalid: {faults}", kind.name))
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message.into())
    }

    pub(crate) fn unsupported(what: &str) -> Self {
        let message = format!("this server in memory does not know {what}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub(crate) fn expired(from: u64, oldest: u64) -> Self {
        Self::new(StatusCode::GONE, "Expired", format!("too old resource version: {from} ({oldest})"))
    }

    pub(crate) fn terminating(namespace: &str) -> Self {
        let message = format!("unable to create new content in namespace {namespace} because it is being terminated");
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    pub(crate) fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
            "reason": self.reason, "code": self.code.as_u16()
        })
    }
}
