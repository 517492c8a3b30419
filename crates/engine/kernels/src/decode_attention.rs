//! Attention of new tokens over a cache of keys and values kept in blocks.
//!
//! The cache is one buffer of blocks; a block holds `[kv_heads, block_tokens, head]`. A sequence
//! owns a list of blocks, in order. A contiguous cache is one block that is long enough. Scores of
//! one block exist at a time (online softmax, Milakov and Gimelshein 2018).

use crate::real::{dot, exponentials, maximum};
use crate::{AttentionShape, Real};

/// A sequence with new tokens.
#[derive(Debug, Clone, Copy)]
pub struct CachedSequence<'a> {
    /// Its new rows in the query buffer.
    pub first_row: usize,
    /// How many there are.
    pub rows: usize,
    /// Tokens in its cache, the new ones included.
    pub length: usize,
    /// Its blocks, in order.
    pub blocks: &'a [u32],
}

impl CachedSequence<'_> {
    /// Cache position of the first new row.
    #[must_use]
    pub fn past(&self) -> usize {
        self.length - self.rows
    }
}

/// Buffers kept between calls.
#[derive(Debug, Default)]
pub struct DecodeScratch<T> {
    scores: Vec<T>,
}

/// Copies one token's keys (or values), `[kv_heads · head]`, to `position` of its sequence.
///
/// # Panics
/// When the sequence has no block for that position.
pub fn cache_write<T: Real>(
    cache: &mut [T],
    row: &[T],
    blocks: &[u32],
    position: usize,
    block_tokens: usize,
    head: usize,
) {
    let block = blocks[position / block_tokens] as usize;
    let slot = position % block_tokens;
    let kv_heads = row.len() / head;
    for (kv_head, values) in row.chunks_exact(head).enumerate() {
        let start = ((block * kv_heads + kv_head) * block_tokens + slot) * head;
        cache[start..start + head].copy_from_slice(values);
    }
}

/// `out[row] = softmax(q kᵀ / √head) v` over all cached tokens up to and with the row's own.
///
/// `queries` has rows `query_stride` apart, of which the first `heads · head` columns are used;
/// `out` is `[rows, heads · head]`.
#[expect(clippy::too_many_arguments, reason = "two caches and their shape")]
pub fn decode_attention<T: Real>(
    out: &mut [T],
    queries: &[T],
    query_stride: usize,
    sequences: &[CachedSequence<'_>],
    keys: &[T],
    values: &[T],
    block_tokens: usize,
    shape: AttentionShape,
    scratch: &mut DecodeScratch<T>,
) {
    scratch.scores.resize(block_tokens, T::ZERO);
    let width = shape.query_width();
    for sequence in sequences {
        for row in 0..sequence.rows {
            let seen = sequence.past() + row + 1;
            let at = sequence.first_row + row;
            attend_row(
                &mut out[at * width..(at + 1) * width],
                &queries[at * query_stride..at * query_stride + width],
                sequence.blocks,
                seen,
                keys,
                values,
                block_tokens,
                shape,
                &mut scratch.scores,
            );
        }
    }
}

vectorized! {
    fn attend_row<T>(
        out: &mut [T], queries: &[T], blocks: &[u32], seen: usize, keys: &[T], values: &[T],
        block_tokens: usize, shape: AttentionShape, scores: &mut [T],
    ) {
        let head = shape.head;
        let group = shape.heads / shape.kv_heads;
        let scale = T::of(1.0 / (head as f64).sqrt());
        let heads = out.chunks_exact_mut(head).zip(queries.chunks_exact(head)).enumerate();
        for (index, (out, query)) in heads {
            out.fill(T::ZERO);
            let mut largest = T::LOWEST;
            let mut sum = T::ZERO;
            for (order, &block) in blocks.iter().enumerate() {
                let first = order * block_tokens;
                if first >= seen {
                    break;
                }
                let count = block_tokens.min(seen - first);
                let start = (block as usize * shape.kv_heads + index / group) * block_tokens * head;
                let keys = keys[start..start + count * head].chunks_exact(head);
                let values = values[start..start + count * head].chunks_exact(head);
                let scores = &mut scores[..count];
                for (score, key) in scores.iter_mut().zip(keys) {
                    *score = dot(query, key) * scale;
                }
                let new_largest = largest.larger(maximum(scores));
                let shrink = (largest - new_largest).exponential();
                largest = new_largest;
                sum = sum * shrink + exponentials(scores, T::ONE, largest);
                out.iter_mut().for_each(|out| *out *= shrink);
                for (score, value) in scores.iter().zip(values) {
                    for (out, value) in out.iter_mut().zip(value) {
                        *out = score.times_plus(*value, *out);
                    }
                }
            }
            let share = T::ONE / sum;
            out.iter_mut().for_each(|out| *out *= share);
        }
    }
}
