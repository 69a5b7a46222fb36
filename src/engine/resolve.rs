//! What an object names: its account, and the Secret with its store's credentials.

use super::{
    context::{Engine, find},
    error::PassError,
    hold,
    object::Target,
    sessions::Entry,
};
use crate::{
    api::v1alpha1::{AccountKind, AccountRef, AdoptionGate, AppliedCredentials},
    domain::{
        reason::{Problem, Reason},
        text::is_name,
        validate::SecretData,
    },
    provider::Session,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use std::sync::Arc;

/// The account of an object.
pub(super) enum Account {
    /// This process has not looked at it yet: come back in a moment, say nothing.
    NotYet,
    /// It cannot be used.
    Unusable(Problem),
    /// It works.
    Usable {
        /// Its session.
        session: Arc<Session>,
        /// Whether objects may adopt.
        adoption_allowed: bool,
        /// It is being deleted: nothing new is made in it.
        leaving: bool,
    },
}

/// The account that an object names.
pub(super) fn account(engine: &Engine, target: &Target) -> Account {
    if !engine.synced() {
        return Account::NotYet;
    }
    let name = target.spec.account_ref();
    let unusable = |text: String| Account::Unusable(Problem::new(Reason::DependencyNotReady, text));
    let Some(found) = engine.accounts.of(target) else { return unusable(unknown(engine, name)) };
    let Some(account) = found.account() else { return unusable(format!("{name} cannot be read. See its own status")) };
    if !engine.accounts.admits(found.allowed(), &target.namespace) {
        let namespace = &target.namespace;
        let text = format!(
            "{name} does not admit namespace {namespace}. Ask whoever runs it to name the namespace, or a label of it, in \
             allowedNamespaces"
        );
        return Account::Unusable(Problem::new(Reason::NamespaceNotAllowed, text));
    }
    if account.spec.provider != target.spec.provider() {
        let (have, want) = (account.spec.provider, target.spec.provider());
        let text = format!("{name} is of provider {have}, this object of {want}. Name another account");
        return Account::Unusable(Problem::new(Reason::InvalidSpec, text));
    }
    let leaving = found.is_leaving();
    // The cache may show a finalizer that this process has taken off since. The login is held after the account, and whoever
    // has started already needs it all the same.
    let held = found.is_held() && !engine.memory.has_let_go(found.uid(), found.version());
    let held = held && (target.bound() || hold::holds_login(&account));
    let tells = |entry: &Entry| entry.problem.is_some() || entry.unheld.is_some();
    let is_ready = |entry: &Entry| entry.judged && (held || leaving || tells(entry));
    let Some(entry) = engine.sessions.get(found.uid()).filter(is_ready) else {
        return Account::NotYet;
    };
    match (entry.problem.or(entry.unheld.filter(|_| !held && !leaving)), entry.session) {
        (Some(problem), _) => {
            let text = format!("{name} is not ready: {}", problem.message);
            Account::Unusable(Problem::new(Reason::DependencyNotReady, text))
        }
        (None, None) => Account::NotYet,
        (None, Some((session, _))) => {
            let adoption_allowed = account.spec.adoption == AdoptionGate::Allowed;
            Account::Usable { session, adoption_allowed, leaving }
        }
    }
}

/// Whether the account is being deleted by now: it may be let go as soon as nothing in it has started.
pub(super) fn is_leaving(engine: &Engine, target: &Target) -> bool {
    engine.accounts.of(target).is_none_or(|account| account.is_leaving())
}

fn unknown(engine: &Engine, name: &AccountRef) -> String {
    match name.kind {
        AccountKind::ProviderAccount => {
            format!("{name} does not exist in this namespace. Create it, or correct accountRef")
        }
        AccountKind::ClusterProviderAccount if engine.accounts.shared.is_none() => format!(
            "{name} is not served here: this operator looks after one namespace. Name a ProviderAccount, or ask for an \
             operator of the whole cluster"
        ),
        AccountKind::ClusterProviderAccount => {
            format!("{name} does not exist. Ask whoever runs the cluster for it, or correct accountRef")
        }
    }
}

fn version<K: ResourceExt>(secret: &K) -> AppliedCredentials {
    AppliedCredentials {
        uid: secret.uid().unwrap_or_default(),
        resource_version: secret.resource_version().unwrap_or_default(),
        key: None,
        rotation: None,
    }
}

/// The version of a Secret, without its data; `None` where nobody may see it, or where it is not there.
pub(super) async fn secret_version(
    engine: &Engine,
    namespace: &str,
    name: &str,
) -> Result<Option<AppliedCredentials>, PassError> {
    // As `find` does, which asks for more than the metadata.
    if !is_name(name) {
        return Ok(None);
    }
    let api: Api<Secret> = Api::namespaced(engine.client.clone(), namespace);
    match api.get_metadata_opt(name).await {
        Err(kube::Error::Api(s)) if s.is_forbidden() => Ok(None),
        found => Ok(found.map_err(|e| PassError::Resolve(Box::new(e)))?.as_ref().map(version)),
    }
}

/// A Secret's data and version.
pub(super) type Read = (SecretData, AppliedCredentials);

/// Reads a Secret of the object's own namespace. What is wrong with it is a problem of the object, not a failure.
pub(super) async fn secret(engine: &Engine, namespace: &str, name: &str) -> Result<Result<Read, Problem>, PassError> {
    let api: Api<Secret> = Api::namespaced(engine.client.clone(), namespace);
    let problem = |reason, text: String| Ok(Err(Problem::new(reason, text)));
    let found = match find(&api, name).await {
        Err(kube::Error::Api(s)) if s.is_forbidden() => {
            let text =
                format!("The operator may not read Secret {name}. Grant it get on Secrets in namespace {namespace}");
            return problem(Reason::PermissionDenied, text);
        }
        found => found.map_err(|e| PassError::Resolve(Box::new(e)))?,
    };
    let Some(secret) = found else {
        return problem(
            Reason::SecretNotFound,
            format!("Secret {name} does not exist in namespace {namespace}. Create it"),
        );
    };
    let version = version(&secret);
    let mut data = SecretData::new();
    for (key, value) in secret.data.unwrap_or_default() {
        // What is no text keeps its place, so that validation can say so; other keys of a shared Secret may be binary.
        data.insert(key, String::from_utf8_lossy(&value.0).into_owned().into());
    }
    Ok(Ok((data, version)))
}
