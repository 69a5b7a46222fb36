//! What must be true of every history, and what of those in which nobody acts against the declaration.

use serde_json::Value;
use tradewind::{
    api::keys,
    domain::{intent::SLACK, reason::Reason},
};

use crate::{
    event::Event,
    ledger,
    life::{Step, condition, says},
    people::{carries, name, open_attempt},
    scenario::{ACCOUNT, Flavour, NAME, NAMESPACE, Policy, SECRET, TWIN},
    world::World,
};

/// Reasons that leave a question to a person, or wait for somebody else.
const QUESTIONS: [Reason; 12] = [
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

/// Whether all that has happened can only have delayed what is declared.
fn is_plain(world: &World) -> bool {
    // What is edited before it is taken over is not what is there any more.
    let edited = world.scenario().policy == Policy::Adopt && world.has_happened(|event| event == Event::Edit);
    let lost = world.track().let_go || world.track().forgotten;
    !world.has_happened(|event| !event.is_benign()) && !lost && !edited
}

/// Whether a create may have been left without anybody who can tell what came of it.
fn is_uncertain(world: &World) -> bool {
    let nameless = world.scenario().flavour.is_nameless();
    // When the answered record was made is asked afterwards: a refusal of that leaves it open too.
    nameless && world.has_happened(|event| event.is_uncertain() || event == Event::Refuse429)
}

/// Whether an object that should be well by now may be waiting for a time to pass.
pub(crate) fn waits(world: &World, step: Step) -> bool {
    let Some(object) = world.object(NAME) else { return false };
    let ready = condition(&object, "Ready").is_some_and(|(status, _)| status == "True");
    (step >= Step::Delete || !ready) && world.scenario().owns()
}

/// Whether an object waits for a person.
pub(crate) fn has_question(world: &World) -> bool {
    world.api().any(world.scenario().plural(), NAMESPACE, |object| says(object, &QUESTIONS))
}

/// After every write of an operator.
pub(crate) fn after_a_write(world: &World) {
    accounts_come_first(world);
    strangers_are_told_apart(world);
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

/// After a step.
pub(crate) fn at_rest(world: &World, step: Step) {
    no_duplicates(world);
    no_orphans(world);
    nobody_else_touched(world);
    refreshed_once(world, step);
    if is_plain(world) && world.scenario().owns() {
        if step < Step::Delete { is_well(world) } else { is_gone(world) }
    }
    if step == Step::Leave && is_plain(world) {
        nothing_is_left(world);
    }
}

/// After all.
pub(crate) fn at_the_end(world: &World) {
    let panics = |line: &str| line.starts_with("tradewind_reconcile_panics_total") && !line.ends_with(" 0");
    if world.metrics().lines().any(panics) {
        world.blame("a pass panicked".to_owned());
    }
    let made = ledger::records(world.scenario(), world.simulator()).iter().filter(|record| record.ours).count();
    let recreates = world.has_happened(|event| event == Event::LoseRecord);
    if is_plain(world) && !is_uncertain(world) && world.scenario().owns() && !recreates {
        let wanted = usize::from(world.scenario().policy != Policy::Adopt);
        if made != wanted {
            world.blame(format!("{made} records were made, not {wanted}"));
        }
    }
}

fn no_duplicates(world: &World) {
    let (live, scenario) = (world.ours(), world.scenario());
    let (let_go, blurred, forgotten, blind, alone) = {
        let track = world.track();
        (track.let_go, track.blurred, track.forgotten, track.blind, track.operators == 1)
    };
    let happened = |such: &[Event]| world.has_happened(|event| such.contains(&event));
    // The connection Secret is the last that tells; before there is one, it is the pass that has the answer, unless that
    // ends there or another operator is quicker.
    let unheard = blind && (!alone || happened(&[Event::CrashBefore, Event::CrashAfter]));
    let forgotten = forgotten && (unheard || happened(&[Event::DeleteSecret]));
    let allowed = match scenario.flavour {
        // Nobody can tell that the second one is of the same store, or that what was let go is.
        Flavour::Nameless | Flavour::RutterLink => {
            let times = |kind| world.track().happened.iter().filter(|event| **event == kind).count();
            let left = if let_go || forgotten || retains(world) { times(Event::Redeclare).max(1) } else { 0 };
            1 + times(Event::SecondObject) + left
        }
        Flavour::Rutter if world.has_happened(|event| event == Event::EditKey) => 2,
        Flavour::Rutter | Flavour::SkuIo | Flavour::Arcus | Flavour::ArcusLink => 1,
    };
    if live.len() > allowed {
        world.blame(format!("a duplicate: {} records are live that operators made", live.len()));
    }
    if !world.simulator().stats().overwrites.is_empty() && !blurred {
        world.blame("a create took hold of an active connector".to_owned());
    }
}

/// Whether what an object had may be meant to stay.
fn retains(world: &World) -> bool {
    let kept = |event: Event| matches!(event, Event::SetRetain | Event::SetObserve);
    world.scenario().policy == Policy::Retain || world.has_happened(kept)
}

/// A record that operators made is an object's, or an object's condition names it, or it was meant to stay.
fn no_orphans(world: &World) {
    if retains(world) || world.track().let_go || world.track().forgotten {
        return;
    }
    let objects = world.api().list(world.scenario().plural(), NAMESPACE);
    for record in world.ours() {
        let holds = |o: &Value| o.pointer("/status/externalId").and_then(Value::as_str) == Some(&record.id);
        let names = |o: &Value| o.pointer("/status/conditions").is_some_and(|all| all.to_string().contains(&record.id));
        if !objects.iter().any(|o| holds(o) || names(o)) {
            let objects: Vec<String> = objects.iter().map(told).collect();
            world.blame(format!("an orphan: nobody knows the live record; objects: {objects:?}"));
        }
    }
}

/// Strangers' records are as they were, unless one was to be taken over or nobody could tell it from ours.
fn nobody_else_touched(world: &World) {
    if world.scenario().policy == Policy::Adopt || world.track().blurred {
        return;
    }
    let lost = world.has_happened(|event| event == Event::LoseRecord);
    for record in ledger::records(world.scenario(), world.simulator()).iter().filter(|record| !record.ours) {
        if (!record.live && !lost) || record.changes > 0 {
            world.blame("foreign: a stranger's record was touched".to_owned());
        }
    }
}

/// A refresh is never asked for twice; and it is asked for where nothing came between.
fn refreshed_once(world: &World, step: Step) {
    let (asked, disturbed) = {
        let track = world.track();
        let asked = track.happened.iter().filter(|event| **event == Event::AskRefresh).count();
        (asked + usize::from(step >= Step::Refresh), !track.happened.is_empty())
    };
    for (what, times) in ledger::refreshes(world.simulator()) {
        if times > asked {
            world.blame(format!("{what} was refreshed {times} times, {asked} were asked for"));
        }
    }
    if !disturbed && step == Step::Refresh && world.scenario().refreshes() && world.scenario().owns() {
        let done = ledger::refreshes(world.simulator());
        if done.is_empty() || done.iter().any(|(_, times)| *times != asked) {
            world.blame(format!("refreshes {done:?}, {asked} were asked for"));
        }
    }
}

/// The end state of the undisturbed life.
fn is_well(world: &World) {
    let Some(object) = world.object(NAME) else { return world.blame("lost: the object is gone".to_owned()) };
    let (ready, live) = (condition(&object, "Ready"), world.ours());
    let id = world.recorded(NAME);
    if is_uncertain(world) && ready.as_ref().is_some_and(|(_, reason)| reason == "CreateOutcomeUnknown") {
        return;
    }
    if ready.as_ref().is_none_or(|(status, _)| status != "True") {
        return world.blame(format!("stuck: {}", told(&object)));
    }
    if !carries(&object, world.scenario().finalizer()) {
        world.blame("unbound: it does not carry our finalizer".to_owned());
    }
    if world.api().get("provideraccounts", NAMESPACE, ACCOUNT).is_some_and(|a| !carries(&a, keys::ACCOUNT_FINALIZER)) {
        world.blame("the account is not held although it is in use".to_owned());
    }
    let own = world.scenario().policy != Policy::Adopt;
    if own && live.first().map(|record| &record.id) != id.as_ref() {
        world.blame(format!("lost: status names {id:?}, live is {live:?}"));
    }
    let secret = world.api().get("secrets", NAMESPACE, SECRET);
    let tells = world.scenario().flavour.is_rutter();
    if tells && secret.is_none_or(|secret| secret.pointer("/data/connection_id").is_none()) {
        world.blame("the connection Secret does not tell the record".to_owned());
    }
}

/// The object is gone, and what it had with it.
fn is_gone(world: &World) {
    if let Some(object) = world.object(NAME) {
        if !is_uncertain(world) {
            world.blame(format!("stuck in its deletion: {}", told(&object)));
        }
        return;
    }
    let stays = retains(world);
    let live = world.ours().len();
    if (stays && live != 1 && !is_uncertain(world) && world.scenario().policy != Policy::Adopt) || (!stays && live > 0)
    {
        world.blame(format!("{live} records after the object is gone"));
    }
}

/// Nothing of ours keeps anything from going.
fn nothing_is_left(world: &World) {
    if world.object(NAME).is_some() || world.object(TWIN).is_some() {
        return;
    }
    let mut left: Vec<String> = Vec::new();
    for plural in ["provideraccounts", "secrets"] {
        left.extend(world.api().list(plural, NAMESPACE).iter().map(|o| format!("{plural} {}", name(o))));
    }
    if !left.is_empty() {
        world.blame(format!("left behind: {left:?}"));
    }
}

/// What an object says, in a line.
fn told(object: &Value) -> String {
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    let line = |c: &Value| {
        let text = |key: &str| c.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        format!("{}={}/{} {}", text("type"), text("status"), text("reason"), text("message"))
    };
    format!("{}: {}", name(object), all.into_iter().flatten().map(line).collect::<Vec<_>>().join("; "))
}
