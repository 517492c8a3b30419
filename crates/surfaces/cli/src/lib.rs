//! The command line: noun, verb. Speaks only the native REST API, as every other client does.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong arguments, 3 no server answers, 4 a job that
//! was waited for failed or was cancelled.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod audit;
mod command;
mod dataset;
mod endpoint;
mod evaluation;
mod feedback;
mod filter;
mod finetune;
mod gate;
mod instant;
mod job;
mod key;
mod list;
mod model;
mod release;
mod rollout;
mod search;
mod server;
mod table;
mod terminal;
mod trace;

#[cfg(test)]
mod tests;

pub use command::{Command, Globals, finish, run};
pub use model::{ExportAdapter, Pull, Quantize};
