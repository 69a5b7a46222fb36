//! The state × condition matrix: what each state of an object says in each condition, and how a new picture is laid
//! over the conditions of before.
//!
//! Conditions follow the Kubernetes API conventions and kstatus: `Reconciling` and `Stalled` are present only when
//! True, never both. `docs/conditions.md` is made from this file and from [`super::reason`].

pub use super::health::{Health, History};

use super::{
    reason::{Problem, Reason},
    text::bounded,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// The condition types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, EnumIter, EnumString, IntoStaticStr)]
pub enum Type {
    /// The object does its job.
    Ready,
    /// The record equals the declaration.
    Synced,
    /// The provider accepts the credentials.
    CredentialsValid,
    /// A person has authorized the connection; only where one must.
    Authorized,
    /// The first load of data is done.
    InitialRefreshComplete,
    /// Work is under way (kstatus).
    Reconciling,
    /// Nothing will happen before somebody changes something (kstatus).
    Stalled,
}

/// One condition as a picture wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    status: &'static str,
    reason: Reason,
    message: String,
}

impl Mark {
    /// The condition is true.
    #[must_use]
    pub fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: "True", reason, message: message.into() }
    }
    /// The condition is false.
    #[must_use]
    pub fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: "False", reason, message: message.into() }
    }
    /// Nobody can tell.
    #[must_use]
    pub fn unknown(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: "Unknown", reason, message: message.into() }
    }
    fn because(problem: &Problem) -> Self {
        Self::no(problem.reason, &problem.message)
    }
}

/// The state of an object after a pass: a row of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The record is being created, or its creation is being resolved.
    Creating(String),
    /// The record is there and as declared.
    Present(Health),
    /// The same, but what the Secret with its credentials has now does not reach it.
    Unsecured(Health, Problem),
    /// The same, but it was given new credentials; whether the store accepts them, as far as it could be asked.
    Rotated(Health, bool),
    /// The record differs, and is being changed.
    Correcting(Vec<String>),
    /// A person must authorize the connection before it comes to be.
    AwaitsPerson(String),
    /// A person would have to authorize it, but the link does not stand in its Secret, for this reason.
    Unlinked(Problem),
    /// Something must change before anything happens: a person's turn.
    Halted(Problem),
    /// Something in the cluster is missing that may yet come.
    Awaiting(Problem),
    /// A failure that may pass. `keep_ready`: it was ready, and this is not the third in a row.
    Failing {
        /// What failed.
        problem: Problem,
        /// Whether `Ready` stays as it was.
        keep_ready: bool,
    },
    /// Writes are suspended.
    Suspended,
    /// The object is being deleted and waits for this.
    Deleting(Problem),
    /// The object is being deleted, and waits until nobody can use its link any more.
    Leaving(String),
    /// The account of a login: it works. What there is to say of it all the same: a new secret of it does not work, and is
    /// not used; or its Secret is being deleted, and held.
    AccountWorks(Option<Problem>),
}

/// What a state says in each condition. `None` leaves a condition as it is, except for `Reconciling` and `Stalled`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    ready: Option<Mark>,
    /// What `Ready` says where nobody has looked yet, and nobody will.
    unseen: Option<Mark>,
    synced: Option<Mark>,
    credentials: Option<Mark>,
    authorized: Option<Mark>,
    /// A person has done what they were asked for, if they were.
    has_authorized: bool,
    refreshed: Option<Mark>,
    reconciling: Option<Mark>,
    stalled: Option<Mark>,
}

const SUSPENDED: &str = "spec.suspend is true: nothing is written";

/// The row of the matrix.
#[must_use]
pub fn picture(state: &State) -> Picture {
    let none = Picture::default();
    match state {
        State::Creating(why) => Picture {
            ready: Some(Mark::no(Reason::Creating, why)),
            reconciling: Some(Mark::yes(Reason::Creating, why)),
            ..none
        },
        State::Present(health) => present(health),
        State::Unsecured(health, problem) => Picture { credentials: Some(Mark::because(problem)), ..present(health) },
        State::Rotated(health, verified) => Picture { credentials: Some(rotated(*verified)), ..present(health) },
        State::Correcting(fields) => {
            let why = format!("The record differs in {}. Correcting it", fields.join(", "));
            Picture { synced: Some(Mark::no(Reason::DriftDetected, &why)), ..none }
        }
        State::AwaitsPerson(why) => awaits(why, none),
        State::Unlinked(problem) => unlinked(problem),
        State::Halted(problem) => Picture {
            ready: Some(Mark::because(problem)),
            stalled: Some(Mark::yes(problem.reason, &problem.message)),
            credentials: credentials(problem.reason, problem),
            synced: unsynced(problem),
            ..none
        },
        State::Awaiting(problem) => Picture {
            ready: Some(Mark::because(problem)),
            reconciling: Some(Mark::yes(Reason::ProgressingWithRetry, &problem.message)),
            ..none
        },
        State::Failing { problem, keep_ready } => Picture {
            ready: (!keep_ready).then(|| Mark::because(problem)),
            synced: Some(Mark::no(problem.reason, &problem.message)),
            reconciling: (!keep_ready).then(|| Mark::yes(Reason::ProgressingWithRetry, &problem.message)),
            ..none
        },
        State::Suspended => Picture {
            synced: Some(Mark::unknown(Reason::Suspended, SUSPENDED)),
            unseen: Some(Mark::unknown(Reason::Suspended, SUSPENDED)),
            ..none
        },
        State::Deleting(problem) => Picture {
            ready: Some(Mark::because(problem)),
            stalled: (problem.reason != Reason::Deleting).then(|| Mark::yes(problem.reason, &problem.message)),
            reconciling: (problem.reason == Reason::Deleting).then(|| Mark::yes(problem.reason, &problem.message)),
            ..none
        },
        // Whoever was asked to authorize it is not asked any more.
        State::Leaving(why) => Picture {
            ready: Some(Mark::no(Reason::Deleting, why)),
            authorized: Some(Mark::no(Reason::Deleting, why)),
            reconciling: Some(Mark::yes(Reason::Deleting, why)),
            ..none
        },
        State::AccountWorks(but) => account_works(but.as_ref()),
    }
}

fn account_works(but: Option<&Problem>) -> Picture {
    let accepted = || Mark::yes(Reason::Succeeded, "The provider accepts the login");
    let credentials = match but {
        None => accepted(),
        Some(held) if held.reason == Reason::DeletionHeld => Mark::yes(held.reason, &held.message),
        Some(rejected) => Mark::because(rejected),
    };
    Picture { ready: Some(accepted()), credentials: Some(credentials), ..Picture::default() }
}

fn rotated(verified: bool) -> Mark {
    if verified {
        Mark::yes(Reason::RotatedAndVerified, "The store accepts the credentials that the record was given last")
    } else {
        let why = "The provider was given the new credentials. Whether the store accepts them could not be asked yet";
        Mark::unknown(Reason::Progressing, why)
    }
}

fn credentials(reason: Reason, problem: &Problem) -> Option<Mark> {
    let about = matches!(reason, Reason::CredentialsRejected | Reason::SecretKeyMissing | Reason::SecretNotFound);
    about.then(|| Mark::because(problem))
}

/// Problems that say how the record differs from the declaration.
fn unsynced(problem: &Problem) -> Option<Mark> {
    let about = matches!(
        problem.reason,
        Reason::ReplacementRequired | Reason::ExternalNotFound | Reason::NotMatch | Reason::InvalidSpec
    );
    about.then(|| Mark::because(problem))
}

fn present(health: &Health) -> Picture {
    let synced = Some(Mark::yes(Reason::Succeeded, "The record is as declared"));
    let accepted = Some(Mark::yes(Reason::Succeeded, "The provider accepts the credentials"));
    let base = Picture { synced, credentials: accepted, has_authorized: true, ..Picture::default() };
    let works = |note: &str| Some(Mark::yes(Reason::Succeeded, note));
    match health {
        Health::Works { history } => {
            Picture { ready: works("The connection works"), refreshed: first_load(*history), ..base }
        }
        Health::FirstSync => {
            let why = "The provider is running the first sync; reads answer nothing before it is done";
            Picture {
                ready: Some(Mark::no(Reason::InitialRefreshRunning, why)),
                refreshed: Some(Mark::no(Reason::InitialRefreshRunning, why)),
                reconciling: Some(Mark::yes(Reason::InitialRefreshRunning, why)),
                ..base
            }
        }
        Health::Unhealthy => {
            let why = "The provider reports errors of the platform and retries by itself";
            Picture {
                ready: Some(Mark::no(Reason::ProviderUnavailable, why)),
                reconciling: Some(Mark::yes(Reason::ProgressingWithRetry, why)),
                ..base
            }
        }
        Health::NeedsAuthorization => {
            let why = "The store no longer accepts the connection (an app was removed, or a token revoked). Authorize it \
                       again with the link_url in the connection Secret (`tradewind authorize` prints it), or delete and \
                       re-create the object with new credentials";
            attention(&base, Problem::new(Reason::ReauthorizationRequired, why))
        }
        Health::AwaitsAuthorization(why) => awaits(why, Picture { synced: base.synced, ..Picture::default() }),
        Health::Wrong(problem) => attention(&base, problem.clone()),
        Health::Disabled(why) => Picture {
            // Whoever switched it off: that says nothing of what a person had to do.
            has_authorized: false,
            ..attention(&base, Problem::new(Reason::Disabled, why.clone()))
        },
    }
}

fn first_load(history: History) -> Option<Mark> {
    let again = "Look at the object's events, then ask again with `tradewind refresh`";
    Some(match history {
        History::Untold => return None,
        History::Unseen => {
            Mark::unknown(Reason::InitialRefreshRunning, "The provider loads the data and does not say how far it is")
        }
        History::Due => Mark::no(
            Reason::InitialRefreshRunning,
            "The provider has not taken the request for a load of data yet. It is asked by itself",
        ),
        History::Loading => Mark::no(Reason::InitialRefreshRunning, "The provider is loading the history"),
        History::Loaded => Mark::yes(Reason::Succeeded, "The first load of data is complete"),
        History::Failed => Mark::no(
            Reason::InitialRefreshFailed,
            format!("The provider refused a load of data, or it failed. {again}"),
        ),
        History::Unknown => {
            let why = "Nobody can tell whether a load of data was started: the operator ended, or the answer was lost, in \
                       between. It is not asked for twice. Look at the provider, then ask again with `tradewind refresh`";
            Mark::unknown(Reason::RefreshOutcomeUnknown, why)
        }
    })
}

/// Neither is anything under way nor does anything go wrong: kstatus waits, as long as it is told to.
fn awaits(why: &str, base: Picture) -> Picture {
    let asked = Some(Mark::no(Reason::AuthorizationRequired, why));
    Picture { ready: asked.clone(), authorized: asked, ..base }
}

/// Nobody is asked to follow what nobody has.
fn unlinked(problem: &Problem) -> Picture {
    let stalled = problem.reason == Reason::ConnectionSecretConflict;
    // A person's turn, as it is while they have a link.
    let passes = !stalled && problem.reason != Reason::LinkExpired;
    let busy = if problem.reason == Reason::Creating { Reason::Creating } else { Reason::ProgressingWithRetry };
    Picture {
        ready: Some(Mark::because(problem)),
        authorized: Some(Mark::because(problem)),
        reconciling: passes.then(|| Mark::yes(busy, &problem.message)),
        stalled: stalled.then(|| Mark::yes(problem.reason, &problem.message)),
        ..Picture::default()
    }
}

fn attention(base: &Picture, problem: Problem) -> Picture {
    Picture {
        ready: Some(Mark::because(&problem)),
        credentials: (problem.reason == Reason::ReauthorizationRequired).then(|| Mark::because(&problem)),
        authorized: (problem.reason == Reason::ReauthorizationRequired).then(|| Mark::because(&problem)),
        stalled: Some(Mark::yes(problem.reason, problem.message)),
        ..base.clone()
    }
}

/// Lays a picture over the conditions of before. A transition time moves only with the status it belongs to.
#[must_use]
pub fn lay_over(before: &[Condition], picture: Picture, generation: i64, now: Timestamp) -> Vec<Condition> {
    let keeps = |t: Type| before.iter().find(|c| c.type_ == t.to_string()).cloned();
    let ready = picture.ready.or_else(|| picture.unseen.filter(|_| !was_seen(before)));
    let authorized = picture.authorized.or_else(|| authorized(before, picture.has_authorized));
    let refreshed = picture.refreshed.filter(|m| m.status == "True" || !is_true(before, Type::InitialRefreshComplete));
    let lasting = [
        (Type::Ready, ready),
        (Type::Synced, picture.synced),
        (Type::CredentialsValid, picture.credentials),
        (Type::Authorized, authorized),
        (Type::InitialRefreshComplete, refreshed),
    ];
    let passing = [(Type::Reconciling, picture.reconciling), (Type::Stalled, picture.stalled)];
    let lasting = lasting.into_iter().filter_map(|(t, mark)| match mark {
        Some(mark) => Some(condition(t, &mark, keeps(t), generation, now)),
        None => keeps(t).map(|old| Condition { observed_generation: Some(generation), ..old }),
    });
    let passing = passing.into_iter().filter_map(|(t, mark)| Some(condition(t, &mark?, keeps(t), generation, now)));
    let foreign = before.iter().filter(|c| !is_ours(&c.type_)).cloned();
    lasting.chain(passing).chain(foreign).collect()
}

/// Whether `Ready` says more than what it is declared with.
fn was_seen(before: &[Condition]) -> bool {
    before.iter().any(|c| c.type_ == Type::Ready.to_string() && c.reason != Reason::Progressing.as_str())
}

/// `Authorized` turns True once a person has done their part; it never appears where no person ever had to act.
fn authorized(before: &[Condition], has_authorized: bool) -> Option<Mark> {
    let was_asked = before.iter().any(|c| c.type_ == Type::Authorized.to_string());
    (was_asked && has_authorized).then(|| Mark::yes(Reason::Succeeded, "The connection is authorized"))
}

/// The status of a condition, where it is present.
#[must_use]
pub fn is_true(conditions: &[Condition], t: Type) -> bool {
    conditions.iter().any(|c| c.type_ == t.to_string() && c.status == "True")
}

fn is_ours(name: &str) -> bool {
    use strum::IntoEnumIterator;
    Type::iter().any(|t| t.to_string() == name)
}

fn condition(t: Type, mark: &Mark, before: Option<Condition>, generation: i64, now: Timestamp) -> Condition {
    let since = before.filter(|b| b.status == mark.status).map(|b| b.last_transition_time);
    // Whole seconds: that is what the API server stores, and a comparison must not see a difference.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Condition {
        type_: t.to_string(),
        status: mark.status.into(),
        reason: mark.reason.to_string(),
        message: bounded(&mark.message),
        observed_generation: Some(generation),
        last_transition_time: since.unwrap_or(Time(now)),
    }
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
