//! What the platforms of the providers ask for, as tables.
//!
//! Source: Rutter's public reference, "Create a Connection". A platform that is not listed here is answered
//! `UnsupportedPlatform`.

use super::ids::NaturalKey;

/// One platform of Rutter.
#[derive(Debug)]
pub struct RutterPlatform {
    /// Rutter's spelling.
    pub name: &'static str,
    /// Fields that the Secret must hold.
    pub secret_required: &'static [&'static str],
    /// Fields that the Secret may hold; all of them or none.
    pub secret_together: &'static [&'static str],
    /// Fields that `spec.rutter.parameters` must hold.
    pub parameters: &'static [&'static str],
    /// Host suffix of `store_url`, which is the platform's identity.
    pub store_suffix: &'static str,
}

/// The platforms of Rutter that this version serves with credentials.
pub const RUTTER_PLATFORMS: &[RutterPlatform] = &[RutterPlatform {
    name: "BIG_COMMERCE",
    secret_required: &["oauth_access_token"],
    secret_together: &["oauth_client_id", "oauth_client_secret"],
    parameters: &["store_url"],
    store_suffix: ".mybigcommerce.com",
}];

/// The API versions of Rutter that this version speaks, newest first.
pub const RUTTER_VERSIONS: &[&str] = &["2024-08-31", "2024-04-30", "2023-03-14", "2023-02-07"];

/// The platform with this name.
#[must_use]
pub fn rutter_platform(name: &str) -> Option<&'static RutterPlatform> {
    RUTTER_PLATFORMS.iter().find(|p| p.name == name)
}

/// The host of a store in its normal form: no scheme, no trailing slash, small letters. `None` if it is no bare host.
#[must_use]
pub fn store_host(store_url: &str) -> Option<String> {
    let text = store_url.trim().to_ascii_lowercase();
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(&text);
    let host = text.strip_suffix('/').unwrap_or(text);
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    (host.len() <= 253 && host.contains('.') && host.split('.').all(label)).then(|| host.to_owned())
}

/// The natural key of a store on a platform.
#[must_use]
pub fn store_key(platform: &str, host: &str) -> NaturalKey {
    NaturalKey::new(format!("{platform}/{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_store_have_one_key() {
        for text in ["store-a1.mybigcommerce.com", "https://store-A1.mybigcommerce.com/", " STORE-a1.mybigcommerce.com "] {
            assert_eq!(store_host(text).as_deref(), Some("store-a1.mybigcommerce.com"), "{text}");
        }
    }

    #[test]
    fn what_is_no_bare_host_is_refused() {
        for text in ["", "https://", "a", "a..b", "a.b/path", "a.b:443", "u@a.b", "a b.c", "-a.b", "a.b?x=1", "ä.b"] {
            assert_eq!(store_host(text), None, "{text}");
        }
    }
}
