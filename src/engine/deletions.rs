//! The guard before every deletion at a provider: counted in the account's status first, deleted second.

use super::{
    context::Engine,
    error::{PassError, bound},
    object::{AccountTarget, Target},
    report,
};
use crate::{
    api::v1alpha1::ProviderAccount,
    domain::{
        deletions::{self, Ruling},
        reason::{Problem, Reason},
    },
};
use kube::Api;
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
    let api: Api<ProviderAccount> = engine.accounts_in(&target.namespace);
    let found = api.get_opt(&target.spec.account_ref().name).await;
    // Read anew: the cache may be older than the last deletion.
    let found = found.map_err(|e| bound(e, PassError::Resolve))?;
    let Some((account, guard)) = found.as_ref().and_then(|a| Some((a, a.spec.deletion_guard.as_ref()?))) else {
        return Ok(None);
    };
    let mut account = AccountTarget::from(account);
    match deletions::rule(guard, account.status.deletions.as_ref(), engine.clock.now()) {
        Ruling::Pass(counted) => {
            report::account_fields(engine, &mut account, |status| status.deletions = Some(counted.clone())).await?;
            engine.memory.counted(&target.uid);
            Ok(None)
        }
        Ruling::Held(rest) => {
            let (most, window) = (guard.max_deletions, &guard.window);
            let text = format!(
                "ProviderAccount {} lets {most} deletions pass in {window} (deletionGuard), and they have passed. This one \
                 goes on in a later window. To let it pass now, annotate this object with \
                 tradewind.dev/allow-deletion: {}",
                account.name, target.uid
            );
            Ok(Some((Problem::new(Reason::DeletionHeld, text), rest)))
        }
    }
}
