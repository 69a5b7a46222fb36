//! Every value that a label of our metrics can have: constant cardinality, written down.

use std::collections::BTreeMap;

use strum::IntoEnumIterator;
use tradewind::api::v1alpha1::Provider;
use tradewind::domain::conditions::Type;
use tradewind::domain::reason::Reason;
use tradewind::domain::writes::{Cause, Outcome};
use tradewind::provider::Operation;
use tradewind::telemetry::{Declared, Metrics, Throttle};

/// The kinds whose objects are worked on.
const KINDS: [&str; 4] = ["ClusterProviderAccount", "Connection", "IntegrationInstance", "ProviderAccount"];
/// Those of them whose objects each have a record.
const MANAGED: [&str; 2] = ["Connection", "IntegrationInstance"];
/// Those that are watched beside them.
const BESIDE: [&str; 2] = ["Namespace", "Secret"];
/// `done`, or the stage at which a pass ended early.
const RESULTS: [&str; 9] =
    ["done", "stale", "superseded", "resolve", "intent", "publish", "report", "deadline", "panic"];

fn all<T: IntoEnumIterator + Into<&'static str>>() -> Vec<String> {
    T::iter().map(|value| value.into().to_owned()).collect()
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// The values of a label of a metric.
pub(super) fn values(metric: &str, label: &str) -> Vec<String> {
    match label {
        "provider" => all::<Provider>(),
        "operation" if metric == "tradewind_provider_writes_total" => {
            Operation::iter().filter(|operation| operation.writes()).map(|operation| operation.to_string()).collect()
        }
        "operation" => all::<Operation>(),
        "code" => std::iter::once("none".to_owned()).chain((100..600).map(|code| code.to_string())).collect(),
        "by" => all::<Throttle>(),
        "cause" => all::<Cause>(),
        "outcome" => all::<Outcome>(),
        "kind" if metric == "tradewind_drifts_total" => owned(&MANAGED),
        "kind" if metric == "tradewind_watch_failures_total" => owned(&[KINDS.as_slice(), &BESIDE].concat()),
        "kind" => owned(&KINDS),
        "result" => owned(&RESULTS),
        "type" => all::<Type>(),
        "verdict" => owned(&["taken_over", "rejected"]),
        "status" => owned(&["True", "False", "Unknown"]),
        "reason" => all::<Reason>(),
        "version" => owned(&[env!("CARGO_PKG_VERSION")]),
        other => panic!("nobody has written down which values the label {other} of {metric} can have"),
    }
}

/// All metrics by the names under which they can be queried, with their labels.
pub(super) fn queryable() -> BTreeMap<String, Vec<&'static str>> {
    let series = |metric: &Declared| match metric.kind {
        "histogram" => {
            let with_le: Vec<_> = metric.labels.iter().copied().chain(["le"]).collect();
            let of = |suffix: &str| (format!("{}_{suffix}", metric.name), metric.labels.clone());
            vec![(format!("{}_bucket", metric.name), with_le), of("sum"), of("count")]
        }
        _ => vec![(metric.name.clone(), metric.labels.clone())],
    };
    Metrics::new().declared().iter().flat_map(series).collect()
}
