//! The kinds of Flux and Argo CD on `docs/gitops.md`, as their API references document them.
//!
//! No API server of the tests has their CRDs, so fields and types are written down here by hand: those that the page has. Every other field
//! is refused: who writes one more looks it up in the reference first.

use serde_json::{Value, json};

use super::monitoring::{fields, list, object, text, texts};

/// The schemas, by API version and kind.
pub(super) fn schemas() -> [(&'static str, &'static str, Value); 5] {
    let all = [
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", kustomization()),
        ("source.toolkit.fluxcd.io/v1", "GitRepository", git_repository()),
        ("source.toolkit.fluxcd.io/v1", "OCIRepository", oci_repository()),
        ("helm.toolkit.fluxcd.io/v2", "HelmRelease", helm_release()),
        ("argoproj.io/v1alpha1", "Application", application()),
    ];
    all.map(|(version, kind, spec)| (version, kind, object(version, kind, &spec)))
}

fn kustomization() -> Value {
    let expression = json!({
        "apiVersion": text(), "kind": text(), "inProgress": text(), "failed": text(), "current": text(),
    });
    let spec = json!({
        "dependsOn": list(&reference(&["name"], &["namespace"])),
        "interval": duration(),
        "timeout": duration(),
        "path": text(),
        "prune": flag(),
        "wait": flag(),
        "sourceRef": source(),
        "healthCheckExprs": list(&fields(&["apiVersion", "kind", "current"], &expression)),
    });
    fields(&["interval", "prune", "sourceRef"], &spec)
}

fn git_repository() -> Value {
    let reference = fields(&[], &json!({"branch": text(), "tag": text(), "semver": text(), "commit": text()}));
    let spec = json!({"interval": duration(), "url": address("^(http|https|ssh)://.*$"), "ref": reference});
    fields(&["interval", "url"], &spec)
}

fn oci_repository() -> Value {
    let reference = fields(&[], &json!({"tag": text(), "semver": text(), "digest": text()}));
    let selector = json!({"mediaType": text(), "operation": {"enum": ["extract", "copy"]}});
    let spec = json!({
        "interval": duration(),
        "url": address("^oci://.*$"),
        "ref": reference,
        "layerSelector": fields(&[], &selector),
    });
    fields(&["interval", "url"], &spec)
}

fn helm_release() -> Value {
    let of_chart = json!({"chart": text(), "sourceRef": source()});
    let chart = fields(&["spec"], &json!({"spec": fields(&["chart", "sourceRef"], &of_chart)}));
    let remediation = fields(&[], &json!({"retries": {"type": "integer"}}));
    let spec = json!({
        "interval": duration(),
        "chart": chart,
        "chartRef": reference(&["kind", "name"], &["namespace"]),
        "install": fields(&[], &json!({"remediation": remediation})),
        // What is in them, the chart's own schema says.
        "values": {"type": "object"},
    });
    let mut spec = fields(&["interval"], &spec);
    spec["oneOf"] = json!([{"required": ["chart"]}, {"required": ["chartRef"]}]);
    spec
}

fn application() -> Value {
    let helm = fields(&[], &json!({"valuesObject": {"type": "object"}}));
    let source = json!({"repoURL": text(), "targetRevision": text(), "path": text(), "helm": helm});
    let policy = json!({
        "automated": fields(&[], &json!({"prune": flag(), "selfHeal": flag()})),
        "managedNamespaceMetadata": fields(&[], &json!({"labels": texts(), "annotations": texts()})),
        "retry": fields(&[], &json!({"limit": {"type": "integer"}})),
        // Flags that are either there or not, and choices.
        "syncOptions": list(&json!({"type": "string", "pattern": "^[A-Z][A-Za-z]+=[a-z]+$"})),
    });
    let spec = json!({
        "project": text(),
        "source": fields(&["repoURL"], &source),
        "destination": fields(&[], &json!({"server": text(), "name": text(), "namespace": text()})),
        "syncPolicy": fields(&[], &policy),
    });
    fields(&["project", "source", "destination"], &spec)
}

/// Where a tool of Flux takes things from.
fn source() -> Value {
    reference(&["kind", "name"], &["namespace", "apiVersion"])
}

fn reference(required: &[&str], more: &[&str]) -> Value {
    let known: serde_json::Map<String, Value> =
        required.iter().chain(more).map(|name| ((*name).to_owned(), text())).collect();
    fields(required, &Value::Object(known))
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn address(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

/// As Go writes them: `1h30m`.
fn duration() -> Value {
    json!({"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"})
}
