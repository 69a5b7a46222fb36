//! The provider's records, the same for every provider.
//!
//! It owns who made what and what became of it. It must never ask the operator.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tradewind_simulator::{Simulator, arcus, rutter, sku_io};

use crate::{flavour::Flavour, scenario::Scenario};

/// Which record it is: its id, and since when it is what it is.
pub(crate) type Which = (String, Timestamp);

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: String,
    /// The operator made it.
    pub(crate) ours: bool,
    pub(crate) live: bool,
    /// Since when it is what it is: a connector that is brought back has the id of the one before.
    pub(crate) since: Timestamp,
    /// How often it was made through the API: a connector is brought back under its own id.
    pub(crate) made: usize,
    /// What of it a declaration names: where in the object, and the value that stands at the provider.
    pub(crate) shown: Vec<(&'static str, Value)>,
    /// What its connection Secret has to hold beside its id.
    pub(crate) token: Option<String>,
    /// Whether the store refuses the credentials that it was given.
    pub(crate) refused: bool,
    /// What the record was given, or asked to load, through the API after it was made.
    pub(crate) changes: usize,
}

impl Record {
    /// Which one it is.
    pub(crate) fn which(&self) -> Which {
        (self.id.clone(), self.since)
    }
}

/// Every record that there ever was.
pub(crate) fn records(scenario: Scenario, simulator: &Simulator) -> Vec<Record> {
    match scenario.flavour {
        Flavour::Rutter | Flavour::Nameless | Flavour::RutterLink => {
            simulator.connections().iter().map(of_rutter).collect()
        }
        Flavour::SkuIo => simulator.instances().iter().map(of_sku).collect(),
        Flavour::Arcus | Flavour::ArcusLink => simulator.connectors().iter().map(of_arcus).collect(),
    }
}

fn of_rutter(record: &rutter::Record) -> Record {
    Record {
        id: record.id.to_string(),
        ours: record.origin == rutter::Origin::Api,
        live: record.deleted_at.is_none(),
        since: record.created_at,
        made: usize::from(record.origin == rutter::Origin::Api),
        shown: record.store.iter().map(|store| ("/spec/rutter/parameters/store_url", json!(store))).collect(),
        token: Some(record.access_token.to_string()),
        refused: false,
        changes: record.incremental_syncs + record.backfills.len(),
    }
}

fn of_sku(record: &sku_io::Record) -> Record {
    Record {
        id: record.id.to_string(),
        ours: record.origin == sku_io::Origin::Api,
        live: record.deleted_at.is_none(),
        since: record.created_at,
        made: usize::from(record.origin == sku_io::Origin::Api),
        shown: vec![
            ("/spec/integrationId", json!(record.integration_id)),
            ("/spec/settings/storeId", record.integration_settings.get("store_id").cloned().unwrap_or_default()),
        ],
        token: None,
        refused: record.store_token_refused,
        changes: record.changes.len()
            + record.refreshes.iter().filter(|load| load.by == sku_io::Starter::Request).count(),
    }
}

fn of_arcus(record: &arcus::Record) -> Record {
    Record {
        // An entity has one of each type, and that is how the API names it.
        id: record.connector.name().to_owned(),
        ours: record.origin == arcus::Origin::Api,
        live: !record.deleted,
        since: record.established_at,
        made: record.tally.creates + record.tally.overwrites,
        shown: vec![
            ("/spec/arcus/displayName", json!(record.display_name)),
            ("/spec/arcus/config/label_format", record.config.get("label_format").cloned().unwrap_or_default()),
        ],
        token: None,
        refused: false,
        // What happened before it came back was somebody else's doing, and to somebody else.
        changes: record.changes.iter().filter(|change| change.at >= record.established_at).count(),
    }
}

/// How often each kind of load was asked for and accepted.
pub(crate) fn refreshes(simulator: &Simulator) -> BTreeMap<String, usize> {
    simulator.stats().refreshes.into_values().flatten().collect()
}
