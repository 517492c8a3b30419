//! The state of the wheel at a glance.

use super::{evaluation::Evaluation, job::Job, rollout::Rollout};
use serde::Serialize;
use utoipa::ToSchema;

/// About the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct Server {
    /// Pelton's version.
    pub version: String,
    /// Whether a key must be shown.
    pub auth_required: bool,
    /// The caller's project.
    pub project: ProjectName,
    /// When the server was started.
    pub started_at: String,
}

/// A project.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectName {
    /// `prj_…`
    pub id: String,
    /// Its name.
    pub name: String,
}

/// The six stages of the wheel.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    /// The last 24 hours of calls.
    pub serve: Serve,
    /// What is recorded.
    pub observe: Observe,
    /// What was curated.
    pub curate: Curate,
    /// What was tuned.
    pub tune: Tune,
    /// What was evaluated.
    pub evaluate: Evaluate,
    /// What is released.
    pub release: ReleaseStage,
    /// The embedded engine.
    pub engine: Engine,
    /// Calls in each of the last 60 minutes.
    pub requests_series: Vec<MinuteOfCalls>,
}

/// The last 24 hours of calls.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Serve {
    /// Calls.
    pub requests_24h: i64,
    /// Of these, failed.
    pub errors_24h: i64,
    /// Median time.
    pub latency_p50_ms: Option<f64>,
    /// Time that 95 % stay under.
    pub latency_p95_ms: Option<f64>,
    /// Tokens of questions and answers.
    pub tokens_24h: i64,
}

/// What is recorded.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Observe {
    /// Calls.
    pub traces: i64,
    /// Calls with feedback.
    pub feedback: i64,
    /// Calls with a correction.
    pub corrections: i64,
}

/// What was curated.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Curate {
    /// Datasets.
    pub datasets: i64,
    /// Versions of them.
    pub versions: i64,
    /// Rows of the newest versions.
    pub rows: i64,
}

/// What was tuned.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tune {
    /// Trainings that run or wait.
    pub running: i64,
    /// Trainings that succeeded.
    pub succeeded: i64,
    /// The newest training.
    pub latest: Option<Job>,
}

/// What was evaluated.
#[derive(Debug, Serialize, ToSchema)]
pub struct Evaluate {
    /// Evaluations.
    pub evaluations: i64,
    /// The newest.
    pub latest: Option<Evaluation>,
}

/// What is released.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleaseStage {
    /// Endpoints.
    pub endpoints: i64,
    /// Releases.
    pub releases: i64,
    /// Rollouts that go on.
    pub active_rollouts: Vec<Rollout>,
}

/// The embedded engine.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Engine {
    /// `starting`, `ready` or `unavailable`.
    pub state: String,
    /// Bases loaded.
    pub models: Vec<String>,
    /// Adapters loaded.
    pub adapters: Vec<String>,
}

/// Calls in one minute.
#[derive(Debug, Serialize, ToSchema)]
pub struct MinuteOfCalls {
    /// The minute's start.
    pub at: String,
    /// Calls.
    pub count: i64,
    /// Of these, failed.
    pub errors: i64,
}
