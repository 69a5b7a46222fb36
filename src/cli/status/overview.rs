//! The overview: a table for each kind that there is something of, and what people have to do.

use crate::cli::{
    names::{Kind, ManagedKind},
    output::{Line, Tone, Word, line, table, word},
    turn::Turn,
    view::View,
};

/// All objects as text. `place`: the namespace, where it is one.
pub(super) fn text(views: &[View], place: Option<&str>) -> Vec<Line> {
    if views.is_empty() {
        let place = place.map_or_else(|| "any namespace".to_owned(), |namespace| format!("namespace {namespace}"));
        return vec![line(format!("No accounts, connections or integration instances in {place}"))];
    }
    let mut parts = Vec::new();
    let shared = rows(views, Kind::ClusterProviderAccount, Some(""), account);
    if !shared.is_empty() {
        let head = head(Some(""), &["SHARED ACCOUNT", "PROVIDER", "READY", "STATUS", "WAITS FOR", "IDENTITY"]);
        parts.push(table(&head, shared));
    }
    let accounts = rows(views, Kind::ProviderAccount, place, account);
    if !accounts.is_empty() {
        let head = head(place, &["ACCOUNT", "PROVIDER", "READY", "STATUS", "WAITS FOR", "IDENTITY"]);
        parts.push(table(&head, accounts));
    }
    for (kind, title) in [(ManagedKind::Connection, "CONNECTION"), (ManagedKind::IntegrationInstance, "INSTANCE")] {
        let managed = rows(views, Kind::Managed(kind), place, managed);
        if !managed.is_empty() {
            let head = head(place, &[title, "ACCOUNT", "PLATFORM", "READY", "STATUS", "WAITS FOR", "EXTERNAL-ID"]);
            parts.push(table(&head, managed));
        }
    }
    parts.extend(chores(views, place));
    parts.join(&Line::new())
}

fn head<'a>(place: Option<&str>, columns: &[&'a str]) -> Vec<&'a str> {
    let namespace = if place.is_none() { &["NAMESPACE"][..] } else { &[] };
    [namespace, columns].concat()
}

fn rows(views: &[View], kind: Kind, place: Option<&str>, row: fn(&View) -> Line) -> Vec<Line> {
    let namespace = |view: &View| place.is_none().then(|| word(&view.namespace));
    let of_kind = views.iter().filter(|view| view.kind == kind.as_str());
    of_kind.map(|view| namespace(view).into_iter().chain(row(view)).collect()).collect()
}

fn account(view: &View) -> Line {
    let [ready, reason, waits] = standing(view);
    vec![word(&view.name), provider(view), ready, reason, waits, or_dash(view.identity.as_deref())]
}

fn managed(view: &View) -> Line {
    let [ready, reason, waits] = standing(view);
    let record = view.record.as_ref();
    let account = or_dash(record.map(|r| r.account.as_str()));
    let platform = or_dash(record.and_then(|r| r.platform.as_deref()));
    let id = or_dash(record.and_then(|r| r.external_id.as_deref()));
    vec![word(&view.name), account, platform, ready, reason, waits, id]
}

/// How it is and who has to act.
fn standing(view: &View) -> [Word; 3] {
    let note = match (view.deleting, view.suspended) {
        (true, _) => " (deleting)",
        (false, true) => " (suspended)",
        (false, false) => "",
    };
    let waits = if view.waits_for == Turn::Person { Tone::Bad } else { Tone::Plain };
    [
        (tone(&view.ready), view.ready.clone()),
        word(format!("{}{note}", view.reason)),
        (waits, view.waits_for.words().into()),
    ]
}

/// The tone of a condition's status.
pub(super) fn tone(status: &str) -> Tone {
    match status {
        "True" => Tone::Good,
        "False" => Tone::Bad,
        _ => Tone::Unsure,
    }
}

fn provider(view: &View) -> Word {
    word(view.provider.map_or_else(|| "-".to_owned(), |p| p.to_string()))
}

fn or_dash(text: Option<&str>) -> Word {
    word(text.unwrap_or("-"))
}

/// What waits for a person, in the words of the operator.
fn chores(views: &[View], place: Option<&str>) -> Option<Vec<Line>> {
    let waiting: Vec<&View> = views.iter().filter(|view| view.waits_for == Turn::Person).collect();
    let lines = waiting.iter().flat_map(|view| {
        let named = place.is_none() && !view.namespace.is_empty();
        let namespace = if named { format!("{}/", view.namespace) } else { String::new() };
        let title = vec![word("  "), (Tone::Strong, format!("{namespace}{}", view.title()))];
        [title, line(format!("    {}", view.why().1))]
    });
    let head = line(format!("Waiting for a person: {} of {}", waiting.len(), views.len()));
    (!waiting.is_empty()).then(|| std::iter::once(head).chain(lines).collect())
}
