//! Causal attention with grouped heads over packed sequences of any lengths.
//!
//! Sequences lie one after the other in `qkv`; none sees another. Scores exist for one block of
//! queries at a time and are computed again in the backward pass (Dao et al. 2022).

use crate::matmul::{Into, Matrix, MatrixMut, matmul};
use crate::real::{exponentials, maximum};
use crate::{Real, real};

/// Queries that share one block of scores.
const BLOCK: usize = 64;

/// Heads and their width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head: usize,
    /// Tokens that a token sees, itself included; `usize::MAX` for all before it.
    pub window: usize,
}

impl AttentionShape {
    /// Width of a row of queries.
    #[must_use]
    pub fn query_width(self) -> usize {
        self.heads * self.head
    }

    /// Width of a row of queries, keys and values.
    #[must_use]
    pub fn width(self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head
    }

    fn scale<T: Real>(self) -> T {
        T::of(1.0 / (self.head as f64).sqrt())
    }

    fn key_offset(self, query_head: usize) -> usize {
        (self.heads + query_head / (self.heads / self.kv_heads)) * self.head
    }

    fn value_offset(self, query_head: usize) -> usize {
        self.key_offset(query_head) + self.kv_heads * self.head
    }
}

/// Blocks of scores, kept between calls.
#[derive(Debug, Default)]
pub struct AttentionScratch<T> {
    scores: Vec<T>,
    dscores: Vec<T>,
}

impl<T: Real> AttentionScratch<T> {
    fn fit(&mut self, keys: usize) {
        let needed = BLOCK * keys;
        if self.scores.len() < needed {
            self.scores.resize(needed, T::ZERO);
            self.dscores.resize(needed, T::ZERO);
        }
    }
}

/// `qkv` is `[T, (heads + 2 kv_heads) · head]` after rotation, `out` is `[T, heads · head]`,
/// `log_sums` is `[T, heads]` and keeps the logarithm of each softmax's sum. `bounds` are the first
/// rows of the sequences, and `T` last.
pub fn attention_forward<T: Real>(
    out: &mut [T],
    log_sums: &mut [T],
    qkv: &[T],
    bounds: &[usize],
    shape: AttentionShape,
    scratch: &mut AttentionScratch<T>,
) {
    let (stride, out_stride) = (shape.width(), shape.query_width());
    for sequence in bounds.windows(2) {
        let (start, len) = (sequence[0], sequence[1] - sequence[0]);
        scratch.fit(len);
        for head in 0..shape.heads {
            for first in (0..len).step_by(BLOCK) {
                let rows = BLOCK.min(len - first);
                let keys = first + rows;
                let row = start + first;
                let scores = &mut scratch.scores[..rows * keys];
                matmul(
                    MatrixMut::new(scores, rows, keys),
                    Into::Replace,
                    Matrix::strided(
                        &qkv[row * stride + head * shape.head..],
                        rows,
                        shape.head,
                        stride,
                    ),
                    Matrix::strided(
                        &qkv[start * stride + shape.key_offset(head)..],
                        keys,
                        shape.head,
                        stride,
                    )
                    .transposed(),
                    T::ONE,
                );
                causal_softmax(
                    scores,
                    &mut log_sums[row * shape.heads..(row + rows) * shape.heads],
                    first,
                    head,
                    shape,
                );
                matmul(
                    MatrixMut::strided(
                        &mut out[row * out_stride + head * shape.head..],
                        rows,
                        shape.head,
                        out_stride,
                    ),
                    Into::Replace,
                    Matrix::new(scores, rows, keys),
                    Matrix::strided(
                        &qkv[start * stride + shape.value_offset(head)..],
                        keys,
                        shape.head,
                        stride,
                    ),
                    T::ONE,
                );
            }
        }
    }
}

/// Writes `dqkv` for `dout`; `out` and `log_sums` are what the forward pass left.
#[expect(clippy::too_many_arguments, reason = "everything that the forward pass saw")]
pub fn attention_backward<T: Real>(
    dqkv: &mut [T],
    dout: &[T],
    out: &[T],
    log_sums: &[T],
    qkv: &[T],
    bounds: &[usize],
    shape: AttentionShape,
    scratch: &mut AttentionScratch<T>,
) {
    let (stride, out_stride) = (shape.width(), shape.query_width());
    let width = shape.head;
    let rows_in_all = bounds.last().copied().unwrap_or(0);
    dqkv[..rows_in_all * stride].fill(T::ZERO);
    for sequence in bounds.windows(2) {
        let (start, len) = (sequence[0], sequence[1] - sequence[0]);
        scratch.fit(len);
        for head in 0..shape.heads {
            let key = start * stride + shape.key_offset(head);
            let value = start * stride + shape.value_offset(head);
            for first in (0..len).step_by(BLOCK) {
                let rows = BLOCK.min(len - first);
                let keys = first + rows;
                let row = start + first;
                let query = row * stride + head * width;
                let output = row * out_stride + head * width;
                let scores = &mut scratch.scores[..rows * keys];
                let dscores = &mut scratch.dscores[..rows * keys];
                matmul(
                    MatrixMut::new(scores, rows, keys),
                    Into::Replace,
                    Matrix::strided(&qkv[query..], rows, width, stride),
                    Matrix::strided(&qkv[key..], keys, width, stride).transposed(),
                    T::ONE,
                );
                matmul(
                    MatrixMut::new(dscores, rows, keys),
                    Into::Replace,
                    Matrix::strided(&dout[output..], rows, width, out_stride),
                    Matrix::strided(&qkv[value..], keys, width, stride).transposed(),
                    T::ONE,
                );
                softmax_backward(
                    scores,
                    dscores,
                    &out[output..],
                    &dout[output..],
                    &log_sums[row * shape.heads..],
                    first,
                    rows,
                    head,
                    shape,
                );
                matmul(
                    MatrixMut::strided(&mut dqkv[value..], keys, width, stride),
                    Into::Add,
                    Matrix::new(scores, rows, keys).transposed(),
                    Matrix::strided(&dout[output..], rows, width, out_stride),
                    T::ONE,
                );
                matmul(
                    MatrixMut::strided(&mut dqkv[query..], rows, width, stride),
                    Into::Replace,
                    Matrix::new(dscores, rows, keys),
                    Matrix::strided(&qkv[key..], keys, width, stride),
                    T::ONE,
                );
                matmul(
                    MatrixMut::strided(&mut dqkv[key..], keys, width, stride),
                    Into::Add,
                    Matrix::new(dscores, rows, keys).transposed(),
                    Matrix::strided(&qkv[query..], rows, width, stride),
                    T::ONE,
                );
            }
        }
    }
}

vectorized! {
    /// Turns a block of raw scores into probabilities; row `i` sees the last of its first `first + i + 1`
    /// keys.
    fn causal_softmax<T>(
        scores: &mut [T], log_sums: &mut [T], first: usize, head: usize, shape: AttentionShape,
    ) {
        let heads = shape.heads;
        let scale = shape.scale::<T>();
        let rows = log_sums.len() / heads;
        let keys = first + rows;
        for (index, row) in scores.chunks_exact_mut(keys).enumerate() {
            let length = first + index + 1;
            let (seen, unseen) = row.split_at_mut(length);
            let (past, seen) = seen.split_at_mut(length.saturating_sub(shape.window));
            past.fill(T::ZERO);
            let largest = maximum(seen) * scale;
            let sum = exponentials(seen, scale, largest);
            let share = T::ONE / sum;
            seen.iter_mut().for_each(|probability| *probability *= share);
            unseen.fill(T::ZERO);
            log_sums[index * heads + head] = largest + sum.logarithm();
        }
    }
}

vectorized! {
    /// From raw scores and `dP` to probabilities and `dS = P (dP − Σ dP P) scale`; the sum is
    /// `dout · out`.
    fn softmax_backward<T>(
        scores: &mut [T], dscores: &mut [T], out: &[T], dout: &[T], log_sums: &[T], first: usize,
        rows: usize, head: usize, shape: AttentionShape,
    ) {
        let stride = shape.query_width();
        let scale = shape.scale::<T>();
        let keys = first + rows;
        let blocks = scores.chunks_exact_mut(keys).zip(dscores.chunks_exact_mut(keys));
        for (index, (scores, dscores)) in blocks.enumerate() {
            let at = index * stride;
            let product = real::dot(&out[at..at + shape.head], &dout[at..at + shape.head]);
            let log_sum = log_sums[index * shape.heads + head];
            let seen = first + index + 1;
            let (scores, unseen) = scores.split_at_mut(seen);
            let (dscores, unseen_gradients) = dscores.split_at_mut(seen);
            let past = seen.saturating_sub(shape.window);
            let (past_scores, scores) = scores.split_at_mut(past);
            let (past_gradients, dscores) = dscores.split_at_mut(past);
            past_scores.fill(T::ZERO);
            past_gradients.fill(T::ZERO);
            for (score, dscore) in scores.iter_mut().zip(dscores) {
                let probability = score.times_plus(scale, -log_sum).exponential();
                *score = probability;
                *dscore = probability * (*dscore - product) * scale;
            }
            unseen.fill(T::ZERO);
            unseen_gradients.fill(T::ZERO);
        }
    }
}
