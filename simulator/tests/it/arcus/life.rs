//! How connectors age, how they come back, and what others do to them.

use std::time::Duration;

use anyhow::Result;
use http::Method;
use rstest::rstest;
use serde_json::{Map, Value, json};
use tradewind_simulator::Provider;
use tradewind_simulator::arcus::{Act, Connector, NoSuch, Origin};

use super::{ALL, SHIPPO, warehouse};
use crate::support::Bench;

const DAY: u64 = 24 * 3600;

fn deed(bench: &Bench, act: Act) -> Result<(), NoSuch> {
    bench.simulator.act_arcus(&act.on(Connector::Shippo)).map(|_| ())
}

fn make(value: Value) -> Result<Act> {
    Ok(Act::Make { fields: serde_json::from_value(value)? })
}

#[rstest]
#[case::at_once(0, true)]
#[case::on_the_last_day(7 * DAY - 1, true)]
#[case::too_late(7 * DAY, false)]
#[tokio::test]
async fn credentials_come_back_within_seven_days(#[case] after: u64, #[case] restored: bool) -> Result<()> {
    let bench = Bench::arcus()?;
    let id = bench.post(SHIPPO, warehouse()).await?.text("/id")?;
    deed(&bench, Act::EnterCredentials)?;
    bench.remove(SHIPPO).await?;
    assert_eq!(bench.see(SHIPPO).await?.at("/data/has_credentials_secret_arn")?, json!(true), "the blob is kept");
    bench.advance(after);
    assert_eq!(bench.see(SHIPPO).await?.at("/data/has_credentials_secret_arn")?, json!(restored));
    let again = bench.post(SHIPPO, json!({"display_name": "Clean start"})).await?;
    assert_eq!((again.status().as_u16(), again.text("/id")?), (201, id));
    assert_eq!(again.at("/has_credentials_secret_arn")?, json!(restored));
    assert_eq!(again.text("/created_at")?, "2026-01-05T10:00:00Z");
    assert_eq!(again.text("/ship_from_city")?, "Reno", "the row is the old one");
    let tally = bench.simulator.connectors()[0].tally;
    assert_eq!((tally.creates, tally.restores, tally.overwrites), (2, usize::from(restored), 0));
    assert_eq!(bench.simulator.stats().creates_by_provider[&Provider::Arcus], 2);
    Ok(())
}

#[tokio::test]
async fn a_create_after_a_delete_may_make_a_new_row() -> Result<()> {
    let bench = Bench::arcus_with(|settings| settings.revives_rows = false)?;
    let id = bench.post(SHIPPO, warehouse()).await?.text("/id")?;
    deed(&bench, Act::EnterCredentials)?;
    bench.remove(SHIPPO).await?;
    bench.advance(60);
    let again = bench.post(SHIPPO, Value::Null).await?;
    assert_ne!(again.text("/id")?, id);
    assert_eq!((again.at("/ship_from_city")?, again.at("/has_credentials_secret_arn")?), (Value::Null, json!(true)));
    assert_eq!(again.text("/created_at")?, "2026-01-05T10:01:00Z");
    assert_eq!(bench.see(ALL).await?.at("/data")?.as_array().map(Vec::len), Some(1));
    assert_eq!(bench.simulator.connectors().len(), 2);
    Ok(())
}

#[tokio::test]
async fn credentials_are_entered_and_removed_by_people() -> Result<()> {
    let bench = Bench::arcus_with(|settings| settings.active_without_credentials = false)?;
    let made = bench.post(SHIPPO, warehouse()).await?;
    assert_eq!((made.at("/is_active")?, made.at("/has_credentials_secret_arn")?), (json!(false), json!(false)));
    deed(&bench, Act::EnterCredentials)?;
    let shown = bench.see(SHIPPO).await?;
    assert_eq!(
        (shown.at("/data/is_active")?, shown.at("/data/has_credentials_secret_arn")?),
        (json!(true), json!(true))
    );
    bench.simulator.configure_arcus(|settings| settings.masked_credentials = true);
    assert_eq!(bench.see(SHIPPO).await?.at("/data/credentials_masked")?, json!(["api_key"]));
    deed(&bench, Act::RemoveCredentials)?;
    let shown = bench.see(SHIPPO).await?;
    assert_eq!(shown.at("/data/has_credentials_secret_arn")?, json!(false));
    assert_eq!(shown.at("/data/credentials_masked")?, json!([]));
    Ok(())
}

#[tokio::test]
async fn synchronization_moves_and_can_be_held() -> Result<()> {
    let bench = Bench::arcus()?;
    bench.post(SHIPPO, warehouse()).await?;
    bench.advance(600);
    assert_eq!(bench.see(SHIPPO).await?.at("/data/last_sync_at")?, Value::Null, "not without credentials");
    deed(&bench, Act::EnterCredentials)?;
    let mut words = Vec::new();
    for minute in 10..14 {
        let shown = bench.see(SHIPPO).await?;
        let at = format!("2026-01-05T10:{minute}:00Z");
        assert_eq!((shown.text("/data/last_sync_at")?, shown.text("/data/updated_at")?), (at.clone(), at));
        words.push(shown.text("/data/sync_status")?);
        bench.advance(60);
    }
    words.dedup();
    assert_eq!(words.len(), 4, "{words:?}");

    bench.simulator.freeze(true);
    let held = bench.see(SHIPPO).await?.json()?;
    bench.advance(600);
    assert_eq!(bench.see(SHIPPO).await?.json()?, held);
    bench.simulator.freeze(false);
    assert_ne!(bench.see(SHIPPO).await?.json()?, held);

    bench.call(Method::PATCH, SHIPPO, json!({"is_active": false})).await?;
    let stopped = bench.see(SHIPPO).await?.text("/data/last_sync_at")?;
    bench.advance(600);
    assert_eq!(bench.see(SHIPPO).await?.text("/data/last_sync_at")?, stopped);
    bench.simulator.configure_arcus(|settings| settings.syncs_touch_rows = false);
    deed(&bench, Act::SetActive { active: true })?;
    let touched = bench.see(SHIPPO).await?.text("/data/updated_at")?;
    bench.advance(600);
    let shown = bench.see(SHIPPO).await?;
    assert_eq!(shown.text("/data/updated_at")?, touched);
    assert_ne!(shown.text("/data/last_sync_at")?, touched);
    Ok(())
}

#[tokio::test]
async fn synchronization_may_fail() -> Result<()> {
    let bench = Bench::arcus()?;
    bench.post(SHIPPO, warehouse()).await?;
    deed(&bench, Act::EnterCredentials)?;
    bench.advance(60);
    deed(&bench, Act::SetSyncError { error: Some("Authorization expired".to_owned()) })?;
    bench.advance(600);
    let shown = bench.see(SHIPPO).await?;
    assert_eq!(shown.text("/data/sync_error")?, "Authorization expired");
    assert_eq!(shown.text("/data/last_sync_at")?, "2026-01-05T10:01:00Z");
    assert_eq!(shown.at("/data/is_active")?, json!(true));
    deed(&bench, Act::SetSyncError { error: None })?;
    let shown = bench.see(SHIPPO).await?;
    assert_eq!(shown.at("/data/sync_error")?, Value::Null);
    assert_eq!(shown.text("/data/last_sync_at")?, "2026-01-05T10:11:00Z");
    Ok(())
}

#[tokio::test]
async fn others_make_change_and_delete() -> Result<()> {
    let bench = Bench::arcus()?;
    assert_eq!(deed(&bench, Act::EnterCredentials), Err(NoSuch::Connector));
    assert_eq!(deed(&bench, make(json!({"seller_id": "x"}))?), Err(NoSuch::Fields));
    deed(&bench, make(json!({"display_name": "Theirs"}))?)?;
    assert_eq!(bench.see(SHIPPO).await?.text("/data/display_name")?, "Theirs");
    deed(&bench, Act::Change { fields: Map::from_iter([("config".to_owned(), json!({"a": 1}))]) })?;
    let record = bench.simulator.connector(Connector::Shippo).expect("it");
    assert_eq!((record.origin, record.config.len(), record.tally.creates), (Origin::Stranger, 1, 0));
    assert!(bench.simulator.stats().overwrites.is_empty());
    bench.post(SHIPPO, json!({"display_name": "Mine"})).await?;
    assert_eq!(bench.simulator.stats().overwrites.values().sum::<usize>(), 1, "it took somebody's connector");
    deed(&bench, Act::Delete)?;
    assert_eq!(deed(&bench, Act::Delete), Err(NoSuch::Connector));
    assert_eq!(bench.see(SHIPPO).await?.at("/data/is_active")?, json!(false));
    let nobody =
        tradewind_simulator::arcus::Deed { entity_id: Some(uuid::Uuid::nil()), ..Act::Delete.on(Connector::Shippo) };
    assert_eq!(bench.simulator.act_arcus(&nobody), Err(NoSuch::Entity));
    assert_eq!(bench.simulator.change_key("nobody's", |_| {}), Err(NoSuch::Key));
    Ok(())
}

#[tokio::test]
async fn a_shorter_memory_can_be_set() -> Result<()> {
    let bench = Bench::arcus_with(|settings| settings.recovery = Duration::from_secs(5))?;
    bench.post(SHIPPO, warehouse()).await?;
    deed(&bench, Act::EnterCredentials)?;
    bench.remove(SHIPPO).await?;
    bench.advance(5);
    assert_eq!(bench.post(SHIPPO, Value::Null).await?.at("/has_credentials_secret_arn")?, json!(false));
    Ok(())
}
