//! The watches: what wakes a pass over which object.
//!
//! It must never decide anything: why an object is woken is nobody's business but the log's.

use super::{Stop, context::Engine, error::PassError, guard, object::Lean};
use crate::api::v1alpha1::{Connection, IntegrationInstance, Managed, ProviderAccount};
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

/// The controllers, one for each kind, and the caches that they fill once they run.
pub(super) struct Watches {
    connections: Controller<Lean<Connection>>,
    instances: Controller<Lean<IntegrationInstance>>,
    accounts: Controller<Lean<ProviderAccount>>,
    scope: Scope,
}

/// The caches of the kinds.
type Stores = (Store<Lean<Connection>>, Store<Lean<IntegrationInstance>>, Store<Lean<ProviderAccount>>);

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

    /// Runs the passes over the objects of one kind, which its own changes wake, those of its accounts, and those of
    /// the Secrets that it names where these are watched.
    async fn managed<K: Managed>(&self, mut controller: Controller<Lean<K>>, engine: Arc<Engine>, stop: Stop) {
        let meta = watcher::Config::default;
        let store = controller.store();
        controller = controller.watches(self.api::<PartialObjectMeta<ProviderAccount>>(), meta(), move |account| {
            let (namespace, name) = (account.namespace(), account.name_any());
            referring(&store, move |object| object.namespace() == namespace && object.account_ref().name == name)
        });
        if self.secrets {
            let store = controller.store();
            controller = controller.watches(self.api::<PartialObjectMeta<Secret>>(), meta(), move |secret| {
                let (namespace, name) = (secret.namespace(), secret.name_any());
                referring(&store, move |object| object.namespace() == namespace && object.names_secret(&name))
            });
        }
        let ends = controller.graceful_shutdown_on(stop).run(guard::managed::<K>, |_, e, _| guard::retry(e), engine);
        drain(K::KIND, ends).await;
    }
}

impl Watches {
    pub(super) fn new(scope: Scope) -> Self {
        Self { connections: scope.controller(), instances: scope.controller(), accounts: scope.controller(), scope }
    }

    pub(super) fn stores(&self) -> Stores {
        (self.connections.store(), self.instances.store(), self.accounts.store())
    }

    /// Runs until `stop`, and then until the passes under way have ended. `doubts`: see [`Engine::doubt`].
    pub(super) async fn run(self, engine: Arc<Engine>, doubts: mpsc::Receiver<()>, stop: Stop) {
        let Self { connections, instances, mut accounts, scope } = self;
        let meta = watcher::Config::default;
        if scope.secrets {
            let store = engine.accounts.clone();
            accounts = accounts.watches(scope.api::<PartialObjectMeta<Secret>>(), meta(), move |secret| {
                let (namespace, name) = (secret.namespace(), secret.name_any());
                referring(&store, move |a| a.namespace() == namespace && a.spec.credentials_secret_ref.name == name)
            });
        }
        let doubts = futures::stream::unfold(doubts, |mut doubts| async { doubts.recv().await.map(|()| ((), doubts)) });
        let connections = scope.managed(connections, Arc::clone(&engine), stop.clone());
        let instances = scope.managed(instances, Arc::clone(&engine), stop.clone());
        let accounts = accounts.reconcile_all_on(doubts).graceful_shutdown_on(stop).run(
            guard::provider_account,
            |_, error, _| guard::retry(error),
            engine,
        );
        future::join3(connections, instances, drain("ProviderAccount", accounts)).await;
    }
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
