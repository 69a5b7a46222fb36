//! A release on a real control plane: installed under Pod Security "restricted", upgraded, removed, and installed again.
//!
//! No controller makes pods of Deployments here and no kubelet runs them. So the operator runs beside the control plane: as the program
//! that the image holds, with the arguments of the rendered Deployment and a token of the rendered service account.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tradewind::api::v1alpha1::Connection;
use tradewind_cluster::Tool;
use tradewind_simulator::Clock;

use super::pods::restrict;
use super::render::copy;
use super::rights::until_may;
use super::{CHART, Right, call, objects, rights, text, the};
use crate::cluster::{HANG, Said, Sandbox, control_plane_without_crds};
use crate::process::Program;
use crate::world::{World, connection, id_of, store};

/// Short times, the provider's address, and what the tests' cluster is like.
pub(super) fn values(world: &World) -> String {
    let origin = world.endpoint.trim_end_matches("/versioned");
    format!("{{timing: {{callTimeout: 3s, permitLife: 2s, listLag: 1s, poll: 1s}}, allowEndpoints: [{origin}]}}")
}

/// Runs a Helm in the namespace of a sandbox, as its administrator.
pub(super) async fn helm_in(helm: Tool, sandbox: &Sandbox, args: &[&str], values: &str) -> Said {
    let kubeconfig = sandbox.cluster().kubeconfig().to_str().expect("a path");
    call(helm, &[args, &["--namespace", sandbox.namespace(), "--kubeconfig", kubeconfig]].concat(), values).await
}

/// The same; it must succeed and warn of nothing.
pub(super) async fn release_by(helm: Tool, sandbox: &Sandbox, args: &[&str], values: &str) -> String {
    let said = helm_in(helm, sandbox, args, values).await;
    assert!(said.ok && said.err.is_empty(), "{helm:?} {args:?}: {said:?}");
    said.out
}

/// The same by today's Helm.
pub(super) async fn release(sandbox: &Sandbox, args: &[&str], values: &str) -> String {
    release_by(Tool::Helm, sandbox, args, values).await
}

/// Waits until the API server serves the kinds of the CRDs.
pub(super) async fn established(sandbox: &Sandbox) {
    let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
    assert!(sandbox.kubectl(&established).await.ok);
}

/// What the notes say to look with, as it stands there; it shows this object.
async fn looks(sandbox: &Sandbox, notes: &str, name: &str) {
    let mut lines = notes.lines().filter_map(|line| line.trim().strip_prefix("kubectl "));
    let line = lines
        .find(|line| line.contains("get provideraccounts"))
        .unwrap_or_else(|| panic!("nothing to look with: {notes}"));
    let said = sandbox.kubectl(&line.split(' ').collect::<Vec<_>>()).await;
    assert!(said.ok && said.out.contains(&format!("/{name}")), "{line}: {said:?}");
}

/// Creates objects from JSON; what kubectl said on standard error is the API server's warnings.
async fn create(sandbox: &Sandbox, object: &Value) -> Result<String, String> {
    let said = sandbox.kubectl_with(&["create", "--filename=-"], &object.to_string()).await;
    if said.ok { Ok(said.err) } else { Err(said.err) }
}

/// What the Deployment of the release makes pods of.
pub(super) fn pod(deployment: &Value, name: &str) -> Value {
    let template = &deployment["spec"]["template"];
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": template["metadata"]["labels"]}, "spec": template["spec"]})
}

/// The arguments that the operator gets from a Deployment in a pod of this name, as the kubelet would fill them in.
pub(super) fn arguments(deployment: &Value, pod: &str) -> Vec<String> {
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let namespace = text(deployment, "/metadata/namespace");
    let known = |variable: &Value| match text(variable, "/valueFrom/fieldRef/fieldPath") {
        "metadata.namespace" => namespace.to_owned(),
        "metadata.name" => pod.to_owned(),
        _ => text(variable, "/value").to_owned(),
    };
    let variables = container["env"].as_array().expect("variables");
    let filled = |arg: &Value| {
        variables.iter().fold(arg.as_str().expect("an argument").to_owned(), |arg, variable| {
            arg.replace(&format!("$({})", text(variable, "/name")), &known(variable))
        })
    };
    container["args"].as_array().expect("arguments").iter().map(filled).collect()
}

/// The operator of a release, run as its Deployment says.
pub(super) async fn operator(sandbox: &Sandbox, release: &str) -> Program {
    let manifest = self::release(sandbox, &["get", "manifest", release], "").await;
    let objects = objects(&manifest);
    let account = text(the(&objects, "Deployment"), "/spec/template/spec/serviceAccountName");
    let kubeconfig = sandbox.cluster().service_account_kubeconfig(sandbox.namespace(), account).await.expect("a token");
    Program::run(&kubeconfig, arguments(the(&objects, "Deployment"), "tradewind-0"))
}

/// The operator of the release in this sandbox takes the object of the world up again.
pub(super) async fn works(sandbox: &Sandbox, release: &str, world: &World) {
    let program = operator(sandbox, release).await;
    world.reconciled("acme").await;
    program.terminate().await;
}

/// A field of a CRD that objects need not have.
const FIELD: &str = "              suspend:
                default: false
                description: Stops all writes at the provider, except for deletion.
                type: boolean
";

/// There is no earlier release of this chart, so one is made up from it: of another version, without a field of a CRD, a verb of a Role and
/// an argument of the container. The program is the same one, and does without them.
pub(super) fn chart_of_before() -> PathBuf {
    let chart = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it/chart-of-before");
    copy(Path::new(CHART), &chart);
    let version = concat!("\nversion: ", env!("CARGO_PKG_VERSION"), "\n");
    let may = "resources: [events]\n    verbs: [create, patch]\n";
    for (file, now, before) in [
        ("Chart.yaml", version, "\nversion: 0.0.9\n"),
        ("files/crds/tradewind.dev_connections.yaml", FIELD, ""),
        ("templates/rbac.yaml", may, "resources: [events]\n    verbs: [create]\n"),
        ("templates/_helpers.tpl", "- --log-format={{ .Values.log.format }}\n", ""),
    ] {
        let path = chart.join(file);
        let text = std::fs::read_to_string(&path).expect("a file of the chart");
        assert_eq!(text.matches(now).count(), 1, "{file} has this once: {now}");
        std::fs::write(path, text.replace(now, before)).expect("a copy to write");
    }
    chart
}

/// An object as the cluster has it.
async fn live(sandbox: &Sandbox, object: &str) -> Value {
    let said = sandbox.kubectl(&["get", object, "--output=json"]).await;
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{object}: {error}: {said:?}"))
}

/// Whether the cluster has what [`chart_of_before`] lacks: the field, the verb, the argument.
pub(super) async fn brought(sandbox: &Sandbox) -> [bool; 3] {
    let crd = live(sandbox, "crd/connections.tradewind.dev").await;
    let role = live(sandbox, "role/op-tradewind").await;
    let deployment = live(sandbox, "deployment/op-tradewind").await;
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/suspend";
    let [group, resource, name, verb] = ["events.k8s.io", "events", "", "patch"].map(str::to_owned);
    [
        crd.pointer(field).is_some(),
        rights([&role]).contains(&Right { group, resource, name, verb }),
        arguments(&deployment, "tradewind-0").iter().any(|argument| argument.starts_with("--log-format=")),
    ]
}

/// Whether the API server keeps the field of an object that somebody sets.
async fn keeps_the_field(world: &World) -> bool {
    world.change("acme", &json!({"spec": {"suspend": true}})).await.spec.suspend
}

/// The release under Pod Security "restricted": it is taken without a warning, and so is its pod; a looser pod is not.
async fn is_taken_under_restricted(sandbox: &Sandbox) {
    let manifest = release(sandbox, &["get", "manifest", "op"], "").await;
    // Helm keeps some of the API server's warnings to itself; kubectl says them all.
    let again = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename=-"];
    let said = sandbox.kubectl_with(&again, &manifest).await;
    assert!(said.ok && said.err.is_empty(), "{said:?}");
    let manifest = objects(&manifest);
    let deployment = the(&manifest, "Deployment");
    assert_eq!(create(sandbox, &pod(deployment, "as-rendered")).await, Ok(String::new()), "admitted without a warning");
    let mut loose = pod(deployment, "loose");
    loose["spec"]["containers"][0]["securityContext"] = json!({"allowPrivilegeEscalation": true});
    let refused = create(sandbox, &loose).await;
    assert!(refused.as_ref().is_err_and(|why| why.contains("violates PodSecurity")), "{refused:?}");
}

#[tokio::test]
async fn a_release_is_installed_upgraded_and_removed_and_no_connection_is_harmed() {
    let cluster = control_plane_without_crds().await;
    let world = World::on(Sandbox::on(Arc::clone(&cluster), "install").await, Clock::real(), World::setup());
    let (sandbox, values) = (&world.sandbox, values(&world));
    restrict(sandbox).await;
    let earlier = chart_of_before();
    let earlier = earlier.to_str().expect("a path");
    let notes = release(sandbox, &["install", "op", earlier, "--values", "-"], &values).await;
    assert!(notes.contains(&format!("watches namespace {}", sandbox.namespace())), "{notes}");
    established(sandbox).await;
    is_taken_under_restricted(sandbox).await;
    assert_eq!(brought(sandbox).await, [false; 3], "of before");

    let program = operator(sandbox, "op").await;
    world.furnish().await;
    sandbox.apply(&connection("acme", &store("install"), "")).await;
    let made = world.settled("acme").await;
    program.terminate().await;
    assert!(!keeps_the_field(&world).await, "its CRD does not have it");

    let notes = release(sandbox, &["upgrade", "op", CHART, "--values", "-"], &values).await;
    assert!(notes.contains("REVISION: 2"), "{notes}");
    assert_eq!(brought(sandbox).await, [true; 3], "of the upgrade");
    // The API server takes a new schema up by a watch of its own.
    let kept = async { while !keeps_the_field(&world).await {} };
    tokio::time::timeout(HANG, kept).await.expect("a field that is kept");
    world.change("acme", &json!({"spec": {"suspend": false}})).await;
    let program = operator(sandbox, "op").await;
    looks(sandbox, &notes, "acme").await;
    world.reconciled("acme").await;
    let upgraded = world.settled("acme").await;
    assert_eq!((&upgraded.metadata.uid, id_of(&upgraded)), (&made.metadata.uid, id_of(&made)));
    program.terminate().await;

    there_and_back(&world, earlier, &values).await;
    rests_and_works_again(&world).await;
    without_a_lease_and_with_one_again(&world, &values).await;
    let said = release(sandbox, &["uninstall", "op"], "").await;
    assert!(said.contains("connections.tradewind.dev"), "it says what it keeps: {said}");
    assert!(!sandbox.kubectl(&["get", "serviceaccount", "op-tradewind"]).await.ok, "all else is gone");
    let kept = sandbox.get::<Connection>("acme").await.expect("the CRD, and the object");
    assert_eq!((&kept.metadata.uid, kept.metadata.deletion_timestamp.is_some()), (&made.metadata.uid, false));
    release(sandbox, &["install", "op", CHART, "--values", "-"], &values).await;
    works(sandbox, "op", &world).await;
    release(sandbox, &["uninstall", "op"], "").await;
    assert_eq!(
        (world.simulator.stats().creates, world.simulator.stats().deletes),
        (1, 0),
        "all this cost nothing at the provider"
    );

    let home = Sandbox::on(cluster, "home").await;
    from_another_namespace(&home, &world, &values).await;
    let wide = format!("{}, scope: Cluster}}", values.trim_end_matches('}'));
    the_whole_cluster(&home, &world, &wide).await;
    the_crds_go_with_the_release(&home, &world, &wide).await;
}

/// Back to the release of before with its CRDs, back to its operator alone, and forward again.
async fn there_and_back(world: &World, earlier: &str, values: &str) {
    let sandbox = &world.sandbox;
    // As the page has it: with the values of the release, and what is set.
    let upgrade = |chart, set| ["upgrade", "op", chart, "--reset-then-reuse-values", "--set", set];
    for (args, values, expected) in [
        (&["rollback", "op"][..], "", [false; 3]),
        (&["upgrade", "op", CHART, "--values", "-"], values, [true; 3]),
        // The operator of before beside the CRDs of today.
        (&upgrade(earlier, "crds.enabled=false"), "", [true, false, false]),
        (&upgrade(CHART, "crds.enabled=true"), "", [true; 3]),
    ] {
        release(sandbox, args, values).await;
        assert_eq!(brought(sandbox).await, expected, "{args:?}");
        let arguments = arguments(&live(sandbox, "deployment/op-tradewind").await, "tradewind-0");
        assert!(arguments.iter().any(|argument| argument.starts_with("--allow-endpoint=")), "{args:?}: {arguments:?}");
        works(sandbox, "op", world).await;
    }
}

/// As a restore has it: none runs, and then as many as before. What others set with `kubectl scale` is set back, and what they write in
/// another way is refused, as the page has it.
async fn rests_and_works_again(world: &World) {
    let sandbox = &world.sandbox;
    let upgrade = |more: &[&'static str]| [&["upgrade", "op", CHART, "--reset-then-reuse-values"][..], more].concat();
    let replicas = async || live(sandbox, "deployment/op-tradewind").await["spec"]["replicas"].clone();
    for (more, expected) in
        [(&["--set", "replicas=2"][..], 2), (&["--set", "replicas=0"], 0), (&["--set", "replicas=2"], 2), (&[], 2)]
    {
        release(sandbox, &upgrade(more), "").await;
        assert_eq!(replicas().await, expected, "{more:?}");
    }
    assert!(sandbox.kubectl(&["scale", "deployment", "op-tradewind", "--replicas=0"]).await.ok);
    release(sandbox, &upgrade(&[]), "").await;
    assert_eq!(replicas().await, 2, "whoever rests it by hand finds it at work again");
    let patch = ["patch", "deployment", "op-tradewind", "--type=merge", "--patch", r#"{"spec":{"replicas":0}}"#];
    assert!(sandbox.kubectl(&patch).await.ok);
    let refused = helm_in(Tool::Helm, sandbox, &upgrade(&["--set", "replicas=1"]), "").await;
    assert!(!refused.ok && refused.err.contains(".spec.replicas"), "{refused:?}");
    release(sandbox, &upgrade(&["--set", "replicas=1", "--force-conflicts"]), "").await;
    assert_eq!(replicas().await, 1);
}

/// Helm applies on the server: what that fills in for one strategy must not stay beside the other.
async fn without_a_lease_and_with_one_again(world: &World, values: &str) {
    let sandbox = &world.sandbox;
    let without = format!("{}, leaderElection: {{enabled: false}}}}", values.trim_end_matches('}'));
    for (values, strategy) in [(without.as_str(), "Recreate"), (values, "RollingUpdate")] {
        release(sandbox, &["upgrade", "op", CHART, "--values", "-"], values).await;
        let said =
            sandbox.kubectl(&["get", "deployment", "op-tradewind", "--output=jsonpath={.spec.strategy.type}"]).await;
        assert_eq!(said.out, strategy, "{said:?}");
        works(sandbox, "op", world).await;
    }
}

/// The same objects under an operator in another namespace, whose Lease bears the name of what it watches. It leaves the CRDs to the release
/// that brought them, and then takes them over.
async fn from_another_namespace(home: &Sandbox, world: &World, values: &str) {
    let watched = world.sandbox.namespace();
    let near =
        |crds: bool| format!("{}, namespace: {watched}, crds: {{enabled: {crds}}}}}", values.trim_end_matches('}'));
    release(home, &["install", "near", CHART, "--values", "-"], &near(false)).await;
    release(home, &["upgrade", "near", CHART, "--values", "-", "--take-ownership"], &near(true)).await;
    assert_eq!(owner_of_the_crds(home).await, ["near", home.namespace()]);
    let program = operator(home, "near").await;
    world.reconciled("acme").await;
    let lease = format!("tradewind-{watched}");
    let said = home.kubectl(&["get", "lease", &lease, "--output=jsonpath={.spec.holderIdentity}"]).await;
    assert_eq!(said.out, "tradewind-0", "{said:?}");
    program.terminate().await;
    release(home, &["uninstall", "near"], "").await;
}

/// Name and namespace of the release that Helm takes the CRDs for.
async fn owner_of_the_crds(sandbox: &Sandbox) -> [String; 2] {
    let crd = live(sandbox, "crd/connections.tradewind.dev").await;
    ["name", "namespace"].map(|of| text(&crd, &format!("/metadata/annotations/meta.helm.sh~1release-{of}")).to_owned())
}

/// The same objects under an operator in a namespace of its own, with rights in all of them, of a release that takes over the CRDs that one of
/// another name and namespace left; and what people may do by the cluster's own roles.
async fn the_whole_cluster(home: &Sandbox, world: &World, wide: &str) {
    let install = ["install", "wide", CHART, "--values", "-"];
    let refused = helm_in(Tool::Helm, home, &install, wide).await;
    assert!(!refused.ok && refused.err.contains("invalid ownership metadata"), "{refused:?}");
    let notes = release(home, &[&install[..], &["--take-ownership"]].concat(), wide).await;
    looks(home, &notes, "acme").await;
    assert_eq!(owner_of_the_crds(home).await, ["wide", home.namespace()]);
    let program = operator(home, "wide").await;
    world.reconciled("acme").await;
    world.sandbox.apply(&connection("other", &store("install-wide"), "")).await;
    world.settled("other").await;
    program.terminate().await;

    for (role, verb, may) in [("view", "list", true), ("view", "delete", false), ("edit", "delete", true)] {
        let binding = format!("{role}-{verb}");
        let made = ["create", "rolebinding", &binding, &format!("--clusterrole={role}"), &format!("--user={binding}")];
        assert!(world.sandbox.kubectl(&made).await.ok);
        let [group, resource, name, verb] = ["tradewind.dev", "connections", "", verb].map(str::to_owned);
        until_may(&world.sandbox, &binding, &Right { group, resource, name, verb }, may).await;
    }
    shared_accounts_are_looked_at_by_a_cluster_role_binding(&world.sandbox).await;
}

/// The role `view` holds them, but no binding in a namespace grants anything outside of it.
async fn shared_accounts_are_looked_at_by_a_cluster_role_binding(sandbox: &Sandbox) {
    for (kind, may) in [("rolebinding", false), ("clusterrolebinding", true)] {
        let user = format!("looks-by-{kind}");
        assert!(sandbox.kubectl(&["create", kind, &user, "--clusterrole=view", &format!("--user={user}")]).await.ok);
        let [group, resource, name, verb] = ["tradewind.dev", "connections", "", "list"].map(str::to_owned);
        // Once this is followed, the binding is.
        until_may(sandbox, &user, &Right { group, resource, name, verb }, true).await;
        // Not by `auth can-i`, which asks for the namespace, where there are none.
        let said = sandbox.kubectl(&["get", "clusterprovideraccounts.tradewind.dev", &format!("--as={user}")]).await;
        assert_eq!(said.ok, may, "{kind}: {said:?}");
        assert!(may || said.err.contains("Forbidden"), "{said:?}");
    }
}

/// With `crds.keep: false` every object is deleted with the CRDs. They wait for an operator; one that comes finishes their deletion, and then
/// the CRDs are gone, until an upgrade brings them back.
async fn the_crds_go_with_the_release(home: &Sandbox, world: &World, wide: &str) {
    let upgrade = ["upgrade", "wide", CHART, "--reset-then-reuse-values"];
    let notes = release(home, &[&upgrade[..], &["--set", "crds.keep=false"]].concat(), "").await;
    assert!(notes.contains("crds.keep is false"), "{notes}");
    release(home, &["uninstall", "wide"], "").await;
    let waits = |c: &Connection| c.metadata.deletion_timestamp.is_some();
    for name in ["acme", "other"] {
        world.sandbox.wait_for::<Connection>(name, HANG, waits).await;
    }
    assert_eq!((world.live().len(), world.simulator.stats().deletes), (2, 0), "nobody is there to delete them");

    release(home, &["install", "wide", CHART, "--values", "-"], wide).await;
    let program = operator(home, "wide").await;
    let crds = ["crd/connections.tradewind.dev", "crd/provideraccounts.tradewind.dev"];
    let gone = [&["wait", "--for=delete", "--timeout=120s"][..], &crds].concat();
    let said = home.kubectl(&gone).await;
    assert!(said.ok, "{said:?}: {}", program.log());
    world.ends_with(&[], 2, 2);
    program.terminate().await;
    release(home, &upgrade, "").await;
    let back = [&["wait", "--for=condition=Established", "--timeout=60s"][..], &crds].concat();
    assert!(home.kubectl(&back).await.ok);
}
