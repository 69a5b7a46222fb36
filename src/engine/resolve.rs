//! What an object names: its account, and the Secret with its store's credentials.

use super::{
    context::Engine,
    error::PassError,
    object::{Lean, Target},
};
use crate::{
    api::{
        keys,
        v1alpha1::{AccountKind, AdoptionGate, AppliedCredentials, ProviderAccount},
    },
    domain::{
        reason::{Problem, Reason},
        validate::SecretData,
    },
    provider::Session,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Resource, ResourceExt};
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
    if target.spec.account_ref().kind == AccountKind::ClusterProviderAccount {
        let text = "This version of Tradewind does not serve ClusterProviderAccounts: name a ProviderAccount";
        return Account::Unusable(Problem::new(Reason::UnsupportedPlatform, text));
    }
    let name = &target.spec.account_ref().name;
    let unusable = |text: String| Account::Unusable(Problem::new(Reason::DependencyNotReady, text));
    let Some(found) = engine.account_of(target) else {
        return unusable(format!(
            "ProviderAccount {name} does not exist in this namespace. Create it, or correct accountRef"
        ));
    };
    let account: &ProviderAccount = match found.as_ref() {
        Lean::Good(account) => account,
        Lean::Bad { .. } => return unusable(format!("ProviderAccount {name} cannot be read. See its own status")),
    };
    if account.spec.provider != target.spec.provider() {
        let (have, want) = (account.spec.provider, target.spec.provider());
        let text = format!("ProviderAccount {name} is of provider {have}, this object of {want}. Name another account");
        return Account::Unusable(Problem::new(Reason::InvalidSpec, text));
    }
    let held = account.finalizers().iter().any(|f| f == keys::ACCOUNT_FINALIZER);
    let leaving = account.metadata.deletion_timestamp.is_some();
    let entry = engine.sessions.get(&account.uid().unwrap_or_default());
    let Some(entry) = entry.filter(|entry| entry.judged && (held || leaving || entry.problem.is_some())) else {
        return Account::NotYet;
    };
    match (entry.problem, entry.session) {
        (Some(problem), _) => {
            let text = format!("ProviderAccount {name} is not ready: {}", problem.message);
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
    engine.account_of(target).is_none_or(|account| account.meta().deletion_timestamp.is_some())
}

/// A Secret's data and version.
pub(super) type Read = (SecretData, AppliedCredentials);

/// Reads a Secret of the object's own namespace. What is wrong with it is a problem of the object, not a failure.
pub(super) async fn secret(engine: &Engine, namespace: &str, name: &str) -> Result<Result<Read, Problem>, PassError> {
    let api: Api<Secret> = Api::namespaced(engine.client.clone(), namespace);
    let problem = |reason, text: String| Ok(Err(Problem::new(reason, text)));
    let found = match api.get_opt(name).await {
        Err(kube::Error::Api(s)) if s.is_forbidden() => {
            let text = format!("The operator may not read Secret {name}. Grant it get on Secrets in this namespace");
            return problem(Reason::PermissionDenied, text);
        }
        found => found.map_err(|e| PassError::Resolve(Box::new(e)))?,
    };
    let Some(secret) = found else {
        return problem(Reason::SecretNotFound, format!("Secret {name} does not exist in this namespace. Create it"));
    };
    let version = AppliedCredentials {
        uid: secret.uid().unwrap_or_default(),
        resource_version: secret.resource_version().unwrap_or_default(),
    };
    let mut data = SecretData::new();
    for (key, value) in secret.data.unwrap_or_default() {
        // What is no text keeps its place, so that validation can say so; other keys of a shared Secret may be binary.
        data.insert(key, String::from_utf8_lossy(&value.0).into_owned().into());
    }
    Ok(Ok((data, version)))
}
