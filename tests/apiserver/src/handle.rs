//! The handle that tests hold: the server for clients, and what people and a cluster's controllers do at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::{Notify, futures::OwnedNotified};

use crate::{
    clock::Clock,
    fail::Failure,
    kinds::Definition,
    meta,
    service::ApiService,
    state::{Key, State},
    stored::Object,
    write::Part,
};

/// A server; clones share its objects.
#[derive(Clone, Debug)]
pub struct ApiServer {
    state: Arc<Mutex<State>>,
    /// Whoever waits for a change is woken in the order in which they came: a course of events must be the same each time.
    /// Whoever waits for a change of a kind is woken in the order in which they came: a course of events must be the same each
    /// time.
    watched: Arc<Mutex<BTreeMap<usize, Arc<Notify>>>>,
}

impl ApiServer {
    /// A server without objects that knows a few kinds of Kubernetes' own. Its number sets its UIDs apart from those of others.
    #[must_use]
    pub fn new(clock: Clock, number: u32) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(clock, number))), watched: Arc::default() }
    }

    /// What a kube client speaks to.
    #[must_use]
    pub fn service(&self) -> ApiService {
        ApiService::new(self.clone())
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.revision();
        let answer = look(&mut state);
        if before == state.revision() {
            return answer;
        }
        let kinds = state.changed_since(before);
        drop(state);
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, changed) in watched.iter().filter(|(kind, _)| kinds.as_ref().is_none_or(|kinds| kinds.contains(kind))) {
            changed.notify_waiters();
        }
        answer
    }

    /// Done with the next change of a kind after this call.
    pub(crate) fn changed(&self, kind: usize) -> OwnedNotified {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(watched.entry(kind).or_default()).notified_owned()
    }

    /// Makes the kind of a CRD known.
    pub fn install(&self, crd: &Definition) {
        self.with(|state| state.kinds.push(Arc::clone(&crd.0)));
    }

    /// Makes a namespace.
    ///
    /// # Errors
    /// Where there is one of that name.
    pub fn create_namespace(&self, name: &str) -> Result<Value, Failure> {
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.with(|state| state.create(state.place("namespaces", "", name)?, manifest)).map(Value::from)
    }

    /// Applies a manifest to a namespace, as `kubectl apply --server-side --force-conflicts` does.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn apply(&self, namespace: &str, manifest: &Value) -> Result<Value, Failure> {
        self.with(|state| state.apply(&state.place_of(namespace, manifest)?, "kubectl", manifest.clone()))
            .map(Value::from)
    }

    /// Creates an object.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn create(&self, namespace: &str, manifest: &Value) -> Result<Value, Failure> {
        self.with(|state| state.create(state.place_of(namespace, manifest)?, manifest.clone())).map(Value::from)
    }

    /// Replaces an object with a manifest, as `kubectl replace` does.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn replace(&self, namespace: &str, manifest: &Value) -> Result<Value, Failure> {
        self.with(|state| state.replace(&state.place_of(namespace, manifest)?, Part::Main, manifest.clone()))
            .map(Value::from)
    }

    /// Changes an object by a merge patch.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn patch(&self, plural: &str, namespace: &str, name: &str, patch: &Value) -> Result<Value, Failure> {
        self.with(|state| state.patch(&state.place(plural, namespace, name)?, Part::Main, patch)).map(Value::from)
    }

    /// Puts a status in place of the present one; `Null` leaves none.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn replace_status(&self, plural: &str, namespace: &str, name: &str, status: &Value) -> Result<Value, Failure> {
        self.with(|state| {
            let key = state.place(plural, namespace, name)?;
            let mut next = state.get(&key)?.value();
            if let Some(fields) = next.as_object_mut() {
                fields.remove("status");
                if !status.is_null() {
                    fields.insert("status".to_owned(), status.clone());
                }
            }
            state.replace(&key, Part::Status, next)
        })
        .map(Value::from)
    }

    /// Asks for the deletion of an object.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) -> Result<Value, Failure> {
        self.with(|state| state.delete(&state.place(plural, namespace, name)?, &Value::Null)).map(Value::from)
    }

    /// An object.
    #[must_use]
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.with(|state| state.get(&state.place(plural, namespace, name).ok()?).ok().map(Object::value))
    }

    /// All objects of a kind in a namespace.
    #[must_use]
    pub fn list(&self, plural: &str, namespace: &str) -> Vec<Value> {
        self.with(|state| {
            let Ok(key) = state.place(plural, namespace, "") else { return vec![] };
            state.list(key.kind, Some(namespace)).into_iter().map(|(_, object)| object.value()).collect()
        })
    }

    /// Whether one of the objects of a kind in a namespace is such.
    #[must_use]
    pub fn any(&self, plural: &str, namespace: &str, mut such: impl FnMut(&Value) -> bool) -> bool {
        self.with(|state| {
            let Ok(key) = state.place(plural, namespace, "") else { return false };
            state.list(key.kind, Some(namespace)).into_iter().any(|(_, object)| such(object))
        })
    }

    /// From now on watches show a change this late. Reads and lists are never late.
    pub fn lag(&self, lag: Duration) {
        self.with(|state| state.lag = (lag, vec![]));
    }

    /// The same for these kinds alone: each is watched on its own, and all others are shown at once.
    ///
    /// # Errors
    /// Where it does not know one of them.
    pub fn lag_of(&self, plurals: &[&str], lag: Duration) -> Result<(), Failure> {
        self.with(|state| {
            let kinds = plurals.iter().map(|plural| state.place(plural, "", "").map(|key| key.kind));
            state.lag = (lag, kinds.collect::<Result<_, _>>()?);
            Ok(())
        })
    }

    /// Ends all watches, and forgets what they would have shown next: who watches has to list anew.
    pub fn expire(&self) {
        self.with(State::expire);
    }

    /// From now on it takes whatever it is given, as a server does whose CRDs say nothing of values.
    pub fn trust(&self) {
        self.with(|state| state.trusts = true);
    }

    /// The version of the last change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.with(|state| state.revision())
    }
}

impl State {
    fn place(&self, plural: &str, namespace: &str, name: &str) -> Result<Key, Failure> {
        let kind = self.kinds.iter().position(|kind| kind.plural == plural);
        let kind = kind.ok_or_else(|| Failure::unsupported(plural))?;
        Ok(Key { kind, namespace: namespace.to_owned(), name: name.to_owned() })
    }

    fn place_of(&self, namespace: &str, manifest: &Value) -> Result<Key, Failure> {
        let kind = self.kind_of(manifest).ok_or_else(|| Failure::unsupported("the kind of this manifest"))?;
        let name = meta::text(manifest, "/metadata/name").unwrap_or_default().to_owned();
        Ok(Key { kind, namespace: namespace.to_owned(), name })
    }
}
