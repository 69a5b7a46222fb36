//! What SKU.io's answers mean: status codes and error bodies to [`ApiError`], job words to [`Job`].
//!
//! Source: SKU.io's public reference, "Errors" and "Authentication".

use crate::{
    domain::{
        instances,
        verdict::{Blame, Detail, Effect, Kind},
    },
    provider::{ApiError, Job, Operation, answer, http::Reply},
};
use serde_json::Value;

/// The body of a success, or the error that the answer is.
pub(super) fn read(operation: Operation, reply: &Reply) -> Result<Value, ApiError> {
    if answer::is_success(reply) {
        let body = answer::json(operation, reply)?;
        return if says_failure(operation, &body) { Err(answer::unreadable(operation, reply)) } else { Ok(body) };
    }
    let body = answer::told(reply);
    let (kind, effect) = match reply.status.as_u16() {
        // "Locked, or in the wrong state."
        409 | 423 => (Kind::Conflict, Effect::None),
        // A proxy's page, which knows nothing of what is there: SKU.io answers JSON, or nothing.
        404 | 410 if body.is_none() && !reply.body.is_empty() => (Kind::Protocol, Effect::Unknown),
        status => answer::meaning(status),
    };
    let errors = body.as_ref().and_then(|b| b.get("errors")).and_then(Value::as_object);
    let keys: Vec<&str> = errors.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let kind = match (kind, keys.as_slice()) {
        // The text may change, the key does not.
        (Kind::Invalid, ["name"]) if operation == Operation::Create => Kind::Taken,
        (kind, _) => kind,
    };
    let scope = body.as_ref().and_then(|b| b.get("required_scope")?.as_str()).filter(|s| is_scope(s));
    let detail = Detail {
        code: None,
        fields: keys.into_iter().filter_map(instances::path_of).collect(),
        scope: scope.map(str::to_owned),
        // The one token that there is in a request is the login's.
        blame: Blame::Login,
    };
    Err(answer::refused(operation, reply, (kind, effect), detail))
}

/// The older envelope may tell of a failure in what is a success by its status code. The status of a job is its own.
fn says_failure(operation: Operation, body: &Value) -> bool {
    operation != Operation::Job && body.get("status").and_then(Value::as_str) == Some("failure")
}

/// A scope in its documented form, `resource:read`: anything else is free text.
fn is_scope(text: &str) -> bool {
    let resource = text.strip_suffix(":read").or_else(|| text.strip_suffix(":write"));
    resource.is_some_and(|r| {
        !r.is_empty() && r.len() <= 64 && r.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '_')
    })
}

/// How far a job is, by its status: what is no known end is under way.
pub(super) fn job(status: &str) -> Job {
    match status {
        "completed" => Job::Completed,
        "failed" | "cancelled" => Job::Failed,
        _ => Job::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn reply(status: u16, body: &Value) -> Reply {
        Reply::of(status, body.to_string())
    }

    fn error(operation: Operation, status: u16, body: &Value) -> ApiError {
        read(operation, &reply(status, body)).expect_err("an error")
    }

    #[test]
    fn every_status_has_a_meaning_for_every_verb() {
        insta::assert_snapshot!(crate::provider::error::meanings(|operation, status| {
            read(operation, &reply(status, &json!({}))).err()
        }));
    }

    #[test]
    fn a_name_alone_is_taken_and_other_fields_are_told_by_their_paths() {
        let body = json!({"message": "x", "errors": {"name": ["The name has already been taken."]}});
        assert_eq!(error(Operation::Create, 422, &body).kind, Kind::Taken);
        assert_eq!(error(Operation::Update, 422, &body).detail.fields, ["spec.name"]);
        let body = json!({"errors": {"integration_settings.store_hash": ["no"], "test-canary": ["x"], "name": ["x"]}});
        let told = error(Operation::Create, 422, &body);
        assert_eq!((told.kind, told.detail.fields.len()), (Kind::Invalid, 2));
        assert!(!format!("{told:?}").contains("test-canary"));
    }

    #[rstest]
    #[case::documented(json!({"required_scope": "integrations:write"}), Some("integrations:write"))]
    #[case::free_text(json!({"required_scope": "test canary:write"}), None)]
    #[case::number(json!({"required_scope": 5}), None)]
    #[case::none(json!({}), None)]
    fn the_missing_scope_is_told(#[case] body: Value, #[case] scope: Option<&str>) {
        assert_eq!(error(Operation::Update, 403, &body).detail.scope.as_deref(), scope);
    }

    #[rstest]
    #[case::its_own(r#"{"message":"Not found."}"#, Kind::NotFound)]
    #[case::nothing("", Kind::NotFound)]
    #[case::a_page("<html>", Kind::Protocol)]
    #[case::a_text("404 page not found", Kind::Protocol)]
    fn what_a_proxy_does_not_know_may_be_there(#[case] body: &'static str, #[case] kind: Kind) {
        for operation in [Operation::Read, Operation::Delete] {
            let error = read(operation, &Reply::of(404, body)).expect_err("an error");
            assert_eq!(error.kind, kind, "{operation}");
        }
    }

    #[rstest]
    #[case("pending", Job::Running)]
    #[case("a new word", Job::Running)]
    #[case("completed", Job::Completed)]
    #[case("failed", Job::Failed)]
    #[case("cancelled", Job::Failed)]
    fn words_of_jobs(#[case] word: &str, #[case] expected: Job) {
        assert_eq!(job(word), expected);
    }

    #[rstest]
    #[case::create(Operation::Create, Effect::Unknown)]
    #[case::update(Operation::Update, Effect::Unknown)]
    #[case::delete(Operation::Delete, Effect::Unknown)]
    #[case::refresh(Operation::Refresh, Effect::Unknown)]
    #[case::list(Operation::List, Effect::None)]
    fn a_success_that_says_failure_is_none(#[case] operation: Operation, #[case] effect: Effect) {
        let body = json!({"status": "failure", "message": "test", "data": [], "errors": [], "warnings": []});
        let told = error(operation, 200, &body);
        assert_eq!((told.kind, told.effect), (Kind::Protocol, effect));
        let job = json!({"id": 1, "status": "failure"});
        assert_eq!(read(Operation::Job, &reply(200, &job)), Ok(job));
    }

    #[test]
    fn a_page_of_html_is_no_success() {
        let page = Reply::of(200, "<html>");
        assert_eq!(read(Operation::List, &page).expect_err("an error").kind, Kind::Protocol);
        let nothing = Reply::of(204, "");
        assert_eq!(read(Operation::Delete, &nothing), Ok(Value::Null));
    }
}
