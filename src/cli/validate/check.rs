//! One document: is it ours, and what is wrong with it?
//!
//! Schema, CEL and domain are asked in this order, and the first that finds something has the word: what comes after
//! would only say the same again.

use super::{metadata, schema};
use crate::{
    api::{
        GROUP, crd,
        v1alpha1::{ClusterProviderAccountSpec, Declaration},
    },
    domain::reason::Problem,
    provider::{self, AllowList},
};
use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// What the documents that are checked begin with.
pub(super) const GROUP_VERSION: &str = "tradewind.dev/v1alpha1";

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Path of the field; empty where it is about no single one.
    path: String,
    message: String,
}

impl Finding {
    pub(super) fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl From<Problem> for Finding {
    fn from(problem: Problem) -> Self {
        Self::new("", format!("{} ({})", problem.message, problem.reason))
    }
}

/// Checks documents.
pub(super) struct Checker {
    /// Kind and schema of every CRD.
    schemas: Vec<(String, Value)>,
    allow: AllowList,
    today: Date,
}

impl Checker {
    /// `today`: the day on which a new record would be made.
    pub(super) fn new(allow: AllowList, today: Date) -> anyhow::Result<Self> {
        let part = |manifest: &Value, pointer| manifest.pointer(pointer).cloned().unwrap_or_default();
        let schema = |manifest: &Value| {
            let kind = part(manifest, "/spec/names/kind").as_str().unwrap_or_default().to_owned();
            (kind, part(manifest, "/spec/versions/0/schema/openAPIV3Schema"))
        };
        Ok(Self { schemas: crd::all()?.iter().map(|crd| schema(&crd.manifest)).collect(), allow, today })
    }

    /// The object and what is wrong with it; `None` where the document is not ours.
    pub(super) fn check(&self, document: &Value) -> Option<(String, Vec<Finding>)> {
        let text = |pointer| document.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (version, kind) = (text("/apiVersion"), text("/kind"));
        let name = text("/metadata/name").or(text("/metadata/generateName")).unwrap_or("?");
        let object = format!("{}/{name}", kind.unwrap_or("?"));
        // Whoever wrote one of these meant an object, and nobody can tell of which kind. Other files have neither.
        let is_meant = kind.is_some() || document.get("metadata").is_some();
        match (version, kind) {
            (Some(version), kind) if version.split('/').next() == Some(GROUP) => {
                Some((object, self.findings(version, kind.unwrap_or_default(), document)))
            }
            (Some(_), Some(_)) => None,
            (_, _) if !is_meant => None,
            (None, _) => Some((object, vec![Finding::new("apiVersion", "is missing")])),
            (Some(_), None) => Some((object, vec![Finding::new("kind", "is missing")])),
        }
    }

    fn findings(&self, version: &str, kind: &str, document: &Value) -> Vec<Finding> {
        if version != GROUP_VERSION {
            return vec![Finding::new("apiVersion", format!("this version of Tradewind knows {GROUP_VERSION} only"))];
        }
        let Some((_, schema)) = self.schemas.iter().find(|(known, _)| known == kind) else {
            let known: Vec<_> = self.schemas.iter().map(|(kind, _)| kind.as_str()).collect();
            return vec![Finding::new("kind", format!("must be one of {}", known.join(", ")))];
        };
        // The API server takes no status from a manifest either.
        let mut body = schema::without_nulls(schema, document);
        let mut findings = metadata::check(document);
        for beside in ["apiVersion", "kind", "metadata", "status"] {
            body.as_object_mut().map(|map| map.remove(beside));
        }
        findings.extend(schema::check(schema, &body));
        if findings.is_empty() {
            findings = rules(schema, &body);
        }
        if findings.is_empty() {
            findings.extend(self.unserved(kind, &body));
        }
        findings
    }

    /// What no schema can say: the rules of the domain.
    fn unserved(&self, kind: &str, body: &Value) -> Option<Finding> {
        let spec = body.get("spec").cloned().unwrap_or_default();
        let refusal = |declared| provider::refusal(&declared).or_else(|| provider::objection(&declared, self.today));
        let refused = match kind {
            "Connection" => serde_json::from_value(spec).map(|spec| refusal(Declaration::Connection(spec))),
            "IntegrationInstance" => {
                serde_json::from_value(spec).map(|spec| refusal(Declaration::IntegrationInstance(spec)))
            }
            "ClusterProviderAccount" => serde_json::from_value::<ClusterProviderAccountSpec>(spec)
                .map(|spec| provider::account_refusal(&spec.account(), &self.allow)),
            "ProviderAccount" => serde_json::from_value(spec).map(|spec| provider::account_refusal(&spec, &self.allow)),
            _ => return None,
        };
        match refused {
            Ok(problem) => problem.map(Finding::from),
            // Never the parser's own words: they repeat values.
            Err(_) => Some(Finding::new("spec", "fits the schema, but cannot be read: please report this")),
        }
    }
}

/// The CEL rules that a new object must meet. Defaults are filled in first, as by the API server.
#[cfg(feature = "cel")]
fn rules(schema: &Value, body: &Value) -> Vec<Finding> {
    let failed = match kube::core::cel::Validator::new().validate(schema, body, None) {
        Ok(()) => return vec![],
        Err(failed) => failed.into_vec(),
    };
    // Our messages name their fields; only the path of a deeper one adds to that.
    let finding = |e: kube::core::cel::ValidationError| {
        Finding::new(if e.field_path == "spec" { "" } else { &e.field_path }, e.message.clone())
    };
    failed.into_iter().map(finding).collect()
}

#[cfg(not(feature = "cel"))]
fn rules(_: &Value, _: &Value) -> Vec<Finding> {
    vec![]
}
