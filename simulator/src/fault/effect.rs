//! What a fault can do.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};

use crate::rutter::Trouble;

/// What a fault does to a request or to its answer.
///
/// In the admin API: `{"kind": "refuse", "status": 429, "retry_after": 7}`; durations are written `1s 500ms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// Nothing is applied; the answer has this status (500 if it is none) and, if asked for, `Retry-After`.
    Refuse {
        /// The status: 401, 429, 452, 503, …
        status: u16,
        /// The seconds of `Retry-After`. Rutter does not promise the header.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Nothing is applied; 409, as if the idempotency key had come with another body before.
    IdempotencyMismatch,
    /// A create is refused with this status and `INVALID_CREDENTIALS`: the platform did not accept the credentials. At
    /// SKU.io also a change that brings new ones; with 422 the answer names their field. Arcus takes no credentials.
    RefuseCredentials {
        /// The status; no public reference names one. 400 and 401 are likely at Rutter, 422 at SKU.io.
        status: u16,
    },
    /// A create succeeds, and what it made gets into trouble after a while. At SKU.io, whatever the trouble,
    /// refreshes fail from then on: it shows no other sign. At Arcus its synchronization fails.
    SourCredentials {
        /// How long it stays well.
        #[serde(with = "compact::required")]
        after: Duration,
        /// What becomes of it.
        trouble: Trouble,
    },
    /// It takes this long until the request is applied. A client that gives up does not stop it.
    SlowBefore {
        /// How long.
        #[serde(with = "compact::required")]
        delay: Duration,
    },
    /// The request is applied at once, the answer is held back.
    SlowAfter {
        /// How long.
        #[serde(with = "compact::required")]
        delay: Duration,
    },
    /// The connection closes without an answer at once; the request is applied after all, later.
    LateApply {
        /// How much later.
        #[serde(with = "compact::required")]
        delay: Duration,
    },
    /// The request is applied, and the connection closes without an answer.
    LostAnswer,
    /// The request is applied, and the connection breaks in the middle of the body; before it if there is none.
    CutAnswer,
    /// The request is applied, and the answer has this status (500 if it is none).
    StatusAfterApply {
        /// The status.
        status: u16,
    },
    /// A success whose body is not JSON.
    GarbageBody,
    /// A success without a body.
    EmptyBody,
    /// A success that says `"success": false` where it should say true, or `"status": "failure"`.
    Unsuccessful,
    /// A success without any `id`.
    WithoutId,
    /// A success that says what it should, and that many bytes more.
    HugeBody {
        /// How many more.
        bytes: usize,
    },
    /// A success that says what it should, next to arrays nested this deep.
    DeepBody {
        /// How deep.
        depth: usize,
    },
    /// A success with a field in every object that no client knows.
    UnknownFields,
    /// A success with values that no client knows wherever there is an enumeration.
    UnknownValues,
    /// A success whose `created_at` tell a time this much too early, as a server does whose clocks differ.
    Backdate {
        /// How much.
        #[serde(with = "compact::required")]
        by: Duration,
    },
    /// A success with null wherever there is a field of this name.
    NullField {
        /// The name.
        field: String,
    },
}
