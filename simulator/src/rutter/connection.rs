//! One connection and its life.
//!
//! Owns what is remembered of a connection and how that ages. Its state is not stored but follows from the moment at
//! which it is looked at. It must never hold the credentials it was made with.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::page::asks_merchant;
use super::store::Store;
use super::{Account, Refusal, Settings};
use crate::clock::{between, later};

/// What is remembered of a connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) id: Uuid,
    pub(super) access_token: Uuid,
    pub(super) org_id: String,
    pub(super) origin: Origin,
    /// None while the merchant has not followed the link.
    pub(super) store: Option<Store>,
    pub(super) created_at: Timestamp,
    /// When Rutter got credentials for it.
    pub(super) established_at: Option<Timestamp>,
    pub(super) readiness: Readiness,
    /// What is wrong with it and since when; a time in the future is one that will come.
    pub(super) troubles: Vec<(Timestamp, Trouble)>,
    pub(super) changed_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
    pub(super) incremental_syncs: usize,
    /// What was to be loaded again, and since when.
    pub(super) backfills: Vec<(String, Date)>,
}

/// Who made a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A create through the API.
    Api,
    /// Somebody else: a colleague in the dashboard, another program.
    Stranger,
}

/// What can be wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Trouble {
    /// The merchant must authenticate again.
    NeedsUpdate,
    /// Rutter does not synchronize it any more.
    Disabled {
        /// Why.
        reason: DisabledReason,
    },
    /// Errors that Rutter retries.
    Unhealthy,
}

/// Why a connection is disabled (Rutter's Connections page, status object).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the reference lists the names without a meaning")]
pub enum DisabledReason {
    ShopApiKeyExpired,
    ShopNotFound,
    ShopIdIsInvalid,
    ShopIsDisabledOrExpired,
    ShopIsLocked,
    ShopPaymentRequired,
    TunnelError,
    WebServiceIsDisabled,
    ShopIsUnavailable,
    CertExpired,
    #[serde(rename = "FAILED TO AUTHENTICATE")]
    FailedToAuthenticate,
    NeedsReauth,
    RequestTimeout,
    ManuallyDisabled,
    Unknown,
}

/// When a connection is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// After the initial sync.
    Scheduled,
    /// Since somebody said so.
    Since(Timestamp),
    /// Not until somebody says so.
    HeldBack,
}

/// The states by which lists are filtered (Rutter's Connections page).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListStatus {
    /// Ready and well.
    Active,
    /// Ready, with errors that are retried.
    Unhealthy,
    /// Before the end of the initial sync.
    NotReady,
    /// The merchant must authenticate again.
    NeedsReauth,
    /// Not synchronized any more.
    Disabled,
}

impl ListStatus {
    /// The states that a filter lets through; without one, `disabled` and `needs_reauth` are hidden.
    pub(super) fn filter(status: Option<&str>) -> Result<&'static [Self], Refusal> {
        Ok(match status {
            None => &[Self::Active, Self::NotReady, Self::Unhealthy],
            Some("any") => &[Self::Active, Self::Unhealthy, Self::NotReady, Self::NeedsReauth, Self::Disabled],
            Some("active") => &[Self::Active],
            Some("unhealthy") => &[Self::Unhealthy],
            Some("not_ready") => &[Self::NotReady],
            Some("needs_reauth") => &[Self::NeedsReauth],
            Some("disabled") => &[Self::Disabled],
            Some(_) => return Err(Refusal::invalid("status names no state")),
        })
    }
}

/// The moment at which connections are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    /// Since when no data moves.
    pub(super) frozen_at: Option<Timestamp>,
    pub(super) settings: &'a Settings,
}

/// How far the synchronization of a connection has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) is_ready: bool,
    pub(super) history_completed: bool,
    pub(super) last_started: Option<Timestamp>,
    pub(super) last_completed: Option<Timestamp>,
    pub(super) newest_order: Option<Timestamp>,
    pub(super) orders: u64,
    pub(super) products: u64,
}

impl Connection {
    /// Whether it is there for this account.
    pub(super) fn is_live_for(&self, account: &Account) -> bool {
        self.deleted_at.is_none() && self.org_id == account.org_id
    }

    /// Whether lists show it; lists may lag behind.
    pub(super) fn is_listed(&self, moment: &Moment) -> bool {
        let Settings { list_lag, deleted_rows_linger, .. } = moment.settings;
        let appeared = later(self.created_at, *list_lag) <= moment.now;
        let linger = if *deleted_rows_linger { *list_lag } else { Duration::ZERO };
        appeared && self.deleted_at.is_none_or(|deleted| moment.now < later(deleted, linger))
    }

    pub(super) fn needs_update(&self, now: Timestamp) -> bool {
        self.troubles(now).any(|trouble| trouble == Trouble::NeedsUpdate)
    }

    pub(super) fn disabled_reason(&self, now: Timestamp) -> Option<DisabledReason> {
        self.troubles(now)
            .find_map(|trouble| if let Trouble::Disabled { reason } = trouble { Some(reason) } else { None })
    }

    /// Since when its merchant is asked to log in at its link; none if it is established and well enough.
    pub(super) fn asks_merchant_since(&self, now: Timestamp) -> Option<Timestamp> {
        let again = self.troubles.iter().filter(|(at, trouble)| *at <= now && asks_merchant(*trouble));
        let again = again.map(|(at, _)| *at).max();
        again.or_else(|| self.established_at.is_none().then_some(self.created_at))
    }

    /// The state by which it is listed. That `needs_reauth` goes before `disabled` is inferred: the help describes it
    /// as disabled with a remedy.
    pub(super) fn list_status(&self, moment: &Moment) -> ListStatus {
        if self.needs_update(moment.now) {
            ListStatus::NeedsReauth
        } else if self.disabled_reason(moment.now).is_some() {
            ListStatus::Disabled
        } else if !self.progress(moment).is_ready {
            ListStatus::NotReady
        } else if self.troubles(moment.now).any(|trouble| trouble == Trouble::Unhealthy) {
            ListStatus::Unhealthy
        } else {
            ListStatus::Active
        }
    }

    /// How far its synchronization has come.
    pub(super) fn progress(&self, moment: &Moment) -> Progress {
        let Some(established) = self.established_at else { return Progress::default() };
        let settings = moment.settings;
        // A connection that is disabled or needs its merchant is not synchronized.
        let now = self.stopped_at(moment.now).map_or(moment.now, |stopped| stopped.min(moment.now));
        let ready_at = match self.readiness {
            Readiness::Scheduled => Some(later(established, settings.initial_sync)),
            Readiness::Since(at) => Some(at),
            Readiness::HeldBack => None,
        };
        let ready_at = ready_at.filter(|at| *at <= now);
        let data_now = moment.frozen_at.map_or(now, |frozen| frozen.min(now));
        let last_completed = ready_at.map(|at| last_tick(at, data_now, settings.sync_period));
        let loaded = u64::try_from(between(established, data_now).as_millis()).unwrap_or(u64::MAX) / 100;
        Progress {
            is_ready: ready_at.is_some(),
            history_completed: ready_at.is_some_and(|at| later(at, settings.history) <= now),
            last_started: last_completed.or(Some(established)),
            last_completed,
            newest_order: (loaded > 0).then_some(data_now),
            orders: loaded,
            products: loaded / 3,
        }
    }

    /// When anything about it changed last.
    pub(super) fn updated_at(&self, moment: &Moment) -> Timestamp {
        let begun = self.troubles.iter().map(|(at, _)| *at).filter(|at| *at <= moment.now).max();
        let synced = self.progress(moment).last_started;
        self.changed_at.max(begun.unwrap_or(self.changed_at)).max(synced.unwrap_or(self.changed_at))
    }

    fn troubles(&self, now: Timestamp) -> impl Iterator<Item = Trouble> {
        self.troubles.iter().filter(move |(at, _)| *at <= now).map(|(_, trouble)| *trouble)
    }

    fn stopped_at(&self, now: Timestamp) -> Option<Timestamp> {
        let stops = self.troubles.iter().filter(|(at, trouble)| *at <= now && *trouble != Trouble::Unhealthy);
        stops.map(|(at, _)| *at).min()
    }
}

/// The last time at or before `now` that is a whole number of periods after `start`; `start` if there is none.
fn last_tick(start: Timestamp, now: Timestamp, period: Duration) -> Timestamp {
    let period = period.as_millis().max(1);
    let ticks = between(start, now).as_millis() / period;
    later(start, Duration::from_millis(u64::try_from(ticks * period).unwrap_or(u64::MAX)))
}
