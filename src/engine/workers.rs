//! The workers of a controller, shared out: whoever waits for a provider that does not answer must not hold up all others.
//!
//! An account has a limit of its own, of half the workers at most. Two accounts of one namespace, or two at one endpoint, would
//! take all of them between them; and what waits for a worker is in no queue, so that it might wait for ever.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Those who are refused come back one after the other, this far apart.
const SPACING: Duration = Duration::from_millis(25);
/// Nobody is told to come back later than this.
const LONGEST_QUEUE: Duration = Duration::from_mins(1);

/// The workers of all controllers, each of which has as many.
#[derive(Debug)]
pub(super) struct Workers {
    half: u32,
    parties: Mutex<HashMap<Party, Share>>,
}

/// Of one controller, those whose passes count together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Party {
    Namespace(String, String),
    Endpoint(String, String),
}

#[derive(Debug, Default)]
struct Share {
    held: u32,
    /// The moment that the last one refused was told to come back at.
    queue_end: Option<Instant>,
}

/// A worker that is taken; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    workers: &'a Workers,
    parties: [Party; 2],
}

impl Workers {
    /// For controllers with so many workers each.
    pub(super) fn new(concurrency: u16) -> Self {
        Self { half: u32::from(concurrency / 2).max(1), parties: Mutex::default() }
    }

    /// A worker of this kind's controller, for a pass of this namespace at this endpoint.
    ///
    /// # Errors
    /// When to come back, where either has half of the workers.
    pub(super) fn enter(&self, kind: &str, namespace: &str, endpoint: &str) -> Result<Seat<'_>, Duration> {
        let (kind, now) = (kind.to_owned(), Instant::now());
        let parties =
            [Party::Namespace(kind.clone(), namespace.to_owned()), Party::Endpoint(kind, endpoint.to_owned())];
        let mut shares = self.shares();
        let is_full = |party: &&Party| shares.get(*party).is_some_and(|share| share.held >= self.half);
        if let Some(full) = parties.iter().find(is_full) {
            let share = shares.entry(full.clone()).or_default();
            let after_the_last = share.queue_end.map_or(now, |end| end.max(now)) + SPACING;
            let moment = after_the_last.min(now + LONGEST_QUEUE);
            share.queue_end = Some(moment);
            return Err(moment.duration_since(now));
        }
        for party in &parties {
            shares.entry(party.clone()).or_default().held += 1;
        }
        drop(shares);
        Ok(Seat { workers: self, parties })
    }

    fn shares(&self) -> MutexGuard<'_, HashMap<Party, Share>> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut shares = self.workers.shares();
        for party in &self.parties {
            if let Some(share) = shares.get_mut(party) {
                share.held -= 1;
            }
        }
        // Of those who hold none there is nothing to know: who waits knows its moment.
        shares.retain(|_, share| share.held > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const KIND: &str = "Connection";

    #[rstest]
    #[case::of_one_namespace("team-a", "one", "two")]
    #[case::at_one_endpoint("team-b", "one", "one")]
    #[tokio::test(start_paused = true)]
    async fn two_accounts_leave_half_of_the_workers_to_others(
        #[case] second: &str,
        #[case] its: &str,
        #[case] other: &str,
    ) {
        let workers = Workers::new(4);
        let first = workers.enter(KIND, "team-a", its).expect("a worker");
        let _second = workers.enter(KIND, second, other).expect("a worker");
        let refused = |result: Result<Seat<'_>, Duration>| result.err();
        assert_eq!(refused(workers.enter(KIND, second, its)), Some(SPACING));
        assert_eq!(refused(workers.enter(KIND, second, its)), Some(SPACING * 2), "not all at once");
        assert_eq!(refused(workers.enter(KIND, "team-c", "three")), None);
        assert_eq!(refused(workers.enter("IntegrationInstance", second, its)), None, "its workers are others");
        drop(first);
        assert_eq!(refused(workers.enter(KIND, second, its)), None);
    }

    #[test]
    fn one_worker_can_be_taken_by_anybody() {
        let workers = Workers::new(1);
        assert!(workers.enter(KIND, "team-a", "one").is_ok(), "given back at once");
        assert!(workers.enter(KIND, "team-a", "one").is_ok());
        assert!(workers.shares().is_empty(), "nobody is remembered who holds none");
    }
}
