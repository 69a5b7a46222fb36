//! Where a store is: the normal form of its URL, the key that follows, and whether a record is of that store.
//!
//! It must never say that a record is of another store where it may be of the same: that would be a second record.

use super::{
    ids::NaturalKey,
    rules::{Identity, RutterPlatform},
};

/// Whether a record is of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// It is.
    Same,
    /// It is of another one.
    Other,
    /// Nobody can tell.
    Doubt,
}

/// The platform whose stores may have two hosts below its suffix.
const BIG_COMMERCE: &str = "BIG_COMMERCE";
/// The longest store URL in its normal form; a key with it must fit into a status.
const LONGEST: usize = 400;

/// The natural key of a store on a platform. Letter case tells no two stores apart.
#[must_use]
pub fn store_key(platform: &str, store: &str) -> NaturalKey {
    NaturalKey::new(format!("{platform}/{}", store.to_ascii_lowercase()))
}

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

/// Platform and store of a key.
#[must_use]
pub fn read_key(key: &NaturalKey) -> Option<(&str, &str)> {
    key.as_str().split_once('/')
}

/// A store URL in its normal form: no scheme, host in small letters, no default port, path as it was written but
/// without the last slash. `None` if it is no URL of a store.
fn normal(store_url: &str) -> Option<String> {
    let text = store_url.trim();
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "" | "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let place = place.to_ascii_lowercase();
    let place = place.strip_suffix(default_port).unwrap_or(&place);
    let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
    let path = path.strip_suffix('/').unwrap_or(path);
    let good = is_host(host) && port.is_none_or(is_port) && path.split('/').skip(1).all(is_segment);
    let whole = format!("{place}{path}");
    (good && whole.len() <= LONGEST).then_some(whole)
}

fn is_host(host: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    host.len() <= 253 && host.contains('.') && host.split('.').all(label)
}

fn is_port(port: &str) -> bool {
    !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

fn is_segment(segment: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
}

/// Host without port and `www.`, and path, in small letters.
fn parts(place: &str) -> (String, String) {
    let place = place.to_ascii_lowercase();
    let (host, path) = place.find('/').map_or((place.as_str(), ""), |at| place.split_at(at));
    let host = host.split(':').next().unwrap_or_default();
    (host.strip_prefix("www.").unwrap_or(host).to_owned(), path.to_owned())
}

/// Whether two addresses can be of one store only if somebody set it up so on purpose. A host and its subdomains may
/// be names of one store, and so may a host and a path below it: what Rutter tells need not be what it was given.
fn apart(one: &str, other: &str) -> bool {
    let ((host, path), (other_host, other_path)) = (parts(one), parts(other));
    let below = |a: &str, b: &str| a.strip_suffix(b).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if !below(&host, &other_host) && !below(&other_host, &host) {
        return true;
    }
    let within = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    host == other_host && !within(&path, &other_path) && !within(&other_path, &path)
}

impl RutterPlatform {
    /// A `store_url` in its normal form; `None` if it is none of this platform's.
    #[must_use]
    pub fn store(&self, store_url: &str) -> Option<String> {
        let store = normal(store_url)?;
        match self.identity {
            Identity::Hosted(suffix) => store.strip_suffix(suffix).is_some_and(is_label).then_some(store),
            Identity::SelfHosted => Some(store),
            Identity::None => None,
        }
    }

    /// Whether a record is of this store, by what Rutter tells of it: its domain, which may be one of the merchant's
    /// own, and its unique id, whose form Rutter documents for no platform.
    #[must_use]
    pub fn recognise(&self, store: &str, domain: Option<&str>, unique_id: Option<&str>) -> Recognition {
        let told = self.told(domain, unique_id);
        let named = unique_id.zip(self.suffix()).map(|(id, suffix)| format!("{id}{suffix}"));
        if told.iter().chain(&named).any(|t| t.eq_ignore_ascii_case(store)) {
            return Recognition::Same;
        }
        let elsewhere = match self.identity {
            Identity::Hosted(_) => self.is_permanent(store) && told.iter().any(|told| self.is_permanent(told)),
            Identity::SelfHosted => told.iter().all(|t| apart(t, store)),
            Identity::None => false,
        };
        if elsewhere && !told.is_empty() { Recognition::Other } else { Recognition::Doubt }
    }

    /// Whether a store has no other host of this form. One of BigCommerce may have a second one, of its name, beside that of
    /// its hash.
    fn is_permanent(&self, host: &str) -> bool {
        self.name != BIG_COMMERCE || host.starts_with("store-")
    }

    /// Whether what Rutter tells of a record is all that there is to wait for.
    #[must_use]
    pub fn is_told(&self, domain: Option<&str>, unique_id: Option<&str>) -> bool {
        self.identity == Identity::None || !self.told(domain, unique_id).is_empty()
    }

    /// The addresses that a record's store certainly has: below the platform's own suffix where it has one.
    fn told(&self, domain: Option<&str>, unique_id: Option<&str>) -> Vec<String> {
        let addresses = [domain, unique_id].into_iter().flatten().filter_map(|t| self.store(t));
        // BigCommerce's permanent host holds the store hash, which is what Rutter knows its stores by.
        let hash = unique_id.filter(|id| self.name == BIG_COMMERCE && !id.contains('.'));
        let hashed = hash.zip(self.suffix()).and_then(|(id, suffix)| self.store(&format!("store-{id}{suffix}")));
        addresses.chain(hashed).collect()
    }

    fn suffix(&self) -> Option<&'static str> {
        match self.identity {
            Identity::Hosted(suffix) => Some(suffix),
            Identity::SelfHosted | Identity::None => None,
        }
    }
}

fn is_label(shop: &str) -> bool {
    // One label: with more of them it would count as another store than the one that it may be a name of.
    !shop.is_empty() && !shop.contains(['/', ':', '.'])
}

#[cfg(test)]
#[path = "stores_tests.rs"]
mod tests;
