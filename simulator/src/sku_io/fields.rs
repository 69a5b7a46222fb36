//! What an instance is described by, and which values each field takes.
//!
//! The table is that of SKU.io's page "Create Integration Instance" for `BigCommerce`; `pricing` and `inventory` are
//! named on the page of `PUT` only, by what a change of them sets off.
//!
//! Owns which bodies are accepted. It must never put a value into an error: one of them is a secret.

use jiff::civil::Date;
use serde_json::{Map, Value};

use super::refusal::Errors;
use super::settings::Settings;

/// The access token of the shop: the one field that is never kept.
pub(super) const TOKEN: &str = "connection_settings.access_token";

/// The name, unique in a tenant.
pub(super) const NAME: &str = "name";

/// The key under which most of an instance is.
pub(super) const GROUP: &str = "integration_settings";

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    StoreHash,
    Date,
    Id,
    StoreId,
    Flag,
    Number,
    Period,
    /// An object whose fields no page lists.
    Open,
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Required,
    /// It has a default, and null is none of its values.
    Defaults(bool),
    Nullable,
    /// It is there if somebody has set it.
    Extra,
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    need: Need,
}

const fn field(path: &'static str, kind: Kind, need: Need) -> Field {
    Field { path, kind, need }
}

pub(super) static FIELDS: [Field; 22] = [
    field(NAME, Kind::Text, Need::Required),
    field("integration_id", Kind::Id, Need::Required),
    field(TOKEN, Kind::Text, Need::Required),
    field("integration_settings.store_hash", Kind::StoreHash, Need::Required),
    field("integration_settings.start_date", Kind::Date, Need::Required),
    field("integration_settings.store_id", Kind::StoreId, Need::Required),
    field("integration_settings.auto_link_products", Kind::Flag, Need::Required),
    field("integration_settings.auto_create_products", Kind::Flag, Need::Required),
    field("integration_settings.sales_nominal_code_id", Kind::Id, Need::Nullable),
    field("integration_settings.cogs_nominal_code_id", Kind::Id, Need::Nullable),
    field("integration_settings.shipping_revenue_nominal_code_id", Kind::Id, Need::Nullable),
    field("integration_settings.shipping_refund_nominal_code_id", Kind::Id, Need::Nullable),
    field("integration_settings.sales_returns_allowances_nominal_code_id", Kind::Id, Need::Nullable),
    field("integration_settings.sync_sales_order_invoices_to_accounting", Kind::Flag, Need::Defaults(true)),
    field("integration_settings.sync_sales_credit_to_accounting", Kind::Flag, Need::Defaults(true)),
    field("integration_settings.proforma_marketplace_cost_percentage", Kind::Number, Need::Nullable),
    field("integration_settings.proforma_payment_cost_percentage", Kind::Number, Need::Nullable),
    field("integration_settings.batch_period_sales_order_fulfillments", Kind::Period, Need::Nullable),
    field("integration_settings.batch_period_customer_returns", Kind::Period, Need::Nullable),
    field("integration_settings.pricing", Kind::Open, Need::Extra),
    field("integration_settings.inventory", Kind::Open, Need::Extra),
    field("is_automatic_sync_enabled", Kind::Flag, Need::Defaults(false)),
];

/// How much of an instance a body must describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// What is required; the rest has defaults.
    Create,
    /// Everything that is documented but the token, which the example of `PUT` does not show.
    Whole,
    /// Whatever it names.
    Part,
}

/// What a valid body says.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The fields of the body and, for a create, those that have a default.
    pub(super) values: Vec<(&'static Field, Value)>,
    /// The access token of the shop. Not to be kept.
    pub(super) token: Option<String>,
}

impl Draft {
    pub(super) fn name(&self) -> Option<&str> {
        self.values.iter().find(|(field, _)| field.path == NAME)?.1.as_str()
    }
}

/// Reads a body. Fields that the documentation does not know are ignored, as Laravel does.
pub(super) fn read(body: &Map<String, Value>, scope: Scope, settings: &Settings) -> (Draft, Errors) {
    let mut draft = Draft::default();
    let mut errors = Errors::new();
    for group in ["connection_settings", GROUP] {
        if body.get(group).is_some_and(|value| !value.is_object()) {
            complain(&mut errors, group, "must be an array");
        }
    }
    for field in &FIELDS {
        match normal(at(body, field.path)) {
            None if field.is_missed(scope) => complain(&mut errors, field.path, "is required"),
            None => draft.values.extend(field.default_in(scope).map(|value| (field, value))),
            Some(Value::Null) if field.need == Need::Nullable => draft.values.push((field, Value::Null)),
            Some(Value::Null) => complain(&mut errors, field.path, "is required"),
            Some(value) => match field.kind.objection(&value, settings) {
                Some(objection) => complain(&mut errors, field.path, objection),
                None if field.path == TOKEN => draft.token = value.as_str().map(ToOwned::to_owned),
                None => draft.values.push((field, value)),
            },
        }
    }
    (draft, errors)
}

impl Field {
    fn is_missed(&self, scope: Scope) -> bool {
        match scope {
            Scope::Create => self.need == Need::Required,
            Scope::Whole => self.need != Need::Extra && self.path != TOKEN,
            Scope::Part => false,
        }
    }

    fn default_in(&self, scope: Scope) -> Option<Value> {
        match self.need {
            Need::Defaults(value) if scope == Scope::Create => Some(Value::Bool(value)),
            Need::Nullable if scope == Scope::Create => Some(Value::Null),
            Need::Required | Need::Defaults(_) | Need::Nullable | Need::Extra => None,
        }
    }
}

impl Kind {
    /// What is wrong with a value that is not null. Strict about types, where Laravel would take `"5"` for 5.
    fn objection(self, value: &Value, settings: &Settings) -> Option<&'static str> {
        let text = value.as_str();
        let positive = value.as_u64().filter(|number| *number > 0);
        match self {
            Self::Text => match text {
                None => Some("must be a string"),
                Some(text) if self == Self::Text && text.chars().count() > 255 => {
                    Some("must not be greater than 255 characters")
                }
                Some(_) => None,
            },
            Self::StoreHash => match text {
                None => Some("must be a string"),
                Some(text) if text.contains(['/', ':', '.']) => Some("must not be a URL"),
                Some(_) => None,
            },
            Self::Date => (!text.is_some_and(is_date)).then_some("does not match the format Y-m-d"),
            Self::Id => positive.is_none().then_some("must be an integer"),
            Self::StoreId => match positive {
                None => Some("must be an integer"),
                Some(id) if !settings.stores.is_empty() && !settings.stores.contains(&id) => Some("is invalid"),
                Some(_) => None,
            },
            Self::Flag => (!value.is_boolean()).then_some("must be true or false"),
            Self::Number => (!value.is_number()).then_some("must be a number"),
            Self::Period => {
                let known = text.is_some_and(|text| ["daily", "monthly", "none"].contains(&text));
                (!known).then_some("is invalid")
            }
            Self::Open => (!value.is_object()).then_some("must be an array"),
        }
    }
}

fn is_date(text: &str) -> bool {
    // Parsing alone would take a date with a time too.
    text.parse::<Date>().is_ok_and(|date| date.to_string() == text)
}

/// Laravel's middleware trims strings and takes empty ones for null.
fn normal(value: Option<&Value>) -> Option<Value> {
    value.map(|value| match value.as_str().map(str::trim) {
        Some("") => Value::Null,
        Some(text) => Value::from(text),
        None => value.clone(),
    })
}

fn at<'a>(body: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        Some((group, name)) => body.get(group)?.get(name),
        None => body.get(path),
    }
}

pub(super) fn complain(errors: &mut Errors, path: &str, objection: &str) {
    let words = path.rsplit('.').next().unwrap_or(path).replace('_', " ");
    errors.entry(path.to_owned()).or_default().push(format!("The {words} field {objection}."));
}
