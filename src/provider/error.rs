//! The one error of the provider layer: what failed, whether a write may have happened, and when to come back.
//!
//! It holds no URL, no body and no header: Rutter puts a token into the query, and bodies echo credentials.

use super::{gate::Refusal, http::WireError};
use crate::domain::verdict::{Effect, Kind};
use std::{fmt, time::Duration};
use strum::{Display, IntoStaticStr};

/// What was asked of the provider; the `operation` label of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// All records of the account.
    List,
    /// One record in detail.
    Read,
    /// One record's health.
    Status,
    /// A new record.
    Create,
    /// A change.
    Update,
    /// A deletion.
    Delete,
}

impl Operation {
    /// Whether a failure of it may have left something behind.
    #[must_use]
    pub fn writes(self) -> bool {
        match self {
            Self::List | Self::Read | Self::Status => false,
            Self::Create | Self::Update | Self::Delete => true,
        }
    }
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// What was asked.
    pub operation: Operation,
    /// What went wrong.
    pub kind: Kind,
    /// Whether a write may have taken effect.
    pub effect: Effect,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// One of the provider's documented codes; never free text.
    pub code: Option<&'static str>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The provider's id of the request, for its support; logged, never in status.
    pub request_id: Option<String>,
    /// The provider was not asked: our own budget refused, or a permit had expired.
    pub local: bool,
}

impl ApiError {
    /// An answer that says no.
    #[must_use]
    pub fn answered(operation: Operation, status: u16, kind: Kind, effect: Effect) -> Self {
        let effect = if operation.writes() { effect } else { Effect::None };
        Self {
            operation,
            kind,
            effect,
            status: Some(status),
            code: None,
            retry_after: None,
            request_id: None,
            local: false,
        }
    }

    /// An answer that does not follow the contract.
    #[must_use]
    pub fn unreadable(operation: Operation, status: Option<u16>) -> Self {
        Self { status, ..Self::answered(operation, 0, Kind::Protocol, Effect::Unknown) }
    }

    /// No answer, or only part of one.
    #[must_use]
    pub fn wire(operation: Operation, error: WireError) -> Self {
        let (kind, effect) = match error {
            WireError::NotSent | WireError::Expired => (Kind::Unavailable, Effect::None),
            WireError::Timeout => (Kind::Timeout, Effect::Unknown),
            WireError::Broken => (Kind::Unavailable, Effect::Unknown),
            WireError::TooBig(_) => (Kind::Protocol, Effect::Unknown),
        };
        let local = error == WireError::Expired;
        Self { status: None, local, ..Self::answered(operation, 0, kind, effect) }
    }

    /// Our own budget says no: nothing was sent.
    #[must_use]
    pub fn refused(operation: Operation, refusal: Refusal) -> Self {
        Self {
            status: None,
            retry_after: Some(refusal.after),
            local: !refusal.closed,
            ..Self::answered(operation, 0, Kind::RateLimited, Effect::None)
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {:?}", self.operation, self.kind)?;
        if let Some(status) = self.status {
            write!(f, ", HTTP {status}")?;
        }
        if let Some(code) = self.code {
            write!(f, " {code}")?;
        }
        if self.effect == Effect::Unknown {
            f.write_str(", effect unknown")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}
