//! Every keyword: a value that keeps it, and what is said of one that does not.

use serde_json::json;

use super::*;

fn found(schema: &Value, value: &Value) -> Vec<String> {
    let schema = json!({"type": "object", "properties": {"a": schema}});
    let schema = Schema::read(&schema).expect("a schema");
    faults(&schema, "", &json!({"a": value}), None)
}

#[track_caller]
fn keyword(schema: &Value, good: &Value, bad: &Value, says: &str) {
    assert_eq!(found(schema, good), [""; 0], "{good} by {schema}");
    assert_eq!(found(schema, bad), [says], "{bad} by {schema}");
}

#[test]
fn types_are_checked() {
    let of = |name: &str| json!({"type": name});
    let says = |wanted: &str, found: &str| {
        format!("a: Invalid value: {found:?}: a in body must be of type {wanted}: {found:?}")
    };
    keyword(&of("string"), &json!("x"), &json!(1), &says("string", "integer"));
    keyword(&of("boolean"), &json!(true), &json!("yes"), &says("boolean", "string"));
    keyword(&of("integer"), &json!(1.0), &json!(1.5), &says("integer", "number"));
    let long = json!({"type": "integer", "format": "int64"});
    keyword(&long, &json!(1), &json!(1.5), &says("int64", "double"));
    keyword(&long, &json!(1), &json!("1"), &says("integer", "string"));
    keyword(&of("number"), &json!(1), &json!("1"), &says("number", "string"));
    keyword(&of("array"), &json!([]), &json!({}), &says("array", "object"));
    keyword(&of("object"), &json!({"any": 1}), &json!([]), &says("object", "array"));
    keyword(&json!({"type": "string", "nullable": true}), &json!(null), &json!(1), &says("string", "integer"));
    assert_eq!(found(&of("string"), &json!(null)), [says("string", "null")]);
}

#[test]
fn texts_are_checked() {
    let schema = json!({"type": "string", "maxLength": 3, "minLength": 1, "pattern": "^[^ ]*$"});
    // Three characters in nine bytes.
    keyword(&schema, &json!("\u{20ac}\u{20ac}\u{20ac}"), &json!("abcd"), "a: Too long: may not be more than 3 bytes");
    keyword(&schema, &json!("a"), &json!(""), "a: Invalid value: \"\": a in body should be at least 1 chars long");
    keyword(&schema, &json!("a"), &json!("a b"), "a: Invalid value: \"a b\": a in body should match '^[^ ]*$'");
    let instant = json!({"type": "string", "format": "date-time"});
    let says = "a: Invalid value: \"soon\": a in body must be of type date-time: \"soon\"";
    keyword(&instant, &json!("2026-01-31T00:00:00Z"), &json!("soon"), says);
    let one = json!({"type": "string", "enum": ["A", "B"]});
    keyword(&one, &json!("B"), &json!("C"), "a: Unsupported value: \"C\": supported values: \"A\", \"B\"");
}

#[test]
fn numbers_are_checked() {
    let schema = json!({"type": "integer", "minimum": 1, "maximum": 64});
    keyword(&schema, &json!(64), &json!(65), "a: Invalid value: 65: a in body should be less than or equal to 64");
    keyword(&schema, &json!(1), &json!(0), "a: Invalid value: 0: a in body should be greater than or equal to 1");
    let small = json!({"type": "integer", "format": "int32"});
    let says = "a: Invalid value: \"\": Checked value must be of type integer with format int32 in a";
    keyword(&small, &json!(i32::MIN), &json!(1_i64 << 31), says);
    let one = json!({"type": "integer", "enum": [1, 2]});
    keyword(&one, &json!(2), &json!(3), "a: Unsupported value: 3: supported values: \"1\", \"2\"");
}

#[test]
fn lists_are_checked() {
    let schema = json!({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "minLength": 1}});
    keyword(&schema, &json!(["x"]), &json!([]), "a: Invalid value: 0: a in body should have at least 1 items");
    keyword(&schema, &json!(["x", "x"]), &json!(["x", "y", "z"]), "a: Too many: 3: must have at most 2 items");
    let says = "a[1]: Invalid value: \"\": a[1] in body should be at least 1 chars long";
    keyword(&schema, &json!(["x"]), &json!(["x", ""]), says);
    let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
    keyword(&set, &json!(["x", "y"]), &json!(["x", "y", "x", "x"]), "a[2]: Duplicate value: \"x\"");
    let map = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {"type": "object", "properties": {"type": {"type": "string"}, "n": {"type": "integer"}}}});
    let twice = json!([{"type": "A", "n": 1}, {"type": "B"}, {"type": "A", "n": 2}]);
    keyword(&map, &json!([{"type": "A"}, {"type": "B"}]), &twice, "a[2]: Duplicate value: {\"type\":\"A\"}");
}

#[test]
fn maps_and_fields_are_checked() {
    let schema =
        json!({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string", "maxLength": 1}});
    keyword(&schema, &json!({"x": "y"}), &json!({"x": "y", "z": "y"}), "a: Too many: 2: must have at most 1 item");
    keyword(&schema, &json!({"x": "y"}), &json!({"x": "yy"}), "a.x: Too long: may not be more than 1 byte");
    let schema = json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}});
    keyword(&schema, &json!({"x": 1}), &json!({}), "a.x: Required value");
}

#[test]
fn all_faults_are_told_each_with_its_path() {
    let schema = json!({"type": "object", "required": ["b"], "properties": {
        "b": {"type": "object", "properties": {"c": {"type": "array", "items": {"type": "object", "required": ["d"]}}}},
        "e": {"type": "string"}}});
    let schema = Schema::read(&schema).expect("a schema");
    let value = json!({"b": {"c": [{"d": 1}, {}]}, "e": 1});
    let says = [
        "status.b.c[1].d: Required value",
        "status.e: Invalid value: \"integer\": e in body must be of type string: \"integer\"",
    ];
    assert_eq!(faults(&schema, "status", &value, None), says);
    assert_eq!(faults(&schema, "", &json!({}), None), ["b: Required value"]);
}

#[test]
fn what_has_not_changed_is_let_be() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "string"},
        "list": {"type": "array", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object",
            "properties": {"k": {"type": "string"}, "n": {"type": "integer"}, "s": {"type": "string"}}}},
        "set": {"type": "array", "items": {"type": "string"}}}});
    let schema = Schema::read(&schema).expect("a schema");
    let old = json!({"a": 1, "list": [{"k": "x", "n": "bad"}], "set": [1]});
    let mut new = json!({"a": 1, "list": [{"k": "new"}, {"k": "x", "n": "bad", "s": ""}], "set": [1]});
    assert_eq!(faults(&schema, "", &new, Some(&old)), [""; 0]);
    // An item of a list without keys is another one once anything about the list is.
    new["set"] = json!([1, "y"]);
    new["a"] = json!(2);
    assert_eq!(faults(&schema, "", &new, Some(&old)).len(), 2);
    assert_eq!(faults(&schema, "", &old, None).len(), 3);
}
