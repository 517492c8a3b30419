//! Datasets and their versions.

use super::trace::TraceFilter;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A dataset.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dataset {
    /// `ds_…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// When its first version was asked for.
    pub created_at: String,
    /// How many versions there are.
    pub versions: i64,
    /// The newest version.
    pub latest: Option<DatasetVersion>,
    /// All versions, newest first; only where one dataset is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_versions: Option<Vec<DatasetVersion>>,
}

/// One immutable version.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DatasetVersion {
    /// `dsv_…`
    pub id: String,
    /// The dataset's name.
    pub dataset: String,
    /// 1 is the first.
    pub version: i64,
    /// `dataset@version`
    pub name: String,
    /// When it was built.
    pub created_at: String,
    /// Rows in `train`, `validation` and `test`.
    pub rows: Value,
    /// Rows left out, by reason.
    pub dropped: Value,
    /// Personal data masked, by kind.
    pub scrubbed: Value,
    /// Lengths and labels.
    pub statistics: Value,
    /// What it was built from.
    pub source: Value,
    /// SHA-256 of its rows.
    pub digest: String,
    /// The dataset card, in Markdown.
    pub card: String,
    /// The job that built it.
    pub job_id: Option<String>,
}

/// How to build a version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildRequest {
    /// Where the rows come from.
    pub source: DatasetSource,
    /// Whether a correction replaces the answer.
    #[serde(default = "yes")]
    pub use_corrections: bool,
    /// Whether only calls with a correction or a good score are kept.
    #[serde(default)]
    pub only_judged: bool,
    /// `email`, `phone`, `card`; all three when left out.
    #[serde(default = "all_kinds")]
    pub scrub: Vec<String>,
    /// Whether equal rows are kept once.
    #[serde(default = "yes")]
    pub exact_dedup: bool,
    /// Rows whose similarity (Jaccard, 0 to 1) reaches this are kept once; null keeps them.
    #[serde(default)]
    pub near_dedup: Option<f64>,
    /// How rows are divided; null keeps the given division.
    #[serde(default)]
    pub split: Option<Split>,
}

const fn yes() -> bool {
    true
}

fn all_kinds() -> Vec<String> {
    ["email", "phone", "card"].map(String::from).to_vec()
}

/// Where a dataset's rows come from.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DatasetSource {
    /// Logged calls.
    Traces {
        /// Which calls.
        #[serde(default)]
        filter: TraceFilter,
        /// Calls at most, newest first.
        #[serde(default)]
        limit: Option<u64>,
    },
    /// An uploaded JSONL file.
    Blob {
        /// Its digest, from `PUT /api/v1/blobs`.
        digest: String,
    },
}

/// How rows are divided.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Share for training.
    pub train: f64,
    /// Share for validation.
    pub validation: f64,
    /// Share for testing.
    pub test: f64,
    /// The same seed gives the same division.
    #[serde(default)]
    pub seed: u64,
    /// Whether each label is divided in these shares.
    #[serde(default = "yes")]
    pub stratify: bool,
}

/// Which rows of a version.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RowsQuery {
    /// `train`, `validation` or `test`; all when left out.
    pub split: Option<String>,
    /// Rows at most.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
