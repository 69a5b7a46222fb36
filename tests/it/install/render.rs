//! What the chart renders, without a cluster: every value does what it says, and nothing renders what must never be there.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;
use rstest::rstest;
use serde_json::{Value, json};
use tradewind::provider::AllowList;

use super::{CHART, Right, helm, objects, of_kind, rendered, rights, template, text, the};
use crate::cluster::control_plane;
use crate::docs::read;
use crate::manifests;

/// Values that lead into every branch of every template, but for those that the default leads into.
pub(super) const CASES: &[(&str, &str)] = &[
    ("the default", ""),
    ("the whole cluster", "scope: Cluster"),
    ("another namespace", "{namespace: shop, serviceAccount: {create: false, name: own}}"),
    ("no rights and no CRDs", "{rbac: {create: false}, crds: {enabled: false}, metrics: {service: {enabled: false}}}"),
    ("one that is never two", "{leaderElection: {enabled: false}, podDisruptionBudget: {enabled: true}}"),
    ("CRDs that go", "{crds: {keep: false}, scope: Cluster, rbac: {aggregate: false}}"),
    (
        "a CA from a Secret",
        "{caBundle: {secretName: ca, key: root.pem}, replicas: 2, podDisruptionBudget: {enabled: false}}",
    ),
    ("a network policy alone", "networkPolicy: {enabled: true}"),
    ("a budget by those that stay", "podDisruptionBudget: {enabled: true, minAvailable: 50%}"),
    ("a part of another chart", "{global: {region: eu}, enabled: true}"),
    ("everything", EVERYTHING),
];

/// Every value that has a say of its own, with another value than its default.
const EVERYTHING: &str = r#"
scope: Namespaced
namespace: shop
nameOverride: wind
fullnameOverride: trade
commonLabels: {team: stores}
crds: {enabled: true, keep: true, annotations: {example.com/owner: platform}}
image:
  repository: registry.example.com/mirror/tradewind
  digest: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  pullPolicy: Always
imagePullSecrets: [{name: registry}]
replicas: 3
revisionHistoryLimit: 3
podDisruptionBudget: {maxUnavailable: 50%}
serviceAccount: {name: operator, annotations: {example.com/role: stores}, automount: false}
watchSecrets: true
allowEndpoints: ["https://one.example.com", "https://two.example.com"]
concurrency: 32
log: {level: "info,tradewind=debug", format: text}
timing: {callTimeout: 10s, permitLife: 15s, listLag: 20s, poll: 5s, probeInterval: 1m, shutdownGrace: 12s}
caBundle: {configMapName: company-ca}
proxy: {httpsProxy: "http://proxy.example.com:3128", httpProxy: "http://proxy.example.com:3129", noProxy: "10.0.0.0/8,.example.com"}
extraArgs: ["--context=test"]
extraEnv: [{name: SSL_CERT_DIR, value: /certs}]
volumes: [{name: token, projected: {sources: [{serviceAccountToken: {path: token}}]}}]
volumeMounts: [{name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}]
hostAliases: [{ip: 10.0.0.7, hostnames: [provider.example.com]}]
dnsPolicy: None
dnsConfig: {nameservers: [10.0.0.10], options: [{name: ndots, value: "1"}]}
livenessProbe: {initialDelaySeconds: 10, failureThreshold: 6}
readinessProbe: {periodSeconds: 10}
deploymentAnnotations: {reloader.stakater.com/auto: "true"}
podAnnotations: {example.com/scrape: "true"}
podLabels: {example.com/net: egress}
podSecurityContext: {runAsUser: null, fsGroup: 2000}
securityContext: {privileged: false}
resources: {limits: {memory: 1Gi}}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: infra, operator: Exists, effect: NoSchedule}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [a]}]}]}}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}]
priorityClassName: system-cluster-critical
terminationGracePeriodSeconds: 60
metrics:
  service: {port: 9090, annotations: {example.com/metrics: "yes"}}
  prometheusRule: {enabled: true, namespace: monitoring, labels: {release: prometheus}}
  dashboard: {enabled: true, namespace: monitoring, labels: {folder: stores}}
  serviceMonitor: {enabled: true, interval: 30s, scrapeTimeout: 10s, namespace: monitoring, honorLabels: true, labels: {release: prometheus}, relabelings: [{action: labeldrop, regex: pod}], metricRelabelings: [{action: drop, regex: le}]}
networkPolicy:
  enabled: true
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  egressPorts: [443]
  extraEgress: [{ports: [{protocol: TCP, port: 3128}]}]
extraObjects:
  - {apiVersion: v1, kind: LimitRange, metadata: {name: '{{ .Release.Name }}', labels: {team: stores}}, spec: {limits: []}}
"#;

/// The container of the operator.
fn container(objects: &[Value]) -> &Value {
    the(objects, "Deployment").pointer("/spec/template/spec/containers/0").expect("a container")
}

fn args(objects: &[Value]) -> Vec<&str> {
    container(objects)["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn no_values_render_a_wildcard_or_a_watch_of_secrets_that_nobody_asked_for() {
    for (name, values) in CASES {
        let objects = rendered("tradewind", values).await;
        let rights = rights(&objects);
        let wild = |right: &&Right| [&right.group, &right.resource, &right.verb].iter().any(|word| word.contains('*'));
        assert!(rights.iter().find(wild).is_none(), "{name}: {rights:?}");
        let secrets: Vec<_> = rights.iter().filter(|r| r.resource == "secrets").map(|r| r.verb.as_str()).collect();
        let expected: &[&str] = match (args(&objects).contains(&"--watch-secrets"), rights.is_empty()) {
            (_, true) => &[],
            (false, _) => &["create", "get", "patch"],
            (true, _) => &["create", "get", "list", "patch", "watch"],
        };
        assert_eq!(secrets, expected, "{name}");
    }
}

#[tokio::test]
async fn one_namespace_takes_no_right_beyond_it() {
    let objects = rendered("tradewind", "").await;
    let cluster_wide = objects.iter().filter(|object| object.pointer("/metadata/namespace").is_none());
    assert!(cluster_wide.clone().all(|object| text(object, "/kind") == "CustomResourceDefinition"));
    assert_eq!(cluster_wide.count(), manifests::crds().len(), "the CRDs, which have no namespace, and nothing else");

    let elsewhere = rendered("tradewind", "namespace: shop").await;
    let place = |role: &Value| (text(role, "/metadata/name").to_owned(), text(role, "/metadata/namespace").to_owned());
    for kind in ["Role", "RoleBinding"] {
        let places: Vec<_> = of_kind(&elsewhere, kind).into_iter().map(place).collect();
        let expected = [("tradewind", "shop"), ("tradewind-leader-election", "tradewind")];
        assert_eq!(places, expected.map(|(name, namespace)| (name.to_owned(), namespace.to_owned())), "{kind}");
    }
    for binding in of_kind(&elsewhere, "RoleBinding") {
        assert_eq!(
            binding["subjects"][0],
            json!({"kind": "ServiceAccount", "name": "tradewind", "namespace": "tradewind"})
        );
    }
    assert!(args(&elsewhere).contains(&"--namespace=shop"));
}

#[tokio::test]
async fn the_whole_cluster_has_the_same_rights_everywhere_and_those_of_shared_accounts() {
    let (one, all) = (rendered("tradewind", "").await, rendered("tradewind", "scope: Cluster").await);
    let of_objects = |role: &&Value| text(role, "/metadata/name") == "tradewind";
    let role = |objects: &[Value], kind: &str| rights(of_kind(objects, kind).into_iter().filter(of_objects));
    let (mut everywhere, here) = (role(&all, "ClusterRole"), role(&one, "Role"));
    assert!(everywhere.is_superset(&here));
    everywhere.retain(|right| !here.contains(right));
    let more: Vec<_> = everywhere.iter().map(|right| format!("{} {}", right.verb, right.resource)).collect();
    let accounts = ["get", "list", "patch", "watch"].map(|verb| format!("{verb} clusterprovideraccounts"));
    let others = ["list namespaces", "watch namespaces", "patch clusterprovideraccounts/status"].map(str::to_owned);
    assert_eq!(more.iter().collect::<BTreeSet<_>>(), accounts.iter().chain(&others).collect());
    let lease = the(&all, "Role");
    assert_eq!(rights([lease]).into_iter().map(|right| right.resource).collect::<Vec<_>>(), ["leases"; 3]);
    assert_eq!(text(lease, "/metadata/namespace"), "tradewind");
    assert!(!args(&all).iter().any(|arg| arg.starts_with("--namespace")));
    let aggregated: Vec<_> = of_kind(&all, "ClusterRole").iter().map(|role| text(role, "/metadata/name")).collect();
    assert_eq!(aggregated, ["tradewind-view", "tradewind-edit", "tradewind"].map(str::to_owned));
    // What the operator says of objects nobody else says.
    let people = rights(of_kind(&all, "ClusterRole").into_iter().filter(|role| !of_objects(role)));
    assert!(people.len() > 5 && !people.iter().any(|right| right.resource.contains("status")));
    // Whoever changes a shared account decides who uses its login.
    let shared = people.iter().filter(|right| right.resource == "clusterprovideraccounts");
    assert_eq!(shared.map(|right| right.verb.as_str()).collect::<Vec<_>>(), ["get", "list", "watch"]);
}

#[tokio::test]
async fn every_value_has_the_effect_that_it_promises() {
    let objects = rendered("tradewind", EVERYTHING).await;
    let expected = [
        "run",
        "--namespace=shop",
        "--leader-elect",
        "--lease-namespace=$(POD_NAMESPACE)",
        "--lease-name=tradewind-shop",
        "--identity=$(POD_NAME)",
        "--log-format=text",
        "--log=info,tradewind=debug",
        "--watch-secrets",
        "--allow-endpoint=https://one.example.com",
        "--allow-endpoint=https://two.example.com",
        "--concurrency=32",
        "--call-timeout=10s",
        "--list-lag=20s",
        "--permit-life=15s",
        "--poll=5s",
        "--probe-interval=1m",
        "--shutdown-grace=12s",
        "--ca-bundle=/etc/tradewind/ca/ca.crt",
        "--context=test",
    ];
    assert_eq!(args(&objects), expected);
    let variables: Vec<_> = container(&objects)["env"].as_array().expect("variables").iter().skip(2).cloned().collect();
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    assert_eq!(
        variables,
        [
            variable("HTTPS_PROXY", "http://proxy.example.com:3128"),
            variable("HTTP_PROXY", "http://proxy.example.com:3129"),
            variable("NO_PROXY", "10.0.0.0/8,.example.com"),
            variable("SSL_CERT_DIR", "/certs"),
        ]
    );
    let digest =
        "registry.example.com/mirror/tradewind@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    assert_eq!(container(&objects)["image"], digest);
    let deployment = the(&objects, "Deployment");
    let pod = &deployment["spec"]["template"];
    assert_eq!((text(deployment, "/metadata/name"), &deployment["spec"]["replicas"]), ("trade", &json!(3)));
    assert_eq!(deployment["metadata"]["annotations"], json!({"reloader.stakater.com/auto": "true"}));
    assert_eq!(pod["metadata"]["labels"]["example.com/net"], "egress");
    assert_eq!(pod["metadata"]["annotations"]["example.com/scrape"], "true");
    let spec = &pod["spec"];
    assert_eq!(spec["volumes"][0], json!({"name": "ca-bundle", "configMap": {"name": "company-ca"}}));
    assert_eq!(spec["volumes"][1]["name"], "token");
    assert_eq!(spec["containers"][0]["volumeMounts"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&spec["serviceAccountName"], &spec["automountServiceAccountToken"]),
        (&json!("operator"), &json!(false))
    );
    assert_eq!(
        (&spec["nodeSelector"], &spec["priorityClassName"]),
        (&json!({"kubernetes.io/os": "linux"}), &json!("system-cluster-critical"))
    );
    assert!(spec["tolerations"].is_array() && spec["affinity"].is_object() && spec["imagePullSecrets"].is_array());
    assert_eq!(spec["terminationGracePeriodSeconds"], 60);
    assert_eq!(spec["containers"][0]["resources"]["limits"]["memory"], "1Gi");
    let user = &spec["securityContext"];
    assert_eq!((user.get("runAsUser"), &user["runAsGroup"], &user["fsGroup"]), (None, &json!(65532), &json!(2000)));
    let limits = &spec["containers"][0]["securityContext"];
    assert_eq!((&limits["privileged"], &limits["readOnlyRootFilesystem"]), (&json!(false), &json!(true)));
    for crd in of_kind(&objects, "CustomResourceDefinition") {
        assert_eq!(text(crd, "/metadata/annotations/example.com~1owner"), "platform");
    }
    let selector = deployment["spec"]["selector"].clone();
    assert_eq!(spec["topologySpreadConstraints"][0]["labelSelector"], selector);
    let budget = the(&objects, "PodDisruptionBudget");
    assert_eq!((&budget["spec"]["maxUnavailable"], &budget["spec"]["selector"]), (&json!("50%"), &selector));
    let policy = &the(&objects, "NetworkPolicy")["spec"];
    assert_eq!(policy["podSelector"], selector);
    assert_eq!(policy["ingress"][0]["ports"], json!([{"protocol": "TCP", "port": "http"}]));
    let ports: Vec<_> =
        policy["egress"].as_array().expect("rules").iter().map(|rule| rule["ports"][0]["port"].clone()).collect();
    assert_eq!(ports, [53, 443, 3128]);
    let service = the(&objects, "Service");
    assert_eq!(
        (&service["spec"]["selector"], &service["spec"]["ports"][0]["port"]),
        (&selector["matchLabels"], &json!(9090))
    );
    let monitor = the(&objects, "ServiceMonitor");
    assert_eq!((&monitor["spec"]["selector"], text(monitor, "/metadata/labels/release")), (&selector, "prometheus"));
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!((text(endpoint, "/port"), text(endpoint, "/interval")), ("http", "30s"));
    for object in &objects {
        assert_eq!(text(object, "/metadata/labels/team"), "stores", "{}", text(object, "/kind"));
    }
}

/// A key that is rendered twice is refused by whoever reads the YAML here.
#[tokio::test]
async fn labels_and_annotations_of_the_values_take_the_place_of_the_charts() {
    let values = r#"
commonLabels: {app.kubernetes.io/part-of: shop, release: common}
podLabels: {app.kubernetes.io/part-of: pods}
podAnnotations: {kubectl.kubernetes.io/default-container: sidecar}
metrics:
  serviceMonitor: {enabled: true, labels: {release: monitor}}
  prometheusRule: {enabled: true, labels: {release: rules}}
  dashboard: {enabled: true, labels: {grafana_dashboard: "2"}}
"#;
    let objects = rendered("tradewind", values).await;
    for object in &objects {
        let kind = text(object, "/kind");
        assert_eq!(text(object, "/metadata/labels/app.kubernetes.io~1part-of"), "shop", "{kind}");
        let release = match kind {
            "ServiceMonitor" => "monitor",
            "PrometheusRule" => "rules",
            _ => "common",
        };
        assert_eq!(text(object, "/metadata/labels/release"), release, "{kind}");
    }
    assert_eq!(text(the(&objects, "ConfigMap"), "/metadata/labels/grafana_dashboard"), "2");
    let pod = &the(&objects, "Deployment")["spec"]["template"]["metadata"];
    assert_eq!(text(pod, "/labels/app.kubernetes.io~1part-of"), "pods");
    assert_eq!(text(pod, "/annotations/kubectl.kubernetes.io~1default-container"), "sidecar");
}

/// Helm takes names of releases of at most 53 characters, Kubernetes those of Services of at most 63.
#[rstest]
#[case::of_a_long_release(53, "nameOverride", 9)]
#[case::of_a_long_chart(9, "nameOverride", 63)]
#[case::of_a_long_name(9, "fullnameOverride", 55)]
#[tokio::test]
async fn the_name_of_the_service_fits(#[case] release: usize, #[case] value: &str, #[case] length: usize) {
    let values = format!("{value}: {}", "n".repeat(length));
    let said = helm(&["template", &"r".repeat(release), CHART, "--values", "-"], &values).await;
    assert!(said.ok, "{said:?}");
    let objects = objects(&said.out);
    let (name, service) = (text(the(&objects, "Deployment"), "/metadata/name"), the(&objects, "Service"));
    assert_eq!(text(service, "/metadata/name"), format!("{name}-metrics"));
    assert_eq!(text(service, "/metadata/name").len(), 63, "nothing is cut off without need");
}

/// A key more would be another selector, and none at all selects every pod.
#[tokio::test]
async fn the_selector_of_a_constraint_is_its_own_and_that_of_the_pods_where_it_has_none() {
    let own = [json!({"matchLabels": {"app": "shop"}}), json!({})];
    let zone =
        json!({"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"});
    let mut constraints = vec![zone.clone(); 3];
    for (constraint, selector) in constraints.iter_mut().zip(&own) {
        constraint["labelSelector"] = selector.clone();
    }
    let objects = rendered("tradewind", &json!({"topologySpreadConstraints": constraints}).to_string()).await;
    let deployment = &the(&objects, "Deployment")["spec"];
    constraints[2]["labelSelector"] = deployment["selector"].clone();
    assert_eq!(deployment["template"]["spec"]["topologySpreadConstraints"], json!(constraints));
}

/// Two releases of one namespace: those that watch the same namespace wait for each other, others do not.
#[rstest]
#[case::its_own("", None)]
#[case::its_own_by_name("namespace: tradewind", None)]
#[case::the_whole_cluster("scope: Cluster", None)]
#[case::another_one("namespace: shop", Some("--lease-name=tradewind-shop"))]
#[case::another_one_without_a_lease("{namespace: shop, leaderElection: {enabled: false}}", None)]
#[tokio::test]
async fn the_lease_is_named_after_another_namespace_that_is_watched(
    #[case] values: &str,
    #[case] expected: Option<&str>,
) {
    let objects = rendered("tradewind", values).await;
    let named: Vec<_> = args(&objects).into_iter().filter(|arg| arg.starts_with("--lease-name=")).collect();
    assert_eq!(named, Vec::from_iter(expected));
    // Whichever it is, the Role has that one and no other; a create cannot be held to a name.
    let leases = rights(&objects).into_iter().filter(|right| right.resource == "leases");
    let leases: Vec<_> = leases.map(|right| (right.verb, right.name)).collect();
    let name = expected.map_or("tradewind", |arg| arg.trim_start_matches("--lease-name="));
    let granted = [("create", ""), ("get", name), ("update", name)].map(|(v, n)| (v.to_owned(), n.to_owned()));
    let elects = args(&objects).contains(&"--leader-elect");
    assert_eq!(leases, if elects { granted.to_vec() } else { vec![] });
}

#[tokio::test]
async fn without_a_lease_an_update_stops_the_old_pod_first() {
    let objects = rendered("tradewind", "leaderElection: {enabled: false}").await;
    assert_eq!(the(&objects, "Deployment")["spec"]["strategy"], json!({"type": "Recreate"}));
    assert!(rights(&objects).iter().all(|right| right.resource != "leases"));
    assert!(!args(&objects).contains(&"--leader-elect"));
    // Both are spelled out: what the API server fills in by itself, an apply of the other type does not take away.
    let with = rendered("tradewind", "").await;
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
    assert_eq!(the(&with, "Deployment")["spec"]["strategy"], rolling);
}

#[rstest]
#[case::one("", false)]
#[case::several("replicas: 2", true)]
#[case::one_that_wants_it("podDisruptionBudget: {enabled: true}", true)]
#[case::several_that_do_not("{replicas: 2, podDisruptionBudget: {enabled: false}}", false)]
#[tokio::test]
async fn several_replicas_have_a_disruption_budget(#[case] values: &str, #[case] has: bool) {
    assert_eq!(!of_kind(&rendered("tradewind", values).await, "PodDisruptionBudget").is_empty(), has);
}

#[rstest]
#[case::a_misspelt_value("replica: 2", "replica")]
#[case::a_misspelt_value_further_down("image: {repositry: a}", "repositry")]
#[case::deep_down("metrics: {serviceMonitor: {enable: true}}", "enable")]
#[case::another_scope("scope: namespace", "/scope")]
#[case::no_duration("timing: {poll: soon}", "/timing/poll")]
#[case::a_duration_that_the_program_does_not_read("timing: {listLag: 1s1m}", "/timing/listLag")]
#[case::no_time_for_a_call("timing: {callTimeout: 0s}", "/timing/callTimeout")]
#[case::no_time_for_a_permit("timing: {permitLife: 0m0s}", "/timing/permitLife")]
#[case::no_pause_between_looks("timing: {poll: 0s}", "/timing/poll")]
#[case::no_pause_between_probes("timing: {probeInterval: 00h}", "/timing/probeInterval")]
#[case::an_endpoint_with_a_path("allowEndpoints: [\"https://proxy.example.com/rutter\"]", "/allowEndpoints/0")]
#[case::an_address_in_brackets(
    "allowEndpoints: [\"https://proxy.example.com\", \"http://[::1]:8080\"]",
    "/allowEndpoints/1"
)]
#[case::a_word_that_is_no_level("log: {level: warning}", "/log/level")]
#[case::no_number("replicas: '2'", "/replicas")]
#[case::no_number_of_pods("podDisruptionBudget: {maxUnavailable: half}", "/podDisruptionBudget/maxUnavailable")]
#[case::fewer_than_no_pods("podDisruptionBudget: {minAvailable: -1}", "/podDisruptionBudget/minAvailable")]
#[case::another_probe("livenessProbe: {httpGet: {path: /}}", "/livenessProbe")]
#[case::another_way_to_names("dnsPolicy: Cluster", "/dnsPolicy")]
#[case::a_tag_as_digest("image: {digest: v1}", "/image/digest")]
#[case::a_scope_with_a_namespace("{scope: Cluster, namespace: shop}", "namespace is only for scope Namespaced")]
#[case::two_without_a_lease(
    "{replicas: 2, leaderElection: {enabled: false}}",
    "replicas above 1 need leaderElection.enabled"
)]
#[case::two_bundles("caBundle: {configMapName: a, secretName: b}", "not both")]
#[case::a_name_too_long_for_the_service(
    "fullnameOverride: a-name-of-fifty-six-characters-to-which-metrics-is-added",
    "/fullnameOverride"
)]
#[case::a_label_of_the_selector("commonLabels: {app.kubernetes.io/component: shop}", "finds its pods by it")]
#[case::another_one("commonLabels: {app.kubernetes.io/instance: shop}", "commonLabels must not have")]
#[case::a_label_of_the_selector_at_the_pods("podLabels: {app.kubernetes.io/name: shop}", "podLabels must not have")]
#[case::nobodys_account("serviceAccount: {create: false}", "serviceAccount.name must name")]
#[case::a_monitor_of_nothing(
    "metrics: {service: {enabled: false}, serviceMonitor: {enabled: true}}",
    "set metrics.service.enabled"
)]
#[tokio::test]
async fn values_that_cannot_be_meant_are_refused(#[case] values: &str, #[case] why: &str) {
    let said = template("tradewind", values).await;
    assert!(!said.ok && said.err.contains(why), "{said:?}");
}

#[rstest]
#[case::nothing("", None)]
#[case::a_level("WARN", Some("--log=WARN"))]
#[case::a_level_by_its_number("3", Some("--log=3"))]
#[case::a_level_with_an_exception("info,tradewind=debug", Some("--log=info,tradewind=debug"))]
#[case::a_target_with_its_level("warning=warn", Some("--log=warning=warn"))]
#[case::a_target("tradewind::engine", Some("--log=tradewind::engine"))]
#[tokio::test]
async fn a_filter_that_can_be_meant_is_passed_on(#[case] level: &str, #[case] expected: Option<&str>) {
    let objects = rendered("tradewind", &json!({"log": {"level": level}}).to_string()).await;
    let filters: Vec<_> = args(&objects).into_iter().filter(|arg| arg.starts_with("--log=")).collect();
    assert_eq!(filters, Vec::from_iter(expected));
}

/// With an endpoint that the chart takes and the program refuses, no pod would start.
#[tokio::test]
async fn the_chart_takes_the_endpoints_that_the_program_takes() {
    let schema = std::fs::read_to_string(Path::new(CHART).join("values.schema.json")).expect("a file of the chart");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let pattern = Regex::new(text(&schema, "/definitions/endpoint/pattern")).expect("a regular expression");
    let taken = [
        "https://proxy.example.com",
        "https://Proxy.example.com/",
        "http://127.0.0.1:8080",
        "http://proxy:8080/",
        "https://*.example.com",
        "https://**.example.com:8443",
        "http://localhost:*",
        "https://proxy.example.com:65535",
    ];
    let refused = [
        "",
        "proxy.example.com",
        "https://",
        "https:///",
        "HTTPS://proxy.example.com",
        "ftp://proxy.example.com",
        "https://proxy.example.com/rutter",
        "https://proxy.example.com//",
        "https://proxy.example.com?a=b",
        "https://user@proxy.example.com",
        "https://proxy_one.example.com",
        "https://proxy.example.com,https://other.example.com",
        "https://proxy.example.com ",
        "https://*",
        "https://a*.example.com",
        "https://a.*.example.com",
        "https://***.example.com",
        "https://*.*.example.com",
        "https://proxy.example.com:",
        "https://proxy.example.com:https",
        "https://proxy.example.com:80*",
        "https://proxy.example.com:65536",
        "https://proxy.example.com:99999",
        "https://proxy.example.com:1:2",
        "http://[::1]",
        "http://[::1]:8080",
    ];
    for (entry, is_taken) in taken.map(|entry| (entry, true)).into_iter().chain(refused.map(|entry| (entry, false))) {
        assert_eq!(AllowList::new(&[entry.to_owned()]).is_ok(), is_taken, "the program: {entry:?}");
        assert_eq!(pattern.is_match(entry), is_taken, "the schema: {entry:?}");
    }
    let objects = rendered("tradewind", &json!({"allowEndpoints": taken}).to_string()).await;
    let passed: Vec<_> = args(&objects).into_iter().filter_map(|arg| arg.strip_prefix("--allow-endpoint=")).collect();
    assert_eq!(passed, taken);
}

/// Each by itself, as the page says it to Helm.
#[tokio::test]
async fn the_chart_takes_every_value_that_the_page_sets() {
    let page = read("install.md");
    let set = Regex::new("--set ('([^']+)'|[^\\s`]+)").expect("a regular expression");
    let mut named = BTreeSet::new();
    for found in set.captures_iter(&page) {
        let value = found.get(2).or(found.get(1)).expect("a value").as_str();
        let said = helm(&["template", "tradewind", CHART, "--set", value], "").await;
        assert!(said.ok && said.err.is_empty(), "{value}: {said:?}");
        named.insert(value);
    }
    assert!(named.contains(r"nodeSelector.kubernetes\.io/arch=amd64") && named.len() > 8, "{named:?}");
}

/// Every value is in the schema, and the schema has nothing else: but for what Helm itself puts there.
#[test]
fn the_schema_knows_every_value_and_no_other() {
    let read = |name: &str| std::fs::read_to_string(Path::new(CHART).join(name)).expect("a file of the chart");
    let values: Value = serde_yaml::from_str(&read("values.yaml")).expect("YAML");
    let schema: Value = serde_json::from_str(&read("values.schema.json")).expect("JSON");
    same(&values, &schema, "", &["global", "enabled"]);
}

fn same(values: &Value, schema: &Value, path: &str, more: &[&str]) {
    let Some(known) = schema.get("properties").and_then(Value::as_object) else { return };
    assert_eq!(schema["additionalProperties"], false, "{path}");
    let values = values.as_object().unwrap_or_else(|| panic!("{path} is no object in values.yaml"));
    for name in values.keys() {
        assert!(known.contains_key(name), "{path}/{name} is not in the schema");
    }
    for (name, schema) in known {
        match values.get(name) {
            Some(value) => same(value, schema, &format!("{path}/{name}"), &[]),
            None => assert!(more.contains(&name.as_str()), "{path}/{name} is not in values.yaml"),
        }
    }
}

/// Program, chart, image and kustomize base are one release.
#[test]
fn the_version_is_the_same_everywhere() {
    let read = |name: &str| -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        serde_yaml::from_str(&std::fs::read_to_string(path).expect("a file")).expect("YAML")
    };
    let (chart, base) = (read("charts/tradewind/Chart.yaml"), read("config/kustomization.yaml"));
    let versions = [&chart["version"], &chart["appVersion"], &base["images"][0]["newTag"]];
    assert_eq!(versions, [env!("CARGO_PKG_VERSION"); 3]);
}

#[tokio::test]
async fn helm_finds_nothing_to_say_about_the_chart() {
    let said = helm(&["lint", CHART, "--strict"], "").await;
    assert!(said.ok && said.out.contains("0 chart(s) failed"), "{said:?}");
    assert!(!said.out.contains("[WARNING]") && !said.out.contains("[ERROR]"), "{}", said.out);
}

#[tokio::test]
async fn the_crds_are_those_of_the_types_and_stay() {
    let kept = |options: &str| json!({"helm.sh/resource-policy": "keep", "kustomize.toolkit.fluxcd.io/prune": "disabled", "argocd.argoproj.io/sync-options": options});
    let own = json!({"argocd.argoproj.io/sync-options": "ServerSideApply=true"});
    for (values, annotations) in [
        (json!({}), kept("Prune=false,Delete=false")),
        (json!({"annotations": own}), kept("Prune=false,Delete=false,ServerSideApply=true")),
        (json!({"keep": false, "annotations": own}), own.clone()),
        (json!({"keep": false}), Value::Null),
    ] {
        let values = &json!({"crds": values}).to_string();
        let objects = rendered("tradewind", values).await;
        let crds = of_kind(&objects, "CustomResourceDefinition");
        let generated = manifests::crds();
        assert_eq!(crds.len(), generated.len());
        for crd in generated {
            let mut found = (*crds.iter().find(|c| text(c, "/spec/names/kind") == crd.kind()).expect("a CRD")).clone();
            assert_eq!(found["metadata"]["annotations"], annotations);
            let metadata = found["metadata"].as_object_mut().expect("metadata");
            metadata.retain(|key, _| key != "annotations" && key != "labels");
            assert!(found == crd.manifest, "the chart's {} is not what src/api says", crd.kind());
        }
    }
    assert!(of_kind(&rendered("tradewind", "crds: {enabled: false}").await, "CustomResourceDefinition").is_empty());
}

/// What Prometheus and Grafana read is not Helm's to interpret: both have braces of their own. But a leader of another namespace is not
/// this release's.
#[tokio::test]
async fn rules_and_dashboard_are_passed_on_as_they_are() {
    let file =
        |name: &str| std::fs::read_to_string(Path::new(CHART).join("files").join(name)).expect("a file of the chart");
    let (rules, dashboard) = (file("rules.yaml"), file("dashboard.json"));
    let values = "metrics: {prometheusRule: {enabled: true, labels: {release: prometheus}}, dashboard: {enabled: true, annotations: {folder: stores}}}";
    let all = rendered("tradewind", values).await;
    let rule = the(&all, "PrometheusRule");
    let anywhere = "expr: absent(tradewind_leader == 1)\n";
    let here = "expr: absent(tradewind_leader{namespace=\"tradewind\"} == 1)\n";
    assert_eq!(rules.matches(anywhere).count(), 1);
    assert_eq!(rule["spec"], serde_yaml::from_str::<Value>(&rules.replace(anywhere, here)).expect("YAML"));
    assert_eq!(text(rule, "/metadata/labels/release"), "prometheus");
    let map = the(&all, "ConfigMap");
    assert_eq!(map["data"]["tradewind.json"], dashboard);
    assert_eq!(text(map, "/metadata/labels/grafana_dashboard"), "1");
    assert_eq!(text(map, "/metadata/annotations/folder"), "stores");
}

/// Copies a folder over another one.
pub(super) fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("a file");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Two ways to install, one operator: what `config/` says is what the chart says by default.
#[tokio::test]
async fn kustomize_and_helm_install_the_same_operator() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let output = control_plane().await.kubectl().args(["kustomize", config]).output().await.expect("kubectl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let base = objects(&String::from_utf8(output.stdout).expect("text"));
    let chart = rendered("tradewind", "").await;
    assert_eq!(rights(&base), rights(&chart));
    let pod = |objects: &[Value]| the(objects, "Deployment").pointer("/spec/template/spec").expect("a pod").clone();
    assert_eq!(pod(&base), pod(&chart));
    let account = |objects: &[Value]| the(objects, "ServiceAccount")["automountServiceAccountToken"].clone();
    assert_eq!(account(&base), account(&chart));
}
