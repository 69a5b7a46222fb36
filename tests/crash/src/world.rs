//! The world of one life: a namespace, providers of its own, and one or two operators, each behind proxies of its own.
//!
//! Owns all that the life is made of, and ends it. It waits for states, never for a time: a wait fails a minute after the last kill.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Api, Client, discovery};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tradewind_simulator::arcus::Act;
use tradewind_simulator::rutter::Origin;
use tradewind_simulator::{Clock, Simulator, arcus};

use crate::board::{Board, Picture};
use crate::oracle::{Faults, Look, Record, foreign, records};
use crate::plane::{Ground, Plane, apply};
use crate::program::{Program, Recipe};
use crate::proxy::{self, Upstream};
use crate::tap::{Strike, Tap, Write};
use crate::thing::{self, Thing};

/// Everything must be as declared this long after the last kill.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// How often the providers are looked at while something is waited for there.
const LOOK: Duration = Duration::from_millis(100);

/// The times that the operator is told.
pub const TIMES: [(&str, Duration); 4] = [
    // With the others a grace of 13 s: another operator takes over while the API server's client still waits for its answer, 15 s.
    ("--call-timeout", Duration::from_secs(3)),
    ("--permit-life", Duration::from_secs(2)),
    // More than lists lag.
    ("--list-lag", Duration::from_secs(7)),
    ("--poll", Duration::from_secs(1)),
];

/// Who is killed.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The operator, without a lease.
    Operator(PathBuf),
    /// A controller without the protocol.
    Naive(PathBuf),
}

impl Subject {
    /// Whether it is ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Operator(_))
    }

    fn recipe(&self, ground: &Ground, kubeconfig: PathBuf, providers: SocketAddr, name: &str) -> Recipe {
        let origin = format!("http://{providers}");
        let namespace = ground.namespace.clone();
        let (program, args) = match self {
            Self::Operator(program) => {
                let mut args = vec!["run".to_owned(), "--listen=127.0.0.1:0".to_owned()];
                args.extend(["--namespace".to_owned(), namespace, "--allow-endpoint".to_owned(), origin]);
                args.extend(TIMES.iter().map(|(flag, time)| format!("{flag}={}s", time.as_secs())));
                (program, args)
            }
            Self::Naive(program) => (program, vec![namespace, origin]),
        };
        Recipe { program: program.clone(), args, kubeconfig, log: ground.file(&format!("{name}.log")) }
    }
}

/// One operator behind its proxies.
pub struct Station {
    /// What happens at its writes.
    pub tap: Arc<Tap>,
    /// Its process.
    pub program: Arc<Program>,
    /// Where it reaches the providers.
    pub providers: SocketAddr,
    proxies: [JoinHandle<()>; 2],
}

impl Station {
    /// Every write so far, with the number of the process that made it: a connection ends with its process, so one that is older than
    /// a process is not its own.
    #[must_use]
    pub fn writes(&self) -> Vec<(usize, Write)> {
        let begun = self.program.kills().at;
        let process = |write: &Write| begun.iter().filter(|at| **at <= write.since).count();
        self.tap.writes().into_iter().map(|write| (process(&write), write)).collect()
    }

    /// Waits until every kill that was ordered has come: a life may be over before the kill after its last write is.
    async fn settle(&self) {
        let all = async {
            loop {
                let kills = self.program.kills();
                if kills.at.len() >= self.tap.ordered() || kills.trouble.is_some() {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, all).await;
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        for proxy in &self.proxies {
            proxy.abort();
        }
    }
}

/// See the module.
pub struct World {
    /// Where.
    pub ground: Ground,
    /// The administrator.
    pub client: Client,
    /// The providers.
    pub simulator: Simulator,
    /// What the API server shows.
    pub board: Board,
    /// The operators.
    pub stations: Vec<Station>,
    strangers: Vec<Record>,
    begun: Instant,
}

/// What is not as declared in time, by its name on the board.
pub type Stuck = BTreeSet<String>;

impl World {
    /// A namespace and providers, in which `strangers` have been, and no operator yet.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn new(plane: &Plane, name: &str, simulator: Simulator) -> Result<Self> {
        let ground = plane.ground(name).await?;
        let board = Board::of(&plane.client, &ground.namespace);
        let strangers = foreign(&simulator);
        let (client, stations, begun) = (plane.client.clone(), Vec::new(), Instant::now());
        Ok(Self { ground, client, simulator, board, stations, strangers, begun })
    }

    /// An operator behind proxies of its own; it does not run yet.
    ///
    /// # Errors
    /// There is no port or no folder.
    pub async fn station(&mut self, plane: &Plane, subject: &Subject, plan: &[Strike]) -> Result<()> {
        let (api, api_address) = proxy::listen().await?;
        let (provider, providers) = proxy::listen().await?;
        // All operators of a world know the providers by the same address where accounts name it.
        let known = self.stations.first().map_or(providers, |first| first.providers);
        let kubeconfig = self.ground.kubeconfig(api_address)?;
        let recipe = subject.recipe(&self.ground, kubeconfig, known, &format!("operator-{}", self.stations.len()));
        let (tap, program) = (Arc::new(Tap::with(plan)), Arc::new(Program::new(recipe)));
        let serve = |listener, upstream| proxy::serve(listener, upstream, Arc::clone(&tap), Arc::clone(&program));
        let proxies =
            [serve(api, plane.api_server.clone()), serve(provider, Upstream::Providers(self.simulator.router()))];
        self.stations.push(Station { tap, program, providers, proxies });
        Ok(())
    }

    /// Applies what things need: accounts, logins.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn furnish(&self, things: &[Thing]) -> Result<()> {
        self.apply(thing::store_login()).await?;
        let providers = self.stations.first().context("an operator")?.providers;
        let mut known = BTreeSet::new();
        for thing in things.iter().filter(|thing| known.insert(thing.account())) {
            for object in thing::account(thing, providers) {
                self.apply(object).await?;
            }
        }
        Ok(())
    }

    /// Applies an object as a user does.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn apply(&self, object: Value) -> Result<()> {
        apply(&self.client, &self.ground.namespace, object).await
    }

    /// Annotates an object as a user does.
    ///
    /// # Errors
    /// It is not there.
    pub async fn patch(&self, thing: &Thing, patch: &Value) -> Result<()> {
        self.api(thing.kind()).await?.patch(&thing.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Deletes an object as a user does.
    ///
    /// # Errors
    /// It is not there.
    pub async fn delete(&self, kind: &str, name: &str) -> Result<()> {
        self.api(kind).await?.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Deletes a Secret as a user does, and waits until nothing holds it any more; as stuck where something does.
    ///
    /// # Errors
    /// It is not there, or the API server does not tell.
    pub async fn discard_secret(&self, name: &str) -> Result<Stuck> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.ground.namespace);
        secrets.delete(name, &DeleteParams::default()).await?;
        let begun = Instant::now();
        while secrets.get_metadata_opt(name).await?.is_some() {
            if self.is_late(begun) {
                return Ok(Stuck::from([format!("Secret/{name}")]));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(Stuck::new())
    }

    /// Whether what was begun then should be over by now.
    fn is_late(&self, begun: Instant) -> bool {
        self.last_kill().map_or(begun, |kill| kill.max(begun)).elapsed() > PATIENCE
    }

    async fn api(&self, kind: &str) -> Result<Api<DynamicObject>> {
        let kind = kube::api::GroupVersionKind::gvk("tradewind.dev", "v1alpha1", kind);
        let (resource, _) = discovery::pinned_kind(&self.client, &kind).await?;
        Ok(Api::namespaced_with(self.client.clone(), &self.ground.namespace, &resource))
    }

    /// The last kill of any operator.
    #[must_use]
    pub fn last_kill(&self) -> Option<Instant> {
        self.stations.iter().filter_map(|station| station.program.kills().at.last().copied()).max()
    }

    /// Waits until nothing is left of what `missing` names, by its name on the board; what is left a minute after the last kill is
    /// stuck.
    pub async fn until(&self, missing: impl Fn(&Picture, &[Record]) -> Stuck) -> Stuck {
        let (begun, mut picture) = (Instant::now(), self.board.subscribe());
        loop {
            self.enter_credentials();
            let now = picture.borrow_and_update().clone();
            let left = missing(&now, &records(&self.simulator));
            if left.is_empty() || self.is_late(begun) {
                return left;
            }
            // The picture changes, or the providers do.
            let _ = tokio::time::timeout(LOOK, picture.changed()).await;
        }
    }

    /// A person enters the credentials of what was made at Arcus: nobody else can.
    fn enter_credentials(&self) {
        let waiting = self.simulator.connectors().into_iter();
        for row in waiting.filter(|row| !row.deleted && !row.has_credentials && row.origin == Origin::Api) {
            let deed =
                arcus::Deed { entity_id: Some(row.entity_id), connector: row.connector, act: Act::EnterCredentials };
            // It may have been deleted at this moment.
            let _ = self.simulator.act_arcus(&deed);
        }
    }

    /// Ends the operators, and counts. `odd` is what was found to be wrong with what they have done, a line each.
    pub async fn conclude(self, things: &[Thing], stuck: &Stuck, odd: Vec<String>) -> Outcome {
        let (objects, elapsed) = (things.len(), self.begun.elapsed());
        let mut outcome = Outcome { objects, elapsed, notes: odd, ..Outcome::default() };
        for station in &self.stations {
            station.settle().await;
            let kills = station.program.kills();
            outcome.kills += kills.at.len();
            outcome.writes += station.tap.count();
            outcome.missed += station.tap.planned().saturating_sub(kills.at.len());
            let ended = station.program.end().await.err().map(|error| format!("{error:#}"));
            outcome.notes.extend(kills.trouble.into_iter().chain(ended));
        }
        outcome.broken = outcome.notes.len();
        let (picture, records) = (self.board.now(), records(&self.simulator));
        let look = Look { things, picture: &picture, records: &records, strangers: &self.strangers };
        let (faults, notes) = look.count(stuck);
        outcome.faults = faults;
        outcome.notes.extend(notes);
        if !outcome.notes.is_empty() {
            outcome.notes.push(format!("see {}-*", self.ground.file("").display().to_string().trim_end_matches('-')));
            outcome.notes.extend(self.stations.iter().flat_map(|station| station.tap.log()).take(120));
        }
        outcome
    }
}

/// What a life came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Kills.
    pub kills: usize,
    /// Objects that were declared.
    pub objects: usize,
    /// Writes of the operators.
    pub writes: u64,
    /// Planned kills that never came: the life had fewer writes.
    pub missed: usize,
    /// What went wrong.
    pub faults: Faults,
    /// Operators that ended by themselves, or could not be started; refreshes too many, or too few.
    pub broken: usize,
    /// From the last kill until everything was as declared.
    pub recovery: Duration,
    /// How long it took.
    pub elapsed: Duration,
    /// What is to be read about it.
    pub notes: Vec<String>,
}

/// Providers by the machine's clock.
#[must_use]
pub fn simulator(seed: u64, entities: usize) -> Simulator {
    Simulator::new(Clock::real(), thing::setup(seed, entities))
}
