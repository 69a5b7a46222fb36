//! What the controllers of a cluster do when something goes: the garbage collector and the end of namespaces. Both are at
//! once here.

use serde_json::Value;

use crate::{
    meta,
    state::{Key, State},
};

impl State {
    /// After an object is gone: what it owned alone goes, and its namespace if it was the last one in there.
    pub(crate) fn collect(&mut self, gone: &Value) {
        if let Some(uid) = meta::text(gone, "/metadata/uid") {
            for key in self.orphans(uid) {
                self.let_go(&key);
            }
        }
        if let Some(namespace) = meta::text(gone, "/metadata/namespace") {
            self.finish(namespace);
        }
    }

    /// Everything in a namespace goes; the namespace when it is empty.
    pub(crate) fn empty(&mut self, namespace: &str) {
        let inside: Vec<Key> = self.objects.keys().filter(|key| key.namespace == namespace).cloned().collect();
        for key in inside {
            self.let_go(&key);
        }
        self.finish(namespace);
    }

    fn finish(&mut self, namespace: &str) {
        let Some(kind) = self.kind("", "v1", "namespaces") else { return };
        let key = Key { kind, namespace: String::new(), name: namespace.to_owned() };
        let Some(object) = self.objects.get(&key).filter(|o| meta::is_deleting(o)).cloned() else { return };
        if !self.objects.keys().any(|key| key.namespace == namespace) {
            self.remove(&key, object.value());
        }
    }

    /// What is created with owners of which there is none, as from a backup, goes at once.
    pub(crate) fn collect_created(&mut self, key: &Key, object: &Value) {
        if !meta::owners(object).is_empty() && !self.is_owned(object) {
            self.let_go(key);
        }
    }

    fn orphans(&self, uid: &str) -> Vec<Key> {
        let orphaned = |object: &Value| meta::owners(object).contains(&uid) && !self.is_owned(object);
        self.objects.iter().filter(|(_, object)| orphaned(object)).map(|(key, _)| key.clone()).collect()
    }

    fn is_owned(&self, object: &Value) -> bool {
        let exists = |uid: &str| self.objects.values().any(|o| meta::text(o, "/metadata/uid") == Some(uid));
        meta::owners(object).into_iter().any(exists)
    }

    /// A deletion that nobody asked for by name; what is gone already needs none.
    fn let_go(&mut self, key: &Key) {
        let _ = self.delete(key, &Value::Null);
    }
}
