//! How the process logs, and what no filter can make it log. What is logged of writes at providers is in docs/logs.md.

use std::io::IsTerminal;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, ParseError, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// A filter that nothing can be logged by.
#[derive(Debug, thiserror::Error)]
pub enum BadFilter {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ParseError),
    /// A word alone. What is no level is the name of a target to tracing, and nobody else would say a word any more.
    #[error("{0} is no level: use off, error, warn, info, debug or trace, or TARGET=LEVEL")]
    NoLevel(String),
}

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
    subscriber(filter, format, writer, colour)?.init();
    Ok(())
}

fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    writer: W,
    colour: bool,
) -> Result<impl Subscriber + Send + Sync + 'static, BadFilter>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let is_word = |filter: &str| filter.chars().all(|c| c.is_ascii_alphanumeric());
    if is_word(filter) && filter.parse::<LevelFilter>().is_err() {
        return Err(BadFilter::NoLevel(filter.to_owned()));
    }
    let filter: EnvFilter = filter.parse()?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // A filter of its own, not directives of the other one: there, whatever names a target or a field more exactly would win.
    let fixed = Targets::new().with_default(LevelFilter::TRACE).with_targets(FIXED);
    Ok(tracing_subscriber::registry().with(filter).with(fixed).with(lines))
}

/// What no filter can loosen: the most that these targets, and all whose names begin with theirs, may say.
const FIXED: [(&str, LevelFilter); 8] = [
    ("kube_client::client", LevelFilter::OFF),
    ("hyper", LevelFilter::WARN),
    ("hyper_util", LevelFilter::WARN),
    ("reqwest", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
    ("h2", LevelFilter::WARN),
    ("tower", LevelFilter::WARN),
    ("tower_http", LevelFilter::WARN),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::lines::Lines;
    use rstest::rstest;

    /// What comes into the log by a filter, where every target says something at every level, with a span around it.
    fn logged(filter: &str, format: LogFormat) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(filter, format, move || writer.clone(), false).expect("a filter");
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace_span!(target: "hyper::proto", "flush", token = "span-canary").in_scope(|| {
                tracing::trace!(target: "hyper::proto::h1::io", "trace-canary");
                tracing::debug!(target: "hyper_util::client::legacy", "debug-canary");
                tracing::info!(target: "rustls::client", "info-canary");
                tracing::trace!(target: "h2::codec", head = "trace-canary");
                tracing::debug!(target: "reqwest::connect", "debug-canary");
                tracing::debug!(target: "tower_http::trace", "debug-canary");
                tracing::warn!(target: "kube_client::client", "body-canary");
                tracing::error!(target: "kube_client::client::builder", message = "error-canary");
                tracing::warn!(target: "hyper::proto", "a warning of what speaks HTTP");
                tracing::trace!(target: "tradewind::engine", "a trace of our own");
            });
        });
        lines.text()
    }

    #[rstest]
    #[case("warning", true)]
    #[case("verbose", true)]
    #[case("warn", false)]
    #[case("INFO", false)]
    #[case("3", false)]
    #[case("tradewind=debug", false)]
    #[case("tradewind::engine", false)]
    fn a_word_that_is_no_level_is_not_taken_for_a_target(#[case] filter: &str, #[case] refused: bool) {
        let made = subscriber(filter, LogFormat::Text, std::io::sink, false);
        assert_eq!(matches!(made, Err(BadFilter::NoLevel(_))), refused);
    }

    #[rstest]
    #[case::everything("trace")]
    #[case::a_part_of_it(
        "trace,hyper::proto=trace,hyper::proto::h1::io=trace,hyper_util::client=debug,rustls::client=info"
    )]
    #[case::the_same_targets("trace,hyper=trace,h2=trace,reqwest=trace,tower_http=trace,kube_client::client=trace")]
    #[case::by_a_field("trace,kube_client::client[{message}]=warn,h2::codec[{head}]=trace")]
    #[case::by_a_span("trace,[flush]=trace,hyper::proto[flush{token}]=trace")]
    fn no_filter_makes_it_tell_a_secret(
        #[case] filter: &str,
        #[values(LogFormat::Text, LogFormat::Json)] format: LogFormat,
    ) {
        let text = logged(filter, format);
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("a warning of what speaks HTTP") && text.contains("a trace of our own"), "{text}");
    }

    #[test]
    fn a_filter_may_ask_for_less() {
        assert_eq!(logged("off", LogFormat::Text), "");
        let own = logged("off,tradewind=trace", LogFormat::Text);
        assert!(own.contains("a trace of our own") && own.lines().count() == 1, "{own}");
        assert!(!logged("hyper=error,tradewind=trace", LogFormat::Text).contains("HTTP"));
    }
}
