//! The short form of `make histories`: a crash, a stop and an API server that fails once, at every point of the life of an object,
//! at every provider.

use tradewind_histories::{Event, FLAVOURS, Pairs, Plan, Policy, Scenario, Share, explore, pairs, tell};

/// Every provider, with the default policies.
fn plain() -> Vec<Scenario> {
    FLAVOURS.iter().map(|flavour| Scenario { flavour: *flavour, policy: Policy::Plain }).collect()
}

#[test]
fn what_fails_once_at_any_point_ends_as_if_it_had_not() {
    let events = vec![Event::CrashBefore, Event::CrashAfter, Event::Stop, Event::KubeDown];
    let report = explore(&Plan::every(plain(), events));
    assert!(report.histories > 900, "only {} histories: the crashes are not where they should be", report.histories);
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
