//! The kinds of the Prometheus operator that the chart makes, as its API reference documents them: `monitoring.coreos.com/v1`.
//!
//! No API server of the tests has their CRDs, so fields and types are written down here by hand: those that the chart renders, those of a
//! relabeling, which people hand in, and those of the manifest on `docs/metrics.md`. Every other field is refused: who renders one more looks it up in the reference first.

use serde_json::{Value, json};

/// The API version of these kinds.
pub(super) const VERSION: &str = "monitoring.coreos.com/v1";

/// The schemas, by kind.
pub(super) fn schemas() -> [(&'static str, Value); 3] {
    [("ServiceMonitor", service_monitor()), ("PrometheusRule", prometheus_rule()), ("PodMonitor", pod_monitor())]
}

fn service_monitor() -> Value {
    // Of the actions, those that are written in small letters: the reference has them in both ways.
    let action = json!({"enum": [
        "replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase", "keepequal", "dropequal",
    ]});
    let relabeling = json!({
        "action": action,
        "modulus": {"type": "integer"},
        "regex": text(),
        "replacement": text(),
        "separator": text(),
        "sourceLabels": list(&text()),
        "targetLabel": text(),
    });
    let relabelings = list(&fields(&[], &relabeling));
    let endpoint = json!({
        "port": text(),
        "path": text(),
        "honorLabels": {"type": "boolean"},
        "interval": duration(),
        "scrapeTimeout": duration(),
        "relabelings": relabelings,
        "metricRelabelings": relabelings,
    });
    let spec = json!({
        "selector": fields(&[], &json!({"matchLabels": texts()})),
        "namespaceSelector": fields(&[], &json!({"matchNames": list(&text())})),
        "endpoints": list(&fields(&[], &endpoint)),
    });
    object(VERSION, "ServiceMonitor", &fields(&["selector", "endpoints"], &spec))
}

fn pod_monitor() -> Value {
    let spec = json!({
        "selector": fields(&[], &json!({"matchLabels": texts()})),
        "podMetricsEndpoints": list(&fields(&[], &json!({"port": text()}))),
    });
    object(VERSION, "PodMonitor", &fields(&["selector"], &spec))
}

fn prometheus_rule() -> Value {
    let rule = json!({
        "alert": text(),
        "expr": text(),
        "for": duration(),
        "labels": texts(),
        "annotations": texts(),
    });
    let group = json!({"name": text(), "rules": list(&fields(&["expr"], &rule))});
    let spec = json!({"groups": list(&fields(&["name"], &group))});
    object(VERSION, "PrometheusRule", &fields(&[], &spec))
}

/// An object of a kind in a namespace.
pub(super) fn object(version: &str, kind: &str, spec: &Value) -> Value {
    let metadata = json!({"name": text(), "namespace": text(), "labels": texts(), "annotations": texts()});
    let all = json!({
        "apiVersion": {"enum": [version]},
        "kind": {"enum": [kind]},
        "metadata": fields(&["name"], &metadata),
        "spec": spec,
    });
    fields(&["apiVersion", "kind", "metadata", "spec"], &all)
}

/// An object with these fields and no others.
pub(super) fn fields(required: &[&str], known: &Value) -> Value {
    let mut schema = json!({"type": "object", "properties": known, "additionalProperties": false});
    // An older draft of JSON Schema, which kubeconform takes it for, knows no empty list here.
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

pub(super) fn list(of: &Value) -> Value {
    json!({"type": "array", "items": of})
}

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

/// Labels, annotations.
pub(super) fn texts() -> Value {
    json!({"type": "object", "additionalProperties": text()})
}

/// As Prometheus writes them: `1h30m`.
fn duration() -> Value {
    json!({"type": "string", "pattern": "^([0-9]+(ms|[smhdwy]))+$"})
}
