//! What the platforms of the providers ask for, as tables: validation, documentation and tests read these and nothing else.
//!
//! Source: Rutter's public reference, "Create a Connection" and "Platform Specific Required Body Params", and its
//! `OpenAPI` document. Rutter names one flat list of fields for each platform; which of them are secret is ours to say:
//! what tells the store or is a plain setting is a parameter, everything else lives in the Secret.

/// One platform of Rutter that a connection can be made to with credentials.
#[derive(Debug)]
pub struct RutterPlatform {
    /// Rutter's spelling.
    pub name: &'static str,
    /// What tells one store of the platform from another.
    pub identity: Identity,
    /// The fields of `spec.rutter.parameters`: the same for every form.
    pub parameters: &'static [Parameter],
    /// The sets of secret fields that Rutter takes; one of them must be in the Secret.
    pub forms: &'static [Form],
}

/// What tells one store of a platform from another, as far as Rutter documents it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `store_url`, a host below this suffix, whatever domain the merchant shows.
    Hosted(&'static str),
    /// `store_url`, wherever the merchant runs the store; it may have a path.
    SelfHosted,
    /// Nothing: two connections may be of one store, and nobody can tell.
    None,
}

/// A field that is not secret.
#[derive(Debug)]
pub struct Parameter {
    /// Rutter's spelling.
    pub name: &'static str,
    /// Whether Rutter refuses a create without it.
    pub required: bool,
    /// The values that Rutter takes; any where none are listed.
    pub values: &'static [&'static str],
    /// What to write, for messages and documentation.
    pub what: &'static str,
}

/// One set of secret fields.
#[derive(Debug)]
pub struct Form {
    /// What people call it where a platform has several; empty otherwise.
    pub name: &'static str,
    /// Fields that must be there.
    pub required: &'static [&'static str],
    /// Fields that may be there; all of them or none.
    pub together: &'static [&'static str],
    /// The first version of the API that takes it.
    pub since: &'static str,
    /// The last version of the API that takes it; `None` where the newest does.
    pub until: Option<&'static str>,
}

/// The API versions of Rutter that this version of Tradewind speaks, newest first. Being dates, they compare as text.
pub const RUTTER_VERSIONS: &[&str] = &["2024-08-31", "2024-04-30", "2023-03-14", FIRST];
const FIRST: &str = "2023-02-07";
/// The second one, from Rutter's `OpenAPI` document: XERO came with it, NETSUITE's `public_key` went.
const SECOND: &str = "2023-03-14";

const APP: &[&str] = &["oauth_client_id", "oauth_client_secret"];
const REFRESHED_APP: &[&str] = &["oauth_client_id", "oauth_client_secret", "oauth_refresh_token"];
const BASIC: &[&str] = &["basic_username", "basic_password"];
const TOKEN: &[&str] = &["oauth_access_token"];
const NETSUITE: &[&str] = &["token_id", "token_secret", "consumer_key", "consumer_secret"];

const fn form(required: &'static [&'static str]) -> Form {
    Form { name: "", required, together: &[], since: FIRST, until: None }
}

const fn parameter(name: &'static str, what: &'static str) -> Parameter {
    Parameter { name, required: true, values: &[], what }
}

const ADDRESS: &[Parameter] =
    &[parameter("store_url", "the store's address, such as shop.example.com or example.com/shop")];

const fn self_hosted(name: &'static str, forms: &'static [Form]) -> RutterPlatform {
    RutterPlatform { name, identity: Identity::SelfHosted, parameters: ADDRESS, forms }
}

const fn unnamed(name: &'static str, parameters: &'static [Parameter], forms: &'static [Form]) -> RutterPlatform {
    RutterPlatform { name, identity: Identity::None, parameters, forms }
}

/// The platforms of Rutter that this version serves with credentials: all that Rutter's reference lists for them.
pub const RUTTER_PLATFORMS: &[RutterPlatform] = &[
    RutterPlatform {
        name: "BIG_COMMERCE",
        identity: Identity::Hosted(".mybigcommerce.com"),
        parameters: &[parameter("store_url", "the store's permanent host, such as store-abc123.mybigcommerce.com")],
        // Single-click apps have an id and a secret, connector apps have not.
        forms: &[Form { together: APP, ..form(TOKEN) }],
    },
    RutterPlatform {
        name: "SHOPIFY",
        identity: Identity::Hosted(".myshopify.com"),
        parameters: &[parameter("store_url", "the store's permanent host, such as acme.myshopify.com")],
        forms: &[
            Form { name: "public app", ..form(&["oauth_client_id", "oauth_client_secret", "oauth_access_token"]) },
            Form { name: "private app", ..form(BASIC) },
        ],
    },
    self_hosted("WOO_COMMERCE", &[form(BASIC)]),
    self_hosted("MAGENTO", &[form(BASIC)]),
    self_hosted("PRESTASHOP", &[form(&["api_key"])]),
    self_hosted("SHOPER", &[form(&["oauth_access_token", "oauth_refresh_token"])]),
    unnamed(
        "AMAZON",
        &[
            parameter("amazon_selling_partner_role", "the role of the selling partner application"),
            Parameter {
                values: &["na", "eu", "fe"],
                ..parameter("amazon_seller_region", "the seller's region: na, eu or fe")
            },
        ],
        &[form(&[
            "oauth_client_id",
            "oauth_client_secret",
            "oauth_refresh_token",
            "amazon_access_key_id",
            "amazon_secret_access_key",
        ])],
    ),
    unnamed("EBAY", &[], &[form(REFRESHED_APP)]),
    unnamed(
        "LAZADA",
        &[parameter("country", "the country of the seller's account")],
        &[form(&["oauth_client_id", "oauth_client_secret", "oauth_access_token", "oauth_refresh_token"])],
    ),
    unnamed(
        "FNAC",
        &[parameter("partner_id", "the partner's id at Fnac"), parameter("shop_id", "the shop's id at Fnac")],
        &[form(&["key"])],
    ),
    unnamed("SQUARE", &[], &[form(REFRESHED_APP)]),
    unnamed("STRIPE", &[parameter("account_id", "the id of the Stripe account")], &[form(TOKEN)]),
    unnamed(
        "QUICKBOOKS",
        &[
            parameter("realm_id", "the id of the QuickBooks company"),
            Parameter { required: false, ..parameter("environment", "the QuickBooks environment") },
        ],
        &[form(REFRESHED_APP)],
    ),
    unnamed(
        "NETSUITE",
        &[parameter("store_name", "the NetSuite account; a sandbox is written like 1000000_SB1")],
        &[
            Form {
                until: Some(FIRST),
                ..form(&["token_id", "token_secret", "consumer_key", "consumer_secret", "public_key"])
            },
            Form { since: SECOND, ..form(NETSUITE) },
        ],
    ),
    unnamed("WALMART", &[], &[form(APP)]),
    unnamed(
        "XERO",
        &[parameter("tenant_id", "the id of the Xero organisation"), parameter("user_id", "the id of the Xero user")],
        &[Form { since: SECOND, ..form(REFRESHED_APP) }],
    ),
];

/// The platform with this name.
#[must_use]
pub fn rutter_platform(name: &str) -> Option<&'static RutterPlatform> {
    RUTTER_PLATFORMS.iter().find(|p| p.name == name)
}

/// Whether any platform takes a secret by this name: it must not be read by everybody, wherever it was meant to go.
#[must_use]
pub fn is_secret(field: &str) -> bool {
    RUTTER_PLATFORMS.iter().any(|p| p.secrets().any(|s| s == field))
}

impl Form {
    /// Whether this version of the API takes it.
    #[must_use]
    pub fn is_of(&self, version: &str) -> bool {
        self.since <= version && self.until.is_none_or(|until| version <= until)
    }

    /// All its fields.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.required.iter().chain(self.together).copied()
    }
}

impl RutterPlatform {
    /// The parameter with this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }

    /// Every secret field that any version of the API takes.
    pub fn secrets(&self) -> impl Iterator<Item = &'static str> {
        self.forms.iter().flat_map(Form::fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_is_both_secret_and_in_the_open() {
        for platform in RUTTER_PLATFORMS {
            for field in platform.secrets() {
                assert!(platform.parameter(field).is_none(), "{} {field}", platform.name);
            }
            let open = platform.parameters.iter().find(|p| is_secret(p.name));
            assert!(open.is_none(), "a secret of another platform: {open:?}");
        }
    }

    #[test]
    fn a_platform_has_a_store_url_exactly_where_that_is_its_identity() {
        for platform in RUTTER_PLATFORMS {
            let told = platform.identity != Identity::None;
            assert_eq!(platform.parameter("store_url").is_some_and(|p| p.required), told, "{}", platform.name);
        }
    }

    #[test]
    fn every_platform_is_listed_once_and_served_in_the_newest_version() {
        assert_eq!(RUTTER_PLATFORMS.len(), 16);
        for platform in RUTTER_PLATFORMS {
            assert_eq!(RUTTER_PLATFORMS.iter().filter(|p| p.name == platform.name).count(), 1, "{}", platform.name);
            assert!(platform.forms.iter().any(|f| f.is_of(RUTTER_VERSIONS[0])), "{}", platform.name);
        }
    }

    #[test]
    fn the_versions_are_dates_in_order() {
        assert!(RUTTER_VERSIONS.is_sorted_by(|a, b| a > b));
        let bounds = RUTTER_PLATFORMS.iter().flat_map(|p| p.forms).flat_map(|f| [Some(f.since), f.until]);
        assert!(bounds.flatten().all(|v| RUTTER_VERSIONS.contains(&v)));
    }

    #[test]
    fn one_parameter_alone_may_be_left_out() {
        let all = RUTTER_PLATFORMS.iter().flat_map(|p| p.parameters.iter().map(|parameter| (p.name, parameter)));
        let optional: Vec<_> = all.filter(|(_, p)| !p.required).map(|(platform, p)| (platform, p.name)).collect();
        assert_eq!(optional, [("QUICKBOOKS", "environment")]);
    }
}
