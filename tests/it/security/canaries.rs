//! Credentials that look like themselves, looked for in everything that is said and stored, in every form that they could have there.
//!
//! It owns the search. Where they belong, they are not looked for: the data of Secrets, and requests to the provider.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde_json::{Value, json};
use tradewind::domain::validate::SecretData;
use tradewind::provider::{self, AllowList};

/// A login and a store's token of characters that every way of writing has to escape. A login takes no line break, a Secret may.
const LOGIN: &str = r#"test-canary-"q\b/s+p&<'>=%5e1f"#;
const STORE: &str = r#"test-canary-store"\/+&<'>=%{}c02d"#;
const BROKEN: &str = "test-canary-line\nbreak\"\\/+77aa";

/// The text of a JSON string, without its quotes.
fn in_json(text: &str) -> String {
    json!(text).to_string().trim_matches('"').to_owned()
}

/// A byte as it is, or in percent.
fn part(byte: u8, kept: bool) -> String {
    if kept { char::from(byte).to_string() } else { format!("%{byte:02x}") }
}

/// All bytes that `keep` does not, in percent.
fn in_percent(text: &str, keep: fn(u8) -> bool) -> String {
    text.bytes().map(|b| part(b, keep(b))).collect()
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

/// A text with every byte as itself that is written in percent, as often as there are such: which characters of a credential are, depends
/// on who wrote it and where.
fn out_of_percent(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(byte) = text.get(at) {
        let digits = (*byte == b'%').then(|| digit(at + 1).zip(digit(at + 2))).flatten();
        let written = digits.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        out.push(written.unwrap_or(*byte));
        at += if written.is_some() { 3 } else { 1 };
    }
    out
}

/// In which forms one of these credentials is in a text.
pub(super) fn found(secrets: &[&str], text: &[u8]) -> Vec<String> {
    let lower = |text: &[u8]| String::from_utf8_lossy(text).to_lowercase();
    let plain = lower(text);
    let decoded = if text.contains(&b'%') { lower(&out_of_percent(text)) } else { String::new() };
    let all = secrets.iter().flat_map(|secret| forms(secret));
    let mut found: Vec<String> = all.filter(|(_, form)| plain.contains(form)).map(|(name, _)| name).collect();
    // One that holds a percent sign may have been written with it as it is.
    let in_part = |secret: &&str| {
        decoded.contains(&secret.to_lowercase()) || decoded.contains(&lower(&out_of_percent(secret.as_bytes())))
    };
    found.extend(secrets.iter().copied().filter(in_part).map(|_| "in percent, in part".to_owned()));
    found
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
        // As parts of URLs are written by different hands, and with every third byte in percent.
        let of_urls = [&b"$&+=:@-_.~"[..], b";,/?:@&=+$-_.!~*'()#", b"!$&'()*+,;=:@-._~%", b"-"];
        for kept in of_urls {
            let form: String =
                secret.bytes().map(|b| part(b, b.is_ascii_alphanumeric() || kept.contains(&b))).collect();
            assert_ne!(found(&[secret], format!("GET /{form}?a").as_bytes()), [""; 0], "{form}");
        }
        let form: String = secret.bytes().enumerate().map(|(n, b)| part(b, n % 3 != 0)).collect();
        assert_ne!(found(&[secret], form.as_bytes()), [""; 0], "{form}");
        assert_eq!(found(&[secret], b"test-canary-other, store-login, rutter-api, 100%, %zz"), [""; 0]);
    }
}

/// Panics with a login and a token in the words, as a mistake of ours might. A login as a whole has no printed form: this is each part of
/// it that has one.
fn panic_with_credentials() -> ! {
    let spec = json!({"provider": "Rutter", "credentialsSecretRef": {"name": "rutter-api"}});
    let allow = AllowList::new(&[]).expect("a list");
    let keys = [("client_id", "test-client-id"), ("client_secret", LOGIN)];
    let data: SecretData = keys.map(|(key, value)| (key.to_owned(), SecretString::from(value))).into();
    let spec = serde_json::from_value(spec).expect("a spec");
    let login = provider::login(&spec, &allow, "rutter-api", &data).expect("a login");
    panic!(
        "the login is {:?} {:?} {} {} at {}, its Secret {data:?}, and the store's token {:?}",
        login.name,
        login.secret,
        login.fingerprint,
        login.sharing,
        login.endpoint,
        [SecretString::from(STORE), SecretString::from(BROKEN)],
    );
}

/// What is printed of a panic, whichever pass it ends. It needs a process of its own, whose standard error can be read: this test is run
/// once more, by itself, and panics there.
#[test]
fn no_credential_is_in_what_is_printed_of_a_panic() {
    const PANICS: &str = "TRADEWIND_TEST_PANICS";
    if std::env::var_os(PANICS).is_some() {
        panic_with_credentials();
    }
    let this = std::env::current_exe().expect("this program");
    let name = "security::canaries::no_credential_is_in_what_is_printed_of_a_panic";
    let mut again = Command::new(this);
    again.args(["--exact", name, "--nocapture"]).env(PANICS, "yes").env("RUST_BACKTRACE", "full");
    let ran = again.output().expect("this test once more");
    let said = [ran.stdout, ran.stderr].concat();
    let text = String::from_utf8_lossy(&said);
    // Not with what was printed: it may hold what it must not.
    assert!(!ran.status.success(), "{}", ran.status);
    for words in ["panicked at", "the login is", "the store's token", "REDACTED"] {
        assert!(text.contains(words), "{words:?} was not printed");
    }
    assert_eq!(found(&[LOGIN, STORE, BROKEN], &said), [""; 0]);

    // The hook that printed it is that of the standard library, and the program has no other.
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the sources") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let source = std::fs::read_to_string(&path).expect("a source file");
                assert!(
                    !source.contains("set_hook"),
                    "{} has a panic hook of its own: run this test under it",
                    path.display()
                );
            }
        }
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
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use k8s_openapi::api::events::v1::Event;
    use kube::api::ListParams;
    use tradewind::api::v1alpha1::{Connection, IntegrationInstance, ProviderAccount};
    use tradewind_simulator::arcus::{Act, Connector};
    use tradewind_simulator::{Effect, Fault, Operation, Provider, rutter};

    use super::super::manifests::until_they_work;
    use super::*;
    use crate::cluster::HANG;
    use crate::conditions::Observed;
    use crate::lifecycle::instances::instance;
    use crate::process::Program;
    use crate::world::{World, connection, secret, store};

    /// A connector of Arcus, whose credentials are entered there.
    const LABELS: &str = "apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {name: labels}
spec:
  provider: Arcus
  accountRef: {name: arcus}
  platform: shippo
  arcus: {mode: Sandbox}
";

    /// A provider whose logins are made of these characters, with accounts for all of them.
    async fn world_of_canaries() -> World {
        let (token, key) = (format!("1|{LOGIN}"), format!("ark_test_ent_acme_{LOGIN}"));
        let mut setup = World::setup();
        LOGIN.clone_into(&mut setup.accounts[0].client_secret);
        let next = rutter::Account { client_secret: after(LOGIN), ..setup.accounts[0].clone() };
        setup.accounts.push(next);
        token.clone_into(&mut setup.sku_accounts[0].token);
        key.clone_into(&mut setup.arcus_accounts[0].key);
        let world = World::with("canary", setup).await;
        world.sandbox.apply(&world.account()).await;
        world.sandbox.apply(&world.sku_account(&token, "")).await;
        world.sandbox.apply(&world.arcus_account("arcus", &key)).await;
        log_in(&world, LOGIN).await;
        world.sandbox.apply(&secret("store-login", &[("oauth_access_token", STORE)])).await;
        world.sandbox.apply(&secret("broken-login", &[("oauth_access_token", BROKEN)])).await;
        world
    }

    /// The credential that follows this one, and is found where that one is looked for.
    fn after(canary: &str) -> String {
        format!("{canary}-next")
    }

    /// The account at Rutter logs in with this from now on.
    async fn log_in(world: &World, key: &str) {
        world.sandbox.apply(&secret("rutter-api", &[("client_id", "test-client-id"), ("client_secret", key)])).await;
    }

    /// A new login that does not work, one that does, and the one of before.
    async fn rotate(world: &World) {
        log_in(world, &format!("{LOGIN}-wrong")).await;
        world.sandbox.looked_at::<ProviderAccount>("rutter").await;
        world.account_until("CredentialsValid", "False", "RotationRejected").await;
        for works in [after(LOGIN), LOGIN.to_owned()] {
            let told = world.events("rutter", "RotatedAndVerified").await;
            log_in(world, &works).await;
            world.sandbox.looked_at::<ProviderAccount>("rutter").await;
            world.account_until("CredentialsValid", "True", "Succeeded").await;
            assert!(world.events("rutter", "RotatedAndVerified").await > told, "it was used as another login");
        }
    }

    /// A life with every kind of trouble, so that every error path has something to say. `of`: what its objects are called after.
    async fn live(world: &World, of: &str) {
        let [acme, other, broken] = ["acme", "other", "broken"].map(|name| format!("{name}-{of}"));
        let troubles = [
            Fault::on(Operation::List, Effect::StatusAfterApply { status: 500 }),
            Fault::on(Operation::Create, Effect::RefuseCredentials { status: 401 }),
            Fault::on(Operation::ReadStatus, Effect::GarbageBody),
            Fault::on(Operation::ReadDetail, Effect::Refuse { status: 401, retry_after: None }),
        ];
        for fault in troubles {
            world.simulator.push_fault(fault.at(Provider::Rutter));
        }
        world.sandbox.apply(&connection(&acme, &store(&format!("canary-{of}")), "")).await;
        world.until(&acme, "Ready", "False", "CredentialsRejected").await;
        world.sandbox.apply(&connection(&other, &store(&format!("canary-other-{of}")), "")).await;
        world.settled(&other).await;
        world.ask(&acme).await;
        world.settled(&acme).await;
        let manifest = connection(&broken, &store(&format!("broken-{of}")), "").replace("store-login", "broken-login");
        world.sandbox.apply(&manifest).await;
        world.until(&broken, "Ready", "False", "SecretKeyMissing").await;
        let fails = Fault::on(Operation::Delete, Effect::StatusAfterApply { status: 502 });
        world.simulator.push_fault(fails.at(Provider::Rutter));
        world.sandbox.delete::<Connection>(&other).await;
        world.sandbox.wait_gone::<Connection>(&other, HANG).await;
    }

    /// The same for a store at SKU.io.
    async fn live_at_sku(world: &World, of: &str) {
        let name = format!("instance-{of}");
        let refused = Fault::on(Operation::Create, Effect::RefuseCredentials { status: 422 });
        world.simulator.push_fault(refused.at(Provider::SkuIo));
        world.sandbox.apply(&instance(&name, "")).await;
        let rejected = |i: &IntegrationInstance| i.says("Ready", "False", "ProviderRejected");
        world.sandbox.wait_for::<IntegrationInstance>(&name, HANG, rejected).await;
        world.sandbox.looked_at::<IntegrationInstance>(&name).await;
        world.well(&name).await;
        world.sandbox.apply(&secret("store-login", &[("oauth_access_token", &format!("{}-{of}", after(STORE)))])).await;
        world.sandbox.looked_at::<IntegrationInstance>(&name).await;
        let verified = |i: &IntegrationInstance| i.says("CredentialsValid", "True", "RotatedAndVerified");
        world.sandbox.wait_for::<IntegrationInstance>(&name, HANG, verified).await;
        let fails = Fault::on(Operation::ReadDetail, Effect::GarbageBody);
        world.simulator.push_fault(fails.at(Provider::SkuIo));
        world.sandbox.looked_at::<IntegrationInstance>(&name).await;
        world.sandbox.delete::<IntegrationInstance>(&name).await;
        world.sandbox.wait_gone::<IntegrationInstance>(&name, HANG).await;
    }

    /// Lives under an operator that logs all that it ever would, in this format; its log and its metrics.
    async fn told(world: &World, format: &str) -> [String; 2] {
        let program = Program::start(world, &["--log=trace", "--log-format", format]);
        let address = program.address().await;
        until_they_work(world, &["rutter", "sku", "arcus"]).await;
        live(world, format).await;
        live_at_sku(world, format).await;
        rotate(world).await;
        let fails = Fault::on(Operation::ReadDetail, Effect::GarbageBody);
        world.simulator.push_fault(fails.at(Provider::Arcus));
        world.sandbox.looked_at::<Connection>("labels").await;
        if world.simulator.connector(Connector::Shippo).is_some_and(|connector| !connector.has_credentials) {
            world.until("labels", "Ready", "False", "AuthorizationRequired").await;
            world.simulator.act_arcus(&Act::EnterCredentials.on(Connector::Shippo)).expect("a connector");
        }
        world.until("labels", "Ready", "True", "Succeeded").await;
        let metrics = world.get(&format!("http://{address}/metrics")).await;
        assert!(metrics.contains("tradewind_provider_requests_total"), "{metrics}");
        let log = program.terminate().await;
        assert!(log.len() > 1000, "the search had something to search in");
        let is_json = log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok());
        assert_eq!(is_json, format == "json", "{format}");
        [log, metrics]
    }

    #[tokio::test]
    async fn no_credential_is_in_anything_that_is_said_or_stored() {
        let world = world_of_canaries().await;
        world.sandbox.apply(LABELS).await;
        let said = [told(&world, "text").await, told(&world, "json").await].concat();
        let events = world.sandbox.api::<Event>().list(&ListParams::default()).await.expect("events");
        assert!(!events.items.is_empty());
        let records = world.simulator.connections();
        let mut known: Vec<String> = records.iter().map(|record| record.access_token.to_string()).collect();
        known.extend(records.iter().map(|record| format!("connection/{}", record.id)));
        known.extend([LOGIN, STORE, BROKEN].map(str::to_owned));
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        for text in &said {
            let start: String = text.chars().take(60).collect();
            assert_eq!(found(&known, text.as_bytes()), [""; 0], "in what begins so: {start}");
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
        let secrets = world.sandbox.api::<Secret>();
        let list = secrets.list(&ListParams::default()).await.expect("secrets");
        for mut one in list.items {
            (one.data, one.metadata.managed_fields) = (None, None);
            assert_eq!(found(&known, &serde_json::to_vec(&one).expect("JSON")), [""; 0], "{:?}", one.metadata.name);
        }
    }
}
