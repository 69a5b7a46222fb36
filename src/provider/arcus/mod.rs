//! Arcus ERP: connectors, by its public reference.
//!
//! An entity has one connector of each type, so that the type is the id. A deletion is soft and keeps the credentials for
//! seven days, in which a create brings them back; credentials never pass through here. A store that a merchant has to
//! authorize is created by an invitation: a link, and nothing else until the merchant has followed it.

mod have;
mod key;
mod map;
mod wire;

pub use have::Have;
pub(super) use key::{LIVE, entity_code};

use super::{
    Accepted, ApiError, ConnectSettings, CreatePermit, Created, DeletePermit, External, Freshness, Job, Login, Made,
    Operation, Record, Summary, answer,
    gate::Gate,
    http::{Call, Http, Pace, Reply, Room},
    inventory::Inventory,
    wire::Wire,
};
use crate::{
    api::v1alpha1::{AppliedField, Declaration, RefreshPhase},
    domain::{
        conditions::{Health, History},
        connectors::{Connector, ConnectorWant, Field},
        decide::Look,
        diff::Difference,
        ids::{ExternalId, NaturalKey},
        intent::{Timing, Window},
        reason::Problem,
        refresh::Entity,
        text::{is_link, plain},
        validate::{self, Credentials, SecretData},
        verdict::Kind,
    },
    telemetry::Meter,
};
use have::{record, sent};
use http::{HeaderName, Method};
use jiff::{SignedDuration, Timestamp, civil::Date};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use wire::{Invitation, Row};

/// Where connectors live.
const INTEGRATIONS: &str = "integrations";
/// Rows of one page: the most that Arcus gives.
const LIMIT: &str = "100";
/// Pages that are read at most; there are sixteen types.
const MAX_PAGES: usize = 16;
/// All of them together weigh no more than this.
const ROOM: usize = 4 << 20;
/// A limit without `Retry-After` is waited out this long.
const WAIT: Duration = Duration::from_secs(10);
/// A link that does not say how long it works is taken to work this long.
const UNTOLD: SignedDuration = SignedDuration::from_hours(1);
/// No link is waited for longer, whatever it says: a deletion waits for it too.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Arcus behind one login.
pub struct Arcus {
    http: Http,
    all: Inventory<Vec<Row>>,
    entity: Mutex<Option<String>>,
    /// Rows that a change was told do not exist: where they are shown, as switched off, they are deleted.
    gone: Mutex<HashSet<String>>,
    timing: Timing,
    /// The key is one for real data.
    live: bool,
}

/// What a PATCH carries.
pub struct Change(Map<String, Value>);

impl Arcus {
    pub(super) fn new(login: &Login, wire: Wire, gate: Arc<Gate>, settings: &ConnectSettings, meter: Meter) -> Self {
        let timing = settings.timing;
        let request_id = HeaderName::from_static("x-request-id");
        let http = Http::new(wire, login.endpoint.clone(), key::of_login(login), request_id, timing.call, gate, meter);
        let live = login.secret.expose_secret().starts_with(LIVE);
        Self { http, all: Inventory::default(), entity: Mutex::default(), gone: Mutex::default(), timing, live }
    }

    fn heard(&self, operation: Operation, reply: &Reply) -> Result<Value, ApiError> {
        if let Some(wait) = self.now().and_then(|now| map::used_up(reply, now)) {
            self.http.pause(wait);
        }
        map::read(operation, reply).map_err(|e| self.http.heed(e, WAIT))
    }

    async fn get(
        &self,
        operation: Operation,
        path: &[&str],
        query: &[(&str, &str)],
        pace: Pace,
    ) -> Result<Value, ApiError> {
        let call = Call { operation, method: Method::GET, path, query, body: None, key: None };
        let reply = self.http.send(call, pace).await?;
        self.heard(operation, &reply)
    }

    /// A write that makes nothing, with a key of its own: one that is used again is answered without doing anything.
    async fn write(
        &self,
        operation: Operation,
        method: Method,
        id: &ExternalId,
        body: Option<Value>,
    ) -> Result<Value, ApiError> {
        let (path, key) = ([INTEGRATIONS, id.as_str()], uuid::Uuid::new_v4().to_string());
        let call = Call { operation, method, path: &path, query: &[], body, key: Some(&key) };
        let reply = self.http.send(call, Pace::InTurn).await?;
        self.heard(operation, &reply)
    }

    fn learn(&self, row: &Row) {
        if let Some(entity) = &row.entity_id {
            *self.entity.lock().unwrap_or_else(PoisonError::into_inner) = Some(entity.clone());
        }
    }

    fn gone(&self) -> MutexGuard<'_, HashSet<String>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn one(&self, id: &str, pace: Pace) -> Result<Option<Row>, ApiError> {
        if known(Operation::Read, &ExternalId::new(id)).is_err() {
            return Ok(None);
        }
        match self.get(Operation::Read, &[INTEGRATIONS, id], &[], pace).await {
            Ok(body) => {
                let row = wire::row(body).filter(|row| row.connector_type == id);
                let row = row.ok_or_else(|| ApiError::unreadable(Operation::Read, None))?;
                self.learn(&row);
                if row.active != Some(false) {
                    self.gone().remove(id);
                }
                Ok(Some(row).filter(|_| !self.gone().contains(id)))
            }
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, pace: Pace) -> Result<Vec<Row>, ApiError> {
        let (operation, path) = (Operation::List, [INTEGRATIONS]);
        let (mut rows, mut after, mut room) = (Vec::new(), None::<String>, Room::of(ROOM));
        for page in 0..MAX_PAGES {
            let mut query = vec![("limit", LIMIT)];
            query.extend(after.as_deref().map(|id| ("starting_after", id)));
            let pace = if page == 0 { pace } else { Pace::InTurn };
            let call = Call { operation, method: Method::GET, path: &path, query: &query, body: None, key: None };
            let reply = self.http.send(call, pace).await?;
            room.keep(answer::weight(&reply.body))?;
            let (more, next) = answer::alone(|| self.page(&reply))?;
            rows.extend(more);
            after = next;
            if after.is_none() {
                if let Some(row) = rows.first() {
                    self.learn(row);
                }
                return Ok(rows);
            }
        }
        Err(ApiError::unreadable(operation, None))
    }

    fn page(&self, reply: &Reply) -> Result<(Vec<Row>, Option<String>), ApiError> {
        let body = self.heard(Operation::List, reply)?;
        wire::page(body).ok_or_else(|| ApiError::unreadable(Operation::List, None))
    }

    /// The refusal of a create for what stands there. What is switched off no look shows, so that it is said here.
    async fn in_the_way(&self, error: ApiError, want: &ConnectorWant) -> ApiError {
        match self.one(want.connector.name, Pace::InTurn).await {
            Ok(Some(row)) if row.active == Some(false) => map::switched_off(error),
            Ok(_) | Err(_) => error,
        }
    }

    /// A link and how long it works. `wall`: our own time, where Arcus tells none.
    fn accepted(&self, invitation: Invitation, wall: Timestamp) -> Accepted {
        let now = self.now().unwrap_or(wall);
        let after = |span: SignedDuration| now.saturating_add(span).unwrap_or(now);
        let expires_at = invitation.expires_at.unwrap_or_else(|| after(UNTOLD)).min(after(LONGEST));
        Accepted { link: SecretString::from(invitation.url), expires_at }
    }
}

/// Whether an id is one of Arcus' types, in its spelling: it might take another one for the same, and it would be held by nobody.
fn known(operation: Operation, id: &ExternalId) -> Result<(), ApiError> {
    Connector::named(id.as_str()).map(drop).ok_or_else(|| ApiError::unsent(operation))
}

impl External for Arcus {
    type Want = ConnectorWant;
    type Have = Have;
    type Change = Change;
    /// Arcus has no endpoint for it.
    type Load = Infallible;

    const NAME: &'static str = "Arcus";
    const LOGIN: &'static str = "the login. Correct the api_key in the Secret that credentialsSecretRef names";
    const STORE: &'static str = "the connector's credentials. Enter them in Arcus";
    const TAKES_CREDENTIALS: bool = false;
    const TAKES_CHANGES: bool = true;
    const REFRESHES: bool = false;

    fn want(declared: &Declaration) -> Result<ConnectorWant, Problem> {
        match declared {
            Declaration::Connection(spec) => validate::arcus(spec),
            Declaration::IntegrationInstance(_) => Err(validate::wrong_kind("Connection", Self::NAME)),
        }
    }

    fn key(want: &ConnectorWant) -> Option<NaturalKey> {
        Some(want.key())
    }

    fn fields(want: &ConnectorWant) -> Vec<AppliedField> {
        want.applied()
    }

    fn objection(&self, want: &ConnectorWant, _: Date, creating: bool) -> Option<Problem> {
        want.objection(self.live, creating)
    }

    fn first_loads(_: &ConnectorWant) -> Vec<(Entity, RefreshPhase)> {
        vec![]
    }

    fn loads(_: &ConnectorWant, _: &[Entity]) -> Vec<(Infallible, Vec<Entity>)> {
        vec![]
    }

    fn credentials_secret(_: &Declaration) -> Option<&str> {
        None
    }

    fn credentials(&self, _: &ConnectorWant, _: &str, _: &SecretData) -> Result<Credentials, Problem> {
        Ok(Credentials::default())
    }

    fn diff(
        want: &ConnectorWant,
        have: &Have,
        applied: &[AppliedField],
        _: Option<&Credentials>,
    ) -> Difference<Change> {
        let told = |field: &Field| have.row.told.get(field.name);
        // Also before anybody has entered credentials: nothing but the answer tells a deleted connector from one that waits for them.
        let fields: Vec<&Field> = want.fields().iter().filter(|f| f.differs(told(f), applied)).collect();
        if fields.is_empty() {
            return Difference::None;
        }
        let body = fields.iter().map(|f| (f.name.to_owned(), sent(f, told(f)))).collect();
        Difference::Update(Change(body), fields.iter().map(|f| f.path.clone()).collect())
    }

    fn is_left_behind(want: &ConnectorWant, have: &Have) -> bool {
        have.row.active == Some(false) && !want.is_off()
    }

    fn summary(want: Option<&ConnectorWant>, have: &Have) -> Summary {
        let row = &have.row;
        let short = |text: &Option<String>| text.as_ref().map(|t| plain(t, 256)).filter(|t| !t.is_empty());
        let oauth = want.is_some_and(|want| want.connector.oauth);
        let health = match row.credentials {
            Some(false) if oauth => Health::AwaitsAuthorization(
                "Arcus holds no authorization of the store any more. Authorize it in Arcus' own pages".to_owned(),
            ),
            Some(false) => Health::AwaitsAuthorization(
                "Arcus holds no credentials for the connector. Enter the credentials in Arcus; they cannot be sent from here"
                    .to_owned(),
            ),
            Some(true) | None => Health::Works { history: History::Untold },
        };
        Summary {
            health: Some(health),
            platform: Some(plain(&row.connector_type, 64)),
            last_sync: row.last_sync_at,
            sync_status: short(&row.sync_status),
            sync_error: short(&row.sync_error),
            has_credentials: row.credentials,
            has_webhook_secret: row.webhook_secret,
            ..Summary::default()
        }
    }

    async fn probe(&self, freshness: Freshness, pace: Pace) -> Result<Option<String>, ApiError> {
        match self.all.get(freshness, || self.list(pace)).await {
            Ok(_) => Ok(self.organisation()),
            // The list is named in Arcus' text, but not among its pages. Who may not log in is told so before.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Gone) => Ok(self.organisation()),
            Err(error) => Err(error),
        }
    }

    async fn observe(&self, look: &Look, freshness: Freshness, pace: Pace) -> Result<Vec<Record<Have>>, ApiError> {
        match look {
            Look::Id(id) => Ok(self.one(id.as_str(), pace).await?.map(record).into_iter().collect()),
            // A row that is switched off is what a deletion leaves behind: nobody's.
            Look::Key(key) => {
                let row = self.one(key.as_str(), pace).await?.filter(|row| row.active != Some(false));
                Ok(row.map(record).into_iter().collect())
            }
            Look::Window(intent) => {
                let window = Window::of(intent, Timestamp::MIN, None, self.timing);
                let rows = self.all.get(freshness, || self.list(pace)).await?;
                let inside = |row: &&Row| row.born().is_some_and(|t| window.contains(t)) && row.active != Some(false);
                Ok(rows.rows.iter().filter(inside).cloned().map(record).collect())
            }
        }
    }

    async fn create(&self, permit: CreatePermit, want: &ConnectorWant, _: &Credentials) -> Result<Made, ApiError> {
        let (operation, wall) = (Operation::Create, permit.now());
        let (path, body) = ([INTEGRATIONS, want.connector.name], Some(Value::Object(want.create_body())));
        let call = Call { operation, method: Method::POST, path: &path, query: &[], body, key: None };
        let reply = self.http.send_create(call, permit).await?;
        let answer = match self.heard(operation, &reply) {
            Err(error) if map::is_duplicate(&error) => return Err(self.in_the_way(error, want).await),
            answer => answer?,
        };
        if let Some(invitation) = Invitation::read(&answer) {
            // What is no link can be handed to nobody.
            let accepted = is_link(&invitation.url).then(|| Made::Accepted(self.accepted(invitation, wall)));
            return accepted.ok_or_else(|| answer::unreadable(operation, &reply));
        }
        let row = wire::row(answer).filter(|row| row.connector_type == want.connector.name);
        let row = row.ok_or_else(|| answer::unreadable(operation, &reply))?;
        self.learn(&row);
        self.gone().remove(want.connector.name);
        let restored = row.credentials == Some(true);
        let have = Have { row };
        Ok(Made::Created(Box::new(Created {
            id: ExternalId::new(want.connector.name),
            born: have.row.born().or_else(|| self.now()),
            summary: Self::summary(Some(want), &have),
            // There is one of each type: what stood there before was switched off, or the look has found it.
            known_before: false,
            restored,
        })))
    }

    async fn update(&self, id: &ExternalId, change: &Change) -> Result<(), ApiError> {
        known(Operation::Update, id)?;
        let body = Some(Value::Object(change.0.clone()));
        let answer = self.write(Operation::Update, Method::PATCH, id, body).await;
        if answer.as_ref().is_err_and(|e| matches!(e.kind, Kind::NotFound | Kind::Gone)) {
            self.gone().insert(id.to_string());
        }
        answer.map(drop)
    }

    async fn delete(&self, permit: DeletePermit) -> Result<(), ApiError> {
        // What is none of Arcus' types is there no more than what is gone.
        if known(Operation::Delete, permit.id()).is_err() {
            return Ok(());
        }
        match self.write(Operation::Delete, Method::DELETE, permit.id(), None).await {
            Err(error) if !matches!(error.kind, Kind::NotFound | Kind::Gone) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn refresh(&self, _: &ExternalId, load: &Infallible) -> Result<Option<String>, ApiError> {
        match *load {}
    }

    async fn job(&self, _: &str) -> Result<Job, ApiError> {
        Ok(Job::Lost)
    }

    fn organisation(&self) -> Option<String> {
        self.entity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn now(&self) -> Option<Timestamp> {
        self.http.now()
    }
}

#[cfg(test)]
#[path = "contract_tests.rs"]
mod contract_tests;
