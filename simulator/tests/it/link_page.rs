//! The page behind a link of Rutter.

use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::rutter::{Deed, DisabledReason, Trouble};

use crate::arcus::HOST;
use crate::support::{Answer, Bench, CREATE, Connected, LIST, STORE, get, request, with_header};

async fn ask(bench: &Bench, method: Method, path: &str, body: &str) -> Result<Answer> {
    let request = request(method, path, body.as_bytes().to_vec().into())?;
    Ok(bench.send(with_header(request, "host", Some(HOST))?).await?)
}

/// A connection that waits for its merchant, and the path of its page.
async fn waiting(bench: &Bench) -> Result<(Connected, String)> {
    let answer = ask(bench, Method::POST, CREATE, "").await?;
    let url = answer.text("/connection/link_url")?;
    let path = url.strip_prefix(&format!("http://{HOST}")).context("where the client is")?;
    Ok((Connected::from(&answer)?, path.to_owned()))
}

fn form(platform: &str, store: &str) -> String {
    format!("platform={platform}&store={store}&answer=connect")
}

#[tokio::test]
async fn a_merchant_connects_a_store() -> Result<()> {
    let bench = Bench::new()?;
    let (connected, page) = waiting(&bench).await?;
    assert_eq!(page, format!("/_pages/rutter/link/{}", connected.id));
    let detail = bench.get(&connected.detail()).await?;
    assert_eq!(
        (detail.at("/connection/platform")?, detail.at("/connection/store_domain")?),
        (Value::Null, Value::Null)
    );
    let status = bench.get(&connected.status()).await?;
    assert_eq!((status.at("/status/is_ready")?, status.at("/status/platform")?), (json!(false), Value::Null));
    assert_eq!(bench.get(LIST).await?.at("/connections/0/platform")?, json!("UNKNOWN"));
    bench.simulator.configure(|settings| settings.undecided_platform = None);
    assert_eq!(bench.get(LIST).await?.at("/connections/0/platform")?, Value::Null);

    let (status, html) = bench.browse(Method::GET, &page, "").await?;
    assert_eq!(status, 200);
    for part in ["id=\"platform\"", "id=\"store\"", "id=\"connect\"", "id=\"cancel\"", ">BIG_COMMERCE<", ">SHOPIFY<"] {
        assert!(html.contains(part), "{part} in {html}");
    }
    let (status, html) = bench.browse(Method::POST, &page, &form("BIG_COMMERCE", STORE)).await?;
    assert!(status == 200 && html.contains("id=\"done\""), "{html}");
    bench.advance(5);
    assert_eq!(bench.get(&connected.status()).await?.at("/status/is_ready")?, json!(true));
    let detail = ask(&bench, Method::GET, &connected.detail(), "").await?;
    assert_eq!(detail.text("/connection/store_domain")?, STORE);
    assert!(detail.text("/connection/link_url")?.ends_with(&page));
    let (status, html) = bench.browse(Method::GET, &page, "").await?;
    assert!(status == 200 && html.contains("id=\"done\"") && !html.contains("id=\"connect\""), "{html}");
    assert_eq!(bench.simulator.stats().creates, 1);
    Ok(())
}

#[tokio::test]
async fn a_merchant_may_connect_what_nobody_expected() -> Result<()> {
    let bench = Bench::new()?;
    let (connected, page) = waiting(&bench).await?;
    bench.browse(Method::POST, &page, &form("SHOPIFY", "acme.myshopify.com")).await?;
    let record = bench.simulator.connection(connected.id).context("it")?;
    assert_eq!((record.platform.as_deref(), record.store.as_deref()), (Some("SHOPIFY"), Some("acme.myshopify.com")));
    Ok(())
}

#[rstest]
#[case::not_of_the_platform("SHOPIFY", STORE)]
#[case::no_store("BIG_COMMERCE", "")]
#[case::not_offered("EBAY", "acme.example.com")]
#[case::hostile("BIG_COMMERCE", "%22%3E%3Cscript%3E")]
#[tokio::test]
async fn a_wrong_store_is_asked_for_again(#[case] platform: &str, #[case] store: &str) -> Result<()> {
    let bench = Bench::new()?;
    let (connected, page) = waiting(&bench).await?;
    let (status, html) = bench.browse(Method::POST, &page, &form(platform, store)).await?;
    assert!(status == 422 && html.contains("id=\"error\"") && html.contains("id=\"connect\""), "{html}");
    assert!(!html.contains("<script"), "{html}");
    assert_eq!(bench.simulator.connection(connected.id).context("it")?.platform, None);
    Ok(())
}

#[tokio::test]
async fn a_merchant_may_give_up_and_come_back() -> Result<()> {
    let bench = Bench::new()?;
    let (connected, page) = waiting(&bench).await?;
    assert!(bench.browse(Method::POST, &page, "answer=cancel").await?.1.contains("id=\"done\""));
    assert_eq!(bench.simulator.connection(connected.id).context("it")?.platform, None);
    assert!(bench.browse(Method::GET, &page, "").await?.1.contains("id=\"connect\""));
    assert_eq!(bench.browse(Method::POST, &page, "").await?.0, 400);
    bench.simulator.act(&Deed::Delete { connection: connected.id })?;
    let (status, html) = bench.browse(Method::POST, &page, &form("BIG_COMMERCE", STORE)).await?;
    assert!(status == 404 && html.contains("id=\"expired\""), "{html}");
    Ok(())
}

#[rstest]
#[case::needs_update(Trouble::NeedsUpdate)]
#[case::disabled_for_it(Trouble::Disabled { reason: DisabledReason::NeedsReauth })]
#[tokio::test]
async fn a_merchant_logs_in_again_at_the_same_link(#[case] trouble: Trouble) -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure(|settings| settings.link_lifetime = Some(Duration::from_mins(10)));
    let (connected, page) = waiting(&bench).await?;
    bench.browse(Method::POST, &page, &form("BIG_COMMERCE", STORE)).await?;
    bench.advance(3600);
    bench.simulator.act(&Deed::Upset { connection: connected.id, trouble })?;
    assert!(bench.browse(Method::GET, &page, "").await?.1.contains("id=\"connect\""), "asked anew");
    bench.browse(Method::POST, &page, &form("BIG_COMMERCE", STORE)).await?;
    let active = bench.get(&format!("{LIST}?status=active")).await?.ids()?;
    assert_eq!(active, [connected.id.to_string()]);
    Ok(())
}

#[tokio::test]
async fn other_trouble_is_not_the_merchants() -> Result<()> {
    let bench = Bench::new()?;
    let (connected, page) = waiting(&bench).await?;
    bench.browse(Method::POST, &page, &form("BIG_COMMERCE", STORE)).await?;
    let trouble = Trouble::Disabled { reason: DisabledReason::ShopIsLocked };
    bench.simulator.act(&Deed::Upset { connection: connected.id, trouble })?;
    assert!(!bench.browse(Method::GET, &page, "").await?.1.contains("id=\"connect\""));
    Ok(())
}

#[tokio::test]
async fn links_may_expire() -> Result<()> {
    let bench = Bench::new()?;
    let (_, page) = waiting(&bench).await?;
    bench.advance(3600 * 24 * 365);
    assert_eq!(bench.browse(Method::GET, &page, "").await?.0, 200, "not by default");
    bench.simulator.configure(|settings| settings.link_lifetime = Some(Duration::from_mins(10)));
    for (method, form) in [(Method::GET, String::new()), (Method::POST, form("BIG_COMMERCE", STORE))] {
        let (status, html) = bench.browse(method, &page, &form).await?;
        assert!(status == 410 && html.contains("id=\"expired\""), "{html}");
    }
    Ok(())
}

#[tokio::test]
async fn links_lead_where_they_are_said_to() -> Result<()> {
    let bench = Bench::new()?;
    let link = async |request| bench.send(request).await?.text("/connections/0/link_url");
    let id = waiting(&bench).await?.0.id;
    let from = || with_header(get(LIST)?, "host", Some("localhost:7"));
    assert_eq!(link(from()?).await?, format!("http://localhost:7/_pages/rutter/link/{id}"));
    let fixed = format!("https://link.rutterapi.com/connection/{id}");
    assert_eq!(link(get(LIST)?).await?, fixed, "nobody knows where the pages are");
    bench.simulator.configure(|settings| settings.pages_origin = Some("http://127.0.0.1:9".to_owned()));
    assert_eq!(link(get(LIST)?).await?, format!("http://127.0.0.1:9/_pages/rutter/link/{id}"));
    bench.simulator.configure(|settings| settings.pages = false);
    assert_eq!(link(from()?).await?, fixed);
    Ok(())
}
