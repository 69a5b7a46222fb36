//! Who may call, and what for.
//!
//! SKU.io's page on authentication: a personal access token as `Bearer`, with scopes `resource:read` for GET and
//! `resource:write` for everything else. A wrong token is answered like none.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use super::Refusal;

/// A token, and the tenant that it belongs to.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The token: `<id>|<secret>`.
    pub token: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// The tenant. Tokens of one tenant see the same instances.
    pub tenant_id: String,
    /// The name of the tenant.
    pub tenant_name: String,
    /// Whether somebody has revoked the token.
    pub revoked: bool,
}

impl Default for Account {
    /// A token that is plainly one of a test, with what is needed for integrations.
    fn default() -> Self {
        Self {
            token: "1|test-sku-io-token".to_owned(),
            scopes: vec!["integrations:read".to_owned(), "integrations:write".to_owned()],
            tenant_id: "tenant-1".to_owned(),
            tenant_name: "Tenant 1".to_owned(),
            revoked: false,
        }
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("token_id", &self.token_id())
            .field("scopes", &self.scopes)
            .field("tenant_id", &self.tenant_id)
            .field("tenant_name", &self.tenant_name)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// The public part of the token; 0 where it has none, so that a whole token is never taken for an id.
    #[must_use]
    pub fn token_id(&self) -> u64 {
        self.token.split_once('|').and_then(|(id, _)| id.parse().ok()).unwrap_or_default()
    }

    /// Holds a token to its scopes.
    pub(super) fn check_scope(&self, method: &Method) -> Result<(), Refusal> {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let required = if reads { "integrations:read" } else { "integrations:write" };
        if self.scopes.iter().any(|scope| scope == required) { Ok(()) } else { Err(Refusal::missing_scope(required)) }
    }
}

/// The account that the headers name.
pub(super) fn authenticate<'a>(accounts: &'a [Account], headers: &HeaderMap) -> Result<&'a Account, Refusal> {
    let token = headers.get(AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?));
    token
        .and_then(|token| accounts.iter().find(|account| !account.revoked && account.token == token))
        .ok_or_else(Refusal::unauthenticated)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
