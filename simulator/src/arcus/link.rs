//! A link behind which somebody consents.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::connector::Connector;
use super::write::Birth;

/// Where the pages for consent are.
pub(super) const PATH: &str = "/_pages/arcus/oauth";

/// A request for consent. Its state is the permission to give it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) state: Uuid,
    /// What comes to be.
    pub(super) birth: Birth,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    /// How it ended, unless by time.
    pub(super) end: Option<LinkStatus>,
}

/// What has become of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkStatus {
    /// It can be used.
    Live,
    /// It came too late.
    Expired,
    /// Somebody consented.
    Approved,
    /// Somebody did not.
    Refused,
    /// Another link for the same connector was used, or the connector was deleted where that ends links.
    Void,
}

impl Link {
    pub(super) fn status(&self, now: Timestamp) -> LinkStatus {
        match self.end {
            Some(end) => end,
            None if self.expires_at <= now => LinkStatus::Expired,
            None => LinkStatus::Live,
        }
    }

    /// Whether it is for this connector of this entity.
    pub(super) fn is_of(&self, (entity_id, connector): (Uuid, Connector)) -> bool {
        self.birth.entity_id == entity_id && self.birth.connector == connector
    }

    /// Path and query of its page.
    pub(super) fn path(&self) -> String {
        format!("{PATH}?state={}", self.state)
    }
}
