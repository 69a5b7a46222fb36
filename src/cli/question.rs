//! The question that an object asks of people when nobody can tell what a create left behind: whose record is it?
//!
//! Reads it with the very functions that the engine answers by, so that both always speak of the same question.

use crate::{
    api::{
        keys,
        v1alpha1::{CreationStatus, Declaration, Managed, ManagedStatus, ManagementPolicy, StoredIntent},
    },
    domain::{
        conditions::Type,
        decide::Resolution,
        intent::{Creation, Stored},
        reason::Reason,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{ResourceExt, api::DynamicObject};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What an object says of its creation, and what people have answered so far.
#[derive(Clone, Debug)]
pub(super) struct Question {
    uid: String,
    intent: Option<String>,
    answer: Option<String>,
    observe_only: bool,
    status: ManagedStatus,
}

impl Question {
    /// The question of an object. `declaration`: what it declares.
    pub(super) fn of<K: Managed>(object: &K, declaration: &Declaration) -> Self {
        let annotation = |key: &str| object.annotations().get(key).cloned();
        Self {
            uid: object.uid().unwrap_or_default(),
            intent: annotation(keys::CREATE_INTENT),
            answer: annotation(keys::RESOLVE),
            observe_only: declaration.management_policy() == ManagementPolicy::ObserveOnly,
            status: object.managed_status().cloned().unwrap_or_default(),
        }
    }

    /// The same of an object as it is stored, of which this version may not be able to read the rest.
    pub(super) fn of_stored(object: &DynamicObject) -> Self {
        fn read<T: DeserializeOwned>(object: &DynamicObject, path: &str) -> Option<T> {
            T::deserialize(object.data.pointer(path)?).ok()
        }
        let twin = object.data.pointer("/status/creation/intent");
        let creation = CreationStatus {
            intent: read(object, "/status/creation/intent"),
            settled_attempt: read(object, "/status/creation/settledAttempt").unwrap_or_default(),
            candidates: read(object, "/status/creation/candidates").unwrap_or_default(),
            ..CreationStatus::default()
        };
        Self {
            uid: object.uid().unwrap_or_default(),
            // Of a twin that cannot be read, that much is known.
            intent: object.annotations().get(keys::CREATE_INTENT).cloned().or_else(|| twin.map(Value::to_string)),
            answer: object.annotations().get(keys::RESOLVE).cloned(),
            observe_only: object.data.pointer("/spec/managementPolicy") == Some(&json!("ObserveOnly")),
            status: ManagedStatus {
                external_id: read(object, "/status/externalId"),
                observed_only: read(object, "/status/observedOnly").unwrap_or_default(),
                creation: Some(creation),
                conditions: read(object, "/status/conditions").unwrap_or_default(),
                ..ManagedStatus::default()
            },
        }
    }

    fn stored(&self) -> Stored<'_> {
        let Self { uid, intent, status, observe_only, .. } = self;
        Stored { uid, annotation: intent.as_deref(), status, observe_only: *observe_only }
    }

    /// How far the creation has come.
    pub(super) fn creation(&self) -> Creation {
        self.stored().creation()
    }

    /// The last attempt, if it can be read.
    pub(super) fn attempt(&self) -> Option<StoredIntent> {
        self.stored().intent().ok().flatten()
    }

    /// Whether the operator has looked, found no answer of its own, and asks for one.
    pub(super) fn is_open(&self) -> bool {
        let asked = self.ready().is_some_and(|ready| {
            let reason = ready.reason.parse::<Reason>();
            matches!(reason, Ok(Reason::CreateOutcomeUnknown | Reason::DeletionBlocked))
        });
        let undecided = matches!(self.creation(), Creation::Pending(_) | Creation::Unverifiable(_));
        // An answer that could not be carried out (a record that is not there) can be replaced by a better one.
        undecided && (asked || self.answered().is_some())
    }

    /// The answer that has been given to this very question.
    pub(super) fn answered(&self) -> Option<Resolution> {
        Resolution::read(self.answer.as_deref()?, &self.stored())
    }

    /// An answer in the form that the operator reads.
    pub(super) fn answer(&self, resolution: &Resolution) -> String {
        resolution.write(&self.stored())
    }

    /// The records that the operator found.
    pub(super) fn candidates(&self) -> &[String] {
        self.status.creation.as_ref().map(|creation| creation.candidates.as_slice()).unwrap_or_default()
    }

    /// What the object says of itself.
    pub(super) fn ready(&self) -> Option<&Condition> {
        self.status.conditions.iter().find(|c| c.type_ == Type::Ready.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::v1alpha1::Connection, domain::ids::ExternalId};
    use serde_json::json;

    const INTENT: &str = r#"{"uid":"u","attempt":1,"nonce":"n","at":"2026-01-01T00:00:00Z","account":"org"}"#;

    fn object(intent: Option<&str>, answer: Option<&str>, reason: &str) -> Question {
        let annotations: std::collections::BTreeMap<_, _> = [(keys::CREATE_INTENT, intent), (keys::RESOLVE, answer)]
            .into_iter()
            .filter_map(|(k, v)| Some((k, v?)))
            .collect();
        let ready = json!({"type": "Ready", "status": "False", "reason": reason, "message": "why",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let object: Connection = serde_json::from_value(json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection",
            "metadata": {"name": "acme", "uid": "u", "annotations": annotations},
            "spec": {"provider": "Rutter", "accountRef": {"name": "a"}},
            "status": {"conditions": [ready]},
        }))
        .expect("a Connection");
        Question::of(&object, &object.declaration())
    }

    #[test]
    fn only_a_question_that_was_asked_is_open() {
        assert!(object(Some(INTENT), None, "CreateOutcomeUnknown").is_open());
        assert!(object(Some("{}"), None, "DeletionBlocked").is_open(), "an unreadable intent");
        assert!(!object(Some(INTENT), None, "Creating").is_open(), "the operator is still looking");
        assert!(!object(None, None, "DeletionBlocked").is_open(), "its creation is no question");
    }

    #[test]
    fn an_answer_that_could_not_be_carried_out_can_be_replaced() {
        assert!(object(Some(INTENT), Some("u/n adopt r-1"), "ExternalNotFound").is_open());
        assert!(!object(Some(INTENT), Some("u/old adopt r-1"), "ExternalNotFound").is_open(), "of another question");
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let asked = object(Some(INTENT), None, "CreateOutcomeUnknown");
        for resolution in [Resolution::CreateAnew, Resolution::Adopt(ExternalId::new("r-1"))] {
            let text = asked.answer(&resolution);
            assert_eq!(object(Some(INTENT), Some(&text), "x").answered(), Some(resolution));
        }
    }
}
