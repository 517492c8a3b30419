//! The encoder: embeddings of token, position and segment, then layers of attention and feed-forward
//! with the norm behind each residual sum (Devlin et al. 2018, Liu et al. 2019).

use std::path::Path;

use pelton_kernels::decode::{gelu, layer_norm, softmax_rows};
use pelton_kernels::{Into, Matrix, MatrixMut, matmul};
use pelton_model::Precision;
use pelton_tokens::EncodedSequence;

use crate::EncoderError;
use crate::config::EncoderConfig;
use crate::weights::{Linear, Norm, Tensors};

/// Rows of scores that exist at a time: all of them grow with the square of the length.
const SCORE_ROWS: usize = 64;

/// An encoder's weights; immutable, shared by all threads.
#[derive(Debug)]
pub(crate) struct Encoder {
    pub(crate) config: EncoderConfig,
    words: Vec<f32>,
    positions: Vec<f32>,
    segments: Vec<f32>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    /// Queries, keys and values side by side.
    query_key_value: Linear,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    output_norm: Norm,
}

impl Encoder {
    pub(crate) fn load(
        config: EncoderConfig,
        folder: &Path,
        precision: Precision,
    ) -> Result<Self, EncoderError> {
        let tensors = Tensors::open(folder, config.prefix(), precision)?;
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let table = |name: &str, rows| {
            tensors.read(&format!("embeddings.{name}_embeddings.weight"), &[rows, hidden])
        };
        let layers = (0..config.num_hidden_layers)
            .map(|at| {
                let name = |part: &str| format!("encoder.layer.{at}.{part}");
                let query_key_value =
                    ["query", "key", "value"].map(|kind| name(&format!("attention.self.{kind}")));
                let names = query_key_value.each_ref().map(String::as_str);
                Ok(Layer {
                    query_key_value: tensors.stacked(&names, hidden, hidden)?,
                    output: tensors.linear(&name("attention.output.dense"), hidden, hidden)?,
                    attention_norm: tensors.norm(&name("attention.output.LayerNorm"), hidden)?,
                    up: tensors.linear(&name("intermediate.dense"), inner, hidden)?,
                    down: tensors.linear(&name("output.dense"), hidden, inner)?,
                    output_norm: tensors.norm(&name("output.LayerNorm"), hidden)?,
                })
            })
            .collect::<Result<_, EncoderError>>()?;
        Ok(Self {
            words: table("word", config.vocab_size)?,
            positions: table("position", config.max_position_embeddings)?,
            segments: table("token_type", config.type_vocab_size)?,
            embedding_norm: tensors.norm("embeddings.LayerNorm", hidden)?,
            layers,
            config,
        })
    }

    /// Refuses a sequence that cannot be read.
    pub(crate) fn check(&self, sequence: &EncodedSequence) -> Result<(), EncoderError> {
        let vocab_size = self.config.vocab_size;
        let unknown = sequence.tokens.iter().find(|&&token| token as usize >= vocab_size);
        if let Some(&token) = unknown {
            return Err(EncoderError::UnknownToken { token, vocab_size });
        }
        let (found, most) = (sequence.tokens.len(), self.config.max_tokens());
        if found > most { Err(EncoderError::TooLong { found, most }) } else { Ok(()) }
    }

    /// Hidden states of checked sequences, `[tokens of all, hidden]`.
    pub(crate) fn hidden_states(&self, batch: &[&EncodedSequence]) -> Vec<f32> {
        let epsilon = self.config.layer_norm_eps as f32;
        let mut hidden = self.embed(batch);
        let norm = |x: &mut [f32], norm: &Norm| layer_norm(x, &norm.weight, &norm.bias, epsilon);
        norm(&mut hidden, &self.embedding_norm);
        let (mut wide, mut mixed, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        let mut added = Vec::new();
        for layer in &self.layers {
            layer.query_key_value.run(&hidden, &mut wide);
            self.attend(batch, &wide, &mut mixed, &mut scores);
            layer.output.run(&mixed, &mut added);
            add(&mut hidden, &added);
            norm(&mut hidden, &layer.attention_norm);
            layer.up.run(&hidden, &mut wide);
            gelu(&mut wide);
            layer.down.run(&wide, &mut added);
            add(&mut hidden, &added);
            norm(&mut hidden, &layer.output_norm);
        }
        hidden
    }

    fn embed(&self, batch: &[&EncodedSequence]) -> Vec<f32> {
        let width = self.config.hidden_size;
        let row = |table: &[f32], at: usize| at * width..((at + 1) * width).min(table.len());
        let mut hidden = Vec::new();
        for sequence in batch {
            let tokens = sequence.tokens.iter().zip(&sequence.segments);
            for (position, (&token, &segment)) in (self.config.first_position()..).zip(tokens) {
                // Families with one segment still name two in their tokenizers.
                let segment = (segment as usize).min(self.config.type_vocab_size - 1);
                let words = &self.words[row(&self.words, token as usize)];
                let positions = &self.positions[row(&self.positions, position)];
                let segments = &self.segments[row(&self.segments, segment)];
                let sum = words.iter().zip(positions).zip(segments);
                hidden.extend(sum.map(|((word, position), segment)| word + segment + position));
            }
        }
        hidden
    }

    /// Attention of every token to all of its sequence; `wide` holds queries, keys and values.
    fn attend(
        &self,
        batch: &[&EncodedSequence],
        wide: &[f32],
        mixed: &mut Vec<f32>,
        scores: &mut Vec<f32>,
    ) {
        let width = self.config.hidden_size;
        let heads = self.config.num_attention_heads;
        let head_size = width / heads;
        let scale = 1.0 / (head_size as f32).sqrt();
        mixed.resize(wide.len() / 3, 0.0);
        let mut start = 0;
        for sequence in batch {
            let length = sequence.tokens.len();
            for head in 0..heads {
                let of = |part: usize, row: usize, rows: usize| {
                    let at = (start + row) * 3 * width + part * width + head * head_size;
                    Matrix::strided(&wide[at..], rows, head_size, 3 * width)
                };
                for row in (0..length).step_by(SCORE_ROWS) {
                    let rows = SCORE_ROWS.min(length - row);
                    scores.resize(rows * length, 0.0);
                    let products = MatrixMut::new(scores, rows, length);
                    let keys = of(1, 0, length).transposed();
                    matmul(products, Into::Replace, of(0, row, rows), keys, scale);
                    softmax_rows(scores, length);
                    let at = (start + row) * width + head * head_size;
                    let out = MatrixMut::strided(&mut mixed[at..], rows, head_size, width);
                    let weights = Matrix::new(scores, rows, length);
                    matmul(out, Into::Replace, weights, of(2, 0, length), 1.0);
                }
            }
            start += length;
        }
    }
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
