//! Deletion of everything that belongs together, in every order: objects, account, Secrets, namespace, CRDs, operator.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Resource, ResourceExt};
use rstest::rstest;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::{ClusterProviderAccount, Connection, IntegrationInstance, ProviderAccount};
use tradewind_simulator::{Clock, Effect, Fault, Operation};

use crate::cli::run_in;
use crate::cluster::{HANG, Kind, Sandbox, control_plane_of_its_own, install_crds};
use crate::conditions::Observed;
use crate::lifecycle::arcus::connector;
use crate::lifecycle::expect::{assert_healed, left_behind};
use crate::lifecycle::instances::instance;
use crate::lifecycle::tenancy::{shared, sharing, team};
use crate::world::{ARCUS_KEY, World, connection, id_of, message, store, told};

/// All that belongs to two connections.
const PARTS: [&str; 4] = ["connections", "account", "login", "store"];
const TWO: [&str; 2] = ["one", "two"];

/// Every order of these parts.
fn orders(parts: &[&'static str]) -> Vec<Vec<&'static str>> {
    if parts.is_empty() {
        return vec![vec![]];
    }
    let first = |n: usize| {
        let rest: Vec<_> = parts.iter().enumerate().filter(|(i, _)| *i != n).map(|(_, part)| *part).collect();
        orders(&rest).into_iter().map(move |order| [vec![parts[n]], order].concat())
    };
    (0..parts.len()).flat_map(first).collect()
}

/// Whether an account or a Secret carries our hold.
pub(super) fn is_held(object: &impl ResourceExt) -> bool {
    object.finalizers().iter().any(|finalizer| finalizer == keys::ACCOUNT_FINALIZER)
}

/// Two connections and what they need, with an account of either kind.
struct Bundle<'a, A> {
    /// Where the connections are.
    namespace: &'a Sandbox,
    /// The manifest of a connection.
    manifest: fn(&str, &str, &str) -> String,
    accounts: Api<A>,
    logins: Api<Secret>,
}

impl<A> Bundle<'_, A>
where
    A: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// Comes to be, and is deleted in this order.
    async fn comes_and_goes(&self, order: &[&str]) {
        for name in TWO {
            self.namespace.apply(&(self.manifest)(name, &store(name), "")).await;
        }
        let loaded = |c: &Connection| c.says("InitialRefreshComplete", "True", "Succeeded");
        join_all(TWO.map(|name| self.namespace.wait_for(name, HANG, loaded))).await;
        until(&self.accounts, "rutter", |account| account.is_some_and(is_held)).await;
        until(&self.logins, "rutter-api", |login| login.is_some_and(is_held)).await;
        let mut used = true;
        for part in order {
            self.delete(part, used).await;
            used &= *part != "connections";
        }
        until(&self.accounts, "rutter", |account| account.is_none()).await;
        until(&self.logins, "rutter-api", |login| login.is_none()).await;
    }

    /// Deletes a part. What the connections need stays as long as they do; all else goes at once.
    async fn delete(&self, part: &str, used: bool) {
        match part {
            "connections" => {
                join_all(TWO.map(|name| self.namespace.delete::<Connection>(name))).await;
                join_all(TWO.map(|name| self.namespace.wait_gone::<Connection>(name, HANG))).await;
            }
            "account" => delete_held(&self.accounts, "rutter", used).await,
            "login" => delete_held(&self.logins, "rutter-api", used).await,
            "store" => {
                self.namespace.delete::<Secret>("store-login").await;
                self.namespace.wait_gone::<Secret>("store-login", HANG).await;
            }
            other => panic!("{other}"),
        }
    }
}

async fn delete_held<K: Resource + Clone + Debug + DeserializeOwned>(api: &Api<K>, name: &str, used: bool) {
    api.delete(name, &DeleteParams::default()).await.expect("an object to delete");
    if used {
        let held = api.get(name).await.expect("it is in use");
        assert!(held.meta().deletion_timestamp.is_some() && is_held(&held), "{held:#?}");
    }
}

/// Waits until this is true of an object.
async fn until<K>(api: &Api<K>, name: &str, holds: impl Fn(Option<&K>) -> bool)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let found = tokio::time::timeout(HANG, await_condition(api.clone(), name, holds)).await;
    found.unwrap_or_else(|late| panic!("{name}: {late}")).expect("a watch");
}

#[tokio::test]
async fn account_and_login_are_held_while_in_use_and_go_in_every_order() {
    let all = orders(&PARTS);
    assert_eq!(all.len(), 24);
    let lives = stream::iter(all).for_each_concurrent(4, async |order| {
        let world = World::new("order").await;
        let (accounts, logins) = (world.sandbox.api::<ProviderAccount>(), world.sandbox.api());
        let bundle = Bundle { namespace: &world.sandbox, manifest: connection, accounts, logins };
        bundle.comes_and_goes(&order).await;
        world.ends_with(&[], 2, 2);
    });
    lives.await;
}

/// One after the other in one cluster, which each of them has for itself.
#[tokio::test]
async fn a_shared_account_and_its_login_are_held_while_in_use_and_go_in_every_order() {
    let spec = json!({"allowedNamespaces": {"selector": {}}});
    let world = shared("order-shared", &spec).await;
    let ours = team(&world, "ours").await;
    let accounts = Api::<ClusterProviderAccount>::all(world.sandbox.client().clone());
    let bundle = Bundle { namespace: &ours, manifest: sharing, accounts, logins: world.sandbox.api() };
    let all = orders(&["connections", "account", "login"]);
    assert_eq!(all.len(), 6);
    for (n, order) in all.iter().enumerate() {
        world.sandbox.apply(&world.shared_account(&spec)).await;
        bundle.comes_and_goes(order).await;
        world.ends_with(&[], 2 * (n + 1), 2 * (n + 1));
    }
}

/// A deletion needs the id, the account and its login: not a declaration that could be carried out. `says`: the condition that is
/// False of the object then, and why.
async fn goes_although_it_is_broken<K: Kind + Observed>(world: &World, spec: &Value, says: [&str; 2]) {
    let edit = Patch::Merge(json!({"spec": spec}));
    let edited = world.sandbox.api::<K>().patch("acme", &PatchParams::default(), &edit).await;
    // What the schema refuses cannot come into an object, so it cannot break one either.
    edited.unwrap_or_else(|refused| panic!("the schema refuses this already: {refused}"));
    let [kind, reason] = says;
    world.sandbox.wait_for::<K>("acme", HANG, |object| object.says(kind, "False", reason)).await;
    world.sandbox.delete::<K>("acme").await;
    world.sandbox.wait_gone::<K>("acme", HANG).await;
}

#[rstest]
#[case::no_such_store(json!({"rutter": {"parameters": {"store_url": "nonsense"}}}), ["Ready", "InvalidSpec"])]
#[case::no_such_day(json!({"sync": {"products": {"startDate": "2025-02-30"}}}), ["Ready", "InvalidSpec"])]
#[case::no_such_secret(
    json!({"replacementPolicy": "Recreate", "rutter": {
        "credentialsSecretRef": {"name": "never-was"}, "parameters": {"store_url": store("moved")}
    }}),
    ["Ready", "SecretNotFound"]
)]
#[case::somebody_elses_secret(json!({"connectionSecretRef": {"name": "store-login"}}), ["Ready", "ConnectionSecretConflict"])]
#[tokio::test]
async fn a_record_is_deleted_whatever_its_declaration_has_come_to(#[case] spec: Value, #[case] says: [&str; 2]) {
    let world = World::new("broken-spec").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    goes_although_it_is_broken::<Connection>(&world, &spec, says).await;
    world.ends_with(&[], 1, 1);
}

#[rstest]
#[case::no_such_secret(json!({"accessTokenSecretRef": {"name": "never-was"}}), ["CredentialsValid", "SecretNotFound"])]
#[case::no_such_key(json!({"accessTokenSecretRef": {"key": "never-was"}}), ["CredentialsValid", "SecretKeyMissing"])]
#[case::no_such_day(json!({"settings": {"startDate": "2026-02-30"}}), ["Ready", "InvalidSpec"])]
#[case::another_type(json!({"integrationId": 6}), ["Ready", "ReplacementRequired"])]
#[tokio::test]
async fn an_instance_is_deleted_whatever_its_declaration_has_come_to(#[case] spec: Value, #[case] says: [&str; 2]) {
    let world = World::with_sku("broken-instance").await;
    world.sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;
    goes_although_it_is_broken::<IntegrationInstance>(&world, &spec, says).await;
    world.sku_ends_with(&[], 1, 1);
}

#[rstest]
#[case::a_field_of_another_type(json!({"arcus": {"bankAccountId": "b"}}), ["Ready", "InvalidSpec"])]
#[case::a_secret_in_the_open(json!({"arcus": {"config": {"secret": "test-canary"}}}), ["Ready", "InvalidSpec"])]
#[case::of_the_other_environment(json!({"arcus": {"mode": "Live"}}), ["Ready", "EnvironmentMismatch"])]
#[tokio::test]
async fn a_connector_is_deleted_whatever_its_declaration_has_come_to(#[case] spec: Value, #[case] says: [&str; 2]) {
    let world = World::with_labels("broken-connector").await;
    goes_although_it_is_broken::<Connection>(&world, &spec, says).await;
    world.arcus_ends_with(&[], 1, 1);
}

/// Rights, the controllers of namespaces and CRDs, and our own command line are a real API server's.
mod real {
    use super::*;

    /// A world whose operator lives in another namespace than the objects, as an operator of a whole cluster does: with the namespace go
    /// the roles in it.
    async fn from_elsewhere(name: &str) -> (World, Sandbox) {
        let mut world = World::quiet(name).await;
        let home = Sandbox::new("home").await;
        let role: Value = serde_yaml::from_str(include_str!("../../../config/rbac/role.yaml")).expect("a role");
        home.allow_everywhere(role["rules"].clone()).await;
        world.kubeconfig = Some(home.operator_kubeconfig().to_owned());
        (world, home)
    }

    /// Deletes the namespace of a world, and waits until the namespace controller has done so.
    async fn delete_namespace(world: &World, home: &Sandbox) {
        let timeout = format!("--timeout={}s", HANG.as_secs());
        let deleted = home.kubectl(&["delete", "namespace", world.sandbox.namespace(), &timeout]).await;
        assert!(deleted.ok, "{deleted:?}");
    }

    /// Connections, an instance, a connector whose link a merchant has, and a create that is under way: nothing may be created in the
    /// namespace from its deletion on, neither Secrets nor events.
    #[tokio::test]
    async fn a_namespace_goes_with_all_kinds_of_objects_in_all_states() {
        let (mut world, home) = from_elsewhere("doomed-all").await;
        world.furnish().await;
        world.furnish_sku("").await;
        world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
        world.simulator.configure_arcus(|s| s.link_lifetime = Duration::from_secs(12));
        world.start().await;
        for name in TWO {
            world.sandbox.apply(&connection(name, &store(name), "")).await;
        }
        world.sandbox.apply(&instance("acme", "")).await;
        for name in TWO {
            world.settled(name).await;
        }
        world.well("acme").await;
        let shop = connector(
            "shop",
            "shopify",
            "    shop: acme.myshopify.com\n",
            "  connectionSecretRef: {name: shop-link}\n",
        );
        world.sandbox.apply(&shop).await;
        world.until("shop", "Authorized", "False", "AuthorizationRequired").await;
        world.sandbox.wait_for::<Secret>("shop-link", HANG, |_| true).await;

        let creates = world.asked(Operation::Create);
        world.simulator.push_fault(Fault::on(Operation::Create, Effect::SlowBefore { delay: Duration::from_secs(2) }));
        world.sandbox.apply(&connection("late", &store("late"), "")).await;
        world.until_asked(Operation::Create, creates + 1).await;
        delete_namespace(&world, &home).await;
        let stats = world.simulator.stats();
        assert!(world.live().is_empty() && world.live_at_sku().is_empty(), "{stats:?}");
        // The connector was never made, since nobody followed its link.
        assert_eq!((stats.creates, stats.deletes), (4, 4), "{stats:?}");
        assert!(world.simulator.connectors().iter().all(|connector| connector.deleted));
    }

    /// With the namespace goes the operator's own role: then whoever may do more runs the operator until the namespace is gone, as
    /// docs/conditions.md says.
    #[tokio::test]
    async fn a_namespace_that_took_the_operators_role_with_it_goes_once_somebody_runs_the_operator() {
        let home = Sandbox::new("doomed-role-home").await;
        let mut world = World::new("doomed-role").await;
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        let id = id_of(&world.settled("acme").await);
        // It has not got to it before its rights were gone.
        world.stop().await;
        let namespaces: Api<Namespace> = Api::all(home.client().clone());
        namespaces.delete(world.sandbox.namespace(), &DeleteParams::default()).await.expect("a namespace");
        world.sandbox.wait_gone::<RoleBinding>("tradewind", HANG).await;
        let left = world.sandbox.get::<Connection>("acme").await.expect("it is held by its finalizer");
        assert_eq!(left.finalizers(), [keys::CONNECTION_FINALIZER]);
        world.ends_with(&[&id], 1, 0);

        world.kubeconfig = Some(world.sandbox.cluster().kubeconfig().to_owned());
        world.start().await;
        delete_namespace_ends(&namespaces, world.sandbox.namespace()).await;
        world.ends_with(&[], 1, 1);
    }

    async fn delete_namespace_ends(namespaces: &Api<Namespace>, name: &str) {
        let gone = async { while namespaces.get_opt(name).await.expect("an answer").is_some() {} };
        tokio::time::timeout(HANG, gone).await.expect("the end of the namespace");
    }

    /// `kubectl delete -f crds/`, while the operator runs; and it goes on once they are back.
    #[tokio::test]
    async fn the_crds_go_with_all_objects_and_records_and_can_be_installed_again() {
        let cluster = control_plane_of_its_own().await;
        let sandbox = Sandbox::on(Arc::clone(&cluster), "crds").await;
        let mut world = World::on(sandbox, Clock::real(), World::setup());
        world.furnish().await;
        world.furnish_sku("").await;
        world.start().await;
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        world.sandbox.apply(&instance("acme", "")).await;
        world.settled("acme").await;
        world.well("acme").await;

        let crds: Api<CustomResourceDefinition> = Api::all(world.sandbox.client().clone());
        let ours = |list: Vec<CustomResourceDefinition>| {
            list.into_iter().filter(|crd| crd.spec.group == tradewind::api::GROUP).collect::<Vec<_>>()
        };
        let installed = ours(crds.list(&ListParams::default()).await.expect("a list").items);
        assert!(installed.len() >= 3, "{installed:#?}");
        // Where nobody has ever asked for a kind, the API server opens its storage to clean up, may find it "(re)initializing",
        // and then tries again when it likes: the kind that this operator does not watch is asked for first.
        let shared: Api<ClusterProviderAccount> = Api::all(world.sandbox.client().clone());
        let served = async {
            while shared.list(&ListParams::default()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(HANG, served).await.expect("a list of shared accounts");
        for crd in &installed {
            crds.delete(&crd.name_any(), &DeleteParams::default()).await.expect("a CRD to delete");
        }
        let left = async || ours(crds.list(&ListParams::default()).await.expect("a list").items);
        let gone = async {
            while !left().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let ended = tokio::time::timeout(HANG, gone).await.is_ok();
        assert!(ended, "no object holds them, and yet they stay: {:#?}", left().await);
        for name in ["rutter-api", "sku-api"] {
            let login = world.sandbox.get::<Secret>(name).await.expect("it was not deleted");
            assert!(!is_held(&login), "nobody needs {name} any more");
        }
        let stats = world.simulator.stats();
        assert_eq!((stats.creates, stats.deletes, world.live().len(), world.live_at_sku().len()), (2, 2, 0, 0));

        install_crds(&cluster).await.expect("the CRDs again");
        world.furnish().await;
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        assert_healed(&world.settled("acme").await);
        world.sandbox.delete::<Connection>("acme").await;
        world.sandbox.wait_gone::<Connection>("acme", HANG).await;
        let stats = world.simulator.stats();
        assert_eq!((stats.creates, stats.deletes), (3, 3));
    }

    /// An account that is gone by force: the object says what it needs, and goes once that is there, or once it is abandoned.
    #[rstest]
    #[case::and_goes_with_its_record_once_it_is_back(false)]
    #[case::and_goes_alone_once_a_person_gives_it_up(true)]
    #[tokio::test]
    async fn a_deletion_without_an_account_is_blocked(#[case] abandoned: bool) {
        let world = World::new("no-account").await;
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        let id = id_of(&world.settled("acme").await);
        world.sandbox.wait_for::<ProviderAccount>("rutter", HANG, is_held).await;
        // Somebody takes the finalizers off, as somebody always does.
        let off = json!({"metadata": {"finalizers": null}});
        let patch = Patch::Merge(&off);
        world.sandbox.delete::<ProviderAccount>("rutter").await;
        let account = world.sandbox.api::<ProviderAccount>();
        let _ = account.patch("rutter", &PatchParams::default(), &patch).await;
        world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
        world.sandbox.delete::<Connection>("acme").await;
        let blocked = world.until("acme", "Ready", "False", "DeletionBlocked").await;
        assert!(message(&blocked, "Ready").contains("ProviderAccount rutter"), "{}", told(&blocked));
        assert!(message(&blocked, "Ready").contains("tradewind abandon"), "{}", told(&blocked));
        assert!(blocked.says("Stalled", "True", "DeletionBlocked"), "{}", told(&blocked));
        world.ends_with(&[&id], 1, 0);
        if abandoned {
            let would = run_in(&world.sandbox, &["abandon", "acme"]).await;
            assert_eq!(would.code, Some(2), "{would:?}");
            let done = run_in(&world.sandbox, &["abandon", "acme", "--yes"]).await;
            assert_eq!(done.code, Some(0), "{done:?}");
            // Exactly what stays: one record, by its id.
            for said in [&would.out, &done.out] {
                assert_eq!(left_behind(said), [format!("record {id}, which the object's status names")], "{said}");
            }
            world.sandbox.wait_gone::<Connection>("acme", HANG).await;
            world.ends_with(&[&id], 1, 0);
        } else {
            world.sandbox.apply(&world.account()).await;
            world.sandbox.wait_gone::<Connection>("acme", HANG).await;
            world.ends_with(&[], 1, 1);
        }
    }
}
