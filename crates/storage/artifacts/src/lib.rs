//! Content-addressed blobs and manifests on object_store. Cannot reach a database: references come
//! in through a trait.
//!
//! A blob is a whole file named by its SHA-256, the id that Git LFS and the Hugging Face Hub use,
//! so that serving maps it into memory without reconstruction. It is written to a temporary file,
//! synced, checked and renamed into place: a blob that exists is whole. What is read is hashed
//! again, and its last bytes are only handed out when the hash is right.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod collect_garbage;
mod error;
mod get;
mod layout;
mod manifest;
mod materialize;
mod pin;
mod put;

pub use collect_garbage::{GarbageReport, ReferenceSource};
pub use error::{ArtifactError, Result};
pub use get::BlobStream;
pub use manifest::{Manifest, ManifestFile};
pub use materialize::{Materialized, Way};
pub use pin::Pin;
pub use put::Stored;

use layout::Layout;
use object_store::local::LocalFileSystem;
use pelton_ids::Digest;
use pin::Pins;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Blobs in a folder. Cheap to clone: clones share their pins.
#[derive(Debug, Clone)]
pub struct Artifacts {
    layout: Layout,
    objects: Arc<LocalFileSystem>,
    pins: Pins,
}

impl Artifacts {
    /// Opens the store in the folder `root`, making it when absent. Several processes may.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(root: &Path) -> Result<Self> {
        let layout = Layout::create(root)?;
        let objects = LocalFileSystem::new_with_prefix(layout.root())
            .map_err(|error| ArtifactError::object(layout.root(), error))?;
        Ok(Self { layout, objects: Arc::new(objects), pins: Pins::default() })
    }

    /// The blob's file, to map into memory. Never write to it.
    #[must_use]
    pub fn path(&self, digest: Digest) -> PathBuf {
        self.layout.blob(digest)
    }

    /// The blob's size in bytes, or nothing when it is not stored.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn size(&self, digest: Digest) -> Result<Option<u64>> {
        use object_store::ObjectStoreExt as _;
        match self.objects.head(&Layout::key(digest)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(ArtifactError::object(&self.path(digest), error)),
        }
    }

    /// Keeps garbage collection in this process from removing the blob until the pin is dropped.
    ///
    /// # Errors
    /// `NotFound` when it is not stored.
    pub fn pin(&self, digest: Digest) -> Result<Pin> {
        let pin = self.pins.pin(digest);
        // Looked up after pinning, so that what is found stays.
        if self.path(digest).is_file() { Ok(pin) } else { Err(ArtifactError::NotFound(digest)) }
    }
}
