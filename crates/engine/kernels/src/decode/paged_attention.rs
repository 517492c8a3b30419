//! Keys and values in blocks of 16 tokens, and attention of one query over a sequence of blocks.
//!
//! Keys lie transposed, so that one vector holds the same dimension of 16 tokens and a block's scores
//! come out side by side; values lie token by token. All sums run in the order of the sequence, so that
//! they do not depend on how the sequence reached the cache.

use super::instruction_set::{BASELINE_FUSES, InstructionSet, instruction_set};
use super::lane::{LANE, Lane};
use super::linear_rows::Strided;
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
        Self { lanes: vec![Lane::ZERO; shape.lanes()].into_boxed_slice() }
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

/// Queries of consecutive tokens of one sequence.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// Rows of `heads · head_dim` floats each; a row may be followed by other floats.
    pub rows: Strided<'a>,
    /// Number of rows.
    pub count: usize,
    /// Query heads in a row.
    pub heads: usize,
    /// The first key-value head that they read.
    pub first_kv_head: usize,
    /// How many key-value heads they read, each as many query heads.
    pub kv_heads: usize,
    /// Tokens up to and with the first row's own; each next row has one more.
    pub first_length: usize,
    /// How many of them a row sees, its own included; `usize::MAX` for all.
    pub window: usize,
}

/// Attention of consecutive tokens' queries over the tokens held in `blocks`, themselves included.
///
/// Query head `h` of a row reads key-value head `first_kv_head + h / (heads / kv_heads)`. Scores are scaled by `1/√head_dim`.
/// `out` gets `heads · head_dim` floats per row. `scratch` keeps weights meanwhile. Rows are taken
/// four at a time, so that keys and values are read from memory less often; each row's sums are those
/// that it would have alone.
pub fn attend(
    shape: BlockShape,
    layer: usize,
    blocks: &[&KvBlock],
    queries: Queries<'_>,
    out: &mut [f32],
    scratch: &mut Vec<Lane>,
) {
    if queries.count == 0 {
        return;
    }
    let longest = queries.first_length + queries.count - 1;
    scratch.resize(longest.div_ceil(BLOCK_TOKENS) * TILE, Lane::ZERO);
    let context = Context { shape, layer, blocks, queries };
    match instruction_set() {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the instruction set was detected")]
        // SAFETY: `instruction_set` found these features on this machine.
        InstructionSet::Avx512 => unsafe { with_avx512(context, out, scratch) },
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the instruction set was detected")]
        // SAFETY: `instruction_set` found these features on this machine.
        InstructionSet::Avx2 => unsafe { with_avx2(context, out, scratch) },
        InstructionSet::Baseline => {
            attend_heads::<Plain<BASELINE_FUSES>>(context, out, scratch);
        }
    }
}

/// Most query vectors that are computed together.
const TILE: usize = 4;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
fn with_avx512(context: Context<'_>, out: &mut [f32], scratch: &mut [Lane]) {
    attend_heads::<Wide512>(context, out, scratch);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2(context: Context<'_>, out: &mut [f32], scratch: &mut [Lane]) {
    attend_heads::<Wide256>(context, out, scratch);
}

/// What is asked of one layer.
#[derive(Clone, Copy)]
struct Context<'a> {
    shape: BlockShape,
    layer: usize,
    blocks: &'a [&'a KvBlock],
    queries: Queries<'a>,
}

impl<'a> Context<'a> {
    /// Query heads per key-value head.
    fn group(self) -> usize {
        self.queries.heads / self.queries.kv_heads
    }

    /// Row and query head of the `index`-th query vector of a key-value head.
    fn place(self, kv_head: usize, index: usize) -> (usize, usize) {
        (index / self.group(), kv_head * self.group() + index % self.group())
    }

    /// The query vector there.
    fn query(self, (row, head): (usize, usize)) -> &'a [f32] {
        let start = row * self.queries.rows.stride + head * self.shape.head_dim;
        &self.queries.rows.data[start..start + self.shape.head_dim]
    }

    /// Tokens up to and with a row's own.
    fn length(self, row: usize) -> usize {
        self.queries.first_length + row
    }

    /// Those before the ones that a row sees.
    fn past(self, row: usize) -> usize {
        self.length(row).saturating_sub(self.queries.window)
    }
}

#[inline(always)]
fn attend_heads<V: Vector>(context: Context<'_>, out: &mut [f32], scratch: &mut [Lane]) {
    match context.shape.value_lanes() {
        1 => attend_wide::<V, 1>(context, out, scratch),
        2 => attend_wide::<V, 2>(context, out, scratch),
        3 => attend_wide::<V, 3>(context, out, scratch),
        4 => attend_wide::<V, 4>(context, out, scratch),
        5 => attend_wide::<V, 5>(context, out, scratch),
        6 => attend_wide::<V, 6>(context, out, scratch),
        8 => attend_wide::<V, 8>(context, out, scratch),
        _ => attend_wide::<V, 16>(context, out, scratch),
    }
}

#[inline(always)]
fn attend_wide<V: Vector, const WIDTH: usize>(
    context: Context<'_>,
    out: &mut [f32],
    scratch: &mut [Lane],
) {
    let vectors = context.queries.count * context.group();
    for kv_head in 0..context.queries.kv_heads {
        let mut first = 0;
        while first < vectors {
            // Four rows of wide values would not fit the registers.
            if vectors - first >= TILE && WIDTH <= 5 {
                attend_tile::<V, WIDTH, TILE>(context, kv_head, first, out, scratch);
                first += TILE;
            } else {
                attend_tile::<V, WIDTH, 1>(context, kv_head, first, out, scratch);
                first += 1;
            }
        }
    }
}

/// `ROWS` query vectors of one key-value head, from the `first`-th on.
#[inline(always)]
fn attend_tile<V: Vector, const WIDTH: usize, const ROWS: usize>(
    context: Context<'_>,
    kv_head: usize,
    first: usize,
    out: &mut [f32],
    scratch: &mut [Lane],
) {
    let Context { shape, layer, queries, .. } = context;
    let dim = shape.head_dim;
    let places: [(usize, usize); ROWS] =
        std::array::from_fn(|at| context.place(kv_head, first + at));
    let rows: [&[f32]; ROWS] = places.map(|place| context.query(place));
    let lengths: [usize; ROWS] = places.map(|(row, _)| context.length(row));
    let pasts: [usize; ROWS] = places.map(|(row, _)| context.past(row));
    let longest = lengths[ROWS - 1];
    let start = shape.head_start(layer, queries.first_kv_head + kv_head);
    // Blocks that the first row of the tile does not see, no other one sees.
    let skipped = pasts[0] / BLOCK_TOKENS;
    let blocks = &context.blocks[skipped..longest.div_ceil(BLOCK_TOKENS)];
    let mask = |lane: &mut Lane, row: usize, at: usize, value: f32| {
        fill_absent(lane, lengths[row], skipped + at, value);
        fill_past(lane, pasts[row], skipped + at, value);
    };
    let (weights, _) = scratch.as_chunks_mut::<ROWS>();

    let scale = V::splat(1.0 / (dim as f32).sqrt());
    let mut most = [V::splat(f32::NEG_INFINITY); ROWS];
    for (at, (block, weights)) in blocks.iter().zip(weights.iter_mut()).enumerate() {
        let scores = block_scores::<V, ROWS>(rows, &block.lanes[start..start + dim]);
        for row in 0..ROWS {
            scores[row].multiply(scale).store(&mut weights[row]);
            mask(&mut weights[row], row, at, f32::NEG_INFINITY);
            most[row] = most[row].max(V::load(&weights[row]));
        }
    }

    let most = most.map(|most| V::splat(most.largest()));
    let mut total = [V::zero(); ROWS];
    for (at, weights) in weights[..blocks.len()].iter_mut().enumerate() {
        for row in 0..ROWS {
            V::load(&weights[row]).subtract(most[row]).exp().store(&mut weights[row]);
            mask(&mut weights[row], row, at, 0.0);
            total[row] = total[row].add(V::load(&weights[row]));
        }
    }

    let mut sums = [[V::zero(); WIDTH]; ROWS];
    for (at, (block, weights)) in blocks.iter().zip(weights.iter()).enumerate() {
        let present = BLOCK_TOKENS.min(longest - (skipped + at) * BLOCK_TOKENS);
        let values = &block.lanes[start + dim..start + dim + present * WIDTH];
        for (token, value) in values.as_chunks::<WIDTH>().0.iter().enumerate() {
            let value: [V; WIDTH] = std::array::from_fn(|width| V::load(&value[width]));
            for row in 0..ROWS {
                // The slot is below 16; the mask says so to the compiler.
                let weight = V::splat(weights[row].0[token & (LANE - 1)]);
                for width in 0..WIDTH {
                    sums[row][width] = value[width].multiply_add(weight, sums[row][width]);
                }
            }
        }
    }

    for (((row, head), sums), total) in places.into_iter().zip(sums).zip(total) {
        let inverse = V::splat(1.0 / total.sum());
        let start = (row * queries.heads + head) * dim;
        for (out, sum) in out[start..start + dim].chunks_mut(LANE).zip(sums) {
            let mut lane = Lane::ZERO;
            sum.multiply(inverse).store(&mut lane);
            out.copy_from_slice(&lane.0[..out.len()]);
        }
    }
}

/// Overwrites the slots of the `block`-th block that lie beyond `length`.
#[inline(always)]
fn fill_absent(lane: &mut Lane, length: usize, block: usize, value: f32) {
    let from = block * BLOCK_TOKENS;
    if length < from + BLOCK_TOKENS {
        lane.0.iter_mut().skip(length.saturating_sub(from)).for_each(|slot| *slot = value);
    }
}

/// Overwrites the slots of the `block`-th block that lie before `past`.
#[inline(always)]
fn fill_past(lane: &mut Lane, past: usize, block: usize, value: f32) {
    let from = block * BLOCK_TOKENS;
    if past > from {
        lane.0.iter_mut().take(past - from).for_each(|slot| *slot = value);
    }
}

/// Scores of 16 tokens for each query vector, not yet scaled.
#[inline(always)]
fn block_scores<V: Vector, const ROWS: usize>(rows: [&[f32]; ROWS], keys: &[Lane]) -> [V; ROWS] {
    // Two running sums, because one would wait for each multiplication to finish.
    let mut even = [V::zero(); ROWS];
    let mut odd = [V::zero(); ROWS];
    let rows = rows.map(|row| &row[..keys.len()]);
    for (pair, keys) in keys.chunks(2).enumerate() {
        let key = V::load(&keys[0]);
        for row in 0..ROWS {
            even[row] = key.multiply_add(V::splat(rows[row][2 * pair]), even[row]);
        }
        if let Some(key) = keys.get(1) {
            let key = V::load(key);
            for row in 0..ROWS {
                odd[row] = key.multiply_add(V::splat(rows[row][2 * pair + 1]), odd[row]);
            }
        }
    }
    std::array::from_fn(|row| even[row].add(odd[row]))
}

#[cfg(test)]
pub(super) fn attend_plainly(
    shape: BlockShape,
    layer: usize,
    blocks: &[&KvBlock],
    queries: Queries<'_>,
    out: &mut [f32],
) {
    let longest = queries.first_length + queries.count - 1;
    let mut scratch = vec![Lane::ZERO; longest.div_ceil(BLOCK_TOKENS) * TILE];
    attend_heads::<Plain<false>>(Context { shape, layer, blocks, queries }, out, &mut scratch);
}
