//! How a pass ends: what a failure or a halt says in status, and when the next pass comes.

use super::{context::Engine, error::PassError, object::Target, report};
use crate::{
    domain::{
        conditions::{State, Type, is_true},
        reason::{Problem, Reason},
        schedule, validate,
        verdict::{Blame, Kind, Verdict, problem, verdict},
    },
    provider::{ApiError, External},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::controller::Action;
use std::time::Duration;

/// When the next pass comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// When something changes.
    Change,
    /// After this long, or when something changes.
    After(Duration),
}

impl Next {
    /// The same, but not later than this.
    pub(super) fn at_most(self, longest: Duration) -> Self {
        match self {
            Self::Change => Self::After(longest),
            Self::After(delay) => Self::After(delay.min(longest)),
        }
    }
}

impl From<Next> for Action {
    fn from(next: Next) -> Self {
        match next {
            Next::Change => Self::await_change(),
            Next::After(delay) => Self::requeue(delay),
        }
    }
}

/// For what this process itself is about to do: the watch brings it within moments.
pub(super) const SOON: Duration = Duration::from_millis(250);

/// Failures in a row that leave an object Ready that was.
const TOLERATED: u32 = 2;

/// A request failed: says so, and when it is tried again. What our own budget refused is nobody's news.
pub(super) async fn failed<E: External>(
    engine: &Engine,
    target: &mut Target,
    error: &ApiError,
) -> Result<Next, PassError> {
    if error.local {
        return Ok(Next::After(error.retry_after.unwrap_or(Duration::from_secs(1))));
    }
    warn(target, error);
    doubt(engine, target, error);
    let why = explain::<E>(target, error);
    let judged = verdict(error.kind, error.retry_after);
    let failures = engine.memory.failed(&target.uid);
    let state = if target.deleting {
        State::Deleting(if judged == Verdict::Stall {
            stuck(&why.message)
        } else {
            Problem::new(Reason::Deleting, why.message)
        })
    } else if judged == Verdict::Stall {
        State::Halted(why)
    } else {
        failing(why, &target.status.conditions, failures)
    };
    report::report(engine, target, &state).await?;
    Ok(Next::After(match judged {
        Verdict::Wait(delay) => delay,
        Verdict::Retry | Verdict::Stall => backoff(engine, &target.uid, &target.status.conditions),
    }))
}

/// A login that was refused needs a new proof. What a store refuses, or what a login lacks a right for, says nothing of it: with the
/// proof would go what keeps a mistyped secret from taking its place.
pub(super) fn doubt(engine: &Engine, target: &Target, error: &ApiError) {
    if error.kind == Kind::Unauthorized && error.detail.blame == Blame::Login {
        engine.doubt(target);
    }
}

/// A request failed. Of writes that were sent there is a line already.
pub(super) fn warn(target: &Target, error: &ApiError) {
    if !error.is_write() {
        tracing::warn!(object = %target, operation = %error.operation, request_id = error.request_id, "{error}");
    }
}

/// A failure that may pass: what was ready stays so for a while.
pub(super) fn failing(problem: Problem, before: &[Condition], failures: u32) -> State {
    State::Failing { problem, keep_ready: is_true(before, Type::Ready) && failures <= TOLERATED }
}

/// The failure in our words. Where the login is refused it is the account that has to be put right.
pub(super) fn explain<E: External>(target: &Target, error: &ApiError) -> Problem {
    let blames_login = error.detail.blame == Blame::Login;
    let why = problem(error.kind, E::NAME, &error.detail, if blames_login { E::LOGIN } else { E::STORE });
    if blames_login && matches!(error.kind, Kind::Unauthorized | Kind::Forbidden) {
        let account = target.spec.account_ref();
        return if error.kind == Kind::Unauthorized {
            let text = format!("{account} is not ready: {}", why.message);
            Problem::new(Reason::DependencyNotReady, text)
        } else {
            // Who lacks a right is logged in all the same: the account is ready.
            Problem::new(why.reason, format!("{account}: {}", why.message))
        };
    }
    why
}

/// A deletion that does not go on before a person has put something right, or given the record up.
fn stuck(why: &str) -> Problem {
    let text =
        format!("{why}. Or run `tradewind abandon`: it lets this object go, and leaves its record at the provider");
    Problem::new(Reason::DeletionBlocked, text)
}

/// Something keeps the declaration from being carried out.
pub(super) async fn blocked(engine: &Engine, target: &mut Target, problem: Problem) -> Result<Next, PassError> {
    let comes_by_itself =
        matches!(problem.reason, Reason::DependencyNotReady | Reason::SecretNotFound | Reason::PermissionDenied);
    // Another link that has nowhere to stand.
    let unlinked = target.status.external_id.is_none()
        && not_true_since(&target.status.conditions, Type::Authorized).is_some()
        && matches!(problem.reason, Reason::ConnectionSecretConflict | Reason::PermissionDenied);
    let state = if target.deleting {
        State::Deleting(stuck(&problem.message))
    } else if unlinked || problem.reason == Reason::LinkExpired {
        State::Unlinked(problem)
    } else if comes_by_itself {
        State::Awaiting(problem)
    } else if problem.reason == Reason::Creating {
        State::Creating(problem.message)
    } else if matches!(problem.reason, Reason::RateLimited | Reason::ProviderUnavailable) {
        // A create that is sent again by itself, in a while.
        State::Failing { problem, keep_ready: false }
    } else {
        State::Halted(problem)
    };
    report::report(engine, target, &state).await?;
    Ok(Next::After(backoff(engine, &target.uid, &target.status.conditions)))
}

/// The delay that grows with how long the object has not been as it should be.
pub(super) fn backoff(engine: &Engine, uid: &str, conditions: &[Condition]) -> Duration {
    let kinds = [Type::Ready, Type::Synced, Type::CredentialsValid];
    schedule::backoff(not_true_for(engine.clock.now(), conditions, &kinds), uid)
}

/// How long an object had not been ready, or not in step, at this time.
pub(super) fn lasting(now: Timestamp, conditions: &[Condition]) -> Duration {
    not_true_for(now, conditions, &[Type::Ready, Type::Synced])
}

fn not_true_for(now: Timestamp, conditions: &[Condition], kinds: &[Type]) -> Duration {
    let since = kinds.iter().filter_map(|t| not_true_since(conditions, *t)).max();
    since.map_or(Duration::ZERO, |t| Duration::try_from(now.duration_since(t)).unwrap_or_default())
}

fn not_true_since(conditions: &[Condition], t: Type) -> Option<Timestamp> {
    let found = conditions.iter().find(|c| c.type_ == t.to_string() && c.status != "True");
    found.map(|c| c.last_transition_time.0)
}

/// The next drift check.
pub(super) fn next_check(engine: &Engine, target: &Target, account: &str) -> Next {
    match validate::interval(target.spec.interval()) {
        Ok(interval) if !interval.is_zero() => {
            Next::After(schedule::next_check(engine.clock.now(), interval, account, &target.uid))
        }
        Ok(_) | Err(_) => Next::Change,
    }
}
