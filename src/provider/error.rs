//! The one error of the provider layer: what failed, whether a write may have happened, and when to come back.
//!
//! It holds no URL, no body and no header: Rutter puts a token into the query, and bodies echo credentials.

use super::{gate::Refusal, wire::WireError};
use crate::domain::verdict::{Detail, Effect, Kind};
use std::{fmt, time::Duration};
use strum::{Display, EnumIter, EnumMessage, IntoStaticStr};

/// What was asked of the provider; the `operation` label of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, EnumIter, EnumMessage, IntoStaticStr)]
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
    /// A refresh of data.
    Refresh,
    /// How far a job is.
    Job,
    /// Whom the login belongs to.
    Identity,
    /// Whether the store accepts its credentials.
    Verify,
}

impl Operation {
    /// Whether a failure of it may have left something behind.
    #[must_use]
    pub fn writes(self) -> bool {
        match self {
            Self::List | Self::Read | Self::Status | Self::Job | Self::Identity | Self::Verify => false,
            Self::Create | Self::Update | Self::Delete | Self::Refresh => true,
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
    /// What else the answer says, in our words.
    pub detail: Detail,
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
            detail: Detail::default(),
            retry_after: None,
            request_id: None,
            local: false,
        }
    }

    /// Nothing was sent: what it is about cannot be there.
    #[must_use]
    pub fn unsent(operation: Operation) -> Self {
        Self { status: None, ..Self::answered(operation, 0, Kind::NotFound, Effect::None) }
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

    /// Whether a write was sent. Of one without an answer only what was never sent has certainly no effect.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.operation.writes() && (self.status.is_some() || self.effect == Effect::Unknown)
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
        if let Some(code) = self.detail.code {
            write!(f, " {code}")?;
        }
        if !self.detail.fields.is_empty() {
            write!(f, ", about {}", self.detail.fields.join(", "))?;
        }
        if let Some(scope) = &self.detail.scope {
            write!(f, ", lacking {scope}")?;
        }
        if self.effect == Effect::Unknown {
            f.write_str(", effect unknown")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}

/// Every status from 100 to 599 that is no success, and what it means for each verb; for snapshots of the providers.
#[cfg(test)]
pub(super) fn meanings(read: impl Fn(Operation, u16) -> Option<ApiError>) -> String {
    use std::fmt::Write;
    let verbs = [
        ("read", Operation::Read),
        ("create", Operation::Create),
        ("update", Operation::Update),
        ("delete", Operation::Delete),
        ("refresh", Operation::Refresh),
    ];
    let mut table = String::new();
    for (verb, operation) in verbs {
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for status in (100..=599).filter(|s| !(200..300).contains(s)) {
            let text = read(operation, status)
                .map_or_else(|| "a success".to_owned(), |e| format!("{:?}, effect {:?}", e.kind, e.effect));
            match runs.last_mut() {
                Some((_, last, same)) if *same == text && *last + 1 == status => *last = status,
                _ => runs.push((status, status, text)),
            }
        }
        for (from, to, text) in runs {
            let _ = writeln!(table, "{verb} {from}-{to}: {text}");
        }
    }
    table
}
