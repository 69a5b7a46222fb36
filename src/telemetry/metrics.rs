//! The operator's metrics: every one is declared in [`Metrics::new`] and nowhere else. `docs/metrics.md` is made from it.

use super::families::{Counted, Declared, Families, Labelled};
use crate::{
    api::v1alpha1::{Connection, IntegrationInstance, Managed, Provider},
    domain::{
        reason::Reason,
        writes::{Cause, Outcome},
    },
};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{sync::Arc, time::Duration};
use strum::{EnumIter, EnumMessage, IntoStaticStr};

/// Who kept a request from being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, EnumMessage, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Throttle {
    /// The provider: it was asked, and answered that it is too much.
    Provider,
    /// Nobody asked it: it had said before that it must not be asked for a while.
    Pause,
    /// Nobody asked it: the account's own `limits` were used up.
    Budget,
}

/// The operator's metrics; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    declared: Arc<[Declared]>,
    requests: Labelled<Counter, 3>,
    request_time: Labelled<Histogram, 2>,
    throttled: Labelled<Counter, 2>,
    quota: Labelled<Histogram, 1>,
    writes: Labelled<Counter, 4>,
    watch_failures: Labelled<Counter, 1>,
    passes: Labelled<Counter, 2>,
    pass_time: Labelled<Histogram, 1>,
    panics: Counter,
    errors: Labelled<Counter, 2>,
    drifts: Labelled<Counter, 1>,
    rotations: Labelled<Counter, 2>,
    time_to_ready: Labelled<Histogram, 1>,
    objects: Counted<4>,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// For calls and passes.
fn moments() -> Histogram {
    Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}

/// For what may take a provider's first sync, or a person.
fn hours() -> Histogram {
    Histogram::new([1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0])
}

/// For parts of a whole; the low ones matter.
fn parts() -> Histogram {
    Histogram::new([0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0])
}

impl Metrics {
    /// A set of its own; one for each process.
    #[must_use]
    pub fn new() -> Self {
        let mut all = Families::new();
        all.info("build", ("version", env!("CARGO_PKG_VERSION")), "The version that runs");
        let metrics = Self {
            leader: all.plain_gauge("leader", "1 while this process leads and watches all that it must"),
            objects: all.counted(
                "objects",
                ["kind", "type", "status", "reason"],
                "Objects by what a condition says; told by the process that leads",
            ),
            time_to_ready: all.histogram(
                "time_to_ready",
                Unit::Seconds,
                ["kind"],
                "Time from the creation of an object to its first Ready, where one process saw all of it",
                hours,
            ),
            errors: all.counter("errors", ["kind", "reason"], "Warnings that objects were given as events"),
            drifts: all.counter("drifts", ["kind"], "Records that were found to differ from an unchanged declaration"),
            rotations: all.counter("account_rotations", ["provider", "verdict"], "Tries of new secrets of logins"),
            writes: all.counter(
                "provider_writes",
                ["provider", "operation", "cause", "outcome"],
                "Writes that were sent to providers",
            ),
            requests: all.counter(
                "provider_requests",
                ["provider", "operation", "code"],
                "Requests to providers, reads and writes",
            ),
            request_time: all.histogram(
                "provider_request_duration",
                Unit::Seconds,
                ["provider", "operation"],
                "Time of a request to a provider",
                moments,
            ),
            throttled: all.counter(
                "provider_throttled_requests",
                ["provider", "by"],
                "Requests that a provider refused as too many, or that were not sent so that it need not",
            ),
            quota: all.histogram(
                "provider_quota_remaining",
                Unit::Other("ratio".to_owned()),
                ["provider"],
                "What was left of a login's quota, by the answers that tell it",
                parts,
            ),
            watch_failures: all.counter("watch_failures", ["kind"], "Watches that failed and were opened again"),
            passes: all.counter("reconciles", ["kind", "result"], "Passes by how they ended"),
            pass_time: all.histogram("reconcile_duration", Unit::Seconds, ["kind"], "Time of a pass", moments),
            panics: all.plain_counter("reconcile_panics", "Passes that panicked; each is a bug"),
            registry: Arc::new(all.registry),
            declared: all.declared.into(),
        };
        metrics.begin();
        metrics
    }

    /// Lets those series begin at 0 of which a single increase is an alert: Prometheus sees no increase in a series that
    /// begins at 1.
    fn begin(&self) {
        for kind in [Connection::KIND, IntegrationInstance::KIND] {
            let _ = self.errors.of([kind, Reason::CreateOutcomeUnknown.as_str()]);
        }
    }

    /// Every metric there is, in the order in which they are declared.
    #[must_use]
    pub fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// What is measured at one provider.
    #[must_use]
    pub fn at(&self, provider: Provider) -> Meter {
        Meter { metrics: self.clone(), provider: provider.into() }
    }

    /// One write at a provider.
    pub fn write(&self, provider: Provider, operation: &str, cause: Cause, outcome: Outcome) {
        self.writes.of([provider.into(), operation, cause.into(), outcome.into()]).inc();
    }

    /// One pass.
    pub fn pass(&self, kind: &str, result: &str, took: Duration) {
        self.passes.of([kind, result]).inc();
        self.pass_time.of([kind]).observe(took.as_secs_f64());
    }

    /// A watch of this kind failed.
    pub fn watch_failed(&self, kind: &str) {
        self.watch_failures.of([kind]).inc();
    }

    /// A pass panicked.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// An object was given a warning.
    pub fn error(&self, kind: &str, reason: Reason) {
        self.errors.of([kind, reason.as_str()]).inc();
    }

    /// A record was found to differ.
    pub fn drift(&self, kind: &str) {
        self.drifts.of([kind]).inc();
    }

    /// The new secret of an account's login was tried: it is used from now on, or was not accepted.
    pub fn rotation(&self, provider: Provider, accepted: bool) {
        self.rotations.of([provider.into(), if accepted { "taken_over" } else { "rejected" }]).inc();
    }

    /// An object became Ready for the first time, so long after it was created.
    pub fn ready(&self, kind: &str, after: Duration) {
        self.time_to_ready.of([kind]).observe(after.as_secs_f64());
    }

    /// This process leads as long as the answer lives, and `count` counts the objects: kind, type, status and reason of a
    /// condition, and how many say that.
    #[must_use]
    pub fn lead(&self, count: impl Fn() -> Vec<([&'static str; 4], i64)> + Send + Sync + 'static) -> Leading {
        self.leader.set(1);
        self.objects.by(Some(Box::new(count)));
        Leading(self.clone())
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

/// While it lives, its process leads. However leading ends, nobody is told of objects that another process counts by then.
#[derive(Debug)]
pub struct Leading(Metrics);

impl Drop for Leading {
    fn drop(&mut self) {
        self.0.leader.set(0);
        self.0.objects.by(None);
    }
}

/// What is measured at one provider.
#[derive(Clone, Debug)]
pub struct Meter {
    metrics: Metrics,
    provider: &'static str,
}

impl Meter {
    /// One request. `status`: `None` if there was no answer. One that HTTP does not know counts as 599, so that nobody can
    /// answer with ever new ones.
    pub fn request(&self, operation: &str, status: Option<u16>, took: Duration) {
        let code = status.map_or_else(|| "none".to_owned(), |status| status.min(599).to_string());
        self.metrics.requests.of([self.provider, operation, &code]).inc();
        self.metrics.request_time.of([self.provider, operation]).observe(took.as_secs_f64());
    }

    /// One request too many.
    pub fn throttled(&self, by: Throttle) {
        self.metrics.throttled.of([self.provider, by.into()]).inc();
    }

    /// An answer told that so much of so much is left.
    pub fn quota(&self, remaining: u32, limit: u32) {
        self.metrics.quota.of([self.provider]).observe(f64::from(remaining) / f64::from(limit.max(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_counted_by_who_leads_and_by_nobody_after() {
        let metrics = Metrics::new();
        assert!(!metrics.text().contains("tradewind_objects"), "nobody leads");
        let leading = metrics.lead(|| vec![(["Connection", "Ready", "True", "Succeeded"], 2)]);
        let line = "tradewind_objects{kind=\"Connection\",type=\"Ready\",status=\"True\",reason=\"Succeeded\"} 2\n";
        assert!(metrics.text().contains(line), "{}", metrics.text());
        assert!(metrics.text().contains("\ntradewind_leader 1\n"));
        drop(leading);
        assert!(!metrics.text().contains("tradewind_objects") && metrics.text().contains("\ntradewind_leader 0\n"));
    }

    #[test]
    fn the_first_create_of_unknown_outcome_is_an_increase() {
        let metrics = Metrics::new();
        for kind in ["Connection", "IntegrationInstance"] {
            let line = |count| {
                format!("\ntradewind_errors_total{{kind=\"{kind}\",reason=\"CreateOutcomeUnknown\"}} {count}\n")
            };
            assert!(metrics.text().contains(&line(0)), "{}", metrics.text());
            metrics.error(kind, Reason::CreateOutcomeUnknown);
            assert!(metrics.text().contains(&line(1)), "{}", metrics.text());
        }
        assert_eq!(
            metrics.text().matches("tradewind_errors_total{").count(),
            2,
            "what is no alert begins when it happens"
        );
    }

    /// Whoever answers could make as many series as there are numbers otherwise.
    #[test]
    fn a_status_that_http_does_not_know_makes_no_series_of_its_own() {
        let metrics = Metrics::new();
        let meter = metrics.at(Provider::Arcus);
        for status in [600, 999, u16::MAX] {
            meter.request("create", Some(status), Duration::ZERO);
        }
        let codes = |code: &str| metrics.text().matches(&format!("code=\"{code}\"")).count();
        assert!(codes("599") > 0, "{}", metrics.text());
        assert_eq!([codes("600"), codes("999"), codes("65535")], [0; 3], "{}", metrics.text());
    }

    #[test]
    fn what_is_left_of_nothing_is_no_error() {
        let metrics = Metrics::new();
        metrics.at(Provider::Arcus).quota(0, 0);
        metrics.at(Provider::Arcus).quota(30, 60);
        let sum = "tradewind_provider_quota_remaining_ratio_sum{provider=\"Arcus\"} 0.5\n";
        assert!(metrics.text().contains(sum), "{}", metrics.text());
    }
}
