//! Every history with two events, and shares of them where all are more than one machine lives in a night.

use std::{fmt, str::FromStr};

use crate::{
    event::Event,
    explore::{Report, next, tell, together, undisturbed},
    scenario::Scenario,
    site::Site,
};

/// Of which scenarios and events every history with two events is lived.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// What is declared.
    pub scenarios: Vec<Scenario>,
    /// What can happen.
    pub events: Vec<Event>,
    /// Also where the object has come to rest once: anywhere in its life, and not only while its record is made.
    pub anywhere: bool,
    /// The part of them that is lived.
    pub share: Share,
    /// Histories at the same time.
    pub threads: usize,
}

/// One of so many parts that are about as long and have nothing in common. All of them together are the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which one, from one on.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Share {
    /// Everything.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    fn part<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.number - 1).step_by(self.of).collect()
    }
}

impl FromStr for Share {
    type Err = String;

    /// Reads `3/500`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!("write K/N with K from 1 to N, such as 3/500, not {text}")),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Lives every history with two events, or a share of them.
#[must_use]
pub fn pairs(plan: &Pairs) -> Report {
    let admitted = |scenario, points: &[Site], before| {
        let rest = points.iter().position(|site| *site == Site::Rest).filter(|_| !plan.anywhere);
        next(scenario, points.get(..rest.unwrap_or(points.len())).unwrap_or_default(), before, &plan.events)
    };
    let (mut first, mut report) = (Vec::new(), Report::default());
    for (scenario, outcome) in undisturbed(&plan.scenarios, plan.threads) {
        report.points += outcome.points.len();
        first.extend(admitted(scenario, &outcome.points, None).into_iter().map(|event| (scenario, event)));
    }
    let first = plan.share.part(first);
    report.join(together(plan.threads, first.len(), |number, report| {
        let Some((scenario, one)) = first.get(number).copied() else { return };
        let outcome = tell(scenario, &[one]);
        if outcome.void {
            return;
        }
        for other in admitted(scenario, &outcome.points, Some(one)) {
            let script = [one, other];
            report.add(scenario, &script, &tell(scenario, &script));
        }
    }));
    report
}
