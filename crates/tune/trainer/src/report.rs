//! What a run says while it goes on and when it is over.

use serde::{Deserialize, Serialize};

use crate::TrainConfig;

/// One step, as it ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps so far.
    pub step: u64,
    /// Steps in all; an estimate for a stream that ends after a number of tokens.
    pub total: u64,
    /// Mean loss of the step's tokens by weight, divergence included, in nats.
    pub loss: f64,
    /// Divergence's part of it.
    pub divergence: f64,
    /// Rewards of preference pairs.
    pub rewards: Option<Rewards>,
    /// Loss on held-out examples, when this step measured it.
    pub val_loss: Option<f64>,
    /// Learning rate of AdamW.
    pub lr: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens per second of this step.
    pub tokens_per_s: f64,
    /// Tokens so far, prompts and rehearsal included.
    pub tokens: u64,
    /// Seconds so far, earlier attempts included.
    pub elapsed: f64,
    /// Seconds to go, estimated.
    pub eta: f64,
}

/// How a model ranks preference pairs, as means over a step: `β` times the logarithm of how much more likely
/// an answer has become than it was to the base.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rewards {
    /// Of the chosen answers.
    pub chosen: f32,
    /// Of the rejected ones.
    pub rejected: f32,
    /// By how much the chosen ones have more.
    pub margin: f32,
    /// Share of pairs whose chosen answer has more.
    pub accuracy: f32,
}

/// A point of the curves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Steps so far.
    pub step: u64,
    /// Tokens so far.
    pub tokens: u64,
    /// Loss of the step.
    pub loss: f32,
    /// Loss on held-out examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f32>,
    /// Learning rate of AdamW.
    pub lr: f32,
    /// Norm of the gradient before clipping.
    pub grad_norm: f32,
    /// Rewards of preference pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewards: Option<Rewards>,
}

/// Why a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It went its whole length.
    Completed,
    /// The validation loss did not improve any more.
    EarlyStopped,
    /// The caller asked for it; the checkpoint is there to go on.
    Cancelled,
}

/// `train_report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// The settings.
    pub config: TrainConfig,
    /// Why it is over.
    pub stopped: StopReason,
    /// Steps done.
    pub steps: u64,
    /// Tokens seen, prompts and rehearsal included.
    pub tokens: u64,
    /// Seconds, all attempts together.
    pub seconds: f64,
    /// Numbers that were trained.
    pub trained_parameters: usize,
    /// Examples trained on; zero for a stream.
    pub train_examples: usize,
    /// Examples held out.
    pub validation_examples: usize,
    /// Loss on held-out examples before the first step.
    pub initial_val_loss: Option<f64>,
    /// Loss on held-out examples of the weights that were kept.
    pub best_val_loss: Option<f64>,
    /// The step that they are from.
    pub best_step: u64,
    /// Every step.
    pub curve: Vec<CurvePoint>,
}
