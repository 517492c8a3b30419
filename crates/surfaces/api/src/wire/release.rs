//! Releases and their lineage.

use super::{evaluation::Evaluation, gate::Gate, model::Model};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What a release serves. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The base, `name@version`; null when an upstream serves.
    #[serde(default)]
    pub model: Option<String>,
    /// The adapter, `name@version`.
    #[serde(default)]
    pub adapter: Option<String>,
    /// A provider of the configuration and its model.
    #[serde(default)]
    pub upstream: Option<Upstream>,
    /// Sampling for callers that set none.
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// Put before the messages of callers that send no system message.
    #[serde(default)]
    pub system_prompt: Option<String>,
}

/// A provider and its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
}

/// Sampling for callers that set none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// 0 takes the likeliest token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Tokens considered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Longest answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The same seed gives the same text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Texts that end the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Vec<String>>,
}

/// Asks for a release.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreateRelease {
    /// For people, unique.
    pub name: String,
    /// What it serves.
    #[serde(flatten)]
    pub bundle: Bundle,
    /// The gate that it passed.
    #[serde(default)]
    pub gate: Option<String>,
}

/// An immutable bundle.
#[derive(Debug, Serialize, ToSchema)]
pub struct Release {
    /// `rel_…`
    pub id: String,
    /// For people, unique.
    pub name: String,
    /// SHA-256 of the bundle.
    pub digest: String,
    /// What it serves.
    pub bundle: Bundle,
    /// When it was made.
    pub created_at: String,
    /// The gate that it passed.
    pub gate: Option<String>,
}

/// Everything that a release comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct Lineage {
    /// The release.
    pub release: Release,
    /// Its base.
    pub model: Option<Model>,
    /// Its adapter.
    pub adapter: Option<Model>,
    /// The dataset version that the adapter learned from.
    pub dataset_version: Option<Value>,
    /// The training job.
    pub training_job: Option<Value>,
    /// The hyperparameters in force.
    pub hyperparameters: Option<Value>,
    /// Evaluations of its model and adapter.
    pub evaluations: Vec<Evaluation>,
    /// The gate that it passed.
    pub gate: Option<Gate>,
    /// The rows that it learned from: `total`, `corrections`, and a `sample`.
    pub rows: Value,
}
