//! Background jobs: the refreshes that are queued.
//!
//! SKU.io's tracked job logs. Their fields are named in the text; the status words seen there are `pending`, `running`
//! and `cancelled`, the others are inferred.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Settings;
use super::instance::Entity;
use crate::clock::later;

/// A job, as it was queued.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) tenant_id: String,
    pub(super) instance: u64,
    pub(super) entity: Entity,
    pub(super) queued_at: Timestamp,
    /// Whether the shop refuses what it is loaded with.
    pub(super) doomed: bool,
    /// Set by somebody, and when; its own course is over then.
    pub(super) set: Option<(Timestamp, JobStatus)>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of the reference, which has no others for them")]
pub enum JobStatus {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl JobStatus {
    /// "Running or pending" is active.
    pub(super) fn is_active(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Job {
    /// How far it is, and since when.
    pub(super) fn status(&self, now: Timestamp, settings: &Settings) -> (JobStatus, Timestamp) {
        if let Some((at, status)) = self.set {
            return (status, at);
        }
        let runs_at = later(self.queued_at, settings.job_pending);
        let ends_at = later(runs_at, settings.job_running);
        if now < runs_at {
            (JobStatus::Pending, self.queued_at)
        } else if now < ends_at {
            (JobStatus::Running, runs_at)
        } else {
            (if self.doomed { JobStatus::Failed } else { JobStatus::Completed }, ends_at)
        }
    }
}

/// A job as the provider's staff would see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobRecord {
    /// Its id.
    pub id: u64,
    /// The instance that it is for.
    pub instance: u64,
    /// What it loads.
    pub entity: Entity,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// How far it is.
    pub status: JobStatus,
}

impl JobRecord {
    pub(super) fn of(job: &Job, now: Timestamp, settings: &Settings) -> Self {
        let Job { id, instance, entity, queued_at, .. } = *job;
        Self { id, instance, entity, queued_at, status: job.status(now, settings).0 }
    }
}
