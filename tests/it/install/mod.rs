//! The install: what the chart and the kustomize base render, whether a real API server takes it, and what the operator may do under it.
//!
//! It owns the calls of helm and kubeconform, which are built from `tests/tools` when the first test asks for them. It must never use
//! the configuration of whoever runs the tests.

mod conform;
mod gitops;
mod helm3;
mod image;
mod kustomize;
mod life;
mod monitoring;
mod older;
mod pods;
mod release;
mod render;
mod rights;
mod values;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tradewind_cluster::Tool;

use crate::cluster::Said;

/// The chart.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/tradewind");

/// A tool, which is looked for, and built where need be, once for all tests.
pub(crate) async fn tool(tool: Tool) -> &'static Path {
    static HELM: OnceCell<PathBuf> = OnceCell::const_new();
    static HELM3: OnceCell<PathBuf> = OnceCell::const_new();
    static KUBECONFORM: OnceCell<PathBuf> = OnceCell::const_new();
    static GOJQ: OnceCell<PathBuf> = OnceCell::const_new();
    let cell = match tool {
        Tool::Helm => &HELM,
        Tool::Helm3 => &HELM3,
        Tool::Kubeconform => &KUBECONFORM,
        Tool::Gojq => &GOJQ,
    };
    cell.get_or_init(async || tool.path().await.unwrap_or_else(|why| panic!("{why}"))).await
}

/// Runs a tool with something to read.
async fn call(which: Tool, args: &[&str], input: &str) -> Said {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it/helm");
    let mut command = Command::new(tool(which).await);
    for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
        command.env(variable, &home);
    }
    command.env_remove("KUBECONFIG").args(args).kill_on_drop(true);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = piped.expect("a program that was just built");
    let mut stdin = child.stdin.take().expect("its standard input");
    // One that does not read it may be gone already; what it says is what counts.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.expect("its end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

pub(crate) async fn helm(args: &[&str], values: &str) -> Said {
    call(Tool::Helm, args, values).await
}

/// What the chart renders with these values, as the release `tradewind` in this namespace.
async fn template(namespace: &str, values: &str) -> Said {
    helm(&["template", "tradewind", CHART, "--namespace", namespace, "--values", "-"], values).await
}

/// The objects that the chart renders with these values.
async fn rendered(namespace: &str, values: &str) -> Vec<Value> {
    let said = template(namespace, values).await;
    assert!(said.ok && said.err.is_empty(), "{}\n--- with\n{values}", said.err);
    objects(&said.out)
}

/// The objects of a manifest.
pub(crate) fn objects(yaml: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_yaml::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    all.into_iter().filter(|object| !object.is_null()).collect()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The objects of a kind.
fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| text(object, "/kind") == kind).collect()
}

/// The one object of a kind.
pub(crate) fn the<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let all = of_kind(objects, kind);
    assert_eq!(all.len(), 1, "objects of kind {kind}");
    all[0]
}

/// What a role grants, one verb on one resource at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    group: String,
    /// With its subresource: `connections/status`.
    resource: String,
    /// The one object that it is for; empty where it is for all.
    name: String,
    verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        let dot = if self.group.is_empty() { "" } else { "." };
        let slash = if self.name.is_empty() { "" } else { "/" };
        write!(f, "{dot}{}{slash}{}", self.group, self.name)
    }
}

/// What all roles among these objects grant.
fn rights<'a>(objects: impl IntoIterator<Item = &'a Value>) -> BTreeSet<Right> {
    let words = |rule: &Value, field: &str| -> Vec<String> {
        let words = rule[field].as_array().unwrap_or_else(|| panic!("a rule without {field}: {rule}"));
        words.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in objects.into_iter().flat_map(|object| object["rules"].as_array().into_iter().flatten()) {
        let is_of_all = rule.get("resourceNames").is_none();
        let names = if is_of_all { vec![String::new()] } else { words(rule, "resourceNames") };
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                for verb in words(rule, "verbs") {
                    let right = |name: &String| Right {
                        group: group.clone(),
                        resource: resource.clone(),
                        name: name.clone(),
                        verb: verb.clone(),
                    };
                    all.extend(names.iter().map(right));
                }
            }
        }
    }
    all
}
