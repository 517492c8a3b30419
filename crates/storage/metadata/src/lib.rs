//! Projects, versions, releases, jobs, keys and audit on SQLite or PostgreSQL. The only crate that
//! names a metadata table.
//!
//! Every function takes an [`OpContext`](pelton_context::OpContext), checks the caller's right
//! before it queries, and answers only for the caller's project. Every change somebody asked for
//! is one transaction that also holds its audit entry. What Pelton does for itself across projects
//! (claiming jobs, reading routes, collecting references) wants the system principal.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod connection;
mod error;
mod migrate;
mod name;
mod page;
mod row;
mod store;

mod api_key;
mod artifact_ref;
mod audit;
mod dataset;
mod endpoint;
mod evaluation;
mod gate;
mod job;
mod job_record;
mod job_work;
mod lease;
mod model;
mod project;
mod release;
mod rollout;
mod setting;
mod trace_part;

pub use api_key::{ApiKey, Authenticated, NewApiKey};
pub use artifact_ref::ArtifactOwner;
pub use audit::{AuditEntry, AuditFilter, AuditVerification};
pub use dataset::{Dataset, DatasetVersion, NewDatasetVersion, RowCounts};
pub use endpoint::{Endpoint, EndpointChange, TrafficGeneration, TrafficShare};
pub use error::{Result, StoreError};
pub use evaluation::{Evaluation, NewEvaluation};
pub use gate::{Gate, GateRule, NewGate};
pub use job::{Job, JobError, JobEvent, JobFilter, JobProgress, JobState, NewJob};
pub use job_record::{JobLog, JobMetric};
pub use job_work::{Backoff, ClaimedJob, Claims, Heartbeat, JobLease, JobOutcome, JobRecord};
pub use lease::Lease;
pub use model::{Model, ModelFile, ModelKind, NewModel};
pub use page::{Listing, MAX_PAGE, Page};
pub use project::Project;
pub use release::{Bundle, NewRelease, Release, Sampling, Upstream};
pub use rollout::{
    Decision, NewDecision, NewRollout, Rollout, RolloutPolicy, RolloutState, RolloutUpdate,
};
pub use store::{LeaseClock, Store};
pub use trace_part::{NewTracePart, TracePart};
