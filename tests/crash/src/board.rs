//! What the API server shows of the objects of one namespace, kept up to date by watches.
//!
//! Owns that picture. It must never write.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tradewind::api::v1alpha1::{Connection, IntegrationInstance, ProviderAccount};

/// An object as it was shown last.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Counts changes of its spec.
    pub generation: i64,
    /// Somebody has deleted it, and it is still there.
    pub deleting: bool,
    /// Its status.
    pub status: Value,
}

impl Seen {
    /// Status and reason of a condition.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<(&str, &str)> {
        let all = self.status.get("conditions")?.as_array()?;
        let found = all.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))?;
        Some((found.get("status")?.as_str()?, found.get("reason")?.as_str()?))
    }

    /// Ready, with all that it says about its present generation, and its history not known to be loading still.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.deleting
            && self.status.get("observedGeneration").and_then(Value::as_i64) == Some(self.generation)
            && self.condition("Ready").is_some_and(|(status, _)| status == "True")
            && self.condition("InitialRefreshComplete").is_none_or(|(status, _)| status != "False")
    }

    /// Why it is not ready, as it says itself.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.condition("Ready").map_or("", |(_, reason)| reason)
    }

    /// The id that it records.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.status.get("externalId")?.as_str()
    }

    /// The last refresh of products or orders: its token, and how far it is.
    #[must_use]
    pub fn refresh(&self, entity: &str) -> Option<(&str, &str)> {
        let state = self.status.get("refresh")?.get(entity)?;
        Some((state.get("token")?.as_str()?, state.get("state")?.as_str()?))
    }
}

/// Objects by kind and name, such as `Connection/acme`.
pub type Picture = BTreeMap<String, Seen>;

/// See the module.
pub struct Board {
    picture: watch::Receiver<Picture>,
    watches: Vec<JoinHandle<()>>,
}

impl Board {
    /// Watches a namespace.
    #[must_use]
    pub fn of(client: &Client, namespace: &str) -> Self {
        let (picture, shown) = watch::channel(Picture::new());
        let picture = Arc::new(picture);
        let kinds = [ApiResource::erase::<Connection>(&()), ApiResource::erase::<IntegrationInstance>(&()), accounts()];
        let watches = kinds.into_iter().map(|kind| {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
            tokio::spawn(keep(api, kind.kind, Arc::clone(&picture)))
        });
        Self { watches: watches.collect(), picture: shown }
    }

    /// What is there now.
    #[must_use]
    pub fn now(&self) -> Picture {
        self.picture.borrow().clone()
    }

    /// Another look at the same picture, to wait for changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Picture> {
        self.picture.clone()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        for watch in &self.watches {
            watch.abort();
        }
    }
}

fn accounts() -> ApiResource {
    ApiResource::erase::<ProviderAccount>(&())
}

async fn keep(api: Api<DynamicObject>, kind: String, picture: Arc<watch::Sender<Picture>>) {
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut listed = Picture::new();
    while let Some(event) = events.next().await {
        // A broken watch is opened anew by itself, with a list.
        let Ok(event) = event else { continue };
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => _ = listed.insert(name(&kind, &object), seen(&object)),
            watcher::Event::InitDone => picture.send_modify(|picture| {
                let of_this_kind = format!("{kind}/");
                picture.retain(|name, _| !name.starts_with(&of_this_kind));
                picture.append(&mut listed);
            }),
            watcher::Event::Apply(object) => {
                picture.send_modify(|picture| _ = picture.insert(name(&kind, &object), seen(&object)));
            }
            watcher::Event::Delete(object) => {
                picture.send_modify(|picture| _ = picture.remove(&name(&kind, &object)));
            }
        }
    }
}

fn name(kind: &str, object: &DynamicObject) -> String {
    format!("{kind}/{}", object.name_any())
}

fn seen(object: &DynamicObject) -> Seen {
    Seen {
        generation: object.meta().generation.unwrap_or_default(),
        deleting: object.meta().deletion_timestamp.is_some(),
        status: object.data.get("status").cloned().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn saying(status: Value) -> Seen {
        Seen { generation: 2, deleting: false, status }
    }

    #[test]
    fn ready_is_what_is_said_of_the_present_generation() {
        let said = |observed: i64, ready: &str, loaded: &str| {
            saying(json!({"observedGeneration": observed, "conditions": [
                {"type": "Ready", "status": ready, "reason": "R"},
                {"type": "InitialRefreshComplete", "status": loaded, "reason": "R"},
            ]}))
        };
        assert!(said(2, "True", "True").is_ready());
        assert!(!said(1, "True", "True").is_ready());
        assert!(!said(2, "False", "True").is_ready());
        assert!(!said(2, "True", "False").is_ready());
        assert!(!Seen { deleting: true, ..said(2, "True", "True") }.is_ready());
        assert!(!saying(Value::Null).is_ready());
    }
}
