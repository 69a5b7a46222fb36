//! The engine: watches objects, runs passes over them, and writes back what became of them.

mod account;
mod accounts;
mod act;
mod callers;
mod census;
mod claims;
mod clock;
mod context;
mod correct;
mod crds;
mod create;
mod deletions;
mod error;
mod guard;
mod halt;
mod hold;
mod intent;
mod known;
mod lean;
mod link;
mod memory;
mod meta;
mod object;
mod outcome;
mod pass;
mod publish;
mod reach;
mod record;
mod refresh;
mod refused;
mod report;
mod resolve;
mod rotation;
mod sessions;
mod standby;
mod starting;
mod supplies;
mod users;
mod watches;
mod workers;
mod writes;

use crate::{provider::ConnectSettings, serve::Gate, settings::Settings, telemetry::Metrics};
use claims::Register;
use context::Engine;
use futures::future::{BoxFuture, Shared};
use k8s_controller::LeaderElection;
use kube::{
    Resource,
    runtime::{
        events::{Recorder, Reporter},
        reflector::Store,
    },
};
use lean::Lean;
use memory::Memory;
pub use reach::Reach;
use sessions::Sessions;
use standby::stand_by;
use starting::Starting;
use std::{collections::HashSet, future::pending, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{interval, timeout},
};
use watches::{Scope, Watches};
use workers::Workers;

/// Done when the process is asked to stop.
pub type Stop = Shared<BoxFuture<'static, ()>>;

/// Why the engine cannot run, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No client for the API server can be built.
    #[error("no client for the API server")]
    Client(#[source] Box<kube::Error>),
    /// The Lease went to another process, or could not be renewed.
    #[error("the Lease was lost: another process has taken it, or it could not be renewed, as the log says")]
    LeaseLost,
}

/// Runs the operator until `stop` is done, then lets the passes under way come to their end. `gate` is open while it
/// watches, and while it stands by.
///
/// # Errors
/// Where the Lease was lost.
pub async fn run(reach: Reach, settings: Settings, metrics: Metrics, gate: Gate, stop: Stop) -> Result<(), RunError> {
    // Before the Lease is asked for: an operator of before, whose CRDs these are, goes on.
    tokio::select! {
        biased;
        () = stop.clone() => return Ok(()),
        () = crds::are_as_new(&reach.client) => {}
    }
    let Some(named) = settings.lease.clone() else {
        lead(reach, settings, metrics, &gate, stop).await;
        return Ok(());
    };
    let (client, identity) = (reach.client.clone(), settings.identity.clone());
    let lease = LeaderElection::new(client.clone(), &named.namespace, &named.name, &identity);
    let end = ended(stop.clone(), settings.shutdown_grace);
    let (begins, begun) = oneshot::channel();
    let stopped = stop.clone();
    let waits = async {
        tokio::select! {
            biased;
            _ = begun => pending().await,
            // It never led, and is not to begin.
            () = stopped => {}
            () = stand_by(client, &named, &identity, &gate) => pending().await,
        }
    };
    let leads = async {
        // Nobody waits to be told where it is ready already.
        let _ = begins.send(());
        gate.close();
        lead(reach, settings, metrics, &gate, stop).await;
    };
    tokio::select! {
        biased;
        () = waits => {}
        led = lease.with_lease(leads) => return led.ok_or(RunError::LeaseLost),
        // Its passes did not end in time.
        () = end => {}
    }
    lease.release().await;
    Ok(())
}

/// How often what is remembered of objects that are gone is thrown away.
const TIDY: Duration = Duration::from_mins(5);

async fn lead(reach: Reach, settings: Settings, metrics: Metrics, gate: &Gate, stop: Stop) {
    let Reach { client, clock, wire } = reach;
    let watches = Watches::new(Scope {
        client: client.clone(),
        namespace: settings.namespace.clone(),
        concurrency: settings.concurrency,
        secrets: settings.watch_secrets,
    });
    let (connections, instances, accounts) = watches.stores();
    let (suspects, doubts) = watches::bells();
    let reporter = Reporter { controller: "tradewind.dev/tradewind".to_owned(), instance: Some(settings.identity) };
    let engine = Arc::new(Engine {
        recorder: Recorder::new(client.clone(), reporter.clone()),
        reporter,
        client,
        clock,
        connections,
        instances,
        accounts,
        sessions: Sessions::default(),
        memory: Memory::default(),
        register: Register::default(),
        starting: Starting::default(),
        workers: Workers::new(settings.concurrency),
        metrics: metrics.clone(),
        connect: ConnectSettings {
            allow: settings.allow,
            ca_bundle: settings.ca_bundle,
            timing: settings.timing,
            poll: settings.poll,
            share: u32::from(settings.concurrency / 2).max(1),
            wire,
        },
        probe_interval: settings.probe_interval,
        suspects,
        stop: stop.clone(),
    });
    tokio::select! {
        () = watches.run(Arc::clone(&engine), doubts, stop.clone()) => {}
        // A stop before the first lists are complete would never end the watches, and nothing has begun by then that could not be cut
        // off.
        () = stopped_before(Arc::clone(&engine), stop.clone()) => {}
        () = ended(stop, settings.shutdown_grace) => tracing::warn!("passes were still under way when the time to stop was over"),
        () = attend(&engine, &metrics, gate) => {}
    }
}

/// Opens the gate and leads once the caches are complete, then keeps the memory small. Never done. Who never comes as far as
/// that does nothing at all, and must not look like somebody who works.
async fn attend(engine: &Arc<Engine>, metrics: &Metrics, gate: &Gate) {
    let mut often = interval(Duration::from_millis(100));
    while !engine.synced() {
        often.tick().await;
    }
    gate.open();
    let counted = Arc::downgrade(engine);
    let _leading = metrics.lead(move || counted.upgrade().map_or_else(Vec::new, |engine| census::count(&engine)));
    tracing::info!("watching");
    let mut rarely = interval(TIDY);
    loop {
        rarely.tick().await;
        let mut uids = uids(&engine.connections);
        uids.extend(self::uids(&engine.instances));
        uids.extend(engine.accounts.all().map(|account| account.uid().to_owned()));
        engine.memory.retain(|uid| uids.contains(uid));
        engine.register.retain(|uid| uids.contains(uid));
        engine.sessions.retain(|uid| uids.contains(uid));
    }
}

fn uids<K>(store: &Store<Lean<K>>) -> HashSet<String>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.state().iter().filter_map(|o| o.meta().uid.clone()).collect()
}

/// Done at the stop, where that comes before the caches are complete.
async fn stopped_before(engine: Arc<Engine>, stop: Stop) {
    stop.await;
    if engine.synced() {
        pending::<()>().await;
    }
}

/// Done this long after the stop.
async fn ended(stop: Stop, grace: Duration) {
    stop.await;
    let _ = timeout(grace, pending::<()>()).await;
}
