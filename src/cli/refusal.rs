//! Failures in plain words: what went wrong, and what to do next. One line, never a Debug form, never a body.

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

/// A failed request to the API server. `program`: what people type to call this program.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other failures are the client's own and have one remedy: none")]
pub(super) fn plain(error: kube::Error, program: &str) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow!(answered(&status, program)),
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

fn answered(status: &Status, program: &str) -> String {
    let said = status.message.trim().trim_end_matches('.');
    match status.code {
        404 if status.reason != NOT_FOUND => {
            format!(
                "this cluster does not know the kinds of Tradewind. Install them: {program} crds | kubectl apply \
                 --server-side -f -"
            )
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
        plain(kube::Error::Api(Box::new(status)), "kubectl tradewind").to_string()
    }

    #[test]
    fn a_missing_right_is_named() {
        let text = said(403, "connections.tradewind.dev is forbidden: User \"ann\" cannot list", "Forbidden");
        assert!(text.contains("User \"ann\" cannot list") && text.contains("Ask whoever"), "{text}");
    }

    #[test]
    fn a_missing_kind_is_no_missing_object() {
        assert!(said(404, "404 page not found\n", "Failed to parse error data").contains(": kubectl tradewind crds |"));
        assert!(!said(404, "connections.tradewind.dev \"a\" not found", "NotFound").contains("tradewind crds"));
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
        let text = plain(kube::Error::Service(Box::new(refused)), "tradewind").to_string();
        assert!(text.contains("cannot be reached (connection refused)"), "{text}");
    }
}
