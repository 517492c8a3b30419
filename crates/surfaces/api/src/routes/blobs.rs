//! Blobs: bytes named by their SHA-256, streamed in both directions.

use super::{Made, Shared};
use crate::authenticate::Caller;
use crate::error::ApiError;
use crate::extract::parse;
use crate::manifest;
use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use pelton_context::Scope;
use serde::Serialize;
use utoipa::ToSchema;

/// A stored blob.
#[derive(Debug, Serialize, ToSchema)]
pub struct Blob {
    /// `sha256:…`
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// Upload bytes. They are kept once, however often they are sent.
#[utoipa::path(put, path = "/api/v1/blobs", tag = "blobs", request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 201, body = Blob)))]
pub async fn put_blob(State(api): Shared, Caller(caller): Caller, request: Request) -> Made<Blob> {
    caller.require(Scope::Write)?;
    let (digest, size) = manifest::take_in(&api, request.into_body().into_data_stream()).await?;
    Ok((StatusCode::CREATED, Json(Blob { digest: digest.to_string(), size })))
}

/// Download a blob that something in the project refers to, or what follows its first bytes
/// (`Range: bytes=N-`).
#[utoipa::path(get, path = "/api/v1/blobs/{digest}", tag = "blobs", params(("digest" = String, Path)), responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 206, content_type = "application/octet-stream", body = Vec<u8>)))]
pub async fn get_blob(
    State(api): Shared,
    Caller(caller): Caller,
    Path(digest): Path<String>,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require(Scope::Read)?;
    let digest = parse(&digest)?;
    manifest::require_reference(&api, &caller, digest).await?;
    let size = manifest::size(&api, digest).await?;
    let from = first_byte(&asked).filter(|from| *from < size);
    let content = manifest::concatenate(api, vec![digest]);
    let content = manifest::without_first(content, from.unwrap_or(0));
    let mut response = Response::new(HttpBody::from_stream(content));
    if from.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let headers = response.headers_mut();
    if let Some(from) = from
        && let Ok(range) = HeaderValue::from_str(&format!("bytes {from}-{}/{size}", size - 1))
    {
        headers.insert(header::CONTENT_RANGE, range);
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size - from.unwrap_or(0)));
    Ok(response)
}

/// The first byte of a range that goes to the end. Other ranges are not served: the whole is
/// answered, as the protocol allows.
fn first_byte(asked: &HeaderMap) -> Option<u64> {
    let range = asked.get(header::RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}
