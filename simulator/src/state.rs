//! The pure core: everything a provider knows, and what it makes of a request.
//!
//! Owns the records, the journal and the faults. It must never read a clock, wait, or touch a socket: it is told the
//! time, and it says how long to wait and what to break.
//!
//! A request goes through three steps, so that time can pass between them: [`admit`](State::admit) notes the arrival
//! and meets a fault, [`apply`](State::apply) acts, [`finish`](State::finish) notes the end.

use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, HeaderMap, HeaderValue};
use http::{Request, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::fault::{Effect, Fault, Faults, Subject, reshape};
use crate::journal::{Entry, Journal, Stats};
use crate::outcome::{Delivery, Reply};
use crate::rutter::{Judgement, Refusal, Rutter};

/// Everything the simulated providers know.
#[derive(Debug)]
pub struct State {
    journal: Journal,
    faults: Faults,
    rutter: Rutter,
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
    pub fn new(rutter: Rutter) -> Self {
        Self { journal: Journal::default(), faults: Faults::default(), rutter }
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
        let subject = self.rutter.subject(request);
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
        let outcome = match effects.iter().find_map(refused_before) {
            Some(refusal) => Err(refusal),
            None => self.rutter.handle(now, request, &judgement(effects)),
        };
        let (mut response, connection) = match outcome {
            Ok(answer) => (answer.response, answer.connection),
            Err(refusal) => (refusal.into_response(), None),
        };
        if response.status().is_success() {
            for effect in effects {
                if let Effect::StatusAfterApply { status } = effect {
                    response = Refusal::upstream(*status, None).into_response();
                } else {
                    reshape(effect, &mut response);
                }
            }
        }
        self.rutter.stamp(response.headers_mut());
        if let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&now) {
            insert(response.headers_mut(), DATE, &date);
        }
        self.journal.applied(ticket.seq, now, connection);
        let held_back = effects.iter().filter_map(wait_after).sum();
        Reply { response, delivery: delivery(effects), held_back }
    }

    /// Notes the end of a request.
    pub fn finish(&mut self, now: Timestamp, ticket: &Ticket, reply: &Reply) {
        self.journal.close(ticket.seq, now, reply.response.status().as_u16(), reply.delivery);
    }

    /// Every request so far.
    #[must_use]
    pub fn journal(&self) -> &[Entry] {
        self.journal.entries()
    }

    /// What the journal and the records add up to.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            creates: self.rutter.created_by_api(),
            deletes: self.rutter.deleted(),
            duplicates: self.rutter.duplicates(),
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
        operation: subject.operation,
        method: request.method().to_string(),
        path: presentable(request.uri()),
        body_fields: field_names(request.body()),
        idempotency_key: key.map(ToOwned::to_owned),
        connection_id: subject.connection,
        store: subject.store,
        in_flight,
        effects,
        status: None,
        delivery: None,
    }
}

/// Path and query without the values that may be secret.
fn presentable(uri: &http::Uri) -> String {
    let Some(query) = uri.query() else {
        return uri.path().to_owned();
    };
    let pairs = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| if name == "status" { format!("{name}={value}") } else { format!("{name}=REDACTED") });
    format!("{}?{}", uri.path(), pairs.collect::<Vec<_>>().join("&"))
}

fn field_names(body: &Bytes) -> Vec<String> {
    let fields: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(body);
    fields.map(|fields| fields.into_iter().map(|(name, _)| name).collect()).unwrap_or_default()
}

fn wait_before(effect: &Effect) -> Option<Duration> {
    if let Effect::SlowBefore { delay } | Effect::LateApply { delay } = effect { Some(*delay) } else { None }
}

fn wait_after(effect: &Effect) -> Option<Duration> {
    if let Effect::SlowAfter { delay } = effect { Some(*delay) } else { None }
}

fn refused_before(effect: &Effect) -> Option<Refusal> {
    if let Effect::Refuse { status, retry_after } = effect {
        Some(Refusal::upstream(*status, *retry_after))
    } else if *effect == Effect::IdempotencyMismatch {
        Some(Refusal::idempotency_mismatch())
    } else {
        None
    }
}

fn delivery(effects: &[Effect]) -> Delivery {
    if effects.contains(&Effect::LostAnswer) {
        Delivery::Lost
    } else if effects.contains(&Effect::CutAnswer) {
        Delivery::Cut
    } else {
        Delivery::Whole
    }
}

fn judgement(effects: &[Effect]) -> Judgement {
    let mut judgement = Judgement::default();
    for effect in effects {
        if let Effect::RefuseCredentials { status } = effect {
            judgement.refused = Some(StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        } else if let Effect::SourCredentials { after, trouble } = effect {
            judgement.sours = Some((*after, *trouble));
        }
    }
    judgement
}
