//! The pages on which a person does what no API does: chooses a shop, logs in, consents.
//!
//! Owns what all pages have in common: plain HTML that works without scripts, with stable ids for a headless browser.
//! Under [`PAGES`] there is no journal, no fault and no rate limit: those are about the client, and a person with a
//! browser is none. What a page says must be escaped; what it is asked for must never be logged, because the address
//! of a page is the permission to use it.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY};
use http::{Request, Response, StatusCode};

use crate::state::insert;

/// What the paths of all pages begin with.
pub(crate) const PAGES: &str = "/_pages/";

/// Where a browser reaches the simulator: under the name by which the client has just reached it.
pub(crate) fn origin(request: &Request<Bytes>) -> Option<String> {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str))?;
    let host: http::uri::Authority =
        host.parse().ok().filter(|host: &http::uri::Authority| !host.as_str().contains('@'))?;
    Some(format!("http://{host}"))
}

/// The fields of a form, or the parameters of a query.
pub(crate) fn fields(encoded: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(encoded).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The value of the first field of that name.
pub(crate) fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// A page. The title is escaped here; the body is HTML. An empty icon keeps browsers from asking for one elsewhere, which
/// would look like a request of the client.
pub(crate) fn page(status: StatusCode, title: &str, body: &str) -> Response<Bytes> {
    let title = escaped(title);
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
    );
    let mut response = Response::new(Bytes::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    insert(headers, CONTENT_TYPE, "text/html; charset=utf-8");
    insert(headers, CACHE_CONTROL, "no-store");
    insert(
        headers,
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; img-src data:; form-action 'self'; frame-ancestors 'none'",
    );
    insert(headers, REFERRER_POLICY, "no-referrer");
    response
}

/// One paragraph with an id.
pub(crate) fn paragraph(id: &str, text: &str) -> String {
    format!("<p id=\"{}\">{}</p>\n", escaped(id), escaped(text))
}

/// The page of a link that leads nowhere.
pub(crate) fn unknown_link() -> Response<Bytes> {
    page(StatusCode::NOT_FOUND, "No such link", &paragraph("expired", "This link leads nowhere any more."))
}

/// The page of a link that came too late.
pub(crate) fn expired_link() -> Response<Bytes> {
    page(StatusCode::GONE, "Link expired", &paragraph("expired", "This link has expired. Ask for a new one."))
}

/// Text as it may stand in HTML, also between quotation marks.
pub(crate) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a string does not fail.
                let _ = write!(html, "&#{};", u32::from(letter));
            }
            _ => html.push(letter),
        }
    }
    html
}
