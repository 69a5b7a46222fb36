//! What a query names, by Prometheus' own parser, held against the metrics that there are.

use std::collections::BTreeSet;

use regex::Regex;
use serde::Deserialize;

use super::labels::{queryable, values};
use super::tools;

/// Labels that every sample gets from whoever scrapes it.
const OF_THE_TARGET: [&str; 4] = ["namespace", "pod", "job", "instance"];

#[derive(Deserialize)]
struct Query {
    selectors: Vec<Selector>,
    labels: Vec<String>,
}

/// One metric of a query, with what it asks of the labels.
#[derive(Deserialize)]
pub(super) struct Selector {
    name: String,
    matchers: Vec<Matcher>,
}

#[derive(Deserialize)]
struct Matcher {
    label: String,
    op: String,
    value: String,
}

/// The queries as Prometheus reads them, or why it does not.
fn parsed(queries: &[String]) -> Result<Vec<Query>, String> {
    let lines: Vec<String> = queries.iter().map(|query| serde_json::to_string(query).expect("JSON")).collect();
    let answer = tools::run("prometheus", &["queries"], &lines.join("\n"))?;
    let parsed: Vec<Query> = answer.lines().map(|line| serde_json::from_str(line).expect("a query")).collect();
    assert_eq!(parsed.len(), queries.len());
    Ok(parsed)
}

/// All series that these queries ask for.
pub(super) fn selectors(queries: &[String]) -> Vec<Selector> {
    parsed(queries).expect("queries that Prometheus takes").into_iter().flat_map(|query| query.selectors).collect()
}

impl Selector {
    /// The metric.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it asks for this value of a label, literally.
    pub(super) fn asks_for(&self, label: &str, value: &str) -> bool {
        self.matchers.iter().any(|matcher| matcher.label == label && matcher.op == "=~" && matcher.value == value)
    }

    /// Whether a series of this metric with these labels is one of those that it asks for.
    pub(super) fn takes(&self, metric: &str, labels: &[(&str, &str)]) -> bool {
        let value = |label: &str| labels.iter().find(|(name, _)| *name == label).map_or("", |(_, value)| value);
        self.name == metric && self.matchers.iter().all(|matcher| matcher.takes(value(&matcher.label)))
    }
}

impl Matcher {
    fn takes(&self, value: &str) -> bool {
        let Self { op, value: wanted, .. } = self;
        let is = if op.contains('~') { whole(wanted).is_match(value) } else { wanted == value };
        is != op.starts_with('!')
    }
}

/// A regular expression as Prometheus takes it: of the whole value.
fn whole(expression: &str) -> Regex {
    Regex::new(&format!("^(?:{expression})$")).expect("a regular expression")
}

/// What is wrong with these queries; nothing where each names metrics, labels and values that there are.
pub(super) fn wrong(queries: &[String]) -> Vec<String> {
    let parsed = match parsed(queries) {
        Ok(parsed) => parsed,
        Err(refusal) => return vec![refusal],
    };
    queries
        .iter()
        .zip(&parsed)
        .flat_map(|(text, query)| problems(query).into_iter().map(move |p| format!("{text}: {p}")))
        .collect()
}

fn problems(query: &Query) -> Vec<String> {
    let metrics = queryable();
    let (mut problems, mut known) = (Vec::new(), BTreeSet::from(OF_THE_TARGET));
    if query.selectors.is_empty() {
        problems.push("it names no metric".to_owned());
    }
    for selector in &query.selectors {
        let Some(labels) = metrics.get(&selector.name) else {
            problems.push(format!("there is no metric {}", selector.name));
            continue;
        };
        known.extend(labels);
        problems.extend(selector.matchers.iter().filter_map(|matcher| unmatched(&selector.name, labels, matcher)));
    }
    let unknown = query.labels.iter().filter(|label| !known.contains(label.as_str()));
    problems.extend(unknown.map(|label| format!("no metric in it has the label {label}")));
    problems
}

/// Why a matcher can never match, or never not match.
fn unmatched(metric: &str, labels: &[&str], matcher: &Matcher) -> Option<String> {
    let Matcher { label, op, value } = matcher;
    if OF_THE_TARGET.contains(&label.as_str()) || label == "le" && labels.contains(&"le") {
        return None;
    }
    if !labels.contains(&label.as_str()) {
        return Some(format!("{metric} has no label {label}"));
    }
    let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| metric.strip_suffix(suffix)).unwrap_or(metric);
    let values = values(family, label);
    let is_regex = op.contains('~');
    // Each branch by itself: one that matches nothing hides behind the others.
    let branches: Vec<&str> = if is_regex { value.split('|').collect() } else { vec![value] };
    let holds = |branch: &str| {
        let whole = whole(branch);
        values.iter().any(|value| if is_regex { whole.is_match(value) } else { value == branch })
    };
    let dead: Vec<&str> = branches.into_iter().filter(|branch| !holds(branch)).collect();
    (!dead.is_empty()).then(|| format!("{label} of {metric} is never {}", dead.join(", ")))
}

#[test]
fn a_query_that_can_never_answer_is_found() {
    let wrong_of = |query: &str| wrong(&[query.to_owned()]);
    assert_eq!(wrong_of("sum by (kind) (tradewind_objects{type=\"Ready\", status!=\"True\"})"), [""; 0]);
    for bad in [
        "tradewind_object",
        "tradewind_reconcile_duration_seconds",
        "tradewind_objects{type=\"Redy\"}",
        "tradewind_objects{reason=~\"DeletionHeld|DeletionHold\"}",
        "tradewind_leader{kind=\"Connection\"}",
        "sum by (provider) (tradewind_objects)",
        "sum(tradewind_leader",
        "vector(1)",
    ] {
        assert_eq!(wrong_of(bad).len(), 1, "{bad}: {:?}", wrong_of(bad));
    }
}
