//! What a test of a mistake looks at: what the object tells people, that it rests, and what has happened at the provider.
//!
//! It must never change anything but the annotation that asks for a reconcile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::rutter::Origin;

use crate::cluster::{HANG, Kind, Sandbox, documents};
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, status_of};

/// What the Secrets of tests hold begins so; it must not be in any message.
const CANARY: &str = "test-canary";

/// So long nobody asks anything of an object that is to rest.
const WINDOW: Duration = Duration::from_millis(1500);
/// The passes over all objects of its kind in that time: what waits for somebody is looked at every 300 ms in these worlds, and one
/// more pass may be due. A loop in which each pass asks for the next one at once, or after the 100 ms that follow a step, has twice as
/// many.
const FEW_PASSES: u128 = 7;
/// A halted object's requests to the provider between two looks of a person and in that time: a look takes about six of them
/// (lists, details, health), and on a slow machine some passes come due in between.
const FEW_CALLS: usize = 40;
/// The same for writes: the answer to the person, one that came too late, and one more.
const FEW_WRITES: usize = 3;

/// Asserts what a halted object says: this reason, all of these words, and that nothing goes on before somebody acts.
pub(super) fn assert_stalled(object: &impl Observed, reason: &str, says: &[&str]) {
    assert_ready_false(object, reason, says);
    assert!(object.says("Stalled", "True", reason), "{:#?}", object.observed());
    assert!(object.condition("Reconciling").is_none(), "{:#?}", object.observed());
    assert_eq!(object.kstatus(), Kstatus::Failed, "{:#?}", object.observed());
}

/// Of objects that want one record, the one that has it. The others say so, and nothing of it comes into their hands.
pub(super) async fn one_has_it(world: &World, names: &[String]) -> Connection {
    let is_decided =
        |c: &Connection| c.says("Ready", "False", "ExternalIdConflict") || c.says("Ready", "True", "Succeeded");
    let all = join_all(names.iter().map(|name| world.sandbox.wait_for::<Connection>(name, HANG, is_decided))).await;
    let (mut ready, halted): (Vec<_>, Vec<_>) = all.into_iter().partition(|c| c.says("Ready", "True", "Succeeded"));
    assert_eq!(ready.len(), 1, "{ready:#?}\n{halted:#?}");
    for without in &halted {
        assert_eq!(status_of(without).external_id, None);
        let secret = format!("{}-connection", without.name_any());
        assert_eq!(world.secret_value(&secret, "access_token").await, None);
    }
    ready.remove(0)
}

/// Asserts what an object says that waits for something that may come by itself.
pub(super) fn assert_waiting(object: &impl Observed, reason: &str, says: &[&str]) {
    assert_ready_false(object, reason, says);
    assert!(object.condition("Reconciling").is_some_and(|c| c.status == "True"), "{:#?}", object.observed());
    assert!(object.condition("Stalled").is_none(), "{:#?}", object.observed());
    assert_eq!(object.kstatus(), Kstatus::InProgress, "{:#?}", object.observed());
}

/// Asserts that an object is ready and says nothing else.
pub(super) fn assert_healed(object: &impl Observed) {
    assert!(object.says("Ready", "True", "Succeeded"), "{:#?}", object.observed());
    assert!(object.condition("Stalled").is_none() && object.condition("Reconciling").is_none());
    let wrong: Vec<_> = object.observed().into_iter().flat_map(|(all, _)| all).filter(|c| c.status != "True").collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(object.kstatus(), Kstatus::Current);
}

fn assert_ready_false(object: &impl Observed, reason: &str, says: &[&str]) {
    assert!(object.says("Ready", "False", reason), "{:#?}", object.observed());
    let message = &object.condition("Ready").expect("it is there").message;
    for word in says {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    let all = object.observed().expect("a status").0;
    assert!(all.iter().all(|c| !c.message.contains(CANARY)), "a credential in a condition: {all:#?}");
}

/// The last document of a manifest with these changes to its spec; null removes a field.
pub(super) fn changed(manifest: &str, changes: &Value) -> String {
    let mut object = documents(manifest).pop().expect("a document");
    merge(&mut object.data["spec"], changes);
    serde_json::to_string(&object).expect("JSON, which is YAML")
}

fn merge(target: &mut Value, changes: &Value) {
    let (Value::Object(fields), Value::Object(changes)) = (&mut *target, changes) else {
        target.clone_from(changes);
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.as_str()).or_insert_with(|| json!({})), change);
        }
    }
}

/// What `tradewind abandon` says stays behind at the provider.
pub(super) fn left_behind(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("  - ")).collect()
}

impl Sandbox {
    /// Asks for a reconcile and waits for the answer: what has not happened by then does not happen by itself.
    pub(crate) async fn looked_at<K: Kind>(&self, name: &str) -> K {
        let token = uuid::Uuid::new_v4().to_string();
        let patch = json!({"metadata": {"annotations": {keys::RECONCILE: token}}});
        let asked = self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        asked.expect("an object to look at");
        let is_answered = |object: &K| {
            let object = serde_json::to_value(object).expect("JSON");
            object.pointer("/status/lastHandledReconcileAt").and_then(Value::as_str) == Some(&token)
        };
        self.wait_for(name, HANG, is_answered).await
    }
}

impl World {
    /// The same in the operator's namespace.
    pub(super) async fn looked_at<K: Kind>(&self, name: &str) -> K {
        self.sandbox.looked_at(name).await
    }

    /// Looks at an object twice, and leaves it alone in between, which changes nothing: neither is there a loop, nor does
    /// anything come of asking.
    pub(super) async fn rests<K: Kind + Observed>(&self, name: &str) -> K {
        let before = self.looked_at::<K>(name).await;
        let (mark, calls) = (self.sandbox.mark(), self.simulator.stats().requests);
        self.assert_idle(&K::kind(&())).await;
        let after = self.looked_at::<K>(name).await;
        assert_eq!(before.observed(), after.observed(), "asking again changes nothing");
        let journal = &self.simulator.journal()[calls..];
        assert!(
            journal.len() <= FEW_CALLS,
            "{} requests to the provider, such as {:#?}",
            journal.len(),
            journal.last()
        );
        let object = format!("{}/{name}", K::plural(&()));
        let writes = self.sandbox.audit_writes(mark).remove(&object).unwrap_or_default();
        assert!(writes.len() <= FEW_WRITES, "{writes:#?}");
        after
    }

    /// Asserts that objects of a kind are hardly looked at while nobody asks. A state that makes no request and no write could run
    /// in circles unseen by those.
    async fn assert_idle(&self, kind: &str) {
        let (before, begun) = (self.passes(kind), Instant::now());
        tokio::time::sleep(WINDOW).await;
        let passes = self.passes(kind) - before;
        // On a machine that is late more of them are due.
        let windows = begun.elapsed().as_millis() / WINDOW.as_millis();
        assert!((passes as u128) <= windows * FEW_PASSES, "{passes} passes over a {kind} that rests");
    }

    /// How often the operators of this world have looked at objects of a kind.
    fn passes(&self, kind: &str) -> usize {
        let begins = format!("tradewind_reconciles_total{{kind=\"{kind}\"");
        let metrics = self.metrics.text();
        let lines = metrics.lines().filter(|line| line.starts_with(&begins));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
    }

    /// Asserts what is there in the end, and that it came about well: so many creates, and no two records of one store at
    /// the same time, except for those that a stranger made.
    pub(super) fn assert_made(&self, creates: usize, live: &[&str]) {
        let (mut live, mut found) = (live.to_vec(), self.live());
        live.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, live, "the live records");
        let stats = self.simulator.stats();
        assert_eq!(stats.creates, creates, "{stats:?}");
        let mut by_store = BTreeMap::<_, Vec<_>>::new();
        for record in self.simulator.connections().into_iter().filter(|record| record.origin == Origin::Api) {
            by_store.entry((record.org_id.clone(), record.store.clone())).or_default().push(record);
        }
        for twins in by_store.values().flat_map(|records| records.windows(2)) {
            assert!(twins[0].deleted_at.is_some_and(|end| end <= twins[1].created_at), "at the same time: {twins:#?}");
        }
    }
}
