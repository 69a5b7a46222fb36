//! What must be true of every history, and what of those in which nobody acts against the declaration.

use serde_json::Value;
use tradewind::domain::{intent::SLACK, reason::Reason};

use crate::{
    event::Event,
    flavour::Flavour,
    ledger::{self, Which},
    life::{Step, condition, says},
    loads,
    people::{carries, name, observes, open_attempt, recorded},
    scenario::{ACCOUNT, LOGIN, NAME, NAMESPACE, Policy},
    site::Site,
    well::{is_gone, is_well, nothing_is_left, told},
    world::World,
};

/// Reasons that leave a question to a person, or wait for somebody else.
pub(crate) const QUESTIONS: [Reason; 12] = [
    Reason::CreateOutcomeUnknown,
    Reason::DeletionBlocked,
    Reason::AlreadyExists,
    Reason::AmbiguousMatch,
    Reason::ExternalIdConflict,
    Reason::ExternalNotFound,
    Reason::ReplacementRequired,
    Reason::AdoptionForbidden,
    Reason::NotMatch,
    Reason::RefreshOutcomeUnknown,
    Reason::AuthorizationRequired,
    Reason::AccountMismatch,
];

/// Whether what is declared must have come to be: nobody has acted against it, or it is the operator's to put right.
pub(crate) fn is_plain(world: &World) -> bool {
    let scenario = world.scenario();
    // What is edited before it is taken over is not what is there any more.
    let edits = |event| matches!(event, Event::Edit | Event::Drift);
    let edited = scenario.policy == Policy::Adopt && world.has_happened(edits);
    let lost = world.track().let_go || world.track().forgotten > 0 || world.track().kept_late;
    !world.has_happened(|event| !scenario.bears(event)) && !lost && !edited
}

/// Whether a create may have been left without anybody who can tell what came of it.
pub(crate) fn is_uncertain(world: &World) -> bool {
    world.track().uncertain && world.scenario().policy != Policy::Answer
}

/// Before something happens: whether it can leave a create behind whose outcome nobody can tell.
pub(crate) fn before(world: &World, site: &Site, event: Event) {
    loads::before(world, site, event);
    // When the answered record was made is asked afterwards: a refusal of that leaves it open too.
    let asked_afterwards = !site.has_effect() && matches!(event, Event::Refuse429 | Event::Refuse400);
    if !world.scenario().flavour.is_nameless() || !(event.is_uncertain() || asked_afterwards) {
        return;
    }
    let unknown = |object: &Value| recorded(object).is_none() || open_attempt(object).is_some();
    if world.api().any(world.scenario().plural(), NAMESPACE, unknown) {
        world.track().uncertain = true;
    }
}

/// Whether an object that should be well by now may be waiting for a time to pass.
pub(crate) fn waits(world: &World, step: Step) -> bool {
    let Some(object) = world.object(NAME) else { return false };
    let ready = condition(&object, "Ready").is_some_and(|(status, _)| status == "True");
    (step >= Step::Delete || !ready) && world.scenario().owns()
}

/// After every write of an operator.
pub(crate) fn after_a_write(world: &World) {
    accounts_come_first(world);
    accounts_go_last(world);
    strangers_are_told_apart(world);
    takings_are_noted(world);
}

/// After every write at the provider: what is made in place of another record is made after that is gone.
pub(crate) fn after_a_call(world: &World) {
    no_duplicates(world);
}

/// What a stranger made a moment before an attempt was announced looks like the work of the attempt: clocks may differ by
/// as much, and the list that was looked at before does not show it yet.
fn strangers_are_told_apart(world: &World) {
    let strangers = world.track().strangers.clone();
    if strangers.is_empty() {
        return;
    }
    let objects = world.api().list(world.scenario().plural(), NAMESPACE);
    let Some(announced) = objects.iter().filter_map(open_attempt).min() else { return };
    let early = |(_, came): &Which| came.checked_add(SLACK).is_ok_and(|came| came > announced);
    world.track().blurred.extend(strangers.into_iter().filter(early));
}

/// An account keeps who it is before an object says so, or a process that starts now would take the object for another
/// account's.
fn accounts_come_first(world: &World) {
    let Some(account) = world.api().get("provideraccounts", NAMESPACE, ACCOUNT) else { return };
    let kept = account.pointer("/status/identity").and_then(Value::as_str);
    // One that is declared anew has yet to learn it.
    if kept.is_some() || world.has_happened(|event| event == Event::DeleteAccount) {
        return;
    }
    for object in world.api().list(world.scenario().plural(), NAMESPACE) {
        let said = object.pointer("/status/account").and_then(Value::as_str);
        if said.is_some_and(|said| !said.starts_with("login:")) {
            world.blame(format!("{} says whose it is, and the account does not", name(&object)));
        }
    }
}

/// An account and its login are there for as long as an object may need them to clean up.
fn accounts_go_last(world: &World) {
    // Whose finalizer was taken off and comes back has been nobody's for a while.
    let there = |plural, name| world.api().get(plural, NAMESPACE, name).is_some();
    if world.has_happened(Event::takes_the_hold) || there("provideraccounts", ACCOUNT) && there("secrets", LOGIN) {
        return;
    }
    // Where nothing was ever sent there is nothing to clean up: whoever is bound to an account that goes begins nothing.
    if world.track().calls == 0 && world.ours().is_empty() {
        return;
    }
    let bound = |object: &Value| carries(object, world.scenario().finalizer());
    if world.api().any(world.scenario().plural(), NAMESPACE, bound) {
        world.blame("an account, or its login, is gone that an object may still need".to_owned());
    }
}

/// After a step.
pub(crate) fn at_rest(world: &World, step: Step) {
    no_duplicates(world);
    no_orphans(world);
    nobody_else_touched(world);
    what_stays_is_there(world);
    loads::refreshed_once(world, step);
    if step == Step::Leave {
        nothing_is_left(world);
    }
    if !is_plain(world) {
        return;
    }
    match (world.scenario().owns(), step < Step::Delete) {
        (true, true) => is_well(world),
        (true, false) => is_gone(world),
        (false, true) if world.scenario().policy == Policy::Observe => looks_on(world),
        (false, true) => leaves_alone(world),
        (false, false) => {}
    }
}

/// After all.
pub(crate) fn at_the_end(world: &World) {
    let panics = |line: &str| line.starts_with("tradewind_reconcile_panics_total") && !line.ends_with(" 0");
    if world.metrics().lines().any(panics) {
        world.blame("a pass panicked".to_owned());
    }
    if is_plain(world) && !is_uncertain(world) && world.scenario().owns() {
        made_once(world);
    }
}

/// No more was ever made than what is declared asks for: one record, another one for each that somebody has deleted, and
/// where records are replaced, another one for each edit.
fn made_once(world: &World) {
    let policy = world.scenario().policy;
    let (lost, edited, keys) = {
        let track = world.track();
        let times = |kinds: &[Event]| track.happened.iter().filter(|event| kinds.contains(event)).count();
        (track.lost.len() + track.afresh, times(&[Event::Edit, Event::EditKey]), times(&[Event::EditKey]))
    };
    let one = usize::from(!world.scenario().adopts());
    // Who names another store twice may have taken back what was to be replaced.
    let (least, most) = if policy == Policy::Replace {
        (one + usize::from(keys < 2), one + 1 + edited)
    } else {
        (one, one + lost + usize::from(world.is_crossed()))
    };
    let made = made(world);
    if !(least..=most).contains(&made) {
        world.blame(format!("{made} records were made, not {least} to {most}"));
    }
}

/// How many records operators have made, be they gone by now.
pub(crate) fn made(world: &World) -> usize {
    ledger::records(world.scenario(), world.simulator()).iter().map(|record| record.made).sum()
}

/// How many strangers' records may have been taken for an operator's own: nobody could tell.
pub(crate) fn mistaken(world: &World) -> usize {
    let records = ledger::records(world.scenario(), world.simulator());
    let track = world.track();
    records.iter().filter(|record| !record.ours && track.blurred.contains(&record.which())).count()
}

fn no_duplicates(world: &World) {
    let (live, scenario) = (world.ours(), world.scenario());
    let (let_go, blurred, forgotten, blind, alone, anew) = {
        let track = world.track();
        (track.let_go, !track.blurred.is_empty(), track.forgotten, track.blind, track.operators == 1, track.anew)
    };
    let happened = |such: &[Event]| world.has_happened(|event| such.contains(&event));
    // The connection Secret is the last that tells; before there is one, it is the pass that has the answer, unless that
    // ends there or another operator is quicker. It goes with its owner, which a restored object is not any more.
    let unheard = blind && (!alone || happened(&[Event::CrashBefore, Event::CrashAfter]));
    let forgotten =
        if unheard || happened(&[Event::DeleteSecret, Event::RestoreFull, Event::RestoreBare]) { forgotten } else { 0 };
    let times = |kind| world.track().happened.iter().filter(|event| **event == kind).count();
    let left = if let_go || forgotten > 0 || retains(world) { times(Event::Redeclare) } else { 0 };
    let allowed = match scenario.flavour {
        // Nobody can tell that the second one is of the same store, or that what was let go is.
        Flavour::Nameless | Flavour::RutterLink => 1 + times(Event::SecondObject) + left + anew + forgotten,
        // Two objects, or what somebody has declared at one time and at another, may be of two stores.
        Flavour::Rutter if happened(&[Event::EditKey]) => 2,
        Flavour::Rutter if scenario.policy == Policy::Replace => 1 + times(Event::SecondObject).min(1) + left,
        Flavour::Rutter | Flavour::SkuIo | Flavour::Arcus | Flavour::ArcusLink => 1,
    };
    let same = |one: &ledger::Record| live.iter().filter(|other| other.shown == one.shown).count() > 1;
    if live.len() > allowed || scenario.flavour == Flavour::Rutter && live.iter().any(same) {
        world.blame(format!("a duplicate: {} records are live that operators made", live.len()));
    }
    if !world.simulator().stats().overwrites.is_empty() && !blurred && !world.is_crossed() {
        world.blame("a create took hold of an active connector".to_owned());
    }
}

/// Whether what an object had may be meant to stay.
pub(crate) fn retains(world: &World) -> bool {
    let kept = |event: Event| matches!(event, Event::SetRetain | Event::SetObserve);
    world.scenario().policy == Policy::Retain || world.has_happened(kept)
}

/// A record that operators made is an object's, or an object's condition names it, or it was meant to stay.
fn no_orphans(world: &World) {
    let (let_go, ended, forgotten) = {
        let track = world.track();
        (track.let_go, track.ended, track.forgotten > 0)
    };
    if retains(world) && ended || let_go || forgotten {
        return;
    }
    let objects = world.api().list(world.scenario().plural(), NAMESPACE);
    // Who only looks on leaves open what was begun before.
    if objects.iter().any(|object| observes(object) && open_attempt(object).is_some()) {
        return;
    }
    for record in world.ours() {
        let holds = |o: &Value| recorded(o) == Some(&record.id);
        let names = |o: &Value| messages(o).any(|text| is_named(text, &record.id));
        if !objects.iter().any(|o| holds(o) || names(o)) {
            let objects: Vec<String> = objects.iter().map(told).collect();
            world.blame(format!("an orphan: nobody knows the live record; objects: {objects:?}"));
        }
    }
}

/// What the conditions of an object say.
fn messages(object: &Value) -> impl Iterator<Item = &str> {
    let all = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|condition| condition.get("message").and_then(Value::as_str))
}

/// Whether a text names an id, as a word of its own: that of an instance is a number.
fn is_named(text: &str, id: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == id)
}

/// What an object has taken over is its own from then on.
fn takings_are_noted(world: &World) {
    if !world.scenario().adopts() {
        return;
    }
    let objects = world.api().list(world.scenario().plural(), NAMESPACE);
    let taken = objects.iter().filter(|object| manages(object)).filter_map(recorded);
    world.track().taken.extend(taken.map(str::to_owned));
}

/// Whether what an object has is its own, and not only looked at.
fn manages(object: &Value) -> bool {
    object.pointer("/status/observedOnly").and_then(Value::as_bool) != Some(true)
}

/// Strangers' records are as they were, unless one was taken over or nobody could tell it from ours. One that was taken over
/// is there as long as nobody has asked for the end of its object.
fn nobody_else_touched(world: &World) {
    // What a provider carries out when nobody waits for it any more takes what has the id by then: at Arcus, the type.
    if world.scenario().flavour.is_arcus() && world.track().late {
        return;
    }
    let (lost, taken, ended, blurred) = {
        let track = world.track();
        (track.lost.clone(), track.taken.clone(), track.ended, track.blurred.clone())
    };
    let objects = world.api().list(world.scenario().plural(), NAMESPACE);
    let records = ledger::records(world.scenario(), world.simulator());
    for record in records.iter().filter(|record| !record.ours && !blurred.contains(&record.which())) {
        let deleted = lost.contains(&record.which());
        let is_taken = taken.contains(&record.id);
        if !(record.live || deleted || is_taken && ended) {
            world.blame("foreign: a stranger's record was deleted".to_owned());
        }
        if record.changes > 0 && !is_taken {
            world.blame("foreign: a stranger's record was touched".to_owned());
        }
        let holds = |o: &&Value| recorded(o) == Some(&record.id);
        let may_be_held = !record.live || is_taken || world.scenario().policy == Policy::Observe;
        if let Some(object) = objects.iter().filter(holds).find(|o| manages(o)).filter(|_| !may_be_held) {
            world.blame(format!("foreign: an object has a stranger's record: {}", told(object)));
        }
    }
}

/// A record that somebody has said is to stay is there, unless somebody has deleted it, or has said something else since.
fn what_stays_is_there(world: &World) {
    let scenario = world.scenario();
    // Who declares an object once more may have another one take over what stays, and that one deletes it.
    let other = world.has_happened(|event| matches!(event, Event::Redeclare | Event::SecondObject));
    let late = scenario.flavour.is_arcus() && world.track().late;
    if scenario.policy == Policy::Replace || other && scenario.allows_adoption() || late {
        return;
    }
    let (kept, lost) = {
        let track = world.track();
        (track.kept.clone(), track.lost.clone())
    };
    let records = ledger::records(scenario, world.simulator());
    for kept in kept.iter().filter(|kept| !lost.contains(kept)) {
        if !records.iter().any(|record| record.which() == *kept && record.live) {
            world.blame("a record is gone that was to stay".to_owned());
        }
    }
}

/// A stranger's record is in the way, and the object says so.
fn leaves_alone(world: &World) {
    if world.object(NAME).is_none_or(|object| !says(&object, &[Reason::AlreadyExists])) {
        world.blame(format!(
            "it does not say what is in the way: {}",
            world.object(NAME).as_ref().map(told).unwrap_or_default()
        ));
    }
}

/// A stranger's record is looked at, and the object says which.
fn looks_on(world: &World) {
    let Some(object) = world.object(NAME) else { return world.blame("lost: the object is gone".to_owned()) };
    let seen = object.pointer("/status/observedOnly").and_then(Value::as_bool) == Some(true);
    if !seen || condition(&object, "Ready").is_none_or(|(status, _)| status != "True") {
        world.blame(format!("it does not show what it looks at: {}", told(&object)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tradewind::api::keys;
    use tradewind_simulator::{arcus, rutter};

    use super::*;
    use crate::{explore::simulated, scenario::Scenario};

    /// What is blamed in a world without an operator, in which a stranger's connector is there before, and then is not.
    fn blames(policy: Policy, before: impl FnOnce(&World), judge: impl FnOnce(&World)) -> Vec<String> {
        simulated(async {
            let world = World::new(Scenario { flavour: Flavour::Arcus, policy }, &[], Duration::from_mins(10));
            before(&world);
            let deed = arcus::Act::Delete.on(world.scenario().connector());
            world.simulator().act_arcus(&deed).expect("a connector");
            judge(&world);
            world.track().blames.clone()
        })
    }

    fn records(world: &World) -> Vec<ledger::Record> {
        ledger::records(world.scenario(), world.simulator())
    }

    #[test]
    fn a_strangers_record_goes_only_where_it_was_taken_over_and_its_object_goes() {
        let taken = |world: &World| world.track().taken.extend(records(world).into_iter().map(|record| record.id));
        let ended = |world: &World| world.track().ended = true;
        for policy in [Policy::Adopt, Policy::Override, Policy::Stranger] {
            assert_eq!(blames(policy, |_| {}, nobody_else_touched).len(), 1, "{policy:?}: never taken over");
        }
        assert_eq!(blames(Policy::Adopt, taken, nobody_else_touched).len(), 1, "its object stays");
        assert_eq!(blames(Policy::Adopt, ended, nobody_else_touched).len(), 1, "another object's end");
        let both = |world: &World| {
            taken(world);
            ended(world);
        };
        assert_eq!(blames(Policy::Adopt, both, nobody_else_touched), [""; 0]);
    }

    #[test]
    fn of_two_strangers_only_the_one_that_came_while_an_attempt_was_open_may_be_mistaken() {
        let scenario = Scenario { flavour: Flavour::Rutter, policy: Policy::Plain };
        let (blurred, blames) = simulated(async {
            let world = World::new(scenario, &[], Duration::from_mins(10));
            assert!(world.stranger(), "one that comes before anything is declared");
            tokio::time::sleep(Duration::from_mins(1)).await;
            let mut object = scenario.object(NAME);
            let at = world.simulator().clock().now();
            let intent = json!({"attempt": 1, "at": at.to_string()}).to_string();
            object["metadata"] = json!({"name": NAME, "annotations": {keys::CREATE_INTENT: intent}});
            world.api().create(NAMESPACE, &object).expect("an object");
            assert!(world.stranger(), "one that comes meanwhile");
            after_a_write(&world);
            for connection in world.simulator().connections() {
                let deed = rutter::Deed::Delete { connection: connection.id };
                world.simulator().act(&deed).expect("a stranger's record");
                nobody_else_touched(&world);
            }
            let track = world.track();
            (track.blurred.len(), track.blames.clone())
        });
        assert_eq!(blurred, 1);
        assert_eq!(blames, ["foreign: a stranger's record was deleted"]);
    }

    #[test]
    fn what_is_to_stay_stays_unless_somebody_deletes_it() {
        let of = |world: &World| records(world).iter().map(ledger::Record::which).collect::<Vec<_>>();
        let kept = |world: &World| {
            let all = of(world);
            world.track().kept.extend(all);
        };
        let lost = |world: &World| {
            kept(world);
            let all = of(world);
            world.track().lost.extend(all);
        };
        assert_eq!(blames(Policy::Adopt, |_| {}, what_stays_is_there), [""; 0]);
        assert_eq!(blames(Policy::Adopt, kept, what_stays_is_there), ["a record is gone that was to stay"]);
        assert_eq!(blames(Policy::Adopt, lost, what_stays_is_there), [""; 0]);
    }
}
