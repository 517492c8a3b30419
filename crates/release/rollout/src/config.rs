//! What a rollout is told to do.

use serde::{Deserialize, Serialize};

/// Stages and limits of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RolloutConfig {
    /// Percent of the traffic per stage, rising.
    pub stages: Vec<u32>,
    /// Requests that the candidate answers in a stage before the next.
    pub min_requests_per_stage: u64,
    /// How much higher the candidate's error rate may be.
    pub max_error_rate_increase: f64,
    /// How much lower the candidate's mean feedback score may be.
    pub max_feedback_drop: f64,
    /// Scores that either release needs before the rollout goes on; 0 goes on without feedback.
    pub min_feedback: u64,
    /// Chance that a guard rolls back a candidate that keeps both limits, over the whole rollout.
    pub alpha: f64,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        Self {
            stages: vec![10, 50, 100],
            min_requests_per_stage: 50,
            max_error_rate_increase: 0.02,
            max_feedback_drop: 0.1,
            min_feedback: 20,
            alpha: 0.05,
        }
    }
}

/// Settings that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Stages do not rise within 1 to 100.
    #[error("stages should be percentages from 1 to 100, each above the one before")]
    Stages,
    /// A share lies outside its range.
    #[error("{field} should lie within 0 and 1")]
    Share {
        /// Which one.
        field: &'static str,
    },
}

impl RolloutConfig {
    /// Says what is wrong with the settings.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rising = self.stages.is_sorted_by(|a, b| a < b);
        let within = self.stages.iter().all(|stage| (1..=100).contains(stage));
        if self.stages.is_empty() || !rising || !within {
            return Err(ConfigError::Stages);
        }
        for (field, share) in [
            ("max_error_rate_increase", self.max_error_rate_increase),
            ("max_feedback_drop", self.max_feedback_drop),
            ("alpha", self.alpha),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(ConfigError::Share { field });
            }
        }
        Ok(())
    }
}
