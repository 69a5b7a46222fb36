//! What the log and the metrics say of writes, against what the providers saw: one line each, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use strum::IntoEnumIterator;
use tradewind::api::keys;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance};
use tradewind::domain::writes::Cause;
use tradewind_simulator::arcus::{Act, Connector};
use tradewind_simulator::sku_io::Deed;
use tradewind_simulator::{Effect, Entry, Fault, Operation};

use super::arcus::connector;
use super::instances::{hash, instance};
use super::link::awaits_merchant;
use crate::cluster::HANG;
use crate::observability::metrics::hold_to_what_is_declared;
use crate::process::Program;
use crate::world::{ARCUS_KEY, STORE_CANARY, World, connection, secret, status_of, store};

/// The causes in [`live`].
const FIRST: [&str; 6] = ["declared", "spec_changed", "drift", "credentials", "refresh_requested", "deletion"];
/// The causes in [`live_on`].
const SECOND: [&str; 6] = ["declared", "spec_changed", "replacement", "first_load", "new_link", "deletion"];

/// Operation, record and outcome, and how often.
type Tally = BTreeMap<(String, String, String), usize>;

/// What the providers saw. A record that a create made is known to the operator only if the answer was one. At Arcus its id is
/// the name of its type, and a create that answers a link has made none.
fn seen(journal: &[Entry]) -> Tally {
    let mut tally = Tally::new();
    for entry in journal {
        let operation = match entry.operation {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Refresh => "refresh",
            Operation::List
            | Operation::ReadDetail
            | Operation::ReadStatus
            | Operation::Me
            | Operation::ReadJob
            | Operation::AskStore
            | Operation::Unknown => continue,
        };
        let outcome = match entry.status {
            Some(200..300) => "applied",
            // What is gone already is what was asked for.
            Some(404) if entry.operation == Operation::Delete => "applied",
            Some(400..500) => "refused",
            Some(_) | None => "unknown",
        };
        let connection = entry.connection_id.map(|id| match entry.connector {
            Some(connector) => connector.name().to_owned(),
            None => id.to_string(),
        });
        let id = connection.or_else(|| entry.instance_id.map(|id| id.to_string()));
        let told = operation != "create" || outcome == "applied";
        let id = id.filter(|_| told).unwrap_or_default();
        *tally.entry((operation.to_owned(), id, outcome.to_owned())).or_default() += 1;
    }
    tally
}

/// The lines of the log that tell of writes.
fn told(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["target"] == "tradewind::writes").map(|line| line["fields"].clone()).collect()
}

fn tally(lines: &[Value]) -> Tally {
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    let mut tally = Tally::new();
    for line in lines {
        let key = (text(line, "operation"), text(line, "external_id"), text(line, "outcome"));
        *tally.entry(key).or_default() += 1;
    }
    tally
}

/// The causes and the fields of the writes for an object, in their order.
fn why(lines: &[Value], name: &str) -> Vec<(String, String)> {
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    let of = lines.iter().filter(|line| line["name"] == name);
    of.map(|line| (text(line, "cause"), text(line, "fields"))).collect()
}

fn pairs<const N: usize>(all: [(&str, &str); N]) -> Vec<(String, String)> {
    all.map(|(cause, fields)| (cause.to_owned(), fields.to_owned())).to_vec()
}

/// Asserts that there was a write for each of these causes, and for no other.
fn assert_causes(lines: &[Value], causes: [&str; 6]) {
    let told: BTreeSet<&str> = lines.iter().filter_map(|line| line["cause"].as_str()).collect();
    assert_eq!(told, BTreeSet::from(causes));
}

#[test]
fn every_cause_is_in_one_of_the_two_lives() {
    let all: BTreeSet<&str> = Cause::iter().map(<&'static str>::from).collect();
    assert_eq!(FIRST.into_iter().chain(SECOND).collect::<BTreeSet<_>>(), all);
}

/// A life at SKU.io and at Rutter, with a write of every operation. Replacements, first loads and links are in [`live_on`].
async fn live(world: &World) {
    world.sandbox.apply(&instance("acme", "")).await;
    world.instance_until("acme", "Ready", "True", "Succeeded").await;
    world.edit_instance("acme", &json!({"spec": {"settings": {"autoLinkProducts": false}}})).await;
    world.until_asked(Operation::Update, 1).await;
    world.well("acme").await;
    let change = json!({"integration_settings": {"store_id": 9}}).as_object().expect("an object").clone();
    world.simulator.act_sku(&Deed::Change { instance: world.at_sku("acme").id, fields: change }).expect("a deed");
    world.looked_at::<IntegrationInstance>("acme").await;
    world.until_asked(Operation::Update, 2).await;
    world.well("acme").await;
    world.sandbox.apply(&secret("store-login", &[("oauth_access_token", &format!("{STORE_CANARY}-2"))])).await;
    world.looked_at::<IntegrationInstance>("acme").await;
    world.until_asked(Operation::Update, 3).await;
    world.refresh_instance("acme", "monday").await;
    world.until_asked(Operation::Refresh, 2).await;

    world.simulator.push_fault(Fault::on(Operation::Create, Effect::RefuseCredentials { status: 401 }));
    world.sandbox.apply(&connection("sour", &store("writes-sour"), "")).await;
    world.until("sour", "Ready", "False", "CredentialsRejected").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::StatusAfterApply { status: 502 }));
    world.sandbox.apply(&connection("lost", &store("writes-lost"), "")).await;
    world.settled("lost").await;
    world.annotate("lost", keys::REFRESH, Some("monday")).await;
    world.until_asked(Operation::Refresh, 3).await;
    world.simulator.push_fault(Fault::on(Operation::Delete, Effect::StatusAfterApply { status: 500 }));
    world.sandbox.delete::<Connection>("lost").await;
    world.sandbox.wait_gone::<Connection>("lost", HANG).await;
}

/// What the life before has not: a record that another one takes the place of, a load that belongs to a creation, stores that
/// their merchants authorize, and a connector of Arcus.
async fn live_on(world: &World) {
    let history = "  sync: {orders: {startDate: \"2024-06-30\"}}\n";
    world.sandbox.apply(&connection("history", &store("writes-history"), history)).await;
    world.settled("history").await;
    world.until_asked(Operation::Refresh, 1).await;
    let recreate = "  replacementPolicy: Recreate\n";
    world.sandbox.apply(&connection("moves", &store("writes-before"), recreate)).await;
    world.settled("moves").await;
    let edit = json!({"spec": {"rutter": {"parameters": {"store_url": store("writes-after")}}}});
    world.change("moves", &edit).await;
    world
        .provider_until("a record of the new store", |s| {
            s.connections().iter().any(|record| record.store == Some(store("writes-after")))
        })
        .await;
    world.settled("moves").await;
    awaits_merchant(world).await;

    world.sandbox.apply(&connector("labels", "shippo", "    displayName: Labels\n", "")).await;
    world.until("labels", "Ready", "False", "AuthorizationRequired").await;
    world.simulator.act_arcus(&Act::EnterCredentials.on(Connector::Shippo)).expect("a deed");
    world.until("labels", "Ready", "True", "Succeeded").await;
    world.change("labels", &json!({"spec": {"arcus": {"displayName": "Parcels"}}})).await;
    world.until_asked(Operation::Update, 1).await;
    world.until("labels", "Synced", "True", "Succeeded").await;
    world.sandbox.delete::<Connection>("labels").await;
    world.sandbox.wait_gone::<Connection>("labels", HANG).await;

    let link = "  connectionSecretRef: {name: shop-link}\n";
    world.sandbox.apply(&connector("shop", "shopify", "    shop: acme.myshopify.com\n", link)).await;
    world.until("shop", "Authorized", "False", "AuthorizationRequired").await;
    world.reconciled("shop").await;
    // Whoever loses the link gets another one.
    world.sandbox.delete::<Secret>("shop-link").await;
    let again = |c: &Connection| status_of(c).authorization.is_some_and(|a| a.attempt == 2);
    world.sandbox.wait_for::<Connection>("shop", HANG, again).await;
    world.reconciled("shop").await;
    world.simulator.act_arcus(&Act::Approve.on(Connector::Shopify)).expect("a deed");
    world.until("shop", "Ready", "True", "Succeeded").await;
}

/// The program as a process needs the real API server.
mod real {
    use super::*;

    #[tokio::test]
    async fn every_write_at_a_provider_is_one_line_that_says_whose_and_why() {
        let world = World::quiet("writes").await;
        world.furnish().await;
        world.furnish_sku("").await;
        let program = Program::start(&world, &["--log-format=json"]);
        let address = program.address().await;
        live(&world).await;
        let metrics = world.get(&format!("http://{address}/metrics")).await;
        let log = program.terminate().await;
        let lines = told(&log);
        assert_eq!(tally(&lines), seen(&world.simulator.journal()), "{lines:#?}");

        let uid = world.sandbox.get::<IntegrationInstance>("acme").await.and_then(|i| i.metadata.uid);
        assert_causes(&lines, FIRST);
        let of = |name: &str| lines.iter().filter(|line| line["name"] == name).collect::<Vec<_>>();
        for line in of("acme") {
            let object = (&line["kind"], &line["namespace"], line["uid"].as_str());
            let namespace = json!(world.sandbox.namespace());
            assert_eq!(object, (&json!("IntegrationInstance"), &namespace, uid.as_deref()), "{line}");
        }
        let acme = why(&lines, "acme");
        assert_eq!(acme[0].0, "declared");
        assert!(acme[0].1.contains("spec.settings.storeHash"), "{acme:?}");
        let rest = [
            ("spec_changed", "spec.settings.autoLinkProducts"),
            ("drift", "spec.settings.storeId"),
            ("credentials", "spec.accessTokenSecretRef"),
            ("refresh_requested", "products"),
            ("refresh_requested", "orders"),
        ];
        assert_eq!(acme[1..], pairs(rest));
        let lost: Vec<_> = why(&lines, "lost").into_iter().map(|(cause, _)| cause).collect();
        assert_eq!(lost, ["declared", "refresh_requested", "deletion", "deletion"], "{:#?}", of("lost"));
        assert!(of("sour").iter().all(|line| line["error"].is_string()), "{:#?}", of("sour"));
        assert!(!log.contains(&hash("acme")), "no value of a field");
        counted(&metrics, &lines);
    }

    #[tokio::test]
    async fn a_replacement_a_first_load_a_new_link_and_a_connector_are_told_with_their_fields() {
        const STORE: &str = "spec.platform,spec.rutter.parameters.store_url";
        let world = World::quiet("writes-on").await;
        world.furnish().await;
        world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
        let program = Program::start(&world, &["--log-format=json"]);
        let address = program.address().await;
        live_on(&world).await;
        let metrics = world.get(&format!("http://{address}/metrics")).await;
        let lines = told(&program.terminate().await);
        assert_eq!(tally(&lines), seen(&world.simulator.journal()), "{lines:#?}");
        assert_causes(&lines, SECOND);

        assert_eq!(why(&lines, "history"), pairs([("declared", STORE), ("first_load", "orders")]));
        let replaced = ("replacement", "spec.rutter.parameters.store_url");
        assert_eq!(why(&lines, "moves"), pairs([("declared", STORE), replaced, ("declared", STORE)]));
        // Which store it is, and of which platform, its merchant says later.
        assert_eq!(why(&lines, "acme"), pairs([("declared", "spec.platform")]));
        let labels = [
            ("declared", "spec.platform,spec.arcus.mode,spec.arcus.active,spec.arcus.displayName"),
            ("spec_changed", "spec.arcus.displayName"),
            ("deletion", ""),
        ];
        assert_eq!(why(&lines, "labels"), pairs(labels));
        let shop = why(&lines, "shop");
        let causes: Vec<_> = shop.iter().map(|(cause, _)| cause.as_str()).collect();
        assert_eq!(causes, ["declared", "new_link"]);
        assert!(shop[0].1.contains("spec.arcus.mode") && shop[0].1 == shop[1].1, "{shop:?}");

        hold_to_what_is_declared(&metrics);
        for (provider, operation, cause) in [
            ("Rutter", "delete", "replacement"),
            ("Rutter", "refresh", "first_load"),
            ("Arcus", "create", "new_link"),
            ("Arcus", "update", "spec_changed"),
            ("Arcus", "delete", "deletion"),
        ] {
            let series = format!(
                "tradewind_provider_writes_total{{provider=\"{provider}\",operation=\"{operation}\",cause=\"{cause}\",outcome=\"applied\"}}"
            );
            assert_eq!(samples(&metrics, &series).sum::<f64>().to_string(), "1", "{series}: {metrics}");
        }
    }

    /// The metrics say the same as the log.
    fn counted(metrics: &str, lines: &[Value]) {
        hold_to_what_is_declared(metrics);
        let counted: f64 = samples(metrics, "tradewind_provider_writes_total").sum();
        assert!((counted - f64::from(u32::try_from(lines.len()).expect("few"))).abs() < 0.5, "{counted}: {metrics}");
        let one =
            |series: &str| assert_eq!(samples(metrics, series).sum::<f64>().to_string(), "1", "{series}: {metrics}");
        one(
            "tradewind_provider_writes_total{provider=\"SkuIo\",operation=\"update\",cause=\"drift\",outcome=\"applied\"}",
        );
        one(
            "tradewind_provider_writes_total{provider=\"SkuIo\",operation=\"update\",cause=\"credentials\",outcome=\"applied\"}",
        );
        one("tradewind_drifts_total{kind=\"IntegrationInstance\"}");
        one("tradewind_time_to_ready_seconds_count{kind=\"IntegrationInstance\"}");
        one("tradewind_time_to_ready_seconds_count{kind=\"Connection\"}");
        one("tradewind_errors_total{kind=\"Connection\",reason=\"CredentialsRejected\"}");
        one("tradewind_objects{kind=\"Connection\",type=\"Ready\",status=\"False\",reason=\"CredentialsRejected\"}");
        one("tradewind_objects{kind=\"IntegrationInstance\",type=\"Ready\",status=\"True\",reason=\"Succeeded\"}");
        let gone = samples(metrics, "tradewind_objects{kind=\"Connection\",type=\"Ready\",");
        assert_eq!(gone.sum::<f64>().to_string(), "1", "the deleted one is not counted any more: {metrics}");
    }

    /// The values of the samples that begin so.
    fn samples<'a>(metrics: &'a str, series: &'a str) -> impl Iterator<Item = f64> + 'a {
        let of = metrics.lines().filter(move |line| line.starts_with(series));
        of.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
    }

    #[tokio::test]
    async fn a_write_whose_pass_is_cut_off_is_told_as_one_that_nobody_knows_the_outcome_of() {
        let mut world = World::quiet("writes-cut").await;
        world.furnish().await;
        // Far longer than the process waits at its end, and than any machine takes to end it.
        let long = HANG * 2;
        world.settings.timing.call = long;
        world.simulator.push_fault(Fault::on(Operation::Create, Effect::SlowAfter { delay: long }));
        let program = Program::start(&world, &["--log-format=json", "--shutdown-grace=1s"]);
        world.sandbox.apply(&connection("acme", &store("writes-cut"), "")).await;
        world.provider_until("a create is under way", |s| s.stats().creates == 1).await;
        let lines = told(&program.terminate().await);
        let [line] = lines.as_slice() else { panic!("one write: {lines:#?}") };
        assert_eq!((&line["operation"], &line["outcome"]), (&json!("create"), &json!("unknown")));
        assert!(line["status"].is_null() && line["error"].is_null(), "{line}");
    }

    #[tokio::test]
    async fn what_never_reached_a_provider_has_no_line() {
        let mut world = World::quiet("writes-down").await;
        world.furnish().await;
        let program = Program::start(&world, &["--log-format=json"]);
        world.account_until("Ready", "True", "Succeeded").await;
        world.take_provider_down().await;
        world.sandbox.apply(&connection("acme", &store("writes-down"), "")).await;
        world.until("acme", "Ready", "False", "ProviderUnavailable").await;
        world.bring_provider_up();
        world.settled("acme").await;
        let log = program.terminate().await;
        let lines = told(&log);
        assert_eq!(tally(&lines), seen(&world.simulator.journal()), "{lines:#?}");
        assert_eq!(lines.len(), 1, "{lines:#?}");
    }
}
