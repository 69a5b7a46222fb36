//! The identities that the protocol reasons about, as types that cannot be mixed up.

use std::fmt;

/// The provider's id of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExternalId(String);

impl ExternalId {
    /// Takes the provider's spelling as it is.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The provider's spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the id may stand in a URL path, a status and a message: the characters of [`crate::api::v1alpha1::ExternalRef`].
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.0.is_empty()
            && self.0.len() <= 256
            && self.0.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c))
            && !self.0.starts_with('.')
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What makes a record the same thing at the provider, whoever made it: platform and store, or a unique name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NaturalKey(String);

impl NaturalKey {
    /// Takes a key in its normal form; only [`crate::domain::rules`] and stored intents make one.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NaturalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who an account is at the provider.
///
/// Rutter tells the organisation only with a connection, so an account without any is known by its login alone.
/// See `docs/adr/0004-account-identity.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountIdentity {
    /// The provider's own name of the account (Rutter: `orgId`), once known.
    pub organisation: Option<String>,
    /// A fingerprint of endpoint and public login name.
    pub login: String,
}

/// What a recorded identity begins with that is a login.
const LOGIN: &str = "login:";

impl AccountIdentity {
    /// The form that is recorded in statuses and intents.
    #[must_use]
    pub fn recorded(&self) -> String {
        self.organisation.clone().unwrap_or_else(|| format!("{LOGIN}{}", self.login))
    }

    /// Whether a recorded identity is this account.
    #[must_use]
    pub fn is(&self, recorded: &str) -> bool {
        self.organisation.as_deref() == Some(recorded) || recorded.strip_prefix(LOGIN) == Some(&self.login)
    }

    /// Whether a recorded identity is a login whose organisation was not known.
    #[must_use]
    pub fn is_login(recorded: &str) -> bool {
        recorded.starts_with(LOGIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_known_by_its_organisation_and_by_its_login() {
        let new = AccountIdentity { organisation: None, login: "ab".into() };
        let known = AccountIdentity { organisation: Some("org-1".into()), login: "ab".into() };
        assert!(known.is(&new.recorded()) && known.is(&known.recorded()) && !known.is("org-2"));
        assert!(!new.is("org-1"), "an unknown organisation is not assumed to be the recorded one");
        assert!(!new.is("login:cd"));
        assert!(AccountIdentity::is_login(&new.recorded()) && !AccountIdentity::is_login(&known.recorded()));
    }

    #[test]
    fn an_id_that_could_leave_its_path_segment_is_not_plain() {
        for bad in ["", "a/b", "..", "a?b", "a b", "a%2e", "\u{e9}"] {
            assert!(!ExternalId::new(bad).is_plain(), "{bad}");
        }
        assert!(ExternalId::new("5b0f4a52-6d8e-4a39-9a36-0f3f5f0f1c11").is_plain());
        assert!(ExternalId::new("a".repeat(256)).is_plain() && !ExternalId::new("a".repeat(257)).is_plain());
    }

    #[test]
    fn an_identity_is_told_as_it_is_spelled() {
        assert_eq!(ExternalId::new("a-1").to_string(), "a-1");
        assert_eq!(NaturalKey::new("SHOPIFY/acme.myshopify.com").to_string(), "SHOPIFY/acme.myshopify.com");
    }
}
