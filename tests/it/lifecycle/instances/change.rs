//! Changes in place: of the declaration, of the token, and behind the operator's back.

use rstest::rstest;
use serde_json::{Value, json};
use tradewind::api::v1alpha1::IntegrationInstance;
use tradewind_simulator::rutter::Trouble;
use tradewind_simulator::sku_io::Deed;
use tradewind_simulator::{Effect, Fault, Operation};

use super::{instance, status_of};
use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::lifecycle::expect::assert_stalled;
use crate::world::{STORE_CANARY, World, secret};

fn fields(value: &Value) -> serde_json::Map<String, Value> {
    value.as_object().expect("an object").clone()
}

#[tokio::test]
async fn a_null_unsets_what_was_set_and_what_is_absent_is_left_alone() {
    let world = World::with_sku("sku-null").await;
    let manifest = instance("acme", "    salesNominalCodeId: 7\n    proformaPaymentCostPercentage: 2.5\n");
    world.sandbox.apply(&manifest).await;
    world.instance_until("acme", "Ready", "True", "Succeeded").await;
    let record = world.at_sku("acme");
    assert_eq!(record.integration_settings.get("sales_nominal_code_id"), Some(&json!(7)));

    // Server-side apply keeps a null apart from nothing.
    let unset = instance("acme", "    salesNominalCodeId: null\n");
    world.sandbox.apply(&unset).await;
    world
        .provider_until("it is unset", |s| {
            s.instances()[0].integration_settings.get("sales_nominal_code_id") == Some(&Value::Null)
        })
        .await;
    world.looked_at::<IntegrationInstance>("acme").await;
    let record = world.at_sku("acme");
    assert_eq!(record.changes.len(), 1, "{:#?}", record.changes);
    assert_eq!(record.changes[0].sent, ["integration_settings.sales_nominal_code_id"]);
    let percentage = record.integration_settings.get("proforma_payment_cost_percentage");
    assert_eq!(percentage.and_then(Value::as_f64), Some(2.5), "what is not declared any more is left as it is");
}

#[tokio::test]
async fn a_change_at_the_provider_is_put_back_and_only_that() {
    let world = World::with_sku("sku-drift").await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.instance_until("acme", "Ready", "True", "Succeeded").await;
    let id = world.at_sku("acme").id;
    let change = json!({"integration_settings": {"store_id": 9, "sales_nominal_code_id": 3}});
    world.simulator.act_sku(&Deed::Change { instance: id, fields: fields(&change) }).expect("a deed");
    world.looked_at::<IntegrationInstance>("acme").await;
    world.until_asked(Operation::Update, 1).await;
    let object = world.looked_at::<IntegrationInstance>("acme").await;
    let record = world.at_sku("acme");
    assert_eq!(record.integration_settings.get("store_id"), Some(&json!(1)));
    assert_eq!(record.integration_settings.get("sales_nominal_code_id"), Some(&json!(3)), "nobody manages it");
    assert_eq!(record.changes.last().expect("a change").sent, ["integration_settings.store_id"]);
    assert!(object.says("Synced", "True", "Succeeded"), "{:#?}", object.observed());
    assert_eq!(world.asked(Operation::Update), 1);
}

#[tokio::test]
async fn a_new_token_is_pushed_and_nothing_else() {
    let world = World::with_sku("sku-token").await;
    world.sandbox.apply(&instance("acme", "")).await;
    let before = world.instance_until("acme", "Ready", "True", "Succeeded").await;
    assert_eq!(world.at_sku("acme").token_version, 1);
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", "test-canary-store-91bc-2")])).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.provider_until("the token is there", |s| s.instances()[0].token_version == 2).await;
    let pushed = |i: &IntegrationInstance| status_of(i).applied_credentials != status_of(&before).applied_credentials;
    let after = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, pushed).await;
    assert_eq!(status_of(&after).last_action.expect("an action").fields, ["spec.accessTokenSecretRef"]);
    assert!(after.says("CredentialsValid", "True", "RotatedAndVerified"), "in the same write: {:#?}", after.observed());
    world.looked_at::<IntegrationInstance>("acme").await;
    world.rests::<IntegrationInstance>("acme").await;
    let rested = world.well("acme").await;
    assert!(rested.says("CredentialsValid", "True", "RotatedAndVerified"), "{:#?}", rested.observed());
    assert_eq!(world.asked(Operation::AskStore), 1, "what the store has said is not asked again");
    let record = world.at_sku("acme");
    assert_eq!(record.changes.len(), 1, "{:#?}", record.changes);
    assert_eq!(record.changes[0].sent, ["connection_settings.access_token"]);
}

#[tokio::test]
async fn a_name_that_is_still_being_cleaned_up_is_waited_for() {
    let world = World::with_sku("sku-name").await;
    world.simulator.configure_sku_io(|s| s.cleanup = std::time::Duration::from_secs(4));
    world.sandbox.apply(&instance("acme", "")).await;
    let first = world.instance_until("acme", "Ready", "True", "Succeeded").await;
    world.sandbox.delete::<IntegrationInstance>("acme").await;
    world.sandbox.wait_gone::<IntegrationInstance>("acme", HANG).await;
    world.sandbox.apply(&instance("acme", "")).await;
    let waiting = world.instance_until("acme", "Ready", "False", "Creating").await;
    assert!(waiting.condition("Stalled").is_none());
    let again = world.instance_until("acme", "Ready", "True", "Succeeded").await;
    assert_ne!(status_of(&first).external_id, status_of(&again).external_id);
    assert_eq!(world.simulator.stats().creates, 2);
}

/// Another Secret, or another key of the same one, is another token.
#[rstest]
#[case::another_secret("other")]
#[case::another_key("store-login")]
#[tokio::test]
async fn another_place_is_another_token(#[case] name: &str) {
    let world = World::with_sku("sku-other-secret").await;
    let both = [("oauth_access_token", STORE_CANARY), ("token", "test-canary-store-91bc-2")];
    world.sandbox.apply(&secret("store-login", &both)).await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    if name != "store-login" {
        world.sandbox.apply(&secret(name, &both[1..])).await;
    }
    let other = json!({"spec": {"accessTokenSecretRef": {"name": name, "key": "token"}}});
    world.edit_instance("acme", &other).await;
    world.provider_until("the token is there", |s| s.instances()[0].token_version == 2).await;
    world.well("acme").await;
    world.rests::<IntegrationInstance>("acme").await;
    let record = world.at_sku("acme");
    assert_eq!(
        record.changes.iter().map(|c| c.sent.clone()).collect::<Vec<_>>(),
        [["connection_settings.access_token"]]
    );
}

/// A token that is refused is not pushed over and over, and the record keeps the old one.
#[tokio::test]
async fn a_new_token_that_is_refused_is_said_and_the_old_one_kept() {
    let world = World::with_sku("sku-token-refused").await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    world.simulator.push_fault(Fault::on(Operation::Update, Effect::RefuseCredentials { status: 422 }).forever());
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", "test-canary-store-91bc-2")])).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    let halted = world.instance_until("acme", "Ready", "False", "ProviderRejected").await;
    assert_stalled(&halted, "ProviderRejected", &["SKU.io refused spec.accessTokenSecretRef"]);
    world.rests::<IntegrationInstance>("acme").await;
    assert_eq!(world.at_sku("acme").token_version, 1);
    world.sandbox.apply(&World::store_login()).await;
    world.simulator.clear_faults();
    world.looked_at::<IntegrationInstance>("acme").await;
    world.well("acme").await;
}

/// SKU.io takes a token whatever it is; the store is asked whether it works, again and again until it does.
#[tokio::test]
async fn a_new_token_that_the_store_refuses_is_said_until_the_store_takes_it() {
    let world = World::with_sku("sku-token-sour").await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    let sour = Effect::SourCredentials { after: std::time::Duration::ZERO, trouble: Trouble::NeedsUpdate };
    world.simulator.push_fault(Fault::on(Operation::Update, sour));
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", "test-canary-store-91bc-2")])).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    let halted = world.instance_until("acme", "Ready", "False", "CredentialsRejected").await;
    assert_stalled(&halted, "CredentialsRejected", &["SKU.io refused the store's token", "accessTokenSecretRef"]);
    assert!(halted.says("CredentialsValid", "False", "CredentialsRejected"), "{:#?}", halted.observed());
    world.rests::<IntegrationInstance>("acme").await;

    // Somebody puts it right at the store.
    let id = world.at_sku("acme").id;
    world.simulator.act_sku(&Deed::RefuseStoreToken { instance: id, refused: false }).expect("a deed");
    world.looked_at::<IntegrationInstance>("acme").await;
    let well = world.well("acme").await;
    assert!(well.says("CredentialsValid", "True", "RotatedAndVerified"), "{:#?}", well.observed());
    assert_eq!(world.at_sku("acme").changes.len(), 1, "the token is not sent again");
}

/// A provider that cannot be asked is no reason to doubt the record, nor to believe in the token.
#[tokio::test]
async fn whether_the_store_takes_a_new_token_is_unknown_until_it_can_be_asked() {
    let world = World::with_sku("sku-token-unasked").await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    let down = Effect::Refuse { status: 503, retry_after: None };
    world.simulator.push_fault(Fault::on(Operation::AskStore, down).forever());
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", "test-canary-store-91bc-2")])).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.provider_until("the token is there", |s| s.instances()[0].token_version == 2).await;
    let open = world.instance_until("acme", "CredentialsValid", "Unknown", "Progressing").await;
    assert!(open.says("Ready", "True", "Succeeded"), "{:#?}", open.observed());
    world.simulator.clear_faults();
    world.looked_at::<IntegrationInstance>("acme").await;
    world.instance_until("acme", "CredentialsValid", "True", "RotatedAndVerified").await;
    assert_eq!(world.at_sku("acme").changes.len(), 1, "the token is not sent again");
}

/// One change of one field is one write of the object, and one at the provider.
#[tokio::test]
async fn a_correction_of_drift_is_one_change_and_one_write() {
    let world = World::with_sku("sku-drift-cost").await;
    world.sandbox.apply(&instance("acme", "  interval: 2s\n")).await;
    world.well("acme").await;
    let id = world.at_sku("acme").id;
    let since = world.sandbox.mark();
    let change = json!({"integration_settings": {"start_date": "2026-03-01"}, "is_automatic_sync_enabled": true});
    world.simulator.act_sku(&Deed::Change { instance: id, fields: fields(&change) }).expect("a deed");
    world
        .provider_until("it is put back", |s| s.instances()[0].integration_settings["start_date"] == "2026-01-01")
        .await;
    let corrected = |i: &IntegrationInstance| status_of(i).last_action.is_some_and(|a| a.cause == "Updated");
    let object = world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, corrected).await;
    assert!(object.says("Ready", "True", "Succeeded") && object.says("Synced", "True", "Succeeded"));
    let lists = world.asked(Operation::List);
    world.until_asked(Operation::List, lists + 2).await;
    let writes = || world.sandbox.audit_writes(since).remove("integrationinstances/acme").unwrap_or_default();
    world.provider_until("the audit log shows the write", |_| !writes().is_empty()).await;
    let writes = writes();
    assert_eq!((writes.len(), world.asked(Operation::Update)), (1, 1), "{writes:#?}");
    let record = world.at_sku("acme");
    assert!(record.is_automatic_sync_enabled, "nobody manages it");
}

/// What the provider refused of the second edit is not taken for the first one that did not last.
#[tokio::test]
async fn an_edit_after_an_edit_is_sent_however_it_was_refused() {
    let world = World::with_sku("sku-edits").await;
    world.sandbox.apply(&instance("acme", "    salesNominalCodeId: 7\n  interval: 2s\n")).await;
    world.well("acme").await;
    let edit = |code: i64| json!({"spec": {"settings": {"salesNominalCodeId": code}}});
    let has = |code: i64| {
        let applied = move |i: &IntegrationInstance| {
            let fields = status_of(i).applied_fields;
            fields.iter().any(|f| f.path.ends_with("salesNominalCodeId") && f.value == code.to_string())
        };
        world.sandbox.wait_for::<IntegrationInstance>("acme", HANG, applied)
    };
    world.edit_instance("acme", &edit(8)).await;
    has(8).await;
    let since = world.sandbox.mark();
    world.simulator.push_fault(Fault::on(Operation::Update, Effect::Refuse { status: 503, retry_after: None }));
    world.edit_instance("acme", &edit(9)).await;
    has(9).await;
    world.well("acme").await;
    let lists = world.asked(Operation::List);
    world.until_asked(Operation::List, lists + 2).await;
    let writes = || world.sandbox.audit_writes(since).remove("integrationinstances/acme").unwrap_or_default();
    world.provider_until("the audit log shows both writes", |_| writes().len() >= 2).await;
    assert_eq!(writes().len(), 2, "the refusal, and what came of the edit: {:#?}", writes());
    assert_eq!(world.asked(Operation::Update), 3);
}
