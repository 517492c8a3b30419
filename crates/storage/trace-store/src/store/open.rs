//! Finding one's way after a crash: what the catalog says is sealed goes, the rest is read again.

use crate::catalog::PartCatalog;
use crate::error::{Result, TraceStoreError, at_file};
use crate::part_files::PartFiles;
use crate::segment::{Segment, remove_files, sync_folder};
use crate::shared::View;
use sqlx::Connection as _;
use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Lists the files of parts that retention is about to remove, so that a crash in between cannot
/// leave deleted data on disk.
const DROPPING: &str = "dropping";

/// What the folder holds.
pub(super) struct Found {
    pub(super) view: View,
    pub(super) last_segment: i64,
}

pub(super) async fn recover(folder: &Path, catalog: &dyn PartCatalog) -> Result<Found> {
    let (hot, parts) = (folder.join("hot"), folder.join("parts"));
    for folder in [&hot, &parts] {
        std::fs::create_dir_all(folder).map_err(at_file(folder))?;
    }
    sync_folder(folder)?;
    let sealed: HashSet<String> = catalog.sealed_segments().await?.into_iter().collect();
    let mut view = View::default();
    for part in catalog.list().await? {
        view.parts.push(Arc::new(PartFiles::new(part, &parts)?));
    }
    let mut last_segment = 0;
    for name in &sealed {
        last_segment = last_segment.max(name.parse().unwrap_or(0));
    }
    let mut databases = listed(&hot)?;
    databases.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
    for path in databases {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        last_segment = last_segment.max(name.parse().unwrap_or(0));
        if sealed.contains(&name) {
            remove_files(&path).map_err(at_file(&path))?;
            continue;
        }
        match Segment::recover(&path).await? {
            Some((segment, connection)) if segment.rows.load(Ordering::Relaxed) > 0 => {
                drop(connection.close().await);
                view.segments.push(Arc::new(segment));
            }
            Some((_, connection)) => {
                drop(connection.close().await);
                remove_files(&path).map_err(at_file(&path))?;
            }
            None => remove_files(&path).map_err(at_file(&path))?,
        }
    }
    clear_drafts(&parts, &view)?;
    Ok(Found { view, last_segment })
}

/// The files of a folder, by name.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(at_file(folder))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(at_file(folder))?;
    paths.sort();
    Ok(paths)
}

/// Removes what an interrupted sealing or dropping left. A file that nothing accounts for stays,
/// in case the catalog was lost and not the file.
fn clear_drafts(parts: &Path, view: &View) -> Result<()> {
    let kept: HashSet<&str> = view
        .parts
        .iter()
        .flat_map(|part| part.detail.files.iter().map(|file| file.path.as_str()))
        .collect();
    let hot: HashSet<&str> = view.segments.iter().map(|segment| segment.name()).collect();
    let note = parts.join(DROPPING);
    let dropping = std::fs::read_to_string(&note).unwrap_or_default();
    let dropping: HashSet<&str> = dropping.lines().collect();
    for path in listed(parts)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let segment = name.split('.').next().unwrap_or_default();
        if name == DROPPING || kept.contains(name.as_str()) {
            continue;
        }
        let draft = path.extension().is_some_and(|extension| extension == "tmp");
        if draft || hot.contains(segment) || dropping.contains(name.as_str()) {
            std::fs::remove_file(&path).map_err(at_file(&path))?;
        } else {
            tracing::warn!(part = %path.display(), "a trace part is not in the catalog; it is left alone");
        }
    }
    match std::fs::remove_file(&note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at_file(&note)(error)),
        _ => Ok(()),
    }
}

/// Notes durably which files are about to be removed.
pub(super) fn note_dropping(parts: &Path, old: &[Arc<PartFiles>]) -> Result<(), TraceStoreError> {
    let note = parts.join(DROPPING);
    let write = || {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&note)?;
        for name in old.iter().flat_map(|part| &part.detail.files) {
            writeln!(file, "{}", name.path)?;
        }
        file.sync_all()
    };
    write().map_err(at_file(&note))?;
    sync_folder(parts)
}
