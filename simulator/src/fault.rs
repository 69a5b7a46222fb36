//! What goes wrong, and for whom.
//!
//! Owns the queue of faults and how a request meets one. A fault is data: the core decides what it does to the answer,
//! the transport only breaks what it is told to break.

mod effect;
mod reshape;

pub use effect::Effect;
pub(crate) use reshape::reshape;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::arcus::Connector;
use crate::operation::Operation;
use crate::provider::{About, Provider};

/// Something that goes wrong for the requests that it is aimed at.
///
/// Faults wait in the order in which they were pushed. A request meets at most one: the first that is aimed at it,
/// which it uses up once. A fault is met on arrival, so also by a request that is then refused; effects that change an
/// answer leave refusals as they are.
///
/// ```
/// use std::time::Duration;
/// use tradewind_simulator::{Effect, Fault, Operation};
///
/// let fault = Fault::on(Operation::Create, Effect::LostAnswer)
///     .and(Effect::SlowBefore { delay: Duration::from_secs(2) })
///     .store("store-abc123.mybigcommerce.com")
///     .times(3);
/// assert_eq!(fault.times, Some(3));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The operation it is aimed at; none = any.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// The provider it is aimed at; none = any.
    #[serde(default)]
    pub provider: Option<Provider>,
    /// The store it is aimed at: without scheme and in lower case, or the store hash; none = any.
    #[serde(default)]
    pub store: Option<String>,
    /// The connection, or row of Arcus, it is aimed at; none = any.
    #[serde(default)]
    pub connection: Option<Uuid>,
    /// The instance of SKU.io it is aimed at; none = any.
    #[serde(default)]
    pub instance: Option<u64>,
    /// The kind of connector of Arcus it is aimed at; none = any.
    #[serde(default)]
    pub connector: Option<Connector>,
    /// How many more requests meet it; none = all. Once unless said otherwise.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// What it does, in this order.
    pub effects: Vec<Effect>,
}

#[expect(clippy::unnecessary_wraps, reason = "the default of an optional field")]
fn once() -> Option<u32> {
    Some(1)
}

impl Fault {
    /// Goes wrong once, for the next request of that kind.
    #[must_use]
    pub fn on(operation: Operation, effect: Effect) -> Self {
        Self { operation: Some(operation), ..Self::on_any(effect) }
    }

    /// Goes wrong once, for the next request of whatever kind.
    #[must_use]
    pub fn on_any(effect: Effect) -> Self {
        Self {
            operation: None,
            provider: None,
            store: None,
            connection: None,
            instance: None,
            connector: None,
            times: once(),
            effects: vec![effect],
        }
    }

    /// Does this as well.
    #[must_use]
    pub fn and(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    /// Goes wrong that many times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Goes wrong until the faults are cleared.
    #[must_use]
    pub fn forever(self) -> Self {
        Self { times: None, ..self }
    }

    /// Only at this provider.
    #[must_use]
    pub fn at(self, provider: Provider) -> Self {
        Self { provider: Some(provider), ..self }
    }

    /// Only for this store.
    #[must_use]
    pub fn store(self, store: impl Into<String>) -> Self {
        Self { store: Some(store.into()), ..self }
    }

    /// Only for this connection.
    #[must_use]
    pub fn connection(self, id: Uuid) -> Self {
        Self { connection: Some(id), ..self }
    }

    /// Only for this instance of SKU.io.
    #[must_use]
    pub fn instance(self, id: u64) -> Self {
        Self { instance: Some(id), ..self }
    }

    /// Only for this kind of connector of Arcus.
    #[must_use]
    pub fn connector(self, connector: Connector) -> Self {
        Self { connector: Some(connector), ..self }
    }

    fn is_aimed_at(&self, subject: &Subject) -> bool {
        self.operation.is_none_or(|operation| operation == subject.operation)
            && self.store.as_ref().is_none_or(|store| Some(store) == subject.store.as_ref())
            && self.provider.is_none_or(|provider| provider == subject.provider)
            && self.connection.is_none_or(|id| Some(id) == subject.about.connection)
            && self.instance.is_none_or(|id| Some(id) == subject.about.instance)
            && self.connector.is_none_or(|connector| Some(connector) == subject.about.connector)
    }
}

/// What a request is about, as far as it can be told without acting on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) provider: Provider,
    pub(crate) operation: Operation,
    pub(crate) store: Option<String>,
    pub(crate) about: About,
}

/// The faults that are still to be met.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The effects of the first fault aimed at the subject; uses it up once.
    pub(crate) fn meet(&mut self, subject: &Subject) -> Vec<Effect> {
        self.0.retain(|fault| fault.times != Some(0));
        let Some(fault) = self.0.iter_mut().find(|fault| fault.is_aimed_at(subject)) else {
            return Vec::new();
        };
        fault.times = fault.times.map(|times| times.saturating_sub(1));
        fault.effects.clone()
    }
}
