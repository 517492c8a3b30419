//! Lets nobody in but the parent process: other users of the machine can reach the socket too.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq as _;

use crate::error::ApiError;

/// Refuses requests without the token.
pub(crate) async fn authorize(
    State(token): State<Option<Arc<str>>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = token else { return next.run(request).await };
    let sent = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    match sent {
        Some(sent) if bool::from(sent.ct_eq(token.as_bytes())) => next.run(request).await,
        _ => ApiError::unauthorized().into_response(),
    }
}
