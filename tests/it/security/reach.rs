//! Whom credentials go to: the provider that an account names and the operator's allow-list has, and nobody that either is talked into.

use kube::api::{Patch, PatchParams};
use rstest::rstest;
use serde_json::json;
use tradewind::api::v1alpha1::{Connection, ProviderAccount};
use tradewind_simulator::Clock;

use super::answers::turncoat;
use super::hostile::{Attack, Hostile};
use crate::cluster::{HANG, Sandbox};
use crate::conditions::Observed;
use crate::lifecycle::accounts::{assert_silent, canary};
use crate::world::{LOGIN_CANARY, World, connection, id_of, secret, store, told};

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

/// On an API server that checks nothing: the schemas refuse most of these before the operator sees them.
#[tokio::test]
async fn no_spelling_of_an_endpoint_or_tenant_reaches_who_is_not_allowed() {
    let mut world = World::on(Sandbox::unchecked("disguised"), Clock::real(), World::setup());
    let canary = canary();
    let there = canary.local_addr().expect("an address").to_string();
    let here = world.endpoint.trim_start_matches("http://").trim_end_matches("/versioned").to_owned();
    world.furnish().await;
    world.sandbox.apply(&secret("sku-api", &[("token", LOGIN_CANARY)])).await;
    let account = |spec| json!({"apiVersion": "tradewind.dev/v1alpha1", "kind": "ProviderAccount", "spec": spec});
    let login = |name: &str| json!({"name": name});
    let of_rutter = disguised(&there, &here).into_iter().map(|endpoint| {
        account(json!({"provider": "Rutter", "endpoint": endpoint, "credentialsSecretRef": login("rutter-api")}))
    });
    let of_sku = tenants(&there).into_iter().map(|tenant| {
        account(json!({"provider": "SkuIo", "skuIo": {"tenant": tenant}, "credentialsSecretRef": login("sku-api")}))
    });
    let mut count = 0;
    for (n, mut account) in of_rutter.chain(of_sku).enumerate() {
        account["metadata"] = json!({"name": format!("a-{n}")});
        world.sandbox.apply(&account.to_string()).await;
        count += 1;
    }
    world.start().await;
    for n in 0..count {
        let refused = |a: &ProviderAccount| {
            a.says("Ready", "False", "EndpointNotAllowed") || a.says("Ready", "False", "InvalidSpec")
        };
        world.sandbox.wait_for::<ProviderAccount>(&format!("a-{n}"), HANG, refused).await;
    }
    world.account_until("Ready", "True", "Succeeded").await;
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

/// Whoever may write a status may write any id into it.
#[tokio::test]
async fn a_forged_id_never_leads_to_another_resource() {
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
