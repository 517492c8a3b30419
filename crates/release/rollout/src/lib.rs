//! Gates and rollouts as pure functions. Cannot reach I/O, a store or a clock.
//!
//! A [`gate()`] decides from paired evaluations whether a release may roll out. A rollout is a state
//! machine: [`step`] takes the state, what was observed since the start and the time, and returns
//! the next state with what to do. Every decision carries what it was made from, so that
//! [`replay`] rebuilds the state from the log.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod config;
mod gate;
mod guard;
mod observed;
mod replay;
mod state;
mod step;

#[cfg(test)]
mod tests;

pub use config::{ConfigError, RolloutConfig};
pub use gate::{GateConfig, GateDecision, GateRule, Pairing, RegressionPairing, gate};
pub use guard::{Alarm, Guard, guard};
pub use observed::{Arm, Observed};
pub use replay::{ReplayError, replay};
pub use state::{Action, Decision, DecisionAction, RolloutPhase, RolloutState};
pub use step::{Step, cancel, promote_now, roll_back_now, start, step};
