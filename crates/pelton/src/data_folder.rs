//! The folder that holds everything a server stores. One server at a time may use it.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A locked data folder: the lock is held while the value lives, and dies with the process.
pub struct DataFolder {
    root: PathBuf,
    _lock: File,
}

/// Where the server of a data folder answers: `server.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerFile {
    /// `http://127.0.0.1:7077`
    pub url: String,
    /// The server's process.
    pub process: u32,
}

impl DataFolder {
    /// Makes the folder if there is none, and locks it.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        for part in ["", "artifacts", "traces", "jobs", "engine"] {
            let folder = root.join(part);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let path = root.join("LOCK");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "{} is in use by another server: stop it, or give another folder with \
                 `--set server.data=FOLDER`",
                root.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).context("cannot lock the data folder");
            }
        }
        let root = root.canonicalize()?;
        Ok(Self { root, _lock: lock })
    }

    /// The metadata database.
    pub fn metadata(&self) -> PathBuf {
        self.root.join("meta.db")
    }

    /// The blobs.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    /// Hot segments and sealed parts.
    pub fn traces(&self) -> PathBuf {
        self.root.join("traces")
    }

    /// A folder for each job's work.
    pub fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// Models and adapters laid out for the engine.
    pub fn engine(&self) -> PathBuf {
        self.root.join("engine")
    }

    /// Models on their way from elsewhere.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    /// Tells others where the server answers.
    pub fn announce(&self, url: &str) -> anyhow::Result<()> {
        let text =
            serde_json::to_string(&ServerFile { url: url.into(), process: std::process::id() })?;
        let temporary = self.root.join("server.json.new");
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(temporary, self.root.join("server.json"))?;
        Ok(())
    }
}

/// Where the server of the data folder `root` answers, if one was started there.
pub fn announced(root: &Path) -> Option<ServerFile> {
    serde_json::from_str(&std::fs::read_to_string(root.join("server.json")).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_at_a_time() {
        let root = std::env::temp_dir().join(format!("pelton-lock-{}", std::process::id()));
        let first = DataFolder::open(&root).expect("the first server gets the folder");
        let refused = DataFolder::open(&root).err().expect("the second does not").to_string();
        assert!(refused.contains("in use by another server"), "{refused}");
        first.announce("http://127.0.0.1:1").expect("it tells where it answers");
        assert_eq!(announced(&root).expect("and is found").url, "http://127.0.0.1:1");
        drop(first);
        DataFolder::open(&root).expect("the next server gets the folder");
        std::fs::remove_dir_all(root).expect("the folder goes");
    }
}
