//! What others do while the client is not looking: a colleague in the user interface, SKU.io's staff.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::fields::{self, GROUP, Scope};
use super::instance::{Change, Entity, Instance, Moment, Presence, Refresh, SideEffect, Starter};
use super::job::{JobRecord, JobStatus};
use super::refusal::Errors;
use super::{Account, Origin, SkuIo};

/// Something that is done behind the client's back.
///
/// In the admin API: `{"deed": "delete", "instance": 7}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case", deny_unknown_fields)]
pub enum Deed {
    /// Somebody makes an instance.
    Make {
        /// The tenant; that of the first account if left out.
        #[serde(default)]
        tenant_id: Option<String>,
        /// Its name.
        name: String,
        /// Its store.
        store_hash: String,
    },
    /// Somebody makes many instances: `<prefix>-00001`, and so on.
    Fill {
        /// The tenant; that of the first account if left out.
        #[serde(default)]
        tenant_id: Option<String>,
        /// What their names begin with; also their store hashes.
        prefix: String,
        /// How many; 0 makes none, which is an error.
        count: usize,
    },
    /// Somebody deletes an instance; the clean-up begins.
    Delete {
        /// Which.
        instance: u64,
    },
    /// Somebody changes an instance.
    Change {
        /// Which.
        instance: u64,
        /// What, as in the body of a `PATCH`.
        fields: Map<String, Value>,
    },
    /// Somebody gives an instance another name.
    Rename {
        /// Which.
        instance: u64,
        /// The name.
        name: String,
    },
    /// Somebody archives an instance, or brings it back.
    Archive {
        /// Which.
        instance: u64,
        /// Whether it is archived.
        archived: bool,
    },
    /// Something holds an instance: changes, deletes and refreshes are answered 409.
    Lock {
        /// Which.
        instance: u64,
        /// Whether it is held.
        locked: bool,
    },
    /// The shop refuses the token of an instance from now on, or takes it again: refreshes fail. Another token ends it.
    RefuseStoreToken {
        /// Which.
        instance: u64,
        /// Whether it is refused.
        refused: bool,
    },
    /// A job stops its own course and is like this from now on.
    SetJob {
        /// Which.
        job: u64,
        /// How far it is.
        status: JobStatus,
    },
}

/// Why a deed cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSuch {
    /// There is no tenant with this id, or no account at all.
    Tenant,
    /// There is no token with this public part.
    Token,
    /// There is no live instance with this id.
    Instance,
    /// There is no job with this id.
    Job,
    /// No instance can have these values, or the name is taken.
    Fields,
}

impl fmt::Display for NoSuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tenant => "there is no such tenant",
            Self::Token => "there is no such token",
            Self::Instance => "there is no such live instance",
            Self::Job => "there is no such job",
            Self::Fields => "no instance can have these values, or the name is taken",
        })
    }
}

impl std::error::Error for NoSuch {}

/// An instance as the provider's staff would see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each independent of the others")]
pub struct Record {
    /// The id.
    pub id: u64,
    /// The tenant.
    pub tenant_id: String,
    /// The name.
    pub name: String,
    /// The kind of integration.
    pub integration_id: u64,
    /// The store.
    pub store_hash: String,
    /// `integration_settings`, with everything that somebody has set.
    pub integration_settings: Map<String, Value>,
    /// Whether it is synchronized by itself.
    pub is_automatic_sync_enabled: bool,
    /// How many different access tokens of the store have come; the tokens themselves are not kept.
    pub token_version: u32,
    /// Who made it.
    pub origin: Origin,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anybody changed it last.
    pub changed_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Whether it is there.
    pub presence: Presence,
    /// Whether somebody has archived it.
    pub archived: bool,
    /// Whether something holds it.
    pub locked: bool,
    /// Whether the shop refuses its token.
    pub store_token_refused: bool,
    /// The refreshes so far.
    pub refreshes: Vec<Refresh>,
    /// The changes through the API so far.
    pub changes: Vec<Change>,
}

impl Record {
    fn of(instance: &Instance, moment: &Moment) -> Self {
        let group = instance.fields.get(GROUP).and_then(Value::as_object);
        Self {
            id: instance.id,
            tenant_id: instance.tenant_id.clone(),
            name: instance.name.clone(),
            integration_id: instance.fields.get("integration_id").and_then(Value::as_u64).unwrap_or_default(),
            store_hash: instance.store_hash().to_owned(),
            integration_settings: group.cloned().unwrap_or_default(),
            is_automatic_sync_enabled: instance.fields.get("is_automatic_sync_enabled") == Some(&Value::Bool(true)),
            token_version: instance.token_version,
            origin: instance.origin,
            created_at: instance.created_at,
            changed_at: instance.changed_at,
            deleted_at: instance.deleted_at,
            presence: instance.presence(moment),
            archived: instance.archived,
            locked: instance.is_locked(moment),
            store_token_refused: instance.refused_at.is_some_and(|at| at <= moment.now),
            refreshes: instance.refreshes.clone(),
            changes: instance.changes.clone(),
        }
    }

    /// How many refreshes of this there were, by who started them.
    #[must_use]
    pub fn refreshed(&self, entity: Entity, by: Starter) -> usize {
        self.refreshes.iter().filter(|refresh| refresh.entity == entity && refresh.by == by).count()
    }

    /// What the changes through the API have set off, in their order.
    #[must_use]
    pub fn side_effects(&self) -> Vec<SideEffect> {
        self.changes.iter().flat_map(|change| change.side_effects.iter().copied()).collect()
    }
}

impl SkuIo {
    /// Every instance that there ever was, in the order in which they were made.
    #[must_use]
    pub fn records(&self, now: Timestamp) -> Vec<Record> {
        let moment = self.moment(now);
        self.ledger.rows().iter().map(|instance| Record::of(instance, &moment)).collect()
    }

    /// One instance.
    #[must_use]
    pub fn record(&self, now: Timestamp, id: u64) -> Option<Record> {
        self.ledger.by_id(id).map(|instance| Record::of(instance, &self.moment(now)))
    }

    /// Every job that there ever was.
    #[must_use]
    pub fn jobs(&self, now: Timestamp) -> Vec<JobRecord> {
        self.jobs.iter().map(|job| JobRecord::of(job, now, &self.settings)).collect()
    }

    /// Stops all data (dates of syncs, counts) where it is, or lets it move on. Jobs and clean-ups still come to their
    /// end.
    pub fn freeze(&mut self, now: Timestamp, frozen: bool) {
        self.frozen_at = frozen.then_some(now);
    }

    /// Does something behind the client's back. Answers with the instance that it was done to; of many made, the last.
    ///
    /// # Errors
    ///
    /// When there is no such tenant, live instance or job, or no instance can be like this.
    pub fn act(&mut self, now: Timestamp, deed: &Deed) -> Result<Record, NoSuch> {
        let id = match deed {
            Deed::Make { tenant_id, name, store_hash } => {
                let tenant_id = self.tenant(tenant_id.as_deref())?;
                self.make(now, &tenant_id, name, store_hash)?
            }
            Deed::Fill { tenant_id, prefix, count } => {
                let tenant_id = self.tenant(tenant_id.as_deref())?;
                let mut last = Err(NoSuch::Instance);
                for number in 1..=*count {
                    let name = format!("{prefix}-{number:05}");
                    last = Ok(self.make(now, &tenant_id, &name, &name)?);
                }
                last?
            }
            Deed::Delete { instance } => self.touch(*instance, |instance| instance.deleted_at = Some(now))?,
            Deed::Change { instance, fields } => self.change(now, *instance, fields)?,
            Deed::Rename { instance, name } => {
                let fields = Map::from_iter([(fields::NAME.to_owned(), Value::from(name.as_str()))]);
                self.change(now, *instance, &fields)?
            }
            Deed::Archive { instance, archived } => self.touch(*instance, |instance| {
                (instance.archived, instance.changed_at) = (*archived, now);
            })?,
            Deed::Lock { instance, locked } => self.touch(*instance, |instance| instance.locked = *locked)?,
            Deed::RefuseStoreToken { instance, refused } => {
                self.touch(*instance, |instance| instance.refused_at = refused.then_some(now))?
            }
            Deed::SetJob { job, status } => self.set_job(now, *job, *status)?,
        };
        self.record(now, id).ok_or(NoSuch::Instance)
    }

    fn make(&mut self, now: Timestamp, tenant_id: &str, name: &str, store_hash: &str) -> Result<u64, NoSuch> {
        let body = json!({
            "name": name,
            "integration_id": 5,
            "connection_settings": {"access_token": "of-a-stranger"},
            "integration_settings": {
                "store_hash": store_hash,
                "start_date": "2026-01-01",
                "store_id": 1,
                "auto_link_products": false,
                "auto_create_products": false,
            },
        });
        let body = body.as_object().ok_or(NoSuch::Fields)?;
        let (draft, mut errors) = fields::read(body, Scope::Create, &self.settings);
        self.check_name(now, tenant_id, draft.name(), None, &mut errors);
        sound(&errors)?;
        let mut instance = Instance::new(now, tenant_id.to_owned(), Origin::Stranger);
        instance.absorb(now, draft);
        Ok(self.ledger.add(instance))
    }

    fn change(&mut self, now: Timestamp, id: u64, body: &Map<String, Value>) -> Result<u64, NoSuch> {
        let live = self.ledger.by_id(id).filter(|instance| instance.deleted_at.is_none());
        let tenant_id = live.ok_or(NoSuch::Instance)?.tenant_id.clone();
        let (draft, mut errors) = fields::read(body, Scope::Part, &self.settings);
        self.check_name(now, &tenant_id, draft.name(), Some(id), &mut errors);
        sound(&errors)?;
        self.ledger.absorb(now, id, draft);
        Ok(id)
    }

    fn touch(&mut self, id: u64, touch: impl FnOnce(&mut Instance)) -> Result<u64, NoSuch> {
        let instance = self.ledger.by_id_mut(id).filter(|instance| instance.deleted_at.is_none());
        touch(instance.ok_or(NoSuch::Instance)?);
        Ok(id)
    }

    fn set_job(&mut self, now: Timestamp, id: u64, status: JobStatus) -> Result<u64, NoSuch> {
        let job = self.jobs.iter_mut().find(|job| job.id == id).ok_or(NoSuch::Job)?;
        job.set = Some((now, status));
        Ok(job.instance)
    }

    fn tenant(&self, wanted: Option<&str>) -> Result<String, NoSuch> {
        let mut tenants = self.accounts.iter().map(|account| &account.tenant_id);
        tenants.find(|id| wanted.is_none_or(|wanted| wanted == *id)).cloned().ok_or(NoSuch::Tenant)
    }

    /// A token, by its public part.
    pub(crate) fn account_mut(&mut self, token_id: u64) -> Result<&mut Account, NoSuch> {
        self.accounts.iter_mut().find(|account| account.token_id() == token_id).ok_or(NoSuch::Token)
    }
}

fn sound(errors: &Errors) -> Result<(), NoSuch> {
    if errors.is_empty() { Ok(()) } else { Err(NoSuch::Fields) }
}
