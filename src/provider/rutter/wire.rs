//! Rutter's JSON as it travels. Unknown fields and enum values are tolerated: Rutter adds them without a new version.
//!
//! Source: Rutter's public reference, "Connections", and its OpenAPI document.

use crate::domain::text::bounded;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use std::{fmt, sync::Arc};

/// The longest token, link or cursor that is taken: no request line, and no browser, has room for a longer one.
const LONGEST: usize = 8 << 10;
/// The rows of a list weigh no more than this, all pages together: room for some ten thousand. A single page is no larger than
/// `http` reads, which is room for some seven thousand.
pub(super) const ROOM: usize = 4 << 20;

/// A stamp that is absent, null or unreadable is unknown: nothing that we decide may rest on it then.
fn stamp<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<serde_json::Value>::deserialize(d)?.and_then(|v| v.as_str()?.parse().ok()))
}

/// A text that is kept for as long as its record is there: clipped, since an answer may be as large as a mebibyte. What is
/// clipped is no platform, store or id that anybody knows.
fn short<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(d)?.map(|text| bounded(&text)))
}

/// A token or a link, which is of no use in part: one that is too long is not told.
fn usable<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<SecretString>::deserialize(d)?.filter(|secret| secret.expose_secret().len() <= LONGEST))
}

/// A cursor, which is of no use in part either: one that is too long is no list's.
fn cursor<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(d)? {
        Some(text) if text.len() > LONGEST => Err(D::Error::custom("a cursor that is too long")),
        text => Ok(text),
    }
}

/// Rows, as long as there is room for them: the smallest one takes many times its text.
fn rows<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Arc<Row>>, D::Error> {
    struct Rows;
    impl<'de> Visitor<'de> for Rows {
        type Value = Vec<Arc<Row>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("connections")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Arc<Row>>, A::Error> {
            let (mut rows, mut weighs) = (Vec::new(), 0);
            while let Some(row) = seq.next_element::<Row>()? {
                weighs += row.weight();
                if weighs > ROOM {
                    return Err(A::Error::custom("more connections than there is room for"));
                }
                rows.push(Arc::new(row));
            }
            Ok(rows)
        }
    }
    d.deserialize_seq(Rows)
}

/// `GET /connections`.
#[derive(Deserialize)]
pub(super) struct ListReply {
    #[serde(deserialize_with = "rows")]
    pub(super) connections: Vec<Arc<Row>>,
    #[serde(default, deserialize_with = "cursor")]
    pub(super) next_cursor: Option<String>,
}

/// One row of the list. Only the id is indispensable.
#[derive(Deserialize, Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    #[serde(default, deserialize_with = "usable")]
    pub(super) access_token: Option<SecretString>,
    #[serde(default, deserialize_with = "usable")]
    pub(super) link_url: Option<SecretString>,
    #[serde(default, deserialize_with = "short")]
    pub(super) platform: Option<String>,
    #[serde(default, deserialize_with = "stamp")]
    pub(super) created_at: Option<Timestamp>,
}

impl Row {
    /// What it weighs in a list.
    pub(super) fn weight(&self) -> usize {
        let secrets = [&self.access_token, &self.link_url].into_iter().flatten().map(|text| text.expose_secret().len());
        let texts = secrets.chain([self.id.len(), self.platform.as_ref().map_or(0, String::len)]);
        // Its counts and its place in the list, and each text a little more room than it needs.
        size_of::<Self>() + 32 + texts.map(|length| length + 16).sum::<usize>()
    }
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
    #[serde(default, deserialize_with = "short")]
    pub(super) store_unique_id: Option<String>,
    #[serde(default, deserialize_with = "short")]
    pub(super) store_name: Option<String>,
    #[serde(default, deserialize_with = "short")]
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
    #[serde(default, deserialize_with = "short")]
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
    #[serde(default, deserialize_with = "usable")]
    pub(super) access_token: Option<SecretString>,
    #[serde(default, deserialize_with = "usable")]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::MAX_MESSAGE;
    use serde_json::json;

    #[test]
    fn what_is_kept_of_an_answer_is_short_whatever_was_sent() {
        let long = "\u{e4}".repeat(1 << 19);
        let detail = json!({"id": "a", "store_name": long, "store_domain": long, "store_unique_id": long});
        let detail: Detail = serde_json::from_value(detail).expect("a detail");
        let row = json!({"id": "a", "platform": long, "access_token": long, "link_url": long});
        let row: Row = serde_json::from_value(row).expect("a row");
        let small: Small = serde_json::from_value(json!({"id": "a", "platform": long})).expect("a connection");
        let texts = [detail.store_name, detail.store_domain, detail.store_unique_id, row.platform, small.platform];
        for text in texts.map(|text| text.expect("a text")) {
            assert!(text.starts_with("\u{e4}") && text.len() <= MAX_MESSAGE, "{}", text.len());
            assert!(text.capacity() <= 2 * MAX_MESSAGE, "{} are held", text.capacity());
        }
        assert!(row.access_token.is_none() && row.link_url.is_none(), "of no use in part");
    }

    #[test]
    fn what_is_not_too_long_is_told_as_it_is() {
        let (text, secret) = ("x".repeat(MAX_MESSAGE), "x".repeat(LONGEST));
        let row = json!({"id": "a", "platform": text, "access_token": secret});
        let row: Row = serde_json::from_value(row).expect("a row");
        assert_eq!(row.platform, Some(text));
        assert_eq!(row.access_token.map(|token| token.expose_secret().len()), Some(LONGEST));
        let none: Detail = serde_json::from_value(json!({"id": "a", "store_name": null})).expect("a detail");
        assert_eq!((none.store_name, none.store_domain), (None, None));
    }
}
