//! The hold on an account in use: our finalizer on the account and on the Secret with its login, so that objects can
//! still be cleaned up at the provider when everything is deleted at once.

use super::{
    accounts::Found,
    context::{Engine, find},
    error::{PassError, bound},
    object::AccountTarget,
    report,
};
use crate::api::keys;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Resource, ResourceExt, api::Patch};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

/// Holds the account and its Secret, or lets go of both, as it should be now.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn keep(engine: &Engine, target: &mut AccountTarget, in_use: bool) -> Result<(), PassError> {
    let name = target.spec.credentials_secret_ref.name.clone();
    // Whoever let go of the Secret of an account that is on its way out knew that nothing uses it any more.
    if target.deleting && target.status.held_secret.as_ref() == Some(&name) {
        return Ok(());
    }
    if in_use {
        return hold(engine, target, &name).await;
    }
    if target.held() {
        return release(engine, target).await;
    }
    // Another process that did not know yet may have held the Secret once more, after this one had let go of it.
    if !is_shared(engine, target, &name, |_| true) {
        hold_secret(engine, &target.secrets, &name, false).await?;
    }
    Ok(())
}

async fn hold(engine: &Engine, target: &mut AccountTarget, name: &str) -> Result<(), PassError> {
    if !target.held() && !target.deleting {
        let wanted = with(&target.finalizers, true);
        write_account(engine, target, wanted).await?;
    }
    let before = target.status.held_secret.clone();
    let held = hold_secret(engine, &target.secrets, name, true).await?;
    if let Some(old) = before.filter(|old| *old != name) {
        let_secret_go(engine, target, &old).await?;
    }
    if held && target.status.held_secret.as_deref() != Some(name) {
        report::account_fields(engine, target, |status| status.held_secret = Some(name.to_owned())).await?;
    }
    Ok(())
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
    for secret in secrets {
        let_secret_go(engine, target, &secret).await?;
    }
    if target.status.held_secret.is_some() && !target.deleting {
        report::account_fields(engine, target, |status| status.held_secret = None).await?;
    }
    let wanted = with(&target.finalizers, false);
    write_account(engine, target, wanted).await
}

async fn write_account(engine: &Engine, target: &mut AccountTarget, finalizers: Vec<String>) -> Result<(), PassError> {
    target.version = patch(&engine.account(target), target.name(), &target.version, &finalizers).await?;
    target.finalizers = finalizers;
    engine.memory.wrote(&target.uid, &target.version);
    Ok(())
}

/// Takes our finalizer off a Secret, unless another account that is in use has its login there.
async fn let_secret_go(engine: &Engine, target: &AccountTarget, name: &str) -> Result<(), PassError> {
    if !is_shared(engine, target, name, Found::is_held) {
        hold_secret(engine, &target.secrets, name, false).await?;
    }
    Ok(())
}

/// Whether another account, such a one, has its login in the Secret of this name. What cannot be read may name it.
fn is_shared(engine: &Engine, target: &AccountTarget, name: &str, such: fn(&Found) -> bool) -> bool {
    let names =
        |other: &AccountTarget| other.secrets == target.secrets && other.spec.credentials_secret_ref.name == name;
    let mut others = engine.accounts.all().filter(|other| other.uid() != target.uid && such(other));
    others.any(|other| other.account().as_ref().is_none_or(names))
}

/// Puts our finalizer on a Secret, or takes it off. False where there is no such Secret, or it is on its way out.
async fn hold_secret(engine: &Engine, namespace: &str, name: &str, hold: bool) -> Result<bool, PassError> {
    let api: Api<Secret> = Api::namespaced(engine.client.clone(), namespace);
    let found = match find(&api, name).await {
        // The pass over the account says so in its status.
        Err(kube::Error::Api(s)) if s.is_forbidden() => return Ok(false),
        found => found.map_err(|e| PassError::Resolve(Box::new(e)))?,
    };
    let Some(secret) = found else { return Ok(false) };
    let is_held = secret.finalizers().iter().any(|f| f == keys::ACCOUNT_FINALIZER);
    if is_held == hold {
        return Ok(hold);
    }
    if hold && secret.meta().deletion_timestamp.is_some() {
        return Ok(false);
    }
    let version = secret.resource_version().unwrap_or_default();
    patch(&api, name, &version, &with(secret.finalizers(), hold)).await?;
    Ok(hold)
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
