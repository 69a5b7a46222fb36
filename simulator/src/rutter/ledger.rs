//! The connections, in the order in which they were made.
//!
//! Owns how they are found. Rows are never removed: a deleted one is marked, so that tests can see what there was.

use std::collections::HashMap;

use uuid::Uuid;

use super::connection::Connection;

/// All connections of all organizations.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    rows: Vec<Connection>,
    ids: HashMap<Uuid, usize>,
    tokens: HashMap<Uuid, usize>,
}

impl Ledger {
    pub(super) fn add(&mut self, connection: Connection) {
        self.ids.insert(connection.id, self.rows.len());
        self.tokens.insert(connection.access_token, self.rows.len());
        self.rows.push(connection);
    }

    pub(super) fn rows(&self) -> &[Connection] {
        &self.rows
    }

    pub(super) fn by_id(&self, id: Uuid) -> Option<&Connection> {
        self.rows.get(*self.ids.get(&id)?)
    }

    pub(super) fn by_id_mut(&mut self, id: Uuid) -> Option<&mut Connection> {
        self.rows.get_mut(*self.ids.get(&id)?)
    }

    pub(super) fn by_token(&self, token: Uuid) -> Option<&Connection> {
        self.rows.get(*self.tokens.get(&token)?)
    }
}
