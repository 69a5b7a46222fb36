//! The operator ends between any two of its steps, and the next one carries on where it was.

use std::future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::client::Body;
use rstest::rstest;
use serde_json::json;
use tokio::sync::oneshot;
use tower::service_fn;
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind::engine::Reach;
use tradewind_simulator::{Effect, Fault, Operation};

use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::world::{World, connection, id_of, message, status_of, store, told};

/// What can be seen of a create on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    IntentStored,
    CallArrived,
    SecretWritten,
    IdRecorded,
    Ready,
}

impl Moment {
    async fn come(self, world: &World) {
        let recorded = |c: &Connection| status_of(c).external_id.is_some();
        match self {
            Self::IntentStored => {
                let stored = |c: &Connection| c.annotations().contains_key(keys::CREATE_INTENT);
                drop(world.sandbox.wait_for::<Connection>("acme", HANG, stored).await);
            }
            Self::CallArrived => world.until_asked(Operation::Create, 1).await,
            Self::SecretWritten => drop(world.sandbox.wait_for::<Secret>("acme-connection", HANG, |_| true).await),
            Self::IdRecorded => drop(world.sandbox.wait_for::<Connection>("acme", HANG, recorded).await),
            Self::Ready => drop(world.settled("acme").await),
        }
    }
}

#[rstest]
#[case::while_the_call_is_under_way(Moment::CallArrived, Duration::from_secs(1))]
#[case::while_the_call_is_unanswered(Moment::CallArrived, Duration::from_secs(2))]
#[case::when_the_call_was_applied(Moment::CallArrived, Duration::ZERO)]
#[case::after_the_secret(Moment::SecretWritten, Duration::ZERO)]
#[case::after_the_id(Moment::IdRecorded, Duration::ZERO)]
#[case::when_ready(Moment::Ready, Duration::ZERO)]
#[tokio::test]
async fn a_crash_at_any_moment_of_a_create_leaves_one_record(#[case] moment: Moment, #[case] delay: Duration) {
    let mut world = World::new("crash").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::SlowBefore { delay }));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    moment.come(&world).await;
    world.crash().await;
    one_comes_of_it(&mut world).await;
}

/// The next operator makes what the last one has not, or finds it.
async fn one_comes_of_it(world: &mut World) {
    world.start().await;
    let ready = world.settled("acme").await;
    let id = id_of(&ready);
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(id.as_str()));
    assert_eq!(world.asked(Operation::Create), 1, "what was sent is not sent again");
    world.ends_with(&[&id], 1, 0);

    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.ends_with(&[], 1, 1);
}

/// The grace counts from what this process has seen: one that crashes over and over concludes nothing.
#[tokio::test]
async fn crash_upon_crash_leaves_one_record() {
    let mut world = World::new("crashes").await;
    let slow = Fault::on(Operation::Create, Effect::SlowBefore { delay: Duration::from_secs(2) });
    world.simulator.push_fault(slow.and(Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    for _ in 0..3 {
        world.crash().await;
        world.start().await;
        let looked = world.reconciled("acme").await;
        assert!(
            looked.says("Ready", "False", "Creating") || status_of(&looked).external_id.is_some(),
            "{}",
            told(&looked)
        );
    }
    let ready = world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

/// A stop is no crash: what is under way comes to its end and is recorded.
#[tokio::test]
async fn a_stop_records_what_a_call_under_way_made() {
    let mut world = World::new("stop").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::SlowBefore { delay: Duration::from_secs(1) }));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    assert_eq!(world.live(), [""; 0], "the call is under way");
    world.stop().await;
    let recorded = world.sandbox.get::<Connection>("acme").await.expect("the object");
    let id = id_of(&recorded);
    assert_eq!(status_of(&recorded).creation.map(|c| c.settled_attempt), Some(1));
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(id.as_str()));
    world.start().await;
    assert_eq!(id_of(&world.settled("acme").await), id);
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id], 1, 0);
}

/// What could be cut off between its sending and its record is left to the next process.
#[tokio::test]
async fn a_process_that_is_to_end_begins_no_create() {
    let mut world = World::new("stop-before").await;
    world.simulator.push_fault(Fault::on(Operation::List, Effect::SlowBefore { delay: Duration::from_secs(3) }));
    let lists = world.asked(Operation::List);
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until_asked(Operation::List, lists + 1).await;
    world.stop().await;
    assert_eq!(world.asked(Operation::Create), 0);
    world.start().await;
    world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
}

#[tokio::test]
async fn a_stop_records_that_a_call_under_way_went_unanswered() {
    let mut world = World::new("stop-lost").await;
    let slow = Fault::on(Operation::Create, Effect::SlowBefore { delay: Duration::from_secs(1) });
    world.simulator.push_fault(slow.and(Effect::LostAnswer));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.until_asked(Operation::Create, 1).await;
    world.stop().await;
    let recorded = world.sandbox.get::<Connection>("acme").await.expect("the object");
    assert!(recorded.says("Ready", "False", "Creating"), "{}", told(&recorded));
    assert!(message(&recorded, "Ready").contains("not known"), "{}", told(&recorded));
    world.start().await;
    let ready = world.settled("acme").await;
    assert_eq!(world.asked(Operation::Create), 1);
    world.ends_with(&[&id_of(&ready)], 1, 0);
}

#[tokio::test]
async fn a_crash_during_a_delete_leaves_nothing() {
    let mut world = World::new("crash-delete").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    world.simulator.push_fault(Fault::on(Operation::Delete, Effect::SlowBefore { delay: Duration::from_millis(500) }));
    world.sandbox.delete::<Connection>("acme").await;
    world.until_asked(Operation::Delete, 1).await;
    world.crash().await;
    world.start().await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.provider_until("all requests have ended", |s| s.stats().in_flight == 0).await;
    world.ends_with(&[], 1, 1);
}

/// The record is given up on purpose: its loss must not be taken for one that a person has to look at.
#[tokio::test]
async fn a_crash_during_a_replacement_leaves_the_new_record() {
    let mut world = World::new("crash-replace").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "  replacementPolicy: Recreate\n")).await;
    let old = id_of(&world.settled("acme").await);
    world.simulator.push_fault(Fault::on(Operation::Delete, Effect::SlowBefore { delay: Duration::from_millis(500) }));
    world.change("acme", &json!({"spec": {"rutter": {"parameters": {"store_url": store("moved")}}}})).await;
    world.until_asked(Operation::Delete, 1).await;
    world.crash().await;
    world.start().await;
    let moved = |c: &Connection| c.says("Ready", "True", "Succeeded") && id_of(c) != old;
    let new = id_of(&world.sandbox.wait_for::<Connection>("acme", HANG, moved).await);
    assert_eq!(world.secret_value("acme-connection", "connection_id").await.as_deref(), Some(new.as_str()));
    world.ends_with(&[&new], 2, 1);
}

/// Rights are a real API server's, and so is what stands between it and an operator.
mod real {
    use super::*;

    fn is_the_intent(path: &str, body: &str) -> bool {
        path.ends_with("/connections/acme") && body.contains(keys::CREATE_INTENT)
    }

    fn is_its_twin(path: &str, body: &str) -> bool {
        path.ends_with("/connections/acme/status") && body.contains("\"intent\"")
    }

    /// A way to the API server whose answer to the first write of `acme` like this one never comes, and when that is due: what
    /// is seen of a write may be seen late.
    async fn unanswered(world: &World, is_it: fn(&str, &str) -> bool) -> (Reach, oneshot::Receiver<()>) {
        let (stored, comes) = oneshot::channel();
        let (client, stored) = (world.sandbox.operator_client().await, Arc::new(Mutex::new(Some(stored))));
        let service = service_fn(move |request: Request<Body>| {
            let (client, stored) = (client.clone(), Arc::clone(&stored));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                let writes = head.method == Method::PATCH && is_it(head.uri.path(), &String::from_utf8_lossy(&body));
                let answer = client.send(Request::from_parts(head, Body::from(body))).await?;
                let it = writes.then(|| stored.lock().expect("no panic").take()).flatten();
                if let Some(it) = it {
                    it.send(()).expect("somebody waits");
                    future::pending::<()>().await;
                }
                Ok::<_, kube::Error>(answer)
            }
        });
        (Reach::simulated(service, None, Timestamp::now), comes)
    }

    #[rstest]
    #[case::the_intent(is_the_intent)]
    #[case::its_twin(is_its_twin)]
    #[tokio::test]
    async fn a_crash_after_an_intent_was_stored_and_before_its_create_leaves_one_record(
        #[case] is_it: fn(&str, &str) -> bool,
    ) {
        let mut world = World::quiet("crash-intent").await;
        world.furnish().await;
        let (reach, stored) = unanswered(&world, is_it).await;
        world.start_over(reach);
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        tokio::time::timeout(HANG, stored).await.expect("in time").expect("the write");
        world.crash().await;
        assert_eq!(world.asked(Operation::Create), 0, "nothing is sent before it is stored");
        one_comes_of_it(&mut world).await;
    }

    /// The intent is in the annotation, and its twin in status cannot be written: as good as a crash between the two.
    #[rstest]
    #[case::and_crashes(true)]
    #[case::and_goes_on(false)]
    #[tokio::test]
    async fn an_operator_that_cannot_store_its_intent_twice_sends_nothing(#[case] crashes: bool) {
        let mut world = World::new("half-intent").await;
        world.account_until("Ready", "True", "Succeeded").await;
        world.sandbox.deny("patch", "connections/status").await;
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        Moment::IntentStored.come(&world).await;
        let refused = |world: &World, since| {
            let writes = world.sandbox.audit_writes(since);
            writes.get("connections/acme").is_some_and(|all| all.iter().filter(|event| event.code == 403).count() >= 2)
        };
        let since = world.sandbox.mark();
        world.provider_until("two refused writes", |_| refused(&world, since)).await;
        assert_eq!(world.asked(Operation::Create), 0);
        if crashes {
            world.crash().await;
        }
        world.sandbox.allow("patch", "connections/status").await;
        if crashes {
            world.start().await;
        }
        let ready = world.settled("acme").await;
        assert_eq!(world.asked(Operation::Create), 1);
        world.ends_with(&[&id_of(&ready)], 1, 0);
    }
}
