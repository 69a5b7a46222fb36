//! What is told of every write at a provider: why it was sent, and what came of it. The tables in `docs/logs.md` are made
//! from the comments here.

use strum::{EnumIter, EnumMessage, IntoStaticStr};

/// Why a write was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, EnumMessage, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// The object declares a record, and there is none.
    Declared,
    /// The last link for a merchant has expired, or is lost.
    NewLink,
    /// The declaration has changed.
    SpecChanged,
    /// The record was changed at the provider.
    Drift,
    /// The Secret with the credentials has changed, and perhaps more: `fields` names all of it.
    Credentials,
    /// The object is being deleted.
    Deletion,
    /// Another record is to take its place.
    Replacement,
    /// A load of data that belongs to the creation.
    FirstLoad,
    /// A person asked for a load of data.
    RefreshRequested,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, EnumMessage, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The provider did it, or answered a link for a merchant.
    Applied,
    /// The provider did nothing; `error` says why.
    Refused,
    /// No answer, or one that tells nothing. It is looked up before anything follows from it.
    Unknown,
}
