//! Records that strangers have had from the start, and that must stay theirs.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Map;
use tradewind_simulator::arcus::{self, Act};
use tradewind_simulator::{Provider, Simulator, rutter, sku_io};

use crate::oracle::STRANGERS;
use crate::thing::{Thing, entity_id, hash, store};

/// So many objects of Rutter and of SKU.io each are declared although their records are strangers'.
pub const CONTESTED: usize = 3;

/// At each provider a record that nobody declares.
///
/// # Errors
/// The simulator takes one of them for impossible.
pub fn bystanders(simulator: &Simulator) -> Result<()> {
    connect(simulator, store("bystander"))?;
    make(simulator, "bystander".to_owned())?;
    let act = Act::Make { fields: Map::new() };
    let made = simulator.act_arcus(&arcus::Deed { entity_id: Some(entity_id(0)), connector: STRANGERS, act })?;
    made.context("a stranger's connector")?;
    Ok(())
}

/// Records of what the first objects of Rutter and of SKU.io declare; their keys.
///
/// # Errors
/// The simulator takes one of them for impossible.
pub fn rivals(simulator: &Simulator) -> Result<BTreeSet<String>> {
    let mut contested = BTreeSet::new();
    for number in 0..CONTESTED {
        let (shop, instance) = (Thing::new(Provider::Rutter, number), Thing::new(Provider::SkuIo, number));
        connect(simulator, shop.key())?;
        make(simulator, instance.key())?;
        contested.extend([shop.key(), instance.key()]);
    }
    Ok(contested)
}

fn connect(simulator: &Simulator, store_url: String) -> Result<()> {
    let platform = "BIG_COMMERCE".to_owned();
    simulator.act(&rutter::Deed::Connect { client_id: None, platform, store_url })?;
    Ok(())
}

fn make(simulator: &Simulator, name: String) -> Result<()> {
    let store_hash = hash(&name);
    simulator.act_sku(&sku_io::Deed::Make { tenant_id: None, name, store_hash })?;
    Ok(())
}
