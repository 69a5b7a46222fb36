//! Bringing connectors about, changing and deleting them.
//!
//! Arcus' pages on `POST`, `PATCH` and `DELETE` of a connector. A delete keeps the credentials for seven days, and a
//! create within them gets them back without a word.

use http::StatusCode;
use jiff::Timestamp;
use uuid::Uuid;

use super::call::Call;
use super::connector::{Connector, Mode};
use super::fields::{self, Draft, Scope};
use super::refusal::Refusal;
use super::row::{Change, Row};
use super::settings::Existing;
use super::view::{self, Kind};
use super::{Arcus, Origin};
use crate::clock::later;
use crate::journal::dotted;
use crate::provider::{About, Answer, Judgement};

/// What a connector comes from.
#[derive(Clone, Debug)]
pub(super) struct Birth {
    pub(super) entity_id: Uuid,
    pub(super) connector: Connector,
    pub(super) draft: Draft,
    /// The mode of what does not name one.
    pub(super) mode: Mode,
    pub(super) origin: Origin,
}

/// On which way a connector comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// By its configuration alone.
    Configured,
    /// Somebody is still to consent.
    Awaited,
    /// Somebody has consented.
    Consented,
}

impl Arcus {
    pub(super) fn create(
        &mut self,
        call: &Call,
        connector: Connector,
        judgement: &Judgement,
    ) -> Result<Answer, Refusal> {
        let body = call.fields()?;
        let sent = dotted(&body);
        let draft = fields::read(body, connector, Scope::Create, &self.settings)?;
        self.check_mode(call, &draft)?;
        let entity_id = call.account.entity_id;
        let found = self.ledger.find(entity_id, connector);
        let there = found.is_some_and(|row| !row.is_deleted());
        let is_refused = match self.settings.existing {
            Existing::Changed | Existing::Replaced => false,
            Existing::Refused => found.is_some_and(|row| row.is_active),
            Existing::RefusedAlways => there,
        };
        if is_refused {
            return Err(Refusal::duplicate(connector));
        }
        let recovers = found.is_some_and(|row| self.is_recoverable(call.now, row));
        let birth = Birth { entity_id, connector, draft, mode: call.mode, origin: Origin::Api };
        if connector.wants_consent() && !(recovers && self.settings.recovery_skips_consent) {
            return self.ask_for_consent(call, birth);
        }
        let (id, changed) = self.establish(call.now, birth, Entrance::Configured);
        if let Some(row) = self.ledger.by_id_mut(id) {
            if there {
                row.changes.push(Change { at: call.now, method: "POST".to_owned(), sent, changed });
            }
            if let Some((after, _)) = judgement.sours {
                row.sync_error = Some((later(call.now, after), "The credentials are not accepted any more".to_owned()));
            }
        }
        let status = if self.settings.created && !there { StatusCode::CREATED } else { StatusCode::OK };
        self.show(call.now, id, Kind::Created, status)
    }

    pub(super) fn update(&mut self, call: &Call, connector: Connector) -> Result<Answer, Refusal> {
        let id = self.living(call, connector)?;
        let body = call.fields()?;
        let sent = dotted(&body);
        let draft = fields::read(body, connector, Scope::Update, &self.settings)?;
        self.check_mode(call, &draft)?;
        let merges_config = self.settings.merges_config;
        if let Some(row) = self.ledger.by_id_mut(id) {
            let changed = row.absorb(draft, merges_config);
            row.changed_at = call.now;
            row.settle(call.now);
            row.changes.push(Change { at: call.now, method: "PATCH".to_owned(), sent, changed });
        }
        self.show(call.now, id, Kind::Other, StatusCode::OK)
    }

    pub(super) fn delete(&mut self, call: &Call, connector: Connector) -> Result<Answer, Refusal> {
        let found = self.ledger.find(call.account.entity_id, connector);
        let Some(row) = found.filter(|row| !row.is_deleted()) else {
            return self.delete_again(call, connector);
        };
        if !row.in_use_by.is_empty() {
            return Err(Refusal::in_use(row.in_use_by.clone()));
        }
        let id = row.id;
        self.remove(call.now, id);
        if self.settings.delete_without_body {
            return Ok(Answer { response: view::no_content(), about: about(connector, Some(id)) });
        }
        self.show(call.now, id, Kind::Other, StatusCode::OK)
    }

    fn delete_again(&self, call: &Call, connector: Connector) -> Result<Answer, Refusal> {
        if !self.settings.repeated_deletes_succeed {
            return Err(Refusal::nothing_there());
        }
        if self.settings.delete_without_body {
            return Ok(Answer { response: view::no_content(), about: about(connector, None) });
        }
        if let Some(row) = self.ledger.find(call.account.entity_id, connector) {
            return self.show(call.now, row.id, Kind::Other, StatusCode::OK);
        }
        let response = view::one(view::never_there(connector), Kind::Other, StatusCode::OK, &self.settings);
        Ok(Answer { response, about: about(connector, None) })
    }

    /// Deletes a row; with it the links that are out, if that is so.
    pub(super) fn remove(&mut self, now: Timestamp, id: Uuid) {
        let Some(row) = self.ledger.by_id_mut(id) else { return };
        row.delete(now);
        let of = (row.entity_id, row.connector);
        if self.settings.delete_ends_links {
            self.void_links(now, of);
        }
    }

    /// Brings a connector about, brings it back or takes hold of the one that is there: its id, and the names of the
    /// fields that differed.
    pub(super) fn establish(&mut self, now: Timestamp, birth: Birth, entrance: Entrance) -> (Uuid, Vec<String>) {
        let Birth { entity_id, connector, draft, mode, origin } = birth;
        let found = self.ledger.find(entity_id, connector);
        let there = found.is_some_and(|row| !row.is_deleted());
        let stored = found.filter(|row| self.is_recoverable(now, row)).and_then(|row| row.credentials_since);
        let reused = found.filter(|_| there || self.settings.revives_rows).map(|row| row.id);
        let resets = reused.is_none() || self.settings.existing == Existing::Replaced;
        let draft = if resets { draft.filled(connector, mode) } else { draft };
        let id = reused.unwrap_or_else(|| self.random.draw());
        if reused.is_none() {
            self.ledger.add(Row::new(now, id, entity_id, connector));
        }
        let Some(row) = self.ledger.by_id_mut(id) else { return (id, Vec::new()) };
        if !there {
            row.origin = origin;
            row.deleted_at = None;
            row.established_at = now;
            row.tally.creates += usize::from(origin == Origin::Api);
            row.credentials_since = stored.filter(|_| entrance == Entrance::Configured);
            row.tally.restores += usize::from(row.credentials_since.is_some());
        } else if row.is_active && origin == Origin::Api {
            row.tally.overwrites += 1;
        }
        let changed = row.absorb(draft, self.settings.merges_config);
        row.is_active = match entrance {
            Entrance::Configured => self.settings.active_without_credentials || row.credentials_since.is_some(),
            Entrance::Awaited => row.is_active,
            Entrance::Consented => {
                row.enter_credentials(now);
                row.has_webhook_secret = true;
                row.sync_error = None;
                true
            }
        };
        row.changed_at = now;
        row.settle(now);
        (id, changed)
    }

    /// Whether a create would find credentials that a delete has left.
    fn is_recoverable(&self, now: Timestamp, row: &Row) -> bool {
        row.is_deleted() && row.has_credentials(now, self.settings.recovery)
    }

    /// What happens to a connector in the other mode than that of the key is not said.
    fn check_mode(&self, call: &Call, draft: &Draft) -> Result<(), Refusal> {
        if self.settings.refuses_other_mode && draft.mode.is_some_and(|mode| mode != call.mode) {
            return Err(Refusal::invalid("mode", "It is not that of the API key."));
        }
        Ok(())
    }

    fn living(&self, call: &Call, connector: Connector) -> Result<Uuid, Refusal> {
        let row = self.ledger.find(call.account.entity_id, connector).filter(|row| !row.is_deleted());
        row.map(|row| row.id).ok_or_else(Refusal::nothing_there)
    }

    pub(super) fn show(&self, now: Timestamp, id: Uuid, kind: Kind, status: StatusCode) -> Result<Answer, Refusal> {
        let row = self.ledger.by_id(id).ok_or_else(Refusal::nothing_there)?;
        let response = view::one(view::row(row, &self.moment(now)), kind, status, &self.settings);
        Ok(Answer { response, about: about(row.connector, Some(id)) })
    }
}

pub(super) fn about(connector: Connector, row: Option<Uuid>) -> About {
    About { connection: row, connector: Some(connector), ..About::default() }
}
