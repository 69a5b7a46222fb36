//! `Connection`: a store or ledger connected through Rutter, or a connector of Arcus ERP.

use super::{
    references::{AccountRef, ExternalRef, LocalSecretRef},
    shared::{
        AdoptionPolicy, DeletionPolicy, ExternalLossPolicy, ManagedStatus, ManagementPolicy, ParameterValue, Provider,
        ReplacementPolicy, default_interval,
    },
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A store or ledger connected through Rutter, or a connector of Arcus ERP.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tradewind.dev",
    version = "v1alpha1",
    kind = "Connection",
    plural = "connections",
    namespaced,
    status = "ManagedStatus",
    derive = "PartialEq",
    shortname = "conn",
    category = "tradewind",
    doc = "A store or ledger connected through Rutter, or a connector of Arcus ERP.",
    selectable = ".spec.provider",
    selectable = ".spec.platform",
    selectable = ".spec.accountRef.name",
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.provider"),
    printcolumn(name = "Platform", type_ = "string", json_path = ".spec.platform"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "External-ID", type_ = "string", json_path = ".status.externalId"),
    printcolumn(name = "Last-Sync", type_ = "date", json_path = ".status.lastSyncTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Synced",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type=='Synced')].status"
    ),
    printcolumn(
        name = "Credentials",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type=='CredentialsValid')].status"
    ),
    printcolumn(
        name = "Refresh",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type=='InitialRefreshComplete')].status"
    ),
    printcolumn(name = "Deletion", type_ = "string", priority = 1, json_path = ".spec.deletionPolicy"),
    printcolumn(name = "Suspended", type_ = "boolean", priority = 1, json_path = ".spec.suspend"),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type=='Ready')].message"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.rutter) == (self.provider == 'Rutter')")
    .message("spec.rutter is required for provider Rutter and belongs to no other"))]
#[x_kube(validation = Rule::new("!has(self.arcus) || self.provider == 'Arcus'")
    .message("spec.arcus belongs to provider Arcus: remove it, or set provider: Arcus"))]
#[x_kube(validation = Rule::new("has(self.arcus) || self.provider != 'Arcus'")
    .message("spec.arcus is required for provider Arcus"))]
#[x_kube(validation = Rule::new("self.provider != 'Arcus' || !has(self.sync)")
    .message("Arcus has no spec.sync: it loads by itself"))]
#[x_kube(validation = Rule::new("self.provider != 'Arcus' || !has(self.replacementPolicy)")
    .message("Arcus has no spec.replacementPolicy: every change is applied in place"))]
#[x_kube(validation = Rule::new("has(self.platform) == has(oldSelf.platform) && (!has(self.platform) || self.platform == oldSelf.platform)")
    .message("platform is immutable: make another Connection"))]
#[x_kube(validation = Rule::new("has(self.platform) || (has(self.rutter) && has(self.rutter.authorization) && self.rutter.authorization == 'Link')")
    .message("platform is required, except with rutter.authorization: Link"))]
#[x_kube(validation = Rule::new("!has(self.platform) || self.provider != 'Rutter' || self.platform.matches('^[A-Z][A-Z0-9_]*$')")
    .message("a platform of Rutter is spelled in capitals, such as BIG_COMMERCE"))]
#[x_kube(validation = Rule::new("!has(self.platform) || self.provider != 'Arcus' || self.platform.matches('^[a-z][a-z0-9]*$')")
    .message("a connector type of Arcus is spelled in small letters, such as shopify"))]
#[x_kube(validation = Rule::new("!has(oldSelf.externalRef) || (has(self.externalRef) && self.externalRef.id == oldSelf.externalRef.id)")
    .message("externalRef is immutable once set: make another Connection"))]
#[x_kube(validation = Rule::new("!has(self.externalRef) || self.adoptionPolicy != 'Fail' || self.managementPolicy == 'ObserveOnly'")
    .message("externalRef needs adoptionPolicy: Match or Override, or managementPolicy: ObserveOnly"))]
#[x_kube(validation = Rule::new("has(self.deletionPolicy) || (self.adoptionPolicy == 'Fail' && !(has(self.rutter) && has(self.rutter.authorization) && self.rutter.authorization == 'Link'))")
    .message("write deletionPolicy out (Delete or Retain) when adoptionPolicy is not Fail or authorization is Link"))]
#[x_kube(validation = Rule::new("self.onExternalLoss != 'Recreate' || !(has(self.rutter) && has(self.rutter.authorization) && self.rutter.authorization == 'Link')")
    .message("onExternalLoss: Recreate cannot bring back what a person authorized: use Halt with authorization: Link"))]
pub struct ConnectionSpec {
    /// The provider: Rutter or Arcus. It must equal the account's.
    #[x_kube(validation = Rule::new("self == oldSelf").message("provider is immutable: make another Connection"))]
    #[x_kube(validation = Rule::new("self != 'SkuIo'").message("a Connection is of Rutter or Arcus"))]
    pub provider: Provider,
    /// The account that the connection is made in.
    #[x_kube(validation = Rule::new("self == oldSelf").message("accountRef is immutable: make another Connection"))]
    pub account_ref: AccountRef,
    /// The platform, in the provider's own spelling, such as `BIG_COMMERCE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub platform: Option<String>,
    /// Settings for provider Rutter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rutter: Option<RutterConnection>,
    /// Settings for provider Arcus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arcus: Option<ArcusConnection>,
    /// What history to load. Rutter only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<Sync>,
    /// The Secret that the operator writes: `connection_id`, `access_token`, `link_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_secret_ref: Option<LocalSecretRef>,
    /// Whether a record that somebody else made may be taken over.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
    /// A record that exists already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_ref: Option<ExternalRef>,
    /// What happens at the provider when the object is deleted; `Delete` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// How much Tradewind may do at the provider.
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// What to do about a change that the provider cannot apply in place; `Never` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement_policy: Option<ReplacementPolicy>,
    /// What to do when the record vanished at the provider.
    #[serde(default)]
    pub on_external_loss: ExternalLossPolicy,
    /// How often to look for drift, jittered; `0s` = never.
    #[serde(default = "default_interval")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(h|m|s))+$"))]
    pub interval: String,
    /// Stops all writes at the provider, except for deletion.
    #[serde(default)]
    pub suspend: bool,
}

/// A connection of Rutter.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.authorization == oldSelf.authorization")
    .message("rutter.authorization is immutable: make another Connection"))]
#[x_kube(validation = Rule::new("has(self.credentialsSecretRef) == (self.authorization == 'Credentials')")
    .message("rutter.credentialsSecretRef is required with authorization: Credentials and has no use with Link"))]
#[x_kube(validation = Rule::new("self.authorization == 'Credentials' || !has(self.parameters)")
    .message("rutter.parameters have no use with authorization: Link: the merchant enters them"))]
pub struct RutterConnection {
    /// Who gives Rutter access to the store.
    #[serde(default)]
    pub authorization: Authorization,
    /// The Secret with the store's credentials; its keys are Rutter's own field names, such as `oauth_access_token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<LocalSecretRef>,
    /// The non-secret fields in Rutter's spelling, such as `store_url`. Identity stands here, never in the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Passed through to Rutter as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub scope: Option<String>,
}

/// Who gives Rutter access to a store.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authorization {
    /// The operator, with credentials from a Secret.
    #[default]
    Credentials,
    /// A merchant, in the browser.
    Link,
}

/// A connector of Arcus ERP.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.shop) == has(oldSelf.shop) && (!has(self.shop) || self.shop == oldSelf.shop)")
    .message("arcus.shop is immutable: make another Connection"))]
pub struct ArcusConnection {
    /// Sandbox or live data.
    pub mode: ArcusMode,
    /// The connector's name as people see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub display_name: Option<String>,
    /// Whether the connector works.
    #[serde(default = "yes")]
    pub active: bool,
    /// The connector's free configuration. Keys that carry credentials are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub config: Option<serde_json::Map<String, serde_json::Value>>,
    /// The shop of a Shopify connector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub shop: Option<String>,
    /// Where parcels leave from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_from: Option<ShipFrom>,
    /// The seller at Amazon or eBay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub seller_id: Option<String>,
    /// The bank account of a Plaid connector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub bank_account_id: Option<String>,
}

fn yes() -> bool {
    true
}

fn free_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "x-kubernetes-preserve-unknown-fields": true, "maxProperties": 64,
        "description": "The connector's free configuration. Keys that carry credentials are refused."
    })
}

/// Data that an Arcus connector works on.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArcusMode {
    /// Real data.
    Live,
    /// Test data.
    Sandbox,
}

/// Where parcels leave from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ShipFrom {
    /// Name of the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub name: Option<String>,
    /// Street and number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub address1: Option<String>,
    /// City.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub city: Option<String>,
    /// State or region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub state: Option<String>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub zip: Option<String>,
}

/// What history to load.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// Products.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<SyncEntity>,
    /// Orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<SyncEntity>,
}

/// How far back to load one entity.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SyncEntity {
    /// The first day to load, at most five years ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub start_date: Option<String>,
}
