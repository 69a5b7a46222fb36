//! How the simulated Rutter behaves where the references leave it open, and how fast its time goes by.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};

/// The switches. The default grants nothing that the public references do not promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "switches, each independent of the others")]
pub struct Settings {
    /// How long a connection is not ready after its credentials were given.
    #[serde(with = "compact::required")]
    pub initial_sync: Duration,
    /// How long after that the history is complete.
    #[serde(with = "compact::required")]
    pub history: Duration,
    /// How often a healthy connection is synchronized once it is ready.
    #[serde(with = "compact::required")]
    pub sync_period: Duration,
    /// How long a new connection is missing in lists.
    #[serde(with = "compact::required")]
    pub list_lag: Duration,
    /// Whether a deleted connection stays in lists for the same time.
    pub deleted_rows_linger: bool,
    /// Whether a create for a store that is connected already answers with the connection that is there.
    ///
    /// Rutter's help says that it de-duplicates by store; what a create then answers is not said.
    pub deduplicates: bool,
    /// Whether `Idempotency-Key` is honoured on a create. The page on idempotent requests names object writes only.
    pub honours_idempotency_keys: bool,
    /// Whether a create with an empty body makes a connection that waits for the merchant.
    pub link_flow: bool,
    /// Whether the undocumented `PATCH` answers anything but an error.
    pub patch: bool,
    /// Whether a refresh is answered `{"success": false}`, and nothing is refreshed.
    pub declines_refreshes: bool,
    /// What an unknown connection id is answered with.
    pub gone: Gone,
    /// What links begin with where there are no pages, or nobody knows where those are reached; the id follows.
    pub link_base: String,
    /// Whether links lead to the pages of the simulator itself.
    pub pages: bool,
    /// Where a browser reaches those, `http://127.0.0.1:8080`; if left out, where the client has reached the API.
    pub pages_origin: Option<String>,
    /// How long a link works after the merchant is asked to follow it; none = for ever. No page says that it ends.
    #[serde(with = "compact::optional")]
    pub link_lifetime: Option<Duration>,
    /// The platforms that a merchant may choose behind a link.
    pub link_platforms: Vec<String>,
    /// What `platform` says in lists while the merchant has not chosen one; none = null. The field is required, and its
    /// value then is not said. Elsewhere it is null.
    pub undecided_platform: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            initial_sync: Duration::from_secs(5),
            history: Duration::from_secs(10),
            sync_period: Duration::from_mins(1),
            list_lag: Duration::ZERO,
            deleted_rows_linger: false,
            deduplicates: false,
            honours_idempotency_keys: false,
            link_flow: true,
            patch: false,
            declines_refreshes: false,
            gone: Gone::default(),
            link_base: "https://link.rutterapi.com/connection".to_owned(),
            pages: true,
            pages_origin: None,
            link_lifetime: None,
            link_platforms: ["BIG_COMMERCE", "SHOPIFY", "WOO_COMMERCE", "MAGENTO", "PRESTASHOP"]
                .map(ToOwned::to_owned)
                .to_vec(),
            undecided_platform: Some("UNKNOWN".to_owned()),
        }
    }
}

/// What an unknown connection id is answered with. Rutter's Errors page announces 410 and keeps 404 possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gone {
    /// 404
    #[default]
    #[serde(rename = "404")]
    NotFound,
    /// 410
    #[serde(rename = "410")]
    Gone,
}
