//! Who else wants the same record: the cache read as [`domain::claims`](crate::domain::claims) asks for it.

use super::{
    context::Engine,
    object::{Lean, Target},
};
use crate::{
    api::v1alpha1::{Connection, ManagementPolicy},
    domain::{
        claims::{self, Claimant},
        ids::{AccountIdentity, ExternalId, NaturalKey},
    },
    provider::External,
};
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use std::sync::Arc;

/// The claims of the other objects of one account identity, as the cache shows them now.
pub(super) struct Claims<'a> {
    engine: &'a Engine,
    identity: AccountIdentity,
    me: Claimant,
    others: Vec<Arc<Lean<Connection>>>,
    /// Reads one object's claim; most objects are told apart without it.
    read: fn(&Target) -> Claimant,
}

impl<'a> Claims<'a> {
    /// Takes the cache as it is now.
    pub(super) fn gather<E: External>(engine: &'a Engine, target: &Target, identity: &AccountIdentity) -> Self {
        let mut others = engine.connections.state();
        others.retain(|o| o.meta().uid.as_deref() != Some(&target.uid));
        Self { engine, identity: identity.clone(), me: claimant::<E>(target), others, read: claimant::<E> }
    }

    /// Whether another object holds this record.
    pub(super) fn held(&self, id: &ExternalId) -> bool {
        let records = |c: &Connection| c.status.as_ref().and_then(|s| s.external_id.as_deref()) == Some(id.as_str());
        self.those(records).any(|(_, other)| claims::holds(&other, &self.me, id))
    }

    /// Whether another object claims the key of this one.
    pub(super) fn key_claimed(&self) -> bool {
        self.me.key.is_some() && self.those(|_| true).any(|(_, other)| claims::claims_key(&other, &self.me))
    }

    /// Whether another object that declares the same key was written by this process later than the cache shows it.
    pub(super) fn unsettled(&self) -> bool {
        let late = |o: &Connection| {
            let (uid, version) = (o.uid().unwrap_or_default(), o.resource_version().unwrap_or_default());
            self.engine.memory.outdated(&uid, &version)
        };
        self.me.key.is_some() && self.those(late).any(|(_, other)| other.key == self.me.key)
    }

    /// The claims of those that may matter, within one account identity, whatever the accounts are called.
    fn those(&self, may_matter: impl Fn(&Connection) -> bool) -> impl Iterator<Item = (Target, Claimant)> {
        let good = self.others.iter().filter_map(|o| o.good());
        good.filter(move |o| may_matter(o)).filter_map(|object| {
            let other = Target::from(object);
            self.same_account(&other).then(|| {
                let claimant = (self.read)(&other);
                (other, claimant)
            })
        })
    }

    fn same_account(&self, other: &Target) -> bool {
        if let Some(recorded) = other.account(&other.creation()) {
            return self.identity.is(&recorded);
        }
        let reference = ObjectRef::new(&other.spec.account_ref.name).within(&other.namespace);
        let account = self.engine.accounts.get(&reference).and_then(|a| a.uid());
        let session = account.and_then(|uid| self.engine.sessions.get(&uid)?.session);
        session.is_some_and(|(session, _)| self.identity.is(&session.identity().recorded()))
    }
}

fn claimant<E: External>(target: &Target) -> Claimant {
    let key = E::want(&target.spec).ok().and_then(|want| E::key(&want));
    let observe_only = target.spec.management_policy == ManagementPolicy::ObserveOnly;
    let recorded_key = target.status.creation.as_ref().and_then(|c| c.key.as_ref()).map(NaturalKey::new);
    Claimant {
        uid: target.uid.clone(),
        declared: target.declared,
        recorded: target.recorded().filter(|_| !target.status.observed_only),
        creation: target.creation(),
        key,
        recorded_key,
        would_create: !target.deleting && !observe_only && target.spec.external_ref.is_none(),
    }
}
