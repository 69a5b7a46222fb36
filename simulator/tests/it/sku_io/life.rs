//! How instances age, how they go away, and what others do to them.

use std::time::Duration;

use anyhow::Result;
use http::Method;
use rstest::rstest;
use serde_json::{Map, Value, json};
use tradewind_simulator::rutter::Trouble;
use tradewind_simulator::sku_io::{Cleaning, Deed, Entity, JobStatus, NoSuch, Origin, Presence, Starter};
use tradewind_simulator::{Effect, Fault, Operation};

use super::{ALL, complaints, instance};
use crate::support::{Answer, Bench};

async fn refresh(bench: &Bench, id: u64, entity: Entity) -> Result<Answer> {
    bench.ask(Method::POST, &format!("{ALL}/{id}/{}/refresh", entity.name()), &Value::Null).await
}

#[rstest]
#[case::hidden(Cleaning::Hidden, 404, false, false)]
#[case::archived(Cleaning::Archived, 200, false, true)]
#[case::listed(Cleaning::Listed, 200, true, true)]
#[tokio::test]
async fn a_deleted_instance_is_cleaned_up(
    #[case] cleaning: Cleaning,
    #[case] read: u16,
    #[case] listed: bool,
    #[case] listed_as_archived: bool,
) -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure_sku_io(|settings| settings.cleaning = cleaning);
    let id = bench.make("acme", "abc123").await?;
    let path = format!("{ALL}/{id}");
    assert_eq!(bench.drop(id).await?, 204);
    assert_eq!(bench.simulator.instance(id).map(|record| record.presence), Some(Presence::Cleaning));

    let shown = bench.look(&path).await?;
    assert_eq!(shown.status(), read);
    if read == 200 {
        assert_eq!(shown.at("/data/archived")?, json!(true));
    }
    assert_eq!(!bench.names("?search=acme").await?.is_empty(), listed);
    assert_eq!(!bench.names("?archived=1").await?.is_empty(), listed_as_archived);
    assert_eq!(bench.drop(id).await?, 404);
    assert_eq!(bench.patch(id, &json!({})).await?.status(), 404);
    assert_eq!(complaints(&bench.ask(Method::POST, ALL, &instance("Acme", "abc123")).await?)?, ["name"]);

    bench.advance(2);
    assert_eq!(bench.simulator.instance(id).map(|record| record.presence), Some(Presence::Gone));
    assert_eq!(bench.look(&path).await?.status(), 404);
    assert!(bench.names("").await?.is_empty() && bench.names("?archived=1").await?.is_empty());
    assert_ne!(bench.make("Acme", "abc123").await?, id);
    Ok(())
}

#[tokio::test]
async fn refreshes_are_counted_by_who_started_them() -> Result<()> {
    let bench = Bench::new()?;
    let id = bench.make("acme", "abc123").await?;
    let answer = refresh(&bench, id, Entity::Orders).await?;
    assert_eq!((answer.status().as_u16(), answer.at("/data")?), (200, json!({"integration_instance_id": id})));
    refresh(&bench, id, Entity::Orders).await?;
    let record = bench.simulator.instance(id).expect("it");
    assert_eq!(record.refreshed(Entity::Orders, Starter::Request), 2);
    assert_eq!(record.refreshed(Entity::Products, Starter::Request), 0);
    assert_eq!(record.refreshed(Entity::Orders, Starter::Create), 1);
    let stats = bench.simulator.stats();
    assert_eq!(stats.by_operation.get(&Operation::Refresh), Some(&2));
    assert_eq!(stats.refreshes[&tradewind_simulator::Provider::SkuIo], [("orders".to_owned(), 2)].into());
    assert_eq!(bench.look("/api/tracked-job-logs/90001").await?.status(), 404, "jobs are off");
    assert_eq!(bench.look("/api/v2/tracked-job-logs/active").await?.status(), 404);
    assert_eq!(refresh(&bench, 99, Entity::Orders).await?.status(), 404);
    Ok(())
}

#[tokio::test]
async fn jobs_can_be_followed() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure_sku_io(|settings| settings.tracked_jobs = true);
    let id = bench.make("acme", "abc123").await?;
    let job = refresh(&bench, id, Entity::Products).await?.at("/data/tracked_job_log_id")?;
    assert_eq!(job, json!(90_003), "the create started two");
    let path = format!("/api/tracked-job-logs/{job}");
    let expected = json!({
        "id": 90_003, "job_name": "Refresh BigCommerce products", "status": "pending",
        "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:00:00Z"});
    assert_eq!(bench.look(&path).await?.at("/data")?, expected);
    let active = "/api/v2/tracked-job-logs/active";
    assert_eq!(bench.look(active).await?.at("/data")?.as_array().map(Vec::len), Some(3));
    for (seconds, status, updated_at) in [(1, "running", "10:00:01"), (4, "completed", "10:00:05")] {
        bench.advance(seconds);
        let answer = bench.look(&path).await?;
        assert_eq!(answer.text("/data/status")?, status);
        assert_eq!(answer.text("/data/updated_at")?, format!("2026-01-05T{updated_at}Z"));
    }
    assert_eq!(bench.look(active).await?.at("/data")?, json!([]));
    assert_eq!(bench.look("/api/tracked-job-logs/1").await?.status(), 404);

    let job = bench.simulator.instance(id).expect("it").refreshes[0].job;
    for status in [JobStatus::Failed, JobStatus::Cancelled] {
        bench.simulator.act_sku(&Deed::SetJob { job, status })?;
        let answer = bench.look(&format!("/api/tracked-job-logs/{job}")).await?;
        assert_eq!(answer.at("/data/status")?, serde_json::to_value(status)?);
    }
    assert_eq!(bench.simulator.sku_jobs()[0].status, JobStatus::Cancelled);
    assert_eq!(bench.simulator.stats().by_operation.get(&Operation::ReadJob), Some(&8));
    Ok(())
}

#[tokio::test]
async fn refreshes_fail_while_the_shop_refuses_the_token() -> Result<()> {
    let bench = Bench::new()?;
    let (after, trouble) = (Duration::from_secs(9), Trouble::NeedsUpdate);
    bench.simulator.push_fault(Fault::on(Operation::Create, Effect::SourCredentials { after, trouble }));
    let id = bench.make("acme", "abc123").await?;
    bench.advance(9);
    assert!(bench.simulator.sku_jobs().iter().all(|job| job.status == JobStatus::Completed));
    let last = async || -> Result<Option<JobStatus>> {
        refresh(&bench, id, Entity::Orders).await?;
        bench.advance(5);
        Ok(bench.simulator.sku_jobs().last().map(|job| job.status))
    };
    assert_eq!(last().await?, Some(JobStatus::Failed));
    bench.patch(id, &json!({"connection_settings": {"access_token": "test-rotated"}})).await?;
    assert_eq!(last().await?, Some(JobStatus::Completed));
    bench.simulator.act_sku(&Deed::RefuseStoreToken { instance: id, refused: true })?;
    assert_eq!(bench.simulator.instance(id).map(|record| record.store_token_refused), Some(true));
    assert_eq!(last().await?, Some(JobStatus::Failed));
    Ok(())
}

#[tokio::test]
async fn data_moves_until_it_is_frozen() -> Result<()> {
    let bench = Bench::new()?;
    let path = format!("{ALL}/{}", bench.make("acme", "abc123").await?);
    let before = bench.look(&path).await?.json()?;
    bench.advance(60);
    let moved = bench.look(&path).await?;
    assert_ne!(moved.json()?, before);
    assert_eq!(moved.text("/data/updated_at")?, "2026-01-05T10:01:00Z");
    assert_eq!(moved.at("/data/sales_channel/orders_count")?, json!(3));
    bench.simulator.freeze(true);
    bench.advance(600);
    assert_eq!(bench.look(&path).await?.json()?, moved.json()?);
    bench.simulator.freeze(false);
    assert_ne!(bench.look(&path).await?.json()?, moved.json()?);
    Ok(())
}

#[tokio::test]
async fn a_locked_instance_is_not_changed() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure_sku_io(|settings| settings.lock = Duration::from_secs(3));
    let id = bench.make("acme", "abc123").await?;
    let try_all = async || -> Result<[u16; 2]> {
        let patched = bench.patch(id, &json!({})).await?.status().as_u16();
        Ok([patched, refresh(&bench, id, Entity::Orders).await?.status().as_u16()])
    };
    assert_eq!((try_all().await?, bench.drop(id).await?), ([409, 409], 409));
    assert_eq!(bench.look(&format!("{ALL}/{id}")).await?.status(), 200);
    bench.advance(3);
    assert_eq!(try_all().await?, [200, 200]);
    bench.simulator.act_sku(&Deed::Lock { instance: id, locked: true })?;
    assert_eq!((try_all().await?, bench.drop(id).await?), ([409, 409], 409));
    bench.simulator.act_sku(&Deed::Lock { instance: id, locked: false })?;
    assert_eq!(bench.drop(id).await?, 204);
    Ok(())
}

#[tokio::test]
async fn strangers_act_behind_the_clients_back() -> Result<()> {
    let bench = Bench::new()?;
    let make = |tenant_id: Option<&str>, name: &str| Deed::Make {
        tenant_id: tenant_id.map(ToOwned::to_owned),
        name: name.to_owned(),
        store_hash: "abc123".to_owned(),
    };
    let record = bench.simulator.act_sku(&make(None, "acme"))?;
    assert_eq!((record.origin, bench.simulator.stats().creates), (Origin::Stranger, 0));
    assert_eq!(bench.names("").await?, ["acme"]);
    let id = record.id;
    let fields = Map::from_iter([("integration_settings".to_owned(), json!({"store_id": 8}))]);
    let record = bench.simulator.act_sku(&Deed::Change { instance: id, fields })?;
    assert_eq!(record.integration_settings["store_id"], 8);
    assert!(record.changes.is_empty(), "it did not come through the API");
    bench.simulator.act_sku(&Deed::Rename { instance: id, name: "renamed".to_owned() })?;
    assert_eq!(bench.names("?search=acme").await?, [""; 0]);
    bench.make("acme", "abc124").await?;

    let nothing = Map::from_iter([("integration_id".to_owned(), json!("x"))]);
    for (deed, reason) in [
        (make(Some("nobody"), "x"), NoSuch::Tenant),
        (make(None, "ACME"), NoSuch::Fields),
        (Deed::Rename { instance: id, name: "Acme".to_owned() }, NoSuch::Fields),
        (Deed::Change { instance: id, fields: nothing }, NoSuch::Fields),
        (Deed::Delete { instance: 99 }, NoSuch::Instance),
        (Deed::SetJob { job: 1, status: JobStatus::Failed }, NoSuch::Job),
    ] {
        assert_eq!(bench.simulator.act_sku(&deed), Err(reason), "{deed:?}");
    }
    bench.simulator.act_sku(&Deed::Delete { instance: id })?;
    assert_eq!(bench.look(&format!("{ALL}/{id}")).await?.status(), 404);
    assert_eq!(bench.simulator.stats().deletes, 1);
    Ok(())
}

#[test]
fn deeds_are_written_as_documented() -> Result<()> {
    let deed: Deed = serde_json::from_str(r#"{"deed": "make", "name": "acme", "store_hash": "abc123"}"#)?;
    let (name, store_hash) = ("acme".to_owned(), "abc123".to_owned());
    assert_eq!(deed, Deed::Make { tenant_id: None, name, store_hash });
    let deed: Deed = serde_json::from_str(r#"{"deed": "set_job", "job": 90001, "status": "failed"}"#)?;
    assert_eq!(deed, Deed::SetJob { job: 90_001, status: JobStatus::Failed });
    Ok(())
}
