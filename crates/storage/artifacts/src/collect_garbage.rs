//! Removing blobs that nothing needs: mark, then sweep.
//!
//! A blob goes only when four things hold at the moment of its removal: nothing refers to it, which
//! is asked again under the lock; nobody in this process has had it pinned since before that; it is older than `grace`,
//! which protects the writers of other processes until they have referred to it; and nobody is
//! publishing, which the lock sees to across processes.

use crate::Artifacts;
use crate::error::{ArtifactError, At as _, Result, on_disk};
use crate::layout::Layout;
use crate::manifest::{MAX_MANIFEST, Manifest, may_be_manifest};
use async_trait::async_trait;
use pelton_ids::{Digest, Micros};
use std::collections::BTreeSet;
use std::fs::{self, DirEntry, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Knows which blobs are needed.
#[async_trait]
pub trait ReferenceSource: Send + Sync {
    /// Every digest that something refers to. The files of a manifest need not be named.
    ///
    /// # Errors
    /// When it cannot tell: then nothing is removed.
    async fn referenced(
        &self,
    ) -> Result<BTreeSet<Digest>, Box<dyn std::error::Error + Send + Sync>>;
}

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GarbageReport {
    /// Blobs that stay.
    pub kept: u64,
    /// Blobs that went.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// What interrupted writers had left behind.
    pub removed_incoming: u64,
}

/// A blob that the first look found unneeded.
struct Candidate {
    digest: Digest,
    path: PathBuf,
}

impl Artifacts {
    /// Removes blobs that nothing refers to and that are older than `grace` at `now`.
    ///
    /// # Errors
    /// When the references cannot be read or the disk fails. A collection that fails half-way has
    /// removed only what it could have removed.
    pub async fn collect_garbage(
        &self,
        references: &dyn ReferenceSource,
        now: Micros,
        grace: Duration,
    ) -> Result<GarbageReport> {
        let oldest =
            now.plus(i64::try_from(grace.as_micros()).unwrap_or(i64::MAX).saturating_neg());
        let needed = self.mark(references).await?;
        let blobs = self.layout.blobs();
        let (all, candidates) = {
            let blobs = blobs.clone();
            on_disk(&self.layout.blobs(), move || unneeded(&blobs, &needed, oldest)).await?
        };
        let mut report = GarbageReport { kept: all, ..GarbageReport::default() };
        if !candidates.is_empty() {
            self.sweep(references, candidates, oldest, &mut report).await?;
        }
        let layout = self.layout.clone();
        report.removed_incoming =
            on_disk(&self.layout.incoming(), move || remove_stale(&layout)).await?;
        Ok(report)
    }

    /// Everything referred to, with the files of every manifest among it.
    async fn mark(&self, references: &dyn ReferenceSource) -> Result<BTreeSet<Digest>> {
        let mut needed = references.referenced().await.map_err(ArtifactError::References)?;
        let manifests: Vec<Digest> =
            needed.iter().copied().filter(|&digest| self.looks_like_manifest(digest)).collect();
        for digest in manifests {
            // A damaged manifest still names files that may be needed to heal it: give up rather
            // than remove them.
            let bytes = self.read(digest, MAX_MANIFEST).await?;
            if let Ok(manifest) = Manifest::parse(&bytes) {
                needed.extend(manifest.files.iter().map(|file| file.digest));
            }
        }
        Ok(needed)
    }

    fn looks_like_manifest(&self, digest: Digest) -> bool {
        let mut start = [0; 9];
        File::open(self.path(digest)).and_then(|mut blob| blob.read_exact(&mut start)).is_ok()
            && may_be_manifest(&start)
    }

    async fn sweep(
        &self,
        references: &dyn ReferenceSource,
        candidates: Vec<Candidate>,
        oldest: Micros,
        report: &mut GarbageReport,
    ) -> Result<()> {
        let layout = self.layout.clone();
        let lock = on_disk(self.layout.root(), move || layout.lock_exclusive()).await?;
        // Nobody publishes now. Pins are watched before references are read: a pin that goes after
        // that has left a reference which is either seen here or not trusted to be absent.
        let deciding = self.pins.decide();
        let needed = self.mark(references).await?;
        let (mut removed, mut bytes) = (0, 0);
        for Candidate { digest, path } in candidates {
            if needed.contains(&digest) {
                continue;
            }
            let remove = || remove_if_old(&path, oldest);
            if let Some(size) = deciding.unless_pinned(digest, remove).transpose()?.flatten() {
                removed += 1;
                bytes += size;
            }
        }
        drop(deciding);
        drop(lock);
        report.kept -= removed;
        report.removed = removed;
        report.removed_bytes = bytes;
        Ok(())
    }
}

/// Removes a file, answering its bytes, unless it is gone or was written anew.
fn remove_if_old(path: &Path, oldest: Micros) -> Result<Option<u64>> {
    let Some((at, size)) = age(path).at(path)? else { return Ok(None) };
    if at > oldest {
        return Ok(None);
    }
    fs::remove_file(path).at(path)?;
    Ok(Some(size))
}

/// When a file was last written and its size, or nothing when it is gone.
fn age(path: &Path) -> std::io::Result<Option<(Micros, u64)>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    Ok(Some((at, metadata.len())))
}

/// How many blobs there are, and those that are not needed and old enough.
fn unneeded(
    blobs: &Path,
    needed: &BTreeSet<Digest>,
    oldest: Micros,
) -> Result<(u64, Vec<Candidate>)> {
    let (mut all, mut candidates) = (0, Vec::new());
    for folder in entries(blobs)? {
        for entry in entries(&folder.path())? {
            let name = entry.file_name();
            let Some(digest) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            all += 1;
            let path = entry.path();
            let old = age(&path).at(&path)?.is_some_and(|(at, _)| at <= oldest);
            if old && !needed.contains(&digest) {
                candidates.push(Candidate { digest, path });
            }
        }
    }
    Ok((all, candidates))
}

/// Temporary files whose writer has died: a living one holds a lock on its file.
fn remove_stale(layout: &Layout) -> Result<u64> {
    let _nobody_starts = layout.lock_exclusive()?;
    let mut removed = 0;
    for entry in entries(&layout.incoming())? {
        let path = entry.path();
        let file = match File::open(&path) {
            Ok(file) => file,
            // Its writer has published or dropped it meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(ArtifactError::disk(&path, error)),
        };
        if file.try_lock().is_ok() {
            fs::remove_file(&path).at(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    fs::read_dir(folder).and_then(Iterator::collect).at(folder)
}
