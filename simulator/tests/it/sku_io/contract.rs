//! Who may ask for what, and how an answer looks.

use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request};
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::sku_io::{Account, Entity, Envelope, Origin, Starter};
use tradewind_simulator::{Operation, Provider, Setup, Simulator};

use super::{ALL, STORE_TOKEN, asking, instance};
use crate::support::{Answer, Bench, LIST, with_header};

fn accounts(accounts: &[Account]) -> Result<Bench> {
    let bench = Bench::new()?;
    let setup = Setup { sku_accounts: accounts.to_vec(), ..Setup::default() };
    Ok(Bench { simulator: Simulator::new(bench.clock.clock(), setup), ..bench })
}

async fn me(bench: &Bench) -> Result<Answer> {
    bench.look("/api/me").await
}

#[rstest]
#[case::none(None)]
#[case::unknown(Some("Bearer 1|wrong"))]
#[case::without_its_id(Some("Bearer test-sku-io-token"))]
#[case::another_scheme(Some("Basic 1|test-sku-io-token"))]
#[tokio::test]
async fn a_wrong_token_is_answered_like_none(#[case] token: Option<&str>) -> Result<()> {
    let bench = Bench::new()?;
    for path in ["/api/me", ALL] {
        let request = with_header(asking(Method::GET, path, &Value::Null)?, "authorization", token)?;
        let answer = bench.send(request).await?;
        assert_eq!((answer.status().as_u16(), answer.json()?), (401, json!({"message": "Unauthenticated."})));
    }
    Ok(())
}

#[rstest]
#[case::nothing(None)]
#[case::anything(Some("*/*"))]
#[case::a_page(Some("text/html, application/json"))]
#[tokio::test]
async fn who_does_not_ask_for_json_is_sent_to_a_page(#[case] accept: Option<&str>) -> Result<()> {
    let bench = Bench::new()?;
    let body = instance("acme", "abc123");
    let answer = bench.send(with_header(asking(Method::POST, ALL, &body)?, "accept", accept)?).await?;
    assert_eq!((answer.status().as_u16(), answer.header("location")), (302, Some("/login")));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(answer.json().is_err());
    assert!(bench.simulator.instances().is_empty());
    Ok(())
}

#[tokio::test]
async fn anybody_with_a_token_may_ask_who_they_are() -> Result<()> {
    let bench = accounts(&[Account { scopes: Vec::new(), ..Account::default() }])?;
    let answer = me(&bench).await?.json()?;
    assert_eq!(answer["tenant_id"], "tenant-1");
    assert_eq!(answer["tenant_name"], "Tenant 1");
    assert_eq!(answer["token"]["id"], 1);
    assert_eq!(answer["token"]["scopes"], json!([]));
    assert_eq!(answer["token"]["is_expired"], false);
    assert!(answer["data"]["id"].is_u64() && answer["data"]["role"].is_string());
    assert_eq!(bench.simulator.journal()[0].operation, Operation::Me);
    Ok(())
}

#[rstest]
#[case::reads("integrations:write", Method::GET, "integrations:read")]
#[case::writes("integrations:read", Method::POST, "integrations:write")]
#[tokio::test]
async fn scopes_are_checked(#[case] held: &str, #[case] method: Method, #[case] required: &str) -> Result<()> {
    let bench = accounts(&[Account { scopes: vec![held.to_owned()], ..Account::default() }])?;
    let answer = bench.ask(method, ALL, &instance("acme", "abc123")).await?;
    assert_eq!((answer.status().as_u16(), answer.text("/required_scope")?.as_str()), (403, required));
    assert!(!answer.text("/message")?.is_empty());
    bench.simulator.change_token(1, |account| account.scopes.push(required.to_owned()))?;
    assert_ne!(bench.ask(Method::GET, ALL, &Value::Null).await?.status(), 401);
    Ok(())
}

#[tokio::test]
async fn tokens_can_be_revoked_and_are_never_shown() -> Result<()> {
    let bench = Bench::new()?;
    assert_eq!(me(&bench).await?.status(), 200);
    bench.simulator.change_token(1, |account| account.revoked = true)?;
    assert_eq!(me(&bench).await?.status(), 401);
    assert!(bench.simulator.change_token(2, |_| {}).is_err());
    assert!(!format!("{:?}", Account::default()).contains("test-sku-io-token"));
    Ok(())
}

#[tokio::test]
async fn records_belong_to_the_tenant() -> Result<()> {
    let token = |token: &str, tenant_id: &str| Account {
        token: token.to_owned(),
        tenant_id: tenant_id.to_owned(),
        ..Account::default()
    };
    let bench = accounts(&[Account::default(), token("2|twin", "tenant-1"), token("3|other", "tenant-2")])?;
    let id = bench.make("acme", "abc123").await?;
    let path = format!("{ALL}/{id}");
    let with = |method: Method, path: &str, token: &str, body: &Value| -> Result<Request<Bytes>> {
        with_header(asking(method, path, body)?, "authorization", Some(&format!("Bearer {token}")))
    };
    assert_eq!(bench.send(with(Method::GET, &path, "2|twin", &Value::Null)?).await?.status(), 200);
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        assert_eq!(bench.send(with(method, &path, "3|other", &json!({}))?).await?.status(), 404);
    }
    assert_eq!(bench.send(with(Method::GET, ALL, "3|other", &Value::Null)?).await?.at("/total")?, json!(0));
    let same = instance("acme", "abc123");
    assert_eq!(bench.send(with(Method::POST, ALL, "2|twin", &same)?).await?.status(), 422);
    assert_eq!(bench.send(with(Method::POST, ALL, "3|other", &same)?).await?.status(), 201);
    assert!(bench.simulator.stats().duplicates.is_empty(), "another tenant is another store");
    Ok(())
}

#[tokio::test]
async fn an_instance_is_created_read_and_deleted() -> Result<()> {
    let bench = Bench::new()?;
    let created = bench.ask(Method::POST, ALL, &instance("  acme ", "abc123")).await?;
    assert_eq!(created.status(), 201);
    let expected = json!({
        "id": 1, "name": "acme", "integration_id": 5, "archived": false, "is_automatic_sync_enabled": false,
        "integration": {"id": 5, "name": "BigCommerce"},
        "sales_channel": {"id": 1, "last_sync_at": "2026-01-05T10:00:00Z", "orders_count": 0, "products_count": 0},
        "integration_settings": {
            "store_hash": "abc123", "start_date": "2026-01-01", "store_id": 1,
            "auto_link_products": true, "auto_create_products": false,
            "sales_nominal_code_id": null, "cogs_nominal_code_id": null, "shipping_revenue_nominal_code_id": null,
            "shipping_refund_nominal_code_id": null, "sales_returns_allowances_nominal_code_id": null,
            "sync_sales_order_invoices_to_accounting": true, "sync_sales_credit_to_accounting": true,
            "proforma_marketplace_cost_percentage": null, "proforma_payment_cost_percentage": null,
            "batch_period_sales_order_fulfillments": null, "batch_period_customer_returns": null},
        "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:00:00Z"});
    assert_eq!(created.at("/data")?, expected);
    assert!(!created.text("/message")?.is_empty());
    assert_eq!(bench.look(&format!("{ALL}/1")).await?.at("/data")?, expected);
    assert_eq!(bench.look(ALL).await?.at("/data/0")?, expected);

    let record = bench.simulator.instance(1).expect("the instance");
    assert_eq!((record.origin, record.token_version), (Origin::Api, 1));
    for entity in [Entity::Products, Entity::Orders] {
        assert_eq!((record.refreshed(entity, Starter::Create), record.refreshed(entity, Starter::Request)), (1, 0));
    }
    assert_eq!(bench.drop(1).await?, 204);
    assert_eq!(bench.drop(1).await?, 404);
    assert_eq!(bench.look(&format!("{ALL}/1")).await?.status(), 404);
    let stats = bench.simulator.stats();
    assert_eq!((stats.creates, stats.deletes), (1, 1));
    assert_eq!(stats.by_provider.get(&Provider::SkuIo), Some(&6));
    Ok(())
}

#[tokio::test]
async fn secrets_are_seen_nowhere() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure_sku_io(|settings| settings.echoes_connection_settings = true);
    let created = bench.ask(Method::POST, ALL, &instance("acme", "abc123")).await?;
    assert_eq!(created.at("/data/connection_settings")?, json!([]));
    let bad = super::with(instance("acme", "abc123"), "/connection_settings/access_token", json!([STORE_TOKEN]))?;
    let refused = bench.ask(Method::POST, ALL, &bad).await?;
    let seen = [
        format!("{:?} {:?}", created.0, refused.0),
        format!("{:?}", bench.look(ALL).await?.0),
        format!("{:?}", bench.simulator.instances()),
        serde_json::to_string(&bench.simulator.instances())?,
        serde_json::to_string(&bench.simulator.journal())?,
        bench.simulator.with(|state| format!("{state:?}")),
    ];
    for text in seen {
        assert!(!text.contains(STORE_TOKEN) && !text.contains("test-sku-io-token"), "{text}");
    }
    Ok(())
}

#[rstest]
#[case(Method::PUT, ALL, 405)]
#[case(Method::DELETE, ALL, 405)]
#[case(Method::POST, "/api/big-commerce/1", 405)]
#[case(Method::GET, "/api/big-commerce/1/products/refresh", 405)]
#[case(Method::POST, "/api/me", 405)]
#[case(Method::GET, "/api/big-commerce/1/products", 404)]
#[case(Method::POST, "/api/big-commerce/1/products/refresh/", 404)]
#[case(Method::GET, "/api/big-commerce/", 404)]
#[case(Method::GET, "/api/integration-instances", 404)]
#[case(Method::GET, "/api", 404)]
#[case(Method::GET, "/api/big-commerce/abc", 404)]
#[case(Method::GET, "/api/big-commerce/99", 404)]
#[tokio::test]
async fn what_is_not_in_the_reference_is_not_there(
    #[case] method: Method,
    #[case] path: &str,
    #[case] status: u16,
) -> Result<()> {
    let bench = Bench::new()?;
    let answer = bench.ask(method, path, &json!({})).await?;
    assert_eq!(answer.status(), status);
    assert!(!answer.text("/message")?.is_empty());
    assert_eq!(answer.header("allow").is_some(), status == 405);
    Ok(())
}

#[tokio::test]
async fn the_providers_do_not_mix() -> Result<()> {
    let bench = Bench::new()?;
    bench.make("acme", "abc123").await?;
    bench.connect().await?;
    assert_eq!(bench.get(LIST).await?.ids()?.len(), 1);
    assert_eq!(bench.names("").await?, ["acme"]);
    let journal = bench.simulator.journal();
    let seen: Vec<_> = journal.iter().map(|entry| (entry.provider, entry.operation)).collect();
    let (rutter, sku_io) = (Provider::Rutter, Provider::SkuIo);
    assert_eq!(
        seen,
        [
            (sku_io, Operation::Create),
            (rutter, Operation::Create),
            (rutter, Operation::List),
            (sku_io, Operation::List)
        ]
    );
    assert_eq!((journal[0].instance_id, journal[0].connection_id), (Some(1), None));
    assert_eq!(journal[0].store.as_deref(), Some("abc123"));
    assert!(journal[1].instance_id.is_none() && journal[1].connection_id.is_some());
    assert_eq!(bench.simulator.stats().creates, 2);
    Ok(())
}

#[rstest]
#[case(Envelope::Data, "/data/id")]
#[case(Envelope::Status, "/data/id")]
#[case(Envelope::Bare, "/id")]
#[tokio::test]
async fn answers_come_in_three_envelopes(#[case] envelope: Envelope, #[case] pointer: &str) -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure_sku_io(|settings| settings.envelope = envelope);
    let answer = bench.ask(Method::POST, ALL, &instance("acme", "abc123")).await?;
    assert_eq!(answer.at(pointer)?, json!(1));
    assert_eq!(answer.at("/status").ok(), (envelope == Envelope::Status).then(|| json!("success")));
    assert_eq!(answer.at("/message").is_ok(), envelope != Envelope::Bare);
    let refresh = bench.ask(Method::POST, &format!("{ALL}/1/orders/refresh"), &Value::Null).await?;
    assert_eq!(refresh.status(), 200);
    assert_eq!(bench.look(ALL).await?.at("/data/0/id")?, json!(1), "lists have an envelope of their own");
    Ok(())
}

#[tokio::test]
async fn answers_can_be_odd() -> Result<()> {
    let bench = Bench::new()?;
    let period = "/integration_settings/batch_period_customer_returns";
    let body = super::with(instance("acme", "abc123"), period, json!("daily"))?;
    bench.simulator.configure_sku_io(|settings| {
        settings.old_statuses = true;
        settings.timestamps = false;
        settings.settings_in_lists = false;
        settings.booleans_as_numbers = true;
        settings.ids_as_strings = true;
        settings.unknown_fields = true;
        settings.unknown_values = true;
        settings.null_fields = vec!["start_date".to_owned()];
    });
    let created = bench.ask(Method::POST, ALL, &body).await?;
    assert_eq!(created.status(), 200);
    let data = created.at("/data")?;
    assert_eq!((&data["id"], &data["integration_id"]), (&json!(1), &json!("5")));
    assert_eq!((&data["archived"], &data["is_automatic_sync_enabled"]), (&json!(0), &json!(0)));
    assert!(data.get("created_at").is_none() && data.get("announced_tomorrow").is_some());
    let settings = &data["integration_settings"];
    assert_eq!((&settings["store_id"], &settings["auto_link_products"]), (&json!("1"), &json!(1)));
    assert_eq!((&settings["start_date"], &settings["sales_nominal_code_id"]), (&Value::Null, &Value::Null));
    assert_eq!(settings["batch_period_customer_returns"], "ANNOUNCED_TOMORROW");
    assert!(bench.look(ALL).await?.at("/data/0/integration_settings").is_err());
    let deleted = bench.ask(Method::DELETE, &format!("{ALL}/1"), &Value::Null).await?;
    assert_eq!((deleted.status().as_u16(), deleted.json().is_ok()), (200, true));
    Ok(())
}

#[tokio::test]
async fn a_tenant_is_held_to_its_rate() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure_sku_io(|settings| settings.requests_per_minute = Some(2));
    assert_eq!(me(&bench).await?.status(), 200);
    bench.advance(20);
    assert_eq!(me(&bench).await?.status(), 200);
    let refused = me(&bench).await?;
    assert_eq!((refused.status().as_u16(), refused.header("retry-after")), (429, Some("40")));
    bench.advance(40);
    assert_eq!(me(&bench).await?.status(), 200);
    Ok(())
}
