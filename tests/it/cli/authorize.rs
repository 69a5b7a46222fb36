//! `tradewind authorize`: the link of the object's own Secret on standard output, or why there is none; never another link.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tradewind::api::v1alpha1::Connection;

use super::between::Between;
use super::{CONNECTOR, PROGRAM, Ran, STORE, condition, forge, intent, ready_to_run, run_in};
use crate::cluster::{HANG, Sandbox, control_plane};

/// A link, in which stands what may stand nowhere but on standard output.
const LINK: &str = "https://link.example.com/authorize?state=test-canary-5b0c";
/// An expiry that no test lives to see.
const FAR: &str = "2999-01-01T00:00:00Z";
const LONG_AGO: &str = "2025-01-01T00:00:00Z";
const HANDED_OUT: &str = "A merchant must authorize the connection: hand over the link in the connection Secret";

/// Answers of an API server.
const MISSING: &str =
    r#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}"#;
const FAILING: &str =
    r#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "out of order", "code": 503}"#;

/// The conditions of an object that makes no more links before somebody asks for one.
fn gave_up(why: &str) -> Value {
    json!([condition("Ready", "False", "LinkExpired", why), condition("Authorized", "False", "LinkExpired", why)])
}

/// The conditions of an object that waits for a person, in these words.
fn awaits(why: &str) -> Value {
    let asked = |kind| condition(kind, "False", "AuthorizationRequired", why);
    json!([asked("Ready"), asked("Authorized")])
}

/// Applies the connector with a second attempt open, whose link has this expiry.
async fn handed_out(sandbox: &Sandbox, why: &str, expires_at: &str) -> Connection {
    sandbox.apply(CONNECTOR).await;
    let uid = forge(sandbox, json!({})).await.uid().expect("a UID");
    let status = json!({
        "conditions": awaits(why), "creation": {"intent": intent(&uid, 2), "settledAttempt": 1},
        "authorization": {"expiresAt": expires_at, "attempt": 2},
    });
    forge(sandbox, status).await
}

/// Applies the store, which was authorized once and has to be again.
async fn revoked(sandbox: &Sandbox) -> Connection {
    sandbox.apply(STORE).await;
    let says = |kind, status| condition(kind, status, "ReauthorizationRequired", "Authorize it again");
    let conditions = [says("Ready", "False"), says("Authorized", "False"), says("Stalled", "True")];
    let known = json!({
        "conditions": conditions, "externalId": "r-1", "creation": {"settledAttempt": 1},
        "storeName": "Acme Outdoor", "storeDomain": "acme.example.com", "platform": "BIG_COMMERCE",
    });
    forge(sandbox, known).await
}

/// Writes the connection Secret anew, with this owner and these values.
async fn write(sandbox: &Sandbox, owner: Option<&Connection>, label: Option<&str>, data: &[(&str, &str)]) {
    let api = sandbox.api::<Secret>();
    if sandbox.get::<Secret>("acme-connection").await.is_some() {
        api.delete("acme-connection", &DeleteParams::default()).await.expect("no Secret");
    }
    let owner = owner.map(|owner| {
        json!([{"apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection", "controller": true,
            "name": owner.name_any(), "uid": owner.uid()}])
    });
    let labels: BTreeMap<&str, &str> = label.map(|name| ("tradewind.dev/connection", name)).into_iter().collect();
    let data: BTreeMap<&str, &str> = data.iter().copied().collect();
    let secret = json!({
        "metadata": {"name": "acme-connection", "labels": labels, "ownerReferences": owner.unwrap_or_else(|| json!([]))},
        "stringData": data,
    });
    let secret = serde_json::from_value(secret).expect("a Secret");
    api.create(&PostParams::default(), &secret).await.expect("a Secret");
}

/// An output without what differs from run to run.
fn timeless(sandbox: &Sandbox, text: &str) -> String {
    let ages = regex::Regex::new(r"\b[0-9]+(d| days)\b").expect("a pattern");
    let files = regex::Regex::new(r"--kubeconfig \S+").expect("a pattern");
    let text = files.replace_all(text, "--kubeconfig FILE").replace(sandbox.namespace(), "NAMESPACE");
    ages.replace_all(&text, "000$1").into_owned()
}

#[tokio::test]
async fn the_link_is_printed_alone_and_the_words_beside_it() {
    let sandbox = Sandbox::new("cli-authorize").await;
    let object = handed_out(&sandbox, HANDED_OUT, FAR).await;
    write(&sandbox, Some(&object), Some("acme"), &[("link_url", LINK), ("link_attempt", "2")]).await;
    let ran = run_in(&sandbox, &["authorize", "acme"]).await;
    assert_eq!((ran.code, ran.out), (Some(0), format!("{LINK}\n")), "{}", ran.err);
    insta::assert_snapshot!("authorize-link", timeless(&sandbox, &ran.err));
    let json = run_in(&sandbox, &["authorize", "connection/acme", "-o", "json", "--wait"]).await;
    assert_eq!((json.code, json.err.as_str()), (Some(0), ""));
    let namespace = sandbox.namespace();
    let answer = json!({"kind": "Connection", "namespace": namespace, "name": "acme", "url": LINK, "expiresAt": FAR});
    assert_eq!(json.json(), answer);
}

#[tokio::test]
async fn a_link_without_an_expiry_is_printed_too() {
    let sandbox = Sandbox::new("cli-authorize").await;
    let object = revoked(&sandbox).await;
    let held = [("connection_id", "r-1"), ("access_token", "test-token"), ("link_url", LINK)];
    write(&sandbox, Some(&object), None, &held).await;
    let ran = run_in(&sandbox, &["authorize", "acme"]).await;
    assert_eq!((ran.code, ran.out), (Some(0), format!("{LINK}\n")), "{}", ran.err);
    insta::assert_snapshot!("authorize-again", ran.err);
    let json = run_in(&sandbox, &["authorize", "acme", "-o", "json"]).await.json();
    assert_eq!((&json["url"], json.get("expiresAt")), (&json!(LINK), None));
}

/// The refusals of one test, as people read them.
struct Refusals<'a> {
    sandbox: &'a Sandbox,
    told: String,
}

impl Refusals<'_> {
    /// Runs it, and takes down how it refused.
    async fn take(&mut self, title: &str) {
        let ran = run_in(self.sandbox, &["authorize", "acme"]).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{title}: {}", ran.err);
        assert!(!ran.err.contains("canary") && ran.err.lines().count() == 1, "{title}: {}", ran.err);
        self.told.extend([format!("# {title}\n"), timeless(self.sandbox, &ran.err)]);
    }

    /// The same after the status was changed.
    async fn after(&mut self, title: &str, status: Value) {
        forge(self.sandbox, status).await;
        self.take(title).await;
    }
}

#[tokio::test]
async fn where_nobody_is_asked_it_says_so() {
    let sandbox = Sandbox::new("cli-authorize").await;
    sandbox.apply(CONNECTOR).await;
    let object: Connection = sandbox.get("acme").await.expect("the connector");
    // What is left in the Secret of an earlier authorization is of no use any more.
    write(&sandbox, Some(&object), Some("acme"), &[("link_url", LINK), ("link_attempt", "1")]).await;
    let mut refusals = Refusals { sandbox: &sandbox, told: String::new() };
    refusals.take("the operator has not looked").await;
    let ready = |status, reason, message| condition("Ready", status, reason, message);
    let creating = ready("False", "Creating", "The record is being created");
    refusals.after("it is being created", json!({"conditions": [creating]})).await;
    let works = ready("True", "Succeeded", "The connection works");
    refusals.after("nobody ever had to", json!({"conditions": [works]})).await;
    let authorized = condition("Authorized", "True", "Succeeded", "The connection is authorized");
    refusals.after("it is authorized", json!({"conditions": [works, authorized]})).await;
    let wrong = "The merchant connected a store of SHOPIFY";
    let stalled = condition("Stalled", "True", "UnsupportedPlatform", wrong);
    let asked = condition("Authorized", "False", "AuthorizationRequired", HANDED_OUT);
    let problem = json!({"conditions": [ready("False", "UnsupportedPlatform", wrong), asked, stalled]});
    refusals.after("something else is wrong", problem).await;
    let why = "Arcus holds no credentials for the connector. Enter the credentials in Arcus";
    let done = json!({"settledAttempt": 1});
    let missing =
        json!({"conditions": awaits(why), "externalId": "shopify", "creation": done, "hasCredentials": false});
    refusals.after("what is missing is no link", missing).await;
    insta::assert_snapshot!("authorize-nobody", refusals.told);
}

#[tokio::test]
async fn a_link_that_cannot_be_opened_is_not_printed() {
    let sandbox = Sandbox::new("cli-authorize").await;
    let object = handed_out(&sandbox, HANDED_OUT, FAR).await;
    let mut refusals = Refusals { sandbox: &sandbox, told: String::new() };
    refusals.take("there is no Secret").await;
    write(&sandbox, Some(&object), None, &[("link_attempt", "2")]).await;
    refusals.take("there is no link in it").await;
    write(&sandbox, Some(&object), None, &[("link_url", LINK), ("link_attempt", "1")]).await;
    refusals.take("it is the link of before").await;
    write(&sandbox, Some(&object), None, &[("link_url", "javascript:test-canary"), ("link_attempt", "2")]).await;
    refusals.take("it is no address").await;

    write(&sandbox, Some(&object), None, &[("link_url", LINK), ("link_attempt", "2")]).await;
    let expired = json!({"authorization": {"expiresAt": LONG_AGO, "attempt": 2}});
    refusals.after("it has expired", expired).await;
    let why = "The last link has expired, and nobody has used one for a day. Run `tradewind reconcile` when the merchant is \
               ready: it makes a new one";
    refusals.after("there are no more by themselves", json!({"conditions": gave_up(why)})).await;
    let spec = async |change: Value| {
        let patch = Patch::Merge(json!({"spec": change}));
        sandbox.api::<Connection>().patch("acme", &PatchParams::default(), &patch).await.expect("a change");
    };
    spec(json!({"suspend": true})).await;
    refusals.after("it has expired, and is suspended", json!({"conditions": awaits(HANDED_OUT)})).await;
    let live = json!({"authorization": {"expiresAt": FAR, "attempt": 2}});
    spec(json!({"suspend": false, "managementPolicy": "ObserveOnly"})).await;
    refusals.after("it is only observed", live).await;
    spec(json!({"managementPolicy": "Full", "connectionSecretRef": null})).await;
    refusals.take("no Secret is named").await;
    spec(json!({"connectionSecretRef": {"name": "acme-connection"}})).await;
    assert_eq!(run_in(&sandbox, &["authorize", "acme"]).await.code, Some(0), "but for all that there is a link");
    sandbox.delete::<Connection>("acme").await;
    refusals.take("it is being deleted").await;
    insta::assert_snapshot!("authorize-refusals", refusals.told);
}

#[tokio::test]
async fn a_link_is_never_read_from_a_secret_of_somebody_else() {
    let sandbox = Sandbox::new("cli-authorize").await;
    let object = revoked(&sandbox).await;
    sandbox.apply(&STORE.replace("name: acme,", "name: other,")).await;
    let other: Connection = sandbox.get("other").await.expect("the other store");
    let mut refusals = Refusals { sandbox: &sandbox, told: String::new() };
    let link = [("link_url", LINK)];
    write(&sandbox, Some(&other), Some("other"), &link).await;
    refusals.take("another connection's").await;
    write(&sandbox, Some(&other), Some("acme"), &link).await;
    refusals.take("another connection's, with our label").await;
    write(&sandbox, None, Some("other"), &link).await;
    refusals.take("another connection's by its label").await;
    write(&sandbox, None, None, &link).await;
    refusals.take("nobody's").await;
    write(&sandbox, None, Some("acme"), &link).await;
    refusals.take("ours by its label, such as after a restore").await;
    insta::assert_snapshot!("authorize-foreign", refusals.told);
    write(&sandbox, Some(&object), Some("acme"), &link).await;
    assert_eq!(run_in(&sandbox, &["authorize", "acme"]).await.code, Some(0));
}

/// A kubeconfig of somebody who may look at connections and at nothing else.
async fn onlooker(sandbox: &Sandbox) -> String {
    let created = PostParams::default();
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "ann"}})).expect("JSON");
    sandbox.api().create(&created, &account).await.expect("an account");
    let may = json!({"apiGroups": ["tradewind.dev"], "resources": ["connections"], "verbs": ["get"]});
    let role: Role = serde_json::from_value(json!({"metadata": {"name": "ann"}, "rules": [may]})).expect("JSON");
    sandbox.api().create(&created, &role).await.expect("a role");
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "ann"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "ann"},
        "subjects": [{"kind": "ServiceAccount", "name": "ann", "namespace": sandbox.namespace()}],
    }))
    .expect("JSON");
    sandbox.api().create(&created, &binding).await.expect("a binding");
    let kubeconfig = control_plane().await.service_account_kubeconfig(sandbox.namespace(), "ann").await;
    kubeconfig.expect("a kubeconfig").to_str().expect("a path").to_owned()
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let sandbox = Sandbox::new("cli-authorize").await;
    let object = revoked(&sandbox).await;
    write(&sandbox, Some(&object), None, &[("link_url", LINK)]).await;
    let kubeconfig = onlooker(&sandbox).await;
    let ran = super::run(&["authorize", "acme", "-n", sandbox.namespace(), "--kubeconfig", &kubeconfig, "--wait"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().count()), (Some(4), "", 1), "{}", ran.err);
    insta::assert_snapshot!("authorize-no-right", timeless(&sandbox, &ran.err));
    let missing = run_in(&sandbox, &["authorize", "nobody"]).await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.starts_with("Error: there is no Connection nobody in"), "{}", missing.err);
}

#[tokio::test]
async fn it_waits_until_there_is_a_link() {
    let sandbox = Sandbox::new("cli-authorize").await;
    handed_out(&sandbox, HANDED_OUT, LONG_AGO).await;
    let kubeconfig = control_plane().await.kubeconfig();
    let mut command = tokio::process::Command::new(PROGRAM);
    command
        .env_clear()
        .args(["authorize", "acme", "--wait", "-n", sandbox.namespace(), "--kubeconfig"])
        .arg(kubeconfig);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the program");
    let mut words = BufReader::new(child.stderr.take().expect("its words"));
    let written = async {
        let mut first = String::new();
        words.read_line(&mut first).await.expect("a word");
        assert_eq!(first, "connection/acme: waiting for a link\n");
        let object = handed_out(&sandbox, HANDED_OUT, FAR).await;
        write(&sandbox, Some(&object), None, &[("link_url", LINK), ("link_attempt", "2")]).await;
        let mut rest = String::new();
        words.read_to_string(&mut rest).await.expect("words");
        (child.wait_with_output().await.expect("an end"), rest)
    };
    let (output, rest) = tokio::time::timeout(HANG, written).await.expect("an end");
    let ran = Ran::from(output);
    assert_eq!((ran.code, ran.out), (Some(0), format!("{LINK}\n")), "{rest}");
    assert!(rest.starts_with("connection/acme: whoever runs the store acme.myshopify.com"), "{rest}");
}

#[tokio::test]
async fn an_api_server_that_fails_for_a_while_does_not_end_the_wait() {
    let sandbox = Sandbox::new("cli-authorize").await;
    let object = handed_out(&sandbox, HANDED_OUT, FAR).await;
    write(&sandbox, Some(&object), None, &[("link_url", LINK), ("link_attempt", "2")]).await;
    // The Secret is missing at the first look, and nothing is answered at the next two.
    let looks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looks);
    let between = Between::new(&sandbox, move |path| {
        let look = if path.ends_with("/connections/acme") {
            count.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            count.load(Ordering::Relaxed)
        };
        match look {
            1 if path.contains("/secrets/") => Some((StatusCode::NOT_FOUND, MISSING)),
            2 | 3 => Some((StatusCode::SERVICE_UNAVAILABLE, FAILING)),
            _ => None,
        }
    })
    .await;
    let ran = between.run(&["authorize", "acme", "--wait"]).await;
    assert_eq!((ran.code, ran.out), (Some(0), format!("{LINK}\n")), "{}", ran.err);
    assert_eq!(looks.load(Ordering::Relaxed), 4);

    let failing = Between::new(&sandbox, |_| Some((StatusCode::SERVICE_UNAVAILABLE, FAILING))).await;
    let ran = failing.run(&["authorize", "acme", "--wait", "--timeout", "1h"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.starts_with("Error: the API server failed (out of order)"), "{}", ran.err);
}

#[tokio::test]
async fn it_does_not_wait_forever_nor_for_what_never_comes() {
    let sandbox = Sandbox::new("cli-authorize").await;
    handed_out(&sandbox, HANDED_OUT, FAR).await;
    let late = run_in(&sandbox, &["authorize", "acme", "--wait", "--timeout", "1s"]).await;
    let says = "Error: connection acme has no link yet: the operator has not written Secret acme-connection. It was waited for 1s";
    assert_eq!((late.code, late.out.as_str(), late.err.lines().last()), (Some(4), "", Some(says)));
    let works = json!([condition("Ready", "True", "Succeeded", "The connection works")]);
    forge(&sandbox, json!({"conditions": works, "authorization": null})).await;
    let never = run_in(&sandbox, &["authorize", "acme", "--wait", "--timeout", "1h"]).await;
    assert_eq!(never.code, Some(4));
    assert!(never.err.starts_with("Error: connection acme needs no authorization"), "{}", never.err);
}

#[tokio::test]
async fn the_status_says_who_has_to_do_what() {
    let sandbox = Sandbox::new("cli-authorize").await;
    handed_out(&sandbox, HANDED_OUT, FAR).await;
    let ran = run_in(&sandbox, &["status", "acme"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    insta::assert_snapshot!("authorize-status", timeless(&sandbox, &ran.out));
    let told = async |status: Value| {
        forge(&sandbox, status).await;
        let view = run_in(&sandbox, &["status", "acme", "-o", "json"]).await.json();
        (view["waitsFor"].clone(), view["commands"].clone())
    };
    let command = async |verb: &str, rest: &str| {
        json!([ready_to_run(&format!("tradewind {verb} acme -n {}{rest}", sandbox.namespace())).await])
    };
    let person = json!("person");
    assert_eq!(told(json!({})).await, (person.clone(), command("authorize", "").await));
    let expired = json!({"authorization": {"expiresAt": LONG_AGO, "attempt": 2}});
    assert_eq!(told(expired).await, (person.clone(), command("authorize", " --wait").await));
    let given_up = json!({"conditions": gave_up("No more links. Ask for one")});
    assert_eq!(told(given_up).await, (person.clone(), command("reconcile", "").await));
    let missing = json!({
        "conditions": awaits("Enter the credentials in Arcus"), "authorization": null, "externalId": "shopify",
        "creation": {"settledAttempt": 2}, "hasCredentials": false, "hasWebhookSecret": true,
        "syncStatus": "error", "syncError": "The login was refused",
    });
    assert_eq!(told(missing).await, (person, Value::Null));
    let text = run_in(&sandbox, &["status", "acme"]).await.out;
    for line in [
        "Sync status:     error\n",
        "Sync error:      The login was refused\n",
        "Credentials:     none stored at the provider\n",
        "Webhook secret:  stored at the provider\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn the_status_of_what_has_to_be_authorized_again_names_the_command() {
    let sandbox = Sandbox::new("cli-authorize").await;
    revoked(&sandbox).await;
    let view = run_in(&sandbox, &["status", "acme", "-o", "json"]).await.json();
    let command = ready_to_run(&format!("tradewind authorize acme -n {}", sandbox.namespace())).await;
    assert_eq!((&view["waitsFor"], &view["commands"]), (&json!("person"), &json!([command])));
}
