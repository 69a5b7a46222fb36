//! The Kubernetes API of Tradewind: the custom resources as Rust types, and the CRDs made from them.
//!
//! Owns the wire form of `tradewind.dev`. It must never hold behaviour: no client, no clock, no rule that CEL or
//! the schema cannot state. Rules that need more than the object itself live in [`crate::domain`].

pub mod connection_secret;
pub mod crd;
pub mod v1alpha1;

/// The API group of every Tradewind resource.
pub const GROUP: &str = "tradewind.dev";

/// Annotations and finalizers, the keys that Tradewind reads or writes on objects.
pub mod keys {
    /// Asks for one reconcile now; the convention of Flux, echoed in `status.lastHandledReconcileAt`.
    pub const RECONCILE_FLUX: &str = "reconcile.fluxcd.io/requestedAt";
    /// Asks for one reconcile now; echoed in `status.lastHandledReconcileAt`.
    pub const RECONCILE: &str = "tradewind.dev/reconcile-requested-at";
    /// Asks for one product and order refresh for each new value.
    pub const REFRESH: &str = "tradewind.dev/refresh-requested-at";
    /// The operator's own record of the attempt to create (see `docs/adr/0002-creation-intent.md`).
    pub const CREATE_INTENT: &str = "tradewind.dev/create-intent";
    /// A person's answer to an unresolved creation, set by `tradewind resolve`.
    pub const RESOLVE: &str = "tradewind.dev/resolve";
    /// Finalizer of a `Connection`.
    pub const CONNECTION_FINALIZER: &str = "tradewind.dev/connection";
    /// Finalizer of an `IntegrationInstance`.
    pub const INSTANCE_FINALIZER: &str = "tradewind.dev/integration-instance";
    /// Finalizer of a `ProviderAccount`, and of its login Secret, while an object that has started names it.
    pub const ACCOUNT_FINALIZER: &str = "tradewind.dev/account-in-use";
    /// Lets the deletion of the object with this UID pass the account's `deletionGuard`.
    pub const ALLOW_DELETION: &str = "tradewind.dev/allow-deletion";
    /// Lets the object with this UID use credentials that the provider gave back in a shared account.
    pub const ALLOW_RESTORED: &str = "tradewind.dev/allow-restored-credentials";
    /// Label of a Secret that the operator wrote: the name of the object it belongs to.
    pub const CONNECTION_LABEL: &str = "tradewind.dev/connection";
}
