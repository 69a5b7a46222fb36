//! Consenting behind a link (mode B).
//!
//! Arcus' page "Create or initiate a connector connection": the create answers with `oauth_url` and `expires_at`, and
//! the connector is polled until it is active. *Inferred*: links work until one of them is used; what a link brings
//! about is what its request said, whatever has happened to the connector meanwhile.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use uuid::Uuid;

use super::Arcus;
use super::call::Call;
use super::connector::Connector;
use super::link::{Link, LinkStatus, PATH};
use super::refusal::Refusal;
use super::view;
use super::write::{Birth, Entrance, about};
use crate::clock::later;
use crate::page::{escaped, expired_link, field, fields, origin, page, paragraph, unknown_link};
use crate::provider::Answer;

impl Arcus {
    /// The answer to a create that somebody must consent to.
    pub(super) fn ask_for_consent(&mut self, call: &Call, birth: Birth) -> Result<Answer, Refusal> {
        if birth.draft.shop.is_none() {
            return Err(Refusal::invalid("shop", "It is required."));
        }
        let connector = birth.connector;
        let found = self.ledger.find(birth.entity_id, connector);
        let row = match found.filter(|row| !row.is_deleted() || !self.settings.row_before_consent) {
            None if self.settings.row_before_consent => {
                Some(self.establish(call.now, birth.clone(), Entrance::Awaited).0)
            }
            found => found.map(|row| row.id),
        };
        let link = Link {
            state: self.random.draw(),
            birth,
            issued_at: call.now,
            expires_at: later(call.now, self.settings.link_lifetime),
            end: None,
        };
        let origin = self.settings.pages_origin.clone().or_else(|| origin(call.request)).unwrap_or_default();
        let response = view::consent(&link, &origin, &self.settings);
        self.links.push(link);
        Ok(Answer { response, about: about(connector, row) })
    }

    /// Somebody consents behind a live link; the row that comes of it.
    pub(super) fn approve(&mut self, now: Timestamp, state: Uuid) -> Option<Uuid> {
        let birth = self.end(now, state, LinkStatus::Approved)?;
        self.void_links(now, (birth.entity_id, birth.connector));
        Some(self.establish(now, birth, Entrance::Consented).0)
    }

    /// Somebody does not consent behind a live link.
    pub(super) fn refuse_consent(&mut self, now: Timestamp, state: Uuid) -> Option<()> {
        self.end(now, state, LinkStatus::Refused).map(|_| ())
    }

    fn end(&mut self, now: Timestamp, state: Uuid, status: LinkStatus) -> Option<Birth> {
        let link = self.links.iter_mut().find(|link| link.state == state && link.status(now) == LinkStatus::Live)?;
        link.end = Some(status);
        Some(link.birth.clone())
    }

    /// Ends all links of a connector that are still out.
    pub(super) fn void_links(&mut self, now: Timestamp, of: (Uuid, Connector)) {
        for link in self.links.iter_mut().filter(|link| link.is_of(of) && link.status(now) == LinkStatus::Live) {
            link.end = Some(LinkStatus::Void);
        }
    }

    /// The page of a link, and what somebody does there.
    pub(crate) fn visit(&mut self, now: Timestamp, request: &Request<Bytes>) -> Response<Bytes> {
        let query = fields(request.uri().query().unwrap_or_default().as_bytes());
        let state = field(&query, "state").and_then(|state| state.parse().ok());
        let link = self.links.iter().find(|link| Some(link.state) == state && request.uri().path() == PATH);
        let Some(link) = link else { return unknown_link() };
        match link.status(now) {
            LinkStatus::Live => {}
            LinkStatus::Expired => return expired_link(),
            LinkStatus::Approved | LinkStatus::Refused | LinkStatus::Void => return used_link(),
        }
        let (state, shop) = (link.state, link.birth.draft.shop.clone().unwrap_or_default());
        let form = fields(request.body());
        match (request.method(), field(&form, "answer")) {
            (&Method::POST, Some("approve")) => {
                self.approve(now, state);
                page(StatusCode::OK, "Connected", &paragraph("done", "Arcus may now use this shop."))
            }
            (&Method::POST, Some("cancel")) => {
                self.refuse_consent(now, state);
                page(StatusCode::OK, "Cancelled", &paragraph("done", "Nothing was connected."))
            }
            (&Method::GET | &Method::HEAD, _) => question(StatusCode::OK, &shop),
            _ => question(StatusCode::BAD_REQUEST, &shop),
        }
    }
}

fn question(status: StatusCode, shop: &str) -> Response<Bytes> {
    let body = format!(
        "<p>Arcus asks for access to <strong id=\"shop\">{}</strong>.</p>\n\
         <form method=\"post\">\n\
         <button id=\"approve\" type=\"submit\" name=\"answer\" value=\"approve\">Approve</button>\n\
         <button id=\"cancel\" type=\"submit\" name=\"answer\" value=\"cancel\">Cancel</button>\n\
         </form>\n",
        escaped(shop)
    );
    page(status, "Connect a Shopify shop", &body)
}

fn used_link() -> Response<Bytes> {
    page(StatusCode::GONE, "Link used", &paragraph("expired", "This link has been used already, or is void."))
}
