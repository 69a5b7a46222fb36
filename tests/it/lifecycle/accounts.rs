//! Accounts: what is wrong with a login or an endpoint, who an account is, and that it stays for as long as it is needed.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};
use tradewind::api::v1alpha1::{Connection, ProviderAccount, ProviderAccountStatus};
use tradewind_simulator::rutter::{self, Deed};
use tradewind_simulator::{Effect, Fault, Operation};

use super::deletion::is_held;
use super::expect::{assert_healed, assert_stalled, assert_waiting, changed};
use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{LOGIN_CANARY, World, connection, id_of, message, secret, store};

/// Another login of the organisation that the first one belongs to.
const COLLEAGUE: (&str, &str) = ("test-colleague-id", "test-canary-colleague-5d20");
/// A login of an organisation of its own.
const OUTSIDER: (&str, &str) = ("test-outsider-id", "test-canary-outsider-c8e1");
/// The organisation of the outsider.
const OUTSIDE: &str = "00000000-0000-4000-8000-00000000000b";

/// A world with the logins above beside the usual one, and a running operator.
async fn world_of_logins(name: &str) -> World {
    let mut setup = World::setup();
    let login = |(id, key): (&str, &str)| rutter::Account {
        client_id: id.to_owned(),
        client_secret: key.to_owned(),
        ..rutter::Account::default()
    };
    setup.accounts.push(login(COLLEAGUE));
    setup.accounts.push(rutter::Account { org_id: OUTSIDE.to_owned(), ..login(OUTSIDER) });
    let mut world = World::with(name, setup).await;
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    world
}

/// An account `colleague` with the colleague's login, beside the usual one.
async fn add_colleague(world: &World) {
    world.sandbox.apply(&secret("colleague", &[("client_id", COLLEAGUE.0), ("client_secret", COLLEAGUE.1)])).await;
    let twin = changed(&world.account(), &json!({"credentialsSecretRef": {"name": "colleague"}}));
    world.sandbox.apply(&twin.replace(r#""name":"rutter""#, r#""name":"colleague""#)).await;
}

/// The record of the store `acme` stays with its object when `twin`, declared with this, asks for it.
async fn assert_not_adopted(world: &World, twin: &Value, id: &str) {
    world.sandbox.apply(&changed(&connection("twin", &store("acme"), ""), twin)).await;
    let halted = world.until("twin", "Ready", "False", "ExternalIdConflict").await;
    assert_stalled(&halted, "ExternalIdConflict", &[id]);
    assert_eq!(world.sandbox.get::<Secret>("twin-connection").await, None, "the token is not its own");
    world.assert_made(1, &[id]);
}

/// The organisation of the usual login.
fn organisation() -> String {
    rutter::Account::default().org_id
}

/// The account's Secret holds this login from now on.
async fn log_in_as(world: &World, (id, key): (&str, &str)) {
    world.sandbox.apply(&secret("rutter-api", &[("client_id", id), ("client_secret", key)])).await;
}

/// The usual login.
const USUAL: (&str, &str) = ("test-client-id", LOGIN_CANARY);

fn status(account: &ProviderAccount) -> ProviderAccountStatus {
    account.status.clone().unwrap_or_default()
}

async fn held_secret(world: &World, name: &str) -> bool {
    world.sandbox.get::<Secret>(name).await.is_some_and(|secret| is_held(&secret))
}

/// A port that nobody may call, whatever becomes of the account that names it.
pub(crate) fn canary() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a listener that can be asked");
    listener
}

/// Nobody has called.
pub(crate) fn assert_silent(canary: &TcpListener) {
    let called = canary.accept();
    assert!(matches!(&called, Err(error) if error.kind() == ErrorKind::WouldBlock), "somebody called: {called:?}");
}

#[test]
#[should_panic(expected = "somebody called")]
fn who_calls_is_heard() {
    let canary = canary();
    let _call = TcpStream::connect(canary.local_addr().expect("an address")).expect("a connection");
    assert_silent(&canary);
}

#[rstest]
#[case::missing_secret("", "SecretNotFound", &["Secret rutter-api does not exist", "Create it"])]
#[case::missing_key("stringData: {client_id: test-canary-id}", "SecretKeyMissing", &["client_secret is missing"])]
#[case::empty(
    "stringData: {client_id: test-canary-id, client_secret: ''}",
    "SecretKeyMissing", &["client_secret is empty"]
)]
#[case::line_break(
    r#"stringData: {client_id: test-canary-id, client_secret: "test-canary-key\n"}"#,
    "SecretKeyMissing", &["client_secret", "a trailing line break?"]
)]
#[case::binary("data: {client_id: //79/A==, client_secret: //79/A==}", "SecretKeyMissing", &["client_id", "no login has"])]
#[case::colon(
    "stringData: {client_id: 'test:canary', client_secret: test-canary-key}",
    "SecretKeyMissing", &["client_id", "no login has"]
)]
#[tokio::test]
async fn a_login_that_cannot_be_used_is_never_sent_and_heals_when_it_is_corrected(
    #[case] data: &str,
    #[case] reason: &str,
    #[case] says: &[&str],
) {
    let mut world = World::quiet("bad-login").await;
    if !data.is_empty() {
        world.sandbox.apply(&format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: rutter-api}}\n{data}")).await;
    }
    world.sandbox.apply(&changed(&world.account(), &json!({}))).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let account = world.account_until("Ready", "False", reason).await;
    if reason == "SecretNotFound" {
        assert_waiting(&account, reason, says);
    } else {
        assert_stalled(&account, reason, says);
        assert_stalled(&account, reason, &["Secret rutter-api", "correct the Secret"]);
    }
    assert!(account.says("CredentialsValid", "False", reason) || reason == "SecretNotFound", "{account:#?}");
    let waiting = world.until("acme", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&waiting, "DependencyNotReady", &["ProviderAccount rutter is not ready"]);
    assert_waiting(&waiting, "DependencyNotReady", says);
    world.rests::<ProviderAccount>("rutter").await;
    world.rests::<Connection>("acme").await;
    assert_eq!(world.simulator.stats().requests, 0);

    log_in_as(&world, USUAL).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_healed(&world.account_until("Ready", "True", "Succeeded").await);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[rstest]
#[case::another_port(|_: &World, canary: u16| format!("http://127.0.0.1:{canary}/versioned"))]
#[case::another_name_of_the_same_place(|world: &World, _: u16| world.endpoint.replace("127.0.0.1", "localhost"))]
#[case::another_scheme(|world: &World, _: u16| world.endpoint.replace("http://", "https://"))]
#[tokio::test]
async fn an_endpoint_that_is_not_allowed_gets_no_connection_and_no_login(#[case] endpoint: fn(&World, u16) -> String) {
    let mut world = World::quiet("endpoint").await;
    let canary = canary();
    let port = canary.local_addr().expect("an address").port();
    let forbidden = endpoint(&world, port);
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&changed(&world.account(), &json!({"endpoint": forbidden}))).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let account = world.account_until("Ready", "False", "EndpointNotAllowed").await;
    assert_stalled(&account, "EndpointNotAllowed", &["allow-list", "--allow-endpoint"]);
    let waiting = world.until("acme", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&waiting, "DependencyNotReady", &["ProviderAccount rutter is not ready", "--allow-endpoint"]);
    world.rests::<ProviderAccount>("rutter").await;
    world.rests::<Connection>("acme").await;
    assert_eq!(world.simulator.stats().requests, 0);

    world.sandbox.apply(&world.account()).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_silent(&canary);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[tokio::test]
async fn a_ready_account_whose_endpoint_is_edited_away_is_not_asked_any_more() {
    let world = World::new("endpoint-edit").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    let canary = canary();
    let forbidden = format!("http://{}/versioned", canary.local_addr().expect("an address"));
    world.sandbox.apply(&changed(&world.account(), &json!({"endpoint": forbidden}))).await;
    world.account_until("Ready", "False", "EndpointNotAllowed").await;
    let waiting = world.until("acme", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&waiting, "DependencyNotReady", &["ProviderAccount rutter is not ready", "--allow-endpoint"]);
    let calls = world.simulator.stats().requests;
    world.rests::<Connection>("acme").await;
    assert_eq!(world.simulator.stats().requests, calls, "neither the new endpoint nor the old one");

    world.sandbox.apply(&world.account()).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_eq!(id_of(&healed), id);
    assert_silent(&canary);
    world.assert_made(1, &[&id]);
}

#[tokio::test]
async fn a_login_that_the_provider_refuses_is_said_at_the_account_and_heals_when_it_is_corrected() {
    let mut world = World::quiet("refused").await;
    world.sandbox.apply(&world.account()).await;
    log_in_as(&world, (USUAL.0, "test-canary-wrong")).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let account = world.account_until("Ready", "False", "CredentialsRejected").await;
    assert_stalled(&account, "CredentialsRejected", &["Rutter refused the login", "Correct the Secret"]);
    assert!(account.says("CredentialsValid", "False", "CredentialsRejected"), "{account:#?}");
    let waiting = world.until("acme", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&waiting, "DependencyNotReady", &["ProviderAccount rutter is not ready", "refused the login"]);
    world.rests::<ProviderAccount>("rutter").await;
    world.rests::<Connection>("acme").await;

    log_in_as(&world, USUAL).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_healed(&world.account_until("Ready", "True", "Succeeded").await);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[tokio::test]
async fn a_login_that_is_refused_later_loses_no_record_and_holds_a_deletion_until_it_is_corrected() {
    let mut world = World::new("refused-later").await;
    for name in ["stays", "goes"] {
        world.sandbox.apply(&connection(name, &store(name), "")).await;
    }
    let (stays, goes) = (id_of(&world.settled("stays").await), id_of(&world.settled("goes").await));
    log_in_as(&world, (USUAL.0, "test-canary-wrong")).await;
    // A process that has worked with the login of before goes on with it; the next one knows only this one.
    world.stop().await;
    world.start().await;
    let account = world.looked_at::<ProviderAccount>("rutter").await;
    assert_stalled(&account, "CredentialsRejected", &["Rutter refused the login", "Correct the Secret"]);
    let waiting = world.until("stays", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&waiting, "DependencyNotReady", &["ProviderAccount rutter is not ready", "Correct the Secret"]);
    assert_eq!(id_of(&waiting), stays);
    world.sandbox.delete::<Connection>("goes").await;
    let blocked = world.until("goes", "Ready", "False", "DeletionBlocked").await;
    assert!(blocked.says("Stalled", "True", "DeletionBlocked"), "{blocked:#?}");
    let why = &blocked.condition("Ready").expect("it is there").message;
    assert!(why.contains("ProviderAccount rutter is not ready") && why.contains("Correct the Secret"), "{why}");
    world.rests::<Connection>("stays").await;
    world.assert_made(2, &[&stays, &goes]);

    log_in_as(&world, USUAL).await;
    world.sandbox.wait_gone::<Connection>("goes", HANG).await;
    assert_healed(&world.settled("stays").await);
    world.assert_made(2, &[&stays]);
}

/// A new secret has to prove itself before anything is done with it.
#[tokio::test]
async fn a_new_secret_of_a_login_is_used_once_it_works_and_not_before() {
    const NEXT: (&str, &str) = (USUAL.0, "test-canary-next");
    let setup = World::setup();
    let next = rutter::Account { client_secret: NEXT.1.to_owned(), ..setup.accounts[0].clone() };
    let accounts = vec![setup.accounts[0].clone(), next];
    let mut world = World::with("rotated", tradewind_simulator::Setup { accounts, ..setup }).await;
    world.furnish().await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let acme = id_of(&world.settled("acme").await);

    log_in_as(&world, (USUAL.0, "test-canary-wrong")).await;
    let account = world.looked_at::<ProviderAccount>("rutter").await;
    assert!(account.says("Ready", "True", "Succeeded"), "{account:#?}");
    assert!(account.says("CredentialsValid", "False", "RotationRejected"), "{account:#?}");
    let why = &account.condition("CredentialsValid").expect("it is there").message;
    assert!(why.contains("Correct the Secret") && why.contains("of before stays in use"), "{why}");
    world.sandbox.apply(&connection("later", &store("later"), "")).await;
    let later = id_of(&world.settled("later").await);
    assert_healed(&world.looked_at::<Connection>("acme").await);

    log_in_as(&world, NEXT).await;
    let account = world.looked_at::<ProviderAccount>("rutter").await;
    assert_healed(&account);
    assert_eq!(world.events("rutter", "RotatedAndVerified").await, 1);
    world.sandbox.delete::<Connection>("later").await;
    world.sandbox.wait_gone::<Connection>("later", HANG).await;
    world.ends_with(&[&acme], 2, 1);
    assert_ne!(acme, later);
}

#[tokio::test]
async fn a_provider_that_is_down_at_first_is_waited_for() {
    let mut world = World::quiet("down").await;
    world.take_provider_down().await;
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let account = world.account_until("Ready", "False", "ProviderUnavailable").await;
    assert_waiting(&account, "ProviderUnavailable", &["Rutter cannot be reached", "Trying again"]);
    let waiting = world.until("acme", "Ready", "False", "ProviderUnavailable").await;
    assert_waiting(&waiting, "ProviderUnavailable", &["Rutter cannot be reached", "Trying again"]);
    world.rests::<ProviderAccount>("rutter").await;
    world.rests::<Connection>("acme").await;

    world.bring_provider_up();
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    assert_healed(&world.account_until("Ready", "True", "Succeeded").await);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[tokio::test]
async fn a_key_that_has_not_the_form_of_one_is_said_and_never_sent() {
    let mut world = World::quiet("no-key").await;
    world.sandbox.apply(&secret("rutter-api", &[("api_key", "test-canary-key")])).await;
    world.sandbox.apply(&changed(&world.account(), &json!({"provider": "Arcus"}))).await;
    world.start().await;
    let account = world.account_until("Ready", "False", "SecretKeyMissing").await;
    assert_stalled(&account, "SecretKeyMissing", &["api_key", "ark_live_ent_", "correct the Secret"]);
    world.rests::<ProviderAccount>("rutter").await;
    world.sandbox.delete::<ProviderAccount>("rutter").await;
    world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
    assert_eq!(world.simulator.stats().requests, 0);
}

#[rstest]
#[case::version(json!({"rutter": {"version": "2020-01-01"}}), "InvalidSpec", &["spec.rutter.version", "2024-08-31"])]
#[tokio::test]
async fn an_account_that_asks_for_what_is_not_served_makes_nothing_until_that_is_removed(
    #[case] spec: Value,
    #[case] reason: &str,
    #[case] says: &[&str],
) {
    let mut world = World::quiet("guard").await;
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&changed(&world.account(), &spec)).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let account = world.account_until("Ready", "False", reason).await;
    assert_stalled(&account, reason, says);
    let waiting = world.until("acme", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&waiting, "DependencyNotReady", says);
    world.rests::<ProviderAccount>("rutter").await;
    assert_eq!(world.simulator.stats().requests, 0);

    world.sandbox.apply(&world.account()).await;
    let healed = world.settled("acme").await;
    assert_healed(&healed);
    world.assert_made(1, &[&id_of(&healed)]);
}

#[tokio::test]
async fn an_account_learns_who_it_is_from_its_first_connection_and_remembers_it() {
    let mut world = World::new("identity").await;
    let nobody = world.account_until("Ready", "True", "Succeeded").await;
    assert_eq!(status(&nobody).identity, None, "nobody has told yet");
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    let known = world.looked_at::<ProviderAccount>("rutter").await;
    assert_eq!(status(&known).identity, Some(organisation()));
    assert_healed(&known);
    let acme = world.looked_at::<Connection>("acme").await;
    assert_eq!(acme.status.and_then(|s| s.account), Some(organisation()));

    world.stop().await;
    world.start().await;
    assert_healed(&world.looked_at::<Connection>("acme").await);
    assert_eq!(status(&world.looked_at::<ProviderAccount>("rutter").await).identity, Some(organisation()));
    world.assert_made(1, &[&id]);
}

#[rstest]
#[case::over_several_looks(Duration::from_millis(300))]
#[case::in_one_look(Duration::ZERO)]
#[tokio::test]
async fn an_object_records_who_its_account_is_as_soon_as_a_connection_told(#[case] sync: Duration) {
    let mut setup = World::setup();
    (setup.rutter.initial_sync, setup.rutter.history) = (sync, sync);
    let mut world = World::with("identity-soon", setup).await;
    world.sandbox.apply(&world.account()).await;
    world.sandbox.apply(&World::store_login()).await;
    world.start().await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let acme = world.settled("acme").await;
    assert_eq!(acme.status.as_ref().and_then(|s| s.account.clone()), Some(organisation()), "its status has been read");
    world.assert_made(1, &[&id_of(&acme)]);
}

#[tokio::test]
async fn an_account_that_stood_unused_is_taken_into_use_by_its_first_object() {
    let world = World::new("unused").await;
    let other = world.account().replace("metadata: {name: rutter}", "metadata: {name: other}");
    world.sandbox.apply(&other).await;
    world.looked_at::<ProviderAccount>("rutter").await;
    let unused = world.looked_at::<ProviderAccount>("other").await;
    assert!(!is_held(&unused) && !held_secret(&world, "rutter-api").await, "nothing needs it");
    world.sandbox.apply(&connection("first", &store("first"), "")).await;
    let first = id_of(&world.settled("first").await);

    let by_other = json!({"accountRef": {"name": "other"}});
    world.sandbox.apply(&changed(&connection("second", &store("second"), ""), &by_other)).await;
    let second = id_of(&world.settled("second").await);
    assert!(is_held(&world.sandbox.get::<ProviderAccount>("other").await.expect("an account")));
    world.assert_made(2, &[&first, &second]);
}

#[tokio::test]
async fn an_account_and_its_secret_are_held_while_they_are_in_use_and_not_longer() {
    let world = World::new("hold").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    let used = world.looked_at::<ProviderAccount>("rutter").await;
    assert!(is_held(&used) && held_secret(&world, "rutter-api").await);
    assert_eq!(status(&used).held_secret.as_deref(), Some("rutter-api"));
    assert!(!held_secret(&world, "store-login").await, "a deletion needs the account's login alone");

    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    let unused = world.looked_at::<ProviderAccount>("rutter").await;
    assert!(!is_held(&unused) && !held_secret(&world, "rutter-api").await, "{unused:#?}");
    assert_eq!(status(&unused).held_secret, None);
    assert_healed(&unused);
    world.assert_made(1, &[]);
}

#[tokio::test]
async fn the_login_of_an_account_that_nobody_uses_any_more_can_be_deleted_without_asking() {
    let world = World::new("let-go").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.sandbox.delete::<Secret>("rutter-api").await;
    world.sandbox.wait_gone::<Secret>("rutter-api", HANG).await;
    world.sandbox.delete::<ProviderAccount>("rutter").await;
    world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
    world.assert_made(1, &[]);
}

#[tokio::test]
async fn the_deletion_of_an_account_in_use_waits_for_its_objects_and_says_how_many() {
    let world = World::new("held").await;
    let names = ["one", "two"];
    for name in names {
        world.sandbox.apply(&connection(name, &store(name), "")).await;
    }
    let ids = [id_of(&world.settled("one").await), id_of(&world.settled("two").await)];
    world.sandbox.delete::<ProviderAccount>("rutter").await;
    world.sandbox.delete::<Secret>("rutter-api").await;
    let held = world.account_until("Ready", "False", "DeletionHeld").await;
    assert!(held.says("Stalled", "True", "DeletionHeld") && held.kstatus() == Kstatus::Terminating, "{held:#?}");
    let why = &held.condition("Ready").expect("it is there").message;
    assert!(why.contains("2 objects use") && why.contains("Delete them first"), "{why}");
    let login = world.sandbox.get::<Secret>("rutter-api").await.expect("it is held too");
    assert!(login.metadata.deletion_timestamp.is_some() && is_held(&login));
    assert_healed(&world.looked_at::<Connection>("one").await);

    // Nothing new is made in it.
    world.sandbox.apply(&connection("late", &store("late"), "")).await;
    let late = world.until("late", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&late, "DependencyNotReady", &["ProviderAccount rutter is being deleted"]);
    world.sandbox.delete::<Connection>("late").await;
    world.sandbox.wait_gone::<Connection>("late", HANG).await;
    world.assert_made(2, &[&ids[0], &ids[1]]);

    world.sandbox.delete::<Connection>("one").await;
    world.sandbox.wait_gone::<Connection>("one", HANG).await;
    let fewer = |a: &ProviderAccount| a.condition("Ready").is_some_and(|c| c.message.starts_with("1 object uses"));
    world.sandbox.wait_for::<ProviderAccount>("rutter", HANG, fewer).await;
    world.assert_made(2, &[&ids[1]]);
    world.sandbox.delete::<Connection>("two").await;
    world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
    world.sandbox.wait_gone::<Secret>("rutter-api", HANG).await;
    assert!(world.sandbox.get::<Connection>("two").await.is_none());
    world.assert_made(2, &[]);
}

/// By then the account that is being deleted is looked at every ten minutes, and no pass of the operator's lets the object go.
#[tokio::test]
async fn the_deletion_of_an_account_goes_on_when_somebody_takes_the_finalizer_off_its_last_object() {
    let mut world = World::new("off-by-hand").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    world.take_provider_down().await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.delete::<ProviderAccount>("rutter").await;
    let held = world.account_until("Ready", "False", "DeletionHeld").await;
    let mut conditions = status(&held).conditions;
    for condition in &mut conditions {
        condition.last_transition_time.0 -= jiff::SignedDuration::from_hours(2);
    }
    let aged = Patch::Merge(json!({"status": {"conditions": conditions}}));
    let accounts = world.sandbox.api::<ProviderAccount>();
    accounts.patch_status("rutter", &PatchParams::default(), &aged).await.expect("a status");
    world.looked_at::<ProviderAccount>("rutter").await;

    world.change("acme", &json!({"metadata": {"finalizers": null}})).await;
    world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
    let login = world.sandbox.get::<Secret>("rutter-api").await.expect("nobody has deleted it");
    assert!(!is_held(&login) && world.sandbox.get::<Connection>("acme").await.is_none());
    world.assert_made(1, &[&id]);
}

/// Deletes what a person's `kubectl delete -f` names, in its order.
async fn delete_all(world: &World, kinds: &[&str]) {
    for kind in kinds {
        match *kind {
            "account" => world.sandbox.delete::<ProviderAccount>("rutter").await,
            "login" => world.sandbox.delete::<Secret>("rutter-api").await,
            "store" => world.sandbox.delete::<Secret>("store-login").await,
            "connections" => {
                join_all(["one", "two", "three"].map(|name| world.sandbox.delete::<Connection>(name))).await;
            }
            other => panic!("{other}"),
        }
    }
}

/// Neither is what exists already bound to it.
#[tokio::test]
async fn an_account_that_is_being_deleted_takes_over_nothing() {
    let world = World::new("leaves-named").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    let stranger = world.stranger(&store("other"));
    world.sandbox.delete::<ProviderAccount>("rutter").await;
    world.account_until("Ready", "False", "DeletionHeld").await;
    let named = json!({"adoptionPolicy": "Match", "deletionPolicy": "Retain", "externalRef": {"id": stranger}});
    world.sandbox.apply(&changed(&connection("named", &store("other"), ""), &named)).await;
    let waiting = world.until("named", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&waiting, "DependencyNotReady", &["is being deleted"]);
    assert_eq!(waiting.finalizers(), [""; 0]);
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
    world.assert_made(1, &[&stranger]);
    assert!(!world.live().contains(&id));
}

#[rstest]
#[case::secrets_first(&["store", "login", "account", "connections"], true)]
#[case::account_first(&["account", "login", "connections", "store"], true)]
#[case::connections_first(&["connections", "account", "store", "login"], true)]
#[case::while_the_operator_is_away(&["login", "account", "store", "connections"], false)]
#[tokio::test]
async fn everything_that_is_deleted_at_once_goes_whatever_comes_first(#[case] order: &[&str], #[case] present: bool) {
    let mut world = World::new("all-at-once").await;
    for name in ["one", "two", "three"] {
        world.sandbox.apply(&connection(name, &store(name), "")).await;
    }
    for name in ["one", "two", "three"] {
        world.settled(name).await;
    }
    if present {
        delete_all(&world, order).await;
    } else {
        world.stop().await;
        delete_all(&world, order).await;
        world.start().await;
    }
    for name in ["one", "two", "three"] {
        world.sandbox.wait_gone::<Connection>(name, HANG).await;
    }
    world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
    world.sandbox.wait_gone::<Secret>("rutter-api", HANG).await;
    world.sandbox.wait_gone::<Secret>("store-login", HANG).await;
    world.assert_made(3, &[]);
    assert_eq!(world.simulator.stats().deletes, 3);
}

#[tokio::test]
async fn a_secret_that_somebody_deletes_while_it_is_in_use_is_held_and_its_account_says_so() {
    let world = World::new("secret-held").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    world.settled("acme").await;
    world.sandbox.delete::<Secret>("rutter-api").await;
    let seen = world.looked_at::<ProviderAccount>("rutter").await;
    assert!(seen.says("CredentialsValid", "True", "DeletionHeld"), "{:#?}", seen.status);
    let text = message(&seen, "CredentialsValid");
    assert!(
        text.contains("Secret rutter-api is being deleted") && text.contains("1 object uses this account"),
        "{text}"
    );
    assert!(seen.says("Ready", "True", "Succeeded"), "it works on: {:#?}", seen.status);

    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.sandbox.wait_gone::<Secret>("rutter-api", HANG).await;
    world.assert_made(1, &[]);
    assert_eq!(world.simulator.stats().deletes, 1);
}

/// Nobody may rely on a login that will be gone in a moment.
#[tokio::test]
async fn nothing_starts_with_a_login_that_is_on_its_way_out_and_cannot_be_held() {
    let world = World::new("too-late").await;
    let secrets = world.sandbox.api::<Secret>();
    let finalizers = |all: &[&str]| Patch::Merge(json!({"metadata": {"finalizers": all}}));
    let patched = |all: &'static [&str]| {
        let secrets = secrets.clone();
        async move { secrets.patch("rutter-api", &PatchParams::default(), &finalizers(all)).await.expect("a Secret") }
    };
    patched(&["example.com/of-somebody-else"]).await;
    world.sandbox.delete::<Secret>("rutter-api").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let account = world.account_until("Ready", "False", "SecretNotFound").await;
    assert_waiting(&account, "SecretNotFound", &["Secret rutter-api is being deleted", "Create it anew"]);
    let waiting = world.until("acme", "Ready", "False", "DependencyNotReady").await;
    assert_waiting(&waiting, "DependencyNotReady", &["Secret rutter-api is being deleted"]);
    assert!(waiting.finalizers().is_empty());
    world.assert_made(0, &[]);

    patched(&[]).await;
    world.sandbox.wait_gone::<Secret>("rutter-api", HANG).await;
    log_in_as(&world, USUAL).await;
    let id = id_of(&world.settled("acme").await);
    assert!(held_secret(&world, "rutter-api").await);
    world.assert_made(1, &[&id]);
}

#[tokio::test]
async fn a_secret_that_the_account_does_not_name_any_more_is_let_go() {
    let world = World::new("other-secret").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    assert!(held_secret(&world, "rutter-api").await);
    world.sandbox.apply(&secret("fresh", &[("client_id", USUAL.0), ("client_secret", USUAL.1)])).await;
    world.sandbox.apply(&changed(&world.account(), &json!({"credentialsSecretRef": {"name": "fresh"}}))).await;
    let held = |a: &ProviderAccount| status(a).held_secret.as_deref() == Some("fresh");
    world.sandbox.wait_for::<ProviderAccount>("rutter", HANG, held).await;
    assert!(held_secret(&world, "fresh").await);
    world.sandbox.delete::<Secret>("rutter-api").await;
    world.sandbox.wait_gone::<Secret>("rutter-api", HANG).await;
    assert_healed(&world.looked_at::<ProviderAccount>("rutter").await);
    assert_healed(&world.looked_at::<Connection>("acme").await);

    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.delete::<ProviderAccount>("rutter").await;
    world.sandbox.delete::<Secret>("fresh").await;
    world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
    world.sandbox.wait_gone::<Secret>("fresh", HANG).await;
    assert!(!world.live().contains(&id));
    world.assert_made(1, &[]);
}

#[tokio::test]
async fn a_secret_that_two_accounts_share_is_held_until_the_last_one_lets_go() {
    let world = World::new("shared-secret").await;
    let twin = world.account().replace("metadata: {name: rutter}", "metadata: {name: twin}");
    world.sandbox.apply(&twin).await;
    world.sandbox.apply(&connection("first", &store("first"), "")).await;
    let by_twin = json!({"accountRef": {"name": "twin"}});
    world.sandbox.apply(&changed(&connection("second", &store("second"), ""), &by_twin)).await;
    world.settled("first").await;
    let second = id_of(&world.settled("second").await);
    world.sandbox.delete::<Connection>("first").await;
    world.sandbox.wait_gone::<Connection>("first", HANG).await;
    world.sandbox.delete::<ProviderAccount>("rutter").await;
    world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
    assert!(held_secret(&world, "rutter-api").await, "the twin needs it");
    world.assert_made(2, &[&second]);
    world.sandbox.delete::<Secret>("rutter-api").await;
    world.sandbox.delete::<ProviderAccount>("twin").await;
    world.sandbox.delete::<Connection>("second").await;
    world.sandbox.wait_gone::<ProviderAccount>("twin", HANG).await;
    world.sandbox.wait_gone::<Secret>("rutter-api", HANG).await;
    world.assert_made(2, &[]);
}

#[tokio::test]
async fn a_new_login_of_the_same_organisation_carries_on_with_the_same_records() {
    let world = world_of_logins("colleague").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    let known = world.looked_at::<ProviderAccount>("rutter").await;
    assert_eq!(status(&known).identity, Some(organisation()));

    log_in_as(&world, COLLEAGUE).await;
    let account = world.looked_at::<ProviderAccount>("rutter").await;
    assert_healed(&account);
    assert_eq!(status(&account).identity, Some(organisation()));
    let acme = world.looked_at::<Connection>("acme").await;
    assert_healed(&acme);
    assert_eq!(id_of(&acme), id);
    world.sandbox.apply(&connection("later", &store("later"), "")).await;
    let later = id_of(&world.settled("later").await);
    world.sandbox.apply(&connection("twin", &store("acme"), "")).await;
    let twin = world.until("twin", "Ready", "False", "ExternalIdConflict").await;
    assert_stalled(&twin, "ExternalIdConflict", &["Delete one of the two objects"]);
    world.assert_made(2, &[&id, &later]);
    world.sandbox.delete::<Connection>("twin").await;
    world.sandbox.wait_gone::<Connection>("twin", HANG).await;
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    world.assert_made(2, &[&later]);
}

/// One connection that cannot say whose it is for a moment makes no other account of this one.
#[tokio::test]
async fn a_new_login_is_nobodys_before_a_connection_has_told_whose_it_is() {
    let world = world_of_logins("whose").await;
    for name in ["acme", "other"] {
        world.sandbox.apply(&connection(name, &store(name), "")).await;
        world.settled(name).await;
    }
    let fails = Effect::Refuse { status: 503, retry_after: None };
    world.simulator.push_fault(Fault::on(Operation::ReadStatus, fails).times(2));
    log_in_as(&world, COLLEAGUE).await;
    let account = world.looked_at::<ProviderAccount>("rutter").await;
    assert!(account.says("Ready", "True", "Succeeded") || account.says("Ready", "False", "ProviderUnavailable"));
    for name in ["acme", "other"] {
        world.ask(name).await;
        assert_healed(&world.settled(name).await);
        assert_eq!(world.events(name, "AccountMismatch").await, 0);
    }
    assert_healed(&world.looked_at::<ProviderAccount>("rutter").await);
    world.assert_made(2, &[&id_of(&world.settled("acme").await), &id_of(&world.settled("other").await)]);
}

#[tokio::test]
async fn two_new_logins_of_one_organisation_make_no_store_twice() {
    const PAIRS: usize = 6;
    let world = world_of_logins("two-logins").await;
    add_colleague(&world).await;
    let by_twin = json!({"accountRef": {"name": "colleague"}});
    let manifests = (0..PAIRS).flat_map(|pair| {
        let manifest = |name: &str| connection(&format!("{name}-{pair}"), &store(&format!("pair-{pair}")), "");
        [manifest("one"), changed(&manifest("two"), &by_twin)]
    });
    let manifests: Vec<String> = manifests.collect();
    join_all(manifests.iter().map(|manifest| world.sandbox.apply(manifest))).await;
    let mut ids = vec![];
    for pair in 0..PAIRS {
        let is_decided =
            |c: &Connection| c.condition("Stalled").is_some() || c.says("InitialRefreshComplete", "True", "Succeeded");
        for name in ["one", "two"] {
            let decided = world.sandbox.wait_for::<Connection>(&format!("{name}-{pair}"), HANG, is_decided).await;
            ids.extend(decided.status.and_then(|s| s.external_id));
        }
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    world.assert_made(PAIRS, &ids);
}

/// What was made before anybody knew whose login it is, is held from every login of that organisation as soon as that is
/// known, and not only once its first load is over.
#[tokio::test]
async fn a_record_of_an_account_without_a_name_is_not_adopted_from_a_colleagues_login() {
    let world = world_of_logins("no-name").await;
    world.simulator.configure(|settings| settings.initial_sync = Duration::from_hours(1));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let first = world.until("acme", "Ready", "False", "InitialRefreshRunning").await;
    world.looked_at::<ProviderAccount>("rutter").await;
    add_colleague(&world).await;
    let by_twin = json!({"accountRef": {"name": "colleague"}, "adoptionPolicy": "Match", "deletionPolicy": "Delete"});
    assert_not_adopted(&world, &by_twin, &id_of(&first)).await;
}

/// The look that finds the record is the first that tells whose the colleague's login is.
#[rstest]
#[case::by_its_store(false)]
#[case::by_its_id(true)]
#[tokio::test]
async fn a_record_is_not_adopted_by_the_look_that_tells_whose_the_login_is(#[case] by_id: bool) {
    let world = world_of_logins("late-name").await;
    add_colleague(&world).await;
    let nobody = world.looked_at::<ProviderAccount>("colleague").await;
    assert_eq!((nobody.says("Ready", "True", "Succeeded"), status(&nobody).identity), (true, None));
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let first = world.settled("acme").await;

    let mut by_twin =
        json!({"accountRef": {"name": "colleague"}, "adoptionPolicy": "Match", "deletionPolicy": "Delete"});
    if by_id {
        by_twin["externalRef"] = json!({"id": id_of(&first)});
    }
    assert_not_adopted(&world, &by_twin, &id_of(&first)).await;
}

#[rstest]
#[case::that_the_account_was_known_by(true)]
#[case::before_anybody_asked_who_the_account_is(false)]
#[tokio::test]
async fn a_login_of_another_organisation_touches_nothing_of_the_first(#[case] asked: bool) {
    let world = world_of_logins("outsider").await;
    for name in ["stays", "goes"] {
        world.sandbox.apply(&connection(name, &store(name), "")).await;
    }
    let (stays, goes) = (id_of(&world.settled("stays").await), id_of(&world.settled("goes").await));
    if asked {
        world.looked_at::<ProviderAccount>("rutter").await;
        world.looked_at::<Connection>("stays").await;
    }
    // The other organisation has a connection of the very same store.
    let (client_id, platform) = (Some(OUTSIDER.0.to_owned()), "BIG_COMMERCE".to_owned());
    let theirs = Deed::Connect { client_id, platform, store_url: store("stays") };
    let theirs = world.simulator.act(&theirs).expect("a store").id.to_string();

    log_in_as(&world, OUTSIDER).await;
    let account = world.looked_at::<ProviderAccount>("rutter").await;
    assert_healed(&account);
    assert_eq!(status(&account).identity.as_deref(), Some(OUTSIDE));
    let halted = world.until("stays", "Ready", "False", "AccountMismatch").await;
    assert_stalled(&halted, "AccountMismatch", &["another account", "old login back"]);
    assert_eq!(id_of(&halted), stays, "it keeps the id of its own record");
    world.rests::<Connection>("stays").await;
    world.sandbox.delete::<Connection>("goes").await;
    let held = world.until("goes", "Ready", "False", "AccountMismatch").await;
    assert!(held.says("Stalled", "True", "AccountMismatch") && held.kstatus() == Kstatus::Terminating, "{held:#?}");
    world.looked_at::<Connection>("goes").await;
    let token = world.secret_value("stays-connection", "connection_id").await;
    assert_eq!(token.as_ref(), Some(&stays), "the Secret is the own record's still");
    world.assert_made(2, &[&stays, &goes, &theirs]);

    log_in_as(&world, USUAL).await;
    world.looked_at::<ProviderAccount>("rutter").await;
    world.sandbox.wait_gone::<Connection>("goes", HANG).await;
    let healed = world.settled("stays").await;
    assert_healed(&healed);
    assert_eq!(id_of(&healed), stays);
    world.assert_made(2, &[&stays, &theirs]);
}

/// Whoever waits for a slow provider leaves workers to everybody else, with however many accounts.
#[tokio::test]
async fn two_accounts_of_one_namespace_leave_half_of_the_workers_to_others() {
    let mut world = world_of_logins("workers").await;
    world.crash().await;
    world.settings.concurrency = 4;
    world.start().await;
    let outsider = world.account().replace("metadata: {name: rutter}", "metadata: {name: outsider}");
    let outsider =
        outsider.replace("rutter-api", "outsider-api").replace(USUAL.0, OUTSIDER.0).replace(USUAL.1, OUTSIDER.1);
    world.sandbox.apply(&outsider).await;
    let theirs =
        |name: &str| changed(&connection(name, &store(name), ""), &json!({"accountRef": {"name": "outsider"}}));
    let make = async |names: &[&str]| {
        for name in names {
            let manifest = if name.starts_with("theirs") { theirs(name) } else { connection(name, &store(name), "") };
            world.sandbox.apply(&manifest).await;
        }
        for name in names {
            world.settled(name).await;
        }
    };
    // The first one names its account, and nothing else is made before that.
    make(&["ours", "theirs"]).await;
    let since = world.simulator.journal().len();
    let slow = Effect::SlowBefore { delay: Duration::from_secs(1) };
    world.simulator.push_fault(Fault::on(Operation::Create, slow).forever());
    make(&["ours-1", "theirs-1", "ours-2", "theirs-2", "ours-3", "theirs-3"]).await;
    let sent =
        world.simulator.journal().split_off(since).into_iter().filter(|entry| entry.operation == Operation::Create);
    assert_eq!(sent.map(|entry| entry.in_flight).max(), Some(2), "half of four");
}

/// Rights are a real API server's.
mod real {
    use super::*;

    /// An account that cannot be held says so, and so do its objects, instead of looking again and again.
    #[tokio::test]
    async fn an_account_whose_login_may_not_be_held_says_which_right_is_missing() {
        let mut world = World::quiet("unheld").await;
        world.sandbox.deny("patch", "secrets").await;
        world.furnish().await;
        world.start().await;
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        world.until("acme", "Ready", "False", "DependencyNotReady").await;
        let account = world.sandbox.get::<ProviderAccount>("rutter").await.expect("an account");
        assert!(account.says("Ready", "False", "PermissionDenied"), "{:#?}", account.status);
        let text = &account.condition("Ready").expect("it is there").message;
        assert!(text.contains("Grant it patch on Secrets"), "{text}");
        world.rests::<Connection>("acme").await;
        assert_eq!(world.asked(Operation::Create), 0);
        world.sandbox.allow("patch", "secrets").await;
        world.settled("acme").await;
    }

    /// The login of an account in use is moved to a Secret that may not be held: what is there works on, and what is new waits, and
    /// says for what.
    #[tokio::test]
    async fn nothing_new_is_made_with_a_login_that_may_not_be_held_and_all_of_it_says_so() {
        let mut world = World::new("unheld-later").await;
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        world.settled("acme").await;
        world.sandbox.deny("patch", "secrets").await;
        world.sandbox.apply(&secret("fresh", &[("client_id", USUAL.0), ("client_secret", USUAL.1)])).await;
        world.sandbox.apply(&changed(&world.account(), &json!({"credentialsSecretRef": {"name": "fresh"}}))).await;
        let says = |a: &ProviderAccount| a.says("CredentialsValid", "False", "PermissionDenied");
        for restarts in [false, true] {
            if restarts {
                world.crash().await;
                world.start().await;
            }
            let account = world.sandbox.wait_for::<ProviderAccount>("rutter", HANG, says).await;
            assert!(account.says("Ready", "True", "Succeeded"), "it works on: {:#?}", account.observed());
            assert!(message(&account, "CredentialsValid").contains("Grant it patch on Secrets"));
            assert_healed(&world.looked_at::<Connection>("acme").await);
            let name = if restarts { "more" } else { "next" };
            world.sandbox.apply(&connection(name, &store(name), "")).await;
            let waiting = world.until(name, "Ready", "False", "DependencyNotReady").await;
            assert_waiting(&waiting, "DependencyNotReady", &["Grant it patch on Secrets"]);
            assert!(waiting.finalizers().is_empty());
            world.rests::<Connection>(name).await;
        }
        assert_eq!(world.asked(Operation::Create), 1);
        world.sandbox.allow("patch", "secrets").await;
        for name in ["next", "more"] {
            world.settled(name).await;
        }
        assert!(held_secret(&world, "fresh").await && !held_secret(&world, "rutter-api").await);
    }

    /// What may not be read may carry our finalizer, and only its account remembers it.
    #[tokio::test]
    async fn an_account_stays_until_its_login_can_be_let_go() {
        let world = World::new("unread").await;
        world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
        world.settled("acme").await;
        world.sandbox.deny("get", "secrets").await;
        world.sandbox.delete::<Connection>("acme").await;
        world.sandbox.wait_gone::<Connection>("acme", HANG).await;
        world.sandbox.delete::<ProviderAccount>("rutter").await;
        let says = |a: &ProviderAccount| a.says("Ready", "False", "PermissionDenied");
        let account = world.sandbox.wait_for::<ProviderAccount>("rutter", HANG, says).await;
        assert_eq!((account.kstatus(), is_held(&account)), (Kstatus::Terminating, true), "{:#?}", account.observed());
        assert!(held_secret(&world, "rutter-api").await);
        world.sandbox.allow("get", "secrets").await;
        world.sandbox.wait_gone::<ProviderAccount>("rutter", HANG).await;
        assert!(!held_secret(&world, "rutter-api").await);
    }
}
