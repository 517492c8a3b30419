//! Blobs: bytes named by their SHA-256, streamed in both directions.

use super::{Made, Shared};
use crate::authenticate::Caller;
use crate::error::ApiError;
use crate::extract::parse;
use crate::manifest;
use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
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

/// Download a blob that something in the project refers to.
#[utoipa::path(get, path = "/api/v1/blobs/{digest}", tag = "blobs", params(("digest" = String, Path)), responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>)))]
pub async fn get_blob(
    State(api): Shared,
    Caller(caller): Caller,
    Path(digest): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::Read)?;
    let digest = parse(&digest)?;
    manifest::require_reference(&api, &caller, digest).await?;
    let size = manifest::size(&api, digest).await?;
    let mut response =
        Response::new(HttpBody::from_stream(manifest::concatenate(api, vec![digest])));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    Ok(response)
}
