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
        let asked = world.simulator.stats().refreshes.remove(&self.provider).unwrap_or_default();
        let mut outcome = world.conclude(&things, &stuck).await;
        let odd = self.odd_refreshes(&asked, subject.is_ours() && plan.is_empty());
        outcome.broken += odd.len();
        outcome.notes.extend(odd);
        Ok(Outcome { refreshes: asked.values().sum(), recovery, ..outcome })
    }

    /// What is wrong with the refreshes that a provider was asked for, a line each. `whole`: nothing came in between, so that each was
    /// asked for, and once.
    fn odd_refreshes(self, asked: &BTreeMap<String, usize>, whole: bool) -> Vec<String> {
        let objects = self.objects;
        let known = loads(self.provider).iter().map(|load| (*load, asked.get(*load).copied().unwrap_or_default()));
        let more = known.filter(|(_, times)| *times > objects || whole && *times < objects);
        let more = more.map(|(load, times)| format!("{times} refreshes of {load}, and {objects} objects"));
        let unasked = asked.iter().filter(|(load, _)| !loads(self.provider).contains(&load.as_str()));
        more.chain(unasked.map(|(load, times)| format!("{times} refreshes of {load}, which nobody asked for")))
            .collect()
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

/// Whether the refresh was asked for, or nobody can tell: it was cut off in between. Nothing here refuses one.
fn answered(seen: &Seen) -> bool {
    let done = |entity| {
        let said = seen.refresh(entity);
        said.is_some_and(|(token, at)| token == AGAIN && matches!(at, "Accepted" | "Completed" | "Unknown"))
    };
    done("products") && done("orders")
}

/// What a provider is asked to load when a life asks for a refresh of its objects: each of these once for each object.
fn loads(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Rutter => &["incremental_sync"],
        Provider::SkuIo => &["products", "orders"],
        Provider::Arcus => &[],
    }
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

    #[test]
    fn a_refresh_too_many_or_too_few_is_seen_by_what_it_loads() {
        let odd = |provider, asked: &[(&str, usize)], whole| {
            let asked = asked.iter().map(|(load, times)| ((*load).to_owned(), *times)).collect();
            Script { provider, objects: 2, retain: false }.odd_refreshes(&asked, whole).len()
        };
        let sku = Provider::SkuIo;
        assert_eq!(odd(sku, &[("products", 2), ("orders", 2)], true), 0);
        // The sum alone would be in order.
        assert_eq!(odd(sku, &[("products", 3), ("orders", 1)], false), 1);
        assert_eq!(odd(sku, &[("products", 1)], false), 0);
        assert_eq!(odd(sku, &[("products", 1)], true), 2);
        assert_eq!(odd(Provider::Rutter, &[("incremental_sync", 2), ("order", 1)], true), 1);
        assert_eq!(odd(Provider::Arcus, &[], true), 0);
    }
}
