//! Measures what LoRA makes of a base model on a task, with the regression set beside it, to choose
//! hyperparameters before a turn of the wheel uses them.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

pub use pelton_model::Adapter;
use pelton_model::{BaseModel, Projection};
use pelton_trainer::{
    Decay, Method, Optimizer, RunLength, Schedule, TrainConfig, TrainData, TrainReport, Trained,
    logits, train,
};

use crate::abilities::{greedy_writes, measure};
use crate::conversation::Conversation;
use crate::error::TinyError;
use crate::model_card::Ability;
use crate::regression;
use crate::source::answer_only;
use crate::tokenizer::TinyTokenizer;

/// A base model with its tokenizer.
#[derive(Debug)]
pub struct Probe {
    model: Arc<BaseModel>,
    tokenizer: TinyTokenizer,
}

/// The hyperparameters that a probe varies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoraSettings {
    /// Rank of every pair; the scale is 2.
    pub rank: usize,
    /// Peak learning rate.
    pub rate: f64,
    /// Passes over the examples.
    pub epochs: u64,
    /// Tokens of a step, rehearsal included.
    pub batch_tokens: usize,
    /// Share of a step's tokens that rehearse base tasks.
    pub rehearsal: f64,
    /// Weight of the divergence from the base on rehearsal tokens.
    pub kl: f64,
    /// Seed of the order and of the first weights.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

impl Default for LoraSettings {
    /// What a fine-tuning job has where it does not say otherwise.
    fn default() -> Self {
        Self {
            rank: 16,
            rate: 1e-3,
            epochs: 8,
            batch_tokens: 1_024,
            rehearsal: 0.4,
            kl: 1.0,
            seed: 1,
            threads: 2,
        }
    }
}

impl LoraSettings {
    /// The trainer's settings for a run with these.
    #[must_use]
    pub fn train_config(&self) -> TrainConfig {
        TrainConfig {
            method: Method::Lora {
                rank: self.rank,
                alpha: 2.0 * self.rank as f64,
                targets: Projection::ALL.to_vec(),
                rank_stabilized: false,
            },
            optimizer: Optimizer::Adamw,
            learning_rate: self.rate,
            schedule: Schedule { warmup_steps: 10, decay: Decay::Linear, hold: 0.0 },
            batch_tokens: self.batch_tokens,
            length: RunLength::Epochs(self.epochs),
            seed: self.seed,
            threads: self.threads,
            rehearsal_fraction: self.rehearsal,
            kl_to_base: self.kl,
            checkpoint_interval: 0,
            ..TrainConfig::default()
        }
    }
}

impl Probe {
    /// The model in `folder`.
    ///
    /// # Errors
    /// Where the folder holds no model.
    pub fn load(folder: &Path) -> Result<Self, TinyError> {
        let model = Arc::new(BaseModel::load(folder)?);
        let tokenizer = TinyTokenizer::load(&folder.join("tokenizer.json"))?;
        Ok(Self { model, tokenizer })
    }

    /// An adapter from `task`, with base tasks rehearsed as the settings say; `work` takes checkpoints.
    ///
    /// # Errors
    /// The trainer's.
    pub fn tune(
        &self,
        task: &[Conversation],
        settings: &LoraSettings,
        work: &Path,
    ) -> Result<(Adapter, TrainReport), TinyError> {
        let rehearsal: Vec<Conversation> =
            (0..1_000).map(|index| regression::rehearsal(settings.seed, index)).collect();
        let mut data = TrainData::examples(answer_only(&self.tokenizer, task)?);
        data.rehearsal = answer_only(&self.tokenizer, &rehearsal)?;
        let outcome = train(&self.model, &data, &settings.train_config(), work, &mut |_| {
            ControlFlow::Continue(())
        })?;
        match outcome.trained {
            Trained::Adapter(adapter) => Ok((adapter, outcome.report)),
            Trained::Model(_) => Err(TinyError::NoCheckpoint(work.to_owned())),
        }
    }

    /// Whether each greedy answer is right to the byte.
    ///
    /// # Errors
    /// The tokenizer's and the model's.
    pub fn right(
        &self,
        adapter: Option<&Adapter>,
        items: &[Conversation],
    ) -> Result<Vec<bool>, TinyError> {
        items
            .iter()
            .map(|item| {
                let prompt = self.tokenizer.prompt(item)?.len();
                let tokens = self.tokenizer.encode(item)?.tokens;
                let rows = logits(&self.model, adapter, &tokens)?;
                Ok(greedy_writes(&rows, &tokens, prompt..tokens.len()))
            })
            .collect()
    }

    /// The regression set's first `items` items, per task.
    ///
    /// # Errors
    /// The tokenizer's and the model's.
    pub fn regression(
        &self,
        adapter: Option<&Adapter>,
        items: u64,
    ) -> Result<Vec<Ability>, TinyError> {
        let items: Vec<Conversation> =
            (0..items.min(regression::REGRESSION_ITEMS)).map(regression::item).collect();
        measure(&self.tokenizer, &items, |tokens| Ok(logits(&self.model, adapter, tokens)?))
    }
}
