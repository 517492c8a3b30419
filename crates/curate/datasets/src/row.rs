//! Rows before and after a build.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Which part of a dataset a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Learned from.
    Train,
    /// Looked at while training, to stop in time.
    Validation,
    /// Looked at once, to report.
    Test,
}

impl Split {
    /// All splits.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];
}

impl fmt::Display for Split {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

/// Where a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProvenanceKind {
    /// A logged call.
    Trace,
    /// A line of an uploaded file.
    Upload,
}

/// Where exactly a row comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// A trace or an upload.
    pub kind: ProvenanceKind,
    /// The call, for a trace.
    pub inference_id: Option<String>,
    /// The feedback whose correction is the answer, for a corrected trace.
    pub feedback_id: Option<String>,
    /// The line, from 1, for an upload.
    pub line: Option<u64>,
}

impl Provenance {
    /// From a logged call, perhaps corrected by a feedback.
    #[must_use]
    pub fn trace(inference_id: impl Into<String>, feedback_id: Option<String>) -> Self {
        Self {
            kind: ProvenanceKind::Trace,
            inference_id: Some(inference_id.into()),
            feedback_id,
            line: None,
        }
    }

    /// From a line of an upload, counted from 1.
    #[must_use]
    pub const fn upload(line: u64) -> Self {
        Self {
            kind: ProvenanceKind::Upload,
            inference_id: None,
            feedback_id: None,
            line: Some(line),
        }
    }
}

/// A row as it comes in.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRow {
    /// OpenAI chat messages up to the answer.
    pub messages: Vec<Value>,
    /// What was answered.
    pub answer: String,
    /// What should have been answered.
    pub correction: Option<String>,
    /// The mean score of the answer, in [0, 1].
    pub score: Option<f64>,
    /// A class, for stratification and per-class scores.
    pub label: Option<String>,
    /// The split given by the source.
    pub split: Option<Split>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// A row of a dataset version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetRow {
    /// Place in the version, from 0.
    pub index: u64,
    /// Its part.
    pub split: Split,
    /// `sha256:…` of the canonical JSON of messages and answer.
    pub hash: String,
    /// OpenAI chat messages up to the answer.
    pub messages: Vec<Value>,
    /// The wanted answer.
    pub answer: String,
    /// A class, or null.
    pub label: Option<String>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// How many rows were left out, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dropped {
    /// The same input as a row that was kept.
    pub exact_duplicate: u64,
    /// Nearly the same input and answer as a row that was kept.
    pub near_duplicate: u64,
    /// Neither corrected nor scored well, where only judged rows were asked for.
    pub unjudged: u64,
    /// Not usable: not JSON, no messages, no answer, ….
    pub invalid: u64,
}
