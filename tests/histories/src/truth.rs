//! What an object says of itself is true, whatever has happened to it.

use serde_json::Value;
use tradewind::domain::reason::Reason;

use crate::{
    event::Event,
    judge::QUESTIONS,
    ledger::{self, Record},
    life::{condition, says},
    people::{is_deleting, observes, open_attempt, recorded},
    scenario::{ACCOUNT, LOGIN, NAMESPACE, STORE_LOGIN},
    well::told,
    world::World,
};

/// Once all that has happened was noticed: what is ready has a record that is there, and what is not says what it waits for.
/// What is suspended says so, and for the rest what it said when it was last looked at; unless nobody can tell whose its
/// record is, which comes first.
pub(crate) fn is_told(world: &World) {
    let records = ledger::records(world.scenario(), world.simulator());
    for object in world.api().list(world.scenario().plural(), NAMESPACE) {
        if object.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true) {
            let synced = condition(&object, "Synced").and_then(|(_, reason)| reason.parse().ok());
            if synced != Some(Reason::Suspended) && !says(&object, &[Reason::CreateOutcomeUnknown]) {
                world.blame(format!("it does not say that it is suspended: {}", told(&object)));
            }
            continue;
        }
        let id = recorded(&object);
        let live = records.iter().any(|record| record.live && Some(record.id.as_str()) == id);
        let ready = condition(&object, "Ready").is_some_and(|(status, _)| status == "True");
        if ready && !live {
            world.blame(format!("untrue: it is ready, and {id:?} is not there: {}", told(&object)));
        }
        // An identity tells what became of a create, unless the object has lost what it knew of it or a stranger came meanwhile.
        if says(&object, &[Reason::CreateOutcomeUnknown]) && is_told_apart(world) {
            world.blame(format!("it asks what it could know: {}", told(&object)));
        }
        if !is_witnessed(world, &object, &records) {
            world.blame(format!("untrue: what it says is not so: {}", told(&object)));
        }
        if !ready && !says(&object, &QUESTIONS) && !waits_for_what_is_missing(world, &object) {
            world.blame(format!("untold: {}", told(&object)));
        }
    }
}

/// Whether an object can know what became of its creates.
fn is_told_apart(world: &World) -> bool {
    let (flavour, adopts) = (world.scenario().flavour, world.scenario().adopts());
    let is_lost = |event: Event| {
        event.takes_the_hold()
            || matches!(event, Event::WipeStatus | Event::Redeclare)
            || adopts && event == Event::EditKey
    };
    !flavour.is_nameless() && !world.has_happened(is_lost) && !is_blurred(world)
}

/// Whether a stranger's record is there that nobody can tell from ours. A connector that is made anew takes its place.
fn is_blurred(world: &World) -> bool {
    let blurred = world.track().blurred.clone();
    let records = ledger::records(world.scenario(), world.simulator());
    let is_there = records.iter().any(|record| record.live && blurred.contains(&record.which()));
    is_there || world.scenario().flavour.is_arcus() && !blurred.is_empty()
}

/// Whether what an object asks a person about is there to be seen, or not, as it says.
fn is_witnessed(world: &World, object: &Value, records: &[Record]) -> bool {
    let named = object.pointer("/spec/externalRef/id").and_then(Value::as_str);
    let own = recorded(object);
    let is_live = |id: &str| records.iter().any(|record| record.live && record.id == id);
    let matches = |record: &&Record| record.live && is_of_its_store(object, record);
    // Who only looks on follows the name that it is given.
    let (first, second) = if observes(object) { (named, own) } else { (own, named) };
    let is_other = |record: &Record| Some(record.id.as_str()) != own;
    let is_in_company = world.api().list(world.scenario().plural(), NAMESPACE).len() > 1;
    let witnesses = [
        (Reason::ExternalNotFound, !first.or(second).map_or_else(|| records.iter().any(|r| matches(&r)), is_live)),
        (Reason::AlreadyExists, records.iter().filter(matches).any(is_other)),
        (
            Reason::AdoptionForbidden,
            records.iter().filter(matches).any(is_other) || named.is_some() || observes(object),
        ),
        (Reason::NotMatch, records.iter().filter(matches).any(is_other) || named.is_some_and(is_live)),
        (Reason::AmbiguousMatch, records.iter().filter(matches).count() > 1),
        (Reason::ExternalIdConflict, is_in_company || named.is_some_and(|named| Some(named) != own)),
    ];
    witnesses.iter().all(|(reason, is_so)| *is_so || !says(object, &[*reason]))
}

/// Whether a record is of the store that an object declares, as far as its provider tells.
fn is_of_its_store(object: &Value, record: &Record) -> bool {
    const STORE: &str = "/spec/rutter/parameters/store_url";
    let store = record.shown.iter().find(|(field, _)| *field == STORE);
    store.is_none_or(|(field, store)| object.pointer(field).is_none_or(|declared| declared == store))
}

/// Whether an object waits for something that is indeed not there, or cannot be as somebody has written it.
fn waits_for_what_is_missing(world: &World, object: &Value) -> bool {
    let is_gone = |plural, name| {
        let there = world.api().get(plural, NAMESPACE, name);
        there.is_none_or(|there| is_deleting(&there))
    };
    let misnamed = object.pointer("/spec/externalRef").is_some();
    let observes = observes(object);
    let waits = [
        // An account that objects use stays for as long as they do, but takes on nothing new.
        (Reason::DependencyNotReady, is_gone("provideraccounts", ACCOUNT)),
        (Reason::SecretNotFound, is_gone("secrets", STORE_LOGIN) || is_gone("secrets", LOGIN)),
        // At Arcus an id is a type; and what nothing tells apart is looked at by its id alone.
        (Reason::InvalidSpec, misnamed || observes && world.scenario().flavour.is_nameless()),
        // Arcus does not look for what is no type; and what was refused while nobody was there is asked for again later.
        (Reason::ProviderRejected, misnamed && observes || world.has_happened(|event| event.effect().is_some())),
    ];
    waits.iter().any(|(reason, missing)| *missing && says(object, &[*reason]))
}

/// After all has been taken away: what is being deleted and is still there says what holds it.
pub(crate) fn is_held(world: &World) {
    for object in world.api().list(world.scenario().plural(), NAMESPACE) {
        if is_deleting(&object) && !(says(&object, &[Reason::DeletionBlocked]) && may_be_blocked(world, &object)) {
            world.blame(format!("stays without a reason: {}", told(&object)));
        }
    }
}

/// Whether something may indeed keep an object from going: nobody can tell what became of its attempt, or whose its record
/// is.
fn may_be_blocked(world: &World, object: &Value) -> bool {
    let is_open = open_attempt(object).is_some() || world.has_happened(Event::is_restore);
    is_open && !is_told_apart(world)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tradewind::api::keys;

    use super::*;
    use crate::{
        explore::simulated,
        flavour::Flavour,
        scenario::{NAME, Policy, Scenario},
    };

    /// What is blamed of an object in its deletion that says this, with an attempt that is open or without one.
    fn blames(flavour: Flavour, reason: Reason, open: bool) -> usize {
        simulated(async {
            let scenario = Scenario { flavour, policy: Policy::Plain };
            let world = World::new(scenario, &[], Duration::from_mins(10));
            let mut object = scenario.object(NAME);
            let intent = json!({"attempt": 1, "at": "2026-01-05T10:00:00Z"}).to_string();
            let annotations = if open { json!({keys::CREATE_INTENT: intent}) } else { json!({}) };
            object["metadata"] =
                json!({"name": NAME, "finalizers": [scenario.finalizer()], "annotations": annotations});
            world.api().create(NAMESPACE, &object).expect("an object");
            let ready = json!({
                "type": "Ready", "status": "False", "reason": reason.to_string(), "message": "",
                "lastTransitionTime": "2026-01-05T10:00:00Z"
            });
            let status = json!({"conditions": [ready]});
            world.api().replace_status(scenario.plural(), NAMESPACE, NAME, &status).expect("a status");
            world.api().delete(scenario.plural(), NAMESPACE, NAME).expect("its deletion");
            is_held(&world);
            world.track().blames.len()
        })
    }

    #[test]
    fn a_deletion_asks_a_person_only_where_nobody_could_tell() {
        assert_eq!(blames(Flavour::Nameless, Reason::DeletionBlocked, true), 0);
        assert_eq!(blames(Flavour::Nameless, Reason::DeletionBlocked, false), 1, "no attempt is open");
        assert_eq!(blames(Flavour::Rutter, Reason::DeletionBlocked, true), 1, "its identity tells");
        assert_eq!(blames(Flavour::Nameless, Reason::DeletionHeld, true), 1, "nothing is guarded");
    }
}
