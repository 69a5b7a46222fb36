//! The dashboard for Grafana: what its panels ask.

use serde_json::Value;

use tradewind::telemetry::Metrics;

use super::queries::{selectors, wrong};

const DASHBOARD: &str = include_str!("../../../charts/tradewind/files/dashboard.json");

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().expect("panels")
}

/// Every query, with a value in the place of Grafana's variables.
fn queries(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard).iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let text = |target: &Value| target["expr"].as_str().expect("a query").replace("$__rate_interval", "5m");
    targets.map(text).collect()
}

#[test]
fn every_panel_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let queries = queries(&dashboard);
    assert!(queries.len() > 8 && !queries.iter().any(|query| query.contains('$')), "{queries:?}");
    assert_eq!(wrong(&queries), [""; 0]);
}

/// A metric that nobody looks at is none; but for the version, which a table of pods shows better.
#[test]
fn every_metric_is_asked_for_by_a_panel() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let asked = selectors(&queries(&dashboard));
    let is_asked = |name: &str| {
        let suffixes = ["", "_bucket", "_sum", "_count"];
        asked.iter().any(|selector| suffixes.iter().any(|suffix| selector.name() == format!("{name}{suffix}")))
    };
    let declared: Vec<String> = Metrics::new().declared().iter().map(|metric| metric.name.clone()).collect();
    let missed: Vec<_> = declared.iter().filter(|name| !is_asked(name)).collect();
    assert_eq!(missed, ["tradewind_build_info"]);
}

#[test]
fn it_can_be_installed_anywhere_and_is_the_same_one_everywhere() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert_eq!((&dashboard["uid"], &dashboard["id"]), (&"tradewind".into(), &Value::Null));
    let variable = &dashboard["templating"]["list"][0];
    assert_eq!((&variable["name"], &variable["type"]), (&"datasource".into(), &"datasource".into()));
    let mut ids = Vec::new();
    for panel in panels(&dashboard) {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
        ids.push(panel["id"].as_u64().expect("a number"));
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "two panels of one number");
}
