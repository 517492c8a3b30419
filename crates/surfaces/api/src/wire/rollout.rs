//! Rollouts: from one release to another by stages.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Starts a rollout.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRollout {
    /// The endpoint's name.
    pub endpoint: String,
    /// The release to bring in, by id or name.
    pub candidate: String,
    /// The candidate's share at each stage, in percent, rising to 100.
    #[serde(default = "stages")]
    pub stages: Vec<u32>,
    /// Requests that the candidate must have answered before a stage ends.
    #[serde(default = "fifty")]
    pub min_requests_per_stage: u64,
    /// Rise of the error rate that rolls back, as a share.
    #[serde(default = "two_points")]
    pub max_error_rate_increase: f64,
    /// Fall of the mean feedback score that rolls back.
    #[serde(default = "ten_points")]
    pub max_feedback_drop: f64,
    /// Scores needed before feedback decides.
    #[serde(default = "twenty")]
    pub min_feedback: u64,
    /// The gate that the candidate passed.
    #[serde(default)]
    pub gate: Option<String>,
    /// Why to go on with a gate that did not pass; kept in the audit log.
    #[serde(default)]
    pub override_gate: Option<String>,
}

fn stages() -> Vec<u32> {
    vec![10, 50, 100]
}
const fn fifty() -> u64 {
    50
}
const fn twenty() -> u64 {
    20
}
const fn two_points() -> f64 {
    0.02
}
const fn ten_points() -> f64 {
    0.1
}

/// A staged change of an endpoint from one release to another.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Rollout {
    /// `rol_…`
    pub id: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The release served before.
    pub baseline: String,
    /// The release brought in.
    pub candidate: String,
    /// The baseline's name.
    pub baseline_name: String,
    /// The candidate's name.
    pub candidate_name: String,
    /// `running`, `promoted`, `rolled_back` or `cancelled`.
    pub state: String,
    /// Index of the present stage.
    pub stage: i64,
    /// The candidate's share at each stage.
    pub stages: Vec<u32>,
    /// The candidate's present share.
    pub weight: u32,
    /// When it was started.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Why it ended.
    pub reason: Option<String>,
    /// Every decision, oldest first: `at`, `action`, `reason`, `stage`, `observed`.
    pub decisions: Value,
}
