//! Logs and metrics. A leaf: it knows none of the layers that use it.
//!
//! Labels are of constant cardinality: no object names, no ids, no free text.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{io::IsTerminal, sync::Arc, time::Duration};
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

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    operation: &'static str,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    kind: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// The operator's metrics; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Request, Counter>,
    request_time: Family<Kind, Histogram>,
    passes: Family<Outcome, Counter>,
    pass_time: Family<Kind, Histogram>,
    panics: Counter,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A set of its own; one for each process.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tradewind");
        let buckets = || Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
        let requests = Family::<Request, Counter>::default();
        registry.register("provider_requests", "Requests to providers by operation and HTTP status", requests.clone());
        let request_time = Family::<Kind, Histogram>::new_with_constructor(buckets);
        registry.register_with_unit(
            "provider_request_duration",
            "Time of a request to a provider",
            Unit::Seconds,
            request_time.clone(),
        );
        let passes = Family::<Outcome, Counter>::default();
        registry.register("reconciles", "Passes by kind of object and by how they ended", passes.clone());
        let pass_time = Family::<Kind, Histogram>::new_with_constructor(buckets);
        registry.register_with_unit("reconcile_duration", "Time of a pass", Unit::Seconds, pass_time.clone());
        let panics = Counter::default();
        registry.register("reconcile_panics", "Passes that panicked; each is a bug", panics.clone());
        let leader = Gauge::default();
        registry.register("leader", "1 while this process leads", leader.clone());
        Self { registry: Arc::new(registry), requests, request_time, passes, pass_time, panics, leader }
    }

    /// One request to a provider. `status`: `None` if there was no answer.
    pub fn provider_request(&self, operation: &'static str, status: Option<u16>, took: Duration) {
        let code = status.map_or_else(|| "none".to_owned(), |s| s.to_string());
        self.requests.get_or_create(&Request { operation, code }).inc();
        self.request_time.get_or_create(&Kind { kind: operation }).observe(took.as_secs_f64());
    }

    /// One pass.
    pub fn pass(&self, kind: &'static str, reason: &'static str, took: Duration) {
        self.passes.get_or_create(&Outcome { kind, reason }).inc();
        self.pass_time.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    /// A pass panicked.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
