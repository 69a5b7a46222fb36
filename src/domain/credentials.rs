//! The credentials of a store, out of a Secret, as its platform's table asks for them.
//!
//! It must never say a value: messages name keys.

use super::{
    reason::{Problem, Reason},
    rules::{Form, RutterPlatform},
};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// The data of a Secret; values never show in Debug.
pub type SecretData = BTreeMap<String, SecretString>;

/// The credentials of a store, checked against its platform's table.
#[derive(Clone, Debug, Default)]
pub struct Credentials(Vec<(&'static str, SecretString)>);

impl Credentials {
    /// Field name and value, in the provider's spelling.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &SecretString)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}

/// One token out of a Secret, under its own key. `key` names it in the Secret, `name` at the provider.
///
/// # Errors
/// `SecretKeyMissing` naming the key.
pub fn token(
    name: &'static str,
    provider: &str,
    secret: &str,
    key: &str,
    data: &SecretData,
) -> Result<Credentials, Problem> {
    let wrong = |what: &str| {
        let text = format!("Secret {secret}: key {key} {what}. {provider} needs it: correct the Secret");
        Err(Problem::new(Reason::SecretKeyMissing, text))
    };
    let Some(value) = data.get(key) else { return wrong("is missing") };
    match value.expose_secret() {
        "" => wrong("is empty"),
        text if !text.chars().all(|c| c.is_ascii_graphic()) => {
            wrong("holds a character that no token has (a trailing line break?)")
        }
        _ => Ok(Credentials(vec![(name, value.clone())])),
    }
}

/// The credentials that a platform asks for in a version of the API, out of a Secret. Keys that the platform does not
/// know are left alone: a Secret may be shared.
///
/// # Errors
/// `UnsupportedPlatform` where this version of the API does not have the platform, `InvalidSpec` where the Secret
/// holds what belongs elsewhere or two sets of credentials, `SecretKeyMissing` naming the key otherwise.
pub fn credentials(
    platform: &RutterPlatform,
    version: &str,
    secret: &str,
    data: &SecretData,
) -> Result<Credentials, Problem> {
    let forms: Vec<&Form> = platform.forms.iter().filter(|f| f.is_of(version)).collect();
    if forms.is_empty() {
        return Err(too_old(platform, version));
    }
    if let Some(stray) = platform.parameters.iter().find(|p| data.contains_key(p.name)) {
        let name = stray.name;
        let text = format!(
            "Secret {secret}: key {name} is a parameter of {}, which everybody may read: move it to \
             spec.rutter.parameters.{name}",
            platform.name
        );
        return Err(Problem::new(Reason::InvalidSpec, text));
    }
    let form = choose(platform, &forms, secret, data)?;
    let any = form.together.iter().any(|k| data.contains_key(*k));
    let keys = form.required.iter().chain(if any { form.together } else { &[] });
    let take = |key: &&'static str| take(platform, key, secret, data);
    Ok(Credentials(keys.map(take).collect::<Result<_, _>>()?))
}

/// The one form that the Secret fills. Where it fills two, nobody can tell which one is meant, and Rutter's choice
/// would be ours to live with.
fn choose<'a>(
    platform: &RutterPlatform,
    forms: &[&'a Form],
    secret: &str,
    data: &SecretData,
) -> Result<&'a Form, Problem> {
    let filled: Vec<&Form> =
        forms.iter().copied().filter(|f| f.required.iter().all(|k| data.contains_key(*k))).collect();
    match (filled.as_slice(), forms) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], several) => {
            let sets: Vec<String> = several.iter().map(|f| format!("{} ({})", list(f.required), f.name)).collect();
            let text = format!(
                "Secret {secret}: keys are missing. {} needs {}: correct the Secret",
                platform.name,
                sets.join(", or ")
            );
            Err(Problem::new(Reason::SecretKeyMissing, text))
        }
        (several, _) => {
            let ways: Vec<String> = several
                .iter()
                .map(|f| {
                    let others = several.iter().filter(|o| o.name != f.name).flat_map(|o| o.required);
                    let remove: Vec<&str> = others.copied().filter(|k| !f.required.contains(k)).collect();
                    format!("remove {} to use the {}", list(&remove), f.name)
                })
                .collect();
            let text = format!(
                "Secret {secret}: it holds more than one set of credentials of {}, and nobody can tell which is meant: {}",
                platform.name,
                ways.join(", or ")
            );
            Err(Problem::new(Reason::InvalidSpec, text))
        }
    }
}

/// One field. Most are tokens, in which white space is an accident; passwords may hold spaces, and a key has lines.
fn take(
    platform: &RutterPlatform,
    key: &'static str,
    secret: &str,
    data: &SecretData,
) -> Result<(&'static str, SecretString), Problem> {
    let wrong = |what: &str| {
        let text = format!("Secret {secret}: key {key} {what}. {} needs it: correct the Secret", platform.name);
        Err(Problem::new(Reason::SecretKeyMissing, text))
    };
    let Some(value) = data.get(key) else { return wrong("is missing") };
    let text = value.expose_secret();
    let inside = |c: char| match key {
        "basic_username" | "basic_password" => c == ' ',
        "public_key" => matches!(c, ' ' | '\n' | '\r'),
        _ => false,
    };
    let blank = |c: char| c.is_whitespace() || c.is_control();
    match text {
        _ if text.trim().is_empty() => wrong("is empty"),
        _ if text.contains(char::REPLACEMENT_CHARACTER) => wrong("is no text"),
        _ if text.chars().any(|c| blank(c) && !inside(c)) || key != "public_key" && text.trim() != text => {
            wrong("holds white space or a control character (a trailing line break?)")
        }
        _ => Ok((key, value.clone())),
    }
}

fn too_old(platform: &RutterPlatform, version: &str) -> Problem {
    let since = platform.forms.iter().map(|f| f.since).min().unwrap_or_default();
    let text = format!(
        "Rutter connects {} since version {since} of its API, and the account speaks {version}: raise \
         spec.rutter.version of the account",
        platform.name
    );
    Problem::new(Reason::UnsupportedPlatform, text)
}

/// Names as a sentence has them.
fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
