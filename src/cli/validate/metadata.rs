//! `metadata`, of which our CRDs say nothing: what the API server would refuse of it, in our words.
//!
//! A finding never repeats a value.

use super::check::Finding;
use crate::domain::text::{is_name, is_namespace};
use serde_json::{Map, Value};

/// The fields of an object's metadata, as <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/>
/// has them.
const FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

const UNQUOTED: &str = "must be a string: put it in quotes";
const NAME: &str = "must be made of small letters, digits, '-' and '.'";

/// Whatever is wrong with the metadata of a document.
pub(super) fn check(document: &Value) -> Vec<Finding> {
    let empty = Map::new();
    let metadata = match document.get("metadata") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(metadata)) => metadata,
        Some(_) => return vec![Finding::new("metadata", "must be an object")],
    };
    let mut findings = names(metadata);
    for key in ["annotations", "labels"] {
        findings.extend(entries(metadata, key));
    }
    let unknown = metadata.keys().filter(|key| !FIELDS.contains(&key.as_str()));
    findings.extend(
        unknown.map(|key| Finding::new(&format!("metadata.{key}"), "is no field that exists: is it misspelled?")),
    );
    findings
}

/// Whether a text is what it should be.
type Fits = fn(&str) -> bool;

/// The names of an object and of its namespace.
fn names(metadata: &Map<String, Value>) -> Vec<Finding> {
    let (mut findings, mut is_named) = (Vec::new(), false);
    let checks: [(&str, Fits, &str); 3] = [
        ("name", is_name, NAME),
        ("generateName", begins_a_name, NAME),
        ("namespace", is_namespace, "must be made of small letters, digits and '-'"),
    ];
    for (key, fits, says) in checks {
        let what = match metadata.get(key) {
            None | Some(Value::Null) => continue,
            // An empty text is the same as none.
            Some(Value::String(text)) if text.is_empty() => continue,
            Some(Value::String(text)) => (!fits(text)).then_some(says),
            Some(_) => Some(UNQUOTED),
        };
        is_named |= key != "namespace";
        findings.extend(what.map(|what| Finding::new(&format!("metadata.{key}"), what)));
    }
    if !is_named {
        findings.push(Finding::new("metadata.name", "is missing"));
    }
    findings
}

/// Something is put behind it, so that it may end in a hyphen.
fn begins_a_name(text: &str) -> bool {
    text.strip_suffix('-').map_or_else(|| is_name(text), |kept| is_name(&format!("{kept}a")))
}

/// Labels or annotations.
fn entries(metadata: &Map<String, Value>, key: &str) -> Vec<Finding> {
    let entries = match metadata.get(key) {
        None | Some(Value::Null) => return vec![],
        Some(Value::Object(entries)) => entries,
        Some(_) => return vec![Finding::new(&format!("metadata.{key}"), "must be an object")],
    };
    let is_label = key == "labels";
    let wrong = |name: &String, value: &Value| match value {
        // The case of an annotation's key counts for nothing.
        _ if !is_key(name) && (is_label || !is_key(&name.to_ascii_lowercase())) => {
            Some("is no key: write NAME or HOST/NAME, with at most 63 characters in NAME")
        }
        Value::String(text) if is_label && !text.is_empty() && !is_part(text) => Some(
            "must be made of letters, digits, '-', '_' and '.', at most 63 of them, and begin and end with one of the first two",
        ),
        // The API server takes a null for an empty string.
        Value::String(_) | Value::Null => None,
        Value::Bool(_) | Value::Number(_) => Some(UNQUOTED),
        Value::Array(_) | Value::Object(_) => Some("must be a string"),
    };
    let finding = |(name, value)| Some(Finding::new(&format!("metadata.{key}.{name}"), wrong(name, value)?));
    entries.iter().filter_map(finding).collect()
}

fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_name(prefix) && is_part(name),
        None => is_part(key),
    }
}

/// What a label's value and the last part of a key are made of.
fn is_part(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63 && text.chars().all(inner) && edge(text.chars().next()) && edge(text.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::good(json!({"name": "acme", "namespace": "shop", "labels": {"app.kubernetes.io/name": "A_b.c", "tier": ""}}), &[])]
    #[case::stored(json!({"name": "acme", "uid": "u", "resourceVersion": "1", "generation": 2, "managedFields": []}), &[])]
    #[case::generated(json!({"generateName": "acme-"}), &[])]
    #[case::annotated(json!({"name": "acme", "annotations": {"Example.com/note": "any text, a: b", "none": null}}), &[])]
    #[case::nothing(json!(null), &["metadata.name: is missing"])]
    #[case::text(json!("acme"), &["metadata: must be an object"])]
    #[case::no_name(json!({"name": "", "namespace": ""}), &["metadata.name: is missing"])]
    #[case::number(json!({"name": 123}), &["metadata.name: must be a string: put it in quotes"])]
    #[case::capitals(json!({"name": "a", "namespace": "Shop"}), &["metadata.namespace: must be made of small letters, digits and '-'"])]
    #[case::bad_beginning(
        json!({"generateName": "Bad_"}),
        &["metadata.generateName: must be made of small letters, digits, '-' and '.'"]
    )]
    #[case::dotted(
        json!({"generateName": "acme."}),
        &["metadata.generateName: must be made of small letters, digits, '-' and '.'"]
    )]
    #[case::misspelled(json!({"name": "a", "lables": {}}), &["metadata.lables: is no field that exists: is it misspelled?"])]
    #[case::no_labels(json!({"name": "a", "labels": ["x"]}), &["metadata.labels: must be an object"])]
    #[case::unquoted(json!({"name": "a", "labels": {"x": 1}}), &["metadata.labels.x: must be a string: put it in quotes"])]
    #[case::deep(json!({"name": "a", "annotations": {"x": {"y": "z"}}}), &["metadata.annotations.x: must be a string"])]
    fn findings(#[case] metadata: Value, #[case] expected: &[&str]) {
        let found: Vec<_> = check(&json!({"metadata": metadata})).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case::a_space("x", "a b", true)]
    #[case::an_edge("x", "-a", true)]
    #[case::long("x", &"a".repeat(64), true)]
    #[case::as_long_as_may_be("x", &"a".repeat(63), false)]
    #[case::no_key("a b", "", true)]
    #[case::no_host("A.com/b", "", true)]
    #[case::no_name("a.com/", "", true)]
    #[case::two_slashes("a/b/c", "", true)]
    fn labels_are_judged_by_their_syntax(#[case] key: &str, #[case] value: &str, #[case] is_wrong: bool) {
        let found = check(&json!({"metadata": {"name": "a", "labels": {key: value}}}));
        assert_eq!(!found.is_empty(), is_wrong, "{found:?}");
    }
}
