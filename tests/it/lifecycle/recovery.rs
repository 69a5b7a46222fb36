//! A lost cluster, and a move to another one: what is restored or declared elsewhere makes nothing and deletes nothing at a
//! provider by itself. `docs/recovery.md` is the guide whose steps these are.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use rstest::rstest;
use serde_json::{Value, json};
use tradewind::api::v1alpha1::{Connection, IntegrationInstance, ProviderAccount};
use tradewind_cluster::Tool;
use tradewind_simulator::arcus::{Act, Connector};
use tradewind_simulator::{Operation, Simulator};

use crate::cli::{Programs, run_in};
use crate::cluster::{HANG, Kind, Sandbox};
use crate::conditions::{Kstatus, Observed};
use crate::docs::{blocks, carry_out, read, section};
use crate::install::tool;
use crate::lifecycle::arcus::connector;
use crate::lifecycle::expect::changed;
use crate::lifecycle::instances::instance;
use crate::world::{ARCUS_KEY, World, connection, id_of, store};

/// What is written at the providers, in the order of creates, updates, deletes and refreshes.
fn written(simulator: &Simulator) -> [usize; 4] {
    let all = simulator.stats().by_operation;
    [Operation::Create, Operation::Update, Operation::Delete, Operation::Refresh]
        .map(|operation| all.get(&operation).copied().unwrap_or_default())
}

/// One object of each provider, all of them working.
async fn furnished(name: &str) -> World {
    let mut world = World::quiet(name).await;
    world.furnish().await;
    world.furnish_sku("").await;
    world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.sandbox.apply(&connector("labels", "shippo", "", "")).await;
    world.until("labels", "Ready", "False", "AuthorizationRequired").await;
    world.simulator.act_arcus(&Act::EnterCredentials.on(Connector::Shippo)).expect("a deed");
    all_work(&world).await;
    world
}

async fn all_work(world: &World) {
    world.settled("acme").await;
    world.well("acme").await;
    world.until("labels", "Ready", "True", "Succeeded").await;
}

/// Another cluster at the same providers: a namespace of its own with an operator of its own, which does not run yet.
async fn elsewhere(world: &World, name: &str) -> World {
    let mut other = World::at(Sandbox::new(name).await, world.simulator.clone());
    // The accounts name the address of before.
    other.settings.allow = world.settings.allow.clone();
    other.endpoint.clone_from(&world.endpoint);
    other
}

/// What a tool for backups stores of a namespace: the objects with labels, annotations, finalizers and owners.
async fn back_up(sandbox: &Sandbox) -> Vec<DynamicObject> {
    let kinds = [
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ProviderAccount>(&()),
        ApiResource::erase::<Connection>(&()),
        ApiResource::erase::<IntegrationInstance>(&()),
    ];
    let mut stored = vec![];
    for kind in kinds {
        let api = Api::<DynamicObject>::namespaced_with(sandbox.client().clone(), sandbox.namespace(), &kind);
        for mut object in api.list(&ListParams::default()).await.expect("a list") {
            object.types =
                Some(kube::core::TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() });
            // A token of a service account belongs to its cluster.
            if object.data["type"] != "kubernetes.io/service-account-token" {
                stored.push(object);
            }
        }
    }
    stored
}

/// Brings a backup into another namespace, in the order in which it was stored.
async fn restore(sandbox: &Sandbox, backup: &[DynamicObject], with_status: bool) {
    for stored in backup {
        let mut object = stored.clone();
        let kept = std::mem::take(&mut object.metadata);
        object.metadata.name = kept.name;
        object.metadata.labels = kept.labels;
        object.metadata.annotations = kept.annotations;
        object.metadata.finalizers = kept.finalizers;
        object.metadata.owner_references = kept.owner_references;
        let status = object.data.as_object_mut().expect("an object").remove("status");
        let api = sandbox.dynamic_api(&object).await;
        api.create(&PostParams::default(), &object).await.expect("a restored object");
        if let Some(status) = status.filter(|_| with_status) {
            let patch = Patch::Merge(json!({"status": status}));
            api.patch_status(&object.name_any(), &PatchParams::default(), &patch).await.expect("a restored status");
        }
    }
}

/// The ids of the records, by the name that `tradewind` takes.
async fn ids(world: &World) -> BTreeMap<&'static str, String> {
    let id =
        |status: Option<tradewind::api::v1alpha1::ManagedStatus>| status.and_then(|s| s.external_id).expect("an id");
    let [acme, labels] = ["acme", "labels"].map(async |name| world.sandbox.get::<Connection>(name).await);
    let instance = world.sandbox.get::<IntegrationInstance>("acme").await.expect("an instance");
    BTreeMap::from([
        ("connection/acme", id(acme.await.expect("a connection").status)),
        ("connection/labels", id(labels.await.expect("a connection").status)),
        ("integrationinstance/acme", id(instance.status)),
    ])
}

/// Asserts that an object asks its question and names its record; twice, so that nothing comes of asking either.
async fn asks<K: Kind + Observed>(world: &World, name: &str, id: &str) {
    world.sandbox.wait_for::<K>(name, HANG, |o| o.says("Ready", "False", "CreateOutcomeUnknown")).await;
    let halted = world.looked_at::<K>(name).await;
    assert!(halted.says("Stalled", "True", "CreateOutcomeUnknown"), "{:#?}", halted.observed());
    assert_eq!(halted.kstatus(), Kstatus::Failed);
    let told = halted.condition("Ready").expect("it is there").message.clone();
    assert!(told.contains(id) && told.contains("tradewind resolve --adopt ID"), "{told}");
    let all = serde_json::to_value(&halted).expect("JSON");
    assert_eq!(all.pointer("/status/creation/candidates"), Some(&json!([id])), "{}", K::kind(&()));
}

/// What was adopted carries no attempt, so nothing is asked: its declaration says whose the record is.
#[rstest]
#[case::with_status(true)]
#[case::without_status(false)]
#[tokio::test]
async fn a_restored_object_has_the_record_again_that_it_had_adopted(#[case] with_status: bool) {
    let mut lost = World::new("lost-adopted").await;
    let id = lost.stranger(&store("acme"));
    let policies = "  adoptionPolicy: Match\n  deletionPolicy: Retain\n";
    lost.sandbox.apply(&connection("acme", &store("acme"), policies)).await;
    assert_eq!(id_of(&lost.settled("acme").await), id);
    let backup = back_up(&lost.sandbox).await;
    lost.crash().await;
    let mut restored = elsewhere(&lost, "restored-adopted").await;
    restore(&restored.sandbox, &backup, with_status).await;
    restored.start().await;
    assert_eq!(id_of(&restored.settled("acme").await), id);
    assert_eq!(written(&restored.simulator), [0; 4]);
}

/// From the manifests alone, as from Git: what has an identity at its provider is found, and in the way.
#[tokio::test]
async fn what_is_applied_anew_without_a_backup_takes_and_makes_nothing() {
    let mut lost = furnished("gone").await;
    let before = ids(&lost).await;
    lost.crash().await;
    let writes = written(&lost.simulator);
    let mut anew = elsewhere(&lost, "anew").await;
    declare(&anew, &json!({}), &BTreeMap::new()).await;
    anew.start().await;
    for (name, id) in [("acme", &before["connection/acme"]), ("labels", &before["connection/labels"])] {
        let halted = anew.until(name, "Ready", "False", "AlreadyExists").await;
        assert!(halted.condition("Ready").is_some_and(|c| c.message.contains(id)), "{:#?}", halted.observed());
    }
    anew.instance_until("acme", "Ready", "False", "AlreadyExists").await;
    assert_eq!(written(&anew.simulator), writes);
}

/// Declares the three objects and their accounts, with these changes to the objects' specs, and these ids for them.
async fn declare(world: &World, spec: &Value, refs: &BTreeMap<&str, String>) {
    world.furnish().await;
    world.furnish_sku("").await;
    world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
    let objects = [
        ("connection/acme", connection("acme", &store("acme"), "")),
        ("connection/labels", connector("labels", "shippo", "", "")),
        ("integrationinstance/acme", instance("acme", "")),
    ];
    for (name, manifest) in objects {
        let mut spec = spec.clone();
        if let Some(id) = refs.get(name) {
            spec["externalRef"] = json!({"id": id});
        }
        world.sandbox.apply(&changed(&manifest, &spec)).await;
    }
}

/// Retain in the old cluster, `externalRef` in the new one: no record is made, changed or deleted on the way.
#[tokio::test]
async fn a_move_to_another_cluster_leaves_every_record_as_it_is() {
    let old = furnished("moves-from").await;
    let (before, writes) = (ids(&old).await, written(&old.simulator));
    let retain = json!({"spec": {"deletionPolicy": "Retain"}});
    for name in ["acme", "labels"] {
        old.change(name, &retain).await;
    }
    old.edit_instance("acme", &retain).await;
    for name in ["acme", "labels"] {
        old.sandbox.delete::<Connection>(name).await;
        old.sandbox.wait_gone::<Connection>(name, HANG).await;
    }
    old.goes("acme").await;
    for name in ["rutter", "sku", "arcus"] {
        old.sandbox.delete::<ProviderAccount>(name).await;
        old.sandbox.wait_gone::<ProviderAccount>(name, HANG).await;
    }
    assert_eq!(written(&old.simulator), writes, "the old cluster is left without a word to the providers");

    let mut new = elsewhere(&old, "moves-to").await;
    declare(&new, &json!({"adoptionPolicy": "Match", "deletionPolicy": "Retain"}), &before).await;
    new.start().await;
    all_work(&new).await;
    assert_eq!(ids(&new).await, before);
    let id = new.secret_value("acme-connection", "connection_id").await;
    assert_eq!(id.as_ref(), Some(&before["connection/acme"]), "the connection's token is there again");
    new.looked_at::<IntegrationInstance>("acme").await;
    assert_eq!(written(&new.simulator), writes);

    // From now on the new cluster has the say.
    new.change("acme", &json!({"spec": {"deletionPolicy": "Delete"}})).await;
    new.sandbox.delete::<Connection>("acme").await;
    new.sandbox.wait_gone::<Connection>("acme", HANG).await;
    let [creates, updates, deletes, refreshes] = writes;
    assert_eq!(written(&new.simulator), [creates, updates, deletes + 1, refreshes]);
}

/// Our own command line asks a real API server.
mod real {
    use super::*;

    /// The status is what a backup may leave out. Without it the credentials of the store are given once more where the provider takes
    /// them, since nobody knows which ones it has; nothing else is written either way.
    #[rstest]
    #[case::with_status(true)]
    #[case::without_status(false)]
    #[tokio::test]
    async fn a_restored_namespace_halts_and_goes_on_with_its_records_when_a_person_says_so(#[case] with_status: bool) {
        let mut lost = furnished("lost").await;
        let (before, backup) = (ids(&lost).await, back_up(&lost.sandbox).await);
        let with_a_status = backup.iter().filter(|o| o.data.get("status").is_some()).count();
        assert_eq!(with_a_status, 6, "three accounts and what they are for");
        lost.crash().await;
        let writes = written(&lost.simulator);
        let mut restored = elsewhere(&lost, "restored").await;
        restore(&restored.sandbox, &backup, with_status).await;
        restored.start().await;
        asks::<Connection>(&restored, "acme", &before["connection/acme"]).await;
        asks::<Connection>(&restored, "labels", &before["connection/labels"]).await;
        asks::<IntegrationInstance>(&restored, "acme", &before["integrationinstance/acme"]).await;
        assert_eq!(written(&restored.simulator), writes, "nothing is written before a person has answered");

        for (name, id) in &before {
            let resolved = run_in(&restored.sandbox, &["resolve", name, "--adopt", id]).await;
            assert_eq!(resolved.code, Some(0), "{resolved:?}");
        }
        all_work(&restored).await;
        assert_eq!(ids(&restored).await, before);
        restored.looked_at::<IntegrationInstance>("acme").await;
        restored.well("acme").await;
        let [creates, updates, deletes, refreshes] = writes;
        let token = usize::from(!with_status);
        assert_eq!(written(&restored.simulator), [creates, updates + token, deletes, refreshes]);

        // The restored Secret had the lost object for its owner, and is the new one's now, with the very same content.
        let owned = |secret: &Secret| {
            let uid = secret.owner_references().first().map(|owner| owner.uid.clone());
            uid.is_some() && backup.iter().all(|o| o.uid() != uid)
        };
        restored.sandbox.wait_for::<Secret>("acme-connection", HANG, owned).await;
        let id = restored.secret_value("acme-connection", "connection_id").await;
        assert_eq!(id.as_ref(), Some(&before["connection/acme"]));
    }

    /// The namespace with all that is in it is lost, and its operator.
    async fn lose(world: &mut World) {
        let all = back_up(&world.sandbox).await;
        world.crash().await;
        let unheld = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        for object in &all {
            let (api, name) = (world.sandbox.dynamic_api(object).await, object.name_any());
            if api.get_opt(&name).await.expect("an answer").is_some() {
                api.patch(&name, &PatchParams::default(), &unheld).await.expect("an object that nothing holds");
                api.delete(&name, &DeleteParams::default()).await.expect("an end");
            }
        }
    }

    /// The only block of a part of the page that holds this.
    fn block(page: &str, heading: &str, says: &str) -> String {
        let mut found = blocks(&section(page, heading), "sh");
        found.retain(|block| block.contains(says));
        assert_eq!(found.len(), 1, "blocks with {says}: {found:?}");
        found.remove(0)
    }

    /// With kubectl and jq, as the page has it: what its filters keep is enough, and what they leave out is not missed.
    #[tokio::test]
    async fn the_commands_of_the_page_bring_a_lost_namespace_back() {
        let mut world = furnished("page").await;
        let before = ids(&world).await;
        let page = read("recovery.md");
        let programs = Programs::new("recovery");
        programs.link(world.sandbox.cluster().kubectl().as_std().get_program(), "kubectl");
        programs.link(tool(Tool::Gojq).await.as_os_str(), "jq");
        let run = async |world: &World, commands: &str| {
            let ran = carry_out(world, &programs, commands).await;
            assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{commands}{}", ran.out);
            ran.out
        };
        run(&world, &block(&page, "Backup", "CLEAN=")).await;
        let list = run(&world, &block(&page, "Backup", "ID:.status.externalId")).await;
        assert!(before.values().all(|id| list.contains(id)), "{list}");

        lose(&mut world).await;
        assert_eq!(back_up(&world.sandbox).await, []);
        let writes = written(&world.simulator);
        // The CRDs are those of all namespaces here, and have been there all along.
        let restore = block(&page, "Restore", "kubectl create -n shop -f shop.json");
        let (crds, restore) = restore.split_once('\n').expect("several commands");
        assert!(crds.starts_with("kubectl apply --server-side -f crds/"), "{crds}");
        run(&world, restore).await;
        world.start().await;
        asks::<Connection>(&world, "acme", &before["connection/acme"]).await;
        asks::<Connection>(&world, "labels", &before["connection/labels"]).await;
        asks::<IntegrationInstance>(&world, "acme", &before["integrationinstance/acme"]).await;

        let answers = block(&page, "Restore", "while read -r name id");
        run(&world, &answers).await;
        let instances = answers.replace("connections", "integrationinstances").replace("\"$name\"", "\"ii/$name\"");
        run(&world, &instances).await;
        all_work(&world).await;
        assert_eq!(ids(&world).await, before);
        world.looked_at::<IntegrationInstance>("acme").await;
        let [creates, updates, deletes, refreshes] = writes;
        assert_eq!(
            written(&world.simulator),
            [creates, updates + 1, deletes, refreshes],
            "but for the token of SKU.io"
        );
        let id = world.secret_value("acme-connection", "connection_id").await;
        assert_eq!(id.as_ref(), Some(&before["connection/acme"]));
    }
}
