//! The accounts of both kinds as the caches show them, and the namespaces that may use the shared ones.
//!
//! It must never decide what follows for an object: `resolve.rs` does.

use super::{
    context::ready,
    lean::Lean,
    object::{AccountTarget, Target},
};
use crate::api::{
    keys,
    v1alpha1::{Account, AccountKind, AccountRef, AllowedNamespaces, ClusterProviderAccount, ProviderAccount},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Resource, ResourceExt,
    core::{ObjectMeta, PartialObjectMeta},
    runtime::reflector::{ObjectRef, Store},
};
use std::sync::Arc;

/// The caches.
pub(super) struct Accounts {
    /// Those of the namespaces that are watched.
    pub(super) local: Store<Lean<ProviderAccount>>,
    /// Those of the cluster; an operator of one namespace serves none.
    pub(super) shared: Option<Shared>,
}

/// What only an operator of the whole cluster knows.
pub(super) struct Shared {
    pub(super) accounts: Store<Lean<ClusterProviderAccount>>,
    pub(super) namespaces: Store<PartialObjectMeta<Namespace>>,
}

/// The account that an object names, by the place where it must be.
#[derive(Debug, PartialEq, Eq)]
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

/// An account in the cache. A working copy of it is made only for who asks: most look for less.
pub(super) enum Found {
    Local(Arc<Lean<ProviderAccount>>),
    Shared(Arc<Lean<ClusterProviderAccount>>),
}

impl Found {
    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Local(account) => account.meta(),
            Self::Shared(account) => account.meta(),
        }
    }

    /// The place where it is.
    pub(super) fn name(&self) -> AccountName {
        let kind = match self {
            Self::Local(_) => AccountKind::ProviderAccount,
            Self::Shared(_) => AccountKind::ClusterProviderAccount,
        };
        let ObjectMeta { namespace, name, .. } = self.meta();
        AccountName { kind, namespace: namespace.clone().unwrap_or_default(), name: name.clone().unwrap_or_default() }
    }

    pub(super) fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    pub(super) fn version(&self) -> &str {
        self.meta().resource_version.as_deref().unwrap_or_default()
    }

    /// Whether it is being deleted.
    pub(super) fn is_leaving(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }

    /// Whether it carries our finalizer.
    pub(super) fn is_held(&self) -> bool {
        self.meta().finalizers.iter().flatten().any(|f| f == keys::ACCOUNT_FINALIZER)
    }

    /// What its status says of who it is at the provider.
    pub(super) fn identity(&self) -> Option<&String> {
        let status = match self {
            Self::Local(account) => account.good().and_then(Account::account_status),
            Self::Shared(account) => account.good().and_then(Account::account_status),
        };
        status?.identity.as_ref()
    }

    /// Whom a shared account allows; `None` for one of a namespace, which serves that one.
    pub(super) fn allowed(&self) -> Option<&AllowedNamespaces> {
        match self {
            Self::Local(_) => None,
            Self::Shared(account) => account.good().map(|account| &account.spec.allowed_namespaces),
        }
    }

    /// A working copy, if its stored form can be read.
    pub(super) fn account(&self) -> Option<AccountTarget> {
        match self {
            Self::Local(account) => account.good().map(AccountTarget::from),
            Self::Shared(account) => account.good().map(AccountTarget::from),
        }
    }
}

impl Accounts {
    /// The account of this name.
    pub(super) fn get(&self, name: &AccountName) -> Option<Found> {
        match name.kind {
            AccountKind::ProviderAccount => {
                self.local.get(&ObjectRef::new(&name.name).within(&name.namespace)).map(Found::Local)
            }
            AccountKind::ClusterProviderAccount => {
                self.shared.as_ref()?.accounts.get(&ObjectRef::new(&name.name)).map(Found::Shared)
            }
        }
    }

    /// The account that an object names.
    pub(super) fn of(&self, target: &Target) -> Option<Found> {
        self.get(&target.account_name())
    }

    /// Every account.
    pub(super) fn all(&self) -> impl Iterator<Item = Found> {
        let shared = self.shared.iter().flat_map(|shared| shared.accounts.state());
        self.local.state().into_iter().map(Found::Local).chain(shared.map(Found::Shared))
    }

    /// Whether objects of this namespace may use an account that allows these.
    pub(super) fn admits(&self, allowed: Option<&AllowedNamespaces>, namespace: &str) -> bool {
        let (Some(allowed), Some(shared)) = (allowed, &self.shared) else { return true };
        let found = shared.namespaces.get(&ObjectRef::new(namespace));
        allowed.admit(namespace, found.as_ref().map(|namespace| namespace.labels()))
    }

    /// Whether all of it is known, so that an absence means something.
    pub(super) fn synced(&self) -> bool {
        let shared = self.shared.as_ref();
        ready(&self.local) && shared.is_none_or(|shared| ready(&shared.accounts) && ready(&shared.namespaces))
    }
}
