//! The connectors, in the order in which they were made.
//!
//! Owns that an entity has one of each kind. Rows are never removed: a deleted one is marked, so that it can come back
//! and tests can see what there was.

use std::collections::HashMap;

use uuid::Uuid;

use super::connector::Connector;
use super::row::Row;

/// All connectors of all entities.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    rows: Vec<Row>,
    ids: HashMap<Uuid, usize>,
    /// The row that counts, where there have been several.
    latest: HashMap<(Uuid, Connector), usize>,
}

impl Ledger {
    pub(super) fn add(&mut self, row: Row) {
        let index = self.rows.len();
        self.ids.insert(row.id, index);
        self.latest.insert((row.entity_id, row.connector), index);
        self.rows.push(row);
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn by_id(&self, id: Uuid) -> Option<&Row> {
        self.rows.get(*self.ids.get(&id)?)
    }

    pub(super) fn by_id_mut(&mut self, id: Uuid) -> Option<&mut Row> {
        self.rows.get_mut(*self.ids.get(&id)?)
    }

    /// The row of an entity for a kind of connector, deleted or not.
    pub(super) fn find(&self, entity_id: Uuid, connector: Connector) -> Option<&Row> {
        self.rows.get(*self.latest.get(&(entity_id, connector))?)
    }

    /// The rows of an entity that count.
    pub(super) fn of_entity(&self, entity_id: Uuid) -> Vec<&Row> {
        let latest = Connector::ALL.into_iter().filter_map(|connector| self.latest.get(&(entity_id, connector)));
        let mut indices: Vec<usize> = latest.copied().collect();
        indices.sort_unstable();
        indices.into_iter().filter_map(|index| self.rows.get(index)).collect()
    }
}
