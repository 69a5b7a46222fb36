//! Watches: the log from a version on, as a stream of lines.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::{Stream, stream};
use http_body::Frame;
use tokio::time::Instant;

use crate::{
    fail::Failure,
    handle::ApiServer,
    meta,
    page::Selection,
    request::Request,
    state::{State, What},
    stored::Object,
};

/// Where one watch is.
struct Cursor {
    server: ApiServer,
    selection: Selection,
    partial: bool,
    /// What was shown last.
    revision: u64,
    ends: Instant,
    /// What is shown first, whatever the log says.
    first: Option<Bytes>,
    /// It was told to list anew.
    is_over: bool,
}

/// How long a watch lasts that does not say.
const LONG: Duration = Duration::from_mins(30);

/// # Errors
/// A selector that this server does not know, or a version that is none.
pub(crate) fn watch(
    server: &ApiServer,
    request: &Request,
) -> Result<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + use<>, Failure> {
    let selection = Selection::of(request)?;
    let from = request.query("resourceVersion").unwrap_or_default();
    let seconds = request.query("timeoutSeconds").and_then(|text| text.parse().ok());
    let (revision, first) = server.with(|state| match from {
        "" | "0" => Ok((state.revision(), Some(state.present(&selection, request.partial)))),
        version => version
            .parse()
            .map(|revision| (revision, None))
            .map_err(|_| Failure::bad_request("no such resourceVersion")),
    })?;
    let cursor = Cursor {
        server: server.clone(),
        selection,
        partial: request.partial,
        revision,
        ends: Instant::now() + seconds.map_or(LONG, Duration::from_secs),
        first: first.filter(|lines| !lines.is_empty()),
        is_over: false,
    };
    Ok(stream::unfold(cursor, |cursor| async {
        Some(next(cursor).await?).map(|(lines, cursor)| (Ok(Frame::data(lines)), cursor))
    }))
}

/// The next lines; `None` where the watch has lasted long enough. One whose version is too old says so and ends.
async fn next(mut cursor: Cursor) -> Option<(Bytes, Cursor)> {
    if let Some(lines) = cursor.first.take() {
        return Some((lines, cursor));
    }
    if cursor.is_over {
        return None;
    }
    loop {
        let changed = cursor.server.changed(cursor.selection.kind);
        if let Some(failure) = cursor.server.with(|state| state.is_too_old(cursor.revision)) {
            cursor.is_over = true;
            return Some((format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", failure.status()).into(), cursor));
        }
        let (lines, revision, due) =
            cursor.server.with(|state| state.since(cursor.revision, &cursor.selection, cursor.partial));
        cursor.revision = revision;
        if !lines.is_empty() {
            return Some((lines, cursor));
        }
        let wake = due.map_or(cursor.ends, |due| due.min(cursor.ends));
        tokio::select! {
            biased;
            () = changed => {}
            () = tokio::time::sleep_until(wake) => if Instant::now() >= cursor.ends { return None },
        }
    }
}

impl State {
    /// All that is there, as lines.
    fn present(&self, selection: &Selection, partial: bool) -> Bytes {
        let all = self.list(selection.kind, selection.namespace.as_deref());
        let lines = all.into_iter().filter(|(k, o)| selection.has(k, o)).map(|(_, o)| line(What::Added, o, partial));
        lines.collect::<String>().into()
    }

    fn is_too_old(&self, revision: u64) -> Option<Failure> {
        (revision < self.expired).then(|| Failure::expired(revision, self.expired))
    }

    /// What is visible after a version, as lines; up to which version that is; and when more will be visible.
    fn since(&self, revision: u64, selection: &Selection, partial: bool) -> (Bytes, u64, Option<Instant>) {
        let (now, mut lines, mut seen) = (Instant::now(), String::new(), revision);
        let from = self.log.partition_point(|change| change.revision <= revision);
        for change in self.log.iter().skip(from) {
            if change.key.kind == selection.kind && change.visible > now {
                return (lines.into(), seen, Some(change.visible));
            }
            seen = change.revision;
            if selection.has(&change.key, &change.object) {
                lines.push_str(&line(change.what, &change.object, partial));
            }
        }
        (lines.into(), seen, None)
    }
}

fn line(what: What, object: &Object, partial: bool) -> String {
    let event = |object: &str| format!("{{\"type\":\"{}\",\"object\":{object}}}\n", what.name());
    if partial { event(&meta::partial(object).to_string()) } else { event(object.text()) }
}
