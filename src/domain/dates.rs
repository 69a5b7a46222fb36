//! Days as the API spells them, and whether a first day of a load makes sense today.

use super::reason::{Problem, Reason};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

/// A day, `YYYY-MM-DD`. `field`: its path in the object.
///
/// # Errors
/// `InvalidSpec` where the calendar has no such day.
pub fn day(field: &str, text: &str) -> Result<Date, Problem> {
    text.parse::<Date>().ok().filter(|day| day.to_string() == text).ok_or_else(|| {
        Problem::new(Reason::InvalidSpec, format!("{field} is no day of the calendar: write YYYY-MM-DD"))
    })
}

/// The day of a moment. A day ahead of it may have begun somewhere on earth.
#[must_use]
pub fn today(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// What is wrong with a first day. `years`: how far back the provider loads, from that day until today.
#[must_use]
pub fn untimely(field: &str, first: Date, today: Date, years: Option<i32>) -> Option<Problem> {
    let says = |what: String| Some(Problem::new(Reason::InvalidSpec, format!("{field} {what}")));
    // A load that ends before it begins is refused for good. For all else half a day at most lies between us and where the day
    // has begun: a day is enough.
    let latest = if years.is_some() { today } else { today.checked_add(1.day()).unwrap_or(today) };
    if first > latest {
        return says("lies in the future: write a day that has begun, in UTC, or wait for it".to_owned());
    }
    let oldest = |years: i32| today.checked_sub(years.years()).unwrap_or(Date::MIN);
    match years {
        Some(years) if first < oldest(years) => {
            says(format!("lies more than {years} years back, and the provider loads no more: write a later day"))
        }
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use rstest::rstest;

    #[rstest]
    #[case::no_such_day("2025-02-30")]
    #[case::no_zero("2025-1-1")]
    #[case::a_time("2025-01-01T00:00:00")]
    #[case::nothing("")]
    fn what_is_no_day_is_refused(#[case] text: &str) {
        let problem = day("spec.x", text).expect_err("no day");
        assert!(problem.message.starts_with("spec.x is no day"), "{}", problem.message);
    }

    #[rstest]
    #[case::today(date(2026, 11, 25), None)]
    #[case::tomorrow_here(date(2026, 11, 26), Some("lies in the future"))]
    #[case::five_years(date(2021, 11, 25), None)]
    #[case::more(date(2021, 11, 24), Some("more than 5 years back"))]
    fn a_first_day_is_in_reach(#[case] first: Date, #[case] says: Option<&str>) {
        let problem = untimely("spec.x", first, date(2026, 11, 25), Some(5));
        assert_eq!(problem.is_some(), says.is_some());
        assert!(problem.is_none_or(|p| p.message.contains(says.unwrap_or_default())));
    }

    #[test]
    fn a_day_is_spelled_in_one_way() {
        assert_eq!(day("spec.x", "2025-02-28"), Ok(date(2025, 2, 28)));
        let late: Timestamp = "2026-11-25T23:59:59Z".parse().expect("a time");
        assert_eq!(today(late), date(2026, 11, 25));
    }

    #[test]
    fn without_a_limit_any_past_will_do_and_what_has_begun_somewhere() {
        let says = |first| untimely("spec.x", first, date(2026, 11, 25), None).map(|problem| problem.message);
        assert_eq!((says(date(1999, 1, 1)), says(date(2026, 11, 26))), (None, None));
        assert!(says(date(2026, 11, 27)).is_some_and(|text| text.contains("lies in the future")));
    }
}
