//! The objects, their versions, and the log of every change that watches read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    clock::Clock,
    fail::Failure,
    kinds::{self, Kind},
    meta,
    stored::Object,
};

/// Where an object is: its kind by number, its namespace (empty for what has none) and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: usize,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What a change was, by the name that watches give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Added,
    Modified,
    Deleted,
}

impl What {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    pub(crate) what: What,
    pub(crate) object: Object,
    /// Watches do not show it before.
    pub(crate) visible: Instant,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    /// Sets its UIDs apart from those of other servers.
    number: u32,
    pub(crate) kinds: Vec<Arc<Kind>>,
    pub(crate) objects: BTreeMap<Key, Object>,
    pub(crate) log: Vec<Change>,
    /// What each manager last applied.
    pub(crate) applied: BTreeMap<(Key, String), Value>,
    /// How late watches show a change of one of these kinds, or of any where none is named.
    pub(crate) lag: (Duration, Vec<usize>),
    /// What it is given is not compared with schemas.
    pub(crate) trusts: bool,
    /// Watches from before this version are told to list anew.
    pub(crate) expired: u64,
    revision: u64,
    uids: u64,
}

impl State {
    pub(crate) fn new(clock: Clock, number: u32) -> Self {
        Self {
            clock,
            number,
            kinds: kinds::own().into_iter().map(Arc::new).collect(),
            objects: BTreeMap::new(),
            log: Vec::new(),
            applied: BTreeMap::new(),
            lag: (Duration::ZERO, vec![]),
            trusts: false,
            expired: 0,
            revision: 1000,
            uids: 0,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The kinds of what has changed after a version; `None` where a log was forgotten, which every watch must hear of.
    pub(crate) fn changed_since(&self, revision: u64) -> Option<BTreeSet<usize>> {
        let from = self.log.partition_point(|change| change.revision <= revision);
        (self.expired <= revision).then(|| self.log.iter().skip(from).map(|change| change.key.kind).collect())
    }

    /// Forgets the changes up to here, as etcd does when it is compacted.
    pub(crate) fn expire(&mut self) {
        self.revision += 1;
        self.expired = self.revision;
        self.log.clear();
    }

    /// The number of a kind.
    pub(crate) fn kind(&self, group: &str, version: &str, plural: &str) -> Option<usize> {
        self.kinds.iter().position(|k| k.group == group && k.version == version && k.plural == plural)
    }

    /// The number of the kind of a manifest.
    pub(crate) fn kind_of(&self, manifest: &Value) -> Option<usize> {
        let (version, kind) = (meta::text(manifest, "/apiVersion")?, meta::text(manifest, "/kind")?);
        self.kinds.iter().position(|k| k.api_version() == version && k.name == kind)
    }

    pub(crate) fn at(&self, key: &Key) -> Result<&Arc<Kind>, Failure> {
        self.kinds.get(key.kind).ok_or_else(|| Failure::not_found("the server could not find the requested resource"))
    }

    /// An object in words, as refusals name it.
    pub(crate) fn words(&self, key: &Key) -> String {
        let kind = self.kinds.get(key.kind).map(|k| match k.group.as_str() {
            "" => k.plural.clone(),
            group => format!("{}.{group}", k.plural),
        });
        format!("{} {:?}", kind.unwrap_or_default(), key.name)
    }

    pub(crate) fn get(&self, key: &Key) -> Result<&Object, Failure> {
        self.objects.get(key).ok_or_else(|| Failure::not_found(&self.words(key)))
    }

    /// The objects of a kind, in one namespace or in all.
    pub(crate) fn list(&self, kind: usize, namespace: Option<&str>) -> Vec<(&Key, &Object)> {
        let place = |key: &&Key| key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace);
        self.objects.iter().filter(|(key, _)| place(key)).collect()
    }

    /// A UID that no object ever had. The same course of events on a server of the same number brings the same ones.
    pub(crate) fn uid(&mut self) -> String {
        self.uids += 1;
        format!("{:08x}-0000-4000-8000-{:012x}", self.number, self.uids)
    }

    /// Stores a version of an object.
    pub(crate) fn store(&mut self, key: &Key, object: Value) -> Object {
        let what = if self.objects.contains_key(key) { What::Modified } else { What::Added };
        let object = self.stamped(object);
        self.objects.insert(key.clone(), object.clone());
        self.record(key, what, object.clone());
        object
    }

    /// Takes an object away, in its last version. What the client is told is the version of before, as by the real server.
    pub(crate) fn remove(&mut self, key: &Key, object: Value) -> Object {
        let told = Object::new(object.clone());
        let object = self.stamped(object);
        self.objects.remove(key);
        self.applied.retain(|(applied, _), _| applied != key);
        self.record(key, What::Deleted, object.clone());
        self.collect(&object);
        told
    }

    fn stamped(&mut self, mut object: Value) -> Object {
        self.revision += 1;
        meta::set(&mut object, "resourceVersion", Some(json!(self.revision.to_string())));
        Object::new(object)
    }

    fn record(&mut self, key: &Key, what: What, object: Object) {
        let (lag, kinds) = &self.lag;
        let lags = kinds.is_empty() || kinds.contains(&key.kind);
        let visible = if lags { Instant::now() + *lag } else { Instant::now() };
        // A watch shows the changes of its kind in their order.
        let before = self.log.iter().rev().find(|change| change.key.kind == key.kind);
        let visible = before.map_or(visible, |before| before.visible.max(visible));
        self.log.push(Change { revision: self.revision, key: key.clone(), what, object, visible });
    }
}
