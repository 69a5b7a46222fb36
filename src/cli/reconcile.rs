//! `tradewind reconcile`: asks the operator to look at an object now, and waits until it says that it has.

use super::{
    Exit,
    age::now,
    cluster::{Scope, ScopeArgs, Typed},
    names::{Kind, ManagedKind, ObjectName},
    output::OutputArgs,
    turn::Turn,
    view::View,
    wait::WaitArgs,
};
use crate::{
    api::{
        keys,
        v1alpha1::{ClusterProviderAccount, Connection, IntegrationInstance, Managed, ProviderAccount},
    },
    domain::request,
};
use kube::ResourceExt;
use serde::Serialize;
use serde_json::json;

/// Ask the operator to look at an object now, and wait until it has
///
/// Ends with 0 once the operator has looked, also where work is still under way, and with 4 where nothing goes on
/// before a person acts.
#[derive(clap::Args, Debug)]
pub(super) struct Reconcile {
    /// A Connection, or KIND/NAME such as ii/acme or provideraccount/rutter
    #[arg(value_name = "NAME")]
    object: ObjectName,
    #[command(flatten)]
    wait: WaitArgs,
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
    /// Absent where the object is in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    requested_at: String,
    /// The object as it was when the operator had looked; absent where nobody waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<View>,
}

/// A kind that echoes the request in its status.
pub(super) trait Echoes: Typed {
    fn echo(&self) -> Option<&String>;
    fn view(&self, program: &str) -> View;
}

impl<K: Managed + Typed> Echoes for K {
    fn echo(&self) -> Option<&String> {
        self.managed_status()?.last_handled_reconcile_at.as_ref()
    }

    fn view(&self, program: &str) -> View {
        View::managed(self, program)
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

impl Echoes for ClusterProviderAccount {
    fn echo(&self) -> Option<&String> {
        self.status.as_ref()?.last_handled_reconcile_at.as_ref()
    }

    fn view(&self, _: &str) -> View {
        View::account(self)
    }
}

impl Reconcile {
    pub(super) async fn run(self, program: &str) -> anyhow::Result<Exit> {
        let scope = self.scope.open(program).await?;
        match self.object.kind {
            Kind::Managed(ManagedKind::Connection) => self.request::<Connection>(&scope, program).await,
            Kind::Managed(ManagedKind::IntegrationInstance) => {
                self.request::<IntegrationInstance>(&scope, program).await
            }
            Kind::ProviderAccount => self.request::<ProviderAccount>(&scope, program).await,
            Kind::ClusterProviderAccount => self.request::<ClusterProviderAccount>(&scope, program).await,
        }
    }

    async fn request<K: Echoes>(&self, scope: &Scope, program: &str) -> anyhow::Result<Exit> {
        let (stamp, name) = (now().to_string(), &self.object.name);
        let body = json!({"metadata": {"annotations": {keys::RECONCILE: stamp}}});
        scope.patch::<K>(name, &body).await?;
        let object = if self.wait.no_wait {
            None
        } else {
            self.output.note(&format!("{}: waiting for the operator to look", self.object));
            let handled = |object: K| Ok(is_handled(&object).then_some(object));
            Some(self.wait.until(scope, name, "looked at", handled).await?.view(program))
        };
        let exit = match object.as_ref().map(|view| view.waits_for) {
            Some(Turn::Person) => Exit::Blocked,
            Some(Turn::Nobody | Turn::Operator | Turn::Provider) | None => Exit::Done,
        };
        let request = Request {
            kind: K::TYPED.as_str(),
            namespace: scope.namespace_of(K::TYPED).map(str::to_owned),
            name: name.clone(),
            requested_at: stamp,
            object,
        };
        self.output.print(&request, || match &request.object {
            None => format!("{}: asked the operator to look\n", self.object),
            Some(view) => format!("{}: Ready is {}, {}: {}\n", self.object, view.ready, view.reason, view.message),
        })?;
        Ok(exit)
    }
}

/// Of several requests the operator answers the last one, which need not be ours.
fn is_handled<K: Echoes>(object: &K) -> bool {
    object.echo().is_some() && object.echo().map(String::as_str) == request::latest(object.annotations())
}

/// Whether somebody has asked the operator to look, and it has not yet.
pub(super) fn is_asked_for<K: Echoes>(object: &K) -> bool {
    request::latest(object.annotations()).is_some() && !is_handled(object)
}
