//! What stands around every pass: a deadline, a barrier against panics, and the answer to objects that do not parse.
//!
//! One object must never stop or slow the others.

use super::{
    account,
    context::Engine,
    error::PassError,
    lean::Lean,
    object::{AccountTarget, Target},
    outcome::Next,
    pass, report,
};
use crate::{
    api::v1alpha1::{Account, Managed},
    domain::intent::Timing,
};
use futures::FutureExt;
use kube::{ResourceExt, runtime::controller::Action};
use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// For what a pass does beside its calls to the provider: reads and writes of the API server.
const REST: Duration = Duration::from_mins(1);
/// An object whose pass panicked or that cannot be read is looked at again this often.
const RARELY: Duration = Duration::from_mins(10);

/// How long a pass may take: a create and what it reads before and after it; the rest must still be able to record what the call
/// did.
fn longest(timing: Timing) -> Duration {
    timing.permit + timing.call * 4 + REST
}

/// How far into its pass a call may begin that cannot be repeated: what is left is enough for its permit, the call, a read after
/// it, and to record what it did.
pub(super) fn latest(timing: Timing) -> Duration {
    longest(timing).saturating_sub(timing.permit + timing.call * 2 + REST)
}

/// A pass over an object with a record.
///
/// # Errors
/// Why the pass ended early.
pub(super) async fn managed<K: Managed>(object: Arc<Lean<K>>, engine: Arc<Engine>) -> Result<Action, PassError> {
    let work = async {
        match object.as_ref() {
            // Boxed: the largest futures of the program must not be carried about by what waits in a queue.
            Lean::Good(object) => Box::pin(pass::pass(&engine, Target::from(object.as_ref()))).await,
            Lean::Bad { meta, error, .. } => {
                let told = Box::pin(report::malformed::<K>(&engine, meta, error)).await;
                told.map(|()| Next::After(RARELY))
            }
        }
    };
    guarded(&engine, K::KIND, object.as_ref(), work).await
}

/// A pass over an account of either kind.
///
/// # Errors
/// Why the pass ended early.
pub(super) async fn account<K>(object: Arc<Lean<K>>, engine: Arc<Engine>) -> Result<Action, PassError>
where
    K: Account,
    AccountTarget: for<'a> From<&'a K>,
{
    let work = async {
        match object.as_ref() {
            Lean::Good(object) => Box::pin(account::pass(&engine, AccountTarget::from(object.as_ref()))).await,
            Lean::Bad { meta, error, .. } => {
                let told = Box::pin(report::malformed::<K>(&engine, meta, error)).await;
                told.map(|()| Next::After(RARELY))
            }
        }
    };
    guarded(&engine, K::KIND, object.as_ref(), work).await
}

async fn guarded(
    engine: &Engine,
    kind: &'static str,
    object: &impl ResourceExt,
    work: impl Future<Output = Result<Next, PassError>>,
) -> Result<Action, PassError> {
    let begun = Instant::now();
    let ended = within(longest(engine.timing()), work).await;
    if matches!(ended, Err(PassError::Panicked)) {
        engine.metrics.panicked();
    }
    engine.metrics.pass(kind, ended.as_ref().err().map_or("done", PassError::stage), begun.elapsed());
    if let Err(error) = &ended
        && !matches!(error, PassError::Stale)
    {
        let (namespace, name) = (object.namespace(), object.name_any());
        tracing::warn!(kind, namespace, name, "{}", error.chain());
    }
    ended.map(Action::from)
}

/// The deadline and the barrier: a panic in one pass would otherwise end the stream of all passes.
async fn within(deadline: Duration, work: impl Future<Output = Result<Next, PassError>>) -> Result<Next, PassError> {
    match timeout(deadline, AssertUnwindSafe(work).catch_unwind()).await {
        Err(_) => Err(PassError::Deadline),
        Ok(Err(_)) => Err(PassError::Panicked),
        Ok(Ok(ended)) => ended,
    }
}

/// When a pass that ended early is tried again; the change that made a view stale brings the next pass by itself.
pub(super) fn retry(error: &PassError) -> Action {
    match error {
        PassError::Stale => Action::requeue(Duration::from_secs(2)),
        PassError::Superseded => Action::requeue(Duration::from_millis(500)),
        PassError::Resolve(_) | PassError::Intent(_) | PassError::Publish(_) | PassError::Report(_) => {
            Action::requeue(Duration::from_secs(5))
        }
        PassError::Deadline => Action::requeue(Duration::from_secs(30)),
        PassError::Panicked => Action::requeue(RARELY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_hangs_ends_at_its_deadline() {
        let ended = within(Duration::from_mins(5), std::future::pending()).await;
        assert!(matches!(ended, Err(PassError::Deadline)));
    }

    #[tokio::test]
    async fn a_pass_that_panics_is_an_error_like_any_other() {
        let ended = within(Duration::from_mins(5), async { panic!("a bug") }).await;
        assert!(matches!(ended, Err(PassError::Panicked)));
    }
}
