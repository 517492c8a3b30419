//! The backward pass against central differences in f64, and equalities of the forward pass.

use pelton_kernels::RopeTable;
use pelton_model::{Adapter, BaseModel, Projection};

use super::{adapter_config, examples, model_of, small_config, small_model, used_adapter};
use crate::decoder::Decoder;
use crate::low_rank::{LowRank, LowRankLayout};
use crate::worker::{Weighted, Worker};
use crate::{Example, logits};

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// A decoder in f64 and what it borrows.
struct Wide<'a> {
    model: &'a BaseModel,
    rope: RopeTable<f64>,
    low_rank: Option<LowRankLayout>,
}

impl<'a> Wide<'a> {
    fn new(model: &'a BaseModel, targets: Option<&[Projection]>) -> Self {
        let config = model.config();
        let rotary = config.rotary().unwrap();
        Self {
            model,
            rope: RopeTable::new(64, &rotary.frequencies, rotary.scale),
            low_rank: targets.map(|targets| LowRankLayout::new(&adapter_config(targets), config)),
        }
    }

    /// Loss and gradients for base weights and, with a layout, an adapter's.
    fn run(
        &self,
        base: &[f64],
        pairs: &[f64],
        examples: &[Example],
        divergence: f64,
    ) -> (f64, Vec<f64>) {
        let without = Decoder {
            config: self.model.config(),
            layout: self.model.layout(),
            weights: base,
            low_rank: None,
            rope: &self.rope,
        };
        let low_rank = self.low_rank.as_ref().map(|layout| LowRank { layout, weights: pairs });
        let decoder = Decoder { low_rank, ..without };
        let weighted: Vec<_> =
            examples.iter().map(|example| Weighted { example, divergence }).collect();
        let trained = if self.low_rank.is_some() { pairs.len() } else { base.len() };
        let mut worker = Worker::default();
        worker.gradients = vec![0.0; trained];
        // Micro-batches of a few examples, so that accumulation is under test, too.
        let sums = worker.learn(&decoder, &without, &weighted, 16);
        (sums.cross_entropy + sums.divergence, worker.gradients)
    }
}

/// Compares every `stride`-th gradient.
fn check(at: &[f64], gradients: &[f64], stride: usize, loss: impl Fn(&[f64]) -> f64) {
    let mut moved = at.to_vec();
    let (mut largest, step): (f64, f64) = (0.0, 1e-5);
    for index in (0..at.len()).step_by(stride) {
        moved[index] = at[index] + step;
        let above = loss(&moved);
        moved[index] = at[index] - step;
        let below = loss(&moved);
        moved[index] = at[index];
        let expected = (above - below) / (2.0 * step);
        let error = (gradients[index] - expected).abs() / expected.abs().max(1.0);
        assert!(error < 1e-6, "[{index}]: {} but {expected}", gradients[index]);
        largest = largest.max(expected.abs());
    }
    assert!(largest > 0.1, "nothing to compare: {largest}");
}

#[test]
fn full_gradients_equal_finite_differences() {
    for tied in [true, false] {
        let model = small_model(tied);
        let wide = Wide::new(&model, None);
        let (base, examples) = (widen(model.weights()), examples(4, 0));
        let (_, gradients) = wide.run(&base, &[], &examples, 0.0);
        check(&base, &gradients, 5, |base| wide.run(base, &[], &examples, 0.0).0);
    }
}

#[test]
fn gradients_equal_finite_differences_in_every_family() {
    for config in small_config(true).in_every_family() {
        let model = model_of(config);
        let examples = examples(4, 1);
        // Biases begin at zero and norms at one, where mistakes may not show.
        let mut base = widen(model.weights());
        base.iter_mut().enumerate().for_each(|(at, weight)| *weight += (at % 7) as f64 * 0.05);
        let wide = Wide::new(&model, None);
        let (_, gradients) = wide.run(&base, &[], &examples, 0.0);
        check(&base, &gradients, 3, |base| wide.run(base, &[], &examples, 0.0).0);

        let wide = Wide::new(&model, Some(&Projection::ALL));
        let layout = wide.low_rank.as_ref().unwrap();
        let pairs = widen(&layout.flatten(&used_adapter(&model, &Projection::ALL)));
        let (_, gradients) = wide.run(&base, &pairs, &examples, 0.8);
        check(&pairs, &gradients, 3, |pairs| wide.run(&base, pairs, &examples, 0.8).0);
    }
}

#[test]
fn low_rank_gradients_equal_finite_differences() {
    let model = small_model(true);
    for targets in
        [Projection::ALL.as_slice(), &[Projection::Query, Projection::Value, Projection::Up]]
    {
        let wide = Wide::new(&model, Some(targets));
        let layout = wide.low_rank.as_ref().unwrap();
        let pairs = widen(&layout.flatten(&used_adapter(&model, targets)));
        let (base, examples) = (widen(model.weights()), examples(4, 1));
        for divergence in [0.0, 0.8] {
            let (_, gradients) = wide.run(&base, &pairs, &examples, divergence);
            check(&pairs, &gradients, 3, |pairs| wide.run(&base, pairs, &examples, divergence).0);
        }
    }
}

#[test]
fn every_pair_gets_a_gradient() {
    let model = small_model(true);
    let wide = Wide::new(&model, Some(&Projection::ALL));
    let layout = wide.low_rank.as_ref().unwrap();
    let (base, examples) = (widen(model.weights()), examples(4, 2));
    let initial = Adapter::initialize(layout.config.clone(), model.config(), 1).unwrap();
    let used = used_adapter(&model, &Projection::ALL);
    // `B` starts at zero, so that `A` has no gradient before the first step, but `B` has.
    for (adapter, a_moves) in [(initial, false), (used, true)] {
        let pairs = widen(&layout.flatten(&adapter));
        let (_, gradients) = wide.run(&base, &pairs, &examples, 0.0);
        for (key, _) in adapter.pairs() {
            let (a, b) = layout.spans(key).unwrap();
            let norm = |range: std::ops::Range<usize>| {
                gradients[range].iter().map(|value| value * value).sum::<f64>()
            };
            assert!(norm(b.range()) > 1e-12, "{key:?}");
            assert_eq!(norm(a.range()) > 1e-12, a_moves, "{key:?}");
        }
    }
}

#[test]
fn packing_does_not_change_the_loss() {
    let model = small_model(true);
    let wide = Wide::new(&model, None);
    let (base, examples) = (widen(model.weights()), examples(5, 3));
    let (together, _) = wide.run(&base, &[], &examples, 0.0);
    let apart: f64 = examples
        .iter()
        .map(|example| wide.run(&base, &[], std::slice::from_ref(example), 0.0).0)
        .sum();
    assert!((together - apart).abs() < 1e-10, "{together} {apart}");
}

#[test]
fn adapter_beside_the_base_equals_the_merged_model() {
    let model = small_model(true);
    let adapter = used_adapter(&model, &Projection::ALL);
    let merged = model.merged(&adapter).unwrap();
    let tokens = [3, 1, 4, 1, 5, 9, 2, 6];
    let beside = logits(&model, Some(&adapter), &tokens).unwrap();
    let within = logits(&merged, None, &tokens).unwrap();
    let base = logits(&model, None, &tokens).unwrap();
    let distance =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
    assert!(distance(&beside, &within) <= 1e-4, "{}", distance(&beside, &within));
    assert!(distance(&beside, &base) > 1e-2);

    let folder = tempfile::tempdir().unwrap();
    adapter.save(folder.path()).unwrap();
    model.save(folder.path()).unwrap();
    let model = BaseModel::load(folder.path()).unwrap();
    let adapter = Adapter::load(folder.path(), model.config()).unwrap();
    assert_eq!(logits(&model, Some(&adapter), &tokens).unwrap(), beside);
}
