//! An object whose stored form does not parse: said, left alone, and no hindrance to the others.

use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;

use crate::cli::run_in;
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

    world
        .sandbox
        .apply(&connection("twin", &store("malformed"), "  adoptionPolicy: Match\n  deletionPolicy: Retain\n"))
        .await;
    world.until("twin", "Ready", "False", "ExternalIdConflict").await;
    world.sandbox.delete::<Connection>("twin").await;
    world.sandbox.wait_gone::<Connection>("twin", HANG).await;

    patch(Value::Null).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    assert_eq!(world.live().len(), 2);
    assert_eq!(world.simulator.stats().creates, 2, "the record was not made again");
}

#[tokio::test]
async fn an_attempt_that_a_later_version_wrote_is_read() {
    let mut world = World::new("later").await;
    world.sandbox.apply(&connection("acme", &store("later"), "")).await;
    let made = world.settled("acme").await;
    world.stop().await;
    let mut attempt: Value = serde_json::from_str(&made.annotations()[keys::CREATE_INTENT]).expect("an attempt");
    attempt["unheardOf"] = json!({"in": "this version"});
    world.annotate("acme", keys::CREATE_INTENT, Some(&attempt.to_string())).await;
    world.start().await;
    world.reconciled("acme").await;
    assert_eq!(id_of(&world.settled("acme").await), id_of(&made));
    assert_eq!(world.simulator.stats().creates, 1);
}

fn condition(object: &DynamicObject, kind: &str) -> Value {
    let all = object.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    all.into_iter().find(|c| c["type"] == kind).unwrap_or_default()
}

/// Our own command line asks a real API server.
mod real {
    use super::*;
    use crate::lifecycle::expect::left_behind;

    /// Nothing of it can be carried out, so it says what its people can do.
    #[tokio::test]
    async fn an_object_that_does_not_parse_says_what_its_deletion_needs() {
        let mut world = World::new("malformed-gone").await;
        for name in ["acme", "other"] {
            world.sandbox.apply(&connection(name, &store(name), "")).await;
            world.settled(name).await;
        }
        world.stop().await;
        let object = documents(&connection("acme", &store("acme"), "")).remove(0);
        let api = world.sandbox.dynamic_api(&object).await;
        for name in ["acme", "other"] {
            let spoiled = Patch::Merge(json!({"status": {"lastSyncTime": NO_TIME}}));
            api.patch_status(name, &PatchParams::default(), &spoiled).await.expect("a status");
            api.delete(name, &DeleteParams::default()).await.expect("an object to delete");
        }
        world.start().await;
        let blocked = async {
            loop {
                let object = api.get("acme").await.expect("an object");
                let ready = condition(&object, "Ready");
                if ready.get("reason") == Some(&json!("DeletionBlocked")) {
                    break ready["message"].as_str().expect("a message").to_owned();
                }
            }
        };
        let message = tokio::time::timeout(HANG, blocked).await.expect("a condition");
        assert!(message.contains("Correct it") && message.contains("tradewind abandon"), "{message}");
        assert_eq!(world.live().len(), 2);

        // Corrected, it goes with its record; abandoned, it goes alone.
        let mended = Patch::Merge(json!({"status": {"lastSyncTime": null}}));
        api.patch_status("other", &PatchParams::default(), &mended).await.expect("a status");
        world.sandbox.wait_gone::<Connection>("other", HANG).await;
        let left = world.live();
        assert_eq!(left.len(), 1);
        let dry = run_in(&world.sandbox, &["abandon", "acme"]).await;
        assert_eq!(dry.code, Some(2), "{dry:?}");
        let done = run_in(&world.sandbox, &["abandon", "acme", "--yes"]).await;
        assert_eq!(done.code, Some(0), "{done:?}");
        for said in [&dry.out, &done.out] {
            assert_eq!(left_behind(said), [format!("record {}, which the object's status names", left[0])], "{said}");
        }
        let gone = async { while api.get_opt("acme").await.expect("an answer").is_some() {} };
        tokio::time::timeout(HANG, gone).await.expect("the end of the object");
        assert_eq!((world.live(), world.simulator.stats().deletes), (left, 1));
    }
}
