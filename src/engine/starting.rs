//! Which objects of this process are about to start: by the key they create with, and by the account they do it in.
//!
//! The cache shows an intent a moment after it is stored. Two objects that declare the same store at the same moment
//! would each see the other as one that has not started; here the second one waits until the cache tells the truth.

use crate::domain::ids::{ExternalId, NaturalKey};
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What one pass at a time may take for its object, in an account by its identity.
type Place = (String, Wanted);

/// What two objects may want at the same moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Wanted {
    Key(NaturalKey),
    Record(ExternalId),
}

/// All keys that a pass of this process is creating with now, and the records that it is taking over.
#[derive(Debug, Default)]
pub(super) struct Starting {
    places: Mutex<HashSet<Place>>,
    /// When a create in an account that nobody can name yet last ended, by endpoint.
    nameless: Mutex<HashMap<String, Instant>>,
    joining: Mutex<Accounts>,
}

/// Accounts by UID. An object may be about to be bound to one, or the account is being let go; never both.
#[derive(Debug, Default)]
struct Accounts {
    /// How many passes may be about to bind an object.
    joined: HashMap<String, usize>,
    /// The finalizer of these is on its way off.
    let_go: HashSet<String>,
}

/// A pass that may bind an object to an account, until it is dropped.
#[derive(Debug)]
pub(super) struct Joining<'a> {
    starting: &'a Starting,
    account: String,
}

/// An account that is being let go, until it is dropped.
#[derive(Debug)]
pub(super) struct LettingGo<'a> {
    starting: &'a Starting,
    account: String,
}

/// The sole right to create with a key, or to take a record over, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    starting: &'a Starting,
    place: Place,
}

impl Starting {
    /// The turn to create with this key in this account; `None` while somebody else has it.
    pub(super) fn turn(&self, account: &str, key: &NaturalKey) -> Option<Turn<'_>> {
        self.place((account.to_owned(), Wanted::Key(key.clone())))
    }

    /// The turn to take this record of this account over; `None` while somebody else has it.
    pub(super) fn turn_at(&self, account: &str, record: &ExternalId) -> Option<Turn<'_>> {
        self.place((account.to_owned(), Wanted::Record(record.clone())))
    }

    fn place(&self, place: Place) -> Option<Turn<'_>> {
        let is_free = self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone());
        is_free.then(|| Turn { starting: self, place })
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.joining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object of this account may be about to start; `None` while the account is being let go. To be called before the
    /// account is looked at.
    pub(super) fn joins(&self, account: &str) -> Option<Joining<'_>> {
        let mut accounts = self.accounts();
        if accounts.let_go.contains(account) {
            return None;
        }
        *accounts.joined.entry(account.to_owned()).or_default() += 1;
        Some(Joining { starting: self, account: account.to_owned() })
    }

    /// The account is let go; `None` while an object of it may be about to start. To be called before its objects are looked
    /// at.
    pub(super) fn lets_go(&self, account: &str) -> Option<LettingGo<'_>> {
        let mut accounts = self.accounts();
        let is_free = !accounts.joined.contains_key(account) && accounts.let_go.insert(account.to_owned());
        is_free.then(|| LettingGo { starting: self, account: account.to_owned() })
    }

    /// A create in an account without a name has ended: another login there may be one of the same account.
    pub(super) fn ended_nameless(&self, endpoint: &str, lag: Duration) {
        let mut nameless = self.nameless.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody has to wait for any more.
        nameless.retain(|_, at| at.elapsed() < lag);
        nameless.insert(endpoint.to_owned(), Instant::now());
    }

    /// How long lists may still lag behind the last create in an account without a name.
    pub(super) fn nameless_rest(&self, endpoint: &str, lag: Duration) -> Duration {
        let nameless = self.nameless.lock().unwrap_or_else(PoisonError::into_inner);
        nameless.get(endpoint).map_or(Duration::ZERO, |at| lag.saturating_sub(at.elapsed()))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.starting.places.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
    }
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        let joined = &mut self.starting.accounts().joined;
        if let Some(passes) = joined.get_mut(&self.account) {
            *passes -= 1;
        }
        joined.retain(|_, passes| *passes > 0);
    }
}

impl Drop for LettingGo<'_> {
    fn drop(&mut self) {
        self.starting.accounts().let_go.remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_for_each_key() {
        let (starting, key) = (Starting::default(), NaturalKey::new("k"));
        let first = starting.turn("a", &key);
        assert!(first.is_some() && starting.turn("a", &key).is_none());
        assert!(starting.turn("b", &key).is_some(), "another account has other records");
        assert!(starting.turn_at("a", &ExternalId::new("k")).is_some(), "an id is no key");
        drop(first);
        assert!(starting.turn("a", &key).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_any_more_is_forgotten() {
        let (starting, lag) = (Starting::default(), Duration::from_secs(3));
        starting.ended_nameless("a", lag);
        starting.ended_nameless("b", lag);
        assert_eq!(starting.nameless_rest("a", lag), lag);
        tokio::time::advance(lag).await;
        starting.ended_nameless("c", lag);
        assert_eq!(starting.nameless.lock().expect("a lock").keys().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn an_account_is_joined_until_the_last_pass_has_ended() {
        let starting = Starting::default();
        let (one, other) = (starting.joins("a"), starting.joins("a"));
        assert!(one.is_some() && other.is_some());
        assert!(starting.lets_go("a").is_none() && starting.lets_go("b").is_some());
        drop(one);
        assert!(starting.lets_go("a").is_none());
        drop(other);
        assert!(starting.lets_go("a").is_some());
    }

    #[test]
    fn an_account_that_is_being_let_go_is_not_joined() {
        let starting = Starting::default();
        let letting_go = starting.lets_go("a");
        assert!(starting.joins("a").is_none() && starting.joins("b").is_some());
        drop(letting_go);
        assert!(starting.joins("a").is_some());
    }
}
