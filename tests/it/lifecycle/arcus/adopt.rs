//! Connectors that somebody else made; policies; and who holds one.

use rstest::rstest;
use serde_json::{Map, Value, json};
use tradewind::api::v1alpha1::{Connection, ProviderAccount};
use tradewind_simulator::Operation;
use tradewind_simulator::arcus::{Account, Act, Connector};

use super::{SECRET, SHOP, connector};
use crate::cluster::{HANG, documents};
use crate::conditions::Observed;
use crate::lifecycle::expect::{assert_healed, assert_stalled, changed};
use crate::world::{ARCUS_KEY, World, message, status_of, told};

const MATCH: &str = "  adoptionPolicy: Match\n  deletionPolicy: Delete\n";
const OVERRIDE: &str = "  adoptionPolicy: Override\n  deletionPolicy: Retain\n";

/// A stranger's connector of Shippo, with credentials.
fn made_by_a_stranger(world: &World, fields: &Value) {
    world.somebody(Connector::Shippo, Act::Make { fields: fields.as_object().expect("an object").clone() });
    world.somebody(Connector::Shippo, Act::EnterCredentials);
}

#[tokio::test]
async fn a_strangers_connector_is_in_the_way_and_left_alone() {
    let world = World::with_arcus("arcus-exists").await;
    made_by_a_stranger(&world, &json!({}));
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert_stalled(&halted, "AlreadyExists", &["shippo", "adoptionPolicy: Match"]);
    world.rests::<Connection>("acme").await;
    world.leaves("acme").await;
    world.nothing_was_sent();
    assert!(!world.at_arcus(Connector::Shippo).deleted);
}

/// Rows that a deletion has left behind are nobody's.
#[tokio::test]
async fn what_a_stranger_deleted_is_in_nobodys_way() {
    let world = World::with_arcus("arcus-was").await;
    made_by_a_stranger(&world, &json!({"display_name": "Theirs"}));
    world.somebody(Connector::Shippo, Act::Delete);
    world.sandbox.apply(&connector("acme", "shippo", "    displayName: Ours\n", "")).await;
    let ready = world.until("acme", "Ready", "True", "Succeeded").await;
    assert_eq!(status_of(&ready).has_credentials, Some(true));
    assert_eq!(world.at_arcus(Connector::Shippo).display_name, "Ours");
    world.arcus_ends_with(&[Connector::Shippo], 1, 1);
}

#[tokio::test]
async fn what_matches_is_taken_over_as_it_is_and_goes_with_the_object() {
    let world = World::with_arcus("arcus-match").await;
    made_by_a_stranger(&world, &json!({"display_name": "Labels", "ship_from_zip": "89501"}));
    let settings = "    displayName: Labels\n    shipFrom: {zip: \"89501\"}\n";
    world.sandbox.apply(&connector("acme", "shippo", settings, MATCH)).await;
    let ready = world.until("acme", "Ready", "True", "Succeeded").await;
    let status = status_of(&ready);
    assert_eq!(status.external_id.as_deref(), Some("shippo"));
    assert_eq!(status.last_action.map(|a| a.cause), Some("Adopted".to_owned()));
    world.rests::<Connection>("acme").await;
    world.nothing_was_sent();
    world.leaves("acme").await;
    assert!(world.at_arcus(Connector::Shippo).deleted);
}

#[tokio::test]
async fn what_differs_is_named_field_by_field_and_left_alone() {
    let world = World::with_arcus("arcus-no-match").await;
    made_by_a_stranger(&world, &json!({"display_name": "Theirs", "config": {"format": "png", "theirs": 1}}));
    let settings = "    displayName: Labels\n    config: {format: pdf}\n    shipFrom: {zip: \"89501\"}\n";
    world.sandbox.apply(&connector("acme", "shippo", settings, MATCH)).await;
    let halted = world.until("acme", "Ready", "False", "NotMatch").await;
    let fields = ["shippo", "spec.arcus.displayName", "spec.arcus.config", "spec.arcus.shipFrom.zip"];
    assert_stalled(&halted, "NotMatch", &fields);
    assert!(!message(&halted, "Ready").contains("spec.arcus.mode"), "what is equal is not named: {}", told(&halted));
    world.rests::<Connection>("acme").await;
    world.nothing_was_sent();
    let theirs = json!({"display_name": "Labels", "config": {"format": "pdf", "theirs": 1}, "ship_from_zip": "89501"});
    world.somebody(Connector::Shippo, Act::Change { fields: theirs.as_object().expect("an object").clone() });
    world.request("acme").await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    world.nothing_was_sent();
}

#[tokio::test]
async fn what_is_overridden_is_corrected_in_one_change_and_keeps_what_nobody_declares() {
    let world = World::with_arcus("arcus-override").await;
    made_by_a_stranger(&world, &json!({"display_name": "Theirs", "config": {"format": "png", "theirs": 1}}));
    let settings = "    displayName: Labels\n    config: {format: pdf}\n";
    world.sandbox.apply(&connector("acme", "shippo", settings, OVERRIDE)).await;
    world.provider_until("one change", |s| s.connector(Connector::Shippo).is_some_and(|r| r.changes.len() == 1)).await;
    world.reconciled("acme").await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    let record = world.at_arcus(Connector::Shippo);
    assert_eq!(record.changes[0].changed, ["display_name", "config"]);
    assert_eq!(Value::Object(record.config), json!({"format": "pdf", "theirs": 1}));
    assert_eq!(world.asked(Operation::Update), 1);
    world.leaves("acme").await;
    assert!(!world.at_arcus(Connector::Shippo).deleted, "it is kept, as declared");
    world.arcus_ends_with(&[Connector::Shippo], 0, 0);
}

#[tokio::test]
async fn a_named_connector_is_taken_over_or_waited_for_and_never_made() {
    let world = World::with_arcus("arcus-ref").await;
    let named = |id: &str| connector("acme", "shippo", "", &format!("  externalRef: {{id: {id}}}\n{MATCH}"));
    world.sandbox.apply(&named("ups")).await;
    let halted = world.until("acme", "Ready", "False", "InvalidSpec").await;
    assert_stalled(&halted, "InvalidSpec", &["spec.externalRef.id is ups", "its type, shippo"]);
    world.leaves("acme").await;
    world.sandbox.apply(&named("shippo")).await;
    let halted = world.until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_stalled(&halted, "ExternalNotFound", &["externalRef is wrong"]);
    world.rests::<Connection>("acme").await;
    made_by_a_stranger(&world, &json!({}));
    world.request("acme").await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    world.nothing_was_sent();
}

#[tokio::test]
async fn what_is_observed_is_never_written() {
    let world = World::with_arcus("arcus-observe").await;
    made_by_a_stranger(&world, &json!({"display_name": "Theirs"}));
    let more = "  managementPolicy: ObserveOnly\n";
    world.sandbox.apply(&connector("acme", "shippo", "    displayName: Ours\n", more)).await;
    let seen = world.until("acme", "Ready", "True", "Succeeded").await;
    assert!(status_of(&seen).observed_only, "{}", told(&seen));
    world.rests::<Connection>("acme").await;
    world.leaves("acme").await;
    world.nothing_was_sent();
    assert!(!world.at_arcus(Connector::Shippo).deleted);
}

/// A deletion leaves its row. Who manages a connector learns by a change what became of it; who looks on sends none.
#[tokio::test]
async fn what_is_observed_is_not_there_any_more_once_it_is_disconnected() {
    let world = World::with_arcus("arcus-observe-gone").await;
    made_by_a_stranger(&world, &json!({}));
    let more = "  managementPolicy: ObserveOnly\n";
    world.sandbox.apply(&connector("acme", "shippo", "", more)).await;
    world.until("acme", "Ready", "True", "Succeeded").await;
    world.simulator.act_arcus(&Act::Delete.on(Connector::Shippo)).expect("a deletion");
    world.request("acme").await;
    let halted = world.until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_eq!(status_of(&halted).external_id, None, "{}", told(&halted));
    world.rests::<Connection>("acme").await;
    made_by_a_stranger(&world, &json!({}));
    world.request("acme").await;
    world.until("acme", "Ready", "True", "Succeeded").await;
    world.nothing_was_sent();
}

#[tokio::test]
async fn an_account_that_forbids_adoption_is_heeded() {
    let mut world = World::quiet("arcus-forbidden").await;
    let account = world.arcus_account("arcus", ARCUS_KEY);
    world.sandbox.apply(&account).await;
    world.sandbox.apply(&changed(&account, &json!({"adoption": "Forbidden"}))).await;
    world.start().await;
    made_by_a_stranger(&world, &json!({}));
    world.sandbox.apply(&connector("acme", "shippo", "", MATCH)).await;
    let halted = world.until("acme", "Ready", "False", "AdoptionForbidden").await;
    assert_stalled(&halted, "AdoptionForbidden", &["adoption: Allowed"]);
    world.rests::<Connection>("acme").await;
    world.nothing_was_sent();
}

/// A merchant's shop that somebody connected in Arcus' own pages.
#[tokio::test]
async fn a_shop_that_is_connected_already_is_taken_over_without_a_link() {
    let world = World::with_arcus("arcus-shop").await;
    let fields = Map::from_iter([("shop".to_owned(), json!("acme.myshopify.com"))]);
    world.somebody(Connector::Shopify, Act::Make { fields });
    world.somebody(Connector::Shopify, Act::EnterCredentials);
    world.sandbox.apply(&connector("acme", "shopify", "", &format!("{SECRET}{MATCH}"))).await;
    let ready = world.until("acme", "Ready", "True", "Succeeded").await;
    assert_eq!(status_of(&ready).authorization, None);
    world.nothing_was_sent();
    assert!(world.simulator.arcus_links().is_empty());
}

#[rstest]
#[case::absent("", true)]
#[case::delete("  deletionPolicy: Delete\n", true)]
#[case::retain("  deletionPolicy: Retain\n", false)]
#[tokio::test]
async fn the_deletion_policy_is_kept(#[case] policy: &str, #[case] deleted: bool) {
    let world = World::with_arcus("arcus-policy").await;
    world.sandbox.apply(&connector("acme", "shippo", "", policy)).await;
    world.enters_credentials().await;
    world.leaves("acme").await;
    assert_eq!(world.at_arcus(Connector::Shippo).deleted, deleted);
    assert_eq!(world.asked(Operation::Delete), usize::from(deleted));
}

/// One entity has one connector of a type: the second object waits until the first is gone, also a suspended one.
#[rstest]
#[case::as_it_is(false)]
#[case::suspended(true)]
#[tokio::test]
async fn of_two_objects_of_one_type_the_second_has_its_turn_when_the_first_is_gone(#[case] suspended: bool) {
    let world = World::with_labels("arcus-turn").await;
    if suspended {
        world.change("acme", &json!({"spec": {"suspend": true}})).await;
        world.until("acme", "Synced", "Unknown", "Suspended").await;
    }
    world.sandbox.apply(&connector("second", "shippo", "    displayName: Second\n", "")).await;
    let halted = world.until("second", "Ready", "False", "ExternalIdConflict").await;
    assert_stalled(&halted, "ExternalIdConflict", &["shippo", "Delete one of the two objects"]);
    world.rests::<Connection>("second").await;
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
    world.leaves("acme").await;
    world.request("second").await;
    // The credentials come back within seven days.
    assert_healed(&world.until("second", "Ready", "True", "Succeeded").await);
    assert_eq!(world.at_arcus(Connector::Shippo).display_name, "Second");
    world.arcus_ends_with(&[Connector::Shippo], 2, 1);
}

/// The loser goes without touching anything.
#[tokio::test]
async fn of_two_objects_of_one_type_the_second_goes_alone() {
    let world = World::with_labels("arcus-loser").await;
    world.sandbox.apply(&connector("second", "shippo", "    displayName: Second\n", "")).await;
    world.until("second", "Ready", "False", "ExternalIdConflict").await;
    world.leaves("second").await;
    world.reconciled("acme").await;
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
    assert_eq!(world.asked(Operation::Update), 0);
}

/// At once, by a test key and another one of the same entity, also where nobody has consented yet.
#[rstest]
#[case::by_configuration("shippo", "", "")]
#[case::by_consent("shopify", SHOP, SECRET)]
#[tokio::test]
async fn two_objects_of_one_type_at_once_make_one_connector(
    #[case] kind: &str,
    #[case] settings: &str,
    #[case] more: &str,
) {
    let other = "ark_test_ent_acme_test-canary-login-7f3a-2";
    let mut setup = World::setup();
    let account = Account { name: "other".to_owned(), key: other.to_owned(), ..setup.arcus_accounts[0].clone() };
    setup.arcus_accounts.push(account);
    let mut world = World::with("arcus-at-once", setup).await;
    let accounts = format!("{}---\n{}", world.arcus_account("arcus", ARCUS_KEY), world.arcus_account("second", other));
    world.sandbox.apply(&accounts).await;
    world.start().await;
    world.account_works("second").await;
    let one = connector("one", kind, settings, more);
    let two = connector("two", kind, settings, &more.replace("acme-link", "two-link"));
    let two = two.replace("accountRef: {name: arcus}", "accountRef: {name: second}");
    assert_eq!(documents(&format!("{one}---\n{two}")).len(), 2);
    world.sandbox.apply(&format!("{one}---\n{two}")).await;
    let decided = |c: &Connection| {
        c.says("Ready", "False", "AuthorizationRequired") || c.says("Ready", "False", "ExternalIdConflict")
    };
    let search = async {
        loop {
            let mut reasons = Vec::new();
            for name in ["one", "two"] {
                let object = world.sandbox.wait_for::<Connection>(name, HANG, decided).await;
                reasons.push(object.condition("Ready").map(|c| c.reason.clone()).unwrap_or_default());
            }
            reasons.sort();
            if reasons == ["AuthorizationRequired", "ExternalIdConflict"] {
                break;
            }
        }
    };
    tokio::time::timeout(HANG, search).await.expect("one of each");
    assert_eq!(world.asked(Operation::Create), 1);
    assert!(world.simulator.stats().overwrites.is_empty());
}

impl World {
    /// Waits until an account is known to work.
    async fn account_works(&self, name: &str) {
        self.sandbox.wait_for::<ProviderAccount>(name, HANG, |a| a.says("Ready", "True", "Succeeded")).await;
    }
}
