//! `ProviderAccount`: one login at one provider, with its request budget and its guards.

use super::{references::LocalSecretRef, shared::Provider};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One login at one provider.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tradewind.dev",
    version = "v1alpha1",
    kind = "ProviderAccount",
    plural = "provideraccounts",
    namespaced,
    status = "ProviderAccountStatus",
    derive = "PartialEq",
    shortname = "pacct",
    category = "tradewind",
    doc = "One login at one provider: endpoint, API credentials, request budget, deletion guard.",
    selectable = ".spec.provider",
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.provider"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Identity", type_ = "string", priority = 1, json_path = ".status.identity"),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type=='Ready')].message"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.rutter) || self.provider == 'Rutter'")
    .message("spec.rutter belongs to provider Rutter: remove it, or set provider: Rutter"))]
#[x_kube(validation = Rule::new("!has(self.arcus) || self.provider == 'Arcus'")
    .message("spec.arcus belongs to provider Arcus: remove it, or set provider: Arcus"))]
#[x_kube(validation = Rule::new("has(self.skuIo) == (self.provider == 'SkuIo')")
    .message("spec.skuIo (with the tenant) is required for provider SkuIo and belongs to no other"))]
pub struct ProviderAccountSpec {
    /// The provider.
    #[x_kube(validation = Rule::new("self == oldSelf").message("provider is immutable: make another ProviderAccount"))]
    pub provider: Provider,
    /// The whole base URL, for Rutter with `/versioned`. It must match the operator's allow-list; the default follows
    /// from provider, environment and tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https?://[^\s?#@]+$"))]
    pub endpoint: Option<String>,
    /// Settings for provider Rutter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rutter: Option<RutterAccount>,
    /// Settings for provider Arcus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arcus: Option<ArcusAccount>,
    /// Settings for provider SkuIo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku_io: Option<SkuIoAccount>,
    /// The Secret with the login. Keys: Rutter `client_id` and `client_secret`; Arcus `api_key`; SkuIo `token`.
    pub credentials_secret_ref: LocalSecretRef,
    /// The request budget that all objects of this account share.
    #[serde(default)]
    pub limits: Limits,
    /// Whether objects may adopt records: gates `adoptionPolicy` Match and Override, `externalRef`, ObserveOnly.
    #[serde(default)]
    pub adoption: AdoptionGate,
    /// Holds deletions at the provider beyond a number in a window of time. Off unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_guard: Option<DeletionGuard>,
}

/// Rutter's environment and API version.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RutterAccount {
    /// The environment that the key pair belongs to.
    #[serde(default)]
    pub environment: RutterEnvironment,
    /// Value of the `X-Rutter-Version` header; default `2024-08-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub version: Option<String>,
}

/// An environment of Rutter.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RutterEnvironment {
    /// `production.rutterapi.com`.
    #[default]
    Production,
    /// `sandbox.rutterapi.com`.
    Sandbox,
}

/// Arcus' API version.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ArcusAccount {
    /// Value of the `Arcus-Version` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub version: Option<String>,
}

/// SKU.io's tenant.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SkuIoAccount {
    /// The tenant: its host name without `.sku.io`. It may hold dots.
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub tenant: String,
}

/// A request budget.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Requests in any minute, all objects together.
    #[serde(default = "Limits::default_requests_per_minute")]
    #[schemars(range(min = 1, max = 30000))]
    pub requests_per_minute: i32,
    /// Requests under way at the same time.
    #[serde(default = "Limits::default_max_in_flight")]
    #[schemars(range(min = 1, max = 64))]
    pub max_in_flight: i32,
}

impl Limits {
    fn default_requests_per_minute() -> i32 {
        1200
    }
    fn default_max_in_flight() -> i32 {
        8
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_minute: Self::default_requests_per_minute(), max_in_flight: Self::default_max_in_flight() }
    }
}

/// Whether objects of an account may adopt records.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdoptionGate {
    /// They may, by their own policy.
    #[default]
    Allowed,
    /// They may not.
    Forbidden,
}

/// Holds deletions beyond a number in a window of time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeletionGuard {
    /// Deletions that pass in one window.
    #[schemars(range(min = 0, max = 100_000))]
    pub max_deletions: i32,
    /// Length of the window, such as `1h`.
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(h|m|s))+$"))]
    pub window: String,
}

fn minus_one() -> i64 {
    -1
}

/// The status of an account.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {
    "observedGeneration": -1,
    "conditions": [{
        "type": "Ready", "status": "Unknown", "reason": "Progressing", "message": "Waiting for the operator",
        "lastTransitionTime": "1970-01-01T00:00:00Z"
    }]
}))]
pub struct ProviderAccountStatus {
    /// The generation that the conditions speak of.
    #[serde(default = "minus_one")]
    pub observed_generation: i64,
    /// What is true of the account now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Who the account is at the provider (Rutter: `orgId`; SKU.io: `tenant_id`), once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub identity: Option<String>,
    /// Fingerprint of the login that the identity was learned with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub login: Option<String>,
    /// The Secret that carries our finalizer while the account is in use; of a shared account with its namespace, as in
    /// `platform/rutter-api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317))]
    pub held_secret: Option<String>,
    /// The last handled value of the reconcile annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
    /// The window of the deletion guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<Deletions>,
}

/// The window of the deletion guard.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Deletions {
    /// When the window began.
    pub window_start: Time,
    /// Deletions in it so far.
    pub count: i64,
}
