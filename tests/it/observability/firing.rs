//! When the alerts fire, and when they end: evaluated by Prometheus' own engine, minute by minute, on series that are made up.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::json;

use super::labels::values;
use super::queries::selectors;
use super::rules::{RULES, Rule, alerts};
use super::tools;

/// An alert that fires in a minute.
#[derive(Deserialize)]
struct Firing {
    minute: u32,
    alert: String,
    /// Without the alert's name.
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// What fires where Prometheus has scraped these series, a sample a minute from 0 on.
fn firing(minutes: u32, series: &[String]) -> Vec<Firing> {
    let history = json!({"rules": RULES, "minutes": minutes, "series": series}).to_string();
    let answer = tools::run("prometheus", &["alerts"], &history).unwrap_or_else(|why| panic!("{why}: {series:?}"));
    serde_json::from_str(&answer).expect("alerts")
}

/// The minutes in which an alert fires.
fn minutes_of(alert: &str, firing: &[Firing]) -> Vec<u32> {
    firing.iter().filter(|firing| firing.alert == alert).map(|firing| firing.minute).collect()
}

/// A series of a pod that tells this in these minutes, and then is gone.
fn told(metric: &str, labels: &[(&str, &str)], pod: &str, value: u32, minutes: RangeInclusive<u32>) -> String {
    let target = [("namespace", "shop"), ("job", "tradewind-metrics"), ("pod", pod), ("instance", pod)];
    let labels: Vec<_> = target.iter().chain(labels).map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let before = if *minutes.start() == 0 { String::new() } else { format!("_x{} ", minutes.start()) };
    format!("{metric}{{{}}} {before}{value}x{} stale", labels.join(","), minutes.end() - minutes.start())
}

/// The labels of objects that an alert asks for.
type Labels = [(&'static str, String); 4];

/// Some objects that this alert asks for.
fn asked_for(rule: &Rule) -> Labels {
    let selectors = selectors(std::slice::from_ref(&rule.expr));
    let of = |label| values("tradewind_objects", label);
    let (types, statuses, reasons) = (of("type"), of("status"), of("reason"));
    for kind in of("kind") {
        for type_ in &types {
            for status in &statuses {
                for reason in &reasons {
                    let labels = [("kind", &kind), ("type", type_), ("status", status), ("reason", reason)];
                    if selectors[0].takes("tradewind_objects", &labels.map(|(name, value)| (name, value.as_str()))) {
                        return labels.map(|(name, value)| (name, value.clone()));
                    }
                }
            }
        }
    }
    panic!("{} asks for no object", rule.alert)
}

/// Two such objects, as the process tells of them that leads in these minutes.
fn leads(labels: &Labels, pod: &str, minutes: RangeInclusive<u32>) -> [String; 2] {
    let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
    [told("tradewind_objects", &labels, pod, 2, minutes.clone()), told("tradewind_leader", &[], pod, 1, minutes)]
}

fn on_objects() -> Vec<Rule> {
    let rules: Vec<Rule> = alerts().into_iter().filter(|rule| rule.expr.contains("tradewind_objects")).collect();
    assert!(rules.len() > 8, "{}", rules.len());
    rules
}

#[test]
fn an_alert_on_objects_fires_in_time_through_a_change_of_leader_and_ends_with_its_cause() {
    for rule in on_objects() {
        let (labels, waits) = (asked_for(&rule), rule.minutes());
        let (last_of_old, well) = (waits / 2, waits + 30);
        let first_of_new = last_of_old + 10;
        let mut series: Vec<String> = leads(&labels, "old", 0..=last_of_old).into();
        let [objects, _] = leads(&labels, "new", first_of_new..=well - 1);
        // It goes on to lead when all is well.
        series.extend([objects, told("tradewind_leader", &[], "new", 1, first_of_new..=well + 30)]);
        let firing = firing(well + 30, &series);
        assert_eq!(minutes_of(&rule.alert, &firing), (waits..well).collect::<Vec<_>>(), "{}", rule.alert);
    }
}

#[test]
fn what_became_well_while_nobody_led_is_well_as_soon_as_somebody_does() {
    for rule in on_objects() {
        let (labels, waits) = (asked_for(&rule), rule.minutes());
        let (last_of_old, first_of_new) = (waits + 5, waits + 12);
        let mut series: Vec<String> = leads(&labels, "old", 0..=last_of_old).into();
        series.push(told("tradewind_leader", &[], "new", 1, first_of_new..=first_of_new + 30));
        let firing = firing(first_of_new + 30, &series);
        assert_eq!(minutes_of(&rule.alert, &firing), (waits..first_of_new).collect::<Vec<_>>(), "{}", rule.alert);
    }
}

/// What was told last stands for a quarter of an hour and no longer: nobody knows what became of the objects.
#[test]
fn with_nobody_leading_for_longer_the_wait_begins_anew() {
    for rule in on_objects() {
        let (labels, waits) = (asked_for(&rule), rule.minutes());
        let (last_of_old, first_of_new) = (waits + 5, waits + 35);
        let end = first_of_new + waits + 5;
        let series = [leads(&labels, "old", 0..=last_of_old), leads(&labels, "new", first_of_new..=end)].concat();
        let firing = minutes_of(&rule.alert, &firing(end, &series));
        let expected: Vec<u32> = (waits..last_of_old + 15).chain(first_of_new + waits..=end).collect();
        assert_eq!(firing, expected, "{}", rule.alert);
    }
}

/// A store whose merchant has revoked the token worked, and works no more.
#[test]
fn what_must_be_authorized_again_is_an_outage_and_what_two_processes_tell_counts_once() {
    let labels =
        [("kind", "Connection"), ("type", "Ready"), ("status", "False"), ("reason", "ReauthorizationRequired")];
    let labels = labels.map(|(name, value)| (name, value.to_owned()));
    // For a moment both think that they lead.
    let series = [leads(&labels, "old", 0..=70), leads(&labels, "new", 65..=80)].concat();
    let firing: Vec<Firing> = firing(80, &series).into_iter().filter(|f| f.alert != "TradewindNoLeader").collect();
    assert_eq!(minutes_of("TradewindNotReady", &firing), (60..=80).collect::<Vec<_>>());
    let says = "2 Connection objects are not Ready (ReauthorizationRequired); for an hour there always were some";
    for Firing { minute, alert, annotations, .. } in &firing {
        assert_eq!((alert.as_str(), annotations["summary"].as_str()), ("TradewindNotReady", says), "{minute}");
    }
}

/// Ten times the requests of another install must not hide one that gets no answer, and whoever routes alerts must learn whose it is.
#[test]
fn an_install_is_not_hidden_by_another_one() {
    let requests = |namespace: &str, code: &str, samples: &str| {
        format!(
            "tradewind_provider_requests_total{{namespace=\"{namespace}\",job=\"tradewind-metrics\",provider=\"rutter\",\
             operation=\"list\",code=\"{code}\"}} {samples}"
        )
    };
    let firing = firing(40, &[requests("a", "none", "0+6x40"), requests("b", "200", "0+60x40")]);
    let installs = firing.iter().filter(|firing| firing.alert == "TradewindProviderUnreachable");
    let installs: BTreeSet<_> = installs.map(|firing| firing.labels.get("namespace").map(String::as_str)).collect();
    assert_eq!(installs, BTreeSet::from([Some("a")]));
}

/// The one that misses a leader is given its namespace by the chart.
#[test]
fn every_alert_says_which_install_it_is_about() {
    for rule in on_objects() {
        let firing = firing(rule.minutes(), &leads(&asked_for(&rule), "old", 0..=rule.minutes()));
        let of: Vec<_> = firing.iter().filter(|firing| firing.alert == rule.alert).map(|f| &f.labels).collect();
        let says = |label: &str, value: &str| of.iter().all(|labels| labels.get(label).is_some_and(|is| is == value));
        assert!(
            !of.is_empty() && says("namespace", "shop") && says("job", "tradewind-metrics"),
            "{}: {of:?}",
            rule.alert
        );
    }
    for (alert, series, expected) in ON_COUNTERS.iter().filter(|(alert, ..)| *alert != "TradewindNoLeader") {
        let series = series.iter().map(|(metric, samples)| {
            let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
            format!("{name}{{namespace=\"shop\",job=\"tradewind-metrics\",{labels} {samples}")
        });
        let firing = firing(*expected.end(), &series.collect::<Vec<_>>());
        let mut of = firing.iter().filter(|firing| firing.alert == *alert).map(|f| &f.labels).peekable();
        assert!(of.peek().is_some(), "{alert}");
        for labels in of {
            let says = |label: &str| labels.get(label).map(String::as_str);
            assert_eq!((says("namespace"), says("job")), (Some("shop"), Some("tradewind-metrics")), "{alert}");
        }
    }
}

/// An alert, the series that it is about, and the minutes in which it fires.
type Case = (&'static str, &'static [(&'static str, &'static str)], RangeInclusive<u32>);

/// The alerts that are not on objects: the counters move from minute 10 on.
const ON_COUNTERS: &[Case] = &[
    ("TradewindNoLeader", &[("tradewind_leader", "1x9 0x29 1x60")], 15..=39),
    ("TradewindPanic", &[("tradewind_reconcile_panics_total", "0x9 1x50")], 10..=23),
    (
        "TradewindReconcileFailing",
        &[("tradewind_reconciles_total{kind=\"Connection\",result=\"publish\"}", "0x9 6+6x39 240x20")],
        30..=53,
    ),
    ("TradewindWatchFailing", &[("tradewind_watch_failures_total{kind=\"Secret\"}", "0x9 5+5x29 150x30")], 19..=44),
    (
        "TradewindProviderUnreachable",
        &[
            (
                "tradewind_provider_requests_total{provider=\"rutter\",operation=\"list\",code=\"none\"}",
                "0x9 6+6x29 180x20",
            ),
            ("tradewind_provider_requests_total{provider=\"rutter\",operation=\"list\",code=\"200\"}", "0+2x60"),
        ],
        28..=44,
    ),
    (
        "TradewindBudgetExhausted",
        &[
            ("tradewind_provider_throttled_requests_total{provider=\"rutter\",by=\"budget\"}", "0x9 6+6x49 300x20"),
            ("tradewind_provider_requests_total{provider=\"rutter\",operation=\"list\",code=\"200\"}", "0+2x80"),
        ],
        44..=68,
    ),
    (
        "TradewindThrottled",
        &[("tradewind_provider_throttled_requests_total{provider=\"rutter\",by=\"provider\"}", "0x9 1+1x39 40x20")],
        30..=58,
    ),
    (
        "TradewindUnownedRecord",
        &[("tradewind_errors_total{kind=\"Connection\",reason=\"CreateOutcomeUnknown\"}", "0x9 1x80")],
        10..=68,
    ),
];

#[test]
fn an_alert_on_counters_fires_while_they_move_and_not_before() {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for (alert, series, expected) in ON_COUNTERS {
        known.insert(alert);
        let series: Vec<_> = series.iter().map(|(metric, samples)| format!("{metric} {samples}")).collect();
        assert_eq!(minutes_of(alert, &firing(90, &series)), expected.clone().collect::<Vec<_>>(), "{alert}");
    }
    let others: Vec<String> = on_objects().into_iter().map(|rule| rule.alert).collect();
    known.extend(others.iter().map(String::as_str));
    let all = alerts();
    assert_eq!(known, all.iter().map(|rule| rule.alert.as_str()).collect(), "every alert is evaluated here");
}
