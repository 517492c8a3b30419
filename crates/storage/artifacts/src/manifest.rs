//! Manifests: the files that make up a model or a dataset version, as one blob.

use crate::Artifacts;
use crate::error::{ArtifactError, At as _, Result, on_disk};
use crate::pin::Pin;
use crate::put::Stored;
use pelton_ids::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// A file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Relative, with `/`.
    pub path: String,
    /// The blob.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// Files that belong together. Its digest is over its canonical JSON: files by path, metadata keys
/// sorted, no spaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The files, by path.
    pub files: Vec<ManifestFile>,
    /// `model`, `adapter`, `dataset`.
    pub kind: String,
    /// What else belongs to it.
    pub metadata: Json,
    /// The format, so that a manifest is recognized among blobs.
    schema: String,
}

const SCHEMA: &str = "pelton.dev/manifest/v1";
/// The largest manifest read, in bytes.
pub(crate) const MAX_MANIFEST: u64 = 16 << 20;
const MAX_PATH: usize = 1_024;

impl Manifest {
    /// A manifest of `files`, in any order.
    ///
    /// # Errors
    /// When a path is absolute, leads out of its folder or appears twice.
    pub fn new(kind: &str, mut files: Vec<ManifestFile>, metadata: Json) -> Result<Self> {
        files.sort_by(|left, right| left.path.cmp(&right.path));
        let made =
            Self { files, kind: kind.into(), metadata: sorted(metadata), schema: SCHEMA.into() };
        made.check()?;
        Ok(made)
    }

    /// Reads a manifest's JSON.
    ///
    /// # Errors
    /// When it is none, or names a path that leads out of its folder.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let parsed: Self = serde_json::from_slice(bytes)
            .map_err(|error| ArtifactError::Manifest(error.to_string()))?;
        parsed.check()?;
        Ok(parsed)
    }

    /// The canonical JSON.
    ///
    /// # Errors
    /// When the metadata holds a number that JSON cannot.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| ArtifactError::Manifest(error.to_string()))
    }

    /// Bytes of all files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    fn check(&self) -> Result<()> {
        if self.schema != SCHEMA {
            return Err(ArtifactError::Manifest(format!("its schema is not `{SCHEMA}`")));
        }
        let mut seen = BTreeSet::new();
        for file in &self.files {
            check_path(&file.path)?;
            if !seen.insert(file.path.as_str()) {
                return Err(ArtifactError::Manifest(format!("`{}` appears twice", file.path)));
            }
        }
        Ok(())
    }
}

/// A relative path of plain names.
fn check_path(path: &str) -> Result<()> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let tidy = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let fits = !path.is_empty() && path.len() <= MAX_PATH && !path.contains(['\\', '\0']);
    if plain && tidy && fits {
        return Ok(());
    }
    let shown: String = path.chars().take(80).collect();
    Err(ArtifactError::Manifest(format!("`{shown}` is not a relative path of plain names")))
}

/// The same value with the keys of every object sorted.
fn sorted(value: Json) -> Json {
    match value {
        Json::Object(fields) => {
            let mut fields: Vec<(String, Json)> = fields.into_iter().collect();
            fields.sort_by(|left, right| left.0.cmp(&right.0));
            Json::Object(fields.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// Whether a blob's first bytes may be those of a manifest.
pub(crate) fn may_be_manifest(start: &[u8]) -> bool {
    start.starts_with(br#"{"files":"#)
}

impl Artifacts {
    /// Stores a manifest. Every file must be stored already, with the size that it says.
    ///
    /// # Errors
    /// `NotFound` for the first file that is not stored.
    pub async fn manifest_put(&self, manifest: &Manifest) -> Result<Stored> {
        manifest.check()?;
        let _pins = manifest
            .files
            .iter()
            .map(|file| self.pin(file.digest))
            .collect::<Result<Vec<Pin>>>()?;
        for file in &manifest.files {
            let size = self.size(file.digest).await?.ok_or(ArtifactError::NotFound(file.digest))?;
            if size != file.size {
                let why = format!("`{}` has {size} bytes and not {}", file.path, file.size);
                return Err(ArtifactError::Manifest(why));
            }
        }
        self.put_bytes(manifest.to_bytes()?).await
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// When it is not stored, damaged or none.
    pub async fn manifest_get(&self, digest: Digest) -> Result<Manifest> {
        Manifest::parse(&self.read(digest, MAX_MANIFEST).await?)
    }

    /// Stores every file under `folder` and a manifest of them. Answers the manifest, its blob and
    /// the pins of its files: keep them until something refers to them.
    ///
    /// # Errors
    /// When a file cannot be read or its name is not text, or the disk is full.
    pub async fn manifest_put_folder(
        &self,
        folder: &Path,
        kind: &str,
        metadata: Json,
    ) -> Result<(Manifest, Stored, Vec<Pin>)> {
        let root = folder.to_owned();
        let paths = on_disk(folder, move || files_below(&root)).await?;
        let (mut files, mut pins) = (Vec::new(), Vec::new());
        for path in paths {
            let stored = self.put_file(&folder.join(&path)).await?;
            files.push(ManifestFile { path, digest: stored.digest, size: stored.size });
            pins.push(stored.pin);
        }
        let manifest = Manifest::new(kind, files, metadata)?;
        let stored = self.manifest_put(&manifest).await?;
        Ok((manifest, stored, pins))
    }
}

/// Every plain file below `root`, as relative paths with `/`.
fn files_below(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = root.join(&folder);
        for entry in std::fs::read_dir(&here).at(&here)? {
            let entry = entry.at(&here)?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().at(&here)?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let text = path.to_str().map(str::to_owned);
                found.push(text.ok_or_else(|| {
                    ArtifactError::Manifest(format!("`{}` is not text", path.display()))
                })?);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> ManifestFile {
        ManifestFile { path: path.into(), digest: Digest::of(b""), size: 0 }
    }

    #[test]
    fn same_content_same_bytes() {
        let one = Manifest::new(
            "model",
            vec![file("b"), file("a/c")],
            serde_json::json!({"y": 1, "x": {"b": 2, "a": 3}}),
        );
        let two = Manifest::new(
            "model",
            vec![file("a/c"), file("b")],
            serde_json::json!({"x": {"a": 3, "b": 2}, "y": 1}),
        );
        let bytes = one.unwrap().to_bytes().unwrap();
        assert_eq!(bytes, two.unwrap().to_bytes().unwrap());
        assert!(may_be_manifest(&bytes));
        assert_eq!(Manifest::parse(&bytes).unwrap().to_bytes().unwrap(), bytes);
    }

    #[test]
    fn refuses_paths_that_lead_out() {
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", "a\\b", "a\0"] {
            assert!(Manifest::new("model", vec![file(bad)], Json::Null).is_err(), "{bad:?}");
        }
        let twice = Manifest::new("model", vec![file("a"), file("a")], Json::Null);
        assert_eq!(twice.unwrap_err().to_string(), "the manifest is not valid: `a` appears twice");
        let smuggled = br#"{"files":[{"path":"../x","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}],"kind":"model","metadata":null,"schema":"pelton.dev/manifest/v1"}"#;
        assert!(Manifest::parse(smuggled).is_err());
    }
}
