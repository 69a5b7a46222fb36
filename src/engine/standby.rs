//! While another process leads, this one is ready to take its place: a rollout must not wait for it to lead.

use crate::{serve::Gate, settings::Lease};
use k8s_openapi::api::coordination::v1;
use kube::{Api, Client};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often the Lease is read until somebody else is seen to hold it: as often as it is tried to be taken.
const OFTEN: Duration = Duration::from_secs(2);

/// Opens the gate once the API server has said that another process holds the Lease. What it refuses is in the log: whoever
/// tries to take the Lease is refused the same.
pub(super) async fn stand_by(client: Client, lease: &Lease, identity: &str, gate: &Gate) {
    let leases: Api<v1::Lease> = Api::namespaced(client, &lease.namespace);
    let mut often = interval(OFTEN);
    often.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        often.tick().await;
        let held = leases.get_opt(&lease.name).await.ok().flatten().and_then(|lease| lease.spec?.holder_identity);
        // One that was given up has an empty holder.
        if held.is_some_and(|holder| !holder.is_empty() && holder != identity) {
            gate.open();
            return;
        }
    }
}
