//! Every type of connector and every verb, from a declaration to what the simulator takes and answers.

use super::*;
use crate::{
    api::v1alpha1::Provider,
    domain::{connectors::CONNECTORS, verdict::Effect},
    provider::{AllowList, Backend, Session, WireError, contract, login},
    telemetry::Metrics,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use rstest::rstest;
use serde_json::json;
use std::collections::BTreeSet;
use tokio::time::Instant;
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};
use tradewind_simulator::{
    Effect as Deform, Fault, ManualClock, Operation as Asked, Setup, Simulator,
    arcus::{self, Act, Connector, Rate, Wrapping},
};

const ENDPOINT: &str = "https://api.arcuserp.com/v1";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A session with a simulator of its own.
struct World {
    simulator: Simulator,
    session: Session,
    clock: ManualClock,
}

/// A session with whatever answers on the wire.
fn session(wire: Wire, version: &str) -> Session {
    let key = arcus::Account::default().key;
    let login = contract::login(Provider::Arcus, ENDPOINT, version, "ent_simulator", &key);
    contract::session(wire, &login)
}

fn of(session: &Session) -> &Arcus {
    let Backend::Arcus(arcus) = &session.backend else { panic!("a session of another provider") };
    arcus
}

async fn made_by(session: &Session, want: &ConnectorWant, nonce: &str) -> Result<Made, ApiError> {
    of(session).create(contract::permit(session, nonce), want, &Credentials::default()).await
}

impl World {
    fn new(settings: arcus::Settings) -> Self {
        Self::speaking(settings, "2026-05-01")
    }

    fn speaking(settings: arcus::Settings, version: &str) -> Self {
        let key = arcus::Account::default().key;
        let login = contract::login(Provider::Arcus, ENDPOINT, version, "ent_simulator", &key);
        let (simulator, session, clock) = contract::simulated(Setup { arcus: settings, ..Setup::default() }, &login);
        Self { simulator, session, clock }
    }

    fn arcus(&self) -> &Arcus {
        of(&self.session)
    }

    async fn create(&self, want: &ConnectorWant) -> Result<Made, ApiError> {
        made_by(&self.session, want, &uuid::Uuid::new_v4().to_string()).await
    }

    /// Makes a connector, with a merchant's consent where that is needed.
    async fn made(&self, want: &ConnectorWant) -> ExternalId {
        match self.create(want).await.unwrap_or_else(|e| panic!("{want:?}: {e}")) {
            Made::Created(created) => created.id,
            Made::Accepted(_) => {
                self.done(Act::Approve, want);
                ExternalId::new(want.connector.name)
            }
        }
    }

    async fn found(&self, look: &Look) -> Vec<Record<Have>> {
        self.arcus().observe(look, now(), Pace::Now).await.expect("records")
    }

    /// What is read of a connector by its id.
    async fn have(&self, id: &ExternalId) -> Have {
        let mut found = self.found(&Look::Id(id.clone())).await;
        assert_eq!(found.len(), 1, "{id}");
        found.remove(0).have.expect("what it is")
    }

    /// The fields in which a declaration differs from what is read.
    async fn differs(&self, want: &ConnectorWant, applied: &[AppliedField]) -> Vec<String> {
        paths(&Arcus::diff(want, &self.have(&ExternalId::new(want.connector.name)).await, applied, None))
    }

    async fn update(&self, want: &ConnectorWant) -> Result<(), ApiError> {
        let id = ExternalId::new(want.connector.name);
        let have = self.have(&id).await;
        let Difference::Update(change, _) = Arcus::diff(want, &have, &[], None) else { panic!("no change: {want:?}") };
        self.arcus().update(&id, &change).await
    }

    async fn delete(&self, id: &ExternalId) -> Result<(), ApiError> {
        self.arcus().delete(DeletePermit::mint(id.clone())).await
    }

    fn done(&self, act: Act, want: &ConnectorWant) {
        let connector = Connector::named(want.connector.name).expect("a type that the simulator has");
        self.simulator.act_arcus(&act.on(connector)).expect("a deed");
    }

    fn record(&self, want: &ConnectorWant) -> arcus::Record {
        let connector = Connector::named(want.connector.name).expect("a type that the simulator has");
        self.simulator.connector(connector).expect("a record")
    }

    fn asked(&self, operation: Asked) -> usize {
        contract::asked(&self.simulator, operation)
    }

    /// What the simulator says to a body that we would never send.
    async fn raw(&self, name: &str, body: Value) -> Result<Value, ApiError> {
        let path = [INTEGRATIONS, name];
        let call = Call {
            operation: Operation::Create,
            method: Method::POST,
            path: &path,
            query: &[],
            body: Some(body),
            key: None,
        };
        let reply = self.arcus().http.send(call, Pace::Now).await?;
        self.arcus().heard(Operation::Create, &reply)
    }
}

fn now() -> Freshness {
    Freshness::After(Instant::now())
}

fn try_declared(name: &str, settings: &Value) -> Result<ConnectorWant, Problem> {
    let mut arcus = json!({"mode": "Sandbox"});
    arcus.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
    let spec = json!({
        "provider": "Arcus", "accountRef": {"name": "a"}, "platform": name, "arcus": arcus,
        "connectionSecretRef": {"name": "s"},
    });
    Arcus::want(&Declaration::Connection(serde_json::from_value(spec).expect("a spec")))
}

fn declared(name: &str, settings: &Value) -> ConnectorWant {
    try_declared(name, settings).unwrap_or_else(|e| panic!("{name} {settings}: {}", e.message))
}

fn labels(settings: &Value) -> ConnectorWant {
    declared("shippo", settings)
}

const BANK: &str = "0b8a2f6e-3f0c-4f57-9a3c-0f2d4f5b6a71";
/// The types of which the simulator takes a sender's address.
const SHIP: &[&str] = &["shippo", "ups", "fedex", "usps", "wwex"];

/// The fields of a type that have no part in the others.
fn own(name: &str) -> Vec<(&'static str, Value)> {
    let ship = |field: &str, value: &str| ("shipFrom", json!({field: value}));
    match name {
        "shopify" => vec![("shop", json!("acme.myshopify.com"))],
        "plaid" => vec![("bankAccountId", json!(BANK))],
        "amazon" | "ebay" => vec![("sellerId", json!("A1B2C3 & söhne"))],
        name if SHIP.contains(&name) => vec![
            ship("name", "Acme DC"),
            ship("address1", "1 Dock Rd"),
            ship("city", "Reno"),
            ship("state", "NV"),
            ship("zip", "89501"),
        ],
        _ => vec![],
    }
}

/// Lays further fields over settings, also within a field.
fn with(settings: &Value, more: &[(&str, Value)]) -> Value {
    let mut settings = settings.clone();
    for (name, value) in more {
        match (settings.get_mut(*name).and_then(Value::as_object_mut), value) {
            (Some(old), Value::Object(new)) => old.extend(new.clone()),
            _ => settings[*name] = value.clone(),
        }
    }
    settings
}

/// What a create of this type needs, and nothing else.
fn least(name: &str) -> Value {
    if name == "shopify" { with(&json!({}), &own(name)) } else { json!({}) }
}

/// With every field that the type has.
fn all(name: &str) -> Value {
    let config = json!({"region": "eu", "sizes": [1, 2.5, null], "deep": {"a": {"b": true}}, "": "empty", "é": "ü"});
    with(&json!({"displayName": "Söhne & Co. \u{2013} EU", "config": config}), &own(name))
}

/// Every type with the least and with everything, and with each of its fields alone.
fn every_want() -> Vec<ConnectorWant> {
    let of = |name: &'static str| {
        let configs = [json!({}), json!({"a": [1, "x"], "b": null}), json!({"a": {"b": [1]}})];
        let common = std::iter::once(("displayName", json!("Labels"))).chain(configs.map(|config| ("config", config)));
        let each = common.chain(own(name)).map(move |field| with(&least(name), &[field]));
        [least(name), all(name)].into_iter().chain(each).map(move |settings| declared(name, &settings))
    };
    CONNECTORS.iter().flat_map(|c| of(c.name)).collect()
}

/// Whether there are objects within the configuration.
fn nests(want: &ConnectorWant) -> bool {
    let config = want.fields().iter().find(|f| f.name == "config").and_then(|f| f.value.as_object());
    config.is_some_and(|config| config.values().any(Value::is_object))
}

fn paths(difference: &Difference<Change>) -> Vec<String> {
    match difference {
        Difference::None => vec![],
        Difference::Update(_, paths) => paths.clone(),
        Difference::Replace(paths) => panic!("a new record for {paths:?}"),
    }
}

/// As often as one likes: rates have tests of their own.
fn at_ease() -> arcus::Settings {
    arcus::Settings { test_rate: None, live_rate: None, ..arcus::Settings::default() }
}

fn created(made: Made) -> Created {
    match made {
        Made::Created(created) => *created,
        Made::Accepted(_) => panic!("a link, and no record"),
    }
}

fn accepted(made: Made) -> Accepted {
    match made {
        Made::Accepted(accepted) => accepted,
        Made::Created(created) => panic!("a record: {created:?}"),
    }
}

#[rstest]
#[case::documented(at_ease())]
#[case::always_wrapped(arcus::Settings { wrapping: Wrapping::Always, ..at_ease() })]
#[case::never_wrapped(arcus::Settings { wrapping: Wrapping::Never, ..at_ease() })]
#[case::created_is_200(arcus::Settings { created: false, ..at_ease() })]
#[case::unknown_fields(arcus::Settings { unknown_fields: true, ..at_ease() })]
#[case::unknown_fields_in_arrays(arcus::Settings { unknown_fields: true, wrapping: Wrapping::Never, ..at_ease() })]
#[case::masked_credentials(arcus::Settings { masked_credentials: true, ..at_ease() })]
#[case::new_rows(arcus::Settings { revives_rows: false, ..at_ease() })]
#[case::hidden_rows(arcus::Settings { deleted_rows_shown: false, ..at_ease() })]
#[case::consent_again(arcus::Settings { recovery_skips_consent: false, ..at_ease() })]
#[case::a_row_before_consent(arcus::Settings { row_before_consent: true, ..at_ease() })]
#[case::merged_configurations(arcus::Settings { merges_config: true, ..at_ease() })]
#[case::without_keys(arcus::Settings { honours_idempotency_keys: false, ..at_ease() })]
#[case::null_where_nobody_looks(arcus::Settings {
    null_fields: vec!["id".into(), "entity_id".into(), "updated_at".into(), "sync_status".into(), "last_sync_at".into()],
    ..at_ease()
})]
#[tokio::test]
async fn what_was_created_reads_as_equal_however_the_server_spells_it(#[case] settings: arcus::Settings) {
    // What is nested in a configuration is compared as a whole: a field that turns up in there is a change of it.
    let flat = settings.unknown_fields;
    let world = World::new(settings);
    for want in every_want().into_iter().filter(|want| !flat || !nests(want)) {
        let id = world.made(&want).await;
        assert_eq!(id.as_str(), want.connector.name);
        let found = world.found(&Look::Key(want.key())).await;
        assert_eq!(found.iter().map(|r| &r.id).collect::<Vec<_>>(), [&id], "by its type");
        let listed = world.arcus().list(Pace::Now).await.expect("a list");
        let listed = listed.into_iter().find(|row| row.connector_type == id.as_str()).expect("it is in the list");
        for have in [world.have(&id).await, Have { row: listed }] {
            assert_eq!(paths(&Arcus::diff(&want, &have, &[], None)), [""; 0], "{want:?}\n{have:?}");
        }
        world.delete(&id).await.expect("a delete");
        assert!(world.found(&Look::Key(want.key())).await.is_empty(), "what is switched off is nobody's");
    }
    assert_eq!(world.asked(Asked::Update), 0);
    assert!(world.simulator.stats().overwrites.is_empty());
}

#[tokio::test]
async fn the_types_are_those_of_the_provider() {
    let ours: BTreeSet<_> = CONNECTORS.iter().map(|c| c.name).collect();
    let theirs: BTreeSet<_> = Connector::ALL.into_iter().map(Connector::name).collect();
    assert_eq!((ours.len(), &ours), (CONNECTORS.len(), &theirs));
    for connector in CONNECTORS {
        let consents = Connector::named(connector.name).is_some_and(Connector::wants_consent);
        assert_eq!(connector.oauth, consents, "{}", connector.name);
    }
    let world = World::new(at_ease());
    let error = world.raw("telegraph", json!({})).await.expect_err("a refusal");
    assert_eq!((error.kind, error.detail.fields), (Kind::Invalid, vec!["spec.platform".to_owned()]));
}

/// What is not told is taken to be what was sent last, and sent where nothing was.
#[tokio::test]
async fn a_null_where_none_can_be_is_not_told() {
    let fields = [
        ("display_name", "spec.arcus.displayName"),
        ("mode", "spec.arcus.mode"),
        ("is_active", "spec.arcus.active"),
        ("config", "spec.arcus.config"),
    ];
    for (name, path) in fields {
        let world = World::new(arcus::Settings { null_fields: vec![name.to_owned()], ..at_ease() });
        let want = labels(&all("shippo"));
        world.made(&want).await;
        world.done(Act::EnterCredentials, &want);
        assert_eq!(world.found(&Look::Key(want.key())).await.len(), 1, "{name}");
        assert_eq!(world.differs(&want, &want.applied()).await, [""; 0], "{name}");
        assert_eq!(world.differs(&want, &[]).await, [path]);
    }
}

/// Somebody has cleared it.
#[rstest]
#[case::address("shippo", "ship_from_zip", "spec.arcus.shipFrom.zip")]
#[case::seller("ebay", "seller_id", "spec.arcus.sellerId")]
#[case::account("plaid", "bank_account_id", "spec.arcus.bankAccountId")]
#[tokio::test]
async fn a_null_where_one_can_be_is_told(#[case] platform: &str, #[case] field: &str, #[case] path: &str) {
    let world = World::new(arcus::Settings { null_clears: true, ..at_ease() });
    let want = declared(platform, &all(platform));
    world.made(&want).await;
    assert_eq!(world.differs(&want, &want.applied()).await, [""; 0]);
    let fields = Map::from_iter([(field.to_owned(), Value::Null)]);
    world.done(Act::Change { fields }, &want);
    assert_eq!(world.differs(&want, &want.applied()).await, [path]);
    world.update(&want).await.expect("an update");
    assert_eq!(world.differs(&want, &want.applied()).await, [""; 0]);
}

#[rstest]
#[case::nobody_says(None, "spec.arcus.active")]
#[case::there_are_none(Some(false), "spec.arcus.active")]
#[tokio::test]
async fn without_credentials_a_connector_awaits_a_person(#[case] told: Option<bool>, #[case] differs: &str) {
    let null_fields = told.is_none().then(|| "has_credentials_secret_arn".to_owned()).into_iter().collect();
    let world = World::new(arcus::Settings { active_without_credentials: false, null_fields, ..at_ease() });
    let want = labels(&json!({}));
    let made = created(world.create(&want).await.expect("a record"));
    assert_eq!((made.summary.has_credentials, made.restored), (told, false));
    let waits =
        |health: Option<Health>| matches!(health, Some(Health::AwaitsAuthorization(text)) if text.contains("in Arcus"));
    assert_eq!(waits(made.summary.health), told.is_some());
    assert_eq!(world.differs(&want, &[]).await, [differs]);
    assert!(world.found(&Look::Key(want.key())).await.is_empty(), "off, as after a deletion");
    world.done(Act::EnterCredentials, &want);
    assert_eq!(world.differs(&want, &[]).await, [""; 0]);
    let summary = Arcus::summary(Some(&want), &world.have(&made.id).await);
    assert!(matches!(summary.health, Some(Health::Works { .. })));
}

#[tokio::test]
async fn what_the_provider_tells_of_a_synchronization_is_shown() {
    let world = World::new(at_ease());
    let want = labels(&json!({"displayName": "Labels"}));
    let id = world.made(&want).await;
    world.done(Act::EnterCredentials, &want);
    world.clock.advance(HOUR);
    let shown = async || Arcus::summary(Some(&want), &world.have(&id).await);
    let summary = shown().await;
    assert!(summary.sync_status.is_some() && summary.last_sync.is_some());
    assert_eq!((summary.sync_error, summary.platform.as_deref()), (None, Some("shippo")));
    assert_eq!((summary.has_credentials, summary.has_webhook_secret), (Some(true), Some(false)));
    let long = format!("\u{1b}[31mthe merchant's token expired\n{}", "x".repeat(9_000));
    world.done(Act::SetSyncError { error: Some(long) }, &want);
    let error = shown().await.sync_error.expect("an error");
    assert!(error.contains("token expired") && error.len() <= 512, "{error}");
    assert!(!error.chars().any(char::is_control), "{error:?}");
    world.done(Act::SetSyncError { error: None }, &want);
    assert_eq!(shown().await.sync_error, None);
}

#[tokio::test]
async fn fields_of_other_types_are_refused_by_us_and_by_the_simulator() {
    let world = World::new(at_ease());
    let foreign = [
        ("shop", "shop", json!("acme.myshopify.com")),
        ("sellerId", "seller_id", json!("s")),
        ("bankAccountId", "bank_account_id", json!(BANK)),
    ];
    for connector in CONNECTORS {
        for (ours, theirs, value) in &foreign {
            let owns = connector.fields.contains(ours);
            let refused = try_declared(connector.name, &with(&least(connector.name), &[(ours, value.clone())])).err();
            let says = |p: &Problem| p.message.contains(&format!("spec.arcus.{ours}"));
            assert_eq!(refused.as_ref().is_some_and(says), !owns, "{} {ours}", connector.name);
            let mut body = Map::from_iter([((*theirs).to_owned(), value.clone())]);
            body.extend(connector.oauth.then(|| ("shop".to_owned(), json!("acme.myshopify.com"))));
            let answer = world.raw(connector.name, Value::Object(body)).await;
            let named = answer.err().map(|e| (e.kind, e.effect, e.detail.fields));
            let expected = (Kind::Invalid, Effect::None, vec![format!("spec.arcus.{ours}")]);
            assert_eq!(named, (!owns).then_some(expected), "{} {theirs}", connector.name);
        }
        // Whose the sender's address is, is not documented: we leave it to the provider, and say what it refused.
        let sender = declared(connector.name, &with(&least(connector.name), &[("shipFrom", json!({"zip": "89501"}))]));
        let named = world.create(&sender).await.err().map(|e| e.detail.fields);
        let refused = vec!["spec.arcus.shipFrom.zip".to_owned()];
        assert_eq!(named, (!SHIP.contains(&connector.name)).then_some(refused), "{}", connector.name);
    }
    let error = world.create(&declared("plaid", &json!({"bankAccountId": "no UUID"}))).await.expect_err("a refusal");
    assert_eq!(error.detail.fields, ["spec.arcus.bankAccountId"]);
}

#[tokio::test]
async fn what_bodies_must_not_have_is_refused_by_us_and_by_the_simulator() {
    let world = World::new(at_ease());
    let banned = [
        "credentials",
        "secret",
        "api_key",
        "access_token",
        "refresh_token",
        "webhook_secret",
        "credentials_secret_arn",
        "entity_id",
    ];
    for name in banned {
        let error = world.raw("shippo", json!({name: "test-canary"})).await.expect_err("a refusal");
        assert_eq!((error.kind, error.status), (Kind::Invalid, Some(422)), "{name}");
        assert!(!format!("{error} {error:?}").contains("canary"));
        for config in [json!({name: "test-canary"}), json!({"a": [{"b": {name: "test-canary"}}]})] {
            let error = world.raw("shippo", json!({"config": config})).await.expect_err("a refusal");
            assert_eq!((error.kind, error.detail.fields), (Kind::Invalid, vec!["spec.arcus.config".to_owned()]));
            let problem = try_declared("shippo", &json!({"config": config})).expect_err("a refusal");
            assert!(problem.message.contains(name) && !problem.message.contains("canary"), "{}", problem.message);
        }
    }
    assert!(world.simulator.connectors().is_empty());
}

/// Each field alone: its change, and what of it arrives.
#[tokio::test]
async fn a_change_carries_what_differs_and_nothing_else() {
    let of_shippo = [
        (json!({"displayName": "Parcels"}), "display_name"),
        (json!({"mode": "Live"}), "mode"),
        (json!({"active": false}), "is_active"),
        (json!({"config": {"region": "us"}}), "config.region"),
        (json!({"shipFrom": {"name": "Other"}}), "ship_from_name"),
        (json!({"shipFrom": {"address1": "2 Dock Rd"}}), "ship_from_address1"),
        (json!({"shipFrom": {"city": "Ely"}}), "ship_from_city"),
        (json!({"shipFrom": {"state": "UT"}}), "ship_from_state"),
        (json!({"shipFrom": {"zip": "89502"}}), "ship_from_zip"),
    ];
    let of_others = [
        ("ebay", json!({"sellerId": "other"}), "seller_id"),
        ("amazon", json!({"sellerId": "other"}), "seller_id"),
        ("plaid", json!({"bankAccountId": "1b8a2f6e-3f0c-4f57-9a3c-0f2d4f5b6a71"}), "bank_account_id"),
    ];
    let all_changes = of_shippo.map(|(change, name)| ("shippo", change, name)).into_iter().chain(of_others);
    for (kind, change, name) in all_changes {
        let world = World::new(at_ease());
        let config = if name.starts_with("config") { json!({"config": {"region": "eu"}}) } else { json!({}) };
        let before = with(&config, &[("displayName", json!("Labels"))]);
        let before = with(&before, &own(kind));
        world.made(&declared(kind, &before)).await;
        let changes: Vec<_> =
            change.as_object().expect("an object").iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        let want = declared(kind, &with(&before, &changes));
        world.update(&want).await.expect("an update");
        let record = world.record(&want);
        let last = record.changes.last().expect("a change");
        let field = name.split('.').next().expect("a name").to_owned();
        assert_eq!((last.method.as_str(), &last.sent, &last.changed), ("PATCH", &vec![name.to_owned()], &vec![field]));
        assert_eq!(world.differs(&want, &[]).await, [""; 0]);
    }
}

#[rstest]
#[case::replaced(false)]
#[case::merged(true)]
#[tokio::test]
async fn what_is_not_declared_of_a_configuration_stays_whatever_a_change_does(#[case] merges_config: bool) {
    let world = World::new(arcus::Settings { merges_config, ..at_ease() });
    let want = labels(&json!({"config": {"format": "pdf", "deep": {"a": 1}}}));
    world.made(&want).await;
    let fields = json!({"config": {"format": "png", "theirs": {"x": [1]}}});
    world.done(Act::Change { fields: fields.as_object().expect("an object").clone() }, &want);
    assert_eq!(world.differs(&want, &[]).await, ["spec.arcus.config"]);
    world.update(&want).await.expect("an update");
    let expected = json!({"format": "pdf", "deep": {"a": 1}, "theirs": {"x": [1]}});
    assert_eq!(Value::Object(world.record(&want).config), expected);
    assert_eq!(world.differs(&want, &[]).await, [""; 0]);
}

/// A create takes no word of it: the change comes after.
#[tokio::test]
async fn what_shall_be_off_is_made_and_then_switched_off() {
    let world = World::new(at_ease());
    let want = labels(&json!({"active": false}));
    world.made(&want).await;
    assert_eq!(world.differs(&want, &[]).await, ["spec.arcus.active"]);
    world.update(&want).await.expect("an update");
    let record = world.record(&want);
    assert!(!record.is_active && !record.deleted);
    assert_eq!(record.changes.last().map(|c| c.sent.clone()), Some(vec!["is_active".to_owned()]));
}

#[rstest]
#[case::with_the_row(at_ease())]
#[case::without_a_body(arcus::Settings { delete_without_body: true, ..at_ease() })]
#[case::repeated(arcus::Settings { repeated_deletes_succeed: true, ..at_ease() })]
#[case::repeated_without_a_body(arcus::Settings {
    repeated_deletes_succeed: true, delete_without_body: true, ..at_ease()
})]
#[case::not_shown_any_more(arcus::Settings { deleted_rows_shown: false, ..at_ease() })]
#[case::not_wrapped(arcus::Settings { wrapping: Wrapping::Never, ..at_ease() })]
#[tokio::test]
async fn a_deletion_succeeds_once_and_again(#[case] settings: arcus::Settings) {
    let shown = settings.deleted_rows_shown;
    let world = World::new(settings);
    let want = labels(&json!({}));
    let id = world.made(&want).await;
    for _ in 0..2 {
        assert_eq!(world.delete(&id).await, Ok(()));
        assert!(world.record(&want).deleted);
        assert_eq!(world.found(&Look::Id(id.clone())).await.len(), usize::from(shown));
        assert!(world.found(&Look::Key(want.key())).await.is_empty());
    }
    assert_eq!(world.delete(&ExternalId::new("ups")).await, Ok(()), "what never was, too");
    assert_eq!(world.simulator.stats().deletes, 1);
}

/// A deletion leaves a row that looks switched off. A change tells them apart, and what is known then is believed.
#[tokio::test]
async fn what_somebody_deleted_is_told_from_what_is_switched_off_once_a_change_was_refused() {
    let world = World::new(at_ease());
    let want = labels(&json!({}));
    let id = world.made(&want).await;
    world.done(Act::Delete, &want);
    assert_eq!(world.differs(&want, &[]).await, ["spec.arcus.active"]);
    let error = world.update(&want).await.expect_err("a refusal");
    assert_eq!((error.kind, error.effect), (Kind::NotFound, Effect::None));
    assert!(world.found(&Look::Id(id.clone())).await.is_empty());
    // Whoever makes it anew, it is there.
    world.done(Act::Make { fields: Map::new() }, &want);
    assert_eq!(world.differs(&want, &[]).await, [""; 0]);
    world.done(Act::SetActive { active: false }, &want);
    assert_eq!(world.differs(&want, &[]).await, ["spec.arcus.active"]);
    world.update(&want).await.expect("an update");
    assert_eq!(world.differs(&want, &[]).await, [""; 0]);
}

#[tokio::test]
async fn a_connector_in_use_is_not_deleted_and_said_so() {
    let world = World::new(at_ease());
    let want = labels(&json!({}));
    let id = world.made(&want).await;
    world.done(Act::SetInUse { references: vec!["order-1".to_owned()] }, &want);
    let error = world.delete(&id).await.expect_err("a refusal");
    assert_eq!((error.kind, error.effect, error.detail.code), (Kind::Conflict, Effect::None, Some("resource_in_use")));
    assert!(!world.record(&want).deleted);
}

#[tokio::test]
async fn every_write_has_a_key_of_its_own_and_a_create_that_of_its_permit() {
    let world = World::new(at_ease());
    let want = labels(&json!({"displayName": "Labels"}));
    made_by(&world.session, &want, "nonce-1").await.expect("a record");
    let other = labels(&json!({"displayName": "Parcels"}));
    for name in [&other, &want, &other] {
        world.update(name).await.expect("an update");
    }
    let id = ExternalId::new("shippo");
    world.delete(&id).await.expect("a delete");
    made_by(&world.session, &want, "nonce-2").await.expect("a record");
    world.delete(&id).await.expect("a delete");
    let journal = world.simulator.journal();
    let writes: Vec<_> = journal.iter().filter(|e| e.method != "GET").collect();
    let keys: BTreeSet<_> = writes.iter().map(|e| e.idempotency_key.clone().expect("a key")).collect();
    assert_eq!((writes.len(), keys.len()), (7, 7));
    assert_eq!(writes[0].idempotency_key.as_deref(), Some("nonce-1"));
    assert_eq!(writes[5].idempotency_key.as_deref(), Some("nonce-2"));
    assert!(journal.iter().filter(|e| e.method == "GET").all(|e| e.idempotency_key.is_none()));
    // None of them was taken for another one's answer.
    let record = world.record(&want);
    assert_eq!((record.tally.creates, record.tally.deletes, record.deleted), (2, 2, true));
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_has_expired_sends_nothing() {
    let world = World::new(at_ease());
    let permit = contract::permit(&world.session, "nonce");
    tokio::time::advance(Duration::from_mins(1)).await;
    let late = of(&world.session).create(permit, &labels(&json!({})), &Credentials::default()).await;
    let error = late.expect_err("it is too late");
    assert!(error.local && error.effect == Effect::None, "{error}");
    assert_eq!(world.simulator.stats().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_closes_after_the_permit_was_minted_sends_nothing_before_it_opens_again() {
    let world = World::new(at_ease());
    let permit = contract::permit(&world.session, "nonce");
    world.session.gate.close(Duration::from_secs(30));
    let held = of(&world.session).create(permit, &labels(&json!({})), &Credentials::default()).await;
    let error = held.expect_err("a closed gate");
    assert_eq!((error.kind, error.effect, error.status), (Kind::RateLimited, Effect::None, None));
    assert!(!error.local && !error.is_write(), "{error:?}");
    assert!(error.retry_after.is_some_and(|wait| wait >= Duration::from_secs(30)), "{error:?}");
    assert_eq!(world.simulator.stats().requests, 0);
    tokio::time::advance(Duration::from_secs(30)).await;
    world.create(&labels(&json!({}))).await.expect("a record");
}

#[tokio::test]
async fn a_key_that_was_used_for_something_else_leaves_the_outcome_open() {
    let world = World::new(at_ease());
    made_by(&world.session, &labels(&json!({"displayName": "Labels"})), "nonce").await.expect("a record");
    let error = made_by(&world.session, &labels(&json!({"displayName": "Parcels"})), "nonce").await.expect_err("no");
    assert_eq!((error.kind, error.effect), (Kind::Conflict, Effect::Unknown));
    assert_eq!(error.detail.code, Some("idempotency_key_mismatch"));
    // The same again is answered as before, for a day.
    let again = made_by(&world.session, &labels(&json!({"displayName": "Labels"})), "nonce").await.expect("a record");
    assert_eq!(created(again).id.as_str(), "shippo");
    assert_eq!(world.simulator.stats().creates, 1);
    world.clock.advance(DAY);
    made_by(&world.session, &labels(&json!({"displayName": "Parcels"})), "nonce").await.expect("a key that is new");
}

#[tokio::test]
async fn a_duplicate_is_refused_for_certain() {
    let world = World::new(arcus::Settings { existing: arcus::Existing::Refused, ..at_ease() });
    let want = labels(&json!({}));
    world.made(&want).await;
    let error = world.create(&want).await.expect_err("a refusal");
    assert_eq!((error.kind, error.effect, error.status), (Kind::Conflict, Effect::None, Some(409)));
}

/// No look shows what is switched off, and whoever is refused for it has to know.
#[tokio::test]
async fn what_is_switched_off_and_in_the_way_is_said_to_be_so() {
    let world = World::new(arcus::Settings { existing: arcus::Existing::RefusedAlways, ..at_ease() });
    let want = labels(&json!({}));
    world.made(&want).await;
    let refused = async || {
        let error = world.create(&want).await.expect_err("a refusal");
        assert_eq!((error.kind, error.effect, error.status), (Kind::Conflict, Effect::None, Some(409)));
        error.detail.code.unwrap_or_default()
    };
    assert_eq!(refused().await, "", "who works is found by a look");
    world.done(Act::SetActive { active: false }, &want);
    assert!(world.found(&Look::Key(want.key())).await.is_empty());
    let said = refused().await;
    assert!(said.contains("is switched off: switch it on in Arcus and take it over"), "{said}");
    assert!(!world.record(&want).is_active, "it is nobody's to change");
}

/// A proxy that knows no such path knows nothing of connectors.
#[rstest]
#[case::not_found(404)]
#[case::gone(410)]
#[tokio::test]
async fn a_page_that_is_not_arcus_own_proves_no_absence(#[case] status: u16) {
    let wire = service_fn(move |_: Request<Bytes>| {
        let response = Response::builder().status(status).body(Bytes::from("<html>")).expect("a response");
        std::future::ready(Ok::<_, WireError>(response))
    });
    let session = session(BoxCloneSyncService::new(wire), "2026-05-01");
    let (arcus, id) = (of(&session), ExternalId::new("shippo"));
    for look in [Look::Id(id.clone()), Look::Key(NaturalKey::new("shippo"))] {
        let error = arcus.observe(&look, now(), Pace::Now).await.expect_err("no answer");
        assert_eq!((error.kind, error.effect), (Kind::Protocol, Effect::None));
    }
    assert_eq!(arcus.probe(now(), Pace::Now).await.map_err(|e| e.kind), Err(Kind::Protocol));
    let error = arcus.delete(DeletePermit::mint(id)).await.expect_err("no answer");
    assert_eq!((error.kind, error.effect), (Kind::Protocol, Effect::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_used_up_closes_the_gate_until_it_opens_again() {
    let rate = Rate { per_minute: 3, per_second: 10 };
    let world = World::new(arcus::Settings { test_rate: Some(rate), ..arcus::Settings::default() });
    let id = ExternalId::new("shippo");
    for _ in 0..3 {
        assert!(world.found(&Look::Id(id.clone())).await.is_empty());
    }
    let refused = world.arcus().observe(&Look::Id(id.clone()), now(), Pace::Now).await.expect_err("a closed gate");
    assert_eq!((refused.kind, refused.local, refused.status), (Kind::RateLimited, false, None));
    assert_eq!(world.asked(Asked::ReadDetail), 3, "nothing was sent");
    let rest = refused.retry_after.expect("when to come back");
    world.clock.advance(rest);
    tokio::time::advance(rest).await;
    assert!(world.found(&Look::Id(id)).await.is_empty());
    assert!(world.simulator.journal().iter().all(|entry| entry.status != Some(429)), "the limit was never met");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_the_window_and_who_says_no_is_measured() {
    let rate = Rate { per_minute: 4, per_second: 10 };
    let setup = Setup { arcus: arcus::Settings { test_rate: Some(rate), ..at_ease() }, ..Setup::default() };
    let simulator =
        Simulator::new(ManualClock::starting_at("2026-01-05T10:00:00Z".parse().expect("a time")).clock(), setup);
    let login =
        contract::login(Provider::Arcus, ENDPOINT, "2026-05-01", "ent_simulator", &arcus::Account::default().key);
    let (wire, metrics) = (simulator.in_process().map_err(|_| WireError::Broken), Metrics::new());
    let session = contract::measured(BoxCloneSyncService::new(wire), &login, &metrics);
    let look = Look::Id(ExternalId::new("shippo"));
    of(&session).observe(&look, now(), Pace::Now).await.expect("an answer");
    simulator.push_fault(Fault::on(Asked::ReadDetail, Deform::Refuse { status: 429, retry_after: Some(7) }));
    of(&session).observe(&look, now(), Pace::Now).await.expect_err("a refusal");
    of(&session).observe(&look, now(), Pace::Now).await.expect_err("a closed gate");
    let said = metrics.text();
    for line in [
        "provider_quota_remaining_ratio_bucket{le=\"0.75\",provider=\"Arcus\"} 2",
        "provider_throttled_requests_total{provider=\"Arcus\",by=\"provider\"} 1",
        "provider_throttled_requests_total{provider=\"Arcus\",by=\"pause\"} 1",
        "provider_requests_total{provider=\"Arcus\",operation=\"read\",code=\"429\"} 1",
    ] {
        assert!(said.contains(&format!("tradewind_{line}\n")), "{line}: {said}");
    }
}

#[rstest]
#[case::told_when(Some(7), 7)]
#[case::not_told_when(None, 10)]
#[case::told_nonsense(Some(1_000_000), 3600)]
#[tokio::test(start_paused = true)]
async fn a_limit_is_waited_out_by_everybody(#[case] retry_after: Option<u64>, #[case] seconds: u64) {
    let world = World::new(at_ease());
    world.simulator.push_fault(Fault::on(Asked::Create, Deform::Refuse { status: 429, retry_after }));
    let error = world.create(&labels(&json!({}))).await.expect_err("a refusal");
    assert_eq!((error.kind, error.effect, error.local), (Kind::RateLimited, Effect::None, false));
    assert_eq!(error.detail.code, Some("rate_limit_exceeded"));
    assert_eq!(error.retry_after, retry_after.map(|_| Duration::from_secs(seconds)));
    let look = Look::Id(ExternalId::new("ups"));
    tokio::time::advance(Duration::from_millis(seconds * 1000 - 1)).await;
    assert!(world.arcus().observe(&look, now(), Pace::Now).await.is_err(), "it is still closed");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(world.found(&look).await.is_empty());
    assert_eq!(world.simulator.stats().requests, 2);
}

#[rstest]
#[case::the_newest("2026-05-01", Ok(0))]
#[case::another_day("2031-01-01", Err(400))]
#[tokio::test]
async fn the_version_is_said_with_every_request(#[case] version: &str, #[case] expected: Result<usize, u16>) {
    let world = World::speaking(at_ease(), version);
    let look = Look::Id(ExternalId::new("shippo"));
    let answer = world.arcus().observe(&look, now(), Pace::Now).await;
    assert_eq!(answer.as_ref().map(Vec::len).map_err(|e| e.status.unwrap_or_default()), expected);
    assert!(answer.err().is_none_or(|e| e.kind == Kind::Invalid && e.effect == Effect::None));
}

#[rstest]
#[case::reads("integrations:read", "integrations:write", &[Asked::Create, Asked::Update, Asked::Delete])]
#[case::writes("integrations:write", "integrations:read", &[Asked::List, Asked::ReadDetail])]
#[tokio::test]
async fn a_scope_that_is_missing_is_named_by_every_verb(
    #[case] granted: &str,
    #[case] missing: &str,
    #[case] refused: &[Asked],
) {
    let world = World::new(at_ease());
    let want = labels(&json!({}));
    let id = world.made(&want).await;
    let have = world.have(&id).await;
    world.simulator.change_key("test", |account| account.scopes = vec![granted.to_owned()]).expect("a key");
    let changed = labels(&json!({"displayName": "Parcels"}));
    let Difference::Update(change, _) = Arcus::diff(&changed, &have, &[], None) else { panic!("an update") };
    let arcus = world.arcus();
    let answers = [
        (Asked::Create, world.create(&declared("ups", &json!({}))).await.map(drop)),
        (Asked::List, arcus.probe(now(), Pace::Now).await.map(drop)),
        (Asked::ReadDetail, arcus.observe(&Look::Id(id.clone()), now(), Pace::Now).await.map(drop)),
        (Asked::Update, arcus.update(&id, &change).await),
        (Asked::Delete, world.delete(&id).await),
    ];
    for (asked, answer) in answers {
        let told = answer.err().map(|e| (e.kind, e.effect, e.detail.scope));
        let expected = refused.contains(&asked).then(|| (Kind::Forbidden, Effect::None, Some(missing.to_owned())));
        assert_eq!(told, expected, "{asked:?}");
    }
}

#[rstest]
#[case::revoked(401, Kind::Unauthorized, None)]
#[case::expired(401, Kind::Unauthorized, None)]
#[case::address(403, Kind::Forbidden, Some("ip_not_allowlisted"))]
#[tokio::test]
async fn a_key_that_lets_nobody_in_is_no_absence(#[case] status: u16, #[case] kind: Kind, #[case] code: Option<&str>) {
    let world = World::new(at_ease());
    let expires = (kind == Kind::Unauthorized).then(|| "2026-01-05T10:00:00Z".parse().expect("a time"));
    let change =
        |account: &mut arcus::Account| (account.expires_at, account.address_refused) = (expires, code.is_some());
    world.simulator.change_key("test", change).expect("a key");
    for look in [Look::Id(ExternalId::new("ups")), Look::Key(NaturalKey::new("ups"))] {
        let error = world.arcus().observe(&look, now(), Pace::Now).await.expect_err("a refusal");
        assert_eq!((error.kind, error.status, error.detail.code), (kind, Some(status), code));
    }
    assert!(world.delete(&ExternalId::new("ups")).await.is_err(), "nobody knows that it is gone");
}

/// Who the account is: learned from a list, and from any one row.
#[tokio::test]
async fn the_entity_is_learned_from_a_list_and_from_one_row() {
    let entity = arcus::Account::default().entity_id.to_string();
    for (wrapping, unknown_values) in
        [(Wrapping::Documented, false), (Wrapping::Always, true), (Wrapping::Never, false)]
    {
        let world = World::new(arcus::Settings { wrapping, unknown_values, unknown_fields: true, ..at_ease() });
        assert_eq!(
            world.arcus().probe(now(), Pace::Now).await,
            Ok(None),
            "an entity without connectors has no row that tells"
        );
        world.done(Act::Make { fields: Map::new() }, &labels(&json!({})));
        assert_eq!(world.arcus().probe(now(), Pace::Now).await, Ok(Some(entity.clone())));
    }
    let world = World::new(at_ease());
    world.done(Act::Make { fields: Map::new() }, &labels(&json!({})));
    world.have(&ExternalId::new("shippo")).await;
    assert_eq!((world.arcus().organisation(), world.asked(Asked::List)), (Some(entity.clone()), 0));
    let world = World::new(at_ease());
    world.create(&labels(&json!({}))).await.expect("a record");
    assert_eq!((world.arcus().organisation(), world.simulator.stats().requests), (Some(entity.clone()), 1));
    // The list is named, but not among the documented pages.
    world.simulator.push_fault(Fault::on(Asked::List, Deform::Refuse { status: 404, retry_after: None }));
    assert_eq!(world.arcus().probe(now(), Pace::Now).await, Ok(Some(entity)));
}

#[test]
fn keys_of_one_entity_are_logins_of_one_account() {
    let allow = AllowList::new(&[]).expect("a list");
    let spec = json!({"provider": "Arcus", "credentialsSecretRef": {"name": "s"}});
    let spec = serde_json::from_value(spec).expect("a spec");
    let login = |key: &str| {
        let data: SecretData = std::iter::once(("api_key".to_owned(), SecretString::from(key.to_owned()))).collect();
        login(&spec, &allow, "s", &data).map_err(|problem| problem.message)
    };
    let names = |key: &str| login(key).map_or_else(|e| panic!("{e}"), |l| (l.fingerprint, l.sharing));
    let (one, two) = (names("ark_test_ent_acme_test-canary-1"), names("ark_live_ent_acme_test-canary-2"));
    assert_eq!(one.0, two.0, "one entity");
    assert_ne!(one.1, two.1, "and two keys, which share no session");
    assert_ne!(names("ark_test_ent_other_test-canary-1").0, one.0);
    for bad in ["sk_test_canary", "ark_test_ent_acme_", "ark_test_ent__test-canary", "ark_test_ent_acme_test-canary\n"]
    {
        let message = login(bad).err().unwrap_or_else(|| panic!("{bad} is taken for a key"));
        assert!(message.contains("api_key") && !message.contains("canary"), "{message}");
    }
}

/// A wire that gives these answers, one after the other and the last one for ever, and what it was asked.
fn scripted(answers: Vec<Value>) -> (Session, Arc<Mutex<Vec<String>>>) {
    dated(answers, Some("Mon, 05 Jan 2026 10:00:00 GMT"))
}

/// The same, with or without a `Date`.
fn dated(answers: Vec<Value>, date: Option<&'static str>) -> (Session, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let service = service_fn(move |request: Request<Bytes>| {
        let mut log = log.lock().expect("a log");
        let answer = answers.get(log.len()).or(answers.last()).cloned().expect("an answer");
        log.push(request.uri().path_and_query().expect("a path").to_string());
        let mut response = Response::new(Bytes::from(answer.to_string()));
        response.headers_mut().extend(date.map(|date| (header::DATE, HeaderValue::from_static(date))));
        std::future::ready(Ok::<_, WireError>(response))
    });
    (session(BoxCloneSyncService::new(service), "2026-05-01"), asked)
}

fn page_of(id: &str, has_more: bool) -> Value {
    let row = json!({"id": id, "connector_type": id, "entity_id": "e-1", "is_active": true});
    json!({"object": "list", "data": [row], "has_more": has_more, "url": "/v1/integrations"})
}

#[tokio::test]
async fn all_pages_of_a_list_are_read() {
    let (session, asked) = scripted(vec![page_of("a", true), page_of("b", true), page_of("c", false)]);
    let rows = of(&session).list(Pace::Now).await.expect("a list");
    assert_eq!(rows.iter().map(|row| row.connector_type.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let asked = asked.lock().expect("a log").clone();
    let expected = ["?limit=100", "?limit=100&starting_after=a", "?limit=100&starting_after=b"];
    assert_eq!(asked, expected.map(|query| format!("/v1/integrations{query}")));
    assert_eq!(of(&session).organisation().as_deref(), Some("e-1"));
}

#[tokio::test]
async fn a_list_without_an_end_is_not_read_for_ever() {
    let (session, asked) = scripted(vec![page_of("a", true)]);
    // Whether it is refused or cut short: it ends.
    let _ = of(&session).list(Pace::Now).await;
    assert_eq!(asked.lock().expect("a log").len(), MAX_PAGES);
}

fn store_want() -> ConnectorWant {
    declared("shopify", &least("shopify"))
}

#[rstest]
#[case::documented(at_ease())]
#[case::unknown_fields(arcus::Settings { unknown_fields: true, ..at_ease() })]
#[case::a_row_before_consent(arcus::Settings { row_before_consent: true, ..at_ease() })]
#[tokio::test]
async fn an_invitation_carries_a_link_and_its_expiry(#[case] settings: arcus::Settings) {
    let world = World::new(settings);
    let invitation = accepted(world.create(&store_want()).await.expect("an answer"));
    let link = world.simulator.arcus_links().pop().expect("a link");
    assert!(invitation.link.expose_secret().ends_with(&link.path));
    assert_eq!(invitation.expires_at, link.expires_at);
    assert!(!format!("{invitation:?}").contains("state="), "a link is never printed");
    assert!(world.found(&Look::Key(store_want().key())).await.is_empty());
    // Each asks for a link of its own.
    let again = accepted(world.create(&store_want()).await.expect("an answer"));
    assert_ne!(again.link.expose_secret(), invitation.link.expose_secret());
    world.done(Act::Approve, &store_want());
    assert_eq!(world.found(&Look::Key(store_want().key())).await.len(), 1);
    assert_eq!(world.differs(&store_want(), &[]).await, [""; 0]);
}

#[rstest]
#[case::missing(json!({}), 3600)]
#[case::null(json!({"expires_at": null}), 3600)]
#[case::a_number(json!({"expires_at": 1_767_607_800}), 3600)]
#[case::a_word(json!({"expires_at": "soon"}), 3600)]
#[case::in_ten_minutes(json!({"expires_at": "2026-01-05T10:10:00Z"}), 600)]
#[case::with_an_offset(json!({"expires_at": "2026-01-05T11:10:00.25+01:00"}), 600)]
#[case::in_a_year(json!({"expires_at": "2027-01-05T10:00:00Z"}), 7 * 24 * 3600)]
#[case::at_the_end_of_time(json!({"expires_at": "9999-12-30T22:00:00Z"}), 7 * 24 * 3600)]
#[case::in_the_past(json!({"expires_at": "2020-01-01T00:00:00Z"}), -189_770_400)]
#[tokio::test]
async fn an_expiry_is_believed_within_reason(#[case] told: Value, #[case] seconds: i64) {
    let mut body =
        json!({"object": "integration_oauth_required", "oauth_url": "https://acme.example/test", "hint": "x"});
    body.as_object_mut().expect("an object").extend(told.as_object().expect("an object").clone());
    for answer in [body.clone(), json!({"data": body})] {
        let (session, _) = scripted(vec![answer]);
        let invitation = accepted(made_by(&session, &store_want(), "nonce").await.expect("an answer"));
        let now: Timestamp = "2026-01-05T10:00:00Z".parse().expect("a time");
        assert_eq!(invitation.expires_at.duration_since(now).as_secs(), seconds);
    }
}

/// Then our own clock is all that there is.
#[rstest]
#[case::missing(json!({}), 3600)]
#[case::in_ten_minutes(json!({"expires_at": "2026-01-05T10:10:00Z"}), 600)]
#[case::in_a_year(json!({"expires_at": "2027-01-05T10:00:00Z"}), 7 * 24 * 3600)]
#[tokio::test]
async fn an_expiry_is_believed_where_no_answer_tells_the_time(#[case] told: Value, #[case] seconds: i64) {
    let mut body = json!({"object": "integration_oauth_required", "oauth_url": "https://acme.example/test"});
    body.as_object_mut().expect("an object").extend(told.as_object().expect("an object").clone());
    let (session, _) = dated(vec![body], None);
    let now: Timestamp = "2026-01-05T10:00:00Z".parse().expect("a time");
    let permit = contract::permit_at(&session, "nonce", now);
    let made = of(&session).create(permit, &store_want(), &Credentials::default()).await.expect("an answer");
    assert_eq!(accepted(made).expires_at.duration_since(now).as_secs(), seconds);
}

#[rstest]
#[case::missing(json!({}))]
#[case::empty(json!({"oauth_url": ""}))]
#[case::a_number(json!({"oauth_url": 7}))]
#[case::a_path(json!({"oauth_url": "/admin/oauth"}))]
#[case::a_script(json!({"oauth_url": "javascript:alert(1)"}))]
#[case::a_file(json!({"oauth_url": "file:///etc/passwd"}))]
#[case::no_host(json!({"oauth_url": "https://"}))]
#[case::two_lines(json!({"oauth_url": "https://acme.example/\nSet-Cookie: x"}))]
#[case::an_escape(json!({"oauth_url": "https://acme.example/\u{1b}]0;x\u{7}"}))]
#[tokio::test]
async fn what_is_no_link_is_handed_to_nobody(#[case] url: Value) {
    let mut body = json!({"object": "integration_oauth_required", "expires_at": "2026-01-05T10:10:00Z"});
    body.as_object_mut().expect("an object").extend(url.as_object().expect("an object").clone());
    let (session, _) = scripted(vec![body]);
    let error = made_by(&session, &store_want(), "nonce").await.expect_err("no link");
    assert_eq!((error.kind, error.effect), (Kind::Protocol, Effect::Unknown));
}

/// The credentials of what was deleted come back within seven days, and the create says so.
#[rstest]
#[case::at_once(Duration::ZERO, true, true)]
#[case::almost_too_late(HOUR * (7 * 24 - 1), true, true)]
#[case::too_late(DAY * 7, true, false)]
#[case::in_a_new_row(HOUR, false, true)]
#[tokio::test]
async fn a_create_within_a_week_brings_the_credentials_back(
    #[case] after: Duration,
    #[case] revives_rows: bool,
    #[case] back: bool,
) {
    let world = World::new(arcus::Settings { revives_rows, ..at_ease() });
    let want = labels(&json!({"displayName": "Labels"}));
    let id = world.made(&want).await;
    world.done(Act::EnterCredentials, &want);
    world.clock.advance(HOUR);
    world.delete(&id).await.expect("a delete");
    world.clock.advance(after);
    let before = world.clock.now();
    let again = created(world.create(&want).await.expect("a record"));
    assert_eq!((again.restored, again.summary.has_credentials), (back, Some(back)));
    assert!(again.born.is_some_and(|born| born >= before), "it is this create's, whatever the row remembers");
    assert_eq!(matches!(again.summary.health, Some(Health::Works { .. })), back);
    assert_eq!(world.record(&want).tally.restores, usize::from(back));
}

#[rstest]
#[case::without_consent(HOUR, true, true)]
#[case::with_consent(HOUR, false, false)]
#[case::too_late(DAY * 8, true, false)]
#[tokio::test]
async fn a_store_within_a_week_may_need_no_consent(
    #[case] after: Duration,
    #[case] recovery_skips_consent: bool,
    #[case] back: bool,
) {
    let world = World::new(arcus::Settings { recovery_skips_consent, ..at_ease() });
    let id = world.made(&store_want()).await;
    world.delete(&id).await.expect("a delete");
    world.clock.advance(after);
    match world.create(&store_want()).await.expect("an answer") {
        Made::Created(created) => assert!(back && created.restored, "{created:?}"),
        Made::Accepted(_) => assert!(!back, "a link, and nobody has to consent"),
    }
}

#[rstest]
#[case::html(Deform::GarbageBody)]
#[case::empty(Deform::EmptyBody)]
#[case::another_type(Deform::UnknownValues)]
#[case::no_type(Deform::NullField { field: "connector_type".into() })]
#[case::no_object(Deform::NullField { field: "data".into() })]
#[tokio::test]
async fn an_answer_that_tells_no_record_proves_neither_absence_nor_a_create(#[case] effect: Deform) {
    let world = World::new(arcus::Settings { wrapping: Wrapping::Always, ..at_ease() });
    let want = labels(&json!({}));
    let id = world.made(&want).await;
    world.simulator.push_fault(Fault::on_any(effect).forever());
    for look in [Look::Id(id.clone()), Look::Key(want.key())] {
        let error = world.arcus().observe(&look, now(), Pace::Now).await.expect_err("no answer");
        assert_eq!((error.kind, error.effect), (Kind::Protocol, Effect::None), "{look:?}");
    }
    let error = world.create(&declared("ups", &json!({}))).await.expect_err("no answer");
    assert_eq!((error.kind, error.effect), (Kind::Protocol, Effect::Unknown));
}

#[rstest]
#[case::to_the_login_page(302)]
#[case::permanent(301)]
#[case::with_the_verb(307)]
#[tokio::test]
async fn a_redirect_is_followed_by_nobody(#[case] status: u16) {
    let world = World::new(at_ease());
    let want = labels(&json!({}));
    let id = world.made(&want).await;
    world.simulator.push_fault(Fault::on_any(Deform::StatusAfterApply { status }).forever());
    let asked = world.simulator.stats().requests;
    let read = world.arcus().observe(&Look::Id(id.clone()), now(), Pace::Now).await.expect_err("no answer");
    assert_eq!((read.kind, read.effect), (Kind::Protocol, Effect::None));
    let created = world.create(&declared("ups", &json!({}))).await.expect_err("no answer");
    assert_eq!((created.kind, created.effect), (Kind::Protocol, Effect::Unknown));
    assert_eq!(world.delete(&id).await.expect_err("no answer").effect, Effect::Unknown);
    assert_eq!(world.simulator.stats().requests, asked + 3);
}

/// What a list must show of an attempt whose type is not known any more.
#[tokio::test]
async fn what_was_made_in_the_window_of_an_attempt_is_found() {
    let world = World::new(at_ease());
    world.done(Act::Make { fields: Map::new() }, &declared("ups", &json!({})));
    world.clock.advance(HOUR);
    let at = world.clock.now();
    let want = labels(&json!({}));
    let id = world.made(&want).await;
    let intent = crate::api::v1alpha1::StoredIntent {
        uid: "u".into(),
        attempt: 1,
        nonce: "n".into(),
        at: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at),
        key: None,
        account: "a".into(),
    };
    let look = Look::Window(Box::new(intent));
    assert_eq!(world.found(&look).await.iter().map(|r| &r.id).collect::<Vec<_>>(), [&id]);
    world.delete(&id).await.expect("a delete");
    assert!(world.found(&look).await.is_empty());
}

/// A server may take another spelling of a type for the same one; two objects would hold it then.
#[tokio::test]
async fn a_type_in_another_spelling_is_none() {
    let (session, asked) = scripted(vec![json!({"connector_type": "shippo", "is_active": true, "display_name": "a"})]);
    let want = labels(&json!({"displayName": "b"}));
    let id = ExternalId::new("shippo");
    let have = of(&session).observe(&Look::Id(id), now(), Pace::Now).await.expect("records").remove(0).have;
    let Difference::Update(change, _) = Arcus::diff(&want, &have.expect("what it is"), &[], None) else {
        panic!("a change")
    };
    let spelled = ExternalId::new("Shippo");
    assert!(of(&session).observe(&Look::Id(spelled.clone()), now(), Pace::Now).await.expect("records").is_empty());
    let refused = of(&session).update(&spelled, &change).await.map_err(|e| (e.kind, e.effect, e.status));
    assert_eq!(refused, Err((Kind::NotFound, Effect::None, None)));
    assert_eq!(of(&session).delete(DeletePermit::mint(spelled)).await, Ok(()), "there is none");
    assert_eq!(asked.lock().expect("a log").len(), 1, "nothing was sent");
}
