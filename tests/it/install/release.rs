//! What a tag releases, by the script that packs it: a chart that installs the image of the same release.

use std::path::Path;

use rstest::rstest;
use serde_json::json;
use tokio::process::Command;
use tradewind_cluster::Tool;

use super::{helm, objects, the, tool};
use crate::cluster::Said;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Packs a release with this image into a folder; of the bill of materials only that it is there.
async fn pack(image: &str, folder: &Path) -> Said {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut script = Command::new(root.join("tests/release/files.sh"));
    script.args([VERSION, image, env!("CARGO_BIN_EXE_tradewind")]).arg(root.join("Cargo.lock")).arg(folder);
    let output = script.env("HELM", tool(Tool::Helm).await).output().await.expect("a script");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test]
async fn the_packed_chart_installs_the_image_of_its_release() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release/packed");
    let image = format!("ghcr.io/acme/tradewind:{VERSION}");
    let said = pack(&image, &folder).await;
    assert!(said.ok, "{said:?}");
    for file in ["crds.yaml", "tradewind-linux-", "tradewind.cdx.json", &format!("tradewind-{VERSION}.tgz")] {
        assert!(said.out.contains(&format!("  {file}")), "{file} has no checksum: {}", said.out);
    }
    let chart = folder.join(format!("tradewind-{VERSION}.tgz"));
    let chart = chart.to_str().expect("a path");
    let rendered = helm(&["template", "tradewind", chart], "").await;
    assert!(rendered.ok && rendered.err.is_empty(), "{rendered:?}");
    let objects = objects(&rendered.out);
    let containers = &the(&objects, "Deployment")["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["image"], image);
    // The image is for the kind of machine that made it: a pod on another node would end with `exec format error`.
    let arch = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    let selector = &the(&objects, "Deployment")["spec"]["template"]["spec"]["nodeSelector"];
    assert_eq!(selector, &json!({"kubernetes.io/arch": arch}));
    let readable = helm(&["show", "all", chart], "").await.out;
    assert!(readable.contains("helm install") && !readable.contains("registry.example.com"), "{readable}");
    // With the notes: they must not ask for an image that is there.
    let notes = helm(&["install", "tradewind", chart, "--dry-run=client"], "").await;
    assert!(notes.ok && notes.out.contains("Is it ready?") && !notes.out.contains("placeholder"), "{notes:?}");
}

#[rstest]
#[case::the_placeholder("registry.example.com/tradewind:", VERSION, "is the placeholder")]
#[case::another_version("ghcr.io/acme/tradewind:", "0.0.9", "not one of")]
#[tokio::test]
async fn a_chart_that_would_install_something_else_is_not_packed(
    #[case] name: &str,
    #[case] tag: &str,
    #[case] why: &str,
) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release/refused");
    let said = pack(&format!("{name}{tag}"), &folder).await;
    assert!(!said.ok && said.err.contains(why) && !folder.exists(), "{said:?}");
}
