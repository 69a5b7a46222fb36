//! The command line of the binary.

mod arcus;
mod sku_io;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use tradewind_simulator::Setup;
use tradewind_simulator::rutter::{self, Account, RateLimit};

/// A strict and pessimistic stand-in for the provider APIs.
#[derive(Debug, Parser)]
#[command(version)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each independent of the others")]
pub(crate) struct Args {
    /// Where to listen; port 0 = any free port. There is no login on the admin API, so keep it on loopback
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Write the port to this file
    #[arg(long)]
    pub(crate) port_file: Option<PathBuf>,
    /// The client id that may call
    #[arg(long, env = "TRADEWIND_SIMULATOR_CLIENT_ID", default_value = "test-client-id")]
    client_id: String,
    /// Its secret
    #[arg(
        long,
        env = "TRADEWIND_SIMULATOR_CLIENT_SECRET",
        default_value = "test-client-secret",
        hide_env_values = true
    )]
    client_secret: String,
    /// Its organization
    #[arg(long)]
    org_id: Option<String>,
    /// Requests per organization in 10 seconds; 0 = no limit
    #[arg(long, default_value_t = 500)]
    rate_limit: usize,
    /// Ids are drawn from it; by default from the time, so that a restart does not hand out the same ones
    #[arg(long)]
    seed: Option<u64>,
    /// How long a connection is not ready
    #[arg(long, default_value = "5s", value_parser = duration)]
    initial_sync: Duration,
    /// How long after that its history is complete
    #[arg(long, default_value = "10s", value_parser = duration)]
    history: Duration,
    /// How often a ready connection is synchronized
    #[arg(long, default_value = "1m", value_parser = duration)]
    sync_period: Duration,
    /// How long a new connection is missing in lists
    #[arg(long, default_value = "0s", value_parser = duration)]
    list_lag: Duration,
    /// Keep deleted connections in lists for the same time
    #[arg(long)]
    deleted_rows_linger: bool,
    /// Answer a create for a known store with the connection that is there
    #[arg(long)]
    deduplicate: bool,
    /// Honour `Idempotency-Key` on creates
    #[arg(long)]
    honour_idempotency_keys: bool,
    /// Refuse creates with an empty body
    #[arg(long)]
    no_link_flow: bool,
    /// Accept `PATCH`
    #[arg(long)]
    patch: bool,
    /// Answer refreshes with `success: false`
    #[arg(long)]
    decline_refreshes: bool,
    /// The status for an unknown connection id
    #[arg(long, value_enum, default_value_t = Gone::NotFound)]
    gone: Gone,
    /// What links begin with, instead of the address of the simulator's own pages
    #[arg(long)]
    link_base: Option<String>,
    /// Hand out links that do not lead to the simulator's own pages
    #[arg(long)]
    no_pages: bool,
    /// Where a browser reaches the pages; by default where the client has reached the API
    #[arg(long)]
    pages_origin: Option<String>,
    /// How long a link works; 0s = for ever
    #[arg(long, default_value = "0s", value_parser = duration)]
    link_lifetime: Duration,
    #[command(flatten)]
    sku_io: sku_io::SkuIoArgs,
    #[command(flatten)]
    arcus: arcus::ArcusArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Gone {
    #[value(name = "404")]
    NotFound,
    #[value(name = "410")]
    Gone,
}

impl Args {
    /// What the simulator starts with.
    pub(crate) fn setup(&self, now: Timestamp) -> Setup {
        let account = Account {
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            rate_limit: (self.rate_limit > 0).then(|| RateLimit { requests: self.rate_limit, ..RateLimit::default() }),
            ..Account::default()
        };
        let account = match &self.org_id {
            Some(org_id) => Account { org_id: org_id.clone(), ..account },
            None => account,
        };
        let seed = self.seed.unwrap_or_else(|| u64::try_from(now.as_nanosecond()).unwrap_or_default());
        Setup {
            seed,
            rutter: self.settings(),
            accounts: vec![account],
            arcus: self.arcus.settings(self.pages_origin.clone()),
            arcus_accounts: vec![self.arcus.account()],
            ..self.sku_io.setup()
        }
    }

    fn settings(&self) -> rutter::Settings {
        let defaults = rutter::Settings::default();
        rutter::Settings {
            initial_sync: self.initial_sync,
            history: self.history,
            sync_period: self.sync_period,
            list_lag: self.list_lag,
            deleted_rows_linger: self.deleted_rows_linger,
            deduplicates: self.deduplicate,
            honours_idempotency_keys: self.honour_idempotency_keys,
            link_flow: !self.no_link_flow,
            patch: self.patch,
            declines_refreshes: self.decline_refreshes,
            gone: match self.gone {
                Gone::NotFound => rutter::Gone::NotFound,
                Gone::Gone => rutter::Gone::Gone,
            },
            link_base: self.link_base.clone().unwrap_or_else(|| defaults.link_base.clone()),
            pages: !self.no_pages && self.link_base.is_none(),
            pages_origin: self.pages_origin.clone(),
            link_lifetime: (!self.link_lifetime.is_zero()).then_some(self.link_lifetime),
            ..defaults
        }
    }
}

fn duration(text: &str) -> Result<Duration, jiff::Error> {
    Duration::try_from(text.parse::<SignedDuration>()?)
}
