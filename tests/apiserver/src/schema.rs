//! The schema of a CRD, read once, and what it does to an object that is written: unknown fields go, defaults come.
//!
//! Owns which keywords this server knows. A schema with any other one is not read, so that no bound is ever passed over.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::bounds::Bounds;

/// One node of a schema.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) form: Option<Form>,
    pub(crate) nullable: bool,
    keeps_unknown: bool,
    default: Option<Value>,
    pub(crate) properties: BTreeMap<String, Schema>,
    /// Of every property that is not among those.
    pub(crate) additional: Option<Box<Schema>>,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) bounds: Bounds,
}

/// What kind of JSON a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    Null,
}

impl Form {
    fn read(name: &str) -> Option<Self> {
        let all = [Self::Object, Self::Array, Self::String, Self::Integer, Self::Number, Self::Boolean];
        all.into_iter().find(|form| form.name() == name)
    }

    /// As schemas name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Null => "null",
        }
    }

    /// What a value is. A number without a fraction is an integer, however it is written.
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(n) if n.as_f64().is_some_and(|n| n.fract() != 0.0) => Self::Number,
            Value::Number(_) => Self::Integer,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }
}

impl Schema {
    /// `None` where it is no schema, or says what this server does not know.
    pub(crate) fn read(schema: &Value) -> Option<Self> {
        let mut read = Self::default();
        for (keyword, value) in schema.as_object()? {
            match keyword.as_str() {
                "type" => read.form = Some(Form::read(value.as_str()?)?),
                "nullable" => read.nullable = value.as_bool()?,
                "x-kubernetes-preserve-unknown-fields" => read.keeps_unknown = value.as_bool()?,
                "default" => read.default = Some(value.clone()),
                "properties" => {
                    for (name, schema) in value.as_object()? {
                        read.properties.insert(name.clone(), Self::read(schema)?);
                    }
                }
                "additionalProperties" => read.additional = Some(Box::new(Self::read(value)?)),
                "items" => read.items = Some(Box::new(Self::read(value)?)),
                // For people, and CEL, which this server does not have.
                "description" | "title" | "example" | "x-kubernetes-validations" | "x-kubernetes-map-type" => {}
                _ => read.bounds.read(keyword, value)?,
            }
        }
        Some(read)
    }

    /// The schema of one property.
    pub(crate) fn of(&self, property: &str) -> Option<&Self> {
        self.properties.get(property).or(self.additional.as_deref())
    }

    /// Prunes unknown fields, drops nulls that mean nothing or that a default replaces, and fills in defaults.
    pub(crate) fn fit(&self, object: &mut Value) {
        let Value::Object(fields) = object else { return };
        // The server knows these by itself.
        let known = |key: &str| ["apiVersion", "kind", "metadata"].contains(&key);
        fields.retain(|key, _| known(key) || self.keeps_unknown || self.of(key).is_some());
        for (key, schema) in self.properties.iter().filter(|(key, _)| !known(key)) {
            schema.fit_field(fields, key);
        }
    }

    fn fit_field(&self, fields: &mut Map<String, Value>, key: &str) {
        if fields.get(key).is_some_and(Value::is_null) && !self.nullable {
            fields.remove(key);
        }
        if let (None, Some(default)) = (fields.get(key), &self.default) {
            fields.insert(key.to_owned(), default.clone());
        }
        if let Some(value) = fields.get_mut(key) {
            self.fit_value(value);
        }
    }

    fn fit_value(&self, value: &mut Value) {
        match value {
            Value::Array(items) => {
                let Some(schema) = &self.items else { return };
                for item in items {
                    schema.fit_value(item);
                }
            }
            Value::Object(fields) => {
                fields.retain(|key, _| self.keeps_unknown || self.of(key).is_some());
                for (key, schema) in &self.properties {
                    schema.fit_field(fields, key);
                }
                let Some(schema) = &self.additional else { return };
                fields.retain(|key, value| self.properties.contains_key(key) || schema.nullable || !value.is_null());
                for (_, value) in fields.iter_mut().filter(|(key, _)| !self.properties.contains_key(key.as_str())) {
                    schema.fit_value(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
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
            "list": {"items": {"properties": {"a": {"default": 2}}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "closed": {"type": "object"}
        }}}});
        let mut object = json!({"kind": "K", "metadata": {"name": "n"}, "spec": {
            "typo": 1, "policy": null, "kept": null, "map": {"x": {"b": 1}, "gone": null}, "list": [{}],
            "free": {"a": {"b": null}}, "closed": {"a": 1}
        }});
        Schema::read(&schema).expect("a schema").fit(&mut object);
        let spec = json!({"policy": "Full", "kept": null, "map": {"x": {"a": 1}}, "list": [{"a": 2}],
            "free": {"a": {"b": null}}, "closed": {}});
        assert_eq!(object, json!({"kind": "K", "metadata": {"name": "n"}, "spec": spec}));
    }

    #[test]
    fn a_schema_with_a_bound_that_is_not_known_is_not_read() {
        for odd in [
            json!({"oneOf": [{"required": ["a"]}]}),
            json!({"properties": {"a": {"items": {"multipleOf": 2}}}}),
            json!({"type": "text"}),
            json!({"type": "string", "format": "ipv4"}),
            json!({"pattern": "(?=a)"}),
        ] {
            assert!(Schema::read(&odd).is_none(), "{odd}");
        }
    }
}
