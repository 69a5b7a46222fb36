//! The creation state of an object: a pure function of the two stored intents and of status.
//!
//! It must never guess: what cannot be read, or speaks of another object, is [`Creation::Unverifiable`].

use crate::{
    api::v1alpha1::{ManagedStatus, StoredIntent},
    domain::ids::{ExternalId, NaturalKey},
};
use jiff::{SignedDuration, Timestamp};

/// The longest texts of an attempt that a status can hold, as the CRD says: UID, nonce, key and account.
const LONGEST: [usize; 4] = [64, 64, 1024, 256];
/// Nobody comes this far, except by forging; after the last number of all there is none for a new attempt.
const LAST_ATTEMPT: i64 = 1 << 53;

/// Two clocks may differ by this much where one stamp is compared with another.
pub const SLACK: SignedDuration = SignedDuration::from_secs(5);

/// How far the creation of an object's record has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    /// No attempt is open and no record is known.
    NotStarted,
    /// An attempt is stored whose outcome is not.
    Pending(StoredIntent),
    /// The record is known.
    Done(ExternalId),
    /// An attempt is stored that this object did not make (a restored or copied object), or that cannot be read.
    Unverifiable(Option<StoredIntent>),
}

impl Creation {
    /// The attempt that is open.
    #[must_use]
    pub fn pending(&self) -> Option<&StoredIntent> {
        match self {
            Self::Pending(intent) => Some(intent),
            Self::NotStarted | Self::Done(_) | Self::Unverifiable(_) => None,
        }
    }
}

/// What an object says of its creation.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// UID of the object.
    pub uid: &'a str,
    /// Value of the annotation `tradewind.dev/create-intent`.
    pub annotation: Option<&'a str>,
    /// Its status.
    pub status: &'a ManagedStatus,
    /// Whether the object may only observe.
    pub observe_only: bool,
}

impl Stored<'_> {
    /// The attempt that counts: of annotation and status the newer one.
    ///
    /// # Errors
    /// [`Unreadable`] where the annotation is no intent that we could have written.
    pub fn intent(&self) -> Result<Option<StoredIntent>, Unreadable> {
        let mirror = self.status.creation.as_ref().and_then(|c| c.intent.clone());
        if mirror.as_ref().is_some_and(|i| !is_possible(i)) {
            return Err(Unreadable);
        }
        let annotation = match self.annotation {
            None => None,
            Some(text) => Some(serde_json::from_str(text).ok().filter(is_possible).ok_or(Unreadable)?),
        };
        Ok(match (annotation, mirror) {
            (Some(a), Some(m)) if m.attempt > a.attempt => Some(m),
            (a, m) => a.or(m),
        })
    }

    /// The creation state; the order of the questions is the protocol.
    #[must_use]
    pub fn creation(&self) -> Creation {
        let intent = match self.intent() {
            Err(Unreadable) => return Creation::Unverifiable(None),
            Ok(intent) => intent,
        };
        match intent {
            Some(i) if i.uid != self.uid => Creation::Unverifiable(Some(i)),
            Some(i) if i.attempt > self.settled() => Creation::Pending(i),
            Some(_) | None => self.managed_id().map_or(Creation::NotStarted, Creation::Done),
        }
    }

    /// Whether the call of an attempt may have been sent: it never is before its twin stands in status. Whoever can edit the
    /// object can write the annotation, and so an attempt with the key and the time of somebody else's record. Where status
    /// speaks of no generation yet, it may have been wiped, and the twin with it.
    #[must_use]
    pub fn may_be_sent(&self, intent: &StoredIntent) -> bool {
        let twin = self.status.creation.as_ref().and_then(|creation| creation.intent.as_ref());
        self.status.observed_generation < 1 || twin == Some(intent)
    }

    /// The number of the next attempt: attempts only grow, also past one that was lost from the annotation.
    #[must_use]
    pub fn next_attempt(&self) -> i64 {
        let last = self.intent().ok().flatten().map_or(0, |i| i.attempt);
        last.max(self.settled()).saturating_add(1)
    }

    /// Whether it knows of no attempt at all, not even a settled one.
    #[must_use]
    pub fn is_untried(&self) -> bool {
        self.next_attempt() == 1
    }

    fn settled(&self) -> i64 {
        self.status.creation.as_ref().map_or(0, |c| c.settled_attempt)
    }

    /// The recorded id, unless it was only ever observed and the object may now do more: then it is nobody's yet.
    fn managed_id(&self) -> Option<ExternalId> {
        let only_observed = self.status.observed_only && !self.observe_only;
        self.status.external_id.as_ref().filter(|_| !only_observed).map(ExternalId::new)
    }
}

/// The annotation is no intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

fn is_possible(intent: &StoredIntent) -> bool {
    let texts = [&intent.uid, &intent.nonce, intent.key.as_deref().unwrap_or_default(), &intent.account];
    let fits = texts.iter().zip(LONGEST).all(|(text, longest)| text.chars().count() <= longest);
    fits && (1..LAST_ATTEMPT).contains(&intent.attempt)
}

/// How long an attempt may still take effect, and how late a list may show it.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A permit may be used this long after the intent was stored.
    pub permit: std::time::Duration,
    /// A call ends this long after it was sent, or was never applied.
    pub call: std::time::Duration,
    /// A list shows a record at most this late.
    pub lag: std::time::Duration,
}

impl Timing {
    /// Nothing is concluded from what a list does not show before this much time has passed.
    #[must_use]
    pub fn grace(&self) -> std::time::Duration {
        self.permit + self.call + self.lag + std::time::Duration::from_secs(1)
    }

    /// The last moment, counted from the intent, at which its record can have been made.
    fn reach(&self) -> SignedDuration {
        SignedDuration::try_from(self.permit + self.call).unwrap_or(SignedDuration::MAX)
    }
}

/// When a record came to be, as it tells by the provider's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamps {
    /// When it was made.
    pub born: Option<Timestamp>,
    /// When it was last changed, where that may be when it was brought back: a soft deletion keeps the row.
    pub touched: Option<Timestamp>,
    /// Whether a person's consent makes it, which may come long after the attempt.
    pub by_consent: bool,
}

impl Stamps {
    /// Those of a record that is gone for good once it is deleted.
    #[must_use]
    pub fn born(born: Option<Timestamp>) -> Self {
        Self { born, ..Self::default() }
    }
}

/// Whose work a record is, as its stamps tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorship {
    /// The attempt made it, or brought it back.
    Attempt,
    /// Somebody else, or it was there before.
    Other,
    /// It does not tell: it has no date, or what it tells of its last change hides when it was brought back, or nobody
    /// knows how long the attempt's link lived.
    Unknown,
}

/// A link that a person may follow, and whose record is then that of the open attempt.
#[derive(Clone, Copy, Debug)]
pub struct LinkSpan {
    /// When it ends.
    pub until: Timestamp,
    /// Whether the attempt itself has led to it, or an attempt whose place it has taken.
    pub own: bool,
}

/// The span of the provider's clock in which the record of an attempt can have been made.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    from: Timestamp,
    until: Timestamp,
    /// Whether the attempt's own link is known, and `until` is when it ends.
    of_link: bool,
}

impl Window {
    /// `declared`: when the object itself came to be. An editor of the object can forge the annotation, but not that.
    /// `link`: the one that a person may follow, where one is known.
    #[must_use]
    pub fn of(intent: &StoredIntent, declared: Timestamp, link: Option<LinkSpan>, timing: Timing) -> Self {
        let reach = intent.at.0.saturating_add(timing.reach()).unwrap_or(Timestamp::MAX);
        let until = match link {
            Some(LinkSpan { until, own: true }) => until,
            Some(LinkSpan { until, own: false }) => until.max(reach),
            None => reach,
        };
        Self {
            from: intent.at.0.max(declared).saturating_sub(SLACK).unwrap_or(Timestamp::MIN),
            until: until.saturating_add(SLACK).unwrap_or(Timestamp::MAX),
            of_link: link.is_some_and(|link| link.own),
        }
    }

    /// Whether it was open then.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        (self.from..=self.until).contains(&at)
    }

    /// Did the attempt make this record?
    #[must_use]
    pub fn author(&self, stamps: Stamps) -> Authorship {
        match (stamps.born, stamps.touched) {
            (None, _) => Authorship::Unknown,
            (Some(born), _) if self.contains(born) => Authorship::Attempt,
            (Some(_), Some(touched)) if self.contains(touched) => Authorship::Attempt,
            // The whole window lies between the two.
            (Some(born), Some(touched)) if (born..touched).contains(&self.until) => Authorship::Unknown,
            // A status that was lost takes along how long the link lived.
            (Some(born), _) if stamps.by_consent && !self.of_link && born > self.until => Authorship::Unknown,
            (Some(_), _) => Authorship::Other,
        }
    }
}

/// The key of an intent as the protocol uses it.
#[must_use]
pub fn key_of(intent: &StoredIntent) -> Option<NaturalKey> {
    intent.key.as_ref().map(NaturalKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::CreationStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;
    use std::time::Duration;

    fn intent(uid: &str, attempt: i64) -> StoredIntent {
        let (nonce, at) = (format!("n{attempt}"), Time(Timestamp::from_second(1000).expect("a time")));
        StoredIntent { uid: uid.into(), attempt, nonce, at, key: Some("k".into()), account: "org".into() }
    }

    fn status(id: Option<&str>, settled: i64, mirror: Option<StoredIntent>) -> ManagedStatus {
        let creation = Some(CreationStatus { settled_attempt: settled, intent: mirror, ..Default::default() });
        ManagedStatus { external_id: id.map(Into::into), creation, ..Default::default() }
    }

    fn creation(annotation: Option<&StoredIntent>, status: &ManagedStatus) -> Creation {
        let text = annotation.map(|i| serde_json::to_string(i).expect("an intent"));
        Stored { uid: "u", annotation: text.as_deref(), status, observe_only: false }.creation()
    }

    #[rstest]
    #[case::nothing_is_not_started(None, None, 0, None, Creation::NotStarted)]
    #[case::an_open_attempt_wins_over_a_recorded_id(
        Some(intent("u", 2)),
        Some("a"),
        1,
        None,
        Creation::Pending(intent("u", 2))
    )]
    #[case::a_settled_attempt_leaves_the_id(
        Some(intent("u", 1)),
        Some("a"),
        1,
        None,
        Creation::Done(ExternalId::new("a"))
    )]
    #[case::a_settled_attempt_without_an_id_starts_over(Some(intent("u", 1)), None, 1, None, Creation::NotStarted)]
    #[case::the_mirror_stands_in_for_a_wiped_annotation(
        None,
        None,
        0,
        Some(intent("u", 1)),
        Creation::Pending(intent("u", 1))
    )]
    #[case::an_old_manifest_does_not_hide_the_newer_mirror(
        Some(intent("u", 1)),
        None,
        1,
        Some(intent("u", 2)),
        Creation::Pending(intent("u", 2))
    )]
    #[case::another_uid_is_unverifiable_even_when_settled(
        Some(intent("x", 1)),
        Some("a"),
        1,
        None,
        Creation::Unverifiable(Some(intent("x", 1)))
    )]
    #[case::a_restored_status_alone_is_unverifiable(
        None,
        Some("a"),
        1,
        Some(intent("x", 1)),
        Creation::Unverifiable(Some(intent("x", 1)))
    )]
    fn creation_state(
        #[case] annotation: Option<StoredIntent>,
        #[case] id: Option<&str>,
        #[case] settled: i64,
        #[case] mirror: Option<StoredIntent>,
        #[case] want: Creation,
    ) {
        assert_eq!(creation(annotation.as_ref(), &status(id, settled, mirror)), want);
    }

    #[rstest]
    #[case::an_older_one(intent("u", 2), intent("u", 1), Creation::Pending(intent("u", 2)))]
    #[case::one_of_the_same_number(intent("x", 1), intent("u", 1), Creation::Unverifiable(Some(intent("x", 1))))]
    fn a_mirror_that_is_no_newer_does_not_hide_the_annotation(
        #[case] annotation: StoredIntent,
        #[case] mirror: StoredIntent,
        #[case] want: Creation,
    ) {
        assert_eq!(creation(Some(&annotation), &status(Some("a"), 1, Some(mirror))), want);
    }

    #[rstest]
    #[case::announced(1, Some(intent("u", 2)), true)]
    #[case::not_yet(1, None, false)]
    #[case::another_one_was(1, Some(intent("u", 1)), false)]
    #[case::the_same_nonce_with_another_key(1, Some(StoredIntent { key: Some("x".into()), ..intent("u", 2) }), false)]
    #[case::a_status_that_was_wiped_cannot_tell(-1, None, true)]
    fn an_attempt_is_sent_only_once_status_tells_of_it(
        #[case] observed: i64,
        #[case] twin: Option<StoredIntent>,
        #[case] want: bool,
    ) {
        let status = ManagedStatus { observed_generation: observed, ..status(None, 0, twin) };
        let stored = Stored { uid: "u", annotation: None, status: &status, observe_only: false };
        assert_eq!(stored.may_be_sent(&intent("u", 2)), want);
    }

    #[test]
    fn an_annotation_that_is_no_intent_is_unverifiable() {
        let status = ManagedStatus::default();
        let stored = Stored { uid: "u", annotation: Some("{}"), status: &status, observe_only: false };
        assert_eq!(stored.creation(), Creation::Unverifiable(None));
    }

    /// A status could not keep it, and no write of that status would be taken.
    #[rstest]
    #[case::uid(StoredIntent { uid: "ä".repeat(65), ..intent("u", 1) })]
    #[case::nonce(StoredIntent { nonce: "n".repeat(65), ..intent("u", 1) })]
    #[case::key(StoredIntent { key: Some("k".repeat(1025)), ..intent("u", 1) })]
    #[case::account(StoredIntent { account: "a".repeat(257), ..intent("u", 1) })]
    fn an_attempt_is_unverifiable_whose_text_is_too_long(#[case] forged: StoredIntent) {
        assert_eq!(creation(Some(&forged), &ManagedStatus::default()), Creation::Unverifiable(None));
    }

    #[test]
    fn an_id_that_was_only_observed_is_not_done_under_full() {
        let status = ManagedStatus { external_id: Some("a".into()), observed_only: true, ..Default::default() };
        let mut stored = Stored { uid: "u", annotation: None, status: &status, observe_only: false };
        assert_eq!(stored.creation(), Creation::NotStarted);
        stored.observe_only = true;
        assert_eq!(stored.creation(), Creation::Done(ExternalId::new("a")));
    }

    #[test]
    fn attempts_only_grow() {
        let status = status(None, 4, None);
        let stored = Stored { uid: "u", annotation: None, status: &status, observe_only: false };
        assert_eq!((stored.next_attempt(), stored.is_untried()), (5, false));
        assert!(Stored { status: &ManagedStatus::default(), ..stored }.is_untried());
    }

    const TIMING: Timing =
        Timing { permit: Duration::from_secs(30), call: Duration::from_secs(20), lag: Duration::from_secs(25) };

    #[test]
    fn the_grace_outlasts_the_permit_the_call_and_the_lag_of_lists_together() {
        assert_eq!(TIMING.grace(), Duration::from_secs(30 + 20 + 25 + 1));
    }

    #[rstest]
    #[case::at_the_intent(1000, 0, true)]
    #[case::within_the_slack_before(996, 0, true)]
    #[case::before_the_intent(994, 0, false)]
    #[case::at_the_end_of_the_call(1055, 0, true)]
    #[case::after_the_call_can_have_ended(1056, 0, false)]
    #[case::before_the_object_existed(1000, 1010, false)]
    fn authorship(#[case] born: i64, #[case] declared: i64, #[case] ours: bool) {
        let at = |s| Timestamp::from_second(s).expect("a time");
        let told = Window::of(&intent("u", 1), at(declared), None, TIMING).author(Stamps::born(Some(at(born))));
        assert_eq!(told, if ours { Authorship::Attempt } else { Authorship::Other });
    }

    #[rstest]
    #[case::while_it_works(5005, Authorship::Attempt)]
    #[case::after_it(5006, Authorship::Other)]
    fn the_record_of_a_link_is_made_as_long_as_the_link_works(#[case] born: i64, #[case] want: Authorship) {
        let at = |s| Timestamp::from_second(s).expect("a time");
        let until_the_link_ends =
            Window::of(&intent("u", 1), at(0), Some(LinkSpan { until: at(5000), own: true }), TIMING);
        let stamps = Stamps { by_consent: true, ..Stamps::born(Some(at(born))) };
        assert_eq!(until_the_link_ends.author(stamps), want);
    }

    /// Its own call may have led to another link, of which nobody knows.
    #[rstest]
    #[case::while_that_works(5005, Authorship::Attempt)]
    #[case::after_it(5006, Authorship::Unknown)]
    fn the_link_of_an_attempt_before_it_may_be_used_as_long_as_it_works(#[case] born: i64, #[case] want: Authorship) {
        let at = |s| Timestamp::from_second(s).expect("a time");
        let window = Window::of(&intent("u", 2), at(0), Some(LinkSpan { until: at(5000), own: false }), TIMING);
        assert_eq!(window.author(Stamps { by_consent: true, ..Stamps::born(Some(at(born))) }), want);
        let ended = Window::of(&intent("u", 2), at(0), Some(LinkSpan { until: at(900), own: false }), TIMING);
        assert_eq!(ended.author(Stamps::born(Some(at(1050)))), Authorship::Attempt, "what its own call made");
    }

    #[rstest]
    #[case::that_came_within_the_call(true, 1055, Authorship::Attempt)]
    #[case::that_came_later(true, 1056, Authorship::Unknown)]
    #[case::that_came_before(true, 994, Authorship::Other)]
    #[case::that_is_not_asked_for(false, 1056, Authorship::Other)]
    fn a_consent_by_a_link_whose_end_nobody_knows(
        #[case] by_consent: bool,
        #[case] born: i64,
        #[case] want: Authorship,
    ) {
        let at = |s| Timestamp::from_second(s).expect("a time");
        let stamps = Stamps { by_consent, ..Stamps::born(Some(at(born))) };
        assert_eq!(Window::of(&intent("u", 1), at(0), None, TIMING).author(stamps), want);
    }

    #[rstest]
    #[case::brought_back_by_the_attempt(Some(500), Some(1010), Authorship::Attempt)]
    #[case::made_by_the_attempt_and_changed_since(Some(1010), Some(5000), Authorship::Attempt)]
    #[case::brought_back_by_nobody_knows_whom_and_changed_since(Some(500), Some(5000), Authorship::Unknown)]
    #[case::brought_back_before_the_attempt(Some(500), Some(900), Authorship::Other)]
    #[case::made_after_the_attempt(Some(2000), Some(5000), Authorship::Other)]
    #[case::without_a_date(None, Some(1010), Authorship::Unknown)]
    fn authorship_of_a_row_that_outlives_its_deletion(
        #[case] born: Option<i64>,
        #[case] touched: Option<i64>,
        #[case] want: Authorship,
    ) {
        let at = |s| Timestamp::from_second(s).expect("a time");
        let stamps = Stamps { born: born.map(at), touched: touched.map(at), by_consent: false };
        assert_eq!(Window::of(&intent("u", 1), at(0), None, TIMING).author(stamps), want);
    }
}
