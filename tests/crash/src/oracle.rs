//! What must be true of the providers: compared with what was declared, and with what the objects say.
//!
//! Owns the counting. It must never ask the operator: records are the simulator's own, objects are the API server's.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_simulator::arcus::Connector;
use tradewind_simulator::rutter::Origin;
use tradewind_simulator::{Provider, Simulator};

use crate::board::{Picture, Seen};
use crate::thing::{Thing, connector_key};

/// A record as it is at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// At whom.
    pub provider: Provider,
    /// What makes it the same thing whoever made it.
    pub key: String,
    /// Its id, as objects record it.
    pub id: String,
    /// It is there.
    pub live: bool,
    /// Who made it.
    pub stranger: bool,
    /// How often it was made through the API; more than once only where a create brings a deleted one back.
    pub made: usize,
    /// What edits change, and are seen by.
    pub edited: String,
    /// All that nobody but its owner may change.
    pub state: String,
}

/// Every record that there ever was.
#[must_use]
pub fn records(simulator: &Simulator) -> Vec<Record> {
    let rutter = simulator.connections().into_iter().map(|r| Record {
        provider: Provider::Rutter,
        key: r.store.clone().unwrap_or_default(),
        id: r.id.to_string(),
        live: r.deleted_at.is_none(),
        stranger: r.origin != Origin::Api,
        made: usize::from(r.origin == Origin::Api),
        edited: String::new(),
        state: format!("{:?} {} {:?}", r.deleted_at, r.incremental_syncs, r.backfills),
    });
    let sku = simulator.instances().into_iter().map(|r| Record {
        provider: Provider::SkuIo,
        key: r.name.clone(),
        id: r.id.to_string(),
        live: r.deleted_at.is_none(),
        stranger: r.origin != Origin::Api,
        made: usize::from(r.origin == Origin::Api),
        edited: r.integration_settings.get("store_id").map(ToString::to_string).unwrap_or_default(),
        state: format!("{:?} {:?} {:?} {:?}", r.deleted_at, r.changed_at, r.changes, r.refreshes),
    });
    let arcus = simulator.connectors().into_iter().map(|r| Record {
        provider: Provider::Arcus,
        key: connector_key(r.entity_id, r.connector.name()),
        id: r.connector.name().to_owned(),
        live: !r.deleted,
        stranger: is_strangers(r.origin, r.connector),
        made: r.tally.creates + r.tally.overwrites,
        edited: r.display_name.clone(),
        state: format!("{:?} {:?} {:?} {:?}", r.deleted_at, r.changed_at, r.changes, r.tally),
    });
    rutter.chain(sku).chain(arcus).collect()
}

/// Arcus says who brought a row about last: so a create that takes hold of a stranger's row must not make it ours.
fn is_strangers(origin: Origin, connector: Connector) -> bool {
    origin != Origin::Api || connector == STRANGERS
}

/// The type of connector that is left to strangers.
pub const STRANGERS: Connector = Connector::Wwex;

/// The records of strangers, as they were at the start.
#[must_use]
pub fn foreign(simulator: &Simulator) -> Vec<Record> {
    records(simulator).into_iter().filter(|record| record.stranger).collect()
}

/// What went wrong, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Records that were made although the declared one was there, or had been, or a stranger's.
    pub duplicates: usize,
    /// Live records that no object names.
    pub orphans: usize,
    /// Objects whose record is not there, and retained records that are not.
    pub lost: usize,
    /// Objects that were not as declared in time.
    pub stuck: usize,
    /// Strangers' records that are not as they were.
    pub foreign: usize,
    /// Objects that ask a person, which is documented for what has no identity, and wrong for all that is declared here.
    pub asks: usize,
}

/// A look at the end of a life.
pub struct Look<'a> {
    /// All that was ever declared.
    pub things: &'a [Thing],
    /// What the API server shows.
    pub picture: &'a Picture,
    /// The records now.
    pub records: &'a [Record],
    /// Those of strangers at the start.
    pub strangers: &'a [Record],
}

impl Look<'_> {
    /// Counts, and says what is wrong, a line each. `stuck` is what was not as declared in time, by its name on the board.
    #[must_use]
    pub fn count(&self, stuck: &BTreeSet<String>) -> (Faults, Vec<String>) {
        let mut faults = Faults::default();
        let mut notes = Vec::new();
        let things: BTreeMap<_, _> = self.things.iter().map(|thing| ((thing.provider, thing.key()), thing)).collect();
        // Beside a stranger's record each one is one too many.
        let mut made: BTreeMap<_, usize> = self.strangers.iter().map(|r| ((r.provider, r.key.clone()), 1)).collect();
        for record in self.records.iter().filter(|record| !record.stranger) {
            *made.entry((record.provider, record.key.clone())).or_default() += record.made;
            let thing = things.get(&(record.provider, record.key.clone()));
            if record.live && !thing.is_some_and(|thing| self.is_named(thing, &record.id)) {
                faults.orphans += 1;
                notes.push(format!("orphan: {:?} {} {}", record.provider, record.key, record.id));
            }
        }
        for ((provider, key), made) in made.into_iter().filter(|(_, made)| *made > 1) {
            faults.duplicates += made - 1;
            notes.push(format!("duplicate: {provider:?} {key} is there {made} times, or has been"));
        }
        for thing in self.things.iter().filter(|thing| self.is_lost(thing)) {
            faults.lost += 1;
            notes.push(format!("lost: {}", thing.on_board()));
        }
        for before in self.strangers {
            let mut same = self.records.iter().filter(|r| r.provider == before.provider && r.id == before.id);
            if !same.any(|now| now.key == before.key && now.live == before.live && now.state == before.state) {
                faults.foreign += 1;
                notes.push(format!("foreign: {:?} {}", before.provider, before.key));
            }
        }
        for name in stuck {
            let (field, word) = match self.picture.get(name).map(Seen::reason) {
                Some("CreateOutcomeUnknown") => (&mut faults.asks, "asks"),
                _ => (&mut faults.stuck, "stuck"),
            };
            *field += 1;
            notes.push(format!("{word}: {name}: {:?}", self.picture.get(name)));
        }
        (faults, notes)
    }

    /// Whether an object names this record, or left it behind as it was told to.
    fn is_named(&self, thing: &Thing, id: &str) -> bool {
        match self.picture.get(&thing.on_board()) {
            Some(seen) => seen.id() == Some(id),
            None => thing.retain,
        }
    }

    /// Whether the record of an object is not there.
    fn is_lost(&self, thing: &Thing) -> bool {
        let key = thing.key();
        let mut own = self.records.iter().filter(|r| r.live && r.provider == thing.provider && r.key == key);
        match self.picture.get(&thing.on_board()) {
            Some(seen) if seen.deleting => false,
            Some(seen) => seen.id().is_some_and(|id| !own.any(|record| record.id == id)),
            None => thing.retain && own.next().is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(thing: &Thing, id: &str) -> Record {
        Record {
            provider: thing.provider,
            key: thing.key(),
            id: id.to_owned(),
            live: true,
            stranger: false,
            made: 1,
            edited: thing.edited(0),
            state: String::new(),
        }
    }

    fn picture(thing: &Thing, id: &str) -> Picture {
        let status = json!({"externalId": id});
        Picture::from([(thing.on_board(), Seen { generation: 1, deleting: false, status })])
    }

    fn faults(things: &[Thing], picture: &Picture, records: &[Record], strangers: &[Record]) -> Faults {
        Look { things, picture, records, strangers }.count(&BTreeSet::new()).0
    }

    #[test]
    fn a_record_for_each_object_is_what_is_wanted() {
        let thing = Thing::new(Provider::Rutter, 1);
        let things = [thing.clone()];
        assert_eq!(faults(&things, &picture(&thing, "a"), &[record(&thing, "a")], &[]), Faults::default());
        let deleted = Record { live: false, ..record(&thing, "a") };
        assert_eq!(faults(&things, &Picture::new(), &[deleted], &[]), Faults::default());
    }

    #[test]
    fn every_fault_is_seen() {
        let thing = Thing::new(Provider::Rutter, 1);
        let (things, shown) = ([thing.clone()], picture(&thing, "a"));
        let own = record(&thing, "a");
        let second = faults(&things, &shown, &[own.clone(), record(&thing, "b")], &[]);
        assert_eq!((second.duplicates, second.orphans, second.lost), (1, 1, 0));
        let deleted = Record { live: false, ..record(&thing, "b") };
        assert_eq!(
            faults(&things, &shown, &[own.clone(), deleted], &[]).duplicates,
            1,
            "one that is gone again counts"
        );
        assert_eq!(faults(&things, &Picture::new(), std::slice::from_ref(&own), &[]).orphans, 1);
        assert_eq!(faults(&things, &shown, &[], &[]).lost, 1);
        let retained = [thing.clone().retained()];
        assert_eq!(faults(&retained, &Picture::new(), std::slice::from_ref(&own), &[]), Faults::default());
        assert_eq!(faults(&retained, &Picture::new(), &[], &[]).lost, 1);
        let theirs = Record { stranger: true, made: 0, ..own };
        let changed = Record { state: "changed".to_owned(), ..theirs.clone() };
        assert_eq!(
            faults(&[], &Picture::new(), std::slice::from_ref(&theirs), std::slice::from_ref(&theirs)),
            Faults::default()
        );
        assert_eq!(faults(&[], &Picture::new(), &[changed], std::slice::from_ref(&theirs)).foreign, 1);
        assert_eq!(faults(&[], &Picture::new(), &[], std::slice::from_ref(&theirs)).foreign, 1);
        let beside = Record { live: false, stranger: false, made: 1, id: "b".to_owned(), ..theirs.clone() };
        let found = faults(&[], &Picture::new(), &[theirs.clone(), beside], &[theirs]);
        assert_eq!((found.duplicates, found.orphans, found.foreign), (1, 0, 0), "one that is gone again counts");
    }

    #[test]
    fn who_asks_a_person_is_not_stuck() {
        let thing = Thing::new(Provider::Rutter, 1);
        let asks = json!({"conditions": [{"type": "Ready", "status": "False", "reason": "CreateOutcomeUnknown"}]});
        let shown = Picture::from([(thing.on_board(), Seen { generation: 1, deleting: false, status: asks })]);
        let stuck = BTreeSet::from([thing.on_board(), "Connection/other".to_owned()]);
        let look = Look { things: &[], picture: &shown, records: &[], strangers: &[] };
        let (found, _) = look.count(&stuck);
        assert_eq!((found.asks, found.stuck), (1, 1));
    }
}
