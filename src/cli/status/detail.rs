//! All that is known of one object, as text.

use super::overview::tone;
use crate::{
    api::v1alpha1::{AuthorizationStatus, DeletionPolicy, LastAction, ManagementPolicy, RefreshStatus},
    cli::{
        age::{now, since, until},
        output::{Line, Tone, line, table, word},
        refresh::states,
        turn::Turn,
        view::{CreationState, CreationView, RecordView, View},
    },
    domain::conditions::Type,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// At most this many commands are suggested; JSON has all.
const COMMANDS: usize = 6;

/// A name and what stands behind it.
type Field = (&'static str, Line);

/// One object as text.
pub(super) fn text(view: &View) -> Vec<Line> {
    let place = if view.namespace.is_empty() { String::new() } else { format!(" in namespace {}", view.namespace) };
    let title = vec![(Tone::Strong, format!("{} {}{place}", view.kind, view.name))];
    let mut parts = vec![vec![title], fields(standing(view)), fields(facts(view))];
    if !view.conditions.is_empty() {
        parts.push(conditions(&view.conditions));
    }
    parts.join(&Line::new())
}

/// How it is, who has to act, and by what.
fn standing(view: &View) -> Vec<Field> {
    let note = match (view.deleting, view.suspended) {
        (true, _) => ", being deleted",
        (false, true) => ", suspended",
        (false, false) => "",
    };
    let ready = vec![(tone(&view.ready), view.ready.clone()), word(format!(", {}{note}", view.reason))];
    let mut standing = vec![("Ready", ready), ("", line(&view.message))];
    let waits = if view.waits_for == Turn::Nobody { "nobody" } else { view.waits_for.words() };
    standing.push(("Waits for", line(waits)));
    standing.extend(view.told_by().map(|by| ("", line(&by.message))));
    let commands = view.commands.iter().take(COMMANDS).enumerate();
    standing.extend(commands.map(|(n, command)| (if n == 0 { "Run one of" } else { "" }, line(command))));
    standing
}

fn facts(view: &View) -> Vec<Field> {
    let mut facts = Vec::new();
    facts.extend(view.provider.map(|provider| ("Provider", line(provider.to_string()))));
    facts.extend(view.identity.as_ref().map(|identity| ("Identity", line(identity))));
    facts.extend(view.record.iter().flat_map(record));
    facts
}

fn record(record: &RecordView) -> Vec<Field> {
    let (mut facts, now) = (vec![], now());
    let mut tell = |name: &'static str, text: Option<String>| facts.extend(text.map(|text| (name, line(text))));
    let list = |items: &[String]| (!items.is_empty()).then(|| items.join(", "));
    let held = |has: bool| if has { "stored at the provider" } else { "none stored at the provider" }.to_owned();
    tell("Account", Some(record.account.clone()));
    tell("Platform", record.platform.clone());
    tell("Store", record.store.clone());
    tell("External id", Some(record.external_id.clone().unwrap_or_else(|| "none".to_owned())));
    tell("Creation", Some(creation(&record.creation)));
    tell("Authorization", record.authorization.as_ref().map(|link| authorization(link, now)));
    tell("Key", record.creation.key.clone());
    tell("Candidates", list(&record.creation.candidates));
    tell("Differs in", list(&record.drifted_fields));
    tell("Last action", record.last_action.as_ref().map(last));
    tell("Last sync", record.last_sync_time.as_ref().map(|t| format!("{} ago", since(t, now))));
    tell("Sync status", record.sync_status.clone());
    tell("Sync error", record.sync_error.clone());
    tell("Credentials", record.has_credentials.map(held));
    tell("Webhook secret", record.has_webhook_secret.map(held));
    for (n, told) in record.refresh.iter().flat_map(|status| refresh(status, now)).enumerate() {
        tell(if n == 0 { "Refresh" } else { "" }, Some(told));
    }
    let deletion = match (record.management_policy, record.deletion_policy) {
        (ManagementPolicy::ObserveOnly, _) => "leaves the record at the provider, which is only observed",
        (ManagementPolicy::Full, DeletionPolicy::Delete) => "deletes the record",
        (ManagementPolicy::Full, DeletionPolicy::Retain) => "leaves the record at the provider",
    };
    tell("Deletion", Some(deletion.to_owned()));
    facts
}

fn creation(creation: &CreationView) -> String {
    let outcome = match creation.state {
        CreationState::NotStarted => "not started",
        CreationState::Pending => "outcome not known yet",
        CreationState::Done => "done",
        CreationState::Unverifiable => "made by another object, or not readable",
    };
    match (creation.attempt, &creation.at) {
        (Some(attempt), Some(at)) => format!("{outcome}; attempt {attempt}, {} ago ({})", since(at, now()), at.0),
        _ => outcome.to_owned(),
    }
}

fn authorization(link: &AuthorizationStatus, now: Timestamp) -> String {
    let (attempt, at) = (link.attempt, &link.expires_at);
    if now < at.0 {
        format!("attempt {attempt}; its link expires in {} ({})", until(at.0, now), at.0)
    } else {
        format!("attempt {attempt}; its link expired {} ago ({})", since(at, now), at.0)
    }
}

fn last(action: &LastAction) -> String {
    let fields = if action.fields.is_empty() { String::new() } else { format!(" {}", action.fields.join(", ")) };
    format!("{}{fields}, {} ago", action.cause, since(&action.at, now()))
}

/// The last refresh of each entity, one line each.
fn refresh(status: &RefreshStatus, now: Timestamp) -> Vec<String> {
    let told = states(status).map(|(entity, state)| {
        let job = state.job.as_ref().map(|job| format!(", job {job}")).unwrap_or_default();
        format!("{entity} {} {} ago (token {}{job})", state.state, since(&state.at, now), state.token)
    });
    told.collect()
}

fn fields(fields: Vec<Field>) -> Vec<Line> {
    let width = fields.iter().map(|(name, _)| name.len() + 1).max().unwrap_or_default();
    let line = |(name, text): Field| {
        let name = if name.is_empty() { String::new() } else { format!("{name}:") };
        std::iter::once(word(format!("{name:width$}  "))).chain(text).collect()
    };
    fields.into_iter().map(line).collect()
}

fn conditions(conditions: &[Condition]) -> Vec<Line> {
    let row = |c: &Condition| {
        let age = since(&c.last_transition_time, now());
        let status = if c.type_ == Type::Stalled.to_string() { Tone::Bad } else { tone(&c.status) };
        vec![word(&c.type_), (status, c.status.clone()), word(&c.reason), word(age), word(&c.message)]
    };
    table(&["CONDITION", "STATUS", "REASON", "FOR", "MESSAGE"], conditions.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refresh_is_told_for_each_entity_that_had_one() {
        let state = |state: &str| json!({"token": "initial", "state": state, "at": "2026-01-01T00:00:00Z"});
        let mut both = json!({"products": state("Accepted"), "orders": state("Unknown")});
        both["orders"]["job"] = json!("12");
        let now: Timestamp = "2026-01-01T00:03:00Z".parse().expect("a time");
        let told =
            |status: &serde_json::Value| refresh(&serde_json::from_value(status.clone()).expect("a status"), now);
        let products = "products Accepted 3m ago (token initial)";
        assert_eq!(told(&both), [products, "orders Unknown 3m ago (token initial, job 12)"]);
        assert_eq!(told(&json!({"orders": state("Due")})), ["orders Due 3m ago (token initial)"]);
        assert_eq!(told(&json!({})), [""; 0]);
    }

    #[test]
    fn a_link_is_told_with_its_expiry_before_and_after() {
        let link: AuthorizationStatus =
            serde_json::from_value(json!({"expiresAt": "2026-01-01T00:10:00Z", "attempt": 2})).expect("a link");
        let told = |now: &str| authorization(&link, now.parse().expect("a time"));
        assert_eq!(told("2026-01-01T00:03:00Z"), "attempt 2; its link expires in 7 minutes (2026-01-01T00:10:00Z)");
        assert_eq!(told("2026-01-01T00:10:00Z"), "attempt 2; its link expired 0s ago (2026-01-01T00:10:00Z)");
    }
}
