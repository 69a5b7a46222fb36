//! One pass over one object: guard → resolve → observe → decide → act → report.
//!
//! It must never ask why it was called, and never write at the provider more than once.

use super::{
    account,
    act::{self, Scene},
    claims::Claims,
    context::Engine,
    error::PassError,
    known::{Parts, facts_without_account},
    link,
    object::Target,
    outcome::{self, Next, SOON},
    refused,
    resolve::{self, Account},
    supplies::{self, At, Supplies},
    workers::Seat,
};
use crate::{
    api::v1alpha1::{RefreshPhase, ReplacementPolicy, StoredIntent},
    domain::{
        advice,
        conditions::Health,
        dates,
        decide::{Drift, Facts, LinkState, Look, Sighting, Step, decide},
        diff::Difference,
        ids::AccountIdentity,
        intent::{Authorship, Creation, LinkSpan, Window},
        reason::Problem,
        refresh,
        validate::{self, Credentials},
    },
    provider::{self, ApiError, External, Freshness, Pace, Record, Session, Slot, with_external},
};
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// An object that a cache shows as it was is looked at again after this long, should nothing newer come.
const RARELY: Duration = Duration::from_mins(5);

/// One pass.
///
/// # Errors
/// Where the API server did not take part; the provider's failures end in a status instead.
pub(super) async fn pass(engine: &Engine, mut target: Target) -> Result<Next, PassError> {
    if engine.memory.outdated(&target.uid, &target.version) {
        // The watch brings the newer one; after a restored etcd it never comes.
        return Ok(Next::After(RARELY));
    }
    if target.deleting && !target.bound() {
        return Ok(Next::Change);
    }
    // The account stays for as long as this pass, which may find it there and start.
    let account = engine.accounts.of(&target).filter(|_| !target.bound());
    let joining = account.map(|account| engine.starting.joins(account.uid()));
    let resolved = match joining {
        Some(None) => Account::NotYet,
        Some(Some(_)) | None => resolve::account(engine, &target),
    };
    if !matches!(resolved, Account::NotYet) {
        engine.memory.decided(&target.uid);
    }
    match resolved {
        Account::NotYet => {
            let step = decide(&facts_without_account(engine, &target, &Parts::new(&target), None));
            // These follow from the object alone. Whatever else would be said now might be wrong in a moment.
            if matches!(step, Step::Release(_) | Step::Rebind | Step::Suspended) {
                return act::without_account(engine, &mut target, step).await;
            }
            engine.look_at_accounts();
            // Its word wakes this object by itself: asking again is for what goes wrong.
            Ok(Next::After(SOON * 2_u32.pow(engine.memory.undecided(&target.uid).min(4))))
        }
        Account::Unusable(problem) => {
            // What is wrong with the declaration itself comes first: it can be put right here.
            let problem = provider::refusal(&target.spec).unwrap_or(problem);
            let step = decide(&facts_without_account(engine, &target, &Parts::new(&target), Some(&problem)));
            act::without_account(engine, &mut target, step).await
        }
        Account::Usable { session, adoption_allowed, leaving } => {
            if !account::keep_identity(engine, &target, &session.identity()).await? {
                return Ok(Next::After(SOON));
            }
            with_external!(&session.backend, external => {
                let began = Instant::now();
                let pass = Pass { engine, session: &session, external, adoption_allowed, leaving, began };
                Box::pin(provider::on_behalf_of(target.namespace.clone(), pass.run(target))).await
            })
        }
    }
}

/// A pass with an account.
struct Pass<'a, E> {
    engine: &'a Engine,
    session: &'a Session,
    external: &'a E,
    adoption_allowed: bool,
    leaving: bool,
    /// Before anything was looked at: what is concluded from an absence must have been asked for later.
    began: Instant,
}

impl<E: External> Pass<'_, E> {
    async fn run(&self, mut target: Target) -> Result<Next, PassError> {
        let identity = self.session.identity();
        let parts = Parts::new(&target);
        let want = E::want(&target.spec);
        let key = want.as_ref().ok().and_then(E::key);
        let claims = Claims::gather::<E>(self.engine, &target, &identity);
        let link = link::state(self.engine, &target, &parts.creation, self.now()).await?;
        let at = At { leaving: self.leaving, link };
        let supplies =
            Supplies::gather(self.engine, self.external, &target, &parts.creation, want.as_ref(), at).await?;
        let refused = refused::stands(self.engine, &target, supplies.version.as_ref());
        let (late, sightings);
        let mut records = vec![];
        let mut facts = Facts {
            problem: supplies.problem.as_ref(),
            refused: refused.as_ref(),
            key: key.as_ref(),
            ..self.facts(&target, &parts, &claims, &identity, link)
        };
        let mut step = decide(&facts);
        let _slot = match self.slot(&target, &step) {
            Ok(slot) => slot,
            Err(after) => return Ok(Next::After(after)),
        };
        facts.anothers = match self.is_anothers(&step, &parts.creation, &claims).await {
            Ok(anothers) => anothers,
            Err(error) => return outcome::failed::<E>(self.engine, &mut target, &error).await,
        };
        step = decide(&facts);
        if let Step::Look(look) = &step {
            (sightings, records) = match self.look(&target, look, &parts.creation, &claims, want.as_ref().ok()).await {
                Ok(found) => found,
                Err(error) => return outcome::failed::<E>(self.engine, &mut target, &error).await,
            };
            // It has told who the account is: the next pass sees what others of that account claim.
            if identity.organisation.is_none() && self.session.identity().organisation.is_some() {
                return Ok(Next::After(SOON));
            }
            self.note_seen(&mut facts, &target, &sightings);
            self.compare(&mut facts, &target, want.as_ref().ok(), &records, &supplies);
            late = self.obstacle(&target, &facts, want.as_ref()).await?;
            facts.problem = late.as_ref().or(facts.problem);
            step = decide(&facts);
        }
        let scene = Scene {
            drift: facts.drift,
            engine: self.engine,
            session: self.session,
            external: self.external,
            record: step.record().and_then(|id| records.into_iter().find(|record| record.id == *id)),
            began: self.began,
            want: want.ok(),
            key,
            identity,
            creation: parts.creation,
            supplies,
            claims,
        };
        scene.act(&mut target, step).await
    }

    /// Before it is looked at with a token of its own: whether the record that a step would use is what another object
    /// declares, and not what this one does. Then somebody has written its id into the wrong status. Which of two objects that
    /// name the same id holds it is told elsewhere.
    async fn is_anothers(&self, step: &Step, creation: &Creation, claims: &Claims<'_>) -> Result<bool, ApiError> {
        let Creation::Done(id) = creation else { return Ok(false) };
        let uses = matches!(step, Step::Look(Look::Id(_)) | Step::Delete(_));
        if !uses || claims.keys_of_others().next().is_none() {
            return Ok(false);
        }
        let names_it = self.external.recogniser(id).await?;
        Ok(!claims.own_keys().any(&names_it) && claims.keys_of_others().any(names_it))
    }

    /// What keeps the correction of a difference from being carried out.
    async fn obstacle(
        &self,
        target: &Target,
        facts: &Facts<'_>,
        want: Result<&E::Want, &Problem>,
    ) -> Result<Option<Problem>, PassError> {
        let recreates = facts.policy.replacement == ReplacementPolicy::Recreate;
        match (&facts.drift, want) {
            // A record is not given up before it is certain that the next one could be made.
            (Drift::Replacement(fields), Ok(new)) if recreates => {
                let named = target.spec.external_ref().map(|named| advice::named(&named.id, fields));
                let late = named
                    .or_else(|| self.external.objection(new, dates::today(self.now()), true))
                    .or_else(|| self.leaving.then(|| supplies::is_leaving(target)));
                match late {
                    Some(problem) => Ok(Some(problem)),
                    None => Ok(Supplies::read(self.engine, self.external, target, want).await?.problem),
                }
            }
            (Drift::Fields(_), Ok(want)) => Ok(self.external.objection(want, dates::today(self.now()), false)),
            (Drift::None | Drift::Fields(_) | Drift::Replacement(_), _) => Ok(None),
        }
    }

    /// A place among the requests under way and a worker, where the step needs them; or when to come back.
    fn slot(&self, target: &Target, step: &Step) -> Result<Option<(Slot, Seat<'_>)>, Duration> {
        if !step.needs_account() {
            return Ok(None);
        }
        let slot = self.session.gate.enter().map_err(|refusal| refusal.after)?;
        let kind = target.reference.kind.as_deref().unwrap_or_default();
        let seat = self.engine.workers.enter(kind, &target.namespace, &self.session.endpoint)?;
        Ok(Some((slot, seat)))
    }

    fn facts<'a>(
        &self,
        target: &Target,
        parts: &'a Parts,
        claims: &Claims<'_>,
        identity: &AccountIdentity,
        link: LinkState,
    ) -> Facts<'a> {
        Facts {
            other_account: target.account(&parts.creation).is_some_and(|recorded| !identity.is(&recorded)),
            held: parts.record().is_some_and(|id| claims.held(id)),
            key_claimed: parts.creation == Creation::NotStarted && claims.key_claimed(),
            in_grace: !self.engine.patience(&target.uid, &parts.creation).is_zero(),
            restored: target.fears_restored() && target.status.creation.as_ref().is_some_and(|c| c.restored),
            link,
            any_link: link::any(target, self.now()),
            adoption_allowed: self.adoption_allowed,
            ..facts_without_account(self.engine, target, parts, None)
        }
    }

    /// What the look has shown. A recorded one that it has not is waited for.
    fn note_seen<'a>(&self, facts: &mut Facts<'a>, target: &Target, sightings: &'a [Sighting]) {
        facts.seen = Some(sightings);
        if let Creation::Done(id) = facts.creation {
            self.engine.memory.missed(&target.uid, !sightings.iter().any(|sighting| sighting.id == *id));
            facts.in_grace = !self.engine.patience(&target.uid, facts.creation).is_zero();
        }
    }

    /// What the record tells beside that it is there.
    fn compare(
        &self,
        facts: &mut Facts<'_>,
        target: &Target,
        want: Option<&E::Want>,
        records: &[Record<E::Have>],
        supplies: &Supplies,
    ) {
        let fresh = supplies.fresh(target, facts.creation);
        facts.drift = Self::drift(target, facts.creation, want, records, fresh);
        let health = health::<E>(want, records);
        facts.needs_person = health.as_ref().is_some_and(Health::needs_person);
        facts.refresh_due = self.refresh_due(target, health.as_ref());
    }

    async fn look(
        &self,
        target: &Target,
        look: &Look,
        creation: &Creation,
        claims: &Claims<'_>,
        want: Option<&E::Want>,
    ) -> Result<(Vec<Sighting>, Vec<Record<E::Have>>), ApiError> {
        let known = matches!((look, creation), (Look::Id(_), Creation::Done(_)));
        let interval = validate::interval(target.spec.interval()).unwrap_or(Duration::ZERO);
        // Half an interval: the checks of an account's objects share one list, and the next round reads a new one.
        let age = if interval.is_zero() { Duration::from_mins(5) } else { interval / 2 };
        // Two that lead at once would otherwise correct each other's statuses for as long as either's knowledge lasts; and what
        // failed for a record that a list has shown may have done so because it is not there any more.
        let (memory, uid) = (&self.engine.memory, &target.uid);
        let doubted = || memory.contradicted(uid, &target.status) || memory.has_failed(uid);
        let shared = known && !target.is_requested() && !doubted();
        let freshness = if shared { Freshness::Within(age) } else { Freshness::After(self.began) };
        let records = self.external.observe(look, freshness, Pace::Now).await?;
        let observes = target.stored().observe_only;
        let may_be_there = |have: &E::Have| !(observes && want.is_some_and(|want| E::is_left_behind(want, have)));
        let matters = |r: &Record<E::Have>| {
            self.matters(target, creation, look, r)
                && r.have.as_ref().is_none_or(may_be_there)
                && !could_not_be::<E>(want, look, r)
                && !(r.have.is_none() && claims.held(&r.id))
        };
        let records: Vec<_> = records.into_iter().filter(matters).collect();
        let sighting = |r: &Record<E::Have>| {
            let (author, held) = (self.author(target, creation, r), claims.held(&r.id));
            Sighting {
                authored: author == Authorship::Attempt,
                held,
                // A record that does not tell may be the one that the open attempt made; and a time is no identity: what
                // a window shows may be anybody's.
                doubtful: r.have.is_none() || matches!(look, Look::Window(_)) || author == Authorship::Unknown && !held,
                id: r.id.clone(),
            }
        };
        Ok((records.iter().map(sighting).collect(), records))
    }

    /// A record whose identity cannot be read matters only where an open attempt may have made it.
    fn matters(&self, target: &Target, creation: &Creation, look: &Look, record: &Record<E::Have>) -> bool {
        match (look, creation) {
            (Look::Key(_), Creation::Pending(_) | Creation::Unverifiable(_)) if record.have.is_none() => {
                record.stamps.born.is_none() || self.author(target, creation, record) != Authorship::Other
            }
            (Look::Key(_), Creation::NotStarted | Creation::Done(_)) => record.have.is_some(),
            (Look::Key(_) | Look::Id(_) | Look::Window(_), _) => true,
        }
    }

    /// Whether the open attempt made the record, or brought it back. Where none is open, nobody asks.
    fn author(&self, target: &Target, creation: &Creation, record: &Record<E::Have>) -> Authorship {
        let sent = creation.pending().filter(|intent| target.stored().may_be_sent(intent));
        let Some(intent) = sent else { return Authorship::Other };
        let (declared, link) = (self.declared(target), Self::link_of(target, intent));
        Window::of(intent, declared, link, self.engine.timing()).author(record.stamps)
    }

    /// When the object came to be, by the provider's clock.
    fn declared(&self, target: &Target) -> Timestamp {
        match self.external.now() {
            Some(provider_now) => self.engine.clock.translate(target.declared, provider_now),
            None => target.declared,
        }
    }

    /// The link that may have led to the record of this attempt.
    fn link_of(target: &Target, intent: &StoredIntent) -> Option<LinkSpan> {
        let link = target.status.authorization.as_ref().filter(|link| link.attempt <= intent.attempt)?;
        Some(LinkSpan { until: link.expires_at.0, own: link.attempt == intent.attempt })
    }

    /// The provider's clock, or ours before it has told one.
    fn now(&self) -> Timestamp {
        self.engine.now_at(self.external)
    }

    /// A refresh waits until the record works. One that was left open is said so of at once.
    fn refresh_due(&self, target: &Target, health: Option<&Health>) -> bool {
        let works = matches!(health, Some(Health::Works { .. }));
        let left_open = !refresh::in_phase(&target.status, RefreshPhase::Requested).is_empty();
        let due = || !refresh::due(target.refresh.as_deref(), &target.status, self.engine.clock.now()).is_empty();
        // Where there is no such thing, that is said whatever the health.
        left_open || (works || !E::REFRESHES) && due()
    }

    fn drift(
        target: &Target,
        creation: &Creation,
        want: Option<&E::Want>,
        records: &[Record<E::Have>],
        fresh: Option<&Credentials>,
    ) -> Drift {
        let (Some(want), [one]) = (want, records) else { return Drift::None };
        let Some(have) = one.have.as_ref() else { return Drift::None };
        let applied = match creation {
            Creation::Done(_) => target.status.applied_fields.as_slice(),
            Creation::NotStarted | Creation::Pending(_) | Creation::Unverifiable(_) => &[],
        };
        match E::diff(want, have, applied, fresh) {
            Difference::None => Drift::None,
            Difference::Update(_, fields) => Drift::Fields(fields),
            Difference::Replace(fields) => Drift::Replacement(fields),
        }
    }
}

/// A record that was made in the window of an attempt, but is of another kind than the attempt was for.
fn could_not_be<E: External>(want: Option<&E::Want>, look: &Look, record: &Record<E::Have>) -> bool {
    let (Look::Window(_), Some(want), Some(have)) = (look, want, record.have.as_ref()) else { return false };
    matches!(E::diff(want, have, &[], None), Difference::Replace(_))
}

fn health<E: External>(want: Option<&E::Want>, records: &[Record<E::Have>]) -> Option<Health> {
    records.first().and_then(|r| r.have.as_ref()).and_then(|have| E::summary(want, have).health)
}
