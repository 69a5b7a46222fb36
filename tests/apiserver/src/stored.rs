//! A version of an object, and how it is written: once, however many read it.

use std::{
    ops::Deref,
    sync::{Arc, OnceLock},
};

use serde_json::Value;

/// A version of an object as it is stored; copies share it.
#[derive(Clone, Debug)]
pub(crate) struct Object(Arc<Version>);

#[derive(Debug)]
struct Version {
    value: Value,
    text: OnceLock<String>,
}

impl Object {
    pub(crate) fn new(value: Value) -> Self {
        Self(Arc::new(Version { value, text: OnceLock::new() }))
    }

    /// The object as JSON.
    pub(crate) fn text(&self) -> &str {
        self.0.text.get_or_init(|| self.0.value.to_string())
    }

    /// A copy to change.
    pub(crate) fn value(&self) -> Value {
        self.0.value.clone()
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0.value
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        object.value()
    }
}
