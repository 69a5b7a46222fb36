//! SKU.io's JSON as it travels. Only an instance's id is certain: everything else may be absent, null or of another
//! type, and then it is not told.
//!
//! Source: SKU.io's public reference and its `OpenAPI` document, whose response bodies are empty; the field set follows
//! from the requests. Two envelopes are in use: `{data, message}`, and the older `{status, data, …}`.

use crate::domain::{
    instances::{SETTINGS, SETTINGS_OBJECT},
    text::bounded,
};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// One instance, as far as it is told. Of what most look-ups do not need, the text alone: a list holds thousands.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) name: Option<Box<str>>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) archived: bool,
    pub(super) has_settings: bool,
    /// [`Fields`] as JSON.
    text: Box<str>,
}

/// The fields of an instance that can be declared, in the order of [`names`]; each with its value where it is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<Option<[Value; 1]>>);

/// Those that do not stand among the settings.
const TOP: [&str; 3] = ["name", "integration_id", "is_automatic_sync_enabled"];

fn names() -> impl Iterator<Item = &'static str> {
    TOP.into_iter().chain(SETTINGS.iter().map(|setting| setting.name))
}

impl Row {
    /// Reads an instance; `None` without an id. Nothing is kept that cannot be declared: secrets must not lie about in
    /// memory, and an answer may be large.
    pub(super) fn read(value: Value) -> Option<Self> {
        let Value::Object(mut row) = value else { return None };
        let id = row.get("id")?.as_i64().filter(|id| *id > 0)?;
        let mut settings = match row.remove(SETTINGS_OBJECT) {
            Some(Value::Object(settings)) => Some(settings),
            Some(_) | None => None,
        };
        let created_at = row.get("created_at").and_then(Value::as_str).and_then(stamp);
        let archived = ["archived", "archived_at"].iter().any(|key| row.get(*key).is_some_and(is_set));
        let has_settings = settings.is_some();
        let mut taken = |name: &str| take(if TOP.contains(&name) { &mut row } else { settings.as_mut()? }, name);
        let fields: Vec<Option<[Value; 1]>> = names().map(|name| taken(name).map(|value| [value])).collect();
        let text = serde_json::to_string(&fields).ok()?.into();
        let name = Fields(fields).told("name").and_then(Value::as_str).map(Into::into);
        Some(Self { id, name, created_at, archived, has_settings, text })
    }

    /// What it weighs in a list.
    pub(super) fn weight(&self) -> usize {
        // A table has twice as many places as rows at most, and each text a little more room than it needs.
        2 * size_of::<(i64, Self)>() + self.name.as_ref().map_or(0, |name| name.len()) + self.text.len() + 64
    }

    /// All that is told of it.
    pub(super) fn fields(&self) -> Fields {
        Fields(serde_json::from_str(&self.text).unwrap_or_default())
    }
}

/// A value that can be one of a field. What is clipped of a text is no name or setting that anybody can declare.
fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    match object.remove(name)? {
        Value::Object(_) | Value::Array(_) => None,
        Value::String(text) => Some(Value::String(bounded(&text))),
        value @ (Value::Null | Value::Bool(_) | Value::Number(_)) => Some(value),
    }
}

impl Fields {
    /// What is told of a field.
    pub(super) fn told(&self, name: &str) -> Option<&Value> {
        let place = names().position(|known| known == name)?;
        self.0.get(place)?.as_ref().map(|[value]| value)
    }
}

/// A time, with or without a zone: without one it is UTC, as the server's database has it.
fn stamp(text: &str) -> Option<Timestamp> {
    let plain = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    text.parse().ok().or_else(|| Some(plain()?.timestamp()))
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "0",
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// What an answer carries: its `data`, or the answer itself where it has none. `None` where it says that it failed.
pub(super) fn payload(mut body: Value) -> Option<Value> {
    if body.get("status").and_then(Value::as_str) == Some("failure") {
        return None;
    }
    match body.get_mut("data").map(Value::take) {
        Some(Value::Null) | None => Some(body),
        data => data,
    }
}

/// One page of a list.
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    pub(super) is_last: bool,
}

impl Page {
    /// Reads a page; `None` for what is none. `limit`: how many rows were asked for, `page`: which page.
    pub(super) fn read(body: Value, limit: usize, page: i64) -> Option<Self> {
        let last_page = |paginator: &Value| paginator.get("last_page").and_then(Value::as_i64);
        let outer = last_page(&body);
        // The older envelope has the paginator in its data.
        let mut inner = payload(body)?;
        let (last, items) =
            if inner.is_array() { (outer, inner) } else { (last_page(&inner), inner.get_mut("data")?.take()) };
        let Value::Array(items) = items else { return None };
        let count = items.len();
        let rows = items.into_iter().map(Row::read).collect::<Option<Vec<_>>>()?;
        let is_last = last.map_or(count < limit, |last| page >= last);
        Some(Self { is_last: is_last || count == 0, rows })
    }
}

/// The id of the job that an answer names, in its data or beside it.
pub(super) fn job(body: &Value) -> Option<String> {
    let inside = |value: &Value| value.get("tracked_job_log_id").and_then(id_text);
    body.get("data").and_then(inside).or_else(|| inside(body))
}

/// An id as text, whether it comes as a number or as text.
pub(super) fn id_text(value: &Value) -> Option<String> {
    let text = value.as_i64().map(|id| id.to_string()).or_else(|| value.as_str().map(str::to_owned))?;
    let plain =
        !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    plain.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::new(json!({"data": {"id": 7}, "message": "Success"}))]
    #[case::old(json!({"status": "success", "message": "", "data": {"id": 7}, "errors": [], "warnings": []}))]
    #[case::bare(json!({"id": 7}))]
    #[case::null_data(json!({"id": 7, "data": null}))]
    fn both_envelopes_and_none_are_read(#[case] body: Value) {
        assert_eq!(payload(body).and_then(Row::read).map(|r| r.id), Some(7));
    }

    #[test]
    fn a_failure_in_the_old_envelope_is_none_of_them() {
        assert!(payload(json!({"status": "failure", "data": {"id": 7}})).is_none());
    }

    #[rstest]
    #[case::no_id(json!({"name": "a"}))]
    #[case::text(json!({"id": "7"}))]
    #[case::zero(json!({"id": 0}))]
    #[case::null(json!({"id": null}))]
    #[case::list(json!([]))]
    fn without_an_id_there_is_no_instance(#[case] row: Value) {
        assert!(Row::read(row).is_none());
    }

    #[test]
    fn what_is_of_another_type_is_not_told() {
        let row = Row::read(json!({"id": 7, "name": null, "integration_settings": [], "created_at": 5,
                                    "connection_settings": {"access_token": "test-canary"}}))
        .expect("a row");
        assert_eq!((row.name.clone(), row.created_at, row.has_settings), (None, None, false));
        assert!(!format!("{row:?}").contains("test-canary"));
    }

    /// A list holds thousands of rows, and an answer may be large.
    #[test]
    fn what_is_kept_of_an_instance_is_what_can_be_declared_and_short() {
        let long = "a".repeat(1 << 20);
        let row = Row::read(json!({"id": 7, "name": long, "notes": long, "integration_settings": {
            "store_hash": long, "store_id": 1, "sales_nominal_code_id": null, "pricing": {"rule": long}, "notes": long,
        }}))
        .expect("a row");
        assert!(row.weight() < 4096, "{}", row.weight());
        let fields = row.fields();
        assert_eq!(fields.told("store_id"), Some(&json!(1)));
        assert_eq!(fields.told("sales_nominal_code_id"), Some(&Value::Null), "null is told");
        assert_eq!(
            (fields.told("cogs_nominal_code_id"), fields.told("pricing"), fields.told("notes")),
            (None, None, None)
        );
        let longest = "\u{1f6d2}".repeat(255);
        let row = Row::read(json!({"id": 7, "name": longest})).expect("a row");
        assert_eq!(row.name.as_deref(), Some(longest.as_str()), "as long as a name can be declared");
    }

    #[rstest]
    #[case::utc("2026-01-05T10:00:00Z")]
    #[case::fractions("2026-01-05T10:00:00.000000Z")]
    #[case::of_a_database("2026-01-05 10:00:00")]
    fn stamps_are_read(#[case] text: &str) {
        let row = Row::read(json!({"id": 7, "created_at": text})).expect("a row");
        assert_eq!(row.created_at.map(|t| t.to_string()).as_deref(), Some("2026-01-05T10:00:00Z"));
    }

    #[rstest]
    #[case::more(json!({"data": [{"id": 1}], "last_page": 3}), 1, false)]
    #[case::last(json!({"data": [{"id": 1}], "last_page": 1}), 1, true)]
    #[case::old(json!({"status": "success", "data": {"data": [{"id": 1}], "last_page": 2}}), 1, false)]
    #[case::untold(json!({"data": [{"id": 1}]}), 1, true)]
    #[case::empty(json!({"data": [], "last_page": 9}), 0, true)]
    fn a_page_tells_whether_it_is_the_last(#[case] body: Value, #[case] rows: usize, #[case] is_last: bool) {
        let page = Page::read(body, 100, 1).expect("a page");
        assert_eq!((page.rows.len(), page.is_last), (rows, is_last));
    }

    #[rstest]
    #[case::inside(json!({"data": {"tracked_job_log_id": 5}}), Some("5"))]
    #[case::beside(json!({"tracked_job_log_id": "5"}), Some("5"))]
    #[case::none(json!({"data": []}), None)]
    #[case::path(json!({"tracked_job_log_id": "../me"}), None)]
    fn a_job_may_be_named(#[case] body: Value, #[case] expected: Option<&str>) {
        assert_eq!(job(&body).as_deref(), expected);
    }
}
