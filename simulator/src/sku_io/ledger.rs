//! The instances, in the order in which they were made.
//!
//! Owns ids, and how instances are found. Rows are never removed: a deleted one is marked, so that tests can see what
//! there was.

use std::collections::HashMap;

use jiff::Timestamp;

use super::fields::Draft;
use super::instance::Instance;

/// All instances of all tenants.
#[derive(Debug)]
pub(super) struct Ledger {
    first_id: u64,
    rows: Vec<Instance>,
    tenants: HashMap<String, Vec<usize>>,
    /// By tenant and folded name.
    names: HashMap<(String, String), Vec<usize>>,
}

impl Ledger {
    pub(super) fn counting_from(first_id: u64) -> Self {
        Self { first_id, rows: Vec::new(), tenants: HashMap::new(), names: HashMap::new() }
    }

    /// Adds an instance; its id.
    pub(super) fn add(&mut self, mut instance: Instance) -> u64 {
        let index = self.rows.len();
        let id = self.first_id.saturating_add(index as u64);
        self.tenants.entry(instance.tenant_id.clone()).or_default().push(index);
        self.names.entry((instance.tenant_id.clone(), instance.folded_name.clone())).or_default().push(index);
        instance.id = id;
        self.rows.push(instance);
        id
    }

    pub(super) fn rows(&self) -> &[Instance] {
        &self.rows
    }

    pub(super) fn by_id(&self, id: u64) -> Option<&Instance> {
        self.rows.get(self.index(id)?)
    }

    pub(super) fn by_id_mut(&mut self, id: u64) -> Option<&mut Instance> {
        let index = self.index(id)?;
        self.rows.get_mut(index)
    }

    /// Changes an instance and keeps the names in order; the dotted names of what differed.
    pub(super) fn absorb(&mut self, now: Timestamp, id: u64, draft: Draft) -> Vec<String> {
        let Some(index) = self.index(id) else { return Vec::new() };
        let Some(instance) = self.rows.get_mut(index) else { return Vec::new() };
        let before = (instance.tenant_id.clone(), instance.folded_name.clone());
        let changed = instance.absorb(now, draft);
        if before.1 != instance.folded_name {
            let after = (instance.tenant_id.clone(), instance.folded_name.clone());
            if let Some(named) = self.names.get_mut(&before) {
                named.retain(|other| *other != index);
            }
            self.names.entry(after).or_default().push(index);
        }
        changed
    }

    /// All rows of a tenant, in the order in which they were made.
    pub(super) fn of_tenant<'a>(&'a self, tenant_id: &str) -> impl Iterator<Item = &'a Instance> {
        self.tenants.get(tenant_id).into_iter().flatten().filter_map(|index| self.rows.get(*index))
    }

    /// All rows of a tenant with this name, whether or not they are still there.
    pub(super) fn named<'a>(&'a self, tenant_id: &str, name: &str) -> impl Iterator<Item = &'a Instance> {
        let key = (tenant_id.to_owned(), name.to_lowercase());
        self.names.get(&key).into_iter().flatten().filter_map(|index| self.rows.get(*index))
    }

    fn index(&self, id: u64) -> Option<usize> {
        usize::try_from(id.checked_sub(self.first_id)?).ok()
    }
}
