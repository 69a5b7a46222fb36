//! Having the data of a Rutter connection loaded again.

use anyhow::Result;
use bytes::Bytes;
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::rutter::{Deed, DisabledReason, Trouble};
use tradewind_simulator::{Effect, Fault, Operation, Provider};

use crate::support::{Answer, Bench, Connected, LIST, delete, request, with_header};

async fn backfill(bench: &Bench, connected: &Connected, body: &Value) -> Result<Answer> {
    post(bench, &format!("backfill?access_token={}", connected.token), &body.to_string()).await
}

async fn sync(bench: &Bench, connected: &Connected) -> Result<Answer> {
    post(bench, &format!("incremental_sync?access_token={}", connected.token), "").await
}

async fn post(bench: &Bench, path: &str, body: &str) -> Result<Answer> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Ok(bench.send(request(Method::POST, &format!("{LIST}/{path}"), body)?).await?)
}

async fn ready() -> Result<(Bench, Connected)> {
    let bench = Bench::new()?;
    let connected = bench.connect().await?;
    bench.advance(5);
    Ok((bench, connected))
}

fn order() -> Value {
    json!({"start_date": "2025-01-01", "entity": "order", "include_webhooks": false, "remarks": "test"})
}

#[tokio::test]
async fn refreshes_are_counted_by_what_they_load() -> Result<()> {
    let (bench, connected) = ready().await?;
    let product = json!({"start_date": "2021-01-05", "end_date": "2025-01-01", "entity": "product"});
    for body in [order(), product] {
        let answer = backfill(&bench, &connected, &body).await?;
        assert_eq!((answer.status().as_u16(), answer.json()?), (200, json!({"success": true})));
    }
    assert_eq!(sync(&bench, &connected).await?.json()?, json!({"success": true}));
    let empty_object = format!("incremental_sync?access_token={}", connected.token);
    assert_eq!(post(&bench, &empty_object, "{}").await?.status(), 200);

    let record = bench.simulator.connection(connected.id).expect("the connection");
    let expected = [("order".to_owned(), "2025-01-01".parse()?), ("product".to_owned(), "2021-01-05".parse()?)];
    assert_eq!((record.backfills.as_slice(), record.incremental_syncs), (expected.as_slice(), 2));
    let stats = bench.simulator.stats();
    assert_eq!(stats.by_operation.get(&Operation::Refresh), Some(&4));
    let counts = [("incremental_sync", 2), ("order", 1), ("product", 1)].map(|(name, n)| (name.to_owned(), n));
    assert_eq!(stats.refreshes.get(&Provider::Rutter), Some(&counts.into()));
    assert_eq!(bench.simulator.journal().last().and_then(|entry| entry.connection_id), Some(connected.id));
    Ok(())
}

#[rstest]
#[case::no_start_date(json!({"entity": "order"}), "MISSING_START_DATE")]
#[case::no_entity(json!({"start_date": "2025-01-01"}), "MISSING_ENTITY")]
#[case::unknown_entity(json!({"start_date": "2025-01-01", "entity": "orders"}), "INVALID_REQUEST")]
#[case::no_date(json!({"start_date": "yesterday", "entity": "order"}), "INVALID_REQUEST")]
#[case::no_such_day(json!({"start_date": "2025-02-30", "entity": "order"}), "INVALID_REQUEST")]
#[case::a_time(json!({"start_date": "2025-01-01T00:00:00Z", "entity": "order"}), "INVALID_REQUEST")]
#[case::number(json!({"start_date": 20_250_101, "entity": "order"}), "INVALID_REQUEST")]
#[case::too_long_ago(json!({"start_date": "2021-01-04", "entity": "order"}), "INVALID_REQUEST")]
#[case::future(json!({"start_date": "2026-01-06", "entity": "order"}), "INVALID_REQUEST")]
#[case::backwards(json!({"start_date": "2025-01-02", "end_date": "2025-01-01", "entity": "order"}), "INVALID_REQUEST")]
#[case::no_flag(json!({"start_date": "2025-01-01", "entity": "order", "include_webhooks": "no"}), "INVALID_REQUEST")]
#[case::unknown_field(json!({"start_date": "2025-01-01", "entity": "order", "force": true}), "INVALID_REQUEST")]
#[tokio::test]
async fn bad_backfills_are_refused(#[case] body: Value, #[case] code: &str) -> Result<()> {
    let (bench, connected) = ready().await?;
    let answer = backfill(&bench, &connected, &body).await?;
    assert_eq!((answer.status().as_u16(), answer.text("/error_code")?.as_str()), (400, code));
    assert_eq!(bench.simulator.connection(connected.id).map(|record| record.backfills.len()), Some(0));
    Ok(())
}

#[tokio::test]
async fn refreshes_want_a_token_a_version_and_no_surprises() -> Result<()> {
    let (bench, connected) = ready().await?;
    let path = format!("{LIST}/incremental_sync?access_token={}", connected.token);
    let plain = || request(Method::POST, &path, Bytes::new());
    assert_eq!(bench.send(with_header(plain()?, "x-rutter-version", None)?).await?.status(), 400);
    assert_eq!(bench.send(with_header(plain()?, "authorization", None)?).await?.status(), 401);
    assert_eq!(post(&bench, "incremental_sync", "").await?.text("/error_code")?, "MISSING_ACCESS_TOKEN");
    let unknown =
        post(&bench, "backfill?access_token=5b0f4a52-6d8e-4a39-9a36-0f3f5f0f1c11", &order().to_string()).await?;
    assert_eq!(unknown.text("/error_code")?, "INVALID_CREDENTIALS");
    let surprise =
        post(&bench, &format!("incremental_sync?access_token={}", connected.token), r#"{"days": 3}"#).await?;
    assert_eq!(surprise.status(), 400);
    let get = bench.get(&path).await?;
    assert_eq!((get.status().as_u16(), get.text("/error_code")?.as_str()), (404, "NOT_FOUND"));
    bench.send(delete(&connected.path())?).await?;
    assert_eq!(sync(&bench, &connected).await?.status(), 401);
    assert!(bench.simulator.stats().refreshes[&Provider::Rutter].is_empty());
    Ok(())
}

#[rstest]
#[case::needs_update(Trouble::NeedsUpdate, "NEEDS_UPDATE")]
#[case::disabled(Trouble::Disabled { reason: DisabledReason::ShopIsLocked }, "CONNECTION_DISABLED")]
#[tokio::test]
async fn troubled_connections_are_not_refreshed(#[case] trouble: Trouble, #[case] code: &str) -> Result<()> {
    let bench = Bench::new()?;
    let connected = bench.connect().await?;
    for answer in [sync(&bench, &connected).await?, backfill(&bench, &connected, &order()).await?] {
        assert_eq!((answer.status().as_u16(), answer.text("/error_code")?.as_str()), (400, "PRODUCT_NOT_READY"));
    }
    bench.advance(5);
    bench.simulator.act(&Deed::Upset { connection: connected.id, trouble })?;
    for answer in [sync(&bench, &connected).await?, backfill(&bench, &connected, &order()).await?] {
        assert_eq!((answer.status().as_u16(), answer.text("/error_code")?.as_str()), (400, code));
    }
    bench.simulator.act(&Deed::Mend { connection: connected.id })?;
    assert_eq!(sync(&bench, &connected).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_refresh_can_be_declined_or_its_answer_lost() -> Result<()> {
    let (bench, connected) = ready().await?;
    bench.simulator.configure(|settings| settings.declines_refreshes = true);
    let answer = sync(&bench, &connected).await?;
    assert_eq!((answer.status().as_u16(), answer.json()?), (200, json!({"success": false})));
    assert_eq!(bench.simulator.connection(connected.id).map(|record| record.incremental_syncs), Some(0));

    bench.simulator.configure(|settings| settings.declines_refreshes = false);
    let lost = Fault::on(Operation::Refresh, Effect::LostAnswer).connection(connected.id);
    bench.simulator.push_fault(lost);
    assert!(sync(&bench, &connected).await.is_err());
    assert_eq!(bench.simulator.connection(connected.id).map(|record| record.incremental_syncs), Some(1));
    Ok(())
}
