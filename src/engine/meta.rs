//! Writes of our finalizer and annotations: one metadata patch, always bound to a version.

use super::{
    context::Engine,
    error::{PassError, bound, is_missing},
    object::Target,
    users::Users,
};
use crate::api::{keys, v1alpha1::StoredIntent};
use kube::{ResourceExt, api::Patch};
use serde_json::{Map, Value, json};

/// What to change.
#[derive(Debug, Default)]
pub(super) struct Change<'a> {
    /// Carry our finalizer, or not any more.
    pub(super) bound: bool,
    /// Store this intent.
    pub(super) intent: Option<&'a StoredIntent>,
    /// Remove the person's answer: it is carried out.
    pub(super) answered: bool,
}

/// Writes the change, bound to the version that the pass has seen.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between: no call may follow.
pub(super) async fn patch(engine: &Engine, target: &mut Target, change: Change<'_>) -> Result<(), PassError> {
    let finalizers = target.finalizers(change.bound);
    let mut annotations = Map::new();
    let mut stored = None;
    if let Some(intent) = change.intent {
        let fail = |e| PassError::Intent(Box::new(kube::Error::SerdeError(e)));
        let text = serde_json::to_string(intent).map_err(fail)?;
        annotations.insert(keys::CREATE_INTENT.to_owned(), json!(text));
        stored = Some(text);
    }
    if change.answered && target.resolve.is_some() {
        annotations.insert(keys::RESOLVE.to_owned(), Value::Null);
    }
    let api = engine.object(target);
    let body = body(target, &finalizers, annotations);
    let written = api.patch_metadata(&target.name, &Engine::patch_params(), &Patch::Merge(&body)).await;
    match &written {
        // Whoever took it off, it is gone.
        Err(kube::Error::Api(status)) if is_missing(status) => engine.memory.lets_go(&target.uid, &target.version),
        Err(kube::Error::Api(status)) if status.code < 500 => {}
        Ok(_) | Err(_) if change.bound => engine.memory.holds(&target.uid),
        Ok(_) | Err(_) => engine.memory.lets_go(&target.uid, &target.version),
    }
    // Its account may have been held for it alone.
    if !change.bound && Users::are_few(engine, target) {
        engine.look_at_accounts();
    }
    let written = written.map_err(|e| bound(e, PassError::Intent))?;
    target.version = written.resource_version().unwrap_or_default();
    target.finalizers = finalizers;
    target.annotation = stored.or(target.annotation.take());
    if change.answered {
        target.resolve = None;
    }
    engine.memory.wrote(&target.uid, &target.version);
    Ok(())
}

/// The patch. Without the version, another process' attempt and somebody's finalizer would be written over.
fn body(target: &Target, finalizers: &[String], annotations: Map<String, Value>) -> Value {
    let mut metadata = json!({"resourceVersion": target.version, "finalizers": finalizers});
    if let (Some(metadata), false) = (metadata.as_object_mut(), annotations.is_empty()) {
        metadata.insert("annotations".to_owned(), Value::Object(annotations));
    }
    json!({"metadata": metadata})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::Connection;

    #[test]
    fn what_is_written_is_bound_to_the_version_that_was_seen() {
        let object: Connection = serde_json::from_value(json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection",
            "metadata": {"name": "acme", "namespace": "shop", "uid": "u", "resourceVersion": "7", "finalizers": ["a.dev/b"]},
            "spec": {
                "provider": "Rutter", "accountRef": {"name": "main"},
                "rutter": {"platform": "Shopify", "credentialsSecretRef": {"name": "login"}}
            }
        }))
        .expect("an object");
        let target = Target::from(&object);
        let of = |bound: bool, annotations: Map<String, Value>| body(&target, &target.finalizers(bound), annotations);
        let bound =
            json!({"metadata": {"resourceVersion": "7", "finalizers": ["a.dev/b", "tradewind.dev/connection"]}});
        assert_eq!(of(true, Map::new()), bound);
        let told = of(false, Map::from_iter([("k".to_owned(), Value::Null)]));
        assert_eq!(
            told,
            json!({"metadata": {"resourceVersion": "7", "finalizers": ["a.dev/b"], "annotations": {"k": null}}})
        );
    }
}
