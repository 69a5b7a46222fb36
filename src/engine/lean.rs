//! An object as a watch delivers it and the caches keep it.

use crate::api::keys;
use kube::{Resource, core::ObjectMeta};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::Value;
use std::borrow::Cow;

/// Where `kubectl apply` keeps the whole declaration once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object as a watch delivers it: pruned of what nobody reads, and kept even if its stored form does not parse.
///
/// One object that does not parse must not stop the watch of all the others.
#[derive(Clone, Debug)]
pub(super) enum Lean<K> {
    /// It parses.
    Good(Box<K>),
    /// It does not.
    Bad {
        /// Its metadata.
        meta: Box<ObjectMeta>,
        /// What the parser says.
        error: String,
        /// What it has all the same.
        has: Box<Has>,
    },
}

/// What an object that does not parse says of its record: nobody else may have that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Has {
    /// The id in its status.
    pub(super) recorded: Option<String>,
    /// The keys of its record and of its attempts.
    pub(super) keys: Vec<String>,
    /// Identity of the account that they belong to; `None` where it says of none.
    pub(super) account: Option<String>,
}

impl Has {
    fn read(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let annotation = object.pointer("/metadata/annotations").and_then(|all| all.get(keys::CREATE_INTENT)?.as_str());
        let intent: Option<Value> = annotation.and_then(|text| serde_json::from_str(text).ok());
        let of_intent = |field: &str| intent.as_ref()?.get(field)?.as_str().map(str::to_owned);
        let keys = [text("/status/creation/key"), text("/status/creation/intent/key"), of_intent("key")];
        let account = text("/status/account").or_else(|| text("/status/creation/intent/account"));
        Self {
            recorded: text("/status/externalId"),
            keys: keys.into_iter().flatten().collect(),
            account: account.or_else(|| of_intent("account")),
        }
    }
}

impl<K> Lean<K> {
    /// The object, if it parses.
    pub(super) fn good(&self) -> Option<&K> {
        match self {
            Self::Good(k) => Some(k),
            Self::Bad { .. } => None,
        }
    }

    /// What it has, if it does not parse.
    pub(super) fn bad(&self) -> Option<&Has> {
        match self {
            Self::Good(_) => None,
            Self::Bad { has, .. } => Some(has),
        }
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(d)?;
        if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.remove("managedFields");
            let annotations = meta.get_mut("annotations").and_then(Value::as_object_mut);
            annotations.map(|all| all.remove(LAST_APPLIED));
        }
        match K::deserialize(&value) {
            Ok(k) => Ok(Self::Good(Box::new(k))),
            Err(e) => {
                let has = Box::new(Has::read(&value));
                let meta = value.get("metadata").cloned().unwrap_or_default();
                let meta = serde_json::from_value(meta).map_err(D::Error::custom)?;
                Ok(Self::Bad { meta: Box::new(meta), error: e.to_string(), has })
            }
        }
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Lean<K> {
    type DynamicType = ();
    type Scope = K::Scope;
    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Good(k) => k.meta(),
            Self::Bad { meta, .. } => meta,
        }
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Good(k) => k.meta_mut(),
            Self::Bad { meta, .. } => meta,
        }
    }
}
