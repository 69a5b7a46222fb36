//! The undisturbed life: created, ready, deleted; and what it costs.

use kube::ResourceExt;
use tradewind::api::v1alpha1::Connection;

use crate::cluster::HANG;
use crate::world::{World, connection, id_of, store};

#[tokio::test]
async fn a_declared_connection_exists_and_goes_with_its_object() {
    let world = World::new("life").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let ready = world.settled("acme").await;
    let id = id_of(&ready);
    assert_eq!(world.live(), std::slice::from_ref(&id));
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(id.as_str()));
    let token = world.simulator.connections()[0].access_token.to_string();
    assert_eq!(world.secret_value("acme-connection", "access_token").await, Some(token));
    let seen = ready.status.clone().expect("a status");
    assert_eq!(seen.store_domain.as_deref(), Some(store("acme").as_str()));
    assert!(seen.store_name.is_some() && seen.last_sync_time.is_some(), "{seen:?}");
    assert_eq!(ready.finalizers(), ["tradewind.dev/connection"]);

    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert_eq!(world.live(), [""; 0]);
    let stats = world.simulator.stats();
    assert_eq!((stats.creates, stats.deletes), (1, 1));
}
