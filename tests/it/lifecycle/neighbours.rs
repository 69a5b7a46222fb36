//! Teams beside each other in one shared account, and where its login is.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tradewind::api::keys;
use tradewind::api::v1alpha1::{ClusterProviderAccount, Connection};

use super::deletion::is_held;
use super::expect::assert_stalled;
use super::tenancy::{shared, sharing, team, until};
use crate::cluster::{HANG, Sandbox};
use crate::world::{CLIENT_ID, LOGIN_CANARY, World, id_of, secret, store};

fn accounts(world: &World) -> Api<ClusterProviderAccount> {
    Api::all(world.sandbox.client().clone())
}

/// A namespace without leave keeps neither the stores of others from them nor the account and its login from whoever runs
/// it.
#[tokio::test]
async fn who_is_not_admitted_is_in_nobodys_way() {
    let admits = json!({"allowedNamespaces": {"selector": {"matchLabels": {"rutter": "yes"}}}});
    let world = shared("neighbours", &admits).await;
    let (ours, others) = (team(&world, "ours").await, team(&world, "others").await);
    ours.label("rutter", Some("yes")).await;
    for name in ["first", "forged"] {
        others.apply(&sharing(name, &store(name), "")).await;
        until(&others, name, "False", "NamespaceNotAllowed").await;
    }
    let forged = Patch::Merge(json!({"metadata": {"annotations": {keys::CREATE_INTENT: "{}"}}}));
    others.api::<Connection>().patch("forged", &PatchParams::default(), &forged).await.expect("an object");
    others.looked_at::<Connection>("forged").await;
    let account = accounts(&world).get("rutter").await.expect("an account");
    let login = world.sandbox.get::<Secret>("rutter-api").await.expect("its login");
    assert!(!is_held(&account) && !is_held(&login), "nobody who may has anything in it");

    let mut ids = vec![];
    for name in ["first", "forged"] {
        ours.apply(&sharing(name, &store(name), "")).await;
        ids.push(id_of(&until(&ours, name, "True", "Succeeded").await));
    }
    assert_stalled(&others.looked_at::<Connection>("first").await, "NamespaceNotAllowed", &["does not admit"]);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    world.ends_with(&ids, 2, 0);
}

/// The hold moves with the login, into another namespace too.
#[tokio::test]
async fn a_login_that_is_moved_to_another_namespace_is_let_go_in_the_first() {
    let world = shared("moved-login", &json!({"allowedNamespaces": {"selector": {}}})).await;
    let ours = team(&world, "ours").await;
    ours.apply(&sharing("acme", &store("acme"), "")).await;
    until(&ours, "acme", "True", "Succeeded").await;
    let vault: Sandbox = world.sandbox.beside("vault").await;
    vault.apply(&secret("rutter-api", &[("client_id", CLIENT_ID), ("client_secret", LOGIN_CANARY)])).await;
    let there = Patch::Merge(json!({"spec": {"credentialsSecretRef": {"namespace": vault.namespace()}}}));
    accounts(&world).patch("rutter", &PatchParams::default(), &there).await.expect("an account");
    vault.wait_for::<Secret>("rutter-api", HANG, is_held).await;
    world.sandbox.wait_for::<Secret>("rutter-api", HANG, |login: &Secret| !is_held(login)).await;
    let held = format!("{}/rutter-api", vault.namespace());
    let says = |account: Option<&ClusterProviderAccount>| {
        account.and_then(|a| a.status.as_ref()?.held_secret.as_ref()).is_some_and(|said| *said == held)
    };
    let told = kube::runtime::wait::await_condition(accounts(&world), "rutter", says);
    tokio::time::timeout(HANG, told).await.expect("in time").expect("a watch");

    ours.delete::<Connection>("acme").await;
    ours.wait_gone::<Connection>("acme", HANG).await;
    vault.wait_for::<Secret>("rutter-api", HANG, |login: &Secret| !is_held(login)).await;
    world.ends_with(&[], 1, 1);
}
