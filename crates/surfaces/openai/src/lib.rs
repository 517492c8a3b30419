//! OpenAI's dialect in front of the gateway. Cannot reach a store.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod caller;
mod chat_completions;
mod error;
mod models;
mod read_body;

use axum::Router;
use axum::routing::{get, post};
use pelton_gateway::{Authenticator, Gateway};
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
    Router::new()
        .route("/v1/chat/completions", post(chat_completions::create).fallback(error::not_allowed))
        .route("/v1/models", get(models::list).fallback(error::not_allowed))
        .route("/v1/models/{*id}", get(models::show).fallback(error::not_allowed))
        .route("/v1/{*path}", axum::routing::any(error::no_such_route))
        .with_state(state)
}
