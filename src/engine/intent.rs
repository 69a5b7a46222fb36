//! The ledger of creation: an attempt is stored, twice, before its call; only then is there a permit to send it.
//!
//! See `docs/adr/0002-creation-intent.md`.

use super::{
    context::Engine,
    error::{PassError, bound},
    meta::{self, Change},
    object::Target,
    report,
};
use crate::{
    api::v1alpha1::{AppliedCredentials, AppliedField, StoredIntent},
    domain::{conditions::State, ids::NaturalKey},
    provider::{CreatePermit, Ticket},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A new attempt of this object, not stored yet.
pub(super) fn draft(target: &Target, key: Option<&NaturalKey>, account: String, at: Timestamp) -> StoredIntent {
    StoredIntent {
        uid: target.uid.clone(),
        attempt: target.stored().next_attempt(),
        nonce: uuid::Uuid::new_v4().to_string(),
        // Whole seconds: that is what is stored, and what a comparison must see.
        at: Time(Timestamp::from_second(at.as_second()).unwrap_or(at)),
        key: key.map(|k| k.as_str().to_owned()),
        account,
    }
}

/// What a record is made with, kept with the attempt: who finds the record after a lost answer has nothing else to know
/// it from.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) fields: Vec<AppliedField>,
    pub(super) credentials: Option<AppliedCredentials>,
}

/// Stores an attempt in the annotation (with our finalizer, bound to the version seen) and then in status. `None` where the account
/// is being deleted by now: nothing is sent.
///
/// # Errors
/// [`PassError::Stale`] where the view was stale; then no call may follow, and none can: there is no permit. Whatever of it is stored
/// all the same, this process remembers that nothing comes of it.
pub(super) async fn open(
    engine: &Engine,
    target: &mut Target,
    intent: &StoredIntent,
    given: &Given,
    ticket: Ticket,
) -> Result<Option<CreatePermit>, PassError> {
    // Counted from before the write: whoever sees the attempt stored must be able to outwait it.
    let expires = engine.clock.deadline(engine.timing().permit);
    engine.memory.comes_to_nothing(&target.uid, &intent.nonce);
    meta::patch(engine, target, Change { bound: true, intent: Some(intent), answered: false }).await?;
    if loses_account(engine, target).await? {
        return Ok(None);
    }
    engine.memory.seen_for(&target.uid, &intent.nonce);
    let creating = State::Creating("The record is being created".to_owned());
    report::commit(engine, target, intent, Some(&creating), |status| {
        // Whatever came before it is over; its link, if it had one, may still be used, and stays until there is another.
        let creation = status.creation.get_or_insert_default();
        creation.intent = Some(intent.clone());
        creation.forgotten = false;
        creation.candidates.clear();
        creation.refused = None;
        creation.settled_attempt = creation.settled_attempt.max(intent.attempt.saturating_sub(1));
        status.applied_fields.clone_from(&given.fields);
        status.applied_credentials.clone_from(&given.credentials);
    })
    .await?;
    engine.memory.may_come_to_something(&target.uid, &intent.nonce);
    Ok(Some(CreatePermit::mint(&intent.nonce, expires, ticket)))
}

/// Whether the account of an object that is bound by now is being deleted, as the API server has it. Another operator may be letting
/// it go: either it sees the binding when it asks who is bound, or the deletion is seen here, which came before it asked.
///
/// # Errors
/// The API server's refusal.
pub(super) async fn loses_account(engine: &Engine, target: &Target) -> Result<bool, PassError> {
    let account = engine.fetch_account(target).await.map_err(|e| bound(e, PassError::Resolve))?;
    Ok(account.is_none_or(|account| account.deleting))
}
