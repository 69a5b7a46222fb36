//! Every value of the chart by itself: where it is rendered, and that it is not rendered there without it.

use std::collections::BTreeSet;
use std::path::Path;

use futures::{StreamExt, stream};
use rstest::rstest;
use serde_json::{Value, json};

use super::{CHART, of_kind, rendered, template, text, the};

/// How many templates are rendered at the same time.
const AT_ONCE: usize = 4;

struct Row {
    /// The value, as `--set` names it.
    path: &'static str,
    /// Values without which this one has no say.
    with: &'static str,
    value: &'static str,
    /// The kind of the object that shows it.
    kind: &'static str,
    /// Where in it; `pod/` and `container/` are the operator's.
    place: &'static str,
    /// What is there then, perhaps beside others; empty for the value itself, `null` for nothing.
    shows: &'static str,
}

const fn row(
    path: &'static str,
    with: &'static str,
    value: &'static str,
    [kind, place, shows]: [&'static str; 3],
) -> Row {
    Row { path, with, value, kind, place, shows }
}

const MONITOR: &str = "metrics: {serviceMonitor: {enabled: true}}";
const RULES: &str = "metrics: {prometheusRule: {enabled: true}}";
const DASHBOARD: &str = "metrics: {dashboard: {enabled: true}}";
const POLICY: &str = "networkPolicy: {enabled: true}";
const BUDGET: &str = "podDisruptionBudget: {enabled: true}";
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const ROWS: &[Row] = &[
    row("scope", "", "Cluster", ["ClusterRoleBinding", "/roleRef/name", "tradewind"]),
    row("namespace", "", "shop", ["RoleBinding", "/metadata/namespace", ""]),
    row("nameOverride", "", "wind", ["Deployment", "/metadata/labels/app.kubernetes.io~1name", ""]),
    row("fullnameOverride", "", "trade", ["Deployment", "/metadata/name", ""]),
    row("commonLabels", "", "{team: stores}", ["Deployment", "/metadata/labels", ""]),
    row("crds.enabled", "", "false", ["CustomResourceDefinition", "", "null"]),
    row(
        "crds.keep",
        "",
        "false",
        ["CustomResourceDefinition", "/metadata/annotations/helm.sh~1resource-policy", "null"],
    ),
    row(
        "crds.annotations",
        "",
        "{example.com/owner: platform}",
        ["CustomResourceDefinition", "/metadata/annotations", ""],
    ),
    row("image.repository", "", "example.com/wind", ["Deployment", "container/image", "example.com/wind:0.1.0"]),
    row("image.tag", "", "v9", ["Deployment", "container/image", "registry.example.com/tradewind:v9"]),
    row(
        "image.digest",
        "",
        DIGEST,
        [
            "Deployment",
            "container/image",
            "registry.example.com/tradewind@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ],
    ),
    row("image.pullPolicy", "", "Always", ["Deployment", "container/imagePullPolicy", ""]),
    row("imagePullSecrets", "", "[{name: registry}]", ["Deployment", "pod/imagePullSecrets", ""]),
    row("replicas", "", "3", ["Deployment", "/spec/replicas", ""]),
    row("revisionHistoryLimit", "", "0", ["Deployment", "/spec/revisionHistoryLimit", ""]),
    row("leaderElection.enabled", "", "false", ["Deployment", "/spec/strategy/type", "Recreate"]),
    row("podDisruptionBudget.enabled", "", "true", ["PodDisruptionBudget", "/metadata/name", "tradewind"]),
    row("podDisruptionBudget.maxUnavailable", BUDGET, "50%", ["PodDisruptionBudget", "/spec/maxUnavailable", ""]),
    row("podDisruptionBudget.minAvailable", BUDGET, "0", ["PodDisruptionBudget", "/spec", "{minAvailable: 0}"]),
    row("rbac.create", "", "false", ["Role", "", "null"]),
    row(
        "rbac.aggregate",
        "scope: Cluster",
        "false",
        ["ClusterRole", "/metadata/labels/rbac.authorization.k8s.io~1aggregate-to-view", "null"],
    ),
    row("serviceAccount.create", "serviceAccount: {name: own}", "false", ["ServiceAccount", "", "null"]),
    row("serviceAccount.name", "", "own", ["Deployment", "pod/serviceAccountName", ""]),
    row(
        "serviceAccount.annotations",
        "",
        "{example.com/role: stores}",
        ["ServiceAccount", "/metadata/annotations", ""],
    ),
    row("serviceAccount.automount", "", "false", ["Deployment", "pod/automountServiceAccountToken", ""]),
    row(
        "watchSecrets",
        "",
        "true",
        ["Role", "/rules", "{resources: [secrets], verbs: [get, create, patch, list, watch]}"],
    ),
    row(
        "allowEndpoints",
        "",
        "[\"https://one.example.com\"]",
        ["Deployment", "container/args", "--allow-endpoint=https://one.example.com"],
    ),
    row("concurrency", "", "32", ["Deployment", "container/args", "--concurrency=32"]),
    row("log.level", "", "debug", ["Deployment", "container/args", "--log=debug"]),
    row("log.format", "", "text", ["Deployment", "container/args", "--log-format=text"]),
    row("timing.callTimeout", "", "10s", ["Deployment", "container/args", "--call-timeout=10s"]),
    row("timing.permitLife", "", "10s", ["Deployment", "container/args", "--permit-life=10s"]),
    row("timing.listLag", "", "10s", ["Deployment", "container/args", "--list-lag=10s"]),
    row("timing.poll", "", "10s", ["Deployment", "container/args", "--poll=10s"]),
    row("timing.probeInterval", "", "10s", ["Deployment", "container/args", "--probe-interval=10s"]),
    row("timing.shutdownGrace", "", "10s", ["Deployment", "container/args", "--shutdown-grace=10s"]),
    row(
        "caBundle.configMapName",
        "",
        "company",
        ["Deployment", "pod/volumes", "{name: ca-bundle, configMap: {name: company}}"],
    ),
    row(
        "caBundle.secretName",
        "",
        "company",
        ["Deployment", "pod/volumes", "{name: ca-bundle, secret: {secretName: company}}"],
    ),
    row(
        "caBundle.key",
        "caBundle: {secretName: company}",
        "root.pem",
        ["Deployment", "container/args", "--ca-bundle=/etc/tradewind/ca/root.pem"],
    ),
    row(
        "proxy.httpsProxy",
        "",
        "http://a:1",
        ["Deployment", "container/env", "{name: HTTPS_PROXY, value: 'http://a:1'}"],
    ),
    row(
        "proxy.httpProxy",
        "",
        "http://a:1",
        ["Deployment", "container/env", "{name: HTTP_PROXY, value: 'http://a:1'}"],
    ),
    row("proxy.noProxy", "", ".a", ["Deployment", "container/env", "{name: NO_PROXY, value: .a}"]),
    row("extraArgs", "", "[--context=test]", ["Deployment", "container/args", "--context=test"]),
    row("extraEnv", "", "[{name: A, value: b}]", ["Deployment", "container/env", "{name: A, value: b}"]),
    row("volumes", "", "[{name: certs, emptyDir: {}}]", ["Deployment", "pod/volumes", ""]),
    row("volumeMounts", "", "[{name: certs, mountPath: /certs}]", ["Deployment", "container/volumeMounts", ""]),
    row("hostAliases", "", "[{ip: 10.0.0.7, hostnames: [a.example.com]}]", ["Deployment", "pod/hostAliases", ""]),
    row("dnsPolicy", "", "Default", ["Deployment", "pod/dnsPolicy", ""]),
    row("dnsConfig", "", "{options: [{name: ndots, value: '1'}]}", ["Deployment", "pod/dnsConfig", ""]),
    row("livenessProbe", "", "{initialDelaySeconds: 3}", ["Deployment", "container/livenessProbe", ""]),
    row("readinessProbe", "", "{failureThreshold: 9}", ["Deployment", "container/readinessProbe", ""]),
    row("deploymentAnnotations", "", "{example.com/a: b}", ["Deployment", "/metadata/annotations", ""]),
    row("podAnnotations", "", "{example.com/a: b}", ["Deployment", "/spec/template/metadata/annotations", ""]),
    row("podLabels", "", "{example.com/a: b}", ["Deployment", "/spec/template/metadata/labels", ""]),
    row("podSecurityContext", "", "{fsGroup: 2000}", ["Deployment", "pod/securityContext", ""]),
    row("securityContext", "", "{privileged: false}", ["Deployment", "container/securityContext", ""]),
    row("resources", "", "{limits: {memory: 1Gi}}", ["Deployment", "container/resources", ""]),
    row("nodeSelector", "", "{kubernetes.io/os: linux}", ["Deployment", "pod/nodeSelector", ""]),
    row("tolerations", "", "[{key: infra, operator: Exists}]", ["Deployment", "pod/tolerations", ""]),
    row("affinity", "", "{podAntiAffinity: {}}", ["Deployment", "pod/affinity", ""]),
    row(
        "topologySpreadConstraints",
        "",
        "[{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]",
        ["Deployment", "pod/topologySpreadConstraints", "{maxSkew: 1, topologyKey: zone}"],
    ),
    row("priorityClassName", "", "high", ["Deployment", "pod/priorityClassName", ""]),
    row("terminationGracePeriodSeconds", "", "60", ["Deployment", "pod/terminationGracePeriodSeconds", ""]),
    row("metrics.service.enabled", "", "false", ["Service", "", "null"]),
    row("metrics.service.port", "", "9090", ["Service", "/spec/ports/0/port", ""]),
    row("metrics.service.annotations", "", "{example.com/a: b}", ["Service", "/metadata/annotations", ""]),
    row("metrics.serviceMonitor.enabled", "", "true", ["ServiceMonitor", "/metadata/name", "tradewind"]),
    row("metrics.serviceMonitor.interval", MONITOR, "30s", ["ServiceMonitor", "/spec/endpoints/0/interval", ""]),
    row(
        "metrics.serviceMonitor.scrapeTimeout",
        MONITOR,
        "9s",
        ["ServiceMonitor", "/spec/endpoints/0/scrapeTimeout", ""],
    ),
    row("metrics.serviceMonitor.namespace", MONITOR, "monitoring", ["ServiceMonitor", "/metadata/namespace", ""]),
    row("metrics.serviceMonitor.labels", MONITOR, "{release: a}", ["ServiceMonitor", "/metadata/labels", ""]),
    row("metrics.serviceMonitor.honorLabels", MONITOR, "true", ["ServiceMonitor", "/spec/endpoints/0/honorLabels", ""]),
    row(
        "metrics.serviceMonitor.relabelings",
        MONITOR,
        "[{action: labeldrop, regex: pod}]",
        ["ServiceMonitor", "/spec/endpoints/0/relabelings", ""],
    ),
    row(
        "metrics.serviceMonitor.metricRelabelings",
        MONITOR,
        "[{action: drop, regex: le}]",
        ["ServiceMonitor", "/spec/endpoints/0/metricRelabelings", ""],
    ),
    row("metrics.prometheusRule.enabled", "", "true", ["PrometheusRule", "/metadata/name", "tradewind"]),
    row("metrics.prometheusRule.namespace", RULES, "monitoring", ["PrometheusRule", "/metadata/namespace", ""]),
    row("metrics.prometheusRule.labels", RULES, "{release: a}", ["PrometheusRule", "/metadata/labels", ""]),
    row("metrics.dashboard.enabled", "", "true", ["ConfigMap", "/metadata/name", "tradewind-dashboard"]),
    row("metrics.dashboard.namespace", DASHBOARD, "monitoring", ["ConfigMap", "/metadata/namespace", ""]),
    row("metrics.dashboard.labels", DASHBOARD, "{folder: a}", ["ConfigMap", "/metadata/labels", ""]),
    row("metrics.dashboard.annotations", DASHBOARD, "{folder: a}", ["ConfigMap", "/metadata/annotations", ""]),
    row("networkPolicy.enabled", "", "true", ["NetworkPolicy", "/spec/policyTypes", "[Ingress, Egress]"]),
    row("networkPolicy.metricsFrom", POLICY, "[{podSelector: {}}]", ["NetworkPolicy", "/spec/ingress/0/from", ""]),
    row(
        "networkPolicy.egressPorts",
        POLICY,
        "[8443]",
        ["NetworkPolicy", "/spec/egress/1/ports", "[{protocol: TCP, port: 8443}]"],
    ),
    row(
        "networkPolicy.extraEgress",
        POLICY,
        "[{ports: [{protocol: TCP, port: 3128}]}]",
        ["NetworkPolicy", "/spec/egress", "{ports: [{protocol: TCP, port: 3128}]}"],
    ),
    row(
        "extraObjects",
        "",
        "[{apiVersion: v1, kind: ConfigMap, metadata: {name: more}, data: {release: '{{ .Release.Name }}'}}]",
        ["ConfigMap", "/data", "{release: tradewind}"],
    ),
];

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl Row {
    /// Values with this one among them, or without it.
    fn values(&self, is_set: bool) -> String {
        let mut values = if self.with.is_empty() { json!({}) } else { yaml(self.with) };
        if is_set {
            let place = self.path.split('.').fold(&mut values, |values, name| &mut values[name]);
            *place = yaml(self.value);
        }
        // They are most of what is rendered.
        if !self.path.starts_with("crds.") {
            values["crds"] = json!({"enabled": false});
        }
        values.to_string()
    }

    /// What stands at its place with these values.
    async fn found(&self, is_set: bool) -> Value {
        let objects = rendered("tradewind", &self.values(is_set)).await;
        let place = self.place.replace("container/", "pod/containers/0/").replace("pod/", "/spec/template/spec/");
        let object = of_kind(&objects, self.kind).into_iter().next();
        object.and_then(|object| object.pointer(&place)).cloned().unwrap_or_default()
    }

    async fn check(&self) {
        let expected = if self.shows.is_empty() { yaml(self.value) } else { yaml(self.shows) };
        let (with, without) = (self.found(true).await, self.found(false).await);
        assert!(holds(&with, &expected), "{}: {} shows {with}", self.path, self.kind);
        assert!(!holds(&without, &expected), "{}: {} shows it without", self.path, self.kind);
    }
}

/// Whether it is this, or has it in it.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Array(found), Value::String(_) | Value::Object(_)) => found.iter().any(|one| holds(one, expected)),
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| holds(found, value)))
        }
        _ => found == expected,
    }
}

#[tokio::test]
async fn every_value_shows_where_it_belongs_and_only_then() {
    stream::iter(ROWS).for_each_concurrent(AT_ONCE, Row::check).await;
}

/// All values of a schema: what has no further ones in it.
fn leaves(schema: &Value, path: &str, into: &mut BTreeSet<String>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        into.insert(path.trim_start_matches('.').to_owned());
        return;
    };
    for (name, schema) in properties {
        leaves(schema, &format!("{path}.{name}"), into);
    }
}

#[test]
fn every_value_is_looked_at() {
    let schema = std::fs::read_to_string(Path::new(CHART).join("values.schema.json")).expect("a file of the chart");
    let mut known = BTreeSet::new();
    leaves(&serde_json::from_str(&schema).expect("JSON"), "", &mut known);
    // What Helm itself puts there is not read.
    known.retain(|path| !["global", "enabled"].contains(&path.as_str()));
    assert_eq!(known, ROWS.iter().map(|row| row.path.to_owned()).collect());
}

#[rstest]
#[case::one_namespace("")]
#[case::the_whole_cluster("scope: Cluster, ")]
#[tokio::test]
async fn who_grants_the_rights_themselves_is_granted_none(#[case] scope: &str) {
    let objects = rendered("tradewind", &format!("{{{scope}rbac: {{create: false}}}}")).await;
    let kinds: Vec<_> = objects.iter().map(|object| text(object, "/kind")).collect();
    assert!(kinds.contains(&"Deployment"));
    assert!(!kinds.iter().any(|kind| kind.contains("Role")), "{kinds:?}");
}

#[tokio::test]
async fn an_account_that_is_there_is_bound_and_used() {
    for scope in ["", "scope: Cluster, "] {
        let values = format!("{{{scope}serviceAccount: {{create: false, name: own}}}}");
        let objects = rendered("tradewind", &values).await;
        let bindings = objects.iter().filter(|object| text(object, "/kind").ends_with("RoleBinding"));
        let subjects: Vec<_> = bindings.map(|binding| &binding["subjects"]).collect();
        let own = json!([{"kind": "ServiceAccount", "name": "own", "namespace": "tradewind"}]);
        assert_eq!(subjects, [&own, &own], "{scope}");
        assert_eq!(the(&objects, "Deployment").pointer("/spec/template/spec/serviceAccountName"), Some(&json!("own")));
    }
}

/// A rule without `from` lets everybody in.
#[tokio::test]
async fn metrics_are_open_to_those_that_are_named_and_to_nobody_else() {
    let from = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]);
    let ports = json!([{"protocol": "TCP", "port": "http"}]);
    for (from, rule) in [(json!([]), json!({"ports": ports})), (from.clone(), json!({"ports": ports, "from": from}))] {
        let values = json!({"networkPolicy": {"enabled": true, "metricsFrom": from}}).to_string();
        let objects = rendered("tradewind", &values).await;
        assert_eq!(the(&objects, "NetworkPolicy")["spec"]["ingress"], json!([rule]));
    }
}

#[tokio::test]
async fn a_ca_from_a_secret_is_mounted_where_the_program_is_told_to_look() {
    let objects = rendered("tradewind", "caBundle: {secretName: company, key: root.pem}").await;
    let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"], json!([{"name": "ca-bundle", "secret": {"secretName": "company"}}]));
    let container = &pod["containers"][0];
    let mount = json!([{"name": "ca-bundle", "mountPath": "/etc/tradewind/ca", "readOnly": true}]);
    assert_eq!(container["volumeMounts"], mount);
    assert!(holds(&container["args"], &json!("--ca-bundle=/etc/tradewind/ca/root.pem")));
}

/// The timing of a probe is for people to choose, and what it asks is not.
#[tokio::test]
async fn probes_keep_what_they_ask() {
    let values = "{livenessProbe: {periodSeconds: 60}, readinessProbe: {initialDelaySeconds: 1}}";
    let objects = rendered("tradewind", values).await;
    let container = the(&objects, "Deployment").pointer("/spec/template/spec/containers/0").expect("a container");
    let asks = |path: &str| json!({"path": path, "port": "http"});
    let expected = json!({"httpGet": asks("/livez"), "periodSeconds": 60, "timeoutSeconds": 2});
    assert_eq!(container["livenessProbe"], expected);
    let expected =
        json!({"httpGet": asks("/readyz"), "initialDelaySeconds": 1, "periodSeconds": 5, "timeoutSeconds": 2});
    assert_eq!(container["readinessProbe"], expected);
}

#[tokio::test]
async fn a_monitor_elsewhere_looks_for_the_service_here() {
    let objects = rendered("tradewind", "metrics: {serviceMonitor: {enabled: true, namespace: monitoring}}").await;
    assert_eq!(the(&objects, "ServiceMonitor")["spec"]["namespaceSelector"], json!({"matchNames": ["tradewind"]}));
    let beside = rendered("tradewind", MONITOR).await;
    assert_eq!(the(&beside, "ServiceMonitor")["spec"].get("namespaceSelector"), None);
}

/// Releases of one name, of a team each, must not meet there.
#[tokio::test]
async fn what_stands_in_the_namespace_of_monitoring_bears_the_name_of_its_releases() {
    let kinds =
        [("ServiceMonitor", "tradewind"), ("PrometheusRule", "tradewind"), ("ConfigMap", "tradewind-dashboard")];
    for (there, suffix) in [("monitoring", "-shop"), ("shop", ""), ("", "")] {
        let of = json!({"enabled": true, "namespace": there});
        let values = json!({"metrics": {"serviceMonitor": of, "prometheusRule": of, "dashboard": of}});
        let objects = rendered("shop", &values.to_string()).await;
        for (kind, name) in kinds {
            let object = the(&objects, kind);
            let expected = [format!("{name}{suffix}"), if there.is_empty() { "shop" } else { there }.to_owned()];
            assert_eq!(["name", "namespace"].map(|f| text(object, &format!("/metadata/{f}")).to_owned()), expected);
        }
        // Wherever it stands, it is this release's leader that it misses.
        let rules = the(&objects, "PrometheusRule").pointer("/spec/groups/0/rules").and_then(Value::as_array);
        let leader = rules.into_iter().flatten().find(|rule| rule["alert"] == "TradewindNoLeader").expect("an alert");
        assert_eq!(leader["expr"], "absent(tradewind_leader{namespace=\"shop\"} == 1)");
    }
}

#[tokio::test]
async fn a_budget_is_by_those_that_stay_or_by_those_that_go() {
    let spec = async |more: &str| {
        let objects = rendered("tradewind", &format!("podDisruptionBudget: {{enabled: true{more}}}")).await;
        let mut spec = the(&objects, "PodDisruptionBudget")["spec"].clone();
        let _ = spec.as_object_mut().expect("a spec").remove("selector");
        spec
    };
    assert_eq!(spec("").await, json!({"maxUnavailable": 1}));
    assert_eq!(spec(", maxUnavailable: 0").await, json!({"maxUnavailable": 0}));
    assert_eq!(spec(", minAvailable: 50%, maxUnavailable: 2").await, json!({"minAvailable": "50%"}));
}

/// As text they can hold what is no YAML before it is rendered.
#[tokio::test]
async fn further_objects_are_templates_as_objects_and_as_text() {
    let written = "{apiVersion: v1, kind: Secret, metadata: {name: written, namespace: {{ .Release.Namespace }}}}";
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Values.watchSecrets }}-x"}});
    let objects = rendered("shop", &json!({"extraObjects": [written, object]}).to_string()).await;
    assert_eq!(text(the(&objects, "Secret"), "/metadata/namespace"), "shop");
    assert_eq!(text(the(&objects, "ConfigMap"), "/metadata/name"), "false-x");
}

/// What the kubelet waits is more than what the program takes, whichever of the two is left as it is.
#[rstest]
#[case::both(None, None)]
#[case::just_enough(Some(26), None)]
#[case::as_long_as_the_program(Some(25), None)]
#[case::the_program_takes_longer(None, Some("40s"))]
#[case::the_program_takes_less(None, Some("39s999ms"))]
#[case::in_minutes(Some(61), Some("1m"))]
#[case::in_more_minutes(Some(61), Some("1m1s"))]
#[tokio::test]
async fn a_pod_has_the_time_to_stop_that_its_program_takes(#[case] pod: Option<u64>, #[case] program: Option<&str>) {
    let mut values = json!({});
    if let Some(seconds) = pod {
        values["terminationGracePeriodSeconds"] = json!(seconds);
    }
    if let Some(grace) = program {
        values["timing"] = json!({"shutdownGrace": grace});
    }
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_tradewind")).args(["run", "--help"]).output();
    let help = String::from_utf8(help.expect("the program").stdout).expect("text");
    let default = help.split_once("--shutdown-grace").and_then(|(_, rest)| rest.split_once("[default: "));
    let default = default.and_then(|(_, rest)| rest.split_once(']')).expect("a default").0;
    let grace = jiff::SignedDuration::try_from(program.unwrap_or(default).parse::<jiff::Span>().expect("a duration"));
    let enough = jiff::SignedDuration::from_secs(pod.unwrap_or(40).cast_signed()) > grace.expect("no days in it");
    let said = template("tradewind", &values.to_string()).await;
    assert_eq!(said.ok, enough, "{}", said.err);
    assert!(enough || said.err.contains("terminationGracePeriodSeconds must be more than"), "{said:?}");
}
