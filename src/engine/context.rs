//! What every pass has in common: clients, caches, sessions, memory.

use super::{
    Stop,
    accounts::Accounts,
    claims::Register,
    clock::Clock,
    lean::Lean,
    memory::Memory,
    object::{AccountTarget, Target},
    sessions::Sessions,
    starting::Starting,
    watches::{Ropes, ring},
    workers::Workers,
};
use crate::{
    api::v1alpha1::{
        AccountKind, ClusterProviderAccount, Connection, Declaration, IntegrationInstance, ProviderAccount,
    },
    domain::{
        intent::{Creation, Timing},
        reason::Reason,
        text::{bounded, is_name},
    },
    provider::{ConnectSettings, External},
    telemetry::Metrics,
};
use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PatchParams},
    runtime::{
        events::{Event, EventType, Recorder, Reporter},
        reflector::Store,
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, time::Duration};

/// What a reference names, where there is such a thing. The client puts a name into a path as it is, so what can be no name
/// is not asked for: it could be about another object, of another namespace.
///
/// # Errors
/// The API server's refusal.
pub(super) async fn find<K>(api: &Api<K>, name: &str) -> kube::Result<Option<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    if is_name(name) { api.get_opt(name).await } else { Ok(None) }
}

/// The engine's shared state.
pub(super) struct Engine {
    /// The API server.
    pub(super) client: Client,
    /// Clocks.
    pub(super) clock: Clock,
    /// All Connections that are watched.
    pub(super) connections: Store<Lean<Connection>>,
    /// All `IntegrationInstance`s that are watched.
    pub(super) instances: Store<Lean<IntegrationInstance>>,
    /// All accounts that are watched.
    pub(super) accounts: Accounts,
    /// Open sessions, by account.
    pub(super) sessions: Sessions,
    /// What this process remembers.
    pub(super) memory: Memory,
    /// What each object claims.
    pub(super) register: Register,
    /// Who is about to create.
    pub(super) starting: Starting,
    /// Who has the workers.
    pub(super) workers: Workers,
    /// Events.
    pub(super) recorder: Recorder,
    /// Who sends them.
    pub(super) reporter: Reporter,
    /// Metrics.
    pub(super) metrics: Metrics,
    /// For opening sessions.
    pub(super) connect: ConnectSettings,
    /// How often accounts are probed.
    pub(super) probe_interval: Duration,
    /// Asks for a look at all accounts; those that nobody doubts are not probed for it.
    pub(super) suspects: Ropes,
    /// Done when the process is asked to stop.
    pub(super) stop: Stop,
}

/// Field manager of all our writes.
pub(super) const FIELD_MANAGER: &str = "tradewind";

impl Engine {
    /// The protocol's times.
    #[must_use]
    pub(super) fn timing(&self) -> Timing {
        self.connect.timing
    }

    /// Whether the process was asked to stop: what is under way comes to its end, and nothing begins that could be cut off.
    pub(super) fn is_ending(&self) -> bool {
        self.stop.peek().is_some()
    }

    /// How long nothing may be concluded yet from what lists do not show of an object's record.
    pub(super) fn patience(&self, uid: &str, creation: &Creation) -> Duration {
        let timing = self.timing();
        match creation {
            Creation::Pending(intent) => timing.grace().saturating_sub(self.memory.seen_for(uid, &intent.nonce)),
            // A list without it is believed only once the next one, a lag later, is without it too.
            Creation::Done(id) => {
                let young = timing.grace().saturating_sub(self.memory.seen_for(uid, id.as_str()));
                young.max(self.memory.missing(uid).map_or(Duration::ZERO, |since| timing.lag.saturating_sub(since)))
            }
            Creation::NotStarted | Creation::Unverifiable(_) => Duration::ZERO,
        }
    }

    /// An object as the API server has it now; `None` where it is gone.
    ///
    /// # Errors
    /// The API server's refusal.
    pub(super) async fn fetch(&self, target: &Target) -> kube::Result<Option<Target>> {
        let (client, namespace, name) = (self.client.clone(), &target.namespace, &target.name);
        Ok(match target.spec {
            Declaration::Connection(_) => {
                Api::<Connection>::namespaced(client, namespace).get_opt(name).await?.as_ref().map(Target::from)
            }
            Declaration::IntegrationInstance(_) => Api::<IntegrationInstance>::namespaced(client, namespace)
                .get_opt(name)
                .await?
                .as_ref()
                .map(Target::from),
        })
    }

    /// The object itself, for writes of a part of it.
    #[must_use]
    pub(super) fn object(&self, target: &Target) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &target.namespace, &target.resource())
    }

    /// A provider's clock, or ours before it has told one.
    #[must_use]
    pub(super) fn now_at(&self, external: &impl External) -> Timestamp {
        external.now().unwrap_or_else(|| self.clock.now())
    }

    /// The account itself, for writes of a part of it.
    #[must_use]
    pub(super) fn account(&self, target: &AccountTarget) -> Api<DynamicObject> {
        match target.named.kind {
            AccountKind::ProviderAccount => {
                let kind = ApiResource::erase::<ProviderAccount>(&());
                Api::namespaced_with(self.client.clone(), &target.namespace, &kind)
            }
            AccountKind::ClusterProviderAccount => {
                Api::all_with(self.client.clone(), &ApiResource::erase::<ClusterProviderAccount>(&()))
            }
        }
    }

    /// The account that an object names, as the API server has it now; `None` where it is gone, or cannot be read.
    ///
    /// # Errors
    /// The API server's refusal.
    pub(super) async fn fetch_account(&self, target: &Target) -> kube::Result<Option<AccountTarget>> {
        let (client, name) = (self.client.clone(), &target.spec.account_ref().name);
        Ok(match target.spec.account_ref().kind {
            AccountKind::ProviderAccount => {
                let found = find(&Api::<ProviderAccount>::namespaced(client, &target.namespace), name).await?;
                found.as_ref().map(AccountTarget::from)
            }
            AccountKind::ClusterProviderAccount => {
                let found = find(&Api::<ClusterProviderAccount>::all(client), name).await?;
                found.as_ref().map(AccountTarget::from)
            }
        })
    }

    /// The login of an object's account was refused: it needs a new proof.
    pub(super) fn doubt(&self, target: &Target) {
        if let Some(account) = self.accounts.of(target) {
            self.sessions.doubt(account.uid());
        }
        self.look_at_accounts();
    }

    /// An object waits for its account: it may have to be held first.
    pub(super) fn look_at_accounts(&self) {
        ring(&self.suspects);
    }

    /// Parameters of all our patches. One with a field that the CRD does not have is refused: it would be dropped without
    /// a word.
    #[must_use]
    pub(super) fn patch_params() -> PatchParams {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        params.validation_strict()
    }

    /// All caches are complete, so that an absence in them means something.
    #[must_use]
    pub(super) fn synced(&self) -> bool {
        ready(&self.connections) && ready(&self.instances) && self.accounts.synced()
    }

    /// Tells people what an object came to say of itself. The same again within minutes is one event with a count.
    pub(super) async fn note(&self, about: &ObjectReference, warning: bool, reason: Reason, text: &str) {
        self.count(about, warning, reason);
        publish(&self.recorder, about, event(warning, reason, "Reconciling", text)).await;
    }

    fn count(&self, about: &ObjectReference, warning: bool, reason: Reason) {
        if warning {
            self.metrics.error(about.kind.as_deref().unwrap_or_default(), reason);
        }
    }

    /// Tells people what was done at the provider, each time anew: the recorder would keep the first text, and with it
    /// the first id.
    pub(super) async fn tell(&self, about: &ObjectReference, warning: bool, reason: Reason, action: &str, text: &str) {
        self.count(about, warning, reason);
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        publish(&recorder, about, event(warning, reason, action, text)).await;
    }
}

fn event(warning: bool, reason: Reason, action: &str, text: &str) -> Event {
    Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason: reason.to_string(),
        action: action.to_owned(),
        note: Some(bounded(text)),
        secondary: None,
    }
}

/// Never fails a pass: an event is a courtesy.
async fn publish(recorder: &Recorder, about: &ObjectReference, event: Event) {
    match recorder.publish(&event, about).await {
        Ok(()) => {}
        // Aloud, or people would look for events that nobody may write.
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            tracing::warn!("an event was not published: {}", status.message);
        }
        Err(error) => tracing::debug!(%error, "an event was not published"),
    }
}

/// Whether a cache has read its first list.
pub(super) fn ready<K: kube::runtime::reflector::Lookup + Clone + 'static>(store: &Store<K>) -> bool
where
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    // Asked, not awaited: several tasks that wait on one store lose wake-ups.
    matches!(store.wait_until_ready().now_or_never(), Some(Ok(())))
}
