//! OpenAI's dialect in front of the gateway. Cannot reach a store.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod caller;
mod calls;
mod error;
mod models;
mod read_body;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::{get, post};
use pelton_gateway::{Authenticator, Gateway};
use pelton_llm_types::RequestKind;
use std::sync::Arc;

/// What the routes work with.
#[derive(Clone)]
pub struct OpenAi {
    /// Answers calls.
    pub gateway: Arc<Gateway>,
    /// Knows callers.
    pub authenticator: Arc<dyn Authenticator>,
    /// Longest request body in bytes.
    pub max_body_bytes: usize,
}

/// The routes of OpenAI's dialect under `/v1`.
pub fn router(state: OpenAi) -> Router {
    let calls = |kind| {
        let create = move |State(state): State<OpenAi>, request: Request| {
            calls::create(kind, state, request)
        };
        post(create).fallback(error::not_allowed)
    };
    Router::new()
        .route("/v1/chat/completions", calls(RequestKind::Chat))
        .route("/v1/completions", calls(RequestKind::Completion))
        .route("/v1/embeddings", calls(RequestKind::Embedding))
        .route("/v1/rerank", calls(RequestKind::Rerank))
        .route("/v1/models", get(models::list).fallback(error::not_allowed))
        .route("/v1/models/{*id}", get(models::show).fallback(error::not_allowed))
        .route("/v1/{*path}", axum::routing::any(error::no_such_route))
        .with_state(state)
}
