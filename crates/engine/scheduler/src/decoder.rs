//! The model's weights in the order and layout in which the forward pass reads them.

use std::cell::RefCell;

use pelton_kernels::decode::{
    BlockShape, LinearPacker, MAX_HEAD_DIM, PackedLinear, RopeTable, WeightFormat, WeightMemory,
};
use pelton_model::{
    DecoderConfig, Layout, Precision, Projection, Span, WeightSource, quantize_rows,
};

use crate::SchedulerError;

/// A decoder ready to run; immutable, shared by all workers.
#[derive(Debug)]
pub struct Decoder {
    pub(crate) config: DecoderConfig,
    /// Absent where the head serves as embedding, too.
    pub(crate) embedding: Option<PackedLinear>,
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
    /// Reads a model's weights, tensor by tensor, and packs them; what the source has as floats is rounded
    /// to `precision`, what it has in blocks stays as it is. Norms and biases are floats, and so are
    /// matrices whose rows are no whole blocks.
    ///
    /// # Errors
    /// [`SchedulerError::Unsupported`] for heads wider than the attention kernel;
    /// [`SchedulerError::Model`] where the weights cannot be read.
    pub fn new(source: &dyn WeightSource, precision: Precision) -> Result<Self, SchedulerError> {
        let config = source.config().clone();
        if config.head_size() > MAX_HEAD_DIM {
            return Err(SchedulerError::Unsupported(format!(
                "heads of {} floats; up to {MAX_HEAD_DIM} are",
                config.head_size()
            )));
        }
        let rotary =
            config.rotary().map_err(|error| SchedulerError::Unsupported(error.to_string()))?;
        let layout = Layout::new(&config)?;
        let reader = Reader {
            source,
            config: &config,
            layout: &layout,
            precision,
            memory: RefCell::default(),
        };
        let layers = (0..config.num_hidden_layers)
            .map(|layer| reader.layer(layer))
            .collect::<Result<_, SchedulerError>>()?;
        let embedding = match layout.separate_head {
            None => None,
            Some(_) => Some(reader.matrix(EMBEDDING)?),
        };
        let head = if embedding.is_some() { "lm_head.weight" } else { EMBEDDING };
        Ok(Self {
            embedding,
            layers,
            final_norm: reader.vector("model.norm.weight")?,
            head: reader.matrix(head)?,
            rope: RopeTable::new(config.max_position_embeddings, &rotary.frequencies, rotary.scale),
            blocks: BlockShape {
                layers: config.num_hidden_layers,
                kv_heads: config.kv_heads(),
                head_dim: config.head_size(),
            },
            config,
        })
    }

    /// Bytes that [`Self::new`] will take for the weights, without reading them.
    ///
    /// # Errors
    /// Where the configuration is invalid.
    pub fn needed_bytes(
        source: &dyn WeightSource,
        precision: Precision,
    ) -> Result<u64, SchedulerError> {
        let config = source.config();
        let sizes = Layout::new(config)?.tensors().into_iter().map(|(name, span)| {
            let weights = (span.rows * span.cols) as u64;
            match kept(source, config, precision, &name, span) {
                WeightFormat::F32 => weights * 4,
                WeightFormat::F16 => weights * 2,
                WeightFormat::Blocks(format) => {
                    weights / format.weights() as u64 * format.bytes() as u64
                }
            }
        });
        Ok(sizes.sum())
    }

    /// Appends a token's embedding.
    pub(crate) fn embed(&self, token: u32, residual: &mut Vec<f32>) {
        let end = residual.len() + self.config.hidden_size;
        let start = residual.len();
        residual.resize(end, 0.0);
        let embedding = self.embedding.as_ref().unwrap_or(&self.head);
        embedding.row(token as usize, &mut residual[start..]);
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

    /// Whether its layers round activations to 8 bits, because weights are kept in blocks.
    pub(crate) fn rounds(&self) -> bool {
        self.layers.iter().any(|layer| layer.gate_up.weight.rounds())
    }

    /// Bytes of keys and values per 16 tokens.
    pub fn kv_block_bytes(&self) -> usize {
        self.blocks.bytes()
    }
}

const EMBEDDING: &str = "model.embed_tokens.weight";

/// How a tensor is kept: as it is where it is in blocks. Vectors stay floats.
fn kept(
    source: &dyn WeightSource,
    config: &DecoderConfig,
    precision: Precision,
    name: &str,
    span: Span,
) -> WeightFormat {
    match source.block_format(name) {
        _ if span.rows == 1 => WeightFormat::F32,
        Some(format) => WeightFormat::Blocks(format),
        None => precision.format(config, name, span.cols),
    }
}

/// Packs tensors by name.
struct Reader<'a> {
    source: &'a dyn WeightSource,
    config: &'a DecoderConfig,
    layout: &'a Layout,
    precision: Precision,
    memory: RefCell<WeightMemory>,
}

impl Reader<'_> {
    fn layer(&self, layer: usize) -> Result<DecoderLayer, SchedulerError> {
        let of_layer = &self.layout.layers[layer];
        let norm = |name: &str| self.vector(&format!("model.layers.{layer}.{name}.weight"));
        let head_norm = |name: &str, span: Option<Span>| span.map(|_| norm(name)).transpose();
        Ok(DecoderLayer {
            attention_norm: norm("input_layernorm")?,
            query_key_value: self
                .linear(layer, &[Projection::Query, Projection::Key, Projection::Value])?,
            query_norm: head_norm("self_attn.q_norm", of_layer.query_norm)?,
            key_norm: head_norm("self_attn.k_norm", of_layer.key_norm)?,
            window: self.config.window(layer).unwrap_or(usize::MAX),
            output: self.linear(layer, &[Projection::Output])?,
            mlp_norm: norm("post_attention_layernorm")?,
            gate_up: self.linear(layer, &[Projection::Gate, Projection::Up])?,
            down: self.linear(layer, &[Projection::Down])?,
        })
    }

    /// Layers whose outputs lie side by side; all have a bias or none has.
    fn linear(
        &self,
        layer: usize,
        projections: &[Projection],
    ) -> Result<LinearLayer, SchedulerError> {
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for projection in projections {
            let path = projection.module_path(layer);
            weights.push(self.matrix(&format!("{path}.weight"))?);
            if self.layout.layers[layer].bias(*projection).is_some() {
                bias.extend(self.vector(&format!("{path}.bias"))?);
            }
        }
        Ok(LinearLayer {
            weight: PackedLinear::stacked(weights)?,
            bias: (!bias.is_empty()).then_some(bias),
        })
    }

    fn matrix(&self, name: &str) -> Result<PackedLinear, SchedulerError> {
        let span = self.span(name)?;
        let stored = self.source.block_format(name);
        let format = kept(self.source, self.config, self.precision, name, span);
        let mut packer =
            LinearPacker::new(format, span.rows, span.cols, &mut self.memory.borrow_mut())?;
        let (mut floats, mut blocks) = (Vec::new(), Vec::new());
        for rows in span.pieces(1) {
            let weights = rows.len() * span.cols;
            if let WeightFormat::Blocks(format) = format {
                blocks.resize(format.row_bytes(weights), 0);
            }
            if stored.is_some() {
                self.source.read_blocks(name, rows, &mut blocks)?;
                packer.push_blocks(&blocks)?;
                continue;
            }
            floats.resize(weights, 0.0);
            self.source.read_rows(name, rows, &mut floats)?;
            match format {
                WeightFormat::F32 | WeightFormat::F16 => packer.push(&floats)?,
                WeightFormat::Blocks(format) => {
                    quantize_rows(format, &floats, span.cols, &mut blocks);
                    packer.push_blocks(&blocks)?;
                }
            }
        }
        Ok(packer.finish()?)
    }

    fn vector(&self, name: &str) -> Result<Vec<f32>, SchedulerError> {
        let mut values = vec![0.0; self.span(name)?.cols];
        self.source.read_rows(name, 0..1, &mut values)?;
        Ok(values)
    }

    fn span(&self, name: &str) -> Result<Span, SchedulerError> {
        let missing = || SchedulerError::Unsupported(format!("no tensor {name}"));
        self.layout.span(name).ok_or_else(missing)
    }
}
