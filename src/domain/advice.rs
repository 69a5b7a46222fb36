//! What a halted object tells its people: what is wrong, and the next step.

use super::{
    facts::Drift,
    ids::ExternalId,
    reason::{Problem, Reason},
};

/// The sentence for a halt of the decision. `ids`: the records it is about; `drift`: how the record differs.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "a decision halts for few of the reasons")]
pub fn halted(reason: Reason, ids: &[ExternalId], drift: &Drift) -> Problem {
    let names = list(ids);
    let text = match reason {
        Reason::CreateOutcomeUnknown if ids.is_empty() => {
            "Nobody can tell whether a record of this object exists, and none was found: the object was restored or copied, \
             or a create went unanswered. Look at the provider, then run `tradewind resolve --create-anew` or `--adopt ID`"
                .to_owned()
        }
        Reason::CreateOutcomeUnknown => format!(
            "Nobody can tell whether {names} belongs to this object. Look at the provider, then run \
             `tradewind resolve --adopt ID` or `--create-anew`"
        ),
        Reason::DeletionBlocked if ids.is_empty() => {
            "Nobody can tell whether a record of this object exists. Look at the provider, then run `tradewind resolve`, \
             or `tradewind abandon` to let the object go and leave the provider as it is"
                .to_owned()
        }
        Reason::DeletionBlocked => format!(
            "Nobody can tell whether {names} belongs to this object. Run `tradewind resolve --adopt ID` to have it deleted, \
             `--create-anew` if none is this object's, or `tradewind abandon` to leave the provider as it is"
        ),
        _ => return Problem::new(reason, known(reason, ids, drift)),
    };
    Problem::new(reason, text)
}

/// What is known to be wrong with a record.
#[expect(clippy::wildcard_enum_match_arm, reason = "a decision halts for few of the reasons")]
fn known(reason: Reason, ids: &[ExternalId], drift: &Drift) -> String {
    let (names, fields) = (list(ids), drift.fields());
    match reason {
        Reason::AlreadyExists => format!(
            "{names} exists at the provider for the same store, or by the same name, and was not made by this object. \
             Delete it there, or take it over with adoptionPolicy: Match"
        ),
        Reason::AmbiguousMatch => {
            format!("{names} all match. Delete all but one at the provider, or name one with externalRef")
        }
        Reason::ExternalIdConflict if ids.is_empty() => {
            "Another object declares the same store and came first. Delete one of the two objects".to_owned()
        }
        Reason::ExternalIdConflict => format!(
            "{names} belongs to another object, or is not the one that externalRef names. Delete one of the two objects; if \
             externalRef is wrong, set deletionPolicy: Retain, delete this object and declare it anew; if somebody has changed \
             status.externalId, put it right"
        ),
        Reason::AccountMismatch => {
            "The record was made in another account than the one that accountRef logs in to now. Give the account its \
             old login back, or delete this object and run `tradewind abandon` on it"
                .to_owned()
        }
        Reason::NotMatch => format!("{names} exists but differs in {}. {}", join(fields), to_adopt(drift)),
        Reason::ExternalNotFound if ids.is_empty() => {
            "No such record exists at the provider. Check the store that the declaration names; if externalRef is wrong, delete \
             this object and declare it anew"
                .to_owned()
        }
        Reason::ExternalNotFound => format!(
            "{names} no longer exists at the provider. Delete and re-create this object, or set onExternalLoss: Recreate"
        ),
        Reason::ReplacementRequired => format!(
            "The provider cannot change {} in place. Change it back, set replacementPolicy: Recreate, or delete and \
             re-create this object",
            join(fields)
        ),
        Reason::CredentialsRestored => format!(
            "The provider gave {names} credentials back that it had before it was deleted. Others share this account, so they \
             may be another team's. If this object may have them, annotate it with tradewind.dev/allow-restored-credentials: \
             its UID. Otherwise delete it"
        ),
        Reason::AdoptionForbidden => {
            "The account forbids adoption. Ask whoever owns it to set adoption: Allowed, or remove adoptionPolicy and \
             managementPolicy: ObserveOnly. An externalRef stays: delete this object and declare it anew without"
                .to_owned()
        }
        other => format!("{other}: see docs/conditions.md"),
    }
}

/// Why the record that a person has named as the answer is not taken.
#[must_use]
pub fn unanswered(reason: Reason, id: &ExternalId) -> Problem {
    let why = if reason == Reason::ExternalNotFound {
        format!("The provider has no record {id}")
    } else if reason == Reason::ExternalIdConflict {
        format!("{id} belongs to another object")
    } else {
        return halted(reason, std::slice::from_ref(id), &Drift::None);
    };
    let text = format!(
        "{why}, which `tradewind resolve` has named. Answer once more: `tradewind resolve --adopt ID` with another one, or \
         `tradewind resolve --create-anew`"
    );
    Problem::new(reason, text)
}

/// Why a record that the declaration names by its id is not replaced: a new one would have another id.
#[must_use]
pub fn named(id: &str, fields: &[String]) -> Problem {
    let text = format!(
        "The provider cannot change {} in place, and a new record would not be {id}, which externalRef names. Change it back, or \
         delete this object and declare it anew without externalRef",
        join(fields)
    );
    Problem::new(Reason::ReplacementRequired, text)
}

/// What makes a record that differs one that can be adopted.
fn to_adopt(drift: &Drift) -> &'static str {
    match drift {
        Drift::Fields(_) => {
            "Change the declaration to match it, have it changed with adoptionPolicy: Override, or delete the record at \
             the provider"
        }
        // Nobody is to hope for Override, which at a provider that changes nothing in place equals Match.
        Drift::Replacement(_) | Drift::None => {
            "Change the declaration to match it, or delete the record at the provider: it cannot be changed in place, so \
             that adoptionPolicy: Override takes no other records than Match"
        }
    }
}

/// At most this many ids are named in a message; status.creation.candidates has more.
const NAMED: usize = 5;

fn list(ids: &[ExternalId]) -> String {
    let named: Vec<&str> = ids.iter().take(NAMED).map(ExternalId::as_str).collect();
    match ids.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn join(fields: &[String]) -> String {
    if fields.is_empty() { "what was declared".to_owned() } else { fields.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn said(reason: Reason, ids: &[&str], drift: &Drift) -> String {
        let ids: Vec<ExternalId> = ids.iter().map(|id| ExternalId::new(*id)).collect();
        let problem = halted(reason, &ids, drift);
        assert_eq!(problem.reason, reason);
        problem.message
    }

    #[rstest]
    #[case(Reason::CreateOutcomeUnknown, &[], "whether a record of this object exists, and none was found")]
    #[case(Reason::CreateOutcomeUnknown, &["a", "b"], "whether a, b belongs to this object. Look at the provider")]
    #[case(Reason::DeletionBlocked, &[], "whether a record of this object exists. Look at the provider")]
    #[case(Reason::DeletionBlocked, &["a"], "whether a belongs to this object. Run `tradewind resolve --adopt ID` to have it deleted")]
    #[case(Reason::AlreadyExists, &["a"], "a exists at the provider for the same store")]
    #[case(Reason::AmbiguousMatch, &["a", "b"], "a, b all match. Delete all but one")]
    #[case(Reason::ExternalIdConflict, &[], "Another object declares the same store and came first")]
    #[case(Reason::ExternalIdConflict, &["a"], "a belongs to another object")]
    #[case(Reason::AccountMismatch, &[], "made in another account")]
    #[case(Reason::ExternalNotFound, &[], "No such record exists at the provider. Check the store")]
    #[case(Reason::ExternalNotFound, &["a"], "a no longer exists at the provider")]
    #[case(Reason::CredentialsRestored, &["a"], "gave a credentials back")]
    #[case(Reason::AdoptionForbidden, &[], "The account forbids adoption. Ask whoever owns it")]
    #[case(Reason::InvalidSpec, &[], "InvalidSpec: see docs/conditions.md")]
    fn a_halt_says_what_it_is_about_and_what_to_do(#[case] reason: Reason, #[case] ids: &[&str], #[case] says: &str) {
        let said = said(reason, ids, &Drift::None);
        assert!(said.contains(says), "{said}");
    }

    #[rstest]
    #[case::in_place(Drift::Fields(vec!["spec.x".into(), "spec.y".into()]), "differs in spec.x, spec.y. Change", "adoptionPolicy: Override, or delete")]
    #[case::not_in_place(Drift::Replacement(vec!["spec.x".into()]), "differs in spec.x. Change", "it cannot be changed in place")]
    #[case::unknown(Drift::None, "differs in what was declared. Change", "it cannot be changed in place")]
    fn a_record_that_differs_is_told_by_its_fields(#[case] drift: Drift, #[case] what: &str, #[case] then: &str) {
        let adopted = said(Reason::NotMatch, &["a"], &drift);
        assert!(adopted.starts_with("a exists but ") && adopted.contains(what) && adopted.contains(then), "{adopted}");
    }

    #[rstest]
    #[case::gone(
        Reason::ExternalNotFound,
        "The provider has no record a, which `tradewind resolve` has named. Answer once more"
    )]
    #[case::held(
        Reason::ExternalIdConflict,
        "a belongs to another object, which `tradewind resolve` has named. Answer once more"
    )]
    #[case::not_allowed(Reason::AdoptionForbidden, "The account forbids adoption. Ask whoever owns it")]
    fn an_answer_that_is_not_taken_says_why(#[case] reason: Reason, #[case] says: &str) {
        let problem = unanswered(reason, &ExternalId::new("a"));
        assert_eq!(problem.reason, reason);
        assert!(problem.message.starts_with(says), "{}", problem.message);
    }

    #[test]
    fn a_replacement_is_told_by_its_fields() {
        let said = said(Reason::ReplacementRequired, &["a"], &Drift::Replacement(vec!["spec.x".into()]));
        assert!(said.starts_with("The provider cannot change spec.x in place."), "{said}");
    }

    #[rstest]
    #[case::all(&["a", "b", "c", "d", "e"], "a, b, c, d, e all match")]
    #[case::the_first_five(&["a", "b", "c", "d", "e", "f", "g"], "a, b, c, d, e and 2 more all match")]
    fn no_more_than_five_records_are_named(#[case] ids: &[&str], #[case] says: &str) {
        let said = said(Reason::AmbiguousMatch, ids, &Drift::None);
        assert!(said.starts_with(says), "{said}");
    }
}
