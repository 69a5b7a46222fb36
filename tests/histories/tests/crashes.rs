//! The short form of `make histories`: a crash at every point of the life of an object, at every provider.

use tradewind_histories::{Event, FLAVOURS, Policy, Scenario, Site, explore, tell};

/// Every provider, with the default policies.
fn plain() -> Vec<Scenario> {
    FLAVOURS.iter().map(|flavour| Scenario { flavour: *flavour, policy: Policy::Plain }).collect()
}

#[test]
fn a_crash_at_any_point_ends_as_if_there_had_been_none() {
    let report = explore(&plain(), &[Event::CrashBefore, Event::CrashAfter], 2);
    assert!(report.histories > 300, "only {} histories: the crashes are not where they should be", report.histories);
    assert_eq!(report.bad, 0, "{:#?}", report.found);
}

#[test]
fn a_history_is_the_same_when_it_is_told_again() {
    for scenario in plain() {
        let script = [(30, Event::CrashAfter)];
        let (one, other) = (tell(scenario, &script), tell(scenario, &script));
        assert!(one.points.len() > 50 && one.blames.is_empty(), "{scenario}: {:?}", one.blames);
        // Watches that end at the same moment are opened again in any order.
        let lines = |points: &[Site]| {
            let opened = |line: &String| line.starts_with("GET /") && line.matches('/').count() == 1;
            points.iter().map(ToString::to_string).filter(|line| !opened(line)).collect::<Vec<_>>()
        };
        assert_eq!(lines(&one.points), lines(&other.points), "{scenario}");
    }
}
