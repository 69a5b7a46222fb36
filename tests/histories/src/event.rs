//! What can happen at a point of a history, and where each can.

use std::time::Duration;

use strum::EnumIter;
use tradewind_simulator::Effect;

use crate::site::Site;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter)]
pub enum Event {
    // To the process.
    /// It is killed before its request is sent.
    CrashBefore,
    /// It is killed after its request took effect, before it has the answer.
    CrashAfter,
    /// It is asked to stop before its request is sent, and ends when what is under way has come to its end.
    Stop,
    /// Its request is held up on its way for longer than it waits for the answer, and takes effect then.
    Stall,
    /// The same, and another process starts at this moment and works beside it.
    Takeover,
    // To a request to the API server.
    /// It takes effect, and the answer is lost.
    KubeLost,
    /// The connection is lost at once; it takes effect later.
    KubeLate,
    /// It is refused: 500.
    KubeDown,
    /// It is refused, and so is all that follows for a while.
    KubeOut,
    /// Watches lag from here on, until the next rest.
    StaleView,
    /// Those of the objects do, and those of what they name do not.
    StaleObjects,
    /// All watches end, and who watches has to list anew.
    WatchLost,
    // To a request to a provider.
    /// It takes effect, and the answer is lost.
    LostAnswer,
    /// It takes effect, and the answer breaks in the middle.
    CutAnswer,
    /// It takes effect, and the answer is 500.
    FailAfter,
    /// It takes effect after the caller has given up.
    Slow,
    /// The connection is lost at once; it takes effect later.
    LateEffect,
    /// Refused: 400.
    Refuse400,
    /// Refused: 409.
    Refuse409,
    /// Refused: 429, and when to come back.
    Refuse429,
    /// Refused: 503.
    Refuse503,
    // At the provider, behind the operator's back.
    /// Somebody deletes the object's record.
    LoseRecord,
    /// Somebody changes the object's record.
    Drift,
    /// A stranger makes a record of the same store.
    Stranger,
    /// The merchant uses the last link that was handed out, wherever it stands by now.
    Consent,
    // By people in the cluster.
    /// Somebody deletes the object.
    Delete,
    /// Somebody deletes the object and applies it again as soon as it is gone.
    Redeclare,
    /// Somebody changes what can be changed in place.
    Edit,
    /// Somebody names another store.
    EditKey,
    /// Somebody suspends the object, until the next rest.
    Suspend,
    /// Somebody asks for a reconcile.
    AskReconcile,
    /// Somebody asks for a refresh.
    AskRefresh,
    /// Somebody replaces the object with their manifest, without our metadata.
    Replace,
    /// Somebody loses the object's status.
    WipeStatus,
    /// A backup brings the object back under a new UID, with status.
    RestoreFull,
    /// The same, without status.
    RestoreBare,
    /// The object's record is to stay from here on.
    SetRetain,
    /// The object's record is only looked at from here on.
    SetObserve,
    /// Somebody names a record that does not exist.
    NameWrongRecord,
    /// Somebody declares the same store in a second object.
    SecondObject,
    /// Somebody deletes the connection Secret.
    DeleteSecret,
    /// Somebody deletes the store's credentials, until the next rest.
    DeleteCredentials,
    /// Somebody gives the store other credentials, and the store refuses the ones before.
    RotateCredentials,
    /// Somebody deletes the account's login.
    DeleteLogin,
    /// Somebody gives the account another secret of its login.
    RotateLogin,
    /// Somebody deletes the account, and its login.
    DeleteAccount,
}

/// What a provider does to a request that meets one of these.
static FAULTS: [(Event, Effect); 9] = [
    (Event::LostAnswer, Effect::LostAnswer),
    (Event::CutAnswer, Effect::CutAnswer),
    (Event::FailAfter, Effect::StatusAfterApply { status: 500 }),
    (Event::Slow, Effect::SlowBefore { delay: Duration::from_secs(6) }),
    (Event::LateEffect, Effect::LateApply { delay: Duration::from_secs(4) }),
    (Event::Refuse400, Effect::Refuse { status: 400, retry_after: None }),
    (Event::Refuse409, Effect::Refuse { status: 409, retry_after: None }),
    (Event::Refuse429, Effect::Refuse { status: 429, retry_after: Some(7) }),
    (Event::Refuse503, Effect::Refuse { status: 503, retry_after: None }),
];

impl Event {
    /// Whether it can happen there: what cannot would be another history's double.
    #[must_use]
    pub fn fits(self, site: &Site) -> bool {
        let (changes, asks) = (site.has_effect(), site.is_call());
        if matches!(self, Self::CrashBefore | Self::Stop) {
            *site != Site::Rest
        } else if matches!(self, Self::CrashAfter | Self::Stall | Self::Takeover) {
            (changes || asks && self == Self::CrashAfter) && !site.is_courtesy()
        } else if matches!(self, Self::KubeLost | Self::KubeLate | Self::KubeOut) {
            site.is_kube_write()
        } else if self == Self::KubeDown {
            site.is_kube_write() || site.is_kube_read()
        } else if self.effect().is_some() {
            let of_reads = [Self::CutAnswer, Self::Refuse400, Self::Refuse429, Self::Refuse503];
            asks && (changes || of_reads.contains(&self))
        } else {
            // What people do between two reads is the same as before both of them.
            changes || asks || *site == Site::Rest
        }
    }

    /// Whether it is trouble of the machinery: nobody has done it.
    pub(crate) fn is_fault(self) -> bool {
        self.meets_the_request()
            || matches!(
                self,
                Self::CrashBefore
                    | Self::CrashAfter
                    | Self::Stop
                    | Self::Stall
                    | Self::Takeover
                    | Self::StaleView
                    | Self::StaleObjects
                    | Self::WatchLost
            )
    }

    /// Whether it can only delay what is declared: nobody acts against it, and nobody else is there.
    #[must_use]
    pub fn is_benign(self) -> bool {
        self.is_fault()
            || matches!(
                self,
                Self::Edit
                    | Self::Suspend
                    | Self::AskReconcile
                    | Self::AskRefresh
                    | Self::Replace
                    | Self::DeleteSecret
                    | Self::DeleteCredentials
                    | Self::RotateCredentials
                    | Self::DeleteLogin
                    | Self::RotateLogin
                    | Self::Consent
            )
    }

    /// Whether it cannot come between a request and what is known of it.
    #[must_use]
    pub fn is_light(self) -> bool {
        matches!(
            self,
            Self::Stop
                | Self::StaleView
                | Self::StaleObjects
                | Self::WatchLost
                | Self::Edit
                | Self::Suspend
                | Self::AskReconcile
                | Self::AskRefresh
                | Self::DeleteSecret
                | Self::DeleteCredentials
                | Self::RotateCredentials
                | Self::DeleteLogin
                | Self::RotateLogin
                | Self::Consent
                | Self::Drift
        )
    }

    /// Whether a create that it meets may leave an outcome that only an identity can tell. Who stops writes down what became
    /// of it.
    #[must_use]
    pub fn is_uncertain(self) -> bool {
        let is_told = [Self::Stop, Self::KubeDown, Self::Refuse400, Self::Refuse429];
        let is_view = [Self::StaleView, Self::StaleObjects, Self::WatchLost];
        self.is_fault() && !is_told.contains(&self) && !is_view.contains(&self)
    }

    /// Whether it brings the object back from a backup, under another UID.
    pub(crate) fn is_restore(self) -> bool {
        matches!(self, Self::RestoreFull | Self::RestoreBare)
    }

    /// Whether our finalizer is off the object after it, until an operator has seen that.
    pub(crate) fn takes_the_hold(self) -> bool {
        self == Self::Replace || self.is_restore()
    }

    /// Whether the request to a provider that it meets may take effect when nobody waits for it any more.
    pub(crate) fn is_late(self) -> bool {
        matches!(self, Self::Stall | Self::Takeover | Self::LateEffect)
    }

    /// Whether it happens to the request itself and not to the world around it.
    pub(crate) fn meets_the_request(self) -> bool {
        self.effect().is_some() || matches!(self, Self::KubeLost | Self::KubeLate | Self::KubeDown | Self::KubeOut)
    }

    /// What the provider does to the request that it meets.
    pub(crate) fn effect(self) -> Option<Effect> {
        FAULTS.iter().find(|(event, _)| *event == self).map(|(_, effect)| effect.clone())
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn the_events_on_the_page_are_those_that_happen() {
        let page = include_str!("../../../docs/histories.md");
        let untold: Vec<Event> = Event::iter().filter(|event| !page.contains(&format!("`{event:?}`"))).collect();
        assert!(untold.is_empty(), "docs/histories.md does not tell of {untold:?}");
    }
}
