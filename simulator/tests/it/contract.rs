//! What Rutter's public reference says that it accepts, refuses and answers.

use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request};
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_simulator::rutter::{Account, Gone, RateLimit};
use tradewind_simulator::{Delivery, ManualClock, Operation, Setup, Simulator};

use crate::support::{
    Answer, Bench, CREATE, Connected, LIST, STORE, create, credentials, delete, get, request, with_header,
};

fn assert_refused(answer: &Answer, status: u16, code: &str) -> Result<()> {
    assert_eq!(answer.status(), status);
    assert!(answer.text("/error_code")?.starts_with(code), "{}", answer.json()?);
    assert!(!answer.text("/error_type")?.is_empty());
    assert!(!answer.text("/error_message")?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_connection_is_created_read_listed_and_deleted() -> Result<()> {
    let bench = Bench::new()?;
    let created = bench.create(&credentials(STORE)).await?;
    let connected = Connected::from(&created)?;
    assert_eq!(created.status(), 200);
    assert_eq!(
        created.text("/connection/link_url")?,
        format!("https://link.rutterapi.com/connection/{}", connected.id)
    );

    let detail = bench.get(&connected.detail()).await?;
    assert_eq!(detail.text("/connection/store_unique_id")?, "abc123");
    assert_eq!(detail.text("/connection/store_domain")?, STORE);
    assert_eq!(bench.get(LIST).await?.ids()?, [connected.id.to_string()]);

    let deleted = bench.send(delete(&connected.path())?).await?;
    assert_eq!((deleted.status().as_u16(), deleted.json()?), (200, json!({"success": true})));
    assert!(bench.get(LIST).await?.ids()?.is_empty());
    assert_refused(&bench.get(&connected.detail()).await?, 401, "INVALID_CREDENTIALS")?;
    Ok(())
}

#[tokio::test]
async fn every_answer_carries_a_request_id_and_the_time_of_the_provider() -> Result<()> {
    let bench = Bench::new()?;
    for path in [LIST, "/nowhere"] {
        let answer = bench.get(path).await?;
        assert!(answer.header("x-rutter-request-id").is_some());
        assert_eq!(answer.header("date"), Some("Mon, 05 Jan 2026 10:00:00 GMT"));
    }
    Ok(())
}

/// The core alone: no runtime, no clock, no socket.
#[test]
fn the_core_answers_by_itself() -> Result<()> {
    let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse()?);
    let simulator = Simulator::new(clock.clock(), Setup::default());
    let request = create(&credentials(STORE))?;
    let reply = simulator.with(|state| state.handle(clock.now(), &request));
    assert_eq!((reply.response.status().as_u16(), reply.delivery), (200, Delivery::Whole));
    assert_eq!(simulator.stats().in_flight, 0);
    Ok(())
}

#[rstest]
#[case::no_login("authorization", None, 401, "INVALID_CREDENTIALS")]
#[case::wrong_secret("authorization", Some("Basic dGVzdC1jbGllbnQtaWQ6d3Jvbmc="), 401, "INVALID_CREDENTIALS")]
#[case::wrong_scheme("authorization", Some("Bearer dGVzdC1jbGllbnQtaWQ6dGVzdC1jbGllbnQtc2VjcmV0"), 401, "INVALID")]
#[case::not_base64("authorization", Some("Basic ???"), 401, "INVALID_CREDENTIALS")]
#[case::no_version("x-rutter-version", None, 400, "MISSING_VERSION")]
#[case::unknown_version("x-rutter-version", Some("2019-01-01"), 400, "INVALID_REQUEST")]
#[case::no_content_type("content-type", None, 400, "INVALID_REQUEST")]
#[case::form("content-type", Some("application/x-www-form-urlencoded"), 400, "INVALID_REQUEST")]
#[tokio::test]
async fn headers_are_checked(
    #[case] name: &'static str,
    #[case] value: Option<&str>,
    #[case] status: u16,
    #[case] code: &str,
) -> Result<()> {
    let bench = Bench::new()?;
    let answer = bench.send(with_header(create(&credentials(STORE))?, name, value)?).await?;
    assert_refused(&answer, status, code)?;
    assert_eq!(bench.simulator.stats().creates, 0);
    Ok(())
}

#[rstest]
#[tokio::test]
async fn four_versions_are_known(
    #[values("2023-02-07", "2023-03-14", "2024-04-30", "2024-08-31")] version: &str,
) -> Result<()> {
    let bench = Bench::new()?;
    let answer = bench.send(with_header(get(LIST)?, "x-rutter-version", Some(version))?).await?;
    assert_eq!(answer.status(), 200);
    Ok(())
}

#[rstest]
#[case::bare_host("store-abc123.mybigcommerce.com")]
#[case::scheme("https://store-abc123.mybigcommerce.com/")]
#[case::capitals("Store-ABC123.MyBigCommerce.com")]
#[tokio::test]
async fn a_store_url_comes_down_to_its_host(#[case] store_url: &str) -> Result<()> {
    let bench = Bench::new()?;
    let connected = Connected::from(&bench.create(&credentials(store_url)).await?)?;
    assert_eq!(bench.get(&connected.detail()).await?.text("/connection/store_domain")?, STORE);
    Ok(())
}

#[rstest]
#[case::no_platform(json!({"store_url": STORE, "oauth_access_token": "t"}), "MISSING_PLATFORM")]
#[case::only_scope(json!({"scope": "s"}), "MISSING_PLATFORM")]
#[case::no_store(json!({"platform": "BIG_COMMERCE", "oauth_access_token": "t"}), "MISSING_FIELDS")]
#[case::no_token(json!({"platform": "BIG_COMMERCE", "store_url": STORE}), "MISSING_FIELDS")]
#[case::unknown_platform(json!({"platform": "BIGCOMMERCE", "store_url": STORE}), "INVALID_REQUEST")]
#[case::link_only_platform(json!({"platform": "ETSY", "store_url": STORE}), "INVALID_REQUEST")]
#[case::platform_not_a_string(json!({"platform": 7}), "INVALID_REQUEST")]
#[case::unknown_field(json!({"platform": "BIG_COMMERCE", "store_url": STORE, "oauth_access_token": "t", "name": "n"}), "INVALID_REQUEST")]
#[case::field_of_another_platform(json!({"platform": "BIG_COMMERCE", "store_url": STORE, "oauth_access_token": "t", "api_key": "k"}), "INVALID_REQUEST")]
#[case::wrong_type(json!({"platform": "BIG_COMMERCE", "store_url": STORE, "oauth_access_token": 7}), "INVALID_REQUEST")]
#[case::null(json!({"platform": "BIG_COMMERCE", "store_url": STORE, "oauth_access_token": null}), "INVALID_REQUEST")]
#[case::empty(json!({"platform": "BIG_COMMERCE", "store_url": STORE, "oauth_access_token": ""}), "INVALID_REQUEST")]
#[case::not_an_object(json!([1]), "INVALID_REQUEST")]
#[case::another_host(credentials("shop.example.com"), "INVALID_REQUEST")]
#[case::only_the_suffix(credentials("mybigcommerce.com"), "INVALID_REQUEST")]
#[case::suffix_in_front(credentials("store-a.mybigcommerce.com.example.com"), "INVALID_REQUEST")]
#[case::a_path(credentials("store-a.mybigcommerce.com/admin"), "INVALID_REQUEST")]
#[case::a_query(credentials("store-a.mybigcommerce.com?x=1"), "INVALID_REQUEST")]
#[case::a_login(credentials("https://u:p@store-a.mybigcommerce.com"), "INVALID_REQUEST")]
#[tokio::test]
async fn a_body_with_a_fault_is_refused(#[case] body: Value, #[case] code: &str) -> Result<()> {
    let bench = Bench::new()?;
    assert_refused(&bench.create(&body).await?, 400, code)?;
    assert_eq!(bench.simulator.stats().creates, 0);
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() -> Result<()> {
    let bench = Bench::new()?;
    let answer = bench.send(request(Method::POST, CREATE, Bytes::from_static(b"{\"platform\""))?).await?;
    assert_refused(&answer, 400, "INVALID_REQUEST")
}

/// The credential table, row by row: with all fields it is accepted, without any one of them refused.
#[rstest]
#[case("BIG_COMMERCE", &["store_url=a.mybigcommerce.com", "oauth_access_token"])]
#[case("SHOPIFY", &["store_url=a.myshopify.com", "oauth_client_id", "oauth_client_secret", "oauth_access_token"])]
#[case("SHOPIFY", &["store_url=a.myshopify.com", "basic_username", "basic_password"])]
#[case("WOO_COMMERCE", &["store_url=a.example.com/shop", "basic_username", "basic_password"])]
#[case("MAGENTO", &["store_url=a.example.com", "basic_username", "basic_password"])]
#[case("PRESTASHOP", &["store_url=a.example.com", "api_key"])]
#[case("SHOPER", &["store_url=a.example.com", "oauth_access_token", "oauth_refresh_token"])]
#[case("AMAZON", &["oauth_client_id", "oauth_client_secret", "oauth_refresh_token", "amazon_access_key_id", "amazon_secret_access_key", "amazon_selling_partner_role", "amazon_seller_region=eu"])]
#[case("EBAY", &["oauth_client_id", "oauth_client_secret", "oauth_refresh_token"])]
#[case("SQUARE", &["oauth_client_id", "oauth_client_secret", "oauth_refresh_token"])]
#[case("LAZADA", &["oauth_client_id", "oauth_client_secret", "oauth_access_token", "oauth_refresh_token", "country"])]
#[case("FNAC", &["partner_id", "shop_id", "key"])]
#[case("STRIPE", &["account_id", "oauth_access_token"])]
#[case("QUICKBOOKS", &["oauth_client_id", "oauth_client_secret", "oauth_refresh_token", "realm_id"])]
#[case("NETSUITE", &["token_id", "token_secret", "consumer_key", "consumer_secret", "store_name"])]
#[case("WALMART", &["oauth_client_id", "oauth_client_secret"])]
#[case("XERO", &["oauth_client_id", "oauth_client_secret", "oauth_refresh_token", "tenant_id", "user_id"])]
#[tokio::test]
async fn each_platform_wants_its_own_fields(#[case] platform: &str, #[case] fields: &[&str]) -> Result<()> {
    let bench = Bench::new()?;
    let body = |without: Option<&str>| -> Value {
        let fields = fields.iter().map(|field| field.split_once('=').unwrap_or((field, "x")));
        let kept = fields.filter(|(name, _)| Some(*name) != without);
        kept.chain([("platform", platform)]).map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
    };
    let whole = bench.create(&body(None)).await?;
    assert_eq!(whole.status(), 200, "{}", whole.json()?);
    for field in fields {
        let name = field.split('=').next();
        assert_refused(&bench.create(&body(name)).await?, 400, "MISSING_FIELDS")?;
    }
    Ok(())
}

#[rstest]
#[case::xero_is_younger("XERO", json!({"oauth_client_id": "a", "oauth_client_secret": "a", "oauth_refresh_token": "a", "tenant_id": "a", "user_id": "a"}))]
#[case::netsuite_had_a_public_key("NETSUITE", json!({"token_id": "a", "token_secret": "a", "consumer_key": "a", "consumer_secret": "a", "store_name": "a"}))]
#[tokio::test]
async fn the_first_version_differs(#[case] platform: &str, #[case] mut body: Value) -> Result<()> {
    let bench = Bench::new()?;
    if let Some(fields) = body.as_object_mut() {
        fields.insert("platform".to_owned(), Value::from(platform));
    }
    assert_eq!(bench.create(&body).await?.status(), 200);
    let old = with_header(create(&body)?, "x-rutter-version", Some("2023-02-07"))?;
    assert_eq!(bench.send(old).await?.status(), 400);
    Ok(())
}

#[rstest]
#[case::elsewhere(Method::GET, "/connections")]
#[case::no_such_endpoint(Method::GET, "/versioned/products")]
#[case::a_longer_path(Method::GET, "/versioned/connections/a/b")]
#[case::another_prefix(Method::GET, "/versioned/connectionsx")]
#[case::read_by_id(Method::GET, "/versioned/connections/5b0f4a52-6d8e-4a39-9a36-0f3f5f0f1c11")]
#[case::wrong_verb(Method::PUT, "/versioned/connections/create")]
#[case::delete_all(Method::DELETE, "/versioned/connections")]
#[tokio::test]
async fn what_is_not_in_the_reference_is_not_there(#[case] method: Method, #[case] path: &str) -> Result<()> {
    let bench = Bench::new()?;
    let answer = bench.send(request(method, path, Bytes::new())?).await?;
    assert_refused(&answer, 404, "NOT_FOUND")
}

#[rstest]
#[case::no_token("/versioned/connections/status", 400, "MISSING_ACCESS_TOKEN")]
#[case::not_a_token("/versioned/connections/status?access_token=x", 401, "INVALID_CREDENTIALS")]
#[case::unknown_token(
    "/versioned/connections/access_token?access_token=5b0f4a52-6d8e-4a39-9a36-0f3f5f0f1c11",
    401,
    "INVALID_CREDENTIALS"
)]
#[case::unknown_filter("/versioned/connections?status=all", 400, "INVALID_REQUEST")]
#[case::invented_parameter("/versioned/connections?limit=10", 400, "INVALID_REQUEST")]
#[case::twice("/versioned/connections?status=any&status=any", 400, "INVALID_REQUEST")]
#[tokio::test]
async fn queries_are_checked(#[case] path: &str, #[case] status: u16, #[case] code: &str) -> Result<()> {
    let bench = Bench::new()?;
    assert_refused(&bench.get(path).await?, status, code)
}

#[rstest]
#[case(Gone::NotFound, 404)]
#[case(Gone::Gone, 410)]
#[tokio::test]
async fn an_unknown_connection_cannot_be_deleted(#[case] gone: Gone, #[case] status: u16) -> Result<()> {
    let bench = Bench::new()?;
    bench.simulator.configure(|settings| settings.gone = gone);
    let connected = bench.connect().await?;
    assert_eq!(bench.send(delete(&connected.path())?).await?.status(), 200);
    assert_refused(&bench.send(delete(&connected.path())?).await?, status, "NOT_FOUND")?;
    assert_refused(&bench.send(delete(&format!("{LIST}/{}", connected.token))?).await?, status, "NOT_FOUND")?;
    assert_refused(&bench.send(delete(&format!("{LIST}/no-uuid"))?).await?, status, "NOT_FOUND")
}

#[tokio::test]
async fn a_connection_cannot_be_changed_unless_switched_on() -> Result<()> {
    let bench = Bench::new()?;
    let connected = bench.connect().await?;
    let patch = || request(Method::PATCH, &connected.path(), Bytes::from_static(b"{}"));
    assert_refused(&bench.send(patch()?).await?, 400, "INVALID_REQUEST")?;
    bench.simulator.configure(|settings| settings.patch = true);
    assert_eq!(bench.send(patch()?).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn another_organization_sees_nothing() -> Result<()> {
    let stranger = Account { client_id: "b".to_owned(), org_id: "b".to_owned(), ..Account::default() };
    let bench = Bench::new()?;
    let setup = Setup { accounts: vec![Account::default(), stranger], ..Setup::default() };
    let bench = Bench { simulator: Simulator::new(bench.clock.clock(), setup), ..bench };
    let connected = bench.connect().await?;
    let as_b =
        |request: Request<Bytes>| with_header(request, "authorization", Some("Basic Yjp0ZXN0LWNsaWVudC1zZWNyZXQ="));
    assert!(bench.send(as_b(get(LIST)?)?).await?.ids()?.is_empty());
    assert_eq!(bench.send(as_b(get(&connected.detail())?)?).await?.status(), 401);
    assert_eq!(bench.send(as_b(delete(&connected.path())?)?).await?.status(), 404);
    Ok(())
}

#[tokio::test]
async fn an_organization_is_held_to_its_rate() -> Result<()> {
    let bench = Bench::new()?;
    let account = Account {
        rate_limit: Some(RateLimit { requests: 2, per: std::time::Duration::from_secs(10) }),
        ..Account::default()
    };
    let setup = Setup { accounts: vec![account], ..Setup::default() };
    let bench = Bench { simulator: Simulator::new(bench.clock.clock(), setup), ..bench };
    for status in [200, 200, 429] {
        assert_eq!(bench.get(LIST).await?.status(), status);
    }
    assert_eq!(bench.get(LIST).await?.header("retry-after"), None);
    bench.advance(10);
    assert_eq!(bench.get(LIST).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn the_journal_tells_everything_but_secrets() -> Result<()> {
    let bench = Bench::new()?;
    let connected = Connected::from(
        &bench.send(with_header(create(&credentials(STORE))?, "idempotency-key", Some("key-1"))?).await?,
    )?;
    bench.get(&connected.detail()).await?;
    bench.get("/versioned/connections?status=any").await?;
    let journal = bench.simulator.journal();
    let [created, read, listed] = journal.as_slice() else { anyhow::bail!("three entries") };
    assert_eq!(created.operation, Operation::Create);
    assert_eq!(created.body_fields, ["oauth_access_token", "platform", "store_url"]);
    assert_eq!(created.idempotency_key.as_deref(), Some("key-1"));
    assert_eq!(created.connection_id, Some(connected.id));
    assert_eq!(created.store.as_deref(), Some(STORE));
    assert_eq!((created.seq, created.status, created.in_flight), (1, Some(200), 1));
    assert_eq!(read.connection_id, Some(connected.id));
    assert_eq!(read.path, "/versioned/connections/access_token?access_token=REDACTED");
    assert_eq!(listed.path, "/versioned/connections?status=any");
    let text = serde_json::to_string(&journal)?;
    for secret in ["test-store-token", &connected.token.to_string(), "test-client-secret"] {
        assert!(!text.contains(secret), "{secret} in the journal");
    }
    Ok(())
}
