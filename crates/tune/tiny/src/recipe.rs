//! Makes pelton-tiny from nothing: tokenizer, weights, held-out abilities, card.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pelton_model::{BaseModel, DecoderConfig};
use pelton_trainer::{
    Decay, Example, Optimizer, Progress, Schedule, TrainConfig, TrainData, TrainReport, Trained,
    logits, model_at_checkpoint, train,
};

use crate::abilities::{answers, greedy_writes, measure};
use crate::conversation::{Conversation, Task};
use crate::corpus::Corpus;
use crate::error::TinyError;
use crate::loss_curve;
use crate::model_card::{Ability, Run, model_card};
use crate::source::CorpusSource;
use crate::split::Split;
use crate::tokenizer::TinyTokenizer;

/// The indices of two cycles' first items are this far apart.
const FIRST_ITEMS_APART: u64 = 1 << 32;
/// Held-out items that say whether a phase's mechanism is mastered.
const MASTERY_ITEMS: u64 = 150;

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
    /// Heads, of queries, keys and values alike.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// The phases of the run, one after the other.
    pub phases: Vec<Phase>,
    /// Muon's peak learning rate, for the layers' matrices.
    pub muon_rate: f64,
    /// AdamW's peak learning rate, for the rest.
    pub adamw_rate: f64,
    /// Tokens of one step.
    pub batch_tokens: usize,
    /// Longest example in tokens.
    pub longest: usize,
    /// Threads; a part of the result, since sums are formed per thread.
    pub threads: usize,
    /// Held-out items of each task for the card.
    pub gate_items: u64,
}

/// A part of the run with its own items, in cycles at the end of which the learning rate is zero.
///
/// When a mechanism forms differs from run to run by a factor of two, and what comes next fails where it has
/// not. So a phase that teaches one goes on until it is mastered on held-out items.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Its name; each cycle's folder of checkpoints is named after it.
    pub name: &'static str,
    /// Tokens of a cycle.
    pub tokens: u64,
    /// From how many tokens of a cycle on which stage of the corpus is due; the first from 0.
    pub stages: Vec<(u64, usize)>,
    /// Share of held-out answers of the first stage that must be right after a cycle; 0 for one cycle in all.
    pub mastery: f64,
    /// The most cycles.
    pub most_cycles: u64,
    /// Share of a cycle at the peak learning rates; they fall to zero over the rest.
    pub hold: f64,
}

impl Phase {
    fn mastered(name: &'static str, tokens: u64, stage: usize, mastery: f64) -> Self {
        Self { name, tokens, stages: vec![(0, stage)], mastery, most_cycles: 5, hold: 0.65 }
    }
}

impl Default for Recipe {
    /// The recipe that decision 5 gives the reasons for.
    fn default() -> Self {
        Self {
            seed: 1,
            vocab: 1_536,
            tokenizer_items: 6_000,
            width: 128,
            layers: 6,
            heads: 4,
            feed_forward: 352,
            phases: vec![
                Phase::mastered("copies", 1_600_000, 0, 0.9),
                Phase::mastered("rows", 1_600_000, 1, 0.9),
                Phase::mastered("lettered-rows", 1_000_000, 2, 0.9),
                Phase::mastered("short-desks", 1_600_000, 3, 0.85),
                Phase {
                    name: "all",
                    tokens: 14_000_000,
                    stages: vec![(0, 4), (5_500_000, 5)],
                    mastery: 0.0,
                    most_cycles: 1,
                    hold: 0.5,
                },
            ],
            muon_rate: 0.006,
            adamw_rate: 1.8e-3,
            batch_tokens: 768,
            longest: 512,
            threads: 2,
            gate_items: 200,
        }
    }
}

impl Recipe {
    /// Every cycle that the run may have, in order.
    fn cycles(&self) -> impl DoubleEndedIterator<Item = (&Phase, u64)> {
        self.phases.iter().flat_map(|phase| (0..phase.most_cycles).map(move |cycle| (phase, cycle)))
    }
}

/// What happens in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step of the cycle that is going on.
    Step(&'a Progress),
    /// A cycle has ended.
    Cycle {
        /// The phase's name.
        phase: &'static str,
        /// Which of its cycles, from 1.
        cycle: u64,
        /// Share of held-out answers of the phase's first stage that are right now.
        share: f64,
    },
}

/// Trains the model into `out`, going on from checkpoints in `work` where there are any.
///
/// `out` gets a Hugging Face folder with the model card; the result is the same bits each time on one kind of
/// processor. `on_event` sees every step and the end of every cycle, and may stop the run.
///
/// # Errors
/// The trainer's, the tokenizer's, those of writing files, and a phase that is not mastered in its cycles.
pub fn reproduce(
    recipe: &Recipe,
    out: &Path,
    work: &Path,
    on_event: &mut dyn FnMut(&Event<'_>) -> ControlFlow<()>,
) -> Result<Vec<Ability>, TinyError> {
    let maker = Maker::new(recipe, work)?;
    let mut model = maker.first_model()?;
    let (mut curve, mut steps, mut tokens, mut seconds) = (Vec::new(), 0, 0, 0.0);
    let mut validation = Vec::new();
    for phase in &recipe.phases {
        for cycle in 0..phase.most_cycles {
            let on_step = &mut |step: &Progress| on_event(&Event::Step(step));
            let (trained, report) = maker.run(&model, phase, cycle, on_step)?;
            curve.extend(report.curve.iter().map(|point| (tokens + point.tokens, point.loss)));
            validation.extend(report.curve.iter().filter_map(|point| point.val_loss));
            steps += report.steps;
            tokens += report.tokens;
            seconds += report.seconds;
            model = trained;
            let share = maker.mastery(&model, phase)?;
            let name = phase.name;
            if on_event(&Event::Cycle { phase: name, cycle: cycle + 1, share }).is_break() {
                return Err(TinyError::Interrupted(work.to_owned()));
            }
            if share >= phase.mastery {
                break;
            }
            if cycle + 1 == phase.most_cycles {
                return Err(TinyError::NotMastered {
                    phase: name,
                    cycles: phase.most_cycles,
                    share,
                    asked: phase.mastery,
                });
            }
        }
    }
    let abilities = maker.abilities(&model, recipe.gate_items)?;
    maker.export(&model, out)?;
    std::fs::write(out.join("loss_curve.svg"), loss_curve::svg(&curve, 200))?;
    let final_loss = validation.last().copied().unwrap_or(f32::NAN);
    let run = Run {
        parameters: model.weights().len(),
        vocab: recipe.vocab,
        width: recipe.width,
        layers: recipe.layers,
        heads: recipe.heads,
        kv_heads: recipe.heads,
        feed_forward: recipe.feed_forward,
        steps,
        tokens,
        seconds,
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
    for (phase, cycle) in recipe.cycles().rev() {
        if let Some((_, model)) = model_at_checkpoint(&first, &maker.folder(phase, cycle))? {
            maker.export(&model, out)?;
            return maker.abilities(&model, 60);
        }
    }
    Err(TinyError::NoCheckpoint(work.to_owned()))
}

struct Maker<'a> {
    recipe: &'a Recipe,
    work: &'a Path,
    tokenizer: TinyTokenizer,
}

impl<'a> Maker<'a> {
    fn new(recipe: &'a Recipe, work: &'a Path) -> Result<Self, TinyError> {
        let corpus = Corpus::new(recipe.seed, Split::Train);
        let tokenizer = TinyTokenizer::train(&corpus, recipe.tokenizer_items, recipe.vocab)?;
        Ok(Self { recipe, work, tokenizer })
    }

    fn first_model(&self) -> Result<Arc<BaseModel>, TinyError> {
        let Recipe { width, layers, heads, feed_forward, seed, .. } = *self.recipe;
        let mut config = DecoderConfig::small(
            self.tokenizer.vocab_size(),
            width,
            feed_forward,
            layers,
            heads,
            heads,
        );
        for (key, id) in [("bos_token_id", 1), ("eos_token_id", 2), ("pad_token_id", 0)] {
            config.other.insert(key.to_owned(), id.into());
        }
        Ok(Arc::new(BaseModel::initialize(config, seed)?))
    }

    /// Goes on from the checkpoint of an interrupted run.
    fn run(
        &self,
        model: &Arc<BaseModel>,
        phase: &Phase,
        cycle: u64,
        on_progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<(Arc<BaseModel>, TrainReport), TinyError> {
        let recipe = self.recipe;
        let settings = TrainConfig {
            optimizer: Optimizer::Muon { learning_rate: recipe.muon_rate, momentum: 0.95 },
            learning_rate: recipe.adamw_rate,
            schedule: Schedule { warmup_steps: 10, decay: Decay::Linear, hold: phase.hold },
            batch_tokens: recipe.batch_tokens,
            threads: recipe.threads,
            validation_interval: 2_000,
            checkpoint_interval: 500,
            betas: [0.9, 0.99],
            ..TrainConfig::pretrain(phase.tokens)
        };
        let corpus = Corpus::new(recipe.seed, Split::Train);
        // No two cycles share items, however many each takes.
        let place = recipe.cycles().take_while(|other| *other != (phase, cycle)).count() as u64;
        let source = CorpusSource::new(
            corpus,
            self.tokenizer.clone(),
            phase.stages.clone(),
            place * FIRST_ITEMS_APART,
            recipe.longest,
        );
        let data = TrainData::stream(Arc::new(source), self.validation()?);
        let mut interrupted = false;
        let outcome =
            train(model, &data, &settings, &self.folder(phase, cycle), &mut |progress| {
                let flow = on_progress(progress);
                interrupted = flow.is_break();
                flow
            })?;
        match (outcome.trained, interrupted) {
            (Trained::Model(model), false) => Ok((Arc::new(model), outcome.report)),
            _ => Err(TinyError::Interrupted(self.work.to_owned())),
        }
    }

    fn folder(&self, phase: &Phase, cycle: u64) -> PathBuf {
        self.work.join(format!("{}-{}", phase.name, cycle + 1))
    }

    /// The share of held-out answers of the phase's first stage that greedy decoding would write.
    fn mastery(&self, model: &BaseModel, phase: &Phase) -> Result<f64, TinyError> {
        let stage = phase.stages.first().map_or(0, |(_, stage)| *stage);
        let corpus = Corpus::new(self.recipe.seed, Split::Validation);
        let (mut right, mut asked) = (0_usize, 0_usize);
        for index in 0..MASTERY_ITEMS {
            let example = corpus.example(&self.tokenizer, stage, index)?;
            let logits = logits(model, None, &example.tokens)?;
            for answer in answers(&example) {
                right += usize::from(greedy_writes(&logits, &example.tokens, answer));
                asked += 1;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand answers")]
        let share = right as f64 / asked.max(1) as f64;
        Ok(share)
    }

    fn validation(&self) -> Result<Vec<Example>, TinyError> {
        let items: Vec<Conversation> = self.held_out(16);
        items.iter().map(|item| self.tokenizer.encode(item)).collect()
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
