//! Creation: everything that may say no first, then the intent, then one call, then its outcome.
//!
//! The outcome has four classes: applied, accepted (a person's turn), not applied, unknown. Only the first and the third
//! settle the attempt here.

use super::{
    account,
    act::{OUTCOME_OPEN, Scene},
    claims::Claims,
    context::Engine,
    error::PassError,
    halt::names,
    intent::{self, Given},
    link,
    object::Target,
    outcome::{self, Next, SOON},
    publish,
    record::Before,
    refused, report, resolve,
    writes::Write,
};
use crate::{
    api::v1alpha1::{CreationStatus, Refused, StoredIntent},
    domain::{
        advice,
        conditions::State,
        dates,
        decide::{Drift, Look},
        ids::{ExternalId, NaturalKey},
        intent::{Authorship, Creation, Stamps, Window},
        reason::{Problem, Reason},
        schedule,
        verdict::{Effect, Kind, Verdict, verdict},
        writes::Cause,
    },
    provider::{ApiError, Created, External, Freshness, Made, Operation, Pace, Ticket},
};
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// The place in the queue of those that make the first record of an account.
const FIRST: &str = "the first record";
/// A name that is taken by nobody who is shown is waited for this long before it is called taken.
const PATIENCE: Duration = Duration::from_mins(15);
/// A login or store that was refused is tried again this often without a change.
const PROBE: Duration = Duration::from_mins(10);

/// Creates the record.
pub(super) async fn create<E: External>(scene: Scene<'_, E>, target: &mut Target) -> Result<Next, PassError> {
    let engine = scene.engine;
    if let Some(next) = check_secret(&scene, target).await? {
        return Ok(next);
    }
    let (Some(want), Some(credentials)) = (scene.want.as_ref(), scene.supplies.credentials.as_ref()) else {
        return Ok(Next::After(Duration::from_secs(1)));
    };
    let now = engine.now_at(scene.external);
    if let Some(problem) = scene.external.objection(want, dates::today(now), true) {
        return outcome::blocked(engine, target, problem).await;
    }
    // Two objects with one key at the same moment: the second one waits until the cache shows what the first one did.
    let turn = scene.key.as_ref().map(|key| engine.starting.turn(&scene.identity.recorded(), key));
    let nameless = scene.identity.organisation.is_none();
    let first = nameless.then(|| engine.starting.turn(&scene.session.endpoint, &NaturalKey::new(FIRST)));
    if nameless && let Some(next) = first_of_all(&scene, target, matches!(first, Some(None))).await? {
        return Ok(next);
    }
    let claims = Claims::gather::<E>(engine, target, &scene.identity);
    // Whoever has started before claims the key, whoever else would.
    let claimed = scene.creation.pending().is_none() && claims.key_claimed();
    if matches!(turn, Some(None)) || claims.unsettled() || claimed {
        return Ok(Next::After(SOON));
    }
    let ticket = match ticket(&scene, target).await {
        Ok(ticket) => ticket,
        Err(next) => return Ok(next),
    };
    let at = began(&scene, target);
    let intent = intent::draft(target, scene.key.as_ref(), scene.identity.recorded(), at);
    // Before anything is stored: whoever sees the attempt takes its link for lost a grace later.
    let until = Instant::now() + engine.timing().permit + engine.timing().call;
    let given = Given { fields: E::fields(want), credentials: scene.supplies.version.clone() };
    let Some(permit) = intent::open(engine, target, &intent, &given, ticket).await? else {
        return unsent(&scene, target, &intent).await;
    };
    let cause = if scene.creation.pending().is_some() { Cause::NewLink } else { Cause::Declared };
    let fields = given.fields.iter().map(|field| field.path.clone()).collect();
    let write = Write::begin(engine, target, Operation::Create, cause, None, fields);
    let made = scene.external.create(permit, want, credentials).await;
    write.ended(made.as_ref().map(Made::id));
    let leaves = unowned(&made);
    let result = match made {
        Ok(Made::Created(created)) => applied(&scene, target, &intent, *created).await,
        Ok(Made::Accepted(accepted)) => scene.hand_out(target, &intent, accepted, until).await,
        Err(error) if error.local => unsent(&scene, target, &intent).await,
        Err(error) if error.effect == Effect::None => not_made(&scene, target, &intent, &error).await,
        Err(error) => unanswered(&scene, target, &intent, &error).await,
    };
    if nameless {
        engine.starting.ended_nameless(&scene.session.endpoint, engine.timing().lag);
    }
    if let (Err(PassError::Superseded), Some(text)) = (&result, leaves) {
        tracing::error!(object = %target, attempt = intent.attempt, nonce = intent.nonce, "{text}");
        engine.tell(&target.reference, true, Reason::CreateOutcomeUnknown, "Create", &text).await;
    }
    result
}

/// The right to send one create, in its turn: the look before it has used the budget, and would again. Or when to come back.
async fn ticket<E: External>(scene: &Scene<'_, E>, target: &Target) -> Result<Ticket, Next> {
    match scene.session.gate.ticket_in_turn(scene.engine.timing().call).await {
        Ok(_) if resolve::is_leaving(scene.engine, target) || !scene.may_begin() => Err(Next::After(SOON)),
        Ok(ticket) => Ok(ticket),
        Err(refusal) => Err(Next::After(refusal.after)),
    }
}

/// What a call leaves behind whose attempt has been replaced meanwhile.
fn unowned(made: &Result<Made, ApiError>) -> Option<String> {
    let what = match made {
        Ok(made) => made.id().map_or_else(|| "whatever comes of it".to_owned(), ToString::to_string),
        Err(error) if error.local || error.effect == Effect::None => return None,
        Err(_) => "whatever it made".to_owned(),
    };
    Some(format!("A create was answered after its attempt had been replaced: {what} stays at the provider, unowned"))
}

/// The connection Secret: whether it could be written, and whether it tells of a record already.
async fn check_secret<E: External>(scene: &Scene<'_, E>, target: &mut Target) -> Result<Option<Next>, PassError> {
    match publish::check(scene.engine, target).await? {
        Err(problem) => outcome::blocked(scene.engine, target, problem).await.map(Some),
        Ok(Some(id)) if target.stored().is_untried() => remembered(scene, target, id).await,
        Ok(Some(_) | None) => Ok(None),
    }
}

/// An object that knows of no attempt, and whose Secret names a record that is still there, has lost what it knew: somebody
/// wiped its status and replaced its annotations. Only where nothing tells two records of one store apart does it come
/// this far, and a create would be a second one.
async fn remembered<E: External>(
    scene: &Scene<'_, E>,
    target: &mut Target,
    id: ExternalId,
) -> Result<Option<Next>, PassError> {
    let engine = scene.engine;
    let asked = target.is_requested();
    let freshness = if asked { Freshness::After(Instant::now()) } else { Freshness::Within(engine.timing().call) };
    let is_there = match scene.external.observe(&Look::Id(id.clone()), freshness, Pace::InTurn).await {
        Ok(records) => !records.is_empty(),
        Err(error) => return outcome::failed::<E>(engine, target, &error).await.map(Some),
    };
    // As of any recorded id: lists may not show yet what another process has just made.
    engine.memory.missed(&target.uid, !is_there);
    let rest = engine.patience(&target.uid, &Creation::Done(id.clone()));
    if !is_there && !rest.is_zero() {
        let text = format!(
            "Its connection Secret names {id}, which does not show. Waiting until it must, before another is made"
        );
        report::report(engine, target, &State::Creating(text)).await?;
        return Ok(Some(Next::After(rest + Duration::from_millis(100))));
    }
    if !is_there || scene.claims.held(&id) {
        return Ok(None);
    }
    let text = format!(
        "Its status and annotations are lost, and its connection Secret names {id}, which is still there. Set adoptionPolicy: \
         Match and externalRef.id to take it back, or delete the Secret to have another one made"
    );
    outcome::blocked(engine, target, Problem::new(Reason::CreateOutcomeUnknown, text)).await.map(Some)
}

/// The first record of an account tells who the account is. Until it does, two logins may be of one account: they make
/// their first records one after the other, each when lists must show what the other one made.
async fn first_of_all<E: External>(
    scene: &Scene<'_, E>,
    target: &mut Target,
    busy: bool,
) -> Result<Option<Next>, PassError> {
    let engine = scene.engine;
    let rest = engine.starting.nameless_rest(&scene.session.endpoint, engine.timing().lag);
    if busy || !rest.is_zero() {
        return Ok(Some(Next::After(rest.max(SOON))));
    }
    account::name_it(engine, scene.external, target).await
}

/// An answered id is ours only if our call made it: a server that de-duplicates answers somebody else's.
async fn applied<E: External>(
    scene: &Scene<'_, E>,
    target: &mut Target,
    intent: &StoredIntent,
    created: Created,
) -> Result<Next, PassError> {
    let engine = scene.engine;
    let Some(born) = created.born else {
        // Nobody can tell when it was made: the look after the grace will, by its key. Where there is none, a person is asked,
        // and must know which one it is.
        tracing::warn!(object = %target, id = %created.id, "the answered record cannot be read yet");
        let named = Some(created.id).filter(|_| intent.key.is_none());
        return wait(engine, target, intent, |creation| name(creation, named.as_ref())).await;
    };
    let declared = scene.external.now().map_or(target.declared, |now| engine.clock.translate(target.declared, now));
    let author = Window::of(intent, declared, None, engine.timing()).author(Stamps::born(Some(born)));
    // Another object may have recorded it while the call was under way, in an account that nobody could name before.
    let claims = Claims::gather::<E>(engine, target, &scene.session.identity());
    let is_known = created.known_before || claims.held(&created.id);
    if !is_known && author != Authorship::Attempt && intent.key.is_none() {
        // By a clock that is off it may be ours all the same. Where records have no key no look would show it, and the next
        // create would make another one: a person is asked.
        return wait(engine, target, intent, |creation| name(creation, Some(&created.id))).await;
    }
    if is_known || author != Authorship::Attempt {
        let ids = [created.id];
        let why = advice::halted(Reason::AlreadyExists, &ids, &Drift::None);
        // The look did not find it, and might not again: not sent anew before something changes, or a while has passed.
        let note = refused::note(target, scene, &why, Some(PROBE));
        report::commit(engine, target, intent, Some(&State::Halted(why)), |status| {
            let creation = report::settle(status, intent);
            (creation.candidates, creation.refused) = (names(&ids), Some(note.clone()));
        })
        .await?;
        return Ok(Next::After(PROBE));
    }
    engine.memory.succeeded(&target.uid);
    engine.memory.name_taken(&target.uid, false);
    let before = Before { restored: created.restored, forgotten: false };
    let next = scene.record_own(target, intent, &created.id, &created.summary, before).await?;
    if created.restored {
        let text = "The provider gave the record the credentials back that it had before it was deleted";
        engine.tell(&target.reference, true, Reason::CredentialsRestored, "Create", text).await;
    }
    Ok(next)
}

/// The permit expired while the attempt was stored: the API server is slow. Or its account is being deleted by now. That is nobody's
/// refusal.
async fn unsent<E: External>(
    scene: &Scene<'_, E>,
    target: &mut Target,
    intent: &StoredIntent,
) -> Result<Next, PassError> {
    tracing::warn!(object = %target, attempt = intent.attempt, "not sent: it took too long to store the attempt, or its account goes");
    let state = State::Creating("The create was not sent. Trying again".to_owned());
    came_to_nothing(scene, target, intent, &state, None).await?;
    Ok(Next::After(Duration::from_secs(1)))
}

/// Nothing was made: settled in the same write that says why.
async fn not_made<E: External>(
    scene: &Scene<'_, E>,
    target: &mut Target,
    intent: &StoredIntent,
    error: &ApiError,
) -> Result<Next, PassError> {
    let engine = scene.engine;
    outcome::warn(target, error);
    if error.kind == Kind::Taken {
        return taken(scene, target, intent).await;
    }
    engine.memory.name_taken(&target.uid, false);
    outcome::doubt(engine, target, error);
    let why = outcome::explain::<E>(target, error);
    let judged = verdict(error.kind, error.retry_after);
    let delay = match (judged, error.kind) {
        (Verdict::Wait(delay), _) => Some(delay),
        (Verdict::Retry, _) => Some(outcome::backoff(engine, &target.uid, &target.status.conditions)),
        (Verdict::Stall, Kind::Invalid) => None,
        (Verdict::Stall, _) => Some(PROBE),
    };
    let state = match judged {
        Verdict::Stall => State::Halted(why.clone()),
        Verdict::Wait(_) | Verdict::Retry => State::Failing { problem: why.clone(), keep_ready: false },
    };
    let note = refused::note(target, scene, &why, delay);
    came_to_nothing(scene, target, intent, &state, Some(note)).await?;
    Ok(delay.map_or(Next::Change, |d| Next::After(d + Duration::from_secs(1))))
}

/// The provider's time of the attempt. One that takes the place of another whose link still works began with that: between its last
/// look and now a person may have followed it.
fn began<E: External>(scene: &Scene<'_, E>, target: &Target) -> Timestamp {
    let same = |before: &&StoredIntent| before.key.as_deref() == scene.key.as_ref().map(NaturalKey::as_str);
    let before = scene.creation.pending().filter(same).filter(|_| former_link_works(scene, target));
    before.map_or_else(|| scene.engine.now_at(scene.external), |before| before.at.0)
}

/// Whether the link of an attempt before this one may still be used.
fn former_link_works<E: External>(scene: &Scene<'_, E>, target: &Target) -> bool {
    link::any(target, scene.engine.now_at(scene.external))
}

/// Settles an attempt that made nothing, unless it has taken the place of one whose link still works: what comes of that is looked
/// for as what is its own, and so it stays open. `refused`: what the next one waits for.
async fn came_to_nothing<E: External>(
    scene: &Scene<'_, E>,
    target: &mut Target,
    intent: &StoredIntent,
    state: &State,
    refused: Option<Refused>,
) -> Result<(), PassError> {
    scene.engine.memory.comes_to_nothing(&target.uid, &intent.nonce);
    let stays_open = former_link_works(scene, target);
    report::commit(scene.engine, target, intent, Some(state), |status| {
        if !stays_open {
            report::settle(status, intent);
        }
        status.creation.get_or_insert_default().refused.clone_from(&refused);
    })
    .await
}

/// The look found nobody, and yet the key is taken: most likely by a record that was deleted and is being cleaned up.
/// Another one's turn is waited for, but not for ever.
async fn taken<E: External>(
    scene: &Scene<'_, E>,
    target: &mut Target,
    intent: &StoredIntent,
) -> Result<Next, PassError> {
    let engine = scene.engine;
    let lasting = engine.memory.name_taken(&target.uid, true);
    let name = intent.key.as_deref().unwrap_or_default();
    let why = if lasting < PATIENCE {
        let text = format!(
            "{} still keeps the name {name} of a record that is being cleaned up, or archived. Waiting until it is free",
            E::NAME
        );
        Problem::new(Reason::Creating, text)
    } else {
        let text = format!(
            "The name {name} is taken at {} by a record that its list does not show: an archived one, or one of another \
             kind. Give it another name there, or delete it",
            E::NAME
        );
        Problem::new(Reason::AlreadyExists, text)
    };
    let delay = schedule::backoff(lasting, &target.uid);
    let patient = why.reason == Reason::Creating;
    let state = if patient { State::Creating(why.message.clone()) } else { State::Halted(why.clone()) };
    let note = refused::note(target, scene, &why, Some(delay));
    came_to_nothing(scene, target, intent, &state, Some(note)).await?;
    Ok(Next::After(delay + Duration::from_secs(1)))
}

/// Nobody can tell what came of it. One that goes on failing so is sent again ever more rarely, the longer the object has not
/// been ready; a first delay is over before the grace is.
async fn unanswered<E: External>(
    scene: &Scene<'_, E>,
    target: &mut Target,
    intent: &StoredIntent,
    error: &ApiError,
) -> Result<Next, PassError> {
    let why = outcome::explain::<E>(target, error);
    let why =
        Problem::new(Reason::ProviderUnavailable, format!("The last create had no known outcome: {}", why.message));
    let delay = outcome::backoff(scene.engine, &target.uid, &target.status.conditions);
    let note = refused::note(target, scene, &why, Some(delay));
    wait(scene.engine, target, intent, |creation| creation.refused = Some(note.clone())).await
}

/// The attempt stays open: only a look after the grace can tell, or the person who is then asked.
async fn wait(
    engine: &Engine,
    target: &mut Target,
    intent: &StoredIntent,
    edit: impl Fn(&mut CreationStatus),
) -> Result<Next, PassError> {
    report::commit(engine, target, intent, Some(&State::Creating(OUTCOME_OPEN.to_owned())), |status| {
        edit(status.creation.get_or_insert_default());
    })
    .await?;
    Ok(Next::After(engine.timing().grace()))
}

/// The record that a person is asked about.
fn name(creation: &mut CreationStatus, id: Option<&ExternalId>) {
    if let Some(id) = id {
        creation.candidates = names(std::slice::from_ref(id));
    }
}
