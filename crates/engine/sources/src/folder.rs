//! A folder of this machine as a source: it is read where it lies.

use crate::card::{LARGEST_CARD, front_matter, license_of, read_card};
use crate::error::{At as _, Result, SourceError};
use crate::integrity::Integrity;
use crate::listing::{Listing, Origin, RemoteFile};
use crate::path::check_path;
use std::path::Path;

/// Files of a source at most.
pub(crate) const MOST_FILES: usize = 10_000;

/// Lists a folder's files, or a single GGUF file. Links to files are read as files, as in the
/// cache of `huggingface_hub`; links to folders are left alone.
///
/// # Errors
/// When it cannot be read, or holds more files than a model has.
pub fn list_folder(path: &Path) -> Result<Listing> {
    let mut files = Vec::new();
    if std::fs::metadata(path).at(path)?.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(file(name, path)?);
    } else {
        walk(path, "", &mut files)?;
    }
    let (license, license_link) = read_card(path)
        .filter(|card| card.len() as u64 <= LARGEST_CARD)
        .and_then(|card| front_matter(&card))
        .map_or((None, None), |data| license_of(&data));
    let origin = Origin {
        kind: "folder",
        address: path.canonicalize().at(path)?.display().to_string(),
        endpoint: None,
        revision: None,
        commit: None,
    };
    Listing { origin, license, license_link, notes: Vec::new(), files }.sorted("the folder")
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<RemoteFile>) -> Result<()> {
    for entry in std::fs::read_dir(folder).at(folder)? {
        let entry = entry.at(folder)?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // Version control and caches are no part of a model.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type().at(&path)?.is_dir() {
            check_path(&name)?;
            walk(&path, &format!("{name}/"), files)?;
        } else if path.is_file() {
            files.push(file(name, &path)?);
        }
        if files.len() > MOST_FILES {
            return Err(SourceError::TooMuch {
                what: "more files".into(),
                limit: MOST_FILES.to_string(),
            });
        }
    }
    Ok(())
}

fn file(name: String, path: &Path) -> Result<RemoteFile> {
    check_path(&name)?;
    Ok(RemoteFile {
        path: name,
        size: std::fs::metadata(path).at(path)?.len(),
        integrity: Integrity::Length,
        location: path.display().to_string(),
        version: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_listed_with_its_licence() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("1_Pooling")).unwrap();
        std::fs::create_dir_all(at(".git")).unwrap();
        std::fs::write(at(".git/config"), "x").unwrap();
        std::fs::write(at("1_Pooling/config.json"), "{}").unwrap();
        std::fs::write(at("README.md"), "---\nlicense: mit\n---\n").unwrap();
        std::os::unix::fs::symlink(at("1_Pooling/config.json"), at("config.json")).unwrap();
        std::os::unix::fs::symlink(folder.path(), at("loop")).unwrap();
        let listing = list_folder(folder.path()).unwrap();
        let names: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, ["1_Pooling/config.json", "README.md", "config.json"]);
        assert_eq!(listing.license.as_deref(), Some("mit"));
        assert!(list_folder(&at("absent")).is_err());
    }
}
