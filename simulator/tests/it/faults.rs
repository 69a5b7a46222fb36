//! Every fault, in process.

use std::time::Duration;

use anyhow::{Context, Result};
use rstest::rstest;
use tradewind_simulator::rutter::{DisabledReason, ListStatus, Trouble};
use tradewind_simulator::{Broken, Clock, Delivery, Effect, Fault, Operation, Setup, Simulator};

use crate::support::{Answer, Bench, LIST, STORE, create, credentials, delete};

const DELAY: Duration = Duration::from_secs(7);

async fn create_with(bench: &Bench, effect: Effect) -> Result<Answer> {
    bench.simulator.push_fault(Fault::on(Operation::Create, effect));
    bench.create(&credentials(STORE)).await
}

#[rstest]
#[case::rate_limited(Effect::Refuse { status: 429, retry_after: None }, 429, None)]
#[case::told_when(Effect::Refuse { status: 429, retry_after: Some(7) }, 429, Some("7"))]
#[case::platform_limited(Effect::Refuse { status: 452, retry_after: None }, 452, None)]
#[case::bad_login(Effect::Refuse { status: 401, retry_after: None }, 401, None)]
#[case::unavailable(Effect::Refuse { status: 503, retry_after: None }, 503, None)]
#[case::no_status_at_all(Effect::Refuse { status: 7, retry_after: None }, 500, None)]
#[case::idempotency(Effect::IdempotencyMismatch, 409, None)]
#[case::credentials_400(Effect::RefuseCredentials { status: 400 }, 400, None)]
#[case::credentials_401(Effect::RefuseCredentials { status: 401 }, 401, None)]
#[tokio::test]
async fn a_refusal_applies_nothing(
    #[case] effect: Effect,
    #[case] status: u16,
    #[case] retry_after: Option<&str>,
) -> Result<()> {
    let bench = Bench::new()?;
    let answer = create_with(&bench, effect).await?;
    assert_eq!((answer.status().as_u16(), answer.header("retry-after")), (status, retry_after));
    assert!(!answer.text("/error_code")?.is_empty());
    assert_eq!(bench.simulator.stats().creates, 0);
    Ok(())
}

#[rstest]
#[case::lost(Effect::LostAnswer, Broken::Lost, Delivery::Lost)]
#[case::cut(Effect::CutAnswer, Broken::Cut, Delivery::Cut)]
#[tokio::test]
async fn a_broken_answer_was_applied(
    #[case] effect: Effect,
    #[case] broken: Broken,
    #[case] delivery: Delivery,
) -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.push_fault(Fault::on(Operation::Create, effect));
    let answer = bench.send(create(&credentials(STORE))?).await;
    assert_eq!(answer.err(), Some(broken));
    assert_eq!(bench.simulator.stats().creates, 1);
    let journal = bench.simulator.journal();
    let entry = journal.first().context("an entry")?;
    assert_eq!((entry.status, entry.delivery), (Some(200), Some(delivery)));
    Ok(())
}

#[tokio::test]
async fn an_error_after_apply_was_applied() -> Result<()> {
    let bench = Bench::new()?;
    assert_eq!(create_with(&bench, Effect::StatusAfterApply { status: 502 }).await?.status(), 502);
    assert_eq!(bench.simulator.stats().creates, 1);
    Ok(())
}

#[rstest]
#[case::garbage(Effect::GarbageBody)]
#[case::empty(Effect::EmptyBody)]
#[tokio::test]
async fn a_success_can_be_unreadable(#[case] effect: Effect) -> Result<()> {
    let bench = Bench::new()?;
    let answer = create_with(&bench, effect).await?;
    assert_eq!(answer.status(), 200);
    assert!(answer.json().is_err());
    assert_eq!(bench.simulator.stats().creates, 1);
    Ok(())
}

#[tokio::test]
async fn a_success_can_be_odd() -> Result<()> {
    let bench = Bench::new()?;
    let answer = create_with(&bench, Effect::WithoutId).await?;
    assert!(answer.at("/connection/id").is_err() && answer.at("/connection/access_token").is_ok());

    let answer = create_with(&bench, Effect::NullField { field: "access_token".to_owned() }).await?;
    assert!(answer.at("/connection/access_token")?.is_null());

    let answer = create_with(&bench, Effect::HugeBody { bytes: 3 * 1024 * 1024 }).await?;
    assert!(answer.0.body().len() > 3 * 1024 * 1024);
    assert!(answer.at("/connection/id").is_ok());

    let answer = create_with(&bench, Effect::DeepBody { depth: 100_000 }).await?;
    assert!(answer.json().is_err(), "serde_json stops at a depth of 128");
    assert_eq!(bench.simulator.stats().creates, 4);
    Ok(())
}

#[tokio::test]
async fn a_success_can_say_that_it_is_none() -> Result<()> {
    let bench = Bench::new()?;
    let connected = bench.connect().await?;
    bench.simulator.push_fault(Fault::on(Operation::Delete, Effect::Unsuccessful));
    let answer = bench.send(delete(&connected.path())?).await?;
    assert_eq!((answer.status().as_u16(), answer.at("/success")?), (200, false.into()));
    assert_eq!(bench.simulator.stats().deletes, 1);
    Ok(())
}

#[tokio::test]
async fn the_future_can_come_early() -> Result<()> {
    let bench = Bench::new()?;
    let connected = bench.connect().await?;
    let future = Fault::on(Operation::ReadStatus, Effect::UnknownFields).and(Effect::UnknownValues);
    bench.simulator.push_fault(future);
    let status = bench.get(&connected.status()).await?;
    assert_eq!(status.text("/status/platform")?, "ANNOUNCED_TOMORROW");
    assert!(status.at("/status/announced_tomorrow").is_ok());
    let total = status.at("/status/historical_sync_status/total")?;
    assert!(total.pointer("/orders/announced_tomorrow").is_some(), "an object gets a new field");
    assert!(total.pointer("/announced_tomorrow").is_none(), "a map does not");
    Ok(())
}

#[rstest]
#[case::disabled(Trouble::Disabled { reason: DisabledReason::ShopApiKeyExpired }, ListStatus::Disabled)]
#[case::needs_update(Trouble::NeedsUpdate, ListStatus::NeedsReauth)]
#[tokio::test]
async fn credentials_can_turn_out_bad_later(#[case] trouble: Trouble, #[case] then: ListStatus) -> Result<()> {
    let bench = Bench::new()?;
    assert_eq!(create_with(&bench, Effect::SourCredentials { after: DELAY, trouble }).await?.status(), 200);
    for (status, wait) in [(ListStatus::NotReady, 6), (ListStatus::Active, 1), (then, 0)] {
        assert_eq!(bench.simulator.connections().first().map(|record| record.status), Some(status));
        bench.advance(wait);
    }
    Ok(())
}

/// Lets every task run until it waits for the clock.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[rstest]
#[case::before(Effect::SlowBefore { delay: DELAY }, 0)]
#[case::after(Effect::SlowAfter { delay: DELAY }, 1)]
#[tokio::test]
async fn slow_answers_wait_for_the_clock(#[case] effect: Effect, #[case] applied_meanwhile: usize) -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.push_fault(Fault::on(Operation::Create, effect));
    let mut answer = Box::pin(bench.send(create(&credentials(STORE))?));
    assert!(futures::poll!(&mut answer).is_pending());
    settle().await;
    assert_eq!(bench.simulator.stats().creates, applied_meanwhile);
    assert_eq!(bench.simulator.stats().in_flight, 1);
    bench.clock.advance(DELAY);
    assert_eq!(answer.await?.status(), 200);
    assert_eq!((bench.simulator.stats().creates, bench.simulator.stats().in_flight), (1, 0));
    Ok(())
}

#[tokio::test]
async fn a_client_that_gives_up_stops_nothing() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.push_fault(Fault::on(Operation::Create, Effect::SlowBefore { delay: DELAY }));
    let mut answer = Box::pin(bench.send(create(&credentials(STORE))?));
    assert!(futures::poll!(&mut answer).is_pending());
    settle().await;
    drop(answer);
    bench.clock.advance(DELAY);
    settle().await;
    assert_eq!(bench.simulator.stats().creates, 1);
    Ok(())
}

#[tokio::test]
async fn a_request_can_be_applied_after_the_connection_closed() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.push_fault(Fault::on(Operation::Create, Effect::LateApply { delay: DELAY }));
    assert_eq!(bench.send(create(&credentials(STORE))?).await.err(), Some(Broken::Lost));
    assert_eq!(bench.simulator.stats().creates, 0);
    settle().await;
    bench.clock.advance(DELAY);
    settle().await;
    assert_eq!(bench.simulator.stats().creates, 1);
    let journal = bench.simulator.journal();
    let entry = journal.first().context("an entry")?;
    assert_eq!((entry.applied_at, entry.delivery), (Some(bench.clock.now()), Some(Delivery::Lost)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_ticking_clock_follows_paused_time() -> Result<()> {
    let clock = Clock::starting_at("2026-01-05T10:00:00Z".parse()?);
    let bench = Bench::new()?;
    let bench = Bench { simulator: Simulator::new(clock, Setup::default()), ..bench };
    let answer = create_with(&bench, Effect::SlowAfter { delay: Duration::from_hours(1) }).await?;
    assert_eq!(answer.status(), 200);
    assert_eq!(bench.simulator.clock().now(), "2026-01-05T11:00:00Z".parse()?);
    Ok(())
}

#[tokio::test]
async fn faults_wait_for_those_they_are_aimed_at() -> Result<()> {
    let bench = Bench::new()?;
    let refuse = |status| Effect::Refuse { status, retry_after: None };
    let connected = bench.connect().await?;
    bench.simulator.push_fault(Fault::on(Operation::Create, refuse(500)).times(2));
    bench.simulator.push_fault(Fault::on(Operation::Create, refuse(502)).store(STORE));
    bench.simulator.push_fault(Fault::on_any(refuse(503)).connection(connected.id).forever());

    let other = credentials("store-other.mybigcommerce.com");
    for (body, status) in [(&other, 500), (&credentials(STORE), 500), (&other, 200), (&credentials(STORE), 502)] {
        assert_eq!(bench.create(body).await?.status(), status);
    }
    assert_eq!(bench.get(LIST).await?.status(), 200);
    for _ in 0..3 {
        assert_eq!(bench.get(&connected.detail()).await?.status(), 503);
    }
    bench.simulator.clear_faults();
    assert_eq!(bench.get(&connected.detail()).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_refused_request_stays_refused() -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.push_fault(Fault::on(Operation::Create, Effect::StatusAfterApply { status: 500 }));
    assert_eq!(bench.create(&credentials("shop.example.com")).await?.status(), 400);
    Ok(())
}

#[test]
fn faults_are_written_as_documented() -> Result<()> {
    let fault: Fault = serde_json::from_str(
        r#"{"operation": "create", "store": "a.mybigcommerce.com", "times": 2, "effects": [
            {"kind": "refuse", "status": 429, "retry_after": 7},
            {"kind": "slow_before", "delay": "1s 500ms"},
            {"kind": "sour_credentials", "after": "2s", "trouble": {"kind": "disabled", "reason": "SHOP_IS_LOCKED"}},
            {"kind": "lost_answer"}]}"#,
    )?;
    let trouble = Trouble::Disabled { reason: DisabledReason::ShopIsLocked };
    let expected = Fault::on(Operation::Create, Effect::Refuse { status: 429, retry_after: Some(7) })
        .and(Effect::SlowBefore { delay: Duration::from_millis(1500) })
        .and(Effect::SourCredentials { after: Duration::from_secs(2), trouble })
        .and(Effect::LostAnswer)
        .store("a.mybigcommerce.com")
        .times(2);
    assert_eq!(fault, expected);
    let once: Fault = serde_json::from_str(r#"{"effects": []}"#)?;
    let forever: Fault = serde_json::from_str(r#"{"times": null, "effects": []}"#)?;
    assert_eq!((once.times, forever.times), (Some(1), None));
    Ok(())
}
