//! An id comes into an object's status: made by its own attempt, adopted, or only observed.

use super::{
    account,
    act::Scene,
    claims::Claims,
    error::PassError,
    intent::{self, Given},
    meta::{self, Change},
    object::Target,
    outcome::{Next, SOON},
    publish, report,
    starting::Turn,
    supplies::Supplies,
};
use crate::{
    api::v1alpha1::{AdoptionPolicy, AppliedCredentials, LastAction, ManagedStatus, RefreshPhase, StoredIntent},
    domain::{
        advice,
        conditions::{Health, State, Type},
        facts::Drift,
        ids::ExternalId,
        reason::Reason,
        refresh::{self, Due, Entity},
    },
    provider::{External, Summary},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::time::Duration;
use strum::IntoEnumIterator;

/// What may have been before an id is recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    /// The provider may have given the record credentials of an earlier one.
    pub(super) restored: bool,
    /// The id may have been recorded already, and have been lost since.
    pub(super) forgotten: bool,
}

impl<E: External> Scene<'_, E> {
    /// The loads that belong to the creation. A token that is there by now is theirs, and asks for nothing more.
    /// `forgotten`: whether those that are to be asked for may have been already.
    fn first_loads(&self, target: &Target, forgotten: bool) -> Vec<(Due, RefreshPhase)> {
        let loads = self.want.as_ref().map(E::first_loads).unwrap_or_default();
        let known = |phase| if forgotten && phase == RefreshPhase::Due { RefreshPhase::Unknown } else { phase };
        let of = |entity| {
            let phase = loads.iter().find(|(e, _)| *e == entity).map(|(_, phase)| known(*phase));
            let token = refresh::token(target.refresh.as_deref(), entity);
            let phase = phase.or(token.as_ref().map(|_| RefreshPhase::Handled))?;
            Some((Due { entity, token: token.unwrap_or_else(|| refresh::INITIAL.to_owned()) }, phase))
        };
        Entity::iter().filter_map(of).collect()
    }

    /// The credentials that an adopted record is taken to have: those of today's Secret where it is taken as it is. Where
    /// differences are to be corrected they are given to it once it is adopted: nobody can read which ones it has. Where the
    /// provider takes none, a Secret that changes later is a concern from then on.
    async fn given_by_others(&self, target: &Target) -> Result<Option<AppliedCredentials>, PassError> {
        if !E::TAKES_CREDENTIALS {
            return Supplies::version_now::<E>(self.engine, target).await;
        }
        if target.spec.adoption_policy() != AdoptionPolicy::Match {
            return Ok(None);
        }
        let Some(want) = self.want.as_ref() else { return Ok(None) };
        Ok(Supplies::read(self.engine, self.external, target, Ok(want)).await?.version)
    }

    /// What is known of a record that a person names: what stood in status, if that spoke of this very record. In a restored
    /// cluster the Secrets are others by their UID; today's counts for the one of then, so that nothing is sent again.
    pub(super) async fn known_of(&self, id: Option<&ExternalId>, target: &Target) -> Result<Given, PassError> {
        let before = &target.status;
        let Some(id) = id else { return Ok(Given::default()) };
        let recorded = before.external_id.as_deref() == Some(id.as_str()) && !before.observed_only;
        let ours = self.is_candidate(target, id);
        if !recorded && !ours {
            // What takes new ones is given them next.
            let credentials =
                if E::TAKES_CREDENTIALS { None } else { Supplies::version_now::<E>(self.engine, target).await? };
            return Ok(Given { credentials, ..Given::default() });
        }
        let known = Given { fields: before.applied_fields.clone(), credentials: before.applied_credentials.clone() };
        match self.want.as_ref() {
            Some(want) if recorded && !ours && known.credentials.is_some() => {
                let today = Supplies::read(self.engine, self.external, target, Ok(want)).await?.version;
                Ok(Given { credentials: today, ..known })
            }
            Some(_) | None => Ok(known),
        }
    }

    /// Whether the open attempt may have made it, as the object says.
    fn is_candidate(&self, target: &Target, id: &ExternalId) -> bool {
        let mut candidates = target.status.creation.iter().flat_map(|creation| &creation.candidates);
        self.creation.pending().is_some() && candidates.any(|candidate| candidate == id.as_str())
    }

    /// The loads that a record asks for which a person names: those of its creation where the open attempt made it.
    pub(super) fn loads_of(&self, target: &Target, id: &ExternalId) -> Vec<(Due, RefreshPhase)> {
        if self.is_candidate(target, id) {
            return self.first_loads(target, is_forgotten(target));
        }
        handled(target, id).into_iter().map(|due| (due, RefreshPhase::Handled)).collect()
    }

    pub(super) async fn record(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        let (Some(intent), Some(summary)) = (self.creation.pending(), self.summary()) else { return Ok(Next::Change) };
        // Whether they came back, nobody has said; a person is not likely to have entered them within the grace.
        let restored = summary.has_credentials == Some(true) && target.status.authorization.is_none();
        let forgotten = is_forgotten(target);
        self.record_own(target, intent, id, &summary, Before { restored, forgotten }).await
    }

    /// Records what an own attempt made: the connection Secret first, the id second, both only while it is open. What it was
    /// made with stands in status since the attempt was stored; the spec may have been edited since.
    pub(super) async fn record_own(
        &self,
        target: &mut Target,
        intent: &StoredIntent,
        id: &ExternalId,
        summary: &Summary,
        before: Before,
    ) -> Result<Next, PassError> {
        report::check_open(self.engine, target, intent).await?;
        // What is being deleted needs no Secret any more, and a namespace that is being deleted takes none.
        let secret = summary.secret.as_ref().filter(|_| !target.deleting);
        let published = publish::publish(self.engine, target, secret).await;
        let at = self.engine.clock.now();
        let loads = self.first_loads(target, before.forgotten);
        let note_loads = |status: &mut ManagedStatus| {
            refresh::note_all(status, loads.iter().map(|(due, phase)| (due, *phase)), at);
        };
        let mut after = target.status.clone();
        note_loads(&mut after);
        let restored = before.restored && target.fears_restored();
        let fear =
            restored.then(|| advice::halted(Reason::CredentialsRestored, std::slice::from_ref(id), &Drift::None));
        let state = match &published {
            // Nobody may know the id but this pass, and the Secret can be written by any: so it goes first no longer.
            Err(_) => State::Creating("The record exists. Its connection Secret could not be written yet".to_owned()),
            Ok(conflict) => {
                let halted = conflict.clone().or(fear).map(State::Halted);
                halted.unwrap_or_else(|| present(summary.health.as_ref(), &after))
            }
        };
        report::commit(self.engine, target, intent, Some(&state), |status| {
            let creation = report::settle(status, intent);
            creation.key.clone_from(&intent.key);
            creation.restored = restored;
            status.authorization = None;
            name(status, Some(id));
            status.account = Some(self.identity.recorded());
            status.observed_only = false;
            status.last_action = Some(action("Created", vec![], at));
            note_loads(status);
            describe(status, summary);
        })
        .await?;
        tracing::info!(object = %target, id = %id, attempt = intent.attempt, "recorded");
        self.engine.tell(&target.reference, false, Reason::Creating, "Create", &format!("Created {id}")).await;
        published?;
        Ok(Next::After(Duration::from_secs(1)))
    }

    pub(super) async fn record_observed(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        report::change(self.engine, target, None, |status| {
            name(status, Some(id));
            status.observed_only = true;
            status.account = Some(self.identity.recorded());
        })
        .await?;
        Ok(Next::After(Duration::from_millis(100)))
    }

    /// The sole right to take a record that nobody else has, and who wants what while it lasts. Of two objects that want it at
    /// the same moment, the second one gets none until the cache shows what the first one did.
    pub(super) fn turn_at(&self, target: &Target, id: &ExternalId) -> Option<(Turn<'_>, Claims<'_>)> {
        let turn = self.engine.starting.turn_at(&self.identity.recorded(), id)?;
        let claims = Claims::gather::<E>(self.engine, target, &self.identity);
        (!claims.unsettled() && !claims.held(id)).then_some((turn, claims))
    }

    /// Finalizer first: what is recorded must be cleaned up.
    pub(super) async fn adopt(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        let Some(summary) = self.summary() else { return Ok(Next::Change) };
        if self.identity.organisation.is_none()
            && let Some(next) = account::name_it(self.engine, self.external, target).await?
        {
            return Ok(next);
        }
        // Before the claims are looked at: whoever creates with the key has then shown what came of it.
        let of_key = self.key.as_ref().map(|key| self.engine.starting.turn(&self.identity.recorded(), key));
        let Some((_turn, claims)) = self.turn_at(target, id) else { return Ok(Next::After(SOON)) };
        let claimed = target.spec.external_ref().is_none() && claims.key_claimed();
        if matches!(of_key, Some(None)) || claimed {
            return Ok(Next::After(SOON));
        }
        if !target.bound() {
            meta::patch(self.engine, target, Change { bound: true, ..Change::default() }).await?;
            if intent::loses_account(self.engine, target).await? {
                return Ok(Next::After(SOON));
            }
        }
        let conflict = publish::publish(self.engine, target, summary.secret.as_ref()).await?;
        let (handled, at) = (handled(target, id), self.engine.clock.now());
        let state = conflict.map_or_else(|| present(summary.health.as_ref(), &target.status), State::Halted);
        let given = self.given_by_others(target).await?;
        // It is as declared now, as far as can be seen. What can only be replaced is held to that from here on.
        let taken = self.want.as_ref().filter(|_| !E::TAKES_CHANGES).map(E::fields).unwrap_or_default();
        report::change(self.engine, target, Some(&state), |status| {
            name(status, Some(id));
            status.account = Some(self.identity.recorded());
            status.observed_only = false;
            status.applied_fields.clone_from(&taken);
            status.applied_credentials.clone_from(&given);
            status.last_action = Some(action("Adopted", vec![], at));
            let creation = status.creation.get_or_insert_default();
            creation.key = self.key.as_ref().map(ToString::to_string);
            (creation.refused, creation.candidates) = (None, vec![]);
            refresh::note_all(status, handled.iter().map(|due| (due, RefreshPhase::Handled)), at);
            describe(status, &summary);
        })
        .await?;
        self.engine.tell(&target.reference, false, Reason::Succeeded, "Adopt", &format!("Adopted {id}")).await;
        Ok(Next::After(Duration::from_millis(100)))
    }
}

/// What a record that is there says of itself. `status`: with the refreshes as they are now.
pub(super) fn present(health: Option<&Health>, status: &ManagedStatus) -> State {
    match health {
        Some(Health::Works { history }) => {
            State::Present(Health::Works { history: refresh::first_load(*history, status) })
        }
        Some(health) => State::Present(health.clone()),
        None => State::Creating("The record exists. Reading its health".to_owned()),
    }
}

/// Whether an id of the open attempt may have been recorded already, and been lost since.
fn is_forgotten(target: &Target) -> bool {
    target.status.creation.as_ref().is_none_or(|c| c.intent.is_none() || c.forgotten)
}

/// Names the record in status. What was said of another one says nothing of this one, nor does what was loaded into it.
pub(super) fn name(status: &mut ManagedStatus, id: Option<&ExternalId>) {
    if status.external_id.as_deref() == id.map(ExternalId::as_str) {
        return;
    }
    status.conditions.retain(|c| c.type_ != Type::InitialRefreshComplete.to_string());
    status.drifted_fields.clear();
    (status.refresh, status.last_sync_time) = (None, None);
    (status.platform, status.store_name, status.store_domain) = (None, None, None);
    status.external_id = id.map(ToString::to_string);
}

pub(super) fn describe(status: &mut ManagedStatus, summary: &Summary) {
    let keep = |new: &Option<String>, old: &mut Option<String>| {
        if new.is_some() {
            old.clone_from(new);
        }
    };
    keep(&summary.platform, &mut status.platform);
    keep(&summary.store_name, &mut status.store_name);
    keep(&summary.store_domain, &mut status.store_domain);
    status.sync_status.clone_from(&summary.sync_status);
    status.sync_error.clone_from(&summary.sync_error);
    (status.has_credentials, status.has_webhook_secret) = (summary.has_credentials, summary.has_webhook_secret);
    // Whole seconds, as they are stored.
    let last = summary.last_sync.and_then(|t| Timestamp::from_second(t.as_second()).ok());
    status.last_sync_time = last.map(Time).or(status.last_sync_time.take());
}

/// The refreshes that are asked for at this moment and have not been of this record: it is there already.
pub(super) fn handled(target: &Target, id: &ExternalId) -> Vec<Due> {
    let of_another = ManagedStatus::default();
    let is_same = target.status.external_id.as_deref() == Some(id.as_str());
    let known = if is_same { &target.status } else { &of_another };
    Entity::iter().filter_map(|entity| refresh::asked(target.refresh.as_deref(), known, entity)).collect()
}

pub(super) fn action(cause: &str, fields: Vec<String>, at: Timestamp) -> LastAction {
    let at = Time(Timestamp::from_second(at.as_second()).unwrap_or(at));
    LastAction { cause: cause.to_owned(), fields, at }
}
