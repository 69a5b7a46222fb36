//! What a failed request means for the pass: one total function from the kind of failure to what comes next.

use super::reason::{Problem, Reason};
use std::time::Duration;

/// What went wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::EnumIter, strum::IntoStaticStr)]
pub enum Kind {
    /// The login, or the token of the connection, was not accepted.
    Unauthorized,
    /// The login lacks a right.
    Forbidden,
    /// The endpoint or the record is not there.
    NotFound,
    /// The record is gone.
    Gone,
    /// The request contradicts another one.
    Conflict,
    /// The request cannot be carried out as it is.
    Invalid,
    /// The key is another record's, or still that of one which is being cleaned up.
    Taken,
    /// Too many requests.
    RateLimited,
    /// The provider failed, or could not be reached.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// An answer that does not follow the contract.
    Protocol,
}

/// May a write have taken effect although it failed?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// No: nothing was sent, or the provider said no.
    None,
    /// Nobody can tell.
    Unknown,
}

/// Whose credentials an answer is about, where it refuses any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blame {
    /// Those of the record's own store.
    #[default]
    Store,
    /// The account's login.
    Login,
}

/// What a refusal says beside its kind, in our words: never the provider's free text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// One of the provider's documented codes.
    pub code: Option<&'static str>,
    /// The refused fields, by their path in the object.
    pub fields: Vec<String>,
    /// The scope that the login lacks.
    pub scope: Option<String>,
    /// Whose credentials are refused.
    pub blame: Blame,
}

/// What a pass does after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again, later the longer it lasts.
    Retry,
    /// The provider, or our own budget, says when.
    Wait(Duration),
    /// Nothing changes before somebody changes something.
    Stall,
}

/// The shortest wait after a 429 without `Retry-After`: the window of Rutter's own limit is ten seconds.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// What comes after a failure of this kind.
#[must_use]
pub fn verdict(kind: Kind, retry_after: Option<Duration>) -> Verdict {
    match (kind, retry_after) {
        (Kind::RateLimited, after) => Verdict::Wait(after.unwrap_or(DEFAULT_WAIT)),
        // Such as a 503 for the time of a maintenance.
        (Kind::Unavailable, Some(after)) => Verdict::Wait(after),
        (Kind::Unauthorized | Kind::Forbidden | Kind::Invalid, _) => Verdict::Stall,
        (
            Kind::Unavailable
            | Kind::Timeout
            | Kind::Protocol
            | Kind::NotFound
            | Kind::Gone
            | Kind::Conflict
            | Kind::Taken,
            _,
        ) => Verdict::Retry,
    }
}

/// The failure in our words. `credentials`: whose they are and where to correct them, such as "the store's
/// credentials. Correct the Secret that credentialsSecretRef names".
#[must_use]
pub fn problem(kind: Kind, provider: &str, detail: &Detail, credentials: &str) -> Problem {
    let code = detail.code.map(|c| format!(" ({c})")).unwrap_or_default();
    let (reason, text) = match kind {
        Kind::Unauthorized => (Reason::CredentialsRejected, format!("{provider} refused {credentials}")),
        Kind::Forbidden => (Reason::CredentialsRejected, forbidden(provider, &code, detail)),
        Kind::Invalid if !detail.fields.is_empty() => {
            let fields = detail.fields.join(", ");
            (Reason::ProviderRejected, format!("{provider} refused {fields}{code}. Correct what is written there"))
        }
        Kind::Invalid => (
            Reason::ProviderRejected,
            format!("{provider} refused the request{code}. Check spec and Secret, then correct what is wrong"),
        ),
        Kind::Taken => (Reason::AlreadyExists, format!("{provider} says that the name is taken{code}. Waiting for it")),
        Kind::Conflict => (Reason::ProviderRejected, format!("{provider} reports a conflict{code}. Trying again")),
        Kind::NotFound | Kind::Gone => {
            (Reason::ProviderUnavailable, format!("{provider} does not know what was asked for{code}. Trying again"))
        }
        Kind::RateLimited => (Reason::RateLimited, format!("{provider} asks to slow down{code}. Waiting")),
        Kind::Unavailable => {
            (Reason::ProviderUnavailable, format!("{provider} cannot be reached or failed{code}. Trying again"))
        }
        Kind::Timeout => (Reason::ProviderUnavailable, format!("{provider} did not answer in time. Trying again")),
        Kind::Protocol => (
            Reason::ProviderUnavailable,
            format!("{provider} sent an answer that cannot be read. Trying again; if it lasts, check the endpoint"),
        ),
    };
    Problem::new(reason, text)
}

fn forbidden(provider: &str, code: &str, detail: &Detail) -> String {
    match &detail.scope {
        Some(scope) => {
            format!("{provider} says that the login lacks the scope {scope}. Grant it, or use a login that has it")
        }
        None => format!("{provider} says that the login may not do this{code}. Grant the right, or use another login"),
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn every_kind_has_a_sentence_that_ends_in_what_comes_next() {
        for kind in Kind::iter() {
            let text = problem(kind, "Rutter", &Detail::default(), "the login. Correct the Secret").message;
            assert!(text.contains(". "), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_carried_out_is_told_by_its_fields_where_they_are_known() {
        let said = |detail: &Detail| problem(Kind::Invalid, "Rutter", detail, "the login").message;
        let fields = vec!["spec.name".into(), "spec.settings.storeId".into()];
        let known = Detail { code: Some("invalid_field"), fields, ..Detail::default() };
        assert_eq!(
            said(&known),
            "Rutter refused spec.name, spec.settings.storeId (invalid_field). Correct what is written there"
        );
        assert_eq!(
            said(&Detail::default()),
            "Rutter refused the request. Check spec and Secret, then correct what is wrong"
        );
    }

    #[test]
    fn whoever_says_when_to_come_back_is_asked_then() {
        let minute = Duration::from_mins(1);
        let waits: Vec<Kind> = Kind::iter().filter(|k| verdict(*k, Some(minute)) == Verdict::Wait(minute)).collect();
        assert_eq!(waits, [Kind::RateLimited, Kind::Unavailable]);
        assert_eq!(verdict(Kind::Unavailable, None), Verdict::Retry);
        assert_eq!(verdict(Kind::RateLimited, None), Verdict::Wait(DEFAULT_WAIT));
    }

    #[test]
    fn only_what_a_person_must_change_stalls() {
        let stalls: Vec<Kind> = Kind::iter().filter(|k| verdict(*k, None) == Verdict::Stall).collect();
        assert_eq!(stalls, [Kind::Unauthorized, Kind::Forbidden, Kind::Invalid]);
    }
}
