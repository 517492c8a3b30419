//! What every source can tell and give.

use crate::error::Result;
use crate::integrity::Integrity;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::pin::Pin;

/// Bytes on their way.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// Where a model came from: kept with it in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// `huggingface`, `s3`, `folder` or `pelton`.
    pub kind: &'static str,
    /// The address without a revision.
    pub address: String,
    /// Which hub, which S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The revision that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What it stood for: a Git commit; for S3 the SHA-256 of the listing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Origin {
    /// The folder of its own that a download has inside a cache.
    #[must_use]
    pub fn folder_in(&self, cache: &Path) -> PathBuf {
        let plain = |text: &str| -> String {
            let fits = |it: &char| it.is_ascii_alphanumeric() || "._-".contains(*it);
            let plain: String =
                text.chars().map(|it| if fits(&it) { it } else { '-' }).take(200).collect();
            // Neither hidden nor a way out.
            plain.replacen('.', "-", usize::from(plain.starts_with('.')))
        };
        let place = self.address.split_once("://").map_or(self.address.as_str(), |(_, rest)| rest);
        let host = self.endpoint.as_deref().unwrap_or_default();
        let host = host.split_once("://").map_or(host, |(_, rest)| rest);
        let commit = self.commit.as_deref().unwrap_or("unversioned");
        // The commit names the content; the rest is for people, so that two places which look
        // alike when written in plain letters do no harm.
        cache.join(self.kind).join(plain(host)).join(plain(place)).join(plain(commit))
    }
}

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Relative, with `/`; checked.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// What its bytes are compared with.
    pub integrity: Integrity,
    /// How the source itself calls it.
    pub location: String,
    /// Which version of it was listed, where content is not named by its hash: an ETag.
    pub version: Option<String>,
}

/// What there is at an address.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Where it is.
    pub origin: Origin,
    /// Its licence as the source calls it; none where it says nothing.
    pub license: Option<String>,
    /// Where its terms can be read.
    pub license_link: Option<String>,
    /// What else a person should know before downloading.
    pub notes: Vec<String>,
    /// Its files, by path.
    pub files: Vec<RemoteFile>,
}

impl Listing {
    /// Sorts the files.
    ///
    /// # Errors
    /// When a path exists twice.
    pub fn sorted(mut self, host: &str) -> Result<Self> {
        self.files.sort_by(|left, right| left.path.cmp(&right.path));
        for pair in self.files.windows(2) {
            if pair[0].path == pair[1].path {
                let reason = format!("it names `{}` twice", pair[0].path);
                return Err(crate::SourceError::unreadable(host, reason));
            }
        }
        Ok(self)
    }
}

/// Bytes of a file from a place on.
pub struct Opened {
    /// The first byte that is given: what was asked for, or 0.
    pub from: u64,
    /// The bytes up to the file's end.
    pub content: ByteStream,
}

/// A place that models are downloaded from.
#[async_trait]
pub trait Source: Send + Sync {
    /// Lists the files and finds the licence. Nothing is downloaded.
    async fn list(&self) -> Result<Listing>;

    /// What a file's bytes are compared with, where the listing does not know yet.
    async fn integrity(&self, file: &RemoteFile) -> Result<Integrity> {
        Ok(file.integrity)
    }

    /// Reads a file from byte `from` on, or from its start where that is not possible.
    async fn open(&self, file: &RemoteFile, from: u64) -> Result<Opened>;
}
