//! From an account to a session: checks the login's Secret, builds the client, and gives the login its fingerprint.

use super::{
    AllowList, Backend, External,
    arcus::{self, Arcus},
    gate::Gate,
    rutter::Rutter,
    sku_io::SkuIo,
    wire::{self, Wire},
};
use crate::{
    api::v1alpha1::{AdoptionPolicy, ArcusMode, Declaration, Limits, ManagementPolicy, Provider, ProviderAccountSpec},
    domain::{
        deletions,
        ids::AccountIdentity,
        intent::Timing,
        reason::{Problem, Reason},
        rules,
        validate::SecretData,
    },
    telemetry::Metrics,
};
use jiff::civil::Date;
use secrecy::{ExposeSecret, SecretString};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use url::Url;

/// What every session has in common.
#[derive(Clone, Debug)]
pub struct ConnectSettings {
    /// The endpoints that accounts may name.
    pub allow: AllowList,
    /// More CA certificates (PEM), beside those of the system.
    pub ca_bundle: Option<Vec<u8>>,
    /// How long calls take at most, and lists lag.
    pub timing: Timing,
    /// How often something that is under way at the provider is looked at.
    pub poll: Duration,
    /// So many passes at most wait for one account at the same time, whatever its `limits` say: the workers are everybody's.
    pub share: u32,
    /// A wire of the caller's own instead of the network; for deterministic tests.
    pub wire: Option<Wire>,
}

/// A login, checked and ready to be used.
pub struct Login {
    /// The provider.
    pub provider: Provider,
    /// The endpoint.
    pub endpoint: Url,
    /// API version, in the provider's spelling.
    pub version: String,
    /// The public part; empty where there is none.
    pub name: SecretString,
    /// The secret part.
    pub secret: SecretString,
    /// Names endpoint and public part without telling them.
    pub fingerprint: String,
    /// Names all of the above: two accounts with the same one share a session.
    pub sharing: String,
}

/// One login at one provider, shared by all objects of all accounts that use it.
pub struct Session {
    /// The provider.
    pub backend: Backend,
    /// The request budget.
    pub gate: Arc<Gate>,
    /// The endpoint: logins of one account are logins at one endpoint.
    pub endpoint: String,
    login: String,
    organisation: Mutex<Option<String>>,
}

impl Session {
    /// Who the account is, as far as it is known.
    #[must_use]
    pub fn identity(&self) -> AccountIdentity {
        let told = with_external!(&self.backend, external => external.organisation());
        let organisation = told.or_else(|| self.organisation.lock().unwrap_or_else(PoisonError::into_inner).clone());
        AccountIdentity { organisation, login: self.login.clone() }
    }

    /// An earlier process was told who the account is.
    pub fn learned(&self, organisation: String) {
        *self.organisation.lock().unwrap_or_else(PoisonError::into_inner) = Some(organisation);
    }
}

/// Checks an account's spec and the Secret with its login.
///
/// # Errors
/// What is wrong with either, and what to write instead.
pub fn login(
    spec: &ProviderAccountSpec,
    allow: &AllowList,
    secret_name: &str,
    data: &SecretData,
) -> Result<Login, Problem> {
    let (version, endpoint) = declared(spec, allow)?;
    let [name, secret] =
        login_keys(spec.provider).map(|k| k.map(|k| key(spec.provider, data, secret_name, k)).transpose());
    let (name, secret) = (name?.unwrap_or_default(), secret?.unwrap_or_default());
    let name = if spec.provider == Provider::Arcus { entity(secret_name, &secret)? } else { name };
    let fingerprint = digest(&[endpoint.as_str(), name.expose_secret()]);
    let sharing = digest(&[endpoint.as_str(), name.expose_secret(), secret.expose_secret(), &version]);
    Ok(Login { provider: spec.provider, endpoint, version, name, secret, fingerprint, sharing })
}

/// The public part of a key of Arcus. It names the entity, so that a test key and a live key of one are one account.
fn entity(secret_name: &str, key: &SecretString) -> Result<SecretString, Problem> {
    arcus::entity_code(key.expose_secret()).map(SecretString::from).ok_or_else(|| {
        let text = format!(
            "Secret {secret_name}: key api_key is no key of Arcus, which looks like {}ent_…: correct the Secret",
            arcus::LIVE
        );
        Problem::new(Reason::SecretKeyMissing, text)
    })
}

/// The version of Arcus' API that this version of Tradewind was made for.
const ARCUS_VERSION: &str = "2026-05-01";

/// What is wrong with an account, whatever its Secret holds.
#[must_use]
pub fn account_refusal(spec: &ProviderAccountSpec, allow: &AllowList) -> Option<Problem> {
    declared(spec, allow).err()
}

/// The version of the API and the endpoint that an account declares, if nothing is wrong with it.
fn declared(spec: &ProviderAccountSpec, allow: &AllowList) -> Result<(String, Url), Problem> {
    let declared = (version(spec)?, allow.endpoint(spec)?);
    spec.deletion_guard.as_ref().and_then(deletions::objection).map_or(Ok(declared), Err)
}

/// The version of the API to speak; SKU.io has none.
fn version(spec: &ProviderAccountSpec) -> Result<String, Problem> {
    let newest = rules::RUTTER_VERSIONS.first().copied().unwrap_or_default();
    let version = match spec.provider {
        Provider::Rutter => spec.rutter.as_ref().and_then(|r| r.version.clone()).unwrap_or_else(|| newest.to_owned()),
        // Any day: a version lives for a year at least, and new ones come.
        Provider::Arcus => {
            return Ok(spec.arcus.as_ref().and_then(|a| a.version.clone()).unwrap_or_else(|| ARCUS_VERSION.to_owned()));
        }
        Provider::SkuIo => return Ok(String::new()),
    };
    if rules::RUTTER_VERSIONS.contains(&version.as_str()) {
        return Ok(version);
    }
    let known = rules::RUTTER_VERSIONS.join(", ");
    Err(Problem::new(Reason::InvalidSpec, format!("spec.rutter.version {version} is not one of {known}")))
}

/// The keys of a login's Secret: its public part, where it has one, and its secret part.
fn login_keys(provider: Provider) -> [Option<&'static str>; 2] {
    match provider {
        Provider::Rutter => [Some("client_id"), Some("client_secret")],
        // The endpoint names the tenant, and a new token is a login of the same one.
        Provider::SkuIo => [None, Some("token")],
        Provider::Arcus => [None, Some("api_key")],
    }
}

/// What keeps a declaration from being carried out, whatever its account: seen before the account is.
#[must_use]
pub fn refusal(declared: &Declaration) -> Option<Problem> {
    match declared.provider() {
        Provider::Rutter => Rutter::want(declared).err(),
        Provider::SkuIo => SkuIo::want(declared).err(),
        Provider::Arcus => Arcus::want(declared).err(),
    }
}

/// What keeps the record of a new declaration from being made today, as far as it can be said without the account's login;
/// nothing where none is to be made.
#[must_use]
pub fn objection(declared: &Declaration, today: Date) -> Option<Problem> {
    let idle = declared.is_suspended() || declared.management_policy() == ManagementPolicy::ObserveOnly;
    if idle || declared.external_ref().is_some() {
        return None;
    }
    // What may be taken over needs less than what is made.
    let creating = declared.adoption_policy() == AdoptionPolicy::Fail;
    match declared.provider() {
        Provider::Rutter => Rutter::want(declared).ok()?.objection(today),
        Provider::SkuIo => SkuIo::want(declared).ok()?.objection(today, creating),
        // Only the login tells whether it is one for live data.
        Provider::Arcus => Arcus::want(declared).ok()?.objection(is_live(declared), creating),
    }
}

fn is_live(declared: &Declaration) -> bool {
    match declared {
        Declaration::Connection(spec) => spec.arcus.as_ref().is_some_and(|arcus| arcus.mode == ArcusMode::Live),
        Declaration::IntegrationInstance(_) => false,
    }
}

fn key(provider: Provider, data: &SecretData, secret: &str, key: &str) -> Result<SecretString, Problem> {
    let wrong = |what: &str| {
        let needed: Vec<&str> = login_keys(provider).into_iter().flatten().collect();
        let message =
            format!("Secret {secret}: key {key} {what}. {provider} needs {}: correct the Secret", needed.join(" and "));
        Problem::new(Reason::SecretKeyMissing, message)
    };
    let value = data.get(key).ok_or_else(|| wrong("is missing"))?;
    let text = value.expose_secret();
    if text.is_empty() {
        return Err(wrong("is empty"));
    }
    if !text.chars().all(|c| c.is_ascii_graphic()) || key == "client_id" && text.contains(':') {
        return Err(wrong("holds a character that no login has (a trailing line break?)"));
    }
    Ok(value.clone())
}

/// A short name for secret parts that tells nothing about them: 128 bits of their SHA-256.
fn digest(parts: &[&str]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let first = context.finish().as_ref().iter().take(16).fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    format!("{first:032x}")
}

/// Opens a session. Nothing is sent yet.
///
/// # Errors
/// `InvalidSpec` where no client can be built (there are no CA certificates).
pub fn connect(
    login: &Login,
    limits: &Limits,
    settings: &ConnectSettings,
    metrics: &Metrics,
) -> Result<Session, Problem> {
    let meter = metrics.at(login.provider);
    let in_flight = positive(limits.max_in_flight).min(settings.share);
    let gate = Arc::new(Gate::new(positive(limits.requests_per_minute), in_flight, meter.clone()));
    let wire = match &settings.wire {
        Some(wire) => wire.clone(),
        None => wire::over_reqwest(client(settings).map_err(|_| {
            Problem::new(
                Reason::InvalidSpec,
                "The operator has no CA certificates that it can use. Check that its image holds those of the system, and \
                 --ca-bundle, where it is given",
            )
        })?),
    };
    let own = Arc::clone(&gate);
    let backend = match login.provider {
        Provider::SkuIo => Backend::SkuIo(Box::new(SkuIo::new(login, wire, own, settings, meter))),
        Provider::Arcus => Backend::Arcus(Box::new(Arcus::new(login, wire, own, settings, meter))),
        Provider::Rutter => Backend::Rutter(Box::new(Rutter::new(login, wire, own, settings, meter))),
    };
    Ok(Session {
        backend,
        gate,
        endpoint: login.endpoint.to_string(),
        login: login.fingerprint.clone(),
        organisation: Mutex::new(None),
    })
}

fn positive(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(1).max(1)
}

fn client(settings: &ConnectSettings) -> Result<reqwest::Client, reqwest::Error> {
    let call = settings.timing.call;
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tradewind/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        // A connect time-out must be the first to strike, or it no longer says that nothing was sent.
        .connect_timeout(call / 4)
        // A server that closes an idle connection just as a request is sent leaves a create's outcome unknown. Most
        // keep one for a minute, the hastiest for five seconds.
        .pool_idle_timeout(Duration::from_secs(4))
        .timeout(call);
    if let Some(pem) = &settings.ca_bundle {
        for certificate in reqwest::Certificate::from_pem_bundle(pem)? {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build()
}
