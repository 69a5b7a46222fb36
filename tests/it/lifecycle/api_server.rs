//! An API server that refuses the operator what it must have: that is said, and nothing runs in circles meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use rstest::rstest;
use serde_json::{Value, json};
use tower::service_fn;
use tradewind::api::v1alpha1::{Connection, ProviderAccount};
use tradewind::engine::Reach;
use tradewind_simulator::Operation;

use super::deletion::is_held;
use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::world::{World, connection, id_of, store};

/// What is refused: the method, a part of the path, and the answer.
type Refusal = (Method, &'static str, u16);

/// Stands between an operator and the API server.
#[derive(Clone, Default)]
struct Between {
    refusal: Arc<Mutex<Option<Refusal>>>,
    /// So many requests were refused.
    refused: Arc<AtomicUsize>,
}

impl Between {
    fn refuse(&self, refusal: Option<Refusal>) {
        *self.refusal.lock().expect("no panic") = refusal;
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn answer(&self, request: &Request<Body>) -> Option<Response<Body>> {
        let refusal = self.refusal.lock().expect("no panic").clone();
        let (_, _, code) =
            refusal.filter(|(method, part, _)| request.method() == method && request.uri().path().contains(part))?;
        self.refused.fetch_add(1, Ordering::Relaxed);
        let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "a policy says no", "code": code, "reason": if code == 404 { "NotFound" } else { "Invalid" }});
        let body = Body::from(body.to_string().into_bytes());
        Some(Response::builder().status(code).header("content-type", "application/json").body(body).expect("an answer"))
    }

    /// The operator's way to the API server of this world.
    async fn reach(&self, world: &World) -> Reach {
        let (between, client) = (self.clone(), world.sandbox.operator_client().await);
        let service = service_fn(move |request: Request<Body>| {
            let (answer, client) = (between.answer(&request), client.clone());
            async move {
                match answer {
                    Some(answer) => Ok(answer),
                    None => client.send(request).await,
                }
            }
        });
        Reach::simulated(service, None, Timestamp::now)
    }
}

/// Refusals come from between the operator and a real API server.
mod real {
    use super::*;

    #[rstest]
    #[case::by_a_policy(Method::PATCH, 422, "PermissionDenied", "a policy says no")]
    #[case::by_a_failure(Method::GET, 500, "DependencyNotReady", "The API server fails with the account")]
    #[tokio::test]
    async fn a_login_that_cannot_be_held_or_read_is_said_and_its_objects_wait(
        #[case] method: Method,
        #[case] code: u16,
        #[case] reason: &str,
        #[case] says: &str,
    ) {
        let mut world = World::quiet("api-refuses").await;
        let between = Between::default();
        between.refuse(Some((method, "/secrets/rutter-api", code)));
        world.furnish().await;
        world.start_over(between.reach(&world).await);
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        world.until("acme", "Ready", "False", "DependencyNotReady").await;
        let account = world.account_until("Ready", "False", reason).await;
        let text = &account.condition("Ready").expect("it is there").message;
        assert!(text.contains(says), "{text}");
        let before = between.refused();
        world.rests::<Connection>("acme").await;
        assert!(between.refused() - before < 10, "{} more", between.refused() - before);
        assert_eq!(world.asked(Operation::Create), 0);
        between.refuse(None);
        world.looked_at::<ProviderAccount>("rutter").await;
        world.settled("acme").await;
    }

    /// Whoever sees an object that another operator has let go deletes nothing for it: its record is gone, and what has the id by
    /// now may be anybody's.
    #[tokio::test]
    async fn nothing_is_deleted_for_an_object_that_is_gone() {
        let mut world = World::quiet("api-gone").await;
        let between = Between::default();
        world.furnish().await;
        world.start_over(between.reach(&world).await);
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        let id = id_of(&world.settled("acme").await);
        between.refuse(Some((Method::GET, "/connections/acme", 404)));
        world.sandbox.delete::<Connection>("acme").await;
        world.provider_until("the operator has asked twice", |_| between.refused() >= 2).await;
        world.ends_with(&[&id], 1, 0);
        between.refuse(None);
        world.sandbox.wait_gone::<Connection>("acme", HANG).await;
        world.ends_with(&[], 1, 1);
    }

    /// Another operator has let go of the account in the meantime: nobody would take off what was put on the login after that.
    #[tokio::test]
    async fn a_login_is_held_for_no_account_that_is_let_go() {
        let mut world = World::quiet("api-let-go").await;
        let between = Between::default();
        between.refuse(Some((Method::GET, "/provideraccounts/rutter", 404)));
        world.furnish().await;
        world.start_over(between.reach(&world).await);
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        world.provider_until("the login was held and let go", |_| between.refused() >= 2).await;
        world.sandbox.wait_for::<Secret>("rutter-api", HANG, |login| !is_held(login)).await;
        assert_eq!(world.asked(Operation::Create), 0);
        between.refuse(None);
        world.settled("acme").await;
        world.sandbox.wait_for::<Secret>("rutter-api", HANG, is_held).await;
    }

    /// The record is gone, and the object was counted for it.
    #[tokio::test]
    async fn a_deletion_whose_end_is_refused_is_counted_once() {
        let mut world = World::quiet("api-refuses-end").await;
        let between = Between::default();
        let guard = "deletionGuard: {maxDeletions: 1, window: 1h}";
        world.sandbox.apply(&world.account_with(guard)).await;
        world.sandbox.apply(&World::store_login()).await;
        world.start_over(between.reach(&world).await);
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        let id = id_of(&world.settled("acme").await);
        between.refuse(Some((Method::PATCH, "/connections/acme", 500)));
        world.sandbox.delete::<Connection>("acme").await;
        world.provider_until("the record is gone", |_| world.live().is_empty()).await;
        world.provider_until("the finalizer stays", |_| between.refused() > 0).await;
        assert_eq!(id_of(&world.sandbox.get("acme").await.expect("an object")), id);
        between.refuse(None);
        world.sandbox.wait_gone::<Connection>("acme", HANG).await;
        let account: Value = serde_json::to_value(world.sandbox.get::<ProviderAccount>("rutter").await).expect("JSON");
        assert_eq!(account.pointer("/status/deletions/count"), Some(&json!(1)));
    }
}
