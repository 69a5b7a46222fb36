//! The life of one object: declared, edited, refreshed, deleted; and what happens to it on the way.

use std::time::Duration;

use serde_json::Value;
use tradewind::{api::keys, domain::reason::Reason};

use crate::{
    event::Event,
    judge,
    scenario::{ACCOUNT, LOGIN, NAME, NAMESPACE, Policy, STORE_LOGIN, Scenario, TWIN},
    site::Site,
    truth,
    world::World,
};

/// The steps of a life, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Account, Secrets and object are applied.
    Declare,
    /// It is edited.
    Edit,
    /// A refresh is asked for.
    Refresh,
    /// It is deleted.
    Delete,
    /// Account and Secrets are deleted.
    Leave,
}

/// All of them.
const STEPS: [Step; 5] = [Step::Declare, Step::Edit, Step::Refresh, Step::Delete, Step::Leave];

/// How often it is looked whether anything still moves.
const TICK: Duration = Duration::from_secs(15);
/// So many looks without a write are a rest: longer than a grace.
const QUIET: usize = 3;
/// Nothing that is not broken moves longer than this many looks.
const RESTLESS: usize = 240;
/// How long a refusal keeps an object from trying again, and some more.
const PATIENCE: Duration = Duration::from_mins(11);

/// So often people mend and wait; more is of no use.
const ROUNDS: usize = 3;

/// Nothing of an object, its account or its credentials is looked at less often than this.
const STEADY: Duration = Duration::from_mins(7);

/// So often each operator looks at all there is in that time, at most: at two objects that wait for each other, and at their
/// account.
const LOOKS: usize = 8;
/// So many requests to the provider each of them takes for that. Twelve is what a store of Rutter takes.
const REQUESTS: usize = 18;

/// What came of a history.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its points, for histories that go on from it.
    pub points: Vec<Site>,
    /// What is wrong, in words; nothing in a good one.
    pub blames: Vec<String>,
    /// It is another history's double: something that was to happen changed nothing.
    pub void: bool,
}

/// How long the links live that somebody follows.
const LINKS: Duration = Duration::from_mins(10);

/// What an object did while nobody did anything for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vigil {
    /// The reason for which it is not ready.
    pub reason: Option<String>,
    /// Writes of objects and Secrets.
    pub kube_writes: usize,
    /// Writes at the provider.
    pub calls: usize,
    /// Requests to the provider, reads included.
    pub requests: usize,
}

/// Declares an object that a person has to do something for, lets it come to rest, and lets nobody come for this long.
pub(crate) async fn wait(scenario: Scenario, long: Duration) -> Vigil {
    let world = World::new(scenario, &[], long * 2);
    world.start();
    world.take(Step::Declare);
    world.rest().await;
    let before = world.counts();
    tokio::time::sleep(long).await;
    let after = world.counts();
    let ready = world.object(NAME).and_then(|object| condition(&object, "Ready"));
    Vigil {
        reason: ready.filter(|(status, _)| status == "False").map(|(_, reason)| reason),
        kube_writes: after.0 - before.0,
        calls: after.1 - before.1,
        requests: after.2 - before.2,
    }
}

/// Lives a life in which this happens at these points, to its end, and judges it.
pub(crate) async fn live(scenario: Scenario, script: &[(usize, Event)]) -> Outcome {
    let world = World::new(scenario, script, LINKS);
    // What was there before is in the provider's lists by now.
    tokio::time::sleep(TICK).await;
    world.start();
    if scenario.policy == Policy::Twins {
        world.start();
    }
    tokio::spawn(world.clone().be_human());
    for step in STEPS {
        world.take(step);
        world.rest().await;
        if world.track().void {
            // Another history's double: nobody asks how it ends.
            break;
        }
        if !world.arrive(&Site::Rest).is_empty() {
            world.rest().await;
        }
        // What happens while something is mended is mended too.
        for _ in 0..ROUNDS {
            if !world.mend_for(step) {
                break;
            }
            world.rest().await;
        }
        world.notices().await;
        // What was mended at last takes its time too.
        for _ in 0..ROUNDS {
            if !judge::waits(&world, step) {
                break;
            }
            tokio::time::sleep(PATIENCE).await;
            world.rest().await;
            if !world.mend_for(step) {
                break;
            }
            world.rest().await;
        }
        judge::at_rest(&world, step);
        if step == Step::Refresh {
            world.stands_still().await;
            truth::is_told(&world);
        }
        if step == Step::Leave {
            truth::is_held(&world);
        }
    }
    judge::at_the_end(&world);
    if world.track().is_scripted() && !world.track().void {
        world.blame("what was to happen did not: the life ended before its point".to_owned());
    }
    let track = world.track();
    Outcome { points: track.points.clone(), blames: track.blames.clone(), void: track.void }
}

impl World {
    pub(crate) fn take(&self, step: Step) {
        match step {
            Step::Declare => {
                let object = self.scenario().object(NAME);
                for manifest in self.scenario().furniture().iter().chain([&object]) {
                    if let Err(failure) = self.api().apply(NAMESPACE, manifest) {
                        self.blame(format!("a manifest was refused: {}", failure.message));
                    }
                }
            }
            Step::Edit => drop(self.change(&self.scenario().edit(1))),
            Step::Refresh => {
                if self.scenario().refreshes() {
                    self.track().refreshing = true;
                    self.annotate(keys::REFRESH);
                }
            }
            Step::Delete => {
                self.delete_object(NAME);
                self.delete_object(TWIN);
            }
            Step::Leave => {
                let _ = self.api().delete("provideraccounts", NAMESPACE, ACCOUNT);
                let _ = self.api().delete("secrets", NAMESPACE, LOGIN);
                let _ = self.api().delete("secrets", NAMESPACE, STORE_LOGIN);
            }
        }
    }

    /// What was broken is mended, unless it is over anyway.
    fn mend_for(&self, step: Step) -> bool {
        let over = step == Step::Leave;
        if over {
            self.api().lag(Duration::ZERO);
        }
        !over && self.happened() > 0 && self.mend(step)
    }

    /// Waits until nobody has written for a while.
    async fn rest(&self) {
        let (mut before, mut quiet) = (self.written(), 0);
        for _ in 0..RESTLESS {
            tokio::time::sleep(TICK).await;
            if self.track().void {
                return;
            }
            let now = self.written();
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
            if quiet >= QUIET {
                return;
            }
        }
        self.blame("no rest: it writes on and on".to_owned());
    }

    /// What happened at the provider is noticed an interval later.
    async fn notices(&self) {
        let unnoticed = std::mem::take(&mut self.track().unnoticed);
        if unnoticed > 0 {
            tokio::time::sleep(PATIENCE).await;
            self.rest().await;
        }
    }

    /// What is settled stays so, and is not looked at more often than it must be; also where a person is asked. Time passes
    /// here also where more is yet to happen: a point must have the same number whatever the script has for later ones.
    async fn stands_still(&self) {
        let mut noticed = 0;
        let (before, passes, after) = loop {
            // What happened at the provider is noticed an interval later.
            while noticed != self.happened() {
                noticed = self.happened();
                tokio::time::sleep(PATIENCE).await;
                self.rest().await;
            }
            let (before, passes, happened) = (self.counts(), self.passes(), self.happened());
            tokio::time::sleep(STEADY).await;
            if self.track().void {
                return;
            }
            if self.happened() == happened {
                break (before, self.passes() - passes, self.counts());
            }
        };
        let (written, called, requests) = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
        if (written, called) != (0, 0) {
            self.blame(format!("{written} writes of objects and {called} at the provider in a steady state"));
        }
        let operators = usize::try_from(self.track().operators).unwrap_or(usize::MAX);
        if passes > LOOKS * operators || requests > REQUESTS * operators {
            self.blame(format!("{passes} looks and {requests} requests in a steady state of {operators} operators"));
        }
    }

    /// How often an object or an account was looked at, whatever came of it.
    fn passes(&self) -> usize {
        let metrics = self.metrics();
        let of =
            |line: &str| line.strip_prefix("tradewind_reconciles_total{")?.rsplit(' ').next()?.parse::<usize>().ok();
        metrics.lines().filter_map(of).sum()
    }

    /// Writes of objects and Secrets, writes at the provider, and all requests to it.
    fn counts(&self) -> (usize, usize, usize) {
        let track = self.track();
        (track.kube_writes, track.calls, track.points.iter().filter(|site| site.is_call()).count())
    }

    fn written(&self) -> (usize, usize, u64) {
        let track = self.track();
        (track.kube_writes, track.calls, self.revision())
    }

    fn happened(&self) -> usize {
        self.track().happened.len()
    }
}

/// A condition of an object: its status and reason.
pub(crate) fn condition(object: &Value, kind: &str) -> Option<(String, String)> {
    let all = object.pointer("/status/conditions")?.as_array()?;
    let one = all.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(kind))?;
    let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some((text("status"), text("reason")))
}

/// Whether the reason for which an object is ready, or is not, is one of these.
pub(crate) fn says(object: &Value, reasons: &[Reason]) -> bool {
    let reason = condition(object, "Ready").and_then(|(_, reason)| reason.parse().ok());
    reason.is_some_and(|reason| reasons.contains(&reason))
}
