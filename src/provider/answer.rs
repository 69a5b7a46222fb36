//! What an answer means as far as HTTP itself says it; a provider's own map says the rest.

use super::{ApiError, Operation, http::Reply};
use crate::domain::verdict::{Detail, Effect, Kind};
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// What an answer may weigh that is read as a tree of values.
const TREE: usize = 1 << 20;
/// And what a page of a list may.
pub(super) const PAGE: usize = 2560 << 10;

/// Reads a tree, and makes of it what is kept: one at a time, whatever the account, since a tree takes many times the memory
/// of its text. Nothing is waited for meanwhile.
pub(super) fn alone<T>(read: impl FnOnce() -> T) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    read()
}

/// What a text weighs, and what reading it makes of it: the smallest object or value of JSON takes far more memory than its few
/// bytes.
pub(super) fn weight(text: &[u8]) -> usize {
    // An object begins with a node for eleven entries, an array with four places; what grows is half full, and each name is a
    // text of its own.
    const CONTAINER: usize = 700;
    const ENTRY: usize = 160;
    const VALUE: usize = 64;
    let (mut quoted, mut escaped, mut structure) = (false, false, 0);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => structure += CONTAINER,
            b':' if !quoted => structure += ENTRY,
            b',' if !quoted => structure += VALUE,
            _ => {}
        }
    }
    2 * text.len() + structure
}

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
/// A body that is no JSON, or weighs too much.
pub(super) fn json(operation: Operation, reply: &Reply) -> Result<Value, ApiError> {
    if reply.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    let most = if operation == Operation::List { PAGE } else { TREE };
    tree(reply, most).ok_or_else(|| unreadable(operation, reply))
}

/// What a refusal says beside its status, where it can be read.
pub(super) fn told(reply: &Reply) -> Option<Value> {
    tree(reply, TREE)
}

fn tree(reply: &Reply, most: usize) -> Option<Value> {
    if weight(&reply.body) > most {
        return None;
    }
    serde_json::from_slice(&reply.body).ok()
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::objects("{}", 704)]
    #[case::entries(r#"{"a":1,"b":2}"#, 26 + 700 + 2 * 160 + 64)]
    #[case::what_stands_in_a_text_is_text(r#"["{:,[\"{"]"#, 22 + 700)]
    #[case::an_escape_of_its_own(r#"["\\",{}]"#, 18 + 2 * 700 + 64)]
    #[case::no_json("{:,[", 8 + 2 * 700 + 160 + 64)]
    fn a_tree_weighs_more_than_its_text(#[case] text: &str, #[case] weighs: usize) {
        assert_eq!(weight(text.as_bytes()), weighs);
    }

    #[rstest]
    #[case::an_answer(Operation::Read, 1300, true)]
    #[case::a_larger_one(Operation::Read, 1500, false)]
    #[case::a_page(Operation::List, 3300, true)]
    #[case::a_larger_page(Operation::List, 4000, false)]
    fn what_weighs_too_much_is_not_read(#[case] operation: Operation, #[case] objects: usize, #[case] read: bool) {
        let reply = Reply::of(200, format!("[{}{{}}]", "{},".repeat(objects)));
        assert_eq!(json(operation, &reply).is_ok(), read);
        // What a refusal says of itself is said in few words.
        assert_eq!(told(&reply).is_some(), operation == Operation::Read && read);
    }
}
