//! One registry of metrics, rendered as OpenMetrics text.

use parking_lot::RwLock;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter as PlainCounter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge as PlainGauge;
use prometheus_client::metrics::histogram::Histogram as PlainHistogram;
use prometheus_client::registry::Registry;
use std::fmt;

/// The media type of [`Metrics::render`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names and values of labels. Values must come from a bounded set.
type Labels = Vec<(&'static str, String)>;

/// All metrics of the process.
pub struct Metrics {
    registry: RwLock<Registry>,
}

/// A number that only grows, for each set of labels.
#[derive(Clone, Debug, Default)]
pub struct Counter(Family<Labels, PlainCounter>);

/// A number that goes up and down, for each set of labels.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Family<Labels, PlainGauge>);

/// A distribution, for each set of labels.
#[derive(Clone, Debug)]
pub struct Histogram(Family<Labels, PlainHistogram, Buckets>);

#[derive(Clone, Debug)]
struct Buckets(Vec<f64>);

impl MetricConstructor<PlainHistogram> for Buckets {
    fn new_metric(&self) -> PlainHistogram {
        PlainHistogram::new(self.0.iter().copied())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Metrics")
    }
}

impl Metrics {
    /// An empty registry; every metric's name starts with `pelton_`.
    #[must_use]
    pub fn new() -> Self {
        Self { registry: RwLock::new(Registry::with_prefix("pelton")) }
    }

    /// Registers a counter; `_total` is added to its name.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.registry.write().register(name, help, counter.0.clone());
        counter
    }

    /// Registers a gauge.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.registry.write().register(name, help, gauge.0.clone());
        gauge
    }

    /// Registers a histogram with upper bounds `buckets`.
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let histogram = Histogram(Family::new_with_constructor(Buckets(buckets.to_vec())));
        self.registry.write().register(name, help, histogram.0.clone());
        histogram
    }

    /// Everything as OpenMetrics text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _: fmt::Result = encode(&mut text, &self.registry.read());
        text
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Labels {
    labels.iter().map(|&(name, value)| (name, value.to_owned())).collect()
}

impl Counter {
    /// Adds `more`.
    pub fn add(&self, labels: &[(&'static str, &str)], more: u64) {
        self.0.get_or_create(&owned(labels)).inc_by(more);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self, labels: &[(&'static str, &str)]) -> u64 {
        self.0.get_or_create(&owned(labels)).get()
    }
}

impl Gauge {
    /// Adds `more`, which may be negative.
    pub fn add(&self, labels: &[(&'static str, &str)], more: i64) {
        self.0.get_or_create(&owned(labels)).inc_by(more);
    }

    /// Sets the value.
    pub fn set(&self, labels: &[(&'static str, &str)], value: i64) {
        self.0.get_or_create(&owned(labels)).set(value);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self, labels: &[(&'static str, &str)]) -> i64 {
        self.0.get_or_create(&owned(labels)).get()
    }
}

impl Histogram {
    /// Adds an observation, in the unit that the metric's name says.
    pub fn observe(&self, labels: &[(&'static str, &str)], value: f64) {
        self.0.get_or_create(&owned(labels)).observe(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_counted() {
        let metrics = Metrics::new();
        let calls = metrics.counter("calls", "Calls served");
        let open = metrics.gauge("open_calls", "Calls under way");
        let seconds = metrics.histogram("call_seconds", "Time of a call", &[0.1, 1.0]);
        calls.add(&[("endpoint", "a\"b"), ("status", "ok")], 2);
        open.add(&[], 3);
        open.add(&[], -1);
        seconds.observe(&[], 0.5);
        assert_eq!(calls.get(&[("endpoint", "a\"b"), ("status", "ok")]), 2);
        assert_eq!(
            metrics.render(),
            "# HELP pelton_calls Calls served.\n\
             # TYPE pelton_calls counter\n\
             pelton_calls_total{endpoint=\"a\\\"b\",status=\"ok\"} 2\n\
             # HELP pelton_open_calls Calls under way.\n\
             # TYPE pelton_open_calls gauge\n\
             pelton_open_calls{} 2\n\
             # HELP pelton_call_seconds Time of a call.\n\
             # TYPE pelton_call_seconds histogram\n\
             pelton_call_seconds_sum{} 0.5\n\
             pelton_call_seconds_count{} 1\n\
             pelton_call_seconds_bucket{le=\"0.1\"} 0\n\
             pelton_call_seconds_bucket{le=\"1.0\"} 1\n\
             pelton_call_seconds_bucket{le=\"+Inf\"} 1\n\
             # EOF\n"
        );
    }
}
