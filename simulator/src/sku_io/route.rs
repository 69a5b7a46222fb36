//! The endpoints.

use bytes::Bytes;
use http::{Method, Request};

use super::Refusal;
use super::instance::Entity;
use crate::operation::Operation;

/// What a path and a verb ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Me,
    List,
    Create,
    Read(&'a str),
    Locations(&'a str),
    Update(&'a str),
    Delete(&'a str),
    Refresh(&'a str, Entity),
    Job(&'a str),
    ActiveJobs,
}

impl<'a> Route<'a> {
    /// What a request asks for: 404 for a path that is not there, 405 for one that is there for other verbs.
    pub(super) fn of(request: &'a Request<Bytes>) -> Result<Self, Refusal> {
        let path = request.uri().path().strip_prefix("/api/").ok_or_else(Refusal::no_such_path)?;
        let parts: Vec<&str> = path.split('/').collect();
        let method = request.method();
        let only = |allowed: Method, names: &'static str, route: Self| {
            if *method == allowed { Ok(route) } else { Err(Refusal::wrong_verb(method, names)) }
        };
        match *parts.as_slice() {
            ["me"] => only(Method::GET, "GET", Self::Me),
            ["big-commerce"] => match *method {
                Method::GET => Ok(Self::List),
                Method::POST => Ok(Self::Create),
                _ => Err(Refusal::wrong_verb(method, "GET, POST")),
            },
            ["big-commerce", id] if !id.is_empty() => match *method {
                Method::GET => Ok(Self::Read(id)),
                Method::PUT | Method::PATCH => Ok(Self::Update(id)),
                Method::DELETE => Ok(Self::Delete(id)),
                _ => Err(Refusal::wrong_verb(method, "GET, PUT, PATCH, DELETE")),
            },
            ["big-commerce", id, "download-locations"] => only(Method::GET, "GET", Self::Locations(id)),
            ["big-commerce", id, "products", "refresh"] => {
                only(Method::POST, "POST", Self::Refresh(id, Entity::Products))
            }
            ["big-commerce", id, "orders", "refresh"] => only(Method::POST, "POST", Self::Refresh(id, Entity::Orders)),
            ["tracked-job-logs", id] if !id.is_empty() => only(Method::GET, "GET", Self::Job(id)),
            ["v2", "tracked-job-logs", "active"] => only(Method::GET, "GET", Self::ActiveJobs),
            _ => Err(Refusal::no_such_path()),
        }
    }

    /// The same in words that hold for every provider.
    pub(super) fn operation(route: Option<Self>) -> Operation {
        match route {
            Some(Self::Me) => Operation::Me,
            Some(Self::List) => Operation::List,
            Some(Self::Create) => Operation::Create,
            Some(Self::Read(_)) => Operation::ReadDetail,
            Some(Self::Locations(_)) => Operation::AskStore,
            Some(Self::Update(_)) => Operation::Update,
            Some(Self::Delete(_)) => Operation::Delete,
            Some(Self::Refresh(..)) => Operation::Refresh,
            Some(Self::Job(_) | Self::ActiveJobs) => Operation::ReadJob,
            None => Operation::Unknown,
        }
    }
}
