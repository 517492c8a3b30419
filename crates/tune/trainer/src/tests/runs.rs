//! Whole runs: they learn, repeat, resume and stop.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use pelton_model::{BaseModel, DecoderConfig};

use super::{examples, model_of, small_model};
use crate::{
    Base, Example, ExampleSource, Method, Optimizer, Preference, Progress, QuantizedBase,
    Recompute, RunLength, Schedule, StopReason, TrainConfig, TrainData, TrainError, TrainOutcome,
    Trained, estimate, logits, model_at_checkpoint, planned_tokens, preference_rewards, teach,
    train, train_until,
};

/// Copies three random tokens: a seventh of the tokens can be known in advance only by copying.
struct Copying;

impl ExampleSource for Copying {
    fn example(&self, index: u64, tokens_seen: u64) -> Example {
        let mut bits = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (tokens_seen / 2000);
        let mut draw = || {
            bits = (bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            3 + (bits >> 33) as u32 % 8
        };
        let word = [draw(), draw(), draw()];
        Example::answer_only(&[0, word[0], word[1], word[2], 1], &[word[0], word[1], word[2], 2])
    }
}

fn quiet(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn lora(steps: u64) -> TrainConfig {
    TrainConfig {
        length: RunLength::Steps(steps),
        batch_tokens: 24,
        micro_tokens: 12,
        checkpoint_interval: 3,
        learning_rate: 1e-2,
        schedule: Schedule { warmup_steps: 2, ..TrainConfig::default().schedule },
        ..TrainConfig::default()
    }
}

fn adapter_weights(outcome: &TrainOutcome) -> Vec<f32> {
    match &outcome.trained {
        Trained::Adapter(adapter) => {
            adapter.pairs().flat_map(|(_, pair)| [&pair.a[..], &pair.b[..]].concat()).collect()
        }
        Trained::Model(model) => model.weights().to_vec(),
    }
}

#[test]
fn pretraining_learns_to_copy() {
    let mut config = DecoderConfig::small(12, 64, 96, 2, 2, 1);
    config.max_position_embeddings = 64;
    let model = Arc::new(BaseModel::initialize(config, 1).unwrap());
    let settings = TrainConfig {
        batch_tokens: 576,
        schedule: Schedule { warmup_steps: 10, ..TrainConfig::default().schedule },
        checkpoint_interval: 0,
        validation_interval: 100,
        ..TrainConfig::pretrain(200_000)
    };
    let held_out: Vec<_> = (0..40).map(|i| Copying.example(1_000_000 + i, 0)).collect();
    let data = TrainData::stream(Arc::new(Copying), held_out.clone());
    let folder = tempfile::tempdir().unwrap();
    let outcome = train(&model, &data, &settings, folder.path(), &mut quiet).unwrap();
    let report = &outcome.report;
    assert_eq!(report.stopped, StopReason::Completed);
    assert!(report.initial_val_loss.unwrap() > 2.0, "{:?}", report.initial_val_loss);
    assert!(report.best_val_loss.unwrap() < 0.1, "{:?}", report.best_val_loss);

    let Trained::Model(model) = &outcome.trained else { panic!("not a model") };
    let right = held_out.iter().filter(|example| writes_copy(model, &example.tokens)).count();
    assert!(right >= 36, "{right} of 40");

    outcome.save(folder.path()).unwrap();
    assert_eq!(BaseModel::load(folder.path()).unwrap().weights(), model.weights());
    assert!(folder.path().join("train_report.json").exists());
}

/// Whether the most likely tokens after the first five are those that follow.
fn writes_copy(model: &BaseModel, tokens: &[u32]) -> bool {
    let rows = logits(model, None, tokens).unwrap();
    let rows: Vec<&[f32]> = rows.chunks(model.config().vocab_size).collect();
    (5..8).all(|at| {
        let row = rows[at - 1];
        let largest = row.iter().copied().fold(f32::MIN, f32::max);
        row[tokens[at] as usize] == largest
    })
}

/// Runs to the end, stopping (as a kill would) after each number of steps in `stops`. Returns what
/// is in the folder afterwards as well.
fn interrupted(
    model: &Arc<BaseModel>,
    data: &TrainData,
    config: &TrainConfig,
    folder: &Path,
    stops: &[u64],
) -> TrainOutcome {
    for stop in stops {
        // A kill writes no checkpoint: the copy made before the stop is put back.
        let kept = tempfile::tempdir().unwrap();
        let mut count = 0;
        let outcome = train(model, data, config, folder, &mut |_| {
            count += 1;
            if count == *stop {
                copy(folder, kept.path());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        assert_eq!(outcome.unwrap().report.stopped, StopReason::Cancelled);
        std::fs::remove_dir_all(folder).unwrap();
        copy(kept.path(), folder);
    }
    train(model, data, config, folder, &mut quiet).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).into_iter().flatten() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn killed_runs_end_with_the_same_bits() {
    let model = small_model(true);
    let mut data = TrainData::examples(examples(20, 0));
    data.rehearsal = examples(7, 50);
    let adapter = TrainConfig {
        rehearsal_fraction: 0.3,
        kl_to_base: 0.5,
        validation_fraction: 0.2,
        validation_interval: 2,
        patience: Some(50),
        ..lora(11)
    };
    let stream = TrainData::stream(Arc::new(Copying), examples(3, 1));
    let full = TrainConfig {
        method: Method::Full,
        optimizer: Optimizer::Muon { learning_rate: 0.01, momentum: 0.9 },
        length: RunLength::Tokens(600),
        validation_interval: 2,
        ..adapter.clone()
    };
    let full = TrainConfig { rehearsal_fraction: 0.0, kl_to_base: 0.0, ..full };
    for (data, config) in [(&data, &adapter), (&stream, &full)] {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let straight = interrupted(&model, data, config, first.path(), &[]);
        let broken = interrupted(&model, data, config, &second.path().join("new"), &[2, 4, 1, 5]);
        assert_eq!(adapter_weights(&straight), adapter_weights(&broken));
        assert_eq!(straight.report.curve, broken.report.curve);
        assert_eq!(straight.report.best_val_loss, broken.report.best_val_loss);
        assert_ne!(adapter_weights(&straight)[..50], model.weights()[..50]);
    }
    let (tokens, exported) = {
        let folder = tempfile::tempdir().unwrap();
        let outcome = train(&model, &stream, &full, folder.path(), &mut quiet).unwrap();
        assert!(outcome.report.steps >= 6);
        model_at_checkpoint(&model, folder.path()).unwrap().unwrap()
    };
    assert!(tokens > 0);
    assert_ne!(exported.weights(), model.weights());
}

#[test]
fn a_run_in_parts_costs_what_was_planned_and_ends_with_the_same_bits() {
    let model = small_model(true);
    let mut data = TrainData::examples(examples(20, 0));
    data.rehearsal = examples(7, 50);
    let config = TrainConfig {
        length: RunLength::Epochs(3),
        rehearsal_fraction: 0.3,
        validation_fraction: 0.2,
        validation_interval: 2,
        patience: Some(50),
        checkpoint_interval: 5,
        ..lora(0)
    };
    let planned = planned_tokens(&data, &config);
    let last = planned.len() as u64;
    assert!(last > 8, "{last} steps");
    let whole = tempfile::tempdir().unwrap();
    let whole = train(&model, &data, &config, whole.path(), &mut quiet).unwrap();
    let seen: Vec<u64> = whole.report.curve.iter().map(|point| point.tokens).collect();
    assert_eq!(seen, planned);

    let folder = tempfile::tempdir().unwrap();
    let mut steps = Vec::new();
    let mut part = |until: u64| {
        let mut note = |progress: &Progress| {
            steps.push(progress.step);
            ControlFlow::Continue(())
        };
        train_until(&model, &data, &config, folder.path(), until, &mut note).unwrap()
    };
    for until in [3, 3, 7] {
        let outcome = part(until);
        assert_eq!(outcome.report.steps, until);
        assert_eq!(outcome.report.stopped, StopReason::Cancelled);
        assert_eq!(outcome.report.tokens, planned[until as usize - 1]);
    }
    assert_eq!(part(last).report.stopped, StopReason::Completed);
    // Once more: what is there is told again, and no step is taken.
    let parts = part(last);
    assert_eq!(steps, (1..=last).collect::<Vec<u64>>(), "every step once");
    assert_eq!(parts.report.stopped, StopReason::Completed);
    assert_eq!(adapter_weights(&parts), adapter_weights(&whole));
    assert_eq!(parts.report.curve, whole.report.curve);
    assert_eq!(parts.report.best_val_loss, whole.report.best_val_loss);
    let stream = TrainData::stream(Arc::new(Copying), examples(3, 1));
    assert!(planned_tokens(&stream, &config).is_empty());
}

#[test]
fn the_seed_decides_and_nothing_else() {
    let model = small_model(true);
    let data = TrainData::examples(examples(12, 0));
    let run = |config: &TrainConfig| {
        let folder = tempfile::tempdir().unwrap();
        adapter_weights(&train(&model, &data, config, folder.path(), &mut quiet).unwrap())
    };
    assert_eq!(run(&lora(4)), run(&lora(4)));
    assert_ne!(run(&lora(4)), run(&TrainConfig { seed: 1, ..lora(4) }));
    // Threads only change the order of sums.
    let (two, one) = (run(&lora(4)), run(&TrainConfig { threads: 1, ..lora(4) }));
    assert!(two.iter().zip(&one).all(|(two, one)| (two - one).abs() < 2e-3));
}

#[test]
fn adapters_learn_and_stop_early() {
    let model = small_model(true);
    let mut data = TrainData::examples((0..16).map(|i| Copying.example(i, 0)).collect());
    data.validation = (100..116).map(|i| Copying.example(i, 0)).collect();
    let config = TrainConfig {
        length: RunLength::Epochs(200),
        batch_tokens: 72,
        patience: Some(3),
        validation_interval: 5,
        schedule: Schedule { warmup_steps: 2, decay: crate::Decay::Constant, hold: 0.0 },
        ..lora(0)
    };
    let folder = tempfile::tempdir().unwrap();
    let mut last = f64::NAN;
    let mut outcome = train(&model, &data, &config, folder.path(), &mut |progress| {
        last = progress.val_loss.unwrap_or(last);
        ControlFlow::Continue(())
    })
    .unwrap();
    outcome.name_base("tiny");
    let report = &outcome.report;
    assert_eq!(report.stopped, StopReason::EarlyStopped);
    let best = report.best_val_loss.unwrap();
    assert!(best < report.initial_val_loss.unwrap() && best < last);
    assert!(report.best_step < report.steps);
    // The weights are those of the best validation, not the last.
    let Trained::Adapter(adapter) = &outcome.trained else { panic!("not an adapter") };
    assert_eq!(adapter.config().base_model, "tiny");
    let losses = data.validation.iter().map(|example| {
        let logits = crate::logits(&model, Some(adapter), &example.tokens).unwrap();
        (5..9)
            .map(|place| loss_at(&logits[(place - 1) * 24..place * 24], example.tokens[place]))
            .sum::<f64>()
    });
    let mean = losses.sum::<f64>() / 64.0;
    assert!((mean - best).abs() < 1e-5, "{mean} {best}");
}

fn loss_at(logits: &[f32], token: u32) -> f64 {
    let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    sum.ln() - f64::from(logits[token as usize])
}

#[test]
fn divergence_keeps_the_adapter_near_the_base() {
    let model = small_model(true);
    let task: Vec<_> = (0..8).map(|i| Copying.example(i, 0)).collect();
    let mut data = TrainData::examples(task);
    data.rehearsal = examples(10, 3);
    let drift = |kl_to_base: f64| {
        let config = TrainConfig { kl_to_base, rehearsal_fraction: 0.5, ..lora(40) };
        let folder = tempfile::tempdir().unwrap();
        let outcome = train(&model, &data, &config, folder.path(), &mut quiet).unwrap();
        let Trained::Adapter(adapter) = &outcome.trained else { panic!("not an adapter") };
        let tokens = &examples(10, 3)[4].tokens;
        let tuned = crate::logits(&model, Some(adapter), tokens).unwrap();
        let base = crate::logits(&model, None, tokens).unwrap();
        tuned.iter().zip(&base).map(|(a, b)| (a - b).powi(2)).sum::<f32>()
    };
    let (free, held) = (drift(0.0), drift(20.0));
    assert!(held < free * 0.7, "{held} {free}");
}

#[test]
fn nonsense_is_refused_with_its_place() {
    let model = small_model(true);
    let folder = tempfile::tempdir().unwrap();
    let run = |examples: Vec<Example>, config: TrainConfig| {
        let data = TrainData::examples(examples);
        train(&model, &data, &config, folder.path(), &mut quiet).unwrap_err().to_string()
    };
    let mut broken = examples(3, 0);
    broken[1].tokens[2] = 24;
    assert_eq!(run(broken, lora(2)), "training example 1: token 24 is not among the 24");
    let mut broken = examples(3, 0);
    broken[2].loss_weights.pop();
    assert!(run(broken, lora(2)).starts_with("training example 2: "));
    let long = Example::uniform(vec![1; 2000]);
    assert!(run(vec![long], lora(2)).contains("2000 tokens, but the model takes 1024"));
    assert!(run(Vec::new(), lora(2)).contains("no examples"));
    let config = TrainConfig { kl_to_base: 1.0, method: Method::Full, ..lora(2) };
    assert!(run(examples(3, 0), config).contains("method lora only"));
    let config = TrainConfig { rehearsal_fraction: 0.5, ..lora(2) };
    assert!(run(examples(3, 0), config).contains("no rehearsal examples"));
    let config = TrainConfig { learning_rate: 1e30, clip_norm: 0.0, ..lora(20) };
    assert!(run(examples(3, 0), config).contains("use a lower learning rate"));
}

#[test]
fn a_folder_belongs_to_one_run() {
    let model = small_model(true);
    let folder = tempfile::tempdir().unwrap();
    let run = |seed: u32| {
        let data = TrainData::examples(examples(6, seed));
        train(&model, &data, &lora(4), folder.path(), &mut quiet)
    };
    run(0).unwrap();
    assert!(matches!(run(1), Err(TrainError::OtherRun { .. })));
    run(0).unwrap();
    std::fs::write(folder.path().join("checkpoint.json"), "{").unwrap();
    assert!(matches!(run(0), Err(TrainError::BrokenCheckpoint { .. })));
}

#[test]
fn rehearsal_makes_up_its_share() {
    let model = small_model(true);
    let mut data = TrainData::examples(examples(40, 0));
    data.rehearsal = examples(9, 7);
    let config = TrainConfig { rehearsal_fraction: 0.25, ..lora(30) };
    let own: usize = examples(40, 0).iter().map(|example| example.tokens.len()).sum();
    let (train_set, _) = data.split(&config);
    let batches = crate::batches::Batches::new(&data, &train_set, &config);
    let (mut task, mut rehearsed) = (0, 0);
    for step in 0..30 {
        let position = crate::batches::Position { step, ..Default::default() };
        for item in batches.at(position).unwrap() {
            let tokens = item.example.item().tokens();
            if item.rehearsal { rehearsed += tokens } else { task += tokens }
        }
    }
    let share = rehearsed as f64 / (task + rehearsed) as f64;
    assert!((share - 0.25).abs() < 0.02, "{share}");
    assert!(task > own, "more than one epoch");
    assert_eq!(model.config().vocab_size, 24);
}

/// Pairs that disagree about one token: the second is preferred to the first.
fn preferences() -> Vec<Preference> {
    (0..12)
        .map(|index| {
            let prompt = [3 + index % 8, 4 + index % 5, 1];
            Preference {
                chosen: Example::answer_only(&prompt, &[9, 2]),
                rejected: Example::answer_only(&prompt, &[10, 2]),
            }
        })
        .collect()
}

#[test]
fn preferences_are_learned_and_resume() {
    let model = small_model(true);
    let data = TrainData::preferences(preferences());
    let config = TrainConfig {
        validation_fraction: 0.25,
        validation_interval: 4,
        preference_beta: 0.5,
        ..lora(16)
    };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let straight = interrupted(&model, &data, &config, first.path(), &[]);
    let broken = interrupted(&model, &data, &config, &second.path().join("new"), &[5, 2]);
    assert_eq!(adapter_weights(&straight), adapter_weights(&broken));
    let report = &straight.report;
    assert_eq!((report.train_examples, report.validation_examples), (9, 3));
    let initial = report.initial_val_loss.unwrap();
    assert!((initial - 2.0_f64.ln()).abs() < 1e-6, "{initial}");
    assert!(report.best_val_loss.unwrap() < 0.5 * initial, "{:?}", report.best_val_loss);
    let last = report.curve.last().unwrap().rewards.unwrap();
    assert!(last.accuracy == 1.0 && last.margin > 1.0, "{last:?}");

    // What the run measured is what the adapter says afterwards.
    let Trained::Adapter(adapter) = &straight.trained else { panic!("not an adapter") };
    let (loss, rewards) =
        preference_rewards(&model, adapter, &preferences(), config.preference_beta).unwrap();
    assert!(loss < 0.5 * initial && rewards.iter().all(|pair| pair.margin > 0.0));

    // All weights can learn from pairs, too; the rewards are measured from the weights before.
    let full = TrainConfig { method: Method::Full, learning_rate: 1e-3, ..config };
    let folder = tempfile::tempdir().unwrap();
    let outcome = train(&model, &data, &full, folder.path(), &mut quiet).unwrap();
    let last = outcome.report.curve.last().unwrap().rewards.unwrap();
    assert!(last.margin > 0.5, "{last:?}");
}

#[test]
fn preferences_that_say_nothing_are_refused() {
    let model = small_model(true);
    let folder = tempfile::tempdir().unwrap();
    let mut pairs = preferences();
    pairs[3].rejected.loss_weights.fill(0.0);
    let run = |data: &TrainData, config: &TrainConfig| {
        train(&model, data, config, folder.path(), &mut quiet).unwrap_err().to_string()
    };
    let error = run(&TrainData::preferences(pairs), &lora(2));
    assert_eq!(error, "rejected example 3: no token has a loss weight, so that there is no answer");
    assert!(run(&TrainData::preferences(Vec::new()), &lora(2)).contains("no pairs"));
    let mut mixed = TrainData::preferences(preferences());
    mixed.rehearsal = examples(3, 0);
    let config = TrainConfig { rehearsal_fraction: 0.5, ..lora(2) };
    assert!(run(&mixed, &config).contains("not mixed with rehearsal"));
}

#[test]
fn a_student_comes_close_to_its_teacher() {
    let student = small_model(true);
    let teacher = Arc::new(BaseModel::initialize(student.config().clone(), 77).unwrap());
    let sharper = teacher
        .weights()
        .iter()
        .map(|weight| if weight.abs() < 0.5 { weight * 9.0 } else { *weight });
    let teacher = BaseModel::new(teacher.config().clone(), sharper.collect()).unwrap();
    let set: Vec<_> = (0..24).map(|i| Copying.example(i, 0)).collect();
    let targets = teach(&teacher, &set, 24, 2).unwrap();
    assert_eq!(targets, teach(&teacher, &set, 24, 1).unwrap());
    let divergence = |weight: f64| {
        let mut data = TrainData::examples(set.clone());
        data.teacher = targets.clone();
        let config =
            TrainConfig { distillation_weight: weight, distillation_temperature: 1.5, ..lora(60) };
        let folder = tempfile::tempdir().unwrap();
        let outcome = train(&student, &data, &config, folder.path(), &mut quiet).unwrap();
        let Trained::Adapter(adapter) = &outcome.trained else { panic!("not an adapter") };
        let tokens = &set[0].tokens;
        let theirs = logits(&teacher, None, tokens).unwrap();
        let own = logits(&student, Some(adapter), tokens).unwrap();
        // Where the answer is predicted.
        (4..8).map(|row| kl(&theirs[row * 24..][..24], &own[row * 24..][..24])).sum::<f64>()
    };
    let (taught, untaught) = (divergence(1.0), divergence(0.0));
    assert!(taught < 0.3 * untaught, "{taught} {untaught}");

    let mut data = TrainData::examples(set.clone());
    data.teacher = targets[1..].to_vec();
    let folder = tempfile::tempdir().unwrap();
    let error = train(&student, &data, &lora(2), folder.path(), &mut quiet).unwrap_err();
    assert!(error.to_string().contains("24 examples, but a teacher's targets for 23"));
}

fn kl(from: &[f32], to: &[f32]) -> f64 {
    (0..from.len() as u32)
        .map(|token| {
            let (p, q) = (loss_at(from, token), loss_at(to, token));
            (-p).exp() * (q - p)
        })
        .sum()
}

#[test]
fn adapters_learn_on_an_8_bit_base_as_on_floats() {
    let mut config = DecoderConfig::small(24, 32, 64, 3, 2, 1);
    config.head_dim = Some(16);
    let model = model_of(config);
    let rounded = QuantizedBase::new(&model).unwrap();
    let data = TrainData::examples((0..24).map(|i| Copying.example(i, 0)).collect());
    let run = |base: Base<'_>, recompute| {
        let folder = tempfile::tempdir().unwrap();
        let config = TrainConfig { recompute, batch_tokens: 72, ..lora(40) };
        train(base, &data, &config, folder.path(), &mut quiet).unwrap()
    };
    let floats = run(Base::from(&model), Recompute::None);
    let bytes = run(Base::from(&rounded), Recompute::Full);
    let losses = |outcome: &TrainOutcome| -> Vec<f32> {
        outcome.report.curve.iter().map(|point| point.loss).collect()
    };
    let (floats, bytes) = (losses(&floats), losses(&bytes));
    assert!(floats[39] < 0.7 * floats[0], "{} {}", floats[0], floats[39]);
    let gap = floats.iter().zip(&bytes).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(gap > 0.0 && gap < 0.1 * floats[0], "{gap}");
    // Recomputing changes memory only.
    assert_eq!(bytes, losses(&run(Base::from(&rounded), Recompute::Selective)));

    let folder = tempfile::tempdir().unwrap();
    let full = TrainConfig { method: Method::Full, ..lora(2) };
    let error = train(&rounded, &data, &full, folder.path(), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("an 8-bit base is frozen"), "{error}");
}

#[test]
fn estimates_know_what_saves_memory() {
    let mut model = DecoderConfig::small(32_000, 512, 1_376, 8, 8, 8);
    model.max_position_embeddings = 4_096;
    let data = TrainData::examples(vec![Example::uniform(vec![1; 1_000]); 8]);
    let of = |quantized, config: &TrainConfig| estimate(&model, quantized, &data, config).unwrap();
    let with = |recompute| TrainConfig { recompute, checkpoint_interval: 0, ..lora(2) };
    let all = of(false, &with(Recompute::None));
    let some = of(false, &with(Recompute::Selective));
    let least = of(false, &with(Recompute::Full));
    assert!(least.activation_bytes * 2 < some.activation_bytes);
    assert!(some.activation_bytes < all.activation_bytes * 3 / 4);
    assert!(least.operations > some.operations);
    assert_eq!(some.operations, all.operations);
    assert!(of(true, &with(Recompute::None)).base_bytes * 3 < all.base_bytes);
    let full = TrainConfig { method: Method::Full, ..with(Recompute::None) };
    assert!(of(false, &full).state_bytes > 4 * all.base_bytes);
    // What is chosen depends on the room.
    let auto = |memory_limit| TrainConfig { memory_limit, ..with(Recompute::Auto) };
    assert_eq!(of(false, &auto(None)).recompute, Recompute::Selective);
    let tight = auto(Some(least.peak_bytes() + (1 << 20)));
    assert_eq!(of(false, &tight).recompute, Recompute::Full);
}
