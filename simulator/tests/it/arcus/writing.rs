//! Making, changing and deleting connectors, and doing so twice.

use anyhow::Result;
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::Provider;
use tradewind_simulator::arcus::{Act, Connector, Existing, Settings, Tally, Wrapping};

use super::{ALL, SHIPPO, asking, complaint, error, under, warehouse};
use crate::support::{Answer, Bench};

async fn keyed(bench: &Bench, method: Method, path: &str, body: Value, key: &str) -> Result<Answer> {
    Ok(bench.send(under(asking(method, path, &body)?, key)?).await?)
}

fn tally(bench: &Bench) -> Tally {
    bench.simulator.connector(Connector::Shippo).map(|record| record.tally).unwrap_or_default()
}

#[tokio::test]
async fn a_second_create_changes_what_it_names() -> Result<()> {
    let bench = Bench::arcus()?;
    let first = bench.post(SHIPPO, warehouse()).await?;
    bench.advance(9);
    let second = bench.post(SHIPPO, json!({"display_name": "Other"})).await?;
    assert_eq!((second.status().as_u16(), second.text("/id")?), (200, first.text("/id")?));
    assert_eq!((second.text("/display_name")?.as_str(), second.text("/ship_from_city")?.as_str()), ("Other", "Reno"));
    assert_eq!(second.text("/updated_at")?, "2026-01-05T10:00:09Z");
    let record = bench.simulator.connector(Connector::Shippo).expect("it");
    assert_eq!(
        (record.changes[0].method.as_str(), record.changes[0].changed.as_slice()),
        ("POST", &["display_name".to_owned()][..])
    );
    let stats = bench.simulator.stats();
    assert_eq!((stats.creates, stats.duplicates.len(), stats.overwrites.values().sum::<usize>()), (1, 0, 1));
    Ok(())
}

#[rstest]
#[case::replaced(Existing::Replaced, 200)]
#[case::refused(Existing::Refused, 409)]
#[tokio::test]
async fn a_second_create_may_do_something_else(#[case] existing: Existing, #[case] status: u16) -> Result<()> {
    let bench = Bench::arcus_with(|settings| settings.existing = existing)?;
    bench.post(SHIPPO, warehouse()).await?;
    let second = bench.post(SHIPPO, json!({"display_name": "Other"})).await?;
    assert_eq!(second.status(), status);
    if status == 409 {
        assert_eq!(error(&second)?.1, "duplicate_record");
        bench.simulator.act_arcus(&Act::SetActive { active: false }.on(Connector::Shippo))?;
        assert_eq!(bench.post(SHIPPO, Value::Null).await?.at("/is_active")?, json!(true), "an inactive one is free");
    } else {
        assert_eq!((second.at("/ship_from_city")?, second.at("/config")?), (Value::Null, json!({})));
    }
    Ok(())
}

#[tokio::test]
async fn a_change_changes_what_it_names() -> Result<()> {
    let bench = Bench::arcus()?;
    bench.post(SHIPPO, warehouse()).await?;
    bench.advance(9);
    let body = json!({"is_active": false, "mode": "live", "config": {"size": "A6"}, "ship_from_city": "Sparks"});
    let changed = bench.call(Method::PATCH, SHIPPO, body).await?;
    assert_eq!(changed.status(), 200);
    assert_eq!(changed.at("/data/is_active")?, json!(false));
    assert_eq!(changed.at("/data/config")?, json!({"size": "A6"}));
    assert_eq!(changed.text("/data/updated_at")?, "2026-01-05T10:00:09Z");
    let record = bench.simulator.connector(Connector::Shippo).expect("it");
    assert_eq!(record.changes[0].changed, ["mode", "is_active", "config", "ship_from_city"]);
    assert_eq!(record.changes[0].sent.len(), 4);
    assert_eq!(
        complaint(&bench.call(Method::PATCH, "/v1/integrations/shippo", json!({"shop": "a.myshopify.com"})).await?)?,
        "shop"
    );

    bench.simulator.configure_arcus(|settings| {
        settings.merges_config = true;
        settings.null_clears = true;
    });
    let body = json!({"is_active": true, "config": {"dpi": 300}, "ship_from_city": null});
    let changed = bench.call(Method::PATCH, SHIPPO, body).await?;
    assert_eq!(changed.at("/data/config")?, json!({"size": "A6", "dpi": 300}));
    assert_eq!((changed.at("/data/ship_from_city")?, changed.at("/data/is_active")?), (Value::Null, json!(true)));
    Ok(())
}

#[rstest]
#[case::by_default(|_: &mut Settings| {}, 200, 404, 200)]
#[case::without_body(|s: &mut Settings| s.delete_without_body = true, 204, 404, 200)]
#[case::repeated(|s: &mut Settings| s.repeated_deletes_succeed = true, 200, 200, 200)]
#[case::hidden(|s: &mut Settings| s.deleted_rows_shown = false, 200, 404, 404)]
#[tokio::test]
async fn a_delete_is_soft(
    #[case] change: fn(&mut Settings),
    #[case] deleted: u16,
    #[case] again: u16,
    #[case] read: u16,
) -> Result<()> {
    let bench = Bench::arcus_with(change)?;
    let never = bench.remove("/v1/integrations/ups").await?;
    assert_eq!(never.status(), again);
    if again == 200 {
        assert_eq!(never.json()?, json!({"data": {"connector_type": "ups", "is_active": false}}));
    }
    let id = bench.post(SHIPPO, warehouse()).await?.text("/id")?;
    let answer = bench.remove(SHIPPO).await?;
    assert_eq!(answer.status(), deleted);
    if deleted == 200 {
        assert_eq!((answer.text("/data/id")?, answer.at("/data/is_active")?), (id, json!(false)));
    } else {
        assert!(answer.0.body().is_empty());
    }
    assert_eq!(bench.remove(SHIPPO).await?.status(), again);
    let shown = bench.see(SHIPPO).await?;
    assert_eq!(shown.status(), read);
    if read == 200 {
        assert_eq!(shown.at("/data/is_active")?, json!(false));
    }
    let patch = bench.call(Method::PATCH, SHIPPO, json!({"is_active": true})).await?;
    assert_eq!(patch.status(), 404, "a change does not bring it back");
    assert_eq!(bench.simulator.stats().deletes_by_provider[&Provider::Arcus], 1);
    Ok(())
}

#[tokio::test]
async fn what_others_refer_to_stays() -> Result<()> {
    let bench = Bench::arcus()?;
    bench.post(SHIPPO, warehouse()).await?;
    let references = |references: &[&str]| {
        let references = references.iter().map(|name| (*name).to_owned()).collect();
        bench.simulator.act_arcus(&Act::SetInUse { references }.on(Connector::Shippo))
    };
    references(&["order 17"])?;
    let answer = bench.remove(SHIPPO).await?;
    assert_eq!(error(&answer)?, (409, "resource_in_use".to_owned(), "conflict".to_owned(), None));
    assert_eq!(answer.at("/references")?, json!(["order 17"]));
    references(&[])?;
    assert_eq!(bench.remove(SHIPPO).await?.status(), 200);
    Ok(())
}

#[rstest]
#[case::documented(Wrapping::Documented, "", "/data", true)]
#[case::always(Wrapping::Always, "/data", "/data", true)]
#[case::never(Wrapping::Never, "", "", false)]
#[tokio::test]
async fn rows_are_wrapped_or_bare(
    #[case] wrapping: Wrapping,
    #[case] made: &str,
    #[case] others: &str,
    #[case] list: bool,
) -> Result<()> {
    let bench = Bench::arcus_with(|settings| {
        settings.wrapping = wrapping;
        settings.created = false;
    })?;
    let answer = bench.post(SHIPPO, warehouse()).await?;
    assert_eq!((answer.status().as_u16(), answer.text(&format!("{made}/connector_type"))?.as_str()), (200, "shippo"));
    assert_eq!(bench.see(ALL).await?.at(if list { "/data/0/mode" } else { "/0/mode" })?, json!("sandbox"));
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let answer = bench.call(method, SHIPPO, Value::Null).await?;
        assert_eq!(answer.text(&format!("{others}/connector_type"))?, "shippo");
    }
    Ok(())
}

#[tokio::test]
async fn the_same_request_is_answered_alike_for_a_day() -> Result<()> {
    let bench = Bench::arcus()?;
    let first = keyed(&bench, Method::POST, SHIPPO, warehouse(), "k1").await?;
    bench.advance(24 * 3600 - 1);
    bench.remove(SHIPPO).await?;
    let again = keyed(&bench, Method::POST, SHIPPO, warehouse(), "k1").await?;
    assert_eq!((again.status(), again.json()?), (first.status(), first.json()?), "stale");
    assert_eq!((tally(&bench).creates, bench.simulator.connectors()[0].deleted), (1, true));
    bench.advance(1);
    let anew = keyed(&bench, Method::POST, SHIPPO, warehouse(), "k1").await?;
    assert_eq!((anew.status().as_u16(), anew.at("/is_active")?), (201, json!(true)));
    assert_eq!(tally(&bench).creates, 2);
    Ok(())
}

#[rstest]
#[case::body(Method::POST, SHIPPO, json!({}))]
#[case::path(Method::POST, "/v1/integrations/ups", warehouse())]
#[case::verb(Method::DELETE, SHIPPO, Value::Null)]
#[tokio::test]
async fn another_request_under_the_same_key_is_refused(
    #[case] method: Method,
    #[case] path: &str,
    #[case] body: Value,
) -> Result<()> {
    let bench = Bench::arcus()?;
    keyed(&bench, Method::POST, SHIPPO, warehouse(), "k1").await?;
    let answer = keyed(&bench, method.clone(), path, body.clone(), "k1").await?;
    assert_eq!(error(&answer)?, (409, "idempotency_key_mismatch".to_owned(), "conflict".to_owned(), None));
    assert_eq!(bench.simulator.stats().deletes, 0);
    bench.simulator.configure_arcus(|settings| settings.honours_idempotency_keys = false);
    assert!(keyed(&bench, method, path, body, "k1").await?.status().is_success());
    Ok(())
}

#[tokio::test]
async fn changes_and_deletes_have_keys_too() -> Result<()> {
    let bench = Bench::arcus()?;
    bench.post(SHIPPO, warehouse()).await?;
    for name in ["A", "A", "B"] {
        let patch = keyed(&bench, Method::PATCH, SHIPPO, json!({"display_name": name}), &format!("p{name}")).await?;
        assert_eq!(patch.status(), 200);
    }
    assert_eq!(bench.simulator.connectors()[0].changes.len(), 2);
    for _ in 0..2 {
        assert_eq!(keyed(&bench, Method::DELETE, SHIPPO, Value::Null, "d").await?.status(), 200);
    }
    assert_eq!(tally(&bench).deletes, 1);
    assert_eq!(bench.remove(SHIPPO).await?.status(), 404);
    Ok(())
}

#[rstest]
#[case::stored(true, 409)]
#[case::not_stored(false, 200)]
#[tokio::test]
async fn a_refusal_may_be_remembered(#[case] stores_refusals: bool, #[case] status: u16) -> Result<()> {
    let bench = Bench::arcus_with(|settings| settings.stores_refusals = stores_refusals)?;
    bench.post(SHIPPO, warehouse()).await?;
    let references = vec!["order 17".to_owned()];
    bench.simulator.act_arcus(&Act::SetInUse { references }.on(Connector::Shippo))?;
    assert_eq!(keyed(&bench, Method::DELETE, SHIPPO, Value::Null, "d").await?.status(), 409);
    bench.simulator.act_arcus(&Act::SetInUse { references: Vec::new() }.on(Connector::Shippo))?;
    assert_eq!(keyed(&bench, Method::DELETE, SHIPPO, Value::Null, "d").await?.status(), status);
    Ok(())
}

#[rstest]
#[case::longest(255, 201)]
#[case::too_long(256, 400)]
#[case::empty(0, 400)]
#[tokio::test]
async fn a_key_has_a_length(#[case] length: usize, #[case] status: u16) -> Result<()> {
    let bench = Bench::arcus()?;
    let answer = keyed(&bench, Method::POST, SHIPPO, warehouse(), &"k".repeat(length)).await?;
    assert_eq!(answer.status(), status);
    if status == 400 {
        assert_eq!(error(&answer)?.3.as_deref(), Some("Idempotency-Key"));
    }
    Ok(())
}

#[rstest]
#[case::taken(false, 200)]
#[case::refused(true, 422)]
#[tokio::test]
async fn the_mode_may_be_another_than_that_of_the_key(#[case] refuses: bool, #[case] status: u16) -> Result<()> {
    let bench = Bench::arcus_with(|settings| settings.refuses_other_mode = refuses)?;
    assert_eq!(bench.post(SHIPPO, Value::Null).await?.text("/mode")?, "sandbox");
    let answer = bench.call(Method::PATCH, SHIPPO, json!({"mode": "live"})).await?;
    assert_eq!(answer.status(), status);
    if refuses {
        assert_eq!(complaint(&answer)?, "mode");
        assert_eq!(complaint(&bench.post("/v1/integrations/ups", json!({"mode": "live"})).await?)?, "mode");
    } else {
        assert_eq!(answer.text("/data/mode")?, "live");
    }
    Ok(())
}
