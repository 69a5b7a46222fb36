//! What was said to the API server, read back from its audit log.
//!
//! It owns the reading of the log. It must never guess: a whole line that is not an event is an error, since a test that counts
//! requests would otherwise count too few and pass.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use crate::error::Doing;
use crate::{Error, Result};

/// The audit log of one control plane.
///
/// # Guarantees
/// * A request has its line by the time a short answer to it arrives: the API server writes the line first.
///
/// # Caveats
/// * Answers of several kilobytes are sent while they are made, so their line may follow them. A watch has its line when it ends.
/// * Everybody's requests are in it, the controllers' too: filter by user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLog {
    path: PathBuf,
}

/// A moment, and the place in the log then: what was asked for from then on is [`AuditLog::since`] it.
///
/// A request whose effect is seen already may have its line still to come; it was asked for before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    place: u64,
    moment: Timestamp,
}

impl Mark {
    const BEGINNING: Self = Self { place: 0, moment: Timestamp::MIN };
}

/// One request, after it was answered. What a request has no use for is empty: a list has no name, `/healthz` has no resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// As whom it was done: the impersonated user, if there was one.
    pub user: String,
    /// Who impersonated [`Event::user`].
    pub impersonated_by: Option<String>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; in lower case the HTTP method for what is
    /// no resource.
    pub verb: String,
    /// The group of the resource; empty for the core group.
    pub api_group: String,
    /// The resource, in the plural.
    pub resource: String,
    /// Like `status`.
    pub subresource: String,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object. A create has one only if the request named it outside of the body.
    pub name: String,
    /// The HTTP status of the answer; 0 if there was none.
    pub code: u16,
    /// The path and the query.
    pub request_uri: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// When the request was answered.
    pub time: Timestamp,
}

impl Event {
    /// Whether the request asked for a change, whatever the answer was.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    /// Whether it was about this resource (in the plural) of this group, or a subresource of it.
    #[must_use]
    pub fn is_about(&self, api_group: &str, resource: &str) -> bool {
        self.api_group == api_group && self.resource == resource
    }
}

impl AuditLog {
    /// The log in this file.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log ends now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn mark(&self) -> Result<Mark> {
        let place = self.whole_lines(Mark::BEGINNING)?.len() as u64;
        Ok(Mark { place, moment: Timestamp::now() })
    }

    /// Every request so far, oldest first.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is not an event.
    pub fn events(&self) -> Result<impl Iterator<Item = Event> + use<>> {
        self.since(Mark::BEGINNING)
    }

    /// The requests since a mark, oldest first.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is not an event.
    pub fn since(&self, mark: Mark) -> Result<impl Iterator<Item = Event> + use<>> {
        let text = self.whole_lines(mark)?;
        let mut at = mark.place;
        let mut events = Vec::new();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let event: Line = serde_json::from_slice(line).map_err(|source| Error::AuditLine {
                path: self.path.clone(),
                at,
                source,
            })?;
            if event.request_received_timestamp >= mark.moment {
                events.push(Event::from(event));
            }
            at += line.len() as u64;
        }
        Ok(events.into_iter())
    }

    /// What was written since a mark, without a last line that is still being written. No file yet is no line yet.
    fn whole_lines(&self, mark: Mark) -> Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).doing("opening", &self.path),
        };
        let mut text = Vec::new();
        let read = file.seek(SeekFrom::Start(mark.place)).and_then(|_| file.read_to_end(&mut text));
        read.doing("reading", &self.path)?;
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        text.truncate(end);
        Ok(text)
    }
}

/// An event as the API server writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(default)]
    user_agent: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    object_ref: ObjectRef,
    response_status: Option<Answer>,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    code: u16,
}

impl From<Line> for Event {
    fn from(line: Line) -> Self {
        let (user, impersonated_by) = match line.impersonated_user {
            Some(user) => (user.username, Some(line.user.username)),
            None => (line.user.username, None),
        };
        let object = line.object_ref;
        Self {
            user,
            impersonated_by,
            verb: line.verb,
            api_group: object.api_group,
            resource: object.resource,
            subresource: object.subresource,
            namespace: object.namespace,
            name: object.name,
            code: line.response_status.map_or(0, |answer| answer.code),
            request_uri: line.request_uri,
            user_agent: line.user_agent,
            time: line.stage_timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, Result};

    use super::*;

    const PATCH: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete","requestURI":"/apis/tradewind.dev/v1alpha1/namespaces/shop/connections/acme/status?fieldManager=tradewind","verb":"patch","user":{"username":"admin","groups":["system:masters"]},"impersonatedUser":{"username":"system:serviceaccount:shop:tradewind"},"sourceIPs":["127.0.0.1"],"userAgent":"tradewind/0.1.0","objectRef":{"resource":"connections","namespace":"shop","name":"acme","apiGroup":"tradewind.dev","apiVersion":"v1alpha1","subresource":"status"},"responseStatus":{"metadata":{},"code":409},"requestReceivedTimestamp":"2999-01-02T03:04:05.000001Z","stageTimestamp":"2026-01-02T03:04:06.000002Z"}"#;
    const READY: &str = r#"{"stage":"ResponseComplete","requestURI":"/readyz","verb":"get","user":{"username":"system:anonymous"},"requestReceivedTimestamp":"2999-01-02T03:04:06Z","stageTimestamp":"2026-01-02T03:04:07Z"}"#;

    fn log(text: &str) -> Result<(tempfile::TempDir, AuditLog)> {
        let dir = tempfile::tempdir()?;
        let log = AuditLog::at(&dir.path().join("audit.log"));
        std::fs::write(log.path(), text)?;
        Ok((dir, log))
    }

    #[test]
    fn an_event_says_who_did_what_and_with_which_answer() -> Result<()> {
        let (_dir, log) = log(&format!("{PATCH}\n"))?;
        let event = log.events()?.next().context("one event")?;
        assert_eq!(event.user, "system:serviceaccount:shop:tradewind");
        assert_eq!(event.impersonated_by.as_deref(), Some("admin"));
        assert!(event.is_write() && event.is_about("tradewind.dev", "connections"));
        assert_eq!((event.verb.as_str(), event.subresource.as_str(), event.code), ("patch", "status", 409));
        assert_eq!((event.namespace.as_str(), event.name.as_str()), ("shop", "acme"));
        assert_eq!(event.user_agent, "tradewind/0.1.0");
        assert_eq!(event.time, "2026-01-02T03:04:06.000002Z".parse()?);
        Ok(())
    }

    #[test]
    fn a_line_that_is_still_being_written_is_left_for_later() -> Result<()> {
        let (_dir, log) = log(&format!("{READY}\n{}", &PATCH[..100]))?;
        assert_eq!(log.events()?.map(|event| event.request_uri).collect::<Vec<_>>(), ["/readyz"]);
        let mark = log.mark()?;
        std::fs::write(log.path(), format!("{READY}\n{PATCH}\n"))?;
        assert_eq!(log.since(mark)?.map(|event| event.verb).collect::<Vec<_>>(), ["patch"]);
        Ok(())
    }

    #[test]
    fn a_whole_line_that_is_no_event_is_an_error_that_says_where() -> Result<()> {
        let (_dir, log) = log(&format!("{READY}\n{{}}\n"))?;
        let error = log.events().err().context("an error")?.to_string();
        assert!(error.contains(&format!("byte {}", READY.len() + 1)), "{error}");
        Ok(())
    }

    #[test]
    fn no_file_yet_is_no_request_yet() -> Result<()> {
        let (dir, log) = log("")?;
        dir.close()?;
        assert_eq!(log.events()?.count(), 0);
        Ok(())
    }
}
