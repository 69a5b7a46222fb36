//! What is read of Rutter, and how seldom: the account's lists, shared by all passes; details, once for each connection;
//! statuses, when a list hints at a change.
//!
//! It must never conclude an absence from a list that was begun before the question.
//!
//! The first request of a look may be refused by the budget; those that follow wait for their turn. A look that began
//! anew whenever its last request is refused would use the budget up and never come to its end.

use super::{
    have::Have,
    map,
    wire::{Detail, DetailReply, ListReply, Row, StatusReply},
};
use crate::{
    domain::{
        conditions::Health,
        ids::{ExternalId, NaturalKey},
        intent::Stamps,
        stores::{self, Recognition},
        text::plain,
        verdict::Kind,
    },
    provider::{
        ApiError, Freshness, Operation, Recogniser, Record, WHOSE,
        http::{Call, Http, LIST_CAP, Pace, Room},
        inventory::{Inventory, Snapshot},
    },
};
use http::Method;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::HashMap,
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
/// A status that nothing hints at is read again after this long all the same.
const STATUS_AGE: Duration = Duration::from_hours(1);

/// The values of the list's `status` filter that hint at a change of health.
const HINTS: [&str; 4] = [FIRST_SYNC, UNHEALTHY, "needs_reauth", "disabled"];
/// The one that shows connections before the end of their first sync.
const FIRST_SYNC: &str = "not_ready";
/// The one that shows connections with errors; older servers tell it nowhere else.
const UNHEALTHY: &str = "unhealthy";

/// The reading side of one login.
pub(super) struct Reads {
    pub(super) http: Http,
    lag: Duration,
    poll: Duration,
    any: Inventory<Vec<Row>>,
    hints: [Inventory<Vec<Row>>; 4],
    /// Held while details are read: two passes never read the same ones twice.
    details: tokio::sync::Mutex<HashMap<String, Detail>>,
    known: Mutex<Known>,
}

/// What this process itself did or read, by connection id.
#[derive(Default)]
struct Known {
    /// Made by us, and perhaps not listed yet.
    made: HashMap<String, (Row, Instant)>,
    /// Deleted by us, and perhaps still listed.
    deleted: HashMap<String, Instant>,
    health: HashMap<String, Read>,
    organisation: Option<String>,
}

/// A status as it was read.
#[derive(Clone)]
pub(super) struct Read {
    /// The filter that showed the connection then.
    hint: Option<&'static str>,
    at: Instant,
    health: Health,
    last_sync: Option<Timestamp>,
    platform: Option<String>,
}

impl Reads {
    pub(super) fn new(http: Http, lag: Duration, poll: Duration) -> Self {
        let (any, hints) = (Inventory::default(), Default::default());
        Self { http, lag, poll, any, hints, details: tokio::sync::Mutex::default(), known: Mutex::default() }
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
        known.made.insert(id.clone(), (row, at));
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
    pub(super) async fn listed(&self) -> Option<Arc<Snapshot<Vec<Row>>>> {
        self.any.last().await
    }

    /// The row of a connection in a list that is read now, if it can be.
    pub(super) async fn listed_since(&self, id: &str, since: Instant) -> Option<Row> {
        let snapshot = self.any.get(Freshness::After(since), || self.read_list("any", Pace::InTurn)).await.ok()?;
        snapshot.rows.iter().find(|r| r.id == id).cloned()
    }

    /// The token of a connection, by what was read last.
    pub(super) async fn token(&self, id: &str) -> Option<SecretString> {
        let listed = self.any.last().await;
        let listed = listed.as_ref().and_then(|snapshot| snapshot.rows.iter().find(|row| row.id == id));
        listed.cloned().or_else(|| self.known().made.get(id).map(|(row, _)| row.clone()))?.access_token
    }

    /// Closes the account's gate where an error asks for it.
    pub(super) fn heed(&self, error: ApiError) -> ApiError {
        let wait = if error.status == Some(452) { PLATFORM_WAIT } else { OWN_WAIT };
        self.http.heed(error, wait)
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

    async fn read_list(&self, filter: &str, pace: Pace) -> Result<Vec<Row>, ApiError> {
        let (operation, path) = (Operation::List, ["connections"]);
        let (mut rows, mut cursor, mut room) = (Vec::new(), None::<String>, Room::of_rows(LIST_CAP));
        for page in 0..MAX_PAGES {
            let mut query = vec![("status", filter)];
            query.extend(cursor.as_deref().map(|c| ("cursor", c)));
            // A list that has begun is read to its end: half a list would have to be begun anew.
            let pace = if page == 0 { pace } else { Pace::InTurn };
            let call = Call { operation, method: Method::GET, path: &path, query: &query, body: None, key: None };
            let reply = self.http.page(call, pace, &mut room).await?;
            let reply: ListReply = map::read(operation, &reply).map_err(|e| self.heed(e))?;
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
    pub(super) async fn list(&self, freshness: Freshness, pace: Pace) -> Result<Arc<Snapshot<Vec<Row>>>, ApiError> {
        self.any.get(freshness, || self.read_list("any", pace)).await
    }

    /// The rows that count: those of a list without what we deleted since, and what we made that it cannot show yet.
    pub(super) fn rows(&self, snapshot: &Snapshot<Vec<Row>>) -> Vec<Row> {
        let mut known = self.known();
        let listed: std::collections::HashSet<&str> = snapshot.rows.iter().map(|r| r.id.as_str()).collect();
        let lag = self.lag;
        known.made.retain(|id, (_, at)| *at + lag > snapshot.began && !listed.contains(id.as_str()));
        known.health.retain(|id, read| read.at + lag > snapshot.began || listed.contains(id.as_str()));
        known.deleted.retain(|id, at| *at + lag > snapshot.began || listed.contains(id.as_str()));
        // While some are being read it is left to the next list.
        if let Ok(mut details) = self.details.try_lock() {
            details.retain(|id, _| listed.contains(id.as_str()) || known.made.contains_key(id));
        }
        let listed = snapshot.rows.iter().filter(|r| !known.deleted.contains_key(&r.id));
        listed.chain(known.made.values().map(|(row, _)| row)).cloned().collect()
    }

    /// The details of a row that was just made, without waiting for a look that reads many: nobody else knows of it yet.
    pub(super) async fn detail_of_new(&self, row: &Row) -> Result<Option<Detail>, ApiError> {
        let detail = self.detail(row).await?;
        if let Ok(mut cache) = self.details.try_lock() {
            keep(&mut cache, row, detail.as_ref());
        }
        Ok(detail)
    }

    /// The details of these rows; `None` for one that Rutter does not let us read.
    pub(super) async fn details(&self, rows: &[Row]) -> Result<Vec<Option<Detail>>, ApiError> {
        let mut cache = self.details.lock().await;
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let detail = match cache.get(&row.id) {
                Some(known) => Some(known.clone()),
                None => self.detail(row).await?,
            };
            keep(&mut cache, row, detail.as_ref());
            out.push(detail);
        }
        Ok(out)
    }

    async fn detail(&self, row: &Row) -> Result<Option<Detail>, ApiError> {
        let Some(token) = row.access_token.as_ref() else { return Ok(None) };
        let query = [("access_token", token.expose_secret())];
        let read = self.get::<DetailReply>(Operation::Read, &["connections", "access_token"], &query, Pace::InTurn);
        let e = match read.await {
            Ok(reply) if reply.connection.id == row.id => return Ok(Some(reply.connection)),
            Ok(_) => ApiError::unreadable(Operation::Read, None),
            Err(e) => e,
        };
        // A limit is the account's. All else may be of this one alone, and nothing but this line says which one it is.
        if e.kind != Kind::RateLimited {
            tracing::warn!(id = %row.id, operation = %e.operation, request_id = e.request_id, "a connection cannot be read: {e}");
        }
        match e.kind {
            // It does not say what is wrong with this connection: it might answer in a moment, and be the store that is
            // looked for.
            Kind::Invalid if e.detail.code.is_none() => Err(ApiError::unreadable(Operation::Read, e.status)),
            // Of this one connection alone: the login has just listed it.
            Kind::Unauthorized | Kind::Forbidden | Kind::Invalid | Kind::NotFound | Kind::Gone => Ok(None),
            Kind::Conflict | Kind::Taken | Kind::RateLimited | Kind::Unavailable | Kind::Timeout | Kind::Protocol => {
                Err(e)
            }
        }
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
            let have = Have::new(row, detail);
            let (id, born) = (ExternalId::new(&have.row.id), have.born());
            let recognition = have.recognise(key);
            let have = (recognition == Recognition::Same).then_some(have);
            (recognition != Recognition::Other).then_some(Record { id, stamps: Stamps::born(born), have })
        });
        Ok(records.collect())
    }

    /// The row with this id. One that is not in a list of before may have been made since.
    async fn row(&self, id: &ExternalId, freshness: Freshness, pace: Pace) -> Result<Option<Row>, ApiError> {
        let asked = Instant::now();
        let find = |rows: Vec<Row>| rows.into_iter().find(|r| r.id == id.as_str());
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
        let have = Have::new(row, detail);
        Ok(Box::new(move |key| have.recognise(key) == Recognition::Same))
    }

    /// The record with this id, with its health.
    pub(super) async fn by_id(
        &self,
        id: &ExternalId,
        freshness: Freshness,
        pace: Pace,
    ) -> Result<Vec<Record<Have>>, ApiError> {
        let asked = Instant::now();
        let Some(mut row) = self.row(id, freshness, pace).await? else { return Ok(vec![]) };
        let read = self.health(&row, freshness).await?;
        if read.at >= asked {
            // The store's name may come with the first sync: what is incomplete is read again with the status.
            self.details.lock().await.retain(|known, detail| *known != row.id || detail.store_name.is_some());
        }
        let detail = self.details(std::slice::from_ref(&row)).await?.into_iter().next().flatten();
        // A merchant may have chosen it since the list was read.
        row.platform = read.platform.or(row.platform);
        let have = Have { health: Some((read.health, read.last_sync)), ..Have::new(row, detail) };
        Ok(vec![Record { id: id.clone(), stamps: Stamps::born(have.born()), have: Some(have) }])
    }

    /// The health of a connection: read once, and again when a list hints at a change, or while it is under way.
    async fn health(&self, row: &Row, freshness: Freshness) -> Result<Read, ApiError> {
        let before = self.known().health.get(&row.id).cloned();
        let under_way = before.as_ref().is_some_and(|read| !read.health.is_settled());
        let new_enough = match freshness {
            Freshness::Within(_) if under_way => Freshness::Within(self.poll),
            Freshness::Within(_) | Freshness::After(_) => freshness,
        };
        let hint = self.hint(&row.id, new_enough).await?;
        let age = if under_way { self.poll * 4 } else { STATUS_AGE };
        if let (Some(read), Freshness::Within(_)) = (before, freshness)
            && read.hint == hint
            && read.at.elapsed() < age
        {
            return Ok(read);
        }
        let read = self.read_status(row, hint).await;
        if read.is_err() {
            // What was read before is no answer any more: the next pass must ask again.
            self.known().health.remove(&row.id);
        }
        read
    }

    /// Which filter shows this connection, if any does.
    async fn hint(&self, id: &str, freshness: Freshness) -> Result<Option<&'static str>, ApiError> {
        for (name, inventory) in HINTS.into_iter().zip(&self.hints) {
            let snapshot = inventory.get(freshness, || self.read_list(name, Pace::InTurn)).await?;
            if snapshot.rows.iter().any(|r| r.id == id) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Reads a status. `hint`: the filter that shows the connection; what only a filter tells is taken from it.
    pub(super) async fn read_status(&self, row: &Row, hint: Option<&'static str>) -> Result<Read, ApiError> {
        let token = row.access_token.as_ref().ok_or_else(|| ApiError::unreadable(Operation::Status, None))?;
        let query = [("access_token", token.expose_secret())];
        let reply: StatusReply = self.get(Operation::Status, &["connections", "status"], &query, Pace::InTurn).await?;
        if reply.connection.id != row.id {
            return Err(ApiError::unreadable(Operation::Status, None));
        }
        let told = map::health(&reply.status);
        let hidden = hint == Some(UNHEALTHY) && matches!(told, Health::Works { .. });
        let health = if hidden { Health::Unhealthy } else { told };
        let last_sync = reply.status.last_sync_completed_at;
        let platform = reply.connection.platform.filter(|p| !p.is_empty());
        let read = Read { hint, at: Instant::now(), health, last_sync, platform };
        let mut known = self.known();
        known.health.insert(row.id.clone(), read.clone());
        if let Some(organisation) = reply.connection.org_id.map(|id| plain(&id, 256)).filter(|id| !id.is_empty()) {
            known.organisation = Some(organisation);
        }
        Ok(read)
    }
}

/// Keeps what tells a store. One that Rutter cannot tell yet is asked for again.
fn keep(cache: &mut HashMap<String, Detail>, row: &Row, detail: Option<&Detail>) {
    if let Some(detail) = detail.filter(|d| Have::new(row.clone(), Some((*d).clone())).is_told()) {
        cache.entry(row.id.clone()).or_insert_with(|| detail.clone());
    }
}
