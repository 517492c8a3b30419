//! What a fine-tune is asked to do, and every hyperparameter that follows. Cannot reach a model or I/O.
//!
//! The embedded trainer and the jobs that run on a cluster take the same request and the same defaults from
//! here, so that the same request means the same run.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod hyperparameters;
mod spec;

pub use hyperparameters::{Hyperparameters, TrainingRows};
pub use spec::{BasePrecision, FinetuneMethod, FinetuneSpec, Targets};
