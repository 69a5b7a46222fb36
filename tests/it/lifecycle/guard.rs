//! The guard over an account's deletions.

use kube::ResourceExt;
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, ProviderAccount};

use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::world::{World, connection, id_of, message, store, told};

impl World {
    /// Two connections in an account that lets one deletion pass in this window; what they recorded.
    async fn guarded(name: &str, window: &str) -> (Self, [String; 2]) {
        let mut world = Self::quiet(name).await;
        let guard = format!("deletionGuard: {{maxDeletions: 1, window: {window}}}");
        world.sandbox.apply(&world.account_with(&guard)).await;
        world.sandbox.apply(&Self::store_login()).await;
        world.start().await;
        let mut ids = Vec::new();
        for object in ["one", "two"] {
            world.sandbox.apply(&connection(object, &store(&format!("{name}-{object}")), "")).await;
            ids.push(id_of(&world.settled(object).await));
        }
        let ids = ids.try_into().expect("two of them");
        (world, ids)
    }

    async fn held(&self, name: &str) -> Connection {
        let held = |c: &Connection| c.condition("Ready").is_some_and(|r| r.reason == "DeletionHeld");
        self.sandbox.wait_for::<Connection>(name, HANG, held).await
    }
}

#[tokio::test]
async fn a_deletion_beyond_the_number_is_held_until_a_person_lets_it_pass() {
    let (world, [first, second]) = World::guarded("guard", "1h").await;
    world.sandbox.delete::<Connection>("one").await;
    world.sandbox.wait_gone::<Connection>("one", HANG).await;
    world.ends_with(&[&second], 2, 1);
    world.sandbox.delete::<Connection>("two").await;
    let held = world.held("two").await;
    let uid = held.uid().expect("a UID");
    assert!(held.condition("Stalled").is_some_and(|c| c.status == "True"), "{}", told(&held));
    assert!(message(&held, "Ready").contains(&format!("allow-deletion: {uid}")), "{}", told(&held));

    world.annotate("two", keys::ALLOW_DELETION, Some("another-uid")).await;
    world.reconciled("two").await;
    world.ends_with(&[&second], 2, 1);
    world.annotate("two", keys::ALLOW_DELETION, Some(&uid)).await;
    world.sandbox.wait_gone::<Connection>("two", HANG).await;
    world.ends_with(&[], 2, 2);
    let account = world.sandbox.get::<ProviderAccount>("rutter").await.expect("an account");
    assert_eq!(
        account.status.and_then(|s| s.deletions).map(|d| d.count),
        Some(1),
        "what a person lets pass is not counted"
    );
    assert_ne!(first, second);
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
    let deletions = account.status.and_then(|s| s.deletions).expect("a window");
    assert_eq!((deletions.count, held.finalizers().len()), (1, 1));
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
    assert_eq!(account.status.and_then(|s| s.deletions).map(|d| d.count), Some(1));
}

/// What is held is said once, and again only to who asks.
#[tokio::test]
async fn a_replacement_whose_deletion_is_held_rests() {
    let mut world = World::quiet("guard-replace").await;
    world.sandbox.apply(&world.account_with("deletionGuard: {maxDeletions: 0, window: 1h}")).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
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
