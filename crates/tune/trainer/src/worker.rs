//! One thread's part of a step: its examples in micro-batches, forward and backward.

use pelton_kernels::{
    HeadLoss, HeadLossScratch, LossRows, Real, Reference, SoftTargets, head_log_probabilities,
    head_loss, head_loss_backward,
};

use crate::data::Item;
use crate::decoder::{Activations, Decoder, Gradients, Keep, Packed};
use crate::preference::{PairLoss, Segment};
use crate::report::Rewards;
use crate::{Example, TeacherTargets, TrainConfig};

/// One example with what its tokens count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighted<'a> {
    pub item: Item<'a>,
    /// Weight of the divergence from the base at each token that has a loss.
    pub divergence: f64,
}

impl Weighted<'_> {
    /// What is computed alike can be computed together.
    fn kind(&self) -> (bool, bool, bool) {
        let Item { rejected, teacher, .. } = self.item;
        (self.divergence > 0.0, rejected.is_some(), teacher.is_some())
    }
}

/// What of the settings the losses depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Objective {
    pub micro_tokens: usize,
    pub keep: Keep,
    /// Of preference pairs.
    pub beta: f64,
    /// Share of soft targets, and their temperature.
    pub distillation: (f64, f64),
}

impl Objective {
    pub fn new(config: &TrainConfig, keep: Keep) -> Self {
        Self {
            micro_tokens: config.micro_tokens,
            keep,
            beta: config.preference_beta,
            distillation: (config.distillation_weight, config.distillation_temperature),
        }
    }
}

/// Sums over examples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct LossSums {
    /// Of the tokens' cross-entropies by their weights; of pairs, their losses.
    pub loss: f64,
    /// From the base or from a teacher.
    pub divergence: f64,
    /// Of tokens by their weights, or pairs.
    pub weight: f64,
    pub pairs: f64,
    pub chosen_reward: f64,
    pub rejected_reward: f64,
    /// Pairs whose chosen answer has the higher reward.
    pub accurate: f64,
}

impl LossSums {
    pub fn add(&mut self, other: Self) {
        self.loss += other.loss;
        self.divergence += other.divergence;
        self.weight += other.weight;
        self.pairs += other.pairs;
        self.chosen_reward += other.chosen_reward;
        self.rejected_reward += other.rejected_reward;
        self.accurate += other.accurate;
    }

    /// Means over the pairs, where there are any.
    pub fn rewards(self) -> Option<Rewards> {
        (self.pairs > 0.0).then(|| Rewards {
            chosen: (self.chosen_reward / self.pairs) as f32,
            rejected: (self.rejected_reward / self.pairs) as f32,
            margin: ((self.chosen_reward - self.rejected_reward) / self.pairs) as f32,
            accuracy: (self.accurate / self.pairs) as f32,
        })
    }

    /// Mean loss per unit of weight.
    pub fn mean(self) -> f64 {
        (self.loss + self.divergence) / self.weight.max(f64::MIN_POSITIVE)
    }
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct Worker<T> {
    activations: Activations<T>,
    head: HeadLossScratch<T>,
    packed: Packed,
    rows: LossTokens<T>,
    soft: SoftRows<T>,
    pairs: Vec<Segment>,
    hidden: Vec<T>,
    reference: Vec<T>,
    dhidden: Vec<T>,
    dhidden_rows: Vec<T>,
    /// Logarithms of the rows' probabilities, of the model and of the reference.
    logs: [Vec<T>; 2],
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

/// A teacher's targets for these tokens.
#[derive(Debug, Default)]
struct SoftRows<T> {
    bounds: Vec<usize>,
    tokens: Vec<u32>,
    probabilities: Vec<T>,
}

impl<T: Real> SoftRows<T> {
    fn clear(&mut self) {
        self.bounds.clear();
        self.bounds.push(0);
        self.tokens.clear();
        self.probabilities.clear();
    }

    /// One row: what the teacher gave, at a temperature, in shares of its sum.
    fn push(&mut self, tokens: &[u32], log_probabilities: &[f32], temperature: f64) {
        let scores = || log_probabilities.iter().map(|value| f64::from(*value) / temperature);
        let largest = scores().fold(f64::MIN, f64::max);
        let sum: f64 = scores().map(|score| (score - largest).exp()).sum();
        self.tokens.extend_from_slice(tokens);
        self.probabilities.extend(scores().map(|score| T::of((score - largest).exp() / sum)));
        self.bounds.push(self.tokens.len());
    }
}

impl<T: Real> Worker<T> {
    /// Adds the gradients of `examples` to `self.gradients`, which must be as long as what is
    /// trained. `base` is the model whose distribution the divergence is from.
    pub fn learn(
        &mut self,
        decoder: &Decoder<'_, T>,
        base: &Decoder<'_, T>,
        examples: &[Weighted<'_>],
        objective: &Objective,
    ) -> LossSums {
        let mut sums = LossSums::default();
        self.activations.keep = objective.keep;
        for micro in micro_batches(examples, objective.micro_tokens) {
            self.pack(micro, objective);
            sums.add(if self.pairs.is_empty() {
                self.learn_packed(decoder, base, objective)
            } else {
                self.learn_pairs(decoder, base, objective)
            });
        }
        sums
    }

    /// The loss of `examples`.
    pub fn evaluate(
        &mut self,
        decoder: &Decoder<'_, T>,
        base: &Decoder<'_, T>,
        examples: &[Weighted<'_>],
        objective: &Objective,
    ) -> LossSums {
        let mut sums = LossSums::default();
        let width = decoder.config.hidden_size;
        self.activations.keep = objective.keep;
        for micro in micro_batches(examples, objective.micro_tokens) {
            self.pack(micro, objective);
            if !self.pairs.is_empty() {
                self.log_probabilities(base, 1);
                self.log_probabilities(decoder, 0);
                sums.add(self.pair_loss(objective, false));
                continue;
            }
            decoder.forward(&self.packed, &mut self.activations);
            gather(&mut self.hidden, &self.activations.hidden, &self.rows.rows, width);
            let rows = LossRows {
                hidden: &self.hidden,
                targets: &self.rows.targets,
                weights: &self.rows.weights,
                reference: None,
                soft: None,
            };
            let loss = head_loss(rows, decoder.head(), width, &mut self.head);
            sums.add(self.sums(loss));
        }
        sums
    }

    fn pack(&mut self, examples: &[Weighted<'_>], objective: &Objective) {
        self.packed.clear();
        self.pairs.clear();
        self.soft.clear();
        let rows = &mut self.rows;
        rows.rows.clear();
        rows.targets.clear();
        rows.weights.clear();
        rows.toward.clear();
        for weighted in examples {
            let Item { example, rejected, teacher } = weighted.item;
            let first = self.rows.rows.len();
            self.pack_example(example, weighted, teacher, objective);
            if let Some(rejected) = rejected {
                let middle = self.rows.rows.len();
                self.pack_example(rejected, weighted, None, objective);
                let last = self.rows.rows.len();
                self.pairs.push(Segment { chosen: first..middle, rejected: middle..last });
            }
        }
    }

    fn pack_example(
        &mut self,
        example: &Example,
        weighted: &Weighted<'_>,
        teacher: Option<&TeacherTargets>,
        objective: &Objective,
    ) {
        let start = self.packed.rows();
        let Example { tokens, loss_weights } = example;
        self.packed.push(tokens);
        let rows = &mut self.rows;
        for (index, &weight) in loss_weights.iter().enumerate().skip(1) {
            if weight == 0.0 {
                continue;
            }
            let weight = f64::from(weight);
            rows.rows.push(start + index - 1);
            rows.targets.push(tokens[index]);
            let Some(teacher) = teacher else {
                rows.weights.push(T::of(weight));
                rows.toward.push(T::of(weight * weighted.divergence));
                continue;
            };
            let (share, temperature) = objective.distillation;
            let (likely, logarithms) = teacher.at(index);
            // Where the teacher says nothing, the token itself is all there is.
            let share = if likely.is_empty() { 0.0 } else { share };
            rows.weights.push(T::of(weight * (1.0 - share)));
            rows.toward.push(T::of(weight * share));
            self.soft.push(likely, logarithms, temperature);
        }
    }

    fn learn_packed(
        &mut self,
        decoder: &Decoder<'_, T>,
        base: &Decoder<'_, T>,
        objective: &Objective,
    ) -> LossSums {
        if self.rows.rows.is_empty() {
            return LossSums::default();
        }
        let width = decoder.config.hidden_size;
        let with_teacher = self.soft.bounds.len() > 1;
        let with_reference =
            !with_teacher && self.rows.toward.iter().any(|weight| *weight > T::ZERO);
        if with_reference {
            base.forward(&self.packed, &mut self.activations);
            gather(&mut self.reference, &self.activations.hidden, &self.rows.rows, width);
        }
        decoder.forward(&self.packed, &mut self.activations);
        gather(&mut self.hidden, &self.activations.hidden, &self.rows.rows, width);
        let loss = self.backward(decoder, with_reference, with_teacher, objective);
        self.sums(loss)
    }

    /// From the gathered hidden states to the gradients.
    fn backward(
        &mut self,
        decoder: &Decoder<'_, T>,
        with_reference: bool,
        with_teacher: bool,
        objective: &Objective,
    ) -> HeadLoss {
        let width = decoder.config.hidden_size;
        let rows = LossRows {
            hidden: &self.hidden,
            targets: &self.rows.targets,
            weights: &self.rows.weights,
            reference: with_reference
                .then_some(Reference { hidden: &self.reference, weights: &self.rows.toward }),
            soft: with_teacher.then_some(SoftTargets {
                bounds: &self.soft.bounds,
                tokens: &self.soft.tokens,
                probabilities: &self.soft.probabilities,
                weights: &self.rows.toward,
                temperature: T::of(objective.distillation.1),
            }),
        };
        self.dhidden_rows.resize(self.hidden.len(), T::ZERO);
        let is_full = decoder.low_rank.is_none();
        let dhead =
            if is_full { Some(&mut self.gradients[decoder.layout.head().range()]) } else { None };
        let head = decoder.head();
        let dhidden = &mut self.dhidden_rows;
        let loss = head_loss_backward(dhidden, dhead, rows, head, width, &mut self.head);
        scatter(&mut self.dhidden, &self.dhidden_rows, &self.rows.rows, width, self.packed.rows());
        let mut gradients = if is_full {
            Gradients::Full(&mut self.gradients)
        } else {
            Gradients::LowRank(&mut self.gradients)
        };
        decoder.backward(&self.packed, &mut self.activations, &self.dhidden, &mut gradients);
        loss
    }

    fn learn_pairs(
        &mut self,
        decoder: &Decoder<'_, T>,
        base: &Decoder<'_, T>,
        objective: &Objective,
    ) -> LossSums {
        self.log_probabilities(base, 1);
        self.log_probabilities(decoder, 0);
        let sums = self.pair_loss(objective, true);
        self.backward(decoder, false, false, objective);
        sums
    }

    /// Passes the packed sequences through a model and keeps what it says of the answers' tokens.
    fn log_probabilities(&mut self, decoder: &Decoder<'_, T>, place: usize) {
        let width = decoder.config.hidden_size;
        decoder.forward(&self.packed, &mut self.activations);
        gather(&mut self.hidden, &self.activations.hidden, &self.rows.rows, width);
        let logs = &mut self.logs[place];
        logs.resize(self.rows.targets.len(), T::ZERO);
        let (hidden, targets) = (&self.hidden, &self.rows.targets);
        head_log_probabilities(logs, hidden, targets, decoder.head(), width, &mut self.head);
    }

    /// The losses of the pairs; with `weigh`, the tokens' weights become those of the loss's gradient.
    fn pair_loss(&mut self, objective: &Objective, weigh: bool) -> LossSums {
        let mut sums = LossSums::default();
        let [logs, reference] = &self.logs;
        for pair in &self.pairs {
            let reward = |rows: std::ops::Range<usize>| -> f64 {
                rows.map(|row| {
                    self.rows.weights[row].as_f64() * (logs[row] - reference[row]).as_f64()
                })
                .sum::<f64>()
                    * objective.beta
            };
            let loss = PairLoss::new(reward(pair.chosen.clone()), reward(pair.rejected.clone()));
            sums.add(LossSums {
                loss: loss.value(),
                divergence: 0.0,
                weight: 1.0,
                pairs: 1.0,
                chosen_reward: loss.chosen,
                rejected_reward: loss.rejected,
                accurate: if loss.margin() > 0.0 { 1.0 } else { 0.0 },
            });
            if weigh {
                let slope = T::of(loss.slope() * objective.beta);
                let weights = &mut self.rows.weights;
                weights[pair.chosen.clone()].iter_mut().for_each(|weight| *weight *= slope);
                weights[pair.rejected.clone()].iter_mut().for_each(|weight| *weight *= -slope);
            }
        }
        sums
    }

    fn sums(&self, loss: HeadLoss) -> LossSums {
        // A share of a token's weight may be its soft targets'.
        let soft = if self.soft.bounds.len() > 1 { self.rows.toward.as_slice() } else { &[] };
        LossSums {
            loss: loss.cross_entropy,
            divergence: loss.divergence,
            weight: self.rows.weights.iter().chain(soft).map(|weight| weight.as_f64()).sum(),
            ..LossSums::default()
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

/// Runs of examples of about this many tokens each, apart by kind: those with a divergence from those
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
            tokens += weighted.item.tokens();
            if count > 0 && (tokens > micro_tokens || weighted.kind() != first.kind()) {
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
        (examples[index].divergence > 0.0, std::cmp::Reverse(examples[index].item.tokens()))
    });
    let mut shares = vec![Vec::new(); threads];
    let mut loads = vec![0; threads];
    for index in order {
        let least = (0..threads).min_by_key(|&thread| loads[thread]).unwrap_or(0);
        // The pass through the base costs about a third of a training pass.
        let cost = examples[index].item.tokens() * 3;
        loads[least] += if examples[index].divergence > 0.0 { cost / 3 * 4 } else { cost };
        shares[least].push(examples[index]);
    }
    shares
}
