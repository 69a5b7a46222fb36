//! The watches: what wakes a pass over which object.
//!
//! It must never decide anything: why an object is woken is nobody's business but the log's.

use super::{
    Stop,
    accounts::{Accounts, Shared},
    callers::{Caller, Callers, Dependents},
    context::Engine,
    error::PassError,
    guard,
    lean::Lean,
    object::AccountTarget,
    users::Users,
};
use crate::api::v1alpha1::{
    Account, AccountKind, ClusterProviderAccount, Connection, IntegrationInstance, Managed, ProviderAccount,
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
        reflector::{self, Store, store::Writer},
        utils::Backoff,
        watcher,
        watcher::DefaultBackoff,
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, pin::pin, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// The longest pause after a watch has failed: with kube's half minute and more, an operator that is there before its CRDs would see
/// them late.
const PAUSE: Duration = Duration::from_secs(10);

/// The controllers, one for each kind, and the caches that they fill once they run. Each kind is watched once, whoever is woken by
/// its changes.
pub(super) struct Watches {
    connections: Objects<Connection>,
    instances: Objects<IntegrationInstance>,
    accounts: Controller<Lean<ProviderAccount>>,
    /// What only an operator of the whole cluster watches.
    shared: Option<SharedWatches>,
    callers: Callers,
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

    /// A controller over accounts of one kind, whose changes have those looked at who name them.
    fn accounts<K: Account>(
        &self,
        api: Api<Lean<K>>,
        kind: AccountKind,
        dependents: &Arc<Dependents>,
    ) -> (Controller<Lean<K>>, Caller<K>) {
        let (store, writer) = reflector::store();
        let dependents = Arc::clone(dependents);
        let changes = reflector::reflector(writer, watcher(api, pages())).inspect(move |change| match change {
            Ok(watcher::Event::Apply(account) | watcher::Event::Delete(account)) => {
                dependents.of_account(kind, account);
            }
            // Also those whose account is gone by the time of a list.
            Ok(watcher::Event::InitDone) => dependents.all(),
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) | Err(_) => {}
        });
        self.controller(changes.applied_objects(), store)
    }

    /// A controller that tells also when an object is gone, for which nobody is woken. What is gone by the time of a list is told by
    /// its absence.
    fn objects<K: Managed>(&self) -> (Objects<K>, Caller<K>) {
        let (store, writer) = reflector::store();
        let (rope, gone) = mpsc::channel(1);
        let changes = reflector::reflector(writer, watcher(self.api(), pages())).inspect(move |change| {
            if let Ok(watcher::Event::Delete(_) | watcher::Event::InitDone) = change {
                let _ = rope.try_send(());
            }
        });
        let (passes, caller) = self.controller(changes.applied_objects(), store);
        (Objects { passes, gone }, caller)
    }

    fn controller<K>(
        &self,
        changes: impl Stream<Item = watcher::Result<Lean<K>>> + Send + 'static,
        store: Store<Lean<K>>,
    ) -> (Controller<Lean<K>>, Caller<K>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (caller, calls) = Caller::new(store.clone());
        let controller = Controller::for_stream(changes, store)
            .reconcile_on(calls)
            .trigger_backoff(Pauses::default())
            // The default, no limit on concurrency, would open one connection an object to the API server.
            .with_config(controller::Config::default().concurrency(self.concurrency));
        (controller, caller)
    }
}

/// Runs the passes over the objects of one kind, which its own changes wake, those of what it names and, through `admitted`, of the
/// namespaces that may use shared accounts.
async fn run_objects<K: Managed>(objects: Objects<K>, admitted: Bell, engine: Arc<Engine>, stop: Stop) {
    let Objects { passes, gone } = objects;
    let ends = passes.reconcile_all_on(rings(admitted)).graceful_shutdown_on(stop).run(
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
        () = drain(&engine, K::KIND, ends) => {}
        () = hear => {}
    }
}

/// Runs the passes over the accounts of one kind, which their own changes wake, doubts, and those of the Secrets with their logins.
async fn run_accounts<K: Account>(accounts: Controller<Lean<K>>, doubts: Bell, engine: Arc<Engine>, stop: Stop)
where
    AccountTarget: for<'a> From<&'a K>,
{
    let ends = accounts.reconcile_all_on(rings(doubts)).graceful_shutdown_on(stop).run(
        guard::account::<K>,
        |_, error, _| guard::retry(error),
        Arc::clone(&engine),
    );
    drain(&engine, K::KIND, ends).await;
}

impl Watches {
    pub(super) fn new(scope: Scope) -> Self {
        let (connections, of_connections) = scope.objects();
        let (instances, of_instances) = scope.objects();
        let dependents = Arc::new(Dependents { connections: of_connections, instances: of_instances });
        let (accounts, of_accounts) = scope.accounts(scope.api(), AccountKind::ProviderAccount, &dependents);
        let (shared, of_shared) = scope
            .namespace
            .is_none()
            .then(|| {
                let all = Api::all(scope.client.clone());
                let (accounts, caller) = scope.accounts(all, AccountKind::ClusterProviderAccount, &dependents);
                let (namespaces, writer) = reflector::store();
                (SharedWatches { accounts, namespaces, writer }, caller)
            })
            .unzip();
        let callers = Callers { dependents, accounts: of_accounts, shared: of_shared };
        Self { connections, instances, accounts, shared, callers, scope }
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
        let Self { connections, instances, accounts, shared, callers, scope } = self;
        let [local_doubts, shared_doubts] = doubts;
        let (ropes, [of_connections, of_instances]) = bells();
        let connections = run_objects(connections, of_connections, Arc::clone(&engine), stop.clone());
        let instances = run_objects(instances, of_instances, Arc::clone(&engine), stop.clone());
        let accounts = run_accounts(accounts, local_doubts, Arc::clone(&engine), stop.clone());
        let shared = async {
            let Some(SharedWatches { accounts, writer, .. }) = shared else { return };
            let passes = run_accounts(accounts, shared_doubts, Arc::clone(&engine), stop.clone());
            let labels = follow_labels(&engine, &scope, writer, ropes);
            // The labels are of no use without the passes.
            tokio::select! {
                () = passes => {}
                () = labels => {}
            }
        };
        let secrets = follow_secrets(&engine, &scope, &callers);
        let all = [connections.boxed(), instances.boxed(), accounts.boxed(), shared.boxed(), secrets.boxed()];
        // Whatever wakes one of them is no reason to look at the streams of all.
        let mut running: FuturesUnordered<_> = all.into_iter().collect();
        // The Secrets, which are never done, are of no use without the passes.
        while running.len() > 1 {
            running.next().await;
        }
    }
}

/// Where they are watched: has all looked at who name a Secret that has changed, also one that is gone. Never done.
async fn follow_secrets(engine: &Engine, scope: &Scope, callers: &Callers) {
    if !scope.secrets {
        return future::pending().await;
    }
    let api: Api<PartialObjectMeta<Secret>> = scope.api();
    let mut changes = pin!(watcher(api, pages()).backoff(Pauses::default()));
    while let Some(change) = changes.next().await {
        match change {
            Ok(watcher::Event::Apply(secret) | watcher::Event::Delete(secret)) => callers.of_secret(&secret),
            Ok(watcher::Event::InitDone) => callers.all(),
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Err(error) => has_failed(engine, "Secret", &error),
        }
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
                has_failed(engine, "Namespace", &error);
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

/// Runs a controller to its end. Its passes log for themselves; what is left is the watch itself.
async fn drain<K: Debug, T>(
    engine: &Engine,
    kind: &'static str,
    ends: impl Stream<Item = Result<K, controller::Error<PassError, T>>>,
) where
    T: std::error::Error + 'static,
{
    ends.for_each(|end| {
        match end {
            Ok(_) | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {}
            Err(error @ (controller::Error::QueueError(_) | controller::Error::RunnerError(_))) => {
                has_failed(engine, kind, &error);
            }
        }
        future::ready(())
    })
    .await;
}

/// A watch goes on by itself after a pause.
fn has_failed(engine: &Engine, kind: &str, error: &(dyn std::error::Error + 'static)) {
    engine.metrics.watch_failed(kind);
    tracing::warn!(kind, "the watch failed and is opened again: {}", watch_error(error));
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
