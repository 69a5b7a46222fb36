//! Two tenants of one shared account, one of whom forges what objects say of themselves to come by the other's record.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance};
use tradewind::domain::decide::Resolution;
use tradewind::domain::ids::ExternalId;
use tradewind_simulator::{Entry, Operation, Provider};

use crate::cluster::{HANG, Kind, Sandbox};
use crate::conditions::Observed;
use crate::lifecycle::instances::instance;
use crate::lifecycle::tenancy::{shared, sharing, team, until};
use crate::world::{SKU_TOKEN, World, answer, connection, id_of, status_of, store, told};

/// A shared account that admits everybody. `adoption`: what it says of that.
async fn shared_by_all(name: &str, adoption: &str) -> World {
    shared(name, &json!({"allowedNamespaces": {"selector": {}}, "adoption": adoption})).await
}

/// A shared account that admits everybody; the victim has a record in it, and the thief has the leave to use it.
async fn victim_and_thief(name: &str, adoption: &str) -> (World, Sandbox, Sandbox, String) {
    let world = shared_by_all(name, adoption).await;
    let (victim, thief) = (team(&world, "victim").await, team(&world, "thief").await);
    victim.apply(&sharing("acme", &store("victim"), "")).await;
    let loaded = |c: &Connection| c.says("InitialRefreshComplete", "True", "Succeeded");
    victim.wait_for("acme", HANG, loaded).await;
    let id = id_of(&victim.looked_at::<Connection>("acme").await);
    (world, victim, thief, id)
}

async fn forge_status<K: Kind>(namespace: &Sandbox, name: &str, status: Value) {
    let forged = Patch::Merge(json!({"status": status}));
    namespace.api::<K>().patch_status(name, &PatchParams::default(), &forged).await.expect("a status to forge");
}

/// What was asked so far of this record and no other: its creation, all that changes it or takes it away, and all that its own token
/// opens. SKU.io gives no tokens to its records, so that there a read takes nothing from anybody.
fn asked_of(world: &World, id: &str) -> Vec<Operation> {
    const READS: [Operation; 2] = [Operation::ReadDetail, Operation::ReadJob];
    let is_about = |entry: &Entry| {
        let connection = entry.connection_id.is_some_and(|one| one.to_string() == id);
        connection || entry.instance_id.is_some_and(|one| one.to_string() == id)
    };
    let is_open = |entry: &Entry| entry.provider == Provider::SkuIo && READS.contains(&entry.operation);
    let journal = world.simulator.journal();
    journal.iter().filter(|entry| is_about(entry) && !is_open(entry)).map(|entry| entry.operation).collect()
}

async fn annotate(namespace: &Sandbox, name: &str, key: &str, value: &str) {
    let forged = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
    let api = namespace.api::<Connection>();
    api.patch(name, &PatchParams::default(), &forged).await.expect("an object to annotate");
}

/// The victim's record is there, and nothing of it is in any Secret of the thief.
async fn assert_nothing_taken(world: &World, thief: &Sandbox, id: &str) {
    let connection = world.simulator.connections().into_iter().find(|record| record.id.to_string() == id);
    let instance = world.simulator.instances().into_iter().find(|record| record.id.to_string() == id);
    let deleted = [connection.as_ref().map(|record| record.deleted_at), instance.map(|record| record.deleted_at)];
    let found: Vec<_> = deleted.into_iter().flatten().collect();
    assert!(matches!(found.as_slice(), [None]), "the victim's record is there: {found:?}");
    let token = connection.map(|record| record.access_token.to_string());
    let secrets = thief.api::<Secret>().list(&ListParams::default()).await.expect("Secrets");
    let values = secrets.iter().flat_map(|secret| secret.data.iter().flatten());
    for (key, value) in values {
        let value = String::from_utf8_lossy(&value.0);
        assert!(Some(&*value) != token.as_deref() && value != id, "the thief has the victim's {key}");
    }
}

#[tokio::test]
async fn a_forged_status_takes_nothing_from_the_object_that_has_it() {
    let (world, victim, thief, id) = victim_and_thief("forged-status", "Forbidden").await;
    thief.apply(&sharing("mine", &store("thief"), "")).await;
    let mine = id_of(&until(&thief, "mine", "True", "Succeeded").await);
    let before = asked_of(&world, &id);
    forge_status::<Connection>(&thief, "mine", json!({"externalId": id})).await;
    let refused = until(&thief, "mine", "False", "ExternalIdConflict").await;
    assert!(refused.condition("Stalled").is_some(), "{}", told(&refused));
    assert_nothing_taken(&world, &thief, &id).await;
    // Its deletion lets go of what is not its own.
    thief.delete::<Connection>("mine").await;
    thief.wait_gone::<Connection>("mine", HANG).await;
    assert_nothing_taken(&world, &thief, &id).await;
    assert_eq!(world.asked(Operation::Delete), 0);
    assert_eq!(asked_of(&world, &id), before, "nothing was asked of the victim's record");
    assert_eq!(id_of(&until(&victim, "acme", "True", "Succeeded").await), id);
    world.ends_with(&[&id, &mine], 2, 0);
}

/// Whoever names an id holds nothing by that, whether or not the account lets objects adopt what nobody holds.
#[rstest]
#[case::where_adoption_is_forbidden("Forbidden")]
#[case::where_adoption_is_allowed("Allowed")]
#[tokio::test]
async fn an_external_ref_takes_nothing_from_the_object_that_has_it(#[case] adoption: &str) {
    let (world, victim, thief, id) = victim_and_thief("named", adoption).await;
    let before = asked_of(&world, &id);
    assert!(!before.is_empty(), "the journal knows the record");
    let named = format!("  externalRef: {{id: {id}}}\n  adoptionPolicy: Override\n  deletionPolicy: Delete\n");
    // One declares the same store, the other one its own: what it would make of the record.
    for (name, declared) in [("same", "victim"), ("other", "thief")] {
        thief.apply(&sharing(name, &store(declared), &named)).await;
        let refused = until(&thief, name, "False", "ExternalIdConflict").await;
        assert!(refused.condition("Stalled").is_some(), "{}", told(&refused));
        // Nor does it get anything when somebody asks for a look.
        let seen = thief.looked_at::<Connection>(name).await;
        assert!(seen.says("Ready", "False", "ExternalIdConflict"), "{}", told(&seen));
        assert_nothing_taken(&world, &thief, &id).await;
    }
    for name in ["same", "other"] {
        thief.delete::<Connection>(name).await;
        thief.wait_gone::<Connection>(name, HANG).await;
    }
    assert_nothing_taken(&world, &thief, &id).await;
    assert_eq!(asked_of(&world, &id), before, "nothing was asked of the victim's record");
    assert_eq!((world.asked(Operation::Update), world.asked(Operation::Delete)), (0, 0));
    assert_eq!(id_of(&until(&victim, "acme", "True", "Succeeded").await), id);
    world.ends_with(&[&id], 1, 0);
}

/// A tenant of a shared account: a namespace with one object, and the record of that.
struct Tenant {
    namespace: Sandbox,
    name: &'static str,
    id: String,
    /// When the object came to be, and its UID: of two objects that record one id, the one where this comes first holds it.
    since: [String; 2],
}

impl Tenant {
    /// A tenant whose object is at rest: it said this condition, and was looked at after that.
    async fn new<K: Kind + Observed>(world: &World, name: &'static str, manifest: &str, settled: &str) -> Self {
        let namespace = team(world, name).await;
        namespace.apply(manifest).await;
        namespace.wait_for::<K>(name, HANG, |object| object.says(settled, "True", "Succeeded")).await;
        let object = serde_json::to_value(namespace.looked_at::<K>(name).await).expect("JSON");
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).expect("a text").to_owned();
        let since = ["/metadata/creationTimestamp", "/metadata/uid"].map(text);
        Self { id: text("/status/externalId"), namespace, name, since }
    }

    /// Two with a store each at Rutter, the one with the older object first.
    async fn of_rutter(world: &World) -> [Self; 2] {
        let (loaded, manifest) = ("InitialRefreshComplete", |name: &str| sharing(name, &store(name), ""));
        let one = Self::new::<Connection>(world, "one", &manifest("one"), loaded).await;
        let other = Self::new::<Connection>(world, "other", &manifest("other"), loaded).await;
        if one.since < other.since { [one, other] } else { [other, one] }
    }

    /// Two with an instance each in one tenant of SKU.io.
    async fn of_sku(world: &World) -> [Self; 2] {
        let login = "credentialsSecretRef: {name: sku-api";
        let shared =
            format!("allowedNamespaces: {{selector: {{}}}}\n  {login}, namespace: {}", world.sandbox.namespace());
        let account = world.sku_account(SKU_TOKEN, "").replace("ProviderAccount", "ClusterProviderAccount");
        world.sandbox.apply(&account.replace(login, &shared)).await;
        let (named, shared) = ("accountRef: {name: sku}", "accountRef: {kind: ClusterProviderAccount, name: sku}");
        let manifest = |name: &str| instance(name, "").replace(named, shared);
        let one = Self::new::<IntegrationInstance>(world, "one", &manifest("one"), "Ready").await;
        let other = Self::new::<IntegrationInstance>(world, "other", &manifest("other"), "Ready").await;
        [one, other]
    }

    /// Waits until its object is refused for this.
    async fn is_refused<K: Kind + Observed>(&self, reason: &str) {
        self.namespace.wait_for::<K>(self.name, HANG, |object| object.says("Ready", "False", reason)).await;
    }
}

/// Each thief's status names the victim's record from the same moment on: nothing comes of it while the objects are there, nor when
/// they are deleted.
async fn rob<K: Kind + Observed>(world: &World, pairs: &[(&Tenant, &Tenant)]) {
    let asked = || pairs.iter().map(|(_, victim)| asked_of(world, &victim.id)).collect::<Vec<_>>();
    let (before, deletes) = (asked(), world.asked(Operation::Delete));
    assert!(before.iter().all(|operations| !operations.is_empty()), "the journal knows the records: {before:?}");
    join_all(
        pairs
            .iter()
            .map(|(thief, victim)| forge_status::<K>(&thief.namespace, thief.name, json!({"externalId": victim.id}))),
    )
    .await;
    for (thief, victim) in pairs {
        thief.is_refused::<K>("ExternalIdConflict").await;
        // Nor does it when somebody asks for a look.
        let seen = thief.namespace.looked_at::<K>(thief.name).await;
        assert!(seen.says("Ready", "False", "ExternalIdConflict"), "{:#?}", seen.observed());
        assert!(seen.condition("Stalled").is_some(), "{:#?}", seen.observed());
        assert_nothing_taken(world, &thief.namespace, &victim.id).await;
    }
    assert_eq!(asked(), before, "nothing was asked of the victims' records");
    for (thief, _) in pairs {
        thief.namespace.delete::<K>(thief.name).await;
    }
    for (thief, victim) in pairs {
        thief.is_refused::<K>("ExternalIdConflict").await;
        assert_nothing_taken(world, &thief.namespace, &victim.id).await;
    }
    assert_eq!(asked(), before, "nothing was asked of the victims' records");
    assert_eq!(world.asked(Operation::Delete), deletes, "nobody's record was deleted");
}

/// Each id is recorded by one object alone, so that neither object is in the way of the other.
#[tokio::test]
async fn ids_that_two_tenants_have_swapped_give_neither_the_others_record() {
    let world = shared_by_all("swapped", "Forbidden").await;
    let [one, other] = Tenant::of_rutter(&world).await;
    let live = world.live();
    rob::<Connection>(&world, &[(&one, &other), (&other, &one)]).await;
    assert_eq!(world.live(), live);
}

/// The same where a record is known by its name.
#[tokio::test]
async fn instances_that_two_tenants_have_swapped_are_neither_changed_nor_deleted() {
    let world = shared_by_all("swapped-instances", "Forbidden").await;
    let [one, other] = Tenant::of_sku(&world).await;
    rob::<IntegrationInstance>(&world, &[(&one, &other), (&other, &one)]).await;
    assert_eq!(world.asked(Operation::Update), 0);
    let names: Vec<_> = world.simulator.instances().into_iter().map(|instance| instance.name).collect();
    assert_eq!(names, ["one", "other"]);
}

/// Of two objects that record one id the older one holds it: here that is the forger's.
#[tokio::test]
async fn an_older_object_whose_status_is_forged_gets_nothing_of_a_younger_ones_record() {
    let world = shared_by_all("older-forger", "Forbidden").await;
    let [older, younger] = Tenant::of_rutter(&world).await;
    let live = world.live();
    rob::<Connection>(&world, &[(&older, &younger)]).await;
    assert_eq!(world.live(), live);
}

/// The id of the victim's record in another spelling, which its provider takes for the same: no object has that one, and no
/// record either.
async fn spells<K: Kind + Observed>(world: &World, thief: &Tenant, victim: &Tenant, spelled: &str) {
    let before = asked_of(world, &victim.id);
    forge_status::<K>(&thief.namespace, thief.name, json!({"externalId": spelled})).await;
    thief.is_refused::<K>("ExternalNotFound").await;
    let seen = thief.namespace.looked_at::<K>(thief.name).await;
    assert!(seen.says("Ready", "False", "ExternalNotFound"), "{:#?}", seen.observed());
    thief.namespace.delete::<K>(thief.name).await;
    thief.namespace.wait_gone::<K>(thief.name, HANG).await;
    assert_nothing_taken(world, &thief.namespace, &victim.id).await;
    assert_eq!(asked_of(world, &victim.id), before, "nothing was asked of the victim's record");
    assert_eq!(world.asked(Operation::Delete), 0);
}

#[tokio::test]
async fn another_spelling_of_an_instances_id_gives_nothing_of_it() {
    let world = shared_by_all("spelled-instance", "Allowed").await;
    world.simulator.configure_sku_io(|s| s.loose_ids = true);
    let [victim, thief] = Tenant::of_sku(&world).await;
    spells::<IntegrationInstance>(&world, &thief, &victim, &format!("0{}", victim.id)).await;
}

#[tokio::test]
async fn another_spelling_of_a_connections_id_gives_nothing_of_it() {
    let world = shared_by_all("spelled-connection", "Allowed").await;
    let [victim, thief] = Tenant::of_rutter(&world).await;
    spells::<Connection>(&world, &thief, &victim, &victim.id.to_uppercase()).await;
}

/// The status, the annotation and the finalizer of the victim's object, copied whole onto one of the thief's.
#[tokio::test]
async fn the_copied_life_of_another_object_is_not_gone_on_with() {
    let (world, victim, thief, id) = victim_and_thief("copied-life", "Forbidden").await;
    let acme = victim.get::<Connection>("acme").await.expect("the victim's object");
    thief.apply(&sharing("copy", &store("thief"), "  suspend: true\n")).await;
    thief.wait_for::<Connection>("copy", HANG, |c| c.says("Synced", "Unknown", "Suspended")).await;
    let before = asked_of(&world, &id);
    let intent = acme.annotations().get(keys::CREATE_INTENT).expect("an intent");
    annotate(&thief, "copy", keys::CREATE_INTENT, intent).await;
    forge_status::<Connection>(&thief, "copy", serde_json::to_value(status_of(&acme)).expect("JSON")).await;
    let wake = Patch::Merge(json!({"spec": {"suspend": false}}));
    thief.api::<Connection>().patch("copy", &PatchParams::default(), &wake).await.expect("an object");
    let halted = until(&thief, "copy", "False", "CreateOutcomeUnknown").await;

    // Nor does an answer of the thief's own make it so.
    let adopt = Resolution::Adopt(ExternalId::new(&id));
    annotate(&thief, "copy", keys::RESOLVE, &answer(&halted, &adopt)).await;
    until(&thief, "copy", "False", "AdoptionForbidden").await;
    assert_nothing_taken(&world, &thief, &id).await;
    assert_eq!(world.asked(Operation::Delete), 0);
    assert_eq!(asked_of(&world, &id), before, "nothing was asked of the victim's record");
    world.ends_with(&[&id], 1, 0);
}

/// Of a status that anybody may write nothing could be believed: who may edit objects may not.
mod real {
    use super::*;

    #[tokio::test]
    async fn who_may_edit_objects_may_not_write_what_the_operator_says_of_them() {
        let mut world = World::new("statuses").await;
        world.sandbox.apply(&connection("acme", &store("statuses"), "")).await;
        let id = id_of(&world.settled("acme").await);
        world.stop().await;
        // The rules of the role that the chart gives to editors (tests/it/install holds that they name no status).
        let rights = json!({
            "apiGroups": ["tradewind.dev"], "resources": ["provideraccounts", "connections", "integrationinstances"],
            "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
        });
        let (api, name) = ("rbac.authorization.k8s.io/v1", json!({"name": "editor"}));
        let role = json!({"apiVersion": api, "kind": "Role", "metadata": name, "rules": [rights]});
        let binding = json!({
            "apiVersion": api, "kind": "RoleBinding", "metadata": name,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "editor"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "editor"}],
        });
        world.sandbox.apply(&role.to_string()).await;
        world.sandbox.apply(&binding.to_string()).await;
        let patch = async |more: &[&str]| {
            let forged = r#"--patch={"metadata":{"labels":{"forged":"yes"}},"status":{"externalId":"another"}}"#;
            let args = ["patch", "connection", "acme", "--as=editor", "--type=merge", forged];
            world.sandbox.kubectl(&[&args[..], more].concat()).await
        };
        // The authorizer follows by a watch of its own.
        let edited = async { while !patch(&[]).await.ok {} };
        tokio::time::timeout(HANG, edited).await.expect("the right to edit");
        let acme = world.sandbox.get::<Connection>("acme").await.expect("the object");
        assert_eq!(acme.labels().get("forged").map(String::as_str), Some("yes"), "the edit took place");
        assert_eq!(id_of(&acme), id, "and its status did not");
        let refused = patch(&["--subresource=status"]).await;
        assert!(!refused.ok && refused.err.contains("forbidden"), "{refused:?}");
        assert_eq!(id_of(&world.sandbox.get::<Connection>("acme").await.expect("the object")), id);
    }
}
