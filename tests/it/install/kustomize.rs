//! The kustomize base on a real control plane: taken as it is, with the rights that its operator needs, and gone without the CRDs.

use crate::cluster::control_plane_of_its_own;

/// What `kubectl apply -k` is given.
const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");

#[tokio::test]
async fn the_base_is_taken_without_a_warning_and_binds_the_rights_to_its_operator() {
    let cluster = control_plane_of_its_own().await;
    let kubectl = async |args: &[&str]| {
        let output = cluster.kubectl().args(args).output().await.expect("kubectl");
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text").trim().to_owned())
    };
    let [applied, warned] = kubectl(&["apply", "--server-side", "--kustomize", BASE]).await;
    assert_eq!(warned, "");
    assert!(applied.contains("deployment.apps/tradewind serverside-applied"), "{applied}");
    let enforced = r"--output=jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}";
    assert_eq!(kubectl(&["get", "namespace", "tradewind", enforced]).await, ["restricted", ""]);

    let operator = ["--as=system:serviceaccount:tradewind:tradewind", "--namespace=tradewind"];
    for (args, may) in [
        (&["patch", "connections.tradewind.dev", "--subresource=status"][..], "yes"),
        (&["watch", "provideraccounts.tradewind.dev"], "yes"),
        (&["get", "secrets"], "yes"),
        (&["list", "secrets"], "no"),
        (&["delete", "connections.tradewind.dev"], "no"),
    ] {
        let [said, _] = kubectl(&[&["auth", "can-i"], args, &operator].concat()).await;
        assert_eq!(said, may, "{args:?}");
    }

    let [gone, warned] = kubectl(&["delete", "--wait=false", "--kustomize", BASE]).await;
    assert!(gone.contains("namespace \"tradewind\" deleted") && warned.is_empty(), "{gone} {warned}");
    let [crds, _] = kubectl(&["get", "crd", "connections.tradewind.dev", "--output=name"]).await;
    assert_eq!(crds, "customresourcedefinition.apiextensions.k8s.io/connections.tradewind.dev");
}
