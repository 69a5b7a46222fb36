//! The count of the writes of one operator, through both of its proxies in one order, and what is to happen at which.
//!
//! Owns the count and the plan. It must never know what a write means, and never lets one be counted twice.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::Method;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// On which side of a write something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Instead of it: it is never sent.
    Before,
    /// Once it is answered in whole; nobody gets the answer.
    After,
}

/// A kill at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// The number of the write, from 1; counted from the kill before, if there was one.
    pub at: u64,
    /// On which side of it.
    pub side: Side,
}

/// A write that has arrived.
#[derive(Clone, Debug)]
pub struct Write {
    /// Its method.
    pub method: Method,
    /// Its path, without the query, which may carry a token.
    pub path: String,
    /// Its body.
    pub body: Bytes,
    /// When the connection was accepted through which it came.
    pub since: Instant,
}

/// A write that is to be held up: the first of these.
pub struct Trap {
    /// Whether it is this one.
    pub is_it: fn(&Write) -> bool,
    /// Before it is sent, or once it is answered.
    pub side: Side,
}

/// A write that is held up.
#[derive(Debug)]
pub struct Held {
    /// Before it is sent, or once it is answered.
    pub side: Side,
    /// Tells that it is.
    pub caught: oneshot::Sender<()>,
    /// Ends when it may go on.
    pub release: oneshot::Receiver<()>,
}

/// Both ends of a trap, for whoever set it.
#[derive(Debug)]
pub struct Snare {
    /// Ends when the write is held.
    pub caught: oneshot::Receiver<()>,
    /// Lets it go on.
    pub release: oneshot::Sender<()>,
}

/// What is to happen at a write.
#[derive(Debug)]
pub enum Order {
    /// Nothing.
    Pass,
    /// The operator is killed.
    Kill(Side),
    /// It waits.
    Hold(Held),
}

/// See the module.
#[derive(Default)]
pub struct Tap(Mutex<State>);

#[derive(Default)]
struct State {
    count: u64,
    since: u64,
    planned: usize,
    plan: VecDeque<Strike>,
    trap: Option<(Trap, Held)>,
    log: Vec<String>,
    writes: Vec<Write>,
}

impl Tap {
    /// Kills that are to come, in their order.
    #[must_use]
    pub fn with(plan: &[Strike]) -> Self {
        Self(Mutex::new(State { planned: plan.len(), plan: plan.iter().copied().collect(), ..State::default() }))
    }

    /// Holds up the first write like this.
    pub fn set(&self, trap: Trap) -> Snare {
        let (caught, is_caught) = oneshot::channel();
        let (release, is_released) = oneshot::channel();
        let held = Held { side: trap.side, caught, release: is_released };
        self.state(|state| state.trap = Some((trap, held)));
        Snare { caught: is_caught, release }
    }

    /// Counts a write, and says what is to happen.
    pub fn order(&self, write: &Write) -> Order {
        self.state(|state| {
            state.count += 1;
            state.since += 1;
            state.log.push(format!("{:>3} {} {}", state.count, write.method, write.path));
            state.writes.push(write.clone());
            if let Some((_, held)) = state.trap.take_if(|(trap, _)| (trap.is_it)(write)) {
                return Order::Hold(held);
            }
            match state.plan.front().copied() {
                Some(strike) if strike.at == state.since => {
                    state.plan.pop_front();
                    state.since = 0;
                    state.log.push(format!("    killed {:?}", strike.side).to_lowercase());
                    Order::Kill(strike.side)
                }
                _ => Order::Pass,
            }
        })
    }

    /// Writes so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state(|state| state.count)
    }

    /// Kills that were planned.
    #[must_use]
    pub fn planned(&self) -> usize {
        self.state(|state| state.planned)
    }

    /// Kills whose write has arrived.
    #[must_use]
    pub fn ordered(&self) -> usize {
        self.state(|state| state.planned.saturating_sub(state.plan.len()))
    }

    /// Every write so far.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.state(|state| state.writes.clone())
    }

    /// Every write so far, and the kills among them, a line each.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.state(|state| state.log.clone())
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &str) -> Write {
        Write { method: Method::POST, path: path.to_owned(), body: Bytes::new(), since: Instant::now() }
    }

    #[test]
    fn kills_come_at_their_writes_and_are_counted_from_one_another() {
        let plan = [Strike { at: 2, side: Side::Before }, Strike { at: 1, side: Side::After }];
        let tap = Tap::with(&plan);
        let orders: Vec<_> = (0..4).map(|_| format!("{:?}", tap.order(&write("/a")))).collect();
        assert_eq!(orders, ["Pass", "Kill(Before)", "Kill(After)", "Pass"]);
        assert_eq!((tap.count(), tap.planned(), tap.ordered(), tap.writes().len()), (4, 2, 2, 4));
    }

    #[test]
    fn a_kill_is_ordered_when_its_write_has_arrived() {
        let tap = Tap::with(&[Strike { at: 2, side: Side::After }]);
        let ordered = [(); 2].map(|()| {
            tap.order(&write("/a"));
            tap.ordered()
        });
        assert_eq!(ordered, [0, 1]);
    }

    #[test]
    fn a_trap_holds_one_write_and_no_other() {
        let tap = Tap::default();
        let _snare = tap.set(Trap { is_it: |write| write.path == "/b", side: Side::Before });
        assert!(matches!(tap.order(&write("/a")), Order::Pass));
        assert!(matches!(tap.order(&write("/b")), Order::Hold(_)));
        assert!(matches!(tap.order(&write("/b")), Order::Pass));
    }
}
