//! Rutter: connections of stores and ledgers, by its public reference.
//!
//! Rutter has no read by id and no usable update: a record is seen in the account-wide list, read with its own token,
//! and changed only by a new one.

mod have;
mod map;
mod reads;
mod wire;

pub use have::Have;

use super::{
    ApiError, ConnectSettings, ConnectionSecret, CreatePermit, Created, DeletePermit, External, Freshness, Job, Login,
    Made, Operation, Recogniser, Record, Summary,
    gate::Gate,
    http::{Call, Http, Pace, headers},
    wire::Wire,
};
use crate::{
    api::{
        connection_secret::{CONNECTION_ID, LINK_URL},
        v1alpha1::{AppliedField, Declaration, RefreshPhase},
    },
    domain::{
        conditions::Health,
        decide::Look,
        diff::Difference,
        ids::{ExternalId, NaturalKey},
        intent::{Stamps, Timing, Window},
        reason::Problem,
        refresh::Entity,
        stores::{self, Recognition},
        text::{is_link, plain},
        validate::{self, Access, Credentials, RutterWant, SecretData},
        verdict::{Blame, Detail, Effect, Kind, Verdict, verdict},
    },
    telemetry::Meter,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, Method};
use jiff::{Timestamp, civil::Date};
use reads::Reads;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use std::{convert::Infallible, sync::Arc};
use tokio::time::{Instant, timeout};
use wire::{CreateReply, DeleteReply, LoadReply, Row};

/// So many connections are asked whose the login is.
const ASKED: usize = 5;

/// Rutter behind one login.
pub struct Rutter {
    reads: Reads,
    timing: Timing,
    /// The version of the API that the login speaks: which fields a create takes depends on it.
    version: String,
}

impl Rutter {
    pub(super) fn new(login: &Login, wire: Wire, gate: Arc<Gate>, settings: &ConnectSettings, meter: Meter) -> Self {
        let timing = settings.timing;
        let request_id = HeaderName::from_static("x-rutter-request-id");
        let http = Http::new(wire, login.endpoint.clone(), of_login(login), request_id, timing.call, gate, meter);
        Self { reads: Reads::new(http, timing.lag, settings.poll), timing, version: login.version.clone() }
    }
}

impl Rutter {
    /// Reads what an answer to a create does not say, as far as it can be read.
    async fn read_new(&self, have: &mut Have) {
        // When the connection was made: a server that de-duplicates answers an old one.
        have.store = self.reads.detail_of_new(&have.row).await.ok().flatten();
        have.row.created_at = match have.store.as_ref().and_then(|detail| detail.created_at) {
            Some(created_at) => Some(created_at),
            // Optional in the detail, required in the list.
            None => self.reads.listed_since(&have.row.id, Instant::now()).await.and_then(|r| r.created_at),
        };
        if self.reads.organisation().is_none() {
            self.reads.made(have.row.clone());
            // The first record tells who the account is; others wait for that. A failure leaves it to the next look.
            let _ = self.reads.read_status(&have.row, None).await;
        }
    }

    /// Loads history again from a day on.
    async fn backfill(&self, id: &ExternalId, entity: Entity, from: Date) -> Result<Option<String>, ApiError> {
        let entity = match entity {
            Entity::Products => "product",
            Entity::Orders => "order",
        };
        let body = json!({"entity": entity, "start_date": from.to_string(), "include_webhooks": false});
        self.load(id, "backfill", Some(body)).await
    }

    async fn load(&self, id: &ExternalId, verb: &str, body: Option<Value>) -> Result<Option<String>, ApiError> {
        let operation = Operation::Refresh;
        let token = self.reads.token(id.as_str()).ok_or_else(|| ApiError::unsent(operation))?;
        let (path, query) = (["connections", verb], [("access_token", token.expose_secret())]);
        let call = Call { operation, method: Method::POST, path: &path, query: &query, body, key: None };
        let reply = self.reads.http.send(call, Pace::InTurn).await?;
        match map::read::<LoadReply>(operation, &reply).map_err(|e| self.reads.heed(e))? {
            LoadReply { success: true } => Ok(None),
            LoadReply { success: false } => {
                Err(ApiError::answered(operation, reply.status.as_u16(), Kind::Invalid, Effect::None))
            }
        }
    }
}

fn of_login(login: &Login) -> HeaderMap {
    let pair = format!("{}:{}", login.name.expose_secret(), login.secret.expose_secret());
    headers(&format!("Basic {}", BASE64_STANDARD.encode(pair)), Some(("x-rutter-version", &login.version)))
}

fn secret(row: &Row) -> Option<ConnectionSecret> {
    let token = row.access_token.clone()?;
    let mut fields = vec![(CONNECTION_ID, SecretString::from(row.id.as_str())), ("access_token", token)];
    let link = row.link_url.clone().filter(|link| is_link(link.expose_secret()));
    fields.extend(link.map(|link| (LINK_URL, link)));
    Some(ConnectionSecret(fields))
}

fn body(want: &RutterWant, credentials: &Credentials) -> Value {
    // What a merchant is to connect begins with nothing at all.
    let Access::Credentials { platform, parameters } = &want.access else { return json!({}) };
    let mut body = Map::from_iter([("platform".to_owned(), json!(platform.name))]);
    body.extend(parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    body.extend(want.scope.as_ref().map(|s| ("scope".to_owned(), json!(s))));
    body.extend(credentials.iter().map(|(name, value)| (name.to_owned(), json!(value.expose_secret()))));
    Value::Object(body)
}

/// A request that has data loaded.
pub enum Load {
    /// History of one entity from a day on.
    Backfill(Entity, Date),
    /// What is new, of all entities.
    Sync,
}

impl External for Rutter {
    type Want = RutterWant;
    type Have = Have;
    /// Rutter applies no change in place: its PATCH is not documented.
    type Change = Infallible;
    type Load = Load;

    const NAME: &'static str = "Rutter";
    const LOGIN: &'static str = "the login. Correct the Secret that credentialsSecretRef names";
    const STORE: &'static str = "the store's credentials. Correct the Secret that credentialsSecretRef names";
    const TAKES_CREDENTIALS: bool = false;
    const TAKES_CHANGES: bool = false;
    const REFRESHES: bool = true;

    fn want(declared: &Declaration) -> Result<RutterWant, Problem> {
        match declared {
            Declaration::Connection(spec) => validate::rutter(spec),
            Declaration::IntegrationInstance(_) => Err(validate::wrong_kind("Connection", Self::NAME)),
        }
    }

    fn key(want: &RutterWant) -> Option<NaturalKey> {
        want.key()
    }

    fn fields(want: &RutterWant) -> Vec<AppliedField> {
        want.fields()
    }

    fn objection(&self, want: &RutterWant, today: Date, _: bool) -> Option<Problem> {
        want.objection(today)
    }

    fn first_loads(want: &RutterWant) -> Vec<(Entity, RefreshPhase)> {
        // Rutter begins its own first sync; these go further back.
        want.loads.iter().map(|(entity, _)| (*entity, RefreshPhase::Due)).collect()
    }

    fn loads(want: &RutterWant, entities: &[Entity]) -> Vec<(Load, Vec<Entity>)> {
        let from = |entity: Entity| want.loads.iter().find(|(e, _)| *e == entity).map(|(_, day)| *day);
        let dated = |entity: &Entity| Some((Load::Backfill(*entity, from(*entity)?), vec![*entity]));
        // It is of no single entity: one for all that have no first day of their own.
        let rest: Vec<Entity> = entities.iter().copied().filter(|e| from(*e).is_none()).collect();
        let sync = (!rest.is_empty()).then_some((Load::Sync, rest));
        entities.iter().filter_map(dated).chain(sync).collect()
    }

    fn credentials_secret(declared: &Declaration) -> Option<&str> {
        match declared {
            Declaration::Connection(spec) => {
                spec.rutter.as_ref()?.credentials_secret_ref.as_ref().map(|r| r.name.as_str())
            }
            Declaration::IntegrationInstance(_) => None,
        }
    }

    fn credentials(&self, want: &RutterWant, secret: &str, data: &SecretData) -> Result<Credentials, Problem> {
        match &want.access {
            Access::Credentials { platform, .. } => validate::credentials(platform, &self.version, secret, data),
            Access::Link { .. } => Ok(Credentials::default()),
        }
    }

    fn diff(
        want: &RutterWant,
        have: &Have,
        applied: &[AppliedField],
        _: Option<&Credentials>,
    ) -> Difference<Infallible> {
        if want.by_link() {
            // The merchant decides what it is; whether that is what was declared is a matter of its health.
            return Difference::None;
        }
        // What the record was made with counts: the store's own domain may be another name of the same store.
        let declared = want.fields();
        let differs = |f: &&AppliedField| !applied.is_empty() && !applied.contains(f);
        let mut fields: Vec<String> = declared.iter().filter(differs).map(|f| f.path.clone()).collect();
        let dropped = applied.iter().filter(|a| !declared.iter().any(|d| d.path == a.path)).map(|a| a.path.clone());
        fields.extend(dropped);
        let platform = have
            .row
            .platform
            .as_deref()
            .is_some_and(|told| stores::is_another(told, want.platform().unwrap_or_default()));
        fields.extend((platform && !fields.iter().any(|f| f == "spec.platform")).then(|| "spec.platform".to_owned()));
        let of_other = |key| have.recognise(&key) == Recognition::Other;
        let store = applied.is_empty() && !platform && want.key().is_some_and(of_other);
        fields.extend(store.then(|| "spec.rutter.parameters.store_url".to_owned()));
        if fields.is_empty() { Difference::None } else { Difference::Replace(fields) }
    }

    fn summary(want: Option<&RutterWant>, have: &Have) -> Summary {
        let store = have.store.as_ref();
        let health = have.health.as_ref().map(|(health, _)| health.clone());
        let open = want.is_some_and(RutterWant::by_link) && !have.has_store();
        let short = |s: Option<&String>| s.map(|s| plain(s, 256)).filter(|s| !s.is_empty());
        Summary {
            health: health.map(|health| want.map_or(health.clone(), |want| map::linked(want, have, health))),
            // What a merchant is to choose is not known before.
            platform: have.row.platform.as_ref().filter(|_| !open).map(|p| plain(p, 64)),
            store_name: short(store.and_then(|d| d.store_name.as_ref())),
            store_domain: short(store.and_then(|d| d.store_domain.as_ref())),
            last_sync: have.health.as_ref().and_then(|(_, last_sync)| *last_sync),
            secret: secret(&have.row),
            ..Summary::default()
        }
    }

    async fn probe(&self, freshness: Freshness, pace: Pace) -> Result<Option<String>, ApiError> {
        let snapshot = self.reads.list(freshness, pace).await?;
        let mut open = None;
        // Rutter names the organisation only together with a connection, and one may have nothing to say.
        for row in snapshot.rows.iter().take(ASKED) {
            if self.reads.organisation().is_some() {
                break;
            }
            match self.reads.read_status(row, None).await {
                // That is about this connection, for good or for longer than a probe waits.
                Err(e) if reads::is_of_platform(&e) || verdict(e.kind, e.retry_after) == Verdict::Stall => {}
                Err(e) if e.kind == Kind::RateLimited => return Err(e),
                Err(e) => open = Some(e),
                Ok(_) => {}
            }
        }
        match (self.reads.organisation(), open) {
            (None, Some(error)) => Err(error),
            (known, _) => Ok(known),
        }
    }

    async fn observe(&self, look: &Look, freshness: Freshness, pace: Pace) -> Result<Vec<Record<Have>>, ApiError> {
        match look {
            Look::Id(id) => self.reads.by_id(id, freshness, pace).await,
            Look::Key(key) => self.reads.by_key(key, freshness, pace).await,
            Look::Window(intent) => {
                let window = Window::of(intent, Timestamp::MIN, None, self.timing);
                let rows = self.reads.rows(&*self.reads.list(freshness, pace).await?);
                let inside = |r: &Arc<Row>| r.created_at.is_some_and(|t| window.contains(t));
                let record = |r: Arc<Row>| {
                    let (id, born) = (ExternalId::new(&r.id), r.created_at);
                    Record { id, stamps: Stamps::born(born), have: Some(Have::new(Arc::unwrap_or_clone(r), None)) }
                };
                Ok(rows.into_iter().filter(inside).map(record).collect())
            }
        }
    }

    async fn recogniser(&self, id: &ExternalId) -> Result<Recogniser, ApiError> {
        self.reads.recogniser(id).await
    }

    async fn create(
        &self,
        permit: CreatePermit,
        want: &RutterWant,
        credentials: &Credentials,
    ) -> Result<Made, ApiError> {
        let before = self.reads.listed();
        let operation = Operation::Create;
        let (path, body) = (["connections", "create"], Some(body(want, credentials)));
        let call = Call { operation, method: Method::POST, path: &path, query: &[], body, key: None };
        let reply = self.reads.http.send_create(call, permit).await?;
        let made = map::read::<CreateReply>(operation, &reply).map_err(|error| {
            // A create that leads to a link carries no credentials of a store.
            let blame = if want.by_link() { Blame::Login } else { error.detail.blame };
            self.reads.heed(ApiError { detail: Detail { blame, ..error.detail }, ..error })
        })?;
        let made = made.connection;
        let id = ExternalId::new(&made.id);
        let is_told = made.access_token.as_ref().is_some_and(|token| !token.expose_secret().is_empty());
        if !id.is_plain() || !is_told {
            return Err(ApiError::unreadable(operation, Some(reply.status.as_u16())));
        }
        let known_before = before.is_some_and(|s| s.rows.iter().any(|r| r.id == made.id));
        let row = Row {
            id: made.id,
            access_token: made.access_token,
            link_url: made.link_url,
            platform: want.platform().filter(|_| !want.by_link()).map(str::to_owned),
            created_at: None,
        };
        // A connection made with credentials is not ready before its first sync.
        let mut have = Have { health: Some((Health::FirstSync, None)), ..Have::new(row, None) };
        // Its id is in no object yet: all that is read of it takes no longer than one call may.
        let _ = timeout(self.timing.call, self.read_new(&mut have)).await;
        self.reads.made(have.row.clone());
        let (born, summary) = (have.row.created_at, Self::summary(Some(want), &have));
        Ok(Made::Created(Box::new(Created { id, born, summary, known_before, restored: false })))
    }

    async fn update(&self, _: &ExternalId, change: &Infallible) -> Result<(), ApiError> {
        match *change {}
    }

    async fn delete(&self, permit: DeletePermit) -> Result<(), ApiError> {
        // What has no id of its own is there no more than what is gone.
        if self.reads.is_anothers(permit.id()).await? {
            return Ok(());
        }
        let id = permit.id().as_str();
        let operation = Operation::Delete;
        let call =
            Call { operation, method: Method::DELETE, path: &["connections", id], query: &[], body: None, key: None };
        let reply = self.reads.http.send(call, Pace::InTurn).await?;
        match map::read::<DeleteReply>(operation, &reply).map_err(|e| self.reads.heed(e)) {
            Ok(DeleteReply { success: false }) => {
                let status = reply.status.as_u16();
                return Err(ApiError::answered(operation, status, Kind::Unavailable, Effect::Unknown));
            }
            Err(e) if !matches!(e.kind, Kind::NotFound | Kind::Gone) => return Err(e),
            // An endpoint that is not there says so too, as does a proxy that knows none: what is gone is in no list.
            Err(e) if e.kind == Kind::NotFound && self.reads.is_listed(id).await? => return Err(e),
            Ok(DeleteReply { success: true }) | Err(_) => {}
        }
        self.reads.deleted(id);
        Ok(())
    }

    async fn refresh(&self, id: &ExternalId, load: &Load) -> Result<Option<String>, ApiError> {
        match load {
            Load::Backfill(entity, day) => self.backfill(id, *entity, *day).await,
            Load::Sync => self.load(id, "incremental_sync", None).await,
        }
    }

    async fn job(&self, _: &str) -> Result<Job, ApiError> {
        // Rutter names no jobs of its loads.
        Ok(Job::Lost)
    }

    fn organisation(&self) -> Option<String> {
        self.reads.organisation()
    }

    fn now(&self) -> Option<Timestamp> {
        self.reads.http.now()
    }
}

#[cfg(test)]
#[path = "contract_tests.rs"]
mod contract_tests;
#[cfg(test)]
#[path = "platforms_tests.rs"]
mod tests;
