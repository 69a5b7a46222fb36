//! One account for many namespaces: who may use it, and what they may not do to each other.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::wait::{Condition as Holds, await_condition};
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::{ClusterProviderAccount, Connection, ProviderAccountStatus};
use tradewind_simulator::arcus::{Act, Connector};
use tradewind_simulator::{Clock, Effect, Fault, Operation};

use crate::cluster::{HANG, Sandbox};
use crate::conditions::Observed;
use crate::lifecycle::arcus::connector;
use crate::lifecycle::deletion::is_held;
use crate::lifecycle::expect::{assert_healed, assert_stalled};
use crate::world::{ARCUS_KEY, World, connection, id_of, store};

/// What an operator of the whole cluster may do beside what one of a namespace may.
pub(crate) fn rules() -> Value {
    let role: Value = serde_yaml::from_str(include_str!("../../../config/rbac/role.yaml")).expect("a role");
    let mut rules = role["rules"].as_array().expect("rules").clone();
    let accounts = "clusterprovideraccounts";
    rules.extend([
        json!({"apiGroups": ["tradewind.dev"], "resources": [accounts], "verbs": ["get", "list", "watch", "patch"]}),
        json!({"apiGroups": ["tradewind.dev"], "resources": [format!("{accounts}/status")], "verbs": ["patch"]}),
        json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}),
    ]);
    rules.into()
}

/// A world whose operator looks after a whole cluster, and has the login of the shared account in its own namespace. `spec`: of
/// the account.
pub(crate) async fn shared(name: &str, spec: &Value) -> World {
    let sandbox = Sandbox::alone(name).await;
    sandbox.allow_everywhere(rules()).await;
    let mut world = World::on(sandbox, Clock::real(), World::setup());
    world.settings.namespace = None;
    world.sandbox.apply(&world.shared_account(spec)).await;
    world.start().await;
    world
}

impl World {
    /// The manifests of the shared account `rutter` and its login. `spec`: more of the account's.
    pub(super) fn shared_account(&self, spec: &Value) -> String {
        let login = self.account();
        let (login, _) = login.split_once("---").expect("the login comes first");
        let mut account = json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "ClusterProviderAccount", "metadata": {"name": "rutter"},
            "spec": {
                "provider": "Rutter", "endpoint": self.endpoint,
                "credentialsSecretRef": {"name": "rutter-api", "namespace": self.sandbox.namespace()},
            }
        });
        account["spec"].as_object_mut().expect("a spec").extend(spec.as_object().expect("more of it").clone());
        format!("{login}---\n{account}\n")
    }
}

/// A namespace of a team, with the credentials of its stores.
pub(crate) async fn team(world: &World, name: &str) -> Sandbox {
    let team = world.sandbox.beside(name).await;
    team.apply(&World::store_login()).await;
    team
}

/// A connection in the shared account.
pub(crate) fn sharing(name: &str, store: &str, more: &str) -> String {
    connection(name, store, more)
        .replace("accountRef: {name: rutter}", "accountRef: {kind: ClusterProviderAccount, name: rutter}")
}

pub(crate) async fn until(team: &Sandbox, name: &str, status: &str, reason: &str) -> Connection {
    team.wait_for::<Connection>(name, HANG, |c| c.says("Ready", status, reason)).await
}

/// The shared account, once this is true of it.
async fn account_until(world: &World, holds: impl Holds<ClusterProviderAccount>) -> Option<ClusterProviderAccount> {
    let api: Api<ClusterProviderAccount> = Api::all(world.sandbox.client().clone());
    tokio::time::timeout(HANG, await_condition(api, "rutter", holds)).await.expect("in time").expect("a watch")
}

#[tokio::test]
async fn an_account_serves_the_namespaces_that_it_admits_as_long_as_it_does() {
    let world = shared("shared", &json!({"allowedNamespaces": {"selector": {"matchLabels": {"rutter": "yes"}}}})).await;
    let (ours, others) = (team(&world, "ours").await, team(&world, "others").await);
    ours.label("rutter", Some("yes")).await;
    ours.apply(&sharing("acme", &store("acme"), "")).await;
    let ready = until(&ours, "acme", "True", "Succeeded").await;
    let id = id_of(&ready);

    // Who is not admitted makes nothing, and hears whom to ask.
    others.apply(&sharing("acme", &store("other"), "")).await;
    let refused = until(&others, "acme", "False", "NamespaceNotAllowed").await;
    assert_stalled(
        &refused,
        "NamespaceNotAllowed",
        &["ClusterProviderAccount rutter", others.namespace(), "allowedNamespaces"],
    );
    world.ends_with(&[&id], 1, 0);
    others.label("rutter", Some("yes")).await;
    let other = id_of(&until(&others, "acme", "True", "Succeeded").await);

    // With the label goes the leave: nothing is done with the account any more, not even a deletion.
    ours.label("rutter", None).await;
    until(&ours, "acme", "False", "NamespaceNotAllowed").await;
    ours.delete::<Connection>("acme").await;
    let blocked = until(&ours, "acme", "False", "DeletionBlocked").await;
    let said = &blocked.condition("Ready").expect("it is there").message;
    assert!(said.contains("does not admit") && said.contains("tradewind abandon"), "{said}");
    assert_eq!(world.asked(Operation::Delete), 0);
    ours.label("rutter", Some("yes")).await;
    ours.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[&other], 2, 1);

    // The account and its login stay as long as anybody needs them, in whichever namespace.
    let accounts: Api<ClusterProviderAccount> = Api::all(world.sandbox.client().clone());
    accounts.delete("rutter", &DeleteParams::default()).await.expect("an account to delete");
    let held = |a: Option<&ClusterProviderAccount>| a.is_some_and(|a| a.says("Ready", "False", "DeletionHeld"));
    let held = account_until(&world, held).await.expect("it is held");
    assert!(held.condition("Ready").is_some_and(|c| c.message.starts_with("1 object uses")), "{held:#?}");
    let login = async || world.sandbox.get::<Secret>("rutter-api").await.expect("the login");
    assert!(is_held(&login().await));
    others.delete::<Connection>("acme").await;
    account_until(&world, |a: Option<&ClusterProviderAccount>| a.is_none()).await;
    assert!(!is_held(&login().await), "nobody needs it any more");
    world.ends_with(&[], 2, 2);
}

#[tokio::test]
async fn what_one_namespace_has_in_a_shared_account_is_not_anothers_for_the_asking() {
    let world = shared("apart", &json!({"allowedNamespaces": {"selector": {}}})).await;
    let (ours, others) = (team(&world, "ours").await, team(&world, "others").await);
    ours.apply(&sharing("acme", &store("acme"), "")).await;
    let id = id_of(&until(&ours, "acme", "True", "Succeeded").await);
    let known = |a: Option<&ClusterProviderAccount>| {
        let status: Option<&ProviderAccountStatus> = a.and_then(|a| a.status.as_ref());
        status.is_some_and(|status| status.identity.is_some())
    };
    account_until(&world, known).await;

    others.apply(&sharing("same", &store("acme"), "")).await;
    assert_stalled(&until(&others, "same", "False", "ExternalIdConflict").await, "ExternalIdConflict", &[&id]);
    let named = format!("  externalRef: {{id: {id}}}\n  adoptionPolicy: Match\n  deletionPolicy: Delete\n");
    others.apply(&sharing("named", &store("acme"), &named)).await;
    until(&others, "named", "False", "ExternalIdConflict").await;
    let stranger = world.stranger(&store("stranger"));
    let matching = "  adoptionPolicy: Match\n  deletionPolicy: Delete\n";
    others.apply(&sharing("matching", &store("stranger"), matching)).await;
    let forbidden = until(&others, "matching", "False", "AdoptionForbidden").await;
    assert_stalled(&forbidden, "AdoptionForbidden", &[]);
    others.apply(&sharing("seen", &store("stranger"), "  managementPolicy: ObserveOnly\n")).await;
    until(&others, "seen", "False", "AdoptionForbidden").await;

    for name in ["same", "named", "matching", "seen"] {
        others.delete::<Connection>(name).await;
        others.wait_gone::<Connection>(name, HANG).await;
    }
    let loaded = |c: &Connection| c.says("InitialRefreshComplete", "True", "Succeeded");
    assert_healed(&ours.wait_for::<Connection>("acme", HANG, loaded).await);
    world.ends_with(&[&id, &stranger], 1, 0);
}

/// Arcus gives what is made again within seven days the credentials of before, whoever made it then.
#[tokio::test]
async fn credentials_that_come_back_are_nobodys_before_somebody_says_so() {
    let world = shared("given-back", &json!({})).await;
    let shared = format!(
        "credentialsSecretRef: {{name: arcus-api, namespace: {}}}\n  allowedNamespaces: {{selector: {{}}}}",
        world.sandbox.namespace()
    );
    let account = world.arcus_account("arcus", ARCUS_KEY).replace("ProviderAccount", "ClusterProviderAccount");
    let account = account.replace("credentialsSecretRef: {name: arcus-api}", &shared);
    world.sandbox.apply(&account).await;
    let labels = connector("acme", "shippo", "", "")
        .replace("accountRef: {name: arcus}", "accountRef: {kind: ClusterProviderAccount, name: arcus}");
    let (ours, others) = (team(&world, "ours").await, team(&world, "others").await);
    ours.apply(&labels).await;
    until(&ours, "acme", "False", "AuthorizationRequired").await;
    world.simulator.act_arcus(&Act::EnterCredentials.on(Connector::Shippo)).expect("a connector");
    until(&ours, "acme", "True", "Succeeded").await;
    ours.delete::<Connection>("acme").await;
    ours.wait_gone::<Connection>("acme", HANG).await;

    others.apply(&labels).await;
    let asks = until(&others, "acme", "False", "CredentialsRestored").await;
    assert_stalled(&asks, "CredentialsRestored", &["shippo", "another team's", keys::ALLOW_RESTORED]);
    others.apply(&labels.replace("mode: Sandbox", "mode: Sandbox\n    displayName: Labels")).await;
    until(&others, "acme", "False", "CredentialsRestored").await;
    let changes = |world: &World| world.simulator.connectors().iter().map(|c| c.changes.len()).sum::<usize>();
    assert_eq!(changes(&world), 0, "nothing is changed before somebody has answered");
    let uid = asks.metadata.uid.expect("a UID");
    let answer = json!({"metadata": {"annotations": {keys::ALLOW_RESTORED: uid}}});
    let api = others.api::<Connection>();
    api.patch("acme", &PatchParams::default(), &Patch::Merge(&answer)).await.expect("an object to annotate");
    assert_healed(&until(&others, "acme", "True", "Succeeded").await);
    world.provider_until("the edit", |s| s.connectors().iter().any(|c| c.display_name == "Labels")).await;
    let stats = world.simulator.stats();
    assert_eq!((stats.creates, stats.deletes), (2, 1), "{stats:?}");
}

#[tokio::test]
async fn an_operator_of_one_namespace_serves_no_shared_account_and_says_so() {
    let world = World::new("unshared").await;
    world.sandbox.apply(&sharing("acme", &store("acme"), "")).await;
    let waits = until(&world.sandbox, "acme", "False", "DependencyNotReady").await;
    let said = &waits.condition("Ready").expect("it is there").message;
    assert!(said.contains("ClusterProviderAccount rutter") && said.contains("Name a ProviderAccount"), "{said}");
    world.ends_with(&[], 0, 0);
}

/// A namespace that has much to do leaves another one its share of the account, whenever that comes.
#[tokio::test]
async fn who_shares_an_account_does_not_wait_for_all_that_another_one_makes() {
    const MANY: usize = 36;
    let world = shared("fair", &json!({"allowedNamespaces": {"selector": {}}, "limits": {"maxInFlight": 2}})).await;
    let (many, few) = (team(&world, "many").await, team(&world, "few").await);
    many.apply(&sharing("first", &store("first"), "")).await;
    until(&many, "first", "True", "Succeeded").await;
    let slow = Effect::SlowBefore { delay: Duration::from_secs(2) };
    world.simulator.push_fault(Fault::on(Operation::Create, slow).forever());
    let since = world.simulator.journal().len();
    for index in 0..MANY {
        let name = format!("many-{index}");
        many.apply(&sharing(&name, &store(&name), "")).await;
    }
    world.until_asked(Operation::Create, 3).await;
    few.apply(&sharing("few", &store("few"), "")).await;
    let begun = world.simulator.journal().split_off(since);
    let begun = begun.iter().filter(|entry| entry.operation == Operation::Create).count();
    until(&few, "few", "True", "Succeeded").await;
    let made: Vec<_> = world.simulator.journal().split_off(since);
    let creates = made.iter().filter(|entry| entry.operation == Operation::Create);
    let before = creates.take_while(|entry| entry.store.as_deref().is_none_or(|at| at.contains("many"))).count();
    // Its turn comes after those that were begun before it was declared, and a few more; and not after all of them.
    assert!(
        before.saturating_sub(begun) <= MANY.saturating_sub(begun) / 2,
        "{before} of {MANY}, {begun} of them before it was there"
    );
}
