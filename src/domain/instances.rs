//! What is wanted of SKU.io: an instance's fields in the API's names, what a create needs, and what differs.
//!
//! Source: SKU.io's public reference, "BigCommerce integration instances". The settings of a declaration are named as
//! the API's, in camelCase; both directions follow from that.

use super::{
    dates,
    diff::remembered,
    ids::NaturalKey,
    reason::{Problem, Reason},
};
use crate::api::v1alpha1::{AppliedField, IntegrationInstanceSpec};
use jiff::civil::Date;
use serde_json::{Map, Value, json};

/// The number that an id is. `None` for every other spelling of one, such as `042`: a server may take that for the same
/// instance, and whoever compares ids takes it for another one.
#[must_use]
pub fn number(id: &str) -> Option<i64> {
    id.parse().ok().filter(|number: &i64| *number > 0 && number.to_string() == id)
}

/// One field of `integration_settings`.
#[derive(Debug)]
pub struct Setting {
    /// SKU.io's spelling.
    pub name: &'static str,
    /// Whether a create needs it.
    pub required: bool,
    /// Whether it can be unset with null.
    pub nullable: bool,
}

const fn required(name: &'static str) -> Setting {
    Setting { name, required: true, nullable: false }
}

const fn nullable(name: &'static str) -> Setting {
    Setting { name, required: false, nullable: true }
}

const fn optional(name: &'static str) -> Setting {
    Setting { name, required: false, nullable: false }
}

/// Every setting that this version manages.
pub const SETTINGS: &[Setting] = &[
    required("store_hash"),
    required("start_date"),
    required("store_id"),
    required("auto_link_products"),
    required("auto_create_products"),
    nullable("sales_nominal_code_id"),
    nullable("cogs_nominal_code_id"),
    nullable("shipping_revenue_nominal_code_id"),
    nullable("shipping_refund_nominal_code_id"),
    nullable("sales_returns_allowances_nominal_code_id"),
    optional("sync_sales_order_invoices_to_accounting"),
    optional("sync_sales_credit_to_accounting"),
    nullable("proforma_marketplace_cost_percentage"),
    nullable("proforma_payment_cost_percentage"),
    nullable("batch_period_sales_order_fulfillments"),
    nullable("batch_period_customer_returns"),
];

/// Where the settings stand in the API's bodies.
pub const SETTINGS_OBJECT: &str = "integration_settings";
/// Where the access token stands in the API's bodies.
pub const CREDENTIALS_OBJECT: &str = "connection_settings";
/// The field of the access token.
pub const ACCESS_TOKEN: &str = "access_token";
/// The path of what names the token.
pub const TOKEN_PATH: &str = "spec.accessTokenSecretRef";
/// The path of the type's id.
pub const TYPE_PATH: &str = "spec.integrationId";

/// One declared field: its path in the object, and the API's name and value.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Path in the object.
    pub path: String,
    /// Whether it is one of the settings.
    pub is_setting: bool,
    /// SKU.io's spelling.
    pub name: String,
    /// What it is to be; null unsets it.
    pub value: Value,
}

impl Field {
    /// Whether it has to be sent. `told`: what the record shows of it, if it shows it; `applied`: what was sent last.
    ///
    /// A changed field has side effects at SKU.io, so that what is equal in another spelling counts as equal.
    #[must_use]
    pub fn differs(&self, told: Option<&Value>, applied: &[AppliedField]) -> bool {
        match told.filter(|told| !told.is_null() || self.is_nullable()) {
            Some(told) => !same(&self.value, told),
            None => !applied.contains(&self.applied()),
        }
    }

    /// Whether null is a value of it; a null elsewhere tells nothing.
    fn is_nullable(&self) -> bool {
        self.is_setting && SETTINGS.iter().any(|s| s.nullable && s.name == self.name)
    }

    /// As `status.appliedFields` remembers it.
    #[must_use]
    pub fn applied(&self) -> AppliedField {
        remembered(&self.path, &self.value)
    }
}

/// What is wanted of an instance, without any secret.
#[derive(Clone, Debug)]
pub struct InstanceWant {
    /// The unique name.
    pub name: String,
    /// The id of the integration's type.
    pub integration_id: Option<i64>,
    /// The key of the token in its Secret.
    pub token_key: Option<String>,
    /// The first day of the settings.
    start: Option<Date>,
    fields: Vec<Field>,
}

impl InstanceWant {
    /// Reads a declaration.
    ///
    /// # Errors
    /// `InvalidSpec` for what no instance could have.
    pub fn new(spec: &IntegrationInstanceSpec) -> Result<Self, Problem> {
        let start = spec.settings.start_date.as_deref();
        let start = start.map(|text| dates::day(&setting_path("start_date"), text)).transpose()?;
        let settings: Map<String, Value> = serde_json::to_value(&spec.settings)
            .ok()
            .and_then(|settings| settings.as_object().cloned())
            .ok_or_else(|| Problem::new(Reason::InvalidSpec, "spec.settings cannot be read"))?;
        let own = |path: &str, name: &str, value: Value| Field {
            path: path.to_owned(),
            is_setting: false,
            name: name.to_owned(),
            value,
        };
        let mut fields = vec![own("spec.name", "name", json!(spec.name))];
        fields.extend(spec.automatic_sync.map(|on| own("spec.automaticSync", "is_automatic_sync_enabled", json!(on))));
        fields.extend(SETTINGS.iter().filter_map(|setting| {
            let value = settings.get(&camel(setting.name))?.clone();
            Some(Field { path: setting_path(setting.name), is_setting: true, name: setting.name.to_owned(), value })
        }));
        Ok(Self {
            name: spec.name.clone(),
            integration_id: spec.integration_id,
            token_key: spec.access_token_secret_ref.as_ref().map(|r| r.key.clone()),
            start,
            fields,
        })
    }

    /// The name is unique among all instances of a tenant.
    #[must_use]
    pub fn key(&self) -> NaturalKey {
        NaturalKey::new(&self.name)
    }

    /// Every declared field that can be changed in place.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What the record is made with, for `status.appliedFields`.
    #[must_use]
    pub fn applied(&self) -> Vec<AppliedField> {
        let kind = self.integration_id.map(|id| AppliedField { path: TYPE_PATH.into(), value: id.to_string() });
        self.fields.iter().map(Field::applied).chain(kind).collect()
    }

    /// What keeps a create, or a change, from being sent.
    #[must_use]
    pub fn objection(&self, today: Date, creating: bool) -> Option<Problem> {
        let missing = |path: &str| {
            let text = format!("{path} is missing: SKU.io needs it to create an instance");
            Problem::new(Reason::InvalidSpec, text)
        };
        let has = |name: &str| self.fields.iter().any(|f| f.is_setting && f.name == name);
        let kind = self.integration_id.is_none().then(|| missing(TYPE_PATH));
        let setting = SETTINGS.iter().find(|s| s.required && !has(s.name)).map(|s| missing(&setting_path(s.name)));
        let late = self.start.and_then(|day| dates::untimely(&setting_path("start_date"), day, today, None));
        kind.or(setting).filter(|_| creating).or(late)
    }
}

/// The body that carries these fields: settings below their own object, everything else at the top.
#[must_use]
pub fn body<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Map<String, Value> {
    let (mut top, mut settings) = (Map::new(), Map::new());
    for field in fields {
        let place = if field.is_setting { &mut settings } else { &mut top };
        place.insert(field.name.clone(), field.value.clone());
    }
    if !settings.is_empty() {
        top.insert(SETTINGS_OBJECT.to_owned(), Value::Object(settings));
    }
    top
}

/// The path in the object of a field that SKU.io names in an error, such as `integration_settings.store_hash`.
#[must_use]
pub fn path_of(dotted: &str) -> Option<String> {
    if let Some(name) = dotted.strip_prefix(SETTINGS_OBJECT).and_then(|rest| rest.strip_prefix('.')) {
        return SETTINGS.iter().find(|s| s.name == name).map(|s| setting_path(s.name));
    }
    let path = match dotted {
        "name" => "spec.name",
        "integration_id" => TYPE_PATH,
        "is_automatic_sync_enabled" => "spec.automaticSync",
        CREDENTIALS_OBJECT | "connection_settings.access_token" => TOKEN_PATH,
        SETTINGS_OBJECT => "spec.settings",
        _ => return None,
    };
    Some(path.to_owned())
}

/// The path of a setting in the object.
#[must_use]
pub fn setting_path(name: &str) -> String {
    format!("spec.settings.{}", camel(name))
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut all, word| {
        let mut letters = word.chars();
        all.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        all.push_str(letters.as_str());
        all
    })
}

/// The same value, as far as a server of this making spells it otherwise: 1 for true, "5" for 5, a time for a day.
fn same(want: &Value, told: &Value) -> bool {
    match (want, told) {
        (Value::Bool(want), Value::Number(_) | Value::String(_)) => {
            let text = told.as_str().map_or_else(|| told.to_string(), str::to_owned);
            matches!((want, text.as_str()), (true, "1" | "true") | (false, "0" | "false"))
        }
        (Value::Number(want), Value::Number(_) | Value::String(_)) => {
            let told = told.as_f64().or_else(|| told.as_str()?.trim().parse().ok());
            want.as_f64().zip(told).is_some_and(|(want, told): (f64, f64)| (want - told).abs() < 1e-9)
        }
        (Value::String(want), Value::String(told)) => {
            told == want
                || want.parse::<Date>().is_ok() && told.strip_prefix(want).is_some_and(|r| r.starts_with(['T', ' ']))
        }
        (want, told) => want == told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::InstanceSettings;
    use jiff::civil::date;
    use rstest::rstest;

    fn spec(settings: &Value) -> IntegrationInstanceSpec {
        serde_json::from_value(json!({
            "provider": "SkuIo", "accountRef": {"name": "sku"}, "platform": "big-commerce", "name": "acme",
            "integrationId": 5, "accessTokenSecretRef": {"name": "s", "key": "k"}, "settings": settings,
        }))
        .expect("a spec")
    }

    fn full() -> Value {
        json!({"storeHash": "abc123", "startDate": "2026-01-01", "storeId": 1, "autoLinkProducts": true,
               "autoCreateProducts": false})
    }

    #[test]
    fn the_table_has_every_setting_of_the_type() {
        let value = |setting: &Setting| match setting.name {
            "store_hash" => json!("abc123"),
            "start_date" => json!("2026-01-01"),
            name if name.ends_with("_id") => json!(1),
            name if name.ends_with("percentage") => json!(1.5),
            name if name.starts_with("batch") => json!("daily"),
            _ => json!(true),
        };
        let all: Map<String, Value> = SETTINGS.iter().map(|s| (camel(s.name), value(s))).collect();
        let read: InstanceSettings = serde_json::from_value(Value::Object(all.clone())).expect("settings");
        assert_eq!(serde_json::to_value(read).expect("JSON"), Value::Object(all));
        let nulls: Map<String, Value> =
            SETTINGS.iter().filter(|s| s.nullable).map(|s| (camel(s.name), Value::Null)).collect();
        let read: InstanceSettings = serde_json::from_value(Value::Object(nulls.clone())).expect("settings");
        assert_eq!(serde_json::to_value(read).expect("JSON"), Value::Object(nulls), "null is kept apart from nothing");
    }

    #[rstest]
    #[case::a_number("42", Some(42))]
    #[case::the_largest("9223372036854775807", Some(i64::MAX))]
    #[case::larger("9223372036854775808", None)]
    #[case::a_zero_first("042", None)]
    #[case::zero("0", None)]
    #[case::a_sign("+42", None)]
    #[case::below_zero("-42", None)]
    #[case::a_blank(" 42", None)]
    #[case::other_digits("\u{664}\u{662}", None)]
    #[case::a_word("i-42", None)]
    #[case::nothing("", None)]
    fn an_id_has_one_spelling(#[case] id: &str, #[case] expected: Option<i64>) {
        assert_eq!(number(id), expected);
    }

    #[test]
    fn what_is_absent_is_not_managed() {
        let want = InstanceWant::new(&spec(&json!({"salesNominalCodeId": null}))).expect("a want");
        let sent = body(want.fields());
        assert_eq!(
            Value::Object(sent),
            json!({"name": "acme", "integration_settings": {"sales_nominal_code_id": null}})
        );
    }

    #[rstest]
    #[case::all(full(), None)]
    #[case::no_hash(json!({}), Some("spec.settings.storeHash is missing"))]
    #[case::no_day(json!({"storeHash": "abc123"}), Some("spec.settings.startDate is missing"))]
    fn a_create_needs_its_settings(#[case] settings: Value, #[case] says: Option<&str>) {
        let want = InstanceWant::new(&spec(&settings)).expect("a want");
        let problem = want.objection(date(2026, 11, 25), true);
        assert_eq!(problem.is_some(), says.is_some(), "{problem:?}");
        assert!(problem.is_none_or(|p| p.message.contains(says.unwrap_or_default())));
        assert_eq!(want.objection(date(2026, 11, 25), false), None, "a change does not");
        assert!(want.objection(date(2025, 11, 25), false).is_some() == says.is_none(), "a day in the future is none");
    }

    #[rstest]
    #[case::equal(json!(true), json!(true), true)]
    #[case::true_as_number(json!(true), json!(1), true)]
    #[case::false_as_text(json!(false), json!("0"), true)]
    #[case::other(json!(true), json!(0), false)]
    #[case::number_as_text(json!(5), json!("5"), true)]
    #[case::percentage(json!(2.5), json!("2.50"), true)]
    #[case::other_number(json!(5), json!(6), false)]
    #[case::another_by_a_billionth(json!(0), json!(0.000_000_001), false)]
    #[case::text(json!("daily"), json!("daily"), true)]
    #[case::other_text(json!("daily"), json!("weekly"), false)]
    #[case::day_as_time(json!("2026-01-01"), json!("2026-01-01T00:00:00Z"), true)]
    #[case::other_day(json!("2026-01-01"), json!("2026-01-01-x"), false)]
    #[case::set(json!(5), json!(null), false)]
    #[case::unset(json!(null), json!(null), true)]
    #[case::to_unset(json!(null), json!(5), false)]
    fn equal_in_another_spelling(#[case] want: Value, #[case] told: Value, #[case] expected: bool) {
        assert_eq!(same(&want, &told), expected);
    }

    #[test]
    fn what_the_record_does_not_show_is_what_was_sent_last() {
        let want = InstanceWant::new(&spec(&json!({"storeId": 1}))).expect("a want");
        let field = want.fields().last().expect("a field");
        assert!(field.differs(None, &[]));
        assert!(!field.differs(None, &[field.applied()]));
        assert!(field.differs(Some(&json!(2)), &[field.applied()]), "what it shows counts");
    }

    #[rstest]
    #[case::where_it_unsets("salesNominalCodeId", true)]
    #[case::where_it_tells_nothing("storeId", false)]
    fn a_null_in_the_record_counts(#[case] setting: &str, #[case] counts: bool) {
        let want = InstanceWant::new(&spec(&json!({setting: 1}))).expect("a want");
        let field = want.fields().last().expect("a field");
        assert_eq!(field.differs(Some(&Value::Null), &[field.applied()]), counts);
        let name = want.fields().first().expect("a field");
        assert!(!name.differs(Some(&Value::Null), &[name.applied()]), "a name cannot be unset");
    }

    #[test]
    fn an_instance_is_known_by_its_name_and_remembers_its_type() {
        let want = InstanceWant::new(&spec(&json!({"storeId": 1}))).expect("a want");
        assert_eq!(want.key().as_str(), "acme");
        let applied = [("spec.name", "acme"), ("spec.settings.storeId", "1"), ("spec.integrationId", "5")];
        let applied = applied.map(|(path, value)| AppliedField { path: path.into(), value: value.into() });
        assert_eq!(want.applied(), applied);
        let untyped = IntegrationInstanceSpec { integration_id: None, ..spec(&full()) };
        let problem = InstanceWant::new(&untyped).expect("a want").objection(date(2026, 11, 25), true);
        assert!(problem.is_some_and(|p| p.message.starts_with("spec.integrationId is missing")));
    }

    #[rstest]
    #[case("name", Some("spec.name"))]
    #[case("integration_id", Some("spec.integrationId"))]
    #[case("is_automatic_sync_enabled", Some("spec.automaticSync"))]
    #[case("connection_settings", Some("spec.accessTokenSecretRef"))]
    #[case("integration_settings", Some("spec.settings"))]
    #[case("integration_settings.store_hash", Some("spec.settings.storeHash"))]
    #[case("integration_settings.cogs_nominal_code_id", Some("spec.settings.cogsNominalCodeId"))]
    #[case("connection_settings.access_token", Some("spec.accessTokenSecretRef"))]
    #[case("integration_settings.free text", None)]
    #[case("anything", None)]
    fn errors_are_told_by_the_path_in_the_object(#[case] dotted: &str, #[case] path: Option<&str>) {
        assert_eq!(path_of(dotted).as_deref(), path);
    }

    #[test]
    fn a_day_that_is_none_is_refused() {
        let problem = InstanceWant::new(&spec(&json!({"startDate": "2026-02-30"}))).expect_err("a refusal");
        assert!(problem.message.starts_with("spec.settings.startDate is no day"), "{}", problem.message);
    }
}
