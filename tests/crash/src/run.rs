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
use crate::sweep::{Manner, Script, Swept, sweep};
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
/// A life whose records are retained is like the others until they are deleted: these are all the writes from then on, and the one or
/// two before.
const LATE: &[Manner] = &[Manner::Late(6)];

/// For how long a naive controller is killed at any moment: a dozen times and more.
const NAIVE: Duration = Duration::from_secs(20);

impl Plan {
    fn scripts(&self) -> Vec<(Script, &'static [Manner])> {
        let all = |objects, retain, manners| ALL.map(|provider| (script(provider, objects, retain), manners));
        if self.short {
            [all(1, false, ONCE), all(1, true, LATE)].concat()
        } else {
            [all(1, false, EVERY), all(3, false, ONCE), all(1, true, ONCE)].concat()
        }
    }

    fn courses(&self) -> [Course; 2] {
        let course = |(objects, seconds), operators| Course {
            objects,
            work: Duration::from_secs(seconds),
            operators,
            seed: self.seed,
        };
        let [one, two] = if self.short { [(40, 12), (20, 12)] } else { [(500, 240), (150, 60)] };
        [course(one, 1), course(two, 2)]
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
            self.sweep(&plane, &ours, (script, manners), &mut report, &say).await?;
        }
        self.stops(&plane, &ours, &mut report, &say).await?;
        self.sweep(&plane, &theirs, (script(Provider::Rutter, 1, false), ONCE), &mut report, &say).await?;
        let mut courses = Vec::from(self.courses().map(|course| (course, &ours)));
        courses.push((Course { objects: 40, work: NAIVE, operators: 1, seed: self.seed }, &theirs));
        self.any_moment(&plane, courses, &mut report, &say).await?;
        self.judge(&mut report);
        Ok(report)
    }

    async fn sweep(
        &self,
        plane: &Plane,
        subject: &Subject,
        (script, manners): (Script, &[Manner]),
        report: &mut Report,
        say: &impl Fn(String),
    ) -> Result<()> {
        let begun = Instant::now();
        let swept = sweep(plane, subject, script, manners, self.lanes).await?;
        let Swept { writes, fewest, totals, missed, beyond } = swept;
        let (part, took) = (part(subject, manners), begun.elapsed().as_secs_f64());
        say(format!("{part} {script}, n={writes:<3} (shortest {fewest}) {totals} in {took:.0}s"));
        for line in beyond {
            say(format!("    beyond the end of a life: {line}"));
        }
        report.failures.extend(missed.into_iter().map(|line| format!("{part}: {line}")));
        report.absorb(subject, part, totals);
        Ok(())
    }

    /// All at the same time: one operator does little, and most of that is waiting.
    async fn any_moment(
        &self,
        plane: &Plane,
        courses: Vec<(Course, &Subject)>,
        report: &mut Report,
        say: &impl Fn(String),
    ) -> Result<()> {
        let ended = stream::iter(courses).map(|(course, subject)| async move {
            let (begun, outcome) = (Instant::now(), course.run(plane, subject).await?);
            anyhow::Ok((course, subject, outcome, begun.elapsed()))
        });
        let mut ended = ended.buffer_unordered(self.lanes);
        while let Some((course, subject, outcome, took)) = ended.try_next().await? {
            let Course { objects, operators, work, seed } = course;
            let part = if subject.is_ours() { "any moment" } else { "naive, any moment" };
            let what = format!("{part}, {objects} objects, {operators} operator(s), {work:?} of work, seed {seed}");
            let totals = total(&what, &outcome);
            say(format!("{what}: {totals} in {:.0}s", took.as_secs_f64()));
            report.absorb(subject, part, totals);
        }
        Ok(())
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
    }
}

impl Report {
    /// Adds a part. One in which a naive controller does no harm is one in which ours proves nothing.
    fn absorb(&mut self, subject: &Subject, part: &str, totals: Totals) {
        if subject.is_ours() {
            self.ours.absorb(totals);
            return;
        }
        if totals.faults.duplicates == 0 {
            self.failures.push(format!("{part}: the naive controller made no duplicates, so this run proves nothing"));
        }
        self.naive.absorb(totals);
    }
}

/// What a sweep is called.
fn part(subject: &Subject, manners: &[Manner]) -> &'static str {
    match (subject.is_ours(), manners) {
        (true, [Manner::Late(_)]) => "late writes",
        (true, _) => "every write",
        (false, _) => "naive, every write",
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
