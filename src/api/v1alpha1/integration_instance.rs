//! `IntegrationInstance`: a sales-channel integration instance of SKU.io.

use super::{
    references::{AccountRef, ExternalRef},
    shared::{
        AdoptionPolicy, DeletionPolicy, ExternalLossPolicy, ManagedStatus, ManagementPolicy, Provider,
        ReplacementPolicy, default_interval,
    },
};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// A sales-channel integration instance of SKU.io.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tradewind.dev",
    version = "v1alpha1",
    kind = "IntegrationInstance",
    plural = "integrationinstances",
    namespaced,
    status = "ManagedStatus",
    derive = "PartialEq",
    shortname = "ii",
    category = "tradewind",
    doc = "A sales-channel integration instance of SKU.io.",
    selectable = ".spec.provider",
    selectable = ".spec.platform",
    selectable = ".spec.accountRef.name",
    printcolumn(name = "Platform", type_ = "string", json_path = ".spec.platform"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "External-ID", type_ = "string", json_path = ".status.externalId"),
    printcolumn(
        name = "Refresh",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='InitialRefreshComplete')].status"
    ),
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
#[x_kube(validation = Rule::new("has(self.accessTokenSecretRef) || self.managementPolicy == 'ObserveOnly'")
    .message("accessTokenSecretRef is required, except with managementPolicy: ObserveOnly"))]
#[x_kube(validation = Rule::new("!has(oldSelf.externalRef) || (has(self.externalRef) && self.externalRef.id == oldSelf.externalRef.id)")
    .message("externalRef is immutable once set: make another IntegrationInstance"))]
#[x_kube(validation = Rule::new("!has(self.externalRef) || self.externalRef.id.matches('^[1-9][0-9]*$')")
    .message("externalRef.id of SKU.io is a number, such as \"42\""))]
#[x_kube(validation = Rule::new("!has(self.externalRef) || self.adoptionPolicy != 'Fail' || self.managementPolicy == 'ObserveOnly'")
    .message("externalRef needs adoptionPolicy: Match or Override, or managementPolicy: ObserveOnly"))]
#[x_kube(validation = Rule::new("has(self.deletionPolicy) || self.adoptionPolicy == 'Fail'")
    .message("write deletionPolicy out (Delete or Retain) when adoptionPolicy is not Fail"))]
pub struct IntegrationInstanceSpec {
    /// The provider: SkuIo. It must equal the account's.
    #[x_kube(validation = Rule::new("self == oldSelf").message("provider is immutable: make another IntegrationInstance"))]
    #[x_kube(validation = Rule::new("self == 'SkuIo'").message("an IntegrationInstance is of SkuIo"))]
    pub provider: Provider,
    /// The account that the instance is made in.
    #[x_kube(validation = Rule::new("self == oldSelf").message("accountRef is immutable: make another IntegrationInstance"))]
    pub account_ref: AccountRef,
    /// The sales channel.
    #[x_kube(validation = Rule::new("self == oldSelf").message("platform is immutable: make another IntegrationInstance"))]
    pub platform: SalesChannel,
    /// The instance's name, unique among all integration instances of the tenant.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("name is immutable: make another IntegrationInstance"))]
    #[x_kube(validation = Rule::new("self.matches('^[^\\\\s\\\\p{Z}\\\\p{Cc}\\\\p{Cf}]([^\\\\p{Cc}]*[^\\\\s\\\\p{Z}\\\\p{Cc}\\\\p{Cf}])?$')")
        .message("name must not begin or end with white space, nor hold control characters"))]
    pub name: String,
    /// SKU.io's id of the integration's type; needed to create. A change needs a new instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub integration_id: Option<i64>,
    /// The store's access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token_secret_ref: Option<SecretKeyRef>,
    /// Settings, named as in SKU.io's `integration_settings`. What is absent is left as it is at SKU.io; `null` unsets, and
    /// needs `kubectl apply --server-side`, since client-side apply drops every `null`.
    #[serde(default)]
    pub settings: InstanceSettings,
    /// Whether SKU.io syncs by itself; left as it is where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic_sync: Option<bool>,
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

/// A sales channel, in the spelling of SKU.io's paths.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum SalesChannel {
    /// BigCommerce.
    #[serde(rename = "big-commerce")]
    #[strum(serialize = "big-commerce")]
    BigCommerce,
}

/// Names one key of a Secret in the object's own namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// A value, or `null`: unset at the provider.
///
/// Both differ from an absent field, which leaves the provider's value alone.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct Nullable<T>(pub Option<T>);

/// A field that is there, be it null: what is absent never comes here.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<Nullable<T>>, D::Error> {
    Option::<T>::deserialize(d).map(|value| Some(Nullable(value)))
}

/// The title of schemas that keep `null` apart from nothing; [`crate::api::crd`] reads it and takes it off.
pub(in crate::api) const KEEPS_NULL: &str = "keeps null";

fn nullable_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 1, "title": KEEPS_NULL})
}

fn nullable_percentage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "number", "minimum": 0, "maximum": 100, "title": KEEPS_NULL})
}

fn nullable_period(_: &mut SchemaGenerator) -> Schema {
    // Not an enum: the API server takes null for a value of none, even where null is listed.
    json_schema!({"type": "string", "maxLength": 7, "pattern": "^(daily|monthly|none)$", "title": KEEPS_NULL})
}

/// Settings of an instance: SKU.io's `integration_settings`, name by name. `null` unsets where SKU.io takes one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSettings {
    /// The store's hash: the part after `store-` in its permanent host, not a URL. Needed to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 4, max = 32), regex(pattern = r"^[a-z0-9]+$"))]
    pub store_hash: Option<String>,
    /// The first day whose orders are loaded. Needed to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub start_date: Option<String>,
    /// SKU.io's id of the store that the orders belong to. Needed to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub store_id: Option<i64>,
    /// Whether listings are linked to products of the same SKU. Needed to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_link_products: Option<bool>,
    /// Whether products are made for listings without one. Needed to create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_create_products: Option<bool>,
    /// Nominal code for sales.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_id")]
    pub sales_nominal_code_id: Option<Nullable<i64>>,
    /// Nominal code for the cost of goods sold.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_id")]
    pub cogs_nominal_code_id: Option<Nullable<i64>>,
    /// Nominal code for shipping revenue.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_id")]
    pub shipping_revenue_nominal_code_id: Option<Nullable<i64>>,
    /// Nominal code for shipping refunds.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_id")]
    pub shipping_refund_nominal_code_id: Option<Nullable<i64>>,
    /// Nominal code for sales returns and allowances.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_id")]
    pub sales_returns_allowances_nominal_code_id: Option<Nullable<i64>>,
    /// Whether invoices of sales orders go to accounting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_sales_order_invoices_to_accounting: Option<bool>,
    /// Whether sales credits go to accounting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_sales_credit_to_accounting: Option<bool>,
    /// The marketplace's cost in proforma figures, in percent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_percentage")]
    pub proforma_marketplace_cost_percentage: Option<Nullable<f64>>,
    /// The cost of payment in proforma figures, in percent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_percentage")]
    pub proforma_payment_cost_percentage: Option<Nullable<f64>>,
    /// How fulfilments of sales orders are put together for accounting.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_period")]
    pub batch_period_sales_order_fulfillments: Option<Nullable<String>>,
    /// How returns of customers are put together for accounting.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "nullable_period")]
    pub batch_period_customer_returns: Option<Nullable<String>>,
}
