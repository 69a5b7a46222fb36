//! What a pass may do: the one step that the decision names.

use super::{
    facts::Look,
    ids::ExternalId,
    reason::{Problem, Reason},
    resolution::Resolution,
};

/// Why an object may go without a delete at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Nothing was ever made.
    NothingMade,
    /// The policy says that the record stays.
    Retained,
    /// Another object holds the record.
    HeldByAnother,
}

/// What an object waits for without a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The grace of an open attempt.
    Grace,
    /// The grace of a record that a list does not show.
    Absence,
    /// The grace of a record that is to stay, and that lists may not show yet.
    Listing,
    /// A person.
    Person,
    /// The grace of a link that nobody has: another one takes its place after it.
    LostLink,
    /// A link that a person may still use.
    Link,
}

/// The one step of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look first, then decide again.
    Look(Look),
    /// Remove our finalizer.
    Release(Release),
    /// Put our finalizer, and the annotation, back.
    Rebind,
    /// Stop and say why, until somebody changes something.
    Halt(Reason, Vec<ExternalId>),
    /// Stop and say what keeps the declaration from being carried out.
    Blocked(Problem),
    /// Wait.
    Wait(Waiting),
    /// Record the id that the open attempt made.
    Record(ExternalId),
    /// Record an id that is only observed.
    RecordObserved(ExternalId),
    /// Take over a record that somebody else made.
    Adopt(ExternalId),
    /// Settle the open attempt without a record, for this reason if it is one to report.
    Settle(Option<Reason>, Vec<ExternalId>),
    /// Carry out a person's answer.
    Resolve(Resolution),
    /// Create the record.
    Create,
    /// Forget an id whose record is gone.
    Forget,
    /// Delete the record because the object is being deleted.
    Delete(ExternalId),
    /// Delete the record to make a new one.
    Replace(ExternalId),
    /// Change the record.
    Update(ExternalId),
    /// Start a refresh.
    Refresh(ExternalId),
    /// Report that writes are suspended.
    Suspended,
    /// All is as declared: report the record's health.
    Idle(ExternalId),
}

impl Step {
    /// Whether the step asks or changes the provider.
    #[must_use]
    pub fn needs_account(&self) -> bool {
        match self {
            Self::Look(_)
            | Self::Resolve(_)
            | Self::Create
            | Self::Delete(_)
            | Self::Replace(_)
            | Self::Update(_)
            | Self::Refresh(_)
            | Self::Idle(_) => true,
            Self::Release(_)
            | Self::Rebind
            | Self::Halt(..)
            | Self::Blocked(_)
            | Self::Wait(_)
            | Self::Record(_)
            | Self::RecordObserved(_)
            | Self::Adopt(_)
            | Self::Settle(..)
            | Self::Forget
            | Self::Suspended => false,
        }
    }

    /// Whether the record was looked at, and is to stay as far as this pass can tell.
    #[must_use]
    pub fn keeps_record(&self) -> bool {
        matches!(self, Self::Update(_) | Self::Refresh(_) | Self::Idle(_) | Self::Halt(Reason::ReplacementRequired, _))
    }

    /// The record that was looked at for the step, which needs what was read of it.
    #[must_use]
    pub fn record(&self) -> Option<&ExternalId> {
        match self {
            Self::Record(id)
            | Self::RecordObserved(id)
            | Self::Adopt(id)
            | Self::Update(id)
            | Self::Refresh(id)
            | Self::Replace(id)
            | Self::Idle(id)
            | Self::Resolve(Resolution::Adopt(id)) => Some(id),
            // It goes on being told of.
            Self::Halt(Reason::ReplacementRequired, ids) => ids.first(),
            Self::Look(_)
            | Self::Release(_)
            | Self::Rebind
            | Self::Halt(..)
            | Self::Blocked(_)
            | Self::Wait(_)
            | Self::Settle(..)
            | Self::Resolve(Resolution::CreateAnew)
            | Self::Create
            | Self::Forget
            | Self::Delete(_)
            | Self::Suspended => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn id() -> ExternalId {
        ExternalId::new("a")
    }

    #[rstest]
    #[case::change(Step::Update(id()), true)]
    #[case::refresh(Step::Refresh(id()), true)]
    #[case::idle(Step::Idle(id()), true)]
    #[case::what_is_not_replaced(Step::Halt(Reason::ReplacementRequired, vec![id()]), true)]
    #[case::replacement(Step::Replace(id()), false)]
    #[case::adoption(Step::Adopt(id()), false)]
    fn a_step_at_a_record_names_it_and_says_whether_it_stays(#[case] step: Step, #[case] stays: bool) {
        assert_eq!((step.record(), step.keeps_record()), (Some(&id()), stays));
    }

    #[rstest]
    #[case::another_halt(Step::Halt(Reason::ExternalNotFound, vec![id()]))]
    #[case::create(Step::Create)]
    #[case::delete_without_a_look(Step::Delete(id()))]
    fn of_others_nothing_was_read(#[case] step: Step) {
        assert_eq!((step.record(), step.keeps_record()), (None, false));
    }
}
