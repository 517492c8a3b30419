//! A sample, and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{self, BufRead, Write};

/// One item to answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The row's content hash: pairs results of different evaluations.
    pub row_hash: String,
    /// OpenAI chat messages.
    pub messages: Vec<Value>,
    /// The wanted answer.
    pub expected: String,
    /// What kind of item this is: scores are also reported per group.
    pub group: Option<String>,
}

/// One item, answered or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleResult {
    /// Place in the evaluation, from 0.
    pub index: u64,
    /// The row's content hash.
    pub row_hash: String,
    /// What was asked, without instructions and examples.
    pub input: String,
    /// The wanted answer.
    pub expected: String,
    /// The answer; null when there was none.
    pub output: Option<String>,
    /// Whether the answer matches.
    pub correct: bool,
    /// The item's group.
    pub group: Option<String>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// How long the answer took, in milliseconds.
    pub latency_ms: Option<f64>,
}

impl SampleResult {
    /// Whether there was an answer to score.
    #[must_use]
    pub const fn is_scored(&self) -> bool {
        self.output.is_some()
    }
}

/// Stored results that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadResultsError {
    /// The file cannot be read.
    #[error("the evaluation's results cannot be read")]
    Io(#[from] io::Error),
    /// A line is not a result.
    #[error("line {line} of the evaluation's results is not a result")]
    Line {
        /// From 1.
        line: u64,
        /// Why.
        source: serde_json::Error,
    },
}

/// Writes one JSON line per result.
///
/// # Errors
/// When `to` cannot be written.
pub fn write_results(results: &[SampleResult], mut to: impl Write) -> io::Result<()> {
    for result in results {
        serde_json::to_writer(&mut to, result)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads what [`write_results`] wrote.
///
/// # Errors
/// When the file cannot be read or a line is not a result.
pub fn read_results(from: impl BufRead) -> Result<Vec<SampleResult>, ReadResultsError> {
    from.lines()
        .zip(1..)
        .map(|(text, line)| {
            serde_json::from_str(&text?).map_err(|source| ReadResultsError::Line { line, source })
        })
        .collect()
}
