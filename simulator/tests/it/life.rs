//! How connections age, what others do to them, and the mercies that are off until switched on.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::rutter::{Deed, DisabledReason, ListStatus, NoSuch, Trouble};

use crate::support::{Bench, CREATE, Connected, LIST, STORE, create, credentials, delete, request, with_header};

const FILTERS: [&str; 6] = ["active", "unhealthy", "not_ready", "needs_reauth", "disabled", "any"];

/// The filters under which a list shows the connection; "" is the list without one.
async fn shown_under(bench: &Bench, connected: &Connected) -> Result<Vec<&'static str>> {
    let mut shown = Vec::new();
    for filter in FILTERS.into_iter().chain([""]) {
        let path = if filter.is_empty() { LIST.to_owned() } else { format!("{LIST}?status={filter}") };
        if bench.get(&path).await?.ids()?.contains(&connected.id.to_string()) {
            shown.push(filter);
        }
    }
    Ok(shown)
}

#[tokio::test]
async fn a_connection_becomes_ready_and_then_complete() -> Result<()> {
    let bench = Bench::new()?;
    let connected = bench.connect().await?;
    let seen = async || -> Result<(Value, Value, Value)> {
        let status = bench.get(&connected.status()).await?;
        let completed = status.at("/status/historical_sync_status/historical_sync_completed")?;
        Ok((status.at("/status/is_ready")?, completed, status.at("/status/last_sync_completed_at")?))
    };
    assert_eq!(seen().await?, (json!(false), json!(false), Value::Null));
    assert_eq!(shown_under(&bench, &connected).await?, ["not_ready", "any", ""]);
    bench.advance(5);
    assert_eq!(seen().await?, (json!(true), json!(false), json!("2026-01-05T10:00:05.000Z")));
    assert_eq!(shown_under(&bench, &connected).await?, ["active", "any", ""]);
    bench.advance(10);
    assert_eq!(seen().await?, (json!(true), json!(true), json!("2026-01-05T10:00:05.000Z")));
    Ok(())
}

#[tokio::test]
async fn the_objects_are_those_of_the_reference() -> Result<()> {
    let bench = Bench::new()?;
    let connected = bench.connect().await?;
    bench.advance(20);
    let link_url = format!("https://link.rutterapi.com/connection/{}", connected.id);
    assert_eq!(
        bench.get(&connected.detail()).await?.json()?,
        json!({"connection": {
            "id": connected.id, "store_unique_id": "abc123", "store_name": "Store abc123", "store_domain": STORE,
            "platform": "BIG_COMMERCE", "disabled": false, "needs_update": false, "link_url": link_url,
            "last_sync_started_at": "2026-01-05T10:00:05.000Z", "last_sync_completed_at": "2026-01-05T10:00:05.000Z",
            "estimated_completed_at": null, "oldest_order_date": "2025-12-06T10:00:00.000Z",
            "newest_order_date": "2026-01-05T10:00:20.000Z", "initial_orders_synced_count": 200,
            "created_at": "2026-01-05T10:00:00.000Z"}})
    );
    assert_eq!(
        bench.get(&connected.status()).await?.json()?,
        json!({
            "connection": {"id": connected.id, "orgId": "00000000-0000-4000-8000-00000000000a", "platform": "BIG_COMMERCE"},
            "status": {
                "is_ready": true, "last_sync_completed_at": "2026-01-05T10:00:05.000Z", "link_url": link_url,
                "platform": "BIG_COMMERCE", "needs_update_status": {"needs_update": false},
                "disabled_status": {"is_disabled": false, "disabled_reason": null},
                "historical_sync_status": {
                    "historical_sync_completed": true,
                    "total": {
                        "orders": {"oldest_entity_date": "2025-12-06T10:00:00.000Z",
                                   "newest_entity_date": "2026-01-05T10:00:20.000Z", "synced_count": 200, "ready": true},
                        "products": {"oldest_entity_date": null, "newest_entity_date": null, "synced_count": 66, "ready": true}},
                    "num_batches_completed": 1, "synced_orders_count": 200, "synced_transactions_count": null,
                    "synced_balance_sheets_count": null, "synced_cash_flows_count": null,
                    "synced_income_statements_count": null,
                    "batches": [{"batch_num": 1, "config": null, "progress_info": {"orders": {
                        "status": "COMPLETED", "oldest_batch_entity_date": null, "newest_batch_entity_date": null}}}]},
                "created_at": "2026-01-05T10:00:00.000Z"}})
    );
    assert_eq!(
        bench.get(LIST).await?.json()?,
        json!({"connections": [{
            "id": connected.id, "access_token": connected.token, "link_url": link_url, "platform": "BIG_COMMERCE",
            "created_at": "2026-01-05T10:00:00.000Z", "updated_at": "2026-01-05T10:00:05.000Z"}]})
    );
    Ok(())
}

#[tokio::test]
async fn data_moves_until_it_is_frozen() -> Result<()> {
    let bench = Bench::new()?;
    let connected = bench.connect().await?;
    bench.advance(20);
    let before = bench.get(LIST).await?.json()?;
    bench.advance(60);
    let moved = bench.get(LIST).await?.json()?;
    assert_ne!(before, moved);
    let detail = bench.get(&connected.detail()).await?.json()?;
    bench.simulator.freeze(true);
    bench.advance(600);
    assert_eq!(bench.get(LIST).await?.json()?, moved);
    assert_eq!(bench.get(&connected.detail()).await?.json()?, detail);
    bench.simulator.freeze(false);
    assert_ne!(bench.get(&connected.detail()).await?.json()?, detail);
    Ok(())
}

#[rstest]
#[case::unhealthy(Trouble::Unhealthy, &["unhealthy", "any", ""], false, Value::Null)]
#[case::needs_update(Trouble::NeedsUpdate, &["needs_reauth", "any"], true, Value::Null)]
#[case::disabled(Trouble::Disabled { reason: DisabledReason::FailedToAuthenticate }, &["disabled", "any"], false, json!("FAILED TO AUTHENTICATE"))]
#[case::locked(Trouble::Disabled { reason: DisabledReason::ShopIsLocked }, &["disabled", "any"], false, json!("SHOP_IS_LOCKED"))]
#[tokio::test]
async fn trouble_shows_in_lists_and_in_the_status(
    #[case] trouble: Trouble,
    #[case] shown: &[&str],
    #[case] needs_update: bool,
    #[case] reason: Value,
) -> Result<()> {
    let bench = Bench::new()?;
    let connected = bench.connect().await?;
    bench.advance(60);
    bench.simulator.act(&Deed::Upset { connection: connected.id, trouble })?;
    assert_eq!(shown_under(&bench, &connected).await?, shown);
    let status = bench.get(&connected.status()).await?;
    assert_eq!(status.at("/status/needs_update_status/needs_update")?, json!(needs_update));
    assert_eq!(status.at("/status/disabled_status/is_disabled")?, json!(!reason.is_null()));
    assert_eq!(status.at("/status/disabled_status/disabled_reason")?, reason);
    bench.simulator.act(&Deed::Mend { connection: connected.id })?;
    assert_eq!(shown_under(&bench, &connected).await?, ["active", "any", ""]);
    Ok(())
}

#[tokio::test]
async fn readiness_can_be_held_back_and_given() -> Result<()> {
    let bench = Bench::new()?;
    let connection = bench.connect().await?.id;
    assert!(!bench.simulator.act(&Deed::SetReady { connection, ready: false })?.is_ready);
    bench.advance(3600);
    assert_eq!(bench.simulator.connection(connection).map(|record| record.is_ready), Some(false));
    assert!(bench.simulator.act(&Deed::SetReady { connection, ready: true })?.is_ready);
    Ok(())
}

#[tokio::test]
async fn lists_lag_when_told_to() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure(|settings| settings.list_lag = Duration::from_secs(3));
    let connected = bench.connect().await?;
    assert!(bench.get(LIST).await?.ids()?.is_empty());
    assert_eq!(bench.get(&connected.detail()).await?.status(), 200);
    bench.advance(3);
    assert_eq!(bench.get(LIST).await?.ids()?.len(), 1);

    bench.simulator.configure(|settings| settings.deleted_rows_linger = true);
    bench.send(delete(&connected.path())?).await?;
    assert_eq!(bench.get(LIST).await?.ids()?.len(), 1);
    assert_eq!(bench.get(&connected.detail()).await?.status(), 401);
    bench.advance(3);
    assert!(bench.get(LIST).await?.ids()?.is_empty());
    Ok(())
}

#[rstest]
#[case::nothing("")]
#[case::empty_object("{}")]
#[tokio::test]
async fn without_a_body_the_merchant_decides(#[case] body: &str) -> Result<()> {
    let bench = Bench::new()?;
    let empty = || request(Method::POST, CREATE, Bytes::copy_from_slice(body.as_bytes()));
    let connected = Connected::from(&bench.send(empty()?).await?)?;
    bench.advance(3600);
    assert_eq!(shown_under(&bench, &connected).await?, ["not_ready", "any", ""]);
    let (platform, store_url) = ("BIG_COMMERCE".to_owned(), STORE.to_owned());
    bench.simulator.act(&Deed::FollowLink { connection: connected.id, platform, store_url })?;
    bench.advance(5);
    assert_eq!(shown_under(&bench, &connected).await?, ["active", "any", ""]);
    assert_eq!(bench.get(&connected.detail()).await?.text("/connection/store_domain")?, STORE);

    bench.simulator.configure(|settings| settings.link_flow = false);
    assert_eq!(bench.send(empty()?).await?.status(), 400);
    Ok(())
}

#[tokio::test]
async fn creates_are_not_deduplicated_unless_switched_on() -> Result<()> {
    let bench = Bench::new()?;
    let first = bench.connect().await?;
    assert_ne!(bench.connect().await?, first);
    let stats = bench.simulator.stats();
    assert_eq!((stats.creates, stats.duplicates.values().copied().collect()), (2, vec![2]));

    bench.simulator.configure(|settings| settings.deduplicates = true);
    let capitals = Connected::from(&bench.create(&credentials("https://STORE-abc123.mybigcommerce.com")).await?)?;
    assert_eq!(capitals, first);
    let other = Connected::from(&bench.create(&credentials("store-other.mybigcommerce.com")).await?)?;
    assert_ne!(other, first);
    Ok(())
}

#[tokio::test]
async fn idempotency_keys_count_for_nothing_unless_switched_on() -> Result<()> {
    let bench = Bench::new()?;
    let keyed = |body: &Value| with_header(create(body)?, "idempotency-key", Some("key-1"));
    let first = Connected::from(&bench.send(keyed(&credentials(STORE))?).await?)?;
    assert_ne!(Connected::from(&bench.send(keyed(&credentials(STORE))?).await?)?, first);

    bench.simulator.configure(|settings| settings.honours_idempotency_keys = true);
    assert_eq!(bench.send(keyed(&json!({"platform": "BIG_COMMERCE"}))?).await?.status(), 400);
    let first = Connected::from(&bench.send(keyed(&credentials(STORE))?).await?)?;
    assert_eq!(Connected::from(&bench.send(keyed(&credentials(STORE))?).await?)?, first);
    let mismatch = bench.send(keyed(&credentials("store-other.mybigcommerce.com"))?).await?;
    assert_eq!(mismatch.status(), 409);
    Ok(())
}

#[tokio::test]
async fn strangers_act_behind_the_clients_back() -> Result<()> {
    let bench = Bench::new()?;
    let connect = |client_id: Option<&str>, store_url: &str| Deed::Connect {
        client_id: client_id.map(ToOwned::to_owned),
        platform: "BIG_COMMERCE".to_owned(),
        store_url: store_url.to_owned(),
    };
    let record = bench.simulator.act(&connect(None, STORE))?;
    assert_eq!(record.status, ListStatus::NotReady);
    assert_eq!(bench.get(LIST).await?.ids()?, [record.id.to_string()]);
    assert_eq!(bench.simulator.stats().creates, 0);
    bench.simulator.act(&Deed::Delete { connection: record.id })?;
    assert!(bench.get(LIST).await?.ids()?.is_empty());

    assert_eq!(bench.simulator.act(&Deed::Delete { connection: record.id }), Err(NoSuch::Connection));
    assert_eq!(bench.simulator.act(&connect(Some("nobody"), STORE)), Err(NoSuch::Account));
    assert_eq!(bench.simulator.act(&connect(None, "shop.example.com")), Err(NoSuch::Store));
    Ok(())
}
