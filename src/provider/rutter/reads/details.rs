//! Details: what tells the store of a connection, read once where that is told, and seldom where it is not.

use super::{Reads, is_of_platform};
use crate::{
    domain::verdict::Kind,
    provider::{
        ApiError, Operation,
        http::Pace,
        rutter::{
            have::Have,
            wire::{Detail, DetailReply, Row},
        },
    },
};
use secrecy::ExposeSecret;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// A detail that does not tell a store is read again after this long at the soonest, and after an hour at the latest: some
/// connections never tell theirs, and no look could read all of those.
const SOONEST: Duration = Duration::from_mins(1);
const LATEST: Duration = Duration::from_hours(1);

/// What was read of connections, by their ids.
#[derive(Default)]
pub(super) struct Details(HashMap<String, Kept>);

/// What was read of one connection.
struct Kept {
    /// What the list told then.
    platform: Option<String>,
    /// `None` where Rutter did not let us read it.
    detail: Option<Detail>,
    told: Told,
    /// When it was first found to tell no more than this.
    since: Instant,
    read: Instant,
}

/// How much is told of a store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// All that there is to wait for.
    Whole,
    /// Something, or not even that for want of a right: it may stay so for ever.
    Part,
    /// Nothing at all: a merchant may connect one at any moment.
    Nothing,
}

impl Kept {
    /// Whether it need not be read again. The longer it has told no more, the longer it may go on so.
    fn serves(&self, row: &Row) -> bool {
        let lasts = self.read - self.since;
        // A refusal that was met once may be over with the next look, which is to find the store.
        let may_be_as_old = if self.detail.is_some() { lasts.max(SOONEST) } else { lasts }.min(LATEST);
        self.platform == row.platform
            && match self.told {
                Told::Whole => true,
                Told::Part => self.read.elapsed() < may_be_as_old,
                Told::Nothing => false,
            }
    }

    fn has_name(&self) -> bool {
        self.detail.as_ref().is_some_and(|detail| detail.store_name.is_some())
    }
}

impl Details {
    fn keep(&mut self, row: &Row, detail: Option<&Detail>) {
        let have = Have::new(row.clone(), detail.cloned());
        let told = match (detail, have.is_told(), have.has_store()) {
            (Some(_), true, _) => Told::Whole,
            (Some(_), false, false) => Told::Nothing,
            (None, ..) | (Some(_), false, true) => Told::Part,
        };
        let read = Instant::now();
        let before = self.0.get(&row.id).filter(|kept| kept.told == told && kept.platform == row.platform);
        let since = before.map_or(read, |kept| kept.since);
        let kept = Kept { platform: row.platform.clone(), detail: detail.cloned(), told, since, read };
        self.0.insert(row.id.clone(), kept);
    }

    /// Forgets connections that this does not hold of.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|id, _| is_there(id));
    }
}

impl Reads {
    /// The details of a row that was just made, without waiting for a look that reads many: nobody else knows of it yet.
    pub(in crate::provider::rutter) async fn detail_of_new(&self, row: &Row) -> Result<Option<Detail>, ApiError> {
        let detail = self.detail(row).await?;
        if let Ok(mut cache) = self.details.try_lock() {
            cache.keep(row, detail.as_ref());
        }
        Ok(detail)
    }

    /// The details of these rows; `None` for one that Rutter does not let us read.
    pub(super) async fn details(&self, rows: &[Arc<Row>]) -> Result<Vec<Option<Detail>>, ApiError> {
        let mut cache = self.details.lock().await;
        self.forget_renewed(&mut cache);
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            out.push(self.kept_or_read(&mut cache, row, |_| true).await?);
        }
        Ok(out)
    }

    /// The details of one row, read again where its name has not come yet: with the first sync, it may.
    pub(super) async fn named_detail(&self, row: &Row) -> Result<Option<Detail>, ApiError> {
        let mut cache = self.details.lock().await;
        self.forget_renewed(&mut cache);
        self.kept_or_read(&mut cache, row, Kept::has_name).await
    }

    async fn kept_or_read(
        &self,
        cache: &mut Details,
        row: &Row,
        will_do: fn(&Kept) -> bool,
    ) -> Result<Option<Detail>, ApiError> {
        if let Some(kept) = cache.0.get(&row.id).filter(|kept| kept.serves(row) && will_do(kept)) {
            return Ok(kept.detail.clone());
        }
        let detail = self.detail(row).await?;
        cache.keep(row, detail.as_ref());
        Ok(detail)
    }

    /// Who authorized a connection anew may have done so for another store.
    fn forget_renewed(&self, cache: &mut Details) {
        let renewed: HashSet<String> = std::mem::take(&mut self.known().renewed);
        cache.retain(|id| !renewed.contains(id));
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
        // Rutter's own limit is the account's. All else may be of this one alone, and nothing but this line says which one it is.
        if e.kind != Kind::RateLimited || is_of_platform(&e) {
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
}
