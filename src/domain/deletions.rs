//! The guard over an account: how many deletions pass in a window of time, so that a mistake in a repository does not
//! take everything with it.

use super::{
    reason::{Problem, Reason},
    schedule,
};
use crate::api::v1alpha1::{DeletionGuard, Deletions};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::time::Duration;

/// What the guard says to one more deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It passes; this is what the account's status must say before it does.
    Pass(Deletions),
    /// It has to wait this long.
    Held(Duration),
}

/// What is wrong with a guard.
#[must_use]
pub fn objection(guard: &DeletionGuard) -> Option<Problem> {
    let is = match schedule::parse(&guard.window) {
        Ok(window) if !window.is_zero() => return None,
        Ok(_) => "is zero, and a window without a length never ends",
        Err(_) => "is no duration",
    };
    let text = format!("spec.deletionGuard.window {is}: write one such as 1h, or remove deletionGuard");
    Some(Problem::new(Reason::InvalidSpec, text))
}

/// The guard's ruling. A window whose length cannot be read, or is none, never ends: nothing passes beyond the number.
#[must_use]
pub fn rule(guard: &DeletionGuard, so_far: Option<&Deletions>, now: Timestamp) -> Ruling {
    let window =
        schedule::parse(&guard.window).ok().filter(|w| !w.is_zero()).and_then(|w| SignedDuration::try_from(w).ok());
    let end = |start: Timestamp| window.and_then(|window| start.checked_add(window).ok()).unwrap_or(Timestamp::MAX);
    // A window that begins ahead by less than its length is another operator's, whose clock is ahead: what it has let pass
    // counts. One that begins further ahead is none: a clock was set back.
    let has_begun = |start: Timestamp| start <= now || start < end(now);
    let open = so_far.filter(|d| has_begun(d.window_start.0) && now < end(d.window_start.0));
    let (start, count) = open.map_or((now, 0), |d| (d.window_start.0, d.count));
    if count >= i64::from(guard.max_deletions) {
        let rest = Duration::try_from(end(start).duration_since(now)).unwrap_or_default();
        return Ruling::Held(rest.clamp(Duration::from_secs(1), Duration::from_mins(10)));
    }
    let start = Timestamp::from_second(start.as_second()).unwrap_or(start);
    Ruling::Pass(Deletions { window_start: Time(start), count: count.saturating_add(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn guard(max_deletions: i32) -> DeletionGuard {
        DeletionGuard { max_deletions, window: "1h".into() }
    }

    fn window(start: i64, count: i64) -> Deletions {
        Deletions { window_start: Time(at(start)), count }
    }

    #[rstest]
    #[case::first(None, Ruling::Pass(window(7200, 1)))]
    #[case::second(Some(window(7000, 1)), Ruling::Pass(window(7000, 2)))]
    #[case::second_of_one_moment(Some(window(7200, 1)), Ruling::Pass(window(7200, 2)))]
    #[case::full(Some(window(7000, 2)), Ruling::Held(Duration::from_mins(10)))]
    #[case::nearly_over(Some(window(3610, 2)), Ruling::Held(Duration::from_secs(10)))]
    #[case::over(Some(window(3600, 2)), Ruling::Pass(window(7200, 1)))]
    #[case::of_a_clock_that_is_ahead(Some(window(7290, 1)), Ruling::Pass(window(7290, 2)))]
    #[case::full_by_a_clock_that_is_ahead(Some(window(7290, 2)), Ruling::Held(Duration::from_mins(10)))]
    #[case::from_the_future(Some(window(10_800, 2)), Ruling::Pass(window(7200, 1)))]
    fn so_many_pass_in_a_window(#[case] so_far: Option<Deletions>, #[case] expected: Ruling) {
        assert_eq!(rule(&guard(2), so_far.as_ref(), at(7200)), expected);
    }

    #[rstest]
    #[case::cannot_be_read("soon")]
    #[case::is_none("0s")]
    fn a_window_never_ends_that(#[case] length: &str) {
        let guard = DeletionGuard { max_deletions: 2, window: length.into() };
        let ruling = rule(&guard, Some(&window(0, 2)), at(1_000_000));
        assert_eq!(ruling, Ruling::Held(Duration::from_mins(10)));
    }

    #[rstest]
    #[case::an_hour("1h", None)]
    #[case::a_second("1s", None)]
    #[case::zero("0s", Some("is zero"))]
    #[case::zero_spelled_out("0h0m", Some("is zero"))]
    #[case::longer_than_time("99999999999999999999h", Some("is no duration"))]
    #[case::a_word("soon", Some("is no duration"))]
    fn a_window_has_a_length(#[case] window: &str, #[case] says: Option<&str>) {
        let problem = objection(&DeletionGuard { max_deletions: 1, window: window.into() });
        assert_eq!(problem.as_ref().map(|p| p.reason), says.map(|_| Reason::InvalidSpec));
        assert!(problem.is_none_or(|p| p.message.contains(says.unwrap_or_default())));
    }

    #[test]
    fn none_pass_where_none_may() {
        assert!(matches!(rule(&guard(0), None, at(0)), Ruling::Held(_)));
    }
}
