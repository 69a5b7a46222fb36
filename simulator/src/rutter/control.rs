//! What others do while the client is not looking: the merchant, a colleague, Rutter's staff.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::connection::{Connection, ListStatus, Moment, Origin, Readiness, Trouble};
use super::create::Birth;
use super::store::Store;
use super::{Rutter, platform};

/// Something that is done behind the client's back.
///
/// In the admin API: `{"deed": "delete", "connection": "…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case", deny_unknown_fields)]
pub enum Deed {
    /// A stranger connects a store in the client's organization.
    Connect {
        /// The login of the organization; the first account if left out.
        #[serde(default)]
        client_id: Option<String>,
        /// The platform.
        platform: String,
        /// The store.
        store_url: String,
    },
    /// The merchant follows the link, chooses a platform and logs in; also ends `needs_update`.
    FollowLink {
        /// Whose link.
        connection: Uuid,
        /// The platform.
        platform: String,
        /// The store.
        store_url: String,
    },
    /// Somebody deletes a connection.
    Delete {
        /// Which.
        connection: Uuid,
    },
    /// A connection gets into trouble.
    Upset {
        /// Which.
        connection: Uuid,
        /// What kind of trouble.
        trouble: Trouble,
    },
    /// All its trouble is over.
    Mend {
        /// Which.
        connection: Uuid,
    },
    /// A connection is ready from now on, or stays unready until told otherwise.
    SetReady {
        /// Which.
        connection: Uuid,
        /// Whether it is.
        ready: bool,
    },
}

/// Why a deed cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSuch {
    /// There is no account with this client id.
    Account,
    /// There is no live connection with this id.
    Connection,
    /// The URL is none of a store of that platform.
    Store,
}

impl fmt::Display for NoSuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "there is no such account",
            Self::Connection => "there is no such live connection",
            Self::Store => "the URL is none of a store of that platform",
        })
    }
}

impl std::error::Error for NoSuch {}

/// A connection as the provider's staff would see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The connection id.
    pub id: Uuid,
    /// The access token. It is invented here and guards nothing.
    pub access_token: Uuid,
    /// The organization.
    pub org_id: String,
    /// The platform; none while the merchant has not followed the link.
    pub platform: Option<String>,
    /// Host and path of the store; none where the platform does not tell stores by URL.
    pub store: Option<String>,
    /// Rutter's `store_unique_id`.
    pub store_unique_id: Option<String>,
    /// Who made it.
    pub origin: Origin,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// The state by which it is listed, or was.
    pub status: ListStatus,
    /// Whether the initial sync is done.
    pub is_ready: bool,
    /// Whether the history is complete.
    pub history_completed: bool,
    /// How many incremental syncs were asked for.
    pub incremental_syncs: usize,
    /// The backfills that were asked for: what, and since when.
    pub backfills: Vec<(String, Date)>,
}

impl Record {
    fn of(connection: &Connection, moment: &Moment) -> Self {
        let store = connection.store.as_ref();
        let progress = connection.progress(moment);
        Self {
            id: connection.id,
            access_token: connection.access_token,
            org_id: connection.org_id.clone(),
            platform: store.map(|store| store.platform.clone()),
            store: store.and_then(|store| store.identity.clone()),
            store_unique_id: store.map(|store| store.unique_id.clone()),
            origin: connection.origin,
            created_at: connection.created_at,
            deleted_at: connection.deleted_at,
            status: connection.list_status(moment),
            is_ready: progress.is_ready,
            history_completed: progress.history_completed,
            incremental_syncs: connection.incremental_syncs,
            backfills: connection.backfills.clone(),
        }
    }
}

impl Rutter {
    /// Every connection that there ever was, in the order in which they were made.
    #[must_use]
    pub fn records(&self, now: Timestamp) -> Vec<Record> {
        let moment = self.moment(now);
        self.ledger.rows().iter().map(|connection| Record::of(connection, &moment)).collect()
    }

    /// One connection.
    #[must_use]
    pub fn record(&self, now: Timestamp, id: Uuid) -> Option<Record> {
        self.ledger.by_id(id).map(|connection| Record::of(connection, &self.moment(now)))
    }

    /// Stops all data (dates of syncs, counts) where it is, or lets it move on. Readiness and trouble still come.
    pub fn freeze(&mut self, now: Timestamp, frozen: bool) {
        self.frozen_at = frozen.then_some(now);
    }

    /// Does something behind the client's back.
    ///
    /// # Errors
    ///
    /// When there is no such account, live connection, or store.
    pub fn act(&mut self, now: Timestamp, deed: &Deed) -> Result<Record, NoSuch> {
        let id = match deed {
            Deed::Connect { client_id, platform, store_url } => {
                let store = store(platform, store_url)?;
                let mut accounts = self.accounts.iter();
                let account = accounts.find(|account| client_id.as_ref().is_none_or(|id| *id == account.client_id));
                let org_id = account.ok_or(NoSuch::Account)?.org_id.clone();
                self.bear(now, Birth { org_id, origin: Origin::Stranger, established: true, store: Some(store) })
            }
            Deed::FollowLink { connection, platform, store_url } => {
                let store = store(platform, store_url)?;
                self.change(now, *connection, |connection| {
                    connection.store = Some(store);
                    connection.established_at.get_or_insert(now);
                    connection.troubles.retain(|(_, trouble)| *trouble != Trouble::NeedsUpdate);
                })?
            }
            Deed::Delete { connection } => {
                self.change(now, *connection, |connection| connection.deleted_at = Some(now))?
            }
            Deed::Upset { connection, trouble } => {
                self.change(now, *connection, |connection| connection.troubles.push((now, *trouble)))?
            }
            Deed::Mend { connection } => self.change(now, *connection, |connection| connection.troubles.clear())?,
            Deed::SetReady { connection, ready } => self.change(now, *connection, |connection| {
                connection.readiness = if *ready { Readiness::Since(now) } else { Readiness::HeldBack };
            })?,
        };
        self.record(now, id).ok_or(NoSuch::Connection)
    }

    pub(super) fn change(
        &mut self,
        now: Timestamp,
        id: Uuid,
        change: impl FnOnce(&mut Connection),
    ) -> Result<Uuid, NoSuch> {
        let connection = self.ledger.by_id_mut(id).filter(|connection| connection.deleted_at.is_none());
        let connection = connection.ok_or(NoSuch::Connection)?;
        change(connection);
        connection.changed_at = now;
        Ok(id)
    }
}

pub(super) fn store(platform: &str, store_url: &str) -> Result<Store, NoSuch> {
    let identity = platform::store_identity(platform, store_url).map_err(|_| NoSuch::Store)?;
    Ok(Store::at(platform, identity))
}
