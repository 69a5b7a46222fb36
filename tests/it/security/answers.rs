//! A provider whose answers are weapons: without an end, without a bottom, or written for the terminal of whoever reads them.

use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};
use tradewind::provider::AllowList;

use super::hostile::{Attack, Hostile};
use crate::cluster::HANG;
use crate::world::World;

/// What is announced, and sent for as long as anybody takes it.
const GIBIBYTE: usize = 1 << 30;
const PIECE: usize = 64 << 10;

/// What resident memory may grow to under attack, over what it is when nothing happens.
const MORE_KIB: u64 = 16 << 10;

const LIST: &str = "GET /versioned/connections?";
const INSTANCES: &str = "GET /api/big-commerce?";
const CONNECTORS: &str = "GET /v1/integrations?";
const STATUS: &str = "GET /versioned/connections/status?";
const DETAIL: &str = "GET /versioned/connections/access_token?";
const CREATE: &str = "POST /versioned/connections/create";

fn with_length() -> Attack {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {GIBIBYTE}\r\n\r\n");
    Attack { head, piece: vec![b' '; PIECE], times: GIBIBYTE / PIECE, pause: Duration::ZERO }
}

fn chunked() -> Attack {
    let piece = [format!("{PIECE:x}\r\n").into_bytes(), vec![b' '; PIECE], b"\r\n".to_vec()].concat();
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    Attack { head, piece, ..with_length() }
}

/// A mebibyte in a kilobyte, as often as a gibibyte needs it: no block refers to the one before.
fn gzip_bomb() -> Attack {
    let mebibyte = vec![b' '; 1 << 20];
    let (mut deflate, mut piece) = (Compress::new(Compression::best(), false), Vec::with_capacity(8 << 10));
    deflate.compress_vec(&mebibyte, &mut piece, FlushCompress::Full).expect("a block");
    assert_eq!(deflate.total_in(), 1 << 20);
    let mut first = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    first.extend(piece.repeat(GIBIBYTE >> 20));
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n".to_owned();
    Attack { head, piece: first, times: 1, pause: Duration::ZERO }
}

/// A byte a second, of the head or of the body.
fn slow(head: &str) -> Attack {
    Attack { head: head.to_owned(), piece: b" ".to_vec(), times: PIECE, pause: Duration::from_secs(1) }
}

fn deep(field: &str) -> Attack {
    let body = format!("{{\"{field}\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    Attack::whole("200 OK", "content-type: application/json\r\n", body)
}

/// The largest page of a list that is read to its end, and the largest one that is read as a tree of values.
const PAGE: usize = 2 << 20;
const TREE: usize = 1280 << 10;

/// Nearly as large as a page may be, and nothing but rows without anything in them.
fn hollow(field: &str, row: &str) -> Attack {
    let rows = format!("{row},").repeat((PAGE - 4096) / (row.len() + 1));
    Attack::whole("200 OK", "content-type: application/json\r\n", format!("{{\"{field}\":[{rows}{row}]}}"))
}

/// Nearly as large as a page may be, and all of it one text. `after`: how it goes on.
fn one_text(before: &str, piece: &str, size: usize, after: &str) -> Attack {
    let body = format!("{before}{}{after}", piece.repeat((size - 4096) / piece.len()));
    Attack::whole("200 OK", "content-type: application/json\r\n", body)
}

/// One row that has nothing but a multitude of fields.
fn many_fields(field: &str, id: &str) -> Attack {
    let fields = (0..14_000).map(|n| format!("\"{n}\":0,")).collect::<Vec<_>>().concat();
    let body = format!("{{\"{field}\":[{{{fields}{id}}}],}}");
    Attack::whole("200 OK", "content-type: application/json\r\n", body)
}

/// As many rows as a page may have, and as real ones look.
fn as_many_connections_as_a_page_has() -> Attack {
    let rows: Vec<Value> = (1..=5500).map(a_connection).collect();
    Attack::whole("200 OK", "content-type: application/json\r\n", json!({"connections": rows}).to_string())
}

/// A page of a thousand rows. `more`: what says that there is always another one.
fn endless(field: &str, row: fn(usize) -> Value, more: &Value) -> Attack {
    let mut page = more.clone();
    page[field] = (1..=1000).map(row).collect();
    Attack::whole("200 OK", "content-type: application/json\r\n", page.to_string())
}

fn a_connection(n: usize) -> Value {
    let id = format!("00000000-0000-4000-8000-{n:012}");
    json!({
        "id": id, "access_token": id, "link_url": format!("https://link.example.com/connection/{id}"),
        "platform": "BIG_COMMERCE", "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:00:00Z",
    })
}

fn endless_connections() -> Attack {
    endless("connections", a_connection, &json!({"next_cursor": "on-and-on"}))
}

fn endless_instances() -> Attack {
    let row = |n: usize| {
        json!({
            "id": n, "name": format!("instance-{n}"), "integration_id": 5, "created_at": "2026-01-05T10:00:00Z",
            "is_automatic_sync_enabled": true, "archived": 0, "integration_settings": {
                "store_hash": format!("hash{n}"), "start_date": "2026-01-01", "store_id": 1, "auto_link_products": true,
                "auto_create_products": false, "sales_nominal_code_id": null, "cogs_nominal_code_id": null,
            },
        })
    };
    endless("data", row, &json!({"last_page": 1_000_000}))
}

fn endless_connectors() -> Attack {
    let row = |n: usize| {
        json!({
            "id": format!("00000000-0000-4000-8000-{n:012}"), "connector_type": "shippo", "is_active": true,
            "entity_id": "00000000-0000-4000-8000-0000000000e1", "display_name": format!("Connector {n}"),
            "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:00:00Z",
        })
    };
    endless("data", row, &json!({"has_more": true}))
}

/// What any answer is attacked with. `field`: where the rows of a list stand.
fn attacks(field: &str) -> [(&'static str, Attack); 6] {
    [
        ("a length of a gibibyte", with_length()),
        ("a gibibyte in chunks", chunked()),
        ("a gzip bomb", gzip_bomb()),
        ("a slow body", slow("HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n")),
        ("a slow head", slow("HTTP/1.1 200 OK\r\nx-slow:")),
        ("a deep body", deep(field)),
    ]
}

/// A provider that turns hostile, before the one of a world.
pub(super) async fn turncoat(world: &mut World) -> Hostile {
    let origin = world.endpoint.trim_end_matches("/versioned").trim_start_matches("http://").to_owned();
    let hostile = Hostile::before(origin.parse().expect("an address")).await;
    world.endpoint = format!("{}/versioned", hostile.origin());
    world.settings.allow = AllowList::new(&[hostile.origin()]).expect("an endpoint");
    hostile
}

/// A process is measured, and that is one.
mod real {
    use k8s_openapi::api::events::v1::Event;
    use kube::api::ListParams;
    use serde_json::Value;
    use tradewind::api::v1alpha1::{Connection, IntegrationInstance, ProviderAccount};

    use super::super::manifests::until_they_work;
    use super::*;
    use crate::conditions::Observed;
    use crate::lifecycle::instances::instance;
    use crate::process::Program;
    use crate::world::{ARCUS_KEY, connection, id_of, message, status_of, store, told};

    #[tokio::test]
    async fn no_answer_takes_more_memory_than_a_list_may_or_holds_a_pass_up() {
        let mut world = World::quiet("hostile").await;
        let hostile = turncoat(&mut world).await;
        world.furnish().await;
        let program = Program::start(&world, &[]);
        let address = program.address().await;
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        world.settled("acme").await;
        for _ in 0..3 {
            world.reconciled("acme").await;
        }
        let idle = program.memory().now();
        program.memory().forget_peak();
        let bounded = |what: &str| {
            let more = program.memory().peak().saturating_sub(idle);
            assert!(more <= MORE_KIB, "{what}: {more} KiB more than when idle");
        };

        let attacks = attacks("connections");
        let every = [LIST, STATUS].into_iter().flat_map(|of| attacks.clone().map(|attack| (of, attack)));
        let text = r#"{"connections":[{"id":"a","platform":""#;
        let of_lists = [
            ("endless pages", endless_connections()),
            ("hollow rows", hollow("connections", r#"{"id":"a"}"#)),
            ("one text, and no end", one_text(text, "a", PAGE, r#""}],}"#)),
            ("one text of escapes, and no end", one_text(text, r"\u00e4", PAGE, r#""}],}"#)),
            ("a cursor", one_text(r#"{"connections":[],"next_cursor":""#, "a", PAGE, r#""}"#)),
            ("many fields, and no end", many_fields("connections", r#""id":"a""#)),
        ];
        let of_lists = of_lists.map(|attack| (LIST, attack));
        for (requests, (what, attack)) in every.chain(of_lists) {
            hostile.attack(requests, attack);
            // That it answers at all says that the pass came to its end.
            let seen = world.reconciled("acme").await;
            assert!(hostile.served() > 0, "{what} for {requests} was never asked for");
            assert!(seen.says("Synced", "False", "ProviderUnavailable"), "{what}: {}", told(&seen));
            assert!(message(&seen, "Synced").contains("Rutter"), "{what}: {}", told(&seen));
            bounded(what);
        }
        for (n, (what, attack)) in attacks.into_iter().enumerate() {
            hostile.attack(CREATE, attack);
            let name = format!("new-{n}");
            world.sandbox.apply(&connection(&name, &store(&name), "")).await;
            // The outcome of a create that nobody answered is looked for; the next one follows when there is none.
            world.provider_until("a create under attack", |_| hostile.served() > 0).await;
            world.until(&name, "Ready", "False", "Creating").await;
            bounded(what);
        }
        hostile.relent();
        world.all_settled(7).await;
        // What is taken for a list is kept, and is there beside the next one.
        hostile.attack(LIST, as_many_connections_as_a_page_has());
        for _ in 0..2 {
            world.reconciled("acme").await;
            bounded("as many connections as are kept");
        }
        hostile.relent();
        world.reconciled("acme").await;
        world.all_settled(7).await;
        bounded("all of them");
        assert_unharmed(&world, program, &address).await;
    }

    /// No pass came to its deadline, and none to a panic.
    async fn assert_unharmed(world: &World, program: Program, address: &str) {
        let metrics = world.get(&format!("http://{address}/metrics")).await;
        let log = program.terminate().await;
        assert!(metrics.contains("result=\"done\"") && !metrics.contains("result=\"deadline\""), "{metrics}");
        assert!(metrics.contains("tradewind_reconcile_panics_total 0\n"), "{metrics}");
        assert!(!log.contains("panicked"), "{log}");
    }

    /// The list of SKU.io is read before an instance is made, that of Arcus to see whether the login works.
    #[tokio::test]
    async fn no_list_of_sku_io_or_arcus_takes_more_memory_than_a_list_may_or_holds_a_pass_up() {
        let mut world = World::quiet("hostile-lists").await;
        let hostile = turncoat(&mut world).await;
        world.furnish_sku("").await;
        world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
        let program = Program::start(&world, &[]);
        let address = program.address().await;
        until_they_work(&world, &["sku", "arcus"]).await;
        world.sandbox.apply(&instance("acme", "")).await;
        world.well("acme").await;
        for _ in 0..3 {
            world.sandbox.looked_at::<IntegrationInstance>("acme").await;
            world.sandbox.looked_at::<ProviderAccount>("arcus").await;
        }
        let bounded = |what: &str, idle: u64| {
            let more = program.memory().peak().saturating_sub(idle);
            program.memory().forget_peak();
            (more > MORE_KIB).then(|| format!("{what}: {more} KiB more than when idle"))
        };
        program.memory().forget_peak();

        let (mut beyond, idle) = (Vec::new(), program.memory().now());
        let text = r#"{"data":[{"id":1,"name":""#;
        let of_lists = [
            ("hollow rows", hollow("data", r#"{"id":1}"#)),
            ("endless pages", endless_instances()),
            ("one text, and no end", one_text(text, "a", TREE, r#""}],}"#)),
            ("one text of escapes, and no end", one_text(text, r"\u00e4", TREE, r#""}],}"#)),
            ("one text that is too large", one_text(text, "a", PAGE, r#""}]}"#)),
            ("many fields, and no end", many_fields("data", r#""id":1"#)),
        ];
        for (what, attack) in attacks("data").into_iter().chain(of_lists) {
            hostile.attack(INSTANCES, attack);
            world.sandbox.apply(&instance("new", "")).await;
            let failed = |i: &IntegrationInstance| i.says("Synced", "False", "ProviderUnavailable");
            world.sandbox.wait_for::<IntegrationInstance>("new", HANG, failed).await;
            assert!(hostile.served() > 0, "{what} of instances was never asked for");
            beyond.extend(bounded(&format!("{what} of instances"), idle));
            // There is no record, so that it goes at once: one list at a time is read.
            world.sandbox.delete::<IntegrationInstance>("new").await;
            world.sandbox.wait_gone::<IntegrationInstance>("new", HANG).await;
        }
        // What is taken for a list, by eight at once: each looks for its own name on every page.
        hostile.attack(INSTANCES, one_text(text, "a", TREE, r#""}],"last_page":3}"#));
        let eight: Vec<_> = (0..8).map(|n| format!("at-once-{n}")).collect();
        world.sandbox.apply(&eight.iter().map(|name| instance(name, "")).collect::<Vec<_>>().join("---\n")).await;
        for name in &eight {
            world.well(name).await;
        }
        assert!(hostile.served() >= 8 * 3, "{}", hostile.served());
        beyond.extend(bounded("one text for eight at once", idle));
        // What the allocator keeps of one provider's list is no part of the other's.
        let idle = program.memory().now();
        let row = r#"{"connector_type":"a"}"#;
        let text = r#"{"data":[{"id":"a","connector_type":"a","display_name":""#;
        let of_lists = [
            ("hollow rows", hollow("data", row)),
            ("endless pages", endless_connectors()),
            ("one text, and no end", one_text(text, "a", TREE, r#""}],}"#)),
            ("texts, page by page", one_text(text, "a", TREE / 2, r#""}],"has_more":true}"#)),
            ("many fields, and no end", many_fields("data", row.trim_matches(['{', '}']))),
        ];
        for (what, attack) in attacks("data").into_iter().chain(of_lists) {
            hostile.attack(CONNECTORS, attack);
            // That it answers at all says that the pass came to its end.
            world.sandbox.looked_at::<ProviderAccount>("arcus").await;
            assert!(hostile.served() > 0, "{what} of connectors was never asked for");
            beyond.extend(bounded(&format!("{what} of connectors"), idle));
        }
        hostile.relent();
        world.sandbox.apply(&instance("new", "")).await;
        world.well("new").await;
        beyond.extend(bounded("all of them", idle));
        assert_eq!(beyond, [""; 0]);
        assert_unharmed(&world, program, &address).await;
    }

    /// Every text in a JSON document that a terminal would do something with.
    fn controls(value: &Value) -> Vec<String> {
        match value {
            Value::String(text) if text.chars().any(char::is_control) => vec![text.clone()],
            Value::Array(items) => items.iter().flat_map(controls).collect(),
            Value::Object(fields) => fields.values().flat_map(controls).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
        }
    }

    #[tokio::test]
    async fn what_a_provider_says_reaches_no_terminal_as_it_was() {
        const ANSI: &str = "red\u{1b}[31m\u{0}\u{7}\u{9b}2J\r\n";
        assert_eq!(controls(&json!({"a": [{"b": ANSI}, "fine"]})), [ANSI]);
        let mut world = World::quiet("ansi").await;
        let hostile = turncoat(&mut world).await;
        world.furnish().await;
        let id = world.stranger(&store("ansi"));
        let program = Program::start(&world, &["--log=trace"]);
        let address = program.address().await;
        let answer = |status: &str, body: Value| Attack::whole(status, "", body.to_string());
        let detail = json!({"connection": {
            "id": id, "store_unique_id": ANSI, "store_name": ANSI, "store_domain": ANSI, "platform": ANSI,
            "created_at": ANSI,
        }});
        hostile.attack(DETAIL, answer("200 OK", detail));
        let adopted = format!("  externalRef: {{id: {id}}}\n  adoptionPolicy: Match\n  deletionPolicy: Retain\n");
        world.sandbox.apply(&connection("acme", &store("ansi"), &adopted)).await;
        let named = |c: &Connection| status_of(c).store_name.is_some();
        let acme = world.sandbox.wait_for::<Connection>("acme", HANG, named).await;
        assert_eq!(id_of(&acme), id);
        assert_eq!(status_of(&acme).store_name.as_deref(), Some("red[31m2J"), "it was read, and is told");
        // Of the same organisation once it is read: another one would be another account.
        let organisation = format!("{}\u{1b}\u{0}", tradewind_simulator::rutter::Account::default().org_id);
        let status = json!({"connection": {"id": id, "orgId": organisation, "platform": ANSI}, "status": {
            "is_ready": true, "disabled_status": {"is_disabled": true, "disabled_reason": ANSI},
        }});
        hostile.attack(STATUS, answer("200 OK", status));
        world.reconciled("acme").await;
        let refusal = json!({"error_type": ANSI, "error_code": ANSI, "error_message": ANSI});
        for status in ["400 Bad Request", "500 \u{1b}[31m"] {
            for requests in [STATUS, LIST] {
                hostile.attack(requests, answer(status, refusal.clone()));
                world.reconciled("acme").await;
                assert!(hostile.served() > 0, "{requests}");
            }
        }
        hostile.attack(CREATE, answer("400 Bad Request", refusal.clone()));
        world.sandbox.apply(&connection("new", &store("ansi-new"), "")).await;
        world.until("new", "Ready", "False", "ProviderRejected").await;
        // The login is refused: nothing is asked any more after that.
        hostile.attack(LIST, answer("401 Unauthorized", refusal));
        world.reconciled("acme").await;
        assert!(hostile.served() > 0);

        let metrics = world.get(&format!("http://{address}/metrics")).await;
        let log = program.terminate().await;
        let all = ListParams::default();
        let said = [
            serde_json::to_value(world.sandbox.api::<Connection>().list(&all).await.expect("objects")),
            serde_json::to_value(world.sandbox.api::<ProviderAccount>().list(&all).await.expect("accounts")),
            serde_json::to_value(world.sandbox.api::<Event>().list(&all).await.expect("events")),
        ];
        for value in said {
            assert_eq!(controls(&value.expect("JSON")), [""; 0]);
        }
        for text in [&metrics, &log] {
            let odd = text.lines().find(|line| line.chars().any(char::is_control));
            assert!(text.len() > 1000 && odd.is_none(), "{odd:?}");
        }
    }
}
