//! Where weights come from: tensor by tensor, so that no more of them is in memory than is needed.

use std::ops::Range;
use std::path::{Path, PathBuf};

use pelton_kernels::blocks::BlockFormat;

use crate::{DecoderConfig, GgufModel, ModelError, ModelFiles};

/// A model whose weights can be read by Hugging Face name, in parts.
pub trait WeightSource: Send + Sync {
    /// The configuration.
    fn config(&self) -> &DecoderConfig;

    /// The blocks in which the source keeps a tensor; `None` for floats.
    fn block_format(&self, name: &str) -> Option<BlockFormat>;

    /// Reads rows of a tensor as f32; vectors are one row.
    ///
    /// # Errors
    /// When the tensor is missing, has not these rows, or cannot be read.
    fn read_rows(&self, name: &str, rows: Range<usize>, out: &mut [f32]) -> Result<(), ModelError>;

    /// Reads rows of a tensor as the blocks that [`Self::block_format`] tells.
    ///
    /// # Errors
    /// As [`Self::read_rows`]; also where the tensor is kept as floats.
    fn read_blocks(
        &self,
        name: &str,
        _rows: Range<usize>,
        _out: &mut [u8],
    ) -> Result<(), ModelError> {
        Err(ModelError::InvalidConfig(format!("tensor {name} is not kept in blocks")))
    }
}

/// Opens a model: a GGUF file, a folder with one GGUF file and no safetensors, or a Hugging Face folder.
///
/// # Errors
/// When a file is missing or damaged, or describes a model that this crate does not compute.
pub fn open_model(path: &Path) -> Result<Box<dyn WeightSource>, ModelError> {
    Ok(match gguf_file(path)? {
        Some(file) => Box::new(GgufModel::open(&file)?),
        None => Box::new(ModelFiles::open(path)?),
    })
}

/// The configuration of what [`open_model`] opens; a Hugging Face folder needs no weights for it.
///
/// # Errors
/// As [`open_model`].
pub fn model_config(path: &Path) -> Result<DecoderConfig, ModelError> {
    match gguf_file(path)? {
        Some(file) => Ok(GgufModel::open(&file)?.config().clone()),
        None => DecoderConfig::load(path),
    }
}

/// The GGUF file that a path means: itself, or the only one in a folder without safetensors.
///
/// # Errors
/// When a folder has several.
pub fn gguf_file(path: &Path) -> Result<Option<PathBuf>, ModelError> {
    let is_gguf = |path: &Path| {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
    };
    if path.is_file() {
        return if is_gguf(path) {
            Ok(Some(path.to_owned()))
        } else {
            Err(ModelError::Unsupported {
                path: path.to_owned(),
                reason: "a model is a folder in Hugging Face layout or a file that ends in .gguf"
                    .into(),
            })
        };
    }
    let safetensors = ["model.safetensors", "model.safetensors.index.json"];
    if !path.is_dir() || safetensors.iter().any(|name| path.join(name).exists()) {
        return Ok(None);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(ModelError::io("read", path))? {
        let entry = entry.map_err(ModelError::io("read", path))?.path();
        if is_gguf(&entry) && entry.is_file() {
            found.push(entry);
        }
    }
    if found.len() > 1 {
        return Err(ModelError::Unsupported {
            path: path.to_owned(),
            reason: format!("it has {} GGUF files; name the one that is meant", found.len()),
        });
    }
    Ok(found.pop())
}
