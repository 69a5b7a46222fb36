//! A connection as it was read, and whose store it is.

use super::wire::{Detail, Row};
use crate::domain::{
    conditions::Health,
    ids::NaturalKey,
    rules,
    stores::{self, Recognition},
};
use jiff::Timestamp;

/// A connection as Rutter shows it.
#[derive(Clone, Debug)]
pub struct Have {
    pub(super) row: Row,
    pub(super) store: Option<Detail>,
    pub(super) health: Option<(Health, Option<Timestamp>)>,
}

impl Have {
    pub(super) fn new(row: Row, store: Option<Detail>) -> Self {
        Self { row, store, health: None }
    }

    /// Whether anything is told of a store.
    pub(super) fn has_store(&self) -> bool {
        let named = |text: Option<&String>| text.is_some_and(|t| !t.is_empty());
        let told =
            |s: &Detail| [&s.store_domain, &s.store_unique_id, &s.store_name].into_iter().any(|t| named(t.as_ref()));
        self.store.as_ref().is_some_and(told)
    }

    fn told(&self) -> (Option<&str>, Option<&str>) {
        let store = self.store.as_ref();
        (store.and_then(|s| s.store_domain.as_deref()), store.and_then(|s| s.store_unique_id.as_deref()))
    }

    /// Whether its store is the one with this key.
    pub(super) fn recognise(&self, key: &NaturalKey) -> Recognition {
        let platform = self.row.platform.as_deref().and_then(rules::rutter_platform);
        let (Some(platform), Some((name, store))) = (platform, stores::read_key(key)) else {
            return Recognition::Doubt;
        };
        let (domain, unique_id) = self.told();
        if platform.name == name { platform.recognise(store, domain, unique_id) } else { Recognition::Other }
    }

    /// Whether Rutter tells its store already. Where the platform is not known, be it that no merchant has chosen one yet, that
    /// is so once anything is told.
    pub(super) fn is_told(&self) -> bool {
        let (domain, unique_id) = self.told();
        let platform = self.row.platform.as_deref().and_then(rules::rutter_platform);
        platform.map_or_else(|| self.has_store(), |platform| platform.is_told(domain, unique_id))
    }

    pub(super) fn born(&self) -> Option<Timestamp> {
        self.row.created_at.or_else(|| self.store.as_ref().and_then(|d| d.created_at))
    }
}
