//! Making a connection.
//!
//! Rutter's Connections page, "Create a Connection": with an empty body the merchant chooses and logs in behind a link;
//! with a platform, the credentials must be there.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use http::Response;
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::call::Call;
use super::connection::{Connection, Origin, Readiness};
use super::store::{Store, canonical};
use super::{Answer, Refusal, Rutter, platform, view};
use crate::clock::later;
use crate::provider::Judgement;

/// A create under an idempotency key, to be answered alike when it comes again.
#[derive(Debug)]
pub(super) struct Replay {
    /// A digest, because the body holds credentials.
    digest: u64,
    response: Response<Bytes>,
    connection: Uuid,
}

/// What a new connection comes from.
pub(super) struct Birth {
    pub(super) org_id: String,
    pub(super) origin: Origin,
    pub(super) established: bool,
    pub(super) store: Option<Store>,
}

/// The store that a create body names, as far as it can be told.
pub(super) fn store_in(body: &Bytes) -> Option<String> {
    let fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    canonical(fields.get("store_url")?.as_str()?)
}

impl Rutter {
    pub(super) fn create(&mut self, call: &Call, judgement: &Judgement) -> Result<Answer, Refusal> {
        call.query(&[])?;
        let body = call.request.body();
        let fields = if body.trim_ascii().is_empty() { Map::new() } else { call.json_object()? };
        let candidate = match (fields.is_empty(), self.settings.link_flow) {
            (true, true) => None,
            (true, false) => return Err(Refusal::missing("PLATFORM", "platform is required")),
            (false, _) => Some(platform::check(&fields, call.version)?),
        };
        if let Some(answer) = self.replay(call)? {
            return Ok(answer);
        }
        if let (Some(status), Some(_)) = (judgement.refused, &candidate) {
            return Err(Refusal::bad_credentials(status));
        }
        let id = match self.twin(call, candidate.as_ref().and_then(|candidate| candidate.store.as_ref())) {
            Some(twin) => twin,
            None => self.bear_candidate(call, judgement, candidate),
        };
        let connection = self.ledger.by_id(id).ok_or_else(|| Refusal::upstream(500, None))?;
        let response = view::created(connection, &self.link_base(call.request));
        self.remember(call, &response, id);
        Ok(Answer { response, connection: Some(id) })
    }

    fn bear_candidate(&mut self, call: &Call, judgement: &Judgement, candidate: Option<platform::Candidate>) -> Uuid {
        let established = candidate.is_some();
        // Without an identity every create is another store.
        let store = candidate.map(|candidate| {
            let platform = candidate.platform;
            candidate.store.unwrap_or_else(|| Store::known_as(platform, self.random.draw().simple().to_string()))
        });
        let org_id = call.account.org_id.clone();
        let id = self.bear(call.now, Birth { org_id, origin: Origin::Api, established, store });
        if let (Some((after, trouble)), Some(connection)) = (judgement.sours, self.ledger.by_id_mut(id)) {
            connection.troubles.push((later(call.now, after), trouble));
        }
        id
    }

    /// Puts a new connection into the ledger.
    pub(super) fn bear(&mut self, now: Timestamp, birth: Birth) -> Uuid {
        let (id, access_token) = (self.random.draw(), self.random.draw());
        self.ledger.add(Connection {
            id,
            access_token,
            org_id: birth.org_id,
            origin: birth.origin,
            store: birth.store,
            created_at: now,
            established_at: birth.established.then_some(now),
            readiness: Readiness::Scheduled,
            troubles: Vec::new(),
            changed_at: now,
            deleted_at: None,
            incremental_syncs: 0,
            backfills: Vec::new(),
        });
        id
    }

    /// The connection that a de-duplicating Rutter would answer with.
    fn twin(&self, call: &Call, store: Option<&Store>) -> Option<Uuid> {
        let wanted = store.filter(|_| self.settings.deduplicates)?;
        let mut live = self.ledger.rows().iter().filter(|connection| connection.is_live_for(&call.account));
        live.find(|connection| connection.store.as_ref() == Some(wanted)).map(|connection| connection.id)
    }

    /// Rutter's page on idempotent requests: the first accepted result is replayed, another body under the key is 409,
    /// and a request that failed validation has not used up its key.
    fn replay(&self, call: &Call) -> Result<Option<Answer>, Refusal> {
        match self.key(call).and_then(|key| self.replays.get(&key)) {
            None => Ok(None),
            Some(replay) if replay.digest == digest(call.request.body()) => {
                Ok(Some(Answer { response: replay.response.clone(), connection: Some(replay.connection) }))
            }
            Some(_) => Err(Refusal::idempotency_mismatch()),
        }
    }

    fn remember(&mut self, call: &Call, response: &Response<Bytes>, connection: Uuid) {
        if let Some(key) = self.key(call) {
            let replay = Replay { digest: digest(call.request.body()), response: response.clone(), connection };
            self.replays.insert(key, replay);
        }
    }

    fn key(&self, call: &Call) -> Option<(String, String)> {
        let key = call.request.headers().get("idempotency-key").filter(|_| self.settings.honours_idempotency_keys)?;
        Some((call.account.org_id.clone(), key.to_str().ok()?.to_owned()))
    }
}

fn digest(body: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish()
}
