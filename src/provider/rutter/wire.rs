//! Rutter's JSON as it travels. Unknown fields and enum values are tolerated: Rutter adds them without a new version.
//!
//! Source: Rutter's public reference, "Connections", and its OpenAPI document.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// A stamp that is absent, null or unreadable is unknown: nothing that we decide may rest on it then.
fn stamp<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<serde_json::Value>::deserialize(d)?.and_then(|v| v.as_str()?.parse().ok()))
}

/// `GET /connections`.
#[derive(Deserialize)]
pub(super) struct ListReply {
    pub(super) connections: Vec<Row>,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

/// One row of the list. Only the id is indispensable.
#[derive(Deserialize, Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    #[serde(default)]
    pub(super) access_token: Option<SecretString>,
    #[serde(default)]
    pub(super) link_url: Option<SecretString>,
    #[serde(default)]
    pub(super) platform: Option<String>,
    #[serde(default, deserialize_with = "stamp")]
    pub(super) created_at: Option<Timestamp>,
}

/// `GET /connections/access_token`.
#[derive(Deserialize)]
pub(super) struct DetailReply {
    pub(super) connection: Detail,
}

/// One connection in detail.
#[derive(Deserialize, Clone, Debug)]
pub(super) struct Detail {
    pub(super) id: String,
    #[serde(default)]
    pub(super) store_unique_id: Option<String>,
    #[serde(default)]
    pub(super) store_name: Option<String>,
    #[serde(default)]
    pub(super) store_domain: Option<String>,
    #[serde(default, deserialize_with = "stamp")]
    pub(super) created_at: Option<Timestamp>,
}

/// `GET /connections/status`.
#[derive(Deserialize)]
pub(super) struct StatusReply {
    pub(super) connection: Small,
    pub(super) status: Status,
}

/// The small form of a connection; the only place that names the organisation.
#[derive(Deserialize)]
pub(super) struct Small {
    pub(super) id: String,
    #[serde(default, rename = "orgId")]
    pub(super) org_id: Option<String>,
    #[serde(default)]
    pub(super) platform: Option<String>,
}

/// One connection's health.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
pub(super) struct Status {
    pub(super) is_ready: bool,
    #[serde(default)]
    pub(super) is_healthy: Option<bool>,
    #[serde(default, deserialize_with = "stamp")]
    pub(super) last_sync_completed_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) needs_update_status: NeedsUpdate,
    #[serde(default)]
    pub(super) disabled_status: Disabled,
    #[serde(default)]
    pub(super) historical_sync_status: Option<History>,
}

#[derive(Deserialize, Default)]
pub(super) struct NeedsUpdate {
    #[serde(default)]
    pub(super) needs_update: bool,
}

#[derive(Deserialize, Default)]
pub(super) struct Disabled {
    #[serde(default)]
    pub(super) is_disabled: bool,
    #[serde(default)]
    pub(super) disabled_reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct History {
    #[serde(default)]
    pub(super) historical_sync_completed: Option<bool>,
}

/// `POST /connections/create`.
#[derive(Deserialize)]
pub(super) struct CreateReply {
    pub(super) connection: Made,
}

/// What a create answers.
#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) id: String,
    pub(super) access_token: SecretString,
    #[serde(default)]
    pub(super) link_url: Option<SecretString>,
}

/// `DELETE /connections/:id`.
#[derive(Deserialize)]
pub(super) struct DeleteReply {
    pub(super) success: bool,
}

/// `POST /connections/backfill` and `POST /connections/incremental_sync`.
#[derive(Deserialize)]
pub(super) struct LoadReply {
    pub(super) success: bool,
}

/// Every error body.
#[derive(Deserialize, Default)]
pub(super) struct ErrorReply {
    #[serde(default)]
    pub(super) error_code: Option<String>,
}
