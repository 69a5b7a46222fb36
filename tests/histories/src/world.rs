//! The world of one history: an API server, a provider, the operators between them, and the points that they come by.
//!
//! It must never judge what it sees.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::Instant;
use tradewind::{
    api::crd,
    domain::intent::Timing,
    engine::{self, Reach, RunError, Stop},
    provider::AllowList,
    serve::Readiness,
    settings::Settings,
    telemetry::Metrics,
};
use tradewind_apiserver::{ApiServer, Clock, Definition};
use tradewind_simulator::{Clock as ProviderClock, Setup, Simulator, arcus, rutter, sku_io};

use crate::{
    event::Event,
    judge,
    ledger::Which,
    loads,
    scenario::{NAMESPACE, OTHER_KEY, OTHER_SECRET, OTHER_TOKEN, Policy, Scenario},
    site::Site,
    tap::{self, KubeTap, Process},
};

/// When every history begins.
const EPOCH: Timestamp = Timestamp::constant(1_767_600_000, 0);
/// The protocol's times. A permit ends before the API server gives up, so that one can end while a request stalls.
const TIMING: Timing =
    Timing { permit: Duration::from_secs(8), call: Duration::from_secs(5), lag: Duration::from_secs(3) };
/// How long a killed process is away.
const RESTART: Duration = Duration::from_secs(2);
/// How long a process that is asked to stop has for what is under way.
const GRACE: Duration = Duration::from_secs(25);
/// How long one takes to end that has nothing under way, or no time left.
const ENDING: Duration = Duration::from_secs(1);
/// How long the API server is gone, where it is: longer than an answered id is held on to.
const OUTAGE: Duration = Duration::from_secs(15);
/// More requests than any life takes.
const MOST: usize = 10_000;
/// What the other key at Arcus is called.
const OTHER: &str = "other";
/// How far a clock is off, where one is.
const SKEW: SignedDuration = SignedDuration::from_secs(90);

/// See the module; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct World(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    scenario: Scenario,
    api: ApiServer,
    simulator: Simulator,
    metrics: Metrics,
    track: Mutex<Track>,
}

/// What has happened so far.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact")]
pub(crate) struct Track {
    /// Every point.
    pub(crate) points: Vec<Site>,
    /// What is to happen, in order of points.
    script: Vec<(usize, Event)>,
    /// What has happened.
    pub(crate) happened: Vec<Event>,
    /// How many operators were started; one that takes the place of a killed one is the same.
    pub(crate) operators: u64,
    /// Writes of objects and Secrets by operators, whatever came of them.
    pub(crate) kube_writes: usize,
    /// Writes at the provider.
    pub(crate) calls: usize,
    /// What is wrong, in words.
    pub(crate) blames: Vec<String>,
    /// A person took the object out of the operator's hands: what it made may stay.
    pub(crate) let_go: bool,
    /// Somebody has asked for the end of the object, or brought it about.
    pub(crate) ended: bool,
    /// How often an object came back from a backup that knew nothing of what it had.
    pub(crate) anew: usize,
    /// How often an object has lost all that it knew of itself: its deletion leaves what it had.
    pub(crate) forgotten: usize,
    /// A create may have been left with an outcome that nobody can tell.
    pub(crate) uncertain: bool,
    /// The records that somebody has deleted behind the operator's back.
    pub(crate) lost: Vec<Which>,
    /// How often somebody was asked for a record that was gone, and had it made anew.
    pub(crate) afresh: usize,
    /// So much has happened that is only noticed an interval later.
    pub(crate) unnoticed: usize,
    /// It was so before its Secret told of anything: only the pass that had the answer could tell.
    pub(crate) blind: bool,
    /// The account has the other secret of its login.
    pub(crate) rotated: bool,
    /// What the store's login was last changed to.
    pub(crate) store_login: Option<Value>,
    /// Records that were to stay from some moment on.
    pub(crate) kept: Vec<Which>,
    /// Somebody has said so of one that may have been deleted by then.
    pub(crate) kept_late: bool,
    /// The ids of strangers' records that an object has had for its own.
    pub(crate) taken: BTreeSet<String>,
    /// A write at the provider may have taken effect when nobody waited for it any more.
    pub(crate) late: bool,
    /// When the merchant used a link of their own accord, by the provider's clock.
    pub(crate) consented: Option<Timestamp>,
    /// Every link that stood in a connection Secret.
    pub(crate) handed: BTreeSet<String>,
    /// The refresh that every life asks for was asked for.
    pub(crate) refreshing: bool,
    /// Something has come between it and what is known of it.
    pub(crate) refresh_disturbed: bool,
    /// Something has come between an earlier one and what is known of that.
    pub(crate) load_disturbed: bool,
    /// The records that strangers have made since the life began.
    pub(crate) strangers: Vec<Which>,
    /// Those of them that came while an attempt was open: nobody can tell them from ours.
    pub(crate) blurred: BTreeSet<Which>,
    /// The API server refuses everything until then.
    pub(crate) kube_out_until: Option<Instant>,
    /// An event that changed nothing: the history is another one's double.
    pub(crate) void: bool,
}

impl Track {
    /// Whether something has yet to happen.
    pub(crate) fn is_scripted(&self) -> bool {
        !self.script.is_empty()
    }
}

impl World {
    /// A world in which this is declared and nothing has happened; links live for so long.
    pub(crate) fn new(scenario: Scenario, script: &[(usize, Event)], links: Duration) -> Self {
        let ahead = if scenario.policy == Policy::Ahead { SKEW } else { SignedDuration::ZERO };
        let api = ApiServer::new(Clock::starting_at(EPOCH.saturating_add(ahead).unwrap_or(EPOCH)), 0);
        let simulator = Simulator::new(ProviderClock::starting_at(EPOCH), setup(links));
        let track = Track { script: script.to_vec(), ..Track::default() };
        let world =
            Self(Arc::new(Inner { scenario, api, simulator, metrics: Metrics::new(), track: Mutex::new(track) }));
        world.install();
        world
    }

    fn install(&self) {
        static KINDS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
            let all = crd::all().unwrap_or_default();
            all.iter().filter_map(|crd| Definition::of(&crd.manifest)).collect()
        });
        for kind in KINDS.iter() {
            self.api().install(kind);
        }
        if let Err(failure) = self.api().create_namespace(NAMESPACE) {
            self.blame(format!("no namespace: {}", failure.message));
        }
        if self.scenario().has_stranger() && !self.scenario().stranger_comes(self.simulator()) {
            self.blame("the stranger's record cannot be made".to_owned());
        }
    }

    pub(crate) fn scenario(&self) -> Scenario {
        self.0.scenario
    }

    pub(crate) fn api(&self) -> &ApiServer {
        &self.0.api
    }

    pub(crate) fn simulator(&self) -> &Simulator {
        &self.0.simulator
    }

    pub(crate) fn track(&self) -> MutexGuard<'_, Track> {
        self.0.track.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn revision(&self) -> u64 {
        self.api().revision()
    }

    /// What the operators' metrics say.
    pub(crate) fn metrics(&self) -> String {
        self.0.metrics.text()
    }

    /// Whether something of this kind has happened.
    pub(crate) fn has_happened(&self, kind: impl Fn(Event) -> bool) -> bool {
        self.track().happened.iter().any(|event| kind(*event))
    }

    pub(crate) fn blame(&self, what: String) {
        let mut track = self.track();
        if !track.blames.contains(&what) {
            track.blames.push(what);
        }
    }

    /// A request is about to be sent, or nothing is under way: what is to happen here happens.
    pub(crate) fn arrive(&self, site: &Site) -> Vec<Event> {
        let events: Vec<Event> = {
            let mut track = self.track();
            let here = track.points.len();
            track.points.push(site.clone());
            let due = track.script.iter().filter(|(at, _)| *at == here).map(|(_, event)| *event).collect();
            track.script.retain(|(at, _)| *at > here);
            due
        };
        for event in &events {
            judge::before(self, site, *event);
            if *event == Event::KubeOut {
                self.track().kube_out_until = Some(Instant::now() + OUTAGE);
            }
            if !self.happen(*event) {
                self.track().void = true;
            }
            self.track().happened.push(*event);
        }
        events
    }

    /// Whether the API server refuses everything now.
    pub(crate) fn is_kube_out(&self) -> bool {
        self.track().kube_out_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether nobody may send another request: nothing is asked of this life any more, or it has sent more than any does.
    pub(crate) fn is_over(&self) -> bool {
        let much = self.track().points.len() > MOST;
        if much {
            self.blame(format!("more than {MOST} requests"));
        }
        much || self.track().void
    }

    /// A write has taken effect at the API server. `struck`: a fault has met it.
    pub(crate) fn wrote(&self, site: &Site, struck: bool) {
        if site.is_kube_write() {
            self.track().kube_writes += 1;
            loads::after_a_write(self, struck);
            self.note_links();
            judge::after_a_write(self);
        }
    }

    /// A request is on its way to the provider.
    pub(crate) fn called(&self, site: &Site) {
        if is_write(site) {
            self.track().calls += 1;
        }
    }

    /// The provider has dealt with a request.
    pub(crate) fn answered(&self, site: &Site) {
        if is_write(site) {
            judge::after_a_call(self);
        }
    }

    /// Starts a process of the operator. When it is killed, or has stopped as it was asked to, another one takes its place.
    pub(crate) fn start(&self) {
        let world = self.clone();
        let number = {
            let mut track = self.track();
            track.operators += 1;
            track.operators
        };
        tokio::spawn(async move {
            loop {
                let process = Process::numbered(number);
                let stop = process.stop();
                let mut task = tokio::spawn(world.operator(&process, stop.clone()));
                tokio::select! {
                    biased;
                    () = process.death() => {
                        task.abort();
                        let _ = task.await;
                    }
                    ended = &mut task => match ended {
                        Ok(Ok(())) if stop.peek().is_some() => process.end(),
                        _ => return world.blame(format!("an operator ended by itself: {ended:?}")),
                    },
                    () = world.overdue(&stop) => {
                        task.abort();
                        process.end();
                        return world.blame("an operator that was asked to stop did not end in time".to_owned());
                    }
                }
                tokio::time::sleep(RESTART).await;
            }
        });
    }

    /// Done when a process that was asked to stop has had all the time that it may take. What is under way needs less, unless
    /// something keeps it.
    async fn overdue(&self, stop: &Stop) {
        stop.clone().await;
        tokio::time::sleep(GRACE.saturating_sub(ENDING)).await;
        if self.has_happened(|event| event.is_fault() && !event.is_light()) {
            tokio::time::sleep(ENDING * 2).await;
        }
    }

    fn operator(&self, process: &Process, stop: Stop) -> impl Future<Output = Result<(), RunError>> + Send + 'static {
        let tap = KubeTap::new(self.clone(), process.clone(), self.api().service());
        let policy = self.scenario().policy;
        // The clocks of two differ too.
        let lags = policy == Policy::Behind || policy == Policy::Twins && process.is_second();
        let behind = if lags { SKEW } else { SignedDuration::ZERO };
        let clock = self.simulator().clock().clone();
        let now = move || clock.now().saturating_sub(behind).unwrap_or(EPOCH);
        let reach = Reach::simulated(tap, Some(tap::wire(self.clone(), process.clone())), now);
        let gate = Readiness::default().gate("watches");
        let metrics = self.0.metrics.clone();
        Box::pin(engine::run(reach, settings(), metrics, gate, stop))
    }
}

/// A request that changes something at the provider.
fn is_write(site: &Site) -> bool {
    matches!(site, Site::Call(method, _) if *method != Method::GET)
}

fn settings() -> Settings {
    Settings {
        namespace: Some(NAMESPACE.to_owned()),
        allow: AllowList::new(&[]).unwrap_or_else(|_| unreachable!("an empty list is a list")),
        ca_bundle: None,
        concurrency: 4,
        listen: ([127, 0, 0, 1], 0).into(),
        watch_secrets: true,
        lease: None,
        identity: "tradewind-histories".to_owned(),
        timing: TIMING,
        poll: Duration::from_secs(15),
        probe_interval: Duration::from_mins(5),
        shutdown_grace: GRACE,
    }
}

/// A provider that grants nothing, and whose lists lag.
fn setup(links: Duration) -> Setup {
    // Data that moves by itself is written now and then; it would look like unrest.
    let (seconds, never) = (Duration::from_secs, Duration::from_hours(1000));
    let rutter = rutter::Settings {
        initial_sync: seconds(4),
        history: seconds(4),
        sync_period: never,
        list_lag: TIMING.lag,
        deleted_rows_linger: true,
        ..rutter::Settings::default()
    };
    let sku_io = sku_io::Settings {
        cleanup: seconds(20),
        list_lag: TIMING.lag,
        sync_period: never,
        ..sku_io::Settings::default()
    };
    let arcus = arcus::Settings {
        test_rate: None,
        live_rate: None,
        sync_period: never,
        link_lifetime: links,
        honours_idempotency_keys: false,
        ..arcus::Settings::default()
    };
    let accounts = vec![
        rutter::Account::default(),
        rutter::Account { client_secret: OTHER_SECRET.to_owned(), ..rutter::Account::default() },
    ];
    let sku_accounts = vec![
        sku_io::Account::default(),
        sku_io::Account { token: OTHER_TOKEN.to_owned(), ..sku_io::Account::default() },
    ];
    let arcus_accounts = vec![
        arcus::Account::default(),
        arcus::Account { name: OTHER.to_owned(), key: OTHER_KEY.to_owned(), ..arcus::Account::default() },
    ];
    Setup { rutter, sku_io, arcus, accounts, sku_accounts, arcus_accounts, ..Setup::default() }
}
