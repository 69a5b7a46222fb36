//! Who is looked at because something changed that it names.
//!
//! It must never decide what comes of the look.

use super::lean::Lean;
use crate::api::v1alpha1::{
    Account, AccountKind, AccountRef, ClusterProviderAccount, Connection, IntegrationInstance, Managed, ProviderAccount,
};
use futures::stream::{self, Stream};
use kube::{
    Resource, ResourceExt,
    core::ObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The objects of a kind, and the way to have some of them looked at.
pub(super) struct Caller<K: Resource<DynamicType = ()> + 'static> {
    store: Store<Lean<K>>,
    calls: mpsc::UnboundedSender<ObjectRef<Lean<K>>>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Caller<K> {
    /// Also gives what it asks for, to be fed to the controller of that kind.
    pub(super) fn new(store: Store<Lean<K>>) -> (Self, impl Stream<Item = ObjectRef<Lean<K>>>) {
        let (calls, mut called) = mpsc::unbounded_channel();
        (Self { store, calls }, stream::poll_fn(move |context| called.poll_recv(context)))
    }

    fn call(&self, whom: impl Fn(&K) -> bool) {
        let all = self.store.state();
        let objects = all.iter().filter(|o| o.good().is_some_and(&whom)).map(|o| ObjectRef::from_obj(o.as_ref()));
        let mut objects: Vec<ObjectRef<_>> = objects.collect();
        // Who is looked at first is no chance of a hash.
        objects.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        for object in objects {
            // Whose passes have ended needs none.
            let _ = self.calls.send(object);
        }
    }
}

/// Those who name accounts.
pub(super) struct Dependents {
    pub(super) connections: Caller<Connection>,
    pub(super) instances: Caller<IntegrationInstance>,
}

impl Dependents {
    pub(super) fn of_account(&self, kind: AccountKind, account: &impl ResourceExt) {
        let named = AccountRef { kind, name: account.name_any() };
        let place = account.namespace();
        self.connections.call(|object| names(object, &named, place.as_deref()));
        self.instances.call(|object| names(object, &named, place.as_deref()));
    }

    pub(super) fn all(&self) {
        self.connections.call(|_| true);
        self.instances.call(|_| true);
    }
}

/// Whether an object names this account; `place`: its namespace, where it has one.
fn names<K: Managed>(object: &K, account: &AccountRef, place: Option<&str>) -> bool {
    object.account_ref() == account && (place.is_none() || object.meta().namespace.as_deref() == place)
}

/// All who name Secrets.
pub(super) struct Callers {
    pub(super) dependents: Arc<Dependents>,
    pub(super) accounts: Caller<ProviderAccount>,
    pub(super) shared: Option<Caller<ClusterProviderAccount>>,
}

impl Callers {
    pub(super) fn of_secret(&self, secret: &impl ResourceExt) {
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let is_here = |meta: &ObjectMeta| meta.namespace.as_ref() == Some(&namespace);
        self.accounts.call(|account| account.names_secret(&namespace, &name));
        if let Some(shared) = &self.shared {
            shared.call(|account| account.names_secret(&namespace, &name));
        }
        self.dependents.connections.call(|object| is_here(object.meta()) && object.names_secret(&name));
        self.dependents.instances.call(|object| is_here(object.meta()) && object.names_secret(&name));
    }

    pub(super) fn all(&self) {
        self.accounts.call(|_| true);
        if let Some(shared) = &self.shared {
            shared.call(|_| true);
        }
        self.dependents.all();
    }
}
