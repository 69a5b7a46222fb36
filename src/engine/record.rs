//! An id comes into an object's status: made by its own attempt, adopted, or only observed.

use super::{
    act::Scene,
    error::PassError,
    meta::{self, Change},
    object::Target,
    outcome::Next,
    publish, report,
};
use crate::{
    api::v1alpha1::{AppliedField, LastAction, ManagedStatus, RefreshPhase, RefreshState, RefreshStatus, StoredIntent},
    domain::{
        conditions::{Health, State},
        ids::ExternalId,
        reason::Reason,
    },
    provider::{External, Summary},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::time::Duration;

impl<E: External> Scene<'_, E> {
    pub(super) async fn record(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        let (Some(intent), Some(summary)) = (self.pending(), self.summary()) else { return Ok(Next::Change) };
        let state = present(summary.health.as_ref());
        // What it was made with is not known any more: the spec may have been edited since.
        self.record_own(target, intent, id, &summary, &state, vec![]).await
    }

    /// Records what an own attempt made: the connection Secret first, the id second, both only while it is open.
    pub(super) async fn record_own(
        &self,
        target: &mut Target,
        intent: &StoredIntent,
        id: &ExternalId,
        summary: &Summary,
        state: &State,
        made_with: Vec<AppliedField>,
    ) -> Result<Next, PassError> {
        report::check_open(self.engine, target, intent).await?;
        // What is being deleted needs no Secret any more, and a namespace that is being deleted takes none.
        let secret = summary.secret.as_ref().filter(|_| !target.deleting);
        let conflict = publish::publish(self.engine, target, secret).await?;
        let state = conflict.map_or_else(|| state.clone(), State::Halted);
        let version = self.version.clone();
        let (handled, at) = (target.refresh.clone(), self.engine.clock.now());
        report::commit(self.engine, target, intent, Some(&state), |status| {
            report::settle(status, intent).key.clone_from(&intent.key);
            status.external_id = Some(id.to_string());
            status.account = Some(self.identity.recorded());
            status.observed_only = false;
            status.applied_fields.clone_from(&made_with);
            status.applied_credentials.clone_from(&version);
            status.last_action = Some(action("Created", vec![], at));
            handle_refresh(status, handled.as_ref(), RefreshPhase::Handled, at);
            describe(status, summary);
        })
        .await?;
        tracing::info!(object = %target, id = %id, attempt = intent.attempt, "created");
        self.engine.tell(&target.reference, false, Reason::Creating, "Create", &format!("Created {id}")).await;
        Ok(Next::After(Duration::from_secs(1)))
    }

    pub(super) async fn record_observed(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        report::change(self.engine, target, None, |status| {
            status.external_id = Some(id.to_string());
            status.observed_only = true;
            status.account = Some(self.identity.recorded());
        })
        .await?;
        Ok(Next::After(Duration::from_millis(100)))
    }

    /// Finalizer first: what is recorded must be cleaned up.
    pub(super) async fn adopt(&self, target: &mut Target, id: &ExternalId) -> Result<Next, PassError> {
        let Some(summary) = self.summary() else { return Ok(Next::Change) };
        if !target.bound() {
            meta::patch(self.engine, target, Change { bound: true, ..Change::default() }).await?;
        }
        let conflict = publish::publish(self.engine, target, summary.secret.as_ref()).await?;
        let state = conflict.map_or_else(|| present(summary.health.as_ref()), State::Halted);
        let (handled, at) = (target.refresh.clone(), self.engine.clock.now());
        report::change(self.engine, target, Some(&state), |status| {
            status.external_id = Some(id.to_string());
            status.account = Some(self.identity.recorded());
            status.observed_only = false;
            status.applied_fields.clear();
            status.last_action = Some(action("Adopted", vec![], at));
            let creation = status.creation.get_or_insert_default();
            creation.key = self.key.as_ref().map(ToString::to_string);
            (creation.refused, creation.candidates) = (None, vec![]);
            handle_refresh(status, handled.as_ref(), RefreshPhase::Handled, at);
            describe(status, &summary);
        })
        .await?;
        self.engine.tell(&target.reference, false, Reason::Succeeded, "Adopt", &format!("Adopted {id}")).await;
        Ok(Next::After(Duration::from_millis(100)))
    }
}

pub(super) fn present(health: Option<&Health>) -> State {
    match health {
        Some(health) => State::Present(health.clone()),
        None => State::Creating("The record exists. Reading its health".to_owned()),
    }
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
    // Whole seconds, as they are stored.
    let last = summary.last_sync.and_then(|t| Timestamp::from_second(t.as_second()).ok());
    status.last_sync_time = last.map(Time).or(status.last_sync_time.take());
}

pub(super) fn handle_refresh(status: &mut ManagedStatus, token: Option<&String>, state: RefreshPhase, at: Timestamp) {
    let Some(token) = token else { return };
    let at = Time(Timestamp::from_second(at.as_second()).unwrap_or(at));
    let one = RefreshState { token: token.clone(), state, at, job: None };
    status.refresh = Some(RefreshStatus { products: Some(one.clone()), orders: Some(one) });
}

pub(super) fn action(cause: &str, fields: Vec<String>, at: Timestamp) -> LastAction {
    let at = Time(Timestamp::from_second(at.as_second()).unwrap_or(at));
    LastAction { cause: cause.to_owned(), fields, at }
}
