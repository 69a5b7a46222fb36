//! Having data loaded again.
//!
//! Rutter's Connections page: `POST /connections/incremental_sync` and `POST /connections/backfill`, both for the
//! connection whose token is in the query, both answered with `success` alone. What they answer for a connection that
//! is not ready or in trouble is inferred from the Errors page, and so is the order of the checks: token, body, state.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::{Map, Value};

use super::call::Call;
use super::connection::{Connection, Moment};
use super::{Answer, Refusal, Rutter, view};

/// What a backfill may load (the `entity` enumeration of the reference).
const ENTITIES: [&str; 35] = [
    "account",
    "accounting_customer",
    "balance_sheet",
    "bank_deposit",
    "bank_transfer",
    "bill",
    "bill_credit_memo",
    "bill_payment",
    "cash_flow",
    "class",
    "commerce_customer",
    "company_info",
    "currencies",
    "customer_group",
    "department",
    "expense",
    "income_statement",
    "invoice",
    "invoice_credit_memo",
    "invoice_payment",
    "items",
    "journal_entry",
    "location",
    "order",
    "payment_term",
    "payout",
    "product",
    "purchase_order",
    "sales_order",
    "store",
    "subscription",
    "subsidiary",
    "tax_rates",
    "transaction",
    "vendor",
];

/// What is to be loaded again.
enum Wish {
    New,
    Since(String, Date),
}

impl Rutter {
    pub(super) fn refresh(&mut self, call: &Call) -> Result<Answer, Refusal> {
        let connection = self.by_query(call)?.id;
        let wish = if call.request.uri().path().ends_with("/backfill") {
            let fields = call.json_object()?;
            let (entity, since) = backfill(&fields, call.now)?;
            Wish::Since(entity, since)
        } else {
            nothing(call)?;
            Wish::New
        };
        check_state(self.by_query(call)?, &self.moment(call.now))?;
        let accepted = !self.settings.declines_refreshes;
        if let Some(connection) = self.ledger.by_id_mut(connection).filter(|_| accepted) {
            match wish {
                Wish::New => connection.incremental_syncs += 1,
                Wish::Since(entity, since) => connection.backfills.push((entity, since)),
            }
        }
        Ok(Answer { response: view::success(accepted), connection: Some(connection) })
    }

    /// The refreshes so far, by what they load.
    pub(crate) fn refreshes(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for connection in self.ledger.rows() {
            if connection.incremental_syncs > 0 {
                *counts.entry("incremental_sync".to_owned()).or_default() += connection.incremental_syncs;
            }
            for (entity, _) in &connection.backfills {
                *counts.entry(entity.clone()).or_default() += 1;
            }
        }
        counts
    }
}

/// A body that says nothing; the reference shows none.
fn nothing(call: &Call) -> Result<(), Refusal> {
    if call.request.body().trim_ascii().is_empty() {
        return Ok(());
    }
    match call.json_object()?.into_iter().next() {
        Some((name, _)) => Err(Refusal::invalid(&format!("unknown field {name}"))),
        None => Ok(()),
    }
}

fn backfill(fields: &Map<String, Value>, now: Timestamp) -> Result<(String, Date), Refusal> {
    for (name, value) in fields {
        let fits = match name.as_str() {
            "start_date" | "end_date" | "entity" | "remarks" => value.is_string(),
            "include_webhooks" => value.is_boolean(),
            _ => return Err(Refusal::invalid(&format!("unknown field {name}"))),
        };
        if !fits {
            return Err(Refusal::invalid(&format!("{name} is of the wrong type")));
        }
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let required =
        |name: &str| text(name).ok_or_else(|| Refusal::missing(&name.to_uppercase(), &format!("{name} is required")));
    let (since, entity) = (date("start_date", required("start_date")?)?, required("entity")?);
    if !ENTITIES.contains(&entity) {
        return Err(Refusal::invalid("entity is none that can be loaded again"));
    }
    let today = now.to_zoned(TimeZone::UTC).date();
    if since > today {
        return Err(Refusal::invalid("start_date lies in the future"));
    }
    if since < today.saturating_sub(Span::new().years(5)) {
        return Err(Refusal::invalid("start_date lies more than five years back"));
    }
    if let Some(until) = text("end_date")
        && date("end_date", until)? < since
    {
        return Err(Refusal::invalid("end_date lies before start_date"));
    }
    Ok((entity.to_owned(), since))
}

fn date(name: &str, text: &str) -> Result<Date, Refusal> {
    // Parsing alone would take a date with a time too.
    let date: Option<Date> = text.parse().ok();
    date.filter(|date| date.to_string() == text)
        .ok_or_else(|| Refusal::invalid(&format!("{name} must be a YYYY-MM-DD")))
}

fn check_state(connection: &Connection, moment: &Moment) -> Result<(), Refusal> {
    if connection.needs_update(moment.now) {
        return Err(Refusal::unfit("NEEDS_UPDATE", "The merchant must authenticate this connection again."));
    }
    if connection.disabled_reason(moment.now).is_some() {
        return Err(Refusal::unfit("CONNECTION_DISABLED", "This connection is disabled."));
    }
    if !connection.progress(moment).is_ready {
        return Err(Refusal::unfit("PRODUCT_NOT_READY", "The initial sync is not done."));
    }
    Ok(())
}
