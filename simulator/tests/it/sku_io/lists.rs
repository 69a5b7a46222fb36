//! Lists of instances.

use std::time::{Duration, Instant};

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::sku_io::Deed;

use super::ALL;
use crate::support::Bench;

async fn filled(names: &[&str]) -> Result<Bench> {
    let bench = Bench::new()?;
    for (number, name) in names.iter().enumerate() {
        bench.make(name, &format!("hash{number}")).await?;
        bench.advance(1);
    }
    Ok(bench)
}

fn fill(prefix: &str, count: usize) -> Deed {
    Deed::Fill { tenant_id: None, prefix: prefix.to_owned(), count }
}

#[tokio::test]
async fn a_page_says_where_it_is() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.act_sku(&fill("row", 25))?;
    let mut first = bench.look(ALL).await?.json()?;
    assert_eq!(first["data"].as_array().map(Vec::len), Some(10));
    first["data"] = Value::Null;
    let expected = json!({
        "data": null, "current_page": 1, "last_page": 3, "per_page": 10, "total": 25, "from": 1, "to": 10,
        "next_page_url": "/api/big-commerce?page=2", "prev_page_url": null, "path": "/api/big-commerce"});
    assert_eq!(first, expected);
    let last = bench.look(&format!("{ALL}?page=3&limit=10")).await?.json()?;
    assert_eq!((&last["from"], &last["to"], &last["next_page_url"]), (&json!(21), &json!(25), &Value::Null));
    assert_eq!(last["data"][0]["name"], "row-00021");
    let beyond = bench.look(&format!("{ALL}?page=4")).await?.json()?;
    assert_eq!((&beyond["data"], &beyond["from"], &beyond["total"]), (&json!([]), &Value::Null, &json!(25)));
    Ok(())
}

#[rstest]
#[case("?search=ACME", &["Acme", "old acme", "acme-2"])]
#[case("?search=acme-2", &["acme-2"])]
#[case("?search=e%2D2&included[]=name", &["acme-2"])]
#[case("?search=nobody", &[])]
#[case("?limit=2", &["Acme", "other"])]
#[case("?limit=0", &["Acme", "other", "old acme", "acme-2"])]
#[case("?limit=2&page=2", &["old acme", "acme-2"])]
#[case("?sort=name&limit=2", &["Acme", "acme-2"])]
#[case("?sort=-name&limit=2", &["other", "old acme"])]
#[case("?sort=-id&limit=1", &["acme-2"])]
#[case("?sort=-created_at&limit=1", &["acme-2"])]
#[case("?archived=1", &[])]
#[tokio::test]
async fn a_list_can_be_narrowed(#[case] query: &str, #[case] expected: &[&str]) -> Result<()> {
    let bench = filled(&["Acme", "other", "old acme", "acme-2"]).await?;
    assert_eq!(bench.names(query).await?, expected);
    Ok(())
}

#[tokio::test]
async fn archived_rows_are_listed_apart() -> Result<()> {
    let bench = filled(&["Acme", "other"]).await?;
    let id = bench.simulator.act_sku(&fill("x", 1))?.id;
    bench.simulator.act_sku(&Deed::Archive { instance: id, archived: true })?;
    assert_eq!(bench.names("").await?, ["Acme", "other"]);
    assert_eq!(bench.names("?archived=0").await?, ["Acme", "other"]);
    assert_eq!(bench.names("?archived=1").await?, ["x-00001"]);
    assert_eq!(bench.look(&format!("{ALL}/{id}")).await?.at("/data/archived")?, json!(true));
    Ok(())
}

#[tokio::test]
async fn lists_lag_when_told_to() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure_sku_io(|settings| settings.list_lag = Duration::from_secs(3));
    let id = bench.make("acme", "abc123").await?;
    assert!(bench.names("?search=acme").await?.is_empty());
    assert_eq!(bench.look(&format!("{ALL}/{id}")).await?.status(), 200);
    bench.advance(3);
    assert_eq!(bench.names("?search=acme").await?, ["acme"]);
    Ok(())
}

#[tokio::test]
async fn ten_thousand_rows_are_no_burden() -> Result<()> {
    let bench = Bench::new()?;
    let began = Instant::now();
    let last = bench.simulator.act_sku(&fill("row", 10_000))?;
    assert_eq!(last.name, "row-10000");
    let mut seen = 0;
    for page in 1..=100 {
        seen += bench.names(&format!("?limit=500&page={page}")).await?.len();
    }
    assert_eq!(seen, 10_000, "no page has more than 100 rows");
    assert_eq!(bench.names("?search=row-09999").await?, ["row-09999"]);
    // A guard against work that grows with the square of the rows, not a measurement.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    Ok(())
}
