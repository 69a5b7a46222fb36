//! The rules of writing: what becomes of an object that is created, changed or deleted.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use json_patch::merge;
use serde_json::{Value, json};

use crate::{
    fail::Failure,
    kinds::Kind,
    meta,
    state::{Key, State},
    stored::Object,
    validate,
};

/// Which part of an object a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but status, where a kind has a status subresource.
    Main,
    /// Status alone.
    Status,
}

impl State {
    /// Creates an object; its name is in the key, or made here from `generateName`.
    pub(crate) fn create(&mut self, mut key: Key, mut object: Value) -> Result<Object, Failure> {
        if key.name.is_empty() {
            let base = meta::text(&object, "/metadata/generateName").unwrap_or_default().to_owned();
            let end = self.uid();
            key.name = format!("{base}{}", end.get(31..).unwrap_or_default());
        }
        if key.name.is_empty() {
            return Err(Failure::invalid("metadata.name: Required value: name or generateName is required"));
        }
        self.accepts(&key)?;
        if self.objects.contains_key(&key) {
            return Err(Failure::already_exists(&self.words(&key)));
        }
        if meta::text(&object, "/metadata/resourceVersion").is_some_and(|version| !version.is_empty()) {
            return Err(Failure::bad_request("resourceVersion should not be set on objects to be created"));
        }
        let kind = Arc::clone(self.at(&key)?);
        if kind.has_status
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        let (uid, stamp) = (self.uid(), self.clock.stamp());
        let fixed = [
            ("name", Some(json!(key.name))),
            ("namespace", kind.namespaced.then(|| json!(key.namespace))),
            ("uid", Some(json!(uid))),
            ("creationTimestamp", Some(json!(stamp))),
            ("generation", kind.has_generation.then(|| json!(1))),
            ("deletionTimestamp", None),
            ("deletionGracePeriodSeconds", None),
            ("managedFields", None),
        ];
        for (field, value) in fixed {
            meta::set(&mut object, field, value);
        }
        prepare(&mut object, &kind);
        self.check(&key, "", &object, None)?;
        let stored = self.store(&key, object);
        self.collect_created(&key, &stored);
        Ok(stored)
    }

    /// A namespace must be there, and not on its way out.
    fn accepts(&self, key: &Key) -> Result<(), Failure> {
        if !self.at(key)?.namespaced {
            return Ok(());
        }
        let kind = self.kind("", "v1", "namespaces").unwrap_or_default();
        let place = Key { kind, namespace: String::new(), name: key.namespace.clone() };
        let namespace = self.get(&place)?;
        if meta::is_deleting(namespace) { Err(Failure::terminating(&key.namespace)) } else { Ok(()) }
    }

    /// Applies a merge patch. A version or UID that it names is a condition.
    pub(crate) fn patch(&mut self, key: &Key, part: Part, patch: &Value) -> Result<Object, Failure> {
        let mut next = self.get(key)?.value();
        merge(&mut next, patch);
        self.update(key, part, next)
    }

    /// Applies a JSON patch.
    pub(crate) fn patch_by_steps(&mut self, key: &Key, part: Part, steps: Value) -> Result<Object, Failure> {
        let steps: json_patch::Patch =
            serde_json::from_value(steps).map_err(|e| Failure::bad_request(format!("this is no JSON patch: {e}")))?;
        let mut next = self.get(key)?.value();
        json_patch::patch(&mut next, &steps).map_err(|e| Failure::invalid(e.to_string()))?;
        self.update(key, part, next)
    }

    /// Puts a version in place of the present one. A UID that it names is a condition, on either endpoint.
    pub(crate) fn replace(&mut self, key: &Key, part: Part, next: Value) -> Result<Object, Failure> {
        if names_another(&next, self.get(key)?, "/metadata/uid") {
            return Err(Failure::conflict(&self.words(key)));
        }
        self.update(key, part, next)
    }

    /// Makes a version of the present one. A version that it names is a condition. Another UID is refused, and on the status endpoint
    /// it is no more looked at than anything else that is not status: so does the real server with patches.
    pub(crate) fn update(&mut self, key: &Key, part: Part, next: Value) -> Result<Object, Failure> {
        let old = self.get(key)?.clone();
        let kind = Arc::clone(self.at(key)?);
        if part == Part::Status && !kind.has_status {
            return Err(Failure::not_found("the server could not find the requested resource"));
        }
        if names_another(&next, &old, "/metadata/resourceVersion") {
            return Err(Failure::conflict(&self.words(key)));
        }
        if part == Part::Main && names_another(&next, &old, "/metadata/uid") {
            let uid = meta::text(&next, "/metadata/uid").unwrap_or_default();
            let fault = format!("metadata.uid: Invalid value: {uid:?}: field is immutable");
            return Err(Failure::invalid_object(&kind, &key.name, &[fault]));
        }
        let mut next = match part {
            Part::Main if kind.has_status => with_status(next, old.get("status")),
            Part::Main => next,
            Part::Status => with_status(old.value(), next.get("status")),
        };
        for field in [
            "name",
            "namespace",
            "uid",
            "creationTimestamp",
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            let value = old.pointer(&format!("/metadata/{field}")).cloned();
            meta::set(&mut next, field, value);
        }
        meta::set(&mut next, "resourceVersion", old.pointer("/metadata/resourceVersion").cloned());
        meta::set(&mut next, "managedFields", None);
        prepare(&mut next, &kind);
        if meta::is_deleting(&old) {
            let had = meta::finalizers(&old);
            if meta::finalizers(&next).iter().any(|f| !had.contains(f)) {
                let message =
                    "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted";
                return Err(Failure::invalid(message));
            }
        }
        if kind.has_generation && declared(&next) != declared(&old) {
            count(&mut next);
        }
        if next == *old {
            return Ok(old);
        }
        match part {
            Part::Main => self.check(key, "", &next, Some(&old))?,
            // As the real server: a spec of long ago is no hindrance to a status.
            Part::Status => self.check(key, "status", &next, Some(&old))?,
        }
        if meta::is_deleting(&next) && meta::finalizers(&next).is_empty() && kind.plural != "namespaces" {
            return Ok(self.remove(key, next));
        }
        Ok(self.store(key, next))
    }

    /// Whether an object, or one field of it, is as the schema of its kind says, where it is not what it was.
    fn check(&self, key: &Key, field: &str, object: &Value, old: Option<&Value>) -> Result<(), Failure> {
        let kind = self.at(key)?;
        let Some(schema) = kind.schema.as_deref().filter(|_| !self.trusts) else { return Ok(()) };
        let faults = if field.is_empty() {
            validate::faults(schema, field, object, old)
        } else if let (Some(schema), Some(value)) = (schema.of(field), object.get(field)) {
            validate::faults(schema, field, value, old.and_then(|old| old.get(field)))
        } else {
            vec![]
        };
        if faults.is_empty() { Ok(()) } else { Err(Failure::invalid_object(kind, &key.name, &faults)) }
    }

    /// Deletes an object, or marks it while finalizers keep it. `options`: its preconditions count.
    pub(crate) fn delete(&mut self, key: &Key, options: &Value) -> Result<Object, Failure> {
        let old = self.get(key)?.clone();
        for field in ["resourceVersion", "uid"] {
            let wanted = meta::text(options, &format!("/preconditions/{field}"));
            if wanted.is_some() && wanted != meta::text(&old, &format!("/metadata/{field}")) {
                return Err(Failure::conflict(&self.words(key)));
            }
        }
        let is_namespace = self.at(key)?.plural == "namespaces";
        if meta::finalizers(&old).is_empty() && !is_namespace {
            return Ok(self.remove(key, old.value()));
        }
        if meta::is_deleting(&old) {
            return Ok(old);
        }
        let mut next = old.value();
        meta::set(&mut next, "deletionTimestamp", Some(json!(self.clock.stamp())));
        meta::set(&mut next, "deletionGracePeriodSeconds", Some(json!(0)));
        if self.at(key)?.has_generation {
            count(&mut next);
        }
        let stored = self.store(key, next);
        if is_namespace {
            self.empty(&key.name);
        }
        Ok(stored)
    }
}

/// Whether an object names another value than the present one has.
fn names_another(next: &Value, old: &Value, pointer: &str) -> bool {
    meta::text(next, pointer).is_some_and(|wanted| !wanted.is_empty() && Some(wanted) != meta::text(old, pointer))
}

fn with_status(mut object: Value, status: Option<&Value>) -> Value {
    if let Some(fields) = object.as_object_mut() {
        match status {
            Some(status) => fields.insert("status".to_owned(), status.clone()),
            None => fields.remove("status"),
        };
    }
    object
}

/// What every write does to the object that comes of it.
fn prepare(object: &mut Value, kind: &Kind) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), json!(kind.api_version()));
        fields.insert("kind".to_owned(), json!(kind.name));
    }
    if let Some(schema) = &kind.schema {
        schema.fit(object);
    }
    if kind.plural == "secrets" {
        encode(object);
    }
    meta::tidy(object);
}

/// `stringData` is for writing only.
fn encode(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else { return };
    fields.entry("type").or_insert_with(|| json!("Opaque"));
    let Some(Value::Object(plain)) = fields.remove("stringData") else { return };
    let Some(data) = fields.entry("data").or_insert_with(|| json!({})).as_object_mut() else { return };
    for (key, value) in plain {
        data.insert(key, json!(BASE64_STANDARD.encode(value.as_str().unwrap_or_default())));
    }
}

/// What a generation counts the changes of.
fn declared(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status")).collect()
}

fn count(object: &mut Value) {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    meta::set(object, "generation", Some(json!(generation + 1)));
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn a_patch_merges_removes_and_replaces() {
        let mut state = State::new(Clock::starting_at(Timestamp::UNIX_EPOCH), 0);
        let place = |state: &State, plural: &str, namespace: &str| Key {
            kind: state.kind("", "v1", plural).expect("a kind"),
            namespace: namespace.to_owned(),
            name: "n".to_owned(),
        };
        let (home, key) = (place(&state, "namespaces", ""), place(&state, "configmaps", "n"));
        state.create(home, json!({})).expect("a namespace");
        let object = json!({"a": {"b": 1, "c": 2}, "d": [1, 2], "e": "x"});
        state.create(key.clone(), object).expect("an object");
        let patch = json!({"a": {"b": null, "n": {"m": null, "o": 1}}, "d": [3], "e": {"f": 1}});
        let mut patched = state.patch(&key, Part::Main, &patch).expect("a version").value();
        for field in ["apiVersion", "kind", "metadata"] {
            patched.as_object_mut().expect("an object").remove(field);
        }
        assert_eq!(patched, json!({"a": {"c": 2, "n": {"o": 1}}, "d": [3], "e": {"f": 1}}));
    }
}
