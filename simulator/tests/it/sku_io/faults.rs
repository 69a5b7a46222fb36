//! The faults, at SKU.io.

use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::rutter::Trouble;
use tradewind_simulator::{Broken, Effect, Fault, Operation, Provider};

use super::{ALL, asking, complaints, instance};
use crate::sockets::client;
use crate::support::{Answer, Bench, LIST, with_header};

async fn create_with(bench: &Bench, effect: Effect) -> Result<Answer> {
    bench.simulator.push_fault(Fault::on(Operation::Create, effect));
    bench.ask(Method::POST, ALL, &instance("acme", "abc123")).await
}

#[rstest]
#[case::limited(Effect::Refuse { status: 429, retry_after: None }, 429, None)]
#[case::told_when(Effect::Refuse { status: 429, retry_after: Some(7) }, 429, Some("7"))]
#[case::bad_login(Effect::Refuse { status: 401, retry_after: None }, 401, None)]
#[case::scope(Effect::Refuse { status: 403, retry_after: None }, 403, None)]
#[case::locked(Effect::Refuse { status: 409, retry_after: None }, 409, None)]
#[case::unavailable(Effect::Refuse { status: 503, retry_after: None }, 503, None)]
#[case::no_status_at_all(Effect::Refuse { status: 7, retry_after: None }, 500, None)]
#[case::credentials(Effect::RefuseCredentials { status: 400 }, 400, None)]
#[tokio::test]
async fn a_refusal_applies_nothing(
    #[case] effect: Effect,
    #[case] status: u16,
    #[case] retry_after: Option<&str>,
) -> Result<()> {
    let bench = Bench::new()?;
    let answer = create_with(&bench, effect).await?;
    assert_eq!((answer.status().as_u16(), answer.header("retry-after")), (status, retry_after));
    assert!(!answer.text("/message")?.is_empty(), "in the words of SKU.io");
    assert_eq!(bench.simulator.stats().creates, 0);
    Ok(())
}

#[tokio::test]
async fn a_refused_store_token_is_named() -> Result<()> {
    let bench = Bench::new()?;
    let field = ["connection_settings.access_token"];
    let refuse = || Effect::RefuseCredentials { status: 422 };
    assert_eq!(complaints(&create_with(&bench, refuse()).await?)?, field);
    let id = bench.make("acme", "abc123").await?;
    let rotate = json!({"connection_settings": {"access_token": "test-rotated"}});
    bench.simulator.push_fault(Fault::on(Operation::Update, refuse()).times(2));
    assert_eq!(complaints(&bench.patch(id, &rotate).await?)?, field);
    assert_eq!(bench.patch(id, &json!({"name": "other"})).await?.status(), 200, "no token, nothing to refuse");
    assert_eq!(bench.simulator.instance(id).map(|record| record.token_version), Some(1));
    Ok(())
}

#[rstest]
#[case::lost(Effect::LostAnswer, Broken::Lost)]
#[case::cut(Effect::CutAnswer, Broken::Cut)]
#[tokio::test]
async fn a_broken_answer_was_applied(#[case] effect: Effect, #[case] broken: Broken) -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.push_fault(Fault::on_any(effect).at(Provider::SkuIo).forever());
    assert_eq!(bench.get(LIST).await?.status(), 200, "another provider");
    for (method, path, body) in [
        (Method::POST, ALL, instance("acme", "abc123")),
        (Method::PATCH, "/api/big-commerce/1", json!({"name": "other"})),
        (Method::POST, "/api/big-commerce/1/orders/refresh", Value::Null),
        (Method::DELETE, "/api/big-commerce/1", Value::Null),
    ] {
        let broken = if method == Method::DELETE { Broken::Lost } else { broken };
        assert_eq!(bench.send(asking(method, path, &body)?).await.err(), Some(broken));
    }
    let record = bench.simulator.instance(1).context("it")?;
    assert_eq!((record.name.as_str(), record.refreshes.len(), record.deleted_at.is_some()), ("other", 3, true));
    Ok(())
}

#[tokio::test]
async fn a_success_can_be_odd() -> Result<()> {
    let bench = Bench::new()?;
    let over = async |name: &str, effect: Effect| {
        bench.simulator.push_fault(Fault::on(Operation::Create, effect));
        bench.ask(Method::POST, ALL, &instance(name, name)).await
    };
    assert_eq!(over("a", Effect::StatusAfterApply { status: 502 }).await?.status(), 502);
    assert!(over("b", Effect::GarbageBody).await?.json().is_err());
    assert!(over("c", Effect::EmptyBody).await?.0.body().is_empty());
    assert!(over("d", Effect::WithoutId).await?.at("/data/id").is_err());
    assert!(over("e", Effect::NullField { field: "data".to_owned() }).await?.at("/data")?.is_null());
    assert!(over("f", Effect::HugeBody { bytes: 1_000_000 }).await?.0.body().len() > 1_000_000);
    assert!(over("g", Effect::DeepBody { depth: 100_000 }).await?.json().is_err());
    assert!(over("h", Effect::UnknownFields).await?.at("/data/announced_tomorrow").is_ok());
    let sour = Effect::SourCredentials { after: Duration::ZERO, trouble: Trouble::NeedsUpdate };
    assert_eq!(over("i", sour).await?.status(), 201);
    assert_eq!(bench.simulator.stats().creates, 9);
    Ok(())
}

#[tokio::test]
async fn faults_are_aimed_at_instances_and_stores() -> Result<()> {
    let bench = Bench::new()?;
    let (one, two) = (bench.make("one", "hash1").await?, bench.make("two", "hash2").await?);
    let refuse = |status| Effect::Refuse { status, retry_after: None };
    bench.simulator.push_fault(Fault::on(Operation::ReadDetail, refuse(502)).instance(two).forever());
    bench.simulator.push_fault(Fault::on_any(refuse(503)).store("hash1").forever());
    for (id, status) in [(one, 503), (two, 502)] {
        assert_eq!(bench.look(&format!("{ALL}/{id}")).await?.status(), status);
    }
    assert_eq!(bench.look(ALL).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn it_is_the_same_on_a_socket() -> Result<()> {
    let bench = Bench::new()?;
    let (address, server) = bench.simulator.serve().await?;
    let client = client()?;
    let send = async |method: Method, path: &str, body: Value| {
        let request = client.request(method, format!("http://{address}{path}")).bearer_auth("1|test-sku-io-token");
        request.header("accept", "application/json").json(&body).send().await
    };
    for name in ["one", "two", "three"] {
        assert_eq!(send(Method::POST, ALL, instance(name, name)).await?.status(), 201);
    }
    let page: Value = send(Method::GET, "/api/big-commerce?limit=1&search=o", json!({})).await?.json().await?;
    assert_eq!(page["next_page_url"], format!("http://{address}/api/big-commerce?page=2"));

    for effect in [Effect::LostAnswer, Effect::CutAnswer] {
        bench.simulator.push_fault(Fault::on(Operation::Delete, effect));
    }
    assert!(send(Method::DELETE, "/api/big-commerce/1", json!({})).await.is_err());
    assert!(send(Method::DELETE, "/api/big-commerce/2", json!({})).await.is_err());
    bench.simulator.push_fault(Fault::on(Operation::Delete, Effect::GarbageBody));
    let garbage = send(Method::DELETE, "/api/big-commerce/3", json!({})).await?;
    assert_eq!((garbage.status().as_u16(), garbage.text().await?.starts_with("<html>")), (200, true));
    assert_eq!(bench.simulator.stats().deletes, 3);
    server.abort();
    Ok(())
}

#[tokio::test]
async fn an_answer_can_come_late() -> Result<()> {
    let bench = Bench::new()?;
    let delay = Duration::from_secs(7);
    bench.simulator.push_fault(Fault::on(Operation::Create, Effect::LateApply { delay }));
    assert!(bench.send(asking(Method::POST, ALL, &instance("acme", "abc123"))?).await.is_err());
    assert!(bench.names("").await?.is_empty());
    bench.clock.advance(delay);
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.names("").await?, ["acme"]);
    Ok(())
}

#[tokio::test]
async fn an_idempotency_key_counts_for_nothing() -> Result<()> {
    let bench = Bench::new()?;
    let keyed = |name: &str| {
        with_header(asking(Method::POST, ALL, &instance(name, "abc123"))?, "idempotency-key", Some("key-1"))
    };
    assert_eq!(bench.send(keyed("one")?).await?.status(), 201);
    assert_eq!(bench.send(keyed("two")?).await?.status(), 201);
    assert_eq!(bench.send(keyed("two")?).await?.status(), 422);
    assert_eq!(bench.simulator.stats().creates, 2);
    Ok(())
}
