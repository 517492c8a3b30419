//! One thread's part of a step: its examples in micro-batches, forward and backward.

use pelton_kernels::{
    HeadLoss, HeadLossScratch, LossRows, Real, Reference, head_loss, head_loss_backward,
};

use crate::Example;
use crate::decoder::{Activations, Decoder, Gradients, Packed};

/// One example with what its tokens count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighted<'a> {
    pub example: &'a Example,
    /// Weight of the divergence from the base at each token that has a loss.
    pub divergence: f64,
}

/// Sums over examples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct LossSums {
    pub cross_entropy: f64,
    pub divergence: f64,
    pub weight: f64,
}

impl LossSums {
    pub fn add(&mut self, other: Self) {
        self.cross_entropy += other.cross_entropy;
        self.divergence += other.divergence;
        self.weight += other.weight;
    }

    /// Mean loss per unit of weight.
    pub fn mean(self) -> f64 {
        (self.cross_entropy + self.divergence) / self.weight.max(f64::MIN_POSITIVE)
    }
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct Worker<T> {
    activations: Activations<T>,
    head: HeadLossScratch<T>,
    packed: Packed,
    rows: LossTokens<T>,
    hidden: Vec<T>,
    reference: Vec<T>,
    dhidden: Vec<T>,
    dhidden_rows: Vec<T>,
    /// Sum of the gradients of everything that this worker passed through.
    pub gradients: Vec<T>,
}

/// The tokens of a micro-batch that have a loss.
#[derive(Debug, Default)]
struct LossTokens<T> {
    /// Row whose hidden state predicts the token.
    rows: Vec<usize>,
    targets: Vec<u32>,
    weights: Vec<T>,
    toward: Vec<T>,
}

impl<T: Real> Worker<T> {
    /// Adds the gradients of `examples` to `self.gradients`, which must be as long as what is
    /// trained. `base` is the model whose distribution the divergence is from.
    pub fn learn(
        &mut self,
        decoder: &Decoder<'_, T>,
        base: &Decoder<'_, T>,
        examples: &[Weighted<'_>],
        micro_tokens: usize,
    ) -> LossSums {
        let mut sums = LossSums::default();
        for micro in micro_batches(examples, micro_tokens) {
            self.pack(micro);
            sums.add(self.learn_packed(decoder, base));
        }
        sums
    }

    /// The loss of `examples`.
    pub fn evaluate(
        &mut self,
        decoder: &Decoder<'_, T>,
        examples: &[Weighted<'_>],
        micro_tokens: usize,
    ) -> LossSums {
        let mut sums = LossSums::default();
        let width = decoder.config.hidden_size;
        for micro in micro_batches(examples, micro_tokens) {
            self.pack(micro);
            decoder.forward(&self.packed, &mut self.activations);
            gather(&mut self.hidden, &self.activations.hidden, &self.rows.rows, width);
            let rows = LossRows {
                hidden: &self.hidden,
                targets: &self.rows.targets,
                weights: &self.rows.weights,
                reference: None,
            };
            let head = decoder.weight(decoder.layout.head());
            let loss = head_loss(rows, head, width, &mut self.head);
            sums.add(self.sums(loss));
        }
        sums
    }

    fn pack(&mut self, examples: &[Weighted<'_>]) {
        self.packed.clear();
        let rows = &mut self.rows;
        rows.rows.clear();
        rows.targets.clear();
        rows.weights.clear();
        rows.toward.clear();
        for weighted in examples {
            let start = self.packed.rows();
            let Example { tokens, loss_weights } = weighted.example;
            self.packed.push(tokens);
            for (index, &weight) in loss_weights.iter().enumerate().skip(1) {
                if weight > 0.0 {
                    rows.rows.push(start + index - 1);
                    rows.targets.push(tokens[index]);
                    rows.weights.push(T::of(f64::from(weight)));
                    rows.toward.push(T::of(f64::from(weight) * weighted.divergence));
                }
            }
        }
    }

    fn learn_packed(&mut self, decoder: &Decoder<'_, T>, base: &Decoder<'_, T>) -> LossSums {
        if self.rows.rows.is_empty() {
            return LossSums::default();
        }
        let width = decoder.config.hidden_size;
        let with_reference = self.rows.toward.iter().any(|weight| *weight > T::ZERO);
        if with_reference {
            base.forward(&self.packed, &mut self.activations);
            gather(&mut self.reference, &self.activations.hidden, &self.rows.rows, width);
        }
        decoder.forward(&self.packed, &mut self.activations);
        gather(&mut self.hidden, &self.activations.hidden, &self.rows.rows, width);
        let rows = LossRows {
            hidden: &self.hidden,
            targets: &self.rows.targets,
            weights: &self.rows.weights,
            reference: with_reference
                .then_some(Reference { hidden: &self.reference, weights: &self.rows.toward }),
        };
        let head = decoder.layout.head();
        self.dhidden_rows.resize(self.hidden.len(), T::ZERO);
        let is_full = decoder.low_rank.is_none();
        let dhead = if is_full { Some(&mut self.gradients[head.range()]) } else { None };
        let loss = head_loss_backward(
            &mut self.dhidden_rows,
            dhead,
            rows,
            decoder.weight(head),
            width,
            &mut self.head,
        );
        scatter(&mut self.dhidden, &self.dhidden_rows, &self.rows.rows, width, self.packed.rows());
        let mut gradients = if is_full {
            Gradients::Full(&mut self.gradients)
        } else {
            Gradients::LowRank(&mut self.gradients)
        };
        decoder.backward(&self.packed, &mut self.activations, &self.dhidden, &mut gradients);
        self.sums(loss)
    }

    fn sums(&self, loss: HeadLoss) -> LossSums {
        LossSums {
            cross_entropy: loss.cross_entropy,
            divergence: loss.divergence,
            weight: self.rows.weights.iter().map(|weight| weight.as_f64()).sum(),
        }
    }
}

fn gather<T: Real>(to: &mut Vec<T>, from: &[T], rows: &[usize], width: usize) {
    to.clear();
    for row in rows {
        to.extend_from_slice(&from[row * width..(row + 1) * width]);
    }
}

fn scatter<T: Real>(to: &mut Vec<T>, from: &[T], rows: &[usize], width: usize, count: usize) {
    to.clear();
    to.resize(count * width, T::ZERO);
    for (row, from) in rows.iter().zip(from.chunks_exact(width)) {
        to[row * width..(row + 1) * width].copy_from_slice(from);
    }
}

/// Runs of examples of about this many tokens each; those with a divergence apart from those
/// without, because only they need a pass through the base.
fn micro_batches<'a, 'b>(
    examples: &'b [Weighted<'a>],
    micro_tokens: usize,
) -> impl Iterator<Item = &'b [Weighted<'a>]> {
    let mut rest = examples;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut tokens = 0;
        let mut count = 0;
        for weighted in rest {
            tokens += weighted.example.tokens.len();
            let same_kind = (weighted.divergence > 0.0) == (first.divergence > 0.0);
            if count > 0 && (tokens > micro_tokens || !same_kind) {
                break;
            }
            count += 1;
        }
        let (micro, others) = rest.split_at(count);
        rest = others;
        Some(micro)
    })
}

/// Divides examples among threads so that each has about as many tokens: longest first, to the one
/// with the least so far. Those with a divergence come last in every share.
pub(crate) fn share_out<'a>(examples: &[Weighted<'a>], threads: usize) -> Vec<Vec<Weighted<'a>>> {
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&index| {
        (examples[index].divergence > 0.0, std::cmp::Reverse(examples[index].example.tokens.len()))
    });
    let mut shares = vec![Vec::new(); threads];
    let mut loads = vec![0; threads];
    for index in order {
        let least = (0..threads).min_by_key(|&thread| loads[thread]).unwrap_or(0);
        // The pass through the base costs about a third of a training pass.
        let cost = examples[index].example.tokens.len() * 3;
        loads[least] += if examples[index].divergence > 0.0 { cost / 3 * 4 } else { cost };
        shares[least].push(examples[index]);
    }
    shares
}
