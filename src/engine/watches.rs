//! The watches: what wakes a pass over which object.
//!
//! It must never decide anything: why an object is woken is nobody's business but the log's.

use super::{
    Stop,
    accounts::{Accounts, Shared},
    context::Engine,
    error::PassError,
    guard,
    lean::Lean,
    object::AccountTarget,
    users::Users,
};
use crate::api::v1alpha1::{
    Account, AccountKind, AccountRef, ClusterProviderAccount, Connection, IntegrationInstance, Managed, ProviderAccount,
};
use futures::{FutureExt, Stream, StreamExt, future, stream::FuturesUnordered};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Namespace, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Controller, WatchStreamExt, controller,
        reflector::{self, ObjectRef, Store, store::Writer},
        utils::Backoff,
        watcher,
        watcher::DefaultBackoff,
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, pin::pin, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// The longest pause after a watch has failed. All watches of a controller pause together, and each that fails adds its
/// own: with kube's half minute and more, an operator that is there before its CRDs would see them minutes late.
const PAUSE: Duration = Duration::from_secs(10);

/// The controllers, one for each kind, and the caches that they fill once they run.
pub(super) struct Watches {
    connections: Objects<Connection>,
    instances: Objects<IntegrationInstance>,
    accounts: Controller<Lean<ProviderAccount>>,
    /// What only an operator of the whole cluster watches.
    shared: Option<SharedWatches>,
    scope: Scope,
}

/// The objects of a kind that have records.
struct Objects<K: Managed> {
    passes: Controller<Lean<K>>,
    /// One of them is gone.
    gone: Bell,
}

struct SharedWatches {
    accounts: Controller<Lean<ClusterProviderAccount>>,
    namespaces: Store<Labels>,
    writer: Writer<Labels>,
}

/// A namespace, of which nothing but its labels counts.
type Labels = PartialObjectMeta<Namespace>;

/// What asks for a look at all objects of a kind; a second one before it is heard is the same.
pub(super) type Bell = mpsc::Receiver<()>;

/// What rings two of them.
pub(super) type Ropes = [mpsc::Sender<()>; 2];

/// The caches of the kinds.
type Stores = (Store<Lean<Connection>>, Store<Lean<IntegrationInstance>>, Accounts);

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

    fn controller<K>(&self, api: Api<Lean<K>>) -> Controller<Lean<K>>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        self.configured(Controller::new(api, pages()))
    }

    /// One that tells also when an object is gone, for which nobody is woken. What is gone by the time of a list is told by its
    /// absence.
    fn objects<K: Managed>(&self) -> Objects<K> {
        let (store, writer) = reflector::store();
        let (rope, gone) = mpsc::channel(1);
        let changes = reflector::reflector(writer, watcher(self.api(), pages())).inspect(move |change| {
            if let Ok(watcher::Event::Delete(_) | watcher::Event::InitDone) = change {
                let _ = rope.try_send(());
            }
        });
        Objects { passes: self.configured(Controller::for_stream(changes.applied_objects(), store)), gone }
    }

    fn configured<K>(&self, controller: Controller<Lean<K>>) -> Controller<Lean<K>>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        // The default, no limit on concurrency, would open one connection an object to the API server.
        controller
            .trigger_backoff(Pauses::default())
            .with_config(controller::Config::default().concurrency(self.concurrency))
    }

    /// Runs the passes over the objects of one kind, which its own changes wake, those of its accounts and, through
    /// `admitted`, of the namespaces that may use these, and those of the Secrets that it names where they are watched.
    async fn managed<K: Managed>(&self, objects: Objects<K>, admitted: Bell, engine: Arc<Engine>, stop: Stop) {
        let Objects { passes: mut controller, gone } = objects;
        let meta = watcher::Config::default;
        let store = controller.store();
        controller = controller.watches(self.api::<PartialObjectMeta<ProviderAccount>>(), meta(), move |account| {
            let (namespace, named) = (account.namespace(), named(AccountKind::ProviderAccount, &account));
            referring(&store, move |object| object.meta().namespace == namespace && *object.account_ref() == named)
        });
        if self.namespace.is_none() {
            let (store, all) = (controller.store(), Api::<PartialObjectMeta<ClusterProviderAccount>>::all);
            controller = controller.watches(all(self.client.clone()), meta(), move |account| {
                let named = named(AccountKind::ClusterProviderAccount, &account);
                referring(&store, move |object| *object.account_ref() == named)
            });
        }
        if self.secrets {
            let store = controller.store();
            controller = controller.watches(self.api::<PartialObjectMeta<Secret>>(), meta(), move |secret| {
                let (namespace, name) = (secret.namespace(), secret.name_any());
                referring(&store, move |object| object.meta().namespace == namespace && object.names_secret(&name))
            });
        }
        let ends = controller.reconcile_all_on(rings(admitted)).graceful_shutdown_on(stop).run(
            guard::managed::<K>,
            |_, e, _| guard::retry(e),
            Arc::clone(&engine),
        );
        let mut gone = pin!(rings(gone));
        let hear = async {
            while gone.next().await.is_some() {
                Users::one_is_gone(&engine);
            }
            future::pending::<()>().await;
        };
        // What is gone is of no use without the passes.
        tokio::select! {
            () = drain(K::KIND, ends) => {}
            () = hear => {}
        }
    }

    /// Runs the passes over the accounts of one kind, which their own changes wake, doubts, and those of the Secrets with
    /// their logins where these are watched.
    async fn accounts<K: Account>(
        &self,
        mut controller: Controller<Lean<K>>,
        doubts: Bell,
        engine: Arc<Engine>,
        stop: Stop,
    ) where
        AccountTarget: for<'a> From<&'a K>,
    {
        if self.secrets {
            let store = controller.store();
            let secrets = self.api::<PartialObjectMeta<Secret>>();
            controller = controller.watches(secrets, watcher::Config::default(), move |secret| {
                let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
                referring(&store, move |account| account.names_secret(&namespace, &name))
            });
        }
        let ends = controller.reconcile_all_on(rings(doubts)).graceful_shutdown_on(stop).run(
            guard::account::<K>,
            |_, error, _| guard::retry(error),
            engine,
        );
        drain(K::KIND, ends).await;
    }
}

impl Watches {
    pub(super) fn new(scope: Scope) -> Self {
        let shared = scope.namespace.is_none().then(|| {
            let (namespaces, writer) = reflector::store();
            SharedWatches { accounts: scope.controller(Api::all(scope.client.clone())), namespaces, writer }
        });
        Self {
            connections: scope.objects(),
            instances: scope.objects(),
            accounts: scope.controller(scope.api()),
            shared,
            scope,
        }
    }

    pub(super) fn stores(&self) -> Stores {
        let shared = self.shared.as_ref();
        let shared = shared.map(|s| Shared { accounts: s.accounts.store(), namespaces: s.namespaces.clone() });
        let accounts = Accounts { local: self.accounts.store(), shared };
        (self.connections.passes.store(), self.instances.passes.store(), accounts)
    }

    /// Runs until `stop`, and then until the passes under way have ended. `doubts`: see [`Engine::doubt`]; one for each
    /// kind of account.
    pub(super) async fn run(self, engine: Arc<Engine>, doubts: [Bell; 2], stop: Stop) {
        let Self { connections, instances, accounts, shared, scope } = self;
        let [local_doubts, shared_doubts] = doubts;
        let (ropes, [of_connections, of_instances]) = bells();
        let connections = scope.managed(connections, of_connections, Arc::clone(&engine), stop.clone());
        let instances = scope.managed(instances, of_instances, Arc::clone(&engine), stop.clone());
        let accounts = scope.accounts(accounts, local_doubts, Arc::clone(&engine), stop.clone());
        let shared = async {
            let Some(SharedWatches { accounts, writer, .. }) = shared else { return };
            let passes = scope.accounts(accounts, shared_doubts, Arc::clone(&engine), stop.clone());
            let labels = follow_labels(&engine, &scope, writer, ropes);
            // The labels are of no use without the passes.
            tokio::select! {
                () = passes => {}
                () = labels => {}
            }
        };
        // Whatever wakes one of them is no reason to look at the streams of all.
        let kinds = [connections.boxed(), instances.boxed(), accounts.boxed(), shared.boxed()];
        let mut running: FuturesUnordered<_> = kinds.into_iter().collect();
        while running.next().await.is_some() {}
    }
}

/// Keeps the labels of namespaces, and rings where they change for somebody who uses a shared account: who is let in, or
/// let go, must not wait for the next interval. Never done.
async fn follow_labels(engine: &Engine, scope: &Scope, writer: Writer<Labels>, bells: Ropes) {
    let api: Api<Labels> = Api::all(scope.client.clone());
    let labels = watcher(api, pages()).backoff(Pauses::default()).modify(|namespace| {
        namespace.metadata.managed_fields = None;
        namespace.metadata.annotations = None;
    });
    let mut changes = pin!(labels.reflect(writer));
    while let Some(change) = changes.next().await {
        let namespace = match change {
            Ok(watcher::Event::Apply(namespace) | watcher::Event::Delete(namespace)) => namespace.name_any(),
            Ok(watcher::Event::Init | watcher::Event::InitApply(_) | watcher::Event::InitDone) => continue,
            Err(error) => {
                tracing::warn!(kind = "Namespace", "the watch failed and is opened again: {}", watch_error(&error));
                continue;
            }
        };
        if uses_shared(&engine.connections, &namespace) || uses_shared(&engine.instances, &namespace) {
            ring(&bells);
        }
    }
}

/// Whether an object of this namespace names a shared account.
fn uses_shared<K: Managed>(store: &Store<Lean<K>>, namespace: &str) -> bool {
    let shares = |object: &K| {
        object.account_ref().kind == AccountKind::ClusterProviderAccount
            && object.meta().namespace.as_deref() == Some(namespace)
    };
    store.state().iter().any(|object| object.good().is_some_and(shares))
}

/// Those of kube, with [`PAUSE`] as their limit.
#[derive(Default)]
struct Pauses(DefaultBackoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(PAUSE))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// Two bells, and what rings them.
pub(super) fn bells() -> (Ropes, [Bell; 2]) {
    let ((first, of_first), (second, of_second)) = (mpsc::channel(1), mpsc::channel(1));
    ([first, second], [of_first, of_second])
}

/// Rings both. One that is ringing already is heard anyway.
pub(super) fn ring(ropes: &Ropes) {
    for rope in ropes {
        let _ = rope.try_send(());
    }
}

/// Pages bound the memory of a first list.
fn pages() -> watcher::Config {
    watcher::Config::default().page_size(100)
}

fn rings(bell: Bell) -> impl Stream<Item = ()> {
    futures::stream::unfold(bell, |mut bell| async { bell.recv().await.map(|()| ((), bell)) })
}

fn named(kind: AccountKind, account: &impl ResourceExt) -> AccountRef {
    AccountRef { kind, name: account.name_any() }
}

fn referring<K>(store: &Store<Lean<K>>, refers: impl Fn(&K) -> bool) -> Vec<ObjectRef<Lean<K>>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let all = store.state();
    let objects = all.iter().filter(|o| o.good().is_some_and(&refers)).map(|o| ObjectRef::from_obj(o.as_ref()));
    let mut objects: Vec<ObjectRef<_>> = objects.collect();
    // Who is looked at first is no chance of a hash.
    objects.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    objects
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_begin_anew_once_a_watch_works() {
        let mut pauses = Pauses::default();
        let grown: Vec<_> = pauses.by_ref().take(20).collect();
        assert!(grown[0] < PAUSE / 2 && grown[19] == PAUSE, "{grown:?}");
        pauses.reset();
        assert!(pauses.next().is_some_and(|first| first < PAUSE / 2));
    }
}
