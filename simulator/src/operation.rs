//! What a request asks for, in words that hold for every provider.

use serde::{Deserialize, Serialize};

/// What a request asks for. Faults are aimed by it and the journal is read by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Make a connection.
    Create,
    /// List the connections of the account.
    List,
    /// Read one connection.
    ReadDetail,
    /// Read the state of one connection.
    ReadStatus,
    /// Change a connection.
    Update,
    /// Delete a connection.
    Delete,
    /// Ask who is calling.
    Me,
    /// Have the data of one connection loaded again.
    Refresh,
    /// Read the state of a job.
    ReadJob,
    /// Read what the provider has to ask the store for.
    AskStore,
    /// Nothing that the provider has: an unknown path, or a known path with another verb.
    Unknown,
}
