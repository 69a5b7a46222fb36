//! What people write in histories is what a real API server would take: the one in memory does not ask the rules of the CRDs.

use std::collections::BTreeSet;

use kube::core::cel::Validator;
use serde_json::{Value, json};
use tradewind::api::crd;

use crate::{
    event::Event,
    explore::simulated,
    life::Step,
    scenario::{NAME, NAMESPACE, Scenario, TWIN, all},
    world::World,
};

/// What people write of an object.
const WRITES: [Event; 10] = [
    Event::Edit,
    Event::EditKey,
    Event::Suspend,
    Event::AskReconcile,
    Event::AskRefresh,
    Event::Replace,
    Event::SetRetain,
    Event::SetObserve,
    Event::NameWrongRecord,
    Event::SecondObject,
];

/// A kind, its object before, and after.
type Write = (String, String, String);

/// What stands of an object in its rules.
fn body(object: &Value) -> String {
    json!({"spec": object.get("spec")}).to_string()
}

/// What is written in a world in which these things happen, and then the edit of every life.
fn written(scenario: Scenario, events: &[Event]) -> Vec<Write> {
    let world = World::new(scenario, &[], std::time::Duration::from_mins(10));
    let mut writes = Vec::new();
    let objects = || [NAME, TWIN].map(|name| world.api().get(scenario.plural(), NAMESPACE, name));
    let mut note = |before: [Option<Value>; 2], deed: &dyn Fn()| {
        deed();
        for (before, after) in before.into_iter().zip(objects()) {
            let kind = |object: &Value| object["kind"].as_str().unwrap_or_default().to_owned();
            let before = before.as_ref().map(body).unwrap_or_default();
            writes.extend(after.map(|after| (kind(&after), before, body(&after))));
        }
    };
    note(objects(), &|| world.take(Step::Declare));
    for event in events {
        note(objects(), &|| {
            let _ = world.happen(*event);
        });
    }
    note(objects(), &|| world.take(Step::Edit));
    writes
}

#[test]
fn what_people_write_is_what_an_api_server_takes() {
    let mut writes = BTreeSet::new();
    for scenario in all() {
        let events: Vec<Event> = WRITES.into_iter().filter(|event| scenario.allows(*event)).collect();
        for (first, second) in events.iter().flat_map(|first| events.iter().map(move |second| (*first, *second))) {
            writes.extend(simulated(async { written(scenario, &[first, second]) }));
        }
    }
    assert!(writes.len() > 200, "only {} writes", writes.len());
    let crds = crd::all().expect("the CRDs");
    let validator = Validator::new();
    for (kind, before, after) in &writes {
        let crd = crds.iter().find(|crd| crd.manifest["spec"]["names"]["kind"] == **kind).expect("a kind of ours");
        let schema = &crd.manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let read = |text: &String| serde_json::from_str::<Value>(text).ok();
        let after = read(after).expect("an object");
        let refused = validator.validate(schema, &after, read(before).as_ref());
        assert!(refused.is_ok(), "{before}\n{after}\n{:?}", refused.err());
    }
}
