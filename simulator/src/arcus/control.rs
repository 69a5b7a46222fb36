//! What others do while the client is not looking: a colleague in the user interface, a merchant, Arcus' staff.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::connector::{Connector, Mode};
use super::fields::{self, Draft, Scope};
use super::link::{Link, LinkStatus};
use super::row::{Change, Moment, Row, Tally};
use super::write::{Birth, Entrance};
use super::{Account, Arcus, Origin};

/// Something that is done behind the client's back to a connector of an entity.
///
/// In the admin API: `{"connector": "shippo", "deed": "enter_credentials"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deed {
    /// The entity; that of the first account if left out.
    #[serde(default)]
    pub entity_id: Option<Uuid>,
    /// Which of its connectors.
    pub connector: Connector,
    /// What is done.
    #[serde(flatten)]
    pub act: Act,
}

/// What is done behind the client's back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// A stranger makes it, or takes hold of the one that is there; without asking for consent.
    Make {
        /// What it is like, as in the body of a `POST`; for trying out unless it says otherwise.
        #[serde(default)]
        fields: Map<String, Value>,
    },
    /// Somebody enters its credentials in the user interface; that makes it active.
    EnterCredentials,
    /// Somebody removes its credentials.
    RemoveCredentials,
    /// Somebody switches it on or off.
    SetActive {
        /// Whether it is on.
        active: bool,
    },
    /// Somebody deletes it; its credentials are kept as after any delete.
    Delete,
    /// Somebody changes it.
    Change {
        /// What, as in the body of a `PATCH`.
        fields: Map<String, Value>,
    },
    /// Its synchronization fails from now on, or works again.
    SetSyncError {
        /// Why it fails; none = it works.
        error: Option<String>,
    },
    /// Others refer to it, so that a delete is refused; nobody does any more if empty.
    SetInUse {
        /// Who.
        references: Vec<String>,
    },
    /// Somebody consents behind the newest link that works, without opening its page.
    Approve,
    /// Somebody does not.
    Refuse,
    /// The links that are out end before their time.
    ExpireLinks,
}

impl Act {
    /// Done to a connector of the first account's entity.
    #[must_use]
    pub fn on(self, connector: Connector) -> Deed {
        Deed { entity_id: None, connector, act: self }
    }
}

/// Why a deed cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSuch {
    /// There is no such entity, or no account at all.
    Entity,
    /// There is no key of this name.
    Key,
    /// The entity has no such connector, or it is deleted.
    Connector,
    /// There is no link that works.
    Link,
    /// No connector can have these values.
    Fields,
}

impl fmt::Display for NoSuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entity => "there is no such entity",
            Self::Key => "there is no such key",
            Self::Connector => "the entity has no such connector",
            Self::Link => "there is no link that works",
            Self::Fields => "no connector can have these values",
        })
    }
}

impl std::error::Error for NoSuch {}

/// A connector as the provider's staff would see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each independent of the others")]
pub struct Record {
    /// The id.
    pub id: Uuid,
    /// The entity.
    pub entity_id: Uuid,
    /// The kind.
    pub connector: Connector,
    /// Its name.
    pub display_name: String,
    /// Its mode.
    pub mode: Mode,
    /// Whether it is switched on.
    pub is_active: bool,
    /// Its configuration.
    pub config: Map<String, Value>,
    /// The shop, at Shopify.
    pub shop: Option<String>,
    /// `ship_from_*`, `seller_id` and `bank_account_id`, where it has them.
    pub details: BTreeMap<String, String>,
    /// Whether credentials are stored; those of a deleted connector are kept for a while.
    pub has_credentials: bool,
    /// Whether a signing secret of webhooks is stored.
    pub has_webhook_secret: bool,
    /// When it was synchronized last.
    pub last_sync_at: Option<Timestamp>,
    /// Why its synchronization fails.
    pub sync_error: Option<String>,
    /// Who brought it about last.
    pub origin: Origin,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it came to be last: made, or brought back after a delete.
    pub established_at: Timestamp,
    /// When anybody changed it last.
    pub changed_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Whether it is deleted.
    pub deleted: bool,
    /// What has happened to it so far.
    pub tally: Tally,
    /// The changes through the API so far.
    pub changes: Vec<Change>,
}

impl Record {
    fn of(row: &Row, moment: &Moment) -> Self {
        let sync = row.sync(moment);
        Self {
            id: row.id,
            entity_id: row.entity_id,
            connector: row.connector,
            display_name: row.display_name.clone(),
            mode: row.mode,
            is_active: row.is_active,
            config: row.config.clone(),
            shop: row.shop.clone(),
            details: row.details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            has_credentials: row.has_credentials(moment.now, moment.settings.recovery),
            has_webhook_secret: row.has_webhook_secret,
            last_sync_at: sync.last,
            sync_error: sync.error.map(ToOwned::to_owned),
            origin: row.origin,
            created_at: row.created_at,
            established_at: row.established_at,
            changed_at: row.changed_at,
            deleted_at: row.deleted_at,
            deleted: row.is_deleted(),
            tally: row.tally,
            changes: row.changes.clone(),
        }
    }
}

/// A link as the provider's staff would see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkRecord {
    /// The entity.
    pub entity_id: Uuid,
    /// What it is for.
    pub connector: Connector,
    /// The shop.
    pub shop: Option<String>,
    /// Path and query of its page. Who knows it may consent; it is invented here and guards nothing.
    pub path: String,
    /// When it was handed out.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What has become of it.
    pub status: LinkStatus,
}

impl Arcus {
    /// Every connector that there ever was, in the order in which they were made.
    #[must_use]
    pub fn records(&self, now: Timestamp) -> Vec<Record> {
        let moment = self.moment(now);
        self.ledger.rows().iter().map(|row| Record::of(row, &moment)).collect()
    }

    /// The connector of that kind of an entity, deleted or not; of the first account's entity if none is named.
    #[must_use]
    pub fn record(&self, now: Timestamp, entity_id: Option<Uuid>, connector: Connector) -> Option<Record> {
        let entity_id = self.entity(entity_id).ok()?;
        self.ledger.find(entity_id, connector).map(|row| Record::of(row, &self.moment(now)))
    }

    /// Every link that was ever handed out.
    #[must_use]
    pub fn links(&self, now: Timestamp) -> Vec<LinkRecord> {
        let record = |link: &Link| LinkRecord {
            entity_id: link.birth.entity_id,
            connector: link.birth.connector,
            shop: link.birth.draft.shop.clone(),
            path: link.path(),
            issued_at: link.issued_at,
            expires_at: link.expires_at,
            status: link.status(now),
        };
        self.links.iter().map(record).collect()
    }

    /// Stops all data (dates of syncs and their words) where it is, or lets it move on.
    pub fn freeze(&mut self, now: Timestamp, frozen: bool) {
        self.frozen_at = frozen.then_some(now);
    }

    /// The key of that name, to be changed.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn account_mut(&mut self, name: &str) -> Result<&mut Account, NoSuch> {
        self.accounts.iter_mut().find(|account| account.name == name).ok_or(NoSuch::Key)
    }

    /// Does something behind the client's back; the connector as it is then, if there is one.
    ///
    /// # Errors
    ///
    /// When there is no such entity, living connector or working link, or no connector can be like this.
    pub fn act(&mut self, now: Timestamp, deed: &Deed) -> Result<Option<Record>, NoSuch> {
        let entity_id = self.entity(deed.entity_id)?;
        let connector = deed.connector;
        let of = (entity_id, connector);
        match &deed.act {
            Act::Make { fields } => {
                let draft = self.draft(fields, connector, Scope::Create)?;
                let birth = Birth { entity_id, connector, draft, mode: Mode::Sandbox, origin: Origin::Stranger };
                self.establish(now, birth, Entrance::Configured);
            }
            Act::EnterCredentials => self.alter(now, of, |row| {
                row.enter_credentials(now);
                row.is_active = true;
            })?,
            Act::RemoveCredentials => self.alter(now, of, |row| {
                row.credentials_since = None;
                row.has_webhook_secret = false;
            })?,
            Act::SetActive { active } => self.alter(now, of, |row| row.is_active = *active)?,
            Act::Delete => {
                let row = self.ledger.find(entity_id, connector).filter(|row| !row.is_deleted());
                let id = row.ok_or(NoSuch::Connector)?.id;
                self.remove(now, id);
            }
            Act::Change { fields } => {
                let draft = self.draft(fields, connector, Scope::Update)?;
                let merges_config = self.settings.merges_config;
                self.alter(now, of, |row| _ = row.absorb(draft, merges_config))?;
            }
            Act::SetSyncError { error } => {
                self.alter(now, of, |row| row.sync_error = error.clone().map(|error| (now, error)))?;
            }
            Act::SetInUse { references } => self.alter(now, of, |row| row.in_use_by.clone_from(references))?,
            Act::Approve => {
                let state = self.newest_link(now, of)?;
                self.approve(now, state).ok_or(NoSuch::Link)?;
            }
            Act::Refuse => {
                let state = self.newest_link(now, of)?;
                self.refuse_consent(now, state).ok_or(NoSuch::Link)?;
            }
            Act::ExpireLinks => {
                for link in self.links.iter_mut().filter(|link| link.is_of(of)) {
                    link.expires_at = link.expires_at.min(now);
                }
            }
        }
        Ok(self.record(now, Some(entity_id), connector))
    }

    /// Changes a connector that is not deleted.
    fn alter(&mut self, now: Timestamp, of: (Uuid, Connector), change: impl FnOnce(&mut Row)) -> Result<(), NoSuch> {
        let id = self.ledger.find(of.0, of.1).map(|row| row.id);
        let row = id.and_then(|id| self.ledger.by_id_mut(id)).filter(|row| !row.is_deleted());
        let row = row.ok_or(NoSuch::Connector)?;
        change(row);
        row.changed_at = now;
        row.settle(now);
        Ok(())
    }

    fn draft(&self, fields: &Map<String, Value>, connector: Connector, scope: Scope) -> Result<Draft, NoSuch> {
        fields::read(fields.clone(), connector, scope, &self.settings).map_err(|_| NoSuch::Fields)
    }

    fn newest_link(&self, now: Timestamp, of: (Uuid, Connector)) -> Result<Uuid, NoSuch> {
        let mut newest = self.links.iter().rev().filter(|link| link.status(now) == LinkStatus::Live);
        newest.find(|link| link.is_of(of)).map(|link| link.state).ok_or(NoSuch::Link)
    }

    /// An entity that has a key; the first if none is named.
    fn entity(&self, entity_id: Option<Uuid>) -> Result<Uuid, NoSuch> {
        let mut accounts = self.accounts.iter();
        let account = accounts.find(|account| entity_id.is_none_or(|id| id == account.entity_id));
        account.map(|account| account.entity_id).ok_or(NoSuch::Entity)
    }
}
