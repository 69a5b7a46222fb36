//! Whether a person is asked to authorize an object, and by what: read from the object alone, never from its Secret.

use super::{cluster::Typed, question::Question, reconcile::is_asked_for};
use crate::{
    api::v1alpha1::{AuthorizationStatus, Declaration, Managed, ManagementPolicy},
    domain::{conditions::Type, intent::Creation, reason::Reason},
};
use jiff::Timestamp;

/// What a person is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask<'a> {
    /// Nothing.
    Nothing,
    /// Nothing any more: the object is being deleted.
    Leaving,
    /// Something else first, whatever becomes of the authorization.
    SomethingElse,
    /// To open a link.
    Open {
        /// The Secret that it stands in.
        secret: String,
        /// Its attempt and its expiry, where it has them.
        link: Option<&'a AuthorizationStatus>,
    },
    /// The link has expired, and another one is on its way.
    Expired(&'a AuthorizationStatus),
    /// Links have expired for so long that no more are made before somebody asks for one; in the operator's words.
    Request(&'a str),
    /// To do something that no link leads to; in the operator's words.
    Elsewhere(&'a str),
    /// To open a link, which the operator has no place to write to, for this reason.
    Nowhere(&'static str),
}

/// What is asked of people at this time. `declared` and `question`: what the object declares, and says of its creation.
pub(super) fn ask<'a, K: Managed + Typed>(
    object: &'a K,
    declared: &Declaration,
    question: &Question,
    now: Timestamp,
) -> Ask<'a> {
    if object.meta().deletion_timestamp.is_some() {
        return Ask::Leaving;
    }
    let Some(status) = object.managed_status() else { return Ask::Nothing };
    let is =
        |kind: Type, value: &str| status.conditions.iter().find(|c| c.type_ == kind.to_string() && c.status == value);
    let stalled = is(Type::Stalled, "True");
    let Some(asked) = is(Type::Authorized, "False") else {
        return if stalled.is_some() { Ask::SomethingElse } else { Ask::Nothing };
    };
    let creation = question.creation();
    let link = status.authorization.as_ref().filter(|link| match &creation {
        Creation::Pending(intent) => intent.attempt == link.attempt,
        Creation::NotStarted | Creation::Done(_) | Creation::Unverifiable(_) => false,
    });
    match link {
        Some(link) if now < link.expires_at.0 => open(declared, Some(link)),
        _ if stalled.is_some_and(|c| c.reason != asked.reason) => Ask::SomethingElse,
        _ if asked.reason == Reason::LinkExpired.as_str() && !is_asked_for(object) => Ask::Request(&asked.message),
        Some(link) => Ask::Expired(link),
        None if matches!(creation, Creation::Done(_)) && status.has_credentials == Some(false) => {
            Ask::Elsewhere(&asked.message)
        }
        None => open(declared, None),
    }
}

fn open<'a>(declared: &Declaration, link: Option<&'a AuthorizationStatus>) -> Ask<'a> {
    if declared.management_policy() == ManagementPolicy::ObserveOnly {
        return Ask::Nowhere(
            "is only observed (managementPolicy: ObserveOnly): the operator writes no link. Take it from the provider",
        );
    }
    let nowhere = "names no connection Secret, so that a link has no place: set spec.connectionSecretRef";
    let secret = declared.connection_secret_ref().map(|secret| secret.name.clone());
    secret.map_or(Ask::Nowhere(nowhere), |secret| Ask::Open { secret, link })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::Connection;
    use rstest::rstest;
    use serde_json::{Value, json};

    /// A merge patch: what is null in it is removed.
    fn overlaid(object: &Value, change: &Value) -> Value {
        let Value::Object(change) = change else { return change.clone() };
        let mut object = object.as_object().cloned().unwrap_or_default();
        for (key, change) in change {
            let laid = overlaid(object.get(key).unwrap_or(&Value::Null), change);
            object.remove(key);
            object.extend((!laid.is_null()).then(|| (key.clone(), laid)));
        }
        Value::Object(object)
    }

    const HANDED_OUT: &str = "Hand over the link";

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn asked(message: &str) -> Value {
        json!({"status": {"conditions": [condition("Authorized", "False", "AuthorizationRequired", message)]}})
    }

    /// A connector that a merchant is asked to authorize, with a change laid over it, or several one by one.
    fn object(change: &Value) -> Connection {
        let intent = json!({"uid": "u", "attempt": 2, "nonce": "n", "at": "2026-01-01T00:00:00Z", "account": "e"});
        let base = json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection",
            "metadata": {"name": "acme", "uid": "u", "annotations": {"tradewind.dev/create-intent": intent.to_string()}},
            "spec": {"provider": "Arcus", "accountRef": {"name": "a"}, "platform": "shopify",
                "arcus": {"mode": "Live"}, "connectionSecretRef": {"name": "s"}},
            "status": {"authorization": {"expiresAt": "2026-01-01T00:10:00Z", "attempt": 2}},
        });
        let changes = change.as_array().map_or(std::slice::from_ref(change), Vec::as_slice);
        let object =
            changes.iter().fold(overlaid(&base, &asked(HANDED_OUT)), |object, change| overlaid(&object, change));
        serde_json::from_value(object).expect("a Connection")
    }

    fn told(change: &Value, minute: i64) -> String {
        let object = object(change);
        let now = Timestamp::from_second(1_767_225_600 + minute * 60).expect("a time");
        let declared = object.declaration();
        match ask(&object, &declared, &Question::of(&object, &declared), now) {
            Ask::Open { link, .. } => format!("open {}", link.is_some()),
            Ask::Expired(link) => format!("expired {}", link.attempt),
            Ask::Nowhere(why) => why.split(' ').take(2).collect::<Vec<_>>().join(" "),
            other @ (Ask::Nothing | Ask::Leaving | Ask::SomethingElse | Ask::Request(_) | Ask::Elsewhere(_)) => {
                format!("{other:?}")
            }
        }
    }

    fn given_up() -> Value {
        let none = condition("Authorized", "False", "LinkExpired", "None was used. Run `tradewind reconcile`");
        json!({"status": {"conditions": [none]}})
    }

    fn stalled(reason: &str) -> Value {
        let mut change = asked(HANDED_OUT);
        let stalled = condition("Stalled", "True", reason, "why");
        change["status"]["conditions"].as_array_mut().expect("conditions").push(stalled);
        change
    }

    /// The same, where the record is there.
    fn done(change: &Value) -> Value {
        let there = json!({
            "metadata": {"annotations": {"tradewind.dev/create-intent": null}},
            "status": {"authorization": null, "externalId": "shopify", "creation": {"settledAttempt": 2}},
        });
        json!([there, change])
    }

    #[rstest]
    #[case::live(json!({}), 9, "open true")]
    #[case::expired(json!({}), 10, "expired 2")]
    #[case::of_another_attempt(json!({"status": {"authorization": {"attempt": 1}}}), 9, "open false")]
    #[case::live_in_spite_of_a_problem(stalled("InvalidSpec"), 9, "open true")]
    #[case::expired_with_a_problem(stalled("InvalidSpec"), 10, "SomethingElse")]
    #[case::given_up(given_up(), 10, "Request(\"None was used. Run `tradewind reconcile`\")")]
    #[case::asked_for_again(
        json!([given_up(), {"metadata": {"annotations": {"tradewind.dev/reconcile-requested-at": "now"}}}]),
        10,
        "expired 2"
    )]
    #[case::again(done(&stalled("AuthorizationRequired")), 10, "open false")]
    #[case::another_store(done(&stalled("UnsupportedPlatform")), 10, "SomethingElse")]
    #[case::no_credentials(done(&json!({"status": {"hasCredentials": false}})), 10, "Elsewhere(\"Hand over the link\")")]
    #[case::no_secret(done(&json!({"spec": {"connectionSecretRef": null}})), 10, "names no")]
    #[case::observed(done(&json!({"spec": {"managementPolicy": "ObserveOnly"}})), 10, "is only")]
    #[case::authorized(json!({"status": {"conditions": [condition("Authorized", "True", "Succeeded", "")]}}), 9, "Nothing")]
    #[case::not_looked_at(json!({"status": null}), 9, "Nothing")]
    #[case::leaving(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), 9, "Leaving")]
    fn what_is_asked(#[case] change: Value, #[case] minute: i64, #[case] expected: &str) {
        assert_eq!(told(&change, minute), expected);
    }
}
