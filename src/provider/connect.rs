//! From an account to a session: checks the login's Secret, builds the client, and gives the login its fingerprint.

use super::{
    AllowList, Backend, External,
    gate::Gate,
    http::{self, Wire},
    rutter::Rutter,
};
use crate::{
    api::v1alpha1::{ConnectionSpec, Limits, Provider, ProviderAccountSpec},
    domain::{
        ids::AccountIdentity,
        intent::Timing,
        reason::{Problem, Reason},
        rules,
        validate::SecretData,
    },
    telemetry::Metrics,
};
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
    /// A wire of the caller's own instead of the network; for deterministic tests.
    pub wire: Option<Wire>,
}

/// A login, checked and ready to be used.
pub struct Login {
    /// The endpoint.
    pub endpoint: Url,
    /// API version, in the provider's spelling.
    pub version: String,
    /// The public part.
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
    let unserved = |what: &str| {
        let message = format!("This version of Tradewind does not serve {what}");
        Problem::new(Reason::UnsupportedPlatform, message)
    };
    match spec.provider {
        Provider::Rutter => {}
        Provider::Arcus => return Err(unserved("provider Arcus: use Rutter")),
        Provider::SkuIo => return Err(unserved("provider SkuIo: use Rutter")),
    }
    if spec.deletion_guard.is_some() {
        return Err(unserved("spec.deletionGuard, and would delete without one: remove it to go on"));
    }
    let version = spec.rutter.as_ref().and_then(|r| r.version.clone()).unwrap_or_else(|| newest().to_owned());
    if !rules::RUTTER_VERSIONS.contains(&version.as_str()) {
        let known = rules::RUTTER_VERSIONS.join(", ");
        return Err(Problem::new(Reason::InvalidSpec, format!("spec.rutter.version {version} is not one of {known}")));
    }
    let endpoint = allow.endpoint(spec)?;
    let (name, secret) = (key(data, secret_name, "client_id")?, key(data, secret_name, "client_secret")?);
    let fingerprint = digest(&[endpoint.as_str(), name.expose_secret()]);
    let sharing = digest(&[endpoint.as_str(), name.expose_secret(), secret.expose_secret(), &version]);
    Ok(Login { endpoint, version, name, secret, fingerprint, sharing })
}

/// What keeps a declaration from being carried out, whatever its account: seen before the account is.
#[must_use]
pub fn refusal(spec: &ConnectionSpec) -> Option<Problem> {
    match spec.provider {
        Provider::Rutter => Rutter::want(spec).err(),
        other @ (Provider::Arcus | Provider::SkuIo) => {
            let message = format!("This version of Tradewind does not serve provider {other}: use Rutter");
            Some(Problem::new(Reason::UnsupportedPlatform, message))
        }
    }
}

/// The Secret with the store's credentials that a declaration names.
#[must_use]
pub fn credentials_secret(spec: &ConnectionSpec) -> Option<&str> {
    match spec.provider {
        Provider::Rutter => Rutter::credentials_secret(spec),
        Provider::Arcus | Provider::SkuIo => None,
    }
}

fn newest() -> &'static str {
    rules::RUTTER_VERSIONS.first().copied().unwrap_or_default()
}

fn key(data: &SecretData, secret: &str, key: &str) -> Result<SecretString, Problem> {
    let wrong = |what: &str| {
        let message =
            format!("Secret {secret}: key {key} {what}. Rutter needs client_id and client_secret: correct the Secret");
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
/// `InvalidSpec` where no client can be built (a CA bundle that is none).
pub fn connect(
    login: &Login,
    limits: &Limits,
    settings: &ConnectSettings,
    metrics: &Metrics,
) -> Result<Session, Problem> {
    let gate = Arc::new(Gate::new(positive(limits.requests_per_minute), positive(limits.max_in_flight)));
    let wire = match &settings.wire {
        Some(wire) => wire.clone(),
        None => http::over_reqwest(client(settings).map_err(|_| {
            Problem::new(
                Reason::InvalidSpec,
                "The operator's --ca-bundle cannot be used: check that it holds PEM certificates",
            )
        })?),
    };
    let rutter = Rutter::new(login, wire, Arc::clone(&gate), settings, metrics.clone());
    Ok(Session {
        backend: Backend::Rutter(rutter),
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
