//! The connection Secret: what the operator hands out, and whom it must never overwrite.
//!
//! It is written only if absent, controlled by our object's UID, or uncontrolled and labelled as the object's: a tenant
//! must not be able to make the operator overwrite a Secret of somebody else.

use super::{
    context::{Engine, find},
    error::{PassError, is_missing, is_passing},
    object::Target,
};
use crate::{
    api::{
        connection_secret::{CONNECTION_ID, label_of},
        keys,
    },
    domain::{
        ids::ExternalId,
        reason::{Problem, Reason},
    },
    provider::ConnectionSecret,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{Patch, PostParams},
    core::Status,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What stands under the Secret's name.
enum Place {
    Free,
    Ours(Box<Secret>),
    Foreign,
    /// The API server does not let us look; in its words.
    Hidden(String),
}

/// Whether the object's connection Secret could be written; asked before a create, so that nothing is made whose
/// token has no place to go. The id that it names already, or the problem where the name belongs to somebody else.
///
/// # Errors
/// The API server's refusal.
pub(super) async fn check(engine: &Engine, target: &Target) -> Result<Result<Option<ExternalId>, Problem>, PassError> {
    let Some(name) = name(target) else { return Ok(Ok(None)) };
    Ok(match place(&api(engine, target), name, target).await? {
        Place::Free => Ok(None),
        Place::Ours(secret) => Ok(secret.data.as_ref().and_then(named)),
        Place::Foreign => Err(conflict(name)),
        Place::Hidden(words) => Err(forbidden(name, &words)),
    })
}

fn named(data: &BTreeMap<String, ByteString>) -> Option<ExternalId> {
    let id = data.get(CONNECTION_ID)?;
    std::str::from_utf8(&id.0).ok().map(ExternalId::new)
}

/// Writes the connection Secret if it is not there or differs.
///
/// # Errors
/// The API server's refusal; the problem where the name belongs to somebody else.
pub(super) async fn publish(
    engine: &Engine,
    target: &Target,
    secret: Option<&ConnectionSecret>,
) -> Result<Option<Problem>, PassError> {
    let (Some(name), Some(secret)) = (name(target), secret) else { return Ok(None) };
    let api = api(engine, target);
    match place(&api, name, target).await? {
        Place::Foreign => Ok(Some(conflict(name))),
        Place::Hidden(words) => Ok(Some(forbidden(name, &words))),
        Place::Free => match api.create(&post_params(), &fresh(name, target, secret)).await {
            // Somebody was quicker; the next pass looks at what they made.
            Err(kube::Error::Api(s)) if s.is_already_exists() => Err(PassError::Stale),
            Err(kube::Error::Api(s)) if is_ending(&s) => Ok(Some(ending())),
            Err(e) => refused(name, e).map(Some),
            Ok(_) => Ok(None),
        },
        Place::Ours(old) if is_current(&old, target, secret) => Ok(None),
        Place::Ours(old) => {
            let body = patch(&old, target, secret);
            match api.patch(name, &Engine::patch_params(), &Patch::Merge(&body)).await {
                Err(kube::Error::Api(s)) if s.is_conflict() || is_missing(&s) => Err(PassError::Stale),
                Err(kube::Error::Api(s)) if s.is_invalid() && old.immutable == Some(true) => Ok(Some(conflict(name))),
                Err(e) => refused(name, e).map(Some),
                Ok(_) => Ok(None),
            }
        }
    }
}

/// Whether the object's own connection Secret says this.
///
/// # Errors
/// The API server's refusal.
pub(super) async fn holds(engine: &Engine, target: &Target, key: &str, value: &str) -> Result<bool, PassError> {
    let Some(name) = name(target) else { return Ok(false) };
    Ok(match place(&api(engine, target), name, target).await? {
        Place::Ours(secret) => secret.data.is_some_and(|data| data.get(key).is_some_and(|v| v.0 == value.as_bytes())),
        Place::Free | Place::Foreign | Place::Hidden(_) => false,
    })
}

fn name(target: &Target) -> Option<&str> {
    target.spec.connection_secret_ref().map(|r| r.name.as_str())
}

fn api(engine: &Engine, target: &Target) -> Api<Secret> {
    Api::namespaced(engine.client.clone(), &target.namespace)
}

fn post_params() -> PostParams {
    PostParams { field_manager: Some(super::context::FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

async fn place(api: &Api<Secret>, name: &str, target: &Target) -> Result<Place, PassError> {
    let found = match find(api, name).await {
        Err(kube::Error::Api(s)) if s.is_forbidden() => return Ok(Place::Hidden(s.message)),
        found => found.map_err(|e| PassError::Publish(Box::new(e)))?,
    };
    let Some(secret) = found else { return Ok(Place::Free) };
    let controller = secret.owner_references().iter().find(|o| o.controller == Some(true)).map(|o| o.uid.clone());
    let labelled = secret.labels().get(keys::CONNECTION_LABEL) == Some(&label_of(&target.name));
    Ok(match controller {
        Some(uid) if uid == target.uid => Place::Ours(Box::new(secret)),
        None if labelled => Place::Ours(Box::new(secret)),
        Some(_) | None => Place::Foreign,
    })
}

fn conflict(name: &str) -> Problem {
    let message = format!(
        "Secret {name} exists and is not this object's connection Secret. Name another one in connectionSecretRef, or delete it"
    );
    Problem::new(Reason::ConnectionSecretConflict, message)
}

/// Nothing new comes into a namespace that is being deleted, whoever may write Secrets there.
fn is_ending(status: &Status) -> bool {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    status.is_forbidden() && causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// The object goes in a moment, and what it made is recorded, so that it goes too.
fn ending() -> Problem {
    let text = "The namespace is being deleted: nothing can be written into it any more. The object goes with it";
    Problem::new(Reason::DependencyNotReady, text)
}

/// A right is missing, or a policy of the cluster is against it. An id must be recorded all the same.
fn forbidden(name: &str, words: &str) -> Problem {
    let message = format!(
        "The API server refuses the operator the connection Secret {name} ({words}). Grant it get, create and patch on Secrets \
         in this namespace, and let no policy refuse it"
    );
    Problem::new(Reason::PermissionDenied, message)
}

/// A write that the API server will refuse again.
fn refused(name: &str, error: kube::Error) -> Result<Problem, PassError> {
    if let kube::Error::Api(status) = &error
        && !is_passing(&error)
    {
        return Ok(forbidden(name, &status.message));
    }
    Err(PassError::Publish(Box::new(error)))
}

fn owner(target: &Target) -> Value {
    json!({
        "apiVersion": target.reference.api_version, "kind": target.reference.kind,
        "name": target.name, "uid": target.uid, "controller": true
    })
}

fn fresh(name: &str, target: &Target, secret: &ConnectionSecret) -> Secret {
    let mut fresh = Secret { type_: Some("Opaque".to_owned()), data: Some(data(secret)), ..Secret::default() };
    fresh.metadata.name = Some(name.to_owned());
    fresh.metadata.labels = Some(BTreeMap::from([(keys::CONNECTION_LABEL.to_owned(), label_of(&target.name))]));
    fresh.metadata.owner_references = serde_json::from_value(json!([owner(target)])).ok();
    fresh
}

fn data(secret: &ConnectionSecret) -> BTreeMap<String, ByteString> {
    let bytes = |s: &str| ByteString(s.as_bytes().to_vec());
    secret.0.iter().map(|(key, value)| ((*key).to_owned(), bytes(value.expose_secret()))).collect()
}

/// Only the fixed keys are compared: other keys in the Secret are somebody's addition and stay.
fn is_current(old: &Secret, target: &Target, secret: &ConnectionSecret) -> bool {
    let held = old.data.as_ref();
    let controlled = old.owner_references().iter().any(|o| o.controller == Some(true) && o.uid == target.uid);
    controlled && data(secret).iter().all(|(key, value)| held.and_then(|d| d.get(key)) == Some(value))
}

fn patch(old: &Secret, target: &Target, secret: &ConnectionSecret) -> Value {
    let encoded = secret.0.iter().map(|(k, v)| ((*k).to_owned(), json!(BASE64_STANDARD.encode(v.expose_secret()))));
    let mut owners: Vec<Value> = old
        .owner_references()
        .iter()
        .filter(|o| o.uid != target.uid)
        .filter_map(|o| serde_json::to_value(o).ok())
        .collect();
    owners.push(owner(target));
    json!({
        "metadata": {
            "resourceVersion": old.resource_version(), "ownerReferences": owners,
            "labels": {keys::CONNECTION_LABEL: label_of(&target.name)}
        },
        "data": encoded.collect::<serde_json::Map<_, _>>()
    })
}
