//! The dashboard for Grafana: what its panels ask.

use serde_json::Value;

use tradewind::telemetry::Metrics;

use super::queries::{selectors, wrong};

const DASHBOARD: &str = include_str!("../../../charts/tradewind/files/dashboard.json");

/// What stands in the place of the variables that an install is chosen by.
const NAMESPACE: &str = "shop|stores";
const JOB: &str = "tradewind-metrics";

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().expect("panels")
}

/// Every query, with a value in the place of Grafana's variables.
fn queries(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard).iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let values = [("$__rate_interval", "5m"), ("$namespace", NAMESPACE), ("$job", JOB)];
    let text = |target: &Value| {
        let query = target["expr"].as_str().expect("a query").to_owned();
        values.iter().fold(query, |query, (variable, value)| query.replace(variable, value))
    };
    targets.map(text).collect()
}

#[test]
fn every_panel_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let queries = queries(&dashboard);
    assert!(queries.len() > 8 && !queries.iter().any(|query| query.contains('$')), "{queries:?}");
    assert_eq!(wrong(&queries), [""; 0]);
}

/// Of several installs none is counted as another one's.
#[test]
fn every_panel_asks_for_the_installs_that_are_chosen() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let selectors = selectors(&queries(&dashboard));
    assert!(selectors.len() > 8, "{}", selectors.len());
    for selector in selectors {
        let chosen = selector.asks_for("namespace", NAMESPACE) && selector.asks_for("job", JOB);
        assert!(chosen, "{} of any install", selector.name());
    }
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let of_installs: Vec<_> = variables.iter().filter(|variable| variable["type"] == "query").collect();
    assert_eq!(of_installs.iter().map(|variable| &variable["name"]).collect::<Vec<_>>(), ["namespace", "job"]);
    for variable in of_installs {
        // With all of them as with one, and where a label is not there.
        assert_eq!((&variable["includeAll"], &variable["allValue"]), (&true.into(), &".*".into()), "{variable}");
    }
    let leaders = panels(&dashboard).iter().find(|panel| panel["title"] == "Leaders").expect("a panel");
    let query = leaders["targets"][0]["expr"].as_str().expect("a query");
    assert!(query.starts_with("sum by (namespace, job) ("), "three that lead are no leader of a fourth: {query}");
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
