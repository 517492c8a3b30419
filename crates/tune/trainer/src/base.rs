//! The model that a run starts from: floats, or frozen in 8 bits.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use pelton_kernels::{NotInBlocks, Q8Matrix, Real, Weight};
use pelton_model::{BaseModel, DecoderConfig, Layout, ModelError, Projection, Span};

use crate::TrainError;

/// A frozen base whose matrices are kept in Q8_0 (8 bits, a scale for each 32 weights): a quarter of the
/// memory of floats. Norms and biases stay floats. Only adapters can be trained on it.
#[derive(Debug, Clone)]
pub struct QuantizedBase {
    config: DecoderConfig,
    layout: Layout,
    /// By where the matrix begins in the layout; query, key and value are one, and so are gate and up.
    matrices: HashMap<usize, Q8Matrix>,
    vectors: Vec<f32>,
    /// Where each norm and bias begins in `vectors`, by where it begins in the layout.
    places: HashMap<usize, usize>,
}

impl QuantizedBase {
    /// Rounds a loaded model.
    ///
    /// # Errors
    /// When a matrix's rows are no multiple of 32.
    pub fn new(model: &BaseModel) -> Result<Self, TrainError> {
        let layout = model.layout();
        let mut parts = Parts::default();
        for (_, span) in layout.tensors() {
            parts.take(layout, span, model.tensor(span))?;
        }
        parts.finish(model.config().clone(), layout.clone())
    }

    /// Loads a Hugging Face folder, rounding as it reads, so that the floats never exist together.
    ///
    /// # Errors
    /// As [`BaseModel::load`], and when a matrix's rows are no multiple of 32.
    pub fn load(folder: &Path) -> Result<Self, TrainError> {
        let mut parts = Parts::default();
        let (config, layout) = BaseModel::read_in_pieces(folder, |layout, span, piece| {
            parts.take(layout, span, piece).map_err(TrainError::from)
        })?;
        parts.finish(config, layout)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Memory that the weights take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let matrices: usize = self.matrices.values().map(Q8Matrix::bytes).sum();
        matrices + size_of_val(self.vectors.as_slice())
    }

    pub(crate) fn vectors(&self) -> &[f32] {
        &self.vectors
    }

    /// The matrices in the order of the layout.
    pub(crate) fn matrices(&self) -> Vec<&Q8Matrix> {
        let mut all: Vec<_> = self.matrices.iter().collect();
        all.sort_by_key(|(start, _)| **start);
        all.into_iter().map(|(_, matrix)| matrix).collect()
    }
}

/// What has been read so far.
#[derive(Default)]
struct Parts {
    matrices: HashMap<usize, Q8Matrix>,
    vectors: Vec<(usize, Vec<f32>)>,
}

impl Parts {
    fn take(&mut self, layout: &Layout, span: Span, piece: &[f32]) -> Result<(), NotInBlocks> {
        if is_vector(layout, span) {
            match self.vectors.last_mut() {
                Some((start, values)) if *start == span.start => values.extend_from_slice(piece),
                _ => self.vectors.push((span.start, piece.to_vec())),
            }
            return Ok(());
        }
        let whole = joined(layout, span);
        let matrix = match self.matrices.entry(whole.start) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let matrix = entry.insert(Q8Matrix::empty(whole.cols)?);
                matrix.reserve(whole.rows);
                matrix
            }
        };
        matrix.extend(piece);
        Ok(())
    }

    fn finish(
        mut self,
        config: DecoderConfig,
        layout: Layout,
    ) -> Result<QuantizedBase, TrainError> {
        // Biases that are one vector for the decoder lie together in the layout, and stay so.
        self.vectors.sort_by_key(|(start, _)| *start);
        let (mut vectors, mut places) = (Vec::new(), HashMap::new());
        for (start, values) in &self.vectors {
            places.insert(*start, vectors.len());
            vectors.extend_from_slice(values);
        }
        Ok(QuantizedBase { config, layout, matrices: self.matrices, vectors, places })
    }
}

/// Norms and biases have one row; a vocabulary of one token would have one, too, but is none.
fn is_vector(layout: &Layout, span: Span) -> bool {
    span.rows == 1 && span != layout.embedding && Some(span) != layout.separate_head
}

/// The matrix that the decoder multiplies with, of which this tensor is a part.
fn joined(layout: &Layout, span: Span) -> Span {
    let wholes = layout.layers.iter().flat_map(|layer| {
        [
            layer.query_key_value(),
            layer.projection(Projection::Output),
            layer.gate_up(),
            layer.projection(Projection::Down),
        ]
    });
    let inside = |whole: &Span| whole.range().contains(&span.start);
    wholes.into_iter().find(inside).unwrap_or(span)
}

/// What a run starts from.
#[derive(Debug, Clone, Copy)]
pub enum Base<'a> {
    /// Weights in floats.
    Dense(&'a BaseModel),
    /// Weights in 8 bits, frozen: for adapters.
    Quantized(&'a QuantizedBase),
}

impl<'a> From<&'a BaseModel> for Base<'a> {
    fn from(model: &'a BaseModel) -> Self {
        Self::Dense(model)
    }
}

impl<'a> From<&'a Arc<BaseModel>> for Base<'a> {
    fn from(model: &'a Arc<BaseModel>) -> Self {
        Self::Dense(model)
    }
}

impl<'a> From<&'a QuantizedBase> for Base<'a> {
    fn from(base: &'a QuantizedBase) -> Self {
        Self::Quantized(base)
    }
}

impl<'a> Base<'a> {
    /// The configuration.
    #[must_use]
    pub fn config(self) -> &'a DecoderConfig {
        match self {
            Self::Dense(model) => model.config(),
            Self::Quantized(base) => &base.config,
        }
    }

    /// Memory that the weights take, in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Dense(model) => size_of_val(model.weights()),
            Self::Quantized(base) => base.bytes(),
        }
    }

    pub(crate) fn layout(self) -> &'a Layout {
        match self {
            Self::Dense(model) => model.layout(),
            Self::Quantized(base) => &base.layout,
        }
    }

    pub(crate) fn weights(self) -> Weights<'a, f32> {
        match self {
            Self::Dense(model) => Weights::Dense(model.weights()),
            Self::Quantized(base) => Weights::Quantized { base, vectors: &base.vectors },
        }
    }

    /// The floats, for those methods that change them.
    pub(crate) fn dense(self) -> Result<&'a BaseModel, TrainError> {
        match self {
            Self::Dense(model) => Ok(model),
            Self::Quantized(_) => Err(TrainError::InvalidConfig(
                "an 8-bit base is frozen: train an adapter on it (method lora), or keep the base in f32"
                    .into(),
            )),
        }
    }
}

/// Weights as the decoder reads them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Weights<'a, T> {
    /// All in one buffer.
    Dense(&'a [T]),
    /// Matrices in 8 bits; `vectors` are the base's norms and biases.
    Quantized { base: &'a QuantizedBase, vectors: &'a [T] },
}

impl<'a, T: Real> Weights<'a, T> {
    /// A norm or a bias.
    pub fn vector(self, span: Span) -> &'a [T] {
        match self {
            Self::Dense(all) => &all[span.range()],
            Self::Quantized { base, vectors } => &vectors[base.places[&span.start]..][..span.len()],
        }
    }

    /// An embedding or a linear layer, joined ones as one.
    pub fn matrix(self, span: Span) -> Weight<'a, T> {
        match self {
            Self::Dense(all) => Weight::Dense(&all[span.range()]),
            Self::Quantized { base, .. } => Weight::Q8(&base.matrices[&span.start]),
        }
    }
}

impl From<NotInBlocks> for TrainError {
    fn from(error: NotInBlocks) -> Self {
        let reason = format!("the base has {error}; keep it in f32");
        ModelError::InvalidConfig(reason).into()
    }
}
