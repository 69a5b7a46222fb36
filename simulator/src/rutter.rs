//! The simulated Rutter: connections to shops, payment processors and accounting systems.
//!
//! Sources are the pages of Rutter's public reference (Connections, Authorization, Basics, Errors, Making idempotent
//! requests) and its help articles on rate limits, statuses and de-duplication. What no page says is marked *inferred*.
//!
//! Owns the accounts, the records and the rules. Pure: it must never read a clock or do IO.

mod account;
mod call;
mod connection;
mod control;
mod create;
mod ledger;
mod page;
mod platform;
mod refresh;
mod refusal;
mod settings;
mod store;
mod version;
mod view;

pub use account::{Account, RateLimit};
pub use connection::{DisabledReason, ListStatus, Origin, Trouble};
pub use control::{Deed, NoSuch, Record};
pub use settings::{Gone, Settings};
pub use version::Version;

use refusal::Refusal;

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use jiff::Timestamp;
use uuid::Uuid;

use crate::fault::Subject;
use crate::operation::Operation;
use crate::provider::{self, About, Api, Judgement, Provider};
use crate::random::Random;
use crate::state::insert;
use call::Call;
use connection::Connection;
use create::Replay;
use ledger::Ledger;

/// Everything the simulated Rutter knows.
#[derive(Debug)]
pub struct Rutter {
    settings: Settings,
    accounts: Vec<Account>,
    /// When each organization called, as far back as its rate limit looks.
    calls: HashMap<String, VecDeque<Timestamp>>,
    ledger: Ledger,
    replays: HashMap<(String, String), Replay>,
    frozen_at: Option<Timestamp>,
    random: Random,
}

/// What a request led to.
#[derive(Debug)]
struct Answer {
    response: Response<Bytes>,
    connection: Option<Uuid>,
}

impl Rutter {
    /// A Rutter without connections.
    #[must_use]
    pub fn new(seed: u64, settings: Settings, accounts: Vec<Account>) -> Self {
        Self {
            settings,
            accounts,
            calls: HashMap::new(),
            ledger: Ledger::default(),
            replays: HashMap::new(),
            frozen_at: None,
            random: Random::seeded(seed),
        }
    }

    /// How it behaves.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How it behaves, to be changed.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Acts on a request. The order of the checks is inferred: path, login, rate, version, then the request itself.
    fn answer(&mut self, now: Timestamp, request: &Request<Bytes>, judgement: &Judgement) -> Result<Answer, Refusal> {
        let (operation, id) = route(request);
        if operation == Operation::Unknown {
            return Err(Refusal::no_such_endpoint());
        }
        let account = account::authenticate(&self.accounts, request.headers())?.clone();
        self.count(now, &account)?;
        let version = Version::required(request.headers())?;
        let call = Call { now, account, version, request };
        match operation {
            Operation::Create => self.create(&call, judgement),
            Operation::List => self.list(&call),
            Operation::ReadDetail => {
                self.read(&call, |connection| view::detail(connection, self.moment(now), &self.link_base(request)))
            }
            Operation::ReadStatus => {
                self.read(&call, |connection| view::status(connection, self.moment(now), &self.link_base(request)))
            }
            Operation::Update => self.update(&call, id.unwrap_or_default()),
            Operation::Delete => self.delete(&call, id.unwrap_or_default()),
            Operation::Refresh => self.refresh(&call),
            Operation::Me | Operation::ReadJob | Operation::AskStore | Operation::Unknown => {
                Err(Refusal::no_such_endpoint())
            }
        }
    }

    /// Connections that were made through the API.
    pub(crate) fn created_by_api(&self) -> usize {
        self.ledger.rows().iter().filter(|connection| connection.origin == Origin::Api).count()
    }

    /// Connections that were deleted, by whomever.
    pub(crate) fn deleted(&self) -> usize {
        self.ledger.rows().iter().filter(|connection| connection.deleted_at.is_some()).count()
    }

    /// Stores with more than one live connection.
    pub(crate) fn duplicates(&self) -> BTreeMap<String, usize> {
        let mut live = BTreeMap::new();
        for connection in self.ledger.rows().iter().filter(|connection| connection.deleted_at.is_none()) {
            if let Some(store) = &connection.store
                && let Some(identity) = &store.identity
            {
                *live.entry(format!("{} {} {identity}", connection.org_id, store.platform)).or_default() += 1;
            }
        }
        live.retain(|_, count| *count > 1);
        live
    }

    fn list(&self, call: &Call) -> Result<Answer, Refusal> {
        let status = call.query(&["status"])?.remove("status");
        let wanted = ListStatus::filter(status.as_deref())?;
        let moment = self.moment(call.now);
        let rows = self.ledger.rows().iter().filter(|connection| {
            connection.org_id == call.account.org_id
                && connection.is_listed(&moment)
                && wanted.contains(&connection.list_status(&moment))
        });
        Ok(Answer { response: view::list(rows, moment, &self.link_base(call.request)), connection: None })
    }

    fn read(&self, call: &Call, view: impl FnOnce(&Connection) -> Response<Bytes>) -> Result<Answer, Refusal> {
        let connection = self.by_query(call)?;
        Ok(Answer { response: view(connection), connection: Some(connection.id) })
    }

    /// The connection whose token is in the query.
    fn by_query(&self, call: &Call) -> Result<&Connection, Refusal> {
        let token = call.query(&["access_token"])?.remove("access_token");
        let token = token.ok_or_else(|| Refusal::missing("ACCESS_TOKEN", "access_token is required in the query"))?;
        token
            .parse()
            .ok()
            .and_then(|token| self.ledger.by_token(token))
            .filter(|connection| connection.is_live_for(&call.account))
            .ok_or_else(Refusal::bad_access_token)
    }

    fn delete(&mut self, call: &Call, id: &str) -> Result<Answer, Refusal> {
        call.query(&[])?;
        let connection = self.live_mut(call, id)?;
        connection.deleted_at = Some(call.now);
        Ok(Answer { connection: Some(connection.id), response: view::success(true) })
    }

    /// The endpoint exists, but no page says what it takes: it is an error unless switched on, and then changes nothing
    /// but `updated_at`.
    fn update(&mut self, call: &Call, id: &str) -> Result<Answer, Refusal> {
        call.query(&[])?;
        if !self.settings.patch {
            return Err(Refusal::invalid("this connection cannot be changed"));
        }
        call.json_object()?;
        let link_base = self.link_base(call.request);
        let connection = self.live_mut(call, id)?;
        connection.changed_at = call.now;
        Ok(Answer { connection: Some(connection.id), response: view::created(connection, &link_base) })
    }

    fn live_mut(&mut self, call: &Call, id: &str) -> Result<&mut Connection, Refusal> {
        let gone = self.settings.gone;
        id.parse()
            .ok()
            .and_then(|id| self.ledger.by_id_mut(id))
            .filter(|connection| connection.is_live_for(&call.account))
            .ok_or_else(|| Refusal::no_such_connection(gone))
    }

    /// Holds an organization to its rate limit. A refused request does not count.
    fn count(&mut self, now: Timestamp, account: &Account) -> Result<(), Refusal> {
        let Some(limit) = account.rate_limit else { return Ok(()) };
        let calls = self.calls.entry(account.org_id.clone()).or_default();
        if limit.admits(now, calls) { Ok(()) } else { Err(Refusal::rate_limited()) }
    }

    fn moment(&self, now: Timestamp) -> connection::Moment<'_> {
        connection::Moment { now, frozen_at: self.frozen_at, settings: &self.settings }
    }
}

impl Api for Rutter {
    fn subject(&self, request: &Request<Bytes>) -> Subject {
        let (operation, id) = route(request);
        let by_token = || {
            let mut query = url::form_urlencoded::parse(request.uri().query()?.as_bytes());
            let token = query.find(|(name, _)| name == "access_token")?.1.parse().ok()?;
            self.ledger.by_token(token)
        };
        let connection = id.and_then(|id| self.ledger.by_id(id.parse().ok()?)).or_else(by_token);
        let store = match connection {
            Some(connection) => connection.store.as_ref().and_then(|store| store.identity.clone()),
            None => create::store_in(request.body()),
        };
        let about = About { connection: connection.map(|connection| connection.id), ..About::default() };
        Subject { provider: Provider::Rutter, operation, store, about }
    }

    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>, judgement: &Judgement) -> provider::Answer {
        match self.answer(now, request, judgement) {
            Ok(Answer { response, connection }) => {
                provider::Answer { response, about: About { connection, ..About::default() } }
            }
            Err(refusal) => refusal.into_response().into(),
        }
    }

    fn error(&mut self, status: u16, retry_after: Option<u64>) -> Response<Bytes> {
        Refusal::upstream(status, retry_after).into_response()
    }

    fn idempotency_mismatch(&mut self) -> Response<Bytes> {
        Refusal::idempotency_mismatch().into_response()
    }

    /// Rutter's support finds a request by this header.
    fn stamp(&mut self, _: Timestamp, _: &Request<Bytes>, headers: &mut HeaderMap) {
        let id = self.random.draw();
        insert(headers, "x-rutter-request-id", &id.to_string());
    }
}

/// What a request asks for, and the id in its path. All endpoints: Rutter's Connections page.
fn route(request: &Request<Bytes>) -> (Operation, Option<&str>) {
    let Some(path) = request.uri().path().strip_prefix("/versioned/connections") else {
        return (Operation::Unknown, None);
    };
    let id = path.strip_prefix('/').filter(|id| !id.is_empty() && !id.contains('/'));
    match (request.method(), path, id) {
        (&Method::GET, "", _) => (Operation::List, None),
        (&Method::GET, "/access_token", _) => (Operation::ReadDetail, None),
        (&Method::GET, "/status", _) => (Operation::ReadStatus, None),
        (&Method::POST, "/create", _) => (Operation::Create, None),
        (&Method::POST, "/incremental_sync" | "/backfill", _) => (Operation::Refresh, None),
        (&Method::PATCH, _, Some(id)) => (Operation::Update, Some(id)),
        (&Method::DELETE, _, Some(id)) => (Operation::Delete, Some(id)),
        _ => (Operation::Unknown, None),
    }
}
