//! SKU.io: integration instances of BigCommerce, by its public reference and `OpenAPI` document.
//!
//! An instance is known by its unique name, read by id, and changed in place: a PATCH is merged deeply, and what it
//! changes has side effects, so that nothing is sent that does not differ. Its create starts both loads by itself.

mod map;
mod reads;
mod wire;

pub use reads::Have;

use super::{
    ApiError, ConnectSettings, CreatePermit, Created, DeletePermit, External, Freshness, Job, Login, Made, Operation,
    Recogniser, Record, Summary, answer,
    gate::Gate,
    http::{Call, Http, Pace, headers},
    wire::Wire,
};
use crate::{
    api::v1alpha1::{AppliedField, Declaration, RefreshPhase},
    domain::{
        conditions::{Health, History},
        credentials,
        decide::Look,
        diff::Difference,
        ids::{ExternalId, NaturalKey},
        instances::{self, ACCESS_TOKEN, CREDENTIALS_OBJECT, InstanceWant, TOKEN_PATH, TYPE_PATH},
        intent::{Stamps, Timing, Window},
        reason::Problem,
        refresh::Entity,
        text::plain,
        validate::{self, Credentials, SecretData},
        verdict::Kind,
    },
    telemetry::Meter,
};
use http::{HeaderMap, HeaderName, Method};
use jiff::{Timestamp, civil::Date};
use reads::{INSTANCES, Reads};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use wire::Row;

/// SKU.io behind one login.
pub struct SkuIo {
    reads: Reads,
    timing: Timing,
}

impl SkuIo {
    pub(super) fn new(login: &Login, wire: Wire, gate: Arc<Gate>, settings: &ConnectSettings, meter: Meter) -> Self {
        let timing = settings.timing;
        let request_id = HeaderName::from_static("x-request-id");
        let http = Http::new(wire, login.endpoint.clone(), of_login(login), request_id, timing.call, gate, meter);
        Self { reads: Reads::new(http), timing }
    }

    async fn write(&self, call: Call<'_>) -> Result<Value, ApiError> {
        let operation = call.operation;
        let reply = self.reads.http.send(call, Pace::InTurn).await?;
        map::read(operation, &reply).map_err(|e| self.reads.heed(e))
    }
}

fn of_login(login: &Login) -> HeaderMap {
    headers(&format!("Bearer {}", login.secret.expose_secret()), None)
}

/// What a PATCH carries. The token stands apart, so that nothing else can show it.
pub struct Change {
    fields: Map<String, Value>,
    token: Option<SecretString>,
}

impl Change {
    fn body(&self) -> Value {
        with_token(self.fields.clone(), self.token.as_ref())
    }
}

fn with_token(mut body: Map<String, Value>, token: Option<&SecretString>) -> Value {
    body.extend(token.map(|t| (CREDENTIALS_OBJECT.to_owned(), json!({ACCESS_TOKEN: t.expose_secret()}))));
    Value::Object(body)
}

fn token(credentials: &Credentials) -> Option<SecretString> {
    credentials.iter().find(|(name, _)| *name == ACCESS_TOKEN).map(|(_, value)| value.clone())
}

/// The number of the instance that a request is about. An id that SKU.io tells of none is asked for of nobody: it could be taken
/// for another object's.
fn number(operation: Operation, id: &ExternalId) -> Result<i64, ApiError> {
    instances::number(id.as_str()).ok_or_else(|| ApiError::unsent(operation))
}

impl External for SkuIo {
    type Want = InstanceWant;
    type Have = Have;
    type Change = Change;
    type Load = Entity;

    const NAME: &'static str = "SKU.io";
    const LOGIN: &'static str = "the login. Correct the token in the Secret that credentialsSecretRef names, or skuIo.tenant: SKU.io answers a \
         wrong tenant in the same way";
    const STORE: &'static str = "the store's token. Correct the Secret that accessTokenSecretRef names";
    const TAKES_CREDENTIALS: bool = true;
    const TAKES_CHANGES: bool = true;
    const REFRESHES: bool = true;

    fn want(declared: &Declaration) -> Result<InstanceWant, Problem> {
        match declared {
            Declaration::IntegrationInstance(spec) => validate::instance(spec),
            Declaration::Connection(_) => Err(validate::wrong_kind("IntegrationInstance", Self::NAME)),
        }
    }

    fn key(want: &InstanceWant) -> Option<NaturalKey> {
        Some(want.key())
    }

    fn fields(want: &InstanceWant) -> Vec<AppliedField> {
        want.applied()
    }

    fn objection(&self, want: &InstanceWant, today: Date, creating: bool) -> Option<Problem> {
        want.objection(today, creating)
    }

    fn first_loads(_: &InstanceWant) -> Vec<(Entity, RefreshPhase)> {
        vec![(Entity::Products, RefreshPhase::Accepted), (Entity::Orders, RefreshPhase::Accepted)]
    }

    fn loads(_: &InstanceWant, entities: &[Entity]) -> Vec<(Entity, Vec<Entity>)> {
        entities.iter().map(|entity| (*entity, vec![*entity])).collect()
    }

    fn credentials_secret(declared: &Declaration) -> Option<&str> {
        match declared {
            Declaration::IntegrationInstance(spec) => spec.access_token_secret_ref.as_ref().map(|r| r.name.as_str()),
            Declaration::Connection(_) => None,
        }
    }

    fn credentials_key(want: &InstanceWant) -> Option<&str> {
        want.token_key.as_deref()
    }

    fn credentials(&self, want: &InstanceWant, secret: &str, data: &SecretData) -> Result<Credentials, Problem> {
        credentials::token(ACCESS_TOKEN, Self::NAME, secret, want.token_key.as_deref().unwrap_or_default(), data)
    }

    fn diff(
        want: &InstanceWant,
        have: &Have,
        applied: &[AppliedField],
        fresh: Option<&Credentials>,
    ) -> Difference<Change> {
        let told = have.fields.told("integration_id").and_then(wire::id_text);
        let kind = told.or_else(|| applied.iter().find(|f| f.path == TYPE_PATH).map(|f| f.value.clone()));
        if want.integration_id.zip(kind).is_some_and(|(want, kind)| want.to_string() != kind) {
            return Difference::Replace(vec![TYPE_PATH.to_owned()]);
        }
        let differs = |f: &&instances::Field| f.differs(have.fields.told(&f.name), applied);
        let fields: Vec<&instances::Field> = want.fields().iter().filter(differs).collect();
        let token = fresh.and_then(token);
        let mut paths: Vec<String> = fields.iter().map(|f| f.path.clone()).collect();
        paths.extend(token.as_ref().map(|_| TOKEN_PATH.to_owned()));
        if paths.is_empty() {
            return Difference::None;
        }
        Difference::Update(Change { fields: instances::body(fields), token }, paths)
    }

    fn summary(_: Option<&InstanceWant>, have: &Have) -> Summary {
        let name = have.row.name.as_ref().map(|name| plain(name, 256)).filter(|name| !name.is_empty());
        Summary { health: Some(Health::Works { history: History::Untold }), store_name: name, ..Summary::default() }
    }

    async fn probe(&self, freshness: Freshness, pace: Pace) -> Result<Option<String>, ApiError> {
        self.reads.identity(freshness, pace).await
    }

    async fn observe(&self, look: &Look, freshness: Freshness, pace: Pace) -> Result<Vec<Record<Have>>, ApiError> {
        match look {
            Look::Id(id) => self.reads.by_id(id, freshness, pace).await,
            Look::Key(key) => self.reads.by_name(key, pace).await,
            Look::Window(intent) => {
                let window = Window::of(intent, Timestamp::MIN, None, self.timing);
                let mut rows = self.reads.everything(freshness, pace).await?;
                rows.retain(|row| row.created_at.is_some_and(|t| window.contains(t)));
                let record = |row: Row| {
                    let (id, born) = (ExternalId::new(row.id.to_string()), row.created_at);
                    Record { id, stamps: Stamps::born(born), have: Some(Have::new(row)) }
                };
                Ok(rows.into_iter().map(record).collect())
            }
        }
    }

    async fn recogniser(&self, id: &ExternalId) -> Result<Recogniser, ApiError> {
        self.reads.recogniser(id).await
    }

    async fn create(
        &self,
        permit: CreatePermit,
        want: &InstanceWant,
        credentials: &Credentials,
    ) -> Result<Made, ApiError> {
        let operation = Operation::Create;
        // Taken before the call: a list that is read while it is under way shows what it makes.
        let before = self.reads.listed();
        let mut body = instances::body(want.fields());
        body.extend(want.integration_id.map(|id| ("integration_id".to_owned(), json!(id))));
        let body = Some(with_token(body, token(credentials).as_ref()));
        let call = Call { operation, method: Method::POST, path: &INSTANCES, query: &[], body, key: None };
        let reply = self.reads.http.send_create(call, permit).await?;
        let answer = map::read(operation, &reply).map_err(|e| self.reads.heed(e))?;
        let row = wire::payload(answer).and_then(Row::read);
        let row = row.ok_or_else(|| answer::unreadable(operation, &reply))?;
        let known_before = before.is_some_and(|snapshot| snapshot.rows.contains_key(&row.id));
        self.reads.wrote(row.id);
        // SKU.io refuses a name that is taken and answers nobody else's instance: what it answers was made by this call,
        // and so now, where it does not say when.
        let born = row.created_at.or_else(|| self.now());
        let id = ExternalId::new(row.id.to_string());
        let summary = Self::summary(Some(want), &Have::new(row));
        Ok(Made::Created(Box::new(Created { id, born, summary, known_before, restored: false })))
    }

    async fn update(&self, id: &ExternalId, change: &Change) -> Result<(), ApiError> {
        let (number, [api, instances]) = (number(Operation::Update, id)?, INSTANCES);
        let (path, body) = ([api, instances, id.as_str()], Some(change.body()));
        let call =
            Call { operation: Operation::Update, method: Method::PATCH, path: &path, query: &[], body, key: None };
        let done = self.write(call).await;
        // Also where it failed: whether it was applied is not in any list that began before.
        self.reads.wrote(number);
        done.map(|_| ())
    }

    /// The locations of the shop's stock, which SKU.io asks the shop for at once: the nearest thing to a test that it has.
    /// The reference names 422 for a token that the shop refuses with Walmart; with `BigCommerce` it is inferred.
    async fn verify(&self, id: &ExternalId) -> Result<bool, ApiError> {
        number(Operation::Verify, id)?;
        let [api, instances] = INSTANCES;
        let path = [api, instances, id.as_str(), "download-locations"];
        match self.reads.get(Operation::Verify, &path, &[], Pace::InTurn).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == Kind::Invalid => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, permit: DeletePermit) -> Result<(), ApiError> {
        let ([api, instances], id) = (INSTANCES, permit.id());
        // What is none of SKU.io's ids is there no more than what is gone.
        let Ok(number) = number(Operation::Delete, id) else { return Ok(()) };
        let path = [api, instances, id.as_str()];
        let call = Call {
            operation: Operation::Delete,
            method: Method::DELETE,
            path: &path,
            query: &[],
            body: None,
            key: None,
        };
        match self.write(call).await {
            Err(error) if !matches!(error.kind, Kind::NotFound | Kind::Gone) => return Err(error),
            Ok(_) | Err(_) => self.reads.deleted(number),
        }
        Ok(())
    }

    async fn refresh(&self, id: &ExternalId, entity: &Entity) -> Result<Option<String>, ApiError> {
        number(Operation::Refresh, id)?;
        let ([api, instances], what) = (INSTANCES, entity.to_string());
        let path = [api, instances, id.as_str(), &what, "refresh"];
        let call = Call {
            operation: Operation::Refresh,
            method: Method::POST,
            path: &path,
            query: &[],
            body: None,
            key: None,
        };
        Ok(wire::job(&self.write(call).await?))
    }

    async fn job(&self, job: &str) -> Result<Job, ApiError> {
        let found = self.reads.get(Operation::Job, &["api", "tracked-job-logs", job], &[], Pace::InTurn).await;
        match found {
            Ok(body) => {
                let job = wire::payload(body).unwrap_or_default();
                Ok(job.get("status").and_then(Value::as_str).map_or(Job::Running, map::job))
            }
            // Old jobs are cleared away, and the login need not have a right to see any: the refresh was taken all the same.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Gone | Kind::Forbidden) => Ok(Job::Lost),
            Err(error) => Err(error),
        }
    }

    fn organisation(&self) -> Option<String> {
        self.reads.tenant()
    }

    fn now(&self) -> Option<Timestamp> {
        self.reads.http.now()
    }
}

#[cfg(test)]
#[path = "contract_tests.rs"]
mod tests;
