//! What the kinds with a record at a provider have in common, and what accounts have, so that everything else can be
//! written once for all.

use super::{
    AccountRef, AdoptionPolicy, ClusterProviderAccount, Connection, ConnectionSpec, DeletionPolicy, ExternalLossPolicy,
    ExternalRef, IntegrationInstance, IntegrationInstanceSpec, LocalSecretRef, ManagedStatus, ManagementPolicy,
    Provider, ProviderAccount, ProviderAccountStatus, ReplacementPolicy,
};
use crate::api::keys;
use kube::{Resource, core::NamespaceResourceScope};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A kind whose objects each declare one record at a provider.
pub trait Managed:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// The kind's name.
    const KIND: &'static str;
    /// The finalizer that objects of this kind carry while they may have a record.
    const FINALIZER: &'static str;

    /// `spec.provider`.
    fn provider(&self) -> Provider;
    /// `spec.accountRef`.
    fn account_ref(&self) -> &AccountRef;
    /// Whether the object names this Secret, to read or to write it.
    fn names_secret(&self, name: &str) -> bool;
    /// The declaration.
    fn declaration(&self) -> Declaration;
    /// The status, where one was written.
    fn managed_status(&self) -> Option<&ManagedStatus>;
}

impl Managed for Connection {
    const KIND: &'static str = "Connection";
    const FINALIZER: &'static str = keys::CONNECTION_FINALIZER;

    fn provider(&self) -> Provider {
        self.spec.provider
    }
    fn account_ref(&self) -> &AccountRef {
        &self.spec.account_ref
    }
    fn names_secret(&self, name: &str) -> bool {
        let read = self.spec.rutter.as_ref().and_then(|r| r.credentials_secret_ref.as_ref());
        [read, self.spec.connection_secret_ref.as_ref()].into_iter().flatten().any(|r| r.name == name)
    }
    fn declaration(&self) -> Declaration {
        Declaration::Connection(self.spec.clone())
    }
    fn managed_status(&self) -> Option<&ManagedStatus> {
        self.status.as_ref()
    }
}

impl Managed for IntegrationInstance {
    const KIND: &'static str = "IntegrationInstance";
    const FINALIZER: &'static str = keys::INSTANCE_FINALIZER;

    fn provider(&self) -> Provider {
        self.spec.provider
    }
    fn account_ref(&self) -> &AccountRef {
        &self.spec.account_ref
    }
    fn names_secret(&self, name: &str) -> bool {
        self.spec.access_token_secret_ref.as_ref().is_some_and(|r| r.name == name)
    }
    fn declaration(&self) -> Declaration {
        Declaration::IntegrationInstance(self.spec.clone())
    }
    fn managed_status(&self) -> Option<&ManagedStatus> {
        self.status.as_ref()
    }
}

/// A kind whose objects each are one login at one provider.
pub trait Account: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name.
    const KIND: &'static str;

    /// `spec.provider`.
    fn provider(&self) -> Provider;
    /// Whether its login is in this Secret.
    fn names_secret(&self, namespace: &str, name: &str) -> bool;
    /// The status, where one was written.
    fn account_status(&self) -> Option<&ProviderAccountStatus>;
}

impl Account for ProviderAccount {
    const KIND: &'static str = "ProviderAccount";

    fn provider(&self) -> Provider {
        self.spec.provider
    }
    fn names_secret(&self, namespace: &str, name: &str) -> bool {
        self.meta().namespace.as_deref() == Some(namespace) && self.spec.credentials_secret_ref.name == name
    }
    fn account_status(&self) -> Option<&ProviderAccountStatus> {
        self.status.as_ref()
    }
}

impl Account for ClusterProviderAccount {
    const KIND: &'static str = "ClusterProviderAccount";

    fn provider(&self) -> Provider {
        self.spec.provider
    }
    fn names_secret(&self, namespace: &str, name: &str) -> bool {
        let secret = &self.spec.credentials_secret_ref;
        secret.namespace == namespace && secret.name == name
    }
    fn account_status(&self) -> Option<&ProviderAccountStatus> {
        self.status.as_ref()
    }
}

/// The spec of an object of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Declaration {
    /// Of a `Connection`.
    Connection(ConnectionSpec),
    /// Of an `IntegrationInstance`.
    IntegrationInstance(IntegrationInstanceSpec),
}

/// A field that both kinds have, under the same name and with the same meaning.
macro_rules! common {
    ($self:ident.$($field:tt)+) => {
        match $self {
            Self::Connection(spec) => spec.$($field)+,
            Self::IntegrationInstance(spec) => spec.$($field)+,
        }
    };
}

impl Declaration {
    /// `spec.provider`.
    #[must_use]
    pub fn provider(&self) -> Provider {
        common!(self.provider)
    }

    /// `spec.accountRef`.
    #[must_use]
    pub fn account_ref(&self) -> &AccountRef {
        match self {
            Self::Connection(spec) => &spec.account_ref,
            Self::IntegrationInstance(spec) => &spec.account_ref,
        }
    }

    /// `spec.platform` as it is written.
    #[must_use]
    pub fn platform(&self) -> Option<String> {
        match self {
            Self::Connection(spec) => spec.platform.clone(),
            Self::IntegrationInstance(spec) => Some(spec.platform.to_string()),
        }
    }

    /// `spec.connectionSecretRef`, which only a `Connection` has.
    #[must_use]
    pub fn connection_secret_ref(&self) -> Option<&LocalSecretRef> {
        match self {
            Self::Connection(spec) => spec.connection_secret_ref.as_ref(),
            Self::IntegrationInstance(_) => None,
        }
    }

    /// `spec.externalRef`.
    #[must_use]
    pub fn external_ref(&self) -> Option<&ExternalRef> {
        common!(self.external_ref.as_ref())
    }

    /// `spec.adoptionPolicy`.
    #[must_use]
    pub fn adoption_policy(&self) -> AdoptionPolicy {
        common!(self.adoption_policy)
    }

    /// `spec.deletionPolicy`, with its default.
    #[must_use]
    pub fn deletion_policy(&self) -> DeletionPolicy {
        common!(self.deletion_policy.unwrap_or_default())
    }

    /// `spec.managementPolicy`.
    #[must_use]
    pub fn management_policy(&self) -> ManagementPolicy {
        common!(self.management_policy)
    }

    /// `spec.replacementPolicy`, with its default.
    #[must_use]
    pub fn replacement_policy(&self) -> ReplacementPolicy {
        common!(self.replacement_policy.unwrap_or_default())
    }

    /// `spec.onExternalLoss`.
    #[must_use]
    pub fn on_external_loss(&self) -> ExternalLossPolicy {
        common!(self.on_external_loss)
    }

    /// `spec.interval` as it is written.
    #[must_use]
    pub fn interval(&self) -> &str {
        match self {
            Self::Connection(spec) => &spec.interval,
            Self::IntegrationInstance(spec) => &spec.interval,
        }
    }

    /// `spec.suspend`.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        common!(self.suspend)
    }
}
