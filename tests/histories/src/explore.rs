//! Which histories are lived: all with one event, and seeded draws that go on from them with more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::runtime::Builder;
use tradewind_simulator::Random;

use crate::{
    event::Event,
    flavour::Flavour,
    life::{self, Outcome, Vigil},
    scenario::Scenario,
    site::Site,
};

/// What happens, at which points.
pub type Script = Vec<(usize, Event)>;

/// A history that went wrong.
#[derive(Clone, Debug)]
pub struct Found {
    /// What is declared.
    pub scenario: Scenario,
    /// What happened.
    pub script: Script,
    /// The same in words.
    pub story: String,
}

/// What came of many histories.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many were lived; doubles are not counted.
    pub histories: usize,
    /// Those of them in which more than one thing happened.
    pub drawn: usize,
    /// The points of all undisturbed lives.
    pub points: usize,
    /// What went wrong, and the shortest history of each flavour in which it did.
    pub found: BTreeMap<String, Found>,
    /// How many histories went wrong.
    pub bad: usize,
    /// How many histories have really lived what happens in them, of each flavour and event.
    pub lived: BTreeMap<(Flavour, Event), usize>,
}

impl Report {
    pub(crate) fn add(&mut self, scenario: Scenario, script: &[(usize, Event)], outcome: &Outcome) {
        if outcome.void {
            return;
        }
        self.histories += 1;
        self.drawn += usize::from(script.len() > 1);
        self.bad += usize::from(!outcome.blames.is_empty());
        for (_, event) in script {
            *self.lived.entry((scenario.flavour, *event)).or_default() += 1;
        }
        for blame in &outcome.blames {
            let what = format!("{:?}: {blame}", scenario.flavour);
            let story = describe(scenario, script, &outcome.points);
            self.keep(what, Found { scenario, script: script.to_vec(), story });
        }
    }

    /// What can happen in one of these scenarios, and never did: its histories are not told.
    #[must_use]
    pub fn untold(&self, scenarios: &[Scenario], events: &[Event]) -> Vec<String> {
        let mut untold = BTreeSet::new();
        for scenario in scenarios {
            let admitted = events.iter().filter(|event| scenario.allows(**event));
            let never = admitted.filter(|event| !self.lived.contains_key(&(scenario.flavour, **event)));
            untold.extend(never.map(|event| format!("{:?}: {event:?}", scenario.flavour)));
        }
        untold.into_iter().collect()
    }

    /// The shortest history stands for all in which the same went wrong.
    fn keep(&mut self, what: String, found: Found) {
        if self.found.get(&what).is_none_or(|known| known.script.len() > found.script.len()) {
            self.found.insert(what, found);
        }
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.histories += other.histories;
        self.drawn += other.drawn;
        self.points += other.points;
        self.bad += other.bad;
        for (what, times) in other.lived {
            *self.lived.entry(what).or_default() += times;
        }
        for (what, found) in other.found {
            self.keep(what, found);
        }
    }
}

/// Lives one history.
///
/// # Panics
/// Where the system has nothing left for a runtime.
#[must_use]
pub fn tell(scenario: Scenario, script: &[(usize, Event)]) -> Outcome {
    simulated(life::live(scenario, script))
}

/// Declares an object, and lets nobody come for this long once it is at rest.
///
/// # Panics
/// Where the system has nothing left for a runtime.
#[must_use]
pub fn unattended(scenario: Scenario, long: Duration) -> Vigil {
    simulated(life::wait(scenario, long))
}

/// In a time that passes whenever everybody waits. The pauses that watches draw are the same ones each time.
#[expect(clippy::expect_used, reason = "without a runtime there is no history, and nothing to say of it")]
pub(crate) fn simulated<T>(life: impl Future<Output = T>) -> T {
    fastrand::seed(0);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O needs nothing but memory").block_on(life)
}

/// A history in words.
#[must_use]
pub fn describe(scenario: Scenario, script: &[(usize, Event)], points: &[Site]) -> String {
    let place = |at: &usize| points.get(*at).map_or_else(|| "never".to_owned(), Site::to_string);
    let events: Vec<String> = script.iter().map(|(at, event)| format!("{event:?}@{at} ({})", place(at))).collect();
    format!("{scenario} [{}]", events.join(", "))
}

/// Which histories are lived.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is declared.
    pub scenarios: Vec<Scenario>,
    /// What can happen.
    pub events: Vec<Event>,
    /// Every history with one event, and those without.
    pub singles: bool,
    /// About so many drawn ones, each of which goes on from one with one event.
    pub draws: usize,
    /// Events in each of those.
    pub depth: usize,
    /// What is drawn: the same seed draws the same ones.
    pub seed: u64,
    /// Histories at the same time.
    pub threads: usize,
}

impl Plan {
    /// Every history of these scenarios with one of these events.
    #[must_use]
    pub fn every(scenarios: Vec<Scenario>, events: Vec<Event>) -> Self {
        Self { scenarios, events, singles: true, draws: 0, depth: 1, seed: 0, threads: 2 }
    }
}

/// Lives the histories of a plan.
#[must_use]
pub fn explore(plan: &Plan) -> Report {
    let (mut report, mut work) = (Report::default(), Vec::new());
    for (scenario, outcome) in undisturbed(&plan.scenarios, plan.threads) {
        if plan.singles {
            report.add(scenario, &[], &outcome);
        }
        report.points += outcome.points.len();
        work.extend(next(scenario, &outcome.points, None, &plan.events).into_iter().map(|event| (scenario, event)));
    }
    let all = work.len().max(1);
    report.join(together(plan.threads, work.len(), |number, report| {
        let Some((scenario, first)) = work.get(number).copied() else { return };
        let mut random = Random::seeded(plan.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let one_more = random.number() % (all as u64) < (plan.draws % all) as u64;
        let ways = plan.draws / all + usize::from(one_more);
        if !plan.singles && ways == 0 {
            return;
        }
        let outcome = tell(scenario, &[first]);
        if plan.singles {
            report.add(scenario, &[first], &outcome);
        }
        if !outcome.void {
            for _ in 0..ways {
                go_on(plan, scenario, first, &outcome.points, &mut random, report);
            }
        }
    }));
    report
}

/// One drawn history after the other, each with one more event than the one before.
fn go_on(
    plan: &Plan,
    scenario: Scenario,
    first: (usize, Event),
    points: &[Site],
    random: &mut Random,
    report: &mut Report,
) {
    let (mut script, mut points) = (vec![first], points.to_vec());
    while script.len() < plan.depth {
        let Some(event) = one_of(random, &next(scenario, &points, script.last().copied(), &plan.events)) else {
            return;
        };
        script.push(event);
        let outcome = tell(scenario, &script);
        if outcome.void {
            return;
        }
        report.add(scenario, &script, &outcome);
        points = outcome.points;
    }
}

/// The lives in which nothing happens.
pub(crate) fn undisturbed(scenarios: &[Scenario], threads: usize) -> Vec<(Scenario, Outcome)> {
    let lives = on_threads(threads, scenarios.len(), |number| scenarios.get(number).map(|s| (*s, tell(*s, &[]))));
    lives.into_iter().flatten().collect()
}

/// What can happen next, and where. Between two reads nothing changes but what others do, and they can do it before; and
/// only one thing can happen to one request.
pub(crate) fn next(
    scenario: Scenario,
    points: &[Site],
    before: Option<(usize, Event)>,
    events: &[Event],
) -> Vec<(usize, Event)> {
    let events: Vec<Event> = events.iter().filter(|event| scenario.allows(**event)).copied().collect();
    let from = before.map_or(0, |(at, _)| at);
    let reads = |at: usize| points.get(at).is_some_and(|site| !site.has_effect() && *site != Site::Rest);
    let at = |(at, site): (usize, &Site)| {
        let double = at > 0 && reads(at) && reads(at - 1);
        let met = before.is_some_and(|(then, event)| then == at && event.meets_the_request());
        let fits = |e: &&Event| e.fits(site) && if e.meets_the_request() { !met } else { !double };
        events.iter().filter(fits).map(|e| (at, *e)).collect::<Vec<_>>()
    };
    points.iter().enumerate().skip(from).flat_map(at).collect()
}

/// One report of what numbered pieces of work found on several threads.
pub(crate) fn together(threads: usize, count: usize, work: impl Fn(usize, &mut Report) + Sync) -> Report {
    let found = on_threads(threads, count, |number| {
        let mut report = Report::default();
        work(number, &mut report);
        report
    });
    let mut total = Report::default();
    for report in found {
        total.join(report);
    }
    total
}

/// Works on numbered pieces on several threads; what came of them, in their order.
fn on_threads<T: Send>(threads: usize, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let result = work(number);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

fn one_of<T: Copy>(random: &mut Random, all: &[T]) -> Option<T> {
    let index = random.number().checked_rem(all.len() as u64)?;
    all.get(usize::try_from(index).ok()?).copied()
}
