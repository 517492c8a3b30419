//! Gates.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Asks for a decision over evaluations.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GateRequest {
    /// The candidate must be better here.
    pub task: TaskRule,
    /// The candidate must not be worse here than by a margin.
    #[serde(default)]
    pub regression: Option<RegressionRule>,
}

/// The candidate must be better.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskRule {
    /// Evaluation of what is served now.
    pub baseline: String,
    /// Evaluation of what shall be served.
    pub candidate: String,
    /// Largest p-value of McNemar's test.
    #[serde(default = "five_percent")]
    pub alpha: f64,
    /// Smallest gain, as a share.
    #[serde(default)]
    pub min_gain: f64,
}

const fn five_percent() -> f64 {
    0.05
}

/// The candidate must not be worse than by a margin.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegressionRule {
    /// Evaluation of the base.
    pub baseline: String,
    /// Evaluation with the adapter on.
    pub candidate: String,
    /// Largest drop, as a share.
    #[serde(default = "three_points")]
    pub margin: f64,
}

const fn three_points() -> f64 {
    0.03
}

/// A decision with its reasons.
#[derive(Debug, Serialize, ToSchema)]
pub struct Gate {
    /// `gate_…`
    pub id: String,
    /// Whether every rule passed.
    pub passed: bool,
    /// `name`, `passed` and `detail` of each rule.
    pub rules: Value,
    /// What was compared on the task.
    pub task: Value,
    /// What was compared on the regression set.
    pub regression: Option<Value>,
    /// When it was decided.
    pub created_at: String,
}
