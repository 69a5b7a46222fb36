//! What people get wrong in a declaration or a Secret: each mistake is named with what to do about it, costs nothing at the
//! provider, and is healed by putting it right.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind::api::v1alpha1::{Connection, ProviderAccount};
use tradewind_simulator::rutter::Deed;
use tradewind_simulator::{Entry, Operation};

use super::expect::{assert_healed, assert_stalled, assert_waiting, changed, one_has_it};
use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{STORE_CANARY, World, connection, id_of, message, secret, store};

/// Nobody has written at the provider.
fn assert_untouched(world: &World) {
    let written = |entry: &Entry| {
        matches!(entry.operation, Operation::Create | Operation::Update | Operation::Delete | Operation::Unknown)
    };
    let journal = world.simulator.journal();
    assert!(!journal.iter().any(written), "{journal:#?}");
}

/// An object that never had a record goes at once, and leaves the provider as it is.
async fn goes_quietly(world: &World, name: &str) {
    let deletes = world.simulator.stats().deletes;
    world.sandbox.delete::<Connection>(name).await;
    world.sandbox.wait_gone::<Connection>(name, HANG).await;
    assert_eq!(world.simulator.stats().deletes, deletes);
}

#[rstest]
#[case::empty("stringData: {oauth_access_token: ''}", "key oauth_access_token is empty")]
#[case::line_break(r#"stringData: {oauth_access_token: "test-canary-store\n"}"#, "a trailing line break?")]
#[case::space("stringData: {oauth_access_token: test-canary store}", "holds white space")]
#[case::binary("data: {oauth_access_token: //79/A==}", "key oauth_access_token is no text")]
#[case::missing_key("stringData: {access_token: test-canary-store}", "key oauth_access_token is missing")]
#[case::no_data("type: Opaque", "key oauth_access_token is missing")]
#[case::half_an_app(
    "stringData: {oauth_access_token: test-canary-store, oauth_client_id: test-id}",
    "key oauth_client_secret is missing"
)]
#[tokio::test]
async fn a_store_secret_that_cannot_be_used_is_named_with_its_key_and_heals_when_corrected(
    #[case] data: &str,
    #[case] says: &str,
) {
    let world = World::new("bad-secret").await;
    world.sandbox.apply(&format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: mine}}\n{data}")).await;
    let name_it = json!({"rutter": {"credentialsSecretRef": {"name": "mine"}}});
    world.sandbox.apply(&changed(&connection("acme", &store("acme"), ""), &name_it)).await;
    let halted = world.until("acme", "Ready", "False", "SecretKeyMissing").await;
    assert_stalled(&halted, "SecretKeyMissing", &["Secret mine", says, "correct the Secret"]);
    assert!(halted.says("CredentialsValid", "False", "SecretKeyMissing"));
    world.rests::<Connection>("acme").await;
    assert_untouched(&world);

    let good = [
        ("oauth_access_token", STORE_CANARY),
        ("oauth_client_id", "test-id"),
        ("oauth_client_secret", "test-canary-app"),
    ];
    world.sandbox.apply(&secret("mine", &good)).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[tokio::test]
async fn a_store_secret_that_comes_later_is_found_without_being_asked() {
    let world = World::new("late-secret").await;
    let name_it = json!({"rutter": {"credentialsSecretRef": {"name": "later"}}});
    world.sandbox.apply(&changed(&connection("acme", &store("acme"), ""), &name_it)).await;
    let waiting = world.until("acme", "Ready", "False", "SecretNotFound").await;
    assert_waiting(&waiting, "SecretNotFound", &["Secret later does not exist", "Create it"]);
    world.rests::<Connection>("acme").await;
    assert_untouched(&world);

    world.sandbox.apply(&secret("later", &[("oauth_access_token", STORE_CANARY)])).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[rstest]
#[case::unknown_platform(json!({"platform": "TELEGRAPH"}), &["TELEGRAPH", "served with credentials are: BIG_COMMERCE"])]
#[tokio::test]
async fn what_this_version_does_not_serve_is_said_and_can_be_deleted(#[case] spec: Value, #[case] says: &[&str]) {
    let world = World::new("unserved").await;
    world.sandbox.apply(&changed(&connection("acme", &store("acme"), ""), &spec)).await;
    let halted = world.until("acme", "Ready", "False", "UnsupportedPlatform").await;
    assert_stalled(&halted, "UnsupportedPlatform", says);
    world.rests::<Connection>("acme").await;
    goes_quietly(&world, "acme").await;
    assert_untouched(&world);
    world.assert_made(0, &[]);
}

#[rstest]
#[case::no_such_day(
    json!({"sync": {"orders": {"startDate": "2025-02-30"}}}), "InvalidSpec",
    &["spec.sync.orders.startDate", "no day of the calendar", "YYYY-MM-DD"]
)]
#[case::a_day_in_the_future(
    json!({"sync": {"products": {"startDate": "2999-01-01"}}}), "InvalidSpec",
    &["spec.sync.products.startDate", "lies in the future"]
)]
#[case::a_day_too_long_ago(
    json!({"sync": {"orders": {"startDate": "2011-01-01"}}}), "InvalidSpec",
    &["spec.sync.orders.startDate", "more than 5 years back"]
)]
#[case::custom_domain(
    json!({"rutter": {"parameters": {"store_url": "shop.example.com"}}}),
    "InvalidSpec", &["store_url", "permanent host", "store-abc123.mybigcommerce.com"]
)]
#[case::other_suffix(
    json!({"rutter": {"parameters": {"store_url": "acme.myshopify.com"}}}),
    "InvalidSpec", &["store_url", "store-abc123.mybigcommerce.com"]
)]
#[case::lookalike(
    json!({"rutter": {"parameters": {"store_url": "store-acme.mybigcommerce.com.example.com"}}}),
    "InvalidSpec", &["store_url"]
)]
#[case::path(
    json!({"rutter": {"parameters": {"store_url": "https://store-acme.mybigcommerce.com/admin"}}}),
    "InvalidSpec", &["store_url"]
)]
#[case::no_store(json!({"rutter": {"parameters": null}}), "InvalidSpec", &["store_url is missing", "store-abc123"])]
#[case::stray(json!({"rutter": {"parameters": {"colour": "red"}}}), "InvalidSpec", &["colour", "remove it"])]
#[case::secret_in_the_open(
    json!({"rutter": {"parameters": {"oauth_access_token": "test-canary-open"}}}),
    "InvalidSpec", &["oauth_access_token", "move it to the Secret"]
)]
#[case::endless_interval(json!({"interval": "99999999999999999999h"}), "InvalidSpec", &["spec.interval", "10m"])]
#[tokio::test]
async fn a_declaration_that_cannot_be_carried_out_heals_when_it_is_corrected(
    #[case] spec: Value,
    #[case] reason: &str,
    #[case] says: &[&str],
) {
    let world = World::new("bad-spec").await;
    let good = connection("acme", &store("acme"), "");
    world.sandbox.apply(&changed(&good, &spec)).await;
    let halted = world.until("acme", "Ready", "False", reason).await;
    assert_stalled(&halted, reason, says);
    world.rests::<Connection>("acme").await;
    assert_untouched(&world);

    world.sandbox.apply(&good).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_eq!(healed.uid(), halted.uid());
    world.assert_made(1, &[&id_of(&healed)]);
}

#[tokio::test]
async fn an_account_that_comes_later_is_found_without_being_asked() {
    let mut world = World::quiet("late-account").await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let waiting = world.until("acme", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&waiting, "DependencyNotReady", &["ProviderAccount rutter does not exist", "Create it"]);
    world.rests::<Connection>("acme").await;
    assert_eq!(world.simulator.stats().requests, 0);

    world.sandbox.apply(&world.account()).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[tokio::test]
async fn an_account_of_another_provider_can_be_replaced_under_the_name_that_the_object_uses() {
    let mut world = World::quiet("other-provider").await;
    world.sandbox.apply(&World::store_login()).await;
    let other = json!({"provider": "Arcus", "endpoint": null});
    world.sandbox.apply(&secret("rutter-api", &[("api_key", "test-canary-arcus")])).await;
    world.sandbox.apply(&changed(&world.account(), &other)).await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let halted = world.until("acme", "Ready", "False", "InvalidSpec").await;
    assert_stalled(&halted, "InvalidSpec", &["ProviderAccount rutter is of provider Arcus", "of Rutter", "account"]);
    world.rests::<Connection>("acme").await;
    assert_eq!(world.simulator.stats().requests, 0);

    // Both references are immutable: what can be put right is the account, and the object has nothing in it that holds it.
    world.sandbox.delete::<ProviderAccount>("rutter").await;
    world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
    world.sandbox.apply(&world.account()).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    world.assert_made(1, &[&id_of(&healed)]);
}

/// Somebody's Secret by the name of `taken`.
fn taken(metadata: &Value) -> String {
    let mut metadata = metadata.clone();
    metadata["name"] = json!("taken");
    let data = json!({"password": "test-canary-of-somebody", "access_token": "test-canary-of-somebody"});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}).to_string()
}

#[rstest]
#[case::unlabelled(json!({}))]
#[case::of_another_connection(json!({"labels": {"tradewind.dev/connection": "other"}}))]
#[case::controlled_by_another_object(json!({
    "labels": {"tradewind.dev/connection": "acme"},
    "ownerReferences": [{
        "apiVersion": "v1", "kind": "Secret", "name": "store-login", "controller": true, "uid": "OWNER"
    }]
}))]
#[tokio::test]
async fn a_connection_secret_that_is_somebody_elses_is_never_written(#[case] mut metadata: Value) {
    let world = World::new("taken").await;
    let owner = world.sandbox.get::<Secret>("store-login").await.expect("a Secret");
    if let Some(uid) = metadata.pointer_mut("/ownerReferences/0/uid") {
        // One that lives: the garbage collector takes what is owned by nobody.
        *uid = json!(owner.uid());
    }
    world.sandbox.apply(&taken(&metadata)).await;
    let before = world.sandbox.get::<Secret>("taken").await.expect("a Secret");
    let manifest = connection("acme", &store("acme"), "");
    let name_it = |name: &str| changed(&manifest, &json!({"connectionSecretRef": {"name": name}}));
    world.sandbox.apply(&name_it("taken")).await;
    let halted = world.until("acme", "Ready", "False", "ConnectionSecretConflict").await;
    assert_stalled(&halted, "ConnectionSecretConflict", &["Secret taken", "Name another one in connectionSecretRef"]);
    world.rests::<Connection>("acme").await;
    assert_untouched(&world);

    world.sandbox.apply(&name_it("mine")).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    let id = id_of(&healed);
    assert_eq!(world.secret_value("mine", "connection_id").await.as_ref(), Some(&id));
    assert_eq!(world.sandbox.get::<Secret>("taken").await, Some(before), "not one byte, label or owner is another");
    world.assert_made(1, &[&id]);
}

#[rstest]
#[case::login_of_the_account("rutter-api")]
#[case::credentials_of_the_store("store-login")]
#[tokio::test]
async fn a_connection_secret_that_holds_credentials_is_never_written(#[case] name: &str) {
    let world = World::new("taken-login").await;
    let before = world.sandbox.get::<Secret>(name).await.expect("a Secret").data;
    let manifest = connection("acme", &store("acme"), "");
    world.sandbox.apply(&changed(&manifest, &json!({"connectionSecretRef": {"name": name}}))).await;
    let halted = world.until("acme", "Ready", "False", "ConnectionSecretConflict").await;
    assert_stalled(&halted, "ConnectionSecretConflict", &[name, "Name another one in connectionSecretRef"]);
    world.rests::<Connection>("acme").await;
    assert_untouched(&world);

    world.sandbox.apply(&manifest).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_eq!(world.sandbox.get::<Secret>(name).await.expect("a Secret").data, before);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[tokio::test]
async fn a_ready_object_that_names_a_taken_secret_stops_and_keeps_its_record() {
    let world = World::new("taken-later").await;
    let manifest = connection("acme", &store("acme"), "");
    world.sandbox.apply(&manifest).await;
    let id = id_of(&world.settled("acme").await);
    world.sandbox.apply(&taken(&json!({}))).await;
    let before = world.sandbox.get::<Secret>("taken").await;
    world.sandbox.apply(&changed(&manifest, &json!({"connectionSecretRef": {"name": "taken"}}))).await;
    let halted = world.until("acme", "Ready", "False", "ConnectionSecretConflict").await;
    assert_stalled(&halted, "ConnectionSecretConflict", &["Secret taken"]);
    world.rests::<Connection>("acme").await;
    assert_eq!(world.sandbox.get::<Secret>("taken").await, before);

    // The other way to put it right: the Secret goes.
    world.sandbox.delete::<Secret>("taken").await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_eq!(id_of(&healed), id);
    assert_eq!(world.secret_value("taken", "connection_id").await.as_ref(), Some(&id));
    world.assert_made(1, &[&id]);
}

#[tokio::test]
async fn of_two_objects_for_one_store_the_second_waits_for_the_first_to_go() {
    let world = World::new("twins").await;
    world.sandbox.apply(&connection("first", &store("acme"), "")).await;
    let first = id_of(&world.settled("first").await);
    // The same store in another spelling.
    world.sandbox.apply(&connection("second", &format!("https://{}/", store("ACME")), "")).await;
    let halted = world.until("second", "Ready", "False", "ExternalIdConflict").await;
    assert_stalled(&halted, "ExternalIdConflict", &["Delete one of the two objects"]);
    world.rests::<Connection>("second").await;
    assert_healed(&world.rests::<Connection>("first").await);
    world.assert_made(1, &[&first]);

    world.sandbox.delete::<Connection>("first").await;
    world.sandbox.wait_gone::<Connection>("first", HANG).await;
    let second = world.settled("second").await;
    assert_healed(&second);
    world.assert_made(2, &[&id_of(&second)]);
    assert_ne!(id_of(&second), first, "the record of the first went with it");
    assert_eq!(world.simulator.stats().deletes, 1);
}

#[tokio::test]
async fn the_second_object_for_a_store_goes_without_touching_the_record_of_the_first() {
    let world = World::new("twins-loser").await;
    world.sandbox.apply(&connection("first", &store("acme"), "")).await;
    let first = id_of(&world.settled("first").await);
    world.sandbox.apply(&connection("second", &store("acme"), "")).await;
    world.until("second", "Ready", "False", "ExternalIdConflict").await;
    goes_quietly(&world, "second").await;
    assert_healed(&world.looked_at::<Connection>("first").await);
    world.assert_made(1, &[&first]);
}

#[tokio::test]
async fn the_second_object_for_a_store_does_not_inherit_a_record_that_was_retained() {
    let world = World::new("twins-retain").await;
    world.sandbox.apply(&connection("first", &store("acme"), "  deletionPolicy: Retain\n")).await;
    let first = id_of(&world.settled("first").await);
    world.sandbox.apply(&connection("second", &store("acme"), "")).await;
    world.until("second", "Ready", "False", "ExternalIdConflict").await;
    world.sandbox.delete::<Connection>("first").await;
    world.sandbox.wait_gone::<Connection>("first", HANG).await;
    let halted = world.until("second", "Ready", "False", "AlreadyExists").await;
    assert_stalled(&halted, "AlreadyExists", &[&first, "adoptionPolicy: Match"]);
    goes_quietly(&world, "second").await;
    world.assert_made(1, &[&first]);
}

#[tokio::test]
async fn of_two_objects_for_one_store_at_the_same_moment_exactly_one_makes_it() {
    const PAIRS: usize = 8;
    let world = World::new("race").await;
    // Each pair's second object is alternately younger and older by name; what counts is what the API server makes of it.
    let manifests = (0..PAIRS).flat_map(|pair| {
        let names = if pair % 2 == 0 { ["a", "b"] } else { ["b", "a"] };
        names.map(|name| connection(&format!("pair-{pair}-{name}"), &store(&format!("pair-{pair}")), ""))
    });
    let manifests: Vec<String> = manifests.collect();
    join_all(manifests.iter().map(|manifest| world.sandbox.apply(manifest))).await;
    let mut ids = BTreeSet::new();
    for pair in 0..PAIRS {
        let names = [format!("pair-{pair}-a"), format!("pair-{pair}-b")];
        let is_decided = |c: &Connection| {
            c.says("Ready", "False", "ExternalIdConflict") || c.says("InitialRefreshComplete", "True", "Succeeded")
        };
        let twins = join_all(names.iter().map(|n| world.sandbox.wait_for::<Connection>(n, HANG, is_decided))).await;
        let (ready, halted): (Vec<_>, Vec<_>) = twins.into_iter().partition(|c| c.says("Ready", "True", "Succeeded"));
        let ([ready], [halted]) = (ready.as_slice(), halted.as_slice()) else { panic!("{ready:#?}\n{halted:#?}") };
        assert_healed(ready);
        assert_stalled(halted, "ExternalIdConflict", &["Delete one of the two objects"]);
        assert_eq!(halted.status.as_ref().and_then(|s| s.external_id.as_ref()), None);
        ids.insert(id_of(ready));
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(ids.len(), PAIRS);
    world.assert_made(PAIRS, &ids);
}

#[tokio::test]
async fn two_accounts_with_one_login_do_not_hide_two_objects_for_one_store() {
    let world = World::new("two-names").await;
    let twin = world.account().replace("metadata: {name: rutter}", "metadata: {name: rutter-too}");
    world.sandbox.apply(&twin).await;
    world.sandbox.apply(&connection("first", &store("acme"), "")).await;
    let first = id_of(&world.settled("first").await);
    let by_the_other = json!({"accountRef": {"name": "rutter-too"}});
    world.sandbox.apply(&changed(&connection("second", &store("acme"), ""), &by_the_other)).await;
    let halted = world.until("second", "Ready", "False", "ExternalIdConflict").await;
    assert_stalled(&halted, "ExternalIdConflict", &["Delete one of the two objects"]);
    world.rests::<Connection>("second").await;
    world.assert_made(1, &[&first]);

    // At the same moment, too.
    let manifests: Vec<String> = (0..4)
        .flat_map(|pair| {
            let manifest = |name: &str| connection(&format!("{name}-{pair}"), &store(&format!("pair-{pair}")), "");
            [manifest("one"), changed(&manifest("two"), &by_the_other)]
        })
        .collect();
    join_all(manifests.iter().map(|manifest| world.sandbox.apply(manifest))).await;
    let mut ids = vec![first];
    for pair in 0..4 {
        let is_decided = |c: &Connection| {
            c.says("Ready", "False", "ExternalIdConflict") || c.says("InitialRefreshComplete", "True", "Succeeded")
        };
        for name in ["one", "two"] {
            let decided = world.sandbox.wait_for::<Connection>(&format!("{name}-{pair}"), HANG, is_decided).await;
            ids.extend(decided.status.and_then(|s| s.external_id));
        }
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    world.assert_made(5, &ids);
}

#[tokio::test]
async fn a_strangers_record_is_reported_with_its_id_and_left_alone() {
    let world = World::new("stranger").await;
    let id = world.stranger(&store("acme"));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert_stalled(&halted, "AlreadyExists", &[&id, "Delete it there", "adoptionPolicy: Match"]);
    world.rests::<Connection>("acme").await;
    assert_eq!(world.sandbox.get::<Secret>("acme-connection").await, None, "the stranger's token is handed to nobody");
    goes_quietly(&world, "acme").await;
    assert_untouched(&world);
    world.assert_made(0, &[&id]);
}

#[tokio::test]
async fn a_store_is_connected_once_the_strangers_record_is_gone() {
    let world = World::new("stranger-goes").await;
    let strange = world.stranger(&store("acme"));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until("acme", "Ready", "False", "AlreadyExists").await;
    world.deed(&strange, |connection| Deed::Delete { connection });
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_ne!(id_of(&healed), strange);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[rstest]
#[case::deleted_with_the_object("Match", "Delete", 0)]
#[case::left_behind("Match", "Retain", 1)]
#[case::overridden_and_deleted("Override", "Delete", 0)]
#[tokio::test]
async fn a_strangers_record_is_adopted_when_the_policy_says_so(
    #[case] adoption: &str,
    #[case] deletion: &str,
    #[case] left: usize,
) {
    let world = World::new("adopt").await;
    let id = world.stranger(&store("acme"));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until("acme", "Ready", "False", "AlreadyExists").await;
    let policy = format!("  adoptionPolicy: {adoption}\n  deletionPolicy: {deletion}\n");
    world.sandbox.apply(&connection("acme", &store("acme"), &policy)).await;
    let adopted = world.settled("acme").await;
    assert_healed(&adopted);
    assert_eq!(id_of(&adopted), id);
    let token = world.simulator.connections()[0].access_token.to_string();
    assert_eq!(world.secret_value("acme-connection", "access_token").await, Some(token));
    assert_untouched(&world);

    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.assert_made(0, &[&*id][..left]);
}

#[rstest]
#[case::by_policy(json!({"adoptionPolicy": "Match", "deletionPolicy": "Retain"}))]
#[case::by_id(json!({"adoptionPolicy": "Override", "deletionPolicy": "Retain", "externalRef": {"id": "ID"}}))]
#[case::by_looking(json!({"managementPolicy": "ObserveOnly"}))]
#[tokio::test]
async fn an_account_that_forbids_adoption_gives_nothing_away_until_it_allows_it(#[case] mut spec: Value) {
    let mut world = World::quiet("forbidden").await;
    world.sandbox.apply(&World::store_login()).await;
    world.sandbox.apply(&world.account_with("adoption: Forbidden")).await;
    world.start().await;
    let id = world.stranger(&store("acme"));
    if let Some(named) = spec.pointer_mut("/externalRef/id") {
        *named = json!(id);
    }
    world.sandbox.apply(&changed(&connection("acme", &store("acme"), ""), &spec)).await;
    let halted = world.until("acme", "Ready", "False", "AdoptionForbidden").await;
    assert_stalled(&halted, "AdoptionForbidden", &["forbids adoption", "adoption: Allowed"]);
    world.rests::<Connection>("acme").await;
    assert_eq!(world.sandbox.get::<Secret>("acme-connection").await, None);

    world.sandbox.apply(&world.account()).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_eq!(id_of(&healed), id);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert_untouched(&world);
    world.assert_made(0, &[&id]);
}

#[rstest]
#[case::full(json!({"adoptionPolicy": "Match", "deletionPolicy": "Delete"}))]
#[case::observe_only(json!({"managementPolicy": "ObserveOnly"}))]
#[tokio::test]
async fn an_external_ref_to_nothing_is_never_a_reason_to_create(#[case] mut spec: Value) {
    let world = World::new("no-such-id").await;
    spec["externalRef"] = json!({"id": "11111111-2222-4333-8444-555555555555"});
    world.sandbox.apply(&changed(&connection("acme", &store("acme"), ""), &spec)).await;
    let halted = world.until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_stalled(&halted, "ExternalNotFound", &["No such record exists", "externalRef is wrong"]);
    world.rests::<Connection>("acme").await;
    goes_quietly(&world, "acme").await;
    assert_untouched(&world);
    world.assert_made(0, &[]);
}

/// Rutter changes nothing in place, so `Override` takes no other records than `Match`, and that is told.
#[rstest]
#[case::matched("Match")]
#[case::overridden("Override")]
#[tokio::test]
async fn an_external_ref_to_a_record_of_another_store_heals_when_the_store_is_corrected(#[case] adoption: &str) {
    let world = World::new("wrong-id").await;
    let id = world.stranger(&store("other"));
    let policy = format!("  adoptionPolicy: {adoption}\n  deletionPolicy: Retain\n  externalRef: {{id: {id}}}\n");
    world.sandbox.apply(&connection("acme", &store("acme"), &policy)).await;
    let halted = world.until("acme", "Ready", "False", "NotMatch").await;
    assert_stalled(&halted, "NotMatch", &[&id, "store_url", "Change the declaration to match it"]);
    assert_stalled(&halted, "NotMatch", &["adoptionPolicy: Override takes no other records than Match"]);
    world.rests::<Connection>("acme").await;
    assert_eq!(world.sandbox.get::<Secret>("acme-connection").await, None, "another merchant's token");

    world.sandbox.apply(&connection("acme", &store("other"), &policy)).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_eq!(id_of(&healed), id);
    assert_untouched(&world);
    world.assert_made(0, &[&id]);
}

#[tokio::test]
async fn an_external_ref_to_the_record_of_another_object_is_a_conflict() {
    let world = World::new("held-id").await;
    world.sandbox.apply(&connection("first", &store("acme"), "")).await;
    let first = id_of(&world.settled("first").await);
    let policy = format!("  adoptionPolicy: Match\n  deletionPolicy: Delete\n  externalRef: {{id: {first}}}\n");
    world.sandbox.apply(&connection("second", &store("acme"), &policy)).await;
    let halted = world.until("second", "Ready", "False", "ExternalIdConflict").await;
    assert_stalled(&halted, "ExternalIdConflict", &[&first, "another object"]);
    world.rests::<Connection>("second").await;
    goes_quietly(&world, "second").await;
    assert_healed(&world.looked_at::<Connection>("first").await);
    world.assert_made(1, &[&first]);
}

/// Nothing of it comes into the hands of the one that does not get it.
#[tokio::test]
async fn of_two_objects_that_name_one_record_at_the_same_moment_exactly_one_takes_it() {
    const PAIRS: usize = 6;
    let world = World::new("named-twice").await;
    let ids: Vec<String> = (0..PAIRS).map(|pair| world.stranger(&store(&format!("pair-{pair}")))).collect();
    let manifests = ids.iter().enumerate().flat_map(|(pair, id)| {
        let policy = format!("  adoptionPolicy: Match\n  deletionPolicy: Retain\n  externalRef: {{id: {id}}}\n");
        ["a", "b"].map(|name| connection(&format!("pair-{pair}-{name}"), &store(&format!("pair-{pair}")), &policy))
    });
    let manifests: Vec<String> = manifests.collect();
    world.sandbox.lag(Duration::from_secs(3));
    join_all(manifests.iter().map(|manifest| world.sandbox.apply(manifest))).await;
    for (pair, id) in ids.iter().enumerate() {
        let names = [format!("pair-{pair}-a"), format!("pair-{pair}-b")];
        assert_eq!(id_of(&one_has_it(&world, &names).await), *id);
    }
    assert_untouched(&world);
}

/// What cannot be changed in place is held to what was declared when it was taken over.
#[tokio::test]
async fn an_edit_of_an_adopted_record_that_cannot_be_changed_in_place_is_said() {
    let world = World::new("adopt-edit").await;
    let id = world.stranger(&store("acme"));
    let policy = "  adoptionPolicy: Match\n  deletionPolicy: Retain\n";
    world.sandbox.apply(&connection("acme", &store("acme"), policy)).await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    let edited = connection("acme", &store("acme"), policy).replace("  rutter:\n", "  rutter:\n    scope: write\n");
    world.sandbox.apply(&edited).await;
    let halted = world.until("acme", "Synced", "False", "ReplacementRequired").await;
    assert!(message(&halted, "Synced").contains("spec.rutter.scope"), "{}", message(&halted, "Synced"));
    assert_untouched(&world);
}

#[tokio::test]
async fn of_several_matching_records_none_is_taken_before_a_person_names_one() {
    let world = World::new("ambiguous").await;
    let ids = [world.stranger(&store("acme")), world.stranger(&store("acme"))];
    let policy = "  adoptionPolicy: Match\n  deletionPolicy: Retain\n";
    world.sandbox.apply(&connection("acme", &store("acme"), policy)).await;
    let halted = world.until("acme", "Ready", "False", "AmbiguousMatch").await;
    assert_stalled(&halted, "AmbiguousMatch", &[&ids[0], &ids[1], "name one with externalRef"]);
    world.rests::<Connection>("acme").await;

    let named = format!("{policy}  externalRef: {{id: {}}}\n", ids[1]);
    world.sandbox.apply(&connection("acme", &store("acme"), &named)).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_eq!(id_of(&healed), ids[1]);
    assert_untouched(&world);
    world.assert_made(0, &[&ids[0], &ids[1]]);
}

#[rstest]
#[case::by_store(false)]
#[case::by_id(true)]
#[tokio::test]
async fn an_object_that_only_observes_records_and_writes_nothing(#[case] by_id: bool) {
    let world = World::new("observe").await;
    let id = world.stranger(&store("acme"));
    let mut spec = json!({"managementPolicy": "ObserveOnly"});
    if by_id {
        spec["externalRef"] = json!({"id": id});
    }
    world.sandbox.apply(&changed(&connection("acme", &store("acme"), ""), &spec)).await;
    let observed = world.settled("acme").await;
    assert_healed(&observed);
    assert_eq!(id_of(&observed), id);
    assert_eq!(observed.finalizers(), [""; 0], "nothing is to be cleaned up");
    let rested = world.rests::<Connection>("acme").await;
    assert_eq!(id_of(&rested), id);
    assert_eq!(world.sandbox.get::<Secret>("acme-connection").await, None, "observing hands out no token");
    goes_quietly(&world, "acme").await;
    assert_untouched(&world);
    world.assert_made(0, &[&id]);
}

/// What an object has made it does not lose for a record that it is told to look at.
#[tokio::test]
async fn an_object_that_has_made_a_record_does_not_observe_another_one() {
    let world = World::new("observe-other").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let own = id_of(&world.settled("acme").await);
    let other = world.stranger(&store("other"));
    let spec = json!({"managementPolicy": "ObserveOnly", "externalRef": {"id": other}});
    world.sandbox.apply(&changed(&connection("acme", &store("acme"), ""), &spec)).await;
    let halted = world.until("acme", "Ready", "False", "ExternalIdConflict").await;
    assert_stalled(&halted, "ExternalIdConflict", &[&own, "if externalRef is wrong, set deletionPolicy: Retain"]);
    assert_eq!(id_of(&world.rests::<Connection>("acme").await), own);
    world.assert_made(1, &[&own, &other]);
}

#[tokio::test]
async fn an_object_that_observes_a_store_that_nobody_connected_finds_it_once_somebody_does() {
    let world = World::new("observe-later").await;
    let observe = json!({"managementPolicy": "ObserveOnly"});
    world.sandbox.apply(&changed(&connection("acme", &store("acme"), ""), &observe)).await;
    let halted = world.until("acme", "Ready", "False", "ExternalNotFound").await;
    assert_stalled(&halted, "ExternalNotFound", &["No such record exists", "the store that the declaration names"]);
    world.rests::<Connection>("acme").await;
    let id = world.stranger(&store("acme"));
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_eq!(id_of(&healed), id);
    assert_untouched(&world);
    world.assert_made(0, &[&id]);
}

#[tokio::test]
async fn an_object_that_observes_is_not_called_wrong_before_its_account_was_looked_at() {
    let mut world = World::quiet("observe-first").await;
    let id = world.stranger(&store("acme"));
    let observe = json!({"managementPolicy": "ObserveOnly"});
    world.sandbox.apply(&changed(&connection("acme", &store("acme"), ""), &observe)).await;
    world.sandbox.apply(&world.account()).await;
    world.start().await;
    assert_healed(&world.settled("acme").await);
    assert!(world.events("acme", "Succeeded").await > 0);
    assert_eq!(world.events("acme", "InvalidSpec").await, 0);
    assert_untouched(&world);
    world.assert_made(0, &[&id]);
}

#[tokio::test]
async fn an_object_that_observed_does_not_take_the_record_over_by_being_allowed_more() {
    let world = World::new("observe-full").await;
    let id = world.stranger(&store("acme"));
    let observe = json!({"managementPolicy": "ObserveOnly"});
    world.sandbox.apply(&changed(&connection("acme", &store("acme"), ""), &observe)).await;
    let recorded = |c: &Connection| c.status.as_ref().is_some_and(|s| s.external_id.is_some());
    world.sandbox.wait_for::<Connection>("acme", HANG, recorded).await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let halted = world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert_stalled(&halted, "AlreadyExists", &[&id]);
    goes_quietly(&world, "acme").await;
    assert_untouched(&world);
    world.assert_made(0, &[&id]);
}

#[tokio::test]
async fn a_record_that_is_retained_outlives_its_object() {
    let world = World::new("retain").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "  deletionPolicy: Retain\n")).await;
    let id = id_of(&world.settled("acme").await);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.assert_made(1, &[&id]);
    assert_eq!(world.simulator.stats().deletes, 0);
}

#[tokio::test]
async fn an_object_that_is_suspended_from_the_start_makes_nothing_until_it_is_resumed() {
    let world = World::new("suspended").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "  suspend: true\n")).await;
    let suspended = world.until("acme", "Synced", "Unknown", "Suspended").await;
    let said = &suspended.condition("Synced").expect("it is there").message;
    assert!(said.contains("spec.suspend"), "{said}");
    assert!(suspended.condition("Stalled").is_none() && suspended.condition("Reconciling").is_none());
    assert!(suspended.says("Ready", "Unknown", "Suspended"), "nobody waits for the operator: {:#?}", suspended.status);
    assert_eq!(suspended.kstatus(), Kstatus::InProgress);
    assert_eq!(suspended.finalizers(), [""; 0]);
    world.rests::<Connection>("acme").await;
    assert_untouched(&world);

    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[tokio::test]
async fn a_bad_object_does_not_hold_up_the_good_ones_of_its_account() {
    let world = World::new("neighbours").await;
    let bad = json!({"rutter": {"parameters": {"store_url": "shop.example.com"}}});
    let good: Vec<String> = (0..3).map(|n| format!("good-{n}")).collect();
    for (n, name) in good.iter().enumerate() {
        world.sandbox.apply(&changed(&connection(&format!("bad-{n}"), &store("bad"), ""), &bad)).await;
        world.sandbox.apply(&connection(name, &store(name), "")).await;
    }
    let mut ids = vec![];
    for name in &good {
        ids.push(id_of(&world.settled(name).await));
    }
    for n in 0..good.len() {
        let halted = world.until(&format!("bad-{n}"), "Ready", "False", "InvalidSpec").await;
        assert_stalled(&halted, "InvalidSpec", &["store_url"]);
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    world.assert_made(good.len(), &ids);
}
