//! What the operator made is taken away behind its back: the record at the provider, the Secret in the cluster.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use rstest::rstest;
use serde_json::json;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::Operation;
use tradewind_simulator::rutter::Deed;

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, connection, id_of, message, status_of, store};

#[tokio::test]
async fn a_lost_record_asks_for_a_person_who_may_want_a_new_one() {
    let world = World::new("loss").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let old = id_of(&world.settled("acme").await);
    let token = world.secret_value("acme-connection", "access_token").await;
    world.deed(&old, |connection| Deed::Delete { connection });
    world.request("acme").await;
    let halted = world.until("acme", "Ready", "False", "ExternalNotFound").await;
    let text = message(&halted, "Ready");
    assert!(text.contains(&old) && text.contains("onExternalLoss: Recreate"), "{text}");
    assert!(halted.says("Stalled", "True", "ExternalNotFound") && halted.says("Synced", "False", "ExternalNotFound"));
    assert_eq!((halted.kstatus(), id_of(&halted)), (Kstatus::Failed, old.clone()));
    assert!(world.reconciled("acme").await.says("Ready", "False", "ExternalNotFound"));
    assert_eq!(world.asked(Operation::Create), 1);

    world.change("acme", &json!({"spec": {"onExternalLoss": "Recreate"}})).await;
    let new = id_of(&world.settled("acme").await);
    assert_ne!(new, old);
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(new.as_str()));
    assert_ne!(world.secret_value("acme-connection", "access_token").await, token);
    assert_eq!(world.asked(Operation::Create), 2);
    world.ends_with(&[&new], 2, 1);
}

/// Nobody asks for a pass: the next check comes by itself.
#[rstest]
#[case::halts("Halt")]
#[case::comes_back("Recreate")]
#[tokio::test]
async fn a_lost_record_is_noticed_at_the_next_check(#[case] policy: &str) {
    let world = World::new("check").await;
    let more = format!("  interval: 1s\n  onExternalLoss: {policy}\n");
    world.sandbox.apply(&connection("acme", &store("acme"), &more)).await;
    let old = id_of(&world.settled("acme").await);
    world.deed(&old, |connection| Deed::Delete { connection });
    if policy == "Halt" {
        world.until("acme", "Ready", "False", "ExternalNotFound").await;
        return world.ends_with(&[], 1, 1);
    }
    let moved = |c: &Connection| c.says("Ready", "True", "Succeeded") && id_of(c) != old;
    let new = id_of(&world.sandbox.wait_for::<Connection>("acme", HANG, moved).await);
    world.ends_with(&[&new], 2, 1);
}

/// Somebody connects the store anew in the dashboard: that record is theirs.
#[tokio::test]
async fn a_lost_record_is_not_replaced_by_a_strangers() {
    let world = World::new("loss-stranger").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "  onExternalLoss: Recreate\n")).await;
    let old = id_of(&world.settled("acme").await);
    world.deed(&old, |connection| Deed::Delete { connection });
    let stranger = world.stranger(&store("acme"));
    world.request("acme").await;
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert!(message(&halted, "Ready").contains(&stranger), "{}", message(&halted, "Ready"));
    assert_eq!(status_of(&halted).external_id, None);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[&stranger], 1, 1);
}

#[tokio::test]
async fn a_lost_record_does_not_keep_its_object() {
    let world = World::new("loss-delete").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    world.deed(&id, |connection| Deed::Delete { connection });
    world.request("acme").await;
    world.until("acme", "Ready", "False", "ExternalNotFound").await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

#[tokio::test]
async fn a_deleted_connection_secret_is_written_again_at_the_next_check() {
    let world = World::new("secret-loss").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let ready = world.settled("acme").await;
    let before = world.sandbox.get::<Secret>("acme-connection").await.expect("the Secret");
    world.sandbox.delete::<Secret>("acme-connection").await;
    assert!(world.reconciled("acme").await.says("Ready", "True", "Succeeded"));
    let after = world.sandbox.get::<Secret>("acme-connection").await.expect("the Secret again");
    assert_ne!(after.uid(), before.uid());
    assert_eq!((after.data, after.metadata.labels), (before.data, before.metadata.labels));
    assert_eq!(after.metadata.owner_references, before.metadata.owner_references);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

#[tokio::test]
async fn an_edited_connection_secret_is_put_right_at_the_next_check() {
    let world = World::new("secret-edit").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let ready = world.settled("acme").await;
    let token = world.secret_value("acme-connection", "access_token").await;
    let own = BASE64_STANDARD.encode("own");
    let edit = json!({"data": {"access_token": own, "added": own}});
    let secrets = world.sandbox.api::<Secret>();
    secrets.patch("acme-connection", &PatchParams::default(), &Patch::Merge(&edit)).await.expect("a Secret to edit");
    world.reconciled("acme").await;
    assert_eq!(world.secret_value("acme-connection", "access_token").await, token);
    assert_eq!(
        world.secret_value("acme-connection", "added").await.as_deref(),
        Some("own"),
        "somebody's addition stays"
    );
    world.ends_with(&[&id_of(&ready)], 1, 0);
}
