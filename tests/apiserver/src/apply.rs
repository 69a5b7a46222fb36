//! Server-side apply, as far as one manager with force goes: what it applied before and does not apply now, goes.

use json_patch::merge;
use serde_json::{Map, Value};

use crate::{
    fail::Failure,
    state::{Key, State},
    write::Part,
};

impl State {
    /// Applies a manifest: creates the object or changes it.
    pub(crate) fn apply(&mut self, key: &Key, manager: &str, manifest: Value) -> Result<Value, Failure> {
        let place = (key.clone(), manager.to_owned());
        let stored = if self.objects.contains_key(key) {
            let mut patch =
                self.applied.get(&place).map_or_else(|| Value::Object(Map::new()), |last| gone(last, &manifest));
            overlay(&mut patch, &manifest);
            self.patch(key, Part::Main, &patch)?
        } else {
            self.create(key.clone(), manifest.clone())?
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

/// Like a merge, but what removes stays.
fn overlay(patch: &mut Value, manifest: &Value) {
    match (patch, manifest) {
        (Value::Object(patch), Value::Object(manifest)) => {
            for (key, value) in manifest {
                match patch.get_mut(key) {
                    Some(inner) if inner.is_object() && value.is_object() => overlay(inner, value),
                    Some(_) | None => {
                        patch.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (patch, manifest) => merge(patch, manifest),
    }
}
