//! The training loop.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use pelton_kernels::{RopeTable, sum_of_squares};
use pelton_model::{
    Adapter, AdapterConfig, BaseModel, DecoderConfig, ModelError, write_atomically,
};

use crate::base::{Base, Weights};
use crate::batches::{BatchItem, Batches, Position};
use crate::checkpoint::{self, Best, RunState};
use crate::config::{Method, Recompute, RunLength, TrainConfig};
use crate::data::{Item, Source, TrainData, check_example};
use crate::decoder::Decoder;
use crate::estimate::estimate;
use crate::low_rank::{LowRank, LowRankLayout};
use crate::optimize::{Moments, Segment, Update, update};
use crate::report::{CurvePoint, Progress, StopReason, TrainReport};
use crate::schedule::rate_share;
use crate::worker::{LossSums, Objective, Weighted, Worker, share_out};
use crate::{Example, Preference, TeacherTargets, TrainError};

/// What a run made.
#[derive(Debug, Clone)]
pub struct TrainOutcome {
    /// The weights: the best by validation where `patience` is set, else the last.
    pub trained: Trained,
    /// How it went.
    pub report: TrainReport,
}

/// The weights that a run made.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one of it in a run")]
pub enum Trained {
    /// An adapter for the model that was given.
    Adapter(Adapter),
    /// A model.
    Model(BaseModel),
}

impl TrainOutcome {
    /// Says in the adapter's configuration which base it belongs to, by name or path.
    pub fn name_base(&mut self, name: &str) {
        if let Trained::Adapter(adapter) = &mut self.trained {
            adapter.name_base(name);
        }
    }

    /// Writes a PEFT or a Hugging Face folder, with `train_report.json` in it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, folder: &Path) -> Result<(), TrainError> {
        match &self.trained {
            Trained::Adapter(adapter) => adapter.save(folder)?,
            Trained::Model(model) => model.save(folder)?,
        }
        let path = folder.join("train_report.json");
        let json = serde_json::to_vec_pretty(&self.report)
            .map_err(|source| ModelError::Json { path: path.clone(), source })?;
        Ok(write_atomically(&path, &json)?)
    }
}

/// Trains on `base` (a model, or one frozen in 8 bits), from the checkpoint in `checkpoints` if there is one.
///
/// The result is a function of the model, the data and the settings, bit for bit, on one kind of
/// processor: interrupting the run at any moment does not change it. `on_progress` is called after
/// every step and may stop the run; a checkpoint is then written.
///
/// # Errors
/// When settings or data make no sense, the loss is not a number any more, the folder holds
/// another run's checkpoint, or the disk refuses.
pub fn train<'a>(
    base: impl Into<Base<'a>>,
    data: &TrainData,
    config: &TrainConfig,
    checkpoints: &Path,
    on_progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<TrainOutcome, TrainError> {
    train_until(base, data, config, checkpoints, u64::MAX, on_progress)
}

/// Trains as [`train`] does, but no further than to `until` steps in all, where it leaves a checkpoint. Called
/// again with a later step, it goes on from there; the result is that of a run without pauses.
///
/// # Errors
/// As [`train`].
pub fn train_until<'a>(
    base: impl Into<Base<'a>>,
    data: &TrainData,
    config: &TrainConfig,
    checkpoints: &Path,
    until: u64,
    on_progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<TrainOutcome, TrainError> {
    let base = base.into();
    config.validate()?;
    data.check(base.config(), config)?;
    let low_rank = low_rank_layout(base.config(), config)?;
    if low_rank.is_none() {
        base.dense()?;
    }
    let (train, validation) = data.split(config);
    let train_examples = train.len();
    let fingerprint = fingerprint(base, data, config);
    let keep = estimate(base.config(), matches!(base, Base::Quantized(_)), data, config)?.keep;
    let mut run = Run {
        base,
        config,
        objective: Objective::new(config, keep),
        segments: match &low_rank {
            Some(layout) => Segment::low_rank(layout.len),
            None => Segment::of_layout(base.layout()),
        },
        rope: rope_table(base.config(), base.config().max_position_embeddings)?,
        batches: Batches::new(data, &train, config),
        until,
        validation,
        workers: (0..config.threads).map(|_| Worker::default()).collect(),
        low_rank,
    };
    let mut state = match checkpoint::load(checkpoints, &fingerprint)? {
        Some(state) => state,
        None => run.first_state()?,
    };
    let stopped = run.steps(&mut state, checkpoints, &fingerprint, on_progress)?;
    run.outcome(state, stopped, train_examples)
}

struct Run<'a> {
    base: Base<'a>,
    config: &'a TrainConfig,
    objective: Objective,
    low_rank: Option<LowRankLayout>,
    segments: Vec<Segment>,
    rope: RopeTable<f32>,
    batches: Batches<'a>,
    /// Steps in all at which it pauses.
    until: u64,
    validation: Vec<Item<'a>>,
    workers: Vec<Worker<f32>>,
}

impl Run<'_> {
    fn first_state(&mut self) -> Result<RunState, TrainError> {
        let weights = match &self.low_rank {
            Some(layout) => {
                let seed = self.config.seed;
                let adapter = Adapter::initialize(layout.config.clone(), self.base.config(), seed)?;
                layout.flatten(&adapter)
            }
            None => self.base.dense()?.weights().to_vec(),
        };
        let len = weights.len();
        let initial_val_loss = self.validate(&weights)?;
        Ok(RunState {
            position: Position::default(),
            seconds: 0.0,
            weights,
            moments: Moments { mean: vec![0.0; len], square: vec![0.0; len] },
            initial_val_loss,
            best: None,
            without_improvement: 0,
            curve: Vec::new(),
        })
    }

    fn steps(
        &mut self,
        state: &mut RunState,
        checkpoints: &Path,
        fingerprint: &str,
        on_progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<StopReason, TrainError> {
        let interval = self.validation_interval();
        loop {
            if self.config.patience.is_some_and(|patience| state.without_improvement >= patience) {
                return Ok(StopReason::EarlyStopped);
            }
            let Some(batch) = self.batches.at(state.position) else {
                return Ok(StopReason::Completed);
            };
            if state.position.step >= self.until {
                return Ok(StopReason::Cancelled);
            }
            let start = Instant::now();
            let mut progress = self.step(state, &batch)?;
            let is_last = self.batches.done(state.position) >= 1.0;
            let step = state.position.step;
            if interval > 0 && (step.is_multiple_of(interval) || is_last) {
                progress.val_loss = self.validate(&state.weights)?;
                self.note_validation(state, progress.val_loss);
            }
            state.seconds += start.elapsed().as_secs_f64();
            note_progress(state, &mut progress, self.batches.done(state.position));
            let stop = on_progress(&progress).is_break();
            let every = self.config.checkpoint_interval;
            if stop || step == self.until || (every > 0 && step.is_multiple_of(every)) {
                checkpoint::save(checkpoints, fingerprint, state)?;
            }
            if stop {
                return Ok(StopReason::Cancelled);
            }
        }
    }

    fn validation_interval(&self) -> u64 {
        match (self.config.validation_interval, &self.batches, self.config.length) {
            (0, Batches::Planned { steps, .. }, RunLength::Epochs(epochs)) => {
                (steps.len() as u64).div_ceil(epochs.max(1)).max(1)
            }
            (0, Batches::Planned { .. }, _) => 50,
            (0, Batches::Streamed { .. }, _) => 200,
            (interval, ..) => interval,
        }
    }

    /// One update of the weights.
    fn step(
        &mut self,
        state: &mut RunState,
        batch: &[BatchItem<'_>],
    ) -> Result<Progress, TrainError> {
        let start = Instant::now();
        let config = self.config;
        let mut tokens = 0;
        let mut weighted = Vec::with_capacity(batch.len());
        for (offset, item) in batch.iter().enumerate() {
            let index = state.position.next_index + offset as u64;
            let divergence = if item.rehearsal { config.kl_to_base } else { 0.0 };
            let item = item.example.item();
            check_example("training", index, item.example, self.base.config())?;
            tokens += item.tokens() as u64;
            weighted.push(Weighted { item, divergence });
        }
        let sums = self.gradients(&state.weights, &weighted)?;
        let mut workers = self.workers.iter_mut();
        let gradient = match workers.next() {
            Some(first) => &mut first.gradients,
            None => return Err(TrainError::LostThread),
        };
        for other in workers {
            gradient.iter_mut().zip(&other.gradients).for_each(|(sum, value)| *sum += value);
        }
        let mean = 1.0 / sums.weight.max(f64::MIN_POSITIVE);
        let gradient_norm = sum_of_squares(gradient).sqrt() * mean;
        let step = state.position.step + 1;
        if !(sums.mean().is_finite() && gradient_norm.is_finite()) {
            return Err(TrainError::Diverged { step, loss: sums.mean(), gradient_norm });
        }
        let clipped = if config.clip_norm > 0.0 && gradient_norm > config.clip_norm {
            config.clip_norm / gradient_norm
        } else {
            1.0
        };
        let share = rate_share(&config.schedule, step - 1, self.batches.done(state.position));
        let numbers = Update { rate_share: share, gradient_scale: mean * clipped, step };
        if sums.weight > 0.0 {
            update(
                &self.segments,
                &mut state.weights,
                &mut state.moments,
                gradient,
                config,
                numbers,
            );
        }
        state.position = Position {
            step,
            tokens: state.position.tokens + tokens,
            next_index: state.position.next_index + batch.len() as u64,
        };
        Ok(Progress {
            step,
            total: self.batches.total_steps(state.position),
            loss: sums.mean(),
            divergence: sums.divergence * mean,
            rewards: sums.rewards(),
            val_loss: None,
            lr: config.learning_rate * share,
            grad_norm: gradient_norm,
            tokens_per_s: tokens as f64 / start.elapsed().as_secs_f64().max(1e-9),
            tokens: state.position.tokens,
            elapsed: 0.0,
            eta: 0.0,
        })
    }

    /// Fills the workers' gradients.
    fn gradients(
        &mut self,
        weights: &[f32],
        examples: &[Weighted<'_>],
    ) -> Result<LossSums, TrainError> {
        let (config, len) = (self.config, weights.len());
        let objective = self.objective;
        let decoder = decoder(self.base, self.low_rank.as_ref(), &self.rope, weights);
        let base = base_decoder(self.base, &self.rope);
        on_threads(&mut self.workers, share_out(examples, config.threads), |worker, share| {
            worker.gradients.clear();
            worker.gradients.resize(len, 0.0);
            worker.learn(&decoder, &base, &share, &objective)
        })
    }

    /// Mean loss on the held-out examples, if there are any.
    fn validate(&mut self, weights: &[f32]) -> Result<Option<f64>, TrainError> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let objective = self.objective;
        let decoder = decoder(self.base, self.low_rank.as_ref(), &self.rope, weights);
        let base = base_decoder(self.base, &self.rope);
        let examples: Vec<_> =
            self.validation.iter().map(|&item| Weighted { item, divergence: 0.0 }).collect();
        let shares = share_out(&examples, self.config.threads);
        let sums = on_threads(&mut self.workers, shares, |worker, share| {
            worker.evaluate(&decoder, &base, &share, &objective)
        })?;
        Ok(Some(sums.mean()))
    }

    fn note_validation(&self, state: &mut RunState, loss: Option<f64>) {
        let Some(loss) = loss else { return };
        if state.best.as_ref().is_none_or(|best| loss < best.loss) {
            state.without_improvement = 0;
            // Without early stopping the last weights are the result, so that none are kept here.
            let weights =
                if self.config.patience.is_some() { state.weights.clone() } else { Vec::new() };
            state.best = Some(Best { loss, step: state.position.step, weights });
        } else {
            state.without_improvement += 1;
        }
    }

    fn outcome(
        self,
        mut state: RunState,
        stopped: StopReason,
        train_examples: usize,
    ) -> Result<TrainOutcome, TrainError> {
        if let Some(best) = &mut state.best
            && self.config.patience.is_some()
        {
            state.weights = std::mem::take(&mut best.weights);
        }
        let trained_parameters = state.weights.len();
        let trained = match &self.low_rank {
            Some(layout) => Trained::Adapter(layout.unflatten(&state.weights, self.base.config())?),
            None => Trained::Model(BaseModel::new(self.base.config().clone(), state.weights)?),
        };
        let report = TrainReport {
            config: self.config.clone(),
            stopped,
            steps: state.position.step,
            tokens: state.position.tokens,
            seconds: state.seconds,
            trained_parameters,
            train_examples,
            validation_examples: self.validation.len(),
            initial_val_loss: state.initial_val_loss,
            best_val_loss: state.best.as_ref().map(|best| best.loss),
            best_step: state.best.as_ref().map_or(state.position.step, |best| best.step),
            curve: state.curve,
        };
        Ok(TrainOutcome { trained, report })
    }
}

fn note_progress(state: &mut RunState, progress: &mut Progress, done: f64) {
    progress.elapsed = state.seconds;
    progress.eta = state.seconds * (1.0 - done).max(0.0) / done.max(1e-9);
    state.curve.push(CurvePoint {
        step: progress.step,
        tokens: progress.tokens,
        loss: progress.loss as f32,
        val_loss: progress.val_loss.map(|loss| loss as f32),
        lr: progress.lr as f32,
        grad_norm: progress.grad_norm as f32,
        rewards: progress.rewards,
    });
}

/// Runs one share on each worker's thread and adds up the sums in the workers' order.
fn on_threads<S: Send>(
    workers: &mut [Worker<f32>],
    shares: Vec<S>,
    run: impl Fn(&mut Worker<f32>, S) -> LossSums + Sync,
) -> Result<LossSums, TrainError> {
    let run = &run;
    std::thread::scope(|scope| {
        let mut pairs = workers.iter_mut().zip(shares);
        let own = pairs.next();
        let others: Vec<_> =
            pairs.map(|(worker, share)| scope.spawn(move || run(worker, share))).collect();
        let mut sums = LossSums::default();
        if let Some((worker, share)) = own {
            sums.add(run(worker, share));
        }
        for other in others {
            sums.add(other.join().map_err(|_| TrainError::LostThread)?);
        }
        Ok(sums)
    })
}

pub(crate) fn rope_table(
    config: &DecoderConfig,
    positions: usize,
) -> Result<RopeTable<f32>, TrainError> {
    let rotary = config.rotary()?;
    Ok(RopeTable::new(positions, &rotary.frequencies, rotary.scale))
}

/// The model with what is trained in place: an adapter beside the base, or all weights.
fn decoder<'a>(
    base: Base<'a>,
    low_rank: Option<&'a LowRankLayout>,
    rope: &'a RopeTable<f32>,
    trained: &'a [f32],
) -> Decoder<'a, f32> {
    Decoder {
        config: base.config(),
        layout: base.layout(),
        weights: if low_rank.is_some() { base.weights() } else { Weights::Dense(trained) },
        low_rank: low_rank.map(|layout| LowRank { layout, weights: trained }),
        rope,
    }
}

/// What divergences and rewards are measured from: the base as it was.
fn base_decoder<'a>(base: Base<'a>, rope: &'a RopeTable<f32>) -> Decoder<'a, f32> {
    Decoder {
        config: base.config(),
        layout: base.layout(),
        weights: base.weights(),
        low_rank: None,
        rope,
    }
}

pub(crate) fn low_rank_layout(
    model: &DecoderConfig,
    config: &TrainConfig,
) -> Result<Option<LowRankLayout>, TrainError> {
    let Method::Lora { rank, alpha, targets, rank_stabilized } = &config.method else {
        return Ok(None);
    };
    let mut targets = targets.clone();
    targets.sort_unstable();
    targets.dedup();
    let adapter = AdapterConfig {
        rank: *rank,
        alpha: *alpha,
        rank_stabilized: *rank_stabilized,
        targets,
        base_model: String::new(),
    };
    adapter.validate()?;
    Ok(Some(LowRankLayout::new(&adapter, model)))
}

/// Of everything that decides the result, apart from how long the run is, how often it saves and how it
/// spares memory.
fn fingerprint(base: Base<'_>, data: &TrainData, config: &TrainConfig) -> String {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    let is_stream = matches!(data.source, Source::Stream(_));
    let settings = TrainConfig {
        checkpoint_interval: 0,
        // A stream may be prolonged or cut short; a set's order of batches hangs on its length.
        length: if is_stream { RunLength::Tokens(0) } else { config.length },
        recompute: Recompute::Auto,
        memory_limit: None,
        ..config.clone()
    };
    hash.bytes(format!("{settings:?}{:?}", base.config()).as_bytes());
    match base {
        Base::Dense(model) => hash.floats(model.weights()),
        Base::Quantized(base) => {
            hash.floats(base.vectors());
            for matrix in base.matrices() {
                let (quants, scales) = matrix.content();
                quants.iter().for_each(|quant| hash.word(*quant as u64));
                scales.for_each(|scale| hash.word(u64::from(scale)));
            }
        }
    }
    match &data.source {
        Source::Examples(examples) => hash.examples(examples),
        Source::Preferences(pairs) => pairs.iter().for_each(|Preference { chosen, rejected }| {
            hash.example(chosen);
            hash.example(rejected);
        }),
        Source::Stream(_) => {}
    }
    hash.examples(&data.rehearsal);
    hash.examples(&data.validation);
    for TeacherTargets { bounds, tokens, log_probabilities } in &data.teacher {
        bounds.iter().for_each(|bound| hash.word(*bound as u64));
        tokens.iter().for_each(|token| hash.word(u64::from(*token)));
        hash.floats(log_probabilities);
    }
    format!("{:016x}", hash.0)
}

/// Fowler, Noll and Vo's hash, 64 bits at a time: enough to notice a mistake.
struct Fnv(u64);

impl Fnv {
    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3);
        self.0 ^= self.0 >> 29;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.word(u64::from(*byte)));
    }

    fn floats(&mut self, values: &[f32]) {
        values.iter().for_each(|value| self.word(u64::from(value.to_bits())));
    }

    fn examples(&mut self, examples: &[Example]) {
        self.word(examples.len() as u64);
        examples.iter().for_each(|example| self.example(example));
    }

    fn example(&mut self, Example { tokens, loss_weights }: &Example) {
        self.word(tokens.len() as u64);
        tokens.iter().for_each(|token| self.word(u64::from(*token)));
        self.floats(loss_weights);
    }
}
