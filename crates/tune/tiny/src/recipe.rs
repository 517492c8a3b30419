//! Makes pelton-tiny from nothing: tokenizer, weights, held-out abilities, card.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pelton_model::{BaseModel, LlamaConfig};
use pelton_trainer::{
    CurvePoint, Decay, Example, Optimizer, Progress, RunLength, Schedule, TrainConfig, TrainData,
    Trained, logits, model_at_checkpoint, train,
};
use serde::{Deserialize, Serialize};

use crate::abilities::measure;
use crate::conversation::{Conversation, Task};
use crate::corpus::Corpus;
use crate::error::TinyError;
use crate::loss_curve;
use crate::model_card::{Ability, Run, model_card};
use crate::source::CorpusSource;
use crate::split::Split;
use crate::tokenizer::TinyTokenizer;

/// Everything that decides the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Seed of the corpus and of the first weights.
    pub seed: u64,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Items of each stage that the tokenizer is trained on.
    pub tokenizer_items: u64,
    /// Width of the residual stream.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads of 32 each; half as many key and value heads.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// Tokens over which the curriculum's stages are laid out.
    pub curriculum_tokens: u64,
    /// Tokens at the peak learning rate.
    pub stable_tokens: u64,
    /// Tokens over which the learning rate begins to fall.
    pub decay_tokens: u64,
    /// Tokens over which it would fall to zero, if the next phase did not take over.
    pub decay_length: u64,
    /// Tokens of the third phase, on desks, whose rate starts where the second left it and falls to zero.
    pub focus_tokens: u64,
    /// Tokens of the last phase, on desks with questions first as well; its rate starts like the third's.
    pub final_tokens: u64,
    /// Tokens of one step.
    pub batch_tokens: usize,
    /// Longest example in tokens.
    pub longest: usize,
    /// Muon's peak learning rate, for the layers' matrices.
    pub muon_rate: f64,
    /// AdamW's peak learning rate, for the rest.
    pub adamw_rate: f64,
    /// Threads; a part of the result, since sums are formed per thread.
    pub threads: usize,
    /// Held-out items of each task for the card.
    pub gate_items: u64,
}

impl Default for Recipe {
    /// The recipe of the committed model.
    fn default() -> Self {
        Self {
            seed: 1,
            vocab: 2048,
            tokenizer_items: 6_000,
            width: 128,
            layers: 6,
            heads: 4,
            feed_forward: 352,
            curriculum_tokens: 30_000_000,
            stable_tokens: 9_050_386,
            decay_tokens: 4_727_038,
            decay_length: 13_000_000,
            focus_tokens: 4_000_000,
            final_tokens: 10_000_000,
            batch_tokens: 3_072,
            longest: 400,
            muon_rate: 0.02,
            adamw_rate: 3e-3,
            threads: 2,
            gate_items: 200,
        }
    }
}

/// Trains the model into `out`, going on from checkpoints in `work` where there are any.
///
/// `out` gets a Hugging Face folder with the model card; the result is the same bits each time on one kind of
/// processor. `on_progress` sees every step and may stop the run.
///
/// # Errors
/// The trainer's, the tokenizer's, and those of writing files.
pub fn reproduce(
    recipe: &Recipe,
    out: &Path,
    work: &Path,
    on_progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Vec<Ability>, TinyError> {
    let maker = Maker::new(recipe, work)?;
    let stable = maker.phase(&maker.first_model()?, Phase::Stable, on_progress)?;
    let decayed = maker.phase(&stable.model, Phase::Decay, on_progress)?;
    let focused = maker.phase(&decayed.model, Phase::Focus, on_progress)?;
    let last = maker.phase(&focused.model, Phase::Final, on_progress)?;
    let abilities = maker.abilities(&last.model, recipe.gate_items)?;
    maker.export(&last.model, out)?;
    let records = [&stable.record, &decayed.record, &focused.record, &last.record];
    let mut curve: Vec<(u64, f32)> = Vec::new();
    let mut before = 0;
    for record in records {
        curve.extend(record.curve.iter().map(|point| (before + point.tokens, point.loss)));
        before += record.tokens;
    }
    std::fs::write(out.join("loss_curve.svg"), loss_curve::svg(&curve, 200))?;
    let final_loss =
        last.record.curve.iter().rev().find_map(|point| point.val_loss).unwrap_or(f32::NAN);
    let run = Run {
        parameters: last.model.weights().len(),
        vocab: recipe.vocab,
        width: recipe.width,
        layers: recipe.layers,
        heads: recipe.heads,
        kv_heads: recipe.heads / 2,
        feed_forward: recipe.feed_forward,
        steps: records.iter().map(|record| record.steps).sum(),
        tokens: before,
        seconds: records.iter().map(|record| record.seconds).sum(),
        threads: recipe.threads,
        seed: recipe.seed,
        learning_rate: recipe.adamw_rate,
        optimizer: format!(
            "Muon (peak {}) on the layers' matrices and AdamW on the rest",
            recipe.muon_rate
        ),
        final_loss,
        abilities: abilities.clone(),
    };
    std::fs::write(out.join("README.md"), model_card(&run))?;
    std::fs::write(out.join("run.json"), serde_json::to_vec_pretty(&run)?)?;
    Ok(abilities)
}

/// Writes the model as it stands in a run that is going on, for a look at it.
///
/// # Errors
/// Where there is no checkpoint yet or it cannot be read or written.
pub fn export_checkpoint(
    recipe: &Recipe,
    work: &Path,
    out: &Path,
) -> Result<Vec<Ability>, TinyError> {
    let maker = Maker::new(recipe, work)?;
    let first = maker.first_model()?;
    for phase in [Phase::Final, Phase::Focus, Phase::Decay, Phase::Stable] {
        if let Some((_, model)) = model_at_checkpoint(&first, &maker.checkpoints(phase))? {
            maker.export(&model, out)?;
            return maker.abilities(&model, 60);
        }
    }
    Err(TinyError::NoCheckpoint(work.to_owned()))
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Stable,
    Decay,
    Focus,
    Final,
}

struct Maker<'a> {
    recipe: &'a Recipe,
    work: &'a Path,
    tokenizer: TinyTokenizer,
}

/// What one phase of the run made.
struct Phased {
    model: Arc<BaseModel>,
    record: PhaseRecord,
}

/// How a phase went, kept beside its model so that a run that goes on does not do it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PhaseRecord {
    steps: u64,
    tokens: u64,
    seconds: f64,
    curve: Vec<CurvePoint>,
}

impl<'a> Maker<'a> {
    fn new(recipe: &'a Recipe, work: &'a Path) -> Result<Self, TinyError> {
        let corpus = Corpus::new(recipe.seed, Split::Train);
        let tokenizer = TinyTokenizer::train(&corpus, recipe.tokenizer_items, recipe.vocab)?;
        Ok(Self { recipe, work, tokenizer })
    }

    fn checkpoints(&self, phase: Phase) -> PathBuf {
        self.work.join(match phase {
            Phase::Stable => "stable",
            Phase::Decay => "decay",
            Phase::Focus => "focus",
            Phase::Final => "final",
        })
    }

    fn first_model(&self) -> Result<Arc<BaseModel>, TinyError> {
        let Recipe { width, layers, heads, feed_forward, seed, .. } = *self.recipe;
        let mut config = LlamaConfig::small(
            self.tokenizer.vocab_size(),
            width,
            feed_forward,
            layers,
            heads,
            heads / 2,
        );
        for (key, id) in [("bos_token_id", 1), ("eos_token_id", 2), ("pad_token_id", 0)] {
            config.other.insert(key.to_owned(), id.into());
        }
        Ok(Arc::new(BaseModel::initialize(config, seed)?))
    }

    fn phase(
        &self,
        model: &Arc<BaseModel>,
        phase: Phase,
        on_progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Phased, TinyError> {
        let recipe = self.recipe;
        let done = self.checkpoints(phase).with_extension("done");
        if let Ok(record) = std::fs::read(done.join("phase.json")) {
            return Ok(Phased {
                model: Arc::new(BaseModel::load(&done)?),
                record: serde_json::from_slice(&record)?,
            });
        }
        // Tokens, the length that the schedule is laid out for, how it falls, the rates' share, and the tokens
        // before, so that no phase sees data of another.
        let left = 1.0 - recipe.decay_tokens as f64 / recipe.decay_length.max(1) as f64;
        let before = recipe.stable_tokens + recipe.decay_tokens;
        let (tokens, length, decay, share, skip) = match phase {
            Phase::Stable => {
                (recipe.stable_tokens, recipe.curriculum_tokens, Decay::Constant, 1.0, 0)
            }
            Phase::Decay => {
                (recipe.decay_tokens, recipe.decay_length, Decay::Linear, 1.0, recipe.stable_tokens)
            }
            Phase::Focus => (recipe.focus_tokens, recipe.focus_tokens, Decay::Linear, left, before),
            Phase::Final => (
                recipe.final_tokens,
                recipe.final_tokens,
                Decay::Linear,
                left,
                before + recipe.focus_tokens,
            ),
        };
        let settings = TrainConfig {
            optimizer: Optimizer::Muon { learning_rate: recipe.muon_rate * share, momentum: 0.95 },
            learning_rate: recipe.adamw_rate * share,
            schedule: Schedule { warmup_steps: if skip == 0 { 100 } else { 20 }, decay, hold: 0.0 },
            batch_tokens: recipe.batch_tokens,
            // A phase ends by the callback, so that its length can be decided while it runs.
            length: RunLength::Tokens(length),
            seed: recipe.seed,
            threads: recipe.threads,
            validation_interval: 500,
            checkpoint_interval: 100,
            ..TrainConfig::pretrain(length)
        };
        let corpus = Corpus::new(recipe.seed, Split::Train);
        let source = CorpusSource::new(
            corpus,
            self.tokenizer.clone(),
            recipe.curriculum_tokens,
            recipe.longest,
        )
        .after(skip);
        let data = TrainData::stream(Arc::new(source), self.validation()?);
        let mut interrupted = false;
        let outcome = train(model, &data, &settings, &self.checkpoints(phase), &mut |progress| {
            interrupted = on_progress(progress).is_break();
            if interrupted || progress.tokens >= tokens {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        let (Trained::Model(model), false) = (outcome.trained, interrupted) else {
            return Err(TinyError::Interrupted(self.work.to_owned()));
        };
        let report = outcome.report;
        let record = PhaseRecord {
            steps: report.steps,
            tokens: report.tokens,
            seconds: report.seconds,
            curve: report.curve,
        };
        model.save(&done)?;
        std::fs::write(done.join("phase.json"), serde_json::to_vec(&record)?)?;
        Ok(Phased { model: Arc::new(model), record })
    }

    fn validation(&self) -> Result<Vec<Example>, TinyError> {
        let items: Vec<Conversation> = self.held_out(16);
        items.iter().map(|item| self.tokenizer.encode(item, 0.0)).collect()
    }

    fn held_out(&self, of_each: u64) -> Vec<Conversation> {
        let corpus = Corpus::new(self.recipe.seed, Split::Validation);
        Task::ALL
            .into_iter()
            .flat_map(|task| (0..of_each).map(move |index| corpus.single(task, index)))
            .collect()
    }

    fn abilities(&self, model: &BaseModel, of_each: u64) -> Result<Vec<Ability>, TinyError> {
        measure(&self.tokenizer, &self.held_out(of_each), |tokens| Ok(logits(model, None, tokens)?))
    }

    fn export(&self, model: &BaseModel, out: &Path) -> Result<(), TinyError> {
        std::fs::create_dir_all(out)?;
        model.save(out)?;
        self.tokenizer.save(out)?;
        let generation = serde_json::json!({
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
            "do_sample": false,
            "max_new_tokens": 128,
        });
        std::fs::write(
            out.join("generation_config.json"),
            serde_json::to_vec_pretty(&generation)?,
        )?;
        Ok(())
    }
}
