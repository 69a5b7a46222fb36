//! `docs/upgrades.md`, as far as the chart, the CRDs and the tests themselves can say that it is true. The way there and back is carried
//! out in `crate::install`.

use super::read;
use crate::install::{CHART, helm, objects};
use crate::manifests::crds;

/// The version of a module that a `go.mod` asks for.
fn required<'a>(module: &'a str, name: &str) -> &'a str {
    let begin = format!("\t{name} v");
    let line = module.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_else(|| panic!("no {name}"));
    line.split(' ').next().expect("a version")
}

#[test]
fn the_versions_on_the_page_are_those_that_are_tested() {
    let kubernetes = required(include_str!("../../controlplane/go.mod"), "k8s.io/kubernetes");
    let helm = required(include_str!("../../tools/helm/go.mod"), "helm.sh/helm/v4");
    let helm_3 = required(include_str!("../../tools/helm3/go.mod"), "helm.sh/helm/v3");
    let told =
        format!("The tests run on one version, {kubernetes}, with Helm {helm} and, install to uninstall, {helm_3},");
    assert!(read("upgrades.md").contains(&told), "{told}");
}

#[tokio::test]
async fn the_chart_refuses_what_is_older_than_the_page_says() {
    assert!(read("upgrades.md").contains("refuses Kubernetes older than 1.33."));
    for (version, taken) in [("1.32.9", false), ("1.33.0", true)] {
        let said = helm(&["template", "tradewind", CHART, "--kube-version", version], "").await;
        assert_eq!(said.ok, taken, "{version}: {}", said.err);
    }
}

#[test]
fn one_version_is_served_and_stored_and_nothing_is_converted() {
    for crd in crds() {
        let versions = crd.manifest["spec"]["versions"].as_array().expect("versions");
        assert_eq!((versions.len(), &versions[0]["name"]), (1, &"v1alpha1".into()), "{}", crd.kind());
        assert!(versions[0]["served"] == true && versions[0]["storage"] == true, "{}", crd.kind());
        assert!(crd.manifest["spec"].get("conversion").is_none(), "{}", crd.kind());
    }
}

/// Helm prints objects in the order in which it applies them.
#[tokio::test]
async fn helm_applies_the_crds_before_the_operator() {
    let said = helm(&["template", "tradewind", CHART], "").await;
    assert!(said.ok, "{said:?}");
    let kinds: Vec<String> = objects(&said.out).iter().map(|object| object["kind"].to_string()).collect();
    let crds = kinds.iter().rposition(|kind| kind == "\"CustomResourceDefinition\"");
    let operator = kinds.iter().position(|kind| kind == "\"Deployment\"");
    assert!(crds.is_some() && operator.is_some() && crds < operator, "{kinds:?}");
}
