//! References that want to reach into another namespace: a name is a name, and the namespace is the object's own.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DynamicObject, PostParams};
use rstest::rstest;
use serde_json::{Value, json};
use tradewind_cluster::Event;
use tradewind_simulator::Clock;

use crate::cluster::{HANG, Sandbox};
use crate::lifecycle::tenancy::rules;
use crate::manifests::{cases, crds};
use crate::world::{LOGIN_CANARY, SKU_TOKEN, STORE_CANARY, World, secret};

/// Every field of a schema that names an object by its name, by its path.
fn references(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (field, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{field}");
        if inner["properties"]["name"]["type"] == "string" && field.ends_with("Ref") {
            found.push(path.clone());
        }
        references(inner, &path, found);
    }
}

/// References to what lies in the namespace `there`: by names that are more than names, and with a namespace beside the name.
fn hostile(there: &str) -> Vec<Value> {
    let names = [
        "THERE/tempting",
        "THERE:tempting",
        "THERE.tempting",
        "THERE%2ftempting",
        "THERE%2Ftempting",
        "../THERE/tempting",
        "../../THERE/secrets/tempting",
        "..%2f..%2fTHERE%2fsecrets%2ftempting",
        "%2e%2e/%2e%2e/THERE/secrets/tempting",
        "..\\..\\THERE\\secrets\\tempting",
        "/api/v1/namespaces/THERE/secrets/tempting",
        "//THERE/tempting",
        "tempting?namespace=THERE",
        "tempting#THERE",
        "tempting/../../../THERE/secrets/tempting",
        "tempting\u{0}",
        "tempting\u{0}THERE",
        "tempting\r\nnamespace: THERE",
        " tempting",
        "tempting\n",
        "TEMPTING",
        "t\u{435}mpting",
        "\u{ff54}empting",
        "tempting\u{202e}",
        "tempting.",
        "-tempting",
        "..",
        ".",
        "*",
        "",
    ];
    let long = json!({"name": "tempting".repeat(40)});
    let beside =
        [("namespace", json!(there)), ("kind", json!("Secret")), ("apiVersion", json!("v1")), ("uid", json!("0"))];
    let beside = beside.into_iter().map(|(field, value)| json!({"name": "tempting", field: value, "namespace": there}));
    let by_name = names.map(|name| json!({"name": name.replace("THERE", there)}));
    by_name.into_iter().chain([long]).chain(beside).collect()
}

/// Good manifests of all kinds in a namespace, each with one reference that is not.
fn manifests(there: &str) -> Vec<Value> {
    let (crds, mut made) = (crds(), Vec::new());
    for kind in ["Connection", "IntegrationInstance", "ProviderAccount"] {
        let base = cases::bases().into_iter().find(|base| base["kind"] == kind).expect("a base");
        let schema = crds.iter().find(|crd| crd.kind() == kind).expect("a kind of ours").schema();
        let mut fields = Vec::new();
        references(&schema["properties"]["spec"], "/spec", &mut fields);
        assert!(!fields.is_empty(), "{kind} names nothing");
        for (field, reference) in fields.iter().flat_map(|field| hostile(there).into_iter().map(move |r| (field, r))) {
            let mut manifest = base.clone();
            let place = manifest.pointer_mut(field).unwrap_or_else(|| panic!("{field} is not in the base of {kind}"));
            // What else a reference takes, such as a key, stays.
            place.as_object_mut().expect("a reference").extend(reference.as_object().expect("one").clone());
            manifest["metadata"] = json!({"name": format!("r-{}", made.len())});
            made.push(manifest);
        }
    }
    made
}

/// The names of Secrets in a manifest, those that are none among them.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    for (field, inner) in value.as_object().into_iter().flatten() {
        if field.ends_with("SecretRef") {
            found.extend(inner["name"].as_str().map(str::to_owned));
        }
        names(inner, found);
    }
}

/// The requests of an operator of the whole cluster, who may read every Secret, once it has looked at every manifest that the API server
/// has taken; and how many it has refused. There is a tempting Secret in another namespace, and it is as it was.
async fn tempted(sandbox: Sandbox) -> (Vec<Event>, [String; 2], usize) {
    sandbox.allow_everywhere(rules()).await;
    let mut world = World::on(sandbox, Clock::real(), World::setup());
    world.settings.namespace = None;
    let victim = world.sandbox.beside("victim").await;
    let login = [("client_id", "test-client-id"), ("client_secret", LOGIN_CANARY), ("token", SKU_TOKEN)];
    let data = [&login[..], &[("oauth_access_token", STORE_CANARY)]].concat();
    victim.apply(&secret("tempting", &data)).await;
    let tempting = victim.get::<Secret>("tempting").await;
    // With accounts that work, so that a look at a store's Secret is what comes next.
    let thief = world.sandbox.beside("thief").await;
    thief.apply(&world.account()).await;
    thief.apply(&world.sku_account(SKU_TOKEN, "")).await;
    thief.apply(&secret("acme", &[("oauth_access_token", STORE_CANARY)])).await;

    let log = world.sandbox.audit_log().clone();
    let since = log.mark().expect("an audit log");
    world.start().await;
    let (mut taken, mut refused) = (Vec::new(), 0);
    for manifest in manifests(victim.namespace()) {
        let object: DynamicObject = serde_json::from_value(manifest).expect("an object");
        let api = thief.dynamic_api(&object).await;
        // Not strict, as most clients are: a field that nobody knows is dropped, and the rest is taken.
        match api.create(&PostParams::default(), &object).await {
            Ok(object) => taken.push((api, object)),
            Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => refused += 1,
            Err(error) => panic!("{error}: {object:#?}"),
        }
    }
    assert!(refused + taken.len() >= 200 && !taken.is_empty(), "{refused} refused, {} taken", taken.len());
    for (api, object) in &taken {
        let told = async {
            loop {
                let now = api.get(&object.name_any()).await.expect("an object");
                let observed = now.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
                if observed == now.metadata.generation {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(HANG, told).await.unwrap_or_else(|late| panic!("{late}: {object:#?}"));
    }
    world.stop().await;
    assert_eq!(victim.get::<Secret>("tempting").await, tempting);
    let operator = format!("system:serviceaccount:{}:tradewind", world.sandbox.namespace());
    let asked = log.since(since).expect("an audit log").filter(|event| event.user == operator).collect();
    (asked, [thief, victim].map(|sandbox| sandbox.namespace().to_owned()), refused)
}

/// Whether a request about Secrets is about one that an object of this namespace names by its name, or makes one there.
fn is_own(event: &Event, namespace: &str, named: &BTreeSet<String>) -> bool {
    let path = event.request_uri.split('?').next().unwrap_or_default();
    let own = format!("/api/v1/namespaces/{namespace}/secrets");
    match path.strip_prefix(&own) {
        Some("") => event.verb == "create",
        Some(rest) => rest.strip_prefix('/').is_some_and(|name| is_name(name) && named.contains(name)),
        None => false,
    }
}

/// What may be a name of a Secret.
fn is_name(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_inner = |c: char| is_end(c) || c == '-' || c == '.';
    text.len() <= 253 && text.chars().all(is_inner) && text.starts_with(is_end) && text.ends_with(is_end)
}

/// Asserts that every request about Secrets was about one in the namespace of the objects, by a name that one of them has, and that none
/// was about anything by a name that is none.
fn assert_resisted(asked: &[Event], [thief, victim]: &[String; 2]) {
    let mut named: BTreeSet<String> = ["rutter-api", "sku-api"].map(str::to_owned).into();
    for manifest in manifests(victim) {
        names(&manifest["spec"], &mut named);
    }
    let about_secrets = |event: &&Event| event.request_uri.to_lowercase().contains("secrets");
    let (own, others): (Vec<&Event>, Vec<&Event>) =
        asked.iter().filter(about_secrets).partition(|event| is_own(event, thief, &named));
    assert!(!own.is_empty(), "the log shows what is asked for");
    let paths = others.iter().map(|event| (event.verb.as_str(), event.request_uri.as_str()));
    assert_eq!(paths.collect::<BTreeSet<_>>(), BTreeSet::new(), "requests about Secrets that nobody here may name");
    let odd = |uri: &&String| ["..", "%", "tempting/", "namespace="].iter().any(|part| uri.contains(part));
    assert_eq!(asked.iter().map(|event| &event.request_uri).find(odd), None);
}

/// A list of what is allowed that allows everything holds nothing off.
#[rstest]
#[case::one_that_it_names("get", "/api/v1/namespaces/mine/secrets/acme", true)]
#[case::with_a_query("patch", "/api/v1/namespaces/mine/secrets/acme?fieldManager=tradewind", true)]
#[case::a_new_one("create", "/api/v1/namespaces/mine/secrets?fieldManager=tradewind", true)]
#[case::all_of_them("list", "/api/v1/namespaces/mine/secrets?limit=500", false)]
#[case::one_that_it_does_not_name("get", "/api/v1/namespaces/mine/secrets/another", false)]
#[case::one_of_another_namespace("get", "/api/v1/namespaces/yours/secrets/acme", false)]
#[case::one_of_a_namespace_with_a_longer_name("get", "/api/v1/namespaces/mine-too/secrets/acme", false)]
#[case::one_behind_it("get", "/api/v1/namespaces/mine/secrets/acme/../../../yours/secrets/acme", false)]
#[case::one_by_a_name_that_is_none("get", "/api/v1/namespaces/mine/secrets/..", false)]
#[case::those_of_everybody("watch", "/api/v1/secrets?watch=true", false)]
fn of_all_secrets_only_those_are_its_own(#[case] verb: &str, #[case] request_uri: &str, #[case] own: bool) {
    let named: BTreeSet<String> = ["acme", "acme/../../../yours/secrets/acme", "..", ""].map(str::to_owned).into();
    let event = Event {
        user: "operator".to_owned(),
        impersonated_by: None,
        verb: verb.to_owned(),
        api_group: String::new(),
        resource: "secrets".to_owned(),
        subresource: String::new(),
        namespace: "mine".to_owned(),
        name: String::new(),
        code: 200,
        request_uri: request_uri.to_owned(),
        user_agent: String::new(),
        time: Timestamp::UNIX_EPOCH,
    };
    assert_eq!(is_own(&event, "mine", &named), own);
}

/// The schemas refuse most names before the operator sees them; here nobody does.
#[tokio::test]
async fn no_reference_that_nobody_has_checked_reaches_into_another_namespace() {
    let (asked, namespaces, refused) = tempted(Sandbox::unchecked("unchecked-references")).await;
    assert_eq!(refused, 0);
    assert_resisted(&asked, &namespaces);
}

/// Rights that would allow it, and an audit log that would show it, are a real API server's.
mod real {
    use super::*;

    #[tokio::test]
    async fn no_reference_reaches_into_another_namespace() {
        let (asked, namespaces, refused) = tempted(Sandbox::alone("references").await).await;
        assert!(refused > 100, "{refused} were refused");
        let [_, victim] = &namespaces;
        assert!(!asked.iter().any(|event| event.is_about("", "secrets") && event.namespace == *victim));
        assert_resisted(&asked, &namespaces);
    }
}
