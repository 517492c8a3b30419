//! All routes of the engine.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::error::ApiError;
use crate::state::EngineState;
use crate::{adapters, authorize, chat, metrics, models, tokenize};

/// Largest request body.
pub(crate) const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The router; every route but `/healthz` wants the token.
pub(crate) fn router(state: EngineState) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::complete_chat))
        .route("/v1/models", get(models::list_models))
        .route("/v1/load_lora_adapter", post(adapters::load_adapter))
        .route("/v1/unload_lora_adapter", post(adapters::unload_adapter))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/detokenize", post(tokenize::detokenize))
        .route("/metrics", get(metrics::metrics))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(state.clone(), authorize::authorize))
        .route("/healthz", get(health))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state)
}

async fn health(State(state): State<EngineState>) -> Result<&'static str, ApiError> {
    if state.shared.scheduler.is_running() { Ok("ok\n") } else { Err(ApiError::stopped()) }
}

async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    let message = format!("there is no {method} {}", uri.path());
    ApiError::unknown_route(StatusCode::NOT_FOUND, message)
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not answer {method}", uri.path());
    ApiError::unknown_route(StatusCode::METHOD_NOT_ALLOWED, message)
}
