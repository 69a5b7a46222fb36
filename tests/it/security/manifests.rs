//! Thousands of manifests that are wrong in one place each: refused before they get anywhere, and harmless where nobody refuses them.
//!
//! It owns the making of them, out of the schemas of the CRDs. Each is a good manifest but for its mistake, so that whatever reads it
//! gets as far as the mistake.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::FutureExt;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams, PostParams};
use regex::Regex;
use serde_json::{Value, json};
use tradewind::api::v1alpha1::ProviderAccount;
use tradewind::engine;
use tradewind::serve::Readiness;
use tradewind::telemetry::Metrics;
use tradewind_simulator::{Clock, Provider};

use crate::cli::run_with;
use crate::cluster::{HANG, Sandbox};
use crate::conditions::Observed;
use crate::manifests::{cases, crds};
use crate::world::{ARCUS_KEY, STORE_CANARY, World, connection, id_of, secret, store};

/// What is wrong with a manifest.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    /// It has not the form of what is declared: nobody can carry it out.
    Form,
    /// It is beyond a limit: the API server's to refuse, since all else could be carried out.
    Limit,
    /// A field that nobody knows: an API server that is not asked to be strict drops it, and what is left is good.
    Unknown,
}

/// A manifest and its mistake.
struct Bad {
    manifest: Value,
    mistake: Mistake,
    why: String,
}

/// What is wrong in place of a value; `None`: nothing is there at all.
type Wrong = (Mistake, &'static str, Option<Value>);

/// A value with so many objects around it.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({}), |inner, _| json!({"deeper": inner}))
}

/// Values of other types than this schema has.
fn wrong_types(schema: &Value) -> Vec<Wrong> {
    let wanted = schema["type"].as_str().unwrap_or_default();
    let is_free = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let fits = |kind: &str| is_free || kind == wanted || (kind, wanted) == ("integer", "number");
    let values = [
        ("string", json!("text")),
        ("integer", json!(7)),
        ("number", json!(1.5)),
        ("boolean", json!(true)),
        // Not of a text: serde takes a list of its fields for a struct.
        ("array", json!([["item"]])),
        ("object", json!({"a": "b"})),
        ("object", nested(40)),
    ];
    let wrong = values.into_iter().filter(|(kind, _)| !fits(kind));
    wrong.map(|(_, value)| (Mistake::Form, "has the wrong type", Some(value))).collect()
}

/// Values of the right type that this schema refuses.
fn wrong_values(schema: &Value) -> Vec<Wrong> {
    let limit = |keyword: &str| schema[keyword].as_i64();
    let more = |limit: i64| usize::try_from(limit).expect("a limit of a schema") + 1;
    let beyond = [
        ("is too long", limit("maxLength").map(|most| json!("a".repeat(more(most))))),
        ("is empty", limit("minLength").map(|_| json!(""))),
        ("has too many items", limit("maxItems").map(|most| json!(vec!["a"; more(most)]))),
        ("is too small", limit("minimum").map(|least| json!(least - 1))),
        ("is too large", limit("maximum").map(|most| json!(most + 1))),
        ("is beyond any integer", (schema["type"] == "integer").then(|| json!(u64::MAX))),
    ];
    let beyond = beyond.into_iter().filter(|(_, value)| value.is_some());
    let mut wrong: Vec<Wrong> = beyond.map(|(why, value)| (Mistake::Limit, why, value)).collect();
    if !schema["enum"].is_null() {
        let names = ["", "Nonesuch", "../Full", "Fail\u{0}"];
        wrong.extend(names.map(|name| (Mistake::Form, "is none of the values", Some(json!(name)))));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let pattern = Regex::new(pattern).expect("a pattern");
        let odd = [
            "../other",
            "a/b",
            "%2e%2e%2f",
            "UPPER_case ",
            "a\u{0}b",
            "a\r\nx: y",
            "\u{1b}[31m",
            "\u{202e}\u{fc}n\u{ef}",
            "a b?#",
        ];
        let misses = odd.into_iter().filter(|text| !pattern.is_match(text));
        wrong.extend(misses.map(|text| (Mistake::Limit, "misses the pattern", Some(json!(text)))));
    }
    wrong
}

/// A copy of a value with another one at a path; what is missing on the way is made.
fn with(value: &Value, path: &[&str], put: Option<&Value>) -> Value {
    let [first, rest @ ..] = path else { return put.cloned().unwrap_or_default() };
    let mut fields = value.as_object().cloned().unwrap_or_default();
    if rest.is_empty() && put.is_none() {
        fields.remove(*first);
    } else {
        let inner = with(fields.get(*first).unwrap_or(&Value::Null), rest, put);
        fields.insert((*first).to_owned(), inner);
    }
    Value::Object(fields)
}

/// Every mistake at a place of a manifest and below it.
fn mistakes(base: &Value, schema: &Value, path: &[&str], bad: &mut Vec<Bad>) {
    let mut make = |more: Option<&str>, (mistake, why, put): Wrong| {
        let place: Vec<&str> = path.iter().copied().chain(more).collect();
        let why = format!("{} {} {why}", base["kind"], place.join("."));
        bad.push(Bad { manifest: with(base, &place, put.as_ref()), mistake, why });
    };
    for wrong in wrong_types(schema).into_iter().chain(wrong_values(schema)) {
        make(None, wrong);
    }
    if let Some(most) = schema["maxProperties"].as_u64() {
        let entries = (0..=most).map(|n| (format!("k{n}"), json!("v"))).collect();
        make(None, (Mistake::Limit, "has too many entries", Some(Value::Object(entries))));
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    if base.pointer(&format!("/{}", path.join("/"))).is_some_and(Value::is_object) {
        for (field, value) in [("namespace", json!("kube-system")), ("__proto__", json!({})), ("nested", nested(40))] {
            if !properties.contains_key(field) {
                make(Some(field), (Mistake::Unknown, "is no field", Some(value)));
            }
        }
        for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            make(Some(field), (Mistake::Form, "is missing", None));
            make(Some(field), (Mistake::Form, "is null", Some(Value::Null)));
        }
    }
    for (field, inner) in properties {
        mistakes(base, inner, &[path, &[field.as_str()]].concat(), bad);
    }
}

/// All of them, always the same and in the same order.
fn all() -> Vec<Bad> {
    let (crds, mut bad) = (crds(), Vec::new());
    for base in cases::bases() {
        let schema = crds.iter().find(|crd| base["kind"] == crd.kind()).expect("a kind of ours").schema();
        mistakes(&base, &schema["properties"]["spec"], &["spec"], &mut bad);
    }
    for (n, one) in bad.iter_mut().enumerate() {
        one.manifest["metadata"] = json!({"name": format!("bad-{n}"), "annotations": {"mistake": one.why}});
    }
    bad
}

#[test]
fn the_command_line_refuses_every_one_and_never_panics() {
    let bad = all();
    assert!(bad.len() > 2000, "{} are too few", bad.len());
    let manifests: Vec<&Value> = bad.iter().map(|one| &one.manifest).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
    let ran = run_with(&["validate", "--filename=-", "--output=json"], &list.to_string());
    assert_eq!((ran.code, ran.err.as_str()), (Some(3), ""));
    let said = ran.json();
    let findings = said["documents"].as_array().expect("documents");
    assert_eq!(findings.len(), bad.len());
    let passed = bad.iter().zip(findings).filter(|(_, said)| said["findings"].as_array().is_none_or(Vec::is_empty));
    assert_eq!(passed.map(|(one, _)| one.why.as_str()).collect::<Vec<_>>(), [""; 0]);
    // What is good passes by the same way: the mistakes are what is refused. What takes a record over needs less than what makes one.
    let mut bases = cases::bases();
    let takes_over = |base: &&mut Value| base["spec"]["accountRef"].is_object() && base["spec"]["provider"] != "Rutter";
    for object in bases.iter_mut().filter(takes_over) {
        (object["spec"]["adoptionPolicy"], object["spec"]["deletionPolicy"]) = (json!("Match"), json!("Retain"));
    }
    let good = json!({"apiVersion": "v1", "kind": "List", "items": bases});
    assert_eq!(run_with(&["validate", "--filename=-"], &good.to_string()).code, Some(0));
}

#[test]
fn the_command_line_refuses_what_has_no_bottom() {
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "1").to_owned() + &"}".repeat(100_000);
    for text in [deep.as_str(), &"[".repeat(100_000), &"- ".repeat(100_000), "a: &a [*a, *a]", "\0", "%2e: !!binary ="]
    {
        let ran = run_with(&["validate", "--filename=-"], text);
        assert_eq!(ran.code, Some(3), "{}: {ran:?}", &text[..text.len().min(20)]);
    }
}

/// Every object of a kind, with what it says of itself by now.
pub(super) async fn all_looked_at(sandbox: &Sandbox, kind: &str) -> Vec<DynamicObject> {
    let any = json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": kind, "metadata": {"name": "any"}});
    let api = sandbox.dynamic_api(&serde_json::from_value(any).expect("an object")).await;
    let untold = |object: &&DynamicObject| {
        let observed = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
        observed != object.metadata.generation
    };
    let deadline = Instant::now() + HANG * 2;
    loop {
        let all = api.list(&ListParams::default()).await.expect("the objects").items;
        let left: Vec<_> = all.iter().filter(untold).map(|object| object.annotations().get("mistake")).collect();
        if left.is_empty() {
            return all;
        }
        assert!(Instant::now() < deadline, "{} of {kind} were not looked at: {left:?}", left.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The condition `Ready` of an object.
pub(super) fn ready_of(object: &DynamicObject) -> &Value {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array).expect("conditions");
    conditions.iter().find(|condition| condition["type"] == "Ready").expect("Ready")
}

/// Waits until accounts work: from then on nothing keeps an object that names one from being carried out but its own mistakes.
pub(super) async fn until_they_work(world: &World, accounts: &[&str]) {
    for name in accounts {
        let works = |account: &ProviderAccount| account.says("Ready", "True", "Succeeded");
        world.sandbox.wait_for::<ProviderAccount>(name, HANG, works).await;
    }
}

/// Lets an operator of the whole cluster meet all manifests with this mistake, more than so many, as if the CRDs had been installed
/// without their schemas, or an older version of them had been. Nobody is asked for anything because of them, each is told, and what
/// is good is served beside them.
async fn meet(name: &str, mistake: Mistake, least: usize) {
    let mut world = World::on(Sandbox::unchecked(name), Clock::real(), World::setup());
    world.settings.namespace = None;
    world.furnish().await;
    world.furnish_sku("").await;
    world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
    world.sandbox.apply(&secret("acme", &[("oauth_access_token", STORE_CANARY)])).await;
    let (metrics, never) = (Metrics::new(), std::future::pending::<()>().boxed().shared());
    let reach = world.sandbox.reach(None).await;
    let ready = Readiness::default().gate("watches");
    let operator = tokio::spawn(engine::run(reach, world.settings.clone(), metrics.clone(), ready, never));
    until_they_work(&world, &["rutter", "sku", "arcus"]).await;
    // The good accounts have proven their logins, with a request each.
    let proofs = BTreeMap::from([(Provider::Rutter, 1), (Provider::SkuIo, 1), (Provider::Arcus, 1)]);
    let asked = || world.simulator.stats().by_provider;
    assert_eq!(asked(), proofs);

    let mut count = 0;
    for one in all().into_iter().filter(|one| one.mistake == mistake) {
        let object: DynamicObject = serde_json::from_value(one.manifest).expect("an object");
        let api = world.sandbox.dynamic_api(&object).await;
        api.create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("{}: {error}", one.why));
        count += 1;
    }
    assert!(count > least, "{count} are too few");
    let mut carried_out = Vec::new();
    for kind in ["Connection", "IntegrationInstance", "ProviderAccount", "ClusterProviderAccount"] {
        for object in all_looked_at(&world.sandbox, kind).await {
            let Some(mistake) = object.annotations().get("mistake") else { continue };
            let (ready, made) = (ready_of(&object), object.data.pointer("/status/externalId"));
            if ready["status"] != "False" || made.is_some() {
                carried_out.push(format!("{mistake}: {made:?}, {ready}"));
            }
        }
    }
    assert_eq!(carried_out, [""; 0]);
    assert_eq!(asked(), proofs, "nobody was asked for anything");

    world.sandbox.apply(&connection("good", &store("good"), "")).await;
    let id = id_of(&world.settled("good").await);
    world.ends_with(&[&id], 1, 0);
    assert!(metrics.text().contains("tradewind_reconcile_panics_total 0\n"));
    operator.abort();
}

#[tokio::test]
async fn an_operator_that_meets_them_unchecked_serves_the_good_one_and_nobody_else() {
    meet("unchecked", Mistake::Form, 500).await;
}

/// The API server is there to refuse these; that it has not is no reason to carry them out.
#[tokio::test]
async fn an_operator_that_meets_what_is_beyond_a_limit_asks_nobody_for_anything() {
    meet("unlimited", Mistake::Limit, 200).await;
}

/// What is refused, a real API server has to say.
mod real {
    use futures::{StreamExt, stream};
    use kube::Client;

    use super::*;

    /// Sends a manifest as a client does that wants to hear of every mistake. `None`: it was refused for its own.
    async fn taken(client: &Client, place: &str, one: &Bad) -> Option<String> {
        let request = http::Request::post(format!("{place}?fieldValidation=Strict"));
        let request = request.header("content-type", "application/json");
        let request = request.body(serde_json::to_vec(&one.manifest).expect("JSON")).expect("a request");
        let answer = client.request::<Value>(request).await;
        // 500 would be a mistake of the server's.
        let refused = matches!(&answer, Err(kube::Error::Api(status)) if [400, 422].contains(&status.code));
        (!refused).then(|| format!("{}: {answer:?}", one.why))
    }

    #[tokio::test]
    async fn the_api_server_refuses_every_one_and_no_provider_hears_of_any() {
        let world = World::new("bad-manifests").await;
        world.account_until("Ready", "True", "Succeeded").await;
        let asked = world.simulator.stats().requests;
        let mut places = BTreeMap::new();
        for base in cases::bases() {
            let object: DynamicObject = serde_json::from_value(base.clone()).expect("an object");
            let kind = base["kind"].as_str().expect("a kind").to_owned();
            places.insert(kind, world.sandbox.dynamic_api(&object).await.resource_url().to_owned());
        }
        let place = |one: &Bad| places[one.manifest["kind"].as_str().expect("a kind")].as_str();
        let (bad, client) = (all(), world.sandbox.client());
        assert!(bad.len() > 2000, "{} are too few", bad.len());
        // So many at a time: the server has others to serve.
        let answers = stream::iter(&bad).map(|one| taken(client, place(one), one)).buffer_unordered(8);
        let taken: Vec<String> = answers.filter_map(std::future::ready).collect().await;
        assert_eq!(taken, [""; 0]);
        assert_eq!(world.simulator.stats().requests, asked, "nobody was asked for anything");
        // What is good is taken by the same server and carried out by the same operator.
        world.sandbox.apply(&connection("good", &store("among-bad"), "")).await;
        let id = id_of(&world.settled("good").await);
        world.ends_with(&[&id], 1, 0);
    }
}
