//! An object as a pass sees it: a working copy, of what has a record and of accounts.

use super::accounts::AccountName;
use crate::{
    api::{
        keys,
        v1alpha1::{
            AccountKind, AccountRef, AllowedNamespaces, ClusterProviderAccount, Connection, Declaration,
            IntegrationInstance, Managed, ManagedStatus, ManagementPolicy, ProviderAccount, ProviderAccountSpec,
            ProviderAccountStatus, StoredIntent,
        },
    },
    domain::{
        ids::ExternalId,
        intent::{Creation, Stored},
        request,
    },
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt, core::ApiResource};

/// The working copy of one pass, of an object of any kind with a record: it follows the pass' own writes, so that the
/// next one carries the right version.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// For events.
    pub(super) reference: ObjectReference,
    /// Our finalizer on objects of its kind.
    pub(super) finalizer: &'static str,
    /// Namespace.
    pub(super) namespace: String,
    /// Name.
    pub(super) name: String,
    /// UID; never changes under a pass.
    pub(super) uid: String,
    /// Version that the next write is bound to.
    pub(super) version: String,
    /// Generation that the status is about.
    pub(super) generation: i64,
    /// When the object came to be, by the API server's clock.
    pub(super) declared: Timestamp,
    /// It is being deleted.
    pub(super) deleting: bool,
    /// All finalizers.
    pub(super) finalizers: Vec<String>,
    /// Our intent annotation.
    pub(super) annotation: Option<String>,
    /// The person's answer, see [`keys::RESOLVE`].
    pub(super) resolve: Option<String>,
    /// The value that asks for a reconcile now.
    pub(super) requested: Option<String>,
    /// The value that asks for a refresh.
    pub(super) refresh: Option<String>,
    /// The UID whose deletion a person lets pass the guard.
    pub(super) allowed: Option<String>,
    /// The UID that a person lets have restored credentials.
    pub(super) allowed_restored: Option<String>,
    /// The declaration.
    pub(super) spec: Declaration,
    /// The status as last read or written.
    pub(super) status: ManagedStatus,
}

/// The value that asks for a reconcile now.
fn requested(object: &impl ResourceExt) -> Option<String> {
    request::latest(object.annotations()).map(str::to_owned)
}

fn declared(object: &impl ResourceExt) -> Timestamp {
    object.meta().creation_timestamp.as_ref().map_or(Timestamp::MIN, |t| t.0)
}

impl<K: Managed> From<&K> for Target {
    fn from(object: &K) -> Self {
        let annotation = |key: &str| object.annotations().get(key).cloned();
        Self {
            reference: object.object_ref(&()),
            finalizer: K::FINALIZER,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            version: object.resource_version().unwrap_or_default(),
            generation: object.meta().generation.unwrap_or_default(),
            declared: declared(object),
            deleting: object.meta().deletion_timestamp.is_some(),
            finalizers: object.finalizers().to_vec(),
            annotation: annotation(keys::CREATE_INTENT),
            resolve: annotation(keys::RESOLVE),
            requested: requested(object),
            refresh: annotation(keys::REFRESH),
            allowed: annotation(keys::ALLOW_DELETION),
            allowed_restored: annotation(keys::ALLOW_RESTORED),
            spec: object.declaration(),
            status: object.managed_status().cloned().unwrap_or_default(),
        }
    }
}

impl Target {
    /// Its kind, for the API server.
    #[must_use]
    pub(super) fn resource(&self) -> ApiResource {
        match self.spec {
            Declaration::Connection(_) => ApiResource::erase::<Connection>(&()),
            Declaration::IntegrationInstance(_) => ApiResource::erase::<IntegrationInstance>(&()),
        }
    }

    /// What the object says of its creation.
    #[must_use]
    pub(super) fn stored(&self) -> Stored<'_> {
        Stored {
            uid: &self.uid,
            annotation: self.annotation.as_deref(),
            status: &self.status,
            observe_only: self.spec.management_policy() == ManagementPolicy::ObserveOnly,
        }
    }

    /// How far its creation has come.
    #[must_use]
    pub(super) fn creation(&self) -> Creation {
        self.stored().creation()
    }

    /// Whether it carries our finalizer.
    #[must_use]
    pub(super) fn bound(&self) -> bool {
        self.finalizers.iter().any(|f| f == self.finalizer)
    }

    /// Whether credentials that come back may be another namespace's, and nobody has said that it may have them.
    #[must_use]
    pub(super) fn fears_restored(&self) -> bool {
        self.spec.account_ref().kind == AccountKind::ClusterProviderAccount
            && self.allowed_restored.as_deref() != Some(&self.uid)
    }

    /// All finalizers, with or without ours.
    #[must_use]
    pub(super) fn finalizers(&self, with_ours: bool) -> Vec<String> {
        let ours = with_ours.then(|| self.finalizer.to_owned());
        self.finalizers.iter().filter(|f| *f != self.finalizer).cloned().chain(ours).collect()
    }

    /// The id in status.
    #[must_use]
    pub(super) fn recorded(&self) -> Option<ExternalId> {
        self.status.external_id.as_ref().map(ExternalId::new)
    }

    /// Whether it is the object of before, declared as it was then, and has this record and our finalizer.
    #[must_use]
    pub(super) fn is_as_before(&self, before: &Self, id: &ExternalId) -> bool {
        let is_same = (&self.uid, self.generation) == (&before.uid, before.generation);
        is_same && self.bound() && self.recorded().as_ref() == Some(id)
    }

    /// The newest intent, if it can be read.
    #[must_use]
    pub(super) fn intent(&self) -> Option<StoredIntent> {
        self.stored().intent().ok().flatten()
    }

    /// Whether this attempt is its open one.
    #[must_use]
    pub(super) fn has_open(&self, intent: &StoredIntent) -> bool {
        match self.creation() {
            Creation::Pending(open) => open.nonce == intent.nonce,
            // It knows of no attempt, not even of this one: somebody took its status and its annotations away. The pass
            // that has sent it is the last that can tell.
            Creation::NotStarted => self.stored().is_untried(),
            Creation::Done(_) | Creation::Unverifiable(_) => false,
        }
    }

    /// Whether its status speaks of this attempt, settled or not.
    #[must_use]
    pub(super) fn tells_of(&self, intent: &StoredIntent) -> bool {
        let creation = self.status.creation.as_ref();
        creation.and_then(|creation| creation.intent.as_ref()).is_some_and(|twin| twin.nonce == intent.nonce)
    }

    /// The account that it names.
    #[must_use]
    pub(super) fn account_name(&self) -> AccountName {
        AccountName::of(self.spec.account_ref(), &self.namespace)
    }

    /// The identity of the account that the record, or the open attempt, belongs to.
    #[must_use]
    pub(super) fn account(&self, creation: &Creation) -> Option<String> {
        match creation {
            Creation::Pending(intent) => Some(intent.account.clone()),
            Creation::Done(_) => self.status.account.clone(),
            Creation::NotStarted | Creation::Unverifiable(_) => None,
        }
    }

    /// Whether somebody asked for a reconcile and has not been answered.
    #[must_use]
    pub(super) fn is_requested(&self) -> bool {
        self.requested.is_some() && self.requested != self.status.last_handled_reconcile_at
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The working copy of one pass over an account.
#[derive(Clone, Debug)]
pub(super) struct AccountTarget {
    /// For events.
    pub(super) reference: ObjectReference,
    /// Its kind and name, as objects name it.
    pub(super) named: AccountRef,
    /// Its namespace; empty for one of the cluster.
    pub(super) namespace: String,
    /// The namespace of the Secret with its login.
    pub(super) secrets: String,
    /// Who may use it; everybody in its namespace where absent.
    pub(super) allowed: Option<AllowedNamespaces>,
    /// UID; never changes under a pass.
    pub(super) uid: String,
    /// Version that the next write is bound to.
    pub(super) version: String,
    /// Generation that the status is about.
    pub(super) generation: i64,
    /// When the object came to be, by the API server's clock.
    pub(super) declared: Timestamp,
    /// It is being deleted.
    pub(super) deleting: bool,
    /// All finalizers.
    pub(super) finalizers: Vec<String>,
    /// The value that asks for a reconcile now.
    pub(super) requested: Option<String>,
    /// The declaration, as far as both kinds have it.
    pub(super) spec: ProviderAccountSpec,
    /// The status as last read or written.
    pub(super) status: ProviderAccountStatus,
}

impl From<&ProviderAccount> for AccountTarget {
    fn from(object: &ProviderAccount) -> Self {
        let secrets = object.namespace().unwrap_or_default();
        Self::new(object, AccountKind::ProviderAccount, secrets, object.spec.clone(), object.status.as_ref())
    }
}

impl From<&ClusterProviderAccount> for AccountTarget {
    fn from(object: &ClusterProviderAccount) -> Self {
        let (secrets, spec) = (object.spec.credentials_secret_ref.namespace.clone(), object.spec.account());
        let account = Self::new(object, AccountKind::ClusterProviderAccount, secrets, spec, object.status.as_ref());
        Self { allowed: Some(object.spec.allowed_namespaces.clone()), ..account }
    }
}

impl AccountTarget {
    fn new<K: Resource<DynamicType = ()>>(
        object: &K,
        kind: AccountKind,
        secrets: String,
        spec: ProviderAccountSpec,
        status: Option<&ProviderAccountStatus>,
    ) -> Self {
        Self {
            reference: object.object_ref(&()),
            named: AccountRef { kind, name: object.name_any() },
            namespace: object.namespace().unwrap_or_default(),
            secrets,
            allowed: None,
            uid: object.uid().unwrap_or_default(),
            version: object.resource_version().unwrap_or_default(),
            generation: object.meta().generation.unwrap_or_default(),
            declared: declared(object),
            deleting: object.meta().deletion_timestamp.is_some(),
            finalizers: object.finalizers().to_vec(),
            requested: requested(object),
            spec,
            status: status.cloned().unwrap_or_default(),
        }
    }

    /// Its name.
    #[must_use]
    pub(super) fn name(&self) -> &str {
        &self.named.name
    }

    /// Whether an object names it.
    #[must_use]
    pub(super) fn is_named(&self, account: &AccountRef, namespace: &str) -> bool {
        *account == self.named && (self.is_shared() || self.namespace == namespace)
    }

    /// Whether it is one of the cluster.
    #[must_use]
    pub(super) fn is_shared(&self) -> bool {
        self.namespace.is_empty()
    }

    /// Whether it carries our finalizer.
    #[must_use]
    pub(super) fn held(&self) -> bool {
        self.finalizers.iter().any(|f| f == keys::ACCOUNT_FINALIZER)
    }

    /// Whether somebody asked for a reconcile and has not been answered.
    #[must_use]
    pub(super) fn is_requested(&self) -> bool {
        self.requested.is_some() && self.requested != self.status.last_handled_reconcile_at
    }
}

impl std::fmt::Display for AccountTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.as_str() {
            "" => f.write_str(self.name()),
            namespace => write!(f, "{namespace}/{}", self.name()),
        }
    }
}
