//! The request for a look, by whichever annotation it came.

use super::text::token;
use crate::api::keys;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The value that asks, as far as status can hold it; of both annotations the later one. Values are stamps of whoever asks:
/// RFC 3339, of any offset, or seconds since 1970. One that is neither is older than any that is.
#[must_use]
pub fn latest(annotations: &BTreeMap<String, String>) -> Option<&str> {
    let values = [keys::RECONCILE, keys::RECONCILE_FLUX].into_iter().filter_map(|key| annotations.get(key));
    values.map(|value| token(value)).max_by_key(|value| (at(value), *value))
}

/// The time of a value that asks; `None` where it is no time.
#[must_use]
pub fn at(value: &str) -> Option<Timestamp> {
    let seconds = || Timestamp::from_second(value.parse().ok()?).ok();
    value.parse().ok().or_else(seconds)
}

#[cfg(test)]
mod tests {
    use super::{super::text::MAX_TOKEN, *};
    use rstest::rstest;

    fn annotations<const N: usize>(all: [(&str, &str); N]) -> BTreeMap<String, String> {
        all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[rstest]
    #[case::of_one_zone("2026-01-05T08:00:00Z", "2026-01-05T09:00:00Z")]
    #[case::of_two_zones("2026-01-05T10:00:00+02:00", "2026-01-05T09:00:00Z")]
    #[case::in_parts_of_seconds("2026-01-05T09:00:00.25Z", "2026-01-05T09:00:00.5+00:00")]
    #[case::in_seconds_since_1970("2026-01-05T09:00:00Z", "1767603601")]
    #[case::of_which_one_is_no_time("once more", "2026-01-05T09:00:00Z")]
    #[case::of_which_none_is_a_time("first", "second")]
    fn the_later_of_two_counts(#[case] earlier: &str, #[case] later: &str) {
        for (ours, theirs) in [(earlier, later), (later, earlier)] {
            assert_eq!(latest(&annotations([(keys::RECONCILE, ours), (keys::RECONCILE_FLUX, theirs)])), Some(later));
        }
    }

    #[test]
    fn what_a_status_cannot_hold_is_cut() {
        let long = annotations([(keys::RECONCILE, "ä".repeat(1000).as_str())]);
        assert_eq!(latest(&long).map(|value| value.chars().count()), Some(MAX_TOKEN));
    }

    #[test]
    fn who_does_not_ask_has_no_value() {
        assert_eq!(latest(&annotations([(keys::REFRESH, "2026-01-05T09:00:00Z")])), None);
    }
}
