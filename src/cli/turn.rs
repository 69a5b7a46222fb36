//! Whose turn it is with an object, read from its conditions as every client could read them.

use crate::domain::{conditions::Type, reason::Reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

/// Who has to do something next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Turn {
    /// All is as declared, or suspended.
    Nobody,
    /// The operator.
    Operator,
    /// The provider.
    Provider,
    /// A person: nothing goes on by itself, or something of what works is to be put right.
    Person,
}

impl Turn {
    /// As people read it in a table.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Nobody => "-",
            Self::Operator => "the operator",
            Self::Provider => "the provider",
            Self::Person => "a person",
        }
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    pub(super) deleting: bool,
    pub(super) suspended: bool,
    /// The conditions speak of the present generation.
    pub(super) current: bool,
    pub(super) conditions: &'a [Condition],
}

/// Whose turn it is, and the condition that says so, where one does; the first answer that fits.
pub(super) fn turn(look: Look<'_>) -> (Turn, Option<&Condition>) {
    let find = |kind: Type| look.conditions.iter().find(|c| c.type_ == kind.to_string());
    let ready = find(Type::Ready);
    let works = ready.is_some_and(|c| c.status == "True");
    let open: Vec<(Turn, &Condition)> = open(look.conditions).collect();
    let asks = |turn: Turn| open.iter().find(|(asked, _)| *asked == turn).map(|(_, c)| *c);
    if !look.current {
        (Turn::Operator, None)
    } else if let Some(stalled) = find(Type::Stalled).filter(|c| c.status == "True") {
        // Also where it is suspended: an object of unknown origin asks its question all the same.
        (Turn::Person, ready.filter(|_| !works).or(Some(stalled)))
    } else if look.deleting {
        (Turn::Operator, None)
    } else if look.suspended {
        (Turn::Nobody, None)
    } else if let Some(by) = asks(Turn::Person) {
        (Turn::Person, Some(by))
    } else if let Some(by) = asks(Turn::Provider) {
        (Turn::Provider, Some(by))
    } else if !works || !open.is_empty() {
        (Turn::Operator, None)
    } else if let Some(by) = concern(look.conditions) {
        (Turn::Person, Some(by))
    } else {
        (Turn::Nobody, None)
    }
}

/// What a person has to put right of an object that works, and that nothing else is open of: the object goes on with the
/// credentials that it has, or without a load of its data.
fn concern(conditions: &[Condition]) -> Option<&Condition> {
    let find = |kind: Type| conditions.iter().find(|c| c.type_ == kind.to_string());
    let credentials = find(Type::CredentialsValid).filter(|c| c.status == "False");
    let load = find(Type::InitialRefreshComplete).filter(|c| {
        let reason = c.reason.parse();
        c.status != "True" && matches!(reason, Ok(Reason::InitialRefreshFailed | Reason::RefreshOutcomeUnknown))
    });
    credentials.or(load)
}

/// The conditions that keep an object from being done, and whom each asks.
fn open(conditions: &[Condition]) -> impl Iterator<Item = (Turn, &Condition)> {
    let open = |c: &&Condition| {
        let wanted = [Type::Ready, Type::Synced, Type::Authorized].iter().any(|t| c.type_ == t.to_string());
        let passing = c.type_ == Type::Reconciling.to_string();
        wanted && c.status == "False" || passing && c.status == "True"
    };
    conditions.iter().filter(open).filter_map(|c| Some((asks(c.reason.parse().ok()?), c)))
}

/// Whom a reason asks, where the object is not stalled.
fn asks(reason: Reason) -> Turn {
    match reason {
        Reason::AuthorizationRequired
        | Reason::LinkExpired
        | Reason::ReauthorizationRequired
        | Reason::DependencyNotReady
        | Reason::SecretNotFound
        | Reason::SecretKeyMissing
        | Reason::PermissionDenied
        | Reason::DeletionHeld => Turn::Person,
        Reason::RateLimited | Reason::ProviderUnavailable | Reason::InitialRefreshRunning => Turn::Provider,
        Reason::Succeeded
        | Reason::Progressing
        | Reason::ProgressingWithRetry
        | Reason::Suspended
        | Reason::InvalidSpec
        | Reason::Creating
        | Reason::Updating
        | Reason::Deleting
        | Reason::DeletionBlocked
        | Reason::CreateOutcomeUnknown
        | Reason::AlreadyExists
        | Reason::AmbiguousMatch
        | Reason::ExternalIdConflict
        | Reason::AccountMismatch
        | Reason::NotMatch
        | Reason::ExternalNotFound
        | Reason::ReplacementRequired
        | Reason::CredentialsRejected
        | Reason::CredentialsRestored
        | Reason::EndpointNotAllowed
        | Reason::NamespaceNotAllowed
        | Reason::AdoptionForbidden
        | Reason::ConnectionSecretConflict
        | Reason::RotatedAndVerified
        | Reason::RotationRejected
        | Reason::Disabled
        | Reason::ProviderRejected
        | Reason::UnsupportedPlatform
        | Reason::EnvironmentMismatch
        | Reason::DriftDetected
        | Reason::DriftCorrected
        | Reason::InitialRefreshFailed
        | Reason::RefreshOutcomeUnknown
        | Reason::RefreshUnsupported => Turn::Operator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        conditions::{Health, History, State, lay_over, picture},
        reason::Problem,
    };
    use jiff::Timestamp;
    use rstest::rstest;

    const WORKS: Health = Health::Works { history: History::Loaded };

    fn conditions(state: &State) -> Vec<Condition> {
        lay_over(&[], picture(state), 1, Timestamp::UNIX_EPOCH)
    }

    /// The record works, and waits for the account's guard to be replaced.
    fn held() -> State {
        State::Failing { problem: problem(Reason::DeletionHeld), keep_ready: true }
    }

    fn problem(reason: Reason) -> Problem {
        Problem::new(reason, "why")
    }

    #[rstest]
    #[case::as_declared(State::Present(Health::Works { history: History::Loaded }), Turn::Nobody)]
    #[case::history_due(State::Present(Health::Works { history: History::Due }), Turn::Nobody)]
    #[case::history_loading(State::Present(Health::Works { history: History::Loading }), Turn::Nobody)]
    #[case::history_unseen(State::Present(Health::Works { history: History::Unseen }), Turn::Nobody)]
    #[case::history_failed(State::Present(Health::Works { history: History::Failed }), Turn::Person)]
    #[case::history_unknown(State::Present(Health::Works { history: History::Unknown }), Turn::Person)]
    #[case::secret_gone(State::Unsecured(WORKS, problem(Reason::SecretNotFound)), Turn::Person)]
    #[case::secret_outdated(State::Unsecured(WORKS, problem(Reason::ReplacementRequired)), Turn::Person)]
    #[case::secret_outdated_at_first(
        State::Unsecured(Health::FirstSync, problem(Reason::ReplacementRequired)),
        Turn::Provider
    )]
    #[case::rotated(State::Rotated(WORKS, true), Turn::Nobody)]
    #[case::rotated_and_not_verified(State::Rotated(WORKS, false), Turn::Nobody)]
    #[case::first_sync(State::Present(Health::FirstSync), Turn::Provider)]
    #[case::unhealthy(State::Present(Health::Unhealthy), Turn::Provider)]
    #[case::reauthorization(State::Present(Health::NeedsAuthorization), Turn::Person)]
    #[case::link_handed_out(State::AwaitsPerson("why".into()), Turn::Person)]
    #[case::credentials_missing(State::Present(Health::AwaitsAuthorization("why".into())), Turn::Person)]
    #[case::another_store(State::Present(Health::Wrong(problem(Reason::UnsupportedPlatform))), Turn::Person)]
    #[case::disabled(State::Present(Health::Disabled("why".into())), Turn::Person)]
    #[case::reauthorization_and_no_secret(
        State::Unsecured(Health::NeedsAuthorization, problem(Reason::SecretNotFound)),
        Turn::Person
    )]
    #[case::creating(State::Creating("why".into()), Turn::Operator)]
    #[case::correcting(State::Correcting(vec!["spec.x".into()]), Turn::Operator)]
    #[case::halted(State::Halted(problem(Reason::CreateOutcomeUnknown)), Turn::Person)]
    #[case::missing_secret(State::Awaiting(problem(Reason::SecretNotFound)), Turn::Person)]
    #[case::authorization(State::Awaiting(problem(Reason::AuthorizationRequired)), Turn::Person)]
    #[case::outage(State::Failing { problem: problem(Reason::ProviderUnavailable), keep_ready: true }, Turn::Provider)]
    #[case::throttled(State::Failing { problem: problem(Reason::RateLimited), keep_ready: false }, Turn::Provider)]
    #[case::link_lost(State::Unlinked(problem(Reason::Creating)), Turn::Operator)]
    #[case::link_not_written(State::Unlinked(problem(Reason::PermissionDenied)), Turn::Person)]
    #[case::link_expired(State::Unlinked(problem(Reason::LinkExpired)), Turn::Person)]
    #[case::link_in_the_way(State::Unlinked(problem(Reason::ConnectionSecretConflict)), Turn::Person)]
    #[case::account(State::AccountWorks(None), Turn::Nobody)]
    #[case::account_rotation_rejected(State::AccountWorks(Some(problem(Reason::RotationRejected))), Turn::Person)]
    #[case::replacement_held(held(), Turn::Person)]
    #[case::account_secret_held(State::AccountWorks(Some(problem(Reason::DeletionHeld))), Turn::Nobody)]
    fn every_state_is_somebodys_turn(#[case] state: State, #[case] expected: Turn) {
        let conditions = conditions(&state);
        let look = Look { deleting: false, suspended: false, current: true, conditions: &conditions };
        assert_eq!(turn(look).0, expected);
        assert_eq!(turn(Look { current: false, ..look }).0, Turn::Operator, "it has not looked yet");
        let stalled = conditions.iter().any(|c| c.type_ == "Stalled");
        let suspended = if stalled { Turn::Person } else { Turn::Nobody };
        assert_eq!(turn(Look { suspended: true, ..look }).0, suspended);
    }

    /// Who has to act is told by the condition that says so, and by no other.
    #[rstest]
    #[case::working(held(), Some(("Synced", "DeletionHeld")))]
    #[case::halted(State::Halted(problem(Reason::AlreadyExists)), Some(("Ready", "AlreadyExists")))]
    #[case::in_deletion(State::Deleting(problem(Reason::DeletionHeld)), Some(("Ready", "DeletionHeld")))]
    #[case::a_concern(State::Unsecured(WORKS, problem(Reason::SecretNotFound)), Some(("CredentialsValid", "SecretNotFound")))]
    #[case::an_outage(
        State::Failing { problem: problem(Reason::ProviderUnavailable), keep_ready: true },
        Some(("Synced", "ProviderUnavailable"))
    )]
    #[case::done(State::Present(WORKS), None)]
    fn the_condition_that_decides_is_named(#[case] state: State, #[case] expected: Option<(&str, &str)>) {
        let before = conditions(&State::Present(WORKS));
        let conditions = lay_over(&before, picture(&state), 1, Timestamp::UNIX_EPOCH);
        let look = Look { deleting: false, suspended: false, current: true, conditions: &conditions };
        assert_eq!(turn(look).1.map(|c| (c.type_.as_str(), c.reason.as_str())), expected);
    }

    #[test]
    fn a_deletion_is_the_operators_turn_until_it_is_blocked() {
        let look = |conditions| Look { deleting: true, suspended: true, current: true, conditions };
        let before = conditions(&State::Present(Health::Works { history: History::Untold }));
        assert_eq!(turn(look(&before)).0, Turn::Operator);
        let blocked = conditions(&State::Deleting(problem(Reason::DeletionBlocked)));
        assert_eq!(turn(look(&blocked)).0, Turn::Person);
    }

    #[test]
    fn a_deletion_that_waits_until_a_link_has_expired_is_the_operators_turn() {
        let asked = conditions(&State::AwaitsPerson("why".into()));
        let leaving = picture(&State::Leaving("why".into()));
        let conditions = lay_over(&asked, leaving, 1, Timestamp::UNIX_EPOCH);
        let look = Look { deleting: true, suspended: false, current: true, conditions: &conditions };
        assert_eq!(turn(look).0, Turn::Operator, "nobody is to open it any more");
    }

    #[test]
    fn what_works_but_differs_is_the_operators_turn() {
        let works = conditions(&State::Present(Health::Works { history: History::Untold }));
        let differs = lay_over(&works, picture(&State::Correcting(vec!["spec.x".into()])), 1, Timestamp::UNIX_EPOCH);
        let look = Look { deleting: false, suspended: false, current: true, conditions: &differs };
        assert_eq!(turn(look), (Turn::Operator, None));
    }

    #[test]
    fn what_concerns_a_person_waits_for_what_is_under_way() {
        let concerned = conditions(&State::Unsecured(WORKS, problem(Reason::SecretNotFound)));
        let outage = State::Failing { problem: problem(Reason::ProviderUnavailable), keep_ready: true };
        for (state, expected) in [(State::Correcting(vec![]), Turn::Operator), (outage, Turn::Provider)] {
            let conditions = lay_over(&concerned, picture(&state), 1, Timestamp::UNIX_EPOCH);
            let look = Look { deleting: false, suspended: false, current: true, conditions: &conditions };
            let (turn, by) = turn(look);
            assert_eq!((turn, by.filter(|c| c.type_ == "CredentialsValid")), (expected, None));
        }
    }

    #[test]
    fn what_failed_before_credentials_were_corrected_concerns_nobody() {
        let rejected = conditions(&State::Halted(problem(Reason::CredentialsRejected)));
        let conditions = lay_over(&rejected, picture(&State::Creating("why".into())), 1, Timestamp::UNIX_EPOCH);
        let look = Look { deleting: false, suspended: false, current: true, conditions: &conditions };
        assert_eq!(turn(look).0, Turn::Operator);
    }

    #[test]
    fn who_has_not_been_looked_at_waits_for_the_operator() {
        let look = Look { deleting: false, suspended: false, current: true, conditions: &[] };
        assert_eq!(turn(look), (Turn::Operator, None));
    }
}
