//! Refreshes: at most one call for each record, entity and token.
//!
//! `Requested` is written before the calls, bound to the version seen, and what became of them after. What a pass finds
//! as `Requested` was left so by a process that ended in between, and is never asked for again.

use super::{
    act::Scene,
    error::PassError,
    object::Target,
    outcome::{self, Next, SOON},
    record::action,
    report,
    writes::Write,
};
use crate::{
    api::v1alpha1::{ManagedStatus, RefreshPhase},
    domain::{
        dates,
        facts::Drift,
        ids::ExternalId,
        reason::Reason,
        refresh::{self, Due, Entity},
        schedule,
        verdict::{Effect, Kind},
        writes::Cause,
    },
    provider::{ApiError, External, Job, Operation},
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use strum::IntoEnumIterator;

/// What became of one refresh.
struct Outcome {
    due: Due,
    phase: RefreshPhase,
    job: Option<String>,
    /// When the phase was reached; for what waits, when it may be asked for again.
    at: Timestamp,
}

/// Something to be said of a refresh: whether it is bad news, why, and the words.
type News = (bool, Reason, String);

impl<E: External> Scene<'_, E> {
    /// Asks for what is due, or says of what was left open that nobody can tell.
    pub(super) async fn refresh(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        let open = refresh::in_phase(&target.status, RefreshPhase::Requested);
        if !open.is_empty() {
            return self.leave_open(target, open).await;
        }
        let now = self.engine.clock.now();
        let due = refresh::due(target.refresh.as_deref(), &target.status, now);
        if !E::REFRESHES {
            return self.unsupported(target, due).await;
        }
        let Some(want) = self.want.as_ref() else { return Ok(Next::Change) };
        let today = dates::today(self.engine.now_at(self.external));
        if !self.may_begin() {
            return Ok(Next::After(SOON));
        }
        if let Some(problem) = self.external.objection(want, today, false) {
            let outcomes = due.into_iter().map(|due| Outcome { due, phase: RefreshPhase::Failed, job: None, at: now });
            return self
                .settle_refresh(target, outcomes.collect(), vec![(true, problem.reason, problem.message)])
                .await;
        }
        report::change(self.engine, target, None, |status| {
            refresh::note_all(status, due.iter().map(|due| (due, RefreshPhase::Requested)), now);
        })
        .await?;
        let entities: Vec<Entity> = due.iter().map(|due| due.entity).collect();
        let (mut outcomes, mut news) = (Vec::new(), Vec::new());
        for (load, entities) in E::loads(want, &entities) {
            let asked: Vec<&Due> = due.iter().filter(|due| entities.contains(&due.entity)).collect();
            let answer = self.load(target, id, &load, &asked).await;
            for due in asked {
                let (outcome, said) = self.judge(target, due, answer.clone());
                outcomes.push(outcome);
                news.extend(said);
            }
        }
        self.settle_refresh(target, outcomes, news).await
    }

    async fn load(
        &self,
        target: &Target,
        id: &ExternalId,
        load: &E::Load,
        asked: &[&Due],
    ) -> Result<Option<String>, ApiError> {
        let first = asked.iter().all(|due| due.token == refresh::INITIAL);
        let cause = if first { Cause::FirstLoad } else { Cause::RefreshRequested };
        let entities = asked.iter().map(|due| due.entity.to_string()).collect();
        let write = Write::begin(self.engine, target, Operation::Refresh, cause, Some(id), entities);
        let answer = self.external.refresh(id, load).await;
        write.ended(answer.as_ref().map(|_| None));
        answer
    }

    /// What an answer means for one refresh.
    fn judge(&self, target: &Target, due: &Due, answer: Result<Option<String>, ApiError>) -> (Outcome, Option<News>) {
        let (now, entity) = (self.engine.clock.now(), due.entity);
        let outcome = |phase, job, at| Outcome { due: due.clone(), phase, job, at };
        let error = match answer {
            Ok(job) => {
                let text = format!("{} took the request to refresh {entity}", E::NAME);
                return (outcome(RefreshPhase::Accepted, job, now), Some((false, Reason::Updating, text)));
            }
            Err(error) => error,
        };
        outcome::warn(target, &error);
        if error.effect == Effect::Unknown {
            return (
                outcome(RefreshPhase::Unknown, None, now),
                Some((true, Reason::RefreshOutcomeUnknown, open(entity))),
            );
        }
        match error.kind {
            Kind::Invalid | Kind::Forbidden => {
                let why = outcome::explain::<E>(target, &error);
                let text = format!("{}. The refresh of {entity} was not started; a new token asks again", why.message);
                (outcome(RefreshPhase::Failed, None, now), Some((true, why.reason, text)))
            }
            Kind::Unauthorized
            | Kind::NotFound
            | Kind::Gone
            | Kind::Conflict
            | Kind::Taken
            | Kind::RateLimited
            | Kind::Unavailable
            | Kind::Timeout
            | Kind::Protocol => {
                let before = self.engine.memory.times_put_off(&target.uid);
                let delay = error.retry_after.unwrap_or(schedule::doubled(AGAIN, before)).max(Duration::from_secs(1));
                let then = SignedDuration::try_from(delay).ok().and_then(|delay| now.checked_add(delay).ok());
                // The first time is no news: who asks too early is put off.
                let news = (before == 1 && error.retry_after.is_none()).then(|| {
                    let why = outcome::explain::<E>(target, &error);
                    (true, why.reason, format!("The refresh of {entity} was put off again: {}", why.message))
                });
                (outcome(RefreshPhase::Due, None, then.unwrap_or(now)), news)
            }
        }
    }

    /// Writes what became of the calls, as long as the object is still about the same record and the same requests.
    async fn settle_refresh(
        &self,
        target: &mut Target,
        outcomes: Vec<Outcome>,
        news: Vec<News>,
    ) -> Result<Next, PassError> {
        let (id, at) = (target.status.external_id.clone(), self.engine.clock.now());
        self.engine.memory.put_off(&target.uid, outcomes.iter().any(|outcome| outcome.phase == RefreshPhase::Due));
        let edit = |status: &mut ManagedStatus| {
            for Outcome { due, phase, job, at } in &outcomes {
                refresh::note(status, due, *phase, job.clone(), *at);
            }
            let taken = outcomes.iter().filter(|o| o.phase == RefreshPhase::Accepted);
            let entities: Vec<String> = taken.map(|o| o.due.entity.to_string()).collect();
            if !entities.is_empty() {
                status.last_action = Some(action("Refreshed", entities, at));
            }
        };
        let mut after = target.status.clone();
        edit(&mut after);
        let health = self.summary().and_then(|summary| summary.health);
        let rotation = after.applied_credentials.as_ref().and_then(|given| given.rotation);
        // One that differs goes on saying so.
        let state = matches!(self.drift, Drift::None).then(|| self.standing(health.as_ref(), &after, rotation));
        let all = |fresh: &Target, phase: fn(&Outcome) -> RefreshPhase| {
            let is_in = |outcome: &Outcome| {
                let known = refresh::state(&fresh.status, outcome.due.entity).filter(|k| k.token == outcome.due.token);
                known.is_some_and(|known| known.state == phase(outcome))
            };
            fresh.status.external_id == id && outcomes.iter().all(is_in)
        };
        let still = |fresh: &Target| all(fresh, |_| RefreshPhase::Requested);
        let written = |fresh: &Target| all(fresh, |outcome| outcome.phase);
        report::insist(self.engine, target, state.as_ref(), still, written, edit).await?;
        for (warning, reason, text) in news {
            self.engine.tell(&target.reference, warning, reason, "Refresh", &text).await;
        }
        Ok(Next::After(Duration::from_millis(100)))
    }

    /// A process ended between writing `Requested` and writing what became of it.
    async fn leave_open(&self, target: &mut Target, open: Vec<Due>) -> Result<Next, PassError> {
        let at = self.engine.clock.now();
        let news = open.iter().map(|due| (true, Reason::RefreshOutcomeUnknown, self::open(due.entity))).collect();
        let outcomes = open.into_iter().map(|due| Outcome { due, phase: RefreshPhase::Unknown, job: None, at });
        self.settle_refresh(target, outcomes.collect(), news).await
    }

    /// The provider has no such thing: the token is handled by saying so, once.
    async fn unsupported(&self, target: &mut Target, due: Vec<Due>) -> Result<Next, PassError> {
        let at = self.engine.clock.now();
        report::change(self.engine, target, None, |status| {
            refresh::note_all(status, due.iter().map(|due| (due, RefreshPhase::Unsupported)), at);
        })
        .await?;
        let text = format!("{} has no refresh on request; it loads by itself", E::NAME);
        self.engine.tell(&target.reference, true, Reason::RefreshUnsupported, "Refresh", &text).await;
        Ok(Next::After(Duration::from_millis(100)))
    }

    /// Asks how far the jobs of this object are, and notes those that came to an end. The record works whether the
    /// provider tells or not.
    pub(super) async fn follow_jobs(&self, target: &Target) -> Vec<(Due, RefreshPhase)> {
        let mut ended = Vec::new();
        for entity in Entity::iter() {
            let accepted = refresh::state(&target.status, entity).filter(|s| s.state == RefreshPhase::Accepted);
            let Some((state, job)) = accepted.and_then(|s| Some((s, s.job.as_ref()?))) else { continue };
            let due = Due { entity, token: state.token.clone() };
            let asked = if self.engine.clock.now().duration_since(state.at.0) < LONGEST {
                self.external.job(job).await
            } else {
                Ok(Job::Lost)
            };
            match asked {
                Ok(Job::Running) => {}
                Ok(Job::Completed) => ended.push((due, RefreshPhase::Completed)),
                Ok(Job::Failed) => ended.push((due, RefreshPhase::Failed)),
                // It was accepted, and that is all that is known.
                Ok(Job::Lost) => ended.push((due, RefreshPhase::Accepted)),
                Err(error) => tracing::warn!(object = %target, request_id = error.request_id, "{error}"),
            }
        }
        ended
    }
}

/// A job is followed this long: one that never ends would be asked for for ever.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A refresh that came to nothing for now is asked for again after this long, and ever more rarely then.
const AGAIN: Duration = Duration::from_secs(30);

fn open(entity: Entity) -> String {
    format!(
        "Nobody can tell whether a refresh of {entity} was started: the answer was lost, or the operator ended in \
         between. It is not asked for again before `tradewind refresh` does"
    )
}
