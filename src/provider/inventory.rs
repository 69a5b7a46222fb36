//! One list for many: an account-wide list that is read once and shared by every pass that it is new enough for.

use super::{ApiError, Freshness};
use std::{
    future::Future,
    sync::{Arc, MutexGuard, PoisonError},
};
use tokio::{sync::Mutex, time::Instant};

/// A list as it was read.
#[derive(Debug)]
pub(super) struct Snapshot<R> {
    /// When the reading began; nothing later than this is certain to be in it.
    pub(super) began: Instant,
    /// The rows.
    pub(super) rows: R,
}

/// A shared list.
///
/// # Guarantees
/// At most one reading is under way. Whoever waited for it shares the next one if that began after the moment they
/// ask for; a failure is shared the same way, so that a provider that is down is asked once, not once a waiter.
#[derive(Debug)]
pub(super) struct Inventory<R> {
    last: Mutex<Option<Reading<R>>>,
    /// The last one that came to its end: beside the lock, which is held for as long as a reading takes.
    whole: std::sync::Mutex<Option<Arc<Snapshot<R>>>>,
}

/// When a reading began, and what came of it.
type Reading<R> = (Instant, Result<Arc<Snapshot<R>>, ApiError>);

impl<R> Default for Inventory<R> {
    fn default() -> Self {
        Self { last: Mutex::default(), whole: std::sync::Mutex::default() }
    }
}

impl<R> Inventory<R> {
    /// A list that is new enough, read with `load` if none is at hand.
    ///
    /// # Errors
    /// The failure of the reading, its own or a shared one.
    pub(super) async fn get<F, Fut>(&self, freshness: Freshness, load: F) -> Result<Arc<Snapshot<R>>, ApiError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, ApiError>>,
    {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        match last.as_ref() {
            Some((began, Ok(snapshot))) if fresh(*began, freshness) => return Ok(Arc::clone(snapshot)),
            Some((began, Err(error))) if *began >= asked => return Err(error.clone()),
            Some(_) | None => {}
        }
        let began = Instant::now();
        let read = load().await.map(|rows| Arc::new(Snapshot { began, rows }));
        *last = Some((began, read.clone()));
        if let Ok(snapshot) = &read {
            *self.whole() = Some(Arc::clone(snapshot));
        }
        read
    }

    /// The last list that was read, however old. Waits for none that is under way: a permit runs out meanwhile.
    pub(super) fn last(&self) -> Option<Arc<Snapshot<R>>> {
        self.whole().clone()
    }

    fn whole(&self) -> MutexGuard<'_, Option<Arc<Snapshot<R>>>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fresh(began: Instant, freshness: Freshness) -> bool {
    match freshness {
        Freshness::After(moment) => began >= moment,
        Freshness::Within(age) => began.elapsed() <= age,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "time is paused: sleeping is how a reading takes long")]
mod tests {
    use super::*;
    use crate::provider::Operation;
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    async fn read(inventory: &Inventory<u32>, freshness: Freshness, reads: &AtomicU32) -> Result<u32, ApiError> {
        let load = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(reads.fetch_add(1, Ordering::SeqCst) + 1)
        };
        inventory.get(freshness, load).await.map(|s| s.rows)
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_during_a_reading_share_the_next_one() {
        let (inventory, reads) = (Inventory::default(), AtomicU32::new(0));
        let now = || Freshness::After(Instant::now());
        let first = read(&inventory, now(), &reads);
        let late = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            futures::future::join_all((0..8).map(|_| read(&inventory, now(), &reads))).await
        };
        let (first, late) = tokio::join!(first, late);
        assert_eq!(first, Ok(1));
        assert!(late.iter().all(|r| *r == Ok(2)), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_list_serves_whom_it_is_new_enough_for() {
        let (inventory, reads) = (Inventory::default(), AtomicU32::new(0));
        let within = Freshness::Within(Duration::from_mins(1));
        assert_eq!(read(&inventory, within, &reads).await, Ok(1));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(read(&inventory, within, &reads).await, Ok(1));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(read(&inventory, within, &reads).await, Ok(2));
        assert_eq!(read(&inventory, Freshness::After(Instant::now()), &reads).await, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_the_last_list_does_not_wait_for_the_next_one() {
        let (inventory, reads) = (Inventory::default(), AtomicU32::new(0));
        let now = || Freshness::After(Instant::now());
        assert_eq!(read(&inventory, now(), &reads).await, Ok(1));
        let last = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            inventory.last().map(|snapshot| snapshot.rows)
        };
        let both = async { tokio::join!(read(&inventory, now(), &reads), last) };
        assert_eq!(both.await, (Ok(2), Some(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_with_those_who_waited_for_it() {
        let (inventory, reads) = (Inventory::<u32>::default(), AtomicU32::new(0));
        let fail = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            reads.fetch_add(1, Ordering::SeqCst);
            Err(ApiError::unreadable(Operation::List, None))
        };
        let all = (0..8).map(|_| inventory.get(Freshness::After(Instant::now()), fail));
        let got = futures::future::join_all(all).await;
        assert!(got.iter().all(Result::is_err));
        assert!(reads.load(Ordering::SeqCst) <= 2, "at most the one under way and the one after it");
    }
}
