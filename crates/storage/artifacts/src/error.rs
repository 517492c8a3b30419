//! What can go wrong with stored bytes, split by what the caller can do about it.

use pelton_ids::Digest;
use std::io;
use std::path::{Path, PathBuf};

/// An operation that was not done. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The blob is not stored: upload it.
    #[error("blob {0} is not stored: upload it first")]
    NotFound(Digest),
    /// The bytes sent are not those that were declared.
    #[error("the content has digest {found}, but {declared} was declared: send it again")]
    Mismatch {
        /// What the sender said.
        declared: Digest,
        /// What arrived.
        found: Digest,
    },
    /// The stored bytes have changed: store them again.
    #[error("blob {digest} is damaged on disk: upload it again to heal it")]
    Damaged {
        /// The blob's name.
        digest: Digest,
    },
    /// More bytes than allowed.
    #[error("the content is larger than the {limit} bytes allowed")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The sender stopped or failed.
    #[error("the content did not arrive whole")]
    Upload(#[source] io::Error),
    /// The disk is full; what is stored is not harmed.
    #[error("the disk that holds `{path}` is full: free some space and try again, nothing was changed", path = path.display())]
    DiskFull {
        /// Where.
        path: PathBuf,
    },
    /// A manifest that cannot be used.
    #[error("the manifest is not valid: {0}")]
    Manifest(String),
    /// The disk failed.
    #[error("`{path}` cannot be used", path = path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// The source of references failed; nothing was removed.
    #[error("the references could not be read, so nothing was removed")]
    References(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What an operation answers.
pub type Result<T, E = ArtifactError> = std::result::Result<T, E>;

impl ArtifactError {
    pub(crate) fn disk(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::DiskFull { path },
            _ => Self::Disk { path, source },
        }
    }

    pub(crate) fn object(path: &Path, error: object_store::Error) -> Self {
        Self::disk(path, io::Error::other(error))
    }
}

/// Names the path in an error of the file system.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|error| ArtifactError::disk(path, error))
    }
}

/// Runs `work`, which waits for the disk, where that holds nobody up.
pub(crate) async fn on_disk<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ArtifactError::disk(path, io::Error::other(error)))?
}
