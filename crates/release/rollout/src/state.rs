//! A rollout's state, what it decided, and what to do about it.

use crate::observed::Observed;
use pelton_ids::Micros;
use serde::{Deserialize, Serialize};

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutPhase {
    /// Traffic is split.
    Running,
    /// The candidate took over.
    Promoted,
    /// The baseline has all traffic again.
    RolledBack,
    /// Something else changed the endpoint.
    Cancelled,
}

/// A rollout's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutState {
    /// Where it stands.
    pub phase: RolloutPhase,
    /// The stage, from 0.
    pub stage: usize,
    /// The candidate's percent of the traffic.
    pub weight: u32,
    /// Requests of the candidate when the stage began.
    pub requests_at_stage_start: u64,
    /// Why it last held, so that holding is logged once per reason.
    pub holding: Option<String>,
    /// Why it ended.
    pub reason: Option<String>,
}

/// A kind of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionAction {
    /// The first stage began.
    Start,
    /// The next stage began.
    Advance,
    /// The stage goes on, for the reason given.
    Hold,
    /// The candidate takes over.
    Promote,
    /// The baseline takes all traffic again.
    RollBack,
    /// The rollout ends without a say about traffic.
    Cancel,
}

/// An entry of the decision log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Micros,
    /// What.
    pub action: DecisionAction,
    /// Why, in words.
    pub reason: String,
    /// The stage in which it was made, from 0.
    pub stage: usize,
    /// What it was made from.
    pub observed: Observed,
}

/// What to do to the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Give the candidate this percent of the traffic and the baseline the rest.
    SetWeight(u32),
    /// Give the candidate all traffic.
    Promote,
    /// Give the baseline all traffic.
    RollBack,
}
