//! What whoever may edit an object or write a manifest puts into it, as somebody else reads it: it forges no line, and says
//! nothing to a terminal. JSON has it as it is.

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;

use super::{Ran, condition, forge, intent, run, run_in, run_with, store};
use crate::cluster::Sandbox;

/// It clears a screen, begins another line, colours what follows by an escape of one byte, and turns it around.
const FOREIGN: &str = "x\u{1b}[2J\r\n12 valid, 0 invalid\n::error file=a::forged\u{9b}31m\u{202e}";
/// The same, as it is printed.
const PRINTED: &str = r"x\u{1b}[2J\u{d}\u{a}12 valid, 0 invalid\u{a}::error file=a::forged\u{9b}31m\u{202e}";

/// Nothing but whole lines was said.
fn is_plain(ran: &Ran) {
    for said in [&ran.out, &ran.err] {
        let speaks = |c: char| c != '\n' && c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!said.contains(speaks), "{said:?}");
        assert!(!said.lines().any(|line| line.trim_start().starts_with("::") || line.starts_with("12 ")), "{said}");
    }
}

fn lines(ran: &Ran) -> (usize, usize) {
    (ran.out.lines().count(), ran.err.lines().count())
}

/// Applies the store with this text wherever a tenant can get one: into annotations, and by way of the operator, which
/// quotes what is declared, into the status. `blocked`: whether a person has to act.
async fn written(sandbox: &Sandbox, text: &str, blocked: bool) {
    let object = match sandbox.get::<Connection>("acme").await {
        Some(object) => object,
        None => store(sandbox, json!({})).await,
    };
    let mut attempt = intent(&object.uid().expect("a UID"), 1);
    attempt["key"] = json!(text);
    attempt["account"] = json!(text);
    let annotations = json!({keys::CREATE_INTENT: attempt.to_string(), keys::REFRESH: text});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    sandbox.api::<Connection>().patch("acme", &PatchParams::default(), &patch).await.expect("annotations");
    let conditions = if blocked {
        let says = |kind, status| condition(kind, status, "DeletionBlocked", text);
        json!([says("Ready", "False"), says("Stalled", "True")])
    } else {
        json!([condition("Ready", "False", "Deleting", text)])
    };
    let refresh = json!({"products": {"token": text, "state": "Accepted", "at": "2025-01-01T00:00:00Z"}});
    forge(sandbox, json!({"conditions": conditions, "refresh": refresh, "storeName": text})).await;
}

/// Each of these commands repeats the text, in as many lines as it repeats any other.
async fn repeat_it(sandbox: &Sandbox, blocked: bool, commands: &[&[&str]]) {
    let mut told = Vec::new();
    for text in ["text", FOREIGN] {
        written(sandbox, text, blocked).await;
        for command in commands {
            told.push(run_in(sandbox, command).await);
        }
    }
    let (harmless, foreign) = told.split_at(commands.len());
    for (ran, harmless) in foreign.iter().zip(harmless) {
        is_plain(ran);
        assert_eq!((ran.code, lines(ran)), (harmless.code, lines(harmless)), "{ran:?}\n{harmless:?}");
        assert!(ran.out.contains(PRINTED) || ran.err.contains(PRINTED), "{ran:?}");
    }
}

#[tokio::test]
async fn what_an_editor_writes_into_an_object_stays_in_its_line() {
    let sandbox = Sandbox::new("cli-foreign-text").await;
    repeat_it(&sandbox, true, &[&["status", "acme"], &["status"]]).await;
    sandbox.delete::<Connection>("acme").await;
    repeat_it(&sandbox, false, &[&["abandon", "acme", "--yes"]]).await;
    repeat_it(&sandbox, true, &[&["status", "acme"], &["abandon", "acme"]]).await;
    let text = run_in(&sandbox, &["abandon", "acme"]).await.out;
    let attempt = format!("\n  - whatever attempt 1 of 2025-01-01T00:00:00Z made for {PRINTED}, if it made anything\n");
    assert!(text.contains(&format!(", account {PRINTED}, this would")) && text.contains(&attempt), "{text}");
    let left = run_in(&sandbox, &["abandon", "acme", "-o", "json"]).await.json();
    assert_eq!((&left["account"], &left["openAttempt"]["key"]), (&json!(FOREIGN), &json!(FOREIGN)));
    let status = run_in(&sandbox, &["status", "acme", "-o", "json"]).await.json();
    assert_eq!(
        (&status["creation"]["key"], &status["refresh"]["products"]["token"]),
        (&json!(FOREIGN), &json!(FOREIGN))
    );
}

#[test]
fn a_manifest_forges_no_line_of_the_report() {
    let version = "tradewind.dev/v1alpha1";
    let named = |kind: &str, spec: Value| json!({"apiVersion": version, "kind": kind, "metadata": {"name": FOREIGN}, "spec": spec});
    let manifests = json!({"apiVersion": "v1", "kind": "List", "items": [
        named("Connection", json!({"provider": "Rutter", "accountRef": {"name": "a"}, "platform": "SHOPIFY", FOREIGN: 1})),
        named(FOREIGN, json!({})),
        {"apiVersion": format!("tradewind.dev/{FOREIGN}"), "kind": "Connection"},
    ]});
    // YAML has such a character by its number alone.
    let manifests = manifests.to_string().replace('\u{9b}', r"\u009b");
    let ran = run_with(&["validate", "-f", "-"], &manifests);
    is_plain(&ran);
    assert_eq!((ran.code, lines(&ran)), (Some(3), (5, 0)), "{}", ran.out);
    let begin = format!("-:1: Connection/{PRINTED}: ");
    assert!(ran.out.starts_with(&format!("{begin}metadata.name: must be made of")), "{}", ran.out);
    assert!(ran.out.contains(&format!("\n{begin}spec.{PRINTED}: is no field that exists")), "{}", ran.out);
    assert!(ran.out.contains(&format!("\n-:1: {PRINTED}/{PRINTED}: kind: must be one of ")), "{}", ran.out);
    assert!(ran.out.ends_with("\n0 valid, 3 invalid\n"), "{}", ran.out);
    let json = run_with(&["validate", "-f", "-", "-o", "json"], &manifests).json();
    assert_eq!(json["documents"][1]["object"], json!(format!("{FOREIGN}/{FOREIGN}")));
}

#[test]
fn the_name_of_a_file_forges_no_line_either() {
    let ran = run(&["validate", "-f", &format!("/nowhere/{FOREIGN}")]);
    is_plain(&ran);
    assert_eq!((ran.code, lines(&ran)), (Some(3), (0, 1)), "{}", ran.err);
    assert!(ran.err.starts_with(&format!("Error: /nowhere/{PRINTED}: ")), "{}", ran.err);
}
