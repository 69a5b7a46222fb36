//! The end states of a life in which nobody acts against the declaration.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use tradewind::api::keys;

use crate::{
    judge::{is_uncertain, retains},
    ledger,
    life::condition,
    people::{carries, name},
    scenario::{ACCOUNT, NAME, NAMESPACE, SECRET},
    world::World,
};

/// The end state of the undisturbed life.
pub(crate) fn is_well(world: &World) {
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
    let seen = object.pointer("/status/observedGeneration");
    if seen != object.pointer("/metadata/generation") {
        world.blame(format!("it speaks of generation {seen:?}, which is not the present one"));
    }
    let own = !world.scenario().adopts();
    if own && live.first().map(|record| &record.id) != id.as_ref() {
        world.blame(format!("lost: status names {id:?}, live is {live:?}"));
    }
    if let Some(id) = id {
        is_as_declared(world, &object, &id);
        is_told(world, &id);
    }
}

/// What is declared stands at the provider.
fn is_as_declared(world: &World, object: &Value, id: &str) {
    let records = ledger::records(world.scenario(), world.simulator());
    if records.iter().any(|record| record.id == id && record.live && record.refused) {
        world.blame(format!("the store refuses the credentials that the record has: {}", told(object)));
    }
    for (field, there) in records.into_iter().filter(|record| record.id == id).flat_map(|record| record.shown) {
        if object.pointer(field).is_some_and(|declared| *declared != there) {
            world.blame(format!("{field} is {there} at the provider: {}", told(object)));
        }
    }
}

/// The connection Secret names the record, where there is one.
fn is_told(world: &World, id: &str) {
    if !world.scenario().flavour.is_rutter() {
        return;
    }
    let secret = world.api().get("secrets", NAMESPACE, SECRET);
    let told = |key: &str| secret.as_ref().and_then(|secret| secret.pointer(key)?.as_str());
    if told("/data/connection_id") != Some(&BASE64_STANDARD.encode(id)) {
        world.blame(format!("the connection Secret does not tell the record {id}: {:?}", told("/data/connection_id")));
    }
    let records = ledger::records(world.scenario(), world.simulator());
    let token = records.into_iter().find(|record| record.id == id).and_then(|record| record.token);
    if told("/data/access_token") != token.map(|token| BASE64_STANDARD.encode(token)).as_deref() {
        world.blame(format!("the connection Secret does not have the token of the record {id}"));
    }
}

/// The object is gone, and what it had with it.
pub(crate) fn is_gone(world: &World) {
    if let Some(object) = world.object(NAME) {
        if !is_uncertain(world) {
            world.blame(format!("stuck in its deletion: {}", told(&object)));
        }
        return;
    }
    let stays = retains(world);
    if !stays && world.scenario().adopts() && is_taken_record_left(world) {
        world.blame("the record that was taken over is there after the object is gone".to_owned());
    }
    let live = world.ours().len();
    if (stays && live != 1 && !is_uncertain(world) && !world.scenario().adopts()) || (!stays && live > 0) {
        world.blame(format!("{live} records after the object is gone"));
    }
}

fn is_taken_record_left(world: &World) -> bool {
    let taken = world.track().taken.clone();
    let records = ledger::records(world.scenario(), world.simulator());
    records.iter().any(|record| record.live && taken.contains(&record.id))
}

/// Nothing of ours keeps anything from going.
pub(crate) fn nothing_is_left(world: &World) {
    if !world.api().list(world.scenario().plural(), NAMESPACE).is_empty() {
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
pub(crate) fn told(object: &Value) -> String {
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    let line = |c: &Value| {
        let text = |key: &str| c.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        format!("{}={}/{} {}", text("type"), text("status"), text("reason"), text("message"))
    };
    format!("{}: {}", name(object), all.into_iter().flatten().map(line).collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{
        explore::simulated,
        flavour::Flavour,
        scenario::{Policy, Scenario},
    };

    #[test]
    fn a_connection_secret_has_the_id_and_the_token_of_its_record() {
        let scenario = Scenario { flavour: Flavour::Rutter, policy: Policy::Adopt };
        let blames = |id: Option<&str>, token: Option<&str>| {
            simulated(async {
                let world = World::new(scenario, &[], Duration::from_mins(10));
                let record = ledger::records(scenario, world.simulator()).remove(0);
                let own = record.token.expect("a token");
                let data = json!({"connection_id": id.unwrap_or(&record.id), "access_token": token.unwrap_or(&own)});
                let secret =
                    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": data});
                world.api().apply(NAMESPACE, &secret).expect("a Secret");
                is_told(&world, &record.id);
                world.track().blames.len()
            })
        };
        assert_eq!(blames(None, None), 0);
        assert_eq!(blames(Some("another"), None), 1);
        assert_eq!(blames(None, Some("another")), 1);
    }
}
