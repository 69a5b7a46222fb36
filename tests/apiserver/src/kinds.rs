//! The kinds that the server knows: some of Kubernetes' own, and those of the CRDs that were installed.

use std::sync::Arc;

use serde_json::Value;

use crate::schema::Schema;

/// The kind of a CRD, read once and installed in as many servers as need it.
#[derive(Clone, Debug)]
pub struct Definition(pub(crate) Arc<Kind>);

impl Definition {
    /// Reads a CRD; `None` where the manifest is none, or bounds a value in a way that this server does not know.
    #[must_use]
    pub fn of(crd: &Value) -> Option<Self> {
        Kind::of_crd(crd).map(Arc::new).map(Self)
    }
}

/// One kind.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) name: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    /// Status is written only through the subresource.
    pub(crate) has_status: bool,
    /// Counts the changes of what is declared.
    pub(crate) has_generation: bool,
    /// The structural schema of a CRD.
    pub(crate) schema: Option<Arc<Schema>>,
}

impl Kind {
    fn own(group: &str, version: &str, name: &str, plural: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            name: name.to_owned(),
            plural: plural.to_owned(),
            namespaced: plural != "namespaces",
            has_status: plural == "namespaces",
            has_generation: false,
            schema: None,
        }
    }

    fn of_crd(crd: &Value) -> Option<Self> {
        let spec = crd.get("spec")?;
        let version = spec.get("versions")?.as_array()?.first()?;
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let names = spec.get("names")?;
        Some(Self {
            group: text(spec, "group")?,
            version: text(version, "name")?,
            name: text(names, "kind")?,
            plural: text(names, "plural")?,
            namespaced: text(spec, "scope")? == "Namespaced",
            has_status: version.pointer("/subresources/status").is_some(),
            has_generation: true,
            schema: Some(Arc::new(Schema::read(version.pointer("/schema/openAPIV3Schema")?)?)),
        })
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// What every server knows.
pub(crate) fn own() -> Vec<Kind> {
    vec![
        Kind::own("", "v1", "Namespace", "namespaces"),
        Kind::own("", "v1", "Secret", "secrets"),
        Kind::own("", "v1", "ConfigMap", "configmaps"),
        Kind::own("", "v1", "ServiceAccount", "serviceaccounts"),
        Kind::own("events.k8s.io", "v1", "Event", "events"),
        Kind::own("coordination.k8s.io", "v1", "Lease", "leases"),
    ]
}
