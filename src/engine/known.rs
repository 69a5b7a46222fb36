//! What is known of an object before anybody is asked: the facts that a decision begins with.

use super::{context::Engine, link, object::Target};
use crate::domain::{
    decide::{Drift, Facts, LinkState, Resolution},
    ids::ExternalId,
    intent::Creation,
    reason::Problem,
    validate,
};

/// What of an object the facts borrow.
pub(super) struct Parts {
    pub(super) creation: Creation,
    pub(super) recorded: Option<ExternalId>,
    /// What status names as a candidate.
    pub(super) named: Vec<ExternalId>,
    pub(super) external_ref: Option<ExternalId>,
    pub(super) resolution: Option<Resolution>,
}

impl Parts {
    pub(super) fn new(target: &Target) -> Self {
        Self {
            creation: target.creation(),
            recorded: target.recorded(),
            named: target.status.creation.iter().flat_map(|c| &c.candidates).map(ExternalId::new).collect(),
            external_ref: target.spec.external_ref().map(|r| ExternalId::new(&r.id)),
            resolution: target.resolve.as_deref().and_then(|text| Resolution::read(text, &target.stored())),
        }
    }
}

impl Parts {
    /// The record that a person has named as the answer to an open question.
    pub(super) fn answer(&self) -> Option<&ExternalId> {
        match (&self.creation, &self.resolution) {
            (Creation::Pending(_) | Creation::Unverifiable(_), Some(Resolution::Adopt(id))) => Some(id),
            (Creation::Pending(_) | Creation::Unverifiable(_) | Creation::Done(_) | Creation::NotStarted, _) => None,
        }
    }

    /// The record that the object is about, by its id: recorded, or named by its people.
    pub(super) fn record(&self) -> Option<&ExternalId> {
        match (&self.creation, &self.resolution) {
            (Creation::Done(_), _) => self.recorded.as_ref(),
            (Creation::NotStarted, _) => self.external_ref.as_ref(),
            (Creation::Pending(_) | Creation::Unverifiable(_), _) => self.answer(),
        }
    }
}

/// The facts before anything is known of the account.
pub(super) fn facts_without_account<'a>(
    engine: &Engine,
    target: &Target,
    parts: &'a Parts,
    problem: Option<&'a Problem>,
) -> Facts<'a> {
    let has_key = target.stored().intent().is_ok_and(|intent| intent.is_some_and(|intent| intent.key.is_some()));
    Facts {
        deleting: target.deleting,
        bound: target.bound(),
        creation: &parts.creation,
        policy: validate::policy(&target.spec),
        recorded: parts.recorded.as_ref(),
        observed_only: target.status.observed_only,
        external_ref: parts.external_ref.as_ref(),
        key: None,
        seen: None,
        other_account: false,
        held: false,
        anothers: false,
        named: &parts.named,
        key_claimed: false,
        in_grace: false,
        unlisted: has_key && !engine.patience(&target.uid, &parts.creation).is_zero(),
        comes_to_nothing: parts.creation.pending().is_some_and(|i| engine.memory.is_nothing(&target.uid, &i.nonce)),
        link: LinkState::None,
        any_link: link::any(target, engine.clock.now()),
        unreachable: problem,
        problem,
        refused: None,
        adoption_allowed: true,
        restored: false,
        replacing: target.status.creation.as_ref().is_some_and(|c| c.replacing.is_some()),
        drift: Drift::None,
        needs_person: false,
        refresh_due: false,
        resolution: parts.resolution.as_ref(),
    }
}
