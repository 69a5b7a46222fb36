//! JSON merge patch, RFC 7386.

use serde_json::{Map, Value};

/// Applies a patch: an object is merged, null removes, everything else replaces.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_merges_removes_and_replaces() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "d": [1, 2], "e": "x"});
        merge(&mut target, &json!({"a": {"b": null, "n": {"m": null, "o": 1}}, "d": [3], "e": {"f": 1}}));
        assert_eq!(target, json!({"a": {"c": 2, "n": {"o": 1}}, "d": [3], "e": {"f": 1}}));
    }
}
