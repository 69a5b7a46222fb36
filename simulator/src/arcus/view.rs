//! The objects on the wire.
//!
//! Field for field the row of Arcus' page "Create or initiate a connector connection". No credential is in it.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::connector::Connector;
use super::fields::DETAILS;
use super::link::Link;
use super::row::{Moment, Row};
use super::settings::{Settings, Wrapping};
use crate::fault::{Effect, reshape};
use crate::state::insert;

/// What is answered; it decides how the row is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Created,
    Other,
}

/// An answer with this body.
pub(super) fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    // These types serialize: string keys, no failing implementations.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    insert(response.headers_mut(), CONTENT_TYPE, "application/json");
    response
}

/// A success with one row.
pub(super) fn one(row: Value, kind: Kind, status: StatusCode, settings: &Settings) -> Response<Bytes> {
    let wrapped = match settings.wrapping {
        Wrapping::Documented => kind != Kind::Created,
        Wrapping::Always => true,
        Wrapping::Never => false,
    };
    let body = if wrapped { json!({"data": row}) } else { row };
    odd(settings, json_response(status, &body))
}

/// A success without a body.
pub(super) fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The answer to a list.
pub(super) fn list(rows: &[&Row], has_more: bool, total: Option<usize>, moment: &Moment) -> Response<Bytes> {
    let data: Vec<Value> = rows.iter().map(|row| self::row(row, moment)).collect();
    let mut body = json!({"object": "list", "data": data, "has_more": has_more, "url": "/v1/integrations"});
    if let (Some(total), Some(body)) = (total, body.as_object_mut()) {
        body.insert("total_count".to_owned(), total.into());
    }
    let body = if moment.settings.wrapping == Wrapping::Never { Value::from(data) } else { body };
    odd(moment.settings, json_response(StatusCode::OK, &body))
}

/// The answer to a create that somebody must consent to.
pub(super) fn consent(link: &Link, origin: &str, settings: &Settings) -> Response<Bytes> {
    let body = json!({
        "object": "integration_oauth_required",
        "oauth_url": format!("{origin}{}", link.path()),
        "expires_at": rfc3339(link.expires_at),
        "hint": "Follow oauth_url, then read the connector until it is active.",
    });
    odd(settings, json_response(StatusCode::OK, &body))
}

/// What is said of a connector that was never there, where deleting it is a success.
pub(super) fn never_there(connector: Connector) -> Value {
    json!({"connector_type": connector, "is_active": false})
}

/// One row.
pub(super) fn row(row: &Row, moment: &Moment) -> Value {
    let sync = row.sync(moment);
    let has_credentials = row.has_credentials(moment.now, moment.settings.recovery);
    let mut object = Map::new();
    let mut say = |name: &str, value: Value| object.insert(name.to_owned(), value);
    say("id", row.id.to_string().into());
    say("entity_id", row.entity_id.to_string().into());
    say("connector_type", row.connector.name().into());
    say("display_name", row.display_name.as_str().into());
    say("mode", row.mode.name().into());
    say("is_active", row.is_active.into());
    say("config", row.config.clone().into());
    say("has_webhook_secret", row.has_webhook_secret.into());
    say("has_credentials_secret_arn", has_credentials.into());
    say("last_sync_at", sync.last.map(rfc3339).into());
    say("sync_status", sync.status.into());
    say("sync_error", sync.error.into());
    for name in DETAILS {
        say(name, row.details.get(name).cloned().into());
    }
    say("created_at", rfc3339(row.created_at).into());
    say("updated_at", rfc3339(row.updated_at(moment)).into());
    if moment.settings.masked_credentials {
        let names: &[&str] = if has_credentials { &["api_key"] } else { &[] };
        say("credentials_masked", names.into());
    }
    Value::Object(object)
}

fn rfc3339(at: Timestamp) -> String {
    format!("{at:.0}")
}

fn odd(settings: &Settings, mut response: Response<Bytes>) -> Response<Bytes> {
    if settings.unknown_fields {
        reshape(&Effect::UnknownFields, &mut response);
    }
    if settings.unknown_values {
        reshape(&Effect::UnknownValues, &mut response);
    }
    for field in &settings.null_fields {
        reshape(&Effect::NullField { field: field.clone() }, &mut response);
    }
    response
}
