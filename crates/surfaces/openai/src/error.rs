//! Errors in OpenAI's shape: `{"error":{"message","type","param","code"}}`.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode, Uri};
use pelton_gateway::{AuthError, GatewayError};
use pelton_llm_types::ErrorBody;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenAiError {
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(
        "{method} {path} does not exist here. These do: POST /v1/chat/completions, /v1/completions, \
         /v1/embeddings and /v1/rerank, GET /v1/models."
    )]
    NoSuchRoute { method: Method, path: String },
    #[error("{method} is not allowed on {path}.")]
    NotAllowed { method: Method, path: String },
}

impl OpenAiError {
    fn parts(&self) -> (StatusCode, &'static str, &'static str, Option<&'static str>) {
        match self {
            Self::Auth(AuthError::Missing | AuthError::Invalid) => {
                (StatusCode::UNAUTHORIZED, "authentication_error", "invalid_api_key", None)
            }
            Self::Auth(AuthError::Unavailable(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "service_unavailable_error",
                "keys_unavailable",
                None,
            ),
            Self::Gateway(error) => (error.status(), error.kind(), error.code(), error.param()),
            Self::NoSuchRoute { .. } => {
                (StatusCode::NOT_FOUND, "invalid_request_error", "unknown_url", None)
            }
            Self::NotAllowed { .. } => (
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request_error",
                "method_not_allowed",
                None,
            ),
        }
    }

    /// The body: an upstream's own where it is JSON, so that nothing it says is lost.
    fn body(&self) -> Bytes {
        if let Self::Gateway(GatewayError::Rejected { body, .. }) = self
            && serde_json::from_slice::<ErrorBody>(body).is_ok()
        {
            return body.clone();
        }
        let (_, kind, code, param) = self.parts();
        let body = ErrorBody::new(kind, code, param, self.to_string());
        serde_json::to_vec(&body).unwrap_or_default().into()
    }
}

impl IntoResponse for OpenAiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body().into());
        *response.status_mut() = self.parts().0;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Self::Gateway(error) = &self {
            if let Some(wait) = error.retry_after() {
                let whole_seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds.max(1)));
            }
            if error.was_retried() {
                // OpenAI's clients look for this before they retry.
                headers.insert("x-should-retry", HeaderValue::from_static("false"));
            }
        }
        response
    }
}

pub(crate) async fn no_such_route(method: Method, uri: Uri) -> OpenAiError {
    OpenAiError::NoSuchRoute { method, path: uri.path().chars().take(200).collect() }
}

pub(crate) async fn not_allowed(method: Method, uri: Uri) -> OpenAiError {
    OpenAiError::NotAllowed { method, path: uri.path().chars().take(200).collect() }
}
