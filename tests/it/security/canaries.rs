//! Credentials that look like themselves, looked for in everything that is said and stored, in every form that they could have there.
//!
//! It owns the search. Where they belong, they are not looked for: the data of Secrets, and requests to the provider.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A login and a store's token of characters that every way of writing has to escape. A login takes no line break, a Secret may.
const LOGIN: &str = r#"test-canary-"q\b/s+p&<'>=%5e1f"#;
const STORE: &str = r#"test-canary-store"\/+&<'>=%{}c02d"#;
const BROKEN: &str = "test-canary-line\nbreak\"\\/+77aa";

/// The text of a JSON string, without its quotes.
fn in_json(text: &str) -> String {
    json!(text).to_string().trim_matches('"').to_owned()
}

/// All bytes that `keep` does not, in percent.
fn in_percent(text: &str, keep: fn(u8) -> bool) -> String {
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

/// Every form in which a credential can turn up, in lower case, each with its name.
fn forms(secret: &str) -> Vec<(String, String)> {
    let html = |text: &str| text.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let named = |name: &str, form: String| (name.to_owned(), form.to_lowercase());
    let json = in_json(secret);
    let mut forms = vec![
        named("as it is", secret.to_owned()),
        named("in JSON", json.clone()),
        named("in JSON of Go", html(&json)),
        named("in JSON with escaped slashes", json.replace('/', "\\/")),
        named("in JSON in JSON", in_json(&json)),
        named("in JSON of Go in JSON", in_json(&html(&json))),
        named("as Rust shows it", format!("{secret:?}").trim_matches('"').to_owned()),
        named("in percent", in_percent(secret, |_| false)),
        named("in a path", in_percent(secret, |b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))),
        named("in a form", url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()),
    ];
    // It can begin at each of three places in base64; what depends on what stands around it is left out.
    for offset in 0..3 {
        let padded = [&b"\0\0\0"[..offset], secret.as_bytes()].concat();
        let inner = |text: String| text[4..(text.len() / 4) * 4 - 4].to_owned();
        forms.push(named(&format!("in base64 at {offset}"), inner(BASE64_STANDARD_NO_PAD.encode(&padded))));
        forms.push(named(&format!("in base64 of URLs at {offset}"), inner(BASE64_URL_SAFE_NO_PAD.encode(&padded))));
    }
    forms
}

/// In which forms one of these credentials is in a text.
pub(super) fn found(secrets: &[&str], text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text).to_lowercase();
    let forms = secrets.iter().flat_map(|secret| forms(secret));
    forms.filter(|(_, form)| text.contains(form)).map(|(name, _)| name).collect()
}

/// A search that cannot find is no search.
#[test]
fn every_form_of_a_credential_is_found_and_nothing_else_is() {
    for secret in [LOGIN, STORE, BROKEN] {
        for (name, form) in forms(secret) {
            let planted = format!("a line\n{{\"before\": \"{}, after\"}}", form.to_uppercase());
            assert!(found(&[secret], planted.as_bytes()).contains(&name), "{name}");
        }
        for around in ["", "x", "test-client-id:", "test-client-id:x"] {
            let basic = BASE64_STANDARD_NO_PAD.encode(format!("{around}{secret} and more"));
            assert_ne!(found(&[secret], basic.as_bytes()), [""; 0], "{around}");
        }
        assert_eq!(found(&[secret], b"test-canary-other, store-login, rutter-api"), [""; 0]);
    }
}

/// All that a control plane has stored, by its key.
async fn stored(etcd: &str) -> Vec<(String, Vec<u8>)> {
    let base64 =
        |text: &Value| base64::prelude::BASE64_STANDARD.decode(text.as_str().unwrap_or_default()).expect("base64");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let (mut from, end) = (b"/registry/".to_vec(), b"/registry0".to_vec());
    let mut all = Vec::new();
    loop {
        let encode = |key: &[u8]| base64::prelude::BASE64_STANDARD.encode(key);
        let ask = json!({"key": encode(&from), "range_end": encode(&end), "limit": 500});
        let answer = client.post(format!("{etcd}/v3/kv/range")).json(&ask).send().await.expect("an answer of etcd");
        let answer: Value = answer.json().await.expect("JSON");
        let rows = answer["kvs"].as_array().cloned().unwrap_or_default();
        all.extend(
            rows.iter().map(|row| (String::from_utf8(base64(&row["key"])).expect("a key"), base64(&row["value"]))),
        );
        if answer["more"] != true {
            return all;
        }
        from = [all.last().expect("a row").0.as_bytes(), b"\0"].concat();
    }
}

/// What is stored is read where a real control plane stores it.
mod real {
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::api::events::v1::Event;
    use kube::api::ListParams;
    use tradewind::api::v1alpha1::Connection;
    use tradewind_simulator::{Effect, Fault, Operation};

    use super::*;
    use crate::cluster::HANG;
    use crate::process::Program;
    use crate::world::{World, connection, secret, store};

    /// A life with every kind of trouble, so that every error path has something to say.
    async fn live(world: &World) {
        let troubles = [
            Fault::on(Operation::List, Effect::StatusAfterApply { status: 500 }),
            Fault::on(Operation::Create, Effect::RefuseCredentials { status: 401 }),
            Fault::on(Operation::ReadStatus, Effect::GarbageBody),
            Fault::on(Operation::ReadDetail, Effect::Refuse { status: 401, retry_after: None }),
        ];
        for fault in troubles {
            world.simulator.push_fault(fault);
        }
        world.sandbox.apply(&connection("acme", &store("canary"), "")).await;
        world.until("acme", "Ready", "False", "CredentialsRejected").await;
        world.sandbox.apply(&connection("other", &store("canary-other"), "")).await;
        world.settled("other").await;
        world.ask("acme").await;
        world.settled("acme").await;
        let broken = connection("broken", &store("broken"), "").replace("store-login", "broken-login");
        world.sandbox.apply(&broken).await;
        world.until("broken", "Ready", "False", "SecretKeyMissing").await;
        world.simulator.push_fault(Fault::on(Operation::Delete, Effect::StatusAfterApply { status: 502 }));
        world.sandbox.delete::<Connection>("other").await;
        world.sandbox.wait_gone::<Connection>("other", HANG).await;
    }

    #[tokio::test]
    async fn no_credential_is_in_anything_that_is_said_or_stored() {
        let mut setup = World::setup();
        LOGIN.clone_into(&mut setup.accounts[0].client_secret);
        let world = World::with("canary", setup).await;
        world.sandbox.apply(&world.account()).await;
        world.sandbox.apply(&secret("rutter-api", &[("client_id", "test-client-id"), ("client_secret", LOGIN)])).await;
        world.sandbox.apply(&secret("store-login", &[("oauth_access_token", STORE)])).await;
        world.sandbox.apply(&secret("broken-login", &[("oauth_access_token", BROKEN)])).await;
        let program = Program::start(&world, &["--log=trace"]);
        let address = program.address().await;
        live(&world).await;

        let metrics = world.get(&format!("http://{address}/metrics")).await;
        assert!(metrics.contains("tradewind_provider_requests_total"), "{metrics}");
        let events = world.sandbox.api::<Event>().list(&ListParams::default()).await.expect("events");
        assert!(!events.items.is_empty());
        let log = program.terminate().await;
        assert!(log.len() > 1000, "the search had something to search in");
        let records = world.simulator.connections();
        let mut known: Vec<String> = records.iter().map(|record| record.access_token.to_string()).collect();
        known.extend(records.iter().map(|record| format!("connection/{}", record.id)));
        known.extend([LOGIN, STORE, BROKEN].map(str::to_owned));
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        for (place, text) in [("the log", &log), ("the metrics", &metrics)] {
            assert_eq!(found(&known, text.as_bytes()), [""; 0], "in {place}");
        }

        // Statuses, events, annotations, leases and whatever else there is.
        let etcd = world.sandbox.cluster().etcd().expect("a control plane of our own");
        let planted =
            format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: planted}}, data: {}}}", json!({"k": STORE}));
        world.sandbox.apply(&planted).await;
        let search = async || {
            let all = stored(etcd).await;
            let kinds = ["tradewind.dev/connections", "tradewind.dev/provideraccounts", "events", "secrets"];
            for kind in kinds {
                assert!(all.iter().any(|(key, _)| key.starts_with(&format!("/registry/{kind}/"))), "no {kind} in etcd");
            }
            let beside = all.into_iter().filter(|(key, _)| !key.starts_with("/registry/secrets/"));
            let hits = beside.filter(|(_, value)| !found(&known, value).is_empty());
            hits.map(|(key, _)| key).collect::<Vec<_>>()
        };
        let place = format!("/registry/configmaps/{}/planted", world.sandbox.namespace());
        assert_eq!(search().await, [place], "what is planted is found, and nothing else is");
        world.sandbox.delete::<ConfigMap>("planted").await;
        assert_eq!(search().await, [""; 0]);

        // Of a Secret only its data is where credentials belong.
        let secrets = world.sandbox.api::<k8s_openapi::api::core::v1::Secret>();
        let list = secrets.list(&ListParams::default()).await.expect("secrets");
        for mut one in list.items {
            (one.data, one.metadata.managed_fields) = (None, None);
            assert_eq!(found(&known, &serde_json::to_vec(&one).expect("JSON")), [""; 0], "{:?}", one.metadata.name);
        }
    }
}
