//! The plain life of a connector, and what it costs.

use rstest::rstest;
use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, RefreshPhase};
use tradewind_cluster::Mark;
use tradewind_simulator::Operation;
use tradewind_simulator::arcus::{Account, Act, Connector};

use super::{assert_writes, connector};
use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::lifecycle::expect::assert_stalled;
use crate::world::{ARCUS_KEY, World, message, status_of, told};

/// Asserts so many writes, and the one that answers the question whether there are more.
async fn costs(world: &World, since: Mark, count: usize) {
    world.reconciled("acme").await;
    assert_writes(world, since, "acme", count + 1).await;
}

#[tokio::test]
async fn a_life_costs_three_writes_to_create_and_one_each_to_change_and_to_delete() {
    let world = World::with_arcus("arcus-life").await;
    // The first sync ends at some moment, and that is news that is worth a write.
    world.simulator.freeze(true);
    world.sandbox.apply(&connector("first", "ups", "", "")).await;
    world.until("first", "Ready", "False", "AuthorizationRequired").await;

    let since = world.sandbox.mark();
    let settings = "    displayName: Labels\n    config: {format: pdf}\n    shipFrom: {city: Reno, zip: \"89501\"}\n";
    world.sandbox.apply(&connector("acme", "shippo", settings, "")).await;
    let waiting = world.until("acme", "Ready", "False", "AuthorizationRequired").await;
    assert!(message(&waiting, "Ready").contains("Enter the credentials in Arcus"), "{}", told(&waiting));
    assert!(waiting.condition("Stalled").is_none() && waiting.condition("Reconciling").is_none());
    assert_eq!(waiting.kstatus(), Kstatus::InProgress);
    let record = world.at_arcus(Connector::Shippo);
    assert_eq!((record.display_name.as_str(), record.config.get("format")), ("Labels", Some(&json!("pdf"))));
    let status = status_of(&waiting);
    assert_eq!(status.external_id.as_deref(), Some("shippo"));
    assert_eq!(status.account, Some(record.entity_id.to_string()));
    assert_eq!(status.has_credentials, Some(false));
    costs(&world, since, 3).await;

    let since = world.sandbox.mark();
    world.simulator.act_arcus(&Act::EnterCredentials.on(Connector::Shippo)).expect("a deed");
    let ready = world.until("acme", "Ready", "True", "Succeeded").await;
    assert!(ready.says("Authorized", "True", "Succeeded"), "{}", told(&ready));
    costs(&world, since, 1).await;

    let since = world.sandbox.mark();
    world.change("acme", &json!({"spec": {"arcus": {"displayName": "Parcels"}}})).await;
    let renamed = |c: &Connection| status_of(c).last_action.is_some_and(|a| a.fields == ["spec.arcus.displayName"]);
    world.sandbox.wait_for::<Connection>("acme", HANG, renamed).await;
    let record = world.at_arcus(Connector::Shippo);
    assert_eq!((record.display_name.as_str(), record.changes.len()), ("Parcels", 1), "{:#?}", record.changes);
    costs(&world, since, 1).await;

    world.annotate("acme", keys::REFRESH, Some("monday")).await;
    let told = |c: &Connection| {
        status_of(c).refresh.and_then(|r| r.products).is_some_and(|p| p.state == RefreshPhase::Unsupported)
    };
    world.sandbox.wait_for::<Connection>("acme", HANG, told).await;
    assert_eq!(world.asked(Operation::Refresh), 0);
    world.reconciled("acme").await;

    let since = world.sandbox.mark();
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert_writes(&world, since, "acme", 1).await;
    assert!(world.at_arcus(Connector::Shippo).deleted);
    assert!(world.simulator.stats().overwrites.is_empty());
}

#[tokio::test]
async fn a_connector_that_is_made_again_within_a_week_says_that_it_has_its_credentials_back() {
    let world = World::with_arcus("arcus-again").await;
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    world.until("acme", "Ready", "False", "AuthorizationRequired").await;
    world.simulator.act_arcus(&Act::EnterCredentials.on(Connector::Shippo)).expect("a deed");
    world.until("acme", "Ready", "True", "Succeeded").await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    world.until("acme", "Ready", "True", "Succeeded").await;
    // People are told after the status.
    while world.events("acme", "CredentialsRestored").await == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.at_arcus(Connector::Shippo).tally.restores, 1);
}

#[tokio::test]
async fn what_is_switched_off_is_switched_on_again_unless_it_shall_be_off() {
    let world = World::with_arcus("arcus-active").await;
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    world.until("acme", "Ready", "False", "AuthorizationRequired").await;
    world.simulator.act_arcus(&Act::SetActive { active: false }.on(Connector::Shippo)).expect("a deed");
    world.reconciled("acme").await;
    world.provider_until("it works again", |s| s.connector(Connector::Shippo).is_some_and(|r| r.is_active)).await;
    world.change("acme", &json!({"spec": {"arcus": {"active": false}}})).await;
    world.provider_until("it is off", |s| s.connector(Connector::Shippo).is_some_and(|r| !r.is_active)).await;
    world.reconciled("acme").await;
    assert_eq!(world.asked(Operation::Update), 2);
}

#[rstest]
#[case::live_data("    displayName: x\n", "Live", "EnvironmentMismatch", &["spec.arcus.mode", "test key"])]
#[case::credentials("    config: {deep: [{apiKey: test-canary}]}\n", "Sandbox", "InvalidSpec", &["config.deep[0].apiKey", "Arcus takes in its own pages"])]
#[tokio::test]
async fn what_must_not_be_sent_is_not(
    #[case] settings: &str,
    #[case] mode: &str,
    #[case] reason: &str,
    #[case] says: &[&str],
) {
    let world = World::with_arcus("arcus-ban").await;
    let manifest = connector("acme", "shippo", settings, "").replace("mode: Sandbox", &format!("mode: {mode}"));
    world.sandbox.apply(&manifest).await;
    let halted = world.until("acme", "Ready", "False", reason).await;
    assert_stalled(&halted, reason, says);
    world.rests::<Connection>("acme").await;
    assert_eq!(world.asked(Operation::Create), 0);
}

#[tokio::test]
async fn two_objects_for_one_type_of_one_entity_make_one_connector_also_through_two_keys() {
    let other = "ark_test_ent_acme_test-canary-login-7f3a-2";
    let mut setup = World::setup();
    let account = Account { name: "other".to_owned(), key: other.to_owned(), ..setup.arcus_accounts[0].clone() };
    setup.arcus_accounts.push(account);
    let mut world = World::with("arcus-twins", setup).await;
    world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
    world.start().await;
    world.sandbox.apply(&world.arcus_account("second", other)).await;
    world.sandbox.apply(&connector("one", "shippo", "", "")).await;
    world.until("one", "Ready", "False", "AuthorizationRequired").await;
    let twin = connector("two", "shippo", "", "").replace("accountRef: {name: arcus}", "accountRef: {name: second}");
    world.sandbox.apply(&twin).await;
    let conflict = world.until("two", "Ready", "False", "ExternalIdConflict").await;
    assert_stalled(&conflict, "ExternalIdConflict", &["shippo"]);
    world.sandbox.delete::<Connection>("two").await;
    world.sandbox.wait_gone::<Connection>("two", HANG).await;
    let record = world.at_arcus(Connector::Shippo);
    assert!(!record.deleted && record.tally.creates == 1, "{record:#?}");
}
