//! The faults, at Arcus.

use std::time::Duration;

use anyhow::Result;
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::arcus::{Act, Connector};
use tradewind_simulator::rutter::Trouble;
use tradewind_simulator::{Broken, Effect, Fault, Operation, Provider};

use super::{SHIPPO, SHOPIFY, asking, error, under, warehouse};
use crate::support::{Bench, LIST, get};

#[rstest]
#[case::limited(429, None, "rate_limit_exceeded", "rate_limit")]
#[case::told_when(429, Some(7), "rate_limit_exceeded", "rate_limit")]
#[case::bad_key(401, None, "invalid_api_key", "permission_error")]
#[case::scope(403, None, "insufficient_scope", "permission_error")]
#[case::gone(404, None, "not_found", "not_found")]
#[case::conflict(409, None, "conflict", "conflict")]
#[case::invalid(422, None, "validation_error", "validation_error")]
#[case::broken(500, None, "internal_error", "internal")]
#[case::not_there(501, None, "not_implemented", "not_implemented")]
#[case::unavailable(503, None, "internal_error", "internal")]
#[case::no_status_at_all(7, None, "internal_error", "internal")]
#[tokio::test]
async fn a_refusal_applies_nothing(
    #[case] status: u16,
    #[case] retry_after: Option<u64>,
    #[case] code: &str,
    #[case] kind: &str,
) -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status, retry_after }));
    let answer = bench.post(SHIPPO, warehouse()).await?;
    let (_, told, told_kind, _) = error(&answer)?;
    assert_eq!((told.as_str(), told_kind.as_str()), (code, kind), "in the words of Arcus");
    assert_eq!(answer.header("retry-after"), retry_after.map(|seconds| seconds.to_string()).as_deref());
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("60"));
    assert!(bench.simulator.connectors().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_was_applied_and_its_key_finds_it() -> Result<()> {
    let bench = Bench::arcus()?;
    bench.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    let request = || under(asking(Method::POST, SHIPPO, &warehouse())?, "k1");
    assert_eq!(bench.send(request()?).await.err(), Some(Broken::Lost));
    assert_eq!(bench.send(request()?).await?.status(), 201);
    let tally = bench.simulator.connectors()[0].tally;
    assert_eq!((tally.creates, tally.overwrites), (1, 0));

    bench.simulator.configure_arcus(|settings| settings.honours_idempotency_keys = false);
    assert_eq!(bench.send(request()?).await?.status(), 200);
    assert_eq!(bench.simulator.connectors()[0].tally.overwrites, 1);
    Ok(())
}

#[tokio::test]
async fn an_error_after_it_was_applied() -> Result<()> {
    let bench = Bench::arcus()?;
    for (method, operation) in [(Method::POST, Operation::Create), (Method::DELETE, Operation::Delete)] {
        bench.simulator.push_fault(Fault::on(operation, Effect::StatusAfterApply { status: 503 }));
        assert_eq!(bench.call(method, SHIPPO, Value::Null).await?.status(), 503);
    }
    assert!(bench.simulator.connectors()[0].deleted);
    Ok(())
}

#[tokio::test]
async fn faults_are_aimed() -> Result<()> {
    let bench = Bench::arcus()?;
    let refuse = || Fault::on_any(Effect::Refuse { status: 503, retry_after: None }).forever();
    bench.simulator.push_fault(refuse().connector(Connector::Ups));
    bench.simulator.push_fault(refuse().store("acme.myshopify.com"));
    assert_eq!(bench.post(SHIPPO, warehouse()).await?.status(), 201);
    assert_eq!(bench.post("/v1/integrations/ups", Value::Null).await?.status(), 503);
    assert_eq!(bench.post(SHOPIFY, json!({"shop": "ACME.myshopify.com"})).await?.status(), 503);
    let id = bench.simulator.connector(Connector::Shippo).expect("it").id;
    bench.simulator.push_fault(refuse().connection(id));
    assert_eq!(bench.see(SHIPPO).await?.status(), 503);
    bench.simulator.clear_faults();
    bench.simulator.push_fault(refuse().at(Provider::Arcus));
    assert_eq!(bench.get(LIST).await?.status(), 200);
    assert_eq!(bench.see(SHIPPO).await?.status(), 503);
    Ok(())
}

#[tokio::test]
async fn other_effects_work_too() -> Result<()> {
    let bench = Bench::arcus()?;
    bench.simulator.push_fault(Fault::on_any(Effect::IdempotencyMismatch));
    assert_eq!(error(&bench.post(SHIPPO, warehouse()).await?)?.1, "idempotency_key_mismatch");
    let (after, trouble) = (Duration::from_secs(9), Trouble::NeedsUpdate);
    bench.simulator.push_fault(Fault::on_any(Effect::SourCredentials { after, trouble }));
    bench.post(SHIPPO, warehouse()).await?;
    assert_eq!(bench.see(SHIPPO).await?.at("/data/sync_error")?, Value::Null);
    bench.advance(9);
    assert!(bench.see(SHIPPO).await?.at("/data/sync_error")?.is_string());
    bench.simulator.push_fault(Fault::on_any(Effect::WithoutId));
    assert!(bench.see(SHIPPO).await?.at("/data/id").is_err());
    bench.simulator.push_fault(Fault::on_any(Effect::CutAnswer));
    assert_eq!(bench.send(asking(Method::GET, SHIPPO, &Value::Null)?).await.err(), Some(Broken::Cut));
    bench.simulator.push_fault(Fault::on_any(Effect::GarbageBody));
    assert!(bench.see(SHIPPO).await?.json().is_err());
    bench.simulator.act_arcus(&Act::Delete.on(Connector::Shippo))?;
    assert_eq!(bench.send(get(LIST)?).await?.status(), 200);
    Ok(())
}
