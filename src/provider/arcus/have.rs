//! A connector as it was read, and what of a declaration is laid over it.

use super::wire::Row;
use crate::{
    domain::{
        connectors::{Connector, Field},
        ids::ExternalId,
        intent::Stamps,
    },
    provider::Record,
};
use serde_json::Value;

/// A connector as Arcus shows it.
#[derive(Clone, Debug)]
pub struct Have {
    pub(super) row: Row,
}

/// A declared configuration is laid over the one that is there: whether a PATCH replaces it or merges is not said.
pub(super) fn sent(field: &Field, told: Option<&Value>) -> Value {
    match (&field.value, told) {
        (Value::Object(want), Some(Value::Object(told))) => {
            Value::Object(told.iter().chain(want).map(|(k, v)| (k.clone(), v.clone())).collect())
        }
        (want, _) => want.clone(),
    }
}

pub(super) fn record(row: Row) -> Record<Have> {
    let by_consent = Connector::named(&row.connector_type).is_some_and(|connector| connector.oauth);
    let stamps = Stamps { born: row.created_at, touched: row.updated_at, by_consent };
    Record { id: ExternalId::new(&row.connector_type), stamps, have: Some(Have { row }) }
}
