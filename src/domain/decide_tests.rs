//! The decision table, row by row: each case is the sentence that would stand in a review.

use super::*;
use crate::domain::ids::NaturalKey;
use crate::domain::reason::Problem;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;
use std::sync::LazyLock;

fn id(s: &str) -> ExternalId {
    ExternalId::new(s)
}

fn intent(key: Option<&str>) -> StoredIntent {
    StoredIntent {
        uid: "u".into(),
        attempt: 1,
        nonce: "n".into(),
        at: Time(Timestamp::UNIX_EPOCH),
        key: key.map(Into::into),
        account: "org".into(),
    }
}

fn seen(id: &str) -> Sighting {
    Sighting { id: ExternalId::new(id), authored: false, held: false, doubtful: false }
}

fn ours(id: &str) -> Sighting {
    Sighting { authored: true, ..seen(id) }
}

fn held(id: &str) -> Sighting {
    Sighting { held: true, ..seen(id) }
}

const POLICY: Policy = Policy {
    adoption: AdoptionPolicy::Fail,
    deletion: DeletionPolicy::Delete,
    management: ManagementPolicy::Full,
    replacement: ReplacementPolicy::Never,
    loss: ExternalLossPolicy::Halt,
    suspend: false,
};

/// The facts of an undisturbed object, changed by `change`, and the step that follows.
fn step<'a>(creation: &'a Creation, seen: Option<&'a [Sighting]>, change: impl FnOnce(&mut Facts<'a>)) -> Step {
    static KEY: LazyLock<NaturalKey> = LazyLock::new(|| NaturalKey::new("k"));
    let mut facts = Facts {
        deleting: false,
        bound: *creation != Creation::NotStarted,
        creation,
        policy: POLICY,
        recorded: None,
        observed_only: false,
        external_ref: None,
        key: Some(&KEY),
        seen,
        other_account: false,
        held: false,
        anothers: false,
        named: &[],
        key_claimed: false,
        in_grace: false,
        unlisted: false,
        comes_to_nothing: false,
        link: LinkState::None,
        any_link: false,
        unreachable: None,
        problem: None,
        refused: None,
        adoption_allowed: true,
        replacing: false,
        restored: false,
        drift: Drift::None,
        needs_person: false,
        refresh_due: false,
        resolution: None,
    };
    change(&mut facts);
    decide(&facts)
}

fn pending() -> Creation {
    Creation::Pending(intent(Some("k")))
}

fn nameless() -> Creation {
    Creation::Pending(intent(None))
}

fn done() -> Creation {
    Creation::Done(id("a"))
}

fn lost() -> Creation {
    Creation::Unverifiable(Some(StoredIntent { uid: "other".into(), ..intent(Some("k")) }))
}

mod deletion {
    use super::*;

    #[rstest]
    #[case::nothing_was_made(Creation::NotStarted, Release::NothingMade)]
    fn releases_at_once(#[case] creation: Creation, #[case] why: Release) {
        assert_eq!(step(&creation, None, |f| f.deleting = true), Step::Release(why));
    }

    /// Of an attempt that was given up.
    #[test]
    fn a_link_that_nothing_came_of_yet_is_waited_for() {
        let got = step(&Creation::NotStarted, None, |f| (f.deleting, f.any_link) = (true, true));
        assert_eq!(got, Step::Wait(Waiting::Link));
    }

    #[test]
    fn who_says_that_nothing_is_its_own_has_it_let_go_without_a_look() {
        for creation in [lost(), pending()] {
            let got = step(&creation, None, |f| {
                (f.deleting, f.resolution) = (true, Some(&Resolution::CreateAnew));
            });
            assert_eq!(got, Step::Release(Release::NothingMade));
        }
    }

    #[test]
    fn retain_releases_before_any_look_whatever_the_state() {
        for creation in [done(), pending(), lost()] {
            let got = step(&creation, None, |f| (f.deleting, f.policy.deletion) = (true, DeletionPolicy::Retain));
            assert_eq!(got, Step::Release(Release::Retained));
        }
    }

    #[test]
    fn what_stays_must_show_in_lists_before_its_object_goes() {
        for creation in [done(), pending()] {
            let leaves =
                |policy: Policy| step(&creation, None, |f| (f.deleting, f.unlisted, f.policy) = (true, true, policy));
            assert_eq!(leaves(Policy { deletion: DeletionPolicy::Retain, ..POLICY }), Step::Wait(Waiting::Listing));
            assert_eq!(
                leaves(Policy { management: ManagementPolicy::ObserveOnly, ..POLICY }),
                Step::Wait(Waiting::Listing)
            );
        }
    }

    #[test]
    fn what_goes_with_its_object_is_not_waited_for() {
        assert_eq!(step(&done(), None, |f| (f.deleting, f.unlisted) = (true, true)), Step::Delete(id("a")));
    }

    #[test]
    fn an_observed_record_is_never_deleted() {
        let got = step(&done(), None, |f| (f.deleting, f.policy.management) = (true, ManagementPolicy::ObserveOnly));
        assert_eq!(got, Step::Release(Release::Retained));
    }

    #[test]
    fn a_record_is_deleted_without_a_look_and_with_a_broken_spec() {
        let broken = Problem::new(Reason::InvalidSpec, "broken");
        assert_eq!(step(&done(), None, |f| (f.deleting, f.problem) = (true, Some(&broken))), Step::Delete(id("a")));
    }

    #[test]
    fn suspension_does_not_stop_it() {
        assert_eq!(step(&done(), None, |f| (f.deleting, f.policy.suspend) = (true, true)), Step::Delete(id("a")));
    }

    #[test]
    fn a_record_of_another_object_is_left_alone() {
        assert_eq!(step(&done(), None, |f| (f.deleting, f.held) = (true, true)), Step::Release(Release::HeldByAnother));
    }

    #[test]
    fn a_record_in_another_account_is_not_deleted_here() {
        let got = step(&done(), None, |f| (f.deleting, f.other_account) = (true, true));
        assert_eq!(got, Step::Halt(Reason::AccountMismatch, vec![]));
    }

    #[test]
    fn a_live_link_may_still_make_a_record() {
        assert_eq!(step(&pending(), None, |f| (f.deleting, f.any_link) = (true, true)), Step::Wait(Waiting::Link));
    }

    #[rstest]
    #[case::before_the_look(None, false, Step::Look(Look::Key(NaturalKey::new("k"))))]
    #[case::in_grace(Some(vec![]), true, Step::Wait(Waiting::Grace))]
    #[case::ours_is_recorded_first(Some(vec![ours("a")]), false, Step::Record(id("a")))]
    #[case::foreign_only(Some(vec![seen("a")]), false, Step::Release(Release::NothingMade))]
    #[case::absence_proven(Some(vec![]), false, Step::Release(Release::NothingMade))]
    #[case::two_of_ours(Some(vec![ours("a"), ours("b")]), false, Step::Halt(Reason::DeletionBlocked, vec![id("a"), id("b")]))]
    fn an_open_attempt_is_resolved_first(#[case] look: Option<Vec<Sighting>>, #[case] grace: bool, #[case] want: Step) {
        assert_eq!(step(&pending(), look.as_deref(), |f| (f.deleting, f.in_grace) = (true, grace)), want);
    }

    #[test]
    fn what_nobody_can_verify_is_blocked_with_candidates() {
        assert_eq!(step(&lost(), None, |f| f.deleting = true), Step::Look(Look::Key(NaturalKey::new("k"))));
        let got = step(&lost(), Some(&[seen("a"), held("b")]), |f| f.deleting = true);
        assert_eq!(got, Step::Halt(Reason::DeletionBlocked, vec![id("a")]));
    }
}

mod unverifiable {
    use super::*;

    #[test]
    fn it_never_creates_and_never_adopts() {
        for look in [vec![], vec![seen("a")], vec![ours("a")]] {
            let got = step(&lost(), Some(&look), |f| f.policy.adoption = AdoptionPolicy::Override);
            assert!(matches!(got, Step::Halt(Reason::CreateOutcomeUnknown, _)), "{got:?}");
        }
    }

    #[test]
    fn the_recorded_id_is_one_of_the_candidates_and_named_once() {
        let recorded = id("a");
        for (look, want) in [(vec![seen("b")], vec![id("b"), id("a")]), (vec![seen("a")], vec![id("a")])] {
            let got = step(&lost(), Some(&look), |f| f.recorded = Some(&recorded));
            assert_eq!(got, Step::Halt(Reason::CreateOutcomeUnknown, want));
        }
    }

    #[test]
    fn an_unreadable_annotation_halts_without_a_look() {
        let got = step(&Creation::Unverifiable(None), None, |_| {});
        assert_eq!(got, Step::Halt(Reason::CreateOutcomeUnknown, vec![]));
    }

    #[test]
    fn a_person_may_say_which_record_it_is() {
        let answer = Resolution::Adopt(id("a"));
        assert_eq!(step(&lost(), None, |f| f.resolution = Some(&answer)), Step::Look(Look::Id(id("a"))));
        assert_eq!(step(&lost(), Some(&[seen("a")]), |f| f.resolution = Some(&answer)), Step::Resolve(answer.clone()));
    }

    #[test]
    fn a_person_may_not_take_what_another_object_holds() {
        let answer = Resolution::Adopt(id("a"));
        let got = step(&lost(), Some(&[held("a")]), |f| f.resolution = Some(&answer));
        assert_eq!(got, Step::Halt(Reason::ExternalIdConflict, vec![id("a")]));
        let got = step(&lost(), None, |f| (f.resolution, f.held) = (Some(&answer), true));
        assert_eq!(got, Step::Halt(Reason::ExternalIdConflict, vec![id("a")]), "nor look at it");
    }

    #[test]
    fn an_account_that_forbids_adoption_forbids_it_here_too() {
        let answer = Resolution::Adopt(id("a"));
        let got = step(&lost(), None, |f| (f.resolution, f.adoption_allowed) = (Some(&answer), false));
        assert_eq!(got, Step::Halt(Reason::AdoptionForbidden, vec![id("a")]));
    }

    #[test]
    fn a_person_may_say_that_there_is_none() {
        let answer = Resolution::CreateAnew;
        assert_eq!(step(&lost(), None, |f| f.resolution = Some(&answer)), Step::Resolve(answer.clone()));
    }
}

mod before_everything {
    use super::*;

    #[test]
    fn a_lost_finalizer_is_put_back_first() {
        for creation in [done(), pending(), lost()] {
            assert_eq!(step(&creation, None, |f| f.bound = false), Step::Rebind);
        }
    }

    #[test]
    fn a_changed_account_stops_everything() {
        for creation in [done(), pending()] {
            let got = step(&creation, None, |f| f.other_account = true);
            assert_eq!(got, Step::Halt(Reason::AccountMismatch, vec![]));
        }
    }

    #[test]
    fn suspended_objects_are_not_looked_up() {
        for creation in [Creation::NotStarted, done(), pending()] {
            assert_eq!(step(&creation, None, |f| f.policy.suspend = true), Step::Suspended);
        }
    }
}

mod without_an_account {
    use super::*;

    type Change = fn(&mut Facts<'_>);

    fn unreachable(creation: &Creation, seen: Option<&[Sighting]>, change: Change) -> Step {
        let gone = Problem::new(Reason::DependencyNotReady, "gone");
        step(creation, seen, |f| {
            change(f);
            f.unreachable = Some(&gone);
        })
    }

    #[test]
    fn what_asks_or_changes_the_provider_is_blocked() {
        let there = || Some(vec![seen("a")]);
        let replaced: Change = |f| {
            f.policy.replacement = ReplacementPolicy::Recreate;
            f.drift = Drift::Replacement(vec!["x".into()]);
        };
        let steps: [(&str, Creation, Option<Vec<Sighting>>, Change); 8] = [
            ("a look", done(), None, |_| ()),
            ("an answer", lost(), None, |f| f.resolution = Some(&Resolution::CreateAnew)),
            ("a create", Creation::NotStarted, Some(vec![]), |_| ()),
            ("a delete", done(), None, |f| f.deleting = true),
            ("a replacement", done(), there(), replaced),
            ("a change", done(), there(), |f| f.drift = Drift::Fields(vec!["x".into()])),
            ("a refresh", done(), there(), |f| f.refresh_due = true),
            ("a report of its health", done(), there(), |_| ()),
        ];
        for (what, creation, look, change) in steps {
            let got = unreachable(&creation, look.as_deref(), change);
            assert_eq!(got, Step::Blocked(Problem::new(Reason::DependencyNotReady, "gone")), "{what}");
        }
    }

    #[test]
    fn what_needs_none_goes_on() {
        let steps: [(Step, Creation, Option<Vec<Sighting>>, Change); 7] = [
            (Step::Release(Release::NothingMade), Creation::NotStarted, None, |f| f.deleting = true),
            (Step::Rebind, done(), None, |f| f.bound = false),
            (Step::Halt(Reason::AccountMismatch, vec![]), done(), None, |f| f.other_account = true),
            (Step::Wait(Waiting::Link), pending(), None, |f| (f.deleting, f.any_link) = (true, true)),
            (Step::Suspended, done(), None, |f| f.policy.suspend = true),
            (Step::Record(id("a")), pending(), Some(vec![ours("a")]), |_| ()),
            (Step::Settle(None, vec![]), pending(), Some(vec![]), |_| ()),
        ];
        for (want, creation, look, change) in steps {
            assert_eq!(unreachable(&creation, look.as_deref(), change), want);
        }
    }
}

mod observe_only {
    use super::*;

    fn observe(creation: &Creation, seen: Option<&[Sighting]>) -> Step {
        step(creation, seen, |f| f.policy.management = ManagementPolicy::ObserveOnly)
    }

    #[rstest]
    #[case::before_the_look(None, Step::Look(Look::Key(NaturalKey::new("k"))))]
    #[case::one(Some(vec![seen("a")]), Step::RecordObserved(id("a")))]
    #[case::none(Some(vec![]), Step::Halt(Reason::ExternalNotFound, vec![]))]
    #[case::many(Some(vec![seen("a"), seen("b")]), Step::Halt(Reason::AmbiguousMatch, vec![id("a"), id("b")]))]
    fn records_and_never_writes(#[case] look: Option<Vec<Sighting>>, #[case] want: Step) {
        assert_eq!(observe(&Creation::NotStarted, look.as_deref()), want);
    }

    #[test]
    fn what_is_recorded_is_looked_up_by_its_id_and_forgotten_when_it_is_gone() {
        assert_eq!(observe(&done(), None), Step::Look(Look::Id(id("a"))));
        assert_eq!(observe(&done(), Some(&[])), Step::Forget);
        let named = id("a");
        let got = step(&done(), Some(&[]), |f| {
            (f.policy.management, f.external_ref) = (ManagementPolicy::ObserveOnly, Some(&named));
        });
        assert_eq!(got, Step::Halt(Reason::ExternalNotFound, vec![]), "no other one can take its place");
    }

    #[test]
    fn one_list_without_it_proves_nothing_while_lists_may_lag() {
        let got = step(&done(), Some(&[]), |f| {
            (f.policy.management, f.in_grace) = (ManagementPolicy::ObserveOnly, true);
        });
        assert_eq!(got, Step::Wait(Waiting::Absence));
    }

    #[rstest]
    #[case::what_it_made_is_not_lost_for_another(false, Step::Halt(Reason::ExternalIdConflict, vec![id("a")]))]
    #[case::what_it_looked_at_is(true, Step::Look(Look::Id(id("b"))))]
    fn an_external_ref_comes_later(#[case] observed_only: bool, #[case] want: Step) {
        let named = id("b");
        let got = step(&done(), None, |f| {
            (f.policy.management, f.external_ref) = (ManagementPolicy::ObserveOnly, Some(&named));
            f.observed_only = observed_only;
        });
        assert_eq!(got, want);
    }

    #[test]
    fn what_is_recorded_already_is_reported() {
        assert_eq!(observe(&done(), Some(&[seen("a")])), Step::Idle(id("a")));
    }

    #[test]
    fn an_attempt_that_was_left_open_does_not_keep_what_is_recorded_from_being_reported() {
        let (open, recorded) = (Creation::Pending(intent(Some("k"))), id("a"));
        let observed = |recorded, seen: Option<&[Sighting]>| {
            step(&open, seen, |f| {
                (f.policy.management, f.recorded) = (ManagementPolicy::ObserveOnly, recorded);
            })
        };
        assert_eq!(observed(None, Some(&[seen("a")])), Step::RecordObserved(id("a")));
        assert_eq!(observed(Some(&recorded), None), Step::Look(Look::Id(id("a"))));
        assert_eq!(observed(Some(&recorded), Some(&[seen("a")])), Step::Idle(id("a")));
        assert_eq!(observed(Some(&recorded), Some(&[])), Step::Forget);
    }

    #[test]
    fn the_account_may_forbid_it() {
        let got = step(&Creation::NotStarted, None, |f| {
            (f.policy.management, f.adoption_allowed) = (ManagementPolicy::ObserveOnly, false);
        });
        assert_eq!(got, Step::Halt(Reason::AdoptionForbidden, vec![]));
    }
}

mod not_started {
    use super::*;

    fn new<'a>(seen: Option<&'a [Sighting]>, change: impl FnOnce(&mut Facts<'a>)) -> Step {
        step(&Creation::NotStarted, seen, change)
    }

    #[test]
    fn it_looks_before_it_creates() {
        assert_eq!(new(None, |_| {}), Step::Look(Look::Key(NaturalKey::new("k"))));
        assert_eq!(new(Some(&[]), |_| {}), Step::Create);
    }

    #[test]
    fn a_platform_without_identity_is_created_without_a_search() {
        assert_eq!(new(None, |f| f.key = None), Step::Create);
    }

    #[test]
    fn an_external_ref_never_creates() {
        let named = id("a");
        assert_eq!(new(None, |f| f.external_ref = Some(&named)), Step::Look(Look::Id(id("a"))));
        let got = new(Some(&[]), |f| f.external_ref = Some(&named));
        assert_eq!(got, Step::Halt(Reason::ExternalNotFound, vec![]));
    }

    #[test]
    fn what_is_named_is_not_looked_at_where_it_may_not_be_taken_over() {
        let named = id("a");
        let got = new(None, |f| (f.external_ref, f.held) = (Some(&named), true));
        assert_eq!(got, Step::Halt(Reason::ExternalIdConflict, vec![id("a")]));
        let got = new(None, |f| (f.external_ref, f.adoption_allowed) = (Some(&named), false));
        assert_eq!(got, Step::Halt(Reason::AdoptionForbidden, vec![id("a")]));
    }

    #[rstest]
    #[case::by_default(AdoptionPolicy::Fail, Drift::None, true, Step::Halt(Reason::AlreadyExists, vec![id("a")]))]
    #[case::if_equal(AdoptionPolicy::Match, Drift::None, true, Step::Adopt(id("a")))]
    #[case::if_it_differs(AdoptionPolicy::Match, Drift::Fields(vec!["x".into()]), true, Step::Halt(Reason::NotMatch, vec![id("a")]))]
    #[case::in_any_case(AdoptionPolicy::Override, Drift::Fields(vec!["x".into()]), true, Step::Adopt(id("a")))]
    #[case::not_what_cannot_be_changed(AdoptionPolicy::Override, Drift::Replacement(vec!["x".into()]), true, Step::Halt(Reason::NotMatch, vec![id("a")]))]
    #[case::not_where_the_account_forbids(AdoptionPolicy::Override, Drift::None, false, Step::Halt(Reason::AdoptionForbidden, vec![id("a")]))]
    fn a_strangers_record_is_adopted_by_policy(
        #[case] policy: AdoptionPolicy,
        #[case] drift: Drift,
        #[case] allowed: bool,
        #[case] want: Step,
    ) {
        let got = new(Some(&[seen("a")]), |f| {
            (f.policy.adoption, f.adoption_allowed) = (policy, allowed);
            f.drift = drift;
        });
        assert_eq!(got, want);
    }

    #[test]
    fn what_another_object_holds_or_claims_is_a_conflict() {
        let got = new(Some(&[held("a")]), |f| f.policy.adoption = AdoptionPolicy::Override);
        assert_eq!(got, Step::Halt(Reason::ExternalIdConflict, vec![id("a")]));
        let got = new(Some(&[seen("a")]), |f| (f.policy.adoption, f.key_claimed) = (AdoptionPolicy::Override, true));
        assert_eq!(got, Step::Halt(Reason::ExternalIdConflict, vec![id("a")]));
        assert_eq!(new(Some(&[]), |f| f.key_claimed = true), Step::Halt(Reason::ExternalIdConflict, vec![]));
    }

    #[test]
    fn two_matches_are_ambiguous() {
        let got = new(Some(&[seen("a"), seen("b")]), |f| f.policy.adoption = AdoptionPolicy::Override);
        assert_eq!(got, Step::Halt(Reason::AmbiguousMatch, vec![id("a"), id("b")]));
    }

    #[test]
    fn a_refused_create_is_not_sent_again_before_something_changes() {
        let refused = Problem::new(Reason::ProviderRejected, "no");
        assert_eq!(new(Some(&[]), |f| f.refused = Some(&refused)), Step::Blocked(refused.clone()));
    }

    #[test]
    fn a_broken_spec_makes_no_call() {
        let broken = Problem::new(Reason::InvalidSpec, "no");
        assert_eq!(new(None, |f| f.problem = Some(&broken)), Step::Blocked(broken.clone()));
    }
}

mod open_attempt {
    use super::*;

    #[rstest]
    #[case::it_is_looked_up_by_its_own_key(None, false, Step::Look(Look::Key(NaturalKey::new("k"))))]
    #[case::inside_the_grace_nothing_is_concluded(Some(vec![]), true, Step::Wait(Waiting::Grace))]
    #[case::not_even_a_match_of_ours(Some(vec![ours("a")]), true, Step::Wait(Waiting::Grace))]
    #[case::ours_is_recorded(Some(vec![ours("a")]), false, Step::Record(id("a")))]
    #[case::absence_settles_it(Some(vec![]), false, Step::Settle(None, vec![]))]
    #[case::a_strangers_record_settles_it_as_refused(Some(vec![seen("a")]), false, Step::Settle(Some(Reason::AlreadyExists), vec![id("a")]))]
    #[case::a_held_one_is_a_strangers(Some(vec![held("a")]), false, Step::Settle(Some(Reason::AlreadyExists), vec![id("a")]))]
    #[case::two_of_ours_need_a_person(Some(vec![ours("a"), ours("b")]), false, Step::Halt(Reason::CreateOutcomeUnknown, vec![id("a"), id("b")]))]
    #[case::ours_beside_a_strangers_needs_a_person(Some(vec![ours("a"), seen("b")]), false, Step::Halt(Reason::CreateOutcomeUnknown, vec![id("a"), id("b")]))]
    #[case::an_unreadable_one_needs_a_person(Some(vec![Sighting { doubtful: true, ..seen("a") }]), false, Step::Halt(Reason::CreateOutcomeUnknown, vec![id("a")]))]
    #[case::ours_beside_one_that_another_object_holds(Some(vec![ours("a"), held("b")]), false, Step::Record(id("a")))]
    fn with_a_key(#[case] look: Option<Vec<Sighting>>, #[case] grace: bool, #[case] want: Step) {
        assert_eq!(step(&pending(), look.as_deref(), |f| f.in_grace = grace), want);
    }

    /// Whatever the grace, and also where nothing tells records apart.
    #[test]
    fn one_of_which_nothing_comes_is_settled_without_a_look() {
        for creation in [pending(), nameless()] {
            let nothing = |change: fn(&mut Facts<'_>)| {
                step(&creation, None, |f| {
                    (f.comes_to_nothing, f.in_grace) = (true, true);
                    change(f);
                })
            };
            assert_eq!(nothing(|_| ()), Step::Settle(None, vec![]));
            assert_eq!(nothing(|f| f.deleting = true), Step::Release(Release::NothingMade));
            let linked = nothing(|f| f.link = LinkState::Live);
            assert!(matches!(linked, Step::Look(_)), "what an attempt before it has handed out may come to something");
        }
    }

    #[test]
    fn without_identity_it_always_stops_for_a_person() {
        for look in [vec![], vec![ours("a")], vec![seen("a")]] {
            let got = step(&nameless(), Some(&look), |_| {});
            assert!(matches!(got, Step::Halt(Reason::CreateOutcomeUnknown, _)), "{got:?}");
        }
    }

    #[test]
    fn without_identity_what_the_answer_named_stays_named_where_no_look_shows_it() {
        let named = [id("answered")];
        let halted = |ids: &[&str]| Step::Halt(Reason::CreateOutcomeUnknown, ids.iter().copied().map(id).collect());
        assert_eq!(step(&nameless(), Some(&[]), |f| f.named = &named), halted(&["answered"]));
        assert_eq!(step(&nameless(), Some(&[seen("a")]), |f| f.named = &named), halted(&["a"]));
    }

    #[test]
    fn the_present_spec_has_no_say_in_it() {
        let edited = NaturalKey::new("edited");
        let broken = Problem::new(Reason::InvalidSpec, "no");
        let got = step(&pending(), None, |f| (f.key, f.problem) = (Some(&edited), Some(&broken)));
        assert_eq!(got, Step::Look(Look::Key(NaturalKey::new("k"))));
    }

    #[test]
    fn a_live_link_waits_for_the_person() {
        assert_eq!(step(&pending(), Some(&[]), |f| f.link = LinkState::Live), Step::Wait(Waiting::Person));
        assert_eq!(step(&pending(), Some(&[ours("a")]), |f| f.link = LinkState::Live), Step::Record(id("a")));
        // Which of two it led to nobody can tell.
        let two = [ours("a"), Sighting { authored: false, ..ours("b") }];
        assert_eq!(step(&pending(), Some(&two), |f| f.link = LinkState::Live), Step::Wait(Waiting::Person));
    }

    #[test]
    fn a_link_that_nobody_used_is_followed_by_a_new_one_if_one_would_be_given() {
        let expired = |change: fn(&mut Facts<'_>)| {
            step(&pending(), Some(&[]), |f| {
                f.link = LinkState::Expired;
                change(f);
            })
        };
        assert_eq!(expired(|_| ()), Step::Create);
        assert_eq!(expired(|f| f.in_grace = true), Step::Wait(Waiting::Grace));
        assert_eq!(expired(|f| f.deleting = true), Step::Release(Release::NothingMade));
        let given_up = Problem::new(Reason::LinkExpired, "nobody came");
        let got = step(&pending(), Some(&[]), |f| (f.link, f.problem) = (LinkState::Expired, Some(&given_up)));
        assert_eq!(got, Step::Blocked(given_up.clone()));
        let named = id("a");
        for link in [LinkState::Expired, LinkState::Lost] {
            let got = step(&pending(), Some(&[]), |f| (f.link, f.external_ref) = (link, Some(&named)));
            assert_eq!(got, Step::Settle(None, vec![]), "the declaration names a record by now");
        }
        let late = step(&pending(), Some(&[ours("a")]), |f| f.link = LinkState::Expired);
        assert_eq!(late, Step::Record(id("a")), "somebody used it in the last moment");
    }

    #[test]
    fn a_lost_link_is_issued_again_only_after_the_grace() {
        let lost = |grace| step(&pending(), Some(&[]), |f| (f.link, f.in_grace) = (LinkState::Lost, grace));
        assert_eq!(lost(true), Step::Wait(Waiting::LostLink));
        assert_eq!(lost(false), Step::Create);
        let no_place = Problem::new(Reason::ConnectionSecretConflict, "somebody else's");
        let got = step(&pending(), Some(&[]), |f| (f.link, f.problem) = (LinkState::Lost, Some(&no_place)));
        assert_eq!(got, Step::Blocked(no_place.clone()));
        let no_right = Problem::new(Reason::PermissionDenied, "grant it");
        for grace in [true, false] {
            let got = step(&pending(), Some(&[]), |f| {
                (f.link, f.in_grace, f.refused) = (LinkState::Lost, grace, Some(&no_right));
            });
            assert_eq!(got, Step::Blocked(no_right.clone()), "as long as that stands, whatever the grace");
        }
        let late = step(&pending(), Some(&[ours("a")]), |f| f.link = LinkState::Lost);
        assert_eq!(late, Step::Record(id("a")), "whoever had it used it");
        let theirs = step(&pending(), Some(&[seen("a")]), |f| f.link = LinkState::Lost);
        assert_eq!(theirs, Step::Settle(None, vec![]));
    }
}

mod recorded {
    use super::*;

    #[rstest]
    #[case::it_is_looked_up_by_id(None, false, ExternalLossPolicy::Halt, Step::Look(Look::Id(id("a"))))]
    #[case::an_early_absence_is_waited_out(Some(vec![]), true, ExternalLossPolicy::Recreate, Step::Wait(Waiting::Absence))]
    #[case::a_loss_halts(Some(vec![]), false, ExternalLossPolicy::Halt, Step::Halt(Reason::ExternalNotFound, vec![id("a")]))]
    #[case::a_loss_is_forgotten_first(Some(vec![]), false, ExternalLossPolicy::Recreate, Step::Forget)]
    #[case::present_is_idle(Some(vec![seen("a")]), false, ExternalLossPolicy::Halt, Step::Idle(id("a")))]
    fn by_id(
        #[case] look: Option<Vec<Sighting>>,
        #[case] grace: bool,
        #[case] loss: ExternalLossPolicy,
        #[case] want: Step,
    ) {
        let got = step(&done(), look.as_deref(), |f| (f.in_grace, f.policy.loss) = (grace, loss));
        assert_eq!(got, want);
    }

    #[test]
    fn credentials_that_came_back_wait_for_a_person_and_a_deletion_does_not() {
        let restored = |f: &mut Facts<'_>| (f.restored, f.drift) = (true, Drift::Fields(vec!["x".into()]));
        let got = step(&done(), Some(&[seen("a")]), restored);
        assert_eq!(got, Step::Halt(Reason::CredentialsRestored, vec![id("a")]));
        let got = step(&done(), None, |f| (f.restored, f.deleting) = (true, true));
        assert_eq!(got, Step::Delete(id("a")));
    }

    #[test]
    fn the_loser_of_an_id_touches_nothing() {
        let got = step(&done(), Some(&[seen("a")]), |f| {
            f.held = true;
            f.drift = Drift::Fields(vec!["x".into()]);
        });
        assert_eq!(got, Step::Halt(Reason::ExternalIdConflict, vec![id("a")]));
    }

    #[test]
    fn the_id_of_what_another_object_declares_is_neither_touched_nor_deleted() {
        let conflict = Step::Halt(Reason::ExternalIdConflict, vec![id("a")]);
        assert_eq!(step(&done(), Some(&[seen("a")]), |f| f.anothers = true), conflict);
        assert_eq!(step(&done(), None, |f| (f.anothers, f.deleting) = (true, true)), conflict);
        let retained = step(&done(), None, |f| {
            (f.anothers, f.deleting, f.policy.deletion) = (true, true, DeletionPolicy::Retain);
        });
        assert_eq!(retained, Step::Release(Release::Retained));
    }

    #[test]
    fn an_external_ref_to_another_record_is_a_conflict() {
        let named = id("b");
        let got = step(&done(), Some(&[seen("a")]), |f| f.external_ref = Some(&named));
        assert_eq!(got, Step::Halt(Reason::ExternalIdConflict, vec![id("a")]));
    }

    #[rstest]
    #[case::in_place(Drift::Fields(vec!["x".into()]), ReplacementPolicy::Never, Step::Update(id("a")))]
    #[case::not_in_place(Drift::Replacement(vec!["x".into()]), ReplacementPolicy::Never, Step::Halt(Reason::ReplacementRequired, vec![id("a")]))]
    #[case::by_a_new_record(Drift::Replacement(vec!["x".into()]), ReplacementPolicy::Recreate, Step::Replace(id("a")))]
    fn drift_is_corrected(#[case] drift: Drift, #[case] policy: ReplacementPolicy, #[case] want: Step) {
        let got = step(&done(), Some(&[seen("a")]), |f| {
            f.policy.replacement = policy;
            f.drift = drift;
        });
        assert_eq!(got, want);
    }

    #[test]
    fn a_record_is_not_replaced_while_the_new_one_could_not_be_made() {
        let broken = Problem::new(Reason::SecretNotFound, "no");
        let got = step(&done(), Some(&[seen("a")]), |f| {
            (f.policy.replacement, f.problem) = (ReplacementPolicy::Recreate, Some(&broken));
            f.drift = Drift::Replacement(vec!["x".into()]);
        });
        assert_eq!(got, Step::Blocked(broken.clone()));
    }

    #[test]
    fn a_record_is_neither_changed_nor_called_as_declared_while_the_declaration_cannot_be_carried_out() {
        let broken = Problem::new(Reason::InvalidSpec, "no");
        for drift in [Drift::None, Drift::Fields(vec!["x".into()])] {
            let got = step(&done(), Some(&[seen("a")]), |f| (f.drift, f.problem) = (drift, Some(&broken)));
            assert_eq!(got, Step::Blocked(broken.clone()));
        }
    }

    #[test]
    fn the_loss_of_what_is_being_replaced_is_no_surprise() {
        let recreate = |f: &mut Facts<'_>| (f.replacing, f.policy.replacement) = (true, ReplacementPolicy::Recreate);
        assert_eq!(step(&done(), Some(&[]), recreate), Step::Forget);
        let taken_back = step(&done(), Some(&[]), |f| f.replacing = true);
        assert_eq!(taken_back, Step::Halt(Reason::ExternalNotFound, vec![id("a")]));
    }

    #[test]
    fn what_can_only_be_replaced_is_loaded_again_all_the_same() {
        let broken = Problem::new(Reason::InvalidSpec, "no");
        let of = |due, problem| {
            let drift = Drift::Replacement(vec!["x".into()]);
            step(&done(), Some(&[seen("a")]), |f| (f.drift, f.refresh_due, f.problem) = (drift, due, problem))
        };
        assert_eq!(of(true, None), Step::Refresh(id("a")));
        let halted = Step::Halt(Reason::ReplacementRequired, vec![id("a")]);
        assert_eq!((of(false, None), of(true, Some(&broken))), (halted.clone(), halted));
    }

    #[test]
    fn a_person_comes_before_a_change_and_a_change_before_a_refresh() {
        let fields = || Drift::Fields(vec!["x".into()]);
        let got =
            step(&done(), Some(&[seen("a")]), |f| (f.needs_person, f.drift, f.refresh_due) = (true, fields(), true));
        assert_eq!(got, Step::Idle(id("a")));
        let got = step(&done(), Some(&[seen("a")]), |f| (f.drift, f.refresh_due) = (fields(), true));
        assert_eq!(got, Step::Update(id("a")));
        assert_eq!(step(&done(), Some(&[seen("a")]), |f| f.refresh_due = true), Step::Refresh(id("a")));
    }
}
