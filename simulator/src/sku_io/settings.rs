//! How the simulated SKU.io behaves where the references leave it open, and how fast its time goes by.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};

/// The switches. The default grants nothing that the public references do not promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "switches, each independent of the others")]
pub struct Settings {
    /// How long a deleted instance is cleaned up; so long its name is taken.
    #[serde(with = "compact::required")]
    pub cleanup: Duration,
    /// What is seen of an instance meanwhile.
    pub cleaning: Cleaning,
    /// How long a new instance is missing in lists.
    #[serde(with = "compact::required")]
    pub list_lag: Duration,
    /// How long a new instance is locked: changes, deletes and refreshes are answered 409.
    #[serde(with = "compact::required")]
    pub lock: Duration,
    /// How often an instance is synchronized, which moves its `updated_at` and counts.
    #[serde(with = "compact::required")]
    pub sync_period: Duration,
    /// Whether a refresh answers with the id of a job, and jobs can be read. The text says "queue a job" and no more.
    pub tracked_jobs: bool,
    /// How long a job is pending.
    #[serde(with = "compact::required")]
    pub job_pending: Duration,
    /// How long after that it is running.
    #[serde(with = "compact::required")]
    pub job_running: Duration,
    /// How often a tenant may call in any minute; none = as often as it likes. The real number is not published.
    pub requests_per_minute: Option<usize>,
    /// The SKU.io stores that exist; empty = any.
    pub stores: Vec<u64>,
    /// What answers are wrapped in.
    pub envelope: Envelope,
    /// Whether a create is answered 200 and a delete 200 with a body, as the older specification has it.
    pub old_statuses: bool,
    /// Whether answers show `connection_settings`: without the token, so empty, which PHP writes as `[]`.
    pub echoes_connection_settings: bool,
    /// Whether answers have `created_at` and `updated_at`.
    pub timestamps: bool,
    /// Whether rows of lists have `integration_settings`.
    pub settings_in_lists: bool,
    /// Whether booleans are answered as 0 and 1.
    pub booleans_as_numbers: bool,
    /// Whether the ids among the settings are answered as strings.
    pub ids_as_strings: bool,
    /// Whether an id in a path may be spelled otherwise, `042` for 42, as a database takes it that turns text into numbers.
    pub loose_ids: bool,
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
            cleanup: Duration::from_secs(2),
            cleaning: Cleaning::default(),
            list_lag: Duration::ZERO,
            lock: Duration::ZERO,
            sync_period: Duration::from_mins(1),
            tracked_jobs: false,
            job_pending: Duration::from_secs(1),
            job_running: Duration::from_secs(4),
            requests_per_minute: None,
            stores: Vec::new(),
            envelope: Envelope::default(),
            old_statuses: false,
            echoes_connection_settings: false,
            timestamps: true,
            settings_in_lists: true,
            booleans_as_numbers: false,
            ids_as_strings: false,
            loose_ids: false,
            unknown_fields: false,
            unknown_values: false,
            null_fields: Vec::new(),
        }
    }
}

/// What is seen of an instance that is cleaned up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleaning {
    /// Nothing: 404, and no list shows it.
    #[default]
    Hidden,
    /// It can be read, as archived, and lists of archived rows show it.
    Archived,
    /// It can be read, as archived, and all lists still show it.
    Listed,
}

/// What answers are wrapped in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// `{data, message}`: the documentation of today.
    #[default]
    Data,
    /// `{status, message, data, errors, warnings}`: what the older SDK reads.
    Status,
    /// The object itself.
    Bare,
}
