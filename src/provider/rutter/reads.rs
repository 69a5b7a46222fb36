//! What is read of Rutter, and how seldom: the account's lists, shared by all passes; details, once for each connection
//! that tells its store; statuses, when a list hints at a change.
//!
//! It must never conclude an absence from a list that was begun before the question.
//!
//! The first request of a look may be refused by the budget; those that follow wait for their turn. A look that began
//! anew whenever its last request is refused would use the budget up and never come to its end.

mod details;
mod status;

use super::{
    have::Have,
    map,
    wire::{ListReply, ROOM, Row},
};
use crate::{
    domain::{
        conditions::Health,
        ids::{ExternalId, NaturalKey},
        intent::Stamps,
        stores::{self, Recognition},
    },
    provider::{
        ApiError, Freshness, Operation, Recogniser, Record, WHOSE,
        http::{Call, Http, Pace, Room},
        inventory::{Inventory, Snapshot},
    },
};
use details::Details;
use http::Method;
use secrecy::SecretString;
use status::{FIRST_SYNC, Read};
use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Pages of a list that are read at most. Rutter documents no pages; a server that sends a cursor for ever is cut off.
const MAX_PAGES: usize = 1000;
/// A platform limit (452) without `Retry-After` is waited out this long; the limits of stores are slower than Rutter's.
const PLATFORM_WAIT: Duration = Duration::from_mins(1);
/// Rutter's own limit is counted over ten seconds.
const OWN_WAIT: Duration = Duration::from_secs(10);
/// The reading side of one login.
pub(super) struct Reads {
    pub(super) http: Http,
    lag: Duration,
    poll: Duration,
    any: Inventory<Rows>,
    /// Which connections a filter shows, by [`Reads::mark`]: any one may show all of them.
    hints: [Inventory<HashSet<u64>>; 4],
    marks: RandomState,
    /// Held while details are read: two passes never read the same ones twice.
    details: tokio::sync::Mutex<Details>,
    known: Mutex<Known>,
}

/// A list. Its rows are shared: each look goes through all of them.
pub(super) type Rows = Vec<Arc<Row>>;

/// What this process itself did or read, by connection id.
#[derive(Default)]
struct Known {
    /// Made by us, and perhaps not listed yet.
    made: HashMap<String, (Arc<Row>, Instant)>,
    /// Deleted by us, and perhaps still listed.
    deleted: HashMap<String, Instant>,
    health: HashMap<String, Read>,
    /// Authorized anew, and perhaps for another store than before.
    renewed: HashSet<String>,
    organisation: Option<String>,
}

impl Reads {
    pub(super) fn new(http: Http, lag: Duration, poll: Duration) -> Self {
        let (any, hints, marks) = (Inventory::default(), Default::default(), RandomState::new());
        Self { http, lag, poll, any, hints, marks, details: tokio::sync::Mutex::default(), known: Mutex::default() }
    }

    /// An id in little room.
    fn mark(&self, id: &str) -> u64 {
        self.marks.hash_one(id)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom the login belongs to, once a status told.
    pub(super) fn organisation(&self) -> Option<String> {
        self.known().organisation.clone()
    }

    /// A connection of ours exists from now on, whatever lists show yet. It begins with its first sync.
    pub(super) fn made(&self, row: Row) {
        let (id, at) = (row.id.clone(), Instant::now());
        let read = Read { hint: Some(FIRST_SYNC), at, health: Health::FirstSync, last_sync: None, platform: None };
        let mut known = self.known();
        known.made.insert(id.clone(), (Arc::new(row), at));
        known.health.insert(id, read);
    }

    /// A connection is gone from now on, whatever lists show still.
    pub(super) fn deleted(&self, id: &str) {
        let mut known = self.known();
        known.made.remove(id);
        known.health.remove(id);
        known.deleted.insert(id.to_owned(), Instant::now());
    }

    /// The ids of the last list that was read, without reading one.
    pub(super) fn listed(&self) -> Option<Arc<Snapshot<Rows>>> {
        self.any.last()
    }

    /// The row of a connection in a list that is read now, if it can be.
    pub(super) async fn listed_since(&self, id: &str, since: Instant) -> Option<Arc<Row>> {
        let snapshot = self.any.get(Freshness::After(since), || self.read_list("any", Pace::InTurn)).await.ok()?;
        snapshot.rows.iter().find(|r| r.id == id).cloned()
    }

    /// Whether a list that begins now shows a connection, or cannot show it yet.
    pub(super) async fn is_listed(&self, id: &str) -> Result<bool, ApiError> {
        let rows = self.rows(&*self.list(Freshness::After(Instant::now()), Pace::InTurn).await?);
        Ok(rows.iter().any(|row| row.id == id))
    }

    /// The token of a connection, by what was read last.
    pub(super) fn token(&self, id: &str) -> Option<SecretString> {
        let listed = self.any.last();
        let listed = listed.as_ref().and_then(|snapshot| snapshot.rows.iter().find(|row| row.id == id));
        let row = listed.cloned().or_else(|| self.known().made.get(id).map(|(row, _)| Arc::clone(row)));
        row?.access_token.clone()
    }

    /// Closes the account's gate where an error asks for it. The limit of a store's platform is no other store's.
    pub(super) fn heed(&self, error: ApiError) -> ApiError {
        if is_of_platform(&error) {
            self.http.throttled();
            return ApiError { retry_after: error.retry_after.or(Some(PLATFORM_WAIT)), ..error };
        }
        self.http.heed(error, OWN_WAIT)
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        operation: Operation,
        path: &[&str],
        query: &[(&str, &str)],
        pace: Pace,
    ) -> Result<T, ApiError> {
        let call = Call { operation, method: Method::GET, path, query, body: None, key: None };
        let reply = self.http.send(call, pace).await?;
        map::read(operation, &reply).map_err(|e| self.heed(e))
    }

    async fn read_list(&self, filter: &str, pace: Pace) -> Result<Rows, ApiError> {
        let (operation, path) = (Operation::List, ["connections"]);
        let (mut rows, mut cursor, mut room) = (Vec::new(), None::<String>, Room::of(ROOM));
        for page in 0..MAX_PAGES {
            let mut query = vec![("status", filter)];
            query.extend(cursor.as_deref().map(|c| ("cursor", c)));
            // A list that has begun is read to its end: half a list would have to be begun anew.
            let pace = if page == 0 { pace } else { Pace::InTurn };
            let call = Call { operation, method: Method::GET, path: &path, query: &query, body: None, key: None };
            let answer = self.http.send(call, pace).await?;
            let reply: ListReply = map::read(operation, &answer).map_err(|e| self.heed(e))?;
            room.keep(reply.connections.iter().map(|row| row.weight()).sum())?;
            // An id that could leave its path segment, or its field in a status, is no id of Rutter's.
            if !reply.connections.iter().all(|r| ExternalId::new(&r.id).is_plain()) {
                return Err(ApiError::unreadable(operation, None));
            }
            rows.extend(reply.connections);
            cursor = reply.next_cursor.filter(|c| !c.is_empty());
            if cursor.is_none() {
                return Ok(rows);
            }
        }
        Err(ApiError::unreadable(operation, None))
    }

    /// Every connection of the account, whatever its state.
    pub(super) async fn list(&self, freshness: Freshness, pace: Pace) -> Result<Arc<Snapshot<Rows>>, ApiError> {
        self.any.get(freshness, || self.read_list("any", pace)).await
    }

    /// The rows that count: those of a list without what we deleted since, and what we made that it cannot show yet.
    pub(super) fn rows(&self, snapshot: &Snapshot<Rows>) -> Rows {
        let mut known = self.known();
        let listed: HashSet<&str> = snapshot.rows.iter().map(|r| r.id.as_str()).collect();
        let lag = self.lag;
        known.made.retain(|id, (_, at)| *at + lag > snapshot.began && !listed.contains(id.as_str()));
        known.health.retain(|id, read| read.at + lag > snapshot.began || listed.contains(id.as_str()));
        known.deleted.retain(|id, at| *at + lag > snapshot.began || listed.contains(id.as_str()));
        // While some are being read it is left to the next list.
        if let Ok(mut details) = self.details.try_lock() {
            details.retain(|id| listed.contains(id) || known.made.contains_key(id));
        }
        let listed = snapshot.rows.iter().filter(|r| !known.deleted.contains_key(&r.id));
        listed.chain(known.made.values().map(|(row, _)| row)).cloned().collect()
    }

    /// The records of a platform and store. One whose store cannot be read is handed on without a Have.
    pub(super) async fn by_key(
        &self,
        key: &NaturalKey,
        freshness: Freshness,
        pace: Pace,
    ) -> Result<Vec<Record<Have>>, ApiError> {
        let platform = stores::read_key(key).map_or(key.as_str(), |(platform, _)| platform);
        let mut rows = self.rows(&*self.list(freshness, pace).await?);
        rows.retain(|r| !r.platform.as_deref().is_some_and(|told| stores::is_another(told, platform)));
        let details = self.details(&rows).await?;
        let records = rows.into_iter().zip(details).filter_map(|(row, detail)| {
            let have = Have::new(Row::clone(&row), detail);
            let (id, born) = (ExternalId::new(&have.row.id), have.born());
            let recognition = have.recognise(key);
            let have = (recognition == Recognition::Same).then_some(have);
            (recognition != Recognition::Other).then_some(Record { id, stamps: Stamps::born(born), have })
        });
        Ok(records.collect())
    }

    /// The row with this id. One that is not in a list of before may have been made since.
    async fn row(&self, id: &ExternalId, freshness: Freshness, pace: Pace) -> Result<Option<Arc<Row>>, ApiError> {
        let asked = Instant::now();
        let find = |rows: Rows| rows.into_iter().find(|r| r.id == id.as_str());
        let snapshot = self.list(freshness, pace).await?;
        let row = find(self.rows(&snapshot));
        if row.is_some() || snapshot.began >= asked || matches!(freshness, Freshness::After(_)) {
            return Ok(row);
        }
        Ok(find(self.rows(&*self.list(Freshness::After(asked), pace).await?)))
    }

    /// What tells whether a key names the connection for certain.
    pub(super) async fn recogniser(&self, id: &ExternalId) -> Result<Recogniser, ApiError> {
        let Some(row) = self.row(id, WHOSE, Pace::InTurn).await? else { return Ok(Box::new(|_| false)) };
        let detail =
            self.details(std::slice::from_ref(&row)).await.ok().and_then(|all| all.into_iter().next().flatten());
        let have = Have::new(Arc::unwrap_or_clone(row), detail);
        Ok(Box::new(move |key| have.recognise(key) == Recognition::Same))
    }

    /// Whether Rutter shows a connection whose id is this one in another spelling, and none that has it. The server may take
    /// the one for the other.
    pub(super) async fn is_anothers(&self, id: &ExternalId) -> Result<bool, ApiError> {
        let is_this = |snapshot: Arc<Snapshot<Rows>>| self.rows(&snapshot).iter().any(|row| row.id == id.as_str());
        if self.listed().is_some_and(is_this) {
            return Ok(false);
        }
        let rows = self.rows(&*self.list(Freshness::After(Instant::now()), Pace::InTurn).await?);
        let uuid = |text: &str| uuid::Uuid::try_parse(text).ok();
        let is_same = |row: &Arc<Row>| {
            row.id.eq_ignore_ascii_case(id.as_str()) || uuid(&row.id).is_some_and(|u| Some(u) == uuid(id.as_str()))
        };
        Ok(rows.iter().all(|row| row.id != id.as_str()) && rows.iter().any(is_same))
    }

    /// The record with this id, with its health.
    pub(super) async fn by_id(
        &self,
        id: &ExternalId,
        freshness: Freshness,
        pace: Pace,
    ) -> Result<Vec<Record<Have>>, ApiError> {
        let asked = Instant::now();
        let Some(row) = self.row(id, freshness, pace).await? else { return Ok(vec![]) };
        let read = self.health(&row, freshness).await?;
        // The store's name may come with the first sync: what is incomplete is read again with the status.
        let detail = if read.at >= asked {
            self.named_detail(&row).await?
        } else {
            self.details(std::slice::from_ref(&row)).await?.into_iter().next().flatten()
        };
        let mut row = Arc::unwrap_or_clone(row);
        // A merchant may have chosen it since the list was read.
        row.platform = read.platform.or(row.platform);
        let have = Have { health: Some((read.health, read.last_sync)), ..Have::new(row, detail) };
        Ok(vec![Record { id: id.clone(), stamps: Stamps::born(have.born()), have: Some(have) }])
    }
}

/// Whether it is the limit of a store's platform.
pub(super) fn is_of_platform(error: &ApiError) -> bool {
    error.status == Some(map::PLATFORM_LIMIT)
}
