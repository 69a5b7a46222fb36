//! Logs and metrics. A leaf: it knows none of the layers that use it.

mod families;
#[cfg(test)]
pub(crate) mod lines;
mod logs;
mod metrics;

pub use families::Declared;
pub use logs::{BadFilter, LogFormat, init_logs, init_logs_to};
pub use metrics::{Leading, Meter, Metrics, Throttle};
