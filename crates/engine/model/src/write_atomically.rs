//! A file is either the old one or the new one, whenever the process dies.

use std::io::Write as _;
use std::path::Path;

use crate::ModelError;

/// Replaces `path` with `bytes`: written beside it, flushed to disk, then renamed over it.
///
/// # Errors
/// When the disk refuses; `path` is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let written = write_and_sync(&partial, bytes);
    if let Err(source) = written {
        let _ = std::fs::remove_file(&partial);
        return Err(ModelError::Io { action: "write", path: partial, source });
    }
    std::fs::rename(&partial, path).map_err(ModelError::io("replace", path))?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // The rename itself must reach the disk, too.
        let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(ModelError::io("flush", folder))?;
    }
    Ok(())
}

fn write_and_sync(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
