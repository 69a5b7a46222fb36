//! The part of the command line that is about SKU.io.

use std::time::Duration;

use clap::Args;
use tradewind_simulator::Setup;
use tradewind_simulator::sku_io::{Account, Cleaning, Settings};

use super::duration;

/// What SKU.io starts with.
#[derive(Debug, Args)]
pub(crate) struct SkuIoArgs {
    /// The SKU.io token that may call, as `<id>|<secret>`
    #[arg(
        long = "sku-io-token",
        env = "TRADEWIND_SIMULATOR_SKU_IO_TOKEN",
        default_value = "1|test-sku-io-token",
        hide_env_values = true
    )]
    token: String,
    /// Its tenant
    #[arg(long = "sku-io-tenant", default_value = "tenant-1")]
    tenant_id: String,
    /// The name of its tenant
    #[arg(long = "sku-io-tenant-name", default_value = "Tenant 1")]
    tenant_name: String,
    /// A scope of the token; may be given more than once
    #[arg(long = "sku-io-scope", default_values = ["integrations:read", "integrations:write"])]
    scopes: Vec<String>,
    /// Requests per tenant in a minute; 0 = no limit
    #[arg(id = "sku_io_rate_limit", long = "sku-io-rate-limit", default_value_t = 0)]
    rate_limit: usize,
    /// How long a deleted instance is cleaned up, and its name taken
    #[arg(long = "sku-io-cleanup", default_value = "2s", value_parser = duration)]
    cleanup: Duration,
    /// Keep showing instances that are cleaned up, as archived
    #[arg(long = "sku-io-cleaning-visible")]
    cleaning_visible: bool,
    /// Answer refreshes with the id of a job that can be read
    #[arg(long = "sku-io-tracked-jobs")]
    tracked_jobs: bool,
}

impl SkuIoArgs {
    /// A setup with nothing else in it.
    pub(crate) fn setup(&self) -> Setup {
        let account = Account {
            token: self.token.clone(),
            scopes: self.scopes.clone(),
            tenant_id: self.tenant_id.clone(),
            tenant_name: self.tenant_name.clone(),
            ..Account::default()
        };
        let settings = Settings {
            requests_per_minute: (self.rate_limit > 0).then_some(self.rate_limit),
            cleanup: self.cleanup,
            cleaning: if self.cleaning_visible { Cleaning::Archived } else { Cleaning::Hidden },
            tracked_jobs: self.tracked_jobs,
            ..Settings::default()
        };
        Setup { sku_io: settings, sku_accounts: vec![account], ..Setup::default() }
    }
}
