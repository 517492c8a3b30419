//! Searches of hyperparameters.

use super::job::{BasePrecision, LoraTargets};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How trials are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchMethod {
    /// Evenly at random, each trained to its end.
    Random,
    /// Successive halving: many at random, of which the best third goes on after each ninth, third and so on.
    #[default]
    Halving,
    /// Where earlier trials were good: the tree-structured Parzen estimator.
    Tpe,
}

/// The values that a search may choose from: a number, a list, or a range with both ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "give a number, a list of numbers, or {\"from\": …, \"to\": …}")]
pub enum SearchRange {
    /// One value: it is not searched.
    One(f64),
    /// A list.
    Choices(Vec<f64>),
    /// A range.
    Span {
        /// The least value.
        from: f64,
        /// The greatest value.
        to: f64,
    },
}

/// Asks for the hyperparameters that fit a dataset best, and for the adapter that they give.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// The adapter's name; each search makes a new version.
    pub name: String,
    /// The base, `name@version`.
    pub base: String,
    /// The dataset version, `name@version`. Trials are judged on its validation rows, or else on a tenth of its
    /// training rows.
    pub dataset: String,
    /// `halving`, `tpe` or `random`.
    #[serde(default)]
    pub method: SearchMethod,
    /// Trials at most; by method and budget when left out.
    #[serde(default)]
    pub trials: Option<u64>,
    /// Minutes at most.
    #[serde(default)]
    pub budget_minutes: Option<f64>,
    /// Training tokens of all trials at most, prompts and rehearsal included; instead of minutes.
    #[serde(default)]
    pub budget_tokens: Option<u64>,
    /// `f32` or `q8_0`.
    #[serde(default)]
    pub base_precision: BasePrecision,
    /// Training rows to use, chosen by seed; all when left out.
    #[serde(default)]
    pub train_rows: Option<u64>,
    /// The same seed, threads and token budget give the same adapter.
    #[serde(default)]
    pub seed: u64,
    /// Share of rows of base tasks mixed in against forgetting, 0 to 0.9.
    #[serde(default)]
    pub rehearsal: Option<f64>,
    /// Weight of the KL divergence from the base on those rows.
    #[serde(default)]
    pub kl_to_base: Option<f64>,
    /// Peak learning rates; a range is searched by its logarithm. 1e-4 to 1e-2 when left out.
    #[serde(default)]
    pub learning_rate: Option<SearchRange>,
    /// LoRA ranks; 4, 8, 16, 32 when left out. Alpha is twice the rank.
    #[serde(default)]
    pub rank: Option<SearchRange>,
    /// Passes over the rows; as in a fine-tune when left out.
    #[serde(default)]
    pub epochs: Option<SearchRange>,
    /// Tokens in a batch; as in a fine-tune when left out.
    #[serde(default)]
    pub batch_tokens: Option<SearchRange>,
    /// Which linear layers get a pair; `all` when left out.
    #[serde(default)]
    pub targets: Option<Vec<LoraTargets>>,
}
