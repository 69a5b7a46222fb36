//! The hold on an account in use: our finalizer on the account and on the Secret with its login, so that objects can
//! still be cleaned up at the provider when everything is deleted at once.

use super::{
    context::{Engine, find},
    error::{PassError, bound},
    object::AccountTarget,
    report,
};
use crate::{api::keys, domain::text::is_namespace};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Resource, ResourceExt, api::Patch, core::DynamicObject};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

/// Holds the account and its Secret, or lets go of both, as it should be now.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn keep(engine: &Engine, target: &mut AccountTarget, in_use: bool) -> Result<Hold, PassError> {
    if !in_use {
        if target.held() && !target.deleting {
            release(engine, target).await?;
        }
        return Ok(Hold::None);
    }
    if !target.held() && !target.deleting {
        let wanted = with(&target.finalizers, true);
        write_account(engine, target, wanted).await?;
    }
    let now = target.spec.credentials_secret_ref.name.clone();
    let before = target.status.held_secret.clone();
    let held = hold_secret(engine, &target.secrets, &now, true).await?;
    // Another process may be letting go of both, and knows better: nobody would take off what was put on after that.
    if held == Hold::Put && !is_still_held(engine, target).await? {
        let_secret_go(engine, target, &now).await?;
        return Err(PassError::Stale);
    }
    if let Some(old) = before.filter(|old| *old != now) {
        let_secret_go(engine, target, &old).await?;
    }
    if held != Hold::None && target.status.held_secret.as_ref() != Some(&now) {
        report::account_fields(engine, target, |status| status.held_secret = Some(now.clone())).await?;
    }
    Ok(held)
}

/// Lets go of the Secret first and of the account second: the account is what remembers the Secret.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn release(engine: &Engine, target: &mut AccountTarget) -> Result<(), PassError> {
    if !target.held() {
        return Ok(());
    }
    let secrets = [target.status.held_secret.clone(), Some(target.spec.credentials_secret_ref.name.clone())];
    let mut secrets: Vec<String> = secrets.into_iter().flatten().collect();
    secrets.dedup();
    for secret in &secrets {
        let_secret_go(engine, target, secret).await?;
    }
    if target.status.held_secret.is_some() && !target.deleting {
        report::account_fields(engine, target, |status| status.held_secret = None).await?;
    }
    let wanted = with(&target.finalizers, false);
    write_account(engine, target, wanted).await?;
    // Another process that did not know yet may have held them once more in between, and found the account still held.
    for secret in &secrets {
        let_secret_go(engine, target, secret).await?;
    }
    Ok(())
}

/// Whether the account carries our finalizer now, whatever the cache shows.
async fn is_still_held(engine: &Engine, target: &AccountTarget) -> Result<bool, PassError> {
    let found = find(&engine.account(target), target.name()).await.map_err(|e| PassError::Resolve(Box::new(e)))?;
    let ours = |account: &DynamicObject| account.uid().as_deref() == Some(&target.uid);
    Ok(found.filter(ours).is_some_and(|account| account.finalizers().iter().any(|f| f == keys::ACCOUNT_FINALIZER)))
}

async fn write_account(engine: &Engine, target: &mut AccountTarget, finalizers: Vec<String>) -> Result<(), PassError> {
    target.version = patch(&engine.account(target), target.name(), &target.version, &finalizers).await?;
    target.finalizers = finalizers;
    engine.memory.wrote(&target.uid, &target.version);
    Ok(())
}

/// Another account that is in use may have its login in the same Secret.
async fn let_secret_go(engine: &Engine, target: &AccountTarget, name: &str) -> Result<(), PassError> {
    let names =
        |other: &AccountTarget| other.secrets == target.secrets && other.spec.credentials_secret_ref.name == name;
    // What cannot be read may name it.
    let shared = engine
        .accounts
        .all()
        .any(|other| other.uid() != target.uid && other.is_held() && other.account().as_ref().is_none_or(names));
    if !shared {
        hold_secret(engine, &target.secrets, name, false).await?;
    }
    Ok(())
}

/// What became of the hold on a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It carries none: it is not there, or on its way out, or was let go.
    None,
    /// It carried it before.
    Stood,
    /// It carried it before, and is on its way out.
    Leaving,
    /// It carries it from now on.
    Put,
}

/// Puts our finalizer on a Secret, or takes it off.
async fn hold_secret(engine: &Engine, namespace: &str, name: &str, hold: bool) -> Result<Hold, PassError> {
    // The pass over the account says so in its status.
    if !is_namespace(namespace) {
        return Ok(Hold::None);
    }
    let api: Api<Secret> = Api::namespaced(engine.client.clone(), namespace);
    let found = match find(&api, name).await {
        // The pass over the account says so in its status.
        Err(kube::Error::Api(s)) if s.is_forbidden() => return Ok(Hold::None),
        found => found.map_err(|e| PassError::Resolve(Box::new(e)))?,
    };
    let Some(secret) = found else { return Ok(Hold::None) };
    let is_held = secret.finalizers().iter().any(|f| f == keys::ACCOUNT_FINALIZER);
    let leaves = secret.meta().deletion_timestamp.is_some();
    match (hold, is_held) {
        (true, true) => return Ok(if leaves { Hold::Leaving } else { Hold::Stood }),
        (true, false) if leaves => return Ok(Hold::None),
        (false, false) => return Ok(Hold::None),
        (true, false) | (false, true) => {}
    }
    let version = secret.resource_version().unwrap_or_default();
    patch(&api, name, &version, &with(secret.finalizers(), hold)).await?;
    Ok(if hold { Hold::Put } else { Hold::None })
}

async fn patch<K>(api: &Api<K>, name: &str, version: &str, finalizers: &[String]) -> Result<String, PassError>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let body = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
    let written = api.patch_metadata(name, &Engine::patch_params(), &Patch::Merge(&body)).await;
    Ok(written.map_err(|e| bound(e, PassError::Intent))?.resource_version().unwrap_or_default())
}

/// All finalizers, with or without ours.
fn with(finalizers: &[String], ours: bool) -> Vec<String> {
    let own = ours.then(|| keys::ACCOUNT_FINALIZER.to_owned());
    finalizers.iter().filter(|f| *f != keys::ACCOUNT_FINALIZER).cloned().chain(own).collect()
}
