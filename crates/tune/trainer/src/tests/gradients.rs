//! The backward pass against central differences in f64, and equalities of the forward pass.

use pelton_kernels::RopeTable;
use pelton_model::{Adapter, BaseModel, DecoderConfig, Projection};

use super::{adapter_config, examples, model_of, small_config, small_model, used_adapter};
use crate::base::{Base, QuantizedBase, Weights};
use crate::data::Item;
use crate::decoder::{Decoder, Keep};
use crate::low_rank::{LowRank, LowRankLayout};
use crate::worker::{LossSums, Objective, Weighted, Worker};
use crate::{Example, TeacherTargets, TrainConfig, logits};

/// Micro-batches of a few examples, so that accumulation is under test, too.
fn objective(keep: Keep) -> Objective {
    let config = TrainConfig {
        micro_tokens: 16,
        preference_beta: 0.7,
        distillation_weight: 0.6,
        distillation_temperature: 1.8,
        ..TrainConfig::default()
    };
    Objective::new(&config, keep)
}

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
            weights: Weights::Dense(base),
            low_rank: None,
            rope: &self.rope,
        };
        let low_rank = self.low_rank.as_ref().map(|layout| LowRank { layout, weights: pairs });
        let decoder = Decoder { low_rank, ..without };
        let items: Vec<_> = examples.iter().map(Item::plain).collect();
        let (sums, gradients) = learn(&decoder, &without, &items, divergence, Keep::Everything);
        (sums.loss + sums.divergence, gradients)
    }

    /// The same for any kind of example, on an adapter.
    fn run_items(&self, weights: Weights<'_, f64>, pairs: &[f64], items: &[Item<'_>]) -> Run {
        let without = Decoder {
            config: self.model.config(),
            layout: self.model.layout(),
            weights,
            low_rank: None,
            rope: &self.rope,
        };
        let low_rank = self.low_rank.as_ref().map(|layout| LowRank { layout, weights: pairs });
        learn(&Decoder { low_rank, ..without }, &without, items, 0.0, Keep::Products)
    }
}

type Run = (LossSums, Vec<f64>);

fn learn(
    decoder: &Decoder<'_, f64>,
    base: &Decoder<'_, f64>,
    items: &[Item<'_>],
    divergence: f64,
    keep: Keep,
) -> Run {
    let weighted: Vec<_> = items.iter().map(|&item| Weighted { item, divergence }).collect();
    let mut worker = Worker::default();
    let trained = match (&decoder.low_rank, decoder.weights) {
        (Some(low_rank), _) => low_rank.weights.len(),
        (None, Weights::Dense(all)) => all.len(),
        (None, Weights::Quantized { .. }) => panic!("an 8-bit base is frozen"),
    };
    worker.gradients = vec![0.0; trained];
    let sums = worker.learn(decoder, base, &weighted, &objective(keep));
    (sums, worker.gradients)
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

/// A model whose rows fill blocks of 8-bit weights.
fn blocky_config() -> DecoderConfig {
    let mut config = DecoderConfig::small(24, 32, 64, 3, 2, 1);
    config.head_dim = Some(16);
    config
}

#[test]
fn recomputed_activations_have_the_same_bits() {
    for config in small_config(true).in_every_family() {
        let model = model_of(config);
        let wide = Wide::new(&model, Some(&Projection::ALL));
        let layout = wide.low_rank.as_ref().unwrap();
        let pairs = widen(&layout.flatten(&used_adapter(&model, &Projection::ALL)));
        let (base, examples) = (widen(model.weights()), examples(6, 1));
        let items: Vec<_> = examples.iter().map(Item::plain).collect();
        let frozen = Decoder {
            config: model.config(),
            layout: model.layout(),
            weights: Weights::Dense(&base),
            low_rank: None,
            rope: &wide.rope,
        };
        let adapted = Decoder { low_rank: Some(LowRank { layout, weights: &pairs }), ..frozen };
        for (decoder, divergence) in [(&adapted, 0.5), (&frozen, 0.0)] {
            let run = |keep| learn(decoder, &frozen, &items, divergence, keep);
            let all = run(Keep::Everything);
            assert!(all == run(Keep::Products) && all == run(Keep::Inputs));
        }
    }
}

#[test]
fn gradients_on_an_8_bit_base_equal_finite_differences() {
    let mut families = blocky_config().in_every_family();
    let mut separate = blocky_config();
    separate.tie_word_embeddings = false;
    families.push(separate);
    for config in families {
        let model = model_of(config);
        let quantized = QuantizedBase::new(&model).unwrap();
        let vectors = widen(quantized.vectors());
        let weights = Weights::Quantized { base: &quantized, vectors: &vectors };
        let wide = Wide::new(&model, Some(&Projection::ALL));
        let layout = wide.low_rank.as_ref().unwrap();
        let pairs = widen(&layout.flatten(&used_adapter(&model, &Projection::ALL)));
        let examples = examples(4, 1);
        let items: Vec<_> = examples.iter().map(Item::plain).collect();
        let (_, gradients) = wide.run_items(weights, &pairs, &items);
        check(&pairs, &gradients, 11, |pairs| wide.run_items(weights, pairs, &items).0.loss);
    }
}

#[test]
fn an_8_bit_base_computes_nearly_the_same() {
    let model = model_of(blocky_config());
    let quantized = QuantizedBase::new(&model).unwrap();
    assert!(quantized.bytes() * 3 < Base::from(&model).bytes());
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let loaded = QuantizedBase::load(folder.path()).unwrap();
    let tokens = [3, 1, 4, 1, 5, 9, 2, 6];
    let logits = |base: Base<'_>| logits(base, None, &tokens).unwrap();
    let (exact, rounded) = (logits(Base::from(&model)), logits(Base::from(&quantized)));
    assert_eq!(rounded, logits(Base::from(&loaded)));
    let largest = exact.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let pairs = exact.iter().zip(&rounded);
    let distance = pairs.fold(0.0_f32, |most, (a, b)| most.max((a - b).abs())) / largest;
    assert!(distance > 0.0 && distance < 0.05, "{distance}");

    let error = QuantizedBase::new(&small_model(true)).unwrap_err().to_string();
    assert!(error.contains("multiple of 32; keep it in f32"), "{error}");
}

#[test]
fn preference_gradients_equal_finite_differences() {
    let model = small_model(true);
    let wide = Wide::new(&model, Some(&Projection::ALL));
    let layout = wide.low_rank.as_ref().unwrap();
    let pairs = widen(&layout.flatten(&used_adapter(&model, &Projection::ALL)));
    let base = widen(model.weights());
    let (chosen, rejected) = (examples(4, 0), examples(4, 2));
    let items: Vec<_> = chosen
        .iter()
        .zip(&rejected)
        .map(|(example, rejected)| Item { example, rejected: Some(rejected), teacher: None })
        .collect();
    let run = |pairs: &[f64]| wide.run_items(Weights::Dense(&base), pairs, &items);
    let (sums, gradients) = run(&pairs);
    check(&pairs, &gradients, 3, |pairs| run(pairs).0.loss);
    let rewards = sums.rewards().unwrap();
    assert!((rewards.margin - (rewards.chosen - rewards.rejected)).abs() < 1e-5);
    assert!(rewards.margin.abs() > 1e-3, "{rewards:?}");

    // An adapter that changes nothing earns nothing: each pair's loss is the logarithm of two.
    let (sums, _) = run(&vec![0.0; pairs.len()]);
    assert!((sums.mean() - 2.0_f64.ln()).abs() < 1e-12 && sums.weight == 4.0);
}

#[test]
fn distillation_gradients_equal_finite_differences() {
    let model = small_model(true);
    let wide = Wide::new(&model, Some(&Projection::ALL));
    let layout = wide.low_rank.as_ref().unwrap();
    let pairs = widen(&layout.flatten(&used_adapter(&model, &Projection::ALL)));
    let base = widen(model.weights());
    let examples = examples(4, 0);
    let teachers: Vec<TeacherTargets> = examples
        .iter()
        .map(|example| {
            let mut teacher = TeacherTargets::default();
            for (index, token) in example.tokens.iter().enumerate() {
                let likely = [(*token, -0.4), ((token + 3) % 24, -1.5), ((token + 7) % 24, -3.0)];
                teacher.push(&likely[..index % 4]);
            }
            teacher
        })
        .collect();
    let items: Vec<_> = examples
        .iter()
        .zip(&teachers)
        .map(|(example, teacher)| Item { teacher: Some(teacher), ..Item::plain(example) })
        .collect();
    let run = |pairs: &[f64]| wide.run_items(Weights::Dense(&base), pairs, &items);
    let loss = |pairs: &[f64]| run(pairs).0.loss + run(pairs).0.divergence;
    let (sums, gradients) = run(&pairs);
    assert!(sums.loss > 0.0 && sums.divergence > 0.0);
    let weights = examples.iter().flat_map(|example| example.loss_weights.iter().skip(1));
    let weight: f64 = weights.map(|weight| f64::from(*weight)).sum();
    assert!((sums.weight - weight).abs() < 1e-12, "{} {weight}", sums.weight);
    check(&pairs, &gradients, 3, loss);
}
