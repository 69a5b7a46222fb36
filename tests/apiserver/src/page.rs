//! Lists: what is selected, page by page.

use serde_json::{Value, json};

use crate::{
    fail::Failure,
    meta,
    request::Request,
    state::{Key, State},
    stored::Object,
};

/// What a request for a list or a watch narrows it to.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) kind: usize,
    pub(crate) namespace: Option<String>,
    name: Option<String>,
    labels: Vec<(String, String)>,
}

impl Selection {
    /// # Errors
    /// A selector that this server does not know.
    pub(crate) fn of(request: &Request) -> Result<Self, Failure> {
        let equals = |text: &str| {
            text.split_once('=').map(|(key, value)| (key.to_owned(), value.trim_start_matches('=').to_owned()))
        };
        let name = match request.query("fieldSelector") {
            None => None,
            Some(text) => match equals(text) {
                Some((key, value)) if key == "metadata.name" => Some(value),
                Some(_) | None => return Err(Failure::unsupported(&format!("the field selector {text}"))),
            },
        };
        let labels = request.query("labelSelector").filter(|text| !text.is_empty());
        let labels: Option<Vec<_>> = labels.into_iter().flat_map(|text| text.split(',')).map(equals).collect();
        let labels = labels.ok_or_else(|| Failure::unsupported("this label selector"))?;
        Ok(Self { kind: request.kind, namespace: request.namespace.clone(), name, labels })
    }

    pub(crate) fn has(&self, key: &Key, object: &Value) -> bool {
        let labelled = |(label, value): &(String, String)| {
            object.pointer("/metadata/labels").and_then(|all| all.get(label)).and_then(Value::as_str) == Some(value)
        };
        key.kind == self.kind
            && self.namespace.as_ref().is_none_or(|namespace| key.namespace == *namespace)
            && self.name.as_ref().is_none_or(|name| key.name == *name)
            && self.labels.iter().all(labelled)
    }
}

impl State {
    /// One page of a list.
    pub(crate) fn page(&self, request: &Request) -> Result<Value, Failure> {
        let selection = Selection::of(request)?;
        let number = |key: &str| request.query(key).and_then(|text| text.parse::<usize>().ok());
        let (limit, from) = (number("limit").filter(|n| *n > 0).unwrap_or(usize::MAX), number("continue").unwrap_or(0));
        let all: Vec<&Object> = self
            .list(selection.kind, selection.namespace.as_deref())
            .into_iter()
            .filter(|(k, o)| selection.has(k, o))
            .map(|(_, o)| o)
            .collect();
        let shown = all.iter().skip(from).take(limit);
        let items: Vec<Value> = shown.map(|o| if request.partial { meta::partial(o) } else { o.value() }).collect();
        let mut metadata = json!({"resourceVersion": self.revision().to_string()});
        if from + items.len() < all.len() {
            let rest = all.len() - from - items.len();
            meta_insert(&mut metadata, "continue", json!((from + items.len()).to_string()));
            meta_insert(&mut metadata, "remainingItemCount", json!(rest));
        }
        let kind = self.kinds.get(selection.kind);
        let (version, name) = match kind {
            Some(kind) if !request.partial => (kind.api_version(), format!("{}List", kind.name)),
            Some(_) | None => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned()),
        };
        Ok(json!({"apiVersion": version, "kind": name, "metadata": metadata, "items": items}))
    }
}

fn meta_insert(metadata: &mut Value, key: &str, value: Value) {
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}
