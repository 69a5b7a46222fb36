//! The key of Arcus, by which one logs in: which entity it is of, and the headers that carry it.

use crate::provider::{Login, http::headers};
use http::HeaderMap;
use secrecy::ExposeSecret;

/// Keys for real data begin so.
pub(in crate::provider) const LIVE: &str = "ark_live_";
/// Keys for test data begin so.
pub(in crate::provider) const TEST: &str = "ark_test_";
/// What follows in both.
const ENTITY: &str = "ent_";

/// The part of a key that names its entity: `ent_<code>` of `ark_live_ent_<code>_<random>`. `None` for what is no key.
///
/// A code has no `_`, which is what ends it; what is random may have some. Were it otherwise, two entities could seem one: they
/// are told apart by the id that each of their rows shows.
pub(in crate::provider) fn entity_code(key: &str) -> Option<&str> {
    let rest = key.strip_prefix(LIVE).or_else(|| key.strip_prefix(TEST))?;
    let (code, random) = rest.strip_prefix(ENTITY)?.split_once('_')?;
    (!code.is_empty() && !random.is_empty()).then(|| rest.split_at(ENTITY.len() + code.len()).0)
}

/// What goes with every request.
pub(super) fn of_login(login: &Login) -> HeaderMap {
    let bearer = format!("Bearer {}", login.secret.expose_secret());
    headers(&bearer, Some(("arcus-version", &login.version)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::live("ark_live_ent_abc_test", Some("ent_abc"))]
    #[case::for_trying_out("ark_test_ent_acme_a_b", Some("ent_acme"))]
    #[case::another_key_of_it("ark_live_ent_acme_c_d", Some("ent_acme"))]
    #[case::no_code("ark_test_ent__x", None)]
    #[case::no_random("ark_test_ent_abc_", None)]
    #[case::another("sk_live_abc_def", None)]
    fn a_key_names_its_entity(#[case] key: &str, #[case] code: Option<&str>) {
        assert_eq!(entity_code(key), code);
    }
}
