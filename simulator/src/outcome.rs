//! What comes out of the core for one request: an answer, and what happens to it on the way to the client.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

/// How much of an answer reaches the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// All of it.
    #[default]
    Whole,
    /// The head, and the first half of the body; then the connection breaks.
    Cut,
    /// Nothing: the connection closes without a byte.
    Lost,
}

/// The answer to one request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What the provider answers.
    pub response: http::Response<Bytes>,
    /// How much of it arrives.
    pub delivery: Delivery,
    /// How long the provider holds it back.
    pub held_back: Duration,
}

impl Reply {
    /// An answer that never comes.
    pub(crate) fn lost() -> Self {
        Self { response: http::Response::default(), delivery: Delivery::Lost, held_back: Duration::ZERO }
    }
}

impl From<http::Response<Bytes>> for Reply {
    fn from(response: http::Response<Bytes>) -> Self {
        Self { response, delivery: Delivery::Whole, held_back: Duration::ZERO }
    }
}
