//! Refreshes: which one is due, and how far each has come.
//!
//! One is asked for at most once for each record, entity and token: `Requested` is written before the call, and what is
//! found as `Requested` later is not asked for again. The last tokens are remembered: whoever applies a manifest again
//! sets the annotation back to the one that stands there.

use crate::{
    api::v1alpha1::{ManagedStatus, RefreshPhase, RefreshState, RefreshStatus},
    domain::{conditions::History, text},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::iter;
use strum::{Display, EnumIter, IntoEnumIterator};

/// What a refresh loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Entity {
    /// Products.
    Products,
    /// Orders.
    Orders,
}

/// The token of the load that belongs to the creation, where nobody gave another one.
pub const INITIAL: &str = "initial";

/// A refresh that is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// What to load.
    pub entity: Entity,
    /// Who asks.
    pub token: String,
}

/// The token that the annotation's value gives to an entity: `token` for all, `products@token` for one.
#[must_use]
pub fn token(annotation: Option<&str>, entity: Entity) -> Option<String> {
    let text = annotation?.trim();
    let named = Entity::iter().find_map(|e| Some((e, text.strip_prefix(&format!("{e}@"))?)));
    let token = match named {
        Some((of, token)) => (of == entity).then_some(token)?,
        None => text,
    };
    (!token.is_empty()).then(|| text::token(token).to_owned())
}

/// The last refresh of an entity.
#[must_use]
pub fn state(status: &ManagedStatus, entity: Entity) -> Option<&RefreshState> {
    of(status.refresh.as_ref()?, entity)
}

/// The last refresh of an entity, among those of an object.
#[must_use]
pub fn of(refresh: &RefreshStatus, entity: Entity) -> Option<&RefreshState> {
    match entity {
        Entity::Products => refresh.products.as_ref(),
        Entity::Orders => refresh.orders.as_ref(),
    }
}

/// So many tokens are remembered beside the last one.
const EARLIER: usize = 8;

/// Whether this token asks for something that was not asked for before.
fn is_new(known: Option<&RefreshState>, token: &str) -> bool {
    known.is_none_or(|known| known.token != token && known.earlier.iter().all(|earlier| earlier != token))
}

/// The token that asks for a refresh of an entity, where it has not before.
#[must_use]
pub fn asked(annotation: Option<&str>, status: &ManagedStatus, entity: Entity) -> Option<Due> {
    let token = token(annotation, entity).filter(|token| is_new(state(status, entity), token))?;
    Some(Due { entity, token })
}

/// Notes how far the refresh of an entity has come. Whole seconds, as they are stored.
pub fn note(status: &mut ManagedStatus, due: &Due, phase: RefreshPhase, job: Option<String>, at: Timestamp) {
    let at = Time(Timestamp::from_second(at.as_second()).unwrap_or(at));
    let earlier = match state(status, due.entity) {
        Some(known) if known.token == due.token => known.earlier.clone(),
        Some(known) => iter::once(&known.token).chain(&known.earlier).take(EARLIER).cloned().collect(),
        None => vec![],
    };
    let state = Some(RefreshState { token: due.token.clone(), state: phase, at, job, earlier });
    let refresh = status.refresh.get_or_insert_default();
    match due.entity {
        Entity::Products => refresh.products = state,
        Entity::Orders => refresh.orders = state,
    }
}

/// Notes the same phases of several refreshes.
pub fn note_all<'a>(status: &mut ManagedStatus, all: impl IntoIterator<Item = (&'a Due, RefreshPhase)>, at: Timestamp) {
    for (due, phase) in all {
        note(status, due, phase, None, at);
    }
}

/// The refreshes that are to be asked for now. A new token goes before one that waits.
#[must_use]
pub fn due(annotation: Option<&str>, status: &ManagedStatus, now: Timestamp) -> Vec<Due> {
    let of = |entity| {
        let waiting = state(status, entity).filter(|k| k.state == RefreshPhase::Due && k.at.0 <= now);
        asked(annotation, status, entity).or_else(|| Some(Due { entity, token: waiting?.token.clone() }))
    };
    Entity::iter().filter_map(of).collect()
}

/// The refreshes in this phase.
#[must_use]
pub fn in_phase(status: &ManagedStatus, phase: RefreshPhase) -> Vec<Due> {
    let of = |entity| {
        let known = state(status, entity).filter(|k| k.state == phase)?;
        Some(Due { entity, token: known.token.clone() })
    };
    Entity::iter().filter_map(of).collect()
}

/// How far the first load of data is, by what the provider tells of it and by the refreshes.
#[must_use]
pub fn first_load(told: History, status: &ManagedStatus) -> History {
    let all: Vec<&RefreshState> = Entity::iter().filter_map(|e| state(status, e)).collect();
    let any = |phases: &[RefreshPhase]| all.iter().any(|s| phases.contains(&s.state));
    let job = all.iter().any(|s| s.state == RefreshPhase::Accepted && s.job.is_some());
    match told {
        _ if any(&[RefreshPhase::Unknown]) => History::Unknown,
        _ if any(&[RefreshPhase::Failed]) => History::Failed,
        _ if any(&[RefreshPhase::Due]) => History::Due,
        _ if any(&[RefreshPhase::Requested]) || job => History::Loading,
        History::Untold if any(&[RefreshPhase::Accepted]) => History::Unseen,
        History::Untold if any(&[RefreshPhase::Completed]) => History::Loaded,
        History::Untold
        | History::Unseen
        | History::Due
        | History::Loading
        | History::Loaded
        | History::Failed
        | History::Unknown => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn status(products: Option<(&str, RefreshPhase)>) -> ManagedStatus {
        let mut status = ManagedStatus::default();
        if let Some((token, phase)) = products {
            let due = Due { entity: Entity::Products, token: token.into() };
            note(&mut status, &due, phase, None, at(100));
        }
        status
    }

    #[rstest]
    #[case::all("monday", Some("monday"), Some("monday"))]
    #[case::products("products@monday", Some("monday"), None)]
    #[case::orders(" orders@monday ", None, Some("monday"))]
    #[case::a_name_that_is_none("customers@monday", Some("customers@monday"), Some("customers@monday"))]
    #[case::empty("", None, None)]
    #[case::no_token("orders@", None, None)]
    fn an_annotation_asks_for_all_or_for_one(
        #[case] text: &str,
        #[case] products: Option<&str>,
        #[case] orders: Option<&str>,
    ) {
        assert_eq!(token(Some(text), Entity::Products).as_deref(), products);
        assert_eq!(token(Some(text), Entity::Orders).as_deref(), orders);
    }

    #[test]
    fn a_token_longer_than_a_status_holds_is_handled_once() {
        let long = "x".repeat(1000);
        let mut status = ManagedStatus::default();
        for one in due(Some(&long), &status, at(0)) {
            note(&mut status, &one, RefreshPhase::Accepted, None, at(0));
        }
        assert_eq!(due(Some(&long), &status, at(9)), vec![]);
    }

    #[test]
    fn a_token_that_is_set_back_asks_for_nothing() {
        let mut status = ManagedStatus::default();
        for token in ["first", "second", "third"] {
            let due = due(Some(token), &status, at(0));
            assert_eq!(due.len(), 2, "{token}");
            for phase in [RefreshPhase::Requested, RefreshPhase::Accepted] {
                note_all(&mut status, due.iter().map(|due| (due, phase)), at(0));
            }
        }
        assert!(["first", "second", "third"].iter().all(|token| due(Some(token), &status, at(9)).is_empty()));
        let earlier = state(&status, Entity::Orders).map(|known| known.earlier.clone());
        assert_eq!(earlier, Some(vec!["second".into(), "first".into()]), "each once, whatever came of it");
    }

    #[test]
    fn no_more_tokens_are_remembered_than_a_status_holds() {
        let mut status = ManagedStatus::default();
        for number in 0..20 {
            note(&mut status, &of_entity(Entity::Orders, &number.to_string()), RefreshPhase::Accepted, None, at(0));
        }
        let kept = &state(&status, Entity::Orders).expect("a state").earlier;
        assert_eq!(kept, &["18", "17", "16", "15", "14", "13", "12", "11"]);
    }

    #[rstest]
    #[case::new(None, Some("monday"), Some("monday"))]
    #[case::newer(Some(("sunday", RefreshPhase::Accepted)), Some("monday"), Some("monday"))]
    #[case::handled(Some(("monday", RefreshPhase::Accepted)), Some("monday"), None)]
    #[case::unknown_is_not_asked_again(Some(("monday", RefreshPhase::Unknown)), Some("monday"), None)]
    #[case::failed_is_not_asked_again(Some(("monday", RefreshPhase::Failed)), Some("monday"), None)]
    #[case::interrupted_is_not_asked_again(Some(("monday", RefreshPhase::Requested)), Some("monday"), None)]
    #[case::of_the_creation(Some((INITIAL, RefreshPhase::Due)), None, Some(INITIAL))]
    #[case::a_new_token_goes_first(Some((INITIAL, RefreshPhase::Due)), Some("monday"), Some("monday"))]
    fn what_is_due(
        #[case] known: Option<(&str, RefreshPhase)>,
        #[case] asked: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let asked = asked.map(|token| format!("products@{token}"));
        let due = due(asked.as_deref(), &status(known), at(100));
        assert_eq!(due.iter().map(|d| d.token.as_str()).collect::<Vec<_>>(), Vec::from_iter(expected));
    }

    fn of_entity(entity: Entity, token: &str) -> Due {
        Due { entity, token: token.into() }
    }

    #[test]
    fn each_entity_has_a_refresh_of_its_own() {
        let (products, orders) = (of_entity(Entity::Products, "monday"), of_entity(Entity::Orders, "tuesday"));
        let mut status = ManagedStatus::default();
        note_all(&mut status, [(&products, RefreshPhase::Requested), (&orders, RefreshPhase::Accepted)], at(100));
        let noted = |entity| state(&status, entity).map(|s| (s.token.as_str(), s.state, s.at.0));
        assert_eq!(noted(Entity::Products), Some(("monday", RefreshPhase::Requested, at(100))));
        assert_eq!(noted(Entity::Orders), Some(("tuesday", RefreshPhase::Accepted, at(100))));
        assert_eq!(in_phase(&status, RefreshPhase::Requested), [products]);
        assert_eq!(in_phase(&status, RefreshPhase::Accepted), [orders]);
        assert_eq!(in_phase(&status, RefreshPhase::Due), []);
    }

    #[test]
    fn what_waits_is_not_due_before_its_time() {
        let waiting = status(Some((INITIAL, RefreshPhase::Due)));
        assert_eq!(due(None, &waiting, at(99)), vec![]);
        assert_eq!(due(None, &waiting, at(100)).len(), 1);
    }

    #[rstest]
    #[case::none(History::Untold, None, History::Untold)]
    #[case::told(History::Loaded, None, History::Loaded)]
    #[case::accepted_and_told(History::Loaded, Some(RefreshPhase::Accepted), History::Loaded)]
    #[case::accepted_and_untold(History::Untold, Some(RefreshPhase::Accepted), History::Unseen)]
    #[case::completed(History::Untold, Some(RefreshPhase::Completed), History::Loaded)]
    #[case::due(History::Loaded, Some(RefreshPhase::Due), History::Due)]
    #[case::failed(History::Loaded, Some(RefreshPhase::Failed), History::Failed)]
    #[case::unknown(History::Loaded, Some(RefreshPhase::Unknown), History::Unknown)]
    #[case::adopted(History::Untold, Some(RefreshPhase::Handled), History::Untold)]
    fn how_far_the_first_load_is(
        #[case] told: History,
        #[case] phase: Option<RefreshPhase>,
        #[case] expected: History,
    ) {
        let status = status(phase.map(|phase| (INITIAL, phase)));
        assert_eq!(first_load(told, &status), expected);
    }

    #[rstest]
    #[case::accepted(RefreshPhase::Accepted, History::Loading)]
    #[case::completed(RefreshPhase::Completed, History::Loaded)]
    fn a_job_is_under_way_until_it_is_done(#[case] phase: RefreshPhase, #[case] expected: History) {
        let mut status = ManagedStatus::default();
        note(&mut status, &of_entity(Entity::Products, INITIAL), phase, Some("job".into()), at(100));
        assert_eq!(first_load(History::Untold, &status), expected);
    }
}
