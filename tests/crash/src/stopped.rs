//! Two operators at once, without a lease, one of which is stopped in the middle of a create: before its permit is checked, or after.
//!
//! Owns the course of that. It must never take for granted that the case came about: it looks for what the stopped one did.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Method;
use tradewind_simulator::{Operation, Provider};

use crate::board::{Picture, Seen};
use crate::oracle::{Record, records};
use crate::plane::Plane;
use crate::sweep::unlike;
use crate::tap::{Side, Trap, Write};
use crate::thing::Thing;
use crate::world::{PATIENCE, Stuck, Subject, World, simulator};

/// Where the one is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Its intent is stored, and it does not know that yet: the permit is checked when it goes on.
    BeforeTheCheck,
    /// The permit was checked, and the create is on its way.
    AfterTheCheck,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// At whom.
    pub provider: Provider,
    /// Where it was stopped.
    pub moment: Moment,
    /// Records beyond the one that is declared.
    pub duplicates: usize,
    /// Creates that reached the provider.
    pub sent: usize,
    /// Creates that took hold of what another one had made: Arcus has one connector of a type, and no duplicates.
    pub overwrites: usize,
}

impl Verdict {
    /// Whether that is what is promised: none, but where nothing at the provider tells one create from another and it was under way.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        let promised = self.moment == Moment::BeforeTheCheck || self.provider != Provider::Rutter;
        let unsent = self.moment == Moment::AfterTheCheck || self.sent == 1;
        unsent && (self.duplicates == 0 || !promised) && (self.overwrites == 0 || self.moment == Moment::AfterTheCheck)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, moment, duplicates, sent, overwrites } = self;
        let moment = match moment {
            Moment::BeforeTheCheck => "before the permit check",
            Moment::AfterTheCheck => "after it",
        };
        let key = match provider {
            Provider::Rutter => "no key at the provider",
            Provider::SkuIo => "the name is a key",
            Provider::Arcus => "the type is a key",
        };
        write!(
            f,
            "stopped {moment:<23} {:<7} creates sent={sent} duplicates={duplicates} overwrites={overwrites} ({key})",
            format!("{provider:?}")
        )
    }
}

/// The second write of the intent: the one after which the create is sent.
fn stores_the_intent(write: &Write) -> bool {
    let text = String::from_utf8_lossy(&write.body);
    write.method == Method::PATCH && write.path.ends_with("/status") && text.contains("\"intent\"")
}

fn creates(write: &Write) -> bool {
    write.method == Method::POST && !write.path.starts_with("/apis/") && !write.path.starts_with("/api/v1/namespaces")
}

/// One object, two operators, one stop.
///
/// # Errors
/// The case did not come about.
pub async fn stop(plane: &Plane, subject: &Subject, provider: Provider, moment: Moment) -> Result<Verdict> {
    let things = [Thing::new(provider, 0)];
    let thing = things.first().context("a thing")?;
    let mut world = World::new(plane, "stopped", simulator(0, 1)).await?;
    world.station(plane, subject, &[]).await?;
    world.station(plane, subject, &[]).await?;
    world.furnish(&things).await?;
    let [first, second] = world.stations.as_slice() else { anyhow::bail!("two operators") };
    let trap = match moment {
        Moment::BeforeTheCheck => Trap { is_it: stores_the_intent, side: Side::After },
        Moment::AfterTheCheck => Trap { is_it: creates, side: Side::Before },
    };
    let snare = first.tap.set(trap);
    first.program.start().await?;
    world.apply(thing.manifest(0)).await?;
    tokio::time::timeout(PATIENCE, snare.caught).await.context("the write to be held")??;
    first.program.stop().await?;
    second.program.start().await?;
    // No longer than that: a client that waits for the API server gives up too, and then no permit is checked.
    let idle =
        |_: &Picture, _: &[Record]| if sent(&world) == 0 { Stuck::from([thing.on_board()]) } else { Stuck::new() };
    ensure!(world.until(idle).await.is_empty(), "the other operator did not take over: {:?}", world.board.now());
    // The answer, or the create, goes its way; who waits for it wakes up.
    snare.release.send(()).ok().context("the write is held")?;
    first.program.go_on().await?;
    tokio::time::timeout(PATIENCE, ended(&world, moment)).await.context("the stopped one to go on")??;
    let stuck = world.until(|picture, _| unlike(&things, picture, Seen::is_ready)).await;
    ensure!(stuck.is_empty(), "it did not become ready: {:?}", world.board.now());
    let key = thing.key();
    let (sent, overwrites) = (sent(&world), world.simulator.stats().overwrites.values().sum());
    let live = records(&world.simulator).into_iter().filter(|r| r.live && r.key == key).count();
    for station in &world.stations {
        station.program.end().await?;
    }
    Ok(Verdict { provider, moment, duplicates: live.saturating_sub(1), sent, overwrites })
}

/// Creates that have reached the providers.
fn sent(world: &World) -> usize {
    world.simulator.journal().iter().filter(|entry| entry.operation == Operation::Create).count()
}

/// Until the first operator's create has come to its end: it was sent after all, or its operator says that it was not.
async fn ended(world: &World, moment: Moment) -> Result<()> {
    let first = world.stations.first().context("an operator")?;
    loop {
        let log = tokio::fs::read_to_string(first.program.log()).await?;
        let unsent = moment == Moment::BeforeTheCheck && log.contains(" not sent: ");
        if unsent || sent(world) > 1 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
