//! The structural schema of a CRD, held against a value: what the API server would refuse, in our words.
//!
//! It knows the keywords that our CRDs use, and a test holds it to that. A finding never repeats a value: what stands
//! in the wrong field may be a credential.

use super::check::Finding;
use regex::Regex;
use serde_json::{Map, Number, Value};

/// Whatever is wrong with a value.
pub(super) fn check(schema: &Value, value: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    walk(schema, value, "", &mut findings);
    findings
}

/// Drops the fields that are null, as the API server does: there it is the same as nothing, except where the schema says
/// that null is a value. What the schema does not know stays as it is.
pub(super) fn without_nulls(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = |(key, value): (&String, &Value)| match property(schema, key) {
                Some(inner) if value.is_null() && !is_nullable(inner) => None,
                Some(inner) => Some((key.clone(), without_nulls(inner, value))),
                None => Some((key.clone(), value.clone())),
            };
            map.iter().filter_map(kept).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => {
            let inner = schema.get("items").unwrap_or(&Value::Null);
            items.iter().map(|item| without_nulls(inner, item)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// The schema of a field.
fn property<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let other = || schema.get("additionalProperties").filter(|inner| inner.is_object());
    schema.get("properties").and_then(|known| known.get(key)).or_else(other)
}

fn is_nullable(schema: &Value) -> bool {
    schema.get("nullable").is_some_and(|nullable| nullable == true)
}

fn walk(schema: &Value, value: &Value, path: &str, findings: &mut Vec<Finding>) {
    let mut say = |what: String| findings.push(Finding::new(path, what));
    if let Some(variants) = schema.get("enum").and_then(Value::as_array).filter(|variants| !variants.contains(value)) {
        let names: Vec<_> = variants.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
        return say(format!("must be one of {}", names.join(", ")));
    }
    match (schema.get("type").and_then(Value::as_str), value) {
        (Some("object"), Value::Object(map)) => object(schema, map, path, findings),
        (Some("array"), Value::Array(items)) => array(schema, items, path, findings),
        (Some("string"), Value::String(text)) => string(schema, text).into_iter().for_each(say),
        (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
            integer(schema, number).into_iter().for_each(say);
        }
        (Some("number"), Value::Number(number)) => self::number(schema, number).into_iter().for_each(say),
        (Some("boolean"), Value::Bool(_)) | (None, _) => {}
        (Some(_), Value::Null) if is_nullable(schema) => {}
        (Some("string"), Value::Bool(_) | Value::Number(_)) => say("must be a string: put it in quotes".to_owned()),
        (Some(kind), _) => {
            let article = if kind.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
            say(format!("must be {article} {kind}"));
        }
    }
}

fn object(schema: &Value, map: &Map<String, Value>, path: &str, findings: &mut Vec<Finding>) {
    let at = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !map.contains_key(key) {
            findings.push(Finding::new(&at(key), "is missing"));
        }
    }
    let is_free = schema.get("x-kubernetes-preserve-unknown-fields").is_some_and(|free| free == true);
    for (key, value) in map {
        match property(schema, key) {
            Some(inner) => walk(inner, value, &at(key), findings),
            None if is_free => {}
            None => findings.push(Finding::new(&at(key), "is no field that exists: is it misspelled?")),
        }
    }
    if limit(schema, "maxProperties").is_some_and(|most| size(map.len()) > most) {
        findings.push(Finding::new(path, "has too many entries"));
    }
}

fn array(schema: &Value, items: &[Value], path: &str, findings: &mut Vec<Finding>) {
    if limit(schema, "maxItems").is_some_and(|most| size(items.len()) > most) {
        findings.push(Finding::new(path, "has too many items"));
    }
    let is_set = schema.get("x-kubernetes-list-type").is_some_and(|kind| kind == "set");
    if is_set && items.iter().enumerate().any(|(n, item)| items.iter().take(n).any(|other| other == item)) {
        findings.push(Finding::new(path, "names the same twice"));
    }
    let Some(inner) = schema.get("items") else { return };
    for (n, item) in items.iter().enumerate() {
        walk(inner, item, &format!("{path}[{n}]"), findings);
    }
}

fn string(schema: &Value, text: &str) -> Option<String> {
    let length = size(text.chars().count());
    match limit(schema, "minLength") {
        Some(1) if length < 1 => return Some("must not be empty".to_owned()),
        Some(least) if length < least => return Some(format!("is too short: at least {least} characters")),
        Some(_) | None => {}
    }
    if let Some(most) = limit(schema, "maxLength").filter(|most| length > *most) {
        return Some(format!("is too long: at most {most} characters"));
    }
    let pattern = schema.get("pattern").and_then(Value::as_str)?;
    let fits = Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text));
    (!fits).then(|| format!("must match {pattern}"))
}

fn integer(schema: &Value, number: &Number) -> Option<String> {
    let is_narrow = schema.get("format").is_some_and(|format| format == "int32");
    let width = if is_narrow { i64::from(i32::MIN)..=i64::from(i32::MAX) } else { i64::MIN..=i64::MAX };
    let Some(whole) = number.as_i64().filter(|number| width.contains(number)) else {
        return Some("is out of range".to_owned());
    };
    match (limit(schema, "minimum"), limit(schema, "maximum")) {
        (Some(least), _) if whole < least => Some(format!("must be at least {least}")),
        (_, Some(most)) if whole > most => Some(format!("must be at most {most}")),
        (_, _) => None,
    }
}

/// The bounds of a number that need not be whole.
fn number(schema: &Value, number: &Number) -> Option<String> {
    let value = number.as_f64()?;
    let bound = |keyword: &str| schema.get(keyword).and_then(|bound| Some((bound, bound.as_f64()?)));
    match (bound("minimum"), bound("maximum")) {
        (Some((least, bound)), _) if value < bound => Some(format!("must be at least {least}")),
        (_, Some((most, bound))) if value > bound => Some(format!("must be at most {most}")),
        (_, _) => None,
    }
}

fn limit(schema: &Value, keyword: &str) -> Option<i64> {
    schema.get(keyword)?.as_i64()
}

fn size(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::crd;
    use rstest::rstest;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn keywords(schema: &Value, found: &mut BTreeSet<String>) {
        found.extend(schema.as_object().into_iter().flat_map(Map::keys).cloned());
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::values);
        let inner = ["items", "additionalProperties"].into_iter().filter_map(|keyword| schema.get(keyword));
        properties.chain(inner).for_each(|inner| keywords(inner, found));
    }

    #[test]
    fn every_keyword_of_our_crds_is_known() {
        let mut found = BTreeSet::new();
        for crd in crd::all().expect("CRDs") {
            let spec = crd.manifest.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
            keywords(spec.expect("a schema"), &mut found);
        }
        let checked = [
            "additionalProperties",
            "enum",
            "format",
            "items",
            "maxItems",
            "maxLength",
            "maxProperties",
            "maximum",
            "minLength",
            "minimum",
            "nullable",
            "pattern",
            "properties",
            "required",
            "type",
            "x-kubernetes-list-type",
            "x-kubernetes-preserve-unknown-fields",
        ];
        // These say nothing about a value, or are CEL, which is evaluated elsewhere.
        let passed = ["default", "description", "x-kubernetes-validations"];
        let unknown: Vec<_> =
            found.iter().filter(|k| !checked.contains(&k.as_str()) && !passed.contains(&k.as_str())).collect();
        assert!(unknown.is_empty(), "teach src/cli/validate/schema.rs about {unknown:?}");
    }

    #[test]
    fn every_pattern_of_our_crds_can_be_read() {
        fn patterns(value: &Value) -> Vec<String> {
            let here = value.get("pattern").and_then(Value::as_str).map(str::to_owned);
            let inner: Vec<&Value> = match value {
                Value::Object(map) => map.values().collect(),
                Value::Array(items) => items.iter().collect(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
            };
            here.into_iter().chain(inner.into_iter().flat_map(patterns)).collect()
        }
        for crd in crd::all().expect("CRDs") {
            for pattern in patterns(&crd.manifest) {
                assert!(Regex::new(&pattern).is_ok(), "{pattern}");
            }
        }
    }

    #[rstest]
    #[case::good(json!({"name": "a", "count": 3, "tags": ["x"], "map": {"k": "v"}, "free": {"any": [1]}}), &[])]
    #[case::missing(json!({}), &["name: is missing"])]
    #[case::unknown(json!({"name": "a", "nmae": 1}), &["nmae: is no field that exists: is it misspelled?"])]
    #[case::unquoted(json!({"name": true}), &["name: must be a string: put it in quotes"])]
    #[case::wrong_type(json!({"name": "a", "tags": {}}), &["tags: must be an array"])]
    #[case::empty(json!({"name": ""}), &["name: must not be empty"])]
    #[case::short(json!({"name": "a", "code": "ä"}), &["code: is too short: at least 2 characters"])]
    #[case::empty_and_short(json!({"name": "a", "code": ""}), &["code: is too short: at least 2 characters"])]
    #[case::long_enough(json!({"name": "a", "code": "äö"}), &[])]
    #[case::characters_count_not_bytes(json!({"name": "äää"}), &["name: must match ^[a-z]+$"])]
    #[case::long(json!({"name": "aaaa"}), &["name: is too long: at most 3 characters"])]
    #[case::small(json!({"name": "a", "count": 0}), &["count: must be at least 1"])]
    #[case::great(json!({"name": "a", "count": 9}), &["count: must be at most 8"])]
    #[case::out_of_range(json!({"name": "a", "count": 1_u64 << 40}), &["count: is out of range"])]
    #[case::fraction(json!({"name": "a", "count": 1.5}), &["count: must be an integer"])]
    #[case::any_number(json!({"name": "a", "share": 0.5}), &[])]
    #[case::whole_number(json!({"name": "a", "share": 99}), &[])]
    #[case::number_too_small(json!({"name": "a", "share": -0.1}), &["share: must be at least 0"])]
    #[case::number_too_great(json!({"name": "a", "share": 99.6}), &["share: must be at most 99.5"])]
    #[case::no_number(json!({"name": "a", "share": "5"}), &["share: must be a number"])]
    #[case::null_is_a_value(json!({"name": "a", "share": null, "period": null}), &[])]
    #[case::null_is_none_of_them(json!({"name": "a", "weekday": null}), &["weekday: must be one of sunday"])]
    #[case::null_is_no_value(json!({"name": null}), &["name: must be a string"])]
    #[case::one_of_null(json!({"name": "a", "period": "weekly"}), &["period: must be one of daily, null"])]
    #[case::items(json!({"name": "a", "tags": ["x", "y"]}), &["tags: has too many items", "tags[1]: must be one of x"])]
    #[case::twice(json!({"name": "a", "set": ["x", "y", "x"]}), &["set: names the same twice"])]
    #[case::entries(json!({"name": "a", "map": {"k": "v", "l": 1}}), &["map.l: must be a string: put it in quotes", "map: has too many entries"])]
    fn findings(#[case] value: Value, #[case] expected: &[&str]) {
        let schema = json!({
            "type": "object", "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^[a-z]+$"},
                "code": {"type": "string", "minLength": 2},
                "count": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 8},
                "tags": {"type": "array", "maxItems": 1, "items": {"type": "string", "enum": ["x"]}},
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "map": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "share": {"type": "number", "minimum": 0, "maximum": 99.5, "nullable": true},
                "period": {"type": "string", "enum": ["daily", null], "nullable": true},
                "weekday": {"type": "string", "enum": ["sunday"], "nullable": true},
            },
        });
        let found: Vec<_> = check(&schema, &value).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_null_is_the_same_as_nothing() {
        let text = json!({"type": "string"});
        let schema = json!({"properties": {
            "a": text, "b": {"properties": {"c": text}}, "d": {"items": text}, "e": {"additionalProperties": text},
        }});
        let value = json!({"a": null, "b": {"c": null}, "d": [null], "e": {"any": null}});
        assert_eq!(without_nulls(&schema, &value), json!({"b": {}, "d": [null], "e": {}}));
    }

    #[test]
    fn a_null_stays_where_it_is_a_value() {
        let nullable = json!({"type": "integer", "nullable": true});
        let schema = json!({"properties": {
            "a": nullable, "b": {"type": "integer"}, "c": {"items": {"properties": {"d": nullable}}},
            "e": {"additionalProperties": nullable},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }});
        let free = json!({"x": null, "deep": {"y": null, "z": [{"w": null}]}});
        let value =
            json!({"a": null, "b": null, "c": [{"d": null}], "e": {"any": null}, "free": free, "unknown": null});
        let stored = json!({"a": null, "c": [{"d": null}], "e": {"any": null}, "free": free, "unknown": null});
        assert_eq!(without_nulls(&schema, &value), stored);
    }
}
