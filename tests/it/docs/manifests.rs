//! The manifests on the pages: whoever copies one gets what the page promises, and no refusal.

use serde_json::Value;

use super::{blocks, pages, read};
use crate::cli::run_with;
use crate::install::{CHART, helm, objects, the};

/// What a document of ours begins with.
const OURS: &str = "apiVersion: tradewind.dev/";

#[test]
fn every_manifest_on_a_page_is_good() {
    let mut checked = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        let ours = |text: &str| text.lines().filter(|line| line.starts_with(OURS)).count();
        let blocks = blocks(&text, "yaml");
        let found: usize = blocks.iter().map(|yaml| ours(yaml)).sum();
        let all = text.lines().filter(|line| line.trim_start().starts_with(OURS)).count();
        assert_eq!(found, all, "{}: a manifest that stands in no block of YAML", page.display());
        for yaml in blocks.iter().filter(|yaml| ours(yaml) > 0) {
            let ran = run_with(&["validate", "-f", "-"], yaml);
            let valid = format!("{} valid, 0 invalid", ours(yaml));
            assert!(ran.code == Some(0) && ran.out.starts_with(&valid), "{}: {ran:?}\n{yaml}", page.display());
        }
        checked += found;
    }
    assert!(checked > 10, "{checked} manifests");
}

/// The values that the page gives to the chart by way of Flux and of Argo CD, each as one document.
fn values() -> Vec<Value> {
    let documents: Vec<Value> = blocks(&read("gitops.md"), "yaml").iter().flat_map(|yaml| objects(yaml)).collect();
    let at = |pointer: &str| documents.iter().filter_map(|one| one.pointer(pointer)).cloned().collect::<Vec<_>>();
    [at("/spec/values"), at("/spec/source/helm/valuesObject")].concat()
}

#[tokio::test]
async fn the_chart_takes_the_values_that_flux_and_argo_cd_hand_it() {
    let values = values();
    assert_eq!(values.len(), 2, "one of each: {values:?}");
    for mut values in values {
        let cluster = rendered(&values).await;
        let image = the(&cluster, "Deployment").pointer("/spec/template/spec/containers/0/image");
        let image = image.and_then(Value::as_str).expect("an image");
        assert!(image.starts_with("registry.example.com/tradewind:"), "{image}");
        assert!(has(&cluster, "ClusterRoleBinding"), "it may look at the whole cluster");
        // What the page says of one namespace instead.
        let scope = values.as_object_mut().and_then(|values| values.remove("scope"));
        assert_eq!(scope, Some("Cluster".into()));
        values["namespace"] = "shop".into();
        assert!(!has(&rendered(&values).await, "ClusterRoleBinding"), "it may look at one namespace");
    }
}

/// What the chart renders with these values; its schema refuses a value that it does not have.
async fn rendered(values: &Value) -> Vec<Value> {
    let args = ["template", "tradewind", CHART, "--namespace", "tradewind", "--values", "-"];
    let said = helm(&args, &values.to_string()).await;
    assert!(said.ok && said.err.is_empty(), "{values}: {said:?}");
    objects(&said.out)
}

fn has(objects: &[Value], kind: &str) -> bool {
    objects.iter().any(|object| object["kind"] == kind)
}
