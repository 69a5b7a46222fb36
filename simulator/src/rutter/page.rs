//! The page behind `link_url`, where a merchant chooses a platform and logs in (Rutter Link).
//!
//! *Inferred*: the page is the same for a new connection and for one that must be authenticated again, a merchant may
//! choose another platform or store than anybody expects, and giving up leaves the link as it was.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use uuid::Uuid;

use super::control::store;
use super::{DisabledReason, Rutter, Trouble};
use crate::clock::later;
use crate::page::{escaped, expired_link, field, fields, origin, page, paragraph, unknown_link};

/// What the paths of the pages begin with; the id of the connection follows.
const PATH: &str = "/_pages/rutter/link";

impl Rutter {
    /// What links in the answer to this request begin with; the id of the connection follows.
    pub(super) fn link_base(&self, request: &Request<Bytes>) -> String {
        let origin = self.settings.pages_origin.clone().or_else(|| origin(request));
        match origin.filter(|_| self.settings.pages) {
            Some(origin) => format!("{origin}{PATH}"),
            None => self.settings.link_base.clone(),
        }
    }

    /// The page of a connection, and what its merchant does there.
    pub(crate) fn visit(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        let id = request.uri().path().strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/')?.parse().ok());
        let connection = id.and_then(|id| self.ledger.by_id(id)).filter(|connection| connection.deleted_at.is_none());
        let Some(connection) = connection else { return unknown_link() };
        let Some(asked_at) = connection.asks_merchant_since(now) else {
            return page(StatusCode::OK, "Connected", &paragraph("done", "This store is connected."));
        };
        if self.settings.link_lifetime.is_some_and(|lifetime| later(asked_at, lifetime) <= now) {
            return expired_link();
        }
        let id = connection.id;
        let form = fields(request.body());
        let named = |name: &str| field(&form, name).unwrap_or_default();
        match (request.method(), named("answer")) {
            (&Method::POST, "connect") => self.log_in(now, id, named("platform"), named("store")),
            (&Method::POST, "cancel") => {
                page(StatusCode::OK, "Cancelled", &paragraph("done", "Nothing was connected."))
            }
            (&Method::GET | &Method::HEAD, _) => self.question(StatusCode::OK, "", "", None),
            _ => self.question(StatusCode::BAD_REQUEST, "", "", None),
        }
    }

    fn log_in(&mut self, now: Timestamp, id: Uuid, platform: &str, store_url: &str) -> Response<Bytes> {
        let offered = self.settings.link_platforms.iter().any(|offered| offered == platform);
        let Ok(store) =
            store(platform, store_url).and_then(|store| offered.then_some(store).ok_or(super::NoSuch::Store))
        else {
            let error = "This is none of the stores of that platform.";
            return self.question(StatusCode::UNPROCESSABLE_ENTITY, platform, store_url, Some(error));
        };
        let followed = self.change(now, id, |connection| {
            connection.store = Some(store);
            connection.established_at.get_or_insert(now);
            connection.troubles.retain(|(_, trouble)| !asks_merchant(*trouble));
        });
        match followed {
            Ok(_) => page(StatusCode::OK, "Connected", &paragraph("done", "This store is connected.")),
            Err(_) => unknown_link(),
        }
    }

    fn question(&self, status: StatusCode, platform: &str, store_url: &str, error: Option<&str>) -> Response<Bytes> {
        let mut options = String::new();
        for offered in &self.settings.link_platforms {
            let selected = if offered == platform { " selected" } else { "" };
            let name = escaped(offered);
            // Writing to a string does not fail.
            let _ = writeln!(options, "<option value=\"{name}\"{selected}>{name}</option>");
        }
        let body = format!(
            "{}<form method=\"post\">\n\
             <p><label for=\"platform\">Platform</label>\n\
             <select id=\"platform\" name=\"platform\">\n{options}</select></p>\n\
             <p><label for=\"store\">Address of the store</label>\n\
             <input id=\"store\" name=\"store\" type=\"text\" value=\"{}\"></p>\n\
             <button id=\"connect\" type=\"submit\" name=\"answer\" value=\"connect\">Connect</button>\n\
             <button id=\"cancel\" type=\"submit\" name=\"answer\" value=\"cancel\">Cancel</button>\n\
             </form>\n",
            error.map(|error| paragraph("error", error)).unwrap_or_default(),
            escaped(store_url)
        );
        page(status, "Connect a store", &body)
    }
}

/// Whether a merchant who logs in again ends this trouble.
pub(super) fn asks_merchant(trouble: Trouble) -> bool {
    matches!(trouble, Trouble::NeedsUpdate | Trouble::Disabled { reason: DisabledReason::NeedsReauth })
}
