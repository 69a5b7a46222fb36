//! How the simulated Arcus behaves where the references leave it open, and how fast its time goes by.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};

use super::rate::Rate;

/// The switches. The default grants nothing that the public references do not promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "switches, each independent of the others")]
pub struct Settings {
    /// How often a test key may be used; none = as often as it likes, and no headers about it.
    pub test_rate: Option<Rate>,
    /// How often a live key may be used; none = as often as it likes, and no headers about it.
    pub live_rate: Option<Rate>,
    /// What `Arcus-Version` may say.
    pub versions: Vec<String>,
    /// Whether `Idempotency-Key` is honoured. It is documented; a client should be safe without it.
    pub honours_idempotency_keys: bool,
    /// How long such a key is remembered.
    #[serde(with = "compact::required")]
    pub idempotency_window: Duration,
    /// Whether a refusal of the request itself is stored under its key too. "The original response" is all that is said.
    pub stores_refusals: bool,
    /// Whether a new connector is answered 201.
    pub created: bool,
    /// What rows are wrapped in.
    pub wrapping: Wrapping,
    /// What a create does where there is a connector that is not deleted.
    pub existing: Existing,
    /// Whether a change of `config` keeps what it does not name.
    pub merges_config: bool,
    /// Whether null clears a field that a row may have as null. Documented are strings.
    pub null_clears: bool,
    /// Whether what a body must not have is looked for inside of `config` too.
    pub bans_in_config: bool,
    /// Whether a connector of the other mode than that of the key is refused.
    pub refuses_other_mode: bool,
    /// Whether a new connector is active before anybody has entered credentials.
    pub active_without_credentials: bool,
    /// Whether a create after a delete brings the old row back, with its id and its fields, or makes a new one.
    pub revives_rows: bool,
    /// How long the credentials of a deleted connector are kept.
    #[serde(with = "compact::required")]
    pub recovery: Duration,
    /// Whether a create that finds such credentials goes without the consent that it would need otherwise.
    pub recovery_skips_consent: bool,
    /// Whether a deleted row can still be read, as inactive.
    pub deleted_rows_shown: bool,
    /// Whether a delete of what is deleted already, or was never there, is a success.
    pub repeated_deletes_succeed: bool,
    /// Whether a delete is answered 204, as the general page has it, and not with the row.
    pub delete_without_body: bool,
    /// How long a link for consent works.
    #[serde(with = "compact::required")]
    pub link_lifetime: Duration,
    /// Whether there is an inactive row from the create on and not only after the consent.
    pub row_before_consent: bool,
    /// Whether a delete ends the links that are out; otherwise a late consent brings the connector back.
    pub delete_ends_links: bool,
    /// Where a browser reaches the pages, `http://127.0.0.1:8080`; if left out, where the client has reached the API.
    pub pages_origin: Option<String>,
    /// How often a connector with credentials is synchronized.
    #[serde(with = "compact::required")]
    pub sync_period: Duration,
    /// Whether that moves `updated_at`.
    pub syncs_touch_rows: bool,
    /// Whether rows have `credentials_masked`, which the text names and the list of fields does not.
    pub masked_credentials: bool,
    /// Whether every object has a field that no client knows.
    pub unknown_fields: bool,
    /// Whether enumerations have values that no client knows.
    pub unknown_values: bool,
    /// Fields that are answered null.
    pub null_fields: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            test_rate: Some(Rate { per_minute: 60, per_second: 10 }),
            live_rate: Some(Rate { per_minute: 300, per_second: 50 }),
            versions: vec!["2026-05-01".to_owned()],
            honours_idempotency_keys: true,
            idempotency_window: Duration::from_hours(24),
            stores_refusals: true,
            created: true,
            wrapping: Wrapping::default(),
            existing: Existing::default(),
            merges_config: false,
            null_clears: false,
            bans_in_config: true,
            refuses_other_mode: false,
            active_without_credentials: true,
            revives_rows: true,
            recovery: Duration::from_hours(7 * 24),
            recovery_skips_consent: true,
            deleted_rows_shown: true,
            repeated_deletes_succeed: false,
            delete_without_body: false,
            link_lifetime: Duration::from_mins(10),
            row_before_consent: false,
            delete_ends_links: false,
            pages_origin: None,
            sync_period: Duration::from_mins(1),
            syncs_touch_rows: true,
            masked_credentials: false,
            unknown_fields: false,
            unknown_values: false,
            null_fields: Vec::new(),
        }
    }
}

/// What rows are wrapped in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrapping {
    /// Where it is documented: in answers to `PATCH` and `DELETE`; for `GET` and lists it is inferred.
    #[default]
    Documented,
    /// In every answer.
    Always,
    /// In none; a list is an array.
    Never,
}

/// What a create does where there is a connector that is not deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// It changes the fields that it names, and makes it active.
    #[default]
    Changed,
    /// It takes its place: fields that it does not name are reset, and it is active.
    Replaced,
    /// It is refused with 409 if the connector is active.
    Refused,
    /// It is refused with 409, also if somebody has switched the connector off.
    RefusedAlways,
}
