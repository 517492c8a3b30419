//! Greedy decoding and plain logits, for gates inside training and for tests.
//!
//! Serving has its own loop; this one is small, runs many prompts at once, and gives the same
//! tokens.

use pelton_kernels::{
    CachedSequence, DecodeScratch, Into, Matrix, MatrixMut, RopeTable, cache_write,
    decode_attention, embedding_forward, linear_forward, matmul, rms_norm_forward, rope_forward,
    swiglu_forward,
};
use pelton_model::{Adapter, BaseModel, Projection};

use crate::TrainError;
use crate::data::check_example;
use crate::decoder::{Activations, Decoder, Packed};
use crate::example::Example;
use crate::low_rank::{Group, LowRank, LowRankLayout};
use crate::train::rope_table;

/// Prompts that decode together.
const GROUP: usize = 32;

/// Decodes greedily with a model, and an adapter if given.
#[derive(Debug)]
pub struct GreedyDecoder<'a> {
    model: &'a BaseModel,
    low_rank: Option<(LowRankLayout, Vec<f32>)>,
    rope: RopeTable<f32>,
}

impl<'a> GreedyDecoder<'a> {
    /// A decoder for a model and an adapter.
    ///
    /// # Errors
    /// When the adapter was made for another base.
    pub fn new(model: &'a BaseModel, adapter: Option<&Adapter>) -> Result<Self, TrainError> {
        let low_rank = match adapter {
            Some(adapter) => {
                adapter.check_fits(model.config())?;
                let layout = LowRankLayout::new(adapter.config(), model.config());
                let weights = layout.flatten(adapter);
                Some((layout, weights))
            }
            None => None,
        };
        Ok(Self { model, low_rank, rope: rope_table(model) })
    }

    fn decoder(&self) -> Decoder<'_, f32> {
        Decoder {
            config: self.model.config(),
            layout: self.model.layout(),
            weights: self.model.weights(),
            low_rank: self
                .low_rank
                .as_ref()
                .map(|(layout, weights)| LowRank { layout, weights: weights.as_slice() }),
            rope: &self.rope,
        }
    }

    /// Logits after every token, `[tokens, vocab]`.
    ///
    /// # Errors
    /// When a token is unknown or there are too few or too many.
    pub fn logits(&self, tokens: &[u32]) -> Result<Vec<f32>, TrainError> {
        let config = self.model.config();
        check_example("given", 0, &Example::uniform(tokens.to_vec()), config)?;
        let mut packed = Packed::default();
        packed.push(tokens);
        let mut activations = Activations::default();
        let decoder = self.decoder();
        decoder.forward(&packed, &mut activations);
        let mut logits = vec![0.0; tokens.len() * config.vocab_size];
        let head = decoder.weight(decoder.layout.head());
        linear_forward(&mut logits, &activations.hidden, head, tokens.len(), config.hidden_size);
        Ok(logits)
    }

    /// The most likely continuation of each prompt: up to `max_new` tokens, without the stop token
    /// that ended it. Prompts are divided among `threads`.
    ///
    /// # Errors
    /// When a prompt is empty or has an unknown token.
    pub fn complete(
        &self,
        prompts: &[Vec<u32>],
        max_new: usize,
        stops: &[u32],
        threads: usize,
    ) -> Result<Vec<Vec<u32>>, TrainError> {
        let config = self.model.config();
        for (index, prompt) in prompts.iter().enumerate() {
            let invalid = |reason: String| TrainError::InvalidExample {
                set: "prompt",
                index: index as u64,
                reason,
            };
            if prompt.is_empty() || prompt.len() > config.max_position_embeddings {
                return Err(invalid(format!("{} tokens do not fit the model", prompt.len())));
            }
            if let Some(token) = prompt.iter().find(|token| **token as usize >= config.vocab_size) {
                return Err(invalid(format!("token {token} is not among {}", config.vocab_size)));
            }
        }
        let mut results = vec![Vec::new(); prompts.len()];
        let per_thread = prompts.len().div_ceil(threads.max(1)).max(1);
        let parts = prompts.chunks(per_thread).zip(results.chunks_mut(per_thread));
        std::thread::scope(|scope| {
            let running: Vec<_> = parts
                .map(|(prompts, results)| {
                    scope.spawn(move || {
                        let groups = prompts.chunks(GROUP).zip(results.chunks_mut(GROUP));
                        for (prompts, results) in groups {
                            PromptGroup::new(self, prompts, max_new, stops).run(results);
                        }
                    })
                })
                .collect();
            for thread in running {
                thread.join().map_err(|_| TrainError::LostThread)?;
            }
            Ok::<_, TrainError>(())
        })?;
        Ok(results)
    }
}

/// Logits after every token of a sequence, `[tokens, vocab]`, for comparison with other
/// implementations.
///
/// # Errors
/// When the adapter was made for another base or the tokens do not fit the model.
pub fn logits(
    model: &BaseModel,
    adapter: Option<&Adapter>,
    tokens: &[u32],
) -> Result<Vec<f32>, TrainError> {
    GreedyDecoder::new(model, adapter)?.logits(tokens)
}

/// Prompts that decode in step, each with one block of cache.
struct PromptGroup<'a> {
    decoder: Decoder<'a, f32>,
    prompts: &'a [Vec<u32>],
    stops: &'a [u32],
    /// Tokens in each sequence's cache.
    lengths: Vec<usize>,
    limits: Vec<usize>,
    capacity: usize,
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    scratch: DecodeScratch<f32>,
}

/// New tokens of some sequences.
struct Rows {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    /// Sequence, first row, rows.
    spans: Vec<(usize, usize, usize)>,
}

impl<'a> PromptGroup<'a> {
    fn new(
        greedy: &'a GreedyDecoder<'_>,
        prompts: &'a [Vec<u32>],
        max_new: usize,
        stops: &'a [u32],
    ) -> Self {
        let decoder = greedy.decoder();
        let longest = decoder.config.max_position_embeddings;
        let limits: Vec<_> =
            prompts.iter().map(|prompt| max_new.min(longest - prompt.len())).collect();
        let capacity = prompts
            .iter()
            .zip(&limits)
            .map(|(prompt, limit)| prompt.len() + limit)
            .max()
            .unwrap_or(0);
        let cache = vec![0.0; prompts.len() * capacity * decoder.config.kv_size()];
        let layers = decoder.layout.layers.len();
        Self {
            decoder,
            prompts,
            stops,
            lengths: vec![0; prompts.len()],
            limits,
            capacity,
            keys: vec![cache.clone(); layers],
            values: vec![cache; layers],
            scratch: DecodeScratch::default(),
        }
    }

    fn run(&mut self, results: &mut [Vec<u32>]) {
        let all = self.prompts.iter().cloned().enumerate().collect();
        let mut pending: Vec<(usize, Vec<u32>)> = all;
        pending.retain(|(sequence, _)| self.limits[*sequence] > 0);
        while !pending.is_empty() {
            let next = self.advance(&pending);
            let mut still = Vec::new();
            for ((sequence, _), token) in pending.iter().zip(next) {
                if self.stops.contains(&token) {
                    continue;
                }
                results[*sequence].push(token);
                if results[*sequence].len() < self.limits[*sequence] {
                    still.push((*sequence, vec![token]));
                }
            }
            pending = still;
        }
    }

    /// Feeds new tokens to their sequences and gives the most likely next one of each.
    fn advance(&mut self, pending: &[(usize, Vec<u32>)]) -> Vec<u32> {
        let mut rows = Rows { tokens: Vec::new(), positions: Vec::new(), spans: Vec::new() };
        for (sequence, tokens) in pending {
            let past = self.lengths[*sequence];
            rows.spans.push((*sequence, rows.tokens.len(), tokens.len()));
            rows.tokens.extend_from_slice(tokens);
            rows.positions.extend((past..past + tokens.len()).map(|position| position as u32));
            self.lengths[*sequence] += tokens.len();
        }
        let config = self.decoder.config;
        let (count, width) = (rows.tokens.len(), config.hidden_size);
        let mut stream = vec![0.0; count * width];
        let table = self.decoder.weight(self.decoder.layout.embedding);
        embedding_forward(&mut stream, table, &rows.tokens, width);
        for layer in 0..self.decoder.layout.layers.len() {
            self.layer(layer, &rows, &mut stream);
        }
        let last: Vec<f32> = rows
            .spans
            .iter()
            .flat_map(|(_, first, rows)| {
                &stream[(first + rows - 1) * width..(first + rows) * width]
            })
            .copied()
            .collect();
        let sequences = rows.spans.len();
        let hidden = self.normed(&last, self.decoder.weight(self.decoder.layout.final_norm));
        let head = self.decoder.weight(self.decoder.layout.head());
        let mut logits = vec![0.0; sequences * config.vocab_size];
        linear_forward(&mut logits, &hidden, head, sequences, width);
        logits.chunks_exact(config.vocab_size).map(most_likely).collect()
    }

    fn layer(&mut self, index: usize, rows: &Rows, stream: &mut [f32]) {
        let decoder = self.decoder;
        let (layer, shape) = (&decoder.layout.layers[index], decoder.attention_shape());
        let config = decoder.config;
        let (count, width, inner) =
            (rows.tokens.len(), config.hidden_size, config.intermediate_size);
        let normed = self.normed(stream, decoder.weight(layer.attention_norm));
        let mut qkv = vec![0.0; count * shape.width()];
        linear_forward(&mut qkv, &normed, decoder.weight(layer.query_key_value()), count, width);
        self.low_rank(index, Group::QueryKeyValue, &mut qkv, &normed, count);
        let rotated = shape.heads + shape.kv_heads;
        rope_forward(&mut qkv, shape.width(), rotated, &rows.positions, decoder.rope);
        let attended = self.attend(index, rows, &qkv);
        self.add_linear(stream, &attended, layer.projection(Projection::Output), count);
        self.low_rank(index, Group::Output, stream, &attended, count);

        let normed = self.normed(stream, decoder.weight(layer.mlp_norm));
        let mut gate_up = vec![0.0; count * 2 * inner];
        linear_forward(&mut gate_up, &normed, decoder.weight(layer.gate_up()), count, width);
        self.low_rank(index, Group::GateUp, &mut gate_up, &normed, count);
        let mut activated = vec![0.0; count * inner];
        swiglu_forward(&mut activated, &gate_up, inner);
        self.add_linear(stream, &activated, layer.projection(Projection::Down), count);
        self.low_rank(index, Group::Down, stream, &activated, count);
    }

    fn attend(&mut self, index: usize, rows: &Rows, qkv: &[f32]) -> Vec<f32> {
        let shape = self.decoder.attention_shape();
        let kv = shape.kv_heads * shape.head;
        let (keys, values) = (&mut self.keys[index], &mut self.values[index]);
        let blocks: Vec<u32> = (0..self.prompts.len() as u32).collect();
        for &(sequence, first, count) in &rows.spans {
            let block = &blocks[sequence..=sequence];
            for row in first..first + count {
                let start = row * shape.width() + shape.query_width();
                let (key, value) = qkv[start..start + 2 * kv].split_at(kv);
                let position = rows.positions[row] as usize;
                cache_write(keys, key, block, position, self.capacity, shape.head);
                cache_write(values, value, block, position, self.capacity, shape.head);
            }
        }
        let sequences: Vec<_> = rows
            .spans
            .iter()
            .map(|&(sequence, first_row, rows)| CachedSequence {
                first_row,
                rows,
                length: self.lengths[sequence],
                blocks: &blocks[sequence..=sequence],
            })
            .collect();
        let mut out = vec![0.0; rows.tokens.len() * shape.query_width()];
        decode_attention(
            &mut out,
            qkv,
            shape.width(),
            &sequences,
            keys,
            values,
            self.capacity,
            shape,
            &mut self.scratch,
        );
        out
    }

    fn normed(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        let mut inverse_rms = vec![0.0; x.len() / weight.len()];
        rms_norm_forward(&mut y, &mut inverse_rms, x, weight, self.decoder.config.rms_norm_eps);
        y
    }

    fn add_linear(&self, y: &mut [f32], x: &[f32], span: pelton_model::Span, rows: usize) {
        matmul(
            MatrixMut::new(y, rows, span.rows),
            Into::Add,
            Matrix::new(x, rows, span.cols),
            Matrix::new(self.decoder.weight(span), span.rows, span.cols).transposed(),
            1.0,
        );
    }

    fn low_rank(&self, layer: usize, group: Group, y: &mut [f32], x: &[f32], rows: usize) {
        if let Some(low_rank) = &self.decoder.low_rank
            && let Some(place) = low_rank.layout.group(layer, group)
        {
            let stride = y.len() / rows;
            low_rank.forward(place, y, stride, x, &mut Vec::new(), rows);
        }
    }
}

fn most_likely(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (index, value) in logits.iter().enumerate() {
        if *value > logits[best] {
            best = index;
        }
    }
    best as u32
}
