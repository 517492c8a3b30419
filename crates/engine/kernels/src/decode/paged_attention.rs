//! Keys and values in blocks of 16 tokens, and attention of one query over a sequence of blocks.
//!
//! Keys lie transposed, so that one vector holds the same dimension of 16 tokens and a block's scores
//! come out side by side; values lie token by token. All sums run in the order of the sequence, so that
//! they do not depend on how the sequence reached the cache.

use super::instruction_set::{BASELINE_FUSES, InstructionSet, instruction_set};
use super::lane::{LANE, Lane};
use super::vector::{Plain, Vector};
#[cfg(target_arch = "x86_64")]
use super::vector::{Wide256, Wide512};

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
    /// Lanes of one token's values, rounded up to a width that the loops are compiled for.
    fn value_lanes(self) -> usize {
        match self.head_dim.div_ceil(LANE) {
            7 => 8,
            wide @ 9.. => wide.next_multiple_of(16),
            lanes => lanes,
        }
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

/// Attention of one token's queries over `length` tokens held in `blocks`.
///
/// `q` and `out` are `heads · head_dim` floats; query head `h` reads key-value head
/// `h / (heads / kv_heads)`. Scores are scaled by `1/√head_dim`. `scratch` keeps a head's weights.
pub fn attend(
    shape: BlockShape,
    layer: usize,
    blocks: &[&KvBlock],
    length: usize,
    q: &[f32],
    out: &mut [f32],
    scratch: &mut Vec<Lane>,
) {
    let query = Query { shape, layer, blocks, length, q };
    scratch.resize(length.div_ceil(BLOCK_TOKENS), Lane::ZERO);
    match instruction_set() {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the instruction set was detected")]
        // SAFETY: `instruction_set` found these features on this machine.
        InstructionSet::Avx512 => unsafe { with_avx512(query, out, scratch) },
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the instruction set was detected")]
        // SAFETY: `instruction_set` found these features on this machine.
        InstructionSet::Avx2 => unsafe { with_avx2(query, out, scratch) },
        InstructionSet::Baseline => {
            attend_heads::<Plain<BASELINE_FUSES>>(query, out, scratch);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
fn with_avx512(query: Query<'_>, out: &mut [f32], scratch: &mut [Lane]) {
    attend_heads::<Wide512>(query, out, scratch);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2(query: Query<'_>, out: &mut [f32], scratch: &mut [Lane]) {
    attend_heads::<Wide256>(query, out, scratch);
}

/// What one token asks of one layer.
#[derive(Clone, Copy)]
struct Query<'a> {
    shape: BlockShape,
    layer: usize,
    blocks: &'a [&'a KvBlock],
    length: usize,
    q: &'a [f32],
}

#[inline(always)]
fn attend_heads<V: Vector>(query: Query<'_>, out: &mut [f32], scratch: &mut [Lane]) {
    match query.shape.value_lanes() {
        1 => attend_wide::<V, 1>(query, out, scratch),
        2 => attend_wide::<V, 2>(query, out, scratch),
        3 => attend_wide::<V, 3>(query, out, scratch),
        4 => attend_wide::<V, 4>(query, out, scratch),
        5 => attend_wide::<V, 5>(query, out, scratch),
        6 => attend_wide::<V, 6>(query, out, scratch),
        8 => attend_wide::<V, 8>(query, out, scratch),
        _ => attend_wide::<V, 16>(query, out, scratch),
    }
}

#[inline(always)]
fn attend_wide<V: Vector, const WIDTH: usize>(
    query: Query<'_>,
    out: &mut [f32],
    scratch: &mut [Lane],
) {
    let Query { shape, layer, length, q, .. } = query;
    let dim = shape.head_dim;
    let group = q.len() / dim / shape.kv_heads;
    for (head, (q, out)) in q.chunks_exact(dim).zip(out.chunks_exact_mut(dim)).enumerate() {
        let start = shape.head_start(layer, head / group);
        let lanes = start..start + shape.head_lanes();
        let heads = query.blocks.iter().map(|block| block.lanes[lanes.clone()].split_at(dim));
        let heads = heads.zip(scratch.iter_mut()).zip((0..length).step_by(BLOCK_TOKENS));

        let mut most = V::splat(f32::NEG_INFINITY);
        let scale = V::splat(1.0 / (dim as f32).sqrt());
        for (((keys, _), scores), from) in heads {
            block_scores::<V>(q, keys).multiply(scale).store(scores);
            for absent in scores.0.iter_mut().skip(length - from) {
                *absent = f32::NEG_INFINITY;
            }
            most = most.max(V::load(scores));
        }

        let most = V::splat(most.largest());
        let mut total = V::zero();
        for (scores, from) in scratch.iter_mut().zip((0..length).step_by(BLOCK_TOKENS)) {
            V::load(scores).subtract(most).exp().store(scores);
            for absent in scores.0.iter_mut().skip(length - from) {
                *absent = 0.0;
            }
            total = total.add(V::load(scores));
        }

        let sums = mix_values::<V, WIDTH>(query, start + dim, scratch);
        let inverse = V::splat(1.0 / total.sum());
        for (out, sum) in out.chunks_mut(LANE).zip(sums) {
            let mut lane = Lane::ZERO;
            sum.multiply(inverse).store(&mut lane);
            out.copy_from_slice(&lane.0[..out.len()]);
        }
    }
}

/// The values of all tokens, weighted; `first` is where a block's values begin.
#[inline(always)]
fn mix_values<V: Vector, const WIDTH: usize>(
    query: Query<'_>,
    first: usize,
    weights: &[Lane],
) -> [V; WIDTH] {
    // Two running sums, because one would wait for each multiplication to finish.
    let mut even = [V::zero(); WIDTH];
    let mut odd = [V::zero(); WIDTH];
    for (at, (block, weights)) in query.blocks.iter().zip(weights).enumerate() {
        let present = BLOCK_TOKENS.min(query.length - at * BLOCK_TOKENS);
        let values = &block.lanes[first..first + present * WIDTH];
        let mut pairs = values.chunks_exact(2 * WIDTH);
        for (pair, weights) in (&mut pairs).zip(weights.0.chunks_exact(2)) {
            let (one, two) = pair.split_at(WIDTH);
            let (one_weight, two_weight) = (V::splat(weights[0]), V::splat(weights[1]));
            for width in 0..WIDTH {
                even[width] = V::load(&one[width]).multiply_add(one_weight, even[width]);
                odd[width] = V::load(&two[width]).multiply_add(two_weight, odd[width]);
            }
        }
        let last = pairs.remainder();
        if !last.is_empty() {
            let weight = V::splat(weights.0[present - 1]);
            for width in 0..WIDTH {
                even[width] = V::load(&last[width]).multiply_add(weight, even[width]);
            }
        }
    }
    std::array::from_fn(|width| even[width].add(odd[width]))
}

/// Scores of 16 tokens, not yet scaled.
#[inline(always)]
fn block_scores<V: Vector>(q: &[f32], keys: &[Lane]) -> V {
    let mut sums = [V::zero(); 4];
    let mut quads = keys.chunks_exact(4);
    let mut q_quads = q.chunks_exact(4);
    for (keys, q) in (&mut quads).zip(&mut q_quads) {
        for at in 0..4 {
            sums[at] = V::load(&keys[at]).multiply_add(V::splat(q[at]), sums[at]);
        }
    }
    for (keys, &q) in quads.remainder().iter().zip(q_quads.remainder()) {
        sums[0] = V::load(keys).multiply_add(V::splat(q), sums[0]);
    }
    sums[0].add(sums[1]).add(sums[2].add(sums[3]))
}

#[cfg(test)]
pub(super) fn attend_plainly(
    shape: BlockShape,
    layer: usize,
    blocks: &[&KvBlock],
    length: usize,
    q: &[f32],
    out: &mut [f32],
) {
    let query = Query { shape, layer, blocks, length, q };
    let mut scratch = vec![Lane::ZERO; length.div_ceil(BLOCK_TOKENS)];
    attend_heads::<Plain<false>>(query, out, &mut scratch);
}
