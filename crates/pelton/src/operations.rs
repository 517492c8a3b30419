//! `/healthz`, `/readyz` and `/metrics`.

use crate::engines::Engines;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pelton_api::EngineStatus as _;
use pelton_metadata::Store;
use pelton_telemetry::{METRICS_CONTENT_TYPE, Metrics};
use pelton_trace_store::Writer;
use std::fmt::Write as _;
use std::sync::Arc;

/// What operations look at.
pub struct Operations {
    /// Must answer for the server to be ready.
    pub metadata: Store,
    /// What the gateway counts.
    pub metrics: Arc<Metrics>,
    /// What the trace store counts.
    pub writer: Writer,
    /// The embedded engines.
    pub engines: Arc<Engines>,
}

/// The routes.
pub fn router(operations: Arc<Operations>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(operations)
}

/// Ready is a server whose metadata can be read. An engine that still loads is told by the
/// requests that need it.
async fn ready(State(operations): State<Arc<Operations>>) -> Response {
    match operations.metadata.ping().await {
        Ok(()) => axum::Json(serde_json::json!({ "ready": true })).into_response(),
        Err(error) => {
            tracing::error!(%error, "not ready");
            let body = serde_json::json!({ "ready": false, "reason": "the metadata store does not answer" });
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body)).into_response()
        }
    }
}

async fn metrics(State(operations): State<Arc<Operations>>) -> Response {
    let mut page = operations.metrics.render();
    let counters = operations.writer.counters();
    let engine = operations.engines.engine();
    let figures: [(&str, &str, &str, u64); 6] = [
        ("pelton_traces_queued", "gauge", "Records that wait for the disk.", counters.queued),
        ("pelton_traces_committed_total", "counter", "Records on disk.", counters.committed),
        (
            "pelton_traces_dropped_total",
            "counter",
            "Records that could not be taken.",
            counters.dropped,
        ),
        (
            "pelton_traces_failed_commits_total",
            "counter",
            "Commits that failed and were tried anew.",
            counters.failed_commits,
        ),
        ("pelton_engine_models", "gauge", "Base models that answer.", engine.models.len() as u64),
        ("pelton_engine_adapters", "gauge", "Adapters loaded.", engine.adapters.len() as u64),
    ];
    let end = page.find("# EOF").unwrap_or(page.len());
    page.truncate(end);
    for (name, kind, help, value) in figures {
        // Writing to a string does not fail.
        let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], page).into_response()
}
