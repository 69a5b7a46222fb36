//! What is told of a write at a provider: one line in the log and one count, whatever ends it (docs/logs.md).
//!
//! It must never tell the value of a field: only which fields there were.

use super::{context::Engine, object::Target};
use crate::{
    domain::{
        ids::ExternalId,
        verdict::Effect,
        writes::{Cause, Outcome},
    },
    provider::{ApiError, Operation},
};

/// A write that is about to be sent. One that is dropped before its end was cut off by the end of its pass.
pub(super) struct Write<'a> {
    engine: &'a Engine,
    target: &'a Target,
    operation: Operation,
    cause: Cause,
    id: Option<&'a ExternalId>,
    fields: Vec<String>,
    under_way: bool,
}

impl<'a> Write<'a> {
    /// Right before the call. `id`: the record, if it is there already; `fields`: the paths of what is sent, or what is
    /// loaded.
    pub(super) fn begin(
        engine: &'a Engine,
        target: &'a Target,
        operation: Operation,
        cause: Cause,
        id: Option<&'a ExternalId>,
        fields: Vec<String>,
    ) -> Self {
        Self { engine, target, operation, cause, id, fields, under_way: true }
    }

    /// Right after the call. `made`: the record that it made.
    pub(super) fn ended(mut self, result: Result<Option<&ExternalId>, &ApiError>) {
        self.under_way = false;
        match result {
            Ok(made) => self.tell(Outcome::Applied, made, None),
            // Nothing was sent.
            Err(error) if !error.is_write() => {}
            Err(error) if error.effect == Effect::None => self.tell(Outcome::Refused, None, Some(error)),
            Err(error) => self.tell(Outcome::Unknown, None, Some(error)),
        }
    }

    fn tell(&self, outcome: Outcome, made: Option<&ExternalId>, error: Option<&ApiError>) {
        let Self { target, operation, cause, .. } = self;
        let provider = target.spec.provider();
        self.engine.metrics.write(provider, (*operation).into(), *cause, outcome);
        let (cause, told): (&str, &str) = ((*cause).into(), outcome.into());
        // A macro, because a level is a constant of its line.
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: "tradewind::writes",
                    $level,
                    kind = target.reference.kind,
                    namespace = target.namespace,
                    name = target.name,
                    uid = target.uid,
                    %provider,
                    %operation,
                    cause,
                    external_id = made.or(self.id).map(tracing::field::display),
                    fields = self.fields.join(","),
                    outcome = told,
                    status = error.and_then(|e| e.status),
                    request_id = error.and_then(|e| e.request_id.as_deref()),
                    error = error.map(tracing::field::display),
                    "write"
                )
            };
        }
        match outcome {
            Outcome::Applied => line!(tracing::Level::INFO),
            Outcome::Refused | Outcome::Unknown => line!(tracing::Level::WARN),
        }
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        if self.under_way {
            self.tell(Outcome::Unknown, None, None);
        }
    }
}
