//! Which provider a request is for, and what the core asks of each.
//!
//! Owns the seam between the core and the providers: another one is a variant of [`Provider`], a prefix in
//! [`Provider::of`] and an implementation of [`Api`]. It must never know anything about what is behind a prefix.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::arcus::Connector;
use crate::fault::{Effect, Subject};
use crate::rutter::Trouble;

/// One of the simulated providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Everything that no other provider has.
    Rutter,
    /// Everything under `/api/`.
    SkuIo,
    /// Everything under `/v1/`.
    Arcus,
}

impl Provider {
    /// Whose a path is. They share one address, which the real ones do not; their paths never meet.
    pub(crate) fn of(path: &str) -> Self {
        let begins =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if begins("/api") {
            Self::SkuIo
        } else if begins("/v1") {
            Self::Arcus
        } else {
            Self::Rutter
        }
    }
}

/// What the core asks of a provider.
pub(crate) trait Api {
    /// What a request is about, as far as it can be told without acting on it.
    fn subject(&self, request: &Request<Bytes>) -> Subject;

    /// Acts on a request.
    fn handle(&mut self, now: Timestamp, request: &Request<Bytes>, judgement: &Judgement) -> Answer;

    /// An error that a fault asks for, in the words of this provider.
    fn error(&mut self, status: u16, retry_after: Option<u64>) -> Response<Bytes>;

    /// 409, as if the idempotency key had come with another body before.
    fn idempotency_mismatch(&mut self) -> Response<Bytes>;

    /// Puts the headers on an answer that every answer of this provider carries.
    fn stamp(&mut self, now: Timestamp, request: &Request<Bytes>, headers: &mut HeaderMap);
}

/// What a request led to.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Bytes>,
    pub(crate) about: About,
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        Self { response, about: About::default() }
    }
}

/// The record that a request was about or that it made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// The connection of Rutter, or the row of Arcus.
    pub(crate) connection: Option<Uuid>,
    pub(crate) instance: Option<u64>,
    pub(crate) connector: Option<Connector>,
}

/// What a shop thinks of the credentials in a request; well, unless a fault says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Judgement {
    /// They are refused at once, with this status.
    pub(crate) refused: Option<StatusCode>,
    /// They are accepted, and this comes of it after a while.
    pub(crate) sours: Option<(Duration, Trouble)>,
}

impl Judgement {
    /// The judgement that these effects ask for.
    pub(crate) fn of(effects: &[Effect]) -> Self {
        let mut judgement = Self::default();
        for effect in effects {
            if let Effect::RefuseCredentials { status } = effect {
                judgement.refused = Some(StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
            } else if let Effect::SourCredentials { after, trouble } = effect {
                judgement.sours = Some((*after, *trouble));
            }
        }
        judgement
    }
}
