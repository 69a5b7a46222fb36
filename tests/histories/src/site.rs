//! Where a history is: one request of an operator, or a rest between two deeds of its people.

use http::Method;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// A request to the API server.
    Kube(Method, String),
    /// A request to a provider.
    Call(Method, String),
    /// Nothing is under way.
    Rest,
}

impl Site {
    /// A request to a provider.
    pub(crate) fn is_call(&self) -> bool {
        matches!(self, Self::Call(..))
    }

    /// A request that has data loaded.
    pub(crate) fn is_refresh(&self) -> bool {
        let ends = |path: &str| ["/incremental_sync", "/backfill", "/refresh"].iter().any(|end| path.ends_with(end));
        matches!(self, Self::Call(_, path) if ends(path))
    }

    /// A request that changes something.
    pub(crate) fn has_effect(&self) -> bool {
        match self {
            Self::Kube(method, _) | Self::Call(method, _) => method != Method::GET,
            Self::Rest => false,
        }
    }

    /// An event for people: nothing depends on it.
    pub(crate) fn is_courtesy(&self) -> bool {
        matches!(self, Self::Kube(_, path) if path.contains("/events"))
    }

    /// A read of one object.
    pub(crate) fn is_kube_read(&self) -> bool {
        let Self::Kube(Method::GET, path) = self else { return false };
        path.split_once("/namespaces/").is_some_and(|(_, rest)| rest.matches('/').count() == 2)
    }

    /// A write of an object.
    pub(crate) fn is_kube_write(&self) -> bool {
        matches!(self, Self::Kube(..)) && self.has_effect() && !self.is_courtesy()
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kube(method, path) => {
                let path = path.trim_start_matches("/apis/tradewind.dev/v1alpha1").trim_start_matches("/api/v1");
                write!(f, "{method} {}", path.trim_start_matches("/namespaces/shop"))
            }
            Self::Call(method, path) => write!(f, "{method} provider:{path}"),
            Self::Rest => f.write_str("rest"),
        }
    }
}
