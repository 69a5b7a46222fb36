//! The clock of a simulator.
//!
//! Owns what "now" is and how to wait for later. The pure core never reads it: it is handed a timestamp. Everything
//! else in this crate must ask here, so that a test that holds the clock holds all of the provider's time.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

/// Where a simulator reads the time and waits for it to pass.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Ticking { epoch: Timestamp, origin: Instant },
    Manual(watch::Receiver<Timestamp>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn real() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// A clock that shows `epoch` now and then follows tokio's time.
    ///
    /// Under `tokio::time::pause` it stands still with it, and `tokio::time::advance` moves it.
    #[must_use]
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self(Kind::Ticking { epoch, origin: Instant::now() })
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::Ticking { epoch, origin } => later(*epoch, origin.elapsed()),
            Kind::Manual(now) => *now.borrow(),
        }
    }

    /// Waits until the clock shows `due`.
    ///
    /// A time and not a delay: a delay would begin when the waiting task first runs, and a test may move the clock
    /// before that.
    pub(crate) async fn sleep_until(&self, due: Timestamp) {
        match &self.0 {
            Kind::Ticking { .. } => {
                let delay = between(self.now(), due);
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
            }
            Kind::Manual(now) => {
                // An error means that nobody can move the clock any more: waiting on would be for ever.
                let _ = now.clone().wait_for(|shown| *shown >= due).await;
            }
        }
    }
}

/// A clock that only moves when it is told to.
#[derive(Clone, Debug)]
pub struct ManualClock(watch::Sender<Timestamp>);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self(watch::Sender::new(start))
    }

    /// The side of it that a simulator reads.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Kind::Manual(self.0.subscribe()))
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    /// Moves the clock forward and wakes whoever waits for that time.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = later(*now, by));
    }
}

/// `at` plus `delay`, or the end of time.
pub(crate) fn later(at: Timestamp, delay: Duration) -> Timestamp {
    at.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// `at` minus `span`, or the beginning of time.
pub(crate) fn earlier(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// How much time lies between the two; nothing if `until` comes first.
pub(crate) fn between(since: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(since)).unwrap_or_default()
}
