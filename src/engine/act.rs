//! One step carried out: at most one write at the provider, and what it leaves in the object.

use super::{
    claims::Claims,
    context::Engine,
    create, deletions,
    error::{PassError, bound},
    guard,
    halt::{halt, names},
    intent, link,
    meta::{self, Change},
    object::Target,
    outcome::{self, Next, SOON},
    publish,
    record::{describe, name},
    refused, report, rotation,
    supplies::Supplies,
    writes::Write,
};
use crate::{
    api::v1alpha1::ManagedStatus,
    domain::{
        advice,
        conditions::{Health, State},
        decide::{Drift, Release, Resolution, Step, Waiting},
        ids::{AccountIdentity, ExternalId, NaturalKey},
        intent::Creation,
        reason::{Problem, Reason},
        refresh,
        writes::Cause,
    },
    provider::{ApiError, DeletePermit, External, Operation, Record, Session, Summary},
};
use std::time::Duration;
use tokio::time::Instant;

/// What an object says that leaves behind what it has just made.
const UNLISTED: &str = "What was created a moment ago stays, and may not show in the provider's lists yet. Waiting until it \
                        must, so that whoever declares it again finds it";
/// What an open attempt says while nobody can know its outcome.
pub(super) const OUTCOME_OPEN: &str =
    "The provider's answer to the create is not known. Waiting until a record would have to show, then looking for it";

/// All that a step may need.
pub(super) struct Scene<'a, E: External> {
    pub(super) engine: &'a Engine,
    pub(super) session: &'a Session,
    pub(super) external: &'a E,
    pub(super) want: Option<E::Want>,
    pub(super) key: Option<NaturalKey>,
    pub(super) identity: AccountIdentity,
    pub(super) creation: Creation,
    /// The record that the step is about.
    pub(super) record: Option<Record<E::Have>>,
    pub(super) supplies: Supplies,
    /// How the record differs.
    pub(super) drift: Drift,
    /// When the pass began.
    pub(super) began: Instant,
    pub(super) claims: Claims<'a>,
}

/// What a deletion is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeleteReason {
    /// The object is being deleted.
    Finalize,
    /// A new record is to take its place.
    Replace,
}

/// What came of a deletion.
pub(super) enum Removal {
    /// The record is gone.
    Done,
    /// The account's guard holds it; when to ask again.
    Held(Problem, Duration),
    /// The provider did not delete it.
    Failed(ApiError),
}

/// The steps that need no provider, for an object whose account cannot be used.
pub(super) async fn without_account(engine: &Engine, target: &mut Target, step: Step) -> Result<Next, PassError> {
    match step {
        Step::Release(why) => release(engine, target, why).await,
        Step::Rebind => rebind(engine, target).await,
        Step::Halt(reason, ids) => halt(engine, target, reason, &ids, &Drift::None).await,
        Step::Blocked(problem) => outcome::blocked(engine, target, problem).await,
        Step::Suspended => {
            report::report(engine, target, &State::Suspended).await?;
            Ok(Next::Change)
        }
        Step::Wait(Waiting::Link) => link::wait(engine, target, Waiting::Link, engine.clock.now()).await,
        Step::Wait(Waiting::Listing) => wait_for_lists(engine, target).await,
        // Each of these follows a look, and there was none: the account comes first.
        Step::Wait(_)
        | Step::Look(_)
        | Step::Record(_)
        | Step::RecordObserved(_)
        | Step::Adopt(_)
        | Step::Settle(..)
        | Step::Resolve(_)
        | Step::Create
        | Step::Forget
        | Step::Delete(_)
        | Step::Replace(_)
        | Step::Update(_)
        | Step::Refresh(_)
        | Step::Idle(_) => Ok(Next::After(Duration::from_secs(1))),
    }
}

/// What it leaves behind may not show in lists yet; no account is needed to wait until it must.
async fn wait_for_lists(engine: &Engine, target: &mut Target) -> Result<Next, PassError> {
    let rest = engine.patience(&target.uid, &target.creation());
    report::report(engine, target, &State::Deleting(Problem::new(Reason::Deleting, UNLISTED))).await?;
    Ok(Next::After(rest + Duration::from_millis(100)))
}

impl<E: External> Scene<'_, E> {
    /// Carries the step out.
    pub(super) async fn act(self, target: &mut Target, step: Step) -> Result<Next, PassError> {
        if self.engine.memory.found(&target.uid, self.has_drifted(target)) {
            self.engine.metrics.drift(target.reference.kind.as_deref().unwrap_or_default());
        }
        if step.keeps_record() {
            // One that was counted and did not come about is another one next time.
            self.engine.memory.uncounted(&target.uid);
        }
        match step {
            Step::Release(_) | Step::Rebind | Step::Blocked(_) | Step::Suspended | Step::Look(_) => {
                without_account(self.engine, target, step).await
            }
            Step::Halt(reason, ids) => {
                self.keep_secret(target).await?;
                halt(self.engine, target, reason, &ids, &self.drift).await
            }
            Step::Wait(what) => self.wait(target, what).await,
            Step::Record(id) => self.record(target, &id).await,
            Step::RecordObserved(id) => self.record_observed(target, &id).await,
            Step::Adopt(id) => self.adopt(target, &id).await,
            Step::Settle(reason, ids) => self.settle(target, reason, &ids).await,
            Step::Resolve(answer) => self.resolve(target, &answer).await,
            Step::Create => create::create(self, target).await,
            Step::Forget => self.forget(target).await,
            Step::Delete(id) => self.delete(target, &id).await,
            Step::Replace(id) => self.replace(target, &id).await,
            Step::Update(id) => self.update(target, &id).await,
            Step::Refresh(id) => self.refresh(target, &id).await,
            Step::Idle(id) => self.idle(target, &id).await,
        }
    }

    /// Whether a call that cannot be repeated would still come to its end, and what became of it be recorded: before the pass
    /// has to end, and the process.
    pub(super) fn may_begin(&self) -> bool {
        !self.engine.is_ending() && self.began.elapsed() <= guard::latest(self.engine.timing())
    }

    pub(super) fn summary(&self) -> Option<Summary> {
        self.record.as_ref()?.have.as_ref().map(|have| E::summary(self.want.as_ref(), have))
    }

    /// Whether the record differs although neither the declaration has changed, since it was last reported on, nor the
    /// credentials.
    pub(super) fn has_drifted(&self, target: &Target) -> bool {
        let same = target.status.observed_generation == target.generation;
        same && !self.drift.fields().is_empty() && self.supplies.fresh(target, &self.creation).is_none()
    }

    async fn wait(&self, target: &mut Target, what: Waiting) -> Result<Next, PassError> {
        let rest = self.engine.patience(&target.uid, &self.creation);
        let state = match what {
            Waiting::Grace if target.deleting => State::Deleting(Problem::new(Reason::Deleting, OUTCOME_OPEN)),
            Waiting::Grace => State::Creating(OUTCOME_OPEN.to_owned()),
            Waiting::Listing => return wait_for_lists(self.engine, target).await,
            // A record that a list does not show yet is no news.
            Waiting::Absence => return Ok(Next::After(rest + Duration::from_millis(100))),
            Waiting::Person | Waiting::LostLink | Waiting::Link => {
                let now = self.engine.now_at(self.external);
                return link::wait(self.engine, target, what, now).await;
            }
        };
        report::report(self.engine, target, &state).await?;
        Ok(Next::After(rest + Duration::from_millis(100)))
    }

    /// An open attempt made nothing of ours.
    async fn settle(&self, target: &mut Target, reason: Option<Reason>, ids: &[ExternalId]) -> Result<Next, PassError> {
        let Some(intent) = self.creation.pending() else { return Ok(Next::Change) };
        // It was not answered, and is not to be followed by the next one at once.
        let note = reason.is_none().then(|| refused::waits(self.engine, target)).flatten();
        let state = match (reason, &note) {
            (Some(reason), _) => State::Halted(advice::halted(reason, ids, &self.drift)),
            (None, Some(note)) => State::Failing { problem: refused::problem(note), keep_ready: false },
            (None, None) => State::Creating("The last attempt made no record. Creating it anew".to_owned()),
        };
        report::commit(self.engine, target, intent, Some(&state), |status| {
            let creation = report::settle(status, intent);
            (creation.candidates, creation.refused) = (names(ids), note.clone());
        })
        .await?;
        Ok(Next::After(Duration::from_millis(100)))
    }

    /// A person's answer becomes an attempt of this object that is settled at once, with the record or without.
    async fn resolve(&self, target: &mut Target, answer: &Resolution) -> Result<Next, PassError> {
        let adopted = match answer {
            Resolution::Adopt(id) => Some(id),
            Resolution::CreateAnew => None,
        };
        let turn = adopted.map(|id| self.turn_at(target, id));
        if matches!(turn, Some(None)) {
            return Ok(Next::After(SOON));
        }
        // Before the answer is taken off: it must not be lost because something could not be read.
        let given = self.known_of(adopted, target).await?;
        let at = self.engine.now_at(self.external);
        let intent = intent::draft(target, self.key.as_ref(), self.identity.recorded(), at);
        let state = State::Creating("A person resolved the creation. Carrying on".to_owned());
        let (loads, now) = (adopted.map(|id| self.loads_of(target, id)).unwrap_or_default(), self.engine.clock.now());
        // What it says comes first, and at once as settled: were the answer gone before that, nobody would know of it any
        // more, and an object that is being deleted would leave the record that it was told to take along.
        report::change(self.engine, target, Some(&state), |status| {
            let creation = report::settle(status, &intent);
            (creation.intent, creation.key) = (Some(intent.clone()), intent.key.clone());
            name(status, adopted);
            // It may have been looked at only until now.
            status.observed_only = false;
            status.account = adopted.map(|_| self.identity.recorded());
            status.applied_fields.clone_from(&given.fields);
            status.applied_credentials.clone_from(&given.credentials);
            refresh::note_all(status, loads.iter().map(|(due, phase)| (due, *phase)), now);
        })
        .await?;
        meta::patch(self.engine, target, Change { bound: true, intent: Some(&intent), answered: true }).await?;
        Ok(Next::After(Duration::from_millis(100)))
    }

    /// The record is gone for good: the object is one that has not started.
    pub(super) async fn forget(&self, target: &mut Target) -> Result<Next, PassError> {
        let next = if target.stored().observe_only { "Looking for another one" } else { "Creating it anew" };
        let state = State::Creating(format!("The record is gone from the provider. {next}"));
        report::change(self.engine, target, Some(&state), |status| {
            name(status, None);
            status.account = None;
            status.applied_fields.clear();
            if let Some(creation) = &mut status.creation {
                (creation.key, creation.replacing, creation.restored) = (None, None, false);
            }
        })
        .await?;
        self.engine.memory.uncounted(&target.uid);
        Ok(Next::After(Duration::from_millis(100)))
    }

    /// Deletes a record, past the guard: the only place that may.
    pub(super) async fn remove(
        &self,
        target: &Target,
        id: &ExternalId,
        why: DeleteReason,
    ) -> Result<Removal, PassError> {
        if let Some((problem, rest)) = deletions::held(self.engine, target).await? {
            return Ok(Removal::Held(problem, rest));
        }
        // Another process may have deleted it and let the object go, and what has its id by now may be anybody's: at Arcus the
        // type is the id.
        let now = self.engine.fetch(target).await.map_err(|e| bound(e, PassError::Resolve))?;
        // And its owner may have come to want it kept.
        if !now.is_some_and(|now| now.is_as_before(target, id)) {
            return Err(PassError::Stale);
        }
        let (cause, fields) = match why {
            DeleteReason::Finalize => (Cause::Deletion, vec![]),
            DeleteReason::Replace => (Cause::Replacement, self.drift.fields().to_vec()),
        };
        let write = Write::begin(self.engine, target, Operation::Delete, cause, Some(id), fields);
        let deleted = self.external.delete(DeletePermit::mint(id.clone())).await;
        write.ended(deleted.as_ref().map(|()| None));
        Ok(match deleted {
            Ok(()) => Removal::Done,
            Err(error) => Removal::Failed(error),
        })
    }

    async fn delete(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        match self.remove(target, id, DeleteReason::Finalize).await? {
            Removal::Done => {}
            Removal::Failed(error) => return outcome::failed::<E>(self.engine, target, &error).await,
            Removal::Held(problem, rest) => {
                report::report(self.engine, target, &State::Deleting(problem)).await?;
                return Ok(Next::After(rest));
            }
        }
        self.engine.tell(&target.reference, false, Reason::Deleting, "Delete", &format!("Deleted {id}")).await;
        meta::patch(self.engine, target, Change { bound: false, ..Change::default() }).await?;
        Ok(Next::Change)
    }

    async fn idle(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        let Some(summary) = self.summary() else { return Ok(Next::Change) };
        let observed = target.stored().observe_only;
        let secret = summary.secret.as_ref().filter(|_| !observed);
        let conflict = publish::publish(self.engine, target, secret).await?;
        let in_the_way = conflict.is_some();
        let ended = self.follow_jobs(target).await;
        let rotation = self.verify_again(target, id).await;
        let now = self.engine.clock.now();
        let note = |status: &mut ManagedStatus| {
            refresh::note_all(status, ended.iter().map(|(due, phase)| (due, *phase)), now);
        };
        let mut after = target.status.clone();
        note(&mut after);
        if observed {
            // Who only looks on asks for no load: what is still due keeps nobody waiting.
            after.refresh = None;
        }
        let state = conflict.map_or_else(|| self.standing(summary.health.as_ref(), &after, rotation), State::Halted);
        report::change(self.engine, target, Some(&state), |status| {
            note(status);
            describe(status, &summary);
            status.drifted_fields.clear();
            status.account = Some(self.identity.recorded());
            if let Some(given) = &mut status.applied_credentials {
                given.rotation = rotation;
            }
            if let Some(creation) = &mut status.creation {
                (creation.refused, creation.replacing, creation.restored) = (None, None, false);
                creation.candidates.clear();
            }
        })
        .await?;
        self.engine.memory.succeeded(&target.uid);
        // What somebody else has written into it meanwhile was no reason to doubt: this look was at the record itself.
        self.engine.memory.said(&target.uid, &target.status);
        tracing::debug!(object = %target, id = %id, "as declared");
        let open = in_the_way || rotation::is_open(rotation);
        Ok(if open {
            Next::After(outcome::backoff(self.engine, &target.uid, &target.status.conditions))
        } else {
            self.next_look(target, state)
        })
    }

    /// When a record that was left as it is is looked at again.
    fn next_look(&self, target: &Target, state: State) -> Next {
        match state {
            State::Present(health) | State::Unsecured(health, _) | State::Rotated(health, _) if health.is_settled() => {
                outcome::next_check(self.engine, target, &self.identity.login)
            }
            State::Present(Health::AwaitsAuthorization(_) | Health::NeedsAuthorization) => {
                Next::After(link::rhythm(self.engine, target))
            }
            State::Present(_)
            | State::Unsecured(..)
            | State::Rotated(..)
            | State::Creating(_)
            | State::Correcting(_)
            | State::Halted(_)
            | State::Awaiting(_)
            | State::Failing { .. }
            | State::Suspended
            | State::Deleting(_)
            | State::Leaving(_)
            | State::AwaitsPerson(_)
            | State::Unlinked(_)
            | State::AccountWorks(_) => Next::After(self.engine.connect.poll),
        }
    }
}

/// The object goes without a delete at the provider.
async fn release(engine: &Engine, target: &mut Target, why: Release) -> Result<Next, PassError> {
    let id = target.status.external_id.clone();
    meta::patch(engine, target, Change { bound: false, ..Change::default() }).await?;
    if let Some(id) = id {
        let text = match why {
            Release::Retained => format!("Left {id} at the provider, as the policy says"),
            Release::HeldByAnother => format!("Left {id} at the provider: another object holds it"),
            Release::NothingMade => format!("Left {id} at the provider: it was never this object's"),
        };
        engine.tell(&target.reference, false, Reason::Deleting, "Release", &text).await;
    }
    Ok(Next::Change)
}

/// `kubectl replace` wiped our finalizer, and perhaps our annotation: nothing else happens before they are back.
async fn rebind(engine: &Engine, target: &mut Target) -> Result<Next, PassError> {
    let intent = target.intent();
    meta::patch(engine, target, Change { bound: true, intent: intent.as_ref(), answered: false }).await?;
    Ok(Next::After(Duration::from_millis(100)))
}
