//! Failures in plain words: what went wrong, and what to do next. One line, never a Debug form, never a body.

use super::caller::Caller;
use crate::domain::text::unknown_field;
use anyhow::anyhow;
use kube::core::Status;
use std::error::Error;

/// The reason of a 404 that is about an object. A kind that the server does not know is a 404 too, but a bare page.
const NOT_FOUND: &str = "NotFound";

/// What was handed in cannot be used as it is.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub(super) struct BadInput(String);

impl BadInput {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Nothing was done, and nothing goes on before a person acts.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub(super) struct Blocked(String);

impl Blocked {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Whether the request failed because the object is not there.
pub(super) fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == NOT_FOUND)
}

/// Whether the request failed because the caller may not make it.
pub(super) fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether a list failed because the server does not know the kind: no other 404 answers a list.
pub(super) fn is_unknown(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether the same request may yet succeed without anybody doing something.
pub(super) fn may_pass(error: &kube::Error) -> bool {
    !matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404))
}

/// A failed request to the API server.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other failures are the client's own and have one remedy: none")]
pub(super) fn plain(error: kube::Error, caller: &Caller) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow!(answered(&status, caller)),
        kube::Error::Service(cause) => anyhow!(unreached(cause.as_ref())),
        kube::Error::HyperError(cause) => anyhow!(unreached(&cause)),
        kube::Error::Auth(cause) => {
            anyhow!("your kubeconfig's login does not work ({}). Log in again, as for kubectl", innermost(&cause))
        }
        kube::Error::SerdeError(cause) => anyhow!(
            "the API server's answer cannot be read ({cause}). Is this program of the same version as the cluster's CRDs?"
        ),
        other => anyhow!("the request to the API server failed ({})", innermost(&other)),
    }
}

fn answered(status: &Status, caller: &Caller) -> String {
    let said = status.message.trim().trim_end_matches('.');
    let install = || format!("{} crds | {}", caller.program(), caller.kubectl("apply --server-side -f -"));
    if let Some(unknown) = unknown_field(said) {
        return format!(
            "this cluster's CRDs are older than this program ({unknown}). Install those of today: {}",
            install()
        );
    }
    match status.code {
        404 if status.reason != NOT_FOUND => {
            format!("this cluster does not know the kinds of Tradewind. Install them: {}", install())
        }
        401 => "the API server does not know you. Log in again, as for kubectl".to_owned(),
        403 => format!("you may not do this: {said}. Ask whoever runs the cluster for that right"),
        409 => format!("the object was changed in the meantime ({said}). Run the command again"),
        429 => "the API server asks to slow down. Run the command again later".to_owned(),
        500.. => format!("the API server failed ({said}). Run the command again later"),
        _ => format!("the API server refused it: {said}"),
    }
}

fn unreached(cause: &(dyn Error + 'static)) -> String {
    format!(
        "the API server cannot be reached ({}). Check the cluster that your kubeconfig names and, where there is one, the \
         proxy to it (HTTPS_PROXY, NO_PROXY), or name another one with --kubeconfig or --context",
        innermost(cause)
    )
}

/// The cause of all causes; what wraps it repeats it.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, message: &str, reason: &str) -> String {
        let status = Status::failure(message, reason).with_code(code);
        let caller = Caller::new("kubectl tradewind", &[("--context", "prod".to_owned())]);
        plain(kube::Error::Api(Box::new(status)), &caller).to_string()
    }

    #[test]
    fn a_missing_right_is_named() {
        let text = said(403, "connections.tradewind.dev is forbidden: User \"ann\" cannot list", "Forbidden");
        assert!(text.contains("User \"ann\" cannot list") && text.contains("Ask whoever"), "{text}");
    }

    #[test]
    fn a_missing_kind_is_no_missing_object() {
        let unknown = said(404, "404 page not found\n", "Failed to parse error data");
        let install = ": kubectl tradewind crds | kubectl apply --server-side -f - --context prod";
        assert!(unknown.ends_with(install), "{unknown}");
        assert!(!said(404, "connections.tradewind.dev \"a\" not found", "NotFound").contains("tradewind crds"));
    }

    #[test]
    fn a_field_that_the_cluster_does_not_know_is_one_of_a_newer_version() {
        let echo = r#"" is invalid: patch: Invalid value: "{\"spec\":{}}": strict decoding error: unknown field "spec.suspend""#;
        let text = said(422, echo, "Invalid");
        assert!(text.contains(r#"(strict decoding error: unknown field "spec.suspend")"#), "{text}");
        assert!(text.ends_with("kubectl tradewind crds | kubectl apply --server-side -f - --context prod"), "{text}");
    }

    #[test]
    fn what_the_caller_may_not_do_or_see_does_not_pass() {
        let passes = |code| may_pass(&kube::Error::Api(Box::new(Status::failure("", "").with_code(code))));
        assert_eq!([401, 403, 404, 409, 429, 500, 503].map(passes), [false, false, false, true, true, true, true]);
        assert!(may_pass(&kube::Error::Service("connection refused".into())));
    }

    #[test]
    fn nothing_is_printed_as_debug() {
        for (code, reason) in
            [(401, "Unauthorized"), (409, "Conflict"), (422, "Invalid"), (429, "TooManyRequests"), (503, "")]
        {
            let text = said(code, "the words of the server", reason);
            assert!(!text.contains("Status {") && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn of_many_causes_the_first_counts() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let text = plain(kube::Error::Service(Box::new(refused)), &Caller::new("tradewind", &[])).to_string();
        assert!(text.contains("cannot be reached (connection refused)"), "{text}");
    }
}
