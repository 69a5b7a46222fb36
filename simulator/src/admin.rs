//! The admin API of the binary, under `/_sim/`: what tests do through a [`Simulator`] handle, over HTTP.
//!
//! Owns only the translation. It has no login, because whoever can reach it can do no harm but to a simulation.
//!
//! | request | what |
//! | --- | --- |
//! | `GET /_sim/journal` | every request so far, as [`Entry`](crate::Entry) |
//! | `GET /_sim/stats` | what it adds up to, as [`Stats`](crate::Stats) |
//! | `GET /_sim/connections` | every connection that there ever was, as [`Record`](rutter::Record) |
//! | `DELETE /_sim/connections/{id}` | delete one behind the client's back |
//! | `POST /_sim/strangers` | let a stranger connect a store: `platform`, `store_url`, perhaps `client_id` |
//! | `POST /_sim/deeds` | any other [`Deed`]: trouble, mending, readiness, a merchant who follows a link |
//! | `POST /_sim/faults` | let something go wrong: a [`Fault`] |
//! | `DELETE /_sim/faults` | let nothing go wrong any more |
//! | `GET`, `PUT /_sim/settings` | the switches, as [`Settings`](rutter::Settings); what is left out is default |
//! | `PUT /_sim/frozen` | `true` stops all data, `false` lets it move on |
//! | `GET /_sim/sku-io/instances` | every instance that there ever was, as [`Record`](crate::sku_io::Record) |
//! | `DELETE /_sim/sku-io/instances/{id}` | delete one behind the client's back |
//! | `GET /_sim/sku-io/jobs` | every job, as [`JobRecord`](crate::sku_io::JobRecord) |
//! | `POST /_sim/sku-io/deeds` | any other [`Deed`](crate::sku_io::Deed): make, fill, change, rename, archive, lock |
//! | `PUT /_sim/sku-io/tokens/{id}` | change a token, by its public part: `revoked`, `scopes` |
//! | `GET`, `PUT /_sim/sku-io/settings` | the switches, as [`Settings`](crate::sku_io::Settings) |
//! | `GET /_sim/arcus/connectors` | every connector that there ever was, as [`Record`](crate::arcus::Record) |
//! | `GET /_sim/arcus/links` | every link for consent, as [`LinkRecord`](crate::arcus::LinkRecord) |
//! | `POST /_sim/arcus/deeds` | any [`Deed`](crate::arcus::Deed): credentials, consent, deletes, changes, trouble |
//! | `PUT /_sim/arcus/keys/{name}` | change a key: `revoked`, `scopes`, `expires_at`, `address_refused` |
//! | `GET`, `PUT /_sim/arcus/settings` | the switches, as [`Settings`](crate::arcus::Settings) |
//!
//! Beside it, under `/_pages/`, are the pages on which a person connects a store or consents.

mod arcus;
mod sku_io;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use crate::fault::Fault;
use crate::rutter::{self, Deed, NoSuch};
use crate::service::answer;
use crate::simulator::Simulator;

impl Simulator {
    /// The provider APIs together with the admin API.
    pub fn router_with_admin(&self) -> Router {
        Router::new()
            .route("/_sim/journal", get(async |State(simulator): State<Self>| Json(simulator.journal())))
            .route("/_sim/stats", get(async |State(simulator): State<Self>| Json(simulator.stats())))
            .route("/_sim/connections", get(async |State(simulator): State<Self>| Json(simulator.connections())))
            .route("/_sim/connections/{id}", delete(remove))
            .route("/_sim/strangers", post(connect))
            .route("/_sim/deeds", post(act))
            .route("/_sim/faults", post(push_fault).delete(clear_faults))
            .route("/_sim/settings", get(settings).put(configure))
            .route("/_sim/frozen", put(freeze))
            .merge(sku_io::router())
            .merge(arcus::router())
            .fallback(answer)
            .with_state(self.clone())
    }
}

impl IntoResponse for NoSuch {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Account | Self::Connection => StatusCode::NOT_FOUND,
            Self::Store => StatusCode::BAD_REQUEST,
        };
        (status, self.to_string()).into_response()
    }
}

/// A store that a stranger connects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stranger {
    #[serde(default)]
    client_id: Option<String>,
    platform: String,
    store_url: String,
}

async fn connect(
    State(simulator): State<Simulator>,
    Json(Stranger { client_id, platform, store_url }): Json<Stranger>,
) -> Result<(StatusCode, Json<rutter::Record>), NoSuch> {
    let record = simulator.act(&Deed::Connect { client_id, platform, store_url })?;
    Ok((StatusCode::CREATED, Json(record)))
}

async fn remove(
    State(simulator): State<Simulator>,
    Path(connection): Path<Uuid>,
) -> Result<Json<rutter::Record>, NoSuch> {
    simulator.act(&Deed::Delete { connection }).map(Json)
}

async fn act(State(simulator): State<Simulator>, Json(deed): Json<Deed>) -> Result<Json<rutter::Record>, NoSuch> {
    simulator.act(&deed).map(Json)
}

async fn push_fault(State(simulator): State<Simulator>, Json(fault): Json<Fault>) -> StatusCode {
    simulator.push_fault(fault);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(simulator): State<Simulator>) -> StatusCode {
    simulator.clear_faults();
    StatusCode::NO_CONTENT
}

async fn settings(State(simulator): State<Simulator>) -> Json<rutter::Settings> {
    Json(simulator.with(|state| state.rutter().settings().clone()))
}

async fn configure(State(simulator): State<Simulator>, Json(wanted): Json<rutter::Settings>) -> StatusCode {
    simulator.configure(|settings| *settings = wanted);
    StatusCode::NO_CONTENT
}

async fn freeze(State(simulator): State<Simulator>, Json(frozen): Json<bool>) -> StatusCode {
    simulator.freeze(frozen);
    StatusCode::NO_CONTENT
}
