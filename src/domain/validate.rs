//! From a declaration to what is wanted at the provider; the only constructor of a Want.
//!
//! Every refusal says which field is wrong and what to write instead.

pub use super::credentials::{Credentials, SecretData, credentials};
use super::{
    connectors::ConnectorWant,
    dates,
    decide::Policy,
    ids::{ExternalId, NaturalKey},
    instances::{self, InstanceWant},
    reason::{Problem, Reason},
    refresh::Entity,
    rules::{self, Identity, Parameter, RutterPlatform},
    schedule, stores, text,
};
use crate::api::v1alpha1::{
    AdoptionPolicy, AppliedField, Authorization, ConnectionSpec, Declaration, IntegrationInstanceSpec,
    ManagementPolicy, ParameterValue, Provider, RutterConnection, Sync,
};
use jiff::civil::Date;
use std::{collections::BTreeMap, time::Duration};
use strum::IntoEnumIterator;

/// What is wanted of Rutter, without any secret.
#[derive(Clone, Debug)]
pub struct RutterWant {
    /// Who gives Rutter access to the store, and how.
    pub access: Access,
    /// Passed through.
    pub scope: Option<String>,
    /// What history to load beyond what Rutter loads by itself, and from which day on.
    pub loads: Vec<(Entity, Date)>,
}

/// How Rutter comes to its access to a store.
#[derive(Clone, Debug)]
pub enum Access {
    /// With credentials from a Secret.
    Credentials {
        /// The platform.
        platform: &'static RutterPlatform,
        /// The parameters, in their normal form.
        parameters: Vec<(&'static str, String)>,
    },
    /// A merchant connects it in the browser.
    Link {
        /// The platform that the merchant is expected to choose, if any.
        platform: Option<String>,
    },
}

/// Rutter loads no older history.
const YEARS: i32 = 5;

impl RutterWant {
    /// The identity of the store; `None` where the platform documents none.
    #[must_use]
    pub fn key(&self) -> Option<NaturalKey> {
        // What a merchant will connect is not known before.
        let Access::Credentials { platform, parameters } = &self.access else { return None };
        let named = |name: &str| parameters.iter().find(|(n, _)| *n == name).map(|(_, value)| value);
        match platform.identity {
            Identity::Hosted(_) | Identity::SelfHosted => {
                named("store_url").map(|store| stores::store_key(platform.name, store))
            }
            Identity::None => None,
        }
    }

    /// The platform that is declared.
    #[must_use]
    pub fn platform(&self) -> Option<&str> {
        match &self.access {
            Access::Credentials { platform, .. } => Some(platform.name),
            Access::Link { platform } => platform.as_deref(),
        }
    }

    /// Whether a merchant connects the store.
    #[must_use]
    pub fn by_link(&self) -> bool {
        matches!(self.access, Access::Link { .. })
    }

    fn parameters(&self) -> &[(&'static str, String)] {
        match &self.access {
            Access::Credentials { parameters, .. } => parameters,
            Access::Link { .. } => &[],
        }
    }

    /// What keeps a create, or a load, from being sent today.
    #[must_use]
    pub fn objection(&self, today: Date) -> Option<Problem> {
        self.loads.iter().find_map(|(e, day)| dates::untimely(&load_path(*e), *day, today, Some(YEARS)))
    }

    /// What the record is made with, for `status.appliedFields`. The platform is immutable, and stands there so that a
    /// list without anything else differs from one that is not known.
    #[must_use]
    pub fn fields(&self) -> Vec<AppliedField> {
        let field = |path: String, value: &str| AppliedField { path, value: value.into() };
        let platform = field("spec.platform".into(), self.platform().unwrap_or_default());
        let parameters = self.parameters().iter().map(|(n, v)| field(format!("spec.rutter.parameters.{n}"), v));
        let scope = self.scope.as_ref().map(|s| field("spec.rutter.scope".into(), s));
        [platform].into_iter().chain(parameters).chain(scope).collect()
    }
}

/// The policies of an object, with their defaults applied.
#[must_use]
pub fn policy(declared: &Declaration) -> Policy {
    Policy {
        adoption: declared.adoption_policy(),
        deletion: declared.deletion_policy(),
        management: declared.management_policy(),
        replacement: declared.replacement_policy(),
        loss: declared.on_external_loss(),
        suspend: declared.is_suspended(),
    }
}

/// The interval of drift checks.
///
/// # Errors
/// `InvalidSpec` where it is no duration.
pub fn interval(text: &str) -> Result<Duration, Problem> {
    schedule::parse(text).map_err(|why| invalid(format!("spec.interval: {why}")))
}

/// What a Connection wants of Arcus.
///
/// # Errors
/// `UnsupportedPlatform` for what this version does not serve, `InvalidSpec` for what no version could.
pub fn arcus(spec: &ConnectionSpec) -> Result<ConnectorWant, Problem> {
    interval(&spec.interval)?;
    bounds(spec)?;
    ConnectorWant::new(spec)
}

/// A declaration of a kind that its provider has no use for; the schema refuses it where it is asked.
#[must_use]
pub fn wrong_kind(kind: &str, provider: &str) -> Problem {
    invalid(format!("spec.provider: what is declared of {provider} is an object of kind {kind}"))
}

/// What an `IntegrationInstance` wants of SKU.io.
///
/// # Errors
/// `UnsupportedPlatform` for what this version does not serve, `InvalidSpec` for what no version could.
pub fn instance(spec: &IntegrationInstanceSpec) -> Result<InstanceWant, Problem> {
    interval(&spec.interval)?;
    if spec.access_token_secret_ref.is_none() && spec.management_policy == ManagementPolicy::Full {
        return Err(invalid("spec.accessTokenSecretRef is missing: SKU.io needs the store's token"));
    }
    if spec.external_ref.as_ref().is_some_and(|record| instances::number(&record.id).is_none()) {
        return Err(invalid(
            "spec.externalRef.id is no id of SKU.io: write the number as SKU.io shows it, such as \"42\"",
        ));
    }
    InstanceWant::new(spec)
}

/// What of a Connection the schema bounds, for a cluster whose CRD does not: nothing of it may travel.
///
/// # Errors
/// `InvalidSpec`, with the field.
fn bounds(spec: &ConnectionSpec) -> Result<(), Problem> {
    let bad = |path: &str, what: &str| Err(invalid(format!("{path} is {what}")));
    if spec.connection_secret_ref.as_ref().is_some_and(|secret| !text::is_name(&secret.name)) {
        return bad("spec.connectionSecretRef.name", "no name of a Secret");
    }
    if spec.external_ref.as_ref().is_some_and(|record| !ExternalId::new(&record.id).is_plain()) {
        return bad("spec.externalRef.id", "no id: one is made of letters, digits and '_.:-'");
    }
    let texts = [
        ("spec.platform", spec.platform.as_ref(), 64),
        ("spec.rutter.scope", spec.rutter.as_ref().and_then(|rutter| rutter.scope.as_ref()), 1024),
        ("spec.arcus.shop", spec.arcus.as_ref().and_then(|arcus| arcus.shop.as_ref()), 253),
    ];
    let beyond = |(_, text, most): &&(_, Option<&String>, usize)| {
        text.is_some_and(|text| text.is_empty() || text.chars().count() > *most)
    };
    match texts.iter().find(beyond) {
        Some((path, _, most)) => bad(path, &format!("empty, or longer than {most} characters")),
        None => Ok(()),
    }
}

/// What a Connection wants of Rutter.
///
/// # Errors
/// `UnsupportedPlatform` for what this version does not serve, `InvalidSpec` for what no version could.
pub fn rutter(spec: &ConnectionSpec) -> Result<RutterWant, Problem> {
    interval(&spec.interval)?;
    bounds(spec)?;
    let settings = spec
        .rutter
        .as_ref()
        .filter(|_| spec.provider == Provider::Rutter)
        .ok_or_else(|| invalid("spec.rutter is missing: provider Rutter needs it"))?;
    if settings.authorization == Authorization::Link {
        return link(spec, settings);
    }
    let name = spec.platform.as_deref().ok_or_else(|| invalid("spec.platform is missing"))?;
    let platform = rules::rutter_platform(name)
        .ok_or_else(|| unserved(&format!("platform {name}"), &format!("served with credentials are: {}", served())))?;
    recognisable(spec, platform)?;
    let parameters = parameters(platform, settings)?;
    let (access, scope) = (Access::Credentials { platform, parameters }, settings.scope.clone());
    Ok(RutterWant { access, scope, loads: loads(spec.sync.as_ref())? })
}

/// What is wanted where a merchant connects the store. Rutter takes nothing with such a create, not even a scope.
fn link(spec: &ConnectionSpec, settings: &RutterConnection) -> Result<RutterWant, Problem> {
    let by_id = spec.management_policy == ManagementPolicy::ObserveOnly || spec.adoption_policy != AdoptionPolicy::Fail;
    if by_id && spec.external_ref.is_none() {
        return Err(invalid(
            "spec.externalRef.id is missing: nothing tells what a merchant connects from another connection, so that one \
             that exists is taken by its id alone",
        ));
    }
    if settings.scope.is_some() {
        return Err(invalid("spec.rutter.scope has no use with authorization: Link: remove it"));
    }
    if spec.connection_secret_ref.is_none() {
        return Err(invalid(
            "spec.connectionSecretRef is missing: the link that the merchant has to open is written there and nowhere else",
        ));
    }
    if !settings.parameters.is_empty() {
        return Err(invalid("spec.rutter.parameters have no use with authorization: Link: the merchant enters them"));
    }
    let access = Access::Link { platform: spec.platform.clone() };
    Ok(RutterWant { access, scope: None, loads: loads(spec.sync.as_ref())? })
}

/// The first day of each load that the declaration asks for.
fn loads(sync: Option<&Sync>) -> Result<Vec<(Entity, Date)>, Problem> {
    let entity = |entity: Entity| match entity {
        Entity::Products => sync?.products.as_ref()?.start_date.as_deref(),
        Entity::Orders => sync?.orders.as_ref()?.start_date.as_deref(),
    };
    let declared = Entity::iter().filter_map(|e| Some((e, entity(e)?)));
    declared.map(|(e, text)| Ok((e, dates::day(&load_path(e), text)?))).collect()
}

/// The path of the first day of a load.
fn load_path(entity: Entity) -> String {
    format!("spec.sync.{entity}.startDate")
}

/// Where nothing tells the stores of a platform apart, a record that exists already is found by its id alone.
fn recognisable(spec: &ConnectionSpec, platform: &RutterPlatform) -> Result<(), Problem> {
    if platform.identity != Identity::None || spec.external_ref.is_some() {
        return Ok(());
    }
    let field = match (spec.management_policy, spec.adoption_policy) {
        (ManagementPolicy::ObserveOnly, _) => "managementPolicy: ObserveOnly",
        (ManagementPolicy::Full, AdoptionPolicy::Match) => "adoptionPolicy: Match",
        (ManagementPolicy::Full, AdoptionPolicy::Override) => "adoptionPolicy: Override",
        (ManagementPolicy::Full, AdoptionPolicy::Fail) => return Ok(()),
    };
    Err(invalid(format!(
        "spec.externalRef.id is missing: nothing tells one account of {} from another, so {field} needs the record's id",
        platform.name
    )))
}

fn parameters(
    platform: &'static RutterPlatform,
    settings: &RutterConnection,
) -> Result<Vec<(&'static str, String)>, Problem> {
    let given: &BTreeMap<String, ParameterValue> = &settings.parameters;
    if let Some(name) = given.keys().find(|k| platform.parameter(k).is_none()) {
        return Err(stray(platform, name));
    }
    let mut parameters = Vec::with_capacity(given.len());
    for parameter in platform.parameters {
        match given.get(parameter.name) {
            Some(value) => parameters.push((parameter.name, accepted(platform, parameter, &value.0)?)),
            None if parameter.required => {
                let (name, what) = (parameter.name, parameter.what);
                return Err(invalid(format!("spec.rutter.parameters.{name} is missing: write {what}")));
            }
            None => {}
        }
    }
    Ok(parameters)
}

/// The normal form of a parameter. Its value is not repeated: it may be anything that was put there by mistake.
fn accepted(platform: &RutterPlatform, parameter: &Parameter, value: &str) -> Result<String, Problem> {
    let wrong = |is: &str| invalid(format!("spec.rutter.parameters.{} {is}: write {}", parameter.name, parameter.what));
    if parameter.name == "store_url" {
        let is = match platform.identity {
            Identity::Hosted(_) => format!("is not a host of {}", platform.name),
            Identity::SelfHosted | Identity::None => "is no address of a store".to_owned(),
        };
        return platform.store(value).ok_or_else(|| wrong(&is));
    }
    let is_plain = !value.is_empty() && value.trim() == value && !value.chars().any(char::is_control);
    let is_one_of = parameter.values.is_empty() || parameter.values.contains(&value);
    match (is_plain, is_one_of) {
        (true, true) => Ok(value.to_owned()),
        (true, false) => Err(wrong("is no value that Rutter takes")),
        (false, _) => Err(wrong("is empty, or begins or ends with white space, or has a line break")),
    }
}

/// A parameter that the platform does not have. A secret in the open is lost, whatever becomes of the field.
fn stray(platform: &RutterPlatform, name: &str) -> Problem {
    let of_platform = platform.secrets().any(|s| s == name);
    let hint = if of_platform {
        "it is secret: move it to the Secret and change it at the store, since it was readable here".to_owned()
    } else if rules::is_secret(name) {
        "it is secret: remove it and change it at the store, since it was readable here".to_owned()
    } else if platform.parameters.is_empty() {
        "remove it: it has none".to_owned()
    } else {
        let known: Vec<&str> = platform.parameters.iter().map(|p| p.name).collect();
        format!("remove it: it has {}", known.join(", "))
    };
    invalid(format!("spec.rutter.parameters.{name} is no parameter of {}: {hint}", platform.name))
}

/// The platforms that this version serves, for messages.
fn served() -> String {
    rules::RUTTER_PLATFORMS.iter().map(|p| p.name).collect::<Vec<_>>().join(", ")
}

fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(Reason::InvalidSpec, message)
}

fn unserved(what: &str, instead: &str) -> Problem {
    Problem::new(Reason::UnsupportedPlatform, format!("This version of Tradewind does not serve {what}: {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn spec(patch: &Value) -> ConnectionSpec {
        let mut spec = json!({
            "provider": "Rutter", "accountRef": {"name": "a"}, "platform": "BIG_COMMERCE",
            "rutter": {"credentialsSecretRef": {"name": "s"}, "parameters": {"store_url": "store-a1.mybigcommerce.com"}}
        });
        merge(&mut spec, patch);
        serde_json::from_value(spec).expect("a spec")
    }

    fn merge(target: &mut Value, patch: &Value) {
        match (target, patch) {
            (Value::Object(target), Value::Object(patch)) => {
                for (k, v) in patch {
                    merge(target.entry(k.clone()).or_insert(Value::Null), v);
                }
            }
            (target, patch) => *target = patch.clone(),
        }
    }

    #[test]
    fn a_good_spec_has_the_key_of_its_store() {
        let want =
            rutter(&spec(&json!({"rutter": {"parameters": {"store_url": "https://Store-A1.mybigcommerce.com/"}}})));
        assert_eq!(want.expect("a want").key().expect("a key").as_str(), "BIG_COMMERCE/store-a1.mybigcommerce.com");
    }

    #[rstest]
    #[case::a_secret(json!({"connectionSecretRef": {"name": "../other"}}), "spec.connectionSecretRef.name is no name of a Secret")]
    #[case::an_id(json!({"externalRef": {"id": "a/../b"}}), "spec.externalRef.id is no id")]
    #[case::no_platform(json!({"platform": ""}), "spec.platform is empty, or longer than 64 characters")]
    #[case::a_long_platform(json!({"platform": "P".repeat(65)}), "spec.platform is empty, or longer than 64 characters")]
    #[case::no_scope(json!({"rutter": {"scope": ""}}), "spec.rutter.scope is empty, or longer than 1024 characters")]
    #[case::a_long_scope(json!({"rutter": {"scope": "s".repeat(1025)}}), "spec.rutter.scope is empty")]
    #[case::no_shop(json!({"arcus": {"mode": "Sandbox", "shop": ""}}), "spec.arcus.shop is empty, or longer than 253 characters")]
    fn what_no_schema_bounds_is_bounded_here(#[case] patch: Value, #[case] says: &str) {
        let problem = rutter(&spec(&patch)).expect_err("a refusal");
        assert!(problem.reason == Reason::InvalidSpec && problem.message.starts_with(says), "{}", problem.message);
    }

    #[test]
    fn what_is_as_long_as_it_may_be_is_no_problem() {
        let longest = json!({"rutter": {"scope": "ü".repeat(1024)}, "externalRef": {"id": "a".repeat(256)}});
        assert!(rutter(&spec(&longest)).is_ok());
    }

    #[rstest]
    #[case::unknown_platform(json!({"platform": "TELEGRAPH"}), Reason::UnsupportedPlatform, "TELEGRAPH")]
    #[case::link_only(json!({"platform": "ETSY"}), Reason::UnsupportedPlatform, "BIG_COMMERCE")]
    #[case::link(json!({"rutter": {"authorization": "Link"}}), Reason::InvalidSpec, "connectionSecretRef")]
    #[case::unknown_in_its_place(json!({"platform": "SHOPIFY"}), Reason::InvalidSpec, "acme.myshopify.com")]
    #[case::no_such_day(json!({"sync": {"orders": {"startDate": "2025-02-30"}}}), Reason::InvalidSpec, "spec.sync.orders.startDate")]
    #[case::custom_domain(json!({"rutter": {"parameters": {"store_url": "shop.example.com"}}}), Reason::InvalidSpec, "store-abc123")]
    #[case::suffix_alone(json!({"rutter": {"parameters": {"store_url": ".mybigcommerce.com"}}}), Reason::InvalidSpec, "store_url")]
    #[case::secret_in_the_open(json!({"rutter": {"parameters": {"oauth_access_token": "t"}}}), Reason::InvalidSpec, "move it to the Secret")]
    #[case::stray(json!({"rutter": {"parameters": {"colour": "red"}}}), Reason::InvalidSpec, "it has store_url")]
    #[case::secret_of_others(json!({"rutter": {"parameters": {"basic_password": "t"}}}), Reason::InvalidSpec, "it is secret: remove it and change it")]
    #[case::no_parameters(json!({"platform": "EBAY"}), Reason::InvalidSpec, "remove it: it has none")]
    #[case::interval(json!({"interval": "soon"}), Reason::InvalidSpec, "spec.interval")]
    fn a_bad_spec_says_what_to_write(#[case] patch: Value, #[case] reason: Reason, #[case] says: &str) {
        let problem = rutter(&spec(&patch)).expect_err("a refusal");
        assert_eq!(problem.reason, reason);
        assert!(problem.message.contains(says), "{}", problem.message);
    }

    /// A declaration of a platform with these parameters and no others.
    fn declared(platform: &str, parameters: &[(&str, &str)], more: &Value) -> ConnectionSpec {
        let parameters: BTreeMap<_, _> = parameters.iter().copied().collect();
        let mut spec = json!({
            "provider": "Rutter", "accountRef": {"name": "a"}, "platform": platform,
            "rutter": {"credentialsSecretRef": {"name": "s"}, "parameters": parameters}
        });
        merge(&mut spec, more);
        serde_json::from_value(spec).expect("a spec")
    }

    /// A value that each parameter takes.
    fn value(platform: &RutterPlatform, parameter: &Parameter) -> String {
        match platform.identity {
            Identity::Hosted(suffix) => format!("store-a1{suffix}"),
            Identity::SelfHosted => "example.com/Shop".to_owned(),
            Identity::None => parameter.values.first().map_or("test 1", |v| *v).to_owned(),
        }
    }

    #[test]
    fn every_platform_is_accepted_with_its_parameters_and_refused_without_a_required_one() {
        for platform in rules::RUTTER_PLATFORMS {
            let values: Vec<String> = platform.parameters.iter().map(|p| value(platform, p)).collect();
            let all: Vec<(&str, &str)> =
                platform.parameters.iter().map(|p| p.name).zip(values.iter().map(String::as_str)).collect();
            let want = rutter(&declared(platform.name, &all, &json!({}))).expect("a want");
            assert_eq!(want.key().is_some(), platform.identity != Identity::None, "{}", platform.name);
            let fields: Vec<String> = want.fields().into_iter().map(|f| f.path).collect();
            let paths = all.iter().map(|(n, _)| format!("spec.rutter.parameters.{n}"));
            assert_eq!(fields, ["spec.platform".to_owned()].into_iter().chain(paths).collect::<Vec<_>>());
            for parameter in platform.parameters {
                let kept: Vec<_> = all.iter().copied().filter(|(n, _)| *n != parameter.name).collect();
                let got = rutter(&declared(platform.name, &kept, &json!({})));
                let missing = format!("spec.rutter.parameters.{} is missing: write ", parameter.name);
                let says = got.err().map(|p| p.message).unwrap_or_default();
                assert_eq!(says.starts_with(&missing), parameter.required, "{}: {says}", platform.name);
            }
        }
    }

    #[test]
    fn the_path_of_a_store_is_sent_as_it_was_written() {
        let want = rutter(&declared("WOO_COMMERCE", &[("store_url", "https://Example.com/Shop/")], &json!({})));
        let want = want.expect("a want");
        assert_eq!(want.parameters(), [("store_url", "example.com/Shop".to_owned())]);
        assert_eq!(want.key().expect("a key").as_str(), "WOO_COMMERCE/example.com/shop");
    }

    #[rstest]
    #[case::region("AMAZON", &[("amazon_selling_partner_role", "r"), ("amazon_seller_region", "us")], "na, eu or fe")]
    #[case::empty("STRIPE", &[("account_id", "")], "the id of the Stripe account")]
    #[case::line_break("STRIPE", &[("account_id", "test\n")], "line break")]
    #[case::shopify_domain("SHOPIFY", &[("store_url", "shop.example.com")], "acme.myshopify.com")]
    #[case::shopify_path("SHOPIFY", &[("store_url", "acme.myshopify.com/x")], "acme.myshopify.com")]
    #[case::no_url("WOO_COMMERCE", &[("store_url", "not a url")], "example.com/shop")]
    fn a_bad_parameter_says_what_to_write(#[case] platform: &str, #[case] given: &[(&str, &str)], #[case] says: &str) {
        let problem = rutter(&declared(platform, given, &json!({}))).expect_err("a refusal");
        assert_eq!(problem.reason, Reason::InvalidSpec);
        assert!(problem.message.contains(says), "{}", problem.message);
    }

    #[rstest]
    #[case(json!({"managementPolicy": "ObserveOnly"}), Some("managementPolicy: ObserveOnly"))]
    #[case(json!({"adoptionPolicy": "Match", "deletionPolicy": "Retain"}), Some("adoptionPolicy: Match"))]
    #[case(json!({"adoptionPolicy": "Override", "deletionPolicy": "Retain"}), Some("adoptionPolicy: Override"))]
    #[case(json!({"managementPolicy": "ObserveOnly", "externalRef": {"id": "a"}}), None)]
    #[case(json!({}), None)]
    fn what_nothing_tells_apart_is_found_by_id_alone(#[case] more: Value, #[case] says: Option<&str>) {
        let got = rutter(&declared("STRIPE", &[("account_id", "test")], &more));
        assert_eq!(got.is_err(), says.is_some(), "{got:?}");
        assert!(says.is_none_or(|says| got.is_err_and(|p| p.message.contains(says))));
    }

    /// A declaration of a store that a merchant connects.
    fn by_link(more: &Value) -> ConnectionSpec {
        let mut patch = json!({"rutter": {"authorization": "Link"}, "connectionSecretRef": {"name": "c"}});
        merge(&mut patch, more);
        let mut spec = spec(&patch);
        if more.pointer("/rutter/parameters").is_none()
            && let Some(rutter) = &mut spec.rutter
        {
            rutter.parameters.clear();
        }
        spec
    }

    #[test]
    fn who_connects_a_store_is_told_by_its_authorization() {
        let want = rutter(&by_link(&json!({}))).expect("a want");
        assert!(want.by_link() && want.key().is_none(), "nobody knows which store it will be");
        assert_eq!(want.platform(), Some("BIG_COMMERCE"));
        assert_eq!(want.fields(), [AppliedField { path: "spec.platform".into(), value: "BIG_COMMERCE".into() }]);
        let want = rutter(&spec(&json!({"rutter": {"scope": "read"}}))).expect("a want");
        assert!(!want.by_link());
        let fields = [
            ("spec.platform", "BIG_COMMERCE"),
            ("spec.rutter.parameters.store_url", "store-a1.mybigcommerce.com"),
            ("spec.rutter.scope", "read"),
        ];
        assert_eq!(want.fields(), fields.map(|(path, value)| AppliedField { path: path.into(), value: value.into() }));
    }

    #[rstest]
    #[case::observed(json!({"managementPolicy": "ObserveOnly"}), Some("spec.externalRef.id is missing"))]
    #[case::adopted(json!({"adoptionPolicy": "Match", "deletionPolicy": "Retain"}), Some("spec.externalRef.id is missing"))]
    #[case::observed_by_id(json!({"managementPolicy": "ObserveOnly", "externalRef": {"id": "a"}}), None)]
    #[case::scope(json!({"rutter": {"scope": "read"}}), Some("spec.rutter.scope has no use"))]
    #[case::parameters(json!({"rutter": {"parameters": {"store_url": "a"}}}), Some("spec.rutter.parameters have no use"))]
    #[case::no_place_for_the_link(json!({"connectionSecretRef": null}), Some("spec.connectionSecretRef is missing"))]
    fn what_a_merchant_connects_takes_no_more_than_rutter_does(#[case] more: Value, #[case] says: Option<&str>) {
        let got = rutter(&by_link(&more));
        assert_eq!(got.is_err(), says.is_some(), "{got:?}");
        assert!(says.is_none_or(|says| got.is_err_and(|p| p.message.starts_with(says))));
    }

    #[rstest]
    #[case::nothing(json!({}), None)]
    #[case::in_reach(json!({"orders": {"startDate": "2026-01-01"}}), None)]
    #[case::orders(json!({"orders": {"startDate": "2027-01-01"}}), Some("spec.sync.orders.startDate lies in the future"))]
    #[case::products(json!({"products": {"startDate": "2020-01-01"}}), Some("spec.sync.products.startDate lies more than 5 years"))]
    fn a_load_begins_on_a_day_that_the_provider_has(#[case] sync: Value, #[case] says: Option<&str>) {
        let want = rutter(&spec(&json!({"sync": sync}))).expect("a want");
        let said = want.objection(jiff::civil::date(2026, 11, 25)).map(|problem| problem.message);
        assert_eq!(said.is_some(), says.is_some(), "{said:?}");
        assert!(said.is_none_or(|said| said.starts_with(says.unwrap_or_default())));
    }

    #[rstest]
    #[case::with_a_token(json!({}), None)]
    #[case::without(json!({"accessTokenSecretRef": null}), Some("spec.accessTokenSecretRef is missing"))]
    #[case::observed(json!({"accessTokenSecretRef": null, "managementPolicy": "ObserveOnly"}), None)]
    #[case::interval(json!({"interval": "soon"}), Some("spec.interval"))]
    fn an_instance_needs_a_token_unless_it_only_observes(#[case] patch: Value, #[case] says: Option<&str>) {
        let mut spec = json!({
            "provider": "SkuIo", "accountRef": {"name": "sku"}, "platform": "big-commerce", "name": "acme",
            "integrationId": 5, "accessTokenSecretRef": {"name": "s", "key": "k"}, "settings": {},
        });
        merge(&mut spec, &patch);
        let got = instance(&serde_json::from_value(spec).expect("a spec"));
        assert_eq!(got.is_err(), says.is_some(), "{got:?}");
        assert!(says.is_none_or(|says| got.is_err_and(|p| p.message.starts_with(says))));
    }
}
