//! Version `v1alpha1` of the API: one file for each kind, and what they share.

#[expect(clippy::duplicated_attributes, reason = "each printcolumn has the attributes of a column")]
#[expect(unreachable_pub, reason = "the derive of KubeSchema makes a private twin of each struct")]
mod cluster_provider_account;
#[expect(clippy::duplicated_attributes, reason = "each printcolumn has the attributes of a column")]
#[expect(unreachable_pub, reason = "the derive of KubeSchema makes a private twin of each struct")]
mod connection;
#[expect(clippy::duplicated_attributes, reason = "each printcolumn has the attributes of a column")]
#[expect(unreachable_pub, reason = "the derive of KubeSchema makes a private twin of each struct")]
mod integration_instance;
mod managed;
#[expect(clippy::duplicated_attributes, reason = "each printcolumn has the attributes of a column")]
#[expect(unreachable_pub, reason = "the derive of KubeSchema makes a private twin of each struct")]
mod provider_account;
#[expect(unreachable_pub, reason = "the derive of KubeSchema makes a private twin of each struct")]
mod references;
#[expect(unreachable_pub, reason = "the derive of KubeSchema makes a private twin of each struct")]
mod shared;

pub use cluster_provider_account::{
    AllowedNamespaces, ClusterProviderAccount, ClusterProviderAccountSpec, LabelExpression, LabelOperator, LabelValue,
    NamespaceSelector,
};
pub use connection::{
    ArcusConnection, ArcusMode, Authorization, Connection, ConnectionSpec, RutterConnection, ShipFrom, Sync, SyncEntity,
};
pub(in crate::api) use integration_instance::KEEPS_NULL;
pub use integration_instance::{
    InstanceSettings, IntegrationInstance, IntegrationInstanceSpec, Nullable, SalesChannel, SecretKeyRef,
};
pub use managed::{Account, Declaration, Managed};
pub use provider_account::{
    AdoptionGate, ArcusAccount, DeletionGuard, Deletions, Limits, ProviderAccount, ProviderAccountSpec,
    ProviderAccountStatus, RutterAccount, RutterEnvironment, SkuIoAccount,
};
pub use references::{AccountKind, AccountRef, ExternalRef, LocalSecretRef, SecretRef};
pub use shared::{
    AdoptionPolicy, AppliedCredentials, AppliedField, AuthorizationStatus, CreationStatus, DeletionPolicy,
    ExternalLossPolicy, LastAction, ManagedStatus, ManagementPolicy, ParameterValue, Provider, RefreshPhase,
    RefreshState, RefreshStatus, Refused, ReplacementPolicy, Rotation, StoredIntent,
};
