//! The request budget of one login: so many requests a minute, so many at a time, none while the provider says stop.
//!
//! Nothing here waits: who is refused gives up its worker and comes back when it is told to. A throttled account must
//! never hold the others up. And no tenant, which is a namespace, has more than half of a budget while another one
//! waits for it.

use crate::telemetry::{Meter, Throttle};
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

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

/// tokio's clock for the limiters, so that tests with paused time see the same budget.
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
    /// Half of the budget, for each tenant; asked only while another one waits.
    halves: RateLimiter<String, HashMapStateStore<String>, Ticks, NoOpMiddleware<Nanos>>,
    clock: Ticks,
    max_in_flight: u32,
    spacing: Duration,
    state: Mutex<State>,
    meter: Meter,
}

#[derive(Debug, Default)]
struct State {
    closed_until: Option<Instant>,
    /// The slots that each tenant holds.
    held: HashMap<String, u32>,
    /// Who was let in last.
    last: String,
    /// The moment that each tenant's last one refused was told to come back at.
    queues: HashMap<String, Instant>,
}

impl State {
    /// Whether somebody else was refused, and is expected back.
    fn others_wait(&self, tenant: &str, now: Instant) -> bool {
        self.queues.iter().any(|(other, end)| other != tenant && *end + LATE > now)
    }
}

/// Nobody is told to come back later than this: the queue may drain faster than it looks.
const LONGEST_QUEUE: Duration = Duration::from_mins(1);
/// Who is not back this long after its moment does not wait any more.
const LATE: Duration = Duration::from_secs(1);

impl Gate {
    /// A budget of so many requests in any minute and so many at a time.
    #[must_use]
    pub fn new(requests_per_minute: u32, max_in_flight: u32, meter: Meter) -> Self {
        let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let (per_minute, max_in_flight) = (requests_per_minute.max(1), max_in_flight.max(1));
        // Requests in any minute = burst + refill: split the budget so that the sum never exceeds it.
        let burst = at_least_one(per_minute.min(max_in_flight * 2).div_ceil(2));
        let refill = at_least_one(per_minute.saturating_sub(burst.get()));
        let half = |number: NonZeroU32| at_least_one(number.get() / 2);
        let clock = Ticks(Instant::now());
        let (whole, half) =
            (Quota::per_minute(refill).allow_burst(burst), Quota::per_minute(half(refill)).allow_burst(half(burst)));
        Self {
            limiter: RateLimiter::direct_with_clock(whole, clock.clone()),
            halves: RateLimiter::hashmap_with_clock(half, clock.clone()),
            clock,
            max_in_flight,
            spacing: Duration::from_mins(1) / refill.get(),
            state: Mutex::default(),
            meter,
        }
    }

    /// A place among the requests under way, for a pass of this tenant.
    ///
    /// # Errors
    /// When to come back, if all are taken, or the tenant's share of them while another one waits.
    pub fn enter(self: &Arc<Self>, tenant: &str) -> Result<Slot, Refusal> {
        self.open(tenant)?;
        let mut state = self.lock();
        let (all, own) = (state.held.values().sum::<u32>(), state.held.get(tenant).copied().unwrap_or_default());
        let is_fair = match self.max_in_flight / 2 {
            // One cannot be halved: then they take turns.
            0 => state.last != tenant,
            half => own < half,
        };
        if all >= self.max_in_flight || !is_fair && state.others_wait(tenant, Instant::now()) {
            drop(state);
            return Err(self.full(tenant, Duration::ZERO));
        }
        state.held.insert(tenant.to_owned(), own + 1);
        tenant.clone_into(&mut state.last);
        Ok(Slot { gate: Arc::clone(self), tenant: tenant.to_owned() })
    }

    /// The right to send the first request of a look, for a pass of this tenant.
    ///
    /// # Errors
    /// When to come back, if the budget is used up, or the tenant's share of it while another one waits.
    pub fn ticket(&self, tenant: &str) -> Result<Ticket, Refusal> {
        self.open(tenant)?;
        if self.lock().others_wait(tenant, Instant::now()) {
            let share = self.halves.check_key(&tenant.to_owned());
            share.map_err(|not_until| self.full(tenant, not_until.wait_time_from(self.clock.now())))?;
        }
        let granted = self.limiter.check().map(|()| Ticket(()));
        granted.map_err(|not_until| self.full(tenant, not_until.wait_time_from(self.clock.now())))
    }

    /// The right to send one more request of a look or a create that has begun: it waits for its turn, but not long.
    ///
    /// The one exception to the rule of this file. Whoever waits here holds one of the few slots; beginning anew would
    /// cost all the requests before this one again, and for ever if everybody did so.
    ///
    /// # Errors
    /// When to come back, if the provider asked to stop or the turn is too far away.
    pub async fn ticket_in_turn(&self, patience: Duration) -> Result<Ticket, Refusal> {
        let until = Instant::now() + patience;
        loop {
            if let Some(after) = self.pause() {
                return Err(Refusal { after, closed: true });
            }
            let Err(not_until) = self.limiter.check() else { return Ok(Ticket(())) };
            let wait = not_until.wait_time_from(self.clock.now());
            let turn = Instant::now() + wait;
            if turn > until {
                self.meter.throttled(Throttle::Budget);
                return Err(Refusal { after: wait, closed: false });
            }
            sleep_until(turn).await;
        }
    }

    /// The provider asked to stop: nobody sends before this much time has passed.
    pub fn close(&self, for_: Duration) {
        let until = Instant::now() + for_;
        let mut state = self.lock();
        state.closed_until = Some(state.closed_until.map_or(until, |old| old.max(until)));
    }

    /// For how long nobody may send, because the provider asked to stop.
    fn pause(&self) -> Option<Duration> {
        let rest = self.lock().closed_until?.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())?;
        self.meter.throttled(Throttle::Pause);
        Some(rest)
    }

    fn open(&self, tenant: &str) -> Result<(), Refusal> {
        match self.pause() {
            // Not all at once when it opens again.
            Some(rest) => Err(Refusal { after: rest + self.queued(tenant, Duration::ZERO), closed: true }),
            None => Ok(()),
        }
    }

    fn full(&self, tenant: &str, at_least: Duration) -> Refusal {
        self.meter.throttled(Throttle::Budget);
        Refusal { after: self.queued(tenant, at_least), closed: false }
    }

    /// Each one refused is told a moment of its own, so that they do not come back as a crowd of which all but one are
    /// refused again. A tenant queues behind its own only, and its moments are as far apart as its share allows.
    fn queued(&self, tenant: &str, at_least: Duration) -> Duration {
        let now = Instant::now();
        let mut state = self.lock();
        state.queues.retain(|_, end| *end + LATE > now);
        let before = state.queues.get(tenant).copied().unwrap_or(now);
        let share = self.spacing * if state.others_wait(tenant, now) { 2 } else { 1 };
        let end = before.clamp(now + at_least, now + LONGEST_QUEUE.max(at_least)) + share;
        state.queues.insert(tenant.to_owned(), end);
        end.duration_since(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if let Some(held) = state.held.get_mut(&self.tenant) {
            *held -= 1;
            if *held == 0 {
                state.held.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::v1alpha1::Provider, telemetry::Metrics};

    const SHOP: &str = "shop";

    fn gate(requests_per_minute: u32, max_in_flight: u32) -> Arc<Gate> {
        Arc::new(Gate::new(requests_per_minute, max_in_flight, Metrics::new().at(Provider::Arcus)))
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_sees_more_than_the_budget() {
        let gate = gate(60, 8);
        let mut sent = Vec::new();
        let start = Instant::now();
        while start.elapsed() < Duration::from_mins(3) {
            if gate.ticket(SHOP).is_ok() {
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
        let (a, b) = (gate.enter(SHOP), gate.enter(SHOP));
        assert!(a.is_ok() && b.is_ok() && gate.enter(SHOP).is_err());
        drop(a);
        assert!(gate.enter(SHOP).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn those_refused_come_back_one_by_one() {
        let gate = gate(600, 1);
        let _busy = gate.enter(SHOP);
        let after: Vec<Duration> = (0..5).filter_map(|_| gate.enter(SHOP).err().map(|r| r.after)).collect();
        assert!(after.len() == 5 && after.windows(2).all(|w| w[1] > w[0]), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_waits_for_its_turn_but_not_long() {
        let gate = gate(60, 1);
        while gate.ticket(SHOP).is_ok() {}
        assert!(gate.ticket_in_turn(Duration::from_secs(5)).await.is_ok());
        assert!(gate.ticket_in_turn(Duration::from_millis(10)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_lets_nobody_through_before_its_time() {
        let gate = gate(600, 4);
        gate.close(Duration::from_secs(30));
        let refusal = gate.ticket(SHOP).expect_err("closed");
        assert!(refusal.closed && refusal.after >= Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(gate.ticket(SHOP).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whose_no_it_was_is_told_apart() {
        let metrics = Metrics::new();
        let gate = Arc::new(Gate::new(60, 1, metrics.at(Provider::Arcus)));
        while gate.ticket(SHOP).is_ok() {}
        gate.close(Duration::from_secs(30));
        let closed = (gate.ticket(SHOP), gate.enter(SHOP));
        assert!(closed.0.is_err() && closed.1.is_err());
        let said = metrics.text();
        for line in [r#"{provider="Arcus",by="budget"} 1"#, r#"{provider="Arcus",by="pause"} 2"#] {
            assert!(said.contains(&format!("tradewind_provider_throttled_requests_total{line}\n")), "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_holds_more_than_half_while_another_waits() {
        let gate = gate(6000, 4);
        let mut all: Vec<Slot> = (0..4).map(|_| gate.enter("many").expect("a slot: nobody else waits")).collect();
        let refusal = gate.enter("few").expect_err("all are taken");
        all.truncate(2);
        assert!(gate.enter("many").is_err(), "the other half is for whoever waits");
        tokio::time::advance(refusal.after).await;
        assert!(gate.enter("few").is_ok());
        tokio::time::advance(LATE + refusal.after).await;
        assert!(gate.enter("many").is_ok(), "who does not come back does not wait any more");
    }

    #[tokio::test(start_paused = true)]
    async fn where_there_is_one_slot_they_take_turns() {
        let gate = gate(6000, 1);
        let busy = gate.enter("many").expect("a slot");
        assert!(gate.enter("few").is_err());
        drop(busy);
        assert!(gate.enter("many").is_err());
        drop(gate.enter("few").expect("its turn"));
        assert!(gate.enter("many").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_were_refused_do_not_send_one_of_another_tenant_to_the_end_of_their_queue() {
        let gate = gate(600, 8);
        while gate.ticket("many").is_ok() {}
        let last = (0..1000).filter_map(|_| gate.ticket("many").err()).next_back().expect("a refusal");
        assert_eq!(last.after.as_secs(), LONGEST_QUEUE.as_secs());
        let one = gate.ticket("few").expect_err("nothing is left now");
        assert!(one.after < Duration::from_secs(1), "{one:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_all_the_time_gets_no_more_than_half_while_another_waits() {
        let gate = gate(600, 8);
        let (mut many, mut few, mut due) = (0_u32, 0_u32, Duration::ZERO);
        let start = Instant::now();
        while start.elapsed() < Duration::from_mins(1) {
            many += u32::from(gate.ticket("many").is_ok());
            if start.elapsed() >= due {
                match gate.ticket("few") {
                    Ok(Ticket(())) => few += 1,
                    Err(refusal) => due = start.elapsed() + refusal.after,
                }
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(few * 10 >= many * 8 && many + few > 500, "{many} and {few}");
    }
}
