//! What a provider says of a record's health, and what becomes of it in conditions, in kstatus and in events.

use std::time::Duration;

use rstest::rstest;
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::Operation;
use tradewind_simulator::rutter::{Deed, DisabledReason, Trouble};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{World, connection, id_of, message, store, told};

/// Longer than any test.
const NEVER: Duration = Duration::from_hours(1);

/// A world with one connection whose first load is done, and its id.
async fn settled(name: &str) -> (World, String) {
    let world = World::new(name).await;
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let id = id_of(&world.settled("acme").await);
    (world, id)
}

fn upset(world: &World, id: &str, trouble: Trouble) {
    world.deed(id, |connection| Deed::Upset { connection, trouble });
}

fn mend(world: &World, id: &str) {
    world.deed(id, |connection| Deed::Mend { connection });
}

/// Nothing is wrong any more, and nothing else happened.
async fn heals(world: &World, id: &str) -> Connection {
    let healed = world.reconciled("acme").await;
    assert!(
        healed.says("Ready", "True", "Succeeded") && healed.says("Synced", "True", "Succeeded"),
        "{}",
        told(&healed)
    );
    assert!(healed.says("CredentialsValid", "True", "Succeeded"), "{}", told(&healed));
    assert!(healed.condition("Reconciling").is_none() && healed.condition("Stalled").is_none(), "{}", told(&healed));
    assert_eq!((healed.kstatus(), id_of(&healed).as_str()), (Kstatus::Current, id));
    assert_eq!((world.asked(Operation::Create), world.asked(Operation::Delete)), (1, 0));
    world.ends_with(&[id], 1, 0);
    healed
}

#[tokio::test]
async fn a_connection_is_on_its_way_until_its_first_sync_is_done() {
    let world = World::new("first-sync").await;
    world.simulator.configure(|settings| settings.initial_sync = NEVER);
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let syncing = world.until("acme", "Ready", "False", "InitialRefreshRunning").await;
    assert!(message(&syncing, "Ready").contains("first sync"), "{}", message(&syncing, "Ready"));
    assert!(syncing.says("Reconciling", "True", "InitialRefreshRunning"), "{}", told(&syncing));
    assert!(syncing.says("InitialRefreshComplete", "False", "InitialRefreshRunning"), "{}", told(&syncing));
    assert!(
        syncing.says("Synced", "True", "Succeeded") && syncing.condition("Stalled").is_none(),
        "{}",
        told(&syncing)
    );
    assert_eq!(syncing.kstatus(), Kstatus::InProgress);

    // The end of it is noticed without anybody asking.
    let id = id_of(&syncing);
    world.deed(&id, |connection| Deed::SetReady { connection, ready: true });
    assert_eq!(world.settled("acme").await.kstatus(), Kstatus::Current);
    world.ends_with(&[&id], 1, 0);
}

#[tokio::test]
async fn a_connection_works_while_its_history_is_loading() {
    let world = World::new("history").await;
    world.simulator.configure(|settings| settings.history = NEVER);
    world.sandbox.apply(&connection("acme", &store("acme"), "")).await;
    let loading = world.until("acme", "Ready", "True", "Succeeded").await;
    assert!(loading.says("InitialRefreshComplete", "False", "InitialRefreshRunning"), "{}", told(&loading));
    assert!(message(&loading, "InitialRefreshComplete").contains("history"), "{}", told(&loading));
    assert!(loading.condition("Reconciling").is_none() && loading.condition("Stalled").is_none(), "{}", told(&loading));
    assert_eq!(loading.kstatus(), Kstatus::Current);

    world.simulator.configure(|settings| settings.history = Duration::ZERO);
    let done = world.settled("acme").await;
    // Whatever the provider says of the same record later: consumers have begun to read.
    world.simulator.configure(|settings| settings.history = NEVER);
    let later = world.reconciled("acme").await;
    assert!(later.says("InitialRefreshComplete", "True", "Succeeded"), "{}", told(&later));
    world.ends_with(&[&id_of(&done)], 1, 0);
}

#[rstest]
#[case::revoked(Trouble::NeedsUpdate)]
#[case::disabled_for_it(Trouble::Disabled { reason: DisabledReason::NeedsReauth })]
#[tokio::test]
async fn a_connection_that_must_be_authorized_again_waits_for_a_person(#[case] trouble: Trouble) {
    let (world, id) = settled("reauthorize").await;
    upset(&world, &id, trouble);
    let waiting = world.reconciled("acme").await;
    assert!(waiting.says("Ready", "False", "ReauthorizationRequired"), "{}", told(&waiting));
    assert!(waiting.says("Stalled", "True", "ReauthorizationRequired") && waiting.condition("Reconciling").is_none());
    assert!(waiting.says("Authorized", "False", "ReauthorizationRequired"), "{}", told(&waiting));
    assert!(waiting.says("CredentialsValid", "False", "ReauthorizationRequired"), "{}", told(&waiting));
    assert!(
        waiting.says("InitialRefreshComplete", "True", "Succeeded"),
        "what is loaded stays loaded: {}",
        told(&waiting)
    );
    let text = message(&waiting, "Ready");
    assert!(text.contains("link_url") && text.contains("connection Secret"), "{text}");
    assert_eq!(waiting.kstatus(), Kstatus::Failed);
    assert!(world.secret_value("acme-connection", "link_url").await.is_some_and(|link| link.contains(&id)));

    mend(&world, &id);
    assert!(heals(&world, &id).await.says("Authorized", "True", "Succeeded"));
}

/// The way that the condition names: the merchant follows the link.
#[tokio::test]
async fn a_merchant_who_follows_the_link_authorizes_the_connection_again() {
    let (world, id) = settled("link").await;
    upset(&world, &id, Trouble::NeedsUpdate);
    assert!(world.reconciled("acme").await.says("Authorized", "False", "ReauthorizationRequired"));
    let (platform, store_url) = ("BIG_COMMERCE".to_owned(), store("acme"));
    world.deed(&id, |connection| Deed::FollowLink { connection, platform, store_url });
    assert!(heals(&world, &id).await.says("Authorized", "True", "Succeeded"));
}

/// Every reason that Rutter documents, in our words, each with the next step.
const DISABLED: &[(DisabledReason, &str, &str)] = &[
    (DisabledReason::ShopApiKeyExpired, "API key has expired", "delete and re-create this object with a new Secret"),
    (
        DisabledReason::FailedToAuthenticate,
        "refused the credentials",
        "delete and re-create this object with a new Secret",
    ),
    (DisabledReason::ShopNotFound, "was not found", "Check store_url"),
    (DisabledReason::ShopIdIsInvalid, "id is invalid", "Check store_url"),
    (DisabledReason::ShopIsDisabledOrExpired, "is disabled or has expired", "Ask the store's owner"),
    (DisabledReason::ShopIsLocked, "is locked", "Ask the store's owner"),
    (DisabledReason::ShopPaymentRequired, "plan is not paid", "Ask the store's owner"),
    (DisabledReason::ShopIsUnavailable, "is unavailable", "Ask the store's owner"),
    (DisabledReason::WebServiceIsDisabled, "web service is switched off", "Ask the store's owner"),
    (DisabledReason::TunnelError, "tunnel fails", "Ask the store's owner"),
    (DisabledReason::CertExpired, "certificate has expired", "Ask the store's owner"),
    (DisabledReason::RequestTimeout, "does not answer in time", "Ask the store's owner"),
    (DisabledReason::ManuallyDisabled, "somebody switched the connection off", "Switch it on in Rutter's dashboard"),
    (DisabledReason::Unknown, "no known reason is given", "Look at the connection in Rutter's dashboard"),
];

/// One object for all reasons: each is also a transition from the one before it.
#[tokio::test]
async fn a_disabled_connection_says_why_and_what_to_do() {
    let (world, id) = settled("disabled").await;
    for (reason, why, next) in DISABLED {
        mend(&world, &id);
        upset(&world, &id, Trouble::Disabled { reason: *reason });
        let disabled = world.reconciled("acme").await;
        let text = message(&disabled, "Ready");
        assert!(text.contains(why) && text.contains(next), "{reason:?}: {text}");
        assert!(
            disabled.says("Ready", "False", "Disabled") && disabled.says("Stalled", "True", "Disabled"),
            "{}",
            told(&disabled)
        );
        assert!(
            disabled.condition("Reconciling").is_none() && disabled.condition("Authorized").is_none(),
            "{}",
            told(&disabled)
        );
        assert!(disabled.says("Synced", "True", "Succeeded"), "it is there, as declared: {}", told(&disabled));
        assert_eq!(disabled.kstatus(), Kstatus::Failed);
    }
    mend(&world, &id);
    heals(&world, &id).await;
}

/// Rutter retries by itself; only its lists tell of it.
#[rstest]
#[case::when_asked("10m")]
#[case::at_the_next_check("1s")]
#[tokio::test]
async fn an_unhealthy_connection_is_not_ready_and_mended_by_the_provider(#[case] interval: &str) {
    let world = World::new("unhealthy").await;
    world.sandbox.apply(&connection("acme", &store("acme"), &format!("  interval: {interval}\n"))).await;
    let id = id_of(&world.settled("acme").await);
    upset(&world, &id, Trouble::Unhealthy);
    if interval == "10m" {
        world.request("acme").await;
    }
    let unhealthy = world.until("acme", "Ready", "False", "ProviderUnavailable").await;
    assert!(message(&unhealthy, "Ready").contains("retries by itself"), "{}", message(&unhealthy, "Ready"));
    assert!(unhealthy.says("Reconciling", "True", "ProgressingWithRetry"), "{}", told(&unhealthy));
    assert!(unhealthy.condition("Stalled").is_none(), "{}", told(&unhealthy));
    assert_eq!(unhealthy.kstatus(), Kstatus::InProgress);
    mend(&world, &id);
    heals(&world, &id).await;
}

/// Nobody asks: the account's lists hint at it, and only then the one status is read.
#[rstest]
#[case::must_be_authorized(Trouble::NeedsUpdate, "ReauthorizationRequired")]
#[case::is_disabled(Trouble::Disabled { reason: DisabledReason::ShopIsLocked }, "Disabled")]
#[tokio::test]
async fn trouble_is_noticed_at_the_next_check_and_so_is_its_end(#[case] trouble: Trouble, #[case] reason: &str) {
    let world = World::new("check").await;
    world.sandbox.apply(&connection("acme", &store("acme"), "  interval: 1s\n")).await;
    let id = id_of(&world.settled("acme").await);
    upset(&world, &id, trouble);
    world.until("acme", "Ready", "False", reason).await;
    mend(&world, &id);
    world.until("acme", "Ready", "True", "Succeeded").await;
    world.ends_with(&[&id], 1, 0);
}

/// Events tell of what changed, not of what is looked at.
#[tokio::test]
async fn an_event_tells_of_a_transition_and_of_nothing_else() {
    let (world, id) = settled("events").await;
    // A pass has ended, with its events, when the next one has begun.
    world.reconciled("acme").await;
    assert_eq!(world.events("acme", "Creating").await, 1, "the create");
    let ready = world.events("acme", "Succeeded").await;
    assert_eq!(ready, 1, "ready for the first time");

    upset(&world, &id, Trouble::NeedsUpdate);
    for _ in 0..4 {
        let waiting = world.reconciled("acme").await;
        assert!(waiting.says("Ready", "False", "ReauthorizationRequired"), "{}", told(&waiting));
    }
    assert_eq!(world.events("acme", "ReauthorizationRequired").await, 1);
    assert_eq!(world.events("acme", "Succeeded").await, ready);

    mend(&world, &id);
    heals(&world, &id).await;
    for _ in 0..3 {
        world.reconciled("acme").await;
    }
    assert_eq!(world.events("acme", "Succeeded").await, ready + 1);
    assert_eq!(world.events("acme", "ReauthorizationRequired").await, 1);
    assert_eq!(world.events("acme", "Creating").await, 1);

    // The record goes with its object, and that is told too.
    world.sandbox.delete::<Connection>("acme").await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    assert_eq!(world.events("acme", "Deleting").await, 1);
    world.ends_with(&[], 1, 1);
}
