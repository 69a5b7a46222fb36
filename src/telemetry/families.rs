//! Families of metrics, each declared once: what is registered, what is exposed and what docs/metrics.md says are one.
//!
//! Labels are of constant cardinality: no object names, no ids, no free text.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
        info::Info,
    },
    registry::{Metric, Registry, Unit},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Stands before every name.
const PREFIX: &str = "tradewind";

/// A metric as docs/metrics.md tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The name that is queried; that of a histogram without `_bucket`, `_sum` and `_count`.
    pub name: String,
    /// Its type in OpenMetrics.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: Vec<&'static str>,
    /// What it counts.
    pub help: &'static str,
}

type Labels = Vec<(&'static str, String)>;

/// A family whose members differ by the values of these labels.
#[derive(Clone, Debug)]
pub(super) struct Labelled<M, const N: usize> {
    names: [&'static str; N],
    family: Family<Labels, M>,
}

impl<M: Clone, const N: usize> Labelled<M, N> {
    /// The member with these values, in the order of the names.
    pub(super) fn of(&self, values: [&str; N]) -> M {
        self.family.get_or_create_owned(&labels(self.names, values))
    }
}

fn labels<const N: usize>(names: [&'static str; N], values: [&str; N]) -> Labels {
    names.into_iter().zip(values.map(str::to_owned)).collect()
}

/// All families of a process while they are declared.
pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) declared: Vec<Declared>,
}

impl Families {
    pub(super) fn new() -> Self {
        Self { registry: Registry::with_prefix(PREFIX), declared: vec![] }
    }

    fn declare(&mut self, name: &str, kind: &'static str, labels: &[&'static str], help: &'static str) {
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let name = format!("{PREFIX}_{name}{suffix}");
        self.declared.push(Declared { name, kind, labels: labels.to_vec(), help });
    }

    fn register<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.registry.register(name, help, metric.clone());
        metric
    }

    pub(super) fn counter<const N: usize>(
        &mut self,
        name: &str,
        names: [&'static str; N],
        help: &'static str,
    ) -> Labelled<Counter, N> {
        self.declare(name, "counter", &names, help);
        Labelled { names, family: self.register(name, help, Family::default()) }
    }

    /// A counter without labels is there from the beginning, so that its first increase is seen as one.
    pub(super) fn plain_counter(&mut self, name: &str, help: &'static str) -> Counter {
        self.declare(name, "counter", &[], help);
        self.register(name, help, Counter::default())
    }

    pub(super) fn plain_gauge(&mut self, name: &str, help: &'static str) -> Gauge {
        self.declare(name, "gauge", &[], help);
        self.register(name, help, Gauge::default())
    }

    pub(super) fn histogram<const N: usize>(
        &mut self,
        name: &str,
        unit: Unit,
        names: [&'static str; N],
        help: &'static str,
        buckets: fn() -> Histogram,
    ) -> Labelled<Histogram, N> {
        self.declare(&format!("{name}_{}", unit.as_str()), "histogram", &names, help);
        let family = Family::new_with_constructor(buckets);
        self.registry.register_with_unit(name, help, unit, family.clone());
        Labelled { names, family }
    }

    pub(super) fn info(&mut self, name: &str, label: (&'static str, &'static str), help: &'static str) {
        self.declare(name, "info", &[label.0], help);
        self.registry.register(name, help, Info::new([label]));
    }

    /// A gauge that is counted anew whenever somebody asks.
    pub(super) fn counted<const N: usize>(
        &mut self,
        name: &'static str,
        names: [&'static str; N],
        help: &'static str,
    ) -> Counted<N> {
        self.declare(name, "gauge", &names, help);
        let counted = Counted(Arc::new(Inner { name, names, help, count: Mutex::default() }));
        self.registry.register_collector(Box::new(counted.clone()));
        counted
    }
}

/// Counts the members of a family: their values, and how many there are.
pub(super) type Count<const N: usize> = Box<dyn Fn() -> Vec<([&'static str; N], i64)> + Send + Sync>;

/// See [`Families::counted`]. It has no members as long as nobody counts them.
#[derive(Clone)]
pub(super) struct Counted<const N: usize>(Arc<Inner<N>>);

struct Inner<const N: usize> {
    name: &'static str,
    names: [&'static str; N],
    help: &'static str,
    count: Mutex<Option<Count<N>>>,
}

impl<const N: usize> Counted<N> {
    /// Who counts from now on.
    pub(super) fn by(&self, count: Option<Count<N>>) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }
}

impl<const N: usize> fmt::Debug for Counted<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counted").field(&self.0.name).finish()
    }
}

impl<const N: usize> Collector for Counted<N> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Inner { name, names, help, count } = self.0.as_ref();
        let members = count.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|count| count());
        let Some(members) = members.filter(|members| !members.is_empty()) else { return Ok(()) };
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (values, members) in members {
            ConstGauge::new(members).encode(family.encode_family(&labels(*names, values))?)?;
        }
        Ok(())
    }
}
