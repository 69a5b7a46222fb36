//! The guard before every deletion at a provider: counted in the account's status first, deleted second.

use super::{
    context::Engine,
    error::{PassError, bound},
    object::Target,
    report,
};
use crate::domain::{
    deletions::{self, Ruling},
    reason::{Problem, Reason},
};
use std::time::Duration;

/// Whether a deletion may go on; otherwise why not, and when to ask again. One that was counted is not counted again
/// when it is tried again.
///
/// # Errors
/// [`PassError::Stale`] where another deletion of the account was counted at the same moment.
pub(super) async fn held(engine: &Engine, target: &Target) -> Result<Option<(Problem, Duration)>, PassError> {
    if target.allowed.as_deref() == Some(&target.uid) || engine.memory.is_counted(&target.uid) {
        return Ok(None);
    }
    // Read anew: the cache may be older than the last deletion.
    let found = engine.fetch_account(target).await.map_err(|e| bound(e, PassError::Resolve))?;
    let Some((guard, mut account)) = found.and_then(|account| Some((account.spec.deletion_guard.clone()?, account)))
    else {
        return Ok(None);
    };
    match deletions::rule(&guard, account.status.deletions.as_ref(), engine.clock.now()) {
        Ruling::Pass(counted) => {
            report::account_fields(engine, &mut account, |status| status.deletions = Some(counted.clone())).await?;
            engine.memory.counted(&target.uid);
            Ok(None)
        }
        Ruling::Held(rest) => {
            let (most, window) = (guard.max_deletions, &guard.window);
            let text = format!(
                "{} lets {most} deletions pass in {window} (deletionGuard), and they have passed. This one \
                 goes on in a later window. To let it pass now, annotate this object with \
                 tradewind.dev/allow-deletion: {}",
                account.named, target.uid
            );
            Ok(Some((Problem::new(Reason::DeletionHeld, text), rest)))
        }
    }
}
