//! The overview: a table for each kind that there is something of, and what people have to do.

use crate::cli::{
    names::{Kind, ManagedKind},
    output::{Paint, Tone},
    turn::Turn,
    view::View,
};

type Row = Vec<(Tone, String)>;

/// All objects as text. `place`: the namespace, where it is one.
pub(super) fn text(views: &[View], place: Option<&str>, paint: Paint) -> String {
    if views.is_empty() {
        let place = place.map_or_else(|| "any namespace".to_owned(), |namespace| format!("namespace {namespace}"));
        return format!("No accounts, connections or integration instances in {place}\n");
    }
    let mut text = Vec::new();
    let shared = rows(views, Kind::ClusterProviderAccount, Some(""), account);
    if !shared.is_empty() {
        let head = head(Some(""), &["SHARED ACCOUNT", "PROVIDER", "READY", "STATUS", "WAITS FOR", "IDENTITY"]);
        text.push(paint.table(&head, &shared));
    }
    let accounts = rows(views, Kind::ProviderAccount, place, account);
    if !accounts.is_empty() {
        let head = head(place, &["ACCOUNT", "PROVIDER", "READY", "STATUS", "WAITS FOR", "IDENTITY"]);
        text.push(paint.table(&head, &accounts));
    }
    for (kind, title) in [(ManagedKind::Connection, "CONNECTION"), (ManagedKind::IntegrationInstance, "INSTANCE")] {
        let managed = rows(views, Kind::Managed(kind), place, managed);
        if !managed.is_empty() {
            let head = head(place, &[title, "ACCOUNT", "PLATFORM", "READY", "STATUS", "WAITS FOR", "EXTERNAL-ID"]);
            text.push(paint.table(&head, &managed));
        }
    }
    text.extend(chores(views, place, paint));
    text.join("\n")
}

fn head<'a>(place: Option<&str>, columns: &[&'a str]) -> Vec<&'a str> {
    let namespace = if place.is_none() { &["NAMESPACE"][..] } else { &[] };
    [namespace, columns].concat()
}

fn rows(views: &[View], kind: Kind, place: Option<&str>, row: fn(&View) -> Row) -> Vec<Row> {
    let namespace = |view: &View| place.is_none().then(|| plain(&view.namespace));
    let of_kind = views.iter().filter(|view| view.kind == kind.as_str());
    of_kind.map(|view| namespace(view).into_iter().chain(row(view)).collect()).collect()
}

fn account(view: &View) -> Row {
    let [ready, reason, waits] = standing(view);
    vec![plain(&view.name), provider(view), ready, reason, waits, or_dash(view.identity.as_deref())]
}

fn managed(view: &View) -> Row {
    let [ready, reason, waits] = standing(view);
    let record = view.record.as_ref();
    let account = or_dash(record.map(|r| r.account.as_str()));
    let platform = or_dash(record.and_then(|r| r.platform.as_deref()));
    let id = or_dash(record.and_then(|r| r.external_id.as_deref()));
    vec![plain(&view.name), account, platform, ready, reason, waits, id]
}

/// How it is and who has to act.
fn standing(view: &View) -> [(Tone, String); 3] {
    let note = match (view.deleting, view.suspended) {
        (true, _) => " (deleting)",
        (false, true) => " (suspended)",
        (false, false) => "",
    };
    let waits = if view.waits_for == Turn::Person { Tone::Bad } else { Tone::Plain };
    [
        (tone(&view.ready), view.ready.clone()),
        plain(&format!("{}{note}", view.reason)),
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

fn provider(view: &View) -> (Tone, String) {
    plain(&view.provider.map_or_else(|| "-".to_owned(), |p| p.to_string()))
}

fn plain(text: &str) -> (Tone, String) {
    (Tone::Plain, text.to_owned())
}

fn or_dash(text: Option<&str>) -> (Tone, String) {
    plain(text.unwrap_or("-"))
}

/// What waits for a person, in the words of the operator.
fn chores(views: &[View], place: Option<&str>, paint: Paint) -> Option<String> {
    let waiting: Vec<&View> = views.iter().filter(|view| view.waits_for == Turn::Person).collect();
    let lines = waiting.iter().map(|view| {
        let named = place.is_none() && !view.namespace.is_empty();
        let namespace = if named { format!("{}/", view.namespace) } else { String::new() };
        let message = view.concern().map_or(&view.message, |concern| &concern.message);
        format!("  {}\n    {message}\n", paint.paint(Tone::Strong, &format!("{namespace}{}", view.title())))
    });
    let head = format!("Waiting for a person: {} of {}\n", waiting.len(), views.len());
    (!waiting.is_empty()).then(|| head + &lines.collect::<String>())
}
