//! A request, taken apart.

use http::{HeaderMap, Method, Uri, header};
use url::form_urlencoded;

use crate::{fail::Failure, state::State};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) kind: usize,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    query: Vec<(String, String)>,
    /// Metadata alone is asked for.
    pub(crate) partial: bool,
    pub(crate) content_type: String,
}

impl Request {
    /// # Errors
    /// A path of no kind that the server knows.
    pub(crate) fn parse(state: &State, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, Failure> {
        let unknown = || Failure::not_found("the server could not find the requested resource");
        let segments: Vec<&str> = uri.path().split('/').filter(|s| !s.is_empty()).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(unknown()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() && *rest != ["status"] => (Some(*namespace), rest),
            rest => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, None, None),
            [plural, name] => (*plural, Some(*name), None),
            [plural, name, subresource] => (*plural, Some(*name), Some(*subresource)),
            _ => return Err(unknown()),
        };
        let header = |name| headers.get(name).and_then(|v: &http::HeaderValue| v.to_str().ok()).unwrap_or_default();
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        Ok(Self {
            method: method.clone(),
            kind: state.kind(group, version, plural).ok_or_else(unknown)?,
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
            query,
            partial: header(header::ACCEPT).contains("as=PartialObjectMetadata"),
            content_type: header(header::CONTENT_TYPE).to_owned(),
        })
    }

    /// A parameter.
    pub(crate) fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The answer is wanted, and nothing is to be stored.
    pub(crate) fn only_tries(&self) -> bool {
        self.query("dryRun") == Some("All")
    }

    pub(crate) fn is_watch(&self) -> bool {
        self.name.is_none() && matches!(self.query("watch"), Some("true" | "1"))
    }
}
