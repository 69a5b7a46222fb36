//! Every CEL rule on the real API server: a manifest it refuses, and one it passes.
//!
//! The rules are those found in the CRDs, the manifests those of [`cases`](super::cases). A rule without a case fails the run, and so
//! does a case without a rule.

use std::collections::BTreeSet;

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::cases::{self, Case, Change, Check};
use super::crds;
use crate::cluster::Sandbox;

/// One rule, as a CRD states it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    kind: String,
    message: String,
    /// It compares with what was before.
    is_transition: bool,
}

/// Every rule of a schema, at any depth.
fn collect(kind: &str, schema: &Value, rules: &mut Vec<Rule>) {
    match schema {
        Value::Object(map) => {
            let here = map.get("x-kubernetes-validations").and_then(Value::as_array);
            for rule in here.into_iter().flatten() {
                let message = rule["message"].as_str().expect("every rule says what to do").to_owned();
                let is_transition = rule["rule"].as_str().expect("a rule").contains("oldSelf");
                rules.push(Rule { kind: kind.to_owned(), message, is_transition });
            }
            map.values().for_each(|inner| collect(kind, inner, rules));
        }
        Value::Array(list) => list.iter().for_each(|inner| collect(kind, inner, rules)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for crd in crds() {
        collect(crd.kind(), crd.schema(), &mut rules);
    }
    rules
}

#[test]
fn every_rule_has_a_case_and_every_case_a_rule() {
    let found = rules();
    let stated: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(stated.len(), found.len(), "two rules of a kind with one message cannot be told apart");
    assert!(stated.len() > 20, "the rules are found: {stated:?}");
    let tested: BTreeSet<_> = cases::all()
        .into_iter()
        .map(|case| {
            let is_transition = matches!(case.check, Check::OnUpdate { .. });
            Rule { kind: case.kind().to_owned(), message: case.message.to_owned(), is_transition }
        })
        .collect();
    let untested: Vec<_> = stated.difference(&tested).collect();
    assert!(untested.is_empty(), "add a case to tests/it/manifests/cases.rs for each of {untested:#?}");
    let stale: Vec<_> = tested.difference(&stated).collect();
    assert!(stale.is_empty(), "no CRD states these rules (any more): {stale:#?}");
}

#[test]
fn a_rule_is_found_at_any_depth() {
    let schema = serde_json::json!({"properties": {"list": {"items": {"properties": {"a": {
        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "deep"}]}}}}}});
    let mut rules = Vec::new();
    collect("Kind", &schema, &mut rules);
    assert_eq!(rules, [Rule { kind: "Kind".into(), message: "deep".into(), is_transition: true }]);
}

/// What the API server says to a request that changes nothing but is checked like any other.
async fn answer(api: &Api<DynamicObject>, name: Option<&str>, body: &Value) -> Result<(), String> {
    let answer = match name {
        None => {
            let object = serde_json::from_value(body.clone()).expect("an object");
            api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await
        }
        Some(name) => {
            let params = PatchParams { dry_run: true, ..PatchParams::default() };
            api.patch(name, &params, &Patch::Merge(body)).await
        }
    };
    match answer {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_invalid() => Err(status.message.clone()),
        Err(other) => panic!("neither taken nor refused: {other}\n{body:#}"),
    }
}

/// What is wrong with the answers to a case.
async fn wrong(sandbox: &Sandbox, case: &Case) -> Vec<String> {
    let object: DynamicObject = serde_json::from_value(case.object.clone()).expect("an object");
    let api = sandbox.dynamic_api(&object).await;
    let refused = |what: &str, answer: Result<(), String>, says: &str| match answer {
        Err(message) if message.contains(says) => None,
        other => Some(format!("{what} of `{}`: wanted a refusal that says `{says}`, got {other:?}", case.message)),
    };
    let passed = |answer: Result<(), String>| {
        answer.err().map(|message| format!("the good one of `{}` is refused: {message}", case.message))
    };
    match &case.check {
        Check::OnCreate { refused: bad, passes } => {
            let bad = answer(&api, None, &cases::overlaid(&case.object, bad)).await;
            let good = answer(&api, None, &cases::overlaid(&case.object, passes)).await;
            refused("the bad one", bad, case.message).into_iter().chain(passed(good)).collect()
        }
        Check::OnUpdate { change, also_refused, passes } => {
            let stored = api.create(&PostParams::default(), &object).await.expect("the object before the change");
            let name = stored.name_any();
            let mut wrong = vec![];
            if let Some(change) = change {
                wrong.extend(refused("the change", answer(&api, Some(&name), change).await, case.message));
            }
            for Change { patch, says } in also_refused {
                wrong.extend(refused("another way", answer(&api, Some(&name), patch).await, says));
            }
            wrong.extend(passed(answer(&api, Some(&name), passes).await));
            wrong
        }
    }
}

#[tokio::test]
async fn every_rule_refuses_and_passes() {
    let sandbox = Sandbox::new("rules").await;
    let mut all = Vec::new();
    for case in cases::all() {
        all.extend(wrong(&sandbox, &case).await);
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[tokio::test]
async fn what_the_schema_bounds_is_refused_in_its_own_words() {
    let sandbox = Sandbox::new("schema").await;
    let mut wrong = Vec::new();
    for (object, Change { patch, says }) in cases::schema() {
        let api = sandbox.dynamic_api(&serde_json::from_value(object.clone()).expect("an object")).await;
        let answer = answer(&api, None, &cases::overlaid(&object, &patch)).await;
        if !answer.as_ref().is_err_and(|message| message.contains(says)) {
            wrong.push(format!("{patch}: wanted `{says}`, got {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_manifests_that_cases_begin_with_are_good() {
    let sandbox = Sandbox::new("bases").await;
    for object in cases::bases() {
        let api = sandbox.dynamic_api(&serde_json::from_value(object.clone()).expect("an object")).await;
        assert_eq!(answer(&api, None, &object).await, Ok(()), "{object:#}");
    }
}
