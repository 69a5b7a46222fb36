//! Who may call, and what for.
//!
//! Arcus' page on authentication: an API key as `Bearer`, `ark_test_ent_<code>_<random>` or `ark_live_ent_<code>_…`;
//! one entity per key, with scopes, perhaps an expiry and a list of addresses. *Inferred*: several keys of one entity
//! see the same connectors, whatever their mode; the names of the scopes; the codes for keys that are wrong or expired.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use uuid::Uuid;

use super::connector::Mode;
use super::rate::Rate;
use super::refusal::Refusal;

/// An API key, and the entity that it belongs to.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// What the key is called where it is made and revoked.
    pub name: String,
    /// The key. One that does not have the form of a key lets nobody in.
    pub key: String,
    /// The entity. Keys of one entity see the same connectors.
    pub entity_id: Uuid,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// Whether somebody has revoked it.
    pub revoked: bool,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether the client calls from an address that the key is not for.
    pub address_refused: bool,
    /// How often it may be used, where that is not what its mode says.
    pub rate: Option<Rate>,
}

impl Default for Account {
    /// A key that is plainly one of a test, with what is needed for integrations.
    fn default() -> Self {
        Self {
            name: "test".to_owned(),
            key: "ark_test_ent_simulator_not-a-secret".to_owned(),
            entity_id: Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_00e1),
            scopes: vec![READ.to_owned(), WRITE.to_owned()],
            revoked: false,
            expires_at: None,
            address_refused: false,
            rate: None,
        }
    }
}

const READ: &str = "integrations:read";
/// The scope of everything that changes something.
pub(super) const WRITE: &str = "integrations:write";

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("entity_id", &self.entity_id)
            .field("scopes", &self.scopes)
            .field("revoked", &self.revoked)
            .field("expires_at", &self.expires_at)
            .field("address_refused", &self.address_refused)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// Whether the key is for trying out; none where it has not the form of a key.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        let rest = self.key.strip_prefix("ark_")?;
        let (mode, rest) = rest.split_once("_ent_")?;
        let (code, random) = rest.split_once('_')?;
        let mode = match mode {
            "test" => Mode::Sandbox,
            "live" => Mode::Live,
            _ => return None,
        };
        (!code.is_empty() && !random.is_empty()).then_some(mode)
    }

    /// Holds a key to its expiry and its addresses.
    pub(super) fn check_use(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.expires_at.is_some_and(|end| end <= now) {
            Err(Refusal::expired_key())
        } else if self.address_refused {
            Err(Refusal::address_refused())
        } else {
            Ok(())
        }
    }

    /// Holds a key to its scopes.
    pub(super) fn check_scope(&self, method: &Method) -> Result<(), Refusal> {
        let required = if *method == Method::GET { READ } else { WRITE };
        if self.scopes.iter().any(|scope| scope == required) {
            Ok(())
        } else {
            Err(Refusal::insufficient_scope(required))
        }
    }
}

/// The account whose key the headers hold.
pub(super) fn authenticate<'a>(accounts: &'a [Account], headers: &HeaderMap) -> Result<&'a Account, Refusal> {
    let key = headers.get(AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?));
    let key = key.ok_or_else(Refusal::missing_key)?;
    let mut valid = accounts.iter().filter(|account| !account.revoked && account.mode().is_some());
    valid.find(|account| account.key == key).ok_or_else(Refusal::wrong_key)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty()).then_some(key)
}
