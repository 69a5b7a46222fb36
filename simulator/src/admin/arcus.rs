//! The part of the admin API that is about Arcus.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;

use crate::arcus::{Deed, NoSuch, Record, Settings};
use crate::simulator::Simulator;

/// Everything under `/_sim/arcus/`.
pub(super) fn router() -> Router<Simulator> {
    Router::new()
        .route("/_sim/arcus/connectors", get(async |State(simulator): State<Simulator>| Json(simulator.connectors())))
        .route("/_sim/arcus/links", get(async |State(simulator): State<Simulator>| Json(simulator.arcus_links())))
        .route("/_sim/arcus/deeds", post(act))
        .route("/_sim/arcus/keys/{name}", put(change_key))
        .route("/_sim/arcus/settings", get(settings).put(configure))
}

impl IntoResponse for NoSuch {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Entity | Self::Key | Self::Connector | Self::Link => StatusCode::NOT_FOUND,
            Self::Fields => StatusCode::BAD_REQUEST,
        };
        (status, self.to_string()).into_response()
    }
}

/// What of a key can be changed; what is left out stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyChange {
    revoked: Option<bool>,
    scopes: Option<Vec<String>>,
    expires_at: Option<Timestamp>,
    address_refused: Option<bool>,
}

async fn act(State(simulator): State<Simulator>, Json(deed): Json<Deed>) -> Result<Json<Option<Record>>, NoSuch> {
    simulator.act_arcus(&deed).map(Json)
}

async fn change_key(
    State(simulator): State<Simulator>,
    Path(name): Path<String>,
    Json(KeyChange { revoked, scopes, expires_at, address_refused }): Json<KeyChange>,
) -> Result<StatusCode, NoSuch> {
    simulator.change_key(&name, |account| {
        account.revoked = revoked.unwrap_or(account.revoked);
        account.expires_at = expires_at.or(account.expires_at);
        account.address_refused = address_refused.unwrap_or(account.address_refused);
        if let Some(scopes) = scopes {
            account.scopes = scopes;
        }
    })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn settings(State(simulator): State<Simulator>) -> Json<Settings> {
    Json(simulator.with(|state| state.arcus().settings().clone()))
}

async fn configure(State(simulator): State<Simulator>, Json(wanted): Json<Settings>) -> StatusCode {
    simulator.configure_arcus(|settings| *settings = wanted);
    StatusCode::NO_CONTENT
}
