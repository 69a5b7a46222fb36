//! The whole run: its parts one after the other, and what they add up to.
//!
//! Owns which parts there are, and what makes a run fail. It must never let a run pass whose harness has proved nothing.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;
use tradewind_simulator::Provider;

use crate::plane::Plane;
use crate::random::Course;
use crate::stopped::{Moment, stop};
use crate::sweep::{Manner, Script, sweep};
use crate::thing::LIST_LAG;
use crate::totals::Totals;
use crate::world::{Outcome, Subject, TIMES};

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `tradewind`.
    pub operator: PathBuf,
    /// The naive controller.
    pub naive: PathBuf,
    /// Where files go.
    pub dir: PathBuf,
    /// Lives at the same time.
    pub lanes: usize,
    /// What is drawn is drawn from it.
    pub seed: u64,
    /// The short form.
    pub short: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The operator.
    pub ours: Totals,
    /// The naive controller.
    pub naive: Totals,
    /// What is wrong with the run as a whole.
    pub failures: Vec<String>,
}

/// A script with all ways in which its lives are killed.
const fn script(provider: Provider, objects: usize, retain: bool) -> Script {
    Script { provider, objects, retain }
}

const ALL: [Provider; 3] = [Provider::Rutter, Provider::SkuIo, Provider::Arcus];
const EVERY: &[Manner] = &[Manner::Once, Manner::Twice(1), Manner::Twice(3)];
const ONCE: &[Manner] = &[Manner::Once];

impl Plan {
    fn scripts(&self) -> Vec<(Script, &'static [Manner])> {
        let one = ALL.map(|provider| (script(provider, 1, false), if self.short { ONCE } else { EVERY }));
        let mut scripts = one.to_vec();
        if !self.short {
            scripts.extend(ALL.map(|provider| (script(provider, 3, false), ONCE)));
            scripts.extend(ALL.map(|provider| (script(provider, 1, true), ONCE)));
        }
        scripts
    }

    fn courses(&self) -> Vec<Course> {
        let course = |objects, seconds, operators| Course {
            objects,
            work: Duration::from_secs(seconds),
            operators,
            seed: self.seed,
        };
        if self.short { vec![course(40, 12, 1)] } else { vec![course(500, 240, 1), course(150, 60, 2)] }
    }

    /// Runs all of it, and tells `say` about each part when it is over.
    ///
    /// # Errors
    /// The machinery failed.
    pub async fn run(&self, say: impl Fn(String)) -> Result<Report> {
        let plane = Plane::start(&self.dir).await?;
        let (ours, theirs) = (Subject::Operator(self.operator.clone()), Subject::Naive(self.naive.clone()));
        say(self.to_string());
        let mut report = Report::default();
        for (script, manners) in self.scripts() {
            let begun = Instant::now();
            let (writes, totals) = sweep(&plane, &ours, script, manners, self.lanes).await?;
            say(format!("every write {script}, n={writes:<3} {totals} in {:.0}s", begun.elapsed().as_secs_f64()));
            if totals.missed * 10 > totals.kills {
                report.failures.push(format!("{script}: {} of the kills never came", totals.missed));
            }
            report.ours.absorb(totals);
        }
        self.stops(&plane, &ours, &mut report, &say).await?;
        for course in self.courses() {
            let Course { objects, operators, work, seed } = course;
            let begun = Instant::now();
            let outcome = course.run(&plane, &ours).await?;
            let what = format!("any moment, {objects} objects, {operators} operator(s), {work:?} of work, seed {seed}");
            let totals = total(&what, &outcome);
            say(format!("{what}: {totals} in {:.0}s", begun.elapsed().as_secs_f64()));
            report.ours.absorb(totals);
        }
        let (writes, naive) = sweep(&plane, &theirs, script(Provider::Rutter, 1, false), ONCE, self.lanes).await?;
        say(format!("naive, every write of n={writes}: {naive}"));
        report.naive = naive;
        self.judge(&mut report);
        Ok(report)
    }

    async fn stops(&self, plane: &Plane, ours: &Subject, report: &mut Report, say: &impl Fn(String)) -> Result<()> {
        let cases = ALL.into_iter().flat_map(|p| [Moment::BeforeTheCheck, Moment::AfterTheCheck].map(|m| (p, m)));
        let verdicts = stream::iter(cases).map(|(provider, moment)| stop(plane, ours, provider, moment));
        let mut verdicts: Vec<_> = verdicts.buffer_unordered(self.lanes).try_collect().await?;
        verdicts.sort_by_key(|verdict| (verdict.moment == Moment::AfterTheCheck, verdict.provider));
        for verdict in verdicts {
            say(verdict.to_string());
            if !verdict.is_kept() {
                report.failures.push(verdict.to_string());
            }
        }
        Ok(())
    }

    fn judge(&self, report: &mut Report) {
        let least = if self.short { 100 } else { 1000 };
        if !report.ours.is_clean() {
            report.failures.push(format!("the operator: {}", report.ours));
        }
        if report.ours.kills < least {
            report.failures.push(format!("{} kills, and not {least}", report.ours.kills));
        }
        if report.naive.faults.duplicates == 0 {
            report.failures.push("the naive controller made no duplicates: this run proves nothing".to_owned());
        }
    }
}

fn total(what: &str, outcome: &Outcome) -> Totals {
    let mut totals = Totals::default();
    totals.add(what, outcome);
    totals
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "settings: no lease")?;
        for (flag, time) in TIMES {
            write!(f, ", {flag}={time:?}")?;
        }
        write!(f, "; lists of the providers lag {LIST_LAG:?}; lanes={} seed={}", self.lanes, self.seed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in self.ours.notes.iter().take(10) {
            writeln!(f, "{note}")?;
        }
        for failure in &self.failures {
            writeln!(f, "FAILED: {failure}")?;
        }
        writeln!(f, "naive:     {}", self.naive)?;
        write!(f, "tradewind: {}", self.ours)
    }
}
