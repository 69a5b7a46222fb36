//! What this process remembers of objects; losing it costs time, never correctness.

use serde::Serialize;
use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A cache that does not show a write by then most likely shows that there was none: watches are opened again sooner.
pub(super) const SHOWN: Duration = Duration::from_secs(15);
/// Every watch has ended and begun with a list by then: one that still shows what is older than our own write shows what a
/// restored etcd knows.
const TRUSTED: Duration = Duration::from_mins(10);

/// So many attempts of an object are remembered of which nothing comes: one is stored at most, and it is among the last ones.
const NOTHING: usize = 4;

/// The memory of one process.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<String, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    /// When an attempt (by nonce) or an id was first seen here.
    first_saw: Option<(String, Instant)>,
    /// Attempts (by nonce) that this process began itself, and of which it knows that nothing comes.
    nothing: VecDeque<String>,
    /// Since when the record is missing in every list that this process read.
    absent_since: Option<Instant>,
    /// Failures in a row.
    failures: u32,
    /// Passes in a row that its account had nothing to say to.
    undecided: u32,
    /// The account's guard has counted its deletion.
    counted: bool,
    /// Version of our last write, and when it was: an older one from a cache is what we ourselves have overwritten.
    written: Option<(u64, Instant)>,
    /// When our finalizer may have been taken off it, and the version that it was taken off of.
    let_go: Option<(Instant, Option<u64>)>,
    /// What our last status said, as a digest.
    said: Option<u64>,
    /// It has not been Ready since it was created, all of which this process has seen.
    unborn: bool,
    /// Its record was found to differ, and has not been as declared since.
    differs: bool,
    /// How often in a row the provider has put a refresh off.
    put_off: u32,
    /// Since when its creates have all been refused because the name was taken.
    taken_since: Option<Instant>,
}

impl Memory {
    fn with<T>(&self, uid: &str, f: impl FnOnce(&mut Entry) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f(all.entry(uid.to_owned()).or_default())
    }

    /// How long ago this process first saw this attempt or id of the object.
    pub(super) fn seen_for(&self, uid: &str, what: &str) -> Duration {
        self.with(uid, |entry| match &entry.first_saw {
            Some((known, at)) if known == what => at.elapsed(),
            Some(_) | None => {
                entry.first_saw = Some((what.to_owned(), Instant::now()));
                Duration::ZERO
            }
        })
    }

    /// Nothing comes of this attempt: it was not sent, or was refused. Only who began it may say so.
    pub(super) fn comes_to_nothing(&self, uid: &str, nonce: &str) {
        self.may_come_to_something(uid, nonce);
        self.with(uid, |entry| {
            entry.nothing.push_back(nonce.to_owned());
            if entry.nothing.len() > NOTHING {
                entry.nothing.pop_front();
            }
        });
    }

    /// This attempt is about to be sent.
    pub(super) fn may_come_to_something(&self, uid: &str, nonce: &str) {
        self.with(uid, |entry| entry.nothing.retain(|known| known != nonce));
    }

    /// Whether this process knows that nothing comes of an attempt.
    pub(super) fn is_nothing(&self, uid: &str, nonce: &str) -> bool {
        self.with(uid, |entry| entry.nothing.iter().any(|known| known == nonce))
    }

    /// A list shows the record, or not.
    pub(super) fn missed(&self, uid: &str, missing: bool) {
        self.with(uid, |entry| entry.absent_since = missing.then(|| entry.absent_since.unwrap_or_else(Instant::now)));
    }

    /// How long ago the first of the lists was read that are all without the record; `None` if the last one shows it.
    pub(super) fn missing(&self, uid: &str) -> Option<Duration> {
        self.with(uid, |entry| entry.absent_since.map(|at| at.elapsed()))
    }

    /// One more failure; how many in a row.
    pub(super) fn failed(&self, uid: &str) -> u32 {
        self.with(uid, |entry| {
            entry.failures += 1;
            entry.failures
        })
    }

    /// Whether its last pass failed.
    pub(super) fn has_failed(&self, uid: &str) -> bool {
        self.with(uid, |entry| entry.failures > 0)
    }

    /// Its account has nothing to say of itself once more; how often in a row before.
    pub(super) fn undecided(&self, uid: &str) -> u32 {
        self.with(uid, |entry| {
            let before = entry.undecided;
            entry.undecided += 1;
            before
        })
    }

    /// Its account says how it is.
    pub(super) fn decided(&self, uid: &str) {
        self.with(uid, |entry| entry.undecided = 0);
    }

    /// A pass without a failure.
    pub(super) fn succeeded(&self, uid: &str) {
        self.with(uid, |entry| entry.failures = 0);
    }

    /// The guard of its account has counted its deletion.
    pub(super) fn counted(&self, uid: &str) {
        self.with(uid, |entry| entry.counted = true);
    }

    /// Whether the guard of its account has counted its deletion.
    pub(super) fn is_counted(&self, uid: &str) -> bool {
        self.with(uid, |entry| entry.counted)
    }

    /// A counted deletion has come to its end; the next one of the object is another.
    pub(super) fn uncounted(&self, uid: &str) {
        self.with(uid, |entry| entry.counted = false);
    }

    /// Nobody has looked at the object before.
    pub(super) fn met(&self, uid: &str) {
        self.with(uid, |entry| entry.unborn = true);
    }

    /// The object is Ready. Whether that is the first time, as far as this process has seen all of its life.
    pub(super) fn is_first_ready(&self, uid: &str) -> bool {
        self.with(uid, |entry| std::mem::take(&mut entry.unborn))
    }

    /// The record differs, or not. Whether that is news of a difference.
    pub(super) fn found(&self, uid: &str, differs: bool) -> bool {
        self.with(uid, |entry| !std::mem::replace(&mut entry.differs, differs) && differs)
    }

    /// Refreshes of it were put off once more, or were not.
    pub(super) fn put_off(&self, uid: &str, again: bool) {
        self.with(uid, |entry| entry.put_off = if again { entry.put_off.saturating_add(1) } else { 0 });
    }

    /// How often in a row they were.
    pub(super) fn times_put_off(&self, uid: &str) -> u32 {
        self.with(uid, |entry| entry.put_off)
    }

    /// This version is ours.
    pub(super) fn wrote(&self, uid: &str, version: &str) {
        if let Ok(version) = version.parse() {
            self.with(uid, |entry| {
                entry.written = entry.written.filter(|(written, at)| *written > version && at.elapsed() < TRUSTED);
                entry.written.get_or_insert_with(|| (version, Instant::now()));
            });
        }
    }

    /// This is what we have said of it.
    pub(super) fn said(&self, uid: &str, status: &impl Serialize) {
        let digest = digest(status);
        self.with(uid, |entry| entry.said = digest);
    }

    /// Whether somebody else has written a status over ours: what they know may be newer than what we have read.
    pub(super) fn contradicted(&self, uid: &str, status: &impl Serialize) -> bool {
        let digest = digest(status);
        self.with(uid, |entry| entry.said.is_some() && entry.said != digest)
    }

    /// Our finalizer is on it.
    pub(super) fn holds(&self, uid: &str) {
        self.with(uid, |entry| entry.let_go = None);
    }

    /// Our finalizer may be off it from now on; `version`: that of before.
    pub(super) fn lets_go(&self, uid: &str, version: &str) {
        self.with(uid, |entry| entry.let_go = Some((Instant::now(), version.parse().ok())));
    }

    /// How long ago this process may have taken its finalizer off, where a cache shows this version of it with the finalizer.
    /// The answer of the server is no help here: the version in it is that of before where the object went with it, and one
    /// that failed may have had no effect. A later version tells: that one has it.
    pub(super) fn let_go_for(&self, uid: &str, version: &str) -> Option<Duration> {
        let shown: Option<u64> = version.parse().ok();
        let is_later = |before: Option<u64>| shown.zip(before).is_some_and(|(shown, before)| shown > before);
        self.with(uid, |entry| entry.let_go.filter(|(_, before)| !is_later(*before)).map(|(at, _)| at.elapsed()))
    }

    /// Whether this process has taken its finalizer off, as far as caches can be expected to show.
    pub(super) fn has_let_go(&self, uid: &str, version: &str) -> bool {
        self.let_go_for(uid, version).is_some_and(|since| since < SHOWN)
    }

    /// Its name was taken when it was to be made, or not. How long that has been so.
    pub(super) fn name_taken(&self, uid: &str, taken: bool) -> Duration {
        self.with(uid, |entry| {
            entry.taken_since = taken.then(|| entry.taken_since.unwrap_or_else(Instant::now));
            entry.taken_since.map_or(Duration::ZERO, |since| since.elapsed())
        })
    }

    /// Whether a cached version is older than our own last write. Versions are comparable numbers since Kubernetes 1.35
    /// and have been in every release before; one that is no number is never called old.
    pub(super) fn outdated(&self, uid: &str, version: &str) -> bool {
        let version: Option<u64> = version.parse().ok();
        let is_older = |(written, at): (u64, Instant)| version.is_some_and(|v| v < written) && at.elapsed() < TRUSTED;
        self.with(uid, |entry| entry.written.is_some_and(is_older))
    }

    /// Forgets objects that are gone.
    pub(super) fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| exists(uid));
    }
}

fn digest(status: &impl Serialize) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(status).ok()?.hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_sight_counts_for_each_attempt_anew() {
        let memory = Memory::default();
        assert_eq!(memory.seen_for("u", "n1"), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(memory.seen_for("u", "n1"), Duration::from_secs(5));
        assert_eq!(memory.seen_for("u", "n2"), Duration::ZERO);
    }

    #[test]
    fn an_attempt_that_is_sent_after_all_may_come_to_something() {
        let memory = Memory::default();
        for nonce in ["n1", "n2", "n3", "n4", "n5"] {
            assert!(!memory.is_nothing("u", nonce), "nobody has said so of {nonce}");
            memory.comes_to_nothing("u", nonce);
        }
        assert!(!memory.is_nothing("u", "n1") && memory.is_nothing("u", "n5"), "of the last ones it is known");
        memory.may_come_to_something("u", "n5");
        assert!(!memory.is_nothing("u", "n5") && memory.is_nothing("u", "n4"));
        assert!(!memory.is_nothing("v", "n4"), "it is another object's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_is_missing_only_as_long_as_no_list_shows_it() {
        let memory = Memory::default();
        memory.missed("u", true);
        tokio::time::advance(Duration::from_secs(5)).await;
        memory.missed("u", true);
        assert_eq!(memory.missing("u"), Some(Duration::from_secs(5)));
        memory.missed("u", false);
        assert_eq!(memory.missing("u"), None);
    }

    #[test]
    fn a_status_of_somebody_else_is_noticed() {
        let memory = Memory::default();
        assert!(!memory.contradicted("u", &"ready"), "nothing was said yet");
        memory.said("u", &"waiting");
        assert!(memory.contradicted("u", &"ready") && !memory.contradicted("u", &"waiting"));
    }

    #[test]
    fn an_older_version_than_our_own_is_outdated() {
        let memory = Memory::default();
        assert!(!memory.outdated("u", "5"));
        memory.wrote("u", "7");
        assert!(memory.outdated("u", "5") && !memory.outdated("u", "7") && !memory.outdated("u", "8"));
        assert!(!memory.outdated("u", "opaque"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_that_goes_on_showing_an_older_version_is_believed_in_the_end() {
        let memory = Memory::default();
        memory.wrote("u", "7");
        tokio::time::advance(TRUSTED).await;
        assert!(!memory.outdated("u", "5"));
        memory.wrote("u", "6");
        assert!(memory.outdated("u", "5") && !memory.outdated("u", "6"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_taken_for_as_long_as_it_always_was() {
        let (memory, long) = (Memory::default(), Duration::from_secs(5));
        let later = || tokio::time::advance(long);
        assert_eq!(memory.name_taken("u", true), Duration::ZERO);
        later().await;
        assert_eq!(memory.name_taken("u", true), long);
        memory.name_taken("u", false);
        later().await;
        assert_eq!(memory.name_taken("u", true), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_finalizer_that_a_cache_goes_on_showing_is_still_there() {
        let memory = Memory::default();
        memory.lets_go("u", "7");
        assert!(memory.has_let_go("u", "6") && memory.has_let_go("u", "7"));
        assert!(!memory.has_let_go("u", "8"), "what is later than that still has it");
        tokio::time::advance(SHOWN).await;
        assert!(!memory.has_let_go("u", "7") && memory.let_go_for("u", "7") == Some(SHOWN));
        memory.lets_go("u", "8");
        memory.holds("u");
        assert!(!memory.has_let_go("u", "8"));
    }

    #[test]
    fn only_a_life_that_was_seen_from_its_beginning_has_a_first_ready() {
        let memory = Memory::default();
        assert!(!memory.is_first_ready("older than the process"));
        memory.met("u");
        assert!(memory.is_first_ready("u") && !memory.is_first_ready("u"));
    }

    #[test]
    fn a_difference_is_news_once_until_it_is_gone() {
        let memory = Memory::default();
        let found = [false, true, true, false, true].map(|differs| memory.found("u", differs));
        assert_eq!(found, [false, true, false, false, true]);
    }
}
