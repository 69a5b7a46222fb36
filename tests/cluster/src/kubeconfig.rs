//! Kubeconfigs: for the administrator, the controllers, and service accounts.
//!
//! It owns their form. It must never leave a certificate unchecked (`insecure-skip-tls-verify`): the operator's TLS is under test too.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::error::Doing;
use crate::material::write_private;
use crate::{Error, Result};

/// The `cluster` member of a kubeconfig.
pub(crate) fn cluster(server: &str, ca: &str) -> Value {
    json!({"server": server, "certificate-authority-data": STANDARD.encode(ca)})
}

/// A kubeconfig with one context. JSON is YAML, so every reader of kubeconfigs takes it.
pub(crate) fn of_token(cluster: &Value, name: &str, token: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tradewind-test", "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "tradewind-test", "user": name, "namespace": "default"}}],
        "current-context": name,
    });
    format!("{config:#}\n")
}

/// Writes a kubeconfig that acts as a service account, with a token from the `TokenRequest` API.
pub(crate) async fn for_service_account(
    kubectl: impl Fn() -> Command,
    dir: &Path,
    namespace: &str,
    name: &str,
) -> Result<PathBuf> {
    let token =
        answer(kubectl().args(["create", "token", name, "--namespace", namespace, "--duration", "24h"])).await?;
    let view = answer(kubectl().args(["config", "view", "--minify", "--flatten", "--raw", "--output", "json"])).await?;
    let view: Value = serde_json::from_str(&view)
        .map_err(|source| Error::Json { what: "the answer of `kubectl config view`".to_owned(), source })?;
    let cluster = view.pointer("/clusters/0/cluster").cloned().unwrap_or_default();
    let folder = dir.join("kubeconfigs");
    std::fs::create_dir_all(&folder).doing("creating", &folder)?;
    // No name in Kubernetes has an underscore, so no two accounts share a file.
    let path = folder.join(format!("{namespace}_{name}"));
    write_private(&path, &of_token(&cluster, name, token.trim()))?;
    Ok(path)
}

/// What a kubectl command printed.
async fn answer(command: &mut Command) -> Result<String> {
    let output = command.output().await.doing("running", Path::new("kubectl"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let args: Vec<_> = command.as_std().get_args().map(|arg| arg.to_string_lossy()).collect();
    Err(Error::Kubectl { args: args.join(" "), stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}
