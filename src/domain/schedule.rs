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

/// The delay after so many failures in a row, for what no condition tells the beginning of.
#[must_use]
pub fn doubled(first: Duration, before: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(before)).min(LONGEST)
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

    /// Of FNV-1a's published vectors: `""`, `"a"` and `"foobar"`.
    const VECTORS: [(&str, u32); 3] = [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)];

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn a_text_is_spread_alike_in_every_build() {
        for (text, hash) in VECTORS {
            // To the bit: a division by a power of two is exact.
            assert_eq!(spread(text).to_bits(), (f64::from(hash) / 4_294_967_296.0).to_bits(), "{text:?}");
        }
    }

    #[test]
    fn a_delay_doubles_up_to_the_longest() {
        let delays = [0, 1, 4, 5, u32::MAX].map(|before| doubled(Duration::from_secs(30), before).as_secs());
        assert_eq!(delays, [30, 60, 480, 600, 600]);
    }

    #[test]
    fn a_delay_is_as_long_as_the_failure_has_lasted_give_or_take_a_tenth() {
        for (seed, hash) in VECTORS {
            let share = f64::from(hash) / 4_294_967_296.0;
            let delay = backoff(Duration::from_secs(100), seed).as_secs_f64();
            assert!(close(delay, 90.0 + 20.0 * share), "{seed:?}: {delay}");
        }
    }

    #[test]
    fn the_check_of_an_object_comes_at_its_place_in_the_interval_of_its_account() {
        let interval = Duration::from_secs(1000);
        // The account "a" has its checks at 0.8908 of the interval, and of its objects "" is half through the tenth.
        let place = 1000.0 * (f64::from(0xe40c_292c_u32) + 0.1 * f64::from(0x811c_9dc5_u32)) / 4_294_967_296.0;
        for (now, next) in [(0, place), (900, place - 900.0), (1000, place), (942, place + 1000.0 - 942.0)] {
            let got = next_check(Timestamp::from_second(now).expect("a time"), interval, "a", "");
            assert!(close(got.as_secs_f64(), next), "{now}: {got:?}");
        }
    }

    #[test]
    fn without_an_interval_it_is_looked_at_seldom() {
        assert_eq!(next_check(Timestamp::UNIX_EPOCH, Duration::ZERO, "a", "b"), Duration::from_mins(10));
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
