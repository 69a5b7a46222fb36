//! The request budget of one login: so many requests a minute, so many at a time, none while the provider says stop.
//!
//! Who is refused gives up its worker and comes back when it is told to: a throttled account must never hold the others
//! up. Nor may a tenant, which is a namespace, or an account that is looked at: while another one waits, none has more
//! than half of the places, and the next request is that of whoever has sent the least. What was in vain counts more: a
//! tenant whose objects fail again and again slows one down whose objects get on, but not to half of its pace.

use crate::telemetry::{Meter, Throttle};
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    task_local,
    time::{Instant, sleep_until},
};

task_local! {
    /// Whom the requests of this task are for.
    static TENANT: String;
}

/// Runs a pass whose requests are for this tenant.
pub async fn on_behalf_of<T>(tenant: String, pass: impl Future<Output = T>) -> T {
    TENANT.scope(tenant, pass).await
}

fn tenant() -> String {
    TENANT.try_with(Clone::clone).unwrap_or_default()
}

/// A place among the requests under way; held for the whole of a pass, which sends one request at a time.
#[derive(Debug)]
pub struct Slot {
    gate: Arc<Gate>,
    tenant: String,
}

/// The right to send one request.
#[derive(Debug)]
pub struct Ticket(());

/// The budget says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When to come back.
    pub after: Duration,
    /// The provider itself asked to stop; otherwise it is our own budget.
    pub closed: bool,
}

/// tokio's clock for the limiter, so that tests with paused time see the same budget.
#[derive(Clone, Debug)]
struct Ticks(Instant);

impl Clock for Ticks {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        Nanos::from(self.0.elapsed())
    }
}

/// The budget of one login.
#[derive(Debug)]
pub struct Gate {
    limiter: RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Nanos>>,
    clock: Ticks,
    max_in_flight: u32,
    spacing: Duration,
    state: Mutex<State>,
    meter: Meter,
}

#[derive(Debug, Default)]
struct State {
    closed_until: Option<Instant>,
    /// Who was given a slot last.
    last: String,
    tenants: HashMap<String, Tenant>,
}

#[derive(Debug)]
struct Tenant {
    /// The slots that it holds.
    held: u32,
    /// Requests that it has sent, those of long ago counted less and those in vain more, and when they were counted.
    sent: (f64, Instant),
    /// The moment that its last one refused was told to come back at.
    queue_end: Option<Instant>,
    /// It lacks no more than the right to send.
    wants_ticket: bool,
}

impl Tenant {
    fn new(now: Instant) -> Self {
        Self { held: 0, sent: (0.0, now), queue_end: None, wants_ticket: false }
    }

    /// Whether one of it was refused, and is expected back.
    fn waits(&self, now: Instant) -> bool {
        self.queue_end.is_some_and(|end| end + LATE > now)
    }

    fn sent(&self, now: Instant) -> f64 {
        let (sent, at) = self.sent;
        sent * 0.5_f64.powf(now.duration_since(at).as_secs_f64() / HALF_LIFE.as_secs_f64())
    }

    fn count(&mut self, requests: f64, now: Instant) {
        self.sent = (self.sent(now) + requests, now);
    }
}

/// Nobody is told to come back later than this: the queue may drain faster than it looks.
const LONGEST_QUEUE: Duration = Duration::from_mins(1);
/// Who is not back this long after its moment does not wait any more.
const LATE: Duration = Duration::from_secs(1);
/// After this long, what somebody has sent counts half.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// A write that comes to nothing counts as so many requests.
const IN_VAIN: f64 = 3.0;

impl State {
    fn tenant(&mut self, name: &str, now: Instant) -> &mut Tenant {
        self.tenants.entry(name.to_owned()).or_insert_with(|| Tenant::new(now))
    }

    fn others<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Tenant> {
        self.tenants.iter().filter(move |(other, _)| *other != name).map(|(_, tenant)| tenant)
    }

    /// Whether this tenant has a share of the places left, as long as others wait for one.
    fn may_enter(&self, name: &str, max: u32, now: Instant) -> bool {
        let own = self.tenants.get(name).map_or(0, |tenant| tenant.held);
        let is_fair = match max / 2 {
            // One cannot be halved: then they take turns.
            0 => self.last != name,
            half => own < half,
        };
        is_fair || !self.others(name).any(|other| other.waits(now))
    }

    /// Whether somebody waits for a ticket who has sent less.
    fn must_yield(&self, name: &str, now: Instant) -> bool {
        let own = self.tenants.get(name).map_or(0.0, |tenant| tenant.sent(now));
        self.others(name).any(|other| other.wants_ticket && other.waits(now) && other.sent(now) < own)
    }

    /// Forgets those of whom there is nothing to know.
    fn tidy(&mut self, now: Instant) {
        self.tenants.retain(|_, tenant| tenant.held > 0 || tenant.waits(now) || tenant.sent(now) > 0.5);
    }
}

impl Gate {
    /// A budget of so many requests in any minute and so many at a time.
    #[must_use]
    pub fn new(requests_per_minute: u32, max_in_flight: u32, meter: Meter) -> Self {
        let per_minute = NonZeroU32::new(requests_per_minute).unwrap_or(NonZeroU32::MIN);
        let max_in_flight = max_in_flight.max(1);
        // Requests in any minute = burst + refill: split the budget so that the sum never exceeds it.
        let burst = NonZeroU32::new(per_minute.get().min(max_in_flight * 2).div_ceil(2)).unwrap_or(NonZeroU32::MIN);
        let refill = NonZeroU32::new(per_minute.get().saturating_sub(burst.get())).unwrap_or(NonZeroU32::MIN);
        let clock = Ticks(Instant::now());
        Self {
            limiter: RateLimiter::direct_with_clock(Quota::per_minute(refill).allow_burst(burst), clock.clone()),
            clock,
            max_in_flight,
            spacing: Duration::from_mins(1) / refill.get(),
            state: Mutex::default(),
            meter,
        }
    }

    /// A place among the requests under way.
    ///
    /// # Errors
    /// When to come back, if all are taken, or the tenant's share of them while another one waits.
    pub fn enter(self: &Arc<Self>) -> Result<Slot, Refusal> {
        let (tenant, now) = (tenant(), Instant::now());
        self.open(&tenant)?;
        let mut state = self.lock();
        let taken = state.tenants.values().map(|tenant| tenant.held).sum::<u32>();
        if taken >= self.max_in_flight || !state.may_enter(&tenant, self.max_in_flight, now) {
            state.tenant(&tenant, now).wants_ticket = false;
            drop(state);
            return Err(self.full(&tenant, self.spacing));
        }
        state.tenant(&tenant, now).held += 1;
        state.last.clone_from(&tenant);
        Ok(Slot { gate: Arc::clone(self), tenant })
    }

    /// The right to send the first request of a look.
    ///
    /// # Errors
    /// When to come back, if the budget is used up, or somebody waits for it who has sent less.
    pub fn ticket(&self) -> Result<Ticket, Refusal> {
        let tenant = tenant();
        self.open(&tenant)?;
        self.take(&tenant).map_err(|wait| self.full(&tenant, wait))
    }

    /// The right to send one more request of a look or a create that has begun: it waits for its turn, but not long.
    ///
    /// The one exception to the rule of this file. Whoever waits here holds one of the few slots; beginning anew would
    /// cost all the requests before this one again, and for ever if everybody did so.
    ///
    /// # Errors
    /// When to come back, if the provider asked to stop or the turn is too far away.
    pub async fn ticket_in_turn(&self, patience: Duration) -> Result<Ticket, Refusal> {
        let (tenant, until) = (tenant(), Instant::now() + patience);
        loop {
            self.open(&tenant)?;
            let Err(wait) = self.take(&tenant) else { return Ok(Ticket(())) };
            let turn = Instant::now() + wait;
            if turn > until {
                return Err(self.full(&tenant, wait));
            }
            self.waits_until(&tenant, turn);
            sleep_until(turn).await;
        }
    }

    /// Whether a ticket of before may still be used.
    ///
    /// # Errors
    /// When to come back, if the provider has asked to stop since it was drawn.
    pub fn still_open(&self) -> Result<(), Refusal> {
        self.open(&tenant())
    }

    /// What this task has sent last was a write, and it came to nothing.
    pub fn in_vain(&self) {
        let now = Instant::now();
        self.lock().tenant(&tenant(), now).count(IN_VAIN - 1.0, now);
    }

    /// One request of this tenant, or how long it has to wait at least.
    fn take(&self, tenant: &str) -> Result<Ticket, Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        let granted = if state.must_yield(tenant, now) {
            Err(self.spacing)
        } else {
            self.limiter.check().map_err(|not_until| not_until.wait_time_from(self.clock.now()))
        };
        let tenant = state.tenant(tenant, now);
        tenant.wants_ticket = granted.is_err();
        granted.map(|()| {
            tenant.count(1.0, now);
            Ticket(())
        })
    }

    /// One of this tenant waits until then.
    fn waits_until(&self, tenant: &str, turn: Instant) {
        let mut state = self.lock();
        let tenant = state.tenant(tenant, Instant::now());
        tenant.queue_end = tenant.queue_end.max(Some(turn));
    }

    /// The provider asked to stop: nobody sends before this much time has passed.
    pub fn close(&self, for_: Duration) {
        let until = Instant::now() + for_;
        let mut state = self.lock();
        state.closed_until = Some(state.closed_until.map_or(until, |old| old.max(until)));
    }

    /// For how long the provider still wants to be left alone: a budget that takes the place of this one is closed as long.
    #[must_use]
    pub fn closed_for(&self) -> Option<Duration> {
        let until = self.lock().closed_until?;
        until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
    }

    fn open(&self, tenant: &str) -> Result<(), Refusal> {
        match self.closed_for() {
            Some(rest) => {
                self.meter.throttled(Throttle::Pause);
                // Not all at once when it opens again, however long before that they were refused.
                Err(Refusal { after: self.queued(tenant, rest, rest + LONGEST_QUEUE), closed: true })
            }
            None => Ok(()),
        }
    }

    fn full(&self, tenant: &str, at_least: Duration) -> Refusal {
        self.meter.throttled(Throttle::Budget);
        Refusal { after: self.queued(tenant, at_least, LONGEST_QUEUE.max(at_least)), closed: false }
    }

    /// Each one refused is told a moment of its own, a request's spacing apart, so that they do not come back as a
    /// crowd of which all but one are refused again. A tenant queues behind its own only.
    fn queued(&self, tenant: &str, at_least: Duration, at_most: Duration) -> Duration {
        let now = Instant::now();
        let mut state = self.lock();
        state.tidy(now);
        let tenant = state.tenant(tenant, now);
        let after_the_last = tenant.queue_end.map_or(now, |end| end + self.spacing);
        let moment = after_the_last.clamp(now + at_least, now + at_most);
        tenant.queue_end = Some(moment);
        moment.duration_since(now)
    }

    /// What counts as sent by this task.
    #[cfg(test)]
    pub(super) fn counted(&self) -> f64 {
        let now = Instant::now();
        self.lock().tenant(&tenant(), now).sent(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if let Some(tenant) = state.tenants.get_mut(&self.tenant) {
            tenant.held -= 1;
        }
        state.tidy(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::v1alpha1::Provider, telemetry::Metrics};

    fn gate(requests_per_minute: u32, max_in_flight: u32) -> Arc<Gate> {
        Arc::new(Gate::new(requests_per_minute, max_in_flight, Metrics::new().at(Provider::Arcus)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_is_gone_is_forgotten_although_nobody_is_refused() {
        let gate = gate(60_000, 8);
        for index in 0..50 {
            let slot =
                TENANT.sync_scope(format!("preview-{index}"), || (gate.enter(), gate.ticket().expect("a place")));
            drop(slot);
            tokio::time::advance(HALF_LIFE * 2).await;
        }
        assert!(gate.lock().tenants.len() <= 2, "{:?}", gate.lock().tenants);
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_sees_more_than_the_budget() {
        let gate = gate(60, 8);
        let mut sent = Vec::new();
        let start = Instant::now();
        while start.elapsed() < Duration::from_mins(3) {
            if gate.ticket().is_ok() {
                sent.push(start.elapsed());
            } else {
                tokio::time::advance(Duration::from_millis(100)).await;
            }
        }
        let worst =
            sent.iter().map(|t| sent.iter().filter(|s| **s >= *t && **s < *t + Duration::from_mins(1)).count()).max();
        assert!(worst.is_some_and(|w| (55..=60).contains(&w)), "{worst:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_under_way() {
        let gate = gate(6000, 2);
        let (a, b) = (gate.enter(), gate.enter());
        assert!(a.is_ok() && b.is_ok() && gate.enter().is_err());
        drop(a);
        assert!(gate.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn those_refused_come_back_one_by_one() {
        let gate = gate(600, 1);
        let _busy = gate.enter();
        let after: Vec<Duration> = (0..5).filter_map(|_| gate.enter().err().map(|r| r.after)).collect();
        assert!(after.len() == 5 && after.windows(2).all(|w| w[1] > w[0]), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_waits_for_its_turn_but_not_long() {
        let gate = gate(60, 1);
        while gate.ticket().is_ok() {}
        assert!(gate.ticket_in_turn(Duration::from_secs(5)).await.is_ok());
        assert!(gate.ticket_in_turn(Duration::from_millis(10)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_lets_nobody_through_before_its_time() {
        let gate = gate(600, 4);
        gate.close(Duration::from_secs(30));
        let refusal = gate.ticket().expect_err("closed");
        assert!(refusal.closed && refusal.after >= Duration::from_secs(30));
        assert!(gate.still_open().is_err_and(|refusal| refusal.closed), "nor whoever has a ticket");
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(gate.still_open().is_ok() && gate.ticket().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn those_refused_at_a_closed_gate_come_back_one_by_one_whenever_they_were_refused() {
        let gate = gate(600, 4);
        gate.close(Duration::from_mins(5));
        let mut moments = vec![];
        for _ in 0..5 {
            moments.push(Instant::now() + gate.ticket().expect_err("closed").after);
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert!(moments.windows(2).all(|pair| pair[1] >= pair[0] + gate.spacing), "{moments:?}");
        let (opens, last) = (moments[0], moments[4]);
        assert!(last < opens + Duration::from_secs(1), "and not later than they have to: {moments:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whose_no_it_was_is_told_apart() {
        let metrics = Metrics::new();
        let gate = Arc::new(Gate::new(60, 1, metrics.at(Provider::Arcus)));
        while gate.ticket().is_ok() {}
        gate.close(Duration::from_secs(30));
        let closed = (gate.ticket(), gate.enter());
        assert!(closed.0.is_err() && closed.1.is_err());
        let said = metrics.text();
        for line in [r#"{provider="Arcus",by="budget"} 1"#, r#"{provider="Arcus",by="pause"} 2"#] {
            assert!(said.contains(&format!("tradewind_provider_throttled_requests_total{line}\n")), "{said}");
        }
    }

    fn enter(gate: &Arc<Gate>, tenant: &str) -> Result<Slot, Refusal> {
        TENANT.sync_scope(tenant.to_owned(), || gate.enter())
    }

    fn ticket(gate: &Gate, tenant: &str) -> Result<Ticket, Refusal> {
        TENANT.sync_scope(tenant.to_owned(), || gate.ticket())
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_holds_more_than_half_while_another_waits() {
        let gate = gate(6000, 4);
        let mut all: Vec<Slot> = (0..4).map(|_| enter(&gate, "many").expect("a slot: nobody else waits")).collect();
        let refusal = enter(&gate, "few").expect_err("all are taken");
        all.truncate(2);
        assert!(enter(&gate, "many").is_err(), "the other half is for whoever waits");
        tokio::time::advance(refusal.after).await;
        assert!(enter(&gate, "few").is_ok());
        tokio::time::advance(LATE + refusal.after).await;
        assert!(enter(&gate, "many").is_ok(), "who does not come back does not wait any more");
    }

    #[tokio::test(start_paused = true)]
    async fn where_there_is_one_slot_they_take_turns() {
        let gate = gate(6000, 1);
        let busy = enter(&gate, "many").expect("a slot");
        assert!(enter(&gate, "few").is_err());
        drop(busy);
        assert!(enter(&gate, "many").is_err());
        drop(enter(&gate, "few").expect("its turn"));
        assert!(enter(&gate, "many").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_were_refused_do_not_send_one_of_another_tenant_to_the_end_of_their_queue() {
        let gate = gate(600, 8);
        while ticket(&gate, "many").is_ok() {}
        let after = (0..1000).filter_map(|_| ticket(&gate, "many").err()).map(|refusal| refusal.after).max();
        assert_eq!(after.map(|after| after.as_secs()), Some(LONGEST_QUEUE.as_secs()));
        let one = ticket(&gate, "few").expect_err("nothing is left now");
        assert!(one.after < Duration::from_secs(1), "{one:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_sent_less_goes_first_until_both_have_sent_the_same() {
        let gate = gate(600, 8);
        let (mut many, mut few) = (vec![], vec![]);
        let start = Instant::now();
        let mut due = Duration::from_mins(1);
        while start.elapsed() < Duration::from_mins(4) {
            let now = start.elapsed();
            if ticket(&gate, "many").is_ok() {
                many.push(now);
            }
            if now >= due {
                match ticket(&gate, "few") {
                    Ok(Ticket(())) => few.push(now),
                    Err(refusal) => due = now + refusal.after,
                }
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        let between =
            |all: &[Duration], from: u64, to: u64| all.iter().filter(|at| (from..to).contains(&at.as_secs())).count();
        let first = (between(&many, 61, 66), between(&few, 61, 66));
        assert!(first.1 > first.0 * 4, "it has sent nothing so far: {first:?}");
        let later = (between(&many, 180, 240), between(&few, 180, 240));
        assert!(later.0.abs_diff(later.1) * 10 < later.0 + later.1, "both ask all the time: {later:?}");
        assert!(later.0 + later.1 > 500, "nothing is left unused: {later:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whose_every_other_request_is_in_vain_has_a_third_of_what_both_ask_for() {
        let gate = gate(600, 8);
        let (mut fails, mut gets_on) = (0_u32, 0_u32);
        for _ in 0..3 * 60 * 100 {
            if ticket(&gate, "fails").is_ok() {
                fails += 1;
                if fails.is_multiple_of(2) {
                    TENANT.sync_scope("fails".to_owned(), || gate.in_vain());
                }
            }
            gets_on += u32::from(ticket(&gate, "gets on").is_ok());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(gets_on.abs_diff(fails * 2) * 20 < gets_on, "{gets_on} beside {fails}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_begun_does_not_wait_for_one_that_lacks_a_place() {
        let gate = gate(600, 1);
        let _all = enter(&gate, "many").expect("a slot");
        while ticket(&gate, "many").is_ok() {}
        assert!(enter(&gate, "few").is_err());
        let begun = on_behalf_of("many".to_owned(), gate.ticket_in_turn(Duration::from_millis(150)));
        assert!(begun.await.is_ok(), "the place is not free before it has come to its end");
    }
}
