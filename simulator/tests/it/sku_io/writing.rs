//! Which bodies are accepted, and what they change.

use anyhow::Result;
use bytes::Bytes;
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::sku_io::{Deed, SideEffect};

use super::{ALL, STORE_TOKEN, asking, complaints, instance, with, without};
use crate::support::{Bench, with_header};

const REQUIRED: [&str; 8] = [
    "/name",
    "/integration_id",
    "/connection_settings/access_token",
    "/integration_settings/store_hash",
    "/integration_settings/start_date",
    "/integration_settings/store_id",
    "/integration_settings/auto_link_products",
    "/integration_settings/auto_create_products",
];

fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

#[tokio::test]
async fn every_required_field_is_required() -> Result<()> {
    let bench = Bench::new()?;
    for pointer in REQUIRED {
        for body in [
            without(instance("acme", "abc123"), pointer)?,
            with(instance("acme", "abc123"), pointer, Value::Null)?,
            with(instance("acme", "abc123"), pointer, json!("  "))?,
        ] {
            let answer = bench.ask(Method::POST, ALL, &body).await?;
            assert_eq!(complaints(&answer)?, [dotted(pointer)]);
        }
    }
    let mut all = REQUIRED.map(dotted).to_vec();
    all.sort_unstable();
    assert_eq!(complaints(&bench.ask(Method::POST, ALL, &json!({})).await?)?, all);
    assert!(bench.simulator.instances().is_empty());
    Ok(())
}

#[rstest]
#[case("/name", json!(7))]
#[case("/name", json!("x".repeat(256)))]
#[case("/integration_id", json!("5"))]
#[case("/integration_id", json!(0))]
#[case("/integration_id", json!(1.5))]
#[case("/connection_settings/access_token", json!(7))]
#[case("/integration_settings/store_hash", json!("https://store-abc123.mybigcommerce.com"))]
#[case("/integration_settings/store_hash", json!("store-abc123.mybigcommerce.com"))]
#[case("/integration_settings/store_hash", json!(123_456))]
#[case("/integration_settings/start_date", json!("2026-02-30"))]
#[case("/integration_settings/start_date", json!("2026-01-01T00:00:00Z"))]
#[case("/integration_settings/start_date", json!("01/02/2026"))]
#[case("/integration_settings/store_id", json!("1"))]
#[case("/integration_settings/auto_link_products", json!(1))]
#[case("/integration_settings/sales_nominal_code_id", json!("7"))]
#[case("/integration_settings/proforma_payment_cost_percentage", json!("2.5"))]
#[case("/integration_settings/batch_period_customer_returns", json!("weekly"))]
#[case("/integration_settings/sync_sales_credit_to_accounting", Value::Null)]
#[case("/integration_settings/pricing", json!([1]))]
#[case("/is_automatic_sync_enabled", json!("yes"))]
#[case("/is_automatic_sync_enabled", Value::Null)]
#[tokio::test]
async fn wrong_values_are_refused_by_every_verb(#[case] pointer: &str, #[case] value: Value) -> Result<()> {
    let bench = Bench::new()?;
    let id = bench.make("first", "first1").await?;
    let path = format!("{ALL}/{id}");
    let body = with(instance("acme", "abc123"), pointer, value)?;
    for (method, path) in [(Method::POST, ALL), (Method::PATCH, &path)] {
        assert_eq!(complaints(&bench.ask(method, path, &body).await?)?, [dotted(pointer)]);
    }
    assert!(complaints(&bench.ask(Method::PUT, &path, &body).await?)?.contains(&dotted(pointer)));
    assert_eq!(bench.simulator.instance(id).map(|record| record.name), Some("first".to_owned()));
    Ok(())
}

#[tokio::test]
async fn groups_must_be_objects_and_bodies_too() -> Result<()> {
    let bench = Bench::new()?;
    let body = with(instance("acme", "abc123"), "/integration_settings", json!([]))?;
    assert!(complaints(&bench.ask(Method::POST, ALL, &body).await?)?.contains(&"integration_settings".to_owned()));
    let id = bench.make("acme", "abc123").await?;
    let answer = bench.patch(id, &json!({"integration_settings": null})).await?;
    assert_eq!(complaints(&answer)?, ["integration_settings"]);
    for method in [Method::POST, Method::PATCH] {
        let path = if method == Method::POST { ALL.to_owned() } else { format!("{ALL}/{id}") };
        assert_eq!(bench.ask(method.clone(), &path, &json!([1])).await?.status(), 400);
        assert_eq!(bench.ask(method.clone(), &path, &Value::Null).await?.status(), 400);
        let mut broken = asking(method.clone(), &path, &Value::Null)?;
        *broken.body_mut() = Bytes::from_static(b"{\"name\":");
        assert_eq!(bench.send(broken).await?.status(), 400);
        let form = with_header(asking(method, &path, &json!({}))?, "content-type", None)?;
        assert_eq!(bench.send(form).await?.status(), 400);
    }
    Ok(())
}

#[tokio::test]
async fn unknown_fields_are_ignored() -> Result<()> {
    let bench = Bench::new()?;
    let body = with(instance("acme", "abc123"), "/integration_settings/webhooks", json!(true))?;
    let body = with(body, "/uid", json!("42"))?;
    let created = bench.ask(Method::POST, ALL, &body).await?;
    assert_eq!(created.status(), 201);
    assert!(created.at("/data/uid").is_err() && created.at("/data/integration_settings/webhooks").is_err());
    Ok(())
}

#[tokio::test]
async fn stores_that_do_not_exist_are_refused_if_it_is_known_which_do() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure_sku_io(|settings| settings.stores = vec![2, 3]);
    let answer = bench.ask(Method::POST, ALL, &instance("acme", "abc123")).await?;
    assert_eq!(complaints(&answer)?, ["integration_settings.store_id"]);
    let body = with(instance("acme", "abc123"), "/integration_settings/store_id", json!(3))?;
    assert_eq!(bench.ask(Method::POST, ALL, &body).await?.status(), 201);
    Ok(())
}

#[tokio::test]
async fn names_are_unique_whatever_their_case() -> Result<()> {
    let bench = Bench::new()?;
    let first = bench.make("Acme", "abc123").await?;
    let second = bench.make("other", "abc124").await?;
    assert_eq!(complaints(&bench.ask(Method::POST, ALL, &instance("aCME", "abc125")).await?)?, ["name"]);
    assert_eq!(complaints(&bench.patch(second, &json!({"name": "ACME"})).await?)?, ["name"]);
    assert_eq!(bench.patch(first, &json!({"name": "ACME"})).await?.status(), 200, "its own name is free");
    assert_eq!(bench.patch(first, &json!({"name": "renamed"})).await?.status(), 200);
    bench.make("acme", "abc126").await?;
    Ok(())
}

#[tokio::test]
async fn a_store_twice_is_not_refused_but_counted() -> Result<()> {
    let bench = Bench::new()?;
    bench.make("one", "abc123").await?;
    let two = bench.make("two", "abc123").await?;
    bench.simulator.act_sku(&Deed::Make {
        tenant_id: None,
        name: "strange".to_owned(),
        store_hash: "abc123".to_owned(),
    })?;
    let stats = bench.simulator.stats();
    assert_eq!(stats.creates, 2);
    assert_eq!(stats.duplicates, [("tenant-1 BIG_COMMERCE abc123: one, two".to_owned(), 2)].into());
    bench.drop(two).await?;
    assert!(bench.simulator.stats().duplicates.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_patch_is_merged_and_noted() -> Result<()> {
    let bench = Bench::new()?;
    let id = bench.make("acme", "abc123").await?;
    bench.advance(1);
    let wanted = json!({"integration_settings": {
        "sales_nominal_code_id": 7, "proforma_payment_cost_percentage": 2, "start_date": "2026-01-01",
        "batch_period_customer_returns": "none", "unknown": {"deep": 1}}});
    let answer = bench.patch(id, &wanted).await?;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.at("/data/integration_settings/sales_nominal_code_id")?, json!(7));
    assert_eq!(answer.text("/data/integration_settings/store_hash")?, "abc123");
    assert_eq!(answer.text("/data/updated_at")?, "2026-01-05T10:00:01Z");
    let change = bench.simulator.instance(id).expect("it").changes.pop().expect("a change");
    let full = |name: &str| format!("integration_settings.{name}");
    assert_eq!(
        change.sent,
        [
            "batch_period_customer_returns",
            "proforma_payment_cost_percentage",
            "sales_nominal_code_id",
            "start_date",
            "unknown.deep"
        ]
        .map(full)
    );
    assert_eq!(
        change.changed,
        ["sales_nominal_code_id", "proforma_payment_cost_percentage", "batch_period_customer_returns"].map(full)
    );
    assert!(change.side_effects.is_empty(), "the start date is the same");

    // Nothing differs now: 2.0 is 2, and the token is the one that was there.
    let same = json!({"name": "acme", "connection_settings": {"access_token": STORE_TOKEN},
                      "integration_settings": {"proforma_payment_cost_percentage": 2.0}});
    assert_eq!(bench.patch(id, &same).await?.status(), 200);
    let unset = json!({"integration_settings": {"sales_nominal_code_id": null, "batch_period_customer_returns": null}});
    assert_eq!(bench.patch(id, &unset).await?.status(), 200);
    let record = bench.simulator.instance(id).expect("it");
    assert!(record.changes[1].changed.is_empty());
    assert_eq!(record.changes[2].changed.len(), 2);
    assert_eq!(record.integration_settings["sales_nominal_code_id"], Value::Null);
    Ok(())
}

#[rstest]
#[case(json!({"start_date": "2026-01-02"}), &[SideEffect::StartDate])]
#[case(json!({"pricing": {"masterOfPrice": "sku.io"}}), &[SideEffect::Pricing])]
#[case(json!({"pricing": {"other": 1}}), &[])]
#[case(json!({"inventory": {"masterOfStock": "sku.io"}}), &[SideEffect::Inventory])]
#[case(
    json!({"sync_sales_credit_to_accounting": false, "sync_sales_order_invoices_to_accounting": false}),
    &[SideEffect::Accounting]
)]
#[case(json!({"sync_sales_credit_to_accounting": true, "store_id": 2}), &[])]
#[tokio::test]
async fn side_effects_are_noted(#[case] settings: Value, #[case] expected: &[SideEffect]) -> Result<()> {
    let bench = Bench::new()?;
    let id = bench.make("acme", "abc123").await?;
    let existing = json!({"integration_settings": {"pricing": {"masterOfPrice": "neither"}, "inventory": {"a": 1}}});
    bench.simulator.act_sku(&Deed::Change { instance: id, fields: existing.as_object().expect("it").clone() })?;
    for expected in [expected, &[]] {
        assert_eq!(bench.patch(id, &json!({"integration_settings": settings})).await?.status(), 200);
        let change = bench.simulator.instance(id).and_then(|mut record| record.changes.pop());
        assert_eq!(change.map(|change| change.side_effects).as_deref(), Some(expected));
    }
    let record = bench.simulator.instance(id).expect("it");
    assert_eq!(record.side_effects(), expected);
    assert_eq!(record.integration_settings["inventory"]["a"], 1, "what is not named stays");
    Ok(())
}

#[tokio::test]
async fn a_token_is_rotated_by_another_one_only() -> Result<()> {
    let bench = Bench::new()?;
    let id = bench.make("acme", "abc123").await?;
    let mut versions = Vec::new();
    for token in [STORE_TOKEN, "test-rotated", "test-rotated", STORE_TOKEN] {
        bench.patch(id, &json!({"connection_settings": {"access_token": token}})).await?;
        versions.extend(bench.simulator.instance(id).map(|record| record.token_version));
    }
    assert_eq!(versions, [1, 2, 2, 3]);
    let record = bench.simulator.instance(id).expect("it");
    assert_eq!(record.changes[1].changed, ["connection_settings.access_token"]);
    assert!(record.changes[2].changed.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_put_wants_everything() -> Result<()> {
    let bench = Bench::new()?;
    let id = bench.make("acme", "abc123").await?;
    let path = format!("{ALL}/{id}");
    let partial = complaints(&bench.ask(Method::PUT, &path, &instance("acme", "abc123")).await?)?;
    assert_eq!(partial.len(), 12);
    let mut whole = bench.look(&path).await?.at("/data")?;
    whole["integration_settings"]["store_id"] = json!(9);
    let answer = bench.ask(Method::PUT, &path, &whole).await?;
    assert_eq!((answer.status().as_u16(), answer.at("/data/integration_settings/store_id")?), (200, json!(9)));
    let change = bench.simulator.instance(id).and_then(|mut record| record.changes.pop()).expect("a change");
    assert_eq!((change.method.as_str(), change.changed.len()), ("PUT", 1));
    Ok(())
}
