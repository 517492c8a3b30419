//! Structured logs and Prometheus metrics of Pelton itself. Cannot reach a store.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod logs;
mod metrics;

pub use logs::{LogFormat, TelemetryError, init};
pub use metrics::{Counter, Gauge, Histogram, METRICS_CONTENT_TYPE, Metrics};
