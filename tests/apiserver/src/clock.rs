//! The server's clock: what it stamps objects and answers with.
//!
//! It follows tokio's time, so a test that holds that holds this. It may be ahead of everybody else's.

use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimePrinter};
use tokio::time::Instant;

/// See the module.
#[derive(Clone, Debug)]
pub struct Clock {
    epoch: Timestamp,
    origin: Instant,
}

impl Clock {
    /// A clock that shows `epoch` now.
    #[must_use]
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self { epoch, origin: Instant::now() }
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.origin.elapsed()).unwrap_or(SignedDuration::MAX);
        self.epoch.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// As objects are stamped: whole seconds.
    pub(crate) fn stamp(&self) -> String {
        let now = self.now();
        Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
    }

    /// As answers are dated.
    pub(crate) fn date(&self) -> String {
        DateTimePrinter::new().timestamp_to_rfc9110_string(&self.now()).unwrap_or_default()
    }
}
