//! Changes in place: of the declaration, of the token, and behind the operator's back.

use serde_json::{Value, json};
use tradewind::api::v1alpha1::IntegrationInstance;
use tradewind_simulator::Operation;
use tradewind_simulator::sku_io::Deed;

use super::{instance, status_of};
use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::world::{World, secret};

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
    world.looked_at::<IntegrationInstance>("acme").await;
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
