//! The native REST surface and its OpenAPI document. Cannot reach a model: it speaks to stores and
//! queues only.
//!
//! [`router`] is the table of contents. A handler reads its arguments, checks the caller's right
//! (the stores do that), makes one call and answers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod authenticate;
mod compare;
mod error;
mod extract;
mod guard_origin;
mod lineage;
mod manifest;
mod routes;
mod state;
mod trace_filter;
/// The shapes that travel.
pub mod wire;

pub use authenticate::{Authenticator, bearer, name_request};
pub use error::{ApiError, Code};
pub use guard_origin::guard_origin;
pub use state::{Api, EngineStatus, Random};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use routes::{
    audit, blobs, datasets, endpoints, evaluations, gates, jobs, keys, models, releases, render,
    rollouts, searches, server, traces,
};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pelton",
        description = "The native API. Errors have the shape of `ErrorBody`; lists are paged by `cursor`.",
        license(name = "Apache-2.0")
    ),
    components(schemas(error::ErrorBody))
)]
struct Document;

fn described() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(server::get_server))
        .routes(routes!(server::get_overview))
        .routes(routes!(traces::list_traces))
        .routes(routes!(traces::aggregate_traces))
        .routes(routes!(traces::export_traces))
        .routes(routes!(traces::get_trace))
        .routes(routes!(traces::give_feedback))
        .routes(routes!(datasets::list_datasets))
        .routes(routes!(datasets::get_dataset))
        .routes(routes!(datasets::build_version))
        .routes(routes!(datasets::get_version))
        .routes(routes!(datasets::list_rows))
        .routes(routes!(datasets::download_rows))
        .routes(routes!(models::list_models, models::register_model))
        .routes(routes!(models::get_model))
        .routes(routes!(jobs::list_jobs))
        .routes(routes!(jobs::get_job))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(jobs::list_metrics))
        .routes(routes!(jobs::list_logs))
        .routes(routes!(jobs::create_finetune))
        .routes(routes!(render::render_finetune))
        .routes(routes!(searches::create_search))
        .routes(routes!(jobs::publish_dataset_version))
        .routes(routes!(jobs::publish_model))
        .routes(routes!(jobs::publish_evaluation))
        .routes(routes!(evaluations::list_evaluations, evaluations::create_evaluation))
        .routes(routes!(evaluations::compare_evaluations))
        .routes(routes!(evaluations::get_evaluation))
        .routes(routes!(evaluations::list_samples))
        .routes(routes!(gates::list_gates, gates::create_gate))
        .routes(routes!(gates::get_gate))
        .routes(routes!(releases::list_releases, releases::create_release))
        .routes(routes!(releases::get_release))
        .routes(routes!(releases::get_lineage))
        .routes(routes!(endpoints::list_endpoints))
        .routes(routes!(endpoints::get_endpoint, endpoints::set_traffic))
        .routes(routes!(endpoints::roll_back_endpoint))
        .routes(routes!(rollouts::list_rollouts, rollouts::start_rollout))
        .routes(routes!(rollouts::get_rollout))
        .routes(routes!(rollouts::promote_rollout))
        .routes(routes!(rollouts::roll_back_rollout))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::revoke_key))
        .routes(routes!(audit::list_audit_entries))
}

/// Every route of the native API, and its OpenAPI document at `/api/openapi.json`.
pub fn router(api: Arc<Api>) -> Router {
    let (routes, document) = described().split_for_parts();
    let document = axum::Json(document);
    let uploads = Router::new()
        .route("/api/v1/blobs", axum::routing::put(blobs::put_blob))
        .layer(DefaultBodyLimit::disable());
    routes
        .layer(DefaultBodyLimit::max(api.max_body_bytes))
        .route("/api/v1/blobs/{digest}", axum::routing::get(blobs::get_blob))
        .merge(uploads)
        .layer(from_fn_with_state(api.clone(), authenticate::authenticate))
        .route("/api/openapi.json", axum::routing::get(move || async move { document }))
        .with_state(api)
}

/// The OpenAPI document, as it is checked in.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn openapi() -> Result<String, serde_json::Error> {
    let (_, mut document) = described()
        .routes(routes!(blobs::put_blob))
        .routes(routes!(blobs::get_blob))
        .split_for_parts();
    document.info.version = env!("CARGO_PKG_VERSION").into();
    document.to_pretty_json().map(|text| text + "\n")
}
