//! What is asked of a provider: one request with a ticket of its budget, one answer, both bounded in time and size.
//!
//! It never retries, and never lets a URL or a body out in an error.

use super::{
    ApiError, CreatePermit, Deadline, Operation,
    gate::{Gate, Ticket},
    wire::{BODY_CAP, Cap, Held, LIST_CAP, Turn, Wire, WireError, needed},
};
use crate::{
    domain::{ids::ExternalId, verdict::Kind},
    telemetry::{Meter, Throttle},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822};
use serde_json::Value;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tower::ServiceExt;
use url::Url;

/// What is left for what is kept of a list. A provider without an end to its pages must not fill the memory.
pub(super) struct Room {
    left: usize,
    all: usize,
}

impl Room {
    /// So many bytes for all pages.
    pub(super) fn of(all: usize) -> Self {
        Self { left: all, all }
    }

    /// Takes room for what is kept of a page.
    ///
    /// # Errors
    /// There is not enough.
    pub(super) fn keep(&mut self, weighs: usize) -> Result<(), ApiError> {
        let too_big = || ApiError::wire(Operation::List, WireError::TooBig(self.all));
        self.left = self.left.checked_sub(weighs).ok_or_else(too_big)?;
        Ok(())
    }
}

/// One request.
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    pub(super) method: Method,
    /// Path segments below the base URL.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<Value>,
    /// The idempotency key of a write that creates nothing; a create's own comes with its permit.
    pub(super) key: Option<&'a str>,
}

/// What a request does while the budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It is refused: its pass comes back later.
    Now,
    /// It waits for its turn: what it belongs to has begun.
    InTurn,
}

/// A whole answer, whatever its status.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) retry_after: Option<Duration>,
    pub(super) request_id: Option<String>,
    _turn: Option<Held>,
}

#[cfg(test)]
impl Reply {
    /// An answer with this status and body, and nothing else.
    pub(super) fn of(status: u16, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        let (headers, body) = (HeaderMap::new(), body.into());
        Self { status, headers, body, retry_after: None, request_id: None, _turn: None }
    }
}

/// What goes with every request. `version`: of the API, where a provider is told one, and by which header.
pub(super) fn headers(authorization: &str, version: Option<(&'static str, &str)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(mut authorization) = HeaderValue::from_str(authorization) {
        authorization.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, authorization);
    }
    if let Some((name, Ok(version))) = version.map(|(name, version)| (name, HeaderValue::from_str(version))) {
        headers.insert(name, version);
    }
    // Without it SKU.io takes us for a browser and answers with a page, or a redirect to one.
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers
}

/// One login at one endpoint.
pub(super) struct Http {
    wire: Wire,
    base: Url,
    headers: HeaderMap,
    request_id: HeaderName,
    timeout: Duration,
    gate: Arc<Gate>,
    meter: Meter,
    turn: Turn,
    /// The provider's last `Date`, and when it arrived.
    date: Mutex<Option<(Timestamp, Instant)>>,
    /// So many limits in a row did not say how long to wait.
    limits: AtomicU32,
}

/// No limit without `Retry-After` is waited out longer than this, however many there were before.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

impl Http {
    /// `headers` go with every request; those that carry credentials must be marked sensitive.
    pub(super) fn new(
        wire: Wire,
        base: Url,
        headers: HeaderMap,
        request_id: HeaderName,
        timeout: Duration,
        gate: Arc<Gate>,
        meter: Meter,
    ) -> Self {
        let (turn, date, limits) = (Turn::default(), Mutex::new(None), AtomicU32::new(0));
        Self { wire, base, headers, request_id, timeout, gate, meter, turn, date, limits }
    }

    /// The provider's clock now.
    pub(super) fn now(&self) -> Option<Timestamp> {
        let (date, at) = (*self.date.lock().unwrap_or_else(PoisonError::into_inner))?;
        date.saturating_add(jiff::SignedDuration::try_from(at.elapsed()).ok()?).ok()
    }

    /// Sends a request that creates nothing.
    pub(super) async fn send(&self, call: Call<'_>, pace: Pace) -> Result<Reply, ApiError> {
        let ticket = match pace {
            Pace::Now => self.gate.ticket(),
            Pace::InTurn => self.gate.ticket_in_turn(self.timeout).await,
        };
        let ticket = ticket.map_err(|refusal| ApiError::refused(call.operation, refusal))?;
        self.exchange(call, None, ticket).await
    }

    /// Sends a create. The permit is spent, and refused if it has expired, or if the provider has asked to stop since the
    /// ticket was drawn: that is checked here, after everything that may take time and right before sending.
    pub(super) async fn send_create(&self, call: Call<'_>, permit: CreatePermit) -> Result<Reply, ApiError> {
        let CreatePermit { key, expires, ticket } = permit;
        self.exchange(call, Some((&key, &expires)), ticket).await
    }

    async fn exchange(
        &self,
        call: Call<'_>,
        create: Option<(&str, &Deadline)>,
        _ticket: Ticket,
    ) -> Result<Reply, ApiError> {
        let operation = call.operation;
        let cap = if operation == Operation::List { LIST_CAP } else { BODY_CAP };
        let wire_error = |e| ApiError::wire(operation, e);
        let key = create.map(|(key, _)| key).or(call.key);
        let mut request = self.request(call, key).ok_or(WireError::NotSent).map_err(wire_error)?;
        request.extensions_mut().insert(Cap(cap));
        if operation == Operation::List {
            request.extensions_mut().insert(self.turn.clone());
        }
        if create.is_some_and(|(_, expires)| expires.is_past()) {
            return Err(wire_error(WireError::Expired));
        }
        if create.is_some() {
            self.gate.still_open().map_err(|refusal| ApiError::refused(operation, refusal))?;
        }
        let begun = Instant::now();
        let answer = tokio::time::timeout(self.timeout, self.wire.clone().oneshot(request)).await;
        let answer = answer.unwrap_or(Err(WireError::Timeout));
        let status = answer.as_ref().ok().map(|r| r.status().as_u16());
        self.meter.request(operation.into(), status, begun.elapsed());
        // Being asked to slow down is nobody's own failure.
        if operation.writes() && !status.is_some_and(|status| matches!(status, 200..=299 | 429)) {
            self.gate.in_vain();
        }
        let (mut head, body) = answer.map_err(wire_error)?.into_parts();
        if head.status.is_success() {
            self.limits.store(0, Ordering::Relaxed);
        }
        let turn = head.extensions.remove();
        let body = if body.len() > cap { Err(WireError::TooBig(cap)) } else { Ok(body) };
        let body = needed(head.status, body).map_err(wire_error)?;
        self.heard(&head.headers);
        let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| retry_after(value, self.now()));
        let request_id = plain(head.headers.get(&self.request_id));
        Ok(Reply { status: head.status, headers: head.headers, body, retry_after, request_id, _turn: turn })
    }

    /// `None` for what can be no request: a base URL without a path, a segment that could be about another resource than
    /// it says (URLs drop `..` and line breaks without a word), a key that is no header value.
    fn request(&self, call: Call<'_>, idempotency_key: Option<&str>) -> Option<Request<Bytes>> {
        if !call.path.iter().all(|segment| ExternalId::new(*segment).is_plain()) {
            return None;
        }
        let mut url = self.base.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let mut request = Request::builder().method(call.method).uri(url.as_str());
        let headers = request.headers_mut()?;
        headers.extend(self.headers.clone());
        if let Some(key) = idempotency_key {
            headers.insert("idempotency-key", HeaderValue::from_str(key).ok()?);
        }
        let body = match call.body {
            None => Bytes::new(),
            Some(body) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                serde_json::to_vec(&body).ok()?.into()
            }
        };
        request.body(body).ok()
    }

    fn heard(&self, headers: &HeaderMap) {
        let date = headers.get(header::DATE).and_then(|v| v.to_str().ok()).and_then(|v| rfc2822::parse(v).ok());
        if let Some(date) = date {
            let now = (date.timestamp(), Instant::now());
            *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        if let Some((remaining, limit)) = number("x-ratelimit-remaining").zip(number("x-ratelimit-limit")) {
            self.meter.quota(remaining, limit);
        }
    }

    /// Lets nothing more out for this long.
    pub(super) fn pause(&self, wait: Duration) {
        self.gate.close(wait);
    }

    /// Notes an answer that asks to slow down.
    pub(super) fn throttled(&self) {
        self.meter.throttled(Throttle::Provider);
    }

    /// Closes the account's gate where an error asks for it: for as long as it says, or else the longer the more often.
    pub(super) fn heed(&self, error: ApiError, otherwise: Duration) -> ApiError {
        if error.kind == Kind::RateLimited && !error.local {
            self.throttled();
            self.gate.close(error.retry_after.unwrap_or_else(|| self.wait(otherwise)));
        }
        error
    }

    /// How long to wait for a limit that does not say so. Those that come while the gate is closed were under way before: they
    /// are one with that which closed it.
    fn wait(&self, first: Duration) -> Duration {
        let before = match self.gate.closed_for() {
            Some(_) => self.limits.load(Ordering::Relaxed).saturating_sub(1),
            None => self.limits.fetch_add(1, Ordering::Relaxed),
        };
        first.saturating_mul(1 << before.min(16)).min(LONGEST_WAIT)
    }
}

/// `Retry-After` in seconds or as a date, by the provider's own clock; bounded both ways, since nothing obliges it to be
/// reasonable.
fn retry_after(value: &HeaderValue, now: Option<Timestamp>) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_hours(1);
    let text = value.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::try_from(rfc2822::parse(text).ok()?.timestamp().duration_since(now?)).unwrap_or_default(),
    };
    Some(wait.clamp(Duration::from_secs(1), LONGEST))
}

/// A request id as it may be logged: short and without surprises.
fn plain(value: Option<&HeaderValue>) -> Option<String> {
    let text = value?.to_str().ok()?;
    (text.len() <= 128 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use rstest::rstest;
    use tower::{service_fn, util::BoxCloneSyncService};

    #[rstest]
    #[case::seconds("120", Some(120))]
    #[case::a_date("Sun, 29 Nov 2026 04:38:00 GMT", Some(60))]
    #[case::a_date_that_has_passed("Sun, 29 Nov 2026 04:36:00 GMT", Some(1))]
    #[case::at_once("0", Some(1))]
    #[case::longer_than_anybody_means("Mon, 29 Nov 2027 04:37:00 GMT", Some(3600))]
    #[case::neither("soon", None)]
    fn how_long_to_wait_is_told_in_seconds_or_by_a_date(#[case] text: &str, #[case] seconds: Option<u64>) {
        let now = "2026-11-29T04:37:00Z".parse().ok();
        let value = HeaderValue::from_str(text).expect("a value");
        assert_eq!(retry_after(&value, now), seconds.map(Duration::from_secs));
    }

    /// A provider that answers with these statuses, one after the other.
    fn answers(statuses: &[u16], retry_after: Option<&'static str>) -> Http {
        let meter = crate::telemetry::Metrics::new().at(crate::api::v1alpha1::Provider::Rutter);
        let gate = Arc::new(Gate::new(60_000, 8, meter.clone()));
        let left: Vec<u16> = statuses.iter().rev().copied().collect();
        let left = Arc::new(Mutex::new(left));
        let wire = BoxCloneSyncService::new(service_fn(move |_: Request<Bytes>| {
            let status = left.lock().expect("statuses").pop().expect("one more");
            let mut answer = Response::builder().status(status);
            if let Some(text) = retry_after {
                answer = answer.header(header::RETRY_AFTER, text);
            }
            std::future::ready(Ok::<_, WireError>(answer.body(Bytes::new()).expect("an answer")))
        }));
        let (base, id) = ("https://a.example.com/".parse().expect("a URL"), HeaderName::from_static("x-request-id"));
        let minute = Duration::from_mins(1);
        Http::new(wire, base, HeaderMap::new(), id, minute, gate, meter)
    }

    async fn answer(http: &Http, operation: Operation) -> Reply {
        let call = Call { operation, method: Method::GET, path: &["a"], query: &[], body: None, key: None };
        http.send(call, Pace::Now).await.expect("an answer")
    }

    /// How long the gate is closed after each of these.
    async fn closed_after(statuses: &[u16], retry_after: Option<&'static str>) -> Vec<u64> {
        let http = answers(statuses, retry_after);
        let mut closed = vec![];
        for _ in statuses {
            let operation = Operation::Read;
            let reply = answer(&http, operation).await;
            let limit = ApiError {
                retry_after: reply.retry_after,
                ..ApiError::answered(operation, 429, Kind::RateLimited, crate::domain::verdict::Effect::None)
            };
            if reply.status == StatusCode::TOO_MANY_REQUESTS {
                // Two that were under way at once are one limit.
                http.heed(http.heed(limit, Duration::from_secs(10)), Duration::from_secs(10));
            }
            let rest = http.gate.closed_for().unwrap_or_default();
            closed.push(rest.as_secs());
            tokio::time::advance(rest).await;
        }
        closed
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_does_not_say_when_it_ends_is_waited_out_the_longer_the_more_often_it_comes() {
        let in_a_row = [429, 429, 429, 200, 429, 500, 429];
        assert_eq!(closed_after(&in_a_row, None).await, [10, 20, 40, 0, 10, 0, 20]);
        assert_eq!(closed_after(&[429; 9], None).await[5..], [320, 600, 600, 600]);
        assert_eq!(closed_after(&[429; 3], Some("7")).await, [7; 3], "who says when is believed");
    }

    #[rstest]
    #[case::a_write_that_is_refused(Operation::Create, 409, true)]
    #[case::a_write_that_breaks_something(Operation::Update, 502, true)]
    #[case::a_write_that_is_done(Operation::Create, 201, false)]
    #[case::a_write_that_comes_too_soon(Operation::Create, 429, false)]
    #[case::a_read(Operation::Read, 404, false)]
    #[tokio::test(start_paused = true)]
    async fn a_write_that_comes_to_nothing_counts_more_than_another_request(
        #[case] operation: Operation,
        #[case] status: u16,
        #[case] more: bool,
    ) {
        let http = answers(&[status], None);
        answer(&http, operation).await;
        assert_eq!(http.gate.counted() > 1.0, more, "{}", http.gate.counted());
    }

    #[test]
    fn what_is_kept_of_a_list_has_room_until_it_has_none() {
        let mut room = Room::of(3);
        assert!(room.keep(2).is_ok() && room.keep(1).is_ok());
        assert_eq!(room.keep(1), Err(ApiError::wire(Operation::List, WireError::TooBig(3))));
    }
}
