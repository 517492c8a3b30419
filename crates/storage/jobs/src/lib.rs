//! The durable job runner: claims, leases, progress and supervised child processes. Cannot reach
//! HTTP.
//!
//! Each job runs as a child process that says what it does as JSON lines on its standard output
//! ([`JobMessage`]); the runner makes that durable under the job's lease. A child that is killed or
//! crashes is started again from its checkpoint; a runner that is killed takes its children along,
//! and the next one queues their jobs again.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod attempt;
mod message;
mod report;
mod runner;

pub use message::{JobMessage, MAX_LINE};
pub use report::Reporter;
pub use runner::{CommandFor, JobRunner, RunnerOptions};
