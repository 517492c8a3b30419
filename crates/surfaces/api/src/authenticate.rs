//! From a request's key to the context that every operation is told.

use crate::error::{ApiError, Code};
use crate::state::Api;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use pelton_context::{OpContext, Principal};
use pelton_ids::{ProjectId, RequestId};
use std::sync::Arc;

/// Names the request in answers and logs.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Tells who holds a key.
#[async_trait::async_trait]
pub trait Authenticator: Send + Sync {
    /// The caller and the project that its key belongs to. `bearer` is the token of the
    /// `Authorization` header, if there is one.
    ///
    /// # Errors
    /// `unauthorized` when a key is needed and missing, or is not valid.
    async fn authenticate(&self, bearer: Option<&str>) -> Result<(Principal, ProjectId), ApiError>;

    /// Whether a call without a key is refused.
    fn key_required(&self) -> bool;
}

/// The token of an `Authorization: Bearer` header.
#[must_use]
pub fn bearer(headers: &axum::http::HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Puts an [`OpContext`] into every request that shows a right key, and refuses the others.
pub async fn authenticate(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    match api.authenticator.authenticate(bearer(request.headers())).await {
        Ok((principal, project)) => {
            let id = request.extensions().get::<RequestId>().copied();
            request.extensions_mut().insert(OpContext {
                principal,
                project,
                request: id.unwrap_or_else(RequestId::generate),
                deadline: None,
            });
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

tokio::task_local! {
    /// The request that this task serves.
    static CURRENT: RequestId;
}

/// The id of the request that this task serves, if it serves one.
#[must_use]
pub fn current_request() -> Option<RequestId> {
    CURRENT.try_with(|id| *id).ok()
}

/// Gives every request an id, and puts it into the answer's header and into errors.
pub async fn name_request(mut request: Request, next: Next) -> Response {
    let id = RequestId::generate();
    request.extensions_mut().insert(id);
    let mut response = CURRENT.scope(id, next.run(request)).await;
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    response
}

/// The caller's context, as a handler's argument.
pub struct Caller(pub OpContext);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<OpContext>()
            .cloned()
            .map(Self)
            .ok_or_else(|| ApiError::new(Code::Unauthorized, "the request shows no key"))
    }
}
