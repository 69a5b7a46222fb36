//! Histories: the life of one declared object with the real engine, an API server and providers in memory, and simulated
//! time, in which one, two or more things go wrong, at every point where something can.
//!
//! A point is a request of an operator: before it and after its effect. What must be true at the end of each history is in
//! `judge.rs`; nothing else is asserted anywhere.

mod event;
mod explore;
mod flavour;
mod judge;
mod ledger;
mod life;
mod loads;
mod mending;
mod outside;
mod pairs;
mod people;
mod scenario;
mod site;
mod tap;
mod truth;
#[cfg(test)]
mod valid;
mod well;
mod world;

pub use event::Event;
pub use explore::{Found, Plan, Report, Script, describe, explore, tell, unattended};
pub use flavour::{FLAVOURS, Flavour};
pub use life::{Outcome, Vigil};
pub use pairs::{Pairs, Share, pairs};
pub use scenario::{POLICIES, Policy, Scenario, all};
pub use site::Site;
