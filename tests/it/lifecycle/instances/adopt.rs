//! Instances that somebody else made, changed or took away; policies; and who holds one.

use k8s_openapi::api::core::v1::Secret;
use rstest::rstest;
use serde_json::{Map, Value, json};
use tradewind::api::v1alpha1::{Connection, IntegrationInstance};
use tradewind_simulator::sku_io::{self, Deed};
use tradewind_simulator::{Clock, Operation};

use super::{assert_well, hash, id_of, instance, message, status_of};
use crate::cluster::{HANG, Sandbox};
use crate::conditions::Observed;
use crate::lifecycle::expect::{assert_stalled, changed};
use crate::world::{World, connection, secret, store};

/// A stranger's instance of this name, as `instance` declares it.
fn made_by_a_stranger(world: &World, name: &str) -> u64 {
    let make = Deed::Make { tenant_id: None, name: name.to_owned(), store_hash: hash(name) };
    let id = world.at_sku_somebody(&make).id;
    set(world, id, &json!({"auto_link_products": true}));
    id
}

fn set(world: &World, id: u64, settings: &Value) {
    let fields = Map::from_iter([("integration_settings".to_owned(), settings.clone())]);
    world.at_sku_somebody(&Deed::Change { instance: id, fields });
}

fn nothing_was_asked(world: &World) {
    for operation in [Operation::Create, Operation::Update, Operation::Delete, Operation::Refresh] {
        assert_eq!(world.asked(operation), 0, "{operation:?}");
    }
}

const MATCH: &str = "  adoptionPolicy: Match\n  deletionPolicy: Delete\n";
const OVERRIDE: &str = "  adoptionPolicy: Override\n  deletionPolicy: Retain\n";

#[rstest]
#[case::with_settings_in_lists(true)]
#[case::without_settings_in_lists(false)]
#[tokio::test]
async fn what_matches_is_taken_over_as_it_is_and_goes_with_the_object(#[case] settings_in_lists: bool) {
    let world = World::with_sku("sku-match").await;
    world.simulator.configure_sku_io(|s| s.settings_in_lists = settings_in_lists);
    let id = made_by_a_stranger(&world, "acme").to_string();
    let since = world.sandbox.mark();
    world.sandbox.apply(&instance("acme", MATCH)).await;
    let object = world.well("acme").await;
    assert_eq!((id_of(&object), status_of(&object).last_action.map(|a| a.cause)), (id, Some("Adopted".to_owned())));
    let writes = world.sandbox.audit_writes(since);
    let own = writes.get("integrationinstances/acme").map(Vec::len).unwrap_or_default();
    assert!(own <= 2, "{writes:#?}");
    world.rests::<IntegrationInstance>("acme").await;
    // Its loads are long done, and nobody asked for one.
    assert!(object.condition("InitialRefreshComplete").is_none(), "{:#?}", object.observed());
    nothing_was_asked(&world);
    world.goes("acme").await;
    world.sku_ends_with(&[], 0, 1);
}

#[tokio::test]
async fn what_differs_is_named_field_by_field_and_left_alone() {
    let world = World::with_sku("sku-no-match").await;
    let id = made_by_a_stranger(&world, "acme");
    set(&world, id, &json!({"store_id": 9, "auto_create_products": true}));
    world.sandbox.apply(&instance("acme", &format!("  automaticSync: true\n{MATCH}"))).await;
    let halted = world.instance_until("acme", "Ready", "False", "NotMatch").await;
    let fields = ["spec.automaticSync", "spec.settings.storeId", "spec.settings.autoCreateProducts"];
    assert_stalled(&halted, "NotMatch", &[&[id.to_string().as_str()], &fields[..]].concat());
    assert_stalled(&halted, "NotMatch", &["have it changed with adoptionPolicy: Override"]);
    assert!(!message(&halted, "Ready").contains("spec.settings.storeHash"), "what is equal is not named");
    world.rests::<IntegrationInstance>("acme").await;
    nothing_was_asked(&world);

    set(&world, id, &json!({"store_id": 1, "auto_create_products": false}));
    world.edit_instance("acme", &json!({"spec": {"automaticSync": null}})).await;
    assert_eq!(id_of(&world.well("acme").await), id.to_string());
    nothing_was_asked(&world);
}

#[tokio::test]
async fn what_is_overridden_is_corrected_in_one_change_together_with_the_token() {
    let world = World::with_sku("sku-override").await;
    let id = made_by_a_stranger(&world, "acme");
    set(&world, id, &json!({"store_id": 9, "sales_nominal_code_id": 3}));
    world.sandbox.apply(&instance("acme", OVERRIDE)).await;
    let updated = |i: &IntegrationInstance| status_of(i).last_action.is_some_and(|a| a.cause == "Updated");
    world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, updated).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    let object = world.well("acme").await;
    let record = world.at_sku("acme");
    let sent: Vec<_> = record.changes.iter().flat_map(|change| change.sent.clone()).collect();
    assert_eq!(sent, ["connection_settings.access_token", "integration_settings.store_id"]);
    assert_eq!((record.changes.len(), record.token_version), (1, 2));
    assert_eq!(record.integration_settings["sales_nominal_code_id"], 3, "nobody manages it");
    assert_eq!(id_of(&object), id.to_string());
    world.goes("acme").await;
    world.sku_ends_with(&[&id.to_string()], 0, 0);
}

#[tokio::test]
async fn what_is_overridden_is_not_of_another_type() {
    let world = World::with_sku("sku-override-type").await;
    let id = made_by_a_stranger(&world, "acme");
    world.sandbox.apply(&changed(&instance("acme", OVERRIDE), &json!({"integrationId": 6}))).await;
    let halted = world.instance_until("acme", "Ready", "False", "NotMatch").await;
    assert_stalled(&halted, "NotMatch", &[&id.to_string(), "spec.integrationId", "cannot be changed in place"]);
    world.rests::<IntegrationInstance>("acme").await;
    nothing_was_asked(&world);
}

#[tokio::test]
async fn a_named_record_is_taken_over_under_another_name_and_gets_the_declared_one() {
    let world = World::with_sku("sku-ref").await;
    let id = made_by_a_stranger(&world, "acme");
    world.at_sku_somebody(&Deed::Rename { instance: id, name: "the old shop".into() });
    let more = format!("  externalRef: {{id: \"{id}\"}}\n{OVERRIDE}");
    world.sandbox.apply(&instance("acme", &more)).await;
    world.well("acme").await;
    world.provider_until("its name", |s| s.instances()[0].name == "acme").await;
    world.looked_at::<IntegrationInstance>("acme").await;
    assert_eq!((world.asked(Operation::Create), world.at_sku("acme").changes.len()), (0, 1));
}

#[tokio::test]
async fn a_named_record_that_is_not_there_is_never_made() {
    let world = World::with_sku("sku-ref-none").await;
    world.sandbox.apply(&instance("acme", &format!("  externalRef: {{id: \"999999999\"}}\n{MATCH}"))).await;
    let halted = world.instance_until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_stalled(&halted, "ExternalNotFound", &["externalRef is wrong"]);
    world.rests::<IntegrationInstance>("acme").await;
    nothing_was_asked(&world);
}

#[tokio::test]
async fn an_account_that_forbids_adoption_is_heeded() {
    let mut world = World::quiet("sku-forbidden").await;
    world.furnish_sku("  adoption: Forbidden\n").await;
    world.start().await;
    made_by_a_stranger(&world, "acme");
    world.sandbox.apply(&instance("acme", MATCH)).await;
    let halted = world.instance_until("acme", "Ready", "False", "AdoptionForbidden").await;
    assert_stalled(&halted, "AdoptionForbidden", &["adoption: Allowed"]);
    world.rests::<IntegrationInstance>("acme").await;
    nothing_was_asked(&world);
}

#[tokio::test]
async fn what_is_observed_is_never_written_whatever_is_asked_for() {
    let world = World::with_sku("sku-observe").await;
    let id = made_by_a_stranger(&world, "acme");
    set(&world, id, &json!({"store_id": 9}));
    let observe = json!({"managementPolicy": "ObserveOnly", "accessTokenSecretRef": null, "integrationId": null});
    world.sandbox.apply(&changed(&instance("acme", ""), &observe)).await;
    let seen = |i: &IntegrationInstance| i.says("Ready", "True", "Succeeded");
    let object = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, seen).await;
    assert_eq!((id_of(&object), status_of(&object).observed_only), (id.to_string(), true));
    world.refresh_instance("acme", "monday").await;
    world.rests::<IntegrationInstance>("acme").await;
    nothing_was_asked(&world);
    world.goes("acme").await;
    world.sku_ends_with(&[&id.to_string()], 0, 0);
}

#[tokio::test]
async fn what_is_suspended_is_not_written_and_still_goes() {
    let world = World::with_sku("sku-suspend").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    let edit = json!({"spec": {"suspend": true, "settings": {"storeId": 2}}});
    world.edit_instance("acme", &edit).await;
    world.instance_until("acme", "Synced", "Unknown", "Suspended").await;
    world.refresh_instance("acme", "monday").await;
    world.looked_at::<IntegrationInstance>("acme").await;
    assert_eq!((world.asked(Operation::Update), world.asked(Operation::Refresh)), (0, 0));
    world.edit_instance("acme", &json!({"spec": {"suspend": false}})).await;
    world.well("acme").await;
    assert_eq!(world.at_sku("acme").integration_settings["store_id"], 2);
    world.until_asked(Operation::Refresh, 2).await;
    world.edit_instance("acme", &json!({"spec": {"suspend": true}})).await;
    world.instance_until("acme", "Synced", "Unknown", "Suspended").await;
    world.goes("acme").await;
    assert!(!id.is_empty());
    world.sku_ends_with(&[], 1, 1);
}

#[rstest]
#[case::absent("", 1)]
#[case::delete("  deletionPolicy: Delete\n", 1)]
#[case::retain("  deletionPolicy: Retain\n", 0)]
#[tokio::test]
async fn the_deletion_policy_is_kept(#[case] policy: &str, #[case] deleted: usize) {
    let world = World::with_sku("sku-deletion").await;
    world.sandbox.apply(&instance("acme", policy)).await;
    let id = id_of(&world.well("acme").await);
    world.goes("acme").await;
    let live: &[&str] = if deleted == 0 { &[&id] } else { &[] };
    world.sku_ends_with(live, 1, deleted);
    assert_eq!(world.asked(Operation::Delete), deleted);
}

#[tokio::test]
async fn a_record_that_somebody_deleted_is_asked_about_or_made_anew() {
    let world = World::with_sku("sku-loss").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let old = id_of(&world.well("acme").await);
    world.at_sku_somebody(&Deed::Delete { instance: old.parse().expect("a number") });
    world.looked_at::<IntegrationInstance>("acme").await;
    let halted = world.instance_until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_stalled(&halted, "ExternalNotFound", &[&old, "onExternalLoss: Recreate"]);
    assert_eq!(id_of(&halted), old);
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::Create), 1);

    world.edit_instance("acme", &json!({"spec": {"onExternalLoss": "Recreate"}})).await;
    let new = id_of(&world.well("acme").await);
    assert_ne!(new, old);
    world.looked_at::<IntegrationInstance>("acme").await;
    // The new record loads by itself, as the old one did.
    assert_eq!(world.asked(Operation::Refresh), 0);
    world.sku_ends_with(&[&new], 2, 1);
}

/// Also by the list of a check that nobody asked for.
#[tokio::test]
async fn a_record_that_is_gone_is_noticed_at_the_next_check() {
    let world = World::with_sku("sku-loss-check").await;
    world.sandbox.apply(&instance("acme", "  interval: 2s\n")).await;
    let id = id_of(&world.well("acme").await);
    world.at_sku_somebody(&Deed::Delete { instance: id.parse().expect("a number") });
    world.instance_until("acme", "Ready", "False", "ExternalNotFound").await;
    world.sku_ends_with(&[], 1, 1);
}

#[tokio::test]
async fn a_new_name_at_the_provider_is_put_back() {
    let world = World::with_sku("sku-renamed").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    world.at_sku_somebody(&Deed::Rename { instance: id.parse().expect("a number"), name: "another".into() });
    world.looked_at::<IntegrationInstance>("acme").await;
    world.provider_until("its name", |s| s.instances()[0].name == "acme").await;
    let object = world.well("acme").await;
    assert_eq!((id_of(&object), status_of(&object).store_name), (id.clone(), Some("acme".to_owned())));
    let record = world.at_sku("acme");
    assert_eq!(record.changes.iter().map(|c| c.sent.clone()).collect::<Vec<_>>(), [["name"]]);
    world.sku_ends_with(&[&id], 1, 0);
}

/// A colleague renamed ours and made another of the old name: that one is theirs, and the name cannot be put back.
#[tokio::test]
async fn a_name_that_somebody_took_meanwhile_is_named_and_the_record_kept() {
    let world = World::with_sku("sku-name-lost").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    world.at_sku_somebody(&Deed::Rename { instance: id.parse().expect("a number"), name: "another".into() });
    let make = Deed::Make { tenant_id: None, name: "acme".into(), store_hash: "other00".into() };
    let stranger = world.at_sku_somebody(&make).id.to_string();
    world.looked_at::<IntegrationInstance>("acme").await;
    let halted = world.instance_until("acme", "Ready", "False", "ProviderRejected").await;
    assert_stalled(&halted, "ProviderRejected", &["SKU.io refused spec.name"]);
    assert_eq!(id_of(&halted), id);
    world.rests::<IntegrationInstance>("acme").await;
    world.goes("acme").await;
    world.sku_ends_with(&[&stranger], 1, 1);
}

/// The same store through both providers, by one Secret.
#[tokio::test]
async fn one_secret_serves_a_connection_and_an_instance() {
    let world = World::with_sku("sku-shared").await;
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&World::store_login()).await;
    world.sandbox.apply(&format!("{}---\n{}", connection("acme", &store("acme"), ""), instance("acme", ""))).await;
    world.settled("acme").await;
    let id = id_of(&world.well("acme").await);
    assert_eq!((world.live().len(), world.live_at_sku()), (1, vec![id]));

    // What goes with one leaves the other, and the Secret, alone.
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert_well(&world.rests::<IntegrationInstance>("acme").await);
    assert!(world.sandbox.get::<Secret>("store-login").await.is_some());
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", "test-canary-store-91bc-2")])).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.provider_until("the new token", |s| s.instances()[0].token_version == 2).await;
    world.goes("acme").await;
    let stats = world.simulator.stats();
    assert_eq!((stats.creates, stats.deletes, world.live().len(), world.live_at_sku().len()), (2, 2, 0, 0));
}

/// A second login of the same tenant.
const COLLEAGUE: &str = "2|test-canary-colleague-5d20";

#[rstest]
#[case::one_after_the_other(false)]
#[case::at_once(true)]
#[tokio::test]
async fn two_objects_of_one_name_in_one_tenant_are_one_record(#[case] at_once: bool) {
    let mut setup = World::setup();
    setup.sku_accounts.push(sku_io::Account { token: COLLEAGUE.to_owned(), ..sku_io::Account::default() });
    let mut world = World::with("sku-twins", setup).await;
    world.furnish_sku("").await;
    let colleague =
        world.sku_account(COLLEAGUE, "").replace("name: sku}", "name: colleague}").replace("sku-api", "colleague-api");
    world.sandbox.apply(&colleague).await;
    world.start().await;
    let second = changed(
        &instance("second", ""),
        &json!({
            "name": "acme", "accountRef": {"name": "colleague"}, "settings": {"storeHash": hash("acme")},
        }),
    );
    if at_once {
        world.sandbox.apply(&format!("{}---\n{second}", instance("acme", ""))).await;
    } else {
        world.sandbox.apply(&instance("acme", "")).await;
        world.well("acme").await;
        world.sandbox.apply(&second).await;
    }
    let both = ["acme", "second"];
    let (winner, loser) = loop {
        let mut found = Vec::new();
        for name in both {
            let told = |i: &IntegrationInstance| {
                i.says("Ready", "True", "Succeeded") || i.says("Ready", "False", "ExternalIdConflict")
            };
            found.push(world.sandbox.wait_for::<IntegrationInstance>(name, HANG, told).await);
        }
        let ready: Vec<bool> = found.iter().map(|i| i.says("Ready", "True", "Succeeded")).collect();
        match ready.as_slice() {
            [true, false] => break ("acme", "second"),
            [false, true] => break ("second", "acme"),
            other => assert_ne!(other, [true, true], "two objects of one record: {found:#?}"),
        }
    };
    let halted = world.looked_at::<IntegrationInstance>(loser).await;
    assert_stalled(&halted, "ExternalIdConflict", &["Delete one of the two objects"]);
    assert_eq!(status_of(&halted).external_id, None);
    let id = id_of(&world.looked_at::<IntegrationInstance>(winner).await);
    world.sku_ends_with(&[&id], 1, 0);

    // The loser goes without touching anything; after the winner, it would have its turn.
    world.goes(loser).await;
    world.sku_ends_with(&[&id], 1, 0);
    world.goes(winner).await;
    world.sku_ends_with(&[], 1, 1);
}

/// In a cluster whose schema does not look: an id of another object's instance that is spelled otherwise names none, although
/// SKU.io may take it for the same.
#[tokio::test]
async fn an_instance_is_not_taken_over_by_another_spelling_of_its_id() {
    let mut world = World::on(Sandbox::unchecked("sku-spelled"), Clock::real(), World::setup());
    world.furnish_sku("").await;
    world.simulator.configure_sku_io(|s| s.loose_ids = true);
    world.start().await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    let named = format!("  externalRef: {{id: \"0{id}\"}}\n  adoptionPolicy: Override\n  deletionPolicy: Delete\n");
    world.sandbox.apply(&instance("other", &named)).await;
    let refused = world.instance_until("other", "Ready", "False", "InvalidSpec").await;
    assert_stalled(&refused, "InvalidSpec", &["spec.externalRef.id is no id of SKU.io", "write the number"]);
    world.rests::<IntegrationInstance>("other").await;
    world.goes("other").await;
    assert_eq!((world.asked(Operation::Update), world.asked(Operation::Delete)), (0, 0));
    world.sku_ends_with(&[&id], 1, 0);
}
