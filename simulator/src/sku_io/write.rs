//! Making, changing and deleting instances, and having their data loaded again.
//!
//! SKU.io's page "Create Integration Instance" and its specification: a create starts both refreshes by itself, a
//! change is merged deeply, a delete is answered before the clean-up is done.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::call::Call;
use super::fields::{self, NAME, Scope, TOKEN};
use super::instance::{Change, Entity, Instance, Presence, Refresh, Starter};
use super::job::Job;
use super::refusal::{Errors, Refusal};
use super::{Answer, SkuIo, view};
use crate::clock::later;
use crate::journal::dotted;
use crate::provider::Judgement;
use crate::rutter::Origin;

impl SkuIo {
    pub(super) fn create(&mut self, call: &Call, judgement: &Judgement) -> Result<Answer, Refusal> {
        let body = call.json_object()?;
        let (draft, mut errors) = fields::read(&body, Scope::Create, &self.settings);
        self.check_name(call.now, &call.account.tenant_id, draft.name(), None, &mut errors);
        refuse(&errors)?;
        if let Some(status) = judgement.refused {
            return Err(Refusal::bad_credentials(status, TOKEN));
        }
        let mut instance = Instance::new(call.now, call.account.tenant_id.clone(), Origin::Api);
        instance.absorb(call.now, draft);
        instance.refused_at = judgement.sours.map(|(after, _)| later(call.now, after));
        let id = self.ledger.add(instance);
        for entity in [Entity::Products, Entity::Orders] {
            self.start(call.now, id, entity, Starter::Create);
        }
        let status = if self.settings.old_statuses { StatusCode::OK } else { StatusCode::CREATED };
        self.show(call.now, id, status, "Integration instance created.")
    }

    pub(super) fn update(&mut self, call: &Call, id: &str, judgement: &Judgement) -> Result<Answer, Refusal> {
        let id = self.writable(call, id)?.id;
        let body = call.json_object()?;
        let scope = if call.request.method() == Method::PUT { Scope::Whole } else { Scope::Part };
        let (draft, mut errors) = fields::read(&body, scope, &self.settings);
        self.check_name(call.now, &call.account.tenant_id, draft.name(), Some(id), &mut errors);
        refuse(&errors)?;
        if let (Some(status), Some(_)) = (judgement.refused, &draft.token) {
            return Err(Refusal::bad_credentials(status, TOKEN));
        }
        let soured = draft.token.as_ref().and(judgement.sours);
        let changed = self.ledger.absorb(call.now, id, draft);
        if let Some(instance) = self.ledger.by_id_mut(id) {
            if let Some((after, _)) = soured {
                instance.refused_at = Some(later(call.now, after));
            }
            instance.changes.push(Change {
                at: call.now,
                method: call.request.method().to_string(),
                sent: dotted(&body),
                side_effects: Instance::side_effects(&changed),
                changed,
            });
        }
        self.show(call.now, id, StatusCode::OK, "Integration instance updated.")
    }

    pub(super) fn delete(&mut self, call: &Call, id: &str) -> Result<Answer, Refusal> {
        let id = self.writable(call, id)?.id;
        if let Some(instance) = self.ledger.by_id_mut(id) {
            instance.deleted_at = Some(call.now);
        }
        let response = if self.settings.old_statuses {
            view::success(&self.settings, StatusCode::OK, json!([]), "Integration instance deleted.")
        } else {
            no_content()
        };
        Ok(Answer { response, instance: Some(id) })
    }

    /// A body is ignored: the reference shows none.
    pub(super) fn refresh(&mut self, call: &Call, id: &str, entity: Entity) -> Result<Answer, Refusal> {
        let id = self.writable(call, id)?.id;
        let job = self.start(call.now, id, entity, Starter::Request);
        let mut data = json!({"integration_instance_id": id});
        if let (true, Some(data)) = (self.settings.tracked_jobs, data.as_object_mut()) {
            data.insert("tracked_job_log_id".to_owned(), job.into());
        }
        let response = view::success(&self.settings, StatusCode::OK, data, "The refresh has been queued.");
        Ok(Answer { response, instance: Some(id) })
    }

    /// Queues a refresh; its job.
    fn start(&mut self, now: Timestamp, id: u64, entity: Entity, by: Starter) -> u64 {
        let job = super::FIRST_JOB + self.jobs.len() as u64;
        if let Some(instance) = self.ledger.by_id_mut(id) {
            instance.refreshes.push(Refresh { entity, by, at: now, job });
            let tenant_id = instance.tenant_id.clone();
            let doomed = instance.refused_at.is_some_and(|at| at <= now);
            self.jobs.push(Job { id: job, tenant_id, instance: id, entity, queued_at: now, doomed, set: None });
        }
        job
    }

    /// The instance that is to be changed.
    fn writable(&self, call: &Call, id: &str) -> Result<&Instance, Refusal> {
        let moment = self.moment(call.now);
        let instance = self.readable(call, id)?;
        if instance.presence(&moment) != Presence::Live {
            Err(Refusal::no_such_record())
        } else if instance.is_locked(&moment) {
            Err(Refusal::locked())
        } else {
            Ok(instance)
        }
    }

    /// A name is taken as long as there is anything left of its bearer, whatever its case.
    pub(super) fn check_name(
        &self,
        now: Timestamp,
        tenant_id: &str,
        name: Option<&str>,
        bearer: Option<u64>,
        errors: &mut Errors,
    ) {
        let Some(name) = name else { return };
        let moment = self.moment(now);
        let mut others = self.ledger.named(tenant_id, name).filter(|other| Some(other.id) != bearer);
        if others.any(|other| other.presence(&moment) != Presence::Gone) {
            errors.entry(NAME.to_owned()).or_default().push("The name has already been taken.".to_owned());
        }
    }

    fn show(&self, now: Timestamp, id: u64, status: StatusCode, message: &str) -> Result<Answer, Refusal> {
        let instance = self.ledger.by_id(id).ok_or_else(Refusal::no_such_record)?;
        let data = view::instance(instance, &self.moment(now), true);
        Ok(Answer { response: view::success(&self.settings, status, data, message), instance: Some(id) })
    }
}

fn refuse(errors: &Errors) -> Result<(), Refusal> {
    if errors.is_empty() { Ok(()) } else { Err(Refusal::invalid(errors)) }
}

fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
