//! The simulated SKU.io: integration instances of `BigCommerce` stores.
//!
//! Sources are SKU.io's public specification and change log, its introduction, and its pages on authentication, errors
//! and pagination. The specification has no bodies of answers; what no page says is marked *inferred*.
//!
//! Owns the tokens, the records, the jobs and the rules. Pure: it must never read a clock or do IO.

mod account;
mod call;
mod control;
mod fields;
mod instance;
mod job;
mod ledger;
mod list;
mod refusal;
mod route;
mod settings;
mod view;
mod write;

pub use account::Account;
pub use control::{Deed, NoSuch, Record};
pub use instance::{Change, Entity, Presence, Refresh, SideEffect, Starter};
pub use job::{JobRecord, JobStatus};
pub use settings::{Cleaning, Envelope, Settings};

pub use crate::rutter::Origin;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::clock::{between, later};
use crate::fault::Subject;
use crate::provider::{self, About, Api, Judgement, Provider};
use crate::rutter::RateLimit;
use call::Call;
use instance::{Instance, Moment};
use job::Job;
use ledger::Ledger;
use list::Query;
use refusal::Refusal;
use route::Route;

/// Job ids are counted apart from those of instances, so that none is taken for the other.
const FIRST_JOB: u64 = 90_001;

/// The stretch of time for which a rate is limited.
const MINUTE: Duration = Duration::from_mins(1);

/// Everything the simulated SKU.io knows.
#[derive(Debug)]
pub struct SkuIo {
    settings: Settings,
    accounts: Vec<Account>,
    /// When each tenant called, as far back as its rate limit looks.
    calls: HashMap<String, VecDeque<Timestamp>>,
    ledger: Ledger,
    jobs: Vec<Job>,
    frozen_at: Option<Timestamp>,
}

/// What a request led to.
#[derive(Debug)]
struct Answer {
    response: Response<Bytes>,
    instance: Option<u64>,
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        Self { response, instance: None }
    }
}

impl SkuIo {
    /// An SKU.io without instances. The seed is where it begins to count them.
    #[must_use]
    pub fn new(seed: u64, settings: Settings, accounts: Vec<Account>) -> Self {
        let ledger = Ledger::counting_from(1 + seed % 1_000_000);
        Self { settings, accounts, calls: HashMap::new(), ledger, jobs: Vec::new(), frozen_at: None }
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

    /// Acts on a request. The order of the checks is inferred: path, verb, form, login, rate, scope, then the request.
    fn answer(&mut self, now: Timestamp, request: &Request<Bytes>, judgement: &Judgement) -> Result<Answer, Refusal> {
        let route = Route::of(request)?;
        if !call::wants_json(request) {
            return Err(Refusal::not_json());
        }
        let account = account::authenticate(&self.accounts, request.headers())?.clone();
        self.count(now, &account)?;
        if let Route::Me = route {
            return Ok(view::me(&self.settings, &account).into());
        }
        account.check_scope(request.method())?;
        let call = Call { now, account, request };
        match route {
            Route::Me => Ok(view::me(&self.settings, &call.account).into()),
            Route::List => Ok(self.list(&call)),
            Route::Create => self.create(&call, judgement),
            Route::Read(id) => self.read(&call, id),
            Route::Locations(id) => self.locations(&call, id),
            Route::Update(id) => self.update(&call, id, judgement),
            Route::Delete(id) => self.delete(&call, id),
            Route::Refresh(id, entity) => self.refresh(&call, id, entity),
            Route::Job(id) => self.read_job(&call, id),
            Route::ActiveJobs => self.active_jobs(&call),
        }
    }

    fn list(&self, call: &Call) -> Answer {
        let query = Query::of(call.request.uri().query().unwrap_or_default());
        let moment = self.moment(call.now);
        let rows = self.ledger.of_tenant(&call.account.tenant_id);
        let mut rows: Vec<_> = rows.filter(|row| query.finds(row) && row.is_listed(&moment, query.archived)).collect();
        query.put_in_order(&mut rows);
        view::list(&rows, &query, &call.url(), &moment).into()
    }

    /// Asks the shop at once. That one which refuses the token makes it a 422 is inferred: the reference says so of the
    /// same endpoint for Walmart.
    fn locations(&self, call: &Call, id: &str) -> Result<Answer, Refusal> {
        let instance = self.readable(call, id)?;
        if instance.refused_at.is_some_and(|at| at <= call.now) {
            return Err(Refusal::bad_credentials(StatusCode::UNPROCESSABLE_ENTITY, fields::TOKEN));
        }
        let data = json!([{"id": 1, "label": "Default location"}]);
        let response = view::success(&self.settings, StatusCode::OK, data, "Success");
        Ok(Answer { response, instance: Some(instance.id) })
    }

    fn read(&self, call: &Call, id: &str) -> Result<Answer, Refusal> {
        let instance = self.readable(call, id)?;
        let data = view::instance(instance, &self.moment(call.now), true);
        let response = view::success(&self.settings, StatusCode::OK, data, "Success");
        Ok(Answer { response, instance: Some(instance.id) })
    }

    /// The instance that a path names, as far as this tenant sees it.
    fn readable(&self, call: &Call, id: &str) -> Result<&Instance, Refusal> {
        let moment = self.moment(call.now);
        let number = id.parse::<u64>().ok();
        number
            .filter(|number| self.settings.loose_ids || number.to_string() == id)
            .and_then(|number| self.ledger.by_id(number))
            .filter(|row| row.tenant_id == call.account.tenant_id && row.is_readable(&moment))
            .ok_or_else(Refusal::no_such_record)
    }

    fn read_job(&self, call: &Call, id: &str) -> Result<Answer, Refusal> {
        let jobs = self.jobs.iter().filter(|_| self.settings.tracked_jobs);
        let mut jobs = jobs.filter(|job| job.tenant_id == call.account.tenant_id);
        let job = jobs.find(|job| job.id.to_string() == id).ok_or_else(Refusal::no_such_record)?;
        let data = view::job(job, call.now, &self.settings);
        let response = view::success(&self.settings, StatusCode::OK, data, "Success");
        Ok(Answer { response, instance: Some(job.instance) })
    }

    fn active_jobs(&self, call: &Call) -> Result<Answer, Refusal> {
        if !self.settings.tracked_jobs {
            return Err(Refusal::no_such_path());
        }
        let own = self.jobs.iter().filter(|job| job.tenant_id == call.account.tenant_id);
        let active = own.filter(|job| job.status(call.now, &self.settings).0.is_active());
        let data = active.map(|job| view::job(job, call.now, &self.settings)).collect();
        Ok(view::success(&self.settings, StatusCode::OK, data, "Success").into())
    }

    /// Holds a tenant to its rate limit. A refused request does not count.
    fn count(&mut self, now: Timestamp, account: &Account) -> Result<(), Refusal> {
        let Some(requests) = self.settings.requests_per_minute else { return Ok(()) };
        let calls = self.calls.entry(account.tenant_id.clone()).or_default();
        if (RateLimit { requests, per: MINUTE }).admits(now, calls) {
            return Ok(());
        }
        let next = calls.front().map_or(MINUTE, |first| between(now, later(*first, MINUTE)));
        Err(Refusal::rate_limited(Some(next.as_millis().div_ceil(1000).try_into().unwrap_or(60))))
    }

    fn moment(&self, now: Timestamp) -> Moment<'_> {
        Moment { now, frozen_at: self.frozen_at, settings: &self.settings }
    }

    /// Instances that were made through the API.
    pub(crate) fn created_by_api(&self) -> usize {
        self.ledger.rows().iter().filter(|row| row.origin == Origin::Api).count()
    }

    /// Instances that were deleted, by whomever.
    pub(crate) fn deleted(&self) -> usize {
        self.ledger.rows().iter().filter(|row| row.deleted_at.is_some()).count()
    }

    /// Stores with more than one live instance that was made through the API, with the names of those. (Two of one name
    /// cannot be.)
    pub(crate) fn duplicates(&self) -> BTreeMap<String, usize> {
        let mut live: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        for row in self.ledger.rows().iter().filter(|row| row.deleted_at.is_none() && row.origin == Origin::Api) {
            live.entry((&row.tenant_id, row.store_hash())).or_default().push(&row.name);
        }
        live.retain(|_, names| names.len() > 1);
        let named = |((tenant, store), names): ((&String, &str), Vec<&str>)| {
            (format!("{tenant} BIG_COMMERCE {store}: {}", names.join(", ")), names.len())
        };
        live.into_iter().map(named).collect()
    }

    /// The refreshes that were asked for, by what they load.
    pub(crate) fn refreshes(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for refresh in self.ledger.rows().iter().flat_map(|row| &row.refreshes) {
            if refresh.by == Starter::Request {
                *counts.entry(refresh.entity.name().to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

impl Api for SkuIo {
    fn subject(&self, request: &Request<Bytes>) -> Subject {
        let route = Route::of(request).ok();
        let job = |id: &str| Some(self.jobs.iter().find(|job| job.id.to_string() == id)?.instance);
        let instance = match route {
            Some(
                Route::Read(id) | Route::Locations(id) | Route::Update(id) | Route::Delete(id) | Route::Refresh(id, _),
            ) => id.parse().ok(),
            Some(Route::Job(id)) => job(id),
            Some(Route::Me | Route::List | Route::Create | Route::ActiveJobs) | None => None,
        };
        let instance = instance.and_then(|id| self.ledger.by_id(id));
        let store = instance.map(|row| row.store_hash().to_owned()).or_else(|| store_in(request.body()));
        let about = About { instance: instance.map(|row| row.id), ..About::default() };
        Subject { provider: Provider::SkuIo, operation: Route::operation(route), store, about }
    }

    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>, judgement: &Judgement) -> provider::Answer {
        match self.answer(now, request, judgement) {
            Ok(Answer { response, instance }) => {
                provider::Answer { response, about: About { instance, ..About::default() } }
            }
            Err(refusal) => refusal.into_response().into(),
        }
    }

    fn error(&mut self, status: u16, retry_after: Option<u64>) -> Response<Bytes> {
        Refusal::upstream(status, retry_after).into_response()
    }

    /// Nothing documents such keys here.
    fn idempotency_mismatch(&mut self) -> Response<Bytes> {
        Refusal::idempotency_mismatch().into_response()
    }

    /// No header is documented that every answer carries.
    fn stamp(&mut self, _: Timestamp, _: &Request<Bytes>, _: &mut HeaderMap) {}
}

/// The store that a body names.
fn store_in(body: &Bytes) -> Option<String> {
    let fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    Some(fields.get(fields::GROUP)?.get("store_hash")?.as_str()?.trim().to_owned())
}
