//! The model's weights in the order and layout in which the forward pass reads them.

use pelton_kernels::decode::{BlockShape, MAX_HEAD_DIM, PackError, PackedLinear, RopeTable};
use pelton_model::{BaseModel, LlamaConfig, Precision, Projection, Span};

use crate::SchedulerError;

/// A decoder ready to run; immutable, shared by all workers.
#[derive(Debug)]
pub struct Decoder {
    pub(crate) config: LlamaConfig,
    pub(crate) embedding: Vec<f32>,
    pub(crate) layers: Vec<DecoderLayer>,
    pub(crate) final_norm: Vec<f32>,
    pub(crate) head: PackedLinear,
    pub(crate) rope: RopeTable,
    pub(crate) blocks: BlockShape,
}

#[derive(Debug)]
pub(crate) struct DecoderLayer {
    pub(crate) attention_norm: Vec<f32>,
    /// Queries, keys and values side by side.
    pub(crate) query_key_value: PackedLinear,
    pub(crate) output: PackedLinear,
    pub(crate) mlp_norm: Vec<f32>,
    /// Gate and up side by side.
    pub(crate) gate_up: PackedLinear,
    pub(crate) down: PackedLinear,
}

impl Decoder {
    /// Packs a model's weights, rounded to Q8_0 where `precision` says so. Matrices whose width is
    /// no multiple of 32 stay in F32, as does the embedding.
    ///
    /// # Errors
    /// [`SchedulerError::Unsupported`] for heads wider than the attention kernel.
    pub fn new(model: &BaseModel, precision: Precision) -> Result<Self, SchedulerError> {
        let config = model.config().clone();
        if config.head_size() > MAX_HEAD_DIM {
            return Err(SchedulerError::Unsupported(format!(
                "heads of {} floats; up to {MAX_HEAD_DIM} are",
                config.head_size()
            )));
        }
        let pack = |span: Span| pack(model.tensor(span), span, precision);
        let layout = model.layout();
        let layers = layout
            .layers
            .iter()
            .map(|layer| {
                Ok(DecoderLayer {
                    attention_norm: model.tensor(layer.attention_norm).to_vec(),
                    query_key_value: pack(layer.query_key_value())?,
                    output: pack(layer.projection(Projection::Output))?,
                    mlp_norm: model.tensor(layer.mlp_norm).to_vec(),
                    gate_up: pack(layer.gate_up())?,
                    down: pack(layer.projection(Projection::Down))?,
                })
            })
            .collect::<Result<_, PackError>>()?;
        Ok(Self {
            embedding: model.tensor(layout.embedding).to_vec(),
            layers,
            final_norm: model.tensor(layout.final_norm).to_vec(),
            head: pack(layout.head())?,
            rope: RopeTable::new(
                config.head_size(),
                config.rope_theta,
                config.max_position_embeddings,
            ),
            blocks: BlockShape {
                layers: config.num_hidden_layers,
                kv_heads: config.kv_heads(),
                head_dim: config.head_size(),
            },
            config,
        })
    }

    /// The model's configuration.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Longest sequence, in tokens.
    pub fn context_length(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// Bytes of keys and values per 16 tokens.
    pub fn kv_block_bytes(&self) -> usize {
        self.blocks.bytes()
    }
}

fn pack(weight: &[f32], span: Span, precision: Precision) -> Result<PackedLinear, PackError> {
    match precision {
        Precision::Q8_0 if span.cols.is_multiple_of(32) => {
            PackedLinear::quantized(weight, span.rows, span.cols)
        }
        _ => PackedLinear::new(weight, span.rows, span.cols),
    }
}
