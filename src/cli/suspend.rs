//! `tradewind suspend` and `tradewind resume`: whether anything is written at the provider.

use super::{Exit, cluster::ScopeArgs, names::ConnectionName, output::OutputArgs};
use crate::api::v1alpha1::Connection;
use serde_json::json;

/// Stop all writes at the provider for a Connection, except for its deletion
///
/// Sets spec.suspend. Applying a manifest that says otherwise undoes it.
#[derive(clap::Args, Debug)]
pub(super) struct Suspend {
    #[command(flatten)]
    target: Target,
}

/// Let a suspended Connection go on
///
/// Unsets spec.suspend. Applying a manifest that says otherwise undoes it.
#[derive(clap::Args, Debug)]
pub(super) struct Resume {
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args, Debug)]
struct Target {
    /// The Connection
    name: ConnectionName,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Suspend {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        self.target.set(true).await
    }
}

impl Resume {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        self.target.set(false).await
    }
}

impl Target {
    async fn set(self, suspend: bool) -> anyhow::Result<Exit> {
        let scope = self.scope.open().await?;
        let name = self.name.0;
        let changes = scope.get::<Connection>(&name).await?.spec.suspend != suspend;
        if changes {
            scope.patch::<Connection>(&name, &json!({"spec": {"suspend": suspend}})).await?;
        }
        let answer = json!({
            "kind": "Connection", "namespace": scope.namespace(), "name": name, "suspend": suspend, "changed": changes
        });
        let text = match (suspend, changes) {
            (true, true) => "suspended: nothing is written at the provider until it is resumed, except for a deletion",
            (false, true) => "resumed",
            (true, false) => "is suspended already",
            (false, false) => "is not suspended",
        };
        self.output.print(&answer, || format!("connection/{name}: {text}\n"))?;
        Ok(Exit::Done)
    }
}
