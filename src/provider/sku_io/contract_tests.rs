//! Every setting and every verb, from a declaration to what the simulator takes and answers.

use super::*;
use crate::{
    api::v1alpha1::Provider,
    domain::{
        instances::{SETTINGS, Setting, setting_path},
        verdict::Effect,
    },
    provider::{Backend, Session, WireError, contract},
};
use bytes::Bytes;
use http::{Request, Response};
use rstest::rstest;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;
use tower::{service_fn, util::BoxCloneSyncService};
use tradewind_simulator::{
    Effect as Deform, Fault, ManualClock, Operation as Asked, Setup, Simulator,
    sku_io::{self, Cleaning, Deed, Envelope, JobStatus, Presence, Starter},
};

/// A session with a simulator of its own.
struct World {
    simulator: Simulator,
    session: Session,
    clock: ManualClock,
}

impl World {
    fn new(settings: sku_io::Settings) -> Self {
        Self::with_token(settings, &sku_io::Account::default().token)
    }

    fn with_token(settings: sku_io::Settings, token: &str) -> Self {
        let login = contract::login(Provider::SkuIo, "https://beta.acme.example.com", "", "", token);
        let setup = Setup { sku_io: settings, ..Setup::default() };
        let (simulator, session, clock) = contract::simulated(setup, &login);
        Self { simulator, session, clock }
    }

    fn sku(&self) -> &SkuIo {
        let Backend::SkuIo(sku) = &self.session.backend else { panic!("a session of another provider") };
        sku
    }

    fn credentials(&self, want: &InstanceWant) -> Credentials {
        self.sku().credentials(want, "s", &held("test-canary-store")).expect("credentials")
    }

    async fn create(&self, want: &InstanceWant) -> Result<Created, ApiError> {
        let permit = contract::permit(&self.session, "test");
        only_record(self.sku().create(permit, want, &self.credentials(want)).await)
    }

    async fn made(&self, want: &InstanceWant) -> ExternalId {
        self.create(want).await.unwrap_or_else(|e| panic!("{want:?}: {e}")).id
    }

    async fn found(&self, look: &Look, freshness: Freshness) -> Vec<Record<Have>> {
        self.sku().observe(look, freshness, Pace::Now).await.expect("records")
    }

    /// The one record with this id, however fresh.
    async fn one(&self, id: &ExternalId, freshness: Freshness) -> Have {
        let mut found = self.found(&Look::Id(id.clone()), freshness).await;
        assert_eq!(found.len(), 1, "{id}");
        found.remove(0).have.expect("what it is")
    }

    async fn delete(&self, id: &ExternalId) -> Result<(), ApiError> {
        self.sku().delete(DeletePermit::mint(id.clone())).await
    }

    fn record(&self, id: &ExternalId) -> sku_io::Record {
        self.simulator.instance(id.as_str().parse().expect("a number")).expect("a record")
    }

    fn asked(&self, operation: Asked) -> usize {
        contract::asked(&self.simulator, operation)
    }

    /// What the simulator says to a body that we would never send.
    async fn raw(&self, body: Value) -> u16 {
        let operation = Operation::Create;
        let call = Call { operation, method: Method::POST, path: &INSTANCES, query: &[], body: Some(body), key: None };
        self.sku().reads.http.send(call, Pace::Now).await.expect("an answer").status.as_u16()
    }
}

fn now() -> Freshness {
    Freshness::After(Instant::now())
}

const LISTED: Freshness = Freshness::Within(Duration::from_hours(1));

fn held(token: &str) -> SecretData {
    std::iter::once(("token".to_owned(), SecretString::from(token.to_owned()))).collect()
}

/// The name of a setting in a declaration.
fn camel(setting: &Setting) -> String {
    setting_path(setting.name).replace("spec.settings.", "")
}

/// The values that a setting is tried with.
fn values(setting: &Setting) -> Vec<Value> {
    let mut values = match setting.name {
        "store_hash" => vec![json!("lhv58otl0w")],
        "start_date" => vec![json!("2026-01-01"), json!("1999-12-31")],
        name if name.ends_with("_id") => vec![json!(1), json!(9_007_199_254_740_991_i64)],
        name if name.ends_with("percentage") => vec![json!(2.5), json!(0.0), json!(100.0), json!(7.333_333)],
        name if name.starts_with("batch") => vec![json!("daily"), json!("monthly"), json!("none")],
        _ => vec![json!(true), json!(false)],
    };
    values.extend(setting.nullable.then_some(Value::Null));
    values
}

fn declared(change: impl FnOnce(&mut Value)) -> InstanceWant {
    let required = SETTINGS.iter().filter(|s| s.required).map(|s| (camel(s), values(s).remove(0)));
    let mut spec = json!({
        "provider": "SkuIo", "accountRef": {"name": "a"}, "platform": "big-commerce", "name": "acme-outdoor",
        "integrationId": 5, "accessTokenSecretRef": {"name": "s", "key": "token"},
        "settings": required.collect::<Map<_, _>>(),
    });
    change(&mut spec);
    let spec = serde_json::from_value(spec).expect("a spec");
    SkuIo::want(&Declaration::IntegrationInstance(spec)).expect("a want")
}

/// A declaration with what a create needs, and these settings.
fn with(settings: &[(&Setting, Value)]) -> InstanceWant {
    declared(|spec| {
        for (setting, value) in settings {
            spec["settings"][camel(setting)] = value.clone();
        }
    })
}

/// With what a create needs and nothing else; each setting with each value; all at once.
fn every_want() -> Vec<InstanceWant> {
    let alone = SETTINGS.iter().flat_map(|s| values(s).into_iter().map(move |value| with(&[(s, value)])));
    let all: Vec<_> = SETTINGS.iter().map(|s| (s, values(s).remove(0))).collect();
    let last: Vec<_> = SETTINGS.iter().map(|s| (s, values(s).pop().expect("a value"))).collect();
    let manual = declared(|spec| spec["automaticSync"] = json!(false));
    let automatic = declared(|spec| spec["automaticSync"] = json!(true));
    [with(&[]), with(&all), with(&last), manual, automatic].into_iter().chain(alone).collect()
}

fn paths(difference: Difference<Change>) -> Vec<String> {
    match difference {
        Difference::None => vec![],
        Difference::Update(_, paths) => paths,
        Difference::Replace(paths) => panic!("a new record for {paths:?}"),
    }
}

/// A name is free again at once.
fn quick() -> sku_io::Settings {
    sku_io::Settings { cleanup: Duration::ZERO, ..sku_io::Settings::default() }
}

#[rstest]
#[case::documented(quick())]
#[case::old_envelope(sku_io::Settings { envelope: Envelope::Status, ..quick() })]
#[case::no_envelope(sku_io::Settings { envelope: Envelope::Bare, ..quick() })]
#[case::numbers_for_booleans(sku_io::Settings { booleans_as_numbers: true, ..quick() })]
#[case::strings_for_ids(sku_io::Settings { ids_as_strings: true, ..quick() })]
#[case::as_a_database_has_it(sku_io::Settings {
    booleans_as_numbers: true, ids_as_strings: true, envelope: Envelope::Status, ..quick()
})]
#[case::unknown_fields(sku_io::Settings { unknown_fields: true, ..quick() })]
#[case::without_timestamps(sku_io::Settings { timestamps: false, ..quick() })]
#[case::without_settings_in_lists(sku_io::Settings { settings_in_lists: false, ..quick() })]
#[case::with_connection_settings(sku_io::Settings { echoes_connection_settings: true, ..quick() })]
#[case::old_statuses(sku_io::Settings { old_statuses: true, ..quick() })]
#[case::null_where_nobody_looks(sku_io::Settings {
    null_fields: vec!["integration".into(), "sales_channel".into(), "updated_at".into(), "message".into()], ..quick()
})]
#[tokio::test]
async fn what_was_created_reads_as_equal_however_the_server_spells_it(#[case] settings: sku_io::Settings) {
    let world = World::new(settings);
    for want in every_want() {
        let id = world.made(&want).await;
        let by_key = world.found(&Look::Key(want.key()), now()).await;
        assert_eq!(by_key.iter().map(|r| &r.id).collect::<Vec<_>>(), [&id], "by its name");
        for have in [world.one(&id, now()).await, world.one(&id, LISTED).await] {
            assert_eq!(paths(SkuIo::diff(&want, &have, &[], None)), [""; 0], "{want:?}\n{have:?}");
        }
        world.delete(&id).await.expect("a delete");
    }
    assert_eq!(world.asked(Asked::Update), 0);
}

#[tokio::test]
async fn an_enumeration_with_a_value_that_nobody_knows_differs_and_nothing_else_does() {
    let world = World::new(sku_io::Settings { unknown_values: true, ..sku_io::Settings::default() });
    let all: Vec<_> = SETTINGS.iter().map(|s| (s, values(s).remove(0))).collect();
    let want = with(&all);
    let id = world.made(&want).await;
    let batches: Vec<_> =
        SETTINGS.iter().filter(|s| s.name.starts_with("batch")).map(|s| setting_path(s.name)).collect();
    assert_eq!(paths(SkuIo::diff(&want, &world.one(&id, now()).await, &[], None)), batches);
}

/// What can never be null is not told where it is: then what was sent last counts.
#[tokio::test]
async fn a_null_where_none_can_be_is_not_told() {
    let never: Vec<&str> = SETTINGS.iter().filter(|s| !s.nullable).map(|s| s.name).collect();
    let more = ["name", "integration_id", "is_automatic_sync_enabled", "created_at"];
    for field in never.into_iter().chain(more) {
        let world = World::new(sku_io::Settings { null_fields: vec![field.to_owned()], ..sku_io::Settings::default() });
        let all: Vec<_> = SETTINGS.iter().map(|s| (s, values(s).remove(0))).collect();
        let want = with(&all);
        let id = world.made(&want).await;
        for freshness in [now(), LISTED] {
            let have = world.one(&id, freshness).await;
            assert_eq!(paths(SkuIo::diff(&want, &have, &want.applied(), None)), [""; 0], "{field}");
        }
    }
}

#[tokio::test]
async fn a_null_where_one_can_be_is_told() {
    for setting in SETTINGS.iter().filter(|s| s.nullable) {
        let null_fields = vec![setting.name.to_owned()];
        let world = World::new(sku_io::Settings { null_fields, ..sku_io::Settings::default() });
        let want = with(&[(setting, values(setting).remove(0))]);
        let id = world.made(&want).await;
        let have = world.one(&id, now()).await;
        assert_eq!(paths(SkuIo::diff(&want, &have, &want.applied(), None)), [setting_path(setting.name)]);
    }
}

#[rstest]
#[case::as_numbers(false)]
#[case::as_strings(true)]
#[tokio::test]
async fn another_type_asks_for_a_new_record(#[case] ids_as_strings: bool) {
    let world = World::new(sku_io::Settings { ids_as_strings, ..sku_io::Settings::default() });
    let id = world.made(&with(&[])).await;
    let want = declared(|spec| spec["integrationId"] = json!(6));
    let have = world.one(&id, now()).await;
    let difference = SkuIo::diff(&want, &have, &[], None);
    assert!(matches!(difference, Difference::Replace(paths) if paths == ["spec.integrationId"]));
}

#[tokio::test]
async fn another_type_is_seen_by_what_was_made_where_nobody_tells_it() {
    let null_fields = vec!["integration_id".to_owned()];
    let world = World::new(sku_io::Settings { null_fields, ..sku_io::Settings::default() });
    let made = with(&[]);
    let id = world.made(&made).await;
    let want = declared(|spec| spec["integrationId"] = json!(6));
    let have = world.one(&id, now()).await;
    let difference = SkuIo::diff(&want, &have, &made.applied(), None);
    assert!(matches!(difference, Difference::Replace(paths) if paths == ["spec.integrationId"]));
    assert_eq!(paths(SkuIo::diff(&want, &have, &[], None)), ["spec.name"; 0], "it is not known what it was made with");
}

#[tokio::test]
async fn a_missing_field_is_refused_by_us_before_any_call_and_by_the_simulator_too() {
    let world = World::new(sku_io::Settings::default());
    let today = jiff::civil::date(2026, 1, 5);
    assert_eq!(with(&[]).objection(today, true), None);
    let whole = || {
        let mut body = instances::body(with(&[]).fields());
        body.insert("integration_id".to_owned(), json!(5));
        with_token(body, Some(&SecretString::from("test-canary-store")))
    };
    for setting in SETTINGS.iter().filter(|s| s.required) {
        let want = declared(|spec| drop(spec["settings"].as_object_mut().expect("an object").remove(&camel(setting))));
        let problem = want.objection(today, true).expect("an objection");
        assert!(problem.message.contains(&setting_path(setting.name)), "{}", problem.message);
        assert_eq!(want.objection(today, false), None, "{}: what is there may do without", setting.name);
        let mut body = whole();
        body["integration_settings"].as_object_mut().expect("an object").remove(setting.name).expect("a field");
        assert_eq!(world.raw(body).await, 422, "{}", setting.name);
    }
    let want = declared(|spec| drop(spec.as_object_mut().expect("an object").remove("integrationId")));
    let problem = want.objection(today, true).expect("an objection");
    assert!(problem.message.contains("spec.integrationId"), "{}", problem.message);
    let refused = |data: &SecretData| world.sku().credentials(&with(&[]), "s", data).expect_err("a refusal").message;
    assert!(refused(&SecretData::new()).contains("key token is missing"), "{}", refused(&SecretData::new()));
    for bad in ["", "test-canary\n", "test canary"] {
        assert!(!refused(&held(bad)).contains("canary"));
    }
    for name in ["name", "integration_id", "connection_settings", "integration_settings"] {
        let mut body = whole();
        body.as_object_mut().expect("an object").remove(name).expect("a field");
        assert_eq!(world.raw(body).await, 422, "{name}");
    }
    assert_eq!((world.simulator.stats().creates, world.raw(whole()).await), (0, 201));
}

/// The change that a declaration asks for, and what of it arrives.
async fn sent(world: &World, id: &ExternalId, want: &InstanceWant, fresh: Option<&Credentials>) -> Vec<String> {
    let have = world.one(id, now()).await;
    let Difference::Update(change, _) = SkuIo::diff(want, &have, &[], fresh) else { panic!("no update: {want:?}") };
    world.sku().update(id, &change).await.expect("an update");
    let record = world.record(id);
    let last = record.changes.last().expect("a change");
    let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(last.method, "PATCH");
    assert_eq!(sorted(&last.sent), sorted(&last.changed), "all that was sent did differ");
    let again = SkuIo::diff(want, &world.one(id, LISTED).await, &[], None);
    assert_eq!(paths(again), [""; 0], "the list that was read before the change does not count");
    last.sent.clone()
}

#[tokio::test]
async fn a_patch_has_what_differs_and_nothing_else() {
    let world = World::new(sku_io::Settings::default());
    let id = world.made(&with(&[])).await;
    world.one(&id, LISTED).await;
    for setting in SETTINGS {
        let old = world.record(&id).integration_settings.get(setting.name).cloned().unwrap_or_default();
        let fresh_hash = |value: Value| if setting.name == "store_hash" { json!("another00") } else { value };
        let values = values(setting).into_iter().map(fresh_hash).filter(|value| *value != old);
        let mut last = old.clone();
        for value in values {
            assert_eq!(
                sent(&world, &id, &with(&[(setting, value.clone())]), None).await.last(),
                Some(&format!("integration_settings.{}", setting.name))
            );
            assert_ne!(last, value);
            last = world.record(&id).integration_settings[setting.name].clone();
            assert_eq!((last.as_f64(), last.as_str()), (value.as_f64(), value.as_str()), "{}", setting.name);
        }
        // The others are again as a create has them: one field at a time.
        world
            .simulator
            .act_sku(&Deed::Change {
                instance: world.record(&id).id,
                fields: Map::from_iter([("integration_settings".to_owned(), json!({setting.name: old}))]),
            })
            .expect("a change");
    }
    let counted: BTreeSet<_> = world.record(&id).changes.iter().map(|change| change.sent.len()).collect();
    assert_eq!(counted, BTreeSet::from([1]), "one at a time");
}

#[tokio::test]
async fn a_patch_has_many_fields_at_once_and_the_token_alone_where_only_that_is_new() {
    let world = World::new(sku_io::Settings::default());
    let id = world.made(&with(&[])).await;
    let other: Vec<_> = SETTINGS.iter().filter(|s| !s.required).map(|s| (s, values(s).remove(0))).collect();
    let want = declared(|spec| {
        for (setting, value) in &other {
            spec["settings"][camel(setting)] = value.clone();
        }
        spec["settings"]["syncSalesCreditToAccounting"] = json!(false);
        spec["automaticSync"] = json!(true);
    });
    // The two that are as they were by default: true.
    let same = "integration_settings.sync_sales_order_invoices_to_accounting";
    let mut expected: Vec<_> = other.iter().map(|(s, _)| format!("integration_settings.{}", s.name)).collect();
    expected.retain(|name| name != same);
    expected.push("is_automatic_sync_enabled".to_owned());
    expected.sort();
    let mut all = sent(&world, &id, &want, None).await;
    all.sort();
    assert_eq!(all, expected);

    let fresh = world.sku().credentials(&want, "s", &held("test-canary-store-2")).expect("credentials");
    assert_eq!(sent(&world, &id, &want, Some(&fresh)).await, ["connection_settings.access_token"]);
    assert_eq!(world.record(&id).token_version, 2);
    let Difference::Update(_, named) = SkuIo::diff(&want, &world.one(&id, now()).await, &[], Some(&fresh)) else {
        panic!("a token that is new is always given: nobody can read the old one")
    };
    assert_eq!(named, ["spec.accessTokenSecretRef"]);
}

#[tokio::test]
async fn ten_thousand_instances_are_read_and_the_one_is_found_by_id_and_by_name() {
    let world = World::new(sku_io::Settings::default());
    let want = with(&[]);
    world.simulator.act_sku(&Deed::Fill { tenant_id: None, prefix: "load".into(), count: 9_999 }).expect("a deed");
    let id = world.made(&want).await;
    let have = world.one(&id, LISTED).await;
    assert_eq!(paths(SkuIo::diff(&want, &have, &[], None)), [""; 0]);
    assert_eq!((world.asked(Asked::List), world.asked(Asked::ReadDetail)), (100, 0));
    // One list serves all.
    let records = world.simulator.instances();
    for n in [0, 99, 100, 9_998] {
        world.one(&ExternalId::new(records[n].id.to_string()), LISTED).await;
    }
    assert_eq!((world.asked(Asked::List), world.asked(Asked::ReadDetail)), (100, 0));
    let by_name = world.found(&Look::Key(want.key()), now()).await;
    assert_eq!(by_name.iter().map(|r| &r.id).collect::<Vec<_>>(), [&id]);
    let one = world.found(&Look::Key(NaturalKey::new("load-09999")), now()).await;
    assert_eq!(one.len(), 1);
    // All that the search shows are looked through: the name is in a thousand others.
    world
        .simulator
        .act_sku(&Deed::Make { tenant_id: None, name: "load".into(), store_hash: "load".into() })
        .expect("a deed");
    assert_eq!(world.found(&Look::Key(NaturalKey::new("load")), now()).await.len(), 1);
}

#[rstest]
#[case::longer("acme-outdoor-2")]
#[case::before("my acme-outdoor")]
#[case::in_other_letters("Acme-Outdoor")]
#[tokio::test]
async fn a_name_is_found_as_it_is_written(#[case] other: &str) {
    let world = World::new(sku_io::Settings::default());
    let hash = "other00".to_owned();
    world.simulator.act_sku(&Deed::Make { tenant_id: None, name: other.into(), store_hash: hash }).expect("a deed");
    assert!(world.found(&Look::Key(with(&[]).key()), now()).await.is_empty());
    assert_eq!(world.found(&Look::Key(NaturalKey::new(other)), now()).await.len(), 1);
}

#[rstest]
#[case::percent("50% & more/less?#+=")]
#[case::umlauts("Söhne \u{2013} EU")]
#[case::blanks("a  b")]
#[tokio::test]
async fn a_name_with_odd_characters_is_found(#[case] name: &str) {
    let world = World::new(sku_io::Settings::default());
    let want = declared(|spec| spec["name"] = json!(name));
    let id = world.made(&want).await;
    let found = world.found(&Look::Key(want.key()), now()).await;
    assert_eq!(found.iter().map(|r| &r.id).collect::<Vec<_>>(), [&id]);
    assert_eq!(paths(SkuIo::diff(&want, found[0].have.as_ref().expect("what it is"), &[], None)), [""; 0]);
}

#[tokio::test]
async fn a_name_that_is_taken_is_told_apart_from_a_bad_one() {
    let world = World::new(sku_io::Settings::default());
    world.made(&with(&[])).await;
    let error = world.create(&with(&[])).await.expect_err("a refusal");
    assert_eq!((error.kind, error.effect, error.status), (Kind::Taken, Effect::None, Some(422)));
    let other = declared(|spec| spec["name"] = json!("ACME-OUTDOOR"));
    assert_eq!(world.create(&other).await.expect_err("a refusal").kind, Kind::Taken);
    world.simulator.configure_sku_io(|s| s.stores = vec![7]);
    let error = world.create(&with(&[])).await.expect_err("a refusal");
    assert_eq!(
        (error.kind, error.detail.fields),
        (Kind::Invalid, vec!["spec.settings.storeId".into(), "spec.name".into()])
    );
    assert_eq!(world.simulator.stats().creates, 1);
}

#[tokio::test]
async fn who_the_login_belongs_to_is_told_by_the_tenant_id() {
    let world = World::new(sku_io::Settings::default());
    assert_eq!(world.sku().organisation(), None);
    assert_eq!(world.sku().probe(now(), Pace::Now).await, Ok(Some("tenant-1".to_owned())));
    assert_eq!(world.sku().organisation().as_deref(), Some("tenant-1"));
    for odd in [
        sku_io::Settings { unknown_fields: true, unknown_values: true, ..sku_io::Settings::default() },
        sku_io::Settings { null_fields: vec!["token".into(), "data".into()], ..sku_io::Settings::default() },
    ] {
        assert_eq!(World::new(odd).sku().probe(now(), Pace::Now).await, Ok(Some("tenant-1".to_owned())));
    }
    let untold = sku_io::Settings { null_fields: vec!["tenant_id".into()], ..sku_io::Settings::default() };
    assert_eq!(World::new(untold).sku().probe(now(), Pace::Now).await, Ok(None));
    let world = World::with_token(sku_io::Settings::default(), "9|test-canary-of-nobody");
    let error = world.sku().probe(now(), Pace::Now).await.expect_err("a refusal");
    assert_eq!((error.kind, error.status, world.sku().organisation()), (Kind::Unauthorized, Some(401), None));
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[rstest]
#[case::reads("integrations:read", "integrations:write", &[Asked::Create, Asked::Update, Asked::Delete, Asked::Refresh])]
#[case::writes("integrations:write", "integrations:read", &[Asked::List, Asked::ReadDetail])]
#[tokio::test]
async fn a_scope_that_is_missing_is_named_by_every_verb(
    #[case] granted: &str,
    #[case] missing: &str,
    #[case] refused: &[Asked],
) {
    let world = World::new(sku_io::Settings::default());
    let want = with(&[]);
    let id = world.made(&want).await;
    let have = world.one(&id, now()).await;
    world.simulator.change_token(1, |account| account.scopes = vec![granted.to_owned()]).expect("a token");
    let other = declared(|spec| {
        (spec["name"], spec["settings"]["storeHash"]) = (json!("other"), json!("other00"));
    });
    let changed = with(&[(&SETTINGS[2], json!(4))]);
    let Difference::Update(change, _) = SkuIo::diff(&changed, &have, &[], None) else { panic!("an update") };
    let sku = world.sku();
    let refreshed = sku.refresh(&id, &Entity::Orders).await.map(drop);
    let answers = [
        (Asked::Create, world.create(&other).await.map(drop)),
        (Asked::List, sku.observe(&Look::Key(want.key()), now(), Pace::Now).await.map(drop)),
        (Asked::ReadDetail, sku.observe(&Look::Id(id.clone()), now(), Pace::Now).await.map(drop)),
        (Asked::Update, sku.update(&id, &change).await),
        (Asked::Refresh, refreshed),
        (Asked::Delete, world.delete(&id).await),
    ];
    for (asked, answer) in answers {
        let scope = answer.as_ref().err().map(|e| (e.kind, e.effect, e.detail.scope.clone()));
        let expected = refused.contains(&asked).then(|| (Kind::Forbidden, Effect::None, Some(missing.to_owned())));
        assert_eq!(scope, expected, "{asked:?}");
    }
    assert_eq!(sku.probe(now(), Pace::Now).await, Ok(Some("tenant-1".to_owned())), "needs no scope");
}

#[rstest]
#[case::without_jobs(false)]
#[case::with_jobs(true)]
#[tokio::test]
async fn a_refresh_is_one_call_for_each_entity_and_names_its_job_where_there_are_any(#[case] tracked_jobs: bool) {
    let world = World::new(sku_io::Settings { tracked_jobs, ..sku_io::Settings::default() });
    let want = with(&[]);
    let id = world.made(&want).await;
    let mut jobs = Vec::new();
    for (load, _) in SkuIo::loads(&want, &[Entity::Products, Entity::Orders]) {
        jobs.push(world.sku().refresh(&id, &load).await.expect("accepted"));
    }
    assert_eq!((jobs.len(), jobs.iter().filter(|job| job.is_some()).count()), (2, if tracked_jobs { 2 } else { 0 }));
    let record = world.record(&id);
    for entity in [sku_io::Entity::Products, sku_io::Entity::Orders] {
        assert_eq!((record.refreshed(entity, Starter::Create), record.refreshed(entity, Starter::Request)), (1, 1));
    }
    let Some(job) = jobs.into_iter().flatten().next() else {
        assert_eq!(world.sku().job("90003").await, Ok(Job::Lost));
        return;
    };
    let number = job.parse().expect("a number");
    assert_eq!(world.sku().job(&job).await, Ok(Job::Running), "pending");
    for (status, expected) in [
        (JobStatus::Running, Job::Running),
        (JobStatus::Completed, Job::Completed),
        (JobStatus::Failed, Job::Failed),
        (JobStatus::Cancelled, Job::Failed),
    ] {
        world.simulator.act_sku(&Deed::SetJob { job: number, status }).expect("a deed");
        for envelope in [Envelope::Data, Envelope::Status, Envelope::Bare] {
            world.simulator.configure_sku_io(|s| s.envelope = envelope);
            assert_eq!(world.sku().job(&job).await, Ok(expected), "{status:?} {envelope:?}");
        }
    }
    world.simulator.configure_sku_io(|s| s.unknown_values = true);
    assert_eq!(world.sku().job(&job).await, Ok(Job::Running), "a word that nobody knows is no end");
    world.simulator.configure_sku_io(|s| (s.unknown_values, s.null_fields) = (false, vec!["status".into()]));
    assert_eq!(world.sku().job(&job).await, Ok(Job::Running));
    assert_eq!(world.sku().job("12345").await, Ok(Job::Lost));
}

#[rstest]
#[case::hidden(Cleaning::Hidden, false)]
#[case::archived(Cleaning::Archived, false)]
#[case::listed(Cleaning::Listed, false)]
#[case::with_a_body(Cleaning::Listed, true)]
#[tokio::test]
async fn what_we_deleted_is_gone_whatever_is_still_shown(#[case] cleaning: Cleaning, #[case] old_statuses: bool) {
    let cleanup = Duration::from_mins(1);
    let world = World::new(sku_io::Settings { cleaning, cleanup, old_statuses, ..sku_io::Settings::default() });
    let want = with(&[]);
    let id = world.made(&want).await;
    world.one(&id, LISTED).await;
    world.delete(&id).await.expect("a delete");
    for freshness in [now(), LISTED] {
        assert!(world.found(&Look::Id(id.clone()), freshness).await.is_empty());
        assert!(world.found(&Look::Key(want.key()), freshness).await.is_empty());
    }
    assert_eq!(world.create(&want).await.expect_err("the name is taken").kind, Kind::Taken);
    assert_eq!(world.delete(&id).await, Ok(()), "gone is deleted");
    world.clock.advance(cleanup);
    assert_ne!(world.made(&want).await, id);
    assert_eq!(world.delete(&ExternalId::new("999999999")).await, Ok(()), "what never was, too");
}

/// A colleague deleted it: it is on its way out, whoever asks.
#[rstest]
#[case::hidden(Cleaning::Hidden)]
#[case::archived(Cleaning::Archived)]
#[case::listed(Cleaning::Listed)]
#[tokio::test]
async fn what_somebody_else_deleted_is_not_found_by_its_name(#[case] cleaning: Cleaning) {
    let cleanup = Duration::from_mins(1);
    let world = World::new(sku_io::Settings { cleaning, cleanup, ..sku_io::Settings::default() });
    let want = with(&[]);
    let id = world.made(&want).await;
    world.simulator.act_sku(&Deed::Delete { instance: world.record(&id).id }).expect("a deed");
    assert!(world.found(&Look::Key(want.key()), now()).await.is_empty());
    assert_eq!(world.delete(&id).await, Ok(()));
    assert_eq!(world.record(&id).presence, Presence::Cleaning);
}

#[rstest]
#[case::to_the_login_page(302)]
#[case::permanent(301)]
#[case::with_the_verb(307)]
#[tokio::test]
async fn a_redirect_is_followed_by_nobody(#[case] status: u16) {
    let world = World::new(sku_io::Settings::default());
    let want = with(&[]);
    let id = world.made(&want).await;
    world.simulator.push_fault(Fault::on_any(Deform::StatusAfterApply { status }).forever());
    let asked = world.simulator.stats().requests;
    let sku = world.sku();
    let read = sku.observe(&Look::Id(id.clone()), now(), Pace::Now).await.expect_err("no answer");
    assert_eq!((read.kind, read.effect), (Kind::Protocol, Effect::None));
    let other = declared(|spec| spec["name"] = json!("other"));
    let created = world.create(&other).await.expect_err("no answer");
    assert_eq!((created.kind, created.effect), (Kind::Protocol, Effect::Unknown));
    assert_eq!(world.delete(&id).await.expect_err("no answer").effect, Effect::Unknown);
    assert_eq!(world.simulator.stats().requests, asked + 3);
}

#[rstest]
#[case::html(Deform::GarbageBody)]
#[case::empty(Deform::EmptyBody)]
#[case::without_ids(Deform::WithoutId)]
#[case::null_ids(Deform::NullField { field: "id".into() })]
#[tokio::test]
async fn an_answer_that_tells_no_record_proves_neither_absence_nor_a_create(#[case] effect: Deform) {
    let world = World::new(sku_io::Settings::default());
    let want = with(&[]);
    let id = world.made(&want).await;
    world.simulator.push_fault(Fault::on_any(effect).forever());
    for look in [Look::Id(id.clone()), Look::Key(want.key())] {
        let error = world.sku().observe(&look, now(), Pace::Now).await.expect_err("no answer");
        assert_eq!(error.kind, Kind::Protocol, "{look:?}");
    }
    let other = declared(|spec| spec["name"] = json!("other"));
    let error = world.create(&other).await.expect_err("no answer");
    assert_eq!((error.kind, error.effect), (Kind::Protocol, Effect::Unknown));
}

#[tokio::test]
async fn the_first_day_may_lie_as_far_back_as_one_likes_and_not_in_the_future() {
    let today = jiff::civil::date(2026, 1, 5);
    let day = |day: &str| declared(|spec| spec["settings"]["startDate"] = json!(day));
    for fine in ["1999-01-01", "2026-01-05", "2026-01-06"] {
        assert_eq!(day(fine).objection(today, true), None, "{fine}");
    }
    for creating in [true, false] {
        let problem = day("2026-01-07").objection(today, creating).expect("an objection");
        assert!(problem.message.contains("spec.settings.startDate lies in the future"), "{}", problem.message);
    }
}

/// A record, and no link.
fn only_record(answer: Result<Made, ApiError>) -> Result<Created, ApiError> {
    answer.map(|made| match made {
        Made::Created(created) => *created,
        Made::Accepted(_) => panic!("SKU.io hands out no links"),
    })
}

/// What was read by itself is newer than a list that began before.
#[tokio::test]
async fn an_older_list_does_not_undo_what_was_read_since() {
    let world = World::new(sku_io::Settings::default());
    let (want, other) = (
        with(&[]),
        declared(|spec| {
            (spec["name"], spec["settings"]["storeHash"]) = (json!("other"), json!("other00"));
        }),
    );
    let (id, gone) = (world.made(&want).await, world.made(&other).await);
    let differs = async |freshness| paths(SkuIo::diff(&want, &world.one(&id, freshness).await, &[], None));
    let set = |store: u64| {
        let fields = Map::from_iter([("integration_settings".to_owned(), json!({"store_id": store}))]);
        world.simulator.act_sku(&Deed::Change { instance: world.record(&id).id, fields }).expect("a change");
    };
    set(9);
    assert_eq!(differs(LISTED).await, ["spec.settings.storeId"]);
    set(1);
    for freshness in [now(), LISTED] {
        assert_eq!(differs(freshness).await, [""; 0]);
    }
    world.simulator.act_sku(&Deed::Delete { instance: world.record(&gone).id }).expect("a deed");
    for freshness in [now(), LISTED] {
        assert!(world.found(&Look::Id(gone.clone()), freshness).await.is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_does_not_tell_the_tenant_does_not_take_it_back() {
    let answers = [json!({"data": {"tenant_id": "tenant-1"}}), json!({"data": {}}), json!({"tenant_id": "tenant-2"})];
    let answers = Arc::new(std::sync::Mutex::new(answers.into_iter()));
    let wire = service_fn(move |_: Request<Bytes>| {
        let answer = answers.lock().expect("answers").next().expect("an answer");
        std::future::ready(Ok::<_, WireError>(Response::new(Bytes::from(answer.to_string()))))
    });
    let login = contract::login(Provider::SkuIo, "https://beta.acme.example.com", "", "", "test");
    let session = contract::session(BoxCloneSyncService::new(wire), &login);
    let Backend::SkuIo(sku) = &session.backend else { panic!("a session of another provider") };
    for tenant in ["tenant-1", "tenant-1", "tenant-2"] {
        assert_eq!(sku.probe(now(), Pace::Now).await, Ok(Some(tenant.to_owned())));
        assert_eq!(sku.organisation().as_deref(), Some(tenant));
    }
}

/// As many objects as would be too large as maps, and more text than any answer but a list may have.
#[rstest]
#[case::a_list("{},".repeat(9000))]
#[case::anything_else("x".repeat(2 << 20))]
#[tokio::test]
async fn a_refusal_that_weighs_too_much_is_one_all_the_same(#[case] body: String) {
    let wire = service_fn(move |_: Request<Bytes>| {
        let response = Response::builder().status(429).header("retry-after", "7").body(Bytes::from(body.clone()));
        std::future::ready(Ok::<_, WireError>(response.expect("a response")))
    });
    let login = contract::login(Provider::SkuIo, "https://beta.acme.example.com", "", "", "test");
    for look in [true, false] {
        let session = contract::session(BoxCloneSyncService::new(wire.clone()), &login);
        let Backend::SkuIo(sku) = &session.backend else { panic!("a session of another provider") };
        let error = if look {
            sku.observe(&Look::Key(NaturalKey::new("acme")), now(), Pace::Now).await.expect_err("a refusal")
        } else {
            sku.probe(now(), Pace::Now).await.expect_err("a refusal")
        };
        let told = (error.kind, error.status, error.retry_after);
        assert_eq!(told, (Kind::RateLimited, Some(429), Some(Duration::from_secs(7))));
    }
}

/// Whose an instance is that no list shows does not take a list of all to tell.
#[tokio::test]
async fn what_the_list_does_not_show_is_asked_for_by_itself() {
    let world = World::new(sku_io::Settings::default());
    let want = with(&[]);
    world.simulator.act_sku(&Deed::Fill { tenant_id: None, prefix: "load".into(), count: 300 }).expect("a deed");
    let (archived, gone) = (world.made(&want).await, ExternalId::new("999999999"));
    let deed = Deed::Archive { instance: world.record(&archived).id, archived: true };
    world.simulator.act_sku(&deed).expect("a deed");
    let mut lists = vec![];
    for id in [&archived, &gone, &archived, &gone] {
        let names_it = world.sku().recogniser(id).await.expect("an answer");
        assert_eq!((names_it(&want.key()), names_it(&NaturalKey::new("load-00001"))), (*id == archived, false));
        lists.push(world.asked(Asked::List));
    }
    assert_eq!(lists, [3; 4]);
    // And not again at once: whoever comes back for a look that found no place in the budget must find one in the end.
    assert_eq!(world.asked(Asked::ReadDetail), 2);
}

/// A tenant of so many of these rows; and how many rows each page was asked for with.
fn heavy(count: usize, row: fn(usize) -> Value) -> (Session, Arc<std::sync::Mutex<Vec<usize>>>) {
    let asked = Arc::new(std::sync::Mutex::new(vec![]));
    let log = Arc::clone(&asked);
    let wire = service_fn(move |request: Request<Bytes>| {
        let query = request.uri().query().unwrap_or_default();
        let number = |name: &str| -> usize {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)).expect("a number");
            value.parse().expect("a number")
        };
        let (limit, page) = (number("limit="), number("page="));
        log.lock().expect("a log").push(limit);
        let rows: Vec<Value> = (0..count).skip(limit * (page - 1)).take(limit).map(row).collect();
        let body = json!({"data": rows, "last_page": count.div_ceil(limit)}).to_string();
        std::future::ready(Ok::<_, WireError>(Response::new(Bytes::from(body))))
    });
    let login = contract::login(Provider::SkuIo, "https://beta.acme.example.com", "", "", "test");
    (contract::session(BoxCloneSyncService::new(wire), &login), asked)
}

/// A row with the tiers of its prices and the locations of its stock, none of which can be declared.
fn with_locations(n: usize) -> Value {
    let location = |at: usize| {
        let rules: Vec<Value> = (0..12).map(|rule| json!({"id": rule, "sku": "x", "buffer": 1})).collect();
        json!({"id": at, "name": "Warehouse", "rules": rules})
    };
    let tiers: Vec<Value> = (0..8).map(|tier| json!({"from": tier, "price": 1})).collect();
    json!({"id": n + 1, "name": format!("instance-{n}"), "integration_settings": {
        "store_hash": "a", "pricing": {"tiers": tiers}, "inventory": {"locations": (0..4).map(location).collect::<Vec<_>>()},
    }})
}

#[rstest]
#[case::with_locations(60, with_locations, &[100, 25, 25, 25], 25)]
#[case::too_heavy_for_any_but_the_smallest(7, |n| {
    json!({"id": n + 1, "name": "a", "integration_settings": {}, "notes": "x".repeat(200 << 10)})
}, &[100, 25, 6, 6], 6)]
#[case::light(60, |n| json!({"id": n + 1, "name": "a"}), &[100], 100)]
#[tokio::test]
async fn a_page_that_is_too_heavy_is_asked_for_in_smaller_ones(
    #[case] count: usize,
    #[case] row: fn(usize) -> Value,
    #[case] limits: &[usize],
    #[case] then: usize,
) {
    let (session, asked) = heavy(count, row);
    let Backend::SkuIo(sku) = &session.backend else { panic!("a session of another provider") };
    assert_eq!(sku.reads.everything(now(), Pace::Now).await.expect("all of them").len(), count);
    assert_eq!(std::mem::take(&mut *asked.lock().expect("a log")), limits);
    assert_eq!(sku.reads.everything(now(), Pace::Now).await.expect("all of them").len(), count);
    let again = asked.lock().expect("a log").clone();
    assert!(again.iter().all(|limit| *limit == then), "what will do is known by now: {again:?}");
}

/// Who weighed much for a moment is read by large pages again.
#[tokio::test]
async fn pages_become_large_again_once_they_weigh_little() {
    let (session, asked) = heavy(60, |n| json!({"id": n + 1, "name": "a"}));
    let Backend::SkuIo(sku) = &session.backend else { panic!("a session of another provider") };
    sku.reads.only_small_pages();
    for limits in [vec![6; 10], vec![25; 3], vec![100]] {
        assert_eq!(sku.reads.everything(now(), Pace::Now).await.expect("all of them").len(), 60);
        assert_eq!(std::mem::take(&mut *asked.lock().expect("a log")), limits);
    }
}

/// A single row that weighs more than a page may is no row of SKU.io's.
#[tokio::test]
async fn a_row_that_is_too_heavy_for_any_page_is_an_error() {
    let (session, asked) = heavy(1, |_| json!({"id": 1, "notes": "x".repeat(2 << 20)}));
    let Backend::SkuIo(sku) = &session.backend else { panic!("a session of another provider") };
    assert_eq!(sku.reads.everything(now(), Pace::Now).await.expect_err("no list").kind, Kind::Protocol);
    assert_eq!(*asked.lock().expect("a log"), [100, 25, 6]);
}

/// A server may take another spelling of an id for the same instance; two objects would hold it then.
#[tokio::test]
async fn an_id_in_another_spelling_is_that_of_no_instance() {
    let world = World::new(sku_io::Settings { loose_ids: true, ..sku_io::Settings::default() });
    let (want, other) = (with(&[]), with(&[(&SETTINGS[2], json!(4))]));
    let id = world.made(&want).await;
    let Difference::Update(change, _) = SkuIo::diff(&other, &world.one(&id, LISTED).await, &[], None) else {
        panic!("an update")
    };
    let (sku, asked) = (world.sku(), world.simulator.stats().requests);
    for spelled in [format!("0{id}"), format!("000{id}"), format!("{id}.0"), "0".to_owned(), "-1".to_owned()] {
        let spelled = ExternalId::new(spelled);
        for freshness in [now(), LISTED] {
            assert!(world.found(&Look::Id(spelled.clone()), freshness).await.is_empty(), "{spelled}");
        }
        assert!(!sku.recogniser(&spelled).await.expect("an answer")(&want.key()), "{spelled}");
        let refused = [
            sku.update(&spelled, &change).await,
            sku.refresh(&spelled, &Entity::Orders).await.map(drop),
            sku.verify(&spelled).await.map(drop),
        ];
        for answer in refused {
            let told = answer.map_err(|e| (e.kind, e.effect, e.status));
            assert_eq!(told, Err((Kind::NotFound, Effect::None, None)), "{spelled}");
        }
        assert_eq!(world.delete(&spelled).await, Ok(()), "there is none");
    }
    assert_eq!(world.simulator.stats().requests, asked, "nothing was sent");
    assert_eq!(world.record(&id).presence, Presence::Live);
}
