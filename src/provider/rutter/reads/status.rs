//! Statuses: read once for each connection, and again when a list hints at a change, or while something is under way.

use super::Reads;
use crate::{
    domain::{conditions::Health, text::plain},
    provider::{
        ApiError, Freshness, Operation,
        http::Pace,
        rutter::{
            map,
            wire::{Row, StatusReply},
        },
    },
};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::time::Instant;

/// A status that nothing hints at is read again after this long all the same.
const STATUS_AGE: Duration = Duration::from_hours(1);

/// The values of the list's `status` filter that hint at a change of health.
const HINTS: [&str; 4] = [FIRST_SYNC, UNHEALTHY, "needs_reauth", "disabled"];
/// The one that shows connections before the end of their first sync.
pub(super) const FIRST_SYNC: &str = "not_ready";
/// The one that shows connections with errors; older servers tell it nowhere else.
const UNHEALTHY: &str = "unhealthy";

/// A status as it was read.
#[derive(Clone)]
pub(in crate::provider::rutter) struct Read {
    /// The filter that showed the connection then.
    pub(super) hint: Option<&'static str>,
    pub(super) at: Instant,
    pub(super) health: Health,
    pub(super) last_sync: Option<Timestamp>,
    pub(super) platform: Option<String>,
}

impl Reads {
    /// The health of a connection: read once, and again when a list hints at a change, or while it is under way.
    pub(super) async fn health(&self, row: &Row, freshness: Freshness) -> Result<Read, ApiError> {
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
            let mut known = self.known();
            known.health.remove(&row.id);
            known.renewed.insert(row.id.clone());
        }
        read
    }

    /// Which filter shows this connection, if any does.
    async fn hint(&self, id: &str, freshness: Freshness) -> Result<Option<&'static str>, ApiError> {
        for (name, inventory) in HINTS.into_iter().zip(&self.hints) {
            let read = || async {
                let rows = self.read_list(name, Pace::InTurn).await?;
                Ok(rows.iter().map(|row| self.mark(&row.id)).collect())
            };
            if inventory.get(freshness, read).await?.rows.contains(&self.mark(id)) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Reads a status. `hint`: the filter that shows the connection; what only a filter tells is taken from it.
    pub(in crate::provider::rutter) async fn read_status(
        &self,
        row: &Row,
        hint: Option<&'static str>,
    ) -> Result<Read, ApiError> {
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
        let before = known.health.insert(row.id.clone(), read.clone());
        if before.is_some_and(|before| before.health == Health::NeedsAuthorization) {
            known.renewed.insert(row.id.clone());
        }
        if let Some(organisation) = reply.connection.org_id.map(|id| plain(&id, 256)).filter(|id| !id.is_empty()) {
            known.organisation = Some(organisation);
        }
        Ok(read)
    }
}
