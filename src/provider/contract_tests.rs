//! What the contract tests of all providers begin with: a session with a simulator, in process, whose clock they set.
//!
//! It is a part of tests alone, and knows no provider.

use super::{AllowList, ConnectSettings, CreatePermit, Deadline, Login, Session, Wire, WireError, connect};
use crate::{
    api::v1alpha1::{Limits, Provider},
    domain::intent::Timing,
    telemetry::Metrics,
};
use jiff::Timestamp;
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tradewind_simulator::{ManualClock, Operation, Setup, Simulator};

/// A login at an endpoint that nothing but the given wire answers.
pub(super) fn login(provider: Provider, endpoint: &str, version: &str, name: &str, secret: &str) -> Login {
    Login {
        provider,
        endpoint: endpoint.parse().expect("a URL"),
        version: version.to_owned(),
        name: SecretString::from(name),
        secret: SecretString::from(secret),
        fingerprint: "test".to_owned(),
        sharing: "test".to_owned(),
    }
}

/// A session with whatever answers on the wire, and a budget that no test uses up.
pub(super) fn session(wire: Wire, login: &Login) -> Session {
    measured(wire, login, &Metrics::new())
}

/// The same, with metrics that somebody reads.
pub(super) fn measured(wire: Wire, login: &Login, metrics: &Metrics) -> Session {
    let second = Duration::from_secs(1);
    let settings = ConnectSettings {
        allow: AllowList::new(&[]).expect("a list"),
        ca_bundle: None,
        timing: Timing { permit: second * 60, call: second * 60, lag: second },
        poll: second,
        share: 8,
        wire: Some(wire),
    };
    let limits = Limits { requests_per_minute: 10_000_000, max_in_flight: 8 };
    connect(login, &limits, &settings, metrics).expect("a session")
}

/// A session with a simulator of its own.
pub(super) fn simulated(setup: Setup, login: &Login) -> (Simulator, Session, ManualClock) {
    let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse().expect("a time"));
    let simulator = Simulator::new(clock.clock(), setup);
    let served = simulator.in_process().map_err(|_| WireError::Broken);
    let session = session(BoxCloneSyncService::new(served), login);
    (simulator, session, clock)
}

/// A permit for one create, as the engine mints it once the attempt is stored.
pub(super) fn permit(session: &Session, nonce: &str) -> CreatePermit {
    permit_at(session, nonce, Timestamp::UNIX_EPOCH)
}

/// The same, where our own clock reads this.
pub(super) fn permit_at(session: &Session, nonce: &str, wall: Timestamp) -> CreatePermit {
    let ticket = session.gate.ticket().expect("a place in the budget");
    CreatePermit::mint(nonce, Deadline::after(Duration::from_mins(1), Arc::new(move || wall)), ticket)
}

/// How many requests of a kind have reached the simulator.
pub(super) fn asked(simulator: &Simulator, operation: Operation) -> usize {
    simulator.stats().by_operation.get(&operation).copied().unwrap_or_default()
}
