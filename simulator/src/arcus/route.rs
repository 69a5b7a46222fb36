//! The endpoints.

use bytes::Bytes;
use http::{Method, Request};

use super::refusal::Refusal;
use crate::operation::Operation;

/// What a path and a verb ask for. The names in paths need not be those of connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    List,
    Create(&'a str),
    Read(&'a str),
    Update(&'a str),
    Delete(&'a str),
}

impl<'a> Route<'a> {
    pub(super) fn of(request: &'a Request<Bytes>) -> Result<Self, Refusal> {
        let path = request.uri().path().strip_prefix("/v1/integrations").ok_or_else(Refusal::no_such_path)?;
        let name = path.strip_prefix('/').filter(|name| !name.is_empty() && !name.contains('/'));
        match (request.method(), path, name) {
            (&Method::GET, "", _) => Ok(Self::List),
            (&Method::GET, _, Some(name)) => Ok(Self::Read(name)),
            (&Method::POST, _, Some(name)) => Ok(Self::Create(name)),
            (&Method::PATCH, _, Some(name)) => Ok(Self::Update(name)),
            (&Method::DELETE, _, Some(name)) => Ok(Self::Delete(name)),
            _ => Err(Refusal::no_such_path()),
        }
    }

    /// The name in the path.
    pub(super) fn name(self) -> Option<&'a str> {
        match self {
            Self::List => None,
            Self::Create(name) | Self::Read(name) | Self::Update(name) | Self::Delete(name) => Some(name),
        }
    }

    /// The same in words that hold for every provider.
    pub(super) fn operation(route: Option<Self>) -> Operation {
        match route {
            Some(Self::List) => Operation::List,
            Some(Self::Create(_)) => Operation::Create,
            Some(Self::Read(_)) => Operation::ReadDetail,
            Some(Self::Update(_)) => Operation::Update,
            Some(Self::Delete(_)) => Operation::Delete,
            None => Operation::Unknown,
        }
    }
}
