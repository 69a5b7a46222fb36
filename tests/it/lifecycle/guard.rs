//! The guard over an account's deletions.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::{
    ClusterProviderAccount, Connection, IntegrationInstance, ProviderAccount, ProviderAccountStatus,
};

use super::instances::{self, instance};
use super::tenancy::{shared, sharing, team, until};
use crate::cluster::{HANG, Kind, Sandbox};
use crate::conditions::Observed;
use crate::world::{World, connection, id_of, message, store, told};
use tradewind_simulator::Operation;
use tradewind_simulator::rutter::{Deed, Trouble};

impl World {
    /// A running operator and an account with this guard.
    async fn with_guard(name: &str, guard: &str) -> Self {
        let mut world = Self::quiet(name).await;
        world.sandbox.apply(&world.account_with(&format!("deletionGuard: {guard}"))).await;
        world.sandbox.apply(&Self::store_login()).await;
        world.start().await;
        world
    }

    /// Two connections in an account that lets one deletion pass in this window; what they recorded.
    async fn guarded(name: &str, window: &str) -> (Self, [String; 2]) {
        let world = Self::with_guard(name, &format!("{{maxDeletions: 1, window: {window}}}")).await;
        let mut ids = Vec::new();
        for object in ["one", "two"] {
            world.sandbox.apply(&connection(object, &store(&format!("{name}-{object}")), "")).await;
            ids.push(id_of(&world.settled(object).await));
        }
        let ids = ids.try_into().expect("two of them");
        (world, ids)
    }

    async fn held(&self, name: &str) -> Connection {
        held(&self.sandbox, name).await
    }

    /// The records that are live, as ids, wherever they are.
    fn all_live(&self) -> Vec<String> {
        [self.live(), self.live_at_sku()].concat()
    }
}

/// An object whose deletion the guard holds.
async fn held<K: Kind + Observed>(namespace: &Sandbox, name: &str) -> K {
    let held = |object: &K| object.condition("Ready").is_some_and(|r| r.reason == "DeletionHeld");
    namespace.wait_for(name, HANG, held).await
}

/// Lets the object with this UID pass.
async fn let_pass<K: Kind>(namespace: &Sandbox, name: &str, uid: &str) {
    let allow = Patch::Merge(json!({"metadata": {"annotations": {keys::ALLOW_DELETION: uid}}}));
    namespace.api::<K>().patch(name, &PatchParams::default(), &allow).await.expect("an object to annotate");
}

/// How many deletions an account has counted in its window.
fn counted(status: Option<ProviderAccountStatus>) -> Option<i64> {
    status.and_then(|status| status.deletions).map(|deletions| deletions.count)
}

/// Of two objects of an account that lets one deletion pass, the one that goes second is held until a person lets it pass. `left`: its
/// record.
async fn second_waits_for_a_person<K: Kind + Observed>(
    world: &World,
    [(ours, one), (theirs, two)]: [(&Sandbox, &str); 2],
    left: &str,
) {
    ours.delete::<K>(one).await;
    ours.wait_gone::<K>(one, HANG).await;
    assert_eq!(world.all_live(), [left]);
    theirs.delete::<K>(two).await;
    let held: K = held(theirs, two).await;
    let uid = held.uid().expect("a UID");
    assert!(held.condition("Stalled").is_some_and(|c| c.status == "True"), "{:#?}", held.observed());
    assert!(message(&held, "Ready").contains(&format!("allow-deletion: {uid}")), "{:#?}", held.observed());

    let_pass::<K>(theirs, two, "another-uid").await;
    theirs.looked_at::<K>(two).await;
    assert_eq!((world.all_live(), world.simulator.stats().deletes), (vec![left.to_owned()], 1));
    let_pass::<K>(theirs, two, &uid).await;
    theirs.wait_gone::<K>(two, HANG).await;
}

#[tokio::test]
async fn a_deletion_beyond_the_number_is_held_until_a_person_lets_it_pass() {
    let (world, [first, second]) = World::guarded("guard", "1h").await;
    let both = ["one", "two"].map(|name| (&world.sandbox, name));
    second_waits_for_a_person::<Connection>(&world, both, &second).await;
    world.ends_with(&[], 2, 2);
    let account = world.sandbox.get::<ProviderAccount>("rutter").await.expect("an account");
    assert_eq!(counted(account.status), Some(1), "what a person lets pass is not counted");
    assert_ne!(first, second);
}

/// The objects of all namespaces count in one window.
#[tokio::test]
async fn a_deletion_beyond_the_number_of_a_shared_account_is_held_whosever_it_is() {
    let guard = json!({"maxDeletions": 1, "window": "1h"});
    let world = shared("guard-shared", &json!({"allowedNamespaces": {"selector": {}}, "deletionGuard": guard})).await;
    let (ours, theirs) = (team(&world, "ours").await, team(&world, "theirs").await);
    let mut left = String::new();
    for (namespace, name) in [(&ours, "one"), (&theirs, "two")] {
        namespace.apply(&sharing(name, &store(name), "")).await;
        left = id_of(&until(namespace, name, "True", "Succeeded").await);
    }
    second_waits_for_a_person::<Connection>(&world, [(&ours, "one"), (&theirs, "two")], &left).await;
    world.ends_with(&[], 2, 2);
    let accounts = Api::<ClusterProviderAccount>::all(world.sandbox.client().clone());
    let account = accounts.get("rutter").await.expect("an account");
    assert_eq!(counted(account.status), Some(1), "what a person lets pass is not counted");
}

/// The guard is the account's, whoever its provider is.
#[tokio::test]
async fn a_deletion_of_an_instance_beyond_the_number_is_held_until_a_person_lets_it_pass() {
    let mut world = World::quiet("guard-sku").await;
    world.furnish_sku("  deletionGuard: {maxDeletions: 1, window: 1h}\n").await;
    world.start().await;
    let mut left = String::new();
    for name in ["one", "two"] {
        world.sandbox.apply(&instance(name, "")).await;
        left = instances::id_of(&world.well(name).await);
    }
    let both = ["one", "two"].map(|name| (&world.sandbox, name));
    second_waits_for_a_person::<IntegrationInstance>(&world, both, &left).await;
    world.sku_ends_with(&[], 2, 2);
    let account = world.sandbox.get::<ProviderAccount>("sku").await.expect("an account");
    assert_eq!(counted(account.status), Some(1), "what a person lets pass is not counted");
}

#[tokio::test]
async fn a_held_deletion_goes_on_in_a_later_window() {
    let (world, [_, second]) = World::guarded("guard-window", "15s").await;
    world.sandbox.delete::<Connection>("one").await;
    world.sandbox.wait_gone::<Connection>("one", HANG).await;
    world.sandbox.delete::<Connection>("two").await;
    world.held("two").await;
    world.ends_with(&[&second], 2, 1);
    world.sandbox.wait_gone::<Connection>("two", HANG).await;
    world.ends_with(&[], 2, 2);
}

/// The window stands in the account's status: a restart opens no new one.
#[tokio::test]
async fn a_restart_of_the_operator_opens_no_new_window() {
    let (mut world, [_, second]) = World::guarded("guard-restart", "1h").await;
    world.sandbox.delete::<Connection>("one").await;
    world.sandbox.wait_gone::<Connection>("one", HANG).await;
    world.crash().await;
    world.sandbox.delete::<Connection>("two").await;
    world.start().await;
    let held = world.held("two").await;
    let account = world.sandbox.get::<ProviderAccount>("rutter").await.expect("an account");
    assert_eq!((counted(account.status), held.finalizers().len()), (Some(1), 1));
    world.ends_with(&[&second], 2, 1);
}

#[tokio::test]
async fn a_deletion_that_fails_is_counted_once() {
    use tradewind_simulator::{Effect, Fault, Operation};
    let (world, _) = World::guarded("guard-retry", "1h").await;
    world.simulator.push_fault(Fault::on(Operation::Delete, Effect::StatusAfterApply { status: 500 }));
    world.sandbox.delete::<Connection>("one").await;
    world.sandbox.wait_gone::<Connection>("one", HANG).await;
    let account = world.sandbox.get::<ProviderAccount>("rutter").await.expect("an account");
    assert_eq!(counted(account.status), Some(1));
}

/// What is held is said once, and again only to who asks.
#[tokio::test]
async fn a_replacement_whose_deletion_is_held_rests() {
    let world = World::with_guard("guard-replace", "{maxDeletions: 0, window: 1h}").await;
    world.sandbox.apply(&connection("acme", &store("first"), "  replacementPolicy: Recreate\n")).await;
    let id = id_of(&world.settled("acme").await);
    world.sandbox.apply(&connection("acme", &store("second"), "  replacementPolicy: Recreate\n")).await;
    world.until("acme", "Synced", "False", "DeletionHeld").await;
    let held = world.rests::<Connection>("acme").await;
    assert!(held.says("Synced", "False", "DeletionHeld"), "{}", told(&held));
    world.ends_with(&[&id], 1, 0);
    world.annotate("acme", keys::ALLOW_DELETION, held.uid().as_deref()).await;
    let replaced = |c: &Connection| c.says("Ready", "True", "Succeeded") && id_of(c) != id;
    let ready = world.sandbox.wait_for("acme", HANG, replaced).await;
    world.ends_with(&[&id_of(&ready)], 2, 1);
}

/// A replacement that was held and is not wanted any more: a record that goes by itself later is a loss like any other.
#[tokio::test]
async fn a_held_replacement_that_is_taken_back_makes_nothing_anew() {
    let world = World::with_guard("guard-back", "{maxDeletions: 0, window: 1h}").await;
    world.sandbox.apply(&connection("acme", &store("first"), "  replacementPolicy: Recreate\n")).await;
    let id = id_of(&world.settled("acme").await);
    world.sandbox.apply(&connection("acme", &store("second"), "  replacementPolicy: Recreate\n")).await;
    world.until("acme", "Synced", "False", "DeletionHeld").await;
    world.sandbox.apply(&connection("acme", &store("second"), "  replacementPolicy: Never\n")).await;
    world.until("acme", "Synced", "False", "ReplacementRequired").await;
    world.deed(&id, |connection| Deed::Delete { connection });
    world.request("acme").await;
    world.until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_eq!(world.asked(Operation::Create), 1);
}

/// A deletion that was counted and did not come about does not count for the next one.
#[tokio::test]
async fn a_deletion_after_a_replacement_that_came_to_nothing_is_counted_of_its_own() {
    use tradewind_simulator::{Effect, Fault};
    let world = World::with_guard("guard-nothing", "{maxDeletions: 1, window: 1h}").await;
    world.sandbox.apply(&connection("acme", &store("first"), "  replacementPolicy: Recreate\n")).await;
    let id = id_of(&world.settled("acme").await);
    let no = Effect::Refuse { status: 400, retry_after: None };
    world.simulator.push_fault(Fault::on(Operation::Delete, no).forever());
    world.sandbox.apply(&connection("acme", &store("second"), "  replacementPolicy: Recreate\n")).await;
    world.until("acme", "Ready", "False", "ProviderRejected").await;
    world.sandbox.apply(&connection("acme", &store("first"), "  replacementPolicy: Recreate\n")).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    world.simulator.clear_faults();
    world.sandbox.delete::<Connection>("acme").await;
    world.held("acme").await;
    world.ends_with(&[&id], 1, 0);
}

/// What is held does not hide how the record is, and the Secret goes on telling it.
#[tokio::test]
async fn a_record_whose_replacement_is_held_is_told_of_as_it_is() {
    let world = World::with_guard("guard-health", "{maxDeletions: 0, window: 1h}").await;
    world.sandbox.apply(&connection("acme", &store("first"), "  replacementPolicy: Recreate\n")).await;
    let id = id_of(&world.settled("acme").await);
    world.sandbox.apply(&connection("acme", &store("second"), "  replacementPolicy: Recreate\n")).await;
    let held = world.until("acme", "Synced", "False", "DeletionHeld").await;
    assert!(held.says("Ready", "True", "Succeeded"), "{}", told(&held));
    world.sandbox.delete::<k8s_openapi::api::core::v1::Secret>("acme-connection").await;
    world.deed(&id, |connection| Deed::Upset { connection, trouble: Trouble::NeedsUpdate });
    world.request("acme").await;
    let held = world.until("acme", "Ready", "False", "DeletionHeld").await;
    assert!(held.says("Synced", "False", "DeletionHeld"), "{}", told(&held));
    assert_eq!(world.secret_value("acme-connection", "connection_id").await, Some(id));
}

/// A replacement is one deletion, also where its answer is lost; the object's own deletion is the next one.
#[tokio::test]
async fn a_deletion_after_a_replacement_is_counted_of_its_own() {
    use tradewind_simulator::{Effect, Fault, Operation};
    let world = World::with_guard("guard-twice", "{maxDeletions: 1, window: 1h}").await;
    world.sandbox.apply(&connection("acme", &store("first"), "  replacementPolicy: Recreate\n")).await;
    let first = id_of(&world.settled("acme").await);
    world.simulator.push_fault(Fault::on(Operation::Delete, Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("second"), "  replacementPolicy: Recreate\n")).await;
    let replaced = |c: &Connection| c.says("Ready", "True", "Succeeded") && id_of(c) != first;
    let second = id_of(&world.sandbox.wait_for("acme", HANG, replaced).await);
    world.sandbox.delete::<Connection>("acme").await;
    world.held("acme").await;
    world.ends_with(&[&second], 2, 1);
}

#[tokio::test]
async fn a_guard_whose_window_never_ends_is_refused_before_anything_is_made() {
    let world = World::with_guard("guard-endless", "{maxDeletions: 1, window: 0s}").await;
    let refused = world.account_until("Ready", "False", "InvalidSpec").await;
    let ready = refused.condition("Ready").expect("a condition");
    assert!(ready.message.contains("spec.deletionGuard.window is zero"), "{}", ready.message);
    assert_eq!(world.simulator.stats().requests, 0);
}
