//! The one list of reasons: conditions, events, metric labels and `docs/conditions.md` all take theirs from here.

use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// Why a condition is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, EnumIter, EnumString, IntoStaticStr)]
pub enum Reason {
    /// All is as declared.
    Succeeded,
    /// Work is under way.
    Progressing,
    /// Work is under way after a failure that may pass.
    ProgressingWithRetry,
    /// `spec.suspend` is true.
    Suspended,
    /// Something that the object names is not ready.
    DependencyNotReady,
    /// The declaration cannot be carried out as it stands.
    InvalidSpec,
    /// The record is being created.
    Creating,
    /// The record is being changed.
    Updating,
    /// The record is being deleted.
    Deleting,
    /// Something holds the deletion back on purpose.
    DeletionHeld,
    /// The deletion cannot go on without a person.
    DeletionBlocked,
    /// Nobody can tell whether a create took effect.
    CreateOutcomeUnknown,
    /// A record with the same identity exists and is somebody else's.
    AlreadyExists,
    /// More than one record has the declared identity.
    AmbiguousMatch,
    /// Another object holds the record or claims its identity.
    ExternalIdConflict,
    /// The record was made in another account than the one named now.
    AccountMismatch,
    /// `adoptionPolicy: Match`, and the record differs.
    NotMatch,
    /// The record does not exist at the provider.
    ExternalNotFound,
    /// The provider cannot apply the change in place.
    ReplacementRequired,
    /// The provider refused the credentials.
    CredentialsRejected,
    /// The provider restored stored credentials by itself.
    CredentialsRestored,
    /// The named Secret does not exist.
    SecretNotFound,
    /// The named Secret lacks a key, or its value cannot be used.
    SecretKeyMissing,
    /// The operator lacks a permission in the cluster.
    PermissionDenied,
    /// The endpoint is not on the operator's allow-list.
    EndpointNotAllowed,
    /// The shared account does not allow this namespace.
    NamespaceNotAllowed,
    /// The account forbids adoption.
    AdoptionForbidden,
    /// The connection Secret belongs to somebody else.
    ConnectionSecretConflict,
    /// New credentials work.
    RotatedAndVerified,
    /// New credentials do not work; the old ones stay in use.
    RotationRejected,
    /// A person must authorize the connection.
    AuthorizationRequired,
    /// Nobody has used a link for a day: another one is made on request.
    LinkExpired,
    /// A person must authorize the connection again.
    ReauthorizationRequired,
    /// The provider disabled the connection.
    Disabled,
    /// The provider asks to slow down.
    RateLimited,
    /// The provider does not answer, or answers with an error of its own.
    ProviderUnavailable,
    /// The provider refused the request.
    ProviderRejected,
    /// This version of Tradewind does not serve it.
    UnsupportedPlatform,
    /// A test login with live data, or the other way round.
    EnvironmentMismatch,
    /// The record differs from the declaration.
    DriftDetected,
    /// The record differed and was corrected.
    DriftCorrected,
    /// The first load of data is running.
    InitialRefreshRunning,
    /// The first load of data failed.
    InitialRefreshFailed,
    /// Nobody can tell whether a refresh was started.
    RefreshOutcomeUnknown,
    /// The provider has no refresh on request.
    RefreshUnsupported,
}

impl Reason {
    /// The reason as it stands in conditions and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A reason with the sentence that goes with it: what is wrong, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Why.
    pub reason: Reason,
    /// Our words: stable, no body, no URL, no time, no secret.
    pub message: String,
}

impl Problem {
    /// A problem with its sentence.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_written_as_it_is_called() {
        assert_eq!(Reason::SecretNotFound.as_str(), "SecretNotFound");
    }
}
