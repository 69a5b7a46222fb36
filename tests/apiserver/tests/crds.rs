//! The CRDs of this repository on the server: what people are told to write passes, and what the operator writes is bounded.
#![expect(clippy::expect_used, reason = "a test ends at the first thing that is not as it must be")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tradewind_apiserver::{ApiServer, Clock, Definition};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every document of every YAML file below a folder.
fn documents(folder: &Path) -> Vec<Value> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let of = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => documents(&path),
        Some(yaml) if yaml == "yaml" => {
            serde_yaml::from_multiple(&fs::read_to_string(&path).expect("text")).expect("YAML")
        }
        Some(_) | None => vec![],
    };
    entries.flat_map(of).collect()
}

/// A server with the CRDs and one namespace.
fn server() -> ApiServer {
    let server = ApiServer::new(Clock::starting_at(Timestamp::UNIX_EPOCH), 1);
    let crds = documents(&root().join("crds"));
    assert!(crds.len() >= 4, "the CRDs are found");
    for crd in &crds {
        server.install(&Definition::of(crd).expect("a CRD, all of whose bounds are known"));
    }
    server.create_namespace("shop").expect("a namespace");
    server
}

fn connection() -> Value {
    json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection", "metadata": {"name": "acme"}, "spec": {
        "provider": "Rutter", "accountRef": {"name": "rutter"}, "platform": "BIG_COMMERCE",
        "rutter": {"credentialsSecretRef": {"name": "acme"}, "parameters": {"store_url": "store-a.mybigcommerce.com"}},
        "connectionSecretRef": {"name": "acme-connection"},
    }})
}

fn condition(of: &str, reason: &str) -> Value {
    json!({"type": of, "status": "True", "reason": reason, "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-31T00:00:00Z"})
}

#[tokio::test]
async fn every_example_passes() {
    let server = server();
    let all = documents(&root().join("examples"));
    assert!(all.len() > 20, "the examples are found: {}", all.len());
    for mut object in all {
        object["metadata"]["name"] = json!(format!("{}-x", object["metadata"]["name"].as_str().expect("a name")));
        let namespace = if object["kind"] == "ClusterProviderAccount" { "" } else { "shop" };
        server.apply(namespace, &object).unwrap_or_else(|failure| panic!("{}: {object:#}", failure.message));
    }
}

#[tokio::test]
async fn a_spec_that_breaks_its_schema_is_refused_in_the_words_of_a_real_server() {
    let server = server();
    let mut bad = connection();
    bad["spec"]["platform"] = json!("A".repeat(65));
    bad["spec"]["accountRef"] = json!({});
    let failure = server.create("shop", &bad).expect_err("a refusal");
    assert_eq!((failure.code, failure.reason), (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"));
    let says = "Connection.tradewind.dev \"acme\" is invalid: [spec.accountRef.name: Required value, spec.platform: Too long: may \
                not be more than 64 bytes]";
    assert_eq!(failure.message, says);
    assert_eq!(server.get("connections", "shop", "acme"), None);
    server.create("shop", &connection()).expect("a good one");
    server.patch("connections", "shop", "acme", &json!({"spec": {"suspend": "yes"}})).expect_err("a refusal");
    assert_ne!(server.get("connections", "shop", "acme").expect("an object")["spec"]["suspend"], "yes");
}

#[tokio::test]
async fn a_status_that_breaks_its_schema_is_refused() {
    let server = server();
    server.create("shop", &connection()).expect("an object");
    let put = |status: Value| server.replace_status("connections", "shop", "acme", &status);
    let ready = condition("Ready", "Succeeded");
    put(json!({"observedGeneration": 1, "conditions": [ready]})).expect("a status");
    for (conditions, says) in [
        (json!([ready, ready]), "status.conditions[1]: Duplicate value: {\"type\":\"Ready\"}"),
        (
            json!([condition("Ready", "")]),
            "status.conditions[0].reason: Invalid value: \"\": conditions[0].reason in body should be at least 1 chars long",
        ),
        (
            json!([condition(&"x".repeat(317), "R")]),
            "status.conditions[0].type: Too long: may not be more than 316 bytes",
        ),
        (json!([{"type": "Ready"}]), "status.conditions[0].lastTransitionTime: Required value"),
    ] {
        let failure = put(json!({"observedGeneration": 1, "conditions": conditions})).expect_err("a refusal");
        assert_eq!((failure.code, failure.reason), (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"));
        assert!(failure.message.contains(says), "{}", failure.message);
    }
    let stored = server.get("connections", "shop", "acme").expect("an object");
    assert_eq!(stored["status"]["conditions"], json!([ready]));
    server.trust();
    put(json!({"conditions": [ready, ready]})).expect("whatever it is given");
}

/// What an older schema had let in.
#[tokio::test]
async fn what_was_wrong_before_hinders_no_other_change() {
    let server = server();
    let mut old = connection();
    old["spec"]["platform"] = json!("A".repeat(65));
    let strict = self::server();
    strict.create("shop", &old).expect_err("a refusal");
    server.trust();
    server.create("shop", &old).expect("an object");
    server.replace_status("connections", "shop", "acme", &json!({"observedGeneration": 1})).expect("a status");
    server.patch("connections", "shop", "acme", &json!({"spec": {"suspend": true}})).expect("another field");
}
