//! Whole lives of integration instances at the simulated SKU.io.

mod change;
mod life;

use kube::api::{Patch, PatchParams};
use serde_json::Value;
use tradewind::api::v1alpha1::{IntegrationInstance, ManagedStatus};
use tradewind_simulator::sku_io::{self, Presence};

use crate::cluster::HANG;
use crate::conditions::Observed;
use crate::world::{SKU_TOKEN, World, secret};

/// The manifest of an instance in the account `sku`. `more`: further lines of its spec, by two spaces.
pub(super) fn instance(name: &str, more: &str) -> String {
    format!(
        "apiVersion: tradewind.dev/v1alpha1
kind: IntegrationInstance
metadata: {{name: {name}}}
spec:
  provider: SkuIo
  accountRef: {{name: sku}}
  platform: big-commerce
  name: {name}
  integrationId: 5
  accessTokenSecretRef: {{name: store-login, key: oauth_access_token}}
  settings:
    storeHash: {}
    startDate: \"2026-01-01\"
    storeId: 1
    autoLinkProducts: true
    autoCreateProducts: false
{more}",
        hash(name)
    )
}

/// The hash of a store that no other instance has.
pub(super) fn hash(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).chain("0000".chars()).collect()
}

impl World {
    /// A namespace, a provider, an account of SKU.io with its token, a Secret for stores, and a running operator.
    pub(super) async fn with_sku(name: &str) -> Self {
        let mut world = Self::quiet(name).await;
        world.furnish_sku("").await;
        world.start().await;
        world
    }

    /// Makes the account `sku` with its token, and the Secret that stores share. `more`: further lines of the account's spec.
    pub(super) async fn furnish_sku(&self, more: &str) {
        self.sandbox.apply(&self.sku_account(SKU_TOKEN, more)).await;
        self.sandbox.apply(&Self::store_login()).await;
    }

    /// The manifests of the account `sku` and its token.
    pub(super) fn sku_account(&self, token: &str, more: &str) -> String {
        let endpoint = self.endpoint.trim_end_matches("/versioned");
        format!(
            "{}---
apiVersion: tradewind.dev/v1alpha1
kind: ProviderAccount
metadata: {{name: sku}}
spec:
  provider: SkuIo
  endpoint: {endpoint}
  skuIo: {{tenant: acme}}
  credentialsSecretRef: {{name: sku-api}}
{more}",
            secret("sku-api", &[("token", token)])
        )
    }

    /// An instance once a condition says this, of its present generation.
    pub(super) async fn instance_until(
        &self,
        name: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> IntegrationInstance {
        self.sandbox.wait_for::<IntegrationInstance>(name, HANG, |i| i.says(kind, status, reason)).await
    }

    /// Changes an instance by a merge patch, as an editor would.
    pub(super) async fn edit_instance(&self, name: &str, patch: &Value) -> IntegrationInstance {
        let api = self.sandbox.api::<IntegrationInstance>();
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("an instance to change")
    }

    /// The one live instance of this name at the provider.
    pub(super) fn at_sku(&self, name: &str) -> sku_io::Record {
        let mut all = self.simulator.instances();
        all.retain(|r| r.name == name && r.presence == Presence::Live);
        assert_eq!(all.len(), 1, "live instances of this name: {all:#?}");
        all.remove(0)
    }
}

/// The status of an object; the default where it has none.
pub(super) fn status_of(object: &IntegrationInstance) -> ManagedStatus {
    object.status.clone().unwrap_or_default()
}
