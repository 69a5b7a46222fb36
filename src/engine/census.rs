//! How many objects say what, counted from the caches whenever somebody asks for the metrics.
//!
//! It must never name an object, nor anything that an object can make up: only types and reasons that we know.

use super::{context::Engine, lean::Lean};
use crate::{
    api::v1alpha1::{Account, ClusterProviderAccount, Connection, IntegrationInstance, Managed, ProviderAccount},
    domain::{conditions::Type, reason::Reason},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, runtime::reflector::Store};
use std::collections::BTreeMap;

/// Kind, type, status and reason.
type Says = [&'static str; 4];

/// What the objects say, and how many say it; nothing before all of them are known.
pub(super) fn count(engine: &Engine) -> Vec<(Says, i64)> {
    let mut all = BTreeMap::new();
    if engine.synced() {
        tally(&mut all, Connection::KIND, &engine.connections, managed);
        tally(&mut all, IntegrationInstance::KIND, &engine.instances, managed);
        tally(&mut all, ProviderAccount::KIND, &engine.accounts.local, account);
        if let Some(shared) = &engine.accounts.shared {
            tally(&mut all, ClusterProviderAccount::KIND, &shared.accounts, account);
        }
    }
    all.into_iter().collect()
}

fn managed<K: Managed>(object: &K) -> &[Condition] {
    object.managed_status().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

fn account<K: Account>(object: &K) -> &[Condition] {
    object.account_status().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

fn tally<K>(all: &mut BTreeMap<Says, i64>, kind: &'static str, store: &Store<Lean<K>>, of: fn(&K) -> &[Condition])
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    for object in store.state() {
        let Some(good) = object.good() else {
            // It was told so in its status, which nobody can read.
            *all.entry([kind, Type::Ready.into(), "False", Reason::InvalidSpec.as_str()]).or_default() += 1;
            continue;
        };
        for condition in of(good) {
            if let Some([t, status, reason]) = known(condition) {
                *all.entry([kind, t, status, reason]).or_default() += 1;
            }
        }
    }
}

/// A condition in our own words; `None` for what is somebody else's.
fn known(condition: &Condition) -> Option<[&'static str; 3]> {
    let t: Type = condition.type_.parse().ok()?;
    let status = ["True", "False", "Unknown"].into_iter().find(|status| *status == condition.status)?;
    let reason: Reason = condition.reason.parse().ok()?;
    Some([t.into(), status, reason.as_str()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    #[test]
    fn what_is_not_ours_is_not_counted() {
        let condition = |t: &str, status: &str, reason: &str| Condition {
            type_: t.into(),
            status: status.into(),
            reason: reason.into(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        };
        assert_eq!(known(&condition("Ready", "True", "Succeeded")), Some(["Ready", "True", "Succeeded"]));
        assert_eq!(known(&condition("example.com/Audited", "True", "Succeeded")), None);
        assert_eq!(known(&condition("Ready", "Maybe", "Succeeded")), None);
        assert_eq!(known(&condition("Ready", "True", "a-tenant-made-this-up")), None);
    }
}
