//! The short form of `make histories`: a crash and a stop at every point of the life of an object, at every provider.

use tradewind_histories::{Event, FLAVOURS, Pairs, Plan, Policy, Scenario, Share, explore, pairs, tell};

/// Every provider, with the default policies.
fn plain() -> Vec<Scenario> {
    FLAVOURS.iter().map(|flavour| Scenario { flavour: *flavour, policy: Policy::Plain }).collect()
}

#[test]
fn a_crash_or_a_stop_at_any_point_ends_as_if_there_had_been_none() {
    let report = explore(&Plan::every(plain(), vec![Event::CrashBefore, Event::CrashAfter, Event::Stop]));
    assert!(report.histories > 450, "only {} histories: the crashes are not where they should be", report.histories);
    assert_eq!(report.bad, 0, "{:#?}", report.found);
}

#[test]
fn a_history_is_the_same_when_it_is_told_again() {
    let twins = FLAVOURS.iter().map(|flavour| Scenario { flavour: *flavour, policy: Policy::Twins });
    for scenario in plain().into_iter().chain(twins) {
        for event in [Event::CrashAfter, Event::SecondObject, Event::WatchLost, Event::KubeOut] {
            let script = [(30, event)];
            let lines = || tell(scenario, &script).points.iter().map(ToString::to_string).collect::<Vec<_>>();
            let (one, other) = (lines(), lines());
            assert!(one.len() > 50, "{scenario}: {one:?}");
            assert_eq!(one, other, "{scenario}");
        }
    }
}

#[test]
fn the_shares_of_all_pairs_are_all_of_them() {
    let scenarios: Vec<Scenario> = plain().into_iter().take(1).collect();
    let lived = |number, of| {
        let (scenarios, events) = (scenarios.clone(), vec![Event::CrashAfter, Event::Delete]);
        pairs(&Pairs { scenarios, events, anywhere: false, share: Share { number, of }, threads: 2 }).histories
    };
    let (whole, parts) = (lived(1, 1), [lived(1, 3), lived(2, 3), lived(3, 3)]);
    assert!(parts.iter().all(|part| *part > 0), "{parts:?}");
    assert_eq!(parts.iter().sum::<usize>(), whole);
}
