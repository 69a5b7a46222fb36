//! The pure core: everything a provider knows, and what it makes of a request.
//!
//! Owns the records, the journal and the faults. It must never read a clock, wait, or touch a socket: it is told the
//! time, and it says how long to wait and what to break.
//!
//! A request goes through three steps, so that time can pass between them: [`admit`](State::admit) notes the arrival
//! and meets a fault, [`apply`](State::apply) acts, [`finish`](State::finish) notes the end.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::arcus::Arcus;
use crate::fault::{Effect, Fault, Faults, Subject, reshape};
use crate::journal::{Entry, Journal, Stats, dotted};
use crate::outcome::{Delivery, Reply};
use crate::page::{PAGES, unknown_link};
use crate::provider::{Answer, Api, Judgement, Provider};
use crate::rutter::Rutter;
use crate::sku_io::SkuIo;

/// Everything the simulated providers know.
#[derive(Debug)]
pub struct State {
    journal: Journal,
    faults: Faults,
    rutter: Rutter,
    sku_io: SkuIo,
    arcus: Arcus,
}

/// What a request that has arrived is owed.
#[derive(Debug)]
pub struct Ticket {
    seq: u64,
    effects: Vec<Effect>,
}

impl Ticket {
    /// Its place in the journal.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

/// How a request is let in.
#[derive(Debug)]
pub struct Admission {
    /// To be handed to [`State::apply`] and [`State::finish`].
    pub ticket: Ticket,
    /// How long to wait before it is applied.
    pub wait: Duration,
    /// Whether the client is cut off before that.
    pub hang_up: bool,
}

impl State {
    /// A state around its providers.
    #[must_use]
    pub fn new(rutter: Rutter, sku_io: SkuIo, arcus: Arcus) -> Self {
        Self { journal: Journal::default(), faults: Faults::default(), rutter, sku_io, arcus }
    }

    fn api(&self, provider: Provider) -> &dyn Api {
        match provider {
            Provider::Rutter => &self.rutter,
            Provider::SkuIo => &self.sku_io,
            Provider::Arcus => &self.arcus,
        }
    }

    fn api_mut(&mut self, provider: Provider) -> &mut dyn Api {
        match provider {
            Provider::Rutter => &mut self.rutter,
            Provider::SkuIo => &mut self.sku_io,
            Provider::Arcus => &mut self.arcus,
        }
    }

    /// Answers a request as if nothing took any time.
    pub fn handle(&mut self, now: Timestamp, request: &Request<Bytes>) -> Reply {
        let admission = self.admit(now, request);
        let reply = self.apply(now, &admission.ticket, request);
        let reply = if admission.hang_up { Reply::lost() } else { reply };
        self.finish(now, &admission.ticket, &reply);
        reply
    }

    /// Notes the arrival of a request and meets a fault.
    pub fn admit(&mut self, now: Timestamp, request: &Request<Bytes>) -> Admission {
        let subject = self.api(Provider::of(request.uri().path())).subject(request);
        let effects = self.faults.meet(&subject);
        let wait = effects.iter().filter_map(wait_before).sum();
        let hang_up = effects.iter().any(|effect| matches!(effect, Effect::LateApply { .. }));
        let noted = effects.clone();
        let seq = self.journal.open(|seq, in_flight| entry(seq, in_flight, now, request, subject, noted));
        Admission { ticket: Ticket { seq, effects }, wait, hang_up }
    }

    /// Acts on a request.
    pub fn apply(&mut self, now: Timestamp, ticket: &Ticket, request: &Request<Bytes>) -> Reply {
        let effects = &ticket.effects;
        let api = self.api_mut(Provider::of(request.uri().path()));
        let Answer { mut response, about } = match effects.iter().find_map(|effect| refused_before(effect, api)) {
            Some(refusal) => Answer::from(refusal),
            None => api.handle(now, request, &Judgement::of(effects)),
        };
        if response.status().is_success() {
            for effect in effects {
                if let Effect::StatusAfterApply { status } = effect {
                    response = api.error(*status, None);
                } else {
                    reshape(effect, &mut response);
                }
            }
        }
        api.stamp(now, request, response.headers_mut());
        if let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&now) {
            insert(response.headers_mut(), DATE, &date);
        }
        self.journal.applied(ticket.seq, now, about);
        let held_back = effects.iter().filter_map(wait_after).sum();
        let delivery = delivery(effects, &response);
        Reply { response, delivery, held_back }
    }

    /// Notes the end of a request.
    pub fn finish(&mut self, now: Timestamp, ticket: &Ticket, reply: &Reply) {
        self.journal.close(ticket.seq, now, reply.response.status().as_u16(), reply.delivery);
    }

    /// Answers a person with a browser, on one of the pages under `/_pages/`. That is not in the journal, meets no fault
    /// and knows no rate: those are about the client.
    pub fn visit(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        match request.uri().path().strip_prefix(PAGES).and_then(|path| path.split_once('/')) {
            Some(("arcus", _)) => self.arcus.visit(now, request),
            Some(("rutter", _)) => self.rutter.visit(now, request),
            _ => unknown_link(),
        }
    }

    /// Every request so far.
    #[must_use]
    pub fn journal(&self) -> &[Entry] {
        self.journal.entries()
    }

    /// What the journal and the records add up to.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut duplicates = self.rutter.duplicates();
        duplicates.extend(self.sku_io.duplicates());
        let creates_by_provider = BTreeMap::from([
            (Provider::Rutter, self.rutter.created_by_api()),
            (Provider::SkuIo, self.sku_io.created_by_api()),
            (Provider::Arcus, self.arcus.created_by_api()),
        ]);
        let deletes_by_provider = BTreeMap::from([
            (Provider::Rutter, self.rutter.deleted()),
            (Provider::SkuIo, self.sku_io.deleted()),
            (Provider::Arcus, self.arcus.deleted()),
        ]);
        Stats {
            creates: creates_by_provider.values().sum(),
            creates_by_provider,
            deletes: deletes_by_provider.values().sum(),
            deletes_by_provider,
            duplicates,
            overwrites: self.arcus.overwrites(),
            refreshes: BTreeMap::from([
                (Provider::Rutter, self.rutter.refreshes()),
                (Provider::SkuIo, self.sku_io.refreshes()),
            ]),
            ..self.journal.stats()
        }
    }

    /// Lets something go wrong.
    pub fn push_fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Lets nothing go wrong any more.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// The simulated Rutter.
    #[must_use]
    pub fn rutter(&self) -> &Rutter {
        &self.rutter
    }

    /// The simulated Rutter, to act on behind the client's back.
    pub fn rutter_mut(&mut self) -> &mut Rutter {
        &mut self.rutter
    }

    /// The simulated SKU.io.
    #[must_use]
    pub fn sku_io(&self) -> &SkuIo {
        &self.sku_io
    }

    /// The simulated SKU.io, to act on behind the client's back.
    pub fn sku_io_mut(&mut self) -> &mut SkuIo {
        &mut self.sku_io
    }

    /// The simulated Arcus.
    #[must_use]
    pub fn arcus(&self) -> &Arcus {
        &self.arcus
    }

    /// The simulated Arcus, to act on behind the client's back.
    pub fn arcus_mut(&mut self) -> &mut Arcus {
        &mut self.arcus
    }
}

/// Whether a path is that of a page and not of an API.
pub(crate) fn is_page(path: &str) -> bool {
    path.starts_with(PAGES)
}

/// Sets a header; a value that no header can carry is left out.
pub(crate) fn insert(headers: &mut HeaderMap, name: impl http::header::IntoHeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn entry(
    seq: u64,
    in_flight: usize,
    now: Timestamp,
    request: &Request<Bytes>,
    subject: Subject,
    effects: Vec<Effect>,
) -> Entry {
    let key = request.headers().get("idempotency-key").and_then(|value| value.to_str().ok());
    Entry {
        seq,
        started_at: now,
        applied_at: None,
        ended_at: None,
        provider: Provider::of(request.uri().path()),
        operation: subject.operation,
        method: request.method().to_string(),
        path: presentable(request.uri()),
        body_fields: field_names(request.body()),
        idempotency_key: key.map(ToOwned::to_owned),
        connection_id: subject.about.connection,
        instance_id: subject.about.instance,
        connector: subject.about.connector,
        store: subject.store,
        in_flight,
        effects,
        status: None,
        delivery: None,
    }
}

/// What may be read in a query; Rutter's carries a token.
const PRESENTABLE: [&str; 9] =
    ["status", "search", "sort", "limit", "page", "archived", "starting_after", "ending_before", "include_count"];

/// Path and query without the values that may be secret.
fn presentable(uri: &http::Uri) -> String {
    let Some(query) = uri.query() else {
        return uri.path().to_owned();
    };
    let pairs = url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| {
        if PRESENTABLE.contains(&name.as_ref()) { format!("{name}={value}") } else { format!("{name}=REDACTED") }
    });
    format!("{}?{}", uri.path(), pairs.collect::<Vec<_>>().join("&"))
}

fn field_names(body: &Bytes) -> Vec<String> {
    serde_json::from_slice(body).map(|fields| dotted(&fields)).unwrap_or_default()
}

fn wait_before(effect: &Effect) -> Option<Duration> {
    if let Effect::SlowBefore { delay } | Effect::LateApply { delay } = effect { Some(*delay) } else { None }
}

fn wait_after(effect: &Effect) -> Option<Duration> {
    if let Effect::SlowAfter { delay } = effect { Some(*delay) } else { None }
}

fn refused_before(effect: &Effect, api: &mut dyn Api) -> Option<Response<Bytes>> {
    if let Effect::Refuse { status, retry_after } = effect {
        Some(api.error(*status, *retry_after))
    } else if *effect == Effect::IdempotencyMismatch {
        Some(api.idempotency_mismatch())
    } else {
        None
    }
}

fn delivery(effects: &[Effect], response: &Response<Bytes>) -> Delivery {
    let cut = effects.contains(&Effect::CutAnswer);
    // An answer that has no body cannot break in the middle of it.
    let lost = cut && response.status() == StatusCode::NO_CONTENT;
    if lost || effects.contains(&Effect::LostAnswer) {
        Delivery::Lost
    } else if cut {
        Delivery::Cut
    } else {
        Delivery::Whole
    }
}
