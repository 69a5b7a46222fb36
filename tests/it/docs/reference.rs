//! `docs/api.md`: every field of every kind as its CRD states it, and every key that is read or written on objects.
//!
//! It owns the words for what a schema says. A keyword that it has no words for fails the test, so that nothing is left out in silence.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tradewind::api::GROUP;

use super::{hold, read};
use crate::manifests::{Generated, crds};

/// The keywords of schemas that the page has words for.
const SAID: [&str; 22] = [
    "type",
    "format",
    "description",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "default",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "pattern",
    "nullable",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// A value as YAML takes it; of a text, the text.
fn literal(value: &Value) -> String {
    code(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn list(values: &Value, word: impl Fn(&Value) -> String) -> String {
    values.as_array().into_iter().flatten().map(word).collect::<Vec<_>>().join(", ")
}

/// The cell of a table: nothing in it ends it.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// From one number to another, either of which may be missing.
fn range(schema: &Map<String, Value>, [least, most]: [&str; 2]) -> Option<String> {
    match (schema.get(least), schema.get(most)) {
        (None, None) => None,
        (Some(least), None) => Some(format!("at least {least}")),
        (None, Some(most)) => Some(format!("at most {most}")),
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
    }
}

/// What a schema takes, in words.
fn limits(path: &str, schema: &Value) -> String {
    let schema = schema.as_object().expect("a schema");
    let unsaid: Vec<_> = schema.keys().filter(|key| !SAID.contains(&key.as_str())).collect();
    assert!(unsaid.is_empty(), "{path}: the page has no words for {unsaid:?}");
    let counted = |keys, unit: &str| range(schema, keys).map(|range| format!("{range} {unit}"));
    let keyed = schema.get("x-kubernetes-list-map-keys").map(|keys| format!("one for each {}", list(keys, literal)));
    let set = schema.get("x-kubernetes-list-type").is_some_and(|kind| kind == "set");
    let is = |key: &str| schema.get(key).is_some_and(|value| value == true);
    let words = [
        schema.get("enum").map(|values| list(values, literal)),
        range(schema, ["minimum", "maximum"]),
        counted(["minLength", "maxLength"], "characters"),
        counted(["minItems", "maxItems"], "items"),
        counted(["", "maxProperties"], "keys"),
        schema.get("pattern").map(literal),
        keyed,
        set.then(|| "no item twice".to_owned()),
        is("nullable").then(|| "or `null`".to_owned()),
        is("x-kubernetes-preserve-unknown-fields").then(|| "any keys".to_owned()),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What a schema is called, and the schema of what it holds with the path to there.
fn shape<'a>(schema: &'a Value, path: &str) -> (String, Option<(&'a Value, String)>) {
    let kind = schema["type"].as_str().expect("a type");
    let inner = [("items", "list", "[]"), ("additionalProperties", "map", ".*")];
    let inner = inner.iter().find_map(|(key, name, step)| Some((schema.get(key)?, name, step)));
    match (inner, schema["format"].as_str()) {
        (Some((inner, name, step)), _) => {
            let (of, _) = shape(inner, path);
            (format!("{name} of {of}s"), Some((inner, format!("{path}{step}"))))
        }
        (None, Some("date-time")) => ("time".to_owned(), None),
        // An integer is bounded by its limits; its width is the program's affair.
        (None, Some("int32" | "int64") | None) => (kind.to_owned(), None),
        (None, Some(other)) => panic!("{path}: the page has no words for the format {other}"),
    }
}

/// The tables of one part of a kind: its fields, and its rules.
#[derive(Default)]
struct Part {
    rows: String,
    rules: String,
}

impl Part {
    /// Takes in what a schema says of the fields below a path.
    fn fields(&mut self, kind: &str, path: &str, schema: &Value) {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let text = |key: &str| rule[key].as_str().expect("a text").to_owned();
            let _ = writeln!(self.rules, "* `{path}`: {}<br>`{}`", text("message"), text("rule"));
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let required = schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
            self.field(kind, &format!("{path}.{name}"), field, required);
        }
    }

    fn field(&mut self, kind: &str, path: &str, schema: &Value, required: bool) {
        let (name, inner) = shape(schema, path);
        let mut takes = limits(path, schema);
        if let Some((inner, path)) = &inner {
            let each = limits(path, inner);
            if !each.is_empty() {
                let _ = write!(takes, "{}each: {each}", if takes.is_empty() { "" } else { "; " });
            }
        }
        let required = if required { "yes" } else { "" };
        let default = schema.get("default").map(literal).unwrap_or_default();
        let what = schema["description"].as_str().unwrap_or_else(|| panic!("{path} has no description"));
        // Kubernetes explains its own condition at length.
        let what =
            if path.contains(".conditions[]") { what.split_inclusive(". ").next().unwrap_or(what) } else { what };
        let anchor = format!("{}.{path}", kind.to_lowercase());
        let cells = [&name, required, &default, &takes, what.trim_end()].map(cell).join(" | ");
        let _ = writeln!(self.rows, "| <a id=\"{anchor}\"></a>`{path}` | {cells} |");
        match inner {
            Some((inner, path)) => self.fields(kind, &path, inner),
            None => self.fields(kind, path, schema),
        }
    }
}

/// The spec or the status of a kind, with a heading of its own.
fn part(crd: &Generated, name: &str) -> String {
    let (kind, schema) = (crd.kind(), &crd.schema()["properties"][name]);
    let mut text = format!("### {kind}: {name}\n\n");
    let same = |other: &Generated| other.schema()["properties"][name] == *schema;
    let first = crds().into_iter().find(same).expect("at least this one");
    if first.kind() != kind {
        let heading = super::anchor(&format!("{}: {name}", first.kind()));
        let _ = writeln!(text, "The same as that of [{}](#{heading}).\n", first.kind());
        return text;
    }
    let mut part = Part::default();
    part.fields(kind, name, schema);
    if let Some(default) = schema.get("default") {
        let _ = writeln!(text, "By default `{default}`.\n");
    }
    let _ = writeln!(
        text,
        "| field | type | required | default | takes | what |\n|---|---|---|---|---|---|\n{}",
        part.rows
    );
    if !part.rules.is_empty() {
        let _ = writeln!(text, "Rules, each with what a refusal says, and in CEL:\n\n{}", part.rules);
    }
    text
}

/// Names, scope and columns of a kind, and its fields.
fn kind(crd: &Generated) -> String {
    let spec = &crd.manifest["spec"];
    let (names, version) = (&spec["names"], &spec["versions"][0]);
    let mut text = format!("## {}\n\n{}\n\n", crd.kind(), crd.schema()["description"].as_str().expect("a description"));
    let _ = writeln!(text, "| | |\n|---|---|");
    let _ = writeln!(text, "| apiVersion | `{GROUP}/{}` |", version["name"].as_str().expect("a version"));
    let _ = writeln!(text, "| scope | {} |", spec["scope"].as_str().expect("a scope"));
    let names_of = format!(
        "{}, {}, {}",
        literal(&names["plural"]),
        literal(&names["singular"]),
        list(&names["shortNames"], literal)
    );
    let _ = writeln!(text, "| names for kubectl | {names_of} |");
    let _ = writeln!(text, "| categories | {} |", list(&names["categories"], literal));
    let path = |value: &Value| code(value["jsonPath"].as_str().expect("a path").trim_start_matches('.'));
    let _ = writeln!(text, "| `--field-selector` | {} |", list(&version["selectableFields"], path));
    let (wide, always): (Vec<&Value>, Vec<&Value>) = version["additionalPrinterColumns"]
        .as_array()
        .into_iter()
        .flatten()
        .partition(|one| one.get("priority").is_some());
    let _ = writeln!(text, "\n| column of `kubectl get` | shows |\n|---|---|");
    for column in always {
        let _ = writeln!(text, "| {} | {} |", column["name"].as_str().expect("a name").to_uppercase(), path(column));
    }
    for column in wide {
        let name = column["name"].as_str().expect("a name").to_uppercase();
        let _ = writeln!(text, "| {name}, with `-o wide` | {} |", path(column));
    }
    format!("{text}\n{}{}", part(crd, "spec"), part(crd, "status"))
}

#[test]
fn the_fields_on_the_page_are_those_of_the_types() {
    let all: String = crds().iter().map(kind).collect();
    hold("api.md", "fields", &format!("{}\n", all.trim_end()));
}

#[test]
#[should_panic(expected = "the page has no words for [\"oneOf\"]")]
fn what_the_page_has_no_words_for_is_not_passed_over() {
    let schema = serde_json::json!({"properties": {"a": {"type": "object", "description": "A.", "oneOf": []}}});
    Part::default().fields("Kind", "spec", &schema);
}

#[test]
fn a_field_is_told_with_all_that_holds_it() {
    let schema = serde_json::json!({
        "required": ["names"],
        "properties": {"names": {
            "type": "array", "description": "Names.", "maxItems": 2, "x-kubernetes-list-type": "set", "default": ["a"],
            "items": {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^(a|b)$"}
        }},
        "x-kubernetes-validations": [{"message": "no b first", "rule": "self.names[0] != 'b'"}]
    });
    let mut part = Part::default();
    part.fields("Kind", "spec", &schema);
    let takes = "at most 2 items; no item twice; each: 1 to 9 characters; `^(a\\|b)$`";
    let row = format!("`spec.names` | list of strings | yes | `[\"a\"]` | {takes} | Names. |\n");
    assert_eq!(part.rows, format!("| <a id=\"kind.spec.names\"></a>{row}"));
    assert_eq!(part.rules, "* `spec`: no b first<br>`self.names[0] != 'b'`\n");
}

#[test]
fn every_key_is_on_the_page_and_no_other() {
    let source = include_str!("../../../src/api/mod.rs");
    let quoted = |line: &str| line.split_once(": &str = \"")?.1.split_once('"').map(|(value, _)| value.to_owned());
    let consts = source.lines().filter(|line| line.trim_start().starts_with("pub const ")).filter_map(quoted);
    let mut known: Vec<String> = consts.filter(|value| value != GROUP).collect();
    let page = read("api.md");
    let keys = page.split_once("## Keys").expect("the keys").1;
    let rows = keys.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(key, _)| key.to_owned()));
    let mut told: Vec<String> = rows.collect();
    known.sort();
    told.sort();
    assert!(known.len() > 8 && told == known, "{told:#?} {known:#?}");
}
