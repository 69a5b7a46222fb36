//! Two tenants of one shared account, one of whom forges what objects say of themselves to come by the other's record.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::decide::Resolution;
use tradewind::domain::ids::ExternalId;
use tradewind_simulator::Operation;

use crate::cluster::{HANG, Sandbox};
use crate::conditions::Observed;
use crate::lifecycle::tenancy::{shared, sharing, team, until};
use crate::world::{World, answer, connection, id_of, status_of, store, told};

/// A shared account that admits everybody; the victim has a record in it, and the thief has the leave to use it.
async fn victim_and_thief(name: &str) -> (World, Sandbox, Sandbox, String) {
    let world = shared(name, &json!({"allowedNamespaces": {"selector": {}}})).await;
    let (victim, thief) = (team(&world, "victim").await, team(&world, "thief").await);
    victim.apply(&sharing("acme", &store("victim"), "")).await;
    let loaded = |c: &Connection| c.says("InitialRefreshComplete", "True", "Succeeded");
    let id = id_of(&victim.wait_for("acme", HANG, loaded).await);
    (world, victim, thief, id)
}

async fn forge_status(namespace: &Sandbox, name: &str, status: Value) {
    let forged = Patch::Merge(json!({"status": status}));
    let api = namespace.api::<Connection>();
    api.patch_status(name, &PatchParams::default(), &forged).await.expect("a status to forge");
}

async fn annotate(namespace: &Sandbox, name: &str, key: &str, value: &str) {
    let forged = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
    let api = namespace.api::<Connection>();
    api.patch(name, &PatchParams::default(), &forged).await.expect("an object to annotate");
}

/// Nothing of the victim's record is in any Secret of the thief.
async fn assert_nothing_taken(world: &World, thief: &Sandbox, id: &str) {
    let records = world.simulator.connections();
    let record = records.iter().find(|record| record.id.to_string() == id).expect("the victim's record");
    assert!(record.deleted_at.is_none(), "it is still there");
    let secrets = thief.api::<Secret>().list(&ListParams::default()).await.expect("Secrets");
    let values = secrets.iter().flat_map(|secret| secret.data.iter().flatten());
    for (key, value) in values {
        let value = String::from_utf8_lossy(&value.0);
        assert!(value != record.access_token.to_string() && value != id, "the thief has the victim's {key}");
    }
}

#[tokio::test]
async fn a_forged_status_takes_nothing_from_the_object_that_has_it() {
    let (world, victim, thief, id) = victim_and_thief("forged-status").await;
    thief.apply(&sharing("mine", &store("thief"), "")).await;
    let mine = id_of(&until(&thief, "mine", "True", "Succeeded").await);
    forge_status(&thief, "mine", json!({"externalId": id})).await;
    let refused = until(&thief, "mine", "False", "ExternalIdConflict").await;
    assert!(refused.condition("Stalled").is_some(), "{}", told(&refused));
    assert_nothing_taken(&world, &thief, &id).await;
    // Its deletion lets go of what is not its own.
    thief.delete::<Connection>("mine").await;
    thief.wait_gone::<Connection>("mine", HANG).await;
    assert_nothing_taken(&world, &thief, &id).await;
    assert_eq!(world.asked(Operation::Delete), 0);
    assert_eq!(id_of(&until(&victim, "acme", "True", "Succeeded").await), id);
    world.ends_with(&[&id, &mine], 2, 0);
}

/// The status, the annotation and the finalizer of the victim's object, copied whole onto one of the thief's.
#[tokio::test]
async fn the_copied_life_of_another_object_is_not_gone_on_with() {
    let (world, victim, thief, id) = victim_and_thief("copied-life").await;
    let acme = victim.get::<Connection>("acme").await.expect("the victim's object");
    thief.apply(&sharing("copy", &store("thief"), "  suspend: true\n")).await;
    thief.wait_for::<Connection>("copy", HANG, |c| c.says("Synced", "Unknown", "Suspended")).await;
    let intent = acme.annotations().get(keys::CREATE_INTENT).expect("an intent");
    annotate(&thief, "copy", keys::CREATE_INTENT, intent).await;
    forge_status(&thief, "copy", serde_json::to_value(status_of(&acme)).expect("JSON")).await;
    let wake = Patch::Merge(json!({"spec": {"suspend": false}}));
    thief.api::<Connection>().patch("copy", &PatchParams::default(), &wake).await.expect("an object");
    let halted = until(&thief, "copy", "False", "CreateOutcomeUnknown").await;

    // Nor does an answer of the thief's own make it so.
    let adopt = Resolution::Adopt(ExternalId::new(&id));
    annotate(&thief, "copy", keys::RESOLVE, &answer(&halted, &adopt)).await;
    until(&thief, "copy", "False", "AdoptionForbidden").await;
    assert_nothing_taken(&world, &thief, &id).await;
    assert_eq!(world.asked(Operation::Delete), 0);
    world.ends_with(&[&id], 1, 0);
}

/// Of a status that anybody may write nothing could be believed: who may edit objects may not.
mod real {
    use super::*;

    #[tokio::test]
    async fn who_may_edit_objects_may_not_write_what_the_operator_says_of_them() {
        let mut world = World::new("statuses").await;
        world.sandbox.apply(&connection("acme", &store("statuses"), "")).await;
        let id = id_of(&world.settled("acme").await);
        world.stop().await;
        // The rules of the role that the chart gives to editors (tests/it/install holds that they name no status).
        let rights = json!({
            "apiGroups": ["tradewind.dev"], "resources": ["provideraccounts", "connections", "integrationinstances"],
            "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
        });
        let (api, name) = ("rbac.authorization.k8s.io/v1", json!({"name": "editor"}));
        let role = json!({"apiVersion": api, "kind": "Role", "metadata": name, "rules": [rights]});
        let binding = json!({
            "apiVersion": api, "kind": "RoleBinding", "metadata": name,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "editor"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "editor"}],
        });
        world.sandbox.apply(&role.to_string()).await;
        world.sandbox.apply(&binding.to_string()).await;
        let patch = async |more: &[&str]| {
            let forged = r#"--patch={"metadata":{"labels":{"forged":"yes"}},"status":{"externalId":"another"}}"#;
            let args = ["patch", "connection", "acme", "--as=editor", "--type=merge", forged];
            world.sandbox.kubectl(&[&args[..], more].concat()).await
        };
        // The authorizer follows by a watch of its own.
        let edited = async { while !patch(&[]).await.ok {} };
        tokio::time::timeout(HANG, edited).await.expect("the right to edit");
        let acme = world.sandbox.get::<Connection>("acme").await.expect("the object");
        assert_eq!(acme.labels().get("forged").map(String::as_str), Some("yes"), "the edit took place");
        assert_eq!(id_of(&acme), id, "and its status did not");
        let refused = patch(&["--subresource=status"]).await;
        assert!(!refused.ok && refused.err.contains("forbidden"), "{refused:?}");
        assert_eq!(id_of(&world.sandbox.get::<Connection>("acme").await.expect("the object")), id);
    }
}
