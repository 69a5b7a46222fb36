//! Refreshes: never more often than asked for, and as often where nothing comes between.

use serde_json::Value;

use crate::{
    event::Event,
    judge::{is_plain, is_uncertain, made, mistaken},
    ledger,
    life::Step,
    scenario::{NAMESPACE, Policy},
    site::Site,
    world::World,
};

/// Before something happens: whether it can come between a refresh and what is known of it. A fault can where it meets the
/// call, or while a refresh is announced. What people do can at any time: a record that is lost or replaced takes with it
/// what was asked for, and so does an annotation that is taken away.
pub(crate) fn before(world: &World, site: &Site, event: Event) {
    let replaces = world.scenario().policy == Policy::Replace && matches!(event, Event::Edit | Event::EditKey);
    // One that is put off is asked for again, unless another operator takes it for one that nobody knows the end of.
    let put_off = event == Event::Refuse429 && world.track().operators == 1;
    let cuts = event.is_fault() && !event.is_light() && !put_off;
    let acts = !event.is_fault() && (!event.is_light() || replaces);
    if acts || cuts && (site.is_refresh() || is_announced(world)) {
        disturb(world);
    }
}

/// After a write of an operator that a fault has met: what it announced may never be asked for.
pub(crate) fn after_a_write(world: &World, struck: bool) {
    if struck && is_announced(world) {
        disturb(world);
    }
}

fn disturb(world: &World) {
    let mut track = world.track();
    if track.refreshing {
        track.refresh_disturbed = true;
    } else {
        track.load_disturbed = true;
    }
}

/// Whether an object says that a refresh is about to be asked for.
fn is_announced(world: &World) -> bool {
    let requested = |state: &Value| state.pointer("/state").and_then(Value::as_str) == Some("Requested");
    world.api().any(world.scenario().plural(), NAMESPACE, |object| {
        let all = object.pointer("/status/refresh").and_then(Value::as_object);
        all.is_some_and(|all| all.values().any(requested))
    })
}

/// A refresh is never asked for twice; and it is asked for where nothing came between.
pub(crate) fn refreshed_once(world: &World, step: Step) {
    let (asked, quiet, skip, firm) = {
        let track = world.track();
        let asked = track.happened.iter().filter(|event| **event == Event::AskRefresh).count();
        let (quiet, skip) = (track.happened.is_empty(), track.refresh_disturbed);
        (asked + usize::from(step >= Step::Refresh), quiet, skip, !track.load_disturbed)
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
    let declared = is_plain(world) && !is_uncertain(world) && world.scenario().owns();
    if skip || step != Step::Refresh || !declared {
        return;
    }
    // Of two that were asked for at once the second takes the place of the first; where nothing happened, each is there.
    let once = if quiet { asked } else { 1 };
    let least = |what: &str| if firm { once + first(what) } else { once };
    for what in world.scenario().flavour.loads() {
        let times = done.get(*what).copied().unwrap_or_default();
        if times < least(what) {
            world.blame(format!(
                "{what} was loaded {times} times, {asked} were asked for and {} belong to records",
                first(what)
            ));
        }
    }
}
