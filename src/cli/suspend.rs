//! `tradewind suspend` and `tradewind resume`: whether anything is written at the provider.

use super::{
    Exit,
    cluster::{Scope, ScopeArgs, Typed},
    names::{ManagedKind, ManagedName},
    output::{OutputArgs, line},
};
use crate::api::v1alpha1::{Connection, IntegrationInstance, Managed};
use serde_json::json;

/// Stop all writes at the provider for an object, except for its deletion
///
/// Sets spec.suspend to true. A manifest that says otherwise takes it back when Flux or Argo CD applies it, and so does
/// `kubectl apply`; `kubectl apply --server-side` ends in a conflict, and needs --force-conflicts.
#[derive(clap::Args, Debug)]
pub(super) struct Suspend {
    #[command(flatten)]
    target: Target,
}

/// Let a suspended object go on
///
/// Sets spec.suspend to false. A manifest that says otherwise takes it back when Flux or Argo CD applies it, and so does
/// `kubectl apply`; `kubectl apply --server-side` ends in a conflict, and needs --force-conflicts.
#[derive(clap::Args, Debug)]
pub(super) struct Resume {
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args, Debug)]
struct Target {
    /// A Connection, or KIND/NAME such as ii/acme
    name: ManagedName,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Suspend {
    pub(super) async fn run(self, program: &str) -> anyhow::Result<Exit> {
        self.target.set(true, program).await
    }
}

impl Resume {
    pub(super) async fn run(self, program: &str) -> anyhow::Result<Exit> {
        self.target.set(false, program).await
    }
}

/// Why nothing is asked of the provider for a suspended object, and what to run first.
pub(super) fn refusal<K: Typed>(scope: &Scope, name: &str) -> String {
    format!("is suspended: nothing is asked of the provider. Resume it first: {}", resume::<K>(scope, name))
}

/// The command that lets a suspended object go on.
pub(super) fn resume<K: Typed>(scope: &Scope, name: &str) -> String {
    scope.caller().command(&format!("resume {} -n {}", K::TYPED.argument(name), scope.namespace()))
}

impl Target {
    async fn set(self, suspend: bool, program: &str) -> anyhow::Result<Exit> {
        match self.name.kind {
            ManagedKind::Connection => self.set_in::<Connection>(suspend, program).await,
            ManagedKind::IntegrationInstance => self.set_in::<IntegrationInstance>(suspend, program).await,
        }
    }

    async fn set_in<K: Managed + Typed>(self, suspend: bool, program: &str) -> anyhow::Result<Exit> {
        let scope = self.scope.open(program).await?;
        let name = &self.name.name;
        let changes = scope.get::<K>(name).await?.declaration().is_suspended() != suspend;
        if changes {
            scope.patch::<K>(name, &json!({"spec": {"suspend": suspend}})).await?;
        }
        let answer = json!({
            "kind": K::TYPED.as_str(), "namespace": scope.namespace(), "name": name, "suspend": suspend, "changed": changes
        });
        let text = match (suspend, changes) {
            (true, true) => "suspended: nothing is written at the provider until it is resumed, except for a deletion",
            (false, true) => "resumed",
            (true, false) => "is suspended already",
            (false, false) => "is not suspended",
        };
        self.output.print(&answer, || vec![line(format!("{}: {text}", self.name))])?;
        Ok(Exit::Done)
    }
}
