//! An object whose stored form does not parse: said, left alone, and no hindrance to the others.

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tradewind::api::v1alpha1::Connection;

use crate::cluster::{HANG, documents};
use crate::world::{World, connection, id_of, store};

/// Passes the API server's check of date-times, which does not look at the range of an offset; no clock can have it.
const NO_TIME: &str = "2025-01-01T00:00:00+99:99";

#[tokio::test]
async fn an_object_that_does_not_parse_is_told_so_and_stops_nobody() {
    let mut world = World::new("malformed").await;
    world.sandbox.apply(&connection("acme", &store("malformed"), "")).await;
    let id = id_of(&world.settled("acme").await);
    world.stop().await;

    // As if another version had written it.
    let object = documents(&connection("acme", &store("malformed"), "")).remove(0);
    let api = world.sandbox.dynamic_api(&object).await;
    let spoil = |value: Value| json!({"status": {"lastSyncTime": value}});
    let patch = async |value: Value| {
        api.patch_status("acme", &PatchParams::default(), &Patch::Merge(&spoil(value))).await.expect("a status")
    };
    patch(json!(NO_TIME)).await;
    let bad = api.get("acme").await.expect("an object");
    assert!(bad.try_parse::<Connection>().is_err(), "the test's own premise");

    world.start().await;
    world.sandbox.apply(&connection("other", &store("malformed-other"), "")).await;
    world.settled("other").await;
    let told = async {
        loop {
            let object = api.get("acme").await.expect("an object");
            let ready = condition(&object, "Ready");
            if ready.get("reason") == Some(&json!("InvalidSpec")) {
                break ready;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let ready = tokio::time::timeout(HANG, told).await.expect("a condition");
    assert_eq!(ready["status"], "False");
    let message = ready["message"].as_str().expect("a message");
    assert!(message.contains("cannot be read by this version") && message.contains("Correct it"), "{message}");
    let object = api.get("acme").await.expect("an object");
    assert_eq!(condition(&object, "Stalled")["status"], "True");
    assert_eq!(object.data["status"]["externalId"], id, "what it recorded stays");

    patch(Value::Null).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    assert_eq!(world.live().len(), 2);
    assert_eq!(world.simulator.stats().creates, 2, "the record was not made again");
}

fn condition(object: &DynamicObject, kind: &str) -> Value {
    let all = object.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    all.into_iter().find(|c| c["type"] == kind).unwrap_or_default()
}
