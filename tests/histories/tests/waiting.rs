//! An object that a person has to do something for, and nobody comes.

use std::time::Duration;

use tradewind_histories::{Flavour, Policy, Scenario, unattended};

#[test]
fn a_day_of_waiting_for_a_person_costs_no_write() {
    for flavour in [Flavour::RutterLink, Flavour::Arcus, Flavour::ArcusLink] {
        let vigil = unattended(Scenario { flavour, policy: Policy::Plain }, Duration::from_hours(24));
        assert_eq!(vigil.reason.as_deref(), Some("AuthorizationRequired"), "{flavour:?}: {vigil:?}");
        assert_eq!((vigil.kube_writes, vigil.calls), (0, 0), "{flavour:?}: {vigil:?}");
        assert!(vigil.requests > 24, "{flavour:?} was not looked at: {vigil:?}");
        // An object and its account, every five minutes, and no more than five requests for both.
        assert!(vigil.requests <= 24 * 12 * 5, "{flavour:?} was looked at too often: {vigil:?}");
    }
}
