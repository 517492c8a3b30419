//! Chooses hyperparameters: random draws, TPE, successive halving. Pure: cannot reach training, files or the clock.
//!
//! [`suggest`] proposes the next point of a [`Space`] from what was observed; [`Halving`] says which trials go on
//! for how long. Both are functions of their arguments alone, so that a search that was killed goes on as if it
//! had not been.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod halving;
mod importance;
mod space;
mod suggest;

#[cfg(test)]
mod tests;

pub use halving::{ETA, Halving, Rung, Segment};
pub use importance::{Importance, Settings, importance};
pub use space::{Dimension, Domain, Point, Scale, Space};
pub use suggest::{Observation, Sampler, suggest};
