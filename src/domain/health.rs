//! What a provider says of a record's health, in words that hold for every provider.
//!
//! It must never say what follows from that: see [`super::conditions`].

use super::reason::Problem;

/// How far the first load of data is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum History {
    /// Nobody says, and nobody here asked for one.
    #[default]
    Untold,
    /// It was started, and the provider does not say how far it is.
    Unseen,
    /// It is still to be asked for, for the first time or once more.
    Due,
    /// It is under way.
    Loading,
    /// It is complete.
    Loaded,
    /// It failed.
    Failed,
    /// Nobody can tell whether it was started.
    Unknown,
}

/// What the provider says of a record's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Works {
        /// How far the first load of data is.
        history: History,
    },
    /// The first sync is not done; reads answer nothing yet.
    FirstSync,
    /// It has errors that the provider retries by itself.
    Unhealthy,
    /// A person must authorize it for the first time, or give it credentials, as the sentence says.
    AwaitsAuthorization(String),
    /// A person must authorize it again.
    NeedsAuthorization,
    /// It works, but is not what was declared.
    Wrong(Problem),
    /// The provider switched it off, for this reason in our words.
    Disabled(String),
}

impl Health {
    /// Whether nothing more is expected to change by itself.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Works { history } => !matches!(history, History::Due | History::Loading),
            Self::Disabled(_) | Self::Wrong(_) => true,
            Self::FirstSync | Self::Unhealthy | Self::AwaitsAuthorization(_) | Self::NeedsAuthorization => false,
        }
    }

    /// Whether a person has to do something at the provider before the record takes a change.
    #[must_use]
    pub fn needs_person(&self) -> bool {
        match self {
            Self::NeedsAuthorization | Self::Disabled(_) | Self::Wrong(_) => true,
            // What was asked for first may still be changed.
            Self::Works { .. } | Self::FirstSync | Self::Unhealthy | Self::AwaitsAuthorization(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::Reason;
    use rstest::rstest;

    #[rstest]
    #[case::works(Health::Works { history: History::Loaded }, true, false)]
    #[case::nobody_tells_of_a_load(Health::Works { history: History::Untold }, true, false)]
    #[case::is_to_load(Health::Works { history: History::Due }, false, false)]
    #[case::loads(Health::Works { history: History::Loading }, false, false)]
    #[case::first_sync(Health::FirstSync, false, false)]
    #[case::unhealthy(Health::Unhealthy, false, false)]
    #[case::awaits_authorization(Health::AwaitsAuthorization("why".into()), false, false)]
    #[case::needs_authorization(Health::NeedsAuthorization, false, true)]
    #[case::wrong(Health::Wrong(Problem::new(Reason::EnvironmentMismatch, "why")), true, true)]
    #[case::disabled(Health::Disabled("why".into()), true, true)]
    fn what_is_to_be_expected_of_it(#[case] health: Health, #[case] settled: bool, #[case] needs_person: bool) {
        assert_eq!((health.is_settled(), health.needs_person()), (settled, needs_person), "{health:?}");
    }
}
