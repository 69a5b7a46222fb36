//! Tests of the credentials: every platform, every form, every field.

use super::*;
use crate::domain::rules::{RUTTER_PLATFORMS, RUTTER_VERSIONS, rutter_platform};
use rstest::rstest;

const NEWEST: &str = RUTTER_VERSIONS[0];

fn data(fields: &[(&str, &str)]) -> SecretData {
    fields.iter().map(|(k, v)| ((*k).to_owned(), SecretString::from(*v))).collect()
}

fn ask(platform: &str, version: &str, fields: &[(&str, &str)]) -> Result<Credentials, Problem> {
    credentials(rutter_platform(platform).expect("a platform"), version, "s", &data(fields))
}

/// Every platform, form and version of the API that has it.
fn every_form() -> impl Iterator<Item = (&'static RutterPlatform, &'static Form, &'static str)> {
    let forms = RUTTER_PLATFORMS.iter().flat_map(|p| p.forms.iter().map(move |f| (p, f)));
    forms.flat_map(|(p, f)| RUTTER_VERSIONS.iter().filter(|v| f.is_of(v)).map(move |v| (p, f, *v)))
}

#[test]
fn every_platform_is_accepted_with_all_its_fields_and_with_the_required_ones() {
    for (platform, form, version) in every_form() {
        for keys in [form.required.to_vec(), form.fields().collect()] {
            let filled: SecretData = keys.iter().map(|k| ((*k).to_owned(), SecretString::from("test"))).collect();
            let got = credentials(platform, version, "s", &filled);
            let got = got.unwrap_or_else(|problem| panic!("{} {version}: {}", platform.name, problem.message));
            assert_eq!(got.iter().map(|(k, _)| k).collect::<Vec<_>>(), keys, "{} {version}", platform.name);
        }
    }
}

#[test]
fn every_platform_is_refused_without_any_one_of_its_fields() {
    for (platform, form, version) in every_form() {
        for lacking in form.required {
            let kept = form.fields().filter(|k| k != lacking);
            let filled: SecretData = kept.map(|k| (k.to_owned(), SecretString::from("test"))).collect();
            let problem = credentials(platform, version, "s", &filled).expect_err("a refusal");
            assert_eq!(problem.reason, Reason::SecretKeyMissing, "{}", problem.message);
            let one = format!("Secret s: key {lacking} is missing. {} needs it", platform.name);
            let several = format!("Secret s: keys are missing. {} needs ", platform.name);
            let said = problem.message.starts_with(&one)
                || problem.message.starts_with(&several) && problem.message.contains(lacking);
            assert!(said, "{lacking}: {}", problem.message);
        }
    }
}

#[test]
fn a_parameter_in_the_secret_is_to_be_moved() {
    for (platform, form, version) in every_form() {
        for parameter in platform.parameters {
            let keys = form.required.iter().copied().chain([parameter.name]);
            let filled: SecretData = keys.map(|k| (k.to_owned(), SecretString::from("test"))).collect();
            let problem = credentials(platform, version, "s", &filled).expect_err("a refusal");
            let says = format!("move it to spec.rutter.parameters.{}", parameter.name);
            assert!(problem.reason == Reason::InvalidSpec && problem.message.ends_with(&says), "{}", problem.message);
        }
    }
}

#[rstest]
#[case::complete(&[("oauth_access_token", "test")], None)]
#[case::with_app(&[("oauth_access_token", "test"), ("oauth_client_id", "i"), ("oauth_client_secret", "s")], None)]
#[case::shared_with_others(&[("oauth_access_token", "test"), ("unrelated", " "), ("api_key", "k")], None)]
#[case::nothing(&[], Some("oauth_access_token is missing"))]
#[case::empty(&[("oauth_access_token", "")], Some("is empty"))]
#[case::blank(&[("oauth_access_token", " \n")], Some("is empty"))]
#[case::line_break(&[("oauth_access_token", "test\n")], Some("line break"))]
#[case::space(&[("oauth_access_token", "te st")], Some("white space"))]
#[case::control_character(&[("oauth_access_token", "te\u{1b}st")], Some("control character"))]
#[case::no_text(&[("oauth_access_token", "te\u{fffd}st")], Some("is no text"))]
#[case::half_an_app(&[("oauth_access_token", "test"), ("oauth_client_id", "i")], Some("oauth_client_secret is missing"))]
#[case::other_half(&[("oauth_access_token", "test"), ("oauth_client_secret", "s")], Some("oauth_client_id is missing"))]
fn credentials_of_big_commerce(#[case] data: &[(&str, &str)], #[case] says: Option<&str>) {
    match (ask("BIG_COMMERCE", NEWEST, data), says) {
        (Ok(_), None) => {}
        (Err(problem), Some(says)) => {
            assert_eq!(problem.reason, Reason::SecretKeyMissing);
            assert!(problem.message.contains(says), "{}", problem.message);
        }
        (got, _) => panic!("{got:?}"),
    }
}

const PUBLIC: [(&str, &str); 3] =
    [("oauth_client_id", "test"), ("oauth_client_secret", "test"), ("oauth_access_token", "test")];
const PRIVATE: [(&str, &str); 2] = [("basic_username", "test"), ("basic_password", "test")];

#[test]
fn a_secret_with_both_sets_of_shopify_is_refused_and_told_what_to_remove() {
    let problem = ask("SHOPIFY", NEWEST, &[&PUBLIC[..], &PRIVATE].concat()).expect_err("a refusal");
    assert_eq!(problem.reason, Reason::InvalidSpec);
    let says = "remove basic_username and basic_password to use the public app, or remove oauth_client_id, \
                oauth_client_secret and oauth_access_token to use the private app";
    assert!(problem.message.ends_with(says), "{}", problem.message);
}

#[test]
fn a_part_of_the_other_set_of_shopify_is_of_others() {
    let shared = [&PRIVATE[..], &PUBLIC[2..]].concat();
    let got = ask("SHOPIFY", NEWEST, &shared).expect("credentials");
    assert_eq!(got.iter().map(|(k, _)| k).collect::<Vec<_>>(), ["basic_username", "basic_password"]);
    let problem = ask("SHOPIFY", NEWEST, &[PRIVATE[0], PUBLIC[0]]).expect_err("a refusal");
    assert!(problem.message.contains("basic_username and basic_password (private app)"), "{}", problem.message);
}

#[test]
fn netsuite_takes_a_public_key_in_its_oldest_version_only() {
    let common = ["token_id", "token_secret", "consumer_key", "consumer_secret"].map(|k| (k, "test"));
    let key = [("public_key", "-----BEGIN TEST KEY-----\ntest\n-----END TEST KEY-----\n")];
    let with_key = [&common[..], &key].concat();
    let has_key =
        |version, fields: &[_]| ask("NETSUITE", version, fields).map(|c| c.iter().any(|(k, _)| k == "public_key"));
    assert_eq!(has_key("2023-02-07", &with_key).ok(), Some(true));
    let problem = has_key("2023-02-07", &common).expect_err("a refusal");
    assert!(problem.message.contains("public_key is missing"), "{}", problem.message);
    for version in &RUTTER_VERSIONS[..3] {
        assert_eq!(has_key(version, &with_key).ok(), Some(false), "{version}");
        assert_eq!(has_key(version, &common).ok(), Some(false), "{version}");
    }
}

#[test]
fn xero_needs_a_newer_version_of_the_account() {
    let app = ["oauth_client_id", "oauth_client_secret", "oauth_refresh_token"].map(|k| (k, "test"));
    let problem = ask("XERO", "2023-02-07", &app).expect_err("a refusal");
    assert_eq!(problem.reason, Reason::UnsupportedPlatform);
    assert!(problem.message.contains("since version 2023-03-14"), "{}", problem.message);
    assert!(ask("XERO", "2023-03-14", &app).is_ok());
}

#[rstest]
#[case::spaces_inside("test of words", true)]
#[case::space_before(" test", false)]
#[case::line_break("test\n", false)]
#[case::tab("te\tst", false)]
fn a_password_may_hold_spaces(#[case] password: &str, #[case] good: bool) {
    let got = ask("WOO_COMMERCE", NEWEST, &[("basic_username", "test"), ("basic_password", password)]);
    assert_eq!(got.is_ok(), good, "{got:?}");
}

#[rstest]
#[case::good(Some("test"), None)]
#[case::missing(None, Some("key token is missing"))]
#[case::empty(Some(""), Some("key token is empty"))]
#[case::line_break(Some("test\n"), Some("key token holds a character that no token has"))]
fn a_token_stands_under_its_own_key(#[case] value: Option<&str>, #[case] says: Option<&str>) {
    let held: Vec<_> = value.map(|value| ("token", value)).into_iter().collect();
    match (token("access_token", "SKU.io", "s", "token", &data(&held)), says) {
        (Ok(got), None) => {
            assert_eq!(got.iter().map(|(k, v)| (k, v.expose_secret())).collect::<Vec<_>>(), [("access_token", "test")]);
        }
        (Err(problem), Some(says)) => {
            assert_eq!(problem.reason, Reason::SecretKeyMissing);
            assert!(problem.message.starts_with(&format!("Secret s: {says}")), "{}", problem.message);
        }
        (got, _) => panic!("{got:?}"),
    }
}
