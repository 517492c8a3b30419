//! A file that is not whole yet: what was received lies on the disk under a name made of what the
//! source promised, so that a later download goes on with it only when it is of the same content.

use crate::error::{At as _, Result, on_disk};
use crate::integrity::{Integrity, Verifier};
use bytes::{Bytes, BytesMut};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes written at once.
const PIECE: usize = 1 << 20;

/// A share of the folder's lock, and of the downloads that may run at once. It goes along with a
/// file into the threads that write, which may outlive a download that was given up.
pub(crate) struct Share {
    pub(crate) _lock: Arc<File>,
    pub(crate) _permit: OwnedSemaphorePermit,
}

pub(crate) struct Partial {
    _share: Share,
    path: PathBuf,
    promised: Integrity,
    size: u64,
    file: File,
    verifier: Verifier,
    /// Bytes that are on the disk and in the verifier.
    written: u64,
    /// Bytes that wait to be written.
    waiting: BytesMut,
}

impl Partial {
    /// Opens what there is of a file, or begins a new one. What is there is read, so that its
    /// checksum goes on.
    pub(crate) async fn open(
        path: PathBuf,
        promised: Integrity,
        size: u64,
        share: Share,
    ) -> Result<Self> {
        let within = path.clone();
        on_disk(&path, move || {
            let path = within;
            let mut options = OpenOptions::new();
            let mut file = options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .at(&path)?;
            if file.metadata().at(&path)?.len() > size {
                file.set_len(0).at(&path)?;
            }
            let mut verifier = Verifier::new(promised, size);
            let written = read_into(&mut file, &mut verifier, &path)?;
            let waiting = BytesMut::new();
            Ok(Self { _share: share, path, promised, size, file, verifier, written, waiting })
        })
        .await
    }

    /// Bytes that are here.
    pub(crate) fn received(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    /// Takes in the next bytes.
    pub(crate) async fn push(mut self, bytes: &Bytes) -> Result<Self> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() < PIECE { Ok(self) } else { self.flush().await }
    }

    /// Writes what waits.
    pub(crate) async fn flush(mut self) -> Result<Self> {
        if self.waiting.is_empty() {
            return Ok(self);
        }
        let path = self.path.clone();
        on_disk(&path, move || {
            let piece = self.waiting.split();
            self.file.write_all(&piece).at(&self.path)?;
            self.verifier.update(&piece);
            self.written += piece.len() as u64;
            Ok(self)
        })
        .await
    }

    /// Throws away what was received.
    pub(crate) fn restart(mut self) -> Result<Self> {
        self.file.set_len(0).at(&self.path)?;
        std::io::Seek::rewind(&mut self.file).at(&self.path)?;
        self.verifier = Verifier::new(self.promised, self.size);
        self.written = 0;
        self.waiting.clear();
        Ok(self)
    }

    /// Compares the whole with what was promised, and moves it to `target`. What is not right is
    /// removed.
    pub(crate) async fn finish(self, name: &str, target: PathBuf) -> Result<()> {
        let name = name.to_owned();
        let path = self.path.clone();
        on_disk(&path, move || {
            // Its share of the lock is needed here to the end.
            let Self { _share, path, promised, file, verifier, .. } = self;
            if let Err(wrong) = verifier.finish(promised, &name) {
                std::fs::remove_file(&path).at(&path)?;
                return Err(wrong);
            }
            file.sync_all().at(&path)?;
            if let Some(folder) = target.parent() {
                std::fs::create_dir_all(folder).at(folder)?;
            }
            std::fs::rename(&path, &target).at(&target)
        })
        .await
    }
}

/// Whether the file at `path` has this size and is what was promised.
pub(crate) async fn is_sound(
    path: &Path,
    name: &str,
    promised: Integrity,
    size: u64,
) -> Result<bool> {
    let (path, name) = (path.to_owned(), name.to_owned());
    on_disk(&path.clone(), move || {
        // A link would be read, and its target shared with whoever made it.
        let is_file =
            std::fs::symlink_metadata(&path).is_ok_and(|at| at.is_file() && at.len() == size);
        if !is_file {
            return Ok(false);
        }
        let mut verifier = Verifier::new(promised, size);
        read_into(&mut File::open(&path).at(&path)?, &mut verifier, &path)?;
        Ok(verifier.finish(promised, &name).is_ok())
    })
    .await
}

/// Feeds a file to a verifier, from where the file stands to its end; answers how many bytes.
fn read_into(file: &mut File, verifier: &mut Verifier, path: &Path) -> Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut read = 0;
    loop {
        match file.read(&mut piece).at(path)? {
            0 => return Ok(read),
            count => {
                verifier.update(&piece[..count]);
                read += count as u64;
            }
        }
    }
}
