//! Loaded adapters by name. Loading under a name that is taken makes a new generation: running
//! requests keep the one they began with, and it is freed with the last of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use pelton_kernels::decode::PackError;
use pelton_model::{Adapter, ModelError};

use crate::decoder::Decoder;
use crate::lora::LoraWeights;

/// An adapter in memory.
#[derive(Debug)]
pub(crate) struct LoadedAdapter {
    pub(crate) generation: u64,
    pub(crate) weights: LoraWeights,
    info: AdapterInfo,
}

/// What is known about a loaded adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterInfo {
    /// The name by which requests choose it.
    pub name: String,
    /// The PEFT folder it came from.
    pub path: PathBuf,
    /// LoRA rank.
    pub rank: usize,
    /// Counts loads; never used twice.
    pub generation: u64,
}

/// Why an adapter is not loaded or unloaded.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// The folder is not a PEFT adapter of this base.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The matrices cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The name is taken, and replacing was not asked for.
    #[error("the adapter `{0}` is loaded already; unload it first, or set load_inplace")]
    AlreadyLoaded(String),
    /// No adapter has this name.
    #[error("the adapter `{0}` is not loaded")]
    NotLoaded(String),
}

#[derive(Debug, Default)]
pub(crate) struct AdapterRegistry {
    adapters: RwLock<BTreeMap<String, Arc<LoadedAdapter>>>,
    generations: AtomicU64,
}

impl AdapterRegistry {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<LoadedAdapter>> {
        self.adapters.read().get(name).cloned()
    }

    pub(crate) fn list(&self) -> Vec<AdapterInfo> {
        self.adapters.read().values().map(|adapter| adapter.info.clone()).collect()
    }

    pub(crate) fn load(
        &self,
        name: &str,
        folder: &Path,
        replace: bool,
        decoder: &Decoder,
    ) -> Result<AdapterInfo, AdapterError> {
        if !replace && self.adapters.read().contains_key(name) {
            return Err(AdapterError::AlreadyLoaded(name.to_owned()));
        }
        let adapter = Adapter::load(folder, decoder.config())?;
        let weights = LoraWeights::new(&adapter, decoder)?;
        // Generation 0 is the base.
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let info = AdapterInfo {
            name: name.to_owned(),
            path: folder.to_path_buf(),
            rank: adapter.config().rank,
            generation,
        };
        let loaded = Arc::new(LoadedAdapter { generation, weights, info: info.clone() });
        let mut adapters = self.adapters.write();
        if !replace && adapters.contains_key(name) {
            return Err(AdapterError::AlreadyLoaded(name.to_owned()));
        }
        adapters.insert(name.to_owned(), loaded);
        Ok(info)
    }

    pub(crate) fn unload(&self, name: &str) -> Result<AdapterInfo, AdapterError> {
        self.adapters
            .write()
            .remove(name)
            .map(|adapter| adapter.info.clone())
            .ok_or_else(|| AdapterError::NotLoaded(name.to_owned()))
    }
}
