//! Which object holds a record, and which one claims a key, among all objects of one account identity.
//!
//! A claimant without a recorded id never displaces one that has it; of two that recorded the same id, the older
//! object holds it.

use super::{
    ids::{ExternalId, NaturalKey},
    intent::Creation,
};
use jiff::Timestamp;

/// What one object claims.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// UID of the object.
    pub uid: String,
    /// When the object came to be, by the API server's clock.
    pub declared: Timestamp,
    /// The id in its status, if it was not merely observed.
    pub recorded: Option<ExternalId>,
    /// How far its creation has come.
    pub creation: Creation,
    /// The key that its spec declares now.
    pub key: Option<NaturalKey>,
    /// The key that its recorded id was made with.
    pub recorded_key: Option<NaturalKey>,
    /// The records that its people name: in its spec, and as the answer to what it asks.
    pub named: Vec<ExternalId>,
    /// Whether it would create by key: not deleting, not ObserveOnly, no `externalRef`.
    pub would_create: bool,
}

impl Claimant {
    fn older_than(&self, other: &Self) -> bool {
        (self.declared, &self.uid) < (other.declared, &other.uid)
    }
}

/// Does `other` hold `id` against `me`?
#[must_use]
pub fn holds(other: &Claimant, me: &Claimant, id: &ExternalId) -> bool {
    other.uid != me.uid
        && other.recorded.as_ref() == Some(id)
        && (me.recorded.as_ref() != Some(id) || other.older_than(me))
}

/// Does `other` claim the key of `me`, who has not started?
#[must_use]
pub fn claims_key(other: &Claimant, me: &Claimant) -> bool {
    let Some(key) = me.key.as_ref().filter(|_| other.uid != me.uid) else { return false };
    let declares = other.key.as_ref() == Some(key);
    match &other.creation {
        Creation::Pending(i) => declares || i.key.as_deref() == Some(key.as_str()),
        Creation::Unverifiable(i) => declares || i.as_ref().and_then(|i| i.key.as_deref()) == Some(key.as_str()),
        Creation::Done(_) => declares && other.recorded.is_some() || other.recorded_key.as_ref() == Some(key),
        Creation::NotStarted => declares && other.would_create && other.older_than(me),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::StoredIntent;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    fn object(uid: &str, declared: i64) -> Claimant {
        Claimant {
            uid: uid.into(),
            declared: Timestamp::from_second(declared).expect("a time"),
            recorded: None,
            creation: Creation::NotStarted,
            key: Some(NaturalKey::new("k")),
            recorded_key: None,
            named: vec![],
            would_create: true,
        }
    }

    fn done(mut c: Claimant, id: &str) -> Claimant {
        c.recorded = Some(ExternalId::new(id));
        c.creation = Creation::Done(ExternalId::new(id));
        c
    }

    #[rstest]
    #[case::a_recorded_id_wins_over_a_claimant_without(done(object("a", 2), "x"), object("b", 1), true)]
    #[case::a_claimant_without_displaces_nobody(object("a", 1), done(object("b", 2), "x"), false)]
    #[case::of_two_recorded_the_older_holds(done(object("a", 1), "x"), done(object("b", 2), "x"), true)]
    #[case::of_two_recorded_the_younger_does_not(done(object("a", 3), "x"), done(object("b", 2), "x"), false)]
    #[case::nobody_holds_against_itself(done(object("a", 1), "x"), done(object("a", 1), "x"), false)]
    #[case::of_two_of_one_second_the_smaller_uid_holds(done(object("a", 2), "x"), done(object("b", 2), "x"), true)]
    fn holder(#[case] other: Claimant, #[case] me: Claimant, #[case] held: bool) {
        assert_eq!(holds(&other, &me, &ExternalId::new("x")), held);
    }

    #[test]
    fn of_two_that_have_not_started_the_older_claims_the_key() {
        assert!(claims_key(&object("a", 1), &object("b", 2)));
        assert!(!claims_key(&object("b", 2), &object("a", 1)));
    }

    #[test]
    fn one_that_has_started_claims_its_key_however_young_it_is() {
        assert!(claims_key(&done(object("b", 9), "x"), &object("a", 1)));
    }

    #[test]
    fn a_recorded_id_claims_the_key_it_was_made_with_whatever_the_spec_says_now() {
        let mut other = done(object("b", 9), "x");
        (other.key, other.recorded_key) = (Some(NaturalKey::new("edited")), Some(NaturalKey::new("k")));
        assert!(claims_key(&other, &object("a", 1)));
    }

    /// An attempt to create under this key.
    fn attempt(key: &str) -> StoredIntent {
        let at = Time(Timestamp::UNIX_EPOCH);
        let (uid, nonce, account) = ("b".into(), "n".into(), "org".into());
        StoredIntent { uid, attempt: 1, nonce, at, key: Some(key.into()), account }
    }

    #[rstest]
    #[case::of_its_attempt_whatever_the_spec_says_now("edited", "k", true)]
    #[case::of_its_spec_beside_that_of_its_attempt("k", "former", true)]
    #[case::of_neither("edited", "former", false)]
    fn an_attempt_claims_the_key(#[case] declared: &str, #[case] attempted: &str, #[case] claims: bool) {
        let mut other = Claimant { key: Some(NaturalKey::new(declared)), ..object("b", 9) };
        for creation in [Creation::Pending(attempt(attempted)), Creation::Unverifiable(Some(attempt(attempted)))] {
            other.creation = creation;
            assert_eq!(claims_key(&other, &object("a", 1)), claims, "{:?}", other.creation);
        }
    }

    #[rstest]
    #[case::the_key_of_its_spec("k", true)]
    #[case::no_other("edited", false)]
    fn an_attempt_that_cannot_be_read_claims(#[case] declared: &str, #[case] claims: bool) {
        let other =
            Claimant { key: Some(NaturalKey::new(declared)), creation: Creation::Unverifiable(None), ..object("b", 9) };
        assert_eq!(claims_key(&other, &object("a", 1)), claims);
    }

    #[test]
    fn a_record_that_is_merely_observed_or_of_other_keys_claims_nothing() {
        let observed = Claimant { recorded: None, ..done(object("b", 9), "x") };
        assert!(!claims_key(&observed, &object("a", 1)));
        let former = Some(NaturalKey::new("former"));
        let moved =
            Claimant { key: Some(NaturalKey::new("edited")), recorded_key: former, ..done(object("b", 9), "x") };
        assert!(!claims_key(&moved, &object("a", 1)));
    }

    #[test]
    fn one_that_will_not_create_claims_nothing() {
        let mut other = object("a", 1);
        other.would_create = false;
        assert!(!claims_key(&other, &object("b", 2)));
    }
}
