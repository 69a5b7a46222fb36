//! What a status says, as those read it who wait for it: conditions, and the verdict of kstatus.
//!
//! It owns the reading of statuses in tests. It must never take a condition of an older generation for today's.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use tradewind::api::v1alpha1::{ClusterProviderAccount, Connection, IntegrationInstance, ProviderAccount};

/// What `kubectl wait`, Argo CD, Flux and every other user of kstatus make of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kstatus {
    /// It is being deleted.
    Terminating,
    /// It is on its way.
    InProgress,
    /// It will not get there by itself.
    Failed,
    /// It is there.
    Current,
}

/// An object whose status can be read.
pub(crate) trait Observed: ResourceExt {
    /// Its conditions and the generation that they speak of; none without a status.
    fn observed(&self) -> Option<(&[Condition], i64)>;

    /// The condition of a type, whatever generation it is of.
    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.observed()?.0.iter().find(|condition| condition.type_ == kind)
    }

    /// Whether a condition says this, of the present generation.
    fn says(&self, kind: &str, status: &str, reason: &str) -> bool {
        let today = self.observed().map(|(_, observed)| observed) == self.meta().generation;
        today && self.condition(kind).is_some_and(|condition| condition.status == status && condition.reason == reason)
    }

    /// The rules of kstatus for custom resources (`sigs.k8s.io/cli-utils/pkg/kstatus`), in its order.
    fn kstatus(&self) -> Kstatus {
        let is = |kind: &str, status: &str| self.condition(kind).is_some_and(|condition| condition.status == status);
        let observed = self.observed().map(|(_, observed)| observed);
        let is_outdated = observed.is_some() && observed != self.meta().generation;
        if self.meta().deletion_timestamp.is_some() {
            Kstatus::Terminating
        } else if is_outdated || is("Reconciling", "True") {
            Kstatus::InProgress
        } else if is("Stalled", "True") {
            Kstatus::Failed
        } else if is("Ready", "False") || is("Ready", "Unknown") {
            Kstatus::InProgress
        } else {
            // Where nothing says otherwise, kstatus takes an object for finished. That is what the status default is for.
            Kstatus::Current
        }
    }
}

impl Observed for Connection {
    fn observed(&self) -> Option<(&[Condition], i64)> {
        self.status.as_ref().map(|status| (status.conditions.as_slice(), status.observed_generation))
    }
}

impl Observed for ProviderAccount {
    fn observed(&self) -> Option<(&[Condition], i64)> {
        self.status.as_ref().map(|status| (status.conditions.as_slice(), status.observed_generation))
    }
}

impl Observed for ClusterProviderAccount {
    fn observed(&self) -> Option<(&[Condition], i64)> {
        self.status.as_ref().map(|status| (status.conditions.as_slice(), status.observed_generation))
    }
}

impl Observed for IntegrationInstance {
    fn observed(&self) -> Option<(&[Condition], i64)> {
        self.status.as_ref().map(|status| (status.conditions.as_slice(), status.observed_generation))
    }
}
