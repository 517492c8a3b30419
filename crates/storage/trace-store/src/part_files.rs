//! A sealed part's files, held by the queries that read them and removed after the last one.

use crate::catalog::{Part, PartDetail};
use crate::error::{Result, TraceStoreError, at_file, at_part};
use pelton_ids::Micros;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::Xxh3;

/// A part that can be read.
#[derive(Debug)]
pub struct PartFiles {
    pub(crate) part: Part,
    pub(crate) detail: PartDetail,
    folder: PathBuf,
    doomed: AtomicBool,
    /// The narrow columns and the feedback were read through once, and are what was sealed.
    checked: AtomicBool,
}

impl PartFiles {
    pub(crate) fn new(part: Part, folder: &Path) -> Result<Self> {
        let detail = serde_json::from_value(part.detail.clone())
            .map_err(at_part(&folder.join(&part.path_narrow)))?;
        Ok(Self {
            part,
            detail,
            folder: folder.to_owned(),
            doomed: AtomicBool::new(false),
            checked: AtomicBool::new(false),
        })
    }

    /// The catalog's entry.
    #[must_use]
    pub const fn part(&self) -> &Part {
        &self.part
    }

    /// When the latest inference in it started.
    #[must_use]
    pub const fn last_start(&self) -> Micros {
        Micros(self.detail.last_start)
    }

    /// The file of narrow columns.
    #[must_use]
    pub fn narrow(&self) -> PathBuf {
        self.folder.join(&self.part.path_narrow)
    }

    /// The file of payloads, while it is kept.
    #[must_use]
    pub fn payload(&self) -> Option<PathBuf> {
        self.part.path_payload.as_ref().map(|path| self.folder.join(path))
    }

    /// The file of feedback, if any arrived.
    #[must_use]
    pub fn feedback(&self) -> Option<PathBuf> {
        self.detail.path_feedback.as_ref().map(|path| self.folder.join(path))
    }

    /// Checks the narrow columns and the feedback against their checksums, at first use: a flipped
    /// bit must be an error that names its file, not another answer.
    ///
    /// # Errors
    /// [`TraceStoreError::Part`], naming the file that is missing or differs.
    pub fn check(&self) -> Result<()> {
        if self.checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let payload = self.part.path_payload.as_deref();
        for seal in self.detail.files.iter().filter(|seal| Some(seal.path.as_str()) != payload) {
            self.check_file(&seal.path, seal.bytes, &seal.xxh3)?;
        }
        self.checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Checks every file; returns what is wrong with each.
    pub(crate) fn check_all(&self) -> Vec<TraceStoreError> {
        let check = |seal: &crate::catalog::FileSeal| {
            self.check_file(&seal.path, seal.bytes, &seal.xxh3).err()
        };
        self.detail.files.iter().filter_map(check).collect()
    }

    fn check_file(&self, path: &str, bytes: u64, xxh3: &str) -> Result<()> {
        let path = self.folder.join(path);
        let (found_bytes, found) = seal_of(&path).map_err(at_part(&path))?;
        if found_bytes != bytes {
            return Err(at_part(&path)(format!("it has {found_bytes} bytes, not {bytes}")));
        }
        if found != xxh3 {
            return Err(at_part(&path)("its content is not what was sealed: the file is damaged"));
        }
        Ok(())
    }

    /// Has the files removed when nobody reads them any more.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::SeqCst);
    }
}

impl Drop for PartFiles {
    fn drop(&mut self) {
        if !self.doomed.load(Ordering::SeqCst) {
            return;
        }
        for seal in &self.detail.files {
            let path = self.folder.join(&seal.path);
            if let Err(error) = std::fs::remove_file(&path).map_err(at_file(&path)) {
                tracing::warn!(%error, "a dropped trace part could not be removed");
            }
        }
    }
}

/// The size of a file and the XXH3 of its content.
pub(crate) fn seal_of(path: &Path) -> std::io::Result<(u64, String)> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 256 * 1_024];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((bytes, format!("{:016x}", hash.digest())));
        }
        hash.update(&buffer[..count]);
        bytes += count as u64;
    }
}
