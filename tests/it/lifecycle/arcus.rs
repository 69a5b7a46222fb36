//! Whole lives of connectors at the simulated Arcus ERP.

mod adopt;
mod bad_input;
mod behind;
mod consent;
mod faults;
mod life;
mod page;
mod refusal;

use tradewind::api::v1alpha1::Connection;
use tradewind_cluster::Mark;
use tradewind_simulator::{Operation, arcus};

use crate::cluster::{HANG, Writes};
use crate::world::{ARCUS_KEY, World, secret};

/// What a connector of a shop declares, beside its mode.
const SHOP: &str = "    shop: acme.myshopify.com\n";
/// Where the link for its merchant is written.
const SECRET: &str = "  connectionSecretRef: {name: acme-link}\n";

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
    pub(crate) fn arcus_account(&self, name: &str, key: &str) -> String {
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

    /// The same with a connector `acme` of Shippo, whose credentials somebody has entered.
    pub(super) async fn with_labels(name: &str) -> Self {
        let world = Self::with_arcus(name).await;
        world.sandbox.apply(&connector("acme", "shippo", "", "")).await;
        world.enters_credentials().await;
        world
    }

    /// Somebody enters the credentials that the connector `acme` waits for, in Arcus' own pages.
    async fn enters_credentials(&self) -> Connection {
        self.until("acme", "Ready", "False", "AuthorizationRequired").await;
        self.somebody(arcus::Connector::Shippo, arcus::Act::EnterCredentials);
        self.until("acme", "Ready", "True", "Succeeded").await
    }

    /// Somebody does something at the provider, behind the operator's back.
    pub(super) fn somebody(&self, kind: arcus::Connector, act: arcus::Act) {
        self.simulator.act_arcus(&act.on(kind)).expect("a deed that can be done");
    }

    /// The object goes, and all that it waits for.
    pub(super) async fn leaves(&self, name: &str) {
        self.sandbox.delete::<Connection>(name).await;
        self.sandbox.wait_gone::<Connection>(name, HANG).await;
    }

    /// Nothing was ever written at the provider.
    fn nothing_was_sent(&self) {
        for operation in [Operation::Create, Operation::Update, Operation::Delete] {
            assert_eq!(self.asked(operation), 0, "{operation:?}");
        }
    }

    /// The connectors that are there, and no more was made or deleted than that took; and nobody's was taken hold of.
    pub(super) fn arcus_ends_with(&self, live: &[arcus::Connector], made: usize, deleted: usize) {
        let found: Vec<_> = self.simulator.connectors().iter().filter(|r| !r.deleted).map(|r| r.connector).collect();
        let stats = self.simulator.stats();
        assert_eq!(found, live, "the connectors that are there");
        assert_eq!((stats.creates, stats.deletes), (made, deleted), "those that were made and deleted");
        assert!(stats.overwrites.is_empty(), "{:?}", stats.overwrites);
    }

    /// The connector of this type at the provider.
    pub(super) fn at_arcus(&self, kind: arcus::Connector) -> arcus::Record {
        self.simulator.connector(kind).expect("a connector of this type")
    }
}

/// Asserts that there were so many writes on a connection and on Secrets since then. What a write did can be seen before it is
/// answered, and only then it has its line.
async fn assert_writes(world: &World, since: Mark, name: &str, wanted: usize) {
    let lines = || writes(&world.sandbox.audit_writes(since), name);
    world.provider_until("the lines of all writes", |_| lines().len() >= wanted).await;
    assert_eq!(lines().len(), wanted, "{:#?}", lines());
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
