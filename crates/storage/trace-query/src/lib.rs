//! Answers the typed query tree over hot and sealed traces. The only crate that names DataFusion,
//! and no type of it leaves: callers see the tree, pages and rows.
//!
//! Lists read hot segments along their index and sealed parts newest first, and stop when the page
//! is full. Aggregates run as one plan over both. Nothing of DataFusion exists before the first
//! question that needs it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod aggregate;
mod compile;
mod engine;
mod error;
mod feedback_lookup;
mod list;
mod scan;
mod session;
mod source;

pub use aggregate::AggregateRow;
pub use engine::TraceEngine;
pub use error::TraceQueryError;
pub use list::{ListedTrace, Page};
