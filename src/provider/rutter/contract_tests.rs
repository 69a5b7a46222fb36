//! What Rutter answers that no simulator of it would.

use super::*;
use crate::{
    api::v1alpha1::Provider,
    provider::{Backend, Session, WireError, contract},
    telemetry::lines::Lines,
};
use bytes::Bytes;
use http::{Request, Response};
use rstest::rstest;
use std::sync::Mutex;
use tower::{service_fn, util::BoxCloneSyncService};

/// A session with whatever answers to method, path and query.
fn session(answer: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static) -> Session {
    let answer = Arc::new(answer);
    let wire = service_fn(move |request: Request<Bytes>| {
        let path = request.uri().path_and_query().expect("a path");
        let (status, body) = answer(&format!("{} {path}", request.method()));
        let response = Response::builder().status(status).body(Bytes::from(body.to_string())).expect("a response");
        std::future::ready(Ok::<_, WireError>(response))
    });
    let login = contract::login(Provider::Rutter, "https://sandbox.example.com/versioned", "2024-08-31", "id", "test");
    contract::session(BoxCloneSyncService::new(wire), &login)
}

fn of(session: &Session) -> &Rutter {
    let Backend::Rutter(rutter) = &session.backend else { panic!("a session of another provider") };
    rutter
}

const LIST: &str = "GET /versioned/connections?";
const DETAIL: &str = "GET /versioned/connections/access_token?access_token=";

fn list(ids: &[&str]) -> (u16, Value) {
    let row = |id: &&str| json!({"id": id, "access_token": id, "platform": "SHOPIFY"});
    (200, json!({"connections": ids.iter().map(row).collect::<Vec<_>>()}))
}

fn detail(id: &str) -> (u16, Value) {
    let domain = format!("{id}.myshopify.com");
    (200, json!({"connection": {"id": id, "store_domain": domain, "created_at": "2026-01-05T10:00:00Z"}}))
}

async fn look(session: &Session) -> Result<Vec<Record<Have>>, ApiError> {
    let key = Look::Key(NaturalKey::new("SHOPIFY/a.myshopify.com"));
    of(session).observe(&key, Freshness::After(Instant::now()), Pace::Now).await
}

#[tokio::test]
async fn what_was_read_of_a_connection_is_kept_for_as_long_as_it_is_listed() {
    let (listed, read) = (Arc::new(Mutex::new(vec!["a", "b"])), Arc::new(Mutex::new(Vec::new())));
    let (rows, log) = (Arc::clone(&listed), Arc::clone(&read));
    let session = session(move |request| match request.strip_prefix(DETAIL) {
        Some(id) => {
            log.lock().expect("a log").push(id.to_owned());
            detail(id)
        }
        None => list(&rows.lock().expect("rows")),
    });
    let again = async |rows: &[&'static str]| {
        *listed.lock().expect("rows") = rows.to_vec();
        look(&session).await.expect("records");
        std::mem::take(&mut *read.lock().expect("a log"))
    };
    assert_eq!(again(&["a", "b"]).await, ["a", "b"]);
    assert_eq!(again(&["a", "b"]).await, [""; 0], "once is enough");
    assert_eq!(again(&["a"]).await, [""; 0]);
    assert_eq!(again(&["a", "b"]).await, ["b"], "nothing was kept of what was gone");
}

#[rstest]
#[case::refused(404, json!({}), true, 1)]
#[case::refused_by_its_code(400, json!({"error_code": "CONNECTION_DISABLED"}), true, 1)]
#[case::refused_without_a_word(400, json!({}), false, 1)]
#[case::failed(500, json!({}), false, 1)]
#[case::unreadable(200, json!({"connection": {"id": 5}}), false, 1)]
#[case::anothers(200, json!({"connection": {"id": "a"}}), false, 1)]
#[case::a_limit_which_is_the_accounts(429, json!({}), false, 0)]
#[tokio::test]
async fn a_connection_that_cannot_be_read_is_named(
    #[case] status: u16,
    #[case] body: Value,
    #[case] found: bool,
    #[case] times: usize,
) {
    let session = session(move |request| match request.strip_prefix(DETAIL) {
        Some("b-1") => (status, body.clone()),
        Some(id) => detail(id),
        None => list(&["a", "b-1", "c"]),
    });
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let ids = {
        let _guard = tracing::subscriber::set_default(subscriber);
        look(&session).await.map(|found| found.into_iter().map(|record| record.id.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(ids.ok(), found.then(|| vec!["a".to_owned(), "b-1".to_owned()]), "it may be the one, where it is told");
    let log = lines.text();
    let named: Vec<&str> = log.lines().filter(|line| line.contains("a connection cannot be read")).collect();
    assert!(named.len() == times && named.iter().all(|line| line.contains("WARN") && line.contains("id=b-1")), "{log}");
    assert!(!log.contains("access_token"), "{log}");
}

/// A declaration for a merchant to follow a link.
fn by_link() -> RutterWant {
    let spec = json!({"provider": "Rutter", "accountRef": {"name": "a"}, "connectionSecretRef": {"name": "s"},
                      "rutter": {"authorization": "Link"}});
    Rutter::want(&Declaration::Connection(serde_json::from_value(spec).expect("a spec"))).expect("a want")
}

#[rstest]
#[case::both(64, 64, Ok(2))]
#[case::no_link(64, 1 << 19, Ok(1))]
#[case::no_token(1 << 19, 64, Err((Kind::Protocol, Effect::Unknown)))]
#[tokio::test]
async fn a_token_or_a_link_that_nobody_could_use_is_none(
    #[case] token: usize,
    #[case] link: usize,
    #[case] expected: Result<usize, (Kind, Effect)>,
) {
    let (token, link) = ("t".repeat(token), format!("https://link.example.com/{}", "x".repeat(link)));
    let made = json!({"connection": {"id": "a", "access_token": token, "link_url": link}});
    let session = session(move |request| match request {
        create if create.starts_with("POST") => (200, made.clone()),
        request if request.starts_with(LIST) => list(&[]),
        request if request.starts_with(DETAIL) => detail("a"),
        _ => (404, json!({})),
    });
    let made = of(&session).create(contract::permit(&session, "test"), &by_link(), &Credentials::default()).await;
    let texts = made.map(|made| match made {
        Made::Created(created) => created.summary.secret.expect("a Secret").0.len() - 1,
        Made::Accepted(_) => panic!("Rutter tells the id with the link"),
    });
    assert_eq!(texts.map_err(|e| (e.kind, e.effect)), expected);
}
