//! Scores a target on held-out samples, one by one. Reaches models only through [`Target`]; cannot
//! reach a store or the network itself.
//!
//! A sample that got no answer is *unscored*: it is counted and reported, stays in the denominator
//! and counts as wrong, so that a target cannot look better by failing.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod answers_match;
mod compare;
mod constant_answer;
mod few_shot;
mod run_samples;
mod sample;
mod summarize;
mod target;

#[cfg(test)]
mod tests;

pub use answers_match::Matching;
pub use compare::{Comparison, Flip, compare};
pub use constant_answer::ConstantAnswer;
pub use few_shot::{Shot, with_shots};
pub use run_samples::{Cancelled, RunConfig, RunProgress, run};
pub use sample::{ReadResultsError, Sample, SampleResult, read_results, write_results};
pub use summarize::{ClassResult, GroupResult, Summary, summarize};
pub use target::{Completion, CompletionOptions, Target, TargetError};

pub use pelton_statistics::{Interval, McNemar};
