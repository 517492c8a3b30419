//! What handlers do with stored bytes.

use crate::error::{ApiError, Code};
use crate::state::Api;
use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use pelton_artifacts::{ArtifactError, Manifest, ManifestFile, Stored};
use pelton_context::OpContext;
use pelton_ids::Digest;
use serde_json::Value;
use std::io;
use std::sync::Arc;

/// Bytes of a file that is read whole: rows and samples are.
const LARGEST_TEXT: u64 = 1 << 30;

impl From<ArtifactError> for ApiError {
    fn from(error: ArtifactError) -> Self {
        let code = match &error {
            ArtifactError::NotFound(_) => Code::NotFound,
            ArtifactError::Mismatch { .. } | ArtifactError::Manifest(_) => Code::Unprocessable,
            ArtifactError::TooLarge { .. } => Code::TooLarge,
            ArtifactError::Upload(_) => Code::InvalidRequest,
            ArtifactError::DiskFull { .. } => Code::StorageFull,
            _ => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

/// Stores a request's body.
///
/// # Errors
/// When it is too large, breaks off, or cannot be stored; nothing is left behind then.
pub async fn take_in(
    api: &Api,
    body: impl Stream<Item = Result<Bytes, axum::Error>>,
) -> Result<(Digest, u64), ApiError> {
    let content = body.map_err(io::Error::other);
    let Stored { digest, size, pin: _ } =
        api.artifacts.put(content, None, Some(api.max_blob_bytes)).await?;
    Ok((digest, size))
}

/// A blob's size.
///
/// # Errors
/// When it is not stored.
pub async fn size(api: &Api, digest: Digest) -> Result<u64, ApiError> {
    match api.artifacts.size(digest).await? {
        Some(size) => Ok(size),
        None => Err(ArtifactError::NotFound(digest).into()),
    }
}

/// Stores the manifest of some stored files and answers its digest.
///
/// # Errors
/// When a file is not stored, or a path leaves the folder.
pub async fn put(
    api: &Api,
    kind: &str,
    files: Vec<(String, Digest, u64)>,
    metadata: Value,
) -> Result<Digest, ApiError> {
    let files =
        files.into_iter().map(|(path, digest, size)| ManifestFile { path, digest, size }).collect();
    let manifest = Manifest::new(kind, files, metadata)?;
    Ok(api.artifacts.manifest_put(&manifest).await?.digest)
}

/// The file at `path` in a manifest.
///
/// # Errors
/// When there is none.
pub async fn file(api: &Api, manifest: Digest, path: &str) -> Result<Digest, ApiError> {
    let manifest = api.artifacts.manifest_get(manifest).await?;
    match manifest.files.iter().find(|file| file.path == path) {
        Some(file) => Ok(file.digest),
        None => Err(ApiError::new(Code::NotFound, format!("there is no file `{path}`"))),
    }
}

/// A stored text file.
///
/// # Errors
/// When it is not stored, damaged, or not UTF-8.
pub async fn read_text(api: &Api, digest: Digest) -> Result<String, ApiError> {
    let bytes = api.artifacts.read(digest, LARGEST_TEXT).await?;
    String::from_utf8(bytes.into()).map_err(|error| ApiError::internal(&error))
}

/// The content of blobs, one after the other, checked as it goes out.
pub fn concatenate(
    api: Arc<Api>,
    blobs: Vec<Digest>,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    stream::iter(blobs)
        .then(move |digest| {
            let api = api.clone();
            async move { api.artifacts.get(digest).await.map_err(io::Error::other) }
        })
        .map_ok(|pieces| pieces.map_err(io::Error::other))
        .try_flatten()
}

/// The same bytes without the first `count`, which are read, and so checked, all the same.
pub fn without_first(
    content: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    mut count: u64,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    content.try_filter_map(move |mut piece| {
        let skipped = usize::try_from(count).map_or(piece.len(), |count| count.min(piece.len()));
        piece.advance(skipped);
        count -= skipped as u64;
        std::future::ready(Ok((!piece.is_empty()).then_some(piece)))
    })
}

/// Refuses blobs that nothing in the caller's project refers to.
///
/// # Errors
/// `not_found`: whether another project has the blob is not told.
pub async fn require_reference(
    api: &Api,
    caller: &OpContext,
    digest: Digest,
) -> Result<(), ApiError> {
    if api.store.artifact_ref_exists(caller, digest).await? {
        return Ok(());
    }
    Err(ArtifactError::NotFound(digest).into())
}
