//! A create whose outcome nobody told, and an operator that ends between two of its steps.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use rstest::rstest;
use tradewind::api::keys;
use tradewind::api::v1alpha1::Connection;
use tradewind::domain::decide::Resolution;
use tradewind::domain::ids::ExternalId;
use tradewind_simulator::arcus::{Act, Connector, LinkStatus};
use tradewind_simulator::{Effect, Fault, ManualClock, Operation};

use super::{SECRET, SHOP, connector};
use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::lifecycle::expect::{assert_healed, assert_stalled};
use crate::world::{ARCUS_KEY, World, answer, message, secret, status_of, told};

/// The object once it says that nobody knows what became of its create.
async fn unanswered(world: &World) -> Connection {
    let waits = |c: &Connection| c.says("Ready", "False", "Creating") && message(c, "Ready").contains("not known");
    let waiting = world.sandbox.wait_for::<Connection>("acme", HANG, waits).await;
    assert!(
        waiting.says("Reconciling", "True", "Creating") && waiting.condition("Stalled").is_none(),
        "{}",
        told(&waiting)
    );
    assert_eq!((waiting.kstatus(), status_of(&waiting).external_id), (Kstatus::InProgress, None));
    waiting
}

/// The idempotency keys of all creates; each has its own.
fn create_keys(world: &World) -> BTreeSet<String> {
    let journal = world.simulator.journal();
    let creates: Vec<_> = journal.iter().filter(|entry| entry.operation == Operation::Create).collect();
    let keys: BTreeSet<_> = creates.iter().map(|entry| entry.idempotency_key.clone().expect("a key")).collect();
    assert_eq!(keys.len(), creates.len(), "{creates:#?}");
    keys
}

#[rstest]
#[case::lost_answer(Effect::LostAnswer)]
#[case::broken_in_the_body(Effect::CutAnswer)]
#[case::internal_error(Effect::StatusAfterApply { status: 500 })]
#[case::bad_gateway(Effect::StatusAfterApply { status: 502 })]
#[case::redirect(Effect::StatusAfterApply { status: 302 })]
#[case::garbage(Effect::GarbageBody)]
#[case::empty(Effect::EmptyBody)]
#[case::another_type(Effect::UnknownValues)]
#[case::no_type(Effect::NullField { field: "connector_type".to_owned() })]
#[case::over_a_mebibyte(Effect::HugeBody { bytes: 2 << 20 })]
#[case::answer_too_late(Effect::SlowAfter { delay: Duration::from_secs(4) })]
#[case::applied_after_the_connection_closed(Effect::LateApply { delay: Duration::from_millis(1500) })]
#[tokio::test]
async fn what_an_unanswered_create_made_is_found_again(#[case] effect: Effect) {
    let world = World::with_arcus("arcus-unanswered").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    unanswered(&world).await;
    let healed = world.enters_credentials().await;
    assert_healed(&healed);
    assert_eq!(status_of(&healed).external_id.as_deref(), Some("shippo"));
    assert_eq!(world.asked(Operation::Create), 1, "it was found, not made again");
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 1, 1);
}

#[rstest]
#[case::internal_error(Effect::Refuse { status: 500, retry_after: None })]
#[case::not_implemented(Effect::Refuse { status: 501, retry_after: None })]
#[case::time_out(Effect::Refuse { status: 408, retry_after: None })]
#[case::too_early(Effect::Refuse { status: 425, retry_after: None })]
#[case::gone(Effect::Refuse { status: 410, retry_after: None })]
#[case::undocumented(Effect::Refuse { status: 418, retry_after: None })]
#[case::mismatch(Effect::IdempotencyMismatch)]
#[tokio::test]
async fn what_an_unanswered_create_did_not_make_is_made_after_the_grace(#[case] effect: Effect) {
    let world = World::with_arcus("arcus-not-applied").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    unanswered(&world).await;
    assert_eq!(world.asked(Operation::Create), 1);
    let healed = world.enters_credentials().await;
    assert_eq!(status_of(&healed).creation.map(|c| c.settled_attempt), Some(2));
    assert_eq!(create_keys(&world).len(), 2);
    world.arcus_ends_with(&[Connector::Shippo], 1, 0);
}

/// A stranger was quicker, and our own create was refused or went unanswered: the connector is theirs.
#[tokio::test]
async fn an_unanswered_create_takes_no_connector_that_was_made_long_after_it() {
    let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse().expect("a time"));
    let mut world = World::under("arcus-late", clock.clock(), World::setup()).await;
    world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
    world.start().await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::Refuse { status: 500, retry_after: None }));
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    unanswered(&world).await;
    world.crash().await;
    // By the provider's own clock, after anything that the attempt could have made.
    clock.advance(Duration::from_mins(1));
    world.somebody(Connector::Shippo, Act::Make { fields: serde_json::Map::new() });
    world.start().await;
    world.until("acme", "Ready", "False", "AlreadyExists").await;
    assert_eq!((world.asked(Operation::Update), world.asked(Operation::Delete)), (0, 0));
    world.leaves("acme").await;
    assert!(!world.at_arcus(Connector::Shippo).deleted, "a stranger's connector stays");
}

/// Arcus keeps the row of a deleted connector, the create brings it back, and a later change hides when that was: not even
/// a deletion may take for granted that it is somebody else's.
#[tokio::test]
async fn a_connector_that_was_brought_back_and_changed_since_is_left_to_a_person() {
    let clock = ManualClock::starting_at("2026-01-05T10:00:00Z".parse().expect("a time"));
    let mut world = World::under("arcus-revived", clock.clock(), World::setup()).await;
    world.somebody(Connector::Shippo, Act::Make { fields: serde_json::Map::new() });
    world.somebody(Connector::Shippo, Act::Delete);
    clock.advance(Duration::from_mins(1));
    world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
    world.start().await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    unanswered(&world).await;
    world.crash().await;
    clock.advance(Duration::from_mins(1));
    let fields = serde_json::Map::from_iter([("display_name".to_owned(), "Parcels".into())]);
    world.somebody(Connector::Shippo, Act::Change { fields });
    world.start().await;
    let halted = world.until("acme", "Ready", "False", "CreateOutcomeUnknown").await;
    assert_stalled(&halted, "CreateOutcomeUnknown", &["shippo", "tradewind resolve"]);
    world.sandbox.delete::<Connection>("acme").await;
    let blocked = world.until("acme", "Ready", "False", "DeletionBlocked").await;
    assert!(message(&blocked, "Ready").contains("shippo"), "{}", told(&blocked));
    assert_eq!(world.asked(Operation::Delete), 0);
    let adopt = answer(&blocked, &Resolution::Adopt(ExternalId::new("shippo")));
    world.annotate("acme", keys::RESOLVE, Some(&adopt)).await;
    world.sandbox.wait_gone::<Connection>("acme", HANG).await;
    // One of the deletions was somebody's, before there was an object.
    world.arcus_ends_with(&[], 1, 2);
}

/// The deletion comes while nobody knows what became of the create.
#[rstest]
#[case::made(Effect::LostAnswer, 1)]
#[case::not_made(Effect::Refuse { status: 500, retry_after: None }, 0)]
#[tokio::test]
async fn a_deletion_finds_what_an_unanswered_create_made(#[case] effect: Effect, #[case] made: usize) {
    let world = World::with_arcus("arcus-delete-open").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
    unanswered(&world).await;
    world.leaves("acme").await;
    world.arcus_ends_with(&[], made, made);
}

/// The link is lost with the answer: no second connector comes of it, and a new link after the grace.
#[rstest]
#[case::lost_answer(Effect::LostAnswer)]
#[case::broken_in_the_body(Effect::CutAnswer)]
#[case::error_after_all(Effect::StatusAfterApply { status: 500 })]
#[case::garbage(Effect::GarbageBody)]
#[case::empty(Effect::EmptyBody)]
#[case::no_link(Effect::NullField { field: "oauth_url".to_owned() })]
#[case::another_kind_of_answer(Effect::NullField { field: "object".to_owned() })]
#[tokio::test]
async fn a_link_that_is_lost_with_its_answer_is_followed_by_a_new_one(#[case] effect: Effect) {
    let world = World::with_arcus("arcus-link-lost").await;
    world.simulator.push_fault(Fault::on(Operation::Create, effect));
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    unanswered(&world).await;
    assert!(world.sandbox.get::<Secret>("acme-link").await.is_none());
    assert_eq!((world.simulator.arcus_links().len(), world.asked(Operation::Create)), (1, 1));
    let waiting = world.until("acme", "Authorized", "False", "AuthorizationRequired").await;
    assert_eq!(status_of(&waiting).authorization.map(|a| a.attempt), Some(2));
    authorized(&world).await;
    assert_eq!((create_keys(&world).len(), world.simulator.arcus_links().len()), (2, 2));
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 1, 1);
}

/// The newest link comes to stand in the Secret, and the merchant uses it.
async fn authorized(world: &World) {
    let search = async {
        loop {
            let newest = world.simulator.arcus_links().pop().expect("a link");
            let url = world.secret_value("acme-link", "link_url").await.unwrap_or_default();
            if url.ends_with(&newest.path) {
                break newest;
            }
        }
    };
    let newest = tokio::time::timeout(HANG, search).await.expect("the newest link in the Secret");
    assert_eq!(newest.status, LinkStatus::Live);
    world.somebody(Connector::Shopify, Act::Approve);
    let ready = world.until("acme", "Ready", "True", "Succeeded").await;
    assert_healed(&ready);
    assert_eq!(status_of(&ready).external_id.as_deref(), Some("shopify"));
    assert_eq!(world.at_arcus(Connector::Shopify).tally.creates, 1);
    world.arcus_ends_with(&[Connector::Shopify], 1, 0);
}

/// The merchant has consented by a link whose answer was lost before it came to be known that there is one.
#[tokio::test]
async fn a_connector_that_came_of_a_lost_link_in_its_time_is_the_objects() {
    let world = World::with_arcus("arcus-lost-used").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::LostAnswer));
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    unanswered(&world).await;
    world.somebody(Connector::Shopify, Act::Approve);
    let ready = world.until("acme", "Ready", "True", "Succeeded").await;
    assert_healed(&ready);
    assert_eq!(world.asked(Operation::Create), 1);
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 1, 1);
}

/// What can be seen of the accepted flow on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    IntentStored,
    IntentStoredTwice,
    CallArrived,
    ExpiryWritten,
    SecretWritten,
    Authorized,
}

impl Moment {
    async fn come(self, world: &World) {
        let acme = |holds: fn(&Connection) -> bool| world.sandbox.wait_for::<Connection>("acme", HANG, holds);
        match self {
            Self::IntentStored => drop(acme(|c| c.annotations().contains_key(keys::CREATE_INTENT)).await),
            Self::IntentStoredTwice => drop(acme(|c| status_of(c).creation.is_some_and(|c| c.intent.is_some())).await),
            Self::CallArrived => world.until_asked(Operation::Create, 1).await,
            Self::ExpiryWritten => drop(acme(|c| status_of(c).authorization.is_some()).await),
            Self::SecretWritten => drop(world.sandbox.wait_for::<Secret>("acme-link", HANG, |_| true).await),
            Self::Authorized => {
                world.sandbox.wait_for::<Secret>("acme-link", HANG, |_| true).await;
                world.somebody(Connector::Shopify, Act::Approve);
            }
        }
    }
}

#[rstest]
#[case::after_the_intent(Moment::IntentStored, Duration::ZERO)]
#[case::after_its_twin(Moment::IntentStoredTwice, Duration::ZERO)]
#[case::while_the_call_is_under_way(Moment::CallArrived, Duration::from_secs(1))]
#[case::when_the_call_was_applied(Moment::CallArrived, Duration::ZERO)]
#[case::after_the_expiry(Moment::ExpiryWritten, Duration::ZERO)]
#[case::after_the_link(Moment::SecretWritten, Duration::ZERO)]
#[case::after_the_consent(Moment::Authorized, Duration::ZERO)]
#[tokio::test]
async fn a_crash_at_any_moment_leaves_one_link_that_works_and_one_connector(
    #[case] moment: Moment,
    #[case] delay: Duration,
) {
    let mut world = World::with_arcus("arcus-crash").await;
    world.simulator.push_fault(Fault::on(Operation::Create, Effect::SlowBefore { delay }));
    world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
    moment.come(&world).await;
    world.crash().await;
    world.start().await;
    if moment != Moment::Authorized {
        let handed_out = |c: &Connection| {
            let link = status_of(c).authorization;
            link.is_some() && c.says("Authorized", "False", "AuthorizationRequired")
        };
        world.sandbox.wait_for::<Connection>("acme", HANG, handed_out).await;
        // The link in the Secret is that of the attempt which is open, once all has settled.
        let settled = async {
            loop {
                let object = world.reconciled("acme").await;
                let attempt = status_of(&object).authorization.map(|a| a.attempt.to_string());
                if attempt.is_some() && world.secret_value("acme-link", "link_attempt").await == attempt {
                    break;
                }
            }
        };
        tokio::time::timeout(HANG, settled).await.expect("a link");
        assert_eq!(world.simulator.arcus_links().len(), world.asked(Operation::Create));
        authorized(&world).await;
    }
    assert_healed(&world.until("acme", "Ready", "True", "Succeeded").await);
    create_keys(&world);
    world.arcus_ends_with(&[Connector::Shopify], 1, 0);
    world.leaves("acme").await;
    world.arcus_ends_with(&[], 1, 1);
}

/// Rights are a real API server's.
mod real {
    use super::*;

    /// The expiry is written, and the link cannot be: as good as a crash between the two. Nobody has that link.
    #[rstest]
    #[case::and_crashes(true)]
    #[case::and_goes_on(false)]
    #[tokio::test]
    async fn an_operator_that_cannot_write_the_link_asks_for_a_new_one_once_it_can(#[case] crashes: bool) {
        let mut world = World::with_arcus("arcus-half-link").await;
        world.sandbox.deny("create", "secrets").await;
        world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
        let said = world.until("acme", "Ready", "False", "PermissionDenied").await;
        assert!(status_of(&said).authorization.is_some(), "the expiry comes first: {}", told(&said));
        assert!(message(&said, "Ready").contains("Grant it"), "{}", told(&said));
        assert!(said.says("Authorized", "False", "PermissionDenied"), "nobody has a link to follow: {}", told(&said));
        if crashes {
            world.crash().await;
        }
        let links = world.simulator.arcus_links().len();
        world.sandbox.allow("create", "secrets").await;
        if crashes {
            world.start().await;
        }
        world.provider_until("another link", |s| s.arcus_links().len() > links).await;
        authorized(&world).await;
    }

    /// A policy that refuses the Secret is no right that is missing, and is said just so: no links are made on and on meanwhile.
    #[tokio::test]
    async fn a_policy_that_refuses_the_secret_of_the_link_is_said_in_its_own_words() {
        let world = World::with_arcus("arcus-policy").await;
        let namespace = world.sandbox.namespace().to_owned();
        let policy = policy(&namespace);
        world.sandbox.apply(&policy).await;
        let probe = secret("probe", &[("link_url", "x")]);
        let refuses = async { while world.sandbox.try_apply(&probe).await.is_ok() {} };
        tokio::time::timeout(HANG, refuses).await.expect("a policy that is followed");
        world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
        let said = world.until("acme", "Ready", "False", "PermissionDenied").await;
        assert!(message(&said, "Ready").contains("links are written by hand here"), "{}", told(&said));
        let creation = status_of(&said).creation.unwrap_or_default();
        assert!(creation.refused.is_some_and(|refused| refused.retry_at.is_some()), "a pause follows: {}", told(&said));
        assert_eq!(world.simulator.arcus_links().len(), 1);
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            let said = world.sandbox.kubectl(&["delete", kind, &namespace]).await;
            assert!(said.ok, "{}", said.err);
        }
        authorized(&world).await;
    }

    /// Nobody but kubectl may write a Secret that has a link.
    fn policy(namespace: &str) -> String {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {namespace}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    resourceRules:
    - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [secrets]}}
  validations:
  - expression: \"!has(object.data) || !('link_url' in object.data)\"
    message: links are written by hand here
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {namespace}}}
spec: {{policyName: {namespace}, validationActions: [Deny]}}
"
        )
    }

    /// Each link is a create: as long as none can be written, they come with growing pauses, and the words stay those of the cause.
    #[tokio::test]
    async fn links_that_cannot_be_written_are_asked_for_less_and_less_often() {
        let world = World::with_arcus("arcus-no-place").await;
        world.sandbox.deny("create", "secrets").await;
        world.sandbox.apply(&connector("acme", "shopify", SHOP, SECRET)).await;
        let mut pauses = vec![];
        for attempt in 1..=3 {
            let refused = |c: &Connection| {
                let expiry = status_of(c).authorization;
                expiry.is_some_and(|a| a.attempt == attempt) && c.says("Ready", "False", "PermissionDenied")
            };
            let object = world.sandbox.wait_for::<Connection>("acme", HANG, refused).await;
            let creation = status_of(&object).creation.unwrap_or_default();
            let (intent, refused) = (creation.intent.expect("an intent"), creation.refused.expect("a refusal"));
            pauses.push(refused.retry_at.expect("a time").0.duration_since(intent.at.0));
            for kind in ["Ready", "Authorized"] {
                assert!(object.says(kind, "False", "PermissionDenied"), "{}", told(&object));
                assert!(message(&object, kind).contains("Grant it get, create and patch"), "{}", told(&object));
            }
        }
        assert!(pauses[2] > pauses[0], "{pauses:?}");
        assert_eq!(world.simulator.arcus_links().len(), 3);
        world.sandbox.allow("create", "secrets").await;
        // Whoever has granted it does not wait for the pause to end.
        world.request("acme").await;
        world.provider_until("another link", |s| s.arcus_links().len() == 4).await;
        authorized(&world).await;
    }
}
