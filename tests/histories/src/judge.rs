//! What must be true of every history, and what of those in which nobody acts against the declaration.

use serde_json::Value;
use tradewind::domain::{intent::SLACK, reason::Reason};

use crate::{
    event::Event,
    ledger,
    life::{Step, condition, says},
    people::{carries, name, observes, open_attempt, recorded},
    scenario::{ACCOUNT, Flavour, LOGIN, NAME, NAMESPACE, Policy},
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
fn is_plain(world: &World) -> bool {
    let scenario = world.scenario();
    // What is edited before it is taken over is not what is there any more.
    let edits = |event| matches!(event, Event::Edit | Event::Drift);
    let edited = scenario.policy == Policy::Adopt && world.has_happened(edits);
    let lost = world.track().let_go || world.track().forgotten > 0;
    !world.has_happened(|event| !scenario.bears(event)) && !lost && !edited
}

/// Whether a create may have been left without anybody who can tell what came of it.
pub(crate) fn is_uncertain(world: &World) -> bool {
    world.track().uncertain && world.scenario().policy != Policy::Answer
}

/// Before something happens: whether it can leave a create behind whose outcome nobody can tell.
pub(crate) fn before(world: &World, site: &Site, event: Event) {
    // A record that is replaced takes what was asked for with it.
    let replaces = world.scenario().policy == Policy::Replace && matches!(event, Event::Edit | Event::EditKey);
    if world.track().refreshing && (!event.is_light() || replaces) {
        world.track().refresh_disturbed = true;
    }
    world.track().refreshing |= event == Event::AskRefresh;
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
}

/// After every write at the provider: what is made in place of another record is made after that is gone.
pub(crate) fn after_a_call(world: &World) {
    no_duplicates(world);
}

/// What a stranger made a moment before an attempt was announced looks like the work of the attempt: clocks may differ by
/// as much, and the list that was looked at before does not show it yet.
fn strangers_are_told_apart(world: &World) {
    let came = world.track().stranger.and_then(|came| came.checked_add(SLACK).ok());
    let early = |object: &Value| open_attempt(object).is_some_and(|announced| came > Some(announced));
    if came.is_some() && world.api().any(world.scenario().plural(), NAMESPACE, early) {
        world.track().blurred = true;
    }
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
    refreshed_once(world, step);
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
    let one = usize::from(policy != Policy::Adopt);
    // Who names another store twice may have taken back what was to be replaced.
    let (least, most) =
        if policy == Policy::Replace { (one + usize::from(keys < 2), one + 1 + edited) } else { (one, one + lost) };
    let made = made(world);
    if !(least..=most).contains(&made) {
        world.blame(format!("{made} records were made, not {least} to {most}"));
    }
}

/// How many records operators have made, be they gone by now.
fn made(world: &World) -> usize {
    ledger::records(world.scenario(), world.simulator()).iter().map(|record| record.made).sum()
}

/// How many strangers' records may have been taken for an operator's own: nobody could tell.
fn mistaken(world: &World) -> usize {
    let records = ledger::records(world.scenario(), world.simulator());
    records.iter().filter(|record| !record.ours && world.track().blurred).count()
}

fn no_duplicates(world: &World) {
    let (live, scenario) = (world.ours(), world.scenario());
    let (let_go, blurred, forgotten, blind, alone, anew) = {
        let track = world.track();
        (track.let_go, track.blurred, track.forgotten, track.blind, track.operators == 1, track.anew)
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
    if !world.simulator().stats().overwrites.is_empty() && !blurred {
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

/// Strangers' records are as they were, unless one was to be taken over or nobody could tell it from ours.
fn nobody_else_touched(world: &World) {
    // What a provider carries out when nobody waits for it any more takes what has the id by then: at Arcus, the type.
    let late = world.scenario().flavour.is_arcus() && world.has_happened(|event| event == Event::LateEffect);
    if world.scenario().policy == Policy::Adopt || world.track().blurred || late {
        return;
    }
    let lost = world.track().lost.clone();
    let objects = world.api().list(world.scenario().plural(), NAMESPACE);
    for record in ledger::records(world.scenario(), world.simulator()).iter().filter(|record| !record.ours) {
        let deleted = lost.iter().any(|(id, since)| *id == record.id && *since == record.since);
        if (!record.live && !deleted) || record.changes > 0 {
            world.blame("foreign: a stranger's record was touched".to_owned());
        }
        let holds = |o: &&Value| recorded(o) == Some(&record.id);
        let manages = |o: &&Value| o.pointer("/status/observedOnly").and_then(Value::as_bool) != Some(true);
        let looks_on = world.scenario().policy == Policy::Observe;
        if let Some(object) = objects.iter().filter(holds).find(manages).filter(|_| record.live && !looks_on) {
            world.blame(format!("foreign: an object has a stranger's record: {}", told(object)));
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

/// A refresh is never asked for twice; and it is asked for where nothing came between.
fn refreshed_once(world: &World, step: Step) {
    let (asked, disturbed, quiet) = {
        let track = world.track();
        let asked = track.happened.iter().filter(|event| **event == Event::AskRefresh).count();
        (asked + usize::from(step >= Step::Refresh), track.refresh_disturbed, track.happened.is_empty())
    };
    let done = ledger::refreshes(world.simulator());
    let first = |what: &str| if world.scenario().loads_at_first(what) { made(world) + mistaken(world) } else { 0 };
    for (what, times) in &done {
        let first = first(what);
        if *times > asked + first {
            world.blame(format!(
                "{what} was loaded {times} times, {first} belong to records and {asked} were asked for"
            ));
        }
    }
    let declared = is_plain(world) && !is_uncertain(world) && world.scenario().owns() && world.scenario().refreshes();
    if disturbed || step != Step::Refresh || !declared {
        return;
    }
    // Of two that were asked for at once the second takes the place of the first; where nothing happened, each is there.
    let least = |what: &str| if quiet { asked + first(what) } else { 1 };
    if done.is_empty() || done.iter().any(|(what, times)| *times < least(what)) {
        world.blame(format!("refreshes {done:?}, {asked} were asked for"));
    }
}
