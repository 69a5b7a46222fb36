//! The providers: how a record is observed, created, updated and deleted, and what their answers mean.
//!
//! Owns HTTP and the three API contracts. It must never know Kubernetes clients, objects or events; what it needs of
//! a declaration reaches it as a Want.

mod answer;
pub mod arcus;
#[macro_use]
mod backend;
mod connect;
#[cfg(test)]
#[path = "contract_tests.rs"]
mod contract;
mod deadline;
mod endpoint;
mod error;
mod gate;
mod http;
mod inventory;
pub mod rutter;
pub mod sku_io;
mod wire;

pub use backend::Backend;
pub(crate) use backend::with_external;
pub use connect::{ConnectSettings, Login, Session, account_refusal, connect, login, objection, refusal};
pub(crate) use deadline::{Deadline, Wall};
pub use endpoint::{AllowList, BadEndpoint};
pub use error::{ApiError, Operation};
pub use gate::{Gate, Refusal, Slot, Ticket, on_behalf_of};
pub use http::Pace;
pub use wire::{Wire, WireError};

use crate::{
    api::v1alpha1::{AppliedField, Declaration, RefreshPhase},
    domain::{
        conditions::Health,
        decide::Look,
        diff::Difference,
        ids::{ExternalId, NaturalKey},
        intent::Stamps,
        reason::Problem,
        refresh::Entity,
        validate::{Credentials, SecretData},
    },
};
use jiff::{Timestamp, civil::Date};
use secrecy::SecretString;
use std::{
    future::{self, Future},
    time::Duration,
};
use tokio::time::Instant;

/// How new an observation must be.
#[derive(Clone, Copy, Debug)]
pub enum Freshness {
    /// Begun after this moment: an absence may be concluded from it.
    After(Instant),
    /// Not older than this: enough to see that a known record is still there.
    Within(Duration),
}

/// Whether a key names a record for certain.
pub(crate) type Recogniser = Box<dyn Fn(&NaturalKey) -> bool + Send>;

/// So old may be what tells whose a record is: that does not change while the record is there.
pub(crate) const WHOSE: Freshness = Freshness::Within(Duration::from_mins(5));

/// One record as a look found it.
#[derive(Clone, Debug)]
pub struct Record<H> {
    /// Its id.
    pub id: ExternalId,
    /// When it came to be.
    pub stamps: Stamps,
    /// What was read of it; `None` where its identity could not be read.
    pub have: Option<H>,
}

/// What the engine writes of a record into status, the same for every provider.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The record's health; `None` if it was not read.
    pub health: Option<Health>,
    /// The platform as the provider names it.
    pub platform: Option<String>,
    /// The store's name.
    pub store_name: Option<String>,
    /// The store's domain.
    pub store_domain: Option<String>,
    /// When the last sync ended.
    pub last_sync: Option<Timestamp>,
    /// What belongs into the connection Secret.
    pub secret: Option<ConnectionSecret>,
    /// The provider's own word for how the last sync went.
    pub sync_status: Option<String>,
    /// The provider's own words for what went wrong in it.
    pub sync_error: Option<String>,
    /// Whether the provider holds credentials of the record.
    pub has_credentials: Option<bool>,
    /// Whether the provider holds a webhook secret of the record.
    pub has_webhook_secret: Option<bool>,
}

/// What the operator hands out in the connection Secret, by its fixed keys.
#[derive(Clone, Debug)]
pub struct ConnectionSecret(pub Vec<(&'static str, SecretString)>);

/// How far a job at the provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// It waits or runs.
    Running,
    /// It is done.
    Completed,
    /// It failed, or was cancelled.
    Failed,
    /// The provider does not know it any more.
    Lost,
}

/// A record that a create made.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its id.
    pub id: ExternalId,
    /// What is known of it already; its health as the provider promises it for a new record.
    pub summary: Summary,
    /// When it was made, by the provider's clock; `None` if that could not be read.
    pub born: Option<Timestamp>,
    /// It stood in the list before the call: not made by it.
    pub known_before: bool,
    /// It came with credentials that nobody has given it now: those of a record that was deleted before.
    pub restored: bool,
}

/// What a create came to.
#[derive(Clone, Debug)]
pub enum Made {
    /// A record.
    Created(Box<Created>),
    /// A link: the record comes to be once a person has followed it.
    Accepted(Accepted),
}

impl Made {
    /// The record, where there is one already.
    #[must_use]
    pub fn id(&self) -> Option<&ExternalId> {
        match self {
            Self::Created(created) => Some(&created.id),
            Self::Accepted(_) => None,
        }
    }
}

/// A create that waits for a person.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// What the person has to open. It belongs into the connection Secret and nowhere else.
    pub link: SecretString,
    /// When it ends to work, by the provider's clock.
    pub expires_at: Timestamp,
}

/// The right to send one create: minted by `engine::intent` after the intent is stored, and spent by the call.
///
/// # Guarantees
/// A create without a stored intent does not compile: nothing else makes this value, and it cannot be cloned.
/// `http` refuses it once it has expired, right before sending.
#[derive(Debug)]
pub struct CreatePermit {
    key: String,
    expires: Deadline,
    ticket: Ticket,
}

impl CreatePermit {
    /// For `engine::intent` alone (an architecture test holds that).
    pub(crate) fn mint(nonce: &str, expires: Deadline, ticket: Ticket) -> Self {
        Self { key: nonce.to_owned(), expires, ticket }
    }

    /// The wall time now.
    fn now(&self) -> Timestamp {
        self.expires.now()
    }
}

/// The right to delete one record: minted by `engine::act` alone, past policy and guard.
#[derive(Debug)]
pub struct DeletePermit {
    id: ExternalId,
}

impl DeletePermit {
    /// For `engine::act` alone (an architecture test holds that).
    pub(crate) fn mint(id: ExternalId) -> Self {
        Self { id }
    }

    /// The record.
    #[must_use]
    pub fn id(&self) -> &ExternalId {
        &self.id
    }
}

/// One provider behind one login.
///
/// # Guarantees
/// Implementations send at most one write for each call of a writing verb, and never retry within it: the requeue of the
/// engine is the only retry loop.
///
/// # Assumptions
/// The caller holds a [`Slot`] of the session's gate while it calls.
pub trait External: Send + Sync + 'static {
    /// The declaration, as this provider understands it; without secrets.
    type Want: Send + Sync;
    /// A record, as this provider shows it.
    type Have: Send + Sync;
    /// A change that can be applied in place.
    type Change: Send + Sync;
    /// A request that has data loaded.
    type Load: Send + Sync;

    /// The provider's name in messages.
    const NAME: &'static str;
    /// What to correct where the account's login is refused, to stand behind "NAME refused".
    const LOGIN: &'static str;
    /// What to correct where the store's credentials are refused, to stand behind "NAME refused".
    const STORE: &'static str;
    /// Whether a record takes new credentials in place.
    const TAKES_CREDENTIALS: bool;
    /// Whether anything of a record can be changed in place.
    const TAKES_CHANGES: bool;
    /// Whether data can be refreshed on request.
    const REFRESHES: bool;

    /// The Want of a declaration.
    ///
    /// # Errors
    /// What is wrong with the declaration, and what to write instead.
    fn want(declared: &Declaration) -> Result<Self::Want, Problem>;
    /// What makes the record the same thing; `None` where the platform documents no identity.
    fn key(want: &Self::Want) -> Option<NaturalKey>;
    /// The non-secret fields that a record is made with.
    fn fields(want: &Self::Want) -> Vec<AppliedField>;
    /// What keeps a create, or else a change or a load, from being sent today.
    fn objection(&self, want: &Self::Want, today: Date, creating: bool) -> Option<Problem>;
    /// The loads that belong to the creation: those that it starts by itself, and those that are to be asked for.
    fn first_loads(want: &Self::Want) -> Vec<(Entity, RefreshPhase)>;
    /// The requests that it takes to have the data of these entities loaded, and whose each loads.
    fn loads(want: &Self::Want, entities: &[Entity]) -> Vec<(Self::Load, Vec<Entity>)>;
    /// The Secret with the store's credentials, where the provider takes any.
    fn credentials_secret(declared: &Declaration) -> Option<&str>;
    /// The key of it that they stand under, where the declaration says which.
    #[must_use]
    fn credentials_key(_: &Self::Want) -> Option<&str> {
        None
    }
    /// The credentials that the Want needs, in the version of the API that this login speaks.
    ///
    /// # Errors
    /// Which key of the Secret is wrong, or that this version has no such platform.
    fn credentials(&self, want: &Self::Want, secret: &str, data: &SecretData) -> Result<Credentials, Problem>;
    /// How a record differs from the Want; `applied` is what it was last given, `fresh` are credentials that it has not
    /// been given yet.
    fn diff(
        want: &Self::Want,
        have: &Self::Have,
        applied: &[AppliedField],
        fresh: Option<&Credentials>,
    ) -> Difference<Self::Change>;
    /// Whether a record that is shown is what a deletion leaves behind, for who only looks on. Who manages it finds out by
    /// what a change is answered with.
    fn is_left_behind(_want: &Self::Want, _have: &Self::Have) -> bool {
        false
    }
    /// What of a record goes into status, as far as that follows from what is wanted.
    fn summary(want: Option<&Self::Want>, have: &Self::Have) -> Summary;

    /// Who the login is, and that it is accepted. `pace`: what the first request does while the budget is used up, here
    /// and below; those that follow wait for their turn.
    fn probe(&self, freshness: Freshness, pace: Pace) -> impl Future<Output = Result<Option<String>, ApiError>> + Send;
    /// The records that a look finds.
    fn observe(
        &self,
        look: &Look,
        freshness: Freshness,
        pace: Pace,
    ) -> impl Future<Output = Result<Vec<Record<Self::Have>>, ApiError>> + Send;
    /// What tells whether a key names the record for certain, by what is told of it whatever its health. Nothing is asked
    /// that a look has told a few minutes ago; and nothing at all where keys are ids.
    fn recogniser(&self, id: &ExternalId) -> impl Future<Output = Result<Recogniser, ApiError>> + Send {
        let id = id.clone();
        future::ready(Ok(Box::new(move |key: &NaturalKey| key.as_str() == id.as_str()) as Recogniser))
    }
    /// Creates the record.
    fn create(
        &self,
        permit: CreatePermit,
        want: &Self::Want,
        credentials: &Credentials,
    ) -> impl Future<Output = Result<Made, ApiError>> + Send;
    /// Applies a change.
    fn update(&self, id: &ExternalId, change: &Self::Change) -> impl Future<Output = Result<(), ApiError>> + Send;
    /// Whether the store accepts the credentials that the record has now. Asked only where [`Self::TAKES_CREDENTIALS`].
    fn verify(&self, _: &ExternalId) -> impl Future<Output = Result<bool, ApiError>> + Send {
        future::ready(Ok(true))
    }
    /// Deletes the record; one that is gone already is a success.
    fn delete(&self, permit: DeletePermit) -> impl Future<Output = Result<(), ApiError>> + Send;
    /// Asks for a refresh; the provider's id of the job where it tells one.
    fn refresh(
        &self,
        id: &ExternalId,
        load: &Self::Load,
    ) -> impl Future<Output = Result<Option<String>, ApiError>> + Send;
    /// How far a job is.
    fn job(&self, job: &str) -> impl Future<Output = Result<Job, ApiError>> + Send;
    /// Whom the login belongs to, as far as answers have told.
    fn organisation(&self) -> Option<String>;
    /// The provider's clock, from the `Date` of its answers; `None` before the first one.
    fn now(&self) -> Option<Timestamp>;
}
