//! Files, and the documents in them.
//!
//! A manifest may hold a Secret: nothing here repeats what a file says.

use crate::cli::refusal::BadInput;
use serde_json::Value;
use serde_yaml::Spanned;
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// What the files of a folder end in.
const EXTENSIONS: &[&str] = &["yaml", "yml", "json"];

/// One file, read.
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: String,
}

/// One document, and the line that it begins in.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    pub(super) line: u64,
    pub(super) value: Value,
}

/// Why a file is no YAML.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) line: u64,
    pub(super) what: String,
}

/// The files that were asked for, those of a folder by name.
pub(super) fn files(names: &[String], recursive: bool) -> Result<Vec<File>, BadInput> {
    let mut files = Vec::new();
    for name in names {
        if name == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|e| BadInput::new(format!("standard input: {e}")))?;
            files.push(File { name: "-".to_owned(), text });
            continue;
        }
        let path = Path::new(name);
        let paths = if path.is_dir() { below(path, recursive)? } else { vec![path.to_owned()] };
        for path in paths {
            let text = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?;
            files.push(File { name: path.display().to_string(), text });
        }
    }
    Ok(files)
}

fn below(folder: &Path, recursive: bool) -> Result<Vec<PathBuf>, BadInput> {
    let unreadable = |e| unreadable(folder, &e);
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut entries =
        entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            // Not through links: a folder may link to one above it.
            if recursive && !path.is_symlink() {
                files.extend(below(&path, recursive)?);
            }
        } else if path.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known)) {
            files.push(path);
        }
    }
    Ok(files)
}

fn unreadable(path: &Path, error: &std::io::Error) -> BadInput {
    BadInput::new(format!("{}: {error}", path.display()))
}

/// The documents of a text; the items of a `List`, or of a list of one kind, each on their own.
pub(super) fn split(text: &str) -> Result<Vec<Document>, Broken> {
    let mut budget = serde_yaml::Budget::default();
    // The text is here already, and no byte of it makes more than two events. How far aliases may repeat it stays bounded.
    let bound = text.len().saturating_mul(2);
    for limit in
        [&mut budget.max_documents, &mut budget.max_events, &mut budget.max_nodes, &mut budget.max_total_scalar_bytes]
    {
        *limit = bound.max(*limit);
    }
    // The excerpt that would come with an error may show a credential.
    let options = serde_yaml::options! { with_snippet: false, budget: Some(budget) };
    let documents = serde_yaml::from_multiple_with_options::<Spanned<Value>>(text, options).map_err(|e| broken(&e))?;
    Ok(documents.into_iter().flat_map(|document| unfold(document.referenced.line(), document.value)).collect())
}

fn unfold(line: u64, value: Value) -> Vec<Document> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let of = text("kind").and_then(|kind| kind.strip_suffix("List"));
    let items = value.get("items").and_then(Value::as_array);
    let (Some(of), Some(version), Some(items)) = (of, text("apiVersion"), items) else {
        return vec![Document { line, value }];
    };
    // As kubectl has it: what names neither its kind nor its version has those of the list.
    let told = |mut item: Value| {
        let fields =
            item.as_object_mut().filter(|f| !of.is_empty() && !f.contains_key("kind") && !f.contains_key("apiVersion"));
        if let Some(fields) = fields {
            fields.extend([("kind".into(), of.into()), ("apiVersion".into(), version.into())]);
        }
        item
    };
    items.iter().map(|item| Document { line, value: told(item.clone()) }).collect()
}

fn broken(error: &serde_yaml::Error) -> Broken {
    let said = error.without_snippet().to_string();
    // What follows is advice for programmers, and the place, which is told already.
    let what =
        [", set ", " at line "].into_iter().fold(said.as_str(), |text, end| text.split(end).next().unwrap_or(text));
    Broken { line: error.location().map_or(0, |location| location.line()), what: format!("is no YAML: {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_know_where_they_begin() {
        let documents = split("# a comment\na: 1\n---\n---\nb: 2\n").expect("documents");
        let lines: Vec<_> = documents.iter().map(|d| (d.line, d.value.clone())).collect();
        assert_eq!(lines, [(2, json!({"a": 1})), (5, json!({"b": 2}))]);
    }

    #[test]
    fn a_list_is_its_items() {
        let list = "{apiVersion: v1, kind: List, items: [{a: 1}, {b: 2}]}";
        assert_eq!(split(list).expect("documents").len(), 2);
        let typed = split("{apiVersion: a/v1, kind: BasketList, items: [{a: 1}, {kind: Bag}]}").expect("documents");
        let typed: Vec<_> = typed.into_iter().map(|document| document.value).collect();
        assert_eq!(typed, [json!({"a": 1, "apiVersion": "a/v1", "kind": "Basket"}), json!({"kind": "Bag"})]);
        let other = "{kind: Basket, items: [{a: 1}]}";
        assert_eq!(
            split(other).expect("documents"),
            [Document { line: 1, value: json!({"kind": "Basket", "items": [{"a": 1}]}) }]
        );
    }

    #[test]
    fn what_people_have_is_read_however_much_it_is() {
        let usual = serde_yaml::Budget::default();
        let stream = "a: 1\n---\n".repeat(usual.max_documents + 1);
        assert_eq!(split(&stream).expect("documents").len(), usual.max_documents + 1);
        // Three nodes each, and four events.
        let items = usual.max_events / 4 + 1;
        let list = format!("{{apiVersion: v1, kind: List, items: [{}]}}", "{a: 1},".repeat(items));
        assert_eq!(split(&list).expect("a List").len(), items);
    }

    #[test]
    fn what_repeats_itself_without_end_is_not_read() {
        let laughs = (1..9).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(9)));
        assert!(split(&format!("a0: &a0 [1]\n{}", laughs.collect::<String>())).is_err());
    }

    #[test]
    fn an_error_never_repeats_the_file() {
        for text in [
            "token: canary\n  b: canary",
            "token: 'canary",
            "token: \"canary\\q\"",
            "x: canary\nx: canary",
            "{a: canary",
        ] {
            let broken = split(text).expect_err("no YAML");
            assert!(!broken.what.contains("canary") && broken.line > 0, "{broken:?}");
            assert!(!broken.what.contains("DuplicateKeyPolicy"), "{broken:?}");
        }
    }
}
