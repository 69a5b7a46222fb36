//! Server-side apply, as far as one manager with force goes: what it applied before and does not apply now, goes.

use json_patch::merge;
use serde_json::{Map, Value};

use crate::{
    fail::Failure,
    state::{Key, State},
    stored::Object,
    write::Part,
};

impl State {
    /// Applies a manifest: creates the object or changes it.
    pub(crate) fn apply(&mut self, key: &Key, manager: &str, manifest: Value) -> Result<Object, Failure> {
        let place = (key.clone(), manager.to_owned());
        let stored = match self.objects.get(key).map(Object::value) {
            None => self.create(key.clone(), manifest.clone())?,
            Some(mut next) => {
                if let Some(last) = self.applied.get(&place) {
                    merge(&mut next, &gone(last, &manifest));
                }
                overlay(&mut next, &manifest);
                self.update(key, Part::Main, next)?
            }
        };
        self.applied.insert(place, manifest);
        Ok(stored)
    }
}

/// A merge patch that removes what is in `last` and not in `next`.
fn gone(last: &Value, next: &Value) -> Value {
    let mut patch = Map::new();
    if let (Value::Object(last), Value::Object(next)) = (last, next) {
        for (key, value) in last {
            match next.get(key) {
                None => patch.insert(key.clone(), Value::Null),
                Some(kept) if kept.is_object() => patch.insert(key.clone(), gone(value, kept)),
                Some(_) => None,
            };
        }
    }
    Value::Object(patch)
}

/// Like a merge, but a null is a value.
fn overlay(object: &mut Value, manifest: &Value) {
    match (object, manifest) {
        (Value::Object(object), Value::Object(manifest)) => {
            for (key, value) in manifest {
                overlay(object.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (object, manifest) => object.clone_from(manifest),
    }
}
