//! What tells one store from another.

use url::Url;

/// The store behind a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Store {
    pub(super) platform: String,
    /// What its URL comes down to; none for the platforms that are not told by a URL.
    pub(super) identity: Option<String>,
    /// Rutter's main key against duplicates (help article on de-duplication). For `BigCommerce` it is the store hash.
    pub(super) unique_id: String,
}

impl Store {
    /// A store of a platform that is told by its URL.
    pub(super) fn at(platform: &str, identity: String) -> Self {
        let unique_id = bigcommerce_hash(&identity).unwrap_or(&identity).to_owned();
        Self { platform: platform.to_owned(), identity: Some(identity), unique_id }
    }

    /// A store of a platform that is told by something else.
    pub(super) fn known_as(platform: &str, unique_id: String) -> Self {
        Self { platform: platform.to_owned(), identity: None, unique_id }
    }

    /// A name such as a merchant would give it.
    pub(super) fn name(&self) -> String {
        format!("Store {}", self.unique_id)
    }
}

/// What a store URL comes down to: host and path in lower case, without scheme and trailing slash. The reference shows
/// a bare host; that a scheme is accepted too is inferred.
pub(super) fn canonical(store_url: &str) -> Option<String> {
    let with_scheme = if store_url.contains("://") { store_url.to_owned() } else { format!("https://{store_url}") };
    let url = Url::parse(&with_scheme).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let host = url.host_str().filter(|host| plain && host.contains('.'))?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{host}{port}{}", url.path().trim_end_matches('/')).to_lowercase())
}

/// `BigCommerce`'s permanent host is `store-{store_hash}.mybigcommerce.com`.
fn bigcommerce_hash(identity: &str) -> Option<&str> {
    identity.strip_suffix(".mybigcommerce.com")?.strip_prefix("store-")
}
