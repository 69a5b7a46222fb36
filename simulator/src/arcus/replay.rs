//! Answering the same request alike when it comes again.
//!
//! Arcus' page on idempotency: `Idempotency-Key`, at most 255 characters, on POST, PATCH and DELETE; the same key with
//! the same body is answered with the stored response for 24 hours, with another body 409; after that it is new.
//! *Inferred*: keys are those of an API key, and "another body" holds for another path or verb too.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use jiff::Timestamp;

use super::call::Call;
use super::refusal::Refusal;
use crate::clock::earlier;
use crate::provider::Answer;

const LONGEST: usize = 255;

/// The answers that are remembered.
#[derive(Debug, Default)]
pub(super) struct Replays(HashMap<(String, String), Replay>);

#[derive(Debug)]
struct Replay {
    digest: u64,
    at: Timestamp,
    answer: Answer,
}

/// The idempotency key of a request, with the API key that it belongs to.
pub(super) type Key = (String, String);

/// The key of a request, if it has one.
pub(super) fn key(call: &Call) -> Result<Option<Key>, Refusal> {
    const NAME: &str = "Idempotency-Key";
    let Some(value) = call.request.headers().get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().map_err(|_| Refusal::malformed(NAME, "It must be text."))?;
    if key.is_empty() || key.len() > LONGEST {
        return Err(Refusal::malformed(NAME, "It must have 1 to 255 characters."));
    }
    Ok(Some((call.account.key.clone(), key.to_owned())))
}

impl Replays {
    /// The answer that is stored for a request.
    pub(super) fn find(&self, call: &Call, key: &Key, window: Duration) -> Result<Option<Answer>, Refusal> {
        let since = earlier(call.now, window);
        match self.0.get(key).filter(|replay| replay.at > since) {
            None => Ok(None),
            Some(replay) if replay.digest == digest(call.request) => Ok(Some(replay.answer.clone())),
            Some(_) => Err(Refusal::idempotency_mismatch()),
        }
    }

    pub(super) fn store(&mut self, call: &Call, key: Key, answer: Answer) {
        self.0.insert(key, Replay { digest: digest(call.request), at: call.now, answer });
    }
}

fn digest(request: &Request<Bytes>) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.method().hash(&mut hasher);
    request.uri().path().hash(&mut hasher);
    request.body().hash(&mut hasher);
    hasher.finish()
}
