//! What the server reads and writes of an object's metadata.

use serde_json::{Map, Value, json};

/// Text at a path of an object.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// The metadata, which an object gets if it has none.
pub(crate) fn metadata(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.as_object_mut()?.entry("metadata").or_insert_with(|| json!({})).as_object_mut()
}

/// Sets a field of the metadata, or takes it away.
pub(crate) fn set(object: &mut Value, key: &str, value: Option<Value>) {
    let Some(metadata) = metadata(object) else { return };
    match value {
        Some(value) => metadata.insert(key.to_owned(), value),
        None => metadata.remove(key),
    };
}

/// The finalizers.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    let all = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether it is on its way out.
pub(crate) fn is_deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// The UIDs of its owners.
pub(crate) fn owners(object: &Value) -> Vec<&str> {
    let all = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(|owner| text(owner, "/uid")).collect()
}

/// Takes empty maps and lists of the metadata away, which the server does not store.
pub(crate) fn tidy(object: &mut Value) {
    let Some(metadata) = metadata(object) else { return };
    metadata.retain(|_, value| match value {
        Value::Null => false,
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    });
}

/// The metadata alone, as a `PartialObjectMetadata`.
pub(crate) fn partial(object: &Value) -> Value {
    let metadata = object.get("metadata").cloned().unwrap_or_default();
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}
