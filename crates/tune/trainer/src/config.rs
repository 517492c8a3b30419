//! Everything that decides a run, apart from the model and the data.

use pelton_model::Projection;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// The settings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainConfig {
    /// What is trained.
    pub method: Method,
    /// How weights are updated.
    pub optimizer: Optimizer,
    /// Peak learning rate of AdamW.
    pub learning_rate: f64,
    /// How the learning rate moves.
    pub schedule: Schedule,
    /// Decay of AdamW's two moments.
    pub betas: [f64; 2],
    /// AdamW's epsilon.
    pub epsilon: f64,
    /// Decoupled weight decay; on linear layers only, not on embeddings, norms or adapters' sizes.
    pub weight_decay: f64,
    /// Gradients with a larger norm are scaled down to it; zero for no limit.
    pub clip_norm: f64,
    /// Tokens of one step, about.
    pub batch_tokens: usize,
    /// Tokens that one thread passes through the model at once, about. Small enough for the cache,
    /// large enough for full matrix products.
    pub micro_tokens: usize,
    /// When the run is over.
    pub length: RunLength,
    /// Seed of the order of examples and of an adapter's first weights.
    pub seed: u64,
    /// Threads. A part of the result: sums are formed per thread.
    pub threads: usize,
    /// Share of the examples that is held out, when no validation set is given.
    pub validation_fraction: f64,
    /// Steps between validations; zero for once per epoch (or every 200 steps of a stream).
    pub validation_interval: u64,
    /// Validations without improvement after which the run stops, with the best weights.
    pub patience: Option<u32>,
    /// Steps between checkpoints; zero for none.
    pub checkpoint_interval: u64,
    /// Share of a step's tokens that come from the rehearsal set.
    pub rehearsal_fraction: f64,
    /// Weight of the divergence from the base model on rehearsal tokens. For adapters only.
    pub kl_to_base: f64,
    /// For preference pairs: how far the model may go from the base for them; the smaller, the farther.
    pub preference_beta: f64,
    /// For soft targets: their share of the loss, beside the tokens themselves, in [0, 1].
    pub distillation_weight: f64,
    /// For soft targets: the temperature of both distributions.
    pub distillation_temperature: f64,
    /// Which activations the backward pass computes anew. Does not change the result.
    pub recompute: Recompute,
    /// Memory that the run may take, in bytes, for `recompute` auto. Does not change the result.
    pub memory_limit: Option<u64>,
}

/// Which activations the backward pass computes anew, to save memory ("activation checkpointing").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recompute {
    /// None for small models, else those that are quick to compute, or all where memory is short.
    #[default]
    Auto,
    /// None: all wait in memory.
    None,
    /// Normed inputs and activated gates, which cost no matrix products: two fifths of the memory for about
    /// a hundredth of the time.
    Selective,
    /// All but each layer's input: nearly all of the memory for about half as much time again.
    Full,
}

/// What is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Method {
    /// All weights.
    Full,
    /// A low-rank adapter; the base stays as it is.
    Lora {
        /// Rank of each pair.
        rank: usize,
        /// Numerator of the scale.
        alpha: f64,
        /// Linear layers that get a pair.
        targets: Vec<Projection>,
        /// Whether the scale is `alpha / √rank`.
        rank_stabilized: bool,
    },
}

/// How weights are updated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Optimizer {
    /// AdamW everywhere.
    Adamw,
    /// Muon on the linear layers inside the decoder layers, AdamW on the rest. For full training.
    Muon {
        /// Peak learning rate of the linear layers.
        learning_rate: f64,
        /// Share of the momentum that a step keeps.
        momentum: f64,
    },
}

/// How the learning rate moves: a linear rise, then a plateau or a decay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Steps of the rise.
    pub warmup_steps: u64,
    /// What comes after.
    pub decay: Decay,
    /// Share of the run at the peak before the decay begins.
    pub hold: f64,
}

/// The way down to zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// None.
    Constant,
    /// In proportion to what is left of the run.
    Linear,
    /// Half a cosine.
    Cosine,
}

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "count", rename_all = "snake_case")]
pub enum RunLength {
    /// After this many passes over the examples. Not for streams.
    Epochs(u64),
    /// After this many steps.
    Steps(u64),
    /// After this many tokens, rehearsal included.
    Tokens(u64),
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            method: Method::Lora {
                rank: 8,
                alpha: 16.0,
                targets: Projection::ALL.to_vec(),
                rank_stabilized: false,
            },
            optimizer: Optimizer::Adamw,
            learning_rate: 3e-3,
            schedule: Schedule { warmup_steps: 10, decay: Decay::Linear, hold: 0.0 },
            betas: [0.9, 0.95],
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
            batch_tokens: 2048,
            micro_tokens: 512,
            length: RunLength::Epochs(10),
            seed: 0,
            threads: 2,
            validation_fraction: 0.0,
            validation_interval: 0,
            patience: None,
            checkpoint_interval: 50,
            rehearsal_fraction: 0.0,
            kl_to_base: 0.0,
            preference_beta: 0.1,
            distillation_weight: 0.5,
            distillation_temperature: 1.0,
            recompute: Recompute::Auto,
            memory_limit: None,
        }
    }
}

impl TrainConfig {
    /// Settings to train a small model from nothing on this many tokens.
    #[must_use]
    pub fn pretrain(tokens: u64) -> Self {
        Self {
            method: Method::Full,
            optimizer: Optimizer::Muon { learning_rate: 0.02, momentum: 0.95 },
            learning_rate: 3e-3,
            schedule: Schedule { warmup_steps: 100, decay: Decay::Linear, hold: 0.0 },
            weight_decay: 0.1,
            batch_tokens: 4096,
            length: RunLength::Tokens(tokens),
            checkpoint_interval: 100,
            validation_interval: 200,
            ..Self::default()
        }
    }

    /// Refuses numbers that make no run.
    ///
    /// # Errors
    /// Says which number, and what it must be.
    pub fn validate(&self) -> Result<(), TrainError> {
        let fraction = |value: f64| (0.0..1.0).contains(&value);
        let checks = [
            (
                self.learning_rate.is_finite() && self.learning_rate > 0.0,
                "learning_rate must be positive",
            ),
            (self.betas.iter().all(|beta| fraction(*beta)), "betas must be in [0, 1)"),
            (self.epsilon > 0.0, "epsilon must be positive"),
            (self.weight_decay >= 0.0, "weight_decay must not be negative"),
            (self.clip_norm >= 0.0, "clip_norm must not be negative"),
            (
                self.batch_tokens > 0 && self.micro_tokens > 0,
                "batch_tokens and micro_tokens must be positive",
            ),
            ((1..=256).contains(&self.threads), "threads must be between 1 and 256"),
            (fraction(self.validation_fraction), "validation_fraction must be in [0, 1)"),
            (fraction(self.rehearsal_fraction), "rehearsal_fraction must be in [0, 1)"),
            (fraction(self.schedule.hold), "schedule.hold must be in [0, 1)"),
            (
                self.kl_to_base >= 0.0 && self.kl_to_base.is_finite(),
                "kl_to_base must not be negative",
            ),
            (
                self.preference_beta.is_finite() && self.preference_beta > 0.0,
                "preference_beta must be positive",
            ),
            (
                (0.0..=1.0).contains(&self.distillation_weight),
                "distillation_weight must be in [0, 1]",
            ),
            (
                (0.1..=100.0).contains(&self.distillation_temperature),
                "distillation_temperature must be between 0.1 and 100",
            ),
        ];
        for (holds, message) in checks {
            if !holds {
                return Err(TrainError::InvalidConfig(message.into()));
            }
        }
        if self.kl_to_base > 0.0 && self.method == Method::Full {
            return Err(TrainError::InvalidConfig(
                "kl_to_base needs the base unchanged, so it works with method lora only".into(),
            ));
        }
        if let (Optimizer::Muon { .. }, Method::Lora { .. }) = (&self.optimizer, &self.method) {
            return Err(TrainError::InvalidConfig(
                "optimizer muon works with method full only; use adamw for lora".into(),
            ));
        }
        Ok(())
    }
}
