//! What happens to a world that no operator does: what people do in the cluster, and what is a process' own fate. What
//! others do at the provider is in `outside.rs`.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind_simulator::{arcus, sku_io};

use crate::{
    event::Event,
    flavour::Flavour,
    ledger,
    scenario::{ACCOUNT, LOGIN, NAME, NAMESPACE, Policy, SECRET, STORE_LOGIN, TWIN},
    world::World,
};

/// How long the secret of a login still works after another one was written down.
const OVERLAP: Duration = Duration::from_mins(1);
/// How late a view is that lags.
const STALE: Duration = Duration::from_secs(20);

impl World {
    /// Lets something happen. False where it changes nothing.
    pub(crate) fn happen(&self, event: Event) -> bool {
        match event {
            // The tap sees to these.
            Event::CrashBefore
            | Event::CrashAfter
            | Event::Stop
            | Event::Stall
            | Event::KubeLost
            | Event::KubeLate
            | Event::KubeDown
            | Event::KubeOut
            | Event::LostAnswer
            | Event::CutAnswer
            | Event::FailAfter
            | Event::Slow
            | Event::LateEffect
            | Event::Refuse400
            | Event::Refuse409
            | Event::Refuse429
            | Event::Refuse503 => true,
            Event::Takeover => {
                self.start();
                true
            }
            Event::StaleView => {
                self.api().lag(STALE);
                true
            }
            Event::StaleObjects => self.api().lag_of(&["connections", "integrationinstances"], STALE).is_ok(),
            Event::WatchLost => {
                self.api().expire();
                true
            }
            Event::LoseRecord => self.lose_record(),
            Event::Drift => self.drift(),
            Event::Stranger => self.stranger(),
            Event::Consent => self.consent(),
            Event::Delete => self.delete_object(NAME),
            Event::Redeclare => self.redeclare(),
            Event::Edit => self.change(&self.scenario().edit(2)),
            Event::EditKey => self.scenario().other_key().is_some_and(|patch| self.change(&patch)),
            Event::Suspend => self.change(&json!({"spec": {"suspend": true}})),
            Event::AskReconcile => self.annotate(keys::RECONCILE),
            Event::AskRefresh => self.annotate(keys::REFRESH),
            Event::Replace => self.replace(),
            Event::WipeStatus => self.wipe_status(),
            Event::RestoreFull => self.restore(true),
            Event::RestoreBare => self.restore(false),
            Event::SetRetain => self.keep(|world| world.change(&json!({"spec": {"deletionPolicy": "Retain"}}))),
            Event::SetObserve => self.keep(Self::observe),
            Event::NameWrongRecord => self.name_wrong_record(),
            Event::SecondObject => self.second_object(),
            Event::DeleteSecret => self.api().delete("secrets", NAMESPACE, SECRET).is_ok(),
            Event::DeleteCredentials => self.api().delete("secrets", NAMESPACE, STORE_LOGIN).is_ok(),
            Event::RotateCredentials => self.rotate_credentials(),
            Event::DeleteLogin => self.api().delete("secrets", NAMESPACE, LOGIN).is_ok(),
            Event::RotateLogin => self.rotate_login(),
            Event::DeleteAccount => self.delete_account(),
        }
    }

    fn delete_account(&self) -> bool {
        let _ = self.api().delete("secrets", NAMESPACE, LOGIN);
        self.api().delete("provideraccounts", NAMESPACE, ACCOUNT).is_ok()
    }

    /// The object.
    pub(crate) fn object(&self, name: &str) -> Option<Value> {
        self.api().get(self.scenario().plural(), NAMESPACE, name)
    }

    /// The record that the object says is its own.
    pub(crate) fn recorded(&self, name: &str) -> Option<String> {
        self.object(name).as_ref().and_then(recorded).map(str::to_owned)
    }

    /// Changes the object; false where that is refused or changes nothing.
    pub(crate) fn change(&self, patch: &Value) -> bool {
        let before = self.revision();
        self.api().patch(self.scenario().plural(), NAMESPACE, NAME, patch).is_ok() && self.revision() != before
    }

    /// Asks for something; each asking is another.
    pub(crate) fn annotate(&self, key: &str) -> bool {
        let token = format!("asked-{}", self.revision());
        self.change(&json!({"metadata": {"annotations": {key: token}}}))
    }

    /// Asks for the deletion of an object. One that does not carry our finalizer goes at once, and what it had stays.
    pub(crate) fn delete_object(&self, name: &str) -> bool {
        let Some(object) = self.object(name) else { return false };
        if !carries(&object, self.scenario().finalizer()) {
            if self.has_happened(Event::takes_the_hold) {
                self.track().let_go = true;
            } else if recorded(&object).is_some() && !observes(&object) || open_attempt(&object).is_some() {
                self.blame("unbound: it has what its deletion would leave behind".to_owned());
            }
        }
        let deleted = !is_deleting(&object) && self.api().delete(self.scenario().plural(), NAMESPACE, name).is_ok();
        self.track().ended |= deleted;
        deleted
    }

    fn redeclare(&self) -> bool {
        let deleted = self.delete_object(NAME);
        if deleted {
            let world = self.clone();
            tokio::spawn(async move {
                while world.object(NAME).is_some() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                let _ = world.api().apply(NAMESPACE, &world.scenario().object(NAME));
            });
        }
        deleted
    }

    /// `kubectl replace` with the manifest as somebody has it in a file.
    fn replace(&self) -> bool {
        let Some(object) = self.object(NAME) else { return false };
        let mut manifest = self.scenario().object(NAME);
        if let (Some(spec), Some(fields)) = (object.get("spec"), manifest.as_object_mut()) {
            fields.insert("spec".to_owned(), spec.clone());
        }
        let (before, knew) = (self.revision(), self.knows());
        let deleting = is_deleting(&object);
        let replaced = self.api().replace(NAMESPACE, &manifest).is_ok();
        self.note_forgotten(knew);
        if replaced && deleting {
            // Without our finalizer it is gone.
            self.track().let_go = true;
        }
        replaced && self.revision() != before
    }

    fn wipe_status(&self) -> bool {
        let (before, knew) = (self.revision(), self.knows());
        // That a record of before is the object's, as a person has said, stands in status alone (docs/recovery.md).
        let restored = self.has_happened(Event::is_restore);
        if restored && self.scenario().policy == Policy::Answer && self.recorded(NAME).is_some() {
            self.track().let_go = true;
        }
        let wiped = self.api().replace_status(self.scenario().plural(), NAMESPACE, NAME, &Value::Null);
        self.note_forgotten(knew);
        wiped.is_ok() && self.revision() != before
    }

    /// What it has lost, if it knew of an attempt before.
    fn note_forgotten(&self, knew: bool) {
        let forgotten = knew && !self.knows();
        let tells = |secret: &Value| secret.pointer("/data/connection_id").is_some();
        let blind = forgotten && !self.api().get("secrets", NAMESPACE, SECRET).is_some_and(|secret| tells(&secret));
        let mut track = self.track();
        track.forgotten += usize::from(forgotten);
        track.blind |= blind;
    }

    /// Whether the object knows of an attempt. Who takes both its status and its annotations away leaves it nothing.
    fn knows(&self) -> bool {
        self.api().any(self.scenario().plural(), NAMESPACE, |object| {
            let intent = object.pointer("/metadata/annotations").and_then(|all| all.get(keys::CREATE_INTENT));
            name(object) == NAME && (intent.is_some() || object.pointer("/status/creation").is_some())
        })
    }

    /// The object of a moment ago comes back from a backup, after the one that is there was thrown away. Where it still
    /// knows of an attempt it asks; where it does not, it is as if it had never had anything.
    fn restore(&self, with_status: bool) -> bool {
        let Some(mut object) = self.object(NAME) else { return false };
        let (plural, status) = (self.scenario().plural(), object.get("status").cloned().unwrap_or_default());
        if object.pointer("/metadata/annotations").is_none() && status.is_null() {
            return false;
        }
        let _ = self.change(&json!({"metadata": {"finalizers": null}}));
        let _ = self.api().delete(plural, NAMESPACE, NAME);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| matches!(key.as_str(), "name" | "annotations" | "finalizers"));
        }
        let created = self.api().create(NAMESPACE, &object).is_ok();
        if created && with_status {
            let _ = self.api().replace_status(plural, NAMESPACE, NAME, &status);
        }
        if !self.knows() {
            let mut track = self.track();
            track.let_go = true;
            track.anew += 1;
        }
        created
    }

    /// From here on the record is to stay; unless the object is on its way out, and may have asked for its deletion already.
    fn keep(&self, decree: impl FnOnce(&Self) -> bool) -> bool {
        let object = self.object(NAME).filter(|object| !is_deleting(object));
        let id = object.as_ref().and_then(recorded);
        let records = ledger::records(self.scenario(), self.simulator()).into_iter();
        let there = records.filter(|record| record.live && Some(record.id.as_str()) == id);
        let kept: Vec<_> = there.map(|record| record.which()).collect();
        let decreed = decree(self);
        if decreed {
            let mut track = self.track();
            track.kept.extend(kept);
            track.kept_late |= object.is_none();
        }
        decreed
    }

    /// Somebody writes other credentials of the store into its Secret, and the store takes those that the record has no longer.
    /// Whoever takes over a stranger's record later takes it with the credentials that it has.
    fn rotate_credentials(&self) -> bool {
        let data = json!({"oauth_access_token": format!("test-store-token-{}", self.revision())});
        let rotated = self.write_secret(STORE_LOGIN, &data);
        if rotated {
            self.track().store_login = Some(data);
        }
        if let Some(instance) = self.recorded(NAME).and_then(|id| id.parse().ok()).filter(|_| rotated) {
            let _ = self.simulator().act_sku(&sku_io::Deed::RefuseStoreToken { instance, refused: true });
        }
        rotated
    }

    /// Somebody writes the other secret of the account's login into its Secret, and the one before ends a while later, where
    /// the provider lets one end.
    fn rotate_login(&self) -> bool {
        let rotated = self.write_secret(LOGIN, &self.scenario().other_login());
        if rotated {
            self.track().rotated = true;
            let world = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(OVERLAP).await;
                let _ = world.simulator().change_token(1, |token| token.revoked = true);
                let first = arcus::Account::default().name;
                let _ = world.simulator().change_key(&first, |key| key.revoked = true);
            });
        }
        rotated
    }

    /// Writes some keys of a Secret; false where it is not there, or says that already.
    pub(crate) fn write_secret(&self, name: &str, data: &Value) -> bool {
        let encoded: serde_json::Map<String, Value> = data
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), json!(BASE64_STANDARD.encode(value.as_str().unwrap_or_default()))))
            .collect();
        let before = self.revision();
        let patch = json!({"data": encoded});
        self.api().patch("secrets", NAMESPACE, name, &patch).is_ok() && self.revision() != before
    }

    /// What happens to the record in the end is written out only where the CRD asks for it.
    fn observe(&self) -> bool {
        let Some(object) = self.object(NAME) else { return false };
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let adopts = text("/spec/adoptionPolicy").is_some_and(|policy| policy != "Fail");
        if adopts || text("/spec/rutter/authorization") == Some("Link") {
            return self.change(&json!({"spec": {"managementPolicy": "ObserveOnly"}}));
        }
        self.change(&json!({"spec": {"managementPolicy": "ObserveOnly", "deletionPolicy": null}}))
    }

    /// Who names a record must say that it may be taken over, or only looked at.
    fn name_wrong_record(&self) -> bool {
        let Some(object) = self.object(NAME) else { return false };
        let id =
            if self.scenario().flavour == Flavour::SkuIo { "99999" } else { "00000000-0000-4000-8000-0000000f00d0" };
        let named = json!({"id": id});
        self.change(&if observes(&object) {
            json!({"spec": {"externalRef": named}})
        } else {
            json!({"spec": {"externalRef": named, "adoptionPolicy": "Match"}})
        })
    }

    fn second_object(&self) -> bool {
        if self.object(TWIN).is_some() {
            return false;
        }
        let mut object = self.scenario().object(TWIN);
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
            && let Some(secret) = spec.get_mut("connectionSecretRef")
        {
            *secret = json!({"name": "acme-two-connection"});
        }
        self.api().create(NAMESPACE, &object).is_ok()
    }

    /// How many records the operators have made that are there.
    pub(crate) fn ours(&self) -> Vec<ledger::Record> {
        ledger::records(self.scenario(), self.simulator())
            .into_iter()
            .filter(|record| record.ours && record.live)
            .collect()
    }
}

/// The name of an object.
pub(crate) fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// The record that an object says is its own.
pub(crate) fn recorded(object: &Value) -> Option<&str> {
    object.pointer("/status/externalId").and_then(Value::as_str)
}

/// Whether an object only looks on.
pub(crate) fn observes(object: &Value) -> bool {
    object.pointer("/spec/managementPolicy").and_then(Value::as_str) == Some("ObserveOnly")
}

/// When the open attempt of an object was announced, where it has one.
pub(crate) fn open_attempt(object: &Value) -> Option<Timestamp> {
    let text = object.pointer("/metadata/annotations").and_then(|all| all.get(keys::CREATE_INTENT));
    let annotation = text.and_then(Value::as_str).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let number = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let settled = number(object, "/status/creation/settledAttempt");
    let intents = annotation.iter().chain(object.pointer("/status/creation/intent"));
    let open = intents.filter(|intent| number(intent, "/attempt") > settled);
    open.filter_map(|intent| intent.pointer("/at").and_then(Value::as_str)?.parse().ok()).max()
}

/// Whether somebody has asked for its deletion.
pub(crate) fn is_deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// Whether an object carries a finalizer.
pub(crate) fn carries(object: &Value, finalizer: &str) -> bool {
    let all = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    all.is_some_and(|all| all.iter().any(|f| f == finalizer))
}
