//! Times as people read them: how long ago, and how long until then. Owns the command line's clock.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Wall time.
#[expect(clippy::disallowed_methods, reason = "the one place of the command line that reads the clock")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// How long something has lasted, in its largest unit, as kubectl prints ages.
pub(super) fn since(then: &Time, now: Timestamp) -> String {
    let seconds = now.duration_since(then.0).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long it is until then, in its largest unit, as people say it.
pub(super) fn until(then: Timestamp, now: Timestamp) -> String {
    let seconds = then.duration_since(now).as_secs().max(0);
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::clocks_that_differ(-5, "0s")]
    #[case::seconds(119, "119s")]
    #[case::minutes(120, "2m")]
    #[case::hours(7_200, "2h")]
    #[case::days(172_800, "2d")]
    fn ages(#[case] seconds: i64, #[case] text: &str) {
        let at = |s| Timestamp::from_second(s).expect("a time");
        assert_eq!(since(&Time(at(1_000_000)), at(1_000_000 + seconds)), text);
    }
    #[rstest]
    #[case::over(-5, "0 seconds")]
    #[case::one(1, "1 second")]
    #[case::minutes(450, "7 minutes")]
    #[case::hours(7_200, "2 hours")]
    #[case::days(604_800, "7 days")]
    fn times_to_come(#[case] seconds: i64, #[case] text: &str) {
        let at = |s| Timestamp::from_second(s).expect("a time");
        assert_eq!(until(at(1_000_000 + seconds), at(1_000_000)), text);
    }
}
