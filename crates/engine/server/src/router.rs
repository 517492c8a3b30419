//! All routes of the engine.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use crate::error::ApiError;
use crate::reading::{self, ReadingState};
use crate::state::EngineState;
use crate::{
    adapters, authorize, chat, completions, embeddings, metrics, models, rerank, tokenize,
};

/// Largest request body.
pub(crate) const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The routes of a model that writes; every one but `/healthz` wants the token.
pub(crate) fn router(state: EngineState) -> Router {
    let token = state.shared.token.clone();
    let routes = Router::new()
        .route("/v1/chat/completions", post(chat::complete_chat))
        .route("/v1/completions", post(completions::complete_text))
        .route("/v1/models", get(models::list_models))
        .route("/v1/load_lora_adapter", post(adapters::load_adapter))
        .route("/v1/unload_lora_adapter", post(adapters::unload_adapter))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/detokenize", post(tokenize::detokenize))
        .route("/tokenizer_info", get(tokenize::tokenizer_info))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/embeddings", post(cannot_read))
        .route("/v1/rerank", post(cannot_read));
    guarded(routes, token, get(health)).with_state(state)
}

/// The routes of a model that reads.
pub(crate) fn reading_router(state: ReadingState) -> Router {
    let token = state.token();
    let routes = Router::new()
        .route("/v1/embeddings", post(embeddings::embed))
        .route("/v1/rerank", post(rerank::rerank))
        .route("/v1/models", get(reading::list_models))
        .route("/metrics", get(reading::metrics))
        .route("/v1/chat/completions", post(reading::cannot_write))
        .route("/v1/completions", post(reading::cannot_write));
    guarded(routes, token, get(async || "ok\n")).with_state(state)
}

/// What all routers share: answers to what is not there, the token, the limit of a body.
fn guarded<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    token: Option<Arc<str>>,
    health: MethodRouter<S>,
) -> Router<S> {
    routes
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(token, authorize::authorize))
        .route("/healthz", health)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

/// Answers what only models that read can answer.
async fn cannot_read(State(state): State<EngineState>) -> ApiError {
    ApiError::wrong_kind(&state.shared.served_name, "writes text", "/v1/chat/completions")
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
