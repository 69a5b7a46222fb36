//! Every write of a whole life, each with a kill before it and a kill after it.
//!
//! Owns the script of a life and the list of lives. A life must never know where its kills are, and no kill that did not come is passed
//! over in silence.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tradewind_simulator::Provider;

use crate::board::{Picture, Seen};
use crate::oracle::Record;
use crate::plane::Plane;
use crate::refreshes::odd;
use crate::strangers::bystanders;
use crate::tap::{Side, Strike};
use crate::thing::Thing;
use crate::totals::Totals;
use crate::world::{Outcome, Station, Stuck, Subject, World, simulator};

/// What the objects of a life are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// At whom.
    pub provider: Provider,
    /// How many objects.
    pub objects: usize,
    /// Their records stay.
    pub retain: bool,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = if self.retain { "retained" } else { "deleted" };
        write!(f, "{:<7} {} object(s), {policy}", format!("{:?}", self.provider), self.objects)
    }
}

/// The token of the refresh that a life asks for.
const AGAIN: &str = "again";

impl Script {
    fn things(self) -> Vec<Thing> {
        let things = (0..self.objects).map(|number| Thing::new(self.provider, number));
        things.map(|thing| if self.retain { thing.retained() } else { thing }).collect()
    }

    /// A life: created, edited and refreshed where that can be, deleted; and then the account, and its login.
    ///
    /// # Errors
    /// The machinery failed. What the operator does wrong is in the outcome.
    pub async fn live(self, plane: &Plane, subject: &Subject, plan: &[Strike]) -> Result<Outcome> {
        let things = self.things();
        let simulator = simulator(0, 1);
        bystanders(&simulator)?;
        let mut world = World::new(plane, "sweep", simulator).await?;
        world.station(plane, subject, plan).await?;
        world.furnish(&things).await?;
        for thing in &things {
            world.apply(thing.manifest(0)).await?;
        }
        for station in &world.stations {
            station.program.start().await?;
        }
        let stuck = self.course(&world, subject, &things).await?;
        let recovery = world.last_kill().map(|kill| kill.elapsed()).unwrap_or_default();
        let writes: Vec<_> = world.stations.iter().flat_map(Station::writes).collect();
        let odd = odd(&world.simulator, &things, &writes, subject.is_ours() && stuck.is_empty());
        let outcome = world.conclude(&things, &stuck, odd).await;
        Ok(Outcome { recovery, ..outcome })
    }

    async fn course(self, world: &World, subject: &Subject, things: &[Thing]) -> Result<Stuck> {
        let mut stuck = world.until(|picture, _| unlike(things, picture, Seen::is_ready)).await;
        if subject.is_ours() && stuck.is_empty() && things.iter().all(Thing::is_editable) {
            for thing in things {
                world.apply(thing.manifest(1)).await?;
            }
            stuck = world.until(|picture, records| unedited(things.iter().map(|t| (t, 1)), picture, records)).await;
        }
        if subject.is_ours() && stuck.is_empty() && things.iter().all(Thing::has_refresh) {
            let ask = json!({"metadata": {"annotations": {tradewind::api::keys::REFRESH: AGAIN}}});
            for thing in things {
                world.patch(thing, &ask).await?;
            }
            stuck = world.until(|picture, _| unlike(things, picture, |seen| answered(seen) && seen.is_ready())).await;
        }
        if !stuck.is_empty() {
            return Ok(stuck);
        }
        for thing in things {
            world.delete(thing.kind(), &thing.name).await?;
        }
        let still = |names: &[String], picture: &Picture| -> Stuck {
            names.iter().filter(|name| picture.contains_key(*name)).cloned().collect()
        };
        let names: Vec<_> = things.iter().map(Thing::on_board).collect();
        stuck = world.until(|picture, _| still(&names, picture)).await;
        // A naive controller knows no accounts.
        if let (true, true, Some(thing)) = (subject.is_ours(), stuck.is_empty(), things.first()) {
            world.delete("ProviderAccount", &thing.account()).await?;
            let account = [format!("ProviderAccount/{}", thing.account())];
            stuck = world.until(|picture, _| still(&account, picture)).await;
            if stuck.is_empty() {
                stuck = world.discard_secret(&thing.login()).await?;
            }
        }
        Ok(stuck)
    }
}

/// The things of which the provider does not show this edit, or which do not say that they are well.
pub(crate) fn unedited<'a>(
    things: impl Iterator<Item = (&'a Thing, usize)>,
    picture: &Picture,
    records: &[Record],
) -> Stuck {
    let live: BTreeMap<_, _> = records.iter().filter(|r| r.live).map(|r| ((r.provider, r.key.as_str()), r)).collect();
    let is_well = |(thing, edit): &(&Thing, usize)| {
        let record = live.get(&(thing.provider, thing.key().as_str())).copied();
        let ready = picture.get(&thing.on_board()).is_some_and(Seen::is_ready);
        ready && record.is_some_and(|record| record.edited == thing.edited(*edit))
    };
    things.filter(|pair| !is_well(pair)).map(|(thing, _)| thing.on_board()).collect()
}

/// The things that are not like this on the board.
pub(crate) fn unlike(things: &[Thing], picture: &Picture, holds: impl Fn(&Seen) -> bool) -> Stuck {
    let names = things.iter().map(Thing::on_board);
    names.filter(|name| !picture.get(name).is_some_and(&holds)).collect()
}

/// Whether the refresh was asked for, or nobody can tell: it was cut off in between. Nothing here refuses one.
fn answered(seen: &Seen) -> bool {
    let done = |entity| {
        let said = seen.refresh(entity);
        said.is_some_and(|(token, at)| token == AGAIN && matches!(at, "Accepted" | "Completed" | "Unknown"))
    };
    done("products") && done("orders")
}

/// How the kills of a life follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// One kill.
    Once,
    /// One kill, at one of the last so many writes: for lives that differ from others only there.
    Late(u64),
    /// And another one while the next process finds its way: at so many writes after the first kill.
    Twice(u64),
}

impl Manner {
    /// The kills of a life whose first one is this, in lives of so many writes; none where that is none of its kills, or where the life
    /// is over before the second one.
    fn plan(self, first: Strike, writes: u64) -> Option<Vec<Strike>> {
        match self {
            Self::Once => Some(vec![first]),
            Self::Late(last) => (first.at + last > writes).then(|| vec![first]),
            Self::Twice(again) => {
                // A write that was never sent is made again.
                let end = writes + u64::from(first.side == Side::Before);
                // The other side, so that all four pairs of sides come up.
                let side = if (first.at + again).is_multiple_of(2) { Side::Before } else { Side::After };
                (first.at + again <= end).then(|| vec![first, Strike { at: again, side }])
            }
        }
    }
}

/// At most so many lives among the others are left unharmed. How many writes one has depends on what comes first, such as the last status
/// of an account or its deletion; and that depends on what else the machine does.
const UNHARMED: usize = 12;
/// A kill that did not come in a life is planned in another one, until it was planned in so many.
const TRIES: usize = 5;

/// What came of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// The writes of the reference run.
    pub writes: u64,
    /// Those of the shortest life without kills.
    pub fewest: u64,
    /// What all lives add up to.
    pub totals: Totals,
    /// Kills that never came though the shortest life without kills has their write, a line each.
    pub missed: Vec<String>,
    /// Kills that never came, at writes that are beyond the end of the shortest life without kills, a line each.
    pub beyond: Vec<String>,
}

/// Kills at every write of the script's reference run, on both sides.
///
/// # Errors
/// The machinery failed, or the reference run is not clean.
pub async fn sweep(
    plane: &Plane,
    subject: &Subject,
    script: Script,
    manners: &[Manner],
    lanes: usize,
) -> Result<Swept> {
    let reference = script.live(plane, subject, &[]).await?;
    let (writes, notes) = (reference.writes, reference.notes);
    anyhow::ensure!(notes.is_empty(), "{script}: the run without kills is not clean:\n{}", notes.join("\n"));
    let lives = stream::iter(plans(manners, writes)).map(|plan| async move {
        let mut outcomes: Vec<Outcome> = Vec::new();
        // A life in which something else went wrong is told as it is.
        while outcomes.len() < TRIES && outcomes.last().is_none_or(|life| life.missed > 0 && life.notes.is_empty()) {
            outcomes.push(script.live(plane, subject, &plan).await?);
        }
        anyhow::Ok((plan, outcomes))
    });
    let (mut swept, mut never) = (Swept { writes, fewest: writes, ..Swept::default() }, Vec::new());
    let mut ended = lives.buffer_unordered(lanes);
    while let Some((plan, outcomes)) = ended.try_next().await? {
        for outcome in &outcomes {
            swept.totals.add(&format!("{script}, {plan:?}"), outcome);
            if plan.is_empty() && outcome.notes.is_empty() {
                swept.fewest = swept.fewest.min(outcome.writes);
            }
        }
        if let Some(last) = outcomes.last().filter(|life| life.missed > 0) {
            never.push((plan, last.missed, outcomes.len()));
        }
    }
    for (plan, missed, lives) in never {
        let line = format!("{script}: killed {}: that never came in {lives} lives", told(&plan));
        if is_due(&plan, swept.fewest) {
            swept.totals.missed += missed;
            swept.missed.push(line);
        } else {
            swept.beyond.push(line);
        }
    }
    Ok(swept)
}

/// The kills of all lives; empty for those that are left unharmed. From the last write to the first: which may have to be planned again
/// begins early.
fn plans(manners: &[Manner], writes: u64) -> Vec<Vec<Strike>> {
    let firsts = (1..=writes).rev().flat_map(|at| [Side::Before, Side::After].map(|side| Strike { at, side }));
    let kills: Vec<_> =
        firsts.flat_map(|first| manners.iter().filter_map(move |manner| manner.plan(first, writes))).collect();
    let every = kills.len().div_ceil(UNHARMED).max(1);
    let mut plans = Vec::new();
    for some in kills.chunks(every) {
        plans.push(Vec::new());
        plans.extend_from_slice(some);
    }
    plans
}

/// Whether every life must come to these kills: the shortest life without kills has so many writes, also if a write that was killed is
/// not made again, as an event is not.
fn is_due(plan: &[Strike], fewest: u64) -> bool {
    plan.iter().map(|strike| strike.at).sum::<u64>() <= fewest
}

/// The kills of a life in words.
fn told(plan: &[Strike]) -> String {
    let kills = plan.iter().map(|Strike { at, side }| format!("{side:?} write {at}").to_lowercase());
    kills.collect::<Vec<_>>().join(", and then ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_is_answered_when_it_was_asked_for_or_nobody_can_tell() {
        let seen = |products: [&str; 2], orders: [&str; 2]| {
            let state = |[token, state]: [&str; 2]| json!({"token": token, "state": state});
            let status = json!({"refresh": {"products": state(products), "orders": state(orders)}});
            Seen { generation: 1, deleting: false, status }
        };
        for good in ["Accepted", "Completed", "Unknown"] {
            assert!(answered(&seen([AGAIN, good], [AGAIN, "Accepted"])), "{good}");
            assert!(!answered(&seen([AGAIN, good], ["initial", good])), "{good}");
        }
        for bad in ["Due", "Requested", "Failed", "Handled", "Unsupported"] {
            assert!(!answered(&seen([AGAIN, "Accepted"], [AGAIN, bad])), "{bad}");
        }
        assert!(!answered(&Seen { generation: 1, deleting: false, status: json!({}) }));
    }

    fn kills(manner: Manner, writes: u64) -> Vec<String> {
        let planned = plans(&[manner], writes).into_iter().filter(|plan| !plan.is_empty());
        planned.map(|plan| told(&plan)).collect()
    }

    #[test]
    fn every_write_is_killed_on_both_sides() {
        let all = ["before write 2", "after write 2", "before write 1", "after write 1"];
        assert_eq!(kills(Manner::Once, 2), all);
        assert_eq!(kills(Manner::Late(1), 2), all[..2].to_vec());
    }

    #[test]
    fn a_second_kill_is_planned_where_a_life_goes_on_after_the_first() {
        let first = |plan: Vec<Strike>| plan.first().map(|strike| (strike.at, strike.side));
        let planned: Vec<_> = plans(&[Manner::Twice(2)], 3).into_iter().filter_map(first).collect();
        assert_eq!(planned, [(2, Side::Before), (1, Side::Before), (1, Side::After)]);
    }

    #[test]
    fn some_lives_among_the_others_are_left_unharmed() {
        let plans = plans(&[Manner::Once], 30);
        assert_eq!(plans.iter().filter(|plan| plan.is_empty()).count(), UNHARMED);
        assert_eq!(plans.len(), 60 + UNHARMED);
    }

    #[test]
    fn a_kill_must_come_where_the_shortest_life_has_its_write() {
        let kill = |at| Strike { at, side: Side::After };
        assert!(is_due(&[kill(3)], 3) && !is_due(&[kill(4)], 3));
        assert!(is_due(&[kill(2), kill(1)], 3) && !is_due(&[kill(3), kill(1)], 3));
    }
}
