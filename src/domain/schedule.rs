//! When to look again: pure functions of intervals and identities, so that a restart changes nothing.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The longest delay between two attempts at something that failed.
const LONGEST: Duration = Duration::from_mins(10);
/// The shortest one.
const SHORTEST: Duration = Duration::from_secs(5);

/// A duration as the API spells it (`10m`, `1h30m`, `0s`).
///
/// # Errors
/// The text where it is none.
pub fn parse(text: &str) -> Result<Duration, String> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    parsed.and_then(|d| Duration::try_from(d).ok()).ok_or_else(|| format!("{text:?} is no duration such as 10m"))
}

/// The delay after a failure: as long as the failure has lasted, within bounds, jittered by who asks.
#[must_use]
pub fn backoff(failing_for: Duration, seed: &str) -> Duration {
    let base = failing_for.clamp(SHORTEST, LONGEST);
    base.mul_f64(0.9 + 0.2 * spread(seed))
}

/// Time until the next drift check.
///
/// The checks of all objects of one account fall together, spread over a tenth of the interval, so that they share
/// the account's lists.
#[must_use]
pub fn next_check(now: Timestamp, interval: Duration, account: &str, uid: &str) -> Duration {
    let period = interval.as_secs_f64();
    if period <= 0.0 {
        return LONGEST;
    }
    let phase = spread(account).mul_add(period, spread(uid) * period * 0.1);
    let into = (now.as_duration().as_secs_f64() - phase).rem_euclid(period);
    Duration::from_secs_f64((period - into).max(0.5))
}

/// A number in [0, 1) that depends on the text alone (FNV-1a, so that it is the same in every build).
fn spread(text: &str) -> f64 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    f64::from(hash) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_as_the_api_spells_them() {
        assert_eq!(parse("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        assert!(parse("soon").is_err() && parse("-5m").is_err());
    }

    proptest! {
        #[test]
        fn a_delay_stays_within_its_bounds(secs in 0u64..100_000, seed in ".{0,12}") {
            let delay = backoff(Duration::from_secs(secs), &seed);
            prop_assert!(delay >= SHORTEST.mul_f64(0.9) && delay <= LONGEST.mul_f64(1.1));
        }

        #[test]
        fn checks_of_one_account_fall_together(now in 0i64..4_000_000_000, secs in 10u64..7200, a in "[a-z]{4}", b in "[a-z]{4}") {
            let now = Timestamp::from_second(now).expect("a time");
            let interval = Duration::from_secs(secs);
            let (x, y) = (next_check(now, interval, "acct", &a), next_check(now, interval, "acct", &b));
            prop_assert!(x <= interval + Duration::from_secs(1) && y <= interval + Duration::from_secs(1));
            let apart = x.abs_diff(y);
            let around = interval.abs_diff(apart);
            prop_assert!(apart.min(around) <= interval.mul_f64(0.1) + Duration::from_secs(1));
        }
    }
}
