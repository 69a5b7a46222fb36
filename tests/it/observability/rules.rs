//! The alerts: what they ask, and the page that says what to do.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use regex::Regex;
use serde::Deserialize;
use tradewind::domain::conditions::{State, lay_over, picture};

use super::queries::{selectors, wrong};
use super::tools;
use crate::docs::{anchor, read, states};

pub(super) const RULES: &str = include_str!("../../../charts/tradewind/files/rules.yaml");
/// Where the runbooks are on the web.
const PAGE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/runbooks.md#");
/// What every runbook answers.
const PARTS: [&str; 4] = ["**Meaning.** ", "**Impact.** ", "**Look.** ", "**Remedy.** "];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Rule {
    pub(super) alert: String,
    pub(super) expr: String,
    /// How long the query must answer before the alert fires.
    r#for: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Rule {
    /// The minutes that the query must answer before the alert fires.
    pub(super) fn minutes(&self) -> u32 {
        let (number, unit) = self.r#for.split_at(self.r#for.len() - 1);
        let of_unit = match unit {
            "s" if number == "0" => 0,
            "m" => 1,
            "h" => 60,
            "d" => 24 * 60,
            _ => panic!("{}: {}", self.alert, self.r#for),
        };
        of_unit * number.parse::<u32>().expect("a number")
    }

    /// Whether somebody hears of it within the hour.
    fn calls_somebody(&self) -> bool {
        self.labels["severity"] != "info" && self.minutes() <= 60
    }
}

pub(super) fn alerts() -> Vec<Rule> {
    let answer = tools::run("prometheus", &["rules"], RULES).expect("rules that Prometheus takes");
    let rules: Vec<Rule> = serde_json::from_str(&answer).expect("rules");
    assert!(rules.len() > 8, "{answer}");
    rules
}

#[test]
fn every_alert_asks_for_what_there_is() {
    let queries: Vec<String> = alerts().into_iter().map(|rule| rule.expr).collect();
    assert_eq!(wrong(&queries), [""; 0]);
}

/// Whether the alert goes on while nobody leads, when nobody tells of objects: what is asked for now is asked for of a while ago, too.
fn outlasts_a_restart(expr: &str) -> bool {
    let words = expr.split_whitespace().collect::<Vec<_>>().join(" ");
    let objects = Regex::new(r"tradewind_objects\{[^}]*\}").expect("a regular expression");
    let asked: BTreeSet<&str> = objects.find_iter(&words).map(|found| found.as_str()).collect();
    let shape = objects.replace_all(&words, "X");
    let held = "max without (pod, instance) ( X or last_over_time(X[15m]) unless on (namespace, job) (tradewind_leader == 1) )) > 0";
    asked.len() == 1 && shape.split_once(") (").is_some_and(|(by, of)| by.starts_with("sum by (") && of == held)
}

#[test]
fn every_alert_on_objects_outlasts_a_restart() {
    let on_objects: Vec<Rule> = alerts().into_iter().filter(|rule| rule.expr.contains("tradewind_objects")).collect();
    assert!(on_objects.len() > 8, "{}", on_objects.len());
    for Rule { alert, expr, .. } in &on_objects {
        assert!(outlasts_a_restart(expr), "{alert}: {expr}");
        assert!(
            !outlasts_a_restart(&expr.replacen("type=", "type!=", 1)),
            "{alert}: of a while ago it asks for something else"
        );
    }
    assert!(!outlasts_a_restart("sum by (kind) (tradewind_objects{type=\"Ready\",reason=\"DeletionBlocked\"}) > 0"));
}

/// Where nothing more happens before somebody does something, somebody hears of it.
#[test]
fn every_state_that_is_stalled_calls_somebody_within_the_hour() {
    let queries: Vec<String> = alerts().into_iter().filter(Rule::calls_somebody).map(|rule| rule.expr).collect();
    let (selectors, mut stalled) = (selectors(&queries), 0);
    for (name, state) in states() {
        let kind = if matches!(state, State::AccountWorks(_)) { "ProviderAccount" } else { "Connection" };
        let conditions = lay_over(&[], picture(&state), 1, Timestamp::UNIX_EPOCH);
        if !conditions.iter().any(|c| c.type_ == "Stalled") {
            continue;
        }
        stalled += 1;
        let says_so = |c: &&Condition| ["Ready", "CredentialsValid"].contains(&c.type_.as_str()) && c.status == "False";
        let asked = conditions.iter().filter(says_so).any(|c| {
            let labels = [("kind", kind), ("type", &c.type_), ("status", &c.status), ("reason", &c.reason)];
            selectors.iter().any(|selector| selector.takes("tradewind_objects", &labels))
        });
        assert!(asked, "{name}: nobody hears of it within an hour");
    }
    assert!(stalled > 8, "{stalled}");
}

/// Whatever makes an object say that it is not Ready, that its credentials are not valid, that its record is not as declared, or that nobody
/// loads its data any more: some alert asks for that reason. None asks for objects that somebody suspended.
#[test]
fn every_state_that_is_not_well_has_an_alert() {
    let queries: Vec<String> = alerts().into_iter().map(|rule| rule.expr).collect();
    let (selectors, mut suspended) = (selectors(&queries), 0);
    for (name, state) in states() {
        let kind = if matches!(state, State::AccountWorks(_)) { "ProviderAccount" } else { "Connection" };
        let conditions = lay_over(&[], picture(&state), 1, Timestamp::UNIX_EPOCH);
        let is_asked_for = |c: &&Condition| {
            let labels = [("kind", kind), ("type", &c.type_), ("status", &c.status), ("reason", &c.reason)];
            selectors.iter().any(|selector| selector.takes("tradewind_objects", &labels))
        };
        let asked: Vec<&str> = conditions.iter().filter(is_asked_for).map(|c| c.reason.as_str()).collect();
        let bad = |c: &&Condition| match c.type_.as_str() {
            "Ready" => c.status != "True",
            // While it runs, whoever waits for it is told by `Ready`, or has what they wait for.
            "InitialRefreshComplete" => c.status != "True" && c.reason != "InitialRefreshRunning",
            type_ => ["CredentialsValid", "Synced"].contains(&type_) && c.status == "False",
        };
        for Condition { type_, status, reason, .. } in conditions.iter().filter(bad) {
            let is_meant = reason == "Suspended";
            suspended += usize::from(is_meant);
            let why = if is_meant { "an" } else { "no" };
            assert!(
                asked.contains(&reason.as_str()) != is_meant,
                "{name}: {why} alert asks for {type_}={status}/{reason}"
            );
        }
    }
    assert!(suspended > 0, "no object says that it is suspended");
}

#[test]
fn prometheus_refuses_a_rule_with_a_broken_template() {
    let broken = RULES.replacen("{{ $labels.kind }}", "{{ $labels.kind", 1);
    assert!(broken != RULES && tools::run("prometheus", &["rules"], &broken).is_err());
}

#[test]
fn every_alert_says_how_bad_it_is_and_leads_to_its_runbook() {
    for Rule { alert, labels, annotations, .. } in alerts() {
        let severity = labels.get("severity").map(String::as_str).unwrap_or_default();
        assert!(["info", "warning", "critical"].contains(&severity), "{alert}: {severity}");
        assert!(annotations.contains_key("summary") && annotations.contains_key("description"), "{alert}");
        assert_eq!(annotations.get("runbook_url"), Some(&format!("{PAGE}{}", anchor(&alert))), "{alert}");
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let page = read("runbooks.md");
    let sections: BTreeMap<&str, &str> = page.split("\n## ").skip(1).filter_map(|s| s.split_once('\n')).collect();
    let alerts: BTreeSet<String> = alerts().into_iter().map(|rule| rule.alert).collect();
    assert_eq!(sections.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), alerts);
    for (name, text) in sections {
        let lacking: Vec<_> = PARTS.iter().filter(|part| !text.contains(*part)).collect();
        assert!(lacking.is_empty(), "{name} lacks {lacking:?}");
    }
}
