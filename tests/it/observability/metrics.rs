//! The metrics: the page, the rules that Prometheus has for names, and what is told while the operator works.

use std::collections::BTreeSet;
use std::time::Duration;

use regex::Regex;
use strum::{EnumMessage, IntoEnumIterator};
use tradewind::api::v1alpha1::Provider;
use tradewind::domain::reason::Reason;
use tradewind::domain::writes::{Cause, Outcome};
use tradewind::provider::Operation;
use tradewind::telemetry::{Declared, Metrics, Throttle};

use super::labels::values;
use super::tools;
use crate::docs::{hold, read};

/// Metrics with at least one sample of each family.
fn sampled() -> Metrics {
    let metrics = Metrics::new();
    let meter = metrics.at(Provider::Rutter);
    meter.request(Operation::List.into(), Some(200), Duration::ZERO);
    meter.throttled(Throttle::Budget);
    meter.quota(1, 2);
    metrics.write(Provider::Rutter, Operation::Create.into(), Cause::Declared, Outcome::Applied);
    metrics.pass("Connection", "done", Duration::ZERO);
    metrics.watch_failed("Secret");
    metrics.error("Connection", Reason::InvalidSpec);
    metrics.drift("Connection");
    metrics.rotation(Provider::Rutter, true);
    metrics.ready("Connection", Duration::ZERO);
    metrics
}

/// The text of metrics while this process leads.
fn exposed() -> String {
    let metrics = sampled();
    let _leading = metrics.lead(|| vec![(["Connection", "Ready", "True", "Succeeded"], 1)]);
    metrics.text()
}

/// The values of a label, each with its meaning where it has one.
fn explained<T: IntoEnumIterator + EnumMessage + Into<&'static str>>() -> String {
    let one = |value: T| {
        let meaning = value.get_documentation().expect("a comment");
        let name: &str = value.into();
        format!("| `{name}` | {} |\n", meaning.trim_end_matches('.'))
    };
    format!("| value | meaning |\n|---|---|\n{}", T::iter().map(one).collect::<String>())
}

#[test]
fn the_metrics_on_the_page_are_those_of_the_program() {
    let code = |names: &[&str]| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let metrics = Metrics::new();
    let row = |m: &Declared| format!("| `{}` | {} | {} | {} |\n", m.name, m.kind, code(&m.labels), m.help);
    let rows: String = metrics.declared().iter().map(row).collect();
    hold("metrics.md", "metrics", &format!("| metric | type | labels | what |\n|---|---|---|---|\n{rows}"));
    hold("metrics.md", "operations", &explained::<Operation>());
    hold("metrics.md", "throttles", &explained::<Throttle>());
}

/// What the page says of a metric in words of its queries: each label with its value is of the metric that was named last.
#[test]
fn every_label_in_the_text_of_the_page_is_one_of_its_metric() {
    let (metrics, page) = (Metrics::new(), read("metrics.md"));
    let words = Regex::new(r#"(tradewind_[a-z_]+)|\b([a-z]+)="([^"]*)""#).expect("a regular expression");
    let (mut metric, mut seen) = (None, 0);
    for word in words.captures_iter(&page) {
        let Some(label) = word.get(2) else {
            let is_of = |declared: &&Declared| word[1].starts_with(&declared.name);
            metric = Some(metrics.declared().iter().find(is_of).unwrap_or_else(|| panic!("there is no {}", &word[1])));
            continue;
        };
        let Declared { name, labels, kind, .. } = metric.expect("a metric before its labels");
        if label.as_str() == "le" && *kind == "histogram" {
            continue;
        }
        assert!(labels.contains(&label.as_str()), "{name} has no label {}", label.as_str());
        assert!(values(name, label.as_str()).contains(&word[3].to_owned()), "{name} never has {}", &word[0]);
        seen += 1;
    }
    assert!(seen > 8, "{seen}");
}

#[test]
fn the_causes_and_outcomes_on_the_page_are_those_of_the_program() {
    hold("logs.md", "causes", &explained::<Cause>());
    hold("logs.md", "outcomes", &explained::<Outcome>());
}

#[test]
fn prometheus_reads_every_metric_and_promtool_has_no_complaint() {
    let text = exposed();
    for metric in Metrics::new().declared() {
        let line = |line: &str| line.strip_prefix(&metric.name).is_some_and(|rest| rest.starts_with(['_', '{', ' ']));
        assert!(text.lines().any(line), "{} is declared and not exposed:\n{text}", metric.name);
    }
    let answer = tools::run("prometheus", &["lint"], &text).expect("an exposition that can be read");
    assert_eq!(answer.trim(), "[]");
    let bad = "# HELP tradewind_camelCase A name that nobody likes.\n# TYPE tradewind_camelCase gauge\ntradewind_camelCase 1\n# EOF\n";
    let complaint = tools::run("prometheus", &["lint"], bad).expect("an exposition that can be read");
    assert!(complaint.contains("camelCase"), "{complaint}");
    let broken = text.replace("# EOF", "tradewind_leader 1 2 3");
    assert!(tools::run("prometheus", &["lint"], &broken).is_err());
}

/// A sample's name and its labels.
fn sample(line: &str) -> (&str, Vec<(&str, &str)>) {
    let (series, _) = line.rsplit_once(' ').expect("a value");
    let Some((name, labels)) = series.split_once('{') else { return (series, vec![]) };
    let pairs = labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
    (name, pairs.map(|pair| pair.split_once("=\"").map_or((pair, ""), |(k, v)| (k, v.trim_end_matches('"')))).collect())
}

/// What is exposed is what is declared: no other metric, no other label, no value that nobody has written down.
pub(crate) fn hold_to_what_is_declared(text: &str) {
    let metrics = Metrics::new();
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, labels) = sample(line);
        let is_of =
            |name: &str| series.strip_prefix(name).is_some_and(|r| ["", "_bucket", "_sum", "_count"].contains(&r));
        let metric = metrics.declared().iter().find(|metric| is_of(&metric.name));
        let metric = metric.unwrap_or_else(|| panic!("{series} is not declared"));
        let names: Vec<_> = labels.iter().map(|(name, _)| *name).filter(|name| *name != "le").collect();
        assert_eq!(names, metric.labels, "{line}");
        for (name, value) in labels.iter().filter(|(name, _)| *name != "le") {
            assert!(
                values(&metric.name, name).iter().any(|known| known == value),
                "{line}: nobody knows {name}={value}"
            );
        }
        seen.insert(metric.name.clone());
    }
    assert!(seen.len() > 3, "{text}");
}

#[test]
fn a_value_that_nobody_knows_is_found() {
    hold_to_what_is_declared(&exposed());
    let made_up = exposed().replace("reason=\"InvalidSpec\"", "reason=\"acme-garden\"");
    assert!(std::panic::catch_unwind(|| hold_to_what_is_declared(&made_up)).is_err());
}
