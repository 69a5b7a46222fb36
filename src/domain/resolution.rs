//! A person's answer where nobody else can tell whose a record is; the annotation that `tradewind resolve` sets.

use super::{ids::ExternalId, intent::Stored};

/// A person's answer to [`super::reason::Reason::CreateOutcomeUnknown`], from `tradewind resolve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// This record is the object's.
    Adopt(ExternalId),
    /// None of the candidates is: settle the attempt and start over.
    CreateAnew,
}

impl Resolution {
    /// The value of the annotation that gives this answer to the present state of an object.
    #[must_use]
    pub fn write(&self, stored: &Stored<'_>) -> String {
        let question = question(stored);
        match self {
            Self::Adopt(id) => format!("{question} adopt {id}"),
            Self::CreateAnew => format!("{question} create-anew"),
        }
    }

    /// The answer that the annotation gives; `None` for what is no answer, or answers another question: that of a
    /// copied object, or of an attempt that is over.
    #[must_use]
    pub fn read(text: &str, stored: &Stored<'_>) -> Option<Self> {
        let answer = text.trim().strip_prefix(&question(stored))?.trim();
        match answer.split_once(' ') {
            None if answer == "create-anew" => Some(Self::CreateAnew),
            Some(("adopt", id)) => Some(ExternalId::new(id)).filter(ExternalId::is_plain).map(Self::Adopt),
            Some(_) | None => None,
        }
    }
}

/// Names the object and the attempt that a person is asked about.
fn question(stored: &Stored<'_>) -> String {
    let nonce = stored.intent().ok().flatten().map_or_else(|| "unreadable".to_owned(), |i| i.nonce);
    format!("{}/{nonce}", stored.uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::{ManagedStatus, StoredIntent};
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn id(s: &str) -> ExternalId {
        ExternalId::new(s)
    }

    #[test]
    fn an_answer_counts_for_its_own_question_only() {
        let at = Time(Timestamp::UNIX_EPOCH);
        let (uid, nonce, account) = ("u".into(), "n".into(), "org".into());
        let intent = StoredIntent { uid, attempt: 1, nonce, at, key: Some("k".into()), account };
        let status = ManagedStatus::default();
        let annotation = serde_json::to_string(&intent).expect("an intent");
        let asked = Stored { uid: "u", annotation: Some(&annotation), status: &status, observe_only: false };
        for answer in [Resolution::Adopt(id("a")), Resolution::CreateAnew] {
            let text = answer.write(&asked);
            assert_eq!(Resolution::read(&text, &asked), Some(answer));
            assert_eq!(Resolution::read(&text, &Stored { uid: "copy", ..asked }), None);
            assert_eq!(Resolution::read(&text, &Stored { annotation: None, ..asked }), None);
        }
        assert_eq!(Resolution::read("u/n adopt ../x", &asked), None);
        assert_eq!(Resolution::read("u/n", &asked), None);
    }
}
