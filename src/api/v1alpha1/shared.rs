//! What the kinds of `v1alpha1` share: policies, and the status of a managed object.
//!
//! Every optional field skips serialisation when unset: the API server refuses an explicit null for enums.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A provider that Tradewind knows.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
pub enum Provider {
    /// Rutter, the commerce and accounting aggregator.
    Rutter,
    /// Arcus ERP.
    Arcus,
    /// SKU.io.
    SkuIo,
}

/// The value of one non-secret parameter.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ParameterValue(#[schemars(length(max = 1024))] pub String);

/// Whether a record that somebody else made may be taken over.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdoptionPolicy {
    /// Never: a record with the same identity is reported as `AlreadyExists`.
    #[default]
    Fail,
    /// Only a record that already equals the declaration.
    Match,
    /// Any record with the same identity; differences are then corrected in place. At Rutter, where nothing can be, it
    /// equals Match.
    Override,
}

/// What happens at the provider when the object is deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The record is deleted.
    #[default]
    Delete,
    /// The record stays.
    Retain,
}

/// How much Tradewind may do at the provider.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManagementPolicy {
    /// Create, update and delete.
    #[default]
    Full,
    /// Only look, never write at the provider.
    ObserveOnly,
}

/// What to do about a change that the provider cannot apply in place.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplacementPolicy {
    /// Report `ReplacementRequired` and change nothing.
    #[default]
    Never,
    /// Delete the record and create it anew.
    Recreate,
}

/// What to do when the record vanished at the provider.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExternalLossPolicy {
    /// Report `ExternalNotFound` and change nothing.
    #[default]
    Halt,
    /// Create it anew.
    Recreate,
}

/// How often drift is looked for where nothing is said.
pub(super) fn default_interval() -> String {
    "10m".into()
}

fn minus_one() -> i64 {
    -1
}

/// The status of a managed object.
///
/// The schema default makes every new object say "in progress" before the operator has looked; it costs no write.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {
    "observedGeneration": -1,
    "conditions": [{
        "type": "Ready", "status": "Unknown", "reason": "Progressing", "message": "Waiting for the operator",
        "lastTransitionTime": "1970-01-01T00:00:00Z"
    }]
}))]
pub struct ManagedStatus {
    /// The generation that the conditions speak of.
    #[serde(default = "minus_one")]
    pub observed_generation: i64,
    /// What is true of the object now; the types are listed in `docs/conditions.md`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The provider's id of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub external_id: Option<String>,
    /// The id was only observed, never managed (`managementPolicy: ObserveOnly`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observed_only: bool,
    /// Identity of the account that the record was made in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub account: Option<String>,
    /// The platform as the provider names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub platform: Option<String>,
    /// The store's name at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub store_name: Option<String>,
    /// The store's domain at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub store_domain: Option<String>,
    /// How the record came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation: Option<CreationStatus>,
    /// A person's pending authorization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<AuthorizationStatus>,
    /// The non-secret fields that the record was made with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["path".into()]))]
    pub applied_fields: Vec<AppliedField>,
    /// The version of the store's Secret that the provider was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_credentials: Option<AppliedCredentials>,
    /// The fields that differ at the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 256)))]
    pub drifted_fields: Vec<String>,
    /// The last refresh of each entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshStatus>,
    /// When the provider last finished a sync; written only with another change, or hourly at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// The provider's own word for how the last sync went (Arcus); written like `lastSyncTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub sync_status: Option<String>,
    /// The provider's own words for what went wrong in the last sync (Arcus); written like `lastSyncTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub sync_error: Option<String>,
    /// Whether the provider holds credentials of the record (Arcus).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_credentials: Option<bool>,
    /// Whether the provider holds a webhook secret of the record (Arcus).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_webhook_secret: Option<bool>,
    /// The last handled value of the reconcile annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
    /// The last write at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_action: Option<LastAction>,
}

/// How a record came about, and what is still open.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CreationStatus {
    /// The last attempt to create, settled or not; the twin of the annotation `tradewind.dev/create-intent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<StoredIntent>,
    /// The highest attempt whose outcome is known.
    #[serde(default)]
    pub settled_attempt: i64,
    /// The natural key that the recorded id was made or adopted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub key: Option<String>,
    /// A create that the provider refused: not sent again before something changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// This record is being replaced: its loss is not a surprise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub replacing: Option<String>,
    /// The provider gave the record credentials back, in an account that others share: they may be theirs, and a person
    /// has yet to say that they are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// The status was lost while the attempt was open, or after it: nobody can tell what has been loaded since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
    /// Records that may be this object's, for a person to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 256)))]
    pub candidates: Vec<String>,
}

/// One attempt to create, stored before the call.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StoredIntent {
    /// UID of the object that the attempt is for.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Number of the attempt; it only grows.
    pub attempt: i64,
    /// Unique for each attempt; the idempotency key of the call.
    #[schemars(length(max = 64))]
    pub nonce: String,
    /// When the attempt was made, by the provider's clock.
    pub at: Time,
    /// The natural key of the record, where the platform has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub key: Option<String>,
    /// Identity of the account.
    #[schemars(length(max = 256))]
    pub account: String,
}

/// A create that the provider refused.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Generation of the object that was refused.
    pub generation: i64,
    /// Why, in the words of the conditions.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What the condition said.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// The credentials that were refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AppliedCredentials>,
    /// When it may be sent again as it is; absent = only after a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
}

/// A version of a Secret; never its value.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AppliedCredentials {
    /// UID of the Secret.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Its resourceVersion.
    #[schemars(length(max = 64))]
    pub resource_version: String,
    /// The key of it that they were read from, where the declaration names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub key: Option<String>,
    /// What the store said to them, where they took the place of others; absent for those that the record was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// What the store said to new credentials.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Nothing yet: it could not be asked.
    Unverified,
    /// It accepts them.
    Verified,
    /// It refuses them.
    Rejected,
}

/// A non-secret field that the record was made with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AppliedField {
    /// Path of the field in `spec`.
    #[schemars(length(max = 256))]
    pub path: String,
    /// Its value then.
    #[schemars(length(max = 1024))]
    pub value: String,
}

/// An authorization that a person has to complete.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationStatus {
    /// When the link ends to work; the link itself stands in the connection Secret only.
    pub expires_at: Time,
    /// The attempt that the link belongs to.
    pub attempt: i64,
}

/// The last refresh of each entity.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RefreshStatus {
    /// Products.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<RefreshState>,
    /// Orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<RefreshState>,
}

/// One refresh.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RefreshState {
    /// The token that asked for it; `initial` for the load that belongs to the creation.
    #[schemars(length(max = 256))]
    pub token: String,
    /// How far it has come.
    pub state: RefreshPhase,
    /// When the state was reached.
    pub at: Time,
    /// The provider's id of the job, where it tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub job: Option<String>,
    /// The tokens of the refreshes before it, the last one first: none of them asks again, also where a manifest or a tool sets the
    /// annotation back to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 256)))]
    pub earlier: Vec<String>,
}

/// How far a refresh has come.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum RefreshPhase {
    /// It is to be asked for once the record takes it.
    Due,
    /// It is about to be asked for: written before the call, so that it is never asked for twice.
    Requested,
    /// The provider took it.
    Accepted,
    /// The provider says that it is done.
    Completed,
    /// The provider says that it failed, or refused it.
    Failed,
    /// Nobody can tell whether it was asked for. A new token asks again.
    Unknown,
    /// The token was there when the record was made or adopted: nothing is asked for.
    Handled,
    /// The provider has no refresh on request.
    Unsupported,
}

/// The last write at the provider.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LastAction {
    /// What was done: `Created`, `Adopted`, `Updated` or `Refreshed`.
    #[schemars(length(max = 64))]
    pub cause: String,
    /// The fields it was about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 256)))]
    pub fields: Vec<String>,
    /// When.
    pub at: Time,
}
