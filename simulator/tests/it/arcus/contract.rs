//! What Arcus accepts, and what it says to everything else.

use anyhow::{Context, Result};
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::arcus::{Account, Connector, Mode, Rate, Settings};
use tradewind_simulator::{ManualClock, Operation, Provider, Setup, Simulator};

use super::{ALL, ENTITY, KEY, SHIPPO, asking, complaint, error, warehouse};
use crate::support::{Bench, with_header};

#[rstest]
#[case::none(None, 401, "missing_api_key")]
#[case::another_scheme(Some("Basic dGVzdA=="), 401, "missing_api_key")]
#[case::nothing_after_it(Some("Bearer "), 401, "missing_api_key")]
#[case::another_key(Some("Bearer ark_test_ent_simulator_other"), 401, "invalid_api_key")]
#[tokio::test]
async fn a_key_must_be_there_and_right(
    #[case] header: Option<&str>,
    #[case] status: u16,
    #[case] code: &str,
) -> Result<()> {
    let bench = Bench::arcus()?;
    let request = with_header(asking(Method::POST, SHIPPO, &warehouse())?, "authorization", header)?;
    let answer = bench.send(request).await?;
    assert_eq!(error(&answer)?, (status, code.to_owned(), "permission_error".to_owned(), None));
    assert!(bench.simulator.connectors().is_empty());
    Ok(())
}

#[rstest]
#[case::revoked(|account: &mut Account| account.revoked = true, 401, "invalid_api_key")]
#[case::malformed(|account: &mut Account| account.key = "ark_test_simulator".to_owned(), 401, "invalid_api_key")]
#[case::expired(|account: &mut Account| account.expires_at = "2026-01-05T10:00:00Z".parse().ok(), 401, "expired_api_key")]
#[case::address(|account: &mut Account| account.address_refused = true, 403, "ip_not_allowlisted")]
#[case::scope(|account: &mut Account| account.scopes.clear(), 403, "insufficient_scope")]
#[tokio::test]
async fn a_key_must_be_good_for_it(
    #[case] change: fn(&mut Account),
    #[case] status: u16,
    #[case] code: &str,
) -> Result<()> {
    let bench = Bench::arcus()?;
    bench.simulator.change_key("test", change)?;
    let answer = bench.see(ALL).await?;
    assert_eq!(error(&answer)?, (status, code.to_owned(), "permission_error".to_owned(), None));
    Ok(())
}

#[tokio::test]
async fn reading_and_writing_are_two_scopes() -> Result<()> {
    let bench = Bench::arcus()?;
    bench.simulator.change_key("test", |account| account.scopes.retain(|scope| scope == "integrations:read"))?;
    assert_eq!(bench.see(ALL).await?.status(), 200);
    for method in [Method::POST, Method::PATCH, Method::DELETE] {
        let answer = bench.call(method, SHIPPO, Value::Null).await?;
        assert_eq!(answer.status(), 403);
        assert_eq!(answer.text("/required")?, "integrations:write");
    }
    Ok(())
}

#[tokio::test]
async fn keys_of_one_entity_see_the_same() -> Result<()> {
    let key = |name: &str, mode: &str, entity: u128| Account {
        name: name.to_owned(),
        key: format!("ark_{mode}_ent_simulator_{name}"),
        entity_id: uuid::Uuid::from_u128(entity),
        ..Account::default()
    };
    let arcus_accounts = vec![key("a", "test", 1), key("b", "live", 1), key("c", "live", 2)];
    assert_eq!(arcus_accounts[1].mode(), Some(Mode::Live));
    let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse()?);
    let simulator = Simulator::new(clock.clock(), Setup { arcus_accounts, ..Setup::default() });
    let bench = Bench { clock, simulator };
    let by = |name: &str, mode: &str, method: Method| {
        let key = format!("Bearer ark_{mode}_ent_simulator_{name}");
        with_header(asking(method, SHIPPO, &Value::Null)?, "authorization", Some(&key))
    };
    let made = bench.send(by("b", "live", Method::POST)?).await?;
    assert_eq!((made.status().as_u16(), made.text("/mode")?), (201, "live".to_owned()), "that of the key");
    assert_eq!(bench.send(by("a", "test", Method::GET)?).await?.text("/data/id")?, made.text("/id")?);
    assert_eq!(bench.send(by("c", "live", Method::GET)?).await?.status(), 404);
    assert_eq!(made.header("x-ratelimit-limit"), Some("300"));
    Ok(())
}

#[rstest]
#[case::none(None, 200)]
#[case::the_only_one(Some("2026-05-01"), 200)]
#[case::another(Some("2026-05-02"), 400)]
#[case::nonsense(Some("latest"), 400)]
#[tokio::test]
async fn the_version_may_be_left_out(#[case] version: Option<&str>, #[case] status: u16) -> Result<()> {
    let bench = Bench::arcus()?;
    let answer = bench.send(with_header(asking(Method::GET, ALL, &Value::Null)?, "arcus-version", version)?).await?;
    assert_eq!(answer.status(), status);
    if status == 400 {
        assert_eq!(error(&answer)?.3.as_deref(), Some("Arcus-Version"));
    }
    Ok(())
}

#[rstest]
#[case::no_such_path(Method::GET, "/v1/orders", 404, "not_found")]
#[case::of_an_entity(Method::GET, "/v1/entities/e1/integrations", 404, "not_found")]
#[case::too_deep(Method::GET, "/v1/integrations/shippo/sync", 404, "not_found")]
#[case::verb(Method::PUT, SHIPPO, 404, "not_found")]
#[case::verb_of_the_list(Method::POST, ALL, 404, "not_found")]
#[case::no_such_connector(Method::GET, "/v1/integrations/bigcommerce", 422, "validation_error")]
#[case::capitals(Method::POST, "/v1/integrations/Shippo", 422, "validation_error")]
#[case::never_made(Method::GET, SHIPPO, 404, "not_found")]
#[case::never_made_to_change(Method::PATCH, SHIPPO, 404, "not_found")]
#[case::never_made_to_delete(Method::DELETE, SHIPPO, 404, "not_found")]
#[case::query(Method::GET, "/v1/integrations/shippo?expand=all", 400, "validation_error")]
#[tokio::test]
async fn what_is_not_there_is_refused(
    #[case] method: Method,
    #[case] path: &str,
    #[case] status: u16,
    #[case] code: &str,
) -> Result<()> {
    let bench = Bench::arcus()?;
    let answer = bench.call(method, path, Value::Null).await?;
    let (told, named, _, _) = error(&answer)?;
    assert_eq!((told, named.as_str()), (status, code));
    assert_eq!(bench.simulator.stats().by_provider.get(&Provider::Arcus), Some(&1));
    Ok(())
}

#[tokio::test]
async fn every_connector_can_be_configured() -> Result<()> {
    let bench = Bench::arcus()?;
    for connector in Connector::ALL {
        let path = format!("{ALL}/{}", connector.name());
        let body = if connector.wants_consent() { json!({"shop": "acme.myshopify.com"}) } else { Value::Null };
        let answer = bench.post(&path, body).await?;
        assert_eq!(answer.status(), if connector.wants_consent() { 200 } else { 201 }, "{path}");
        assert_eq!(serde_json::to_value(connector)?, json!(connector.name()));
    }
    assert_eq!(bench.simulator.connectors().len(), 15);
    assert_eq!(bench.simulator.stats().creates_by_provider[&Provider::Arcus], 15);
    Ok(())
}

#[tokio::test]
async fn a_row_has_every_documented_field() -> Result<()> {
    let bench = Bench::arcus()?;
    let made = bench.post(SHIPPO, warehouse()).await?;
    let id = made.text("/id")?;
    let row = json!({
        "id": id, "entity_id": ENTITY, "connector_type": "shippo", "display_name": "Warehouse labels",
        "mode": "sandbox", "is_active": true, "config": {"label_format": "PDF"}, "has_webhook_secret": false,
        "has_credentials_secret_arn": false, "last_sync_at": null, "sync_status": null, "sync_error": null,
        "ship_from_name": "Acme DC", "ship_from_address1": "1 Dock Rd", "ship_from_city": "Reno",
        "ship_from_state": "NV", "ship_from_zip": "89501", "seller_id": null, "bank_account_id": null,
        "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:00:00Z",
    });
    assert_eq!((made.status().as_u16(), made.json()?), (201, row.clone()), "bare");
    assert_eq!(bench.see(SHIPPO).await?.json()?, json!({"data": row}));

    let entry = bench.simulator.journal()[0].clone();
    assert_eq!((entry.provider, entry.operation), (Provider::Arcus, Operation::Create));
    assert_eq!((entry.connection_id, entry.connector), (id.parse().ok(), Some(Connector::Shippo)));
    assert!(entry.body_fields.contains(&"config.label_format".to_owned()));
    assert!(!serde_json::to_string(&bench.simulator.journal())?.contains("not-a-secret"));
    Ok(())
}

#[rstest]
#[case::credentials(json!({"credentials": {}}), "credentials")]
#[case::secret(json!({"secret": "x"}), "secret")]
#[case::api_key(json!({"api_key": "x"}), "api_key")]
#[case::access_token(json!({"access_token": null}), "access_token")]
#[case::refresh_token(json!({"refresh_token": "x"}), "refresh_token")]
#[case::webhook_secret(json!({"webhook_secret": "x"}), "webhook_secret")]
#[case::arn(json!({"credentials_secret_arn": "x"}), "credentials_secret_arn")]
#[case::entity(json!({"entity_id": ENTITY}), "entity_id")]
#[case::in_config(json!({"config": {"api_key": "x"}}), "config.api_key")]
#[case::deep_in_config(json!({"config": {"a": [{"b": {"secret": "x"}}]}}), "config.a.0.b.secret")]
#[tokio::test]
async fn credentials_are_banned(#[case] body: Value, #[case] param: &str) -> Result<()> {
    let bench = Bench::arcus()?;
    assert_eq!(complaint(&bench.post(SHIPPO, body.clone()).await?)?, param);
    assert!(bench.simulator.connectors().is_empty());
    bench.post(SHIPPO, warehouse()).await?;
    assert_eq!(complaint(&bench.call(Method::PATCH, SHIPPO, body.clone()).await?)?, param);
    bench.simulator.configure_arcus(|settings| settings.bans_in_config = false);
    let status = bench.call(Method::PATCH, SHIPPO, body).await?.status();
    assert_eq!(status, if param.starts_with("config") { 200 } else { 422 });
    Ok(())
}

#[rstest]
#[case::mode("shippo", json!({"mode": "test"}), "mode")]
#[case::mode_is_no_text("shippo", json!({"mode": 1}), "mode")]
#[case::name("shippo", json!({"display_name": ["a"]}), "display_name")]
#[case::blank_name("shippo", json!({"display_name": " "}), "display_name")]
#[case::config("shippo", json!({"config": []}), "config")]
#[case::zip_is_a_number("ups", json!({"ship_from_zip": 89501}), "ship_from_zip")]
#[case::null("ups", json!({"ship_from_zip": null}), "ship_from_zip")]
#[case::active("shippo", json!({"is_active": true}), "is_active")]
#[case::unknown("shippo", json!({"displayName": "x"}), "displayName")]
#[case::address_of_stripe("stripe", json!({"ship_from_city": "Reno"}), "ship_from_city")]
#[case::address_of_amazon("amazon", json!({"ship_from_city": "Reno"}), "ship_from_city")]
#[case::seller_of_a_carrier("fedex", json!({"seller_id": "S1"}), "seller_id")]
#[case::bank_of_stripe("stripe", json!({"bank_account_id": ENTITY}), "bank_account_id")]
#[case::bank_is_no_uuid("plaid", json!({"bank_account_id": "12"}), "bank_account_id")]
#[case::shop_of_another("ebay", json!({"shop": "acme.myshopify.com"}), "shop")]
#[case::no_shop("shopify", json!({"mode": "live"}), "shop")]
#[case::storefront("shopify", json!({"shop": "shop.example.com"}), "shop")]
#[case::with_a_scheme("shopify", json!({"shop": "https://acme.myshopify.com"}), "shop")]
#[case::only_the_suffix("shopify", json!({"shop": ".myshopify.com"}), "shop")]
#[case::another_suffix("shopify", json!({"shop": "acme.myshopify.com.example.com"}), "shop")]
#[tokio::test]
async fn a_create_must_say_what_it_may(#[case] name: &str, #[case] body: Value, #[case] param: &str) -> Result<()> {
    let bench = Bench::arcus()?;
    assert_eq!(complaint(&bench.post(&format!("{ALL}/{name}"), body).await?)?, param);
    assert!(bench.simulator.connectors().is_empty() && bench.simulator.arcus_links().is_empty());
    Ok(())
}

#[rstest]
#[case::seller("amazon", "seller_id", "A1B2")]
#[case::other_seller("ebay", "seller_id", "A1B2")]
#[case::bank("plaid", "bank_account_id", ENTITY)]
#[case::address("wwex", "ship_from_state", "NV")]
#[tokio::test]
async fn a_field_belongs_to_its_connectors(#[case] name: &str, #[case] field: &str, #[case] value: &str) -> Result<()> {
    let bench = Bench::arcus()?;
    let answer = bench.post(&format!("{ALL}/{name}"), json!({field: value})).await?;
    assert_eq!(answer.text(&format!("/{field}"))?, value);
    Ok(())
}

#[rstest]
#[case::type_of_content("text/plain", "{}")]
#[case::no_json("application/json", "{")]
#[case::no_object("application/json", "[]")]
#[tokio::test]
async fn a_body_must_be_an_object(#[case] content_type: &str, #[case] body: &str) -> Result<()> {
    let bench = Bench::arcus()?;
    let mut request = asking(Method::POST, SHIPPO, &Value::Null)?;
    *request.body_mut() = body.as_bytes().to_vec().into();
    let answer = bench.send(with_header(request, "content-type", Some(content_type))?).await?;
    assert_eq!(error(&answer)?.0, 400);
    Ok(())
}

/// 60 a minute and 10 a second, in any minute and any second.
#[tokio::test]
async fn a_test_key_is_used_so_often_and_no_oftener() -> Result<()> {
    let bench = Bench::new()?;
    let number = |value: Option<&str>| -> Result<i64> { Ok(value.context("the header")?.parse()?) };
    let start = bench.clock.now().as_second();
    for second in 0..6 {
        for call in 0..10 {
            let answer = bench.see(ALL).await?;
            assert_eq!(answer.status(), 200);
            assert_eq!(number(answer.header("x-ratelimit-limit"))?, 60);
            assert_eq!(number(answer.header("x-ratelimit-remaining"))?, 59 - second * 10 - call);
            assert_eq!(number(answer.header("x-ratelimit-reset"))?, start + 60);
        }
        let answer = bench.see(ALL).await?;
        assert_eq!(error(&answer)?, (429, "rate_limit_exceeded".to_owned(), "rate_limit".to_owned(), None));
        let wait = if second == 5 { "55" } else { "1" };
        assert_eq!(answer.header("retry-after"), Some(wait));
        bench.advance(1);
    }
    assert_eq!(bench.see(ALL).await?.header("retry-after"), Some("54"));
    bench.advance(54);
    assert_eq!(bench.see(ALL).await?.status(), 200, "the refused ones did not count");
    let nobody = with_header(asking(Method::GET, ALL, &Value::Null)?, "authorization", None)?;
    assert_eq!(bench.send(nobody).await?.header("x-ratelimit-limit"), None, "whose would it be?");
    bench.simulator.change_key("test", |key| key.rate = Some(Rate { per_minute: 1200, per_second: 100 }))?;
    assert_eq!(bench.see(ALL).await?.header("x-ratelimit-limit"), Some("1200"));
    bench.simulator.configure_arcus(|settings| settings.test_rate = None);
    bench.simulator.change_key("test", |key| key.rate = None)?;
    assert_eq!(bench.see(ALL).await?.header("x-ratelimit-limit"), None);
    Ok(())
}

#[test]
fn settings_travel_as_json() -> Result<()> {
    let settings: Settings = serde_json::from_value(json!({"link_lifetime": "30s", "live_rate": null}))?;
    assert_eq!(settings.link_lifetime.as_secs(), 30);
    assert_eq!((settings.live_rate, settings.test_rate), (None, Settings::default().test_rate));
    assert_eq!(serde_json::from_value::<Settings>(serde_json::to_value(&settings)?)?, settings);
    assert!(!format!("{:?}", Account::default()).contains(KEY));
    Ok(())
}
