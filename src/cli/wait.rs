//! Waits until the operator has said of an object what was asked of it.
//!
//! Owns the watch of one object. A request that nobody answers in time stands all the same: nothing is taken back.

use super::{
    cluster::{Scope, Typed},
    refusal::may_pass,
};
use crate::domain::schedule;
use anyhow::{anyhow, bail};
use futures::StreamExt;
use kube::runtime::{
    WatchStreamExt,
    watcher::{self, watch_object},
};
use std::{pin::pin, time::Duration};

/// Whether to wait, and how long.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct WaitArgs {
    /// Do not wait
    #[arg(long, conflicts_with = "timeout")]
    pub(super) no_wait: bool,
    /// Wait no longer than this
    #[arg(long, default_value = "2m", value_parser = schedule::parse, value_name = "DURATION")]
    timeout: Duration,
}

impl WaitArgs {
    /// What `decide` makes of the first version of an object that it has an answer for, `None` being that the object is
    /// gone; a gone object that it has no answer for is missing. `done`: what the operator is to have done to the object,
    /// for people who waited in vain.
    pub(super) async fn until<K: Typed, T>(
        self,
        scope: &Scope,
        name: &str,
        done: &str,
        decide: impl Fn(Option<K>) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        match tokio::time::timeout(self.timeout, answer(scope, name, decide)).await {
            Ok(answer) => answer,
            Err(_) => bail!(
                "the operator has not {done} {}/{name} within {}s. Is it running, and does it watch {}? The request stands: \
                 it is handled as soon as it does",
                K::TYPED.resource(),
                self.timeout.as_secs(),
                // One of a single namespace serves no shared accounts.
                scope
                    .namespace_of(K::TYPED)
                    .map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name}"))
            ),
        }
    }
}

async fn answer<K: Typed, T>(
    scope: &Scope,
    name: &str,
    decide: impl Fn(Option<K>) -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let mut versions = pin!(watch_object(scope.api::<K>(), name).default_backoff());
    while let Some(version) = versions.next().await {
        match version {
            Ok(object) => {
                let gone = object.is_none();
                match decide(object)? {
                    Some(answer) => return Ok(answer),
                    None if gone => return Err(scope.missing(K::TYPED, name)),
                    None => {}
                }
            }
            Err(error) => lasting(scope, error)?,
        }
    }
    Err(anyhow!("the watch of {}/{name} ended. Run the command again", K::TYPED.resource()))
}

/// A watch that broke is opened again by itself; one that is not allowed never will be.
fn lasting(scope: &Scope, error: watcher::Error) -> anyhow::Result<()> {
    match error {
        watcher::Error::InitialListFailed(e) | watcher::Error::WatchStartFailed(e) if !may_pass(&e) => {
            Err(scope.plain(e).context("the operator was asked, but nobody can wait for it here"))
        }
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => Ok(()),
    }
}
