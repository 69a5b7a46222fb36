//! Thousands of manifests that are wrong in one place each: refused before they get anywhere, and harmless where nobody refuses them.
//!
//! It owns the making of them, out of the schemas of the CRDs. Each is a good manifest but for its mistake, so that whatever reads it
//! gets as far as the mistake.

use std::time::Duration;

use futures::FutureExt;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams, PostParams};
use regex::Regex;
use serde_json::{Value, json};
use tradewind::engine;
use tradewind::serve::Readiness;
use tradewind::telemetry::Metrics;
use tradewind_simulator::Clock;

use crate::cli::run_with;
use crate::cluster::{HANG, Sandbox};
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
    // What is good passes by the same way: the mistakes are what is refused.
    let good = json!({"apiVersion": "v1", "kind": "List", "items": cases::bases()});
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
async fn looked_at(sandbox: &Sandbox, kind: &str) -> Vec<DynamicObject> {
    let any = json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": kind, "metadata": {"name": "any"}});
    let api = sandbox.dynamic_api(&serde_json::from_value(any).expect("an object")).await;
    let look = async {
        loop {
            let all = api.list(&ListParams::default()).await.expect("the objects").items;
            let told = |object: &DynamicObject| {
                let observed = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
                observed == object.metadata.generation
            };
            if all.iter().all(told) {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(HANG * 2, look).await.expect("a look at every object")
}

/// As if the CRDs had been installed without their schemas, or an older version of them had been.
#[tokio::test]
async fn an_operator_that_meets_them_unchecked_serves_the_good_one_and_nobody_else() {
    let world = World::on(Sandbox::unchecked("unchecked"), Clock::real(), World::setup());
    world.furnish().await;
    world.furnish_sku("").await;
    world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
    world.sandbox.apply(&secret("acme", &[("oauth_access_token", STORE_CANARY)])).await;
    let kinds = ["Connection", "IntegrationInstance", "ProviderAccount"];
    // A draw of the accounts: each of them looks at every object.
    let met = |(n, one): &(usize, Bad)| match one.manifest["kind"].as_str() {
        Some("ProviderAccount") => one.mistake != Mistake::Unknown && n % 10 == 0,
        Some("Connection" | "IntegrationInstance") => one.mistake == Mistake::Form,
        _ => false,
    };
    let mut count = 0;
    for (_, one) in all().into_iter().enumerate().filter(met) {
        let object: DynamicObject = serde_json::from_value(one.manifest).expect("an object");
        let api = world.sandbox.dynamic_api(&object).await;
        api.create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("{}: {error}", one.why));
        count += 1;
    }
    assert!(count > 500, "{count} are too few");
    world.sandbox.apply(&connection("good", &store("good"), "")).await;
    let (metrics, never) = (Metrics::new(), std::future::pending::<()>().boxed().shared());
    let reach = world.sandbox.reach(None).await;
    let ready = Readiness::default().gate("watches");
    let operator = tokio::spawn(engine::run(reach, world.settings.clone(), metrics.clone(), ready, never));

    let id = id_of(&world.settled("good").await);
    for kind in kinds {
        for object in looked_at(&world.sandbox, kind).await {
            let condition = object.data.pointer("/status/conditions").and_then(Value::as_array).expect("conditions");
            let ready = condition.iter().find(|c| c["type"] == "Ready").expect("Ready");
            let Some(mistake) = object.annotations().get("mistake") else { continue };
            let made = object.data.pointer("/status/externalId");
            assert!(ready["status"] == "False" && made.is_none(), "{mistake}: {made:?}, {ready}");
        }
    }
    world.ends_with(&[&id], 1, 0);
    assert!(metrics.text().contains("tradewind_reconcile_panics_total 0\n"));
    operator.abort();
}

/// What is refused, a real API server has to say.
mod real {
    use super::*;

    #[tokio::test]
    async fn the_api_server_refuses_a_draw_of_them() {
        let sandbox = Sandbox::new("bad-manifests").await;
        for one in all().iter().step_by(7) {
            let answer = sandbox.try_apply(&one.manifest.to_string()).await;
            let refused = matches!(&answer, Err(kube::Error::Api(status)) if [400, 422, 500].contains(&status.code));
            assert!(refused, "{}: {answer:?}", one.why);
        }
    }
}
