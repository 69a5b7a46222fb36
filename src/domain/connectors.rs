//! What is wanted of Arcus ERP: a connector's fields in the API's names, and what must never be sent.
//!
//! Source: Arcus' public reference, "Create or initiate a connector connection" and "Update editable fields". An entity
//! has one connector of each type, so that the type is both key and id.

use super::{
    diff::remembered,
    ids::NaturalKey,
    reason::{Problem, Reason},
};
use crate::api::v1alpha1::{AppliedField, ArcusConnection, ArcusMode, ConnectionSpec};
use serde_json::{Map, Value, json};

/// One type of connector.
#[derive(Debug, PartialEq, Eq)]
pub struct Connector {
    /// Arcus' spelling.
    pub name: &'static str,
    /// The fields of `spec.arcus` that only some types have; those of `shipFrom` are not said to be of any.
    pub fields: &'static [&'static str],
    /// Whether a merchant authorizes it in the browser.
    pub oauth: bool,
}

const SELLER: &[&str] = &["sellerId"];

const fn connector(name: &'static str, fields: &'static [&'static str]) -> Connector {
    Connector { name, fields, oauth: false }
}

impl Connector {
    /// The type that Arcus calls so.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        CONNECTORS.iter().find(|c| c.name == name)
    }
}

/// Every type of connector that Arcus documents.
pub const CONNECTORS: &[Connector] = &[
    connector("stripe", &[]),
    connector("avatax", &[]),
    connector("shippo", &[]),
    connector("printnode", &[]),
    connector("postmark", &[]),
    Connector { name: "shopify", fields: &["shop"], oauth: true },
    connector("mapquest", &[]),
    connector("google", &[]),
    connector("openai", &[]),
    connector("plaid", &["bankAccountId"]),
    connector("ups", &[]),
    connector("fedex", &[]),
    connector("usps", &[]),
    connector("amazon", SELLER),
    connector("ebay", SELLER),
    connector("wwex", &[]),
];

/// What Arcus refuses in any body: credentials are entered in its own pages, and the entity follows from the key.
const BANNED: &[&str] = &[
    "credentials",
    "secret",
    "apikey",
    "accesstoken",
    "refreshtoken",
    "webhooksecret",
    "credentialssecretarn",
    "entityid",
];

/// One declared field: its path in the object, and the API's name and value.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Path in the object.
    pub path: String,
    /// Arcus' spelling.
    pub name: &'static str,
    /// What it is to be.
    pub value: Value,
}

impl Field {
    /// As `status.appliedFields` remembers it.
    #[must_use]
    pub fn applied(&self) -> AppliedField {
        remembered(&self.path, &self.value)
    }

    /// Whether it has to be sent. `told`: what the row shows of it, if it shows it; `applied`: what was sent last.
    #[must_use]
    pub fn differs(&self, told: Option<&Value>, applied: &[AppliedField]) -> bool {
        match (&self.value, told.filter(|told| !told.is_null() || self.is_nullable())) {
            // What is declared of a configuration counts; what else is in it is somebody else's.
            (Value::Object(want), Some(Value::Object(told))) => want.iter().any(|(k, v)| told.get(k) != Some(v)),
            (Value::String(want), Some(Value::String(told))) if self.name == BANK_ACCOUNT => *want != canonical(told),
            (want, Some(told)) => want != told,
            (_, None) => !applied.contains(&self.applied()),
        }
    }

    /// Whether null is a value of it, which it has where somebody has cleared it; a null elsewhere tells nothing.
    fn is_nullable(&self) -> bool {
        self.name.starts_with("ship_from_") || ["seller_id", BANK_ACCOUNT].contains(&self.name)
    }
}

/// What is wanted of a connector.
#[derive(Clone, Debug)]
pub struct ConnectorWant {
    /// The type.
    pub connector: &'static Connector,
    /// Real data, or test data.
    pub mode: ArcusMode,
    /// The shop of a connector that a merchant authorizes.
    pub shop: Option<String>,
    fields: Vec<Field>,
}

impl ConnectorWant {
    /// Reads a declaration.
    ///
    /// # Errors
    /// `UnsupportedPlatform` for a type that Arcus does not have, `InvalidSpec` for what no connector of the type could
    /// have.
    pub fn new(spec: &ConnectionSpec) -> Result<Self, Problem> {
        let invalid = |text: String| Problem::new(Reason::InvalidSpec, text);
        let settings =
            spec.arcus.as_ref().ok_or_else(|| invalid("spec.arcus is missing: provider Arcus needs it".into()))?;
        let name = spec.platform.as_deref().ok_or_else(|| invalid("spec.platform is missing".into()))?;
        let connector = Connector::named(name).ok_or_else(|| {
            let known: Vec<&str> = CONNECTORS.iter().map(|c| c.name).collect();
            let text = format!("Arcus has no connector of type {name}: it has {}", known.join(", "));
            Problem::new(Reason::UnsupportedPlatform, text)
        })?;
        if let Some(path) = settings.config.as_ref().and_then(|config| banned(config, "spec.arcus.config")) {
            return Err(invalid(format!(
                "{path} carries credentials, which Arcus takes in its own pages only: remove it, and change it where it \
                 came from, since it was readable here"
            )));
        }
        belongs(connector, settings)?;
        if let Some(id) = spec.external_ref.as_ref().filter(|r| r.id != connector.name) {
            return Err(invalid(format!(
                "spec.externalRef.id is {}: the id of a connector is its type, {name}",
                id.id
            )));
        }
        if connector.oauth && spec.connection_secret_ref.is_none() {
            return Err(invalid(
                "spec.connectionSecretRef is missing: the link that a merchant has to open is written there and nowhere else"
                    .into(),
            ));
        }
        Ok(Self { connector, mode: settings.mode, shop: settings.shop.clone(), fields: fields(settings) })
    }

    /// An entity has one connector of each type.
    #[must_use]
    pub fn key(&self) -> NaturalKey {
        NaturalKey::new(self.connector.name)
    }

    /// Every declared field that can be changed in place.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether it is to be switched off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.fields.iter().any(|field| field.name == ACTIVE && field.value == Value::Bool(false))
    }

    /// What the record is made with, for `status.appliedFields`.
    #[must_use]
    pub fn applied(&self) -> Vec<AppliedField> {
        let platform = AppliedField { path: "spec.platform".into(), value: self.connector.name.into() };
        [platform].into_iter().chain(self.fields.iter().map(Field::applied)).collect()
    }

    /// The body of a create: everything but whether it works, which a create takes no word of.
    #[must_use]
    pub fn create_body(&self) -> Map<String, Value> {
        let declared = self.fields.iter().filter(|f| f.name != ACTIVE).map(|f| (f.name.to_owned(), f.value.clone()));
        declared.chain(self.shop.as_ref().map(|shop| ("shop".to_owned(), json!(shop)))).collect()
    }

    /// What keeps a create, or a change, from being sent. `live`: whether the account's key is one for real data.
    #[must_use]
    pub fn objection(&self, live: bool, creating: bool) -> Option<Problem> {
        let mode = spelled(self.mode);
        if live != (self.mode == ArcusMode::Live) {
            let key = if live { "live" } else { "test" };
            let text = format!(
                "spec.arcus.mode is {mode:?}, and the account logs in with a {key} key: name an account with a key for \
                 {mode} data, or make another Connection with the other mode"
            );
            return Some(Problem::new(Reason::EnvironmentMismatch, text));
        }
        (creating && self.connector.oauth && self.shop.is_none()).then(|| {
            let text = "spec.arcus.shop is missing: write the store's permanent host, such as acme.myshopify.com";
            Problem::new(Reason::InvalidSpec, text)
        })
    }
}

/// The field that says whether a connector works.
pub const ACTIVE: &str = "is_active";
/// A UUID, which Arcus may spell in another way than it was given. Of the fields with ids only this one is said to be one.
const BANK_ACCOUNT: &str = "bank_account_id";

/// A UUID in the spelling of all; what is none is left for Arcus to refuse.
fn canonical(id: &str) -> String {
    uuid::Uuid::try_parse(id).map_or_else(|_| id.to_owned(), |id| id.to_string())
}

fn spelled(mode: ArcusMode) -> &'static str {
    match mode {
        ArcusMode::Live => "live",
        ArcusMode::Sandbox => "sandbox",
    }
}

fn fields(settings: &ArcusConnection) -> Vec<Field> {
    let field = |path: &str, name, value: Value| Field { path: format!("spec.arcus.{path}"), name, value };
    let text = |path, name, value: Option<&String>| value.map(|v| field(path, name, json!(v)));
    let ship = settings.ship_from.as_ref();
    let optional = [
        text("displayName", "display_name", settings.display_name.as_ref()),
        settings.config.as_ref().map(|config| field("config", "config", Value::Object(config.clone()))),
        text("shipFrom.name", "ship_from_name", ship.and_then(|s| s.name.as_ref())),
        text("shipFrom.address1", "ship_from_address1", ship.and_then(|s| s.address1.as_ref())),
        text("shipFrom.city", "ship_from_city", ship.and_then(|s| s.city.as_ref())),
        text("shipFrom.state", "ship_from_state", ship.and_then(|s| s.state.as_ref())),
        text("shipFrom.zip", "ship_from_zip", ship.and_then(|s| s.zip.as_ref())),
        text("sellerId", "seller_id", settings.seller_id.as_ref()),
        text("bankAccountId", BANK_ACCOUNT, settings.bank_account_id.as_ref().map(|id| canonical(id)).as_ref()),
    ];
    let always =
        [field("mode", "mode", json!(spelled(settings.mode))), field("active", ACTIVE, json!(settings.active))];
    always.into_iter().chain(optional.into_iter().flatten()).collect()
}

/// Fields that only some types have.
fn belongs(connector: &Connector, settings: &ArcusConnection) -> Result<(), Problem> {
    let given = [
        ("shop", settings.shop.is_some()),
        ("sellerId", settings.seller_id.is_some()),
        ("bankAccountId", settings.bank_account_id.is_some()),
    ];
    let invalid = |text: String| Problem::new(Reason::InvalidSpec, text);
    if let Some((field, _)) = given.iter().find(|(field, given)| *given && !connector.fields.contains(field)) {
        let of: Vec<&str> = CONNECTORS.iter().filter(|c| c.fields.contains(field)).map(|c| c.name).collect();
        let text =
            format!("spec.arcus.{field} is no field of {}: remove it; it is of {}", connector.name, of.join(", "));
        return Err(invalid(text));
    }
    let is_shop = |shop: &String| {
        let label = shop.strip_suffix(".myshopify.com").unwrap_or_default();
        let plain = label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        !label.is_empty() && plain && !label.starts_with('-')
    };
    if settings.shop.as_ref().is_some_and(|shop| !is_shop(shop)) {
        let text = "spec.arcus.shop is no permanent host of a store: write one such as acme.myshopify.com, never a domain \
                    of the merchant's own";
        return Err(invalid(text.into()));
    }
    Ok(())
}

/// The path of the first banned key, however deep it lies and however it is spelled.
fn banned(object: &Map<String, Value>, path: &str) -> Option<String> {
    object.iter().find_map(|(key, value)| {
        let bare: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
        let here = format!("{path}.{key}");
        if BANNED.contains(&bare.to_ascii_lowercase().as_str()) {
            // The key may be anything that somebody put there.
            return Some(super::text::plain(&here, 256));
        }
        within(value, &here)
    })
}

fn within(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(inner) => banned(inner, path),
        Value::Array(items) => items.iter().enumerate().find_map(|(n, item)| within(item, &format!("{path}[{n}]"))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The path in the object of a field that Arcus names in an error's `param`.
#[must_use]
pub fn path_of(param: &str) -> Option<String> {
    let path = match param {
        "mode" => "spec.arcus.mode",
        "display_name" => "spec.arcus.displayName",
        ACTIVE => "spec.arcus.active",
        "shop" => "spec.arcus.shop",
        "ship_from_name" => "spec.arcus.shipFrom.name",
        "ship_from_address1" => "spec.arcus.shipFrom.address1",
        "ship_from_city" => "spec.arcus.shipFrom.city",
        "ship_from_state" => "spec.arcus.shipFrom.state",
        "ship_from_zip" => "spec.arcus.shipFrom.zip",
        "seller_id" => "spec.arcus.sellerId",
        BANK_ACCOUNT => "spec.arcus.bankAccountId",
        "connector_type" => "spec.platform",
        param if param == "config" || param.starts_with("config.") => "spec.arcus.config",
        _ => return None,
    };
    Some(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::ExternalRef;
    use rstest::rstest;

    fn spec(platform: &str, arcus: &Value) -> ConnectionSpec {
        let mut settings = json!({"mode": "Live"});
        settings.as_object_mut().expect("an object").extend(arcus.as_object().expect("an object").clone());
        serde_json::from_value(json!({
            "provider": "Arcus", "accountRef": {"name": "arcus"}, "platform": platform, "arcus": settings,
            "connectionSecretRef": {"name": "s"},
        }))
        .expect("a spec")
    }

    #[test]
    fn every_type_is_served_with_its_own_fields_and_no_others() {
        let values = [("shop", json!("acme.myshopify.com")), ("sellerId", json!("s")), ("bankAccountId", json!("b"))];
        for connector in CONNECTORS {
            assert!(ConnectorWant::new(&spec(connector.name, &json!({}))).is_ok(), "{}", connector.name);
            for (field, value) in &values {
                let got = ConnectorWant::new(&spec(connector.name, &json!({*field: value})));
                assert_eq!(got.is_ok(), connector.fields.contains(field), "{} {field}", connector.name);
            }
        }
    }

    #[rstest]
    #[case::plain(json!({"api_key": "x"}), Some("spec.arcus.config.api_key"))]
    #[case::spelled_otherwise(json!({"apiKey": "x"}), Some("spec.arcus.config.apiKey"))]
    #[case::deep(json!({"a": [{"b": {"Access-Token": "x"}}]}), Some("spec.arcus.config.a[0].b.Access-Token"))]
    #[case::harmless(json!({"region": "eu", "label": {"format": "pdf"}}), None)]
    fn credentials_are_refused_however_deep_they_lie(#[case] config: Value, #[case] path: Option<&str>) {
        let got = ConnectorWant::new(&spec("shippo", &json!({"config": config})));
        assert_eq!(got.is_err(), path.is_some());
        assert!(got.err().is_none_or(|p| p.message.starts_with(path.unwrap_or_default())));
    }

    #[rstest]
    #[case::unknown("telegraph", json!({}), "it has stripe, avatax")]
    #[case::scheme("shopify", json!({"shop": "https://acme.myshopify.com"}), "acme.myshopify.com")]
    fn a_bad_declaration_says_what_to_write(#[case] platform: &str, #[case] arcus: Value, #[case] says: &str) {
        let problem = ConnectorWant::new(&spec(platform, &arcus)).expect_err("a refusal");
        assert!(problem.message.contains(says), "{}", problem.message);
    }

    #[test]
    fn a_key_of_the_other_environment_is_refused_before_any_write() {
        let want = ConnectorWant::new(&spec("shippo", &json!({}))).expect("a want");
        assert_eq!(want.objection(true, true), None);
        assert_eq!(want.objection(false, false).map(|p| p.reason), Some(Reason::EnvironmentMismatch));
    }

    #[test]
    fn a_shop_is_needed_to_create_and_not_to_look() {
        let want = ConnectorWant::new(&spec("shopify", &json!({}))).expect("a want");
        assert!(want.objection(true, true).is_some() && want.objection(true, false).is_none());
    }

    #[test]
    fn a_create_says_nothing_of_whether_it_works() {
        let want =
            ConnectorWant::new(&spec("shippo", &json!({"active": false, "displayName": "Labels"}))).expect("a want");
        assert_eq!(Value::Object(want.create_body()), json!({"mode": "live", "display_name": "Labels"}));
    }

    #[test]
    fn what_is_not_declared_of_a_configuration_is_left_alone() {
        let want = ConnectorWant::new(&spec("shippo", &json!({"config": {"a": 1}}))).expect("a want");
        let config = want.fields().iter().find(|f| f.name == "config").expect("a field");
        assert!(!config.differs(Some(&json!({"a": 1, "b": 2})), &[]));
        assert!(config.differs(Some(&json!({"a": 2})), &[]) && config.differs(Some(&json!({})), &[]));
    }

    /// A declaration with every field there is, whatever its type has.
    fn everything() -> ArcusConnection {
        serde_json::from_value(json!({
            "mode": "Sandbox", "active": false, "displayName": "Labels", "config": {"region": "eu"},
            "shop": "acme.myshopify.com", "sellerId": "s", "bankAccountId": "b",
            "shipFrom": {"name": "Acme", "address1": "Main Street 1", "city": "Springfield", "state": "IL", "zip": "62701"},
        }))
        .expect("settings")
    }

    #[test]
    fn an_error_is_told_by_the_path_of_what_was_declared() {
        let fields = fields(&everything());
        assert_eq!(fields.len(), 11);
        for field in fields {
            assert_eq!(path_of(field.name), Some(field.path));
        }
        for (param, path) in [
            ("shop", Some("spec.arcus.shop")),
            ("connector_type", Some("spec.platform")),
            ("config.region", Some("spec.arcus.config")),
            ("configuration", None),
            ("anything", None),
        ] {
            assert_eq!(path_of(param).as_deref(), path, "{param}");
        }
    }

    #[test]
    fn a_create_carries_what_was_declared_in_the_names_of_the_api() {
        let want = ConnectorWant::new(&spec("shopify", &json!({"mode": "Sandbox", "shop": "acme.myshopify.com"})));
        let want = want.expect("a want");
        assert_eq!(want.key().as_str(), "shopify");
        assert_eq!(Value::Object(want.create_body()), json!({"mode": "sandbox", "shop": "acme.myshopify.com"}));
        let applied = [("spec.platform", "shopify"), ("spec.arcus.mode", "sandbox"), ("spec.arcus.active", "true")];
        let applied = applied.map(|(path, value)| AppliedField { path: path.into(), value: value.into() });
        assert_eq!(want.applied(), applied);
    }

    #[test]
    fn a_key_for_live_data_is_refused_for_test_data() {
        let want = ConnectorWant::new(&spec("shippo", &json!({"mode": "Sandbox"}))).expect("a want");
        assert_eq!(want.objection(false, true), None);
        let problem = want.objection(true, true).expect("a refusal");
        assert!(
            problem.message.contains("\"sandbox\", and the account logs in with a live key"),
            "{}",
            problem.message
        );
    }

    #[rstest]
    #[case::where_it_is_a_value("amazon", json!({"sellerId": "s"}), true)]
    #[case::in_an_address("shippo", json!({"shipFrom": {"city": "Reno"}}), true)]
    #[case::where_it_tells_nothing("shippo", json!({"displayName": "Labels"}), false)]
    fn a_null_in_the_row_counts(#[case] platform: &str, #[case] arcus: Value, #[case] counts: bool) {
        let want = ConnectorWant::new(&spec(platform, &arcus)).expect("a want");
        let field = want.fields().last().expect("a field");
        assert_eq!(field.differs(Some(&Value::Null), &[field.applied()]), counts);
    }

    #[test]
    fn what_the_row_does_not_show_is_what_was_sent_last() {
        let want = ConnectorWant::new(&spec("shippo", &json!({"displayName": "Labels"}))).expect("a want");
        let name = want.fields().iter().find(|f| f.name == "display_name").expect("a field");
        assert!(name.differs(None, &[]) && !name.differs(None, &[name.applied()]));
        assert!(!name.differs(Some(&json!("Labels")), &[]));
        assert!(name.differs(Some(&json!("Parcels")), &[name.applied()]), "what it shows counts");
    }

    #[rstest]
    #[case::capitals("0B8A2F6E-3F0C-4F57-9A3C-0F2D4F5B6A71")]
    #[case::no_dashes("0b8a2f6e3f0c4f579a3c0f2d4f5b6a71")]
    fn another_spelling_of_a_bank_account_is_the_same_one(#[case] spelled: &str) {
        let id = "0b8a2f6e-3f0c-4f57-9a3c-0f2d4f5b6a71";
        for (declared, told) in [(spelled, id), (id, spelled)] {
            let want = ConnectorWant::new(&spec("plaid", &json!({"bankAccountId": declared}))).expect("a want");
            let bank = want.fields().iter().find(|field| field.name == BANK_ACCOUNT).expect("the account");
            assert_eq!(bank.value, json!(id));
            assert!(!bank.differs(Some(&json!(told)), &[]), "{declared} and {told}");
        }
        let seller = ConnectorWant::new(&spec("ebay", &json!({"sellerId": spelled}))).expect("a want");
        let seller =
            seller.fields().iter().find(|field| field.value == json!(spelled)).expect("no UUID, for all that is known");
        assert!(!seller.differs(Some(&json!(spelled)), &[]) && seller.differs(Some(&json!(id)), &[]));
    }

    #[rstest]
    #[case::nothing_declared(json!({}), false)]
    #[case::on(json!({"active": true}), false)]
    #[case::off(json!({"active": false}), true)]
    fn only_what_is_declared_off_is_off(#[case] arcus: Value, #[case] off: bool) {
        assert_eq!(ConnectorWant::new(&spec("shippo", &arcus)).expect("a want").is_off(), off);
    }

    #[rstest]
    #[case::plain("acme.myshopify.com", true)]
    #[case::digits_and_dashes("acme-2.myshopify.com", true)]
    #[case::no_label(".myshopify.com", false)]
    #[case::a_dash_first("-acme.myshopify.com", false)]
    #[case::capitals("Acme.myshopify.com", false)]
    #[case::a_label_too_many("acme.eu.myshopify.com", false)]
    #[case::own_domain("shop.example.com", false)]
    fn a_shop_is_a_permanent_host(#[case] shop: &str, #[case] good: bool) {
        assert_eq!(ConnectorWant::new(&spec("shopify", &json!({"shop": shop}))).is_ok(), good);
    }

    #[test]
    fn a_connector_is_named_by_its_type_and_its_link_needs_a_place() {
        let mut named = spec("shippo", &json!({}));
        named.external_ref = Some(ExternalRef { id: "shippo".into() });
        assert!(ConnectorWant::new(&named).is_ok());
        named.external_ref = Some(ExternalRef { id: "other".into() });
        let problem = ConnectorWant::new(&named).expect_err("a refusal");
        assert!(problem.message.starts_with("spec.externalRef.id is other"), "{}", problem.message);
        let mut placeless = spec("shopify", &json!({}));
        placeless.connection_secret_ref = None;
        let problem = ConnectorWant::new(&placeless).expect_err("a refusal");
        assert!(problem.message.starts_with("spec.connectionSecretRef is missing"), "{}", problem.message);
        placeless.platform = Some("shippo".into());
        assert!(ConnectorWant::new(&placeless).is_ok(), "nobody has to follow a link");
    }
}
