//! What Arcus' answers mean: status codes and error codes to [`ApiError`].
//!
//! Source: Arcus' public reference, "Errors", "Idempotency" and "Rate limits".

use crate::{
    domain::{
        connectors,
        verdict::{Blame, Detail, Effect, Kind},
    },
    provider::{ApiError, Operation, answer, http::Reply},
};
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// The documented codes. Only these ever leave this module.
const CODES: &[&str] = &[
    "missing_api_key",
    "insufficient_scope",
    "ip_not_allowlisted",
    "not_found",
    MISMATCH,
    "resource_in_use",
    "rate_limit_exceeded",
    "validation_error",
];
/// The key of this request was used with another body.
const MISMATCH: &str = "idempotency_key_mismatch";

/// The body of a success, or the error that the answer is.
pub(super) fn read(operation: Operation, reply: &Reply) -> Result<Value, ApiError> {
    if answer::is_success(reply) {
        return answer::json(operation, reply);
    }
    let body = answer::told(reply);
    let text = |key: &str| body.as_ref().and_then(|b| b.get(key)?.as_str());
    let code =
        text("code").or_else(|| text("error")).and_then(|code| CODES.iter().find(|known| **known == code).copied());
    let meaning = match (code, reply.status.as_u16()) {
        // What the first request with this key did is what counts, and its answer is not this one.
        (Some(MISMATCH), 409) => (Kind::Conflict, Effect::Unknown),
        // A duplicate, or something in use: nothing was done.
        (_, 409) => (Kind::Conflict, Effect::None),
        (_, status) => answer::meaning(status),
    };
    let detail = Detail {
        code,
        fields: text("param").and_then(connectors::path_of).into_iter().collect(),
        scope: text("required").filter(|s| is_scope(s)).map(str::to_owned),
        // No other credentials are ever sent.
        blame: Blame::Login,
    };
    Err(answer::refused(operation, reply, meaning, detail))
}

/// How long nothing more may be asked, where the answer says that the window is used up.
pub(super) fn used_up(reply: &Reply, now: Timestamp) -> Option<Duration> {
    let number = |name: &str| reply.headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    let remaining = number("x-ratelimit-remaining")?;
    let reset = Timestamp::from_second(number("x-ratelimit-reset")?).ok()?;
    (remaining <= 0)
        .then(|| Duration::try_from(reset.duration_since(now)).unwrap_or_default().min(Duration::from_mins(1)))
}

fn is_scope(text: &str) -> bool {
    text.split_once(':').is_some_and(|(resource, permission)| {
        let plain =
            |t: &str| !t.is_empty() && t.len() <= 64 && t.chars().all(|c| c.is_ascii_lowercase() || "-_".contains(c));
        plain(resource) && plain(permission)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn reply(status: u16, body: &Value) -> Reply {
        Reply::of(status, body.to_string())
    }

    #[test]
    fn every_status_has_a_meaning_for_every_verb() {
        insta::assert_snapshot!(crate::provider::error::meanings(|operation, status| {
            read(operation, &reply(status, &json!({}))).err()
        }));
    }

    #[rstest]
    #[case::mismatch(409, json!({"code": "idempotency_key_mismatch"}), Kind::Conflict, Effect::Unknown)]
    #[case::duplicate(409, json!({"code": "duplicate"}), Kind::Conflict, Effect::None)]
    #[case::in_use(409, json!({"error": "resource_in_use", "references": []}), Kind::Conflict, Effect::None)]
    fn a_conflict_is_one_of_three(
        #[case] status: u16,
        #[case] body: Value,
        #[case] kind: Kind,
        #[case] effect: Effect,
    ) {
        let error = read(Operation::Create, &reply(status, &body)).expect_err("an error");
        assert_eq!((error.kind, error.effect), (kind, effect));
    }

    #[test]
    fn field_and_scope_are_told_and_nothing_else() {
        let body = json!({"error": "validation_error", "param": "seller_id", "hint": "test-canary"});
        let error = read(Operation::Update, &reply(422, &body)).expect_err("an error");
        assert_eq!(error.detail.fields, ["spec.arcus.sellerId"]);
        assert!(!format!("{error:?}").contains("test-canary"));
        let body = json!({"code": "insufficient_scope", "required": "integrations:write"});
        let error = read(Operation::Update, &reply(403, &body)).expect_err("an error");
        assert_eq!(error.detail.scope.as_deref(), Some("integrations:write"));
    }

    #[rstest]
    #[case::left("3", None)]
    #[case::none("0", Some(20))]
    fn a_window_that_is_used_up_closes_the_gate(#[case] remaining: &str, #[case] seconds: Option<u64>) {
        let mut reply = reply(200, &json!({}));
        reply.headers.insert("x-ratelimit-remaining", remaining.parse().expect("a value"));
        reply.headers.insert("x-ratelimit-reset", "1020".parse().expect("a value"));
        let now = Timestamp::from_second(1000).expect("a time");
        assert_eq!(used_up(&reply, now), seconds.map(Duration::from_secs));
    }
}
