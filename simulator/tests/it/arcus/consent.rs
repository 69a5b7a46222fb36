//! Consenting behind a link, and everything that comes in between.

use anyhow::{Context, Result};
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::arcus::{Act, Connector, LinkStatus, NoSuch};

use super::{HOST, SHOPIFY, asking, error, under};
use crate::support::{Answer, Bench};

const SHOP: &str = "acme.myshopify.com";

fn body() -> Value {
    json!({"shop": SHOP, "mode": "live", "display_name": "Acme"})
}

/// The path of the page that an answer points to.
fn page(answer: &Answer) -> Result<String> {
    assert_eq!((answer.status().as_u16(), answer.text("/object")?.as_str()), (200, "integration_oauth_required"));
    let url = answer.text("/oauth_url")?;
    Ok(url.strip_prefix(&format!("http://{HOST}")).context("where the client is")?.to_owned())
}

async fn ask(bench: &Bench) -> Result<String> {
    page(&bench.post(SHOPIFY, body()).await?)
}

fn states(bench: &Bench) -> Vec<LinkStatus> {
    bench.simulator.arcus_links().iter().map(|link| link.status).collect()
}

#[tokio::test]
async fn somebody_consents() -> Result<()> {
    let bench = Bench::arcus()?;
    let answer = bench.post(SHOPIFY, body()).await?;
    assert_eq!(answer.text("/expires_at")?, "2026-01-05T10:10:00Z");
    assert!(!answer.text("/hint")?.is_empty());
    let page = page(&answer)?;
    assert_eq!(bench.see(SHOPIFY).await?.status(), 404, "there is no row yet");
    assert_eq!(bench.simulator.stats().creates, 0);

    let (status, html) = bench.browse(Method::GET, &page, "").await?;
    assert_eq!(status, 200);
    for part in ["id=\"approve\"", "id=\"cancel\"", SHOP, "method=\"post\""] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(!html.contains("<script"));
    let (status, html) = bench.browse(Method::POST, &page, "answer=approve").await?;
    assert!(status == 200 && html.contains("id=\"done\""), "{html}");
    let row = bench.see(SHOPIFY).await?.at("/data")?;
    for (field, value) in
        [("is_active", json!(true)), ("has_credentials_secret_arn", json!(true)), ("mode", json!("live"))]
    {
        assert_eq!(row.get(field), Some(&value), "{field}");
    }
    assert_eq!(row.get("display_name"), Some(&json!("Acme")));
    assert_eq!((bench.simulator.stats().creates, states(&bench)), (1, vec![LinkStatus::Approved]));
    let (status, html) = bench.browse(Method::GET, &page, "").await?;
    assert!(status == 410 && html.contains("id=\"expired\""), "used: {html}");
    Ok(())
}

#[tokio::test]
async fn what_people_do_in_browsers_is_not_in_the_journal() -> Result<()> {
    let bench = Bench::arcus()?;
    let page = ask(&bench).await?;
    bench.browse(Method::POST, &page, "answer=approve").await?;
    let journal = bench.simulator.journal();
    assert_eq!((journal.len(), journal[0].store.as_deref()), (1, Some(SHOP)));
    let state = page.rsplit('=').next().context("a state")?;
    assert!(!serde_json::to_string(&journal)?.contains(state));
    Ok(())
}

#[tokio::test]
async fn somebody_does_not_consent() -> Result<()> {
    let bench = Bench::arcus()?;
    let page = ask(&bench).await?;
    let (status, html) = bench.browse(Method::POST, &page, "answer=cancel").await?;
    assert!(status == 200 && html.contains("id=\"done\""), "{html}");
    assert_eq!((bench.see(SHOPIFY).await?.status().as_u16(), states(&bench)), (404, vec![LinkStatus::Refused]));
    assert_eq!(bench.browse(Method::POST, &page, "answer=approve").await?.0, 410);
    Ok(())
}

#[tokio::test]
async fn links_expire() -> Result<()> {
    let bench = Bench::arcus()?;
    let page = ask(&bench).await?;
    bench.advance(10 * 60 - 1);
    assert_eq!(bench.browse(Method::GET, &page, "").await?.0, 200);
    bench.advance(1);
    for (method, form) in [(Method::GET, ""), (Method::POST, "answer=approve")] {
        let (status, html) = bench.browse(method, &page, form).await?;
        assert!(status == 410 && html.contains("id=\"expired\""), "{html}");
    }
    assert_eq!(states(&bench), [LinkStatus::Expired]);
    assert_eq!(bench.simulator.act_arcus(&Act::Approve.on(Connector::Shopify)), Err(NoSuch::Link));

    let fresh = ask(&bench).await?;
    bench.simulator.act_arcus(&Act::ExpireLinks.on(Connector::Shopify))?;
    assert_eq!(bench.browse(Method::GET, &fresh, "").await?.0, 410);
    Ok(())
}

#[rstest]
#[case::no_state("/_pages/arcus/oauth")]
#[case::wrong_state("/_pages/arcus/oauth?state=00000000-0000-4000-8000-000000000001")]
#[case::no_page("/_pages/arcus/other?state=1")]
#[case::nobodys("/_pages/nobody/x")]
#[case::nothing("/_pages/")]
#[tokio::test]
async fn links_lead_nowhere(#[case] path: &str) -> Result<()> {
    let bench = Bench::arcus()?;
    let (status, html) = bench.browse(Method::GET, path, "").await?;
    assert!(status == 404 && html.contains("id=\"expired\""), "{html}");
    Ok(())
}

#[tokio::test]
async fn an_unclear_answer_asks_again() -> Result<()> {
    let bench = Bench::arcus()?;
    let page = ask(&bench).await?;
    let (status, html) = bench.browse(Method::POST, &page, "answer=perhaps").await?;
    assert!(status == 400 && html.contains("id=\"approve\""), "{html}");
    assert_eq!(states(&bench), [LinkStatus::Live]);
    Ok(())
}

#[tokio::test]
async fn of_two_links_one_can_be_used() -> Result<()> {
    let bench = Bench::arcus()?;
    let (first, second) = (ask(&bench).await?, ask(&bench).await?);
    assert_ne!(first, second);
    for page in [&first, &second] {
        assert_eq!(bench.browse(Method::GET, page, "").await?.0, 200);
    }
    bench.browse(Method::POST, &first, "answer=approve").await?;
    assert_eq!(bench.browse(Method::POST, &second, "answer=approve").await?.0, 410);
    assert_eq!(states(&bench), [LinkStatus::Approved, LinkStatus::Void]);
    assert_eq!(bench.simulator.connectors()[0].tally.credentials_entered, 1);
    Ok(())
}

#[tokio::test]
async fn a_replay_answers_the_stale_link() -> Result<()> {
    let bench = Bench::arcus()?;
    let send = |key: &str| under(asking(Method::POST, SHOPIFY, &body())?, key);
    let first = page(&bench.send(send("k1")?).await?)?;
    bench.advance(3600);
    assert_eq!(page(&bench.send(send("k1")?).await?)?, first);
    assert_eq!(bench.browse(Method::GET, &first, "").await?.0, 410);
    let fresh = page(&bench.send(send("k2")?).await?)?;
    assert_eq!(bench.browse(Method::GET, &fresh, "").await?.0, 200);
    Ok(())
}

#[rstest]
#[case::brings_it_back(false, 200, true)]
#[case::comes_to_nothing(true, 410, false)]
#[tokio::test]
async fn a_consent_after_the_delete(#[case] ends: bool, #[case] status: u16, #[case] active: bool) -> Result<()> {
    let bench = Bench::arcus_with(|settings| {
        settings.delete_ends_links = ends;
        settings.row_before_consent = true;
    })?;
    let page = ask(&bench).await?;
    let shown = bench.see(SHOPIFY).await?;
    assert_eq!(
        (shown.at("/data/is_active")?, shown.at("/data/has_credentials_secret_arn")?),
        (json!(false), json!(false))
    );
    assert_eq!(bench.remove(SHOPIFY).await?.status(), 200);
    assert_eq!(bench.browse(Method::POST, &page, "answer=approve").await?.0, status);
    assert_eq!(bench.see(SHOPIFY).await?.at("/data/is_active")?, json!(active));
    assert_eq!(bench.simulator.stats().creates, 1 + usize::from(active));
    Ok(())
}

#[rstest]
#[case::at_once(true)]
#[case::behind_a_link(false)]
#[tokio::test]
async fn kept_credentials_may_do_without_consent(#[case] skips: bool) -> Result<()> {
    let bench = Bench::arcus_with(|settings| settings.recovery_skips_consent = skips)?;
    ask(&bench).await?;
    let approved = bench.simulator.act_arcus(&Act::Approve.on(Connector::Shopify))?.context("a row")?;
    assert!(approved.is_active && approved.has_credentials && approved.has_webhook_secret);
    bench.remove(SHOPIFY).await?;
    let again = bench.post(SHOPIFY, body()).await?;
    if skips {
        assert_eq!((again.status().as_u16(), again.at("/has_credentials_secret_arn")?), (201, json!(true)));
        assert_eq!(bench.simulator.connectors()[0].tally.restores, 1);
    } else {
        page(&again)?;
        assert_eq!(bench.see(SHOPIFY).await?.at("/data/is_active")?, json!(false));
        bench.advance(7 * 24 * 3600);
        bench.simulator.act_arcus(&Act::ExpireLinks.on(Connector::Shopify))?;
    }
    Ok(())
}

#[tokio::test]
async fn an_active_shop_can_be_authorized_again() -> Result<()> {
    let bench = Bench::arcus()?;
    ask(&bench).await?;
    bench.simulator.act_arcus(&Act::Approve.on(Connector::Shopify))?;
    let again = ask(&bench).await?;
    assert_eq!(bench.see(SHOPIFY).await?.at("/data/is_active")?, json!(true), "meanwhile it goes on");
    assert_eq!(bench.simulator.act_arcus(&Act::Refuse.on(Connector::Shopify))?.map(|row| row.is_active), Some(true));
    assert_eq!(bench.browse(Method::GET, &again, "").await?.0, 410);
    let answer = bench.call(Method::PATCH, SHOPIFY, json!({"shop": SHOP})).await?;
    assert_eq!(error(&answer)?.3.as_deref(), Some("shop"), "only a create takes it");
    Ok(())
}

#[tokio::test]
async fn pages_are_where_they_are_said_to_be() -> Result<()> {
    let bench = Bench::arcus_with(|settings| settings.pages_origin = Some("http://localhost:9".to_owned()))?;
    let url = bench.post(SHOPIFY, body()).await?.text("/oauth_url")?;
    assert!(url.starts_with("http://localhost:9/_pages/arcus/oauth?state="), "{url}");
    Ok(())
}
