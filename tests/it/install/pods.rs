//! Pod Security: the pod of every combination of values is one that a namespace takes which enforces "restricted".
//!
//! No pod is made: the API server is asked whether it would admit one, and what it would warn of.

use serde_json::{Value, json};

use super::life::pod;
use super::render::CASES;
use super::{rendered, text, the};
use crate::cluster::{HANG, Sandbox};

/// Lets the namespace of a sandbox enforce Pod Security "restricted", and warn of what is less.
pub(super) async fn restrict(sandbox: &Sandbox) {
    let levels = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
    let labelled = sandbox.kubectl(&["label", "namespace", sandbox.namespace(), &levels[0], &levels[1]]).await;
    assert!(labelled.ok, "{labelled:?}");
}

/// The pod that these values make.
async fn rendered_pod(sandbox: &Sandbox, values: &str) -> Value {
    pod(the(&rendered(sandbox.namespace(), values).await, "Deployment"), "as-rendered")
}

/// What the API server says of a pod: its warnings, or why it is refused.
async fn admitted(sandbox: &Sandbox, pod: &Value) -> Result<String, String> {
    // Without its account a pod is refused whatever it is.
    let account = json!({"name": text(pod, "/spec/serviceAccountName")});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account});
    sandbox.apply(&account.to_string()).await;
    let said = sandbox.kubectl_with(&["create", "--dry-run=server", "--filename=-"], &pod.to_string()).await;
    if said.ok { Ok(said.err) } else { Err(said.err) }
}

#[tokio::test]
async fn the_pods_of_all_values_are_admitted_under_restricted_without_a_warning() {
    let sandbox = Sandbox::new("restricted").await;
    restrict(&sandbox).await;
    // And would it refuse one? The admission follows labels by a watch of its own.
    let less = rendered_pod(&sandbox, "securityContext: {allowPrivilegeEscalation: true}").await;
    let refused = async {
        loop {
            if let Err(why) = admitted(&sandbox, &less).await {
                break why;
            }
        }
    };
    let why = tokio::time::timeout(HANG, refused).await.expect("a refusal");
    assert!(why.contains("violates PodSecurity"), "{why}");

    for (name, values) in CASES {
        let pod = rendered_pod(&sandbox, values).await;
        assert_eq!(admitted(&sandbox, &pod).await, Ok(String::new()), "{name}");
    }
}
