//! Whole lives of integration instances at the simulated SKU.io.

mod adopt;
mod bad_input;
mod change;
mod faults;
mod life;
mod refusal;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tradewind::api::v1alpha1::{IntegrationInstance, ManagedStatus};
use tradewind_simulator::sku_io::{self, Deed, Presence};

use crate::cluster::HANG;
use crate::conditions::{Kstatus, Observed};
use crate::world::{SKU_TOKEN, World, secret};

/// The manifest of an instance in the account `sku`. `more`: further lines of its spec, by two spaces.
pub(crate) fn instance(name: &str, more: &str) -> String {
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
    pub(crate) async fn furnish_sku(&self, more: &str) {
        self.sandbox.apply(&self.sku_account(SKU_TOKEN, more)).await;
        self.sandbox.apply(&Self::store_login()).await;
    }

    /// The manifests of the account `sku` and its token.
    pub(crate) fn sku_account(&self, token: &str, more: &str) -> String {
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

    /// An instance once it is ready and as declared.
    pub(crate) async fn well(&self, name: &str) -> IntegrationInstance {
        let done = |i: &IntegrationInstance| {
            let valid = i.condition("CredentialsValid").is_some_and(|c| c.status == "True");
            valid && ["Ready", "Synced"].iter().all(|kind| i.says(kind, "True", "Succeeded"))
        };
        let object = self.sandbox.wait_for::<IntegrationInstance>(name, HANG, done).await;
        assert_well(&object);
        object
    }

    /// An object after a pass for which nothing has changed: neither it nor a person who asks. That it took place is shown by what
    /// comes after it.
    pub(super) async fn touched(&self, name: &str) -> IntegrationInstance {
        self.edit_instance(name, &json!({"metadata": {"labels": {"touched": "yes"}}})).await;
        self.sandbox.apply(&instance("touched", "  suspend: true\n")).await;
        let suspended = |i: &IntegrationInstance| i.says("Synced", "Unknown", "Suspended");
        self.sandbox.wait_for::<IntegrationInstance>("touched", HANG, suspended).await;
        self.goes("touched").await;
        self.sandbox.get::<IntegrationInstance>(name).await.expect("the object")
    }

    /// The ids of the live instances at the provider.
    pub(super) fn live_at_sku(&self) -> Vec<String> {
        let all = self.simulator.instances();
        all.iter().filter(|r| r.presence == Presence::Live).map(|r| r.id.to_string()).collect()
    }

    /// What must be true of the provider at the end of a test: these are live and no others, and so many were made and deleted.
    pub(super) fn sku_ends_with(&self, live: &[&str], made: usize, deleted: usize) {
        let stats = self.simulator.stats();
        assert_eq!(self.live_at_sku(), live, "the instances that are live");
        assert_eq!((stats.creates, stats.deletes), (made, deleted), "the instances that were made and deleted");
        assert!(stats.duplicates.is_empty(), "two instances of one store: {:?}", stats.duplicates);
    }

    /// Deletes an object, and waits until it is gone.
    pub(super) async fn goes(&self, name: &str) {
        self.sandbox.delete::<IntegrationInstance>(name).await;
        self.sandbox.wait_gone::<IntegrationInstance>(name, HANG).await;
    }

    /// Does something at SKU.io behind the operator's back.
    pub(super) fn at_sku_somebody(&self, deed: &Deed) -> sku_io::Record {
        self.simulator.act_sku(deed).expect("something that can be done")
    }

    /// The one live instance of this name at the provider.
    pub(super) fn at_sku(&self, name: &str) -> sku_io::Record {
        let mut all = self.simulator.instances();
        all.retain(|r| r.name == name && r.presence == Presence::Live);
        assert_eq!(all.len(), 1, "live instances of this name: {all:#?}");
        all.remove(0)
    }
}

/// What a condition says in words.
pub(super) fn message(object: &IntegrationInstance, kind: &str) -> String {
    object.condition(kind).map(|condition| condition.message.clone()).unwrap_or_default()
}

/// The id that an object records.
pub(super) fn id_of(object: &IntegrationInstance) -> String {
    status_of(object).external_id.unwrap_or_else(|| panic!("no id: {:#?}", object.observed()))
}

/// Asserts that an object is ready, as declared, and asks nothing of anybody. How far its loads are, SKU.io does not say.
pub(super) fn assert_well(object: &IntegrationInstance) {
    for kind in ["Ready", "Synced"] {
        assert!(object.says(kind, "True", "Succeeded"), "{:#?}", object.observed());
    }
    let reason = object.condition("CredentialsValid").filter(|c| c.status == "True").map(|c| c.reason.as_str());
    assert!(matches!(reason, Some("Succeeded" | "RotatedAndVerified")), "{:#?}", object.observed());
    assert!(object.condition("Stalled").is_none() && object.condition("Reconciling").is_none());
    assert_eq!(object.kstatus(), Kstatus::Current);
}

/// The status of an object; the default where it has none.
pub(super) fn status_of(object: &IntegrationInstance) -> ManagedStatus {
    object.status.clone().unwrap_or_default()
}
