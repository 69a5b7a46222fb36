//! Tests of the matrix, and of how one picture is laid over another.

use super::*;
use rstest::rstest;
use strum::IntoEnumIterator;

fn at(s: i64) -> Timestamp {
    Timestamp::from_second(s).expect("a time")
}

fn laid(before: &[Condition], state: &State, now: i64) -> Vec<Condition> {
    lay_over(before, picture(state), 1, at(now))
}

fn of(conditions: &[Condition], t: Type) -> Option<(String, String)> {
    conditions.iter().find(|c| c.type_ == t.to_string()).map(|c| (c.status.clone(), c.reason.clone()))
}

fn problem(reason: Reason) -> Problem {
    Problem::new(reason, "why")
}

fn all_states() -> Vec<State> {
    let healths = [
        Health::Works { history: History::Untold },
        Health::Works { history: History::Loaded },
        Health::Works { history: History::Due },
        Health::Works { history: History::Loading },
        Health::FirstSync,
        Health::Unhealthy,
        Health::NeedsAuthorization,
        Health::Disabled("why".into()),
    ];
    let mut states: Vec<State> = healths.into_iter().map(State::Present).collect();
    states.extend(Reason::iter().flat_map(|r| {
        [
            State::Halted(problem(r)),
            State::Awaiting(problem(r)),
            State::Deleting(problem(r)),
            State::Unlinked(problem(r)),
            State::Failing { problem: problem(r), keep_ready: true },
            State::Failing { problem: problem(r), keep_ready: false },
        ]
    }));
    states.extend([true, false].map(|verified| State::Rotated(Health::FirstSync, verified)));
    states.extend([State::Creating("why".into()), State::Correcting(vec!["x".into()]), State::Suspended]);
    states
}

#[test]
fn reconciling_and_stalled_are_never_both_present_whatever_came_before() {
    for first in all_states() {
        let before = laid(&[], &first, 1);
        for second in all_states() {
            let after = laid(&before, &second, 2);
            assert!(
                of(&after, Type::Reconciling).is_none() || of(&after, Type::Stalled).is_none(),
                "{first:?} then {second:?}"
            );
            assert!(after.iter().all(|c| c.observed_generation == Some(1)));
        }
    }
}

#[test]
fn laying_the_same_picture_again_changes_nothing() {
    for state in all_states() {
        let once = laid(&[], &state, 1);
        assert_eq!(laid(&once, &state, 99), once, "{state:?}");
    }
}

fn health(health: Health) -> State {
    State::Present(health)
}

fn works(history: History) -> State {
    health(Health::Works { history })
}

const SYNCED: &str = "Synced=True Succeeded";
const ACCEPTED: &str = "CredentialsValid=True Succeeded";
const WORKS: [&str; 3] = ["Ready=True Succeeded", SYNCED, ACCEPTED];

#[rstest]
#[case::creating(State::Creating("why".into()), &["Ready=False Creating", "Reconciling=True Creating"])]
#[case::works(works(History::Untold), &WORKS)]
#[case::load_unseen(works(History::Unseen), &[&WORKS[..], &["InitialRefreshComplete=Unknown InitialRefreshRunning"]].concat())]
#[case::load_due(works(History::Due), &[&WORKS[..], &["InitialRefreshComplete=False InitialRefreshRunning"]].concat())]
#[case::loading(works(History::Loading), &[&WORKS[..], &["InitialRefreshComplete=False InitialRefreshRunning"]].concat())]
#[case::loaded(works(History::Loaded), &[&WORKS[..], &["InitialRefreshComplete=True Succeeded"]].concat())]
#[case::load_failed(works(History::Failed), &[&WORKS[..], &["InitialRefreshComplete=False InitialRefreshFailed"]].concat())]
#[case::load_unknown(works(History::Unknown), &[&WORKS[..], &["InitialRefreshComplete=Unknown RefreshOutcomeUnknown"]].concat())]
#[case::first_sync(health(Health::FirstSync), &[
    "Ready=False InitialRefreshRunning", SYNCED, ACCEPTED, "InitialRefreshComplete=False InitialRefreshRunning",
    "Reconciling=True InitialRefreshRunning",
])]
#[case::unhealthy(health(Health::Unhealthy), &[
    "Ready=False ProviderUnavailable", SYNCED, ACCEPTED, "Reconciling=True ProgressingWithRetry",
])]
#[case::needs_authorization(health(Health::NeedsAuthorization), &[
    "Ready=False ReauthorizationRequired", SYNCED, "CredentialsValid=False ReauthorizationRequired",
    "Authorized=False ReauthorizationRequired", "Stalled=True ReauthorizationRequired",
])]
#[case::awaits_authorization(health(Health::AwaitsAuthorization("why".into())), &[
    "Ready=False AuthorizationRequired", SYNCED, "Authorized=False AuthorizationRequired",
])]
#[case::wrong(health(Health::Wrong(problem(Reason::EnvironmentMismatch))), &[
    "Ready=False EnvironmentMismatch", SYNCED, "Stalled=True EnvironmentMismatch",
])]
#[case::disabled(health(Health::Disabled("why".into())), &["Ready=False Disabled", SYNCED, "Stalled=True Disabled"])]
#[case::unsecured(State::Unsecured(Health::Works { history: History::Untold }, problem(Reason::SecretKeyMissing)), &[
    "Ready=True Succeeded", SYNCED, "CredentialsValid=False SecretKeyMissing",
])]
#[case::rotated(State::Rotated(Health::Works { history: History::Untold }, true), &[
    "Ready=True Succeeded", SYNCED, "CredentialsValid=True RotatedAndVerified",
])]
#[case::rotated_and_not_verified(State::Rotated(Health::Works { history: History::Untold }, false), &[
    "Ready=True Succeeded", SYNCED, "CredentialsValid=Unknown Progressing",
])]
#[case::correcting(State::Correcting(vec!["x".into()]), &["Synced=False DriftDetected"])]
#[case::awaits_a_person(State::AwaitsPerson("why".into()), &[
    "Ready=False AuthorizationRequired", "Authorized=False AuthorizationRequired",
])]
#[case::link_in_the_making(State::Unlinked(problem(Reason::Creating)), &[
    "Ready=False Creating", "Authorized=False Creating", "Reconciling=True Creating",
])]
#[case::link_not_stored(State::Unlinked(problem(Reason::PermissionDenied)), &[
    "Ready=False PermissionDenied", "Authorized=False PermissionDenied", "Reconciling=True ProgressingWithRetry",
])]
#[case::link_without_a_place(State::Unlinked(problem(Reason::ConnectionSecretConflict)), &[
    "Ready=False ConnectionSecretConflict", "Authorized=False ConnectionSecretConflict",
    "Stalled=True ConnectionSecretConflict",
])]
#[case::link_that_nobody_used(State::Unlinked(problem(Reason::LinkExpired)), &[
    "Ready=False LinkExpired", "Authorized=False LinkExpired",
])]
#[case::bad_spec(State::Halted(problem(Reason::InvalidSpec)), &[
    "Ready=False InvalidSpec", "Synced=False InvalidSpec", "Stalled=True InvalidSpec",
])]
#[case::bad_credentials(State::Halted(problem(Reason::CredentialsRejected)), &[
    "Ready=False CredentialsRejected", "CredentialsValid=False CredentialsRejected", "Stalled=True CredentialsRejected",
])]
#[case::anothers_record(State::Halted(problem(Reason::AlreadyExists)), &[
    "Ready=False AlreadyExists", "Stalled=True AlreadyExists",
])]
#[case::missing_secret(State::Awaiting(problem(Reason::SecretNotFound)), &[
    "Ready=False SecretNotFound", "Reconciling=True ProgressingWithRetry",
])]
#[case::failing(State::Failing { problem: problem(Reason::ProviderUnavailable), keep_ready: false }, &[
    "Ready=False ProviderUnavailable", "Synced=False ProviderUnavailable", "Reconciling=True ProgressingWithRetry",
])]
#[case::failing_for_the_first_time(
    State::Failing { problem: problem(Reason::ProviderUnavailable), keep_ready: true },
    &["Synced=False ProviderUnavailable"]
)]
#[case::suspended_from_the_start(State::Suspended, &["Ready=Unknown Suspended", "Synced=Unknown Suspended"])]
#[case::deleting(State::Deleting(problem(Reason::Deleting)), &["Ready=False Deleting", "Reconciling=True Deleting"])]
#[case::deletion_held(State::Deleting(problem(Reason::DeletionHeld)), &[
    "Ready=False DeletionHeld", "Stalled=True DeletionHeld",
])]
#[case::leaving(State::Leaving("why".into()), &[
    "Ready=False Deleting", "Authorized=False Deleting", "Reconciling=True Deleting",
])]
#[case::account_works(State::AccountWorks(None), &["Ready=True Succeeded", ACCEPTED])]
#[case::account_whose_secret_is_held(State::AccountWorks(Some(problem(Reason::DeletionHeld))), &[
    "Ready=True Succeeded", "CredentialsValid=True DeletionHeld",
])]
#[case::account_with_a_secret_that_does_not(State::AccountWorks(Some(problem(Reason::RotationRejected))), &[
    "Ready=True Succeeded", "CredentialsValid=False RotationRejected",
])]
fn the_matrix(#[case] state: State, #[case] says: &[&str]) {
    let said: Vec<String> =
        laid(&[], &state, 1).iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason)).collect();
    assert_eq!(said, says);
}

#[test]
fn a_connection_that_a_person_was_asked_for_is_authorized_once_it_works() {
    let asked = laid(&[], &State::AwaitsPerson("why".into()), 1);
    let after = |state| of(&laid(&asked, &state, 2), Type::Authorized);
    assert_eq!(after(works(History::Untold)), Some(("True".into(), "Succeeded".into())));
    let still_asked = Some(("False".into(), "AuthorizationRequired".into()));
    assert_eq!(after(State::Suspended), still_asked);
    let disabled = State::Present(Health::Disabled("why".into()));
    assert_eq!(after(disabled), still_asked, "whoever switched it off did not authorize it");
}

#[test]
fn what_stays_as_it_was_is_seen_in_the_new_generation() {
    let before = laid(&[], &works(History::Loaded), 1);
    let after = lay_over(&before, picture(&State::Suspended), 2, at(2));
    assert_eq!(after.len(), before.len());
    assert!(after.iter().all(|c| c.observed_generation == Some(2)), "{after:?}");
}

/// `Ready=Unknown/Progressing` is what an object is declared with.
#[test]
fn who_is_suspended_says_so_before_anything_else_was_said_and_keeps_what_was() {
    let said = |before: &[Condition]| of(&laid(before, &State::Suspended, 2), Type::Ready);
    let (mut declared, ready) = (laid(&[], &State::Suspended, 1), laid(&[], &works(History::Loaded), 1));
    declared.retain(|c| c.type_ == Type::Ready.to_string());
    declared[0].reason = Reason::Progressing.to_string();
    let suspended = Some(("Unknown".to_owned(), "Suspended".to_owned()));
    assert_eq!((said(&[]), said(&declared)), (suspended.clone(), suspended.clone()));
    assert_eq!(said(&ready), of(&ready, Type::Ready));
    let synced: Vec<Condition> = ready.into_iter().filter(|c| c.type_ != Type::Ready.to_string()).collect();
    assert_eq!(said(&synced), suspended, "another condition is another matter");
}

#[test]
fn a_passing_failure_leaves_ready_as_it_was() {
    let ready = laid(&[], &State::Present(Health::Works { history: History::Loaded }), 1);
    let failing = State::Failing { problem: problem(Reason::ProviderUnavailable), keep_ready: true };
    let after = laid(&ready, &failing, 5);
    assert_eq!(of(&after, Type::Ready), Some(("True".into(), "Succeeded".into())));
    assert_eq!(of(&after, Type::Synced), Some(("False".into(), "ProviderUnavailable".into())));
}

#[test]
fn the_first_load_never_goes_back() {
    let done = laid(&[], &State::Present(Health::Works { history: History::Loaded }), 1);
    let after = laid(&done, &State::Present(Health::Works { history: History::Loading }), 5);
    assert_eq!(of(&after, Type::InitialRefreshComplete), Some(("True".into(), "Succeeded".into())));
}

#[test]
fn a_first_load_that_is_not_done_may_fail() {
    let loading = laid(&[], &works(History::Loading), 1);
    let after = laid(&loading, &works(History::Failed), 5);
    assert_eq!(of(&after, Type::InitialRefreshComplete), Some(("False".into(), "InitialRefreshFailed".into())));
}

#[test]
fn a_transition_time_moves_only_with_the_status() {
    let one = laid(&[], &State::Halted(problem(Reason::InvalidSpec)), 1);
    let two = laid(&one, &State::Halted(problem(Reason::SecretKeyMissing)), 5);
    assert_eq!(two.first().map(|c| c.last_transition_time.0), Some(at(1)));
    let three = laid(&two, &State::Present(Health::Works { history: History::Untold }), 9);
    assert_eq!(three.first().map(|c| c.last_transition_time.0), Some(at(9)));
}

#[test]
fn a_condition_of_somebody_else_stays() {
    let mut before = laid(&[], &State::Suspended, 1);
    let foreign = Condition { type_: "example.com/Audited".into(), ..before.first().cloned().expect("one") };
    before.push(foreign.clone());
    assert!(laid(&before, &State::Suspended, 2).contains(&foreign));
}
