//! Where things lie: `blobs/ab/abcd…`, `incoming/…` and the lock that collection takes.

use crate::error::{At as _, Result};
use object_store::path::Path as Key;
use pelton_ids::Digest;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: Arc<Path>,
}

impl Layout {
    pub(crate) fn create(root: &Path) -> Result<Self> {
        for folder in ["blobs", "incoming"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).at(&folder)?;
        }
        let root = root.canonicalize().at(root)?;
        let lock = root.join("collect.lock");
        File::options().create(true).append(true).open(&lock).at(&lock)?;
        Ok(Self { root: root.into() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub(crate) fn blob(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.blobs().join(hex.get(..2).unwrap_or_default()).join(hex)
    }

    /// The blob's name in the object store.
    pub(crate) fn key(digest: Digest) -> Key {
        let hex = digest.hex();
        Key::from_iter(["blobs", hex.get(..2).unwrap_or_default(), hex.as_str()])
    }

    /// The lock between publishing (shared) and collecting (exclusive), across processes. The
    /// system releases it when its holder dies.
    pub(crate) fn open_lock(&self) -> Result<File> {
        let path = self.root.join("collect.lock");
        File::options().append(true).open(&path).at(&path)
    }

    pub(crate) fn lock_shared(&self) -> Result<File> {
        let file = self.open_lock()?;
        file.lock_shared().at(&self.root)?;
        Ok(file)
    }

    pub(crate) fn lock_exclusive(&self) -> Result<File> {
        let file = self.open_lock()?;
        file.lock().at(&self.root)?;
        Ok(file)
    }
}

/// Makes what was renamed into `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).at(folder)
}
