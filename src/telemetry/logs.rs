//! How the process logs, and what no filter can make it log. What is logged of writes at providers is in docs/logs.md.

use std::io::IsTerminal;
pub use tracing_subscriber::filter::ParseError as BadFilter;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error; in colour on a terminal.
///
/// # Errors
/// As [`init_logs_to`].
pub fn init_logs(filter: &str, format: LogFormat) -> Result<(), BadFilter> {
    init_logs_to(filter, format, std::io::stderr, std::io::stderr().is_terminal())
}

/// Starts logging.
///
/// `filter` is a tracing filter. Whatever it says, `kube_client::client` is off: it logs whole bodies that do not
/// decode, Secrets included; and what speaks HTTP never goes below warnings, since its traces hold request heads and
/// with them tokens.
///
/// # Errors
/// A filter that cannot be read.
pub fn init_logs_to<W>(filter: &str, format: LogFormat, writer: W, colour: bool) -> Result<(), BadFilter>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let mut filter: EnvFilter = filter.parse()?;
    for fixed in FIXED {
        filter = filter.add_directive(fixed.parse()?);
    }
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(lines).init(),
        LogFormat::Json => registry.with(lines.json()).init(),
    }
    Ok(())
}

/// What no filter can loosen.
const FIXED: [&str; 8] = [
    "kube_client::client=off",
    "hyper=warn",
    "hyper_util=warn",
    "reqwest=warn",
    "rustls=warn",
    "h2=warn",
    "tower=warn",
    "tower_http=warn",
];
