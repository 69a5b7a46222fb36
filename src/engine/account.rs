//! One pass over one account of either kind: its login is checked, a session opened for it, its identity learned, and the
//! account held for as long as objects use it.
//!
//! It must never write at the provider.

use super::{
    context::Engine,
    error::{PassError, is_passing},
    hold::{self, Hold},
    object::{AccountTarget, Target},
    outcome::{self, Next, SOON},
    report, resolve,
    sessions::Opening,
    users::Users,
};
use crate::{
    api::v1alpha1::ProviderAccountStatus,
    domain::{
        conditions::State,
        ids::AccountIdentity,
        reason::{Problem, Reason},
        text,
        verdict::{Kind, Verdict, problem, verdict},
    },
    provider::{self, ApiError, External, Freshness, Login, Operation, Pace, Session, with_external},
};
use std::time::Duration;
use tokio::time::Instant;

/// How often a new secret is tried again that did not work, and a login by which objects are to be cleaned up.
const UNPROVEN: Duration = Duration::from_mins(1);

/// So many passes in a row that the API server did not let come to an end are said of the account.
const LASTING: u32 = 3;

/// One pass.
///
/// # Errors
/// Where the API server did not take part; the provider's failures end in a status instead.
pub(super) async fn pass(engine: &Engine, mut target: AccountTarget) -> Result<Next, PassError> {
    let ended = steps(engine, &mut target).await;
    let Err(PassError::Resolve(failure) | PassError::Intent(failure)) = &ended else { return ended };
    // Its objects wait for a word, and do not know which.
    if is_usable(engine, &target) || engine.memory.failed(&target.uid) < LASTING {
        return ended;
    }
    let says = if let kube::Error::Api(status) = failure.as_ref() { &status.message } else { "no answer" };
    let text = format!("The API server fails with the account or the Secret of its login: {says}. Trying again");
    unusable(engine, &mut target, Problem::new(Reason::DependencyNotReady, text)).await
}

/// Whether objects may use the account now.
fn is_usable(engine: &Engine, target: &AccountTarget) -> bool {
    engine.sessions.get(&target.uid).is_some_and(|entry| entry.works())
}

async fn steps(engine: &Engine, target: &mut AccountTarget) -> Result<Next, PassError> {
    if engine.memory.outdated(&target.uid, &target.version) || !engine.synced() {
        return Ok(Next::After(SOON));
    }
    let users = Users::of(engine, target).await?;
    if users.are_gone() {
        return Ok(Next::After(SOON));
    }
    if users.need_nothing(target)
        && let Some(next) = let_go(engine, target).await?
    {
        return Ok(next);
    }
    let kept = if users.need_nothing(target) { Ok(Hold::None) } else { hold::keep(engine, target).await };
    let mut unheld = None;
    let kept_secret = match refused(&kept) {
        None => kept?,
        // One that is in use, or is on its way out, is of use for as long as its login is there.
        Some(problem) if target.deleting || target.held() && target.status.held_secret.is_some() => {
            tracing::warn!(account = %target, "{}", problem.message);
            unheld = Some(problem).filter(|_| !target.deleting && !hold::holds_login(target));
            Hold::None
        }
        Some(problem) => return unusable(engine, target, problem).await,
    };
    if kept_secret == Hold::TooLate && !target.deleting && !hold::holds_login(target) {
        return unusable(engine, target, hold::too_late(target)).await;
    }
    let leaves = (!target.deleting && matches!(kept_secret, Hold::Leaving)).then(|| users.keep_secret(target));
    let concern = leaves.or_else(|| unheld.clone());
    let checked = provider::on_behalf_of(target.uid.clone(), check(engine, target, concern)).await?;
    engine.sessions.held(&target.uid, unheld.clone());
    let checked = match unheld {
        Some(_) => checked.at_most(outcome::backoff(engine, &target.uid, &target.status.conditions)),
        None => checked,
    };
    if !target.deleting {
        return Ok(users.next(checked));
    }
    let text = format!("{}. Delete them first: they need its login to clean up", users.who());
    let next = users.next(leaving(engine, target, Problem::new(Reason::DeletionHeld, text)).await?);
    // Its status says since when it goes, and not since when its login is refused.
    Ok(if is_usable(engine, target) { next } else { next.at_most(UNPROVEN) })
}

/// Lets go of an account that nobody needs, and of its login. What follows, if that is all there is to do.
async fn let_go(engine: &Engine, target: &mut AccountTarget) -> Result<Option<Next>, PassError> {
    if !target.held() {
        if target.deleting {
            return Ok(Some(gone(engine, target)));
        }
        return hold::forget(engine, target).await.map(|()| None);
    }
    let Some(_letting_go) = engine.starting.lets_go(&target.uid) else { return Ok(Some(Next::After(SOON))) };
    // Who came before that is there now.
    let users = Users::of(engine, target).await?;
    if !users.need_nothing(target) || users.unclear {
        return Ok(Some(Next::After(SOON)));
    }
    // Another process may have bound one that the cache does not show yet.
    if target.deleting && Users::read(engine, target).await?.bound > 0 {
        return Ok(Some(Next::After(SOON)));
    }
    let released = hold::release(engine, target).await;
    match refused(&released) {
        Some(problem) if target.deleting => leaving(engine, target, problem).await.map(Some),
        Some(problem) => {
            tracing::warn!(account = %target, "{}", problem.message);
            Ok(None)
        }
        None => released.map(|()| target.deleting.then(|| gone(engine, target))),
    }
}

/// Nothing keeps the account any more.
fn gone(engine: &Engine, target: &AccountTarget) -> Next {
    engine.sessions.forget(&target.uid);
    Next::Change
}

/// What keeps an account that is being deleted. The last object that goes, whoever lets it go, asks for a look.
async fn leaving(engine: &Engine, target: &mut AccountTarget, why: Problem) -> Result<Next, PassError> {
    report::account(engine, target, &State::Deleting(why), |_| {}).await?;
    Ok(Next::After(outcome::backoff(engine, &target.uid, &target.status.conditions)))
}

/// What is wrong where the API server does not let the account, or its login, be held or let go: for want of a right, or
/// because a policy of the cluster is against it.
fn refused<T>(held: &Result<T, PassError>) -> Option<Problem> {
    let Err(PassError::Intent(refusal)) = held else { return None };
    let kube::Error::Api(status) = refusal.as_ref() else { return None };
    let text = format!(
        "The operator may not hold the account and the Secret with its login, or let go of them ({}). Grant it patch on Secrets \
         and on accounts, and let no policy refuse its finalizer there",
        status.message
    );
    (!is_passing(refusal)).then(|| Problem::new(Reason::PermissionDenied, text))
}

/// Reads the login, opens the session, and proves it at the provider.
async fn check(engine: &Engine, target: &mut AccountTarget, leaves: Option<Problem>) -> Result<Next, PassError> {
    let Opening { session, unproven } = match open(engine, target).await? {
        Ok(opening) => opening,
        Err(problem) => return unusable(engine, target, problem).await,
    };
    if !unproven && engine.sessions.is_proven(&target.uid, engine.probe_interval) && !target.is_requested() {
        return works(engine, target, &session, leaves).await;
    }
    let _slot = match session.gate.enter() {
        Ok(slot) => slot,
        // Another account of the same login has been told to stop. Nobody has judged this one yet.
        Err(refusal) if refusal.closed && !is_judged(engine, target) => {
            let error = ApiError::refused(Operation::List, refusal);
            return failed(engine, target, &session, &error).await;
        }
        Err(refusal) => return Ok(Next::After(refusal.after)),
    };
    let kind = target.reference.kind.as_deref().unwrap_or_default();
    // One that is shared stands for itself.
    let namespace = target.reference.namespace.as_deref().unwrap_or_else(|| target.name());
    let _seat = match engine.workers.enter(kind, namespace, &session.endpoint) {
        Ok(seat) => seat,
        Err(after) => return Ok(Next::After(after)),
    };
    let fresh = Freshness::After(Instant::now());
    let probed = with_external!(&session.backend, external => external.probe(fresh, Pace::Now).await);
    let probed = match probed {
        Err(error) if names_nobody(&error) && is_sure(target, &session) => Ok(None),
        probed => probed,
    };
    match probed {
        Ok(_) => {
            if unproven {
                engine.sessions.take_over(&target.uid);
                engine.metrics.rotation(target.spec.provider, true);
                let text = "The new login works, and is used from now on";
                tracing::info!(account = %target, "{text}");
                engine.note(&target.reference, false, Reason::RotatedAndVerified, text).await;
            }
            engine.sessions.prove(&target.uid);
            works(engine, target, &session, leaves).await
        }
        Err(error) if error.local => Ok(Next::After(error.retry_after.unwrap_or(Duration::from_secs(1)))),
        Err(error) if unproven => rejected(engine, target, &session, &error).await,
        Err(error) => failed(engine, target, &session, &error).await,
    }
}

/// Whether a pass over the account has come to an end in this process.
fn is_judged(engine: &Engine, target: &AccountTarget) -> bool {
    engine.sessions.get(&target.uid).is_some_and(|entry| entry.judged)
}

/// A new secret does not work, and the one before does: nothing is done with the new one.
async fn rejected(
    engine: &Engine,
    target: &mut AccountTarget,
    session: &Session,
    error: &ApiError,
) -> Result<Next, PassError> {
    tracing::warn!(account = %target, operation = %error.operation, request_id = error.request_id, "the new login: {error}");
    if verdict(error.kind, error.retry_after) == Verdict::Stall && !target.deleting {
        engine.metrics.rotation(target.spec.provider, false);
        let why = explain(session, error).message;
        let text = format!("{why}. The login of before stays in use until then, or until the operator is started anew");
        let state = State::AccountWorks(Some(Problem::new(Reason::RotationRejected, text)));
        report::account(engine, target, &state, |_| {}).await?;
    }
    Ok(Next::After(engine.probe_interval.min(UNPROVEN)))
}

/// The session of the account's login as it stands in the Secret now.
async fn open(engine: &Engine, target: &AccountTarget) -> Result<Result<Opening, Problem>, PassError> {
    let name = &target.spec.credentials_secret_ref.name;
    if !text::is_namespace(&target.secrets) {
        let text = "spec.credentialsSecretRef.namespace is no name of a namespace: correct it";
        return Ok(Err(Problem::new(Reason::InvalidSpec, text)));
    }
    let data = match resolve::secret(engine, &target.secrets, name).await? {
        Ok((data, _)) => data,
        Err(problem) => return Ok(Err(problem)),
    };
    let login: Login = match provider::login(&target.spec, &engine.connect.allow, name, &data) {
        Ok(login) => login,
        Err(problem) => return Ok(Err(problem)),
    };
    let opened = engine.sessions.open(&target.uid, &login, &target.spec.limits, &engine.connect, &engine.metrics);
    if let (Ok(Opening { session, .. }), Some(identity)) = (&opened, &target.status.identity) {
        // What an earlier process learned of this very login.
        if session.identity().organisation.is_none() && target.status.login.as_ref() == Some(&login.fingerprint) {
            session.learned(identity.clone());
        }
    }
    Ok(opened)
}

async fn works(
    engine: &Engine,
    target: &mut AccountTarget,
    session: &Session,
    leaves: Option<Problem>,
) -> Result<Next, PassError> {
    engine.memory.succeeded(&target.uid);
    engine.sessions.judge(&target.uid, None);
    let identity = session.identity();
    if !target.deleting {
        report::account(engine, target, &State::AccountWorks(leaves), |status| note_identity(status, &identity))
            .await?;
    }
    Ok(Next::After(engine.probe_interval))
}

/// Keeps in an object's account who it is there, before the object says so: a process that starts between the two writes
/// would take the object for one of another account. False while it is not known what the account keeps.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn keep_identity(
    engine: &Engine,
    object: &Target,
    identity: &AccountIdentity,
) -> Result<bool, PassError> {
    let Some(found) = engine.accounts.of(object) else { return Ok(true) };
    if identity.organisation.is_none() || found.identity() == identity.organisation.as_ref() {
        return Ok(true);
    }
    let Some(mut target) = found.account() else { return Ok(true) };
    if engine.memory.outdated(&target.uid, &target.version) {
        return Ok(false);
    }
    report::account_fields(engine, &mut target, |status| note_identity(status, identity)).await?;
    Ok(true)
}

/// An identity that a login has told stays until another login tells one.
fn note_identity(status: &mut ProviderAccountStatus, identity: &AccountIdentity) {
    if status.login.as_ref() != Some(&identity.login) || identity.organisation.is_some() {
        status.identity.clone_from(&identity.organisation);
        status.login = identity.organisation.as_ref().map(|_| identity.login.clone());
    }
}

/// Objects must not use the account: what is wrong with it must be put right first.
async fn unusable(engine: &Engine, target: &mut AccountTarget, problem: Problem) -> Result<Next, PassError> {
    let comes_by_itself =
        matches!(problem.reason, Reason::SecretNotFound | Reason::PermissionDenied | Reason::DependencyNotReady);
    engine.sessions.judge(&target.uid, Some(problem.clone()));
    let state = if comes_by_itself { State::Awaiting(problem) } else { State::Halted(problem) };
    if !target.deleting {
        report::account(engine, target, &state, |_| {}).await?;
    }
    Ok(Next::After(outcome::backoff(engine, &target.uid, &target.status.conditions)))
}

/// A probe failed. Only what a person must put right keeps objects from using the account.
async fn failed(
    engine: &Engine,
    target: &mut AccountTarget,
    session: &Session,
    error: &ApiError,
) -> Result<Next, PassError> {
    tracing::warn!(account = %target, operation = %error.operation, request_id = error.request_id, "{error}");
    let why = explain(session, error);
    let judged = verdict(error.kind, error.retry_after);
    if judged == Verdict::Stall {
        return unusable(engine, target, why).await;
    }
    engine.sessions.judge(&target.uid, (!is_sure(target, session)).then(|| why.clone()));
    let failures = engine.memory.failed(&target.uid);
    let state = outcome::failing(why, &target.status.conditions, failures);
    if !target.deleting {
        report::account(engine, target, &state, |_| {}).await?;
    }
    Ok(Next::After(match judged {
        Verdict::Wait(delay) => delay,
        Verdict::Retry | Verdict::Stall => outcome::backoff(engine, &target.uid, &target.status.conditions),
    }))
}

/// A new login whose owner is not known yet might be another account: nothing is asked of it before it is.
fn is_sure(target: &AccountTarget, session: &Session) -> bool {
    session.identity().organisation.is_some() || target.status.identity.is_none()
}

/// Asks who the account of an object is, before something is made or taken over in one that has no name: others of the same account
/// may hold or claim it. Says when to come back where the pass is to begin anew, with the name or without an answer.
///
/// # Errors
/// The API server's refusal.
pub(super) async fn name_it<E: External>(
    engine: &Engine,
    external: &E,
    object: &mut Target,
) -> Result<Option<Next>, PassError> {
    // The list of the pass's own look is new enough: nothing was made without a name since. Another one would use up a
    // small budget, again and again.
    match external.probe(Freshness::Within(engine.timing().call), Pace::InTurn).await {
        Ok(None) => Ok(None),
        Err(error) if names_nobody(&error) => Ok(None),
        // Now it has a name: the next pass sees what others of that account claim.
        Ok(Some(_)) => Ok(Some(Next::After(SOON))),
        Err(error) => outcome::failed::<E>(engine, object, &error).await.map(Some),
    }
}

/// Whether a probe failed although the login works: only whose it is could not be told for now.
fn names_nobody(error: &ApiError) -> bool {
    error.operation == Operation::Status && error.kind != Kind::RateLimited
}

/// What the provider says to a login, in our words.
fn explain(session: &Session, error: &ApiError) -> Problem {
    let (provider, login) = with_external!(&session.backend, external => words(external));
    problem(error.kind, provider, &error.detail, login)
}

/// The provider's name, and what to correct where it refuses the login.
fn words<E: External>(_: &E) -> (&'static str, &'static str) {
    (E::NAME, E::LOGIN)
}
