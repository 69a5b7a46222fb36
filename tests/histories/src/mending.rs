//! What people do of their own accord: they mend what is broken, answer what is asked, and do what a provider needs them for.
//!
//! It must never know what is yet to happen.

use std::time::Duration;

use serde_json::{Value, json};
use tradewind::{
    api::{keys, v1alpha1::ManagedStatus},
    domain::{ids::ExternalId, intent::Stored, reason::Reason, resolution::Resolution},
};
use tradewind_simulator::arcus;

use crate::{
    flavour::Flavour,
    ledger,
    life::{Step, says},
    people::{is_deleting, name, observes, recorded},
    scenario::{ACCOUNT, LOGIN, NAME, NAMESPACE, Policy, STORE_LOGIN, TWIN},
    world::World,
};

/// What an object says after a refusal that only a person can answer.
const REFUSALS: [Reason; 2] = [Reason::ProviderRejected, Reason::CredentialsRejected];
/// What an object says that asks whose a record is.
const ASKS: [Reason; 2] = [Reason::CreateOutcomeUnknown, Reason::DeletionBlocked];

impl World {
    /// What people do while nothing else happens: who broke something mends it.
    pub(crate) fn mend(&self, step: Step) -> bool {
        let before = self.revision();
        if step == Step::Delete {
            // What has come back since is not wanted either.
            self.delete_object(NAME);
            self.delete_object(TWIN);
        }
        self.api().lag(Duration::ZERO);
        if self.object(NAME).is_some_and(|object| object.pointer("/spec/suspend").is_some()) {
            let _ = self.change(&json!({"spec": {"suspend": null}}));
        }
        for manifest in self.scenario().furniture() {
            let (plural, name) = match manifest.pointer("/kind").and_then(Value::as_str) {
                Some("Secret") => {
                    ("secrets", manifest.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default())
                }
                _ => ("provideraccounts", ACCOUNT),
            };
            if self.api().get(plural, NAMESPACE, name).is_none() && self.api().apply(NAMESPACE, &manifest).is_ok() {
                // As the account has it by now, and the store.
                if name == LOGIN && self.track().rotated {
                    self.write_secret(LOGIN, &self.scenario().other_login());
                }
                let store_login = self.track().store_login.clone().filter(|_| name == STORE_LOGIN);
                if let Some(login) = store_login {
                    self.write_secret(STORE_LOGIN, &login);
                }
            }
        }
        if self.scenario().policy == Policy::Answer {
            for object in self.api().list(self.scenario().plural(), NAMESPACE) {
                self.answer(&object);
            }
        }
        // Who has corrected what the provider refused asks for another attempt.
        if self.object(NAME).is_some_and(|object| says(&object, &REFUSALS)) {
            self.annotate(keys::RECONCILE);
        }
        self.revision() != before
    }

    /// Who is asked whose a record is looks at the provider, and says: the one that is there is the object's, or none is.
    fn answer(&self, object: &Value) {
        if !says(object, &ASKS) {
            return;
        }
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let status: ManagedStatus =
            object.get("status").and_then(|status| serde_json::from_value(status.clone()).ok()).unwrap_or_default();
        let asked = Stored {
            uid: text("/metadata/uid").unwrap_or_default(),
            annotation: object.pointer("/metadata/annotations").and_then(|all| all.get(keys::CREATE_INTENT)?.as_str()),
            status: &status,
            observe_only: observes(object),
        };
        let own = self.ours().into_iter().find(|record| !self.is_anothers(&record.id, name(object)));
        let none_is_left =
            self.ours().is_empty() && ledger::records(self.scenario(), self.simulator()).iter().any(|r| r.ours);
        self.track().afresh += usize::from(none_is_left);
        let answer = own.map_or(Resolution::CreateAnew, |record| Resolution::Adopt(ExternalId::new(record.id)));
        let patch = json!({"metadata": {"annotations": {keys::RESOLVE: answer.write(&asked)}}});
        let _ = self.api().patch(self.scenario().plural(), NAMESPACE, name(object), &patch);
    }

    /// Whether an object of another name has this record.
    fn is_anothers(&self, id: &str, than: &str) -> bool {
        self.api()
            .any(self.scenario().plural(), NAMESPACE, |object| name(object) != than && recorded(object) == Some(id))
    }

    /// The human behind the browser: enters credentials, follows links, a while after being asked to.
    pub(crate) async fn be_human(self) {
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            match self.scenario().flavour {
                Flavour::Arcus => self.enter_credentials(),
                Flavour::ArcusLink => {
                    self.enter_credentials();
                    self.do_as_asked();
                }
                Flavour::RutterLink => self.do_as_asked(),
                Flavour::Rutter | Flavour::Nameless | Flavour::SkuIo => return,
            }
        }
    }

    fn enter_credentials(&self) {
        let connector = self.scenario().connector();
        if self.simulator().connector(connector).is_some_and(|c| !c.deleted && !c.has_credentials) {
            let _ = self.simulator().act_arcus(&arcus::Act::EnterCredentials.on(connector));
        }
    }

    /// Follows the link that an object has in its Secret.
    fn do_as_asked(&self) {
        if self.is_link_out() {
            self.follow_link();
        }
    }

    /// Whether a Secret holds a link, of an object that is to stay.
    fn is_link_out(&self) -> bool {
        let has = |plural, such: fn(&Value) -> bool| self.api().any(plural, NAMESPACE, such);
        let object = self.scenario().plural();
        has("secrets", |secret| secret.pointer("/data/link_url").is_some())
            && !has(object, |object| name(object) == NAME && is_deleting(object))
    }
}
