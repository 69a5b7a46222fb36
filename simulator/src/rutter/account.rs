//! Who may call, and how often.
//!
//! Rutter's Authorization page: HTTP Basic of client id and client secret. Its help article on rate limits: 500
//! requests in 10 seconds for an organization, then 429; `Retry-After` is not promised.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;

use super::Refusal;
use crate::clock::earlier;

/// A login, and the organization that it belongs to.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The user name of HTTP Basic.
    pub client_id: String,
    /// The password of HTTP Basic.
    pub client_secret: String,
    /// The organization. Logins of one organization see the same connections.
    pub org_id: String,
    /// How often the organization may call; none = as often as it likes.
    pub rate_limit: Option<RateLimit>,
}

impl Default for Account {
    /// A login that is plainly one of a test, under the documented rate limit.
    fn default() -> Self {
        Self {
            client_id: "test-client-id".to_owned(),
            client_secret: "test-client-secret".to_owned(),
            org_id: "00000000-0000-4000-8000-00000000000a".to_owned(),
            rate_limit: Some(RateLimit::default()),
        }
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("client_id", &self.client_id)
            .field("org_id", &self.org_id)
            .field("rate_limit", &self.rate_limit)
            .finish_non_exhaustive()
    }
}

/// So many requests in any stretch of so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many.
    pub requests: usize,
    /// In how much time.
    pub per: Duration,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { requests: 500, per: Duration::from_secs(10) }
    }
}

impl RateLimit {
    /// Whether one more fits in; if so it is counted.
    pub(crate) fn admits(self, now: Timestamp, calls: &mut VecDeque<Timestamp>) -> bool {
        let since = earlier(now, self.per);
        while calls.front().is_some_and(|call| *call <= since) {
            calls.pop_front();
        }
        let fits = calls.len() < self.requests;
        if fits {
            calls.push_back(now);
        }
        fits
    }
}

/// The account that the headers name.
pub(super) fn authenticate<'a>(accounts: &'a [Account], headers: &HeaderMap) -> Result<&'a Account, Refusal> {
    let pair = headers.get(AUTHORIZATION).and_then(|value| basic(value.to_str().ok()?));
    pair.and_then(|pair| {
        accounts.iter().find(|account| pair == format!("{}:{}", account.client_id, account.client_secret))
    })
    .ok_or_else(Refusal::bad_login)
}

fn basic(header: &str) -> Option<String> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = STANDARD.decode(encoded).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    String::from_utf8(decoded).ok()
}
