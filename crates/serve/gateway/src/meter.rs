//! The gateway's metrics.

use crate::record::{CallRecord, Status};
use pelton_telemetry::{Counter, Gauge, Histogram, Metrics};
use std::time::Duration;

const SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
const OVERHEAD_SECONDS: [f64; 10] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25];

pub(crate) struct Meter {
    calls: Counter,
    seconds: Histogram,
    first_token: Histogram,
    overhead: Histogram,
    in_flight: Gauge,
    refused: Counter,
    attempts: Counter,
    tokens: Counter,
    cost: Counter,
}

impl Meter {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            calls: metrics
                .counter("gateway_calls", "Recorded calls by endpoint and how they ended"),
            seconds: metrics.histogram("gateway_call_seconds", "Time of a whole call", &SECONDS),
            first_token: metrics.histogram(
                "gateway_first_token_seconds",
                "Time from a streamed call to its first content",
                &SECONDS,
            ),
            overhead: metrics.histogram(
                "gateway_overhead_seconds",
                "Time from a call to its first attempt upstream",
                &OVERHEAD_SECONDS,
            ),
            in_flight: metrics.gauge("gateway_in_flight", "Calls being served"),
            refused: metrics
                .counter("gateway_unrecorded", "Calls sent away without a record, by reason"),
            attempts: metrics
                .counter("gateway_attempts", "Attempts upstream by target and outcome"),
            tokens: metrics.counter("gateway_tokens", "Tokens by endpoint and kind"),
            cost: metrics.counter("gateway_cost_nanousd", "Cost of calls whose price is known"),
        }
    }

    pub(crate) fn refused(&self, reason: &str) {
        self.refused.add(&[("reason", reason)], 1);
    }

    pub(crate) fn overhead(&self, time: Duration) {
        self.overhead.observe(&[], time.as_secs_f64());
    }

    pub(crate) fn in_flight(&self, change: i64) {
        self.in_flight.add(&[], change);
    }

    pub(crate) fn attempt(&self, target: &str, outcome: &str) {
        self.attempts.add(&[("target", target), ("outcome", outcome)], 1);
    }

    /// `endpoint` is a name that exists, so that callers cannot make labels up.
    #[expect(clippy::cast_precision_loss, reason = "a span of time fits an f64")]
    pub(crate) fn recorded(&self, record: &CallRecord, endpoint: &str) {
        let by = [("endpoint", endpoint)];
        self.calls.add(&[("endpoint", endpoint), ("status", record.status.name())], 1);
        if record.status == Status::Ok {
            self.seconds.observe(&by, record.latency_us as f64 / 1e6);
        }
        if let Some(ttft) = record.ttft_us {
            self.first_token.observe(&by, ttft as f64 / 1e6);
        }
        if let Some(usage) = record.usage {
            self.tokens.add(&[("endpoint", endpoint), ("kind", "prompt")], usage.prompt);
            self.tokens.add(&[("endpoint", endpoint), ("kind", "completion")], usage.completion);
        }
        if let Some(cost) = record.cost_nanousd.and_then(|cost| u64::try_from(cost).ok()) {
            self.cost.add(&by, cost);
        }
    }
}
