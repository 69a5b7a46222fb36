//! What people get wrong in a declaration, a Secret or a token: said with what to do about it, at no cost at SKU.io, and healed by
//! putting it right.

use k8s_openapi::api::core::v1::Secret;
use rstest::rstest;
use serde_json::{Map, Value, json};
use tradewind::api::v1alpha1::{IntegrationInstance, ProviderAccount};
use tradewind_simulator::sku_io::{Deed, Presence, Settings};
use tradewind_simulator::{Effect, Fault, Operation};

use super::{assert_well, id_of, instance, message, status_of};
use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::lifecycle::expect::{assert_stalled, assert_waiting, changed};
use crate::world::{STORE_CANARY, World, secret};

/// Nobody has written at the provider.
fn assert_untouched(world: &World) {
    for operation in [Operation::Create, Operation::Update, Operation::Delete, Operation::Refresh, Operation::Unknown] {
        assert_eq!(world.asked(operation), 0, "{operation:?}");
    }
}

#[rstest]
#[case::tomorrow_comes(json!({"settings": {"startDate": "2999-01-01"}}), &["spec.settings.startDate", "lies in the future"])]
#[case::no_such_day(json!({"settings": {"startDate": "2026-02-30"}}), &["spec.settings.startDate", "YYYY-MM-DD"])]
#[case::no_type(json!({"integrationId": null}), &["spec.integrationId is missing"])]
#[case::no_hash(json!({"settings": {"storeHash": null}}), &["spec.settings.storeHash is missing"])]
#[case::no_day(json!({"settings": {"startDate": null}}), &["spec.settings.startDate is missing"])]
#[case::no_store(json!({"settings": {"storeId": null}}), &["spec.settings.storeId is missing"])]
#[case::no_links(json!({"settings": {"autoLinkProducts": null}}), &["spec.settings.autoLinkProducts is missing"])]
#[case::no_products(json!({"settings": {"autoCreateProducts": null}}), &["spec.settings.autoCreateProducts is missing"])]
#[case::nothing(json!({"settings": null, "integrationId": null}), &["is missing: SKU.io needs it to create"])]
#[case::endless_interval(json!({"interval": "99999999999999999999h"}), &["spec.interval", "10m"])]
#[tokio::test]
async fn a_declaration_that_cannot_be_carried_out_heals_when_it_is_corrected(
    #[case] spec: Value,
    #[case] says: &[&str],
) {
    let world = World::with_sku("sku-bad-spec").await;
    let good = instance("acme", "");
    world.sandbox.apply(&changed(&good, &spec)).await;
    let halted = world.instance_until("acme", "Ready", "False", "InvalidSpec").await;
    assert_stalled(&halted, "InvalidSpec", says);
    world.rests::<IntegrationInstance>("acme").await;
    assert_untouched(&world);

    world.sandbox.apply(&good).await;
    let id = id_of(&world.well("acme").await);
    world.sku_ends_with(&[&id], 1, 0);
}

#[rstest]
#[case::line_break("test-canary-store\n", "a trailing line break?")]
#[case::space("test-canary store", "holds a character that no token has")]
#[case::empty("", "key oauth_access_token is empty")]
#[tokio::test]
async fn a_token_that_cannot_be_one_is_named_with_its_key(#[case] token: &str, #[case] says: &str) {
    let world = World::with_sku("sku-bad-token").await;
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", token)])).await;
    world.sandbox.apply(&instance("acme", "")).await;
    let halted = world.instance_until("acme", "Ready", "False", "SecretKeyMissing").await;
    assert_stalled(&halted, "SecretKeyMissing", &["Secret store-login", says]);
    assert!(halted.says("CredentialsValid", "False", "SecretKeyMissing"));
    world.rests::<IntegrationInstance>("acme").await;
    assert_untouched(&world);

    world.sandbox.apply(&World::store_login()).await;
    let id = id_of(&world.well("acme").await);
    world.sku_ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_key_that_the_secret_lacks_is_named() {
    let world = World::with_sku("sku-key").await;
    world.sandbox.apply(&changed(&instance("acme", ""), &json!({"accessTokenSecretRef": {"key": "token"}}))).await;
    let halted = world.instance_until("acme", "Ready", "False", "SecretKeyMissing").await;
    assert_stalled(&halted, "SecretKeyMissing", &["Secret store-login", "key token is missing"]);
    world.rests::<IntegrationInstance>("acme").await;
    assert_untouched(&world);
    world.goes("acme").await;
    world.sku_ends_with(&[], 0, 0);
}

#[tokio::test]
async fn a_secret_that_comes_later_is_found_without_being_asked() {
    let world = World::with_sku("sku-late").await;
    world.sandbox.apply(&changed(&instance("acme", ""), &json!({"accessTokenSecretRef": {"name": "later"}}))).await;
    let waiting = world.instance_until("acme", "Ready", "False", "SecretNotFound").await;
    assert_waiting(&waiting, "SecretNotFound", &["Secret later does not exist", "Create it"]);
    world.rests::<IntegrationInstance>("acme").await;
    assert_untouched(&world);

    world.sandbox.apply(&secret("later", &[("oauth_access_token", STORE_CANARY)])).await;
    let id = id_of(&world.well("acme").await);
    world.sku_ends_with(&[&id], 1, 0);
}

/// SKU.io has the token; only a change of it could not be seen.
#[tokio::test]
async fn a_secret_that_goes_later_leaves_the_record_at_work() {
    let world = World::with_sku("sku-secret-gone").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    world.sandbox.delete::<Secret>("store-login").await;
    let object = world.looked_at::<IntegrationInstance>("acme").await;
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    assert!(object.says("CredentialsValid", "False", "SecretNotFound"), "{:#?}", object.observed());
    assert!(message(&object, "CredentialsValid").contains("store-login"), "{:#?}", object.observed());
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.asked(Operation::Update), 0);

    // An edit of something else is still carried out.
    world.edit_instance("acme", &json!({"spec": {"settings": {"storeId": 2}}})).await;
    world
        .provider_until("the edit", |s| s.instances()[0].integration_settings.get("store_id") == Some(&json!(2)))
        .await;
    let fields = world.at_sku("acme").changes.last().expect("a change").sent.clone();
    assert_eq!(fields, ["integration_settings.store_id"]);

    world.sandbox.apply(&World::store_login()).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    assert_eq!(id_of(&world.well("acme").await), id);
    world.sku_ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_login_that_is_refused_is_the_accounts_business() {
    let mut world = World::quiet("sku-login").await;
    world.sandbox.apply(&world.sku_account("7|test-canary-nobody", "")).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    let refused = |a: &ProviderAccount| a.says("Ready", "False", "CredentialsRejected");
    let account = world.sandbox.wait_for::<ProviderAccount>("sku", HANG, refused).await;
    assert_stalled(
        &account,
        "CredentialsRejected",
        &["SKU.io refused the login", "credentialsSecretRef", "skuIo.tenant"],
    );
    world.sandbox.apply(&instance("acme", "")).await;
    let waiting = world.instance_until("acme", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&waiting, "DependencyNotReady", &["ProviderAccount sku"]);
    world.rests::<IntegrationInstance>("acme").await;
    assert_untouched(&world);

    world.sandbox.apply(&world.sku_account(crate::world::SKU_TOKEN, "")).await;
    let id = id_of(&world.well("acme").await);
    world.sku_ends_with(&[&id], 1, 0);
}

/// The scopes of the login, at the provider.
fn grant(world: &World, scopes: &[&str]) {
    let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    world.simulator.change_token(1, |account| account.scopes = scopes).expect("a token");
}

const READ: &str = "integrations:read";
const WRITE: &str = "integrations:write";

#[rstest]
#[case::to_create(&[READ], WRITE, 1)]
#[case::to_look(&[WRITE], READ, 0)]
#[tokio::test]
async fn a_scope_that_is_missing_is_named_and_nothing_is_made(
    #[case] granted: &[&str],
    #[case] missing: &str,
    #[case] posts: usize,
) {
    let world = World::with_sku("sku-scope").await;
    grant(&world, granted);
    world.sandbox.apply(&instance("acme", "")).await;
    let halted = world.instance_until("acme", "Ready", "False", "CredentialsRejected").await;
    let lacks = format!("the login lacks the scope {missing}. Grant it");
    assert_stalled(&halted, "CredentialsRejected", &["ProviderAccount sku", &lacks]);
    assert_eq!(message(&world.touched("acme").await, "Ready"), message(&halted, "Ready"));
    assert_eq!(world.asked(Operation::Create), posts);
    assert!(world.live_at_sku().is_empty());

    grant(&world, &[READ, WRITE]);
    world.looked_at::<IntegrationInstance>("acme").await;
    let id = id_of(&world.well("acme").await);
    world.sku_ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_scope_that_is_taken_away_stops_changes_and_loses_nothing() {
    let world = World::with_sku("sku-scope-later").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    grant(&world, &[READ]);
    world.edit_instance("acme", &json!({"spec": {"settings": {"storeId": 2}}})).await;
    let halted = world.instance_until("acme", "Ready", "False", "CredentialsRejected").await;
    assert_stalled(&halted, "CredentialsRejected", &["the scope integrations:write"]);
    assert_eq!(id_of(&halted), id);
    world.rests::<IntegrationInstance>("acme").await;
    assert!(world.at_sku("acme").changes.is_empty());

    grant(&world, &[READ, WRITE]);
    world.looked_at::<IntegrationInstance>("acme").await;
    world.well("acme").await;
    assert_eq!(world.at_sku("acme").changes.len(), 1);
    world.sku_ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_setting_that_sku_io_refuses_is_named_by_its_path_at_create_and_at_change() {
    let world = World::with_sku("sku-422").await;
    world.simulator.configure_sku_io(|s| s.stores = vec![7, 8]);
    world.sandbox.apply(&instance("acme", "")).await;
    let halted = world.instance_until("acme", "Ready", "False", "ProviderRejected").await;
    assert_stalled(&halted, "ProviderRejected", &["SKU.io refused spec.settings.storeId", "Correct"]);
    let posts = world.asked(Operation::Create);
    let touched = world.touched("acme").await;
    assert_eq!((posts, world.asked(Operation::Create)), (1, 1));
    assert_eq!(touched.observed(), halted.observed());

    let store = |id: u64| json!({"spec": {"settings": {"storeId": id}}});
    world.edit_instance("acme", &store(7)).await;
    let id = id_of(&world.well("acme").await);
    world.edit_instance("acme", &store(9)).await;
    let halted = world.instance_until("acme", "Ready", "False", "ProviderRejected").await;
    assert_stalled(&halted, "ProviderRejected", &["SKU.io refused spec.settings.storeId"]);
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.at_sku("acme").integration_settings["store_id"], 7);
    world.edit_instance("acme", &store(8)).await;
    world.well("acme").await;
    assert_eq!(world.at_sku("acme").integration_settings["store_id"], 8);
    world.sku_ends_with(&[&id], 1, 0);
}

#[rstest]
#[case::at_create(422)]
#[case::as_a_bad_request(400)]
#[tokio::test]
async fn a_token_that_the_store_refuses_is_said_to_be_refused(#[case] status: u16) {
    let world = World::with_sku("sku-store-token").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::RefuseCredentials { status }).forever());
    world.sandbox.apply(&instance("acme", "")).await;
    let halted = world.instance_until("acme", "Ready", "False", "ProviderRejected").await;
    let says = if status == 422 { "spec.accessTokenSecretRef" } else { "Check spec and Secret" };
    assert_stalled(&halted, "ProviderRejected", &[says]);
    assert_eq!(world.touched("acme").await.observed(), halted.observed());
    assert_eq!(world.asked(Operation::Create), 1);
    world.simulator.clear_faults();
    // Another token is another request.
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", "test-canary-store-91bc-2")])).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    let id = id_of(&world.well("acme").await);
    world.sku_ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_name_that_somebody_else_has_is_in_the_way_and_left_alone() {
    let world = World::with_sku("sku-taken").await;
    let stranger =
        world.at_sku_somebody(&Deed::Make { tenant_id: None, name: "acme".into(), store_hash: "other00".into() });
    world.sandbox.apply(&instance("acme", "")).await;
    let halted = world.instance_until("acme", "Ready", "False", "AlreadyExists").await;
    assert_stalled(&halted, "AlreadyExists", &[&stranger.id.to_string(), "adoptionPolicy: Match"]);
    world.rests::<IntegrationInstance>("acme").await;
    assert_untouched(&world);

    world.at_sku_somebody(&Deed::Rename { instance: stranger.id, name: "acme of somebody".into() });
    world.looked_at::<IntegrationInstance>("acme").await;
    let id = id_of(&world.well("acme").await);
    world.goes("acme").await;
    assert_ne!(id, stranger.id.to_string());
    world.sku_ends_with(&[&stranger.id.to_string()], 1, 1);
}

/// An archived one keeps its name, and no list shows it: like one that is cleaned up, for all that can be seen.
#[tokio::test]
async fn a_name_that_nobody_shows_is_waited_for() {
    let world = World::with_sku("sku-archived").await;
    let hidden =
        world.at_sku_somebody(&Deed::Make { tenant_id: None, name: "acme".into(), store_hash: "other00".into() });
    world.at_sku_somebody(&Deed::Archive { instance: hidden.id, archived: true });
    world.sandbox.apply(&instance("acme", "")).await;
    let says = |i: &IntegrationInstance| message(i, "Ready").contains("still keeps the name acme");
    let waiting = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, says).await;
    assert_waiting(&waiting, "Creating", &["cleaned up, or archived", "Waiting until it is free"]);
    assert_eq!(message(&world.touched("acme").await, "Ready"), message(&waiting, "Ready"));
    assert_eq!(world.simulator.stats().creates, 0);

    world.at_sku_somebody(&Deed::Rename { instance: hidden.id, name: "acme of somebody".into() });
    world.looked_at::<IntegrationInstance>("acme").await;
    let id = id_of(&world.well("acme").await);
    world.sku_ends_with(&[&hidden.id.to_string(), &id], 1, 0);
}

/// How SKU.io of these tests is, without oddities.
fn usual() -> Settings {
    World::setup().sku_io
}

#[rstest]
#[case::as_told(usual())]
#[case::as_a_string(Settings { ids_as_strings: true, ..usual() })]
#[case::untold(Settings { null_fields: vec!["integration_id".to_owned()], ..usual() })]
#[tokio::test]
async fn another_type_needs_another_record(#[case] spelling: Settings) {
    let world = World::with_sku("sku-type").await;
    world.simulator.configure_sku_io(|s| *s = spelling);
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    let edit = |id: u64| json!({"spec": {"integrationId": id}});
    world.edit_instance("acme", &edit(6)).await;
    let halted = world.instance_until("acme", "Ready", "False", "ReplacementRequired").await;
    assert_stalled(&halted, "ReplacementRequired", &["spec.integrationId", "replacementPolicy: Recreate"]);
    assert!(halted.says("Synced", "False", "ReplacementRequired"));
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!((world.asked(Operation::Update), world.asked(Operation::Delete)), (0, 0));
    world.edit_instance("acme", &edit(5)).await;
    assert_eq!(id_of(&world.well("acme").await), id);

    world.edit_instance("acme", &json!({"spec": {"integrationId": 6, "replacementPolicy": "Recreate"}})).await;
    let replaced = |i: &IntegrationInstance| {
        i.says("Ready", "True", "Succeeded") && status_of(i).external_id.is_some_and(|new| new != id)
    };
    let new = id_of(&world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, replaced).await);
    assert_eq!(world.at_sku("acme").integration_id, 6);
    assert_well(&world.rests::<IntegrationInstance>("acme").await);
    world.sku_ends_with(&[&new], 2, 1);
}

/// A record is not given up for one that the declaration does not suffice for.
#[tokio::test]
async fn another_type_is_not_made_from_less_than_a_create_needs() {
    let world = World::with_sku("sku-type-less").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    let less = json!({"integrationId": 6, "replacementPolicy": "Recreate", "settings": {"storeHash": null}});
    world.edit_instance("acme", &json!({"spec": less})).await;
    let halted = world.instance_until("acme", "Ready", "False", "InvalidSpec").await;
    assert_stalled(&halted, "InvalidSpec", &["spec.settings.storeHash is missing"]);
    assert_eq!((id_of(&halted), world.asked(Operation::Delete)), (id.clone(), 0));
    world.edit_instance("acme", &json!({"spec": {"integrationId": 5}})).await;
    assert_eq!(id_of(&world.well("acme").await), id);
    world.sku_ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_record_that_changes_its_type_is_said_to_and_not_touched() {
    let world = World::with_sku("sku-type-drift").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    let number = world.at_sku("acme").id;
    let change = |id: u64| Map::from_iter([("integration_id".to_owned(), json!(id))]);
    world.at_sku_somebody(&Deed::Change { instance: number, fields: change(9) });
    world.looked_at::<IntegrationInstance>("acme").await;
    let halted = world.instance_until("acme", "Ready", "False", "ReplacementRequired").await;
    assert_stalled(&halted, "ReplacementRequired", &["spec.integrationId"]);
    world.rests::<IntegrationInstance>("acme").await;
    world.at_sku_somebody(&Deed::Change { instance: number, fields: change(5) });
    world.looked_at::<IntegrationInstance>("acme").await;
    world.well("acme").await;
    assert_eq!(world.asked(Operation::Update), 0);
    world.sku_ends_with(&[&id], 1, 0);
}

/// A change has side effects at SKU.io: an odd answer must not set any off.
#[rstest]
#[case::null_store(Settings { null_fields: vec!["store_id".to_owned()], ..usual() })]
#[case::null_day(Settings { null_fields: vec!["start_date".to_owned()], ..usual() })]
#[case::null_name(Settings { null_fields: vec!["name".to_owned()], ..usual() })]
#[case::null_settings(Settings { null_fields: vec!["integration_settings".to_owned()], ..usual() })]
#[case::null_times(Settings { null_fields: vec!["created_at".to_owned(), "updated_at".to_owned()], ..usual() })]
#[case::null_type(Settings { null_fields: vec!["integration_id".to_owned(), "integration".to_owned()], ..usual() })]
#[case::unknown(Settings { unknown_fields: true, unknown_values: true, ..usual() })]
#[case::as_a_database_has_it(Settings { booleans_as_numbers: true, ids_as_strings: true, ..usual() })]
#[case::without_settings_in_lists(Settings { settings_in_lists: false, timestamps: false, ..usual() })]
#[tokio::test]
async fn an_odd_answer_changes_nothing(#[case] odd: Settings) {
    let world = World::with_sku("sku-odd").await;
    let settings = "    syncSalesCreditToAccounting: true\n    salesNominalCodeId: 7\n  interval: 5s\n";
    world.sandbox.apply(&instance("acme", settings)).await;
    let id = id_of(&world.well("acme").await);
    world.simulator.configure_sku_io(|s| *s = odd);
    assert_well(&world.rests::<IntegrationInstance>("acme").await);
    // By the list of an interval too, not only by the look that was asked for.
    let lists = world.asked(Operation::List);
    world.until_asked(Operation::List, lists + 2).await;
    assert_well(&world.rests::<IntegrationInstance>("acme").await);
    assert_eq!(world.asked(Operation::Update), 0, "{:#?}", world.at_sku("acme").changes);
    world.sku_ends_with(&[&id], 1, 0);
}

/// The server takes a change and shows the old value all the same.
#[tokio::test]
async fn a_change_that_is_not_kept_is_not_sent_over_and_over() {
    let world = World::with_sku("sku-not-kept").await;
    world.sandbox.apply(&instance("acme", "  interval: 5s\n")).await;
    let id = id_of(&world.well("acme").await);
    world.simulator.configure_sku_io(|s| s.null_fields = vec!["sales_nominal_code_id".to_owned()]);
    world.edit_instance("acme", &json!({"spec": {"settings": {"salesNominalCodeId": 7}}})).await;
    let object = world.instance_until("acme", "Synced", "False", "DriftDetected").await;
    assert!(message(&object, "Synced").contains("spec.settings.salesNominalCodeId"), "{:#?}", object.observed());
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    assert_eq!(status_of(&object).drifted_fields, ["spec.settings.salesNominalCodeId"]);
    let before = world.asked(Operation::Update);
    for _ in 0..5 {
        world.looked_at::<IntegrationInstance>("acme").await;
    }
    let more = world.asked(Operation::Update) - before;
    assert!(more <= 2, "{more} changes more while nothing changed");
    world.simulator.configure_sku_io(|s| s.null_fields.clear());
    world.looked_at::<IntegrationInstance>("acme").await;
    let healed = world.well("acme").await;
    assert!(status_of(&healed).drifted_fields.is_empty());
    world.sku_ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn what_is_locked_is_changed_once_it_is_free() {
    let world = World::with_sku("sku-locked").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let id = id_of(&world.well("acme").await);
    let number = world.at_sku("acme").id;
    world.at_sku_somebody(&Deed::Lock { instance: number, locked: true });
    world.edit_instance("acme", &json!({"spec": {"settings": {"storeId": 2}}})).await;
    let waiting = world.instance_until("acme", "Synced", "False", "ProviderRejected").await;
    assert!(message(&waiting, "Synced").contains("SKU.io reports a conflict"), "{:#?}", waiting.observed());
    assert!(waiting.condition("Stalled").is_none() && waiting.says("Ready", "True", "Succeeded"));
    world.at_sku_somebody(&Deed::Lock { instance: number, locked: false });
    world.well("acme").await;
    assert_eq!(world.at_sku("acme").changes.len(), 1);

    world.at_sku_somebody(&Deed::Lock { instance: number, locked: true });
    world.sandbox.delete::<IntegrationInstance>("acme").await;
    world.instance_until("acme", "Ready", "False", "Deleting").await;
    assert_eq!(world.at_sku("acme").presence, Presence::Live);
    world.at_sku_somebody(&Deed::Lock { instance: number, locked: false });
    world.sandbox.wait_gone::<IntegrationInstance>("acme", HANG).await;
    assert_eq!(world.live_at_sku(), [""; 0]);
    world.sku_ends_with(&[], 1, 1);
    assert!(!id.is_empty());
}
