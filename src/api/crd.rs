//! The CustomResourceDefinitions, made from the types and tidied for the API server.

use super::v1alpha1::{ClusterProviderAccount, Connection, IntegrationInstance, KEEPS_NULL, ProviderAccount};
use kube::CustomResourceExt;
use serde_json::{Value, json};

/// One CRD: the file name it is kept under, and the manifest.
#[derive(Debug, Clone)]
pub struct Crd {
    /// Name of the file in `crds/`.
    pub file: String,
    /// The manifest.
    pub manifest: Value,
}

/// Every CRD of Tradewind, in the order of their names.
///
/// # Errors
/// A type whose CRD cannot be written as JSON; a mistake in the types, seen by the first test that calls this.
pub fn all() -> Result<Vec<Crd>, serde_json::Error> {
    [ClusterProviderAccount::crd(), Connection::crd(), IntegrationInstance::crd(), ProviderAccount::crd()]
        .into_iter()
        .map(|crd| {
            let mut manifest = serde_json::to_value(&crd)?;
            tidy(&mut manifest);
            let plural = &crd.spec.names.plural;
            Ok(Crd { file: format!("{}_{plural}.yaml", super::GROUP), manifest })
        })
        .collect()
}

/// Drops `nullable` where null means nothing (the server then prunes it instead of refusing it in an enum), bounds conditions, which carry
/// no limits of their own, and writes whole numbers as such: the bounds of integers come as `64.0`.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("title").is_some_and(|title| title == KEEPS_NULL) {
                map.remove("title");
                map.insert("nullable".to_owned(), json!(true));
            } else {
                map.remove("nullable");
                if let Some(Value::Array(variants)) = map.get_mut("enum") {
                    variants.retain(|v| !v.is_null());
                }
            }
            if is_condition(map) {
                bound_condition(map);
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            let whole = number.to_string().strip_suffix(".0").and_then(|digits| digits.parse::<i64>().ok());
            if let Some(whole) = whole {
                *value = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn is_condition(map: &serde_json::Map<String, Value>) -> bool {
    map.get("properties").is_some_and(|p| p.get("lastTransitionTime").is_some() && p.get("reason").is_some())
}

/// The limits of `metav1.Condition` as the Kubernetes API conventions state them.
fn bound_condition(map: &mut serde_json::Map<String, Value>) {
    let bounds = [
        ("type", json!({"maxLength": 316, "minLength": 1})),
        ("reason", json!({"maxLength": 1024, "minLength": 1, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"})),
        ("message", json!({"maxLength": 32768})),
        ("status", json!({"enum": ["True", "False", "Unknown"]})),
    ];
    let Some(properties) = map.get_mut("properties") else { return };
    for (field, bound) in bounds {
        if let (Some(Value::Object(field)), Value::Object(bound)) = (properties.get_mut(field), bound) {
            field.extend(bound);
        }
    }
}
