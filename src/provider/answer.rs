//! What an answer means as far as HTTP itself says it; a provider's own map says the rest.

use super::{ApiError, Operation, http::Reply};
use crate::domain::verdict::{Detail, Effect, Kind};
use serde_json::Value;

/// The meaning of a status that is no success.
///
/// Writes: only what plainly is a refusal is one; every other answer leaves the outcome open.
pub(super) fn meaning(status: u16) -> (Kind, Effect) {
    match status {
        400 | 422 => (Kind::Invalid, Effect::None),
        401 => (Kind::Unauthorized, Effect::None),
        403 => (Kind::Forbidden, Effect::None),
        404 => (Kind::NotFound, Effect::None),
        410 => (Kind::Gone, Effect::Unknown),
        408 => (Kind::Timeout, Effect::Unknown),
        409 => (Kind::Conflict, Effect::Unknown),
        429 => (Kind::RateLimited, Effect::None),
        425 | 500..=599 => (Kind::Unavailable, Effect::Unknown),
        402 | 405..=407 | 411..=421 | 423..=424 | 426..=428 | 430..=499 => (Kind::Invalid, Effect::Unknown),
        // Among them redirects, which are never followed: a server that takes us for a browser answers so.
        _ => (Kind::Protocol, Effect::Unknown),
    }
}

/// Whether the answer is a success.
pub(super) fn is_success(reply: &Reply) -> bool {
    (200..300).contains(&reply.status.as_u16())
}

/// The JSON of a success; null where there is no body, as after a deletion.
///
/// # Errors
/// A body that is no JSON.
pub(super) fn json(operation: Operation, reply: &Reply) -> Result<Value, ApiError> {
    if reply.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&reply.body).map_err(|_| unreadable(operation, reply))
}

/// A success that says nothing readable.
pub(super) fn unreadable(operation: Operation, reply: &Reply) -> ApiError {
    let status = Some(reply.status.as_u16());
    ApiError { request_id: reply.request_id.clone(), ..ApiError::unreadable(operation, status) }
}

/// The error that an answer is, as its provider's map has read it.
pub(super) fn refused(operation: Operation, reply: &Reply, meaning: (Kind, Effect), detail: Detail) -> ApiError {
    let (kind, effect) = match (operation, reply.status.as_u16(), meaning) {
        // Nothing that is declared makes a list or a look fail: not for a person to put right.
        (_, 402 | 405..=421 | 423..=449 | 451..=499, (Kind::Invalid, effect)) if !operation.writes() => {
            (Kind::Protocol, effect)
        }
        // What is gone has not been changed.
        (Operation::Update | Operation::Refresh, _, (Kind::Gone, _)) => (Kind::Gone, Effect::None),
        (_, _, meaning) => meaning,
    };
    ApiError {
        detail,
        retry_after: reply.retry_after,
        request_id: reply.request_id.clone(),
        ..ApiError::answered(operation, reply.status.as_u16(), kind, effect)
    }
}
