//! The objects on the wire.
//!
//! Field for field those of Rutter's Connections page: all that are required, and the documented optional ones.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::connection::{Connection, DisabledReason, Moment};
use crate::clock::earlier;
use crate::state::insert;

/// A success with this body.
pub(super) fn json(body: &impl Serialize) -> Response<Bytes> {
    // These types serialize: string keys, no failing implementations.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    insert(response.headers_mut(), CONTENT_TYPE, "application/json; charset=utf-8");
    response
}

/// A time as Rutter writes it: UTC, milliseconds.
#[derive(Clone, Copy)]
struct Stamp(Timestamp);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

/// The answer to what makes nothing.
pub(super) fn success(success: bool) -> Response<Bytes> {
    #[derive(Serialize)]
    struct Success {
        success: bool,
    }
    json(&Success { success })
}

/// The answer to a create.
pub(super) fn created(connection: &Connection, link_base: &str) -> Response<Bytes> {
    #[derive(Serialize)]
    struct Created {
        id: Uuid,
        access_token: Uuid,
        link_url: String,
    }
    let Connection { id, access_token, .. } = *connection;
    json(&Envelope { connection: Created { id, access_token, link_url: link(id, link_base) } })
}

#[derive(Serialize)]
struct Envelope<T> {
    connection: T,
}

fn link(id: Uuid, base: &str) -> String {
    format!("{base}/{id}")
}

/// None while the merchant has not chosen one.
fn platform(connection: &Connection) -> Option<&str> {
    connection.store.as_ref().map(|store| store.platform.as_str())
}

/// The answer to a list. No page, cursor or total is documented.
pub(super) fn list<'a>(
    rows: impl Iterator<Item = &'a Connection>,
    moment: Moment<'a>,
    link_base: &str,
) -> Response<Bytes> {
    #[derive(Serialize)]
    struct List<'a> {
        connections: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        id: Uuid,
        access_token: Uuid,
        link_url: String,
        platform: Option<&'a str>,
        created_at: Stamp,
        updated_at: Stamp,
    }
    let undecided = moment.settings.undecided_platform.as_deref();
    let row = |connection: &'a Connection| Row {
        id: connection.id,
        access_token: connection.access_token,
        link_url: link(connection.id, link_base),
        platform: platform(connection).or(undecided),
        created_at: Stamp(connection.created_at),
        updated_at: Stamp(connection.updated_at(&moment)),
    };
    json(&List { connections: rows.map(row).collect() })
}

/// The answer to `GET /connections/access_token`.
pub(super) fn detail(connection: &Connection, moment: Moment, link_base: &str) -> Response<Bytes> {
    #[derive(Serialize)]
    struct Detail<'a> {
        id: Uuid,
        store_unique_id: &'a str,
        store_name: Option<String>,
        store_domain: Option<&'a str>,
        platform: Option<&'a str>,
        disabled: bool,
        needs_update: bool,
        link_url: String,
        last_sync_started_at: Option<Stamp>,
        last_sync_completed_at: Option<Stamp>,
        estimated_completed_at: Option<Stamp>,
        oldest_order_date: Option<Stamp>,
        newest_order_date: Option<Stamp>,
        initial_orders_synced_count: u64,
        created_at: Stamp,
    }
    let store = connection.store.as_ref();
    let progress = connection.progress(&moment);
    json(&Envelope {
        connection: Detail {
            id: connection.id,
            store_unique_id: store.map_or("", |store| &store.unique_id),
            store_name: store.map(super::store::Store::name),
            store_domain: store.and_then(|store| store.identity.as_deref()),
            platform: platform(connection),
            disabled: connection.disabled_reason(moment.now).is_some(),
            needs_update: connection.needs_update(moment.now),
            link_url: link(connection.id, link_base),
            last_sync_started_at: progress.last_started.map(Stamp),
            last_sync_completed_at: progress.last_completed.map(Stamp),
            estimated_completed_at: None,
            oldest_order_date: progress.newest_order.map(|_| oldest_order(connection)),
            newest_order_date: progress.newest_order.map(Stamp),
            initial_orders_synced_count: progress.orders,
            created_at: Stamp(connection.created_at),
        },
    })
}

/// Stores begin selling before they are connected.
fn oldest_order(connection: &Connection) -> Stamp {
    const MONTH: std::time::Duration = std::time::Duration::from_hours(30 * 24);
    Stamp(earlier(connection.created_at, MONTH))
}

/// The answer to `GET /connections/status`.
pub(super) fn status(connection: &Connection, moment: Moment, link_base: &str) -> Response<Bytes> {
    let progress = connection.progress(&moment);
    let disabled_reason = connection.disabled_reason(moment.now);
    json(&StatusAnswer {
        connection: Small { id: connection.id, org_id: &connection.org_id, platform: platform(connection) },
        status: Status {
            is_ready: progress.is_ready,
            last_sync_completed_at: progress.last_completed.map(Stamp),
            link_url: link(connection.id, link_base),
            platform: platform(connection),
            needs_update_status: NeedsUpdate { needs_update: connection.needs_update(moment.now) },
            disabled_status: Disabled { is_disabled: disabled_reason.is_some(), disabled_reason },
            historical_sync_status: history(connection, moment),
            created_at: Stamp(connection.created_at),
        },
    })
}

fn history(connection: &Connection, moment: Moment) -> History {
    let progress = connection.progress(&moment);
    let orders = Entity {
        oldest_entity_date: progress.newest_order.map(|_| oldest_order(connection)),
        newest_entity_date: progress.newest_order.map(Stamp),
        synced_count: Some(progress.orders),
        ready: progress.is_ready,
    };
    // Null is what the reference shows for an entity without dates.
    let products = Entity {
        oldest_entity_date: None,
        newest_entity_date: None,
        synced_count: Some(progress.products),
        ready: progress.is_ready,
    };
    let batch_status = match (progress.history_completed, progress.last_started) {
        (true, _) => "COMPLETED",
        (false, Some(_)) => "IN_PROGRESS",
        (false, None) => "NOT_STARTED",
    };
    let batch = BatchEntity { status: batch_status, oldest_batch_entity_date: None, newest_batch_entity_date: None };
    History {
        historical_sync_completed: progress.history_completed,
        total: BTreeMap::from([("orders", orders), ("products", products)]),
        num_batches_completed: Some(u64::from(progress.history_completed)),
        synced_orders_count: Some(progress.orders),
        synced_transactions_count: None,
        synced_balance_sheets_count: None,
        synced_cash_flows_count: None,
        synced_income_statements_count: None,
        batches: vec![Batch { batch_num: 1, config: None, progress_info: BTreeMap::from([("orders", batch)]) }],
    }
}

#[derive(Serialize)]
struct StatusAnswer<'a> {
    connection: Small<'a>,
    status: Status<'a>,
}

/// The only object with a name in camel case.
#[derive(Serialize)]
struct Small<'a> {
    id: Uuid,
    #[serde(rename = "orgId")]
    org_id: &'a str,
    platform: Option<&'a str>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct Status<'a> {
    is_ready: bool,
    last_sync_completed_at: Option<Stamp>,
    link_url: String,
    platform: Option<&'a str>,
    needs_update_status: NeedsUpdate,
    disabled_status: Disabled,
    historical_sync_status: History,
    created_at: Stamp,
}

#[derive(Serialize)]
struct NeedsUpdate {
    needs_update: bool,
}

#[derive(Serialize)]
struct Disabled {
    is_disabled: bool,
    disabled_reason: Option<DisabledReason>,
}

#[derive(Serialize)]
struct History {
    historical_sync_completed: bool,
    total: BTreeMap<&'static str, Entity>,
    num_batches_completed: Option<u64>,
    synced_orders_count: Option<u64>,
    synced_transactions_count: Option<u64>,
    synced_balance_sheets_count: Option<u64>,
    synced_cash_flows_count: Option<u64>,
    synced_income_statements_count: Option<u64>,
    batches: Vec<Batch>,
}

#[derive(Serialize)]
struct Entity {
    oldest_entity_date: Option<Stamp>,
    newest_entity_date: Option<Stamp>,
    synced_count: Option<u64>,
    ready: bool,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct Batch {
    batch_num: u64,
    config: Option<()>,
    progress_info: BTreeMap<&'static str, BatchEntity>,
}

#[derive(Serialize)]
struct BatchEntity {
    status: &'static str,
    oldest_batch_entity_date: Option<Stamp>,
    newest_batch_entity_date: Option<Stamp>,
}
