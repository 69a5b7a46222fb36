//! What a connector is described by, and which values each field takes.
//!
//! Arcus' pages on `POST` and `PATCH` of a connector. Strict where they are silent: a field that is not listed, or that
//! belongs to another kind of connector, is refused (*inferred*).
//!
//! Owns which bodies are accepted. It must never put a value into a refusal: it may be a secret that should not be there.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::connector::{Connector, Mode};
use super::refusal::Refusal;
use super::settings::Settings;

/// What a body must not have: credentials go in through the user interface, the entity follows from the key.
const BANNED: [&str; 8] = [
    "credentials",
    "secret",
    "api_key",
    "access_token",
    "refresh_token",
    "webhook_secret",
    "credentials_secret_arn",
    "entity_id",
];

const SHIP_FROM: [&str; 5] =
    ["ship_from_name", "ship_from_address1", "ship_from_city", "ship_from_state", "ship_from_zip"];
const SELLER: &str = "seller_id";
const BANK_ACCOUNT: &str = "bank_account_id";

/// The fields that are null in the rows of those that do not have them.
pub(super) const DETAILS: [&str; 7] = [
    "ship_from_name",
    "ship_from_address1",
    "ship_from_city",
    "ship_from_state",
    "ship_from_zip",
    SELLER,
    BANK_ACCOUNT,
];

/// Which body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Create,
    Update,
}

/// What a valid body says.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) display_name: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) is_active: Option<bool>,
    pub(super) config: Option<Map<String, Value>>,
    pub(super) shop: Option<String>,
    /// None inside clears the field.
    pub(super) details: BTreeMap<&'static str, Option<String>>,
}

impl Draft {
    /// The same with a value for everything. Which defaults there are is inferred.
    pub(super) fn filled(mut self, connector: Connector, mode: Mode) -> Self {
        self.display_name.get_or_insert_with(|| connector.name().to_owned());
        self.mode.get_or_insert(mode);
        self.config.get_or_insert_default();
        for name in DETAILS {
            self.details.entry(name).or_default();
        }
        self
    }
}

/// Reads a body.
pub(super) fn read(
    body: Map<String, Value>,
    connector: Connector,
    scope: Scope,
    settings: &Settings,
) -> Result<Draft, Refusal> {
    check_bans(&body, settings)?;
    let mut draft = Draft::default();
    for (name, value) in body {
        match (name.as_str(), scope) {
            ("display_name", _) => draft.display_name = Some(text(&name, &value)?),
            ("mode", _) => {
                let mode = Mode::named(&text(&name, &value)?);
                draft.mode = Some(mode.ok_or_else(|| Refusal::invalid(&name, "It is neither sandbox nor live."))?);
            }
            ("is_active", Scope::Update) => {
                let active = value.as_bool();
                draft.is_active = Some(active.ok_or_else(|| Refusal::invalid(&name, "It must be a boolean."))?);
            }
            ("config", _) => match value {
                Value::Object(config) => draft.config = Some(config),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    return Err(Refusal::invalid(&name, "It must be an object."));
                }
            },
            ("shop", Scope::Create) if connector.wants_consent() => draft.shop = Some(shop(&text(&name, &value)?)?),
            _ => match DETAILS.into_iter().find(|detail| *detail == name) {
                Some(detail) if belongs(detail, connector) => {
                    draft.details.insert(detail, self::detail(detail, &value, settings)?);
                }
                Some(_) => return Err(Refusal::invalid(&name, "It does not belong to this connector.")),
                None => return Err(Refusal::invalid(&name, "It is not a field of this request.")),
            },
        }
    }
    Ok(draft)
}

fn belongs(detail: &str, connector: Connector) -> bool {
    match detail {
        SELLER => connector.has_sellers(),
        BANK_ACCOUNT => connector == Connector::Plaid,
        _ => SHIP_FROM.contains(&detail) && connector.ships(),
    }
}

fn detail(name: &str, value: &Value, settings: &Settings) -> Result<Option<String>, Refusal> {
    if value.is_null() && settings.null_clears {
        return Ok(None);
    }
    let text = text(name, value)?;
    if name == BANK_ACCOUNT {
        // A database of UUIDs has one spelling for all.
        let id = Uuid::try_parse(&text).map_err(|_| Refusal::invalid(name, "It must be a UUID."))?;
        return Ok(Some(id.to_string()));
    }
    Ok(Some(text))
}

fn text(name: &str, value: &Value) -> Result<String, Refusal> {
    let text = value.as_str().filter(|text| !text.trim().is_empty());
    text.map(ToOwned::to_owned).ok_or_else(|| Refusal::invalid(name, "It must be a string that is not empty."))
}

/// "Never a custom storefront domain" (page on marketplace connectors).
fn shop(text: &str) -> Result<String, Refusal> {
    let lower = text.to_ascii_lowercase();
    let label = lower.strip_suffix(".myshopify.com").unwrap_or_default();
    let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain && !label.is_empty() && !label.starts_with('-') {
        Ok(lower)
    } else {
        Err(Refusal::invalid("shop", "It must be a *.myshopify.com domain."))
    }
}

fn check_bans(body: &Map<String, Value>, settings: &Settings) -> Result<(), Refusal> {
    const HINT: &str = "It is not accepted here.";
    if let Some(name) = body.keys().find(|name| BANNED.contains(&name.as_str())) {
        return Err(Refusal::invalid(name, HINT));
    }
    let config = body.get("config").filter(|_| settings.bans_in_config);
    match config.and_then(|config| banned_inside("config", config)) {
        Some(path) => Err(Refusal::invalid(&path, HINT)),
        None => Ok(()),
    }
}

/// The dotted path of the first banned name. JSON that has been read is not nested deeper than its reader allows.
fn banned_inside(path: &str, value: &Value) -> Option<String> {
    match value {
        Value::Object(object) => object.iter().find_map(|(name, inner)| {
            let path = format!("{path}.{name}");
            if BANNED.contains(&name.as_str()) { Some(path) } else { banned_inside(&path, inner) }
        }),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, inner)| banned_inside(&format!("{path}.{index}"), inner))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
