//! The objects on the wire.
//!
//! The specification leaves every answer empty, so what an instance has beside its `id` is inferred: the fields of the
//! request but the token, the relations that the text names, and counts that move by themselves.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::account::Account;
use super::fields::{FIELDS, GROUP, Kind};
use super::instance::{Instance, Moment};
use super::job::Job;
use super::list::Query;
use super::settings::{Envelope, Settings};
use crate::fault::{Effect, reshape};
use crate::state::insert;

/// An answer with this body.
pub(super) fn json_response(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    // These types serialize: string keys, no failing implementations.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    insert(response.headers_mut(), CONTENT_TYPE, "application/json");
    response
}

/// A success in the envelope that is set, with the oddities that are set.
pub(super) fn success(settings: &Settings, status: StatusCode, data: Value, message: &str) -> Response<Bytes> {
    let body = match settings.envelope {
        Envelope::Data => json!({"data": data, "message": message}),
        Envelope::Status => {
            json!({"status": "success", "message": message, "data": data, "errors": [], "warnings": []})
        }
        Envelope::Bare => data,
    };
    odd(settings, json_response(status, &body))
}

/// The answer to `GET /api/me`.
pub(super) fn me(settings: &Settings, account: &Account) -> Response<Bytes> {
    let body = json!({
        "data": {"id": 1, "name": "API user", "role": "admin"},
        "tenant_id": account.tenant_id,
        "tenant_name": account.tenant_name,
        "token": {
            "id": account.token_id(),
            "name": "tradewind",
            "type": "personal_access_token",
            "scopes": account.scopes,
            "expires_at": null,
            "is_expired": false,
        },
    });
    odd(settings, json_response(StatusCode::OK, &body))
}

/// The answer to a list. The links have nothing of the query but the page, as Laravel makes them unless told otherwise:
/// who follows them loses the search.
pub(super) fn list(rows: &[&Instance], query: &Query, path: &str, moment: &Moment) -> Response<Bytes> {
    let total = rows.len();
    let before = query.limit.saturating_mul(query.page - 1);
    let page = rows.iter().skip(before).take(query.limit);
    let data: Vec<Value> = page.map(|row| instance(row, moment, moment.settings.settings_in_lists)).collect();
    let last_page = total.div_ceil(query.limit).max(1);
    let url = |page: Option<usize>| page.map(|page| format!("{path}?page={page}"));
    let mut body = json!({
        "current_page": query.page,
        "last_page": last_page,
        "per_page": query.limit,
        "total": total,
        "from": (!data.is_empty()).then_some(before + 1),
        "to": (!data.is_empty()).then_some(before + data.len()),
        "next_page_url": url((query.page < last_page).then_some(query.page + 1)),
        "prev_page_url": url((query.page > 1).then_some(query.page - 1)),
        "path": path,
        "data": data,
    });
    if let (Envelope::Status, Some(body)) = (moment.settings.envelope, body.as_object_mut()) {
        body.insert("status".to_owned(), Value::from("success"));
    }
    odd(moment.settings, json_response(StatusCode::OK, &body))
}

/// One instance.
pub(super) fn instance(instance: &Instance, moment: &Moment, with_settings: bool) -> Value {
    let settings = moment.settings;
    let (synced_at, times) = instance.synced(moment);
    let mut object = Map::new();
    for (name, value) in &instance.fields {
        if name != GROUP || with_settings {
            object.insert(name.clone(), value.clone());
        }
    }
    object.insert("id".to_owned(), Value::from(instance.id));
    object.insert("name".to_owned(), Value::from(instance.name.as_str()));
    object.insert("archived".to_owned(), Value::from(instance.is_archived()));
    object
        .insert("integration".to_owned(), json!({"id": instance.fields.get("integration_id"), "name": "BigCommerce"}));
    let channel = json!({
        "id": instance.id,
        "last_sync_at": rfc3339(synced_at),
        "orders_count": times.saturating_mul(3),
        "products_count": times,
    });
    object.insert("sales_channel".to_owned(), channel);
    if settings.timestamps {
        object.insert("created_at".to_owned(), rfc3339(instance.created_at));
        object.insert("updated_at".to_owned(), rfc3339(instance.changed_at.max(synced_at)));
    }
    if settings.echoes_connection_settings {
        object.insert("connection_settings".to_owned(), json!([]));
    }
    disguise(&mut object, settings);
    Value::Object(object)
}

/// One job.
pub(super) fn job(job: &Job, now: Timestamp, settings: &Settings) -> Value {
    let (status, since) = job.status(now, settings);
    json!({
        "id": job.id,
        "job_name": format!("Refresh BigCommerce {}", job.entity.name()),
        "status": status.word(),
        "created_at": rfc3339(job.queued_at),
        "updated_at": rfc3339(since),
    })
}

fn rfc3339(at: Timestamp) -> Value {
    Value::from(format!("{at:.0}"))
}

/// The types that a PHP application with a database behind it may answer instead of those it was sent.
fn disguise(object: &mut Map<String, Value>, settings: &Settings) {
    for field in &FIELDS {
        let value = match field.path.split_once('.') {
            Some((group, name)) => object.get_mut(group).and_then(|group| group.get_mut(name)),
            None => object.get_mut(field.path),
        };
        let Some(value) = value else { continue };
        match (&*value, field.kind) {
            (Value::Bool(flag), _) if settings.booleans_as_numbers => *value = Value::from(u8::from(*flag)),
            (Value::Number(id), Kind::Id | Kind::StoreId) if settings.ids_as_strings => {
                *value = Value::from(id.to_string());
            }
            _ => {}
        }
    }
    if let (true, Some(archived)) = (settings.booleans_as_numbers, object.get_mut("archived")) {
        *archived = Value::from(u8::from(*archived == true));
    }
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
