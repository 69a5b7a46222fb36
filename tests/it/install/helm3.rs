//! The same release with Helm 3, which applies on the client, and handed over to Helm 4.

use std::sync::Arc;

use tradewind::api::v1alpha1::Connection;
use tradewind_cluster::Tool;
use tradewind_simulator::Clock;

use super::life::{brought, chart_of_before, established, helm_in, operator, release, release_by, values, works};
use super::{CHART, call, objects, the};
use crate::cluster::{Sandbox, control_plane_without_crds};
use crate::world::{World, connection, id_of, store};

/// Runs Helm 3 in the namespace of a sandbox; it must succeed and warn of nothing.
async fn helm3(sandbox: &Sandbox, args: &[&str], values: &str) -> String {
    release_by(Tool::Helm3, sandbox, args, values).await
}

#[tokio::test]
async fn both_render_the_same() {
    for values in
        ["", "{scope: Cluster, replicas: 2}", "{watchSecrets: true, metrics: {serviceMonitor: {enabled: true}}}"]
    {
        // Only a Helm that its own makefile built knows of a newer Kubernetes by itself.
        let args = ["template", "tradewind", CHART, "--namespace", "shop", "--kube-version", "1.33.0", "--values", "-"];
        let (by_helm_3, by_helm_4) = tokio::join!(call(Tool::Helm3, &args, values), call(Tool::Helm, &args, values));
        assert!(by_helm_3.ok && by_helm_4.ok, "{by_helm_3:?} {by_helm_4:?}");
        let (objects_3, objects_4) = (objects(&by_helm_3.out), objects(&by_helm_4.out));
        the(&objects_3, "Deployment");
        assert_eq!(objects_3, objects_4, "{values}");
    }
}

#[tokio::test]
async fn helm_3_installs_upgrades_and_removes_a_release_and_no_connection_is_harmed() {
    let cluster = control_plane_without_crds().await;
    let world = World::on(Sandbox::on(Arc::clone(&cluster), "helm3").await, Clock::real(), World::setup());
    let (sandbox, values) = (&world.sandbox, values(&world));
    let earlier = chart_of_before();
    let earlier = earlier.to_str().expect("a path");
    helm3(sandbox, &["install", "op", earlier, "--values", "-"], &values).await;
    established(sandbox).await;
    assert_eq!(brought(sandbox).await, [false; 3], "of before");
    world.furnish().await;
    let program = operator(sandbox, "op").await;
    sandbox.apply(&connection("acme", &store("helm3"), "")).await;
    let made = world.settled("acme").await;
    program.terminate().await;

    let upgrade = |chart, set| ["upgrade", "op", chart, "--reset-then-reuse-values", "--set", set];
    for (args, expected) in [
        (&["upgrade", "op", CHART, "--reset-then-reuse-values"][..], [true; 3]),
        (&["rollback", "op"], [false; 3]),
        (&upgrade(CHART, "replicas=1"), [true; 3]),
        // The operator of before beside the CRDs of today, which stay though they are not the release's any more.
        (&upgrade(earlier, "crds.enabled=false"), [true, false, false]),
        (&upgrade(CHART, "crds.enabled=true"), [true; 3]),
    ] {
        helm3(sandbox, args, "").await;
        assert_eq!(brought(sandbox).await, expected, "{args:?}");
        works(sandbox, "op", &world).await;
    }

    let kept = helm3(sandbox, &["uninstall", "op"], "").await;
    assert!(kept.contains("connections.tradewind.dev"), "it says what it keeps: {kept}");
    let install = ["install", "again", CHART, "--values", "-"];
    let refused = helm_in(Tool::Helm3, sandbox, &install, &values).await;
    assert!(!refused.ok && refused.err.contains("invalid ownership metadata"), "{refused:?}");
    helm3(sandbox, &[&install[..], &["--take-ownership"]].concat(), &values).await;
    works(sandbox, "again", &world).await;

    // Whoever moves to Helm 4 goes on with the release of Helm 3.
    release(sandbox, &["upgrade", "again", CHART, "--reset-then-reuse-values", "--set", "replicas=2"], "").await;
    works(sandbox, "again", &world).await;
    release(sandbox, &["uninstall", "again"], "").await;
    let kept = sandbox.get::<Connection>("acme").await.expect("the CRD, and the object");
    assert_eq!((&kept.metadata.uid, id_of(&kept)), (&made.metadata.uid, id_of(&made)));
    world.ends_with(&[&id_of(&made)], 1, 0);
}
