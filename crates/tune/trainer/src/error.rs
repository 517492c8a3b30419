//! Why a training run cannot start or go on.

use std::path::PathBuf;

use pelton_model::ModelError;
use thiserror::Error;

/// An error of a training run.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The configuration makes no sense.
    #[error("training configuration: {0}")]
    InvalidConfig(String),
    /// An example cannot be trained on.
    #[error("{set} example {index}: {reason}")]
    InvalidExample {
        /// Which set it is in.
        set: &'static str,
        /// Its position there, from zero.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint folder belongs to another run.
    #[error("{} holds the checkpoint of a run with other data, weights or settings; use an empty folder or delete it", path.display())]
    OtherRun {
        /// The checkpoint's file.
        path: PathBuf,
    },
    /// A checkpoint does not parse.
    #[error("{} is not a checkpoint: {reason}; delete the folder to start again", path.display())]
    BrokenCheckpoint {
        /// The checkpoint's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The loss or its gradient is not a number any more.
    #[error(
        "the loss is {loss} with gradient norm {gradient_norm} at step {step}; use a lower learning rate"
    )]
    Diverged {
        /// The step, from one.
        step: u64,
        /// The loss.
        loss: f64,
        /// The norm of the gradient.
        gradient_norm: f64,
    },
    /// A thread of the run died.
    #[error("a training thread stopped unexpectedly")]
    LostThread,
    /// A model or adapter cannot be read, written or combined.
    #[error(transparent)]
    Model(#[from] ModelError),
}
