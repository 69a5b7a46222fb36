//! What Rutter answers that no simulator of it would.

use super::*;
use crate::{
    api::v1alpha1::Provider,
    provider::{Backend, Session, WireError, contract},
    telemetry::{Metrics, lines::Lines},
};
use bytes::Bytes;
use http::{Request, Response};
use rstest::rstest;
use std::sync::Mutex;
use tower::{service_fn, util::BoxCloneSyncService};

/// A session with whatever answers to method, path and query.
fn session(answer: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static) -> Session {
    measured(&Metrics::new(), answer)
}

/// The same, with metrics that somebody reads.
fn measured(metrics: &Metrics, answer: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static) -> Session {
    let answer = Arc::new(answer);
    let wire = service_fn(move |request: Request<Bytes>| {
        let path = request.uri().path_and_query().expect("a path");
        let (status, body) = answer(&format!("{} {path}", request.method()));
        let response = Response::builder().status(status).body(Bytes::from(body.to_string())).expect("a response");
        std::future::ready(Ok::<_, WireError>(response))
    });
    let login = contract::login(Provider::Rutter, "https://sandbox.example.com/versioned", "2024-08-31", "id", "test");
    contract::measured(BoxCloneSyncService::new(wire), &login, metrics)
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

const SHORT: std::time::Duration = std::time::Duration::from_secs(1);

/// Some connections never tell their store: whoever read them with every look would never come to an end.
#[rstest]
#[case::a_domain_of_its_own("SHOPIFY", 200, json!({"store_domain": "shop.example.com", "store_unique_id": "123"}), 0)]
#[case::a_number_alone("WOO_COMMERCE", 200, json!({"store_domain": null, "store_unique_id": "123"}), 0)]
#[case::refused("SHOPIFY", 401, json!({}), 1)]
#[case::refused_by_its_code("SHOPIFY", 400, json!({"error_code": "CONNECTION_DISABLED"}), 1)]
#[tokio::test(start_paused = true)]
async fn what_was_read_of_a_connection_is_kept_although_it_does_not_tell_its_store(
    #[case] platform: &'static str,
    #[case] status: u16,
    #[case] body: Value,
    #[case] again: usize,
) {
    let read = Arc::new(Mutex::new(0));
    let count = Arc::clone(&read);
    let session = session(move |request| match request.strip_prefix(DETAIL) {
        Some(id) => {
            *count.lock().expect("a count") += 1;
            let mut told = body.clone();
            told["id"] = json!(id);
            (status, if status == 200 { json!({"connection": told}) } else { body.clone() })
        }
        None => (200, json!({"connections": [{"id": "a", "access_token": "a", "platform": platform}]})),
    });
    let key = Look::Key(NaturalKey::new(format!("{platform}/a.myshopify.com")));
    let reads = async || {
        let found = of(&session).observe(&key, Freshness::After(Instant::now()), Pace::Now).await.expect("records");
        assert!(found.len() == 1 && found[0].have.is_none(), "it may be of any store");
        std::mem::take(&mut *read.lock().expect("a count"))
    };
    assert_eq!((reads().await, reads().await), (1, again), "what was refused once need not be refused again");
    let mut all = 0;
    for _ in 0..24 * 60 {
        tokio::time::advance(SHORT * 60).await;
        all += reads().await;
    }
    assert!((24..40).contains(&all), "{all} in a day: it may tell its store some time");
}

#[rstest]
#[case::refused(404, json!({}), true, 1)]
#[case::refused_by_its_code(400, json!({"error_code": "CONNECTION_DISABLED"}), true, 1)]
#[case::refused_without_a_word(400, json!({}), false, 1)]
#[case::failed(500, json!({}), false, 1)]
#[case::unreadable(200, json!({"connection": {"id": 5}}), false, 1)]
#[case::anothers(200, json!({"connection": {"id": "a"}}), false, 1)]
#[case::a_limit_which_is_the_accounts(429, json!({}), false, 0)]
#[case::a_limit_of_its_platform(452, json!({}), false, 1)]
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

const STATUS: &str = "GET /versioned/connections/status?access_token=";
const REFRESH: &str = "POST /versioned/connections/";

/// Another store's platform has nothing to do with it.
#[rstest]
#[case::of_the_platform(452, Some(60), true)]
#[case::of_rutter(429, None, false)]
#[tokio::test]
async fn a_limit_stops_whom_it_is_of(#[case] status: u16, #[case] retry_after: Option<u64>, #[case] open: bool) {
    let metrics = Metrics::new();
    let session =
        measured(
            &metrics,
            move |request| {
                if request.starts_with(REFRESH) { (status, json!({})) } else { list(&["a", "b"]) }
            },
        );
    of(&session).reads.list(Freshness::After(Instant::now()), Pace::Now).await.expect("a list");
    let error = of(&session).refresh(&ExternalId::new("a"), &Load::Sync).await.expect_err("a limit");
    let told = (error.kind, error.effect, error.retry_after.map(|wait| wait.as_secs()));
    assert_eq!(told, (Kind::RateLimited, Effect::None, retry_after));
    let line = "tradewind_provider_throttled_requests_total{provider=\"Rutter\",by=\"provider\"} 1\n";
    assert!(metrics.text().contains(line), "{}", metrics.text());
    assert_eq!(session.gate.ticket().is_ok(), open);
}

/// The first connection of a list is anybody's.
#[tokio::test]
async fn a_platforms_limit_is_no_answer_to_who_the_login_is() {
    let session = session(|request| if request.starts_with(STATUS) { (452, json!({})) } else { list(&["a"]) });
    assert_eq!(of(&session).probe(Freshness::After(Instant::now()), Pace::Now).await, Ok(None));
}

/// A merchant who comes after it was read connects a store that nobody knew of.
#[tokio::test]
async fn a_connection_without_a_store_is_read_again() {
    let came = Arc::new(Mutex::new(false));
    let has_come = Arc::clone(&came);
    let session = session(move |request| match (request.strip_prefix(DETAIL), *has_come.lock().expect("a word")) {
        (Some(id), true) => detail(id),
        (Some(id), false) => (200, json!({"connection": {"id": id, "store_unique_id": "", "store_name": null}})),
        (None, came) => {
            let platform = if came { "SHOPIFY" } else { "UNKNOWN" };
            (200, json!({"connections": [{"id": "a", "access_token": "a", "platform": platform}]}))
        }
    });
    let found =
        async || look(&session).await.expect("records").into_iter().map(|r| r.have.is_some()).collect::<Vec<_>>();
    assert_eq!(found().await, [false], "it may be of any store");
    *came.lock().expect("a word") = true;
    assert_eq!(found().await, [true]);
}

/// Who authorizes a connection again may do so for another store.
#[tokio::test]
async fn a_connection_that_was_authorized_again_is_read_again() {
    let state = Arc::new(Mutex::new(("b", false)));
    let now = Arc::clone(&state);
    let session = session(move |request| {
        let (store, needs_update) = *now.lock().expect("a state");
        if request.starts_with(STATUS) {
            let status = json!({"is_ready": true, "needs_update_status": {"needs_update": needs_update}});
            return (200, json!({"connection": {"id": "x"}, "status": status}));
        }
        if request.starts_with(DETAIL) {
            let domain = format!("{store}.myshopify.com");
            return (200, json!({"connection": {"id": "x", "store_domain": domain, "store_name": "Acme"}}));
        }
        list(if request.contains("status=any") { &["x"] } else { &[] })
    });
    let is_it = async || !look(&session).await.expect("records").is_empty();
    let seen = async |store, needs_update| {
        *state.lock().expect("a state") = (store, needs_update);
        let id = Look::Id(ExternalId::new("x"));
        of(&session).observe(&id, Freshness::After(Instant::now()), Pace::Now).await.expect("a record");
    };
    seen("b", false).await;
    assert!(!is_it().await);
    seen("a", false).await;
    assert!(!is_it().await, "what is known is not read again");
    seen("a", true).await;
    seen("a", false).await;
    assert!(is_it().await);
}

/// What an id in another spelling names is what another object holds.
#[rstest]
#[case::capitals("0D7E3C1A-4A1B-4A1E-8B53-2F6B0F9E7A22", 0)]
#[case::without_dashes("0d7e3c1a4a1b4a1e8b532f6b0f9e7a22", 0)]
#[case::as_it_is_listed(LISTED, 1)]
#[case::not_listed_yet("11111111-4a1b-4a1e-8b53-2f6b0f9e7a22", 1)]
#[tokio::test]
async fn what_another_spelling_names_is_not_deleted(#[case] id: &str, #[case] sent: usize) {
    let deleted = Arc::new(Mutex::new(0));
    let count = Arc::clone(&deleted);
    let session = session(move |request| {
        if request.starts_with("DELETE") {
            *count.lock().expect("a count") += 1;
            return (200, json!({"success": true}));
        }
        list(&[LISTED])
    });
    let id = ExternalId::new(id);
    let found = of(&session).observe(&Look::Id(id.clone()), Freshness::After(Instant::now()), Pace::Now).await;
    assert_eq!(found.is_ok_and(|found| found.is_empty()), id.as_str() != LISTED);
    assert_eq!(of(&session).delete(DeletePermit::mint(id)).await, Ok(()));
    assert_eq!(*deleted.lock().expect("a count"), sent);
}

/// An endpoint that is not there says 404 as well, and so does a proxy. Of an id that is gone 410 is said, or no list shows it.
#[rstest]
#[case::gone_and_not_listed(404, &[], true)]
#[case::listed_all_the_same(404, &[LISTED], false)]
#[case::gone_by_its_status(410, &[LISTED], true)]
#[tokio::test]
async fn what_a_list_shows_is_not_gone(#[case] status: u16, #[case] listed: &'static [&str], #[case] is_gone: bool) {
    let session = session(move |request| {
        if request.starts_with("DELETE") { (status, json!({"error_message": "no such path"})) } else { list(listed) }
    });
    let answer = of(&session).delete(DeletePermit::mint(ExternalId::new(LISTED))).await;
    assert_eq!(answer.map_err(|e| e.kind), if is_gone { Ok(()) } else { Err(Kind::NotFound) });
}

/// As many as docs/providers/rutter.md says, with all that the reference shows of one.
#[tokio::test]
async fn seven_thousand_connections_are_read_at_once() {
    let row = |n: usize| {
        let id = format!("5b0f4a52-6d8e-4a39-9a36-{n:012}");
        json!({
            "id": id, "access_token": "0d7e3c1a-4a1b-4a1e-8b53-2f6b0f9e7a22", "platform": "BIG_COMMERCE",
            "link_url": format!("https://link.rutterapi.com/connection/{id}"),
            "created_at": "2026-01-05T10:00:00.000Z", "updated_at": "2026-01-05T10:04:00.000Z",
        })
    };
    let all = json!({"connections": (0..7000).map(row).collect::<Vec<_>>()});
    let session = session(move |_| (200, all.clone()));
    let read = of(&session).reads.list(Freshness::After(Instant::now()), Pace::Now).await.expect("a list");
    assert_eq!(read.rows.len(), 7000);
}

const LISTED: &str = "0d7e3c1a-4a1b-4a1e-8b53-2f6b0f9e7a22";

/// Its id is in no object before all that is read of it has come to its end.
#[tokio::test(start_paused = true)]
async fn what_is_read_of_a_new_connection_takes_no_longer_than_one_call() {
    let began = Instant::now();
    let wire = service_fn(|request: Request<Bytes>| async move {
        if request.method() != Method::POST {
            // Each answers just in time.
            timeout(std::time::Duration::from_secs(59), std::future::pending::<()>()).await.expect_err("late");
            return Ok(Response::new(Bytes::from(json!({"connections": []}).to_string())));
        }
        let made = json!({"connection": {"id": "a", "access_token": "t"}});
        Ok::<_, WireError>(Response::new(Bytes::from(made.to_string())))
    });
    let login = contract::login(Provider::Rutter, "https://sandbox.example.com/versioned", "2024-08-31", "id", "test");
    let session = contract::session(BoxCloneSyncService::new(wire), &login);
    let made = of(&session).create(contract::permit(&session, "test"), &by_link(), &Credentials::default()).await;
    assert_eq!(made.expect("a record").id().map(ExternalId::as_str), Some("a"));
    let call = of(&session).timing.call;
    assert!(began.elapsed() <= call, "{:?} and no more than {call:?}", began.elapsed());
    assert!(of(&session).reads.token("a").is_some(), "what follows finds it");
}

#[rstest]
#[case::a_cursor(json!({"connections": [], "next_cursor": "x".repeat(9 << 10)}))]
#[case::more_rows_than_there_is_room_for(json!({"connections": vec![json!({"id": "a"}); 40_000]}))]
#[tokio::test]
async fn a_list_that_takes_too_much_is_none(#[case] body: Value) {
    let session = session(move |_| (200, body.clone()));
    let error = look(&session).await.expect_err("no list");
    assert_eq!((error.kind, error.effect), (Kind::Protocol, Effect::None));
}
