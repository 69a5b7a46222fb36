//! The append-only record of every request.
//!
//! Owns what was asked, when, and what became of it. It must never hold a secret: of a body it keeps the names of the
//! fields, of a query only how a list is narrowed, and never the `Authorization` header.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::arcus::Connector;
use crate::fault::Effect;
use crate::operation::Operation;
use crate::outcome::Delivery;
use crate::provider::{About, Provider};

/// One request, as the provider saw it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its place in the journal, from 1.
    pub seq: u64,
    /// When it arrived.
    pub started_at: Timestamp,
    /// When the provider acted on it; later than the client's patience if a fault says so.
    pub applied_at: Option<Timestamp>,
    /// When the provider was done with it.
    pub ended_at: Option<Timestamp>,
    /// Whom it asked.
    pub provider: Provider,
    /// What it asked for.
    pub operation: Operation,
    /// The HTTP method.
    pub method: String,
    /// Path and query; in the query, the values that do not narrow a list are replaced.
    pub path: String,
    /// The dotted names of the fields of a JSON body.
    pub body_fields: Vec<String>,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
    /// The connection, or row of Arcus, that it was about or that it made.
    pub connection_id: Option<Uuid>,
    /// The same for SKU.io, which counts its records.
    pub instance_id: Option<u64>,
    /// The kind of connector that it was about, at Arcus.
    pub connector: Option<Connector>,
    /// The store that it was about: without scheme and in lower case, or the store hash.
    pub store: Option<String>,
    /// How many requests were in flight when it arrived, this one included.
    pub in_flight: usize,
    /// The effects of the fault that it met.
    pub effects: Vec<Effect>,
    /// The status of the answer, whether or not the answer arrived.
    pub status: Option<u16>,
    /// How much of the answer was sent.
    pub delivery: Option<Delivery>,
}

/// What the journal and the records add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests so far.
    pub requests: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// The most requests that were in flight at once.
    pub max_in_flight: usize,
    /// Requests so far, by what they asked for.
    pub by_operation: BTreeMap<Operation, usize>,
    /// Requests so far, by whom they asked.
    pub by_provider: BTreeMap<Provider, usize>,
    /// Connections, instances and connectors that were ever made through the API.
    pub creates: usize,
    /// The same, by who made them.
    pub creates_by_provider: BTreeMap<Provider, usize>,
    /// Connections, instances and connectors that were ever deleted.
    pub deletes: usize,
    /// The same, by where they were.
    pub deletes_by_provider: BTreeMap<Provider, usize>,
    /// Stores with more than one live connection or instance, and how many they have. Empty is what an operator owes its
    /// users. At SKU.io only those that were made through the API count, and their names are told too. At Arcus there
    /// are none, because an entity has one connector of each kind; what a second create does there is in `overwrites`.
    pub duplicates: BTreeMap<String, usize>,
    /// Connectors of Arcus of which a create took hold although they were active, and how often, by entity and kind.
    /// Empty is what an operator owes its users: such a connector was somebody's.
    pub overwrites: BTreeMap<String, usize>,
    /// Refreshes that were asked for and accepted, by what they load: at Rutter the entities of backfills and
    /// `incremental_sync`, at SKU.io `products` and `orders`. Those that a provider starts by itself are not counted.
    pub refreshes: BTreeMap<Provider, BTreeMap<String, usize>>,
}

/// The journal itself.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Vec<Entry>,
    in_flight: usize,
    max_in_flight: usize,
}

impl Journal {
    /// Opens an entry; its number and the count of requests in flight are filled in here.
    pub(crate) fn open(&mut self, entry: impl FnOnce(u64, usize) -> Entry) -> u64 {
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(entry(seq, self.in_flight));
        seq
    }

    /// Notes that the provider acted on a request.
    pub(crate) fn applied(&mut self, seq: u64, now: Timestamp, about: About) {
        if let Some(entry) = self.entry_mut(seq) {
            entry.applied_at = Some(now);
            entry.connection_id = about.connection.or(entry.connection_id);
            entry.instance_id = about.instance.or(entry.instance_id);
            entry.connector = about.connector.or(entry.connector);
        }
    }

    /// Closes an entry.
    pub(crate) fn close(&mut self, seq: u64, now: Timestamp, status: u16, delivery: Delivery) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(entry) = self.entry_mut(seq) {
            entry.ended_at = Some(now);
            entry.status = Some(status);
            entry.delivery = Some(delivery);
        }
    }

    /// Every request so far, in the order of arrival.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The part of the statistics that the journal knows.
    pub(crate) fn stats(&self) -> Stats {
        let mut by_operation = BTreeMap::new();
        let mut by_provider = BTreeMap::new();
        for entry in &self.entries {
            *by_operation.entry(entry.operation).or_default() += 1;
            *by_provider.entry(entry.provider).or_default() += 1;
        }
        Stats {
            requests: self.entries.len(),
            in_flight: self.in_flight,
            max_in_flight: self.max_in_flight,
            by_operation,
            by_provider,
            ..Stats::default()
        }
    }

    fn entry_mut(&mut self, seq: u64) -> Option<&mut Entry> {
        let index = usize::try_from(seq).ok()?.checked_sub(1)?;
        self.entries.get_mut(index)
    }
}

/// The dotted names of all fields in a body, without their values.
pub(crate) fn dotted(body: &Map<String, Value>) -> Vec<String> {
    let mut names = Vec::new();
    collect("", body, &mut names);
    names
}

fn collect(prefix: &str, object: &Map<String, Value>, names: &mut Vec<String>) {
    for (name, value) in object {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value.as_object().filter(|inner| !inner.is_empty()) {
            Some(inner) => collect(&path, inner, names),
            None => names.push(path),
        }
    }
}
