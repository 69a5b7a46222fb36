//! Another server that speaks the same contract, and uses every freedom that it leaves: pages, no `Date`, no domain of
//! the store, no dates in details, other statuses of success, fields and values that nobody announced.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tradewind::api::v1alpha1::Connection;

use crate::cluster::HANG;
use crate::world::{World, connection, id_of, store};

/// How many rows a page has.
const PAGE: usize = 2;

#[derive(Clone, Debug)]
struct Row {
    token: String,
    hash: String,
    created_at: Timestamp,
    reads: usize,
}

#[derive(Clone, Default)]
struct Other(Arc<Mutex<BTreeMap<String, Row>>>);

impl Other {
    fn router(&self) -> Router {
        Router::new()
            .route("/versioned/connections", get(list))
            .route("/versioned/connections/create", post(create))
            .route("/versioned/connections/access_token", get(detail))
            .route("/versioned/connections/status", get(status))
            .route("/versioned/connections/{id}", delete(remove))
            .with_state(self.clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<String, Row>) -> T) -> T {
        f(&mut self.0.lock().expect("no panic"))
    }

    fn by_token(&self, query: &BTreeMap<String, String>) -> Option<(String, Row)> {
        let token = query.get("access_token")?;
        self.with(|rows| {
            let (id, row) = rows.iter_mut().find(|(_, row)| row.token == *token)?;
            row.reads += 1;
            Some((id.clone(), row.clone()))
        })
    }
}

fn refused() -> Response {
    let body = json!({"error_type": "CONNECTION_ERROR", "error_code": "INVALID_CREDENTIALS", "error_message": "no"});
    (StatusCode::UNAUTHORIZED, Json(body)).into_response()
}

async fn list(State(other): State<Other>, Query(query): Query<BTreeMap<String, String>>, head: HeaderMap) -> Response {
    if !head.contains_key("authorization") || !head.contains_key("x-rutter-version") {
        return refused();
    }
    // Everything is well here: the filters for trouble show nothing.
    let wanted = query.get("status").is_some_and(|status| status == "any" || status == "active");
    let from: usize = query.get("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or_default();
    let rows: Vec<Value> = other.with(|rows| {
        let row = |(id, row): (&String, &Row)| {
            json!({
                "id": id, "access_token": row.token, "link_url": format!("https://link.example.com/{id}"),
                "platform": "BIG_COMMERCE", "created_at": row.created_at.to_string(),
                "updated_at": row.created_at.to_string(), "announced_tomorrow": {"a": [1]},
            })
        };
        rows.iter().filter(|_| wanted).map(row).collect()
    });
    let next = (from + PAGE < rows.len()).then(|| (from + PAGE).to_string());
    let page: Vec<_> = rows.into_iter().skip(from).take(PAGE).collect();
    Json(json!({"connections": page, "next_cursor": next})).into_response()
}

async fn create(State(other): State<Other>, Json(body): Json<Value>) -> Response {
    let host = body["store_url"].as_str().unwrap_or_default();
    let hash = host.strip_prefix("store-").and_then(|rest| rest.strip_suffix(".mybigcommerce.com"));
    let Some(hash) = hash.filter(|_| body["oauth_access_token"].is_string()) else { return refused() };
    let (id, token) = (format!("c.{}", uuid::Uuid::new_v4().simple()), format!("t-{}", uuid::Uuid::new_v4()));
    let row = Row { token: token.clone(), hash: hash.to_owned(), created_at: Timestamp::now(), reads: 0 };
    other.with(|rows| rows.insert(id.clone(), row));
    let made = json!({"connection": {"id": id, "access_token": token, "link_url": null, "more": true}});
    (StatusCode::CREATED, Json(made)).into_response()
}

async fn detail(State(other): State<Other>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let Some((id, row)) = other.by_token(&query) else { return refused() };
    let detail = json!({
        "id": id, "store_unique_id": row.hash, "store_domain": null, "store_name": null, "platform": "BIG_COMMERCE",
        "disabled": false, "needs_update": false, "link_url": "https://link.example.com", "unavailable_objects": [],
    });
    Json(json!({"connection": detail})).into_response()
}

async fn status(State(other): State<Other>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let Some((id, row)) = other.by_token(&query) else { return refused() };
    let status = json!({
        "is_ready": row.reads > 1, "is_healthy": true, "link_url": "https://link.example.com",
        "platform": "BIG_COMMERCE", "last_sync_completed_at": null,
        "needs_update_status": {"needs_update": false},
        "disabled_status": {"is_disabled": false, "disabled_reason": null},
        "historical_sync_status": {"historical_sync_completed": row.reads > 2, "total": {}, "batches": []},
        "created_at": row.created_at.to_string(),
    });
    Json(json!({"connection": {"id": id, "orgId": "org-elsewhere", "platform": "BIG_COMMERCE"}, "status": status}))
        .into_response()
}

async fn remove(State(other): State<Other>, Path(id): Path<String>) -> Response {
    match other.with(|rows| rows.remove(&id)) {
        Some(_) => Json(json!({"success": true})).into_response(),
        None => (StatusCode::GONE, Json(json!({"error_code": "NOT_FOUND"}))).into_response(),
    }
}

#[tokio::test]
async fn a_server_that_uses_its_freedoms_is_understood() {
    const OBJECTS: usize = 5;
    let other = Other::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(axum::serve(listener, other.router()).into_future());

    let mut world = World::quiet("another").await;
    world.settings.allow = tradewind::provider::AllowList::new(std::slice::from_ref(&origin)).expect("an endpoint");
    world.endpoint = format!("{origin}/versioned");
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&World::store_login()).await;
    // A stranger's record for the first store: found although nothing but the store's hash is told.
    let hash = "another-0".to_owned();
    let stranger = Row { token: "t-stranger".into(), hash, created_at: Timestamp::UNIX_EPOCH, reads: 0 };
    other.with(|rows| rows.insert("c.stranger".into(), stranger));
    world.start().await;
    for n in 0..OBJECTS {
        world.sandbox.apply(&connection(&format!("c{n}"), &store(&format!("another-{n}")), "")).await;
    }
    world.until("c0", "Ready", "False", "AlreadyExists").await;
    for n in 1..OBJECTS {
        let ready = world.settled(&format!("c{n}")).await;
        assert!(id_of(&ready).starts_with("c."));
    }
    assert_eq!(other.with(|rows| rows.len()), OBJECTS, "the stranger's and one for each of the others");
    for n in 0..OBJECTS {
        world.sandbox.delete::<Connection>(&format!("c{n}")).await;
        world.sandbox.wait_gone::<Connection>(&format!("c{n}"), HANG).await;
    }
    assert_eq!(other.with(|rows| rows.keys().cloned().collect::<Vec<_>>()), ["c.stranger"]);
    server.abort();
}
