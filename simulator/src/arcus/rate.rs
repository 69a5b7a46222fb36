//! How often a key may be used.
//!
//! Arcus' page on rate limits: a sliding window per key, in the mode of a test 60 in a minute and 10 in a second, live
//! 300 and 50; three headers on every response, `Retry-After` on 429.

use std::collections::VecDeque;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::{between, earlier, later};
use crate::state::insert;

const MINUTE: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);

/// So many requests in any minute, and in any second of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many in a minute.
    pub per_minute: usize,
    /// How many in a second.
    pub per_second: usize,
}

/// When a key was used, as far back as its rate looks.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Timestamp>);

impl Window {
    /// Counts one more if it fits in; otherwise in how many seconds one does. A refused request does not count.
    pub(super) fn admit(&mut self, now: Timestamp, rate: Rate) -> Result<(), u64> {
        self.forget(now);
        let in_minute = self.0.len();
        let second = earlier(now, SECOND);
        let in_second = self.0.iter().rev().take_while(|call| **call > second).count();
        let minute_full = in_minute >= rate.per_minute;
        let second_full = in_second >= rate.per_second;
        if !minute_full && !second_full {
            self.0.push_back(now);
            return Ok(());
        }
        let first = if minute_full { self.0.front() } else { self.0.get(in_minute - in_second) };
        let span = if minute_full { MINUTE } else { SECOND };
        let wait = first.map_or(span, |first| between(now, later(*first, span)));
        Err(u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1))
    }

    /// Puts the three headers on an answer. `Reset` is when the window has room again or more room (*inferred*).
    pub(super) fn stamp(&mut self, now: Timestamp, rate: Rate, headers: &mut HeaderMap) {
        self.forget(now);
        let reset = self.0.front().map_or(now, |first| later(*first, MINUTE));
        insert(headers, "x-ratelimit-limit", &rate.per_minute.to_string());
        insert(headers, "x-ratelimit-remaining", &rate.per_minute.saturating_sub(self.0.len()).to_string());
        insert(headers, "x-ratelimit-reset", &reset.as_second().to_string());
    }

    fn forget(&mut self, now: Timestamp) {
        let since = earlier(now, MINUTE);
        while self.0.front().is_some_and(|call| *call <= since) {
            self.0.pop_front();
        }
    }
}
