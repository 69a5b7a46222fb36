//! The decision: what is known of one object and its record, and the one step that follows.
//!
//! [`decide`] is pure, total, and reads like the table in `docs/protocol.md`: the first row that matches wins. It
//! is asked twice: without a sight of the provider it either decides or asks for a look; with one it decides.

pub use super::{
    facts::{Drift, Facts, LinkState, Look, Policy, Sighting},
    resolution::Resolution,
    step::{Release, Step, Waiting},
};
use super::{ids::ExternalId, intent::Creation, reason::Reason};
use crate::api::v1alpha1::{
    AdoptionPolicy, DeletionPolicy, ExternalLossPolicy, ManagementPolicy, ReplacementPolicy, StoredIntent,
};

/// The decision. First match wins; a step that needs an account is blocked where there is none.
#[must_use]
pub fn decide(f: &Facts<'_>) -> Step {
    match (choose(f), f.unreachable) {
        (step, Some(problem)) if step.needs_account() => Step::Blocked(problem.clone()),
        (step, _) => step,
    }
}

fn choose(f: &Facts<'_>) -> Step {
    if f.deleting {
        return deleting(f);
    }
    let observe_only = f.policy.management == ManagementPolicy::ObserveOnly;
    if !f.bound && !observe_only && *f.creation != Creation::NotStarted {
        return Step::Rebind;
    }
    if let Creation::Unverifiable(intent) = f.creation {
        return match f.resolution {
            Some(answer) => resolve(f, answer),
            None => with_candidates(f, intent.as_ref(), Reason::CreateOutcomeUnknown),
        };
    }
    if f.other_account {
        return Step::Halt(Reason::AccountMismatch, vec![]);
    }
    if f.policy.suspend {
        return Step::Suspended;
    }
    if observe_only {
        return observing(f);
    }
    match f.creation {
        Creation::NotStarted => not_started(f),
        Creation::Pending(intent) => match f.resolution {
            Some(answer) => resolve(f, answer),
            None => pending(f, intent),
        },
        Creation::Done(id) => done(f, id),
        Creation::Unverifiable(intent) => with_candidates(f, intent.as_ref(), Reason::CreateOutcomeUnknown),
    }
}

/// Rows 0 to 5: deletion needs neither a valid spec nor, where nothing is deleted, a look at the provider.
fn deleting(f: &Facts<'_>) -> Step {
    if f.policy.deletion == DeletionPolicy::Retain || f.policy.management == ManagementPolicy::ObserveOnly {
        // Who declares the same again must find what stays.
        return if f.unlisted { Step::Wait(Waiting::Listing) } else { Step::Release(Release::Retained) };
    }
    match f.creation {
        // Of an attempt that was given up, or of one that another one was to replace.
        Creation::NotStarted if f.any_link => Step::Wait(Waiting::Link),
        Creation::NotStarted => Step::Release(Release::NothingMade),
        // Whoever says that nothing is its own has it let go, also where no account can be asked any more.
        Creation::Unverifiable(_) | Creation::Pending(_)
            if f.resolution == Some(&Resolution::CreateAnew) && !f.any_link =>
        {
            Step::Release(Release::NothingMade)
        }
        Creation::Unverifiable(intent) => match f.resolution {
            Some(answer) => resolve(f, answer),
            None => with_candidates(f, intent.as_ref(), Reason::DeletionBlocked),
        },
        Creation::Pending(_) | Creation::Done(_) if f.other_account => Step::Halt(Reason::AccountMismatch, vec![]),
        Creation::Pending(_) | Creation::Done(_) if f.any_link => Step::Wait(Waiting::Link),
        Creation::Done(_) if f.held => Step::Release(Release::HeldByAnother),
        Creation::Done(id) if f.anothers => Step::Halt(Reason::ExternalIdConflict, vec![id.clone()]),
        Creation::Done(id) => Step::Delete(id.clone()),
        Creation::Pending(intent) => match (f.resolution, pending(f, intent)) {
            (Some(answer), _) => resolve(f, answer),
            (None, Step::Settle(..)) => Step::Release(Release::NothingMade),
            (None, Step::Halt(_, candidates)) => Step::Halt(Reason::DeletionBlocked, candidates),
            (None, step) => step,
        },
    }
}

/// Row 1: nobody can tell whose the record is, so a person must.
fn with_candidates(f: &Facts<'_>, intent: Option<&StoredIntent>, reason: Reason) -> Step {
    match (f.seen, intent) {
        (None, Some(i)) => Step::Look(look_for(i)),
        (seen, _) => {
            let mut candidates = unheld(seen.unwrap_or_default());
            candidates.extend(f.recorded.filter(|id| !candidates.contains(id)).cloned());
            Step::Halt(reason, candidates)
        }
    }
}

/// A person may name a record only where the account lets objects adopt: else an editor could take anybody's.
fn resolve(f: &Facts<'_>, answer: &Resolution) -> Step {
    match answer {
        Resolution::Adopt(id) if f.adoption_allowed => match f.seen {
            None if f.held => Step::Halt(Reason::ExternalIdConflict, vec![id.clone()]),
            None => Step::Look(Look::Id(id.clone())),
            Some([one]) if one.held => Step::Halt(Reason::ExternalIdConflict, vec![id.clone()]),
            Some([_]) => Step::Resolve(answer.clone()),
            Some(_) => Step::Halt(Reason::ExternalNotFound, vec![id.clone()]),
        },
        Resolution::Adopt(id) => Step::Halt(Reason::AdoptionForbidden, vec![id.clone()]),
        Resolution::CreateAnew => Step::Resolve(answer.clone()),
    }
}

/// Row 7.
fn observing(f: &Facts<'_>) -> Step {
    if !f.adoption_allowed {
        return Step::Halt(Reason::AdoptionForbidden, vec![]);
    }
    let recorded = match f.creation {
        Creation::Done(id) => Some(id),
        // An attempt that is left open is nobody's business here: what is recorded was seen.
        Creation::Pending(_) => f.recorded,
        Creation::NotStarted | Creation::Unverifiable(_) => None,
    };
    // What this object made it does not lose for another record.
    if let Some(own) = recorded.filter(|own| !f.observed_only && f.external_ref.is_some_and(|named| named != *own)) {
        return Step::Halt(Reason::ExternalIdConflict, vec![own.clone()]);
    }
    let look = match (f.external_ref.or(recorded), f.key) {
        (Some(id), _) => Look::Id(id.clone()),
        (None, Some(key)) => Look::Key(key.clone()),
        (None, None) => return f.problem.map_or(Step::Halt(Reason::InvalidSpec, vec![]), |p| Step::Blocked(p.clone())),
    };
    match f.seen {
        None => Step::Look(look),
        Some([]) if recorded.is_some() && f.in_grace => Step::Wait(Waiting::Absence),
        // Another one may have taken its place.
        Some([]) if f.external_ref.is_none() && recorded.is_some() => Step::Forget,
        Some([]) => Step::Halt(Reason::ExternalNotFound, vec![]),
        Some([one]) if recorded == Some(&one.id) => Step::Idle(one.id.clone()),
        Some([one]) => Step::RecordObserved(one.id.clone()),
        Some(many) => Step::Halt(Reason::AmbiguousMatch, ids(many)),
    }
}

/// Rows 8 and 9: the only place that creates.
fn not_started(f: &Facts<'_>) -> Step {
    if let Some(problem) = f.problem.or(f.refused) {
        return Step::Blocked(problem.clone());
    }
    let seen = match (f.seen, f.external_ref, f.key) {
        (Some(seen), _, _) => seen,
        // Before it is looked at with a token of its own.
        (None, Some(id), _) if f.held => return Step::Halt(Reason::ExternalIdConflict, vec![id.clone()]),
        (None, Some(id), _) if !f.adoption_allowed => return Step::Halt(Reason::AdoptionForbidden, vec![id.clone()]),
        (None, Some(id), _) => return Step::Look(Look::Id(id.clone())),
        (None, None, Some(key)) => return Step::Look(Look::Key(key.clone())),
        (None, None, None) => &[],
    };
    let claimed = f.key_claimed && f.external_ref.is_none();
    match seen {
        [] if f.external_ref.is_some() => Step::Halt(Reason::ExternalNotFound, vec![]),
        [] if f.key_claimed => Step::Halt(Reason::ExternalIdConflict, vec![]),
        [] => Step::Create,
        [one] if one.held || claimed => Step::Halt(Reason::ExternalIdConflict, vec![one.id.clone()]),
        [one] => adopt(f, one),
        many => Step::Halt(Reason::AmbiguousMatch, ids(many)),
    }
}

fn adopt(f: &Facts<'_>, one: &Sighting) -> Step {
    match (f.policy.adoption, &f.drift) {
        (AdoptionPolicy::Fail, _) => Step::Halt(Reason::AlreadyExists, vec![one.id.clone()]),
        _ if !f.adoption_allowed => Step::Halt(Reason::AdoptionForbidden, vec![one.id.clone()]),
        (AdoptionPolicy::Match, Drift::Fields(_) | Drift::Replacement(_))
        | (AdoptionPolicy::Override, Drift::Replacement(_)) => Step::Halt(Reason::NotMatch, vec![one.id.clone()]),
        (AdoptionPolicy::Match, Drift::None) | (AdoptionPolicy::Override, Drift::None | Drift::Fields(_)) => {
            Step::Adopt(one.id.clone())
        }
    }
}

/// Rows 5 and 10: what became of an open attempt?
fn pending(f: &Facts<'_>, intent: &StoredIntent) -> Step {
    // No look says more than that. A link would be another attempt's, which may still come to something.
    if f.comes_to_nothing && f.link == LinkState::None {
        return Step::Settle(None, vec![]);
    }
    let Some(seen) = f.seen else { return Step::Look(look_for(intent)) };
    let ours: Vec<&Sighting> = seen.iter().filter(|s| s.authored && !s.held && !s.doubtful).collect();
    let doubt = seen.iter().any(|s| s.doubtful);
    let has_key = intent.key.is_some();
    // What another object holds is that object's, and leaves no doubt.
    let only = |one: &Sighting| seen.iter().all(|other| other.held || other.id == one.id);
    match (f.link, ours.as_slice(), seen) {
        (LinkState::Live | LinkState::Lost, [one], _) if only(one) => Step::Record(one.id.clone()),
        // The old one may still be used until the new attempt is stored: what comes of it until then is this attempt's.
        (LinkState::Lost, _, []) if !f.deleting && !f.in_grace && f.external_ref.is_none() => invite(f),
        (LinkState::Lost, _, _) if !f.deleting && !f.in_grace => Step::Settle(None, vec![]),
        (LinkState::Live, _, _) => Step::Wait(Waiting::Person),
        (LinkState::Lost, _, _) => f.refused.map_or(Step::Wait(Waiting::LostLink), |why| Step::Blocked(why.clone())),
        (LinkState::None | LinkState::Expired, _, _) if f.in_grace => Step::Wait(Waiting::Grace),
        (LinkState::None | LinkState::Expired, [one], _) if has_key && only(one) => Step::Record(one.id.clone()),
        // Nobody used it: a new attempt takes the place of this one, unless the declaration names a record by now.
        (LinkState::Expired, [], []) if has_key && !f.deleting && f.external_ref.is_none() => invite(f),
        (LinkState::None | LinkState::Expired, [], []) if has_key => Step::Settle(None, vec![]),
        (LinkState::None | LinkState::Expired, [], _) if has_key && !doubt => {
            Step::Settle(Some(Reason::AlreadyExists), ids(seen))
        }
        (LinkState::None | LinkState::Expired, _, _) => Step::Halt(Reason::CreateOutcomeUnknown, candidates(f, seen)),
    }
}

/// What the open attempt may have made: what the look shows, or what its own answer named.
fn candidates(f: &Facts<'_>, seen: &[Sighting]) -> Vec<ExternalId> {
    let seen = unheld(seen);
    if seen.is_empty() { f.named.to_vec() } else { seen }
}

/// A new link for one that nobody used or nobody has, if it would be given.
fn invite(f: &Facts<'_>) -> Step {
    f.problem.or(f.refused).map_or(Step::Create, |problem| Step::Blocked(problem.clone()))
}

/// Rows 11 to 13.
fn done(f: &Facts<'_>, id: &ExternalId) -> Step {
    if f.held || f.anothers || f.external_ref.is_some_and(|named| named != id) {
        return Step::Halt(Reason::ExternalIdConflict, vec![id.clone()]);
    }
    match f.seen {
        None => Step::Look(Look::Id(id.clone())),
        Some([]) if f.in_grace => Step::Wait(Waiting::Absence),
        Some([]) if f.replacing && f.policy.replacement == ReplacementPolicy::Recreate => Step::Forget,
        Some([]) if f.policy.loss == ExternalLossPolicy::Recreate => Step::Forget,
        Some([]) => Step::Halt(Reason::ExternalNotFound, vec![id.clone()]),
        Some([_, ..]) if f.restored => Step::Halt(Reason::CredentialsRestored, vec![id.clone()]),
        Some([_, ..]) => present(f, id),
    }
}

fn present(f: &Facts<'_>, id: &ExternalId) -> Step {
    match &f.drift {
        // A record is not given up while the next one could not be made.
        Drift::Replacement(_) if f.policy.replacement == ReplacementPolicy::Recreate => {
            f.problem.map_or(Step::Replace(id.clone()), |p| Step::Blocked(p.clone()))
        }
        // What it has loaded is its store's, whatever else is wanted of it.
        Drift::Replacement(_) if f.refresh_due && f.problem.is_none() => Step::Refresh(id.clone()),
        Drift::Replacement(_) => Step::Halt(Reason::ReplacementRequired, vec![id.clone()]),
        Drift::Fields(_) | Drift::None if f.problem.is_some() => {
            f.problem.map_or(Step::Idle(id.clone()), |p| Step::Blocked(p.clone()))
        }
        // Its health says so; a change or a refresh would be refused until then.
        Drift::Fields(_) | Drift::None if f.needs_person => Step::Idle(id.clone()),
        Drift::Fields(_) => Step::Update(id.clone()),
        Drift::None if f.refresh_due => Step::Refresh(id.clone()),
        Drift::None => Step::Idle(id.clone()),
    }
}

/// While an attempt is open its own key counts, never the present spec.
fn look_for(intent: &StoredIntent) -> Look {
    super::intent::key_of(intent).map_or_else(|| Look::Window(Box::new(intent.clone())), Look::Key)
}

fn ids(seen: &[Sighting]) -> Vec<ExternalId> {
    seen.iter().map(|s| s.id.clone()).collect()
}

fn unheld(seen: &[Sighting]) -> Vec<ExternalId> {
    seen.iter().filter(|s| !s.held).map(|s| s.id.clone()).collect()
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
