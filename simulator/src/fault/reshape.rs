//! How effects change a successful answer.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Effect;

/// Field names under which the providers send values of an enumeration.
const ENUMERATIONS: [&str; 7] = [
    "platform",
    "disabled_reason",
    "status",
    "batch_period_sales_order_fulfillments",
    "batch_period_customer_returns",
    "connector_type",
    "mode",
];

/// Field names under which the providers send a map, whose keys are data and not fields.
const MAPS: [&str; 3] = ["total", "progress_info", "config"];

/// The body after the effect.
pub(crate) fn reshape(effect: &Effect, response: &mut http::Response<Bytes>) {
    let body = match effect {
        Effect::GarbageBody => {
            response.headers_mut().remove(CONTENT_TYPE);
            if response.status() == StatusCode::NO_CONTENT {
                // Such an answer has no body, and what puts one in its place does not know that.
                *response.status_mut() = StatusCode::OK;
            }
            Bytes::from_static(b"<html><title>gateway</title>")
        }
        Effect::EmptyBody => Bytes::new(),
        Effect::HugeBody { bytes } => splice(response.body(), &format!(r#""padding":"{}""#, "x".repeat(*bytes))),
        Effect::DeepBody { depth } => {
            splice(response.body(), &format!(r#""depth":{}{}"#, "[".repeat(*depth), "]".repeat(*depth)))
        }
        Effect::Unsuccessful => edit(response.body(), &mut |object| {
            if let Some(success) = object.get_mut("success") {
                *success = Value::Bool(false);
            }
            if let Some(status) = object.get_mut("status").filter(|status| *status == "success") {
                *status = Value::from("failure");
            }
        }),
        Effect::WithoutId => edit(response.body(), &mut |object| {
            object.remove("id");
        }),
        Effect::UnknownFields => edit(response.body(), &mut |object| {
            object.insert(
                "announced_tomorrow".to_owned(),
                serde_json::json!({"since": "2031-01-01", "flags": [1, null]}),
            );
        }),
        Effect::UnknownValues => edit(response.body(), &mut |object| {
            for (name, value) in object {
                if ENUMERATIONS.contains(&name.as_str()) && value.is_string() {
                    *value = Value::from("ANNOUNCED_TOMORROW");
                }
            }
        }),
        Effect::Backdate { by } => edit(response.body(), &mut |object| backdate(object, *by)),
        Effect::NullField { field } => edit(response.body(), &mut |object| {
            if let Some(value) = object.get_mut(field) {
                *value = Value::Null;
            }
        }),
        Effect::Refuse { .. }
        | Effect::IdempotencyMismatch
        | Effect::RefuseCredentials { .. }
        | Effect::SourCredentials { .. }
        | Effect::SlowBefore { .. }
        | Effect::SlowAfter { .. }
        | Effect::LateApply { .. }
        | Effect::LostAnswer
        | Effect::CutAnswer
        | Effect::StatusAfterApply { .. } => return,
    };
    *response.body_mut() = body;
}

fn backdate(object: &mut Map<String, Value>, by: Duration) {
    if let Some(value) = object.get_mut("created_at") {
        let told = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let earlier = told.and_then(|told| told.checked_sub(by).ok());
        *value = earlier.map_or(Value::Null, |earlier| Value::from(earlier.to_string()));
    }
}

/// Puts a field in front of the others. By text, because a value tree of any depth could not be dropped safely.
fn splice(body: &Bytes, field: &str) -> Bytes {
    match body.strip_prefix(b"{") {
        Some(rest) => Bytes::from([b"{", field.as_bytes(), b",", rest].concat()),
        None => body.clone(),
    }
}

/// Changes every object in the body; a body that is not JSON stays as it is.
fn edit(body: &Bytes, change: &mut dyn FnMut(&mut Map<String, Value>)) -> Bytes {
    match serde_json::from_slice(body) {
        Ok(mut value) => {
            walk("", &mut value, change);
            Bytes::from(value.to_string())
        }
        Err(_) => body.clone(),
    }
}

fn walk(name: &str, value: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            for (name, inner) in object.iter_mut() {
                walk(name, inner, change);
            }
            if !MAPS.contains(&name) {
                change(object);
            }
        }
        Value::Array(items) => {
            for item in items {
                walk(name, item, change);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
