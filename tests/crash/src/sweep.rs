//! Every write of a whole life, each with a kill before it and a kill after it.
//!
//! Owns the script of a life and the list of lives. A life must never know where its kills are.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tradewind_simulator::Provider;

use crate::board::{Picture, Seen};
use crate::oracle::Record;
use crate::plane::Plane;
use crate::tap::{Side, Strike};
use crate::thing::Thing;
use crate::totals::Totals;
use crate::world::{Outcome, Stuck, Subject, World, simulator};

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

    /// A life: created, edited and refreshed where that can be, deleted; and then the account.
    ///
    /// # Errors
    /// The machinery failed. What the operator does wrong is in the outcome.
    pub async fn live(self, plane: &Plane, subject: &Subject, plan: &[Strike]) -> Result<Outcome> {
        let things = self.things();
        let mut world = World::new(plane, "sweep", simulator(0, 1)).await?;
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
        let refreshes = world.simulator.stats().refreshes.values().flat_map(|counts| counts.values()).sum();
        let mut outcome = world.conclude(&things, &stuck).await;
        if refreshes > things.len() * 2 {
            outcome.broken += 1;
            outcome.notes.push(format!("{refreshes} refreshes, {} at most were asked for", things.len() * 2));
        }
        Ok(Outcome { refreshes, recovery, ..outcome })
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

/// Whether the refresh was dealt with, whatever came of it.
fn answered(seen: &Seen) -> bool {
    let done =
        |entity| seen.refresh(entity).is_some_and(|(token, at)| token == AGAIN && !matches!(at, "Due" | "Requested"));
    done("products") && done("orders")
}

/// How the kills of a life follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// One kill.
    Once,
    /// And another one while the next process finds its way: at so many writes after the first kill.
    Twice(u64),
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
) -> Result<(u64, Totals)> {
    let reference = script.live(plane, subject, &[]).await?;
    anyhow::ensure!(
        reference.notes.is_empty(),
        "{script}: the run without kills is not clean:\n{}",
        reference.notes.join("\n")
    );
    let mut kills = Vec::new();
    for at in 1..=reference.writes {
        for side in [Side::Before, Side::After] {
            let first = Strike { at, side };
            kills.extend(manners.iter().map(|manner| match manner {
                Manner::Once => vec![first],
                // The other side, so that all four pairs of sides come up.
                Manner::Twice(again) => {
                    let side = if (at + again) % 2 == 0 { Side::Before } else { Side::After };
                    vec![first, Strike { at: *again, side }]
                }
            }));
        }
    }
    let lives = stream::iter(kills).map(|plan| async move {
        let outcome = script.live(plane, subject, &plan).await?;
        anyhow::Ok((format!("{script}, {plan:?}"), outcome))
    });
    let mut totals = Totals::default();
    let mut ended = lives.buffer_unordered(lanes);
    while let Some((what, outcome)) = ended.try_next().await? {
        totals.add(&what, &outcome);
    }
    Ok((reference.writes, totals))
}
