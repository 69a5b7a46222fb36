//! The handle that tests hold: the server for clients, and what people and a cluster's controllers do at once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    clock::Clock,
    fail::Failure,
    kinds::Definition,
    meta,
    service::ApiService,
    state::{Key, State},
    write::Part,
};

/// A server; clones share its objects.
#[derive(Clone, Debug)]
pub struct ApiServer {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

impl ApiServer {
    /// A server without objects that knows a few kinds of Kubernetes' own. Its number sets its UIDs apart from those of others.
    #[must_use]
    pub fn new(clock: Clock, number: u32) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(clock, number))), changed: watch::Sender::new(0) }
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
        let after = state.revision();
        drop(state);
        if before != after {
            self.changed.send_replace(after);
        }
        answer
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Makes the kind of a CRD known.
    pub fn install(&self, crd: &Definition) {
        self.with(|state| state.kinds.push(crd.0.clone()));
    }

    /// Makes a namespace.
    ///
    /// # Errors
    /// Where there is one of that name.
    pub fn create_namespace(&self, name: &str) -> Result<Value, Failure> {
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.with(|state| state.create(state.place("namespaces", "", name)?, manifest))
    }

    /// Applies a manifest to a namespace, as `kubectl apply --server-side --force-conflicts` does.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn apply(&self, namespace: &str, manifest: &Value) -> Result<Value, Failure> {
        self.with(|state| state.apply(&state.place_of(namespace, manifest)?, "kubectl", manifest.clone()))
    }

    /// Creates an object.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn create(&self, namespace: &str, manifest: &Value) -> Result<Value, Failure> {
        self.with(|state| state.create(state.place_of(namespace, manifest)?, manifest.clone()))
    }

    /// Replaces an object with a manifest, as `kubectl replace` does.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn replace(&self, namespace: &str, manifest: &Value) -> Result<Value, Failure> {
        self.with(|state| state.replace(&state.place_of(namespace, manifest)?, Part::Main, manifest.clone()))
    }

    /// Changes an object by a merge patch.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn patch(&self, plural: &str, namespace: &str, name: &str, patch: &Value) -> Result<Value, Failure> {
        self.with(|state| state.patch(&state.place(plural, namespace, name)?, Part::Main, patch))
    }

    /// Puts a status in place of the present one; `Null` leaves none.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn replace_status(&self, plural: &str, namespace: &str, name: &str, status: &Value) -> Result<Value, Failure> {
        self.with(|state| {
            let key = state.place(plural, namespace, name)?;
            let mut next = state.get(&key)?.clone();
            if let Some(fields) = next.as_object_mut() {
                fields.remove("status");
                if !status.is_null() {
                    fields.insert("status".to_owned(), status.clone());
                }
            }
            state.replace(&key, Part::Status, next)
        })
    }

    /// Asks for the deletion of an object.
    ///
    /// # Errors
    /// As a client would be refused.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) -> Result<Value, Failure> {
        self.with(|state| state.delete(&state.place(plural, namespace, name)?, &Value::Null))
    }

    /// An object.
    #[must_use]
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.with(|state| state.get(&state.place(plural, namespace, name).ok()?).ok().cloned())
    }

    /// All objects of a kind in a namespace.
    #[must_use]
    pub fn list(&self, plural: &str, namespace: &str) -> Vec<Value> {
        self.with(|state| {
            let Ok(key) = state.place(plural, namespace, "") else { return vec![] };
            state.list(key.kind, Some(namespace)).into_iter().map(|(_, object)| object.clone()).collect()
        })
    }

    /// Whether one of the objects of a kind in a namespace is such.
    #[must_use]
    pub fn any(&self, plural: &str, namespace: &str, such: impl FnMut(&Value) -> bool) -> bool {
        self.with(|state| {
            let Ok(key) = state.place(plural, namespace, "") else { return false };
            state.list(key.kind, Some(namespace)).into_iter().map(|(_, object)| object).any(such)
        })
    }

    /// From now on watches show a change this late. Reads and lists are never late.
    pub fn lag(&self, lag: Duration) {
        self.with(|state| state.lag = lag);
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
