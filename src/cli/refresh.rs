//! `tradewind refresh`: asks the operator to have data loaded anew, and waits until it says what became of that.
//!
//! Every request is a token of its own, which is asked for at most once; it is never written a second time.

use super::{
    Exit,
    age::now,
    caller::Caller,
    cluster::{Scope, ScopeArgs, Typed},
    names::{ManagedKind, ManagedName},
    output::{Line, OutputArgs, line},
    question::Question,
    refusal::Blocked,
    suspend,
    turn::Turn,
    view::View,
    wait::WaitArgs,
};
use crate::{
    api::{
        keys,
        v1alpha1::{
            Connection, IntegrationInstance, Managed, ManagedStatus, ManagementPolicy, RefreshPhase, RefreshState,
            RefreshStatus,
        },
    },
    domain::{
        intent::Creation,
        refresh::{self, Entity},
    },
};
use anyhow::bail;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::json;
use strum::IntoEnumIterator;

/// Have the provider load an object's products and orders anew, and say what became of it
///
/// Each run asks with a new token, and one token asks the provider at most once, also where nobody can tell whether it
/// heard. A later token replaces an earlier one. Ends with 0 once the provider has taken the request, with 1 where it
/// failed, was refused, or cannot be made at this provider, and with 4 where nobody can tell, or where there is nothing
/// to ask for: an object that is suspended, being deleted, only observed, waits for a person, or has no record yet.
#[derive(clap::Args, Debug)]
pub(super) struct Refresh {
    /// A Connection, or KIND/NAME such as ii/acme
    name: ManagedName,
    #[command(flatten)]
    entities: Entities,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(clap::Args, Clone, Copy, Debug)]
#[group(multiple = false)]
struct Entities {
    /// Only the products
    #[arg(long)]
    products: bool,
    /// Only the orders
    #[arg(long)]
    orders: bool,
}

/// One request: the value of the annotation, and what it asks for.
#[derive(Debug, PartialEq)]
struct Asked {
    value: String,
    token: String,
    entities: &'static [Entity],
}

/// What came of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    kind: &'static str,
    namespace: String,
    name: String,
    token: String,
    /// What became of each entity that was asked for, as the status has it; absent where nobody waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<RefreshStatus>,
}

impl Refresh {
    pub(super) async fn run(self, program: &str) -> anyhow::Result<Exit> {
        let scope = self.scope.open(program).await?;
        match self.name.kind {
            ManagedKind::Connection => self.request::<Connection>(&scope).await,
            ManagedKind::IntegrationInstance => self.request::<IntegrationInstance>(&scope).await,
        }
    }

    async fn request<K: Managed + Typed>(&self, scope: &Scope) -> anyhow::Result<Exit> {
        let (name, caller) = (&self.name.name, scope.caller());
        let object: K = scope.get(name).await?;
        let why = needless(&object).or_else(|| stuck(&object, caller));
        if let Some(why) = why {
            return Err(Blocked::new(format!("{} {name} {}", K::TYPED.resource(), why.text::<K>(scope, name))).into());
        }
        let asked = self.entities.ask(now().to_string());
        scope.patch::<K>(name, &json!({"metadata": {"annotations": {keys::REFRESH: asked.value}}})).await?;
        let refresh = if self.wait.no_wait {
            None
        } else {
            self.output.note(&format!("{}: waiting until the provider was asked", self.name));
            let outcome = |object: Option<K>| {
                let Some(object) = object else { return Ok(None) };
                match (asked.outcome(&object)?, stuck(&object, caller)) {
                    (None, Some(why)) => {
                        let (kind, why) = (K::TYPED.resource(), why.text::<K>(scope, name));
                        Err(Blocked::new(format!("{kind} {name} {why}. The request stands until then")).into())
                    }
                    (outcome, _) => Ok(outcome),
                }
            };
            Some(self.wait.until(scope, name, "asked the provider to refresh", outcome).await?)
        };
        let exit = refresh.as_ref().map_or(Exit::Done, exit);
        let answer = Answer {
            kind: K::TYPED.as_str(),
            namespace: scope.namespace().to_owned(),
            name: name.clone(),
            token: asked.token,
            refresh,
        };
        self.output.print(&answer, || match &answer.refresh {
            None => vec![line(format!("{}: asked the operator for a refresh (token {})", self.name, answer.token))],
            Some(refresh) => told(&self.name, refresh),
        })?;
        Ok(exit)
    }
}

impl Entities {
    fn ask(self, token: String) -> Asked {
        let (value, entities): (_, &[Entity]) = match (self.products, self.orders) {
            (true, false) => (format!("products@{token}"), &[Entity::Products]),
            (false, true) => (format!("orders@{token}"), &[Entity::Orders]),
            (false, false) | (true, true) => (token.clone(), &[Entity::Products, Entity::Orders]),
        };
        Asked { value, token, entities }
    }
}

impl Asked {
    /// What became of the request; `None` while that is open.
    fn outcome<K: Managed>(&self, object: &K) -> anyhow::Result<Option<RefreshStatus>> {
        let ours = |entity: Entity| self.ours(entity, object.managed_status());
        let has_ended = |entity: &Entity| ours(*entity).is_some_and(|state| has_ended(state.state));
        if self.entities.iter().all(has_ended) {
            let taken = |entity: Entity| ours(entity).filter(|_| self.entities.contains(&entity)).cloned();
            return Ok(Some(RefreshStatus { products: taken(Entity::Products), orders: taken(Entity::Orders) }));
        }
        // What the operator has begun it brings to its end; what it has not yet seen it never will.
        let begun = self.entities.iter().all(|entity| ours(*entity).is_some());
        if !begun && object.annotations().get(keys::REFRESH) != Some(&self.value) {
            bail!(
                "another request took the place of this one (token {}) before the operator saw it: of several it handles \
                 the last one",
                self.token
            );
        }
        Ok(None)
    }

    /// The state of an entity, where it is about this token.
    fn ours<'a>(&self, entity: Entity, status: Option<&'a ManagedStatus>) -> Option<&'a RefreshState> {
        refresh::state(status?, entity).filter(|state| state.token == self.token)
    }
}

/// Why there is nothing to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Needless {
    Deleting,
    Suspended,
    Observed,
    NoRecord,
    /// Nothing goes on before a person has done this.
    Stuck(String),
    /// The record works, and the account's guard holds back the one that is to take its place.
    Held(String),
}

impl Needless {
    fn text<K: Typed>(&self, scope: &Scope, name: &str) -> String {
        match self {
            Self::Deleting => "is being deleted: nothing is refreshed any more".to_owned(),
            Self::Suspended => suspend::refusal::<K>(scope, name),
            Self::Observed => {
                "is only observed (managementPolicy: ObserveOnly): nothing is asked of the provider. Set \
                               managementPolicy: Full first"
                    .to_owned()
            }
            Self::NoRecord => "has no record at the provider yet: there is nothing to refresh. A new record is loaded \
                               without being asked"
                .to_owned(),
            Self::Stuck(why) => format!("waits for a person, and nothing is refreshed before that is done: {why}"),
            Self::Held(why) => {
                format!("works, but its record is to be replaced, and nothing is refreshed before that is done: {why}")
            }
        }
    }
}

fn needless<K: Managed>(object: &K) -> Option<Needless> {
    let declaration = object.declaration();
    if object.meta().deletion_timestamp.is_some() {
        Some(Needless::Deleting)
    } else if declaration.is_suspended() {
        Some(Needless::Suspended)
    } else if declaration.management_policy() == ManagementPolicy::ObserveOnly {
        Some(Needless::Observed)
    } else if matches!(Question::of(object, &declaration).creation(), Creation::Done(_)) {
        None
    } else {
        Some(Needless::NoRecord)
    }
}

/// The operator asks for a refresh only of a record that works and is as declared; what else concerns a person is no
/// hindrance, and may be a load that failed.
fn stuck<K: Managed + Typed>(object: &K, caller: &Caller) -> Option<Needless> {
    let view = View::managed(object, caller);
    let (reason, message) = view.why();
    let why = format!("{reason}: {message}");
    let stuck = if view.is_held() { Needless::Held(why) } else { Needless::Stuck(why) };
    (view.waits_for == Turn::Person && !view.is_concern()).then_some(stuck)
}

/// Whether the operator has nothing more to do for a refresh.
fn has_ended(phase: RefreshPhase) -> bool {
    !matches!(phase, RefreshPhase::Due | RefreshPhase::Requested)
}

/// The entities of a status that there is something to tell of.
pub(super) fn states(refresh: &RefreshStatus) -> impl Iterator<Item = (Entity, &RefreshState)> {
    Entity::iter().filter_map(|entity| Some((entity, refresh::of(refresh, entity)?)))
}

fn exit(refresh: &RefreshStatus) -> Exit {
    let is = |phases: &[RefreshPhase]| states(refresh).any(|(_, state)| phases.contains(&state.state));
    if is(&[RefreshPhase::Failed, RefreshPhase::Unsupported]) {
        Exit::Failed
    } else if is(&[RefreshPhase::Unknown]) {
        Exit::Blocked
    } else {
        Exit::Done
    }
}

fn told(name: &ManagedName, refresh: &RefreshStatus) -> Vec<Line> {
    let told = |(entity, state): (Entity, &RefreshState)| {
        let job = state.job.as_ref().map(|job| format!(" (job {job})")).unwrap_or_default();
        line(format!("{name}: {entity} {}{job}: {}", state.state, words(state.state)))
    };
    states(refresh).map(told).collect()
}

fn words(phase: RefreshPhase) -> &'static str {
    match phase {
        RefreshPhase::Due => "it is to be asked for",
        RefreshPhase::Requested => "it is being asked for",
        RefreshPhase::Accepted => "the provider took it",
        RefreshPhase::Completed => "the provider says that it is done",
        RefreshPhase::Failed => "the provider refused it or it failed: see the object's events",
        RefreshPhase::Unknown => "nobody can tell whether it was started; run it again to ask once more",
        RefreshPhase::Handled => "the record was made or adopted in the meantime, so that nothing was asked for",
        RefreshPhase::Unsupported => "this provider has no refresh on request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    const BOTH: Entities = Entities { products: false, orders: false };
    const PRODUCTS: Entities = Entities { products: true, orders: false };

    fn object(change: &Value) -> Connection {
        let mut object = json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection",
            "metadata": {"name": "acme", "uid": "u", "annotations": {keys::REFRESH: "T"}},
            "spec": {"provider": "Rutter", "accountRef": {"name": "a"}},
            "status": {"externalId": "r-1"},
        });
        json_patch(&mut object, change);
        serde_json::from_value(object).expect("a Connection")
    }

    /// A merge patch.
    fn json_patch(object: &mut Value, change: &Value) {
        match (object, change) {
            (Value::Object(map), Value::Object(change)) => {
                for (key, value) in change {
                    json_patch(map.entry(key).or_insert(Value::Null), value);
                }
            }
            (object, change) => *object = change.clone(),
        }
    }

    fn state(token: &str, phase: &str) -> Value {
        json!({"token": token, "state": phase, "at": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn the_annotation_names_what_is_asked_for() {
        let value = |products, orders| Entities { products, orders }.ask("T".into()).value;
        assert_eq!([value(false, false), value(true, false), value(false, true)], ["T", "products@T", "orders@T"]);
    }

    #[rstest]
    #[case::fine(json!({}), None)]
    #[case::suspended(json!({"spec": {"suspend": true}}), Some(Needless::Suspended))]
    #[case::observed(json!({"spec": {"managementPolicy": "ObserveOnly"}}), Some(Needless::Observed))]
    #[case::no_record(json!({"status": {"externalId": null}}), Some(Needless::NoRecord))]
    #[case::only_observed_so_far(json!({"status": {"observedOnly": true}}), Some(Needless::NoRecord))]
    #[case::deleting(
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"suspend": true}}),
        Some(Needless::Deleting)
    )]
    fn what_cannot_be_refreshed_is_not_asked_for(#[case] change: Value, #[case] expected: Option<Needless>) {
        assert_eq!(needless(&object(&change)), expected);
    }

    #[rstest]
    #[case::unseen(BOTH, json!({}), None)]
    #[case::of_an_older_token(BOTH, json!({"products": state("S", "Accepted"), "orders": state("S", "Accepted")}), None)]
    #[case::half(BOTH, json!({"products": state("T", "Accepted"), "orders": state("T", "Requested")}), None)]
    #[case::due(PRODUCTS, json!({"products": state("T", "Due")}), None)]
    #[case::both(BOTH, json!({"products": state("T", "Accepted"), "orders": state("T", "Completed")}), Some(Exit::Done))]
    #[case::one(PRODUCTS, json!({"products": state("T", "Handled"), "orders": state("T", "Failed")}), Some(Exit::Done))]
    #[case::failed(BOTH, json!({"products": state("T", "Unknown"), "orders": state("T", "Failed")}), Some(Exit::Failed))]
    #[case::unsupported(PRODUCTS, json!({"products": state("T", "Unsupported")}), Some(Exit::Failed))]
    #[case::unknown(BOTH, json!({"products": state("T", "Accepted"), "orders": state("T", "Unknown")}), Some(Exit::Blocked))]
    fn the_end_is_that_of_what_was_asked_for(
        #[case] entities: Entities,
        #[case] refresh: Value,
        #[case] expected: Option<Exit>,
    ) {
        let asked = entities.ask("T".into());
        let change = json!({"metadata": {"annotations": {keys::REFRESH: asked.value}}, "status": {"refresh": refresh}});
        let outcome = asked.outcome(&object(&change)).expect("an outcome");
        assert_eq!(outcome.as_ref().map(exit), expected);
    }

    #[test]
    fn a_later_request_ends_the_wait_for_one_that_was_not_seen() {
        let asked = PRODUCTS.ask("T".into());
        let later = |refresh: Value| {
            object(&json!({"metadata": {"annotations": {keys::REFRESH: "U"}}, "status": {"refresh": refresh}}))
        };
        let error = asked.outcome(&later(json!({}))).expect_err("a refusal").to_string();
        assert!(error.contains("another request took the place of this one (token T)"), "{error}");
        let begun = later(json!({"products": state("T", "Requested")}));
        assert_eq!(asked.outcome(&begun).expect("an outcome"), None, "it comes to its end");
    }
}
