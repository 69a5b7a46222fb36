//! Lists, and odd shapes.

use anyhow::{Context, Result};
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::arcus::Connector;

use super::{ALL, SHIPPO, error, warehouse};
use crate::support::{Answer, Bench};

fn names(answer: &Answer) -> Result<Vec<String>> {
    let rows = answer.at("/data")?;
    let rows = rows.as_array().context("an array")?.iter();
    Ok(rows.filter_map(|row| Some(row.get("connector_type")?.as_str()?.to_owned())).collect())
}

async fn full() -> Result<Bench> {
    let bench = Bench::arcus()?;
    for name in ["usps", "ebay", "stripe", "plaid"] {
        bench.post(&format!("{ALL}/{name}"), Value::Null).await?;
    }
    Ok(bench)
}

#[tokio::test]
async fn a_list_is_read_in_pages() -> Result<()> {
    let bench = full().await?;
    let all = bench.see(ALL).await?;
    assert_eq!(names(&all)?, ["usps", "ebay", "stripe", "plaid"]);
    assert_eq!((all.at("/has_more")?, all.text("/object")?.as_str()), (json!(false), "list"));
    assert_eq!((all.text("/url")?.as_str(), all.at("/total_count").is_err()), (ALL, true));

    let first = bench.see(&format!("{ALL}?limit=3&include_count=true")).await?;
    assert_eq!((names(&first)?.len(), first.at("/has_more")?, first.at("/total_count")?), (3, json!(true), json!(4)));
    let after = first.text("/data/2/id")?;
    let second = bench.see(&format!("{ALL}?limit=3&starting_after={after}")).await?;
    assert_eq!((names(&second)?, second.at("/has_more")?), (vec!["plaid".to_owned()], json!(false)));
    let back = bench.see(&format!("{ALL}?limit=1&ending_before={after}")).await?;
    assert_eq!((names(&back)?, back.at("/has_more")?), (vec!["ebay".to_owned()], json!(true)));
    let path = bench.simulator.journal().pop().context("it")?.path;
    assert!(path.contains(&after) && path.contains("limit=1"), "{path}");
    Ok(())
}

#[rstest]
#[case::nothing("limit=0")]
#[case::too_many("limit=101")]
#[case::no_number("limit=ten")]
#[case::no_id("starting_after=1")]
#[case::unknown_id("starting_after=00000000-0000-4000-8000-000000000001")]
#[case::unknown("page=2")]
#[tokio::test]
async fn a_query_must_be_understood(#[case] query: &str) -> Result<()> {
    let bench = full().await?;
    let (status, _, _, param) = error(&bench.see(&format!("{ALL}?{query}")).await?)?;
    assert_eq!((status, param.as_deref()), (400, query.split('=').next()));
    Ok(())
}

#[tokio::test]
async fn deleted_rows_are_listed_or_not() -> Result<()> {
    let bench = full().await?;
    bench.remove("/v1/integrations/ebay").await?;
    assert_eq!(bench.see(ALL).await?.at("/data/1/is_active")?, json!(false));
    bench.simulator.configure_arcus(|settings| settings.deleted_rows_shown = false);
    assert_eq!(names(&bench.see(ALL).await?)?, ["usps", "stripe", "plaid"]);
    Ok(())
}

#[tokio::test]
async fn shapes_can_be_odd() -> Result<()> {
    let bench = Bench::arcus_with(|settings| {
        settings.unknown_fields = true;
        settings.unknown_values = true;
        settings.null_fields = vec!["updated_at".to_owned()];
    })?;
    let made = bench.post(SHIPPO, warehouse()).await?;
    assert!(made.at("/announced_tomorrow").is_ok());
    assert_eq!(made.at("/config")?, json!({"label_format": "PDF"}), "its keys are data");
    assert_eq!((made.text("/mode")?.as_str(), made.at("/updated_at")?), ("ANNOUNCED_TOMORROW", Value::Null));
    assert_eq!(bench.simulator.connector(Connector::Shippo).map(|record| record.is_active), Some(true));
    Ok(())
}
