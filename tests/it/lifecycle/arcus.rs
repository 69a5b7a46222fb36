//! Whole lives of connectors at the simulated Arcus ERP.

mod consent;
mod life;

use tradewind_simulator::arcus;

use crate::cluster::Writes;
use crate::world::{ARCUS_KEY, World, secret};

/// The manifest of a connector in the account `arcus`. `settings`: lines of `spec.arcus` by four spaces, `more`: further
/// lines of its spec by two.
pub(super) fn connector(name: &str, platform: &str, settings: &str, more: &str) -> String {
    format!(
        "apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {{name: {name}}}
spec:
  provider: Arcus
  accountRef: {{name: arcus}}
  platform: {platform}
  arcus:
    mode: Sandbox
{settings}{more}"
    )
}

impl World {
    /// A namespace, a provider, an account of Arcus with its key, and a running operator.
    pub(super) async fn with_arcus(name: &str) -> Self {
        let mut world = Self::quiet(name).await;
        world.sandbox.apply(&world.arcus_account("arcus", ARCUS_KEY)).await;
        world.start().await;
        world
    }

    /// The manifests of an account and its key.
    pub(super) fn arcus_account(&self, name: &str, key: &str) -> String {
        let endpoint = self.endpoint.replace("/versioned", "/v1");
        format!(
            "{}---
apiVersion: tradewind.dev/v1alpha1
kind: ProviderAccount
metadata: {{name: {name}}}
spec:
  provider: Arcus
  endpoint: {endpoint}
  credentialsSecretRef: {{name: {name}-api}}
",
            secret(&format!("{name}-api"), &[("api_key", key)])
        )
    }

    /// The connector of this type at the provider.
    pub(super) fn at_arcus(&self, kind: arcus::Connector) -> arcus::Record {
        self.simulator.connector(kind).expect("a connector of this type")
    }
}

/// The writes on a connection and on Secrets, one line each.
fn writes(writes: &Writes, name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (object, events) in writes {
        if object.starts_with(&format!("connections/{name}")) || object.starts_with("secrets/") {
            lines.extend(events.iter().map(|e| format!("{} {object} {} {}", e.verb, e.subresource, e.code)));
        }
    }
    lines
}
