//! `tradewind abandon`: it says what stays behind, and lets go only of what would not go otherwise.

use kube::api::{Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance};

use super::{CONNECTOR, Ran, STORE, asking, condition, forge, instance_asking, intent, ready_to_run, run_in, store};
use crate::cluster::{HANG, Sandbox, documents};

async fn abandon(sandbox: &Sandbox, args: &[&str]) -> Ran {
    run_in(sandbox, &[&["abandon", "acme"], args].concat()).await
}

async fn is_there(sandbox: &Sandbox) -> bool {
    sandbox.get::<Connection>("acme").await.is_some()
}

#[tokio::test]
async fn a_blocked_deletion_is_let_go_once_people_know_what_stays() {
    let sandbox = Sandbox::new("cli-abandon").await;
    let object = asking(&sandbox, "DeletionBlocked").await;
    sandbox.delete::<Connection>("acme").await;
    // The deletion is a generation of its own, of which the operator has to say that it is blocked.
    forge(&sandbox, serde_json::to_value(object.status).expect("JSON")).await;

    let dry = abandon(&sandbox, &[]).await;
    assert_eq!((dry.code, dry.err.as_str()), (Some(2), ""));
    insta::assert_snapshot!("abandon-would", dry.out.replace(sandbox.namespace(), "NAMESPACE"));
    let json = abandon(&sandbox, &["-o", "json"]).await;
    assert_eq!(json.code, Some(2));
    assert_eq!(
        (&json.json()["candidates"], &json.json()["openAttempt"]["attempt"], &json.json()["abandoned"]),
        (&json!(["r-1", "r-2"]), &json!(1), &json!(false))
    );
    assert!(is_there(&sandbox).await);

    let done = abandon(&sandbox, &["--yes"]).await;
    assert_eq!(done.code, Some(0), "{}", done.err);
    insta::assert_snapshot!("abandon-done", done.out.replace(sandbox.namespace(), "NAMESPACE"));
    sandbox.wait_gone::<Connection>("acme", HANG).await;
}

#[tokio::test]
async fn what_is_not_being_deleted_is_not_abandoned() {
    let sandbox = Sandbox::new("cli-abandon").await;
    asking(&sandbox, "CreateOutcomeUnknown").await;
    let delete = ready_to_run(&format!("kubectl delete connection acme -n {}", sandbox.namespace())).await;
    for args in [&["--yes"][..], &["--yes", "--force"]] {
        let ran = abandon(&sandbox, args).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
        let says = format!("Error: connection acme is not being deleted. Delete it first: {delete}. To leave");
        assert!(ran.err.starts_with(&says), "{}", ran.err);
    }
    assert!(is_there(&sandbox).await);
}

#[tokio::test]
async fn a_deletion_that_is_under_way_is_waited_for_unless_forced() {
    let sandbox = Sandbox::new("cli-abandon").await;
    store(&sandbox, json!({"externalId": "r-1", "account": "org-1", "creation": {"settledAttempt": 1}})).await;
    sandbox.delete::<Connection>("acme").await;
    let deleting = json!([
        condition("Ready", "False", "Deleting", "Waiting"),
        condition("Reconciling", "True", "Deleting", "Waiting")
    ]);
    forge(&sandbox, json!({"conditions": deleting, "externalId": "r-1"})).await;
    let ran = abandon(&sandbox, &["--yes"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains(
            "is not blocked (Deleting: Waiting). Wait for the operator, or, if none runs any more, add --force"
        ),
        "{}",
        ran.err
    );
    assert!(is_there(&sandbox).await);
    let ran = abandon(&sandbox, &["--yes", "--force"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("  - record r-1, which the object's status names\n"), "{}", ran.out);
    sandbox.wait_gone::<Connection>("acme", HANG).await;
}

/// What the account's guard holds goes on by itself: whoever lets it go all the same says so.
#[tokio::test]
async fn a_deletion_that_is_held_is_let_go_only_by_force() {
    let sandbox = Sandbox::new("cli-abandon").await;
    let uid = store(&sandbox, json!({})).await.metadata.uid.expect("a UID");
    sandbox.delete::<Connection>("acme").await;
    let says = |kind, status| condition(kind, status, "DeletionHeld", "It goes on in a later window");
    forge(&sandbox, json!({"conditions": [says("Ready", "False"), says("Stalled", "True")], "externalId": "r-1"}))
        .await;
    let annotate = format!(
        "kubectl annotate connection acme -n {} --overwrite tradewind.dev/allow-deletion={uid}",
        sandbox.namespace()
    );
    let told = format!(
        "Error: the deletion of connection acme is not blocked, but held (DeletionHeld: It goes on in a later window). To \
         let it pass now: {}. To let the object go and leave the record, add --force\n",
        ready_to_run(&annotate).await
    );
    for args in [&[][..], &["--yes"]] {
        let ran = abandon(&sandbox, args).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(1), told.as_str()));
    }
    assert!(is_there(&sandbox).await);
    let ran = abandon(&sandbox, &["--yes", "--force"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    sandbox.wait_gone::<Connection>("acme", HANG).await;
}

#[tokio::test]
async fn finalizers_of_others_stay() {
    let sandbox = Sandbox::new("cli-abandon").await;
    sandbox.apply(&STORE.replace("[tradewind.dev/connection]", "[example.com/audit, tradewind.dev/connection]")).await;
    sandbox.delete::<Connection>("acme").await;
    let ran = abandon(&sandbox, &["--yes", "--force"]).await;
    assert!(
        ran.out.contains("The object stays until these finalizers are removed: example.com/audit."),
        "{}{}",
        ran.out,
        ran.err
    );
    let object: Connection = sandbox.get("acme").await.expect("the store");
    assert_eq!(object.metadata.finalizers, Some(vec!["example.com/audit".to_owned()]));
    // Nobody waits for an operator that does not hold it.
    for args in [&[][..], &["--yes"], &["--yes", "--force"]] {
        let again = abandon(&sandbox, args).await;
        assert_eq!(
            (again.code, again.out.as_str()),
            (Some(0), "connection/acme is not held by Tradewind: there is nothing to do\n"),
            "{}",
            again.err
        );
    }
}

/// The conditions of a deletion that a person has to help.
fn blocked() -> Value {
    let says = |kind, status| condition(kind, status, "DeletionBlocked", "The account does not exist");
    json!([says("Ready", "False"), says("Stalled", "True")])
}

#[tokio::test]
async fn what_was_in_the_way_is_not_taken_for_the_objects() {
    let sandbox = Sandbox::new("cli-abandon").await;
    store(&sandbox, json!({})).await;
    sandbox.delete::<Connection>("acme").await;
    let creation = json!({"settledAttempt": 1, "candidates": ["r-9"]});
    let known = json!({"conditions": blocked(), "externalId": "r-1", "account": "org-1", "creation": creation});
    forge(&sandbox, known).await;
    let json = abandon(&sandbox, &["-o", "json"]).await.json();
    assert_eq!((&json["externalId"], &json["candidates"]), (&json!("r-1"), &json!([])));
    insta::assert_snapshot!("abandon-made", abandon(&sandbox, &[]).await.out.replace(sandbox.namespace(), "NAMESPACE"));
    // Nothing was made where an attempt came to nothing.
    forge(&sandbox, json!({"externalId": null})).await;
    let text = abandon(&sandbox, &[]).await.out;
    assert!(text.contains("  - nothing that the object knows of\n") && !text.contains("r-9"), "{text}");
}

/// Passes the API server's check of date-times, and is none.
const NO_TIME: &str = "2025-01-01T00:00:00+99:99";

#[tokio::test]
async fn of_what_cannot_be_read_an_open_attempt_is_told_from_either_place() {
    let sandbox = Sandbox::new("cli-abandon").await;
    let uid = store(&sandbox, json!({})).await.metadata.uid.expect("a UID");
    sandbox.delete::<Connection>("acme").await;
    let api = sandbox.dynamic_api(&documents(STORE).remove(0)).await;
    let mut told = String::new();
    for (title, annotation, creation) in [
        ("settled", Some(1), json!({"intent": intent(&uid, 1), "settledAttempt": 1, "candidates": ["r-9"]})),
        ("open, told by both", Some(2), json!({"intent": intent(&uid, 2), "settledAttempt": 1, "candidates": ["r-2"]})),
        ("open, told by the annotation", Some(2), json!({"intent": null, "settledAttempt": 1, "candidates": null})),
        ("open, told by the status", None, json!({"intent": intent(&uid, 2), "settledAttempt": 1})),
        ("not readable", None, json!({"intent": {"at": NO_TIME}, "settledAttempt": 1})),
    ] {
        let annotation = annotation.map(|attempt| intent(&uid, attempt).to_string());
        let metadata = json!({"metadata": {"annotations": {keys::CREATE_INTENT: annotation}}});
        api.patch("acme", &PatchParams::default(), &Patch::Merge(metadata)).await.expect("an annotation");
        let status = json!({
            "conditions": blocked(), "lastSyncTime": NO_TIME, "externalId": "r-1", "account": "org-1", "creation": creation,
        });
        let patch = Patch::Merge(json!({"status": status}));
        let object = api.patch_status("acme", &PatchParams::default(), &patch).await.expect("a status");
        assert!(object.try_parse::<Connection>().is_err(), "the test's own premise");
        let dry = abandon(&sandbox, &[]).await;
        assert_eq!((dry.code, dry.err.as_str()), (Some(2), ""), "{title}");
        let stays = dry.out.lines().filter(|line| line.starts_with("  - ")).map(|line| format!("{line}\n"));
        told.extend([format!("# {title}\n")].into_iter().chain(stays));
    }
    insta::assert_snapshot!("abandon-unreadable", told);
    let json = abandon(&sandbox, &["-o", "json"]).await.json();
    assert_eq!((json.get("openAttempt"), &json["unreadableAttempt"]), (None, &json!(true)));
}

/// What a merchant may still make is told whatever is known of the attempt, for as long as the link works.
#[rstest]
#[case::of_an_open_attempt("cli-link-open", true)]
#[case::of_an_attempt_that_nobody_knows_any_more("cli-link-only", false)]
#[tokio::test]
async fn a_link_that_still_works_is_told_until_it_expires(#[case] name: &str, #[case] is_open: bool) {
    const FAR: &str = "2999-01-01T00:00:00Z";
    let sandbox = Sandbox::new(name).await;
    sandbox.apply(CONNECTOR).await;
    let uid = forge(&sandbox, json!({})).await.metadata.uid.expect("a UID");
    sandbox.delete::<Connection>("acme").await;
    let creation = if is_open { json!({"intent": intent(&uid, 2), "settledAttempt": 1}) } else { json!(null) };
    let with_link = async |expires_at: &str| {
        let link = json!({"expiresAt": expires_at, "attempt": 2});
        forge(&sandbox, json!({"conditions": blocked(), "creation": creation, "authorization": link})).await;
        let (text, json) = (abandon(&sandbox, &[]).await, abandon(&sandbox, &["-o", "json"]).await);
        assert_eq!((text.code, json.code), (Some(2), Some(2)), "{}{}", text.err, json.err);
        let items: Vec<String> =
            text.out.lines().filter_map(|line| line.strip_prefix("  - ")).map(str::to_owned).collect();
        (items, json.json())
    };
    let mut stays = Vec::new();
    if is_open {
        let key = "BIG_COMMERCE/store-a.mybigcommerce.com";
        stays.push(format!("whatever attempt 2 of 2025-01-01T00:00:00Z made for {key}, if it made anything"));
    }
    let (told, json) = with_link("2025-01-01T00:00:00Z").await;
    let nothing = vec!["nothing that the object knows of".to_owned()];
    assert_eq!((told, json.get("authorization")), (if is_open { stays.clone() } else { nothing }, None));
    let (told, json) = with_link(FAR).await;
    stays.push(format!("whatever a merchant still makes by the link of attempt 2, which works until {FAR}"));
    assert_eq!((told, &json["authorization"]), (stays, &json!({"expiresAt": FAR, "attempt": 2})));
}

#[tokio::test]
async fn an_instance_is_let_go_by_its_own_finalizer() {
    let sandbox = Sandbox::new("cli-abandon").await;
    let object = instance_asking(&sandbox, "DeletionBlocked").await;
    let abandon = async |args: &[&str]| run_in(&sandbox, &[&["abandon", "ii/acme"], args].concat()).await;
    let refused = abandon(&["--yes"]).await;
    assert!(
        refused.err.contains("is not being deleted. Delete it first: kubectl delete integrationinstance acme"),
        "{}",
        refused.err
    );
    sandbox.delete::<IntegrationInstance>("acme").await;
    let blocked = serde_json::to_value(object.status).expect("JSON");
    super::forge_of::<IntegrationInstance>(&sandbox, blocked).await;
    let dry = abandon(&["-o", "json"]).await;
    assert_eq!((dry.code, &dry.json()["kind"]), (Some(2), &json!("IntegrationInstance")));
    assert_eq!(dry.json().get("connectionSecret"), None, "an instance has none");
    let done = abandon(&["--yes"]).await;
    assert_eq!(done.code, Some(0), "{}", done.err);
    insta::assert_snapshot!("abandon-instance", done.out.replace(sandbox.namespace(), "NAMESPACE"));
    sandbox.wait_gone::<IntegrationInstance>("acme", HANG).await;
}
