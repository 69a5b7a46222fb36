//! What a provider was asked to load for an object: each load once, and never twice.
//!
//! Owns that judgement. It must never ask the operator: what was asked for is the simulator's own, and whether a kill came in between
//! is in the writes that have passed the proxies.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;
use tradewind_simulator::sku_io::Starter;
use tradewind_simulator::{Provider, Simulator};

use crate::tap::Write;
use crate::thing::Thing;

/// What is wrong with the refreshes that the providers were asked for, a line each. `writes` are those of the operators, each with the
/// number of its process. `answered`: every object was to be refreshed, and has said what became of that.
#[must_use]
pub fn odd(simulator: &Simulator, things: &[Thing], writes: &[(usize, Write)], answered: bool) -> Vec<String> {
    let of = |thing: &Thing| amiss(thing, &asked(simulator, thing), answered && !was_cut(thing, writes));
    things.iter().flat_map(of).collect()
}

/// What a provider is asked to load when a life asks for a refresh of an object.
fn loads(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Rutter => &["incremental_sync"],
        Provider::SkuIo => &["products", "orders"],
        Provider::Arcus => &[],
    }
}

/// How often each load of this object was asked for, in all the records that it had.
fn asked(simulator: &Simulator, thing: &Thing) -> BTreeMap<String, usize> {
    let key = thing.key();
    let all: Vec<(String, usize)> = match thing.provider {
        Provider::Rutter => {
            let own = simulator.connections().into_iter().filter(|r| r.store.as_deref() == Some(key.as_str()));
            let loads = own.flat_map(|record| {
                let backfills = record.backfills.into_iter().map(|(entity, _)| (entity, 1));
                backfills.chain([("incremental_sync".to_owned(), record.incremental_syncs)])
            });
            loads.collect()
        }
        Provider::SkuIo => {
            let own = simulator.instances().into_iter().filter(|record| record.name == key);
            let refreshes = own.flat_map(|record| record.refreshes).filter(|r| r.by == Starter::Request);
            refreshes.map(|refresh| (refresh.entity.name().to_owned(), 1)).collect()
        }
        Provider::Arcus => Vec::new(),
    };
    let mut counts = BTreeMap::new();
    for (load, times) in all {
        *counts.entry(load).or_default() += times;
    }
    counts
}

/// What is wrong with what was asked for. `due`: each load must have been, since nothing cut the refresh off.
fn amiss(thing: &Thing, asked: &BTreeMap<String, usize>, due: bool) -> Vec<String> {
    let (name, loads) = (thing.on_board(), loads(thing.provider));
    let known = loads.iter().map(|load| (*load, asked.get(*load).copied().unwrap_or_default()));
    let wrong = known.filter(|(_, times)| *times > 1 || due && *times == 0);
    let wrong = wrong.map(|(load, times)| format!("refresh: {name}: {load} was asked for {times} times"));
    let unasked = asked.keys().filter(|load| !loads.contains(&load.as_str()));
    wrong.chain(unasked.map(|load| format!("refresh: {name}: {load} was asked for, and nobody wanted it"))).collect()
}

/// Whether a kill came between the write that says that a refresh of it is asked for and the write that says what became of that: they are
/// then of two processes. The calls are between them, so nowhere else can a kill keep one from being made.
fn was_cut(thing: &Thing, writes: &[(usize, Write)]) -> bool {
    let path = format!("/{}s/{}/status", thing.kind().to_lowercase(), thing.name);
    let (mut announced, mut cut) = (None, false);
    for (process, write) in writes.iter().filter(|(_, w)| w.method == Method::PATCH && w.path.ends_with(&path)) {
        match announces(write) {
            Some(true) => announced = Some(*process),
            Some(false) => cut |= announced.take().is_some_and(|by| by != *process),
            None => {}
        }
    }
    cut
}

/// Whether a write to a status says that a refresh is asked for now, or else what became of one; none where it speaks of neither.
fn announces(write: &Write) -> Option<bool> {
    let body: Value = serde_json::from_slice(&write.body).ok()?;
    let refresh = body.pointer("/status/refresh")?.as_object()?;
    let states: Vec<_> = refresh.values().filter_map(|entity| entity.get("state")?.as_str()).collect();
    (!states.is_empty()).then(|| states.contains(&"Requested"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;

    /// A write to the status of the first object of SKU.io, or of another one.
    fn said(number: usize, state: &str) -> Write {
        let state = json!({"state": state});
        let body = json!({"status": {"refresh": {"products": state, "orders": state}}}).to_string();
        let path = format!("/apis/tradewind.dev/v1alpha1/namespaces/n/integrationinstances/sku-{number}/status");
        Write { method: Method::PATCH, path, body: Bytes::from(body), since: Instant::now() }
    }

    fn cut(writes: &[(usize, Write)]) -> bool {
        was_cut(&Thing::new(Provider::SkuIo, 0), writes)
    }

    #[test]
    fn a_refresh_is_cut_off_when_another_process_says_what_became_of_it() {
        assert!(cut(&[(0, said(0, "Requested")), (1, said(0, "Unknown"))]));
        assert!(cut(&[(0, said(0, "Requested")), (1, said(0, "Unknown")), (2, said(0, "Unknown"))]));
        assert!(!cut(&[(0, said(0, "Requested")), (0, said(0, "Accepted")), (1, said(0, "Completed"))]));
        assert!(!cut(&[(0, said(0, "Requested")), (1, said(0, "Requested")), (1, said(0, "Accepted"))]));
        assert!(!cut(&[(0, said(0, "Requested")), (0, said(0, "Unknown"))]), "nothing came in between");
    }

    #[test]
    fn what_is_said_of_another_object_or_of_no_refresh_cuts_nothing_off() {
        assert!(!cut(&[(0, said(0, "Requested")), (1, said(1, "Unknown")), (0, said(0, "Accepted"))]));
        let silent = Write { body: Bytes::from_static(b"{\"status\": {\"creation\": {}}}"), ..said(0, "Unknown") };
        assert!(!cut(&[(0, said(0, "Requested")), (1, silent), (0, said(0, "Accepted"))]));
        assert!(!cut(&[]));
    }

    #[test]
    fn a_refresh_too_many_or_too_few_is_seen_by_what_it_loads() {
        let wrong = |provider, asked: &[(&str, usize)], due| {
            let asked = asked.iter().map(|(load, times)| ((*load).to_owned(), *times)).collect();
            amiss(&Thing::new(provider, 0), &asked, due).len()
        };
        let sku = Provider::SkuIo;
        assert_eq!(wrong(sku, &[("products", 1), ("orders", 1)], true), 0);
        // The sum alone would be in order.
        assert_eq!(wrong(sku, &[("products", 2)], false), 1);
        assert_eq!(wrong(sku, &[("products", 1)], false), 0);
        assert_eq!(wrong(sku, &[("products", 1)], true), 1);
        assert_eq!(wrong(sku, &[], true), 2);
        assert_eq!(wrong(Provider::Rutter, &[("incremental_sync", 1), ("order", 1)], true), 1);
        assert_eq!(wrong(Provider::Rutter, &[("incremental_sync", 0)], true), 1);
        assert_eq!(wrong(Provider::Arcus, &[], true), 0);
    }
}
