//! What each platform wants to be connected with.
//!
//! The tables are those of Rutter's Connections page ("Platform Specific Required Body Params") and of its `OpenAPI`
//! document. Owns which create bodies are accepted; it must never keep a value of a credential.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::store::{Store, canonical};
use super::{Refusal, Version};

/// One set of credentials that a platform takes. A platform with several wants any one of them.
struct Form {
    platform: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    /// The field that tells one account of the platform from another, where it is not `store_url`.
    told_by: Option<&'static str>,
    /// The first version that has it.
    since: Version,
    /// The last one; none where the newest has it.
    until: Option<Version>,
}

impl Form {
    fn is_of(&self, version: Version) -> bool {
        self.since <= version && self.until.is_none_or(|until| version <= until)
    }
}

const fn form(platform: &'static str, required: &'static [&'static str]) -> Form {
    Form { platform, required, optional: &[], told_by: None, since: Version::V20230207, until: None }
}

const APP: [&str; 3] = ["oauth_client_id", "oauth_client_secret", "oauth_refresh_token"];

static FORMS: [Form; 18] = [
    Form {
        // The guide wants the id and the secret for single-click apps; the reference makes both optional.
        optional: &["oauth_client_id", "oauth_client_secret"],
        ..form("BIG_COMMERCE", &["store_url", "oauth_access_token"])
    },
    form("SHOPIFY", &["store_url", "oauth_client_id", "oauth_client_secret", "oauth_access_token"]),
    form("SHOPIFY", &["store_url", "basic_username", "basic_password"]),
    form("WOO_COMMERCE", &["store_url", "basic_username", "basic_password"]),
    form("MAGENTO", &["store_url", "basic_username", "basic_password"]),
    form("PRESTASHOP", &["store_url", "api_key"]),
    form("SHOPER", &["store_url", "oauth_access_token", "oauth_refresh_token"]),
    form(
        "AMAZON",
        &[
            "oauth_client_id",
            "oauth_client_secret",
            "oauth_refresh_token",
            "amazon_access_key_id",
            "amazon_secret_access_key",
            "amazon_selling_partner_role",
            "amazon_seller_region",
        ],
    ),
    form("EBAY", &APP),
    form("SQUARE", &APP),
    form("LAZADA", &["oauth_client_id", "oauth_client_secret", "oauth_access_token", "oauth_refresh_token", "country"]),
    Form { told_by: Some("shop_id"), ..form("FNAC", &["partner_id", "shop_id", "key"]) },
    Form { told_by: Some("account_id"), ..form("STRIPE", &["account_id", "oauth_access_token"]) },
    Form {
        optional: &["environment"],
        told_by: Some("realm_id"),
        ..form("QUICKBOOKS", &["oauth_client_id", "oauth_client_secret", "oauth_refresh_token", "realm_id"])
    },
    // Required by the page of 2023-02-07; the OpenAPI document of 2023-03-14 does not know it.
    Form { told_by: Some("store_name"), until: Some(Version::V20230207), ..form("NETSUITE", &NETSUITE_2023_02_07) },
    Form { told_by: Some("store_name"), since: Version::V20230314, ..form("NETSUITE", &NETSUITE) },
    form("WALMART", &["oauth_client_id", "oauth_client_secret"]),
    Form {
        told_by: Some("tenant_id"),
        since: Version::V20230314,
        ..form("XERO", &["oauth_client_id", "oauth_client_secret", "oauth_refresh_token", "tenant_id", "user_id"])
    },
];

const NETSUITE: [&str; 5] = ["token_id", "token_secret", "consumer_key", "consumer_secret", "store_name"];
const NETSUITE_2023_02_07: [&str; 6] =
    ["token_id", "token_secret", "consumer_key", "consumer_secret", "store_name", "public_key"];

/// Platforms whose stores live on a host of the platform.
const HOSTED: [(&str, &str); 2] = [("BIG_COMMERCE", ".mybigcommerce.com"), ("SHOPIFY", ".myshopify.com")];

/// What a create with these fields would connect; the value is the identity where the platform has one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) platform: &'static str,
    pub(super) store: Option<Store>,
}

/// Checks the body of a create.
pub(super) fn check(fields: &Map<String, Value>, version: Version) -> Result<Candidate, Refusal> {
    let named = fields.get("platform").ok_or_else(|| Refusal::missing("PLATFORM", "platform is required"))?;
    let forms: Vec<&Form> =
        FORMS.iter().filter(|form| Some(form.platform) == named.as_str() && form.is_of(version)).collect();
    let known: BTreeSet<&str> =
        forms.iter().flat_map(|form| form.required.iter().chain(form.optional)).copied().collect();
    let Some(first) = forms.first() else {
        return Err(Refusal::invalid("platform is none that can be connected with credentials"));
    };
    for (name, value) in fields {
        if name != "platform" && name != "scope" && !known.contains(name.as_str()) {
            return Err(Refusal::invalid(&format!("unknown field {name}")));
        }
        if value.as_str().is_none_or(|text| text.trim().is_empty()) {
            return Err(Refusal::invalid(&format!("{name} must be a string that is not empty")));
        }
    }
    let chosen = forms.iter().find(|form| missing(form, fields).is_empty());
    let Some(chosen) = chosen else {
        // The reference says "any of"; the set that lacks least is the one that was meant.
        let least = forms.iter().map(|form| missing(form, fields)).min_by_key(Vec::len).unwrap_or_default();
        return Err(Refusal::missing("FIELDS", &format!("{} wants {}", first.platform, least.join(", "))));
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if text("amazon_seller_region").is_some_and(|region| !["na", "eu", "fe"].contains(&region)) {
        return Err(Refusal::invalid("amazon_seller_region is none of na, eu, fe"));
    }
    let store = match (text("store_url"), chosen.told_by.and_then(text)) {
        (Some(url), _) => Some(Store::at(chosen.platform, store_identity(chosen.platform, url)?)),
        (None, Some(name)) => Some(Store::known_as(chosen.platform, name.to_owned())),
        (None, None) => None,
    };
    Ok(Candidate { platform: chosen.platform, store })
}

/// What a store URL comes down to, if the platform would take it.
pub(super) fn store_identity(platform: &str, store_url: &str) -> Result<String, Refusal> {
    let identity = canonical(store_url).ok_or_else(|| Refusal::invalid("store_url is no store's URL"))?;
    let hosted = HOSTED.iter().find(|(hosted, _)| *hosted == platform).map(|(_, suffix)| *suffix);
    let label = hosted.map(|suffix| (suffix, identity.strip_suffix(suffix)));
    match label {
        Some((suffix, None | Some(""))) => Err(Refusal::invalid(&format!("store_url must be a {suffix} host"))),
        _ => Ok(identity),
    }
}

fn missing(form: &Form, fields: &Map<String, Value>) -> Vec<&'static str> {
    form.required.iter().filter(|name| !fields.contains_key(**name)).copied().collect()
}
