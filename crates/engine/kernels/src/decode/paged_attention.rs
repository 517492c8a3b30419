//! Keys and values in blocks of 16 tokens, and attention of one query over a sequence of blocks.
//!
//! Keys lie transposed, so that one vector holds the same dimension of 16 tokens and a block's scores
//! come out side by side; values lie token by token. Softmax runs online, block after block, in the
//! order of the sequence: the sums do not depend on how the sequence reached the cache.

use super::activations::exp;
use super::instruction_set::{dispatched, multiply_add};
use super::lane::{LANE, Lane};

/// Tokens per block.
pub const BLOCK_TOKENS: usize = LANE;
/// Widest head that [`attend`] can run.
pub const MAX_HEAD_DIM: usize = 256;

/// What one block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockShape {
    /// Decoder layers.
    pub layers: usize,
    /// Key-value heads per layer.
    pub kv_heads: usize,
    /// Floats per head.
    pub head_dim: usize,
}

impl BlockShape {
    fn value_lanes(self) -> usize {
        self.head_dim.div_ceil(LANE)
    }

    /// Lanes of one head: keys (`head_dim`), then values.
    fn head_lanes(self) -> usize {
        self.head_dim + BLOCK_TOKENS * self.value_lanes()
    }

    fn lanes(self) -> usize {
        self.layers * self.kv_heads * self.head_lanes()
    }

    /// Bytes of one block.
    pub fn bytes(self) -> usize {
        self.lanes() * size_of::<Lane>()
    }

    fn head_start(self, layer: usize, head: usize) -> usize {
        (layer * self.kv_heads + head) * self.head_lanes()
    }
}

/// Keys and values of 16 consecutive tokens in all layers.
#[derive(Debug, Clone)]
pub struct KvBlock {
    lanes: Box<[Lane]>,
}

impl KvBlock {
    /// An empty block.
    pub fn new(shape: BlockShape) -> Self {
        Self {
            lanes: vec![Lane::ZERO; shape.lanes()].into_boxed_slice(),
        }
    }

    /// Writes keys and values of the token in `slot` (0..16) of this block: `kv_heads · head_dim`
    /// floats each.
    pub fn write(&mut self, shape: BlockShape, layer: usize, slot: usize, k: &[f32], v: &[f32]) {
        let per_token = shape.value_lanes();
        for head in 0..shape.kv_heads {
            let range = head * shape.head_dim..(head + 1) * shape.head_dim;
            let start = shape.head_start(layer, head);
            let (keys, values) =
                self.lanes[start..start + shape.head_lanes()].split_at_mut(shape.head_dim);
            for (lane, &value) in keys.iter_mut().zip(&k[range.clone()]) {
                lane.0[slot] = value;
            }
            let values = &mut values[slot * per_token..(slot + 1) * per_token];
            for (lane, part) in values.iter_mut().zip(v[range].chunks(LANE)) {
                lane.0[..part.len()].copy_from_slice(part);
            }
        }
    }
}

dispatched! {
    /// Attention of one token's queries over `length` tokens held in `blocks`.
    ///
    /// `q` and `out` are `heads · head_dim` floats; query head `h` reads key-value head
    /// `h / (heads / kv_heads)`. Scores are scaled by `1/√head_dim`.
    pub fn attend(
        shape: BlockShape,
        layer: usize,
        blocks: &[&KvBlock],
        length: usize,
        q: &[f32],
        out: &mut [f32],
    ) = attend_heads;
}

#[inline(always)]
fn attend_heads<const FUSED: bool>(
    shape: BlockShape,
    layer: usize,
    blocks: &[&KvBlock],
    length: usize,
    q: &[f32],
    out: &mut [f32],
) {
    match shape.value_lanes() {
        1 => attend_wide::<FUSED, 1>(shape, layer, blocks, length, q, out),
        2 => attend_wide::<FUSED, 2>(shape, layer, blocks, length, q, out),
        3 => attend_wide::<FUSED, 3>(shape, layer, blocks, length, q, out),
        4 => attend_wide::<FUSED, 4>(shape, layer, blocks, length, q, out),
        5 => attend_wide::<FUSED, 5>(shape, layer, blocks, length, q, out),
        6 => attend_wide::<FUSED, 6>(shape, layer, blocks, length, q, out),
        7 | 8 => attend_wide::<FUSED, 8>(shape, layer, blocks, length, q, out),
        _ => attend_wide::<FUSED, 16>(shape, layer, blocks, length, q, out),
    }
}

#[inline(always)]
fn attend_wide<const FUSED: bool, const WIDTH: usize>(
    shape: BlockShape,
    layer: usize,
    blocks: &[&KvBlock],
    length: usize,
    q: &[f32],
    out: &mut [f32],
) {
    let dim = shape.head_dim;
    let per_token = shape.value_lanes();
    let heads = q.len() / dim;
    let group = heads / shape.kv_heads;
    let scale = 1.0 / (dim as f32).sqrt();
    for (head, (q, out)) in q.chunks_exact(dim).zip(out.chunks_exact_mut(dim)).enumerate() {
        let start = shape.head_start(layer, head / group);
        let mut most = f32::NEG_INFINITY;
        let mut weight_sum = [0.0_f32; LANE];
        let mut sums = [Lane::ZERO; WIDTH];
        for (block, from) in blocks.iter().zip((0..length).step_by(BLOCK_TOKENS)) {
            let (keys, values) =
                block.lanes[start..start + shape.head_lanes()].split_at(dim);
            let present = BLOCK_TOKENS.min(length - from);
            let scores = block_scores::<FUSED>(q, keys, scale, present);
            let block_most = scores.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            let new_most = most.max(block_most);
            let shrink = if most == f32::NEG_INFINITY {
                0.0
            } else {
                exp::<FUSED>(most - new_most)
            };
            most = new_most;
            let mut weights = [0.0_f32; LANE];
            for (at, (weight, &score)) in weights.iter_mut().zip(&scores).enumerate() {
                let value = exp::<FUSED>(score - most);
                *weight = if at < present { value } else { 0.0 };
            }
            for (sum, &weight) in weight_sum.iter_mut().zip(&weights) {
                *sum = multiply_add::<FUSED>(*sum, shrink, weight);
            }
            for sum in &mut sums {
                for value in &mut sum.0 {
                    *value *= shrink;
                }
            }
            for (value, &weight) in values.chunks_exact(per_token).zip(&weights).take(present) {
                for (sum, value) in sums.iter_mut().zip(value) {
                    for (sum, &value) in sum.0.iter_mut().zip(&value.0) {
                        *sum = multiply_add::<FUSED>(weight, value, *sum);
                    }
                }
            }
        }
        let inverse = 1.0 / weight_sum.iter().sum::<f32>();
        for (out, sum) in out.chunks_mut(LANE).zip(&sums) {
            for (out, &sum) in out.iter_mut().zip(&sum.0) {
                *out = sum * inverse;
            }
        }
    }
}

/// Scaled scores of 16 tokens; those beyond `present` are minus infinity.
#[inline(always)]
fn block_scores<const FUSED: bool>(
    q: &[f32],
    keys: &[Lane],
    scale: f32,
    present: usize,
) -> [f32; LANE] {
    // Two running sums, because one would wait for each multiplication to finish.
    let mut even = [0.0_f32; LANE];
    let mut odd = [0.0_f32; LANE];
    let mut pairs = keys.chunks_exact(2);
    for (pair, q) in (&mut pairs).zip(q.chunks_exact(2)) {
        for at in 0..LANE {
            even[at] = multiply_add::<FUSED>(q[0], pair[0].0[at], even[at]);
            odd[at] = multiply_add::<FUSED>(q[1], pair[1].0[at], odd[at]);
        }
    }
    if let (Some(last), Some(&q)) = (pairs.remainder().first(), q.last()) {
        for at in 0..LANE {
            even[at] = multiply_add::<FUSED>(q, last.0[at], even[at]);
        }
    }
    std::array::from_fn(|at| {
        if at < present {
            (even[at] + odd[at]) * scale
        } else {
            f32::NEG_INFINITY
        }
    })
}
