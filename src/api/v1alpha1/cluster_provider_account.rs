//! `ClusterProviderAccount`: one login at one provider that several namespaces share, by leave of whoever runs the cluster.

use super::{
    provider_account::{
        AdoptionGate, ArcusAccount, DeletionGuard, Limits, ProviderAccountSpec, ProviderAccountStatus, RutterAccount,
        SkuIoAccount,
    },
    references::{LocalSecretRef, SecretRef},
    shared::Provider,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One login at one provider, shared by namespaces.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tradewind.dev",
    version = "v1alpha1",
    kind = "ClusterProviderAccount",
    plural = "clusterprovideraccounts",
    status = "ProviderAccountStatus",
    derive = "PartialEq",
    shortname = "cpacct",
    category = "tradewind",
    doc = "One login at one provider that several namespaces share: endpoint, API credentials, who may use it, request budget, deletion guard. Served by an operator of the whole cluster only.",
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
pub struct ClusterProviderAccountSpec {
    /// The provider.
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("provider is immutable: make another ClusterProviderAccount"))]
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
    /// The Secret with the login, in a namespace that only those may read who run the account. Keys: Rutter `client_id`
    /// and `client_secret`; Arcus `api_key`; SkuIo `token`.
    pub credentials_secret_ref: SecretRef,
    /// The namespaces whose objects may use the account. None where nothing is said.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// The request budget that all objects of this account share.
    #[serde(default)]
    pub limits: Limits,
    /// Whether objects may adopt records: gates `adoptionPolicy` Match and Override, `externalRef`, ObserveOnly. What one
    /// namespace made would otherwise be another's for the asking, so they may not unless it is said.
    #[serde(default = "forbidden")]
    pub adoption: AdoptionGate,
    /// Holds deletions at the provider beyond a number in a window of time. Off unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_guard: Option<DeletionGuard>,
}

fn forbidden() -> AdoptionGate {
    AdoptionGate::Forbidden
}

impl ClusterProviderAccountSpec {
    /// What it has in common with an account of one namespace: the namespace of the Secret, and who may use it, is not
    /// in it.
    #[must_use]
    pub fn account(&self) -> ProviderAccountSpec {
        ProviderAccountSpec {
            provider: self.provider,
            endpoint: self.endpoint.clone(),
            rutter: self.rutter.clone(),
            arcus: self.arcus.clone(),
            sku_io: self.sku_io.clone(),
            credentials_secret_ref: LocalSecretRef { name: self.credentials_secret_ref.name.clone() },
            limits: self.limits.clone(),
            adoption: self.adoption,
            deletion_guard: self.deletion_guard.clone(),
        }
    }
}

/// Namespaces, by name or by their labels: a namespace that fits either may use the account.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// Their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub names: Vec<String>,
    /// Their labels. An empty selector fits every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// A selector of labels, as Kubernetes has it: all of it must fit.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Labels that must have these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub match_labels: BTreeMap<String, LabelValue>,
    /// What else must be true of labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<LabelExpression>,
}

/// The value of a label.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct LabelValue(#[schemars(length(max = 63))] pub String);

/// One thing that must be true of a label.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)")
    .message("values belong to the operators In and NotIn, and are required there"))]
pub struct LabelExpression {
    /// The label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// What is asked of it.
    pub operator: LabelOperator,
    /// For `In` and `NotIn`: the values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// What can be asked of a label.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    /// It has one of the values.
    In,
    /// It has none of the values, or there is no such label.
    NotIn,
    /// There is such a label.
    Exists,
    /// There is no such label.
    DoesNotExist,
}

impl AllowedNamespaces {
    /// Whether a namespace with these labels may use the account.
    #[must_use]
    pub fn admit(&self, name: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        let by_labels = |selector: &NamespaceSelector| labels.is_some_and(|labels| selector.fits(labels));
        self.names.iter().any(|n| n == name) || self.selector.as_ref().is_some_and(by_labels)
    }
}

impl NamespaceSelector {
    fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        let expression = |e: &LabelExpression| {
            let value = labels.get(&e.key);
            let listed = value.is_some_and(|value| e.values.contains(value));
            match e.operator {
                LabelOperator::In => listed,
                LabelOperator::NotIn => !listed,
                LabelOperator::Exists => value.is_some(),
                LabelOperator::DoesNotExist => value.is_none(),
            }
        };
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(&value.0))
            && self.match_expressions.iter().all(expression)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::nothing_said(json!({}), false)]
    #[case::by_name(json!({"names": ["shop"]}), true)]
    #[case::by_another_name(json!({"names": ["shop-2", "sho"]}), false)]
    #[case::by_label(json!({"selector": {"matchLabels": {"team": "a"}}}), true)]
    #[case::by_another_value(json!({"selector": {"matchLabels": {"team": "b"}}}), false)]
    #[case::by_all_labels(json!({"selector": {"matchLabels": {"team": "a", "tier": "1"}}}), false)]
    #[case::empty_selector(json!({"selector": {}}), true)]
    #[case::either(json!({"names": ["other"], "selector": {"matchLabels": {"team": "a"}}}), true)]
    #[case::is_in(json!({"selector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["b", "a"]}]}}), true)]
    #[case::not_in(json!({"selector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}}), false)]
    #[case::not_in_without_label(json!({"selector": {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["a"]}]}}), true)]
    #[case::exists(json!({"selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}), true)]
    #[case::does_not_exist(json!({"selector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}), false)]
    fn a_namespace_is_admitted_by_name_or_labels(#[case] allowed: Value, #[case] admitted: bool) {
        let allowed: AllowedNamespaces = serde_json::from_value(allowed).expect("allowed namespaces");
        let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
        assert_eq!(allowed.admit("shop", Some(&labels)), admitted);
    }

    #[test]
    fn a_namespace_that_nobody_knows_has_no_labels() {
        let anybody: AllowedNamespaces = serde_json::from_value(json!({"selector": {}})).expect("allowed namespaces");
        assert!(!anybody.admit("shop", None));
    }
}
