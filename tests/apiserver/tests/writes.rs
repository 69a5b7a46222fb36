//! Who is refused what, as a client sees it.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it must be"
)]

use std::time::Duration;

use futures::StreamExt;
use http::StatusCode;
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{
        ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams, WatchEvent,
        WatchParams,
    },
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tradewind_apiserver::{ApiServer, Clock, Definition};

/// A server with one object of a small kind.
fn server() -> (ApiServer, Api<DynamicObject>) {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 9}}},
        "status": {"type": "object", "properties": {"seen": {"type": "integer", "maximum": 9}}},
    }});
    let crd = json!({"spec": {"group": "test.dev", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things"},
        "versions": [{"name": "v1", "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}}]}});
    let server = ApiServer::new(Clock::starting_at(Timestamp::UNIX_EPOCH), 1);
    server.install(&Definition::of(&crd).expect("a CRD"));
    server.create_namespace("home").expect("a namespace");
    let object =
        json!({"apiVersion": "test.dev/v1", "kind": "Thing", "metadata": {"name": "one"}, "spec": {"size": 1}});
    server.create("home", &object).expect("an object");
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("test.dev", "v1", "Thing"), "things");
    let api = Api::namespaced_with(Client::new(server.service(), "home"), "home", &kind);
    (server, api)
}

fn told<T: std::fmt::Debug>(answer: kube::Result<T>) -> (StatusCode, String, String) {
    match answer {
        Err(kube::Error::Api(status)) => {
            (StatusCode::from_u16(status.code).expect("a code"), status.reason.clone(), status.message.clone())
        }
        other => panic!("a refusal, and not {other:?}"),
    }
}

#[tokio::test]
async fn another_uid_is_refused_but_in_a_patch_of_the_status() {
    let (server, api) = server();
    let params = PatchParams::default();
    let patch = |fields: Value| {
        let mut patch = json!({"metadata": {"uid": "another"}});
        patch.as_object_mut().expect("a map").extend(fields.as_object().cloned().expect("a map"));
        Patch::Merge(patch)
    };
    let (code, reason, message) = told(api.patch("one", &params, &patch(json!({"spec": {"size": 2}}))).await);
    assert_eq!((code, reason.as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"));
    let says = "Thing.test.dev \"one\" is invalid: metadata.uid: Invalid value: \"another\": field is immutable";
    assert_eq!(message, says);
    let written = api.patch_status("one", &params, &patch(json!({"status": {"seen": 2}}))).await.expect("a status");
    assert_eq!(
        (&written.data["status"]["seen"], written.metadata.uid.as_deref()),
        (&json!(2), Some(uid(&server).as_str()))
    );
    // A whole object is about the one that it names.
    let mut whole = api.get("one").await.expect("an object");
    whole.metadata.uid = Some("another".to_owned());
    let answers = [
        api.replace("one", &PostParams::default(), &whole).await,
        api.replace_status("one", &PostParams::default(), &whole).await,
    ];
    for answer in answers {
        assert_eq!(told(answer).0, StatusCode::CONFLICT);
    }
    // A version counts everywhere, before the UID.
    let stale = Patch::Merge(json!({"metadata": {"uid": "another", "resourceVersion": "1"}}));
    assert_eq!(told(api.patch("one", &params, &stale).await).0, StatusCode::CONFLICT);
    assert_eq!(told(api.patch_status("one", &params, &stale).await).0, StatusCode::CONFLICT);
}

fn uid(server: &ApiServer) -> String {
    let object = server.get("things", "home", "one").expect("an object");
    object["metadata"]["uid"].as_str().expect("a UID").to_owned()
}

#[tokio::test]
async fn each_endpoint_checks_what_it_writes() {
    let (server, api) = server();
    let params = PatchParams::default();
    let both = Patch::Merge(json!({"spec": {"size": 10}, "status": {"seen": 10}}));
    let (code, _, message) = told(api.patch("one", &params, &both).await);
    let says = "Thing.test.dev \"one\" is invalid: spec.size: Invalid value: 10: spec.size in body should be less than or equal to 9";
    assert_eq!((code, message.as_str()), (StatusCode::UNPROCESSABLE_ENTITY, says));
    let (code, _, message) = told(api.patch_status("one", &params, &both).await);
    let says = "Thing.test.dev \"one\" is invalid: status.seen: Invalid value: 10: seen in body should be less than or equal to 9";
    assert_eq!((code, message.as_str()), (StatusCode::UNPROCESSABLE_ENTITY, says));
    server.trust();
    api.patch_status("one", &params, &both).await.expect("whatever it is given");
}

#[tokio::test]
async fn who_only_tries_gets_the_answer_and_nothing_is_stored() {
    let (server, api) = server();
    let before = (server.revision(), server.list("things", "home"));
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let larger = |size: i64| Patch::Merge(json!({"spec": {"size": size}}));
    let tried = api.patch("one", &dry, &larger(5)).await.expect("an answer");
    assert_eq!(tried.data["spec"]["size"], 5);
    assert_eq!(told(api.patch("one", &dry, &larger(10)).await).0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!((server.revision(), server.list("things", "home")), before);
}

#[tokio::test]
async fn who_watches_from_a_version_that_is_too_old_has_to_list_anew() {
    let (server, api) = server();
    let listed = async || {
        let list = api.list(&ListParams::default()).await.expect("a list");
        list.metadata.resource_version.expect("a version")
    };
    let old = listed().await;
    let watching = api.watch(&WatchParams::default(), &old).await.expect("a watch");
    server.expire();
    let late = api.watch(&WatchParams::default(), &old).await.expect("a watch");
    for watch in [watching, late] {
        let shown: Vec<_> = watch.collect().await;
        assert!(
            matches!(shown.as_slice(), [Ok(WatchEvent::Error(status))] if status.code == 410 && status.reason == "Expired"),
            "{shown:?}"
        );
    }
    let mut anew = api.watch(&WatchParams::default(), &listed().await).await.expect("a watch").boxed();
    server.delete("things", "home", "one").expect("an end");
    let shown = anew.next().await;
    assert!(
        matches!(&shown, Some(Ok(WatchEvent::Deleted(one))) if one.metadata.name.as_deref() == Some("one")),
        "{shown:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_kind_is_shown_as_late_as_it_lags() {
    let (server, things) = server();
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Secret"), "secrets");
    let secrets: Api<DynamicObject> = Api::namespaced_with(Client::new(server.service(), "home"), "home", &kind);
    let now = server.revision().to_string();
    let watch =
        async |api: &Api<DynamicObject>| api.watch(&WatchParams::default(), &now).await.expect("a watch").boxed();
    let (mut of_things, mut of_secrets) = (watch(&things).await, watch(&secrets).await);
    let late = Duration::from_secs(20);
    server.lag_of(&["things"], late).expect("a kind");
    assert!(server.lag_of(&["others"], late).is_err());

    server.patch("things", "home", "one", &json!({"spec": {"size": 2}})).expect("a thing");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "two"}});
    server.create("home", &secret).expect("a secret");
    let start = Instant::now();
    assert!(matches!(of_secrets.next().await, Some(Ok(WatchEvent::Added(_)))));
    assert_eq!(start.elapsed(), Duration::ZERO);
    server.lag(Duration::ZERO);
    server.patch("things", "home", "one", &json!({"spec": {"size": 3}})).expect("a thing");
    let mut shown = async || match of_things.next().await {
        Some(Ok(WatchEvent::Modified(thing))) => thing.data["spec"]["size"].clone(),
        other => panic!("a change, and not {other:?}"),
    };
    assert_eq!([shown().await, shown().await], [json!(2), json!(3)], "in their order");
    assert_eq!(start.elapsed(), late);
}
