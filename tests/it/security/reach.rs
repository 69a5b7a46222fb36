//! Whom credentials go to: the provider that an account names and the operator's allow-list has, and nobody that either is talked into.

use std::collections::BTreeSet;

use kube::api::{Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::{Value, json};
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::{Clock, Operation};

use super::answers::turncoat;
use super::hostile::{Attack, Hostile};
use super::manifests::{all_looked_at, ready_of, until_they_work};
use crate::cluster::{HANG, Sandbox, documents};
use crate::conditions::Observed;
use crate::lifecycle::accounts::{assert_silent, canary};
use crate::lifecycle::instances::instance;
use crate::world::{ARCUS_KEY, LOGIN_CANARY, World, connection, id_of, secret, store, told};

/// Ways to write an endpoint that leads to one place and looks like another. `there`: nobody may call, `here` is on the allow-list.
fn disguised(there: &str, here: &str) -> Vec<String> {
    let port = there.rsplit_once(':').expect("a port").1;
    let plain = [there, "localhost:PORT", "0x7f000001:PORT", "2130706433:PORT", "127.1:PORT", "0:PORT", "[::1]:PORT"]
        .into_iter()
        .chain([
            "[::ffff:127.0.0.1]:PORT",
            "127.0.0.1.:PORT",
            "%31%32%37.0.0.1:PORT",
            "１２７.0.0.1:PORT",
            "127。0。0。1:PORT",
        ])
        .map(|host| format!("http://{}/versioned", host.replace("PORT", port)));
    let mixed = [
        "http://HERE@THERE/versioned",
        "http://HERE:80@THERE/versioned",
        "http://user:word@THERE/versioned",
        "http://THERE#@HERE/versioned",
        "http://THERE?@HERE/versioned",
        "http://THERE/@HERE/versioned",
        "http://THERE\\@HERE/versioned",
        "http:\\\\THERE\\versioned",
        "http:THERE/versioned",
        "HTTP://THERE/versioned",
        "http:///THERE/versioned",
        "http://\tTHERE/versioned",
        "http://THERE\r\nhost: HERE/versioned",
        "http://HERE,THERE/versioned",
        "http://HERE /versioned@THERE",
        "//THERE/versioned",
        "ftp://THERE/versioned",
        "file://THERE/versioned",
        "unix:/THERE",
        "javascript:THERE",
    ]
    .map(|text| text.replace("THERE", there).replace("HERE", here));
    plain.chain(mixed).collect()
}

/// The same where the endpoint is made of a tenant's name.
fn tenants(there: &str) -> Vec<String> {
    ["THERE/", "THERE?", "THERE#", "THERE\\", "acme@THERE/", "acme.sku.io@THERE#", "/THERE/", "\r\nTHERE/"]
        .map(|text| text.replace("THERE", there))
        .to_vec()
}

/// Accounts of every provider and of both kinds, each with one endpoint or tenant that leads elsewhere. Their logins are there.
fn hostile_accounts(there: &str, here: &str, namespace: &str) -> Vec<Value> {
    let spec = |provider: &str, secret: &str| json!({"provider": provider, "credentialsSecretRef": {"name": secret}});
    let (mut specs, providers) = (Vec::new(), [("Rutter", "rutter-api"), ("Arcus", "arcus-api"), ("SkuIo", "sku-api")]);
    for (provider, secret) in providers {
        for endpoint in disguised(there, here) {
            let mut account = spec(provider, secret);
            account["endpoint"] = json!(endpoint);
            if provider == "SkuIo" {
                account["skuIo"] = json!({"tenant": "acme"});
            }
            specs.push(account);
        }
    }
    for tenant in tenants(there) {
        let mut account = spec("SkuIo", "sku-api");
        account["skuIo"] = json!({"tenant": tenant});
        specs.push(account);
    }
    let account =
        |kind: &str, spec: &Value| json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": kind, "spec": spec});
    let mut accounts: Vec<Value> = specs.iter().map(|spec| account("ProviderAccount", spec)).collect();
    accounts.extend(specs.iter().map(|spec| {
        let mut spec = spec.clone();
        spec["credentialsSecretRef"]["namespace"] = json!(namespace);
        spec["allowedNamespaces"] = json!({"selector": {}});
        account("ClusterProviderAccount", &spec)
    }));
    for (n, account) in accounts.iter_mut().enumerate() {
        account["metadata"] = json!({"name": format!("a-{n}"), "annotations": {"leads": "elsewhere"}});
    }
    accounts
}

/// On an API server that checks nothing: the schemas refuse most of these before the operator sees them.
#[tokio::test]
async fn no_spelling_of_an_endpoint_or_tenant_reaches_who_is_not_allowed() {
    let mut world = World::on(Sandbox::unchecked("disguised"), Clock::real(), World::setup());
    world.settings.namespace = None;
    let canary = canary();
    let there = canary.local_addr().expect("an address").to_string();
    let here = world.endpoint.trim_start_matches("http://").trim_end_matches("/versioned").to_owned();
    world.furnish().await;
    world.sandbox.apply(&secret("sku-api", &[("token", LOGIN_CANARY)])).await;
    world.sandbox.apply(&secret("arcus-api", &[("api_key", ARCUS_KEY)])).await;
    let accounts = hostile_accounts(&there, &here, world.sandbox.namespace());
    for account in &accounts {
        world.sandbox.apply(&account.to_string()).await;
    }
    world.start().await;
    until_they_work(&world, &["rutter"]).await;
    let mut refused = 0;
    for kind in ["ProviderAccount", "ClusterProviderAccount"] {
        for account in all_looked_at(&world.sandbox, kind).await {
            let leads = account.metadata.annotations.as_ref().is_some_and(|all| all.contains_key("leads"));
            if !leads {
                continue;
            }
            let ready = ready_of(&account);
            let is_refused = ["EndpointNotAllowed", "InvalidSpec"].iter().any(|reason| ready["reason"] == *reason);
            assert!(ready["status"] == "False" && is_refused, "{}: {ready}", account.data["spec"]);
            refused += 1;
        }
    }
    assert_eq!(refused, accounts.len());
    assert_silent(&canary);
}

#[rstest]
#[case::moved("301 Moved Permanently")]
#[case::found("302 Found")]
#[case::see_other("303 See Other")]
#[case::temporary("307 Temporary Redirect")]
#[case::permanent("308 Permanent Redirect")]
#[tokio::test]
async fn a_provider_that_sends_us_elsewhere_is_not_followed(#[case] status: &str) {
    let mut world = World::quiet("redirect").await;
    let hostile = turncoat(&mut world).await;
    world.furnish().await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    let canary = canary();
    let there = canary.local_addr().expect("an address").to_string();
    let here = hostile.origin().trim_start_matches("http://").to_owned();
    let elsewhere =
        ["http://THERE/", "//THERE/", "http://user:word@THERE/", "http://HERE@THERE/", "\\\\THERE", "https://THERE/"]
            .map(|text| text.replace("THERE", &there).replace("HERE", &here));
    let sent_to = |place: &str| Attack::whole(status, &format!("location: {place}\r\nrefresh: 0; url={place}\r\n"), "");
    for place in &elsewhere {
        hostile.attack("GET /versioned/connections", sent_to(place));
        let seen = world.reconciled("acme").await;
        assert!(hostile.served() > 0 && seen.says("Synced", "False", "ProviderUnavailable"), "{}", told(&seen));
    }
    // What a create carries, a redirect that keeps the method would carry on.
    hostile.attack("POST /versioned/connections/create", sent_to(&elsewhere[0]));
    world.sandbox.apply(&connection("new", &store("new"), "")).await;
    world.provider_until("a create that is sent elsewhere", |_| hostile.served() > 0).await;
    world.until("new", "Ready", "False", "Creating").await;
    hostile.relent();
    let new = id_of(&world.settled("new").await);
    assert_silent(&canary);
    world.ends_with(&[&id, &new], 2, 0);
}

/// The methods and paths of what was asked for, without queries.
fn asked(hostile: &Hostile) -> Vec<String> {
    let first = |said: Vec<u8>| {
        String::from_utf8_lossy(said.split(|byte| b"?\r".contains(byte)).next().unwrap_or_default()).into_owned()
    };
    hostile.seen().into_iter().map(first).map(|line| line.trim_end_matches(" HTTP/1.1").to_owned()).collect()
}

/// Ids that mean something where they stand: in a path, in a query, in a header.
const IDS: [&str; 12] = [
    "..",
    ".",
    "../../organizations",
    "a/b",
    "a?x=y",
    "a#b",
    "%2e%2e",
    "%2f..%2f",
    "a\r\nx-evil: yes",
    "a%0d%0ax-evil: yes",
    "\u{fc}n\u{ef}\u{202e}",
    "a\tb",
];

/// Whoever may write a status may write any id into it.
#[tokio::test]
async fn a_forged_id_never_leads_to_another_resource() {
    let mut world = World::quiet("paths").await;
    let hostile = turncoat(&mut world).await;
    world.furnish().await;
    let all: Vec<(String, &str)> = IDS.into_iter().enumerate().map(|(n, id)| (format!("c-{n}"), id)).collect();
    for (name, _) in &all {
        world.sandbox.apply(&connection(name, &store(&format!("paths-{name}")), "")).await;
    }
    world.start().await;
    world.all_settled(all.len()).await;
    world.stop().await;
    for (name, id) in &all {
        let forged = Patch::Merge(json!({"status": {"externalId": id}}));
        let api = world.sandbox.api::<Connection>();
        api.patch_status(name, &PatchParams::default(), &forged).await.expect("a status");
        world.sandbox.delete::<Connection>(name).await;
    }
    let before = asked(&hostile).len();
    world.start().await;
    for (name, id) in &all {
        let tried = |c: &Connection| {
            let (_, observed) = c.observed().unwrap_or_default();
            c.metadata.generation == Some(observed) && c.condition("Ready").is_some_and(|ready| ready.status == "False")
        };
        let open = world.sandbox.wait_for::<Connection>(name, HANG, tried).await;
        assert!(open.metadata.finalizers.is_some(), "{id}: {}", told(&open));
    }
    let asked = asked(&hostile).split_off(before);
    let known = ["", "/status", "/access_token"].map(|path| format!("GET /versioned/connections{path}"));
    assert!(asked.iter().all(|line| known.iter().any(|one| one == line)), "{asked:#?}");
    assert_eq!((world.live().len(), world.simulator.stats().deletes), (all.len(), 0), "nobody's record is gone");
}

/// A connector of Arcus.
const CONNECTOR: &str = "apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: any}
spec:
  provider: Arcus
  accountRef: {name: arcus}
  platform: shippo
  arcus: {mode: Sandbox}
";

/// Good manifests of all providers, each with an `externalRef` that is not: to be taken over, and to be looked at.
fn referring() -> Vec<Value> {
    let bases = [connection("any", &store("referring"), ""), CONNECTOR.to_owned(), instance("any", "")];
    let policies =
        [json!({"adoptionPolicy": "Match", "deletionPolicy": "Retain"}), json!({"managementPolicy": "ObserveOnly"})];
    let more = ["/", "a\\b", "a\u{0}b", "\u{1b}[31m", "?access_token=a", "#", "a b", ""];
    let mut made = Vec::new();
    for base in &bases {
        for (policy, id) in policies.iter().flat_map(|policy| IDS.into_iter().chain(more).map(move |id| (policy, id))) {
            let mut manifest = serde_json::to_value(&documents(base)[0]).expect("JSON");
            let spec = manifest["spec"].as_object_mut().expect("a spec");
            spec.extend(policy.as_object().expect("policies").clone());
            spec.insert("externalRef".to_owned(), json!({"id": id}));
            manifest["metadata"] = json!({"name": format!("e-{}", made.len())});
            made.push(manifest);
        }
    }
    made
}

/// How many of them the API server has refused. The operator was asked to take over, or to look at, what is left, and has sent nothing
/// for it but for lists.
async fn refused(sandbox: Sandbox) -> usize {
    const LINES: [&str; 3] = [
        "GET /api/me HTTP/1.1",
        "GET /v1/integrations?limit=100 HTTP/1.1",
        "GET /versioned/connections?status=any HTTP/1.1",
    ];
    let mut world = World::on(sandbox, Clock::real(), World::setup());
    let hostile = turncoat(&mut world).await;
    world.furnish().await;
    world.furnish_sku("  adoption: Allowed\n").await;
    world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
    world.start().await;
    // Before there are objects: whatever is told of them is told by a pass that could have asked the provider.
    until_they_work(&world, &["rutter", "sku", "arcus"]).await;
    let (mut taken, mut refused) = (0, 0);
    for manifest in referring() {
        let object = serde_json::from_value(manifest).expect("an object");
        let api = world.sandbox.dynamic_api(&object).await;
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => taken += 1,
            Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => refused += 1,
            Err(error) => panic!("{error}: {object:#?}"),
        }
    }
    assert!(taken > 0 && taken + refused == referring().len(), "{taken} taken, {refused} refused");
    for kind in ["Connection", "IntegrationInstance"] {
        for object in all_looked_at(&world.sandbox, kind).await {
            let (ready, made) = (ready_of(&object), object.data.pointer("/status/externalId"));
            assert!(ready["status"] == "False" && made.is_none(), "{}: {made:?}, {ready}", object.data["spec"]);
        }
    }
    world.stop().await;
    let line = |said: &Vec<u8>| {
        let line = said.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    };
    let lines: BTreeSet<String> = hostile.seen().iter().map(line).collect();
    assert_eq!(lines.iter().map(String::as_str).collect::<Vec<_>>(), LINES);
    let writes = [Operation::Create, Operation::Update, Operation::Delete, Operation::Refresh];
    assert!(writes.iter().all(|operation| world.asked(*operation) == 0), "{:?}", world.simulator.stats());
    refused
}

/// The schemas refuse most ids before the operator sees them; here nobody does.
#[tokio::test]
async fn an_external_ref_that_nobody_has_checked_never_leads_to_another_resource() {
    assert_eq!(refused(Sandbox::unchecked("unchecked-refs")).await, 0);
}

/// Patterns and rules are a real API server's to hold.
mod real {
    use super::*;

    #[tokio::test]
    async fn an_external_ref_never_leads_to_another_resource() {
        let (refused, all) = (refused(Sandbox::new("refs").await).await, referring().len());
        assert!(refused * 10 > all * 8, "{refused} of {all} were refused");
    }
}
