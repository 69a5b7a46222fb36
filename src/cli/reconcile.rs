//! `tradewind reconcile`: asks the operator to look at an object now, and waits until it says that it has.

use super::{
    Exit,
    age::now,
    cluster::{Namespaced, Scope, ScopeArgs},
    names::{Kind, ObjectName},
    output::OutputArgs,
    refusal::plain,
    turn::Turn,
    view::View,
};
use crate::{
    api::{
        keys,
        v1alpha1::{Connection, ProviderAccount},
    },
    domain::schedule,
};
use anyhow::{anyhow, bail};
use futures::StreamExt;
use kube::{
    ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, watch_object},
    },
};
use serde::Serialize;
use serde_json::json;
use std::{pin::pin, time::Duration};

/// Ask the operator to look at an object now, and wait until it has
///
/// Ends with 0 once the operator has looked, also where work is still under way, and with 4 where nothing goes on
/// before a person acts.
#[derive(clap::Args, Debug)]
pub(super) struct Reconcile {
    /// A Connection, or KIND/NAME such as provideraccount/rutter
    #[arg(value_name = "NAME")]
    object: ObjectName,
    /// Do not wait
    #[arg(long)]
    no_wait: bool,
    /// Wait no longer than this
    #[arg(long, default_value = "2m", value_parser = schedule::parse, value_name = "DURATION")]
    timeout: Duration,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What came of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    kind: &'static str,
    namespace: String,
    name: String,
    requested_at: String,
    /// The object as it was when the operator had looked; absent where nobody waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<View>,
}

/// A kind that echoes the request in its status.
trait Echoes: Namespaced + Send + 'static {
    fn echo(&self) -> Option<&String>;
    fn view(&self, program: &str) -> View;
}

impl Echoes for Connection {
    fn echo(&self) -> Option<&String> {
        self.status.as_ref()?.last_handled_reconcile_at.as_ref()
    }

    fn view(&self, program: &str) -> View {
        View::connection(self, program)
    }
}

impl Echoes for ProviderAccount {
    fn echo(&self) -> Option<&String> {
        self.status.as_ref()?.last_handled_reconcile_at.as_ref()
    }

    fn view(&self, _: &str) -> View {
        View::account(self)
    }
}

impl Reconcile {
    pub(super) async fn run(self, program: &str) -> anyhow::Result<Exit> {
        let scope = self.scope.open().await?;
        match self.object.kind {
            Kind::Connection => self.request::<Connection>(&scope, program).await,
            Kind::ProviderAccount => self.request::<ProviderAccount>(&scope, program).await,
        }
    }

    async fn request<K: Echoes>(&self, scope: &Scope, program: &str) -> anyhow::Result<Exit> {
        let stamp = now().to_string();
        let body = json!({"metadata": {"annotations": {keys::RECONCILE: stamp}}});
        scope.patch::<K>(&self.object.name, &body).await?;
        let object = if self.no_wait {
            None
        } else {
            self.output.note(&format!("{}: waiting for the operator to look", self.object));
            Some(self.wait::<K>(scope).await?.view(program))
        };
        let exit = match object.as_ref().map(|view| view.waits_for) {
            Some(Turn::Person) => Exit::Blocked,
            Some(Turn::Nobody | Turn::Operator | Turn::Provider) | None => Exit::Done,
        };
        let request = Request {
            kind: K::KIND.as_str(),
            namespace: scope.namespace().to_owned(),
            name: self.object.name.clone(),
            requested_at: stamp,
            object,
        };
        self.output.print(&request, || match &request.object {
            None => format!("{}: asked the operator to look\n", self.object),
            Some(view) => format!("{}: Ready is {}, {}: {}\n", self.object, view.ready, view.reason, view.message),
        })?;
        Ok(exit)
    }

    async fn wait<K: Echoes>(&self, scope: &Scope) -> anyhow::Result<K> {
        match tokio::time::timeout(self.timeout, self.handled(scope)).await {
            Ok(handled) => handled,
            Err(_) => bail!(
                "the operator has not looked at {} within {}s. Is it running, and does it watch namespace {}? The request \
                 stands: it is handled as soon as it does",
                self.object,
                self.timeout.as_secs(),
                scope.namespace()
            ),
        }
    }

    async fn handled<K: Echoes>(&self, scope: &Scope) -> anyhow::Result<K> {
        let mut versions = pin!(watch_object(scope.api::<K>(), &self.object.name).default_backoff());
        while let Some(version) = versions.next().await {
            match version {
                Ok(Some(object)) if object.echo().is_some() && object.echo() == last_request(&object) => {
                    return Ok(object);
                }
                Ok(Some(_)) => {}
                Ok(None) => return Err(scope.missing(K::KIND, &self.object.name)),
                Err(error) => lasting(error)?,
            }
        }
        Err(anyhow!("the watch of {} ended. Run the command again", self.object))
    }
}

/// Of several requests the operator answers the last one, which need not be ours.
fn last_request<K: Echoes>(object: &K) -> Option<&String> {
    [keys::RECONCILE, keys::RECONCILE_FLUX].into_iter().filter_map(|key| object.annotations().get(key)).max()
}

/// A watch that broke is opened again by itself; one that is not allowed never will be.
fn lasting(error: watcher::Error) -> anyhow::Result<()> {
    let refused = |error: &kube::Error| matches!(error, kube::Error::Api(s) if matches!(s.code, 401 | 403));
    match error {
        watcher::Error::InitialListFailed(e) | watcher::Error::WatchStartFailed(e) if refused(&e) => {
            Err(plain(e).context("the operator was asked to look, but nobody can wait for it here"))
        }
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchError(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => Ok(()),
    }
}
