//! Serving folders: a manifest's files under their names, by reflink, hard link or copy.

use crate::Artifacts;
use crate::error::{ArtifactError, At as _, Result, on_disk};
use crate::layout::{Layout, sync_folder};
use crate::manifest::Manifest;
use pelton_ids::Digest;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// How a file came into a serving folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A copy that shares its blocks until written to.
    Reflink,
    /// The same file under another name.
    HardLink,
    /// A copy.
    Copy,
}

/// A serving folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Materialized {
    /// The folder.
    pub folder: PathBuf,
    /// How each file came there; empty when the folder was there already.
    pub ways: Vec<(String, Way)>,
}

impl Artifacts {
    /// Lays out the files of the manifest `digest` in `into/HEX`, where `HEX` is the manifest's
    /// digest. The folder appears whole or not at all, so one that exists is used as it is.
    ///
    /// # Errors
    /// When a file is not stored or damaged, or the disk is full.
    pub async fn materialize(&self, digest: Digest, into: &Path) -> Result<Materialized> {
        let folder = into.join(digest.hex());
        if folder.is_dir() {
            return Ok(Materialized { folder, ways: vec![] });
        }
        let _pin = self.pin(digest)?;
        let manifest = self.manifest_get(digest).await?;
        let _pins =
            manifest.files.iter().map(|file| self.pin(file.digest)).collect::<Result<Vec<_>>>()?;
        for file in &manifest.files {
            self.verify(file.digest).await?;
        }
        let (layout, into) = (self.layout.clone(), into.to_owned());
        on_disk(&folder.clone(), move || lay_out(&layout, &manifest, &into, folder)).await
    }
}

fn lay_out(
    layout: &Layout,
    manifest: &Manifest,
    into: &Path,
    folder: PathBuf,
) -> Result<Materialized> {
    fs::create_dir_all(into).at(into)?;
    let half = HalfDone(into.join(format!(".{}", uuid::Uuid::now_v7().simple())));
    fs::create_dir(&half.0).at(&half.0)?;
    let mut ways = Vec::with_capacity(manifest.files.len());
    for file in &manifest.files {
        let target = half.0.join(&file.path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).at(parent)?;
        }
        ways.push((file.path.clone(), bring(&layout.blob(file.digest), &target)?));
    }
    sync_folder(&half.0)?;
    match fs::rename(&half.0, &folder) {
        Ok(()) => sync_folder(into)?,
        // Somebody else was faster with the same files.
        Err(_) if folder.is_dir() => ways.clear(),
        Err(error) => return Err(ArtifactError::disk(&folder, error)),
    }
    Ok(Materialized { folder, ways })
}

/// A folder that is removed unless it was renamed.
struct HalfDone(PathBuf);

impl Drop for HalfDone {
    fn drop(&mut self) {
        if self.0.is_dir()
            && let Err(error) = fs::remove_dir_all(&self.0)
        {
            tracing::warn!(path = %self.0.display(), %error, "a temporary folder stays behind");
        }
    }
}

fn bring(blob: &Path, target: &Path) -> Result<Way> {
    if reflink(blob, target)? {
        return Ok(Way::Reflink);
    }
    if fs::hard_link(blob, target).is_ok() {
        return Ok(Way::HardLink);
    }
    fs::copy(blob, target).at(target)?;
    File::open(target).and_then(|copy| copy.sync_all()).at(target)?;
    Ok(Way::Copy)
}

/// Whether the file system could share the blocks.
fn reflink(blob: &Path, target: &Path) -> Result<bool> {
    let source = File::open(blob).at(blob)?;
    let copy = File::create_new(target).at(target)?;
    if rustix::fs::ioctl_ficlone(&copy, &source).is_ok() {
        copy.sync_all().at(target)?;
        return Ok(true);
    }
    drop(copy);
    fs::remove_file(target).at(target)?;
    Ok(false)
}
