//! Where each tensor lies in a model's one flat buffer.
//!
//! Query, key and value lie together, and so do gate and up: each group is then one matrix of more
//! rows, and one matrix product instead of three or two.

use std::ops::Range;

use crate::{DecoderConfig, ModelError, Projection};

/// A row-major matrix (or a vector, with one row) inside the flat buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Index of the first element.
    pub start: usize,
    /// Rows: outputs of a linear layer.
    pub rows: usize,
    /// Columns: inputs of a linear layer.
    pub cols: usize,
}

/// Elements that are read at a time.
const PIECE: usize = 1 << 20;

impl Span {
    /// The rows in pieces that are read one after the other, a multiple of `unit` rows in each but the
    /// last.
    pub fn pieces(self, unit: usize) -> impl Iterator<Item = Range<usize>> {
        let step = (PIECE / self.cols.max(1) / unit).max(1) * unit;
        (0..self.rows).step_by(step).map(move |start| start..self.rows.min(start + step))
    }

    /// Indices of the elements.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start..self.start + self.len()
    }

    /// Number of elements.
    #[must_use]
    pub fn len(self) -> usize {
        self.rows * self.cols
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// This matrix and the ones right after it, up to and with `last`, as one.
    #[must_use]
    pub fn through(self, last: Self) -> Self {
        let rows = (last.start + last.len() - self.start) / self.cols;
        Self { rows, ..self }
    }
}

/// Where one layer's tensors lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerLayout {
    /// `input_layernorm`.
    pub attention_norm: Span,
    /// `post_attention_layernorm`.
    pub mlp_norm: Span,
    projections: [Span; 7],
    biases: [Option<Span>; 7],
    /// `q_norm`, as wide as a head.
    pub query_norm: Option<Span>,
    /// `k_norm`, as wide as a head.
    pub key_norm: Option<Span>,
}

impl LayerLayout {
    /// One linear layer's weight, `[out, in]`.
    #[must_use]
    pub fn projection(&self, projection: Projection) -> Span {
        self.projections[projection as usize]
    }

    /// One linear layer's bias, `[out]`.
    #[must_use]
    pub fn bias(&self, projection: Projection) -> Option<Span> {
        self.biases[projection as usize]
    }

    /// Query, key and value biases as one vector; all three have one or none has.
    #[must_use]
    pub fn query_key_value_bias(&self) -> Option<Span> {
        self.joined(Projection::Query, Projection::Value)
    }

    /// Gate and up biases as one vector.
    #[must_use]
    pub fn gate_up_bias(&self) -> Option<Span> {
        self.joined(Projection::Gate, Projection::Up)
    }

    fn joined(&self, first: Projection, last: Projection) -> Option<Span> {
        let (first, last) = (self.bias(first)?, self.bias(last)?);
        Some(Span { cols: last.start + last.len() - first.start, ..first })
    }

    /// Query, key and value weights as one matrix, `[q + 2 kv, hidden]`.
    #[must_use]
    pub fn query_key_value(&self) -> Span {
        self.projection(Projection::Query).through(self.projection(Projection::Value))
    }

    /// Gate and up weights as one matrix, `[2 inner, hidden]`.
    #[must_use]
    pub fn gate_up(&self) -> Span {
        self.projection(Projection::Gate).through(self.projection(Projection::Up))
    }
}

/// Where all tensors lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `[vocab, hidden]`.
    pub embedding: Span,
    /// Layers, first to last.
    pub layers: Vec<LayerLayout>,
    /// The norm before the head.
    pub final_norm: Span,
    /// `[vocab, hidden]`; absent when the embedding serves as head.
    pub separate_head: Option<Span>,
    /// Elements in all.
    pub len: usize,
}

impl Layout {
    /// The layout for a configuration.
    ///
    /// # Errors
    /// When the configuration is invalid or its size overflows.
    pub fn new(config: &DecoderConfig) -> Result<Self, ModelError> {
        config.validate()?;
        let mut next = 0_usize;
        let mut place = |rows: usize, cols: usize| {
            let span = Span { start: next, rows, cols };
            next = rows
                .checked_mul(cols)
                .and_then(|len| next.checked_add(len))
                .ok_or_else(|| ModelError::InvalidConfig("the model's size overflows".into()))?;
            Ok::<_, ModelError>(span)
        };
        let embedding = place(config.vocab_size, config.hidden_size)?;
        let mut layers = Vec::new();
        for _ in 0..config.num_hidden_layers {
            let attention_norm = place(1, config.hidden_size)?;
            let mut projections = [attention_norm; 7];
            for projection in Projection::ALL {
                let (rows, cols) = projection.shape(config);
                projections[projection as usize] = place(rows, cols)?;
            }
            let mlp_norm = place(1, config.hidden_size)?;
            let mut biases = [None; 7];
            for projection in Projection::ALL {
                if config.has_bias(projection) {
                    let (outputs, _) = projection.shape(config);
                    biases[projection as usize] = Some(place(1, outputs)?);
                }
            }
            let (mut query_norm, mut key_norm) = (None, None);
            if config.norms_queries_and_keys() {
                query_norm = Some(place(1, config.head_size())?);
                key_norm = Some(place(1, config.head_size())?);
            }
            layers.push(LayerLayout {
                attention_norm,
                mlp_norm,
                projections,
                biases,
                query_norm,
                key_norm,
            });
        }
        let final_norm = place(1, config.hidden_size)?;
        let separate_head = if config.tie_word_embeddings {
            None
        } else {
            Some(place(config.vocab_size, config.hidden_size)?)
        };
        Ok(Self { embedding, layers, final_norm, separate_head, len: next })
    }

    /// The output head, `[vocab, hidden]`.
    #[must_use]
    pub fn head(&self) -> Span {
        self.separate_head.unwrap_or(self.embedding)
    }

    /// Where the tensor with this Hugging Face name lies.
    #[must_use]
    pub fn span(&self, name: &str) -> Option<Span> {
        match name {
            "model.embed_tokens.weight" => return Some(self.embedding),
            "model.norm.weight" => return Some(self.final_norm),
            "lm_head.weight" => return self.separate_head,
            _ => {}
        }
        let (index, of_layer) = name.strip_prefix("model.layers.")?.split_once('.')?;
        let layer = self.layers.get(index.parse::<usize>().ok()?)?;
        match of_layer {
            "input_layernorm.weight" => return Some(layer.attention_norm),
            "post_attention_layernorm.weight" => return Some(layer.mlp_norm),
            "self_attn.q_norm.weight" => return layer.query_norm,
            "self_attn.k_norm.weight" => return layer.key_norm,
            _ => {}
        }
        let (module, kind) = name.rsplit_once('.')?;
        let (_, projection) = Projection::parse_module_path(module)?;
        match kind {
            "weight" => Some(layer.projection(projection)),
            "bias" => layer.bias(projection),
            _ => None,
        }
    }

    /// Every tensor with its Hugging Face name; norms and biases have one dimension there, the rest two.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Span)> {
        let mut tensors = vec![("model.embed_tokens.weight".to_owned(), self.embedding)];
        for (index, layer) in self.layers.iter().enumerate() {
            let prefix = format!("model.layers.{index}");
            tensors.push((format!("{prefix}.input_layernorm.weight"), layer.attention_norm));
            for projection in Projection::ALL {
                let name = format!("{}.weight", projection.module_path(index));
                tensors.push((name, layer.projection(projection)));
                if let Some(bias) = layer.bias(projection) {
                    tensors.push((format!("{}.bias", projection.module_path(index)), bias));
                }
            }
            for (name, span) in [("q_norm", layer.query_norm), ("k_norm", layer.key_norm)] {
                tensors
                    .extend(span.map(|span| (format!("{prefix}.self_attn.{name}.weight"), span)));
            }
            tensors.push((format!("{prefix}.post_attention_layernorm.weight"), layer.mlp_norm));
        }
        tensors.push(("model.norm.weight".to_owned(), self.final_norm));
        if let Some(head) = self.separate_head {
            tensors.push(("lm_head.weight".to_owned(), head));
        }
        tensors
    }
}
