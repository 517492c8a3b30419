//! The output head with its loss, in chunks of rows, so that logits of all tokens never exist.
//!
//! The loss of a row is `w · CE(target) + k · KL(p_reference ‖ p)`, in nats.

use crate::Real;
use crate::matmul::{Into, Matrix, MatrixMut, matmul};
use crate::real::{exponentials, maximum};

/// Rows whose logits exist at the same time.
const CHUNK: usize = 128;

/// Rows that have a loss.
#[derive(Debug, Clone, Copy)]
pub struct LossRows<'a, T> {
    /// Hidden states before the head, `[rows, width]`.
    pub hidden: &'a [T],
    /// The token that should come next, one for each row.
    pub targets: &'a [u32],
    /// `w` of each row.
    pub weights: &'a [T],
    /// A distribution to stay close to.
    pub reference: Option<Reference<'a, T>>,
}

/// The hidden states of the model whose distribution is the reference, under the same head.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a, T> {
    /// `[rows, width]`.
    pub hidden: &'a [T],
    /// `k` of each row.
    pub weights: &'a [T],
}

/// Sums over all rows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HeadLoss {
    /// `Σ w · CE`.
    pub cross_entropy: f64,
    /// `Σ k · KL`.
    pub divergence: f64,
}

/// Logits of one chunk, kept between calls.
#[derive(Debug, Default)]
pub struct HeadLossScratch<T> {
    logits: Vec<T>,
    reference: Vec<T>,
}

/// The loss alone. `head` is `[vocab, width]`.
pub fn head_loss<T: Real>(
    rows: LossRows<'_, T>,
    head: &[T],
    width: usize,
    scratch: &mut HeadLossScratch<T>,
) -> HeadLoss {
    over_chunks(rows, head, width, scratch, |_, _, _| {})
}

/// The loss, with its gradients: `dhidden` is replaced, `dhead` added to unless the head is frozen.
pub fn head_loss_backward<T: Real>(
    dhidden: &mut [T],
    mut dhead: Option<&mut [T]>,
    rows: LossRows<'_, T>,
    head: &[T],
    width: usize,
    scratch: &mut HeadLossScratch<T>,
) -> HeadLoss {
    let vocab = head.len() / width;
    over_chunks(rows, head, width, scratch, |first, count, dlogits| {
        let range = first * width..(first + count) * width;
        matmul(
            MatrixMut::new(&mut dhidden[range.clone()], count, width),
            Into::Replace,
            Matrix::new(dlogits, count, vocab),
            Matrix::new(head, vocab, width),
            T::ONE,
        );
        if let Some(dhead) = dhead.as_deref_mut() {
            matmul(
                MatrixMut::new(dhead, vocab, width),
                Into::Add,
                Matrix::new(dlogits, count, vocab).transposed(),
                Matrix::new(&rows.hidden[range], count, width),
                T::ONE,
            );
        }
    })
}

/// Calls `with_gradient(first row, rows, dlogits)` for each chunk.
fn over_chunks<T: Real>(
    rows: LossRows<'_, T>,
    head: &[T],
    width: usize,
    scratch: &mut HeadLossScratch<T>,
    mut with_gradient: impl FnMut(usize, usize, &[T]),
) -> HeadLoss {
    let vocab = head.len() / width;
    if scratch.logits.len() < CHUNK * vocab {
        scratch.logits.resize(CHUNK * vocab, T::ZERO);
    }
    if rows.reference.is_some() && scratch.reference.len() < CHUNK * vocab {
        scratch.reference.resize(CHUNK * vocab, T::ZERO);
    }
    let mut total = HeadLoss::default();
    for first in (0..rows.targets.len()).step_by(CHUNK) {
        let count = CHUNK.min(rows.targets.len() - first);
        let logits = &mut scratch.logits[..count * vocab];
        project(logits, &rows.hidden[first * width..], head, count, width);
        let targets = &rows.targets[first..first + count];
        let weights = &rows.weights[first..first + count];
        match rows.reference {
            None => {
                total.cross_entropy += softmax_gradient(logits, targets, weights, vocab);
            }
            Some(reference) => {
                let from = &mut scratch.reference[..count * vocab];
                project(from, &reference.hidden[first * width..], head, count, width);
                let toward = &reference.weights[first..first + count];
                let mut divergence = 0.0;
                let cross_entropy = softmax_gradient_with_reference(
                    logits,
                    from,
                    targets,
                    weights,
                    toward,
                    vocab,
                    &mut divergence,
                );
                total.cross_entropy += cross_entropy;
                total.divergence += divergence;
            }
        }
        with_gradient(first, count, logits);
    }
    total
}

fn project<T: Real>(logits: &mut [T], hidden: &[T], head: &[T], rows: usize, width: usize) {
    let vocab = head.len() / width;
    matmul(
        MatrixMut::new(logits, rows, vocab),
        Into::Replace,
        Matrix::new(hidden, rows, width),
        Matrix::new(head, vocab, width).transposed(),
        T::ONE,
    );
}

vectorized! {
    /// Replaces logits by the gradient `w (p − onehot)` and returns `Σ w · CE`.
    fn softmax_gradient<T>(logits: &mut [T], targets: &[u32], weights: &[T], vocab: usize) -> f64 {
        let mut loss = 0.0;
        for ((row, &target), &weight) in logits.chunks_exact_mut(vocab).zip(targets).zip(weights) {
            let target = target as usize;
            let at_target = row[target];
            let largest = maximum(row);
            let sum = exponentials(row, T::ONE, largest);
            loss += weight.as_f64() * (largest + sum.logarithm() - at_target).as_f64();
            let share = weight / sum;
            row.iter_mut().for_each(|value| *value *= share);
            row[target] -= weight;
        }
        loss
    }
}

vectorized! {
    /// The same with `k (p − p_reference)` added; `from` holds the reference's logits and is used
    /// up. Adds `Σ k · KL` to `divergence`.
    fn softmax_gradient_with_reference<T>(
        logits: &mut [T], from: &mut [T], targets: &[u32], weights: &[T], toward: &[T],
        vocab: usize, divergence: &mut f64,
    ) -> f64 {
        let mut loss = 0.0;
        let rows = logits.chunks_exact_mut(vocab).zip(from.chunks_exact_mut(vocab));
        for (((row, from), &target), (&weight, &toward)) in
            rows.zip(targets).zip(weights.iter().zip(toward))
        {
            let target = target as usize;
            let (largest, largest_from) = (maximum(row), maximum(from));
            // KL = Σ p_ref (z_ref − z) + log Σ e^z − log Σ e^{z_ref}.
            let mut sum_from = T::ZERO;
            let mut product = T::ZERO;
            let mut sum = T::ZERO;
            let at_target = row[target];
            for (value, from) in row.iter_mut().zip(from.iter_mut()) {
                let difference = *from - *value;
                let probability = (*from - largest_from).exponential();
                sum_from += probability;
                product += probability * difference;
                *from = probability;
                *value = (*value - largest).exponential();
                sum += *value;
            }
            let log_sum = largest + sum.logarithm();
            let log_sum_from = largest_from + sum_from.logarithm();
            loss += weight.as_f64() * (log_sum - at_target).as_f64();
            *divergence += toward.as_f64() * (product / sum_from + log_sum - log_sum_from).as_f64();
            let share = (weight + toward) / sum;
            let share_from = toward / sum_from;
            for (value, from) in row.iter_mut().zip(from.iter()) {
                *value = *value * share - *from * share_from;
            }
            row[target] -= weight;
        }
        loss
    }
}
