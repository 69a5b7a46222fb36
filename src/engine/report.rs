//! The only writer of statuses.
//!
//! # Guarantees
//! Every write carries the version it was computed from; nothing is written where nothing changed; what belongs to an
//! attempt is written only while that very attempt (by nonce) is stored and open on an object of that UID.

use super::{
    context::Engine,
    error::{PassError, bound, is_passing},
    object::{AccountTarget, Target},
};
use crate::{
    api::v1alpha1::{CreationStatus, ManagedStatus, ProviderAccount, ProviderAccountStatus, StoredIntent},
    domain::{
        conditions::{State, Type, is_true, lay_over, picture},
        diff::merge_patch,
        intent::Creation,
        reason::{Problem, Reason},
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, Patch},
    core::ObjectMeta,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// A volatile stamp of the provider is worth a write of its own only this often.
const VOLATILE: SignedDuration = SignedDuration::from_hours(1);
/// A write that belongs to an attempt is tried against this many newer versions: each is somebody else's write.
const TRIES: usize = 16;
/// What only this pass knows is tried again after these pauses, in seconds, while the API server is out of reach. As long as
/// a Lease lasts that cannot be renewed meanwhile.
const PAUSES: [u64; 5] = [1, 2, 2, 2, 2];

/// Writes a state, bound to the version that the pass has seen.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn report(engine: &Engine, target: &mut Target, state: &State) -> Result<(), PassError> {
    change(engine, target, Some(state), |_| {}).await
}

/// Writes a state and other fields, bound to the version that the pass has seen.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn change(
    engine: &Engine,
    target: &mut Target,
    state: Option<&State>,
    edit: impl Fn(&mut ManagedStatus),
) -> Result<(), PassError> {
    let next = next(target, state, &edit, engine.clock.now());
    if worth_writing(&target.status, &next) { write(engine, target, next).await } else { Ok(()) }
}

/// Writes what belongs to an attempt: whatever else changed meanwhile, it must not be lost.
///
/// # Errors
/// [`PassError::Superseded`] where another attempt is the open one, this one is settled, or the object is another one.
pub(super) async fn commit(
    engine: &Engine,
    target: &mut Target,
    intent: &StoredIntent,
    state: Option<&State>,
    edit: impl Fn(&mut ManagedStatus),
) -> Result<(), PassError> {
    let edit = |status: &mut ManagedStatus| {
        status.creation.get_or_insert_default().intent.get_or_insert_with(|| intent.clone());
        edit(status);
    };
    // This process has settled it, or another one has; what has come of it since must not be undone.
    let settled = |fresh: &Target| !fresh.has_open(intent) && fresh.tells_of(intent);
    insist(engine, target, state, |fresh| fresh.has_open(intent), settled, edit).await
}

/// Writes what a call at the provider has brought about: whatever else changed meanwhile, it must not be lost. `still`:
/// whether it belongs to the object as it is now. `written`: whether it stands there already; asked after a try that may have
/// taken effect.
///
/// # Errors
/// [`PassError::Superseded`] where it does not any more, or the object is another one.
pub(super) async fn insist(
    engine: &Engine,
    target: &mut Target,
    state: Option<&State>,
    still: impl Fn(&Target) -> bool,
    written: impl Fn(&Target) -> bool,
    edit: impl Fn(&mut ManagedStatus),
) -> Result<(), PassError> {
    let (mut pauses, mut maybe_written) = (PAUSES.into_iter(), false);
    for _ in 0..TRIES + PAUSES.len() {
        match change(engine, target, state, &edit).await {
            Err(PassError::Stale) => {
                let is_written = |fresh: &Target| maybe_written && written(fresh);
                read_anew(engine, target, |fresh| still(fresh) || is_written(fresh)).await?;
                if is_written(target) {
                    return Ok(());
                }
            }
            Err(PassError::Report(error)) if is_passing(&error) => {
                let Some(pause) = pauses.next() else { return Err(PassError::Report(error)) };
                maybe_written = true;
                wait(pause).await;
            }
            done => return done,
        }
    }
    Err(PassError::Stale)
}

/// Reads the object anew and checks that the attempt is its open one.
///
/// # Errors
/// [`PassError::Superseded`] where it is not.
pub(super) async fn check_open(engine: &Engine, target: &mut Target, intent: &StoredIntent) -> Result<(), PassError> {
    read_anew(engine, target, |fresh| fresh.has_open(intent)).await
}

/// The one place where a pass waits for the API server: what it knows would be lost with it.
#[expect(clippy::disallowed_methods, reason = "only this pass can write it, and nothing else can be written meanwhile")]
async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn read_anew(engine: &Engine, target: &mut Target, still: impl Fn(&Target) -> bool) -> Result<(), PassError> {
    let mut pauses = PAUSES.into_iter();
    let read = loop {
        match (engine.fetch(target).await, pauses.next()) {
            (Err(error), Some(pause)) if is_passing(&error) => wait(pause).await,
            (read, _) => break read.map_err(|e| PassError::Report(Box::new(e)))?,
        }
    };
    let fresh = read.filter(|fresh| fresh.uid == target.uid && still(fresh)).ok_or(PassError::Superseded)?;
    // What is written speaks of the declaration that the pass has worked on, be it edited by now.
    *target = Target { generation: target.generation, ..fresh };
    Ok(())
}

/// Settles an attempt in a status: its outcome is known now.
pub(super) fn settle<'a>(status: &'a mut ManagedStatus, intent: &StoredIntent) -> &'a mut CreationStatus {
    let creation = status.creation.get_or_insert_default();
    creation.settled_attempt = creation.settled_attempt.max(intent.attempt);
    creation.candidates.clear();
    (creation.refused, creation.forgotten) = (None, false);
    // The link of an earlier attempt may still be used.
    status.authorization.take_if(|link| link.attempt == intent.attempt);
    status.creation.get_or_insert_default()
}

fn next(target: &Target, state: Option<&State>, edit: &impl Fn(&mut ManagedStatus), now: Timestamp) -> ManagedStatus {
    let mut next = target.status.clone();
    // The twin of the annotation: it survives a `kubectl replace`, and it stays when the attempt is settled.
    if let Creation::Pending(intent) | Creation::Unverifiable(Some(intent)) = target.creation()
        && (intent.uid != target.uid || target.stored().may_be_sent(&intent))
    {
        let creation = next.creation.get_or_insert_default();
        let twin = creation.intent.replace(intent);
        creation.forgotten |= twin.is_none();
        // What stood there of another attempt says nothing of this one's record.
        if twin.map(|twin| twin.nonce) != creation.intent.as_ref().map(|intent| intent.nonce.clone()) {
            next.applied_fields.clear();
            next.applied_credentials = None;
        }
    }
    // Who asks for another attempt gets one, also where this pass does not come as far as that.
    if state.is_some()
        && target.is_requested()
        && let Some(creation) = &mut next.creation
    {
        creation.refused = None;
    }
    edit(&mut next);
    if let Some(state) = state {
        next.observed_generation = target.generation;
        next.conditions = lay_over(&next.conditions, picture(state), target.generation, now);
        if let Some(requested) = &target.requested {
            next.last_handled_reconcile_at = Some(requested.clone());
        }
    }
    next
}

/// A working copy whose status can be written.
trait Written {
    type Status: Serialize + Clone;

    fn api(&self, engine: &Engine) -> Api<DynamicObject>;
    fn identity(&self) -> (&ObjectReference, &str, Timestamp);
    fn version(&mut self) -> &mut String;
    fn status(&mut self) -> &mut Self::Status;
    fn conditions(status: &Self::Status) -> &[Condition];
}

impl Written for Target {
    type Status = ManagedStatus;

    fn api(&self, engine: &Engine) -> Api<DynamicObject> {
        engine.object(self)
    }
    fn identity(&self) -> (&ObjectReference, &str, Timestamp) {
        (&self.reference, &self.uid, self.declared)
    }
    fn version(&mut self) -> &mut String {
        &mut self.version
    }
    fn status(&mut self) -> &mut ManagedStatus {
        &mut self.status
    }
    fn conditions(status: &ManagedStatus) -> &[Condition] {
        &status.conditions
    }
}

impl Written for AccountTarget {
    type Status = ProviderAccountStatus;

    fn api(&self, engine: &Engine) -> Api<DynamicObject> {
        engine.account(self)
    }
    fn identity(&self) -> (&ObjectReference, &str, Timestamp) {
        (&self.reference, &self.uid, self.declared)
    }
    fn version(&mut self) -> &mut String {
        &mut self.version
    }
    fn status(&mut self) -> &mut ProviderAccountStatus {
        &mut self.status
    }
    fn conditions(status: &ProviderAccountStatus) -> &[Condition] {
        &status.conditions
    }
}

/// One patch of what changed, bound to the version seen; none where nothing changed.
async fn write<T: Written>(engine: &Engine, target: &mut T, next: T::Status) -> Result<(), PassError> {
    let fail = |e| PassError::Report(Box::new(kube::Error::SerdeError(e)));
    let before = serde_json::to_value(&*target.status()).map_err(fail)?;
    let Some(patch) = merge_patch(&before, &serde_json::to_value(&next).map_err(fail)?) else { return Ok(()) };
    let body = json!({"metadata": {"resourceVersion": *target.version()}, "status": patch});
    let (reference, uid, declared) = target.identity();
    let (reference, uid) = (reference.clone(), uid.to_owned());
    let api = target.api(engine);
    let name = reference.name.as_deref().unwrap_or_default();
    let written = api.patch_status(name, &Engine::patch_params(), &Patch::Merge(&body)).await;
    let version = written.map_err(|e| bound(e, PassError::Report))?.resource_version().unwrap_or_default();
    engine.memory.wrote(&uid, &version);
    *target.version() = version;
    engine.memory.said(&uid, &next);
    let old = std::mem::replace(target.status(), next);
    let (before, after) = (T::conditions(&old), T::conditions(target.status()));
    if ready(before).is_none_or(|ready| ready.reason == Reason::Progressing.as_str()) {
        engine.memory.met(&uid);
    }
    if is_true(after, Type::Ready) && engine.memory.is_first_ready(&uid) {
        let took = Duration::try_from(engine.clock.now().duration_since(declared)).unwrap_or_default();
        engine.metrics.ready(reference.kind.as_deref().unwrap_or_default(), took);
    }
    announce(engine, &reference, before, after).await;
    Ok(())
}

/// What an account says of itself.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn account(
    engine: &Engine,
    target: &mut AccountTarget,
    state: &State,
    edit: impl Fn(&mut ProviderAccountStatus),
) -> Result<(), PassError> {
    let mut next = target.status.clone();
    edit(&mut next);
    next.observed_generation = target.generation;
    next.conditions = lay_over(&target.status.conditions, picture(state), target.generation, engine.clock.now());
    // An account has no record that it could be in step with.
    next.conditions.retain(|c| c.type_ != Type::Synced.to_string());
    if target.requested.is_some() {
        next.last_handled_reconcile_at.clone_from(&target.requested);
    }
    write(engine, target, next).await
}

/// Fields of an account's status that no condition speaks of.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn account_fields(
    engine: &Engine,
    target: &mut AccountTarget,
    edit: impl Fn(&mut ProviderAccountStatus),
) -> Result<(), PassError> {
    let mut next = target.status.clone();
    edit(&mut next);
    write(engine, target, next).await
}

/// Says of an object whose stored form does not parse that it does not. Its record, if it has one, is left alone.
///
/// # Errors
/// [`PassError::Stale`] where somebody wrote in between.
pub(super) async fn malformed<K>(engine: &Engine, meta: &ObjectMeta, why: &str) -> Result<(), PassError>
where
    K: Resource<DynamicType = ()>,
{
    let kind = ApiResource::erase::<K>(&());
    let name = meta.name.as_deref().unwrap_or_default();
    let api = match &meta.namespace {
        Some(namespace) => Api::<DynamicObject>::namespaced_with(engine.client.clone(), namespace, &kind),
        None => Api::all_with(engine.client.clone(), &kind),
    };
    let read = api.get_opt(name).await.map_err(|e| PassError::Report(Box::new(e)))?;
    let Some(object) = read.filter(|o| o.metadata.uid == meta.uid) else { return Err(PassError::Stale) };
    let before = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
    let before: Vec<Condition> = serde_json::from_value(before).unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let unread = format!("The stored object cannot be read by this version of Tradewind ({why}). Correct it");
    let state = if meta.deletion_timestamp.is_some() {
        let way_out = if K::kind(&()).ends_with(&*ProviderAccount::kind(&())) {
            "or take the finalizers off that begin with tradewind.dev: nothing at the provider depends on them"
        } else {
            "or run `tradewind abandon` to let it go and leave the provider as it is"
        };
        let text = format!("{unread}, run the version that wrote it, {way_out}");
        State::Deleting(Problem::new(Reason::DeletionBlocked, text))
    } else {
        State::Halted(Problem::new(Reason::InvalidSpec, format!("{unread}, or run the version that wrote it")))
    };
    let after = lay_over(&before, picture(&state), generation, engine.clock.now());
    let observed = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if after == before && observed == Some(generation) {
        return Ok(());
    }
    let status = json!({"observedGeneration": generation, "conditions": after});
    let body = json!({"metadata": {"resourceVersion": object.metadata.resource_version}, "status": status});
    let written = api.patch_status(name, &Engine::patch_params(), &Patch::Merge(&body)).await;
    written.map_err(|e| bound(e, PassError::Report))?;
    announce(engine, &object.object_ref(&kind), &before, &after).await;
    Ok(())
}

/// A stamp that moves with every sync of the provider is written together with something else, or hourly.
fn worth_writing(old: &ManagedStatus, next: &ManagedStatus) -> bool {
    let mut quiet = next.clone();
    quiet.last_sync_time.clone_from(&old.last_sync_time);
    quiet.sync_status.clone_from(&old.sync_status);
    // That there is an error, or none any more, is news; its words are not.
    if quiet.sync_error.is_some() == old.sync_error.is_some() {
        quiet.sync_error.clone_from(&old.sync_error);
    }
    // The same account under its other name: told with the next change.
    if old.account.is_some() {
        quiet.account.clone_from(&old.account);
    }
    quiet != *old
        || match (&old.last_sync_time, &next.last_sync_time) {
            (Some(old), Some(next)) => next.0.duration_since(old.0) >= VOLATILE,
            (None, next) => next.is_some(),
            (Some(_), None) => false,
        }
}

fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == Type::Ready.to_string())
}

/// One event where `Ready` came to mean something else that people should know.
async fn announce(engine: &Engine, about: &ObjectReference, before: &[Condition], after: &[Condition]) {
    let Some(now) = ready(after) else { return };
    if ready(before).is_some_and(|b| b.status == now.status && b.reason == now.reason) {
        return;
    }
    let reason = now.reason.parse().unwrap_or(Reason::Progressing);
    let good = now.status == "True";
    let quiet = matches!(
        reason,
        Reason::Progressing | Reason::Creating | Reason::Deleting | Reason::InitialRefreshRunning | Reason::Suspended
    );
    let (kind, namespace, name) = (about.kind.as_deref(), about.namespace.as_deref(), about.name.as_deref());
    tracing::info!(kind, namespace, name, ready = now.status, reason = now.reason, "{}", now.message);
    if good || !quiet {
        engine.note(about, !good, reason, &now.message).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::Connection;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    /// An object whose annotation and status speak of these attempts, and that remembers what one of them was made with.
    #[rstest]
    #[case::of_this_attempt(1, true)]
    #[case::of_the_one_before(2, false)]
    fn what_a_record_was_made_with_is_of_its_own_attempt(#[case] annotated: i64, #[case] kept: bool) {
        let intent = |attempt: i64| {
            json!({"uid": "u", "attempt": attempt, "nonce": format!("n{attempt}"), "at": "2026-01-01T00:00:00Z",
                "account": "org"})
        };
        let object: Connection = serde_json::from_value(json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection",
            "metadata": {"name": "acme", "namespace": "shop", "uid": "u",
                "annotations": {"tradewind.dev/create-intent": intent(annotated).to_string()}},
            "spec": {"provider": "Rutter", "accountRef": {"name": "a"}},
            "status": {"creation": {"intent": intent(1)}, "appliedFields": [{"path": "spec.rutter.scope", "value": "s"}],
                "appliedCredentials": {"uid": "s", "resourceVersion": "1"}},
        }))
        .expect("an object");
        let next = next(&Target::from(&object), None, &|_| {}, Timestamp::UNIX_EPOCH);
        assert_eq!((next.applied_fields.len(), next.applied_credentials.is_some()), (usize::from(kept), kept));
        assert_eq!(next.creation.and_then(|c| c.intent).map(|i| i.attempt), Some(annotated));
    }

    #[test]
    fn a_moving_stamp_alone_is_written_hourly_at_most() {
        let at = |s| Some(Time(Timestamp::from_second(s).expect("a time")));
        let old = ManagedStatus { last_sync_time: at(0), ..Default::default() };
        let moved = |s| ManagedStatus { last_sync_time: at(s), ..Default::default() };
        assert!(!worth_writing(&old, &moved(3599)));
        assert!(worth_writing(&old, &moved(3600)));
        assert!(worth_writing(&old, &ManagedStatus { platform: Some("x".into()), ..moved(60) }));
        assert!(worth_writing(&ManagedStatus::default(), &moved(0)));
    }
}
