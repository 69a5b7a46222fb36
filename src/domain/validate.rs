//! From a declaration to what is wanted at the provider; the only constructor of a Want.
//!
//! Every refusal says which field is wrong and what to write instead.

use super::{
    decide::Policy,
    ids::NaturalKey,
    reason::{Problem, Reason},
    rules::{self, RutterPlatform},
    schedule,
};
use crate::api::v1alpha1::{AccountKind, AppliedField, Authorization, ConnectionSpec, Provider};
use secrecy::{ExposeSecret, SecretString};
use std::{collections::BTreeMap, time::Duration};

/// The data of a Secret; values never show in Debug.
pub type SecretData = BTreeMap<String, SecretString>;

/// What is wanted of Rutter, without any secret.
#[derive(Clone, Debug)]
pub struct RutterWant {
    /// The platform.
    pub platform: &'static RutterPlatform,
    /// Host of the store in its normal form.
    pub host: String,
    /// Passed through.
    pub scope: Option<String>,
}

impl RutterWant {
    /// The identity of the store.
    #[must_use]
    pub fn key(&self) -> NaturalKey {
        rules::store_key(self.platform.name, &self.host)
    }

    /// What the record is made with, for `status.appliedFields`.
    #[must_use]
    pub fn fields(&self) -> Vec<AppliedField> {
        let field = |path: &str, value: &str| AppliedField { path: path.into(), value: value.into() };
        let scope = self.scope.as_ref().map(|s| field("spec.rutter.scope", s));
        [field("spec.rutter.parameters.store_url", &self.host)].into_iter().chain(scope).collect()
    }
}

/// The credentials of a store, checked against its platform's table.
#[derive(Clone, Debug)]
pub struct Credentials(Vec<(&'static str, SecretString)>);

impl Credentials {
    /// Field name and value, in the provider's spelling.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &SecretString)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}

/// The policies of a Connection, with their defaults applied.
#[must_use]
pub fn policy(spec: &ConnectionSpec) -> Policy {
    Policy {
        adoption: spec.adoption_policy,
        deletion: spec.deletion_policy.unwrap_or_default(),
        management: spec.management_policy,
        replacement: spec.replacement_policy.unwrap_or_default(),
        loss: spec.on_external_loss,
        suspend: spec.suspend,
    }
}

/// The interval of drift checks.
///
/// # Errors
/// `InvalidSpec` where it is no duration.
pub fn interval(spec: &ConnectionSpec) -> Result<Duration, Problem> {
    schedule::parse(&spec.interval).map_err(|why| invalid(format!("spec.interval: {why}")))
}

/// What a Connection wants of Rutter.
///
/// # Errors
/// `UnsupportedPlatform` for what this version does not serve, `InvalidSpec` for what no version could.
pub fn rutter(spec: &ConnectionSpec) -> Result<RutterWant, Problem> {
    interval(spec)?;
    let settings = spec
        .rutter
        .as_ref()
        .filter(|_| spec.provider == Provider::Rutter)
        .ok_or_else(|| invalid("spec.rutter is missing: provider Rutter needs it"))?;
    if spec.account_ref.kind == AccountKind::ClusterProviderAccount {
        return Err(unserved("accountRef.kind ClusterProviderAccount", "name a ProviderAccount"));
    }
    if settings.authorization == Authorization::Link {
        return Err(unserved("rutter.authorization: Link", "use Credentials"));
    }
    if spec.sync.is_some() {
        return Err(unserved("spec.sync", "remove it; Rutter starts the first sync by itself"));
    }
    let name = spec.platform.as_deref().ok_or_else(|| invalid("spec.platform is missing"))?;
    let platform = rules::rutter_platform(name)
        .ok_or_else(|| unserved(&format!("platform {name}"), &format!("served are: {}", served())))?;
    if let Some(stray) = settings.parameters.keys().find(|k| !platform.parameters.contains(&k.as_str())) {
        let hint = if platform.secret_required.contains(&stray.as_str())
            || platform.secret_together.contains(&stray.as_str())
        {
            "it is secret: move it to the Secret and change it at the store, since it was readable here"
        } else {
            "remove it"
        };
        return Err(invalid(format!("spec.rutter.parameters.{stray} is no parameter of {name}: {hint}")));
    }
    let host = store(settings.parameters.get("store_url").map(|v| v.0.as_str()), platform)?;
    Ok(RutterWant { platform, host, scope: settings.scope.clone() })
}

fn store(store_url: Option<&str>, platform: &RutterPlatform) -> Result<String, Problem> {
    let example = format!("write the store's permanent host, such as store-abc123{}", platform.store_suffix);
    let text = store_url.ok_or_else(|| invalid(format!("spec.rutter.parameters.store_url is missing: {example}")))?;
    rules::store_host(text)
        .filter(|host| host.strip_suffix(platform.store_suffix).is_some_and(|shop| !shop.is_empty()))
        .ok_or_else(|| {
            invalid(format!("spec.rutter.parameters.store_url is not a host of {}: {example}", platform.name))
        })
}

/// The credentials that a platform asks for, out of a Secret. Other keys are left alone: a Secret may be shared.
///
/// # Errors
/// `SecretKeyMissing` naming the key.
pub fn credentials(platform: &RutterPlatform, secret: &str, data: &SecretData) -> Result<Credentials, Problem> {
    let missing = |key: &str, what: &str| {
        Problem::new(
            Reason::SecretKeyMissing,
            format!("Secret {secret}: key {key} {what}. {} needs it: correct the Secret", platform.name),
        )
    };
    let take = |key: &'static str| match data.get(key) {
        None => Err(missing(key, "is missing")),
        Some(value) => match value.expose_secret() {
            "" => Err(missing(key, "is empty")),
            text if text.chars().any(|c| c.is_whitespace() || c.is_control()) => {
                Err(missing(key, "holds white space or a control character (a trailing line break?)"))
            }
            text if text.contains(char::REPLACEMENT_CHARACTER) => Err(missing(key, "is no text")),
            _ => Ok((key, value.clone())),
        },
    };
    let together = platform.secret_together;
    let any = together.iter().any(|k| data.contains_key(*k));
    let keys = platform.secret_required.iter().chain(if any { together } else { &[] });
    Ok(Credentials(keys.copied().map(take).collect::<Result<_, _>>()?))
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
        assert_eq!(want.expect("a want").key().as_str(), "BIG_COMMERCE/store-a1.mybigcommerce.com");
    }

    #[rstest]
    #[case::unknown_platform(json!({"platform": "TELEGRAPH"}), Reason::UnsupportedPlatform, "TELEGRAPH")]
    #[case::later_platform(json!({"platform": "SHOPIFY"}), Reason::UnsupportedPlatform, "BIG_COMMERCE")]
    #[case::link(json!({"rutter": {"authorization": "Link"}}), Reason::UnsupportedPlatform, "use Credentials")]
    #[case::sync(json!({"sync": {"orders": {"startDate": "2025-01-01"}}}), Reason::UnsupportedPlatform, "spec.sync")]
    #[case::shared_account(json!({"accountRef": {"kind": "ClusterProviderAccount"}}), Reason::UnsupportedPlatform, "ProviderAccount")]
    #[case::custom_domain(json!({"rutter": {"parameters": {"store_url": "shop.example.com"}}}), Reason::InvalidSpec, "store-abc123")]
    #[case::suffix_alone(json!({"rutter": {"parameters": {"store_url": ".mybigcommerce.com"}}}), Reason::InvalidSpec, "store_url")]
    #[case::secret_in_the_open(json!({"rutter": {"parameters": {"oauth_access_token": "t"}}}), Reason::InvalidSpec, "move it to the Secret")]
    #[case::stray(json!({"rutter": {"parameters": {"colour": "red"}}}), Reason::InvalidSpec, "colour")]
    #[case::interval(json!({"interval": "soon"}), Reason::InvalidSpec, "spec.interval")]
    fn a_bad_spec_says_what_to_write(#[case] patch: Value, #[case] reason: Reason, #[case] says: &str) {
        let problem = rutter(&spec(&patch)).expect_err("a refusal");
        assert_eq!(problem.reason, reason);
        assert!(problem.message.contains(says), "{}", problem.message);
    }

    #[rstest]
    #[case::complete(&[("oauth_access_token", "test")], None)]
    #[case::with_app(&[("oauth_access_token", "test"), ("oauth_client_id", "i"), ("oauth_client_secret", "s")], None)]
    #[case::shared_with_others(&[("oauth_access_token", "test"), ("unrelated", " ")], None)]
    #[case::nothing(&[], Some("oauth_access_token is missing"))]
    #[case::empty(&[("oauth_access_token", "")], Some("is empty"))]
    #[case::line_break(&[("oauth_access_token", "test\n")], Some("line break"))]
    #[case::half_an_app(&[("oauth_access_token", "test"), ("oauth_client_id", "i")], Some("oauth_client_secret is missing"))]
    fn credentials_of_big_commerce(#[case] data: &[(&str, &str)], #[case] says: Option<&str>) {
        let data = data.iter().map(|(k, v)| ((*k).to_owned(), SecretString::from(*v))).collect();
        let platform = rules::rutter_platform("BIG_COMMERCE").expect("the platform");
        match (credentials(platform, "s", &data), says) {
            (Ok(_), None) => {}
            (Err(problem), Some(says)) => {
                assert_eq!(problem.reason, Reason::SecretKeyMissing);
                assert!(problem.message.contains(says), "{}", problem.message);
            }
            (got, _) => panic!("{got:?}"),
        }
    }
}
