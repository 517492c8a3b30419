//! A Hugging Face folder whose weights are read when they are needed.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pelton_kernels::blocks::BlockFormat;
use serde::Deserialize;

use crate::{DecoderConfig, Layout, ModelError, Span, TensorFile, WeightSource};

/// An open model folder: `config.json` with `model.safetensors` or the shards of
/// `model.safetensors.index.json`.
#[derive(Debug)]
pub struct ModelFiles {
    folder: PathBuf,
    config: DecoderConfig,
    files: WeightFiles,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl ModelFiles {
    /// Opens a folder; the weights stay on disk.
    ///
    /// # Errors
    /// When a file is missing, damaged, or of another shape than the configuration says.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let config = DecoderConfig::load(folder)?;
        let layout = Layout::new(&config)?;
        let files = WeightFiles::open(folder)?;
        // Checked before anything is made: a configuration must not claim more than the files.
        for (name, span) in layout.tensors() {
            let shape = hugging_face_shape(&name, span);
            let (file, name) = files.decoder_tensor(&name, folder)?;
            file.check_shape(name, &shape)?;
        }
        Ok(Self { folder: folder.to_owned(), config, files })
    }
}

impl WeightSource for ModelFiles {
    fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn block_format(&self, _: &str) -> Option<BlockFormat> {
        None
    }

    fn read_rows(&self, name: &str, rows: Range<usize>, out: &mut [f32]) -> Result<(), ModelError> {
        let (file, name) = self.files.decoder_tensor(name, &self.folder)?;
        // A vector is one row of a matrix here, and one row per element in the file.
        let vector = file.shape(name).is_some_and(|shape| shape.len() == 1);
        file.read_rows(name, if vector { 0..out.len() } else { rows }, out)
    }
}

/// Norms and biases are vectors there, everything else matrices.
pub(crate) fn hugging_face_shape(name: &str, span: Span) -> Vec<usize> {
    let vector = name.ends_with("norm.weight") || name.ends_with(".bias");
    if vector { vec![span.cols] } else { vec![span.rows, span.cols] }
}

/// The safetensors files of a folder: one, or shards with an index.
#[derive(Debug)]
pub struct WeightFiles {
    files: HashMap<String, TensorFile>,
    index: Option<HashMap<String, String>>,
}

impl WeightFiles {
    const SINGLE: &str = "model.safetensors";

    /// Opens `model.safetensors`, or the shards of `model.safetensors.index.json`.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("model.safetensors.index.json");
        if folder.join(Self::SINGLE).exists() || !path.exists() {
            let file = TensorFile::open(&folder.join(Self::SINGLE))?;
            return Ok(Self { files: HashMap::from([(Self::SINGLE.into(), file)]), index: None });
        }
        let text = std::fs::read_to_string(&path).map_err(ModelError::io("read", &path))?;
        let index: ShardIndex = serde_json::from_str(&text)
            .map_err(|source| ModelError::Json { path: path.clone(), source })?;
        let mut files = HashMap::new();
        for shard in index.weight_map.values() {
            if files.contains_key(shard) {
                continue;
            }
            if Path::new(shard).file_name() != Some(shard.as_ref()) {
                return Err(ModelError::Unsupported {
                    path,
                    reason: format!("shard {shard:?} is not a file name in the same folder"),
                });
            }
            files.insert(shard.clone(), TensorFile::open(&folder.join(shard))?);
        }
        Ok(Self { files, index: Some(index.weight_map) })
    }

    /// The file that has a decoder's tensor, and its name there: files of decoders without a head,
    /// such as embedding models, leave the first part of the name out.
    fn decoder_tensor<'n>(
        &self,
        name: &'n str,
        folder: &Path,
    ) -> Result<(&TensorFile, &'n str), ModelError> {
        self.file_of(name, folder).map(|file| (file, name)).or_else(|missing| {
            let bare = name.strip_prefix("model.").unwrap_or(name);
            self.file_of(bare, folder).map(|file| (file, bare)).map_err(|_| missing)
        })
    }

    /// The file that has a tensor.
    ///
    /// # Errors
    /// [`ModelError::MissingTensor`].
    pub fn file_of(&self, name: &str, folder: &Path) -> Result<&TensorFile, ModelError> {
        let file = match &self.index {
            None => self.files.get(Self::SINGLE),
            Some(index) => index.get(name).and_then(|shard| self.files.get(shard)),
        };
        file.filter(|file| file.shape(name).is_some()).ok_or_else(|| ModelError::MissingTensor {
            path: folder.to_owned(),
            name: name.to_owned(),
        })
    }
}
