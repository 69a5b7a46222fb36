//! The part of the command line that is about Arcus.

use std::time::Duration;

use clap::Args;
use tradewind_simulator::arcus::{Account, Existing, Settings};
use uuid::Uuid;

use super::duration;

/// What Arcus starts with.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each independent of the others")]
pub(crate) struct ArcusArgs {
    /// The Arcus key that may call, as `ark_test_ent_<code>_<anything>` or `ark_live_ent_<code>_<anything>`
    #[arg(
        long = "arcus-key",
        env = "TRADEWIND_SIMULATOR_ARCUS_KEY",
        default_value = "ark_test_ent_simulator_not-a-secret",
        hide_env_values = true
    )]
    key: String,
    /// Its entity
    #[arg(long = "arcus-entity")]
    entity_id: Option<Uuid>,
    /// A scope of the key; may be given more than once
    #[arg(
        id = "arcus_scope",
        long = "arcus-scope",
        default_values = ["integrations:read", "integrations:write"]
    )]
    scopes: Vec<String>,
    /// Do not limit how often the key is used
    #[arg(long = "arcus-no-rate-limit")]
    no_rate_limit: bool,
    /// Refuse a create for an active connector with 409
    #[arg(long = "arcus-refuse-existing")]
    refuse_existing: bool,
    /// Do not honour `Idempotency-Key`
    #[arg(long = "arcus-no-idempotency")]
    no_idempotency: bool,
    /// Show an inactive row before the consent
    #[arg(long = "arcus-row-before-consent")]
    row_before_consent: bool,
    /// How long a link for consent works
    #[arg(id = "arcus_link_lifetime", long = "arcus-link-lifetime", default_value = "10m", value_parser = duration)]
    link_lifetime: Duration,
    /// How long the credentials of a deleted connector are kept
    #[arg(long = "arcus-recovery", default_value = "168h", value_parser = duration)]
    recovery: Duration,
}

impl ArcusArgs {
    pub(crate) fn account(&self) -> Account {
        let account = Account { key: self.key.clone(), scopes: self.scopes.clone(), ..Account::default() };
        match self.entity_id {
            Some(entity_id) => Account { entity_id, ..account },
            None => account,
        }
    }

    pub(crate) fn settings(&self, pages_origin: Option<String>) -> Settings {
        let defaults = Settings::default();
        Settings {
            test_rate: defaults.test_rate.filter(|_| !self.no_rate_limit),
            live_rate: defaults.live_rate.filter(|_| !self.no_rate_limit),
            existing: if self.refuse_existing { Existing::Refused } else { defaults.existing },
            honours_idempotency_keys: !self.no_idempotency,
            row_before_consent: self.row_before_consent,
            link_lifetime: self.link_lifetime,
            recovery: self.recovery,
            pages_origin,
            ..defaults
        }
    }
}
