//! What differs: between a declaration and a record, and between two versions of a JSON document.

use crate::api::v1alpha1::AppliedField;
use serde_json::{Map, Value};

/// The longest value that a status holds.
const LONGEST: usize = 1024;

/// A field with its value, as `status.appliedFields` remembers it.
#[must_use]
pub fn remembered(path: &str, value: &Value) -> AppliedField {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    AppliedField { path: path.to_owned(), value: text.chars().take(LONGEST).collect() }
}

/// How a record differs from its declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference<C> {
    /// Not at all.
    None,
    /// In what the provider can change in place: the change, and its fields by their path in `spec`.
    Update(C, Vec<String>),
    /// In what only a new record can bring; the fields by their path in `spec`.
    Replace(Vec<String>),
}

/// The JSON merge patch (RFC 7386) that turns `from` into `to`; `None` where they are equal.
#[must_use]
pub fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (from, to) else { return Some(to.clone()) };
    let gone = old.keys().filter(|k| !new.contains_key(*k)).map(|k| (k.clone(), Value::Null));
    let changed = new.iter().filter_map(|(k, v)| {
        let before = old.get(k).unwrap_or(&Value::Null);
        merge_patch(before, v).map(|patch| (k.clone(), patch))
    });
    Some(Value::Object(gone.chain(changed).collect::<Map<_, _>>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn apply(target: &Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut out = target.as_object().cloned().unwrap_or_default();
        for (k, v) in patch {
            if v.is_null() {
                out.remove(k);
            } else {
                let merged = apply(out.get(k).unwrap_or(&Value::Null), v);
                out.insert(k.clone(), merged);
            }
        }
        Value::Object(out)
    }

    #[test]
    fn equal_documents_need_no_patch() {
        assert_eq!(merge_patch(&json!({"a": [1]}), &json!({"a": [1]})), None);
    }

    #[test]
    fn a_patch_names_only_what_changed() {
        let patch =
            merge_patch(&json!({"a": 1, "b": {"c": 1, "d": 2}, "e": 1}), &json!({"a": 1, "b": {"c": 3, "d": 2}}));
        assert_eq!(patch, Some(json!({"b": {"c": 3}, "e": null})));
    }

    /// Documents without null: a merge patch cannot express one, and no status holds one.
    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..4).prop_map(Value::from)];
        let tree = leaf
            .prop_recursive(3, 16, 4, |inner| prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|m| json!(m)));
        prop::collection::btree_map("[a-c]", tree, 0..4).prop_map(|m| json!(m))
    }

    proptest! {
        #[test]
        fn a_patch_turns_one_into_the_other(from in document(), to in document()) {
            match merge_patch(&from, &to) {
                None => prop_assert_eq!(from, to),
                Some(patch) => prop_assert_eq!(apply(&from, &patch), to),
            }
        }
    }

    #[test]
    fn a_value_is_remembered_as_it_is_written_and_no_longer_than_a_status_holds() {
        let value = |value: &Value| remembered("spec.x", value).value;
        assert_eq!(remembered("spec.x", &json!("a")), AppliedField { path: "spec.x".into(), value: "a".into() });
        assert_eq!((value(&json!(true)), value(&json!({"a": 1}))), ("true".to_owned(), "{\"a\":1}".to_owned()));
        assert_eq!(value(&json!("ä".repeat(2000))), "ä".repeat(1024));
    }
}
