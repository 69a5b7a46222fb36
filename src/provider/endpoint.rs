//! Which hosts credentials may be sent to: the allow-list, and the default endpoint of each provider.

use crate::{
    api::v1alpha1::{Provider, ProviderAccountSpec, RutterEnvironment},
    domain::reason::{Problem, Reason},
};
use std::str::FromStr;
use url::Url;

/// The hosts that are allowed where the operator names none: those that the providers publish.
const PUBLISHED: &[&str] = &[
    "https://production.rutterapi.com",
    "https://sandbox.rutterapi.com",
    "https://api.arcuserp.com",
    "https://**.sku.io",
];

/// The endpoints that accounts may name.
#[derive(Clone, Debug)]
pub struct AllowList(Vec<Pattern>);

/// One entry: scheme, host (with `*.` for one leading label, `**.` for any number of them) and port (absent = the scheme's own, `*` = any).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    scheme: String,
    host: String,
    port: Option<String>,
}

/// An entry that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no endpoint: write scheme://host, such as https://proxy.example.com, https://*.sku.io or http://127.0.0.1:8080"
)]
pub struct BadEndpoint(String);

impl FromStr for Pattern {
    type Err = BadEndpoint;
    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let bad = || BadEndpoint(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.to_owned())),
            None => (rest, None),
        };
        let good_port = port.as_deref().is_none_or(|p| p == "*" || p.parse::<u16>().is_ok());
        let good_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-.*".contains(c));
        let behind = host.strip_prefix("**.").or_else(|| host.strip_prefix("*.")).unwrap_or(host);
        let lone_star = !behind.contains('*');
        if !(matches!(scheme, "http" | "https") && good_port && good_host && lone_star) {
            return Err(bad());
        }
        Ok(Self { scheme: scheme.to_owned(), host: host.to_ascii_lowercase(), port })
    }
}

impl Pattern {
    fn allows(&self, url: &Url) -> bool {
        let port = match self.port.as_deref() {
            None => url.port().is_none(),
            Some("*") => true,
            Some(port) => url.port_or_known_default().is_some_and(|p| p.to_string() == port),
        };
        let front = |host: &str, domain: &str| Some(host.strip_suffix(domain)?.strip_suffix('.')?.to_owned());
        let host = url.host_str().is_some_and(|host| match self.host.split_once("*.") {
            None => host == self.host,
            Some((more, domain)) => front(host, domain)
                .is_some_and(|f| f.split('.').all(|l| !l.is_empty()) && (more == "*" || !f.contains('.'))),
        });
        url.scheme() == self.scheme && port && host
    }
}

impl AllowList {
    /// The published endpoints, and what the operator adds.
    ///
    /// # Errors
    /// The entry that cannot be read.
    pub fn new(more: &[String]) -> Result<Self, BadEndpoint> {
        PUBLISHED
            .iter()
            .copied()
            .chain(more.iter().map(String::as_str))
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The base URL of an account, if it is allowed.
    ///
    /// # Errors
    /// `EndpointNotAllowed`, or `InvalidSpec` for what is no URL.
    pub fn endpoint(&self, spec: &ProviderAccountSpec) -> Result<Url, Problem> {
        let text = spec.endpoint.clone().unwrap_or_else(|| default_endpoint(spec));
        let url = Url::parse(&text).map_err(|_| {
            Problem::new(
                Reason::InvalidSpec,
                "spec.endpoint is no URL: write the whole base URL, such as https://production.rutterapi.com/versioned",
            )
        })?;
        let bare =
            url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        if bare && self.0.iter().any(|p| p.allows(&url)) {
            return Ok(url);
        }
        Err(Problem::new(
            Reason::EndpointNotAllowed,
            "spec.endpoint is not on the operator's allow-list. Use the provider's own endpoint, or ask whoever runs the \
             operator to add it with --allow-endpoint",
        ))
    }
}

fn default_endpoint(spec: &ProviderAccountSpec) -> String {
    match spec.provider {
        Provider::Rutter => match spec.rutter.as_ref().map(|r| r.environment).unwrap_or_default() {
            RutterEnvironment::Production => "https://production.rutterapi.com/versioned".into(),
            RutterEnvironment::Sandbox => "https://sandbox.rutterapi.com/versioned".into(),
        },
        Provider::Arcus => "https://api.arcuserp.com/v1".into(),
        Provider::SkuIo => {
            format!("https://{}.sku.io", spec.sku_io.as_ref().map_or("", |s| s.tenant.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn account(endpoint: Option<&str>) -> ProviderAccountSpec {
        let mut spec = json!({"provider": "Rutter", "credentialsSecretRef": {"name": "s"}});
        if let Some(e) = endpoint {
            spec["endpoint"] = json!(e);
        }
        serde_json::from_value(spec).expect("a spec")
    }

    #[rstest]
    #[case::default(None, true)]
    #[case::published(Some("https://sandbox.rutterapi.com/versioned"), true)]
    #[case::tenant(Some("https://acme.sku.io"), true)]
    #[case::added(Some("http://127.0.0.1:8080/versioned"), true)]
    #[case::other_port(Some("http://127.0.0.1:8081/versioned"), false)]
    #[case::plain_http(Some("http://production.rutterapi.com/versioned"), false)]
    #[case::lookalike(Some("https://production.rutterapi.com.example.com/versioned"), false)]
    #[case::suffix(Some("https://evilsku.io"), false)]
    #[case::tenant_with_a_dot(Some("https://beta.acme.sku.io"), true)]
    #[case::empty_label(Some("https://beta..sku.io"), false)]
    #[case::one_label(Some("https://a.example.org"), true)]
    #[case::two_labels(Some("https://a.b.example.org"), false)]
    #[case::bare_domain(Some("https://sku.io"), false)]
    #[case::login_in_url(Some("https://u:p@production.rutterapi.com/versioned"), false)]
    #[case::host_after_at(Some("https://production.rutterapi.com@example.com/"), false)]
    #[case::odd_port(Some("https://production.rutterapi.com:8443/versioned"), false)]
    #[case::backslash(Some("https://example.com\\@production.rutterapi.com"), false)]
    fn only_allowed_endpoints_pass(#[case] endpoint: Option<&str>, #[case] allowed: bool) {
        let list = AllowList::new(&["http://127.0.0.1:8080".into(), "https://*.example.org".into()]).expect("a list");
        assert_eq!(list.endpoint(&account(endpoint)).is_ok(), allowed);
    }

    #[rstest]
    #[case("example.com")]
    #[case("ftp://example.com")]
    #[case("https://a.*.com")]
    #[case("https://a*.com")]
    #[case("https://***.com")]
    #[case("https://example.com/path")]
    #[case("https://")]
    fn a_bad_entry_is_refused(#[case] entry: &str) {
        assert!(AllowList::new(&[entry.into()]).is_err());
    }
}
