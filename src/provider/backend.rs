//! The providers that a session can have. A new one is a compile error wherever the engine dispatches.

use super::rutter::Rutter;

/// A provider behind a session.
pub enum Backend {
    /// Rutter.
    Rutter(Rutter),
}

/// Calls a generic function with the session's provider: the one place of dispatch.
macro_rules! with_external {
    ($backend:expr, $external:ident => $call:expr) => {
        match $backend {
            $crate::provider::Backend::Rutter($external) => $call,
        }
    };
}
pub(crate) use with_external;
