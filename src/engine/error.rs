//! Why a pass ended early: one variant for each stage that talks to the API server.

use crate::domain::text::unknown_field;
use kube::core::Status;

/// A pass that could not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
    /// The view was stale: somebody wrote in between. Nothing was done; the change brings the next pass.
    #[error("the object changed in the meantime")]
    Stale,
    /// The attempt that a write belongs to is no longer the object's open one.
    #[error("the attempt is no longer the one that the object has open")]
    Superseded,
    /// Reading what the object names.
    #[error("resolve")]
    Resolve(#[source] Box<kube::Error>),
    /// Storing the intent, or the finalizer.
    #[error("intent")]
    Intent(#[source] Box<kube::Error>),
    /// Writing the connection Secret.
    #[error("publish")]
    Publish(#[source] Box<kube::Error>),
    /// Writing status.
    #[error("report")]
    Report(#[source] Box<kube::Error>),
    /// The pass took longer than any pass may.
    #[error("the pass took too long")]
    Deadline,
    /// The pass panicked: a bug.
    #[error("the pass panicked")]
    Panicked,
}

impl PassError {
    /// The stage, as a metric label.
    #[must_use]
    pub(super) fn stage(&self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Superseded => "superseded",
            Self::Resolve(_) => "resolve",
            Self::Intent(_) => "intent",
            Self::Publish(_) => "publish",
            Self::Report(_) => "report",
            Self::Deadline => "deadline",
            Self::Panicked => "panic",
        }
    }

    /// The whole story in one line. The API server's refusals in its own words; never the Debug of an answer.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "all errors of the client but one say themselves well")]
    pub(super) fn chain(&self) -> String {
        match self {
            Self::Stale | Self::Superseded | Self::Deadline | Self::Panicked => self.to_string(),
            Self::Resolve(source) | Self::Intent(source) | Self::Publish(source) | Self::Report(source) => {
                match source.as_ref() {
                    kube::Error::Api(status) => {
                        let said = unknown_field(&status.message).unwrap_or(&status.message);
                        format!("{self}: {} {}: {said}", status.code, status.reason)
                    }
                    other => format!("{self}: {other}"),
                }
            }
        }
    }
}

/// Whether the API server may answer the same otherwise in a moment: it is out of reach, busy, or on its way down or up.
pub(super) fn is_passing(error: &kube::Error) -> bool {
    let is_busy = matches!(error, kube::Error::Api(status) if status.code >= 500 || status.code == 429);
    is_busy || matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_))
}

/// A write bound to a version: a conflict, and an object that is gone, are a stale view and no failure.
#[expect(clippy::wildcard_enum_match_arm, reason = "all that is no conflict is a failure")]
pub(super) fn bound(error: kube::Error, stage: impl FnOnce(Box<kube::Error>) -> PassError) -> PassError {
    match error {
        kube::Error::Api(status) if status.is_conflict() || is_missing(&status) => PassError::Stale,
        other => stage(Box::new(other)),
    }
}

/// Whether there is no such object. Of a kind whose CRD is gone the API server says that in plain text, without the reason that
/// [`Status::is_not_found`] goes by.
pub(super) fn is_missing(status: &Status) -> bool {
    status.code == 404
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_not_known_is_named_without_the_object_that_it_is_of() {
        let message =
            r#" "" is invalid: patch: Invalid value: "{\"spec\":{}}": strict decoding error: unknown field "status.a""#;
        let refused = Status::failure(message, "Invalid").with_code(422);
        let said = PassError::Report(Box::new(kube::Error::Api(refused.boxed()))).chain();
        assert_eq!(said, r#"report: 422 Invalid: strict decoding error: unknown field "status.a""#);
    }

    #[test]
    fn what_is_not_served_any_more_is_missing() {
        let status = Status::failure("404 page not found", "Failed to parse error data").with_code(404);
        assert!(!status.is_not_found(), "kube knows it now: is_missing is not needed any more");
        let error = bound(kube::Error::Api(status.boxed()), PassError::Intent);
        assert!(matches!(error, PassError::Stale), "{error}");
    }
}
