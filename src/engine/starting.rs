//! Which objects of this process are about to create, by the key they create with.
//!
//! The cache shows an intent a moment after it is stored. Two objects that declare the same store at the same moment
//! would each see the other as one that has not started; here the second one waits until the cache tells the truth.

use crate::domain::ids::NaturalKey;
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// All keys that a pass of this process is creating with now.
#[derive(Debug, Default)]
pub(super) struct Starting(Mutex<HashSet<(String, NaturalKey)>>);

/// The sole right to create with a key, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    starting: &'a Starting,
    place: (String, NaturalKey),
}

impl Starting {
    /// The turn to create with this key in this account; `None` while somebody else has it.
    pub(super) fn turn(&self, account: &str, key: &NaturalKey) -> Option<Turn<'_>> {
        let place = (account.to_owned(), key.clone());
        let is_free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone());
        is_free.then(|| Turn { starting: self, place })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.starting.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
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
        drop(first);
        assert!(starting.turn("a", &key).is_some());
    }
}
