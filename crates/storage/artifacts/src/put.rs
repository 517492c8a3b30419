//! Storing bytes: to a temporary file, synced, checked, renamed into place.

use crate::Artifacts;
use crate::error::{ArtifactError, At as _, Result, on_disk};
use crate::layout::{Layout, sync_folder};
use crate::pin::{Pin, Pins};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use pelton_ids::{Digest, Hasher};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt as _;

/// A blob just stored. It is pinned until this is dropped: keep it until something refers to it.
#[derive(Debug)]
pub struct Stored {
    /// The blob's name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Keeps it from being collected.
    pub pin: Pin,
}

/// How much is hashed and written at once.
const PIECE: usize = 1 << 20;

impl Artifacts {
    /// Stores what `content` yields. A blob that exists already is replaced by the same bytes,
    /// which heals a damaged one.
    ///
    /// `declared` is what the sender says the digest is; `limit` the most bytes taken.
    ///
    /// # Errors
    /// When the content fails, is too large or not what was declared, or the disk is full. Nothing
    /// is left behind.
    pub async fn put(
        &self,
        content: impl Stream<Item = io::Result<Bytes>>,
        declared: Option<Digest>,
        limit: Option<u64>,
    ) -> Result<Stored> {
        let mut incoming = Incoming::create(&self.layout).await?;
        let mut content = std::pin::pin!(content);
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(ArtifactError::Upload)?;
            if let Some(limit) = limit.filter(|&limit| incoming.size + piece.len() as u64 > limit) {
                return Err(ArtifactError::TooLarge { limit });
            }
            incoming = incoming.write(piece).await?;
        }
        incoming.publish(self.layout.clone(), self.pins.clone(), declared).await
    }

    /// Stores `bytes`.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub async fn put_bytes(&self, bytes: impl Into<Bytes>) -> Result<Stored> {
        self.put(stream::iter([Ok(bytes.into())]), None, None).await
    }

    /// Stores a copy of the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, or the disk is full or fails.
    pub async fn put_file(&self, path: &Path) -> Result<Stored> {
        let file = tokio::fs::File::open(path).await.at(path)?;
        let pieces = stream::unfold(file, |mut file| async {
            let mut piece = Vec::with_capacity(PIECE);
            match (&mut file).take(PIECE as u64).read_to_end(&mut piece).await {
                Ok(0) => None,
                Ok(_) => Some((Ok(Bytes::from(piece)), file)),
                Err(error) => Some((Err(error), file)),
            }
        });
        self.put(pieces, None, None).await
    }
}

/// A temporary file that is removed unless it is published.
struct Incoming {
    file: File,
    path: TemporaryPath,
    hasher: Hasher,
    size: u64,
}

/// Removes its file when dropped.
struct TemporaryPath(PathBuf);

impl Drop for TemporaryPath {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "a temporary file stays behind");
        }
    }
}

impl Incoming {
    async fn create(layout: &Layout) -> Result<Self> {
        let path = layout.incoming().join(uuid::Uuid::now_v7().simple().to_string());
        let within = path.clone();
        let layout = layout.clone();
        on_disk(&path, move || {
            // A collector sees the file either not at all or locked by a living writer.
            let _starting = layout.lock_shared()?;
            let file = File::create_new(&within).at(&within)?;
            file.lock().at(&within)?;
            let path = TemporaryPath(within);
            Ok(Self { file, path, hasher: Hasher::default(), size: 0 })
        })
        .await
    }

    async fn write(mut self, piece: Bytes) -> Result<Self> {
        let path = self.path.0.clone();
        on_disk(&path, move || {
            self.hasher.update(&piece);
            self.size += piece.len() as u64;
            self.file.write_all(&piece).at(&self.path.0)?;
            Ok(self)
        })
        .await
    }

    async fn publish(self, layout: Layout, pins: Pins, declared: Option<Digest>) -> Result<Stored> {
        let path = self.path.0.clone();
        on_disk(&path, move || self.publish_on_disk(&layout, &pins, declared)).await
    }

    fn publish_on_disk(
        self,
        layout: &Layout,
        pins: &Pins,
        declared: Option<Digest>,
    ) -> Result<Stored> {
        let Self { file, path, hasher, size } = self;
        let digest = hasher.finish();
        if let Some(declared) = declared.filter(|&declared| declared != digest) {
            return Err(ArtifactError::Mismatch { declared, found: digest });
        }
        let mut permissions = file.metadata().at(&path.0)?.permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions).at(&path.0)?;
        file.sync_all().at(&path.0)?;
        let blob = layout.blob(digest);
        let folder = blob.parent().unwrap_or(layout.root());
        // Shared with other writers; a collector waits, and sees the pin and the young file after.
        let _publishing = layout.lock_shared()?;
        let pin = pins.pin(digest);
        if !folder.is_dir() {
            fs::create_dir_all(folder).at(folder)?;
            sync_folder(&layout.blobs())?;
        }
        fs::rename(&path.0, &blob).at(&blob)?;
        sync_folder(folder)?;
        Ok(Stored { digest, size, pin })
    }
}
