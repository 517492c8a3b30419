//! Trains adapters and small models with hand-written gradients. Cannot reach a store or HTTP.
//!
//! [`train`] takes a base model, examples and settings, and gives an adapter (PEFT) or a model
//! (Hugging Face). It runs on a few threads, each with its own sequences, and a run that was killed
//! goes on from its checkpoint to the same bits.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod base;
mod batches;
mod checkpoint;
mod config;
mod data;
mod decoder;
mod error;
mod estimate;
mod example;
mod logits;
mod low_rank;
mod optimize;
mod preference;
mod report;
mod schedule;
mod teach;
mod train;
mod worker;

#[cfg(test)]
mod tests;

pub use base::{Base, QuantizedBase};
pub use batches::planned_tokens;
pub use checkpoint::model_at_checkpoint;
pub use config::{Decay, Method, Optimizer, Recompute, RunLength, Schedule, TrainConfig};
pub use data::{Source, TrainData};
pub use error::TrainError;
pub use estimate::{Estimate, estimate, operations_per_second};
pub use example::{Example, ExampleSource, Preference, TeacherTargets};
pub use logits::logits;
pub use report::{CurvePoint, Progress, Rewards, StopReason, TrainReport};
pub use teach::{preference_rewards, teach};
pub use train::{TrainOutcome, Trained, train, train_until};
