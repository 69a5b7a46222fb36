//! Who else wants the same record: the cache read as [`domain::claims`](crate::domain::claims) asks for it.

use super::{
    accounts::{AccountName, Found},
    context::Engine,
    known::Parts,
    lean::{Has, Lean},
    object::Target,
};
use crate::{
    api::v1alpha1::{Managed, ManagementPolicy},
    domain::{
        claims::{self, Claimant},
        ids::{AccountIdentity, ExternalId, NaturalKey},
        intent::Creation,
    },
    provider::External,
};
use kube::runtime::reflector::Store;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// What each object claims, read once for each of its versions.
#[derive(Debug, Default)]
pub(super) struct Register(Mutex<HashMap<String, Arc<Claim>>>);

/// One object's claim.
#[derive(Debug)]
struct Claim {
    version: String,
    claimant: Claimant,
    /// Identity of the account that its record, or its open attempt, belongs to.
    account: Option<String>,
    /// The account that it names.
    names: AccountName,
    /// Where it is.
    namespace: String,
}

impl Claim {
    fn of<E: External>(target: &Target) -> Self {
        Self {
            version: target.version.clone(),
            claimant: claimant::<E>(target),
            account: target.account(&target.creation()),
            names: target.account_name(),
            namespace: target.namespace.clone(),
        }
    }
}

impl Register {
    fn read<'a, E: External, K: Managed + 'a>(&self, objects: impl Iterator<Item = &'a K>) -> Vec<Arc<Claim>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |object: &K| {
            let (uid, version) = (object.meta().uid.as_deref()?, object.meta().resource_version.as_deref()?);
            if let Some(known) = all.get(uid).filter(|known| known.version == version) {
                return Some(Arc::clone(known));
            }
            let claim = Arc::new(Claim::of::<E>(&Target::from(object)));
            all.insert(uid.to_owned(), Arc::clone(&claim));
            Some(claim)
        };
        objects.filter_map(read).collect()
    }

    /// Forgets objects that are gone.
    pub(super) fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| exists(uid));
    }
}

/// The claims of the other objects of one account identity, as the cache shows them now.
pub(super) struct Claims<'a> {
    engine: &'a Engine,
    identity: AccountIdentity,
    me: Claimant,
    others: Vec<Arc<Claim>>,
    /// What those have that do not parse.
    unread: Vec<Has>,
}

impl<'a> Claims<'a> {
    /// Takes the cache as it is now.
    pub(super) fn gather<E: External>(engine: &'a Engine, target: &Target, identity: &AccountIdentity) -> Self {
        let mut others = of_kind::<E, _>(engine, target, &engine.connections);
        others.extend(of_kind::<E, _>(engine, target, &engine.instances));
        let mut unread: Vec<Has> = bad(&engine.connections).into_iter().chain(bad(&engine.instances)).collect();
        unread.retain(|has| has.account.as_ref().is_none_or(|account| identity.is(account)));
        Self { engine, identity: identity.clone(), me: claimant::<E>(target), others, unread }
    }

    /// Whether another object holds this record.
    pub(super) fn held(&self, id: &ExternalId) -> bool {
        // Nobody can tell which of two that say so is the older one: what this object has it keeps.
        let unread = || self.unread.iter().any(|has| has.recorded.as_deref() == Some(id.as_str()));
        self.any(|other| claims::holds(&other.claimant, &self.me, id))
            || self.me.recorded.as_ref() != Some(id) && unread()
    }

    /// Whether another object claims the key of this one.
    pub(super) fn key_claimed(&self) -> bool {
        let same = |has: &Has| self.me.key.as_ref().is_some_and(|key| has.keys.iter().any(|had| had == key.as_str()));
        self.any(|other| claims::claims_key(&other.claimant, &self.me)) || self.unread.iter().any(same)
    }

    /// The keys of the other objects that have started, but for those of this one.
    pub(super) fn keys_of_others(&self) -> impl Iterator<Item = &NaturalKey> {
        let started = |other: &&Arc<Claim>| other.claimant.creation != Creation::NotStarted && self.same_account(other);
        let all = self.others.iter().filter(started).flat_map(|other| keys(&other.claimant));
        all.filter(|key| self.own_keys().all(|own| own != *key))
    }

    /// The key that this object declares, and the one that its record was made with.
    pub(super) fn own_keys(&self) -> impl Iterator<Item = &NaturalKey> {
        keys(&self.me)
    }

    /// Whether another object that declares the same key, or names the same record, was written by this process later than the
    /// cache shows it.
    pub(super) fn unsettled(&self) -> bool {
        let same_key = |other: &Claim| self.me.key.is_some() && other.claimant.key == self.me.key;
        let same_name = |other: &Claim| self.me.named.iter().any(|id| other.claimant.named.contains(id));
        let same = |other: &Claim| same_key(other) || same_name(other);
        self.any(|other| same(other) && self.engine.memory.outdated(&other.claimant.uid, &other.version))
    }

    fn any(&self, matters: impl Fn(&Claim) -> bool) -> bool {
        self.others.iter().any(|other| matters(other) && self.same_account(other))
    }

    /// Claims count within one account identity, whatever the accounts are called.
    fn same_account(&self, other: &Claim) -> bool {
        match &other.account {
            Some(recorded) if self.identity.is(recorded) => true,
            // Made before anybody knew whose login it was, and that may be known by now.
            Some(recorded) if AccountIdentity::is_login(recorded) => {
                let today = self.engine.accounts.get(&other.names).and_then(|account| self.identity_of(&account));
                today.is_some_and(|today| today.is(recorded) && self.identity.is(&today.recorded()))
            }
            Some(_) => false,
            None => {
                let account = self.engine.accounts.get(&other.names);
                // Who is not admitted makes nothing there, and keeps nobody from it.
                let admitted = account.filter(|a| self.engine.accounts.admits(a.allowed(), &other.namespace));
                let today = admitted.and_then(|account| self.identity_of(&account));
                today.is_some_and(|today| self.identity.is(&today.recorded()))
            }
        }
    }

    /// Who an account is at the provider, as far as its session knows.
    fn identity_of(&self, account: &Found) -> Option<AccountIdentity> {
        let (session, _) = self.engine.sessions.get(account.uid())?.session?;
        Some(session.identity())
    }
}

fn bad<K: Managed>(store: &Store<Lean<K>>) -> Vec<Has> {
    store.state().iter().filter_map(|object| object.bad().cloned()).collect()
}

fn keys(claimant: &Claimant) -> impl Iterator<Item = &NaturalKey> {
    claimant.key.iter().chain(&claimant.recorded_key)
}

/// The claims of the other objects of one kind, if they are of the same provider.
fn of_kind<E: External, K: Managed>(engine: &Engine, target: &Target, store: &Store<Lean<K>>) -> Vec<Arc<Claim>> {
    let objects = store.state();
    let of_provider = |o: &&K| o.provider() == target.spec.provider() && o.meta().uid.as_deref() != Some(&target.uid);
    engine.register.read::<E, K>(objects.iter().filter_map(|object| object.good()).filter(of_provider))
}

fn claimant<E: External>(target: &Target) -> Claimant {
    let parts = Parts::new(target);
    let named = parts.external_ref.iter().chain(parts.answer()).cloned().collect();
    let key = E::want(&target.spec).ok().and_then(|want| E::key(&want));
    let observe_only = target.spec.management_policy() == ManagementPolicy::ObserveOnly;
    let recorded_key = target.status.creation.as_ref().and_then(|c| c.key.as_ref()).map(NaturalKey::new);
    Claimant {
        uid: target.uid.clone(),
        declared: target.declared,
        recorded: parts.recorded.filter(|_| !target.status.observed_only),
        creation: parts.creation,
        key,
        recorded_key,
        named,
        would_create: !target.deleting && !observe_only && parts.external_ref.is_none(),
    }
}
