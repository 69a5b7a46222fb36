//! Who is looked at because something changed that it names.
//!
//! It must never decide what comes of the look.

use super::lean::Lean;
use crate::api::v1alpha1::{
    Account, AccountKind, AccountRef, ClusterProviderAccount, Connection, IntegrationInstance, Managed, ProviderAccount,
};
use futures::stream::{self, Stream};
use kube::{
    Resource, ResourceExt,
    core::ObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The objects of a kind, and the way to have some of them looked at.
pub(super) struct Caller<K: Resource<DynamicType = ()> + 'static> {
    store: Store<Lean<K>>,
    calls: mpsc::UnboundedSender<ObjectRef<Lean<K>>>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Caller<K> {
    /// Also gives what it asks for, to be fed to the controller of that kind.
    pub(super) fn new(store: Store<Lean<K>>) -> (Self, impl Stream<Item = ObjectRef<Lean<K>>>) {
        let (calls, mut called) = mpsc::unbounded_channel();
        (Self { store, calls }, stream::poll_fn(move |context| called.poll_recv(context)))
    }

    fn call(&self, whom: impl Fn(&K) -> bool) {
        let all = self.store.state();
        let objects = all.iter().filter(|o| o.good().is_some_and(&whom)).map(|o| ObjectRef::from_obj(o.as_ref()));
        let mut objects: Vec<ObjectRef<_>> = objects.collect();
        // Who is looked at first is no chance of a hash.
        objects.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        for object in objects {
            // Whose passes have ended needs none.
            let _ = self.calls.send(object);
        }
    }
}

/// Those who name accounts.
pub(super) struct Dependents {
    pub(super) connections: Caller<Connection>,
    pub(super) instances: Caller<IntegrationInstance>,
}

impl Dependents {
    pub(super) fn of_account(&self, kind: AccountKind, account: &impl ResourceExt) {
        let named = AccountRef { kind, name: account.name_any() };
        let place = account.namespace();
        self.connections.call(|object| names(object, &named, place.as_deref()));
        self.instances.call(|object| names(object, &named, place.as_deref()));
    }

    pub(super) fn all(&self) {
        self.connections.call(|_| true);
        self.instances.call(|_| true);
    }
}

/// Whether an object names this account; `place`: its namespace, where it has one.
fn names<K: Managed>(object: &K, account: &AccountRef, place: Option<&str>) -> bool {
    object.account_ref() == account && (place.is_none() || object.meta().namespace.as_deref() == place)
}

/// All who name Secrets.
pub(super) struct Callers {
    pub(super) dependents: Arc<Dependents>,
    pub(super) accounts: Caller<ProviderAccount>,
    pub(super) shared: Option<Caller<ClusterProviderAccount>>,
}

impl Callers {
    pub(super) fn of_secret(&self, secret: &impl ResourceExt) {
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        let is_here = |meta: &ObjectMeta| meta.namespace.as_ref() == Some(&namespace);
        self.accounts.call(|account| account.names_secret(&namespace, &name));
        if let Some(shared) = &self.shared {
            shared.call(|account| account.names_secret(&namespace, &name));
        }
        self.dependents.connections.call(|object| is_here(object.meta()) && object.names_secret(&name));
        self.dependents.instances.call(|object| is_here(object.meta()) && object.names_secret(&name));
    }

    pub(super) fn all(&self) {
        self.accounts.call(|_| true);
        if let Some(shared) = &self.shared {
            shared.call(|_| true);
        }
        self.dependents.all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, StreamExt};
    use k8s_openapi::api::core::v1::Secret;
    use kube::{
        core::{PartialObjectMeta, PartialObjectMetaExt},
        runtime::{reflector, watcher},
    };
    use rstest::rstest;
    use serde_json::{Value, json};
    use std::pin::pin;

    /// A caller of these objects, and what it asks for.
    fn caller<K>(objects: Vec<Value>) -> (Caller<K>, impl Stream<Item = ObjectRef<Lean<K>>>)
    where
        K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + 'static,
    {
        let (store, mut writer) = reflector::store();
        for object in objects {
            let object: Lean<K> = serde_json::from_value(object).expect("an object");
            assert!(object.good().is_some(), "it parses");
            writer.apply_watcher_event(&watcher::Event::Apply(object));
        }
        Caller::new(store)
    }

    fn names_of<K>(asked: impl Stream<Item = ObjectRef<Lean<K>>>) -> Vec<String>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        let mut asked = pin!(asked);
        let next = || asked.next().now_or_never().flatten();
        std::iter::from_fn(next).map(|one| format!("{}/{}", one.namespace.unwrap_or_default(), one.name)).collect()
    }

    fn connection(place: &str, name: &str, account: &Value) -> Value {
        json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection", "metadata": {"namespace": place, "name": name},
            "spec": {
                "provider": "Rutter", "accountRef": account,
                "rutter": {"platform": "Shopify", "credentialsSecretRef": {"name": format!("{name}-login")}}
            }
        })
    }

    fn account(kind: &str, place: Option<&str>, login: &Value) -> Value {
        json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": kind, "metadata": {"namespace": place, "name": "main"},
            "spec": {"provider": "Rutter", "credentialsSecretRef": login}
        })
    }

    /// What a watch of metadata tells.
    fn changed(place: Option<&str>, name: &str) -> PartialObjectMeta<Secret> {
        let (namespace, name) = (place.map(str::to_owned), Some(name.to_owned()));
        ObjectMeta { namespace, name, ..Default::default() }.into_response_partial()
    }

    fn connections() -> Vec<Value> {
        let (local, shared) = (json!({"name": "main"}), json!({"kind": "ClusterProviderAccount", "name": "main"}));
        vec![
            connection("shop", "b", &local),
            connection("shop", "a", &local),
            connection("shop", "shared", &shared),
            connection("shop", "other", &json!({"name": "other"})),
            connection("next", "a", &local),
            connection("next", "shared", &shared),
        ]
    }

    #[rstest]
    #[case::of_a_namespace(AccountKind::ProviderAccount, Some("shop"), &["shop/a", "shop/b"])]
    #[case::shared(AccountKind::ClusterProviderAccount, None, &["next/shared", "shop/shared"])]
    fn an_account_has_those_looked_at_who_name_it(
        #[case] kind: AccountKind,
        #[case] place: Option<&str>,
        #[case] whom: &[&str],
    ) {
        let (connections, asked) = caller(connections());
        let (instances, _) = caller(vec![]);
        Dependents { connections, instances }.of_account(kind, &changed(place, "main"));
        assert_eq!(names_of(asked), whom);
    }

    #[test]
    fn a_secret_has_those_looked_at_who_name_it_in_its_namespace() {
        let (connections, asked) = caller(connections());
        let (instances, _) = caller(vec![]);
        let (accounts, of_accounts) =
            caller(vec![account("ProviderAccount", Some("shop"), &json!({"name": "a-login"}))]);
        let login = json!({"namespace": "next", "name": "a-login"});
        let (shared, of_shared) = caller(vec![account("ClusterProviderAccount", None, &login)]);
        let dependents = Arc::new(Dependents { connections, instances });
        let callers = Callers { dependents, accounts, shared: Some(shared) };
        callers.of_secret(&changed(Some("shop"), "a-login"));
        assert_eq!(names_of(asked), ["shop/a"]);
        assert_eq!(names_of(of_accounts), ["shop/main"]);
        assert_eq!(names_of(of_shared), Vec::<String>::new());
    }
}
