//! The accounts of both kinds as the caches show them, and the namespaces that may use the shared ones.
//!
//! It must never decide what follows for an object: `resolve.rs` does.

use super::{
    context::ready,
    object::{AccountTarget, Lean, Target},
};
use crate::api::{
    keys,
    v1alpha1::{AccountKind, AccountRef, ClusterProviderAccount, ProviderAccount},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};
use std::{collections::BTreeSet, hash::Hash};

/// The caches.
pub(super) struct Accounts {
    /// Those of the namespaces that are watched.
    pub(super) local: Store<Lean<ProviderAccount>>,
    /// Those of the cluster; an operator of one namespace serves none.
    pub(super) shared: Option<Shared>,
}

/// What only an operator of the whole cluster knows.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) accounts: Store<Lean<ClusterProviderAccount>>,
    pub(super) namespaces: Store<PartialObjectMeta<Namespace>>,
}

/// The account that an object names, by the place where it must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AccountName {
    kind: AccountKind,
    /// Empty for one of the cluster.
    namespace: String,
    name: String,
}

impl AccountName {
    pub(super) fn of(account: &AccountRef, namespace: &str) -> Self {
        let namespace = match account.kind {
            AccountKind::ProviderAccount => namespace.to_owned(),
            AccountKind::ClusterProviderAccount => String::new(),
        };
        Self { kind: account.kind, namespace, name: account.name.clone() }
    }
}

/// An account in the cache.
pub(super) struct Found {
    pub(super) uid: String,
    /// It is being deleted.
    pub(super) leaving: bool,
    /// It carries our finalizer.
    pub(super) held: bool,
    /// What is declared and known of it, if its stored form can be read.
    pub(super) account: Option<AccountTarget>,
}

impl Found {
    fn of<K>(object: &Lean<K>) -> Self
    where
        K: Resource<DynamicType = ()>,
        AccountTarget: for<'a> From<&'a K>,
    {
        Self {
            uid: object.meta().uid.clone().unwrap_or_default(),
            leaving: object.meta().deletion_timestamp.is_some(),
            held: object.meta().finalizers.iter().flatten().any(|f| f == keys::ACCOUNT_FINALIZER),
            account: object.good().map(AccountTarget::from),
        }
    }
}

impl Accounts {
    /// The account of this name.
    pub(super) fn get(&self, name: &AccountName) -> Option<Found> {
        match name.kind {
            AccountKind::ProviderAccount => {
                let found = self.local.get(&ObjectRef::new(&name.name).within(&name.namespace));
                found.map(|object| Found::of(&object))
            }
            AccountKind::ClusterProviderAccount => {
                let found = self.shared.as_ref()?.accounts.get(&ObjectRef::new(&name.name));
                found.map(|object| Found::of(&object))
            }
        }
    }

    /// The account that an object names.
    pub(super) fn of(&self, target: &Target) -> Option<Found> {
        self.get(&AccountName::of(target.spec.account_ref(), &target.namespace))
    }

    /// Every account.
    pub(super) fn all(&self) -> Vec<Found> {
        let mut all: Vec<Found> = self.local.state().iter().map(|object| Found::of(object)).collect();
        if let Some(shared) = &self.shared {
            all.extend(shared.accounts.state().iter().map(|object| Found::of(object)));
        }
        all
    }

    /// Whether objects of this namespace may use an account.
    pub(super) fn admits(&self, account: &AccountTarget, namespace: &str) -> bool {
        let (Some(allowed), Some(shared)) = (&account.allowed, &self.shared) else { return true };
        let found = shared.namespaces.get(&ObjectRef::new(namespace));
        allowed.admit(namespace, found.as_ref().map(|namespace| namespace.labels()))
    }

    /// Whether all of it is known, so that an absence means something.
    pub(super) fn synced(&self) -> bool {
        let shared = self.shared.as_ref();
        ready(&self.local) && shared.is_none_or(|shared| ready(&shared.accounts) && ready(&shared.namespaces))
    }

    /// The UIDs of all.
    pub(super) fn uids(&self) -> BTreeSet<String> {
        self.all().into_iter().map(|found| found.uid).collect()
    }
}
