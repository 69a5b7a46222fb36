//! One connector of one entity and its life.
//!
//! Owns what is remembered of it and how that ages. It must never hold a credential: only that there are some, and
//! since when.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Origin;
use super::connector::{Connector, Mode};
use super::fields::Draft;
use super::settings::Settings;
use crate::clock::{between, later};

/// What is remembered of a connector.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) entity_id: Uuid,
    pub(super) connector: Connector,
    /// Who brought it about last.
    pub(super) origin: Origin,
    pub(super) display_name: String,
    pub(super) mode: Mode,
    pub(super) is_active: bool,
    pub(super) config: Map<String, Value>,
    pub(super) shop: Option<String>,
    pub(super) details: BTreeMap<&'static str, String>,
    pub(super) has_webhook_secret: bool,
    pub(super) credentials_since: Option<Timestamp>,
    /// What is wrong with its synchronization and since when; a time in the future is one that will come.
    pub(super) sync_error: Option<(Timestamp, String)>,
    pub(super) in_use_by: Vec<String>,
    pub(super) created_at: Timestamp,
    /// When it came to be last: made, or brought back.
    pub(super) established_at: Timestamp,
    pub(super) changed_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
    pub(super) tally: Tally,
    pub(super) changes: Vec<Change>,
    sync_from: Option<Timestamp>,
    sync_until: Option<Timestamp>,
}

/// What has happened to a connector so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How often it came to be through the API; also after a delete.
    pub creates: usize,
    /// How often it was deleted, by whomever.
    pub deletes: usize,
    /// How often a create met it while it was active, and took hold of it.
    pub overwrites: usize,
    /// How often it got its old credentials back.
    pub restores: usize,
    /// How often somebody has entered credentials, or consented.
    pub credentials_entered: usize,
}

/// One change through the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// The method: `POST` on a connector that was there, or `PATCH`.
    pub method: String,
    /// The dotted names of what was sent.
    pub sent: Vec<String>,
    /// The names of the fields that differed.
    pub changed: Vec<String>,
}

/// The moment at which rows are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    /// Since when no data moves.
    pub(super) frozen_at: Option<Timestamp>,
    pub(super) settings: &'a Settings,
}

/// What is seen of the synchronization of a connector.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sync<'a> {
    pub(super) last: Option<Timestamp>,
    pub(super) status: Option<&'static str>,
    pub(super) error: Option<&'a str>,
}

/// `sync_status` is free text; these are invented, and follow one another.
const WORDS: [&str; 3] = ["Up to date", "Catching up (3 orders)", "Syncing"];

impl Row {
    /// A connector about which nothing is known yet.
    pub(super) fn new(now: Timestamp, id: Uuid, entity_id: Uuid, connector: Connector) -> Self {
        Self {
            id,
            entity_id,
            connector,
            origin: Origin::Api,
            display_name: connector.name().to_owned(),
            mode: Mode::Sandbox,
            is_active: false,
            config: Map::new(),
            shop: None,
            details: BTreeMap::new(),
            has_webhook_secret: false,
            credentials_since: None,
            sync_error: None,
            in_use_by: Vec::new(),
            created_at: now,
            established_at: now,
            changed_at: now,
            deleted_at: None,
            tally: Tally::default(),
            changes: Vec::new(),
            sync_from: None,
            sync_until: None,
        }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// Whether credentials are stored. Those of a deleted connector are kept for a while.
    pub(super) fn has_credentials(&self, now: Timestamp, recovery: Duration) -> bool {
        self.credentials_since.is_some() && self.deleted_at.is_none_or(|deleted| now < later(deleted, recovery))
    }

    /// Takes on the values of a draft; the names of what differed.
    pub(super) fn absorb(&mut self, draft: Draft, merges_config: bool) -> Vec<String> {
        let mut changed = Vec::new();
        let mut note = |name: &str, differs: bool| {
            if differs {
                changed.push(name.to_owned());
            }
        };
        if let Some(display_name) = draft.display_name {
            note("display_name", display_name != self.display_name);
            self.display_name = display_name;
        }
        if let Some(mode) = draft.mode {
            note("mode", mode != self.mode);
            self.mode = mode;
        }
        if let Some(is_active) = draft.is_active {
            note("is_active", is_active != self.is_active);
            self.is_active = is_active;
        }
        if let Some(config) = draft.config {
            let mut wanted = if merges_config { self.config.clone() } else { Map::new() };
            wanted.extend(config);
            note("config", wanted != self.config);
            self.config = wanted;
        }
        if let Some(shop) = draft.shop {
            note("shop", Some(&shop) != self.shop.as_ref());
            self.shop = Some(shop);
        }
        for (name, value) in draft.details {
            note(name, value.as_ref() != self.details.get(name));
            match value {
                Some(value) => self.details.insert(name, value),
                None => self.details.remove(name),
            };
        }
        changed
    }

    pub(super) fn enter_credentials(&mut self, now: Timestamp) {
        self.credentials_since = Some(now);
        self.tally.credentials_entered += 1;
    }

    /// Lets the synchronization begin or end, after whatever has changed.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let runs = self.is_active && self.credentials_since.is_some() && self.deleted_at.is_none();
        let ran = self.sync_from.is_some() && self.sync_until.is_none();
        if runs && !ran {
            (self.sync_from, self.sync_until) = (Some(now), None);
        } else if !runs && ran {
            self.sync_until = Some(now);
        }
    }

    pub(super) fn delete(&mut self, now: Timestamp) {
        self.is_active = false;
        self.deleted_at = Some(now);
        self.changed_at = now;
        self.tally.deletes += 1;
        self.settle(now);
    }

    /// What is seen of its synchronization.
    pub(super) fn sync(&self, moment: &Moment) -> Sync<'_> {
        let error = self.sync_error.as_ref().filter(|(at, _)| *at <= moment.now);
        let Some(from) = self.sync_from else {
            return Sync { last: None, status: error.map(|_| "Failed"), error: error.map(|(_, text)| text.as_str()) };
        };
        let ends = [moment.frozen_at, self.sync_until, error.map(|(at, _)| *at)];
        let end = ends.into_iter().flatten().fold(moment.now, Timestamp::min);
        let period = moment.settings.sync_period.as_millis().max(1);
        let times = between(from, end).as_millis() / period;
        let passed = Duration::from_millis(u64::try_from(times * period).unwrap_or(u64::MAX));
        let word = usize::try_from(times).ok().and_then(|times| WORDS.get(times % WORDS.len()));
        Sync {
            last: Some(later(from, passed)),
            status: if error.is_some() { Some("Failed") } else { word.copied() },
            error: error.map(|(_, text)| text.as_str()),
        }
    }

    /// When anything about it changed last.
    pub(super) fn updated_at(&self, moment: &Moment) -> Timestamp {
        let synced = self.sync(moment).last.filter(|_| moment.settings.syncs_touch_rows);
        let failed = self.sync_error.as_ref().map(|(at, _)| *at).filter(|at| *at <= moment.now);
        [synced, failed].into_iter().flatten().fold(self.changed_at, Timestamp::max)
    }
}
