//! The engine's clocks: wall time for stamps, the API server's clock for comparisons with what it stamped.
//!
//! The only place of the engine that reads the system's clock. Grace never uses it: it counts on [`tokio::time::Instant`],
//! which nobody can set back. A permit expires by whichever of the two is first.

use crate::provider::{Deadline, Wall};
use http::{Response, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Wall time, and how far the API server's clock is ahead of it.
#[derive(Clone)]
pub(super) struct Clock {
    wall: Wall,
    kube_ahead: Arc<AtomicI64>,
}

impl Default for Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl Clock {
    /// A clock that reads the wall time there.
    #[must_use]
    pub(super) fn new(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { wall: Arc::new(wall), kube_ahead: Arc::default() }
    }

    /// Wall time of this process.
    #[must_use]
    pub(super) fn now(&self) -> Timestamp {
        (self.wall)()
    }

    /// The moment so long from now, by the wall and by the monotonic clock.
    pub(super) fn deadline(&self, span: Duration) -> Deadline {
        Deadline::after(span, Arc::clone(&self.wall))
    }

    /// Takes note of an answer of the API server.
    pub(super) fn heard<B>(&self, answer: &Response<B>) {
        let date = answer.headers().get(header::DATE).and_then(|v| v.to_str().ok());
        if let Some(date) = date.and_then(|d| rfc2822::parse(d).ok()) {
            let ahead = date.timestamp().as_second() - self.now().as_second();
            self.kube_ahead.store(ahead, Ordering::Relaxed);
        }
    }

    /// A stamp of the API server, translated to a provider's clock that reads `provider_now` now.
    #[must_use]
    pub(super) fn translate(&self, stamped: Timestamp, provider_now: Timestamp) -> Timestamp {
        let kube_now = SignedDuration::from_secs(self.kube_ahead.load(Ordering::Relaxed));
        let kube_now = self.now().saturating_add(kube_now).unwrap_or(Timestamp::MAX);
        stamped.saturating_add(provider_now.duration_since(kube_now)).unwrap_or(stamped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_moved_by_the_difference_of_the_clocks() {
        let clock = Clock::default();
        let now = clock.now();
        let answer = |at: Timestamp| {
            let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).expect("a date");
            Response::builder().header(header::DATE, date).body(()).expect("an answer")
        };
        clock.heard(&answer(now + SignedDuration::from_secs(90)));
        // The provider's clock reads the same as ours; the API server's is 90 s ahead.
        let moved = clock.translate(now + SignedDuration::from_secs(90), now);
        assert!(moved.duration_since(now).abs() <= SignedDuration::from_secs(2), "{moved} {now}");
    }
}
