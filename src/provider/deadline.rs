//! Until when a permit may be used, by two clocks.

use jiff::{SignedDuration, Timestamp};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// What tells the wall time.
pub(crate) type Wall = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A moment that has come as soon as one of two clocks says so. The monotonic clock stands still while the machine is suspended, and
/// another process may have drawn its conclusions meanwhile; the wall clock can be set back.
#[derive(Clone)]
pub(crate) struct Deadline {
    tick: Instant,
    at: Timestamp,
    wall: Wall,
}

impl Deadline {
    /// So long from now.
    pub(crate) fn after(span: Duration, wall: Wall) -> Self {
        let at = SignedDuration::try_from(span).ok().and_then(|span| wall().checked_add(span).ok());
        Self { tick: Instant::now() + span, at: at.unwrap_or(Timestamp::MAX), wall }
    }

    /// The wall time now.
    pub(crate) fn now(&self) -> Timestamp {
        (self.wall)()
    }

    /// Whether it has come.
    pub(crate) fn is_past(&self) -> bool {
        Instant::now() >= self.tick || (self.wall)() >= self.at
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// A wall clock that is set by hand.
    fn wall() -> (Arc<AtomicI64>, Wall) {
        let seconds = Arc::new(AtomicI64::new(1000));
        let read = Arc::clone(&seconds);
        (seconds, Arc::new(move || Timestamp::from_second(read.load(Ordering::Relaxed)).expect("a time")))
    }

    #[tokio::test(start_paused = true)]
    async fn it_comes_although_the_wall_clock_was_set_back() {
        let (seconds, wall) = wall();
        let deadline = Deadline::after(Duration::from_secs(15), wall);
        seconds.store(0, Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(14)).await;
        assert!(!deadline.is_past());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(deadline.is_past());
    }

    #[tokio::test(start_paused = true)]
    async fn it_comes_although_the_machine_was_suspended_and_the_monotonic_clock_with_it() {
        let (seconds, wall) = wall();
        let deadline = Deadline::after(Duration::from_secs(15), wall);
        seconds.store(1014, Ordering::Relaxed);
        assert!(!deadline.is_past());
        seconds.store(1015, Ordering::Relaxed);
        assert!(deadline.is_past());
    }
}
