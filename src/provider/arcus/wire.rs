//! Arcus' JSON as it travels: rows wrapped in `data` or bare, errors with their codes.
//!
//! Source: Arcus' public reference. The shapes of reads are not documented; both forms are taken.

use crate::domain::{connectors::path_of, text::bounded};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// One connector, as far as it is told.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) connector_type: String,
    pub(super) entity_id: Option<String>,
    pub(super) active: Option<bool>,
    pub(super) credentials: Option<bool>,
    pub(super) webhook_secret: Option<bool>,
    pub(super) last_sync_at: Option<Timestamp>,
    pub(super) sync_status: Option<String>,
    pub(super) sync_error: Option<String>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) updated_at: Option<Timestamp>,
    /// The fields that can be declared.
    pub(super) told: Map<String, Value>,
}

impl Row {
    /// Reads a connector; `None` without a type. Nothing else is kept: an answer may be large.
    pub(super) fn read(value: Value) -> Option<Self> {
        let Value::Object(mut row) = value else { return None };
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let stamp = |key: &str| text(key).and_then(|t| t.parse().ok());
        let yes = |key: &str| row.get(key).and_then(Value::as_bool);
        let mut read = Self {
            connector_type: text("connector_type").filter(|t| !t.is_empty())?.to_owned(),
            entity_id: row.get("entity_id").and_then(plain_id),
            active: yes("is_active"),
            credentials: yes("has_credentials_secret_arn"),
            webhook_secret: yes("has_webhook_secret"),
            last_sync_at: stamp("last_sync_at"),
            sync_status: text("sync_status").map(bounded),
            sync_error: text("sync_error").map(bounded),
            created_at: stamp("created_at"),
            updated_at: stamp("updated_at"),
            told: Map::new(),
        };
        row.retain(|name, _| path_of(name).is_some());
        read.told = row;
        Some(read)
    }

    /// When it was made, or last switched on: a soft deletion keeps the row, and a create brings it back.
    pub(super) fn born(&self) -> Option<Timestamp> {
        self.created_at.max(self.updated_at)
    }
}

fn plain_id(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let plain =
        !text.is_empty() && text.len() <= 128 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    plain.then(|| text.to_owned())
}

/// The row that an answer carries: in its `data`, or bare.
pub(super) fn row(mut body: Value) -> Option<Row> {
    let data = body.get_mut("data").map(Value::take);
    Row::read(data.unwrap_or(body))
}

/// One page of a list: its rows, and what to begin the next one after.
pub(super) fn page(mut body: Value) -> Option<(Vec<Row>, Option<String>)> {
    let more = body.get("has_more").and_then(Value::as_bool).unwrap_or(false);
    let items = if body.is_array() { body.take() } else { body.get_mut("data")?.take() };
    let Value::Array(items) = items else { return None };
    let last = items.last().and_then(|item| item.get("id")).and_then(plain_id);
    let rows = items.into_iter().map(Row::read).collect::<Option<Vec<_>>>()?;
    Some((rows, last.filter(|_| more)))
}

/// A create that waits for a merchant.
pub(super) struct Invitation {
    pub(super) url: String,
    pub(super) expires_at: Option<Timestamp>,
}

impl Invitation {
    /// Reads one; `None` where the answer is a row.
    pub(super) fn read(body: &Value) -> Option<Self> {
        let body = if body.get("object").is_some() { body } else { body.get("data")? };
        if body.get("object").and_then(Value::as_str) != Some("integration_oauth_required") {
            return None;
        }
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let expires_at = text("expires_at").and_then(|t| t.parse().ok());
        Some(Self { url: text("oauth_url").unwrap_or_default().to_owned(), expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::wrapped(json!({"data": {"connector_type": "shippo"}}))]
    #[case::bare(json!({"connector_type": "shippo"}))]
    fn rows_are_read_wrapped_and_bare(#[case] body: Value) {
        assert_eq!(row(body).map(|r| r.connector_type).as_deref(), Some("shippo"));
    }

    #[test]
    fn what_is_null_or_of_another_type_is_not_told() {
        let told = json!({"connector_type": "shippo", "is_active": "yes", "last_sync_at": null, "sync_error": 5});
        let row = Row::read(told).expect("a row");
        assert_eq!((row.active, row.last_sync_at, row.sync_error), (None, None, None));
        assert!(Row::read(json!({"connector_type": null})).is_none() && Row::read(json!([])).is_none());
    }

    #[test]
    fn what_is_kept_of_a_row_is_what_can_be_declared_and_what_is_shown() {
        let long = "a".repeat(1 << 20);
        let told = json!({"connector_type": "shippo", "config": {"a": 1}, "seller_id": null, "notes": long, "sync_error": long});
        let row = Row::read(told).expect("a row");
        assert_eq!(row.told.keys().collect::<Vec<_>>(), ["config", "connector_type", "seller_id"]);
        assert!(row.sync_error.is_some_and(|text| text.len() <= 1024));
    }

    #[rstest]
    #[case::envelope(json!({"object": "list", "data": [{"id": "a", "connector_type": "x"}], "has_more": true}), Some("a"))]
    #[case::last(json!({"object": "list", "data": [{"id": "a", "connector_type": "x"}], "has_more": false}), None)]
    #[case::bare(json!([{"id": "a", "connector_type": "x"}]), None)]
    fn a_page_names_the_next_one(#[case] body: Value, #[case] next: Option<&str>) {
        let (rows, after) = page(body).expect("a page");
        assert_eq!((rows.len(), after.as_deref()), (1, next));
    }

    #[test]
    fn an_invitation_is_told_apart_from_a_row() {
        let body = json!({"object": "integration_oauth_required", "oauth_url": "https://x", "expires_at": "2026-06-01T08:10:00Z"});
        let invitation = Invitation::read(&body).expect("an invitation");
        assert!(invitation.expires_at.is_some() && invitation.url == "https://x");
        assert!(Invitation::read(&json!({"connector_type": "shopify"})).is_none());
    }
}
