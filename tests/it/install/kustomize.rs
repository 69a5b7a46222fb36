//! The kustomize base on a real control plane: taken as it is, with the rights that its operator needs, and gone without the CRDs, without
//! its namespace and without anything that is declared there.

use std::path::Path;

use tradewind_cluster::Cluster;

use super::render::copy;
use super::{objects, text};
use crate::cluster::{control_plane, control_plane_of_its_own};
use crate::docs::{blocks, read};
use crate::world::{connection, store};

/// What `kubectl apply -k` is given.
const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");

#[tokio::test]
async fn the_base_is_taken_without_a_warning_and_binds_the_rights_to_its_operator() {
    let cluster = control_plane_of_its_own().await;
    let kubectl = async |args: &[&str]| kubectl(&cluster, args).await;
    for command in of_the_namespace() {
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        assert_eq!(kubectl(&words).await[1], "", "{command}");
    }
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

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it/kustomize");
    std::fs::create_dir_all(&folder).expect("a folder");
    let declared = folder.join("connection.yaml");
    std::fs::write(&declared, connection("acme", &store("kustomize"), "")).expect("a manifest");
    let declared = declared.to_str().expect("a path");
    let [made, warned] = kubectl(&["create", "--namespace=tradewind", "--filename", declared]).await;
    assert!(made.contains("/acme created") && warned.is_empty(), "{made} {warned}");

    let [gone, warned] = kubectl(&["delete", "--wait=false", "--kustomize", BASE]).await;
    assert!(gone.contains("deployment.apps \"tradewind\" deleted") && warned.is_empty(), "{gone} {warned}");
    for left in ["namespace/tradewind", "connections.tradewind.dev/acme"] {
        let since = "--output=jsonpath={.metadata.name} {.metadata.deletionTimestamp}";
        let [found, refused] = kubectl(&["get", left, "--namespace=tradewind", since]).await;
        let name = left.rsplit('/').next().expect("a name");
        assert_eq!([found.as_str(), refused.as_str()], [name, ""], "{left} is being deleted, or gone");
    }
    let [crds, _] = kubectl(&["get", "crd", "connections.tradewind.dev", "--output=name"]).await;
    assert_eq!(crds, "customresourcedefinition.apiextensions.k8s.io/connections.tradewind.dev");
}

/// What kubectl says: on standard output, and on standard error.
async fn kubectl(cluster: &Cluster, args: &[&str]) -> [String; 2] {
    let output = cluster.kubectl().args(args).output().await.expect("kubectl");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text").trim().to_owned())
}

/// The commands of the page that make the namespace, which the base does not.
fn of_the_namespace() -> Vec<String> {
    let page = read("install.md");
    let (_, section) = page.split_once("\n## With kustomize\n").expect("a section");
    let block = blocks(section, "sh").into_iter().next().expect("commands");
    let mut commands: Vec<String> =
        block.lines().map(|line| line.split("  #").next().unwrap_or(line).trim().to_owned()).collect();
    let rest = commands.split_off(2);
    assert_eq!(rest, ["kubectl apply --server-side -f crds/", "kubectl apply -k config/"]);
    assert!(commands.iter().all(|command| command.starts_with("kubectl ")), "{commands:?}");
    commands
}

/// A Namespace among them would be renamed, too, and would take everything of the team along when the overlay is deleted.
#[tokio::test]
async fn an_overlay_for_another_namespace_has_nothing_but_the_operator_in_it() {
    let overlay = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it/overlay");
    copy(Path::new(BASE), &overlay.join("base"));
    let kustomization =
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: shop\nresources: [base]\n";
    std::fs::write(overlay.join("kustomization.yaml"), kustomization).expect("an overlay");
    let cluster = control_plane().await;
    let [built, warned] = kubectl(cluster, &["kustomize", overlay.to_str().expect("a path")]).await;
    assert_eq!(warned, "");
    let objects = objects(&built);
    let mut kinds: Vec<_> = objects.iter().map(|object| text(object, "/kind")).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["Deployment", "Role", "RoleBinding", "ServiceAccount"]);
    assert!(objects.iter().all(|object| text(object, "/metadata/namespace") == "shop"), "{built}");
}
