//! The part of the admin API that is about SKU.io.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;

use crate::simulator::Simulator;
use crate::sku_io::{Deed, NoSuch, Record, Settings};

/// Everything under `/_sim/sku-io/`.
pub(super) fn router() -> Router<Simulator> {
    Router::new()
        .route("/_sim/sku-io/instances", get(async |State(simulator): State<Simulator>| Json(simulator.instances())))
        .route("/_sim/sku-io/instances/{id}", delete(remove))
        .route("/_sim/sku-io/jobs", get(async |State(simulator): State<Simulator>| Json(simulator.sku_jobs())))
        .route("/_sim/sku-io/deeds", post(act))
        .route("/_sim/sku-io/tokens/{id}", put(change_token))
        .route("/_sim/sku-io/settings", get(settings).put(configure))
}

impl IntoResponse for NoSuch {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Tenant | Self::Token | Self::Instance | Self::Job => StatusCode::NOT_FOUND,
            Self::Fields => StatusCode::BAD_REQUEST,
        };
        (status, self.to_string()).into_response()
    }
}

/// What of a token can be changed; what is left out stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenChange {
    revoked: Option<bool>,
    scopes: Option<Vec<String>>,
}

async fn remove(State(simulator): State<Simulator>, Path(instance): Path<u64>) -> Result<Json<Record>, NoSuch> {
    simulator.act_sku(&Deed::Delete { instance }).map(Json)
}

async fn act(State(simulator): State<Simulator>, Json(deed): Json<Deed>) -> Result<Json<Record>, NoSuch> {
    simulator.act_sku(&deed).map(Json)
}

async fn change_token(
    State(simulator): State<Simulator>,
    Path(token_id): Path<u64>,
    Json(TokenChange { revoked, scopes }): Json<TokenChange>,
) -> Result<StatusCode, NoSuch> {
    simulator.change_token(token_id, |account| {
        account.revoked = revoked.unwrap_or(account.revoked);
        if let Some(scopes) = scopes {
            account.scopes = scopes;
        }
    })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn settings(State(simulator): State<Simulator>) -> Json<Settings> {
    Json(simulator.with(|state| state.sku_io().settings().clone()))
}

async fn configure(State(simulator): State<Simulator>, Json(wanted): Json<Settings>) -> StatusCode {
    simulator.configure_sku_io(|settings| *settings = wanted);
    StatusCode::NO_CONTENT
}
