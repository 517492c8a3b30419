//! What a run will take, before it starts: memory by part, and arithmetic.

use std::time::Instant;

use pelton_kernels::{Into, Matrix, MatrixMut, matmul};
use pelton_model::{DecoderConfig, Layout};

use crate::config::{Method, Recompute, RunLength, TrainConfig};
use crate::data::{Item, Source, TrainData};
use crate::decoder::Keep;
use crate::train::low_rank_layout;
use crate::{Example, TrainError};

/// Activations of one thread that nobody needs to spare, in bytes.
const SMALL: u64 = 64 << 20;
/// Rows whose logits exist at the same time, in the head's kernel.
const HEAD_ROWS: u64 = 128;
/// Rows of an 8-bit matrix that exist as floats at the same time.
const WEIGHT_ROWS: u64 = 256;
/// Share of the speed of a bare matrix product that training reaches, about.
const EFFICIENCY: f64 = 0.6;

/// What a run will take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The base's weights, in bytes.
    pub base_bytes: u64,
    /// What is trained with its gradients and moments, and what a checkpoint needs to be written, in bytes.
    pub state_bytes: u64,
    /// Activations and work memory of all threads, in bytes.
    pub activation_bytes: u64,
    /// Logits of all threads, in bytes.
    pub logit_bytes: u64,
    /// What `recompute` comes to.
    pub recompute: Recompute,
    /// Tokens of the whole run, about.
    pub tokens: u64,
    /// Floating-point operations of the whole run, about.
    pub operations: f64,
    pub(crate) keep: Keep,
}

impl Estimate {
    /// Most memory that the run has at once, in bytes. Code, the data itself and the allocator's slack come
    /// on top.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.base_bytes + self.state_bytes + self.activation_bytes + self.logit_bytes
    }

    /// Seconds at a measured speed of matrix products, in operations per second.
    #[must_use]
    pub fn seconds(&self, operations_per_second: f64) -> f64 {
        self.operations / (operations_per_second * EFFICIENCY).max(1.0)
    }
}

/// Estimates a run on a base of this shape, whose matrices are kept in 8 bits or in floats.
///
/// # Errors
/// When the settings or the shape make no sense.
pub fn estimate(
    model: &DecoderConfig,
    quantized: bool,
    data: &TrainData,
    config: &TrainConfig,
) -> Result<Estimate, TrainError> {
    config.validate()?;
    let layout = Layout::new(model)?;
    let pairs = low_rank_layout(model, config)?.map(|layout| layout.len as u64);
    let work = Work::of(data, config);
    let shape = Shape::new(model, config, quantized, work.rows);
    let base_bytes = if quantized { shape.quantized_bytes(&layout) } else { 4 * layout.len as u64 };
    let threads = config.threads as u64;
    let with_base = work.pairs || config.kl_to_base > 0.0 || !data.teacher.is_empty();
    let logit_bytes = threads * HEAD_ROWS * shape.vocab * 4 * (1 + u64::from(with_base));
    let state_bytes = state_bytes(pairs.unwrap_or(layout.len as u64), config);
    let fixed = base_bytes + state_bytes + logit_bytes;
    let fits = |keep| {
        let bytes = threads * shape.activation_bytes(keep);
        config.memory_limit.is_none_or(|limit| fixed + bytes <= limit)
    };
    let (recompute, keep) = match config.recompute {
        Recompute::None => (Recompute::None, Keep::Everything),
        Recompute::Selective => (Recompute::Selective, Keep::Products),
        Recompute::Full => (Recompute::Full, Keep::Inputs),
        Recompute::Auto => {
            if shape.activation_bytes(Keep::Everything) <= SMALL && fits(Keep::Everything) {
                (Recompute::None, Keep::Everything)
            } else if fits(Keep::Products) {
                (Recompute::Selective, Keep::Products)
            } else {
                (Recompute::Full, Keep::Inputs)
            }
        }
    };
    Ok(Estimate {
        base_bytes,
        state_bytes,
        activation_bytes: threads * shape.activation_bytes(keep),
        logit_bytes,
        recompute,
        tokens: work.tokens as u64,
        operations: work.operations(&layout, pairs, keep, config),
        keep,
    })
}

/// Weights, gradients of each thread, two moments, the best weights; and the copies that a checkpoint's
/// tensors become on their way to the disk.
fn state_bytes(trained: u64, config: &TrainConfig) -> u64 {
    let best = u64::from(config.patience.is_some());
    let kept = 3 + best;
    let written = if config.checkpoint_interval > 0 { 2 * kept } else { 0 };
    4 * trained * (kept + config.threads as u64 + written)
}

/// Sizes that activations are made of, in elements of a row.
struct Shape {
    rows: u64,
    layers: u64,
    width: u64,
    qkv: u64,
    query: u64,
    /// Queries and keys before their norms.
    normed_heads: u64,
    heads: u64,
    inner: u64,
    vocab: u64,
    rank: u64,
    quantized: bool,
}

impl Shape {
    fn new(model: &DecoderConfig, config: &TrainConfig, quantized: bool, rows: u64) -> Self {
        let (query, kv) = (model.query_size() as u64, model.kv_size() as u64);
        Self {
            rows,
            layers: model.num_hidden_layers as u64,
            width: model.hidden_size as u64,
            qkv: query + 2 * kv,
            query,
            normed_heads: if model.norms_queries_and_keys() { query + kv } else { 0 },
            heads: model.num_attention_heads as u64,
            inner: model.intermediate_size as u64,
            vocab: model.vocab_size as u64,
            rank: match config.method {
                Method::Lora { rank, .. } => rank as u64,
                Method::Full => 0,
            },
            quantized,
        }
    }

    /// A byte and a sixteenth for each weight of a matrix.
    fn quantized_bytes(&self, layout: &Layout) -> u64 {
        let of = |rows: usize, cols: usize| {
            let len = (rows * cols) as u64;
            if rows == 1 { 4 * len } else { len + len / 16 }
        };
        layout.tensors().iter().map(|(_, span)| of(span.rows, span.cols)).sum()
    }

    /// Of one thread.
    fn activation_bytes(&self, keep: Keep) -> u64 {
        let Self { rows, layers, width, qkv, query, normed_heads, heads, inner, rank, .. } = *self;
        let input = width;
        let cheap = 2 * width + inner;
        let products = qkv + query + width + 2 * inner + normed_heads + 2 * heads + 2 + 7 * rank;
        let layers = match keep {
            Keep::Everything => layers * (input + cheap + products),
            Keep::Products => layers * (input + products) + cheap,
            Keep::Inputs => layers * input + cheap + products,
        };
        let work = 4 * width + query.max(width) + qkv + 3 * inner + 3 * rank + 2 * width;
        let weights = if self.quantized { WEIGHT_ROWS * inner.max(width) } else { 0 };
        4 * (rows * (layers + work) + weights)
    }
}

/// How much is to be done.
struct Work {
    /// Rows of the largest micro-batch.
    rows: u64,
    tokens: f64,
    /// Share of the tokens that have a loss.
    with_loss: f64,
    pairs: bool,
}

impl Work {
    fn of(data: &TrainData, config: &TrainConfig) -> Self {
        let items = || (0..data.examples_or_pairs()).filter_map(|index| data.item(index));
        let rehearsal = data.rehearsal.iter().map(Item::plain);
        let validation = data.validation.iter().map(Item::plain);
        let longest = items().chain(rehearsal).chain(validation).map(Item::tokens).max();
        let rows = config.micro_tokens.min(config.batch_tokens).max(longest.unwrap_or(0));
        let tokens: f64 = items().map(|item| item.tokens() as f64).sum();
        let counted = |example: &Example| {
            example.loss_weights.iter().filter(|weight| **weight > 0.0).count() as f64
        };
        let with_loss: f64 =
            items().map(|item| counted(item.example) + item.rejected.map_or(0.0, counted)).sum();
        let epoch = tokens * (1.0 - config.validation_fraction)
            / (1.0 - config.rehearsal_fraction).max(1e-3);
        Self {
            rows: rows as u64,
            tokens: match config.length {
                RunLength::Epochs(epochs) => epochs as f64 * epoch,
                RunLength::Steps(steps) => steps as f64 * config.batch_tokens as f64,
                RunLength::Tokens(tokens) => tokens as f64,
            },
            with_loss: if tokens > 0.0 { with_loss / tokens } else { 1.0 },
            pairs: matches!(data.source, Source::Preferences(_)),
        }
    }

    /// Two for each weight and token in a forward pass, as much again for the gradient of the input and for
    /// that of the weights. Attention's own products are left out: they are few in short sequences.
    fn operations(
        &self,
        layout: &Layout,
        pairs: Option<u64>,
        keep: Keep,
        config: &TrainConfig,
    ) -> f64 {
        let head = layout.head().len() as f64;
        let embeddings = layout.embedding.len() + layout.separate_head.map_or(0, |head| head.len());
        let inside = (layout.len - embeddings) as f64;
        let weights = if pairs.is_none() { 2.0 } else { 0.0 };
        let again = if keep == Keep::Inputs { 2.0 } else { 0.0 };
        let reference = match (self.pairs, config.kl_to_base > 0.0) {
            (true, _) => 2.0,
            (false, true) => 2.0 * config.rehearsal_fraction,
            (false, false) => 0.0,
        };
        let of_head = 4.0 + weights + 2.0 * reference;
        let per_token = inside * (4.0 + weights + again + reference)
            + pairs.unwrap_or(0) as f64 * (6.0 + again)
            + head * of_head * self.with_loss;
        self.tokens * per_token
    }
}

/// Speed of matrix products on all threads at once, in operations per second: a tenth of a second's
/// measurement.
#[must_use]
pub fn operations_per_second(threads: usize) -> f64 {
    const SIZE: usize = 512;
    let one = || {
        let (a, b) = (vec![0.5_f32; SIZE * SIZE], vec![0.25_f32; SIZE * SIZE]);
        let mut product = vec![0.0_f32; SIZE * SIZE];
        let mut run = || {
            matmul(
                MatrixMut::new(&mut product, SIZE, SIZE),
                Into::Replace,
                Matrix::new(&a, SIZE, SIZE),
                Matrix::new(&b, SIZE, SIZE),
                1.0,
            );
        };
        run();
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed().as_millis() < 100 {
            run();
            count += 1;
        }
        f64::from(count) * 2.0 * (SIZE * SIZE * SIZE) as f64 / start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(one)).collect();
        one() + others.into_iter().filter_map(|other| other.join().ok()).sum::<f64>()
    })
}
