//! An object that stops, and says what a person must do.

use super::{
    context::Engine,
    error::PassError,
    known::Parts,
    object::Target,
    outcome::{self, Next},
    report,
};
use crate::domain::{advice, conditions::State, decide::Drift, ids::ExternalId, reason::Reason};

/// Says what a person must do. The records it is about stand in status, for `tradewind resolve`.
pub(super) async fn halt(
    engine: &Engine,
    target: &mut Target,
    reason: Reason,
    ids: &[ExternalId],
    drift: &Drift,
) -> Result<Next, PassError> {
    let answer = Parts::new(target).answer().cloned();
    let problem = match &answer {
        Some(id) => advice::unanswered(reason, id),
        None => advice::halted(reason, ids, drift),
    };
    let state = if target.deleting { State::Deleting(problem) } else { State::Halted(problem) };
    let is_open = target.creation().pending().is_some();
    report::change(engine, target, Some(&state), |status| {
        status.drifted_fields = drift.fields().to_vec();
        if let Some(creation) = status.creation.as_mut().filter(|_| reason == Reason::ReplacementRequired) {
            creation.replacing = None;
        }
        // An answer that cannot be carried out says nothing of the other records.
        if answer.is_some() {
            return;
        }
        // What the answer of an open attempt has named stands there alone.
        if !ids.is_empty() || status.creation.is_some() && !is_open {
            status.creation.get_or_insert_default().candidates = names(ids);
        }
    })
    .await?;
    engine.memory.succeeded(&target.uid);
    Ok(Next::After(outcome::backoff(engine, &target.uid, &target.status.conditions)))
}

/// As many as status may hold.
pub(super) fn names(ids: &[ExternalId]) -> Vec<String> {
    ids.iter().take(32).map(ToString::to_string).collect()
}
