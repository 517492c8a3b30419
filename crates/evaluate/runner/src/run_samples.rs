//! Puts every sample before the target, many at a time.

use crate::answers_match::Matching;
use crate::few_shot::{Shot, with_shots};
use crate::sample::{Sample, SampleResult};
use crate::target::{Completion, CompletionOptions, Target, TargetError};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use std::ops::ControlFlow;
use std::time::Duration;

/// How to run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// Samples in flight at once.
    pub concurrency: usize,
    /// How often a sample is asked before it counts as unscored.
    pub attempts: u32,
    /// When an answer is right.
    pub matching: Matching,
    /// How answers are asked for.
    pub options: CompletionOptions,
    /// Examples before every question.
    pub shots: Vec<Shot>,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            concurrency: 64,
            attempts: 4,
            matching: Matching::default(),
            options: CompletionOptions::default(),
            shots: Vec::new(),
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunProgress {
    /// Samples answered or given up.
    pub done: usize,
    /// Samples in all.
    pub total: usize,
    /// Samples right so far.
    pub correct: usize,
}

/// The run was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the evaluation was cancelled")]
pub struct Cancelled;

/// Answers all `samples` and returns their results in order. `on_progress` hears of every sample
/// and may stop the run.
///
/// # Errors
/// [`Cancelled`] when `on_progress` said so. A target's errors do not end the run: see
/// [`SampleResult::error`].
pub async fn run(
    target: &dyn Target,
    samples: &[Sample],
    config: &RunConfig,
    mut on_progress: impl FnMut(RunProgress) -> ControlFlow<()>,
) -> Result<Vec<SampleResult>, Cancelled> {
    let total = samples.len();
    let mut results: Vec<SampleResult> = Vec::with_capacity(total);
    let mut correct = 0;
    let mut answers = stream::iter(samples.iter().zip(0..).map(|(sample, index)| async move {
        result(index, sample, ask(target, sample, config).await, config.matching)
    }))
    .buffer_unordered(config.concurrency.max(1));
    while let Some(result) = answers.next().await {
        correct += usize::from(result.correct);
        results.push(result);
        if on_progress(RunProgress { done: results.len(), total, correct }).is_break() {
            return Err(Cancelled);
        }
    }
    results.sort_by_key(|result| result.index);
    Ok(results)
}

async fn ask(
    target: &dyn Target,
    sample: &Sample,
    config: &RunConfig,
) -> Result<Completion, TargetError> {
    let messages = with_shots(&sample.messages, &config.shots);
    let mut attempt = 1;
    loop {
        match target.complete(&messages, &config.options).await {
            Err(error) if error.retryable && attempt < config.attempts => {
                tokio::time::sleep(Duration::from_millis(100 << attempt.min(6))).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

fn result(
    index: u64,
    sample: &Sample,
    answer: Result<Completion, TargetError>,
    matching: Matching,
) -> SampleResult {
    let (output, error, latency_ms) = match answer {
        Ok(completion) => (Some(completion.text), None, Some(completion.latency_ms)),
        Err(error) => (None, Some(error.message), None),
    };
    SampleResult {
        index,
        row_hash: sample.row_hash.clone(),
        input: asked(&sample.messages),
        expected: sample.expected.clone(),
        correct: output.as_ref().is_some_and(|output| matching.accepts(&sample.expected, output)),
        output,
        group: sample.group.clone(),
        error,
        latency_ms,
    }
}

/// The text of the messages that are not instructions.
fn asked(messages: &[Value]) -> String {
    let texts: Vec<String> = messages
        .iter()
        .filter(|message| {
            !matches!(message.get("role").and_then(Value::as_str), Some("system" | "developer"))
        })
        .map(|message| match message.get("content") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts
                .iter()
                .filter_map(|part| part.get("text").and_then(Value::as_str))
                .collect::<Vec<_>>()
                .join("\n"),
            _ => String::new(),
        })
        .collect();
    texts.join("\n")
}
