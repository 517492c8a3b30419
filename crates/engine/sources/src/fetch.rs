//! Downloads files into a folder: several at once, each resumed where it broke off, verified, and
//! only then given its name.

use crate::error::{At as _, Result, SourceError};
use crate::integrity::Integrity;
use crate::listing::{RemoteFile, Source};
use crate::partial::{Partial, Share, is_sound};
use crate::web::timed_out;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The folder inside the target that holds what is not whole yet.
pub const WORK_FOLDER: &str = ".pelton-pull";
/// Files that are downloaded at once.
const AT_ONCE: usize = 4;
/// Room that is left on the disk.
const RESERVE: u64 = 64 << 20;
/// A silence after which a connection counts as broken.
const SILENCE: Duration = Duration::from_secs(60);

/// How often and how soon what failed is tried anew.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Attempts one after the other that bring nothing.
    pub attempts: u32,
    /// The first pause; it doubles each time.
    pub pause: Duration,
    /// The longest pause, also when a source asks for a longer one: then its error is given.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, pause: Duration::from_secs(1), longest: Duration::from_secs(120) }
    }
}

/// How files are downloaded.
pub struct Download<'a> {
    /// Where to: a folder for this download alone, since what else lies in it is removed.
    pub folder: &'a Path,
    /// What happens after failures.
    pub retry: Retry,
    /// Told how many more bytes are here; fewer when some were thrown away.
    pub progress: &'a (dyn Fn(i64) + Send + Sync),
}

/// What was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes that came over the network.
    pub received: u64,
    /// Files with what was compared, in the order in which they were done.
    pub verified: Vec<(String, Integrity)>,
}

/// The folder for what is not whole, while it is locked.
struct Folder<'a> {
    work: &'a Path,
    lock: Arc<File>,
    slots: Arc<Semaphore>,
}

impl Folder<'_> {
    /// A file's partial download.
    async fn partial(&self, name: &str, promised: Integrity, size: u64) -> Result<Partial> {
        let permit = self.slots.clone().acquire_owned().await;
        let permit = permit.map_err(std::io::Error::other).at(self.work)?;
        let share = Share { _lock: self.lock.clone(), _permit: permit };
        Partial::open(self.work.join(name), promised, size, share).await
    }
}

/// Downloads `files`. Whole files of the same content are kept, and partial ones continued.
///
/// # Errors
/// When the disk has no room, another download uses the folder, the source fails or its bytes are
/// not what it promised. What was received stays for the next attempt.
pub async fn fetch(
    source: &dyn Source,
    files: &[RemoteFile],
    how: &Download<'_>,
) -> Result<Fetched> {
    let work = how.folder.join(WORK_FOLDER);
    std::fs::create_dir_all(&work).at(&work)?;
    let lock = Arc::new(lock(&work)?);
    remove_others(how.folder, "", files)?;
    check_space(how.folder, &work, files)?;
    let folder =
        Folder { work: &work, lock: lock.clone(), slots: Arc::new(Semaphore::new(AT_ONCE)) };
    let mut done = stream::iter(files)
        .map(|file| fetch_one(source, file, &folder, how))
        .buffer_unordered(AT_ONCE);
    let mut fetched = Fetched { received: 0, verified: Vec::new() };
    let ended = loop {
        match done.try_next().await {
            Ok(Some((path, integrity, received))) => {
                fetched.verified.push((path, integrity));
                fetched.received += received;
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(done);
    // After an error, other files may still be on their way to the disk.
    let _all = folder.slots.acquire_many(u32::try_from(AT_ONCE).unwrap_or(u32::MAX)).await;
    ended?;
    // Nothing in it is needed any more, and whoever waits for the lock makes a new one.
    std::fs::remove_dir_all(&work).at(&work)?;
    drop(lock);
    Ok(fetched)
}

fn lock(work: &Path) -> Result<File> {
    let path = work.join("lock");
    let lock = File::options().create(true).append(true).open(&path).at(&path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let folder = work.parent().unwrap_or(work).to_owned();
            Err(SourceError::InUse { folder })
        }
        Err(TryLockError::Error(error)) => Err(error).at(&path),
    }
}

/// Removes files that are not wanted, such as those of an earlier choice.
fn remove_others(folder: &Path, prefix: &str, wanted: &[RemoteFile]) -> Result<()> {
    for entry in std::fs::read_dir(folder).at(folder)? {
        let entry = entry.at(folder)?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if name == WORK_FOLDER {
            continue;
        }
        if entry.file_type().at(&path)?.is_dir() {
            remove_others(&path, &format!("{name}/"), wanted)?;
        } else if !wanted.iter().any(|file| file.path == name) {
            std::fs::remove_file(&path).at(&path)?;
        }
    }
    Ok(())
}

/// Refuses what does not fit, before anything is downloaded.
fn check_space(folder: &Path, work: &Path, files: &[RemoteFile]) -> Result<()> {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut here: u64 = std::fs::read_dir(work)
        .at(work)?
        .flatten()
        .map(|entry| entry.metadata().map_or(0, |metadata| metadata.len()))
        .sum();
    for file in files {
        let present = size(&folder.join(&file.path));
        if present == file.size {
            here = here.saturating_add(present);
        }
    }
    let all = files.iter().map(|file| file.size).fold(0, u64::saturating_add);
    let needed = all.saturating_sub(here);
    let disk = rustix::fs::statvfs(folder).map_err(std::io::Error::from).at(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if needed > 0 && needed.saturating_add(RESERVE) > free {
        return Err(SourceError::NoSpace { folder: folder.to_owned(), needed, free });
    }
    Ok(())
}

/// Downloads a file; answers its path, what was compared, and how many bytes came.
async fn fetch_one(
    source: &dyn Source,
    file: &RemoteFile,
    folder: &Folder<'_>,
    how: &Download<'_>,
) -> Result<(String, Integrity, u64)> {
    let promised = with_patience(how.retry, async || source.integrity(file).await).await?;
    let target = how.folder.join(&file.path);
    if is_sound(&target, &file.path, promised, file.size).await? {
        (how.progress)(signed(file.size));
        return Ok((file.path.clone(), promised, 0));
    }
    let name = promised.partial_name(&file.path, file.version.as_deref(), file.size);
    let mut received = 0;
    let partial = folder.partial(&name, promised, file.size).await?;
    let mut ended = complete(source, file, partial, how, &mut received).await;
    if matches!(ended, Err(SourceError::Mismatch { .. })) {
        let partial = folder.work.join(&name);
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).at(&partial),
            _ => (how.progress)(-signed(file.size)),
        }
        // What an earlier download had left may have been damaged: then once more from the start.
        if received < file.size {
            let partial = folder.partial(&name, promised, file.size).await?;
            ended = complete(source, file, partial, how, &mut received).await;
        }
    }
    ended?;
    Ok((file.path.clone(), promised, received))
}

/// Downloads what is missing of a file, through any number of broken connections, and verifies it.
async fn complete(
    source: &dyn Source,
    file: &RemoteFile,
    mut partial: Partial,
    how: &Download<'_>,
    received: &mut u64,
) -> Result<()> {
    (how.progress)(signed(partial.received()));
    let mut failures = 0;
    loop {
        let before = *received;
        let ended;
        (partial, ended) = receive(source, file, partial, how, received).await?;
        match ended {
            Ok(()) => return partial.finish(&file.path, how.folder.join(&file.path)).await,
            Err(error) if error.is_transient() => {
                failures = if *received > before { 1 } else { failures + 1 };
                wait(how.retry, failures, error).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Receives bytes until the file is whole or the source fails, which is the inner result; what
/// came is on the disk then.
async fn receive(
    source: &dyn Source,
    file: &RemoteFile,
    mut partial: Partial,
    how: &Download<'_>,
    received: &mut u64,
) -> Result<(Partial, Result<()>)> {
    if partial.received() == file.size {
        return Ok((partial, Ok(())));
    }
    let mut opened = match source.open(file, partial.received()).await {
        Ok(opened) => opened,
        Err(error) => return Ok((partial, Err(error))),
    };
    if opened.from != partial.received() {
        (how.progress)(-signed(partial.received()));
        partial = partial.restart()?;
    }
    let ended = loop {
        let piece = match tokio::time::timeout(SILENCE, opened.content.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(error))) => break Err(error),
            Ok(None) => break Ok(()),
            Err(_) => break Err(timed_out("the source")),
        };
        let count = piece.len() as u64;
        if partial.received() + count > file.size {
            break Err(SourceError::Mismatch {
                path: file.path.clone(),
                check: "length",
                expected: file.size.to_string(),
                found: "larger".into(),
            });
        }
        *received += count;
        (how.progress)(signed(count));
        partial = partial.push(&piece).await?;
    };
    let partial = partial.flush().await?;
    let here = partial.received();
    let ended = ended.and_then(|()| {
        if here == file.size {
            return Ok(());
        }
        Err(SourceError::Short { path: file.path.clone(), received: here, size: file.size })
    });
    Ok((partial, ended))
}

/// Asks until there is an answer, or an error that waiting does not help.
async fn with_patience<T>(retry: Retry, ask: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut failures = 0;
    loop {
        match ask().await {
            Err(error) if error.is_transient() => {
                failures += 1;
                wait(retry, failures, error).await?;
            }
            answer => return answer,
        }
    }
}

/// Waits after a failure, or gives it back when it was one too many.
async fn wait(retry: Retry, failures: u32, error: SourceError) -> Result<()> {
    let doubled = retry.pause.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let pause = error.wait().unwrap_or(doubled.min(retry.longest));
    if failures >= retry.attempts || pause > retry.longest {
        return Err(error);
    }
    tracing::debug!(%error, ?pause, "trying again");
    tokio::time::sleep(pause).await;
    Ok(())
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
