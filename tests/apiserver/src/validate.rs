//! Whether a value is as its schema says, in the words of the real server.
//!
//! What has not changed is not looked at, as on the real server, which lets be what an older schema had let in.

use std::fmt;

use serde_json::{Map, Number, Value};

use crate::{
    bounds::{self, Format},
    schema::{Form, Schema},
};

/// What is wrong with a value, a line each. `field`: where the value is; `old`: what it was before.
pub(crate) fn faults(schema: &Schema, field: &str, value: &Value, old: Option<&Value>) -> Vec<String> {
    let mut check = Check { field, faults: Vec::new() };
    check.value(&Path::Root, value, old, schema);
    check.faults
}

/// A way into a value.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

struct Check<'a> {
    field: &'a str,
    faults: Vec<String>,
}

impl Check<'_> {
    fn say(&mut self, path: &Path, what: impl fmt::Display) {
        let dot = if self.field.is_empty() || matches!(path, Path::Root) { "" } else { "." };
        self.faults.push(format!("{}{dot}{path}: {what}", self.field));
    }

    /// A fault whose words name the value too.
    fn invalid(&mut self, path: &Path, value: impl fmt::Display, what: impl fmt::Display) {
        self.say(path, format_args!("Invalid value: {value}: {path} in body {what}"));
    }

    fn value(&mut self, path: &Path, value: &Value, old: Option<&Value>, schema: &Schema) {
        if old == Some(value) {
            return;
        }
        self.form(path, value, schema);
        let allowed = &schema.bounds.one_of;
        // Not even where it is listed: so says the real server of a null.
        if !allowed.is_empty() && (value.is_null() || !allowed.contains(value)) {
            let quoted = |one: &Value| format!("{:?}", one.as_str().map_or_else(|| one.to_string(), str::to_owned));
            let all = allowed.iter().map(quoted).collect::<Vec<_>>().join(", ");
            self.say(path, format_args!("Unsupported value: {value}: supported values: {all}"));
        }
        match value {
            Value::String(text) => self.text(path, text, schema),
            Value::Number(number) => self.number(path, number, schema),
            Value::Array(items) => self.list(path, items, old, schema),
            Value::Object(fields) => self.fields(path, fields, old, schema),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn form(&mut self, path: &Path, value: &Value, schema: &Schema) {
        let Some(wanted) = schema.form else { return };
        let is_so = match Form::of(value) {
            Form::Null => schema.nullable,
            Form::Integer => matches!(wanted, Form::Integer | Form::Number),
            found @ (Form::Object | Form::Array | Form::String | Form::Number | Form::Boolean) => found == wanted,
        };
        if !is_so {
            // Where there is a format, it is named, and that of the value, but not for texts, lists and nulls.
            let (wanted, found) = match (schema.bounds.format, Form::of(value)) {
                (Some(format), Form::Integer) => (format.name(), "int64"),
                (Some(format), Form::Number) => (format.name(), "double"),
                (Some(format), Form::Boolean | Form::Object) => (format.name(), ""),
                (Some(_), found @ (Form::String | Form::Array | Form::Null)) | (None, found) => {
                    (wanted.name(), found.name())
                }
            };
            self.invalid(path, format_args!("{found:?}"), format_args!("must be of type {wanted}: {found:?}"));
        }
    }

    /// The first of them that is broken, as on the real server.
    fn text(&mut self, path: &Path, text: &str, schema: &Schema) {
        let bounds = &schema.bounds;
        let length = text.chars().count();
        if let Some(max) = bounds.max_length.filter(|max| length > *max) {
            // It says bytes, and counts characters.
            let bytes = if max == 1 { "byte" } else { "bytes" };
            self.say(path, format_args!("Too long: may not be more than {max} {bytes}"));
        } else if let Some(min) = bounds.min_length.filter(|min| length < *min) {
            self.invalid(path, format_args!("{text:?}"), format_args!("should be at least {min} chars long"));
        } else if let Some(pattern) = bounds.pattern.as_ref().filter(|pattern| !pattern.is_in(text)) {
            self.invalid(path, format_args!("{text:?}"), format_args!("should match '{}'", pattern.text));
        }
        if bounds.format == Some(Format::DateTime) && !bounds::is_date_time(text) {
            self.invalid(path, format_args!("{text:?}"), format_args!("must be of type date-time: {text:?}"));
        }
    }

    fn number(&mut self, path: &Path, number: &Number, schema: &Schema) {
        let bounds = &schema.bounds;
        let fits = match bounds.format {
            Some(Format::Int32) => number.as_i64().is_none_or(|n| i32::try_from(n).is_ok()),
            Some(Format::Int64) => !number.is_u64() || number.is_i64(),
            Some(Format::DateTime) | None => true,
        };
        if let (false, Some(format)) = (fits, bounds.format) {
            let format = format.name();
            let what = format!("Checked value must be of type integer with format {format} in {path}");
            self.say(path, format_args!("Invalid value: \"\": {what}"));
        }
        let value = number.as_f64();
        if let Some(max) = bounds.maximum.as_ref().filter(|max| value > max.as_f64()) {
            self.invalid(path, number, format_args!("should be less than or equal to {max}"));
        }
        if let Some(min) = bounds.minimum.as_ref().filter(|min| value < min.as_f64()) {
            self.invalid(path, number, format_args!("should be greater than or equal to {min}"));
        }
    }

    fn list(&mut self, path: &Path, items: &[Value], old: Option<&Value>, schema: &Schema) {
        let bounds = &schema.bounds;
        let old = old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let key = |item: &Value| bounds.keys.iter().map(|key| item.get(key).cloned()).collect::<Vec<_>>();
        // Only the items of a map can be told from one another.
        let told = |item: &Value| old.iter().find(|before| !bounds.keys.is_empty() && key(before) == key(item));
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = &schema.items {
                self.value(&Path::Index(path, index), item, told(item), schema);
            }
        }
        if let Some(min) = bounds.min_items.filter(|min| items.len() < *min) {
            self.invalid(path, items.len(), format_args!("should have at least {min} items"));
        }
        if let Some(max) = bounds.max_items.filter(|max| items.len() > *max) {
            self.too_many(path, items.len(), max);
        }
        if bounds.is_set {
            self.twice(path, items, Value::clone);
        } else if !bounds.keys.is_empty() {
            self.twice(path, items, |item| {
                let pairs = bounds.keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
                Value::Object(pairs.collect())
            });
        }
    }

    /// Items whose keys are those of an item before them; of each key the second one.
    fn twice(&mut self, path: &Path, items: &[Value], key: impl Fn(&Value) -> Value) {
        let keys: Vec<_> = items.iter().map(key).collect();
        for (index, key) in keys.iter().enumerate() {
            if keys.iter().take(index).filter(|before| *before == key).count() == 1 {
                self.say(&Path::Index(path, index), format_args!("Duplicate value: {key}"));
            }
        }
    }

    fn fields(&mut self, path: &Path, fields: &Map<String, Value>, old: Option<&Value>, schema: &Schema) {
        let bounds = &schema.bounds;
        if let Some(max) = bounds.max_properties.filter(|max| fields.len() > *max) {
            self.too_many(path, fields.len(), max);
        }
        for (key, value) in fields {
            if let Some(schema) = schema.of(key) {
                let old = old.and_then(|old| old.get(key));
                self.value(&Path::Field(path, key), value, old, schema);
            }
        }
        for key in bounds.required.iter().filter(|key| !fields.contains_key(*key)) {
            self.say(&Path::Field(path, key), "Required value");
        }
    }

    fn too_many(&mut self, path: &Path, found: usize, max: usize) {
        let items = if max == 1 { "item" } else { "items" };
        self.say(path, format_args!("Too many: {found}: must have at most {max} {items}"));
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
