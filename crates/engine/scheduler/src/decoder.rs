//! The model's weights in the order and layout in which the forward pass reads them.

use pelton_kernels::decode::{BlockShape, MAX_HEAD_DIM, PackError, PackedLinear, RopeTable};
use pelton_model::{BaseModel, DecoderConfig, Precision, Projection, Span};

use crate::SchedulerError;

/// A decoder ready to run; immutable, shared by all workers.
#[derive(Debug)]
pub struct Decoder {
    pub(crate) config: DecoderConfig,
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
    pub(crate) query_key_value: LinearLayer,
    /// Norms of each query's and each key's head, where the family has them.
    pub(crate) query_norm: Option<Vec<f32>>,
    pub(crate) key_norm: Option<Vec<f32>>,
    /// Tokens that a token sees, itself included.
    pub(crate) window: usize,
    pub(crate) output: LinearLayer,
    pub(crate) mlp_norm: Vec<f32>,
    /// Gate and up side by side.
    pub(crate) gate_up: LinearLayer,
    pub(crate) down: LinearLayer,
}

#[derive(Debug)]
pub(crate) struct LinearLayer {
    pub(crate) weight: PackedLinear,
    pub(crate) bias: Option<Vec<f32>>,
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
        let rotary =
            config.rotary().map_err(|error| SchedulerError::Unsupported(error.to_string()))?;
        let pack = |span: Span| pack(model.tensor(span), span, precision);
        let vector = |span: Option<Span>| span.map(|span| model.tensor(span).to_vec());
        let layout = model.layout();
        let layers = layout
            .layers
            .iter()
            .enumerate()
            .map(|(index, layer)| {
                let linear = |weight: Span, bias: Option<Span>| {
                    Ok::<_, PackError>(LinearLayer { weight: pack(weight)?, bias: vector(bias) })
                };
                let one = |projection| linear(layer.projection(projection), layer.bias(projection));
                Ok(DecoderLayer {
                    attention_norm: model.tensor(layer.attention_norm).to_vec(),
                    query_key_value: linear(layer.query_key_value(), layer.query_key_value_bias())?,
                    query_norm: vector(layer.query_norm),
                    key_norm: vector(layer.key_norm),
                    window: config.window(index).unwrap_or(usize::MAX),
                    output: one(Projection::Output)?,
                    mlp_norm: model.tensor(layer.mlp_norm).to_vec(),
                    gate_up: linear(layer.gate_up(), layer.gate_up_bias())?,
                    down: one(Projection::Down)?,
                })
            })
            .collect::<Result<_, PackError>>()?;
        Ok(Self {
            embedding: model.tensor(layout.embedding).to_vec(),
            layers,
            final_norm: model.tensor(layout.final_norm).to_vec(),
            head: pack(layout.head())?,
            rope: RopeTable::new(config.max_position_embeddings, &rotary.frequencies, rotary.scale),
            blocks: BlockShape {
                layers: config.num_hidden_layers,
                kv_heads: config.kv_heads(),
                head_dim: config.head_size(),
            },
            config,
        })
    }

    /// The model's configuration.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Longest sequence, in tokens.
    pub fn context_length(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// Bytes of weights that every step reads.
    pub fn weight_bytes(&self) -> usize {
        let layers = self
            .layers
            .iter()
            .flat_map(|layer| [&layer.query_key_value, &layer.output, &layer.gate_up, &layer.down]);
        layers.map(|linear| linear.weight.bytes()).sum::<usize>() + self.head.bytes()
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
