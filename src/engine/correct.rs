//! A record that differs is corrected: changed in place, or replaced by a new one.

use super::{
    act::{DeleteReason, Removal, Scene},
    error::PassError,
    halt::halt,
    object::Target,
    outcome::{self, Next},
    publish,
    record::action,
    report,
    writes::Write,
};
use crate::{
    api::v1alpha1::{AppliedCredentials, Rotation},
    domain::{
        conditions::State, decide::Look, diff::Difference, ids::ExternalId, reason::Reason, schedule, writes::Cause,
    },
    provider::{ApiError, External, Freshness, Operation, Pace},
};
use std::time::Duration;
use tokio::time::Instant;

/// A change that does not last this long is not sent again at once.
const MOMENT: Duration = Duration::from_mins(15);

impl<E: External> Scene<'_, E> {
    /// What stands where the new record is to be: the old one is not given up for nothing. In its turn: the look of this
    /// pass has used the budget, and would again.
    async fn in_the_way(&self, old: &ExternalId) -> Result<Option<(Reason, Vec<ExternalId>)>, ApiError> {
        let Some(key) = &self.key else { return Ok(None) };
        if self.claims.key_claimed() {
            return Ok(Some((Reason::ExternalIdConflict, vec![])));
        }
        let now = Freshness::After(Instant::now());
        let found = self.external.observe(&Look::Key(key.clone()), now, Pace::InTurn).await?;
        let others = found.into_iter().filter(|r| r.id != *old && r.have.is_some());
        let ids: Vec<ExternalId> = others.map(|r| r.id).collect();
        Ok((!ids.is_empty()).then_some((Reason::AlreadyExists, ids)))
    }

    /// Says that it will, deletes, and forgets: a crash in between finds the loss expected.
    pub(super) async fn replace(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        if let Err(problem) = publish::check(self.engine, target).await? {
            return outcome::blocked(self.engine, target, problem).await;
        }
        if let Some(in_the_way) = self.in_the_way(id).await.transpose() {
            return match in_the_way {
                Ok((reason, ids)) => halt(self.engine, target, reason, &ids, &self.drift).await,
                Err(error) => outcome::failed::<E>(self.engine, target, &error).await,
            };
        }
        // Once: as long as the deletion is held, or refused, what it waits for is what there is to say.
        let known = target.status.creation.as_ref().and_then(|creation| creation.replacing.as_deref());
        let state = (known != Some(id.as_str())).then(|| State::Correcting(self.drift.fields().to_vec()));
        report::change(self.engine, target, state.as_ref(), |status| {
            status.creation.get_or_insert_default().replacing = Some(id.to_string());
            status.drifted_fields = self.drift.fields().to_vec();
        })
        .await?;
        match self.remove(target, id, DeleteReason::Replace).await? {
            Removal::Done => {}
            Removal::Failed(error) => return outcome::failed::<E>(self.engine, target, &error).await,
            Removal::Held(problem, rest) => {
                self.keep_secret(target).await?;
                let works = self.summary().and_then(|s| s.health).is_none_or(|health| !health.needs_person());
                report::report(self.engine, target, &State::Failing { problem, keep_ready: works }).await?;
                return Ok(Next::After(rest));
            }
        }
        let text = format!("Deleted {id} to replace it: {} changed", self.drift.fields().join(", "));
        self.engine.tell(&target.reference, false, Reason::Updating, "Replace", &text).await;
        self.forget(target).await
    }

    pub(super) async fn update(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        let have = self.record.as_ref().and_then(|r| r.have.as_ref());
        let (Some(want), Some(have)) = (self.want.as_ref(), have) else { return Ok(Next::Change) };
        let fresh = self.supplies.fresh(target, &self.creation);
        let Difference::Update(change, fields) = E::diff(want, have, &target.status.applied_fields, fresh) else {
            return Ok(Next::Change);
        };
        let again = if fresh.is_none() { self.is_repeated(target, &fields) } else { None };
        if let Some(rest) = again.filter(|rest| !rest.is_zero()) {
            // The provider did not keep the last change: not sent again and again.
            self.keep_secret(target).await?;
            self.correcting(target, &fields).await?;
            return Ok(Next::After(rest));
        }
        let cause = match fresh {
            Some(_) => Cause::Credentials,
            None if self.has_drifted(target) => Cause::Drift,
            None => Cause::SpecChanged,
        };
        let write = Write::begin(self.engine, target, Operation::Update, cause, Some(id), fields.clone());
        let updated = self.external.update(id, &change).await;
        write.ended(updated.as_ref().map(|()| None));
        if let Err(error) = updated {
            return outcome::failed::<E>(self.engine, target, &error).await;
        }
        let (applied, at) = (E::fields(want), self.engine.clock.now());
        let rotation = match fresh {
            Some(_) => Some(self.verify(target, id).await),
            None => None,
        };
        let given = self.supplies.version.clone().filter(|_| fresh.is_some());
        let given = given.map(|given| AppliedCredentials { rotation, ..given });
        let known = target.status.applied_credentials.as_ref().and_then(|given| given.rotation);
        let health = self.summary().and_then(|s| s.health);
        let state = match again {
            Some(_) => State::Correcting(fields.clone()),
            None => self.standing(health.as_ref(), &target.status, rotation.or(known)),
        };
        let same = |fresh: &Target| fresh.status.external_id.as_deref() == Some(id.as_str());
        report::insist(
            self.engine,
            target,
            Some(&state),
            same,
            |_| false,
            |status| {
                status.applied_fields.clone_from(&applied);
                status.applied_credentials = given.clone().or(status.applied_credentials.take());
                status.drifted_fields.clear();
                status.last_action = Some(action("Updated", fields.clone(), at));
            },
        )
        .await?;
        let (reason, text) = told(cause, rotation, &fields);
        self.engine.tell(&target.reference, false, reason, "Update", &text).await;
        Ok(Next::After(Duration::from_millis(100)))
    }

    /// What can be read of a record goes on being told, also while it is not as it should be.
    pub(super) async fn keep_secret(&self, target: &Target) -> Result<(), PassError> {
        // Whose name is taken by now is told once it is as declared.
        publish::publish(self.engine, target, self.summary().and_then(|s| s.secret).as_ref()).await.map(drop)
    }

    async fn correcting(&self, target: &mut Target, fields: &[String]) -> Result<(), PassError> {
        report::change(self.engine, target, Some(&State::Correcting(fields.to_vec())), |status| {
            status.drifted_fields = fields.to_vec();
        })
        .await
    }

    /// Whether the very same fields were changed a moment ago to the very same values; and how long to wait before they are
    /// changed again: as long as it had not lasted then.
    fn is_repeated(&self, target: &Target, fields: &[String]) -> Option<Duration> {
        let last = target.status.last_action.as_ref().filter(|a| a.cause == "Updated" && a.fields == fields)?;
        let ago = Duration::try_from(self.engine.clock.now().duration_since(last.at.0)).unwrap_or_default();
        let sent = self.want.as_ref().is_some_and(|want| E::fields(want) == target.status.applied_fields);
        let lasted = outcome::lasting(last.at.0, &target.status.conditions);
        (sent && ago < MOMENT).then(|| schedule::backoff(lasted, &target.uid).saturating_sub(ago))
    }
}

/// What is told of a change that was made.
fn told(cause: Cause, rotation: Option<Rotation>, fields: &[String]) -> (Reason, String) {
    let is_drift = cause == Cause::Drift;
    let (reason, verb) = if is_drift { (Reason::DriftCorrected, "Put back") } else { (Reason::Updating, "Updated") };
    let (reason, verified) = match rotation {
        Some(Rotation::Verified) => (Reason::RotatedAndVerified, ": the store accepts the new credentials"),
        Some(Rotation::Unverified | Rotation::Rejected) | None => (reason, ""),
    };
    (reason, format!("{verb} {}{verified}", fields.join(", ")))
}
