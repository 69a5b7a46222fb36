//! CRDs that are older than the operator: the API server would drop what it keeps in them.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, RefreshPhase};
use tradewind_simulator::{Clock, Operation};

use super::CHART;
use super::life::{established, operator, release, values};
use crate::cluster::{HANG, Sandbox, control_plane_without_crds, install_crds};
use crate::manifests;
use crate::world::{World, connection, status_of, store};

/// Applies the CRDs of a version that kept nothing of refreshes.
async fn apply_older(sandbox: &Sandbox) {
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
    for crd in manifests::crds() {
        let mut manifest = crd.manifest;
        let kept = manifest.pointer_mut(status).and_then(Value::as_object_mut).expect("fields of a status");
        kept.remove("refresh");
        let apply = ["apply", "--server-side", "--force-conflicts", "--filename=-"];
        let said = sandbox.kubectl_with(&apply, &manifest.to_string()).await;
        assert!(said.ok, "{said:?}");
    }
    established(sandbox).await;
}

/// Waits until the API server knows this field of a connection's status, or does not: it takes a schema up by a watch of its own.
async fn until_kept(world: &World, kept: bool) {
    let body = Patch::Merge(json!({"status": {"refresh": {}}}));
    let strictly = PatchParams { dry_run: true, ..PatchParams::default() }.validation_strict();
    let (connections, strictly, body) = (world.sandbox.api::<Connection>(), &strictly, &body);
    let same = async { while connections.patch_status("acme", strictly, body).await.is_ok() != kept {} };
    tokio::time::timeout(HANG, same).await.expect("the schema");
}

#[tokio::test]
async fn an_operator_whose_crds_are_older_does_nothing_before_they_are_as_new() {
    let cluster = control_plane_without_crds().await;
    let world = World::on(Sandbox::on(Arc::clone(&cluster), "older").await, Clock::real(), World::setup());
    let sandbox = &world.sandbox;
    apply_older(sandbox).await;
    let install = ["install", "op", CHART, "--set", "crds.enabled=false", "--values", "-"];
    release(sandbox, &install, &values(&world)).await;
    let program = operator(sandbox, "op").await;
    world.furnish().await;
    sandbox.apply(&connection("acme", &store("older"), "")).await;
    program.until_logged("older than this operator, and what it keeps in Connection.status.refresh, ").await;
    let ready = world.get(&format!("http://{}/readyz", program.address().await)).await;
    assert!(ready.contains("readyz check failed"), "a rollout does not go on: {ready}");
    assert!(sandbox.api::<Lease>().get_opt("tradewind").await.expect("an answer").is_none(), "for the one of before");
    assert_eq!(world.simulator.stats().requests, 0);

    install_crds(&cluster).await.expect("today's CRDs");
    world.settled("acme").await;

    // What the API server would not keep is not asked for, and is once it is kept.
    apply_older(sandbox).await;
    until_kept(&world, false).await;
    world.annotate("acme", keys::REFRESH, Some("monday")).await;
    program.until_logged("report: 422 Invalid: strict decoding error: unknown field").await;
    assert_eq!(world.asked(Operation::Refresh), 0);
    install_crds(&cluster).await.expect("today's CRDs");
    until_kept(&world, true).await;
    let asked = |c: &Connection| {
        let orders = status_of(c).refresh.and_then(|refresh| refresh.orders);
        orders.is_some_and(|orders| orders.state == RefreshPhase::Accepted)
    };
    sandbox.wait_for::<Connection>("acme", HANG, asked).await;
    world.reconciled("acme").await;
    assert_eq!((world.asked(Operation::Refresh), world.simulator.stats().creates), (1, 1));
    program.terminate().await;
}
