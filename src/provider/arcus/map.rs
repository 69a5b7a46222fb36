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
/// What stands for the code of a create that is refused for a connector that somebody has switched off: no code of Arcus'
/// says that.
const SWITCHED_OFF: &str = "a connector of this type stands there, and is switched off: switch it on in Arcus and take it over \
    with adoptionPolicy: Match or Override, or have it removed there";

/// Whether a create was refused for what stands there already.
pub(super) fn is_duplicate(error: &ApiError) -> bool {
    error.kind == Kind::Conflict && error.effect == Effect::None && error.status == Some(409)
}

/// The same refusal, which says that what stands there is switched off.
pub(super) fn switched_off(error: ApiError) -> ApiError {
    ApiError { detail: Detail { code: Some(SWITCHED_OFF), ..error.detail }, ..error }
}

/// The body of a success, or the error that the answer is.
pub(super) fn read(operation: Operation, reply: &Reply) -> Result<Value, ApiError> {
    if answer::is_success(reply) {
        return answer::json(operation, reply);
    }
    let body = answer::told(reply);
    let text = |key: &str| body.as_ref().and_then(|b| b.get(key)?.as_str());
    let code =
        text("code").or_else(|| text("error")).and_then(|code| CODES.iter().find(|known| **known == code).copied());
    // Both are in each of Arcus' errors.
    let is_arcus = text("error").is_some() && text("code").is_some();
    let meaning = match (code, reply.status.as_u16()) {
        // A proxy's or a gateway's word, which knows nothing of what is there.
        (_, 404 | 410) if !is_arcus => (Kind::Protocol, Effect::Unknown),
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
            read(operation, &reply(status, &json!({"error": "test", "code": "test"}))).err()
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

    #[rstest]
    #[case::its_own(r#"{"error":"not_found","code":"not_found"}"#, true)]
    #[case::a_page("<html>", false)]
    #[case::nothing("", false)]
    #[case::a_gateways(r#"{"error":"Not Found","code":404}"#, false)]
    #[case::anothers(r#"{"message":"no route"}"#, false)]
    fn what_is_not_there_only_arcus_can_say(#[case] body: &'static str, #[case] is_told: bool) {
        for status in [404, 410] {
            for operation in [Operation::Read, Operation::Delete, Operation::Update, Operation::List] {
                let error = read(operation, &Reply::of(status, body)).expect_err("an error");
                assert_eq!(error.kind == Kind::Protocol, !is_told, "{operation} {status}");
                assert!(is_told || !operation.writes() || error.effect == Effect::Unknown);
            }
        }
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
