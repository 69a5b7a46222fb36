//! `tradewind validate`: what is wrong with manifests, without a cluster and without a provider.

mod check;
mod documents;
mod metadata;
mod schema;

use super::{
    Exit,
    age::now,
    output::{Line, OutputArgs, line},
    refusal::BadInput,
};
use crate::{domain::dates, provider::AllowList};
use check::{Checker, Finding};
use documents::{Broken, Document};
use serde::Serialize;

/// Check manifests, before they reach a cluster
///
/// Checked are, in this order: the YAML; the schema, unknown fields included; the CEL rules that a new object must meet;
/// what this version of Tradewind serves; and what the record of a new object needs to be made today. Not checked is
/// what only the cluster or the provider knows: the objects and Secrets that a manifest names, changes of immutable
/// fields, and whether a store exists. Documents of other kinds are passed over. Ends with 3 where anything is wrong,
/// where an object has no apiVersion or kind, and where there is nothing of Tradewind to check.
#[derive(clap::Args, Debug)]
pub(super) struct Validate {
    /// A file, a folder (its *.yaml, *.yml and *.json), or - for standard input; repeatable
    #[arg(short, long = "filename", required = true, value_name = "FILE|FOLDER|-")]
    filenames: Vec<String>,
    /// Look into the folders of a folder, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// An endpoint that the operator was started with; repeatable
    #[arg(long = "allow-endpoint", env = "TRADEWIND_ALLOW_ENDPOINT", value_delimiter = ',', value_name = "URL")]
    allow_endpoints: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What was found in one document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    file: String,
    line: u64,
    /// Kind and name as far as they can be read.
    object: String,
    findings: Vec<Finding>,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    documents: Vec<Checked>,
    valid: usize,
    invalid: usize,
    /// Documents of other kinds.
    other: usize,
}

impl Validate {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let allow =
            AllowList::new(&self.allow_endpoints).map_err(|e| BadInput::new(format!("--allow-endpoint: {e}")))?;
        let checker = Checker::new(allow, dates::today(now()))?;
        let mut report = Report::default();
        for file in documents::files(&self.filenames, self.recursive)? {
            match documents::split(&file.text) {
                Ok(documents) => documents.iter().for_each(|document| report.add(&file.name, document, &checker)),
                Err(broken) => report.broken(&file.name, broken),
            }
        }
        if report.documents.is_empty() {
            let place = self.filenames.join(", ");
            return Err(BadInput::new(format!("{place}: no document of {}", check::GROUP_VERSION)).into());
        }
        report.valid = report.documents.iter().filter(|document| document.findings.is_empty()).count();
        report.invalid = report.documents.len() - report.valid;
        self.output.print(&report, || report.text())?;
        Ok(if report.invalid == 0 { Exit::Done } else { Exit::Invalid })
    }
}

impl Report {
    fn add(&mut self, file: &str, document: &Document, checker: &Checker) {
        match checker.check(&document.value) {
            None => self.other += 1,
            Some((object, findings)) => {
                self.documents.push(Checked { file: file.to_owned(), line: document.line, object, findings });
            }
        }
    }

    /// A file that is no YAML may hold anything: it counts as one document that is wrong.
    fn broken(&mut self, file: &str, broken: Broken) {
        let findings = vec![Finding::new("", broken.what)];
        self.documents.push(Checked { file: file.to_owned(), line: broken.line, object: "YAML".to_owned(), findings });
    }

    fn text(&self) -> Vec<Line> {
        let wrong = self.documents.iter().flat_map(|Checked { file, line, object, findings }| {
            findings.iter().map(move |finding| format!("{file}:{line}: {object}: {finding}"))
        });
        let other = if self.other > 0 { format!(", {} of other kinds", self.other) } else { String::new() };
        let sum = format!("{} valid, {} invalid{other}", self.valid, self.invalid);
        wrong.chain([sum]).map(line).collect()
    }
}
