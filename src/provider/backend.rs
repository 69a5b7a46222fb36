//! The providers that a session can have. A new one is a compile error wherever the engine dispatches.

use super::{arcus::Arcus, rutter::Rutter, sku_io::SkuIo};

/// A provider behind a session.
pub enum Backend {
    /// Arcus ERP.
    Arcus(Box<Arcus>),
    /// Rutter.
    Rutter(Box<Rutter>),
    /// SKU.io.
    SkuIo(Box<SkuIo>),
}

/// Calls a generic function with the session's provider: the one place of dispatch.
macro_rules! with_external {
    ($backend:expr, $external:ident => $call:expr) => {
        match $backend {
            $crate::provider::Backend::Arcus(boxed) => {
                let $external = boxed.as_ref();
                $call
            }
            $crate::provider::Backend::Rutter(boxed) => {
                let $external = boxed.as_ref();
                $call
            }
            $crate::provider::Backend::SkuIo(boxed) => {
                let $external = boxed.as_ref();
                $call
            }
        }
    };
}
pub(crate) use with_external;
