//! Durable work.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// A unit of durable work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    /// `job_…`
    pub id: String,
    /// `dataset_build`, `finetune`, `finetune_search` or `evaluation`.
    pub kind: String,
    /// What it does, for people.
    pub title: String,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// How far it is.
    pub progress: Progress,
    /// What was asked for.
    pub spec: Value,
    /// What came out.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<Value>,
    /// How often it was started.
    pub attempt: i64,
    /// When it was asked for.
    pub created_at: String,
    /// When it was first started.
    pub started_at: Option<String>,
    /// When it came to an end.
    pub ended_at: Option<String>,
}

/// How far a job is.
#[derive(Debug, Default, Clone, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Units done.
    pub done: f64,
    /// Units in all; 0 while unknown.
    pub total: f64,
    /// What is counted.
    pub unit: String,
    /// What goes on.
    pub message: String,
}

/// Which jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct JobQuery {
    /// `dataset_build`, `finetune`, `finetune_search` or `evaluation`.
    pub kind: Option<String>,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: Option<String>,
    /// Jobs at most.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// What was written after a place.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AfterQuery {
    /// The last `seq` already seen; from the start when left out.
    pub after: Option<i64>,
    /// Items at most.
    pub limit: Option<u32>,
}

/// What a job measured at one step.
#[derive(Debug, Serialize, ToSchema)]
pub struct Metric {
    /// Place in the list.
    pub seq: i64,
    /// When.
    pub at: String,
    /// The step.
    pub step: i64,
    /// Values by name: `loss`, `val_loss`, `lr`, `grad_norm`, `tokens_per_s`; for preference pairs
    /// `reward_chosen`, `reward_rejected`, `reward_margin`, `reward_accuracy`; in a search also `trial`, `trial_step`,
    /// `best_val_loss` and `search_tokens`.
    pub values: Value,
}

/// A line of a job's log.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogLine {
    /// Place in the list.
    pub seq: i64,
    /// When.
    pub at: String,
    /// `info`, `warn` or `error`.
    pub level: String,
    /// The text.
    pub message: String,
}

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinetuneMethod {
    /// A LoRA adapter beside the base.
    #[default]
    Lora,
    /// All weights: a new base. For small models.
    Full,
}

/// How the frozen base is kept while an adapter is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub enum BasePrecision {
    /// 32-bit floats.
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// Blocks of 32 signed bytes with one scale: a quarter of the memory (QLoRA).
    #[serde(rename = "q8_0")]
    Q8_0,
}

/// Which linear layers get a low-rank pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoraTargets {
    /// All of them.
    All,
    /// Queries, keys, values and the attention's output.
    Attention,
    /// The feed-forward network's.
    Mlp,
}

/// Asks for an adapter, or for a whole model, to be trained: on a dataset version or on preference pairs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinetuneRequest {
    /// The adapter's name; each run makes a new version.
    pub name: String,
    /// The base, `name@version`.
    pub base: String,
    /// The dataset version, `name@version`; or `preferences` instead.
    #[serde(default)]
    pub dataset: Option<String>,
    /// Digest of an uploaded JSONL file of preference pairs, for direct preference optimization: an object a line
    /// with `messages` (or `prompt`), `chosen` and `rejected`.
    #[serde(default)]
    pub preferences: Option<String>,
    /// `lora` or `full`.
    #[serde(default)]
    pub method: FinetuneMethod,
    /// `f32` or `q8_0`.
    #[serde(default)]
    pub base_precision: BasePrecision,
    /// For pairs: how strongly the model is held to the base; 0.1 when left out.
    #[serde(default)]
    pub preference_beta: Option<f64>,
    /// A model of the same tokenizer, `name@version`, whose distributions are learned beside the answers.
    #[serde(default)]
    pub teacher: Option<String>,
    /// The teacher's share of the loss, 0 to 1; 0.5 when left out.
    #[serde(default)]
    pub distillation_weight: Option<f64>,
    /// Temperature of the teacher's and the student's distributions; 2 when left out.
    #[serde(default)]
    pub distillation_temperature: Option<f64>,
    /// Whether the adapter is merged into a copy of the base, which is published as a base model instead.
    #[serde(default)]
    pub merge: bool,
    /// Training rows to use, chosen by seed; all when left out.
    #[serde(default)]
    pub train_rows: Option<u64>,
    /// The same seed gives the same adapter.
    #[serde(default)]
    pub seed: u64,
    /// Whether answers are dealt out at random: a control that must not help.
    #[serde(default)]
    pub shuffle_labels: bool,
    /// LoRA rank, 1 to 256.
    #[serde(default)]
    pub rank: Option<u32>,
    /// LoRA alpha.
    #[serde(default)]
    pub alpha: Option<u32>,
    /// Which linear layers get a low-rank pair: `all`, `attention` or `mlp`.
    #[serde(default)]
    pub targets: Option<LoraTargets>,
    /// Peak learning rate.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// Passes over the rows, at most.
    #[serde(default)]
    pub epochs: Option<f64>,
    /// Tokens in a batch.
    #[serde(default)]
    pub batch_tokens: Option<u32>,
    /// Share of rows of base tasks mixed in against forgetting, 0 to 0.9.
    #[serde(default)]
    pub rehearsal: Option<f64>,
    /// Weight of the KL divergence from the base on those rows.
    #[serde(default)]
    pub kl_to_base: Option<f64>,
    /// Longest training time.
    #[serde(default)]
    pub max_minutes: Option<f64>,
}

/// What a dataset build made: published by the job's own process.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetOutput {
    /// The dataset's name.
    pub dataset: String,
    /// Digests of the JSONL files of `train`, `validation` and `test`, uploaded before.
    pub files: SplitFiles,
    /// Rows left out, by reason.
    pub dropped: Value,
    /// Personal data masked, by kind.
    pub scrubbed: Value,
    /// Lengths and labels.
    pub statistics: Value,
    /// The dataset card, in Markdown.
    pub card: String,
}

/// The files of a dataset version.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitFiles {
    /// For learning.
    pub train: SplitFile,
    /// For stopping early.
    pub validation: SplitFile,
    /// For judging.
    pub test: SplitFile,
}

/// One file of a dataset version.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitFile {
    /// The blob.
    pub digest: String,
    /// Its rows.
    pub rows: u64,
}

/// What a training made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelOutput {
    /// The adapter's files, uploaded before.
    pub files: Vec<super::model::ModelFile>,
    /// The model card, in Markdown.
    pub card: String,
    /// Every hyperparameter in force.
    pub hyperparameters: Value,
}

/// What an evaluation made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationOutput {
    /// Counts, scores and their intervals.
    pub summary: EvaluationSummary,
    /// The JSONL file of samples, uploaded before.
    pub samples: String,
}

/// Counts, scores and their intervals.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSummary {
    /// Items, those not scored among them.
    pub n: i64,
    /// Items without an answer; they count as wrong.
    pub unscored: i64,
    /// Share of exact answers with its 95 % Wilson interval.
    pub exact_match: Value,
    /// Macro-averaged F1 with its 95 % bootstrap interval.
    pub macro_f1: Option<Value>,
    /// Precision, recall and F1 of each label.
    pub per_class: Value,
    /// Exact match of each group.
    pub by_group: Value,
    /// Mean time of an answer.
    pub mean_latency_ms: Option<f64>,
}
