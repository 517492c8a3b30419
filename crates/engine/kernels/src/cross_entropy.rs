//! The output head with its loss, in chunks of rows, so that logits of all tokens never exist.
//!
//! The loss of a row is `w · CE(target) + k · KL(p_reference ‖ p)`, in nats; or, with a teacher's soft
//! targets at temperature `t`, `w · CE(target) + k · t² · KL(p_teacher ‖ softmax(z / t))` (Hinton, Vinyals
//! and Dean 2015). `w` may be negative, as the rejected answers of preference pairs have it.

use crate::matmul::{Into, Matrix, MatrixMut, matmul};
use crate::real::{exponentials, maximum};
use crate::{Real, Weight};

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
    /// A teacher's distributions to come close to; not together with `reference`.
    pub soft: Option<SoftTargets<'a, T>>,
}

/// A teacher's most likely tokens of each row.
#[derive(Debug, Clone, Copy)]
pub struct SoftTargets<'a, T> {
    /// First entry of each row, and the number of entries last; `[rows + 1]`.
    pub bounds: &'a [usize],
    /// The tokens.
    pub tokens: &'a [u32],
    /// Their probabilities at the temperature; those of a row sum to one.
    pub probabilities: &'a [T],
    /// `k` of each row.
    pub weights: &'a [T],
    /// `t`, positive.
    pub temperature: T,
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
    /// `Σ k · KL`, with `t²` for soft targets.
    pub divergence: f64,
}

/// Logits of one chunk, kept between calls.
#[derive(Debug, Default)]
pub struct HeadLossScratch<T> {
    logits: Vec<T>,
    reference: Vec<T>,
    weight: Vec<T>,
}

/// The loss alone. `head` is `[vocab, width]`.
pub fn head_loss<T: Real>(
    rows: LossRows<'_, T>,
    head: Weight<'_, T>,
    width: usize,
    scratch: &mut HeadLossScratch<T>,
) -> HeadLoss {
    over_chunks(rows, head, width, scratch, |_, _, _, _| {})
}

/// Writes the logarithm of each target's probability; `out` is as long as `targets`.
pub fn head_log_probabilities<T: Real>(
    out: &mut [T],
    hidden: &[T],
    targets: &[u32],
    head: Weight<'_, T>,
    width: usize,
    scratch: &mut HeadLossScratch<T>,
) {
    let vocab = head.outputs(width);
    let HeadLossScratch { logits, weight, .. } = scratch;
    if logits.len() < CHUNK * vocab {
        logits.resize(CHUNK * vocab, T::ZERO);
    }
    for first in (0..targets.len()).step_by(CHUNK) {
        let count = CHUNK.min(targets.len() - first);
        let logits = &mut logits[..count * vocab];
        head.forward(logits, Into::Replace, &hidden[first * width..], count, width, weight);
        let out = &mut out[first..first + count];
        log_probabilities(out, logits, &targets[first..first + count], vocab);
    }
}

/// The loss, with its gradients: `dhidden` is replaced, `dhead` added to unless the head is frozen.
pub fn head_loss_backward<T: Real>(
    dhidden: &mut [T],
    mut dhead: Option<&mut [T]>,
    rows: LossRows<'_, T>,
    head: Weight<'_, T>,
    width: usize,
    scratch: &mut HeadLossScratch<T>,
) -> HeadLoss {
    let vocab = head.outputs(width);
    over_chunks(rows, head, width, scratch, |first, count, dlogits, weight| {
        let range = first * width..(first + count) * width;
        let dhidden = &mut dhidden[range.clone()];
        head.backward_input(dhidden, Into::Replace, dlogits, count, width, weight);
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

/// Calls `with_gradient(first row, rows, dlogits, scratch for weights)` for each chunk.
fn over_chunks<T: Real>(
    rows: LossRows<'_, T>,
    head: Weight<'_, T>,
    width: usize,
    scratch: &mut HeadLossScratch<T>,
    mut with_gradient: impl FnMut(usize, usize, &[T], &mut Vec<T>),
) -> HeadLoss {
    let vocab = head.outputs(width);
    let HeadLossScratch { logits, reference: other, weight } = scratch;
    if logits.len() < CHUNK * vocab {
        logits.resize(CHUNK * vocab, T::ZERO);
    }
    let with_other = rows.reference.is_some() || rows.soft.is_some();
    if with_other && other.len() < CHUNK * vocab {
        other.resize(CHUNK * vocab, T::ZERO);
    }
    let mut total = HeadLoss::default();
    for first in (0..rows.targets.len()).step_by(CHUNK) {
        let count = CHUNK.min(rows.targets.len() - first);
        let logits = &mut logits[..count * vocab];
        head.forward(logits, Into::Replace, &rows.hidden[first * width..], count, width, weight);
        let targets = &rows.targets[first..first + count];
        let weights = &rows.weights[first..first + count];
        let mut divergence = 0.0;
        let cross_entropy = match (rows.reference, rows.soft) {
            (None, None) => softmax_gradient(logits, targets, weights, vocab),
            (Some(reference), _) => {
                let from = &mut other[..count * vocab];
                let hidden = &reference.hidden[first * width..];
                head.forward(from, Into::Replace, hidden, count, width, weight);
                let toward = &reference.weights[first..first + count];
                softmax_gradient_with_reference(
                    logits,
                    from,
                    targets,
                    weights,
                    toward,
                    vocab,
                    &mut divergence,
                )
            }
            (None, Some(soft)) => {
                let softened = &mut other[..count * vocab];
                softened.copy_from_slice(logits);
                let cross_entropy = softmax_gradient(logits, targets, weights, vocab);
                let soft = SoftTargets {
                    bounds: &soft.bounds[first..=first + count],
                    weights: &soft.weights[first..first + count],
                    ..soft
                };
                divergence = add_soft_gradient(logits, softened, soft, vocab);
                cross_entropy
            }
        };
        total.cross_entropy += cross_entropy;
        total.divergence += divergence;
        with_gradient(first, count, logits, weight);
    }
    total
}

vectorized! {
    fn log_probabilities<T>(out: &mut [T], logits: &mut [T], targets: &[u32], vocab: usize) {
        for ((row, &target), out) in logits.chunks_exact_mut(vocab).zip(targets).zip(out) {
            let at_target = row[target as usize];
            let largest = maximum(row);
            let sum = exponentials(row, T::ONE, largest);
            *out = at_target - largest - sum.logarithm();
        }
    }
}

vectorized! {
    /// Adds the gradient `k t (softmax(z / t) − p)` and returns `Σ k t² KL(p ‖ softmax(z / t))`;
    /// `softened` holds the logits and is used up.
    fn add_soft_gradient<T>(
        gradient: &mut [T], softened: &mut [T], soft: SoftTargets<'_, T>, vocab: usize,
    ) -> f64 {
        let temperature = soft.temperature;
        let inverse = T::ONE / temperature;
        let mut loss = 0.0;
        let rows = gradient.chunks_exact_mut(vocab).zip(softened.chunks_exact_mut(vocab));
        for (index, (gradient, softened)) in rows.enumerate() {
            let (weight, entries) = (soft.weights[index], soft.bounds[index]..soft.bounds[index + 1]);
            if entries.is_empty() {
                continue;
            }
            let tokens = &soft.tokens[entries.clone()];
            let probabilities = &soft.probabilities[entries];
            // KL = Σ p log p − Σ p z / t + log Σ e^{z / t}, as the p sum to one.
            let largest = maximum(softened) * inverse;
            let mut divergence = 0.0;
            for (&token, &probability) in tokens.iter().zip(probabilities) {
                if probability > T::ZERO {
                    let score = softened[token as usize] * inverse - largest;
                    divergence += (probability * (probability.logarithm() - score)).as_f64();
                }
            }
            let sum = exponentials(softened, inverse, largest);
            divergence += sum.logarithm().as_f64();
            loss += weight.as_f64() * temperature.as_f64() * temperature.as_f64() * divergence;
            let factor = weight * temperature;
            let share = factor / sum;
            for (gradient, softened) in gradient.iter_mut().zip(softened.iter()) {
                *gradient += *softened * share;
            }
            for (&token, &probability) in tokens.iter().zip(probabilities) {
                gradient[token as usize] -= factor * probability;
            }
        }
        loss
    }
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
