//! What is read of SKU.io: the tenant's list, shared by all drift checks; one instance, where the list will not do; a
//! name, by search.
//!
//! It must never conclude from the list that an instance is gone: only its own read says so.

use super::{
    map,
    wire::{self, Fields, Page, Row},
};
use crate::{
    domain::{
        ids::{ExternalId, NaturalKey},
        instances::number,
        intent::Stamps,
        verdict::Kind,
    },
    provider::{
        ApiError, Freshness, Operation, Recogniser, Record, WHOSE, answer,
        http::{Call, Http, Pace, Reply, Room},
        inventory::{Inventory, Snapshot},
    },
};
use http::Method;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Rows of one page; the server's own default is 10. The first that is not too heavy is taken: what settings have no bound for,
/// such as prices and locations, may make one row weigh what a hundred do elsewhere.
const LIMITS: [usize; 3] = [100, 25, 6];
/// Pages that are read at most: a server that has ever more is cut off.
const MAX_PAGES: i64 = 1000;
/// What is kept of all pages together weighs no more than this: room for ten thousand instances with all of their settings.
const ROOM: usize = 4608 << 10;
/// And this where one name is searched for, by each of many objects perhaps.
const OF_ONE_NAME: usize = 256 << 10;
/// A limit without `Retry-After` is waited out this long.
const WAIT: Duration = Duration::from_secs(10);
/// Where instances live.
pub(super) const INSTANCES: [&str; 2] = ["api", "big-commerce"];

/// An instance as SKU.io shows it.
#[derive(Clone, Debug)]
pub struct Have {
    pub(super) row: Row,
    pub(super) fields: Fields,
}

impl Have {
    pub(super) fn new(row: Row) -> Self {
        Self { fields: row.fields(), row }
    }
}

/// The account's reads.
pub(super) struct Reads {
    pub(super) http: Http,
    all: Inventory<HashMap<i64, Row>>,
    me: Inventory<Option<String>>,
    known: Mutex<Known>,
    /// Which of the limits the account's pages are read with.
    limit: AtomicUsize,
}

/// Why a list did not come to its end.
enum Unread {
    /// One of its pages is larger than what is read of one.
    TooHeavy(ApiError),
    Failed(ApiError),
}

impl From<ApiError> for Unread {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// What this process knows better than a list that began earlier.
#[derive(Default)]
struct Known {
    tenant: Option<String>,
    /// When we last wrote an instance, or read it by itself.
    newer: HashMap<i64, Instant>,
    /// Instances whose deletion was acknowledged: clean-up takes its time, and may show them meanwhile.
    deleted: HashMap<i64, Instant>,
    /// What instances are called that the shared list does not show, and when they told.
    names: HashMap<i64, (Option<Box<str>>, Instant)>,
}

/// What an instance is called that the shared list does not show is believed for this long.
const NAMED: Duration = Duration::from_mins(1);
/// Nothing that was written or deleted longer ago matters to any list.
const MEMORY: Duration = Duration::from_hours(24);

impl Reads {
    pub(super) fn new(http: Http) -> Self {
        let (all, me, known, limit) =
            (Inventory::default(), Inventory::default(), Mutex::default(), AtomicUsize::new(0));
        Self { http, all, me, known, limit }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As after pages that were too heavy.
    #[cfg(test)]
    pub(super) fn only_small_pages(&self) {
        self.limit.store(LIMITS.len() - 1, Ordering::Relaxed);
    }

    /// Whom the login belongs to, once it was asked for.
    pub(super) fn tenant(&self) -> Option<String> {
        self.known().tenant.clone()
    }

    /// We have written this instance just now.
    pub(super) fn wrote(&self, id: i64) {
        self.knows(id, Instant::now());
    }

    /// A list that began before this moment knows less of an instance.
    fn knows(&self, id: i64, since: Instant) {
        let mut known = self.known();
        known.newer.retain(|_, at| at.elapsed() < MEMORY);
        known.newer.insert(id, since);
    }

    /// Its deletion was acknowledged just now.
    pub(super) fn deleted(&self, id: i64) {
        let mut known = self.known();
        known.deleted.retain(|_, at| at.elapsed() < MEMORY);
        known.deleted.insert(id, Instant::now());
    }

    fn is_deleted(&self, id: i64) -> bool {
        self.known().deleted.contains_key(&id)
    }

    /// The last list that was read, without reading one.
    pub(super) fn listed(&self) -> Option<Arc<Snapshot<HashMap<i64, Row>>>> {
        self.all.last()
    }

    /// Closes the account's gate where an error asks for it.
    pub(super) fn heed(&self, error: ApiError) -> ApiError {
        self.http.heed(error, WAIT)
    }

    pub(super) async fn get(
        &self,
        operation: Operation,
        path: &[&str],
        query: &[(&str, &str)],
        pace: Pace,
    ) -> Result<Value, ApiError> {
        let call = Call { operation, method: Method::GET, path, query, body: None, key: None };
        let reply = self.http.send(call, pace).await?;
        map::read(operation, &reply).map_err(|e| self.heed(e))
    }

    /// The tenant that the login belongs to.
    pub(super) async fn identity(&self, freshness: Freshness, pace: Pace) -> Result<Option<String>, ApiError> {
        let ask = || async {
            let body = self.get(Operation::Identity, &["api", "me"], &[], pace).await?;
            let tenant = |body: &Value| body.get("tenant_id").map(wire::id_text);
            Ok(tenant(&body).or_else(|| tenant(&wire::payload(body)?)).flatten())
        };
        let told = self.me.get(freshness, ask).await?.rows.clone();
        let mut known = self.known();
        // An answer that does not tell it takes nothing back.
        known.tenant = told.or_else(|| known.tenant.take());
        Ok(known.tenant.clone())
    }

    /// The rows of all pages that matter. Where a page is too heavy, the list is begun anew with smaller ones.
    async fn pages(
        &self,
        filter: &[(&str, &str)],
        pace: Pace,
        room: usize,
        matters: impl Fn(&Row) -> bool,
    ) -> Result<Vec<Row>, ApiError> {
        let mut pace = pace;
        loop {
            let (step, smallest) = (self.limit.load(Ordering::Relaxed), LIMITS.len() - 1);
            let limit = LIMITS.get(step).copied().unwrap_or(1);
            match self.pages_of(limit, filter, pace, Room::of(room), &matters).await {
                Ok((rows, heaviest)) => {
                    // Of the whole list alone: what one name is searched for by says nothing of the others. Pages four times
                    // as large would weigh half of what they may.
                    if step > 0 && filter.is_empty() && heaviest < answer::PAGE / 8 {
                        self.limit.store(step - 1, Ordering::Relaxed);
                    }
                    return Ok(rows);
                }
                Err(Unread::TooHeavy(_)) if step < smallest => self.limit.store(step + 1, Ordering::Relaxed),
                Err(Unread::TooHeavy(error) | Unread::Failed(error)) => return Err(error),
            }
            pace = Pace::InTurn;
        }
    }

    /// The same by pages of so many rows, and what the heaviest one of them weighs.
    async fn pages_of(
        &self,
        limit: usize,
        filter: &[(&str, &str)],
        pace: Pace,
        mut room: Room,
        matters: &impl Fn(&Row) -> bool,
    ) -> Result<(Vec<Row>, usize), Unread> {
        let (operation, rows_of_one) = (Operation::List, limit.to_string());
        let (mut rows, mut heaviest) = (Vec::new(), 0);
        for page in 1..=MAX_PAGES {
            let number = page.to_string();
            let mut query = vec![("limit", rows_of_one.as_str()), ("page", number.as_str())];
            query.extend(filter);
            // A list that has begun is read to its end: half a list would have to be begun anew.
            let pace = if page == 1 { pace } else { Pace::InTurn };
            let call = Call { operation, method: Method::GET, path: &INSTANCES, query: &query, body: None, key: None };
            // No other failure of the wire is one of the contract.
            let too_big = |e: ApiError| if e.kind == Kind::Protocol { Unread::TooHeavy(e) } else { Unread::Failed(e) };
            let reply = self.http.send(call, pace).await.map_err(too_big)?;
            let weighs = answer::weight(&reply.body);
            if answer::is_success(&reply) && weighs > answer::PAGE {
                return Err(Unread::TooHeavy(answer::unreadable(operation, &reply)));
            }
            heaviest = heaviest.max(weighs);
            let mut read = answer::alone(|| self.page(reply, limit, page))?;
            read.rows.retain(matters);
            room.keep(read.rows.iter().map(Row::weight).sum())?;
            rows.extend(read.rows);
            if read.is_last {
                return Ok((rows, heaviest));
            }
        }
        Err(Unread::Failed(ApiError::unreadable(operation, None)))
    }

    fn page(&self, reply: Reply, limit: usize, page: i64) -> Result<Page, ApiError> {
        let body = map::read(Operation::List, &reply).map_err(|e| self.heed(e))?;
        drop(reply);
        Page::read(body, limit, page).ok_or_else(|| ApiError::unreadable(Operation::List, None))
    }

    async fn list(&self, freshness: Freshness, pace: Pace) -> Result<Arc<Snapshot<HashMap<i64, Row>>>, ApiError> {
        let read = || async {
            let rows = self.pages(&[], pace, ROOM, |_| true).await?;
            Ok(rows.into_iter().map(|row| (row.id, row)).collect())
        };
        self.all.get(freshness, read).await
    }

    /// The instances of this very name. One that is on its way out is not there any more, though its name may be.
    pub(super) async fn by_name(&self, key: &NaturalKey, pace: Pace) -> Result<Vec<Record<Have>>, ApiError> {
        let is_there = |row: &Row| !row.archived && !self.is_deleted(row.id);
        let matters = |row: &Row| is_there(row) && row.name.as_deref().is_none_or(|name| name == key.as_str());
        let mut rows = self.pages(&[("search", key.as_str())], pace, OF_ONE_NAME, matters).await?;
        // A list may tell less than the instance itself, and whoever adopts it compares all of it.
        if let [row] = rows.as_slice()
            && row.name.is_some()
            && !row.has_settings
        {
            let (number, id) = (row.id, ExternalId::new(row.id.to_string()));
            rows = self.one(&id, number, Pace::InTurn).await?.into_iter().collect();
        }
        let record = |row: Row| {
            let (id, born) = (ExternalId::new(row.id.to_string()), row.created_at);
            let have = row.name.is_some().then(|| Have::new(row));
            Record { id, stamps: Stamps::born(born), have }
        };
        Ok(rows.into_iter().map(record).collect())
    }

    /// What tells whether a key is the instance's name.
    pub(super) async fn recogniser(&self, id: &ExternalId) -> Result<Recogniser, ApiError> {
        let Some(number) = number(id.as_str()) else { return Ok(Box::new(|_| false)) };
        let snapshot = self.list(WHOSE, Pace::InTurn).await?;
        let name = match snapshot.rows.get(&number) {
            Some(row) => row.name.clone(),
            None => self.name_of(id, number).await?,
        };
        Ok(Box::new(move |key| name.as_deref() == Some(key.as_str())))
    }

    /// What an instance is called that the shared list does not show: it may have been made since, be archived, or gone. Asked for by
    /// itself, and not at once again: whoever comes back for the look that follows would spend here what that look needs.
    async fn name_of(&self, id: &ExternalId, number: i64) -> Result<Option<Box<str>>, ApiError> {
        let recent = |(_, at): &(Option<Box<str>>, Instant)| at.elapsed() < NAMED;
        if let Some((name, _)) = self.known().names.get(&number).filter(|told| recent(told)) {
            return Ok(name.clone());
        }
        let name = self.one(id, number, Pace::InTurn).await?.and_then(|row| row.name);
        let mut known = self.known();
        known.names.retain(|_, told| recent(told));
        known.names.insert(number, (name.clone(), Instant::now()));
        Ok(name)
    }

    /// The instance with this id. The shared list will do where it shows the settings and is newer than what we last wrote,
    /// or read, of it: what was seen to be so must not be undone by an older list.
    pub(super) async fn by_id(
        &self,
        id: &ExternalId,
        freshness: Freshness,
        pace: Pace,
    ) -> Result<Vec<Record<Have>>, ApiError> {
        let Some(number) = number(id.as_str()).filter(|n| !self.is_deleted(*n)) else { return Ok(vec![]) };
        let record = |row: Row| {
            vec![Record { id: id.clone(), stamps: Stamps::born(row.created_at), have: Some(Have::new(row)) }]
        };
        let mut pace = pace;
        if let Freshness::Within(_) = freshness {
            let snapshot = self.list(freshness, pace).await?;
            let newer = self.known().newer.get(&number).copied();
            let listed = snapshot.rows.get(&number).filter(|row| row.has_settings);
            if let Some(row) = listed.filter(|_| newer.is_none_or(|at| at < snapshot.began)) {
                return Ok(record(row.clone()));
            }
            // A second request waits for its turn.
            pace = Pace::InTurn;
        }
        Ok(self.one(id, number, pace).await?.map(record).unwrap_or_default())
    }

    async fn one(&self, id: &ExternalId, number: i64, pace: Pace) -> Result<Option<Row>, ApiError> {
        let ([api, instances], began) = (INSTANCES, Instant::now());
        let row = match self.get(Operation::Read, &[api, instances, id.as_str()], &[], pace).await {
            Ok(body) => {
                let row = wire::payload(body).and_then(Row::read).filter(|row| row.id == number);
                row.map(Some).ok_or_else(|| ApiError::unreadable(Operation::Read, None))
            }
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Gone) => Ok(None),
            Err(error) => Err(error),
        }?;
        self.knows(number, began);
        Ok(row)
    }

    /// Every instance of the tenant, whatever its name.
    pub(super) async fn everything(&self, freshness: Freshness, pace: Pace) -> Result<Vec<Row>, ApiError> {
        let snapshot = self.list(freshness, pace).await?;
        Ok(snapshot.rows.values().filter(|row| !row.archived && !self.is_deleted(row.id)).cloned().collect())
    }
}
