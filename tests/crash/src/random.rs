//! Objects created, edited and deleted while the operator is killed at any moment.
//!
//! Owns the course of that: who does what when, drawn from a seed that is printed. Strangers have records from the start, some of
//! them of stores that are declared too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;
use tradewind::domain::intent::SLACK;
use tradewind_simulator::{Effect, Fault, Operation, Provider, Random};

use crate::board::Picture;
use crate::oracle::Record;
use crate::plane::Plane;
use crate::refreshes::odd;
use crate::strangers::{CONTESTED, bystanders, rivals};
use crate::sweep::{unedited, unlike};
use crate::thing::{CONFIGURED, LIST_LAG, Thing};
use crate::world::{Outcome, Station, Stuck, Subject, World, simulator};

/// How much of it there is.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// Objects that are declared.
    pub objects: usize,
    /// For how long people are at work, and kills come.
    pub work: Duration,
    /// Operators at once, without a lease.
    pub operators: usize,
    /// Everything is drawn from it.
    pub seed: u64,
}

/// The pause before a kill, in milliseconds.
const PAUSE: std::ops::Range<u64> = 200..2000;
/// Every so many-th object is deleted again.
const DELETED: u64 = 3;
/// How long a provider takes to answer a create whose record is there already. So a kill at any moment often comes between the two.
const THOUGHT: Duration = Duration::from_millis(500);

/// What is drawn from a seed.
#[derive(Clone, Debug)]
struct Draw(Random);

impl Draw {
    fn seeded(seed: u64) -> Self {
        Self(Random::seeded(seed))
    }

    fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.0.number() % range.end.saturating_sub(range.start).max(1)
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.within(0..length as u64)).unwrap_or_default()
    }
}

impl Course {
    /// Half of them at Rutter, a tenth at Arcus as far as it has types, the rest at SKU.io; in the order in which they are made. For a
    /// naive controller all of them at Rutter, which is all that it knows, and none whose record is a stranger's.
    fn things(self, ours: bool) -> (Vec<Thing>, usize) {
        if !ours {
            return ((0..self.objects).map(|n| Thing::new(Provider::Rutter, CONTESTED + n)).collect(), 1);
        }
        let entities = (self.objects / 10).div_ceil(CONFIGURED.len()).max(1);
        let arcus = (self.objects / 10).min(entities * CONFIGURED.len());
        let rutter = self.objects / 2;
        let sku = self.objects - rutter - arcus;
        let mut things: Vec<_> = (0..rutter).map(|n| Thing::new(Provider::Rutter, n)).collect();
        things.extend((0..sku).map(|n| Thing::new(Provider::SkuIo, n)));
        things
            .extend((0..arcus).map(|n| Thing::of_entity(Provider::Arcus, n / CONFIGURED.len(), n % CONFIGURED.len())));
        let mut draw = Draw::seeded(self.seed ^ 1);
        for last in (1..things.len()).rev() {
            things.swap(last, draw.index(last + 1));
        }
        (things, entities)
    }

    /// The whole of it.
    ///
    /// # Errors
    /// The machinery failed. What the operator does wrong is in the outcome.
    pub async fn run(self, plane: &Plane, subject: &Subject) -> Result<Outcome> {
        let (things, entities) = self.things(subject.is_ours());
        let simulator = simulator(self.seed, entities);
        bystanders(&simulator)?;
        let mut contested = rivals(&simulator)?;
        contested.retain(|key| things.iter().any(|thing| thing.key() == *key));
        simulator.push_fault(Fault::on(Operation::Create, Effect::SlowAfter { delay: THOUGHT }).forever());
        let old = Instant::now() + LIST_LAG + SLACK.unsigned_abs();
        let mut world = World::new(plane, "random", simulator).await?;
        for _ in 0..self.operators {
            world.station(plane, subject, &[]).await?;
        }
        world.furnish(&things).await?;
        // What strangers have had from the start is in the lists, and older than clocks may differ by: nobody could tell
        // it from what an attempt makes at this moment.
        tokio::time::sleep_until(old).await;
        for station in &world.stations {
            station.program.start().await?;
        }
        let over = AtomicBool::new(false);
        let people = async {
            let done = self.people(&world, &things).await;
            over.store(true, Ordering::Relaxed);
            done
        };
        let (done, ()) = tokio::join!(people, self.kill(&world, &over));
        let done = done?;
        let stuck = world.until(|picture, records| missing(&things, &contested, &done, picture, records)).await;
        let recovery = world.last_kill().map(|kill| kill.elapsed()).unwrap_or_default();
        // What a stranger has is nobody's to name: such an object has no record of its own, and one beside the stranger's is one too many.
        let own: Vec<_> = things.into_iter().filter(|thing| !contested.contains(&thing.key())).collect();
        // Nobody asks for a load here: what the creates bring is asked for once at most.
        let writes: Vec<_> = world.stations.iter().flat_map(Station::writes).collect();
        let odd = if subject.is_ours() { odd(&world.simulator, &own, &writes, false) } else { Vec::new() };
        let mut outcome = world.conclude(&own, &stuck, odd).await;
        outcome.objects += contested.len();
        Ok(Outcome { recovery, ..outcome })
    }

    async fn kill(self, world: &World, over: &AtomicBool) {
        let mut draw = Draw::seeded(self.seed ^ 2);
        while !over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(draw.within(PAUSE))).await;
            let which = draw.index(world.stations.len());
            if let Some(station) = world.stations.get(which) {
                station.program.strike().await;
            }
        }
    }

    /// Creates everything, with edits and deletions between.
    async fn people(self, world: &World, things: &[Thing]) -> Result<Done> {
        let mut draw = Draw::seeded(self.seed ^ 3);
        let (begun, mut done, mut left) = (Instant::now(), Done::default(), Vec::new());
        let steps = u32::try_from(things.len()).context("so many objects")?.max(1);
        for (step, thing) in (1..).zip(things) {
            world.apply(thing.manifest(0)).await?;
            left.push(thing);
            let some = draw.index(left.len());
            let chosen = left.get(some).copied().filter(|thing| !done.deleted.contains(&thing.on_board()));
            if let Some(thing) = chosen {
                if draw.within(0..DELETED) == 0 {
                    world.delete(thing.kind(), &thing.name).await?;
                    done.deleted.insert(thing.on_board());
                    left.swap_remove(some);
                } else if thing.is_editable() {
                    world.apply(thing.manifest(step as usize)).await?;
                    done.edits.insert(thing.on_board(), step as usize);
                }
            }
            tokio::time::sleep_until(begun + self.work * step / steps).await;
        }
        Ok(done)
    }
}

/// What people have done, by the names on the board.
#[derive(Clone, Debug, Default)]
struct Done {
    deleted: BTreeSet<String>,
    /// The last edit of what was edited.
    edits: BTreeMap<String, usize>,
}

/// What is not as declared: there and not ready, or not with its last edit, or not gone; where a stranger has the record, not refused.
fn missing(
    things: &[Thing],
    contested: &BTreeSet<String>,
    done: &Done,
    picture: &Picture,
    records: &[Record],
) -> Stuck {
    let (gone, there): (Vec<_>, Vec<_>) = things.iter().cloned().partition(|t| done.deleted.contains(&t.on_board()));
    let (theirs, ours): (Vec<_>, Vec<_>) = there.into_iter().partition(|thing| contested.contains(&thing.key()));
    let edit = |thing: &Thing| done.edits.get(&thing.on_board()).copied().unwrap_or_default();
    let mut left = unedited(ours.iter().map(|thing| (thing, edit(thing))), picture, records);
    left.extend(unlike(&theirs, picture, |seen| seen.reason() == "AlreadyExists" && seen.id().is_none()));
    left.extend(gone.iter().map(Thing::on_board).filter(|name| picture.contains_key(name)));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_is_declared_once() {
        for objects in [30, 120, 500] {
            let course = Course { objects, work: Duration::ZERO, operators: 1, seed: 7 };
            let (things, _) = course.things(true);
            let keys: BTreeSet<_> = things.iter().map(|thing| (thing.provider, thing.key())).collect();
            assert_eq!((things.len(), keys.len()), (objects, objects));
        }
    }

    #[test]
    fn a_naive_controller_has_stores_of_rutter_that_are_no_strangers() {
        let course = Course { objects: 40, work: Duration::ZERO, operators: 1, seed: 7 };
        let (things, entities) = course.things(false);
        let contested = rivals(&simulator(7, entities)).expect("strangers");
        assert_eq!(things.iter().filter(|thing| thing.provider == Provider::Rutter).count(), 40);
        assert!(!things.iter().any(|thing| contested.contains(&thing.key())));
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |seed| {
            let mut draw = Draw::seeded(seed);
            [(); 8].map(|()| draw.within(PAUSE))
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(3).iter().all(|n| PAUSE.contains(n)));
    }
}
