//! One integration instance and its life.
//!
//! Owns what is remembered of an instance and how that ages. It must never hold the access token it was made with:
//! a digest tells only whether another one has come.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::{Draft, GROUP, NAME, TOKEN};
use super::settings::{Cleaning, Settings};
use crate::clock::{between, later};
use crate::rutter::Origin;

/// What is remembered of an instance.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) id: u64,
    pub(super) tenant_id: String,
    pub(super) origin: Origin,
    pub(super) name: String,
    /// Names are compared like this.
    pub(super) folded_name: String,
    /// Everything else but the token, as in a body.
    pub(super) fields: Map<String, Value>,
    token_digest: Option<u64>,
    pub(super) token_version: u32,
    pub(super) created_at: Timestamp,
    pub(super) changed_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
    pub(super) archived: bool,
    pub(super) locked: bool,
    /// Since when the shop refuses its token; a time in the future is one that will come.
    pub(super) refused_at: Option<Timestamp>,
    pub(super) refreshes: Vec<Refresh>,
    pub(super) changes: Vec<Change>,
}

/// Data that is loaded from a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    /// All products.
    Products,
    /// All orders.
    Orders,
}

impl Entity {
    /// The word in paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Orders => "orders",
        }
    }
}

/// Who started a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Starter {
    /// A create, by itself.
    Create,
    /// A request that asked for it.
    Request,
}

/// One refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Refresh {
    /// Of what.
    pub entity: Entity,
    /// Who started it.
    pub by: Starter,
    /// When.
    pub at: Timestamp,
    /// Its job, whether or not jobs can be read.
    pub job: u64,
}

/// What a change sets off (SKU.io's page on `PUT`): a reason to send no more than what differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SideEffect {
    /// Another `start_date` moves the date of the sales channel.
    StartDate,
    /// Another `pricing.masterOfPrice` has the prices of all listings computed.
    Pricing,
    /// Other inventory settings throw away what is known of the inventory.
    Inventory,
    /// Other accounting flags touch all accounting transactions.
    Accounting,
}

impl SideEffect {
    fn of(path: &str) -> Option<Self> {
        match path.strip_prefix(GROUP)?.strip_prefix('.')? {
            "start_date" => Some(Self::StartDate),
            "pricing" | "pricing.masterOfPrice" => Some(Self::Pricing),
            "sync_sales_order_invoices_to_accounting" | "sync_sales_credit_to_accounting" => Some(Self::Accounting),
            other => (other == "inventory" || other.starts_with("inventory.")).then_some(Self::Inventory),
        }
    }
}

/// One change through the API. It has names of fields only: one of the values is a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// `PATCH` or `PUT`.
    pub method: String,
    /// The dotted names in the body, known or not.
    pub sent: Vec<String>,
    /// Those whose values really differed.
    pub changed: Vec<String>,
    /// What that set off.
    pub side_effects: Vec<SideEffect>,
}

/// Whether an instance is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It is.
    Live,
    /// It was deleted; it is being cleaned up, and its name is taken.
    Cleaning,
    /// It is not.
    Gone,
}

/// The moment at which instances are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    /// Since when no data moves.
    pub(super) frozen_at: Option<Timestamp>,
    pub(super) settings: &'a Settings,
}

impl Instance {
    /// An instance that nothing is known of yet.
    pub(super) fn new(now: Timestamp, tenant_id: String, origin: Origin) -> Self {
        Self {
            id: 0,
            tenant_id,
            origin,
            name: String::new(),
            folded_name: String::new(),
            fields: Map::new(),
            token_digest: None,
            token_version: 0,
            created_at: now,
            changed_at: now,
            deleted_at: None,
            archived: false,
            locked: false,
            refused_at: None,
            refreshes: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Takes over what a draft says; the dotted names of what differed.
    pub(super) fn absorb(&mut self, now: Timestamp, draft: Draft) -> Vec<String> {
        let mut changed = Vec::new();
        for (field, value) in draft.values {
            match (field.path.split_once('.'), value) {
                (None, Value::String(name)) if field.path == NAME => {
                    if self.name != name {
                        self.folded_name = name.to_lowercase();
                        self.name = name;
                        changed.push(NAME.to_owned());
                    }
                }
                (None, value) => merge(&mut self.fields, field.path, field.path, value, &mut changed),
                (Some((group, key)), value) => {
                    let group = self.fields.entry(group).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(group) = group {
                        merge(group, key, field.path, value, &mut changed);
                    }
                }
            }
        }
        if let Some(digest) = draft.token.map(|token| digest(&token))
            && self.token_digest != Some(digest)
        {
            self.token_digest = Some(digest);
            self.token_version += 1;
            self.refused_at = None;
            changed.push(TOKEN.to_owned());
        }
        if !changed.is_empty() {
            self.changed_at = now;
        }
        changed
    }

    /// What the changes of these fields set off.
    pub(super) fn side_effects(changed: &[String]) -> Vec<SideEffect> {
        let mut effects: Vec<_> = changed.iter().filter_map(|path| SideEffect::of(path)).collect();
        effects.sort_unstable();
        effects.dedup();
        effects
    }

    pub(super) fn store_hash(&self) -> &str {
        let hash = self.fields.get(GROUP).and_then(|group| group.get("store_hash"));
        hash.and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn presence(&self, moment: &Moment) -> Presence {
        match self.deleted_at {
            None => Presence::Live,
            Some(at) if moment.now < later(at, moment.settings.cleanup) => Presence::Cleaning,
            Some(_) => Presence::Gone,
        }
    }

    /// Whether a read by id finds it.
    pub(super) fn is_readable(&self, moment: &Moment) -> bool {
        match self.presence(moment) {
            Presence::Live => true,
            Presence::Cleaning => moment.settings.cleaning != Cleaning::Hidden,
            Presence::Gone => false,
        }
    }

    /// Whether a list shows it; lists may lag behind.
    pub(super) fn is_listed(&self, moment: &Moment, archived: bool) -> bool {
        let appeared = later(self.created_at, moment.settings.list_lag) <= moment.now;
        let listed = self.deleted_at.is_some() && moment.settings.cleaning == Cleaning::Listed;
        appeared && self.is_readable(moment) && (listed || self.is_archived() == archived)
    }

    /// What is cleaned up counts as archived.
    pub(super) fn is_archived(&self) -> bool {
        self.archived || self.deleted_at.is_some()
    }

    pub(super) fn is_locked(&self, moment: &Moment) -> bool {
        self.locked || moment.now < later(self.created_at, moment.settings.lock)
    }

    /// When its data was loaded last, and how often.
    pub(super) fn synced(&self, moment: &Moment) -> (Timestamp, u64) {
        let now = moment.frozen_at.map_or(moment.now, |frozen| frozen.min(moment.now));
        let period = moment.settings.sync_period.as_millis().max(1);
        let times = between(self.created_at, now).as_millis() / period;
        let passed = Duration::from_millis(u64::try_from(times * period).unwrap_or(u64::MAX));
        (later(self.created_at, passed), u64::try_from(times).unwrap_or(u64::MAX))
    }
}

/// Puts a value in its place; objects are merged. Notes the names of what differed.
fn merge(object: &mut Map<String, Value>, key: &str, path: &str, value: Value, changed: &mut Vec<String>) {
    match (object.get_mut(key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            for (name, value) in new {
                let path = format!("{path}.{name}");
                merge(old, &name, &path, value, changed);
            }
        }
        (Some(old), value) => {
            if !is_same(old, &value) {
                *old = value;
                changed.push(path.to_owned());
            }
        }
        (None, value) => {
            object.insert(key.to_owned(), value);
            changed.push(path.to_owned());
        }
    }
}

/// 2 and 2.0 are the same percentage.
#[expect(clippy::float_cmp, reason = "whether a client sent the very number that is there")]
fn is_same(old: &Value, new: &Value) -> bool {
    old == new || matches!((old.as_f64(), new.as_f64()), (Some(old), Some(new)) if old == new)
}

fn digest(token: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(token.as_bytes());
    hasher.finish()
}
