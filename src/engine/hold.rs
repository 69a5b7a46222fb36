//! The hold on an account in use: our finalizer on the account and on the Secret with its login, so that objects can
//! still be cleaned up at the provider when everything is deleted at once.

use super::{
    context::{Engine, find},
    error::{PassError, bound, is_passing},
    object::AccountTarget,
    report,
};
use crate::{
    api::keys,
    domain::{
        reason::{Problem, Reason},
        text::is_namespace,
    },
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Resource, ResourceExt, api::Patch, core::DynamicObject};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

/// Holds the account and its Secret, and says of the account that both are: nothing is made in it before.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn keep(engine: &Engine, target: &mut AccountTarget) -> Result<Hold, PassError> {
    if !target.held() {
        // What is let go already is not held again while it goes.
        if target.deleting {
            return Ok(Hold::None);
        }
        write_account(engine, target, true).await?;
    }
    let (now, before) = (Place::declared(target), Place::held(target));
    let held = hold_secret(engine, &now, true).await?;
    // Another process may be letting go of both, and knows better: nobody would take off what was put on after that.
    if held == Hold::Put && !is_still_held(engine, target).await? {
        let_secret_go(engine, target, &now).await?;
        return Err(PassError::Stale);
    }
    if matches!(held, Hold::None | Hold::TooLate) {
        return Ok(held);
    }
    // Not before the new one is held: what was made with the old one could not be cleaned up without it.
    if let Some(old) = before.filter(|old| *old != now) {
        let_secret_go(engine, target, &old).await?;
    }
    let text = now.text(target);
    if target.status.held_secret.as_ref() != Some(&text) {
        report::account_fields(engine, target, |status| status.held_secret = Some(text.clone())).await?;
    }
    Ok(held)
}

/// Lets go of the Secret first and of the account second: the account is what remembers the Secret.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn release(engine: &Engine, target: &mut AccountTarget) -> Result<(), PassError> {
    let secrets = [Place::held(target), Some(Place::declared(target))];
    let mut secrets: Vec<Place> = secrets.into_iter().flatten().collect();
    secrets.dedup();
    for secret in &secrets {
        let gone = let_secret_go(engine, target, secret).await;
        if Place::held(target).as_ref() == Some(secret) { gone? } else { unless_hidden(gone)? }
    }
    if target.status.held_secret.is_some() && !target.deleting {
        report::account_fields(engine, target, |status| status.held_secret = None).await?;
    }
    write_account(engine, target, false).await?;
    // Another process that did not know yet may have held them once more in between, and found the account still held.
    for secret in &secrets {
        unless_hidden(let_secret_go(engine, target, secret).await)?;
    }
    Ok(())
}

/// What may not be read was most likely never held, unless status says that it was.
fn unless_hidden(gone: Result<(), PassError>) -> Result<(), PassError> {
    let is_hidden = |refusal: &kube::Error| matches!(refusal, kube::Error::Api(status) if status.is_forbidden());
    match gone {
        Err(PassError::Intent(refusal)) if is_hidden(&refusal) => Ok(()),
        gone => gone,
    }
}

/// Lets go of the login of an account that is not held: a process that ended in between may have held it after another had let
/// go of both.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn forget(engine: &Engine, target: &AccountTarget) -> Result<(), PassError> {
    unless_hidden(let_secret_go(engine, target, &Place::declared(target)).await)
}

/// Whether status says that the login which the account declares is held.
pub(super) fn holds_login(target: &AccountTarget) -> bool {
    Place::held(target).as_ref() == Some(&Place::declared(target))
}

/// What is wrong with a login that will be gone in a moment, and cannot be kept for the objects that would need it.
pub(super) fn too_late(target: &AccountTarget) -> Problem {
    let Place { namespace, name } = Place::declared(target);
    let text = format!(
        "Secret {name} is being deleted in namespace {namespace}. Create it anew once it is gone, or put the login into another \
         Secret and name that one in credentialsSecretRef"
    );
    Problem::new(Reason::SecretNotFound, text)
}

/// Whether the account carries our finalizer now, whatever the cache shows.
async fn is_still_held(engine: &Engine, target: &AccountTarget) -> Result<bool, PassError> {
    let found = find(&engine.account(target), target.name()).await.map_err(|e| PassError::Resolve(Box::new(e)))?;
    let ours = |account: &DynamicObject| account.uid().as_deref() == Some(&target.uid);
    Ok(found.filter(ours).is_some_and(|account| account.finalizers().iter().any(|f| f == keys::ACCOUNT_FINALIZER)))
}

async fn write_account(engine: &Engine, target: &mut AccountTarget, held: bool) -> Result<(), PassError> {
    let finalizers = with(&target.finalizers, held);
    if !held {
        // Whatever comes of it.
        engine.memory.lets_go(&target.uid, &target.version);
    }
    target.version = patch(&engine.account(target), target.name(), &target.version, &finalizers).await?;
    target.finalizers = finalizers;
    engine.memory.wrote(&target.uid, &target.version);
    if held {
        engine.memory.holds(&target.uid);
    }
    Ok(())
}

/// Another account that is in use may have its login in the same Secret.
async fn let_secret_go(engine: &Engine, target: &AccountTarget, place: &Place) -> Result<(), PassError> {
    let names = |other: &AccountTarget| Place::declared(other) == *place;
    // What cannot be read may name it.
    let shared = engine
        .accounts
        .all()
        .any(|other| other.uid() != target.uid && other.is_held() && other.account().as_ref().is_none_or(names));
    if !shared {
        hold_secret(engine, place, false).await?;
    }
    Ok(())
}

/// Where a Secret with a login is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    namespace: String,
    name: String,
}

impl Place {
    fn declared(target: &AccountTarget) -> Self {
        Self { namespace: target.secrets.clone(), name: target.spec.credentials_secret_ref.name.clone() }
    }

    /// The one that status says is held. An account of a namespace has it there, whatever is written.
    fn held(target: &AccountTarget) -> Option<Self> {
        let text = target.status.held_secret.as_deref()?;
        let (namespace, name) =
            text.split_once('/').filter(|_| target.is_shared()).unwrap_or((target.secrets.as_str(), text));
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// As it stands in status.
    fn text(&self, target: &AccountTarget) -> String {
        let Self { namespace, name } = self;
        if target.is_shared() { format!("{namespace}/{name}") } else { name.clone() }
    }
}

/// What became of the hold on a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It carries none: it is not there, or was let go.
    None,
    /// It carries none, and none can be put on it any more: it is on its way out.
    TooLate,
    /// It carried it before.
    Stood,
    /// It carried it before, and is on its way out.
    Leaving,
    /// It carries it from now on.
    Put,
}

/// Puts our finalizer on a Secret, or takes it off.
async fn hold_secret(engine: &Engine, place: &Place, hold: bool) -> Result<Hold, PassError> {
    let Place { namespace, name } = place;
    // The pass over the account says so in its status.
    if !is_namespace(namespace) {
        return Ok(Hold::None);
    }
    let api: Api<Secret> = Api::namespaced(engine.client.clone(), namespace);
    let found = match find(&api, name).await {
        // The pass over the account says so in its status.
        Err(kube::Error::Api(s)) if s.is_forbidden() && hold => return Ok(Hold::None),
        // It may carry our finalizer, which nobody would take off any more.
        Err(error @ kube::Error::Api(_)) if !is_passing(&error) => return Err(PassError::Intent(Box::new(error))),
        found => found.map_err(|e| PassError::Resolve(Box::new(e)))?,
    };
    let Some(secret) = found else { return Ok(Hold::None) };
    let is_held = secret.finalizers().iter().any(|f| f == keys::ACCOUNT_FINALIZER);
    let leaves = secret.meta().deletion_timestamp.is_some();
    match (hold, is_held) {
        (true, true) => return Ok(if leaves { Hold::Leaving } else { Hold::Stood }),
        (true, false) if leaves => return Ok(Hold::TooLate),
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
