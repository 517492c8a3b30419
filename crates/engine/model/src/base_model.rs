//! A model's configuration and weights in memory; written to a Hugging Face folder.

use std::ops::Range;
use std::path::Path;

use pelton_kernels::blocks::BlockFormat;

use crate::model_files::hugging_face_shape;
use crate::{
    Adapter, DecoderConfig, Layout, ModelError, Projection, SeededNormal, Span, TensorToWrite,
    WeightSource, open_model, write_atomically, write_tensor_file,
};

/// A base model: shape, and one flat buffer of f32 weights.
#[derive(Debug, Clone)]
pub struct BaseModel {
    config: DecoderConfig,
    layout: Layout,
    weights: Vec<f32>,
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

    /// Loads a folder as [`ModelFiles::open`] does, or a GGUF file as [`GgufModel::open`] does, all as f32.
    ///
    /// # Errors
    /// When a file is missing, damaged, or of another shape than the configuration says.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        Self::read(open_model(path)?.as_ref())
    }

    /// Reads all weights of a source as f32.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(source: &dyn WeightSource) -> Result<Self, ModelError> {
        let config = source.config().clone();
        let layout = Layout::new(&config)?;
        let mut weights = vec![0.0; layout.len];
        for (name, span) in layout.tensors() {
            source.read_rows(&name, 0..span.rows, &mut weights[span.range()])?;
        }
        Ok(Self { config, layout, weights })
    }

    /// Reads the same weights for those who keep them in another form: `take` gets the layout, the place
    /// of a tensor and some of its rows at a time, in the order of [`Layout::tensors`].
    ///
    /// # Errors
    /// As [`Self::load`], and what `take` refuses.
    pub fn read_in_pieces<E: From<ModelError>>(
        path: &Path,
        mut take: impl FnMut(&Layout, Span, &[f32]) -> Result<(), E>,
    ) -> Result<(DecoderConfig, Layout), E> {
        let source = open_model(path)?;
        let config = source.config().clone();
        let layout = Layout::new(&config)?;
        let mut piece = Vec::new();
        for (name, span) in layout.tensors() {
            for rows in span.pieces(1) {
                piece.resize(rows.len() * span.cols, 0.0);
                source.read_rows(&name, rows, &mut piece)?;
                take(&layout, span, &piece)?;
            }
        }
        Ok((config, layout))
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

impl WeightSource for BaseModel {
    fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn block_format(&self, _: &str) -> Option<BlockFormat> {
        None
    }

    fn read_rows(&self, name: &str, rows: Range<usize>, out: &mut [f32]) -> Result<(), ModelError> {
        let span = self.layout.span(name).ok_or_else(|| {
            ModelError::InvalidConfig(format!("the configuration has no tensor {name}"))
        })?;
        let rows = rows.start * span.cols..rows.end * span.cols;
        let weights = self.tensor(span).get(rows).filter(|weights| weights.len() == out.len());
        let weights = weights
            .ok_or_else(|| ModelError::InvalidConfig(format!("tensor {name} has no such rows")))?;
        out.copy_from_slice(weights);
        Ok(())
    }
}
