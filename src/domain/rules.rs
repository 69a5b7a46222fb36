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

/// Every platform that Rutter's reference names, served or not: what it calls otherwise may be any of them.
///
/// Source: Rutter's public reference, the enumeration of platforms.
const NAMED: &[&str] = &[
    "ALIBABA",
    "AMAZON",
    "AUTHORIZENET",
    "BIG_COMMERCE",
    "CHARGEBEE",
    "CHARGIFY",
    "CLOVER",
    "COMMERCELAYER",
    "DYNAMICS365",
    "EBAY",
    "ECWID",
    "ETSY",
    "EXACTONLINE",
    "FACEBOOK",
    "FNAC",
    "FREEAGENT",
    "FRESHBOOKS",
    "GOOGLE",
    "GUMROAD",
    "INTUIT_BANK_FEEDS",
    "KASHFLOW",
    "LAZADA",
    "MAGENTO",
    "MERCADOLIBRE",
    "MOLLIE",
    "MONEYBIRD",
    "NETSUITE",
    "ODOO",
    "PAYNL",
    "PAYPAL",
    "PLAID",
    "PRESTASHOP",
    "QUICKBOOKS",
    "QUICKBOOKS_DESKTOP",
    "RECHARGE",
    "RECURLY",
    "SAGE",
    "SAGE200CLOUD",
    "SAGE_50",
    "SAGE_BUSINESS_CLOUD",
    "SAGE_INTACCT",
    "SAGE_INTACCT_V2",
    "SHOPEE",
    "SHOPER",
    "SHOPIFY",
    "SHOPLAZZA",
    "SHOPLINE",
    "SHOPWARE",
    "SQUARE",
    "SQUARESPACE",
    "STRIPE",
    "TALLY",
    "TIKTOK",
    "WALMART",
    "WAVE",
    "WEBFLOW",
    "WIX",
    "WOO_COMMERCE",
    "XERO",
    "ZOHOBOOKS",
];

/// Whether a platform that Rutter tells is certain to be another one than `platform`.
#[must_use]
pub fn is_another(told: &str, platform: &str) -> bool {
    told != platform && NAMED.contains(&told)
}

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

impl RutterPlatform {
    /// The hosts by which a record's store is known, from what Rutter tells of it: its domain, which may be one of the
    /// merchant's own, and its unique id, which for `BIG_COMMERCE` is the store hash in the permanent host.
    /// `None` where neither names the permanent host: then nobody can tell which store it is.
    #[must_use]
    pub fn hosts(&self, domain: Option<&str>, unique_id: Option<&str>) -> Option<Vec<String>> {
        let told = [domain, unique_id].into_iter().flatten().filter_map(store_host);
        let hash = unique_id.filter(|id| !id.contains('.')).map(|id| format!("store-{id}{}", self.store_suffix));
        let hosts: Vec<String> = told.chain(hash.as_deref().and_then(store_host)).collect();
        hosts.iter().any(|h| h.ends_with(self.store_suffix)).then_some(hosts)
    }
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
        for text in
            ["store-a1.mybigcommerce.com", "https://store-A1.mybigcommerce.com/", " STORE-a1.mybigcommerce.com "]
        {
            assert_eq!(store_host(text).as_deref(), Some("store-a1.mybigcommerce.com"), "{text}");
        }
    }

    #[test]
    fn a_store_is_known_by_its_permanent_host_however_rutter_tells_it() {
        let platform = rutter_platform("BIG_COMMERCE").expect("a platform");
        let permanent = "store-a1.mybigcommerce.com".to_owned();
        let knows = |domain, id| platform.hosts(domain, id).is_some_and(|hosts| hosts.contains(&permanent));
        assert!(knows(Some("store-A1.mybigcommerce.com"), None));
        assert!(knows(Some("shop.example.com"), Some("a1")), "the merchant's own domain hides it");
        assert!(knows(None, Some("a1")) && knows(None, Some("store-a1.mybigcommerce.com")));
        assert!(!knows(Some("store-b2.mybigcommerce.com"), Some("b2")));
        assert_eq!(platform.hosts(Some("shop.example.com"), None), None, "it may be any store");
        assert_eq!(platform.hosts(None, Some("")), None);
    }

    #[test]
    fn a_name_that_nobody_announced_may_be_any_platform() {
        assert!(is_another("SHOPIFY", "BIG_COMMERCE") && !is_another("BIG_COMMERCE", "BIG_COMMERCE"));
        assert!(!is_another("ANNOUNCED_TOMORROW", "BIG_COMMERCE"));
        assert!(RUTTER_PLATFORMS.iter().all(|p| NAMED.contains(&p.name)));
    }

    #[test]
    fn what_is_no_bare_host_is_refused() {
        for text in ["", "https://", "a", "a..b", "a.b/path", "a.b:443", "u@a.b", "a b.c", "-a.b", "a.b?x=1", "ä.b"] {
            assert_eq!(store_host(text), None, "{text}");
        }
    }
}
