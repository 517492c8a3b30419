//! Rebuilds a rollout's state from its decision log, and checks that the log is what the rules give.

use crate::config::RolloutConfig;
use crate::state::{Decision, DecisionAction, RolloutState};
use crate::step::{cancel, promote_now, roll_back_now, start, step};

/// A log that the rules do not give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It does not begin with a start.
    #[error("the log does not begin with the rollout's start")]
    NoStart,
    /// An entry differs.
    #[error("entry {place} of the log is not what the rules give for what was observed")]
    Differs {
        /// From 0.
        place: usize,
    },
}

/// The state after `log`.
///
/// # Errors
/// [`ReplayError`] at the first entry that the rules do not give.
pub fn replay(config: &RolloutConfig, log: &[Decision]) -> Result<RolloutState, ReplayError> {
    let mut entries = log.iter().enumerate();
    let (_, first) = entries.next().ok_or(ReplayError::NoStart)?;
    let begun = start(config, first.at).map_err(|_| ReplayError::NoStart)?;
    if begun.decision.as_ref() != Some(first) {
        return Err(ReplayError::NoStart);
    }
    let mut state = begun.state;
    for (place, entry) in entries {
        let by_rule = step(config, &state, &entry.observed, entry.at);
        let next = if by_rule.decision.as_ref() == Some(entry) {
            by_rule
        } else {
            by_hand(&state, entry).ok_or(ReplayError::Differs { place })?
        };
        state = next.state;
    }
    Ok(state)
}

/// The step that a person took, when `entry` says so.
fn by_hand(state: &RolloutState, entry: &Decision) -> Option<crate::step::Step> {
    let Decision { at, action, reason, stage: _, observed } = entry;
    let step = match action {
        DecisionAction::Promote => {
            promote_now(state, reason.strip_prefix("promoted by ")?, observed, *at)
        }
        DecisionAction::RollBack => {
            roll_back_now(state, reason.strip_prefix("rolled back by ")?, observed, *at)
        }
        DecisionAction::Cancel => cancel(state, reason, observed, *at),
        DecisionAction::Start | DecisionAction::Advance | DecisionAction::Hold => return None,
    };
    (step.decision.as_ref() == Some(entry)).then_some(step)
}
