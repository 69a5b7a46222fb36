//! What happens to a world that no operator does: what people do in the cluster, what others do at the provider, and what
//! is a process' own fate.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind_simulator::{arcus, rutter, sku_io};

use crate::{
    event::Event,
    ledger,
    scenario::{ACCOUNT, Flavour, LOGIN, NAME, NAMESPACE, Policy, SECRET, STORE_LOGIN, TWIN},
    world::World,
};

/// How late a view is that lags.
const STALE: Duration = Duration::from_secs(20);

impl World {
    /// Lets something happen. False where it changes nothing.
    pub(crate) fn happen(&self, event: Event) -> bool {
        match event {
            // The tap sees to these.
            Event::CrashBefore
            | Event::CrashAfter
            | Event::Stall
            | Event::KubeLost
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
            Event::WatchLost => {
                self.api().expire();
                true
            }
            Event::LoseRecord => self.lose_record(),
            Event::Drift => self.drift(),
            Event::Stranger => self.stranger(),
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
            Event::SetRetain => self.change(&json!({"spec": {"deletionPolicy": "Retain"}})),
            Event::SetObserve => self.observe(),
            Event::NameWrongRecord => self.name_wrong_record(),
            Event::SecondObject => self.second_object(),
            Event::DeleteSecret => self.api().delete("secrets", NAMESPACE, SECRET).is_ok(),
            Event::DeleteCredentials => self.api().delete("secrets", NAMESPACE, STORE_LOGIN).is_ok(),
            Event::DeleteAccount => {
                let _ = self.api().delete("secrets", NAMESPACE, LOGIN);
                self.api().delete("provideraccounts", NAMESPACE, ACCOUNT).is_ok()
            }
        }
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

    /// Somebody deletes what the object has.
    fn lose_record(&self) -> bool {
        let Some(id) = self.recorded(NAME) else { return false };
        let (simulator, scenario) = (self.simulator(), self.scenario());
        let there = ledger::records(scenario, simulator).into_iter().find(|record| record.live && record.id == id);
        let deleted = match scenario.flavour {
            Flavour::Rutter | Flavour::Nameless | Flavour::RutterLink => {
                id.parse().is_ok_and(|connection| simulator.act(&rutter::Deed::Delete { connection }).is_ok())
            }
            Flavour::SkuIo => {
                id.parse().is_ok_and(|instance| simulator.act_sku(&sku_io::Deed::Delete { instance }).is_ok())
            }
            Flavour::Arcus | Flavour::ArcusLink => {
                simulator.act_arcus(&arcus::Act::Delete.on(scenario.connector())).is_ok()
            }
        };
        let mut track = self.track();
        track.lost.extend(there.filter(|_| deleted).map(|record| (record.id, record.since)));
        track.unnoticed += 1;
        deleted
    }

    fn drift(&self) -> bool {
        let Some(Value::Object(fields)) = self.scenario().drift() else { return false };
        self.track().unnoticed += 1;
        if self.scenario().flavour == Flavour::SkuIo {
            let instance = self.recorded(NAME).and_then(|id| id.parse().ok());
            let change = |instance| self.simulator().act_sku(&sku_io::Deed::Change { instance, fields }).is_ok();
            return instance.is_some_and(change);
        }
        self.simulator().act_arcus(&arcus::Act::Change { fields }.on(self.scenario().connector())).is_ok()
    }

    fn stranger(&self) -> bool {
        self.track().stranger = Some(self.simulator().clock().now());
        if self.attempts_are_open() || self.is_replaced() {
            self.track().blurred = true;
        }
        self.scenario().stranger_comes(self.simulator())
    }

    /// Whether an operator may have a create under way.
    fn attempts_are_open(&self) -> bool {
        self.api().any(self.scenario().plural(), NAMESPACE, |object| open_attempt(object).is_some())
    }

    /// Whether an object has a connector that was deleted. It has no other name than its type, so nobody can tell one that
    /// a stranger makes now from the one that the object had.
    fn is_replaced(&self) -> bool {
        matches!(self.scenario().flavour, Flavour::Arcus | Flavour::ArcusLink)
            && self.recorded(NAME).is_some()
            && self.simulator().connector(self.scenario().connector()).is_some_and(|connector| connector.deleted)
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
