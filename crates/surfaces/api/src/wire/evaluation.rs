//! Evaluations and their comparison.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Asks for a target to be scored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRequest {
    /// For people.
    pub name: String,
    /// What is scored.
    pub target: Target,
    /// On what.
    pub suite: Suite,
    /// Training rows shown before each question.
    #[serde(default)]
    pub few_shot: u32,
}

/// What is scored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Target {
    /// A model, with an adapter or without.
    Model {
        /// The base, `name@version`.
        model: String,
        /// The adapter, `name@version`.
        #[serde(default)]
        adapter: Option<String>,
    },
    /// An endpoint, as applications call it.
    Endpoint {
        /// Its name.
        endpoint: String,
    },
    /// Always the most frequent answer of the training rows: a control.
    Constant {
        /// `true`.
        constant: bool,
    },
}

/// On what a target is scored.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Suite {
    /// Rows of a dataset version.
    Dataset {
        /// `name@version`
        dataset: String,
        /// `train`, `validation` or `test`.
        #[serde(default = "test_split")]
        split: String,
        /// Rows at most, chosen by seed.
        #[serde(default)]
        limit: Option<u64>,
        /// Chooses the rows.
        #[serde(default)]
        seed: Option<u64>,
    },
    /// A set that comes with Pelton.
    Builtin {
        /// `regression`: what the base model can do.
        builtin: String,
        /// Items at most.
        #[serde(default)]
        limit: Option<u64>,
    },
}

fn test_split() -> String {
    "test".into()
}

/// A finished evaluation.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Evaluation {
    /// `eval_…`
    pub id: String,
    /// For people.
    pub name: String,
    /// What was scored.
    pub target: Value,
    /// On what.
    pub suite: Value,
    /// Items, those not scored among them.
    pub n: i64,
    /// Items without an answer; they count as wrong.
    pub unscored: i64,
    /// Share of exact answers with its 95 % Wilson interval.
    pub exact_match: Value,
    /// Macro-averaged F1 with its 95 % bootstrap interval; null where there are no classes.
    pub macro_f1: Option<Value>,
    /// Precision, recall and F1 of each label.
    pub per_class: Value,
    /// Exact match of each group.
    pub by_group: Value,
    /// Mean time of an answer.
    pub mean_latency_ms: Option<f64>,
    /// When it was finished.
    pub created_at: String,
    /// The job that made it.
    pub job_id: Option<String>,
}

/// Which samples of an evaluation.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SamplesQuery {
    /// Only right or only wrong ones.
    pub correct: Option<bool>,
    /// Samples at most.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which two evaluations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CompareQuery {
    /// The one to compare with.
    pub baseline: String,
    /// The one to judge.
    pub candidate: String,
}

/// Two evaluations side by side, on the items that both have.
#[derive(Debug, Serialize, ToSchema)]
pub struct Comparison {
    /// The one compared with.
    pub baseline: Evaluation,
    /// The one judged.
    pub candidate: Evaluation,
    /// Items that both have.
    pub n_paired: u64,
    /// Candidate less baseline, with its paired-bootstrap 95 % interval.
    pub difference: Value,
    /// McNemar's test.
    pub mcnemar: Value,
    /// Items that one got right and the other wrong, 50 at most.
    pub flips: Value,
}
