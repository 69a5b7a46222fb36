//! The refusal of a create as it stands in status: what must change, or how much time must pass, before the same is sent again.

use super::{act::Scene, context::Engine, object::Target};
use crate::{
    api::v1alpha1::{AppliedCredentials, Refused},
    domain::{
        reason::{Problem, Reason},
        text::bounded,
    },
    provider::External,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::time::Duration;

/// What must change, or how much time must pass, before the same is sent again.
pub(super) fn note<E: External>(
    target: &Target,
    scene: &Scene<'_, E>,
    why: &Problem,
    delay: Option<Duration>,
) -> Refused {
    Refused {
        generation: target.generation,
        reason: why.reason.to_string(),
        message: bounded(&why.message),
        credentials: scene.supplies.version.clone(),
        retry_at: delay.and_then(|delay| later(scene.engine.clock.now(), delay)).map(Time),
    }
}

/// The refusal of the last create, as long as nothing has changed that could change the answer.
pub(super) fn stands(engine: &Engine, target: &Target, version: Option<&AppliedCredentials>) -> Option<Problem> {
    let refused = target.status.creation.as_ref()?.refused.as_ref()?;
    let waiting = refused.retry_at.as_ref().is_none_or(|t| engine.clock.now() < t.0);
    let same = refused.generation == target.generation && refused.credentials.as_ref() == version;
    (same && waiting && !target.is_requested()).then(|| problem(refused))
}

/// The one that the next attempt is to wait for, whatever that is for.
pub(super) fn waits(engine: &Engine, target: &Target) -> Option<Refused> {
    let refused = target.status.creation.as_ref()?.refused.as_ref()?;
    let waits = refused.retry_at.as_ref().is_some_and(|at| engine.clock.now() < at.0);
    waits.then(|| refused.clone())
}

/// What a refusal says.
pub(super) fn problem(refused: &Refused) -> Problem {
    Problem::new(refused.reason.parse().unwrap_or(Reason::ProviderRejected), refused.message.clone())
}

/// Stamps are stored in whole seconds: rounded up, so that nothing is tried too early.
fn later(now: Timestamp, delay: Duration) -> Option<Timestamp> {
    let then = now.saturating_add(SignedDuration::try_from(delay).ok()?).ok()?;
    Timestamp::from_second(then.as_second() + 1).ok()
}
