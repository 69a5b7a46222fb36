//! A controller as one writes it in an afternoon: no intent, no look before the create, the id recorded after it.
//!
//! Owns nothing that anybody should use. It is there to be killed by `make crash`, which must see it make duplicates: or that run
//! proves nothing about the operator.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt};
use reqwest::{Client as Http, Method, Response, StatusCode};
use serde_json::{Value, json};
use tradewind::api::v1alpha1::Connection;

struct Naive {
    client: Client,
    http: Http,
    endpoint: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct Failed(#[from] anyhow::Error);

impl Naive {
    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Response> {
        let request = self.http.request(method, format!("{}/versioned/connections/{path}", self.endpoint));
        let request = request.basic_auth("test-client-id", Some("test-client-secret"));
        Ok(request.header("X-Rutter-Version", "2024-08-31").json(body).send().await?)
    }

    async fn keep(&self, api: &Api<Connection>, object: &Connection) -> Result<Action> {
        if object.status.as_ref().is_some_and(|status| status.external_id.is_some()) {
            return Ok(Action::await_change());
        }
        let rutter = serde_json::to_value(&object.spec.rutter)?;
        let store = rutter.pointer("/parameters/store_url").context("a store")?;
        let body =
            json!({"platform": object.spec.platform, "store_url": store, "oauth_access_token": "test-store-token"});
        let made = self.ask(Method::POST, "create", &body).await?.error_for_status()?.json::<Value>().await?;
        let ready = json!({"type": "Ready", "status": "True", "reason": "Succeeded", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({"status": {"externalId": made.pointer("/connection/id"), "conditions": [ready],
            "observedGeneration": object.metadata.generation}});
        api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(Action::await_change())
    }

    async fn clean(&self, object: &Connection) -> Result<Action> {
        if let Some(id) = object.status.as_ref().and_then(|status| status.external_id.as_ref()) {
            let answer = self.ask(Method::DELETE, id, &json!({})).await?;
            // Gone is gone.
            if answer.status() != StatusCode::NOT_FOUND {
                answer.error_for_status()?;
            }
        }
        Ok(Action::await_change())
    }
}

async fn reconcile(
    object: Arc<Connection>,
    naive: Arc<Naive>,
) -> Result<Action, kube::runtime::finalizer::Error<Failed>> {
    let api = Api::namespaced(naive.client.clone(), &object.namespace().unwrap_or_default());
    let done = |event| async {
        Ok(match event {
            Event::Apply(object) => naive.keep(&api, &object).await?,
            Event::Cleanup(object) => naive.clean(&object).await?,
        })
    };
    finalizer(&api, "tradewind.dev/connection", object, done).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut args = std::env::args().skip(1);
    let (namespace, endpoint) = (args.next().context("a namespace")?, args.next().context("an endpoint")?);
    let client = Client::try_default().await?;
    let naive = Naive { client: client.clone(), http: Http::builder().no_proxy().build()?, endpoint };
    Controller::new(Api::<Connection>::namespaced(client, &namespace), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(1)), Arc::new(naive))
        .for_each(|_| async {})
        .await;
    Ok(())
}
