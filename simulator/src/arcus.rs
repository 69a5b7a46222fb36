//! The simulated Arcus: connectors of an entity, one of each kind.
//!
//! Sources are the pages of Arcus' public reference on `POST`, `PATCH` and `DELETE` of a connector, and its pages on
//! authentication, errors, idempotency, rate limits, pagination and versions. What no page says is marked *inferred*.
//!
//! Owns the keys, the rows, the links for consent and the rules. Pure: it must never read a clock or do IO.

mod account;
mod call;
mod connector;
mod consent;
mod control;
mod fields;
mod ledger;
mod link;
mod list;
mod rate;
mod refusal;
mod replay;
mod route;
mod row;
mod settings;
mod view;
mod write;

pub use account::Account;
pub use connector::{Connector, Mode};
pub use control::{Act, Deed, LinkRecord, NoSuch, Record};
pub use link::LinkStatus;
pub use rate::Rate;
pub use row::{Change, Tally};
pub use settings::{Existing, Settings, Wrapping};

pub use crate::rutter::Origin;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::fault::Subject;
use crate::provider::{About, Answer, Api, Judgement, Provider};
use crate::random::Random;
use call::Call;
use ledger::Ledger;
use link::Link;
use list::Query;
use rate::Window;
use refusal::Refusal;
use replay::Replays;
use route::Route;
use row::Moment;
use view::Kind;
use write::about;

/// So that its ids are not those of another provider with the same seed.
const SALT: u64 = 0xA5C5_0000_0000_0000;

/// Everything the simulated Arcus knows.
#[derive(Debug)]
pub struct Arcus {
    settings: Settings,
    accounts: Vec<Account>,
    /// When each key was used.
    windows: HashMap<String, Window>,
    ledger: Ledger,
    links: Vec<Link>,
    replays: Replays,
    frozen_at: Option<Timestamp>,
    random: Random,
}

impl Arcus {
    /// An Arcus without connectors.
    #[must_use]
    pub fn new(seed: u64, settings: Settings, accounts: Vec<Account>) -> Self {
        Self {
            settings,
            accounts,
            windows: HashMap::new(),
            ledger: Ledger::default(),
            links: Vec::new(),
            replays: Replays::default(),
            frozen_at: None,
            random: Random::seeded(seed ^ SALT),
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

    /// Acts on a request. The order of the checks is inferred: path, key, address, rate, version, scope, connector, then
    /// the request.
    fn answer(&mut self, now: Timestamp, request: &Request<Bytes>, judgement: &Judgement) -> Result<Answer, Refusal> {
        let route = Route::of(request)?;
        let account = account::authenticate(&self.accounts, request.headers())?.clone();
        account.check_use(now)?;
        let mode = account.mode().ok_or_else(Refusal::wrong_key)?;
        if let Some(rate) = self.rate(&account) {
            let admitted = self.windows.entry(account.key.clone()).or_default().admit(now, rate);
            admitted.map_err(|seconds| Refusal::rate_limited(Some(seconds)))?;
        }
        call::check_version(request, &self.settings.versions)?;
        account.check_scope(request.method())?;
        let call = Call { now, account, mode, request };
        let Some(name) = route.name() else { return self.list(&call) };
        let connector = Connector::named(name).ok_or_else(Refusal::no_such_connector)?;
        call.check_no_query()?;
        match route {
            Route::List | Route::Read(_) => self.read(&call, connector),
            Route::Create(_) => self.once(&call, |arcus| arcus.create(&call, connector, judgement)),
            Route::Update(_) => self.once(&call, |arcus| arcus.update(&call, connector)),
            Route::Delete(_) => self.once(&call, |arcus| arcus.delete(&call, connector)),
        }
    }

    /// Does something, or answers as when it was done under this idempotency key.
    fn once(&mut self, call: &Call, act: impl FnOnce(&mut Self) -> Result<Answer, Refusal>) -> Result<Answer, Refusal> {
        let key = replay::key(call)?.filter(|_| self.settings.honours_idempotency_keys);
        let Some(key) = key else { return act(self) };
        if let Some(answer) = self.replays.find(call, &key, self.settings.idempotency_window)? {
            return Ok(answer);
        }
        let answer = match act(self) {
            Err(refusal) if self.settings.stores_refusals => self.refused(refusal).into(),
            result => result?,
        };
        self.replays.store(call, key, answer.clone());
        Ok(answer)
    }

    fn list(&self, call: &Call) -> Result<Answer, Refusal> {
        let query = Query::of(call.request.uri().query().unwrap_or_default())?;
        let mut rows = self.ledger.of_entity(call.account.entity_id);
        rows.retain(|row| !row.is_deleted() || self.settings.deleted_rows_shown);
        let (page, has_more) = query.page(&rows)?;
        let total = query.include_count.then_some(rows.len());
        Ok(view::list(&page, has_more, total, &self.moment(call.now)).into())
    }

    fn read(&self, call: &Call, connector: Connector) -> Result<Answer, Refusal> {
        let row = self.ledger.find(call.account.entity_id, connector);
        let row = row.filter(|row| !row.is_deleted() || self.settings.deleted_rows_shown);
        self.show(call.now, row.ok_or_else(Refusal::nothing_there)?.id, Kind::Other, StatusCode::OK)
    }

    fn rate(&self, account: &Account) -> Option<Rate> {
        account.rate.or(match account.mode()? {
            Mode::Sandbox => self.settings.test_rate,
            Mode::Live => self.settings.live_rate,
        })
    }

    fn moment(&self, now: Timestamp) -> Moment<'_> {
        Moment { now, frozen_at: self.frozen_at, settings: &self.settings }
    }

    fn refused(&mut self, refusal: Refusal) -> Response<Bytes> {
        refusal.into_response(&format!("req_{}", self.random.draw().simple()))
    }

    /// How often connectors came to be through the API.
    pub(crate) fn created_by_api(&self) -> usize {
        self.ledger.rows().iter().map(|row| row.tally.creates).sum()
    }

    /// How often connectors were deleted, by whomever.
    pub(crate) fn deleted(&self) -> usize {
        self.ledger.rows().iter().map(|row| row.tally.deletes).sum()
    }

    /// Connectors of which a create took hold although they were active.
    pub(crate) fn overwrites(&self) -> BTreeMap<String, usize> {
        let rows = self.ledger.rows().iter().filter(|row| row.tally.overwrites > 0);
        let mut counts = BTreeMap::new();
        for row in rows {
            *counts.entry(format!("{} {}", row.entity_id, row.connector.name())).or_default() += row.tally.overwrites;
        }
        counts
    }
}

impl Api for Arcus {
    fn subject(&self, request: &Request<Bytes>) -> Subject {
        let route = Route::of(request).ok();
        let connector = route.and_then(Route::name).and_then(Connector::named);
        let account = account::authenticate(&self.accounts, request.headers()).ok();
        let row =
            connector.zip(account).and_then(|(connector, account)| self.ledger.find(account.entity_id, connector));
        let about = connector.map_or_else(About::default, |connector| about(connector, row.map(|row| row.id)));
        let store = shop_in(request.body()).or_else(|| row.and_then(|row| row.shop.clone()));
        Subject { provider: Provider::Arcus, operation: Route::operation(route), store, about }
    }

    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>, judgement: &Judgement) -> Answer {
        match self.answer(now, request, judgement) {
            Ok(answer) => answer,
            Err(refusal) => self.refused(refusal).into(),
        }
    }

    fn error(&mut self, status: u16, retry_after: Option<u64>) -> Response<Bytes> {
        self.refused(Refusal::upstream(status, retry_after))
    }

    fn idempotency_mismatch(&mut self) -> Response<Bytes> {
        self.refused(Refusal::idempotency_mismatch())
    }

    /// What is left of the rate, on every answer to a key that there is.
    fn stamp(&mut self, now: Timestamp, request: &Request<Bytes>, headers: &mut HeaderMap) {
        let account = account::authenticate(&self.accounts, request.headers()).ok();
        if let Some((account, rate)) = account.and_then(|account| Some((account.key.clone(), self.rate(account)?))) {
            self.windows.entry(account).or_default().stamp(now, rate, headers);
        }
    }
}

/// The shop that a body names.
fn shop_in(body: &Bytes) -> Option<String> {
    let fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    Some(fields.get("shop")?.as_str()?.to_lowercase())
}
