//! What all lives add up to, and how it is told.
//!
//! Owns the line of totals. It must never leave out a fault that was counted.

use std::fmt;
use std::time::Duration;

use crate::oracle::Faults;
use crate::world::Outcome;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Kills.
    pub kills: usize,
    /// Objects.
    pub objects: usize,
    /// Lives.
    pub lives: usize,
    /// Writes of the operators.
    pub writes: u64,
    /// Planned kills that never came, in no life, though the shortest life without kills has their write.
    pub missed: usize,
    /// What went wrong.
    pub faults: Faults,
    /// Operators that ended by themselves, and refreshes too many or too few.
    pub broken: usize,
    /// The longest time from a last kill until everything was as declared.
    pub recovery: Duration,
    /// What is to be read about what went wrong.
    pub notes: Vec<String>,
}

impl Totals {
    /// Adds a life. Whether a kill that did not come in it comes in another one is for who plans them to count.
    pub fn add(&mut self, what: &str, outcome: &Outcome) {
        self.kills += outcome.kills;
        self.objects += outcome.objects;
        self.lives += 1;
        self.writes += outcome.writes;
        self.faults += outcome.faults;
        self.broken += outcome.broken;
        self.recovery = self.recovery.max(outcome.recovery);
        if !outcome.notes.is_empty() {
            self.notes.push(format!("{what}:\n  {}", outcome.notes.join("\n  ")));
        }
    }

    /// Adds all of another part.
    pub fn absorb(&mut self, other: Self) {
        self.kills += other.kills;
        self.objects += other.objects;
        self.lives += other.lives;
        self.writes += other.writes;
        self.missed += other.missed;
        self.faults += other.faults;
        self.broken += other.broken;
        self.recovery = self.recovery.max(other.recovery);
        self.notes.extend(other.notes);
    }

    /// Whether nothing went wrong. All that is declared here has an identity, so nobody has anything to ask a person.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.broken == 0 && self.faults == Faults::default()
    }
}

impl std::ops::AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.duplicates += other.duplicates;
        self.orphans += other.orphans;
        self.lost += other.lost;
        self.stuck += other.stuck;
        self.foreign += other.foreign;
        self.asks += other.asks;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults { duplicates, orphans, lost, stuck, foreign, asks } = self.faults;
        write!(f, "kills={} objects={} ", self.kills, self.objects)?;
        write!(f, "duplicates={duplicates} orphans={orphans} lost={lost} stuck={stuck} foreign={foreign}")?;
        write!(f, " (asks={asks} broken={} missed={} ", self.broken, self.missed)?;
        write!(f, "lives={} writes={} slowest={:.1}s)", self.lives, self.writes, self.recovery.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_and_none_is_clean() {
        let with = |faults| Totals { faults, ..Totals::default() };
        let none = Faults::default();
        assert!(with(none).is_clean());
        let bad = [
            Faults { duplicates: 7, ..none },
            Faults { orphans: 7, ..none },
            Faults { lost: 7, ..none },
            Faults { stuck: 7, ..none },
            Faults { foreign: 7, ..none },
            Faults { asks: 7, ..none },
        ];
        for faults in bad {
            let totals = with(faults);
            assert!(!totals.is_clean() && totals.to_string().contains("=7"), "{totals}");
        }
        assert!(!Totals { broken: 1, ..Totals::default() }.is_clean());
    }
}
