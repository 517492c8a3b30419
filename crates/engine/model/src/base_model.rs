//! A model's configuration and weights, read from and written to a Hugging Face folder.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use crate::{
    Adapter, DecoderConfig, Layout, ModelError, Projection, SeededNormal, Span, TensorFile,
    TensorToWrite, write_atomically, write_tensor_file,
};

/// A base model: shape, and one flat buffer of f32 weights.
#[derive(Debug, Clone)]
pub struct BaseModel {
    config: DecoderConfig,
    layout: Layout,
    weights: Vec<f32>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: HashMap<String, String>,
}

impl BaseModel {
    /// A model from its weights, laid out as [`Layout::new`] says.
    ///
    /// # Errors
    /// When the configuration is invalid or the number of weights is another.
    pub fn new(config: DecoderConfig, weights: Vec<f32>) -> Result<Self, ModelError> {
        let layout = Layout::new(&config)?;
        if weights.len() != layout.len {
            return Err(ModelError::InvalidConfig(format!(
                "{} weights for a model of {}",
                weights.len(),
                layout.len
            )));
        }
        Ok(Self { config, layout, weights })
    }

    /// A model to train from nothing: normal weights with deviation 0.02, those that write into
    /// the residual stream smaller by the root of twice the number of layers, norms at one, biases at zero.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn initialize(config: DecoderConfig, seed: u64) -> Result<Self, ModelError> {
        let layout = Layout::new(&config)?;
        let mut weights = vec![1.0; layout.len];
        let mut normal = SeededNormal::new(seed);
        let residual = 0.02 / (2.0 * config.num_hidden_layers as f64).sqrt();
        for (name, span) in layout.tensors() {
            if name.ends_with("norm.weight") {
                continue;
            }
            if name.ends_with(".bias") {
                weights[span.range()].fill(0.0);
                continue;
            }
            let writes = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
            let deviation = if writes { residual } else { 0.02 };
            weights[span.range()].fill_with(|| (normal.draw() * deviation) as f32);
        }
        Ok(Self { config, layout, weights })
    }

    /// Loads `config.json` with `model.safetensors` or the shards of
    /// `model.safetensors.index.json`.
    ///
    /// # Errors
    /// When a file is missing, damaged, or of another shape than the configuration says.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let config = DecoderConfig::load(folder)?;
        let layout = Layout::new(&config)?;
        let files = WeightFiles::open(folder)?;
        // Checked before the buffer is made: a configuration must not claim more than the files.
        for (name, span) in layout.tensors() {
            let shape = hugging_face_shape(&name, span);
            let (file, name) = files.decoder_tensor(&name, folder)?;
            if file.shape(name).is_some_and(|found| found != shape) {
                file.read_into(name, &shape, &mut [])?;
            }
        }
        let mut weights = vec![0.0; layout.len];
        for (name, span) in layout.tensors() {
            let shape = hugging_face_shape(&name, span);
            let (file, name) = files.decoder_tensor(&name, folder)?;
            file.read_into(name, &shape, &mut weights[span.range()])?;
        }
        Ok(Self { config, layout, weights })
    }

    /// Writes `config.json` and `model.safetensors` into a folder, which is made if needed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        std::fs::create_dir_all(folder).map_err(ModelError::io("create", folder))?;
        let tensors: Vec<_> = self
            .layout
            .tensors()
            .into_iter()
            .map(|(name, span)| {
                let shape = hugging_face_shape(&name, span);
                TensorToWrite { name, shape, data: &self.weights[span.range()] }
            })
            .collect();
        write_tensor_file(&folder.join("model.safetensors"), &tensors)?;
        let path = folder.join("config.json");
        let config = serde_json::to_vec_pretty(&self.config)
            .map_err(|source| ModelError::Json { path: path.clone(), source })?;
        write_atomically(&path, &config)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Where each tensor lies in [`Self::weights`].
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All weights.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The elements of one tensor.
    #[must_use]
    pub fn tensor(&self, span: Span) -> &[f32] {
        &self.weights[span.range()]
    }

    /// One linear layer's weight, `[out, in]`.
    #[must_use]
    pub fn projection(&self, layer: usize, projection: Projection) -> &[f32] {
        self.tensor(self.layout.layers[layer].projection(projection))
    }

    /// A copy with the adapter's change added to the weights.
    ///
    /// # Errors
    /// When the adapter was made for another shape.
    pub fn merged(&self, adapter: &Adapter) -> Result<Self, ModelError> {
        adapter.check_fits(&self.config)?;
        let mut merged = self.clone();
        for ((layer, projection), pair) in adapter.pairs() {
            let span = self.layout.layers[layer].projection(projection);
            pair.add_to(&mut merged.weights[span.range()], span.cols);
        }
        Ok(merged)
    }
}

/// Norms and biases are vectors there, everything else matrices.
fn hugging_face_shape(name: &str, span: Span) -> Vec<usize> {
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
