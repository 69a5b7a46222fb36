//! The watches: what wakes a pass over which object.
//!
//! It must never decide anything: why an object is woken is nobody's business but the log's.

use super::{Stop, context::Engine, error::PassError, guard, object::Lean};
use crate::{
    api::v1alpha1::{Connection, ProviderAccount},
    provider::credentials_secret,
};
use futures::{Stream, StreamExt, future};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Secret};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Controller, controller,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, sync::Arc};
use tokio::sync::mpsc;

/// The two controllers, and the caches that they fill once they run.
pub(super) struct Watches {
    connections: Controller<Lean<Connection>>,
    accounts: Controller<Lean<ProviderAccount>>,
    scope: Scope,
}

/// What is watched.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) client: Client,
    /// All namespaces where absent.
    pub(super) namespace: Option<String>,
    pub(super) concurrency: u16,
    pub(super) secrets: bool,
}

impl Scope {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn controller<K>(&self) -> Controller<Lean<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        // Pages bound the memory of a first list; the default, no limit on concurrency, would open one connection an
        // object to the API server.
        Controller::new(self.api(), watcher::Config::default().page_size(100))
            .with_config(controller::Config::default().concurrency(self.concurrency))
    }
}

impl Watches {
    pub(super) fn new(scope: Scope) -> Self {
        Self { connections: scope.controller(), accounts: scope.controller(), scope }
    }

    pub(super) fn stores(&self) -> (Store<Lean<Connection>>, Store<Lean<ProviderAccount>>) {
        (self.connections.store(), self.accounts.store())
    }

    /// Runs until `stop`, and then until the passes under way have ended. `doubts`: see [`Engine::doubt`].
    pub(super) async fn run(self, engine: Arc<Engine>, doubts: mpsc::Receiver<()>, stop: Stop) {
        let Self { mut connections, mut accounts, scope } = self;
        let meta = watcher::Config::default;
        let store = engine.connections.clone();
        connections = connections.watches(scope.api::<PartialObjectMeta<ProviderAccount>>(), meta(), move |account| {
            let (namespace, name) = (account.namespace(), account.name_any());
            referring(&store, move |c| c.namespace() == namespace && c.spec.account_ref.name == name)
        });
        if scope.secrets {
            let store = engine.connections.clone();
            connections = connections.watches(scope.api::<PartialObjectMeta<Secret>>(), meta(), move |secret| {
                let (namespace, name) = (secret.namespace(), secret.name_any());
                referring(&store, move |c| c.namespace() == namespace && names_secret(c, &name))
            });
            let store = engine.accounts.clone();
            accounts = accounts.watches(scope.api::<PartialObjectMeta<Secret>>(), meta(), move |secret| {
                let (namespace, name) = (secret.namespace(), secret.name_any());
                referring(&store, move |a| a.namespace() == namespace && a.spec.credentials_secret_ref.name == name)
            });
        }
        let doubts = futures::stream::unfold(doubts, |mut doubts| async { doubts.recv().await.map(|()| ((), doubts)) });
        let connections = connections.graceful_shutdown_on(stop.clone()).run(
            guard::connection,
            |_, error, _| guard::retry(error),
            Arc::clone(&engine),
        );
        let accounts = accounts.reconcile_all_on(doubts).graceful_shutdown_on(stop).run(
            guard::provider_account,
            |_, error, _| guard::retry(error),
            engine,
        );
        future::join(drain("Connection", connections), drain("ProviderAccount", accounts)).await;
    }
}

fn names_secret(connection: &Connection, name: &str) -> bool {
    let published = connection.spec.connection_secret_ref.as_ref().map(|r| r.name.as_str());
    [credentials_secret(&connection.spec), published].contains(&Some(name))
}

fn referring<K>(store: &Store<Lean<K>>, refers: impl Fn(&K) -> bool) -> Vec<ObjectRef<Lean<K>>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let all = store.state();
    all.iter().filter(|o| o.good().is_some_and(&refers)).map(|o| ObjectRef::from_obj(o.as_ref())).collect()
}

/// Runs a controller to its end. Its passes log for themselves; what is left is the watch itself.
async fn drain<K: Debug, T>(kind: &'static str, ends: impl Stream<Item = Result<K, controller::Error<PassError, T>>>)
where
    T: std::error::Error + 'static,
{
    ends.for_each(|end| {
        match end {
            Ok(_) | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {}
            Err(error @ (controller::Error::QueueError(_) | controller::Error::RunnerError(_))) => {
                tracing::warn!(kind, "the watch failed and is opened again: {}", watch_error(&error));
            }
        }
        future::ready(())
    })
    .await;
}

/// The innermost error: the API server's own words, mostly.
fn watch_error(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
