//! Whether the CRDs in the cluster have every field of `status` that this operator keeps something in.
//!
//! The API server drops a field that a CRD does not have. What the operator keeps there would be lost with it: which
//! history was asked for already, what was sent last. So an operator does nothing before its CRDs are as new as it is.

use super::error::is_passing;
use crate::api::{
    GROUP,
    crd::{self, Crd},
    v1alpha1::Connection,
};
use kube::{Client, Resource};
use serde::Deserialize;
use std::{cell::LazyCell, collections::BTreeMap, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// How often the API server is asked: it publishes the schema of a CRD a moment after it has taken it.
const OFTEN: Duration = Duration::from_secs(2);
/// So many fields are named.
const NAMED: usize = 3;

/// Which fields a value may have; of a schema, the part that decides what the API server keeps.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    properties: BTreeMap<String, Fields>,
    items: Option<Box<Fields>>,
    #[serde(rename = "additionalProperties")]
    values: Option<Box<Fields>>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    keeps_all: bool,
}

/// What the API server publishes of a group and version.
#[derive(Deserialize)]
struct Published {
    components: Components,
}

#[derive(Deserialize)]
struct Components {
    /// By group, version and kind, as `com.example.v1.Kind`.
    schemas: BTreeMap<String, Fields>,
}

impl Fields {
    /// Adds the paths of the fields that this has and the other one does not.
    fn beyond(&self, other: &Self, path: &str, paths: &mut Vec<String>) {
        for (name, own) in &self.properties {
            let path = format!("{path}.{name}");
            match other.properties.get(name) {
                Some(others) => own.beyond(others, &path, paths),
                None if other.keeps_all => {}
                None => paths.push(path),
            }
        }
        for (own, others) in [(&self.items, &other.items), (&self.values, &other.values)] {
            if let (Some(own), Some(others)) = (own, others) {
                own.beyond(others, path, paths);
            }
        }
    }
}

/// Returns once no CRD in the cluster lacks a field, or nobody says. One that is not there at all is not older: its watch
/// says that, and waits for it.
pub(super) async fn are_as_new(client: &Client) {
    let kept = LazyCell::new(kept);
    let mut said = String::new();
    let mut often = interval(OFTEN);
    often.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        often.tick().await;
        let text = match published(client).await.map(|published| lacking(&kept, &published)) {
            Ok(lacking) if lacking.is_empty() => return,
            Ok(lacking) => older(&lacking),
            Err(kube::Error::Api(status)) if status.code == 404 => return,
            Err(error) if is_passing(&error) => {
                format!("the API server does not say which fields its CRDs have: {error}. Trying again")
            }
            Err(error) => {
                tracing::warn!("whether the CRDs are as new as this operator cannot be seen: {error}");
                return;
            }
        };
        // Once, as long as it stays the same.
        if text != said {
            tracing::warn!("{text}");
            said = text;
        }
    }
}

/// What the API server says that it keeps of our kinds. Everybody who has a login may read that.
async fn published(client: &Client) -> kube::Result<Published> {
    let path = format!("/openapi/v3/apis/{GROUP}/{}", Connection::version(&()));
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    serde_json::from_str(&client.request_text(request).await?).map_err(kube::Error::SerdeError)
}

/// The fields that this operator keeps something in, by kind.
fn kept() -> Vec<(String, Fields)> {
    let of = |Crd { manifest, .. }: Crd| {
        let kind = manifest.pointer("/spec/names/kind")?.as_str()?.to_owned();
        let mut all = Fields::deserialize(manifest.pointer("/spec/versions/0/schema/openAPIV3Schema")?).ok()?;
        all.properties.retain(|name, _| name == "status");
        Some((kind, all))
    };
    crd::all().unwrap_or_default().into_iter().filter_map(of).collect()
}

/// Which of them a published kind lacks.
fn lacking(kept: &[(String, Fields)], published: &Published) -> Vec<String> {
    let group = GROUP.split('.').rev().collect::<Vec<_>>().join(".");
    let version = Connection::version(&());
    let mut paths = vec![];
    for (kind, ours) in kept {
        if let Some(theirs) = published.components.schemas.get(&format!("{group}.{version}.{kind}")) {
            ours.beyond(theirs, kind, &mut paths);
        }
    }
    paths
}

fn older(lacking: &[String]) -> String {
    let named = lacking.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = lacking.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!(
        "the CRDs in the cluster are older than this operator, and what it keeps in {named}{more} would be lost: nothing is \
         done before they are as new. Apply those of this version: tradewind crds | kubectl apply --server-side -f -"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    /// What an API server publishes of our CRDs.
    fn today() -> Value {
        let schemas: serde_json::Map<String, Value> = crd::all()
            .expect("the CRDs")
            .into_iter()
            .map(|crd| {
                let kind = crd.manifest["spec"]["names"]["kind"].as_str().expect("a kind");
                let schema = crd.manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
                (format!("dev.tradewind.v1alpha1.{kind}"), schema)
            })
            .collect();
        json!({"components": {"schemas": schemas}})
    }

    fn lacking_of(published: &Value) -> Vec<String> {
        lacking(&kept(), &Published::deserialize(published).expect("a document"))
    }

    fn without(pointer: &str, field: &str) -> Vec<String> {
        let mut published = today();
        let properties = published.pointer_mut(pointer).and_then(Value::as_object_mut).expect("properties");
        assert!(properties.remove(field).is_some(), "{field} is there");
        lacking_of(&published)
    }

    #[test]
    fn the_crds_of_today_lack_nothing() {
        assert_eq!(lacking_of(&today()), Vec::<String>::new());
        assert_eq!(kept().len(), crd::all().expect("the CRDs").len(), "every kind has a status");
    }

    #[test]
    fn a_field_that_a_kind_lacks_is_named_with_the_way_to_it() {
        let status = "/components/schemas/dev.tradewind.v1alpha1.Connection/properties/status/properties";
        assert_eq!(without(status, "refresh"), ["Connection.status.refresh"]);
        let deeper = format!("{status}/conditions/items/properties");
        assert_eq!(without(&deeper, "observedGeneration"), ["Connection.status.conditions.observedGeneration"]);
        let all = "/components/schemas/dev.tradewind.v1alpha1.ProviderAccount/properties";
        assert_eq!(without(all, "status"), ["ProviderAccount.status"]);
    }

    #[test]
    fn what_is_declared_may_lack_a_field_and_a_kind_may_not_be_there() {
        let spec = "/components/schemas/dev.tradewind.v1alpha1.Connection/properties/spec/properties";
        assert_eq!(without(spec, "suspend"), Vec::<String>::new(), "people are told by kubectl");
        assert_eq!(without("/components/schemas", "dev.tradewind.v1alpha1.Connection"), Vec::<String>::new());
    }

    #[rstest]
    #[case::a_list_of_objects(json!({"items": {"properties": {"a": {}}}}), json!({"items": {}}), &["K.a"])]
    #[case::a_map_of_objects(
        json!({"additionalProperties": {"properties": {"a": {}}}}), json!({"additionalProperties": {}}), &["K.a"]
    )]
    #[case::what_keeps_all(
        json!({"properties": {"a": {"properties": {"b": {}}}}}),
        json!({"x-kubernetes-preserve-unknown-fields": true}),
        &[]
    )]
    #[case::more_than_is_asked_for(json!({"properties": {}}), json!({"properties": {"a": {}}}), &[])]
    fn what_a_schema_lacks_is_found_wherever_it_is(#[case] ours: Value, #[case] theirs: Value, #[case] lacks: &[&str]) {
        let fields = |schema: Value| serde_json::from_value::<Fields>(schema).expect("a schema");
        let mut paths = vec![];
        fields(ours).beyond(&fields(theirs), "K", &mut paths);
        assert_eq!(paths, lacks);
    }

    #[test]
    fn not_more_than_a_few_are_named() {
        let all: Vec<String> = (0..5).map(|n| format!("K status.f{n}")).collect();
        assert!(older(&all).contains("K status.f0, K status.f1, K status.f2 and 2 more would"));
        assert!(older(&all[..1]).contains("in K status.f0 would"));
    }
}
