//! The alerts: what they ask, and the page that says what to do.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Deserialize;
use tradewind::domain::conditions::{State, lay_over, picture};

use super::queries::{selectors, wrong};
use super::tools;
use crate::docs::{anchor, read, states};

const RULES: &str = include_str!("../../../charts/tradewind/files/rules.yaml");
/// Where the runbooks are on the web.
const PAGE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/runbooks.md#");
/// What every runbook answers.
const PARTS: [&str; 4] = ["**Meaning.** ", "**Impact.** ", "**Look.** ", "**Remedy.** "];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    alert: String,
    expr: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn alerts() -> Vec<Rule> {
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

/// Whatever makes an object say that it is not Ready, or that its credentials are not valid: some alert asks for that reason.
#[test]
fn every_state_that_is_not_well_has_an_alert() {
    let queries: Vec<String> = alerts().into_iter().map(|rule| rule.expr).collect();
    let selectors = selectors(&queries);
    for (name, state) in states() {
        let kind = if matches!(state, State::AccountWorks(_)) { "ProviderAccount" } else { "Connection" };
        let conditions = lay_over(&[], picture(&state), 1, Timestamp::UNIX_EPOCH);
        let is_asked_for = |c: &&Condition| {
            let labels = [("kind", kind), ("type", &c.type_), ("status", &c.status), ("reason", &c.reason)];
            selectors.iter().any(|selector| selector.takes("tradewind_objects", &labels))
        };
        let asked: Vec<&str> = conditions.iter().filter(is_asked_for).map(|c| c.reason.as_str()).collect();
        let bad = |c: &&Condition| c.status == "False" && ["Ready", "CredentialsValid"].contains(&c.type_.as_str());
        for Condition { type_, reason, .. } in conditions.iter().filter(bad) {
            assert!(asked.contains(&reason.as_str()), "{name}: no alert asks for {type_}=False/{reason}");
        }
    }
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
