//! Reading blobs: every byte is hashed on its way out.

use crate::Artifacts;
use crate::error::{ArtifactError, Result};
use crate::layout::Layout;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStoreExt as _;
use pelton_ids::{Digest, Hasher};
use std::pin::Pin;

/// The bytes of a blob. The last piece comes only when the whole was found sound; a damaged blob
/// ends in [`ArtifactError::Damaged`] instead.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

impl Artifacts {
    /// Reads a blob piece by piece.
    ///
    /// # Errors
    /// `NotFound` when it is not stored. The stream may end in an error too.
    pub async fn get(&self, digest: Digest) -> Result<BlobStream> {
        let path = self.path(digest);
        let found = match self.objects.get(&Layout::key(digest)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(ArtifactError::NotFound(digest));
            }
            Err(error) => return Err(ArtifactError::object(&path, error)),
        };
        let pieces = found.into_stream().map_err(move |error| ArtifactError::object(&path, error));
        Ok(verified(digest, pieces.boxed()))
    }

    /// Reads a small blob whole.
    ///
    /// # Errors
    /// `NotFound`, `Damaged`, or `TooLarge` when it has more than `limit` bytes.
    pub async fn read(&self, digest: Digest, limit: u64) -> Result<Bytes> {
        let mut pieces = self.get(digest).await?;
        let mut whole = BytesMut::new();
        while let Some(piece) = pieces.try_next().await? {
            if (whole.len() + piece.len()) as u64 > limit {
                return Err(ArtifactError::TooLarge { limit });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Reads a blob only to see whether it is sound.
    ///
    /// # Errors
    /// `NotFound` or `Damaged`.
    pub async fn verify(&self, digest: Digest) -> Result<()> {
        self.get(digest).await?.try_for_each(|_| async { Ok(()) }).await
    }
}

struct Reading<S> {
    pieces: S,
    hasher: Hasher,
    /// The newest piece, handed out when the next one has come or the hash is right.
    held: Option<Bytes>,
    digest: Digest,
}

fn verified(
    digest: Digest,
    pieces: impl Stream<Item = Result<Bytes>> + Send + Unpin + 'static,
) -> BlobStream {
    let reading = Reading { pieces, hasher: Hasher::default(), held: None, digest };
    Box::pin(stream::try_unfold(Some(reading), |reading| async {
        let Some(mut reading) = reading else { return Ok(None) };
        while let Some(piece) = reading.pieces.try_next().await? {
            reading.hasher.update(&piece);
            if let Some(earlier) = reading.held.replace(piece) {
                return Ok(Some((earlier, Some(reading))));
            }
        }
        let Reading { hasher, held, digest, .. } = reading;
        if hasher.finish() != digest {
            return Err(ArtifactError::Damaged { digest });
        }
        Ok(held.map(|last| (last, None)))
    }))
}
