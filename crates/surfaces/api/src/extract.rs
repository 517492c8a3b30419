//! Bodies and queries whose faults are told in Pelton's own error shape.

use crate::error::{ApiError, Code};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// A JSON body, refused with the line and column of its fault.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|refused| {
            if refused.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::new(Code::TooLarge, "the body is larger than this route takes")
            } else {
                ApiError::new(Code::InvalidRequest, refused.body_text())
            }
        })?;
        let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let code = if error.is_data() { Code::InvalidRequest } else { Code::InvalidJson };
            ApiError::new(code, error.to_string())
        })
    }
}

/// A query string, refused with the name of the part that is wrong.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|refused| ApiError::new(Code::InvalidRequest, refused.body_text()))
    }
}

/// Reads an identifier or another text from the path or the body.
///
/// # Errors
/// Says what the text should look like.
pub fn parse<T>(text: &str) -> Result<T, ApiError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| ApiError::new(Code::InvalidRequest, error.to_string()))
}
