//! What was seen of both releases since a rollout began.

use pelton_statistics::Stream;
use serde::{Deserialize, Serialize};

/// What was seen of one release.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Arm {
    /// Requests that it answered or failed.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Scores given to its answers.
    pub scores: u64,
    /// Their mean, in [0, 1].
    pub score_mean: Option<f64>,
}

impl Arm {
    pub(crate) fn failures(&self) -> Stream {
        Stream::of_counts(self.errors.min(self.requests), self.requests)
    }

    pub(crate) fn feedback(&self) -> Stream {
        Stream::of_mean(self.score_mean.unwrap_or(0.0), self.scores)
    }
}

/// What was seen of both releases since the rollout began.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The release that is in place.
    pub baseline: Arm,
    /// The release that rolls out.
    pub candidate: Arm,
}
