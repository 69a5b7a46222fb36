//! The request budget of one login: so many requests a minute, so many at a time, none while the provider says stop.
//!
//! Nothing here waits: who is refused gives up its worker and comes back when it is told to. A throttled account must
//! never hold the others up.

use crate::telemetry::{Meter, Throttle};
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

/// A place among the requests under way; held for the whole of a pass, which sends one request at a time.
#[derive(Debug)]
pub struct Slot(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

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
    slots: Arc<Semaphore>,
    spacing: Duration,
    state: Mutex<State>,
    meter: Meter,
}

#[derive(Debug)]
struct State {
    closed_until: Option<Instant>,
    /// The moment that the next one refused is told to come back at: each gets its own.
    queue_end: Instant,
}

/// Nobody is told to come back later than this: the queue may drain faster than it looks.
const LONGEST_QUEUE: Duration = Duration::from_mins(1);

impl Gate {
    /// A budget of so many requests in any minute and so many at a time.
    #[must_use]
    pub fn new(requests_per_minute: u32, max_in_flight: u32, meter: Meter) -> Self {
        let per_minute = NonZeroU32::new(requests_per_minute).unwrap_or(NonZeroU32::MIN);
        // Requests in any minute = burst + refill: split the budget so that the sum never exceeds it.
        let burst =
            NonZeroU32::new(per_minute.get().min(max_in_flight.max(1) * 2).div_ceil(2)).unwrap_or(NonZeroU32::MIN);
        let refill = NonZeroU32::new(per_minute.get().saturating_sub(burst.get())).unwrap_or(NonZeroU32::MIN);
        let clock = Ticks(Instant::now());
        Self {
            limiter: RateLimiter::direct_with_clock(Quota::per_minute(refill).allow_burst(burst), clock.clone()),
            clock,
            slots: Arc::new(Semaphore::new(max_in_flight.max(1) as usize)),
            spacing: Duration::from_mins(1) / refill.get(),
            state: Mutex::new(State { closed_until: None, queue_end: Instant::now() }),
            meter,
        }
    }

    /// A place among the requests under way.
    ///
    /// # Errors
    /// When to come back, if all are taken.
    pub fn enter(&self) -> Result<Slot, Refusal> {
        self.open()?;
        Arc::clone(&self.slots).try_acquire_owned().map(Slot).map_err(|_| self.full(Duration::ZERO))
    }

    /// The right to send one request.
    ///
    /// # Errors
    /// When to come back, if the budget is used up.
    pub fn ticket(&self) -> Result<Ticket, Refusal> {
        self.open()?;
        self.limiter
            .check()
            .map(|()| Ticket(()))
            .map_err(|not_until| self.full(not_until.wait_time_from(self.clock.now())))
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
            self.open()?;
            let Err(not_until) = self.limiter.check() else { return Ok(Ticket(())) };
            let turn = Instant::now() + not_until.wait_time_from(self.clock.now());
            if turn > until {
                return Err(self.full(Duration::ZERO));
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

    fn open(&self) -> Result<(), Refusal> {
        let closed = self.lock().closed_until.and_then(|until| until.checked_duration_since(Instant::now()));
        match closed.filter(|d| !d.is_zero()) {
            Some(rest) => {
                self.meter.throttled(Throttle::Pause);
                // Not all at once when it opens again.
                Err(Refusal { after: rest + self.queued(Duration::ZERO), closed: true })
            }
            None => Ok(()),
        }
    }

    fn full(&self, at_least: Duration) -> Refusal {
        self.meter.throttled(Throttle::Budget);
        Refusal { after: self.queued(at_least), closed: false }
    }

    /// Each one refused is told a moment of its own, a request's spacing apart, so that they do not come back as a
    /// crowd of which all but one are refused again.
    fn queued(&self, at_least: Duration) -> Duration {
        let now = Instant::now();
        let mut state = self.lock();
        state.queue_end = state.queue_end.clamp(now + at_least, now + LONGEST_QUEUE.max(at_least)) + self.spacing;
        state.queue_end.duration_since(now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::v1alpha1::Provider, telemetry::Metrics};

    fn gate(requests_per_minute: u32, max_in_flight: u32) -> Gate {
        Gate::new(requests_per_minute, max_in_flight, Metrics::new().at(Provider::Arcus))
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
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(gate.ticket().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whose_no_it_was_is_told_apart() {
        let metrics = Metrics::new();
        let gate = Gate::new(60, 1, metrics.at(Provider::Arcus));
        while gate.ticket().is_ok() {}
        gate.close(Duration::from_secs(30));
        let closed = (gate.ticket(), gate.enter());
        assert!(closed.0.is_err() && closed.1.is_err());
        let said = metrics.text();
        for line in [r#"{provider="Arcus",by="budget"} 1"#, r#"{provider="Arcus",by="pause"} 2"#] {
            assert!(said.contains(&format!("tradewind_provider_throttled_requests_total{line}\n")), "{said}");
        }
    }
}
