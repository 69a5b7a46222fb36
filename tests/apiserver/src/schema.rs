//! What the schema of a CRD does to an object that is written: unknown fields go, defaults come.

use serde_json::{Map, Value};

/// Prunes unknown fields, drops nulls that a default replaces, and fills in defaults.
pub(crate) fn fit(object: &mut Value, schema: &Value) {
    let Value::Object(fields) = object else { return };
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    // The server knows these by itself.
    let known = ["apiVersion", "kind", "metadata"];
    fields.retain(|key, _| known.contains(&key.as_str()) || properties.contains_key(key));
    for (key, schema) in properties {
        if !known.contains(&key.as_str()) {
            fit_field(fields, key, schema);
        }
    }
}

fn fit_field(fields: &mut Map<String, Value>, key: &str, schema: &Value) {
    let nullable = schema.get("nullable") == Some(&Value::Bool(true));
    if fields.get(key).is_some_and(Value::is_null) && !nullable {
        fields.remove(key);
    }
    if let (None, Some(default)) = (fields.get(key), schema.get("default")) {
        fields.insert(key.to_owned(), default.clone());
    }
    if let Some(value) = fields.get_mut(key) {
        fit_value(value, schema);
    }
}

fn fit_value(value: &mut Value, schema: &Value) {
    match value {
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    fit_value(item, schema);
                }
            }
        }
        Value::Object(fields) => {
            if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                let keeps = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
                fields.retain(|key, _| keeps || properties.contains_key(key));
                for (key, schema) in properties {
                    fit_field(fields, key, schema);
                }
            } else if let Some(schema) = schema.get("additionalProperties").filter(|s| s.is_object()) {
                for value in fields.values_mut() {
                    fit_value(value, schema);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_go_and_defaults_come() {
        let schema = json!({"properties": {"spec": {"properties": {
            "policy": {"type": "string", "default": "Full"},
            "kept": {"nullable": true, "default": 1},
            "map": {"additionalProperties": {"properties": {"a": {"default": 1}}}},
            "list": {"items": {"properties": {"a": {"default": 2}}}}
        }}}});
        let mut object = json!({"kind": "K", "metadata": {"name": "n"}, "spec": {
            "typo": 1, "policy": null, "kept": null, "map": {"x": {"b": 1}}, "list": [{}]
        }});
        fit(&mut object, &schema);
        let spec = json!({"policy": "Full", "kept": null, "map": {"x": {"a": 1}}, "list": [{"a": 2}]});
        assert_eq!(object, json!({"kind": "K", "metadata": {"name": "n"}, "spec": spec}));
    }
}
